//! The incomplete gamma functions, regularized, with slopes in both arguments.
//!
//! Below `x = a + 1` the lower function is a power series, above it the upper one is a continued fraction (by Lentz's
//! recurrence); slopes in `a` come from carrying the derivative of each term along. Abramowitz and Stegun, 6.5.

use std::f64::consts::PI;

use super::gamma;
use super::lanes::{BinaryRule, Elementwise, Ints};
use super::num::Num;
use super::prim::{Batch, Diff, Eval, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::real::Real;
use super::special::{LGAMMA, XLOGY};
use crate::types::ty::Ty;

/// The family.
pub static PRIMS: &[&Prim] = &[&GAMMAINC, &GAMMAINCC, &GAMMAINC_SLOPE];

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

/// `1 + x / (a + 1) + x^2 / ((a + 1) (a + 2)) + ...` and its derivative in `a`.
fn series(a: f64, x: f64) -> (f64, f64) {
    let (mut term, mut slope) = (1.0, 0.0);
    let (mut sum, mut sum_slope) = (1.0, 0.0);
    for n in 1..steps(a) {
        let factor = x / (a + n as f64);
        slope = factor * (slope - term / (a + n as f64));
        term *= factor;
        sum += term;
        sum_slope += slope;
        if term < 1e-18 * sum && slope.abs() <= 1e-18 * sum_slope.abs() {
            break;
        }
    }
    (sum, sum_slope)
}

/// The continued fraction of the upper function over `x^a exp(-x) / gamma(a)`, and its derivative in `a`.
fn fraction(a: f64, x: f64) -> (f64, f64) {
    let mut b = x + 1.0 - a;
    let (mut d, mut d_slope) = (1.0 / b, 1.0 / (b * b));
    let (mut c, mut c_slope) = (f64::INFINITY, 0.0);
    let (mut h, mut h_slope) = (d, d_slope);
    for n in 1..steps(a) {
        let n = n as f64;
        let (top, top_slope) = (n * (a - n), n);
        b += 2.0;
        let below = top * d + b;
        d_slope = -(top_slope * d + top * d_slope - 1.0) / (below * below);
        d = 1.0 / below;
        c_slope = if c.is_finite() { (top_slope * c - top * c_slope) / (c * c) - 1.0 } else { -1.0 };
        c = b + top / c;
        let step = c * d;
        let gain = h * (c_slope * d + c * d_slope);
        h_slope = h_slope * step + gain;
        h *= step;
        // The fraction of a whole `a` ends, that of its slope does not.
        if (step - 1.0).abs() < 4e-16 && gain.abs() <= 1e-15 * (h * c_slope * d).abs().max(h_slope.abs()) {
            break;
        }
    }
    (h, h_slope)
}

/// Lower and upper function and the slope of the lower one in `a`.
fn parts(a: f64, x: f64) -> (f64, f64, f64) {
    if a.is_nan() || x.is_nan() || a <= 0.0 || x < 0.0 || a > LARGEST {
        return (f64::NAN, f64::NAN, f64::NAN);
    }
    if x == 0.0 || x == f64::INFINITY {
        return if x == 0.0 { (0.0, 1.0, 0.0) } else { (1.0, 0.0, 0.0) };
    }
    let front = front(a, x);
    let turn = x.ln() - gamma::digamma(a + 1.0);
    if x < a + 1.0 {
        let (sum, slope) = series(a, x);
        let lower = front * sum;
        return (lower, 1.0 - lower, front * (sum * turn + slope));
    }
    let (h, slope) = fraction(a, x);
    let upper = front * a * h;
    (1.0 - upper, upper, -front * ((a * turn + 1.0) * h + a * slope))
}

/// `x^(a - 1) exp(-x) / gamma(a)`, the slope of the lower function in `x`; NaN outside the domain.
fn density<N: Num>(a: N, x: N) -> N {
    let power = (a.clone() - N::c(1.0)).binary(&XLOGY, x.clone());
    let inside = (power - x.clone() - a.clone().unary(&LGAMMA)).exp();
    let inside = N::if_gt(N::c(0.0), x, N::c(f64::NAN), inside);
    N::if_gt(a, N::c(0.0), inside, N::c(f64::NAN))
}

/// A function of `a` and `x`: value, slope in `a`, slope in `x`. Probed in `x` only, as it has but one derivative in `a`.
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
            static INSIDE: Elementwise = super::lanes::binary::<Rule>(Ints::Promote);
            Prim {
                name: $name,
                doc: $doc,
                sig: Sig { params: &[req("a"), req("x")] },
                infer: |args: &[Ty]| super::shape_rules::elementwise($name, args, true),
                eval: Eval::Elementwise(&INSIDE),
                diff: Diff::Elementwise,
                batch: Batch::Elementwise,
                probe: Probe {
                    samples: &[
                        Sample { args: &[ProbeArg::Int(2), ProbeArg::Float { shape: &[2, 3], lo: 0.5, hi: 6.0 }] },
                        Sample { args: &[ProbeArg::Int(1), ProbeArg::Point(&[2.0, 0.5, 8.0])] },
                    ],
                },
            }
        };
    };
}

of_shape!(
    GAMMAINC "gammainc",
    "The lower incomplete gamma function over the gamma function: the part of the gamma distribution of shape `a` below `x`, elementwise with broadcasting. NaN unless a > 0 and x >= 0. Once differentiable in `a` (then NaN).",
    0, |a, x| a.binary(&GAMMAINC_SLOPE, x), density(a, x)
);
of_shape!(
    GAMMAINCC "gammaincc",
    "`1 - gammainc(a, x)` without loss for large `x`, elementwise with broadcasting. NaN unless a > 0 and x >= 0. Once differentiable in `a` (then NaN).",
    1, |a, x| -a.binary(&GAMMAINC_SLOPE, x), -density(a, x)
);
of_shape!(
    GAMMAINC_SLOPE "_gammainc_slope",
    "Slope of `gammainc` in `a`, elementwise. Its own slope in `a` is NaN: there is no formula for it here.",
    2, |a, x| a * N::c(f64::NAN), density(a.clone(), x.clone()).zmul(x.ln() - a.digamma())
);
