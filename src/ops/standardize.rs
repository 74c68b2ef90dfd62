//! Rows with mean 0 and variance 1, which layer normalization is made of, each direction in one pass.
//!
//! With `r = 1 / sqrt(var(x) + epsilon)` and `y = r (x - mean(x))`, the Jacobian of `y` along a row is
//! `r (I - 1 1^T / n - y y^T / n)`. It is symmetric, so one product with it, `_standardize_times`, serves both modes.

use super::moment::VAR;
use super::prim::{Batch, BatchCall, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::reduce::{MEAN, Plan};
use super::softmax::infer_same;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::create::scalar_f64;
use crate::tensor::simd::standard::{standardize_rows, standardize_times_rows};
use crate::tensor::{DType, Tensor, flat, threads};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&STANDARDIZE, &STANDARDIZE_TIMES];

#[cold]
fn unchecked() -> Error {
    Error::new("E0400", "bug in dlang: _standardize with other arguments than rows and a number")
}

pub(super) fn epsilon(v: Option<&Value>) -> Result<f64> {
    v.and_then(scalar_f64).ok_or_else(unchecked)
}

fn standardize(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, eps] = args else { return Err(unchecked()) };
    let plan = Plan::new(env, "mean", x, Some(&Value::Int(-1)), None)?;
    plan.not_empty("mean")?;
    let (shape, n, eps) = (plan.t.shape(), plan.n().max(1), epsilon(Some(eps))?);
    fn go<T: Float>(data: &[T], shape: &[usize], n: usize, eps: f64) -> Tensor {
        let mut out = Vec::with_capacity(data.len());
        threads::fill(data.len() / n, n, n, &mut out, |rows, out| {
            standardize_rows(data.get(rows.start * n..rows.end * n).unwrap_or(&[]), n, eps, out);
        });
        Tensor::from_vec(shape, out)
    }
    Ok(Value::tensor(match &plan.t {
        Tensor::F32(a) => go(&flat(a), shape, n, eps),
        other if plan.dtype == DType::F64 => go(&f64::load(other), shape, n, eps),
        other => go(&f32::load(other), shape, n, eps),
    }))
}

fn times(_: &mut Env, args: &[Value]) -> Result<Value> {
    let [Value::Tensor(_, x), Value::Tensor(_, g), eps] = args else { return Err(unchecked()) };
    let (shape, eps) = (x.shape(), epsilon(Some(eps))?);
    if g.shape() != shape {
        return Err(unchecked());
    }
    let n = shape.last().copied().unwrap_or(1).max(1);
    fn go<T: Float>(x: &[T], g: &[T], shape: &[usize], n: usize, eps: f64) -> Tensor {
        let mut out = Vec::with_capacity(x.len());
        threads::fill(x.len() / n, n, n, &mut out, |rows, out| {
            let [x, g] = [x, g].map(|data| data.get(rows.start * n..rows.end * n).unwrap_or(&[]));
            standardize_times_rows(x, g, n, eps, out);
        });
        Tensor::from_vec(shape, out)
    }
    Ok(Value::tensor(match (&**x, &**g) {
        (Tensor::F32(x), Tensor::F32(g)) => go(&flat(x), &flat(g), shape, n, eps),
        (x, g) => go(&f64::load(x), &f64::load(g), shape, n, eps),
    }))
}

/// The mean of each row, kept as a column.
fn mean(cx: &mut Cx, x: &Value) -> Result<Value> {
    cx.apply(&MEAN, &[x.clone(), Value::Int(-1), Value::Bool(true)])
}

/// The mean of `a * b` of each row; `a` is a tangent or cotangent, whose zeros stay zero.
fn mean_of_product(cx: &mut Cx, a: &Value, b: &Value) -> Result<Value> {
    let product = cx.zmul(a, b)?;
    mean(cx, &product)
}

/// `1 / sqrt(var(x) + epsilon)` of each row, as a column.
fn inverse_spread(cx: &mut Cx, x: &Value, eps: &Value) -> Result<Value> {
    let var = cx.apply(&VAR, &[x.clone(), Value::Int(-1), Value::Bool(true), Value::Int(0)])?;
    let sum = cx.add(&var, eps)?;
    let root = cx.sqrt(&sum)?;
    cx.div_or_zero(&Value::float(1.0), &root)
}

