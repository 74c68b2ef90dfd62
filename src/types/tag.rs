//! Tests of what kind a value is: `e.kind == "leaf"`, `shape.ok`, `is_leaf(node)`, `x != none`.
//!
//! Which fields and types the parts of a value have hangs together with its tag. Where the checker no longer knows the tag
//! (values of several kinds have met, in a list or at a branch), the branches behind such a test may be for kinds that
//! never get here. So what is wrong in them is left to the run, unless it is wrong whatever the values are.

use super::Checker;
use super::ty::Ty;
use crate::resolve::{FnId, GlobalKind, LocalId, LocalKind, Res};
use crate::syntax::ast::{BinOp, Expr, ExprKind, Pattern, UnOp};

impl Checker {
    /// Follows what stands behind a condition of unknown outcome.
    pub(super) fn behind<T>(&mut self, cond: &Expr, follow: impl FnOnce(&mut Checker) -> T) -> T {
        let guards = u32::from(self.is_tag_test(cond));
        self.frame.guards += guards;
        let result = self.perhaps(true, follow);
        self.frame.guards -= guards;
        result
    }

    /// True where what is wrong may be so for kinds of values only that never get here.
    pub(super) fn is_guarded(&self) -> bool {
        self.frame.guards > 0 || self.frame.left_by_tag
    }

    /// `return`, `break` or `continue` leaves here: what follows is for other kinds of values.
    pub(super) fn leave_by_tag(&mut self) {
        self.frame.left_by_tag |= self.frame.guards > 0;
    }

    /// True if the outcome may hang together with the kind of a value.
    fn is_tag_test(&mut self, cond: &Expr) -> bool {
        // What nothing calls is followed with what its annotations say: no values have met.
        if self.stack.is_empty() && self.frame.function != FnId(0) && !self.in_test {
            return false;
        }
        match &cond.kind {
            ExprKind::Binary(BinOp::And | BinOp::Or, a, b) => self.is_tag_test(a) || self.is_tag_test(b),
            ExprKind::Unary(UnOp::Not, e) => self.is_tag_test(e),
            ExprKind::Binary(BinOp::In | BinOp::NotIn, ..) => true,
            ExprKind::Binary(BinOp::Eq | BinOp::Ne, a, b) => self.is_tag(a) || self.is_tag(b),
            ExprKind::Binary(BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge, a, b) => {
                is_int(b) && self.is_count(a) || is_int(a) && self.is_count(b)
            }
            ExprKind::Call { callee, .. } => match self.resolution(callee.id) {
                Some(Res::Global(_) | Res::Local(_) | Res::Itself) => true,
                Some(_) => false,
                None => !matches!(callee.kind, ExprKind::Name(_)),
            },
            ExprKind::Method { .. } => {
                let function = self.frame.module.resolved.functions_by_method.get(&cond.id);
                !matches!(function, Some(Res::Builtin(_) | Res::Prim(_)))
            }
            ExprKind::Name(_) | ExprKind::Field { .. } | ExprKind::Index { .. } => self.is_tag(cond),
            _ => false,
        }
    }

