//! Batching rules that several primitives share: how to apply one to a whole batch, examples along axis 0.
//!
//! Axes count from the front of one example, so they move up by one; negative ones count from its end, so they must be
//! made positive by the rank of an example first.

use smallvec::SmallVec;

use super::convert::shape_arg;
use super::prim::BatchCall;
use super::reduce::axes_value;
use crate::ad::Cx;
use crate::ad::batch::align;
use crate::ad::slot::Level;
use crate::error::Result;
use crate::ops::convert::{SUM_TO, shape_value};
use crate::ops::linalg::{DOT, MATMUL};
use crate::ops::reduce::SUM;
use crate::tensor::{Shape, Tensor};
use crate::value::Value;

/// An axis of one example as an axis of the batch; `None` if it is no int in range.
pub(super) fn moved_axis(axis: &Value, rank: usize) -> Option<i64> {
    let Value::Int(axis) = axis else { return None };
    let at = if *axis < 0 { axis + rank as i64 } else { *axis };
    (0..rank as i64).contains(&at).then_some(at + 1)
}

/// An axis argument (an int or a tuple of them) moved behind the batch axis.
pub(super) fn moved_axes(axis: &Value, rank: usize) -> Option<Value> {
    match axis {
        Value::None => {
            let all: Vec<usize> = (1..=rank).collect();
            Some(axes_value(&all))
        }
        Value::Tuple(items) | Value::List(items) => {
            let moved: Option<Vec<Value>> = items.iter().map(|a| moved_axis(a, rank).map(Value::Int)).collect();
            moved.map(Value::tuple)
        }
        one => moved_axis(one, rank).map(Value::Int),
    }
}

pub(super) fn with(call: &BatchCall<'_>, i: usize, value: Value) -> SmallVec<[Value; 4]> {
    let mut args: SmallVec<[Value; 4]> = SmallVec::from(call.args);
    if let Some(arg) = args.get_mut(i) {
        *arg = value;
    }
    args
}

/// Reductions over the axes in argument `AXIS`; `none` means all.
pub fn reduction<const AXIS: usize>(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) || call.shape(0).is_empty() {
        return Ok(None);
    }
    match moved_axes(&call.args[AXIS], call.shape(0).len()) {
        Some(axes) => cx.apply(call.prim, &with(call, AXIS, axes)).map(Some),
        None => Ok(None),
    }
}

/// What works along the one axis in argument `AXIS` of argument 0; `none` is not batched.
pub fn along<const AXIS: usize>(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) {
        return Ok(None);
    }
    match moved_axis(&call.args[AXIS], call.shape(0).len()) {
        Some(axis) => cx.apply(call.prim, &with(call, AXIS, Value::Int(axis))).map(Some),
        None => Ok(None),
    }
}

/// The same where arguments before `AXIS` have one shape and are all batched or stretched to be.
pub fn along_together<const AXIS: usize>(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let shape = call.shape(0).to_vec();
    let Some(axis) = moved_axis(&call.args[AXIS], shape.len()) else { return Ok(None) };
    let mut args = with(call, AXIS, Value::Int(axis));
    let full: Vec<usize> = std::iter::once(call.n).chain(shape.iter().copied()).collect();
    for (i, arg) in args.iter_mut().enumerate().take(AXIS) {
        if call.shape(i) != shape {
            return Ok(None);
        }
        if !call.batched[i] {
            *arg = cx.broadcast_to(arg, &full)?;
        }
    }
    cx.apply(call.prim, &args).map(Some)
}

/// A shape argument gets the batch axis in front.
pub fn reshaping(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let Value::Tuple(dims) = &call.args[1] else { return Ok(None) };
    if !call.only(0) {
        return Ok(None);
    }
    let mut dims = dims.to_vec();
    dims.insert(0, Value::Int(call.n as i64));
    cx.apply(call.prim, &with(call, 1, Value::tuple(dims))).map(Some)
}

