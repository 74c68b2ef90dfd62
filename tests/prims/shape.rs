//! Shape rules against results: with everything known, and with parts unknown.

use std::rc::Rc;

use dlang::error::Result;
use dlang::ops::prim::Prim;
use dlang::tensor::DType;
use dlang::types::size::{Num, VarId};
use dlang::types::ty::{Dim, Dims, TensorTy, Ty};
use dlang::value::Value;
use dlang::vm::Vm;

use crate::tally::{Failure, Kind, Tally};

/// All that can be known of a value.
pub fn type_of(v: &Value) -> Ty {
    match v {
        Value::None => Ty::None,
        Value::Bool(b) => Ty::Bool(Some(*b)),
        Value::Int(i) => Ty::Int(Num::Known(*i)),
        Value::Float(..) => Ty::Float,
        Value::Str(s) => Ty::Str(Some(s.as_str().into())),
        Value::DType(d) => Ty::DType(Some(*d)),
        Value::Tensor(_, t) => Ty::tensor(t.dtype(), t.shape()),
        Value::Tuple(items) => Ty::tuple(items.iter().map(type_of).collect()),
        Value::List(items) => Ty::list(items.iter().map(type_of).collect()),
        _ => Ty::Any,
    }
}

/// A variable of the check that stands for `n`, and carries it as its number.
fn variable(n: usize) -> Num {
    Num::param(n as u32, Some(i64::from(n > 0)))
}

/// The number that an expression of such variables is.
fn number(n: Num) -> Option<i64> {
    n.renamed(&mut |v| match v.id {
        VarId::Param(n) => Some(Num::Known(i64::from(n))),
        _ => None,
    })
    .known()
}

/// True if it is an expression of a variable that the rule made, as for a dim of which only the sign is known.
fn is_made(n: Num) -> bool {
    let mut vars = vec![];
    n.variables(&mut vars);
    vars.iter().any(|v| matches!(v.id, VarId::Made(_)))
}

/// True if a value may have this type.
pub fn fits(ty: &Ty, v: &Value) -> bool {
    match (ty, v) {
        (Ty::Any, _) | (Ty::None, Value::None) | (Ty::Float, Value::Float(..)) => true,
        (Ty::Int(n), Value::Int(i)) => *n == Num::Unknown || number(*n) == Some(*i),
        (Ty::Bool(known), Value::Bool(b)) => known.is_none_or(|k| k == *b),
        (Ty::Str(known), Value::Str(s)) => known.as_ref().is_none_or(|k| **k == **s),
        (Ty::Tuple(tys), Value::Tuple(items)) => {
            tys.len() == items.len() && tys.iter().zip(items.iter()).all(|(t, v)| fits(t, v))
        }
        (Ty::List(list), Value::List(items)) => match &list.items {
            Some(tys) => tys.len() == items.len() && tys.iter().zip(items.iter()).all(|(t, v)| fits(t, v)),
            None => items.iter().all(|v| fits(&list.element, v)),
        },
        (Ty::Tensor(t), v) => {
            let Some(shape) = v.shape() else { return false };
            let dims = t.dims.as_ref().is_none_or(|dims| {
                dims.len() == shape.len()
                    && dims.iter().zip(shape).all(|(d, &n)| match d {
                        Dim::Known(k) => *k == n,
                        Dim::Sym(s) => is_made(Num::Sym(*s)) || number(Num::Sym(*s)) == Some(n as i64),
                        Dim::Some => n > 0,
                        Dim::Unknown => true,
                    })
            });
            dims && match v {
                Value::Tensor(_, x) => t.dtype.is_none_or(|d| d == x.dtype()),
                Value::Int(_) => t.dtype.is_none_or(|d| d == DType::Int),
                Value::Bool(_) => t.dtype.is_none_or(|d| d == DType::Bool),
                _ => t.dtype.is_none_or(DType::is_float),
            }
        }
        _ => false,
    }
}

/// Their shapes depend on elements of tensors.
const BY_DATA: [&str; 2] = ["get_index", "unique"];

/// True if dims or kind of the result are open although everything was known.
pub fn is_vague(ty: &Ty) -> bool {
    match ty {
        Ty::Any => true,
        Ty::Tensor(t) => t.dims.as_ref().is_none_or(|d| d.iter().any(|d| !matches!(d, Dim::Known(_)))),
        Ty::Tuple(items) => items.iter().any(is_vague),
        _ => false,
    }
}

/// One step of forgetting.
type Forget = fn(&Ty) -> Ty;

