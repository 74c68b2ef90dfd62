//! Sine, cosine and tangent: the distance to the nearest multiple of a right angle, then polynomials.
//!
//! Up to [`NEAR32`] and [`NEAR64`] without branches. Beyond, those of `libm` take over, lane by lane.

use super::exp::{ROUND32, ROUND64};
use super::poly::{pick, poly, poly32};

/// The largest argument that is reduced here.
pub const NEAR32: f32 = 65_536.0;
pub const NEAR64: f64 = 1_000_000.0;

/// A right angle as a sum of numbers whose products with integers below `2^20` are exact, but for the last.
const ANGLE: [f64; 4] = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32];
const ANGLE_REST: f64 = 6.077_100_506_506_192e-11;

/// `(sin(r) - r) / r^3` and `(cos(r) - 1 + r^2 / 2) / r^4`, over `r^2`.
const SIN32: [f32; 3] = [-0.00019587639, 0.008332747, -0.16666664];
const COS32: [f32; 3] = [2.454769e-05, -0.0013888301, 0.041666664];
/// `(tan(r) - r) / r^3` over `r^2`, for `f32`, in `f64`.
const TAN32: [f64; 7] = [
    0.0038473042923822605,
    0.0011782998551862964,
    0.009966544602536997,
    0.021619872776148154,
    0.05399462416667326,
    0.13333230217458134,
    0.33333333984697283,
];
const SIN64: [f64; 6] = [
    1.5917988979397435e-10,
    -2.5051129896450185e-08,
    2.7557316093198404e-06,
    -0.00019841269836740532,
    0.008333333333330936,
    -0.16666666666666666,
];
const COS64: [f64; 6] = [
    -1.138254464534925e-11,
    2.087614504941318e-09,
    -2.755731726587808e-07,
    2.48015872987544e-05,
    -0.0013888888888887389,
    0.041666666666666664,
];

/// The number of the nearest right angle (its low bits) and the distance from it, for `|x|` up to [`NEAR32`].
#[inline(always)]
fn rest32(x: f32) -> (u32, f64) {
    let t = x.mul_add(std::f32::consts::FRAC_2_PI, ROUND32);
    let k = f64::from(t - ROUND32);
    (t.to_bits(), (-k).mul_add(ANGLE_REST, (-k).mul_add(ANGLE[0], f64::from(x))))
}

/// Sine of `x` plus `turns` right angles, for `|x|` up to [`NEAR32`].
#[inline(always)]
fn near32(x: f32, turns: u32) -> f32 {
    let (quadrant, r) = rest32(x);
    let (quadrant, r) = (quadrant.wrapping_add(turns), r as f32);
    let z = r * r;
    let sin = r.mul_add(z * poly32(&SIN32, z), r);
    let cos = 1.0 - (-z * z).mul_add(poly32(&COS32, z), 0.5 * z);
    let y = pick(quadrant & 1 == 0, sin, cos);
    f32::from_bits(y.to_bits() ^ ((quadrant & 2) << 30))
}

/// The number of the nearest right angle (its low bits), and sine and cosine of the distance from it, for `|x|` up to [`NEAR64`].
#[inline(always)]
fn parts64(x: f64) -> (u64, f64, f64) {
    let t = x.mul_add(std::f64::consts::FRAC_2_PI, ROUND64);
    let k = t - ROUND64;
    // Each difference with what it rounds off.
    let first = (-k).mul_add(ANGLE[0], x);
    let part = k * ANGLE[1];
    let second = first - part;
    let off = (first - second) - part;
    let part = k * ANGLE[2];
    let third = second - part;
    let off = off + ((second - third) - part) - k * ANGLE[3];
    let r = third + off;
    let low = (third - r) + off;
    let z = r * r;
    let sin = r + r.mul_add(z * poly(&SIN64, z), low);
    let half = 0.5 * z;
    let one = 1.0 - half;
    let cos = one + (((1.0 - one) - half) + (z * z).mul_add(poly(&COS64, z), -r * low));
    (t.to_bits(), sin, cos)
}

/// Sine of `x` plus `turns` right angles, for `|x|` up to [`NEAR64`].
#[inline(always)]
fn near64(x: f64, turns: u64) -> f64 {
    let (quadrant, sin, cos) = parts64(x);
    let quadrant = quadrant.wrapping_add(turns);
    let y = pick(quadrant & 1 == 0, sin, cos);
    f64::from_bits(y.to_bits() ^ ((quadrant & 2) << 62))
}

/// `sin(x)` of `f32` for `|x|` up to [`NEAR32`].
#[inline(always)]
pub fn sin_near32(x: f32) -> f32 {
    pick(x == 0.0, x, near32(x, 0))
}

/// `cos(x)` of `f32` for `|x|` up to [`NEAR32`].
#[inline(always)]
pub fn cos_near32(x: f32) -> f32 {
    near32(x, 1)
}

/// `tan(x)` of `f32` for `|x|` up to [`NEAR32`].
#[inline(always)]
pub fn tan_near32(x: f32) -> f32 {
    let (quadrant, r) = rest32(x);
    let z = r * r;
    let tan = r.mul_add(z * poly(&TAN32, z), r);
    let odd = quadrant & 1 == 1;
    let y = pick(odd, -1.0, tan) / pick(odd, tan, 1.0);
    pick(x == 0.0, x, y as f32)
}

/// `tan(x)` of `f64` for `|x|` up to [`NEAR64`].
#[inline(always)]
pub fn tan_near64(x: f64) -> f64 {
    let (quadrant, sin, cos) = parts64(x);
    let odd = quadrant & 1 == 1;
    pick(x == 0.0, x, pick(odd, -cos, sin) / pick(odd, sin, cos))
}

/// `sin(x)` of `f64` for `|x|` up to [`NEAR64`].
#[inline(always)]
pub fn sin_near64(x: f64) -> f64 {
    pick(x == 0.0, x, near64(x, 0))
}

/// `cos(x)` of `f64` for `|x|` up to [`NEAR64`].
#[inline(always)]
pub fn cos_near64(x: f64) -> f64 {
    near64(x, 1)
}

macro_rules! everywhere {
    ($($(#[$doc:meta])* $name:ident, $t:ident, $near:ident, $limit:ident, $far:ident;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(x: $t) -> $t {
            if x.abs() <= $limit { $near(x) } else { libm::$far(x as f64) as $t }
        }
    )*};
}

everywhere! {
    /// `sin(x)` of `f32`.
    sin32, f32, sin_near32, NEAR32, sin;
    /// `cos(x)` of `f32`.
    cos32, f32, cos_near32, NEAR32, cos;
    /// `tan(x)` of `f32`.
    tan32, f32, tan_near32, NEAR32, tan;
    /// `sin(x)` of `f64`.
    sin64, f64, sin_near64, NEAR64, sin;
    /// `cos(x)` of `f64`.
    cos64, f64, cos_near64, NEAR64, cos;
    /// `tan(x)` of `f64`.
    tan64, f64, tan_near64, NEAR64, tan;
}
