//! The incomplete gamma functions, regularized, with slopes in both arguments.
//!
//! Below `x = a + 1` the lower function is a power series, above it the upper one is a continued fraction (by Lentz's
//! recurrence); slopes in `a` come from carrying the derivative of each term along. Abramowitz and Stegun, 6.5.

use std::f64::consts::PI;

use super::gamma;
use super::lanes::{BinaryRule, Elementwise, Ints};
use super::matrices::undefined;
use super::num::Num;
use super::prim::{Batch, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::real::Real;
use super::special::{LGAMMA, XLOGY};
use crate::ad::algebra::eval_partial;
use crate::error::{Error, Result};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&GAMMAINC, &GAMMAINCC, &GAMMAINC_SLOPE, &GAMMAINC_CURVE];

/// Steps after which a series or fraction ends: it needs some times the root of `a`.
fn steps(a: f64) -> usize {
    100_000.max((12.0 * a.sqrt()) as usize)
}

/// Beyond, they take too long to end.
const LARGEST: f64 = 4e12;

/// `x^a exp(-x) / gamma(a + 1)`; for large `a` by Stirling's series, which leaves no large numbers to cancel.
fn front(a: f64, x: f64) -> f64 {
    if a < 20.0 {
        return (a * x.ln() - x - gamma::lgamma(a + 1.0)).exp();
    }
    let gap = (x - a) / a;
    let inverse = 1.0 / (a * a);
    let tail = 1.0 / 1260.0 - inverse * (1.0 / 1680.0 - inverse / 1188.0);
    let rest = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * tail)) / a;
    (a * (gap.ln_1p() - gap) - rest).exp() / (2.0 * PI * a).sqrt()
}

/// A number that depends on `a`, with its first two derivatives.
#[derive(Clone, Copy)]
struct Jet([f64; 3]);

impl Jet {
    const fn constant(x: f64) -> Jet {
        Jet([x, 0.0, 0.0])
    }

    fn inverse(self) -> Jet {
        let Jet([x, d, dd]) = self;
        let y = 1.0 / x;
        Jet([y, -d * y * y, (2.0 * d * d * y - dd) * y * y])
    }
}

impl std::ops::Add for Jet {
    type Output = Jet;
    fn add(self, other: Jet) -> Jet {
        Jet([0, 1, 2].map(|i| self.0[i] + other.0[i]))
    }
}

impl std::ops::Mul for Jet {
    type Output = Jet;
    fn mul(self, other: Jet) -> Jet {
        let (Jet([x, dx, ddx]), Jet([y, dy, ddy])) = (self, other);
        Jet([x * y, dx * y + x * dy, ddx * y + 2.0 * dx * dy + x * ddy])
    }
}

/// `1 + x / (a + 1) + x^2 / ((a + 1) (a + 2)) + ...`
fn series(a: f64, x: f64) -> Jet {
    let (mut term, mut sum) = (Jet::constant(1.0), Jet::constant(1.0));
    for n in 1..steps(a) {
        let inverse = Jet([a + n as f64, 1.0, 0.0]).inverse();
        term = term * inverse * Jet::constant(x);
        sum = sum + term;
        if (0..3).all(|i| term.0[i].abs() <= 1e-18 * sum.0[i].abs()) {
            break;
        }
    }
    sum
}

/// The continued fraction of the upper function over `x^a exp(-x) / gamma(a)`.
fn fraction(a: f64, x: f64) -> Jet {
    let mut b = Jet([x + 1.0 - a, -1.0, 0.0]);
    let mut d = b.inverse();
    // 1 / c, which begins with 0.
    let mut c_inverse = Jet::constant(0.0);
    let mut h = d;
    for n in 1..steps(a) {
        let n = n as f64;
        let top = Jet([n * (a - n), n, 0.0]);
        b = b + Jet::constant(2.0);
        d = (top * d + b).inverse();
        let c = b + top * c_inverse;
        c_inverse = c.inverse();
        let step = c * d;
        let next = h * step;
        // The fraction of a whole `a` ends, those of its derivatives do not.
        let small = |i: usize| (next.0[i] - h.0[i]).abs() <= 1e-16 * next.0[i].abs();
        let done = (step.0[0] - 1.0).abs() < 4e-16 && (0..3).all(small);
        h = next;
        if done {
            break;
        }
    }
    h
}

/// Lower and upper function, and the first two slopes of the lower one in `a`.
fn parts(a: f64, x: f64) -> (f64, f64, f64, f64) {
    if a.is_nan() || x.is_nan() || a <= 0.0 || x < 0.0 || a > LARGEST {
        return (f64::NAN, f64::NAN, f64::NAN, f64::NAN);
    }
    if x == 0.0 || x == f64::INFINITY {
        return if x == 0.0 { (0.0, 1.0, 0.0, 0.0) } else { (1.0, 0.0, 0.0, 0.0) };
    }
    let front = front(a, x);
    let turn = x.ln() - gamma::digamma(a + 1.0);
    let front = Jet([front, front * turn, front * (turn * turn - gamma::polygamma(1.0, a + 1.0))]);
    if x < a + 1.0 {
        let Jet([lower, slope, curve]) = front * series(a, x);
        return (lower, 1.0 - lower, slope, curve);
    }
    let Jet([upper, slope, curve]) = front * Jet([a, 1.0, 0.0]) * fraction(a, x);
    (1.0 - upper, upper, -slope, -curve)
}

#[cold]
fn too_large(a: f64) -> Error {
    Error::new("E0310", format!("the first argument of gammainc is {a:?}: above {LARGEST:?} it would take too long"))
        .operand(0, "this must be smaller")
        .help("so large a shape is as good as normal: gammainc(a, x) is near (1 + erf((x - a) / sqrt(2 * a))) / 2")
}