const FORGET: [Forget; 8] = [
    |_| Ty::Any,
    |ty| dims(ty, |_| Dim::Unknown),
    |ty| dims(ty, |n| if n == 0 { Dim::Unknown } else { Dim::Some }),
    |ty| dims(ty, |n| variable(n).into()),
    sizes,
    |ty| match ty {
        Ty::Tensor(t) => Ty::Tensor(TensorTy { dtype: t.dtype, dims: None }),
        other => other.clone(),
    },
    |ty| match ty {
        Ty::Tensor(t) => Ty::Tensor(TensorTy { dtype: None, dims: t.dims.clone() }),
        other => other.clone(),
    },
    settings,
];

/// Dims and ints as variables, in tuples too.
fn sizes(ty: &Ty) -> Ty {
    match ty {
        Ty::Int(Num::Known(n @ 0..)) => Ty::Int(variable(*n as usize)),
        Ty::Tuple(items) => Ty::Tuple(Rc::new(items.iter().map(sizes).collect())),
        Ty::Tensor(_) => dims(ty, |n| variable(n).into()),
        other => other.clone(),
    }
}

/// Scalars without their values, in tuples too.
fn settings(ty: &Ty) -> Ty {
    match ty {
        Ty::Int(_) => Ty::Int(Num::Unknown),
        Ty::Bool(_) => Ty::Bool(None),
        Ty::Str(_) => Ty::Str(None),
        Ty::DType(_) => Ty::DType(None),
        Ty::Tuple(items) => Ty::Tuple(Rc::new(items.iter().map(settings).collect())),
        other => other.clone(),
    }
}

fn dims(ty: &Ty, f: fn(usize) -> Dim) -> Ty {
    match ty {
        Ty::Tensor(t) => {
            let dims = t.dims.as_ref().map(|dims| {
                let each = |d: &Dim| if let Dim::Known(n) = d { f(*n) } else { *d };
                dims.iter().map(each).collect::<Dims>()
            });
            Ty::of(t.dtype, dims)
        }
        other => other.clone(),
    }
}

/// The shape rule of one call. True if evaluation accepts the call.
pub fn check(
    vm: &mut Vm,
    tally: &mut Tally,
    prim: &'static Prim,
    args: &[Value],
) -> std::result::Result<bool, Failure> {
    let out = vm.cx.apply(prim, args);
    let tys: Vec<Ty> = args.iter().map(type_of).collect();
    agree(tally, prim, &tys, &out, Kind::Shape)?;
    for forget in FORGET {
        let all: Vec<Ty> = tys.iter().map(forget).collect();
        if all != tys {
            agree(tally, prim, &all, &out, Kind::PartShape)?;
        }
        for i in 0..tys.len() {
            let mut one = tys.clone();
            one[i] = forget(&tys[i]);
            if args.len() > 1 && one != tys {
                agree(tally, prim, &one, &out, Kind::PartShape)?;
            }
        }
    }
    Ok(out.is_ok())
}

fn agree(
    tally: &mut Tally,
    prim: &'static Prim,
    tys: &[Ty],
    out: &Result<Value>,
    kind: Kind,
) -> std::result::Result<(), Failure> {
    let shown = |tys: &[Ty]| tys.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join("; ");
    match ((prim.infer)(tys), out) {
        (Ok(ty), Ok(v)) => {
            if !fits(&ty, v) {
                return kind.fail(format!("inferred {ty:?} from {}, is {}", shown(tys), v.type_name()));
            }
            if kind == Kind::Shape && is_vague(&ty) && !BY_DATA.contains(&prim.name) {
                return kind.fail(format!("inferred only {ty:?} from {}, is {}", shown(tys), v.type_name()));
            }
            tally.count(kind);
        }
        (Err(e), Ok(v)) => {
            return kind.fail(format!("refused {} ({}), is {}", shown(tys), e.0.message, v.type_name()));
        }
        (Err(ours), Err(theirs)) => {
            // Evaluation may find an index out of range first, which no type tells.
            let found_first = theirs.0.code == "E0401";
            if kind == Kind::Shape
                && !found_first
                && (ours.0.code != theirs.0.code || ours.0.message != theirs.0.message)
            {
                return kind.fail(format!("the rule says {:?}, evaluation {:?}", ours.0.message, theirs.0.message));
            }
            tally.count(Kind::Error);
        }
        (Ok(_), Err(_)) if kind == Kind::Shape => {
            tally.late.insert(prim.name);
            tally.count(Kind::LateError);
        }
        (Ok(_), Err(_)) => tally.count(Kind::Error),
    }
    Ok(())
}
