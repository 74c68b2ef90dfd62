//! Shape rules of indexing: from the types of tensor and index to the type of the part.
//!
//! In: argument types, the index as `ops/index.rs` describes it. Out: the part's type. Unknown items give an unknown rank;
//! what is certainly wrong gives the message of evaluation.

use super::index::{bad_item, no_parts};
use super::shape_rules::{self, dtype_of};
use crate::error::Result;
use crate::tensor::DType;
use crate::tensor::index::{in_range, mask_misfit, refuse, slice_bounds, too_many, value_misfit};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};

/// One item of an index, as far as it is known.
enum Item {
    At(Option<i64>),
    /// Each bound: known to be absent, known, or not known.
    Slice([Bound; 3]),
    New,
    Ellipsis,
    Ints(Option<Dims>),
    Mask(Option<Dims>),
    Unknown,
}

#[derive(Clone, Copy, PartialEq)]
enum Bound {
    Absent,
    Known(i64),
    /// An expression of variables.
    Sym(Num),
    Unknown,
}

fn bound(ty: &Ty) -> Bound {
    match ty {
        Ty::None => Bound::Absent,
        Ty::Int(Num::Known(i)) => Bound::Known(*i),
        Ty::Int(n @ Num::Sym(_)) => Bound::Sym(*n),
        _ => Bound::Unknown,
    }
}

fn item(ty: &Ty) -> Result<Item> {
    Ok(match ty {
        Ty::Int(i) => Item::At(i.known()),
        Ty::None => Item::New,
        Ty::Tuple(parts) => match &parts[..] {
            [a, b, c] => Item::Slice([bound(a), bound(b), bound(c)]),
            _ => return Err(bad_item("tuple")),
        },
        Ty::Str(Some(s)) if &**s == "..." => Item::Ellipsis,
        Ty::Str(Some(_)) => return Err(bad_item("str")),
        Ty::Tensor(t) => match t.dtype {
            Some(DType::Int) if t.dims.is_some() => Item::Ints(t.dims.clone()),
            Some(DType::Bool) if t.dims.is_some() => Item::Mask(t.dims.clone()),
            Some(DType::F32 | DType::F64)
                if t.dims.as_ref().is_some_and(|d| !d.is_empty() && !d.iter().any(may_be_empty)) =>
            {
                return Err(bad_item(&shape_rules::show(ty)));
            }
            _ => Item::Unknown,
        },
        Ty::Range => Item::Ints(Some(Dims::from_slice(&[Dim::Unknown]))),
        Ty::Float => return Err(bad_item("float")),
        Ty::Bool(_) => return Err(bad_item("bool")),
        Ty::Dict(_) => return Err(bad_item("dict")),
        Ty::List(_) => return Err(bad_item("list")),
        Ty::Fn(_) => return Err(bad_item("function")),
        _ => Item::Unknown,
    })
}

fn may_be_empty(dim: &Dim) -> bool {
    !dim.is_positive()
}

/// What is known of the length of a slice.
fn sliced(bounds: [Bound; 3], dim: Dim) -> Result<Dim> {
    let [start, stop, step] = bounds;
    let value = |b: Bound| match b {
        Bound::Absent => Some(None),
        Bound::Known(i) => Some(Some(i)),
        Bound::Sym(_) | Bound::Unknown => None,
    };
    if step == Bound::Known(0) {
        slice_bounds(None, None, 0, 1)?;
    }
    if let (Bound::Absent | Bound::Known(0), Bound::Absent, Bound::Absent | Bound::Known(1)) = (start, stop, step) {
        return Ok(dim);
    }
    match (value(start), value(stop), value(step), dim) {
        (Some(start), Some(stop), Some(step), Dim::Known(n)) => {
            Ok(Dim::Known(slice_bounds(start, stop, step.unwrap_or(1), n)?.1))
        }
        _ => {
            let end = |b: Bound| match b {
                Bound::Absent => Some(None),
                Bound::Known(i) => Some(Some(Num::Known(i))),
                Bound::Sym(n) => Some(Some(n)),
                Bound::Unknown => None,
            };
            match (end(start), end(stop), step) {
                (Some(start), Some(stop), Bound::Absent | Bound::Known(1)) => Ok(dim.map(|n| n.sliced(start, stop))),
                _ => Ok(Dim::Unknown),
            }
        }
    }
}

fn show_dims(dims: &[Dim]) -> String {
    crate::types::show::show_dims(dims)
}

