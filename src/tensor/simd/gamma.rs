//! The logarithm of the gamma function and its derivative, of positive normal numbers: beyond a limit by their asymptotic series;
//! below by what the function is near 2 and the logarithm of a product, or by climbing to the series in one step.
//!
//! Other numbers go one by one, through [`crate::ops::gamma`].

use std::f64::consts::LN_2;

use super::exp::ROUND64;
use super::log::core64;
use super::poly::{chain64, monic64, pick, poly};
use super::pow::log2;

/// `lgamma(2 + t) / t` for `t` in `[-0.75, 0.5]`.
const NEAR64: [f64; 22] = [
    8.968418336381451e-08,
    8.797952202145976e-08,
    2.537101272052153e-08,
    -2.2396288184496243e-07,
    1.7480353056981616e-07,
    -3.9512812562334414e-07,
    9.845143234599698e-07,
    -2.0509455570794243e-06,
    4.365292412080039e-06,
    -9.438305764709823e-06,
    2.0508937704541688e-05,
    -4.492624652498421e-05,
    9.945732963378168e-05,
    -0.00022315476759981955,
    0.000509669536094923,
    -0.0011927539108910951,
    0.0028905103303586343,
    -0.007385551028700837,
    0.020580808427790493,
    -0.0673523010531978,
    0.3224670334241132,
    0.42278433509846713,
];
/// The same, as exact as a result of `f32` needs.
const NEAR32: [f64; 11] = [
    -0.00013190505039660597,
    6.592504774382696e-05,
    -0.00017762482896735237,
    0.0005343589796217257,
    -0.0012008936501659599,
    0.002885304264249286,
    -0.007385002304809787,
    0.02058120523615899,
    -0.06735231216891172,
    0.3224670252822138,
    0.4227843351245919,
];
/// What `lgamma(x)` is above `(x - 1/2) log(x) - x + log(2 pi) / 2`, times `x`, over `1 / x^2`, for `x` from 6.
const SERIES64: [f64; 7] = [
    0.004306075960470346,
    -0.0018456410418442623,
    0.0008404648860994833,
    -0.0005952260322789644,
    0.0007936507392364309,
    -0.002777777777685317,
    0.0833333333333333,
];
/// The same, as exact as a result of `f32` needs.
const SERIES32: [f64; 3] = [0.000769950190191087, -0.00277753508980587, 0.08333333296344173];
/// `(log(2 pi) - 1) / 2`
const LEVEL: f64 = 0.418_938_533_204_672_7;

/// What `digamma(x)` is below `log(x) - 1 / (2 x)`, times `x^2`, over `1 / x^2`, for `x` from 8.
const SLOPES: [f64; 7] = [
    0.06367570145303661,
    -0.020700531445317225,
    0.00757173441524903,
    -0.004166645186709287,
    0.003968253913289004,
    -0.008333333333280431,
    0.08333333333333333,
];
/// `(x + 1) (x + 2) ... (x + 7)` without its highest coefficient, and the derivative of `x` times that.
const FACTORS: [f64; 7] = [28.0, 322.0, 1960.0, 6769.0, 13132.0, 13068.0, 5040.0];
const FACTORS_SLOPE: [f64; 8] = [8.0, 196.0, 1932.0, 9800.0, 27076.0, 39396.0, 26136.0, 5040.0];

macro_rules! log_gamma {
    ($(#[$doc:meta])* $name:ident, $near:ident, $series:ident, |$x:ident| $log:expr) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(x: f64) -> f64 {
            let tiny = x < 0.5;
            let below = x < 1.25;
            let far = x >= 6.0;
            // The number is `2 + steps + t`, and `below` 1 or 0 and `t`.
            let steps = ((x - 2.0) + ROUND64) - ROUND64;
            let steps = pick(steps > 0.0, steps, 0.0);
            let t = pick(tiny, x, pick(below, x - 1.0, (x - 2.0) - steps));
            let mut product = pick(steps >= 1.0, x - 1.0, 1.0);
            product *= pick(steps >= 2.0, x - 2.0, 1.0);
            product *= pick(steps >= 3.0, x - 3.0, 1.0);
            product *= pick(steps >= 4.0, x - 4.0, 1.0);
            let product = pick(tiny, x * (x + 1.0), pick(below, x, product));
            let $x = pick(far, x, product);
            let log = $log;
            let near = t.mul_add(poly(&$near, t), pick(below, -log, log));
            let inverse = 1.0 / x;
            let rest = inverse.mul_add(poly(&$series, inverse * inverse), LEVEL);
            pick(far, (x - 0.5).mul_add(log - 1.0, rest), near)
        }
    };
}

log_gamma! {
    /// `log(gamma(x))` for positive normal `x`.
    lgamma64, NEAR64, SERIES64, |x| pick(x < f64::INFINITY, core64(x, 0.0, 0.0), x)
}
log_gamma! {
    /// The same, as exact as a result of `f32` needs.
    lgamma32, NEAR32, SERIES32, |x| pick(x < f64::INFINITY, LN_2 * log2(x), x)
}

/// `digamma(x)` for positive normal `x`.
#[inline(always)]
pub fn digamma64(x: f64) -> f64 {
    let low = x < 8.0;
    let y = pick(low, x + 8.0, x);
    let step = pick(low, x, 1.0);
    let climb = chain64(&FACTORS_SLOPE, step) / (step * monic64(&FACTORS, step));
    let inverse = 1.0 / y;
    let square = inverse * inverse;
    let below = square.mul_add(poly(&SLOPES, square), 0.5 * inverse) + pick(low, climb, 0.0);
    pick(x < f64::INFINITY, core64(y, 0.0, 0.0) - below, x)
}
