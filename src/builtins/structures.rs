//! Values as trees: `tree_map`, `leaves`, `flatten_tree`, `count_params`, `global_norm`.
//!
//! In: any value. Tuples, lists, dicts and structs are inner nodes, all else is a leaf; `none` stands for "nothing here" and is
//! neither counted nor listed. A leaf's path joins field names, keys and positions with dots: `layers.0.w`; that of a
//! value which is itself a leaf is `value`. Functions on gradients skip `nograd` fields; `tree_map` and `leaves` do not.

use std::rc::Rc;

use crate::ad::Cx;
use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::{Builtin, infer, iterate};
use crate::error::{Error, Result};
use crate::ops::arith::ABS;
use crate::ops::elementwise::HYPOT;
use crate::ops::prim::{Sig, req, variadic};
use crate::types::ty::Ty;
use crate::value::{Dict, Key, StructValue, Value};

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&TREE_MAP, &LEAVES, &FLATTEN_TREE, &COUNT_PARAMS, &GLOBAL_NORM, &SET_FIELDS];

/// Path of a value that is itself a leaf.
pub const ROOT: &str = "value";

/// True for inner nodes.
pub fn is_tree(value: &Value) -> bool {
    matches!(value, Value::Tuple(_) | Value::List(_) | Value::Dict(_) | Value::Struct(_))
}

/// True for what computes: numbers, bools, tensors.
pub fn is_numeric(value: &Value) -> bool {
    value.shape().is_some()
}

/// A leaf as [`visit`] shows it.
pub struct Leaf<'a> {
    pub path: &'a str,
    pub value: &'a Value,
    /// In a `nograd` field, or in a structure in one.
    pub nograd: bool,
}

/// Shows every leaf to `f` in order, `none` too.
pub fn visit(value: &Value, f: &mut dyn FnMut(Leaf<'_>) -> Result<()>) -> Result<()> {
    visit_at(value, &mut String::new(), false, 0, f)
}

fn visit_at(
    value: &Value,
    path: &mut String,
    nograd: bool,
    depth: usize,
    f: &mut dyn FnMut(Leaf<'_>) -> Result<()>,
) -> Result<()> {
    if depth > fail::MAX_DEPTH {
        return Err(fail::too_deep());
    }
    let mut child = |path: &mut String, step: &str, value: &Value, nograd: bool| -> Result<()> {
        let end = path.len();
        push_step(path, step);
        visit_at(value, path, nograd, depth + 1, f)?;
        path.truncate(end);
        Ok(())
    };
    match value {
        Value::Tuple(items) | Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                child(path, &i.to_string(), item, nograd)?;
            }
        }
        Value::Dict(entries) => {
            for (key, item) in entries.iter() {
                child(path, &key_step(key), item, nograd)?;
            }
        }
        Value::Struct(s) => {
            for (field, item) in s.def.fields.iter().zip(&s.fields) {
                child(path, &field.name.name(), item, nograd || field.nograd)?;
            }
        }
        leaf => f(Leaf { path: if path.is_empty() { ROOT } else { path }, value: leaf, nograd })?,
    }
    Ok(())
}

/// Goes one step further along a path.
pub fn push_step(path: &mut String, step: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(step);
}

/// A key as a step of a path.
pub fn key_step(key: &Key) -> String {
    match key {
        Key::Int(i) => i.to_string(),
        Key::Str(name) => name.to_string(),
    }
}

/// A value of the same structure with each leaf replaced by what `f` makes of it; `none` stays.
pub fn map_leaves(value: &Value, f: &mut dyn FnMut(&Value) -> Result<Value>) -> Result<Value> {
    zip_leaves(value, &[], &mut |leaves| f(leaves.first().unwrap_or(&Value::None)))
}

