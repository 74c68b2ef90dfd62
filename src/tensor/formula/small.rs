//! Formulas on a few elements: the same kernels on the same numbers as block by block, in one piece of memory.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::layout::{Layout, Reach};
use super::number;
use super::pull::{Applied, Pulled, factor, live, needed, slope_of};
use crate::bytecode::formula::{Formula, MOST, Step};
use crate::ops::lanes::{Elementwise, LaneKernel, PullKernel};
use crate::tensor::cast::Float;
use crate::tensor::count;
use crate::tensor::create::scalar_f64;
use crate::tensor::lanes::{Lanes, Run};
use crate::tensor::simd::kernels::{add_to, negate};
use crate::tensor::simd::sums::sum;
use crate::value::Value;

/// Elements that are few.
const FEW: usize = 128;

/// Whether a result is small, and all that it is computed of are numbers and tensors of its shape.
pub fn is_small(layout: &Layout) -> bool {
    count(&layout.shape) <= FEW && layout.reach.iter().all(|reach| !matches!(reach, Reach::Part { .. }))
}

/// Where the elements of a value begin in `Values::made`.
type Places = [u32; MOST];

const NOWHERE: u32 = u32::MAX;

/// The values of a formula.
struct Values<'a, T: Clone> {
    n: usize,
    /// NaN for those that are none.
    numbers: SmallVec<[f64; MOST]>,
    registers: SmallVec<[Option<Cow<'a, [T]>>; 6]>,
    made: Vec<T>,
    places: Places,
}

impl<'a, T: Float> Values<'a, T> {
    /// With the operands and constants. Those that are `none` are absent.
    fn new(formula: &Formula, operands: &'a [Value], layout: &Layout) -> Option<Values<'a, T>> {
        let mut numbers = SmallVec::new();
        let mut registers = SmallVec::new();
        for operand in operands {
            match operand {
                Value::Tensor(_, t) => {
                    numbers.push(f64::NAN);
                    registers.push(Some(T::load(t)));
                }
                other => {
                    numbers.push(scalar_f64(other).unwrap_or(f64::NAN));
                    registers.push(None);
                }
            }
        }
        numbers.extend_from_slice(&formula.constants);
        Some(Values { n: count(&layout.shape), numbers, registers, made: vec![], places: [NOWHERE; MOST] })
    }

    fn number(&self, i: u8) -> f64 {
        self.numbers.get(i as usize).copied().unwrap_or(f64::NAN)
    }

    fn compute_number(&mut self, step: Step) {
        let (a, b) = step.operands();
        self.numbers.push(number(step, self.number(a), b.map_or(0.0, |b| self.number(b))));
    }

    fn at(&self, place: u32) -> Option<&[T]> {
        self.made.get(place as usize..place as usize + self.n)
    }

    /// The elements of a value that has been computed.
    fn elements(&self, i: usize) -> Option<&[T]> {
        match self.registers.get(i) {
            Some(register) => register.as_deref(),
            None => self.at(*self.places.get(i)?),
        }
    }

    fn lane(&self, i: u8, layout: &Layout) -> Option<Lanes<'_, T>> {
        Some(match layout.reach.get(i as usize)? {
            Reach::Number => Lanes::Same(T::c(self.number(i))),
            _ => Lanes::Each(self.elements(i as usize)?),
        })
    }

    /// Appends a step's value to `out`.
    fn compute(&self, step: Step, kernel: LaneKernel<T>, layout: &Layout, out: &mut Vec<T>) -> Option<()> {
        let (a, b) = step.operands();
        let mut run = Run::new();
        run.push(self.lane(a, layout)?);
        if let Some(b) = b {
            run.push(self.lane(b, layout)?);
        }
        kernel(self.n, &run, out);
        Some(())
    }

    /// Keeps elements; where they are.
    fn keep(&mut self, elements: &[T]) -> u32 {
        let place = self.made.len();
        self.made.extend_from_slice(elements);
        place as u32
    }
}

/// The value for a small layout of these operands.
pub fn forward<T: Float>(
    formula: &Formula,
    operands: &[Value],
    layout: &Layout,
    kernel: fn(&Elementwise) -> LaneKernel<T>,
) -> Option<Value> {
    let mut values: Values<T> = Values::new(formula, operands, layout)?;
    let mut out = Vec::with_capacity(values.n);
    let (last, steps) = formula.steps.split_last()?;
    for (k, step) in steps.iter().enumerate() {
        let value = formula.value(k);
        if layout.reach.get(value) == Some(&Reach::Number) {
            values.compute_number(*step);
            continue;
        }
        values.numbers.push(f64::NAN);
        values.compute(*step, kernel(step.inside()?), layout, &mut out)?;
        *values.places.get_mut(value)? = values.keep(&out);
        out.clear();
    }
    values.compute(*last, kernel(last.inside()?), layout, &mut out)?;
    (out.len() == values.n).then(|| Value::from_vec(&layout.shape, out))
}

