//! Error functions, the normal distribution function, gamma functions, and products and quotients that are whole at 0.

use std::f64::consts::FRAC_2_SQRT_PI;

use super::lanes::{BinaryRule, Elementwise, Ints};
use super::math::log_slope;
use super::num::Num;
use super::prim::{Batch, Diff, Eval, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::real::Real;
use super::wave;
use crate::types::ty::Ty;
use crate::{binary_prims, unary_prims};

/// The family.
pub static PRIMS: &[&Prim] = &[
    &ERF,
    &ERFC,
    &ERFINV,
    &NDTR,
    &NORMAL_DENSITY,
    &MILLS,
    &LOG_NDTR,
    &HAZARD,
    &HAZARD_EXCESS,
    &LGAMMA,
    &DIGAMMA,
    &POLYGAMMA,
    &LOGIT,
    &SINC,
    &SINC_SLOPE,
    &XLOGY,
    &XLOG1PY,
];

unary_prims! {
    ERF "erf", "Error function, elementwise.",
        ints: Ints::Promote,
        f(x) x.erf(),
        d(x, y) N::c(FRAC_2_SQRT_PI) * (-(x.clone() * x)).exp(),
        probe: -2.0..2.0, &[0.0, 5.0];
    NDTR "_ndtr", "Distribution function of the standard normal, elementwise.",
        ints: Ints::Promote,
        f(x) x.ndtr(),
        d(x, y) x.density(),
        probe: -2.0..2.0, &[0.0, -5.0];
    NORMAL_DENSITY "_normal_density", "Density of the standard normal, elementwise.",
        ints: Ints::Promote,
        f(x) x.density(),
        // zmul: 0 at the infinities.
        d(x, y) -y.zmul(x),
        probe: -2.0..2.0, &[0.0, -5.0];
    MILLS "_mills", "What the standard normal has beyond `|x|` over its density there, elementwise; for `x` where the density is not 0.",
        ints: Ints::Promote,
        f(x) x.mills(),
        d(x, y) x.clone().sign() * (x.abs() * y - N::c(1.0)),
        probe: 0.2..2.0, &[-1.0];
    ERFC "erfc", "`1 - erf(x)` without loss for large `x`, elementwise.",
        ints: Ints::Promote,
        f(x) x.erfc(),
        d(x, y) N::c(-FRAC_2_SQRT_PI) * (-(x.clone() * x)).exp(),
        probe: -2.0..2.0, &[0.0, 5.0];
    ERFINV "erfinv", "Inverse of `erf`, elementwise. NaN outside [-1, 1]; -inf and inf at the ends, with slope +inf.",
        ints: Ints::Promote,
        f(x) x.erfinv(),
        d(x, y) N::c(1.0 / FRAC_2_SQRT_PI) * (y.clone() * y).exp(),
        probe: -0.8..0.8, &[0.0, 0.99, -1e-9];
    LOG_NDTR "log_ndtr", "Logarithm of the standard normal's distribution function, elementwise; exact far below 0, where that function vanishes.",
        ints: Ints::Promote,
        f(x) x.log_ndtr(),
        d(x, y) x.unary(&HAZARD),
        probe: -3.0..3.0, &[0.0, -40.0, 8.0];
    HAZARD "_hazard", "Density over distribution function of the standard normal (the inverse Mills ratio at `-x`), elementwise.",
        ints: Ints::Promote,
        f(x) x.hazard(),
        // zmul: far above 0 the density is 0 and must stay so. At -inf the hazard is a line.
        d(x, y) {
            let slope = -y.zmul(x.clone().unary(&HAZARD_EXCESS));
            N::if_eq(x, N::c(f64::NEG_INFINITY), N::c(-1.0), slope)
        },
        probe: -3.0..3.0, &[0.0, -5.0, -40.0, 8.0];
    HAZARD_EXCESS "_hazard_excess", "What `_hazard` differs by from the line `-x` that it follows far below 0, elementwise.",
        ints: Ints::Promote,
        f(x) x.hazard_excess(),
        d(x, y) {
            let slope = N::c(1.0) - x.clone().unary(&HAZARD).zmul(y);
            N::if_eq(x, N::c(f64::NEG_INFINITY), N::c(0.0), slope)
        },
        probe: -3.0..3.0, &[0.0, -5.0, 8.0];
    LOGIT "logit", "`log(x / (1 - x))`, the inverse of `sigmoid`, elementwise; exact near 0.5. NaN outside [0, 1]; slope +inf at the ends.",
        ints: Ints::Promote,
        f(x) x.logit(),
        d(x, y) {
            // Adding 0 turns -0 into 0.
            let slope = N::c(1.0) / (x.clone() + N::c(0.0)) + N::c(1.0) / (N::c(1.0) - x);
            N::if_eq(y.clone(), y.clone(), slope, y)
        },
        probe: 0.1..0.9, &[0.5, 1e-3];
    SINC "sinc", "`sin(pi x) / (pi x)`, 1 at 0, elementwise; derivatives of every order are exact at 0.",
        ints: Ints::Promote,
        f(x) x.via(|x| wave::sinc(0.0, x)),
        d(x, y) N::c(1.0).binary(&SINC_SLOPE, x),
        probe: -2.0..2.0, &[0.0, 1e-6, 1.0];
    LGAMMA "lgamma", "Logarithm of the gamma function's magnitude, elementwise. inf at 0 (slope -inf) and at the other poles (slope NaN).",
        ints: Ints::Promote,
        f(x) x.lgamma(),
        d(x, y) x.digamma(),
        probe: 0.5..4.0, &[1.0, -0.5], with_log_gamma;
    DIGAMMA "digamma", "Derivative of `lgamma`, elementwise. -inf at 0 (slope inf), NaN at the negative integers.",
        ints: Ints::Promote,
        f(x) x.digamma(),
        d(x, y) N::c(1.0).polygamma(x),
        probe: 0.5..4.0, &[1.0, -0.5], with_digamma;
}

binary_prims! {
    XLOGY "xlogy" ("x", "y"), "`x * log(y)`, 0 where `x` is 0 (unless `y` is NaN), elementwise with broadcasting. There the slope in `y` is 0 and that in `x` is `log(y)`.",
        ints: Ints::Promote,
        f(x, y) if y.is_nan() { y } else { x.zmul(y.ln()) },
        d0(x, y, out) y.ln(),
        d1(x, y, out) x.zmul(log_slope(y, 1.0)),
        probe: -2.0..2.0, 0.5..2.0, &[0.0, 1.0], &[1.0, 3.0];
    XLOG1PY "xlog1py" ("x", "y"), "`x * log1p(y)`, 0 where `x` is 0 (unless `y` is NaN), elementwise with broadcasting. There the slope in `y` is 0 and that in `x` is `log1p(y)`.",
        ints: Ints::Promote,
        f(x, y) if y.is_nan() { y } else { x.zmul(y.ln1p()) },
        d0(x, y, out) y.ln1p(),
        d1(x, y, out) x.zmul(log_slope(N::c(1.0) + y, 1.0)),
        probe: -2.0..2.0, -0.5..2.0, &[0.0, 1.0], &[1.0, 1e-9];
}

/// A derivative of [`SINC`].
pub static SINC_SLOPE: Prim = {
    struct Rule;
    impl BinaryRule for Rule {
        #[inline(always)]
        fn f<T: Real>(order: T, x: T) -> T {
            order.via2(x, wave::sinc)
        }
        #[inline(always)]
        fn d0<N: Num>(_: N, _: N, _: N) -> N {
            N::c(0.0)
        }
        #[inline(always)]
        fn d1<N: Num>(order: N, x: N, _: N) -> N {
            (order + N::c(1.0)).binary(&SINC_SLOPE, x)
        }
    }
    static INSIDE: Elementwise = super::lanes::binary::<Rule>(Ints::Promote);
    Prim {
        name: "_sinc_slope",
        doc: "The derivative of `sinc` of a whole order, elementwise. Slope 0 in the order.",
        sig: Sig { params: &[req("order"), req("x")] },
        infer: |args: &[Ty]| super::shape_rules::elementwise("sinc", args, true),
        eval: Eval::Elementwise(&INSIDE),
        diff: Diff::Elementwise,
        batch: Batch::Elementwise,
        probe: Probe {
            samples: &[
                Sample { args: &[ProbeArg::Int(1), ProbeArg::Float { shape: &[2, 3], lo: -2.0, hi: 2.0 }] },
                Sample { args: &[ProbeArg::Int(3), ProbeArg::Point(&[0.0])] },
                Sample { args: &[ProbeArg::Int(2), ProbeArg::Point(&[-0.5, 1e-3, 4.0])] },
            ],
        },
    }
};

/// The derivatives of digamma.
pub static POLYGAMMA: Prim = {
    struct Rule;
    impl BinaryRule for Rule {
        #[inline(always)]
        fn f<T: Real>(order: T, x: T) -> T {
            order.polygamma(x)
        }
        #[inline(always)]
        fn d0<N: Num>(_: N, _: N, _: N) -> N {
            N::c(0.0)
        }
        #[inline(always)]
        fn d1<N: Num>(order: N, x: N, _: N) -> N {
            (order + N::c(1.0)).polygamma(x)
        }
    }
    static INSIDE: Elementwise = super::lanes::binary::<Rule>(Ints::Promote);
    Prim {
        name: "_polygamma",
        doc: "The derivative of `digamma` of a whole order, elementwise. Slope 0 in the order.",
        sig: Sig { params: &[req("order"), req("x")] },
        infer: |args: &[Ty]| super::shape_rules::elementwise("polygamma", args, true),
        eval: Eval::Elementwise(&INSIDE),
        diff: Diff::Elementwise,
        batch: Batch::Elementwise,
        probe: Probe {
            samples: &[
                Sample { args: &[ProbeArg::Int(1), ProbeArg::Float { shape: &[2, 3], lo: 0.5, hi: 4.0 }] },
                Sample { args: &[ProbeArg::Int(2), ProbeArg::Point(&[-0.5])] },
            ],
        },
    }
};
