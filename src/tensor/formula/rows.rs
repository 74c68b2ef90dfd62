//! Formulas on at most sixteen elements: each value is a row of a fixed width, so that arithmetic is a few instructions without a loop.
//!
//! The same operations on the same numbers as in `small`. What stands in a row behind the elements is computed along and read by nobody.

use super::plan::Plan;
use super::program::{Back, Bar, Making, Plain, Program, Share, Source, To};
use super::small::{Applied, Keeps, Pulled, at, pull_number};
use crate::bytecode::formula::{Formula, MOST};
use crate::tensor::cast::Float;
use crate::tensor::dense;
use crate::tensor::lanes::Lanes;
use crate::tensor::out::{Out, Room as _, over};
use crate::tensor::simd::sums::sum;
use crate::value::Value;
use crate::wide;

/// Elements in a row.
pub(super) const SHORT: usize = 8;
pub(super) const LONG: usize = 16;

/// Rows by number: the cotangent of the result, the result, the registers, and those that are made.
pub(super) type Rows<T, const W: usize> = Vec<[T; W]>;

const ROOT: usize = 0;
const OUT: usize = 1;
const REGISTERS: usize = 2;
const MADE: usize = REGISTERS + MOST;

fn row(source: Source) -> usize {
    match source {
        Source::Root => ROOT,
        Source::Out => OUT,
        Source::Operand(i) | Source::Number(i) => REGISTERS + i as usize,
        Source::Made(place) => MADE + place as usize,
    }
}

/// The steps of a program with the rows that they read.
pub struct Steps {
    forward: Vec<Step>,
    again: Vec<Step>,
    back: Vec<Way>,
    /// It takes more than arithmetic to compute again what the way back reads.
    keeps: bool,
}

/// A step and the rows of its operands; those of numbers stand for the numbers.
#[derive(Clone, Copy)]
pub(super) struct Step {
    what: What,
    a: u16,
    b: u16,
}

#[derive(Clone, Copy)]
enum What {
    /// On two rows.
    Rows(Plain),
    /// The first operand is a number.
    First(Plain),
    /// The second one is.
    Second(Plain),
    /// A kernel's, as the program has it.
    Kernel,
}

/// A step of the way back.
#[derive(Clone, Copy)]
enum Way {
    Elements {
        bar: u16,
        part: Part,
        to: To,
    },
    /// Step `k`, which is one on numbers.
    Numbers(u8),
}

/// What an operand gets of a cotangent.
#[derive(Clone, Copy)]
enum Part {
    Itself,
    Negated,
    Times(u8),
    By(u16),
    /// What a pullback makes of it, as the program has it.
    Pulled,
}

impl Steps {
    /// Those of a program.
    pub fn new(program: &Program) -> Steps {
        fn steps(all: &[Making]) -> Vec<Step> {
            let of = |making: &Making| {
                let what = match (making.plain, making.a, making.b) {
                    (Some(plain), Source::Number(_), Some(_)) => What::First(plain),
                    (Some(plain), _, Some(Source::Number(_))) => What::Second(plain),
                    (Some(plain), _, Some(_)) => What::Rows(plain),
                    _ => What::Kernel,
                };
                Step { what, a: row(making.a) as u16, b: making.b.map_or(0, row) as u16 }
            };
            all.iter().map(of).collect()
        }
        let way = |back: &Back| match back {
            Back::Elements { bar, share, to } => {
                let part = match share {
                    Share::Itself => Part::Itself,
                    Share::Negated => Part::Negated,
                    Share::Times(number) => Part::Times(*number),
                    Share::By(other) => Part::By(row(*other) as u16),
                    Share::Pulled { .. } => Part::Pulled,
                };
                Way::Elements { bar: row(*bar) as u16, part, to: *to }
            }
            Back::Numbers { k } => Way::Numbers(*k),
        };
        Steps {
            forward: steps(&program.forward),
            again: steps(&program.again),
            back: program.back.iter().map(way).collect(),
            keeps: program.again.iter().any(|step| step.plain.is_none()),
        }
    }

    /// Whether it takes more than arithmetic to compute again what the way back reads.
    pub fn keeps(&self) -> bool {
        self.keeps
    }
}

/// Makes rows exist.
#[inline(always)]
fn reserve<T: Float, const W: usize>(rows: &mut Rows<T, W>, made: usize) {
    if rows.len() < MADE + made {
        rows.resize(MADE + made, [T::default(); W]);
    }
}