/// Cotangents of the registers, for a small layout.
pub fn pull<T: Float>(
    applied: &Applied<'_>,
    y_bar: &Value,
    lanes: fn(&Elementwise) -> LaneKernel<T>,
    pulls: fn(&Elementwise) -> [PullKernel<T>; 3],
) -> Option<Pulled> {
    let Applied { formula, layout, operands, out, wanted, .. } = *applied;
    let (live, needed) = (live(formula, wanted), needed(formula, wanted));
    let has = |mask: u32, i: usize| mask & (1 << i) != 0;
    let is_number = |i: usize| layout.reach.get(i) == Some(&Reach::Number);
    let mut values: Values<T> = Values::new(formula, operands, layout)?;
    let n = values.n;
    let count = formula.value(formula.steps.len());
    let last = count - 1;
    let mut fresh: Vec<T> = Vec::with_capacity(n);
    values.made.reserve(2 * count * n);
    for (k, step) in formula.steps.iter().enumerate() {
        let value = formula.value(k);
        if is_number(value) {
            values.compute_number(*step);
            continue;
        }
        values.numbers.push(f64::NAN);
        if has(needed, value) && value != last {
            fresh.clear();
            values.compute(*step, lanes(step.inside()?), layout, &mut fresh)?;
            *values.places.get_mut(value)? = values.keep(&fresh);
        }
    }
    // Numbers that slopes read, spread.
    for i in (0..count).filter(|i| has(needed, *i) && is_number(*i)) {
        let x = T::c(values.number(i as u8));
        *values.places.get_mut(i)? = values.made.len() as u32;
        values.made.resize(values.made.len() + n, x);
    }
    let mut bars: Places = [NOWHERE; MOST];
    let mut sums = [0.0; MOST];
    *bars.get_mut(last)? = match y_bar {
        Value::Tensor(_, t) => values.keep(&T::load(t)),
        number => {
            let place = values.made.len();
            values.made.resize(place + n, T::c(scalar_f64(number)?));
            place as u32
        }
    };
    let result = if let Value::Tensor(_, t) = out { Some(T::load(t)) } else { None };
    for (k, step) in formula.steps.iter().enumerate().rev() {
        let value = formula.value(k);
        if !has(live, value) {
            continue;
        }
        let (a, b) = step.operands();
        if is_number(value) {
            let bar = *sums.get(value)?;
            for (j, i) in [Some(a), b].into_iter().flatten().enumerate() {
                if has(live, i as usize) && bar != 0.0 {
                    let (x, z, y) = (values.number(a), b.map_or(0.0, |b| values.number(b)), values.number(value as u8));
                    *sums.get_mut(i as usize)? += bar * slope_of(*step, j, x, z, y)?;
                }
            }
            continue;
        }
        let place = *bars.get(value)?;
        let kernels = pulls(step.inside()?);
        for (j, i) in [Some(a), b].into_iter().flatten().enumerate() {
            let i = i as usize;
            if !has(live, i) {
                continue;
            }
            fresh.clear();
            let bar = values.at(place)?;
            match factor(*step, j) {
                Some(1.0) => fresh.extend_from_slice(bar),
                Some(_) => negate(bar, &mut fresh),
                None => {
                    // What a slope does not read may be anything.
                    let slice = |i: u8| match values.registers.get(i as usize) {
                        Some(Some(elements)) => elements.get(..n).unwrap_or(bar),
                        _ => values.places.get(i as usize).and_then(|at| values.at(*at)).unwrap_or(bar),
                    };
                    let y = match &result {
                        Some(result) if value == last => result.get(..n)?,
                        _ => slice(value as u8),
                    };
                    match b {
                        Some(b) => kernels.get(j)?(&[slice(a), slice(b)], y, bar, &mut fresh),
                        None => kernels.get(j)?(&[slice(a)], y, bar, &mut fresh),
                    }
                }
            }
            let place = bars.get_mut(i)?;
            if is_number(i) {
                *sums.get_mut(i)? += sum(&fresh);
            } else if *place == NOWHERE {
                *place = values.keep(&fresh);
            } else {
                add_to(values.made.get_mut(*place as usize..)?, &fresh);
            }
        }
    }
    let mut pulled = Pulled::new();
    for (i, shape) in applied.shapes.iter().enumerate() {
        pulled.push(if !has(wanted, i) {
            None
        } else if is_number(i) {
            Some(Value::float(sums[i]))
        } else {
            Some(Value::from_vec(&shape.shape, values.at(*bars.get(i)?)?.to_vec()))
        });
    }
    Some(pulled)
}
