//! `logsumexp`, `softmax`, `log_softmax`, with fused rules. Infinities share; a set of -inf has value 0 (or -inf) and
//! slope 0.

use super::compare::EQ;
use super::extremum::MAX;
use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::{Fold, Plan, SUM, axes_value, call_axes, floats, only};
use super::shape_rules::{self, Gives};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::Result;
use crate::tensor::cast::Float;
use crate::tensor::reduce::resolve_axes;
use crate::tensor::softmax as kernel;
use crate::tensor::{DType, Tensor, flat};
use crate::types::ty::{Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&LOGSUMEXP, &SOFTMAX, &LOG_SOFTMAX, &SOFTMAX_PULL, &LOG_SOFTMAX_PULL];

fn logsumexp(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "logsumexp", x, args.get(1), args.get(2))?;
    Ok(plan.fold(&LogSumExp))
}

struct LogSumExp;

impl Fold for LogSumExp {
    fn down<T: Float>(&self, part: &[T], inner: usize, out: &mut Vec<f64>) {
        kernel::logsumexp_down(part, inner, out);
    }
    fn row<T: Float>(&self, row: &[T], scratch: &mut Vec<T>) -> f64 {
        kernel::logsumexp(row, scratch)
    }
    fn rows<T: Float>(&self, rows: &[T], n: usize, scratch: &mut Vec<T>, out: &mut Vec<f64>) {
        kernel::logsumexp_rows(rows, n, scratch, out);
    }
}

fn logsumexp_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axes = call_axes(call, 1)?;
    let p = cx.apply(&SOFTMAX, &[x.clone(), axes_value(&axes)])?;
    let y_bar = cx.expand(y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &p)?)
}

fn logsumexp_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axes = call_axes(call, 1)?;
    let p = cx.apply(&SOFTMAX, &[x.clone(), axes_value(&axes)])?;
    let terms = cx.zmul(x_dot, &p)?;
    let [axis, keepdims] = [1, 2].map(|i| call.args.get(i).cloned().unwrap_or_default());
    cx.apply(&SUM, &[terms, axis, keepdims]).map(Some)
}

/// Row functions along axes: of the data, its shape and the axes.
type Along<T> = fn(&[T], &[usize], &[usize]) -> Vec<T>;
type AlongBoth<T> = fn(&[T], &[T], &[usize], &[usize]) -> Vec<T>;

/// Runs a row function over a float tensor (ints become floats); scalars are rows of one.
fn by_rows(env: &mut Env, name: &str, args: &[Value], f32s: Along<f32>, f64s: Along<f64>) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    // A scalar is a row of one.
    let axis = if x.shape() == Some(&[]) { None } else { args.get(1) };
    let plan = Plan::new(env, name, x, axis, None)?;
    let shape = plan.t.shape();
    Ok(Value::tensor(match &plan.t {
        Tensor::F32(a) => Tensor::from_vec(shape, f32s(&flat(a), shape, &plan.axes)),
        other if plan.dtype == DType::F64 => Tensor::from_vec(shape, f64s(&f64::load(other), shape, &plan.axes)),
        other => Tensor::from_vec(shape, f32s(&f32::load(other), shape, &plan.axes)),
    }))
}

/// Two float values of one shape, row by row; the wider dtype.
fn two_by_rows(args: &[Value], f32s: AlongBoth<f32>, f64s: AlongBoth<f64>) -> Result<Value> {
    match args {
        [Value::Tensor(_, y), Value::Tensor(_, g), axis] => {
            let shape = y.shape();
            let axes = resolve_axes("softmax", axis, shape.len())?;
            Ok(Value::tensor(match (&**y, &**g) {
                (Tensor::F32(a), Tensor::F32(b)) => Tensor::from_vec(shape, f32s(&flat(a), &flat(b), shape, &axes)),
                (y, g) => Tensor::from_vec(shape, f64s(&f64::load(y), &f64::load(g), shape, &axes)),
            }))
        }
        [y, g, _] => {
            let [y, g] = [y, g].map(|v| crate::tensor::create::scalar_f64(v).unwrap_or(f64::NAN));
            Ok(f64s(&[y], &[g], &[], &[]).first().map_or(Value::None, |&x| Value::float(x)))
        }
        _ => Ok(Value::None),
    }
}

