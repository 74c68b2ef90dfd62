//! Items, slices, iteration, unpacking, f-strings: what brackets and loops do with a value.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::Cx;
use crate::builtins::higher_order::not_a_bound;
use crate::builtins::{collections, fail, iterate, text};
use crate::bytecode::chunk::{IndexPart, Piece};
use crate::error::{Error, Result};
use crate::ops::elementwise::NEG;
use crate::ops::index::{self, GET_INDEX, INDEX_ADD, SET_INDEX};
use crate::syntax::ast::BinOp;
use crate::tensor::broadcast::broadcast_shapes;
use crate::tensor::parts::value_misfit;
use crate::tensor::{DType, Shape, Tensor};
use crate::value::{RangeValue, Value};
use crate::vm::call::a_value;
use crate::vm::{arith, characters};

/// Parts of a tuple, or of a str, are not assigned to.
#[cold]
pub fn fixed_items(tuple: bool) -> Error {
    match tuple {
        true => Error::new("E0327", "the items of a tuple cannot be changed")
            .operand(0, "this is a tuple")
            .help("keep them in a list, `list(a, b)`, or make a new tuple"),
        false => Error::new("E0327", "the characters of a str cannot be changed")
            .operand(0, "this is a str")
            .help("build a new text: s[:i] + \"x\" + s[i + 1:]"),
    }
}

/// `lo..hi`
pub fn range(cx: &mut Cx, lo: &Value, hi: &Value, inclusive: bool) -> Result<Value> {
    let (lo, hi) = (&cx.concrete(lo)?, &cx.concrete(hi)?);
    let (Value::Int(start), Value::Int(stop)) = (lo, hi) else {
        let wrong = usize::from(matches!(lo, Value::Int(_)));
        let value = if wrong == 0 { lo } else { hi };
        let kind = a_value(value);
        return Err(not_a_bound(&kind).operand(wrong, format!("this is {kind}")));
    };
    let stop = if inclusive { stop.checked_add(1) } else { Some(*stop) };
    match stop {
        Some(stop) => Ok(Value::Range(Rc::new(RangeValue { start: *start, stop, step: 1 }))),
        None => Err(Error::new("E0411", "the end of this range does not fit an int")),
    }
}

/// What a loop goes through.
pub fn iterable(value: Value) -> Result<Value> {
    iterate::iter_source(&value)
}

/// Item `i`, or nothing at the end.
#[inline]
pub fn next(cx: &mut Cx, source: &Value, i: usize) -> Result<Option<Value>> {
    match source {
        Value::List(items) | Value::Tuple(items) => Ok(items.get(i).cloned()),
        other => iterate::iter_next(cx, other, i),
    }
}

/// The items of a pattern's value.
pub fn unpack(cx: &mut Cx, value: &Value, n: usize) -> Result<Vec<Value>> {
    let count = match value {
        Value::Tuple(items) | Value::List(items) if items.len() == n => return Ok(items.to_vec()),
        Value::Tuple(items) | Value::List(items) => items.len(),
        Value::Tensor(..) | Value::Batched(..) if value.shape().is_some_and(|s| !s.is_empty()) => {
            value.shape().and_then(|s| s.first().copied()).unwrap_or(0)
        }
        other => {
            return Err(Error::new("E0334", format!("{} cannot be taken apart into {n} values", a_value(other)))
                .operand(1, format!("this is {}", a_value(other))));
        }
    };
    if count != n {
        return Err(Error::new("E0334", format!("{n} names for {count} values"))
            .operand(0, format!("{n} names"))
            .operand(1, format!("{} of {count}", a_value(value))));
    }
    iterate::items(cx, value)
}

/// The text of an f-string from the values in a row of registers.
pub fn format(pieces: &[Piece], values: &[Value]) -> Result<String> {
    let mut out = String::new();
    let mut i = 0;
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value { spec, .. } => {
                let at = i;
                i += 1;
                let computed: String;
                let spec = match spec.as_slice() {
                    [] => "",
                    [Piece::Text(text)] => text,
                    parts => {
                        computed = format_of(parts, values, &mut i)?;
                        &computed
                    }
                };
                out.push_str(&text::format_value(&values[at], spec).map_err(|e| e.operand(at, "formatted here"))?);
            }
        }
    }
    Ok(out)
}

