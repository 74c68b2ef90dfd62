//! Meeting of branches: the least type that holds both of two; and widening, which forgets on purpose.

use std::rc::Rc;

use super::ty::{DictTy, Dim, Dims, FnTy, ListTy, Origin, StructTy, TensorTy, Ty};

/// What holds for a value that is an `a` or a `b`.
pub fn join(a: &Ty, b: &Ty) -> Ty {
    if a == b {
        return a.clone();
    }
    match (a, b) {
        (Ty::Never, t) | (t, Ty::Never) => t.clone(),
        (Ty::Bool(_), Ty::Bool(_)) => Ty::Bool(None),
        (Ty::Int(_), Ty::Int(_)) => Ty::Int(None),
        (Ty::Str(_), Ty::Str(_)) => Ty::Str(None),
        (Ty::DType(_), Ty::DType(_)) => Ty::DType(None),
        (Ty::Range | Ty::SomeRange | Ty::RangeOf(_), Ty::Range | Ty::SomeRange | Ty::RangeOf(_)) => {
            range(has_element(a) && has_element(b))
        }
        (Ty::Tensor(x), Ty::Tensor(y)) => Ty::Tensor(join_tensors(x, y)),
        // A tensor of unknown rank may be a scalar.
        (Ty::Tensor(t), Ty::Float) | (Ty::Float, Ty::Tensor(t)) if t.dtype.is_none_or(|d| d.is_float()) => {
            Ty::Tensor(TensorTy { dtype: t.dtype, dims: None })
        }
        (Ty::Tuple(x), Ty::Tuple(y)) if x.len() == y.len() => Ty::tuple(join_all(x, y)),
        (Ty::List(x), Ty::List(y)) => Ty::List(Rc::new(join_lists(x, y))),
        (Ty::Dict(x), Ty::Dict(y)) => Ty::Dict(Rc::new(join_dicts(x, y))),
        (Ty::Struct(x), Ty::Struct(y)) if x.info == y.info => {
            let origin = if x.origin.0 == y.origin.0 { x.origin } else { Origin(None) };
            Ty::Struct(Rc::new(StructTy { info: x.info.clone(), fields: join_all(&x.fields, &y.fields), origin }))
        }
        (Ty::Fn(x), Ty::Fn(y)) => Ty::Fn(join_functions(x, y)),
        _ => Ty::Any,
    }
}

/// A range of which it is known at most that it has an element.
pub fn range(filled: bool) -> Ty {
    if filled { Ty::SomeRange } else { Ty::Range }
}

fn has_element(range: &Ty) -> bool {
    match range {
        Ty::SomeRange => true,
        Ty::RangeOf(r) => !r.is_empty(),
        _ => false,
    }
}

fn join_all(a: &[Ty], b: &[Ty]) -> Vec<Ty> {
    a.iter().zip(b).map(|(x, y)| join(x, y)).collect()
}

fn join_tensors(a: &TensorTy, b: &TensorTy) -> TensorTy {
    let dtype = if a.dtype == b.dtype { a.dtype } else { None };
    let dims = match (&a.dims, &b.dims) {
        (Some(x), Some(y)) if x.len() == y.len() => {
            Some(x.iter().zip(y).map(|(x, y)| join_dims(*x, *y)).collect::<Dims>())
        }
        _ => None,
    };
    TensorTy { dtype, dims }
}

fn join_dims(a: Dim, b: Dim) -> Dim {
    match (a, b) {
        (a, b) if a == b => a,
        (Dim::Some | Dim::Known(1..), Dim::Some | Dim::Known(1..)) => Dim::Some,
        _ => Dim::Unknown,
    }
}

fn join_lists(a: &ListTy, b: &ListTy) -> ListTy {
    let items = match (&a.items, &b.items) {
        (Some(x), Some(y)) if x.len() == y.len() => Some(join_all(x, y)),
        _ => None,
    };
    ListTy { items, element: join(&a.element, &b.element), filled: a.filled && b.filled }
}

