//! Lists and dicts: making them, changing them in place, looking things up. Also equality and `in`, for the VM.
//!
//! In: lists, dicts (`inout` where they are changed). Values are moved as they are, so derivatives pass through.

use std::rc::Rc;

use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::{Builtin, dtypes, infer, iterate};
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, inout, opt, req, variadic};
use crate::types::rename::{closed, renewed};
use crate::types::size::Num;
use crate::types::ty::{DictTy, ListTy, Ty};
use crate::value::{Dict, Key, Value};
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&LIST, &DICT, &PUSH, &POP, &INSERT, &EXTEND, &KEYS, &VALUES, &ITEMS, &GET];

static LIST: Builtin = Builtin {
    name: "list",
    doc: "A list of the arguments, whatever they are; a range as the only argument is written out, and a comprehension \
          gives its elements. `list(1, \"a\")`, `list(0..3)` is `list(0, 1, 2)`, `list(x^2 for x in xs)`.",
    sig: Sig { params: &[variadic("items")] },
    infer: infer_list,
    run: list,
};

fn infer_list(args: &[Ty]) -> Result<Ty> {
    let items = match args {
        [Ty::Tuple(items)] => items,
        _ => return infer::list(args),
    };
    Ok(match items.as_slice() {
        [Ty::Range] => infer::list_of(Ty::Int(Num::Unknown)),
        // It may be a range.
        [Ty::Any] => infer::list_of(Ty::Any),
        all => {
            let element = match all.split_first() {
                Some((first, more)) if more.iter().all(|t| t == first) => first.clone(),
                _ => Ty::Any,
            };
            Ty::List(Rc::new(ListTy { items: Some(all.to_vec()), element, filled: !all.is_empty() }))
        }
    })
}

fn list(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [Value::Tuple(items)] = args else { return Err(arity("list")) };
    match items.as_slice() {
        [range @ Value::Range(_)] => Ok(Value::list(iterate::items(&mut vm.cx, range)?)),
        _ => Ok(Value::List(std::mem::take(items))),
    }
}

static DICT: Builtin = Builtin {
    name: "dict",
    doc: "A dict of the named arguments, `dict(lr: 0.1, name: \"a\")`, or of pairs of key and value, for keys that are no \
          names: `dict(list((1, \"one\"), (2, \"two\")))`. It keeps the order; of equal keys the last counts.",
    sig: Sig { params: &[opt("pairs", Default::None)] },
    infer: infer_dict,
    run: dict,
};

fn infer_dict(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Dict(Rc::new(DictTy { items: None, value: Ty::Any })))
}

fn dict(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [pairs] = args else { return Err(arity("dict")) };
    match pairs {
        Value::None => Ok(Value::Dict(Rc::default())),
        Value::Dict(_) => Ok(std::mem::take(pairs)),
        _ => {
            let pairs = iterate::items(&mut vm.cx, pairs)?;
            let mut entries = Dict::with_capacity(pairs.len());
            for pair in &pairs {
                let (key, value) = match pair {
                    Value::Tuple(parts) | Value::List(parts) => match parts.as_slice() {
                        [key, value] => (key, value),
                        _ => return Err(not_a_pair(pair)),
                    },
                    _ => return Err(not_a_pair(pair)),
                };
                entries.insert(iterate::value_key(key)?, value.clone());
            }
            Ok(Value::Dict(Rc::new(entries)))
        }
    }
}

#[cold]
fn not_a_pair(value: &Value) -> Error {
    let kind = fail::with_article(&value.type_name());
    Error::new(fail::WRONG_KIND, format!("dict takes pairs (key, value), but one element is {kind}"))
        .help("write dict(name: value), or dict(list((key, value), ...))")
}

/// See its doc. The run loop does it itself.
pub static PUSH: Builtin = Builtin {
    name: "push",
    doc: "Adds a value at the end of a list, in place. `var xs = list(1); xs.push(2)` leaves `list(1, 2)`.",
    sig: Sig { params: &[inout("xs"), req("value")] },
    infer: infer::none,
    run: push,
};

fn push(_: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [xs, value] = args else { return Err(arity("push")) };
    let Value::List(items) = xs else { return Err(not_a_list("push", xs)) };
    Rc::make_mut(items).push(std::mem::take(value));
    Ok(Value::None)
}

