//! Matrix products of strided matrices: dense floats through `gemm`, small and ragged cases and ints by own loops.
//!
//! In: tensors of rank 2 or more whose inner dims agree; transposed and sliced views are read where they lie. Out: a
//! row-major tensor. Sums are made in an order that does not depend on the number of threads.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{ArrayView1, ArrayView2, ArrayViewD, Axis, Ix2, IxDyn, ShapeBuilder, s};

use super::cast::Float;
use super::create::Element;
use super::simd::extrema::any_nan;
use super::threads::{self, each_chunk};
use super::{Arr, Shape, Tensor, count, dense as dense_slice, dense_mut, matvec, small_matrices, strided};
use crate::error::{Error, Result};

/// Below this many multiplications the call of the tuned kernel costs more than the product.
pub(super) const TINY: usize = 1 << 9;

/// What the kernels multiply.
pub trait Product: Element {
    /// `out[i, j] = sum over k of a[i, k] * b[k, j]`; `out` is row-major, `a` is m by k, `b` is k by n. False if a sum
    /// does not fit; else all of `out` is written.
    fn product(a: ArrayView2<'_, Self>, b: ArrayView2<'_, Self>, out: &mut [MaybeUninit<Self>]) -> bool;

    /// Products of some of the small matrices of two stacks, from number `first` on; false, with nothing done, if there is no loop for
    /// them: see [`small_matrices`].
    fn small_products(
        _: &ArrayViewD<'_, Self>,
        _: &ArrayViewD<'_, Self>,
        _batch: &[usize],
        _first: usize,
        _out: &mut [MaybeUninit<Self>],
    ) -> bool {
        false
    }

    /// Sum of the products of two slices of one length.
    fn dot(a: &[Self], b: &[Self]) -> Result<Self>;
}

impl Product for i64 {
    fn product(a: ArrayView2<'_, i64>, b: ArrayView2<'_, i64>, out: &mut [MaybeUninit<i64>]) -> bool {
        let n = b.ncols().max(1);
        for (row, out) in a.rows().into_iter().zip(zeroed(out).chunks_exact_mut(n)) {
            for (column, out) in b.columns().into_iter().zip(out) {
                match int_dot(row.iter().zip(column)) {
                    Some(sum) => *out = sum,
                    None => return false,
                }
            }
        }
        true
    }

    fn dot(a: &[i64], b: &[i64]) -> Result<i64> {
        int_dot(a.iter().zip(b)).ok_or_else(too_large)
    }
}

fn int_dot<'a>(mut pairs: impl Iterator<Item = (&'a i64, &'a i64)>) -> Option<i64> {
    pairs.try_fold(0i64, |sum, (x, y)| sum.checked_add(x.checked_mul(*y)?))
}

#[cold]
fn too_large() -> Error {
    Error::new("E0411", "a product of these ints does not fit into a 64-bit int")
        .help("make them floats first: x.to(f64)")
}

macro_rules! float_product {
    ($type:ty, $lanes:literal) => {
        impl Product for $type {
            fn product(a: ArrayView2<'_, $type>, b: ArrayView2<'_, $type>, out: &mut [MaybeUninit<$type>]) -> bool {
                let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
                if m * n * k <= TINY {
                    let out = zeroed(out);
                    let done = out.is_empty()
                        || k == 0 // an empty sum is 0
                        || n == 1 && matrix_vector::<$type, $lanes>(a, b.column(0), out)
                        || m == 1 && matrix_vector::<$type, $lanes>(b.t(), a.row(0), out)
                        || tiny(a, b, out);
                    if done {
                        return true;
                    }
                }
                assert!(m * n == out.len(), "the result of a matrix product has its shape");
                if (n == 1 && matvec::product(a, b.column(0), zeroed(out)))
                    || (m == 1 && matvec::product(b.t(), a.row(0), zeroed(out)))
                {
                    return true;
                }
                if is_better_turned(m, b) {
                    as_columns(a, b, zeroed(out), 1.0);
                    return true;
                }
                let height = panel(m, k, n);
                each_chunk(out, height * n, |i, out| {
                    let rows = a.slice(s![i * height..(i * height + height).min(m), ..]);
                    // SAFETY: the kernel writes to all of `out` and reads nothing of it.
                    let out = unsafe { written(out) };
                    dense(rows, b, out, n, false, 1.0);
                });
                true
            }

            fn small_products(
                a: &ArrayViewD<'_, $type>,
                b: &ArrayViewD<'_, $type>,
                batch: &[usize],
                first: usize,
                out: &mut [MaybeUninit<$type>],
            ) -> bool {
                small_matrices::products(a, b, batch, first, out)
            }

            fn dot(a: &[$type], b: &[$type]) -> Result<$type> {
                let n = a.len().min(b.len());
                if n > TINY
                    && let (Ok(row), Ok(column)) =
                        (ArrayView2::from_shape((1, n), a), ArrayView2::from_shape((n, 1), b))
                {
                    let mut out = [0.0];
                    dense(row, column, &mut out, 1, false, 1.0);
                    return Ok(out[0]);
                }
                Ok(dot_slices::<$type, $lanes>(a, b))
            }
        }
    };
}
float_product!(f32, 16);
float_product!(f64, 8);

