//! Reading and writing parts of tensors: `get_index`, `_set_index`, `_index_add`.
//!
//! The index is a tuple of items, one for each comma: an int; `none` (new axis); a tuple `(start, stop, step)` (slice);
//! the str `...`; an int tensor (gather); a bool tensor (mask). An index that is no tuple is one item. Indices carry no
//! derivative, so they stay on the tape; shapes and plans are worked out anew by each rule.

use std::ops::Range;
use std::rc::Rc;

use super::compare::EQ;
use super::index_rules::{infer_get, infer_write};
use super::prim::{Batch, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::reduce::only;
use super::select::WHERE;
use crate::ad::batch::is_batched;
use crate::ad::slot::Slot;
use crate::ad::{Cx, Watch};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::create::article;
use crate::tensor::index::{IndexSpec, Spec, overwritten, slice_bounds};
use crate::tensor::{DType, Shape, Tensor, count, flat, index as kernel};
use crate::value::Value;

pub use crate::tensor::index::get_at;

/// The family.
pub static PRIMS: &[&Prim] = &[&GET_INDEX, &SET_INDEX, &INDEX_ADD];

// ---- index values ----

/// The item `start..stop`.
pub fn slice(start: usize, stop: usize) -> Value {
    Value::tuple(vec![Value::Int(start as i64), Value::Int(stop as i64), Value::None])
}

/// The index that applies `item` to one axis and takes all of the axes before it.
pub fn part_index(axis: usize, item: Value) -> Value {
    let whole = Value::tuple(vec![Value::None, Value::None, Value::None]);
    let mut items = vec![whole; axis];
    items.push(item);
    Value::tuple(items)
}

/// What an item of an index must not be.
#[cold]
pub fn bad_item(kind: &str) -> Error {
    let kind_shown = article(kind);
    let error = Error::new(
        "E0310",
        format!("an index is an int, a slice, `none`, `...`, or an int or bool tensor, not {kind_shown}"),
    )
    .operand(1, format!("this is {kind_shown}"));
    if kind.starts_with('f') && kind != "function" {
        error.help("convert it first: int(x), or x.to(int)")
    } else {
        error
    }
}

/// What has no parts.
#[cold]
pub fn no_parts(kind: &str) -> Error {
    let kind = article(kind);
    Error::new("E0310", format!("{kind} has no elements to index")).operand(0, format!("this is {kind}"))
}

fn bound(v: &Value) -> Result<Option<i64>> {
    match v {
        Value::None => Ok(None),
        Value::Int(i) => Ok(Some(*i)),
        other => {
            let kind = article(&other.type_name());
            Err(not_a_bound(&kind).operand(1, format!("this is {kind}")))
        }
    }
}

/// The error for `x[:0.5]`.
#[cold]
pub fn not_a_bound(kind: &str) -> Error {
    let error = Error::new("E0310", format!("the bound of a slice is {kind}, not an int"));
    if kind == "a float" { error.help("`/` gives a float: write `//` for a whole quotient, or int(x)") } else { error }
}

fn item(v: &Value) -> Result<IndexSpec> {
    Ok(match v {
        Value::Int(i) => IndexSpec::At(*i),
        Value::None => IndexSpec::NewAxis,
        Value::Tuple(parts) => {
            let [start, stop, step] = &parts[..] else { return Err(bad_item("tuple")) };
            IndexSpec::Slice { start: bound(start)?, stop: bound(stop)?, step: bound(step)?.unwrap_or(1) }
        }
        Value::Str(s) if s.as_str() == "..." => IndexSpec::Ellipsis,
        Value::Tensor(_, t) => match t.dtype() {
            DType::Int => IndexSpec::Ints(t.clone()),
            DType::Bool => IndexSpec::Mask(t.clone()),
            // `[]` is a float tensor.
            _ if t.is_empty() => IndexSpec::Ints(Rc::new(Tensor::zeros(t.shape(), DType::Int))),
            _ => return Err(bad_item(&v.type_name())),
        },
        Value::Range(range) => {
            let n = range.len();
            crate::tensor::room::check(&[n], DType::Int)?;
            IndexSpec::Ints(Rc::new(Tensor::from_vec(&[n], (0..n).map(|i| range.at(i)).collect())))
        }
        other => return Err(bad_item(&other.type_name())),
    })
}

/// An index value as the kernels read it.
pub fn spec(index: &Value) -> Result<Spec> {
    match index {
        Value::Tuple(items) => items.iter().map(item).collect(),
        one => Ok(Spec::from_iter([item(one)?])),
    }
}

/// The elements of a vector of `n` that an index names, if it is one slice of neighbours.
#[inline]
pub fn neighbours(n: usize, index: &Value) -> Option<Range<usize>> {
    let Value::Tuple(items) = index else { return None };
    let [Value::Tuple(parts)] = &items[..] else { return None };
    let [start, stop, Value::None | Value::Int(1)] = &parts[..] else { return None };
    let (start, len, _) = slice_bounds(bound(start).ok()?, bound(stop).ok()?, 1, n).ok()?;
    Some(start..start + len)
}

// ---- reading ----

fn get(_: &mut Env, args: &[Value]) -> Result<Value> {
    match args {
        [Value::Tensor(_, t), Value::Int(i)] => get_at(t, *i),
        [Value::Tensor(_, t), index]
            if let &[n] = t.shape()
                && let Some(range) = neighbours(n, index) =>
        {
            Ok(Value::tensor(kernel::neighbours(t, range)))
        }
        [Value::Tensor(_, t), index] => kernel::get_index(t, &spec(index)?),
        [other, _] => Err(no_parts(&other.type_name())),
        _ => Ok(Value::None),
    }
}

/// Zeros of argument 0, with `v` added at the index.
pub(super) fn spread(cx: &mut Cx, call: &Call<'_>, index: &Value, v: &Value) -> Result<Value> {
    let dtype = call.shapes.first().and_then(|s| s.dtype).unwrap_or(DType::F64);
    if let (&[n], Value::Tensor(Slot::CONST, v), Watch::Off) = (call.shape(0), v, cx.watch)
        && let Some(range) = neighbours(n, index)
        && v.shape() == [range.len()]
    {
        let around = (range.start, n - range.end);
        match &**v {
            Tensor::F32(v) if dtype == DType::F32 => return Ok(kernel::between(&flat(v), around, 0.0)),
            Tensor::F64(v) if dtype == DType::F64 => return Ok(kernel::between(&flat(v), around, 0.0)),
            _ => {}
        }
    }
    let mut zeros = cx.zeros(call.shape(0), dtype);
    // Constants are added in place: as an argument the zeros would be shared, and copied.
    if let (Value::Tensor(_, t), true, None) = (&mut zeros, v.slot().is_const(), cx.innermost_batch())
        && cx.watch == Watch::Off
    {
        add_in_place(t, index, v)?;
        return Ok(zeros);
    }
    cx.apply(&INDEX_ADD, &[zeros, index.clone(), v.clone()])
}

fn index_of<'a>(call: &'a Call<'_>) -> &'a Value {
    call.args.get(1).unwrap_or(&Value::None)
}

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

const REPEATED: ProbeArg = ProbeArg::Ints { shape: &[3], data: &[2, 0, 2] };
const MASK: ProbeArg = ProbeArg::Bools { shape: &[3], data: &[true, false, true] };

const EVERY_OTHER: ProbeArg = ProbeArg::Items(&[ProbeArg::None, ProbeArg::None, ProbeArg::Int(2)]);
const BACKWARDS: ProbeArg = ProbeArg::Items(&[ProbeArg::None, ProbeArg::None, ProbeArg::Int(-1)]);
const MIDDLE: ProbeArg = ProbeArg::Items(&[ProbeArg::Int(1), ProbeArg::Int(-1), ProbeArg::None]);
const REST: ProbeArg = ProbeArg::Str("...");
const COLUMN: ProbeArg = ProbeArg::Ints { shape: &[2, 1], data: &[1, 0] };

/// `x[index]`
pub static GET_INDEX: Prim = Prim {
    name: "get_index",
    doc: "The part of `x` at an index: a view for ints and slices, a copy for int tensors and masks. Places that are read \
          several times add up in the gradient.",
    sig: Sig { params: &[req("x"), req("index")] },
    infer: infer_get,
    eval: Eval::General(get),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| only(call, spread(cx, call, index_of(call), y_bar)?),
        keep: Keep::NOTHING,
    },
    batch: Batch::Indexed(super::batching::reading),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), ProbeArg::Int(-1)] },
            Sample { args: &[floats(&[3, 2]), ProbeArg::Int(1)] },
            Sample { args: &[floats(&[3, 2]), ProbeArg::Tuple(&[2, 0])] },
            Sample { args: &[floats(&[3, 2]), REPEATED] },
            Sample { args: &[floats(&[3, 2]), MASK] },
            Sample { args: &[floats(&[3]), ProbeArg::None] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[EVERY_OTHER, ProbeArg::Int(-1)])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[REST, MIDDLE, BACKWARDS])] },
            Sample { args: &[floats(&[2, 4, 3]), ProbeArg::Items(&[MIDDLE, REST, ProbeArg::None, ProbeArg::Int(0)])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[REPEATED, EVERY_OTHER])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[BACKWARDS, REPEATED])] },
            Sample { args: &[floats(&[3, 3]), ProbeArg::Items(&[COLUMN, REPEATED])] },
            Sample { args: &[floats(&[3, 2, 3]), ProbeArg::Items(&[REPEATED, EVERY_OTHER, REPEATED])] },
            Sample { args: &[floats(&[2, 3, 3]), ProbeArg::Items(&[ProbeArg::Int(1), EVERY_OTHER, REPEATED])] },
            Sample { args: &[floats(&[3, 2]), ProbeArg::Items(&[MASK, ProbeArg::Int(1)])] },
        ],
    },
};

