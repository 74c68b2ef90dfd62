//! Stacks of matrices: the last two axes are a matrix, the axes before count them.
//!
//! In: float tensors of rank 2 or more and what to do with one matrix, given as a row-major buffer of f64 whatever the
//! dtype (f32 gains digits, and the decompositions are compiled once). Out: tensors of the dtype that came in.

use super::underflow::Underflow;
use super::{DType, Shape, Tensor, count, flat, show_shape};
use crate::error::Result;

/// Matrices of one size behind one another.
pub struct Matrices {
    /// The axes that count them.
    pub batch: Shape,
    pub rows: usize,
    pub cols: usize,
    pub dtype: DType,
    data: Vec<f64>,
}

impl Matrices {
    /// The matrices of a tensor; a vector counts as one column.
    pub fn of(t: &Tensor) -> Matrices {
        let (batch, rows, cols) = match t.shape() {
            [batch @ .., rows, cols] => (Shape::from_slice(batch), *rows, *cols),
            [rows] => (Shape::new(), *rows, 1),
            [] => (Shape::new(), 1, 1),
        };
        Matrices { batch, rows, cols, dtype: t.dtype(), data: flat(&t.to_f64()).into_owned() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        count(&self.batch)
    }

    /// Matrix `i`, row by row.
    pub fn get(&self, i: usize) -> &[f64] {
        let size = self.rows * self.cols;
        self.data.get(i * size..(i + 1) * size).unwrap_or(&[])
    }

    /// What `f` makes of each: as many buffers as `dims` names results, each of those dims.
    pub fn map(&self, dims: &[&[usize]], mut f: impl FnMut(&[f64]) -> Result<Vec<Vec<f64>>>) -> Result<Vec<Tensor>> {
        // Matrices are scaled by their largest entry, which may make others very small for a while.
        let _exact = Underflow::gradual();
        let n = self.count();
        let mut results: Vec<Vec<f64>> = dims.iter().map(|d| Vec::with_capacity(n * count(d))).collect();
        for i in 0..n {
            let parts = f(self.get(i)).map_err(|error| match self.place(i) {
                Some(place) => error.note(place),
                None => error,
            })?;
            for (result, part) in results.iter_mut().zip(parts) {
                result.extend(part);
            }
        }
        let tensor = |(dims, data): (&&[usize], Vec<f64>)| {
            let shape: Shape = self.batch.iter().chain(*dims).copied().collect();
            Tensor::floats(&shape, self.dtype, data.into_iter())
        };
        Ok(dims.iter().zip(results).map(tensor).collect())
    }

    /// Where matrix `i` stands, if there are several.
    fn place(&self, i: usize) -> Option<String> {
        if self.count() < 2 {
            return None;
        }
        let mut rest = i;
        let mut index: Vec<usize> = self.batch.iter().rev().map(|&n| (rest % n.max(1), rest /= n.max(1)).0).collect();
        index.reverse();
        Some(format!("the matrix at {} of the leading axes {}", show_shape(&index), show_shape(&self.batch)))
    }
}

/// The rounding unit of a dtype.
pub fn epsilon(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON }
}

/// The columns of a row-major matrix as rows.
pub fn transposed(rows: usize, cols: usize, a: &[f64]) -> Vec<f64> {
    let mut out = Vec::with_capacity(a.len());
    for j in 0..cols {
        out.extend((0..rows).filter_map(|i| a.get(i * cols + j)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn each_matrix_once() {
        let t = Tensor::from_vec(&[2, 1, 2], vec![1.0f32, 2.0, 3.0, 4.0]);
        let m = Matrices::of(&t);
        let sums = m.map(&[&[], &[2, 1]], |a| Ok(vec![vec![a.iter().sum()], transposed(1, 2, a)])).unwrap();
        assert!(sums[0].same(&Tensor::from_vec(&[2], vec![3.0f32, 7.0])));
        assert!(sums[1].same(&Tensor::from_vec(&[2, 2, 1], vec![1.0f32, 2.0, 3.0, 4.0])));
    }

    #[test]
    fn no_examples_and_no_elements() {
        let none = Matrices::of(&Tensor::zeros(&[0, 3, 3], DType::F64));
        assert_eq!(none.map(&[&[3, 3]], |_| Ok(vec![vec![0.0; 9]])).unwrap()[0].shape(), [0, 3, 3]);
        let empty = Matrices::of(&Tensor::zeros(&[2, 0, 0], DType::F64));
        assert_eq!(empty.map(&[&[]], |_| Ok(vec![vec![1.0]])).unwrap()[0].shape(), [2]);
    }

    #[test]
    fn an_error_tells_which() {
        let m = Matrices::of(&Tensor::zeros(&[2, 3, 1, 1], DType::F64));
        let mut calls = 0;
        let error = m.map(&[&[]], |_| {
            calls += 1;
            if calls == 5 { Err(Error::new("E0461", "no")) } else { Ok(vec![vec![0.0]]) }
        });
        assert_eq!(error.unwrap_err().0.notes, ["the matrix at [1, 1] of the leading axes [2, 3]"]);
    }
}
