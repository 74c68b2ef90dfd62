//! Running sums and products, and the linear recurrence and shift that their slopes are made of.

use std::borrow::Cow;

use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::{floats, only};
use super::shape_rules;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::create::{scalar_f64, to_tensor};
use crate::tensor::elementwise::wrong_kind;
use crate::tensor::out::Out;
use crate::tensor::reduce::resolve_axes;
use crate::tensor::scan::{self, map_rows, running_ints, running_products, running_sums, zip_rows};
use crate::tensor::simd::ints::{self, Marked};
use crate::tensor::{DType, Shape, Tensor, count, flat};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&CUMSUM, &CUMPROD, &CUMSUM_BACK, &LINREC, &SHIFT];

/// The tensor and axis of a scan: without `axis`, the elements in a row.
pub(super) fn scanned(env: &Env, name: &str, args: &[Value]) -> Result<(Tensor, Shape, Shape)> {
    let Some(t) = args.first().and_then(|x| to_tensor(env, x)) else { return Err(wrong_kind(name, args)) };
    let shape: Shape = match args.get(1) {
        None | Some(Value::None) => Shape::from_slice(&[t.len()]),
        Some(_) => t.shape().into(),
    };
    let axes = match args.get(1) {
        None | Some(Value::None) => Shape::from_slice(&[0]),
        Some(axis) => resolve_axes(name, axis, t.rank())?,
    };
    if axes.len() != 1 {
        return Err(Error::new("E0305", format!("{name} runs along one axis, not {}", axes.len())));
    }
    Ok((t, shape, axes))
}

/// One row of a scan.
pub(super) type RowFn<T> = fn(&[T], &mut Out<'_, T>);

pub(super) fn scan_floats(env: &Env, name: &str, args: &[Value], f32s: RowFn<f32>, f64s: RowFn<f64>) -> Result<Value> {
    let (t, shape, axes) = scanned(env, name, args)?;
    Ok(Value::tensor(match &t {
        Tensor::F32(a) => Tensor::from_vec(&shape, map_rows(&flat(a), &shape, &axes, f32s)),
        other => Tensor::from_vec(&shape, map_rows(&f64::load(other), &shape, &axes, f64s)),
    }))
}

/// Results along an axis: of the data, its shape and the axis.
pub(super) type Along<T> = fn(&[T], &[usize], &[usize]) -> Vec<T>;

/// Running results along an axis: of floats by one of the functions, of ints by steps with marks from `start` on.
pub(super) fn scan(
    env: &mut Env,
    name: &'static str,
    args: &[Value],
    (start, step): (i64, fn(i64, i64) -> Marked),
    f32s: Along<f32>,
    f64s: Along<f64>,
) -> Result<Value> {
    let (t, shape, axes) = scanned(env, name, args)?;
    let data: Cow<'_, [i64]> = match &t {
        Tensor::F32(a) => return Ok(Value::tensor(Tensor::from_vec(&shape, f32s(&flat(a), &shape, &axes)))),
        Tensor::F64(a) => return Ok(Value::tensor(Tensor::from_vec(&shape, f64s(&flat(a), &shape, &axes)))),
        Tensor::Int(a) => flat(a),
        Tensor::Bool(a) => Cow::Owned(flat(a).iter().map(|&b| i64::from(b)).collect()),
    };
    match running_ints(&data, &shape, &axes, start, step) {
        Some(out) => Ok(Value::tensor(Tensor::from_vec(&shape, out))),
        None => Err(Error::new("E0411", format!("{name} of these ints does not fit into a 64-bit int"))
            .help("make them floats first: x.to(f64)")),
    }
}

fn cumsum(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (f32s, f64s): (Along<f32>, Along<f64>) =
        (|x, shape, axes| running_sums(x, shape, axes, false), |x, shape, axes| running_sums(x, shape, axes, false));
    scan(env, "cumsum", args, (0, ints::add), f32s, f64s)
}

fn cumsum_back(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (t, shape, axes) = scanned(env, "cumsum", args)?;
    Ok(Value::tensor(match &t {
        Tensor::F32(a) => Tensor::from_vec(&shape, running_sums(&flat(a), &shape, &axes, true)),
        other => Tensor::from_vec(&shape, running_sums(&f64::load(other), &shape, &axes, true)),
    }))
}