// ---- writing ----

/// Writes `v` at the index: in place if `x` is unshared. For constants; `v` is stretched and cast to the dtype of `x`.
pub fn set_in_place(x: &mut Rc<Tensor>, index: &Value, v: &Value) -> Result<()> {
    kernel::set_index(x, &spec(index)?, v)
}

/// Adds `v` at the index: in place if `x` is unshared. For constants.
pub fn add_in_place(x: &mut Rc<Tensor>, index: &Value, v: &Value) -> Result<()> {
    if let (&[n], Value::Tensor(_, v)) = (x.shape(), v)
        && let Some(range) = neighbours(n, index)
        && kernel::add_neighbours(x, range, v)
    {
        return Ok(());
    }
    kernel::index_add(x, &spec(index)?, v)
}

fn write(args: &[Value], f: fn(&mut Rc<Tensor>, &[IndexSpec], &Value) -> Result<()>) -> Result<Value> {
    match args {
        [Value::Tensor(_, t), index, v] => {
            let mut t = t.clone();
            f(&mut t, &spec(index)?, v)?;
            Ok(Value::Tensor(Slot::CONST, t))
        }
        [other, ..] => Err(no_parts(&other.type_name())),
        [] => Ok(Value::None),
    }
}

/// A cotangent of the selected part in a shape that sums to that of the value written there, which may have more axes.
pub(super) fn value_bar(cx: &mut Cx, call: &Call<'_>, part: Value) -> Result<Value> {
    let (have, want) = (part.shape().map_or(0, <[usize]>::len), call.shape(2).len());
    if want <= have {
        return Ok(part);
    }
    let mut shape = Shape::from_elem(1, want - have);
    shape.extend_from_slice(part.shape().unwrap_or(&[]));
    cx.reshape(&part, &shape)
}

