//! Builtins that take functions or structures, followed instead of asked: `map`, `filter`, `zip`, `enumerate`, `range`,
//! `len`, `list`, `dict`, `tree_map`, `sorted`, `push` and their like.

use std::cmp::Ordering;
use std::rc::Rc;

use super::Checker;
use super::call::{ArgVal, Outcome};
use super::host::HostArgs;
use super::join::{join, join_elements};
use super::literal::MAX_UNROLLED;
use super::pattern::{Count, Items};
use super::rename::renewed;
use super::size::Num;
use super::ty::{DictTy, Dim, Dims, FnTy, ListTy, StructTy, TensorTy, Ty};
use crate::source::Span;
use crate::tensor::DType;
use crate::value::{RangeValue, Value};

/// Entries of lists and dicts that are kept one by one.
const MAX_ITEMS: usize = 64;

impl Checker {
    /// The result of a builtin that the checker follows itself; `None` for all others.
    pub(super) fn structural(&mut self, name: &str, args: &HostArgs, site: Span) -> Option<Outcome> {
        let ty = match name {
            "list" => self.make_list(args),
            "map" => self.map(args, site),
            "filter" => {
                let (f, xs) = self.function_first(args);
                let (item, filled) = self.joined_items(&xs)?;
                self.perhaps(!filled, |c| c.call_quiet_result(&f, vec![item.clone()], args.span(0), site));
                Ty::list_of(item)
            }
            "zip" => self.zip(args)?,
            "sum" if args.from.iter().skip(1).all(Option::is_none) => self.sum_of(args.ty(0))?,
            "stack" | "concat" => self.joined(name, args)?,
            "enumerate" => self.enumerate(args)?,
            "reversed" => match args.ty(0) {
                Ty::List(list) => match &list.items {
                    Some(items) => Ty::list(items.iter().rev().cloned().collect()),
                    None => args.ty(0).clone(),
                },
                _ => return None,
            },
            "sorted" => {
                let (item, filled) = self.joined_items(args.ty(0))?;
                let key = args.ty(1).clone();
                if matches!(key, Ty::Fn(_)) {
                    self.perhaps(!filled, |c| c.call_quiet_result(&key, vec![item.clone()], args.span(1), site));
                }
                match args.ty(0) {
                    Ty::List(_) => Ty::list_with(item, filled),
                    _ => return None,
                }
            }
            "range" => self.make_range(args)?,
            "min" | "max" => extreme(name == "max", args)?,
            "len" => Ty::Int(length(args.ty(0)).or_else(|| range_length(args.ty(0)))?),
            "tree_map" => self.tree_map(args, site)?,
            "type" => Ty::Str(type_name(args.ty(0))),
            "str" => match args.ty(0) {
                Ty::DType(Some(dtype)) => Ty::Str(Some(dtype.to_string().into())),
                _ => return None,
            },
            "repr" if self.telling => match args.ty(0) {
                Ty::Str(Some(text)) => Ty::Str(Some(crate::show::repr(&Value::str(&**text)).into())),
                _ => return None,
            },
            "sum" => match args.ty(0) {
                Ty::Tuple(_) | Ty::List(_) => Ty::Any,
                _ => return None,
            },
            "zeros_like" | "ones_like" if args.ty(0).is_structure() => like(args.ty(0), 0),
            "push" => return Some(self.push(args)),
            "extend" => return Some(self.extend(args)),
            "insert" => {
                let Ty::List(list) = args.ty(0) else { return Some(changed(args, Ty::None, Ty::Any)) };
                let new = Ty::list_with(join_elements(&list.element, args.ty(2)), true);
                return Some(changed(args, Ty::None, new));
            }
            "pop" => {
                let Ty::List(list) = args.ty(0) else { return Some(changed(args, Ty::Any, Ty::Any)) };
                let element = if list.element == Ty::Never { Ty::Any } else { renewed(&list.element) };
                let new = Ty::list_of(list.element.clone());
                return Some(changed(args, element, new));
            }
            "set_dtype" => {
                self.set_dtype(args.ty(0));
                Ty::None
            }
            _ => return None,
        };
        Some(Outcome::of(ty))
    }

    /// One use at the top level is followed; elsewhere the default dtype becomes unknown.
    fn set_dtype(&mut self, ty: &Ty) {
        let straight = self.frame.function.0 == 0 && self.frame.branches == 0 && self.dtype.is_some();
        self.dtype = match ty {
            Ty::DType(Some(d)) if straight && d.is_float() => Some(*d),
            _ => None,
        };
        for spec in self.memo.values_mut().flatten() {
            spec.outdate();
        }
    }

