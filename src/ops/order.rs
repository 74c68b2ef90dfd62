//! Sorting: `argsort`, `sort`, `unique`. Stable, NaN last; the first position wins ties. `topk` is a builtin over these.

use super::batching_moves::attempt;
use super::operand::{self, known_axis, operand, tensor};
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::reduce::{flag, only};
use super::take::{GATHER, SCATTER_ALONG};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::Result;
use crate::tensor::{DType, Tensor, sort as kernel};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&ARGSORT, &TOP_PLACES, &SORT, &SEARCHSORTED, &SEARCHSORTED_ROWS, &UNIQUE];

const PARAMS: &[super::prim::Param] =
    &[req("x"), opt("axis", Default::Int(-1)), opt("descending", Default::Bool(false))];

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

fn argsort(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "argsort", args)?;
    if t.rank() == 0 {
        return Ok(Value::Int(0));
    }
    let axis = operand::axis("argsort", args.get(1), t.rank())?;
    Ok(Value::tensor(kernel::argsort(&t, axis, flag("argsort", "descending", args.get(2))?)))
}

fn infer_sorted(name: &str, args: &[Ty], dtype: Option<DType>) -> Result<Ty> {
    let Some(x) = operand(name, args)? else { return Ok(Ty::Any) };
    let dtype = dtype.or(x.dtype);
    if let Some(dims) = &x.dims {
        if dims.is_empty() {
            return Ok(dtype.map_or(Ty::Float, |_| Ty::of(dtype, Some(Dims::new()))));
        }
        known_axis(name, args.get(1), dims.len())?;
    }
    Ok(Ty::of(dtype, x.dims))
}

/// `argsort(x, axis: -1, descending: false)`
pub static ARGSORT: Prim = Prim {
    name: "argsort",
    doc: "The positions along `axis` that sort `x`: `argsort([3, 1, 2])` is `[1, 2, 0]`. Stable; NaN last. No derivative.",
    sig: Sig { params: PARAMS },
    infer: |args| infer_sorted("argsort", args, Some(DType::Int)),
    eval: Eval::General(argsort),
    diff: Diff::Zero,
    batch: Batch::Rule(super::batching::along::<1>),
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(-1), ProbeArg::Bool(false)] }] },
};

fn top_places(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = super::operand::ranked(env, "topk", args, 1)?;
    let axis = operand::axis("topk", args.get(2), t.rank())?;
    let n = t.shape().get(axis).copied().unwrap_or(0);
    Ok(Value::tensor(kernel::top(&t, axis, operand::size("topk", "k", args.get(1))?.min(n))))
}

/// The positions that `topk` gives.
pub static TOP_PLACES: Prim = Prim {
    name: "_top_places",
    doc: "The positions of the `k` largest elements along `axis`, largest first; of equal ones the first, NaN last. No derivative.",
    sig: Sig { params: &[req("x"), req("k"), opt("axis", Default::Int(-1))] },
    infer: |args| match args {
        [Ty::Tensor(t), ..] if t.dims.is_some() => {
            let mut dims = t.dims.clone().unwrap_or_default();
            if let Some(axis) = known_axis("topk", args.get(2), dims.len())? {
                if let Some(dim) = dims.get_mut(axis) {
                    // No more than there are.
                    *dim = match (args.get(1), &*dim) {
                        (Some(Ty::Int(Num::Known(k))), Dim::Known(n)) => {
                            usize::try_from(*k).map_or(Dim::Unknown, |k| Dim::Known(k.min(*n)))
                        }
                        _ => Dim::Unknown,
                    };
                }
            } else {
                dims.fill(Dim::Unknown);
            }
            Ok(Ty::of(Some(DType::Int), Some(dims)))
        }
        _ => Ok(Ty::of(Some(DType::Int), None)),
    },
    eval: Eval::General(top_places),
    diff: Diff::Zero,
    batch: Batch::Rule(super::batching::along::<2>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(2), ProbeArg::Int(-1)] },
            Sample { args: &[floats(&[3, 2]), ProbeArg::Int(1), ProbeArg::Int(0)] },
        ],
    },
};

fn sort(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "sort", args)?;
    if t.rank() == 0 {
        return Ok(args.first().cloned().unwrap_or_default());
    }
    let axis = operand::axis("sort", args.get(1), t.rank())?;
    Ok(Value::tensor(kernel::sort(&t, axis, flag("sort", "descending", args.get(2))?)))
}

