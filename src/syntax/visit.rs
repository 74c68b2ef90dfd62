//! Going through every expression of a tree, outer ones first, in the order of the text.

use super::ast::*;

/// Calls `f` for each expression of a statement, those inside nested functions included.
pub fn stmt(s: &Stmt, f: &mut dyn FnMut(&Expr)) {
    match &s.kind {
        StmtKind::Let { value, .. } => expr(value, f),
        StmtKind::Assign { target, value, .. } => {
            expr(target, f);
            expr(value, f);
        }
        StmtKind::Fn(decl) => function(decl, f),
        StmtKind::Struct(decl) => decl.fields.iter().filter_map(|d| d.default.as_ref()).for_each(|d| expr(d, f)),
        StmtKind::Impl { methods, .. } => methods.iter().for_each(|m| stmt(m, f)),
        StmtKind::Test { body, .. } => function(body, f),
        StmtKind::Param { default, .. } => expr(default, f),
        StmtKind::While { cond, body } => {
            expr(cond, f);
            block(body, f);
        }
        StmtKind::For { iter, body, .. } => {
            expr(iter, f);
            block(body, f);
        }
        StmtKind::Return(Some(value)) | StmtKind::Expr(value) => expr(value, f),
        StmtKind::Import(_) | StmtKind::Break | StmtKind::Continue | StmtKind::Return(None) => {}
    }
}

/// The same for defaults and body of a function.
pub fn function(decl: &FnDecl, f: &mut dyn FnMut(&Expr)) {
    decl.params.iter().filter_map(|p| p.default.as_ref()).for_each(|d| expr(d, f));
    expr(&decl.body, f);
}

fn block(b: &Block, f: &mut dyn FnMut(&Expr)) {
    b.stmts.iter().for_each(|s| stmt(s, f));
}

/// The same for an expression: itself, then its parts.
pub fn expr(e: &Expr, f: &mut dyn FnMut(&Expr)) {
    f(e);
    match &e.kind {
        ExprKind::None
        | ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Name(_)
        | ExprKind::Invalid => {}
        ExprKind::Format(parts) => FormatPart::values(parts).into_iter().for_each(|value| expr(value, f)),
        ExprKind::Unary(_, x) => expr(x, f),
        ExprKind::Field { base, .. } => expr(base, f),
        ExprKind::Binary(_, a, b) | ExprKind::Range { lo: a, hi: b, .. } => {
            expr(a, f);
            expr(b, f);
        }
        ExprKind::Chain { first, rest } => {
            expr(first, f);
            rest.iter().for_each(|(_, e)| expr(e, f));
        }
        ExprKind::Call { callee, args } => {
            expr(callee, f);
            args.iter().for_each(|a| expr(&a.value, f));
        }
        ExprKind::Method { receiver, args, .. } => {
            expr(receiver, f);
            args.iter().for_each(|a| expr(&a.value, f));
        }
        ExprKind::Index { base, items } => {
            expr(base, f);
            for item in items {
                match item {
                    IndexItem::At(e) => expr(e, f),
                    IndexItem::Slice { start, stop, step, .. } => {
                        [start, stop, step].into_iter().flatten().for_each(|e| expr(e, f));
                    }
                    IndexItem::Ellipsis(_) => {}
                }
            }
        }
        ExprKind::Tuple(items) | ExprKind::Tensor(items) => items.iter().for_each(|e| expr(e, f)),
        ExprKind::Comprehension { element, clauses, .. } => {
            for clause in clauses {
                match clause {
                    Clause::For { iter, .. } => expr(iter, f),
                    Clause::If(cond) => expr(cond, f),
                }
            }
            expr(element, f);
        }
        ExprKind::Lambda(decl) => function(decl, f),
        ExprKind::Block(b) => block(b, f),
        ExprKind::If { cond, then, otherwise } => {
            expr(cond, f);
            expr(then, f);
            if let Some(o) = otherwise {
                expr(o, f);
            }
        }
        ExprKind::Try { body, handler, .. } => {
            block(body, f);
            block(handler, f);
        }
    }
}
