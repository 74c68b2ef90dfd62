//! Bracket literals of numbers only: one constant instead of an instruction for each element.

use crate::syntax::ast::{Expr, ExprKind, UnOp};
use crate::tensor::Tensor;
use crate::value::Value;

/// A literal tensor whose elements are all written as numbers: all ints, or at least one float.
pub fn constant_tensor(items: &[Expr]) -> Option<Tensor> {
    let mut flat = Flat::default();
    flat.add(items, 0).then_some(())?;
    if flat.shape.contains(&0) {
        return None;
    }
    Some(if flat.floats {
        Tensor::from_vec(&flat.shape, flat.values)
    } else {
        Tensor::from_vec(&flat.shape, flat.ints)
    })
}

#[derive(Default)]
struct Flat {
    values: Vec<f64>,
    ints: Vec<i64>,
    floats: bool,
    shape: Vec<usize>,
}

impl Flat {
    /// False if it is no constant, or ragged.
    fn add(&mut self, items: &[Expr], depth: usize) -> bool {
        if self.shape.len() == depth {
            if !self.values.is_empty() {
                return false;
            }
            self.shape.push(items.len());
        } else if self.shape[depth] != items.len() {
            return false;
        }
        items.iter().all(|item| match (&item.kind, number(item)) {
            (ExprKind::Tensor(inner), _) => self.add(inner, depth + 1),
            (_, Some(Number::Int(i))) if self.shape.len() == depth + 1 => {
                self.values.push(i as f64);
                self.ints.push(i);
                true
            }
            (_, Some(Number::Float(x))) if self.shape.len() == depth + 1 => {
                self.values.push(x);
                self.floats = true;
                true
            }
            _ => false,
        })
    }
}

/// A number as it is written.
#[derive(Clone, Copy)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// As a float.
    pub fn float(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(x) => x,
        }
    }

    /// As a constant.
    pub fn value(self) -> Value {
        match self {
            Number::Int(i) => Value::Int(i),
            Number::Float(x) => Value::float(x),
        }
    }
}

/// The number that an expression is, minus signs included.
pub fn number(e: &Expr) -> Option<Number> {
    match &e.kind {
        ExprKind::Int(i) => Some(Number::Int(*i)),
        ExprKind::Float(x) => Some(Number::Float(*x)),
        ExprKind::Unary(UnOp::Neg, x) => match number(x)? {
            Number::Int(i) => i.checked_neg().map(Number::Int),
            Number::Float(x) => Some(Number::Float(-x)),
        },
        _ => None,
    }
}