/// Whether a product of `m` rows with `b` should be computed as its transpose. The tuned kernel brings the right operand into an order
/// of its own, slowly if its columns lie as rows do: longer than it multiplies where there are few rows. Products of so few rows are
/// not shared between threads.
fn is_better_turned<T>(m: usize, b: ArrayView2<'_, T>) -> bool {
    let (k, n) = b.dim();
    let lies_turned = b.strides()[0] == 1 && b.strides()[1] != 1;
    lies_turned && m < 2 * LEAST && n * k > m * (k + n)
}

/// The product as the transpose of `b.t() @ a.t()`.
fn as_columns<T: Element>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, out: &mut [T], one: T) {
    let (m, n) = (a.nrows(), b.ncols());
    let mut columns = vec![T::default(); m * n];
    dense(b.reversed_axes(), a.reversed_axes(), &mut columns, m, false, one);
    for (i, row) in out.chunks_exact_mut(n.max(1)).enumerate() {
        for (x, column) in row.iter_mut().zip(columns.chunks_exact(m.max(1))) {
            *x = column[i];
        }
    }
}

/// Rows that are worth a thread, at least.
const LEAST: usize = 64;

/// Rows of the result that a thread computes together. The tuned kernel sums in an order that depends on the inner dim and on the
/// kind of the shape (see the test that compares the bits): panels are of the kind of the whole.
fn panel(m: usize, k: usize, n: usize) -> usize {
    let panels = threads::available().min(m / LEAST).min(m * n * k / threads::WORTH);
    if panels < 2 || n <= LEAST { m } else { m.div_ceil(panels).next_multiple_of(16) }
}

/// The same elements, all 0.
pub(super) fn zeroed<T: Element>(out: &mut [MaybeUninit<T>]) -> &mut [T] {
    out.fill(MaybeUninit::new(T::default()));
    // SAFETY: all elements have just been written.
    unsafe { written(out) }
}

/// # Safety
/// Elements that were not written are not read.
unsafe fn written<T>(out: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: `MaybeUninit` has the layout of what it holds.
    unsafe { &mut *(std::ptr::from_mut(out) as *mut [T]) }
}

/// A matrix within a slice: `rows` by `columns`, rows `step` apart.
pub fn matrix<T>(data: &[T], rows: usize, columns: usize, step: usize) -> Result<ArrayView2<'_, T>> {
    ArrayView2::from_shape((rows, columns).strides((step, 1)), data).map_err(|_| unchecked())
}

/// Products of floats into a part of a larger matrix.
pub trait Dense: Product + Float + std::ops::Mul<Output = Self> + std::ops::AddAssign {
    /// `out[i * step + j]` becomes (with `add`: grows by) the sum over k of `a[i, k] * b[k, j]`.
    fn product_into(a: ArrayView2<'_, Self>, b: ArrayView2<'_, Self>, out: &mut [Self], step: usize, add: bool);
}

macro_rules! dense_product {
    ($type:ty) => {
        impl Dense for $type {
            fn product_into(
                a: ArrayView2<'_, $type>,
                b: ArrayView2<'_, $type>,
                out: &mut [$type],
                step: usize,
                add: bool,
            ) {
                if a.nrows() > 0 && b.ncols() > 0 {
                    dense(a, b, out, step, add, 1.0);
                }
            }
        }
    };
}
dense_product!(f32);
dense_product!(f64);