/// Copies the elements into a row: in two pieces of a fixed length, which may overlap, if there are enough.
#[inline(always)]
fn load<T: Copy, const W: usize>(rows: &mut [[T; W]], i: usize, x: &[T]) -> Option<()> {
    let own = rows.get_mut(i)?.get_mut(..x.len())?;
    if let (Some(first), Some(last)) = (x.first_chunk::<SHORT>(), x.last_chunk::<SHORT>()) {
        *own.first_chunk_mut()? = *first;
        *own.last_chunk_mut()? = *last;
    } else if let (Some(first), Some(last)) = (x.first_chunk::<4>(), x.last_chunk::<4>()) {
        *own.first_chunk_mut()? = *first;
        *own.last_chunk_mut()? = *last;
    } else {
        own.iter_mut().zip(x).take(3).for_each(|(own, x)| *own = *x);
    }
    Some(())
}

/// Loads the registers of the mask that are tensors; the others are not read.
#[inline(always)]
fn load_registers<'a, T: Float, const W: usize>(
    rows: &mut [[T; W]],
    mut mask: u32,
    operand: &impl Fn(usize) -> Option<&'a Value>,
) -> Option<()> {
    while mask != 0 {
        let i = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        if let Some(Value::Tensor(_, t)) = operand(i) {
            load(rows, REGISTERS + i, dense(T::array(t)?)?)?;
        }
    }
    Some(())
}

/// Writes what an operation makes of elements that two functions give.
#[inline(always)]
fn each<T: Float, const W: usize>(plain: Plain, to: &mut [T; W], a: impl Fn(usize) -> T, b: impl Fn(usize) -> T) {
    match plain {
        Plain::Add => (0..W).for_each(|i| to[i] = a(i) + b(i)),
        Plain::Sub => (0..W).for_each(|i| to[i] = a(i) - b(i)),
        Plain::Mul => (0..W).for_each(|i| to[i] = a(i) * b(i)),
        Plain::Div => (0..W).for_each(|i| to[i] = a(i) / b(i)),
    }
}

/// Writes what a step makes of `n` elements; `making` is the same step in the program.
#[inline(always)]
fn make<T: Float, const W: usize>(
    step: Step,
    making: Option<&Making>,
    n: usize,
    numbers: &[f64],
    known: &[[T; W]],
    to: &mut [T; W],
) -> Option<()> {
    let (a, b) = (step.a as usize, step.b as usize);
    let number = |row: usize| T::c(numbers.get(row - REGISTERS).copied().unwrap_or(0.0));
    match step.what {
        What::Rows(plain) => {
            let (a, b) = (known.get(a)?, known.get(b)?);
            each(plain, to, |i| a[i], |i| b[i]);
        }
        What::First(plain) => {
            let (a, b) = (number(a), known.get(b)?);
            each(plain, to, |_| a, |i| b[i]);
        }
        What::Second(plain) => {
            let (a, b) = (known.get(a)?, number(b));
            each(plain, to, |i| a[i], |_| b);
        }
        What::Kernel => return by_kernel(making?, n, numbers, known, to),
    }
    Some(())
}

#[inline(never)]
fn by_kernel<T: Float, const W: usize>(
    step: &Making,
    n: usize,
    numbers: &[f64],
    known: &[[T; W]],
    to: &mut [T; W],
) -> Option<()> {
    let lanes = |source: Source| match source {
        Source::Number(i) => Some(Lanes::Same(T::c(at(numbers, i)))),
        other => known.get(row(other))?.get(..n).map(Lanes::Each),
    };
    let (a, b) = (lanes(step.a)?, step.b.map(lanes));
    let kernel = T::lanes(step.inside);
    let made = match b {
        None => over(to.get_mut(..n)?, |out| kernel(n, &[a], out)),
        Some(b) => {
            let b = b?;
            over(to.get_mut(..n)?, |out| kernel(n, &[a, b], out))
        }
    };
    (made == n).then_some(())
}

