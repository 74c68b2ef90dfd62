//! A saved structure: what `io.save` keeps of a value besides its tensors, as JSON in the file's metadata.
//!
//! A [`Node`] is the value's tree with the names of file entries where tensors and numbers stood. It is written flat, as one JSON array of
//! nodes in preorder, so that its depth is not limited by that of JSON. Each node is an array: `["none"]`, `["bool", true]`,
//! `["str", "a"]`, `["dtype", "f32"]`, `["fn", "relu"]`, `["range", 0, 3, 1]`; `["tensor", "layers.0.w"]`, `["float", name]`,
//! `["int", name]` and, for a list or tuple of only floats or only ints, `["list of float", name]` and the like; `["list", n]` and
//! `["tuple", n]` with n nodes after it, `["dict", [keys]]` and `["struct", "Dense", [fields]]` with one for each key.

use serde_json::Value as Json;

use crate::builtins::fail::{self, MAX_DEPTH};
use crate::builtins::structures::{key_step, push_step, unused};
use crate::error::{Error, Result};
use crate::show;
use crate::tensor::vecs::{f64_tensor, int_tensor};
use crate::tensor::{DType, Tensor};
use crate::value::{Key, Value};

/// The tree of a saved value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    None,
    Bool(bool),
    Str(String),
    DType(DType),
    /// A function: its name only.
    Fn(String),
    Range(i64, i64, i64),
    /// An entry of the file, and what it is there.
    Entry(Kind, String),
    List(Vec<Node>),
    Tuple(Vec<Node>),
    Dict(Vec<(Key, Node)>),
    /// Name and fields.
    Struct(String, Vec<(String, Node)>),
}

/// What an entry of the file was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Tensor,
    Float,
    Int,
    /// 1-d tensors that were lists or tuples of scalars.
    FloatList,
    IntList,
    FloatTuple,
    IntTuple,
}

const KINDS: [(Kind, &str); 7] = [
    (Kind::Tensor, "tensor"),
    (Kind::Float, "float"),
    (Kind::Int, "int"),
    (Kind::FloatList, "list of float"),
    (Kind::IntList, "list of int"),
    (Kind::FloatTuple, "tuple of float"),
    (Kind::IntTuple, "tuple of int"),
];

impl Kind {
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// Entries of the file by name, in order.
pub type Entries = indexmap::IndexMap<String, Tensor>;

/// Takes a value apart.
pub fn take_apart(value: &Value) -> Result<(Node, Entries)> {
    let mut entries = Entries::new();
    let node = node(value, &mut String::new(), 0, &mut entries)?;
    Ok((node, entries))
}

fn node(value: &Value, path: &mut String, depth: usize, entries: &mut Entries) -> Result<Node> {
    if depth > MAX_DEPTH {
        return Err(fail::too_deep());
    }
    let child = |path: &mut String, step: &str, value: &Value, entries: &mut Entries| -> Result<Node> {
        let end = path.len();
        push_step(path, step);
        let made = node(value, path, depth + 1, entries)?;
        path.truncate(end);
        Ok(made)
    };
    Ok(match value {
        Value::None => Node::None,
        Value::Bool(b) => Node::Bool(*b),
        Value::Str(s) => Node::Str(s.to_string()),
        Value::DType(d) => Node::DType(*d),
        Value::Range(r) => Node::Range(r.start, r.stop, r.step),
        Value::Fn(_) | Value::Builtin(_) | Value::Prim(_) | Value::Native(_) => Node::Fn(show::repr(value)),
        Value::Int(i) => add(entries, path, Kind::Int, int_tensor(&[], vec![*i])?),
        Value::Float(_, x) => add(entries, path, Kind::Float, f64_tensor(&[], vec![*x])?),
        Value::Tensor(_, t) => add(entries, path, Kind::Tensor, (**t).clone()),
        Value::Batched(_, b) => return node(&b.whole, path, depth + 1, entries),
        Value::List(items) | Value::Tuple(items) => {
            let is_list = matches!(value, Value::List(_));
            if let Some((tensor, of_floats)) = scalars(items)? {
                let kind = match (is_list, of_floats) {
                    (true, true) => Kind::FloatList,
                    (true, false) => Kind::IntList,
                    (false, true) => Kind::FloatTuple,
                    (false, false) => Kind::IntTuple,
                };
                return Ok(add(entries, path, kind, tensor));
            }
            let mut nodes = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                nodes.push(child(path, &i.to_string(), item, entries)?);
            }
            if is_list { Node::List(nodes) } else { Node::Tuple(nodes) }
        }
        Value::Dict(dict) => {
            let mut nodes = Vec::with_capacity(dict.len());
            for (key, item) in dict.iter() {
                nodes.push((key.clone(), child(path, &key_step(key), item, entries)?));
            }
            Node::Dict(nodes)
        }
        Value::Struct(s) => {
            let mut nodes = Vec::with_capacity(s.fields.len());
            for (field, item) in s.def.fields.iter().zip(&s.fields) {
                let name = field.name.name();
                nodes.push((name.to_string(), child(path, &name, item, entries)?));
            }
            Node::Struct(s.def.name.to_string(), nodes)
        }
        Value::StructType(_) | Value::Module(_) => {
            let place = if path.is_empty() { String::new() } else { format!(" at {path}") };
            let kind = fail::with_article(&value.type_name());
            return Err(Error::new(fail::BAD_SAFETENSORS, format!("{kind} can't be saved{place}")));
        }
    })
}

