//! What certainly has an element: ints of 1 or more, ranges up to them, and what an `assert` tells of a length.
//!
//! Types know it of tensors (`Dim::Some`) and lists (`filled`); of ints it is read off the expression that makes them, and
//! kept for names bound with `let`.

use super::Checker;
use super::pattern::Count;
use super::ty::{Dim, FnTy, ListTy, TensorTy, Ty};
use crate::resolve::{GlobalKind, LocalId, Res};
use crate::syntax::ast::{Arg, BinOp, Expr, ExprKind, IndexItem, Pattern, UnOp};
use std::rc::Rc;

impl Checker {
    /// True if the expression certainly is an int of 1 or more.
    pub(super) fn is_positive(&mut self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Int(n) => *n >= 1,
            ExprKind::Name(_) => {
                matches!(self.peek(e), Some(Ty::Int(Some(1..))))
                    || match self.resolution(e.id) {
                        Some(Res::Local(local)) => self.frame.positive.contains(&local),
                        Some(Res::Global(id)) => self.positive.contains(&id),
                        _ => false,
                    }
            }
            ExprKind::Binary(BinOp::Mul | BinOp::Add, a, b) => self.is_positive(a) && self.is_positive(b),
            ExprKind::Index { base, items } => match (&base.kind, items.as_slice()) {
                (ExprKind::Field { base, name }, [IndexItem::At(axis)]) if &*name.name == "shape" => {
                    let dims = self.peek(base).and_then(|ty| ty.dims());
                    let at = |dims: &[Dim], axis: i64| {
                        let n = i64::try_from(dims.len()).ok()?;
                        dims.get(usize::try_from(if axis < 0 { axis.checked_add(n)? } else { axis }).ok()?).copied()
                    };
                    match (dims, literal(axis)) {
                        (Some(dims), Some(axis)) => at(&dims, axis).is_some_and(|d| Count::of_dim(d).is_some()),
                        _ => false,
                    }
                }
                _ => false,
            },
            ExprKind::Field { base, name } if &*name.name == "size" => {
                let dims = self.peek(base).and_then(|ty| ty.dims());
                dims.is_some_and(|dims| dims.iter().all(|d| Count::of_dim(*d).is_some()))
            }
            _ => match self.measured(e) {
                Some(x) => self.has_element(x),
                None => false,
            },
        }
    }

    /// The type of a name, or of a field of one; `None` for what would have to be followed.
    pub(super) fn peek(&mut self, e: &Expr) -> Option<Ty> {
        match &e.kind {
            ExprKind::Name(_) => match self.resolution(e.id)? {
                Res::Local(local) => Some(self.frame.local(local)),
                Res::Global(id) => Some(self.stored_global(id)),
                _ => None,
            },
            ExprKind::Field { base, name } => match self.peek(base)? {
                Ty::Struct(s) => s.fields.get(s.info.field(&name.name)?).cloned(),
                _ => None,
            },
            _ => None,
        }
    }

    fn has_element(&mut self, e: &Expr) -> bool {
        let Some(ty) = self.peek(e) else { return false };
        self.items(&ty).joined().is_some_and(|(_, count)| count.is_some())
    }

    /// True for `lo..hi` that has an element, if `hi` is not known.
    pub(super) fn reaches(&mut self, lo: &Ty, hi: &Expr, inclusive: bool) -> bool {
        matches!(lo, Ty::Int(Some(lo)) if *lo <= i64::from(inclusive)) && self.is_positive(hi)
    }

    /// After `let pattern = value`: which names are positive from here on.
    pub(super) fn note_positive(&mut self, pattern: &Pattern, value: &Expr) {
        match (pattern, &value.kind) {
            (Pattern::Name { id, .. }, _) => {
                let positive = self.is_positive(value);
                self.set_positive(*id, positive);
            }
            (Pattern::Tuple(parts, _), ExprKind::Tuple(values)) if parts.len() == values.len() => {
                parts.iter().zip(values).for_each(|(p, v)| self.note_positive(p, v));
            }
            (Pattern::Tuple(parts, _), ExprKind::Field { base, name }) if &*name.name == "shape" => {
                let dims = self.peek(base).and_then(|ty| ty.dims()).unwrap_or_default();
                for (part, dim) in parts.iter().zip(dims) {
                    if let Pattern::Name { id, .. } = part {
                        self.set_positive(*id, Count::of_dim(dim).is_some());
                    }
                }
            }
            _ => {}
        }
    }

    fn set_positive(&mut self, id: crate::syntax::ast::NodeId, positive: bool) {
        match self.resolution(id) {
            Some(Res::Local(local)) if positive => drop(self.frame.positive.insert(local)),
            Some(Res::Local(local)) => drop(self.frame.positive.remove(&local)),
            Some(Res::Global(id)) => {
                let module = self.module(id.module.0);
                let global = module.as_ref().and_then(|m| m.resolved.globals.get(id.index as usize));
                let constant = global.is_some_and(|g| !g.mutable && matches!(g.kind, GlobalKind::Variable));
                if positive && constant {
                    self.positive.insert(id);
                } else {
                    self.positive.remove(&id);
                }
            }
            _ => {}
        }
    }

    /// `range(n)`, `range(0, n, size)` as far as it has an element.
    pub(super) fn refine_range(&mut self, f: &Ty, args: &[Arg], ty: Ty) -> Ty {
        if ty != Ty::Range || *f != Ty::Fn(FnTy::Builtin("range")) || args.iter().any(|a| a.name.is_some()) {
            return ty;
        }
        let some = match args {
            [stop] => self.is_positive(&stop.value),
            [start, stop, step @ ..] => {
                literal(&start.value).is_some_and(|n| n <= 0)
                    && self.is_positive(&stop.value)
                    && step.iter().all(|step| self.is_positive(&step.value))
            }
            [] => false,
        };
        super::join::range(some)
    }

    /// After `assert(len(xs) > 0)` there is an element.
    pub(super) fn learn(&mut self, f: &Ty, args: &[Arg]) {
        if *f != Ty::Fn(FnTy::Builtin("assert")) {
            return;
        }
        let Some(Arg { value: Expr { kind: ExprKind::Binary(op, a, b), .. }, .. }) = args.first() else { return };
        if !matches!((op, literal(b)), (BinOp::Gt | BinOp::Ne, Some(0)) | (BinOp::Ge, Some(1))) {
            return;
        }
        if let Some(x) = self.measured(a)
            && let ExprKind::Name(_) = x.kind
            && let Some(Res::Local(local)) = self.resolution(x.id)
        {
            self.fill(local);
        }
    }

    /// `len(x)`, `x.len()`: x.
    fn measured<'e>(&self, e: &'e Expr) -> Option<&'e Expr> {
        let resolved = &self.frame.module.resolved;
        let (function, x) = match &e.kind {
            ExprKind::Call { callee, args } => (resolved.names.get(&callee.id), &args.first()?.value),
            ExprKind::Method { receiver, .. } => (resolved.functions_by_method.get(&e.id), &**receiver),
            _ => return None,
        };
        matches!(function, Some(Res::Builtin(b)) if b.name == "len").then_some(x)
    }

    fn fill(&mut self, local: LocalId) {
        let filled = match self.frame.local(local) {
            Ty::List(list) => Ty::List(Rc::new(ListTy { filled: true, ..(*list).clone() })),
            Ty::Tensor(TensorTy { dtype, dims: Some(mut dims) }) => {
                if let Some(first @ (Dim::Unknown | Dim::Var(_))) = dims.first_mut() {
                    *first = Dim::Some;
                }
                Ty::Tensor(TensorTy { dtype, dims: Some(dims) })
            }
            Ty::Range => Ty::SomeRange,
            _ => return,
        };
        let origin = self.frame.origins.get(local.0 as usize).copied().flatten();
        self.frame.set_local(local, filled, origin);
    }
}

fn literal(e: &Expr) -> Option<i64> {
    match &e.kind {
        ExprKind::Int(n) => Some(*n),
        ExprKind::Unary(UnOp::Neg, e) => literal(e)?.checked_neg(),
        _ => None,
    }
}
