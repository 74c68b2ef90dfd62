//! What a value holds: the floats and float tensors in it, those that its functions captured included.
//!
//! A function that captured `w` depends on `w` as on an argument. `leaves` takes such values out, `with_leaves` puts
//! others in their places, so that a function becomes one of all that it depends on (closure conversion).

use std::rc::Rc;

use crate::ad::lift;
use crate::ad::slot::Level;
use crate::error::Result;
use crate::value::{Closure, Value};

/// The same value with each number or tensor replaced, in a fixed order. `None` if it holds a function of the host whose
/// inside cannot be replaced.
pub fn map_held(value: &Value, f: &mut dyn FnMut(&Value) -> Result<Value>) -> Result<Option<Value>> {
    if let Some(parts) = lift::children(value) {
        let parts: Vec<Value> = parts.into_iter().cloned().collect();
        return Ok(map_all(&parts, f)?.map(|parts| lift::rebuild(value, parts)));
    }
    match value {
        Value::Fn(closure) if !closure.captures.is_empty() => {
            let captures = map_all(&closure.captures, f)?;
            let chunk = closure.chunk.clone();
            Ok(captures.map(|captures| Value::Fn(Rc::new(Closure { chunk, captures }))))
        }
        Value::Native(native) => {
            let Some(inside) = map_all(&native.0.captured(), f)? else { return Ok(None) };
            Ok(native.0.with_captured(inside))
        }
        leaf if leaf.shape().is_some() => f(leaf).map(Some),
        other => Ok(Some(other.clone())),
    }
}

fn map_all(values: &[Value], f: &mut dyn FnMut(&Value) -> Result<Value>) -> Result<Option<Vec<Value>>> {
    let mut mapped = Vec::with_capacity(values.len());
    for value in values {
        match map_held(value, f)? {
            Some(v) => mapped.push(v),
            None => return Ok(None),
        }
    }
    Ok(Some(mapped))
}

/// Values that are being differentiated (those with a slot) in `values`. `None` if not all can be reached.
pub fn leaves(values: &[Value]) -> Option<Vec<Value>> {
    collect(values, |leaf| !leaf.slot().is_const())
}

/// Every float and float tensor in a value.
pub fn float_leaves(value: &Value) -> Option<Vec<Value>> {
    collect(std::slice::from_ref(value), Value::is_differentiable)
}

fn collect(values: &[Value], wanted: impl Fn(&Value) -> bool) -> Option<Vec<Value>> {
    let mut found = vec![];
    let walked = map_all(values, &mut |leaf| {
        if wanted(leaf) {
            found.push(leaf.clone());
        }
        Ok(leaf.clone())
    });
    matches!(walked, Ok(Some(_))).then_some(found)
}

/// `values` with others in the places that [`leaves`] found.
pub fn with_leaves(values: &[Value], leaves: &[Value]) -> Vec<Value> {
    replace(values, leaves, |leaf| !leaf.slot().is_const())
}

/// `value` with others in the places that [`float_leaves`] found.
pub fn with_float_leaves(value: &Value, leaves: &[Value]) -> Value {
    replace(std::slice::from_ref(value), leaves, Value::is_differentiable).pop().unwrap_or_default()
}

fn replace(values: &[Value], leaves: &[Value], wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut next = leaves.iter();
    let filled = map_all(values, &mut |leaf| {
        Ok(if wanted(leaf) { next.next().cloned().unwrap_or_else(|| leaf.clone()) } else { leaf.clone() })
    });
    filled.ok().flatten().unwrap_or_else(|| values.to_vec())
}

/// The innermost derivative that what `value` holds takes part in; batch levels are none.
pub fn level(value: &Value) -> Level {
    if let Some(parts) = lift::children(value) {
        return parts.into_iter().map(level).max().unwrap_or_default();
    }
    match value {
        Value::Fn(closure) => closure.captures.iter().map(level).max().unwrap_or_default(),
        Value::Native(native) => native.0.captured().iter().map(level).max().unwrap_or_default(),
        Value::Batched(slot, b) if slot.level() == b.level => level(&b.whole),
        leaf => leaf.slot().level(),
    }
}
