//! One index for each line of a tensor along an axis: gathering and its transpose.
//!
//! In: tensors whose shapes and indices the caller has checked (`ops/take.rs`). Out: row-major tensors.

use crate::error::{Error, Result};
use crate::map_dtype;
use crate::tensor::cast::Float;
use crate::tensor::create::{Element, array};
use crate::tensor::index::{checked, in_range};
use crate::tensor::{Arr, Shape, Tensor, count, flat, show_shape};

/// A shape around one axis: how many blocks, how long the axis, how many elements behind it.
fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let outer = count(shape.get(..axis).unwrap_or(&[]));
    let inner = count(shape.get(axis + 1..).unwrap_or(&[]));
    (outer, shape.get(axis).copied().unwrap_or(1), inner)
}

/// The shape with another length of one axis.
pub fn with_dim(shape: &[usize], axis: usize, n: usize) -> Shape {
    let mut out = Shape::from_slice(shape);
    if let Some(dim) = out.get_mut(axis) {
        *dim = n;
    }
    out
}

/// Indices along `axis` for a tensor of `shape`: in range, counted from the front. Their own shape may differ along
/// `axis` only.
pub fn line_indices(name: &str, shape: &[usize], indices: &Arr<i64>, axis: usize) -> Result<Vec<usize>> {
    let n = shape.get(axis).copied().unwrap_or(0);
    if indices.ndim() != shape.len() || with_dim(indices.shape(), axis, n).as_slice() != shape {
        let (x, i) = (show_shape(shape), show_shape(indices.shape()));
        return Err(Error::new(
            "E0301",
            format!("the indices of {name} have the shape {i}, which differs from {x} not only along axis {axis}"),
        )
        .operand(0, format!("this has the shape {x}"))
        .operand(1, format!("this has the shape {i}"))
        .help("to pick whole rows use take(x, indices)"));
    }
    checked(&flat(indices), n, |_, i| in_range(i, axis, n))
}

fn gather_arr<T: Element>(a: &Arr<T>, axis: usize, indices: &[usize], m: usize) -> Arr<T> {
    let (_, n, inner) = around(a.shape(), axis);
    let data = flat(a);
    let mut out = Vec::with_capacity(indices.len());
    // Blocks of the tensor and of the indices. Without elements behind the axis a block is a row.
    let blocks = data.chunks_exact((n * inner).max(1)).zip(indices.chunks_exact((m * inner).max(1)));
    for (block, indices) in blocks {
        if inner == 1 {
            out.extend(indices.iter().map(|&i| block.get(i).copied().unwrap_or_default()));
        } else {
            for row in indices.chunks_exact(inner) {
                let places = row.iter().enumerate().map(|(k, &i)| i * inner + k);
                out.extend(places.map(|place| block.get(place).copied().unwrap_or_default()));
            }
        }
    }
    array(&with_dim(a.shape(), axis, m), out)
}

/// The largest element of each segment (`shape` is that of the result, `ids` gives each row's); -inf for none, NaN for
/// one that has NaN.
pub fn segment_maxima<T: Float>(data: &[T], ids: &[usize], shape: &[usize]) -> Vec<T> {
    let inner = count(shape.get(1..).unwrap_or(&[]));
    let mut out = vec![-T::INFINITY; count(shape)];
    for (k, &x) in data.iter().enumerate() {
        if let Some(best) = segment_place(k, ids, inner).and_then(|at| out.get_mut(at))
            && !best.is_nan()
            && (x > *best || x.is_nan())
        {
            *best = x;
        }
    }
    out
}

