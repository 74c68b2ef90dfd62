//! Copies of elements: `repeat`, `tile`, `flip`, `roll`. The transpose adds up what was copied.

use super::convert::shape_dims;
use super::operand::{self, known_axis, known_ints, operand, ranked, ranked_operand, tensor};
use super::prim::{
    Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req, rest,
};
use super::reduce::only;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::along::with_dim;
use crate::tensor::reduce::{resolve_axes, resolve_axis};
use crate::tensor::{Shape, Tensor, room, view};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&REPEAT, &TILE, &FLIP, &ROLL];

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

// ---- repeat and tile ----

fn repeat(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = match tensor(env, "repeat", args)? {
        scalar if scalar.rank() == 0 => view::insert_axis(&scalar, 0),
        t => t,
    };
    let n = operand::size("repeat", "the count", args.get(1))?;
    let axis = operand::axis("repeat", args.get(2), t.rank())?;
    let length = t.shape().get(axis).copied().unwrap_or(0);
    room::check(&with_dim(t.shape(), axis, length.saturating_mul(n)), t.dtype())?;
    Ok(Value::tensor(view::repeat(&t, axis, n)))
}

fn infer_repeat(args: &[Ty]) -> Result<Ty> {
    let Some(x) = operand("repeat", args)? else { return Ok(Ty::Any) };
    let Some(mut dims) = x.dims else { return Ok(Ty::of(x.dtype, None)) };
    if dims.is_empty() {
        dims.push(Dim::Known(1));
    }
    let n = match args.get(1) {
        Some(Ty::Int(n)) => (*n).into(),
        _ => Dim::Unknown,
    };
    match known_axis("repeat", args.get(2), dims.len())? {
        Some(axis) => {
            if let Some(dim) = dims.get_mut(axis) {
                *dim = dim.with(n, |d, n| d * n);
            }
        }
        None => dims.fill(Dim::Unknown),
    }
    Ok(Ty::of(x.dtype, Some(dims)))
}

fn repeat_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let mut shape = Shape::from_slice(call.shape(0));
    if shape.is_empty() {
        return only(call, cx.sum_all(y_bar)?);
    }
    let n = operand::size("repeat", "the count", call.args.get(1))?;
    let axis = operand::axis("repeat", call.args.get(2), shape.len())?;
    shape.insert(axis + 1, n);
    let copies = cx.reshape(y_bar, &shape)?;
    only(call, cx.sum(&copies, &[axis + 1], false)?)
}

/// `repeat(x, n, axis: 0)`
pub static REPEAT: Prim = Prim {
    name: "repeat",
    doc: "Each entry along `axis` `n` times in a row: `repeat([1, 2], 2)` is `[1, 1, 2, 2]`. A scalar becomes a vector.",
    sig: Sig { params: &[req("x"), req("n"), opt("axis", Default::Int(0))] },
    infer: infer_repeat,
    eval: Eval::General(repeat),
    diff: Diff::Linear { vjp: repeat_vjp, keep: Keep::NOTHING },
    batch: Batch::Rule(super::batching_moves::repeating),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(2), ProbeArg::Int(1)] },
            Sample { args: &[floats(&[2]), ProbeArg::Int(3), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[]), ProbeArg::Int(2), ProbeArg::Int(0)] },
        ],
    },
};

/// The shape of a tile as pairs of dims, copies and elements, for each axis of the result.
fn tiled(shape: &[usize], counts: &[i64]) -> Result<Vec<(usize, usize)>> {
    let rank = shape.len().max(counts.len());
    (0..rank)
        .map(|i| {
            let n = (i + shape.len()).checked_sub(rank).and_then(|j| shape.get(j)).copied().unwrap_or(1);
            let k = (i + counts.len()).checked_sub(rank).and_then(|j| counts.get(j)).copied().unwrap_or(1);
            let k = usize::try_from(k)
                .map_err(|_| Error::new("E0303", format!("a count of tile is {k}: it must be 0 or more")))?;
            Ok((k, n))
        })
        .collect()
}

fn counts(v: Option<&Value>) -> Result<Vec<i64>> {
    operand::ints("tile", "a count", v.unwrap_or(&Value::None))
}

fn tile(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "tile", args)?;
    let pairs = tiled(t.shape(), &counts(args.get(1))?)?;
    let shape: Shape = pairs.iter().map(|(k, n)| k.saturating_mul(*n)).collect();
    room::check(&shape, t.dtype())?;
    let once: Shape = pairs.iter().flat_map(|&(_, n)| [1, n]).collect();
    let wide: Shape = pairs.iter().flat_map(|&(k, n)| [k, n]).collect();
    Ok(Value::tensor(view::reshape(&view::reshape(&t, &once).broadcast_to(&wide)?, &shape)))
}

fn infer_tile(args: &[Ty]) -> Result<Ty> {
    let Some(x) = operand("tile", args)? else { return Ok(Ty::Any) };
    let (Some(dims), Some(counts)) = (&x.dims, args.get(1).and_then(shape_dims)) else {
        return Ok(Ty::of(x.dtype, None));
    };
    let rank = dims.len().max(counts.len());
    let at = |dims: &[Dim], i: usize| {
        (i + dims.len()).checked_sub(rank).and_then(|j| dims.get(j)).copied().unwrap_or(Dim::Known(1))
    };
    let out: Dims = (0..rank)
        .map(|i| match (at(dims, i), at(&counts, i)) {
            (dim, Dim::Known(1)) => dim,
            (dim, count) => dim.with(count, |n, k| n * k),
        })
        .collect();
    Ok(Ty::of(x.dtype, Some(out)))
}

