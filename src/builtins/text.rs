//! Text: `str`, `repr`, splitting, joining, searching; and conversions between text, numbers and bools.
//!
//! In: strs (indexed by characters, not bytes). Out: strs, ints, lists of str. `float(x)` of a float keeps its derivative.

use std::rc::Rc;

use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::{Builtin, infer, iterate, structures};
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::show;
use crate::tensor::format_spec::FormatSpec;
use crate::tensor::{DType, Tensor};
use crate::types::size::Num;
use crate::types::ty::{TensorTy, Ty};
use crate::value::Value;
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[
    &STR,
    &REPR,
    &TYPE,
    &INT,
    &FLOAT,
    &BOOL,
    &JOIN,
    &STRIP,
    &REPLACE,
    &LOWER,
    &UPPER,
    &STARTSWITH,
    &ENDSWITH,
    &FIND,
    &ORD,
    &CHR,
];

const ONE: Sig = Sig { params: &[req("x")] };
const TEXT: Sig = Sig { params: &[req("text")] };

static STR: Builtin = Builtin {
    name: "str",
    doc: "The value as `print` shows it. `str(0.1)` is `\"0.1\"`; of a str, itself.",
    sig: ONE,
    infer: infer::str,
    run: |_, args| match args {
        [text @ Value::Str(_)] => Ok(std::mem::take(text)),
        [x] => Ok(Value::str(show::display(x))),
        _ => Err(arity("str")),
    },
};

static REPR: Builtin = Builtin {
    name: "repr",
    doc: "The value as a program writes it: like `str`, but a str is quoted. `repr(\"a\")` is `\"\\\"a\\\"\"`.",
    sig: ONE,
    infer: infer::str,
    run: |_, args| match args {
        [x] => Ok(Value::str(show::repr(x))),
        _ => Err(arity("repr")),
    },
};

static TYPE: Builtin = Builtin {
    name: "type",
    doc: "The kind of a value as a str: `int float bool str none tensor tuple list dict range function`, or a struct's name. \
          `type(1.0)` is `\"float\"`; for a tensor see also `x.dtype` and `x.shape`.",
    sig: ONE,
    infer: infer::str,
    run: |_, args| match args {
        [x] if x.tensor_dtype().is_some() => Ok(Value::str("tensor")),
        [x] => Ok(Value::str(x.type_name())),
        _ => Err(arity("type")),
    },
};

static INT: Builtin = Builtin {
    name: "int",
    doc: "As an int: floats lose their fraction, bools become 0 and 1, a str is read, a tensor is converted element by element. \
          NaN and what does not fit 64 bits is an error. No derivative. `int(2.9)` is 2; `int(\"42\")` is 42.",
    sig: ONE,
    infer: |args| Ok(convert_ty(args, DType::Int, Ty::Int(Num::Unknown))),
    run: |vm, args| match args {
        [x @ Value::Batched(..)] => crate::builtins::dtypes::cast(&mut vm.cx, x, DType::Int),
        [x] => to_int(x),
        _ => Err(arity("int")),
    },
};

static FLOAT: Builtin = Builtin {
    name: "float",
    doc: "As a float: ints and bools are converted, a str is read, a float keeps its derivative, an int or bool tensor becomes one of \
          the default dtype. `float(2)` is 2.0; `float(\"3.5\")` is 3.5.",
    sig: ONE,
    infer: |args| {
        Ok(match args {
            [Ty::Tensor(t)] if t.dtype.is_some_and(DType::is_float) => Ty::Tensor(t.clone()),
            // Another dtype becomes the default one, which is known at run time.
            [Ty::Tensor(t)] => Ty::Tensor(TensorTy { dtype: None, dims: t.dims.clone() }),
            [Ty::Int(_) | Ty::Float | Ty::Bool(_) | Ty::Str(_)] => Ty::Float,
            _ => Ty::Any,
        })
    },
    run: |vm, args| match args {
        [x @ Value::Batched(..)] if x.is_differentiable() => Ok(x.clone()),
        [x @ Value::Batched(..)] => {
            let dtype = if x.shape() == Some(&[]) { DType::F64 } else { vm.cx.env.dtype };
            crate::builtins::dtypes::cast(&mut vm.cx, x, dtype)
        }
        [x] => to_float(vm.cx.env.dtype, x),
        _ => Err(arity("float")),
    },
};

static BOOL: Builtin = Builtin {
    name: "bool",
    doc: "True for numbers other than 0, element by element for a tensor. `bool(2)` is true; whether a list or str has \
          anything in it is asked with `len(x) > 0`.",
    sig: ONE,
    infer: |args| Ok(convert_ty(args, DType::Bool, Ty::Bool(None))),
    run: |vm, args| match args {
        [x @ Value::Batched(..)] => crate::builtins::dtypes::cast(&mut vm.cx, x, DType::Bool),
        [x] => to_bool(x),
        _ => Err(arity("bool")),
    },
};

