//! Reductions over axes: which axes, in what order the elements are visited, and the sums, extrema and moments.
//!
//! A reduction sees its tensor as rows: the reduced axes moved last, each row contiguous. Sums along leading axes do
//! without that copy. Float sums run in short blocks of `f32` and add up in `f64`.

use std::borrow::Cow;
use std::ops::Range;

use super::abreast::{WHOLE, abreast, is_abreast};
use super::cast::Float;
use super::create::article;
use super::out::Room;
use super::simd::extrema::{
    Largest, Side, Smallest, any_nan, best_of, best_of_columns, best_of_rows, column_shares, first_best,
    first_best_of_columns, row_shares,
};
use super::simd::ints::{Count, int_column_sums, int_sum};
use super::simd::sums as simd_sums;
use super::simd::windows::Comparable;
use super::strided::permuted;
use super::{DType, Shape, Tensor, count, flat, threads};
use crate::error::{Error, Result};
use crate::value::Value;

/// Axis `a` (negative from the end) of a tensor of `rank`.
pub fn resolve_axis(name: &str, a: i64, rank: usize) -> Result<usize> {
    let n = rank as i64;
    let axis = if a < 0 { a.checked_add(n) } else { Some(a) };
    match axis {
        Some(axis) if (0..n).contains(&axis) => Ok(axis as usize),
        _ if rank == 0 => Err(Error::new("E0305", format!("{name} got axis {a}, but a scalar has no axes"))),
        _ => Err(Error::new("E0305", format!("{name} got axis {a}, but the tensor has {rank} axes"))
            .help(format!("axes go from 0 to {}, or from -1 back to -{n}", n - 1))),
    }
}

/// The axes that an `axis:` argument names, ascending; all for `none`.
pub fn resolve_axes(name: &str, axis: &Value, rank: usize) -> Result<Shape> {
    let mut axes = Shape::new();
    let mut push = |v: &Value| -> Result<()> {
        let Value::Int(a) = v else {
            return Err(Error::new("E0310", format!("the axis of {name} is {}, not an int", article(&v.type_name())))
                .help("axis is an int, a tuple of ints, or none for all"));
        };
        let a = resolve_axis(name, *a, rank)?;
        if axes.contains(&a) {
            return Err(Error::new("E0305", format!("{name} got axis {a} twice")));
        }
        axes.push(a);
        Ok(())
    };
    match axis {
        Value::None => return Ok((0..rank).collect()),
        Value::Tuple(items) | Value::List(items) => items.iter().try_for_each(&mut push)?,
        Value::Tensor(_, t) => t.iter_values().try_for_each(|v| push(&v))?,
        other => push(other)?,
    }
    axes.sort_unstable();
    Ok(axes)
}

/// Shape after reducing `axes`.
pub fn reduced_shape(shape: &[usize], axes: &[usize], keepdims: bool) -> Shape {
    shape
        .iter()
        .enumerate()
        .filter_map(|(axis, &n)| match (axes.contains(&axis), keepdims) {
            (false, _) => Some(n),
            (true, true) => Some(1),
            (true, false) => None,
        })
        .collect()
}

/// A tensor seen as `outer * n * inner`, reduced along `n`. `None` if the reduced axes do not lie side by side.
pub fn split(shape: &[usize], axes: &[usize]) -> Option<(usize, usize, usize)> {
    let significant: Shape = axes.iter().copied().filter(|&a| shape.get(a).is_some_and(|&n| n != 1)).collect();
    let (Some(&first), Some(&last)) = (significant.first(), significant.last()) else {
        return Some((count(shape), 1, 1));
    };
    let gap = (first..=last).any(|a| !axes.contains(&a) && shape.get(a).is_some_and(|&n| n != 1));
    if gap {
        return None;
    }
    Some((
        count(shape.get(..first).unwrap_or(&[])),
        count(shape.get(first..=last).unwrap_or(&[])),
        count(shape.get(last + 1..).unwrap_or(&[])),
    ))
}

/// The elements as rows along the reduced axes, in the order of the kept axes, and the length of a row.
pub fn rows<'a, T: Copy>(data: &'a [T], shape: &[usize], axes: &[usize]) -> (Cow<'a, [T]>, usize) {
    let n = axes.iter().filter_map(|&a| shape.get(a)).product();
    match split(shape, axes) {
        Some((_, n, 1)) => (Cow::Borrowed(data), n),
        Some((outer, n, inner)) => (Cow::Owned(swap_last(data, outer, n, inner)), n),
        None => {
            let order: Shape = (0..shape.len()).filter(|a| !axes.contains(a)).chain(axes.iter().copied()).collect();
            (Cow::Owned(permuted(data, shape, &order)), n)
        }
    }
}

