//! dtypes as arguments: `dtype:` of constructors, `set_dtype`, `x.to(dtype)`.
//!
//! In: `f32`, `f64`, or the functions `int`, `float`, `bool`, which name dtypes here. Casts between floats are
//! differentiable; those to int or bool have slope 0.

use std::rc::Rc;

use crate::ad::Cx;
use crate::builtins::fail::{self, arity};
use crate::builtins::{Builtin, infer, structures};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::ops::convert::CAST;
use crate::ops::prim::{Sig, req};
use crate::tensor::DType;
use crate::types::ty::{FnTy, TensorTy, Ty};
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&SET_DTYPE, &TO];

/// The dtype that argument `i` of `function` names.
pub fn dtype_of(env: &Env, function: &str, i: usize, v: &Value) -> Result<DType> {
    match v {
        Value::DType(dtype) => Ok(*dtype),
        Value::Builtin(b) if b.name == "int" => Ok(DType::Int),
        Value::Builtin(b) if b.name == "bool" => Ok(DType::Bool),
        Value::Builtin(b) if b.name == "float" => Ok(env.dtype),
        other => {
            let kind = fail::with_article(&other.type_name());
            Err(Error::new(fail::WRONG_KIND, format!("{function} wants a dtype, but got {kind}"))
                .operand(i, format!("this is {kind}"))
                .help("the dtypes are f32, f64, int and bool"))
        }
    }
}

/// True if the function of this name stands for the dtype, as in `x.dtype == int`; `float` is either float dtype.
pub fn is_named(dtype: DType, function: &str) -> bool {
    match function {
        "int" => dtype == DType::Int,
        "bool" => dtype == DType::Bool,
        "float" => dtype.is_float(),
        _ => false,
    }
}

/// The dtype of a `dtype:` argument, if one is given.
pub fn given_dtype(env: &Env, function: &str, i: usize, v: Option<&Value>) -> Result<Option<DType>> {
    match v {
        None | Some(Value::None) => Ok(None),
        Some(v) => dtype_of(env, function, i, v).map(Some),
    }
}

/// What is known of a `dtype:` argument: the dtype, `otherwise` if none is given, `None` if that is not known.
pub fn infer_dtype(ty: Option<&Ty>, otherwise: Option<DType>) -> Option<DType> {
    match ty {
        None | Some(Ty::None) => otherwise,
        Some(Ty::DType(dtype)) => *dtype,
        Some(Ty::Fn(FnTy::Builtin("int"))) => Some(DType::Int),
        Some(Ty::Fn(FnTy::Builtin("bool"))) => Some(DType::Bool),
        _ => None,
    }
}

/// `set_dtype(dtype)`
pub static SET_DTYPE: Builtin = Builtin {
    name: "set_dtype",
    doc: "Makes `dtype`, f32 or f64, the dtype of float tensors made from now on. `set_dtype(f64)`",
    sig: Sig { params: &[req("dtype")] },
    infer: infer::none,
    run: |vm, args| {
        let [v] = args else { return Err(arity("set_dtype")) };
        let dtype = dtype_of(&vm.cx.env, "set_dtype", 0, v)?;
        if !dtype.is_float() {
            return Err(Error::new(fail::BAD_ARGUMENT, format!("the default dtype is that of floats, not {dtype}"))
                .help("write set_dtype(f32) or set_dtype(f64)"));
        }
        vm.cx.env.dtype = dtype;
        Ok(Value::None)
    },
};

/// One number or tensor in another dtype.
pub fn cast(cx: &mut Cx, x: &Value, dtype: DType) -> Result<Value> {
    match x {
        _ if x.tensor_dtype().is_some() => cx.cast(x, dtype),
        _ if x.is_one_float() && dtype.is_float() => Ok(x.clone()),
        _ => cx.apply(&CAST, &[x.clone(), Value::DType(dtype)]),
    }
}

fn to(cx: &mut Cx, x: &Value, dtype: DType) -> Result<Value> {
    if !structures::is_tree(x) {
        return cast(cx, x, dtype);
    }
    // The parameters of a model change; its settings do not.
    structures::map_leaves(x, &mut |leaf| match leaf {
        leaf if leaf.is_differentiable() => cast(cx, leaf, dtype),
        other => Ok(other.clone()),
    })
}

fn infer_to(args: &[Ty]) -> Result<Ty> {
    let dtype = infer_dtype(args.get(1), None);
    Ok(match args.first() {
        Some(Ty::Tensor(t)) => Ty::Tensor(TensorTy { dtype, dims: t.dims.clone() }),
        Some(Ty::Float | Ty::Int(_) | Ty::Bool(_)) => Ty::of(dtype, Some(Default::default())),
        Some(Ty::Tuple(items)) => {
            let parts = items.iter().map(|t| match t {
                Ty::Tensor(t) if t.dtype.is_some_and(DType::is_float) => {
                    Ty::Tensor(TensorTy { dtype, dims: t.dims.clone() })
                }
                Ty::Int(_) | Ty::Bool(_) | Ty::Str(_) | Ty::None => t.clone(),
                _ => Ty::Any,
            });
            Ty::Tuple(Rc::new(parts.collect()))
        }
        _ => Ty::Any,
    })
}

/// `to(x, dtype)`
pub static TO: Builtin = Builtin {
    name: "to",
    doc: "`x` in another dtype: `x.to(f64)`, `x.to(int)` (cut towards zero), `x.to(bool)`. Differentiable between float \
          dtypes. In a structure the floats are cast and all else stays.",
    sig: Sig { params: &[req("x"), req("dtype")] },
    infer: infer_to,
    run: |vm, args| {
        let [x, dtype] = args else { return Err(arity("to")) };
        let dtype = dtype_of(&vm.cx.env, "to", 1, dtype)?;
        to(&mut vm.cx, x, dtype)
    },
};
