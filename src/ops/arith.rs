//! Arithmetic: the operators, `abs`, `sign`.
//!
//! Ints stay ints where that is exact, and overflow is an error. Remainders follow the divisor's sign, as in Python.

use super::lanes::{Elementwise, Ints, UnaryRule, unary};
use super::num::Num;
use super::prim::{Batch, Default, Diff, Eval, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::real::Real;
use crate::tensor::lanes::Lanes;
use crate::tensor::simd::ints::{self, IntBinary, Marked, Quotient, Remainder, divide_small};
use crate::types::ty::Ty;
use crate::value::Value;
use crate::{binary_prims, unary_prims};

/// The family.
pub static PRIMS: &[&Prim] =
    &[&ADD, &SUB, &MUL, &DIV, &NEG, &POW, &FLOORDIV, &REM, &FMOD, &ABS, &SIGN, &COPYSIGN, &HEAVISIDE, &NAN_TO_NUM];

binary_prims! {
    ADD "add" ("a", "b"), "`a + b`, elementwise with broadcasting.",
        ints: crate::ints!(|a, b| ints::add(a, b)),
        f(a, b) a + b,
        d0(a, b, y) N::c(1.0),
        d1(a, b, y) N::c(1.0),
        probe: -2.0..2.0, -2.0..2.0, &[0.0], &[1.0];
    SUB "sub" ("a", "b"), "`a - b`, elementwise with broadcasting.",
        ints: crate::ints!(|a, b| ints::sub(a, b)),
        f(a, b) a - b,
        d0(a, b, y) N::c(1.0),
        d1(a, b, y) N::c(-1.0),
        probe: -2.0..2.0, -2.0..2.0, &[0.0], &[1.0];
    MUL "mul" ("a", "b"), "`a * b`, elementwise with broadcasting.",
        ints: crate::ints!(|a, b| ints::mul(a, b)),
        f(a, b) a * b,
        d0(a, b, y) b,
        d1(a, b, y) a,
        probe: -2.0..2.0, -2.0..2.0, &[0.0, 0.0], &[1.0, 0.0];
    DIV "div" ("a", "b"), "`a / b` as floats, elementwise with broadcasting. At a divisor of 0 the slopes are infinite or NaN, as the value.",
        ints: Ints::Promote,
        f(a, b) a / b,
        d0(a, b, y) N::c(1.0) / b,
        d1(a, b, y) -(y / b),
        probe: -2.0..2.0, 0.5..2.0, &[0.0, -1.0], &[-1.0, -2.0];
    POW "pow" ("x", "y"), "`x ^ y`, elementwise with broadcasting. An int to a non-negative int stays int. The slope is 0 for exponent 0, also at base 0; for a negative base the slope in `y` is NaN.",
        ints: crate::ints!(|a, b| if b == 2 { ints::mul(a, a) } else { ints::mark(int_pow(a, b)) }),
        f(a, b) a.pow(b),
        d0(a, b, y) N::if_eq(b.clone(), N::c(0.0), N::c(0.0), b.clone() * a.pow(b - N::c(1.0))),
        d1(a, b, y) {
            let at_zero = N::if_gt(N::c(0.0), b, N::c(f64::NEG_INFINITY), N::c(0.0));
            N::if_eq(a.clone(), N::c(0.0), at_zero, y.zmul(a.ln()))
        },
        probe: 0.5..2.0, -2.0..2.0, &[0.7, 2.0, 1.5], &[1.0, 2.0, 3.0],
        special: special_pow;
    REM "rem" ("x", "y"), "`x % y`: remainder with the sign of the divisor, elementwise with broadcasting. Slopes 1 and `-floor(x / y)`, also at the jumps.",
        ints: Ints::binary::<IntRem>(),
        f(a, b) rem(a, b),
        // NaN where the result is; (x - y_out) / y is whole up to rounding.
        d0(a, b, y) N::if_eq(y.clone(), y.clone(), N::c(1.0), y),
        d1(a, b, y) N::if_eq(y.clone(), y.clone(), -((a - y.clone()) / b).round(), y),
        probe: 0.1..0.9, 1.0..2.0, &[5.5, -5.5, 5.5], &[3.0, 3.0, -3.0];
    FMOD "fmod" ("x", "y"), "Remainder of `x / y` with the sign of the dividend, elementwise with broadcasting. Slopes 1 and `-trunc(x / y)`, also at the jumps.",
        ints: crate::ints!(|a, b| ints::mark(if b == -1 { Some(0) } else { a.checked_rem(b) })),
        f(a, b) a.fmod(b),
        d0(a, b, y) N::if_eq(y.clone(), y.clone(), N::c(1.0), y),
        d1(a, b, y) N::if_eq(y.clone(), y.clone(), -((a - y.clone()) / b).round(), y),
        probe: 0.1..0.9, 1.0..2.0, &[5.5, -5.5, 5.5], &[3.0, 3.0, -3.0];
    COPYSIGN "copysign" ("x", "y"), "The magnitude of `x` with the sign of `y` (also of -0), elementwise with broadcasting. Slope 0 in `x` at 0, and 0 in `y`.",
        ints: Ints::Promote,
        f(a, b) a.via2(b, f64::copysign),
        d0(a, b, y) a.sign() * y.sign(),
        d1(a, b, y) N::c(0.0),
        probe: 0.5..2.0, -2.0..-0.5, &[-1.0, 2.0], &[3.0, -1.0];
}

/// Remainder with the sign of the divisor.
#[inline(always)]
fn rem<T: Real>(a: T, b: T) -> T {
    let zero = T::c(0.0);
    let r = a.fmod(b);
    if r != zero && (r > zero) != (b > zero) { r + b } else { r }
}

/// Floor of the quotient, consistent with [`rem`].
#[inline(always)]
fn floordiv<T: Real>(a: T, b: T) -> T {
    if b == T::c(0.0) {
        return a / b;
    }
    if b.abs() == T::c(f64::INFINITY) && a.abs() < T::c(f64::INFINITY) {
        // The quotient is 0 or just below.
        return if (a < T::c(0.0) && b > T::c(0.0)) || (a > T::c(0.0) && b < T::c(0.0)) { T::c(-1.0) } else { a / b };
    }
    Num::round((a - rem(a, b)) / b)
}

/// Remainder with the sign of the divisor, of ints.
struct IntRem;

impl IntBinary for IntRem {
    #[inline(always)]
    fn f(a: i64, b: i64) -> Marked {
        if b == -1 {
            return (0, 0); // i64::MIN % -1 overflows in hardware only
        }
        ints::mark(a.checked_rem(b).map(|r| if r != 0 && (r > 0) != (b > 0) { r + b } else { r }))
    }
    #[inline(always)]
    fn block(a: Lanes<'_, i64>, b: Lanes<'_, i64>, out: &mut Vec<i64>) -> bool {
        divide_small::<Remainder>(a, b, out)
    }
}

/// Floor of the quotient, of ints.
struct IntFloordiv;

impl IntBinary for IntFloordiv {
    #[inline(always)]
    fn f(a: i64, b: i64) -> Marked {
        ints::mark(a.checked_div(b).map(|q| if a % b != 0 && (a > 0) != (b > 0) { q - 1 } else { q }))
    }
    #[inline(always)]
    fn block(a: Lanes<'_, i64>, b: Lanes<'_, i64>, out: &mut Vec<i64>) -> bool {
        divide_small::<Quotient>(a, b, out)
    }
}

/// `None` also for negative exponents; [`special_pow`] sends those to floats.
fn int_pow(a: i64, b: i64) -> Option<i64> {
    match a {
        1 => Some(1),
        0 if b > 0 => Some(0),
        -1 if b >= 0 => Some(if b % 2 == 0 { 1 } else { -1 }),
        _ => a.checked_pow(u32::try_from(b).ok()?),
    }
}

/// `x ^ k` for a fixed small `k`, without a call of the general power.
struct Power<const K: i32>;

impl<const K: i32> UnaryRule for Power<K> {
    #[inline(always)]
    fn f<T: Real>(x: T) -> T {
        match K {
            1 => x,
            2 => x * x,
            3 => x * x * x,
            4 => {
                let square = x * x;
                square * square
            }
            -1 => T::c(1.0) / x,
            _ => T::NAN,
        }
    }
    #[inline(always)]
    fn d<N: Num>(x: N, _: N) -> N {
        match K {
            1 => N::c(1.0),
            2 => N::c(2.0) * x,
            3 => N::c(3.0) * (x.clone() * x),
            4 => N::c(4.0) * (x.clone() * x.clone() * x),
            // Not by the result: the power does not keep it for its slope in x.
            -1 => -(N::c(1.0) / (x.clone() * x)),
            _ => N::c(f64::NAN),
        }
    }
}

static ITSELF: Elementwise = unary::<Power<1>>(Ints::Promote);
static SQUARE: Elementwise = unary::<Power<2>>(Ints::Promote);
static CUBE: Elementwise = unary::<Power<3>>(Ints::Promote);
static FOURTH: Elementwise = unary::<Power<4>>(Ints::Promote);
static RECIPROCAL: Elementwise = unary::<Power<-1>>(Ints::Promote);

/// The exponent, if that is the inside of a fixed power.
pub fn cheap_power(inside: &'static Elementwise) -> Option<i32> {
    let powers = [(1, &ITSELF), (2, &SQUARE), (3, &CUBE), (4, &FOURTH), (-1, &RECIPROCAL)];
    powers.into_iter().find(|(_, power)| std::ptr::eq(*power, inside)).map(|(k, _)| k)
}

/// The general power on floats, for ints with a negative exponent.
struct FloatPower;
impl super::lanes::BinaryRule for FloatPower {
    #[inline(always)]
    fn f<T: Real>(a: T, b: T) -> T {
        a.pow(b)
    }
    #[inline(always)]
    fn d0<N: Num>(a: N, b: N, _: N) -> N {
        b.clone() * a.pow(b - N::c(1.0))
    }
    #[inline(always)]
    fn d1<N: Num>(a: N, _: N, y: N) -> N {
        y.zmul(a.ln())
    }
}
static FLOAT_POWER: Elementwise = super::lanes::binary::<FloatPower>(Ints::Promote);

fn special_pow(args: &[Value]) -> Option<&'static Elementwise> {
    let [x, y] = args else { return None };
    let int_base = match x {
        Value::Int(_) | Value::Bool(_) => true,
        Value::Tensor(_, t) => !t.dtype().is_float(),
        _ => false,
    };
    let exponent = match y {
        Value::Int(k) if int_base => return (*k < 0).then_some(&FLOAT_POWER),
        Value::Int(k) => *k as f64,
        Value::Float(_, k) if matches!(x, Value::Tensor(..)) && !int_base => *k,
        Value::Tensor(_, t) if int_base && !t.dtype().is_float() => {
            return t.iter_f64().any(|k| k < 0.0).then_some(&FLOAT_POWER);
        }
        _ => return None,
    };
    match exponent {
        // Which the slope of a square has.
        1.0 => Some(&ITSELF),
        2.0 => Some(&SQUARE),
        3.0 => Some(&CUBE),
        4.0 => Some(&FOURTH),
        -1.0 => Some(&RECIPROCAL),
        _ => None,
    }
}

