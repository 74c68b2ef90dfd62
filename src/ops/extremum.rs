//! `max` and `min` over axes. Ties share the slope.

use super::prim::{
    Batch, BatchCall, Call, Cotangents, Default, Diff, Eval, Keep, Param, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::reduce::{Plan, axes_value, call_axes, floats, only, push_sum};
use super::select::{MAXIMUM, MINIMUM};
use super::shape_rules::{self, Gives};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::Result;
use crate::tensor::cast::Float;
use crate::tensor::elementwise::eval_elementwise;
use crate::tensor::reduce::{extrema, resolve_axes, tie_shares};
use crate::tensor::{DType, Tensor, flat};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&MAX, &MIN, &TIE_SHARES];

fn extremum(env: &mut Env, args: &[Value], largest: bool) -> Result<Value> {
    let name = if largest { "max" } else { "min" };
    let Some(x) = args.first() else { return Ok(Value::None) };
    if let Some(other) = args.get(1)
        && !matches!(other, Value::None)
    {
        let prim = if largest { &MAXIMUM } else { &MINIMUM };
        if let Eval::Elementwise(e) = &prim.eval {
            let named = if largest { &MAX } else { &MIN };
            return eval_elementwise(env, named, e, &[x.clone(), other.clone()]);
        }
    }
    let plan = Plan::new(env, name, x, args.get(2), args.get(3))?;
    plan.not_empty(name)?;
    let (shape, axes) = (plan.t.shape(), &plan.axes);
    Ok(match &plan.t {
        Tensor::F32(a) => Value::tensor(Tensor::from_vec(&plan.shape, extrema(&flat(a), shape, axes, largest))),
        Tensor::F64(a) => Value::tensor(Tensor::from_vec(&plan.shape, extrema(&flat(a), shape, axes, largest))),
        Tensor::Int(a) => Value::tensor(Tensor::from_vec(&plan.shape, extrema(&flat(a), shape, axes, largest))),
        Tensor::Bool(a) => Value::tensor(Tensor::from_vec(&plan.shape, extrema(&flat(a), shape, axes, largest))),
    })
}

/// The primitive of two arguments if the call has a second one.
fn of_two(call: &Call<'_>) -> Option<&'static Prim> {
    let given = call.args.get(1).is_some_and(|v| !matches!(v, Value::None));
    given.then_some(if call.prim.name == "max" { &MAXIMUM } else { &MINIMUM })
}

/// Shares of the elements in the extremum's slope: 1 over the number of ties.
fn shares(cx: &mut Cx, call: &Call<'_>, x: &Value) -> Result<Value> {
    let axes = call_axes(call, 2)?;
    cx.apply(&TIE_SHARES, &[x.clone(), axes_value(&axes), Value::Bool(call.prim.name == "max")])
}

fn extremum_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    if let (Some(prim), Some(pair)) = (of_two(call), call.args.get(..2)) {
        let mut all = Cotangents::new();
        for i in 0..2 {
            all.push(if call.wants(i) { Some(cx.pull(prim, pair, &Value::None, y_bar, i)?) } else { None });
        }
        all.resize(call.args.len(), None);
        return Ok(all);
    }
    let axes = call_axes(call, 2)?;
    let shares = shares(cx, call, x)?;
    let y_bar = cx.expand(y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &shares)?)
}

fn extremum_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let Some(x) = call.args.first() else { return Ok(None) };
    if let (Some(prim), Some(pair)) = (of_two(call), call.args.get(..2)) {
        let mut sum: Option<Value> = None;
        for (i, tangent) in tangents.iter().take(2).enumerate() {
            let Some(tangent) = tangent else { continue };
            let term = cx.pull(prim, pair, &Value::None, tangent, i)?;
            sum = Some(cx.add_to(sum, term)?);
        }
        return Ok(sum);
    }
    let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
    let shares = shares(cx, call, x)?;
    push_sum(cx, call, 2, x_dot, &shares)
}

