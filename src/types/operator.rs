//! Operators: constants are folded, strings join, structures go leaf by leaf, all else is asked of the primitive.

use super::Checker;
use super::equality::{contains, equality, no_container};
use super::error::TypeError;
use super::leafwise::infer_prim;
use super::show::show_a;
use super::size::Num;
use super::ty::Ty;
use crate::error::Error;
use crate::resolve::Res;
use crate::source::Span;
use crate::syntax::ast::{BinOp, Expr, ExprKind};
use crate::tensor::DType;

impl Checker {
    pub(super) fn binary(&mut self, op: BinOp, a: &Expr, b: &Expr, span: Span) -> Ty {
        let left = self.expr(a);
        if matches!(op, BinOp::And | BinOp::Or) {
            return self.logic(op, &left, a, b, span);
        }
        let right = self.expr(b);
        if matches!(op, BinOp::Eq | BinOp::Ne) {
            self.record_again(a.id, &left);
            self.record_again(b.id, &right);
        }
        if self.frame.dead {
            return Ty::Never;
        }
        self.warn_binary(op, &left, &right, a, b, span);
        let ty = self.apply(op, &left, &right, [a.span, b.span], span, &[a, b]);
        match (&ty, &left, &right) {
            (Ty::Bool(None), Ty::Int(Num::Unknown), Ty::Int(Num::Known(n))) if self.is_positive(a) => {
                Ty::Bool(against_positive(op, *n))
            }
            _ => ty,
        }
    }

    /// `and`, `or`: the right side may not be reached.
    fn logic(&mut self, op: BinOp, left: &Ty, a: &Expr, b: &Expr, span: Span) -> Ty {
        let decides = op == BinOp::Or;
        match left {
            Ty::Bool(Some(x)) if *x == decides => Ty::Bool(Some(*x)),
            Ty::Bool(Some(_)) => self.expr(b),
            Ty::Bool(None) | Ty::Any => {
                let before = self.state();
                self.frame.branches += 1;
                let right = self.behind(a, |c| c.expr(b));
                self.frame.branches -= 1;
                let after = self.state();
                self.restore(before);
                self.join_state(&after);
                match (left, right) {
                    (Ty::Bool(_), Ty::Bool(Some(x))) if x == decides => Ty::Bool(Some(x)),
                    (Ty::Bool(_), Ty::Bool(_) | Ty::Never) => Ty::Bool(None),
                    _ => Ty::Any,
                }
            }
            _ => {
                let right = self.expr(b);
                for (i, ty) in [left, &right].into_iter().enumerate() {
                    let wrong = match ty {
                        Ty::Any | Ty::Never | Ty::Bool(_) => false,
                        Ty::Tensor(t) => t.dtype.is_some_and(|d| d != DType::Bool) && t.dims.is_some(),
                        _ => true,
                    };
                    if wrong {
                        let error = Error::new("E0311", format!("`{}` joins bools, not {}", op.symbol(), show_a(ty)))
                            .operand(i, format!("this is {}", show_a(ty)))
                            .help("compare first: x > 0 and y > 0");
                        let operands = vec![a.span, b.span];
                        return self.report(TypeError::Operation { error, operands, origins: vec![] }, span);
                    }
                }
                let name = if decides { "or" } else { "and" };
                self.operator(name, &[left.clone(), right], &[a.span, b.span], span)
            }
        }
    }

