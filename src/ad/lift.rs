//! Walking values: putting leaves under a level, taking them out, reading gradients back.

use std::rc::Rc;

use crate::ad::dispatch::{all_finite, escaped};
use crate::ad::slot::{Level, Slot};
use crate::ad::tape::{Entry, General, Lower};
use crate::ad::{Cx, Mode};
use crate::error::Result;
use crate::value::{Closure, Dict, StructValue, Value};

/// The same structure with each leaf (all that is no tuple, list, dict or struct) replaced.
pub fn map_leaves(value: &Value, f: &mut impl FnMut(&Value) -> Result<Value>) -> Result<Value> {
    map_fields(value, false, f)
}

/// The same, but `nograd` fields become `none`: the structure of a gradient.
pub fn map_gradient(value: &Value, f: &mut impl FnMut(&Value) -> Result<Value>) -> Result<Value> {
    map_fields(value, true, f)
}

fn map_fields(value: &Value, drop_nograd: bool, f: &mut impl FnMut(&Value) -> Result<Value>) -> Result<Value> {
    let mut each =
        |items: &[Value]| -> Result<Vec<Value>> { items.iter().map(|v| map_fields(v, drop_nograd, f)).collect() };
    Ok(match value {
        Value::Tuple(items) => Value::tuple(each(items)?),
        Value::List(items) => Value::list(each(items)?),
        Value::Dict(dict) => {
            let mut out = Dict::with_capacity(dict.len());
            for (key, v) in dict.iter() {
                out.insert(key.clone(), map_fields(v, drop_nograd, f)?);
            }
            Value::Dict(Rc::new(out))
        }
        Value::Struct(s) => {
            let mut fields = Vec::with_capacity(s.fields.len());
            for (v, def) in s.fields.iter().zip(&s.def.fields) {
                fields.push(if drop_nograd && def.nograd { Value::None } else { map_fields(v, drop_nograd, f)? });
            }
            Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields }))
        }
        leaf => return f(leaf),
    })
}

/// The parts of a structure in order.
pub fn children(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::Tuple(items) | Value::List(items) => Some(items.iter().collect()),
        Value::Dict(dict) => Some(dict.values().collect()),
        Value::Struct(s) => Some(s.fields.iter().collect()),
        _ => None,
    }
}