/// A whole row of axes (`permute`).
pub fn permuting(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    match moved_axes(&call.args[1], call.shape(0).len()) {
        Some(Value::Tuple(axes)) if call.only(0) && axes.len() == call.shape(0).len() => {
            let mut axes = axes.to_vec();
            axes.insert(0, Value::Int(0));
            cx.apply(call.prim, &with(call, 1, Value::tuple(axes))).map(Some)
        }
        _ => Ok(None),
    }
}

/// `transpose`: the last two axes, or two that are named.
pub fn transposing(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let rank = call.shape(0).len();
    let [x, a, b] = call.args else { return Ok(None) };
    match (a, b) {
        (Value::None, Value::None) if rank < 2 => Ok(Some(x.clone())),
        (Value::None, Value::None) => cx.apply(call.prim, call.args).map(Some),
        _ => match (moved_axis(a, rank), moved_axis(b, rank)) {
            (Some(a), Some(b)) => cx.apply(call.prim, &[x.clone(), Value::Int(a), Value::Int(b)]).map(Some),
            _ => Ok(None),
        },
    }
}

/// `broadcast_to`
pub fn stretching(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) {
        return Ok(None);
    }
    let shape = shape_arg(call.prim.name, &call.args[1])?;
    let mut x = align(cx, &call.args[0], call.shape(0).len(), shape.len())?;
    if call.shape(0).is_empty() && x.is_differentiable() {
        // A scalar takes the dtype that is asked for, else the default.
        let dtype = if let Some(Value::DType(dtype)) = call.args.get(2) { *dtype } else { cx.env.dtype };
        x = cx.cast(&x, dtype)?;
    }
    let full: Shape = std::iter::once(call.n).chain(shape.iter().copied()).collect();
    let mut args = with(call, 1, shape_value(&full));
    args[0] = x;
    cx.apply(call.prim, &args).map(Some)
}

/// `_sum_to`
pub fn summing(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) {
        return Ok(None);
    }
    let shape = shape_arg(call.prim.name, &call.args[1])?;
    let Some(extra) = call.shape(0).len().checked_sub(shape.len()) else { return Ok(None) };
    // Missing leading axes stand behind the batch axis.
    let axes: Vec<usize> = (1..=extra).collect();
    let x = if extra == 0 {
        call.args[0].clone()
    } else {
        cx.apply(&SUM, &[call.args[0].clone(), axes_value(&axes), Value::Bool(false)])?
    };
    let full: Shape = std::iter::once(call.n).chain(shape.iter().copied()).collect();
    cx.apply(&SUM_TO, &[x, shape_value(&full)]).map(Some)
}

/// What treats the batch axis like any other (`_cast`, `isnan`, whatever works on the last axes only).
pub fn as_it_is(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) {
        return Ok(None);
    }
    cx.apply(call.prim, call.args).map(Some)
}

/// `_stack` and `_concat`: the axis, then parts of one rank; all of them batched.
pub fn joining(cx: &mut Cx, call: &BatchCall<'_>, level: Level, new_axis: bool) -> Result<Option<Value>> {
    let rank = (1..call.args.len()).map(|i| call.shape(i).len()).max().unwrap_or(0);
    let Some(axis) = moved_axis(&call.args[0], rank + usize::from(new_axis)) else { return Ok(None) };
    let mut args = with(call, 0, Value::Int(axis));
    for (i, arg) in args.iter_mut().enumerate().skip(1) {
        if call.args[i].dtype().is_none() || (new_axis && call.shape(i) != call.shape(1)) {
            return Ok(None);
        }
        if !call.batched[i] {
            *arg = cx.unbatch(arg, level, call.n)?;
        }
    }
    let scalars = rank == 0 && (1..call.args.len()).any(|i| call.args[i].is_differentiable());
    let out = cx.apply(call.prim, &args)?;
    // Floats in brackets make a tensor of the default dtype.
    let dtype = cx.env.dtype;
    if scalars { cx.cast(&out, dtype).map(Some) } else { Ok(Some(out)) }
}