unary_prims! {
    NEG "neg", "`-x`, elementwise.",
        ints: crate::ints!(|x| ints::neg(x)),
        f(x) -x,
        d(x, y) N::c(-1.0),
        probe: -2.0..2.0, &[0.0];
    ABS "abs", "Absolute value, elementwise. Slope 0 at 0.",
        ints: crate::ints!(|x| ints::abs(x)),
        f(x) x.abs(),
        d(x, y) x.sign(),
        probe: 0.2..2.0, &[-1.0, 0.0];
    NAN_TO_NUM "nan_to_num", "`x` with 0 for NaN and the largest finite number for inf, elementwise. Slope 0 there, else 1.",
        ints: crate::ints!(|x| (x, 0)),
        f(x) if x.is_nan() { T::c(0.0) } else if x.abs() == T::INFINITY { x.sign() * T::MAX } else { x },
        d(x, y) N::if_eq(x, y, N::c(1.0), N::c(0.0)),
        probe: -2.0..2.0, &[0.0];
}

/// The rules of piecewise constant functions: value by `f`, slope 0.
macro_rules! steps {
    ($($NAME:ident $name:literal, $doc:literal, ints: $ints:expr, f($x:ident) $f:expr, probe: $points:expr;)*) => {
        $(
            pub static $NAME: Prim = {
                struct Rule;
                impl UnaryRule for Rule {
                    #[inline(always)]
                    fn f<T: Real>($x: T) -> T {
                        $f
                    }
                    #[inline(always)]
                    fn d<N: Num>(_: N, _: N) -> N {
                        N::c(0.0)
                    }
                }
                static INSIDE: Elementwise = unary::<Rule>($ints);
                fn infer(args: &[Ty]) -> crate::error::Result<Ty> {
                    super::shape_rules::elementwise($name, args, matches!(INSIDE.ints, Ints::Promote))
                }
                Prim {
                    name: $name,
                    doc: $doc,
                    sig: Sig { params: &[req("x")] },
                    infer,
                    eval: Eval::Elementwise(&INSIDE),
                    diff: Diff::Zero,
                    batch: super::prim::Batch::Elementwise,
                    probe: Probe { samples: &[Sample { args: &[ProbeArg::Point($points)] }] },
                }
            };
        )*
    };
}
pub(super) use steps;

