//! Functions that call themselves on every path.
//!
//! In: a module and those before it. Out: W0315 for each declared function or method whose body comes to a call of itself
//! whichever branches are taken. What may leave before (`return`, `error`, an assertion) makes it none.

use std::rc::Rc;

use crate::diagnostic::Diagnostic;
use crate::resolve::{GlobalId, LoadedModule, Res, builtin_names};
use crate::source::Span;
use crate::syntax::ast::*;

/// A warning for each such function of the module.
pub(super) fn check(module: &LoadedModule, all: &[Rc<LoadedModule>]) -> Vec<Diagnostic> {
    let mut out = vec![];
    for stmt in &module.tree.stmts {
        match &stmt.kind {
            StmtKind::Fn(decl) => {
                let Some(Res::Global(id)) = module.resolved.names.get(&decl.id) else { continue };
                let of = Body { module, all, itself: Itself::Function(*id) };
                out.extend(decl.name.as_ref().and_then(|name| of.problem(name, decl)));
            }
            StmtKind::Impl { methods, .. } => {
                for method in methods {
                    let StmtKind::Fn(decl) = &method.kind else { continue };
                    let Some(name) = &decl.name else { continue };
                    let of = Body { module, all, itself: Itself::Method(&name.name) };
                    out.extend(of.problem(name, decl));
                }
            }
            _ => {}
        }
    }
    out
}

enum Itself<'a> {
    Function(GlobalId),
    Method(&'a str),
}

struct Body<'a> {
    module: &'a LoadedModule,
    all: &'a [Rc<LoadedModule>],
    itself: Itself<'a>,
}

/// What evaluating a part comes to.
#[derive(Clone, Copy)]
enum Step {
    GoesOn,
    /// Not certainly behind it.
    MayLeave,
    /// A call of the function itself.
    Calls(Span),
}

impl Body<'_> {
    fn problem(&self, name: &Ident, decl: &FnDecl) -> Option<Diagnostic> {
        let Step::Calls(span) = self.expr(&decl.body) else { return None };
        let Ident { name, span: declared } = name;
        let d = Diagnostic::warning("W0315", format!("`{name}` calls itself, whatever it is given"))
            .at(span, "this call makes the next one, without end");
        let hides = builtin_names::find(name, false).is_some();
        Some(match (&self.itself, hides) {
            (Itself::Function(_), true) => d
                .also(*declared, format!("it calls this `{name}`, not the builtin"))
                .help(format!("to reach the builtin `{name}`, give your function another name")),
            (Itself::Method(_), true) => d
                .also(*declared, format!("it calls this method, not the builtin `{name}`"))
                .help(format!("to reach the builtin `{name}`, write {name}(...) of a part, as in {name}(self.xs)")),
            _ => d
                .also(*declared, format!("it calls this `{name}`"))
                .help("a recursion needs a case that ends it: if ... { return ... } before the call"),
        })
    }

    /// `x.name()` calls the function `name` unless `x` has something of that name.
    fn is_part(&self, name: &str) -> bool {
        self.all
            .iter()
            .flat_map(|m| &m.resolved.structs)
            .any(|s| s.methods.iter().any(|(n, _)| &**n == name) || s.decl.fields.iter().any(|f| &*f.name.name == name))
    }

    fn all<'e>(&self, parts: impl IntoIterator<Item = &'e Expr>) -> Step {
        for part in parts {
            match self.expr(part) {
                Step::GoesOn => {}
                step => return step,
            }
        }
        Step::GoesOn
    }

    fn stmts(&self, stmts: &[Stmt]) -> Step {
        for stmt in stmts {
            let step = match &stmt.kind {
                StmtKind::Let { value, .. } | StmtKind::Assign { value, .. } => self.expr(value),
                StmtKind::While { cond: first, body } | StmtKind::For { iter: first, body, .. } => {
                    match (self.expr(first), self.stmts(&body.stmts)) {
                        // The body may be run no time.
                        (Step::GoesOn, Step::Calls(_)) => Step::GoesOn,
                        (Step::GoesOn, step) => step,
                        (step, _) => step,
                    }
                }
                StmtKind::Return(value) => match value.as_ref().map_or(Step::GoesOn, |e| self.expr(e)) {
                    Step::GoesOn => Step::MayLeave,
                    step => step,
                },
                StmtKind::Expr(e) => self.expr(e),
                StmtKind::Break | StmtKind::Continue => Step::MayLeave,
                _ => Step::GoesOn,
            };
            if !matches!(step, Step::GoesOn) {
                return step;
            }
        }
        Step::GoesOn
    }

    fn expr(&self, e: &Expr) -> Step {
        match &e.kind {
            ExprKind::Unary(_, x) | ExprKind::Field { base: x, .. } => self.expr(x),
            // The right side may be skipped.
            ExprKind::Binary(BinOp::And | BinOp::Or, a, _) => self.expr(a),
            ExprKind::Binary(_, a, b) | ExprKind::Range { lo: a, hi: b, .. } => self.all([&**a, &**b]),
            ExprKind::Chain { first, .. } => self.expr(first),
            ExprKind::Call { callee, args } => {
                let before = self.all(std::iter::once(&**callee).chain(args.iter().map(|a| &a.value)));
                let Step::GoesOn = before else { return before };
                match (&callee.kind, &self.itself) {
                    (ExprKind::Name(n), _) if matches!(&**n, "error" | "exit" | "assert") => Step::MayLeave,
                    (ExprKind::Name(_), Itself::Function(id))
                        if self.is_global(self.module.resolved.names.get(&callee.id), *id) =>
                    {
                        Step::Calls(e.span)
                    }
                    _ => Step::GoesOn,
                }
            }
            ExprKind::Method { receiver, name, args } => {
                let before = self.all(std::iter::once(&**receiver).chain(args.iter().map(|a| &a.value)));
                let Step::GoesOn = before else { return before };
                let calls = match self.itself {
                    Itself::Function(id) => {
                        self.is_global(self.module.resolved.functions_by_method.get(&e.id), id)
                            && !self.is_part(&name.name)
                    }
                    Itself::Method(own) => {
                        &*name.name == own && matches!(&receiver.kind, ExprKind::Name(n) if &**n == "self")
                    }
                };
                if calls { Step::Calls(e.span) } else { Step::GoesOn }
            }
            ExprKind::Index { base, .. } => self.expr(base),
            ExprKind::Tuple(items) | ExprKind::Tensor(items) => self.all(items),
            ExprKind::Format(parts) => self.all(FormatPart::values(parts)),
            ExprKind::Comprehension { clauses, .. } => match clauses.first() {
                Some(Clause::For { iter, .. }) => self.expr(iter),
                _ => Step::GoesOn,
            },
            ExprKind::Block(block) => self.stmts(&block.stmts),
            ExprKind::If { cond, then, otherwise } => {
                let before = self.expr(cond);
                let Step::GoesOn = before else { return before };
                match (self.expr(then), otherwise.as_ref().map_or(Step::GoesOn, |e| self.expr(e))) {
                    (Step::MayLeave, _) | (_, Step::MayLeave) => Step::MayLeave,
                    (Step::Calls(span), Step::Calls(_)) => Step::Calls(span),
                    _ => Step::GoesOn,
                }
            }
            // An error in the body is the handler's.
            ExprKind::Try { .. } => Step::MayLeave,
            _ => Step::GoesOn,
        }
    }

    fn is_global(&self, res: Option<&Res>, id: GlobalId) -> bool {
        matches!(res, Some(Res::Global(found)) if *found == id)
    }
}
