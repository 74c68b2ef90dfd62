//! Picking by int tensors: `take`, `gather`, their transposes, `one_hot`.

use std::rc::Rc;

use super::index::{INDEX_ADD, bad_item, part_index, spec, spread, value_bar};
use super::index_rules::{infer_get, infer_write};
use super::operand::{self, known_axis, known_int, ranked, ranked_operand};
use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::only;
use crate::ad::Cx;
use crate::ad::slot::Slot;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::along::{self, line_indices};
use crate::tensor::create::article;
use crate::tensor::elementwise::wrong_kind_of;
use crate::tensor::{Arr, DType, Shape, Tensor, index as kernel, room};
use crate::types::ty::{Dim, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&TAKE, &SCATTER_ADD, &GATHER, &SCATTER_ALONG, &ONE_HOT];

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

const REPEATED: ProbeArg = ProbeArg::Ints { shape: &[3], data: &[2, 0, 2] };

#[cold]
fn not_ints(name: &str, kind: &str) -> Error {
    let kind = article(kind);
    let error = Error::new("E0310", format!("the indices of {name} are ints, not {kind}"))
        .operand(1, format!("this is {kind}"));
    match kind.as_bytes() {
        [b'b', b'o', ..] => error.help("with a mask write x[mask]"),
        _ => error.help("make them an int tensor: [0, 2, 1]"),
    }
}

// ---- take and scatter_add: whole slices ----

/// `x[:, .., indices]` for the axis of the call.
fn taken(name: &str, indices: &Value, axis: Option<&Value>, rank: usize) -> Result<Value> {
    let axis = operand::axis(name, axis, rank)?;
    match indices {
        Value::Int(_) | Value::Range(_) => {}
        Value::Batched(..) if indices.dtype() == Some(DType::Int) => {}
        Value::Tensor(_, t) if t.dtype() == DType::Int || (t.is_empty() && t.dtype().is_float()) => {}
        other => return Err(not_ints(name, &other.type_name())),
    }
    Ok(part_index(axis, indices.clone()))
}

/// The same of types; `None` if the axis is not known.
fn taken_type(name: &str, x: &Ty, indices: &Ty, axis: Option<&Ty>) -> Result<Option<Ty>> {
    match indices {
        Ty::Float => return Err(not_ints(name, "float")),
        Ty::Tensor(t) if t.dtype == Some(DType::Bool) => {
            return Err(not_ints(name, &super::shape_rules::show(indices)));
        }
        Ty::Int(_) | Ty::Tensor(_) | Ty::Range => {}
        _ => return Ok(None),
    }
    let Some(dims) = x.dims() else { return Ok(None) };
    let Some(axis) = known_axis(name, axis, dims.len())? else { return Ok(None) };
    let whole = Ty::Tuple(Rc::new(vec![Ty::None, Ty::None, Ty::None]));
    let mut items = vec![whole; axis];
    items.push(indices.clone());
    Ok(Some(Ty::Tuple(Rc::new(items))))
}

fn take(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = ranked(env, "take", args, 1)?;
    let index = taken("take", args.get(1).unwrap_or(&Value::None), args.get(2), t.rank())?;
    kernel::get_index(&t, &spec(&index)?)
}

fn infer_take(args: &[Ty]) -> Result<Ty> {
    let Some(x) = ranked_operand("take", args, 1)? else { return Ok(Ty::Any) };
    let [of, indices, axis, ..] = args else { return Ok(Ty::Any) };
    match taken_type("take", of, indices, Some(axis))? {
        Some(index) => infer_get(&[of.clone(), index]),
        None => Ok(Ty::of(x.dtype, None)),
    }
}

/// The index of a recorded `take` or `scatter_add`.
fn recorded(call: &Call<'_>, axis: usize) -> Result<Value> {
    taken(call.prim.name, call.args.get(1).unwrap_or(&Value::None), call.args.get(axis), call.shape(0).len())
}