steps! {
    SIGN "sign", "-1, 0 or 1, elementwise. Slope 0.",
        ints: crate::ints!(|i| (i.signum(), 0)),
        f(x) x.sign(),
        probe: &[-1.5, 0.5, 2.0];
}

/// `x // y`: the floor of the quotient. Slope 0.
pub static FLOORDIV: Prim = {
    struct Rule;
    impl super::lanes::BinaryRule for Rule {
        #[inline(always)]
        fn f<T: Real>(a: T, b: T) -> T {
            floordiv(a, b)
        }
        #[inline(always)]
        fn d0<N: Num>(_: N, _: N, _: N) -> N {
            N::c(0.0)
        }
        #[inline(always)]
        fn d1<N: Num>(_: N, _: N, _: N) -> N {
            N::c(0.0)
        }
    }
    static INSIDE: Elementwise = super::lanes::binary::<Rule>(Ints::binary::<IntFloordiv>());
    fn infer(args: &[Ty]) -> crate::error::Result<Ty> {
        super::shape_rules::elementwise("floordiv", args, false)
    }
    Prim {
        name: "floordiv",
        doc: "`x // y`: the floor of the quotient, elementwise with broadcasting. Slope 0.",
        sig: Sig { params: &[req("x"), req("y")] },
        infer,
        eval: Eval::Elementwise(&INSIDE),
        diff: Diff::Zero,
        batch: Batch::Elementwise,
        probe: Probe {
            samples: &[Sample { args: &[ProbeArg::Point(&[5.5, -5.5, 1.25]), ProbeArg::Point(&[3.0, 3.0, -1.0])] }],
        },
    }
};

