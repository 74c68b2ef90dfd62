//! Meeting of branches: the least type that holds both of two; and widening, which forgets on purpose.

use std::rc::Rc;

use super::rename::{closed, has_sizes};
use super::size::Num;
use super::ty::{DictTy, Dim, Dims, FnTy, ListTy, Origin, StructTy, TensorTy, Ty};

/// What holds for a value that is an `a` or a `b`.
pub fn join(a: &Ty, b: &Ty) -> Ty {
    join_in(a, b, &mut None)
}

/// The same for elements of a list: sizes of one element that are equal in both stay equal.
pub fn join_elements(a: &Ty, b: &Ty) -> Ty {
    match (a, b) {
        (Ty::Never, t) | (t, Ty::Never) => closed(t),
        _ if a == b => closed(a),
        _ => join_in(a, b, &mut Some(vec![])),
    }
}

/// Sizes that were joined, and what they became: those of the elements of a list.
type Pairs = Option<Vec<((Dim, Dim), Dim)>>;

fn join_in(a: &Ty, b: &Ty, pairs: &mut Pairs) -> Ty {
    if a == b && (pairs.is_none() || !has_sizes(a)) {
        return a.clone();
    }
    match (a, b) {
        (Ty::Never, t) | (t, Ty::Never) => t.clone(),
        (Ty::IntsOf(_), _) | (_, Ty::IntsOf(_)) => {
            join_in(&a.clone().forget_elements(), &b.clone().forget_elements(), pairs)
        }
        (Ty::Bool(_), Ty::Bool(_)) => Ty::Bool(None),
        (Ty::Int(_), Ty::Int(_)) => Ty::Int(Num::Unknown),
        (Ty::Str(_), Ty::Str(_)) => Ty::Str(None),
        (Ty::DType(_), Ty::DType(_)) => Ty::DType(None),
        (Ty::Range | Ty::SomeRange | Ty::RangeOf(_), Ty::Range | Ty::SomeRange | Ty::RangeOf(_)) => {
            range(has_element(a) && has_element(b))
        }
        (Ty::Tensor(x), Ty::Tensor(y)) => Ty::Tensor(join_tensors(x, y, pairs)),
        // A tensor of unknown rank may be a scalar.
        (Ty::Tensor(t), Ty::Float) | (Ty::Float, Ty::Tensor(t)) if t.dtype.is_none_or(|d| d.is_float()) => {
            Ty::Tensor(TensorTy { dtype: t.dtype, dims: None })
        }
        (Ty::Tuple(x), Ty::Tuple(y)) if x.len() == y.len() => Ty::tuple(join_all(x, y, pairs)),
        (Ty::List(x), Ty::List(y)) => Ty::List(Rc::new(join_lists(x, y, pairs))),
        (Ty::Dict(x), Ty::Dict(y)) => Ty::Dict(Rc::new(join_dicts(x, y, pairs))),
        (Ty::Struct(x), Ty::Struct(y)) if x.info == y.info => {
            let origin = if x.origin.0 == y.origin.0 { x.origin } else { Origin(None) };
            let fields = join_all(&x.fields, &y.fields, pairs);
            Ty::Struct(Rc::new(StructTy { info: x.info.clone(), fields, origin }))
        }
        (Ty::Fn(x), Ty::Fn(y)) => Ty::Fn(join_functions(x, y, pairs)),
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

fn join_all(a: &[Ty], b: &[Ty], pairs: &mut Pairs) -> Vec<Ty> {
    a.iter().zip(b).map(|(x, y)| join_in(x, y, pairs)).collect()
}

fn join_tensors(a: &TensorTy, b: &TensorTy, pairs: &mut Pairs) -> TensorTy {
    let dtype = if a.dtype == b.dtype { a.dtype } else { None };
    let dims = match (&a.dims, &b.dims) {
        (Some(x), Some(y)) if x.len() == y.len() => {
            Some(x.iter().zip(y).map(|(x, y)| join_dims(*x, *y, pairs)).collect::<Dims>())
        }
        _ => None,
    };
    TensorTy { dtype, dims }
}

fn join_dims(a: Dim, b: Dim, pairs: &mut Pairs) -> Dim {
    if matches!((a, b), (Dim::Unknown, _) | (_, Dim::Unknown)) {
        return Dim::Unknown;
    }
    match pairs {
        Some(pairs) if a != b || matches!(a, Dim::Sym(_)) => {
            if let Some((_, both)) = pairs.iter().find(|(pair, _)| *pair == (a, b)) {
                return *both;
            }
            let least = if a.is_positive() && b.is_positive() { 1 } else { 0 };
            let both = Num::each(pairs.len() as u32, Some(least)).into();
            pairs.push(((a, b), both));
            both
        }
        _ if a == b => a,
        _ if a.is_positive() && b.is_positive() => Dim::Some,
        _ => Dim::Unknown,
    }
}

fn join_lists(a: &ListTy, b: &ListTy, pairs: &mut Pairs) -> ListTy {
    let items = match (&a.items, &b.items) {
        (Some(x), Some(y)) if x.len() == y.len() => Some(join_all(x, y, pairs)),
        _ => None,
    };
    ListTy { items, element: join_elements(&a.element, &b.element), filled: a.filled && b.filled }
}

fn join_dicts(a: &DictTy, b: &DictTy, pairs: &mut Pairs) -> DictTy {
    let items = match (&a.items, &b.items) {
        (Some(x), Some(y)) if x.iter().map(|e| &e.0).eq(y.iter().map(|e| &e.0)) => {
            Some(x.iter().zip(y).map(|(x, y)| (x.0.clone(), join_in(&x.1, &y.1, pairs))).collect())
        }
        _ => None,
    };
    DictTy { items, value: join_in(&a.value, &b.value, pairs) }
}

fn join_functions(a: &FnTy, b: &FnTy, pairs: &mut Pairs) -> FnTy {
    match (a, b) {
        (FnTy::User { module, index, captures }, FnTy::User { module: m, index: i, captures: c })
            if (module, index) == (m, i) && captures.len() == c.len() =>
        {
            FnTy::User { module: *module, index: *index, captures: Rc::new(join_all(captures, c, pairs)) }
        }
        (FnTy::Made { transform, args }, FnTy::Made { transform: t, args: b })
            if transform == t && args.len() == b.len() =>
        {
            FnTy::Made { transform, args: Rc::new(join_all(args, b, pairs)) }
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
        Ty::Int(_) => Ty::Int(Num::Unknown),
        Ty::Str(_) => Ty::Str(None),
        Ty::RangeOf(_) => range(has_element(ty)),
        Ty::IntsOf(_) => widen(&ty.clone().forget_elements(), how),
        Ty::Tensor(t) if how == Widen::Dims => {
            let forget = |d: &Dim| if d.is_positive() { Dim::Some } else { Dim::Unknown };
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

/// Lists that have grown since `old` are of any length: they will grow on.
pub fn of_any_length(new: &Ty, old: &Ty) -> Ty {
    let all = |x: &[Ty], y: &[Ty]| x.iter().zip(y).map(|(x, y)| of_any_length(x, y)).collect::<Vec<Ty>>();
    match (new, old) {
        (Ty::List(x), Ty::List(y)) => match (&x.items, &y.items) {
            (Some(a), Some(b)) if a.len() == b.len() => new.clone(),
            (Some(_), _) => Ty::list_with(x.element.clone(), x.filled),
            _ => new.clone(),
        },
        (Ty::Tuple(x), Ty::Tuple(y)) if x.len() == y.len() => Ty::tuple(all(x, y)),
        (Ty::Struct(x), Ty::Struct(y)) if x.info == y.info => {
            Ty::Struct(Rc::new(StructTy { fields: all(&x.fields, &y.fields), ..(**x).clone() }))
        }
        _ => new.clone(),
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
