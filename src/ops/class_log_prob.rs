//! The log-softmax of rows of logits at a class each: what cross entropy and its gradient are made of, without writing the
//! log-softmax or reading it again.
//!
//! With `p = softmax(x)` the gradient of `log p[c]` is `e_c - p`. The pullback gets the value as well, which tells what `x` loses to
//! become its log-softmax: that spares it a look for the largest. It does not depend on it otherwise, so the slope in it is 0.

use std::borrow::Cow;

use super::prim::{Batch, BatchCall, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::reduce::Plan;
use super::shape_rules;
use super::softmax::{LOG_SOFTMAX, SOFTMAX, SOFTMAX_PULL, infer_same, log_softmax_tangent};
use super::take::GATHER;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::{DType, Shape, Tensor, class_log_prob as kernel, flat};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&CLASS_LOG_PROB, &CLASS_LOG_PROB_PULL];

const LAST: Value = Value::Int(-1);

#[cold]
fn unchecked(what: &str) -> Error {
    Error::new("E0400", format!("bug in dlang: the logits and classes of a cross entropy do not fit: {what}"))
}

/// The rows of the logits: their tensor in the dtype of the result, the shape without the last axis, and the length of a row.
struct Logits {
    t: Tensor,
    dtype: DType,
    leading: Shape,
    n: usize,
}

fn logits(env: &mut Env, x: &Value) -> Result<Logits> {
    let plan = Plan::new(env, "log_softmax", x, Some(&LAST), None)?;
    let n = plan.n();
    Ok(Logits { dtype: plan.dtype, leading: plan.shape, t: plan.t, n })
}

/// Runs `f32s` or `f64s` on the elements.
macro_rules! by_dtype {
    ($x:ident, |$data:ident| $value:expr) => {
        match &$x.t {
            Tensor::F32(a) => {
                let $data = &*flat(a);
                $value
            }
            other if $x.dtype == DType::F64 => {
                let $data = &*f64::load(other);
                $value
            }
            other => {
                let $data = &*f32::load(other);
                $value
            }
        }
    };
}

/// Numbers of one dtype from a tensor or a scalar.
fn numbers<T: Float>(v: &Value) -> Result<Vec<T>> {
    match v {
        Value::Tensor(_, t) => Ok(T::load(t).into_owned()),
        other => crate::tensor::create::scalar_f64(other).map(|x| vec![T::c(x)]).ok_or_else(|| unchecked("no numbers")),
    }
}

/// One class for each row.
fn classes(v: &Value, rows: usize, n: usize) -> Result<Cow<'_, [i64]>> {
    let classes = match v {
        Value::Int(i) => Cow::Owned(vec![*i]),
        Value::Bool(b) => Cow::Owned(vec![i64::from(*b)]),
        Value::Tensor(_, t) => match &**t {
            Tensor::Int(a) => flat(a),
            Tensor::Bool(a) => flat(a).iter().map(|&b| i64::from(b)).collect(),
            _ => return Err(not_ints(&v.type_name())),
        },
        other => return Err(not_ints(&other.type_name())),
    };
    let stray = |i: &&i64| usize::try_from(**i).map_or(true, |i| i >= n);
    if classes.len() != rows {
        Err(unchecked("another number of classes than rows"))
    } else if let Some(i) = classes.iter().find(stray) {
        Err(Error::new("E0401", format!("class {i} is out of range for logits of {n} classes"))
            .help("classes are numbered from 0"))
    } else {
        Ok(classes)
    }
}

#[cold]
fn not_ints(kind: &str) -> Error {
    Error::new("E0310", format!("classes are ints, not {kind}"))
        .operand(1, format!("this is {kind}"))
        .help("convert them first: int(x), or x.to(int)")
}

fn value(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, class] = args else { return Err(unchecked("arguments")) };
    let x = logits(env, x)?;
    let classes = classes(class, x.leading.iter().product(), x.n)?;
    Ok(by_dtype!(x, |data| Value::from_vec(&x.leading, kernel::log_probs(data, x.n, &classes))))
}

fn pull(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, class, log_prob, g] = args else { return Err(unchecked("arguments")) };
    let x = logits(env, x)?;
    let rows = x.leading.iter().product();
    let classes = classes(class, rows, x.n)?;
    Ok(by_dtype!(x, |data| {
        let (log_probs, g) = (numbers(log_prob)?, numbers(g)?);
        if g.len() != rows || log_probs.len() != rows {
            return Err(unchecked("another number of cotangents than rows"));
        }
        Value::from_vec(x.t.shape(), kernel::pull(data, x.n, &log_probs, &classes, &g))
    }))
}

/// A column from a number for each row.
fn column(cx: &mut Cx, v: &Value) -> Result<Value> {
    let mut shape = Shape::from_slice(v.shape().unwrap_or(&[]));
    shape.push(1);
    cx.reshape(v, &shape)
}

/// The tangent of the log-softmax at the classes along `x_dot`.
fn along(cx: &mut Cx, x: &Value, classes: &Value, x_dot: &Value) -> Result<Value> {
    let leading = Shape::from_slice(classes.shape().unwrap_or(&[]));
    let y = cx.apply(&LOG_SOFTMAX, &[x.clone(), LAST])?;
    let t = log_softmax_tangent(cx, &y, x_dot, &LAST)?;
    let places = column(cx, classes)?;
    let picked = cx.apply(&GATHER, &[t, places, LAST])?;
    cx.reshape(&picked, &leading)
}

