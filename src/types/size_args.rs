//! Arguments that are sizes, counts or axes: ints, or tuples of ints. A float among them, as `10 / 2` gives one, is found
//! before the run.
//!
//! In: the types of a call's arguments. Out: the error that the call would give, and the place of the size.

use super::call::ArgVal;
use super::host::HostArgs;
use super::show::show_a;
use super::ty::Ty;
use crate::error::Error;
use crate::ops::operand::not_an_int;
use crate::ops::prim::{ParamKind, Sig};
use crate::source::Span;

/// The parameters of a function that are sizes, and what messages call them.
fn sizes_of(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "zeros" | "ones" | "full" | "rand" | "randn" | "randint" | "reshape" | "broadcast_to" => {
            &[("shape", "the shape")]
        }
        "eye" => &[("n", "the shape"), ("m", "the shape")],
        "linspace" => &[("n", "the number of points")],
        "segment_sum" | "segment_max" => &[("count", "number of segments")],
        "topk" => &[("k", "k")],
        "repeat" => &[("n", "the count")],
        "roll" => &[("shift", "the shift")],
        "one_hot" => &[("classes", "the number of classes")],
        "tile" => &[("counts", "a count")],
        "split" => &[("parts", "the sizes")],
        "tril" | "triu" | "diag" => &[("k", "the diagonal")],
        "flatten" => &[("start", "start")],
        "range" => &[("start", ""), ("stop", ""), ("step", "")],
        _ => &[],
    }
}

/// The first size that is certainly no int.
pub(super) fn wrong_size(name: &str, sig: &Sig, matched: &HostArgs, args: &[ArgVal]) -> Option<(Error, Span)> {
    for (param, what) in sizes_of(name).iter().chain(&[("axis", "the axis")]) {
        let Some(at) = sig.params.iter().position(|p| p.name == *param) else { continue };
        if *param == "parts" && !matches!(matched.ty(0), Ty::Tensor(_)) {
            // Of a text they are separators.
            continue;
        }
        let Some((ty, item)) = no_int(matched.ty(at), tensors(name, param), false) else { continue };
        // Sizes given one by one arrive as one tuple.
        let is_rest = !matches!(sig.params.get(at)?.kind, ParamKind::Required | ParamKind::Optional(_));
        let positional: Vec<&ArgVal> = args.iter().filter(|a| a.name.is_none()).collect();
        let place = match item.and_then(|i| positional.get(at + i)) {
            Some(arg) if is_rest && positional.len() > at + 1 => arg.span,
            _ => matched.span(at),
        };
        let kind = show_a(&ty);
        let error = match name {
            "range" => crate::builtins::higher_order::not_a_bound(&kind),
            "concat" | "stack" if *param == "axis" => crate::builtins::join::not_an_axis(name, &kind),
            _ => not_an_int(name, what, &kind),
        };
        return Some((error.operand(0, format!("this is {kind}")), place));
    }
    None
}

/// Whether ints may come in a tensor.
fn tensors(name: &str, param: &str) -> bool {
    match param {
        "shape" => matches!(name, "full" | "broadcast_to"),
        "axis" | "shift" | "parts" | "start" => true,
        _ => false,
    }
}

/// The type that is no int, and where it stands in a tuple. With `tensors` ints may come in a tensor.
fn no_int(ty: &Ty, tensors: bool, inner: bool) -> Option<(Ty, Option<usize>)> {
    let items = match ty {
        Ty::Tuple(items) if !inner => items.to_vec(),
        Ty::List(list) if !inner => list.items.clone()?,
        Ty::Float | Ty::Str(_) | Ty::Bool(_) | Ty::Struct(_) | Ty::Dict(_) => return Some((ty.clone(), None)),
        Ty::Tensor(t) if t.dims.is_some() && t.dtype.is_some_and(|d| d.is_float() || !tensors) => {
            return Some((ty.clone(), None));
        }
        _ => return None,
    };
    items.iter().enumerate().find_map(|(i, t)| Some((no_int(t, tensors, true)?.0, Some(i))))
}
