//! `stack`, `concat`, and `split` of tensors: lists of tensors in, primitives applied to their elements.

use crate::builtins::fail::{self, arity, with_article, wrong_kind};
use crate::builtins::{Builtin, iterate};
use crate::error::{Error, Result};
use crate::ops::index::{GET_INDEX, part_index, slice};
use crate::ops::join::{CONCAT, STACK};
use crate::ops::operand;
use crate::ops::prim::{Default, Param, Prim, Sig, opt, req};
use crate::types::join::join_elements;
use crate::types::ty::{Dim, Ty};
use crate::value::Value;
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&STACK_LIST, &CONCAT_LIST];

const PARTS: &[Param] = &[req("parts"), opt("axis", Default::Int(0))];

static STACK_LIST: Builtin = Builtin {
    name: "stack",
    doc: "The parts (a list or tuple of scalars, or of tensors of one shape) joined along a new axis at `axis`: \
          `stack((a, b))[0]` is `a`.",
    sig: Sig { params: PARTS },
    infer: |args| infer(&STACK, args),
    run: |vm, args| join(vm, &STACK, "stack", args),
};

static CONCAT_LIST: Builtin = Builtin {
    name: "concat",
    doc: "The parts (a list or tuple of tensors that differ along `axis` at most) joined along `axis`: \
          `concat(([1, 2], [3]))` is `[1, 2, 3]`. Lists make one list, tuples one tuple: `concat(list(list(1), list(2)))`.",
    sig: Sig { params: PARTS },
    infer: |args| infer(&CONCAT, args),
    run: |vm, args| join(vm, &CONCAT, "concat", args),
};

/// The error for an axis that is none, as the second of two tensors that are given side by side.
#[cold]
pub fn not_an_axis(name: &str, kind: &str) -> Error {
    Error::new("E0310", format!("the axis of {name} is {kind}, not an int"))
        .help(format!("pass the parts as one list or tuple: {name}((a, b))"))
}

fn join(vm: &mut Vm, prim: &'static Prim, name: &str, args: &[Value]) -> Result<Value> {
    let [parts, axis] = args else { return Err(arity(name)) };
    if !matches!(axis, Value::Int(_)) {
        let kind = fail::with_article(&axis.type_name());
        return Err(not_an_axis(name, &kind).operand(1, format!("this is {kind}")));
    }
    if !matches!(parts, Value::List(_) | Value::Tuple(_)) && parts.tensor_dtype().is_none() {
        return Err(wrong_kind(name, 0, "a list or tuple of tensors", parts));
    }
    let items = iterate::items(&mut vm.cx, parts)?;
    if std::ptr::eq(prim, &CONCAT)
        && matches!(axis, Value::Int(0))
        && let Some(joined) = joined_collections(&items)
    {
        return Ok(joined);
    }
    let mut given = Vec::with_capacity(items.len() + 1);
    given.push(axis.clone());
    given.extend(items);
    vm.cx.apply(prim, &given)
}

/// Lists as one list, tuples as one tuple; `None` for all else.
fn joined_collections(items: &[Value]) -> Option<Value> {
    let list = |v: &Value| if let Value::List(items) = v { Some(items.to_vec()) } else { None };
    let tuple = |v: &Value| if let Value::Tuple(items) = v { Some(items.to_vec()) } else { None };
    match items.first()? {
        Value::List(_) => Some(Value::list(items.iter().map(list).collect::<Option<Vec<_>>>()?.concat())),
        Value::Tuple(_) => Some(Value::tuple(items.iter().map(tuple).collect::<Option<Vec<_>>>()?.concat())),
        _ => None,
    }
}

fn infer_collections(items: &[Ty]) -> Option<Ty> {
    let tuple = |ty: &Ty| if let Ty::Tuple(items) = ty { Some(items.to_vec()) } else { None };
    let list = |ty: &Ty| if let Ty::List(list) = ty { Some(list.clone()) } else { None };
    match items.first()? {
        Ty::Tuple(_) => Some(Ty::tuple(items.iter().map(tuple).collect::<Option<Vec<_>>>()?.concat())),
        Ty::List(_) => {
            let lists = items.iter().map(list).collect::<Option<Vec<_>>>()?;
            Some(match lists.iter().map(|l| l.items.clone()).collect::<Option<Vec<_>>>() {
                Some(all) => Ty::list(all.concat()),
                None => Ty::list_with(
                    lists.iter().fold(Ty::Never, |a, l| join_elements(&a, &l.element)),
                    lists.iter().any(|l| l.filled),
                ),
            })
        }
        _ => None,
    }
}

fn infer(prim: &'static Prim, args: &[Ty]) -> Result<Ty> {
    let [parts, axis] = args else { return Ok(Ty::Any) };
    let items = match parts {
        Ty::Tuple(items) => items.to_vec(),
        Ty::List(list) => match &list.items {
            Some(items) => items.clone(),
            None => return Ok(Ty::Any),
        },
        _ => return Ok(Ty::Any),
    };
    if std::ptr::eq(prim, &CONCAT) {
        if let Some(joined) = infer_collections(&items) {
            return Ok(joined);
        }
        // Parts of which something is unknown may be lists.
        if items.iter().any(|t| matches!(t, Ty::Any))
            && items.iter().all(|t| matches!(t, Ty::Any | Ty::List(_) | Ty::Tuple(_)))
        {
            return Ok(Ty::Any);
        }
    }
    let mut given = vec![axis.clone()];
    given.extend(items);
    (prim.infer)(&given)
}