#[cold]
fn not_a_list(function: &str, got: &Value) -> Error {
    let error = wrong_kind(function, 0, "a list", got);
    match got {
        Value::Tensor(..) => error.help("a tensor has a fixed size: join tensors with concat, or collect in list()"),
        Value::Tuple(_) => error.help("a tuple has a fixed size: start with list()"),
        Value::Dict(_) => error.help("entries are set with d[\"key\"] = value"),
        _ => error,
    }
}

static POP: Builtin = Builtin {
    name: "pop",
    doc: "Takes an element out of a list and gives it: the last one, or that at index `at`. Of a dict, the entry of key `at`. \
          `var xs = list(1, 2); xs.pop()` gives 2 and leaves `list(1)`.",
    sig: Sig { params: &[inout("xs"), opt("at", Default::None)] },
    infer: infer_pop,
    run: pop,
};

fn infer_pop(args: &[Ty]) -> Result<Ty> {
    Ok(match args.first() {
        Some(Ty::List(list)) => renewed(&list.element),
        _ => Ty::Any,
    })
}

fn pop(_: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [xs, at] = args else { return Err(arity("pop")) };
    match (xs, &*at) {
        (Value::List(items), Value::None) => {
            if items.is_empty() {
                return Err(Error::new(fail::OUT_OF_RANGE, "pop from an empty list").help("check len(xs) > 0 first"));
            }
            Ok(Rc::make_mut(items).pop().unwrap_or_default())
        }
        (Value::List(items), Value::Int(i)) => {
            let place = place(*i, items.len(), items.len()).ok_or_else(|| out_of_range("pop", *i, items.len()))?;
            Ok(Rc::make_mut(items).remove(place))
        }
        (Value::List(_), other) => Err(wrong_kind("pop", 1, "an int", other)),
        (Value::Dict(entries), Value::None) => {
            Err(Error::new(fail::BAD_ARGUMENT, format!("pop of a dict (of {}) needs the key", entries.len()))
                .help("write pop(&d, \"key\")"))
        }
        (Value::Dict(entries), key) => {
            let key = iterate::value_key(key)?;
            match Rc::make_mut(entries).shift_remove(&key) {
                Some(value) => Ok(value),
                None => Err(missing_key(entries, &key)),
            }
        }
        (other, _) => Err(not_a_list("pop", other)),
    }
}

/// `i` counted from the end if negative, if that is below `limit`.
fn place(i: i64, len: usize, limit: usize) -> Option<usize> {
    let i = if i < 0 { i.checked_add(len as i64)? } else { i };
    usize::try_from(i).ok().filter(|&i| i < limit)
}

#[cold]
fn out_of_range(function: &str, i: i64, len: usize) -> Error {
    Error::new(fail::OUT_OF_RANGE, format!("{function}: index {i} is out of range for a list of length {len}"))
        .operand(1, format!("this is {i}"))
}

/// A key that is not there; suggests a similar one.
#[cold]
pub fn missing_key(entries: &Dict, key: &Key) -> Error {
    let shown = crate::show::key(key);
    let error = Error::new(fail::NO_KEY, format!("the dict has no key {shown}"));
    let names: Vec<&str> = entries.keys().filter_map(|k| if let Key::Str(s) = k { Some(&**s) } else { None }).collect();
    if let Key::Str(wanted) = key
        && let Some(near) = crate::diagnostic::did_you_mean(wanted, names.iter().copied())
    {
        return error.help(format!("did you mean {}?", crate::show::quote(near)));
    }
    if entries.is_empty() {
        return error.note("the dict is empty");
    }
    const SHOWN: usize = 10;
    let mut keys: Vec<String> = entries.keys().take(SHOWN).map(crate::show::key).collect();
    if entries.len() > SHOWN {
        keys.push("...".to_string());
    }
    error.note(format!("its keys are {}", keys.join(", ")))
}

static INSERT: Builtin = Builtin {
    name: "insert",
    doc: "Puts a value into a list before index `at`, in place; `at` may be the length. \
          `var xs = list(1, 3); xs.insert(1, 2)` leaves `list(1, 2, 3)`.",
    sig: Sig { params: &[inout("xs"), req("at"), req("value")] },
    infer: infer::none,
    run: insert,
};