/// `heaviside(x, h)`: a step at 0. Slope 0 in `x`.
pub static HEAVISIDE: Prim = {
    struct Rule;
    impl super::lanes::BinaryRule for Rule {
        #[inline(always)]
        fn f<T: Real>(x: T, h: T) -> T {
            if x > T::c(0.0) {
                T::c(1.0)
            } else if x < T::c(0.0) {
                T::c(0.0)
            } else if x.is_nan() {
                x
            } else {
                h
            }
        }
        #[inline(always)]
        fn d0<N: Num>(_: N, _: N, _: N) -> N {
            N::c(0.0)
        }
        #[inline(always)]
        fn d1<N: Num>(x: N, _: N, _: N) -> N {
            N::if_eq(x, N::c(0.0), N::c(1.0), N::c(0.0))
        }
    }
    static INSIDE: Elementwise = super::lanes::binary::<Rule>(Ints::Promote);
    fn infer(args: &[Ty]) -> crate::error::Result<Ty> {
        super::shape_rules::elementwise("heaviside", args, true)
    }
    Prim {
        name: "heaviside",
        doc: "0 below 0, 1 above, and `h` (a half) at 0, elementwise with broadcasting. Slope 0 in `x`; in `h` 1 \
              where `x` is 0, else 0.",
        sig: Sig { params: &[req("x"), opt("h", Default::Float(0.5))] },
        infer,
        eval: Eval::Elementwise(&INSIDE),
        diff: Diff::Elementwise,
        batch: Batch::Elementwise,
        probe: Probe {
            samples: &[
                Sample { args: &[ProbeArg::Point(&[0.5, -0.5, 2.0]), ProbeArg::Point(&[0.5])] },
                Sample { args: &[ProbeArg::Int(0), ProbeArg::Point(&[0.3])] },
            ],
        },
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_floor_and_refuse() {
        let floordiv = |a, b| ints::unmark(IntFloordiv::f(a, b));
        let rem = |a, b| ints::unmark(IntRem::f(a, b));
        assert_eq!(floordiv(-7, 2), Some(-4));
        assert_eq!(rem(-7, 2), Some(1));
        assert_eq!(rem(7, -2), Some(-1));
        assert_eq!(floordiv(1, 0), None);
        assert_eq!(rem(1, 0), None);
        assert_eq!(floordiv(i64::MIN, -1), None);
        assert_eq!(rem(i64::MIN, -1), Some(0));
        assert_eq!(int_pow(2, 62), Some(1 << 62));
        assert_eq!(int_pow(2, 63), None);
        assert_eq!(int_pow(0, 0), Some(1));
        assert_eq!(int_pow(-1, 1 << 40), Some(1));
    }

    #[test]
    fn float_remainder_follows_the_divisor() {
        assert_eq!(rem(5.5, 3.0), 2.5);
        assert_eq!(rem(-5.5, 3.0), 0.5);
        assert_eq!(rem(5.5, -3.0), -0.5);
        assert!(rem(1.0, 0.0f64).is_nan());
        assert_eq!(floordiv(-5.5, 3.0), -2.0);
        assert_eq!(floordiv(0.3, 0.1), 2.0);
        assert_eq!(floordiv(1.0, 0.0), f64::INFINITY);
    }
}
