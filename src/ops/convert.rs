//! Changing dtype and stretching shapes: `_cast`, `broadcast_to` and its transpose `_sum_to`. All are linear.

use super::prim::{
    Batch, BatchCall, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::broadcast::{broadcast_shapes, does_not_stretch};
use crate::tensor::cast::cast_value;
use crate::tensor::create::{article, full_value, scalar_f64};
use crate::tensor::elementwise::wrong_kind;
use crate::tensor::{DType, Shape, Tensor, room, show_shape};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&CAST, &BROADCAST_TO, &SUM_TO];

/// A shape given as an int, or a tuple, list or int tensor of them.
pub fn shape_arg(name: &str, v: &Value) -> Result<Shape> {
    let bad = |v: &Value| super::operand::not_an_int(name, "the shape", &article(&v.type_name()));
    let dim = |v: &Value| match v {
        Value::Int(n) => usize::try_from(*n).map_err(|_| {
            Error::new("E0303", format!("the shape given to {name} has the dim {n}")).help("dims are 0 or more")
        }),
        other => Err(bad(other)),
    };
    match v {
        Value::Int(_) => Ok(Shape::from_slice(&[dim(v)?])),
        Value::Tuple(items) | Value::List(items) => items.iter().map(dim).collect(),
        Value::Tensor(_, t) if t.dtype() == DType::Int && t.rank() == 1 => t.iter_values().map(|v| dim(&v)).collect(),
        other => Err(bad(other)),
    }
}

/// A shape as a tuple.
pub fn shape_value(shape: &[usize]) -> Value {
    Value::tuple(shape.iter().map(|&n| Value::Int(n as i64)).collect())
}

/// Dims of a shape argument, if its type tells them.
pub fn shape_dims(ty: &Ty) -> Option<Dims> {
    let dim = |t: &Ty| match t {
        Ty::Int(n) => (*n).into(),
        _ => Dim::Unknown,
    };
    match ty {
        Ty::Int(_) => Some(Dims::from_slice(&[dim(ty)])),
        Ty::Tuple(items) => Some(items.iter().map(dim).collect()),
        Ty::List(list) => list.items.as_ref().map(|items| items.iter().map(dim).collect()),
        _ => None,
    }
}

fn cast(_: &mut Env, args: &[Value]) -> Result<Value> {
    match args {
        [x, Value::DType(dtype)] if x.shape().is_some() => cast_value(x, *dtype),
        [_, Value::DType(_)] => Err(wrong_kind("to", args)),
        [_, other] => Err(Error::new("E0310", format!("to wants a dtype, not {}", other.type_name()))
            .operand(1, format!("this is {}", other.type_name()))
            .help("write x.to(f32) or x.to(f64)")),
        _ => Ok(Value::None),
    }
}

fn infer_cast(args: &[Ty]) -> Result<Ty> {
    let dtype = match args.get(1) {
        Some(Ty::DType(dtype)) => *dtype,
        _ => None,
    };
    Ok(match args.first() {
        Some(x @ (Ty::Tensor(_) | Ty::Int(_) | Ty::Bool(_) | Ty::Float)) => Ty::of(dtype, x.dims()),
        _ => Ty::Any,
    })
}

fn batched_cast(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let ([x, Value::DType(dtype)], true) = (call.args, call.only(0)) else { return Ok(None) };
    // A float scalar has 64 bits whatever it is cast to.
    let dtype = if call.shape(0).is_empty() && dtype.is_float() { DType::F64 } else { *dtype };
    cx.apply(&CAST, &[x.clone(), Value::DType(dtype)]).map(Some)
}

