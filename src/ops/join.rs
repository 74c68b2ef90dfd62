//! Joining any number of values: `_stack` along a new axis, `_concat` along one that they have.
//!
//! Arguments: the axis, then the parts. The builtins `stack` and `concat` unpack their list into these. Not `Linear`: a
//! constant part that is no float has no tangent, but would stand in the tangent's place.

use super::index::part_index;
use super::operand::{self, known_axis};
use super::prim::{
    ArgShape, Batch, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req, variadic,
};
use super::shape_rules::{self, dtype_of};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::ops::index::GET_INDEX;
use crate::tensor::create::{article, stacked_dtype, tensor_from_values};
use crate::tensor::{DType, Shape, Tensor, view};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&STACK, &CONCAT];

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

fn nothing(name: &str) -> Error {
    Error::new("E0303", format!("{name} of no tensors: there is nothing to join"))
}

#[cold]
fn bad_part(name: &str, i: usize, kind: &str) -> Error {
    let kind = article(kind);
    let error = Error::new("E0310", format!("{name} joins tensors, but part {i} is {kind}"));
    if name == "concat" { error.help("stack joins scalars, and tensors along a new axis") } else { error }
}

#[cold]
fn parts_differ(name: &str, i: usize, first: &str, other: &str) -> Error {
    let error = Error::new("E0301", format!("the parts of {name} do not fit: part 0 is {first}, part {i} is {other}"));
    if name == "stack" {
        error.help("all parts of stack have one shape; concat joins along an axis in which they may differ")
    } else {
        error.help("the parts of concat may differ in the length of the axis along which they are joined only")
    }
}

/// Tangents of the parts, with zeros for those that have none.
fn jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let out = call.out.dtype().unwrap_or(DType::F64);
    let mut args = Vec::with_capacity(call.args.len());
    for (i, arg) in call.args.iter().enumerate() {
        args.push(match tangents.get(i) {
            _ if i == 0 => arg.clone(),
            Some(Some(t)) => t.clone(),
            _ => cx.zeros(call.shape(i), out),
        });
    }
    let y_dot = cx.apply(call.prim, &args)?;
    cx.cast(&y_dot, out).map(Some)
}

// ---- stack ----

fn stack(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some((axis, parts)) = args.split_first() else { return Err(nothing("stack")) };
    let Some(first) = parts.first() else { return Err(nothing("stack")) };
    for (i, part) in parts.iter().enumerate() {
        if part.shape().is_none() {
            return Err(bad_part("stack", i, &part.type_name()));
        }
        if part.shape() != first.shape() {
            return Err(parts_differ("stack", i, &first.type_name(), &part.type_name()));
        }
    }
    let rank = first.shape().map_or(0, <[usize]>::len);
    let axis = operand::axis("stack", Some(axis), rank + 1)?;
    let stacked = tensor_from_values(env, parts)?;
    match &stacked {
        Value::Tensor(_, t) if axis > 0 => {
            let mut axes: Shape = (1..=rank).collect();
            axes.insert(axis, 0);
            Ok(Value::tensor(view::permute(t, &axes)))
        }
        _ => Ok(stacked),
    }
}

/// Common dtype of the parts, if it follows from their types.
fn joined_dtype(parts: &[Ty]) -> Option<DType> {
    let mut float: Option<DType> = None;
    let (mut int, mut new_float) = (false, false);
    for ty in parts {
        match (ty, dtype_of(ty)?) {
            (Ty::Float, _) => new_float = true,
            (_, DType::Bool) => {}
            (_, DType::Int) => int = true,
            (_, d) => float = Some(float.map_or(d, |f| f.max(d))),
        }
    }
    match float {
        None if new_float => None, // the default dtype
        None => Some(if int { DType::Int } else { DType::Bool }),
        some => some,
    }
}

