//! JSON: `json_parse` and `json_encode`.
//!
//! Reading: see [`json_reader`](crate::builtins::json_reader); floats of tensors are of the default dtype.
//! Writing: tensors, tuples, lists and ranges become (nested) arrays, dicts and structs objects, `none` null; floats are the shortest
//! text that reads back as the same float (f32 in an f32 tensor). NaN and infinity are errors: JSON can't say them.

use serde_json::Value as Json;

use crate::builtins::fail::{self, arity};
use crate::builtins::json_reader::{self, Failure};
use crate::builtins::{Builtin, infer};
use crate::error::{Error, Result};
use crate::ops::prim::{Sig, req};
use crate::show;
use crate::tensor::{DType, Tensor};
use crate::types::ty::Ty;
use crate::value::{Key, Value};

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&PARSE, &ENCODE];

static PARSE: Builtin = Builtin {
    name: "json_parse",
    doc: "The value that a JSON text describes: objects as dicts, rectangular arrays of numbers as tensors, other arrays as lists, \
          null as `none`. `json_parse(\"{\\\"a\\\": [1, 2]}\")` is `dict(a: [1, 2])`.",
    sig: Sig { params: &[req("text")] },
    infer: |_| Ok(Ty::Any),
    run: |vm, args| match args {
        [Value::Str(text)] => parse(text, vm.cx.env.dtype),
        [other] => Err(fail::wrong_kind("json_parse", 0, "a str", other)),
        _ => Err(arity("json_parse")),
    },
};

static ENCODE: Builtin = Builtin {
    name: "json_encode",
    doc: "The value as JSON on one line: tensors, tuples and lists as arrays, structs and dicts as objects, `none` as null, floats with \
          full precision. `json_encode(dict(a: [1, 2]))` is `{\"a\":[1,2]}`.",
    sig: Sig { params: &[req("value")] },
    infer: infer::str,
    run: |_, args| match args {
        [value] => encode(value).map(Value::str),
        _ => Err(arity("json_encode")),
    },
};

/// Reads JSON; floats in arrays get `dtype`.
pub fn parse(text: &str, dtype: DType) -> Result<Value> {
    json_reader::read(text, dtype).map_err(|failure| match failure {
        Failure::Malformed(e) => malformed(text, &e),
        Failure::Unmakeable(e) => e,
    })
}

#[cold]
fn malformed(text: &str, e: &serde_json::Error) -> Error {
    let said = e.to_string();
    // serde_json puts the place at the end; ours goes to the front.
    let what = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
    let what = if what == "recursion limit exceeded" { "more than 127 levels of nesting" } else { what };
    let error = Error::new(fail::BAD_JSON, format!("not JSON: line {}, column {}: {what}", e.line(), e.column()));
    match text.lines().nth(e.line().saturating_sub(1)) {
        Some(line) if !line.trim().is_empty() => {
            let from = e.column().saturating_sub(30);
            let near: String = line.chars().skip(from).take(60).collect();
            error.note(format!("near {}", show::quote(&near)))
        }
        _ => error,
    }
}

/// Writes JSON on one line.
pub fn encode(value: &Value) -> Result<String> {
    let mut out = String::new();
    write(&mut out, value, 0).map_err(Unwritable::into_error)?;
    Ok(out)
}

/// What JSON can't say, and the way to it from the outside, innermost step first.
struct Unwritable {
    what: String,
    help: Option<&'static str>,
    steps: Vec<String>,
    too_deep: bool,
}

impl Unwritable {
    fn new(what: impl Into<String>, help: Option<&'static str>) -> Unwritable {
        Unwritable { what: what.into(), help, steps: vec![], too_deep: false }
    }

    fn within(mut self, step: impl Into<String>) -> Unwritable {
        self.steps.push(step.into());
        self
    }