/// The structure of `first` with each leaf replaced by what `f` makes of the leaves at its place in `first` and `others`,
/// which must have the same structure. Where `first` has `none`, it stays; `others` may have `none` for a whole part of it, which
/// `f` then gets for each leaf of that part.
pub fn zip_leaves(first: &Value, others: &[Value], f: &mut dyn FnMut(&[Value]) -> Result<Value>) -> Result<Value> {
    zip_at(first, others, 0, f)
}

fn zip_at(
    first: &Value,
    others: &[Value],
    depth: usize,
    f: &mut dyn FnMut(&[Value]) -> Result<Value>,
) -> Result<Value> {
    if depth > fail::MAX_DEPTH {
        return Err(fail::too_deep());
    }
    for (i, other) in others.iter().enumerate() {
        check_form(first, other, i + 1)?;
    }
    let mut child = |value: &Value, at: &dyn Fn(&Value) -> Value| -> Result<Value> {
        let parts: Vec<Value> = others.iter().map(at).collect();
        zip_at(value, &parts, depth + 1, f)
    };
    Ok(match first {
        Value::None => Value::None,
        Value::Tuple(items) => Value::tuple(zip_items(items, &mut child)?),
        Value::List(items) => Value::list(zip_items(items, &mut child)?),
        Value::Dict(entries) => {
            let mut out = Dict::with_capacity(entries.len());
            for (key, value) in entries.iter() {
                let mapped = child(value, &|other| match other {
                    Value::Dict(d) => d.get(key).cloned().unwrap_or_default(),
                    _ => Value::None,
                })?;
                out.insert(key.clone(), mapped);
            }
            Value::Dict(Rc::new(out))
        }
        Value::Struct(s) => {
            let mut fields = Vec::with_capacity(s.fields.len());
            for (i, value) in s.fields.iter().enumerate() {
                fields.push(child(value, &|other| match other {
                    Value::Struct(o) => o.fields.get(i).cloned().unwrap_or_default(),
                    _ => Value::None,
                })?);
            }
            Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields }))
        }
        leaf => {
            let mut leaves = Vec::with_capacity(others.len() + 1);
            leaves.push(leaf.clone());
            leaves.extend_from_slice(others);
            f(&leaves)?
        }
    })
}

type Child<'a> = dyn FnMut(&Value, &dyn Fn(&Value) -> Value) -> Result<Value> + 'a;

fn zip_items(items: &[Value], child: &mut Child<'_>) -> Result<Vec<Value>> {
    let parts = items.iter().enumerate();
    parts
        .map(|(i, value)| {
            child(value, &|other| match other {
                Value::Tuple(o) | Value::List(o) => o.get(i).cloned().unwrap_or_default(),
                _ => Value::None,
            })
        })
        .collect()
}