fn convert_ty(args: &[Ty], dtype: DType, scalar: Ty) -> Ty {
    match args {
        [Ty::Tensor(TensorTy { dims: Some(dims), .. })] => Ty::of(Some(dtype), Some(dims.clone())),
        [Ty::Int(_) | Ty::Float | Ty::Bool(_) | Ty::Str(_)] => scalar,
        _ => Ty::Any,
    }
}

/// `int(x)`
pub fn to_int(x: &Value) -> Result<Value> {
    match x {
        Value::Int(_) => Ok(x.clone()),
        Value::Bool(b) => Ok(Value::Int(i64::from(*b))),
        Value::Float(_, f) => truncate(*f).map(Value::Int),
        Value::Str(text) => text.trim().parse().map(Value::Int).map_err(|_| bad_number("int", text)),
        Value::Tensor(_, t) => match &**t {
            Tensor::Int(_) => Ok(Value::tensor((**t).clone())),
            other => match other.cast(DType::Int) {
                Ok(ints) => Ok(Value::tensor(ints)),
                // The first one that has no int tells.
                Err(e) => other.to_f64s().into_iter().try_for_each(|x| truncate(x).map(|_| ())).and(Err(e)),
            },
        },
        other => Err(wrong_kind("int", 0, "a number, bool, str or tensor", other)),
    }
}

/// Towards zero; an error for what is no int of 64 bits.
fn truncate(x: f64) -> Result<i64> {
    // 2^63 is a float; the largest int is not, so the upper bound is exclusive.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&x) {
        return Ok(x as i64);
    }
    let shown = show::display(&Value::float(x));
    let why = if x.is_finite() {
        format!("{shown} does not fit into an int of 64 bits")
    } else {
        format!("{shown} is no int")
    };
    Err(Error::new(fail::BAD_CONVERSION, why))
}

#[cold]
fn bad_number(function: &str, text: &str) -> Error {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    let error =
        Error::new(fail::BAD_CONVERSION, format!("{} is not {}", show::quote(&shown), fail::with_article(function)));
    if function == "int" && text.trim().parse::<f64>().is_ok() {
        return error.help("write int(float(text)) to cut off the fraction");
    }
    error
}

/// `float(x)`
pub fn to_float(dtype: DType, x: &Value) -> Result<Value> {
    match x {
        Value::Float(..) => Ok(x.clone()),
        Value::Int(i) => Ok(Value::float(*i as f64)),
        Value::Bool(b) => Ok(Value::float(f64::from(u8::from(*b)))),
        Value::Str(text) => text.trim().parse().map(Value::float).map_err(|_| bad_number("float", text)),
        Value::Tensor(_, t) if t.dtype().is_float() => Ok(x.clone()),
        Value::Tensor(_, t) => Ok(Value::tensor(t.cast(dtype)?)),
        other => Err(wrong_kind("float", 0, "a number, bool, str or tensor", other)),
    }
}

/// `bool(x)`
pub fn to_bool(x: &Value) -> Result<Value> {
    match x {
        Value::Bool(_) => Ok(x.clone()),
        Value::Int(i) => Ok(Value::Bool(*i != 0)),
        Value::Float(_, f) => Ok(Value::Bool(*f != 0.0)),
        Value::Tensor(_, t) => Ok(Value::tensor(t.cast(DType::Bool)?)),
        other => {
            let error = wrong_kind("bool", 0, "a number or tensor", other);
            Err(match other {
                Value::None => error.help("compare with none: x != none"),
                Value::Str(_) => error.help("compare the text: x == \"true\", or ask len(x) > 0"),
                _ if iterate::is_sequence(other) => error.help("ask len(x) > 0"),
                _ => error,
            })
        }
    }
}

/// The text of argument `i`.
fn text<'a>(function: &str, args: &'a [Value], i: usize) -> Result<&'a Rc<String>> {
    match args.get(i) {
        Some(Value::Str(s)) => Ok(s),
        Some(other) => Err(wrong_kind(function, i, "a str", other)),
        None => Err(arity(function)),
    }
}

/// A value in an f-string: `spec` is what stands after the colon. Numbers, strs and tensors are formatted as it says, and
/// so are those in a structure where the format is for numbers (`.2f`). All else is shown as `print` shows it and then
/// treated as a str.
pub fn format_value(value: &Value, spec: &str) -> Result<String> {
    if spec.is_empty() {
        return Ok(show::display(value));
    }
    let spec = FormatSpec::parse(spec)?;
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Float(..) | Value::Tensor(..) | Value::Str(_) => {
            spec.apply_value(value)
        }
        structure if spec.is_for_numbers() && structures::is_tree(structure) => spec.apply_leaves(structure),
        other if spec.is_for_numbers() => spec.apply_value(other),
        other => spec.apply_str(&show::display(other)),
    }
}

