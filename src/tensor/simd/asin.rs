//! Arc sine and arc cosine. Above a half, half of the angle's complement is the arc sine of a root, so that one polynomial does.

use std::f32::consts::FRAC_PI_2 as QUARTER32;
use std::f64::consts::FRAC_PI_2 as QUARTER64;

use super::poly::{pick, poly, poly32};

/// What a quarter of a circle is above its nearest number.
const QUARTER_OFF32: f32 = -4.371_139e-8;
const QUARTER_OFF64: f64 = 6.123_233_995_736_766e-17;

/// `(asin(t) / t - 1) / t^2` over `t^2` up to a quarter.
const TAIL32: [f32; 5] = [0.042146124, 0.02419479, 0.04546626, 0.07495344, 0.1666675];
const TAIL64: [f64; 12] = [
    0.03179011988382487,
    -0.016032766254421116,
    0.01939632260033307,
    0.006580488107098665,
    0.012155871500411723,
    0.013887491270956195,
    0.017359447897278054,
    0.022371777525770062,
    0.030381958187905646,
    0.04464285685604654,
    0.0750000000029469,
    0.16666666666665653,
];

macro_rules! arcs {
    ($t:ident, $poly:ident, $tail:ident, $quarter:ident, $off:ident, $parts:ident,
     $(#[$one:meta])* $asin:ident, $(#[$two:meta])* $acos:ident) => {
        /// Whether the size `a` is above a half, the number `t` that a polynomial is taken of, and what `asin(t)` is above it.
        #[inline(always)]
        fn $parts(a: $t) -> (bool, $t, $t) {
            let far = a > 0.5;
            let z = pick(far, (-0.5 as $t).mul_add(a, 0.5), a * a);
            let t = pick(far, z.sqrt(), a);
            (far, t, t * (z * $poly(&$tail, z)))
        }

        $(#[$one])*
        #[inline(always)]
        pub fn $asin(x: $t) -> $t {
            let (far, t, rest) = $parts(x.abs());
            let both = 2.0 * t;
            let angle = $quarter - both;
            // With what the difference rounds off.
            let turned = angle + ((($quarter - angle) - both) + (2.0 as $t).mul_add(-rest, $off));
            pick(far, turned, t + rest).copysign(x)
        }

        $(#[$two])*
        #[inline(always)]
        pub fn $acos(x: $t) -> $t {
            let (far, t, rest) = $parts(x.abs());
            let negative = x < 0.0;
            let quarters = pick(far, pick(negative, 2.0, 0.0), 1.0);
            let factor = pick(far, 2.0, 1.0);
            let factor = pick(far != negative, -factor, factor);
            let (t, start) = (factor * t, quarters * $quarter);
            let angle = start - t;
            angle + (((start - angle) - t) + (-factor).mul_add(rest, quarters * $off))
        }
    };
}

arcs! {
    f32, poly32, TAIL32, QUARTER32, QUARTER_OFF32, parts32,
    /// `asin(x)` of `f32`; NaN outside of [-1, 1].
    asin32,
    /// `acos(x)` of `f32`; NaN outside of [-1, 1].
    acos32
}
arcs! {
    f64, poly, TAIL64, QUARTER64, QUARTER_OFF64, parts64,
    /// `asin(x)` of `f64`; NaN outside of [-1, 1].
    asin64,
    /// `acos(x)` of `f64`; NaN outside of [-1, 1].
    acos64
}
