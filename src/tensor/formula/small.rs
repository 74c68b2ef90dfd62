//! Formulas on a few elements: the same kernels on the same numbers as block by block, in one piece of memory.

use std::rc::Rc;

use smallvec::SmallVec;

use super::number;
use super::plan::Plan;
use super::program::{Back, Bar, Making, Share, Source, To};
use super::pull::slope_of;
use crate::bytecode::formula::{Formula, MOST};
use crate::tensor::cast::Float;
use crate::tensor::copy::append;
use crate::tensor::create::scalar_f64;
use crate::tensor::lanes::Lanes;
use crate::tensor::out::behind;
use crate::tensor::simd::kernels::{add_to, negate, times};
use crate::tensor::simd::sums::sum;
use crate::tensor::{Tensor, count, dense};
use crate::value::Value;

/// The values that are numbers; 0 for the others.
fn numbers<'a>(formula: &Formula, plan: &Plan, operand: impl Fn(usize) -> Option<&'a Value>) -> [f64; MOST] {
    let mut numbers = [0.0; MOST];
    for &i in &plan.program.numbers {
        numbers[i as usize % MOST] = operand(i as usize).and_then(scalar_f64).unwrap_or(0.0);
    }
    let first = formula.registers.len();
    numbers.iter_mut().skip(first).zip(&formula.constants).for_each(|(x, constant)| *x = *constant);
    for &k in &plan.program.counted {
        let Some(step) = formula.steps.get(k as usize) else { continue };
        let (a, b) = step.operands();
        let y = number(*step, at(&numbers, a), b.map_or(0.0, |b| at(&numbers, b)));
        numbers[formula.value(k as usize) % MOST] = y;
    }
    numbers
}

#[inline]
fn at(numbers: &[f64; MOST], i: u8) -> f64 {
    numbers[i as usize % MOST]
}

/// The elements of the operands that are tensors and there; nothing for the others.
type Slices<'a, T> = SmallVec<[&'a [T]; 12]>;

fn slices<'a, T: Float>(formula: &Formula, operand: impl Fn(usize) -> Option<&'a Value>) -> Option<Slices<'a, T>> {
    let mut slices = Slices::new();
    for i in 0..formula.registers.len() {
        slices.push(match operand(i)? {
            Value::Tensor(_, t) => dense(T::array(t)?)?,
            _ => &[],
        });
    }
    Some(slices)
}

/// Elements made one after the other, `n` at a time.
struct Made<'m, T> {
    n: usize,
    /// The first ones, if they were kept.
    kept: &'m [T],
    all: &'m mut Vec<Vec<T>>,
    /// How many of the lists are in use.
    used: usize,
}

impl<T: Float> Made<'_, T> {
    #[inline]
    fn at(&self, place: u8) -> Option<&[T]> {
        let start = place as usize * self.n;
        if start < self.kept.len() {
            return self.kept.get(start..start + self.n);
        }
        self.all.get(place as usize).map(|x| &x[..])
    }

    /// The next list, taken out to be filled.
    #[inline]
    fn next(&mut self) -> Vec<T> {
        match self.all.get_mut(self.used) {
            Some(list) => {
                let mut list = std::mem::take(list);
                list.clear();
                list
            }
            None => {
                self.all.push(vec![]);
                Vec::with_capacity(self.n)
            }
        }
    }

    /// Puts it back.
    #[inline]
    fn keep(&mut self, list: Vec<T>) {
        if let Some(place) = self.all.get_mut(self.used) {
            *place = list;
        }
        self.used += 1;
    }

    /// Appends to `out` what a step makes.
    #[inline]
    fn step(&self, making: &Making, numbers: &[f64; MOST], operands: &[&[T]], out: &mut Vec<T>) -> Option<()> {
        let lane = |source: Source| -> Option<Lanes<'_, T>> {
            Some(match source {
                Source::Number(i) => Lanes::Same(T::c(at(numbers, i))),
                Source::Operand(i) => Lanes::Each(operands.get(i as usize)?),
                Source::Made(place) => Lanes::Each(self.at(place)?),
                Source::Root | Source::Out => return None,
            })
        };
        let kernel = T::lanes(making.inside);
        match making.b {
            Some(b) => {
                let lanes = [lane(making.a)?, lane(b)?];
                behind(out, self.n, |out| kernel(self.n, &lanes, out));
            }
            None => {
                let lanes = [lane(making.a)?];
                behind(out, self.n, |out| kernel(self.n, &lanes, out));
            }
        }
        Some(())
    }

    /// Appends to `to` what an operand gets of a cotangent.
    #[inline]
    fn share(
        &self,
        bar: Source,
        share: &Share,
        (root, out): (&[T], &[T]),
        numbers: &[f64; MOST],
        operands: &[&[T]],
        to: &mut Vec<T>,
    ) -> Option<()> {
        let slice = |source: Source| -> Option<&[T]> {
            match source {
                Source::Root => Some(root),
                Source::Out => Some(out),
                Source::Operand(i) => operands.get(i as usize).copied(),
                Source::Made(place) => self.at(place),
                Source::Number(_) => None,
            }
        };
        let bar = slice(bar)?;
        match share {
            Share::Itself => append(to, bar),
            Share::Negated => negate(bar, to),
            Share::Times(i) => times(bar, T::c(at(numbers, *i)), to),
            Share::Pulled { inside, j, a, b, y } => {
                let kernel = T::pulls(inside).get(*j as usize)?;
                let y = slice(*y)?;
                match b {
                    Some(b) => {
                        let args = [slice(*a)?, slice(*b)?];
                        behind(to, bar.len(), |out| kernel(&args, y, bar, out));
                    }
                    None => {
                        let args = [slice(*a)?];
                        behind(to, bar.len(), |out| kernel(&args, y, bar, out));
                    }
                }
            }
        }
        Some(())
    }
}