/// A list of only floats or only ints as one tensor; true for floats.
fn scalars(items: &[Value]) -> Result<Option<(Tensor, bool)>> {
    let shape = &[items.len()];
    match items.first() {
        Some(Value::Float(..)) => {
            let data: Option<Vec<f64>> =
                items.iter().map(|v| if let Value::Float(_, x) = v { Some(*x) } else { None }).collect();
            data.map(|data| Ok((f64_tensor(shape, data)?, true))).transpose()
        }
        Some(Value::Int(_)) => {
            let data: Option<Vec<i64>> =
                items.iter().map(|v| if let Value::Int(i) = v { Some(*i) } else { None }).collect();
            data.map(|data| Ok((int_tensor(shape, data)?, false))).transpose()
        }
        _ => Ok(None),
    }
}

/// The format keeps this name for itself.
pub const METADATA: &str = "__metadata__";

fn add(entries: &mut Entries, path: &str, kind: Kind, tensor: Tensor) -> Node {
    let path = if path.is_empty() { super::structures::ROOT } else { path };
    let name = unused(path, |name| name == METADATA || entries.contains_key(name));
    entries.insert(name.clone(), tensor);
    Node::Entry(kind, name)
}

/// The tree as JSON text.
pub fn to_json(node: &Node) -> String {
    let mut out = vec![];
    flatten(node, &mut out);
    Json::Array(out).to_string()
}

fn flatten(node: &Node, out: &mut Vec<Json>) {
    let row = |parts: Vec<Json>| Json::Array(parts);
    match node {
        Node::None => out.push(row(vec!["none".into()])),
        Node::Bool(b) => out.push(row(vec!["bool".into(), (*b).into()])),
        Node::Str(s) => out.push(row(vec!["str".into(), s.as_str().into()])),
        Node::DType(d) => out.push(row(vec!["dtype".into(), d.to_string().into()])),
        Node::Fn(name) => out.push(row(vec!["fn".into(), name.as_str().into()])),
        Node::Range(a, b, c) => out.push(row(vec!["range".into(), (*a).into(), (*b).into(), (*c).into()])),
        Node::Entry(kind, name) => out.push(row(vec![kind.name().into(), name.as_str().into()])),
        Node::List(items) | Node::Tuple(items) => {
            let word = if matches!(node, Node::List(_)) { "list" } else { "tuple" };
            out.push(row(vec![word.into(), items.len().into()]));
            items.iter().for_each(|item| flatten(item, out));
        }
        Node::Dict(items) => {
            let keys = items.iter().map(|(key, _)| match key {
                Key::Int(i) => Json::from(*i),
                Key::Str(s) => Json::from(&**s),
            });
            out.push(row(vec!["dict".into(), Json::Array(keys.collect())]));
            items.iter().for_each(|(_, item)| flatten(item, out));
        }
        Node::Struct(name, fields) => {
            let names = fields.iter().map(|(name, _)| Json::from(name.as_str())).collect();
            out.push(row(vec!["struct".into(), name.as_str().into(), Json::Array(names)]));
            fields.iter().for_each(|(_, item)| flatten(item, out));
        }
    }
}

/// Reads what [`to_json`] wrote; `None` if it is not that.
pub fn from_json(text: &str) -> Option<Node> {
    let Json::Array(rows) = serde_json::from_str(text).ok()? else { return None };
    let mut rows = rows.iter();
    let node = unflatten(&mut rows, 0)?;
    rows.next().is_none().then_some(node)
}