/// `other` must have the parts that `first` has; `none` fits everywhere.
fn check_form(first: &Value, other: &Value, index: usize) -> Result<()> {
    let fits = match (first, other) {
        (Value::None, _) | (_, Value::None) => true,
        (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => a.len() == b.len(),
        (Value::Dict(a), Value::Dict(b)) => a.len() == b.len() && a.keys().all(|k| b.contains_key(k)),
        (Value::Struct(a), Value::Struct(b)) => Rc::ptr_eq(&a.def, &b.def),
        (a, b) => !is_tree(a) && !is_tree(b),
    };
    if fits {
        return Ok(());
    }
    Err(Error::new("E0304", "these values are built differently, so their leaves don't pair up")
        .operand(index, format!("this has {} where the first has {}", form(other), form(first))))
}

/// The outermost structure in words.
pub fn form(value: &Value) -> String {
    match value {
        Value::Tuple(items) => format!("a tuple of {}", items.len()),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Dict(entries) => {
            format!("a dict of {}", entries.keys().map(crate::show::key).collect::<Vec<_>>().join(", "))
        }
        other => fail::with_article(&other.type_name()),
    }
}

static TREE_MAP: Builtin = Builtin {
    name: "tree_map",
    doc: "A value of the same structure as `t` with `f(leaf)` for each number, bool and tensor in it; strs, functions and `none` stay. \
          With more values of the same structure, `f` gets the leaves at the same place of all; where one of them has \
          `none`, the leaf of `t` stays. `tree_map(|x| 2 * x, (1, list(2.0)))` is `(2, list(4.0))`.",
    sig: Sig { params: &[req("f"), req("t"), variadic("more")] },
    infer: infer::any,
    run: |vm, args| {
        let [f, t, Value::Tuple(more)] = args else { return Err(arity("tree_map")) };
        if is_function(t) && !is_function(f) {
            std::mem::swap(f, t);
        }
        let (f, t) = (&*f, &*t);
        zip_leaves(t, more, &mut |leaves| match leaves {
            [first, others @ ..] if is_numeric(first) && !others.iter().any(|v| matches!(v, Value::None)) => {
                vm.call(f, leaves)
            }
            [first, ..] => Ok(first.clone()),
            [] => Ok(Value::None),
        })
    },
};

fn is_function(value: &Value) -> bool {
    matches!(value, Value::Fn(_) | Value::Builtin(_) | Value::Prim(_) | Value::Native(_) | Value::StructType(_))
}

static LEAVES: Builtin = Builtin {
    name: "leaves",
    doc: "Everything in a structure that is no structure itself, in order, as a list; `none` is left out. \
          `leaves((1, list(2.0, \"a\")))` is `list(1, 2.0, \"a\")`.",
    sig: Sig { params: &[req("t")] },
    infer: infer::list,
    run: |_, args| {
        let [t] = &*args else { return Err(arity("leaves")) };
        let mut out = vec![];
        visit(t, &mut |leaf| {
            if !matches!(leaf.value, Value::None) {
                out.push(leaf.value.clone());
            }
            Ok(())
        })?;
        Ok(Value::list(out))
    },
};

static FLATTEN_TREE: Builtin = Builtin {
    name: "flatten_tree",
    doc: "The leaves of a structure by their path: field names, keys and positions joined with dots; `none` is left out. \
          `flatten_tree(dict(a: (1, 2)))` has the keys `a.0` and `a.1`.",
    sig: Sig { params: &[req("t")] },
    infer: infer::dict,
    run: |_, args| {
        let [t] = &*args else { return Err(arity("flatten_tree")) };
        let mut out = Dict::new();
        visit(t, &mut |leaf| {
            if !matches!(leaf.value, Value::None) {
                let key = unused(leaf.path, |name| out.contains_key(&Key::Str(name.into())));
                out.insert(Key::Str(key.into()), leaf.value.clone());
            }
            Ok(())
        })?;
        Ok(Value::Dict(Rc::new(out)))
    },
};

/// The path, or if a dict has dots in its keys and it is taken, the path with a number after it.
pub fn unused(path: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(path) {
        return path.to_string();
    }
    (2u64..).map(|n| format!("{path}#{n}")).find(|name| !taken(name)).unwrap_or_default()
}

static COUNT_PARAMS: Builtin = Builtin {
    name: "count_params",
    doc: "How many floats a structure has that a gradient is taken of: elements of float tensors and floats outside of `nograd` \
          fields. `count_params(nn.Dense.new(3, 2))` is 8.",
    sig: Sig { params: &[req("t")] },
    infer: infer::int,
    run: |_, args| match &*args {
        [t] => count_params(t).map(Value::Int),
        _ => Err(arity("count_params")),
    },
};

fn count_params(t: &Value) -> Result<i64> {
    let mut count = 0;
    visit(t, &mut |leaf| {
        if !leaf.nograd {
            count += match leaf.value {
                v if v.is_differentiable() => v.shape().unwrap_or(&[]).iter().product::<usize>() as i64,
                _ => 0,
            };
        }
        Ok(())
    })?;
    Ok(count)
}

static GLOBAL_NORM: Builtin = Builtin {
    name: "global_norm",
    doc: "The square root of the sum of all squares of the floats in a structure, outside of `nograd` fields; differentiable, with \
          gradient 0 where all are 0. `global_norm((3.0, [4.0]))` is 5.0.",
    sig: Sig { params: &[req("t")] },
    infer: |_| Ok(Ty::Float),
    run: |vm, args| match &*args {
        [t] => global_norm(&mut vm.cx, t),
        _ => Err(arity("global_norm")),
    },
};

/// Norms of the leaves, joined by `hypot`: neither overflows early, and both have slope 0 at 0.
fn global_norm(cx: &mut Cx, t: &Value) -> Result<Value> {
    let mut total = None;
    let mut other = None;
    visit(t, &mut |leaf| {
        let norm = match leaf.value {
            v if !leaf.nograd && v.is_one_float() => cx.apply(&ABS, std::slice::from_ref(leaf.value))?,
            v if !leaf.nograd && v.is_differentiable() => iterate::apply(cx, "norm", std::slice::from_ref(leaf.value))?,
            value => {
                if !leaf.nograd && is_numeric(value) {
                    other.get_or_insert_with(|| value.type_name());
                }
                return Ok(());
            }
        };
        total = Some(match total.take() {
            None => norm,
            Some(sum) => cx.apply(&HYPOT, &[sum, norm])?,
        });
        Ok(())
    })?;
    match (total, other) {
        (Some(norm), _) => Ok(norm),
        (None, None) => Ok(Value::float(0.0)),
        (None, Some(kind)) => Err(Error::new(fail::WRONG_KIND, "global_norm is taken of floats, and there are none")
            .operand(0, format!("there is {} in it", fail::with_article(&kind)))
            .help("write 1.0 instead of 1, or float(x)")),
    }
}

static SET_FIELDS: Builtin = Builtin {
    name: "_set_fields",
    doc: "A copy of a structure in which every struct field called `name`, at any depth, is `value`. \
          `_set_fields(model, \"training\", false)`.",
    sig: Sig { params: &[req("t"), req("name"), req("value")] },
    infer: |args| Ok(args.first().cloned().unwrap_or_default()),
    run: |_, args| match &*args {
        [t, Value::Str(name), value] => set_fields(t, name, value, 0),
        [_, other, _] => Err(wrong_kind("_set_fields", 1, "a str", other)),
        _ => Err(arity("_set_fields")),
    },
};

fn set_fields(t: &Value, name: &str, to: &Value, depth: usize) -> Result<Value> {
    if depth > fail::MAX_DEPTH {
        return Err(fail::too_deep());
    }
    let all = |items: &[Value]| items.iter().map(|v| set_fields(v, name, to, depth + 1)).collect::<Result<Vec<_>>>();
    Ok(match t {
        Value::Tuple(items) => Value::tuple(all(items)?),
        Value::List(items) => Value::list(all(items)?),
        Value::Dict(entries) => {
            let values = all(&entries.values().cloned().collect::<Vec<_>>())?;
            Value::Dict(Rc::new(entries.keys().cloned().zip(values).collect()))
        }
        Value::Struct(s) => {
            let mut fields = all(&s.fields)?;
            for (field, value) in s.def.fields.iter().zip(&mut fields) {
                if *field.name.name() == *name {
                    // The constructor does not run here, so the kind must stay.
                    if std::mem::discriminant(value) != std::mem::discriminant(to) {
                        return Err(wrong_kind("_set_fields", 2, &fail::with_article(&value.type_name()), to));
                    }
                    *value = to.clone();
                }
            }
            Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields }))
        }
        leaf => leaf.clone(),
    })
}