/// The tuned kernel. Rows of the result are `step` apart in `out`, which has at least one element; with `add` the product is
/// added to what is there.
#[allow(unsafe_code)]
fn dense<T: Element>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, out: &mut [T], step: usize, add: bool, one: T) {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    assert_eq!(k, b.nrows(), "the inner dims of a matrix product agree");
    assert!(
        n <= step && m.checked_sub(1).and_then(|m| m.checked_mul(step)?.checked_add(n)).is_some_and(|l| l <= out.len()),
        "the result of a matrix product has its shape"
    );
    // SAFETY: `gemm` reads `a[i, l]` for i < m, l < k and `b[l, j]` for l < k, j < n, and writes `out[i * step + j]` for i < m,
    // j < n. ndarray guarantees that every element of a view lies where pointer and strides say; the asserts above bound the
    // rest. With `read_dst` false the old content of `out` is not read; `out` is borrowed mutably, so it overlaps neither
    // operand, and as `n <= step` no two of its elements are one.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            step as isize,
            add,
            a.as_ptr(),
            a.strides()[1],
            a.strides()[0],
            b.as_ptr(),
            b.strides()[1],
            b.strides()[0],
            one,
            one,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `sum += x.t @ c`, with all axes but the last of `x` and `c` taken together; false, with nothing done, if they do not fit, the
/// product is tiny, or something is infinite or NaN.
pub fn add_product(sum: &mut Tensor, x: &Tensor, c: &Tensor) -> bool {
    match (sum, x, c) {
        (Tensor::F32(sum), Tensor::F32(x), Tensor::F32(c)) => add_product_of(sum, x, c, 1.0),
        (Tensor::F64(sum), Tensor::F64(x), Tensor::F64(c)) => add_product_of(sum, x, c, 1.0),
        _ => false,
    }
}

fn add_product_of<T: Product + Float>(sum: &mut Arr<T>, x: &Arr<T>, c: &Arr<T>, one: T) -> bool {
    let (&[k, n], Some(x), Some(c)) = (sum.shape(), rows(x), rows(c)) else { return false };
    let m = x.nrows();
    let fits = (x.ncols(), c.nrows(), c.ncols()) == (k, m, n);
    let ends = |x: &T| x.abs() < T::INFINITY;
    let finite = |a: &ArrayView2<'_, T>| a.rows().into_iter().all(|row| row.iter().fold(true, |ok, x| ok & ends(x)));
    if !fits || m * k * n <= TINY || dense_slice(sum).is_none() || !finite(&x) || !finite(&c) {
        return false;
    }
    let Some(sum) = dense_mut(sum) else { return false };
    let height = panel(k, m, n);
    each_chunk(sum, height * n, |i, sum| {
        let columns = x.slice(s![.., i * height..(i * height + height).min(k)]);
        dense(columns.reversed_axes(), c, sum, n, true, one);
    });
    true
}

/// All axes but the last as one.
fn rows<T: Element>(a: &Arr<T>) -> Option<ArrayView2<'_, T>> {
    if a.ndim() == 2 {
        return a.view().into_dimensionality::<Ix2>().ok();
    }
    let columns = *a.shape().last()?;
    let data = dense_slice(a)?;
    if a.ndim() < 2 || columns == 0 {
        return None;
    }
    matrix(data, data.len() / columns, columns, columns).ok()
}

/// `out = a @ x` along whichever axis of `a` lies densely; false (and `out` as it was) if none does.
fn matrix_vector<T, const LANES: usize>(a: ArrayView2<'_, T>, x: ArrayView1<'_, T>, out: &mut [T]) -> bool
where
    T: Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let x: Cow<'_, [T]> = match x.to_slice() {
        Some(x) => Cow::Borrowed(x),
        None => Cow::Owned(x.to_vec()),
    };
    if a.strides()[1] == 1 || a.ncols() == 1 {
        for (row, out) in a.rows().into_iter().zip(out) {
            *out = match row.to_slice() {
                Some(row) => dot_slices::<T, LANES>(row, &x),
                None => row.iter().zip(x.iter()).fold(T::default(), |mut sum, (&a, &x)| {
                    sum += a * x;
                    sum
                }),
            };
        }
        return true;
    }
    if a.strides()[0] == 1 || a.nrows() == 1 {
        for (column, &x) in a.columns().into_iter().zip(x.iter()) {
            for (out, &a) in out.iter_mut().zip(column) {
                *out += a * x;
            }
        }
        return true;
    }
    false
}