/// The Jacobian of softmax is symmetric: the same product serves both directions.
fn softmax_times(cx: &mut Cx, call: &Call<'_>, g: &Value) -> Result<Value> {
    let axes = call_axes(call, 1)?;
    cx.apply(&SOFTMAX_PULL, &[call.out.clone(), g.clone(), axes_value(&axes)])
}

/// Cotangents of `y * (g - sum(y * g))`.
fn softmax_pull_vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let [y, g, axis] = call.args else { return Ok(Cotangents::new()) };
    let y_bar = if call.wants(0) {
        // c * (g - s) - g * sum(c * y), with s = sum(y * g)
        let s = row_sum(cx, g, y, axis)?;
        let rest = cx.sub(g, &s)?;
        let direct = cx.zmul(c, &rest)?;
        let weight = row_sum(cx, c, y, axis)?;
        let through = cx.zmul(&weight, g)?;
        Some(cx.sub(&direct, &through)?)
    } else {
        None
    };
    let g_bar =
        if call.wants(1) { Some(cx.apply(&SOFTMAX_PULL, &[y.clone(), c.clone(), axis.clone()])?) } else { None };
    Ok(Cotangents::from_iter([y_bar, g_bar, None]))
}

fn softmax_pull_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([y, g, axis], [y_dot, g_dot, ..]) = (call.args, tangents) else { return Ok(None) };
    let mut sum = None;
    if let Some(y_dot) = y_dot {
        // y_dot * (g - s) - y * sum(y_dot * g)
        let s = row_sum(cx, g, y, axis)?;
        let rest = cx.sub(g, &s)?;
        let direct = cx.zmul(y_dot, &rest)?;
        let weight = row_sum(cx, y_dot, g, axis)?;
        let through = cx.zmul(&weight, y)?;
        sum = Some(cx.sub(&direct, &through)?);
    }
    if let Some(g_dot) = g_dot {
        let part = cx.apply(&SOFTMAX_PULL, &[y.clone(), g_dot.clone(), axis.clone()])?;
        sum = Some(cx.add_to(sum, part)?);
    }
    Ok(sum)
}

/// `sum(a * b)` over the axes, dims kept; `a` is a tangent or cotangent, whose zeros stay zero.
fn row_sum(cx: &mut Cx, a: &Value, b: &Value, axis: &Value) -> Result<Value> {
    let product = cx.zmul(a, b)?;
    cx.apply(&SUM, &[product, axis.clone(), Value::Bool(true)])
}

fn log_softmax_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let axes = call_axes(call, 1)?;
    only(call, cx.apply(&LOG_SOFTMAX_PULL, &[call.out.clone(), y_bar.clone(), axes_value(&axes)])?)
}

/// Zero in rows of -inf, elsewhere `v`.
fn live(cx: &mut Cx, y: &Value, v: &Value, axis: &Value) -> Result<Value> {
    // Rows of no elements have no maximum.
    if y.shape().is_some_and(|s| s.contains(&0)) {
        return Ok(v.clone());
    }
    let top = cx.apply(&MAX, &[y.clone(), Value::None, axis.clone(), Value::Bool(true)])?;
    let dead = cx.apply(&EQ, &[top, Value::float(f64::NEG_INFINITY)])?;
    cx.where_(&dead, &Value::float(0.0), v)
}

fn log_softmax_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
    let axis = axes_value(&call_axes(call, 1)?);
    log_softmax_tangent(cx, call.out, x_dot, &axis).map(Some)
}