fn eval_shares(_: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, axis, largest] = args else { return Ok(Value::None) };
    let Value::Tensor(_, t) = x else {
        return Ok(Value::float(if matches!(x, Value::Float(_, v) if v.is_nan()) { f64::NAN } else { 1.0 }));
    };
    let largest = matches!(largest, Value::Bool(true));
    let axes = resolve_axes("max", axis, t.rank())?;
    let shape = t.shape();
    Ok(Value::tensor(match &**t {
        Tensor::F32(a) => Tensor::from_vec(shape, tie_shares(&flat(a), shape, &axes, largest)),
        other => Tensor::from_vec(shape, tie_shares(&f64::load(other), shape, &axes, largest)),
    }))
}

/// The larger of two values, or a reduction.
fn batched(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    match call.args.get(1) {
        None | Some(Value::None) => super::batching::reduction::<2>(cx, call),
        Some(_) => cx.batch_elementwise(call).map(Some),
    }
}

const EXTREMUM: &[Param] =
    &[req("x"), opt("other", Default::None), opt("axis", Default::None), opt("keepdims", Default::Bool(false))];

const EXTREMUM_SAMPLES: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Int(0), ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Int(-1), ProbeArg::Bool(true)] },
        Sample { args: &[floats(&[2, 3, 2]), ProbeArg::None, ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3]), floats(&[2, 3]), ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[ProbeArg::Point(&[1.0, 1.0, 0.0]), ProbeArg::None, ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[]), ProbeArg::None, ProbeArg::None, ProbeArg::Bool(false)] },
    ],
};

fn infer_extremum(name: &str, args: &[Ty]) -> Result<Ty> {
    let [x, other, axis, keepdims] = args else { return Ok(Ty::Any) };
    match other {
        Ty::None => {
            let bools = matches!(x, Ty::Bool(_)) || matches!(x, Ty::Tensor(t) if t.dtype == Some(DType::Bool));
            let gives = if bools { Gives::Bool } else { Gives::Own };
            shape_rules::reduce(name, x, Some(axis), Some(keepdims), gives)
        }
        Ty::Any => Ok(Ty::Any),
        _ => shape_rules::elementwise(name, &[x.clone(), other.clone()], false),
    }
}

/// `max(x, axis: none, keepdims: false)`, `max(a, b)`
pub static MAX: Prim = Prim {
    name: "max",
    doc: "Largest element over `axis`; NaN if there is one; an error for no elements; a bool of bools. k tied elements have 1/k of the slope each. `max(a, b)` of two values is `maximum`.",
    sig: Sig { params: EXTREMUM },
    infer: |args: &[Ty]| infer_extremum("max", args),
    eval: Eval::General(|env, args| extremum(env, args, true)),
    diff: Diff::Rules { jvp: extremum_jvp, vjp: extremum_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batched),
    probe: EXTREMUM_SAMPLES,
};

/// `min(x, axis: none, keepdims: false)`, `min(a, b)`
pub static MIN: Prim = Prim {
    name: "min",
    doc: "Smallest element over `axis`; NaN if there is one; an error for no elements; a bool of bools. k tied elements have 1/k of the slope each. `min(a, b)` of two values is `minimum`.",
    sig: Sig { params: EXTREMUM },
    infer: |args: &[Ty]| infer_extremum("min", args),
    eval: Eval::General(|env, args| extremum(env, args, false)),
    diff: Diff::Rules { jvp: extremum_jvp, vjp: extremum_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batched),
    probe: EXTREMUM_SAMPLES,
};

/// Slopes of `max` and `min`.
pub static TIE_SHARES: Prim = Prim {
    name: "_tie_shares",
    doc: "For each element 1/k if it is one of the k largest (or smallest) along `axis`, else 0.",
    sig: Sig { params: &[req("x"), req("axis"), req("largest")] },
    infer: |args: &[Ty]| shape_rules::same("max", args),
    eval: Eval::General(eval_shares),
    diff: Diff::Zero,
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Bool(true)] }] },
};