/// `_cast(x, dtype)`: what `x.to(f64)` calls.
pub static CAST: Prim = Prim {
    name: "_cast",
    doc: "`x` in another dtype. Differentiable between float dtypes; a cast to int or bool has slope 0.",
    sig: Sig { params: &[req("x"), req("dtype")] },
    infer: infer_cast,
    eval: Eval::General(cast),
    // The dispatcher casts the cotangent to the argument's dtype.
    diff: Diff::Linear {
        vjp: |_, _, y_bar| Ok(Cotangents::from_iter([Some(y_bar.clone()), None])),
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(batched_cast),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: -1.0, hi: 1.0 }, ProbeArg::DType(DType::F64)] },
            Sample { args: &[ProbeArg::Float { shape: &[3], lo: -1.0, hi: 1.0 }, ProbeArg::DType(DType::F32)] },
            Sample { args: &[ProbeArg::Float { shape: &[], lo: -1.0, hi: 1.0 }, ProbeArg::DType(DType::F64)] },
            Sample { args: &[ProbeArg::Point(&[1.5, -2.5]), ProbeArg::DType(DType::Int)] },
            Sample { args: &[ProbeArg::Ints { shape: &[2], data: &[0, 3] }, ProbeArg::DType(DType::Bool)] },
        ],
    },
};

/// A value stretched to a shape.
pub fn stretch_value(x: &Value, shape: &[usize]) -> Result<Value> {
    match x {
        Value::Tensor(_, t) if t.shape() == shape => Ok(Value::Tensor(crate::ad::slot::Slot::CONST, t.clone())),
        Value::Tensor(_, t) => Ok(Value::tensor(t.broadcast_to(shape)?)),
        Value::Float(_, v) if shape.is_empty() => Ok(Value::float(*v)),
        Value::Float(_, v) => Ok(full_value(shape, DType::F64, *v)),
        Value::Int(v) if shape.is_empty() => Ok(Value::Int(*v)),
        Value::Int(v) => Ok(Value::tensor(Tensor::from_vec(shape, vec![*v; crate::tensor::count(shape)]))),
        Value::Bool(v) => Ok(full_value(shape, DType::Bool, *v as u8 as f64)),
        other => Err(wrong_kind("broadcast_to", std::slice::from_ref(other))),
    }
}

fn broadcast_to(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, shape, rest @ ..] = args else { return Ok(Value::None) };
    let shape = shape_arg("broadcast_to", shape)?;
    if x.shape().is_some_and(|own| broadcast_shapes(own, &shape).is_ok_and(|s| s == shape)) {
        room::check(&shape, x.tensor_dtype().unwrap_or(DType::F64))?;
    }
    match (x, rest) {
        // A float scalar becomes a tensor of the default dtype, as every new float tensor, unless a rule says which.
        (Value::Float(_, v), [Value::DType(dtype), ..]) => Ok(full_value(&shape, *dtype, *v)),
        (Value::Float(_, v), _) => Ok(full_value(&shape, env.dtype, *v)),
        _ => stretch_value(x, &shape),
    }
}

fn infer_broadcast_to(args: &[Ty]) -> Result<Ty> {
    let dtype = match args.first() {
        Some(Ty::Float) => None, // the default dtype
        x => x.and_then(super::shape_rules::dtype_of),
    };
    let target = args.get(1).and_then(shape_dims);
    if let (Some(Ty::Tensor(t)), Some(to)) = (args.first(), &target)
        && let (Some(from), Some(to)) = (t.dims.as_deref().and_then(known_shape), known_shape(to))
        && !broadcast_shapes(&from, &to).is_ok_and(|s| s == to)
    {
        return Err(does_not_stretch(&super::shape_rules::show(&Ty::Tensor(t.clone())), &from, &to));
    }
    Ok(Ty::of(dtype, target))
}

fn infer_sum_to(args: &[Ty]) -> Result<Ty> {
    let dtype = args.first().filter(|x| !matches!(x, Ty::Float)).and_then(super::shape_rules::dtype_of);
    match args {
        [Ty::Float, Ty::Tuple(dims)] if dims.is_empty() => Ok(Ty::Float),
        _ => Ok(Ty::of(dtype, args.get(1).and_then(shape_dims))),
    }
}

