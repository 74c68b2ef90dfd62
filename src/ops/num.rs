//! Derivative rules of elementwise primitives are written once, over [`Num`], and used three times: on `f64` (the
//! scalar tape), on lanes of `f32` and `f64` (fused pullbacks), and as an expression [`Ex`] (recorded primitives when
//! derivatives are nested).

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::rc::Rc;

use super::activation::{SIGMOID, SOFTPLUS};
use super::arith::{ABS, ADD, DIV, MUL, NEG, POW, SIGN, SUB};
use super::math::{COS, COSH, EXP, EXPM1, HYPOT, LOG, LOG1P, ROUND, SIN, SINH, SQRT, TANH};
use super::special::{DIGAMMA, MILLS, NDTR, NORMAL_DENSITY, POLYGAMMA};
use super::strong::{DIV_OR_ZERO, STRONG, ZMUL};
use crate::ops::prim::{Eval, Prim};

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
    /// `yes` where `a > b`, else `no` (NaN included). What is not chosen has no influence, not even on the slope.
    fn if_gt(a: Self, b: Self, yes: Self, no: Self) -> Self;
    /// `yes` where `a == b`, else `no` (NaN included).
    fn if_eq(a: Self, b: Self, yes: Self, no: Self) -> Self;

    /// A primitive of one argument and its `value` by a formula: for numbers that is the result (inlined, unlike a call of the
    /// primitive), what is recorded is the primitive, with its own rule.
    #[inline(always)]
    fn known(self, _prim: &'static Prim, value: Self) -> Self {
        value
    }

    fn exp(self) -> Self {
        self.unary(&EXP)
    }
    fn expm1(self) -> Self {
        self.unary(&EXPM1)
    }
    fn ln(self) -> Self {
        self.unary(&LOG)
    }
    fn ln1p(self) -> Self {
        self.unary(&LOG1P)
    }
    fn sqrt(self) -> Self {
        self.unary(&SQRT)
    }
    fn sin(self) -> Self {
        self.unary(&SIN)
    }
    fn cos(self) -> Self {
        self.unary(&COS)
    }
    fn sinh(self) -> Self {
        self.unary(&SINH)
    }
    fn cosh(self) -> Self {
        self.unary(&COSH)
    }
    fn tanh(self) -> Self {
        self.unary(&TANH)
    }
    fn abs(self) -> Self {
        self.unary(&ABS)
    }
    /// -1, 0 or 1; NaN for NaN.
    fn sign(self) -> Self {
        self.unary(&SIGN)
    }
    /// To the nearest, halves to even.
    fn round(self) -> Self {
        self.unary(&ROUND)
    }
    fn sigmoid(self) -> Self {
        self.unary(&SIGMOID)
    }
    /// `log(1 + exp(x))` without overflow.
    fn softplus(self) -> Self {
        self.unary(&SOFTPLUS)
    }
    /// Distribution function of the standard normal.
    fn ndtr(self) -> Self {
        self.unary(&NDTR)
    }
    /// Its density.
    fn density(self) -> Self {
        self.unary(&NORMAL_DENSITY)
    }
    /// What it has beyond `|self|` over the density there.
    fn mills(self) -> Self {
        self.unary(&MILLS)
    }
    /// The density times `|self|`, 0 at the infinities.
    fn density_by_size(self) -> Self {
        self.clone().density().zmul(self.abs())
    }
    fn digamma(self) -> Self {
        self.unary(&DIGAMMA)
    }
    /// The `self`-th derivative of digamma at `x`.
    fn polygamma(self, x: Self) -> Self {
        self.binary(&POLYGAMMA, x)
    }
    fn pow(self, y: Self) -> Self {
        self.binary(&POW, y)
    }
    fn hypot(self, y: Self) -> Self {
        self.binary(&HYPOT, y)
    }
    /// Product that is 0 where `self` is, whatever the other is.
    fn zmul(self, other: Self) -> Self {
        self.binary(&ZMUL, other)
    }
    /// Product that is 0 where either is, whatever the other is.
    fn strong(self, other: Self) -> Self {
        self.binary(&STRONG, other)
    }
    /// Quotient that is 0 where the divisor is.
    fn div_or_zero(self, other: Self) -> Self {
        self.binary(&DIV_OR_ZERO, other)
    }
}

