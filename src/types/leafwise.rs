//! Elementwise primitives on structures, leaf by leaf, as `ad::leafwise` does it with values.

use std::rc::Rc;

use super::join::join;
use super::ty::{DictTy, StructTy, Ty};
use crate::ad::leafwise::{made_inexact, met_array};
use crate::error::{Error, Result};
use crate::ops::prim::{Eval, Prim};

/// What a primitive says of these types; elementwise ones go into structures.
pub(super) fn infer_prim(prim: &Prim, args: &[Ty]) -> Result<Ty> {
    if matches!(prim.eval, Eval::Elementwise(_)) && args.iter().any(Ty::is_structure) {
        return infer_leafwise(prim, args, 0);
    }
    if args.iter().any(|ty| matches!(ty, Ty::SomeRange | Ty::RangeOf(_) | Ty::IntsOf(_) | Ty::Never)) {
        let plain: Vec<Ty> = args.iter().map(plain).collect();
        return (prim.infer)(&plain);
    }
    (prim.infer)(args)
}

/// As `infer` rules know it.
pub(super) fn plain(ty: &Ty) -> Ty {
    match ty {
        Ty::SomeRange | Ty::RangeOf(_) => Ty::Range,
        Ty::Never => Ty::Any,
        Ty::IntsOf(_) => ty.clone().forget_elements(),
        other => other.clone(),
    }
}

fn infer_leafwise(prim: &Prim, args: &[Ty], depth: usize) -> Result<Ty> {
    let Some(lead) = args.iter().find(|a| a.is_structure()) else { return infer_prim(prim, args) };
    if depth > 16 || args.iter().any(|a| matches!(a, Ty::Any)) {
        return Ok(Ty::Any);
    }
    for (i, other) in args.iter().enumerate().filter(|(_, a)| a.is_structure()) {
        differ(prim, lead, other, i)?;
    }
    let is_array = |t: &Ty| matches!(t, Ty::Tensor(t) if t.dims.is_some());
    if let (Ty::Struct(_), [_, _], Some(at)) = (lead, args, args.iter().position(is_array)) {
        let shown = |i: usize| args.get(i).map_or_else(String::new, super::show::show_kind);
        return Err(met_array(prim.shown(), (1 - at, &shown(1 - at)), (at, &shown(at))));
    }
    let part = |i: usize| -> Result<Ty> {
        // Nearly all have one or two operands.
        match args {
            [a] => infer_part(prim, args, &[part_of(a, i)], depth),
            [a, b] => infer_part(prim, args, &[part_of(a, i), part_of(b, i)], depth),
            _ => infer_part(prim, args, &args.iter().map(|a| part_of(a, i)).collect::<Vec<Ty>>(), depth),
        }
    };
    match lead {
        Ty::Tuple(items) => Ok(Ty::tuple((0..items.len()).map(part).collect::<Result<_>>()?)),
        Ty::List(_) => {
            let length = args.iter().find_map(|a| match a {
                Ty::List(l) => l.items.as_ref().map(Vec::len),
                _ => None,
            });
            let all_known = args.iter().all(|a| !matches!(a, Ty::List(l) if l.items.is_none()));
            match length {
                Some(n) if all_known => Ok(Ty::list((0..n).map(part).collect::<Result<_>>()?)),
                _ => {
                    let parts: Vec<Ty> = args.iter().map(element_of).collect();
                    Ok(Ty::list_of(infer_part(prim, args, &parts, depth).unwrap_or(Ty::Any)))
                }
            }
        }
        Ty::Dict(dict) => match &dict.items {
            Some(items) if args.iter().all(|a| !matches!(a, Ty::Dict(d) if d.items.is_none())) => {
                let mut out = vec![];
                for (i, (key, _)) in items.iter().enumerate() {
                    out.push((key.clone(), part(i)?));
                }
                let value = out.iter().fold(Ty::Never, |a, (_, t)| join(&a, t));
                Ok(Ty::Dict(Rc::new(DictTy { items: Some(out), value })))
            }
            _ => Ok(Ty::Dict(Rc::new(DictTy { items: None, value: Ty::Any }))),
        },
        Ty::Struct(s) => {
            let mut fields = vec![];
            for (i, field) in s.info.fields.iter().enumerate() {
                if field.nograd {
                    let all = args.iter().filter(|a| a.is_structure()).map(|a| part_of(a, i));
                    fields.push(all.into_iter().find(|t| *t != Ty::None).unwrap_or(Ty::None));
                } else {
                    let made = part(i)?;
                    let held = || args.iter().filter(|a| a.is_structure()).map(|a| part_of(a, i));
                    if let (Some(kind), Ty::Float | Ty::Tensor(_)) = (field.exact, &made)
                        && held().any(|t| matches!(t, Ty::Int(_) | Ty::Bool(_)))
                    {
                        let at = args.iter().position(Ty::is_structure).unwrap_or(0);
                        return Err(made_inexact(prim.shown(), kind, &field.name, &s.info.name, at));
                    }
                    fields.push(made);
                }
            }
            Ok(Ty::Struct(Rc::new(StructTy { info: s.info.clone(), fields, origin: s.origin })))
        }
        _ => Ok(Ty::Any),
    }
}