#[cfg(test)]
pub mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::show::repr;
    use crate::symbol::Symbol;
    use crate::tensor::DType;
    use crate::tensor::vecs::float_tensor;
    use crate::value::{FieldDef, StructDef};

    /// A struct of these fields; those whose name starts with `_` are `nograd`.
    pub fn make_struct(name: &str, fields: &[(&str, Value)]) -> Value {
        let defs = fields.iter().map(|(n, _)| FieldDef {
            name: Symbol::new(n),
            nograd: n.starts_with('_'),
            has_default: false,
            exact: None,
        });
        let def = StructDef {
            name: name.into(),
            fields: defs.collect(),
            methods: RefCell::default(),
            constructor: RefCell::new(None),
            call: Default::default(),
        };
        Value::Struct(Rc::new(StructValue {
            def: Rc::new(def),
            fields: fields.iter().map(|(_, v)| v.clone()).collect(),
        }))
    }

    pub fn floats(data: &[f64]) -> Value {
        Value::tensor(float_tensor(DType::F32, &[data.len()], data.to_vec()).unwrap())
    }

    fn model() -> Value {
        let layer =
            make_struct("Layer", &[("w", floats(&[1.0, 2.0])), ("_rate", Value::float(0.5)), ("n", Value::Int(3))]);
        Value::Dict(Rc::new(Dict::from_iter([
            (Key::Str("layers".into()), Value::list(vec![layer, Value::None, Value::str("relu")])),
            (Key::Str("b".into()), Value::float(7.0)),
        ])))
    }

    #[test]
    fn paths_and_nograd() {
        let mut seen = vec![];
        visit(&model(), &mut |leaf| {
            seen.push(format!("{}={}{}", leaf.path, repr(leaf.value), if leaf.nograd { "!" } else { "" }));
            Ok(())
        })
        .unwrap();
        let expected = ["layers.0.w=[1.0, 2.0]", "layers.0._rate=0.5!", "layers.0.n=3", "layers.1=none"];
        assert_eq!(seen[..4], expected);
        assert_eq!(seen[4..], ["layers.2=\"relu\"", "b=7.0"]);
    }

    #[test]
    fn parameters_are_floats_with_a_gradient() {
        assert_eq!(count_params(&model()).unwrap(), 3);
        assert_eq!(count_params(&Value::Int(1)).unwrap(), 0);
    }

    #[test]
    fn zipping_needs_one_form() {
        let pair = |a: Value, b: Value| Value::tuple(vec![a, b]);
        let mut join = |leaves: &[Value]| Ok(Value::str(leaves.iter().map(repr).collect::<Vec<_>>().join("+")));
        let a = pair(Value::Int(1), Value::list(vec![Value::Int(2)]));
        let b = pair(Value::Int(3), Value::None);
        let joined = zip_leaves(&a, std::slice::from_ref(&b), &mut join).unwrap();
        assert_eq!(repr(&joined), r#"("1+3", list("2+none"))"#);
        let c = pair(Value::Int(3), Value::list(vec![]));
        let error = zip_leaves(&a, std::slice::from_ref(&c), &mut join).unwrap_err();
        assert_eq!(error.0.operands, [(1, "this has a list of 0 where the first has a list of 1".to_string())]);
        assert!(zip_leaves(&a, &[Value::Int(1)], &mut join).is_err());
    }

    #[test]
    fn mapping_keeps_the_structure() {
        let mapped = map_leaves(&model(), &mut |leaf| Ok(Value::str(leaf.type_name()))).unwrap();
        assert_eq!(
            repr(&mapped),
            r#"dict(layers: list(Layer(w: "f32[2]", _rate: "float", n: "int"), none, "str"), b: "float")"#
        );
    }

    #[test]
    fn fields_are_set_at_any_depth() {
        let set = set_fields(&model(), "n", &Value::Int(9), 0).unwrap();
        assert!(repr(&set).contains("n: 9"));
        assert!(set_fields(&model(), "n", &Value::str("x"), 0).is_err());
        assert_eq!(repr(&set_fields(&model(), "other", &Value::Int(9), 0).unwrap()), repr(&model()));
    }

    #[test]
    fn taken_paths_get_a_number() {
        assert_eq!(unused("a.b", |_| false), "a.b");
        assert_eq!(unused("a.b", |name| name == "a.b" || name == "a.b#2"), "a.b#3");
    }
}
