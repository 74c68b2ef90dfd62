//! An operation on a tape as its slopes: what flows back to an operand is the cotangent times the slope, element by element.
//!
//! Slopes are values of the levels below, and the products are applied by the dispatcher, so it serves under any levels.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::Cx;
use crate::ad::slot::{Level, Node, Slot};
use crate::error::Result;
use crate::ops::arith::MUL;
use crate::ops::reduce::SUM;
use crate::tensor::formula::jet::Slope;
use crate::tensor::{DType, Shape};
use crate::value::Value;

/// The slope of a result in an operand.
pub enum Factor {
    /// The same for all elements.
    Number(f64),
    /// What broadcasts to the result.
    Of(Value),
}

impl Factor {
    /// Of a formula with these operands.
    pub fn of(slope: Slope, operands: &[Value]) -> Factor {
        match slope {
            Slope::Number(x) => Factor::Number(x),
            Slope::Operand(j) => operands.get(j).map_or(Factor::Number(0.0), |v| Factor::Of(v.clone())),
            Slope::Elements(v) => Factor::Of(v),
        }
    }
}

/// An operand with a node.
pub struct Part {
    pub node: Node,
    pub shape: Shape,
    pub factor: Factor,
}

/// An operation, as a tape has it. Cotangents have the shape of the result, or are one number for all of its elements.
pub struct SlopesEntry {
    pub parts: SmallVec<[Part; 3]>,
    /// Of the result.
    pub shape: Shape,
    pub dtype: DType,
}

impl SlopesEntry {
    /// What it keeps alive.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.parts.iter().filter_map(|part| if let Factor::Of(v) = &part.factor { Some(v) } else { None })
    }

    /// The highest level of what it keeps.
    pub fn level(&self) -> Level {
        self.values().map(|v| v.slot().level()).max().unwrap_or_default()
    }

    /// Cotangents of the operands.
    pub fn pull(&self, cx: &mut Cx, y_bar: &Value) -> Result<SmallVec<[(Node, Value); 3]>> {
        // Several operands may have one slope.
        let mut known: SmallVec<[(&Value, Value); 2]> = SmallVec::new();
        let mut pulled = SmallVec::new();
        for part in &self.parts {
            let same = match &part.factor {
                Factor::Of(v) => known.iter().find(|(other, _)| is_same(v, other)).map(|(_, product)| product.clone()),
                Factor::Number(_) => None,
            };
            let product = match same {
                Some(product) => product,
                None => {
                    let product = self.product(cx, &part.factor, y_bar)?;
                    cx.stretch(&product, &self.shape, self.dtype)?
                }
            };
            if let Factor::Of(v) = &part.factor {
                known.push((v, product.clone()));
            }
            let cotangent = match part.shape.as_slice() {
                own if own == self.shape.as_slice() => product,
                [] => cx.apply(&SUM, &[product, Value::None, Value::Bool(false)])?,
                own => cx.sum_to(&product, own)?,
            };
            pulled.push((part.node, cotangent));
        }
        Ok(pulled)
    }

    fn product(&self, cx: &mut Cx, factor: &Factor, y_bar: &Value) -> Result<Value> {
        match (factor, y_bar) {
            (Factor::Of(v), Value::Float(Slot::CONST, 1.0)) => Ok(v.clone()),
            (Factor::Of(v), Value::Float(Slot::CONST, x)) if *x != 0.0 && x.is_finite() => {
                cx.apply(&MUL, &[v.clone(), y_bar.clone()])
            }
            (Factor::Of(v), _) => cx.zmul(y_bar, v),
            (Factor::Number(1.0), _) => Ok(y_bar.clone()),
            (Factor::Number(x), _) => cx.zmul(y_bar, &Value::float(*x)),
        }
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    matches!((a, b), (Value::Tensor(s, a), Value::Tensor(t, b)) if s == t && Rc::ptr_eq(a, b))
}
