//! Formulas on tensors: several elementwise operations in one pass over memory.
//!
//! In: a formula, and operands without derivative: numbers and float tensors of one shape and dtype. All operations are done on
//! a block of elements, which stays in the cache, before the next block is begun. Each is the same kernel that computes it
//! alone, so the result has the same bits.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::cast::Float;
use super::create::scalar_f64;
use super::lanes::{Lanes, Run};
use super::{DType, Tensor, count};
use crate::bytecode::formula::{Formula, Step};
use crate::ops::arith::{ADD, DIV, MUL, NEG, SUB};
use crate::ops::lanes::{Elementwise, LaneKernel};
use crate::ops::prim::{Eval, Prim};
use crate::value::Value;

/// Elements of a block.
const BLOCK: usize = 2048;

/// The value of a formula; `operands` are those of its registers. `None` if it has to be computed operation by operation.
pub fn evaluate(formula: &Formula, operands: &[Value]) -> Option<Value> {
    let mut tensor: Option<&Tensor> = None;
    let mut ints = 0;
    for (i, operand) in operands.iter().enumerate() {
        match operand {
            Value::Tensor(slot, t) if slot.is_const() && t.dtype().is_float() => {
                if tensor.is_some_and(|other| other.shape() != t.shape() || other.dtype() != t.dtype()) {
                    return None;
                }
                tensor = Some(t);
            }
            Value::Float(slot, _) if slot.is_const() => {}
            Value::Int(_) => ints |= 1 << i,
            _ => return None,
        }
    }
    if !formula.is_float(ints) {
        return None;
    }
    let Some(tensor) = tensor else { return numbers(formula, operands) };
    match tensor.dtype() {
        DType::F32 => run::<f32>(formula, operands, tensor.shape(), |e| e.lanes32),
        _ => run::<f64>(formula, operands, tensor.shape(), |e| e.lanes64),
    }
}

/// A value of the formula while it runs.
enum Held<'a, T: Clone> {
    Number(f64),
    Whole(Cow<'a, [T]>),
    /// Made block by block, in this buffer.
    Block(usize),
}

fn run<T: Float>(
    formula: &Formula,
    operands: &[Value],
    shape: &[usize],
    kernel: fn(&Elementwise) -> LaneKernel<T>,
) -> Option<Value> {
    let mut held: SmallVec<[Held<T>; 16]> = SmallVec::new();
    for operand in operands {
        held.push(match operand {
            Value::Tensor(_, t) => Held::Whole(T::load(t)),
            number => Held::Number(scalar_f64(number)?),
        });
    }
    held.extend(formula.constants.iter().map(|x| Held::Number(*x)));
    // What has numbers only is computed once, in f64; the rest in buffers that are used again as soon as they are free.
    let last = last_uses(formula);
    let mut buffers: Vec<Vec<T>> = vec![];
    let mut free: SmallVec<[usize; 8]> = SmallVec::new();
    let mut work: SmallVec<[(Step, LaneKernel<T>, usize); 16]> = SmallVec::new();
    for (k, step) in formula.steps.iter().enumerate() {
        let (a, b) = step.operands();
        if let (Held::Number(x), y) = (held.get(a as usize)?, b.map(|b| held.get(b as usize)))
            && let Some(value) = match y {
                None => Some(number(*step, *x, 0.0)),
                Some(Some(Held::Number(y))) => Some(number(*step, *x, *y)),
                Some(_) => None,
            }
        {
            held.push(Held::Number(value));
            continue;
        }
        let buffer = free.pop().unwrap_or_else(|| {
            buffers.push(Vec::with_capacity(BLOCK));
            buffers.len() - 1
        });
        work.push((*step, kernel(inside(*step)?), buffer));
        held.push(Held::Block(buffer));
        for i in [Some(a), b.filter(|b| *b != a)].into_iter().flatten() {
            if let (Some(Held::Block(used)), Some(&at)) = (held.get(i as usize), last.get(i as usize))
                && at == k
            {
                free.push(*used);
            }
        }
    }
    let (final_step, work) = work.split_last()?;
    let n = count(shape);
    let mut out = Vec::with_capacity(n);
    let mut start = 0;
    while start < n {
        let len = BLOCK.min(n - start);
        for (step, kernel, buffer) in work {
            let mut made = std::mem::take(buffers.get_mut(*buffer)?);
            made.clear();
            kernel(len, &lanes(*step, &held, &buffers, start, len)?, &mut made);
            *buffers.get_mut(*buffer)? = made;
        }
        let (step, kernel, _) = final_step;
        kernel(len, &lanes(*step, &held, &buffers, start, len)?, &mut out);
        start += len;
    }
    Some(Value::tensor(Tensor::from_vec(shape, out)))
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

/// One block of the operands of a step.
fn lanes<'a, T: Float>(
    step: Step,
    held: &'a [Held<'_, T>],
    buffers: &'a [Vec<T>],
    start: usize,
    len: usize,
) -> Option<Run<'a, T>> {
    let (a, b) = step.operands();
    let lane = |i: u8| {
        Some(match held.get(i as usize)? {
            Held::Number(x) => Lanes::Same(T::c(*x)),
            Held::Whole(data) => Lanes::Each(data.get(start..start + len)?),
            Held::Block(buffer) => Lanes::Each(buffers.get(*buffer)?),
        })
    };
    let mut run = Run::new();
    run.push(lane(a)?);
    if let Some(b) = b {
        run.push(lane(b)?);
    }
    Some(run)
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

/// The kernels of a step.
fn inside(step: Step) -> Option<&'static Elementwise> {
    let of = |prim: &'static Prim| match &prim.eval {
        Eval::Elementwise(e) => Some(*e),
        Eval::General(_) => None,
    };
    match step {
        Step::Add(..) => of(&ADD),
        Step::Sub(..) => of(&SUB),
        Step::Mul(..) => of(&MUL),
        Step::Div(..) => of(&DIV),
        Step::Neg(_) => of(&NEG),
        Step::Unary(_, u) => Some(u.inside),
        Step::Binary(_, _, g) => Some(g.inside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytecode::op::Reg;

    /// `(2 x + y) / x - y * y`
    fn formula() -> Formula {
        let steps = vec![Step::Mul(2, 0), Step::Add(3, 1), Step::Div(4, 0), Step::Mul(1, 1), Step::Sub(5, 6)];
        Formula { registers: vec![Reg(0), Reg(1)], constants: vec![2.0], steps, ints: 1 << 2 }
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
                let Some(Value::Tensor(slot, got)) = evaluate(&formula(), &[x.clone(), second]) else { panic!("{n}") };
                assert!(slot.is_const() && got.same(&Tensor::from_vec(&[n], want)), "{n}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left() {
        let zeros = |shape: &[usize], dtype| Value::tensor(Tensor::zeros(shape, dtype));
        let x = zeros(&[2, 3], DType::F32);
        let others = [zeros(&[3], DType::F32), zeros(&[2, 3], DType::F64), zeros(&[2, 3], DType::Int), Value::None];
        for other in others {
            assert!(evaluate(&formula(), &[x.clone(), other]).is_none());
        }
        // An operation on ints alone.
        assert!(evaluate(&formula(), &[Value::Int(3), x.clone()]).is_none());
        assert!(evaluate(&formula(), &[x, Value::Int(3)]).is_none());
        assert!(
            matches!(evaluate(&formula(), &[Value::float(1.0), Value::float(2.0)]), Some(Value::Float(_, y)) if y == 0.0)
        );
    }
}
