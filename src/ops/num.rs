//! Derivative rules of elementwise primitives are written once, over [`Num`], and used twice: on `f64` (the scalar
//! tape) and as an expression [`Ex`] (fused lane programs over tensors, and recorded primitives when nested).

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::ops::prim::Prim;

/// What a rule may compute with.
pub trait Num:
    Clone + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// A constant.
    fn c(x: f64) -> Self;
    /// An elementwise primitive of one argument.
    fn unary(self, prim: &'static Prim) -> Self;
    /// An elementwise primitive of two arguments.
    fn binary(self, prim: &'static Prim, other: Self) -> Self;
}

/// A straight-line expression over the arguments and the result of a primitive.
#[derive(Clone)]
pub enum Ex {
    Const(f64),
    /// Argument `i` of the primitive; index `arity` is its result.
    Arg(usize),
    Unary(&'static Prim, std::rc::Rc<Ex>),
    Binary(&'static Prim, std::rc::Rc<Ex>, std::rc::Rc<Ex>),
}