/// Sum of products in `LANES` running sums, which the compiler keeps in vector registers.
pub(super) fn dot_slices<T, const LANES: usize>(a: &[T], b: &[T]) -> T
where
    T: Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let mut sums = [T::default(); LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_blocks.remainder(), b_blocks.remainder());
    for (a, b) in a_blocks.zip(b_blocks) {
        for ((sum, &x), &y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    let mut total = T::default();
    for (&x, &y) in a_rest.iter().zip(b_rest) {
        total += x * y;
    }
    for sum in sums {
        total += sum;
    }
    total
}

/// Row by row; false if `b` does not lie row-major.
fn tiny<T>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, out: &mut [T]) -> bool
where
    T: Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let n = b.ncols().max(1);
    let Some(b) = b.to_slice() else { return false };
    for (a, out) in a.rows().into_iter().zip(out.chunks_exact_mut(n)) {
        for (&a, b) in a.iter().zip(b.chunks_exact(n)) {
            for (out, &b) in out.iter_mut().zip(b) {
                *out += a * b;
            }
        }
    }
    true
}

/// The product over the last two axes of `a` and `b` (either taken transposed), row-major; all earlier axes stretch to
/// `batch`. A vector is a row on the left and a column on the right. The caller has checked that the dims agree.
pub fn matmul<T: Product>(
    a: ArrayViewD<'_, T>,
    b: ArrayViewD<'_, T>,
    turn: (bool, bool),
    batch: &[usize],
) -> Result<Vec<T>> {
    let a = if a.ndim() == 1 { a.insert_axis(Axis(0)) } else { turned(a, turn.0) };
    let b = if b.ndim() == 1 { b.insert_axis(Axis(1)) } else { turned(b, turn.1) };
    let (&[.., m, _], &[.., k, n]) = (a.shape(), b.shape()) else { return Ok(vec![]) };
    let size = count(batch) * m * n;
    if size == 0 || k == 0 {
        return Ok(vec![T::default(); size]);
    }
    let mut out = Vec::with_capacity(size);
    let Some(spare) = out.spare_capacity_mut().get_mut(..size) else { return Err(unchecked()) };
    products(a, b, batch, spare)?;
    // SAFETY: all products were written.
    unsafe { out.set_len(size) };
    Ok(out)
}

/// The products of matrices: see [`matmul`]. None of the sizes is 0, and all of `out` is written unless there is an error.
fn products<T: Product>(
    a: ArrayViewD<'_, T>,
    b: ArrayViewD<'_, T>,
    batch: &[usize],
    out: &mut [MaybeUninit<T>],
) -> Result<()> {
    let (&[.., m, k], &[.., n]) = (a.shape(), b.shape()) else { return Err(unchecked()) };
    if b.ndim() == 2 {
        // One right operand for all: the batch is more rows.
        let b = b.into_dimensionality::<Ix2>().map_err(|_| unchecked())?;
        let fits = match a.clone().into_dimensionality::<Ix2>() {
            Ok(a) => T::product(a, b, out),
            Err(_) => {
                let rows = match a.as_slice() {
                    Some(rows) => Cow::Borrowed(rows),
                    None => Cow::Owned(strided::copied(&a)),
                };
                T::product(matrix(&rows, rows.len() / k, k, k)?, b, out)
            }
        };
        return if fits { Ok(()) } else { Err(too_large()) };
    }
    let full = |[r, c]: [usize; 2]| -> Shape { batch.iter().copied().chain([r, c]).collect() };
    let (a_shape, b_shape) = (full([m, k]), full([k, n]));
    let (Some(a), Some(b)) = (a.broadcast(IxDyn(&a_shape)), b.broadcast(IxDyn(&b_shape))) else {
        return Err(unchecked());
    };
    let together = threads::together(count(batch), m * n * k);
    let fits = AtomicBool::new(true);
    let small = small_matrices::are_small(k, n);
    each_chunk(out, together * m * n, |chunk, out| {
        if small && T::small_products(&a, &b, batch, chunk * together, out) {
            return;
        }
        for (i, out) in out.chunks_exact_mut(m * n).enumerate() {
            let (mut a, mut b, mut rest) = (a.view(), b.view(), chunk * together + i);
            // From the last leading axis to the first.
            for (axis, &len) in batch.iter().enumerate().rev() {
                a.collapse_axis(Axis(axis), rest % len);
                b.collapse_axis(Axis(axis), rest % len);
                rest /= len;
            }
            let done = match (matrix_of(&a), matrix_of(&b)) {
                (Some(a), Some(b)) => T::product(a, b, out),
                _ => false,
            };
            if !done {
                fits.store(false, Ordering::Relaxed);
            }
        }
    });
    if fits.into_inner() { Ok(()) } else { Err(too_large()) }
}

