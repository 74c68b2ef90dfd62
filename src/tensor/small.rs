//! Products of small row-major matrices and vectors, without the preparations that pay for larger ones.

use super::cast::Float;
use super::create::Element;
use super::matmul::{TINY, dot_slices};
use super::{Arr, Tensor};

/// The product of two float tensors of one dtype and at most two axes, either read transposed, if it takes few
/// multiplications and both lie densely: `m` by `k` times `k` by `n`. `None` for all others; with `finite` also where an element is
/// infinite or NaN.
pub fn product(
    a: &Tensor,
    b: &Tensor,
    turn: (bool, bool),
    [m, k, n]: [usize; 3],
    shape: &[usize],
    finite: bool,
) -> Option<Tensor> {
    if m * k * n > TINY || m * k * n == 0 {
        return None;
    }
    let turn = (turn.0 && a.rank() == 2, turn.1 && b.rank() == 2);
    Some(match (a, b) {
        (Tensor::F32(a), Tensor::F32(b)) => Tensor::from_vec(shape, of::<f32, 16>(a, b, turn, [m, k, n], finite)?),
        (Tensor::F64(a), Tensor::F64(b)) => Tensor::from_vec(shape, of::<f64, 8>(a, b, turn, [m, k, n], finite)?),
        _ => return None,
    })
}

fn of<T, const LANES: usize>(
    a: &Arr<T>,
    b: &Arr<T>,
    turn: (bool, bool),
    [m, k, n]: [usize; 3],
    finite: bool,
) -> Option<Vec<T>>
where
    T: Float + Element + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let (a, b) = (a.as_slice()?, b.as_slice()?);
    // Only an infinity or NaN times 0 is not 0.
    let zeros = |all: &[T]| {
        let mut sum = T::default();
        all.iter().for_each(|&x| sum += x * T::default());
        sum == T::default()
    };
    if finite && !(zeros(a) && zeros(b)) {
        return None;
    }
    // A column lies as a row does.
    let rows_of_b = turn.1 || n == 1;
    if rows_of_b && !turn.0 {
        let mut out = Vec::with_capacity(m * n);
        // Shorter than a block of lanes, the sum is the plain one.
        let dot = |row: &[T], column: &[T]| {
            let mut sum = T::default();
            row.iter().zip(column).for_each(|(&x, &y)| sum += x * y);
            sum
        };
        for row in a.chunks_exact(k) {
            if k < LANES {
                out.extend(b.chunks_exact(k).map(|column| dot(row, column)));
            } else {
                out.extend(b.chunks_exact(k).map(|column| dot_slices::<T, LANES>(row, column)));
            }
        }
        return Some(out);
    }
    if turn.1 {
        return None;
    }
    let mut out = vec![T::default(); m * n];
    for (i, out) in out.chunks_exact_mut(n).enumerate() {
        for (l, row) in b.chunks_exact(n).enumerate() {
            let x = *a.get(if turn.0 { l * m + i } else { i * k + l })?;
            for (out, &y) in out.iter_mut().zip(row) {
                *out += x * y;
            }
        }
    }
    Some(out)
}
