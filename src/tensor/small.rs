//! Products of small row-major matrices and vectors, without the preparations that pay for larger ones.

use std::rc::Rc;

use super::cast::Float;
use super::create::Element;
use super::matmul::{TINY, dot_slices};
use super::out::Room;
use super::spares::Spares;
use super::{Arr, Tensor, dense, dense_mut};
use crate::ad::slot::Slot;
use crate::tensor::simd::kernels::{
    add_outer_pairs, add_outer_row, add_scaled, add_to, all_finite, dots_of_pairs, scaled, sum_of_pairs,
};
use crate::value::Value;

/// Columns that are summed in registers, at most.
const FEW: usize = 4;

/// Appends the elements of a product in row-major order: `m` by `k` times `k` by `n`, either operand read transposed. False, with
/// anything appended, if it is not small, or, with `finite`, an element is NaN: where zeros win, they have to be looked for.
fn elements<T>(
    a: &[T],
    b: &[T],
    turn: (bool, bool),
    [m, k, n]: [usize; 3],
    finite: bool,
    out: &mut impl Room<T>,
) -> bool
where
    T: Float + Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    if m * k * n > TINY || m * k * n == 0 || a.len() != m * k || b.len() != k * n {
        return false;
    }
    let before = out.len();
    out.reserve(m * n);
    let lanes = 64 / size_of::<T>();
    // A column lies as a row does.
    let rows_of_b = turn.1 || n == 1;
    if rows_of_b && !turn.0 {
        // Shorter than a block of lanes, the sum is the plain one.
        match k {
            1 => dots::<T, 1>(a, b, out),
            2 => a.chunks_exact(2).for_each(|row| dots_of_pairs(b, row, out)),
            3 => dots::<T, 3>(a, b, out),
            4 => dots::<T, 4>(a, b, out),
            _ if k < lanes => {
                for row in a.chunks_exact(k) {
                    out.extend(b.chunks_exact(k).map(|column| dot(row, column)));
                }
            }
            _ => {
                for row in a.chunks_exact(k) {
                    let long = |column| {
                        if lanes == 16 { dot_slices::<T, 16>(row, column) } else { dot_slices::<T, 8>(row, column) }
                    };
                    out.extend(b.chunks_exact(k).map(long));
                }
            }
        }
    } else if turn.1 {
        return false;
    } else {
        // Element `i, l` of the left operand.
        let step = if turn.0 { (1, m) } else { (k, 1) };
        match n {
            1 => columns::<T, 1>(a, b, step, m, out),
            2 => columns::<T, 2>(a, b, step, m, out),
            3 => columns::<T, 3>(a, b, step, m, out),
            FEW => columns::<T, FEW>(a, b, step, m, out),
            _ => {
                for i in 0..m {
                    let start = out.len();
                    for (l, row) in b.chunks_exact(n).enumerate() {
                        let Some(&x) = a.get(i * step.0 + l * step.1) else { return false };
                        match out.get_mut(start..).unwrap_or(&mut []) {
                            [] => scaled(x, row, out),
                            sums => add_scaled(sums, x, row),
                        }
                    }
                }
            }
        }
    }
    let made = out.get(before..).unwrap_or(&[]);
    made.len() == m * n && !(finite && made.iter().fold(false, |nan, x| nan | x.is_nan()))
}

fn dot<T: Float + std::ops::Mul<Output = T> + std::ops::AddAssign>(row: &[T], column: &[T]) -> T {
    let mut sum = T::default();
    row.iter().zip(column).for_each(|(&x, &y)| sum += x * y);
    sum
}

/// Rows of `K` elements times such.
fn dots<T, const K: usize>(a: &[T], b: &[T], out: &mut impl Room<T>)
where
    T: Float + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let (rows, _) = a.as_chunks::<K>();
    let (columns, _) = b.as_chunks::<K>();
    for row in rows {
        out.extend(columns.iter().map(|column| {
            let mut sum = T::default();
            row.iter().zip(column).for_each(|(&x, &y)| sum += x * y);
            sum
        }));
    }
}

/// Products with a matrix of `N` columns.
fn columns<T, const N: usize>(a: &[T], b: &[T], step: (usize, usize), m: usize, out: &mut impl Room<T>)
where
    T: Float + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    fn sums<T, const N: usize>(left: impl Iterator<Item = T>, b: &[[T; N]]) -> [T; N]
    where
        T: Float + std::ops::Mul<Output = T> + std::ops::AddAssign,
    {
        let mut sums = [T::default(); N];
        for (x, row) in left.zip(b) {
            for (sum, &y) in sums.iter_mut().zip(row) {
                *sum += x * y;
            }
        }
        sums
    }
    if N == 2 && step.1 == 1 {
        for i in 0..m {
            out.extend_from_slice(&sum_of_pairs(a.get(i * step.0..).unwrap_or(&[]), b));
        }
        return;
    }
    let (rows, _) = b.as_chunks::<N>();
    for i in 0..m {
        let left = a.get(i * step.0..).unwrap_or(&[]);
        match step.1 {
            1 => out.extend_from_slice(&sums(left.iter().copied(), rows)),
            _ => out.extend_from_slice(&sums(left.iter().copied().step_by(step.1), rows)),
        }
    }
}

