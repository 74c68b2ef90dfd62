//! The loops of softmax and its relatives, along rows and down the columns of a matrix. Exponentials are those of numbers up to 0, but for
//! rounding: shares in a sum, see [`Real::exp_share`].

use super::poly::pick;
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

/// What the compiler may make one turn of a loop, at the most: it would leave the rest to scalars.
pub const BLOCK: usize = 64;

/// So few numbers are computed one by one.
const FEW: usize = 12;

/// Appends a function of each element of `$x`; the last ones, unless few, are computed beside others that nobody reads.
macro_rules! append_blocks {
    ($out:ident, $x:ident, |$e:ident| $value:expr) => {{
        let whole = $x.len() / BLOCK * BLOCK;
        let (blocks, rest) = $x.split_at(whole);
        append!($out, whole, |i| {
            let $e = blocks[i];
            $value
        });
        if rest.len() <= FEW {
            append!($out, rest.len(), |i| {
                let $e = rest[i];
                $value
            });
        } else {
            let mut last = [T::default(); BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            for place in &mut last {
                let $e = *place;
                *place = $value;
            }
            $out.extend_from_slice(&last[..rest.len()]);
        }
    }};
}

wide! {
    /// `exp(x - shift)`
    pub fn exp_below<T: Real, O: Room<T>>(x: &[T], shift: T, out: &mut O) {
        append_blocks!(out, x, |x| (x - shift).exp_share());
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
            append!(out, n, |i| (row[i] - top[i]).exp_share());
            let start = out.len() - n;
            let done = &out[start..];
            for i in 0..n {
                sums[i] += done[i].to_f64();
            }
        }
    }

    /// Appends `x - top` for columns with a number each.
    pub fn less_columns<T: Real, O: Room<T>>(x: &[T], top: &[T], out: &mut O) {
        let n = top.len();
        for row in x.chunks_exact(n.max(1)) {
            let row = &row[..n];
            append!(out, n, |i| row[i] - top[i]);
        }
    }

    /// Appends `exp(x - top)` for columns, of which there is a multiple of [`BLOCK`].
    pub fn exp_less_columns<T: Real, O: Room<T>>(x: &[T], top: &[T], out: &mut O) {
        let n = top.len();
        for row in x.chunks_exact(n.max(1)) {
            let row = &row[..n];
            append!(out, n, |i| (row[i] - top[i]).exp_share());
        }
    }

    /// `exp(x)` in place.
    pub fn exp_all<T: Real>(x: &mut [T]) {
        for x in x {
            *x = x.exp_share();
        }
    }

    /// `log(x)` in place.
    pub fn log_all<T: Real>(x: &mut [T]) {
        for x in x {
            *x = x.ln();
        }
    }

    /// The sums of columns of which there are `side`, each with the bits that [`sum`](super::sums::sum) gives for a row of less than
    /// a thousand elements. `lanes` and `halves` are scratch.
    pub fn sums_abreast<T: Real>(x: &[T], side: usize, lanes: &mut Vec<T>, halves: &mut Vec<f64>, sums: &mut Vec<f64>) {
        const LANES: usize = 16;
        let whole = x.len() / side / LANES * LANES * side;
        sums.clear();
        sums.resize(side, 0.0);
        let sums = &mut sums[..side];
        let mut chunks = x[..whole].chunks_exact(LANES * side);
        if let Some(first) = chunks.next() {
            lanes.clear();
            lanes.extend_from_slice(first);
            let lanes = &mut lanes[..LANES * side];
            for chunk in chunks {
                let chunk = &chunk[..lanes.len()];
                for i in 0..lanes.len() {
                    lanes[i] = lanes[i] + chunk[i];
                }
            }
            let (low, high) = lanes.split_at(LANES / 2 * side);
            let high = &high[..low.len()];
            halves.clear();
            append!(halves, low.len(), |i| low[i].to_f64() + high[i].to_f64());
            let mut half = LANES / 4;
            while half > 0 {
                let (low, high) = halves.split_at_mut(half * side);
                let high = &high[..low.len()];
                for i in 0..low.len() {
                    low[i] += high[i];
                }
                half /= 2;
            }
            let all = &halves[..side];
            for i in 0..side {
                sums[i] += all[i];
            }
        }
        for column in x[whole..].chunks_exact(side) {
            let column = &column[..side];
            for i in 0..side {
                sums[i] += column[i].to_f64();
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
                sums[i] += (row[i] - top[i]).exp_share().to_f64();
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

    /// Appends `-g / sum`.
    pub fn shares_of<T: Real, O: Room<T>>(sums: &[f64], g: &[T], out: &mut O) {
        let sums = &sums[..g.len()];
        append!(out, g.len(), |i| T::c(-g[i].to_f64() / sums[i]));
    }

    /// Columns times their numbers, in place; 0 where these are 0.
    pub fn strong_scale_columns<T: Real>(x: &mut [T], by: &[T]) {
        let n = by.len();
        for row in x.chunks_exact_mut(n.max(1)) {
            let row = &mut row[..n];
            for i in 0..n {
                row[i] = by[i].zmul(row[i]);
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
