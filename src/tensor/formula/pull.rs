//! The way back through a formula on tensors: from the cotangent of its result to those of its operands, one pass over memory.
//!
//! For each block the values that slopes read are computed again, then the steps are gone through from the last, with the
//! pullback kernels of their primitives. What reaches less far than the result gathers sums, and its steps are pulled
//! behind all blocks.

use smallvec::SmallVec;

use super::fused_pull::fused_back;
use super::layout::{Layout, Reach};
use super::onto::Onto;
use super::{BLOCK, Held, Machine, total_of};
use crate::bytecode::formula::{Formula, Step, Total};
use crate::ops::lanes::{Elementwise, LaneKernel, PullKernel, Scalar};
use crate::ops::prim::ArgShape;
use crate::tensor::cast::Float;
use crate::tensor::create::scalar_f64;
use crate::tensor::out::behind;
use crate::tensor::simd::kernels::{add_to, move_to, negate};
use crate::tensor::simd::sums::{sum, sum_onto};
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;

/// A formula that was applied, as far as its pullback reads it.
pub struct Applied<'a> {
    pub formula: &'a Formula,
    pub layout: &'a Layout,
    /// Operands of the registers; `none` for those that [`needed`] leaves out.
    pub operands: &'a [Value],
    pub shapes: &'a [ArgShape],
    /// The result, if it is needed.
    pub out: &'a Value,
    /// Bit `i`: the cotangent of register `i` is wanted.
    pub wanted: u32,
    /// The sum of a total is not asked for, and may be anything.
    pub unread: bool,
}

/// Which values depend on the wanted registers.
pub fn live(formula: &Formula, wanted: u32) -> u32 {
    let mut live = wanted;
    for (k, step) in formula.steps.iter().enumerate() {
        let (a, b) = step.operands();
        if live & (1 << a) != 0 || b.is_some_and(|b| live & (1 << b) != 0) {
            live |= 1 << formula.value(k);
        }
    }
    live
}

/// Which values the pullback reads or computes again: registers among them have to be kept, and so has the result.
pub fn needed(formula: &Formula, wanted: u32) -> u32 {
    let live = live(formula, wanted);
    let mut needed = 0u32;
    for (k, step) in formula.steps.iter().enumerate().rev() {
        let (a, b) = step.operands();
        let value = formula.value(k);
        for (operand, reads) in [Some(a), b].into_iter().zip(formula.reads(k)) {
            if operand.is_some_and(|i| live & (1 << i) != 0) && live & (1 << value) != 0 {
                needed |= reads;
            }
        }
        let last = k + 1 == formula.steps.len();
        if needed & (1 << value) != 0 && !last {
            needed |= 1 << a | b.map_or(0, |b| 1 << b);
        }
    }
    needed
}

/// What flows back to the registers, one for each.
pub type Pulled = SmallVec<[Option<Value>; 6]>;

/// Cotangents of the registers; `None` if this is no such formula, which is a bug.
pub fn pull(applied: &Applied<'_>, y_bar: &Value) -> Option<Pulled> {
    pull_onto(applied, y_bar, &mut Onto::default())
}

/// The same, and adds to the places of `onto` what they can take; all of that is done, or nothing.
pub fn pull_onto(applied: &Applied<'_>, y_bar: &Value, onto: &mut Onto) -> Option<Pulled> {
    Some(both(applied, y_bar, onto)?.1)
}

/// A sum or mean and its gradient, in one pass. `None` for the mean of nothing.
pub fn pull_total(applied: &Applied<'_>, total: Total) -> Option<(f64, Pulled)> {
    let n = count(&applied.layout.shape);
    let share = total_of(total, 1.0, n)?;
    let (sum, pulled) = both(applied, &Value::float(share), &mut Onto::default())?;
    Some((total_of(total, sum, n)?, pulled))
}

/// The sum of the values, if this is a total, and the cotangents.
fn both(applied: &Applied<'_>, y_bar: &Value, onto: &mut Onto) -> Option<(f64, Pulled)> {
    match applied.layout.dtype {
        DType::F32 => back::<f32>(applied, y_bar, onto, |e| e.lanes32, |e| e.pull32),
        _ => back::<f64>(applied, y_bar, onto, |e| e.lanes64, |e| e.pull64),
    }
}

/// A step of the result's shape, with its kernels.
struct Work<T> {
    step: Step,
    value: usize,
    kernel: LaneKernel<T>,
    pulls: [PullKernel<T>; 3],
    /// Computed again, into its buffer.
    again: Option<usize>,
    live: bool,
}