/// The only matrix of a stack.
fn matrix_of<'a, T>(stack: &'a ArrayViewD<'_, T>) -> Option<ArrayView2<'a, T>> {
    let mut stack = stack.view();
    while stack.ndim() > 2 {
        stack = stack.index_axis_move(Axis(0), 0);
    }
    stack.into_dimensionality().ok()
}

#[cold]
pub(super) fn unchecked() -> Error {
    Error::new("E0400", "bug in dlang: a matrix product with unchecked shapes")
}

/// Outer products along the last axes; the earlier ones stretch to `batch`.
pub fn outer_products<T: Product>(a: &Arr<T>, b: &Arr<T>, batch: &[usize]) -> Result<Vec<T>> {
    let column = a.view().insert_axis(Axis(a.ndim()));
    let row = b.view().insert_axis(Axis(b.ndim().saturating_sub(1)));
    matmul(column, row, (false, false), batch)
}

/// Inner products of `rows` pairs of rows of length `n`.
pub fn row_dots<T: Product>(a: &[T], b: &[T], rows: usize, n: usize) -> Result<Vec<T>> {
    if n == 0 {
        return Ok(vec![T::default(); rows]);
    }
    a.chunks_exact(n).zip(b.chunks_exact(n)).map(|(a, b)| T::dot(a, b)).collect()
}

/// The operands of a product whose zeros give zero, whatever they meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strong {
    Left,
    Right,
    Both,
}

/// Computes elements that are NaN anew, with products that are 0 where a strong side is, even if the other is infinite or
/// NaN there. The other arguments are those of [`matmul`].
pub fn mend<'a, T: Float>(
    out: &mut [T],
    a: ArrayViewD<'a, T>,
    b: ArrayViewD<'a, T>,
    turn: (bool, bool),
    batch: &[usize],
    strong: Strong,
) {
    if !any_nan(out) {
        return;
    }
    let (left, right) = (strong != Strong::Right, strong != Strong::Left);
    let bad = |side: &ArrayViewD<'a, T>| side.iter().any(|x| x.is_nan() || x.abs() == T::INFINITY);
    let zeros = |side: &ArrayViewD<'a, T>| side.iter().any(|x| *x == T::c(0.0));
    let meets = |strong: bool, side, other| strong && zeros(side) && bad(other);
    if !(meets(left, &a, &b) || meets(right, &b, &a)) {
        return;
    }
    let a = if a.ndim() == 1 { a.insert_axis(Axis(0)) } else { turned(a, turn.0) };
    let b = if b.ndim() == 1 { b.insert_axis(Axis(1)) } else { turned(b, turn.1) };
    let (&[.., m, k], &[.., _, n]) = (a.shape(), b.shape()) else { return };
    let (full_a, full_b) = ([batch, &[m, k]].concat(), [batch, &[k, n]].concat());
    let (Some(a), Some(b)) = (a.broadcast(full_a), b.broadcast(full_b)) else { return };
    for (at, x) in out.iter_mut().enumerate().filter(|(_, x)| x.is_nan()) {
        let (mut rows, mut columns) = (a.view(), b.view());
        let mut rest = at / (m * n);
        // From the last leading axis to the first.
        for (axis, &len) in batch.iter().enumerate().rev() {
            rows = rows.index_axis_move(Axis(axis), rest % len);
            columns = columns.index_axis_move(Axis(axis), rest % len);
            rest /= len;
        }
        let row = rows.index_axis_move(Axis(0), at / n % m);
        let column = columns.index_axis_move(Axis(1), at % n);
        let zero = |x: T, strong: bool| strong && x == T::c(0.0);
        let term = |(&a, &b): (&T, &T)| if zero(a, left) || zero(b, right) { T::c(0.0) } else { a * b };
        *x = row.iter().zip(column.iter()).map(term).fold(T::c(0.0), |sum, t| sum + t);
    }
}