/// `x @ y`
pub fn product(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let (ra, rb) = (call.shape(0).len(), call.shape(1).len());
    let [x, y] = call.args else { return Ok(None) };
    let without = |cx: &mut Cx, value: Value, axis_from_end: usize| {
        let mut shape: Shape = value.shape().unwrap_or(&[]).into();
        shape.remove(shape.len() - axis_from_end);
        cx.reshape(&value, &shape)
    };
    let vector = |cx: &mut Cx, v: &Value, at_end: bool| {
        let mut shape: Shape = v.shape().unwrap_or(&[]).into();
        shape.insert(if at_end { shape.len() } else { shape.len() - 1 }, 1);
        cx.reshape(v, &shape)
    };
    match (call.batched[0], call.batched[1]) {
        // Rows of one matrix product.
        (true, false) if ra == 1 && rb <= 2 => cx.apply(&MATMUL, call.args).map(Some),
        (true, true) if ra == 1 && rb == 1 => cx.apply(&DOT, call.args).map(Some),
        (false, true) if ra == 1 && rb == 1 => cx.apply(&MATMUL, &[y.clone(), x.clone()]).map(Some),
        (false, true) if ra == 2 && rb == 1 => {
            let turned = cx.apply(&super::reshape::TRANSPOSE, &[x.clone(), Value::None, Value::None])?;
            cx.apply(&MATMUL, &[y.clone(), turned]).map(Some)
        }
        (x_batched, y_batched) => {
            // Vectors become matrices, then both sides get as many axes.
            let rank = ra.max(2).max(rb.max(2));
            let mut a = if ra == 1 { vector(cx, x, false)? } else { x.clone() };
            let mut b = if rb == 1 { vector(cx, y, true)? } else { y.clone() };
            if x_batched {
                a = align(cx, &a, ra.max(2), rank)?;
            }
            if y_batched {
                b = align(cx, &b, rb.max(2), rank)?;
            }
            let mut out = cx.apply(&MATMUL, &[a, b])?;
            if rb == 1 {
                out = without(cx, out, 1)?;
            }
            if ra == 1 {
                out = without(cx, out, if rb == 1 { 1 } else { 2 })?;
            }
            Ok(Some(out))
        }
    }
}

/// `_matmul`, `dot`, `outer`: both sides get as many axes, of which the last one or two are worked on.
pub fn bilinear(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if call.batched.iter().skip(2).any(|b| *b) {
        return Ok(None);
    }
    let (ra, rb) = (call.shape(0).len(), call.shape(1).len());
    // The batch axis must not stand in for one that a scalar lacks.
    if ra == 0 || rb == 0 {
        return Ok(None);
    }
    let rank = ra.max(rb);
    let mut args: SmallVec<[Value; 4]> = SmallVec::from(call.args);
    for (i, arg) in args.iter_mut().enumerate().take(2) {
        if call.batched[i] {
            *arg = align(cx, arg, call.shape(i).len(), rank)?;
        }
    }
    cx.apply(call.prim, &args).map(Some)
}

// ---- parts ----

fn is_plain_slice(item: &Value) -> bool {
    matches!(item, Value::Tuple(_))
}