    #[cold]
    fn into_error(self) -> Error {
        if self.too_deep {
            return fail::too_deep();
        }
        let mut path: Vec<String> = self.steps;
        path.reverse();
        let place = if path.is_empty() { String::new() } else { format!(" at {}", path.join(".")) };
        let error = Error::new(fail::BAD_JSON, format!("JSON has no way to write {}{place}", self.what));
        match self.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

type Written = std::result::Result<(), Unwritable>;

fn write(out: &mut String, value: &Value, depth: usize) -> Written {
    if depth > fail::MAX_DEPTH {
        return Err(Unwritable { too_deep: true, ..Unwritable::new("", None) });
    }
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(i) => out.push_str(&i.to_string()),
        Value::Float(_, x) => write_float(out, *x, serde_json::to_string(x))?,
        Value::Str(s) => write_text(out, s),
        Value::DType(d) => write_text(out, &d.to_string()),
        Value::Tensor(_, t) => write_tensor(out, t)?,
        Value::Batched(_, b) => write(out, &b.whole, depth + 1)?,
        Value::Tuple(items) | Value::List(items) => {
            let parts = items.iter().enumerate();
            let write_part = |out: &mut String, (i, item): (usize, &Value)| {
                write(out, item, depth + 1).map_err(|e| e.within(i.to_string()))
            };
            enclosed(out, ['[', ']'], parts, write_part)?;
        }
        Value::Range(r) => enclosed(out, ['[', ']'], (0..r.len()).map(|i| r.at(i)), |out, i| {
            out.push_str(&i.to_string());
            Ok(())
        })?,
        Value::Dict(entries) => enclosed(out, ['{', '}'], entries.iter(), |out, (key, value)| {
            let name = match key {
                Key::Str(name) => name.to_string(),
                Key::Int(i) => i.to_string(),
            };
            write_text(out, &name);
            out.push(':');
            write(out, value, depth + 1).map_err(|e| e.within(name))
        })?,
        Value::Struct(s) => enclosed(out, ['{', '}'], s.def.fields.iter().zip(&s.fields), |out, (field, value)| {
            write_text(out, &field.name.name());
            out.push(':');
            write(out, value, depth + 1).map_err(|e| e.within(&*field.name.name()))
        })?,
        Value::Fn(_) | Value::Builtin(_) | Value::Prim(_) | Value::Native(_) => {
            return Err(Unwritable::new("a function", None));
        }
        Value::StructType(_) => return Err(Unwritable::new("a struct type", None)),
        Value::Module(_) => return Err(Unwritable::new("a module", None)),
    }
    Ok(())
}

fn enclosed<T>(
    out: &mut String,
    [open, close]: [char; 2],
    parts: impl Iterator<Item = T>,
    mut write_part: impl FnMut(&mut String, T) -> Written,
) -> Written {
    out.push(open);
    for (i, part) in parts.enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_part(out, part)?;
    }
    out.push(close);
    Ok(())
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&Json::from(text).to_string());
}

/// `text` is made from the float in its own width: what is shortest depends on it.
fn write_float(out: &mut String, x: f64, text: serde_json::Result<String>) -> Written {
    if !x.is_finite() {
        let help = "replace it first, for example by none or by a str";
        return Err(Unwritable::new(show::display(&Value::float(x)), Some(help)));
    }
    match text {
        Ok(text) => out.push_str(&text),
        Err(e) => return Err(Unwritable::new(e.to_string(), None)),
    }
    Ok(())
}

fn write_tensor(out: &mut String, t: &Tensor) -> Written {
    let shape = t.shape().to_vec();
    let push = |out: &mut String, text: &dyn std::fmt::Display| {
        out.push_str(&text.to_string());
        Ok(())
    };
    match t {
        Tensor::Bool(a) => write_rows(out, &shape, &mut a.iter(), &mut |out, x| push(out, x)),
        Tensor::Int(a) => write_rows(out, &shape, &mut a.iter(), &mut |out, x| push(out, x)),
        Tensor::F32(a) => write_rows(out, &shape, &mut a.iter(), &mut |out, x| {
            write_float(out, f64::from(*x), serde_json::to_string(x))
        }),
        Tensor::F64(a) => {
            write_rows(out, &shape, &mut a.iter(), &mut |out, x| write_float(out, *x, serde_json::to_string(x)))
        }
    }
}