/// `take(x, indices, axis: 0)`
pub static TAKE: Prim = Prim {
    name: "take",
    doc: "The slices of `x` at `indices` (an int or int tensor) along `axis`: `take(x, [2, 0])` are rows 2 and 0. What is taken \
          several times adds up in the gradient.",
    sig: Sig { params: &[req("x"), req("indices"), opt("axis", Default::Int(0))] },
    infer: infer_take,
    eval: Eval::General(take),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let index = recorded(call, 2)?;
            only(call, spread(cx, call, &index, y_bar)?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Indexed(super::batching_moves::taking),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 2]), REPEATED, ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), REPEATED, ProbeArg::Int(-1)] },
            Sample { args: &[floats(&[3]), ProbeArg::Int(-1), ProbeArg::Int(0)] },
        ],
    },
};

fn scatter_add(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [_, indices, v, axis] = args else { return Ok(Value::None) };
    let mut t = Rc::new(ranked(env, "scatter_add", args, 1)?);
    let index = taken("scatter_add", indices, Some(axis), t.rank())?;
    kernel::index_add(&mut t, &spec(&index)?, v)?;
    Ok(Value::Tensor(Slot::CONST, t))
}

fn infer_scatter_add(args: &[Ty]) -> Result<Ty> {
    let x = ranked_operand("scatter_add", args, 1)?;
    let [of, indices, v, axis] = args else { return Ok(Ty::Any) };
    match (x, taken_type("scatter_add", of, indices, Some(axis))?) {
        (Some(_), Some(index)) => infer_write(&[of.clone(), index, v.clone()], true),
        (Some(_), None) => Ok(of.clone()),
        (None, _) => Ok(Ty::Any),
    }
}

fn scatter_add_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let dtype = call.shapes.first().and_then(|s| s.dtype).unwrap_or(DType::F64);
    let x_dot = match tangents.first() {
        Some(Some(t)) => t.clone(),
        _ => cx.zeros(call.shape(0), dtype),
    };
    match tangents.get(2) {
        Some(Some(v_dot)) => cx.apply(&INDEX_ADD, &[x_dot, recorded(call, 3)?, v_dot.clone()]).map(Some),
        _ => Ok(Some(x_dot)),
    }
}

fn scatter_add_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let v_bar = if call.wants(2) {
        let [indices, axis] = [1, 3].map(|i| call.args.get(i).cloned().unwrap_or_default());
        let part = cx.apply(&TAKE, &[y_bar.clone(), indices, axis])?;
        Some(value_bar(cx, call, part)?)
    } else {
        None
    };
    Ok(Cotangents::from_iter([call.wants(0).then(|| y_bar.clone()), None, v_bar, None]))
}

/// `scatter_add(x, indices, values, axis: 0)`
pub static SCATTER_ADD: Prim = Prim {
    name: "scatter_add",
    doc: "`x` with `values` added to its slices at `indices` along `axis`; what is named several times takes every addend.",
    sig: Sig { params: &[req("x"), req("indices"), req("values"), opt("axis", Default::Int(0))] },
    infer: infer_scatter_add,
    eval: Eval::General(scatter_add),
    diff: Diff::Rules { jvp: scatter_add_jvp, vjp: scatter_add_vjp, keep: Keep::NOTHING },
    batch: Batch::Indexed(super::batching_moves::scattering),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 2]), REPEATED, floats(&[3, 2]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), REPEATED, floats(&[2, 1]), ProbeArg::Int(1)] },
            Sample { args: &[floats(&[3]), REPEATED, floats(&[]), ProbeArg::Int(0)] },
        ],
    },
};

// ---- gather: one index for each element ----

/// The int array behind an argument.
fn int_array(name: &str, v: Option<&Value>) -> Result<Arr<i64>> {
    match v {
        Some(Value::Tensor(_, t)) => match &**t {
            Tensor::Int(a) => Ok(a.clone()),
            _ => Err(not_ints(name, &v.map_or_else(String::new, Value::type_name))),
        },
        other => Err(not_ints(name, &other.map_or_else(String::new, Value::type_name))),
    }
}

