//! Single elements of tensors without derivative: read, written and updated in place, with nothing made on the way.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::bytecode::chunk::IndexPart;
use crate::syntax::ast::BinOp;
use crate::tensor::Tensor;
use crate::tensor::parts::{element, element_mut};
use crate::value::Value;

/// An index with an int for each axis.
pub type Ints = SmallVec<[i64; 4]>;

/// The ints of an index of nothing else.
#[inline]
pub fn ints(parts: &[IndexPart], values: &[Value]) -> Option<Ints> {
    let mut ints = Ints::new();
    for (part, value) in parts.iter().zip(values) {
        match (part, value) {
            (IndexPart::At, Value::Int(i)) => ints.push(*i),
            _ => return None,
        }
    }
    (ints.len() == parts.len()).then_some(ints)
}

/// The element of a float tensor; `None` for all that has to go the long way, errors too.
#[inline]
pub fn read(t: &Tensor, index: &[i64]) -> Option<f64> {
    if index.len() != t.rank() || !t.dtype().is_float() {
        return None;
    }
    element(t, index).ok().map(|(_, x)| x)
}

/// The same with an index as it stands in registers.
#[inline]
pub fn read_parts(t: &Tensor, parts: &[IndexPart], values: &[Value]) -> Option<f64> {
    read(t, &ints(parts, values)?)
}

/// Writes an element of a float tensor that nothing else holds; false if that has to go the long way.
#[inline]
pub fn write(place: &mut Value, index: &[i64], x: f64) -> bool {
    change(place, index, |_| Some(x))
}

/// `place[index] op= x` under the same conditions.
#[inline]
pub fn update(place: &mut Value, index: &[i64], op: BinOp, x: f64) -> bool {
    change(place, index, |old| match op {
        BinOp::Add => Some(old + x),
        BinOp::Sub => Some(old - x),
        BinOp::Mul => Some(old * x),
        BinOp::Div => Some(old / x),
        _ => None,
    })
}

#[inline]
fn change(place: &mut Value, index: &[i64], f: impl Fn(f64) -> Option<f64>) -> bool {
    if let Value::Tensor(slot, t) = place
        && slot.is_const()
        && index.len() == t.rank()
        && let Some(t) = Rc::get_mut(t)
    {
        return match t {
            Tensor::F64(a) => element_mut(a, index).is_some_and(|y| f(*y).map(|x| *y = x).is_some()),
            Tensor::F32(a) => element_mut(a, index).is_some_and(|y| f(f64::from(*y)).map(|x| *y = x as f32).is_some()),
            _ => false,
        };
    }
    false
}