/// Dims that are all known.
fn known_shape(dims: &[Dim]) -> Option<Shape> {
    dims.iter().map(|d| if let Dim::Known(n) = d { Some(*n) } else { None }).collect()
}

/// `broadcast_to(x, shape)`
pub static BROADCAST_TO: Prim = Prim {
    name: "broadcast_to",
    doc: "`x` stretched to `shape`: dims of 1 and missing leading dims repeat. The cotangent is summed back.",
    sig: Sig { params: &[req("x"), req("shape"), opt("dtype", Default::None)] },
    infer: infer_broadcast_to,
    eval: Eval::General(broadcast_to),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| Ok(Cotangents::from_iter([Some(cx.sum_to(y_bar, call.shape(0))?), None, None])),
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching::stretching),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Float { shape: &[3], lo: -1.0, hi: 1.0 }, ProbeArg::Tuple(&[2, 3])] },
            Sample { args: &[ProbeArg::Float { shape: &[2, 1], lo: -1.0, hi: 1.0 }, ProbeArg::Tuple(&[2, 3])] },
            Sample { args: &[ProbeArg::Float { shape: &[], lo: -1.0, hi: 1.0 }, ProbeArg::Tuple(&[2])] },
            Sample { args: &[ProbeArg::Float { shape: &[1], lo: -1.0, hi: 1.0 }, ProbeArg::Tuple(&[0])] },
        ],
    },
};

fn sum_to(_: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, shape] = args else { return Ok(Value::None) };
    let shape = shape_arg("_sum_to", shape)?;
    let Value::Tensor(_, t) = x else { return Ok(scalar_f64(x).map_or(Value::None, Value::float)) };
    if t.shape() == shape.as_slice() {
        return Ok(Value::Tensor(crate::ad::slot::Slot::CONST, t.clone()));
    }
    if !broadcast_shapes(&shape, t.shape()).is_ok_and(|s| s.as_slice() == t.shape()) {
        return Err(Error::new("E0301", format!("{} is not {} stretched", show_shape(t.shape()), show_shape(&shape))));
    }
    if shape.is_empty() {
        return Ok(Value::float(crate::tensor::reduce::total(t)));
    }
    Ok(Value::tensor(match &**t {
        Tensor::F32(_) => summed(t, &shape, DType::F32),
        _ => summed(t, &shape, DType::F64),
    }))
}

fn summed(t: &Tensor, shape: &[usize], dtype: DType) -> Tensor {
    // Axes that the shape lacks, and those that it has but once.
    let lead = t.rank() - shape.len().min(t.rank());
    let stretched = t.shape().iter().enumerate().filter(|&(axis, &n)| match axis.checked_sub(lead) {
        None => true,
        Some(own) => n != 1 && shape.get(own) == Some(&1),
    });
    let axes: Shape = stretched.map(|(axis, _)| axis).collect();
    Tensor::floats(shape, dtype, crate::tensor::reduce::sums(t, &axes).into_iter())
}

/// `_sum_to(x, shape)`: the transpose of [`BROADCAST_TO`].
pub static SUM_TO: Prim = Prim {
    name: "_sum_to",
    doc: "The sums of `x` over the axes along which `shape` stretches to its shape.",
    sig: Sig { params: &[req("x"), req("shape")] },
    infer: infer_sum_to,
    eval: Eval::General(sum_to),
    diff: Diff::Linear {
        vjp: |cx: &mut Cx, call: &Call<'_>, y_bar: &Value| {
            Ok(Cotangents::from_iter([Some(cx.broadcast_to(y_bar, call.shape(0))?), None]))
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching::summing),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: -1.0, hi: 1.0 }, ProbeArg::Tuple(&[3])] },
            Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: -1.0, hi: 1.0 }, ProbeArg::Tuple(&[2, 1])] },
            Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: -1.0, hi: 1.0 }, ProbeArg::Tuple(&[])] },
        ],
    },
};
