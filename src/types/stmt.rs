//! Statements: bindings, assignments to places, loops, `param`.

use super::Checker;
use super::error::TypeError;
use super::join::{Widen, widen};
use super::ty::{StructInfo, Ty};
use crate::resolve::Res;
use crate::source::Span;
use crate::syntax::ast::{BinOp, Expr, ExprKind, Pattern, Stmt, StmtKind, TypeExpr};

impl Checker {
    /// Follows one statement.
    pub(super) fn stmt(&mut self, stmt: &Stmt) {
        if self.frame.dead || self.gave_up {
            return;
        }
        match &stmt.kind {
            StmtKind::Let { pattern, ty, value, .. } => self.let_stmt(pattern, ty.as_ref(), value),
            StmtKind::Assign { target, op, value } => self.assign_stmt(target, *op, value, stmt.span),
            StmtKind::Fn(decl) => {
                if let Some(Res::Local(local)) = self.resolution(decl.id) {
                    let ty = self.closure(decl);
                    self.set_local(local, ty, stmt.span);
                }
            }
            StmtKind::Param { name, id, ty, default } => {
                let mut value = self.expr(default);
                value = match self.params.get(&name.name) {
                    Some(given) => given.clone(),
                    None if self.params_known => value,
                    // Another run may choose another value of the same type; numbers are taken as they are, for the
                    // sake of the shapes that follow from them.
                    None => match value {
                        Ty::Int(_) => value,
                        other => widen(&other, Widen::Constants),
                    },
                };
                if let Some(annotation) = ty {
                    value = self.admit_or_report(annotation, &value, default.span, || format!("`{}`", name.name));
                }
                self.set_name(*id, value, default.span);
            }
            StmtKind::Test { body, .. } => {
                if self.tests && self.is_main() {
                    self.follow_test(body);
                }
            }
            StmtKind::While { cond, body } => self.while_loop(cond, body),
            StmtKind::For { pattern, iter, body } => self.for_loop(pattern, iter, body),
            StmtKind::Break => self.jump(true),
            StmtKind::Continue => self.jump(false),
            StmtKind::Return(value) => self.return_stmt(value.as_ref(), stmt.span),
            StmtKind::Expr(e) => {
                self.expr(e);
            }
            StmtKind::Struct(_) | StmtKind::Impl { .. } | StmtKind::Import(_) => {}
        }
    }

    fn let_stmt(&mut self, pattern: &Pattern, annotation: Option<&TypeExpr>, value: &Expr) {
        let mut ty = self.expr_with_elements(value);
        if self.frame.dead {
            return;
        }
        if let Some(annotation) = annotation {
            let what = || pattern.name().map_or("this pattern".into(), |n| format!("`{}`", n.name));
            ty = self.admit_or_report(annotation, &ty, value.span, what);
        }
        let ty = self.note_positive(ty, value);
        self.warn_swapped(pattern, value);
        self.note_value(pattern, &ty, value);
        self.bind_pattern(pattern, &ty, value.span);
    }

    /// The value refined by its annotation; if it does not fit, the annotation's type after a report.
    fn admit_or_report(&mut self, annotation: &TypeExpr, ty: &Ty, place: Span, what: impl FnOnce() -> String) -> Ty {
        let module = self.frame.module.clone();
        let mut dims = std::mem::take(&mut self.frame.dims);
        let known = dims.len();
        self.in_frame = true;
        let admitted = self.admit(annotation, ty, &module, &mut dims, place);
        self.in_frame = false;
        self.frame.dims = dims;
        self.publish_dims();
        if self.frame.branches > 0 || !self.frame.loops.is_empty() {
            // A dim bound in a loop may be another one the next time.
            self.frame.dims.truncate(known);
        }
        match admitted {
            Ok(ty) => ty,
            Err(mismatch) => {
                self.report_mismatch(*mismatch, what(), ty, place, annotation.span);
                self.annotated(annotation, &module)
            }
        }
    }

    fn return_stmt(&mut self, value: Option<&Expr>, span: Span) {
        let ty = value.map_or(Ty::None, |e| self.expr(e));
        if self.frame.dead {
            return;
        }
        self.frame.left = true;
        self.leave_by_tag();
        let module = self.frame.module.clone();
        let function = module.resolved.functions.get(self.frame.function.0 as usize);
        let annotation = function.and_then(|f| f.decl.as_ref()).and_then(|d| d.ret.as_ref());
        self.leave(ty, value.map_or(span, |e| e.span), annotation);
    }

