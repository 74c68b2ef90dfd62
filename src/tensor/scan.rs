//! Running results along one axis, and row functions that give as many numbers as they take (softmax).

use std::ops::Range;

use super::cast::Float;
use super::create::Element;
use super::out::{Out, Room};
use super::reduce::{max_slice, rows, split, sum_slice, unrows};
use super::simd::extrema::{Largest, best_of_columns};
use super::simd::ints::Marked;
use super::simd::poly::pick;
use super::simd::softmax as loops;
use super::simd::sums::column_sums;
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
fn map_blocks<T: Float>(
    data: &[T],
    shape: &[usize],
    axes: &[usize],
    f: impl Fn(&[T], usize, &mut Out<'_, T>) + Sync,
) -> Vec<T> {
    let (rows, n) = rows(data, shape, axes);
    let mut out = Vec::with_capacity(data.len());
    let block = |range: Range<usize>| rows.get(range.start * n..range.end * n).unwrap_or(&[]);
    if let Some(count) = rows.len().checked_div(n) {
        threads::fill(count, n, n, &mut out, |range, out| in_blocks(range, n, |r| f(block(r), n, out)));
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

fn zip_blocks<T: Float>(
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
        threads::fill(count, n, n, &mut out, |range, out| {
            in_blocks(range, n, |r| f(block(&a, r.clone(), n), block(&b, r, n), n, out));
        });
    }
    unrows(out, shape, axes)
}

/// Elements that row functions take together, about.
const BLOCK: usize = 2048;
/// Rows shorter than this are taken together.
const SHORT: usize = 64;

/// Calls `f` with the ranges of rows of `n` that make up blocks.
fn in_blocks(rows: Range<usize>, n: usize, mut f: impl FnMut(Range<usize>)) {
    let step = (BLOCK / n.max(1)).max(1);
    rows.clone().step_by(step).for_each(|from| f(from..(from + step).min(rows.end)));
}

/// Softmax along axes; infinities share 1, a row of -inf gives zeros.
pub fn softmax<T: Float>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let down = by_columns(data, shape, axes, |part, inner, out| {
        let top = finite_tops(part, inner)?;
        let (start, mut sums) = (out.len(), vec![0.0; inner]);
        loops::exp_columns(part, &top, &mut sums, out);
        let scales: Vec<T> = sums.iter().map(|&sum| T::c(1.0 / sum)).collect();
        loops::scale_columns(out.get_mut(start..)?, &scales);
        Some(())
    });
    down.unwrap_or_else(|| map_blocks(data, shape, axes, softmax_rows))
}

/// Logarithm of the softmax along axes; of a row of -inf, -inf.
pub fn log_softmax<T: Float>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut scratch = vec![];
    let down = by_columns(data, shape, axes, |part, inner, out| {
        let top = finite_tops(part, inner)?;
        let mut sums = vec![0.0; inner];
        scratch.clear();
        loops::exp_columns(part, &top, &mut sums, &mut scratch);
        let logs: Vec<T> = sums.iter().map(|sum| T::c(sum.ln())).collect();
        loops::less_both_columns(part, &top, &logs, out);
        Some(())
    });
    down.unwrap_or_else(|| map_blocks(data, shape, axes, log_softmax_rows))
}

/// `y * (g - sum(y * g))` along axes.
pub fn softmax_pull<T: Float>(y: &[T], g: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut at = 0;
    let down = by_columns(y, shape, axes, |part, inner, out| {
        let g = g.get(at..at + part.len())?;
        at += part.len();
        let mut sums = vec![0.0; inner];
        loops::add_products_of_columns(part, g, &mut sums);
        let sums: Vec<T> = sums.into_iter().map(T::c).collect();
        loops::share_columns(part, g, &sums, out);
        Some(())
    });
    down.unwrap_or_else(|| zip_blocks(y, g, shape, axes, softmax_pull_rows))
}