/// Writes what an operand gets of a cotangent; `back` is the same step in the program.
#[inline(always)]
fn pass<T: Float, const W: usize>(
    (bar, part): (u16, Part),
    back: Option<&Back>,
    n: usize,
    numbers: &[f64],
    known: &[[T; W]],
    to: &mut [T; W],
) -> Option<()> {
    let bar = known.get(bar as usize)?;
    match part {
        Part::Itself => *to = *bar,
        Part::Negated => (0..W).for_each(|i| to[i] = -bar[i]),
        Part::Times(number) => {
            let slope = T::c(at(numbers, number));
            (0..W).for_each(|i| to[i] = bar[i].zmul(slope));
        }
        Part::By(other) => {
            let other = known.get(other as usize)?;
            (0..W).for_each(|i| to[i] = bar[i].zmul(other[i]));
        }
        Part::Pulled => {
            let Back::Elements { share: Share::Pulled { inside, j, a, b, y }, .. } = back? else { return None };
            let few = |source: Source| known.get(row(source))?.get(..n);
            let kernel = T::pulls(inside).get(*j as usize)?;
            let (a, y, bar) = (few(*a)?, few(*y)?, bar.get(..n)?);
            let made = match b {
                Some(b) => {
                    let args = [a, few(*b)?];
                    over(to.get_mut(..n)?, |out| kernel(&args, y, bar, out))
                }
                None => over(to.get_mut(..n)?, |out| kernel(&[a], y, bar, out)),
            };
            return (made == n).then_some(());
        }
    }
    Some(())
}

/// Makes the rows of steps, which are the same in the program.
#[inline(always)]
fn follow<T: Float, const W: usize>(
    steps: &[Step],
    program: &[Making],
    n: usize,
    numbers: &[f64],
    rows: &mut [[T; W]],
) -> Option<()> {
    for (k, step) in steps.iter().enumerate() {
        let (known, next) = rows.split_at_mut_checked(MADE + k)?;
        make(*step, program.get(k), n, numbers, known, next.first_mut()?)?;
    }
    Some(())
}

/// Goes the way back, where `used` rows have been made; gives the cotangents of numbers.
#[inline(always)]
fn go_back<T: Float, const W: usize>(
    applied: &Applied<'_>,
    mut used: usize,
    n: usize,
    numbers: &[f64],
    rows: &mut [[T; W]],
) -> Option<[f64; MOST]> {
    let Applied { formula, plan, .. } = *applied;
    let mut sums = [0.0; MOST];
    for (k, way) in plan.steps.back.iter().enumerate() {
        let (bar, part, to) = match *way {
            Way::Elements { bar, part, to } => (bar, part, to),
            Way::Numbers(k) => {
                pull_number(formula, k, plan, numbers, &mut sums)?;
                continue;
            }
        };
        let (known, next) = rows.split_at_mut_checked(MADE + used)?;
        let own = next.first_mut()?;
        pass((bar, part), plan.program.back.get(k), n, numbers, known, own)?;
        match to {
            To::New => used += 1,
            To::AddTo(place) => {
                let all = known.get_mut(MADE + place as usize)?;
                (0..W).for_each(|i| all[i] = all[i] + own[i]);
            }
            To::Sum(i) => sums[i as usize % MOST] += sum(own.get(..n)?),
        }
    }
    Some(sums)
}

wide! {
    fn follow_short<T: Float>(steps: &[Step], program: &[Making], n: usize, numbers: &[f64], rows: &mut [[T; SHORT]]) -> Option<()> {
        follow(steps, program, n, numbers, rows)
    }

    fn follow_long<T: Float>(steps: &[Step], program: &[Making], n: usize, numbers: &[f64], rows: &mut [[T; LONG]]) -> Option<()> {
        follow(steps, program, n, numbers, rows)
    }

    fn go_back_short<T: Float>(applied: &Applied<'_>, used: usize, n: usize, numbers: &[f64], rows: &mut [[T; SHORT]]) -> Option<[f64; MOST]> {
        go_back(applied, used, n, numbers, rows)
    }

    fn go_back_long<T: Float>(applied: &Applied<'_>, used: usize, n: usize, numbers: &[f64], rows: &mut [[T; LONG]]) -> Option<[f64; MOST]> {
        go_back(applied, used, n, numbers, rows)
    }
}

