//! Functions that are written out where they are called: those whose body is a formula of parameters, captured values that
//! don't change, globals and numbers, perhaps with a few `let`s.
//!
//! They become part of the formula around them, which costs no call and one entry of the tape for all. Where the formula does
//! not apply (structures, inner levels, `--check-nan`), the instructions behind it call them.

use crate::compile::FnCompiler;
use crate::compile::formula::{Draft, Part};
use crate::resolve::{CaptureFrom, FnId, GlobalId, GlobalKind, LocalId, Res};
use crate::syntax::ast::*;

/// Calls inside of calls.
const DEEPEST: usize = 8;

/// The names of a function that is written out.
pub struct Scope<'s> {
    bound: Vec<(LocalId, Bound)>,
    /// The function in which it is called, if that is written out too.
    around: Option<&'s Scope<'s>>,
}

/// What a local of such a function is.
#[derive(Clone, Copy)]
pub enum Bound {
    Part(Part),
    /// A local of the function that is being compiled.
    Local(LocalId),
    Global(GlobalId),
}

impl Scope<'_> {
    /// What a name in the function stands for.
    pub fn find(&self, res: Res) -> Option<Bound> {
        match res {
            Res::Local(local) => self.bound.iter().rev().find(|(l, _)| *l == local).map(|(_, bound)| *bound),
            Res::Global(id) => Some(Bound::Global(id)),
            _ => None,
        }
    }

    fn depth(&self) -> usize {
        1 + self.around.map_or(0, Scope::depth)
    }
}

impl<'a> FnCompiler<'a> {
    /// The call of a function as part of a draft; what it has added so far stays if there is `None`.
    pub fn written_out<'e>(
        &self,
        callee: &Expr,
        args: &'e [Arg],
        draft: &mut Draft<'e>,
        scope: Option<&Scope<'_>>,
    ) -> Option<Part>
    where
        'a: 'e,
    {
        if draft.is_full() || scope.is_some_and(|scope| scope.depth() >= DEEPEST) {
            return None;
        }
        let id = self.function_to_write_out(callee, scope)?;
        let resolved = &self.context.program.module(self.context.module).resolved;
        let function = resolved.functions.get(id.0 as usize)?;
        let decl: &'a FnDecl = function.decl.as_deref()?;
        if args.len() != decl.params.len() || args.iter().any(|a| a.inout || a.name.is_some()) {
            return None;
        }
        draft.calls += 1;
        let mut inside = Scope { bound: vec![], around: scope };
        for ((arg, param), local) in args.iter().zip(&decl.params).zip(&function.params) {
            let part = self.draft(&arg.value, draft, scope)?;
            if param.ty.as_ref().is_some_and(|ty| !is_name(ty, "any")) {
                match part {
                    Part::Leaf(leaf) => draft.floats.push(leaf),
                    Part::Step(_) | Part::Window(_) => draft.is_scalar = true,
                    Part::Constant(_) if draft.is_int(part) => return None,
                    Part::Constant(_) => {}
                }
            }
            inside.bound.push(((*local)?, Bound::Part(part)));
        }
        draft.is_scalar |= decl.ret.as_ref().is_some_and(|ty| !is_name(ty, "any"));
        for capture in &function.captures {
            inside.bound.push((capture.local, self.captured(capture.from)?));
        }
        let ExprKind::Block(block) = &decl.body.kind else { return self.draft(&decl.body, draft, Some(&inside)) };
        let (last, lets) = block.stmts.split_last()?;
        for stmt in lets {
            let StmtKind::Let { mutable: false, pattern: Pattern::Name { id, .. }, ty: None, value } = &stmt.kind
            else {
                return None;
            };
            let Res::Local(local) = self.res(*id) else { return None };
            let part = self.draft(value, draft, Some(&inside))?;
            inside.bound.push((local, Bound::Part(part)));
        }
        let StmtKind::Expr(result) = &last.kind else { return None };
        self.draft(result, draft, Some(&inside))
    }

    /// The function that a callee certainly is, if its parameters allow to write it out.
    pub fn function_to_write_out(&self, callee: &Expr, scope: Option<&Scope<'_>>) -> Option<FnId> {
        let ExprKind::Name(_) = &callee.kind else { return None };
        let bound = match (scope, self.res(callee.id)) {
            (Some(scope), res) => scope.find(res)?,
            (None, Res::Local(local)) => Bound::Local(local),
            (None, Res::Global(id)) => Bound::Global(id),
            _ => return None,
        };
        let id = match bound {
            Bound::Local(local) => self.lambdas.iter().find(|(l, _)| *l == local).map(|(_, id)| *id)?,
            // Nodes are numbered by module.
            Bound::Global(id) if id.module == self.context.module => match self.context.program.global(id).kind {
                GlobalKind::Function(id) => id,
                _ => return None,
            },
            _ => return None,
        };
        let resolved = &self.context.program.module(self.context.module).resolved;
        let decl = resolved.functions.get(id.0 as usize)?.decl.as_ref()?;
        let plain = decl.params.iter().all(|p| {
            !p.inout
                && p.default.is_none()
                && p.ty.as_ref().is_none_or(is_fit)
                && matches!(p.pattern, Pattern::Name { .. })
        });
        (plain && decl.ret.as_ref().is_none_or(is_fit)).then_some(id)
    }

    /// What a captured name is here: those functions stand in the one that is being compiled. Variables that may change are
    /// not read later than they were captured.
    fn captured(&self, from: CaptureFrom) -> Option<Bound> {
        match from {
            CaptureFrom::Local(local) => {
                let fixed = self.function.locals.get(local.0 as usize).is_some_and(|l| !l.changed);
                fixed.then_some(Bound::Local(local))
            }
            CaptureFrom::Global(id) => {
                let global = self.context.program.global(id);
                (!global.mutable && !global.again).then_some(Bound::Global(id))
            }
            CaptureFrom::Itself => None,
        }
    }

    /// Remembers the function that a local holds for good.
    pub fn note_lambda(&mut self, local: LocalId, decl: &FnDecl) {
        let resolved = &self.context.program.module(self.context.module).resolved;
        let fixed = self.function.locals.get(local.0 as usize).is_some_and(|l| !l.changed);
        if fixed && let Some(&id) = resolved.function_ids.get(&decl.id) {
            self.lambdas.push((local, id));
        }
    }
}

fn is_fit(ty: &TypeExpr) -> bool {
    is_name(ty, "float") || is_name(ty, "any")
}

fn is_name(ty: &TypeExpr, wanted: &str) -> bool {
    matches!(&ty.kind, TypeKind::Name { module: None, name } if &*name.name == wanted)
}
