//! Rows of a tensor put together by the number of the segment that each belongs to: `segment_sum`, `segment_max`.

use super::batching_moves::attempt;
use super::compare::{AND, GE, LT};
use super::index::{GET_INDEX, add_in_place, part_index};
use super::operand::{ints, known_int, ranked, ranked_operand, size};
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Diff, Eval, Keep, Param, Prim, Probe, ProbeArg, Sample, Sig, req,
};
use super::reduce::{floats, only};
use super::shape_rules;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::along::{segment_maxima, segment_shares};
use crate::tensor::cast::Float;
use crate::tensor::create::article;
use crate::tensor::{DType, Shape, Tensor, flat, room};
use crate::types::ty::{Dim, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&SEGMENT_SUM, &SEGMENT_MAX, &SEGMENT_SHARES];

/// Tensor, segment of each row, and shape of the result.
fn segments(env: &Env, name: &str, args: &[Value]) -> Result<(Tensor, Vec<usize>, Shape)> {
    let t = ranked(env, name, args, 1)?;
    let ids = match args.get(1) {
        Some(v @ Value::Tensor(..)) => ints(name, "segments", v)?,
        other => {
            let kind = article(&other.unwrap_or(&Value::None).type_name());
            return Err(Error::new("E0310", format!("the segments of {name} are an int vector, not {kind}"))
                .operand(1, format!("this is {kind}")));
        }
    };
    let n = size(name, "number of segments", args.get(2))?;
    let rows = t.shape().first().copied().unwrap_or(0);
    if ids.len() != rows {
        return Err(unequal(name, ids.len(), rows, &crate::tensor::show_shape(t.shape())));
    }
    let at = |&i: &i64| match usize::try_from(i) {
        Ok(k) if k < n => Ok(k),
        _ => Err(Error::new("E0401", format!("segment {i} is out of range for {name} with {n} segments"))
            .operand(1, format!("this has the segment {i}"))),
    };
    let ids = ids.iter().map(at).collect::<Result<Vec<usize>>>()?;
    let mut shape = Shape::from_slice(t.shape());
    if let Some(dim) = shape.first_mut() {
        *dim = n;
    }
    room::check(&shape, t.dtype())?;
    Ok((t, ids, shape))
}

#[cold]
fn unequal(name: &str, ids: usize, rows: usize, shape: &str) -> Error {
    Error::new("E0301", format!("{name} got {ids} segment numbers for {rows} rows"))
        .operand(0, format!("this has the shape {shape}"))
        .operand(1, format!("these are {ids}"))
        .help("each row of the first has one number, that of its segment")
}

fn segment_sum(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (t, _, shape) = segments(env, "segment_sum", args)?;
    let mut out = std::rc::Rc::new(Tensor::zeros(&shape, t.dtype()));
    let ids = args.get(1).cloned().unwrap_or_default();
    add_in_place(&mut out, &part_index(0, ids), &Value::tensor(t))?;
    Ok(Value::Tensor(crate::ad::slot::Slot::CONST, out))
}

fn segment_max(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (t, ids, shape) = segments(env, "segment_max", args)?;
    Ok(Value::tensor(match &t {
        Tensor::F32(a) => Tensor::from_vec(&shape, segment_maxima(&flat(a), &ids, &shape)),
        other => Tensor::from_vec(&shape, segment_maxima(&f64::load(other), &ids, &shape)),
    }))
}

fn shares(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (t, ids, shape) = segments(env, "segment_max", args)?;
    Ok(Value::tensor(match &t {
        Tensor::F32(a) => Tensor::from_vec(t.shape(), segment_shares(&flat(a), &ids, &shape)),
        other => Tensor::from_vec(t.shape(), segment_shares(&f64::load(other), &ids, &shape)),
    }))
}

/// What each row's segment has.
fn spread(cx: &mut Cx, call: &Call<'_>, y: &Value) -> Result<Value> {
    let ids = call.args.get(1).cloned().unwrap_or_default();
    cx.apply(&GET_INDEX, &[y.clone(), part_index(0, ids)])
}

fn max_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([_, ids, n], Some(Some(x_dot))) = (call.args, tangents.first()) else { return Ok(None) };
    let shares = cx.apply(&SEGMENT_SHARES, call.args)?;
    let terms = cx.zmul(x_dot, &shares)?;
    cx.apply(&SEGMENT_SUM, &[terms, ids.clone(), n.clone()]).map(Some)
}

fn max_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let shares = cx.apply(&SEGMENT_SHARES, call.args)?;
    let bar = spread(cx, call, y_bar)?;
    only(call, cx.zmul(&bar, &shares)?)
}

