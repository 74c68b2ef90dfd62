//! The logarithm of a quotient without the quotient, whose digits near 1 would be lost: of `p` over `1 - p`, and of `1 + x` over
//! `1 - x`, half of which is the inverse hyperbolic tangent.
//!
//! `log(n / u)` is `k log(2) + 2 atanh(s)` with `s = (n - 2^k u) / (n + 2^k u)`, where `k` is chosen so that `s` is small. The
//! difference is exact, and with it goes what `n` and `u` have rounded off.

use super::exp::{LN2_HI, LN2_HI32, LN2_LO, LN2_LO32};
use super::poly::{pick, poly, poly32};

/// `(2 atanh(s) - 2 s) / s^3` over `s^2`
const TAIL32: [f32; 3] = [0.30346093, 0.39958847, 0.6666693];
const TAIL64: [f64; 8] = [
    0.13808185255548888,
    0.13179526528102364,
    0.15390700862907614,
    0.18181680793728786,
    0.2222222399486682,
    0.2857142855915632,
    0.40000000000038693,
    0.6666666666666663,
];

/// The nearest power of 2 to `n / u` (as the bits tell it, within a tenth of an exponent) and its exponent.
#[inline(always)]
fn nearest32(n: f32, u: f32) -> (f32, f32) {
    const ONE: u32 = 127 << 23;
    let bits = n.to_bits().wrapping_sub(u.to_bits()).wrapping_add(ONE + (1 << 22));
    (f32::from_bits(bits & 0xff80_0000), ((bits >> 23) as i32 - 127) as f32)
}

/// The same of `f64`.
#[inline(always)]
fn nearest64(n: f64, u: f64) -> (f64, f64) {
    const ONE: u64 = 1023 << 52;
    let bits = n.to_bits().wrapping_sub(u.to_bits()).wrapping_add(ONE + (1 << 51));
    // The exponent as low bits of 2^52.
    let k = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0);
    (f64::from_bits(bits & 0xfff0_0000_0000_0000), k)
}

macro_rules! ratios {
    ($t:ident, $poly:ident, $tail:ident, $nearest:ident, $high:ident, $low:ident, $log:ident, $up:expr, $ups:expr,
     $(#[$one:meta])* $atanh:ident, $(#[$two:meta])* $logit:ident) => {
        /// `log((n + n_off) / (u + u_off))` for positive normal `n` and `u`; `shift` is added to the exponent.
        #[inline(always)]
        fn $log(n: $t, n_off: $t, u: $t, u_off: $t, shift: $t) -> $t {
            let (c, k) = $nearest(n, u);
            let k = k + shift;
            let other = c * u;
            let gap = n - other;
            let off = (-c).mul_add(u_off, n_off);
            let above = gap + off;
            let above_off = (gap - above) + off;
            let below = n + other;
            let below_off = (n - below) + other;
            let inverse = 1.0 / below;
            let s = above * inverse;
            let s_off = ((-s).mul_add(below, above) + (-s).mul_add(below_off, above_off)) * inverse;
            let z = s * s;
            let rest = (s * z).mul_add($poly(&$tail, z), k.mul_add($low, 2.0 * s_off));
            let (power, twice) = (k * $high, 2.0 * s);
            let sum = power + twice;
            sum + (((power - sum) + twice) + rest)
        }

        $(#[$one])*
        #[inline(always)]
        pub fn $atanh(x: $t) -> $t {
            let a = x.abs();
            let (n, u) = (1.0 + a, 1.0 - a);
            let y = 0.5 * $log(n, (1.0 - n) + a, u, (1.0 - u) - a, 0.0);
            let y = pick(a == 1.0, $t::INFINITY, y);
            pick(a <= 1.0, y, $t::NAN).copysign(x)
        }

        $(#[$two])*
        #[inline(always)]
        pub fn $logit(p: $t) -> $t {
            let u = 1.0 - p;
            let tiny = p < $t::MIN_POSITIVE;
            let y = $log(pick(tiny, p * $up, p), 0.0, u, (1.0 - u) - p, pick(tiny, -$ups, 0.0));
            let y = pick(p == 0.0, $t::NEG_INFINITY, y);
            let y = pick(u == 0.0, $t::INFINITY, y);
            pick((p >= 0.0) & (u >= 0.0), y, $t::NAN)
        }
    };
}

ratios! {
    f32, poly32, TAIL32, nearest32, LN2_HI32, LN2_LO32, log32, 8_388_608.0, 23.0,
    /// `atanh(x)` of `f32`: infinite at -1 and 1, NaN beyond.
    atanh32,
    /// `log(p / (1 - p))` of `f32`: infinite at 0 and 1, NaN outside.
    logit32
}
ratios! {
    f64, poly, TAIL64, nearest64, LN2_HI, LN2_LO, log64, 18_014_398_509_481_984.0, 54.0,
    /// `atanh(x)` of `f64`: infinite at -1 and 1, NaN beyond.
    atanh64,
    /// `log(p / (1 - p))` of `f64`: infinite at 0 and 1, NaN outside.
    logit64
}