    fn function_first(&self, args: &HostArgs) -> (Ty, Ty) {
        // `xs |> map(f)` arrives with the list first.
        match (args.ty(0), args.ty(1)) {
            (a, b @ (Ty::Fn(_) | Ty::Struct(_))) if !matches!(a, Ty::Fn(_)) => (b.clone(), a.clone()),
            (a, b) => (a.clone(), b.clone()),
        }
    }

    /// What a function gives for these arguments.
    pub(super) fn call_quiet_result(&mut self, f: &Ty, args: Vec<Ty>, place: Span, site: Span) -> Ty {
        let args = args.into_iter().map(|t| ArgVal::positional(t, place)).collect();
        let dead = self.frame.dead;
        let ty = self.call_value(f, args, place, site).ty;
        // The host calls it, perhaps never.
        self.frame.dead = dead;
        ty
    }

    /// One type for all elements, and whether there is one.
    fn joined_items(&mut self, ty: &Ty) -> Option<(Ty, bool)> {
        let items = self.items(ty);
        match items.joined() {
            Some((_, Count::Known(0))) | None => None,
            Some((item, count)) => Some((item, count.is_some())),
        }
    }

    fn map(&mut self, args: &HostArgs, site: Span) -> Ty {
        let (f, xs) = self.function_first(args);
        let more = match args.ty(2) {
            Ty::Tuple(more) => more.clone(),
            _ => Rc::default(),
        };
        if matches!(&f, Ty::Any) {
            return Ty::Any;
        }
        let mut columns = vec![];
        for xs in std::iter::once(&xs).chain(more.iter()) {
            columns.push(self.items(xs));
        }
        let length = columns.iter().map(|c| if let Items::Each(i) = c { i.len() } else { usize::MAX }).min();
        if let Some(n) = length
            && n <= MAX_UNROLLED
            && columns.iter().all(|c| matches!(c, Items::Each(_)))
        {
            let mut out = vec![];
            for i in 0..n {
                let row = columns.iter().map(|c| match c {
                    Items::Each(items) => items.get(i).cloned().unwrap_or_default(),
                    _ => Ty::Any,
                });
                let row = row.collect();
                out.push(self.call_quiet_result(&f, row, args.span(0), site));
            }
            return Ty::list(out);
        }
        let Some((row, filled)) = row_of(&columns) else { return Ty::Any };
        let item = self.perhaps(!filled, |c| c.call_quiet_result(&f, row, args.span(0), site));
        Ty::list_with(item, filled)
    }

    fn zip(&mut self, args: &HostArgs) -> Option<Ty> {
        let Ty::Tuple(sequences) = args.ty(0).clone() else { return None };
        let mut columns = vec![];
        for xs in sequences.iter() {
            columns.push(self.items(xs));
        }
        let each: Option<Vec<&Vec<Ty>>> =
            columns.iter().map(|c| if let Items::Each(items) = c { Some(items) } else { None }).collect();
        if let Some(each) = each
            && let Some(n) = each.iter().map(|c| c.len()).min()
            && n <= MAX_ITEMS
        {
            let row = |i: usize| Ty::tuple(each.iter().map(|c| c.get(i).cloned().unwrap_or_default()).collect());
            return Some(Ty::list((0..n).map(row).collect()));
        }
        let (row, filled) = row_of(&columns)?;
        Some(Ty::list_with(Ty::tuple(row), filled))
    }

    fn enumerate(&mut self, args: &HostArgs) -> Option<Ty> {
        match self.items(args.ty(0)) {
            Items::Each(items) if items.len() <= MAX_ITEMS => {
                let start = match args.ty(1) {
                    Ty::Int(start) => start.known(),
                    _ => None,
                };
                let pair = |(i, ty): (usize, &Ty)| {
                    let at = start.and_then(|s| s.checked_add(i64::try_from(i).ok()?));
                    Ty::tuple(vec![Ty::Int(at.into()), ty.clone()])
                };
                Some(Ty::list(items.iter().enumerate().map(pair).collect()))
            }
            items => {
                let (item, count) = items.joined()?;
                Some(Ty::list_with(Ty::tuple(vec![Ty::Int(Num::Unknown), item]), count.is_some()))
            }
        }
    }

