//! Arguments that are sizes: ints, or tuples of ints. A float among them, as `10 / 2` gives one, is found before the run.
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
        "linspace" => &[("n", "the shape")],
        "segment_sum" | "segment_max" => &[("count", "number of segments")],
        "range" => &[("start", ""), ("stop", ""), ("step", "")],
        _ => &[],
    }
}

/// The first size that is certainly no int.
pub(super) fn wrong_size(name: &str, sig: &Sig, matched: &HostArgs, args: &[ArgVal]) -> Option<(Error, Span)> {
    for (param, what) in sizes_of(name) {
        let Some(at) = sig.params.iter().position(|p| p.name == *param) else { continue };
        let Some((ty, item)) = no_int(matched.ty(at), false) else { continue };
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
            _ => not_an_int(name, what, &kind),
        };
        return Some((error.operand(0, format!("this is {kind}")), place));
    }
    None
}

/// The type that is no int, and where it stands in a tuple.
fn no_int(ty: &Ty, inner: bool) -> Option<(Ty, Option<usize>)> {
    let items = match ty {
        Ty::Tuple(items) if !inner => items.to_vec(),
        Ty::List(list) if !inner => list.items.clone()?,
        Ty::Float | Ty::Str(_) | Ty::Bool(_) | Ty::Struct(_) | Ty::Dict(_) => return Some((ty.clone(), None)),
        Ty::Tensor(t) if t.dims.is_some() && t.dtype.is_some_and(|d| d.is_float()) => return Some((ty.clone(), None)),
        _ => return None,
    };
    items.iter().enumerate().find_map(|(i, t)| Some((no_int(t, true)?.0, Some(i))))
}