/// The way back from [`rows`] for results that keep their rows.
pub fn unrows<T: Copy>(data: Vec<T>, shape: &[usize], axes: &[usize]) -> Vec<T> {
    match split(shape, axes) {
        Some((_, _, 1)) => data,
        Some((outer, n, inner)) => swap_last(&data, outer, inner, n),
        None => {
            let order: Shape = (0..shape.len()).filter(|a| !axes.contains(a)).chain(axes.iter().copied()).collect();
            let moved: Shape = order.iter().map(|&a| shape[a]).collect();
            let mut back: Shape = order.clone();
            for (at, &axis) in order.iter().enumerate() {
                back[axis] = at;
            }
            permuted(&data, &moved, &back)
        }
    }
}

/// `[outer, n, inner]` to `[outer, inner, n]`.
pub fn swap_last<T: Copy>(data: &[T], outer: usize, n: usize, inner: usize) -> Vec<T> {
    permuted(data, &[outer, n, inner], &[0, 2, 1])
}

/// Sum of a slice.
#[inline]
pub fn sum_slice<T: Float>(x: &[T]) -> f64 {
    if x.len() < threads::MANY { simd_sums::sum(x) } else { long_sum(x) }
}

/// The same on several threads, if there are: the sums of blocks are added in the order in which one thread adds them.
fn long_sum<T: Float>(x: &[T]) -> f64 {
    // A multiple of the blocks that `sum` makes.
    const PART: usize = 1 << 15;
    if threads::available() == 1 {
        return simd_sums::sum(x);
    }
    let parts = threads::collect(x.len().div_ceil(PART), |part| {
        let mut addends = vec![];
        let from = part * PART;
        simd_sums::addends(x.get(from..(from + PART).min(x.len())).unwrap_or(&[]), &mut addends);
        addends
    });
    parts.iter().flatten().fold(0.0, |total, part| total + part)
}

/// Sums over `axes` of a float tensor, in `f64`.
pub fn sums(t: &Tensor, axes: &[usize]) -> Vec<f64> {
    match t {
        Tensor::F32(a) => sums_of(&flat(a), t.shape(), axes),
        Tensor::F64(a) => sums_of(&flat(a), t.shape(), axes),
        Tensor::Int(_) | Tensor::Bool(_) => sums_of(&f64::load(t), t.shape(), axes),
    }
}

/// Sum of all elements.
pub fn total(t: &Tensor) -> f64 {
    match t {
        Tensor::F32(a) => sum_slice(&flat(a)),
        Tensor::F64(a) => sum_slice(&flat(a)),
        Tensor::Int(_) | Tensor::Bool(_) => t.iter_f64().sum(),
    }
}

/// Columns that a thread sums together, at the least: pieces of rows that are shorter are slow to read.
const COLUMNS: usize = 512;

fn sums_of<T: Float>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<f64> {
    let kept = count(&reduced_shape(shape, axes, false));
    if data.is_empty() {
        return vec![0.0; kept];
    }
    let mut out = Vec::with_capacity(kept);
    match split(shape, axes) {
        Some((1, _, 1)) => out.push(sum_slice(data)),
        Some((outer, n, 1)) => threads::append(outer, n, 1, &mut out, |rows, out| {
            simd_sums::row_sums(items(data, n, rows), n.max(1), out);
        }),
        Some((1, n, inner)) if n * inner > 64 => {
            let step = threads::part_of(inner, n).max(COLUMNS);
            if step >= inner {
                simd_sums::sums_of_columns(data, inner, 0, inner, &mut out);
                return out;
            }
            out = threads::collect(inner.div_ceil(step), |part| {
                let mut sums = vec![];
                simd_sums::sums_of_columns(data, inner, part * step, (part * step + step).min(inner), &mut sums);
                sums
            })
            .concat();
        }
        Some((outer, n, inner)) => threads::append(outer, n * inner, inner, &mut out, |parts, out| {
            simd_sums::columns_of_each(items(data, n * inner, parts), n.max(1), inner, out);
        }),
        None => {
            let (others, run) = last_run(shape, axes);
            let part = sums_of(data, shape, run);
            return sums_of(&part, &reduced_shape(shape, run, true), others);
        }
    }
    out
}

/// Some of the items of `size` elements each.
fn items<T>(data: &[T], size: usize, range: Range<usize>) -> &[T] {
    data.get(range.start * size..range.end * size).unwrap_or(&[])
}

