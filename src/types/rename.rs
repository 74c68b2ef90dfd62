//! Variables of sizes in types: named where a value gets a name, exchanged where a function is followed for all calls of
//! one form, and made anew for each element of a list.

use std::rc::Rc;

use super::size::{Num, Var, VarId};
use super::ty::{DictTy, Dim, FnTy, ListTy, StructTy, TensorTy, Ty};

/// The type with each size replaced by what `f` makes of it. The element of a list of unknown length is closed: its
/// variables are of each element anew, and stay.
pub fn map_sizes(ty: &Ty, f: &mut impl FnMut(Num) -> Num) -> Ty {
    let mut all = |items: &Rc<Vec<Ty>>| map_all(items, f);
    match ty {
        Ty::Int(n @ Num::Sym(_)) => Ty::Int(f(*n)),
        Ty::Tensor(TensorTy { dtype, dims: Some(dims) }) if dims.iter().any(|d| matches!(d, Dim::Sym(_))) => {
            let new = |d: &Dim| if let Dim::Sym(s) = d { f(Num::Sym(*s)).into() } else { *d };
            Ty::Tensor(TensorTy { dtype: *dtype, dims: Some(dims.iter().map(new).collect()) })
        }
        Ty::Tuple(items) => Ty::Tuple(all(items)),
        Ty::List(list) if has_sizes(ty) => Ty::List(Rc::new(ListTy {
            items: list.items.as_ref().map(|items| items.iter().map(|t| map_sizes(t, f)).collect()),
            element: list.element.clone(),
            filled: list.filled,
        })),
        Ty::Dict(dict) if has_sizes(ty) => Ty::Dict(Rc::new(DictTy {
            items: dict.items.as_ref().map(|d| d.iter().map(|(k, t)| (k.clone(), map_sizes(t, f))).collect()),
            value: map_sizes(&dict.value, f),
        })),
        Ty::Struct(s) if s.fields.iter().any(has_sizes) => {
            let fields = s.fields.iter().map(|t| map_sizes(t, f)).collect();
            Ty::Struct(Rc::new(StructTy { info: s.info.clone(), fields, origin: s.origin }))
        }
        Ty::Fn(FnTy::User { module, index, captures }) => {
            Ty::Fn(FnTy::User { module: *module, index: *index, captures: all(captures) })
        }
        Ty::Fn(FnTy::Made { transform, args }) => Ty::Fn(FnTy::Made { transform, args: all(args) }),
        other => other.clone(),
    }
}

/// The same for several; shared if nothing is in them.
pub fn map_all(items: &Rc<Vec<Ty>>, f: &mut impl FnMut(Num) -> Num) -> Rc<Vec<Ty>> {
    if items.iter().any(has_sizes) { Rc::new(items.iter().map(|t| map_sizes(t, f)).collect()) } else { items.clone() }
}

/// True if there is a variable in it, besides those of list elements.
pub fn has_sizes(ty: &Ty) -> bool {
    match ty {
        Ty::Int(Num::Sym(_)) => true,
        Ty::Tensor(TensorTy { dims: Some(dims), .. }) => dims.iter().any(|d| matches!(d, Dim::Sym(_))),
        Ty::Tuple(items) => items.iter().any(has_sizes),
        Ty::List(list) => list.items.iter().flatten().any(has_sizes),
        Ty::Dict(dict) => dict.items.iter().flatten().any(|(_, t)| has_sizes(t)) || has_sizes(&dict.value),
        Ty::Struct(s) => s.fields.iter().any(has_sizes),
        Ty::Fn(FnTy::User { captures: items, .. } | FnTy::Made { args: items, .. }) => items.iter().any(has_sizes),
        _ => false,
    }
}

/// Gives each size that is not known a variable: it is one number from here on, whichever.
pub fn named(ty: &Ty) -> Ty {
    if let Ty::Int(Num::Unknown) = ty { Ty::Int(Num::made(None, None)) } else { named_dims(ty) }
}

/// True if there are dims to name.
pub fn has_unnamed_dims(ty: &Ty) -> bool {
    match ty {
        Ty::Tensor(TensorTy { dims: Some(dims), .. }) => dims.iter().any(|d| matches!(d, Dim::Some | Dim::Unknown)),
        Ty::Tuple(items) => items.iter().any(has_unnamed_dims),
        _ => false,
    }
}

/// The same for dims alone.
pub fn named_dims(ty: &Ty) -> Ty {
    let name = |d: &Dim| match d {
        Dim::Unknown => Num::at_least(0).into(),
        Dim::Some => Num::at_least(1).into(),
        known => *known,
    };
    match ty {
        Ty::Tensor(TensorTy { dtype, dims: Some(dims) })
            if dims.iter().any(|d| matches!(d, Dim::Some | Dim::Unknown)) =>
        {
            Ty::Tensor(TensorTy { dtype: *dtype, dims: Some(dims.iter().map(name).collect()) })
        }
        Ty::Tuple(items) if has_unnamed_dims(ty) => Ty::tuple(items.iter().map(named_dims).collect()),
        other => other.clone(),
    }
}

