//! Choosing between values: `maximum`, `minimum`, `clamp`, `where`. Ties share the slope.

use std::borrow::Cow;

use super::lanes::{Elementwise, TernaryRule, ternary};
use super::num::Num;
use super::prim::{Batch, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::real::Real;
use crate::ad::Cx;
use crate::binary_prims;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::broadcast::{broadcast_shapes, broadcast_values, stretch};
use crate::tensor::cast::{Float, Kind, cast_value, promote};
use crate::tensor::create::{Element, article, scalar_f64};
use crate::tensor::elementwise::{load_ints, wrong_kind};
use crate::tensor::lanes::Lanes;
use crate::tensor::simd::kernels::choose_lanes;
use crate::tensor::simd::poly::pick;
use crate::tensor::{DType, Shape, Tensor, count, flat};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&MAXIMUM, &MINIMUM, &FMAX, &FMIN, &CLAMP, &WHERE];

/// How much of the slope of the larger of two the first one has: all, half at a tie, none; NaN if one is NaN.
#[inline(always)]
fn share_above<N: Num>(a: N, b: N) -> N {
    let below = N::if_gt(b.clone(), a.clone(), N::c(0.0), N::c(f64::NAN));
    let apart = N::if_gt(a.clone(), b.clone(), N::c(1.0), below);
    N::if_eq(a, b, N::c(0.5), apart)
}

/// The same where NaN counts as absent: the other has all of the slope. NaN if both are.
#[inline(always)]
fn share_present<N: Num>(a: N, b: N, above: N) -> N {
    let absent = N::if_eq(b.clone(), b.clone(), N::c(0.0), N::c(f64::NAN));
    let alone = N::if_eq(a.clone(), a.clone(), N::c(1.0), absent);
    N::if_eq(above.clone(), above.clone(), above, alone)
}

#[inline(always)]
fn larger<T: Real>(a: T, b: T) -> T {
    pick((a > b) | a.is_nan(), a, b)
}

#[inline(always)]
fn smaller<T: Real>(a: T, b: T) -> T {
    pick((a < b) | a.is_nan(), a, b)
}

binary_prims! {
    MAXIMUM "maximum" ("a", "b"), "The larger of two, elementwise with broadcasting; NaN if either is. At a tie each has half the slope.",
        ints: crate::ints!(|a, b| (a.max(b), 0)),
        f(a, b) larger(a, b),
        d0(a, b, y) share_above(a, b),
        d1(a, b, y) share_above(b, a),
        probe: -2.0..0.0, 0.1..2.0, &[1.0, -2.0, 3.0], &[1.0, 3.0, -1.0];
    MINIMUM "minimum" ("a", "b"), "The smaller of two, elementwise with broadcasting; NaN if either is. At a tie each has half the slope.",
        ints: crate::ints!(|a, b| (a.min(b), 0)),
        f(a, b) smaller(a, b),
        d0(a, b, y) share_above(b, a),
        d1(a, b, y) share_above(a, b),
        probe: -2.0..0.0, 0.1..2.0, &[1.0, -2.0, 3.0], &[1.0, 3.0, -1.0];
    FMAX "fmax" ("a", "b"), "The larger of two that is not NaN, elementwise with broadcasting; NaN if both are. At a tie each has half the slope.",
        ints: crate::ints!(|a, b| (a.max(b), 0)),
        f(a, b) pick((a > b) | b.is_nan(), a, b),
        d0(a, b, y) share_present(a.clone(), b.clone(), share_above(a, b)),
        d1(a, b, y) share_present(b.clone(), a.clone(), share_above(b, a)),
        probe: -2.0..0.0, 0.1..2.0, &[1.0, -2.0, 3.0], &[1.0, 3.0, -1.0];
    FMIN "fmin" ("a", "b"), "The smaller of two that is not NaN, elementwise with broadcasting; NaN if both are. At a tie each has half the slope.",
        ints: crate::ints!(|a, b| (a.min(b), 0)),
        f(a, b) pick((a < b) | b.is_nan(), a, b),
        d0(a, b, y) share_present(a.clone(), b.clone(), share_above(b, a)),
        d1(a, b, y) share_present(b.clone(), a.clone(), share_above(a, b)),
        probe: -2.0..0.0, 0.1..2.0, &[1.0, -2.0, 3.0], &[1.0, 3.0, -1.0];
}

