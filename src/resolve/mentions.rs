//! Which names declared functions mention, and where a top-level variable is bound; both before the walk proper.

use std::collections::HashSet;
use std::rc::Rc;

use crate::syntax::ast::*;

/// Adds every name that a declared function, method, test or field default of this top-level statement mentions.
pub fn in_declared(stmt: &Stmt, out: &mut HashSet<Rc<str>>) {
    match &stmt.kind {
        StmtKind::Fn(decl) => function(decl, out),
        StmtKind::Impl { methods, .. } => methods.iter().for_each(|m| in_declared(m, out)),
        StmtKind::Test { body, .. } => function(body, out),
        StmtKind::Struct(decl) => decl.fields.iter().filter_map(|f| f.default.as_ref()).for_each(|d| expr(d, out)),
        _ => {}
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

fn function(decl: &FnDecl, out: &mut HashSet<Rc<str>>) {
    decl.params.iter().filter_map(|p| p.default.as_ref()).for_each(|d| expr(d, out));
    expr(&decl.body, out);
}

fn block(block: &Block, out: &mut HashSet<Rc<str>>) {
    block.stmts.iter().for_each(|s| stmt(s, out));
}

fn stmt(s: &Stmt, out: &mut HashSet<Rc<str>>) {
    match &s.kind {
        StmtKind::Let { value, .. } => expr(value, out),
        StmtKind::Assign { target, value, .. } => {
            expr(target, out);
            expr(value, out);
        }
        StmtKind::Fn(decl) => function(decl, out),
        StmtKind::While { cond, body } => {
            expr(cond, out);
            block(body, out);
        }
        StmtKind::For { iter, body, .. } => {
            expr(iter, out);
            block(body, out);
        }
        StmtKind::Return(Some(value)) | StmtKind::Expr(value) => expr(value, out),
        StmtKind::Param { default, .. } => expr(default, out),
        StmtKind::Struct(_)
        | StmtKind::Impl { .. }
        | StmtKind::Import(_)
        | StmtKind::Test { .. }
        | StmtKind::Break
        | StmtKind::Continue
        | StmtKind::Return(None) => {}
    }
}

fn expr(e: &Expr, out: &mut HashSet<Rc<str>>) {
    let mut each = |items: &[Expr]| items.iter().for_each(|e| expr(e, out));
    match &e.kind {
        ExprKind::None
        | ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Invalid => {}
        ExprKind::Name(name) => {
            out.insert(name.clone());
        }
        ExprKind::Format(parts) => parts.iter().for_each(|p| {
            if let FormatPart::Value { value, .. } = p {
                expr(value, out);
            }
        }),
        ExprKind::Unary(_, x) => expr(x, out),
        ExprKind::Binary(_, a, b) => {
            expr(a, out);
            expr(b, out);
        }
        ExprKind::Chain { first, rest } => {
            expr(first, out);
            rest.iter().for_each(|(_, e)| expr(e, out));
        }
        ExprKind::Range { lo, hi, .. } => {
            expr(lo, out);
            expr(hi, out);
        }
        ExprKind::Call { callee, args } => {
            expr(callee, out);
            args.iter().for_each(|a| expr(&a.value, out));
        }
        ExprKind::Method { receiver, name, args } => {
            out.insert(name.name.clone());
            expr(receiver, out);
            args.iter().for_each(|a| expr(&a.value, out));
        }
        ExprKind::Index { base, items } => {
            expr(base, out);
            for item in items {
                match item {
                    IndexItem::At(e) => expr(e, out),
                    IndexItem::Slice { start, stop, step, .. } => {
                        [start, stop, step].into_iter().flatten().for_each(|e| expr(e, out));
                    }
                    IndexItem::Ellipsis(_) => {}
                }
            }
        }
        ExprKind::Field { base, .. } => expr(base, out),
        ExprKind::Tuple(items) | ExprKind::Tensor(items) => each(items),
        ExprKind::Comprehension { element, clauses, .. } => {
            for clause in clauses {
                match clause {
                    Clause::For { iter, .. } => expr(iter, out),
                    Clause::If(cond) => expr(cond, out),
                }
            }
            expr(element, out);
        }
        ExprKind::Lambda(decl) => function(decl, out),
        ExprKind::Block(b) => block(b, out),
        ExprKind::If { cond, then, otherwise } => {
            expr(cond, out);
            expr(then, out);
            if let Some(o) = otherwise {
                expr(o, out);
            }
        }
        ExprKind::Try { body, handler, .. } => {
            block(body, out);
            block(handler, out);
        }
    }
}
