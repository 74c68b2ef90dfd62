//! Dense tensors: the only folder that touches buffers and the only one that names `ndarray`.
//!
//! A [`Tensor`] is a counted, copy-on-write buffer seen through shape and strides; views (slices, transposes,
//! broadcasts) share it. Hot kernels take the contiguous slice when there is one.

pub mod abreast;
pub mod along;
pub mod attention;
pub mod blocked;
pub mod broadcast;
pub mod buffers;
pub mod cast;
pub mod class_log_prob;
pub mod convolve;
pub mod copy;
pub mod create;
pub mod cut;
pub mod decompose;
pub mod elementwise;
pub mod form;
pub mod format;
pub mod format_spec;
pub mod formula;
pub mod index;
pub mod lanes;
pub mod layer_norm;
pub mod matmul;
pub mod matrices;
pub mod matvec;
pub(crate) mod nursery;
pub mod out;
pub mod parts;
pub mod pool;
pub mod random;
pub mod reduce;
pub mod room;
pub mod scan;
pub mod simd;
pub mod small;
pub mod small_matrices;
pub mod softmax;
pub mod sort;
pub mod spares;
pub mod strided;
pub mod threads;
pub mod underflow;
pub mod vecs;
pub mod view;
pub mod window;
pub mod workers;

use std::borrow::Cow;
use std::fmt;

use ndarray::{ArcArray, IxDyn};
use smallvec::SmallVec;

use self::simd::kernels::all_finite;
use crate::map_dtype;
use crate::ops::real::Real;
use crate::value::Value;

/// The array behind one dtype.
pub type Arr<T> = ArcArray<T, IxDyn>;

/// Dims of a tensor, outermost first.
pub type Shape = SmallVec<[usize; 4]>;

/// Element types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum DType {
    Bool,
    Int,
    F32,
    F64,
}

impl DType {
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::Bool => "bool",
            DType::Int => "int",
            DType::F32 => "f32",
            DType::F64 => "f64",
        })
    }
}

/// A tensor of any rank. As a [`Value`] its rank is 1 or more.
#[derive(Clone, Debug)]
pub enum Tensor {
    Bool(Arr<bool>),
    Int(Arr<i64>),
    F32(Arr<f32>),
    F64(Arr<f64>),
}

/// Runs one expression for whichever dtype the tensor has.
#[macro_export]
macro_rules! each_dtype {
    ($tensor:expr, $a:ident => $body:expr) => {
        match $tensor {
            $crate::tensor::Tensor::Bool($a) => $body,
            $crate::tensor::Tensor::Int($a) => $body,
            $crate::tensor::Tensor::F32($a) => $body,
            $crate::tensor::Tensor::F64($a) => $body,
        }
    };
}

impl Tensor {
    pub fn dtype(&self) -> DType {
        match self {
            Tensor::Bool(_) => DType::Bool,
            Tensor::Int(_) => DType::Int,
            Tensor::F32(_) => DType::F32,
            Tensor::F64(_) => DType::F64,
        }
    }

    pub fn shape(&self) -> &[usize] {
        each_dtype!(self, a => a.shape())
    }

    pub fn rank(&self) -> usize {
        self.shape().len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        each_dtype!(self, a => a.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        each_dtype!(self, a => a.is_standard_layout())
    }

    /// The same tensor with its elements in row-major order; shares the buffer if they are already.
    pub fn contiguous(&self) -> Tensor {
        if self.is_contiguous() {
            return self.clone();
        }
        map_dtype!(self, a => view::standard(a))
    }

    /// All elements as floats in row-major order.
    pub fn iter_f64(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match self {
            Tensor::Bool(a) => Box::new(a.iter().map(|&x| x as u8 as f64)),
            Tensor::Int(a) => Box::new(a.iter().map(|&x| x as f64)),
            Tensor::F32(a) => Box::new(a.iter().map(|&x| x as f64)),
            Tensor::F64(a) => Box::new(a.iter().copied()),
        }
    }

    /// All elements as scalar values in row-major order.
    pub fn iter_values(&self) -> Box<dyn Iterator<Item = Value> + '_> {
        match self {
            Tensor::Bool(a) => Box::new(a.iter().map(|&x| Value::Bool(x))),
            Tensor::Int(a) => Box::new(a.iter().map(|&x| Value::Int(x))),
            Tensor::F32(a) => Box::new(a.iter().map(|&x| Value::float(x as f64))),
            Tensor::F64(a) => Box::new(a.iter().map(|&x| Value::float(x))),
        }
    }

    /// False if an element is NaN or infinite.
    pub fn all_finite(&self) -> bool {
        match self {
            Tensor::Bool(_) | Tensor::Int(_) => true,
            Tensor::F32(a) => finite(a),
            Tensor::F64(a) => finite(a),
        }
    }

    /// True if all elements are 0 (or false).
    pub fn all_zero(&self) -> bool {
        match self {
            Tensor::Bool(a) => every(a, |&x| !x),
            Tensor::Int(a) => every(a, |&x| x == 0),
            Tensor::F32(a) => every(a, |&x| x == 0.0),
            Tensor::F64(a) => every(a, |&x| x == 0.0),
        }
    }

