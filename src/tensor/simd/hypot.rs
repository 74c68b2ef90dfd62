//! The length of a pair, `sqrt(x^2 + y^2)`.

use super::poly::pick;

/// Squares of numbers between these bounds neither overflow nor lose digits that count; others are scaled by powers of two,
/// which changes no digit.
const LEAST: f64 = 1e-140;
const MOST: f64 = 1e140;
const UP: f64 = f64::from_bits((1023 + 600) << 52);
const DOWN: f64 = f64::from_bits((1023 - 600) << 52);

/// `hypot(x, y)` of `f32`, through `f64`.
#[inline(always)]
pub fn hypot32(x: f32, y: f32) -> f32 {
    let (a, b) = (f64::from(x), f64::from(y));
    let infinite = (x.abs() == f32::INFINITY) | (y.abs() == f32::INFINITY);
    pick(infinite, f32::INFINITY, (a * a + b * b).sqrt() as f32)
}

/// `hypot(x, y)` of `f64`. Infinite if one of them is, even beside NaN.
#[inline(always)]
pub fn hypot64(x: f64, y: f64) -> f64 {
    let (a, b) = (x.abs(), y.abs());
    let most = pick(a > b, a, b);
    let (scale, back) =
        (pick(most > MOST, DOWN, pick(most < LEAST, UP, 1.0)), pick(most > MOST, UP, pick(most < LEAST, DOWN, 1.0)));
    let infinite = (a == f64::INFINITY) | (b == f64::INFINITY);
    let (a, b) = (a * scale, b * scale);
    pick(infinite, f64::INFINITY, (a * a + b * b).sqrt() * back)
}
