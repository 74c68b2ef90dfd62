//! The loops of softmax and its relatives, along rows and down the columns of a matrix.

use super::poly::pick;
use super::sums::sum;
use crate::ops::real::Real;
use crate::tensor::out::Room;
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
    pub fn exp_below<T: Real, O: Room<T>>(x: &[T], shift: T, out: &mut O) {
        append!(out, x.len(), |i| (x[i] - shift).exp());
    }

    /// `x - first - second`
    pub fn less_both<T: Real, O: Room<T>>(x: &[T], first: T, second: T, out: &mut O) {
        append!(out, x.len(), |i| x[i] - first - second);
    }

    /// `x` times a number, in place.
    pub fn scale<T: Real>(x: &mut [T], by: T) {
        for x in x {
            *x = *x * by;
        }
    }

    /// `g * y`, 0 where `g` is.
    pub fn products<T: Real, O: Room<T>>(y: &[T], g: &[T], out: &mut O) {
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
    pub fn less_share<T: Real, O: Room<T>>(y: &[T], y_bar: &[T], sum: T, out: &mut O) {
        let y = &y[..y_bar.len()];
        append!(out, y_bar.len(), |i| y_bar[i] - sum.zmul(y[i].exp()));
    }

    /// Appends `exp(x - top)` for a matrix whose columns have the tops, and adds it up in `sums`.
    pub fn exp_columns<T: Real, O: Room<T>>(x: &[T], top: &[T], sums: &mut [f64], out: &mut O) {
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

    /// Writes the largest elements of rows of `n` (1 or more) into `tops`; false if one is infinite.
    pub fn row_tops<T: Real>(x: &[T], n: usize, tops: &mut Vec<T>) -> bool {
        let mut finite = true;
        tops.clear();
        for row in x.chunks_exact(n) {
            let mut top = row[0];
            for &x in &row[1..] {
                let larger = if x > top { x } else { top };
                top = pick(x.is_nan(), x, larger);
            }
            finite &= top.abs() != T::INFINITY;
            tops.push(top);
        }
        finite
    }

    /// Writes `exp(x - top)` into `exps` and the sums of the rows of `n` into `sums`. Rows are short: the exponentials of all are computed
    /// in one loop.
    pub fn exp_rows<T: Real>(x: &[T], n: usize, tops: &[T], exps: &mut Vec<T>, sums: &mut Vec<f64>) {
        exps.clear();
        for (row, &top) in x.chunks_exact(n).zip(tops) {
            append!(exps, n, |i| row[i] - top);
        }
        let exps = &mut exps[..];
        for x in &mut *exps {
            *x = x.exp();
        }
        sums.clear();
        for row in exps.chunks_exact(n) {
            sums.push(sum::<T>(row));
        }
    }

    /// Appends rows of `n` times their numbers.
    pub fn scaled_rows<T: Real, O: Room<T>>(x: &[T], n: usize, by: &[T], out: &mut O) {
        for (row, &by) in x.chunks_exact(n).zip(by) {
            let row = &row[..n];
            append!(out, n, |i| row[i] * by);
        }
    }

    /// Appends `x - first - second` for rows of `n` with two numbers each.
    pub fn less_both_rows<T: Real, O: Room<T>>(x: &[T], n: usize, first: &[T], second: &[T], out: &mut O) {
        for ((row, &first), &second) in x.chunks_exact(n).zip(first).zip(second) {
            let row = &row[..n];
            append!(out, n, |i| row[i] - first - second);
        }
    }

    /// Appends `y_bar - sum(y_bar) * exp(y)` for rows of `n`: those of a log-softmax of which none is all -inf. `exps` is scratch.
    pub fn less_share_rows<T: Real, O: Room<T>>(y: &[T], y_bar: &[T], n: usize, exps: &mut Vec<T>, out: &mut O) {
        let y = &y[..y_bar.len()];
        exps.clear();
        append!(exps, y.len(), |i| y[i].exp());
        for (exps, y_bar) in exps.chunks_exact(n).zip(y_bar.chunks_exact(n)) {
            let sum = T::c(sum::<T>(y_bar));
            let (exps, y_bar) = (&exps[..n], &y_bar[..n]);
            append!(out, n, |i| y_bar[i] - sum.zmul(exps[i]));
        }
    }

    /// Appends `y * (g - sum(g * y))` for rows of `n`. `terms` is scratch.
    pub fn share_rows<T: Real, O: Room<T>>(y: &[T], g: &[T], n: usize, terms: &mut Vec<T>, out: &mut O) {
        let y = &y[..g.len()];
        terms.clear();
        append!(terms, y.len(), |i| g[i].zmul(y[i]));
        for ((terms, y), g) in terms.chunks_exact(n).zip(y.chunks_exact(n)).zip(g.chunks_exact(n)) {
            let sum = T::c(sum::<T>(terms));
            let (y, g) = (&y[..n], &g[..n]);
            append!(out, n, |i| (g[i] - sum).zmul(y[i]));
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
    pub fn less_both_columns<T: Real, O: Room<T>>(x: &[T], first: &[T], second: &[T], out: &mut O) {
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
    pub fn share_columns<T: Real, O: Room<T>>(y: &[T], g: &[T], sums: &[T], out: &mut O) {
        let n = sums.len();
        for (y, g) in y.chunks_exact(n.max(1)).zip(g.chunks_exact(n.max(1))) {
            let (y, g) = (&y[..n], &g[..n]);
            append!(out, n, |i| (g[i] - sums[i]).zmul(y[i]));
        }
    }

    /// `y_bar - sum * exp(y)` down columns; 0 in columns whose `top` is -inf.
    pub fn less_share_columns<T: Real, O: Room<T>>(y: &[T], y_bar: &[T], top: &[T], sums: &[T], out: &mut O) {
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