    /// Same dtype, shape and elements; NaN equals nothing.
    pub fn same(&self, other: &Tensor) -> bool {
        match (self, other) {
            (Tensor::Bool(a), Tensor::Bool(b)) => a == b,
            (Tensor::Int(a), Tensor::Int(b)) => a == b,
            (Tensor::F32(a), Tensor::F32(b)) => a == b,
            (Tensor::F64(a), Tensor::F64(b)) => a == b,
            _ => false,
        }
    }

    /// The only element of a tensor of one element (rank 0 above all) as a scalar value.
    pub fn scalar_value(&self) -> Value {
        match self {
            Tensor::Bool(a) => a.first().map_or(Value::None, |&x| Value::Bool(x)),
            Tensor::Int(a) => a.first().map_or(Value::None, |&x| Value::Int(x)),
            Tensor::F32(a) => a.first().map_or(Value::None, |&x| Value::float(x as f64)),
            Tensor::F64(a) => a.first().map_or(Value::None, |&x| Value::float(x)),
        }
    }
}

/// True if `holds` is true of all elements. The first one often tells; the others go by blocks, which take vector instructions.
fn every<T>(a: &Arr<T>, holds: impl Fn(&T) -> bool) -> bool {
    if a.first().is_some_and(|x| !holds(x)) {
        return false;
    }
    let of_block = |block: &[T]| block.iter().fold(true, |ok, x| ok & holds(x));
    strided::each_row(a, |row| row.chunks(64).all(of_block))
}

/// True if no element is NaN or infinite.
fn finite<T: Real>(a: &Arr<T>) -> bool {
    /// Elements that are looked at without asking whether one was infinite; fewer than the second are no vectors.
    const BLOCK: usize = 1 << 12;
    const SHORT: usize = 16;
    if a.first().is_some_and(|x| !x.to_f64().is_finite()) {
        return false;
    }
    strided::each_row(a, |row| match row.len() {
        0..SHORT => row.iter().fold(true, |ok, x| ok & x.to_f64().is_finite()),
        _ => row.chunks(BLOCK).all(all_finite),
    })
}

/// The elements of an array if they lie in row-major order without gaps.
#[inline]
pub fn dense<T>(a: &Arr<T>) -> Option<&[T]> {
    let n = match (a.shape(), a.strides()) {
        (&[n], &[1]) if n > 0 => n,
        (&[m, n], &[step, 1]) if m > 0 && n > 0 && step == n as isize => m * n,
        _ => return a.as_slice(),
    };
    // SAFETY: `ndarray` guarantees that the elements of an array lie where pointer and strides say, and by these strides they are
    // `n` neighbours.
    Some(unsafe { std::slice::from_raw_parts(a.as_ptr(), n) })
}

/// The same to be changed: of a buffer that others see, a copy.
#[inline]
pub fn dense_mut<T: Clone>(a: &mut Arr<T>) -> Option<&mut [T]> {
    let n = match (a.shape(), a.strides()) {
        (&[n], &[1]) if n > 0 => n,
        (&[m, n], &[step, 1]) if m > 0 && n > 0 && step == n as isize => m * n,
        _ => return a.as_slice_mut(),
    };
    // SAFETY: as in `dense`; the pointer is to a buffer that is this array's alone.
    Some(unsafe { std::slice::from_raw_parts_mut(a.as_mut_ptr(), n) })
}

/// The elements of an array in row-major order: borrowed if they lie so, else copied.
pub fn flat<T: Copy>(a: &Arr<T>) -> Cow<'_, [T]> {
    match dense(a) {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(strided::copied(a)),
    }
}

/// Number of elements of a shape.
#[inline]
pub fn count(shape: &[usize]) -> usize {
    match shape {
        // Most are so.
        [n] => *n,
        [m, n] => m * n,
        _ => shape.iter().product(),
    }
}

/// A shape as messages show it: `[3, 4]`.
pub fn show_shape(shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", dims.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_found_wherever_it_lies() {
        let shape = [5, 40, 18];
        // Rows that are vectors, and shorter ones.
        for end in [17, 6] {
            let part = |t: &Tensor| {
                let rows = view::slice_axis(&view::slice_axis(t, 2, 1, end, 1), 0, 1, 4, 2);
                view::permute(&rows, &[1, 0, 2])
            };
            let inside = part(&Tensor::from_vec(&shape, (0..count(&shape)).map(|i| i as i64).collect()));
            let inside: Vec<f64> = inside.iter_f64().collect();
            for at in 0..count(&shape) {
                let mut data = vec![1.0f32; count(&shape)];
                data[at] = [f32::NAN, f32::INFINITY, -f32::INFINITY][at % 3];
                let whole = Tensor::from_vec(&shape, data);
                assert!(!whole.all_finite());
                assert_eq!(part(&whole).all_finite(), !inside.contains(&(at as f64)), "{at}");
            }
        }
        assert!(Tensor::zeros(&[0, 3], DType::F32).all_finite());
    }
}
