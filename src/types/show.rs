//! Types in the user's words: `int`, `f32[n, 64]`, `float[3, 4]` (some float dtype), `Dense(w: f32[3, 4], b: f32[4])`.

use std::fmt::Write;

use super::size::Num;
use super::ty::{Dim, FnTy, Ty};

/// A type as annotations and messages write it.
pub fn show_ty(ty: &Ty) -> String {
    let mut out = String::new();
    write_ty(&mut out, ty, 3);
    out
}

/// The same without what is inside of structs, lists and dicts.
pub fn show_kind(ty: &Ty) -> String {
    let mut out = String::new();
    write_ty(&mut out, ty, 0);
    out
}

/// With its article: `a list`, `an int`, `f32[3]`, `none`.
pub fn show_a(ty: &Ty) -> String {
    let kind = show_kind(ty);
    match ty {
        Ty::None | Ty::Any | Ty::Never | Ty::Tensor(_) | Ty::IntsOf(_) => kind,
        _ if kind.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// `[n, 64]`
pub fn show_dims(dims: &[Dim]) -> String {
    let dims: Vec<String> = dims.iter().map(|d| show_dim(*d)).collect();
    format!("[{}]", dims.join(", "))
}

/// `64`, `n`, `_`
pub fn show_dim(dim: Dim) -> String {
    match dim {
        Dim::Known(n) => n.to_string(),
        Dim::Sym(s) => Num::Sym(s).to_string(),
        Dim::Some | Dim::Unknown => "_".into(),
    }
}

fn write_ty(out: &mut String, ty: &Ty, depth: usize) {
    let simple = match ty {
        Ty::Any => "any",
        Ty::None => "none",
        Ty::Bool(_) => "bool",
        Ty::Int(_) => "int",
        Ty::Float => "float",
        Ty::Str(_) => "str",
        Ty::Range | Ty::SomeRange | Ty::RangeOf(_) => "range",
        Ty::DType(_) => "dtype",
        Ty::Module(_) => "module",
        Ty::Never => "never",
        Ty::Fn(FnTy::Builtin(_) | FnTy::User { .. } | FnTy::Unknown | FnTy::Made { .. }) => "function",
        _ => "",
    };
    out.push_str(simple);
    match ty {
        Ty::IntsOf(ints) => drop(write!(out, "int[{}]", ints.len())),
        Ty::Tensor(t) => {
            match t.dtype {
                Some(d) => drop(write!(out, "{d}")),
                None => out.push_str("float"),
            }
            match &t.dims {
                Some(dims) => out.push_str(&show_dims(dims)),
                None => out.push_str("[...]"),
            }
        }
        Ty::Tuple(items) if depth > 0 => {
            out.push('(');
            write_items(out, items, depth - 1);
            out.push_str(if items.len() == 1 { ",)" } else { ")" });
        }
        Ty::Tuple(items) => drop(write!(out, "tuple of {}", items.len())),
        Ty::List(list) if depth > 0 && !matches!(list.element, Ty::Any | Ty::Never) => {
            out.push_str("list[");
            write_ty(out, &list.element, depth - 1);
            out.push(']');
        }
        Ty::List(_) => out.push_str("list"),
        Ty::Dict(dict) if depth > 0 => match &dict.items {
            Some(items) => {
                out.push_str("dict(");
                for (i, (key, value)) in items.iter().take(8).enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    let _ = write!(out, "{comma}{key}: ");
                    write_ty(out, value, depth - 1);
                }
                out.push_str(if items.len() > 8 { ", ...)" } else { ")" });
            }
            None => out.push_str("dict"),
        },
        Ty::Dict(_) => out.push_str("dict"),
        Ty::Struct(s) => {
            out.push_str(&s.info.name);
            if depth > 0 {
                out.push('(');
                for (i, (field, value)) in s.info.fields.iter().zip(&s.fields).enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    let _ = write!(out, "{comma}{}: ", field.name);
                    write_ty(out, value, depth - 1);
                }
                out.push(')');
            }
        }
        Ty::StructType(info) => drop(write!(out, "struct {}", info.name)),
        _ => {}
    }
}

fn write_items(out: &mut String, items: &[Ty], depth: usize) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        if i == 8 {
            out.push_str("...");
            return;
        }
        write_ty(out, item, depth);
    }
}