/// One leaf: `parts` of the operands `whole`. A `none` adds nothing and scales to `none`; what is no number is left to run time.
fn infer_part(prim: &Prim, whole: &[Ty], parts: &[Ty], depth: usize) -> Result<Ty> {
    let held = || whole.iter().zip(parts).filter(|(whole, _)| whole.is_structure()).map(|(_, part)| part);
    if held().any(|t| *t == Ty::None) {
        let adds = matches!(prim.name, "add" | "sub") && parts.len() == 2;
        let kept = held().find(|t| **t != Ty::None);
        return Ok(match kept {
            Some(_) if parts.contains(&Ty::Any) => Ty::Any,
            Some(ty) if adds => super::join::widen(ty, super::join::Widen::Constants),
            _ => Ty::None,
        });
    }
    if parts.iter().any(Ty::is_structure) {
        return infer_leafwise(prim, parts, depth + 1);
    }
    let numeric = |t: &Ty| matches!(t, Ty::Float | Ty::Int(_) | Ty::Bool(_) | Ty::Tensor(_));
    if !parts.iter().all(numeric) {
        return Ok(Ty::Any);
    }
    match super::operator::fold_prim(prim.name, parts) {
        Some(known) => Ok(known),
        None => infer_prim(prim, parts),
    }
}

fn part_of(ty: &Ty, i: usize) -> Ty {
    match ty {
        Ty::Tuple(items) => items.get(i).cloned().unwrap_or_default(),
        Ty::List(list) => list.items.as_ref().and_then(|l| l.get(i)).cloned().unwrap_or_default(),
        Ty::Dict(dict) => dict.items.as_ref().and_then(|d| d.get(i)).map(|e| e.1.clone()).unwrap_or_default(),
        Ty::Struct(s) => s.fields.get(i).cloned().unwrap_or_default(),
        other => other.clone(),
    }
}

fn element_of(ty: &Ty) -> Ty {
    match ty {
        Ty::List(list) if list.element == Ty::Never => Ty::Any,
        Ty::List(list) => super::rename::renewed(&list.element),
        other => other.clone(),
    }
}

/// An error if two structures are certainly built differently.
fn differ(prim: &Prim, a: &Ty, b: &Ty, at: usize) -> Result<()> {
    let fits = match (a, b) {
        (Ty::Tuple(x), Ty::Tuple(y)) => x.len() == y.len(),
        (Ty::List(x), Ty::List(y)) => match (&x.items, &y.items) {
            (Some(x), Some(y)) => x.len() == y.len(),
            _ => true,
        },
        (Ty::Dict(x), Ty::Dict(y)) => match (&x.items, &y.items) {
            (Some(x), Some(y)) => x.iter().map(|e| &e.0).eq(y.iter().map(|e| &e.0)),
            _ => true,
        },
        (Ty::Struct(x), Ty::Struct(y)) => x.info == y.info,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let what = |ty: &Ty| match ty {
        Ty::List(l) => match &l.items {
            Some(items) => format!("a list of {}", items.len()),
            None => "a list".into(),
        },
        Ty::Dict(d) => match &d.items {
            Some(items) => {
                format!("a dict with {}", items.iter().map(|e| &*e.0).collect::<Vec<_>>().join(", "))
            }
            None => "a dict".into(),
        },
        other => super::show::show_a(other),
    };
    Err(Error::new("E0304", format!("`{}` acts leaf by leaf, and these two are built differently", prim.shown()))
        .operand(0, format!("this is {}", what(a)))
        .operand(at, format!("this is {}", what(b)))
        .help(crate::ad::leafwise::BUILT_ALIKE))
}