/// Tangent of the tensor written to, zeros if it has none.
fn target_dot(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Value {
    let dtype = call.shapes.first().and_then(|s| s.dtype).unwrap_or(DType::F64);
    match tangents.first() {
        Some(Some(t)) => t.clone(),
        _ => cx.zeros(call.shape(0), dtype),
    }
}

fn set_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let x_dot = target_dot(cx, call, tangents);
    let v_dot = tangents.get(2).cloned().flatten().unwrap_or(Value::float(0.0));
    cx.apply(&SET_INDEX, &[x_dot, index_of(call).clone(), v_dot]).map(Some)
}

/// Which elements of the selected part were not overwritten: those that find their own number where they wrote it.
fn last_writes(cx: &mut Cx, call: &Call<'_>, part: &Value) -> Result<Value> {
    let shape = Shape::from_slice(part.shape().unwrap_or(&[]));
    let numbers: Vec<f64> = (1..=count(&shape)).map(|i| i as f64).collect();
    let numbers = Value::tensor(Tensor::from_vec(&shape, numbers));
    let places = cx.zeros(call.shape(0), DType::F64);
    let written = cx.apply(&SET_INDEX, &[places, index_of(call).clone(), numbers.clone()])?;
    let found = cx.apply(&GET_INDEX, &[written, index_of(call).clone()])?;
    cx.apply(&EQ, &[found, numbers])
}

