//! Quantiles and the median over axes. Tied elements share the slope.

use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::{AXIS, Plan, axes_value, call_axes, floats, only, push_sum};
use super::shape_rules::{self, Gives};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::create::{article, scalar_f64};
use crate::tensor::reduce::{quantile, quantile_shares, resolve_axes};
use crate::tensor::scan::map_rows;
use crate::tensor::{Tensor, flat};
use crate::types::ty::{Dim, TensorTy, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&MEDIAN, &QUANTILE, &QUANTILE_SHARES];

/// The quantile that a call asks for: its `q`, or a half.
fn level(name: &str, args: &[Value]) -> Result<f64> {
    if name == "median" {
        return Ok(0.5);
    }
    let q = args.get(1).unwrap_or(&Value::None);
    match (q, scalar_f64(q)) {
        (Value::Int(_) | Value::Float(..), Some(q)) if (0.0..=1.0).contains(&q) => Ok(q),
        (Value::Int(_) | Value::Float(..), _) => Err(Error::new("E0313", "the level of a quantile is from 0 to 1")
            .operand(1, format!("this is {}", crate::show::brief(q)))
            .help("quantile(x, 0.25) is the value that a quarter of the elements lie below")),
        _ => {
            let kind = article(&q.type_name());
            Err(Error::new("E0310", format!("the level of a quantile is a number, not {kind}")).operand(1, kind))
        }
    }
}

fn eval(env: &mut Env, name: &str, args: &[Value], axis: usize) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let q = level(name, args)?;
    let plan = Plan::new(env, name, x, args.get(axis), args.get(axis + 1))?;
    plan.not_empty(name)?;
    Ok(plan.each_row(|row| quantile(row, q), |row| quantile(row, q)))
}

fn eval_shares(_: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, q, axis] = args else { return Ok(Value::None) };
    let Value::Tensor(_, t) = x else {
        return Ok(Value::float(if matches!(x, Value::Float(_, v) if v.is_nan()) { f64::NAN } else { 1.0 }));
    };
    let q = level("quantile", &[Value::None, q.clone()])?;
    let axes = resolve_axes("quantile", axis, t.rank())?;
    let shape = t.shape();
    Ok(Value::tensor(match &**t {
        Tensor::F32(a) => Tensor::from_vec(shape, map_rows(&flat(a), shape, &axes, |r, o| quantile_shares(r, q, o))),
        other => Tensor::from_vec(shape, map_rows(&f64::load(other), shape, &axes, |r, o| quantile_shares(r, q, o))),
    }))
}

/// Position of the `axis` parameter.
fn axis_at(call: &Call<'_>) -> usize {
    if call.prim.name == "median" { 1 } else { 2 }
}

/// Shares of the elements in the quantile's slope.
fn shares(cx: &mut Cx, call: &Call<'_>) -> Result<Value> {
    let axes = call_axes(call, axis_at(call))?;
    let x = call.args.first().cloned().unwrap_or_default();
    let q = level(call.prim.name, call.args)?;
    cx.apply(&QUANTILE_SHARES, &[x, Value::float(q), axes_value(&axes)])
}

#[cold]
fn level_is_fixed() -> Error {
    Error::new("E0432", "`quantile` is not differentiated with respect to its level").help("write stop_grad(q)")
}

fn jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    if axis_at(call) == 2 && matches!(tangents.get(1), Some(Some(_))) {
        return Err(level_is_fixed());
    }
    let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
    let shares = shares(cx, call)?;
    push_sum(cx, call, axis_at(call), x_dot, &shares)
}

fn vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    if axis_at(call) == 2 && call.wants(1) && call.args.get(1).is_some_and(Value::is_differentiable) {
        return Err(level_is_fixed());
    }
    let axes = call_axes(call, axis_at(call))?;
    let shares = shares(cx, call)?;
    let y_bar = cx.expand(y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &shares)?)
}

/// `median(x, axis: none, keepdims: false)`
pub static MEDIAN: Prim = Prim {
    name: "median",
    doc: "Median over `axis`, the mean of the middle two of an even number; NaN if there is one; an error for no elements. Tied elements share the slope. `median([1.0, 2.0, 4.0])` is 2.0.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| super::reduce::infer("median", args, Gives::Float),
    eval: Eval::General(|env, args| eval(env, "median", args, 1)),
    diff: Diff::Rules { jvp, vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[5]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(1), ProbeArg::Bool(true)] },
            Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[1]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[0, 2]), ProbeArg::Int(1), ProbeArg::Bool(false)] },
        ],
    },
};

/// The result of `quantile` where that of one level is `one`: several levels, which the builtin takes, have an axis of their own.
fn by_level(q: &Ty, one: Ty) -> Ty {
    let count = match q {
        Ty::Int(_) | Ty::Float => return one,
        Ty::Tensor(TensorTy { dims: Some(dims), .. }) => match dims.as_slice() {
            [count] => *count,
            _ => return Ty::Any,
        },
        Ty::Tuple(levels) => Dim::Known(levels.len()),
        _ => return Ty::Any,
    };
    match one {
        Ty::Float => Ty::Tensor(TensorTy { dtype: None, dims: Some([count].into_iter().collect()) }),
        Ty::Tensor(TensorTy { dtype, dims: Some(mut dims) }) => {
            dims.insert(0, count);
            Ty::Tensor(TensorTy { dtype, dims: Some(dims) })
        }
        _ => Ty::Any,
    }
}

/// `quantile(x, q, axis: none, keepdims: false)`
pub static QUANTILE: Prim = Prim {
    name: "quantile",
    doc: "The value that a part `q` (a number from 0 to 1) of the elements over `axis` lie below, straight between neighbours; NaN if there is one. Tied elements share the slope. `quantile([1.0, 2.0], 0.75)` is 1.75.",
    sig: Sig { params: &[req("x"), req("q"), opt("axis", Default::None), opt("keepdims", Default::Bool(false))] },
    infer: |args: &[Ty]| match args {
        [x, q, ..] => Ok(by_level(q, shape_rules::reduce("quantile", x, args.get(2), args.get(3), Gives::Float)?)),
        _ => Ok(Ty::Any),
    },
    eval: Eval::General(|env, args| eval(env, "quantile", args, 2)),
    diff: Diff::Rules { jvp, vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::reduction::<2>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[5]), ProbeArg::Int(1), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Int(0), ProbeArg::Bool(false)] },
        ],
    },
};

/// Slopes of quantiles.
pub static QUANTILE_SHARES: Prim = Prim {
    name: "_quantile_shares",
    doc: "For each element its part in the quantile `q` along `axis`: the weights of the two neighbours, shared among ties.",
    sig: Sig { params: &[req("x"), req("q"), req("axis")] },
    infer: |args: &[Ty]| shape_rules::same("quantile", args),
    eval: Eval::General(eval_shares),
    diff: Diff::Zero,
    batch: Batch::Rule(super::batching::reduction::<2>),
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Int(1)] }] },
};
