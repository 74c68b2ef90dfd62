//! Log-gamma and its derivatives on `f64`; positive normal numbers by [`crate::tensor::simd::gamma`].
//!
//! Polygamma climbs by its recurrence to an argument where the asymptotic series is exact to the last digits. At their poles: the limit from the right at 0, NaN at the negative integers (no slope on either side).

use crate::tensor::simd::gamma::digamma64;

/// Bernoulli numbers B2, B4, ... B20.
const BERNOULLI: [f64; 10] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
    43867.0 / 798.0,
    -174611.0 / 330.0,
];

/// Below this the climb takes too many steps.
const LOWEST: f64 = -1e6;

/// `ln |gamma(x)|`, where the kernel for positive normal numbers does not reach.
pub fn lgamma(x: f64) -> f64 {
    libm::lgamma(x)
}

fn is_pole(x: f64) -> bool {
    x < 0.0 && x == x.floor()
}

/// Derivative of [`lgamma`].
pub fn digamma(x: f64) -> f64 {
    if x >= f64::MIN_POSITIVE {
        return digamma64(x);
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x.is_nan() || is_pole(x) || x == f64::NEG_INFINITY {
        return f64::NAN;
    }
    if x < 0.0 && x > -0.25 {
        // Near the pole at 0 the distance to it keeps its digits.
        return digamma(1.0 + x) - 1.0 / x;
    }
    if x < 0.0 {
        // Reflection; the angle is reduced first so that large arguments keep their digits.
        let angle = std::f64::consts::PI * (x - x.floor());
        return digamma(1.0 - x) - std::f64::consts::PI / angle.tan();
    }
    // Of a positive number below the normal ones nothing else is left.
    -1.0 / x
}

/// The `order`-th derivative of digamma; `order` is a whole number (0 is digamma itself), else NaN.
pub fn polygamma(order: f64, x: f64) -> f64 {
    if order == 0.0 {
        return digamma(x);
    }
    let whole = order == order.floor() && (1.0..=60.0).contains(&order);
    if !whole || x.is_nan() || is_pole(x) || x < LOWEST {
        return f64::NAN;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    let n = order as i32;
    let factorial: f64 = (1..=n).map(f64::from).product();
    // psi_n(x) = (-1)^(n+1) * n! * sum over k >= 0 of 1 / (x + k)^(n + 1)
    let sign = if n % 2 == 0 { -1.0 } else { 1.0 };
    let mut x = x;
    let mut sum = 0.0;
    while x < 12.0 + order {
        sum += x.powi(-(n + 1));
        x += 1.0;
    }
    // Euler and Maclaurin for the rest of the sum.
    let mut tail = x.powi(-n) / order + 0.5 * x.powi(-(n + 1));
    let mut rising = order + 1.0; // (n+1)(n+2)...(n+2k-1)
    let mut even_factorial = 2.0; // (2k)!
    let mut power = x.powi(-(n + 2));
    for (k, b) in BERNOULLI.iter().enumerate() {
        tail += b * rising / even_factorial * power;
        let j = 2.0 * (k + 1) as f64;
        rising *= (order + j) * (order + j + 1.0);
        even_factorial *= (j + 1.0) * (j + 2.0);
        power /= x * x;
    }
    sign * factorial * (sum + tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-13 * b.abs().max(1.0), "{a} is not {b}");
        near(digamma(1.0), -0.577_215_664_901_532_9);
        near(digamma(0.5), -1.963_510_026_021_423_5);
        near(digamma(-0.5), 0.036_489_973_978_576_52);
        near(digamma(-1e-300) / 1e300, 1.0);
        near(digamma(-1e-13) / 1e13, 1.0);
        near(digamma(-0.2), 4.034_991_433_293_861);
        near(polygamma(1.0, 1.0), std::f64::consts::PI.powi(2) / 6.0);
        near(polygamma(1.0, 0.5), std::f64::consts::PI.powi(2) / 2.0);
        near(polygamma(2.0, 1.0), -2.404_113_806_319_188_5);
        near(polygamma(3.0, 1.0), std::f64::consts::PI.powi(4) / 15.0);
        near(polygamma(1.0, -0.5), 8.934_802_200_544_679);
    }

    #[test]
    fn poles() {
        assert_eq!(digamma(0.0), f64::NEG_INFINITY);
        assert_eq!(polygamma(1.0, 0.0), f64::INFINITY);
        assert!(digamma(-1.0).is_nan() && polygamma(1.0, -2.0).is_nan());
        assert_eq!(lgamma(0.0), f64::INFINITY);
    }
}