    pub(super) fn chain(&mut self, first: &Expr, rest: &[(BinOp, Expr)]) -> Ty {
        let mut left = self.expr(first);
        let mut left_expr = first;
        let mut all = Ty::Bool(Some(true));
        // What follows a comparison that is false is not reached.
        let mut perhaps = false;
        for (i, (op, e)) in rest.iter().enumerate() {
            match &all {
                Ty::Bool(Some(false)) => break,
                Ty::Bool(None) | Ty::Any if i > 0 => perhaps = true,
                _ => {}
            }
            let right = self.perhaps(perhaps, |c| c.expr(e));
            let span = left_expr.span.to(e.span);
            let spans = [left_expr.span, e.span];
            let one = self.perhaps(perhaps, |c| c.apply(*op, &left, &right, spans, span, &[]));
            all = match (&all, &one) {
                (Ty::Bool(Some(false)), _) | (_, Ty::Bool(Some(false))) => Ty::Bool(Some(false)),
                (Ty::Bool(Some(true)), _) => one,
                (Ty::Bool(_), Ty::Bool(_)) => Ty::Bool(None),
                (Ty::Any, _) | (_, Ty::Any) => Ty::Any,
                _ => self.operator("and", &[all.clone(), one], &[first.span, e.span], span),
            };
            (left, left_expr) = (right, e);
        }
        all
    }

    /// An operator on two values. Where `named` were made is told if they do not fit.
    pub(super) fn apply(
        &mut self,
        op: BinOp,
        left: &Ty,
        right: &Ty,
        spans: [Span; 2],
        span: Span,
        named: &[&Expr],
    ) -> Ty {
        match (op, left, right) {
            (_, Ty::Never, _) | (_, _, Ty::Never) => return Ty::Any,
            (BinOp::In | BinOp::NotIn, ..) => {
                if let Some(error) = no_container(right) {
                    let operands = spans.to_vec();
                    return self.report(TypeError::Operation { error, operands, origins: vec![] }, span);
                }
                return contains(op, left, right);
            }
            (_, Ty::Int(Num::Known(x)), Ty::Int(Num::Known(y))) => {
                if let Some(known) = fold(op, *x, *y) {
                    return known;
                }
            }
            (_, Ty::Int(x), Ty::Int(y)) => {
                if let Some(known) = fold_sizes(op, *x, *y) {
                    return known;
                }
            }
            (BinOp::Add, Ty::Str(x), Ty::Str(y)) => {
                let both = x.as_ref().zip(y.as_ref()).map(|(x, y)| format!("{x}{y}"));
                return Ty::Str(both.filter(|s| s.len() <= 64).map(Into::into));
            }
            (BinOp::Eq | BinOp::Ne, ..) => {
                if let Some(known) = equality(op, left, right) {
                    return known;
                }
            }
            (_, Ty::Str(_), Ty::Str(_)) if op.is_comparison() => return Ty::Bool(None),
            _ => {}
        }
        if *left == Ty::Any && certainly_no_number(right) || *right == Ty::Any && certainly_no_number(left) {
            return Ty::Any;
        }
        if let Some(error) = refuse(op, left, right) {
            return self.report(TypeError::Operation { error, operands: spans.to_vec(), origins: vec![] }, span);
        }
        let Some(prim) = names_of(op).iter().find_map(|name| crate::ops::find(name)) else { return Ty::Any };
        match infer_prim(prim, &[left.clone(), right.clone()]) {
            Ok(ty) => ty,
            Err(error) => {
                let origins = if error.0.operands.is_empty() { vec![] } else { self.origins_of(named) };
                self.report(TypeError::Operation { error, operands: spans.to_vec(), origins }, span)
            }
        }
    }

    /// A primitive by name on values; `Any` if there is none of that name.
    pub(super) fn operator(&mut self, name: &str, args: &[Ty], spans: &[Span], span: Span) -> Ty {
        if args.contains(&Ty::Never) {
            return Ty::Any;
        }
        let find = crate::ops::find;
        let prim = find(name).or_else(|| find(&format!("logical_{name}"))).or_else(|| find(&format!("{name}_")));
        let Some(prim) = prim else { return Ty::Any };
        match infer_prim(prim, args) {
            Ok(ty) => ty,
            Err(error) => self.report(TypeError::Operation { error, operands: spans.to_vec(), origins: vec![] }, span),
        }
    }