/// The Jacobian of the rows of `x` times `g`.
pub(super) fn product(cx: &mut Cx, x: &Value, g: &Value, eps: &Value) -> Result<Value> {
    cx.apply(&STANDARDIZE_TIMES, &[x.clone(), g.clone(), eps.clone()])
}

fn rows(cx: &mut Cx, x: &Value, eps: &Value) -> Result<Value> {
    cx.apply(&STANDARDIZE, &[x.clone(), eps.clone()])
}

/// `v` times the slope of the rows in epsilon, `-r^2 y / 2`.
pub(super) fn along_epsilon(cx: &mut Cx, v: &Value, x: &Value, eps: &Value) -> Result<Value> {
    let (r, y) = (inverse_spread(cx, x, eps)?, rows(cx, x, eps)?);
    let square = cx.mul(&r, &r)?;
    let slope = cx.mul(&square, &y)?;
    let slope = cx.scale(&slope, -0.5)?;
    cx.zmul(v, &slope)
}

fn standardize_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let [x, eps] = call.args else { return Err(unchecked()) };
    let x_bar = if call.wants(0) { Some(product(cx, x, y_bar, eps)?) } else { None };
    let eps_bar = if call.wants(1) { Some(along_epsilon(cx, y_bar, x, eps)?) } else { None };
    Ok(Cotangents::from_iter([x_bar, eps_bar]))
}

fn standardize_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([x, eps], [x_dot, eps_dot]) = (call.args, tangents) else { return Err(unchecked()) };
    let mut sum = match x_dot {
        Some(x_dot) => Some(product(cx, x, x_dot, eps)?),
        None => None,
    };
    if let Some(eps_dot) = eps_dot {
        let part = along_epsilon(cx, eps_dot, x, eps)?;
        sum = Some(cx.add_to(sum, part)?);
    }
    Ok(sum)
}

/// `v` times the slope of the product in epsilon, `-r^2 p / 2 + r^3 mean(g y) y` with the product `p`.
fn product_along_epsilon(cx: &mut Cx, v: &Value, x: &Value, g: &Value, eps: &Value) -> Result<Value> {
    let (r, y, p) = (inverse_spread(cx, x, eps)?, rows(cx, x, eps)?, product(cx, x, g, eps)?);
    let square = cx.mul(&r, &r)?;
    let first = cx.mul(&square, &p)?;
    let first = cx.scale(&first, -0.5)?;
    let b = mean_of_product(cx, g, &y)?;
    let cube = cx.mul(&square, &r)?;
    let factor = cx.mul(&cube, &b)?;
    let second = cx.mul(&factor, &y)?;
    let slope = cx.add(&first, &second)?;
    cx.zmul(v, &slope)
}

/// With `a = mean(c y)` and `b = mean(g y)`, the cotangent of `x` is `-r^2 (mean(c g) - mean(c) mean(g) - a b) y` less `r` times
/// the product of the Jacobian with `b c + a g`.
fn times_vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let [x, g, eps] = call.args else { return Err(unchecked()) };
    let x_bar = if call.wants(0) {
        let (r, y) = (inverse_spread(cx, x, eps)?, rows(cx, x, eps)?);
        let (a, b) = (mean_of_product(cx, c, &y)?, mean_of_product(cx, g, &y)?);
        let (both, mean_c, mean_g) = (mean_of_product(cx, c, g)?, mean(cx, c)?, mean(cx, g)?);
        let (means, parts) = (cx.zmul(&mean_c, &mean_g)?, cx.zmul(&a, &b)?);
        let rest = cx.sub(&both, &means)?;
        let rest = cx.sub(&rest, &parts)?;
        let square = cx.mul(&r, &r)?;
        let weight = cx.zmul(&rest, &square)?;
        let first = cx.zmul(&weight, &y)?;
        let (left, right) = (cx.zmul(c, &b)?, cx.zmul(&a, g)?);
        let mixed = cx.add(&left, &right)?;
        let through = product(cx, x, &mixed, eps)?;
        let second = cx.zmul(&through, &r)?;
        let sum = cx.add(&first, &second)?;
        Some(cx.neg(&sum)?)
    } else {
        None
    };
    let g_bar = if call.wants(1) { Some(product(cx, x, c, eps)?) } else { None };
    let eps_bar = if call.wants(2) { Some(product_along_epsilon(cx, c, x, g, eps)?) } else { None };
    Ok(Cotangents::from_iter([x_bar, g_bar, eps_bar]))
}

