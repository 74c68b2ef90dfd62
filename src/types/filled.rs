//! What certainly has an element: ints of 1 or more, ranges up to them, and what an `assert` tells of a length.
//!
//! Types know it of sizes (`Num::lower`) and lists (`filled`); of other ints it is read off the expression that makes them.

use super::Checker;
use super::pattern::Count;
use super::rename::map_sizes;
use super::size::Num;
use super::ty::{Dim, FnTy, ListTy, TensorTy, Ty};
use crate::resolve::{FnId, LocalId, Res};
use crate::syntax::ast::{Arg, BinOp, Expr, ExprKind, IndexItem, UnOp};
use std::rc::Rc;

impl Checker {
    /// True if the expression certainly is an int of 1 or more.
    pub(super) fn is_positive(&mut self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Int(n) => *n >= 1,
            ExprKind::Name(_) => {
                matches!(self.peek(e), Some(Ty::Int(n)) if n.is_positive())
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
        matches!(lo, Ty::Int(Num::Known(lo)) if *lo <= i64::from(inclusive)) && self.is_positive(hi)
    }

    /// The type of a value, with what its expression tells of ints of which nothing else is known.
    pub(super) fn note_positive(&mut self, ty: Ty, value: &Expr) -> Ty {
        match (&ty, &value.kind) {
            (Ty::Int(Num::Unknown), _) if self.is_positive(value) => Ty::Int(Num::at_least(1)),
            (Ty::Tuple(types), ExprKind::Tuple(values)) if types.len() == values.len() => {
                let types = types.iter().cloned().zip(values);
                Ty::tuple(types.map(|(ty, value)| self.note_positive(ty, value)).collect())
            }
            _ => ty,
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

    /// What holds after an `assert`: `len(xs) > 0`, `x.shape[0] == n`.
    pub(super) fn learn(&mut self, f: &Ty, args: &[Arg]) {
        if *f != Ty::Fn(FnTy::Builtin("assert")) {
            return;
        }
        if let Some(arg) = args.first() {
            self.learn_from(&arg.value);
        }
    }

    fn learn_from(&mut self, condition: &Expr) {
        let ExprKind::Binary(op, a, b) = &condition.kind else { return };
        match op {
            BinOp::And => {
                self.learn_from(a);
                self.learn_from(b);
            }
            BinOp::Eq => {
                if let (Some(x), Some(y)) = (self.size_of(a), self.size_of(b)) {
                    self.equate(x, y);
                }
            }
            _ if matches!((op, literal(b)), (BinOp::Gt | BinOp::Ne, Some(0)) | (BinOp::Ge, Some(1))) => {
                if let Some(x) = self.measured(a)
                    && let ExprKind::Name(_) = x.kind
                    && let Some(Res::Local(local)) = self.resolution(x.id)
                {
                    self.fill(local);
                }
            }
            _ => {}
        }
    }

    /// The size that an expression without effects tells: of an int, `len(x)`, `x.shape[i]`.
    fn size_of(&mut self, e: &Expr) -> Option<Num> {
        match &e.kind {
            ExprKind::Int(n) => Some(Num::Known(*n)),
            ExprKind::Name(_) | ExprKind::Field { .. } => match self.peek(e)? {
                Ty::Int(n) => Some(n),
                _ => None,
            },
            ExprKind::Index { base, items } => {
                let (ExprKind::Field { base, name }, [IndexItem::At(axis)]) = (&base.kind, items.as_slice()) else {
                    return None;
                };
                let dims = self.peek(base).filter(|_| &*name.name == "shape")?.dims()?;
                let at = super::index::position(literal(axis)?, dims.len())?;
                dims.get(at).map(|d| (*d).into())
            }
            _ => {
                let x = self.measured(e)?;
                let dims = self.peek(x)?.dims()?;
                dims.first().map(|d| (*d).into())
            }
        }
    }

    /// From here on the two are one: a variable gives way to the other.
    fn equate(&mut self, x: Num, y: Num) {
        let variable = |n: Num| if let Num::Sym(s) = n { s.variable() } else { None };
        let (var, from, to) = match (variable(x), variable(y)) {
            (_, Some(v)) if x != Num::Unknown => (v, y, x),
            (Some(v), _) if y != Num::Unknown => (v, x, y),
            _ => return,
        };
        let mut inside = vec![];
        to.variables(&mut inside);
        // Nothing that is known may get lost.
        if !inside.contains(&var) && to.lower() >= var.min() {
            self.exchange(from, to);
        }
    }

    /// Puts `to` in place of a size wherever the running function sees it.
    fn exchange(&mut self, from: Num, to: Num) {
        let var = if let Num::Sym(s) = from { s.variable() } else { None };
        let mut new = |n: Num| match var {
            _ if n == from => to,
            Some(var) => n.renamed(&mut |v| (v.id == var.id).then_some(to)),
            None => n,
        };
        for ty in &mut self.frame.locals {
            *ty = map_sizes(ty, &mut new);
        }
        for binding in &mut self.frame.dims {
            binding.dim = binding.dim.map(new);
        }
        if self.frame.function == FnId(0)
            && let Some(globals) = self.globals.get_mut(self.frame.module.id.0 as usize)
        {
            for ty in globals {
                *ty = map_sizes(ty, &mut new);
            }
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
                match dims.first_mut() {
                    Some(Dim::Sym(s)) => {
                        let size = Num::Sym(*s);
                        if !size.is_positive() {
                            self.exchange(size, Num::stand_in_of(size, 1));
                        }
                        return;
                    }
                    Some(first @ Dim::Unknown) => *first = Dim::Some,
                    _ => {}
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
