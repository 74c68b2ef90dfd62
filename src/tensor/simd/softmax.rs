//! The loops of softmax and its relatives, along rows and down the columns of a matrix.

use super::poly::pick;
use crate::ops::real::Real;
use crate::wide;

/// Appends `n` numbers; `$i` counts them.
macro_rules! append {
    ($out:ident, $n:expr, |$i:ident| $value:expr) => {{
        let n = $n;
        $out.reserve(n);
        let spare = &mut $out.spare_capacity_mut()[..n];
        for $i in 0..n {
            spare[$i].write($value);
        }
        // SAFETY: `n` elements behind the old length were written.
        unsafe { $out.set_len($out.len() + n) }
    }};
}

wide! {
    /// `exp(x - shift)`
    pub fn exp_below<T: Real>(x: &[T], shift: T, out: &mut Vec<T>) {
        append!(out, x.len(), |i| (x[i] - shift).exp());
    }

    /// `x - first - second`
    pub fn less_both<T: Real>(x: &[T], first: T, second: T, out: &mut Vec<T>) {
        append!(out, x.len(), |i| x[i] - first - second);
    }

    /// `x` times a number, in place.
    pub fn scale<T: Real>(x: &mut [T], by: T) {
        for x in x {
            *x = *x * by;
        }
    }

    /// `g * y`, 0 where `g` is.
    pub fn products<T: Real>(y: &[T], g: &[T], out: &mut Vec<T>) {
        let y = &y[..g.len()];
        append!(out, g.len(), |i| g[i].zmul(y[i]));
    }

    /// `y * (g - sum)`, 0 where the difference is.
    pub fn shares<T: Real>(y: &[T], g: &[T], sum: T, out: &mut [T]) {
        let n = out.len();
        let (y, g) = (&y[..n], &g[..n]);
        for i in 0..n {
            out[i] = (g[i] - sum).zmul(y[i]);
        }
    }

    /// `y_bar - sum * exp(y)`, 0 where `sum` is 0: the last step of a log-softmax's pullback.
    pub fn less_share<T: Real>(y: &[T], y_bar: &[T], sum: T, out: &mut Vec<T>) {
        let y = &y[..y_bar.len()];
        append!(out, y_bar.len(), |i| y_bar[i] - sum.zmul(y[i].exp()));
    }

    /// Appends `exp(x - top)` for a matrix whose columns have the tops, and adds it up in `sums`.
    pub fn exp_columns<T: Real>(x: &[T], top: &[T], sums: &mut [f64], out: &mut Vec<T>) {
        let n = top.len();
        let sums = &mut sums[..n];
        for row in x.chunks_exact(n.max(1)) {
            let row = &row[..n];
            append!(out, n, |i| (row[i] - top[i]).exp());
            let start = out.len() - n;
            let done = &out[start..];
            for i in 0..n {
                sums[i] += done[i].to_f64();
            }
        }
    }

    /// Adds `exp(x - top)` of the columns up in `sums`.
    pub fn add_exp_of_columns<T: Real>(x: &[T], top: &[T], sums: &mut [f64]) {
        let n = top.len();
        let sums = &mut sums[..n];
        for row in x.chunks_exact(n.max(1)) {
            let row = &row[..n];
            for i in 0..n {
                sums[i] += (row[i] - top[i]).exp().to_f64();
            }
        }
    }

    /// Columns times their numbers, in place.
    pub fn scale_columns<T: Real>(x: &mut [T], by: &[T]) {
        let n = by.len();
        for row in x.chunks_exact_mut(n.max(1)) {
            let row = &mut row[..n];
            for i in 0..n {
                row[i] = row[i] * by[i];
            }
        }
    }

    /// `x - first - second` for columns with two numbers each.
    pub fn less_both_columns<T: Real>(x: &[T], first: &[T], second: &[T], out: &mut Vec<T>) {
        let n = first.len();
        let second = &second[..n];
        for row in x.chunks_exact(n.max(1)) {
            let row = &row[..n];
            append!(out, n, |i| row[i] - first[i] - second[i]);
        }
    }

    /// Adds `g * y` (0 where `g` is) of each column to `sums`.
    pub fn add_products_of_columns<T: Real>(y: &[T], g: &[T], sums: &mut [f64]) {
        let n = sums.len();
        for (y, g) in y.chunks_exact(n.max(1)).zip(g.chunks_exact(n.max(1))) {
            let (y, g) = (&y[..n], &g[..n]);
            for i in 0..n {
                sums[i] += g[i].zmul(y[i]).to_f64();
            }
        }
    }

    /// `y * (g - sum)` down columns, 0 where the difference is.
    pub fn share_columns<T: Real>(y: &[T], g: &[T], sums: &[T], out: &mut Vec<T>) {
        let n = sums.len();
        for (y, g) in y.chunks_exact(n.max(1)).zip(g.chunks_exact(n.max(1))) {
            let (y, g) = (&y[..n], &g[..n]);
            append!(out, n, |i| (g[i] - sums[i]).zmul(y[i]));
        }
    }

    /// `y_bar - sum * exp(y)` down columns; 0 in columns whose `top` is -inf.
    pub fn less_share_columns<T: Real>(y: &[T], y_bar: &[T], top: &[T], sums: &[T], out: &mut Vec<T>) {
        let n = sums.len();
        let top = &top[..n];
        for (y, y_bar) in y.chunks_exact(n.max(1)).zip(y_bar.chunks_exact(n.max(1))) {
            let (y, y_bar) = (&y[..n], &y_bar[..n]);
            append!(out, n, |i| {
                let bar = y_bar[i] - sums[i].zmul(y[i].exp());
                pick(top[i] == -T::INFINITY, T::c(0.0), bar)
            });
        }
    }
}