fn set_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let index = index_of(call);
    let x_bar = match call.wants(0) {
        true => Some(cx.apply(&SET_INDEX, &[y_bar.clone(), index.clone(), Value::float(0.0)])?),
        false => None,
    };
    let v_bar = if call.wants(2) {
        let mut part = cx.apply(&GET_INDEX, &[y_bar.clone(), index.clone()])?;
        if is_batched(index) {
            // Which places are written twice differs from example to example.
            return Err(cx.each_alone());
        }
        // What a later write hid had no effect.
        if is_batched(index) {
            let last = last_writes(cx, call, &part)?;
            part = cx.where_(&last, &part, &Value::float(0.0))?;
        } else if let Some(hidden) = overwritten(call.shape(0), &spec(index)?)? {
            part = cx.apply(&WHERE, &[Value::tensor(hidden), Value::float(0.0), part])?;
        }
        Some(value_bar(cx, call, part)?)
    } else {
        None
    };
    Ok(Cotangents::from_iter([x_bar, None, v_bar]))
}

/// `x[index] = v`
pub static SET_INDEX: Prim = Prim {
    name: "_set_index",
    doc: "`x` with `v` written at an index. Where an index names a place more than once the last value wins, and only it \
          receives a gradient.",
    sig: Sig { params: &[req("x"), req("index"), req("v")] },
    infer: |args| infer_write(args, false),
    eval: Eval::General(|_, args| write(args, kernel::set_index)),
    diff: Diff::Rules { jvp: set_jvp, vjp: set_vjp, keep: Keep::NOTHING },
    batch: Batch::Indexed(super::batching::writing),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), ProbeArg::Int(1), floats(&[])] },
            Sample { args: &[floats(&[3, 2]), ProbeArg::Int(1), floats(&[2])] },
            Sample { args: &[floats(&[3, 2]), REPEATED, floats(&[3, 2])] },
            Sample { args: &[floats(&[3, 2]), REPEATED, floats(&[2])] },
            Sample { args: &[floats(&[3]), MASK, floats(&[1, 1])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[EVERY_OTHER, ProbeArg::Int(-1)]), floats(&[2])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[REST, BACKWARDS]), floats(&[4, 1])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[REPEATED, EVERY_OTHER]), floats(&[3, 2])] },
            Sample { args: &[floats(&[3, 3]), ProbeArg::Items(&[COLUMN, REPEATED]), floats(&[3])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[MIDDLE, REPEATED]), floats(&[])] },
        ],
    },
};

fn add_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let x_dot = target_dot(cx, call, tangents);
    match tangents.get(2) {
        Some(Some(v_dot)) => cx.apply(&INDEX_ADD, &[x_dot, index_of(call).clone(), v_dot.clone()]).map(Some),
        _ => Ok(Some(x_dot)),
    }
}

fn add_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let v_bar = if call.wants(2) {
        let part = cx.apply(&GET_INDEX, &[y_bar.clone(), index_of(call).clone()])?;
        Some(value_bar(cx, call, part)?)
    } else {
        None
    };
    Ok(Cotangents::from_iter([call.wants(0).then(|| y_bar.clone()), None, v_bar]))
}

/// `x` with `v` added at the index.
pub static INDEX_ADD: Prim = Prim {
    name: "_index_add",
    doc: "`x` with `v` added at an index. Where an index names a place more than once all of the values add up.",
    sig: Sig { params: &[req("x"), req("index"), req("v")] },
    infer: |args| infer_write(args, true),
    eval: Eval::General(|_, args| write(args, kernel::index_add)),
    diff: Diff::Rules { jvp: add_jvp, vjp: add_vjp, keep: Keep::NOTHING },
    batch: Batch::Indexed(super::batching::writing),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), ProbeArg::Int(1), floats(&[])] },
            Sample { args: &[floats(&[3, 2]), REPEATED, floats(&[3, 2])] },
            Sample { args: &[floats(&[3]), REPEATED, floats(&[])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[EVERY_OTHER, ProbeArg::Int(-1)]), floats(&[2])] },
            Sample { args: &[floats(&[4, 3]), ProbeArg::Items(&[REPEATED, EVERY_OTHER]), floats(&[3, 2])] },
            Sample { args: &[floats(&[3, 3]), ProbeArg::Items(&[COLUMN, REPEATED]), floats(&[3])] },
            Sample { args: &[floats(&[2, 4, 3]), ProbeArg::Items(&[REST, MIDDLE, REPEATED]), floats(&[2, 2, 3])] },
        ],
    },
};
