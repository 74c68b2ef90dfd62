//! Which expressions become formulas.

use std::cell::Cell;
use std::rc::Rc;

use crate::bytecode::formula::{Binary, Formula, MOST, Step, Total, Unary};
use crate::bytecode::op::{Count, Op, Reg};
use crate::compile::FnCompiler;
use crate::compile::literal::{Number, number};
use crate::ops::elementwise::POW;
use crate::ops::lanes::{Elementwise, Ints, Scalar};
use crate::ops::prim::{Diff, Eval, Prim};
use crate::resolve::Res;
use crate::syntax::ast::*;
use crate::value::Value;

thread_local! {
    /// False: no formulas are made, every operation is an instruction of its own.
    static FUSION: Cell<bool> = Cell::new(std::env::var_os("DLANG_FUSION").is_none_or(|wish| wish != "off"));
}

/// Whether what this thread compiles from now on has formulas. Without, it computes the same, more slowly: a way to find out whether a
/// formula is to blame. The environment variable `DLANG_FUSION=off` does it from the start.
pub fn set_fusion(on: bool) {
    FUSION.set(on);
}

/// A formula in the making.
#[derive(Default)]
struct Draft<'e> {
    /// Variables and the parts that are no scalar operations, in order of evaluation.
    leaves: Vec<&'e Expr>,
    constants: Vec<(f64, bool)>,
    /// Steps whose operands are not numbered yet.
    steps: Vec<Planned>,
    /// A part is evaluated that may do anything, after an operation.
    disorder: bool,
}

#[derive(Clone, Copy)]
enum Part {
    Leaf(usize),
    Constant(usize),
    Step(usize),
}

#[derive(Clone, Copy)]
struct Planned {
    what: What,
    a: Part,
    b: Part,
}

#[derive(Clone, Copy)]
enum What {
    Operator(BinOp),
    Neg,
    Unary(Unary),
    Binary(Binary),
}

impl FnCompiler<'_> {
    /// An expression of several scalar operations: a formula, and behind it the instructions for all other values.
    /// False if it is none.
    pub fn formula(&mut self, e: &Expr, dst: Reg) -> bool {
        if self.one_by_one || !FUSION.get() {
            return false;
        }
        let (total, inner) = self.total(e).map_or((None, e), |(total, inner)| (Some(total), inner));
        if !self.is_operation(inner) {
            return false;
        }
        let mut draft = Draft::default();
        self.draft(inner, &mut draft);
        let values = draft.leaves.len() + draft.constants.len() + draft.steps.len();
        let worth = total.is_some() || draft.steps.len() > 2 || draft.steps.len() == 2 && !is_mul_add(e);
        if !worth || draft.disorder || values > MOST || draft.leaves.iter().any(|leaf| self.may_assign(leaf)) {
            return false;
        }
        let before = self.leaves.len();
        let mut registers: Vec<Reg> = vec![];
        let mut places = vec![];
        for leaf in &draft.leaves {
            let reg = self.operand(leaf);
            self.leaves.push((leaf.id, reg));
            let known = registers.iter().position(|r| *r == reg);
            places.push(known.unwrap_or_else(|| {
                registers.push(reg);
                registers.len() - 1
            }));
        }
        let number = |part: Part| match part {
            Part::Leaf(i) => places[i] as u8,
            Part::Constant(i) => (registers.len() + i) as u8,
            Part::Step(i) => (registers.len() + draft.constants.len() + i) as u8,
        };
        let steps = draft.steps.iter().map(|s| {
            let (a, b) = (number(s.a), number(s.b));
            match s.what {
                What::Operator(BinOp::Add) => Step::Add(a, b),
                What::Operator(BinOp::Sub) => Step::Sub(a, b),
                What::Operator(BinOp::Mul) => Step::Mul(a, b),
                What::Operator(_) => Step::Div(a, b),
                What::Neg => Step::Neg(a),
                What::Unary(u) => Step::Unary(a, u),
                What::Binary(f) => Step::Binary(a, b, f),
            }
        });
        let steps = steps.collect();
        let ints = draft.constants.iter().enumerate().filter(|(_, (_, int))| *int);
        let ints = ints.fold(0, |mask, (i, _)| mask | 1 << (registers.len() + i));
        let constants = draft.constants.iter().map(|(x, _)| *x).collect();
        let formula = Formula::new(registers, constants, steps, ints).with_total(total);
        // All ints as written: `2 * 3`, or a power of one.
        let useful = formula.is_float(0);
        let at = self.writer.chunk.code.len();
        if useful {
            self.writer.chunk.formulas.push(Rc::new(formula));
            let formula = self.writer.table(self.writer.chunk.formulas.len());
            let words = Count(0);
            let op =
                if total.is_some() { Op::Total { dst, formula, words } } else { Op::Formula { dst, formula, words } };
            self.emit(op, e.span);
        }
        self.one_by_one = true;
        self.expr_inner(e, dst);
        self.one_by_one = false;
        self.leaves.truncate(before);
        if useful {
            self.writer.skip_from(at);
        }
        true
    }

    /// The register of a formula's part that was computed before.
    pub fn leaf(&self, id: NodeId) -> Option<Reg> {
        self.leaves.iter().rev().find(|(leaf, _)| *leaf == id).map(|(_, reg)| *reg)
    }

    fn draft<'e>(&self, e: &'e Expr, draft: &mut Draft<'e>) -> Part {
        if let Some(n) = number(e) {
            return constant(draft, n);
        }
        match &e.kind {
            ExprKind::Name(_) => {
                if let Res::Constant(x) = self.res(e.id) {
                    return constant(draft, Number::Float(x));
                }
            }
            ExprKind::Unary(UnOp::Neg, x) => {
                let a = self.draft(x, draft);
                return step(draft, What::Neg, a, a);
            }
            ExprKind::Binary(op @ (BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Div), x, y) => {
                let a = self.draft(x, draft);
                let b = self.draft(y, draft);
                return step(draft, What::Operator(*op), a, b);
            }
            ExprKind::Binary(BinOp::Pow, x, y) => {
                if let Some(power) = power(y) {
                    let a = self.draft(x, draft);
                    return match power {
                        What::Unary(_) => step(draft, power, a, a),
                        _ => {
                            let b = self.draft(y, draft);
                            step(draft, power, a, b)
                        }
                    };
                }
            }
            ExprKind::Call { callee, args } => match (self.scalar_function(callee, args), &args[..]) {
                (Some(f), [x]) => {
                    let a = self.draft(&x.value, draft);
                    return step(draft, f, a, a);
                }
                (Some(f), [x, y]) => {
                    let a = self.draft(&x.value, draft);
                    let b = self.draft(&y.value, draft);
                    return step(draft, f, a, b);
                }
                _ => {}
            },
            _ => {}
        }
        draft.disorder |= !draft.steps.is_empty() && !is_quiet(e);
        draft.leaves.push(e);
        Part::Leaf(draft.leaves.len() - 1)
    }

    fn is_operation(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Unary(UnOp::Neg, _) => number(e).is_none(),
            ExprKind::Binary(BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Div, ..) => true,
            ExprKind::Binary(BinOp::Pow, _, y) => power(y).is_some(),
            ExprKind::Call { callee, args } => self.scalar_function(callee, args).is_some(),
            _ => false,
        }
    }

    /// `sum(x)` or `mean(x)`, over all elements.
    fn total<'e>(&self, e: &'e Expr) -> Option<(Total, &'e Expr)> {
        let ExprKind::Call { callee, args } = &e.kind else { return None };
        let (ExprKind::Name(_), [x]) = (&callee.kind, &args[..]) else { return None };
        let Res::Prim(prim) = self.res(callee.id) else { return None };
        let total = match prim.name {
            "sum" => Total::Sum,
            "mean" => Total::Mean,
            _ => return None,
        };
        (!x.inout && x.name.is_none()).then_some((total, &x.value))
    }

    /// The elementwise primitive of one or two arguments that is called.
    fn scalar_function(&self, callee: &Expr, args: &[Arg]) -> Option<What> {
        let ExprKind::Name(_) = &callee.kind else { return None };
        let Res::Prim(prim) = self.res(callee.id) else { return None };
        if prim.sig.params.len() != args.len() || args.iter().any(|a| a.inout || a.name.is_some()) {
            return None;
        }
        let e = elementwise(prim)?;
        if e.special.is_some() {
            return None;
        }
        what(e)
    }
}

