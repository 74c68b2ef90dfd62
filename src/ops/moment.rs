//! Variance and standard deviation over axes.

use super::prim::{
    Batch, Call, Cotangents, Default, Diff, Eval, Keep, Param, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::reduce::{Fold, MEAN, Plan, axes_value, call_axes, floats, infer, only, push_sum, reduced_count};
use super::shape_rules::Gives;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::count;
use crate::tensor::reduce::{spread, spreads_down};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&VAR, &STD];

/// `n - ddof`, which must be positive.
fn degrees(name: &str, n: usize, ddof: Option<&Value>) -> Result<f64> {
    let ddof = match ddof {
        None | Some(Value::None) => 0,
        Some(Value::Int(d)) => *d,
        Some(other) => {
            return Err(Error::new("E0310", format!("ddof of {name} is {}, not an int", other.type_name())));
        }
    };
    let left = n as f64 - ddof as f64;
    if left > 0.0 {
        return Ok(left);
    }
    let elements = if n == 1 { "1 element".to_string() } else { format!("{n} elements") };
    Err(Error::new("E0412", format!("{name} of {elements} with ddof {ddof} has no degree of freedom left"))
        .help("it needs more elements than ddof"))
}

fn moment(env: &mut Env, args: &[Value], name: &str, root: bool) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, name, x, args.get(1), args.get(2))?;
    plan.not_empty(name)?;
    let left = if count(&plan.shape) == 0 { 1.0 } else { degrees(name, plan.n(), args.get(3))? };
    Ok(plan.fold(&Moment { left, root }))
}

/// The spread over the degrees of freedom, or the root of that.
struct Moment {
    left: f64,
    root: bool,
}

impl Moment {
    fn finish(&self, spread: f64) -> f64 {
        if self.root { (spread / self.left).sqrt() } else { spread / self.left }
    }
}

impl Fold for Moment {
    fn down<T: Float>(&self, part: &[T], inner: usize, out: &mut Vec<f64>) {
        let start = out.len();
        spreads_down(part, inner, out);
        out.iter_mut().skip(start).for_each(|spread| *spread = self.finish(*spread));
    }
    fn row<T: Float>(&self, row: &[T], _: &mut Vec<T>) -> f64 {
        self.finish(spread(row))
    }
}

/// `x - mean(x)` over the axes of the call.
fn centered(cx: &mut Cx, x: &Value, axes: &[usize]) -> Result<Value> {
    let mean = cx.apply(&MEAN, &[x.clone(), axes_value(axes), Value::Bool(true)])?;
    cx.sub(x, &mean)
}

fn var_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axes = call_axes(call, 1)?;
    let left = degrees("var", reduced_count(call, &axes), call.args.get(3))?;
    let c = centered(cx, x, &axes)?;
    let y_bar = cx.scale(y_bar, 2.0 / left)?;
    let y_bar = cx.expand(&y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &c)?)
}

fn var_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axes = call_axes(call, 1)?;
    let left = degrees("var", reduced_count(call, &axes), call.args.get(3))?;
    let c = centered(cx, x, &axes)?;
    let c = cx.scale(&c, 2.0 / left)?;
    push_sum(cx, call, 1, x_dot, &c)
}

fn std_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axes = call_axes(call, 1)?;
    let left = degrees("std", reduced_count(call, &axes), call.args.get(3))?;
    let slopes = std_slopes(cx, call, x, &axes, left)?;
    let y_bar = cx.expand(y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &slopes)?)
}

/// `(x - mean) / (left * std)`, 0 where the deviation is.
fn std_slopes(cx: &mut Cx, call: &Call<'_>, x: &Value, axes: &[usize], left: f64) -> Result<Value> {
    let c = centered(cx, x, axes)?;
    let y = cx.scale(call.out, left)?;
    let y = cx.expand(&y, call, axes)?;
    cx.div_or_zero(&c, &y)
}

fn std_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axes = call_axes(call, 1)?;
    let left = degrees("std", reduced_count(call, &axes), call.args.get(3))?;
    let slopes = std_slopes(cx, call, x, &axes, left)?;
    push_sum(cx, call, 1, x_dot, &slopes)
}

const MOMENT: &[Param] =
    &[req("x"), opt("axis", Default::None), opt("keepdims", Default::Bool(false)), opt("ddof", Default::Int(0))];

const MOMENT_SAMPLES: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Bool(false), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Bool(false), ProbeArg::Int(1)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::Int(-1), ProbeArg::Bool(true), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(false), ProbeArg::Int(0)] },
    ],
};

/// `var(x, axis: none, keepdims: false, ddof: 0)`
pub static VAR: Prim = Prim {
    name: "var",
    doc: "Variance over `axis`: squared distances from the mean, divided by n - `ddof`.",
    sig: Sig { params: MOMENT },
    infer: |args: &[Ty]| infer("var", args, Gives::Float),
    eval: Eval::General(|env, args| moment(env, args, "var", false)),
    diff: Diff::Rules { jvp: var_jvp, vjp: var_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: MOMENT_SAMPLES,
};

/// `std(x, axis: none, keepdims: false, ddof: 0)`
pub static STD: Prim = Prim {
    name: "std",
    doc: "Standard deviation over `axis`: the root of `var`. Slope 0 where all elements are equal.",
    sig: Sig { params: MOMENT },
    infer: |args: &[Ty]| infer("std", args, Gives::Float),
    eval: Eval::General(|env, args| moment(env, args, "std", true)),
    diff: Diff::Rules { jvp: std_jvp, vjp: std_vjp, keep: Keep::BOTH },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: MOMENT_SAMPLES,
};