/// `minimum(maximum(x, lo), hi)`, with the slopes of that.
struct Clamp;

impl Clamp {
    #[inline(always)]
    fn inner<N: Num>(x: N, lo: N) -> N {
        // For NaN neither test holds and NaN is left.
        N::if_gt(
            x.clone(),
            lo.clone(),
            x.clone(),
            N::if_gt(lo.clone(), x.clone(), lo.clone(), N::if_eq(x.clone(), lo, x.clone(), N::c(f64::NAN))),
        )
    }
}

impl TernaryRule for Clamp {
    #[inline(always)]
    fn f<T: Real>(x: T, lo: T, hi: T) -> T {
        smaller(larger(x, lo), hi)
    }
    #[inline(always)]
    fn d0<N: Num>(x: N, lo: N, hi: N, _: N) -> N {
        share_above(hi, Clamp::inner(x.clone(), lo.clone())) * share_above(x, lo)
    }
    #[inline(always)]
    fn d1<N: Num>(x: N, lo: N, hi: N, _: N) -> N {
        share_above(hi, Clamp::inner(x.clone(), lo.clone())) * share_above(lo, x)
    }
    #[inline(always)]
    fn d2<N: Num>(x: N, lo: N, hi: N, _: N) -> N {
        share_above(Clamp::inner(x, lo), hi)
    }
}

static CLAMP_INSIDE: Elementwise =
    ternary::<Clamp>(crate::ints!(|x, lo, hi| (x.max(lo).min(hi), 0))).with_check(clamp_check);

fn clamp_check(args: &[Value]) -> Result<()> {
    let [_, lo, hi] = args else { return Ok(()) };
    let crossed = match (lo, hi) {
        (Value::Tensor(_, a), Value::Tensor(_, b)) => match broadcast_shapes(a.shape(), b.shape()) {
            Ok(shape) => {
                let (a, b) = (a.broadcast_to(&shape)?, b.broadcast_to(&shape)?);
                a.iter_f64().zip(b.iter_f64()).any(|(a, b)| a > b)
            }
            // What is wrong then is the shape.
            Err(_) => false,
        },
        (Value::Tensor(_, a), b) => scalar_f64(b).is_some_and(|b| a.iter_f64().any(|a| a > b)),
        (a, Value::Tensor(_, b)) => scalar_f64(a).is_some_and(|a| b.iter_f64().any(|b| a > b)),
        (a, b) => matches!((scalar_f64(a), scalar_f64(b)), (Some(a), Some(b)) if a > b),
    };
    if !crossed {
        return Ok(());
    }
    let mut error = Error::new("E0313", "the lower bound of clamp is above its upper bound");
    for (i, bound) in [(1, lo), (2, hi)] {
        if let Some(x) = scalar_f64(bound) {
            error = error.operand(i, format!("this is {}", crate::tensor::format::format_float(x)));
        }
    }
    Err(error.help("clamp(x, lo, hi) takes the lower bound first"))
}

/// `clamp(x, lo, hi)`
pub static CLAMP: Prim = Prim {
    name: "clamp",
    doc: "`x` held between `lo` and `hi`, elementwise with broadcasting. At a bound the slope is shared, as in `minimum(maximum(x, lo), hi)`.",
    sig: Sig { params: &[req("x"), req("lo"), req("hi")] },
    infer: |args: &[Ty]| super::shape_rules::elementwise("clamp", args, false),
    eval: Eval::Elementwise(&CLAMP_INSIDE),
    diff: Diff::Elementwise,
    batch: Batch::Elementwise,
    probe: Probe {
        samples: &[
            Sample {
                args: &[ProbeArg::Point(&[-2.0, 0.1, 2.0, 1.0]), ProbeArg::Point(&[-1.0]), ProbeArg::Point(&[1.0])],
            },
            Sample {
                args: &[
                    ProbeArg::Float { shape: &[2, 3], lo: -2.0, hi: 2.0 },
                    ProbeArg::Float { shape: &[3], lo: -0.6, hi: -0.4 },
                    ProbeArg::Float { shape: &[], lo: 0.4, hi: 0.6 },
                ],
            },
            Sample { args: &[ProbeArg::Point(&[0.3]), ProbeArg::Point(&[-1.0]), ProbeArg::Point(&[1.0])] },
        ],
    },
};