/// The tangent of the log-softmax `y`, `x_dot - sum(x_dot * exp(y))`; 0 in rows of -inf.
pub(super) fn log_softmax_tangent(cx: &mut Cx, y: &Value, x_dot: &Value, axis: &Value) -> Result<Value> {
    let p = cx.exp(y)?;
    let mean = row_sum(cx, x_dot, &p, axis)?;
    let t = cx.sub(x_dot, &mean)?;
    live(cx, y, &t, axis)
}

fn log_softmax_pull_vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let [y, g, axis] = call.args else { return Ok(Cotangents::new()) };
    let p = cx.exp(y)?;
    let y_bar = if call.wants(0) {
        // -c * exp(y) * sum(g)
        let total = cx.apply(&SUM, &[g.clone(), axis.clone(), Value::Bool(true)])?;
        let slope = cx.zmul(&total, &p)?;
        let slope = cx.neg(&slope)?;
        let bar = cx.zmul(c, &slope)?;
        Some(live(cx, y, &bar, axis)?)
    } else {
        None
    };
    let g_bar = if call.wants(1) {
        // c - sum(c * exp(y))
        let mean = row_sum(cx, c, &p, axis)?;
        let bar = cx.sub(c, &mean)?;
        Some(live(cx, y, &bar, axis)?)
    } else {
        None
    };
    Ok(Cotangents::from_iter([y_bar, g_bar, None]))
}

fn log_softmax_pull_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([y, g, axis], [y_dot, g_dot, ..]) = (call.args, tangents) else { return Ok(None) };
    let mut sum = None;
    if let Some(y_dot) = y_dot {
        let p = cx.exp(y)?;
        let total = cx.apply(&SUM, &[g.clone(), axis.clone(), Value::Bool(true)])?;
        let slope = cx.zmul(&total, &p)?;
        let slope = cx.neg(&slope)?;
        let part = cx.zmul(y_dot, &slope)?;
        sum = Some(live(cx, y, &part, axis)?);
    }
    if let Some(g_dot) = g_dot {
        let part = cx.apply(&LOG_SOFTMAX_PULL, &[y.clone(), g_dot.clone(), axis.clone()])?;
        sum = Some(cx.add_to(sum, part)?);
    }
    Ok(sum)
}

/// The argument's shape, float.
pub(super) fn infer_same(name: &str, args: &[Ty]) -> Result<Ty> {
    let Some(x) = args.first() else { return Ok(Ty::Any) };
    // Checks the axis, and the kind of the argument.
    if matches!(x, Ty::Bool(_) | Ty::Int(_) | Ty::Float) {
        return Ok(Ty::Float);
    }
    shape_rules::reduce(name, x, args.get(1), None, Gives::Float)?;
    Ok(match x {
        Ty::Tensor(t) => {
            let dtype = t.dtype.filter(|d| d.is_float());
            Ty::of(dtype, t.dims.as_ref().map(|d| d.iter().copied().collect::<Dims>()))
        }
        _ => Ty::Any,
    })
}

const ROWS: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[4]), ProbeArg::Int(-1)] },
        Sample { args: &[floats(&[2, 3]), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[2, 3]), ProbeArg::Int(-1)] },
        Sample { args: &[floats(&[2, 3]), ProbeArg::None] },
        Sample { args: &[floats(&[1]), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[0, 2]), ProbeArg::Int(1)] },
        Sample { args: &[ProbeArg::Point(&[1000.0, 0.0]), ProbeArg::Int(0)] },
    ],
};

const PULL_ROWS: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[4]), floats(&[4]), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[2, 3]), floats(&[2, 3]), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[2, 3]), floats(&[2, 3]), ProbeArg::Int(1)] },
    ],
};