/// A straight-line expression over the arguments and the result of a primitive.
#[derive(Clone)]
pub enum Ex {
    Const(f64),
    /// Argument `i` of the primitive; index `arity` is its result.
    Arg(usize),
    Unary(&'static Prim, Rc<Ex>),
    Binary(&'static Prim, Rc<Ex>, Rc<Ex>),
    /// If the first is greater than (or equal to) the second the third, else the fourth.
    Select(Test, Rc<[Ex; 4]>),
}

/// The condition of [`Ex::Select`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    Greater,
    Equal,
}

impl Ex {
    fn is(&self, x: f64) -> bool {
        matches!(self, Ex::Const(c) if *c == x)
    }

    /// Bit `i` is set if argument `i` (or the result, as index `arity`) is read.
    pub fn reads(&self) -> u32 {
        match self {
            Ex::Const(_) => 0,
            Ex::Arg(i) => 1 << i,
            Ex::Unary(_, a) => a.reads(),
            Ex::Binary(_, a, b) => a.reads() | b.reads(),
            Ex::Select(_, parts) => parts.iter().fold(0, |mask, e| mask | e.reads()),
        }
    }
}

impl Num for Ex {
    fn c(x: f64) -> Ex {
        Ex::Const(x)
    }
    fn unary(self, prim: &'static Prim) -> Ex {
        Ex::Unary(prim, Rc::new(self))
    }
    fn binary(self, prim: &'static Prim, other: Ex) -> Ex {
        Ex::Binary(prim, Rc::new(self), Rc::new(other))
    }
    fn known(self, prim: &'static Prim, _value: Ex) -> Ex {
        self.unary(prim)
    }
    fn if_gt(a: Ex, b: Ex, yes: Ex, no: Ex) -> Ex {
        Ex::Select(Test::Greater, Rc::new([a, b, yes, no]))
    }
    fn if_eq(a: Ex, b: Ex, yes: Ex, no: Ex) -> Ex {
        Ex::Select(Test::Equal, Rc::new([a, b, yes, no]))
    }
}

impl Add for Ex {
    type Output = Ex;
    fn add(self, other: Ex) -> Ex {
        self.binary(&ADD, other)
    }
}
impl Sub for Ex {
    type Output = Ex;
    fn sub(self, other: Ex) -> Ex {
        self.binary(&SUB, other)
    }
}
impl Mul for Ex {
    type Output = Ex;
    fn mul(self, other: Ex) -> Ex {
        match (self.is(1.0), other.is(1.0)) {
            (true, _) => other,
            (_, true) => self,
            _ => self.binary(&MUL, other),
        }
    }
}
impl Div for Ex {
    type Output = Ex;
    fn div(self, other: Ex) -> Ex {
        if other.is(1.0) { self } else { self.binary(&DIV, other) }
    }
}
impl Neg for Ex {
    type Output = Ex;
    fn neg(self) -> Ex {
        match self {
            Ex::Const(x) => Ex::Const(-x),
            other => other.unary(&NEG),
        }
    }
}

/// A primitive as a function of one float; NaN if it is not such.
pub(super) fn call_unary(prim: &'static Prim, x: f64) -> f64 {
    match &prim.eval {
        Eval::Elementwise(super::lanes::Elementwise { scalar: super::lanes::Scalar::Unary { f, .. }, .. }) => f(x),
        _ => f64::NAN,
    }
}

/// A primitive as a function of two floats; NaN if it is not such.
pub(super) fn call_binary(prim: &'static Prim, x: f64, y: f64) -> f64 {
    match &prim.eval {
        Eval::Elementwise(super::lanes::Elementwise { scalar: super::lanes::Scalar::Binary { f, .. }, .. }) => f(x, y),
        _ => f64::NAN,
    }
}
