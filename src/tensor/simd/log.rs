//! Logarithms and `log(1 + x)`: exponent and mantissa apart, the mantissa (in `[sqrt(1/2), sqrt(2))`) by a
//! polynomial around 1.

use super::exp::{LN2_HI, LN2_LO};
use super::poly::{pick, poly, poly32};

const LN2_HI32: f32 = 0.693_359_4;
const LN2_LO32: f32 = -2.121_944_4e-4;

/// What the logarithms of e are above their nearest numbers, and the decimal one of 2 as two numbers: products of the first with
/// exponents are exact.
const LOG2_E_OFF: f64 = 2.035_527_374_093_103_3e-17;
const LOG10_E_OFF: f64 = 1.098_319_650_216_765e-17;
const LOG10_2_HI: f64 = 0.301_029_995_663_611_77;
const LOG10_2_LO: f64 = 3.694_239_077_158_931e-13;

/// `(log(1 + m) - m + m^2 / 2) / m^3`
const TAIL32: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_7e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];
/// `(log((1 + s) / (1 - s)) - 2 s) / s^3` over `s^2`
const TAIL64: [f64; 8] = [
    0.13088034850927555,
    0.13268638369266825,
    0.15386244737621665,
    0.18181795547521137,
    0.22222222392581045,
    0.28571428570799784,
    0.40000000000000885,
    0.6666666666666666,
];

/// `log(x) + extra` for `x` normal and positive; `shift` is added to the exponent.
#[inline(always)]
pub(super) fn core32(x: f32, shift: f32, extra: f32) -> f32 {
    let bits = x.to_bits() as i32;
    let e = bits.wrapping_sub(0x3f35_04f3) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(e << 23) as u32) - 1.0;
    let e = e as f32 + shift;
    let square = m * m;
    let tail = (-0.5f32).mul_add(square, (poly32(&TAIL32, m) * m).mul_add(square, e.mul_add(LN2_LO32, extra)));
    e.mul_add(LN2_HI32, m + tail)
}

/// Exponent (with `shift`) and logarithm of the mantissa of a positive normal `f64`. Half the square of the mantissa is kept as two
/// numbers, the first of them exact, and so is the logarithm.
#[inline(always)]
fn parts64(x: f64, shift: f64) -> (f64, f64, f64) {
    const LOWEST: u64 = 0x3fe6_a09e_667f_3bcd; // sqrt(1/2)
    let bits = x.to_bits().wrapping_add(0x3ff0_0000_0000_0000 - LOWEST);
    // The exponent as low bits of 2^52.
    let e = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0) + shift;
    let f = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(LOWEST)) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let short = f64::from_bits(f.to_bits() & 0xffff_ffff_f800_0000);
    let half = 0.5 * short * short;
    let half_low = 0.5 * (f - short) * (f + short);
    let tail = s * (half + z.mul_add(poly(&TAIL64, z), half_low));
    let high = f - half;
    (e, high, ((f - high) - half) - half_low + tail)
}

/// `log(x) + extra` of a positive normal `f64`; `shift` is added to the exponent.
#[inline(always)]
pub(super) fn core64(x: f64, shift: f64, extra: f64) -> f64 {
    let (e, high, low) = parts64(x, shift);
    let power = e * LN2_HI;
    let sum = power + high;
    let low = ((power - sum) + high) + (low + e.mul_add(LN2_LO, extra));
    sum + low
}

/// The logarithm of a positive normal `f64` to a base: of 2 (as two numbers, the first of them short) and of e (as two).
#[inline(always)]
fn based64(x: f64, shift: f64, two: (f64, f64), euler: (f64, f64)) -> f64 {
    let (e, high, low) = parts64(x, shift);
    let part = high * euler.0;
    let off = high.mul_add(euler.0, -part) + low.mul_add(euler.0, high * euler.1);
    let power = e * two.0;
    let sum = power + part;
    sum + (((power - sum) + part) + e.mul_add(two.1, off))
}

/// `log(x)` of `f32`; -inf at 0, NaN below.
#[inline(always)]
pub fn ln32(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = pick(tiny, x * 8_388_608.0, x);
    let log = core32(scaled, pick(tiny, -23.0, 0.0), 0.0);
    let log = pick(x == f32::INFINITY, x, log);
    let log = pick(x == 0.0, f32::NEG_INFINITY, log);
    pick(x >= 0.0, log, f32::NAN)
}

/// A number for [`parts64`] and what its exponent is too large by.
#[inline(always)]
fn lifted(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    (pick(tiny, x * 18_014_398_509_481_984.0, x), pick(tiny, -54.0, 0.0))
}

/// A logarithm of all numbers, where `log` is that of positive ones.
#[inline(always)]
fn with_edges(x: f64, log: f64) -> f64 {
    let log = pick(x == f64::INFINITY, x, log);
    let log = pick(x == 0.0, f64::NEG_INFINITY, log);
    pick(x >= 0.0, log, f64::NAN)
}

/// `log(x)` of `f64`; -inf at 0, NaN below.
#[inline(always)]
pub fn ln64(x: f64) -> f64 {
    let (scaled, shift) = lifted(x);
    with_edges(x, core64(scaled, shift, 0.0))
}

/// `log2(x)` of `f64`; -inf at 0, NaN below.
#[inline(always)]
pub fn log2_64(x: f64) -> f64 {
    let (scaled, shift) = lifted(x);
    with_edges(x, based64(scaled, shift, (1.0, 0.0), (std::f64::consts::LOG2_E, LOG2_E_OFF)))
}

/// `log10(x)` of `f64`; -inf at 0, NaN below.
#[inline(always)]
pub fn log10_64(x: f64) -> f64 {
    let (scaled, shift) = lifted(x);
    with_edges(x, based64(scaled, shift, (LOG10_2_HI, LOG10_2_LO), (std::f64::consts::LOG10_E, LOG10_E_OFF)))
}

/// `log(1 + x)` of `f32`: what `1 + x` rounds off is added to the logarithm.
#[inline(always)]
pub fn ln1p32(x: f32) -> f32 {
    let u = 1.0 + x;
    let d = u - 1.0;
    let log = core32(u, 0.0, (x - d) / u);
    let log = pick(d == 0.0 || x == f32::INFINITY, x, log);
    let log = pick(u == 0.0, f32::NEG_INFINITY, log);
    pick(u >= 0.0, log, f32::NAN)
}

/// `log(1 + x)` of `f64`.
#[inline(always)]
pub fn ln1p64(x: f64) -> f64 {
    let u = 1.0 + x;
    let d = u - 1.0;
    let log = core64(u, 0.0, (x - d) / u);
    let log = pick(d == 0.0 || x == f64::INFINITY, x, log);
    let log = pick(u == 0.0, f64::NEG_INFINITY, log);
    pick(u >= 0.0, log, f64::NAN)
}