/// For each element 1/k if it is one of the k largest of its segment, else 0; NaN in a segment with NaN.
pub fn segment_shares<T: Float>(data: &[T], ids: &[usize], shape: &[usize]) -> Vec<T> {
    let inner = count(shape.get(1..).unwrap_or(&[]));
    let best = segment_maxima(data, ids, shape);
    let mut ties = vec![0.0; best.len()];
    let top = |k: usize| segment_place(k, ids, inner).and_then(|at| Some((at, *best.get(at)?)));
    for (k, &x) in data.iter().enumerate() {
        if let Some((at, best)) = top(k)
            && best == x
            && let Some(n) = ties.get_mut(at)
        {
            *n += 1.0;
        }
    }
    let share = |(k, &x): (usize, &T)| match top(k) {
        Some((_, best)) if best.is_nan() => best,
        Some((at, best)) if best == x => T::c(1.0 / ties.get(at).copied().unwrap_or(1.0)),
        _ => T::c(0.0),
    };
    data.iter().enumerate().map(share).collect()
}

/// Where element `k` of the rows goes in the result.
fn segment_place(k: usize, ids: &[usize], inner: usize) -> Option<usize> {
    ids.get(k / inner.max(1)).map(|id| id * inner + k % inner.max(1))
}

/// Element `[.., indices[.., j, ..], ..]` for each place of `indices`, which are `m` long along `axis`.
pub fn gather(t: &Tensor, axis: usize, indices: &[usize], m: usize) -> Tensor {
    map_dtype!(t, a => gather_arr(a, axis, indices, m))
}

fn scatter_arr<T: Element + std::ops::AddAssign>(v: &Arr<T>, axis: usize, indices: &[usize], n: usize) -> Arr<T> {
    let (_, m, inner) = around(v.shape(), axis);
    let shape = with_dim(v.shape(), axis, n);
    let mut out = vec![T::default(); count(&shape)];
    let data = flat(v);
    let size = (m * inner).max(1);
    let blocks = data.chunks_exact(size).zip(indices.chunks_exact(size)).zip(out.chunks_exact_mut((n * inner).max(1)));
    for ((data, indices), out) in blocks {
        for (data, indices) in data.chunks_exact(inner.max(1)).zip(indices.chunks_exact(inner.max(1))) {
            for (k, (&x, &i)) in data.iter().zip(indices).enumerate() {
                if let Some(place) = out.get_mut(i * inner + k) {
                    *place += x;
                }
            }
        }
    }
    array(&shape, out)
}

/// The transpose of [`gather`] for floats: zeros `n` long along `axis` with each element of `v` added at its index.
pub fn scatter(v: &Tensor, axis: usize, indices: &[usize], n: usize) -> Option<Tensor> {
    match v {
        Tensor::F32(a) => Some(Tensor::F32(scatter_arr(a, axis, indices, n))),
        Tensor::F64(a) => Some(Tensor::F64(scatter_arr(a, axis, indices, n))),
        Tensor::Bool(_) | Tensor::Int(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], data: &[i64]) -> Tensor {
        Tensor::from_vec(shape, data.to_vec())
    }

    #[test]
    fn gathers_and_scatters() {
        let x = ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        assert!(gather(&x, 1, &[2, 0, 1, 1], 2).same(&ints(&[2, 2], &[3, 1, 5, 5])));
        assert!(gather(&x, 0, &[1, 0, 1], 1).same(&ints(&[1, 3], &[4, 2, 6])));
        let v = Tensor::from_vec(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let want = Tensor::from_vec(&[2, 3], vec![2.0, 0.0, 1.0, 0.0, 7.0, 0.0]);
        assert!(scatter(&v, 1, &[2, 0, 1, 1], 3).unwrap().same(&want));
    }

    #[test]
    fn indices_fit_the_tensor() {
        let Tensor::Int(i) = ints(&[2, 1], &[-1, 0]) else { panic!() };
        assert_eq!(line_indices("gather", &[2, 3], &i, 1).unwrap(), [2, 0]);
        assert_eq!(line_indices("gather", &[3, 3], &i, 1).unwrap_err().0.code, "E0301");
        let Tensor::Int(i) = ints(&[2, 1], &[3, 0]) else { panic!() };
        assert_eq!(
            line_indices("gather", &[2, 3], &i, 1).unwrap_err().0.message,
            "index 3 is out of range: axis 1 has length 3"
        );
    }
}
