//! Formulas on tensors: several elementwise operations in one pass over memory.
//!
//! In: a formula, and operands: numbers and float tensors of one dtype, of the result's shape or rows and columns of it
//! (`layout`). All operations are done on a block of elements, which stays in the cache, before the next block is begun. Each
//! is the same kernel that computes it alone, so the result has the same bits. What reaches less far than the result is
//! computed once. `pull` goes the way back.

mod assembler;
pub mod fused;
pub mod fused_pull;
mod fused_small;
mod graph;
pub mod jet;
pub mod layout;
mod loops;
pub mod onto;
pub mod plan;
pub mod program;
pub mod pull;
mod rows;
pub mod small;
mod stages;
mod straight;
mod tangents;
mod written;

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use smallvec::SmallVec;

use self::fused::Sources;
use self::layout::{Layout, Operands, Reach, lay, spread};
use self::small::Rooms;
use super::cast::Float;
use super::create::scalar_f64;
use super::lanes::{Lanes, Run};
use super::out::{Out, behind, place};
use super::simd::sums::{addends, sum_onto};
use super::{DType, Tensor, count, threads};
use crate::ad::slot::Slot;
use crate::bytecode::formula::{Formula, Step, Total};
use crate::ops::lanes::{Elementwise, LaneKernel};
use crate::value::Value;

/// Elements of a block, at most.
const BLOCK: usize = 2048;

/// The value of a formula; `operands` are those of its registers, without derivative. `None` if it has to be computed
/// operation by operation.
pub fn evaluate(formula: &Formula, operands: &[Value], rooms: &mut Rooms) -> Option<Value> {
    if formula.total.is_none()
        && let Some((plan, lead)) = plan::plan(formula, operands.iter())
        && plan.kinds.wanted == 0
        && let Some((value, _)) = small::forward(formula, &plan, lead, |i| operands.get(i), rooms)
    {
        return Some(Value::Tensor(Slot::CONST, value));
    }
    match lay(formula, operands)? {
        Operands::Numbers if formula.total.is_some() => None,
        Operands::Numbers => numbers(formula, operands),
        Operands::Tensors(layout) => forward(formula, operands, &layout),
    }
}

/// The value for a layout of these operands.
pub fn forward(formula: &Formula, operands: &[Value], layout: &Layout) -> Option<Value> {
    match layout.dtype {
        DType::F32 => run::<f32>(formula, operands, layout, |e| e.lanes32),
        _ => run::<f64>(formula, operands, layout, |e| e.lanes64),
    }
}

