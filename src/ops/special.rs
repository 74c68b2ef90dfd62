//! Error function, normal distribution function, gamma functions.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::gamma;
use super::lanes::{BinaryRule, Elementwise, Ints};
use super::num::Num;
use super::prim::{Batch, Diff, Eval, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::real::Real;
use crate::types::ty::Ty;
use crate::unary_prims;

/// The family.
pub static PRIMS: &[&Prim] = &[&ERF, &NDTR, &LGAMMA, &DIGAMMA, &POLYGAMMA];

/// Density of the standard normal.
pub fn normal_density<N: Num>(x: N) -> N {
    let scale = FRAC_1_SQRT_2 * 0.5 * FRAC_2_SQRT_PI;
    N::c(scale) * (N::c(-0.5) * (x.clone() * x)).exp()
}

unary_prims! {
    ERF "erf", "Error function, elementwise.",
        ints: Ints::Promote,
        f(x) x.erf(),
        d(x, y) N::c(FRAC_2_SQRT_PI) * (-(x.clone() * x)).exp(),
        probe: -2.0..2.0, &[0.0, 5.0];
    NDTR "_ndtr", "Distribution function of the standard normal, elementwise.",
        ints: Ints::Promote,
        f(x) x.ndtr(),
        d(x, y) normal_density(x),
        probe: -2.0..2.0, &[0.0, -5.0];
    LGAMMA "lgamma", "Logarithm of the gamma function's magnitude, elementwise. inf at 0 (slope -inf) and at the other poles (slope NaN).",
        ints: Ints::Promote,
        f(x) x.via(gamma::lgamma),
        d(x, y) x.digamma(),
        probe: 0.5..4.0, &[1.0, -0.5];
    DIGAMMA "digamma", "Derivative of `lgamma`, elementwise. -inf at 0 (slope inf), NaN at the negative integers.",
        ints: Ints::Promote,
        f(x) x.digamma(),
        d(x, y) N::c(1.0).polygamma(x),
        probe: 0.5..4.0, &[1.0, -0.5];
}

/// The derivatives of digamma.
pub static POLYGAMMA: Prim = {
    struct Rule;
    impl BinaryRule for Rule {
        fn f<T: Real>(order: T, x: T) -> T {
            order.polygamma(x)
        }
        fn d0<N: Num>(_: N, _: N, _: N) -> N {
            N::c(0.0)
        }
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
