//! Matrix products of strided matrices: dense floats through `gemm`, small and ragged cases and ints by own loops.
//!
//! In: tensors of rank 2 or more whose inner dims agree; transposed and sliced views are read where they lie. Out: a
//! row-major tensor. Every float product runs on one thread and in a fixed order, so results are reproducible.

use std::borrow::Cow;

use ndarray::{ArrayView1, ArrayView2, ArrayViewD, Axis, Ix2, IxDyn};

use super::create::Element;
use super::{Arr, Shape, count};
use crate::error::{Error, Result};

/// Below this many multiplications the call of the tuned kernel costs more than the product.
const TINY: usize = 1 << 9;

/// What the kernels multiply.
pub trait Product: Element {
    /// `out[i, j] = sum over k of a[i, k] * b[k, j]`; `out` is row-major, `a` is m by k, `b` is k by n.
    /// `out` holds zeros before.
    fn product(a: ArrayView2<'_, Self>, b: ArrayView2<'_, Self>, out: &mut [Self]) -> Result<()>;

    /// Sum of the products of two slices of one length.
    fn dot(a: &[Self], b: &[Self]) -> Result<Self>;
}

impl Product for i64 {
    fn product(a: ArrayView2<'_, i64>, b: ArrayView2<'_, i64>, out: &mut [i64]) -> Result<()> {
        let n = b.ncols().max(1);
        for (row, out) in a.rows().into_iter().zip(out.chunks_exact_mut(n)) {
            for (column, out) in b.columns().into_iter().zip(out) {
                *out = int_dot(row.iter().zip(column))?;
            }
        }
        Ok(())
    }

    fn dot(a: &[i64], b: &[i64]) -> Result<i64> {
        int_dot(a.iter().zip(b))
    }
}

fn int_dot<'a>(mut pairs: impl Iterator<Item = (&'a i64, &'a i64)>) -> Result<i64> {
    pairs.try_fold(0i64, |sum, (x, y)| sum.checked_add(x.checked_mul(*y)?)).ok_or_else(|| {
        Error::new("E0411", "a product of these ints does not fit into a 64-bit int")
            .help("make them floats first: x.to(f64)")
    })
}

macro_rules! float_product {
    ($type:ty, $lanes:literal) => {
        impl Product for $type {
            fn product(a: ArrayView2<'_, $type>, b: ArrayView2<'_, $type>, out: &mut [$type]) -> Result<()> {
                let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
                if out.is_empty() || k == 0 {
                    return Ok(()); // an empty sum is 0, and so is `out`
                }
                if n == 1 && matrix_vector::<$type, $lanes>(a, b.column(0), out) {
                    return Ok(());
                }
                if m == 1 && matrix_vector::<$type, $lanes>(b.t(), a.row(0), out) {
                    return Ok(());
                }
                if m * n * k <= TINY && tiny(a, b, out) {
                    return Ok(());
                }
                dense(a, b, out, 1.0);
                Ok(())
            }

            fn dot(a: &[$type], b: &[$type]) -> Result<$type> {
                Ok(dot_slices::<$type, $lanes>(a, b))
            }
        }
    };
}
float_product!(f32, 16);
float_product!(f64, 8);

/// The tuned kernel.
#[allow(unsafe_code)]
fn dense<T: Element>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, out: &mut [T], one: T) {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    assert_eq!(k, b.nrows(), "the inner dims of a matrix product agree");
    assert_eq!(m * n, out.len(), "the result of a matrix product has its shape");
    // SAFETY: `gemm` reads `a[i, l]` for i < m, l < k and `b[l, j]` for l < k, j < n, and writes `out[i * n + j]`. ndarray
    // guarantees that every element of a view lies where pointer and strides say; the asserts above bound the rest. With
    // `read_dst` false the old content of `out` is not read; `out` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
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

/// `out = a @ x` along whichever axis of `a` lies densely; false if none does.
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
            let Some(row) = row.to_slice() else { return false };
            *out = dot_slices::<T, LANES>(row, &x);
        }
        return true;
    }
    if a.strides()[0] == 1 || a.nrows() == 1 {
        for (column, &x) in a.columns().into_iter().zip(x.iter()) {
            let Some(column) = column.to_slice() else { return false };
            for (out, &a) in out.iter_mut().zip(column) {
                *out += a * x;
            }
        }
        return true;
    }
    false
}

/// Sum of products in `LANES` running sums, which the compiler keeps in vector registers.
fn dot_slices<T, const LANES: usize>(a: &[T], b: &[T]) -> T
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

/// Row by row; false if the rows of `b` do not lie densely.
fn tiny<T>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, out: &mut [T]) -> bool
where
    T: Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    if b.strides()[1] != 1 {
        return false;
    }
    for (a, out) in a.rows().into_iter().zip(out.chunks_exact_mut(b.ncols().max(1))) {
        for (&a, b) in a.iter().zip(b.rows()) {
            let Some(b) = b.to_slice() else { return false };
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
    let mut out = vec![T::default(); count(batch) * m * n];
    if out.is_empty() || k == 0 {
        return Ok(out);
    }
    if b.ndim() == 2 {
        // One right operand for all: the batch is more rows.
        let b = b.into_dimensionality::<Ix2>().map_err(|_| unchecked())?;
        match a.clone().into_dimensionality::<Ix2>() {
            Ok(a) => T::product(a, b, &mut out)?,
            Err(_) => {
                let rows = a.as_standard_layout();
                let all = rows.as_slice().and_then(|rows| ArrayView2::from_shape((rows.len() / k, k), rows).ok());
                T::product(all.ok_or_else(unchecked)?, b, &mut out)?;
            }
        }
        return Ok(out);
    }
    let full = |[r, c]: [usize; 2]| -> Shape { batch.iter().copied().chain([r, c]).collect() };
    let (a_shape, b_shape) = (full([m, k]), full([k, n]));
    let (Some(a), Some(b)) = (a.broadcast(IxDyn(&a_shape)), b.broadcast(IxDyn(&b_shape))) else {
        return Err(unchecked());
    };
    each(a, b, &mut out)?;
    Ok(out)
}

#[cold]
fn unchecked() -> Error {
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

/// The last two axes swapped if asked.
fn turned<T>(mut a: ArrayViewD<'_, T>, turn: bool) -> ArrayViewD<'_, T> {
    let rank = a.ndim();
    if turn && rank >= 2 {
        a.swap_axes(rank - 2, rank - 1);
    }
    a
}

/// One product for each pair of matrices.
fn each<T: Product>(a: ArrayViewD<'_, T>, b: ArrayViewD<'_, T>, out: &mut [T]) -> Result<()> {
    if a.ndim() <= 2 {
        let (Ok(a), Ok(b)) = (a.into_dimensionality(), b.into_dimensionality()) else { return Ok(()) };
        return T::product(a, b, out);
    }
    let size = out.len() / a.shape().first().copied().unwrap_or(1).max(1);
    for (i, out) in out.chunks_exact_mut(size.max(1)).enumerate() {
        each(a.index_axis(Axis(0), i), b.index_axis(Axis(0), i), out)?;
    }
    Ok(())
}
