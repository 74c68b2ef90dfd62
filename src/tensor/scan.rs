//! Running results along one axis, and row functions that give as many numbers as they take.

use std::ops::Range;

use super::cast::Float;
use super::create::Element;
use super::out::{Out, Room};
use super::reduce::{rows, split, unrows};
use super::simd::ints::Marked;
use super::simd::poly::pick;
use super::threads;

/// Runs `f(row, out)` over the rows along `axes` and puts the results back in place. `f` appends as many as it reads.
pub fn map_rows<T: Float>(
    data: &[T],
    shape: &[usize],
    axes: &[usize],
    f: impl Fn(&[T], &mut Out<'_, T>) + Sync,
) -> Vec<T> {
    map_blocks(data, shape, axes, |block, n, out| block.chunks_exact(n).for_each(|row| f(row, out)))
}

/// The same for `f(block, n, out)` over blocks of several rows of `n`.
pub(super) fn map_blocks<T: Float>(
    data: &[T],
    shape: &[usize],
    axes: &[usize],
    f: impl Fn(&[T], usize, &mut Out<'_, T>) + Sync,
) -> Vec<T> {
    let (rows, n) = rows(data, shape, axes);
    let mut out = Vec::with_capacity(data.len());
    let block = |range: Range<usize>| rows.get(range.start * n..range.end * n).unwrap_or(&[]);
    if let Some(count) = rows.len().checked_div(n) {
        threads::fill(count, n, n, &mut out, |range, out| f(block(range), n, out));
    }
    unrows(out, shape, axes)
}

/// The same over two tensors of one shape.
pub fn zip_rows<T: Float>(
    a: &[T],
    b: &[T],
    shape: &[usize],
    axes: &[usize],
    f: impl Fn(&[T], &[T], &mut Out<'_, T>) + Sync,
) -> Vec<T> {
    zip_blocks(a, b, shape, axes, |a, b, n, out| {
        a.chunks_exact(n).zip(b.chunks_exact(n)).for_each(|(a, b)| f(a, b, out))
    })
}

/// The same for `f(a, b, n, out)` over blocks of several rows of `n`.
pub(super) fn zip_blocks<T: Float>(
    a: &[T],
    b: &[T],
    shape: &[usize],
    axes: &[usize],
    f: impl Fn(&[T], &[T], usize, &mut Out<'_, T>) + Sync,
) -> Vec<T> {
    let ((a, n), (b, _)) = (rows(a, shape, axes), rows(b, shape, axes));
    let mut out = Vec::with_capacity(a.len());
    fn block<T>(x: &[T], range: Range<usize>, n: usize) -> &[T] {
        x.get(range.start * n..range.end * n).unwrap_or(&[])
    }
    if let Some(count) = a.len().checked_div(n) {
        threads::fill(count, n, n, &mut out, |range, out| f(block(&a, range.clone(), n), block(&b, range, n), n, out));
    }
    unrows(out, shape, axes)
}

/// A running fold along one axis: `acc = step(acc, x)` from `start` on, with `value(acc)` in the place of each element; from the end if
/// `reverse`.
pub struct Running<A, S, V> {
    pub reverse: bool,
    pub start: A,
    pub step: S,
    pub value: V,
}

impl<A: Copy, S, V> Running<A, S, V> {
    /// The results in the places of the elements, and what the rows come to at their ends.
    pub fn run<T: Element>(&self, data: &[T], shape: &[usize], axes: &[usize]) -> (Vec<T>, Vec<A>)
    where
        S: Fn(A, T) -> A,
        V: Fn(A) -> T,
    {
        let mut out = vec![T::default(); data.len()];
        let Some((outer, n, inner)) = split(shape, axes) else { return (out, vec![]) };
        let mut ends = vec![self.start; outer * inner];
        if inner > 1 {
            let size = (n * inner).max(1);
            for ((data, out), ends) in
                data.chunks_exact(size).zip(out.chunks_exact_mut(size)).zip(ends.chunks_exact_mut(inner))
            {
                for i in 0..n {
                    let at = if self.reverse { n - 1 - i } else { i } * inner;
                    let (data, out) = (&data[at..at + inner], &mut out[at..at + inner]);
                    for ((end, &x), y) in ends.iter_mut().zip(data).zip(out) {
                        *end = (self.step)(*end, x);
                        *y = (self.value)(*end);
                    }
                }
            }
            return (out, ends);
        }
        // Four rows at a time: each step of a row waits for the one before.
        let n = n.max(1);
        let rows = data.chunks(4 * n).zip(out.chunks_mut(4 * n)).zip(ends.chunks_mut(4));
        for ((data, out), ends) in rows {
            match ends {
                [a, b, c, d] => self.rows([a, b, c, d], data, out, n),
                _ => {
                    for ((data, out), end) in data.chunks_exact(n).zip(out.chunks_exact_mut(n)).zip(ends) {
                        self.rows([end], data, out, n);
                    }
                }
            }
        }
        (out, ends)
    }

    /// So many rows of `n` side by side.
    #[inline]
    fn rows<T: Element, const N: usize>(&self, ends: [&mut A; N], data: &[T], out: &mut [T], n: usize)
    where
        S: Fn(A, T) -> A,
        V: Fn(A) -> T,
    {
        let mut accs = [self.start; N];
        let (data, out) = (&data[..N * n], &mut out[..N * n]);
        for i in 0..n {
            let at = if self.reverse { n - 1 - i } else { i };
            for (k, acc) in accs.iter_mut().enumerate() {
                *acc = (self.step)(*acc, data[k * n + at]);
                out[k * n + at] = (self.value)(*acc);
            }
        }
        ends.into_iter().zip(accs).for_each(|(end, acc)| *end = acc);
    }
}

/// Running sums along an axis; from the end if `reverse`.
pub fn running_sums<T: Float>(data: &[T], shape: &[usize], axes: &[usize], reverse: bool) -> Vec<T> {
    Running { reverse, start: 0.0, step: |sum, x: T| sum + x.to_f64(), value: T::c }.run(data, shape, axes).0
}

/// Running products along an axis.
pub fn running_products<T: Float>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    Running { reverse: false, start: 1.0, step: |y, x: T| y * x.to_f64(), value: T::c }.run(data, shape, axes).0
}

/// Running maxima, or minima, along an axis; NaN from the first NaN on.
pub fn running_extrema<T: Float>(data: &[T], shape: &[usize], axes: &[usize], largest: bool) -> Vec<T> {
    let (reverse, value) = (false, |best| best);
    if largest {
        let step = |best: T, x: T| pick((x > best) | x.is_nan(), x, best);
        return Running { reverse, start: -T::INFINITY, step, value }.run(data, shape, axes).0;
    }
    let step = |best: T, x: T| pick((x < best) | x.is_nan(), x, best);
    Running { reverse, start: T::INFINITY, step, value }.run(data, shape, axes).0
}

/// Running results of ints along an axis from `start` on, each with a mark that is negative if it does not exist; `None` if one does not.
pub fn running_ints(
    data: &[i64],
    shape: &[usize],
    axes: &[usize],
    start: i64,
    step: impl Fn(i64, i64) -> Marked,
) -> Option<Vec<i64>> {
    let step = |(acc, marks): (i64, i64), x| {
        let (y, mark) = step(acc, x);
        (y, marks | mark)
    };
    let run = Running { reverse: false, start: (start, 0), step, value: |(y, _)| y };
    let (out, ends) = run.run(data, shape, axes);
    ends.iter().all(|&(_, marks)| marks >= 0).then_some(out)
}

/// The slope of each running extremum in its own element: 1 if it is beyond the one before, 0 if not, a half at a tie.
pub fn running_shares<T: Float, O: Room<T>>(row: &[T], out: &mut O, largest: bool) {
    let mut best: Option<T> = None;
    out.extend(row.iter().map(|&x| {
        let (next, share) = match best {
            _ if x.is_nan() => (x, x),
            Some(b) if b.is_nan() => (b, b),
            Some(b) if b == x => (b, T::c(0.5)),
            Some(b) if (b > x) == largest => (b, T::c(0.0)),
            _ => (x, T::c(1.0)),
        };
        best = Some(next);
        share
    }));
}

/// Logarithms of the running sums of the exponentials.
pub fn running_logsumexp<T: Float, O: Room<T>>(row: &[T], out: &mut O) {
    let mut sum = f64::NEG_INFINITY;
    out.extend(row.iter().map(|x| {
        let x = x.to_f64();
        let (hi, lo) = if sum > x { (sum, x) } else { (x, sum) };
        // Two infinities of one sign have no difference; NaN goes on.
        sum = if hi == lo { hi + std::f64::consts::LN_2 } else { hi + (lo - hi).exp().ln_1p() };
        T::c(sum)
    }));
}

/// `h[i] = a[i] * h[i - 1] + b[i]` from `h[-1] = 0`; from the end (with `h[i + 1]`) if `reverse`. As `h` is a tangent or
/// cotangent, 0 stays 0 whatever the factor.
pub fn linear_recurrence<T: Float, O: Room<T>>(a: &[T], b: &[T], out: &mut O, reverse: bool) {
    let start = out.len();
    let mut h = T::c(0.0);
    // The first factor meets nothing, and must not make NaN of it.
    let mut first = true;
    let mut step = |(&a, &b): (&T, &T)| {
        h = if first || h == T::c(0.0) { b } else { a * h + b };
        first = false;
        h
    };
    if reverse {
        out.extend(a.iter().zip(b).rev().map(&mut step));
        if let Some(done) = out.get_mut(start..) {
            done.reverse();
        }
    } else {
        out.extend(a.iter().zip(b).map(&mut step));
    }
}

/// For each element the product of all others, without division.
pub fn products_of_others<T: Float, O: Room<T>>(row: &[T], out: &mut O) {
    let start = out.len();
    let mut product = T::c(1.0);
    out.extend(row.iter().map(|&x| {
        let before = product;
        product = product * x;
        before
    }));
    let mut product = T::c(1.0);
    if let Some(before) = out.get_mut(start..) {
        for (b, &x) in before.iter_mut().zip(row).rev() {
            *b = *b * product;
            product = product * x;
        }
    }
}

/// The row moved by `by` places, with `fill` where nothing comes from.
pub fn shift<T: Float, O: Room<T>>(row: &[T], out: &mut O, by: i64, fill: T) {
    let n = row.len() as i64;
    out.extend((0..n).map(|i| {
        let from = i.checked_sub(by).and_then(|k| usize::try_from(k).ok());
        from.and_then(|k| row.get(k)).copied().unwrap_or(fill)
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::simd::ints::add;

    fn out(f: impl FnOnce(&mut Vec<f64>)) -> Vec<f64> {
        let mut v = vec![];
        f(&mut v);
        v
    }

    #[test]
    fn running() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(running_extrema(&[1.0, 3.0, 2.0, 4.0], &[4], &[0], true), [1.0, 3.0, 3.0, 4.0]);
        assert_eq!(running_extrema(&[3.0, 1.0, 2.0], &[3], &[0], false), [3.0, 1.0, 1.0]);
        assert_eq!(running_extrema(&[-inf, -inf], &[2], &[0], true), [-inf, -inf]);
        let broken = running_extrema(&[1.0, nan, 2.0], &[3], &[0], true);
        assert!(broken[0] == 1.0 && broken[1].is_nan() && broken[2].is_nan());
        assert_eq!(out(|o| running_shares(&[-inf, -inf, 2.0, 1.0], o, true)), [1.0, 0.5, 1.0, 0.0]);
        let sums = out(|o| running_logsumexp(&[-inf, 0.0, 0.0, inf, 1.0], o));
        assert_eq!(sums[..2], [-inf, 0.0]);
        assert!((sums[2] - 2f64.ln()).abs() < 1e-15);
        assert_eq!(sums[3..], [inf, inf]);
        assert!(out(|o| running_logsumexp(&[nan, 0.0], o))[1].is_nan());
    }

    /// Every axis, from both ends, any number of rows.
    #[test]
    fn runs_along_every_axis() {
        for shape in [[3, 4, 5], [2, 4, 1], [1, 1, 9], [7, 0, 2], [0, 3, 3], [1, 6, 1]] {
            let len: usize = shape.iter().product();
            let x: Vec<f64> = (0..len).map(|i| (i * 7919 % 101) as f64 - 50.0).collect();
            let ints: Vec<i64> = x.iter().map(|&x| x as i64).collect();
            for axis in 0..3 {
                let (n, inner): (usize, usize) = (shape[axis], shape[axis + 1..].iter().product());
                for reverse in [false, true] {
                    let got = running_sums(&x, &shape, &[axis], reverse);
                    for (i, got) in got.iter().enumerate() {
                        let (at, base) = (i / inner % n, i - i / inner % n * inner);
                        let line = if reverse { at..n } else { 0..at + 1 };
                        assert_eq!(*got, line.map(|k| x[base + k * inner]).sum::<f64>(), "{shape:?} {axis}");
                    }
                    let sums = running_ints(&ints, &shape, &[axis], 0, add).unwrap();
                    assert!(reverse || sums.iter().zip(&got).all(|(&a, &b)| a as f64 == b));
                }
            }
        }
        assert_eq!(running_products(&[2.0, 3.0, 4.0], &[3], &[0]), [2.0, 6.0, 24.0]);
        assert_eq!(running_ints(&[i64::MAX, 1, -1], &[3], &[0], 0, add), None);
    }

    #[test]
    fn scans() {
        assert_eq!(out(|o| products_of_others(&[2.0, 0.0, 3.0], o)), [0.0, 6.0, 0.0]);
        assert_eq!(out(|o| linear_recurrence(&[9.0, 2.0, 3.0], &[1.0, 1.0, 1.0], o, false)), [1.0, 3.0, 10.0]);
        assert_eq!(out(|o| linear_recurrence(&[0.0, f64::NAN], &[0.0, 1.0], o, false)), [0.0, 1.0]);
        assert_eq!(out(|o| shift(&[1.0, 2.0, 3.0], o, 1, 7.0)), [7.0, 1.0, 2.0]);
        assert_eq!(out(|o| shift(&[1.0, 2.0, 3.0], o, -1, 7.0)), [2.0, 3.0, 7.0]);
    }
}