/// The index of one example made one of the batch (of a batched tensor, if nothing in the index is batched). `None`: a
/// form that is left to one example at a time.
fn whole_index(index: &Value, n: usize, x_batched: bool, level: Level) -> Option<Value> {
    use crate::ad::batch::{is_batched, whole_at};
    let items: Vec<Value> = match index {
        Value::Tuple(items) => items.to_vec(),
        one => vec![one.clone()],
    };
    let advanced = |v: &Value| v.tensor_dtype().is_some() || matches!(v, Value::Batched(..) | Value::Range(_));
    let first = items.iter().position(advanced);
    let last = items.iter().rposition(advanced);
    // Axes between index tensors: their place would not be behind the batch axis.
    if let (Some(first), Some(last)) = (first, last)
        && !items[first..=last].iter().all(|v| advanced(v) || matches!(v, Value::Int(_)))
    {
        return None;
    }
    let all = Value::tuple(vec![Value::None, Value::None, Value::None]);
    if !items.iter().any(is_batched) {
        // An int beside an index tensor counts as one of them: apart, they would move in front of the batch axis.
        let ints_apart = first.is_some()
            && items.iter().enumerate().any(|(i, v)| {
                matches!(v, Value::Int(_))
                    && (Some(i) < first || Some(i) > last)
                    && !items[i.min(first.unwrap_or(i))..=i.max(last.unwrap_or(i))]
                        .iter()
                        .all(|v| advanced(v) || matches!(v, Value::Int(_)))
            });
        if ints_apart {
            return None;
        }
        let mut whole = vec![all];
        whole.extend(items);
        return Some(Value::tuple(whole));
    }
    // The batched indices stand first, so that the batch axis comes out first.
    if items.iter().take(first.unwrap_or(0)).any(|v| is_plain_slice(v) || matches!(v, Value::Str(_) | Value::None)) {
        return None;
    }
    let rank_of = |v: &Value| v.shape().map_or(0, <[usize]>::len);
    let rank = items.iter().filter(|v| advanced(v)).map(rank_of).max().unwrap_or(0);
    let mut whole = vec![];
    if x_batched {
        let mut shape: Vec<usize> = vec![1; rank + 1];
        shape[0] = n;
        whole.push(Value::tensor(Tensor::from_vec(&shape, (0..n as i64).collect())));
    }
    for item in &items {
        whole.push(match whole_at(item, level) {
            Some(Value::Tensor(slot, t)) if t.dtype() == crate::tensor::DType::Int => {
                let mut shape: Vec<usize> = vec![n];
                shape.resize(1 + rank - rank_of(item), 1);
                shape.extend(item.shape().unwrap_or(&[]));
                Value::Tensor(*slot, std::rc::Rc::new(crate::tensor::view::reshape(t, &shape)))
            }
            Some(_) => return None,
            None if is_batched(item) || matches!(item, Value::Range(_)) => return None,
            None => item.clone(),
        });
    }
    Some(Value::tuple(whole))
}

/// `x[index]`
pub fn reading(cx: &mut Cx, call: &BatchCall<'_>, level: Level) -> Result<Option<Value>> {
    let [x, index] = call.args else { return Ok(None) };
    if call.shape(0).is_empty() {
        return Ok(None);
    }
    let index = if call.batched[1] { rebatched(cx, index, level)? } else { index.clone() };
    let Some(whole) = whole_index(&index, call.n, call.batched[0], level) else { return Ok(None) };
    cx.apply(call.prim, &[x.clone(), whole]).map(Some)
}

/// `x[index] = v` and the like
pub fn writing(cx: &mut Cx, call: &BatchCall<'_>, level: Level) -> Result<Option<Value>> {
    let [x, index, v] = call.args else { return Ok(None) };
    if call.shape(0).is_empty() {
        return Ok(None);
    }
    let index = if call.batched[1] { rebatched(cx, index, level)? } else { index.clone() };
    let Some(whole) = whole_index(&index, call.n, true, level) else { return Ok(None) };
    let x = if call.batched[0] { x.clone() } else { cx.unbatch(x, level, call.n)? };
    let v = if call.batched[2] {
        // As many axes as the part that is written, so that the batch axes meet.
        let part = match crate::tensor::index::plan(x.shape().unwrap_or(&[]), &super::index::spec(&whole)?) {
            Ok(plan) => plan.shape.len().saturating_sub(1),
            Err(_) => return Ok(None),
        };
        let have = call.shape(2).len();
        if have > part {
            return Ok(None);
        }
        let v = align(cx, v, have, part)?;
        match x.dtype() {
            // What one example may not write: no cast makes it fit.
            Some(dtype) if !dtype.is_float() && v.dtype().is_some_and(|d| d > dtype) => return Ok(None),
            Some(dtype) if have == 0 => cx.cast(&v, dtype)?,
            _ => v,
        }
    } else {
        v.clone()
    };
    cx.apply(call.prim, &[x, whole, v]).map(Some)
}

/// An index that is batched itself, as it stands inside a tuple.
fn rebatched(cx: &mut Cx, whole: &Value, level: Level) -> Result<Value> {
    cx.batch(whole.clone(), level)
}
