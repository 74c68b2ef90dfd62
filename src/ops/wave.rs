//! `sin(pi x) / (pi x)` and its derivatives on `f64`.

use std::f64::consts::PI;

/// `sin(pi x + order * pi / 2)`, the `order`-th derivative of the sine in units of `pi x`; exact at multiples of a half.
fn sine(order: u32, x: f64) -> f64 {
    let turn = x % 2.0;
    let angle = PI * turn;
    match order % 4 {
        0 if turn.abs() == 1.0 => 0.0,
        0 => angle.sin(),
        1 if turn.abs() == 0.5 || turn.abs() == 1.5 => 0.0,
        1 => angle.cos(),
        _ => -sine(order - 2, x),
    }
}

/// The highest order that the series near 0 is long enough for.
const HIGHEST: f64 = 30.0;

/// The `order`-th derivative of `sin(pi x) / (pi x)`; NaN unless it is a whole number from 0 to 30. With `z = pi x` and `s`
/// the quotient in `z`: near 0 the series `s = sum of (-1)^k z^(2k) / (2k + 1)!`, beyond the recurrence
/// `z s^(n) = sin^(n) z - n s^(n-1)`.
pub fn sinc(order: f64, x: f64) -> f64 {
    let z = PI * x;
    if order != order.floor() || !(0.0..=HIGHEST).contains(&order) || z.is_nan() {
        return f64::NAN;
    }
    if z.abs() == f64::INFINITY {
        return 0.0;
    }
    let n = order as u32;
    let scale = PI.powi(n as i32);
    if z.abs() < 2.0 + 0.5 * order {
        // Terms z^(2k - n) / ((2k + 1) (2k - n)!), from the first k that survives.
        let first = n.div_ceil(2);
        let odd = f64::from(2 * first - n);
        let mut power = if odd > 0.0 { z } else { 1.0 };
        let mut sum = 0.0;
        for k in first..first + 40 {
            let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
            sum += sign * power / f64::from(2 * k + 1);
            let done = f64::from(2 * (k - first)) + odd;
            power *= z * z / ((done + 1.0) * (done + 2.0));
        }
        return scale * sum;
    }
    let mut s = sine(0, x) / z;
    for k in 1..=n {
        s = (sine(k, x) - f64::from(k) * s) / z;
    }
    scale * s
}
