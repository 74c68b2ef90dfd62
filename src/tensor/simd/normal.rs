//! The standard normal: its density, Mills' ratio (what is beyond a number over the density there), and of these the distribution
//! function. Both tails keep their digits.
//!
//! The ratio is `p(a) / (a p(a) + q(a))` with polynomials fitted for it: what is rounded off in `p` is above and below, so that little
//! of it is left where `a` is large.

use super::exp::{LN2_HI, LN2_HI32, LN2_LO, LN2_LO32, ROUND32, ROUND64, TAIL64, factors64};
use super::poly::{chain, chain64, monic, monic64, pick, poly};

/// The density is 0 from here on.
pub const TOP32: f32 = 13.29;
pub const TOP64: f64 = 38.7;

/// `exp(-r / 2) / sqrt(2 pi)` for `|r| <= ln(2)`.
pub const BELL32: [f32; 7] =
    [8.629_509e-6, -1.044_011e-4, 1.038_946_7e-3, -8.311_197e-3, 4.986_778e-2, -0.199_471_15, 0.398_942_3];
/// Twice the logarithm of 2, as the sum of these.
pub const TWICE_HI32: f32 = 2.0 * LN2_HI32;
pub const TWICE_LO32: f32 = 2.0 * LN2_LO32;
/// Number of halvings in `x^2`.
pub const HALVINGS32: f32 = -0.5 * std::f32::consts::LOG2_E;
pub const HALVINGS64: f64 = -0.5 * std::f64::consts::LOG2_E;

/// `1 / sqrt(2 pi)`, and what it is less than that over itself.
pub const SCALE64: f64 = 0.398_942_280_401_432_7;
pub const SCALE_OFF64: f64 = 6.247_337_834_861_335e-17;

/// Of Mills' ratio for `f32`, without the highest coefficient of `p`, which is 1.
pub const P32: [f32; 4] = [9.430_978, 41.109_947, 95.521_84, 104.912_926];
pub const Q32: [f32; 5] = [1.162_866_9e-4, 0.994_944_1, 9.525_659, 38.092_213, 83.708_405];
/// The same for `f64`.
pub const P64: [f64; 10] = [
    29.98819673522459,
    444.06127738029653,
    4214.676324935726,
    28164.282346756987,
    137834.54914312751,
    499423.2069153612,
    1324078.995897882,
    2468088.178958811,
    2945855.8523835056,
    1739086.936210203,
];
pub const Q64: [f64; 10] = [
    0.9999999999191376,
    29.988196750577107,
    442.0612760645116,
    4154.699999506354,
    27286.157395822735,
    129705.13997626165,
    447460.0520846534,
    1088355.996617604,
    1718503.0962149359,
    1387590.6162960785,
];

/// `|x|`, but no more than where the density is 0.
#[inline(always)]
pub fn size32(x: f32) -> f32 {
    let a = x.abs();
    pick(a > TOP32, TOP32, a)
}

/// The same of `f64`.
#[inline(always)]
pub fn size64(x: f64) -> f64 {
    let a = x.abs();
    pick(a > TOP64, TOP64, a)
}

/// `exp(-x^2 / 2) / sqrt(2 pi)` of `f32`, 0 below the smallest normal number: `x^2` and what is rounded off of it, less a number of halvings.
#[inline(always)]
pub fn density32(x: f32) -> f32 {
    let a = size32(x);
    let square = a * a;
    let off = a.mul_add(a, -square);
    let t = square.mul_add(HALVINGS32, ROUND32);
    let k = t - ROUND32;
    let r = k.mul_add(TWICE_HI32, square) + k.mul_add(TWICE_LO32, off);
    // Of `2^-127` there are no bits: 0.
    let power = f32::from_bits(t.to_bits().wrapping_add(127) << 23);
    chain(&BELL32, r) * power
}