/// `logsumexp(x, axis: none, keepdims: false)`
pub static LOGSUMEXP: Prim = Prim {
    name: "logsumexp",
    doc: "`log(sum(exp(x)))` over `axis` without overflow; -inf for no elements. The slope is the softmax, and 0 where all are -inf.",
    sig: Sig { params: &[req("x"), opt("axis", Default::None), opt("keepdims", Default::Bool(false))] },
    infer: |args: &[Ty]| match args.first() {
        Some(x) => shape_rules::reduce("logsumexp", x, args.get(1), args.get(2), Gives::Float),
        None => Ok(Ty::Any),
    },
    eval: Eval::General(logsumexp),
    diff: Diff::Rules { jvp: logsumexp_jvp, vjp: logsumexp_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Bool(true)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(-1), ProbeArg::Bool(false)] },
            Sample { args: &[ProbeArg::Point(&[1000.0, 1000.0]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[]), ProbeArg::None, ProbeArg::Bool(false)] },
        ],
    },
};

/// `softmax(x, axis: -1)`
pub static SOFTMAX: Prim = Prim {
    name: "softmax",
    doc: "`exp(x) / sum(exp(x))` along `axis` (the last), without overflow. Infinities share 1; all -inf gives zeros.",
    sig: Sig { params: &[req("x"), opt("axis", Default::Int(-1))] },
    infer: |args: &[Ty]| infer_same("softmax", args),
    eval: Eval::General(|env, args| by_rows(env, "softmax", args, kernel::softmax, kernel::softmax)),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| match tangents.first() {
            Some(Some(x_dot)) => softmax_times(cx, call, x_dot).map(Some),
            _ => Ok(None),
        },
        vjp: |cx, call, y_bar| {
            let x_bar = softmax_times(cx, call, y_bar)?;
            only(call, x_bar)
        },
        keep: Keep::OUT,
    },
    batch: Batch::Rule(super::batching::along::<1>),
    probe: ROWS,
};

/// `log_softmax(x, axis: -1)`
pub static LOG_SOFTMAX: Prim = Prim {
    name: "log_softmax",
    doc: "`log(softmax(x))` along `axis` (the last), without loss. All -inf gives -inf with slope 0.",
    sig: Sig { params: &[req("x"), opt("axis", Default::Int(-1))] },
    infer: |args: &[Ty]| infer_same("log_softmax", args),
    eval: Eval::General(|env, args| by_rows(env, "log_softmax", args, kernel::log_softmax, kernel::log_softmax)),
    diff: Diff::Rules { jvp: log_softmax_jvp, vjp: log_softmax_vjp, keep: Keep::OUT },
    batch: Batch::Rule(super::batching::along::<1>),
    probe: ROWS,
};

/// The product of softmax's Jacobian with `g`.
pub static SOFTMAX_PULL: Prim = Prim {
    name: "_softmax_pull",
    doc: "`y * (g - sum(y * g))` along `axis`.",
    sig: Sig { params: &[req("y"), req("g"), req("axis")] },
    infer: |args: &[Ty]| shape_rules::same("softmax", args),
    eval: Eval::General(|_, args| two_by_rows(args, kernel::softmax_pull, kernel::softmax_pull)),
    diff: Diff::Rules { jvp: softmax_pull_jvp, vjp: softmax_pull_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::along_together::<2>),
    probe: PULL_ROWS,
};

/// The product of log_softmax's transposed Jacobian with `g`.
pub static LOG_SOFTMAX_PULL: Prim = Prim {
    name: "_log_softmax_pull",
    doc: "`g - exp(y) * sum(g)` along `axis`.",
    sig: Sig { params: &[req("y"), req("g"), req("axis")] },
    infer: |args: &[Ty]| shape_rules::same("log_softmax", args),
    eval: Eval::General(|_, args| two_by_rows(args, kernel::log_softmax_pull, kernel::log_softmax_pull)),
    diff: Diff::Rules { jvp: log_softmax_pull_jvp, vjp: log_softmax_pull_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::along_together::<2>),
    probe: PULL_ROWS,
};
