//! Another shape or another order of axes for the same elements: views where strides allow. All are linear.

pub use super::join::{CONCAT, STACK};

use super::convert::shape_value;
use super::operand::{self, known_axis, known_count, known_ints, operand, tensor};
use super::prim::{
    Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req, rest,
};
use super::reduce::only;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::reduce::{resolve_axes, resolve_axis};
use crate::tensor::{Shape, count, show_shape, view};
use crate::types::size::{Num, count as count_of};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&RESHAPE, &TRANSPOSE, &PERMUTE, &SQUEEZE, &EXPAND, &FLATTEN];

/// The transpose of whatever keeps the elements in row-major order.
fn back(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    only(call, cx.reshape(y_bar, call.shape(0))?)
}

const BACK: Diff = Diff::Linear { vjp: back, keep: Keep::NOTHING };

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

// ---- reshape ----

/// The wanted dims with a -1 replaced by what fills them with `n` elements.
fn filled(wanted: &[i64], n: usize) -> Result<Shape> {
    let shown = || {
        let dims: Vec<String> = wanted.iter().map(i64::to_string).collect();
        format!("[{}]", dims.join(", "))
    };
    if let Some(d) = wanted.iter().find(|d| **d < -1) {
        return Err(Error::new("E0303", format!("the shape given to reshape has the dim {d}"))
            .help("dims are 0 or more; -1 stands for what is left"));
    }
    if wanted.iter().filter(|d| **d == -1).count() > 1 {
        return Err(Error::new("E0303", format!("the shape {} given to reshape has more than one -1", shown()))
            .help("only one dim can follow from the others"));
    }
    let known = wanted.iter().filter(|d| **d >= 0).try_fold(1usize, |n, &d| n.checked_mul(d as usize));
    let free = wanted.contains(&-1);
    let left = match known {
        Some(known) if known > 0 && n.is_multiple_of(known) => Some(n / known),
        Some(0) if n == 0 && !free => Some(1),
        _ => None,
    };
    match left {
        Some(left) if free || left == 1 => {
            Ok(wanted.iter().map(|&d| if d == -1 { left } else { d as usize }).collect())
        }
        _ => {
            let elements = if n == 1 { "1 element does".to_string() } else { format!("{n} elements do") };
            Err(Error::new("E0303", format!("{elements} not fill the shape {}", shown())))
        }
    }
}

fn reshape(env: &mut Env, args: &[Value]) -> Result<Value> {
    let wanted = operand::ints("reshape", "the shape", args.get(1).unwrap_or(&Value::None))?;
    let t = tensor(env, "reshape", args)?;
    let shape = filled(&wanted, t.len())
        .map_err(|e| e.operand(0, format!("this is {}", args.first().map_or_else(String::new, Value::type_name))))?;
    match args.first() {
        // A scalar stays the 64-bit scalar that it is.
        Some(x) if t.rank() == 0 && shape.is_empty() => Ok(x.clone()),
        _ => Ok(Value::tensor(view::reshape(&t, &shape))),
    }
}

fn x_alone(args: &[Ty]) -> Ty {
    args.first().filter(|x| matches!(x, Ty::Float)).cloned().unwrap_or_default()
}

fn infer_reshape(args: &[Ty]) -> Result<Ty> {
    let x = operand("reshape", args)?;
    let (dtype, dims) = x.map_or((None, None), |x| (x.dtype, x.dims));
    let n = dims.as_deref().and_then(known_count);
    let items: Option<Vec<Ty>> = match args.get(1) {
        Some(Ty::Tuple(items)) => Some(items.to_vec()),
        Some(Ty::List(list)) => list.items.clone(),
        Some(one @ Ty::Int(_)) => Some(vec![one.clone()]),
        _ => None,
    };
    let Some(items) = items else { return Ok(Ty::of(dtype, None)) };
    if let (Some(n), Some(wanted)) = (n, known_ints(args.get(1))) {
        let shape = filled(&wanted, n).map_err(|e| {
            let kind = args.first().map_or_else(String::new, super::shape_rules::show);
            e.operand(0, format!("this is {kind}"))
        })?;
        let dims: Dims = shape.into_iter().map(Dim::Known).collect();
        // A float that stays one has no dtype.
        return Ok(if dims.is_empty() && dtype.is_none() { x_alone(args) } else { Ty::of(dtype, Some(dims)) });
    }
    let size = |t: &Ty| if let Ty::Int(n) = t { *n } else { Num::Unknown };
    let wanted: Vec<Num> = items.iter().map(size).collect();
    let left = dims.map_or(Num::Unknown, |dims| left_over(&dims, &wanted));
    let dims = wanted.iter().map(|n| if *n == Num::Known(-1) { left.into() } else { (*n).into() });
    Ok(Ty::of(dtype, Some(dims.collect())))
}

