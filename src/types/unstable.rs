//! Forms of arithmetic that lose digits or have no derivative at a point, where a function computes the same without.
//!
//! | code | form | function |
//! | --- | --- | --- |
//! | W0302 | `log(softmax(x))`, `log(sigmoid(x))`, `log(sum(exp(x)))` | `log_softmax`, `log_sigmoid`, `logsumexp` |
//! | W0304 | `sqrt(x*x)`, `sqrt(sum(x*x))`, `x * log(x)`, `sin(x) / x` | `abs`, `norm`, `xlogy`, `sinc` |
//! | W0310 | `log(1 + exp(x))`, `log(1 + x)`, `exp(x) - 1`, `1 - erf(x)` | `softplus`, `log1p`, `expm1`, `erfc` |
//! | W0303 | `x != x`, `x == x` | `isnan` |
//!
//! Patterns are matched on the tree, and only for functions that there are; a name must be the same on both sides.

use super::Checker;
use super::ty::Ty;
use crate::diagnostic::Diagnostic;
use crate::syntax::ast::{Arg, BinOp, Expr, ExprKind};
use crate::syntax::print;

/// What is told of a form.
struct Finding {
    code: &'static str,
    message: &'static str,
    /// The function to write instead.
    name: &'static str,
    help: String,
}

/// A form for which there is the function `name`; the help is that code and what `why` adds.
fn finding(code: &'static str, message: &'static str, name: &'static str, written: &str, why: &str) -> Finding {
    Finding { code, message, name, help: format!("write {written}{why}") }
}

/// `name(x, ...)` with the further arguments of a call (for `named`, a position is that of `axis`).
fn call(name: &str, x: &Expr, call: &Expr, named: bool) -> String {
    let mut text = format!("{name}({}", print::expr(x));
    let args: &[Arg] = match &call.kind {
        ExprKind::Call { args, .. } => args.get(1..).unwrap_or(&[]),
        ExprKind::Method { args, .. } => args,
        _ => &[],
    };
    for arg in args {
        let label = arg.name.as_ref().map(|n| &*n.name).or(named.then_some("axis"));
        text += ", ";
        if let Some(label) = label {
            text += &format!("{label}: ");
        }
        text += &print::expr(&arg.value);
    }
    text + ")"
}

/// `name(x)`
fn plain(name: &str, x: &Expr) -> String {
    format!("{name}({})", print::expr(x))
}

impl Checker {
    /// A call by its tree: patterns of nested calls.
    pub(super) fn warn_nested(&mut self, e: &Expr) {
        if let Some((outer, arg)) = call_of_one(e)
            && let Some(found) = of_call(outer, arg)
            && !one_plus(arg).is_some_and(|x| matches!(self.peek(x), Some(Ty::Int(_))))
        {
            self.tell(found, e);
        }
    }

    /// An operator by the trees of its operands, of these types.
    pub(super) fn warn_form(
        &mut self,
        op: BinOp,
        (a, left): (&Expr, &Ty),
        (b, right): (&Expr, &Ty),
        e: crate::source::Span,
    ) {
        let number = |ty: &Ty| matches!(ty, Ty::Float | Ty::Tensor(_));
        let found = match (op, call_of_one(a), call_of_one(b)) {
            (BinOp::Mul, _, Some(("log", x))) if same_name(a, x) && number(left) => log_times(x),
            (BinOp::Mul, Some(("log", x)), _) if same_name(b, x) && number(right) => log_times(x),
            (BinOp::Div, Some(("sin", x)), _) if same_name(b, x) && number(right) => finding(
                "W0304",
                "sin(x) / x is NaN at 0, where its limit is 1",
                "sinc",
                &format!("sinc({} / pi)", print::expr(x)),
                ": sinc(t) is sin(pi t) / (pi t), and 1 at 0",
            ),
            (BinOp::Sub, Some(("exp", x)), _) if is_one(b) && number(left) => {
                finding("W0310", "exp(x) - 1 loses all digits near 0", "expm1", &plain("expm1", x), "")
            }
            (BinOp::Sub, _, Some(("erf", x))) if is_one(a) && number(right) => {
                finding("W0310", "1 - erf(x) loses all digits for large x", "erfc", &plain("erfc", x), "")
            }
            (BinOp::Ne, ..) if same_name(a, b) && number(left) => {
                finding("W0303", "only NaN is not equal to itself", "isnan", &plain("isnan", a), "")
            }
            (BinOp::Eq, ..) if same_name(a, b) && number(left) => {
                finding("W0303", "all but NaN is equal to itself", "isnan", &format!("not {}", plain("isnan", a)), "")
            }
            _ => return,
        };
        self.tell_at(found, e);
    }