/// The product of two float tensors of one dtype and at most two axes, either read transposed, if it takes few
/// multiplications and both lie densely: `m` by `k` times `k` by `n`. `None` for all others; with `finite` also where an element
/// is NaN.
pub fn product(
    a: &Tensor,
    b: &Tensor,
    turn: (bool, bool),
    dims: [usize; 3],
    shape: &[usize],
    finite: bool,
) -> Option<Value> {
    // A vector lies as a row and as a column.
    let turn = (turn.0 && a.rank() == 2, turn.1 && b.rank() == 2);
    let product = as_matrices((a, b), turn, dims, shape, finite, &mut Spares::default())?;
    Some(if shape.is_empty() { product.scalar_value() } else { Value::Tensor(Slot::CONST, product) })
}

/// The product of a vector or matrix and another, not of two vectors, if it is small.
pub fn small_product(x: &Tensor, y: &Tensor, spares: &mut Spares) -> Option<Rc<Tensor>> {
    let mut go = |dims, shape: &[usize]| as_matrices((x, y), (false, false), dims, shape, false, spares);
    match (x.shape(), y.shape()) {
        ([k], [l, n]) if k == l => go([1, *k, *n], &[*n]),
        ([m, k], [l, n]) if k == l => go([*m, *k, *n], &[*m, *n]),
        ([m, k], [l]) if k == l => go([*m, *k, 1], &[*m]),
        _ => None,
    }
}

/// `x @ y + b` for a vector and a matrix, in either order, and a vector as long as the result, if it is small.
pub fn small_affine(x: &Tensor, y: &Tensor, b: &Tensor, spares: &mut Spares) -> Option<Rc<Tensor>> {
    fn sum<T>(x: &Arr<T>, y: &Arr<T>, b: &Arr<T>, spares: &mut Spares) -> Option<Rc<Tensor>>
    where
        T: Float + Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
    {
        let b = vector(b)?;
        let (x, y, dims) = if x.ndim() == 1 {
            let (x, ([l, n], y)) = (vector(x)?, matrix(y)?);
            (x, y, (x.len() == l).then_some([1, l, n])?)
        } else {
            let (([m, k], x), y) = (matrix(x)?, vector(y)?);
            (x, y, (k == y.len()).then_some([m, k, 1])?)
        };
        let n = dims[0] * dims[2];
        if n * dims[1] > TINY || b.len() != n {
            return None;
        }
        spares.make(&[n], |out| {
            elements(x, y, (false, false), dims, false, out).then_some(())?;
            add_to(out, b);
            Some(())
        })
    }
    match (x, y, b) {
        (Tensor::F32(x), Tensor::F32(y), Tensor::F32(b)) => sum(x, y, b, spares),
        (Tensor::F64(x), Tensor::F64(y), Tensor::F64(b)) => sum(x, y, b, spares),
        _ => None,
    }
}

/// The elements of a vector that lie side by side.
#[inline]
fn vector<T>(a: &Arr<T>) -> Option<&[T]> {
    if a.ndim() == 1 { dense(a) } else { None }
}

/// Shape and elements of a matrix that lies row by row.
#[inline]
fn matrix<T>(a: &Arr<T>) -> Option<([usize; 2], &[T])> {
    if let [m, n] = *a.shape() { Some(([m, n], dense(a)?)) } else { None }
}

/// The same with vectors taken for the matrices that `turn` and `dims` tell.
fn as_matrices(
    (a, b): (&Tensor, &Tensor),
    turn: (bool, bool),
    [m, k, n]: [usize; 3],
    shape: &[usize],
    finite: bool,
    spares: &mut Spares,
) -> Option<Rc<Tensor>> {
    if m * k * n > TINY {
        return None;
    }
    fn go<T>(
        (a, b): (&Arr<T>, &Arr<T>),
        turn: (bool, bool),
        dims: [usize; 3],
        shape: &[usize],
        finite: bool,
        spares: &mut Spares,
    ) -> Option<Rc<Tensor>>
    where
        T: Float + Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
    {
        let (a, b) = (dense(a)?, dense(b)?);
        spares.make(shape, |out| elements(a, b, turn, dims, finite, out).then_some(()))
    }
    match (a, b) {
        (Tensor::F32(a), Tensor::F32(b)) => go((a, b), turn, [m, k, n], shape, finite, spares),
        (Tensor::F64(a), Tensor::F64(b)) => go((a, b), turn, [m, k, n], shape, finite, spares),
        _ => None,
    }
}

/// One of the two operands of a product.
#[derive(Clone, Copy)]
pub enum Operand {
    Left,
    Right,
}

