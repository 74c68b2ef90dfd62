//! Dense tensors: the only folder that touches buffers and the only one that names `ndarray`.
//!
//! A [`Tensor`] is a counted, copy-on-write buffer seen through shape and strides; views (slices, transposes,
//! broadcasts) share it. Hot kernels take the contiguous slice when there is one.

pub mod vecs;

use std::fmt;

use ndarray::{ArcArray, IxDyn};

use crate::value::Value;

/// The array behind one dtype.
pub type Arr<T> = ArcArray<T, IxDyn>;

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

/// A shape as messages show it: `[3, 4]`.
pub fn show_shape(shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", dims.join(", "))
}