fn known(dims: &[Dim]) -> Option<Vec<usize>> {
    dims.iter().map(|d| if let Dim::Known(n) = d { Some(*n) } else { None }).collect()
}

/// Dims of the part, `None` if its rank is not known.
fn selected(dims: &[Dim], index: &Ty) -> Result<Option<Dims>> {
    let items = match index {
        Ty::Tuple(items) => items.iter().map(item).collect::<Result<Vec<_>>>()?,
        one => vec![item(one)?],
    };
    let mut taken = 0;
    for item in &items {
        taken += match item {
            Item::At(_) | Item::Slice(_) | Item::Ints(_) => 1,
            Item::Mask(Some(m)) => m.len(),
            Item::Mask(None) | Item::Unknown => return Ok(None),
            Item::New | Item::Ellipsis => 0,
        };
    }
    if taken > dims.len() {
        return Err(too_many(taken, dims.len(), &show_dims(dims)));
    }
    if items.iter().filter(|i| matches!(i, Item::Ellipsis)).count() > 1 {
        return Ok(None);
    }
    let advanced = items.iter().any(|i| matches!(i, Item::Ints(_) | Item::Mask(_)));
    // Kept dims, or `None` where index tensors stand.
    let mut steps: Vec<Option<Dim>> = vec![];
    let mut sources: Vec<Dims> = vec![];
    let mut axis = 0;
    for item in items {
        let dim = dims.get(axis).copied().unwrap_or(Dim::Unknown);
        match item {
            Item::At(i) => {
                if let (Some(i), Dim::Known(n)) = (i, dim) {
                    in_range(i, axis, n)?;
                }
                if advanced {
                    sources.push(Dims::new());
                    steps.push(None);
                }
                axis += 1;
            }
            Item::Slice(bounds) => {
                steps.push(Some(sliced(bounds, dim)?));
                axis += 1;
            }
            Item::New | Item::Unknown => steps.push(Some(Dim::Known(1))),
            Item::Ellipsis => {
                let rest = dims.len() - taken;
                steps.extend(dims.iter().skip(axis).take(rest).map(|d| Some(*d)));
                axis += rest;
            }
            Item::Ints(shape) => {
                let Some(shape) = shape else { return Ok(None) };
                sources.push(shape);
                steps.push(None);
                axis += 1;
            }
            Item::Mask(shape) => {
                let Some(shape) = shape else { return Ok(None) };
                let own = dims.get(axis..axis + shape.len()).unwrap_or(&[]);
                if let (Some(mask), Some(own)) = (known(&shape), known(own))
                    && mask != own
                {
                    return Err(mask_misfit(&mask, &own, axis));
                }
                axis += shape.len();
                for _ in 0..shape.len() {
                    sources.push(Dims::from_slice(&[Dim::Unknown]));
                    steps.push(None);
                }
            }
        }
    }
    steps.extend(dims.iter().skip(axis).map(|d| Some(*d)));
    if !advanced {
        return Ok(Some(steps.into_iter().flatten().collect()));
    }
    let types: Vec<Ty> = sources.into_iter().map(|dims| Ty::of(Some(DType::Int), Some(dims))).collect();
    let Ok(Some(joined)) = shape_rules::broadcast("index", &types) else { return Ok(None) };
    let first = steps.iter().position(Option::is_none).unwrap_or(0);
    let last = steps.iter().rposition(Option::is_none).unwrap_or(0);
    let adjacent = steps.iter().skip(first).take(last + 1 - first).all(Option::is_none);
    let front = if adjacent { first } else { 0 };
    let mut out: Dims = steps.iter().take(front).flatten().copied().collect();
    out.extend(joined);
    out.extend(steps.iter().skip(front).flatten().copied());
    Ok(Some(out))
}

/// `get_index(x, index)`
pub fn infer_get(args: &[Ty]) -> Result<Ty> {
    let [x, index] = args else { return Ok(Ty::Any) };
    match x {
        Ty::Tensor(t) => match &t.dims {
            Some(dims) => Ok(Ty::of(t.dtype, selected(dims, index)?)),
            None => Ok(Ty::of(t.dtype, None)),
        },
        Ty::Float | Ty::Int(_) | Ty::Bool(_) => Err(no_parts(&shape_rules::show(x))),
        _ => Ok(Ty::Any),
    }
}

