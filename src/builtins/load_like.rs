//! Loading into a known structure: `io.load(path, like: model)`.
//!
//! In: a file that was read, and a value. Out: a value of the same structure, shapes and dtypes with the file's content. Functions come from
//! `like`. Of a file without dlang's structure the entries are found by path (`layers.0.w`); there numbers, strs and the like that
//! are missing come from `like` too, tensors must all be there, and all entries must be used.

use std::rc::Rc;

use crate::builtins::fail;
use crate::builtins::safetensors::{File, plain_value, scalar_or_tensor};
use crate::builtins::saved::{Kind, Node};
use crate::builtins::structures::{ROOT, form, key_step, push_step};
use crate::error::{Error, Result};
use crate::show;
use crate::tensor::show_shape;
use crate::types::size::Num;
use crate::types::ty::{DictTy, ListTy, StructTy, Ty};
use crate::value::{Dict, StructValue, Value};

/// The file's content in the form of `like`.
pub fn load_like(file: &File, like: &Value) -> Result<Value> {
    let mut reader = Reader { file, path: String::new(), used: 0 };
    let value = match &file.tree {
        Some(tree) => reader.by_tree(like, tree, 0)?,
        None => reader.by_name(like, 0)?,
    };
    if file.tree.is_none() && reader.used < file.entries.len() {
        return Err(reader.unused(like));
    }
    Ok(value)
}

struct Reader<'a> {
    file: &'a File,
    /// Of the part that is being read.
    path: String,
    /// Entries read so far, in a file without a tree.
    used: usize,
}