/// Values on the way of a formula that its way back needs.
#[derive(Default)]
pub enum Kept {
    /// It has to compute them again.
    #[default]
    Nothing,
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Kept {
    /// How much memory they take.
    pub fn bytes(&self) -> usize {
        match self {
            Kept::Nothing => 0,
            Kept::F32(all) => size_of_val(&all[..]),
            Kept::F64(all) => size_of_val(&all[..]),
        }
    }
}

/// A dtype of formulas.
pub trait Keeps: Float {
    fn keep(all: Vec<Self>) -> Kept;
    fn kept(kept: &Kept) -> &[Self];
}

macro_rules! keeps {
    ($type:ty, $variant:ident) => {
        impl Keeps for $type {
            fn keep(all: Vec<$type>) -> Kept {
                Kept::$variant(all)
            }

            fn kept(kept: &Kept) -> &[$type] {
                if let Kept::$variant(all) = kept { all } else { &[] }
            }
        }
    };
}
keeps!(f32, F32);
keeps!(f64, F64);

/// The value of a formula for operands of the plan's kinds, and what its way back needs; `None` if one of them is not dense.
pub fn forward<'a>(
    formula: &Formula,
    plan: &Plan,
    lead: &Tensor,
    operand: impl Fn(usize) -> Option<&'a Value>,
    rooms: &mut Rooms,
) -> Option<(Rc<Tensor>, Kept)> {
    match lead {
        Tensor::F32(_) => forward_of(formula, plan, lead.shape(), operand, &mut rooms.narrow),
        _ => forward_of(formula, plan, lead.shape(), operand, &mut rooms.wide),
    }
}

fn forward_of<'a, T: Keeps>(
    formula: &Formula,
    plan: &Plan,
    shape: &[usize],
    operand: impl Fn(usize) -> Option<&'a Value>,
    room: &mut Room<T>,
) -> Option<(Rc<Tensor>, Kept)> {
    // More elements than this are computed again on the way back: a tape holds many formulas.
    const KEPT: usize = 256;
    let n = count(shape);
    let numbers = numbers(formula, plan, &operand);
    let operands = slices::<T>(formula, &operand)?;
    let (last, steps) = plan.program.forward.split_last()?;
    let mut made = Made { n, kept: &[], all: &mut room.all, used: 0 };
    for step in steps {
        let mut list = made.next();
        let done = made.step(step, &numbers, &operands, &mut list);
        made.keep(list);
        done?;
    }
    let mut out = Vec::with_capacity(n);
    made.step(last, &numbers, &operands, &mut out)?;
    let known = &plan.program.known[..];
    let kept = if known.is_empty() || known.len() * n > KEPT {
        Kept::Nothing
    } else {
        let mut all = Vec::with_capacity(known.len() * n);
        for place in known {
            all.extend_from_slice(made.at(*place)?);
        }
        T::keep(all)
    };
    (out.len() == n).then(|| (Tensor::counted(shape, out), kept))
}

