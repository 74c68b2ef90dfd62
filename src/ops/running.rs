//! Running extrema and the running logarithm of a sum of exponentials. Their slopes are linear recurrences.

use super::cumulative::{ROWS, call_axis, infer, scan, scan_floats, scanned, shifted};
use super::math::LOGADDEXP;
use super::prim::{
    Batch, Call, Cotangents, Default, Diff, Eval, Keep, Param, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::reduce::{floats, only};
use super::shape_rules;
use crate::ad::Cx;
use crate::ad::algebra::eval_partial;
use crate::env::Env;
use crate::error::Result;
use crate::ops::cumulative::LINREC;
use crate::tensor::cast::Float;
use crate::tensor::scan::{map_rows, running_extrema, running_logsumexp, running_shares};
use crate::tensor::{Shape, Tensor, flat};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&CUMMAX, &CUMMIN, &RUNNING_SHARES, &LOGCUMSUMEXP];

/// `y_dot[i] = kept[i] * y_dot[i - 1] + own[i] * x_dot[i]`
fn push(cx: &mut Cx, call: &Call<'_>, x_dot: &Value, (kept, own): (Value, Value)) -> Result<Option<Value>> {
    let (axis, shape) = call_axis(call)?;
    let x_dot = cx.reshape(x_dot, &shape)?;
    let terms = cx.zmul(&x_dot, &own)?;
    let y_dot = cx.apply(&LINREC, &[kept, terms, axis, Value::Bool(false)])?;
    // A scalar's tangent would have the default dtype.
    match call.out.tensor_dtype() {
        Some(dtype) => cx.cast(&y_dot, dtype).map(Some),
        None => Ok(Some(y_dot)),
    }
}

/// `x_bar[i] = own[i] * t[i]`, `t[i] = y_bar[i] + kept[i + 1] * t[i + 1]`
fn pull(cx: &mut Cx, call: &Call<'_>, y_bar: &Value, (kept, own): (Value, Value)) -> Result<Cotangents> {
    let (axis, _) = call_axis(call)?;
    let factors = shifted(cx, &kept, &axis, -1, 0.0)?;
    let t = cx.apply(&LINREC, &[factors, y_bar.clone(), axis, Value::Bool(true)])?;
    let x_bar = cx.zmul(&t, &own)?;
    let shape = Shape::from_slice(call.shape(0));
    only(call, cx.reshape(&x_bar, &shape)?)
}

/// The parts of the slope of a running extremum that come from the one before and from the element itself.
fn extremum_slopes(cx: &mut Cx, call: &Call<'_>) -> Result<(Value, Value)> {
    let (axis, shape) = call_axis(call)?;
    let x = cx.reshape(call.args.first().unwrap_or(&Value::None), &shape)?;
    let own = cx.apply(&RUNNING_SHARES, &[x, axis, Value::Bool(call.prim.name == "cummax")])?;
    let kept = cx.sub(&Value::float(1.0), &own)?;
    Ok((kept, own))
}

/// The same for `logcumsumexp`: the slopes of `logaddexp` of the one before and the element.
fn sum_slopes(cx: &mut Cx, call: &Call<'_>) -> Result<(Value, Value)> {
    let (axis, shape) = call_axis(call)?;
    let x = cx.reshape(call.args.first().unwrap_or(&Value::None), &shape)?;
    let pair = [shifted(cx, call.out, &axis, 1, f64::NEG_INFINITY)?, x];
    let kept = eval_partial(cx, &LOGADDEXP, 0, &pair, call.out)?;
    let own = eval_partial(cx, &LOGADDEXP, 1, &pair, call.out)?;
    Ok((kept, own))
}

fn shares(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (t, shape, axes) = scanned(env, "cummax", args)?;
    let largest = matches!(args.get(2), Some(Value::Bool(true)));
    Ok(Value::tensor(match &t {
        Tensor::F32(a) => {
            Tensor::from_vec(&shape, map_rows(&flat(a), &shape, &axes, |r, o| running_shares(r, o, largest)))
        }
        other => {
            Tensor::from_vec(&shape, map_rows(&f64::load(other), &shape, &axes, |r, o| running_shares(r, o, largest)))
        }
    }))
}