/// The softmax's Jacobian, which is symmetric, times `-g v`.
fn curvature(cx: &mut Cx, x: &Value, g: &Value, v: &Value) -> Result<Value> {
    let p = cx.apply(&SOFTMAX, &[x.clone(), LAST])?;
    let g = column(cx, g)?;
    let weighed = cx.zmul(v, &g)?;
    let weighed = cx.neg(&weighed)?;
    cx.apply(&SOFTMAX_PULL, &[p, weighed, LAST])
}

fn value_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let [x, classes] = call.args else { return Err(unchecked("arguments")) };
    let args = [x.clone(), classes.clone(), call.out.clone(), y_bar.clone()];
    let x_bar = if call.wants(0) { Some(cx.apply(&CLASS_LOG_PROB_PULL, &args)?) } else { None };
    Ok(Cotangents::from_iter([x_bar, None]))
}

fn value_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([x, classes], Some(Some(x_dot))) = (call.args, tangents.first()) else { return Ok(None) };
    along(cx, x, classes, x_dot).map(Some)
}

fn pull_vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let [x, classes, _, g] = call.args else { return Err(unchecked("arguments")) };
    let x_bar = if call.wants(0) { Some(curvature(cx, x, g, c)?) } else { None };
    let g_bar = if call.wants(3) { Some(along(cx, x, classes, c)?) } else { None };
    Ok(Cotangents::from_iter([x_bar, None, None, g_bar]))
}

fn pull_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([x, classes, log_prob, g], [x_dot, _, _, g_dot]) = (call.args, tangents) else {
        return Err(unchecked("arguments"));
    };
    let mut sum = None;
    if let Some(g_dot) = g_dot {
        let args = [x.clone(), classes.clone(), log_prob.clone(), g_dot.clone()];
        sum = Some(cx.apply(&CLASS_LOG_PROB_PULL, &args)?);
    }
    if let Some(x_dot) = x_dot {
        let part = curvature(cx, x, g, x_dot)?;
        sum = Some(cx.add_to(sum, part)?);
    }
    Ok(sum)
}

/// The examples of a batch are more rows.
fn batched(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let mut args = vec![];
    for (i, (arg, batched)) in call.args.iter().zip(call.batched).enumerate() {
        let full: Shape = std::iter::once(call.n).chain(call.shape(i).iter().copied()).collect();
        args.push(match (batched, arg) {
            (true, _) => arg.clone(),
            (false, Value::Int(_)) => {
                let one = cx.reshape(arg, &[1])?;
                cx.broadcast_to(&one, &full)?
            }
            (false, _) => cx.broadcast_to(arg, &full)?,
        });
    }
    cx.apply(call.prim, &args).map(Some)
}

/// The rows of logits without the axis of their classes.
fn infer_value(args: &[Ty]) -> Result<Ty> {
    if let Some(classes @ (Ty::Float | Ty::Tensor(_))) = args.get(1)
        && shape_rules::dtype_of(classes).is_some_and(DType::is_float)
    {
        return Err(not_ints(&shape_rules::show(classes)));
    }
    let same = infer_same("log_softmax", args.get(..1).unwrap_or(&[]))?;
    Ok(match same {
        Ty::Tensor(t) => {
            Ty::of(t.dtype, t.dims.map(|dims| dims.iter().take(dims.len().saturating_sub(1)).copied().collect()))
        }
        _ => Ty::Any,
    })
}

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -2.0, hi: 2.0 }
}

const CLASSES: ProbeArg = ProbeArg::Ints { shape: &[3], data: &[1, 3, 0] };

/// `_class_log_prob(x, classes)`
pub static CLASS_LOG_PROB: Prim = Prim {
    name: "_class_log_prob",
    doc: "`log_softmax(x)[..., class]` with a class for each row of `x`.",
    sig: Sig { params: &[req("x"), req("classes")] },
    infer: infer_value,
    eval: Eval::General(value),
    diff: Diff::Rules { jvp: value_jvp, vjp: value_vjp, keep: Keep::BOTH },
    batch: Batch::Rule(batched),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 4]), CLASSES] },
            Sample { args: &[floats(&[5]), ProbeArg::Int(2)] },
            Sample { args: &[ProbeArg::Point(&[1000.0, 0.0]), ProbeArg::Int(1)] },
        ],
    },
};

/// `_class_log_prob_pull(x, classes, log_prob, g)`
pub static CLASS_LOG_PROB_PULL: Prim = Prim {
    name: "_class_log_prob_pull",
    doc: "`g` at the class of each row, less `g * softmax(x)`. The value of `_class_log_prob` makes it faster and changes nothing else.",
    sig: Sig { params: &[req("x"), req("classes"), req("log_prob"), req("g")] },
    infer: |args: &[Ty]| infer_same("log_softmax", args.get(..1).unwrap_or(&[])),
    eval: Eval::General(pull),
    diff: Diff::Rules { jvp: pull_jvp, vjp: pull_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batched),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 4]), CLASSES, floats(&[3]), floats(&[3])] },
            Sample { args: &[floats(&[5]), ProbeArg::Int(2), floats(&[]), floats(&[])] },
        ],
    },
};