/// A value of the formula while it runs.
#[derive(Clone)]
enum Held<'a, T: Clone> {
    Number(f64),
    /// A part; where the result is computed, its elements for the block stand in the buffer of this number.
    Part(Cow<'a, [T]>, usize),
    Whole(Cow<'a, [T]>),
    /// Made block by block, in this buffer.
    Block(usize),
    /// Not known, as nobody reads it.
    Absent,
}

/// Values of a formula, and buffers for a block of them.
#[derive(Clone)]
struct Machine<'a, T: Clone> {
    layout: &'a Layout,
    held: SmallVec<[Held<'a, T>; 16]>,
    buffers: Vec<Vec<T>>,
    /// Buffers into which parts are spread, and the value that each belongs to.
    spread: SmallVec<[(usize, usize); 8]>,
    /// Elements of a block.
    block: usize,
}

impl<'a, T: Float> Machine<'a, T> {
    /// With the operands and constants. Those that are `none` are absent.
    fn new(formula: &Formula, operands: &'a [Value], layout: &'a Layout, most: usize) -> Option<Machine<'a, T>> {
        let mut held: SmallVec<[Held<T>; 16]> = SmallVec::new();
        for (operand, reach) in operands.iter().zip(&layout.reach) {
            held.push(match (operand, reach) {
                (Value::None, _) => Held::Absent,
                (Value::Tensor(_, t), Reach::Part { .. }) => Held::Part(T::load(t), usize::MAX),
                (Value::Tensor(_, t), _) => Held::Whole(T::load(t)),
                (number, _) => Held::Number(scalar_f64(number)?),
            });
        }
        held.extend(formula.constants.iter().map(|x| Held::Number(*x)));
        // Blocks of whole rows: a row is then spread only once.
        let row = layout.reach.iter().filter_map(|reach| match reach {
            Reach::Part { len, inner: 1 } if *len <= most => Some(*len),
            _ => None,
        });
        let row = row.max().unwrap_or(1).max(1);
        let block = (most / row * row).min(count(&layout.shape).next_multiple_of(row)).max(1);
        Some(Machine { layout, held, buffers: vec![], spread: SmallVec::new(), block })
    }

    fn reach(&self, i: u8) -> Reach {
        self.layout.reach.get(i as usize).copied().unwrap_or(Reach::Whole)
    }

    fn buffer(&mut self) -> usize {
        self.buffers.push(Vec::with_capacity(self.block));
        self.buffers.len() - 1
    }

    /// Computes a step that reaches less far than the result.
    fn settle(&self, step: Step, reach: Reach, kernel: LaneKernel<T>) -> Option<Held<'a, T>> {
        let (a, b) = step.operands();
        match reach {
            Reach::Number => {
                let number = |i: u8| match self.held.get(i as usize) {
                    Some(Held::Number(x)) => Some(*x),
                    _ => None,
                };
                Some(Held::Number(self::number(step, number(a)?, b.map_or(Some(0.0), number)?)))
            }
            Reach::Part { len, .. } => {
                let lane = |i: u8| match self.held.get(i as usize) {
                    Some(Held::Number(x)) => Some(Lanes::Same(T::c(*x))),
                    Some(Held::Part(data, _)) => Some(Lanes::Each(data)),
                    _ => None,
                };
                let mut run = Run::new();
                run.push(lane(a)?);
                if let Some(b) = b {
                    run.push(lane(b)?);
                }
                let mut out = Vec::with_capacity(len);
                behind(&mut out, len, |out| kernel(len, &run, out));
                Some(Held::Part(Cow::Owned(out), usize::MAX))
            }
            Reach::Whole => None,
        }
    }

    /// Gives a part that the result is computed of a buffer for its elements in a block.
    fn will_spread(&mut self, i: u8) {
        if let Some(Held::Part(_, usize::MAX)) = self.held.get(i as usize) {
            let buffer = self.buffer();
            if let Some(Held::Part(_, place)) = self.held.get_mut(i as usize) {
                *place = buffer;
            }
            self.spread.push((i as usize, buffer));
        }
    }

    /// Spreads the parts over a block.
    fn begin(&mut self, start: usize, len: usize) {
        for &(value, buffer) in &self.spread {
            let (Some(Held::Part(data, _)), Some(Reach::Part { inner, .. })) =
                (self.held.get(value), self.layout.reach.get(value))
            else {
                continue;
            };
            let Some(buffer) = self.buffers.get_mut(buffer) else { continue };
            // In blocks of whole rows, the row stands there already.
            let repeats = *inner == 1 && self.block.is_multiple_of(data.len().max(1));
            if !(repeats && start > 0 && buffer.len() >= len) {
                buffer.clear();
                spread(data, *inner, start, len, buffer);
            }
        }
    }

    /// The elements of a value in a block.
    fn lane(&self, i: u8, start: usize, len: usize) -> Option<Lanes<'_, T>> {
        Some(match self.held.get(i as usize)? {
            Held::Number(x) => Lanes::Same(T::c(*x)),
            Held::Whole(data) => Lanes::Each(data.get(start..start + len)?),
            Held::Block(buffer) | Held::Part(_, buffer) => Lanes::Each(self.buffers.get(*buffer)?.get(..len)?),
            Held::Absent => return None,
        })
    }

    /// The same of one that has elements.
    fn elements(&self, i: u8, start: usize, len: usize) -> Option<&[T]> {
        match self.lane(i, start, len)? {
            Lanes::Each(data) => Some(data),
            Lanes::Same(_) => None,
        }
    }

    /// A value that is a number.
    fn number(&self, i: u8) -> Option<f64> {
        if let Held::Number(x) = self.held.get(i as usize)? { Some(*x) } else { None }
    }

    /// Operands of a step in a block.
    fn lanes(&self, step: Step, start: usize, len: usize) -> Option<Run<'_, T>> {
        let (a, b) = step.operands();
        let mut run = Run::new();
        run.push(self.lane(a, start, len)?);
        if let Some(b) = b {
            run.push(self.lane(b, start, len)?);
        }
        Some(run)
    }

    /// Computes a step in a block, into a buffer.
    fn compute(&mut self, step: Step, kernel: LaneKernel<T>, buffer: usize, start: usize, len: usize) -> Option<()> {
        let mut made = std::mem::take(self.buffers.get_mut(buffer)?);
        made.clear();
        let lanes = self.lanes(step, start, len)?;
        behind(&mut made, len, |out| kernel(len, &lanes, out));
        drop(lanes);
        *self.buffers.get_mut(buffer)? = made;
        Some(())
    }
}