/// Axes that do not lie side by side: the others, and the longest run of such at the end, whose elements lie most densely.
fn last_run<'a>(shape: &[usize], axes: &'a [usize]) -> (&'a [usize], &'a [usize]) {
    let at = (0..axes.len()).find(|&k| split(shape, axes.get(k..).unwrap_or(&[])).is_some());
    axes.split_at(at.unwrap_or(0))
}

/// Sums over `axes` of ints, or how many bools are true; `None` if one is no int.
pub fn int_sums<T: Count>(data: &[T], shape: &[usize], axes: &[usize]) -> Option<Vec<i64>> {
    if data.is_empty() {
        return Some(vec![0; count(&reduced_shape(shape, axes, false))]);
    }
    match split(shape, axes) {
        Some((_, n, 1)) => data.chunks_exact(n.max(1)).map(int_sum).collect(),
        Some((_, n, inner)) => {
            let mut out = vec![];
            data.chunks_exact((n * inner).max(1)).try_for_each(|part| int_column_sums(part, inner, &mut out))?;
            Some(out)
        }
        None => {
            let (others, run) = last_run(shape, axes);
            let part = int_sums(data, shape, run)?;
            int_sums(&part, &reduced_shape(shape, run, true), others)
        }
    }
}

/// One float for each row along the axes: `down(matrix, inner, out)` appends those of the columns of a matrix, without turning it;
/// `along(rows, n, out)` those of rows of `n`, and `empty()` is that of no elements.
pub fn fold<T: Float>(
    data: &[T],
    shape: &[usize],
    axes: &[usize],
    mut down: impl FnMut(&[T], usize, &mut Vec<f64>),
    mut along: impl FnMut(&[T], usize, &mut Vec<f64>),
    empty: impl FnOnce() -> f64,
) -> Vec<f64> {
    if let Some((_, n, inner)) = split(shape, axes)
        && inner > 1
        && n > 0
    {
        let mut out = Vec::with_capacity(data.len() / n);
        data.chunks_exact(n * inner).for_each(|part| down(part, inner, &mut out));
        return out;
    }
    let (rows, n) = rows(data, shape, axes);
    if n == 0 {
        return vec![empty(); count(&reduced_shape(shape, axes, false))];
    }
    let mut out = Vec::with_capacity(rows.len() / n);
    along(&rows, n, &mut out);
    out
}

/// Largest element; NaN if there is one; `None` if empty.
pub fn max_slice<T: Float>(x: &[T]) -> Option<T> {
    x.first().map(|&first| best_of::<Largest, T>(x, first))
}

/// Smallest element; NaN if there is one; `None` if empty.
pub fn min_slice<T: Float>(x: &[T]) -> Option<T> {
    x.first().map(|&first| best_of::<Smallest, T>(x, first))
}

/// Largest (or smallest) elements along the axes; rows are not empty.
pub fn extrema<T: Comparable + Send + Sync>(data: &[T], shape: &[usize], axes: &[usize], largest: bool) -> Vec<T> {
    if largest { extrema_of::<Largest, T>(data, shape, axes) } else { extrema_of::<Smallest, T>(data, shape, axes) }
}

fn extrema_of<S: Side, T: Comparable + Send + Sync>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut out = vec![];
    match split(shape, axes) {
        _ if data.is_empty() => {}
        Some((outer, n, 1)) => threads::append(outer, n, 1, &mut out, |rows, out| {
            best_of_each::<S, T>(items(data, n, rows), n.max(1), out);
        }),
        Some((outer, n, inner)) => threads::append(outer, n * inner, inner, &mut out, |parts, out| {
            for part in items(data, n * inner, parts).chunks_exact((n * inner).max(1)) {
                let start = out.len();
                let (first, others) = part.split_at(inner);
                out.extend_from_slice(first);
                best_of_columns::<S, T>(others, out.get_mut(start..).unwrap_or_default());
            }
        }),
        None => {
            let (others, run) = last_run(shape, axes);
            let part = extrema_of::<S, T>(data, shape, run);
            return extrema_of::<S, T>(&part, &reduced_shape(shape, run, true), others);
        }
    }
    out
}

/// Appends the best of each row of `n` (1 or more).
fn best_of_each<S: Side, T: Comparable>(rows: &[T], n: usize, out: &mut Vec<T>) {
    if n < 2 || !is_abreast(rows.len() / n, n) {
        return best_of_rows::<S, T>(rows, n, out);
    }
    abreast([rows], n, |some, side, [turned]| {
        let (first, others) = turned.split_at(side);
        let mut best = first.to_vec();
        best_of_columns::<S, T>(others, &mut best);
        out.extend_from_slice(best.get(..some.len()).unwrap_or(&[]));
    });
}

