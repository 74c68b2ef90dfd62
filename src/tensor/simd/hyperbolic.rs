//! Hyperbolic sine and cosine, of a quarter of the exponential, which overflows later than they do; and their inverses.

use std::f32::consts::LOG2_E as LOG2_E32;
use std::f64::consts::{LN_2, LOG2_E};

use super::exp::{LN2_HI, LN2_HI32, LN2_LO, LN2_LO32, ROUND32, ROUND64, TAIL32, TAIL64};
use super::log::core64;
use super::poly::{pick, poly, poly32};
use super::pow::log2;

/// `(sinh(x) - x) / x^3` over `x^2` up to 1: Taylor's coefficients.
const SINH32: [f32; 5] = [2.505_210_8e-8, 2.755_732e-6, 1.984_127e-4, 8.333_334e-3, 0.166_666_67];
const SINH64: [f64; 9] = [
    8.22063524662433e-18,
    2.8114572543455206e-15,
    7.647163731819816e-13,
    1.6059043836821613e-10,
    2.505210838544172e-08,
    2.7557319223985893e-06,
    0.0001984126984126984,
    0.008333333333333333,
    0.16666666666666666,
];

/// `exp(a) / 4` of `f32` for `a` from 0.
#[inline(always)]
fn quarter32(a: f32) -> f32 {
    let a = pick(a > 90.0, 90.0, a);
    let t = a.mul_add(LOG2_E32, ROUND32);
    let k = t - ROUND32;
    let r = (-k).mul_add(LN2_LO32, (-k).mul_add(LN2_HI32, a));
    let power = f32::from_bits(t.to_bits().wrapping_add(125) << 23);
    let sum = 1.0 + r;
    let off = (1.0 - sum) + r;
    (sum + poly32(&TAIL32, r).mul_add(r * r, off)) * power
}

/// The same of `f64`.
#[inline(always)]
fn quarter64(a: f64) -> f64 {
    let a = pick(a > 711.0, 711.0, a);
    let t = a.mul_add(LOG2_E, ROUND64);
    let k = t - ROUND64;
    let high = (-k).mul_add(LN2_HI, a);
    let low = k * LN2_LO;
    let r = high - low;
    let error = (high - r) - low;
    let power = f64::from_bits(t.to_bits().wrapping_add(1021) << 52);
    let sum = 1.0 + r;
    let off = (1.0 - sum) + r;
    (sum + (off + poly(&TAIL64, r).mul_add(r * r, error))) * power
}

/// `cosh(x)` of `f32`.
#[inline(always)]
pub fn cosh32(x: f32) -> f32 {
    let quarter = quarter32(x.abs());
    quarter.mul_add(2.0, 0.125 / quarter)
}

/// `cosh(x)` of `f64`.
#[inline(always)]
pub fn cosh64(x: f64) -> f64 {
    let quarter = quarter64(x.abs());
    quarter.mul_add(2.0, 0.125 / quarter)
}

/// `sinh(x)` of `f32`.
#[inline(always)]
pub fn sinh32(x: f32) -> f32 {
    let a = x.abs();
    let quarter = quarter32(a);
    let far = quarter.mul_add(2.0, -(0.125 / quarter));
    let z = x * x;
    let near = a.mul_add(z * poly32(&SINH32, z), a);
    pick(a < 1.0, near, far).copysign(x)
}

/// `sinh(x)` of `f64`.
#[inline(always)]
pub fn sinh64(x: f64) -> f64 {
    let a = x.abs();
    let quarter = quarter64(a);
    let far = quarter.mul_add(2.0, -(0.125 / quarter));
    let z = x * x;
    let near = a.mul_add(z * poly(&SINH64, z), a);
    pick(a < 1.0, near, far).copysign(x)
}

/// `asinh(x)` of `f32`, through a logarithm in `f64` unless `x` is so small that two terms of the series do.
#[inline(always)]
pub fn asinh32(x: f32) -> f32 {
    let a = f64::from(x.abs());
    let near = a - a * a * a * (1.0 / 6.0);
    let far = LN_2 * log2(a + a.mul_add(a, 1.0).sqrt());
    let y = pick(a < 0.01, near, far);
    let y = pick(a < f64::INFINITY, y, a);
    (y as f32).copysign(x)
}

/// `acosh(x)` of `f32`, through a logarithm in `f64`; NaN below 1.
#[inline(always)]
pub fn acosh32(x: f32) -> f32 {
    let a = f64::from(x);
    let y = LN_2 * log2(a + a.mul_add(a, -1.0).sqrt());
    let y = pick(a < f64::INFINITY, y, a);
    pick(x >= 1.0, y, f64::NAN) as f32
}

/// From here on the root is the number itself.
const STRAIGHT: f64 = 134_217_728.0; // 2^27

/// `log(a + root)`, where `root` is that of the square and `one`, which is 1 or -1, and `a` 0 or 1 at least. All that is rounded off
/// on the way is kept; it counts where the sum is near 1. There `1 / (a + root)` is the difference, but for its sign.
#[inline(always)]
fn log_of_sum(a: f64, one: f64) -> f64 {
    let square = a * a;
    let square_off = a.mul_add(a, -square);
    let sum = square + one;
    let part = sum - square;
    let sum_off = (square - (sum - part)) + (one - part);
    let root = sum.sqrt();
    let root_off = ((-root).mul_add(root, sum) + (sum_off + square_off)) / (2.0 * root);
    let (most, least) = if one > 0.0 { (root, a) } else { (a, root) };
    let u = most + least;
    let off = ((most - u) + least) + root_off;
    let far = a > STRAIGHT;
    core64(pick(far, a, u), pick(far, 1.0, 0.0), pick(far, 0.0, off * (most - least)))
}

/// `asinh(x)` of `f64`.
#[inline(always)]
pub fn asinh64(x: f64) -> f64 {
    let a = x.abs();
    pick(a < f64::INFINITY, log_of_sum(a, 1.0), a).copysign(x)
}

/// `acosh(x)` of `f64`; NaN below 1.
#[inline(always)]
pub fn acosh64(x: f64) -> f64 {
    let y = pick(x < f64::INFINITY, log_of_sum(x, -1.0), x);
    pick(x > 1.0, y, pick(x == 1.0, 0.0, f64::NAN))
}