    /// True for a part of a value that may tell its kind, or a name for one; and for `none`.
    fn is_tag(&mut self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::None => true,
            ExprKind::Field { .. } => true,
            ExprKind::Index { base, .. } => !matches!(self.peek(base), Some(Ty::Tensor(_) | Ty::IntsOf(_))),
            ExprKind::Name(_) => match self.resolution(e.id) {
                Some(Res::Local(local)) => self.is_part(local) || matches!(self.frame.local(local), Ty::Str(_)),
                Some(Res::Global(id)) => {
                    let kind = self.module(id.module.0).and_then(|m| {
                        m.resolved.globals.get(id.index as usize).map(|g| matches!(g.kind, GlobalKind::Param))
                    });
                    kind == Some(false) && matches!(self.stored_global(id), Ty::Str(_))
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// True for a part of a value that may be a number of its kind, such as `version`; sizes are none.
    fn is_count(&mut self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Field { name, .. } => !matches!(&*name.name, "size" | "rank"),
            ExprKind::Index { base, .. } => {
                !matches!(&base.kind, ExprKind::Field { name, .. } if &*name.name == "shape") && self.is_tag(e)
            }
            _ => false,
        }
    }

    /// True for a parameter, and for a local that was bound to a part of a value.
    fn is_part(&self, local: LocalId) -> bool {
        let function = self.frame.module.resolved.functions.get(self.frame.function.0 as usize);
        let kind = function.and_then(|f| f.locals.get(local.0 as usize)).map(|l| l.kind);
        matches!(kind, Some(LocalKind::Param | LocalKind::Capture)) || self.frame.parts.contains(&local)
    }

    /// Notes which names a pattern binds to parts of a value; `of_part`: the whole value is one.
    pub(super) fn note_parts(&mut self, pattern: &Pattern, of_part: bool) {
        match pattern {
            Pattern::Tuple(parts, _) => parts.iter().for_each(|p| self.note_parts(p, true)),
            Pattern::Name { id, .. } if of_part => {
                if let Some(Res::Local(local)) = self.resolution(*id)
                    && !self.frame.parts.contains(&local)
                {
                    self.frame.parts.push(local);
                }
            }
            _ => {}
        }
    }

    /// The same of `let pattern = value`; what a function gives may be of several kinds, too.
    pub(super) fn note_value(&mut self, pattern: &Pattern, ty: &Ty, value: &Expr) {
        let of_part = match &value.kind {
            ExprKind::Field { .. } | ExprKind::Index { .. } => true,
            ExprKind::Name(_) => self.may_be_of_other_kind(value),
            _ => matches!(ty, Ty::Bool(None)) && self.is_tag_test(value),
        };
        self.note_parts(pattern, of_part);
        if let (ExprKind::Call { .. } | ExprKind::Method { .. } | ExprKind::If { .. }, Pattern::Name { id, .. }) =
            (&value.kind, pattern)
            && let Some(Res::Local(local)) = self.resolution(*id)
            && !self.frame.results.contains(&local)
            && !self.makes_struct(value)
        {
            self.frame.results.push(local);
        }
    }

    /// True for the call of a struct's own constructor.
    fn makes_struct(&self, call: &Expr) -> bool {
        let ExprKind::Call { callee, .. } = &call.kind else { return false };
        let Some(Res::Global(id)) = self.resolution(callee.id) else { return false };
        let module = self.modules.get(id.module.0 as usize);
        let global = module.and_then(|m| m.resolved.globals.get(id.index as usize));
        global.is_some_and(|g| matches!(g.kind, GlobalKind::Struct(_)))
    }

    /// True if a value of another kind may stand in this place, so that a field it lacks is not wrong wherever it stands:
    /// a parameter without annotation, the element of a list, a part of something, what a function gave.
    pub(super) fn may_be_of_other_kind(&self, receiver: &Expr) -> bool {
        let mut root = receiver;
        while let ExprKind::Field { base, .. } | ExprKind::Index { base, .. } = &root.kind {
            root = base;
        }
        if !std::ptr::eq(root, receiver) {
            return true;
        }
        let Some(Res::Local(local)) = self.resolution(root.id) else { return false };
        let Some(function) = self.frame.module.resolved.functions.get(self.frame.function.0 as usize) else {
            return false;
        };
        if self.frame.parts.contains(&local) || self.frame.results.contains(&local) {
            return true;
        }
        let Some(at) = function.params.iter().position(|p| *p == Some(local)) else { return false };
        let param = function.decl.as_ref().and_then(|d| d.params.get(at));
        param.is_some_and(|p| p.ty.is_none() && p.pattern.name().is_none_or(|n| &*n.name != "self"))
    }
}

fn is_int(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Int(_))
}

/// True for what has elements that may be of several kinds: no range, no tensor.
pub(super) fn holds_parts(ty: &Ty) -> bool {
    !matches!(ty, Ty::Range | Ty::SomeRange | Ty::RangeOf(_) | Ty::Tensor(_) | Ty::IntsOf(_))
}
