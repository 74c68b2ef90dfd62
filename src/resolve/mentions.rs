//! Which names declared functions mention, and where a top-level variable is bound; both before the walk proper.

use std::rc::Rc;

use rustc_hash::FxHashSet as HashSet;

use crate::syntax::ast::*;
use crate::syntax::visit;

/// Adds every name that a declared function, method, test or field default of this top-level statement mentions.
pub fn in_declared(stmt: &Stmt, out: &mut HashSet<Rc<str>>) {
    if let StmtKind::Fn(_) | StmtKind::Impl { .. } | StmtKind::Test { .. } | StmtKind::Struct(_) = &stmt.kind {
        visit::stmt(stmt, &mut |e| match &e.kind {
            ExprKind::Name(name) => {
                out.insert(name.clone());
            }
            ExprKind::Method { name, .. } => {
                out.insert(name.name.clone());
            }
            _ => {}
        });
    }
}

/// The first top-level `let` or `var` of this name.
pub fn top_level_binding(stmts: &[Stmt], name: &str) -> Option<(Ident, bool)> {
    stmts.iter().find_map(|stmt| match &stmt.kind {
        StmtKind::Let { mutable, pattern, .. } => in_pattern(pattern, name).map(|ident| (ident, *mutable)),
        _ => None,
    })
}

fn in_pattern(pattern: &Pattern, name: &str) -> Option<Ident> {
    match pattern {
        Pattern::Name { ident, .. } => (&*ident.name == name).then(|| ident.clone()),
        Pattern::Tuple(items, _) => items.iter().find_map(|p| in_pattern(p, name)),
        Pattern::Ignore(_) => None,
    }
}