/// The condition of `where` as bools, row-major, with its shape.
fn condition(v: &Value) -> Result<(Cow<'_, [bool]>, Shape)> {
    match v {
        Value::Bool(b) => Ok((Cow::Owned(vec![*b]), Shape::new())),
        Value::Tensor(_, t) => match &**t {
            Tensor::Bool(a) => Ok((flat(a), a.shape().into())),
            other => Err(not_a_condition(&format!("{}{}", other.dtype(), crate::tensor::show_shape(other.shape())))),
        },
        other => Err(not_a_condition(&other.type_name())),
    }
}

#[cold]
fn not_a_condition(kind: &str) -> Error {
    Error::new("E0310", format!("where wants a bool condition, not {}", article(kind)))
        .operand(0, format!("this is {}", article(kind)))
        .help("compare to get one: where(x > 0, a, b)")
}

fn where_eval(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [cond, a, b] = args else { return Ok(Value::None) };
    let both = [a.clone(), b.clone()];
    let Some(kind) = promote(env, &both) else {
        // Values of any kind may be chosen between by one bool.
        return match cond {
            Value::Bool(c) => Ok(if *c { a.clone() } else { b.clone() }),
            _ => {
                let mut error = wrong_kind("where", &both);
                for (i, _) in &mut error.0.operands {
                    *i += 1;
                }
                Err(error)
            }
        };
    };
    let shape = broadcast_values("where", args)?;
    let (mask, mask_shape) = condition(cond)?;
    let tensors = args.iter().any(|v| matches!(v, Value::Tensor(..)));
    if let (false, Some(&c)) = (tensors, mask.first()) {
        let chosen = if c { a } else { b };
        return match kind {
            Kind::Float(_) => cast_value(chosen, DType::F64),
            Kind::Int => cast_value(chosen, DType::Int),
            Kind::Bool => Ok(chosen.clone()),
        };
    }
    let mask: Cow<[bool]> =
        if mask_shape == shape || mask.len() == 1 { mask } else { Cow::Owned(stretch(&mask, &mask_shape, &shape)) };
    Ok(Value::tensor(match kind {
        Kind::Float(DType::F64) => floats::<f64>(&mask, a, b, &shape),
        Kind::Float(_) => floats::<f32>(&mask, a, b, &shape),
        Kind::Int => {
            let ((a, sa), (b, sb)) = (load_ints(a), load_ints(b));
            choose(&mask, (&a, &sa), (&b, &sb), &shape)
        }
        Kind::Bool => {
            let ((a, sa), (b, sb)) = (condition(a)?, condition(b)?);
            choose(&mask, (&a, &sa), (&b, &sb), &shape)
        }
    }))
}

fn floats<T: Float>(mask: &[bool], a: &Value, b: &Value, shape: &[usize]) -> Tensor {
    fn load<T: Float>(v: &Value) -> (Cow<'_, [T]>, Shape) {
        match v {
            Value::Tensor(_, t) => (T::load(t), t.shape().into()),
            scalar => (Cow::Owned(vec![T::c(scalar_f64(scalar).unwrap_or(f64::NAN))]), Shape::new()),
        }
    }
    let ((a, sa), (b, sb)) = (load::<T>(a), load::<T>(b));
    choose(mask, (&a, &sa), (&b, &sb), shape)
}

