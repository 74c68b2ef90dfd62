//! The hyperbolic tangent and the logistic function.

use super::exp::{exp_below32, exp64, expm1_below32};
use super::poly::{pick, poly};

/// Lambert's continued fraction of `tanh(x) / x`, cut after nine parts: what the numerator differs by from the denominator
/// (divided by `x^2`), and the denominator.
pub const ABOVE: [f64; 4] = [-44.0, -12_870.0, -810_810.0, -11_486_475.0];
pub const BELOW: [f64; 5] = [45.0, 13_860.0, 945_945.0, 16_216_200.0, 34_459_425.0];

/// `tanh(x)` of `f32`, through `exp(2 x) - 1`.
#[inline(always)]
pub fn tanh32(x: f32) -> f32 {
    let a = x.abs();
    let above = expm1_below32(2.0 * pick(a > 10.0, 10.0, a));
    let below = above + 2.0;
    // What the divisor rounds off counts where it is near 2.
    let off = pick(above < 2.0, (2.0 - below) + above, 0.0);
    let y = above / below;
    y.mul_add(-0.5 * off, y).copysign(x)
}

/// `tanh(x)` of `f64`: a fraction up to 1, beyond through the exponential.
#[inline(always)]
pub fn tanh64(x: f64) -> f64 {
    let a = x.abs();
    let z = x * x;
    let is_near = a < 1.0;
    let above = pick(is_near, z * poly(&ABOVE, z), 2.0);
    let below = pick(is_near, poly(&BELOW, z), exp64(2.0 * a) + 1.0);
    let part = above / below;
    let y = pick(is_near, x.mul_add(part, x), (1.0 - part).copysign(x));
    pick(x == 0.0, x, y)
}

/// `1 / (1 + exp(-x))` of `f32`, through the exponential that does not overflow.
#[inline(always)]
pub fn sigmoid32(x: f32) -> f32 {
    let t = exp_below32(-x.abs());
    // What the divisor rounds off counts where it is near 1.
    let below = 1.0 + t;
    let off = (1.0 - below) + t;
    let y = pick(x < 0.0, t, 1.0) / below;
    (-y).mul_add(off * (-0.5f32).mul_add(t, 1.0), y)
}

/// `1 / (1 + exp(-x))` of `f64`.
#[inline(always)]
pub fn sigmoid64(x: f64) -> f64 {
    let t = exp64(-x.abs());
    pick(x < 0.0, t, 1.0) / (1.0 + t)
}