    fn tell(&mut self, found: Finding, e: &Expr) {
        self.tell_at(found, e.span);
    }

    fn tell_at(&mut self, found: Finding, place: crate::source::Span) {
        let exists = crate::ops::find(found.name).is_some() || crate::builtins::find(found.name).is_some();
        if exists && !self.frame.module.is_library {
            self.note(Diagnostic::warning(found.code, found.message).at(place, "").help(found.help));
        }
    }
}

fn log_times(x: &Expr) -> Finding {
    let name = print::expr(x);
    let written = format!("xlogy({name}, {name})");
    finding("W0304", "x * log(x) is NaN at 0, where its limit is 0", "xlogy", &written, ", which is 0 there")
}

fn of_call(outer: &str, arg: &Expr) -> Option<Finding> {
    let inner = call_of_one(arg);
    Some(match (outer, inner) {
        ("log", Some(("softmax", x))) => finding(
            "W0302",
            "log(softmax(x)) loses precision and gives -inf for small entries",
            "log_softmax",
            &call("log_softmax", x, arg, false),
            "",
        ),
        ("log", Some(("sigmoid", x))) => {
            finding("W0302", "log(sigmoid(x)) is -inf for x far below 0", "log_sigmoid", &plain("log_sigmoid", x), "")
        }
        // What exp takes off first, as in exp(x - max(x)), is there to keep it small.
        ("log", Some(("sum", x))) if matches!(call_of_one(x), Some(("exp", y)) if !is_difference(y)) => {
            let (_, x) = call_of_one(x)?;
            let written = call("logsumexp", x, arg, true);
            finding("W0302", "log(sum(exp(x))) overflows for large entries", "logsumexp", &written, "")
        }
        ("log", _) => match one_plus(arg)? {
            x if matches!(call_of_one(x), Some(("exp", _))) => {
                let (_, x) = call_of_one(x)?;
                let written = plain("softplus", x);
                finding("W0310", "log(1 + exp(x)) overflows for large x", "softplus", &written, "")
            }
            x if matches!(x.kind, ExprKind::Name(_)) => {
                finding("W0310", "log(1 + x) loses the digits of a small x", "log1p", &plain("log1p", x), "")
            }
            _ => return None,
        },
        ("sqrt", None) => {
            let x = squared(arg)?;
            finding("W0304", "sqrt(x*x) has no derivative at 0", "abs", &plain("abs", x), "")
        }
        ("sqrt", Some(("sum", squares))) => {
            let written = call("norm", squared(squares)?, arg, true);
            let message = "sqrt(sum(x*x)) has no derivative where all of x is 0";
            finding("W0304", message, "norm", &written, ", whose gradient is 0 there")
        }
        _ => return None,
    })
}

fn is_difference(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Binary(BinOp::Sub, ..))
}

/// `1 + x`, `x + 1`: x.
fn one_plus(e: &Expr) -> Option<&Expr> {
    match &e.kind {
        ExprKind::Binary(BinOp::Add, a, b) if is_one(a) => Some(b),
        ExprKind::Binary(BinOp::Add, a, b) if is_one(b) => Some(a),
        _ => None,
    }
}

fn is_one(e: &Expr) -> bool {
    match e.kind {
        ExprKind::Int(n) => n == 1,
        ExprKind::Float(x) => x == 1.0,
        _ => false,
    }
}

pub(super) fn same_name(a: &Expr, b: &Expr) -> bool {
    matches!((&a.kind, &b.kind), (ExprKind::Name(x), ExprKind::Name(y)) if x == y)
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

/// `x * x`, `x^2`: x.
fn squared(e: &Expr) -> Option<&Expr> {
    match &e.kind {
        ExprKind::Binary(BinOp::Mul, a, b) if same_name(a, b) => Some(a),
        ExprKind::Binary(BinOp::Pow, a, b) if matches!(a.kind, ExprKind::Name(_)) => {
            let two = matches!(b.kind, ExprKind::Int(2)) || matches!(b.kind, ExprKind::Float(2.0));
            two.then_some(&**a)
        }
        _ => None,
    }
}