/// `_set_index(x, index, v)` and `_index_add`: the type of `x`.
pub fn infer_write(args: &[Ty], adds: bool) -> Result<Ty> {
    let [x, index, v] = args else { return Ok(Ty::Any) };
    let Ty::Tensor(t) = x else { return infer_get(&[x.clone(), index.clone()]) };
    if let (Some(into), Some(of)) = (t.dtype, dtype_of(v)) {
        let fits = match into {
            DType::Bool => of == DType::Bool && !adds,
            DType::Int => !of.is_float(),
            DType::F32 | DType::F64 => true,
        };
        if !fits {
            return Err(refuse(into, &shape_rules::show(v), of.is_float()));
        }
    }
    let Some(dims) = &t.dims else { return Ok(x.clone()) };
    if let (Some(part), Some(value)) = (selected(dims, index)?, v.dims())
        && let (Some(part), Some(mut value)) = (known(&part), known(&value))
    {
        while value.len() > part.len() && value.first() == Some(&1) {
            value.remove(0);
        }
        let fits =
            value.len() <= part.len() && value.iter().rev().zip(part.iter().rev()).all(|(a, b)| a == b || *a == 1);
        if !fits {
            return Err(value_misfit(&value, &part));
        }
    }
    Ok(x.clone())
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn table() -> Ty {
        Ty::tensor(DType::F32, &[2, 3])
    }

    fn tuple(items: &[Ty]) -> Ty {
        Ty::Tuple(Rc::new(items.to_vec()))
    }

    fn cut(start: Ty, stop: Ty) -> Ty {
        tuple(&[start, stop, Ty::None])
    }

    fn int(i: i64) -> Ty {
        Ty::Int(Num::Known(i))
    }

    #[track_caller]
    fn gives(items: &[Ty], want: Ty) {
        assert_eq!(infer_get(&[table(), tuple(items)]).unwrap(), want);
    }

    #[test]
    fn parts() {
        let t = |shape: &[usize]| Ty::tensor(DType::F32, shape);
        gives(&[int(0)], t(&[3]));
        gives(&[int(1), int(-1)], Ty::Float);
        gives(&[Ty::Int(Num::Unknown)], t(&[3]));
        gives(&[cut(Ty::None, Ty::None), int(0)], t(&[2]));
        gives(&[cut(int(0), int(1)), Ty::None], t(&[1, 1, 3]));
        gives(&[Ty::Str(Some("...".into())), int(0)], t(&[2]));
        gives(&[Ty::tensor(DType::Int, &[5])], t(&[5, 3]));
        gives(&[Ty::tensor(DType::Int, &[4, 1]), Ty::tensor(DType::Int, &[5])], t(&[4, 5]));
        let dims = Dims::from_slice(&[Dim::Unknown]);
        gives(&[Ty::tensor(DType::Bool, &[2, 3])], Ty::of(Some(DType::F32), Some(dims)));
        gives(&[Ty::Any], Ty::of(Some(DType::F32), None));
    }

    #[test]
    fn what_is_certainly_wrong() {
        let code = |items: &[Ty]| infer_get(&[table(), tuple(items)]).unwrap_err().0.code;
        assert_eq!(code(&[int(2)]), "E0401");
        assert_eq!(code(&[int(0), int(0), int(0)]), "E0402");
        assert_eq!(code(&[Ty::tensor(DType::Bool, &[3])]), "E0403");
        assert_eq!(code(&[Ty::Float]), "E0310");
        let write = |v: Ty| infer_write(&[table(), tuple(&[int(0)]), v], false);
        assert_eq!(write(Ty::tensor(DType::F32, &[2])).unwrap_err().0.code, "E0301");
        assert!(write(Ty::tensor(DType::F32, &[3])).is_ok());
        assert!(write(Ty::tensor(DType::F32, &[1, 1, 1])).is_ok());
        let counts = [Ty::tensor(DType::Int, &[3]), int(0), Ty::Float];
        assert_eq!(infer_write(&counts, false).unwrap_err().0.code, "E0306");
    }

    #[test]
    fn unknown_dims_are_no_errors() {
        let rows = Dim::from(Num::at_least(0));
        let n = Ty::of(Some(DType::F32), Some(Dims::from_slice(&[Dim::Unknown, rows])));
        assert_eq!(
            infer_get(&[n.clone(), int(99)]).unwrap(),
            Ty::of(Some(DType::F32), Some(Dims::from_slice(&[rows])))
        );
        assert!(infer_write(&[n, int(5), Ty::tensor(DType::F32, &[7])], false).is_ok());
    }
}