/// What a -1 stands for among the dims that a tensor of these dims is given: of `[n, 8, 4]` to `(n, -1)`, 32.
fn left_over(dims: &[Dim], wanted: &[Num]) -> Num {
    if wanted.iter().filter(|n| **n == Num::Known(-1)).count() != 1 || dims.contains(&Dim::Some) {
        return Num::Unknown;
    }
    let mut from: Vec<Num> = dims.iter().map(|d| Num::from(*d)).collect();
    let mut divisor = 1;
    for n in wanted {
        match (n, from.iter().position(|m| m == n)) {
            (Num::Known(-1), _) => {}
            // A size that is not known may be 0, and then nothing follows; but neither would the reshape work.
            (Num::Sym(_), Some(at)) => drop(from.remove(at)),
            (Num::Known(k @ 1..), _) => match k.checked_mul(divisor) {
                Some(k) => divisor = k,
                None => return Num::Unknown,
            },
            _ => return Num::Unknown,
        }
    }
    from.into_iter().fold(Num::Known(1), |n, m| n * m).floor_div(divisor)
}

/// `reshape(x, *shape)`
pub static RESHAPE: Prim = Prim {
    name: "reshape",
    doc: "The elements of `x` in row-major order in another shape: `reshape(x, 2, 3)` or `reshape(x, (2, 3))`. One dim may be \
          -1: what is left. A view where `x` lies in row-major order.",
    sig: Sig { params: &[req("x"), rest("shape")] },
    infer: infer_reshape,
    eval: Eval::General(reshape),
    diff: BACK,
    batch: Batch::Rule(super::batching::reshaping),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::Tuple(&[3, 2])] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Tuple(&[-1])] },
            Sample { args: &[floats(&[]), ProbeArg::Tuple(&[1, 1])] },
            Sample { args: &[floats(&[1]), ProbeArg::Tuple(&[])] },
        ],
    },
};

// ---- order of axes ----

/// The axes that a transpose swaps; `None`: it changes nothing.
fn swapped(a: Option<i64>, b: Option<i64>, rank: usize) -> Result<Option<(usize, usize)>> {
    match (a, b) {
        (None, None) if rank < 2 => Ok(None),
        (None, None) => Ok(Some((rank - 2, rank - 1))),
        (Some(a), Some(b)) => {
            let (a, b) = (resolve_axis("transpose", a, rank)?, resolve_axis("transpose", b, rank)?);
            Ok((a != b).then_some((a, b)))
        }
        _ => Err(Error::new("E0305", "transpose got one axis, but it swaps two")
            .help("write transpose(x, 0, 1), or transpose(x) for the last two")),
    }
}

fn optional_axis(v: Option<&Value>) -> Result<Option<i64>> {
    match v {
        None | Some(Value::None) => Ok(None),
        v => operand::int("transpose", "an axis", v).map(Some),
    }
}

fn transpose(env: &mut Env, args: &[Value]) -> Result<Value> {
    let x = args.first().cloned().unwrap_or_default();
    let t = tensor(env, "transpose", args)?;
    let Some((a, b)) = swapped(optional_axis(args.get(1))?, optional_axis(args.get(2))?, t.rank())? else {
        return Ok(x);
    };
    let mut axes: Shape = (0..t.rank()).collect();
    axes.swap(a, b);
    Ok(Value::tensor(view::permute(&t, &axes)))
}

fn infer_transpose(args: &[Ty]) -> Result<Ty> {
    let Some(x) = operand("transpose", args)? else { return Ok(Ty::Any) };
    let axis = |i: usize| match args.get(i) {
        None | Some(Ty::None) => Some(None),
        ty => operand::known_int(ty).map(Some),
    };
    let (Some(mut dims), Some(a), Some(b)) = (x.dims, axis(1), axis(2)) else { return Ok(Ty::of(x.dtype, None)) };
    if dims.is_empty() && a.is_none() && b.is_none() {
        return Ok(args.first().cloned().unwrap_or_default());
    }
    if let Some((a, b)) = swapped(a, b, dims.len())? {
        dims.swap(a, b);
    }
    Ok(Ty::of(x.dtype, Some(dims)))
}

