//! Batching rules of primitives that copy, move and pick: `repeat`, `tile`, `roll`, `pad`, axes of length 1, triangles and
//! diagonals, `take`, `scatter_add`, `gather`.
//!
//! What an example is refused for must be refused of a batch, in the same words: rules give up (`Ok(None)`) wherever the
//! batch axis could stand in for an axis that the example lacks, and where the application to the batch fails.

use super::batching::{along_together, moved_axes, moved_axis, reading, with, writing};
use super::convert::BROADCAST_TO;
use super::index::{GET_INDEX, INDEX_ADD, part_index};
use super::operand;
use super::pad::widths;
use super::prim::{BatchCall, Prim};
use super::reshape::PERMUTE;
use super::triangle::{diagonal, diagonal_side};
use crate::ad::Cx;
use crate::ad::batch::align;
use crate::ad::slot::Level;
use crate::error::Result;
use crate::ops::convert::shape_value;
use crate::tensor::{DType, Shape, room};
use crate::value::Value;

/// The application to the batch; where it fails, one example after the other says why.
pub fn attempt(cx: &mut Cx, prim: &'static Prim, args: &[Value]) -> Result<Option<Value>> {
    match cx.apply(prim, args) {
        Ok(out) => Ok(Some(out)),
        Err(e) if e.is_failure() => Ok(None),
        Err(e) => Err(e),
    }
}

/// Argument 0 as tensors of rank `rank` or more: scalars are kept in 64 bits, and tensors made of them are not.
fn widened(cx: &mut Cx, call: &BatchCall<'_>, rank: usize) -> Result<Value> {
    let (x, have) = (&call.args[0], call.shape(0).len());
    let x = if have == 0 && x.is_differentiable() { cx.cast(x, cx.env.dtype)? } else { x.clone() };
    align(cx, &x, have, rank)
}

/// `repeat`
pub fn repeating(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    // A scalar becomes a vector.
    let rank = call.shape(0).len().max(1);
    let Some(axis) = moved_axis(&call.args[2], rank).filter(|_| call.only(0)) else { return Ok(None) };
    let x = widened(cx, call, rank)?;
    attempt(cx, call.prim, &[x, call.args[1].clone(), Value::Int(axis)])
}

/// `tile`: the counts get a 1 for the batch axis.
pub fn tiling(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) {
        return Ok(None);
    }
    let Ok(counts) = operand::ints("tile", "a count", &call.args[1]) else { return Ok(None) };
    let rank = call.shape(0).len().max(counts.len());
    let mut all = vec![Value::Int(1); 1 + rank - counts.len()];
    all.extend(counts.into_iter().map(Value::Int));
    let x = widened(cx, call, rank)?;
    attempt(cx, call.prim, &[x, Value::tuple(all)])
}

/// `roll`
pub fn rolling(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) || call.shape(0).is_empty() {
        return Ok(None);
    }
    if matches!(call.args[2], Value::None) {
        let size = call.shape(0).iter().product();
        let rows = cx.reshape(&call.args[0], &[call.n, size])?;
        let out = attempt(cx, call.prim, &[rows, call.args[1].clone(), Value::Int(1)])?;
        let shape = call.args[0].shape().unwrap_or(&[]).to_vec();
        return out.map(|v| cx.reshape(&v, &shape)).transpose();
    }
    match moved_axes(&call.args[2], call.shape(0).len()) {
        Some(axes) => attempt(cx, call.prim, &with(call, 2, axes)),
        None => Ok(None),
    }
}

/// `pad`: no margin along the batch axis.
pub fn padding(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let rank = call.shape(0).len();
    let (Ok(widths), true) = (widths(call.args.get(1), rank), call.only(0) && rank > 0) else { return Ok(None) };
    let pair = |(a, b): (usize, usize)| shape_value(&[a, b]);
    let all = std::iter::once((0, 0)).chain(widths).map(pair).collect();
    attempt(cx, call.prim, &with(call, 1, Value::tuple(all)))
}

/// `squeeze`
pub fn squeezing(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let shape = call.shape(0);
    if !call.only(0) || shape.is_empty() {
        return Ok(None);
    }
    let axes = match &call.args[1] {
        Value::None => {
            let ones: Vec<usize> = (0..shape.len()).filter(|&i| shape[i] == 1).map(|i| i + 1).collect();
            Some(shape_value(&ones))
        }
        given => moved_axes(given, shape.len()),
    };
    match axes {
        Some(axes) => attempt(cx, call.prim, &with(call, 1, axes)),
        None => Ok(None),
    }
}

/// `expand`
pub fn expanding(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let rank = call.shape(0).len();
    let Some(axis) = moved_axis(&call.args[1], rank + 1).filter(|_| call.only(0)) else { return Ok(None) };
    let x = widened(cx, call, rank)?;
    attempt(cx, call.prim, &[x, Value::Int(axis)])
}

