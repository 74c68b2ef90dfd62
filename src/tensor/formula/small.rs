//! Formulas on a few elements: the same kernels on the same numbers as block by block, in one piece of memory.

use std::rc::Rc;

use super::fused_small;
use super::plan::Plan;
use super::program::{Back, Bar, Making, Share, Source, To};
use super::pull::slope_of;
use super::rows::{self, Rows, Ways, put_numbers};
use super::straight::{self, Trial};
use crate::bytecode::formula::{Formula, MOST};
use crate::tensor::cast::Float;
use crate::tensor::copy::append;
use crate::tensor::lanes::Lanes;
use crate::tensor::out::{Out, Room as _, over};
use crate::tensor::simd::kernels::{add_to, negate, products, times};
use crate::tensor::simd::sums::sum;
use crate::tensor::spares::Spares;
use crate::tensor::{Tensor, count, dense};
use crate::value::Value;

#[inline]
pub(super) fn at(numbers: &[f64], i: u8) -> f64 {
    numbers.get(i as usize).copied().unwrap_or(0.0)
}

/// What operations read, of `n` elements each, but for what was just made.
struct Sources<'a, T, F> {
    n: usize,
    numbers: &'a [f64],
    operand: F,
    /// The first ones that were made, if they were kept.
    kept: &'a [T],
    root: &'a [T],
    out: &'a [T],
}

impl<'v, T: Float, F: Fn(usize) -> Option<&'v Value>> Sources<'_, T, F> {
    #[inline(always)]
    fn slice<'a>(&'a self, source: Source, made: &'a [T]) -> Option<&'a [T]>
    where
        'v: 'a,
    {
        match source {
            Source::Root => Some(self.root),
            Source::Out => Some(self.out),
            Source::Operand(i) => match (self.operand)(i as usize)? {
                Value::Tensor(_, t) => dense(T::array(t)?),
                _ => None,
            },
            Source::Made(place) => {
                let start = place as usize * self.n;
                let all = if start < self.kept.len() { self.kept } else { made };
                all.get(start..start + self.n)
            }
            Source::Number(_) => None,
        }
    }

    #[inline(always)]
    fn lanes<'a>(&'a self, source: Source, made: &'a [T]) -> Option<Lanes<'a, T>>
    where
        'v: 'a,
    {
        match source {
            Source::Number(i) => Some(Lanes::Same(T::c(at(self.numbers, i)))),
            other => self.slice(other, made).map(Lanes::Each),
        }
    }

    /// Appends to `out` what a step makes.
    #[inline]
    fn step(&self, making: &Making, made: &[T], out: &mut Out<'_, T>) -> Option<()> {
        let a = self.lanes(making.a, made)?;
        let Some(b) = making.b else {
            T::lanes(making.inside)(self.n, &[a], out);
            return Some(());
        };
        let b = self.lanes(b, made)?;
        T::lanes(making.inside)(self.n, &[a, b], out);
        Some(())
    }

    /// Appends to `to` what an operand gets of a cotangent.
    #[inline]
    fn share(&self, bar: Source, share: &Share, made: &[T], to: &mut Out<'_, T>) -> Option<()> {
        let bar = self.slice(bar, made)?;
        match share {
            Share::Itself => to.extend_from_slice(bar),
            Share::Negated => negate(bar, to),
            Share::Times(i) => {
                let slope = T::c(at(self.numbers, *i));
                times(slope, bar, to);
            }
            Share::By(other) => {
                let other = self.slice(*other, made)?;
                products(bar, other, to);
            }
            Share::Pulled { inside, j, a, b, y } => {
                let kernel = T::pulls(inside).get(*j as usize)?;
                let (a, y) = (self.slice(*a, made)?, self.slice(*y, made)?);
                match b {
                    Some(b) => kernel(&[a, self.slice(*b, made)?], y, bar, to),
                    None => kernel(&[a], y, bar, to),
                }
            }
        }
        Some(())
    }
}

/// Memory for elements made one after the other, `n` at a time.
struct Made<'m, T> {
    n: usize,
    all: &'m mut [T],
    /// How many were made.
    used: usize,
}