/// `transpose(x)`, `x.t`
pub static TRANSPOSE: Prim = Prim {
    name: "transpose",
    doc: "`x` with its last two axes swapped (`x.t`), or the axes `a` and `b`; a vector stays as it is. A view.",
    sig: Sig { params: &[req("x"), opt("a", Default::None), opt("b", Default::None)] },
    infer: infer_transpose,
    eval: Eval::General(transpose),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let mut args = vec![y_bar.clone()];
            args.extend(call.args.iter().skip(1).cloned());
            only(call, cx.apply(&TRANSPOSE, &args)?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching::transposing),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::None, ProbeArg::None] },
            Sample { args: &[floats(&[2, 3, 4]), ProbeArg::Int(0), ProbeArg::Int(-1)] },
            Sample { args: &[floats(&[3]), ProbeArg::None, ProbeArg::None] },
        ],
    },
};

/// The order of axes that `permute` is asked for.
fn order(axes: &[i64], rank: usize) -> Result<Shape> {
    let order = axes.iter().map(|&a| resolve_axis("permute", a, rank)).collect::<Result<Shape>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        return Ok(order);
    }
    let given: Vec<String> = axes.iter().map(i64::to_string).collect();
    Err(Error::new("E0305", format!("permute got the axes ({}), but the tensor has {rank} axes", given.join(", ")))
        .help(format!("name each axis from 0 to {} once", rank.saturating_sub(1))))
}

fn permute(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "permute", args)?;
    let axes = operand::ints("permute", "an axis", args.get(1).unwrap_or(&Value::None))?;
    Ok(Value::tensor(view::permute(&t, &order(&axes, t.rank())?)))
}

fn infer_permute(args: &[Ty]) -> Result<Ty> {
    let Some(x) = operand("permute", args)? else { return Ok(Ty::Any) };
    let (Some(dims), Some(axes)) = (&x.dims, known_ints(args.get(1))) else {
        let dims = x.dims.map(|d| d.iter().map(|_| Dim::Unknown).collect());
        return Ok(Ty::of(x.dtype, dims));
    };
    let dims = order(&axes, dims.len())?.iter().filter_map(|&a| dims.get(a).copied()).collect();
    Ok(Ty::of(x.dtype, Some(dims)))
}

/// `permute(x, *axes)`
pub static PERMUTE: Prim = Prim {
    name: "permute",
    doc: "`x` with its axes in another order: axis i of the result is axis `axes[i]` of `x`. A view.",
    sig: Sig { params: &[req("x"), rest("axes")] },
    infer: infer_permute,
    eval: Eval::General(permute),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let axes = operand::ints("permute", "an axis", call.args.get(1).unwrap_or(&Value::None))?;
            let order = order(&axes, call.shape(0).len())?;
            let mut inverse = Shape::from_elem(0, order.len());
            for (i, &axis) in order.iter().enumerate() {
                if let Some(place) = inverse.get_mut(axis) {
                    *place = i;
                }
            }
            only(call, cx.apply(&PERMUTE, &[y_bar.clone(), shape_value(&inverse)])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching::permuting),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3, 4]), ProbeArg::Tuple(&[2, 0, 1])] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Tuple(&[-1, 0])] },
        ],
    },
};

// ---- axes of length 1 ----

fn not_one(axis: usize, n: usize) -> Error {
    Error::new("E0303", format!("squeeze can drop only axes of length 1, but axis {axis} has length {n}"))
}

fn squeeze(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "squeeze", args)?;
    if t.rank() == 0 {
        return Ok(args.first().cloned().unwrap_or_default());
    }
    let given = args.get(1).unwrap_or(&Value::None);
    let axes = resolve_axes("squeeze", given, t.rank())?;
    let all = matches!(given, Value::None);
    let mut shape = Shape::new();
    for (axis, &n) in t.shape().iter().enumerate() {
        match (n, axes.contains(&axis)) {
            (1, true) => {}
            (_, true) if !all => {
                return Err(not_one(axis, n).operand(0, format!("this has the shape {}", show_shape(t.shape()))));
            }
            _ => shape.push(n),
        }
    }
    Ok(Value::tensor(view::reshape(&t, &shape)))
}