/// `g - exp(y) * sum(g)` along axes; zeros for a row of -inf.
pub fn log_softmax_pull<T: Float>(y: &[T], g: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut at = 0;
    let down = by_columns(y, shape, axes, |part, inner, out| {
        let g = g.get(at..at + part.len())?;
        at += part.len();
        let mut sums = vec![];
        column_sums(g, inner, &mut sums);
        let sums: Vec<T> = sums.into_iter().map(T::c).collect();
        loops::less_share_columns(part, g, &tops(part, inner), &sums, out);
        Some(())
    });
    down.unwrap_or_else(|| zip_blocks(y, g, shape, axes, log_softmax_pull_rows))
}

/// Appends what `f(part, inner, out)` makes of each matrix with rows of `inner` whose columns lie along the axes; `None` if there
/// are no such columns, or `f` gives up.
fn by_columns<T: Float>(
    data: &[T],
    shape: &[usize],
    axes: &[usize],
    mut f: impl FnMut(&[T], usize, &mut Vec<T>) -> Option<()>,
) -> Option<Vec<T>> {
    let (_, n, inner) = split(shape, axes).filter(|&(_, n, inner)| inner > 1 && n > 0)?;
    let mut out = Vec::with_capacity(data.len());
    for part in data.chunks_exact(n * inner) {
        f(part, inner, &mut out)?;
    }
    Some(out)
}

/// The largest elements of the columns.
fn tops<T: Float>(part: &[T], inner: usize) -> Vec<T> {
    let (first, others) = part.split_at(inner.min(part.len()));
    let mut top = first.to_vec();
    best_of_columns::<Largest, T>(others, &mut top);
    top
}

/// The same if none is infinite.
fn finite_tops<T: Float>(part: &[T], inner: usize) -> Option<Vec<T>> {
    let top = tops(part, inner);
    (!top.iter().any(|top| top.abs() == T::INFINITY)).then_some(top)
}

fn softmax_rows<T: Float>(block: &[T], n: usize, out: &mut Out<'_, T>) {
    let mut tops = vec![];
    if n >= SHORT || !loops::row_tops(block, n, &mut tops) {
        return block.chunks_exact(n).for_each(|row| softmax_row(row, out));
    }
    let (mut exps, mut sums) = (vec![], vec![]);
    loops::exp_rows(block, n, &tops, &mut exps, &mut sums);
    let scales: Vec<T> = sums.iter().map(|&sum| T::c(1.0 / sum)).collect();
    loops::scaled_rows(&exps, n, &scales, out);
}

fn log_softmax_rows<T: Float>(block: &[T], n: usize, out: &mut Out<'_, T>) {
    let (mut tops, mut exps, mut sums) = (vec![], vec![], vec![]);
    if n >= SHORT || !loops::row_tops(block, n, &mut tops) {
        return block.chunks_exact(n).for_each(|row| log_softmax_row(row, out, &mut exps));
    }
    loops::exp_rows(block, n, &tops, &mut exps, &mut sums);
    let logs: Vec<T> = sums.iter().map(|sum| T::c(sum.ln())).collect();
    loops::less_both_rows(block, n, &tops, &logs, out);
}

fn softmax_pull_rows<T: Float>(y: &[T], g: &[T], n: usize, out: &mut Out<'_, T>) {
    if n >= SHORT {
        return y.chunks_exact(n).zip(g.chunks_exact(n)).for_each(|(y, g)| softmax_pull_row(y, g, out));
    }
    loops::share_rows(y, g, n, &mut vec![], out);
}

fn log_softmax_pull_rows<T: Float>(y: &[T], g: &[T], n: usize, out: &mut Out<'_, T>) {
    let mut tops = vec![];
    if n >= SHORT || !loops::row_tops(y, n, &mut tops) {
        return y.chunks_exact(n).zip(g.chunks_exact(n)).for_each(|(y, g)| log_softmax_pull_row(y, g, out));
    }
    loops::less_share_rows(y, g, n, &mut vec![], out);
}

