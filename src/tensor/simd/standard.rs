//! Rows brought to mean 0 and variance 1, and the product with the Jacobian of that.

use crate::ops::real::Real;
use crate::tensor::out::Room;
use crate::wide;

/// Sums that run side by side.
const LANES: usize = 32;
/// Elements that are summed in their own type, 16 to a sum.
const BLOCK: usize = 16 * LANES;

/// Sum of the lanes.
#[inline(always)]
fn joined<T: Real>(lanes: [T; LANES]) -> f64 {
    // Else the compiler takes all vectors of the loop apart, for the elements that are added up here.
    let lanes = std::hint::black_box(lanes);
    let mut half = [T::default(); LANES / 2];
    for k in 0..LANES / 2 {
        half[k] = lanes[k] + lanes[k + LANES / 2];
    }
    let mut eight = [0.0; 8];
    for k in 0..8 {
        eight[k] = half[k].to_f64() + half[k + 8].to_f64();
    }
    let mut four = [0.0; 4];
    for k in 0..4 {
        four[k] = eight[k] + eight[k + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Sum over two rows of one length of what is made of their elements: blocks in their type, the sums of blocks in `f64`.
macro_rules! total {
    ($a:expr, $b:expr, |$x:ident, $y:ident| $term:expr) => {{
        let (mut first, mut second, mut total) = ($a, $b, 0.0);
        while !first.is_empty() {
            let n = first.len().min(BLOCK);
            let (mut a, more) = first.split_at(n);
            let (mut b, tail) = second.split_at(n);
            (first, second) = (more, tail);
            let mut lanes = [T::default(); LANES];
            while let (Some((xs, more)), Some((ys, tail))) =
                (a.split_first_chunk::<LANES>(), b.split_first_chunk::<LANES>())
            {
                for k in 0..LANES {
                    let ($x, $y) = (xs[k], ys[k]);
                    lanes[k] = lanes[k] + $term;
                }
                (a, b) = (more, tail);
            }
            total += joined(lanes);
            for (&$x, &$y) in a.iter().zip(b) {
                total += ($term).to_f64();
            }
        }
        total
    }};
}

/// Mean of a row.
#[inline(always)]
fn mean<T: Real>(row: &[T]) -> T {
    T::c(total!(row, row, |x, _y| x) / row.len() as f64)
}

/// 1 over the root of the variance and `epsilon`, or 0 if that is 0, each rounded as the steps are one by one.
#[inline(always)]
fn factor<T: Real>(row: &[T], mean: T, epsilon: f64) -> T {
    let squares = total!(row, row, |x, _y| (x - mean) * (x - mean));
    let spread = T::c(squares / row.len() as f64 + epsilon).sqrt();
    if spread == T::c(0.0) { spread } else { T::c(1.0) / spread }
}

wide! {
    /// Appends the rows of `n` elements (1 or more), less their mean and over the root of their variance and `epsilon`.
    pub fn standardize_rows<T: Real, O: Room<T>>(x: &[T], n: usize, epsilon: f64, out: &mut O) {
        out.reserve(x.len());
        for row in x.chunks_exact(n) {
            let row = &row[..n];
            let mean = mean(row);
            let r = factor(row, mean, epsilon);
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
            let (mean, mean_g) = (mean(row), mean(g));
            let r = factor(row, mean, epsilon);
            // r mean(g y)
            let slant = T::c(total!(row, g, |x, g| g * (x - mean)) / n as f64) * r * r;
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
