//! Formulas on a few elements: the same kernels on the same numbers as block by block, in one piece of memory.

use std::rc::Rc;

use super::number;
use super::plan::Plan;
use super::pull::{Pulled, factor, slope_of};
use crate::bytecode::formula::{Formula, MOST};
use crate::ops::lanes::{Elementwise, LaneKernel, PullKernel};
use crate::tensor::cast::Float;
use crate::tensor::create::scalar_f64;
use crate::tensor::lanes::Lanes;
use crate::tensor::simd::kernels::{add_to, negate};
use crate::tensor::simd::sums::sum;
use crate::tensor::{Tensor, count, dense};
use crate::value::Value;

/// Where the elements of a value begin among those that were made.
type Places = [u32; MOST];

const NOWHERE: u32 = u32::MAX;
/// A cotangent that is the one of the result.
const ROOT: u32 = u32::MAX - 1;

/// The values that are numbers; 0 for the others.
fn numbers<'a>(formula: &Formula, plan: &Plan, operands: impl Iterator<Item = &'a Value>) -> [f64; MOST] {
    let mut numbers = [0.0; MOST];
    for (x, operand) in numbers.iter_mut().zip(operands) {
        *x = scalar_f64(operand).unwrap_or(0.0);
    }
    let first = formula.registers.len();
    numbers.iter_mut().skip(first).zip(&formula.constants).for_each(|(x, constant)| *x = *constant);
    for (k, step) in formula.steps.iter().enumerate() {
        let value = formula.value(k);
        if !plan.is_lane(value) {
            let (a, b) = step.operands();
            numbers[value % MOST] = number(*step, at(&numbers, a), b.map_or(0.0, |b| at(&numbers, b)));
        }
    }
    numbers
}

#[inline]
fn at(numbers: &[f64; MOST], i: u8) -> f64 {
    numbers[i as usize % MOST]
}

fn elements<T: Float>(operand: &Value) -> Option<&[T]> {
    if let Value::Tensor(_, t) = operand { dense(T::array(t)?) } else { None }
}

/// The value of a formula for operands of the plan's kinds; `None` if one of them is not dense.
pub fn forward<'a>(
    formula: &Formula,
    plan: &Plan,
    lead: &Tensor,
    operand: impl Fn(usize) -> Option<&'a Value>,
) -> Option<Value> {
    match lead {
        Tensor::F32(_) => forward_of::<f32>(formula, plan, lead.shape(), operand, |e| e.lanes32),
        _ => forward_of::<f64>(formula, plan, lead.shape(), operand, |e| e.lanes64),
    }
}

fn forward_of<'a, T: Float>(
    formula: &Formula,
    plan: &Plan,
    shape: &[usize],
    operand: impl Fn(usize) -> Option<&'a Value>,
    kernel: fn(&Elementwise) -> LaneKernel<T>,
) -> Option<Value> {
    let n = count(shape);
    let registers = formula.registers.len();
    let numbers = numbers(formula, plan, (0..registers).filter_map(&operand));
    let mut places: Places = [NOWHERE; MOST];
    let mut made: Vec<T> = Vec::with_capacity((plan.made - 1) * n);
    let mut out = Vec::with_capacity(n);
    let last = formula.steps.len() - 1;
    for (k, step) in formula.steps.iter().enumerate() {
        let value = formula.value(k);
        if !plan.is_lane(value) {
            continue;
        }
        let lane = |i: u8| -> Option<Lanes<'_, T>> {
            Some(if !plan.is_lane(i as usize) {
                Lanes::Same(T::c(at(&numbers, i)))
            } else if (i as usize) < registers {
                Lanes::Each(elements(operand(i as usize)?)?)
            } else {
                let place = places[i as usize % MOST] as usize;
                Lanes::Each(made.get(place..place + n)?)
            })
        };
        let kernel = kernel(step.inside()?);
        match step.operands() {
            (a, Some(b)) => kernel(n, &[lane(a)?, lane(b)?], &mut out),
            (a, None) => kernel(n, &[lane(a)?], &mut out),
        }
        if k < last {
            places[value % MOST] = made.len() as u32;
            made.extend_from_slice(&out);
            out.clear();
        }
    }
    (out.len() == n).then(|| Value::from_vec(shape, out))
}

/// A formula that was applied, as far as its pullback reads it.
pub struct Applied<'a> {
    pub formula: &'a Formula,
    pub plan: &'a Plan,
    /// Operands of the registers; of the tensors those that are needed.
    pub operands: &'a [Value],
    /// The result, if it is needed.
    pub out: &'a Value,
}

/// Cotangents of the registers, for that of the result, a tensor.
pub fn pull(applied: &Applied<'_>, y_bar: &Value) -> Option<Pulled> {
    let Value::Tensor(slot, t) = y_bar else { return None };
    // It may be a view, of one number even.
    let apart;
    let y_bar = if t.is_contiguous() {
        y_bar
    } else {
        apart = Value::Tensor(*slot, Rc::new(t.contiguous()));
        &apart
    };
    match **t {
        Tensor::F32(_) => pull_of::<f32>(applied, y_bar, t.shape(), |e| e.lanes32, |e| e.pull32),
        _ => pull_of::<f64>(applied, y_bar, t.shape(), |e| e.lanes64, |e| e.pull64),
    }
}

/// The elements that a pullback has made.
struct Made<T> {
    n: usize,
    all: Vec<T>,
}

impl<T: Float> Made<T> {
    fn at(&self, place: u32) -> Option<&[T]> {
        self.all.get(place as usize..place as usize + self.n)
    }