/// The positions that a recorded sort took its elements from, and its axis; `None` for a scalar.
fn positions(cx: &mut Cx, call: &Call<'_>) -> Result<Option<(Value, Value)>> {
    if call.shape(0).is_empty() {
        return Ok(None);
    }
    let order = cx.apply(&ARGSORT, call.args)?;
    Ok(Some((order, call.args.get(1).cloned().unwrap_or_default())))
}

fn sort_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
    match positions(cx, call)? {
        Some((order, axis)) => cx.apply(&GATHER, &[x_dot.clone(), order, axis]).map(Some),
        None => Ok(Some(x_dot.clone())),
    }
}

fn sort_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    match positions(cx, call)? {
        Some((order, axis)) => {
            let at = operand::axis("sort", Some(&axis), call.shape(0).len())?;
            let n = call.shape(0).get(at).map_or(0, |&n| n as i64);
            only(call, cx.apply(&SCATTER_ALONG, &[y_bar.clone(), order, axis, Value::Int(n)])?)
        }
        None => only(call, y_bar.clone()),
    }
}

/// `sort(x, axis: -1, descending: false)`
pub static SORT: Prim = Prim {
    name: "sort",
    doc: "`x` sorted along `axis`, NaN last. Each element takes its cotangent along; ties keep their order.",
    sig: Sig { params: PARAMS },
    infer: |args| infer_sorted("sort", args, None),
    eval: Eval::General(sort),
    diff: Diff::Rules { jvp: sort_jvp, vjp: sort_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::along::<1>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[5]), ProbeArg::Int(-1), ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Bool(true)] },
            Sample { args: &[floats(&[]), ProbeArg::Int(-1), ProbeArg::Bool(false)] },
        ],
    },
};

/// Where numbers belong in an ascending line; NaN comes last, as in sort.
fn places(line: &[f64], xs: impl Iterator<Item = f64>, right: bool) -> Vec<i64> {
    let place = |x: f64| match (x.is_nan(), right) {
        (true, _) => line.partition_point(|a| !a.is_nan()),
        (_, true) => line.partition_point(|&a| a <= x),
        (_, false) => line.partition_point(|&a| a < x),
    };
    xs.map(|x| place(x) as i64).collect()
}

fn searchsorted(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [sorted, x, right] = args else { return Ok(Value::None) };
    let line = super::operand::ranked(env, "searchsorted", std::slice::from_ref(sorted), 1)?;
    let x = tensor(env, "searchsorted", std::slice::from_ref(x))?;
    let right = flag("searchsorted", "right", Some(right))?;
    let places = places(&line.to_f64s(), x.to_f64s().into_iter(), right);
    match (x.rank(), places.as_slice()) {
        (0, [place]) => Ok(Value::Int(*place)),
        _ => Ok(Value::tensor(Tensor::from_vec(x.shape(), places))),
    }
}

/// One line for all examples is asked once; else each has its own.
fn search_batch(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if call.shape(0).len() != 1 || call.batched.get(2) == Some(&true) {
        return Ok(None);
    }
    if call.only(1) {
        return attempt(cx, call.prim, call.args);
    }
    let mut args = call.args.to_vec();
    for (i, arg) in args.iter_mut().enumerate().take(2) {
        let own = call.shape(i).to_vec();
        let shape = [&[call.n][..], &own].concat();
        if call.batched.get(i) != Some(&true) {
            let Some(dtype) = arg.dtype() else { return Ok(None) };
            *arg = cx.stretch(arg, &shape, dtype)?;
        }
        *arg = cx.reshape(arg, &[call.n, own.iter().product()])?;
    }
    let Some(out) = attempt(cx, &SEARCHSORTED_ROWS, &args)? else { return Ok(None) };
    cx.reshape(&out, &[&[call.n][..], call.shape(1)].concat()).map(Some)
}

