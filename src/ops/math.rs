//! Exponentials, logarithms, roots, trigonometric and hyperbolic functions, rounding.
//!
//! Outside its domain a function and its slope are NaN; at the edge with a vertical tangent the slope is infinite.

use std::f64::consts::{LN_2, LN_10};

use super::arith::steps;
use super::lanes::{Elementwise, Ints, UnaryRule, unary};
use super::num::Num;
use super::prim::{Diff, Eval, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::real::Real;
use super::slope::{self, ACOSH_SLOPE, ASIN_SLOPE, CBRT_SLOPE};
use crate::tensor::simd::poly::pick;
use crate::types::ty::Ty;
use crate::{binary_prims, unary_prims};

/// The family.
pub static PRIMS: &[&Prim] = &[
    &SQRT, &RSQRT, &CBRT, &EXP, &EXPM1, &LOG, &LOG1P, &LOG2, &LOG10, &SIN, &COS, &TAN, &ASIN, &ACOS, &ATAN, &ATAN2,
    &SINH, &COSH, &TANH, &ASINH, &ACOSH, &ATANH, &FLOOR, &CEIL, &ROUND, &TRUNC, &LOGADDEXP, &HYPOT,
];

/// `slope(1 / (scale * x))` for a logarithm: NaN left of its domain, +inf at 0 and -0.
#[inline(always)]
pub(super) fn log_slope<N: Num>(x: N, scale: f64) -> N {
    // Adding 0 turns -0 into 0.
    let slope = N::c(1.0) / ((x.clone() + N::c(0.0)) * N::c(scale));
    N::if_gt(N::c(0.0), x, N::c(f64::NAN), slope)
}

unary_prims! {
    SQRT "sqrt", "Square root, elementwise. NaN below 0; slope +inf at 0.",
        ints: Ints::Promote,
        f(x) x.sqrt(),
        d(x, y) N::c(0.5) / y,
        probe: 0.2..3.0, &[1.0, 1e-6];
    RSQRT "rsqrt", "`1 / sqrt(x)`, elementwise. NaN below 0; inf at 0, with slope -inf.",
        ints: Ints::Promote,
        f(x) T::c(1.0) / x.sqrt(),
        d(x, y) N::c(-0.5) * (y.clone() * y.clone() * y),
        probe: 0.2..3.0, &[1.0, 100.0];
    CBRT "cbrt", "Cube root, elementwise, also of negative numbers. Slope +inf at 0.",
        ints: Ints::Promote,
        f(x) x.cbrt(),
        d(x, y) y.clone().known(&CBRT_SLOPE, slope::cbrt_slope(y)),
        probe: 0.2..3.0, &[1.0, -2.0];
    EXP "exp", "Exponential, elementwise.",
        ints: Ints::Promote,
        f(x) x.exp(),
        d(x, y) y,
        probe: -2.0..2.0, &[0.0, -30.0];
    EXPM1 "expm1", "`exp(x) - 1`, elementwise, exact near 0.",
        ints: Ints::Promote,
        f(x) x.expm1(),
        d(x, y) x.exp(),
        probe: -2.0..2.0, &[0.0, 1e-12];
    LOG "log", "Natural logarithm, elementwise. NaN below 0; slope +inf at 0.",
        ints: Ints::Promote,
        f(x) x.ln(),
        d(x, y) log_slope(x, 1.0),
        probe: 0.2..3.0, &[1.0];
    LOG1P "log1p", "`log(1 + x)`, elementwise, exact near 0.",
        ints: Ints::Promote,
        f(x) x.ln1p(),
        d(x, y) log_slope(N::c(1.0) + x, 1.0),
        probe: -0.5..3.0, &[0.0, 1e-12];
    LOG2 "log2", "Logarithm to base 2, elementwise.",
        ints: Ints::Promote,
        f(x) x.log2(),
        d(x, y) log_slope(x, LN_2),
        probe: 0.2..3.0, &[1.0];
    LOG10 "log10", "Logarithm to base 10, elementwise.",
        ints: Ints::Promote,
        f(x) x.log10(),
        d(x, y) log_slope(x, LN_10),
        probe: 0.2..3.0, &[1.0];
    SIN "sin", "Sine, elementwise.",
        ints: Ints::Promote,
        f(x) x.sin(),
        d(x, y) x.cos(),
        probe: -3.0..3.0, &[0.0], with_sine;
    COS "cos", "Cosine, elementwise.",
        ints: Ints::Promote,
        f(x) x.cos(),
        d(x, y) -x.sin(),
        probe: -3.0..3.0, &[0.0], with_cosine;
    TAN "tan", "Tangent, elementwise.",
        ints: Ints::Promote,
        f(x) x.tan(),
        d(x, y) N::c(1.0) + y.clone() * y,
        probe: -1.0..1.0, &[0.0], with_tangent;
    ASIN "asin", "Arc sine, elementwise. NaN outside [-1, 1]; slope +inf at the ends.",
        ints: Ints::Promote,
        f(x) x.asin(),
        d(x, y) x.clone().known(&ASIN_SLOPE, slope::asin_slope(x)),
        probe: -0.8..0.8, &[0.0];
    ACOS "acos", "Arc cosine, elementwise. NaN outside [-1, 1]; slope -inf at the ends.",
        ints: Ints::Promote,
        f(x) x.acos(),
        d(x, y) -x.clone().known(&ASIN_SLOPE, slope::asin_slope(x)),
        probe: -0.8..0.8, &[0.0];
    ATAN "atan", "Arc tangent, elementwise.",
        ints: Ints::Promote,
        f(x) x.atan(),
        d(x, y) N::c(1.0) / (N::c(1.0) + x.clone() * x),
        probe: -3.0..3.0, &[0.0];
    SINH "sinh", "Hyperbolic sine, elementwise.",
        ints: Ints::Promote,
        f(x) x.sinh(),
        d(x, y) x.cosh(),
        probe: -2.0..2.0, &[0.0];
    COSH "cosh", "Hyperbolic cosine, elementwise.",
        ints: Ints::Promote,
        f(x) x.cosh(),
        d(x, y) x.sinh(),
        probe: -2.0..2.0, &[0.0];
    TANH "tanh", "Hyperbolic tangent, elementwise.",
        ints: Ints::Promote,
        f(x) x.tanh(),
        d(x, y) N::c(1.0) - y.clone() * y,
        probe: -2.0..2.0, &[0.0, 20.0];
    ASINH "asinh", "Inverse hyperbolic sine, elementwise.",
        ints: Ints::Promote,
        f(x) x.asinh(),
        d(x, y) N::c(1.0) / x.hypot(N::c(1.0)),
        probe: -3.0..3.0, &[0.0, 1e-9];
    ACOSH "acosh", "Inverse hyperbolic cosine, elementwise. NaN below 1; slope +inf at 1.",
        ints: Ints::Promote,
        f(x) x.acosh(),
        d(x, y) x.clone().known(&ACOSH_SLOPE, slope::acosh_slope(x)),
        probe: 1.2..3.0, &[2.0];
    ATANH "atanh", "Inverse hyperbolic tangent, elementwise. NaN outside [-1, 1]; -inf and inf at the ends, with slope +inf.",
        ints: Ints::Promote,
        f(x) x.atanh(),
        // As a sum, so that the second derivative at an end is infinite, not NaN.
        d(x, y) {
            let slope = N::c(0.5) * (N::c(1.0) / (N::c(1.0) - x.clone()) + N::c(1.0) / (N::c(1.0) + x));
            N::if_eq(y.clone(), y.clone(), slope, y)
        },
        probe: -0.8..0.8, &[0.0, 1e-9];
}

binary_prims! {
    ATAN2 "atan2" ("y", "x"), "Angle of the point (x, y), elementwise with broadcasting. At the origin both slopes are 0.",
        ints: Ints::Promote,
        f(a, b) a.atan2(b),
        // Divided twice, so that the squared radius does not overflow.
        d0(a, b, y) {
            let r = a.hypot(b.clone());
            b.div_or_zero(r.clone()).div_or_zero(r)
        },
        d1(a, b, y) {
            let r = a.clone().hypot(b);
            -(a.div_or_zero(r.clone()).div_or_zero(r))
        },
        probe: 0.5..2.0, 0.5..2.0, &[1.0, -1.0, 0.0], &[-2.0, -0.5, 1.0];
    HYPOT "hypot" ("x", "y"), "`sqrt(x^2 + y^2)` without overflow, elementwise with broadcasting. At the origin both slopes are 0.",
        ints: Ints::Promote,
        f(a, b) a.hypot(b),
        d0(a, b, y) a.div_or_zero(y),
        d1(a, b, y) b.div_or_zero(y),
        probe: 0.5..2.0, 0.5..2.0, &[-1.0, 3.0], &[2.0, 0.0];
    LOGADDEXP "logaddexp" ("a", "b"), "`log(exp(a) + exp(b))` without overflow, elementwise with broadcasting. Both slopes are 0 where both are -inf.",
        ints: Ints::Promote,
        f(a, b) {
            let (hi, lo) = if a > b { (a, b) } else { (b, a) };
            let same = a == b;
            let gap = if same { T::c(0.0) } else { lo - hi };
            let sum = hi + gap.exp().ln1p();
            pick(same && hi.abs() == T::INFINITY, hi, sum)
        },
        d0(a, b, y) share(a, b),
        d1(a, b, y) share(b, a),
        probe: -2.0..2.0, -2.0..2.0, &[1.0, 40.0, 0.0], &[1.0, 0.0, -40.0];
}

/// `exp(a) / (exp(a) + exp(b))`; of two -inf 0, of two inf a half.
#[inline(always)]
fn share<N: Num>(a: N, b: N) -> N {
    let gap = a.clone() - b.clone();
    let both_high = N::if_eq(a.clone(), N::c(f64::INFINITY), N::c(0.5), a.clone() + b);
    let infinite = N::if_eq(a, N::c(f64::NEG_INFINITY), N::c(0.0), both_high);
    N::if_eq(gap.clone(), gap.clone(), gap.sigmoid(), infinite)
}

steps! {
    FLOOR "floor", "Largest whole number not above x, elementwise, as a float. Slope 0.",
        ints: crate::ints!(|x| (x, 0)),
        f(x) x.floor(),
        probe: &[-1.5, 0.5, 2.25];
    CEIL "ceil", "Smallest whole number not below x, elementwise, as a float. Slope 0.",
        ints: crate::ints!(|x| (x, 0)),
        f(x) x.ceil(),
        probe: &[-1.5, 0.5, 2.25];
    ROUND "round", "Nearest whole number, halves to even, elementwise, as a float. Slope 0.",
        ints: crate::ints!(|x| (x, 0)),
        f(x) x.round(),
        probe: &[-1.25, 0.75, 2.25];
    TRUNC "trunc", "Whole part, cut towards 0, elementwise, as a float. Slope 0.",
        ints: crate::ints!(|x| (x, 0)),
        f(x) x.trunc(),
        probe: &[-1.5, 0.5, 2.25];
}
