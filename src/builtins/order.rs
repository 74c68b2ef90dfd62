//! `topk`: the largest elements with their positions, through their positions and `gather`, so that derivatives flow.

use std::rc::Rc;

use crate::builtins::Builtin;
use crate::builtins::fail::{self, arity, wrong_kind};
use crate::error::{Error, Result};
use crate::ops::operand::{self, known_axis, known_int};
use crate::ops::order::TOP_PLACES;
use crate::ops::prim::{Default, Sig, opt, req};
use crate::ops::take::GATHER;
use crate::tensor::DType;
use crate::types::ty::{Dim, Ty};
use crate::value::Value;
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&TOPK];

static TOPK: Builtin = Builtin {
    name: "topk",
    doc: "The `k` largest elements along `axis` and their positions: `(values, indices)`, largest first; of equal ones the first \
          wins, NaN comes last. `topk([3, 1, 2], 2)` is `([3, 2], [0, 2])`.",
    sig: Sig { params: &[req("x"), req("k"), opt("axis", Default::Int(-1))] },
    infer,
    run: topk,
};

#[cold]
fn too_few(k: i64, axis: usize, n: usize) -> Error {
    Error::new(fail::BAD_ARGUMENT, format!("topk wants {k} elements of axis {axis}, which has length {n}"))
        .operand(1, format!("this must be from 0 to {n}"))
}

fn topk(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [x, k, axis] = args else { return Err(arity("topk")) };
    let shape = x.shape().filter(|s| !s.is_empty()).ok_or_else(|| wrong_kind("topk", 0, "a tensor", x))?;
    let at = operand::axis("topk", Some(axis), shape.len())?;
    let n = shape.get(at).copied().unwrap_or(0);
    let wanted = operand::int("topk", "k", Some(k))?;
    let k = usize::try_from(wanted).ok().filter(|&k| k <= n).ok_or_else(|| too_few(wanted, at, n))?;
    let order = vm.cx.apply(&TOP_PLACES, &[x.clone(), Value::Int(k as i64), axis.clone()])?;
    let values = vm.cx.apply(&GATHER, &[x.clone(), order.clone(), axis.clone()])?;
    Ok(Value::tuple(vec![values, order]))
}

fn infer(args: &[Ty]) -> Result<Ty> {
    let pair = |dtype, dims: Option<crate::types::ty::Dims>| {
        Ty::Tuple(Rc::new(vec![Ty::of(dtype, dims.clone()), Ty::of(Some(DType::Int), dims)]))
    };
    let [Ty::Tensor(t), k, axis] = args else { return Ok(Ty::Any) };
    let Some(mut dims) = t.dims.clone() else { return Ok(pair(t.dtype, None)) };
    let Some(at) = known_axis("topk", Some(axis), dims.len())? else { return Ok(pair(t.dtype, None)) };
    if let Some(dim) = dims.get_mut(at) {
        let k = known_int(Some(k));
        if let (Some(k), Dim::Known(n)) = (k, &*dim)
            && !usize::try_from(k).is_ok_and(|k| k <= *n)
        {
            return Err(too_few(k, at, *n));
        }
        *dim = k.and_then(|k| usize::try_from(k).ok()).map_or(Dim::Unknown, Dim::Known);
    }
    Ok(pair(t.dtype, Some(dims)))
}
