//! Functions of the normal distribution on `f64`: the inverse error function, and the slope of the logarithm of the
//! distribution function.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

/// Below this the distribution function comes from its series at -inf.
const FAR: f64 = -20.0;

/// Inverse of `erf`: a rough start, then Halley's steps, on `erfc` where `|x|` is near 1 so that no digits are lost.
pub fn erfinv(x: f64) -> f64 {
    let size = x.abs();
    if size >= 1.0 || x.is_nan() {
        return if size == 1.0 { x * f64::INFINITY } else { f64::NAN };
    }
    if size < 1e-9 {
        // The next term of the series is less than a rounding error.
        return x / FRAC_2_SQRT_PI;
    }
    // Winitzki, "A handy approximation for the error function and its inverse", 2008.
    let log = (-size * size).ln_1p();
    let half = 2.0 / (PI * 0.147) + 0.5 * log;
    let mut y = ((half * half - log / 0.147).sqrt() - half).sqrt();
    let rest = 1.0 - size; // exact for sizes of a half and more
    for _ in 0..3 {
        let miss = if size < 0.5 { libm::erf(y) - size } else { rest - libm::erfc(y) };
        let step = miss / (FRAC_2_SQRT_PI * (-y * y).exp());
        y -= step / (1.0 + y * step);
    }
    y.copysign(x)
}

/// `sum of (-1)^k (2k - 1)!! / x^(2k)` from k = 1: what the distribution function over `density(x) / -x` differs by from 1
/// far below 0.
fn tail(x: f64) -> f64 {
    let inverse = 1.0 / (x * x);
    let mut term = 1.0;
    let mut sum = 0.0;
    for k in 1..10 {
        term *= -f64::from(2 * k - 1) * inverse;
        sum += term;
    }
    sum
}

/// Slope of the logarithm of the distribution function: density over distribution function.
pub fn hazard(x: f64) -> f64 {
    if x > FAR {
        let density = 0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI * (-0.5 * x * x).exp();
        density / (0.5 * libm::erfc(-x * FRAC_1_SQRT_2))
    } else if x == f64::NEG_INFINITY {
        f64::INFINITY
    } else {
        -x / (1.0 + tail(x))
    }
}

/// `hazard(x) + x`, without loss far below 0, where it is near `-1 / x`.
pub fn hazard_excess(x: f64) -> f64 {
    if x > FAR {
        hazard(x) + x
    } else if x == f64::NEG_INFINITY {
        0.0
    } else {
        x * tail(x) / (1.0 + tail(x))
    }
}