    /// Where operands were made that are mere names, or fields of them.
    pub(super) fn origins_of(&self, operands: &[&Expr]) -> Vec<(Span, String)> {
        let mut out = vec![];
        for e in operands {
            match &e.kind {
                ExprKind::Name(name) => {
                    let Some(Res::Local(local)) = self.resolution(e.id) else { continue };
                    let Some(Some(origin)) = self.frame.origins.get(local.0 as usize) else { continue };
                    // What a parameter of the library gets is told by the call (`tell_arguments`).
                    if !self.frame.module.is_library && matches!(self.frame.local(local), Ty::Tensor(_)) {
                        out.push((*origin, format!("`{name}` comes from here")));
                    }
                }
                ExprKind::Field { base, .. } => {
                    let Some(Res::Local(local)) = self.resolution(base.id) else { continue };
                    if let Ty::Struct(s) = self.frame.local(local)
                        && let Some(origin) = s.origin.0
                    {
                        out.push((origin, format!("this `{}` was made here", s.info.name)));
                    }
                }
                _ => {}
            }
        }
        out.retain(|(place, _)| !self.is_library_place(*place));
        out
    }
}

/// What arithmetic computes with.
fn computes(ty: &Ty) -> bool {
    matches!(ty, Ty::Int(_) | Ty::Float | Ty::Tensor(_)) || ty.is_structure()
}

fn certainly_no_number(ty: &Ty) -> bool {
    !matches!(ty, Ty::Any | Ty::Never | Ty::Bool(_)) && !computes(ty)
}

/// Operands that an operator does not work on, in the words of the machine.
fn refuse(op: BinOp, a: &Ty, b: &Ty) -> Option<Error> {
    let fits = |t: &Ty| match op {
        _ if matches!(t, Ty::Any | Ty::Never) => true,
        BinOp::MatMul => matches!(t, Ty::Tensor(_)),
        BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge => {
            matches!(t, Ty::Int(_) | Ty::Float | Ty::Bool(_) | Ty::Tensor(_))
        }
        BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Div | BinOp::FloorDiv | BinOp::Rem | BinOp::Pow => computes(t),
        _ => true,
    };
    if fits(a) && fits(b) {
        return None;
    }
    let message = match op {
        BinOp::MatMul => format!("`@` multiplies tensors, not {} and {}", show_a(a), show_a(b)),
        _ => format!("`{}` does not work on {} and {}", op.symbol(), show_a(a), show_a(b)),
    };
    let error = Error::new("E0310", message)
        .operand(0, format!("this is {}", show_a(a)))
        .operand(1, format!("this is {}", show_a(b)));
    Some(match (a, b) {
        _ if op == BinOp::MatMul => error.help("scale by a number with *"),
        (Ty::Str(_), Ty::Int(_)) | (Ty::Int(_), Ty::Str(_)) if op == BinOp::Mul => {
            error.help("to repeat text write repeat(text, n); to compute write float(text)")
        }
        (Ty::Str(_), Ty::Int(_) | Ty::Float) | (Ty::Int(_) | Ty::Float, Ty::Str(_)) => {
            error.help("to join text write f\"...{x}...\"; to compute write float(text)")
        }
        (Ty::None, _) | (_, Ty::None) => {
            error.help("one side has no value: a function without a last expression gives none")
        }
        (Ty::Bool(_), _) | (_, Ty::Bool(_)) => error.help("count with int(b), or choose with where(b, x, y)"),
        (Ty::Fn(_), _) | (_, Ty::Fn(_)) => error.help("call the function: f(x)"),
        _ => error,
    })
}

fn names_of(op: BinOp) -> &'static [&'static str] {
    match op {
        BinOp::Add => &["add"],
        BinOp::Sub => &["sub"],
        BinOp::Mul => &["mul"],
        BinOp::Div => &["div"],
        BinOp::FloorDiv => &["floordiv", "floor_div"],
        BinOp::Rem => &["rem", "mod"],
        BinOp::Pow => &["pow"],
        BinOp::MatMul => &["matmul"],
        BinOp::Eq => &["eq", "equal"],
        BinOp::Ne => &["ne", "not_equal"],
        BinOp::Lt => &["lt", "less"],
        BinOp::Le => &["le", "less_equal"],
        BinOp::Gt => &["gt", "greater"],
        BinOp::Ge => &["ge", "greater_equal"],
        BinOp::And => &["and", "logical_and"],
        BinOp::Or => &["or", "logical_or"],
        BinOp::In | BinOp::NotIn => &[],
    }
}