fn gather(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = ranked(env, "gather", args, 1)?;
    let indices = int_array("gather", args.get(1))?;
    let axis = operand::axis("gather", args.get(2), t.rank())?;
    let lines = line_indices("gather", t.shape(), &indices, axis)?;
    let m = indices.shape().get(axis).copied().unwrap_or(0);
    Ok(Value::tensor(along::gather(&t, axis, &lines, m)))
}

fn infer_gather(args: &[Ty]) -> Result<Ty> {
    let Some(x) = ranked_operand("gather", args, 1)? else { return Ok(Ty::Any) };
    match args.get(1) {
        Some(Ty::Tensor(i)) if matches!(i.dtype, None | Some(DType::Int)) => {
            if let (Some(dims), Some(own)) = (&x.dims, &i.dims) {
                known_axis("gather", args.get(2), dims.len())?;
                if own.len() != dims.len() {
                    return Ok(Ty::of(x.dtype, None)); // evaluation says what is wrong
                }
            }
            Ok(Ty::of(x.dtype, i.dims.clone()))
        }
        Some(other @ (Ty::Tensor(_) | Ty::Float | Ty::Int(_) | Ty::Bool(_))) => {
            Err(not_ints("gather", &super::shape_rules::show(other)))
        }
        _ => Ok(Ty::of(x.dtype, None)),
    }
}

/// `gather(x, indices, axis: 0)`
pub static GATHER: Prim = Prim {
    name: "gather",
    doc: "One element of `x` for each of `indices`, which have the shape of `x` but for `axis`: `gather(x, i, axis: 1)[a, b]` is \
          `x[a, i[a, b]]`. What is taken several times adds up in the gradient.",
    sig: Sig { params: &[req("x"), req("indices"), opt("axis", Default::Int(0))] },
    infer: infer_gather,
    eval: Eval::General(gather),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let [indices, axis] = [1, 2].map(|i| call.args.get(i).cloned().unwrap_or_default());
            let at = operand::axis("gather", Some(&axis), call.shape(0).len())?;
            let n = call.shape(0).get(at).map_or(0, |&n| n as i64);
            only(call, cx.apply(&SCATTER_ALONG, &[y_bar.clone(), indices, axis, Value::Int(n)])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching_moves::gathering),
    probe: Probe {
        samples: &[
            Sample {
                args: &[floats(&[2, 3]), ProbeArg::Ints { shape: &[2, 2], data: &[2, 2, 0, 1] }, ProbeArg::Int(1)],
            },
            Sample { args: &[floats(&[3]), REPEATED, ProbeArg::Int(0)] },
        ],
    },
};

fn scatter_along(env: &mut Env, args: &[Value]) -> Result<Value> {
    let v = ranked(env, "gather", args, 1)?;
    let indices = int_array("gather", args.get(1))?;
    let axis = operand::axis("gather", args.get(2), v.rank())?;
    let n = operand::size("gather", "the length", args.get(3))?;
    let full = along::with_dim(v.shape(), axis, n);
    room::check(&full, v.dtype())?;
    let lines = line_indices("gather", &full, &indices, axis)?;
    match along::scatter(&v, axis, &lines, n) {
        Some(out) => Ok(Value::tensor(out)),
        None => Err(wrong_kind_of("_scatter_along", 0, &args.first().map_or_else(String::new, Value::type_name))),
    }
}

fn infer_scatter_along(args: &[Ty]) -> Result<Ty> {
    let Some(v) = ranked_operand("gather", args, 1)? else { return Ok(Ty::Any) };
    let Some(mut dims) = v.dims else { return Ok(Ty::of(v.dtype, None)) };
    let Some(axis) = known_axis("gather", args.get(2), dims.len())? else { return Ok(Ty::of(v.dtype, None)) };
    let n = known_int(args.get(3)).and_then(|n| usize::try_from(n).ok());
    if let Some(dim) = dims.get_mut(axis) {
        *dim = n.map_or(Dim::Unknown, Dim::Known);
    }
    Ok(Ty::of(v.dtype, Some(dims)))
}

