//! Products of a matrix and a vector. Each element of the matrix is read once, so what pays for products of matrices (packing them)
//! would cost more than the product.
//!
//! Products and sums are rounded one by one, so results have the same bits on every processor.

use std::borrow::Cow;

use ndarray::{ArrayView1, ArrayView2};

use super::cast::Float;
use super::simd::sums::{add_columns, row_dots};

/// `out = a @ x` for a matrix that lies densely by rows or by columns; false, with `out` as it was, for any other. `out` has as many
/// elements as `a` has rows.
pub fn product<T: Float>(a: ArrayView2<'_, T>, x: ArrayView1<'_, T>, out: &mut [T]) -> bool {
    let by_columns = a.t();
    let (data, rows) = match (a.to_slice(), by_columns.to_slice()) {
        (Some(data), _) => (data, true),
        (None, Some(data)) => (data, false),
        (None, None) => return false,
    };
    let x: Cow<'_, [T]> = match x.to_slice() {
        Some(x) => Cow::Borrowed(x),
        None => Cow::Owned(x.to_vec()),
    };
    if rows {
        row_dots(data, &x, out);
    } else {
        out.fill(T::default());
        add_columns(data, &x, out);
    }
    true
}