fn infer_stack(args: &[Ty]) -> Result<Ty> {
    let Some((axis, parts)) = args.split_first() else { return Err(nothing("stack")) };
    let mut joined: Option<(usize, Dims)> = None;
    let mut known = !parts.is_empty();
    for (i, part) in parts.iter().enumerate() {
        if let Some(kind) = not_numeric(part) {
            return Err(bad_part("stack", i, kind));
        }
        let Some(dims) = part.dims() else {
            known = false;
            continue;
        };
        joined = Some(match joined {
            None => (i, dims),
            Some((first, old)) => match merge(&old, &dims, None) {
                Some(dims) => (first, dims),
                None => return Err(differ_types("stack", parts, first, i)),
            },
        });
    }
    let dtype = joined_dtype(parts);
    match joined {
        Some((_, mut dims)) if known => {
            let rank = dims.len() + 1;
            match operand::known_axis("stack", Some(axis), rank)? {
                Some(axis) => dims.insert(axis, Dim::Known(parts.len())),
                None => dims = (0..rank).map(|_| Dim::Unknown).collect(),
            }
            Ok(Ty::of(dtype, Some(dims)))
        }
        _ => Ok(Ty::of(dtype, None)),
    }
}

#[cold]
fn differ_types(name: &str, parts: &[Ty], first: usize, i: usize) -> Error {
    let show = |i: usize| parts.get(i).map_or_else(String::new, shape_rules::show);
    if first == 0 {
        return parts_differ(name, i, &show(0), &show(i));
    }
    Error::new(
        "E0301",
        format!("the parts of {name} do not fit: part {first} is {}, part {i} is {}", show(first), show(i)),
    )
}

/// What can be neither scalar nor tensor.
fn not_numeric(ty: &Ty) -> Option<&'static str> {
    match ty {
        Ty::None => Some("none"),
        Ty::Str(_) => Some("str"),
        Ty::Tuple(_) => Some("tuple"),
        Ty::List(_) => Some("list"),
        Ty::Dict(_) => Some("dict"),
        Ty::Range => Some("range"),
        Ty::Fn(_) => Some("function"),
        _ => None,
    }
}

/// What is known of one shape from two descriptions of it; all axes but `free` must agree. `None`: they clash.
fn merge(a: &[Dim], b: &[Dim], free: Option<usize>) -> Option<Dims> {
    if a.len() != b.len() {
        return None;
    }
    a.iter()
        .zip(b)
        .enumerate()
        .map(|(axis, (a, b))| match axis {
            _ if Some(axis) == free => Some(a.with(*b, |a, b| a + b)),
            _ => (!a.differs(*b)).then(|| a.meet(*b)),
        })
        .collect()
}

fn stack_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let rank = call.shape(1).len() + 1;
    let axis = operand::axis("stack", call.args.first(), rank)?;
    let mut all = Cotangents::from_iter([None]);
    for i in 1..call.args.len() {
        all.push(if call.wants(i) {
            let at = Value::Int(i as i64 - 1);
            let index = if axis == 0 { at } else { part_index(axis, at) };
            Some(cx.apply(&GET_INDEX, &[y_bar.clone(), index])?)
        } else {
            None
        });
    }
    Ok(all)
}

/// `_stack(axis, *parts)`
pub static STACK: Prim = Prim {
    name: "_stack",
    doc: "Scalars, or tensors of one shape, joined along a new axis at `axis`.",
    sig: Sig { params: &[req("axis"), variadic("parts")] },
    infer: infer_stack,
    eval: Eval::General(stack),
    diff: Diff::Rules { jvp, vjp: stack_vjp, keep: Keep::NOTHING },
    batch: Batch::Indexed(|cx, call, level| super::batching::joining(cx, call, level, true)),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Int(0), floats(&[2]), floats(&[2]), floats(&[2])] },
            Sample { args: &[ProbeArg::Int(-1), floats(&[2, 3]), floats(&[2, 3])] },
            Sample { args: &[ProbeArg::Int(0), floats(&[]), floats(&[])] },
        ],
    },
};

// ---- concat ----