/// As the element of a list of unknown length: variables are of each element anew.
pub fn closed(ty: &Ty) -> Ty {
    let mut seen: Vec<Num> = vec![];
    map_sizes(ty, &mut |n| {
        let at = seen.iter().position(|s| *s == n).unwrap_or_else(|| {
            seen.push(n);
            seen.len() - 1
        });
        Num::each(at as u32, n.lower())
    })
}

/// One element of a list: its own variables are made.
pub fn renewed(element: &Ty) -> Ty {
    let mut made: Vec<(VarId, Num)> = vec![];
    map_sizes(element, &mut |n| {
        n.renamed(&mut |v| {
            let VarId::Each(_) = v.id else { return None };
            let known = made.iter().find(|(id, _)| *id == v.id).map(|(_, n)| *n);
            Some(known.unwrap_or_else(|| {
                let new = Num::made(None, v.min());
                made.push((v.id, new));
                new
            }))
        })
    })
}

/// The sizes among the arguments of a call that are no known numbers. Those of one call get numbers by the order of their
/// appearance, so that calls which differ in nothing else are one.
#[derive(Default)]
pub struct Params {
    /// As the call gives them: variables, or forms whose variables stand nowhere else.
    given: Vec<Num>,
    /// What stands for each of them while the body is followed.
    stand_ins: Vec<Num>,
}

impl Params {
    /// Those of the arguments `all`.
    pub fn of<'t>(all: impl Iterator<Item = &'t Ty>) -> Params {
        let mut forms: Vec<Num> = vec![];
        for ty in all.filter(|t| has_sizes(t)) {
            map_sizes(ty, &mut |n| {
                if !forms.contains(&n) {
                    forms.push(n);
                }
                n
            });
        }
        let vars: Vec<Vec<Var>> = forms
            .iter()
            .map(|n| {
                let mut vars = vec![];
                n.variables(&mut vars);
                vars
            })
            .collect();
        let mut given = vec![];
        for (i, form) in forms.iter().enumerate() {
            let own = vars.get(i).map_or(&[][..], Vec::as_slice);
            let shared = |v: &Var| vars.iter().enumerate().any(|(j, others)| j != i && others.contains(v));
            let parts = if own.iter().any(shared) {
                own.iter().map(|v| Num::renumbered(*v, v.id)).collect()
            } else {
                vec![*form]
            };
            given.extend(parts.into_iter().filter(|n| !given.contains(n)).collect::<Vec<Num>>());
        }
        Params { given, stand_ins: vec![] }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The argument with its sizes numbered.
    pub fn number(&self, ty: &Ty) -> Ty {
        exchange(ty, &self.given, |i, n| Num::param(i, n.lower()))
    }

    /// The argument with sizes that stand for its own, which the body knows.
    pub fn stand_in(&mut self, ty: &Ty) -> Ty {
        if self.stand_ins.is_empty() {
            self.stand_ins = self.given.iter().map(|n| Num::stand_in(*n)).collect();
        }
        exchange(ty, &self.given, |i, _| self.stand_ins.get(i as usize).copied().unwrap_or(Num::Unknown))
    }

    /// What the body gave, numbered.
    pub fn renumber(&self, result: &Ty) -> Ty {
        exchange(result, &self.stand_ins, |i, n| Num::param(i, n.lower()))
    }
}

/// Replaces `from[i]`, as a whole or as a variable of a form, by `to(i, from[i])`.
fn exchange(ty: &Ty, from: &[Num], to: impl Fn(u32, Num) -> Num) -> Ty {
    if from.is_empty() {
        return ty.clone();
    }
    let new = |n: Num| Some(to(from.iter().position(|f| *f == n)? as u32, n));
    map_sizes(ty, &mut |n| new(n).unwrap_or_else(|| n.renamed(&mut |v| new(Num::renumbered(v, v.id)))))
}

/// What a function gave as seen by a call: its arguments' sizes are those of the call, and variables that were made
/// inside, after the first `before`, are new ones.
pub struct Call<'p> {
    params: &'p Params,
    before: u32,
    renewed: Vec<(VarId, Num)>,
}

impl<'p> Call<'p> {
    pub fn new(params: &'p Params, before: u32) -> Call<'p> {
        Call { params, before, renewed: vec![] }
    }

    pub fn result(&mut self, ty: &Ty) -> Ty {
        map_sizes(ty, &mut |n| {
            n.renamed(&mut |v| match v.id {
                VarId::Param(i) => self.params.given.get(i as usize).copied(),
                VarId::Made(i) if i > self.before => {
                    let known = self.renewed.iter().find(|(id, _)| *id == v.id).map(|(_, n)| *n);
                    Some(known.unwrap_or_else(|| {
                        let new = Num::stand_in(Num::renumbered(v, v.id));
                        self.renewed.push((v.id, new));
                        new
                    }))
                }
                _ => None,
            })
        })
    }
}