fn unflatten(rows: &mut std::slice::Iter<'_, Json>, depth: usize) -> Option<Node> {
    if depth > MAX_DEPTH {
        return None;
    }
    let row = rows.next()?.as_array()?;
    let (word, rest) = row.split_first()?;
    Some(match (word.as_str()?, rest) {
        ("none", []) => Node::None,
        ("bool", [b]) => Node::Bool(b.as_bool()?),
        ("str", [s]) => Node::Str(s.as_str()?.to_string()),
        ("dtype", [d]) => Node::DType(dtype(d.as_str()?)?),
        ("fn", [name]) => Node::Fn(name.as_str()?.to_string()),
        ("range", [a, b, c]) => {
            let (a, b, c) = (a.as_i64()?, b.as_i64()?, c.as_i64()?);
            if c == 0 {
                return None;
            }
            Node::Range(a, b, c)
        }
        ("list" | "tuple", [n]) => {
            // Not trusted for an allocation: each node needs a row.
            let n = n.as_u64()?;
            let mut items = vec![];
            for _ in 0..n {
                items.push(unflatten(rows, depth + 1)?);
            }
            if word.as_str() == Some("list") { Node::List(items) } else { Node::Tuple(items) }
        }
        ("dict", [keys]) => {
            let mut items = vec![];
            for key in keys.as_array()? {
                let key = match key {
                    Json::String(s) => Key::Str(s.as_str().into()),
                    other => Key::Int(other.as_i64()?),
                };
                items.push((key, unflatten(rows, depth + 1)?));
            }
            Node::Dict(items)
        }
        ("struct", [name, names]) => {
            let mut fields = vec![];
            for field in names.as_array()? {
                fields.push((field.as_str()?.to_string(), unflatten(rows, depth + 1)?));
            }
            Node::Struct(name.as_str()?.to_string(), fields)
        }
        (word, [name]) => {
            let kind = KINDS.iter().find(|(_, known)| *known == word)?.0;
            Node::Entry(kind, name.as_str()?.to_string())
        }
        _ => return None,
    })
}

fn dtype(name: &str) -> Option<DType> {
    [DType::Bool, DType::Int, DType::F32, DType::F64].into_iter().find(|d| d.to_string() == name)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::builtins::structures::tests::{floats, make_struct};
    use crate::value::Dict;

    fn sample() -> Value {
        let layer = make_struct("Layer", &[("w", floats(&[1.0, 2.0])), ("name", Value::str("a"))]);
        Value::Dict(Rc::new(Dict::from_iter([
            (Key::Str("layers".into()), Value::list(vec![layer, Value::None])),
            (Key::Int(3), Value::tuple(vec![Value::Int(1), Value::float(2.0)])),
            (Key::Str("losses".into()), Value::list(vec![Value::float(1.0), Value::float(2.0)])),
        ])))
    }

    #[test]
    fn entries_are_named_by_path() {
        let (_, entries) = take_apart(&sample()).unwrap();
        let names: Vec<_> = entries.keys().map(String::as_str).collect();
        assert_eq!(names, ["layers.0.w", "3.0", "3.1", "losses"]);
        let (node, entries) = take_apart(&Value::float(1.5)).unwrap();
        assert_eq!(node, Node::Entry(Kind::Float, "value".to_string()));
        assert_eq!(entries["value"].shape(), &[] as &[usize]);
    }

    #[test]
    fn json_reads_back() {
        let (node, _) = take_apart(&sample()).unwrap();
        assert_eq!(from_json(&to_json(&node)), Some(node));
        for node in
            [Node::Range(0, 3, 1), Node::DType(DType::F64), Node::Fn("<fn relu(x)>".into()), Node::Tuple(vec![])]
        {
            assert_eq!(from_json(&to_json(&node)), Some(node));
        }
    }

    #[test]
    fn foreign_json_is_not_a_tree() {
        for text in [
            "",
            "{}",
            "[]",
            "[[]]",
            r#"[["list",2],["none"]]"#,
            r#"[["none"],["none"]]"#,
            r#"[["what","x"]]"#,
            r#"[["list",18446744073709551615]]"#,
            r#"[["range",0,1,0]]"#,
        ] {
            assert_eq!(from_json(text), None, "{text}");
        }
        let deep = format!("[{}[\"none\"]]", "[\"list\",1],".repeat(100_000));
        assert_eq!(from_json(&deep), None);
    }

    #[test]
    fn keys_with_dots_do_not_clash() {
        let inner = Value::Dict(Rc::new(Dict::from_iter([(Key::Str("b".into()), Value::Int(1))])));
        let dict = Dict::from_iter([
            (Key::Str("a".into()), inner),
            (Key::Str("a.b".into()), Value::Int(2)),
            (Key::Str("__metadata__".into()), Value::Int(3)),
        ]);
        let (_, entries) = take_apart(&Value::Dict(Rc::new(dict))).unwrap();
        let names: Vec<_> = entries.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.b", "a.b#2", "__metadata__#2"]);
    }
}
