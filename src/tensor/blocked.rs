//! Triangular factors and solutions of larger matrices, block by block: most of the work are matrix products.
//!
//! In and out: row-major buffers of f64 whose lengths the caller has made to fit. Golub and Van Loan, "Matrix computations", 3.2 and 4.2.

use super::matmul::{Dense, matrix};
use crate::error::Result;

/// Sides from which on blocks pay.
pub const LARGE: usize = 64;
/// Side of a block.
const BLOCK: usize = 48;

/// `P A = L U` with the largest entry of each column as its pivot.
pub struct Lu {
    n: usize,
    /// U, and below its diagonal L without its ones.
    lu: Vec<f64>,
    /// Row `i` of `P A` is row `order[i]` of A.
    order: Vec<usize>,
    odd: bool,
}

impl Lu {
    pub fn of(n: usize, a: &[f64]) -> Result<Lu> {
        let (mut lu, mut order, mut odd) = (a.to_vec(), (0..n).collect::<Vec<usize>>(), false);
        for k in (0..n).step_by(BLOCK) {
            let end = (k + BLOCK).min(n);
            for j in k..end {
                let size = |i: usize| lu[i * n + j].abs();
                let pivot = (j + 1..n).fold(j, |best, i| if size(i) > size(best) { i } else { best });
                if lu[pivot * n + j] == 0.0 {
                    continue;
                }
                if pivot != j {
                    let (above, below) = lu.split_at_mut(pivot * n);
                    above[j * n..(j + 1) * n].swap_with_slice(&mut below[..n]);
                    order.swap(j, pivot);
                    odd = !odd;
                }
                let (above, below) = lu.split_at_mut((j + 1) * n);
                let row = &above[j * n..];
                for other in below.chunks_exact_mut(n) {
                    let factor = other[j] / row[j];
                    other[j] = factor;
                    less_times(&mut other[j + 1..end], factor, &row[j + 1..end]);
                }
            }
            if end == n {
                break;
            }
            // The rows of U to the right of the block, then what is left.
            for j in k..end {
                let (above, below) = lu.split_at_mut((j + 1) * n);
                let row = &above[j * n + end..];
                for other in below.chunks_exact_mut(n).take(end - j - 1) {
                    let factor = other[j];
                    less_times(&mut other[end..], factor, row);
                }
            }
            let minus = negated(&lu, n, end..n, k..end);
            let (above, below) = lu.split_at_mut(end * n);
            let right = matrix(&above[k * n + end..], end - k, n - end, n)?;
            f64::product_into(matrix(&minus, n - end, end - k, end - k)?, right, &mut below[end..], n, true);
        }
        Ok(Lu { n, lu, order, odd })
    }

    /// The diagonal of U.
    pub fn pivots(&self) -> Vec<f64> {
        self.lu.iter().step_by(self.n + 1).copied().collect()
    }

    /// 1 or -1: whether the rows were exchanged an even number of times.
    pub fn parity(&self) -> f64 {
        if self.odd { -1.0 } else { 1.0 }
    }

    /// The `m` columns x with `A x = b`; NaN if a pivot is 0.
    pub fn solve(&self, m: usize, b: &[f64]) -> Result<Vec<f64>> {
        if self.pivots().contains(&0.0) {
            return Ok(vec![f64::NAN; b.len()]);
        }
        let mut x = Vec::with_capacity(b.len());
        self.order.iter().for_each(|&i| x.extend_from_slice(&b[i * m..(i + 1) * m]));
        solve_lower(self.n, &self.lu, true, m, &mut x)?;
        solve_upper(self.n, &self.lu, m, &mut x)?;
        Ok(x)
    }
}

