//! Elementwise primitives on structures: `params - lr * g`, `sqrt(v)`, leaf by leaf.
//!
//! A `none` leaf (the gradient of what has none) scales to `none` and adds nothing. A `nograd` field is kept as the first
//! structure has it. A field that is annotated `int` or `bool` stays one, or it is an error.

use std::rc::Rc;

use crate::ad::Cx;
use crate::ad::dispatch::is_structure;
use crate::error::{Error, Result};
use crate::ops::prim::Prim;
use crate::value::{Dict, StructValue, Value};

impl Cx {
    /// Applies an elementwise primitive leaf by leaf; arguments that are no structures go to every leaf.
    pub(crate) fn apply_leafwise(&mut self, prim: &'static Prim, args: &[Value]) -> Result<Value> {
        let Some(lead) = args.iter().find(|a| is_structure(a)) else { return self.apply(prim, args) };
        for other in args.iter().filter(|a| is_structure(a)) {
            same_form(prim, lead, other)?;
        }
        if let (Value::Struct(_), [_, _], Some(at)) = (lead, args, args.iter().position(is_array)) {
            let tensor = args[at].type_name();
            return Err(met_array(prim.shown(), (1 - at, &lead.type_name()), (at, &tensor)));
        }
        match lead {
            Value::Tuple(items) => Ok(Value::tuple(self.each(prim, args, items.len())?)),
            Value::List(items) => Ok(Value::list(self.each(prim, args, items.len())?)),
            Value::Dict(dict) => {
                let values = self.each(prim, args, dict.len())?;
                Ok(Value::Dict(Rc::new(dict.keys().cloned().zip(values).collect::<Dict>())))
            }
            Value::Struct(s) => {
                let mut fields = Vec::with_capacity(s.fields.len());
                for (i, field) in s.def.fields.iter().enumerate() {
                    if field.nograd {
                        fields.push(first_present(args, i));
                    } else {
                        let leaf_args: Vec<Value> = args.iter().map(|a| part(a, i)).collect();
                        let made = self.apply_part(prim, args, &leaf_args)?;
                        if let Some(kind) = field.exact
                            && matches!(made, Value::Float(..) | Value::Tensor(..))
                        {
                            let at = args.iter().position(is_structure).unwrap_or(0);
                            return Err(made_inexact(prim.shown(), kind, &field.name.name(), &s.def.name, at));
                        }
                        fields.push(made);
                    }
                }
                Ok(Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields })))
            }
            _ => self.apply(prim, args),
        }
    }

    fn each(&mut self, prim: &'static Prim, args: &[Value], n: usize) -> Result<Vec<Value>> {
        (0..n)
            .map(|i| {
                let parts: Vec<Value> = args.iter().map(|a| part(a, i)).collect();
                self.apply_part(prim, args, &parts)
            })
            .collect()
    }

    /// `args` are those of the whole structures, `parts` what they have at one place.
    fn apply_part(&mut self, prim: &'static Prim, args: &[Value], parts: &[Value]) -> Result<Value> {
        let held = || args.iter().zip(parts).filter(|(a, _)| is_structure(a)).map(|(_, part)| part);
        if held().any(|v| matches!(v, Value::None)) {
            // One side has no derivative here: adding keeps the other side, all else has none.
            let kept = held().find(|v| !matches!(v, Value::None));
            return Ok(match kept {
                Some(v) if matches!(prim.name, "add" | "sub") => v.clone(),
                _ => Value::None,
            });
        }
        if let Some(kept) = held().find(|v| v.has_no_arithmetic()) {
            return Ok(kept.clone());
        }
        if parts.iter().any(is_structure) {
            return self.apply_leafwise(prim, parts);
        }
        self.apply(prim, parts)
    }
}
/// What a structure has at place `i`; of what is none the value itself.
pub(crate) fn part(value: &Value, i: usize) -> Value {
    match value {
        Value::Tuple(items) | Value::List(items) => items.get(i).cloned().unwrap_or_default(),
        Value::Dict(dict) => dict.get_index(i).map(|(_, v)| v.clone()).unwrap_or_default(),
        Value::Struct(s) => s.fields.get(i).cloned().unwrap_or_default(),
        other => other.clone(),
    }
}

fn first_present(args: &[Value], i: usize) -> Value {
    let fields = args.iter().filter(|a| is_structure(a)).map(|a| part(a, i));
    fields.into_iter().find(|v| !matches!(v, Value::None)).unwrap_or_default()
}

/// True for structures of one form.
pub(crate) fn fit_together(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Tuple(x), Value::Tuple(y)) | (Value::List(x), Value::List(y)) => x.len() == y.len(),
        (Value::Dict(x), Value::Dict(y)) => x.len() == y.len() && x.keys().eq(y.keys()),
        (Value::Struct(x), Value::Struct(y)) => Rc::ptr_eq(&x.def, &y.def),
        _ => false,
    }
}

fn same_form(prim: &Prim, a: &Value, b: &Value) -> Result<()> {
    if fit_together(a, b) {
        return Ok(());
    }
    let what = |v: &Value| match v {
        Value::Tuple(x) | Value::List(x) => format!("a {} of {}", v.type_name(), x.len()),
        Value::Dict(d) => {
            format!("a dict with {}", d.keys().map(crate::show::key).collect::<Vec<_>>().join(", "))
        }
        other => format!("a {}", other.type_name()),
    };
    Err(Error::new("E0304", format!("`{}` acts leaf by leaf, and these two are built differently", prim.shown()))
        .operand(0, format!("this is {}", what(a)))
        .operand(1, format!("this is {}", what(b)))
        .help(BUILT_ALIKE))
}

/// True for a tensor that is not one number.
pub(crate) fn is_array(value: &Value) -> bool {
    matches!(value, Value::Tensor(..) | Value::Batched(..)) && value.shape().is_some_and(|s| !s.is_empty())
}

/// An operator between a struct and a tensor, each with the index of the operand: broadcast against every leaf it would be
/// something else than was meant.
#[cold]
pub(crate) fn met_array(operator: &str, structure: (usize, &str), tensor: (usize, &str)) -> Error {
    let kind = crate::builtins::fail::with_article(structure.1);
    Error::new("E0304", format!("`{operator}` acts leaf by leaf on {kind}, and the other side is a tensor"))
        .operand(structure.0, format!("this is {kind}"))
        .operand(tensor.0, format!("this is {}", tensor.1))
        .help("take the field that is meant; every leaf at once is reached by tree_map(|leaf| ..., x)")
}

/// Arithmetic on a struct that would make a field other than what it is annotated: half of a count is none.
#[cold]
pub(crate) fn made_inexact(operator: &str, kind: &str, field: &str, of: &str, operand: usize) -> Error {
    let a = if kind == "int" { "an int" } else { "a bool" };
    Error::new("E0330", format!("`{operator}` acts leaf by leaf, and `{field}` of `{of}` would not stay {a}"))
        .operand(operand, format!("`{field}` of this `{of}` is annotated `{kind}`"))
        .help(format!("declare it `nograd {field}: {kind}`: arithmetic keeps such a field as the first struct has it"))
}

/// What helps where two structures differ.
pub const BUILT_ALIKE: &str =
    "both sides need the same fields, lengths and keys; lists are joined by extend(&a, b), tensors by concat((a, b))";
