//! Layer normalization with scale and shift, which transformers have twice in each block, and its three cotangents from one pass.
//!
//! Values and first derivatives are kernels. Of what carries derivatives further (forward mode, second order) the rules are made of
//! `_standardize` and products, as the whole is: `_standardize(x, epsilon) * scale + shift`.

use super::distinct::carries;
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, arg_bit, req,
};
use super::reduce::Plan;
use super::shape_rules;
use super::softmax::infer_same;
use super::standardize::{STANDARDIZE, along_epsilon, epsilon, product};
use crate::ad::Cx;
use crate::ad::batch::align;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::layer_norm::{Normed, Pulled, bars, values};
use crate::tensor::{DType, Shape, Tensor, count};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&LAYER_NORM, &LAYER_NORM_PULL];

#[cold]
fn unchecked() -> Error {
    Error::new("E0400", "bug in dlang: _layer_norm with other arguments than rows, a scale, a shift and a number")
}

// ---- shapes ----

/// The widest float of some types; `None` if it is not known, as that of ints, which become the default.
fn widest(args: &[Ty]) -> Option<DType> {
    let mut widest = Some(DType::Bool);
    for ty in args {
        widest = widest.zip(shape_rules::dtype_of(ty)).map(|(a, b)| a.max(b));
    }
    match args.first().and_then(shape_rules::dtype_of) {
        Some(dtype) if dtype.is_float() => widest,
        _ => None,
    }
}

fn infer(args: &[Ty]) -> Result<Ty> {
    let parts = args.get(..3).unwrap_or(args);
    let same = infer_same("mean", parts.get(..1).unwrap_or(&[]))?;
    // What does not fit is told as the product with the scale would tell it.
    shape_rules::broadcast("mul", parts)?;
    let Ty::Tensor(rows) = same else { return Ok(Ty::Any) };
    if let Some(dims) = &rows.dims {
        let n = dims.last().copied();
        for (i, part) in parts.iter().enumerate().skip(1) {
            let Some(own) = part.dims() else { continue };
            if own.len() != 1 || own.first().copied().zip(n).is_some_and(|(m, n)| m.differs(n)) {
                return Err(apart(parts, i));
            }
        }
    }
    Ok(Ty::of(widest(parts), rows.dims))
}

/// The error for a scale or a shift that is not one number for each of a row.
#[cold]
fn apart(parts: &[Ty], i: usize) -> Error {
    let kind = |i: usize| parts.get(i).map_or_else(String::new, shape_rules::show);
    let name = if i == 1 { "scale" } else { "shift" };
    let (x, part) = (kind(0), kind(i));
    Error::new(
        "E0303",
        format!("a layer normalization of {x} wants a number for each of its last axis, but {name} is {part}"),
    )
    .operand(0, format!("this is {x}"))
    .operand(i, format!("this is {part}"))
}

fn infer_pull(args: &[Ty]) -> Result<Ty> {
    let [x, scale, _, _, Ty::Int(Num::Known(kept)), Ty::Int(Num::Known(wanted))] = args else { return Ok(Ty::Any) };
    let dtype = widest(args.get(..3).unwrap_or(args));
    let row = || -> Option<Dims> {
        let (dims, own) = (x.dims()?, scale.dims()?);
        Some(dims.iter().take(usize::try_from(*kept).ok()?).chain(own.iter()).copied().collect())
    };
    let part = |(i, dims): (usize, Option<Dims>)| {
        if *wanted & i64::from(arg_bit(i)) == 0 { Ty::None } else { Ty::of(dtype, dims) }
    };
    Ok(Ty::tuple([x.dims(), row(), row()].into_iter().enumerate().map(part).collect()))
}

// ---- values ----

