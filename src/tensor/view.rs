//! Rearrangement of tensors. In: tensor, shape or axes already checked by the caller (`ops/reshape.rs`). Out: a tensor
//! that shares the buffer wherever strides allow (`reshape` of a contiguous tensor, `permute`, slices, flips), else a copy.

use std::ops::Range;

use ndarray::{Axis, IxDyn, Slice};

use crate::tensor::create::{Element, array};
use crate::tensor::{Arr, DType, Tensor, flat, strided};

/// Maps the array of whichever dtype to an array of the same dtype.
#[macro_export]
macro_rules! map_dtype {
    ($tensor:expr, $a:ident => $body:expr) => {
        match $tensor {
            $crate::tensor::Tensor::Bool($a) => $crate::tensor::Tensor::Bool($body),
            $crate::tensor::Tensor::Int($a) => $crate::tensor::Tensor::Int($body),
            $crate::tensor::Tensor::F32($a) => $crate::tensor::Tensor::F32($body),
            $crate::tensor::Tensor::F64($a) => $crate::tensor::Tensor::F64($body),
        }
    };
}

/// The array in row-major order without gaps; shares the buffer if it is so already.
pub(crate) fn standard<T: Element>(a: &Arr<T>) -> Arr<T> {
    if a.is_standard_layout() { a.clone() } else { array(a.shape(), flat(a).into_owned()) }
}

fn reshape_arr<T: Element>(a: &Arr<T>, shape: &[usize]) -> Arr<T> {
    let a = standard(a);
    a.clone().into_shape_with_order(IxDyn(shape)).unwrap_or_else(|_| array(shape, flat(&a).into_owned()))
}

/// The same elements in row-major order under another shape of as many elements.
pub fn reshape(t: &Tensor, shape: &[usize]) -> Tensor {
    map_dtype!(t, a => reshape_arr(a, shape))
}

/// Axis `i` of the result is axis `axes[i]` of `t`. A view.
pub fn permute(t: &Tensor, axes: &[usize]) -> Tensor {
    map_dtype!(t, a => a.clone().permuted_axes(IxDyn(axes)))
}

/// Inserts an axis of length 1. A view.
pub fn insert_axis(t: &Tensor, axis: usize) -> Tensor {
    map_dtype!(t, a => a.clone().insert_axis(Axis(axis)))
}

/// Drops `axis` at position `i`, which is in range. A view.
pub fn index_axis(t: &Tensor, axis: usize, i: usize) -> Tensor {
    map_dtype!(t, a => a.clone().index_axis_move(Axis(axis), i))
}

/// `start..stop` by `step` (1 or more) of one axis; bounds are in range. A view.
pub fn slice_axis(t: &Tensor, axis: usize, start: usize, stop: usize, step: usize) -> Tensor {
    let range = Slice::new(start as isize, Some(stop.max(start) as isize), step as isize);
    map_dtype!(t, a => a.clone().slice_axis_move(Axis(axis), range))
}

/// Reverses one axis. A view.
pub fn flip_axis(t: &Tensor, axis: usize) -> Tensor {
    map_dtype!(t, a => {
        let mut a = a.clone();
        a.invert_axis(Axis(axis));
        a
    })
}

fn concat_arrs<T: Element>(parts: &[&Arr<T>], axis: usize, shape: &[usize]) -> Arr<T> {
    let (steps, n) = (row_major(shape), shape.iter().product());
    let mut data: Vec<T> = Vec::with_capacity(n);
    let room = data.spare_capacity_mut().get_mut(..n).unwrap_or_default();
    let (mut start, mut filled) = (0, 0);
    for p in parts {
        if strided::place(p, room, start, &steps) {
            filled += p.len();
        }
        start += p.shape()[axis] * steps[axis];
    }
    if filled == n {
        // SAFETY: the parts lie side by side, and each of their elements has been written.
        unsafe { data.set_len(n) };
    }
    array(shape, data)
}

/// Joins tensors of one dtype and rank along an axis; all other dims agree. `parts` is not empty.
pub fn concat(parts: &[Tensor], axis: usize) -> Tensor {
    let mut shape = parts.first().map_or_else(|| vec![0], |p| p.shape().to_vec());
    shape[axis] = parts.iter().map(|p| p.shape()[axis]).sum();
    macro_rules! join {
        ($variant:ident) => {{
            let arrs: Vec<_> =
                parts.iter().filter_map(|p| if let Tensor::$variant(a) = p { Some(a) } else { None }).collect();
            Tensor::$variant(concat_arrs(&arrs, axis, &shape))
        }};
    }
    match parts.first().map_or(DType::Bool, Tensor::dtype) {
        DType::Bool => join!(Bool),
        DType::Int => join!(Int),
        DType::F32 => join!(F32),
        DType::F64 => join!(F64),
    }
}

fn repeat_arr<T: Element>(a: &Arr<T>, axis: usize, n: usize) -> Arr<T> {
    let mut shape = a.shape().to_vec();
    let inner: usize = shape[axis + 1..].iter().product();
    shape[axis] *= n;
    let a = standard(a);
    let mut data = Vec::with_capacity(shape.iter().product());
    let from = a.as_slice().unwrap_or(&[]);
    match (inner, n) {
        (0, _) => {}
        // With a number that the compiler knows, copies are a few moves.
        (1, 2) => data.extend(from.iter().flat_map(|&x| [x; 2])),
        (1, 3) => data.extend(from.iter().flat_map(|&x| [x; 3])),
        (1, 4) => data.extend(from.iter().flat_map(|&x| [x; 4])),
        (1, _) => from.iter().for_each(|&x| data.resize(data.len() + n, x)),
        _ => {
            for block in from.chunks(inner) {
                for _ in 0..n {
                    data.extend_from_slice(block);
                }
            }
        }
    }
    array(&shape, data)
}