/// Where the parts of a split lie: start and length.
fn bounds(parts: &Value, n: usize, axis: usize) -> Result<Vec<(usize, usize)>> {
    let sizes: Vec<usize> = match parts {
        Value::Int(k) => {
            let k = usize::try_from(*k).unwrap_or(0);
            if k == 0 || !n.is_multiple_of(k) {
                let shown = if let Value::Int(k) = parts { *k } else { 0 };
                return Err(Error::new(
                    fail::BAD_ARGUMENT,
                    format!("axis {axis} of length {n} does not split into {shown} equal parts"),
                )
                .operand(1, "the number of parts")
                .help("give the sizes of the parts instead: split(x, (2, 3))"));
            }
            vec![n / k; k]
        }
        other => {
            let sizes = operand::ints("split", "the sizes", other)?;
            let total = sizes.iter().try_fold(0i64, |sum, &s| if s < 0 { None } else { sum.checked_add(s) });
            if total != i64::try_from(n).ok() {
                let shown: Vec<String> = sizes.iter().map(i64::to_string).collect();
                return Err(Error::new(
                    fail::BAD_ARGUMENT,
                    format!("parts of the sizes ({}) do not make up axis {axis} of length {n}", shown.join(", ")),
                )
                .operand(1, "the sizes of the parts"));
            }
            sizes.into_iter().map(|s| s as usize).collect()
        }
    };
    let mut start = 0;
    let with_start = sizes.into_iter().map(|size| {
        start += size;
        (start - size, size)
    });
    Ok(with_start.collect())
}

/// Where another axis splits evenly, that is what was meant.
fn name_other_axis(error: Error, parts: &Value, axis: usize, lengths: &[Option<usize>]) -> Error {
    let Value::Int(k) = parts else { return error };
    let Some(k) = usize::try_from(*k).ok().filter(|k| *k > 1) else { return error };
    let even = |(i, n): (usize, &Option<usize>)| Some((i, (*n)?)).filter(|(i, n)| *i != axis && *n > 0 && n % k == 0);
    match lengths.iter().enumerate().rev().find_map(even) {
        Some((at, n)) => error.help(format!("axis {at} has length {n}, which does: split(x, {k}, axis: {at})")),
        None => error,
    }
}

/// A tensor in parts along an axis, as a list: as many equal ones, or ones of the given sizes.
pub fn split(vm: &mut Vm, x: &Value, parts: &Value, axis: &Value) -> Result<Value> {
    let shape = x.shape().filter(|s| !s.is_empty()).ok_or_else(|| wrong_kind("split", 0, "a str or tensor", x))?;
    let axis = operand::axis("split", Some(axis), shape.len())?;
    let n = shape.get(axis).copied().unwrap_or(0);
    let lengths: Vec<Option<usize>> = shape.iter().map(|n| Some(*n)).collect();
    let places = bounds(parts, n, axis).map_err(|e| {
        let e = e.operand(0, format!("this is {}", with_article(&x.type_name())));
        name_other_axis(e, parts, axis, &lengths)
    })?;
    let mut out = Vec::with_capacity(places.len());
    for (start, size) in places {
        let index = part_index(axis, slice(start, start + size));
        out.push(vm.cx.apply(&GET_INDEX, &[x.clone(), index])?);
    }
    Ok(Value::list(out))
}

/// The type of [`split`]: a list of tensors of the dtype of `x`.
pub fn infer_split(x: &Ty, parts: &Ty, axis: &Ty) -> Result<Ty> {
    let Ty::Tensor(t) = x else { return Ok(Ty::list_of(Ty::Any)) };
    let unknown = Ty::list_of(Ty::of(t.dtype, None));
    let (Some(dims), Some(sizes)) = (&t.dims, operand::known_ints(Some(parts))) else { return Ok(unknown) };
    let Some(axis) = operand::known_axis("split", Some(axis), dims.len())? else { return Ok(unknown) };
    let Some(Dim::Known(n)) = dims.get(axis) else { return Ok(unknown) };
    let given = match (parts, sizes.as_slice()) {
        (Ty::Int(_), [k]) => Value::Int(*k),
        _ => Value::tuple(sizes.iter().map(|k| Value::Int(*k)).collect()),
    };
    let lengths: Vec<Option<usize>> =
        dims.iter().map(|d| if let Dim::Known(n) = d { Some(*n) } else { None }).collect();
    let places = bounds(&given, *n, axis).map_err(|e| {
        let e = e.operand(0, format!("this is {}", crate::types::show::show_a(x)));
        name_other_axis(e, &given, axis, &lengths)
    })?;
    let part = |(_, size): (usize, usize)| {
        let mut dims = dims.clone();
        if let Some(dim) = dims.get_mut(axis) {
            *dim = Dim::Known(size);
        }
        Ty::of(t.dtype, Some(dims))
    };
    // A long list is one type: that of a part.
    Ok(if places.len() > 64 { unknown } else { Ty::list(places.into_iter().map(part).collect()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_axis() {
        assert_eq!(bounds(&Value::Int(3), 6, 0).unwrap(), [(0, 2), (2, 2), (4, 2)]);
        let sizes = Value::tuple(vec![Value::Int(1), Value::Int(0), Value::Int(4)]);
        assert_eq!(bounds(&sizes, 5, 0).unwrap(), [(0, 1), (1, 0), (1, 4)]);
        assert!(bounds(&sizes, 6, 0).is_err());
        assert!(bounds(&Value::Int(4), 6, 0).is_err());
        assert!(bounds(&Value::Int(0), 6, 0).is_err());
        assert!(bounds(&Value::Int(-2), 6, 0).is_err());
    }
}