fn cumprod(env: &mut Env, args: &[Value]) -> Result<Value> {
    scan(env, "cumprod", args, (1, ints::mul), running_products, running_products)
}

/// Axis of a recorded scan and the shape that it ran over.
pub(super) fn call_axis(call: &Call<'_>) -> Result<(Value, Shape)> {
    match call.args.get(1) {
        None | Some(Value::None) => Ok((Value::Int(0), Shape::from_slice(&[count(call.shape(0))]))),
        Some(axis) => Ok((axis.clone(), call.shape(0).into())),
    }
}

fn cumsum_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let (axis, _) = call_axis(call)?;
    let x_bar = cx.apply(&CUMSUM_BACK, &[y_bar.clone(), axis])?;
    let shape = Shape::from_slice(call.shape(0));
    only(call, cx.reshape(&x_bar, &shape)?)
}

pub(super) fn shifted(cx: &mut Cx, x: &Value, axis: &Value, by: i64, fill: f64) -> Result<Value> {
    cx.apply(&SHIFT, &[x.clone(), axis.clone(), Value::Int(by), Value::float(fill)])
}

/// With `y` the running products: `x_bar[i] = y[i - 1] * s[i]`, `s[i] = y_bar[i] + x[i + 1] * s[i + 1]`.
fn cumprod_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let (axis, shape) = call_axis(call)?;
    let x = cx.reshape(x, &shape)?;
    let before = shifted(cx, call.out, &axis, 1, 1.0)?;
    let factors = shifted(cx, &x, &axis, -1, 0.0)?;
    let s = cx.apply(&LINREC, &[factors, y_bar.clone(), axis, Value::Bool(true)])?;
    let x_bar = cx.zmul(&s, &before)?;
    let shape = Shape::from_slice(call.shape(0));
    only(call, cx.reshape(&x_bar, &shape)?)
}

/// `y_dot[i] = x[i] * y_dot[i - 1] + y[i - 1] * x_dot[i]`
fn cumprod_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let (axis, shape) = call_axis(call)?;
    let (x, x_dot) = (cx.reshape(x, &shape)?, cx.reshape(x_dot, &shape)?);
    let before = shifted(cx, call.out, &axis, 1, 1.0)?;
    let terms = cx.zmul(&x_dot, &before)?;
    cx.apply(&LINREC, &[x, terms, axis, Value::Bool(false)]).map(Some)
}

fn linrec(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [a, b, axis, reverse] = args else { return Ok(Value::None) };
    let reverse = matches!(reverse, Value::Bool(true));
    let (Some(a), Some(b)) = (to_tensor(env, a), to_tensor(env, b)) else {
        return Err(wrong_kind("linear recurrence", args));
    };
    if a.shape() != b.shape() {
        return Err(Error::new("E0301", "factors and terms of a linear recurrence must have one shape")
            .operand(0, format!("this is {}", crate::tensor::create::show_type(a.dtype(), a.shape())))
            .operand(1, format!("this is {}", crate::tensor::create::show_type(b.dtype(), b.shape()))));
    }
    let shape = Shape::from_slice(a.shape());
    let axes = resolve_axes("linear recurrence", axis, shape.len())?;
    Ok(Value::tensor(match (&a, &b) {
        (Tensor::F32(a), Tensor::F32(b)) => Tensor::from_vec(
            &shape,
            zip_rows(&flat(a), &flat(b), &shape, &axes, |a, b, out| scan::linear_recurrence(a, b, out, reverse)),
        ),
        (a, b) => Tensor::from_vec(
            &shape,
            zip_rows(&f64::load(a), &f64::load(b), &shape, &axes, |a, b, out| {
                scan::linear_recurrence(a, b, out, reverse)
            }),
        ),
    }))
}