/// `_searchsorted_rows(sorted, x, right)`
static SEARCHSORTED_ROWS: Prim = Prim {
    name: "_searchsorted_rows",
    doc: "`searchsorted` of each row of `x` in the same row of `sorted`, matrices.",
    sig: Sig { params: &[req("sorted"), req("x"), opt("right", Default::Bool(false))] },
    infer: |args| match args.get(1) {
        Some(Ty::Tensor(t)) => Ok(Ty::of(Some(DType::Int), t.dims.clone())),
        _ => Ok(Ty::Any),
    },
    eval: Eval::General(|env, args| {
        let [sorted, x, right] = args else { return Ok(Value::None) };
        let lines = super::operand::ranked(env, "searchsorted", std::slice::from_ref(sorted), 2)?;
        let x = super::operand::ranked(env, "searchsorted", std::slice::from_ref(x), 2)?;
        let right = flag("searchsorted", "right", Some(right))?;
        let width = |t: &Tensor| t.shape().last().copied().unwrap_or(0);
        let (n, m) = (width(&lines), width(&x));
        let (lines, xs): (Vec<f64>, Vec<f64>) = (lines.to_f64s(), x.to_f64s());
        let row = |i: usize| lines.get(i * n..(i + 1) * n).unwrap_or(&[]);
        let found = xs.chunks(m.max(1)).enumerate().flat_map(|(i, xs)| places(row(i), xs.iter().copied(), right));
        Ok(Value::tensor(Tensor::from_vec(x.shape(), found.collect::<Vec<i64>>())))
    }),
    diff: Diff::Zero,
    batch: Batch::Rule(search_rows_batch),
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), floats(&[2, 4]), ProbeArg::Bool(false)] }] },
};

/// Rows of all examples as rows of one.
fn search_rows_batch(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if call.batched.get(2) == Some(&true) || call.shape(0).len() != 2 || call.shape(1).len() != 2 {
        return Ok(None);
    }
    let mut args = call.args.to_vec();
    for (i, arg) in args.iter_mut().enumerate().take(2) {
        let (rows, cols) = (call.shape(i)[0], call.shape(i)[1]);
        if call.batched.get(i) != Some(&true) {
            let Some(dtype) = arg.dtype() else { return Ok(None) };
            *arg = cx.stretch(arg, &[call.n, rows, cols], dtype)?;
        }
        *arg = cx.reshape(arg, &[call.n * rows, cols])?;
    }
    let Some(out) = attempt(cx, call.prim, &args)? else { return Ok(None) };
    cx.reshape(&out, &[&[call.n][..], call.shape(1)].concat()).map(Some)
}

/// `searchsorted(sorted, x, right: false)`
pub static SEARCHSORTED: Prim = Prim {
    name: "searchsorted",
    doc: "Where the elements of `x` belong in an ascending vector: how many of its elements are below (or, with `right: true`, \
          not above) each. `searchsorted([1, 3, 5], 3)` is 1. No derivative.",
    sig: Sig { params: &[req("sorted"), req("x"), opt("right", Default::Bool(false))] },
    infer: |args| match args.get(1) {
        Some(Ty::Int(_) | Ty::Float) => Ok(Ty::Int(Num::Unknown)),
        Some(Ty::Tensor(t)) => Ok(Ty::of(Some(DType::Int), t.dims.clone())),
        _ => Ok(Ty::Any),
    },
    eval: Eval::General(searchsorted),
    diff: Diff::Zero,
    batch: Batch::Rule(search_batch),
    probe: Probe {
        samples: &[Sample { args: &[ProbeArg::Point(&[1.0, 3.0, 5.0]), floats(&[2, 2]), ProbeArg::Bool(false)] }],
    },
};

fn unique(env: &mut Env, args: &[Value]) -> Result<Value> {
    Ok(Value::tensor(kernel::unique(&tensor(env, "unique", args)?)))
}

/// `unique(x)`
pub static UNIQUE: Prim = Prim {
    name: "unique",
    doc: "The different elements of `x`, sorted, as a vector; all NaN count as one.",
    sig: Sig { params: &[req("x")] },
    infer: |args| {
        let x = operand("unique", args)?;
        Ok(Ty::of(x.and_then(|x| x.dtype), Some(Dims::from_slice(&[Dim::Unknown]))))
    },
    eval: Eval::General(unique),
    diff: Diff::Refused("which elements are equal has no derivative; write unique(stop_grad(x))"),
    batch: Batch::Each,
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[4])] },
            Sample { args: &[ProbeArg::Ints { shape: &[2, 2], data: &[3, 1, 3, 2] }] },
        ],
    },
};