/// The chosen elements. `mask` has the elements of `shape`, or one for all.
fn choose<T: Element>(mask: &[bool], a: (&[T], &[usize]), b: (&[T], &[usize]), shape: &[usize]) -> Tensor {
    let n = count(shape);
    let full = |(data, own): (&[T], &[usize])| -> Option<Vec<T>> {
        (data.len() != 1 && own != shape).then(|| stretch(data, own, shape))
    };
    let (wide_a, wide_b) = (full(a), full(b));
    let (a, b) = (wide_a.as_deref().unwrap_or(a.0), wide_b.as_deref().unwrap_or(b.0));
    let out: Vec<T> = match (mask, a, b) {
        ([], ..) | (_, [], _) | (_, _, []) if n == 0 => vec![],
        ([c], a, b) => {
            let chosen = if *c { a } else { b };
            if let [x] = chosen { vec![*x; n] } else { chosen.to_vec() }
        }
        (m, a, b) => {
            fn lanes<T: Copy>(x: &[T]) -> Lanes<'_, T> {
                if let [x] = *x { Lanes::Same(x) } else { Lanes::Each(x) }
            }
            let mut out = vec![];
            choose_lanes(m, lanes(a), lanes(b), &mut out);
            out
        }
    };
    Tensor::from_vec(shape, out)
}

fn where_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(cond) = call.args.first() else { return Ok(Cotangents::new()) };
    let zero = Value::float(0.0);
    let a = if call.wants(1) { Some(cx.apply(&WHERE, &[cond.clone(), y_bar.clone(), zero.clone()])?) } else { None };
    let b = if call.wants(2) { Some(cx.apply(&WHERE, &[cond.clone(), zero, y_bar.clone()])?) } else { None };
    Ok(Cotangents::from_iter([None, a, b]))
}

fn where_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(cond), [_, a, b]) = (call.args.first(), tangents) else { return Ok(None) };
    let [a, b] = [a, b].map(|t| t.clone().unwrap_or(Value::float(0.0)));
    let y = cx.apply(&WHERE, &[cond.clone(), a, b])?;
    let mut shape = Shape::from_slice(call.shape(0));
    for i in 1..3 {
        shape = broadcast_shapes(&shape, call.shape(i)).unwrap_or(shape);
    }
    cx.broadcast_to(&y, &shape).map(Some)
}

/// `where(cond, a, b)`
pub static WHERE: Prim = Prim {
    name: "where",
    doc: "`a` where `cond` is true, else `b`, elementwise with broadcasting. Only the chosen side has a slope; NaN and infinities of the other never leak.",
    sig: Sig { params: &[req("cond"), req("a"), req("b")] },
    infer: super::shape_rules::select,
    eval: Eval::General(where_eval),
    diff: Diff::Rules { jvp: where_jvp, vjp: where_vjp, keep: Keep::NOTHING },
    batch: Batch::Elementwise,
    probe: Probe {
        samples: &[
            Sample {
                args: &[
                    ProbeArg::Bools { shape: &[3], data: &[true, false, true] },
                    ProbeArg::Float { shape: &[2, 3], lo: -2.0, hi: 2.0 },
                    ProbeArg::Float { shape: &[], lo: -2.0, hi: 2.0 },
                ],
            },
            Sample {
                args: &[
                    ProbeArg::Bool(true),
                    ProbeArg::Float { shape: &[2, 1], lo: -2.0, hi: 2.0 },
                    ProbeArg::Float { shape: &[3], lo: -2.0, hi: 2.0 },
                ],
            },
            Sample {
                args: &[
                    ProbeArg::Bools { shape: &[2, 1], data: &[true, false] },
                    ProbeArg::Float { shape: &[1], lo: -2.0, hi: 2.0 },
                    ProbeArg::Float { shape: &[3], lo: -2.0, hi: 2.0 },
                ],
            },
            Sample { args: &[ProbeArg::Bool(false), ProbeArg::Point(&[1.0]), ProbeArg::Point(&[2.0])] },
        ],
    },
};
