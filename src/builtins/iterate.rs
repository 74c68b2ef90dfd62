//! Going through values: what `for`, `map`, `zip` and the like iterate over.
//!
//! In: any value. Out: its elements one by one: of lists, tuples and ranges the items, of a str its characters, of a dict
//! its keys, of a tensor its rows along axis 0 (taken by a primitive, so derivatives flow).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::ad::Cx;
use crate::builtins::fail;
use crate::error::{Error, Result};
use crate::ops::prim::{Default, ParamKind, Prim};
use crate::tensor::parts::get_at;
use crate::value::{Key, Value};
use crate::vm::characters;

/// The primitive that takes one row of a tensor: `get_index(x, i)`.
const GET_INDEX: &str = "get_index";

/// Number of elements, if the value has elements and their number is known.
pub fn iter_len(value: &Value) -> Option<usize> {
    match value {
        Value::List(items) | Value::Tuple(items) => Some(items.len()),
        Value::Range(r) => Some(r.len()),
        Value::Str(s) => Some(characters::count(s)),
        Value::Dict(d) => Some(d.len()),
        Value::Tensor(..) | Value::Batched(..) => value.shape().and_then(|s| s.first().copied()),
        _ => None,
    }
}

/// Element `i`, except of tensors; `None` past the end. Linear in `i` for a str that is not ASCII: loops go through
/// [`iter_source`] first.
pub fn iter_at(value: &Value, i: usize) -> Option<Value> {
    match value {
        Value::List(items) | Value::Tuple(items) => items.get(i).cloned(),
        Value::Range(r) => (i < r.len()).then(|| Value::Int(r.at(i))),
        Value::Str(s) => characters::at(s, i).map(Value::str),
        Value::Dict(d) => d.get_index(i).map(|(key, _)| key_value(key)),
        _ => None,
    }
}

/// What a loop goes through: the value itself, or for what has no quick access by position (str, dict) a list.
/// An error if there is nothing to iterate over.
pub fn iter_source(value: &Value) -> Result<Value> {
    match value {
        Value::List(_) | Value::Tuple(_) | Value::Range(_) | Value::Tensor(..) => Ok(value.clone()),
        Value::Batched(..) if value.tensor_dtype().is_some() => Ok(value.clone()),
        Value::Str(s) => Ok(Value::list(s.chars().map(Value::str).collect())),
        Value::Dict(d) => Ok(Value::list(d.keys().map(key_value).collect())),
        Value::Int(n) => Err(not_iterable(value).help(format!("to count up to it, write 0..{n}"))),
        other => Err(not_iterable(other)),
    }
}

#[cold]
fn not_iterable(value: &Value) -> Error {
    let kind = fail::with_article(&value.type_name());
    Error::new(fail::WRONG_KIND, format!("{kind} has no elements to go through")).operand(0, format!("this is {kind}"))
}

/// Element `i` of what [`iter_source`] gave; `None` at the end.
pub fn iter_next(cx: &mut Cx, source: &Value, i: usize) -> Result<Option<Value>> {
    match source {
        Value::Tensor(..) | Value::Batched(..) => {
            if i < source.shape().and_then(|s| s.first().copied()).unwrap_or(0) {
                row(cx, source, i).map(Some)
            } else {
                Ok(None)
            }
        }
        other => Ok(iter_at(other, i)),
    }
}

/// All elements.
pub fn items(cx: &mut Cx, value: &Value) -> Result<Vec<Value>> {
    if let Value::List(items) | Value::Tuple(items) = value {
        return Ok(items.to_vec());
    }
    let source = iter_source(value)?;
    let mut out = vec![];
    if let Some(n) = iter_len(&source) {
        reserve(&mut out, n)?;
    }
    while let Some(item) = iter_next(cx, &source, out.len())? {
        out.push(item);
    }
    Ok(out)
}

/// Room for `n` more, or an error where there is no memory.
pub fn reserve(items: &mut Vec<Value>, n: usize) -> Result<()> {
    items
        .try_reserve_exact(n)
        .map_err(|_| Error::new(fail::TOO_LARGE, format!("a list of {n} elements does not fit into memory")))
}

/// Row `i` of a tensor along axis 0.
pub fn row(cx: &mut Cx, tensor: &Value, i: usize) -> Result<Value> {
    if let Value::Tensor(slot, t) = tensor {
        if slot.is_const() {
            return get_at(t, i as i64);
        }
        if let Some(element) = cx.read_element(*slot, t, &[i as i64])? {
            return Ok(element);
        }
    }
    apply(cx, GET_INDEX, &[tensor.clone(), Value::Int(i as i64)])
}