/// The tensors that are the first three arguments, and the dtype of what is made of them.
fn tensors<'a>(env: &Env, args: &'a [Value]) -> Result<([&'a Tensor; 3], DType)> {
    let [Value::Tensor(_, a), Value::Tensor(_, b), Value::Tensor(_, c), ..] = args else { return Err(unchecked()) };
    let float = |t: &Tensor| if t.dtype().is_float() { t.dtype() } else { env.dtype };
    let widest = [b.dtype(), c.dtype()].into_iter().fold(float(a), DType::max);
    Ok(([a, b, c], widest))
}

fn eval(env: &mut Env, args: &[Value]) -> Result<Value> {
    let x = args.first().ok_or_else(unchecked)?;
    Plan::new(env, "mean", x, Some(&Value::Int(-1)), None)?.not_empty("mean")?;
    let (parts, dtype) = tensors(env, args)?;
    let [x, scale, shift] = parts;
    let n = x.shape().last().copied().unwrap_or(0);
    if [scale, shift].iter().any(|part| part.shape() != [n]) {
        let ty = |t: &Tensor| Ty::of(Some(t.dtype()), Some(t.shape().iter().map(|&n| Dim::Known(n)).collect()));
        infer(&parts.map(ty))?;
        return Err(unchecked());
    }
    let eps = epsilon(args.get(3))?;
    fn go<T: Float + Normed>([x, scale, shift]: [&Tensor; 3], eps: f64) -> Tensor {
        Tensor::from_vec(x.shape(), values(&T::load(x), &T::load(scale), &T::load(shift), eps))
    }
    Ok(Value::tensor(if dtype == DType::F32 { go::<f32>(parts, eps) } else { go::<f64>(parts, eps) }))
}

fn eval_pull(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (parts, dtype) = tensors(env, args)?;
    let [_, _, _, eps, Value::Int(kept), Value::Int(wanted)] = args else { return Err(unchecked()) };
    let ([x, scale, g], eps) = (parts, epsilon(Some(eps))?);
    let kept = usize::try_from(*kept).ok().and_then(|kept| x.shape().get(..kept)).ok_or_else(unchecked)?;
    if x.shape() != g.shape() || x.shape().last() != scale.shape().last() || scale.rank() != 1 || kept.len() >= x.rank()
    {
        return Err(unchecked());
    }
    let wants = [0, 1, 2].map(|i| *wanted & i64::from(arg_bit(i)) != 0);
    fn go<T: Float + Normed>([x, scale, g]: [&Tensor; 3], epsilon: f64, kept: &[usize], wants: [bool; 3]) -> Value {
        let (data, g, row) = (T::load(x), T::load(g), T::load(scale));
        let of = Pulled { x: &data, g: &g, scale: &row, epsilon, groups: count(kept) };
        let sums: Shape = kept.iter().chain(scale.shape()).copied().collect();
        let [x_bar, scale_bar, shift_bar] = bars(&of, wants);
        let value = |bar: Option<Vec<T>>, shape: &[usize]| {
            bar.map_or(Value::None, |bar| Value::tensor(Tensor::from_vec(shape, bar)))
        };
        Value::tuple(vec![value(x_bar, x.shape()), value(scale_bar, &sums), value(shift_bar, &sums)])
    }
    Ok(if dtype == DType::F32 { go::<f32>(parts, eps, kept, wants) } else { go::<f64>(parts, eps, kept, wants) })
}

// ---- derivatives ----

fn jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([x, scale, _, eps], [x_dot, scale_dot, shift_dot, eps_dot]) = (call.args, tangents) else {
        return Err(unchecked());
    };
    let mut y_dot = match x_dot {
        Some(x_dot) => Some(product(cx, x, x_dot, eps)?),
        None => None,
    };
    if let Some(eps_dot) = eps_dot {
        let part = along_epsilon(cx, eps_dot, x, eps)?;
        y_dot = Some(cx.add_to(y_dot, part)?);
    }
    let mut sum = match y_dot {
        Some(y_dot) => Some(cx.zmul(&y_dot, scale)?),
        None => None,
    };
    if let Some(scale_dot) = scale_dot {
        let y = cx.apply(&STANDARDIZE, &[x.clone(), eps.clone()])?;
        let part = cx.zmul(scale_dot, &y)?;
        sum = Some(cx.add_to(sum, part)?);
    }
    if let Some(shift_dot) = shift_dot {
        let part = cx.broadcast_to(shift_dot, call.shape(0))?;
        sum = Some(cx.add_to(sum, part)?);
    }
    Ok(sum)
}

fn vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let [x, scale, _, eps] = call.args else { return Err(unchecked()) };
    let shift_bar = call.wants(2).then(|| c.clone());
    let sums = matches!(scale, Value::Tensor(..)) && (call.wants(0) || call.wants(1)) && !call.wants(3);
    if sums && ![x, scale, c].into_iter().any(carries) {
        let (kept, wanted) = (Value::Int(0), Value::Int(i64::from(call.wanted)));
        let args = [x.clone(), scale.clone(), c.clone(), eps.clone(), kept, wanted];
        let Value::Tuple(bars) = cx.apply(&LAYER_NORM_PULL, &args)? else { return Err(unchecked()) };
        let bar = |bar: &Value| if matches!(bar, Value::None) { None } else { Some(bar.clone()) };
        return Ok(bars.iter().map(bar).chain([None]).collect());
    }
    let (mut x_bar, mut scale_bar, mut eps_bar) = (None, None, None);
    if call.wants(0) || call.wants(3) {
        let y_bar = cx.zmul(c, scale)?;
        if call.wants(0) {
            x_bar = Some(product(cx, x, &y_bar, eps)?);
        }
        if call.wants(3) {
            eps_bar = Some(along_epsilon(cx, &y_bar, x, eps)?);
        }
    }
    if call.wants(1) {
        let y = cx.apply(&STANDARDIZE, &[x.clone(), eps.clone()])?;
        scale_bar = Some(cx.zmul(c, &y)?);
    }
    Ok(Cotangents::from_iter([x_bar, scale_bar, shift_bar, eps_bar]))
}

