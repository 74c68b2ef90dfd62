//! Elementary functions of `f32` without branches or table look-ups, so that a loop over them is vectorized.
//!
//! Each is within about 2 units in the last place of the true value (the tests measure it); infinities, NaN and
//! subnormal results are right.

/// `1.5 * 2^23`: adding it rounds to an integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;
const LN2_HI: f32 = 0.693_359_4;
const LN2_LO: f32 = -2.121_944_4e-4;

/// `a * b + c`, in one instruction where the target has it (elsewhere it would be a call).
#[inline(always)]
fn fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_feature = "fma") { a.mul_add(b, c) } else { a * b + c }
}

/// `2^(n/2)` twice, as two factors: a result may be subnormal or just below infinity, where one factor would not do.
#[inline(always)]
fn scale(x: f32, n: i32) -> f32 {
    let half = n >> 1;
    let rest = n - half;
    x * f32::from_bits(((half + 127) << 23) as u32) * f32::from_bits(((rest + 127) << 23) as u32)
}

/// Exponential: `2^n * e^r` with `|r| <= ln(2)/2`, `e^r` by a polynomial.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -104.0 { -104.0 } else { clamped };
    let t = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = (t.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let k = t - ROUND;
    let r = clamped - k * LN2_HI - k * LN2_LO;
    // Taylor's last coefficients, bent a little so that the error is spread over the interval.
    let p = 1.987_569_1e-4;
    let p = fma(p, r, 1.398_199_9e-3);
    let p = fma(p, r, 8.333_452e-3);
    let p = fma(p, r, 4.166_579_6e-2);
    let p = fma(p, r, 1.666_666_5e-1);
    let p = fma(p, r, 0.5);
    scale(p * r * r + r + 1.0, if x.is_nan() { 0 } else { n })
}

/// Natural logarithm: exponent and mantissa apart, the mantissa by a polynomial around 1.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let y = if tiny { x * 8_388_608.0 } else { x };
    let bits = y.to_bits() as i32;
    // Mantissa in [sqrt(1/2), sqrt(2)).
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let e = shifted >> 23;
    let m = f32::from_bits(bits.wrapping_sub(e << 23) as u32) - 1.0;
    let e = e as f32 - if tiny { 23.0 } else { 0.0 };
    let p = 7.037_683_6e-2;
    let p = fma(p, m, -1.151_461e-1);
    let p = fma(p, m, 1.167_699_9e-1);
    let p = fma(p, m, -1.242_014_1e-1);
    let p = fma(p, m, 1.424_932_3e-1);
    let p = fma(p, m, -1.666_805_7e-1);
    let p = fma(p, m, 2.000_071_5e-1);
    let p = fma(p, m, -2.499_999_4e-1);
    let p = fma(p, m, 3.333_333e-1);
    let square = m * m;
    let tail = p * m * square + e * LN2_LO - 0.5 * square;
    let log = m + tail + e * LN2_HI;
    let log = if x == f32::INFINITY { x } else { log };
    let log = if x == 0.0 { f32::NEG_INFINITY } else { log };
    if x < 0.0 || x.is_nan() { f32::NAN } else { log }
}

/// `ln(1 + x)`: the rounding error of `1 + x` is divided out.
#[inline(always)]
pub fn ln1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let d = u - 1.0;
    let log = ln(u) * (x / d);
    let log = if d == 0.0 { x } else { log };
    if x == f32::INFINITY { x } else { log }
}

/// Hyperbolic tangent: a polynomial near 0, else through the exponential.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let s = x * x;
    let p = -5.704_989e-3;
    let p = fma(p, s, 2.063_909e-2);
    let p = fma(p, s, -5.373_972e-2);
    let p = fma(p, s, 1.333_144_2e-1);
    let p = fma(p, s, -3.333_328e-1);
    let near = p * s * x + x;
    let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    let far = if x < 0.0 { -far } else { far };
    if a < 0.625 { near } else { far }
}

/// Error function as a ratio of two polynomials on `[-4, 4]`, beyond which it is 1 in `f32`.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let c = if x > 4.0 { 4.0 } else { x };
    let c = if c < -4.0 { -4.0 } else { c };
    let s = c * c;
    let p = -2.726_142_3e-10;
    let p = fma(p, s, 2.770_681_4e-8);
    let p = fma(p, s, -2.101_024e-6);
    let p = fma(p, s, -5.692_506e-5);
    let p = fma(p, s, -7.349_906e-4);
    let p = fma(p, s, -2.954_6e-3);
    let p = fma(p, s, -1.609_603_3e-2);
    let q = -1.456_607_2e-5;
    let q = fma(q, s, -2.133_740_6e-4);
    let q = fma(q, s, -1.682_827e-3);
    let q = fma(q, s, -7.373_329e-3);
    let q = fma(q, s, -1.426_473_9e-2);
    let y = c * p / q;
    let y = if x > 3.92 { 1.0 } else { y };
    if x < -3.92 { -1.0 } else { y }
}