fn check(args: &[Value]) -> Result<()> {
    let large = |a: f64| if a.is_finite() && a > LARGEST { Err(too_large(a)) } else { Ok(()) };
    match args.first() {
        Some(Value::Float(_, a)) => large(*a),
        Some(Value::Int(a)) => large(*a as f64),
        Some(Value::Tensor(_, t)) => t.iter_f64().try_for_each(large),
        _ => Ok(()),
    }
}

/// `x^(a - 1) exp(-x) / gamma(a)`, the slope of the lower function in `x`; NaN outside the domain.
fn density<N: Num>(a: N, x: N) -> N {
    let power = (a.clone() - N::c(1.0)).binary(&XLOGY, x.clone());
    let inside = (power - x.clone() - a.clone().unary(&LGAMMA)).exp();
    let inside = N::if_gt(N::c(0.0), x, N::c(f64::NAN), inside);
    N::if_gt(a, N::c(0.0), inside, N::c(f64::NAN))
}

const PROBE: Probe = Probe {
    samples: &[
        Sample { args: &[ProbeArg::Int(2), ProbeArg::Float { shape: &[2, 3], lo: 0.5, hi: 6.0 }] },
        Sample { args: &[ProbeArg::Int(1), ProbeArg::Point(&[2.0, 0.5, 8.0])] },
    ],
};

/// A function of `a` and `x`: value, slope in `a`, slope in `x`. Probed in `x` only, as it has but two derivatives in `a`.
macro_rules! of_shape {
    ($NAME:ident $name:literal, $doc:literal, $part:tt, |$a:ident, $x:ident| $d0:expr, $d1:expr) => {
        pub static $NAME: Prim = {
            struct Rule;
            impl BinaryRule for Rule {
                fn f<T: Real>(a: T, x: T) -> T {
                    a.via2(x, |a, x| parts(a, x).$part)
                }
                #[allow(unused_variables)]
                fn d0<N: Num>($a: N, $x: N, _: N) -> N {
                    $d0
                }
                fn d1<N: Num>($a: N, $x: N, _: N) -> N {
                    $d1
                }
            }
            static INSIDE: Elementwise = super::lanes::binary::<Rule>(Ints::Promote).with_check(check);
            Prim {
                name: $name,
                doc: $doc,
                sig: Sig { params: &[req("a"), req("x")] },
                infer: |args: &[Ty]| super::shape_rules::elementwise($name, args, true),
                eval: Eval::Elementwise(&INSIDE),
                diff: Diff::Elementwise,
                batch: Batch::Elementwise,
                probe: PROBE,
            }
        };
    };
}

of_shape!(
    GAMMAINC "gammainc",
    "The lower incomplete gamma function over the gamma function: the part of the gamma distribution of shape `a` below `x`, elementwise with broadcasting. NaN unless a > 0 and x >= 0. Twice differentiable in `a`.",
    0, |a, x| a.binary(&GAMMAINC_SLOPE, x), density(a, x)
);
of_shape!(
    GAMMAINCC "gammaincc",
    "`1 - gammainc(a, x)` without loss for large `x`, elementwise with broadcasting. NaN unless a > 0 and x >= 0. Twice differentiable in `a`.",
    1, |a, x| -a.binary(&GAMMAINC_SLOPE, x), -density(a, x)
);
of_shape!(
    GAMMAINC_SLOPE "_gammainc_slope",
    "Slope of `gammainc` in `a`, elementwise.",
    2, |a, x| a.binary(&GAMMAINC_CURVE, x), density(a.clone(), x.clone()).zmul(x.ln() - a.digamma())
);

/// `_gammainc_curve(a, x)`
static GAMMAINC_CURVE: Prim = {
    struct Rule;
    impl BinaryRule for Rule {
        fn f<T: Real>(a: T, x: T) -> T {
            a.via2(x, |a, x| parts(a, x).3)
        }
        fn d0<N: Num>(a: N, _: N, _: N) -> N {
            a * N::c(f64::NAN)
        }
        fn d1<N: Num>(a: N, x: N, _: N) -> N {
            let turn = x.clone().ln() - a.clone().digamma();
            density(a.clone(), x).zmul(turn.clone() * turn - N::c(1.0).polygamma(a))
        }
    }
    static INSIDE: Elementwise = super::lanes::binary::<Rule>(Ints::Promote);
    Prim {
        name: "_gammainc_curve",
        doc: "Second slope of `gammainc` in `a`, elementwise. A third one is an error.",
        eval: Eval::Elementwise(&INSIDE),
        infer: |args: &[Ty]| super::shape_rules::elementwise("_gammainc_curve", args, true),
        diff: Diff::Rules {
            jvp: |cx, call, tangents| {
                if matches!(tangents.first(), Some(Some(_))) {
                    return Err(third());
                }
                match tangents.get(1) {
                    Some(Some(x_dot)) => {
                        let slope = eval_partial(cx, call.prim, 1, call.args, call.out)?;
                        cx.zmul(x_dot, &slope).map(Some)
                    }
                    _ => Ok(None),
                }
            },
            vjp: |cx, call, y_bar| {
                if call.wants(0) {
                    return Err(third());
                }
                let slope = eval_partial(cx, call.prim, 1, call.args, call.out)?;
                Ok([None, Some(cx.zmul(y_bar, &slope)?)].into_iter().collect())
            },
            keep: Keep::ARGS,
        },
        sig: Sig { params: &[req("a"), req("x")] },
        batch: Batch::Elementwise,
        probe: PROBE,
    }
};

#[cold]
fn third() -> Error {
    undefined(
        "gammainc",
        "its third derivative in the first argument is not there",
        "differentiate at most twice in it; in the second argument there is no limit",
    )
}