const PARAMS: &[Param] = &[req("x"), opt("axis", Default::None)];

const EXTREMUM: Diff = Diff::Rules {
    jvp: |cx, call, tangents| {
        let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
        let slopes = extremum_slopes(cx, call)?;
        push(cx, call, x_dot, slopes)
    },
    vjp: |cx, call, y_bar| {
        let slopes = extremum_slopes(cx, call)?;
        pull(cx, call, y_bar, slopes)
    },
    keep: Keep::ARGS,
};

const EXTREMUM_SAMPLES: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[4]), ProbeArg::None] },
        Sample { args: &[floats(&[3, 2]), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[2, 3]), ProbeArg::Int(-1)] },
        Sample { args: &[floats(&[0]), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[1]), ProbeArg::Int(0)] },
    ],
};

/// `cummax(x, axis: none)`
pub static CUMMAX: Prim = Prim {
    name: "cummax",
    doc: "Running maxima along `axis`; without one, of all elements in a row. NaN from the first NaN on. Ties share the slope as in repeated `maximum`.",
    sig: Sig { params: PARAMS },
    infer: |args: &[Ty]| infer("cummax", args),
    eval: Eval::General(|env, args| {
        scan(
            env,
            "cummax",
            args,
            (i64::MIN, |a, b| (a.max(b), 0)),
            |x, shape, axes| running_extrema(x, shape, axes, true),
            |x, shape, axes| running_extrema(x, shape, axes, true),
        )
    }),
    diff: EXTREMUM,
    batch: Batch::Rule(super::batching::along::<1>),
    probe: EXTREMUM_SAMPLES,
};

/// `cummin(x, axis: none)`
pub static CUMMIN: Prim = Prim {
    name: "cummin",
    doc: "Running minima along `axis`; without one, of all elements in a row. NaN from the first NaN on. Ties share the slope as in repeated `minimum`.",
    sig: Sig { params: PARAMS },
    infer: |args: &[Ty]| infer("cummin", args),
    eval: Eval::General(|env, args| {
        scan(
            env,
            "cummin",
            args,
            (i64::MAX, |a, b| (a.min(b), 0)),
            |x, shape, axes| running_extrema(x, shape, axes, false),
            |x, shape, axes| running_extrema(x, shape, axes, false),
        )
    }),
    diff: EXTREMUM,
    batch: Batch::Rule(super::batching::along::<1>),
    probe: EXTREMUM_SAMPLES,
};

/// Slopes of running extrema in their own element.
pub static RUNNING_SHARES: Prim = Prim {
    name: "_running_shares",
    doc: "For each element how much of the slope of the running extremum it has against the one before: 1, a half at a tie, or 0.",
    sig: Sig { params: &[req("x"), req("axis"), req("largest")] },
    infer: |args: &[Ty]| shape_rules::same("cummax", args),
    eval: Eval::General(shares),
    diff: Diff::Zero,
    batch: Batch::Rule(super::batching::along::<1>),
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Bool(true)] }] },
};

/// `logcumsumexp(x, axis: none)`
pub static LOGCUMSUMEXP: Prim = Prim {
    name: "logcumsumexp",
    doc: "`log(cumsum(exp(x)))` along `axis` without overflow; without one, of all elements in a row. The slope is 0 while all are -inf.",
    sig: Sig { params: PARAMS },
    infer: |args: &[Ty]| match infer("logcumsumexp", args)? {
        Ty::Tensor(t) if t.dtype.is_some_and(|d| !d.is_float()) => Ok(Ty::of(None, t.dims)),
        other => Ok(other),
    },
    eval: Eval::General(|env, args| {
        scan_floats(
            env,
            "logcumsumexp",
            args,
            |row, out| running_logsumexp(row, out),
            |row, out| running_logsumexp(row, out),
        )
    }),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
            let slopes = sum_slopes(cx, call)?;
            push(cx, call, x_dot, slopes)
        },
        vjp: |cx, call, y_bar| {
            let slopes = sum_slopes(cx, call)?;
            pull(cx, call, y_bar, slopes)
        },
        keep: Keep::BOTH,
    },
    batch: Batch::Rule(super::batching::along::<1>),
    probe: ROWS,
};
