//! One index for each line of a tensor along an axis: gathering, its transpose, and sorting.
//!
//! In: tensors whose shapes and indices the caller has checked (`ops/take.rs`, `ops/order.rs`). Out: row-major tensors.

use crate::each_dtype;
use crate::error::{Error, Result};
use crate::map_dtype;
use crate::tensor::cast::Float;
use crate::tensor::create::{Element, array};
use crate::tensor::index::in_range;
use crate::tensor::reduce::{rows, unrows};
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
    indices.iter().map(|&i| in_range(i, axis, n)).collect()
}

fn gather_arr<T: Element>(a: &Arr<T>, axis: usize, indices: &[usize], m: usize) -> Arr<T> {
    let (outer, n, inner) = around(a.shape(), axis);
    let data = flat(a);
    let mut out = Vec::with_capacity(outer * m * inner);
    for block in 0..outer {
        for j in 0..m {
            for k in 0..inner {
                let i = indices.get((block * m + j) * inner + k).copied().unwrap_or(0);
                out.push(data.get((block * n + i) * inner + k).copied().unwrap_or_default());
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
    let (outer, m, inner) = around(v.shape(), axis);
    let shape = with_dim(v.shape(), axis, n);
    let mut out = vec![T::default(); count(&shape)];
    let data = flat(v);
    for block in 0..outer {
        for j in 0..m {
            for k in 0..inner {
                let from = (block * m + j) * inner + k;
                let i = indices.get(from).copied().unwrap_or(0);
                if let (Some(place), Some(x)) = (out.get_mut((block * n + i) * inner + k), data.get(from)) {
                    *place += *x;
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

/// A type whose order is that of unsigned keys.
pub trait SortKey: Element {
    /// Keys ascend with the numbers, or descend with them; equal numbers have equal keys, NaN has the largest.
    fn key(self, descending: bool) -> u64;
}

impl SortKey for bool {
    fn key(self, descending: bool) -> u64 {
        u64::from(self != descending)
    }
}

impl SortKey for i64 {
    fn key(self, descending: bool) -> u64 {
        let key = (self as u64) ^ (1 << 63);
        if descending { !key } else { key }
    }
}

macro_rules! float_key {
    ($float:ty, $bits:ty) => {
        impl SortKey for $float {
            fn key(self, descending: bool) -> u64 {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                if self.is_nan() {
                    return u64::from(<$bits>::MAX);
                }
                // Adding zero makes -0.0 the 0.0 that it equals.
                let bits = (self + 0.0).to_bits();
                let key = if bits & SIGN == 0 { bits | SIGN } else { !bits };
                u64::from(if descending { !key } else { key })
            }
        }
    };
}
float_key!(f32, u32);
float_key!(f64, u64);

/// Positions of a row's elements in order: stable, NaN last.
fn argsort_row<T: SortKey>(row: &[T], descending: bool, keyed: &mut Vec<(u64, usize)>) {
    keyed.clear();
    keyed.extend(row.iter().enumerate().map(|(i, x)| (x.key(descending), i)));
    // The position breaks ties, so this is stable.
    keyed.sort_unstable();
}

fn argsort_arr<T: SortKey>(a: &Arr<T>, axis: usize, descending: bool) -> Vec<i64> {
    let data = flat(a);
    let (lines, n) = rows(&data, a.shape(), &[axis]);
    let mut out = Vec::with_capacity(lines.len());
    let mut keyed = vec![];
    for row in lines.chunks(n.max(1)) {
        argsort_row(row, descending, &mut keyed);
        out.extend(keyed.iter().map(|&(_, i)| i as i64));
    }
    unrows(out, a.shape(), &[axis])
}

/// The positions along `axis` that sort it: stable, NaN last.
pub fn argsort(t: &Tensor, axis: usize, descending: bool) -> Tensor {
    Tensor::from_vec(t.shape(), each_dtype!(t, a => argsort_arr(a, axis, descending)))
}

fn sort_arr<T: SortKey>(a: &Arr<T>, axis: usize, descending: bool) -> Arr<T> {
    let data = flat(a);
    let (lines, n) = rows(&data, a.shape(), &[axis]);
    let mut out: Vec<T> = Vec::with_capacity(lines.len());
    let mut keyed = vec![];
    for row in lines.chunks(n.max(1)) {
        argsort_row(row, descending, &mut keyed);
        out.extend(keyed.iter().filter_map(|&(_, i)| row.get(i)));
    }
    array(a.shape(), unrows(out, a.shape(), &[axis]))
}

/// Sorted along `axis`, NaN last.
pub fn sort(t: &Tensor, axis: usize, descending: bool) -> Tensor {
    map_dtype!(t, a => sort_arr(a, axis, descending))
}

fn unique_arr<T: SortKey>(a: &Arr<T>) -> Arr<T> {
    let data = flat(a);
    let mut keyed = vec![];
    argsort_row(&data, false, &mut keyed);
    keyed.dedup_by_key(|(key, _)| *key);
    let out: Vec<T> = keyed.iter().filter_map(|&(_, i)| data.get(i).copied()).collect();
    array(&[out.len()], out)
}

/// The different elements, sorted; all NaN count as one.
pub fn unique(t: &Tensor) -> Tensor {
    map_dtype!(t, a => unique_arr(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], data: &[i64]) -> Tensor {
        Tensor::from_vec(shape, data.to_vec())
    }

    fn order(data: &[f64], descending: bool) -> Vec<f64> {
        argsort(&Tensor::from_vec(&[data.len()], data.to_vec()), 0, descending).iter_f64().collect()
    }

    #[test]
    fn sorting_is_stable_with_nan_last() {
        assert_eq!(order(&[2.0, 1.0, 2.0, -1.0], false), [3.0, 1.0, 0.0, 2.0]);
        assert_eq!(order(&[2.0, 1.0, 2.0, -1.0], true), [0.0, 2.0, 1.0, 3.0]);
        assert_eq!(order(&[f64::NAN, 1.0, f64::INFINITY], false), [1.0, 2.0, 0.0]);
        assert_eq!(order(&[f64::NAN, 1.0, f64::NEG_INFINITY], true), [1.0, 2.0, 0.0]);
        assert_eq!(order(&[0.0, -0.0], false), [0.0, 1.0]);
        assert_eq!(order(&[-0.0, 0.0], true), [0.0, 1.0]);
    }

    #[test]
    fn sorts_along_each_axis() {
        let x = ints(&[2, 3], &[3, 1, 2, 0, 5, i64::MIN]);
        assert!(sort(&x, 1, false).same(&ints(&[2, 3], &[1, 2, 3, i64::MIN, 0, 5])));
        assert!(sort(&x, 0, true).same(&ints(&[2, 3], &[3, 5, 2, 0, 1, i64::MIN])));
        assert!(sort(&ints(&[0, 2], &[]), 0, false).same(&ints(&[0, 2], &[])));
    }

    #[test]
    fn different_elements() {
        let x = Tensor::from_vec(&[2, 3], vec![2.0f32, f32::NAN, 1.0, 2.0, f32::NAN, -0.0]);
        let y: Vec<f64> = unique(&x).iter_f64().collect();
        assert_eq!(y[..3], [0.0, 1.0, 2.0]);
        assert!(y.len() == 4 && y[3].is_nan());
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
