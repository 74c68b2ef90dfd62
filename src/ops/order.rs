//! Sorting: `argsort`, `sort`, `unique`. Stable, NaN last; the first position wins ties. `topk` is a builtin over these.

use super::operand::{self, known_axis, operand, tensor};
use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::{flag, only};
use super::take::{GATHER, SCATTER_ALONG};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::Result;
use crate::tensor::{DType, Tensor, along};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&ARGSORT, &SORT, &SEARCHSORTED, &UNIQUE];

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
    Ok(Value::tensor(along::argsort(&t, axis, flag("argsort", "descending", args.get(2))?)))
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

fn sort(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = tensor(env, "sort", args)?;
    if t.rank() == 0 {
        return Ok(args.first().cloned().unwrap_or_default());
    }
    let axis = operand::axis("sort", args.get(1), t.rank())?;
    Ok(Value::tensor(along::sort(&t, axis, flag("sort", "descending", args.get(2))?)))
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

fn searchsorted(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [sorted, x, right] = args else { return Ok(Value::None) };
    let line = super::operand::ranked(env, "searchsorted", std::slice::from_ref(sorted), 1)?;
    let x = tensor(env, "searchsorted", std::slice::from_ref(x))?;
    let right = flag("searchsorted", "right", Some(right))?;
    let line: Vec<f64> = line.iter_f64().collect();
    // NaN comes last, as in sort.
    let below = |a: f64, x: f64| if x.is_nan() { !a.is_nan() } else { a < x || (right && a == x) };
    let places: Vec<i64> = x.iter_f64().map(|x| line.partition_point(|&a| below(a, x)) as i64).collect();
    match (x.rank(), places.as_slice()) {
        (0, [place]) => Ok(Value::Int(*place)),
        _ => Ok(Value::tensor(Tensor::from_vec(x.shape(), places))),
    }
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
    batch: Batch::Each,
    probe: Probe {
        samples: &[Sample { args: &[ProbeArg::Point(&[1.0, 3.0, 5.0]), floats(&[2, 2]), ProbeArg::Bool(false)] }],
    },
};

fn unique(env: &mut Env, args: &[Value]) -> Result<Value> {
    Ok(Value::tensor(along::unique(&tensor(env, "unique", args)?)))
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