/// The same of `f64`.
#[inline(always)]
pub fn density64(x: f64) -> f64 {
    let a = size64(x);
    let square = a * a;
    let off = a.mul_add(a, -square);
    let k = square.mul_add(HALVINGS64, ROUND64) - ROUND64;
    let high = (-k).mul_add(LN2_HI, -0.5 * square);
    let low = 0.5f64.mul_add(off, k * LN2_LO);
    let r = high - low;
    let error = ((high - r) - low) - SCALE_OFF64;
    let sum = 1.0 + r;
    let rest = (1.0 - sum) + r;
    let (a, b) = factors64(k);
    ((sum + (rest + poly(&TAIL64, r).mul_add(r * r, error))) * SCALE64) * a * b
}

/// What the standard normal has beyond `|x|` over its density there, of `f32`; further out than where that is 0 the same as there.
#[inline(always)]
pub fn mills32(x: f32) -> f32 {
    let a = size32(x);
    let p = monic(&P32, a);
    p / p.mul_add(a, chain(&Q32, a))
}

/// The same of `f64`.
#[inline(always)]
pub fn mills64(x: f64) -> f64 {
    let a = size64(x);
    let p = monic64(&P64, a);
    p / p.mul_add(a, chain64(&Q64, a))
}

/// The distribution function of `f32`.
#[inline(always)]
pub fn ndtr32(x: f32) -> f32 {
    let tail = density32(x) * mills32(x);
    pick(x > 0.0, 1.0 - tail, tail)
}

/// The same of `f64`.
#[inline(always)]
pub fn ndtr64(x: f64) -> f64 {
    let tail = density64(x) * mills64(x);
    pick(x > 0.0, 1.0 - tail, tail)
}

/// `(y + off) x + c` as two numbers.
#[inline(always)]
fn step64((y, off): (f64, f64), x: f64, c: f64) -> (f64, f64) {
    let product = y * x;
    let product_off = off.mul_add(x, y.mul_add(x, -product));
    let sum = product + c;
    let part = sum - product;
    (sum, ((product - (sum - part)) + (c - part)) + product_off)
}

/// [`mills64`] times the density at 0, as two numbers, for `a` from 0. The last steps of the polynomials keep what they round off.
#[inline(always)]
pub(super) fn scaled_mills64(a: f64) -> (f64, f64) {
    // Further out half the square of a number tells all digits of what is beyond; the polynomials would overflow.
    let b = pick(a > 1e20, 1e20, a);
    let [p @ .., p0] = P64;
    let [q @ .., q0] = Q64;
    let p = step64((monic64(&p, b), 0.0), b, p0);
    let q = step64((chain64(&q, b), 0.0), b, q0);
    let (below, off) = step64(p, b, q.0);
    let inverse = 1.0 / below;
    let ratio = p.0 * inverse;
    let ratio_off = ((-ratio).mul_add(below, p.0) + (-ratio).mul_add(off + q.1, p.1)) * inverse;
    let scaled = ratio * SCALE64;
    (scaled, ratio_off.mul_add(SCALE64, ratio.mul_add(SCALE64, -scaled)))
}

/// What the standard normal has beyond a number, by [`scaled_mills64`] and by half the square (`half` and `off`).
#[inline(always)]
pub(super) fn tail64((ratio, ratio_off): (f64, f64), half: f64, off: f64) -> f64 {
    let half = pick(half > 746.0, 746.0, half);
    let k = (-half).mul_add(std::f64::consts::LOG2_E, ROUND64) - ROUND64;
    let high = (-k).mul_add(LN2_HI, -half);
    let low = k.mul_add(LN2_LO, off);
    let r = high - low;
    let error = ((high - r) - low) - SCALE_OFF64;
    let sum = 1.0 + r;
    let rest = ((1.0 - sum) + r) + poly(&TAIL64, r).mul_add(r * r, error);
    let (first, second) = factors64(k);
    ratio.mul_add(sum, ratio.mul_add(rest, ratio_off * sum)) * first * second
}
