//! Slopes that are primitives of their own, so that they know their own slope where the formula for it would read
//! `0 * inf`: at vertical tangents and infinities. Both modes then agree in second derivatives.

use super::activation::{GELU_CUBE, GELU_EXACT, GELU_SCALE, GELU_TANH, MISH, RELU, SILU, bend};
use super::lanes::{Elementwise, Ints};
use super::num::{Ex, Num};
use super::prim::{Eval, Prim};
use crate::unary_prims;

/// The family.
pub static PRIMS: &[&Prim] =
    &[&CBRT_SLOPE, &ASIN_SLOPE, &ACOSH_SLOPE, &SILU_SLOPE, &MISH_SLOPE, &GELU_SLOPE, &GELU_TANH_SLOPE];

#[inline(always)]
pub(super) fn cbrt_slope<N: Num>(y: N) -> N {
    N::c(1.0) / (N::c(3.0) * (y.clone() * y))
}

#[inline(always)]
pub(super) fn asin_slope<N: Num>(x: N) -> N {
    N::c(1.0) / ((N::c(1.0) - x.clone()) * (N::c(1.0) + x)).sqrt()
}

/// One root for each factor, so that the product of two negative ones is no slope.
#[inline(always)]
pub(super) fn acosh_slope<N: Num>(x: N) -> N {
    N::c(1.0) / ((x.clone() - N::c(1.0)).sqrt() * (x + N::c(1.0)).sqrt())
}

#[inline(always)]
pub(super) fn silu_slope<N: Num>(x: N) -> N {
    let s = x.clone().sigmoid();
    s.clone() + (s * (-x.clone()).sigmoid()).zmul(x)
}

/// `1 - tanh(u)^2` without loss where tanh is near 1.
#[inline(always)]
fn secant<N: Num>(u: N) -> N {
    let twice = u.clone() + u;
    N::c(4.0) * (twice.clone().sigmoid() * (-twice).sigmoid())
}

/// `tanh(softplus(x))` and its slope.
#[inline(always)]
fn gate<N: Num>(x: N) -> (N, N) {
    let p = x.clone().softplus();
    (p.clone().tanh(), secant(p) * x.sigmoid())
}

#[inline(always)]
pub(super) fn mish_slope<N: Num>(x: N) -> N {
    let (t, rise) = gate(x.clone());
    t + rise.zmul(x)
}

/// `x` times the distribution function: what is above 0, less `|x|` times what is beyond it, both tails with their digits.
#[inline(always)]
pub(super) fn gelu<N: Num>(x: N, above: N) -> N {
    above - x.clone().density_by_size() * x.mills()
}

#[inline(always)]
pub(super) fn gelu_slope<N: Num>(x: N) -> N {
    let far = x.clone().density() * x.clone().mills() - x.clone().density_by_size();
    N::if_gt(x, N::c(0.0), N::c(1.0) - far.clone(), far)
}

/// The slope of the argument of tanh in the approximation.
#[inline(always)]
fn rise<N: Num>(x: N) -> N {
    N::c(GELU_SCALE) * (N::c(1.0) + N::c(3.0 * GELU_CUBE) * (x.clone() * x))
}

/// The slope of the approximation is off by more than what `1 - s` loses.
#[inline(always)]
pub(super) fn gelu_tanh_slope<N: Num>(x: N) -> N {
    let s = (N::c(2.0) * bend(x.clone())).sigmoid();
    s.clone() + (N::c(2.0) * (s.clone() * (N::c(1.0) - s))).zmul(x.clone() * rise(x))
}

/// What an activation, or the slope of one, is made of, where the two have much in common: its value operation by operation, each rounded as it
/// is inside the function.
pub fn made_of(inside: &Elementwise) -> Option<Ex> {
    type Made = fn(Ex) -> Ex;
    const ALL: [(&Prim, Made); 8] = [
        (&SILU, |x| x.clone().sigmoid().zmul(x)),
        (&MISH, |x| x.clone().softplus().tanh().zmul(x)),
        (&GELU_EXACT, |x| gelu(x.clone(), x.unary(&RELU))),
        (&GELU_TANH, |x| (Ex::c(2.0) * bend(x.clone())).sigmoid().zmul(x)),
        (&SILU_SLOPE, silu_slope),
        (&MISH_SLOPE, mish_slope),
        (&GELU_SLOPE, gelu_slope),
        (&GELU_TANH_SLOPE, gelu_tanh_slope),
    ];
    let is = |prim: &Prim| matches!(&prim.eval, Eval::Elementwise(e) if std::ptr::eq(*e, inside));
    ALL.iter().find(|(prim, _)| is(prim)).map(|(_, made)| made(Ex::Arg(0)))
}

unary_prims! {
    CBRT_SLOPE "_cbrt_slope", "Slope of `cbrt` by its result, elementwise. At 0 it is inf, and its own slope NaN: those at its sides are inf and -inf.",
        ints: Ints::Promote,
        f(x) cbrt_slope(x),
        d(x, y) N::if_eq(x.clone(), N::c(0.0), N::c(f64::NAN), N::c(-2.0) * (y / x)),
        probe: 0.2..3.0, &[1.0, -2.0];
    ASIN_SLOPE "_asin_slope", "Slope of `asin`, elementwise.",
        ints: Ints::Promote,
        f(x) asin_slope(x),
        d(x, y) x * (y.clone() * y.clone() * y),
        probe: -0.8..0.8, &[0.0];
    ACOSH_SLOPE "_acosh_slope", "Slope of `acosh`, elementwise.",
        ints: Ints::Promote,
        f(x) acosh_slope(x),
        d(x, y) -(y.clone() * y.clone()).zmul(x * y),
        probe: 1.2..3.0, &[2.0];
    SILU_SLOPE "_silu_slope", "Slope of `silu`, elementwise.",
        ints: Ints::Promote,
        f(x) silu_slope(x),
        d(x, y) {
            let (up, down) = (x.clone().sigmoid(), (-x.clone()).sigmoid());
            (up.clone() * down.clone()).zmul(N::c(2.0) + x * (down - up))
        },
        probe: -2.0..2.0, &[0.0, 10.0, -10.0];
    MISH_SLOPE "_mish_slope", "Slope of `mish`, elementwise.",
        ints: Ints::Promote,
        f(x) mish_slope(x),
        d(x, y) {
            let (t, rise) = gate(x.clone());
            let bend = (-x.clone()).sigmoid() - N::c(2.0) * (t * x.clone().sigmoid());
            rise.zmul(N::c(2.0) + x * bend)
        },
        probe: -2.0..2.0, &[0.0, 10.0, -10.0];
    GELU_SLOPE "_gelu_slope", "Slope of `gelu`, elementwise.",
        ints: Ints::Promote,
        f(x) gelu_slope(x),
        d(x, y) x.clone().density().zmul(N::c(2.0) - x.clone() * x),
        probe: -2.0..2.0, &[0.0, 5.0, -5.0];
    GELU_TANH_SLOPE "_gelu_tanh_slope", "Slope of `gelu` by its approximation, elementwise.",
        ints: Ints::Promote,
        f(x) gelu_tanh_slope(x),
        d(x, y) {
            let (u, rise) = (bend(x.clone()), rise(x.clone()));
            let curve = N::c(3.0 * GELU_SCALE * GELU_CUBE) * (x.clone() * x.clone());
            let turn = x * (u.clone().tanh() * (rise.clone() * rise.clone()));
            secant(u).zmul(rise + curve - turn)
        },
        probe: -2.0..2.0, &[0.0, 5.0, -5.0];
}
