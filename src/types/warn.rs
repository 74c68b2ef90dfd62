//! Warnings: what runs but is hardly meant.
//!
//! | code | what |
//! | --- | --- |
//! | W0301 | `[n]` with `[n, 1]` broadcasts to `[n, n]` |
//! | W0302 | `log(softmax(x))`, `log(sum(exp(x)))` |
//! | W0303 | `==` on floats |
//! | W0304 | `sqrt(x*x)`, `sqrt(sum(x*x))`, `x * log(x)`, `sin(x) / x` |
//! | W0305 W0306 W0307 | names never read, imports not used, hidden variables (`unused.rs`) |
//! | W0308 | a gradient that is zero because no path has a slope (`slope.rs`) |

use super::Checker;
use super::show::show_dims;
use super::ty::{Dim, Ty};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{BinOp, Expr, ExprKind, IndexItem};

impl Checker {
    /// An operator whose operands are known.
    pub(super) fn warn_binary(&mut self, op: BinOp, left: &Ty, right: &Ty, a: &Expr, b: &Expr, span: Span) {
        let module = &self.frame.module;
        if module.is_library && !(&*module.name == "loss" && op == BinOp::Sub) {
            return;
        }
        let explicit = |e: &Expr| match &e.kind {
            ExprKind::Index { items, .. } => {
                items.iter().any(|i| matches!(i, IndexItem::At(e) if matches!(e.kind, ExprKind::None)))
            }
            _ => false,
        };
        if op == BinOp::Sub
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
        if matches!(op, BinOp::Eq | BinOp::Ne)
            && *left == Ty::Float
            && *right == Ty::Float
            && !is_round(a)
            && !is_round(b)
        {
            let d = Diagnostic::warning("W0303", format!("`{}` compares floats exactly", op.symbol()))
                .at(span, "rounding makes equal results differ")
                .help("compare with a tolerance: abs(a - b) < 1e-9");
            self.note(d);
        }
    }

    /// A call by its tree: patterns of nested calls.
    pub(super) fn warn_nested(&mut self, e: &Expr) {
        if self.frame.module.is_library {
            return;
        }
        let Some((outer, arg)) = call_of_one(e) else { return };
        let (code, message, help) = match (outer, call_of_one(arg)) {
            ("log", Some(("softmax", _))) => {
                ("W0302", "log(softmax(x)) loses precision and gives -inf for small entries", "write log_softmax(x)")
            }
            ("log", Some(("sum", inner))) if matches!(call_of_one(inner), Some(("exp", _))) => {
                ("W0302", "log(sum(exp(x))) overflows for large entries", "write logsumexp(x)")
            }
            ("sqrt", None) if is_square(arg) => ("W0304", "sqrt(x*x) has no derivative at 0", "write abs(x)"),
            ("sqrt", Some(("sum", inner))) if is_square(inner) => {
                ("W0304", "sqrt(sum(x*x)) has no derivative at the zero vector", "write norm(x)")
            }
            _ => return,
        };
        self.note(Diagnostic::warning(code, message).at(e.span, "").help(help));
    }

    /// An operator by its tree: products and quotients that are 0 * inf or 0 / 0 at 0.
    pub(super) fn warn_at_zero(&mut self, op: BinOp, a: &Expr, b: &Expr, span: Span) {
        if self.frame.module.is_library {
            return;
        }
        let of = |name: &str, call: &Expr, x: &Expr| {
            matches!((call_of_one(call), &x.kind), (Some((f, arg)), ExprKind::Name(x)) if f == name
                && matches!(&arg.kind, ExprKind::Name(y) if x == y))
        };
        let (message, help) = match op {
            BinOp::Mul if of("log", b, a) || of("log", a, b) => {
                ("x * log(x) is NaN at 0, where its limit is 0", "write xlogy(x, x)")
            }
            BinOp::Div if of("sin", a, b) => ("sin(x) / x is NaN at 0, where its limit is 1", "write sinc(x / pi)"),
            _ => return,
        };
        self.note(Diagnostic::warning("W0304", message).at(span, "").help(help));
    }
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
        (Some((a, b)), _) | (_, Some((a, b))) => a == b && !matches!(a, Dim::Known(0 | 1) | Dim::Unknown),
        _ => false,
    }
}

/// A literal that is meant exactly, such as a flag value: `rate == 0.0`.
fn is_round(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Float(x) => (x * 1024.0).fract() == 0.0,
        ExprKind::Unary(_, e) => is_round(e),
        ExprKind::Name(name) => matches!(&**name, "inf"),
        _ => false,
    }
}

/// `f(x)` or `x.f()`: the name and the argument.
fn call_of_one(e: &Expr) -> Option<(&str, &Expr)> {
    match &e.kind {
        ExprKind::Call { callee, args } => match (&callee.kind, args.first()) {
            (ExprKind::Name(name), Some(arg)) => Some((name, &arg.value)),
            _ => None,
        },
        ExprKind::Method { receiver, name, .. } => Some((&name.name, receiver)),
        _ => None,
    }
}

fn is_square(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Binary(BinOp::Mul, a, b) => match (&a.kind, &b.kind) {
            (ExprKind::Name(x), ExprKind::Name(y)) => x == y,
            _ => false,
        },
        ExprKind::Binary(BinOp::Pow, a, b) => matches!(a.kind, ExprKind::Name(_)) && matches!(b.kind, ExprKind::Int(2)),
        _ => false,
    }
}