/// A format with values in it, such as `{width}.{digits}f`; `i` is the register of the next one.
fn format_of(parts: &[Piece], values: &[Value], i: &mut usize) -> Result<String> {
    let mut spec = String::new();
    for part in parts {
        match part {
            Piece::Text(text) => spec.push_str(text),
            Piece::Value { .. } => {
                match &values[*i] {
                    Value::Int(n) if *n >= 0 => spec.push_str(&n.to_string()),
                    Value::Int(n) => return Err(negative_in_format(*n).operand(*i, "this is below 0")),
                    Value::Str(text) => spec.push_str(text),
                    other => {
                        let kind = fail::with_article(&other.type_name());
                        return Err(no_part_of_format(&kind).operand(*i, format!("this is {kind}")));
                    }
                }
                *i += 1;
            }
        }
    }
    Ok(spec)
}

fn negative_in_format(n: i64) -> Error {
    Error::new("E0314", format!("a width or precision of {n} in a format: it is 0 or more"))
        .help("`<` aligns to the left: f\"{x:<8}\"")
}

/// Several indices of a value of this kind, which is no tensor.
pub fn one_axis(kind: &str, count: usize) -> Error {
    Error::new("E0335", format!("{kind} has one axis, not {count}"))
        .operand(0, format!("this is {kind}"))
        .help("index step by step: xs[i][j]")
}

/// What stands in braces in a format is of this kind, and is no int.
pub fn no_part_of_format(kind: &str) -> Error {
    Error::new("E0314", format!("a width or precision is an int, and this is {kind}"))
        .help("inside of a format stand ints, as in f\"{x:{width}.{digits}f}\", or strs that are part of it")
}

/// `object[index]`
#[inline]
pub fn get(cx: &mut Cx, object: &Value, index: &Value) -> Result<Value> {
    match (object, index) {
        (Value::List(items) | Value::Tuple(items), Value::Int(i)) => {
            let at = position(*i, items.len())?;
            Ok(items[at].clone())
        }
        (Value::Tensor(slot, t), Value::Int(i)) if slot.is_const() => index::get_at(t, *i),
        (Value::Tensor(slot, t), Value::Int(i)) => match cx.read_element(*slot, t, &[*i])? {
            Some(element) => Ok(element),
            None => cx.apply(&GET_INDEX, &[object.clone(), Value::tuple(vec![index.clone()])]),
        },
        (Value::Tensor(..) | Value::Batched(..), _) => {
            cx.apply(&GET_INDEX, &[object.clone(), Value::tuple(vec![index.clone()])])
        }
        (Value::Dict(dict), _) => {
            let key = iterate::value_key(index)?;
            dict.get(&key).cloned().ok_or_else(|| collections::missing_key(dict, &key))
        }
        (Value::Range(range), Value::Int(i)) => {
            let at = position(*i, range.len())?;
            Ok(Value::Int(range.at(at)))
        }
        (Value::Str(s), Value::Int(i)) => {
            let at = position(*i, characters::count(s))?;
            Ok(characters::at(s, at).map_or(Value::None, Value::str))
        }
        (_, Value::Batched(..)) if index.shape() == Some(&[]) => {
            let index = cx.concrete(index)?;
            get(cx, object, &index)
        }
        (Value::List(items), Value::Tensor(_, t)) if t.dtype() == DType::Int => {
            let picked = t.iter_f64().map(|i| Ok(items[position(i as i64, items.len())?].clone()));
            Ok(Value::list(picked.collect::<Result<Vec<_>>>()?))
        }
        (Value::Float(..) | Value::Int(_) | Value::Bool(_), Value::None) => {
            arith::brackets(cx, std::slice::from_ref(object))
        }
        _ => Err(no_index(object, index)),
    }
}

fn position(i: i64, len: usize) -> Result<usize> {
    let at = if i < 0 { i.checked_add(len as i64) } else { Some(i) };
    match at {
        Some(at) if at >= 0 && (at as usize) < len => Ok(at as usize),
        _ => Err(Error::new("E0401", format!("index {i} is out of range: the length is {len}"))
            .operand(1, format!("this is {i}"))
            .operand(0, format!("its length is {len}"))),
    }
}