/// The lower triangular L with `L L^T` the symmetric matrix, or the order of the first leading minor that is not positive.
pub fn cholesky(n: usize, a: &[f64]) -> Result<std::result::Result<Vec<f64>, usize>> {
    let mut l = a.to_vec();
    for k in (0..n).step_by(BLOCK) {
        let end = (k + BLOCK).min(n);
        for i in k..n {
            let (above, row) = l.split_at_mut(i * n);
            let row = &mut row[..n];
            for j in k..end.min(i + 1) {
                if j == i {
                    let rest = row[j] - dot(&row[k..j], &row[k..j]);
                    if rest <= 0.0 || rest.is_nan() {
                        return Ok(Err(i + 1));
                    }
                    row[j] = rest.sqrt();
                } else {
                    let other = &above[j * n..(j + 1) * n];
                    row[j] = (row[j] - dot(&row[k..j], &other[k..j])) / other[j];
                }
            }
        }
        if end == n {
            break;
        }
        let (width, minus) = (end - k, negated(&l, n, end..n, k..end));
        let plain: Vec<f64> = minus.iter().map(|x| -x).collect();
        // Only the lower triangle is read again: blocks of rows up to their diagonal.
        for from in (end..n).step_by(BLOCK) {
            let to = (from + BLOCK).min(n);
            let left = matrix(&minus[(from - end) * width..], to - from, width, width)?;
            let right = matrix(&plain, to - end, width, width)?;
            f64::product_into(left, right.reversed_axes(), &mut l[from * n + end..], n, true);
        }
    }
    for (i, row) in l.chunks_exact_mut(n).enumerate() {
        row[i + 1..].fill(0.0);
    }
    Ok(Ok(l))
}

/// Makes the `m` columns `b` in `x` those with `L x = b`, L being the lower triangle of `l`, with `unit` of ones on its diagonal.
pub fn solve_lower(n: usize, l: &[f64], unit: bool, m: usize, x: &mut [f64]) -> Result<()> {
    for k in (0..n).step_by(BLOCK) {
        let end = (k + BLOCK).min(n);
        for i in k..end {
            let (above, row) = x.split_at_mut(i * m);
            let row = &mut row[..m];
            solve_row(row, &l[i * n + k..i * n + i], &above[k * m..]);
            if !unit {
                row.iter_mut().for_each(|x| *x /= l[i * n + i]);
            }
        }
        if end < n {
            let minus = negated(l, n, end..n, k..end);
            let (above, below) = x.split_at_mut(end * m);
            let done = matrix(&above[k * m..], end - k, m, m)?;
            f64::product_into(matrix(&minus, n - end, end - k, end - k)?, done, below, m, true);
        }
    }
    Ok(())
}

/// The same for `U x = b`, U being the upper triangle of `u`.
pub fn solve_upper(n: usize, u: &[f64], m: usize, x: &mut [f64]) -> Result<()> {
    for k in (0..n).step_by(BLOCK).rev() {
        let end = (k + BLOCK).min(n);
        for i in (k..end).rev() {
            let (above, below) = x.split_at_mut((i + 1) * m);
            let row = &mut above[i * m..];
            solve_row(row, &u[i * n + i + 1..i * n + end], below);
            row.iter_mut().for_each(|x| *x /= u[i * n + i]);
        }
        if k > 0 {
            let minus = negated(u, n, 0..k, k..end);
            let (above, below) = x.split_at_mut(k * m);
            let done = matrix(below, end - k, m, m)?;
            f64::product_into(matrix(&minus, k, end - k, end - k)?, done, above, m, true);
        }
    }
    Ok(())
}

/// `row -= factors @ rows`
fn solve_row(row: &mut [f64], factors: &[f64], rows: &[f64]) {
    if let [x] = row {
        *x -= dot(factors, rows);
        return;
    }
    let m = row.len().max(1);
    for (factor, other) in factors.iter().zip(rows.chunks_exact(m)) {
        less_times(row, *factor, other);
    }
}