/// Rows of one width, with the vector instructions of this machine.
pub(super) trait Ways {
    fn follow(&mut self, steps: &[Step], program: &[Making], n: usize, numbers: &[f64]) -> Option<()>;
    fn go_back(&mut self, applied: &Applied<'_>, used: usize, n: usize, numbers: &[f64]) -> Option<[f64; MOST]>;
}

macro_rules! ways {
    ($width:ident, $follow:ident, $go_back:ident) => {
        impl<T: Float> Ways for [[T; $width]] {
            #[inline(always)]
            fn follow(&mut self, steps: &[Step], program: &[Making], n: usize, numbers: &[f64]) -> Option<()> {
                $follow(steps, program, n, numbers, self)
            }

            #[inline(always)]
            fn go_back(
                &mut self,
                applied: &Applied<'_>,
                used: usize,
                n: usize,
                numbers: &[f64],
            ) -> Option<[f64; MOST]> {
                $go_back(applied, used, n, numbers, self)
            }
        }
    };
}
ways!(SHORT, follow_short, go_back_short);
ways!(LONG, follow_long, go_back_long);

/// Appends the value of a formula to `out`: `n` elements. What the way back needs of the others is left in the rows.
pub(super) fn forward<'a, T: Float, const W: usize>(
    plan: &Plan,
    n: usize,
    numbers: &[f64],
    operand: impl Fn(usize) -> Option<&'a Value>,
    rows: &mut Rows<T, W>,
    out: &mut Out<'_, T>,
) -> Option<()>
where
    [[T; W]]: Ways,
{
    let steps = &plan.steps.forward[..];
    reserve(rows, steps.len());
    load_registers(rows, plan.kinds.tensors, &operand)?;
    rows.follow(steps, &plan.program.forward, n, numbers)?;
    out.extend_from_slice(rows.get(MADE + steps.len().checked_sub(1)?)?.get(..n)?);
    Some(())
}

/// Values on the way that the way back needs, after [`forward`], if it takes more than arithmetic to compute them again.
pub(super) fn known<T: Keeps, const W: usize>(plan: &Plan, n: usize, rows: &Rows<T, W>) -> Option<Vec<T>> {
    if !plan.steps.keeps {
        return None;
    }
    let program = &plan.program;
    let mut all = Vec::with_capacity(program.known.len() * n);
    for place in &program.known {
        all.extend_from_slice(rows.get(MADE + *place as usize)?.get(..n)?);
    }
    Some(all)
}

/// The way back: see `small::pull`.
pub(super) fn pull<'a, T: Keeps, const W: usize, E>(
    applied: &Applied<'a>,
    numbers: &[f64],
    operand: impl Fn(usize) -> Option<&'a Value>,
    (root, out): (&[T], &[T]),
    rows: &mut Rows<T, W>,
    mut hand: impl FnMut(usize, Pulled<'_, T>) -> Result<(), E>,
) -> Option<Result<(), E>>
where
    [[T; W]]: Ways,
{
    let Applied { plan, kept, .. } = *applied;
    let (n, program, steps) = (root.len(), &plan.program, &plan.steps);
    reserve(rows, program.places);
    load(rows, ROOT, root)?;
    load(rows, OUT, out)?;
    load_registers(rows, plan.kinds.tensors, &operand)?;
    let kept = T::kept(kept);
    if kept.is_empty() {
        rows.follow(&steps.again, &program.again, n, numbers)?;
    } else {
        for k in 0..steps.again.len() {
            load(rows, MADE + k, kept.get(k * n..(k + 1) * n)?)?;
        }
    }
    let mut used = steps.again.len();
    for &i in &program.spread {
        *rows.get_mut(MADE + used)? = [T::c(at(numbers, i)); W];
        used += 1;
    }
    let sums = rows.go_back(applied, used, n, numbers)?;
    for &(i, bar) in &program.bars {
        let pulled = match bar {
            Bar::Root => Pulled::Root,
            Bar::Made(place) => Pulled::Elements(rows.get(MADE + place as usize)?.get(..n)?),
            Bar::Sum => Pulled::Number(sums[i as usize % MOST]),
        };
        if let Err(error) = hand(i as usize, pulled) {
            return Some(Err(error));
        }
    }
    Some(Ok(()))
}

/// Fills in the values that are numbers.
#[inline(always)]
pub(super) fn put_numbers<'a>(
    formula: &Formula,
    plan: &Plan,
    operand: impl Fn(usize) -> Option<&'a Value>,
    numbers: &mut [f64; MOST],
) {
    for &i in &plan.program.numbers {
        if let Some(x) = numbers.get_mut(i as usize) {
            *x = operand(i as usize).and_then(crate::tensor::create::scalar_f64).unwrap_or(0.0);
        }
    }
    let first = formula.registers.len();
    numbers.iter_mut().skip(first).zip(&formula.constants).for_each(|(x, constant)| *x = *constant);
    for &k in &plan.program.counted {
        let Some(step) = formula.steps.get(k as usize) else { continue };
        let (a, b) = step.operands();
        let y = super::number(*step, at(numbers, a), b.map_or(0.0, |b| at(numbers, b)));
        if let Some(x) = numbers.get_mut(formula.value(k as usize)) {
            *x = y;
        }
    }
}
