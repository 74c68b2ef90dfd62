//! Counts that a loop certainly changes: what each call of a method adds to a field of its receiver, as an optimizer
//! counts its steps. Forgetting such a count before the first pass over the loop saves following its calls a second time.

use std::rc::Rc;

use super::Checker;
use super::size::Num;
use super::ty::{StructTy, Ty};
use crate::resolve::Res;
use crate::syntax::ast::{BinOp, Block, Expr, ExprKind, FnDecl, Ident, StmtKind};

impl Checker {
    /// Forgets the counts of variables whose methods the loop's body calls, whatever happens in a pass.
    pub(super) fn forget_counts(&mut self, body: &Block) {
        for stmt in &body.stmts {
            let (StmtKind::Expr(e) | StmtKind::Let { value: e, .. }) = &stmt.kind else { continue };
            if let ExprKind::Method { receiver, name, .. } = &e.kind {
                self.forget_counts_of(receiver, name);
            }
        }
    }

    fn forget_counts_of(&mut self, receiver: &Expr, method: &Ident) {
        let ExprKind::Name(_) = &receiver.kind else { return };
        if !self.is_variable(receiver) {
            return;
        }
        let Some(resolution) = self.resolution(receiver.id) else { return };
        let variable = match resolution {
            Res::Local(local) => self.frame.locals.get(local.0 as usize),
            Res::Global(id) => self.globals.get(id.module.0 as usize).and_then(|g| g.get(id.index as usize)),
            _ => None,
        };
        let Some(Ty::Struct(s)) = variable else { return };
        let Some(decl) = self.method_decl(s, &method.name) else { return };
        let is_count = |(field, ty): (&str, &Ty)| matches!(ty, Ty::Int(Num::Known(_))) && adds_to(&decl, field);
        let names = s.info.fields.iter().map(|f| &*f.name);
        let counts: Vec<bool> = names.zip(&s.fields).map(is_count).collect();
        if !counts.contains(&true) {
            return;
        }
        let forget = |(ty, count): (&Ty, &bool)| if *count { Ty::Int(Num::Unknown) } else { ty.clone() };
        let fields = s.fields.iter().zip(&counts).map(forget).collect();
        let forgotten = Ty::Struct(Rc::new(StructTy { fields, ..(**s).clone() }));
        let place = match resolution {
            Res::Local(local) => self.frame.locals.get_mut(local.0 as usize),
            Res::Global(id) => self.globals.get_mut(id.module.0 as usize).and_then(|g| g.get_mut(id.index as usize)),
            _ => None,
        };
        if let Some(place) = place {
            *place = forgotten;
        }
    }

    fn method_decl(&self, s: &StructTy, name: &str) -> Option<Rc<FnDecl>> {
        let (module, index) = self.method(&s.info, name)?;
        self.modules.get(module as usize)?.resolved.functions.get(index as usize)?.decl.clone()
    }
}

/// True for a method with a statement `self.field += ..` that every call reaches.
fn adds_to(method: &FnDecl, field: &str) -> bool {
    let ExprKind::Block(body) = &method.body.kind else { return false };
    body.stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Assign { target, op: Some(BinOp::Add), .. } => match &target.kind {
            ExprKind::Field { base, name } => {
                &*name.name == field && matches!(&base.kind, ExprKind::Name(base) if &**base == "self")
            }
            _ => false,
        },
        _ => false,
    })
}
