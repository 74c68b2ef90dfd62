//! The arc tangent, of a number and of a point. The smaller of two sizes over the larger is up to 1; above a half it is turned back
//! by an eighth of a circle (the difference that takes is exact), so that one polynomial does. The angle is then a number of
//! eighths and a rest.

use std::f32::consts::FRAC_PI_4 as EIGHTH32;
use std::f64::consts::FRAC_PI_4 as EIGHTH64;

use super::poly::{pick, poly, poly32};

/// What an eighth of a circle is above its nearest number.
const EIGHTH_OFF32: f32 = -2.185_569_4e-8;
const EIGHTH_OFF64: f64 = 3.061_616_997_868_383e-17;

/// `(atan(t) / t - 1) / t^2` over `t^2` up to a quarter.
const TAIL32: [f32; 6] = [0.04225685, -0.08235505, 0.110068806, -0.142798, 0.19999875, -0.33333333];
const TAIL64: [f64; 13] = [
    -0.009215787317194067,
    0.025006496751844517,
    -0.03806653243229288,
    0.046280247138366724,
    -0.052400994726593264,
    0.05879578424264447,
    -0.06666435676703343,
    0.07692294712505265,
    -0.09090908620321067,
    0.1111111110091734,
    -0.14285714285599188,
    0.19999999999999488,
    -0.3333333333333333,
];

macro_rules! arc_tangents {
    ($t:ident, $poly:ident, $tail:ident, $eighth:ident, $off:ident, $angle:ident,
     $(#[$one:meta])* $atan:ident, $(#[$two:meta])* $atan2:ident, $large:expr, $small:expr, $down:expr, $up:expr) => {
        /// The angle whose tangent is `least / most` (if `swap` that of the quotient turned over; if `back` what it lacks to half a
        /// circle), for sizes from 0.
        #[inline(always)]
        fn $angle(least: $t, most: $t, swap: bool, back: bool) -> $t {
            let infinite = (least == $t::INFINITY) & (most == $t::INFINITY);
            let far = (least > 0.5 * most) | infinite;
            let below = pick(far, most + least, most);
            let above = pick(far, least - most, least);
            // The origin counts as on the axis, and two infinities as equal.
            let t = above / pick(most == 0.0, 1.0, below);
            let t = pick(infinite, 0.0, t);
            let eighths = pick(far, 1.0, 0.0);
            let eighths = pick(swap, 2.0 - eighths, eighths);
            let eighths = pick(back, 4.0 - eighths, eighths);
            let t = pick(swap != back, -t, t);
            let z = t * t;
            let rest = t.mul_add(z * $poly(&$tail, z), eighths * $off);
            let angle = eighths.mul_add($eighth, t);
            // With what the sum rounds off.
            angle + (rest + (eighths.mul_add($eighth, -angle) + t))
        }

        $(#[$one])*
        #[inline(always)]
        pub fn $atan(x: $t) -> $t {
            let a = x.abs();
            let swap = a > 1.0;
            $angle(pick(swap, 1.0, a), pick(swap, a, 1.0), swap, false).copysign(x)
        }

        $(#[$two])*
        #[inline(always)]
        pub fn $atan2(y: $t, x: $t) -> $t {
            let (a, b) = (y.abs(), x.abs());
            let swap = a > b;
            let (least, most) = (pick(swap, b, a), pick(swap, a, b));
            // So that neither their sum overflows nor digits are lost below the normal numbers.
            let scale = pick(most > $large, $down, pick(most < $small, $up, 1.0));
            $angle(least * scale, most * scale, swap, x.is_sign_negative()).copysign(y)
        }
    };
}

arc_tangents! {
    f32, poly32, TAIL32, EIGHTH32, EIGHTH_OFF32, angle32,
    /// `atan(x)` of `f32`.
    atan32,
    /// `atan2(y, x)` of `f32`.
    atan2_32, 1e30, 1e-10, f32::from_bits((127 - 60) << 23), f32::from_bits((127 + 60) << 23)
}
arc_tangents! {
    f64, poly, TAIL64, EIGHTH64, EIGHTH_OFF64, angle64,
    /// `atan(x)` of `f64`.
    atan64,
    /// `atan2(y, x)` of `f64`.
    atan2_64, 1e300, 1e-150, f64::from_bits((1023 - 500) << 52), f64::from_bits((1023 + 500) << 52)
}