/// Where the largest (or smallest) element of each row along the axes is: the first of equals, the first NaN if there is one. Rows
/// are not empty.
pub fn places<T: Comparable>(data: &[T], shape: &[usize], axes: &[usize], largest: bool) -> Vec<i64> {
    if largest { places_of::<Largest, T>(data, shape, axes) } else { places_of::<Smallest, T>(data, shape, axes) }
}

fn places_of<S: Side, T: Comparable>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<i64> {
    if let Some((_, n, inner)) = split(shape, axes)
        && inner > 1
        && n > 0
        && u32::try_from(n).is_ok()
    {
        let mut out = Vec::with_capacity(data.len() / n);
        data.chunks_exact(n * inner).for_each(|part| first_best_of_columns::<S, T>(part, inner, &mut out));
        return out;
    }
    let (rows, n) = rows(data, shape, axes);
    if n < 2 || !is_abreast(rows.len() / n, n) {
        return rows.chunks_exact(n.max(1)).map(|row| first_best::<S, T>(row) as i64).collect();
    }
    let mut out = Vec::with_capacity(rows.len() / n + WHOLE);
    abreast([&*rows], n, |some, side, [turned]| {
        let start = out.len();
        first_best_of_columns::<S, T>(turned, side, &mut out);
        out.truncate(start + some.len());
    });
    out
}

/// Appends the sums of squared distances of the columns of a matrix with rows of `inner` from their means.
pub fn spreads_down<T: Float>(part: &[T], inner: usize, out: &mut Vec<f64>) {
    let n = part.len().checked_div(inner).unwrap_or(0) as f64;
    let mut means = Vec::with_capacity(inner);
    simd_sums::column_sums(part, inner, &mut means);
    means.iter_mut().for_each(|sum| *sum /= n);
    simd_sums::column_spreads(part, &means, out);
}

/// Sum of squared distances from the mean.
pub fn spread<T: Float>(x: &[T]) -> f64 {
    simd_sums::spread(x, sum_slice(x) / x.len() as f64)
}

/// For each element its share in the slope of its row's extremum: 1 over the number of ties, or 0; NaN in a row with NaN.
pub fn tie_shares<T: Float>(data: &[T], shape: &[usize], axes: &[usize], largest: bool) -> Vec<T> {
    if largest { shares_of::<Largest, T>(data, shape, axes) } else { shares_of::<Smallest, T>(data, shape, axes) }
}

fn shares_of<S: Side, T: Float>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut out = vec![];
    if let Some((_, n, inner)) = split(shape, axes)
        && inner > 1
        && n > 0
    {
        data.chunks_exact(n * inner).for_each(|part| column_shares::<S, T>(part, inner, &mut out));
        return out;
    }
    let (rows, n) = rows(data, shape, axes);
    if n > 0 {
        row_shares::<S, T>(&rows, n, &mut out);
    }
    unrows(out, shape, axes)
}

/// Where the quantile `q` of `n` sorted elements lies: between which two, and how far along.
fn quantile_place(n: usize, q: f64) -> (usize, usize, f64) {
    let last = n.saturating_sub(1);
    let place = q * last as f64;
    let lo = (place.floor() as usize).min(last);
    (lo, (lo + 1).min(last), place - lo as f64)
}

