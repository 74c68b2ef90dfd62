//! Values as text. [`display`] is what `print` and `str` give (a str bare); [`repr`] is what stands inside structures and in
//! the REPL (a str quoted). Numbers and tensors come from `tensor/format.rs`.
//!
//! What has a notation in the language is written in it, so it reads back: `(1,)`, `list(1.0)`, `dict(k: "v")`,
//! `Point(x: 1.0)`. A structure stands on one line unless a part of it (a matrix) needs several; then each part starts
//! a line of its own. A dict with a key that can't be written `key: value` is written as `dict(list((1, "a")))`.

use crate::ops::prim::{ParamKind, Sig};
use crate::tensor::format::format_float;
use crate::value::{Closure, Dict, Key, RangeValue, StructValue, Value};

/// Structures deeper than this are cut with `...`.
const MAX_DEPTH: usize = 200;
/// Indentation of the parts of a structure that needs several lines.
const INDENT: &str = "    ";

/// As `print` and `str` show it.
pub fn display(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        other => repr(other),
    }
}

/// As it is shown inside of structures.
pub fn repr(value: &Value) -> String {
    text(value, 0, &mut |_| None)
}

/// The same with other texts for what `leaf` gives one for.
pub fn with_leaves(value: &Value, leaf: Leaf) -> String {
    text(value, 0, leaf)
}

/// Gives the text of a part, or leaves it to its kind.
type Leaf<'a> = &'a mut dyn FnMut(&Value) -> Option<String>;

/// In a few words, for remarks in messages: a scalar as it is, a long str cut, a tensor by dtype and shape, a structure by its
/// size.
pub fn brief(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Str(s) if s.chars().count() > SHOWN => {
            let start: String = s.chars().take(SHOWN).collect();
            format!("{}...", quote(&start))
        }
        Value::Tensor(..) | Value::Struct(_) => value.type_name(),
        Value::Tuple(items) | Value::List(items) if items.len() > 4 || !items.iter().all(is_short) => {
            format!("a {} of {}", value.type_name(), items.len())
        }
        Value::Dict(entries) if !entries.is_empty() => {
            format!("a dict of {} entr{}", entries.len(), if entries.len() == 1 { "y" } else { "ies" })
        }
        other => repr(other),
    }
}

fn is_short(value: &Value) -> bool {
    matches!(value, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(..))
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&repr(self))
    }
}

fn text(value: &Value, depth: usize, leaf: Leaf) -> String {
    if depth > MAX_DEPTH {
        return "...".to_string();
    }
    if let Some(text) = leaf(value) {
        return text;
    }
    match value {
        Value::None => "none".to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(_, x) => format_float(*x),
        Value::Tensor(_, t) => t.to_text(),
        Value::Batched(_, b) => format!("{} in each of {}", value.type_name(), text(&b.whole, depth + 1, leaf)),
        Value::Str(s) => quote(s),
        Value::Tuple(items) => tuple(items, depth, leaf),
        Value::List(items) => call("list", positional(items, depth, leaf)),
        Value::Dict(entries) => dict(entries, depth, leaf),
        Value::Struct(s) => structure(s, depth, leaf),
        Value::Range(r) => range(r),
        Value::Fn(closure) => function(closure),
        Value::Builtin(b) => format!("<fn {}({})>", b.name, parameters(&b.sig)),
        Value::Prim(p) => format!("<fn {}({})>", p.name, parameters(&p.sig)),
        Value::Native(f) => format!("<fn {}>", f.0.describe()),
        Value::DType(d) => d.to_string(),
        Value::StructType(def) => format!("<struct {}>", def.name),
        Value::Module(module) => format!("<module {}>", module.name),
    }
}

/// A part of a structure: what stands before its value, and the value.
type Part = (String, String);

fn positional(items: &[Value], depth: usize, leaf: Leaf) -> Vec<Part> {
    items.iter().map(|item| (String::new(), text(item, depth + 1, leaf))).collect()
}

/// `head(parts)`, on one line if every part is.
fn call(head: &str, parts: Vec<Part>) -> String {
    enclose(head, parts, "")
}

/// `(x,)`: without the comma it would be x.
fn tuple(items: &[Value], depth: usize, leaf: Leaf) -> String {
    enclose("", positional(items, depth, leaf), if items.len() == 1 { "," } else { "" })
}

