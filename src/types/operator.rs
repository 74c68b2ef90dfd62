//! Operators: constants are folded, strings join, structures go leaf by leaf, all else is asked of the primitive.

use std::rc::Rc;

use super::Checker;
use super::error::TypeError;
use super::join::join;
use super::ty::{DictTy, StructTy, Ty};
use crate::error::{Error, Result};
use crate::ops::prim::{Eval, Prim};
use crate::source::Span;
use crate::syntax::ast::{BinOp, Expr};

impl Checker {
    pub(super) fn binary(&mut self, op: BinOp, a: &Expr, b: &Expr, span: Span) -> Ty {
        let left = self.expr(a);
        if matches!(op, BinOp::And | BinOp::Or) {
            return self.logic(op, &left, a, b, span);
        }
        let right = self.expr(b);
        if self.frame.dead {
            return Ty::Never;
        }
        self.warn_binary(op, &left, &right, a, b, span);
        let origins = self.origins_of(&[a, b]);
        self.apply(op, &left, &right, [a.span, b.span], span, origins)
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
                let right = self.expr(b);
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
                let name = if decides { "or" } else { "and" };
                self.operator(name, &[left.clone(), right], &[a.span, b.span], span)
            }
        }
    }

    pub(super) fn chain(&mut self, first: &Expr, rest: &[(BinOp, Expr)]) -> Ty {
        let mut left = self.expr(first);
        let mut left_expr = first;
        let mut all = Ty::Bool(Some(true));
        for (op, e) in rest {
            let right = self.expr(e);
            let span = left_expr.span.to(e.span);
            let one = self.apply(*op, &left, &right, [left_expr.span, e.span], span, vec![]);
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

    /// An operator on two values.
    pub(super) fn apply(
        &mut self,
        op: BinOp,
        left: &Ty,
        right: &Ty,
        spans: [Span; 2],
        span: Span,
        origins: Vec<(Span, String)>,
    ) -> Ty {
        match (op, left, right) {
            (_, Ty::Never, _) | (_, _, Ty::Never) => return Ty::Any,
            (BinOp::In | BinOp::NotIn, ..) => return contains(op, left, right),
            (_, Ty::Int(Some(x)), Ty::Int(Some(y))) => {
                if let Some(known) = fold(op, *x, *y) {
                    return known;
                }
            }
            (BinOp::Add, Ty::Str(x), Ty::Str(y)) => {
                let both = x.as_ref().zip(y.as_ref()).map(|(x, y)| format!("{x}{y}"));
                return Ty::Str(both.filter(|s| s.len() <= 64).map(Into::into));
            }
            (BinOp::Add, Ty::Str(_), Ty::Any) | (BinOp::Add, Ty::Any, Ty::Str(_)) => return Ty::Any,
            (BinOp::Mul, Ty::Str(_), _) | (BinOp::Mul, _, Ty::Str(_)) => return Ty::Any,
            (BinOp::Eq | BinOp::Ne, ..) => {
                if let Some(known) = equality(op, left, right) {
                    return known;
                }
            }
            (_, Ty::Str(_), Ty::Str(_)) if op.is_comparison() => return Ty::Bool(None),
            _ if op.is_comparison() && left.is_structure() && right.is_structure() => return Ty::Any,
            _ => {}
        }
        let args = [left.clone(), right.clone()];
        let Some(name) = names_of(op).iter().find(|n| self.prims.contains_key(*n)) else { return Ty::Any };
        let Some(prim) = self.prims.get(name).copied() else { return Ty::Any };
        match infer_prim(prim, &args) {
            Ok(ty) => ty,
            Err(error) => {
                let origins = if error.0.operands.is_empty() { vec![] } else { origins };
                self.report(TypeError::Operation { error, operands: spans.to_vec(), origins }, span)
            }
        }
    }

    /// A primitive by name on values; `Any` if there is none of that name.
    pub(super) fn operator(&mut self, name: &str, args: &[Ty], spans: &[Span], span: Span) -> Ty {
        if args.contains(&Ty::Never) {
            return Ty::Any;
        }
        let alternatives = [name, &format!("logical_{name}"), &format!("{name}_")].map(String::from);
        let Some(prim) = alternatives.iter().find_map(|n| self.prims.get(n.as_str()).copied()) else {
            return Ty::Any;
        };
        match infer_prim(prim, args) {
            Ok(ty) => ty,
            Err(error) => self.report(TypeError::Operation { error, operands: spans.to_vec(), origins: vec![] }, span),
        }
    }

    /// Where the values of operands that are mere names were made.
    pub(super) fn origins_of(&self, operands: &[&Expr]) -> Vec<(Span, String)> {
        use crate::syntax::ast::ExprKind;
        let mut out = vec![];
        for e in operands {
            let ExprKind::Name(name) = &e.kind else { continue };
            let Some(crate::resolve::Res::Local(local)) = self.resolution(e.id) else { continue };
            let Some(Some(origin)) = self.frame.origins.get(local.0 as usize) else { continue };
            if matches!(self.frame.local(local), Ty::Tensor(_)) {
                out.push((*origin, format!("`{name}` comes from here")));
            }
        }
        out
    }
}

/// What a primitive says of these types; elementwise ones go into structures.
pub(super) fn infer_prim(prim: &Prim, args: &[Ty]) -> Result<Ty> {
    if matches!(prim.eval, Eval::Elementwise(_)) && args.iter().any(Ty::is_structure) {
        return infer_leafwise(prim, args, 0);
    }
    let plain: Vec<Ty> = args.iter().map(plain).collect();
    (prim.infer)(&plain)
}

/// As `infer` rules know it.
pub(super) fn plain(ty: &Ty) -> Ty {
    match ty {
        Ty::RangeOf(_) => Ty::Range,
        Ty::Never => Ty::Any,
        other => other.clone(),
    }
}

fn infer_leafwise(prim: &Prim, args: &[Ty], depth: usize) -> Result<Ty> {
    let Some(lead) = args.iter().find(|a| a.is_structure()) else { return infer_prim(prim, args) };
    if depth > 16 || args.iter().any(|a| matches!(a, Ty::Any)) {
        return Ok(Ty::Any);
    }
    for (i, other) in args.iter().enumerate().filter(|(_, a)| a.is_structure()) {
        differ(prim, lead, other, i)?;
    }
    let part = |i: usize| -> Result<Ty> {
        let parts: Vec<Ty> = args.iter().map(|a| part_of(a, i)).collect();
        infer_part(prim, &parts, depth)
    };
    match lead {
        Ty::Tuple(items) => Ok(Ty::tuple((0..items.len()).map(part).collect::<Result<_>>()?)),
        Ty::List(_) => {
            let length = args.iter().find_map(|a| match a {
                Ty::List(l) => l.items.as_ref().map(Vec::len),
                _ => None,
            });
            let all_known = args.iter().all(|a| !matches!(a, Ty::List(l) if l.items.is_none()));
            match length {
                Some(n) if all_known => Ok(Ty::list((0..n).map(part).collect::<Result<_>>()?)),
                _ => {
                    let parts: Vec<Ty> = args.iter().map(element_of).collect();
                    Ok(Ty::list_of(infer_part(prim, &parts, depth).unwrap_or(Ty::Any)))
                }
            }
        }
        Ty::Dict(dict) => match &dict.items {
            Some(items) if args.iter().all(|a| !matches!(a, Ty::Dict(d) if d.items.is_none())) => {
                let mut out = vec![];
                for (i, (key, _)) in items.iter().enumerate() {
                    out.push((key.clone(), part(i)?));
                }
                let value = out.iter().fold(Ty::Never, |a, (_, t)| join(&a, t));
                Ok(Ty::Dict(Rc::new(DictTy { items: Some(out), value })))
            }
            _ => Ok(Ty::Dict(Rc::new(DictTy { items: None, value: Ty::Any }))),
        },
        Ty::Struct(s) => {
            let mut fields = vec![];
            for (i, field) in s.info.fields.iter().enumerate() {
                if field.nograd {
                    let all = args.iter().filter(|a| a.is_structure()).map(|a| part_of(a, i));
                    fields.push(all.into_iter().find(|t| *t != Ty::None).unwrap_or(Ty::None));
                } else {
                    fields.push(part(i)?);
                }
            }
            Ok(Ty::Struct(Rc::new(StructTy { info: s.info.clone(), fields, origin: s.origin })))
        }
        _ => Ok(Ty::Any),
    }
}

/// One leaf. A `none` adds nothing and scales to `none`; what is no number is left to run time.
fn infer_part(prim: &Prim, parts: &[Ty], depth: usize) -> Result<Ty> {
    if parts.contains(&Ty::None) {
        let adds = matches!(prim.name, "add" | "sub") && parts.len() == 2;
        let kept = parts.iter().find(|t| **t != Ty::None);
        return Ok(match kept {
            Some(_) if parts.contains(&Ty::Any) => Ty::Any,
            Some(ty) if adds => super::join::widen(ty, super::join::Widen::Constants),
            _ => Ty::None,
        });
    }
    if parts.iter().any(Ty::is_structure) {
        return infer_leafwise(prim, parts, depth + 1);
    }
    let numeric = |t: &Ty| matches!(t, Ty::Float | Ty::Int(_) | Ty::Bool(_) | Ty::Tensor(_));
    if !parts.iter().all(numeric) {
        return Ok(Ty::Any);
    }
    infer_prim(prim, parts)
}

fn part_of(ty: &Ty, i: usize) -> Ty {
    match ty {
        Ty::Tuple(items) => items.get(i).cloned().unwrap_or_default(),
        Ty::List(list) => list.items.as_ref().and_then(|l| l.get(i)).cloned().unwrap_or_default(),
        Ty::Dict(dict) => dict.items.as_ref().and_then(|d| d.get(i)).map(|e| e.1.clone()).unwrap_or_default(),
        Ty::Struct(s) => s.fields.get(i).cloned().unwrap_or_default(),
        other => other.clone(),
    }
}

fn element_of(ty: &Ty) -> Ty {
    match ty {
        Ty::List(list) if list.element == Ty::Never => Ty::Any,
        Ty::List(list) => list.element.clone(),
        other => other.clone(),
    }
}

/// An error if two structures are certainly built differently.
fn differ(prim: &Prim, a: &Ty, b: &Ty, at: usize) -> Result<()> {
    let fits = match (a, b) {
        (Ty::Tuple(x), Ty::Tuple(y)) => x.len() == y.len(),
        (Ty::List(x), Ty::List(y)) => match (&x.items, &y.items) {
            (Some(x), Some(y)) => x.len() == y.len(),
            _ => true,
        },
        (Ty::Dict(x), Ty::Dict(y)) => match (&x.items, &y.items) {
            (Some(x), Some(y)) => x.iter().map(|e| &e.0).eq(y.iter().map(|e| &e.0)),
            _ => true,
        },
        (Ty::Struct(x), Ty::Struct(y)) => x.info == y.info,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let what = |ty: &Ty| match ty {
        Ty::List(l) => match &l.items {
            Some(items) => format!("a list of {}", items.len()),
            None => "a list".into(),
        },
        Ty::Dict(d) => match &d.items {
            Some(items) => {
                format!("a dict with {}", items.iter().map(|e| &*e.0).collect::<Vec<_>>().join(", "))
            }
            None => "a dict".into(),
        },
        other => super::show::show_a(other),
    };
    Err(Error::new("E0304", format!("`{}` acts leaf by leaf, and these two are built differently", prim.name))
        .operand(0, format!("this is {}", what(a)))
        .operand(at, format!("this is {}", what(b)))
        .help("use concat(...) or + on lists of equal length; to join two lists, extend(&a, b)"))
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

/// Ints with known values; overflow and division by zero are left to run time.
fn fold(op: BinOp, x: i64, y: i64) -> Option<Ty> {
    let int = |n: Option<i64>| Some(Ty::Int(n));
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

/// `==` and `!=` as far as they do not work elementwise.
fn equality(op: BinOp, a: &Ty, b: &Ty) -> Option<Ty> {
    let answer = |same: Option<bool>| Some(Ty::Bool(same.map(|s| s == (op == BinOp::Eq))));
    let tensor = |t: &Ty| matches!(t, Ty::Tensor(_));
    match (a, b) {
        (Ty::Any, t) | (t, Ty::Any) => Some(if tensor(t) || *t == Ty::Any { Ty::Any } else { any_equality(t) }),
        (Ty::Bool(Some(x)), Ty::Bool(Some(y))) => answer(Some(x == y)),
        (Ty::Str(Some(x)), Ty::Str(Some(y))) => answer(Some(x == y)),
        (Ty::DType(Some(x)), Ty::DType(Some(y))) => answer(Some(x == y)),
        (Ty::None, Ty::None) => answer(Some(true)),
        (Ty::Tuple(x), Ty::Tuple(y)) => answer(same_tuples(x, y)),
        (Ty::None, _) | (_, Ty::None) => answer(Some(false)),
        _ if tensor(a) || tensor(b) => None,
        (Ty::Int(_) | Ty::Float | Ty::Bool(_), Ty::Int(_) | Ty::Float | Ty::Bool(_)) => answer(None),
        _ if a.is_structure() || b.is_structure() => Some(Ty::Any),
        _ => answer(None),
    }
}

/// Compared with something unknown, which may be a tensor and then works elementwise.
fn any_equality(known: &Ty) -> Ty {
    match known {
        Ty::Str(_) | Ty::None | Ty::DType(_) => Ty::Bool(None),
        _ => Ty::Any,
    }
}

/// Tuples of known ints, as shapes are.
fn same_tuples(x: &[Ty], y: &[Ty]) -> Option<bool> {
    if x.len() != y.len() {
        return Some(false);
    }
    let mut all = Some(true);
    for (a, b) in x.iter().zip(y) {
        match (a, b) {
            (Ty::Int(Some(a)), Ty::Int(Some(b))) if a == b => {}
            (Ty::Int(Some(_)), Ty::Int(Some(_))) => return Some(false),
            _ => all = None,
        }
    }
    all
}

fn contains(op: BinOp, item: &Ty, all: &Ty) -> Ty {
    if let (Ty::Str(Some(key)), Ty::Dict(d)) = (item, all)
        && let Some(items) = &d.items
    {
        let found = items.iter().any(|(k, _)| k == key);
        return Ty::Bool(Some(found == (op == BinOp::In)));
    }
    match all {
        Ty::Any => Ty::Any,
        _ => Ty::Bool(None),
    }
}