/// All examples as one with as many segments for each, one after the other.
fn side_by_side(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let ([x, ids, Value::Int(count)], Some(false)) = (call.args, call.batched.get(2)) else { return Ok(None) };
    let (shape, rows) = (Shape::from_slice(call.shape(0)), Shape::from_slice(call.shape(1)));
    let (Ok(segments), Ok(examples)) = (usize::try_from(*count), i64::try_from(call.n)) else { return Ok(None) };
    let (Some(all), Some(_)) = (segments.checked_mul(call.n), count.checked_mul(examples)) else { return Ok(None) };
    if shape.is_empty() || rows[..] != shape[..1] || ids.dtype() != Some(DType::Int) {
        return Ok(None);
    }
    let whole = |shape: &[usize]| -> Shape { [call.n].iter().chain(shape).copied().collect() };
    let x = match (call.batched.first(), x.dtype()) {
        (Some(true), _) => x.clone(),
        (_, Some(dtype)) => cx.stretch(x, &whole(&shape), dtype)?,
        _ => return Ok(None),
    };
    let mut flat = shape.clone();
    flat[0] *= call.n;
    let x = cx.reshape(&x, &flat)?;
    // A number out of range stays one.
    let starts = Tensor::from_vec(&[call.n, 1], (0..examples).map(|i| i * count).collect::<Vec<i64>>());
    let moved = cx.add(ids, &Value::tensor(starts))?;
    let (low, high) =
        (cx.apply(&GE, &[ids.clone(), Value::Int(0)])?, cx.apply(&LT, &[ids.clone(), Value::Int(*count)])?);
    let inside = cx.apply(&AND, &[low, high])?;
    let moved = cx.where_(&inside, &moved, &Value::Int(-1))?;
    let moved = cx.reshape(&moved, &flat[..1])?;
    let Some(out) = attempt(cx, call.prim, &[x, moved, Value::Int(all as i64)])? else { return Ok(None) };
    let mut shape = whole(&shape);
    if call.prim.name != SEGMENT_SHARES.name {
        shape[1] = segments;
    }
    cx.reshape(&out, &shape).map(Some)
}

fn infer(name: &str, args: &[Ty]) -> Result<Ty> {
    let Some(x) = ranked_operand(name, args, 1)? else { return Ok(Ty::Any) };
    let Some(mut dims) = x.dims else { return Ok(Ty::of(x.dtype, None)) };
    let ids = args.get(1).and_then(Ty::dims);
    if let (Some(Dim::Known(rows)), Some([Dim::Known(n)])) = (dims.first(), ids.as_deref())
        && rows != n
    {
        let shape = crate::types::show::show_dims(&dims);
        return Err(unequal(name, *n, *rows, &shape));
    }
    if let Some(dim) = dims.first_mut() {
        *dim = known_int(args.get(2)).and_then(|n| usize::try_from(n).ok()).map_or(Dim::Unknown, Dim::Known);
    }
    Ok(Ty::of(x.dtype, Some(dims)))
}

const PARAMS: &[Param] = &[req("x"), req("segments"), req("count")];

const IDS: ProbeArg = ProbeArg::Ints { shape: &[3], data: &[2, 0, 2] };

const SAMPLES: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[3]), IDS, ProbeArg::Int(3)] },
        Sample { args: &[floats(&[3, 2]), IDS, ProbeArg::Int(3)] },
        Sample { args: &[floats(&[0]), ProbeArg::Ints { shape: &[0], data: &[] }, ProbeArg::Int(0)] },
    ],
};

/// Without empty segments, whose -inf has no difference.
const FULL: ProbeArg = ProbeArg::Ints { shape: &[3], data: &[1, 0, 1] };

/// `segment_sum(x, segments, count)`
pub static SEGMENT_SUM: Prim = Prim {
    name: "segment_sum",
    doc: "Sums of the rows of `x` (`[n, ...]`) that have the same number in `segments` (`int[n]`, from 0 up to but not including `count`): `[count, ...]`. `segment_sum([1, 2, 3], [0, 1, 0], 2)` is `[4, 2]`.",
    sig: Sig { params: PARAMS },
    infer: |args: &[Ty]| infer("segment_sum", args),
    eval: Eval::General(segment_sum),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let bar = spread(cx, call, y_bar)?;
            only(call, bar)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(side_by_side),
    probe: SAMPLES,
};

/// `segment_max(x, segments, count)`
pub static SEGMENT_MAX: Prim = Prim {
    name: "segment_max",
    doc: "Maxima of the rows of `x` (`[n, ...]`) that have the same number in `segments` (`int[n]`, from 0 up to but not including `count`), as floats: `[count, ...]`; -inf for a segment without rows. k tied elements have 1/k of the slope each.",
    sig: Sig { params: PARAMS },
    infer: |args: &[Ty]| match infer("segment_max", args)? {
        Ty::Tensor(t) if t.dtype.is_none_or(|d| !d.is_float()) => Ok(Ty::of(None, t.dims.clone())),
        other => Ok(other),
    },
    eval: Eval::General(segment_max),
    diff: Diff::Rules { jvp: max_jvp, vjp: max_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(side_by_side),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), FULL, ProbeArg::Int(2)] },
            Sample { args: &[floats(&[3, 2]), FULL, ProbeArg::Int(2)] },
            Sample { args: &[floats(&[0]), ProbeArg::Ints { shape: &[0], data: &[] }, ProbeArg::Int(0)] },
        ],
    },
};

/// Slopes of `segment_max`.
pub static SEGMENT_SHARES: Prim = Prim {
    name: "_segment_shares",
    doc: "For each element 1/k if it is one of the k largest of its segment, else 0.",
    sig: Sig { params: PARAMS },
    infer: |args: &[Ty]| shape_rules::same("segment_max", args),
    eval: Eval::General(shares),
    diff: Diff::Zero,
    batch: Batch::Rule(side_by_side),
    probe: Probe { samples: &[Sample { args: &[floats(&[3]), IDS, ProbeArg::Int(3)] }] },
};
