//! `==`, `!=` and `in` as far as they are certain: constants, values of different kinds, sizes that differ.

use super::show::show_a;
use super::size::Num;
use super::ty::{FnTy, Ty};
use crate::builtins::dtypes::is_named;
use crate::error::Error;
use crate::syntax::ast::BinOp;

/// `==` and `!=` as far as they do not work elementwise.
pub(super) fn equality(op: BinOp, a: &Ty, b: &Ty) -> Option<Ty> {
    let answer = |same: Option<bool>| Some(Ty::Bool(same.map(|s| s == (op == BinOp::Eq))));
    let tensor = |t: &Ty| matches!(t, Ty::Tensor(_));
    if let Some(same) = same_constants(a, b) {
        return answer(Some(same));
    }
    match (a, b) {
        (Ty::Any, t) | (t, Ty::Any) => Some(if tensor(t) || *t == Ty::Any { Ty::Any } else { any_equality(t) }),
        (Ty::Tuple(x), Ty::Tuple(y)) => answer(same_tuples(x, y)),
        _ if are_of_other_kinds(a, b) => answer(Some(false)),
        _ if tensor(a) || tensor(b) => None,
        (Ty::Int(_) | Ty::Float | Ty::Bool(_), Ty::Int(_) | Ty::Float | Ty::Bool(_)) => answer(None),
        _ if a.is_structure() || b.is_structure() => Some(Ty::Any),
        _ => answer(None),
    }
}

/// Values of one kind that are known.
fn same_constants(a: &Ty, b: &Ty) -> Option<bool> {
    match (a, b) {
        (Ty::Bool(Some(x)), Ty::Bool(Some(y))) => Some(x == y),
        (Ty::Str(Some(x)), Ty::Str(Some(y))) => Some(x == y),
        (Ty::DType(Some(x)), Ty::DType(Some(y))) => Some(x == y),
        (Ty::DType(Some(x)), Ty::Fn(FnTy::Builtin(f))) | (Ty::Fn(FnTy::Builtin(f)), Ty::DType(Some(x))) => {
            Some(is_named(*x, f))
        }
        (Ty::None, Ty::None) => Some(true),
        (Ty::Int(x), Ty::Int(y)) => x.order(*y).map(std::cmp::Ordering::is_eq),
        _ => None,
    }
}

/// What is never equal to anything else. Numbers and tensors are one kind: they may compare elementwise.
#[derive(PartialEq)]
enum Kind {
    None,
    Number,
    Str,
    Tuple,
    List,
    Dict,
    Struct,
    DType,
}

fn kind_of(ty: &Ty) -> Option<Kind> {
    Some(match ty {
        Ty::None => Kind::None,
        Ty::Bool(_) | Ty::Int(_) | Ty::Float | Ty::Tensor(_) => Kind::Number,
        Ty::Str(_) => Kind::Str,
        Ty::Tuple(_) => Kind::Tuple,
        Ty::List(_) => Kind::List,
        Ty::Dict(_) => Kind::Dict,
        Ty::Struct(_) => Kind::Struct,
        Ty::DType(_) => Kind::DType,
        // What is known as a function may be a struct that can be called.
        _ => return None,
    })
}

fn are_of_other_kinds(a: &Ty, b: &Ty) -> bool {
    let mut unknown = [a, b].into_iter();
    match (kind_of(a), kind_of(b)) {
        (Some(a), Some(b)) => a != b,
        (Some(kind), None) | (None, Some(kind)) => {
            kind == Kind::None && unknown.all(|t| !matches!(t, Ty::Any | Ty::Never))
        }
        _ => false,
    }
}

/// Compared with something unknown, which may be a tensor and then works elementwise.
fn any_equality(known: &Ty) -> Ty {
    match known {
        Ty::Str(_) | Ty::None | Ty::DType(_) => Ty::Bool(None),
        _ => Ty::Any,
    }
}

/// Tuples of known ints, as shapes are.
fn same_tuples(x: &[Ty], y: &[Ty]) -> Option<bool> {
    if x.len() != y.len() {
        return Some(false);
    }
    let mut all = Some(true);
    for (a, b) in x.iter().zip(y) {
        match (a, b) {
            (Ty::Int(a), Ty::Int(b)) if a == b && *a != Num::Unknown => {}
            (Ty::Int(a), Ty::Int(b)) if a.differs(*b) => return Some(false),
            _ => all = None,
        }
    }
    all
}

/// `in` looks into collections.
pub(super) fn no_container(ty: &Ty) -> Option<Error> {
    let other = matches!(
        ty,
        Ty::None | Ty::Bool(_) | Ty::Int(_) | Ty::Float | Ty::Struct(_) | Ty::Fn(_) | Ty::DType(_) | Ty::Module(_)
    );
    let message = format!("`in` looks into a list, tuple, range, dict, str or tensor, not {}", show_a(ty));
    other.then(|| Error::new("E0310", message).operand(1, format!("this is {}", show_a(ty))))
}

/// `in` and `not in`
pub(super) fn contains(op: BinOp, item: &Ty, all: &Ty) -> Ty {
    let answer = |found: bool| Ty::Bool(Some(found == (op == BinOp::In)));
    let among = |items: &[Ty]| {
        let mut unsure = false;
        for one in items {
            match same_constants(item, one) {
                Some(true) => return answer(true),
                Some(false) => {}
                None => unsure |= !are_of_other_kinds(item, one),
            }
        }
        if unsure { Ty::Bool(None) } else { answer(false) }
    };
    match (item, all) {
        (Ty::Any | Ty::Never, Ty::Any | Ty::Never) | (_, Ty::Any) => Ty::Any,
        (Ty::Any | Ty::Never, _) => Ty::Bool(None),
        (Ty::Str(Some(key)), Ty::Dict(d)) => match &d.items {
            Some(items) => answer(items.iter().any(|(k, _)| k == key)),
            None => Ty::Bool(None),
        },
        (Ty::Str(Some(part)), Ty::Str(Some(text))) => answer(text.contains(&**part)),
        (_, Ty::Tuple(items)) => among(items),
        (_, Ty::List(list)) => list.items.as_ref().map_or(Ty::Bool(None), |items| among(items)),
        _ => Ty::Bool(None),
    }
}
