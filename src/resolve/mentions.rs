//! Which names declared functions mention, and where a top-level variable is bound; both before the walk proper.

use std::rc::Rc;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::syntax::ast::*;
use crate::syntax::visit;

/// Adds every name that a declared function, method, test or field default of this top-level statement mentions and that is no
/// parameter of it.
pub fn in_declared(stmt: &Stmt, out: &mut HashSet<Rc<str>>) {
    match &stmt.kind {
        StmtKind::Fn(decl) => in_function(decl, out),
        StmtKind::Impl { methods, .. } => methods.iter().for_each(|method| in_declared(method, out)),
        StmtKind::Test { .. } | StmtKind::Struct(_) => visit::stmt(stmt, &mut |e| mention(e, out)),
        _ => {}
    }
}

fn in_function(decl: &FnDecl, out: &mut HashSet<Rc<str>>) {
    let mut inside = HashSet::default();
    visit::expr(&decl.body, &mut |e| mention(e, &mut inside));
    for param in &decl.params {
        if let Pattern::Name { ident, .. } = &param.pattern {
            inside.remove(&ident.name);
        }
    }
    out.extend(inside);
    // A default may be a variable of the same name.
    for default in decl.params.iter().filter_map(|param| param.default.as_ref()) {
        visit::expr(default, &mut |e| mention(e, out));
    }
}

fn mention(e: &Expr, out: &mut HashSet<Rc<str>>) {
    match &e.kind {
        ExprKind::Name(name) => {
            out.insert(name.clone());
        }
        ExprKind::Method { name, .. } => {
            out.insert(name.name.clone());
        }
        _ => {}
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