/// Appends the cotangent of an operand of the product `x @ y` of a vector or matrix and another, `c @ y.t` or `x.t @ c`; false, with
/// anything appended, if that is not small, or an element is NaN. Zeros of `c` win.
pub fn pull_operand<T>(x: &Arr<T>, y: &Arr<T>, c: &[T], of: Operand, out: &mut Vec<T>) -> bool
where
    T: Float + Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let (m, k, n) = match (x.shape(), y.shape()) {
        ([m, k], [_, n]) => (*m, *k, *n),
        ([k], [_, n]) => (1, *k, *n),
        ([m, k], [_]) => (*m, *k, 1),
        _ => return false,
    };
    match of {
        Operand::Left => dense(y).is_some_and(|y| elements(c, y, (false, true), [m, n, k], true, out)),
        Operand::Right => dense(x).is_some_and(|x| elements(x, c, (true, false), [k, m, n], true, out)),
    }
}

/// The cotangents of the wanted operands of such a product; `None` if one cannot be had so.
pub fn pull(x: &Tensor, y: &Tensor, c: &Tensor, wanted: [bool; 2]) -> Option<[Option<Value>; 2]> {
    fn go<T>(x: &Arr<T>, y: &Arr<T>, c: &Arr<T>, wanted: [bool; 2]) -> Option<[Option<Value>; 2]>
    where
        T: Float + Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
    {
        let c = dense(c)?;
        let mut bars = [None, None];
        for (bar, (of, shape)) in bars.iter_mut().zip([(Operand::Left, x.shape()), (Operand::Right, y.shape())]) {
            if wanted[of as usize] {
                let mut out = vec![];
                *bar = Some(pull_operand(x, y, c, of, &mut out).then(|| Value::from_vec(shape, out))?);
            }
        }
        Some(bars)
    }
    match (x, y, c) {
        (Tensor::F32(x), Tensor::F32(y), Tensor::F32(c)) => go(x, y, c, wanted),
        (Tensor::F64(x), Tensor::F64(y), Tensor::F64(c)) => go(x, y, c, wanted),
        _ => None,
    }
}

/// Adds `x[i] * y[j]` to `sum[i, j]`, for vectors; false, with nothing done, if they do not fit, or something is infinite or NaN.
pub fn add_outer(sum: &mut Tensor, x: &Tensor, y: &Tensor) -> bool {
    fn outer<T: Float>(sum: &mut Arr<T>, x: &Arr<T>, y: &Arr<T>) -> bool {
        x.ndim() == 1 && matches!((dense(x), dense(y)), (Some(x), Some(y)) if add_outer_of(sum, x, y))
    }
    match (sum, x, y) {
        (Tensor::F32(sum), Tensor::F32(x), Tensor::F32(y)) => outer(sum, x, y),
        (Tensor::F64(sum), Tensor::F64(x), Tensor::F64(y)) => outer(sum, x, y),
        _ => false,
    }
}

/// The same for a matrix and the elements of vectors.
pub fn add_outer_of<T: Float>(sum: &mut Arr<T>, x: &[T], y: &[T]) -> bool {
    if sum.ndim() != 2 || sum.shape() != [x.len(), y.len()] || dense(sum).is_none() {
        return false;
    }
    dense_mut(sum).is_some_and(|sum| add_outer_to(sum, x, y))
}

/// The same for the elements of a matrix, too.
pub fn add_outer_to<T: Float>(sum: &mut [T], x: &[T], y: &[T]) -> bool {
    if y.is_empty() || sum.len() != x.len() * y.len() || !(is_finite(x) && is_finite(y)) {
        return false;
    }
    match y {
        [a] => add_rows(sum, x, [*a]),
        [a, b] => add_outer_pairs(sum, x, &[*a, *b]),
        [a, b, c] => add_rows(sum, x, [*a, *b, *c]),
        [a, b, c, d] => add_rows(sum, x, [*a, *b, *c, *d]),
        _ => sum.chunks_exact_mut(y.len()).zip(x).for_each(|(row, &x)| add_outer_row(row, x, y)),
    }
    true
}

/// Whether all elements are finite.
#[inline]
fn is_finite<T: Float>(x: &[T]) -> bool {
    match x {
        // Without a call.
        [] | [_] | [_, _] | [_, _, _] | [_, _, _, _] => x.iter().all(|x| T::default() * *x == T::default()),
        _ => all_finite(x),
    }
}

/// The same for rows of a few elements.
fn add_rows<T: Float, const N: usize>(sum: &mut [T], x: &[T], y: [T; N]) {
    let (rows, _) = sum.as_chunks_mut::<N>();
    for (row, &x) in rows.iter_mut().zip(x) {
        for (sum, y) in row.iter_mut().zip(y) {
            *sum = *sum + (T::default() + x * y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_pairs_are_those_of_columns() {
        for k in 1..40 {
            let x: Vec<f64> = (0..k).map(|i| f64::from(i * 7 % 11) - 4.0).collect();
            let w: Vec<f64> = (0..2 * k).map(|i| f64::from(i * 5 % 13) - 6.0).collect();
            let mut made = vec![];
            assert!(elements(&x, &w, (false, false), [1, k as usize, 2], false, &mut made));
            let column = |j: usize| w.iter().skip(j).step_by(2);
            let sum = |j: usize| x.iter().zip(column(j)).map(|(x, w)| x * w).sum::<f64>();
            assert_eq!(made, [sum(0), sum(1)], "{k}");
        }
    }
}