impl Reader<'_> {
    /// `layers.0.w: file has [64, 128], expected [64, 64]`
    #[cold]
    fn differs(&self, found: &str, expected: &str) -> Error {
        let path = if self.path.is_empty() { ROOT } else { &self.path };
        Error::new(fail::OTHER_STRUCTURE, format!("{path}: file has {found}, expected {expected}"))
            .note(format!("the file is {}", self.file.path))
    }

    fn within(&mut self, step: &str, read: impl FnOnce(&mut Self) -> Result<Value>) -> Result<Value> {
        let end = self.path.len();
        push_step(&mut self.path, step);
        let value = read(self)?;
        self.path.truncate(end);
        Ok(value)
    }

    fn by_tree(&mut self, like: &Value, node: &Node, depth: usize) -> Result<Value> {
        if depth > fail::MAX_DEPTH {
            return Err(fail::too_deep());
        }
        match (like, node) {
            (Value::List(items), Node::List(nodes)) if items.len() == nodes.len() => {
                Ok(Value::list(self.items(items, nodes, depth)?))
            }
            (Value::Tuple(items), Node::Tuple(nodes)) if items.len() == nodes.len() => {
                Ok(Value::tuple(self.items(items, nodes, depth)?))
            }
            (Value::List(items), Node::Entry(Kind::FloatList | Kind::IntList, name)) => {
                Ok(Value::list(self.scalars(items, name, "list")?))
            }
            (Value::Tuple(items), Node::Entry(Kind::FloatTuple | Kind::IntTuple, name)) => {
                Ok(Value::tuple(self.scalars(items, name, "tuple")?))
            }
            (Value::Dict(entries), Node::Dict(nodes)) => {
                if let Some((key, _)) = nodes.iter().find(|(key, _)| !entries.contains_key(key)) {
                    return Err(self.differs(&format!("the key {}", show::key(key)), "none of that name"));
                }
                let mut out = Dict::with_capacity(entries.len());
                for (key, item) in entries.iter() {
                    let Some((_, node)) = nodes.iter().find(|(other, _)| other == key) else {
                        return Err(self.differs(&format!("no key {}", show::key(key)), "one"));
                    };
                    let value = self.within(&key_step(key), |r| r.by_tree(item, node, depth + 1))?;
                    out.insert(key.clone(), value);
                }
                Ok(Value::Dict(out.into()))
            }
            (Value::Struct(s), Node::Struct(name, nodes)) if *s.def.name == **name => {
                if let Some((name, _)) = nodes.iter().find(|(n, _)| !s.def.fields.iter().any(|f| *f.name.name() == **n))
                {
                    return Err(self.differs(&format!("the field {name}"), "none of that name"));
                }
                let mut fields = Vec::with_capacity(s.fields.len());
                for (field, item) in s.def.fields.iter().zip(&s.fields) {
                    let name = field.name.name();
                    let Some((_, node)) = nodes.iter().find(|(other, _)| **other == *name) else {
                        return Err(self.differs(&format!("no field {name}"), "one"));
                    };
                    fields.push(self.within(&name, |r| r.by_tree(item, node, depth + 1))?);
                }
                Ok(Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields })))
            }
            (Value::Tensor(..) | Value::Float(..) | Value::Int(_), Node::Entry(kind, name)) if !kind.is_packed() => {
                self.checked(like, scalar_or_tensor(self.file, *kind, name)?)
            }
            (Value::Fn(_) | Value::Builtin(_) | Value::Prim(_) | Value::Native(_), Node::Fn(_)) => Ok(like.clone()),
            (Value::None, Node::None)
            | (Value::Bool(_), Node::Bool(_))
            | (Value::Str(_), Node::Str(_))
            | (Value::DType(_), Node::DType(_))
            | (Value::Range(_), Node::Range(..)) => Ok(plain_value(node)),
            _ => Err(self.differs(&self.node_form(node), &form(like))),
        }
    }

    fn items(&mut self, items: &[Value], nodes: &[Node], depth: usize) -> Result<Vec<Value>> {
        let parts = items.iter().zip(nodes).enumerate();
        parts.map(|(i, (item, node))| self.within(&i.to_string(), |r| r.by_tree(item, node, depth + 1))).collect()
    }

    /// A list or tuple of numbers that is one entry.
    fn scalars(&mut self, items: &[Value], name: &str, kind: &str) -> Result<Vec<Value>> {
        let found = self.file.scalars(name)?;
        if found.len() != items.len() {
            let error = self.differs(&format!("a {kind} of {}", found.len()), &format!("a {kind} of {}", items.len()));
            return Err(error);
        }
        let parts = items.iter().zip(found).enumerate();
        parts.map(|(i, (item, value))| self.within(&i.to_string(), |r| r.checked(item, value))).collect()
    }

    /// The number or tensor from the file, if it is of the kind, dtype and shape of `like`.
    fn checked(&self, like: &Value, found: Value) -> Result<Value> {
        match (like, &found) {
            (Value::Tensor(_, a), Value::Tensor(_, b)) if a.dtype() == b.dtype() => {
                if a.shape() == b.shape() {
                    return Ok(found);
                }
                Err(self.differs(&show_shape(b.shape()), &show_shape(a.shape())))
            }
            (Value::Float(..), Value::Float(..))
            | (Value::Int(_), Value::Int(_))
            | (Value::Bool(_), Value::Bool(_)) => Ok(found),
            _ => Err(self.differs(&form(&found), &form(like))),
        }
    }

    fn node_form(&self, node: &Node) -> String {
        let of = |kind: &str, n: usize| format!("a {kind} of {n}");
        match node {
            Node::List(items) => of("list", items.len()),
            Node::Tuple(items) => of("tuple", items.len()),
            Node::Dict(items) => {
                format!("a dict of {}", items.iter().map(|(key, _)| show::key(key)).collect::<Vec<_>>().join(", "))
            }
            Node::Struct(name, _) => name.clone(),
            Node::Fn(_) => "a function".to_string(),
            Node::Entry(kind, name) => match (kind, self.file.entries.get(name)) {
                (Kind::Tensor, Some(t)) => format!("{}{}", t.dtype(), show_shape(t.shape())),
                (Kind::FloatList | Kind::IntList, Some(t)) => of("list", t.len()),
                (Kind::FloatTuple | Kind::IntTuple, Some(t)) => of("tuple", t.len()),
                _ => fail::with_article(kind.name()),
            },
            plain => fail::with_article(&plain_value(plain).type_name()),
        }
    }

    /// The parts of `like` by their path, in a file without a tree.
    fn by_name(&mut self, like: &Value, depth: usize) -> Result<Value> {
        if depth > fail::MAX_DEPTH {
            return Err(fail::too_deep());
        }
        let mut each = |items: &[Value]| -> Result<Vec<Value>> {
            let parts = items.iter().enumerate();
            parts.map(|(i, item)| self.within(&i.to_string(), |r| r.by_name(item, depth + 1))).collect()
        };
        match like {
            Value::List(items) => Ok(Value::list(each(items)?)),
            Value::Tuple(items) => Ok(Value::tuple(each(items)?)),
            Value::Dict(entries) => {
                let mut out = Dict::with_capacity(entries.len());
                for (key, item) in entries.iter() {
                    out.insert(key.clone(), self.within(&key_step(key), |r| r.by_name(item, depth + 1))?);
                }
                Ok(Value::Dict(out.into()))
            }
            Value::Struct(s) => {
                let mut fields = Vec::with_capacity(s.fields.len());
                for (field, item) in s.def.fields.iter().zip(&s.fields) {
                    fields.push(self.within(&field.name.name(), |r| r.by_name(item, depth + 1))?);
                }
                Ok(Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields })))
            }
            leaf => self.leaf_by_name(leaf),
        }
    }

    fn leaf_by_name(&mut self, like: &Value) -> Result<Value> {
        let name = if self.path.is_empty() { ROOT } else { &self.path };
        match (like, self.file.entries.get(name)) {
            (Value::Tensor(..) | Value::Float(..) | Value::Int(_) | Value::Bool(_), Some(tensor)) => {
                self.used += 1;
                self.checked(like, Value::tensor(tensor.clone()))
            }
            (Value::Tensor(..), None) => Err(self.differs("nothing", &form(like)).note(self.names())),
            _ => Ok(like.clone()),
        }
    }

    fn names(&self) -> String {
        const SHOWN: usize = 10;
        let mut names: Vec<&str> = self.file.entries.keys().take(SHOWN).map(String::as_str).collect();
        if self.file.entries.len() > SHOWN {
            names.push("...");
        }
        format!("its entries are {}", names.join(", "))
    }

    /// The file has more than `like`.
    #[cold]
    fn unused(&self, like: &Value) -> Error {
        let mut known = std::collections::HashSet::new();
        let _ = super::structures::visit(like, &mut |leaf| {
            known.insert(leaf.path.to_string());
            Ok(())
        });
        let extra: Vec<&str> = self.file.entries.keys().filter(|n| !known.contains(*n)).map(String::as_str).collect();
        let shown = extra.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        Error::new(fail::OTHER_STRUCTURE, format!("the file has entries that are not expected: {shown}"))
            .note(format!("the file is {}", self.file.path))
            .help("load it without `like` and pick the entries by name")
    }
}