fn softmax_row<T: Float, O: Room<T>>(row: &[T], out: &mut O) {
    let Some(max) = max_slice(row) else { return };
    if max.abs() == T::INFINITY {
        // Equal shares of the infinities; nothing for -inf.
        let ties = row.iter().filter(|&&x| x == max).count();
        let share = if max > T::c(0.0) { T::c(1.0 / ties as f64) } else { T::c(0.0) };
        out.extend(row.iter().map(|&x| if x == max { share } else { T::c(0.0) }));
        return;
    }
    let start = out.len();
    loops::exp_below(row, max, out);
    if let Some(done) = out.get_mut(start..) {
        loops::scale(done, T::c(1.0 / sum_slice(done)));
    }
}

/// Appends `log(sum(exp(x)))` of the columns of a matrix with rows of `inner`.
pub fn logsumexp_down<T: Float>(part: &[T], inner: usize, out: &mut Vec<f64>) {
    let mut top = tops(part, inner);
    // An infinite top is the result whatever else there is.
    let ends: Vec<Option<T>> = top.iter().map(|&t| (t.abs() == T::INFINITY).then_some(t)).collect();
    top.iter_mut().for_each(|t| *t = if t.abs() == T::INFINITY { T::c(0.0) } else { *t });
    let mut sums = vec![0.0; top.len()];
    loops::add_exp_of_columns(part, &top, &mut sums);
    let columns = ends.into_iter().zip(top).zip(sums);
    out.extend(columns.map(|((end, top), sum)| end.map_or_else(|| top.to_f64() + sum.ln(), T::to_f64)));
}

/// `log(sum(exp(row)))`; -inf for an empty row.
pub fn logsumexp<T: Float>(row: &[T], scratch: &mut Vec<T>) -> f64 {
    let Some(max) = max_slice(row) else { return f64::NEG_INFINITY };
    if max.abs() == T::INFINITY {
        return max.to_f64();
    }
    scratch.clear();
    loops::exp_below(row, max, scratch);
    max.to_f64() + sum_slice(scratch).ln()
}

fn log_softmax_row<T: Float, O: Room<T>>(row: &[T], out: &mut O, scratch: &mut Vec<T>) {
    let max = max_slice(row).unwrap_or_default();
    if max == T::INFINITY {
        let ties = row.iter().filter(|&&x| x == max).count();
        let top = T::c(-(ties as f64).ln());
        out.extend(row.iter().map(|&x| if x == max { top } else { -T::INFINITY }));
        return;
    }
    if max == -T::INFINITY {
        out.extend_from_slice(row);
        return;
    }
    scratch.clear();
    loops::exp_below(row, max, scratch);
    loops::less_both(row, max, T::c(sum_slice(scratch).ln()), out);
}

fn softmax_pull_row<T: Float, O: Room<T>>(y: &[T], g: &[T], out: &mut O) {
    let start = out.len();
    loops::products(y, g, out);
    if let Some(products) = out.get_mut(start..) {
        loops::shares(y, g, T::c(sum_slice(products)), products);
    }
}

