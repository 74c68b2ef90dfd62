//! Warnings: what runs but is hardly meant.
//!
//! | code | what |
//! | --- | --- |
//! | W0301 | `[n]` with `[n, 1]` broadcasts to `[n, n]` |
//! | W0303 | `==` on floats; `x != x` (`unstable.rs`) |
//! | W0302 W0304 W0310 | forms that lose digits or a derivative (`unstable.rs`) |
//! | W0305 W0306 W0307 | names never read, imports not used, hidden variables (`unused.rs`) |
//! | W0308 | a gradient that is zero because no path has a slope (`slope.rs`) |
//! | W0311 | value and gradient the wrong way round |
//! | W0312 | a step along what `value_and_grad` gives |
//! | W0309 | a branch at one exact value of what is differentiated (`slope.rs`) |

use super::Checker;
use super::show::{show_dims, show_ty};
use super::ty::{Dim, Ty};
use super::unstable::same_name;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{BinOp, Expr, ExprKind, IndexItem, Pattern};
use crate::tensor::DType;

impl Checker {
    /// An operator whose operands are known.
    pub(super) fn warn_binary(&mut self, op: BinOp, left: &Ty, right: &Ty, a: &Expr, b: &Expr, span: Span) {
        let module = &self.frame.module;
        let in_loss = module.is_library && &*module.name == "loss";
        if module.is_library && !in_loss {
            return;
        }
        // In a loss, all that pairs predictions with targets; elsewhere what is hardly meant for an outer form.
        let pairs = match op {
            BinOp::Sub => true,
            // Ints are compared in pairs to make masks: row == column.
            BinOp::Eq | BinOp::Ne => has_float(left) || has_float(right),
            BinOp::Mul => in_loss,
            _ => false,
        };
        if matches!(op, BinOp::Add | BinOp::Sub) && is_value_and_gradient(right, left) {
            let d = Diagnostic::warning("W0312", "a step along a value and its gradient together")
                .at(b.span, "this is (value, gradient)")
                .also(a.span, format!("this is {}", show_ty(left)))
                .help("take the gradient out: let (l, g) = value_and_grad(...)(...)");
            self.note(d);
        }
        if !in_loss {
            self.warn_form(op, (a, left), (b, right), span);
        }
        let explicit = |e: &Expr| match &e.kind {
            ExprKind::Index { items, .. } => {
                items.iter().any(|i| matches!(i, IndexItem::At(e) if matches!(e.kind, ExprKind::None)))
            }
            _ => false,
        };
        if pairs
            && !explicit(a)
            && !explicit(b)
            && let (Some(x), Some(y)) = (left.dims(), right.dims())
            && crosses(&x, &y)
        {
            let n = x.first().or(y.first()).copied().unwrap_or(Dim::Unknown);
            let d = Diagnostic::warning(
                "W0301",
                format!("shapes {} and {} broadcast to {}", show_dims(&x), show_dims(&y), show_dims(&[n, n])),
            )
            .at(span, "every element meets every other")
            .also(a.span, format!("shape {}", show_dims(&x)))
            .also(b.span, format!("shape {}", show_dims(&y)))
            .help("give both one shape: flatten(x), or x[:, 0]");
            self.note(d);
        }
        // Of tensors only what was just computed: many hold labels, which are as exact as they look.
        let exact = |ty: &Ty, e: &Expr| match ty {
            Ty::Float => !is_round(e),
            _ => has_float(ty) && !is_round(e),
        };
        let of_tensors = !(*left == Ty::Float && *right == Ty::Float);
        if matches!(op, BinOp::Eq | BinOp::Ne)
            && exact(left, a)
            && exact(right, b)
            && (!of_tensors || is_inexact(a) || is_inexact(b))
            && !same_name(a, b)
        {
            let d = Diagnostic::warning("W0303", format!("`{}` compares floats exactly", op.symbol()))
                .at(span, "rounding makes equal results differ")
                .help(if of_tensors {
                    "compare with a tolerance: abs(a - b) < 1e-5"
                } else {
                    "compare with a tolerance: abs(a - b) < 1e-9"
                });
            self.note(d);
        }
    }
}

