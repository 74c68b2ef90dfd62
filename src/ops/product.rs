//! Products over axes. Their slopes are products of the other elements, so that zeros need no division.

use super::prim::{Batch, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::reduce::{AXIS, Fold, Plan, call_axes, floats, infer, int_products, only, push_sum};
use super::shape_rules::{self, Gives};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::Result;
use crate::tensor::cast::Float;
use crate::tensor::reduce::resolve_axes;
use crate::tensor::scan::{map_rows, products_of_others};
use crate::tensor::simd::sums::{column_products, product};
use crate::tensor::{Shape, Tensor, count, flat};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&PROD, &PROD_OTHERS];

fn prod(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "prod", x, args.get(1), args.get(2))?;
    if !plan.t.dtype().is_float() {
        return int_products(&plan, x);
    }
    Ok(plan.fold(&Product))
}

struct Product;

impl Fold for Product {
    fn down<T: Float>(&self, part: &[T], inner: usize, out: &mut Vec<f64>) {
        column_products(part, inner, out);
    }
    fn row<T: Float>(&self, row: &[T], _: &mut Vec<T>) -> f64 {
        product(row)
    }
}

/// One axis after the other, each with the products of the others: exact at zeros, and differentiable again.
fn prod_slopes(cx: &mut Cx, call: &Call<'_>, x: &Value, axes: &[usize]) -> Result<Value> {
    let shape = Shape::from_slice(call.shape(0));
    if axes.len() == shape.len() && shape.len() > 1 {
        let line = cx.reshape(x, &[count(&shape)])?;
        let others = cx.apply(&PROD_OTHERS, &[line, Value::Int(0)])?;
        return cx.reshape(&others, &shape);
    }
    let mut slope: Option<Value> = None;
    let mut partial = x.clone();
    for &axis in axes {
        let others = cx.apply(&PROD_OTHERS, &[partial.clone(), Value::Int(axis as i64)])?;
        slope = Some(match slope {
            None => others,
            Some(s) => cx.mul(&s, &others)?,
        });
        partial = cx.apply(&PROD, &[partial, Value::Int(axis as i64), Value::Bool(true)])?;
    }
    match slope {
        Some(s) => Ok(s),
        None => Ok(Value::float(1.0)),
    }
}

fn prod_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axes = call_axes(call, 1)?;
    let slopes = prod_slopes(cx, call, x, &axes)?;
    let y_bar = cx.expand(y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &slopes)?)
}

fn prod_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axes = call_axes(call, 1)?;
    let slopes = prod_slopes(cx, call, x, &axes)?;
    push_sum(cx, call, 1, x_dot, &slopes)
}

fn prod_others(_: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, axis] = args else { return Ok(Value::None) };
    let Value::Tensor(_, t) = x else { return Ok(Value::float(1.0)) };
    let axes = resolve_axes("prod", axis, t.rank())?;
    Ok(Value::tensor(match &**t {
        Tensor::F32(a) => {
            Tensor::from_vec(t.shape(), map_rows(&flat(a), t.shape(), &axes, |row, out| products_of_others(row, out)))
        }
        other => Tensor::from_vec(
            t.shape(),
            map_rows(&f64::load(other), t.shape(), &axes, |row, out| products_of_others(row, out)),
        ),
    }))
}

/// Every element's row once more for each element of the row, with that element replaced by 1; and the mask of those.
/// The axis is doubled: `[.., i, j, ..]` holds element `j` of the row.
fn doubled(cx: &mut Cx, x: &Value, shape: &[usize], axis: usize) -> Result<(Value, Value, Shape)> {
    let n = shape.get(axis).copied().unwrap_or(1);
    let mut row = Shape::from_slice(shape);
    row.insert(axis, 1);
    let mut wide = Shape::from_slice(shape);
    wide.insert(axis, n);
    let mut mask_shape = Shape::from_elem(1, wide.len());
    if let Some(dims) = mask_shape.get_mut(axis..axis + 2) {
        dims.fill(n);
    }
    let diagonal = (0..n * n).map(|k| k / n.max(1) == k % n.max(1)).collect();
    let mask = Value::tensor(Tensor::from_vec(&mask_shape, diagonal));
    let rows = cx.reshape(x, &row)?;
    let rows = cx.broadcast_to(&rows, &wide)?;
    let filled = cx.where_(&mask, &Value::float(1.0), &rows)?;
    Ok((filled, mask, wide))
}

fn single_axis(call: &Call<'_>) -> Result<usize> {
    Ok(call_axes(call, 1)?.first().copied().unwrap_or(0))
}

fn prod_others_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axis = single_axis(call)?;
    let shape = Shape::from_slice(call.shape(0));
    let (rows, mask, _) = doubled(cx, x, &shape, axis)?;
    let slopes = cx.apply(&PROD_OTHERS, &[rows, Value::Int(axis as i64 + 1)])?;
    let slopes = cx.where_(&mask, &Value::float(0.0), &slopes)?;
    let mut column = shape.clone();
    column.insert(axis + 1, 1);
    let y_bar = cx.reshape(y_bar, &column)?;
    let terms = cx.zmul(&y_bar, &slopes)?;
    only(call, cx.sum(&terms, &[axis], false)?)
}

fn prod_others_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axis = single_axis(call)?;
    let shape = Shape::from_slice(call.shape(0));
    let (rows, mask, _) = doubled(cx, x, &shape, axis)?;
    let slopes = cx.apply(&PROD_OTHERS, &[rows, Value::Int(axis as i64 + 1)])?;
    let slopes = cx.where_(&mask, &Value::float(0.0), &slopes)?;
    let mut row = shape.clone();
    row.insert(axis, 1);
    let x_dot = cx.reshape(x_dot, &row)?;
    let terms = cx.zmul(&x_dot, &slopes)?;
    cx.sum(&terms, &[axis + 1], false).map(Some)
}

/// `prod(x, axis: none, keepdims: false)`
pub static PROD: Prim = Prim {
    name: "prod",
    doc: "Product over `axis`; 1 for no elements. Its slopes are exact at zeros.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("prod", args, Gives::Own),
    eval: Eval::General(prod),
    diff: Diff::Rules { jvp: prod_jvp, vjp: prod_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(true)] },
            Sample { args: &[ProbeArg::Point(&[2.0, 0.0, 3.0]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[ProbeArg::Point(&[2.0, 0.0, 0.0]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[0]), ProbeArg::None, ProbeArg::Bool(false)] },
        ],
    },
};

/// For each element the product of the others along one axis.
pub static PROD_OTHERS: Prim = Prim {
    name: "_prod_others",
    doc: "For each element the product of all others along `axis`.",
    sig: Sig { params: &[req("x"), req("axis")] },
    infer: |args: &[Ty]| shape_rules::same("prod", args),
    eval: Eval::General(prod_others),
    diff: Diff::Rules { jvp: prod_others_jvp, vjp: prod_others_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1)] },
            Sample { args: &[ProbeArg::Point(&[2.0, 0.0, 0.0]), ProbeArg::Int(0)] },
        ],
    },
};
