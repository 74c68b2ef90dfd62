//! Shapes of a few axes, which are copied like numbers.

/// A shape of at most [`Form::RANK`] axes.
#[derive(Clone, Copy, Default)]
pub struct Form {
    dims: [usize; Form::RANK],
    rank: usize,
}

impl Form {
    pub const RANK: usize = 3;

    /// `None` for more axes.
    #[inline]
    pub fn of(shape: &[usize]) -> Option<Form> {
        let mut dims = [0; Form::RANK];
        for (own, dim) in dims.get_mut(..shape.len())?.iter_mut().zip(shape) {
            *own = *dim;
        }
        Some(Form { dims, rank: shape.len() })
    }

    /// Its dims.
    #[inline]
    pub fn dims(&self) -> &[usize] {
        self.dims.get(..self.rank).unwrap_or(&[])
    }

    /// Whether a shape is this one.
    #[inline]
    pub fn is(&self, shape: &[usize]) -> bool {
        alike(self.dims(), shape)
    }
}

/// Whether two shapes are the same. Nearly all have one or two axes, for which a call to compare memory is too much.
#[inline]
pub fn alike(a: &[usize], b: &[usize]) -> bool {
    match (a, b) {
        ([m], [n]) => m == n,
        ([m, n], [k, l]) => m == k && n == l,
        _ => a == b,
    }
}