impl Checker {
    /// `let (g, l) = value_and_grad(f)(x)`: the names say that they are the wrong way round.
    pub(super) fn warn_swapped(&mut self, pattern: &Pattern, value: &Expr) {
        let Pattern::Tuple(parts, span) = pattern else { return };
        if let [Pattern::Name { ident: first, .. }, Pattern::Name { ident: second, .. }] = parts.as_slice() {
            self.warn_names(&first.name, &second.name, *span, value, "let ");
        }
    }

    /// The same for `(g, l) = value_and_grad(f)(x)`.
    pub(super) fn warn_assigned(&mut self, target: &Expr, value: &Expr) {
        let ExprKind::Tuple(parts) = &target.kind else { return };
        if let [Expr { kind: ExprKind::Name(first), .. }, Expr { kind: ExprKind::Name(second), .. }] = parts.as_slice()
        {
            self.warn_names(first, second, target.span, value, "");
        }
    }

    fn warn_names(&mut self, first: &str, second: &str, span: Span, value: &Expr, keyword: &str) {
        let ExprKind::Call { callee, .. } = &value.kind else { return };
        let ExprKind::Call { callee: transform, .. } = &callee.kind else { return };
        if !matches!(&transform.kind, ExprKind::Name(name) if &**name == "value_and_grad") {
            return;
        }
        let is_gradient = matches!(first, "g" | "grad" | "grads" | "gradient" | "gradients");
        let is_value = matches!(second, "l" | "loss" | "value" | "val" | "cost");
        if is_gradient && is_value {
            let d = Diagnostic::warning("W0311", format!("`{first}` is the value here, and `{second}` the gradient"))
                .at(span, "value_and_grad gives the value first")
                .help(format!("write {keyword}({second}, {first}) = value_and_grad(...)(...)"));
            self.note(d);
        }
    }
}

/// True for what `value_and_grad` gives at `x`, scaled or not; not for one float, which may well meet a pair.
fn is_value_and_gradient(pair: &Ty, x: &Ty) -> bool {
    let (Ty::Tuple(parts), Ty::Tensor(_) | Ty::Struct(_) | Ty::List(_) | Ty::Dict(_)) = (pair, x) else { return false };
    let [Ty::Float, gradient] = parts.as_slice() else { return false };
    match (x, gradient) {
        (Ty::Tensor(a), Ty::Tensor(b)) => a.dims.is_some() && a.dims == b.dims,
        (Ty::Struct(a), Ty::Struct(b)) => a.info.at == b.info.at,
        (Ty::List(_), Ty::List(_)) | (Ty::Dict(_), Ty::Dict(_)) => true,
        _ => false,
    }
}

fn has_float(ty: &Ty) -> bool {
    matches!(ty, Ty::Tensor(t) if t.dtype.is_some_and(DType::is_float))
}

/// `[n]` against `[n, 1]` with n > 1.
fn crosses(x: &[Dim], y: &[Dim]) -> bool {
    let column = |d: &[Dim]| match d {
        [n, Dim::Known(1)] => Some(*n),
        _ => None,
    };
    let row = |d: &[Dim]| match d {
        [n] => Some(*n),
        _ => None,
    };
    match (row(x).zip(column(y)), column(x).zip(row(y))) {
        (Some((a, b)), _) | (_, Some((a, b))) => a == b && !matches!(a, Dim::Known(0 | 1) | Dim::Some | Dim::Unknown),
        _ => false,
    }
}

/// A literal that is meant exactly, such as a flag value: `rate == 0.0`.
fn is_round(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Float(x) => (x * 1024.0).fract() == 0.0,
        ExprKind::Unary(_, e) => is_round(e),
        ExprKind::Name(name) => matches!(&**name, "inf"),
        ExprKind::Tensor(items) => items.iter().all(is_round),
        _ => false,
    }
}

/// What is rounded where it stands: arithmetic, or a literal like 0.1.
fn is_inexact(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Float(_) => !is_round(e),
        ExprKind::Unary(_, e) => is_inexact(e),
        ExprKind::Tensor(items) => items.iter().any(is_inexact),
        ExprKind::Binary(op, ..) => {
            matches!(op, BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Div | BinOp::Pow | BinOp::MatMul)
        }
        _ => false,
    }
}