/// Each entry along `axis` `n` times in a row.
pub fn repeat(t: &Tensor, axis: usize, n: usize) -> Tensor {
    map_dtype!(t, a => repeat_arr(a, axis, n))
}

/// Keeps of row `i` of each matrix the columns that `kept(i)` gives.
fn triangle_arr<T: Element>(a: &Arr<T>, kept: impl Fn(i64) -> Range<i64>) -> Arr<T> {
    let rank = a.ndim();
    let (rows, cols) = (a.shape()[rank - 2], a.shape()[rank - 1]);
    let mut out = Vec::with_capacity(a.len());
    for (i, row) in flat(a).chunks(cols.max(1)).enumerate() {
        let kept = kept((i % rows.max(1)) as i64);
        let [from, to] = [kept.start, kept.end].map(|end| end.clamp(0, row.len() as i64) as usize);
        let start = out.len();
        out.resize(start + from.min(to), T::default());
        out.extend_from_slice(row.get(from..to).unwrap_or(&[]));
        out.resize(start + row.len(), T::default());
    }
    array(a.shape(), out)
}

/// The lower triangle of the last two axes up to diagonal `k`, zeros above it; rank is 2 or more.
pub fn tril(t: &Tensor, k: i64) -> Tensor {
    map_dtype!(t, a => triangle_arr(a, |i| 0..i.saturating_add(k).saturating_add(1)))
}

/// The upper triangle of the last two axes from diagonal `k`, zeros below it; rank is 2 or more.
pub fn triu(t: &Tensor, k: i64) -> Tensor {
    map_dtype!(t, a => triangle_arr(a, |i| i.saturating_add(k)..i64::MAX))
}

fn diag_matrix_arr<T: Element>(a: &Arr<T>, k: i64) -> Arr<T> {
    let (down, right) = (k.min(0).unsigned_abs() as usize, k.max(0) as usize);
    let n = a.len() + down + right;
    let mut data = vec![T::default(); n * n];
    for (i, x) in a.iter().enumerate() {
        if let Some(place) = data.get_mut((i + down) * n + i + right) {
            *place = *x;
        }
    }
    array(&[n, n], data)
}

/// The square matrix with a vector on its diagonal `k`.
pub fn diag_matrix(t: &Tensor, k: i64) -> Tensor {
    map_dtype!(t, a => diag_matrix_arr(a, k))
}

/// Row-major strides of a shape.
pub(crate) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], data: &[i64]) -> Tensor {
        Tensor::from_vec(shape, data.to_vec())
    }

    fn table() -> Tensor {
        ints(&[2, 3], &[0, 1, 2, 3, 4, 5])
    }

    fn place(t: &Tensor) -> *const i64 {
        if let Tensor::Int(a) = t { a.as_ptr() } else { std::ptr::null() }
    }

    #[test]
    fn a_reshape_shares_the_buffer_where_it_can() {
        let x = table();
        let y = reshape(&x, &[3, 2]);
        assert!(y.same(&ints(&[3, 2], &[0, 1, 2, 3, 4, 5])));
        assert_eq!(place(&x), place(&y));
        let turned = permute(&x, &[1, 0]);
        assert_eq!(place(&x), place(&turned));
        assert!(reshape(&turned, &[6]).same(&ints(&[6], &[0, 3, 1, 4, 2, 5])));
    }

    #[test]
    fn views() {
        assert!(flip_axis(&table(), 1).same(&ints(&[2, 3], &[2, 1, 0, 5, 4, 3])));
        assert!(slice_axis(&table(), 1, 1, 3, 1).same(&ints(&[2, 2], &[1, 2, 4, 5])));
        assert!(insert_axis(&table(), 1).same(&ints(&[2, 1, 3], &[0, 1, 2, 3, 4, 5])));
    }

    #[test]
    fn joins() {
        let tall = concat(&[table(), permute(&ints(&[3, 1], &[6, 7, 8]), &[1, 0])], 0);
        assert!(tall.same(&ints(&[3, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8])));
        let wide = concat(&[table(), ints(&[2, 0], &[]), ints(&[2, 1], &[6, 7])], 1);
        assert!(wide.same(&ints(&[2, 4], &[0, 1, 2, 6, 3, 4, 5, 7])));
    }

    #[test]
    fn repeats() {
        assert!(repeat(&ints(&[2], &[1, 2]), 0, 2).same(&ints(&[4], &[1, 1, 2, 2])));
        assert!(repeat(&ints(&[2, 1], &[1, 2]), 1, 3).same(&ints(&[2, 3], &[1, 1, 1, 2, 2, 2])));
        assert!(repeat(&ints(&[2], &[1, 2]), 0, 0).same(&ints(&[0], &[])));
    }

    #[test]
    fn triangles_and_diagonals() {
        let x = ints(&[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(tril(&x, 0).same(&ints(&[2, 2, 2], &[1, 0, 3, 4, 5, 0, 7, 8])));
        assert!(triu(&x, 1).same(&ints(&[2, 2, 2], &[0, 2, 0, 0, 0, 6, 0, 0])));
        assert!(tril(&x, i64::MIN).same(&ints(&[2, 2, 2], &[0; 8])));
        assert!(diag_matrix(&ints(&[1], &[7]), -1).same(&ints(&[2, 2], &[0, 0, 7, 0])));
    }
}