/// The same of a primitive, as arithmetic on tuples of ints has it.
pub(super) fn fold_prim(name: &str, parts: &[Ty]) -> Option<Ty> {
    let [Ty::Int(x), Ty::Int(y)] = parts else { return None };
    let op = [BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::FloorDiv, BinOp::Rem, BinOp::Pow];
    let op = op.into_iter().find(|op| names_of(*op).contains(&name))?;
    match (x, y) {
        (Num::Known(x), Num::Known(y)) => fold(op, *x, *y),
        _ => fold_sizes(op, *x, *y),
    }
}

/// Ints with known values; overflow and division by zero are left to run time.
fn fold(op: BinOp, x: i64, y: i64) -> Option<Ty> {
    let int = |n: Option<i64>| Some(Ty::Int(n.into()));
    match op {
        BinOp::Add => int(x.checked_add(y)),
        BinOp::Sub => int(x.checked_sub(y)),
        BinOp::Mul => int(x.checked_mul(y)),
        BinOp::FloorDiv if y != 0 => int(x.checked_div_euclid(y).map(|q| if y < 0 && q * y != x { q - 1 } else { q })),
        BinOp::Rem if y != 0 => int(x.checked_rem(y).map(|r| if r != 0 && (r < 0) != (y < 0) { r + y } else { r })),
        BinOp::Pow if (0..64).contains(&y) => int(u32::try_from(y).ok().and_then(|y| x.checked_pow(y))),
        BinOp::Eq => Some(Ty::Bool(Some(x == y))),
        BinOp::Ne => Some(Ty::Bool(Some(x != y))),
        BinOp::Lt => Some(Ty::Bool(Some(x < y))),
        BinOp::Le => Some(Ty::Bool(Some(x <= y))),
        BinOp::Gt => Some(Ty::Bool(Some(x > y))),
        BinOp::Ge => Some(Ty::Bool(Some(x >= y))),
        _ => None,
    }
}

/// The same for what may be expressions of variables.
fn fold_sizes(op: BinOp, x: Num, y: Num) -> Option<Ty> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let number = |n: Num| (n != Num::Unknown).then_some(Ty::Int(n));
    match (op, y) {
        (BinOp::Add, _) => return number(x + y),
        (BinOp::Sub, _) => return number(x - y),
        (BinOp::Mul, _) => return number(x * y),
        (BinOp::FloorDiv, Num::Known(k @ 1..)) => return number(x.floor_div(k)),
        _ if !op.is_comparison() => return None,
        _ => {}
    }
    let answer = |known: bool| Some(Ty::Bool(Some(known)));
    match (op, x.order(y)?) {
        (BinOp::Eq | BinOp::Le | BinOp::Ge, Equal) => answer(true),
        (BinOp::Ne | BinOp::Lt | BinOp::Gt, Equal) => answer(false),
        (BinOp::Eq, Less | Greater) => answer(false),
        (BinOp::Ne, Less | Greater) => answer(true),
        (BinOp::Lt | BinOp::Le, order) => answer(order == Less),
        (BinOp::Gt | BinOp::Ge, order) => answer(order == Greater),
        _ => None,
    }
}

/// A number of 1 or more compared with `n`.
fn against_positive(op: BinOp, n: i64) -> Option<bool> {
    match op {
        BinOp::Gt | BinOp::Ne if n < 1 => Some(true),
        BinOp::Ge if n <= 1 => Some(true),
        BinOp::Le | BinOp::Eq if n < 1 => Some(false),
        BinOp::Lt if n <= 1 => Some(false),
        _ => None,
    }
}