fn constant(draft: &mut Draft<'_>, n: Number) -> Part {
    draft.constants.push(match n {
        Number::Int(i) => (i as f64, true),
        Number::Float(x) => (x, false),
    });
    Part::Constant(draft.constants.len() - 1)
}

fn step(draft: &mut Draft<'_>, what: What, a: Part, b: Part) -> Part {
    draft.steps.push(Planned { what, a, b });
    Part::Step(draft.steps.len() - 1)
}

/// The inside of a primitive whose scalars are plain functions.
fn elementwise(prim: &'static Prim) -> Option<&'static Elementwise> {
    match (&prim.eval, &prim.diff) {
        (Eval::Elementwise(e), Diff::Elementwise) if e.check.is_none() => Some(e),
        _ => None,
    }
}

fn what(e: &'static Elementwise) -> Option<What> {
    let promotes = matches!(e.ints, Ints::Promote);
    match &e.scalar {
        Scalar::Unary { f, d } => Some(What::Unary(Unary { f: *f, d: *d, promotes, inside: e })),
        Scalar::Binary { f, d } => Some(What::Binary(Binary { f: *f, d, promotes, inside: e })),
        Scalar::Ternary { .. } => None,
    }
}

/// `x ^ y` for a written `y`, with a base that is a float.
fn power(y: &Expr) -> Option<What> {
    let n = number(y)?;
    let e = elementwise(&POW)?;
    let special = e.special.and_then(|special| special(&[Value::float(1.0), n.value()]));
    match what(special.unwrap_or(e))? {
        // A power of an int may be one.
        What::Unary(u) => Some(What::Unary(Unary { promotes: false, ..u })),
        other => Some(other),
    }
}

/// `a * b + c` and its kin have an instruction of their own.
fn is_mul_add(e: &Expr) -> bool {
    let product = |e: &Expr| matches!(&e.kind, ExprKind::Binary(BinOp::Mul, ..));
    matches!(&e.kind, ExprKind::Binary(BinOp::Add | BinOp::Sub, a, b) if product(a) || product(b))
}

/// True for what does nothing but give a value or an error, so that it may be computed earlier.
fn is_quiet(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Name(_) | ExprKind::Int(_) | ExprKind::Float(_) => true,
        ExprKind::Field { base, .. } => is_quiet(base),
        ExprKind::Unary(_, x) => is_quiet(x),
        ExprKind::Binary(_, a, b) => is_quiet(a) && is_quiet(b),
        ExprKind::Index { base, items } => {
            is_quiet(base) && items.iter().all(|i| matches!(i, IndexItem::At(e) if is_quiet(e)))
        }
        _ => false,
    }
}