    fn make_list(&mut self, args: &HostArgs) -> Ty {
        let Ty::Tuple(items) = args.ty(0) else { return Ty::list_of(Ty::Any) };
        match items.as_slice() {
            [Ty::Any] => Ty::list_of(Ty::Any),
            [Ty::Range] => Ty::list_of(Ty::Int(Num::Unknown)),
            [Ty::SomeRange] => Ty::list_with(Ty::Int(Num::Unknown), true),
            [Ty::RangeOf(r)] if r.len() <= MAX_ITEMS => {
                Ty::list((0..r.len()).map(|i| Ty::Int(Num::Known(r.at(i)))).collect())
            }
            [Ty::RangeOf(_)] => Ty::list_with(Ty::Int(Num::Unknown), true),
            all if all.len() <= MAX_ITEMS => Ty::list(all.to_vec()),
            all => Ty::list_with(all.iter().fold(Ty::Never, |a, b| join_elements(&a, b)), true),
        }
    }

    /// `dict(lr: 0.1)`
    pub(super) fn make_dict(&mut self, args: &[ArgVal]) -> Ty {
        let unknown = || Ty::Dict(Rc::new(DictTy { items: None, value: Ty::Any }));
        if args.len() > MAX_ITEMS {
            return unknown();
        }
        let mut items: Vec<(Rc<str>, Ty)> = vec![];
        for arg in args {
            match &arg.name {
                Some(name) => match items.iter_mut().find(|(k, _)| k == name) {
                    Some(entry) => entry.1 = arg.ty.clone(),
                    None => items.push((name.clone(), arg.ty.clone())),
                },
                None => return unknown(),
            }
        }
        let value = items.iter().fold(Ty::Never, |a, (_, t)| join(&a, t));
        Ty::Dict(Rc::new(DictTy { items: Some(items), value }))
    }

    fn make_range(&mut self, args: &HostArgs) -> Option<Ty> {
        match (args.ty(0), args.ty(1), args.ty(2)) {
            (Ty::Int(Num::Known(stop)), Ty::None, Ty::Int(Num::Known(1))) => {
                Some(Ty::RangeOf(RangeValue { start: 0, stop: *stop, step: 1 }))
            }
            (Ty::Int(Num::Known(start)), Ty::Int(Num::Known(stop)), Ty::Int(Num::Known(step))) if *step != 0 => {
                Some(Ty::RangeOf(RangeValue { start: *start, stop: *stop, step: *step }))
            }
            _ => None,
        }
    }

    fn tree_map(&mut self, args: &HostArgs, site: Span) -> Option<Ty> {
        let (f, t) = self.function_first(args);
        let more = match args.ty(2) {
            Ty::Tuple(more) => more.to_vec(),
            _ => return None,
        };
        let mut parts = vec![t];
        parts.extend(more);
        Some(self.map_leaves(&f, &parts, args.span(0), site, 0))
    }

    fn map_leaves(&mut self, f: &Ty, parts: &[Ty], place: Span, site: Span, depth: usize) -> Ty {
        let Some(lead) = parts.first() else { return Ty::Any };
        if depth > 16 || matches!(lead, Ty::Any) {
            return Ty::Any;
        }
        let each = |checker: &mut Checker, n: usize| -> Option<Vec<Ty>> {
            let mut out = vec![];
            for i in 0..n {
                let row: Option<Vec<Ty>> = parts.iter().map(|p| child(p, i)).collect();
                out.push(checker.map_leaves(f, &row?, place, site, depth + 1));
            }
            Some(out)
        };
        match lead {
            Ty::Tuple(items) => each(self, items.len()).map_or(Ty::Any, Ty::tuple),
            Ty::List(list) => match &list.items {
                Some(items) if items.len() <= MAX_UNROLLED => each(self, items.len()).map_or(Ty::Any, Ty::list),
                _ => Ty::Any,
            },
            Ty::Struct(s) => match each(self, s.fields.len()) {
                Some(fields) => Ty::Struct(Rc::new(StructTy { fields, ..(**s).clone() })),
                None => Ty::Any,
            },
            Ty::Dict(d) if d.items.is_some() => {
                let entries = d.items.clone().unwrap_or_default();
                match each(self, entries.len()) {
                    Some(values) => {
                        let value = values.iter().fold(Ty::Never, |a, b| join(&a, b));
                        let items = entries.into_iter().map(|e| e.0).zip(values).collect();
                        Ty::Dict(Rc::new(DictTy { items: Some(items), value }))
                    }
                    None => Ty::Any,
                }
            }
            Ty::Dict(_) => Ty::Any,
            Ty::Float | Ty::Int(_) | Ty::Bool(_) | Ty::Tensor(_) => {
                if parts.iter().any(|p| matches!(p, Ty::None)) {
                    return lead.clone();
                }
                if parts.iter().any(|p| matches!(p, Ty::Any) || p.is_structure()) {
                    return Ty::Any;
                }
                self.call_quiet_result(f, parts.to_vec(), place, site)
            }
            other => other.clone(),
        }
    }