/// For `h[i] = a[i] h[i - 1] + b[i]`: `b_bar[i] = h_bar[i] + a[i + 1] b_bar[i + 1]`, `a_bar[i] = b_bar[i] h[i - 1]`.
fn linrec_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let [a, _, axis, reverse] = call.args else { return Ok(Cotangents::new()) };
    let reverse = matches!(reverse, Value::Bool(true));
    let step = if reverse { -1 } else { 1 };
    let factors = shifted(cx, a, axis, -step, 0.0)?;
    let b_bar = cx.apply(&LINREC, &[factors, y_bar.clone(), axis.clone(), Value::Bool(!reverse)])?;
    let a_bar = if call.wants(0) {
        let before = shifted(cx, call.out, axis, step, 0.0)?;
        Some(cx.zmul(&b_bar, &before)?)
    } else {
        None
    };
    Ok(Cotangents::from_iter([a_bar, Some(b_bar), None, None]))
}

/// `h_dot[i] = a[i] h_dot[i - 1] + (b_dot[i] + a_dot[i] h[i - 1])`
fn linrec_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([a, _, axis, reverse], [a_dot, b_dot, ..]) = (call.args, tangents) else { return Ok(None) };
    let step = if matches!(reverse, Value::Bool(true)) { -1 } else { 1 };
    let mut terms = b_dot.clone();
    if let Some(a_dot) = a_dot {
        let before = shifted(cx, call.out, axis, step, 0.0)?;
        let part = cx.zmul(a_dot, &before)?;
        terms = Some(match terms {
            None => part,
            Some(t) => cx.add(&t, &part)?,
        });
    }
    match terms {
        Some(t) => cx.apply(&LINREC, &[a.clone(), t, axis.clone(), reverse.clone()]).map(Some),
        None => Ok(None),
    }
}

fn shift(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, axis, Value::Int(by), fill] = args else { return Ok(Value::None) };
    let Some(t) = to_tensor(env, x) else { return Err(wrong_kind("shift", args)) };
    let shape = Shape::from_slice(t.shape());
    let axes = resolve_axes("shift", axis, shape.len())?;
    let (by, fill) = (*by, scalar_f64(fill).unwrap_or(0.0));
    Ok(Value::tensor(match &t {
        Tensor::F32(a) => Tensor::from_vec(
            &shape,
            map_rows(&flat(a), &shape, &axes, |row, out| scan::shift(row, out, by, fill as f32)),
        ),
        other => Tensor::from_vec(
            &shape,
            map_rows(&f64::load(other), &shape, &axes, |row, out| scan::shift(row, out, by, fill)),
        ),
    }))
}

/// The same shift, filled with 0, of a tangent; the other way for a cotangent.
fn shift_linear(cx: &mut Cx, call: &Call<'_>, v: &Value, sign: i64) -> Result<Value> {
    let [_, axis, Value::Int(by), ..] = call.args else { return Ok(Value::None) };
    shifted(cx, v, axis, by.saturating_mul(sign), 0.0)
}

/// Bools are counted.
fn counted(ty: Ty) -> Ty {
    match ty {
        Ty::Tensor(t) if t.dtype == Some(DType::Bool) => Ty::of(Some(DType::Int), t.dims),
        Ty::Bool(_) => Ty::Int(Num::Unknown),
        other => other,
    }
}

pub(super) fn infer(name: &str, args: &[Ty]) -> Result<Ty> {
    let [x, axis, ..] = args else { return Ok(Ty::Any) };
    let own = shape_rules::same(name, args)?;
    Ok(match (axis, x.dims()) {
        (Ty::None, dims) => {
            let n = dims.and_then(|dims: Dims| {
                dims.iter().map(|d| if let Dim::Known(n) = d { Some(*n) } else { None }).product::<Option<usize>>()
            });
            let dtype = match x {
                Ty::Float => None,
                x => shape_rules::dtype_of(x).map(|d| if d == DType::Bool { DType::Int } else { d }),
            };
            Ty::of(dtype, Some(Dims::from_slice(&[n.map_or(Dim::Unknown, Dim::Known)])))
        }
        (Ty::Int(Num::Known(a)), Some(dims)) => {
            crate::tensor::reduce::resolve_axis(name, *a, dims.len())?;
            counted(own)
        }
        (Ty::Int(_), _) => counted(own),
        // Without an axis it is a row of all elements.
        _ => match counted(own) {
            Ty::Tensor(t) => Ty::of(t.dtype, None),
            _ => Ty::Any,
        },
    })
}