#[cold]
fn no_index(object: &Value, index: &Value) -> Error {
    let sequence = matches!(object, Value::List(_) | Value::Tuple(_) | Value::Str(_) | Value::Range(_));
    if sequence {
        return Error::new("E0335", format!("the index of {} is an int, not {}", a_value(object), a_value(index)))
            .operand(1, format!("this is {}", a_value(index)));
    }
    let error = Error::new("E0335", format!("{} has no elements to index", a_value(object)))
        .operand(0, format!("this is {}", a_value(object)));
    match object {
        Value::Float(..) | Value::Int(_) => error.help("it is one number already"),
        Value::Struct(_) => error.help("fields are read with a point: p.x"),
        Value::Fn(_) | Value::Prim(_) | Value::Builtin(_) => error.help("call it with round brackets: f(x)"),
        _ => error,
    }
}

/// The item, moved out of a list or dict.
pub fn take(cx: &mut Cx, object: &mut Value, index: &Value) -> Result<Value> {
    match (&mut *object, index) {
        (Value::List(items) | Value::Tuple(items), Value::Int(i)) => {
            let at = position(*i, items.len())?;
            Ok(std::mem::take(&mut Rc::make_mut(items)[at]))
        }
        (Value::Dict(dict), _) => {
            let key = iterate::value_key(index)?;
            match Rc::make_mut(dict).get_mut(&key) {
                Some(value) => Ok(std::mem::take(value)),
                None => Err(collections::missing_key(dict, &key)),
            }
        }
        _ => get(cx, object, index),
    }
}

/// `object[index] = value`
pub fn set(cx: &mut Cx, object: &mut Value, index: &Value, value: Value) -> Result<()> {
    match (&mut *object, index) {
        (Value::List(items), Value::Int(i)) => {
            let at = position(*i, items.len())?;
            Rc::make_mut(items)[at] = value;
            Ok(())
        }
        (Value::Dict(dict), _) => {
            let key = iterate::value_key(index)?;
            Rc::make_mut(dict).insert(key, value);
            Ok(())
        }
        (Value::Tensor(..) | Value::Batched(..), _) => {
            let taken = std::mem::take(object);
            set_tensor(cx, object, taken, Value::tuple(vec![index.clone()]), value)
        }
        (Value::Tuple(_), _) => Err(fixed_items(true)),
        (Value::Str(_), _) => Err(fixed_items(false)),
        _ => Err(no_index(object, index)),
    }
}

/// Writes into a tensor: in place if neither it nor the value is being differentiated and nothing else holds it.
fn set_tensor(cx: &mut Cx, place: &mut Value, tensor: Value, index: Value, value: Value) -> Result<()> {
    if let Value::Tensor(slot, mut t) = tensor {
        if slot.is_const() && value.slot().is_const() && !crate::ad::batch::is_batched(&index) {
            let result = index::set_in_place(&mut t, &index, &value);
            *place = Value::Tensor(slot, t);
            return result;
        }
        *place = Value::Tensor(slot, t);
    } else {
        *place = tensor;
    }
    *place = cx.apply(&SET_INDEX, &[place.clone(), index, value])?;
    Ok(())
}