/// `text.split()`
pub fn words(text: &str) -> Value {
    strs(text.split_whitespace())
}

/// `text.split(sep)`
pub fn split_text(text: &str, sep: &str) -> Result<Value> {
    if sep.is_empty() {
        return Err(Error::new(fail::BAD_ARGUMENT, "split needs a separator that is not empty")
            .help("for single characters write list(c for c in text)"));
    }
    Ok(strs(text.split(sep)))
}

fn strs<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    Value::list(parts.map(Value::str).collect())
}

static JOIN: Builtin = Builtin {
    name: "join",
    doc: "One str of all elements, as `print` shows them, with `sep` between them. Either may come first: \
          `join(list(\"a\", \"b\"), \", \")` and `\", \".join(list(\"a\", \"b\"))` are `\"a, b\"`.",
    sig: Sig { params: &[req("items"), opt("sep", Default::Str(""))] },
    infer: infer::str,
    run: join,
};

fn join(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [items, sep] = args else { return Err(arity("join")) };
    if matches!(items, Value::Str(_)) && !matches!(sep, Value::Str(_)) {
        std::mem::swap(items, sep);
    }
    let Value::Str(sep) = sep else { return Err(wrong_kind("join", 1, "a str", sep)) };
    let items = iterate::items(&mut vm.cx, items)?;
    let parts: Vec<String> = items.iter().map(show::display).collect();
    Ok(Value::str(parts.join(sep)))
}

static STRIP: Builtin = Builtin {
    name: "strip",
    doc: "Without white space at both ends, or without any of the characters in `chars`. `strip(\"  a \")` is `\"a\"`.",
    sig: Sig { params: &[req("text"), opt("chars", Default::None)] },
    infer: infer::str,
    run: |_, args| {
        let s = text("strip", args, 0)?;
        match args.get(1) {
            Some(Value::None) => Ok(Value::str(s.trim())),
            _ => {
                let chars = text("strip", args, 1)?;
                Ok(Value::str(s.trim_matches(|c| chars.contains(c))))
            }
        }
    },
};

static REPLACE: Builtin = Builtin {
    name: "replace",
    doc: "With every `old` replaced by `new`. `\"a-b\".replace(\"-\", \"+\")` is `\"a+b\"`.",
    sig: Sig { params: &[req("text"), req("old"), req("new")] },
    infer: infer::str,
    run: |_, args| {
        let (s, old, new) = (text("replace", args, 0)?, text("replace", args, 1)?, text("replace", args, 2)?);
        if old.is_empty() {
            return Err(Error::new(fail::BAD_ARGUMENT, "replace needs a text to look for that is not empty")
                .operand(1, "this is empty"));
        }
        Ok(Value::str(s.replace(old.as_str(), new)))
    },
};

static LOWER: Builtin = Builtin {
    name: "lower",
    doc: "In small letters. `lower(\"AbC\")` is `\"abc\"`.",
    sig: TEXT,
    infer: infer::str,
    run: |_, args| Ok(Value::str(text("lower", args, 0)?.to_lowercase())),
};

static UPPER: Builtin = Builtin {
    name: "upper",
    doc: "In capital letters. `upper(\"AbC\")` is `\"ABC\"`.",
    sig: TEXT,
    infer: infer::str,
    run: |_, args| Ok(Value::str(text("upper", args, 0)?.to_uppercase())),
};

static STARTSWITH: Builtin = Builtin {
    name: "startswith",
    doc: "True if the text begins with `start`. `startswith(\"train.dl\", \"train\")` is true.",
    sig: Sig { params: &[req("text"), req("start")] },
    infer: infer::bool,
    run: |_, args| Ok(Value::Bool(text("startswith", args, 0)?.starts_with(text("startswith", args, 1)?.as_str()))),
};

static ENDSWITH: Builtin = Builtin {
    name: "endswith",
    doc: "True if the text ends in `end`. `endswith(\"train.dl\", \".dl\")` is true.",
    sig: Sig { params: &[req("text"), req("end")] },
    infer: infer::bool,
    run: |_, args| Ok(Value::Bool(text("endswith", args, 0)?.ends_with(text("endswith", args, 1)?.as_str()))),
};

static FIND: Builtin = Builtin {
    name: "find",
    doc: "Index of the first place where `part` stands in the text, or -1. `find(\"hello\", \"l\")` is 2; to ask only whether \
          it is there, write `part in text`.",
    sig: Sig { params: &[req("text"), req("part")] },
    infer: infer::int,
    run: |_, args| Ok(Value::Int(find_text(text("find", args, 0)?, text("find", args, 1)?))),
};