fn insert(_: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [xs, at, value] = args else { return Err(arity("insert")) };
    let Value::List(items) = xs else { return Err(not_a_list("insert", xs)) };
    let Value::Int(i) = at else { return Err(wrong_kind("insert", 1, "an int", at)) };
    let place = place(*i, items.len(), items.len() + 1).ok_or_else(|| out_of_range("insert", *i, items.len()))?;
    Rc::make_mut(items).insert(place, std::mem::take(value));
    Ok(Value::None)
}

static EXTEND: Builtin = Builtin {
    name: "extend",
    doc: "Adds all elements of `more` at the end of a list, in place; of two dicts, adds or replaces entries. \
          `var xs = list(1); xs.extend(list(2, 3))` leaves `list(1, 2, 3)`.",
    sig: Sig { params: &[inout("xs"), req("more")] },
    infer: infer::none,
    run: extend,
};

fn extend(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [xs, more] = args else { return Err(arity("extend")) };
    match xs {
        Value::List(items) => {
            let mut more = iterate::items(&mut vm.cx, more)?;
            Rc::make_mut(items).append(&mut more);
        }
        Value::Dict(entries) => {
            let Value::Dict(more) = more else { return Err(wrong_kind("extend", 1, "a dict", more)) };
            Rc::make_mut(entries).extend(more.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        other => return Err(not_a_list("extend", other)),
    }
    Ok(Value::None)
}

static KEYS: Builtin = Builtin {
    name: "keys",
    doc: "The keys of a dict in order, as a list. `dict(a: 1, b: 2).keys()` is `list(\"a\", \"b\")`.",
    sig: Sig { params: &[req("d")] },
    infer: infer::list,
    run: |_, args| Ok(Value::list(entries("keys", args)?.keys().map(iterate::key_value).collect())),
};

static VALUES: Builtin = Builtin {
    name: "values",
    doc: "The values of a dict in order, as a list. `dict(a: 1, b: 2).values()` is `list(1, 2)`.",
    sig: Sig { params: &[req("d")] },
    infer: |args| {
        Ok(match args {
            [Ty::Dict(d)] => {
                let items = d.items.as_ref().map(|items| items.iter().map(|(_, ty)| ty.clone()).collect());
                Ty::List(Rc::new(ListTy {
                    filled: d.items.as_ref().is_some_and(|i| !i.is_empty()),
                    items,
                    element: closed(&d.value),
                }))
            }
            _ => infer::list_of(Ty::Any),
        })
    },
    run: |_, args| Ok(Value::list(entries("values", args)?.values().cloned().collect())),
};

static ITEMS: Builtin = Builtin {
    name: "items",
    doc: "The entries of a dict in order, as a list of `(key, value)`: `for (name, x) in d.items() { ... }`.",
    sig: Sig { params: &[req("d")] },
    infer: infer::list,
    run: |_, args| {
        let pairs = entries("items", args)?.iter();
        Ok(Value::list(pairs.map(|(k, v)| Value::tuple(vec![iterate::key_value(k), v.clone()])).collect()))
    },
};

fn entries<'a>(function: &str, args: &'a [Value]) -> Result<&'a Dict> {
    match args {
        [Value::Dict(d), ..] => Ok(d),
        [other, ..] => Err(wrong_kind(function, 0, "a dict", other)),
        [] => Err(arity(function)),
    }
}

static GET: Builtin = Builtin {
    name: "get",
    doc: "The value of a key, or `default` if the dict does not have it. `d.get(\"lr\", 0.1)`.",
    sig: Sig { params: &[req("d"), req("key"), opt("default", Default::None)] },
    infer: infer::any,
    run: |_, args| {
        let [_, key, default] = &*args else { return Err(arity("get")) };
        let key = iterate::value_key(key)?;
        Ok(entries("get", args)?.get(&key).unwrap_or(default).clone())
    },
};

/// `==` where one side is no number and no tensor: true if both have the same parts. Numbers are compared as numbers
/// (`1 == 1.0`), floats as IEEE says, tensors by shape and elements, functions by identity.
pub fn values_equal(a: &Value, b: &Value) -> Result<bool> {
    equal(a, b, 0)
}