/// Walks two values of one structure; `false` if they differ in structure.
pub fn zip_leaves(a: &Value, b: &Value, f: &mut impl FnMut(&Value, &Value) -> Result<()>) -> Result<bool> {
    match (children(a), children(b)) {
        (Some(xs), Some(ys)) => {
            if xs.len() != ys.len() {
                return Ok(false);
            }
            for (x, y) in xs.into_iter().zip(ys) {
                if !zip_leaves(x, y, f)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (None, None) => f(a, b).map(|()| true),
        _ => Ok(false),
    }
}

impl Cx {
    /// Makes every float and float tensor of `value` a leaf of the reverse level; `nograd` fields stay constants.
    pub fn lift_reverse(&mut self, value: &Value, level: Level) -> Result<Value> {
        self.lift_where(value, &mut |cx, leaf| {
            let primal = leaf.slot();
            let Some(tape) = cx.tape_mut(level) else { return Err(escaped()) };
            let node = if matches!(leaf, Value::Float(..)) && !tape.batched {
                let lower = Lower { primal, ..Lower::default() };
                tape.push_nested(Entry { a: 0, b: 0, pa: 0.0, pb: 0.0 }, lower)?
            } else {
                tape.push_general(General::Leaf, primal)?
            };
            Ok(leaf.with_slot(Slot::new(level, node)))
        })
    }

    fn lift_where(&mut self, value: &Value, f: &mut impl FnMut(&mut Cx, &Value) -> Result<Value>) -> Result<Value> {
        if let Value::Struct(s) = value {
            let mut fields = Vec::with_capacity(s.fields.len());
            for (v, def) in s.fields.iter().zip(&s.def.fields) {
                fields.push(if def.nograd { v.clone() } else { self.lift_where(v, f)? });
            }
            return Ok(Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields })));
        }
        let mut each =
            |items: &[Value]| -> Result<Vec<Value>> { items.iter().map(|v| self.lift_where(v, f)).collect() };
        Ok(match value {
            Value::Tuple(items) => Value::tuple(each(items)?),
            Value::List(items) => Value::list(each(items)?),
            Value::Dict(dict) => {
                let mut out = Dict::with_capacity(dict.len());
                for (key, v) in dict.iter() {
                    out.insert(key.clone(), self.lift_where(v, f)?);
                }
                Value::Dict(Rc::new(out))
            }
            leaf if leaf.is_differentiable() => f(self, leaf)?,
            other => other.clone(),
        })
    }

    /// Pairs every float leaf of `value` with its tangent; where `tangent` has `none` (or an int's), it stays constant.
    /// `Ok(None)` if the two differ in structure or shape.
    pub fn lift_forward(&mut self, value: &Value, tangent: &Value, level: Level) -> Result<Option<Value>> {
        if matches!(tangent, Value::None) {
            return Ok(Some(value.clone()));
        }
        if let Some(items) = children(value) {
            let Some(tangents) = children(tangent) else { return Ok(None) };
            if tangents.len() != items.len() {
                return Ok(None);
            }
            let mut lifted = Vec::with_capacity(items.len());
            for (v, t) in items.into_iter().zip(tangents) {
                match self.lift_forward(v, t, level)? {
                    Some(x) => lifted.push(x),
                    None => return Ok(None),
                }
            }
            return Ok(Some(rebuild(value, lifted)));
        }
        if !value.is_differentiable() {
            return Ok(Some(value.clone()));
        }
        let mut t = tangent.clone();
        if let Value::Int(i) = t {
            t = Value::float(i as f64);
        }
        if t.shape() != value.shape() {
            return Ok(None);
        }
        if let Some(dtype) = value.tensor_dtype() {
            t = self.cast(&t, dtype)?;
        }
        self.new_dual(value.clone(), t, level).map(Some)
    }

    /// The value as it is below `level`: every slot of that level replaced by its primal's, closures included.
    pub fn strip(&self, value: &Value, level: Level) -> Result<Value> {
        map_leaves(value, &mut |leaf| match leaf {
            Value::Float(slot, _) | Value::Tensor(slot, _) | Value::Batched(slot, _)
                if slot.level() == level && !slot.is_const() =>
            {
                Ok(leaf.with_slot(self.primal_slot(*slot)))
            }
            Value::Fn(f) if !f.captures.is_empty() => {
                let captures = f.captures.iter().map(|c| self.strip(c, level)).collect::<Result<Vec<_>>>()?;
                Ok(Value::Fn(Rc::new(Closure { chunk: f.chunk.clone(), captures })))
            }
            Value::Native(native) => {
                let inside = native.0.captured();
                if !inside.iter().any(|v| mentions(v, level)) {
                    return Ok(leaf.clone());
                }
                let inside = inside.iter().map(|v| self.strip(v, level)).collect::<Result<Vec<_>>>()?;
                native.0.with_captured(inside).ok_or_else(escaped)
            }
            other => Ok(other.clone()),
        })
    }

    /// Tangents of a result of a forward level, in its structure: zeros where nothing depends on the input,
    /// `none` for what has no derivative.
    pub fn read_tangents(&mut self, value: &Value, level: Level) -> Result<Value> {
        map_gradient(value, &mut |leaf| match self.tangent(leaf, level)? {
            Some(t) => Ok(t),
            None if leaf.is_differentiable() => self.zeros_like(leaf),
            None => Ok(Value::None),
        })
    }

    /// True if the innermost level is a reverse level.
    pub fn innermost_is_reverse(&self) -> bool {
        matches!(self.levels.last().map(|l| &l.mode), Some(Mode::Reverse(_)))
    }
}

/// False if a float in it is NaN or infinite.
pub fn leaves_finite(value: &Value) -> bool {
    match children(value) {
        Some(items) => items.into_iter().all(leaves_finite),
        None => all_finite(value),
    }
}

/// True if a leaf of it has a slot of `level`.
pub fn mentions(value: &Value, level: Level) -> bool {
    if let Some(items) = children(value) {
        return items.into_iter().any(|v| mentions(v, level));
    }
    match value {
        Value::Float(slot, _) | Value::Tensor(slot, _) => !slot.is_const() && slot.level() == level,
        Value::Batched(slot, b) => slot.level() == level || b.level == level || mentions(&b.whole, level),
        Value::Fn(f) => f.captures.iter().any(|v| mentions(v, level)),
        Value::Native(n) => n.0.captured().iter().any(|v| mentions(v, level)),
        _ => false,
    }
}

/// The highest level among the leaves.
pub fn top_level(value: &Value) -> Level {
    if let Some(items) = children(value) {
        return items.into_iter().map(top_level).max().unwrap_or_default();
    }
    value.slot().level()
}

/// A structure like `like` with other parts.
pub fn rebuild(like: &Value, parts: Vec<Value>) -> Value {
    match like {
        Value::Tuple(_) => Value::tuple(parts),
        Value::List(_) => Value::list(parts),
        Value::Dict(dict) => Value::Dict(Rc::new(dict.keys().cloned().zip(parts).collect())),
        Value::Struct(s) => Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields: parts })),
        other => other.clone(),
    }
}
