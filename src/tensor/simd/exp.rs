//! The exponential and `exp(x) - 1`: `2^k e^r` with `|r| <= ln(2)/2`, `e^r` by a polynomial.

use super::poly::{pick, poly, poly32};

/// Adding it rounds an `f32` below `2^22` to an integer, which then stands in the low bits.
pub const ROUND32: f32 = 12_582_912.0; // 1.5 * 2^23
/// The same for an `f64` below `2^51`.
pub const ROUND64: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

pub const LN2_HI32: f32 = 0.693_359_4;
pub const LN2_LO32: f32 = -2.121_944_4e-4;
/// Its products with integers below `2^20` are exact.
pub const LN2_HI: f64 = 0.693_147_180_369_123_8;
pub const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;

/// `(e^r - 1 - r) / r^2`; Taylor's coefficients, bent so that the error is spread over the interval.
pub const TAIL32: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
pub const TAIL64: [f64; 11] = [
    2.09147553258932e-09,
    2.5105312729622103e-08,
    2.755727347871858e-07,
    2.755725517000089e-06,
    2.480158732567746e-05,
    0.0001984126987500228,
    0.0013888888888883711,
    0.008333333333326084,
    0.04166666666666667,
    0.1666666666666667,
    0.5,
];

/// `2^n` as two factors: a result may be subnormal or just below infinity, where one factor would not do.
#[inline(always)]
fn factors32(n: i32) -> (f32, f32) {
    let half = n >> 1;
    let rest = n.wrapping_sub(half);
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) << 23) as u32);
    (power(half), power(rest))
}

/// `2^k` as two factors, `k` a whole number.
#[inline(always)]
pub(super) fn factors64(k: f64) -> (f64, f64) {
    let half = k * 0.5 + ROUND64;
    let rest = k - (half - ROUND64) + ROUND64;
    let power = |t: f64| f64::from_bits(t.to_bits().wrapping_add(1023) << 52);
    (power(half), power(rest))
}

/// `k` and `r` with `x = k ln(2) + r`; `x` is cut where the exponential is 0 or infinite.
#[inline(always)]
fn parts32(x: f32) -> (i32, f32) {
    let x = pick(x > 89.0, 89.0, x);
    let x = pick(x < -104.0, -104.0, x);
    let t = x.mul_add(std::f32::consts::LOG2_E, ROUND32);
    let n = (t.to_bits() as i32).wrapping_sub(ROUND32.to_bits() as i32);
    (n, rest32(x, t - ROUND32))
}

/// `x - k ln(2)`
#[inline(always)]
fn rest32(x: f32, k: f32) -> f32 {
    (-k).mul_add(LN2_LO32, (-k).mul_add(LN2_HI32, x))
}

/// The same, and the rounding error of `r`.
#[inline(always)]
fn parts64(x: f64) -> (f64, f64, f64) {
    let x = pick(x > 710.0, 710.0, x);
    let x = pick(x < -746.0, -746.0, x);
    let k = x.mul_add(std::f64::consts::LOG2_E, ROUND64) - ROUND64;
    let high = (-k).mul_add(LN2_HI, x);
    let low = k * LN2_LO;
    let r = high - low;
    (k, r, (high - r) - low)
}

/// `exp(x)` of `f32`: 0 below -103.97, infinite above 88.72. What `1 + r` rounds off is added back.
#[inline(always)]
pub fn exp32(x: f32) -> f32 {
    let (n, r) = parts32(x);
    let (a, b) = factors32(n);
    let sum = 1.0 + r;
    let off = (1.0 - sum) + r;
    (sum + poly32(&TAIL32, r).mul_add(r * r, off)) * a * b
}

/// `exp(x)` of `f32` for `x` up to 1: what `exp32` gives, but that results below the smallest normal number are 0.
#[inline(always)]
pub(crate) fn exp_below32(x: f32) -> f32 {
    let x = pick(x < -88.0, -88.0, x);
    let t = x.mul_add(std::f32::consts::LOG2_E, ROUND32);
    let r = rest32(x, t - ROUND32);
    // Of `2^-127` there are no bits: 0.
    let power = f32::from_bits(t.to_bits().wrapping_add(127) << 23);
    let sum = 1.0 + r;
    let off = (1.0 - sum) + r;
    (sum + poly32(&TAIL32, r).mul_add(r * r, off)) * power
}

/// `exp(x)` of `f64`: 0 below -745.13, infinite above 709.78.
#[inline(always)]
pub fn exp64(x: f64) -> f64 {
    let (k, r, error) = parts64(x);
    let sum = 1.0 + r;
    let off = (1.0 - sum) + r;
    let (a, b) = factors64(k);
    (sum + (off + poly(&TAIL64, r).mul_add(r * r, error))) * a * b
}

/// `exp(x) - 1` of `f32`, exact near 0.
#[inline(always)]
pub fn expm1_32(x: f32) -> f32 {
    let (n, r) = parts32(x);
    let (a, b) = factors32(n);
    let inverse = f32::from_bits(0x7f00_0000u32.wrapping_sub(b.to_bits()));
    let y = poly32(&TAIL32, r).mul_add(r * r, r).mul_add(a, a - inverse) * b;
    let y = pick(x < -20.0, -1.0, y);
    pick(x.abs() < 1e-8, x, y)
}

/// `exp(x) - 1` of `f32` for `x` from 0 to 80.
#[inline(always)]
pub(super) fn expm1_below32(x: f32) -> f32 {
    let t = x.mul_add(std::f32::consts::LOG2_E, ROUND32);
    let r = rest32(x, t - ROUND32);
    let power = f32::from_bits(t.to_bits().wrapping_add(127) << 23);
    poly32(&TAIL32, r).mul_add(r * r, r).mul_add(power, power - 1.0)
}

/// `exp(x) - 1` of `f64`, exact near 0.
#[inline(always)]
pub fn expm1_64(x: f64) -> f64 {
    let (k, r, error) = parts64(x);
    let (a, b) = factors64(k);
    let inverse = f64::from_bits(0x7fe0_0000_0000_0000u64.wrapping_sub(b.to_bits()));
    let y = (r + poly(&TAIL64, r).mul_add(r * r, error)).mul_add(a, a - inverse) * b;
    let y = pick(x < -40.0, -1.0, y);
    pick(x.abs() < 1e-17, x, y)
}
