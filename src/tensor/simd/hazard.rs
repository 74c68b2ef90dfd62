//! The logarithm of the normal's distribution function and its slope, the hazard: the density over the distribution function. Below 0
//! all follow from the quotient `q(a) / p(a)` that Mills' ratio is made of: the hazard is that above `a`.

use std::f64::consts::{LN_2, LOG2_E};

use super::erf::{P32, Q32};
use super::log::core64;
use super::normal::{P64, Q64, SCALE64, density64, scaled_mills64, tail64};
use super::poly::{chain64, monic64, pick, poly};
use super::pow::{exp2, log2};

/// What the hazard at `-a` is above `a`, times `a`, over `1 / a^2`, for `a` from 18 (as exact as a result of `f32` needs, from 11).
const EXCESS: [f64; 8] = [
    -1388042.846232538,
    108878.33023646276,
    -8158.09704404614,
    705.9944395350035,
    -73.99999567915921,
    9.999999998347423,
    -1.9999999999997589,
    1.0,
];

/// The logarithm of the distribution function of `f64`. Below 0 it is that of Mills' ratio, less half the square.
#[inline(always)]
pub fn log_ndtr64(x: f64) -> f64 {
    let a = x.abs();
    let square = a * a;
    let off = pick(square < f64::INFINITY, a.mul_add(a, -square), 0.0);
    let (half, off) = (0.5 * square, 0.5 * off);
    let (mills, mills_off) = scaled_mills64(a);
    let tail = tail64((mills, mills_off), half, off);
    let positive = x > 0.0;
    let u = pick(positive, 1.0 - tail, mills);
    let rest = pick(positive, (1.0 - u) - tail, mills_off);
    let y = core64(u, 0.0, rest / u - pick(positive, 0.0, off));
    pick(u == 1.0, -tail, y - pick(positive, 0.0, half))
}

/// The same of `f32`, in `f64`.
#[inline(always)]
pub fn log_ndtr32(x: f32) -> f32 {
    let a = f64::from(x.abs());
    let half = -0.5 * a * a;
    let b = pick(a > 1e6, 1e6, a);
    let p = monic64(&P32, b);
    let mills = SCALE64 * (p / p.mul_add(b, chain64(&Q32, b)));
    let tail = exp2(LOG2_E * pick(half < -200.0, -200.0, half)) * mills;
    let positive = x > 0.0;
    let log = LN_2 * log2(pick(positive, 1.0 - tail, mills));
    let far = (-0.5 * tail).mul_add(tail, -tail);
    let y = pick(positive, pick(tail < 1e-4, far, log), half + log);
    pick(x.is_nan(), f64::NAN, y) as f32
}

macro_rules! hazards {
    ($p:ident, $q:ident, $far:expr, $cut:expr, $both:ident, |$a:ident| $density:expr) => {
        /// The hazard and what it is above `-x`.
        #[inline(always)]
        fn $both(x: f64) -> (f64, f64) {
            let $a = x.abs();
            let density = $density;
            let b = pick($a > $cut, $cut, $a);
            let (p, q) = (monic64(&$p, b), chain64(&$q, b));
            let whole = p.mul_add(b, q);
            let positive = x > 0.0;
            // Above 0 the density over what is left of 1 beyond it.
            let part = pick(positive, density * whole, q) / pick(positive, (-density).mul_add(p, whole), p);
            let inverse = 1.0 / $a;
            let far = inverse * poly(&EXCESS, inverse * inverse);
            let excess = pick(!positive & ($a > $far), far, part);
            (pick(positive, excess, $a + excess), pick(positive, x + excess, excess))
        }
    };
}

hazards!(P64, Q64, 18.0, 40.0, both64, |a| density64(a));
hazards!(P32, Q32, 11.0, 30.0, both32, |a| SCALE64 * exp2(-0.5 * LOG2_E * pick(a > 30.0, 900.0, a * a)));

/// Density over distribution function of `f64`.
#[inline(always)]
pub fn hazard64(x: f64) -> f64 {
    both64(x).0
}

/// What [`hazard64`] is above `-x`.
#[inline(always)]
pub fn hazard_excess64(x: f64) -> f64 {
    both64(x).1
}

/// Density over distribution function of `f32`, in `f64`.
#[inline(always)]
pub fn hazard32(x: f32) -> f32 {
    both32(f64::from(x)).0 as f32
}

/// What [`hazard32`] is above `-x`.
#[inline(always)]
pub fn hazard_excess32(x: f32) -> f32 {
    both32(f64::from(x)).1 as f32
}