/// `flatten`
pub fn flattening(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    // A scalar becomes a vector.
    let rank = call.shape(0).len().max(1);
    let Some(start) = moved_axis(&call.args[1], rank).filter(|_| call.only(0)) else { return Ok(None) };
    let x = widened(cx, call, rank)?;
    attempt(cx, call.prim, &[x, Value::Int(start)])
}

/// What works on the last two axes only.
pub fn on_matrices(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) || call.shape(0).len() < 2 {
        return Ok(None);
    }
    attempt(cx, call.prim, call.args)
}

/// `diag`
pub fn diagonals(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let [x, Value::Int(k)] = call.args else { return Ok(None) };
    if !call.only(0) {
        return Ok(None);
    }
    match (call.shape(0), x.dtype()) {
        (shape @ [_, _], _) => attempt(cx, &GET_INDEX, &[x.clone(), diagonal(shape, *k)]),
        ([n], Some(dtype)) if dtype != DType::Bool => {
            let side = diagonal_side(*n, *k);
            let shape = [call.n, side, side];
            room::check(&shape, dtype)?;
            let zeros = cx.zeros(&shape, dtype);
            attempt(cx, &INDEX_ADD, &[zeros, diagonal(&shape, *k), x.clone()])
        }
        _ => Ok(None),
    }
}

/// `take`: `x[.., indices]`. Where the indices are batched, their axis is brought to the front first.
pub fn taking(cx: &mut Cx, call: &BatchCall<'_>, level: Level) -> Result<Option<Value>> {
    let [x, indices, axis, ..] = call.args else { return Ok(None) };
    let rank = call.shape(0).len();
    let Some(moved) = moved_axis(axis, rank) else { return Ok(None) };
    if call.batched[2] || indices.dtype().is_some_and(|d| d != DType::Int) {
        return Ok(None);
    }
    if !call.batched[1] {
        return attempt(cx, call.prim, &with(call, 2, Value::Int(moved)));
    }
    let at = moved as usize - 1;
    let first = usize::from(call.batched[0]);
    let mut order: Vec<usize> = (0..rank + first).collect();
    let front = order.remove(at + first);
    order.insert(first, front);
    let x = if at == 0 { x.clone() } else { cx.apply(&PERMUTE, &[x.clone(), shape_value(&order)])? };
    let indices = cx.batch(indices.clone(), level)?;
    let args = [x, part_index(0, indices)];
    let batched = [call.batched[0], false];
    let inner = BatchCall { prim: &GET_INDEX, args: &args, batched: &batched, n: call.n };
    let Some(out) = reading(cx, &inner, level)? else { return Ok(None) };
    if at == 0 {
        return Ok(Some(out));
    }
    // The batch axis, the axes before the one that was taken from, those of the indices, the rest.
    let k = call.shape(1).len();
    let mut back = vec![0];
    back.extend(1 + k..1 + k + at);
    back.extend(1..1 + k);
    back.extend(1 + k + at..k + rank);
    cx.apply(&PERMUTE, &[out, shape_value(&back)]).map(Some)
}

/// `scatter_add`
pub fn scattering(cx: &mut Cx, call: &BatchCall<'_>, level: Level) -> Result<Option<Value>> {
    let [x, indices, v, axis] = call.args else { return Ok(None) };
    let Some(moved) = moved_axis(axis, call.shape(0).len()) else { return Ok(None) };
    if call.batched[3] || indices.dtype().is_some_and(|d| d != DType::Int) {
        return Ok(None);
    }
    let indices = if call.batched[1] { cx.batch(indices.clone(), level)? } else { indices.clone() };
    let args = [x.clone(), part_index(moved as usize - 1, indices), v.clone()];
    let batched = [call.batched[0], false, call.batched[2]];
    writing(cx, &BatchCall { prim: &INDEX_ADD, args: &args, batched: &batched, n: call.n }, level)
}

/// `gather`: indices of the rank of the tensor.
pub fn gathering(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let rank = call.shape(0).len();
    let Some(axis) = moved_axis(&call.args[2], rank) else { return Ok(None) };
    if call.batched[2] || call.shape(1).len() != rank {
        return Ok(None);
    }
    let mut args = with(call, 2, Value::Int(axis));
    for i in [0, 1] {
        if !call.batched[i] {
            let full: Shape = std::iter::once(call.n).chain(call.shape(i).iter().copied()).collect();
            args[i] = cx.apply(&BROADCAST_TO, &[args[i].clone(), shape_value(&full), Value::None])?;
        }
    }
    attempt(cx, call.prim, &args)
}

/// `_scatter_along`: indices of the shape of the values.
pub fn scattering_along(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if call.batched[2] || call.batched[3] {
        return Ok(None);
    }
    along_together::<2>(cx, call)
}