pub(super) const ROWS: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[4]), ProbeArg::None] },
        Sample { args: &[floats(&[3, 2]), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[2, 3]), ProbeArg::Int(-1)] },
        Sample { args: &[floats(&[2, 3]), ProbeArg::None] },
        Sample { args: &[floats(&[0]), ProbeArg::Int(0)] },
        Sample { args: &[ProbeArg::Point(&[2.0, 0.0, 3.0]), ProbeArg::Int(0)] },
    ],
};

/// `cumsum(x, axis: none)`
pub static CUMSUM: Prim = Prim {
    name: "cumsum",
    doc: "Running sums along `axis`; without one, of all elements in a row.",
    sig: Sig { params: &[req("x"), opt("axis", Default::None)] },
    infer: |args: &[Ty]| infer("cumsum", args),
    eval: Eval::General(cumsum),
    diff: Diff::Linear { vjp: cumsum_vjp, keep: Keep::NOTHING },
    batch: Batch::Rule(super::batching::along::<1>),
    probe: ROWS,
};

/// Running sums from the end: the transpose of [`CUMSUM`].
pub static CUMSUM_BACK: Prim = Prim {
    name: "_cumsum_back",
    doc: "Running sums along `axis` from its end.",
    sig: Sig { params: &[req("x"), req("axis")] },
    infer: |args: &[Ty]| infer("cumsum", args),
    eval: Eval::General(cumsum_back),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let (axis, _) = call_axis(call)?;
            let x_bar = cx.apply(&CUMSUM, &[y_bar.clone(), axis])?;
            only(call, x_bar)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching::along::<1>),
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1)] }] },
};

/// `cumprod(x, axis: none)`
pub static CUMPROD: Prim = Prim {
    name: "cumprod",
    doc: "Running products along `axis`; without one, of all elements in a row. Its slopes are exact at zeros.",
    sig: Sig { params: &[req("x"), opt("axis", Default::None)] },
    infer: |args: &[Ty]| infer("cumprod", args),
    eval: Eval::General(cumprod),
    diff: Diff::Rules { jvp: cumprod_jvp, vjp: cumprod_vjp, keep: Keep::BOTH },
    batch: Batch::Rule(super::batching::along::<1>),
    probe: ROWS,
};

/// The linear recurrence `h[i] = a[i] * h[i - 1] + b[i]`.
pub static LINREC: Prim = Prim {
    name: "_linrec",
    doc: "`h[i] = a[i] * h[i - 1] + b[i]` along `axis`, from `h[-1] = 0`; from the end if `reverse`.",
    sig: Sig { params: &[req("a"), req("b"), req("axis"), req("reverse")] },
    infer: |args: &[Ty]| shape_rules::same("linear recurrence", args),
    eval: Eval::General(linrec),
    diff: Diff::Rules { jvp: linrec_jvp, vjp: linrec_vjp, keep: Keep::BOTH },
    batch: Batch::Rule(super::batching::along_together::<2>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[4]), floats(&[4]), ProbeArg::Int(0), ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 2]), floats(&[3, 2]), ProbeArg::Int(0), ProbeArg::Bool(true)] },
        ],
    },
};

/// Elements moved along an axis.
pub static SHIFT: Prim = Prim {
    name: "_shift",
    doc: "Elements moved by `by` places along `axis`; `fill` comes in.",
    sig: Sig { params: &[req("x"), req("axis"), req("by"), req("fill")] },
    infer: |args: &[Ty]| shape_rules::same("shift", args),
    eval: Eval::General(shift),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| match tangents.first() {
            Some(Some(x_dot)) => shift_linear(cx, call, x_dot, 1).map(Some),
            _ => Ok(None),
        },
        vjp: |cx, call, y_bar| {
            let x_bar = shift_linear(cx, call, y_bar, -1)?;
            only(call, x_bar)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching::along::<1>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[4]), ProbeArg::Int(0), ProbeArg::Int(1), ProbeArg::Int(2)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Int(-2), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(0), ProbeArg::Int(5), ProbeArg::Int(1)] },
        ],
    },
};