    /// Keeps elements; where they are.
    fn keep(&mut self, elements: &[T]) -> u32 {
        let place = self.all.len();
        self.all.extend_from_slice(elements);
        place as u32
    }
}

fn pull_of<T: Float>(
    applied: &Applied<'_>,
    y_bar: &Value,
    shape: &[usize],
    lanes: fn(&Elementwise) -> LaneKernel<T>,
    pulls: fn(&Elementwise) -> [PullKernel<T>; 3],
) -> Option<Pulled> {
    let Applied { formula, plan, operands, out, .. } = *applied;
    let has = |mask: u32, i: usize| mask & (1 << i) != 0;
    let n = count(shape);
    let root: &[T] = elements(y_bar)?;
    let numbers = numbers(formula, plan, operands.iter());
    let mut made: Made<T> = Made { n, all: Vec::with_capacity(plan.room * n) };
    let mut places: Places = [NOWHERE; MOST];
    let mut fresh: Vec<T> = Vec::with_capacity(n);
    let last = formula.value(formula.steps.len()) - 1;
    for (k, step) in formula.steps.iter().enumerate() {
        let value = formula.value(k);
        if !(has(plan.needed & plan.lanes, value) && value != last) {
            continue;
        }
        fresh.clear();
        let lane = |i: u8| -> Option<Lanes<'_, T>> {
            Some(if !plan.is_lane(i as usize) {
                Lanes::Same(T::c(at(&numbers, i)))
            } else {
                match operands.get(i as usize) {
                    Some(operand) => Lanes::Each(elements(operand)?),
                    None => Lanes::Each(made.at(places[i as usize % MOST])?),
                }
            })
        };
        let kernel = lanes(step.inside()?);
        match step.operands() {
            (a, Some(b)) => kernel(n, &[lane(a)?, lane(b)?], &mut fresh),
            (a, None) => kernel(n, &[lane(a)?], &mut fresh),
        }
        places[value % MOST] = made.keep(&fresh);
    }
    // Numbers that slopes read, spread.
    for i in (0..=last).filter(|i| has(plan.needed & !plan.lanes, *i)) {
        places[i % MOST] = made.all.len() as u32;
        made.all.resize(made.all.len() + n, T::c(numbers[i % MOST]));
    }
    let mut bars: Places = [NOWHERE; MOST];
    let mut sums = [0.0; MOST];
    bars[last % MOST] = ROOT;
    for (k, step) in formula.steps.iter().enumerate().rev() {
        let value = formula.value(k);
        if !has(plan.live, value) {
            continue;
        }
        let (a, b) = step.operands();
        let operands_of = || [Some(a), b].into_iter().flatten().enumerate();
        if !plan.is_lane(value) {
            let bar = sums[value % MOST];
            for (j, i) in operands_of() {
                if has(plan.live, i as usize) && bar != 0.0 {
                    let y = numbers[value % MOST];
                    let slope = slope_of(*step, j, at(&numbers, a), b.map_or(0.0, |b| at(&numbers, b)), y)?;
                    sums[i as usize % MOST] += bar * slope;
                }
            }
            continue;
        }
        let place = bars[value % MOST];
        // Nobody reads the cotangent of this value again: the last operand that it passes to may take it over.
        let passes = |j: usize, i: u8| has(plan.live & plan.lanes, i as usize) && factor(*step, j) == Some(1.0);
        let taker = if b == Some(a) { None } else { operands_of().filter(|&(j, i)| passes(j, i)).last() };
        for (j, i) in operands_of() {
            let i = i as usize;
            if !has(plan.live, i) {
                continue;
            }
            let bar = if place == ROOT { root } else { made.at(place)? };
            let takes =
                taker.is_some_and(|(last, _)| last == j) || (place == ROOT && taker.is_some() && passes(j, i as u8));
            if takes && bars[i % MOST] == NOWHERE {
                bars[i % MOST] = place;
                continue;
            }
            fresh.clear();
            match factor(*step, j) {
                Some(1.0) => fresh.extend_from_slice(bar),
                Some(_) => negate(bar, &mut fresh),
                None => {
                    // What a slope does not read may be anything.
                    let slice = |i: u8| match operands.get(i as usize) {
                        Some(Value::Tensor(_, t)) => T::array(t).and_then(dense).unwrap_or(bar),
                        _ => made.at(places[i as usize % MOST]).unwrap_or(bar),
                    };
                    let y = match out {
                        Value::Tensor(..) if value == last => elements(out)?,
                        _ => slice(value as u8),
                    };
                    let kernels = pulls(step.inside()?);
                    match b {
                        Some(b) => kernels.get(j)?(&[slice(a), slice(b)], y, bar, &mut fresh),
                        None => kernels.get(j)?(&[slice(a)], y, bar, &mut fresh),
                    }
                }
            }
            let own = &mut bars[i % MOST];
            if !plan.is_lane(i) {
                sums[i % MOST] += sum(&fresh);
                continue;
            }
            match *own {
                NOWHERE => *own = made.keep(&fresh),
                ROOT => {
                    *own = made.keep(root);
                    add_to(made.all.get_mut(*own as usize..)?, &fresh);
                }
                at => add_to(made.all.get_mut(at as usize..at as usize + n)?, &fresh),
            }
        }
    }
    let mut pulled = Pulled::new();
    for i in 0..formula.registers.len() {
        pulled.push(if !has(plan.kinds.wanted, i) {
            None
        } else if !plan.is_lane(i) {
            Some(Value::float(sums[i % MOST]))
        } else if bars[i % MOST] == ROOT {
            Some(y_bar.clone())
        } else {
            Some(Value::from_vec(shape, made.at(bars[i % MOST])?.to_vec()))
        });
    }
    Some(pulled)
}