/// The two elements that the quantile `q` lies between, and how far along; `None` if an element is NaN or there is none.
fn quantile_bounds<T: Float>(row: &[T], q: f64) -> Option<(T, T, f64)> {
    if row.is_empty() || any_nan(row) {
        return None;
    }
    let mut row = row.to_vec();
    let (lo, hi, part) = quantile_place(row.len(), q);
    let (_, &mut low, above) =
        row.select_nth_unstable_by(lo, |a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let high = if hi == lo { low } else { min_slice(above)? };
    Some((low, high, part))
}

/// The quantile `q` of a row, straight between its two neighbours; NaN if there is one.
pub fn quantile<T: Float>(row: &[T], q: f64) -> f64 {
    match quantile_bounds(row, q).map(|(lo, hi, part)| (lo.to_f64(), hi.to_f64(), part)) {
        Some((lo, hi, part)) if lo == hi || part == 0.0 => lo,
        Some((lo, hi, part)) => lo * (1.0 - part) + hi * part,
        None => f64::NAN,
    }
}

/// Slopes of the quantile: the weights of the two neighbours, each shared among the elements equal to it.
pub fn quantile_shares<T: Float>(row: &[T], q: f64, out: &mut impl Room<T>) {
    let Some((lo, hi, part)) = quantile_bounds(row, q) else {
        out.extend(row.iter().map(|_| T::NAN));
        return;
    };
    let ties = |v: T| row.iter().filter(|&&x| x == v).count() as f64;
    let (low, high) = ((1.0 - part) / ties(lo), part / ties(hi));
    out.extend(row.iter().map(|&x| T::c(if x == lo { low } else { 0.0 } + if x == hi { high } else { 0.0 })));
}

/// A result of a float reduction as a value: a scalar of full precision, or a tensor of `dtype`.
pub fn float_result(shape: &[usize], dtype: DType, data: Vec<f64>) -> Value {
    match data.as_slice() {
        [x] if shape.is_empty() => Value::float(*x),
        _ => Value::tensor(Tensor::floats(shape, dtype, data.into_iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::abreast::SHORT;

    #[test]
    fn sums_along_every_axis() {
        let data: Vec<f32> = (0..24).map(|x| x as f32).collect();
        let t = Tensor::from_vec(&[2, 3, 4], data);
        assert_eq!(sums(&t, &[0, 1, 2]), [276.0]);
        assert_eq!(sums(&t, &[2]), [6.0, 22.0, 38.0, 54.0, 70.0, 86.0]);
        assert_eq!(sums(&t, &[0]), (0..12).map(|x| 12.0 + 2.0 * x as f64).collect::<Vec<_>>());
        assert_eq!(sums(&t, &[1]), [12.0, 15.0, 18.0, 21.0, 48.0, 51.0, 54.0, 57.0]);
        assert_eq!(sums(&t, &[0, 2]), [60.0, 92.0, 124.0]);
        assert_eq!(sums(&t, &[]), (0..24).map(|x| x as f64).collect::<Vec<_>>());
        assert_eq!(sums(&Tensor::zeros(&[0, 3], DType::F32), &[0]), [0.0; 3]);
        assert_eq!(sums(&Tensor::zeros(&[0, 3], DType::F32), &[1]), [0.0; 0]);
    }

    #[test]
    fn rows_there_and_back() {
        let data: Vec<i64> = (0..24).collect();
        for axes in [&[0usize][..], &[1], &[2], &[0, 2], &[0, 1], &[1, 2], &[0, 1, 2], &[]] {
            let (rows, n) = rows(&data, &[2, 3, 4], axes);
            assert_eq!(n, axes.iter().map(|&a| [2, 3, 4][a]).product::<usize>());
            assert_eq!(unrows(rows.into_owned(), &[2, 3, 4], axes), data, "{axes:?}");
        }
        let (r, n) = rows(&data, &[2, 3, 4], &[0, 2]);
        assert_eq!((&r[..8], n), (&[0, 1, 2, 3, 12, 13, 14, 15][..], 8));
    }

    #[test]
    fn the_best_of_rows_of_all_lengths() {
        for n in (1..20).chain([63, 64, 65, SHORT - 1, SHORT, SHORT + 1]) {
            for count in [1, 2, 7, 8, 63, 64, 65, 200] {
                let number = |i: usize| if i % 37 == 5 { f64::NAN } else { ((i * 7919) % 11) as f64 };
                let data: Vec<f64> = (0..count * n).map(number).collect();
                let first = |row: &[f64]| first_best::<Smallest, f64>(row) as i64;
                let want: Vec<i64> = data.chunks(n).map(first).collect();
                assert_eq!(places(&data, &[count, n], &[1], false), want, "{count} {n}");
                let least = extrema(&data, &[count, n], &[1], false);
                assert_eq!(least.len(), count);
                for (row, least) in data.chunks(n).zip(least) {
                    let known = row.iter().copied().fold(f64::INFINITY, f64::min);
                    let want = if row.iter().any(|x| x.is_nan()) { f64::NAN } else { known };
                    assert!(least == want || (least.is_nan() && want.is_nan()), "{count} {n}: {least} for {want}");
                }
            }
        }
    }

    #[test]
    fn nan_wins() {
        let x: Vec<f32> = (0..50).map(|i| if i == 20 { f32::NAN } else { i as f32 }).collect();
        assert!(max_slice(&x).unwrap().is_nan());
        assert!(min_slice(&x).unwrap().is_nan());
        assert_eq!(max_slice(&x[21..]), Some(49.0));
        assert_eq!(places(&x, &[50], &[0], true), [20]);
        assert_eq!(places(&[1, 3, 3], &[3], &[0], true), [1]);
    }

    #[test]
    fn a_long_f32_sum_is_exact_enough() {
        let x = vec![0.1f32; 1_000_000];
        assert!((sum_slice(&x) - 1e6 * 0.1f32 as f64).abs() < 0.05);
    }
}