fn write_rows<T>(
    out: &mut String,
    shape: &[usize],
    elements: &mut impl Iterator<Item = T>,
    write_element: &mut impl FnMut(&mut String, T) -> Written,
) -> Written {
    let Some((&n, inner)) = shape.split_first() else {
        return elements.next().map_or(Ok(()), |x| write_element(out, x));
    };
    enclosed(out, ['[', ']'], 0..n, |out, i| {
        write_rows(out, inner, elements, write_element).map_err(|e| e.within(i.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::collections::values_equal;
    use crate::show::display;
    use crate::tensor::vecs::{f64_tensor, float_tensor};
    use crate::value::Dict;

    fn read(text: &str) -> Value {
        parse(text, DType::F32).unwrap()
    }

    #[test]
    fn arrays_of_numbers_are_tensors() {
        assert_eq!(read("[1, 2, 3]").type_name(), "int[3]");
        assert_eq!(read("[1, 2.5]").type_name(), "f32[2]");
        assert_eq!(parse("[1, 2.5]", DType::F64).unwrap().type_name(), "f64[2]");
        assert_eq!(read("[[1, 2], [3, 4], [5, 6]]").type_name(), "int[3, 2]");
        assert_eq!(read("[[1, 2], [3]]").type_name(), "list");
        assert_eq!(read("[1, null]").type_name(), "list");
        assert_eq!(read("[[], []]").type_name(), "list");
        assert_eq!(read("[true]").type_name(), "list");
        let Value::List(ragged) = read("[[1], [[2]]]") else { panic!() };
        assert_eq!((ragged[0].type_name(), ragged[1].type_name()), ("int[1]".into(), "int[1, 1]".into()));
    }

    #[test]
    fn parts_of_other_shapes_make_a_list_in_which_each_keeps_its_kind() {
        assert_eq!(
            display(&read("[[1, 2], [1.5, 2.5], [3], 4, [[]], [[5], [6, \"a\"]], [7, 8]]")),
            r#"list([1, 2], [1.5, 2.5], [3], 4, list(list()), list([5], list(6, "a")), [7, 8])"#
        );
        assert_eq!(display(&read("[1, 2.5, true, 3]")), "list(1, 2.5, true, 3)");
        let Value::List(items) = read(r#"[{"a": [1, 2.5]}, {"a": [[1, 2], [3.5, 4]]}]"#) else { panic!() };
        let Value::Dict(second) = &items[1] else { panic!() };
        assert_eq!(second[&Key::Str("a".into())].type_name(), "f32[2, 2]");
        assert_eq!(read("[[[1, 2]], [[3, 4]], [[5, 6]]]").type_name(), "int[3, 1, 2]");
        assert_eq!(read("[9007199254740993, 9223372036854775807]").type_name(), "int[2]");
        assert_eq!(read("[9223372036854775807, 9223372036854775808]").type_name(), "f32[2]");
    }

    #[test]
    fn scalars_and_objects() {
        assert_eq!(
            display(&read(r#"{"b": null, "a": "x\n", "c": [true, 1.5]}"#)),
            r#"dict(b: none, a: "x\n", c: list(true, 1.5))"#
        );
        assert_eq!(read("9223372036854775807").type_name(), "int");
        assert_eq!(read("9223372036854775808").type_name(), "float");
        assert_eq!(read("1.0").type_name(), "float");
    }

    #[test]
    fn malformed_text_is_placed() {
        let error = parse("{\n  \"a\": [1, }\n}", DType::F32).unwrap_err();
        assert_eq!(error.0.code, fail::BAD_JSON);
        assert!(error.0.message.contains("line 2, column 12"), "{}", error.0.message);
        assert!(!error.0.message.contains("at line"));
        assert!(parse("", DType::F32).is_err());
        assert!(parse("[1] 2", DType::F32).is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&deep, DType::F32).unwrap_err().0.message.contains("nesting"));
    }

    #[test]
    fn written_values_read_back() {
        let t = Value::tensor(f64_tensor(&[2, 2], vec![0.1, 1e-300, 3.0, -0.0]).unwrap());
        let dict = Dict::from_iter([
            (Key::Str("t".into()), t),
            (Key::Str("x \"y\"".into()), Value::list(vec![Value::None, Value::str("é\u{1}")])),
            (Key::Int(3), Value::float(1.0 / 3.0)),
        ]);
        let text = encode(&Value::Dict(dict.into())).unwrap();
        assert_eq!(text, r#"{"t":[[0.1,1e-300],[3.0,-0.0]],"x \"y\"":[null,"é\u0001"],"3":0.3333333333333333}"#);
        let back = parse(&text, DType::F64).unwrap();
        assert_eq!(encode(&back).unwrap(), text);
    }

    #[test]
    fn f32_is_the_shortest_that_reads_back() {
        let t = Value::tensor(float_tensor(DType::F32, &[2], vec![0.1, 16777216.0]).unwrap());
        let text = encode(&t).unwrap();
        assert_eq!(text, "[0.1,16777216.0]");
        assert!(values_equal(&read(&text), &t).unwrap());
    }

    #[test]
    fn what_json_cannot_say_is_an_error_with_its_place() {
        let dict =
            Dict::from_iter([(Key::Str("loss".into()), Value::tuple(vec![Value::Int(1), Value::float(f64::NAN)]))]);
        let error = encode(&Value::Dict(dict.into())).unwrap_err();
        assert_eq!(error.0.code, fail::BAD_JSON);
        assert!(error.0.message.ends_with("at loss.1"), "{}", error.0.message);
        assert!(encode(&Value::Builtin(&ENCODE)).is_err());
    }

    #[test]
    fn empty_tensors_keep_their_rows() {
        let t = Value::tensor(f64_tensor(&[2, 0], vec![]).unwrap());
        assert_eq!(encode(&t).unwrap(), "[[],[]]");
    }
}
