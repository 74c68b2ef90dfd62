//! `x * y + z` and its kin on tensors: one formula, as other expressions of several operations are, though it has an instruction of its
//! own for numbers.

use std::mem::ManuallyDrop;
use std::rc::Rc;

use crate::ad::Cx;
use crate::ad::formula_tensors::Fate;
use crate::bytecode::formula::{Formula, Step};
use crate::bytecode::op::{Op, Reg};
use crate::error::Result;
use crate::value::Value;

/// The formulas of the words that follow a product.
pub struct Products {
    plus: Rc<Formula>,
    plus_to: Rc<Formula>,
    minus: Rc<Formula>,
    minus_from: Rc<Formula>,
}

impl Default for Products {
    fn default() -> Products {
        let formula =
            |join| Rc::new(Formula::new(vec![Reg(0), Reg(1), Reg(2)], vec![], vec![Step::Mul(0, 1), join], 0));
        Products {
            plus: formula(Step::Add(3, 2)),
            plus_to: formula(Step::Add(2, 3)),
            minus: formula(Step::Sub(3, 2)),
            minus_from: formula(Step::Sub(2, 3)),
        }
    }
}

impl Cx {
    /// Gives `out` a product of `a` and `b` joined with `c` as `word` tells, if a tensor is among them; false if it has to be computed
    /// operation by operation.
    pub fn joined_product(&mut self, word: Op, [a, b, c]: [&Value; 3], out: &mut Value) -> Result<bool> {
        if ![a, b, c].iter().any(|v| matches!(v, Value::Tensor(..))) {
            return Ok(false);
        }
        let products = &self.products;
        let formula = match word {
            Op::Plus { .. } => &products.plus,
            Op::PlusTo { .. } => &products.plus_to,
            Op::Minus { .. } => &products.minus,
            _ => &products.minus_from,
        };
        // SAFETY: values that are never dropped, and only read as long as those that they are copies of are borrowed.
        let operands = unsafe { ManuallyDrop::new([a.alias(), b.alias(), c.alias()]) };
        self.formula_of_tensors(&formula.clone(), &*operands, out, &|_| Fate::Read)
    }
}