fn log_softmax_pull_row<T: Float, O: Room<T>>(y: &[T], g: &[T], out: &mut O) {
    if y.iter().all(|&y| y == -T::INFINITY) {
        out.extend(y.iter().map(|_| T::c(0.0)));
        return;
    }
    loops::less_share(y, g, T::c(sum_slice(g)), out);
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
    fn softmax_conventions() {
        let inf = f64::INFINITY;
        type Along = fn(&[f64], &[usize], &[usize]) -> Vec<f64>;
        let row = |f: Along, x: &[f64]| f(x, &[x.len()], &[0]);
        assert_eq!(row(softmax, &[-inf, -inf]), [0.0, 0.0]);
        assert_eq!(row(softmax, &[0.0, inf]), [0.0, 1.0]);
        assert_eq!(row(softmax, &[1000.0, 1000.0]), [0.5, 0.5]);
        assert!(row(softmax, &[f64::NAN, 1.0]).iter().all(|x| x.is_nan()));
        assert_eq!(logsumexp(&[-inf, -inf], &mut vec![]), -inf);
        assert_eq!(logsumexp::<f64>(&[], &mut vec![]), -inf);
        assert_eq!(logsumexp(&[0.0, inf], &mut vec![]), inf);
        assert_eq!(row(log_softmax, &[-inf, -inf]), [-inf, -inf]);
        assert_eq!(log_softmax_pull(&[-inf, -inf], &[1.0, 2.0], &[2], &[0]), [0.0, 0.0]);
    }

    #[test]
    fn short_rows_are_taken_together() {
        for n in [1, 2, 7, 16, 40, SHORT - 1] {
            let m = 3 * BLOCK / n;
            let x: Vec<f32> = (0..m * n).map(|i| (i * 7919 % 101) as f32 / 10.0 - 5.0).collect();
            let g: Vec<f32> = (0..m * n).map(|i| (i * 31 % 17) as f32 / 5.0 - 1.0).collect();
            let (shape, axes) = ([m, n], [1]);
            let (y, z) = (softmax(&x, &shape, &axes), log_softmax(&x, &shape, &axes));
            let (p, q) = (softmax_pull(&y, &g, &shape, &axes), log_softmax_pull(&z, &g, &shape, &axes));
            let mut want = [vec![], vec![], vec![], vec![]];
            for (i, x) in x.chunks(n).enumerate() {
                let at = i * n..(i + 1) * n;
                softmax_row(x, &mut want[0]);
                log_softmax_row(x, &mut want[1], &mut vec![]);
                softmax_pull_row(&y[at.clone()], &g[at.clone()], &mut want[2]);
                log_softmax_pull_row(&z[at.clone()], &g[at], &mut want[3]);
            }
            assert!([y, z, p, q] == want, "{n}");
        }
    }

    #[test]
    fn columns_are_rows_turned() {
        let inf = f64::INFINITY;
        let (n, inner) = (4, 5);
        let plain: Vec<f64> = (0..2 * n * inner).map(|i| ((i * 7919) % 101) as f64 / 10.0 - 5.0).collect();
        let weights: Vec<f64> = (0..2 * n * inner).map(|i| ((i * 31) % 17) as f64 / 5.0 - 1.0).collect();
        let turn = |x: &[f64], n, inner| crate::tensor::reduce::swap_last(x, 2, n, inner);
        for special in [&[][..], &[(2, inf)], &[(7, f64::NAN)], &[(1, -inf), (6, -inf), (11, -inf), (16, -inf)]] {
            let mut x = plain.clone();
            special.iter().for_each(|&(i, value)| x[i] = value);
            let turned = turn(&x, n, inner);
            let check = |down: Vec<f64>, along: Vec<f64>, what: &str| {
                for (a, b) in down.iter().zip(turn(&along, inner, n)) {
                    assert!((a - b).abs() < 1e-12 || *a == b || (a.is_nan() && b.is_nan()), "{what}: {a} is not {b}");
                }
            };
            let (tall, wide) = ([2, n, inner], [2, inner, n]);
            check(softmax(&x, &tall, &[1]), softmax(&turned, &wide, &[2]), "softmax");
            let (y, z) = (log_softmax(&x, &tall, &[1]), log_softmax(&turned, &wide, &[2]));
            check(y.clone(), z.clone(), "log_softmax");
            let g = turn(&weights, n, inner);
            let pulled = log_softmax_pull(&z, &g, &wide, &[2]);
            check(log_softmax_pull(&y, &weights, &tall, &[1]), pulled, "log_softmax_pull");
            let pulled = softmax_pull(&turned, &g, &wide, &[2]);
            check(softmax_pull(&x, &weights, &tall, &[1]), pulled, "softmax_pull");
        }
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