/// `end` stands after the last part.
fn enclose(head: &str, parts: Vec<Part>, end: &str) -> String {
    let broken = parts.iter().any(|(_, value)| value.contains('\n'));
    let count = parts.len();
    let mut out = format!("{head}(");
    for (i, (label, value)) in parts.into_iter().enumerate() {
        if broken {
            out.push('\n');
            out.push_str(INDENT);
        } else if i > 0 {
            out.push(' ');
        }
        out.push_str(&label);
        if broken {
            // A matrix goes on under its own bracket, a structure under the start of its line.
            let margin = if value.starts_with('[') { label.chars().count() } else { 0 };
            out.push_str(&value.replace('\n', &format!("\n{INDENT}{}", " ".repeat(margin))));
        } else {
            out.push_str(&value);
        }
        out.push_str(if i + 1 < count { "," } else { end });
    }
    if broken {
        out.push('\n');
    }
    out.push(')');
    out
}

fn dict(entries: &Dict, depth: usize, leaf: Leaf) -> String {
    let named = entries.keys().all(|key| matches!(key, Key::Str(name) if is_name(name)));
    let parts = entries.iter().map(|(entry, value)| {
        let value = text(value, depth + 1, leaf);
        match entry {
            Key::Str(name) if named => (format!("{name}: "), value),
            _ => (String::new(), call("", vec![(String::new(), key(entry)), (String::new(), value)])),
        }
    });
    let parts: Vec<Part> = parts.collect();
    if named { call("dict", parts) } else { call("dict", vec![(String::new(), call("list", parts))]) }
}

fn structure(s: &StructValue, depth: usize, leaf: Leaf) -> String {
    let fields = s.def.fields.iter().zip(&s.fields);
    let parts = fields.map(|(field, value)| (format!("{}: ", field.name), text(value, depth + 1, leaf))).collect();
    call(&s.def.name, parts)
}

fn range(r: &RangeValue) -> String {
    if r.step == 1 { format!("{}..{}", r.start, r.stop) } else { format!("range({}, {}, {})", r.start, r.stop, r.step) }
}

/// `<fn area(r, scale)>`; a lambda is `<fn(x)>`.
fn function(closure: &Closure) -> String {
    let chunk = &closure.chunk;
    let names = chunk.params.iter().enumerate().map(|(i, param)| {
        let inout = i < 64 && chunk.inout >> i & 1 != 0;
        if inout { format!("inout {}", param.name) } else { param.name.to_string() }
    });
    let names = names.collect::<Vec<_>>().join(", ");
    // `<lambda>`
    if chunk.name.starts_with('<') { format!("<fn({names})>") } else { format!("<fn {}({names})>", chunk.name) }
}

/// `clamp(x, lo, hi)`: how a host function is called.
pub fn signature(name: &str, sig: Sig) -> String {
    format!("{name}({})", parameters(&sig))
}

