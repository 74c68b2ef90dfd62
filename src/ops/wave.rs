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

/// The `order`-th derivative of `sin(pi x) / (pi x)`. With `z = pi x` and `s` the quotient in `z`:
/// near 0 the series `s = sum of (-1)^k z^(2k) / (2k + 1)!`, beyond the recurrence `z s^(n) = sin^(n) z - n s^(n-1)`.
pub fn sinc(order: u32, x: f64) -> f64 {
    let z = PI * x;
    if z.abs() == f64::INFINITY {
        return 0.0;
    }
    let n = f64::from(order);
    let scale = PI.powi(order as i32);
    if z.abs() < 2.0 + 0.5 * n {
        // Terms z^(2k - n) / ((2k + 1) (2k - n)!), from the first k that survives.
        let first = order.div_ceil(2);
        let odd = f64::from(2 * first - order);
        let mut power = if odd > 0.0 { z } else { 1.0 };
        let mut sum = 0.0;
        for k in first..first + 20 {
            let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
            sum += sign * power / f64::from(2 * k + 1);
            let done = f64::from(2 * (k - first)) + odd;
            power *= z * z / ((done + 1.0) * (done + 2.0));
        }
        return scale * sum;
    }
    let mut s = sine(0, x) / z;
    for k in 1..=order {
        s = (sine(k, x) - f64::from(k) * s) / z;
    }
    scale * s
}
