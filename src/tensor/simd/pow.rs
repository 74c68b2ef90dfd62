//! Powers of `f32`, through logarithm and exponential in `f64`: within 0.51 units in the last place.

use super::exp::ROUND64;
use super::poly::{pick, poly};

/// `(log((1 + s) / (1 - s)) - 2 s) / s^3` over `s^2`, as exact as a power of `f32` needs.
const LOG: [f64; 4] = [0.23331614471843498, 0.28550778633191964, 0.4000012221181065, 0.6666666655404201];
/// `(2^r - 1) / r`
const EXP2: [f64; 7] = [
    1.5296467389090573e-05,
    0.00015461536631210612,
    0.001333350511109229,
    0.009618056448518545,
    0.05550410881812658,
    0.2402265092336767,
    0.6931471805601728,
];

/// Base-2 logarithm of a positive normal number.
#[inline(always)]
pub(super) fn log2(x: f64) -> f64 {
    const LOWEST: u64 = 0x3fe6_a09e_667f_3bcd; // sqrt(1/2)
    let bits = x.to_bits().wrapping_add(0x3ff0_0000_0000_0000 - LOWEST);
    let e = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0);
    let f = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(LOWEST)) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    s.mul_add(z * poly(&LOG, z), 2.0 * s).mul_add(std::f64::consts::LOG2_E, e)
}

/// `2^t` for `|t|` up to 1000, as exact as a result of `f32` needs.
#[inline(always)]
pub(super) fn exp2(t: f64) -> f64 {
    let k = t + ROUND64;
    let r = t - (k - ROUND64);
    r.mul_add(poly(&EXP2, r), 1.0) * f64::from_bits(k.to_bits().wrapping_add(1023) << 52)
}

/// `log2(x)` of `f32`; -inf at 0, NaN below.
#[inline(always)]
pub fn log2_32(x: f32) -> f32 {
    with_edges(x, log2(f64::from(x)))
}

/// `log10(x)` of `f32`; -inf at 0, NaN below.
#[inline(always)]
pub fn log10_32(x: f32) -> f32 {
    with_edges(x, std::f64::consts::LOG10_2 * log2(f64::from(x)))
}

/// A logarithm of all numbers, where `log` is that of positive ones.
#[inline(always)]
fn with_edges(x: f32, log: f64) -> f32 {
    let log = log as f32;
    let log = pick(x == f32::INFINITY, x, log);
    let log = pick(x == 0.0, f32::NEG_INFINITY, log);
    pick(x >= 0.0, log, f32::NAN)
}

/// True for whole numbers, infinities included.
#[inline(always)]
fn whole(y: f32) -> bool {
    let a = y.abs();
    a >= 8_388_608.0 || (a + 8_388_608.0) - 8_388_608.0 == a
}

/// `x ^ y` of `f32`, with the special values of IEEE 754's `pow`.
#[inline(always)]
pub fn pow32(x: f32, y: f32) -> f32 {
    let a = x.abs();
    let log = log2(f64::from(a));
    let log = pick(a == 0.0, f64::NEG_INFINITY, log);
    let log = pick(a < f32::INFINITY, log, f64::from(a));
    let t = f64::from(y) * log;
    let t = pick(t > 200.0, 200.0, t);
    let t = pick(t < -200.0, -200.0, t);
    let power = exp2(t) as f32;
    let odd = whole(y) && !whole(0.5 * y);
    let signed = pick(odd && x.is_sign_negative(), -power, power);
    let outside = x < 0.0 && a < f32::INFINITY && !whole(y);
    let value = pick(outside, f32::NAN, signed);
    // 1 to any power, also NaN; -1 to an infinite one; anything to the power of 0.
    let one = x == 1.0 || y == 0.0 || (x == -1.0 && y.abs() == f32::INFINITY);
    pick(one, 1.0, value)
}