/// `_scatter_along(v, indices, axis, n)`: the transpose of [`GATHER`].
pub static SCATTER_ALONG: Prim = Prim {
    name: "_scatter_along",
    doc: "Zeros, `n` long along `axis`, with each element of `v` added at its index.",
    sig: Sig { params: &[req("v"), req("indices"), req("axis"), req("n")] },
    infer: infer_scatter_along,
    eval: Eval::General(scatter_along),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let [indices, axis] = [1, 2].map(|i| call.args.get(i).cloned().unwrap_or_default());
            only(call, cx.apply(&GATHER, &[y_bar.clone(), indices, axis])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching_moves::scattering_along),
    probe: Probe {
        samples: &[Sample {
            args: &[
                floats(&[2, 2]),
                ProbeArg::Ints { shape: &[2, 2], data: &[2, 2, 0, 1] },
                ProbeArg::Int(1),
                ProbeArg::Int(3),
            ],
        }],
    },
};

// ---- one_hot ----

fn one_hot(env: &mut Env, args: &[Value]) -> Result<Value> {
    let classes = operand::size("one_hot", "the number of classes", args.get(1))?;
    let indices: Arr<i64> = match args.first() {
        Some(Value::Int(i)) => crate::tensor::create::array(&[], vec![*i]),
        Some(Value::Tensor(_, t)) => match &**t {
            Tensor::Int(a) => a.clone(),
            _ => return Err(bad_classes(&args[0].type_name())),
        },
        other => return Err(bad_classes(&other.map_or_else(String::new, Value::type_name))),
    };
    let mut shape = Shape::from_slice(indices.shape());
    shape.push(classes);
    room::check(&shape, DType::F64)?;
    let mut data = vec![0.0f64; indices.len() * classes];
    for (row, &i) in indices.iter().enumerate() {
        let at = usize::try_from(i).ok().filter(|&at| at < classes).ok_or_else(|| {
            Error::new("E0401", format!("class {i} is out of range for one_hot with {classes} classes"))
                .help(format!("classes go from 0 to {}", classes.saturating_sub(1)))
        })?;
        if let Some(place) = data.get_mut(row * classes + at) {
            *place = 1.0;
        }
    }
    Ok(Value::tensor(Tensor::floats(&shape, env.dtype, data.into_iter())))
}

#[cold]
fn bad_classes(kind: &str) -> Error {
    let mut error = bad_item(kind);
    error.0.message = format!("one_hot wants an int or int tensor of classes, not {}", article(kind));
    error.0.operands = vec![(0, format!("this is {}", article(kind)))];
    error
}

fn infer_one_hot(args: &[Ty]) -> Result<Ty> {
    let classes = known_int(args.get(1)).and_then(|n| usize::try_from(n).ok()).map_or(Dim::Unknown, Dim::Known);
    let dims = match args.first() {
        Some(Ty::Tensor(t)) if t.dtype.is_some_and(|d| d != DType::Int) => {
            return Err(bad_classes(&super::shape_rules::show(&Ty::Tensor(t.clone()))));
        }
        Some(x @ (Ty::Tensor(_) | Ty::Int(_))) => x.dims(),
        Some(Ty::Float) => return Err(bad_classes("float")),
        _ => None,
    };
    Ok(Ty::of(
        None,
        dims.map(|mut dims| {
            dims.push(classes);
            dims
        }),
    ))
}

/// `one_hot(indices, classes)`
pub static ONE_HOT: Prim = Prim {
    name: "one_hot",
    doc: "For each int its unit vector of length `classes`: `one_hot([1, 0], 3)` is `[[0, 1, 0], [1, 0, 0]]`. Floats of the \
          default dtype; a class out of range is an error.",
    sig: Sig { params: &[req("indices"), req("classes")] },
    infer: infer_one_hot,
    eval: Eval::General(one_hot),
    diff: Diff::Zero,
    batch: Batch::Rule(super::batching::as_it_is),
    probe: Probe { samples: &[Sample { args: &[REPEATED, ProbeArg::Int(3)] }] },
};
