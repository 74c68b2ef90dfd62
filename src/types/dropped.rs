//! Values that a statement makes and nothing takes.

use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::*;

/// A line that starts with `-` goes on with no other, and `a == b` assigns nothing.
pub(super) fn dropped_values(stmts: &[Stmt]) -> Vec<Diagnostic> {
    let mut out = vec![];
    for (i, stmt) in stmts.iter().enumerate() {
        let StmtKind::Expr(e) = &stmt.kind else { continue };
        let before = i.checked_sub(1).and_then(|i| stmts.get(i));
        let dropped = |s: &Stmt| matches!(&s.kind, StmtKind::Expr(e) if is_mere_value(e));
        let is_last = i + 1 == stmts.len();
        if let Some(minus) = leading_minus(e)
            && let Some(before) = before
            && (dropped(before) || !is_last && is_mere_value(e) && makes_value(before))
        {
            let d = Diagnostic::warning("W0314", "a line that starts with `-` is a statement of its own");
            let lost = if dropped(before) { "this value is not used" } else { "this ends here" };
            let d = d.at(minus, "not a part of the line before").also(before.span, lost);
            out.push(d.help("a line goes on after an operator at its end: move the `-` up"));
        } else if !is_last
            && let ExprKind::Binary(BinOp::Eq, a, _) = &e.kind
            && a.is_place()
        {
            let d = Diagnostic::warning("W0314", "nothing is done with the answer of this `==`");
            out.push(d.at(e.span, "compares, and assigns nothing").help("to assign, write `=`"));
        }
    }
    out
}

/// An expression without a call or block in it: all that it does is give a value.
fn is_mere_value(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Name(_) | ExprKind::Int(_) | ExprKind::Float(_) => true,
        ExprKind::Unary(_, a) | ExprKind::Field { base: a, .. } => is_mere_value(a),
        ExprKind::Binary(_, a, b) => is_mere_value(a) && is_mere_value(b),
        _ => false,
    }
}

fn makes_value(stmt: &Stmt) -> bool {
    matches!(&stmt.kind, StmtKind::Let { .. } | StmtKind::Assign { .. })
}

/// The minus that an expression starts with.
fn leading_minus(e: &Expr) -> Option<Span> {
    match &e.kind {
        ExprKind::Unary(UnOp::Neg, _) => Some(Span { end: e.span.start + 1, ..e.span }),
        ExprKind::Binary(_, a, _) => leading_minus(a),
        _ => None,
    }
}