/// The tangent of `x` moves `r` by `-r^2 mean(y x_dot)` and `y` by the product with `x_dot`.
fn times_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([x, g, eps], [x_dot, g_dot, eps_dot]) = (call.args, tangents) else { return Err(unchecked()) };
    let mut sum = None;
    if let Some(x_dot) = x_dot {
        let (r, y, p) = (inverse_spread(cx, x, eps)?, rows(cx, x, eps)?, product(cx, x, g, eps)?);
        let (y_dot, b) = (product(cx, x, x_dot, eps)?, mean_of_product(cx, g, &y)?);
        let turn = mean_of_product(cx, x_dot, &y)?;
        let first = cx.zmul(&turn, &p)?;
        let second = cx.zmul(&y_dot, &b)?;
        let weight = mean_of_product(cx, &y_dot, g)?;
        let third = cx.zmul(&weight, &y)?;
        let all = cx.add(&first, &second)?;
        let all = cx.add(&all, &third)?;
        let all = cx.zmul(&all, &r)?;
        sum = Some(cx.neg(&all)?);
    }
    if let Some(g_dot) = g_dot {
        let part = product(cx, x, g_dot, eps)?;
        sum = Some(cx.add_to(sum, part)?);
    }
    if let Some(eps_dot) = eps_dot {
        let part = product_along_epsilon(cx, eps_dot, x, g, eps)?;
        sum = Some(cx.add_to(sum, part)?);
    }
    Ok(sum)
}

/// The examples of a batch are more rows.
fn batched(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let Some((eps, operands)) = call.args.split_last() else { return Ok(None) };
    let shape = call.shape(0).to_vec();
    let alike = (0..operands.len()).all(|i| call.shape(i) == shape.as_slice());
    if shape.is_empty() || !alike || call.batched.last() == Some(&true) {
        return Ok(None);
    }
    let full: Vec<usize> = std::iter::once(call.n).chain(shape).collect();
    let mut args = vec![];
    for (operand, batched) in operands.iter().zip(call.batched) {
        args.push(if *batched { operand.clone() } else { cx.broadcast_to(operand, &full)? });
    }
    args.push(eps.clone());
    cx.apply(call.prim, &args).map(Some)
}

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -2.0, hi: 2.0 }
}

const EPSILON: ProbeArg = ProbeArg::Float { shape: &[], lo: 0.1, hi: 0.5 };

/// `_standardize(x, epsilon)`
pub static STANDARDIZE: Prim = Prim {
    name: "_standardize",
    doc: "`(x - mean(x)) / sqrt(var(x) + epsilon)` along the last axis; 0 where the divisor is.",
    sig: Sig { params: &[req("x"), req("epsilon")] },
    infer: |args: &[Ty]| infer_same("mean", args.get(..1).unwrap_or(&[])),
    eval: Eval::General(standardize),
    diff: Diff::Rules { jvp: standardize_jvp, vjp: standardize_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batched),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[5]), EPSILON] },
            Sample { args: &[floats(&[3, 4]), EPSILON] },
            Sample { args: &[floats(&[2, 1]), EPSILON] },
            Sample { args: &[floats(&[0, 2]), EPSILON] },
        ],
    },
};

/// `_standardize_times(x, g, epsilon)`
pub static STANDARDIZE_TIMES: Prim = Prim {
    name: "_standardize_times",
    doc: "The product of the Jacobian of `_standardize`, which is symmetric, with `g`.",
    sig: Sig { params: &[req("x"), req("g"), req("epsilon")] },
    infer: |args: &[Ty]| infer_same("mean", args.get(..1).unwrap_or(&[])),
    eval: Eval::General(times),
    diff: Diff::Rules { jvp: times_jvp, vjp: times_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batched),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[5]), floats(&[5]), EPSILON] },
            Sample { args: &[floats(&[3, 4]), floats(&[3, 4]), EPSILON] },
        ],
    },
};
