//! A function of a large tensor by itself, `gelu(x)`, whose slope takes as long as its value and has much in common with it: a formula of
//! one step, which computes both at once.

use std::rc::Rc;

use crate::ad::Cx;
use crate::ad::formula_tensors::Fate;
use crate::bytecode::formula::{Formula, Step, Unary};
use crate::bytecode::op::Reg;
use crate::error::Result;
use crate::ops::arith::{ABS, DIV, NEG};
use crate::ops::lanes::{Elementwise, Ints, Scalar};
use crate::ops::num::Ex;
use crate::ops::prim::{Diff, Eval, Prim};
use crate::tensor::count;
use crate::value::Value;

/// Elements of a tensor from which on it is large.
const LARGE: usize = 1024;

/// The formulas of functions by themselves, as far as they were wanted; none for those that have little in common with their slope.
#[derive(Default)]
pub struct Alone(Vec<(&'static Prim, Option<Rc<Formula>>)>);

impl Alone {
    fn formula(&mut self, prim: &'static Prim) -> Option<Rc<Formula>> {
        if let Some((_, known)) = self.0.iter().find(|(known, _)| std::ptr::eq(*known, prim)) {
            return known.clone();
        }
        let made = formula(prim);
        self.0.push((prim, made.clone()));
        made
    }
}

fn formula(prim: &'static Prim) -> Option<Rc<Formula>> {
    let (Eval::Elementwise(e), Diff::Elementwise) = (&prim.eval, &prim.diff) else { return None };
    let inside: &'static Elementwise = e;
    let Scalar::Unary { f, d } = &inside.scalar else { return None };
    let partials = (inside.partials)();
    let slope = partials.first()?;
    // Of the value alone a slope is made in no time.
    if inside.check.is_some() || inside.special.is_some() || slope.reads() & 1 == 0 || !is_slow(slope) {
        return None;
    }
    let unary = Unary { f: *f, d: *d, promotes: matches!(inside.ints, Ints::Promote), inside };
    Some(Rc::new(Formula::new(vec![Reg(0)], vec![], vec![Step::Unary(0, unary)], 0)))
}

fn is_slow(slope: &Ex) -> bool {
    match slope {
        Ex::Const(_) | Ex::Arg(_) => false,
        Ex::Unary(prim, a) => !(std::ptr::eq(*prim, &NEG) || std::ptr::eq(*prim, &ABS)) || is_slow(a),
        Ex::Binary(prim, a, b) => std::ptr::eq(*prim, &DIV) || is_slow(a) || is_slow(b),
        Ex::Select(_, parts) => parts.iter().any(is_slow),
    }
}

impl Cx {
    /// Records such a function at the outermost level and gives `out` its value; false, with nothing done, for others.
    pub(super) fn record_alone(&mut self, prim: &'static Prim, args: &[Value], out: &mut Value) -> Result<bool> {
        let [Value::Tensor(_, t)] = args else { return Ok(false) };
        if count(t.shape()) < LARGE || !t.dtype().is_float() {
            return Ok(false);
        }
        let Some(formula) = self.alone.formula(prim) else { return Ok(false) };
        self.formula_of_tensors(&formula, args, out, &|_| Fate::Read)
    }
}
