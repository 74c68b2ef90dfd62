//! The error function, and what it lacks to 1.

use super::exp::exp64;
use super::normal::{scaled_mills64, tail64};
use super::poly::{chain, chain64, monic64, pick, poly};
use super::pow::exp2;

/// `erf(x) / x - 1` over `x^2` up to 1.15^2.
const NEAR32: [f32; 7] =
    [6.852_543_4e-5, -7.687_431e-4, 5.149_279e-3, -2.683_203_5e-2, 0.112_830_37, -0.376_125_75, 0.128_379_15];
/// The fourth root of `1 - erf(x)` for `x` in `[1.15, 3.97]`.
const FAR32: [f32; 8] = [
    -1.829_544_3e-4,
    3.282_780_5e-3,
    -2.249_988_7e-2,
    6.704_13e-2,
    -5.221_459_6e-2,
    -6.149_913_4e-2,
    -0.309_952_08,
    1.005_795_6,
];
/// `erf(x) / x - 1` over `x^2` up to 1.
const NEAR64: [f64; 12] = [
    -7.795898827002142e-10,
    1.3720064546777686e-08,
    -1.6208483801871705e-07,
    1.6447424703317362e-06,
    -1.492473690741966e-05,
    0.00012055294904839707,
    -0.0008548325975389692,
    0.0052239776071164225,
    -0.02686617064323777,
    0.11283791670945006,
    -0.37612638903183543,
    0.12837916709551256,
];
/// `(1 - erf(x)) exp(x^2)` over `(x - 2) / (x + 2)`, `x` in `[1, 6]`.
const FAR64: [f64; 17] = [
    -1.1352571477273627e-06,
    1.272567661840228e-06,
    4.011749647325067e-06,
    1.3058577122278017e-06,
    -1.3998283772784976e-05,
    -2.7562209161129353e-05,
    2.7527175557227246e-05,
    0.00017435947400205157,
    4.355558686575482e-05,
    -0.0009819769411038642,
    -0.00084714325299195,
    0.006997461736971578,
    0.0037328924043978336,
    -0.07897858101570611,
    0.24165819424246585,
    -0.4271858474139585,
    0.25539567631050575,
];

/// Mills' ratio `p(a) / (a p(a) + q(a))` of the standard normal for `a` up to 14.8, as exact as a result of `f32` needs, without the
/// highest coefficient of `p`, which is 1.
pub(super) const P32: [f64; 5] =
    [12.513963480547805, 74.05528261364506, 252.57049393690156, 497.67167237708384, 473.63919246563654];
pub(super) const Q32: [f64; 6] = [
    -1.0688642311075777e-05,
    1.0006329609095705,
    12.497474674366682,
    72.30806203015597,
    224.9734179123092,
    377.9093991515679,
];
/// Twice the density of the standard normal at 0.
const TWO_DENSITIES: f64 = 0.797_884_560_802_865_4;

/// `1 - erf(x)` of `f32`, without loss for large `x`: a density and Mills' ratio, in `f64`.
#[inline(always)]
pub fn erfc32(x: f32) -> f32 {
    let a = f64::from(x.abs());
    let a = pick(a > 10.4, 10.4, a);
    let b = a * std::f64::consts::SQRT_2;
    let p = monic64(&P32, b);
    let tail = exp2(-(a * a) * std::f64::consts::LOG2_E) * (TWO_DENSITIES * p) / p.mul_add(b, chain64(&Q32, b));
    pick(x < 0.0, 2.0 - tail, tail) as f32
}

/// `erf(x)` of `f32`.
#[inline(always)]
pub fn erf32(x: f32) -> f32 {
    let a = x.abs();
    let near = x.mul_add(chain(&NEAR32, x * x), x);
    let root = chain(&FAR32, pick(a > 3.96, 3.96, a));
    let square = root * root;
    let far = (-square).mul_add(square, 1.0);
    pick(a < 1.15, near, far.copysign(x))
}

/// `erf(x)` of `f64`.
#[inline(always)]
pub fn erf64(x: f64) -> f64 {
    let a = x.abs();
    let cut = pick(a > 6.0, 6.0, a);
    let z = x * x;
    let near = x.mul_add(poly(&NEAR64, z), x);
    let far = (-exp64(-(cut * cut))).mul_add(poly(&FAR64, (cut - 2.0) / (cut + 2.0)), 1.0);
    pick(a < 1.0, near, far.copysign(x))
}

/// `1 - erf(x)` of `f64`, without loss for large `x`: twice what the standard normal has beyond.
#[inline(always)]
pub fn erfc64(x: f64) -> f64 {
    let a = x.abs();
    let square = a * a;
    let off = pick(square < f64::INFINITY, a.mul_add(a, -square), 0.0);
    let tail = 2.0 * tail64(scaled_mills64(a * std::f64::consts::SQRT_2), square, off);
    let far = pick(x < 0.0, 2.0 - tail, tail);
    // With what the difference rounds off.
    let part = x * poly(&NEAR64, square);
    let one = 1.0 - x;
    pick(a < 0.5, one + (((1.0 - one) - x) - part), far)
}