/// Applies the primitive called `name` to its first arguments; the others get their defaults.
pub fn apply(cx: &mut Cx, name: &str, given: &[Value]) -> Result<Value> {
    let prim = primitive(name)?;
    let mut args = given.to_vec();
    for param in prim.sig.params.iter().skip(given.len()) {
        args.push(match param.kind {
            ParamKind::Optional(default) => default_value(default),
            _ => Value::None,
        });
    }
    cx.apply(prim, &args)
}

thread_local! {
    /// What was looked up before: the table is long.
    static FOUND: RefCell<HashMap<&'static str, &'static Prim>> = RefCell::default();
}

/// The primitive of this name, which must exist.
pub fn primitive(name: &str) -> Result<&'static Prim> {
    if let Some(prim) = FOUND.with_borrow(|found| found.get(name).copied()) {
        return Ok(prim);
    }
    let prim = crate::ops::find(name)
        .ok_or_else(|| Error::new("E0400", format!("bug in dlang: there is no primitive {name}")))?;
    FOUND.with_borrow_mut(|found| found.insert(prim.name, prim));
    Ok(prim)
}

/// The value of a default in a signature.
pub fn default_value(default: Default) -> Value {
    match default {
        Default::None => Value::None,
        Default::Bool(b) => Value::Bool(b),
        Default::Int(i) => Value::Int(i),
        Default::Float(x) => Value::float(x),
        Default::Str(s) => Value::str(s),
    }
}

/// A key as a value.
pub fn key_value(key: &Key) -> Value {
    match key {
        Key::Int(i) => Value::Int(*i),
        Key::Str(s) => Value::str(&**s),
    }
}

/// A value as a key: str or int.
pub fn value_key(value: &Value) -> Result<Key> {
    match value {
        Value::Int(i) => Ok(Key::Int(*i)),
        Value::Str(s) => Ok(Key::Str(Rc::from(s.as_str()))),
        other => Err(no_kind_of_key(&fail::with_article(&other.type_name()))),
    }
}

/// What is no key of a dict.
pub fn no_kind_of_key(kind: &str) -> Error {
    Error::new(fail::WRONG_KIND, format!("keys of a dict are str or int, not {kind}"))
}

/// True for what iterates without being called, so that `map(xs, f)` is told from `map(f, xs)`.
pub fn is_sequence(value: &Value) -> bool {
    iter_len(value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Dict, RangeValue};

    fn through(value: &Value) -> Vec<String> {
        let source = iter_source(value).unwrap();
        let n = iter_len(&source).unwrap();
        (0..n).map(|i| crate::show::repr(&iter_at(&source, i).unwrap())).collect()
    }

    #[test]
    fn elements_in_order() {
        assert_eq!(through(&Value::list(vec![Value::Int(3), Value::Int(4)])), ["3", "4"]);
        assert_eq!(through(&Value::Range(Rc::new(RangeValue { start: 5, stop: 0, step: -2 }))), ["5", "3", "1"]);
        assert_eq!(through(&Value::str("aé")), [r#""a""#, r#""é""#]);
        let dict = Dict::from_iter([(Key::Str("k".into()), Value::None), (Key::Int(2), Value::None)]);
        assert_eq!(through(&Value::Dict(Rc::new(dict))), [r#""k""#, "2"]);
    }

    #[test]
    fn past_the_end_there_is_nothing() {
        assert!(iter_at(&Value::list(vec![]), 0).is_none());
        assert!(iter_at(&Value::Range(Rc::new(RangeValue { start: 0, stop: 2, step: 1 })), 2).is_none());
        assert!(iter_at(&Value::str("ab"), 2).is_none());
    }

    #[test]
    fn an_int_is_not_a_range() {
        let error = iter_source(&Value::Int(5)).unwrap_err();
        assert_eq!(error.0.help.as_deref(), Some("to count up to it, write 0..5"));
    }

    #[test]
    fn a_list_beyond_memory_is_an_error() {
        assert_eq!(reserve(&mut vec![], usize::MAX / 32).unwrap_err().0.code, fail::TOO_LARGE);
    }

    #[test]
    fn keys_are_str_or_int() {
        assert_eq!(value_key(&Value::Int(1)).unwrap(), Key::Int(1));
        assert!(value_key(&Value::float(1.0)).is_err());
    }
}
