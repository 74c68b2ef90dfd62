//! What primitives that rearrange elements ask of their arguments: a tensor, an axis, an int; as values and as types.
//!
//! In: values or types of arguments, and the primitive's name for messages. Out: the parts, or the error that both
//! evaluation and the checker give.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::create::{article, to_tensor};
use crate::tensor::elementwise::wrong_kind_of;
use crate::tensor::reduce::resolve_axis;
use crate::tensor::{DType, Tensor};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The tensor behind argument 0. A scalar becomes one of rank 0; floats take the default dtype, as every new tensor.
pub fn tensor(env: &Env, name: &str, args: &[Value]) -> Result<Tensor> {
    match args.first() {
        Some(Value::Float(_, x)) => Ok(Tensor::full(&[], env.dtype, *x)),
        Some(x) => to_tensor(env, x).ok_or_else(|| wrong_kind_of(name, 0, &x.type_name())),
        None => Err(wrong_kind_of(name, 0, "none")),
    }
}

/// As [`tensor`], but scalars are refused: `wanted` says what it is for.
pub fn ranked(env: &Env, name: &str, args: &[Value], rank: usize) -> Result<Tensor> {
    let t = tensor(env, name, args)?;
    check_rank(name, t.rank(), rank, || args.first().map_or_else(String::new, Value::type_name))?;
    Ok(t)
}

/// At least `rank` axes.
fn check_rank(name: &str, have: usize, rank: usize, kind: impl Fn() -> String) -> Result<()> {
    if have >= rank {
        return Ok(());
    }
    let kind = article(&kind());
    let wanted = if rank == 1 { "a tensor".to_string() } else { format!("a tensor of rank {rank} or more") };
    Err(Error::new("E0303", format!("{name} wants {wanted}, not {kind}")).operand(0, format!("this is {kind}")))
}

/// An int argument.
pub fn int(name: &str, what: &str, v: Option<&Value>) -> Result<i64> {
    match v {
        Some(Value::Int(i)) => Ok(*i),
        other => {
            let kind = other.map_or_else(|| "none".into(), |v| article(&v.type_name()));
            Err(not_an_int(name, what, &kind))
        }
    }
}

/// `kind`, such as "a float", where an int is due.
#[cold]
pub fn not_an_int(name: &str, what: &str, kind: &str) -> Error {
    let error = Error::new("E0310", format!("{what} of {name} is {kind}, not an int"));
    match kind {
        "a float" => error.help("`/` gives a float: write `//` for a whole quotient, or int(x)"),
        _ if what == "the shape" && kind.contains('[') => {
            error.help("a shape is given in ints, as (3, 2), not in a tensor")
        }
        _ => error,
    }
}

/// An int argument that may not be negative.
pub fn size(name: &str, what: &str, v: Option<&Value>) -> Result<usize> {
    let n = int(name, what, v)?;
    usize::try_from(n).map_err(|_| Error::new("E0303", format!("{what} of {name} is {n}: it must be 0 or more")))
}

/// The axis that an `axis:` argument names.
pub fn axis(name: &str, v: Option<&Value>, rank: usize) -> Result<usize> {
    resolve_axis(name, int(name, "the axis", v)?, rank)
}

/// Ints given as an int, tuple, list or int tensor.
pub fn ints(name: &str, what: &str, v: &Value) -> Result<Vec<i64>> {
    match v {
        Value::Int(i) => Ok(vec![*i]),
        Value::Tuple(items) | Value::List(items) => items.iter().map(|v| int(name, what, Some(v))).collect(),
        Value::Tensor(_, t) if t.dtype() == DType::Int && t.rank() == 1 => {
            t.iter_values().map(|v| int(name, what, Some(&v))).collect()
        }
        other => Err(not_an_int(name, what, &article(&other.type_name()))),
    }
}

/// dtype and dims of an argument's type; both unknown where it is.
#[derive(Clone, Debug)]
pub struct Operand {
    pub dtype: Option<DType>,
    pub dims: Option<Dims>,
}

/// What is known of the tensor behind argument 0; `None` if nothing is. The dtype of a scalar float is that of the
/// tensor made of it, which is not known.
pub fn operand(name: &str, args: &[Ty]) -> Result<Option<Operand>> {
    let kind = match args.first() {
        Some(Ty::Tensor(t)) => return Ok(Some(Operand { dtype: t.dtype, dims: t.dims.clone() })),
        Some(Ty::Float) => return Ok(Some(Operand { dtype: None, dims: Some(Dims::new()) })),
        Some(Ty::Int(_)) => return Ok(Some(Operand { dtype: Some(DType::Int), dims: Some(Dims::new()) })),
        Some(Ty::Bool(_)) => return Ok(Some(Operand { dtype: Some(DType::Bool), dims: Some(Dims::new()) })),
        Some(Ty::None) => "none",
        Some(Ty::Str(_)) => "str",
        Some(Ty::Range) => "range",
        Some(Ty::Fn(_)) => "function",
        Some(Ty::DType(_)) => "dtype",
        Some(Ty::Tuple(_)) => "tuple",
        Some(Ty::List(_)) => "list",
        Some(Ty::Dict(_)) => "dict",
        Some(Ty::StructType(_)) => "struct type",
        Some(Ty::Module(_)) => "module",
        _ => return Ok(None),
    };
    Err(wrong_kind_of(name, 0, kind))
}

/// As [`operand`], for a primitive that wants at least `rank` axes.
pub fn ranked_operand(name: &str, args: &[Ty], rank: usize) -> Result<Option<Operand>> {
    let x = operand(name, args)?;
    if let Some(Operand { dims: Some(dims), .. }) = &x {
        let kind = || args.first().map_or_else(String::new, super::shape_rules::show);
        check_rank(name, dims.len(), rank, kind)?;
    }
    Ok(x)
}

/// The value of an int argument, if it is known.
pub fn known_int(ty: Option<&Ty>) -> Option<i64> {
    if let Some(Ty::Int(known)) = ty { known.known() } else { None }
}

/// The axis that an `axis:` argument of known value names; `None` if it is not known.
pub fn known_axis(name: &str, ty: Option<&Ty>, rank: usize) -> Result<Option<usize>> {
    known_int(ty).map(|a| resolve_axis(name, a, rank)).transpose()
}

/// Known ints of a tuple, list or single int type.
pub fn known_ints(ty: Option<&Ty>) -> Option<Vec<i64>> {
    match ty? {
        Ty::Int(Num::Known(i)) => Some(vec![*i]),
        Ty::Tuple(items) => items.iter().map(|t| known_int(Some(t))).collect(),
        Ty::List(list) => list.items.as_ref()?.iter().map(|t| known_int(Some(t))).collect(),
        _ => None,
    }
}

/// Product of dims if all are known.
pub fn known_count(dims: &[Dim]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, d| if let Dim::Known(d) = d { n.checked_mul(*d) } else { None })
}

/// A dim computed from another, if that is known.
pub fn map_dim(dim: Dim, f: impl Fn(usize) -> usize) -> Dim {
    if let Dim::Known(n) = dim { Dim::Known(f(n)) } else { Dim::Unknown }
}
