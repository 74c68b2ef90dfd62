//! The inside of an elementwise primitive: scalar functions, block kernels over lanes, partials.

use crate::ops::num::Ex;

/// Everything about an elementwise primitive but its name. Built by the macros of this file.
pub struct Elementwise {
    /// The f64 functions, which the VM calls directly for scalars.
    pub scalar: Scalar,
    /// What becomes of int (and bool) arguments.
    pub ints: Ints,
    /// Block kernels: one output lane for each lane of the arguments; all slices have one length.
    pub lanes32: fn(&[&[f32]], &mut [f32]),
    pub lanes64: fn(&[&[f64]], &mut [f64]),
    /// Partial derivatives, one for each argument, as expressions over arguments and result.
    pub partials: fn() -> Vec<Ex>,
}

/// Scalar evaluation and partials; partials take the arguments and then the result.
pub enum Scalar {
    Unary { f: fn(f64) -> f64, d: fn(f64, f64) -> f64 },
    Binary { f: fn(f64, f64) -> f64, d: [fn(f64, f64, f64) -> f64; 2] },
    Ternary { f: fn(f64, f64, f64) -> f64, d: [fn(f64, f64, f64, f64) -> f64; 3] },
}

/// How an elementwise primitive treats ints.
pub enum Ints {
    /// Ints become floats (`sqrt`, `/`).
    Promote,
    /// Ints stay ints; `None` is overflow or division by zero (`+`, `abs`).
    Unary(fn(i64) -> Option<i64>),
    Binary(fn(i64, i64) -> Option<i64>),
    Ternary(fn(i64, i64, i64) -> Option<i64>),
}