fn parameters(sig: &Sig) -> String {
    let names = sig.params.iter().map(|p| match p.kind {
        ParamKind::Inout => format!("inout {}", p.name),
        ParamKind::Rest | ParamKind::Variadic => format!("{}...", p.name),
        ParamKind::Required | ParamKind::Optional(_) => p.name.to_string(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// A key as messages show it: `"lr"`, `3`.
pub fn key(key: &Key) -> String {
    match key {
        Key::Int(i) => i.to_string(),
        Key::Str(name) => quote(name),
    }
}

/// A str as a program writes it.
pub fn quote(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

const KEYWORDS: &str = "let var fn struct impl if else while for in break continue return import from as param test try \
                        catch and or not true false none inout nograd";

/// True if the text can stand as a name in a program.
fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
        && !KEYWORDS.split_whitespace().any(|word| word == text)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::bytecode::chunk::{Chunk, ParamInfo};
    use crate::symbol::Symbol;
    use crate::tensor::DType;
    use crate::tensor::vecs::float_tensor;
    use crate::value::{FieldDef, StructDef};

    fn point(values: Vec<Value>) -> Value {
        let names = ["w", "b"];
        let fields = names.map(|n| FieldDef { name: Symbol::new(n), nograd: false, has_default: false, exact: None });
        let def = StructDef {
            name: "Dense".into(),
            fields: fields.into(),
            methods: RefCell::default(),
            constructor: RefCell::new(None),
            call: Default::default(),
        };
        Value::Struct(Rc::new(StructValue { def: Rc::new(def), fields: values }))
    }

    fn matrix() -> Value {
        Value::tensor(float_tensor(DType::F32, &[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap())
    }

    #[test]
    fn strings_are_bare_at_the_top_and_quoted_inside() {
        assert_eq!(display(&Value::str("a\"b")), "a\"b");
        assert_eq!(repr(&Value::str("a\"b\n\\\u{1}")), r#""a\"b\n\\\u{1}""#);
        assert_eq!(display(&Value::tuple(vec![Value::Int(1), Value::str("a")])), r#"(1, "a")"#);
    }

    #[test]
    fn structures_as_they_are_written() {
        assert_eq!(display(&Value::tuple(vec![Value::Int(1)])), "(1,)");
        assert_eq!(display(&Value::tuple(vec![])), "()");
        assert_eq!(display(&Value::list(vec![Value::float(1.0)])), "list(1.0)");
        assert_eq!(display(&Value::list(vec![])), "list()");
        assert_eq!(display(&Value::None), "none");
        assert_eq!(display(&Value::Bool(true)), "true");
        assert_eq!(display(&Value::Range(Rc::new(RangeValue { start: 0, stop: 3, step: 1 }))), "0..3");
        assert_eq!(display(&point(vec![Value::float(1.0), Value::None])), "Dense(w: 1.0, b: none)");
    }

    #[test]
    fn dicts_by_name_if_they_can() {
        let entry = |k: Key, v: Value| Value::Dict(Rc::new(Dict::from_iter([(k, v)])));
        assert_eq!(display(&entry(Key::Str("k".into()), Value::str("v"))), r#"dict(k: "v")"#);
        assert_eq!(display(&entry(Key::Int(3), Value::str("v"))), r#"dict(list((3, "v")))"#);
        assert_eq!(display(&entry(Key::Str("a b".into()), Value::Int(1))), r#"dict(list(("a b", 1)))"#);
        assert_eq!(display(&entry(Key::Str("for".into()), Value::Int(1))), r#"dict(list(("for", 1)))"#);
        assert_eq!(display(&Value::Dict(Rc::default())), "dict()");
    }

    #[test]
    fn matrices_inside_go_on_under_their_bracket() {
        let shown = display(&point(vec![matrix(), Value::float(0.5)]));
        assert_eq!(shown, "Dense(\n    w: [[1.0, 2.0],\n        [3.0, 4.0]],\n    b: 0.5\n)");
        let inner = point(vec![matrix(), Value::Int(1)]);
        let shown = display(&Value::list(vec![inner]));
        assert_eq!(
            shown,
            "list(\n    Dense(\n        w: [[1.0, 2.0],\n            [3.0, 4.0]],\n        b: 1\n    )\n)"
        );
        assert_eq!(display(&Value::tuple(vec![matrix()])), "(\n    [[1.0, 2.0],\n     [3.0, 4.0]],\n)");
    }

    #[test]
    fn functions_by_name_and_parameters() {
        let shown = |name: &str| {
            let param = |name: &str| ParamInfo { name: Symbol::new(name), has_default: false };
            let params = vec![param("r"), param("scale")];
            let chunk = Chunk { name: name.into(), params, inout: 2, ..Chunk::default() };
            display(&Value::Fn(Rc::new(Closure { chunk: Rc::new(chunk), captures: vec![] })))
        };
        assert_eq!(shown("area"), "<fn area(r, inout scale)>");
        assert_eq!(shown("<lambda>"), "<fn(r, inout scale)>");
    }

    #[test]
    fn brief_is_brief() {
        assert_eq!(brief(&Value::tuple(vec![Value::Int(2), Value::Int(3)])), "(2, 3)");
        assert_eq!(brief(&Value::list(vec![matrix()])), "a list of 1");
        assert_eq!(brief(&matrix()), "f32[2, 2]");
        assert_eq!(brief(&Value::str("ab")), "\"ab\"");
        assert!(brief(&Value::str("a".repeat(1000))).len() < 50);
    }

    #[test]
    fn deep_nesting_is_cut() {
        let mut value = Value::Int(1);
        for _ in 0..1000 {
            value = Value::tuple(vec![value]);
        }
        assert!(display(&value).contains("..."));
    }
}