    fn push(&mut self, args: &HostArgs) -> Outcome {
        let new = match args.ty(0) {
            Ty::List(list) => match &list.items {
                Some(items) if items.len() < MAX_ITEMS => {
                    let mut items = items.clone();
                    items.push(args.ty(1).clone());
                    Ty::List(Rc::new(ListTy {
                        element: join_elements(&list.element, args.ty(1)),
                        items: Some(items),
                        filled: true,
                    }))
                }
                _ => Ty::list_with(join_elements(&list.element, args.ty(1)), true),
            },
            _ => Ty::Any,
        };
        changed(args, Ty::None, new)
    }

    fn extend(&mut self, args: &HostArgs) -> Outcome {
        let more = self.items(args.ty(1));
        let new = match (args.ty(0), more) {
            (Ty::List(list), Items::Each(more)) => match &list.items {
                Some(items) if items.len() + more.len() <= MAX_ITEMS => {
                    Ty::list(items.iter().cloned().chain(more).collect())
                }
                _ => {
                    let filled = list.filled || !more.is_empty();
                    Ty::list_with(more.iter().fold(list.element.clone(), |a, b| join_elements(&a, b)), filled)
                }
            },
            (Ty::List(list), Items::Repeated { item, count }) => {
                Ty::list_with(join_elements(&list.element, &item), list.filled || count.is_some())
            }
            _ => Ty::Any,
        };
        changed(args, Ty::None, new)
    }
}

/// One argument of each column, and whether all have an element; `None` if one is no sequence.
fn row_of(columns: &[Items]) -> Option<(Vec<Ty>, bool)> {
    let columns: Option<Vec<(Ty, Count)>> = columns.iter().map(Items::joined).collect();
    let columns = columns?;
    let filled = columns.iter().all(|(_, count)| count.is_some());
    Some((columns.into_iter().map(|(item, _)| item).collect(), filled))
}

/// A builtin that leaves something else in its first argument.
fn changed(args: &HostArgs, ty: Ty, new: Ty) -> Outcome {
    let outs = args.from.first().copied().flatten().map(|i| (i, new)).into_iter().collect();
    Outcome { ty, outs }
}

fn child(ty: &Ty, i: usize) -> Option<Ty> {
    match ty {
        Ty::Tuple(items) => items.get(i).cloned(),
        Ty::List(list) => list.items.as_ref()?.get(i).cloned(),
        Ty::Struct(s) => s.fields.get(i).cloned(),
        Ty::Dict(d) => d.items.as_ref()?.get(i).map(|e| e.1.clone()),
        Ty::None => Some(Ty::None),
        _ => None,
    }
}

impl Checker {
    /// The sum of a list that certainly has an element, if its elements are of one type.
    fn sum_of(&mut self, ty: &Ty) -> Option<Ty> {
        let Ty::List(_) = ty else { return None };
        let (item, filled) = self.joined_items(ty)?;
        if !filled {
            return None;
        }
        match &item {
            Ty::Float => Some(item),
            // Elements of several shapes broadcast.
            Ty::Tensor(t) if t.dtype.is_some_and(|d| d != DType::Bool) => {
                t.dims.as_ref().is_some_and(|d| d.iter().all(|d| matches!(d, Dim::Known(_)))).then_some(item)
            }
            _ => None,
        }
    }

    /// What joins the elements of a list of unknown length: along a new axis all are of one shape, which is that of one.
    fn joined(&mut self, name: &str, args: &HostArgs) -> Option<Ty> {
        let Ty::List(list) = args.ty(0) else { return None };
        if list.items.is_some() {
            return None;
        }
        let Ty::Tensor(TensorTy { dtype, dims: Some(dims) }) = renewed(&list.element) else { return None };
        let Ty::Int(Num::Known(axis)) = args.ty(1) else { return None };
        let mut out: Dims = dims.iter().map(|d| if *d == Dim::Some { Dim::Unknown } else { *d }).collect();
        let rank = dims.len() + usize::from(name == "stack");
        let at = super::index::position(*axis, rank)?;
        match name {
            "stack" => out.insert(at, Dim::Some),
            _ => *out.get_mut(at)? = Dim::Unknown,
        }
        Some(Ty::Tensor(TensorTy { dtype, dims: Some(out) }))
    }
}