fn join_dicts(a: &DictTy, b: &DictTy) -> DictTy {
    let items = match (&a.items, &b.items) {
        (Some(x), Some(y)) if x.iter().map(|e| &e.0).eq(y.iter().map(|e| &e.0)) => {
            Some(x.iter().zip(y).map(|(x, y)| (x.0.clone(), join(&x.1, &y.1))).collect())
        }
        _ => None,
    };
    DictTy { items, value: join(&a.value, &b.value) }
}

fn join_functions(a: &FnTy, b: &FnTy) -> FnTy {
    match (a, b) {
        (FnTy::User { module, index, captures }, FnTy::User { module: m, index: i, captures: c })
            if (module, index) == (m, i) && captures.len() == c.len() =>
        {
            FnTy::User { module: *module, index: *index, captures: Rc::new(join_all(captures, c)) }
        }
        (FnTy::Made { transform, args }, FnTy::Made { transform: t, args: b })
            if transform == t && args.len() == b.len() =>
        {
            FnTy::Made { transform, args: Rc::new(join_all(args, b)) }
        }
        _ => FnTy::Unknown,
    }
}

/// How much to forget.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Widen {
    /// Values of ints, bools, strings.
    Constants,
    /// Dims and lengths of lists, too.
    Dims,
    /// All.
    Everything,
}

/// The type without what `how` says to forget.
pub fn widen(ty: &Ty, how: Widen) -> Ty {
    if how == Widen::Everything {
        return Ty::Any;
    }
    let all = |items: &[Ty]| items.iter().map(|t| widen(t, how)).collect::<Vec<Ty>>();
    match ty {
        Ty::Bool(_) => Ty::Bool(None),
        Ty::Int(_) => Ty::Int(None),
        Ty::Str(_) => Ty::Str(None),
        Ty::RangeOf(_) => range(has_element(ty)),
        Ty::Tensor(t) if how == Widen::Dims => {
            let forget = |d: &Dim| if matches!(d, Dim::Some | Dim::Known(1..)) { Dim::Some } else { Dim::Unknown };
            let dims = t.dims.as_ref().map(|d| d.iter().map(forget).collect());
            Ty::Tensor(TensorTy { dtype: t.dtype, dims })
        }
        Ty::Tuple(items) => Ty::tuple(all(items)),
        Ty::List(list) => {
            let items = if how == Widen::Dims { None } else { list.items.as_ref().map(|i| all(i)) };
            Ty::List(Rc::new(ListTy { items, element: widen(&list.element, how), filled: list.filled }))
        }
        Ty::Dict(dict) => {
            let items = dict.items.as_ref().map(|d| d.iter().map(|(k, t)| (k.clone(), widen(t, how))).collect());
            Ty::Dict(Rc::new(DictTy { items, value: widen(&dict.value, how) }))
        }
        Ty::Struct(s) => {
            Ty::Struct(Rc::new(StructTy { info: s.info.clone(), fields: all(&s.fields), origin: s.origin }))
        }
        Ty::Fn(FnTy::User { module, index, captures }) => {
            Ty::Fn(FnTy::User { module: *module, index: *index, captures: Rc::new(all(captures)) })
        }
        Ty::Fn(FnTy::Made { transform, args }) => Ty::Fn(FnTy::Made { transform, args: Rc::new(all(args)) }),
        other => other.clone(),
    }
}

/// True if a type is nested deeper than `limit`; such types come from recursion and are not worth following.
pub fn is_deep(ty: &Ty, limit: usize) -> bool {
    let any = |items: &[Ty]| items.iter().any(|t| limit == 0 || is_deep(t, limit - 1));
    match ty {
        Ty::Tuple(items) => any(items),
        Ty::List(list) => any(list.items.as_deref().unwrap_or(std::slice::from_ref(&list.element))),
        Ty::Dict(d) => d.items.as_ref().is_some_and(|d| d.iter().any(|(_, t)| limit == 0 || is_deep(t, limit - 1))),
        Ty::Struct(s) => any(&s.fields),
        Ty::Fn(FnTy::User { captures: items, .. } | FnTy::Made { args: items, .. }) => any(items),
        _ => false,
    }
}
