//! The error function, and the distribution function of the standard normal of `f32`.

use super::exp::{exp_small32, exp32, exp64, power_of_two32};
use super::poly::{pick, poly, poly32};

/// `erf(x) / x - 1` over `x^2` up to 1.
const NEAR32: [f32; 7] =
    [7.875875e-05, -0.00080168643, 0.0051890872, -0.026854211, 0.11283594, -0.37612626, 0.12837917];
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
/// `-log2(1 - erf(x))` for `x` in `[0.97, 4]`.
const FAR32: [f32; 9] = [
    -2.3675327e-06,
    6.6557805e-05,
    -0.0008619229,
    0.006870839,
    -0.038129203,
    0.15883154,
    0.9115126,
    1.630593,
    -0.00046427702,
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

/// `erf(x)` of `f32`.
#[inline(always)]
pub fn erf32(x: f32) -> f32 {
    let a = x.abs();
    let cut = pick(a > 4.0, 4.0, a);
    let z = x * x;
    let near = x.mul_add(poly32(&NEAR32, z), x);
    let far = 1.0 - power_of_two32(-poly32(&FAR32, cut));
    pick(a < 1.0, near, far.copysign(x))
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

/// The normal's distribution function of `f32`. By `erfc(z) = t p(t) exp(-z^2)` with `t = 1 / (1 + z/2)`, z 0 or more, and a
/// polynomial fitted to it for `z < 12`: both tails keep their digits.
#[inline(always)]
pub fn ndtr32(x: f32) -> f32 {
    const TAIL: [f32; 9] = [
        -0.058_836_05,
        0.283_729_1,
        -0.486_030_13,
        0.277_366_3,
        -0.026_558_34,
        0.202_822_07,
        0.243_031_87,
        0.282_389_8,
        0.282_085_36,
    ];
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let z = pick(z > 12.0, 12.0, z);
    let t = 1.0 / z.mul_add(0.5, 1.0);
    // x^2 / 2 as a square without rounding and a small rest.
    let size = pick(x.abs() > 17.0, 17.0, x.abs());
    let high = f32::from_bits(size.to_bits() & 0xffff_f000);
    let power = exp32(-0.5 * high * high) * exp_small32(0.5 * (high - size) * (high + size));
    let tail = 0.5 * t * poly32(&TAIL, t) * power;
    let y = pick(x > 0.0, 1.0 - tail, tail);
    pick(x.is_nan(), x, y)
}