impl<'m, T: Float> Made<'m, T> {
    /// Room for so many.
    fn new(n: usize, places: usize, room: &'m mut Room<T>) -> Made<'m, T> {
        if room.all.len() < n * places {
            room.all.resize(n * places, T::default());
        }
        Made { n, all: &mut room.all, used: 0 }
    }

    /// Those that were made.
    #[inline]
    fn known(&self) -> &[T] {
        self.all.get(..self.used * self.n).unwrap_or(&[])
    }

    /// Writes the next ones: gives those before, and these.
    #[inline(always)]
    fn write(&mut self, f: impl FnOnce(&[T], &mut Out<'_, T>) -> Option<()>) -> Option<(&mut [T], &mut [T])> {
        let (known, rest) = self.all.split_at_mut_checked(self.used * self.n)?;
        let next = rest.get_mut(..self.n)?;
        let mut done = None;
        let written = over(next, |out| done = f(known, out));
        done.filter(|()| written == self.n).map(|()| (known, next))
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
    /// What code keeps for itself, see `straight`.
    Code32(Vec<f32>),
    Code64(Vec<f64>),
}

impl Kept {
    /// How much memory they take.
    pub fn bytes(&self) -> usize {
        match self {
            Kept::Nothing => 0,
            Kept::F32(all) | Kept::Code32(all) => size_of_val(&all[..]),
            Kept::F64(all) | Kept::Code64(all) => size_of_val(&all[..]),
        }
    }
}

/// A dtype of formulas.
pub trait Keeps: Float {
    fn keep(all: Vec<Self>) -> Kept;
    fn kept(kept: &Kept) -> &[Self];
    /// The same of what code keeps.
    fn keep_for_code(all: Vec<Self>) -> Kept;
    fn kept_for_code(kept: &Kept) -> &[Self];
    /// The code of a plan.
    fn trial(plan: &Plan) -> &Trial<Self>;
}

macro_rules! keeps {
    ($type:ty, $variant:ident, $code:ident, $trial:ident) => {
        impl Keeps for $type {
            fn keep(all: Vec<$type>) -> Kept {
                Kept::$variant(all)
            }

            fn kept(kept: &Kept) -> &[$type] {
                if let Kept::$variant(all) = kept { all } else { &[] }
            }

            fn keep_for_code(all: Vec<$type>) -> Kept {
                Kept::$code(all)
            }

            fn kept_for_code(kept: &Kept) -> &[$type] {
                if let Kept::$code(all) = kept { all } else { &[] }
            }

            fn trial(plan: &Plan) -> &Trial<$type> {
                &plan.$trial
            }
        }
    };
}
keeps!(f32, F32, Code32, narrow);
keeps!(f64, F64, Code64, wide);

/// The value of a formula for operands of the plan's kinds, and what its way back needs; `None` if one of them is not dense.
pub fn forward<'a>(
    formula: &Formula,
    plan: &Plan,
    lead: &Tensor,
    operand: impl Fn(usize) -> Option<&'a Value>,
    Rooms { narrow, wide, spares }: &mut Rooms,
) -> Option<(Rc<Tensor>, Kept)> {
    match lead {
        Tensor::F32(_) => forward_of(formula, plan, lead.shape(), operand, narrow, spares),
        _ => forward_of(formula, plan, lead.shape(), operand, wide, spares),
    }
}

fn forward_of<'a, T: Keeps>(
    formula: &Formula,
    plan: &Plan,
    shape: &[usize],
    operand: impl Fn(usize) -> Option<&'a Value>,
    room: &mut Room<T>,
    spares: &mut Spares,
) -> Option<(Rc<Tensor>, Kept)> {
    // More elements than this are computed again on the way back: a tape holds many formulas.
    const KEPT: usize = 256;
    let n = count(shape);
    let mut numbers = [0.0; MOST];
    put_numbers(formula, plan, &operand, &mut numbers);
    if plan.is_for_code(n)
        && let Some(done) = straight::forward::<T>(formula, plan, (shape, n), &numbers, &operand, spares)
    {
        return Some(done);
    }
    if fused_small::pays(plan, n)
        && let Some(result) = fused_small::forward::<T>(formula, plan, (shape, n), &numbers, &operand, spares)
    {
        return Some((result, Kept::Nothing));
    }
    if n <= rows::LONG {
        let Room { short, long, .. } = room;
        return if n <= rows::SHORT {
            in_rows(plan, shape, n, &numbers, operand, short, spares)
        } else {
            in_rows(plan, shape, n, &numbers, operand, long, spares)
        };
    }
    let (last, steps) = plan.program.forward.split_last()?;
    let sources = Sources { n, numbers: &numbers, operand, kept: &[], root: &[], out: &[] };
    let mut made = Made::new(n, steps.len(), room);
    for step in steps {
        made.write(|known, out| sources.step(step, known, out))?;
        made.used += 1;
    }
    let result = spares.make(shape, |out| sources.step(last, made.known(), out))?;
    let known = &plan.program.known[..];
    let kept = if known.is_empty() || known.len() * n > KEPT {
        Kept::Nothing
    } else {
        let mut all = Vec::with_capacity(known.len() * n);
        for place in known {
            append(&mut all, made.all.get(*place as usize * n..(*place as usize + 1) * n)?);
        }
        T::keep(all)
    };
    Some((result, kept))
}

fn in_rows<'a, T: Keeps, const W: usize>(
    plan: &Plan,
    shape: &[usize],
    n: usize,
    numbers: &[f64],
    operand: impl Fn(usize) -> Option<&'a Value>,
    rows: &mut Rows<T, W>,
    spares: &mut Spares,
) -> Option<(Rc<Tensor>, Kept)>
where
    [[T; W]]: Ways,
{
    let result = spares.make(shape, |out| rows::forward(plan, n, numbers, operand, rows, out))?;
    let known = if plan.kinds.wanted == 0 { None } else { rows::known(plan, n, rows) };
    Some((result, known.map_or(Kept::Nothing, T::keep)))
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

/// Takes the cotangents of registers.
pub trait Sink<T> {
    type Error;
    /// Where that of register `i` may be added or, if the flag is false, written: room for `n` elements that is apart from all others and
    /// stays where it is until something is handed over. `None` if it is to be handed over.
    fn place(&mut self, i: usize, n: usize) -> Option<(*mut T, bool)>;
    /// Tells of a place without elements that they are there.
    ///
    /// # Safety
    /// All `n` elements have been written.
    unsafe fn filled(&mut self, i: usize, n: usize);
    fn hand(&mut self, i: usize, pulled: Pulled<'_, T>) -> Result<(), Self::Error>;
}

/// Memory that comes and goes with each formula, kept for the next.
pub struct Room<T> {
    all: Vec<T>,
    short: Rows<T, { rows::SHORT }>,
    long: Rows<T, { rows::LONG }>,
}

impl<T> Default for Room<T> {
    fn default() -> Room<T> {
        Room { all: vec![], short: vec![], long: vec![] }
    }
}

/// The same for both dtypes, and for results.
#[derive(Default)]
pub struct Rooms {
    narrow: Room<f32>,
    wide: Room<f64>,
    pub spares: Spares,
}

/// Gives the sink the cotangents of the wanted registers, by their number, for the elements of that of the result. Of the operands
/// that are tensors those have to be there that are needed.
pub fn pull<'a, T: Keeps, S: Sink<T>>(
    applied: &Applied<'a>,
    operand: impl Fn(usize) -> Option<&'a Value>,
    root: &[T],
    room: &mut Room<T>,
    sink: &mut S,
) -> Option<Result<(), S::Error>> {
    let Applied { formula, plan, out, kept } = *applied;
    let (n, program) = (root.len(), &plan.program);
    let mut numbers = [0.0; MOST];
    put_numbers(formula, plan, &operand, &mut numbers);
    let out = if let Value::Tensor(_, t) = out { dense(T::array(t)?)? } else { &[] };
    if plan.is_for_code(n)
        && T::kept(kept).is_empty()
        && let Some(done) = straight::pull(applied, &numbers, &operand, (root, out), &mut room.all, sink)
    {
        return Some(done);
    }
    let mut hand = |i: usize, pulled: Pulled<'_, T>| sink.hand(i, pulled);
    if fused_small::pays(plan, n)
        && T::kept(kept).is_empty()
        && let Some(done) = fused_small::pull(applied, &numbers, &operand, (root, out), &mut room.all, &mut hand)
    {
        return Some(done);
    }
    if n <= rows::SHORT {
        return rows::pull(applied, &numbers, operand, (root, out), &mut room.short, hand);
    }
    if n <= rows::LONG {
        return rows::pull(applied, &numbers, operand, (root, out), &mut room.long, hand);
    }
    let sources = Sources { n, numbers: &numbers, operand, kept: T::kept(kept), root, out };
    let mut made = Made::new(n, program.places, room);
    if sources.kept.is_empty() {
        for step in &program.again {
            made.write(|known, out| sources.step(step, known, out))?;
            made.used += 1;
        }
    } else {
        made.used = program.again.len();
    }
    for &i in &program.spread {
        made.write(|_, out| {
            out.extend(std::iter::repeat_n(T::c(at(&numbers, i)), n));
            Some(())
        })?;
        made.used += 1;
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
        let (known, own) = made.write(|known, out| sources.share(bar, share, known, out))?;
        match to {
            To::New => made.used += 1,
            To::AddTo(place) => {
                let sum = known.get_mut(place as usize * n..(place as usize + 1) * n)?;
                add_to(sum, own);
            }
            To::Sum(i) => sums[i as usize % MOST] += sum(own),
        }
    }
    for &(i, bar) in &program.bars {
        let pulled = match bar {
            Bar::Root => Pulled::Root,
            Bar::Made(place) => Pulled::Elements(sources.slice(Source::Made(place), made.known())?),
            Bar::Sum => Pulled::Number(sums[i as usize % MOST]),
        };
        if let Err(error) = hand(i as usize, pulled) {
            return Some(Err(error));
        }
    }
    Some(Ok(()))
}

/// A step on numbers: from the cotangent of its value to those of its operands.
pub(super) fn pull_number(
    formula: &Formula,
    k: u8,
    plan: &Plan,
    numbers: &[f64],
    sums: &mut [f64; MOST],
) -> Option<()> {
    let (step, value) = (formula.steps.get(k as usize)?, formula.value(k as usize));
    let bar = sums[value % MOST];
    if bar == 0.0 {
        return Some(());
    }
    let (a, b) = step.operands();
    for (j, i) in [Some(a), b].into_iter().flatten().enumerate() {
        if plan.program.live & (1 << i) != 0 {
            let (x, y) = (at(numbers, a), b.map_or(0.0, |b| at(numbers, b)));
            sums[i as usize % MOST] += bar * slope_of(*step, j, x, y, at(numbers, value as u8))?;
        }
    }
    Some(())
}
