//! Tensors from and to plain vectors in row-major order, for builtins that read and write data.
//!
//! Invariant: the length of the vector is the product of the dims; else it is an error, never a panic.

use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::{Arr, DType, Tensor, show_shape};

/// A float tensor of `dtype`: `F32` if that is what it says, else `F64`.
pub fn float_tensor(dtype: DType, shape: &[usize], data: Vec<f64>) -> Result<Tensor> {
    match dtype {
        DType::F32 => f32_tensor(shape, data.into_iter().map(|x| x as f32).collect()),
        _ => f64_tensor(shape, data),
    }
}

macro_rules! from_vec {
    ($($(#[$doc:meta])* $name:ident, $element:ty, $variant:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(shape: &[usize], data: Vec<$element>) -> Result<Tensor> {
            let found = data.len();
            Arr::from_shape_vec(shape.to_vec(), data).map(Tensor::$variant).map_err(|_| mismatch(shape, found))
        }
    )*};
}

from_vec! {
    f32_tensor, f32, F32;
    f64_tensor, f64, F64;
    int_tensor, i64, Int;
    bool_tensor, bool, Bool;
}

#[cold]
fn mismatch(shape: &[usize], found: usize) -> Error {
    Error::new("E0400", format!("{found} numbers don't fill a tensor of shape {}", show_shape(shape)))
}

impl Tensor {
    /// The elements, row by row, as little-endian bytes; a bool is one byte.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        fn gather<T: Copy, const N: usize>(a: &Arr<T>, bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
            let mut out = Vec::with_capacity(a.len() * N);
            match a.as_slice() {
                Some(flat) => flat.iter().for_each(|&x| out.extend_from_slice(&bytes(x))),
                None => a.iter().for_each(|&x| out.extend_from_slice(&bytes(x))),
            }
            out
        }
        match self {
            Tensor::Bool(a) => gather(a, |x| [u8::from(x)]),
            Tensor::Int(a) => gather(a, i64::to_le_bytes),
            Tensor::F32(a) => gather(a, f32::to_le_bytes),
            Tensor::F64(a) => gather(a, f64::to_le_bytes),
        }
    }

    /// True if shape and all elements are equal as numbers (floats as IEEE: NaN is not equal to itself).
    pub fn same_elements(&self, other: &Tensor) -> bool {
        fn all_equal<T: Copy + PartialEq>(a: &Arr<T>, b: &Arr<T>) -> bool {
            a.iter().zip(b.iter()).all(|(x, y)| x == y)
        }
        if self.shape() != other.shape() {
            return false;
        }
        match (self, other) {
            (Tensor::Bool(a), Tensor::Bool(b)) => all_equal(a, b),
            (Tensor::Int(a), Tensor::Int(b)) => all_equal(a, b),
            (Tensor::F32(a), Tensor::F32(b)) => all_equal(a, b),
            (Tensor::F64(a), Tensor::F64(b)) => all_equal(a, b),
            (Tensor::Bool(_), _) | (_, Tensor::Bool(_)) => false,
            _ => self.to_f64s().iter().zip(other.to_f64s()).all(|(x, y)| *x == y),
        }
    }

    /// The elements, row by row, as floats; a bool is 0 or 1.
    pub fn to_f64s(&self) -> Vec<f64> {
        f64::load(self).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_in_row_order() {
        let t = int_tensor(&[2, 2], vec![1, 2, 3, 4]).unwrap();
        let Tensor::Int(a) = &t else { panic!() };
        let transposed = Tensor::Int(a.clone().reversed_axes());
        let bytes = transposed.to_le_bytes();
        let firsts: Vec<u8> = bytes.chunks(8).map(|c| c[0]).collect();
        assert_eq!(firsts, [1, 3, 2, 4]);
    }

    #[test]
    fn a_wrong_count_is_an_error() {
        assert!(f32_tensor(&[2, 2], vec![1.0]).is_err());
        assert!(f32_tensor(&[usize::MAX, 2], vec![1.0]).is_err());
    }

    #[test]
    fn equality_crosses_dtypes_of_numbers() {
        let ints = int_tensor(&[2], vec![1, 2]).unwrap();
        let floats = float_tensor(DType::F32, &[2], vec![1.0, 2.0]).unwrap();
        assert!(ints.same_elements(&floats));
        assert!(!ints.same_elements(&int_tensor(&[2], vec![1, 3]).unwrap()));
        let nan = f64_tensor(&[1], vec![f64::NAN]).unwrap();
        assert!(!nan.same_elements(&nan));
    }
}