fn find_text(text: &str, part: &str) -> i64 {
    // Counted in characters, as indexing is.
    text.find(part).and_then(|at| text.get(..at)).map_or(-1, |before| before.chars().count() as i64)
}

static ORD: Builtin = Builtin {
    name: "ord",
    doc: "The Unicode number of a character. `ord(\"a\")` is 97.",
    sig: Sig { params: &[req("char")] },
    infer: infer::int,
    run: |_, args| {
        let s = text("ord", args, 0)?;
        let mut chars = s.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(Value::Int(i64::from(u32::from(c)))),
            _ => Err(Error::new(fail::BAD_ARGUMENT, format!("ord takes one character, not {}", s.chars().count()))
                .operand(0, format!("this is {}", show::quote(s)))),
        }
    },
};

static CHR: Builtin = Builtin {
    name: "chr",
    doc: "The character of a Unicode number. `chr(97)` is `\"a\"`.",
    sig: Sig { params: &[req("number")] },
    infer: infer::str,
    run: |_, args| match args {
        [Value::Int(i)] => u32::try_from(*i).ok().and_then(char::from_u32).map(Value::str).ok_or_else(|| {
            Error::new(fail::BAD_ARGUMENT, format!("there is no character number {i}"))
                .help("characters are numbered 0 to 1114111, without 55296 to 57343")
        }),
        [other] => Err(wrong_kind("chr", 0, "an int", other)),
        _ => Err(arity("chr")),
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad::slot::Slot;
    use crate::show::repr;
    use crate::tensor::vecs::{float_tensor, int_tensor};

    #[test]
    fn ints_from_all_kinds() {
        assert_eq!(repr(&to_int(&Value::float(-2.9)).unwrap()), "-2");
        assert_eq!(repr(&to_int(&Value::str(" 42 ")).unwrap()), "42");
        assert_eq!(repr(&to_int(&Value::Bool(true)).unwrap()), "1");
        let t = float_tensor(DType::F32, &[2], vec![1.9, -1.9]).unwrap();
        let Value::Tensor(_, ints) = to_int(&Value::tensor(t)).unwrap() else { panic!() };
        assert_eq!((ints.dtype(), ints.to_f64s()), (DType::Int, vec![1.0, -1.0]));
    }

    #[test]
    fn what_is_no_int_is_an_error() {
        for bad in [f64::NAN, f64::INFINITY, 1e30, 9_223_372_036_854_775_808.0] {
            assert_eq!(to_int(&Value::float(bad)).unwrap_err().0.code, fail::BAD_CONVERSION);
        }
        assert_eq!(repr(&to_int(&Value::float(-9_223_372_036_854_775_808.0)).unwrap()), i64::MIN.to_string());
        let error = to_int(&Value::str("3.5")).unwrap_err();
        assert_eq!(error.0.message, "\"3.5\" is not an int");
        assert!(error.0.help.is_some());
        assert!(to_int(&Value::str("99999999999999999999")).is_err());
        assert!(to_int(&Value::None).is_err());
    }

    #[test]
    fn floats_keep_their_slot() {
        let x = Value::Float(Slot(7), 2.0);
        assert_eq!(to_float(DType::F32, &x).unwrap().slot(), Slot(7));
        assert_eq!(repr(&to_float(DType::F32, &Value::str("3.5")).unwrap()), "3.5");
        let error = to_float(DType::F32, &Value::str("three")).unwrap_err();
        assert_eq!(error.0.message, "\"three\" is not a float");
        let ints = Value::tensor(int_tensor(&[1], vec![3]).unwrap());
        assert_eq!(to_float(DType::F64, &ints).unwrap().type_name(), "f64[1]");
    }

    #[test]
    fn bools_are_numbers_only() {
        assert_eq!(repr(&to_bool(&Value::float(0.5)).unwrap()), "true");
        assert_eq!(repr(&to_bool(&Value::Int(0)).unwrap()), "false");
        assert!(to_bool(&Value::str("false")).unwrap_err().0.help.is_some());
        assert!(to_bool(&Value::list(vec![])).is_err());
    }

    #[test]
    fn find_counts_characters() {
        assert_eq!(find_text("äöü", "ü"), 2);
        assert_eq!(find_text("abc", "d"), -1);
        assert_eq!(find_text("abc", ""), 0);
    }

    #[test]
    fn splitting() {
        assert_eq!(repr(&split_text("a,,b", ",").unwrap()), r#"list("a", "", "b")"#);
        assert!(split_text("abc", "").is_err());
    }
}
