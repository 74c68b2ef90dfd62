//! `x * y + z` and its kin on tensors: one formula, as other expressions of several operations are, though it has an instruction of its
//! own for numbers.

use std::mem::ManuallyDrop;
use std::rc::Rc;

use crate::ad::Cx;
use crate::ad::formula_tensors::Fate;
use crate::bytecode::formula::{Binary, Formula, Step};
use crate::bytecode::op::{Op, Reg};
use crate::error::Result;
use crate::ops::elementwise::ZMUL;
use crate::ops::lanes::{Ints, Scalar};
use crate::ops::prim::Eval;
use crate::value::Value;

/// The formulas of the words that follow a product.
pub struct Products {
    plus: Rc<Formula>,
    plus_to: Rc<Formula>,
    minus: Rc<Formula>,
    minus_from: Rc<Formula>,
    /// See [`Products::sum_of`], for two products and more.
    sums: Vec<Rc<Formula>>,
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
            sums: (2..=MOST).filter_map(sum_of).collect(),
        }
    }
}

/// Products in a sum, at most.
const MOST: usize = 6;

/// `a b + c d + ...` for `n` pairs of registers, with products in which a zero on the left wins.
fn sum_of(n: usize) -> Option<Rc<Formula>> {
    let Eval::Elementwise(inside) = &ZMUL.eval else { return None };
    let Scalar::Binary { f, d } = &inside.scalar else { return None };
    let product = Binary { f: *f, d, promotes: matches!(inside.ints, Ints::Promote), inside };
    let first = 2 * n as u8;
    let mut steps: Vec<Step> = (0..n as u8).map(|i| Step::Binary(2 * i, 2 * i + 1, product)).collect();
    let mut sum = first;
    for i in 1..n as u8 {
        steps.push(Step::Add(sum, first + i));
        sum = first + n as u8 + i - 1;
    }
    Some(Rc::new(Formula::new((0..first.into()).map(Reg).collect(), vec![], steps, 0)))
}

impl Products {
    /// The sum of so many products of tangents and slopes, if that is a formula.
    pub fn sum_of(&self, products: usize) -> Option<Rc<Formula>> {
        self.sums.get(products.checked_sub(2)?).cloned()
    }
}

impl Cx {
    /// Gives `out` a product of `a` and `b` joined with `c` as `word` tells, if a tensor is among them; false if it has to be computed
    /// operation by operation.
    pub fn joined_product(&mut self, word: Op, [a, b, c]: [&Value; 3], out: &mut Value) -> Result<bool> {
        if ![a, b, c].iter().any(|v| matches!(v, Value::Tensor(..) | Value::Batched(..))) {
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