fn concat(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some((axis, parts)) = args.split_first() else { return Err(nothing("concat")) };
    let mut tensors: Vec<Tensor> = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        match part {
            Value::Tensor(_, t) => tensors.push((**t).clone()),
            other => return Err(bad_part("concat", i, &other.type_name())),
        }
    }
    let Some(rank) = tensors.first().map(Tensor::rank) else { return Err(nothing("concat")) };
    let axis = operand::axis("concat", Some(axis), rank)?;
    let first: Shape = tensors.first().map_or(&[][..], Tensor::shape).into();
    for (i, t) in tensors.iter().enumerate() {
        let fits = t.rank() == rank && t.shape().iter().zip(&first).enumerate().all(|(k, (a, b))| k == axis || a == b);
        if !fits {
            let show = |i: usize| parts.get(i).map_or_else(String::new, Value::type_name);
            return Err(parts_differ("concat", i, &show(0), &show(i)));
        }
    }
    let dtype = stacked_dtype(env, parts).unwrap_or(env.dtype);
    let same = tensors.iter().map(|t| t.cast(dtype)).collect::<Result<Vec<_>>>()?;
    Ok(Value::tensor(view::concat(&same, axis)))
}

fn infer_concat(args: &[Ty]) -> Result<Ty> {
    let Some((axis, parts)) = args.split_first() else { return Err(nothing("concat")) };
    let dtype = joined_dtype(parts);
    let mut joined: Option<(usize, Dims)> = None;
    let mut known = !parts.is_empty();
    for (i, part) in parts.iter().enumerate() {
        if let Some(kind) = not_numeric(part) {
            return Err(bad_part("concat", i, kind));
        }
        if let Ty::Float | Ty::Int(_) | Ty::Bool(_) = part {
            return Err(bad_part("concat", i, &shape_rules::show(part)));
        }
        let Some(dims) = part.dims() else {
            known = false;
            continue;
        };
        let Some((first, old)) = &joined else {
            joined = Some((i, dims));
            continue;
        };
        let Some(axis) = known_axis("concat", Some(axis), old.len())? else {
            known = false;
            continue;
        };
        match merge(old, &dims, Some(axis)) {
            Some(dims) => joined = Some((*first, dims)),
            None => return Err(differ_types("concat", parts, *first, i)),
        }
    }
    Ok(Ty::of(dtype, joined.filter(|_| known).map(|(_, dims)| dims)))
}

/// Where each part lies along the axis: start and length.
fn bounds(shapes: &[ArgShape], axis: usize) -> Vec<(usize, usize)> {
    let mut start = 0;
    let mut all = Vec::with_capacity(shapes.len());
    for s in shapes.iter().skip(1) {
        let n = s.shape.get(axis).copied().unwrap_or(0);
        all.push((start, n));
        start += n;
    }
    all
}

fn concat_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let axis = operand::axis("concat", call.args.first(), call.shape(1).len())?;
    let mut all = Cotangents::from_iter([None]);
    for (i, (start, n)) in bounds(call.shapes, axis).into_iter().enumerate() {
        all.push(if call.wants(i + 1) {
            let slice = super::index::slice(start, start + n);
            Some(cx.apply(&GET_INDEX, &[y_bar.clone(), part_index(axis, slice)])?)
        } else {
            None
        });
    }
    Ok(all)
}

/// `_concat(axis, *parts)`
pub static CONCAT: Prim = Prim {
    name: "_concat",
    doc: "Tensors that differ along `axis` at most, joined along it.",
    sig: Sig { params: &[req("axis"), variadic("parts")] },
    infer: infer_concat,
    eval: Eval::General(concat),
    diff: Diff::Rules { jvp, vjp: concat_vjp, keep: Keep::NOTHING },
    batch: Batch::Indexed(|cx, call, level| super::batching::joining(cx, call, level, false)),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Int(0), floats(&[2]), floats(&[3])] },
            Sample { args: &[ProbeArg::Int(1), floats(&[2, 1]), floats(&[2, 3])] },
            Sample { args: &[ProbeArg::Int(-2), floats(&[2, 3]), floats(&[0, 3])] },
        ],
    },
};