/// A formula that was applied, as far as its pullback reads it.
pub struct Applied<'a> {
    pub formula: &'a Formula,
    pub plan: &'a Plan,
    /// The result, if it is needed.
    pub out: &'a Value,
    pub kept: &'a Kept,
}

/// A cotangent of an operand.
pub enum Pulled<'a, T> {
    /// That of the result.
    Root,
    Elements(&'a [T]),
    Number(f64),
}

/// Memory that comes and goes with each formula, kept for the next.
pub struct Room<T> {
    all: Vec<Vec<T>>,
    fresh: Vec<T>,
}

impl<T> Default for Room<T> {
    fn default() -> Room<T> {
        Room { all: vec![], fresh: vec![] }
    }
}

/// The same for both dtypes.
#[derive(Default)]
pub struct Rooms {
    narrow: Room<f32>,
    wide: Room<f64>,
}

/// Hands out the cotangents of the wanted registers, by their number, for the elements of that of the result. Of the operands
/// that are tensors those have to be there that are needed.
pub fn pull<'a, T: Keeps, E>(
    applied: &Applied<'a>,
    operand: impl Fn(usize) -> Option<&'a Value>,
    root: &[T],
    room: &mut Room<T>,
    mut hand: impl FnMut(usize, Pulled<'_, T>) -> Result<(), E>,
) -> Option<Result<(), E>> {
    let Applied { formula, plan, out, kept } = *applied;
    let (n, program) = (root.len(), &plan.program);
    let numbers = numbers(formula, plan, &operand);
    let Room { all, fresh } = room;
    let operands = slices::<T>(formula, &operand)?;
    let out = if let Value::Tensor(_, t) = out { dense(T::array(t)?)? } else { &[] };
    let mut made = Made { n, kept: T::kept(kept), all, used: 0 };
    if made.kept.is_empty() {
        for step in &program.again {
            let mut list = made.next();
            let done = made.step(step, &numbers, &operands, &mut list);
            made.keep(list);
            done?;
        }
    } else {
        made.used = program.again.len();
        while made.all.len() < made.used {
            made.all.push(vec![]);
        }
    }
    for &i in &program.spread {
        let mut list = made.next();
        list.resize(n, T::c(at(&numbers, i)));
        made.keep(list);
    }
    let mut sums = [0.0; MOST];
    for step in &program.back {
        let (bar, share, to) = match step {
            Back::Elements { bar, share, to } => (*bar, share, *to),
            Back::Numbers { k } => {
                pull_number(formula, *k, plan, &numbers, &mut sums)?;
                continue;
            }
        };
        let mut own = if let To::New = to { made.next() } else { std::mem::take(fresh) };
        own.clear();
        let shared = made.share(bar, share, (root, out), &numbers, &operands, &mut own);
        match to {
            To::New => made.keep(own),
            To::AddTo(place) => {
                add_to(made.all.get_mut(place as usize)?, &own);
                *fresh = own;
            }
            To::Sum(i) => {
                sums[i as usize % MOST] += sum(&own);
                *fresh = own;
            }
        }
        shared?;
    }
    for &(i, bar) in &program.bars {
        let pulled = match bar {
            Bar::Root => Pulled::Root,
            Bar::Made(place) => Pulled::Elements(made.at(place)?),
            Bar::Sum => Pulled::Number(sums[i as usize % MOST]),
        };
        if let Err(error) = hand(i as usize, pulled) {
            return Some(Err(error));
        }
    }
    Some(Ok(()))
}

/// A step on numbers: from the cotangent of its value to those of its operands.
fn pull_number(formula: &Formula, k: u8, plan: &Plan, numbers: &[f64; MOST], sums: &mut [f64; MOST]) -> Option<()> {
    let (step, value) = (formula.steps.get(k as usize)?, formula.value(k as usize));
    let bar = sums[value % MOST];
    if bar == 0.0 {
        return Some(());
    }
    let (a, b) = step.operands();
    for (j, i) in [Some(a), b].into_iter().flatten().enumerate() {
        if plan.program.live & (1 << i) != 0 {
            let (x, y) = (at(numbers, a), b.map_or(0.0, |b| at(numbers, b)));
            sums[i as usize % MOST] += bar * slope_of(*step, j, x, y, numbers[value % MOST])?;
        }
    }
    Some(())
}