fn run<T: Float>(
    formula: &Formula,
    operands: &[Value],
    layout: &Layout,
    kernel: fn(&Elementwise) -> LaneKernel<T>,
) -> Option<Value> {
    let n = count(&layout.shape);
    // A step by itself is best left to its kernel.
    let fused = if formula.steps.len() > 1 || formula.total.is_some() {
        formula.compiled.get(formula, &layout.reach, size_of::<T>() == 8, None, n)
    } else {
        None
    };
    let most = fused.as_ref().map_or(BLOCK, |fused| fused.block(&layout.reach));
    let mut machine: Machine<T> = Machine::new(formula, operands, layout, most)?;
    // Buffers are used again as soon as they are free.
    let last = last_uses(formula);
    let mut free: SmallVec<[usize; 8]> = SmallVec::new();
    let mut work: SmallVec<[(Step, LaneKernel<T>, usize); 16]> = SmallVec::new();
    for (k, step) in formula.steps.iter().enumerate() {
        let (a, b) = step.operands();
        let kernel = kernel(step.inside()?);
        let reach = machine.reach(formula.value(k) as u8);
        if reach != Reach::Whole {
            let settled = machine.settle(*step, reach, kernel)?;
            machine.held.push(settled);
            continue;
        }
        if fused.is_some() {
            machine.held.push(Held::Absent);
            continue;
        }
        machine.will_spread(a);
        b.into_iter().for_each(|b| machine.will_spread(b));
        let buffer = match free.pop() {
            Some(buffer) => buffer,
            None => machine.buffer(),
        };
        work.push((*step, kernel, buffer));
        machine.held.push(Held::Block(buffer));
        for i in [Some(a), b.filter(|b| *b != a)].into_iter().flatten() {
            if let (Some(Held::Block(used)), Some(&at)) = (machine.held.get(i as usize), last.get(i as usize))
                && at == k
            {
                free.push(*used);
            }
        }
    }
    let numbers = match &fused {
        Some(fused) => {
            fused.values().for_each(|i| machine.will_spread(i));
            fused.numbers(|i| machine.number(i), 0.0)?
        }
        None => vec![],
    };
    let (fused, work) = (fused.as_deref(), &work[..]);
    // Calls `f` with what makes the elements of each block of a part of the result, which begins with a block.
    type Make<'m, T> = &'m dyn Fn(&mut Out<'_, T>);
    let blocks = |machine: &mut Machine<T>, part: Range<usize>, f: &mut dyn FnMut(usize, Make<'_, T>)| {
        let scratch = RefCell::new(fused.map_or(vec![], |fused| fused.scratch(machine.block)));
        for start in part.clone().step_by(machine.block) {
            let len = machine.block.min(part.end - start);
            machine.begin(start, len);
            if let Some(fused) = fused {
                let value = |i: u8| machine.elements(i, start, len);
                let sources = Sources { numbers: &numbers, value: &value, root: &[], out: &[] };
                f(len, &|out| {
                    place(out, len, |room| fused.run(&sources, len, &mut [room], &mut scratch.borrow_mut()));
                });
                continue;
            }
            let (final_step, work) = work.split_last()?;
            for (step, kernel, buffer) in work {
                machine.compute(*step, *kernel, *buffer, start, len)?;
            }
            let (step, kernel, _) = final_step;
            let lanes = machine.lanes(*step, start, len)?;
            f(len, &|out| kernel(len, &lanes, out));
        }
        Some(())
    };
    let part = threads::part_of(n, 1).next_multiple_of(machine.block.max(1));
    let mut out = vec![];
    match formula.total {
        None if part >= n => {
            out.reserve_exact(n);
            blocks(&mut machine, 0..n, &mut |len, make| behind(&mut out, len, make))?;
        }
        None => threads::fill_parts(n, 1, part, &mut out, |range, out| {
            blocks(&mut machine.clone(), range, &mut |_, make| make(out));
        }),
        Some(total) if part >= n => {
            let mut sum = 0.0;
            blocks(&mut machine, 0..n, &mut |len, make| {
                out.clear();
                behind(&mut out, len, make);
                sum = sum_onto(sum, &out);
            })?;
            return total_of(total, sum, n).map(Value::float);
        }
        Some(total) => {
            // What one thread would add up, in the same order.
            let sums = threads::collect(n.div_ceil(part), |k| {
                let (mut sums, mut out, from) = (vec![], vec![], k * part);
                let done = blocks(&mut machine.clone(), from..(from + part).min(n), &mut |len, make| {
                    out.clear();
                    behind(&mut out, len, make);
                    addends(&out, &mut sums);
                });
                done.map(|()| sums)
            });
            let sums: Option<Vec<Vec<f64>>> = sums.into_iter().collect();
            let sum = sums?.iter().flatten().fold(0.0, |sum, part| sum + part);
            return total_of(total, sum, n).map(Value::float);
        }
    }
    (out.len() == n).then(|| Value::tensor(Tensor::from_vec(&layout.shape, out)))
}

/// A sum of `n` elements, or their mean if there are any.
fn total_of(total: Total, sum: f64, n: usize) -> Option<f64> {
    match total {
        Total::Sum => Some(sum),
        Total::Mean => (n > 0).then(|| sum / n as f64),
    }
}

/// For each value the step that reads it last.
fn last_uses(formula: &Formula) -> SmallVec<[usize; 32]> {
    let mut last = SmallVec::from_elem(0, formula.value(formula.steps.len()));
    for (k, step) in formula.steps.iter().enumerate() {
        let (a, b) = step.operands();
        for i in [Some(a), b].into_iter().flatten() {
            if let Some(last) = last.get_mut(i as usize) {
                *last = k;
            }
        }
    }
    last
}

/// The value for operands that are all numbers, as a leaf of a structure may have them.
fn numbers(formula: &Formula, operands: &[Value]) -> Option<Value> {
    let mut values: SmallVec<[f64; 16]> = operands.iter().map(scalar_f64).collect::<Option<_>>()?;
    values.extend_from_slice(&formula.constants);
    for step in &formula.steps {
        let (a, b) = step.operands();
        let x = |i: u8| values.get(i as usize).copied();
        let y = number(*step, x(a)?, b.map_or(Some(0.0), x)?);
        values.push(y);
    }
    values.last().map(|y| Value::float(*y))
}

/// A step on numbers.
fn number(step: Step, x: f64, y: f64) -> f64 {
    match step {
        Step::Add(..) => x + y,
        Step::Sub(..) => x - y,
        Step::Mul(..) => x * y,
        Step::Div(..) => x / y,
        Step::Neg(_) => -x,
        Step::Unary(_, u) => (u.f)(x),
        Step::Binary(_, _, g) => (g.f)(x, y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytecode::op::Reg;

    /// `(2 x + y) / x - y * y`
    fn formula() -> Formula {
        let steps = vec![Step::Mul(2, 0), Step::Add(3, 1), Step::Div(4, 0), Step::Mul(1, 1), Step::Sub(5, 6)];
        Formula::new(vec![Reg(0), Reg(1)], vec![2.0], steps, 1 << 2)
    }

    fn by_hand(x: f32, y: f32) -> f32 {
        (2.0 * x + y) / x - y * y
    }

    #[test]
    fn blocks_are_joined() {
        for n in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            let x: Vec<f32> = (0..n).map(|i| i as f32 * 0.37 - 50.0).collect();
            let y: Vec<f32> = (0..n).map(|i| (i % 17) as f32 - 3.5).collect();
            let want: Vec<f32> = x.iter().zip(&y).map(|(&x, &y)| by_hand(x, y)).collect();
            let number: Vec<f32> = x.iter().map(|&x| by_hand(x, -1.25)).collect();
            let tensor = |data: Vec<f32>| Value::tensor(Tensor::from_vec(&[n], data));
            let (x, y) = (tensor(x), tensor(y));
            for (second, want) in [(y, want), (Value::float(-1.25), number)] {
                let Some(Value::Tensor(slot, got)) = evaluate(&formula(), &[x.clone(), second], &mut Rooms::default())
                else {
                    panic!("{n}")
                };
                assert!(slot.is_const() && got.same(&Tensor::from_vec(&[n], want)), "{n}");
            }
        }
    }

    #[test]
    fn rows_and_columns_are_spread() {
        let tensor = |shape: &[usize], data: &[f32]| Value::tensor(Tensor::from_vec(shape, data.to_vec()));
        for (rows, columns) in [(2, 3), (700, 5), (3, 3000), (2048, 1)] {
            let x: Vec<f32> = (0..rows * columns).map(|i| i as f32 * 0.37 - 50.0).collect();
            let row: Vec<f32> = (0..columns).map(|i| i as f32 - 3.5).collect();
            let column: Vec<f32> = (0..rows).map(|i| i as f32 - 3.5).collect();
            let at = |y: &dyn Fn(usize) -> f32| (0..x.len()).map(|i| by_hand(x[i], y(i))).collect::<Vec<f32>>();
            let by_row = at(&|i| row[i % columns]);
            let by_column = at(&|i| column[i / columns]);
            for (second, want) in [
                (tensor(&[columns], &row), by_row.clone()),
                (tensor(&[1, columns], &row), by_row),
                (tensor(&[rows, 1], &column), by_column),
            ] {
                let x = tensor(&[rows, columns], &x);
                let Some(Value::Tensor(_, got)) = evaluate(&formula(), &[x, second], &mut Rooms::default()) else {
                    panic!("{rows} {columns}")
                };
                assert!(got.same(&Tensor::from_vec(&[rows, columns], want)), "{rows} {columns}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left() {
        let zeros = |shape: &[usize], dtype| Value::tensor(Tensor::zeros(shape, dtype));
        let x = zeros(&[2, 3], DType::F32);
        let others = [zeros(&[4], DType::F32), zeros(&[2, 3], DType::F64), zeros(&[2, 3], DType::Int), Value::None];
        for other in others {
            assert!(evaluate(&formula(), &[x.clone(), other], &mut Rooms::default()).is_none());
        }
        // An operation on ints alone.
        assert!(evaluate(&formula(), &[Value::Int(3), x.clone()], &mut Rooms::default()).is_none());
        assert!(evaluate(&formula(), &[x, Value::Int(3)], &mut Rooms::default()).is_none());
        assert!(
            matches!(evaluate(&formula(), &[Value::float(1.0), Value::float(2.0)], &mut Rooms::default()), Some(Value::Float(_, y)) if y == 0.0)
        );
    }
}
