//! Reductions that leave NaN out: `nansum`, `nanmean`.

use std::cell::Cell;

use super::compare::ISNAN;
use super::prim::{Batch, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig};
use super::reduce::{AXIS, Plan, SUM, call_axes, floats, infer, only};
use super::shape_rules::Gives;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::DType;
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&NANSUM, &NANMEAN];

fn nansum(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "nansum", x, args.get(1), args.get(2))?;
    Ok(plan.each_row(
        |row| row.iter().filter(|x| !x.is_nan()).map(|&x| f64::from(x)).sum(),
        |row| row.iter().filter(|x| !x.is_nan()).sum(),
    ))
}

fn nanmean(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "nanmean", x, args.get(1), args.get(2))?;
    plan.not_empty("nanmean")?;
    let nothing = Cell::new(false);
    let mean = |sum: f64, n: usize| {
        if n == 0 {
            nothing.set(true);
        }
        sum / n as f64
    };
    let out = plan.each_row(
        |row| {
            let present = row.iter().filter(|x| !x.is_nan());
            mean(present.clone().map(|&x| f64::from(x)).sum(), present.count())
        },
        |row| {
            let present = row.iter().filter(|x| !x.is_nan());
            mean(present.clone().sum(), present.count())
        },
    );
    if nothing.get() {
        return Err(Error::new("E0412", "nanmean of no elements: all are NaN")
            .operand(0, format!("this is {}", crate::show::brief(x)))
            .help("test any(not isnan(x)) first"));
    }
    Ok(out)
}

/// `v` with zeros where the argument is NaN.
fn masked(cx: &mut Cx, call: &Call<'_>, v: &Value) -> Result<Value> {
    let x = call.args.first().cloned().unwrap_or_default();
    let absent = cx.apply(&ISNAN, &[x])?;
    cx.where_(&absent, &Value::float(0.0), v)
}

/// What each result is divided by: 1, or the number of elements that are not NaN.
fn divided(cx: &mut Cx, call: &Call<'_>, v: &Value) -> Result<Value> {
    if call.prim.name == "nansum" {
        return Ok(v.clone());
    }
    let dtype = call.shapes.first().and_then(|s| s.dtype).unwrap_or(DType::F64);
    let ones = cx.full(call.shape(0), dtype, 1.0);
    let present = masked(cx, call, &ones)?;
    let n = summed(cx, call, &present)?;
    cx.div(v, &n)
}

fn summed(cx: &mut Cx, call: &Call<'_>, v: &Value) -> Result<Value> {
    let [axis, keepdims] = [1, 2].map(|i| call.args.get(i).cloned().unwrap_or_default());
    cx.apply(&SUM, &[v.clone(), axis, keepdims])
}

fn jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
    let present = masked(cx, call, x_dot)?;
    let sum = summed(cx, call, &present)?;
    divided(cx, call, &sum).map(Some)
}

fn vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let axes = call_axes(call, 1)?;
    let share = divided(cx, call, y_bar)?;
    let bar = cx.expand(&share, call, &axes)?;
    only(call, masked(cx, call, &bar)?)
}

const SAMPLES: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(true)] },
        Sample { args: &[floats(&[1]), ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[]), ProbeArg::None, ProbeArg::Bool(false)] },
    ],
};

/// `nansum(x, axis: none, keepdims: false)`
pub static NANSUM: Prim = Prim {
    name: "nansum",
    doc: "Sum over `axis` of what is not NaN, as a float. Slope 0 where `x` is NaN. `nansum([nan, 1.0])` is 1.0.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("nansum", args, Gives::Float),
    eval: Eval::General(nansum),
    diff: Diff::Rules { jvp, vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: SAMPLES,
};

/// `nanmean(x, axis: none, keepdims: false)`
pub static NANMEAN: Prim = Prim {
    name: "nanmean",
    doc: "Mean over `axis` of what is not NaN, an error if nothing is. Slope 0 where `x` is NaN. `nanmean([nan, 1.0])` is 1.0.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("nanmean", args, Gives::Float),
    eval: Eval::General(nanmean),
    diff: Diff::Rules { jvp, vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: SAMPLES,
};