/// `len(x)`: known, or known to be an int that is 0 or more.
fn length(ty: &Ty) -> Option<Num> {
    let (n, filled) = match ty {
        Ty::Tuple(items) => (Some(items.len()), false),
        Ty::List(list) => (list.items.as_ref().map(Vec::len), list.filled),
        Ty::Dict(dict) => (dict.items.as_ref().map(Vec::len), false),
        Ty::Str(text) => (text.as_ref().map(|t| t.chars().count()), false),
        Ty::Tensor(TensorTy { dims: Some(dims), .. }) => {
            return Some(match dims.first() {
                Some(Dim::Unknown) | None => Num::at_least(0),
                Some(Dim::Some) => Num::at_least(1),
                Some(dim) => (*dim).into(),
            });
        }
        _ => return None,
    };
    Some(n.and_then(|n| i64::try_from(n).ok()).map_or_else(|| Num::at_least(i64::from(filled)), Num::Known))
}

fn range_length(ty: &Ty) -> Option<Num> {
    match ty {
        Ty::RangeOf(r) => Some(i64::try_from(r.len()).ok().into()),
        Ty::Range => Some(Num::at_least(0)),
        Ty::SomeRange => Some(Num::at_least(1)),
        _ => None,
    }
}

/// `min` and `max` of known ints.
fn extreme(largest: bool, args: &HostArgs) -> Option<Ty> {
    let pick = |a: Num, b: Num| match (largest, a, b) {
        (false, a, b) => a.min(b),
        (true, Num::Known(a), Num::Known(b)) => Num::Known(a.max(b)),
        (true, a, b) => match a.order(b) {
            Some(Ordering::Less) => b,
            Some(_) => a,
            None => Num::Unknown,
        },
    };
    let whole = (2..args.types.len()).all(|i| !args.is_given(i));
    let picked = match (args.ty(0), args.ty(1)) {
        (Ty::Int(a), Ty::Int(b)) if whole => pick(*a, *b),
        (Ty::Int(a), Ty::None) if whole => *a,
        (Ty::Tuple(items), Ty::None) if whole => {
            let ints: Option<Vec<Num>> =
                items.iter().map(|t| if let Ty::Int(n) = t { Some(*n) } else { None }).collect();
            ints?.into_iter().reduce(pick)?
        }
        _ => return None,
    };
    (picked != Num::Unknown).then_some(Ty::Int(picked))
}

/// What `type(x)` gives.
fn type_name(ty: &Ty) -> Option<Rc<str>> {
    let name = match ty {
        Ty::None => "none",
        Ty::Bool(_) => "bool",
        Ty::Int(_) => "int",
        Ty::Float => "float",
        Ty::Str(_) => "str",
        Ty::Tensor(TensorTy { dims: Some(_), .. }) => "tensor",
        Ty::Tuple(_) => "tuple",
        Ty::List(_) => "list",
        Ty::Dict(_) => "dict",
        Ty::Range | Ty::SomeRange | Ty::RangeOf(_) => "range",
        Ty::Struct(s) => return Some(s.info.name.clone()),
        // What is only known to be a function may be a struct that can be called.
        Ty::Fn(FnTy::User { .. } | FnTy::Builtin(_) | FnTy::Made { .. }) => "function",
        Ty::StructType(_) => "struct",
        Ty::DType(_) => "dtype",
        Ty::Module(_) => "module",
        _ => return None,
    };
    Some(name.into())
}

/// A structure of zeros like another; what is no number stays.
fn like(ty: &Ty, depth: usize) -> Ty {
    if depth > 16 {
        return Ty::Any;
    }
    let all = |items: &[Ty]| items.iter().map(|t| like(t, depth + 1)).collect::<Vec<Ty>>();
    match ty {
        Ty::Tuple(items) => Ty::tuple(all(items)),
        Ty::List(list) => {
            let items = list.items.as_ref().map(|i| all(i));
            Ty::List(Rc::new(ListTy { items, element: like(&list.element, depth + 1), filled: list.filled }))
        }
        Ty::Struct(s) => Ty::Struct(Rc::new(StructTy { fields: all(&s.fields), ..(**s).clone() })),
        Ty::Float => Ty::Float,
        Ty::Tensor(t) if t.dtype.is_none_or(DType::is_float) => ty.clone(),
        Ty::Never => Ty::Never,
        Ty::Fn(FnTy::Unknown) | Ty::Str(_) | Ty::None => Ty::Any,
        _ => Ty::Any,
    }
}
