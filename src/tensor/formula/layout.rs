//! How the values of a formula lie over its result: numbers, parts that repeat (a row, a column), and whole tensors.

use smallvec::SmallVec;

use crate::bytecode::formula::Formula;
use crate::tensor::broadcast::broadcast_shapes;
use crate::tensor::{DType, Shape, count};
use crate::value::Value;

/// How far a value reaches over the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The same everywhere.
    Number,
    /// `len` elements: each stands for `inner` neighbours of the result, and after the last it begins anew. A row has
    /// `inner` of 1; a column begins only once.
    Part { len: usize, inner: usize },
    /// An element for each one of the result.
    Whole,
}

/// Shape and dtype of the result, and the reach of each value.
pub struct Layout {
    pub shape: Shape,
    pub dtype: DType,
    pub reach: SmallVec<[Reach; 16]>,
}

/// What the operands of a formula are. It lives on the stack, for a moment.
#[allow(clippy::large_enum_variant)]
pub enum Operands {
    Numbers,
    Tensors(Layout),
}

/// The layout for operands without derivative: numbers, and float tensors of one dtype whose shapes broadcast with rows
/// and columns. `None` for others.
pub fn lay(formula: &Formula, operands: &[Value]) -> Option<Operands> {
    let mut dtype: Option<DType> = None;
    let mut shape = Shape::new();
    let mut ints = 0;
    for (i, operand) in operands.iter().enumerate() {
        match operand {
            Value::Tensor(slot, t) if slot.is_const() && t.dtype().is_float() => {
                if dtype.is_some_and(|d| d != t.dtype()) {
                    return None;
                }
                if dtype.is_none() {
                    shape = Shape::from_slice(t.shape());
                } else if shape.as_slice() != t.shape() {
                    shape = broadcast_shapes(&shape, t.shape()).ok()?;
                }
                dtype = Some(t.dtype());
            }
            Value::Float(slot, _) if slot.is_const() => {}
            Value::Int(_) => ints |= 1 << i,
            _ => return None,
        }
    }
    if !formula.is_float(ints) {
        return None;
    }
    let Some(dtype) = dtype else { return Some(Operands::Numbers) };
    let mut reach: SmallVec<[Reach; 16]> = SmallVec::new();
    for operand in operands {
        reach.push(match operand {
            Value::Tensor(_, t) => reach_of(t.shape(), &shape)?,
            _ => Reach::Number,
        });
    }
    for _ in &formula.constants {
        reach.push(Reach::Number);
    }
    for step in &formula.steps {
        let (a, b) = step.operands();
        let a = *reach.get(a as usize)?;
        let b = b.map_or(Some(a), |b| reach.get(b as usize).copied())?;
        reach.push(match (a, b) {
            (Reach::Number, other) | (other, Reach::Number) => other,
            (a, b) if a == b => a,
            _ => Reach::Whole,
        });
    }
    let whole = reach.last() == Some(&Reach::Whole);
    whole.then_some(Operands::Tensors(Layout { shape, dtype, reach }))
}

/// How far a tensor reaches over a result: `None` if it stretches along an axis between others.
fn reach_of(own: &[usize], shape: &[usize]) -> Option<Reach> {
    if own == shape {
        return Some(Reach::Whole);
    }
    if count(shape) == 0 {
        return None;
    }
    if count(own) == count(shape) {
        return Some(Reach::Whole);
    }
    let missing = shape.len().checked_sub(own.len())?;
    let dim = |axis: usize| if axis < missing { 1 } else { own[axis - missing] };
    let mut axis = shape.len();
    let (mut inner, mut len) = (1, 1);
    while axis > 0 && dim(axis - 1) == 1 {
        axis -= 1;
        inner *= shape[axis];
    }
    while axis > 0 && dim(axis - 1) == shape[axis - 1] {
        axis -= 1;
        len *= shape[axis];
    }
    (0..axis).all(|axis| dim(axis) == 1).then_some(Reach::Part { len, inner })
}

/// Appends the elements from `start` on of a part that lies over the result.
pub fn spread<T: Copy>(data: &[T], inner: usize, start: usize, n: usize, out: &mut Vec<T>) {
    let (len, inner) = (data.len().max(1), inner.max(1));
    let (mut at, mut left) = (start, n);
    while left > 0 {
        let index = at / inner % len;
        let taken;
        if inner == 1 {
            taken = left.min(len - index);
            out.extend_from_slice(data.get(index..index + taken).unwrap_or(&[]));
        } else {
            taken = left.min(inner - at % inner);
            data.get(index).into_iter().for_each(|&x| out.resize(out.len() + taken, x));
        }
        at += taken;
        left -= taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_columns_and_planes() {
        let reach = |own: &[usize], shape: &[usize]| reach_of(own, shape);
        assert_eq!(reach(&[3], &[2, 3]), Some(Reach::Part { len: 3, inner: 1 }));
        assert_eq!(reach(&[1, 3], &[2, 3]), Some(Reach::Part { len: 3, inner: 1 }));
        assert_eq!(reach(&[2, 1], &[2, 3]), Some(Reach::Part { len: 2, inner: 3 }));
        assert_eq!(reach(&[1, 3, 1], &[2, 3, 4]), Some(Reach::Part { len: 3, inner: 4 }));
        assert_eq!(reach(&[2, 1, 4], &[2, 3, 4]), None);
        assert_eq!(reach(&[1], &[2, 3]), Some(Reach::Part { len: 1, inner: 6 }));
        assert_eq!(reach(&[1, 3], &[3]), Some(Reach::Whole));
    }

    #[test]
    fn spread_parts_are_broadcast_copies() {
        let all = |data: &[i32], inner: usize, start: usize, n: usize| {
            let mut out = vec![];
            spread(data, inner, start, n, &mut out);
            out
        };
        assert_eq!(all(&[1, 2, 3], 1, 0, 7), [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(all(&[1, 2, 3], 1, 5, 4), [3, 1, 2, 3]);
        assert_eq!(all(&[1, 2], 3, 1, 4), [1, 1, 2, 2]);
        assert_eq!(all(&[1, 2], 2, 3, 5), [2, 1, 1, 2, 2]);
    }
}