impl Kind {
    fn is_packed(self) -> bool {
        !matches!(self, Kind::Tensor | Kind::Float | Kind::Int)
    }
}

/// The type of what is loaded like a value of this type: structure and shapes are the same, numbers and strs may be others.
pub fn widened(ty: &Ty) -> Ty {
    let all = |items: &[Ty]| items.iter().map(widened).collect::<Vec<_>>();
    match ty {
        Ty::Bool(_) => Ty::Bool(None),
        Ty::Int(_) => Ty::Int(Num::Unknown),
        Ty::Str(_) => Ty::Str(None),
        Ty::DType(_) => Ty::DType(None),
        Ty::Tuple(items) => Ty::Tuple(Rc::new(all(items))),
        Ty::List(l) => Ty::List(Rc::new(ListTy {
            items: l.items.as_deref().map(all),
            element: widened(&l.element),
            filled: l.filled,
        })),
        Ty::Dict(d) => {
            let items = d.items.as_ref().map(|items| items.iter().map(|(k, t)| (k.clone(), widened(t))).collect());
            Ty::Dict(Rc::new(DictTy { items, value: widened(&d.value) }))
        }
        Ty::Struct(s) => Ty::Struct(Rc::new(StructTy { fields: all(&s.fields), ..(**s).clone() })),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::collections::values_equal;
    use crate::builtins::safetensors::save;
    use crate::builtins::scratch::Scratch;
    use crate::builtins::structures::tests::{floats, make_struct};
    use crate::value::Key;

    fn layer(w: Value) -> Value {
        make_struct("Layer", &[("w", w), ("n", Value::Int(3)), ("name", Value::str("a"))])
    }

    fn through(test: &str, value: &Value, like: &Value) -> Result<Value> {
        let dir = Scratch::new(test);
        let path = dir.path("m.safetensors");
        save(&path, value).unwrap();
        load_like(&File::read(&path).unwrap(), like)
    }

    fn message(test: &str, value: &Value, like: &Value) -> String {
        let error = through(test, value, like).unwrap_err();
        assert_eq!(error.0.code, fail::OTHER_STRUCTURE);
        error.0.message
    }

    #[test]
    fn structs_come_back_as_structs() {
        let value = Value::list(vec![layer(floats(&[1.0, 2.0])), Value::tuple(vec![Value::float(0.5)])]);
        // The same definition, other content.
        let Value::List(items) = &value else { panic!() };
        let Value::Struct(s) = &items[0] else { panic!() };
        let fields = vec![floats(&[0.0, 0.0]), Value::Int(0), Value::str("")];
        let blank = Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields }));
        let like = Value::list(vec![blank, Value::tuple(vec![Value::float(0.0)])]);
        let back = through("like", &value, &like).unwrap();
        assert!(values_equal(&back, &value).unwrap(), "{}", show::repr(&back));
    }

    #[test]
    fn differences_are_named_by_path() {
        let value = Value::list(vec![layer(floats(&[1.0, 2.0]))]);
        let like = Value::list(vec![layer(floats(&[1.0, 2.0, 3.0]))]);
        assert_eq!(message("shape", &value, &like), "0.w: file has [2], expected [3]");
        let like = Value::list(vec![layer(Value::float(1.0))]);
        assert_eq!(message("kind", &value, &like), "0.w: file has f32[2], expected a float");
        let like = Value::list(vec![make_struct("Layer", &[("w", floats(&[1.0, 2.0]))])]);
        assert_eq!(message("field", &value, &like), "0: file has the field n, expected none of that name");
        assert_eq!(message("count", &value, &Value::list(vec![])), "value: file has a list of 1, expected a list of 0");
        let like = Value::list(vec![make_struct("Other", &[])]);
        assert_eq!(message("name", &value, &like), "0: file has Layer, expected Other");
        let ints = Value::list(vec![Value::Int(1), Value::Int(2)]);
        let mixed = Value::list(vec![Value::Int(1), Value::float(2.0)]);
        assert_eq!(message("mixed", &ints, &mixed), "1: file has an int, expected a float");
    }

    #[test]
    fn entries_of_other_programs_go_by_name() {
        let dict = |w: Value| Value::Dict(Dict::from_iter([(Key::Str("w".into()), w)]).into());
        let entries = crate::builtins::saved::take_apart(&dict(floats(&[1.0, 2.0]))).unwrap().1;
        let file = File { path: "m".to_string(), entries, tree: None };
        let like = make_struct("Layer", &[("w", floats(&[0.0, 0.0])), ("n", Value::Int(3))]);
        assert_eq!(show::repr(&load_like(&file, &like).unwrap()), "Layer(w: [1.0, 2.0], n: 3)");
        let error = load_like(&file, &dict(floats(&[0.0]))).unwrap_err();
        assert_eq!(error.0.message, "w: file has [2], expected [1]");
        let error = load_like(&file, &make_struct("V", &[("v", floats(&[0.0]))])).unwrap_err();
        assert_eq!(error.0.message, "v: file has nothing, expected f32[1]");
        let error = load_like(&file, &Value::Int(1)).unwrap_err();
        assert!(error.0.message.ends_with("not expected: w"));
    }

    #[test]
    fn known_numbers_are_forgotten() {
        let ty = Ty::Tuple(Rc::new(vec![Ty::Int(Num::Known(3)), Ty::tensor(crate::tensor::DType::F32, &[2])]));
        let expected = Ty::Tuple(Rc::new(vec![Ty::Int(Num::Unknown), Ty::tensor(crate::tensor::DType::F32, &[2])]));
        assert_eq!(widened(&ty), expected);
    }
}