fn infer_squeeze(args: &[Ty]) -> Result<Ty> {
    let Some(x) = operand("squeeze", args)? else { return Ok(Ty::Any) };
    let Some(dims) = x.dims else { return Ok(Ty::of(x.dtype, None)) };
    if dims.is_empty() {
        return Ok(args.first().cloned().unwrap_or_default());
    }
    if let None | Some(Ty::None) = args.get(1) {
        if known_count(&dims).is_none() {
            return Ok(Ty::of(x.dtype, None));
        }
        return Ok(Ty::of(x.dtype, Some(dims.into_iter().filter(|d| *d != Dim::Known(1)).collect())));
    }
    let Some(axes) = known_ints(args.get(1)) else { return Ok(Ty::of(x.dtype, None)) };
    let axes = axes.iter().map(|&a| resolve_axis("squeeze", a, dims.len())).collect::<Result<Shape>>()?;
    let mut out = Dims::new();
    for (axis, dim) in dims.iter().enumerate() {
        match (dim, axes.contains(&axis)) {
            (Dim::Known(n), true) if *n != 1 => return Err(not_one(axis, *n)),
            (_, true) => {}
            _ => out.push(*dim),
        }
    }
    Ok(Ty::of(x.dtype, Some(out)))
}

/// `squeeze(x, axis: none)`
pub static SQUEEZE: Prim = Prim {
    name: "squeeze",
    doc: "`x` without its axes of length 1, or without those in `axis` (an int or tuple), which must be of length 1.",
    sig: Sig { params: &[req("x"), opt("axis", Default::None)] },
    infer: infer_squeeze,
    eval: Eval::General(squeeze),
    diff: BACK,
    batch: Batch::Rule(super::batching_moves::squeezing),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[1, 3, 1]), ProbeArg::None] },
            Sample { args: &[floats(&[1, 3, 1]), ProbeArg::Int(-1)] },
            Sample { args: &[floats(&[1, 1]), ProbeArg::None] },
        ],
    },
};

fn expand(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "expand", args)?;
    let axis = operand::axis("expand", args.get(1), t.rank() + 1)?;
    Ok(Value::tensor(view::insert_axis(&t, axis)))
}

fn infer_expand(args: &[Ty]) -> Result<Ty> {
    let Some(x) = operand("expand", args)? else { return Ok(Ty::Any) };
    let Some(mut dims) = x.dims else { return Ok(Ty::of(x.dtype, None)) };
    match known_axis("expand", args.get(1), dims.len() + 1)? {
        Some(axis) => dims.insert(axis, Dim::Known(1)),
        None => dims = (0..=dims.len()).map(|_| Dim::Unknown).collect(),
    }
    Ok(Ty::of(x.dtype, Some(dims)))
}

/// `expand(x, axis)`
pub static EXPAND: Prim = Prim {
    name: "expand",
    doc: "`x` with a new axis of length 1 at `axis`; `expand(x, -1)` puts it last. A view.",
    sig: Sig { params: &[req("x"), req("axis")] },
    infer: infer_expand,
    eval: Eval::General(expand),
    diff: BACK,
    batch: Batch::Rule(super::batching_moves::expanding),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1)] },
            Sample { args: &[floats(&[3]), ProbeArg::Int(-1)] },
            Sample { args: &[floats(&[]), ProbeArg::Int(0)] },
        ],
    },
};

fn flatten(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "flatten", args)?;
    let start = match args.get(1) {
        None | Some(Value::Int(0)) => 0,
        start => resolve_axis("flatten", operand::int("flatten", "start", start)?, t.rank())?,
    };
    let mut shape: Shape = t.shape().iter().copied().take(start).collect();
    shape.push(count(t.shape().get(start..).unwrap_or(&[])));
    Ok(Value::tensor(view::reshape(&t, &shape)))
}

fn infer_flatten(args: &[Ty]) -> Result<Ty> {
    let Some(x) = operand("flatten", args)? else { return Ok(Ty::Any) };
    let Some(dims) = x.dims else { return Ok(Ty::of(x.dtype, None)) };
    let start = match args.get(1) {
        None | Some(Ty::Int(Num::Known(0))) => 0,
        start => match known_axis("flatten", start, dims.len())? {
            Some(start) => start,
            None => return Ok(Ty::of(x.dtype, None)),
        },
    };
    let (kept, merged) = dims.split_at(start.min(dims.len()));
    let mut out = Dims::from_slice(kept);
    out.push(match merged {
        [one] => *one,
        _ => count_of(merged).into(),
    });
    Ok(Ty::of(x.dtype, Some(out)))
}

/// `flatten(x, start: 0)`
pub static FLATTEN: Prim = Prim {
    name: "flatten",
    doc: "All elements of `x` in row-major order as a vector; with `start`, the axes before it stay: `flatten(images, start: 1)`.",
    sig: Sig { params: &[req("x"), opt("start", Default::Int(0))] },
    infer: infer_flatten,
    eval: Eval::General(flatten),
    diff: BACK,
    batch: Batch::Rule(super::batching_moves::flattening),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Int(1)] },
        ],
    },
};