/// The last two axes swapped if asked.
fn turned<T>(mut a: ArrayViewD<'_, T>, turn: bool) -> ArrayViewD<'_, T> {
    let rank = a.ndim();
    if turn && rank >= 2 {
        a.swap_axes(rank - 2, rank - 1);
    }
    a
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;

    use super::*;
    use crate::tensor::create::array;

    /// Numbers without a pattern that a wrong stride could reproduce.
    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i + seed) * 7919) % 1013) as f64 / 97.0 - 5.0).collect()
    }

    fn naive(a: &ArrayViewD<'_, f64>, b: &ArrayViewD<'_, f64>) -> Vec<f64> {
        let (m, k, n) = (a.shape()[0], a.shape()[1], b.shape()[1]);
        let at = |i: usize, j: usize| (0..k).map(|l| a[[i, l]] * b[[l, j]]).sum();
        (0..m * n).map(|p| at(p / n, p % n)).collect()
    }

    /// The same r by c matrix as it may lie in memory: by rows, by columns, every other element, backwards.
    fn layouts(r: usize, c: usize, seed: usize) -> Vec<Arr<f64>> {
        let plain = array(&[r, c], numbers(r * c, seed));
        let view = plain.view().into_dimensionality::<Ix2>().unwrap();
        let mut columns = ndarray::Array2::zeros((c, r));
        columns.assign(&view.t());
        let mut gaps = ndarray::Array2::zeros((2 * r + 1, 2 * c + 1));
        gaps.slice_mut(s![..2 * r;2, ..2 * c;2]).assign(&view);
        let mut back = ndarray::Array2::zeros((r, c));
        back.slice_mut(s![..;-1, ..;-1]).assign(&view);
        vec![
            plain.clone(),
            columns.into_shared().reversed_axes().into_dyn(),
            gaps.into_shared().slice_move(s![..2 * r;2, ..2 * c;2]).into_dyn(),
            back.into_shared().slice_move(s![..;-1, ..;-1]).into_dyn(),
        ]
    }

    #[test]
    fn few_rows_times_what_lies_by_columns_is_turned() {
        for (m, k, n, is_better) in
            [(16, 128, 96, true), (127, 300, 400, true), (128, 300, 400, false), (96, 70, 50, false)]
        {
            let [by_rows, by_columns, ..] = &layouts(k, n, 5)[..] else { panic!("no layouts") };
            let better = |b: &Arr<f64>| is_better_turned(m, b.view().into_dimensionality::<Ix2>().unwrap());
            assert_eq!((better(by_rows), better(by_columns)), (false, is_better), "{m} {k} {n}");
        }
    }

    fn close(a: &[f64], b: &[f64], tolerance: f64) {
        assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(b) {
            assert!((x - y).abs() <= tolerance * (1.0 + y.abs()), "{x} is not {y}");
        }
    }

    #[test]
    fn all_layouts_and_sizes() {
        for (m, k, n) in [
            (569, 31, 1),
            (1, 569, 33),
            (40, 61, 1),
            (1, 17, 130),
            (1, 1, 1),
            (1, 5, 1),
            (3, 1, 2),
            (2, 3, 4),
            (1, 33, 7),
            (9, 33, 1),
            (7, 13, 5),
            (17, 9, 31),
            (33, 65, 40),
            (16, 128, 96),
            (0, 3, 2),
            (3, 0, 2),
            (2, 3, 0),
        ] {
            for a in layouts(m, k, 1) {
                for b in layouts(k, n, 50) {
                    let want = naive(&a.view(), &b.view());
                    let got = matmul(a.view(), b.view(), (false, false), &[]).unwrap();
                    close(&got, &want, 1e-12);
                    let (at, bt) = (a.clone().reversed_axes(), b.clone().reversed_axes());
                    close(&matmul(at.view(), b.view(), (true, false), &[]).unwrap(), &want, 1e-12);
                    close(&matmul(a.view(), bt.view(), (false, true), &[]).unwrap(), &want, 1e-12);
                    close(&matmul(at.view(), bt.view(), (true, true), &[]).unwrap(), &want, 1e-12);
                    let (narrow_a, narrow_b) = (a.mapv(|x| x as f32), b.mapv(|x| x as f32));
                    let narrow = matmul(narrow_a.view(), narrow_b.view(), (false, false), &[]).unwrap();
                    close(&narrow.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), &want, 1e-4);
                    let (ints_a, ints_b) = (a.mapv(|x| (x * 10.0) as i64), b.mapv(|x| (x * 10.0) as i64));
                    let ints = matmul(ints_a.view(), ints_b.view(), (false, false), &[]).unwrap();
                    let whole = naive(&ints_a.mapv(|x| x as f64).view(), &ints_b.mapv(|x| x as f64).view());
                    close(&ints.iter().map(|&x| x as f64).collect::<Vec<_>>(), &whole, 0.0);
                }
            }
        }
    }

    #[test]
    fn batches_broadcast() {
        let a = array(&[2, 1, 3, 4], numbers(24, 3));
        let b = array(&[5, 4, 2], numbers(40, 9));
        let got = matmul(a.view(), b.view(), (false, false), &[2, 5]).unwrap();
        let mut want = vec![];
        for i in 0..2 {
            for j in 0..5 {
                let (a, b): (ArrayD<f64>, ArrayD<f64>) =
                    (a.slice(s![i, 0, .., ..]).to_owned().into_dyn(), b.slice(s![j, .., ..]).to_owned().into_dyn());
                want.extend(naive(&a.view(), &b.view()));
            }
        }
        close(&got, &want, 1e-12);
        // One right operand for a batch that does not lie row by row.
        let turned = a.clone().permuted_axes(IxDyn(&[1, 0, 3, 2]));
        let right = array(&[3, 2], numbers(6, 4));
        let got = matmul(turned.view(), right.view(), (false, false), &[1, 2]).unwrap();
        let plain = array(&[8, 3], turned.iter().copied().collect());
        close(&got, &naive(&plain.view(), &right.view()), 1e-12);
    }

    #[test]
    fn vectors_and_outer_products() {
        let (a, x) = (array(&[2, 3], numbers(6, 0)), array(&[3], numbers(3, 8)));
        let column = array(&[3, 1], numbers(3, 8));
        close(&matmul(a.view(), x.view(), (false, false), &[]).unwrap(), &naive(&a.view(), &column.view()), 1e-12);
        let y = array(&[2], vec![2.0, -1.0]);
        assert_eq!(outer_products(&y, &array(&[2], vec![3.0, 4.0]), &[]).unwrap(), [6.0, 8.0, -3.0, -4.0]);
        assert_eq!(row_dots(&[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0, 0.5, 0.5], 2, 2).unwrap(), [3.0, 3.5]);
        assert_eq!(row_dots::<f64>(&[], &[], 2, 0).unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn threads_change_no_bit() {
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for (m, k, n) in [(256, 300, 65), (1000, 7, 700), (131, 1100, 130), (128, 513, 257), (64, 5000, 100)] {
            let a = array(&[m, k], numbers(m * k, 1)).mapv(|x| x as f32).into_dyn();
            let b = array(&[k, n], numbers(k * n, 5)).mapv(|x| x as f32).into_dyn();
            let (at, bt) = (a.t().as_standard_layout().into_owned(), b.t().as_standard_layout().into_owned());
            for (a, b, turn) in [
                (a.view(), b.view(), (false, false)),
                (at.view(), b.view(), (true, false)),
                (a.view(), bt.view(), (false, true)),
                (at.view(), bt.view(), (true, true)),
            ] {
                let one = matmul(a.clone(), b.clone(), turn, &[]).unwrap();
                for threads in [2, 3, 5] {
                    threads::set(threads);
                    assert_eq!(bits(&matmul(a.clone(), b.clone(), turn, &[]).unwrap()), bits(&one), "{m} {k} {n}");
                    threads::set(1);
                }
            }
        }
        let stack = array(&[12, 40, 50], numbers(12 * 40 * 50, 2)).mapv(|x| x as f32).into_dyn();
        let one = matmul(stack.view(), stack.view(), (false, true), &[12]).unwrap();
        threads::set(3);
        let several = matmul(stack.view(), stack.view(), (false, true), &[12]).unwrap();
        threads::set(1);
        assert_eq!(bits(&several), bits(&one));
    }

    #[test]
    fn ints_overflow_is_an_error() {
        let big = array(&[1, 2], vec![i64::MAX, 1]);
        let twos = array(&[2, 1], vec![2i64, 2]);
        assert_eq!(matmul(big.view(), twos.view(), (false, false), &[]).unwrap_err().0.code, "E0411");
    }
}