/// Distribution function of the standard normal. By `erfc(z) = t p(t) exp(-z^2)` with `t = 1 / (1 + z/2)`, z 0 or more, and a
/// polynomial fitted to it for `z < 12`: both tails keep their digits.
#[inline(always)]
pub fn ndtr(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let z = if z > 12.0 { 12.0 } else { z };
    let t = 1.0 / fma(0.5, z, 1.0);
    let p = -0.058_836_05;
    let p = fma(p, t, 0.283_729_1);
    let p = fma(p, t, -0.486_030_13);
    let p = fma(p, t, 0.277_366_3);
    let p = fma(p, t, -0.026_558_34);
    let p = fma(p, t, 0.202_822_07);
    let p = fma(p, t, 0.243_031_87);
    let p = fma(p, t, 0.282_389_8);
    let p = fma(p, t, 0.282_085_36);
    // x^2 / 2 as a square without rounding and a small rest.
    let size = if x.abs() > 17.0 { 17.0 } else { x.abs() };
    let high = f32::from_bits(size.to_bits() & 0xffff_f000);
    let power = exp(-0.5 * high * high) * exp(0.5 * (high - size) * (high + size));
    let tail = 0.5 * t * p * power;
    let y = if x > 0.0 { 1.0 - tail } else { tail };
    if x.is_nan() { x } else { y }
}

#[cfg(test)]
mod tests {
    /// Error in units of the last place of the true value.
    fn ulps(got: f32, want: f64) -> f64 {
        if got as f64 == want || (got.is_nan() && want.is_nan()) || got == want as f32 {
            return 0.0;
        }
        let near = (want as f32).abs().max(f32::MIN_POSITIVE);
        let unit = f32::from_bits(near.to_bits() + 1) as f64 - near as f64;
        ((got as f64 - want) / unit).abs()
    }

    fn worst(f: fn(f32) -> f32, g: fn(f64) -> f64, lo: f32, hi: f32) -> (f64, f32) {
        let n = 200_000;
        let mut worst = (0.0, 0.0);
        for i in 0..=n {
            let x = lo + (hi - lo) * i as f32 / n as f32;
            let error = ulps(f(x), g(x as f64));
            if error > worst.0 || error.is_nan() {
                worst = (error, x);
            }
        }
        worst
    }

    #[test]
    fn accuracy() {
        let check = |name: &str, w: (f64, f32), limit: f64| {
            assert!(w.0 <= limit, "{name}: {} ulp at {}", w.0, w.1);
        };
        check("exp", worst(super::exp, f64::exp, -87.0, 88.7), 2.0);
        check("exp near 0", worst(super::exp, f64::exp, -1.0, 1.0), 1.5);
        check("ln", worst(super::ln, f64::ln, 1e-6, 10.0), 2.0);
        check("ln large", worst(super::ln, f64::ln, 1.0, 1e30), 2.0);
        check("ln1p", worst(super::ln1p, f64::ln_1p, -0.99, 3.0), 3.5);
        check("tanh", worst(super::tanh, f64::tanh, -10.0, 10.0), 3.0);
        let ndtr = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        check("ndtr", worst(super::ndtr, ndtr, -13.0, 7.0), 8.0);
        check("erf", worst(super::erf, libm::erf, -5.0, 5.0), 8.0);
    }

    #[test]
    fn edges() {
        assert_eq!(super::exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(super::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(super::exp(0.0), 1.0);
        assert_eq!(super::exp(1000.0), f32::INFINITY);
        assert_eq!(super::exp(-103.0), (-103f64).exp() as f32);
        assert!(super::exp(f32::NAN).is_nan());
        assert_eq!(super::ln(0.0), f32::NEG_INFINITY);
        assert_eq!(super::ln(1.0), 0.0);
        assert_eq!(super::ln(f32::INFINITY), f32::INFINITY);
        assert!(super::ln(-1.0).is_nan() && super::ln(f32::NAN).is_nan());
        assert!((super::ln(1e-40) - 1e-40f64.ln() as f32).abs() < 1e-3);
        assert_eq!(super::ln1p(1e-20), 1e-20);
        assert_eq!(super::ln1p(-1.0), f32::NEG_INFINITY);
        assert_eq!(super::ln1p(f32::INFINITY), f32::INFINITY);
        assert!(super::ln1p(-2.0).is_nan());
        assert_eq!(super::tanh(1000.0), 1.0);
        assert_eq!(super::tanh(-1000.0), -1.0);
        assert!(super::tanh(f32::NAN).is_nan());
        assert!(super::erf(f32::NAN).is_nan());
        assert_eq!(super::erf(9.0), 1.0);
        assert_eq!((super::ndtr(f32::NEG_INFINITY), super::ndtr(f32::INFINITY), super::ndtr(0.0)), (0.0, 1.0, 0.5));
        assert!(super::ndtr(f32::NAN).is_nan());
    }
}