fn tile_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let pairs = tiled(call.shape(0), &counts(call.args.get(1))?)?;
    let wide: Shape = pairs.iter().flat_map(|&(k, n)| [k, n]).collect();
    let axes: Shape = (0..pairs.len()).map(|i| 2 * i).collect();
    let copies = cx.reshape(y_bar, &wide)?;
    let sum = if axes.is_empty() { copies } else { cx.sum(&copies, &axes, false)? };
    only(call, cx.reshape(&sum, call.shape(0))?)
}

/// `tile(x, *counts)`
pub static TILE: Prim = Prim {
    name: "tile",
    doc: "`x` laid side by side `counts` times along its last axes: `tile([1, 2], 2)` is `[1, 2, 1, 2]`, `tile(x, 3, 1)` stacks \
          three copies of a matrix.",
    sig: Sig { params: &[req("x"), rest("counts")] },
    infer: infer_tile,
    eval: Eval::General(tile),
    diff: Diff::Linear { vjp: tile_vjp, keep: Keep::NOTHING },
    batch: Batch::Rule(super::batching_moves::tiling),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::Tuple(&[2, 2])] },
            Sample { args: &[floats(&[2]), ProbeArg::Tuple(&[2, 3])] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Tuple(&[2])] },
            Sample { args: &[floats(&[]), ProbeArg::Tuple(&[2])] },
        ],
    },
};

// ---- flip and roll ----

/// The type of an argument that keeps its shape, with its axes checked.
fn infer_same(name: &str, args: &[Ty], axis: usize) -> Result<Ty> {
    let Some(x) = operand(name, args)? else { return Ok(Ty::Any) };
    if let (Some(dims), Some(axes)) = (&x.dims, known_ints(args.get(axis))) {
        for a in axes {
            resolve_axis(name, a, dims.len())?;
        }
    }
    match args.first() {
        Some(Ty::Int(_)) => Ok(Ty::Int(Num::Unknown)),
        Some(Ty::Bool(_)) => Ok(Ty::Bool(None)),
        first => Ok(first.cloned().unwrap_or_default()),
    }
}

fn flip(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "flip", args)?;
    let axes = resolve_axes("flip", args.get(1).unwrap_or(&Value::None), t.rank())?;
    match args.first() {
        Some(x) if t.rank() == 0 => Ok(x.clone()),
        _ => Ok(Value::tensor(axes.iter().fold(t, |t, &axis| view::flip_axis(&t, axis)))),
    }
}

/// `flip(x, axis: none)`
pub static FLIP: Prim = Prim {
    name: "flip",
    doc: "`x` backwards along `axis` (an int or tuple; all axes by default). A view.",
    sig: Sig { params: &[req("x"), opt("axis", Default::None)] },
    infer: |args| infer_same("flip", args, 1),
    eval: Eval::General(flip),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let axis = call.args.get(1).cloned().unwrap_or_default();
            only(call, cx.apply(&FLIP, &[y_bar.clone(), axis])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::None] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(-1)] },
        ],
    },
};

fn rolled(t: &Tensor, axis: usize, shift: i64) -> Tensor {
    let n = t.shape().get(axis).copied().unwrap_or(0);
    if n == 0 {
        return t.clone();
    }
    let k = shift.rem_euclid(n as i64) as usize;
    if k == 0 {
        return t.clone();
    }
    view::concat(&[view::slice_axis(t, axis, n - k, n, 1), view::slice_axis(t, axis, 0, n - k, 1)], axis)
}

fn roll(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = ranked(env, "roll", args, 1)?;
    let shifts = operand::ints("roll", "the shift", args.get(1).unwrap_or(&Value::None))?;
    if matches!(args.get(2), None | Some(Value::None)) {
        let shift = shifts.iter().fold(0i64, |sum, s| sum.wrapping_add(*s));
        let flat = view::reshape(&t, &[t.len()]);
        return Ok(Value::tensor(view::reshape(&rolled(&flat, 0, shift), t.shape())));
    }
    let axes = operand::ints("roll", "the axis", args.get(2).unwrap_or(&Value::None))?;
    if shifts.len() != axes.len() {
        let message = format!("roll got {} shifts for {} axes", shifts.len(), axes.len());
        return Err(Error::new("E0305", message).help("give one shift for each axis: roll(x, (1, 2), axis: (0, 1))"));
    }
    let mut out = t;
    for (shift, axis) in shifts.into_iter().zip(axes) {
        out = rolled(&out, resolve_axis("roll", axis, out.rank())?, shift);
    }
    Ok(Value::tensor(out))
}

/// `roll(x, shift, axis: none)`
pub static ROLL: Prim = Prim {
    name: "roll",
    doc: "`x` moved by `shift` places along `axis` (ints, or tuples of as many; without `axis`, as if flattened); what leaves at one \
          end comes in at the other.",
    sig: Sig { params: &[req("x"), req("shift"), opt("axis", Default::None)] },
    infer: |args| {
        ranked_operand("roll", args, 1)?;
        infer_same("roll", args, 2)
    },
    eval: Eval::General(roll),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let shifts = operand::ints("roll", "the shift", call.args.get(1).unwrap_or(&Value::None))?;
            let back = Value::tuple(shifts.into_iter().map(|s| Value::Int(s.saturating_neg())).collect());
            let axis = call.args.get(2).cloned().unwrap_or_default();
            only(call, cx.apply(&ROLL, &[y_bar.clone(), back, axis])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching_moves::rolling),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[4]), ProbeArg::Int(1), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(2), ProbeArg::None] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Tuple(&[1, -1]), ProbeArg::Tuple(&[0, 1])] },
        ],
    },
};