/// `object[1:3, :, i]`
pub fn get_index(cx: &mut Cx, object: &Value, parts: &[IndexPart], values: &[Value]) -> Result<Value> {
    if let Value::Tensor(slot, t) = object
        && !slot.is_const()
        && parts.iter().all(|part| *part == IndexPart::At)
        && let Some(ints) = values.iter().take(parts.len()).map(as_int).collect::<Option<SmallVec<[i64; 4]>>>()
        && let Some(element) = cx.read_element(*slot, t, &ints)?
    {
        return Ok(element);
    }
    if let (Value::Tensor(slot, t), [IndexPart::Slice { start, stop, step: false }]) = (object, parts)
        && let [start, stop] = given(*start, *stop, values)
        && let (Some(start), Some(stop)) = (bound(start), bound(stop))
        && let Some(part) = cx.neighbours(*slot, t, (start, stop))?
    {
        return Ok(part);
    }
    if let Value::Tensor(..) | Value::Batched(..) = object {
        return cx.apply(&GET_INDEX, &[object.clone(), encode(parts, values)]);
    }
    if matches!(object, Value::Float(..) | Value::Int(_) | Value::Bool(_)) {
        return new_axes(cx, object, parts, values);
    }
    let [IndexPart::Slice { .. }] = parts else {
        if parts.len() > 1 && matches!(object, Value::List(_) | Value::Tuple(_) | Value::Str(_)) {
            return Err(one_axis(&a_value(object), parts.len()));
        }
        return Err(no_index(object, values.first().unwrap_or(&Value::None)));
    };
    let Value::Tuple(bounds) = encode_one(parts, values) else { return Ok(Value::None) };
    match object {
        Value::List(items) => Ok(Value::list(slice(items, &bounds)?)),
        Value::Tuple(items) => Ok(Value::tuple(slice(items, &bounds)?)),
        Value::Str(s) => {
            let (first, count, step) = bounds_of(&bounds, characters::count(s))?;
            Ok(Value::str(characters::picked(s, first, count, step)))
        }
        Value::Range(range) => {
            let all: Vec<Value> = (0..range.len()).map(|i| Value::Int(range.at(i))).collect();
            Ok(Value::list(slice(&all, &bounds)?))
        }
        other => Err(no_index(other, &Value::None)),
    }
}

/// `y[none, ...]` of one number: a tensor with an axis of length 1 for each `none`.
fn new_axes(cx: &mut Cx, number: &Value, parts: &[IndexPart], values: &[Value]) -> Result<Value> {
    let mut out = number.clone();
    let mut next = values.iter();
    for part in parts {
        match part {
            IndexPart::Ellipsis => {}
            IndexPart::At => match next.next() {
                Some(Value::None) => out = arith::brackets(cx, std::slice::from_ref(&out))?,
                other => return Err(no_index(number, other.unwrap_or(&Value::None))),
            },
            IndexPart::Slice { .. } => return Err(no_index(number, &Value::None)),
        }
    }
    Ok(out)
}

fn slice(items: &[Value], bounds: &[Value]) -> Result<Vec<Value>> {
    let (first, count, step) = bounds_of(bounds, items.len())?;
    let at = |k: usize| (first as i64 + k as i64 * step) as usize;
    Ok((0..count).filter_map(|k| items.get(at(k)).cloned()).collect())
}

/// The first place of a slice, how many there are, and how far apart.
fn bounds_of(bounds: &[Value], len: usize) -> Result<(usize, usize, i64)> {
    let int = |v: &Value| match v {
        Value::None => Ok(None),
        Value::Int(i) => Ok(Some(*i)),
        other => {
            let kind = a_value(other);
            Err(index::not_a_bound(&kind).operand(1, format!("this is {kind}")))
        }
    };
    let [start, stop, step] = bounds else { return Ok((0, 0, 1)) };
    let (start, stop, step) = (int(start)?, int(stop)?, int(step)?.unwrap_or(1));
    let (first, count, step) = crate::tensor::index::slice_bounds(start, stop, step, len)?;
    Ok((first, count, step as i64))
}

/// `object[1:3, :, i] = value`
pub fn set_index(cx: &mut Cx, object: &mut Value, parts: &[IndexPart], values: &[Value], value: Value) -> Result<()> {
    if let Value::Tensor(..) | Value::Batched(..) = object {
        let index = encode(parts, values);
        let taken = std::mem::take(object);
        return set_tensor(cx, object, taken, index, value);
    }
    if let (Value::List(_), [IndexPart::Slice { .. }]) = (&*object, parts) {
        return Err(Error::new("E0335", "a slice of a list cannot be assigned")
            .help("assign item by item, or build a new list"));
    }
    Err(no_index(object, values.first().unwrap_or(&Value::None)))
}

/// Elements that a list may have: beyond this a mistake is likelier than a need, and memory would end without a word.
pub const MAX_LIST: usize = 1 << 28;

/// Pushes an item, within the limit.
#[inline]
pub fn grow(items: &mut Vec<Value>, item: Value) -> Result<()> {
    if items.len() >= MAX_LIST {
        return Err(Error::new("E0421", format!("a list of more than {MAX_LIST} elements is too large"))
            .help("keep numbers in a tensor, or work on parts"));
    }
    items.push(item);
    Ok(())
}