    fn assign_stmt(&mut self, target: &Expr, op: Option<BinOp>, value: &Expr, span: Span) {
        let ty = match op {
            None => {
                let ty = self.expr(value);
                self.warn_assigned(target, value);
                ty
            }
            Some(op) => {
                let old = self.expr(target);
                let new = self.expr(value);
                if self.frame.dead {
                    return;
                }
                self.warn_binary(op, &old, &new, target, value, span);
                self.apply(op, &old, &new, [target.span, value.span], span, &[target, value])
            }
        };
        if !self.frame.dead {
            let before = std::mem::replace(&mut self.place_was_read, op.is_some());
            self.assign(target, &ty, value.span);
            self.place_was_read = before;
        }
    }

    /// Puts a value into a place. Assigning to a part changes the variable that holds it.
    pub(super) fn assign(&mut self, target: &Expr, ty: &Ty, value: Span) {
        match &target.kind {
            ExprKind::Name(_) => {
                self.record(target.id, ty);
                match self.resolution(target.id) {
                    Some(Res::Local(local)) => self.set_local(local, ty.clone(), value),
                    Some(Res::Global(id)) => self.set_global(id, ty.clone()),
                    _ => {}
                }
            }
            ExprKind::Field { base, name } => {
                let old = self.expr(base);
                self.of_kind = self.may_be_of_other_kind(base);
                let new = self.with_field(&old, name, ty, target.span, value);
                self.of_kind = false;
                self.assign(base, &new, value);
            }
            ExprKind::Index { base, items } => {
                let old = self.expr(base);
                let items = self.index_items(items);
                if let Ty::Tuple(_) | Ty::Str(_) = old {
                    let error = crate::vm::items::fixed_items(matches!(old, Ty::Tuple(_)));
                    let error = TypeError::Operation { error, operands: vec![base.span], origins: vec![] };
                    self.report(error, target.span);
                    return;
                }
                let new = self.with_index(&old, &items, ty, base.span, target.span, value);
                self.assign(base, &new, value);
            }
            ExprKind::Tuple(parts) => {
                let types = self.unpack(ty, parts.len(), target.span, value);
                for (part, ty) in parts.iter().zip(types) {
                    self.assign(part, &ty, value);
                }
            }
            _ => {}
        }
    }

    fn with_field(&mut self, old: &Ty, name: &crate::syntax::ast::Ident, ty: &Ty, span: Span, value: Span) -> Ty {
        let Ty::Struct(s) = old else {
            return match old {
                Ty::Any | Ty::Never => Ty::Any,
                Ty::Dict(_) => {
                    let key = super::index::IndexTy::At(Ty::Str(Some(name.name.clone())), span);
                    self.with_index(old, &[key], ty, span, span, span)
                }
                _ => self.report(
                    TypeError::NoField { ty: old.clone(), name: name.name.clone(), candidates: vec![], method: false },
                    span,
                ),
            };
        };
        let Some(at) = s.info.field(&name.name) else {
            let candidates = s.info.fields.iter().map(|f| f.name.clone()).collect();
            return self.report(
                TypeError::NoField { ty: old.clone(), name: name.name.clone(), candidates, method: false },
                span,
            );
        };
        let info = s.info.clone();
        let ty = self.admit_field(&info, &s.fields, at, ty, value);
        let mut new = (**s).clone();
        if let Some(field) = new.fields.get_mut(at) {
            *field = ty;
        }
        Ty::Struct(std::rc::Rc::new(new))
    }

    /// What a field holds after an assignment; its annotation holds on, with the dims that the other fields show.
    fn admit_field(&mut self, info: &StructInfo, fields: &[Ty], at: usize, ty: &Ty, value: Span) -> Ty {
        let module = self.module(info.at.module);
        let decl = module.as_ref().and_then(|m| Some(m.resolved.structs.get(info.at.index as usize)?.decl.clone()));
        let (Some(module), Some(decl)) = (module, decl) else { return ty.clone() };
        let Some(field) = decl.fields.get(at) else { return ty.clone() };
        let Some(annotation) = &field.ty else { return ty.clone() };
        let mut dims = vec![];
        for (i, (other, ty)) in decl.fields.iter().zip(fields).enumerate() {
            if let Some(annotation) = other.ty.as_ref().filter(|_| i != at && *ty != Ty::Any) {
                let _ = self.admit(annotation, ty, &module, &mut dims, annotation.span);
            }
        }
        match self.admit(annotation, ty, &module, &mut dims, value) {
            Ok(ty) => ty,
            Err(mismatch) => {
                let what = format!("`{}.{}`", info.name, field.name.name);
                self.report_mismatch(*mismatch, what, ty, value, annotation.span);
                ty.clone()
            }
        }
    }
}