/// Cotangents under way.
pub(super) struct Bars<'a, T> {
    layout: &'a Layout,
    /// Of values of the result's shape: registers whole, steps for the block.
    pub(super) blocks: Vec<Vec<T>>,
    /// Sums for what reaches less far.
    sums: Vec<Vec<f64>>,
    /// Sums of a few rows in the type itself, and how many; they are added to `sums` now and then.
    near: Vec<(Vec<T>, usize)>,
    made: Vec<T>,
}

impl<'a, T: Float> Bars<'a, T> {
    pub(super) fn new(layout: &'a Layout, values: usize, block: usize) -> Bars<'a, T> {
        Bars {
            layout,
            blocks: vec![vec![]; values],
            sums: vec![vec![]; values],
            near: vec![(vec![], 0); values],
            made: Vec::with_capacity(block),
        }
    }

    /// Adds what `make` appends for the lanes from `start` on; of a step's, those of this block only.
    pub(super) fn add(
        &mut self,
        value: usize,
        start: usize,
        len: usize,
        is_register: bool,
        make: impl FnOnce(&mut Vec<T>),
    ) {
        match self.layout.reach.get(value) {
            Some(Reach::Whole) => {
                let base = if is_register { start } else { 0 };
                let Some(bar) = self.blocks.get_mut(value) else { return };
                if bar.len() == base {
                    make(bar);
                } else {
                    self.made.clear();
                    make(&mut self.made);
                    add_to(bar.get_mut(base..).unwrap_or(&mut []), &self.made);
                }
            }
            Some(Reach::Part { len: elements, inner }) => {
                self.made.clear();
                make(&mut self.made);
                let (Some(sums), Some(near)) = (self.sums.get_mut(value), self.near.get_mut(value)) else { return };
                sums.resize(*elements, 0.0);
                if *inner == 1 && start.is_multiple_of(*elements) && len.is_multiple_of(*elements) {
                    gather_rows(&self.made, near, sums);
                } else {
                    gather(&self.made, *inner, start, sums);
                }
            }
            Some(Reach::Number) | None => {
                self.made.clear();
                make(&mut self.made);
                let Some(sums) = self.sums.get_mut(value) else { return };
                sums.resize(1, 0.0);
                sums[0] += sum(self.made.get(..len).unwrap_or(&self.made));
            }
        }
    }

    /// Behind the last block.
    pub(super) fn settle(&mut self) {
        for (sums, (near, _)) in self.sums.iter_mut().zip(&mut self.near) {
            move_to(sums, near);
        }
    }
}

/// Rows that are summed in their own type.
const ROWS: usize = 32;

/// Adds whole rows.
fn gather_rows<T: Float>(block: &[T], (near, rows): &mut (Vec<T>, usize), sums: &mut [f64]) {
    near.resize(sums.len(), T::c(0.0));
    for row in block.chunks_exact(sums.len().max(1)) {
        add_to(near, row);
        *rows += 1;
        if *rows == ROWS {
            move_to(sums, near);
            *rows = 0;
        }
    }
}

/// Adds the elements of a block from `start` on to the elements of a part that they belong to.
fn gather<T: Float>(block: &[T], inner: usize, start: usize, sums: &mut [f64]) {
    let len = sums.len().max(1);
    let (mut at, mut rest) = (start, block);
    while !rest.is_empty() {
        let index = at / inner % len;
        let taken = if inner == 1 { rest.len().min(len - index) } else { rest.len().min(inner - at % inner) };
        let (now, later) = rest.split_at(taken);
        if inner == 1 {
            sums.iter_mut().skip(index).zip(now).for_each(|(sum, x)| *sum += x.to_f64());
        } else if let Some(total) = sums.get_mut(index) {
            *total += sum(now);
        }
        at += taken;
        rest = later;
    }
}

fn back<T: Float>(
    applied: &Applied<'_>,
    y_bar: &Value,
    onto: &mut Onto,
    lanes: fn(&Elementwise) -> LaneKernel<T>,
    pulls: fn(&Elementwise) -> [PullKernel<T>; 3],
) -> Option<(f64, Pulled)> {
    let Applied { formula, layout, operands, out, wanted, .. } = *applied;
    let n = count(&layout.shape);
    let live = live(formula, wanted);
    let sums = formula.total.is_some();
    let needed = if sums { u32::MAX } else { needed(formula, wanted) };
    let has = |mask: u32, i: usize| mask & (1 << i) != 0;
    let last = formula.value(formula.steps.len()) - 1;
    let values = last + 1;
    if let Some(done) = fused_back(applied, y_bar, onto, (live, needed), lanes, pulls) {
        return Some(done);
    }
    // More buffers than on the way there, so shorter ones.
    let mut machine: Machine<T> = Machine::new(formula, operands, layout, BLOCK / 2)?;
    let mut work: SmallVec<[Work<T>; 16]> = SmallVec::new();
    for (k, step) in formula.steps.iter().enumerate() {
        let value = formula.value(k);
        let inside = step.inside()?;
        let kernel = lanes(inside);
        let reach = machine.reach(value as u8);
        let mut held = Held::Absent;
        if reach != Reach::Whole {
            if has(needed, value) {
                held = machine.settle(*step, reach, kernel)?;
            }
        } else {
            let again = (has(needed, value) && (sums || value != last)).then(|| machine.buffer());
            if let Some(buffer) = again {
                held = Held::Block(buffer);
            }
            let (a, b) = step.operands();
            for i in [Some(a), b].into_iter().flatten().filter(|i| has(needed, *i as usize)) {
                machine.will_spread(i);
            }
            work.push(Work { step: *step, value, kernel, pulls: pulls(inside), again, live: has(live, value) });
        }
        machine.held.push(held);
    }
    let result = match out {
        Value::Tensor(_, t) => Some(T::load(t)),
        _ => None,
    };
    let whole_bar = match y_bar {
        Value::Tensor(_, t) => Some(T::load(t)),
        _ => None,
    };
    let same_bar = vec![T::c(scalar_f64(y_bar).unwrap_or(0.0)); if whole_bar.is_some() { 0 } else { machine.block }];
    let mut splats: Vec<Vec<T>> = vec![vec![]; values];
    for (i, splat) in splats.iter_mut().enumerate() {
        if let (true, Some(Held::Number(x))) = (has(needed, i), machine.held.get(i)) {
            splat.resize(machine.block, T::c(*x));
        }
    }
    let mut bars = Bars::new(layout, values, machine.block);
    for (i, bar) in bars.blocks.iter_mut().enumerate().take(formula.registers.len()) {
        if has(wanted, i) && layout.reach.get(i) == Some(&Reach::Whole) {
            bar.reserve_exact(n);
        }
    }
    let mut total = 0.0;
    let mut start = 0;
    while start < n {
        let len = machine.block.min(n - start);
        machine.begin(start, len);
        for w in &work {
            if let Some(buffer) = w.again {
                machine.compute(w.step, w.kernel, buffer, start, len)?;
                if w.value == last {
                    total = sum_onto(total, machine.buffers.get(buffer)?);
                }
            }
            bars.blocks.get_mut(w.value)?.clear();
        }
        for w in work.iter().rev().filter(|w| w.live) {
            let own = std::mem::take(bars.blocks.get_mut(w.value)?);
            let bar = match (w.value == last, &whole_bar) {
                (true, Some(bar)) => bar.get(start..start + len)?,
                (true, None) => same_bar.get(..len)?,
                _ => own.get(..len)?,
            };
            // What a slope does not read may be anything.
            let slice = |i: u8| match machine.lane(i, start, len) {
                Some(super::Lanes::Each(data)) => data,
                _ => splats.get(i as usize).and_then(|s| s.get(..len)).unwrap_or(bar),
            };
            let y = match (&result, w.value == last) {
                (Some(result), true) => result.get(start..start + len)?,
                (None, true) if !sums => bar,
                _ => slice(w.value as u8),
            };
            let (a, b) = w.step.operands();
            let args: SmallVec<[&[T]; 2]> = [Some(a), b].into_iter().flatten().map(slice).collect();
            for (j, i) in [Some(a), b].into_iter().flatten().enumerate() {
                let i = i as usize;
                if has(live, i) {
                    bars.add(i, start, len, i < formula.registers.len(), |out| match factor(w.step, j) {
                        Some(1.0) => out.extend_from_slice(bar),
                        Some(_) => negate(bar, out),
                        None => {
                            if let Some(pull) = w.pulls.get(j) {
                                behind(out, len, |out| pull(&args, y, bar, out));
                            }
                        }
                    });
                }
            }
            drop(args);
            *bars.blocks.get_mut(w.value)? = own;
        }
        start += len;
    }
    bars.settle();
    rest(applied, &machine, &mut bars, live, pulls)?;
    Some((total, gathered(applied, bars, 0)?))
}

/// The slope of a sum or difference.
pub fn factor(step: Step, operand: usize) -> Option<f64> {
    match (step, operand) {
        (Step::Add(..), _) | (Step::Sub(..), 0) => Some(1.0),
        (Step::Sub(..), _) | (Step::Neg(_), _) => Some(-1.0),
        _ => None,
    }
}

/// The steps that reach less far than the result, last ones first.
pub(super) fn rest<T: Float>(
    applied: &Applied<'_>,
    machine: &Machine<'_, T>,
    bars: &mut Bars<'_, T>,
    live: u32,
    pulls: fn(&Elementwise) -> [PullKernel<T>; 3],
) -> Option<()> {
    let formula = applied.formula;
    for (k, step) in formula.steps.iter().enumerate().rev() {
        let value = formula.value(k);
        let reach = machine.reach(value as u8);
        if reach == Reach::Whole || live & (1 << value) == 0 {
            continue;
        }
        let bar = std::mem::take(bars.sums.get_mut(value)?);
        let (a, b) = step.operands();
        let operands = [Some(a), b].into_iter().flatten().enumerate();
        let len = match reach {
            Reach::Part { len, .. } => len,
            _ => {
                let bar = bar.first().copied().unwrap_or(0.0);
                for (j, i) in operands.filter(|(_, i)| live & (1 << i) != 0) {
                    let sums = bars.sums.get_mut(i as usize)?;
                    sums.resize(1, 0.0);
                    if bar != 0.0 {
                        sums[0] += bar * slope(*step, j, machine, value)?;
                    }
                }
                continue;
            }
        };
        let bar: Vec<T> = (0..len).map(|i| T::c(bar.get(i).copied().unwrap_or(0.0))).collect();
        let splat = |i: u8| match machine.held.get(i as usize) {
            Some(Held::Number(x)) => vec![T::c(*x); len],
            Some(Held::Part(data, _)) => data.to_vec(),
            _ => bar.clone(),
        };
        let args: SmallVec<[Vec<T>; 2]> = [Some(a), b].into_iter().flatten().map(splat).collect();
        let args: SmallVec<[&[T]; 2]> = args.iter().map(Vec::as_slice).collect();
        let y = splat(value as u8);
        let pulls = pulls(step.inside()?);
        for (j, i) in operands.filter(|(_, i)| live & (1 << i) != 0) {
            let mut out = Vec::with_capacity(len);
            match factor(*step, j) {
                Some(c) => out.extend(bar.iter().map(|x| T::c(c) * *x)),
                None => {
                    let pull = pulls.get(j)?;
                    behind(&mut out, len, |out| pull(&args, &y, &bar, out));
                }
            }
            let sums = bars.sums.get_mut(i as usize)?;
            match machine.reach(i) {
                Reach::Number => {
                    sums.resize(1, 0.0);
                    sums[0] += sum(&out);
                }
                _ => {
                    sums.resize(len, 0.0);
                    sums.iter_mut().zip(&out).for_each(|(sum, x)| *sum += x.to_f64());
                }
            }
        }
    }
    Some(())
}

/// The slope of a step on numbers.
fn slope<T: Float>(step: Step, operand: usize, machine: &Machine<'_, T>, value: usize) -> Option<f64> {
    let number = |i: usize| match machine.held.get(i) {
        Some(Held::Number(x)) => *x,
        _ => f64::NAN,
    };
    let (a, b) = step.operands();
    slope_of(step, operand, number(a as usize), b.map_or(0.0, |b| number(b as usize)), number(value))
}

/// The slope of a step in an operand, at these operands and result.
pub fn slope_of(step: Step, operand: usize, a: f64, b: f64, y: f64) -> Option<f64> {
    Some(match &step.inside()?.scalar {
        Scalar::Unary { d, .. } => d(a, y),
        Scalar::Binary { d, .. } => d.get(operand)?(a, b, y),
        Scalar::Ternary { .. } => return None,
    })
}

/// The cotangents of the wanted operands, but for those that are `done`.
pub(super) fn gathered<T: Float>(applied: &Applied<'_>, mut bars: Bars<'_, T>, done: u32) -> Option<Pulled> {
    let mut out = SmallVec::new();
    for (i, shape) in applied.shapes.iter().enumerate() {
        if applied.wanted & !done & (1 << i) == 0 {
            out.push(None);
            continue;
        }
        let sums = bars.sums.get(i)?;
        out.push(Some(match applied.layout.reach.get(i)? {
            Reach::Number => Value::float(sums.first().copied().unwrap_or(0.0)),
            Reach::Part { len, .. } => {
                let data = (0..*len).map(|i| T::c(sums.get(i).copied().unwrap_or(0.0))).collect();
                Value::tensor(Tensor::from_vec(&shape.shape, data))
            }
            Reach::Whole => {
                let data = std::mem::take(bars.blocks.get_mut(i)?);
                if data.len() != count(&shape.shape) {
                    return None;
                }
                Value::tensor(Tensor::from_vec(&shape.shape, data))
            }
        }));
    }
    Some(out)
}