/// Part of a matrix with rows of `n`, with the other sign.
fn negated(a: &[f64], n: usize, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Vec<f64> {
    rows.flat_map(|i| &a[i * n + columns.start..i * n + columns.end]).map(|x| -x).collect()
}

/// `row -= factor * other`
fn less_times(row: &mut [f64], factor: f64, other: &[f64]) {
    row.iter_mut().zip(other).for_each(|(x, y)| *x -= factor * y);
}

/// Inner product, in eight sums; the shorter one counts.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut sums = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in left.zip(right) {
        sums.iter_mut().zip(x).zip(y).for_each(|((sum, x), y)| *sum += x * y);
    }
    rest + sums.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(rows: usize, cols: usize) -> Vec<f64> {
        // SplitMix64.
        let mixed = |i: usize| {
            let z = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        };
        (1..=rows * cols).map(mixed).collect()
    }

    fn product(n: usize, k: usize, m: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
        let at = |i: usize| (0..k).map(|l| a[i / m * k + l] * b[l * m + i % m]).sum();
        (0..n * m).map(at).collect()
    }

    fn check(got: &[f64], want: &[f64], tol: f64) {
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < tol), "{got:?} {want:?}");
    }

    #[test]
    fn factors_give_the_matrix_back() {
        for n in [1, 2, 47, 48, 49, 100, 150] {
            let a = random(n, n);
            let f = Lu::of(n, &a).unwrap();
            let part = |keep: &dyn Fn(usize, usize) -> bool| -> Vec<f64> {
                (0..n * n).map(|i| if keep(i / n, i % n) { f.lu[i] } else { 0.0 }).collect()
            };
            let (mut l, u) = (part(&|i, j| i > j), part(&|i, j| i <= j));
            (0..n).for_each(|i| l[i * n + i] = 1.0);
            assert!(l.iter().all(|x| x.abs() <= 1.0));
            let exchanged: Vec<f64> = f.order.iter().flat_map(|&i| a[i * n..(i + 1) * n].to_vec()).collect();
            check(&product(n, n, n, &l, &u), &exchanged, 1e-12);
            for m in [1, 3, 60] {
                let x = random(n, m);
                check(&f.solve(m, &product(n, n, m, &a, &x)).unwrap(), &x, 1e-9);
            }
        }
        // Two rows exchanged; and a matrix without an inverse.
        assert_eq!((Lu::of(2, &[0.0, 1.0, 1.0, 0.0]).unwrap().parity(), Lu::of(0, &[]).unwrap().parity()), (-1.0, 1.0));
        let singular = Lu::of(2, &[1.0, 1.0, 1.0, 1.0]).unwrap();
        assert!(singular.pivots() == [1.0, 0.0] && singular.solve(1, &[1.0, 2.0]).unwrap().iter().all(|x| x.is_nan()));
    }

    #[test]
    fn roots_of_definite_matrices() {
        for n in [1, 47, 48, 49, 100, 150] {
            let b = random(n, n);
            let turned = crate::tensor::matrices::transposed(n, n, &b);
            let mut a = product(n, n, n, &b, &turned);
            (0..n).for_each(|i| a[i * n + i] += 1.0);
            let l = cholesky(n, &a).unwrap().unwrap();
            let lt = crate::tensor::matrices::transposed(n, n, &l);
            check(&product(n, n, n, &l, &lt), &a, 1e-11);
            assert!((0..n).all(|i| l[i * n + i] > 0.0 && l[i * n + i + 1..(i + 1) * n].iter().all(|x| *x == 0.0)));
            let mut x = product(n, n, 2, &l, &random(n, 2));
            solve_lower(n, &l, false, 2, &mut x).unwrap();
            check(&x, &random(n, 2), 1e-9);
            let mut x = product(n, n, 2, &lt, &random(n, 2));
            solve_upper(n, &lt, 2, &mut x).unwrap();
            check(&x, &random(n, 2), 1e-9);
            for bad in [0, n / 2, n - 1] {
                let mut a = a.clone();
                a[bad * n + bad] = -1.0;
                assert_eq!(cholesky(n, &a).unwrap(), Err(bad + 1));
            }
        }
    }
}