/// `object[...] op= value`. Through an index tensor each entry takes its turn, so that repeated places add up.
pub fn update(
    cx: &mut Cx,
    object: &mut Value,
    parts: &[IndexPart],
    values: &[Value],
    op: BinOp,
    value: Value,
) -> Result<()> {
    let ints = |v: &Value| v.tensor_dtype() == Some(DType::Int);
    if let (Value::Tensor(..) | Value::Batched(..), true) = (&*object, values.iter().any(ints)) {
        match op {
            BinOp::Add | BinOp::Sub => {
                let index = encode(parts, values);
                let term = if op == BinOp::Sub { cx.apply(&NEG, &[value])? } else { value };
                *object = cx.apply(&INDEX_ADD, &[object.clone(), index, term])?;
                return Ok(());
            }
            _ => {
                if let [Value::Tensor(_, t)] = values
                    && t.rank() == 1
                    && parts.len() == 1
                {
                    return update_in_turn(cx, object, values, t, op, &value);
                }
            }
        }
    }
    let (single, old) = match parts {
        [IndexPart::At] => (true, get(cx, object, &values[0])?),
        _ => (false, get_index(cx, object, parts, values)?),
    };
    let new = arith::operate(cx, op, &old, &value)?;
    drop(old);
    if single { set(cx, object, &values[0], new) } else { set_index(cx, object, parts, values, new) }
}

fn update_in_turn(
    cx: &mut Cx,
    object: &mut Value,
    values: &[Value],
    index: &Tensor,
    op: BinOp,
    value: &Value,
) -> Result<()> {
    let rows = object.shape().and_then(|s| s.get(1..)).unwrap_or(&[]);
    let picked: Shape = std::iter::once(index.len()).chain(rows.iter().copied()).collect();
    let shape = Shape::from_slice(value.shape().unwrap_or(&[]));
    match broadcast_shapes(&shape, &picked) {
        Ok(together) if together == picked => {}
        Ok(together) => return Err(value_misfit(&together, &picked)),
        Err(_) => {
            let old = get(cx, object, &values[0])?;
            arith::operate(cx, op, &old, value)?;
        }
    }
    // As in every broadcast, the first axis of the value is that of the index only if none is missing.
    let first = shape.first().copied().filter(|_| shape.len() == picked.len());
    for (k, i) in index.iter_f64().enumerate() {
        let at = Value::Int(i as i64);
        let factor = match first {
            Some(n) => get(cx, value, &Value::Int(if n == 1 { 0 } else { k as i64 }))?,
            None => value.clone(),
        };
        let old = get(cx, object, &at)?;
        let new = arith::operate(cx, op, &old, &factor)?;
        set(cx, object, &at, new)?;
    }
    Ok(())
}

/// An index as primitives take it (see `ops/index.rs`).
fn encode(parts: &[IndexPart], values: &[Value]) -> Value {
    let mut out = Vec::with_capacity(parts.len());
    let mut values = values.iter();
    let mut next = |given: bool| if given { values.next().cloned().unwrap_or_default() } else { Value::None };
    for part in parts {
        out.push(match part {
            IndexPart::At => next(true),
            IndexPart::Ellipsis => Value::str("..."),
            IndexPart::Slice { start, stop, step } => Value::tuple(vec![next(*start), next(*stop), next(*step)]),
        });
    }
    Value::tuple(out)
}

/// The bounds of a slice that are given.
fn given(start: bool, stop: bool, values: &[Value]) -> [Option<&Value>; 2] {
    [if start { values.first() } else { None }, if stop { values.get(usize::from(start)) } else { None }]
}

/// `None` for what is no int.
fn bound(value: Option<&Value>) -> Option<Option<i64>> {
    match value {
        None | Some(Value::None) => Some(None),
        Some(Value::Int(i)) => Some(Some(*i)),
        Some(_) => None,
    }
}

fn as_int(value: &Value) -> Option<i64> {
    if let Value::Int(i) = value { Some(*i) } else { None }
}

fn encode_one(parts: &[IndexPart], values: &[Value]) -> Value {
    match encode(parts, values) {
        Value::Tuple(items) => items.first().cloned().unwrap_or_default(),
        other => other,
    }
}
