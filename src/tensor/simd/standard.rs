//! Rows brought to mean 0 and variance 1, and the product with the Jacobian of that.

use crate::ops::real::Real;
use crate::tensor::out::Room;
use crate::wide;

/// Sums that run side by side.
const LANES: usize = 16;

/// Sum of the lanes and of what is left: by halves, so that few additions wait for each other.
#[inline(always)]
fn joined(mut lanes: [f64; LANES], rest: f64) -> f64 {
    for k in 0..8 {
        lanes[k] += lanes[k + 8];
    }
    for k in 0..4 {
        lanes[k] += lanes[k + 4];
    }
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
}

/// Sum of a row, in `f64`.
#[inline(always)]
fn sum<T: Real>(row: &[T]) -> f64 {
    let (mut lanes, mut left, mut rest) = ([0.0; LANES], row, 0.0);
    while let Some((chunk, tail)) = left.split_first_chunk::<LANES>() {
        for k in 0..LANES {
            lanes[k] += chunk[k].to_f64();
        }
        left = tail;
    }
    for &x in left {
        rest += x.to_f64();
    }
    joined(lanes, rest)
}

/// Sum of `(x - mean)^2` over a row.
#[inline(always)]
fn sum_of_squares<T: Real>(row: &[T], mean: T) -> f64 {
    let (mut lanes, mut left, mut rest) = ([0.0; LANES], row, 0.0);
    while let Some((chunk, tail)) = left.split_first_chunk::<LANES>() {
        for k in 0..LANES {
            let x = chunk[k] - mean;
            lanes[k] += (x * x).to_f64();
        }
        left = tail;
    }
    for &x in left {
        rest += ((x - mean) * (x - mean)).to_f64();
    }
    joined(lanes, rest)
}

/// Sums of `(x - mean)^2` and `g (x - mean)` over rows of one length.
#[inline(always)]
fn sums_of_products<T: Real>(row: &[T], mean: T, g: &[T]) -> (f64, f64) {
    let (mut squares, mut products, mut left, mut right) = ([0.0; LANES], [0.0; LANES], row, g);
    while let (Some((x, more)), Some((g, tail))) =
        (left.split_first_chunk::<LANES>(), right.split_first_chunk::<LANES>())
    {
        for k in 0..LANES {
            let x = x[k] - mean;
            squares[k] += (x * x).to_f64();
            products[k] += (g[k] * x).to_f64();
        }
        (left, right) = (more, tail);
    }
    let (mut rest_squares, mut rest_products) = (0.0, 0.0);
    for (&x, &g) in left.iter().zip(right) {
        let x = x - mean;
        rest_squares += (x * x).to_f64();
        rest_products += (g * x).to_f64();
    }
    (joined(squares, rest_squares), joined(products, rest_products))
}

/// 1 over the root of the variance and `epsilon`, or 0 if that is 0, each rounded as the steps are one by one.
#[inline(always)]
fn factor<T: Real>(squares: f64, n: usize, epsilon: f64) -> T {
    let spread = T::c(squares / n as f64 + epsilon).sqrt();
    if spread == T::c(0.0) { spread } else { T::c(1.0) / spread }
}

wide! {
    /// Appends the rows of `n` elements (1 or more), less their mean and over the root of their variance and `epsilon`.
    pub fn standardize_rows<T: Real, O: Room<T>>(x: &[T], n: usize, epsilon: f64, out: &mut O) {
        out.reserve(x.len());
        for row in x.chunks_exact(n) {
            let row = &row[..n];
            let mean = T::c(sum(row) / n as f64);
            let r: T = factor(sum_of_squares(row, mean), n, epsilon);
            let spare = &mut out.spare_capacity_mut()[..n];
            for i in 0..n {
                spare[i].write((row[i] - mean) * r);
            }
            // SAFETY: `n` elements behind the old length were written.
            unsafe { out.set_len(out.len() + n) }
        }
    }

    /// Appends `r (g - mean(g) - y mean(g y))` for each row, `y` being what [`standardize_rows`] makes of it and `r` its factor; 0 for
    /// a row of zeros in `g`.
    pub fn standardize_times_rows<T: Real, O: Room<T>>(x: &[T], g: &[T], n: usize, epsilon: f64, out: &mut O) {
        out.reserve(x.len());
        for (row, g) in x.chunks_exact(n).zip(g.chunks_exact(n)) {
            let (row, g) = (&row[..n], &g[..n]);
            let mut any = false;
            for &g in g {
                any |= g != T::c(0.0);
            }
            if !any {
                out.extend(std::iter::repeat_n(T::c(0.0), n));
                continue;
            }
            let (mean, mean_g) = (T::c(sum(row) / n as f64), T::c(sum(g) / n as f64));
            let (squares, products) = sums_of_products(row, mean, g);
            let r: T = factor(squares, n, epsilon);
            // r mean(g y)
            let slant = T::c(products / n as f64) * r * r;
            let spare = &mut out.spare_capacity_mut()[..n];
            for i in 0..n {
                spare[i].write((g[i] - mean_g - (row[i] - mean) * slant) * r);
            }
            // SAFETY: `n` elements behind the old length were written.
            unsafe { out.set_len(out.len() + n) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_products() {
        for n in [1, 2, 15, 16, 17, 100] {
            let x: Vec<f64> = (0..2 * n).map(|i| ((i * 7919) % 101) as f64 / 7.0 - 3.0).collect();
            let g: Vec<f64> = (0..2 * n).map(|i| ((i * 31) % 17) as f64 / 5.0 - 1.0).collect();
            let (mut y, mut p) = (vec![], vec![]);
            standardize_rows(&x, n, 0.25, &mut y);
            standardize_times_rows(&x, &g, n, 0.25, &mut p);
            let mean = |v: &[f64]| v.iter().sum::<f64>() / n as f64;
            for k in 0..2 {
                let (x, g) = (&x[k * n..(k + 1) * n], &g[k * n..(k + 1) * n]);
                let m = mean(x);
                let r = 1.0 / (mean(&x.iter().map(|x| (x - m).powi(2)).collect::<Vec<_>>()) + 0.25).sqrt();
                let want: Vec<f64> = x.iter().map(|x| (x - m) * r).collect();
                let b = mean(&g.iter().zip(&want).map(|(g, y)| g * y).collect::<Vec<_>>());
                for i in 0..n {
                    assert!((y[k * n + i] - want[i]).abs() < 1e-12);
                    assert!((p[k * n + i] - r * (g[i] - mean(g) - want[i] * b)).abs() < 1e-12);
                }
            }
        }
        let (mut y, mut p) = (vec![], vec![]);
        standardize_rows(&[3.0f32, 3.0], 2, 0.0, &mut y);
        standardize_times_rows(&[f32::NAN, 3.0], &[0.0, 0.0], 2, 0.0, &mut p);
        assert_eq!((y, p), (vec![0.0, 0.0], vec![0.0, 0.0]));
    }
}
