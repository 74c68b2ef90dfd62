//! Result types that many builtins share. In: the types of the arguments (not needed by most). Out: the result's type.

use std::rc::Rc;

use crate::error::Result;
use crate::types::rename::renewed;
use crate::types::size::Num;
use crate::types::ty::{DictTy, Ty};

/// Nothing can be said.
pub fn any(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Any)
}

pub fn none(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::None)
}

pub fn never(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Never)
}

pub fn bool(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Bool(None))
}

pub fn int(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Int(Num::Unknown))
}

pub fn float(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Float)
}

pub fn str(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Str(None))
}

/// A list of whatever.
pub fn list(_: &[Ty]) -> Result<Ty> {
    Ok(list_of(Ty::Any))
}

/// A list of str.
pub fn list_of_str(_: &[Ty]) -> Result<Ty> {
    Ok(list_of(Ty::Str(None)))
}

/// A dict of whatever.
pub fn dict(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Dict(Rc::new(DictTy { items: None, value: Ty::Any })))
}

/// A list of unknown length.
pub fn list_of(element: Ty) -> Ty {
    Ty::list_of(element)
}

/// What a `for` over a value of this type yields.
pub fn element_of(ty: &Ty) -> Ty {
    match ty {
        Ty::List(list) => renewed(&list.element),
        Ty::Range => Ty::Int(Num::Unknown),
        Ty::Str(_) => Ty::Str(None),
        Ty::Tuple(items) => match items.split_first() {
            Some((first, more)) if more.iter().all(|t| t == first) => first.clone(),
            _ => Ty::Any,
        },
        _ => Ty::Any,
    }
}

/// How many elements a value of this type has, if that is known.
pub fn count_of(ty: &Ty) -> Option<usize> {
    match ty {
        Ty::List(list) => list.items.as_ref().map(Vec::len),
        Ty::Tuple(items) => Some(items.len()),
        Ty::Dict(dict) => dict.items.as_ref().map(Vec::len),
        Ty::Str(Some(text)) => Some(text.chars().count()),
        Ty::Tensor(t) => match t.dims.as_ref()?.first()? {
            crate::types::ty::Dim::Known(n) => Some(*n),
            _ => None,
        },
        _ => None,
    }
}
