//! Which names declared functions mention, and where a top-level variable is bound; both before the walk proper.

use std::rc::Rc;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

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

/// What top-level `let` and `var` bind, and whether it may change: the first of each name.
pub fn top_level_bindings(stmts: &[Stmt]) -> HashMap<Rc<str>, (Ident, bool)> {
    let mut out = HashMap::default();
    for stmt in stmts {
        if let StmtKind::Let { mutable, pattern, .. } = &stmt.kind {
            in_pattern(pattern, *mutable, &mut out);
        }
    }
    out
}

fn in_pattern(pattern: &Pattern, mutable: bool, out: &mut HashMap<Rc<str>, (Ident, bool)>) {
    match pattern {
        Pattern::Name { ident, .. } => {
            out.entry(ident.name.clone()).or_insert_with(|| (ident.clone(), mutable));
        }
        Pattern::Tuple(items, _) => items.iter().for_each(|p| in_pattern(p, mutable, out)),
        Pattern::Ignore(_) => {}
    }
}
