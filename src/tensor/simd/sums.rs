//! Sums: short blocks in the type itself, their sums in `f64`, in an order that depends on the length alone.

use crate::ops::real::Real;
use crate::wide;

/// Sums that run side by side.
const LANES: usize = 16;
/// The same over whole blocks: so many that none waits for the one before.
const WIDE: usize = 64;
/// Elements that are summed in their own type, 16 to a sum.
const BLOCK: usize = 16 * WIDE;
/// Rows that are summed in their own type.
const ROWS: usize = 32;

/// Sum of the lanes, by halves.
#[inline(always)]
fn joined(mut lanes: [f64; LANES]) -> f64 {
    let mut n = LANES / 2;
    while n > 0 {
        for k in 0..n {
            lanes[k] += lanes[k + n];
        }
        n /= 2;
    }
    lanes[0]
}

wide! {
    /// Sum of a slice.
    pub fn sum<T: Real>(x: &[T]) -> f64 {
        sum_onto::<T>(0.0, x)
    }

    /// The same added to a sum so far: in whole blocks, no bit depends on how often the sum was interrupted.
    pub fn sum_onto<T: Real>(so_far: f64, x: &[T]) -> f64 {
        let mut total = so_far;
        let mut rest = x;
        while let Some((block, tail)) = rest.split_first_chunk::<BLOCK>() {
            let mut lanes = [T::default(); WIDE];
            // The compiler may not know how often: it would write all turns out, and keep lanes in memory instead of in registers.
            let turns = std::hint::black_box(BLOCK / WIDE);
            for part in &block.as_chunks::<WIDE>().0[..turns] {
                for k in 0..WIDE {
                    lanes[k] = lanes[k] + part[k];
                }
            }
            let mut wide = [0.0; LANES];
            for i in 0..WIDE / LANES {
                for k in 0..LANES {
                    wide[k] += lanes[i * LANES + k].to_f64();
                }
            }
            total += joined(wide);
            rest = tail;
        }
        let mut lanes = [T::default(); LANES];
        // At most 64 additions for each lane.
        while let Some((chunk, tail)) = rest.split_first_chunk::<LANES>() {
            for k in 0..LANES {
                lanes[k] = lanes[k] + chunk[k];
            }
            rest = tail;
        }
        let mut wide = [0.0; LANES];
        for k in 0..LANES {
            wide[k] = lanes[k].to_f64();
        }
        total += joined(wide);
        for &x in rest {
            total += x.to_f64();
        }
        total
    }

    /// For each row of as many elements as `x` has: the sum of their products with those of `x`.
    pub fn row_dots<T: Real>(rows: &[T], x: &[T], out: &mut [T]) {
        for (row, out) in rows.chunks_exact(x.len().max(1)).zip(out) {
            let (mut a, mut b) = (row, &x[..row.len()]);
            let mut wide = [T::default(); 16];
            while let (Some((p, later)), Some((q, beyond))) = (a.split_first_chunk::<16>(), b.split_first_chunk::<16>()) {
                for k in 0..16 {
                    wide[k] = wide[k] + p[k] * q[k];
                }
                (a, b) = (later, beyond);
            }
            let mut half = [T::default(); 8];
            for k in 0..8 {
                half[k] = wide[k] + wide[k + 8];
            }
            if let (Some((p, later)), Some((q, beyond))) = (a.split_first_chunk::<8>(), b.split_first_chunk::<8>()) {
                for k in 0..8 {
                    half[k] = half[k] + p[k] * q[k];
                }
                (a, b) = (later, beyond);
            }
            let mut four = [T::default(); 4];
            for k in 0..4 {
                four[k] = half[k] + half[k + 4];
            }
            if let (Some((p, later)), Some((q, beyond))) = (a.split_first_chunk::<4>(), b.split_first_chunk::<4>()) {
                for k in 0..4 {
                    four[k] = four[k] + p[k] * q[k];
                }
                (a, b) = (later, beyond);
            }
            let mut total = (four[0] + four[2]) + (four[1] + four[3]);
            for (&p, &q) in a.iter().zip(b) {
                total = total + p * q;
            }
            *out = total;
        }
    }

    /// Adds the columns of as many elements as `out` has, each times its element of `x`.
    pub fn add_columns<T: Real>(columns: &[T], x: &[T], out: &mut [T]) {
        /// Columns that are summed apart, so that long sums lose less.
        const DEPTH: usize = 256;
        const HEIGHT: usize = 64;
        let m = out.len();
        for (x, columns) in x.chunks(DEPTH).zip(columns.chunks((DEPTH * m).max(1))) {
            for (part, out) in out.chunks_mut(HEIGHT).enumerate() {
                let (start, n) = (part * HEIGHT, out.len());
                let mut sums = [T::default(); HEIGHT];
                let sums = &mut sums[..n];
                let column = |l: usize| &columns[l * m + start..][..n];
                let whole = x.len() / 4 * 4;
                for l in (0..whole).step_by(4) {
                    let (a, b, c, d) = (column(l), column(l + 1), column(l + 2), column(l + 3));
                    let (p, q, r, s) = (x[l], x[l + 1], x[l + 2], x[l + 3]);
                    for i in 0..n {
                        sums[i] = sums[i] + ((a[i] * p + b[i] * q) + (c[i] * r + d[i] * s));
                    }
                }
                for (l, &p) in x.iter().enumerate().skip(whole) {
                    let a = column(l);
                    for i in 0..n {
                        sums[i] = sums[i] + a[i] * p;
                    }
                }
                for i in 0..n {
                    out[i] = out[i] + sums[i];
                }
            }
        }
    }

    /// Appends the numbers that [`sum_onto`] adds one after the other.
    pub fn addends<T: Real>(x: &[T], out: &mut Vec<f64>) {
        let (blocks, rest) = x.split_at(x.len() / BLOCK * BLOCK);
        for block in blocks.chunks_exact(BLOCK) {
            out.push(sum_onto::<T>(0.0, block));
        }
        let (whole, singles) = rest.split_at(rest.len() / LANES * LANES);
        out.push(sum_onto::<T>(0.0, whole));
        for &x in singles {
            out.push(x.to_f64());
        }
    }

    /// Sum of the squares, in `f64`.
    pub fn sum_squares<T: Real>(x: &[T]) -> f64 {
        let mut lanes = [0.0; LANES];
        let mut rest = x;
        while let Some((chunk, tail)) = rest.split_first_chunk::<LANES>() {
            for k in 0..LANES {
                let x = chunk[k].to_f64();
                lanes[k] += x * x;
            }
            rest = tail;
        }
        let mut total = joined(lanes);
        for &x in rest {
            total += x.to_f64() * x.to_f64();
        }
        total
    }

    /// Sum of squared distances from `mean`, in `f64`.
    pub fn spread<T: Real>(x: &[T], mean: f64) -> f64 {
        let mut lanes = [0.0; LANES];
        let mut rest = x;
        while let Some((chunk, tail)) = rest.split_first_chunk::<LANES>() {
            for k in 0..LANES {
                let d = chunk[k].to_f64() - mean;
                lanes[k] += d * d;
            }
            rest = tail;
        }
        let mut total = joined(lanes);
        for &x in rest {
            let d = x.to_f64() - mean;
            total += d * d;
        }
        total
    }

    /// Product, in `f64`.
    pub fn product<T: Real>(x: &[T]) -> f64 {
        let (mut lanes, mut rest) = ([1.0; LANES], x);
        while let Some((chunk, tail)) = rest.split_first_chunk::<LANES>() {
            for k in 0..LANES {
                lanes[k] *= chunk[k].to_f64();
            }
            rest = tail;
        }
        let mut total = 1.0;
        for lane in lanes {
            total *= lane;
        }
        for &x in rest {
            total *= x.to_f64();
        }
        total
    }

    /// Appends the products of the columns of a matrix with rows of `inner`, in `f64`.
    pub fn column_products<T: Real>(part: &[T], inner: usize, out: &mut Vec<f64>) {
        let start = out.len();
        out.resize(start + inner, 1.0);
        let totals = &mut out[start..];
        for row in part.chunks_exact(inner.max(1)) {
            let totals = &mut totals[..row.len()];
            for k in 0..row.len() {
                totals[k] *= row[k].to_f64();
            }
        }
    }

    /// Appends the sums of squared distances of the columns from their `means`, in `f64`.
    pub fn column_spreads<T: Real>(part: &[T], means: &[f64], out: &mut Vec<f64>) {
        let (start, inner) = (out.len(), means.len());
        out.resize(start + inner, 0.0);
        let totals = &mut out[start..];
        for row in part.chunks_exact(inner.max(1)) {
            let (row, totals) = (&row[..inner], &mut totals[..inner]);
            for k in 0..inner {
                let d = row[k].to_f64() - means[k];
                totals[k] += d * d;
            }
        }
    }

    /// Appends the sums of the rows of `n` (1 or more).
    pub fn row_sums<T: Real>(x: &[T], n: usize, out: &mut Vec<f64>) {
        out.reserve(x.len() / n);
        for row in x.chunks_exact(n) {
            out.push(sum::<T>(row));
        }
    }

    /// Appends the sums of the columns of each matrix of `n` (1 or more) rows of `inner`.
    pub fn columns_of_each<T: Real>(x: &[T], n: usize, inner: usize, out: &mut Vec<f64>) {
        if n * inner > 64 {
            for part in x.chunks_exact(n * inner) {
                column_sums::<T>(part, inner, out);
            }
            return;
        }
        // Too small for sums that stand apart.
        for part in x.chunks_exact((n * inner).max(1)) {
            for k in 0..inner {
                let mut sum = T::default();
                for i in 0..n {
                    sum = sum + part[i * inner + k];
                }
                out.push(sum.to_f64());
            }
        }
    }

    /// Appends the sums of the columns of a matrix with rows of `inner`.
    pub fn column_sums<T: Real>(part: &[T], inner: usize, out: &mut Vec<f64>) {
        sums_of_columns::<T>(part, inner, 0, inner, out);
    }

    /// The same for columns `from` to `to`.
    pub fn sums_of_columns<T: Real>(part: &[T], inner: usize, from: usize, to: usize, out: &mut Vec<f64>) {
        let start = out.len();
        out.resize(start + to - from, 0.0);
        let totals = &mut out[start..];
        let mut block_sum = vec![T::default(); to - from];
        for block in part.chunks(ROWS * inner.max(1)) {
            block_sum.fill(T::default());
            for row in block.chunks_exact(inner.max(1)) {
                let row = &row[from..to];
                let sums = &mut block_sum[..row.len()];
                for k in 0..row.len() {
                    sums[k] = sums[k] + row[k];
                }
            }
            let sums = &block_sum[..totals.len()];
            for k in 0..totals.len() {
                totals[k] += sums[k].to_f64();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_all_lengths() {
        for n in (0..70).chain([255, 256, 257, 272, 1000, 1023, 1024, 1025, 3000]) {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let (n, whole) = (n as f64, f64::from(n as u32));
            assert_eq!(sum(&x), whole * (n - 1.0) / 2.0);
            assert_eq!(sum_squares(&x), (n - 1.0) * n * (2.0 * n - 1.0) / 6.0);
            assert_eq!(spread(&x, 0.0), sum_squares(&x));
        }
        for n in [0, 5, 16, 37, 1024, 1500, 3000] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
            let mut parts = vec![];
            addends(&x, &mut parts);
            let total: f64 = parts.iter().fold(0.0, |total, part| total + part);
            assert_eq!(total.to_bits(), sum(&x).to_bits(), "{n}");
        }
        let nan = [1.0, f64::NAN, 2.0];
        assert!(sum(&nan).is_nan() && sum_squares(&nan).is_nan());
    }

    #[test]
    fn sums_of_columns() {
        let x: Vec<f64> = (0..300).map(f64::from).collect();
        let mut out = vec![7.0];
        column_sums(&x, 3, &mut out);
        assert_eq!(out, [7.0, 14850.0, 14950.0, 15050.0]);
        let mut apart = vec![];
        columns_of_each(&x[..24], 4, 3, &mut apart);
        assert_eq!(apart, [18.0, 22.0, 26.0, 66.0, 70.0, 74.0]);
        let mut far = vec![];
        column_spreads(&x[..6], &[0.0, 1.0, 5.0], &mut far);
        assert_eq!(far, [9.0, 9.0, 9.0]);
    }

    #[test]
    fn products() {
        for n in [0, 1, 15, 16, 17, 60] {
            let x: Vec<f32> = (0..n).map(|i| if i % 2 == 0 { 2.0 } else { 0.5 }).collect();
            assert_eq!(product(&x), if n % 2 == 0 { 1.0 } else { 2.0 });
        }
        let mut out = vec![];
        column_products(&[1.0, 2.0, 3.0, 4.0], 2, &mut out);
        assert_eq!(out, [3.0, 8.0]);
    }
}