fn equal(a: &Value, b: &Value, depth: usize) -> Result<bool> {
    if depth > fail::MAX_DEPTH {
        return Err(fail::too_deep());
    }
    let all = |x: &[Value], y: &[Value]| -> Result<bool> {
        if x.len() != y.len() {
            return Ok(false);
        }
        for (x, y) in x.iter().zip(y) {
            if !equal(x, y, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Ok(match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Int(x), Value::Int(y)) => x == y,
        (Value::Float(_, x), Value::Float(_, y)) => x == y,
        (Value::Int(x), Value::Float(_, y)) | (Value::Float(_, y), Value::Int(x)) => *x as f64 == *y,
        (Value::Tensor(_, x), Value::Tensor(_, y)) => x.same_elements(y),
        // `vmap` then runs each example alone.
        (Value::Batched(..), _) | (_, Value::Batched(..)) => {
            return Err(Error::new("E0310", "structures are not compared example by example"));
        }
        (Value::Str(x), Value::Str(y)) => x == y,
        (Value::Tuple(x), Value::Tuple(y)) | (Value::List(x), Value::List(y)) => all(x, y)?,
        (Value::Dict(x), Value::Dict(y)) => {
            if x.len() != y.len() {
                return Ok(false);
            }
            for (key, value) in x.iter() {
                match y.get(key) {
                    Some(other) if equal(value, other, depth + 1)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Struct(x), Value::Struct(y)) => Rc::ptr_eq(&x.def, &y.def) && all(&x.fields, &y.fields)?,
        (Value::Range(x), Value::Range(y)) => {
            let n = x.len();
            n == y.len() && (n == 0 || x.start == y.start) && (n < 2 || x.step == y.step)
        }
        (Value::Fn(x), Value::Fn(y)) => Rc::ptr_eq(x, y) || (Rc::ptr_eq(&x.chunk, &y.chunk) && x.captures.is_empty()),
        (Value::Builtin(x), Value::Builtin(y)) => std::ptr::eq(*x, *y),
        (Value::Prim(x), Value::Prim(y)) => std::ptr::eq(*x, *y),
        (Value::Native(x), Value::Native(y)) => Rc::ptr_eq(x, y),
        (Value::DType(x), Value::DType(y)) => x == y,
        (Value::DType(x), Value::Builtin(f)) | (Value::Builtin(f), Value::DType(x)) => dtypes::is_named(*x, f.name),
        (Value::StructType(x), Value::StructType(y)) => Rc::ptr_eq(x, y),
        (Value::Module(x), Value::Module(y)) => Rc::ptr_eq(x, y),
        _ => false,
    })
}

/// `item in container`: an element of a list, tuple, range or tensor, a key of a dict, a part of a str.
pub fn contains(container: &Value, item: &Value) -> Result<bool> {
    match (container, item) {
        (Value::List(items) | Value::Tuple(items), _) => {
            for other in items.iter() {
                if values_equal(other, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Dict(entries), Value::Int(_) | Value::Str(_)) => Ok(entries.contains_key(&iterate::value_key(item)?)),
        (Value::Dict(_), _) => Ok(false),
        (Value::Str(text), Value::Str(part)) => Ok(text.contains(part.as_str())),
        (Value::Str(_), other) => Err(wrong_kind("in", 0, "a str before a str", other)),
        (Value::Range(r), Value::Int(i)) => {
            let (lo, hi) =
                if r.step > 0 { (r.start, r.stop) } else { (r.stop.saturating_add(1), r.start.saturating_add(1)) };
            Ok((lo..hi).contains(i) && (*i as i128 - r.start as i128) % r.step as i128 == 0)
        }
        (Value::Range(_), _) => Ok(false),
        (Value::Tensor(_, t), Value::Int(i)) => Ok(t.to_f64s().contains(&(*i as f64))),
        (Value::Tensor(_, t), Value::Float(_, x)) => Ok(t.to_f64s().contains(x)),
        (Value::Tensor(_, t), Value::Bool(b)) => Ok(t.to_f64s().contains(&f64::from(u8::from(*b)))),
        (Value::Tensor(..), other) => Err(wrong_kind("in", 0, "a number before a tensor", other)),
        (other, _) => {
            let kind = fail::with_article(&other.type_name());
            Err(Error::new(
                fail::WRONG_KIND,
                format!("`in` looks into a list, tuple, range, dict, str or tensor, not {kind}"),
            )
            .operand(1, format!("this is {kind}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::vecs::{f64_tensor, int_tensor};
    use crate::value::RangeValue;

    fn range(start: i64, stop: i64, step: i64) -> Value {
        Value::Range(Rc::new(RangeValue { start, stop, step }))
    }

    #[test]
    fn equality_follows_structures() {
        let a = Value::list(vec![Value::Int(1), Value::tuple(vec![Value::str("x"), Value::None])]);
        let b = Value::list(vec![Value::float(1.0), Value::tuple(vec![Value::str("x"), Value::None])]);
        assert!(values_equal(&a, &b).unwrap());
        assert!(!values_equal(&a, &Value::list(vec![Value::Int(1)])).unwrap());
        assert!(!values_equal(&Value::float(f64::NAN), &Value::float(f64::NAN)).unwrap());
        assert!(!values_equal(&Value::Bool(true), &Value::Int(1)).unwrap());
        assert!(!values_equal(&Value::None, &Value::Int(0)).unwrap());
        let t = Value::tensor(int_tensor(&[2], vec![1, 2]).unwrap());
        let u = Value::tensor(f64_tensor(&[2], vec![1.0, 2.0]).unwrap());
        assert!(values_equal(&t, &u).unwrap());
    }

    #[test]
    fn dicts_are_equal_in_any_order() {
        let dict = |keys: [&str; 2]| {
            let entries = keys.map(|k| (Key::Str(k.into()), Value::str(k)));
            Value::Dict(Rc::new(Dict::from_iter(entries)))
        };
        assert!(values_equal(&dict(["a", "b"]), &dict(["b", "a"])).unwrap());
        assert!(!values_equal(&dict(["a", "b"]), &dict(["a", "c"])).unwrap());
    }

    #[test]
    fn very_deep_structures_are_an_error() {
        let deep = || (0..5 * fail::MAX_DEPTH).fold(Value::None, |v, _| Value::tuple(vec![v]));
        let (a, b) = (deep(), deep());
        assert_eq!(values_equal(&a, &b).unwrap_err().0.code, fail::TOO_LARGE);
    }

    #[test]
    fn ranges_are_equal_by_what_they_hold() {
        assert!(values_equal(&range(0, 5, 2), &range(0, 6, 2)).unwrap());
        assert!(values_equal(&range(3, 3, 1), &range(0, -1, 4)).unwrap());
        assert!(!values_equal(&range(0, 5, 2), &range(0, 5, 3)).unwrap());
    }

    #[test]
    fn membership() {
        let yes = |c: &Value, x: &Value| contains(c, x).unwrap();
        assert!(yes(&range(0, 10, 3), &Value::Int(9)));
        assert!(!yes(&range(0, 10, 3), &Value::Int(10)));
        assert!(yes(&range(10, 0, -5), &Value::Int(5)));
        assert!(!yes(&range(10, 0, -5), &Value::Int(0)));
        assert!(yes(&Value::str("abc"), &Value::str("bc")));
        assert!(!yes(&Value::list(vec![Value::Int(1)]), &Value::Int(2)));
        assert!(contains(&Value::str("abc"), &Value::Int(1)).is_err());
        assert!(contains(&Value::Int(3), &Value::Int(1)).is_err());
    }

    #[test]
    fn places_count_from_both_ends() {
        assert_eq!(place(-1, 3, 3), Some(2));
        assert_eq!(place(3, 3, 3), None);
        assert_eq!(place(3, 3, 4), Some(3));
        assert_eq!(place(-4, 3, 3), None);
        assert_eq!(place(i64::MIN, 3, 3), None);
    }

    #[test]
    fn a_missing_key_suggests_its_neighbour() {
        let entries = Dict::from_iter([(Key::Str("rate".into()), Value::None)]);
        let error = missing_key(&entries, &Key::Str("rat".into()));
        assert_eq!(error.0.help.as_deref(), Some("did you mean \"rate\"?"));
        let error = missing_key(&entries, &Key::Int(1));
        assert_eq!(error.0.notes, ["its keys are \"rate\""]);
    }
}