/// The examples of a batch are more rows, unless each has a scale or a shift of its own.
fn batched(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let ([x, scale, shift, eps], &[of_x, of_scale, of_shift, false]) = (call.args, call.batched) else {
        return Ok(None);
    };
    if !of_scale && !of_shift {
        return cx.apply(&LAYER_NORM, call.args).map(Some);
    }
    let rank = call.shape(0).len();
    let y = cx.apply(&STANDARDIZE, &[x.clone(), eps.clone()])?;
    let mut aligned = |part: &Value, batched: bool| if batched { align(cx, part, 1, rank) } else { Ok(part.clone()) };
    let (scale, shift) = (aligned(scale, of_scale)?, aligned(shift, of_shift)?);
    let y = if of_x || of_scale { y } else { cx.reshape(&y, &[&[1], call.shape(0)].concat())? };
    let scaled = cx.mul(&y, &scale)?;
    cx.add(&scaled, &shift).map(Some)
}

/// The examples of a batch are more rows, whose sums are kept apart.
fn batched_pull(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let ([x, scale, g, eps, Value::Int(kept), wanted], &[of_x, false, of_g, false, ..]) = (call.args, call.batched)
    else {
        return Ok(None);
    };
    let full: Shape = std::iter::once(call.n).chain(call.shape(0).iter().copied()).collect();
    let mut whole = |part: &Value, batched: bool| if batched { Ok(part.clone()) } else { cx.broadcast_to(part, &full) };
    let (x, g) = (whole(x, of_x)?, whole(g, of_g)?);
    let args = [x, scale.clone(), g, eps.clone(), Value::Int(kept + 1), wanted.clone()];
    cx.apply(&LAYER_NORM_PULL, &args).map(Some)
}

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -2.0, hi: 2.0 }
}

const EPSILON: ProbeArg = ProbeArg::Float { shape: &[], lo: 0.1, hi: 0.5 };

/// `_layer_norm(x, scale, shift, epsilon)`
pub static LAYER_NORM: Prim = Prim {
    name: "_layer_norm",
    doc: "`(x - mean(x)) / sqrt(var(x) + epsilon) * scale + shift` along the last axis; `shift` where the divisor is 0.",
    sig: Sig { params: &[req("x"), req("scale"), req("shift"), req("epsilon")] },
    infer,
    eval: Eval::General(eval),
    diff: Diff::Rules { jvp, vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batched),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[5]), floats(&[5]), floats(&[5]), EPSILON] },
            Sample { args: &[floats(&[3, 4]), floats(&[4]), floats(&[4]), EPSILON] },
            Sample { args: &[floats(&[2, 3, 17]), floats(&[17]), floats(&[17]), EPSILON] },
            Sample { args: &[floats(&[2, 1]), floats(&[1]), floats(&[1]), EPSILON] },
            Sample { args: &[floats(&[0, 2]), floats(&[2]), floats(&[2]), EPSILON] },
        ],
    },
};

/// The cotangents of x, scale and shift, of which bits tell the wanted ones; those of the latter two for each place on the first
/// `kept` axes. A constant: what carries derivatives goes another way.
pub static LAYER_NORM_PULL: Prim = Prim {
    name: "_layer_norm_pull",
    doc: "The cotangents of `_layer_norm` as constants: a tuple with `none` where none is wanted.",
    sig: Sig { params: &[req("x"), req("scale"), req("g"), req("epsilon"), req("kept"), req("wanted")] },
    infer: infer_pull,
    eval: Eval::General(eval_pull),
    diff: Diff::Zero,
    batch: Batch::Rule(batched_pull),
    // Of ints, since it is a constant of what it is differentiated by.
    probe: Probe {
        samples: &[Sample {
            args: &[
                ProbeArg::Ints { shape: &[2, 2, 3], data: &[1, 0, -1, 1, 5, 2, 7, -3, 0, 2, 1, 1] },
                ProbeArg::Ints { shape: &[3], data: &[1, 2, -1] },
                ProbeArg::Ints { shape: &[2, 2, 3], data: &[3, -2, 1, 0, 0, 1, 2, 5, -1, 1, 1, 4] },
                ProbeArg::Int(1),
                ProbeArg::Int(1),
                ProbeArg::Int(7),
            ],
        }],
    },
};
