//! Attention, which transformers are made of, with its three cotangents from one pass over the scores.
//!
//! Values and first derivatives are kernels, which keep no scores. Of what carries derivatives further (forward mode, second order)
//! the rules are made of products and `softmax`. Keys that a query does not see have no part in it, even if they are NaN.

use super::distinct::carries;
use super::linalg::times;
use super::matrices;
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, arg_bit, req,
};
use super::shape_rules;
use super::softmax::{SOFTMAX, SOFTMAX_PULL};
use crate::ad::Cx;
use crate::ad::batch::align;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::attention::{Attended, Inputs, attention, pull};
use crate::tensor::create::article;
use crate::tensor::matmul::Strong;
use crate::tensor::{Arr, DType, Shape, Tensor, room};
use crate::types::show::show_dim;
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&ATTENTION, &ATTENTION_PULL];

#[cold]
fn unchecked() -> Error {
    Error::new("E0400", "bug in dlang: _attention with other arguments than three tensors and a bool")
}

// ---- shapes ----

const NAMES: [&str; 3] = ["q", "k", "v"];

#[cold]
fn no_tensor(i: usize, kind: &str) -> Error {
    let kind = article(kind);
    let name = NAMES.get(i).unwrap_or(&"q");
    Error::new("E0310", format!("attention wants tensors, but {name} is {kind}")).operand(i, format!("this is {kind}"))
}

#[cold]
fn no_matrix(i: usize, kind: &str) -> Error {
    let (name, wanted) = match i {
        0 => ("q", "[..., t, d]"),
        1 => ("k", "[..., s, d]"),
        _ => ("v", "[..., s, m]"),
    };
    Error::new("E0303", format!("attention wants {name} as {wanted}, not {kind}"))
        .operand(i, format!("this is {kind}"))
        .help("add an axis for the places: `[none]`")
}

/// The error for two operands of which a dim each must be the same.
#[cold]
fn apart(kind: &dyn Fn(usize) -> String, (i, m): (usize, Dim), (j, n): (usize, Dim), must: &str, help: &str) -> Error {
    let known = |d: Dim| if let Dim::Known(n) = d { Some(n) } else { None };
    let (a, b) = (kind(i), kind(j));
    let [x, y] = [i, j].map(|i| NAMES.get(i).copied().unwrap_or("q"));
    Error::new("E0303", format!("attention of {x} {a} and {y} {b}: {must}, {} and {}", show_dim(m), show_dim(n)))
        .operand(i, format!("{x} is {a}"))
        .operand(j, format!("{y} is {b}"))
        .sizes(known(m).into_iter().chain(known(n)))
        .help(help)
}

#[cold]
fn leading_apart(kind: &dyn Fn(usize) -> String, i: usize, j: usize) -> Error {
    let (a, b) = (kind(i), kind(j));
    let [x, y] = [i, j].map(|i| NAMES.get(i).copied().unwrap_or("q"));
    let mut error =
        Error::new("E0301", format!("the leading axes of attention's {x} and {y}, {a} and {b}, do not broadcast"))
            .operand(i, format!("{x} is {a}"))
            .operand(j, format!("{y} is {b}"));
    if i == 0 {
        error = error
            .help("with fewer heads of keys than of queries, `repeat` the keys and values along the axis of heads");
    }
    error
}

/// Axes before the matrix.
fn leading<D>(dims: &[D]) -> &[D] {
    dims.get(..dims.len().saturating_sub(2)).unwrap_or(&[])
}

/// Dims of the result from those of q, k and v, which `kind` shows.
fn result_dims(kind: &dyn Fn(usize) -> String, dims: [&[Dim]; 3]) -> Result<Dims> {
    if let Some(i) = dims.iter().position(|dims| dims.len() < 2) {
        return Err(no_matrix(i, &kind(i)));
    }
    let (&[.., t, d], &[.., s, e], &[.., r, m]) = (dims[0], dims[1], dims[2]) else { return Err(unchecked()) };
    if d.differs(e) {
        let help = if d == s {
            "transpose the keys: k is [..., s, d]"
        } else {
            "queries and keys are compared along their last axis"
        };
        return Err(apart(kind, (0, d), (1, e), "their last dims must be equal", help));
    }
    if s.differs(r) {
        let help = if s == m { "transpose the values: v is [..., s, m]" } else { "there is one value for each key" };
        return Err(apart(kind, (1, s), (2, r), "their second to last dims must be equal", help));
    }
    let batch = |dims: &[Dim]| Ty::of(Some(DType::F64), Some(Dims::from_slice(leading(dims))));
    let batches = dims.map(batch);
    let mut out = match shape_rules::broadcast("attention", &batches) {
        Ok(joined) => joined.unwrap_or_default(),
        Err(error) => {
            let clash = |&(i, j): &(usize, usize)| {
                shape_rules::broadcast("attention", &[batches[i].clone(), batches[j].clone()]).is_err()
            };
            return Err(match [(0, 1), (0, 2), (1, 2)].iter().find(|pair| clash(pair)) {
                Some(&(i, j)) => leading_apart(kind, i, j),
                None => error,
            });
        }
    };
    out.extend([t, m]);
    Ok(out)
}

fn infer(args: &[Ty]) -> Result<Ty> {
    let args = args.get(..3).unwrap_or(args);
    if args.iter().any(|ty| matches!(ty, Ty::Never)) {
        return Ok(Ty::Never);
    }
    let mut dtype = Some(DType::Bool);
    for (i, ty) in args.iter().enumerate() {
        match ty {
            Ty::Any => dtype = None,
            Ty::Tensor(t) => dtype = dtype.zip(t.dtype).map(|(a, b)| a.max(b)),
            other => return Err(no_tensor(i, &shape_rules::show(other))),
        }
    }
    // What is made of ints has the default dtype, which is not known here.
    let dtype = dtype.filter(|dtype| dtype.is_float());
    let known = |i: usize| args.get(i).and_then(Ty::dims);
    let (Some(q), Some(k), Some(v)) = (known(0), known(1), known(2)) else { return Ok(Ty::of(dtype, None)) };
    let kind = |i: usize| args.get(i).map_or_else(String::new, shape_rules::show);
    Ok(Ty::of(dtype, Some(result_dims(&kind, [&q, &k, &v])?)))
}

fn infer_pull(args: &[Ty]) -> Result<Ty> {
    let [_, _, _, c, _, Ty::Int(Num::Known(wanted))] = args else { return Ok(Ty::Any) };
    let out = infer(args)?;
    let dtype = shape_rules::dtype_of(&out);
    let batch = |dims: &Dims| Ty::of(Some(DType::F64), Some(Dims::from_slice(leading(dims))));
    let batch = match (out.dims(), c.dims()) {
        (Some(out), Some(c)) => shape_rules::broadcast("attention", &[batch(&out), batch(&c)])?,
        _ => None,
    };
    let part = |(i, x): (usize, &Ty)| {
        if *wanted & i64::from(arg_bit(i)) == 0 {
            return Ty::None;
        }
        let dims = batch.clone().zip(x.dims()).map(|(mut dims, own)| {
            dims.extend_from_slice(own.get(own.len().saturating_sub(2)..).unwrap_or(&[]));
            dims
        });
        Ty::of(dtype, dims)
    };
    Ok(Ty::tuple(args.iter().take(3).enumerate().map(part).collect()))
}

// ---- values ----

/// The leading axes of all, stretched, and the shape of the result.
fn shapes(args: &[Value]) -> Result<(Shape, Shape)> {
    if let Some(i) = args.iter().take(3).position(|v| !matches!(v, Value::Tensor(..))) {
        return Err(no_tensor(i, &args.get(i).map_or_else(String::new, Value::type_name)));
    }
    let dims = |i: usize| -> Dims {
        let shape = args.get(i).and_then(Value::shape).unwrap_or(&[]);
        shape.iter().map(|&n| Dim::Known(n)).collect()
    };
    let kind = |i: usize| args.get(i).map_or_else(String::new, Value::type_name);
    let out = result_dims(&kind, [&dims(0), &dims(1), &dims(2)])?;
    let out: Shape = out.iter().map(|d| if let Dim::Known(n) = d { *n } else { 0 }).collect();
    Ok((Shape::from_slice(leading(&out)), out))
}

/// dtype of what is computed: the widest float, or the default.
fn dtype_of(env: &Env, parts: &[&Tensor]) -> DType {
    let widest = parts.iter().map(|t| t.dtype()).max().unwrap_or(DType::F64);
    if widest.is_float() { widest } else { env.dtype }
}

fn flag(v: &Value) -> Result<bool> {
    match v {
        Value::Bool(b) => Ok(*b),
        _ => Err(unchecked()),
    }
}

fn inputs<'a, T>(q: &'a Arr<T>, k: &'a Arr<T>, v: &'a Arr<T>, causal: bool) -> Inputs<'a, T> {
    Inputs { q: q.view(), k: k.view(), v: v.view(), causal }
}

fn eval(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (batch, shape) = shapes(args)?;
    let [Value::Tensor(_, q), Value::Tensor(_, k), Value::Tensor(_, v), causal] = args else { return Err(unchecked()) };
    let (causal, dtype) = (flag(causal)?, dtype_of(env, &[q, k, v]));
    room::check(&shape, dtype)?;
    fn go<T: Attended>([q, k, v]: [Arr<T>; 3], causal: bool, batch: &[usize], shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(shape, attention(&inputs(&q, &k, &v, causal), batch)?))
    }
    Ok(Value::tensor(if dtype == DType::F32 {
        go([q, k, v].map(|t| t.to_f32()), causal, &batch, &shape)?
    } else {
        go([q, k, v].map(|t| t.to_f64()), causal, &batch, &shape)?
    }))
}

fn eval_pull(env: &mut Env, args: &[Value]) -> Result<Value> {
    let (mut batch, shape) = shapes(args)?;
    let [
        Value::Tensor(_, q),
        Value::Tensor(_, k),
        Value::Tensor(_, v),
        Value::Tensor(_, c),
        causal,
        Value::Int(wanted),
    ] = args
    else {
        return Err(unchecked());
    };
    // Several cotangents of one result: under vmap.
    if c.shape() != shape.as_slice() {
        batch = crate::tensor::broadcast::broadcast_shapes(&batch, leading(c.shape())).map_err(|_| unchecked())?;
        if c.shape().get(c.rank().saturating_sub(2)..) != shape.get(shape.len() - 2..) {
            return Err(unchecked());
        }
    }
    let (causal, dtype) = (flag(causal)?, dtype_of(env, &[q, k, v]));
    let wants = [0, 1, 2].map(|i| *wanted & i64::from(arg_bit(i)) != 0);
    fn go<T: Attended>(
        [q, k, v, c]: [Arr<T>; 4],
        causal: bool,
        batch: &[usize],
        wants: [bool; 3],
    ) -> Result<[Option<Value>; 3]> {
        let bars = pull(&inputs(&q, &k, &v, causal), &c.view(), batch, wants)?;
        let shapes = [&q, &k, &v].map(|x| -> Shape {
            batch.iter().chain(x.shape().get(x.ndim().saturating_sub(2)..).unwrap_or(&[])).copied().collect()
        });
        let mut i = 0;
        Ok(bars.map(|bar| {
            i += 1;
            bar.map(|bar| Value::tensor(Tensor::from_vec(shapes.get(i - 1).map_or(&[], |s| &s[..]), bar)))
        }))
    }
    let bars = if dtype == DType::F32 {
        go([q, k, v, c].map(|t| t.to_f32()), causal, &batch, wants)?
    } else {
        go([q, k, v, c].map(|t| t.to_f64()), causal, &batch, wants)?
    };
    Ok(Value::tuple(bars.into_iter().map(Option::unwrap_or_default).collect()))
}

// ---- derivatives ----

/// The scores and weights as values of their own, for what carries derivatives.
struct Composed {
    weights: Value,
    /// True where a key is seen; of causal attention alone.
    seen: Option<Value>,
    scale: f64,
}

impl Composed {
    fn of(cx: &mut Cx, q: &Value, k: &Value, causal: bool) -> Result<Composed> {
        let sides = |x: &Value| matrices::sides(x.shape().unwrap_or(&[]));
        let ((t, d), (s, _)) = (sides(q), sides(k));
        let scale = 1.0 / (d as f64).sqrt();
        let scores = matrices::times(cx, q, k, (false, true))?;
        let mut scores = cx.scale(&scores, scale)?;
        let mut seen = None;
        if causal {
            let flags = (0..t * s).map(|at| at % s.max(1) + t <= at / s.max(1) + s).collect();
            let flags = Value::tensor(Tensor::from_vec(&[t, s], flags));
            scores = cx.where_(&flags, &scores, &Value::float(f64::NEG_INFINITY))?;
            seen = Some(flags);
        }
        let weights = cx.apply(&SOFTMAX, &[scores, Value::Int(-1)])?;
        Ok(Composed { weights, seen, scale })
    }

    /// 0 where a key is not seen.
    fn of_seen(&self, cx: &mut Cx, x: Value) -> Result<Value> {
        match &self.seen {
            Some(seen) => cx.where_(seen, &x, &Value::float(0.0)),
            None => Ok(x),
        }
    }

    /// The Jacobian of the weights, as a function of products of queries and keys' change, times `g`.
    fn through(&self, cx: &mut Cx, g: Value) -> Result<Value> {
        let g = self.of_seen(cx, g)?;
        let through = cx.apply(&SOFTMAX_PULL, &[self.weights.clone(), g, Value::Int(-1)])?;
        self.of_seen(cx, through)
    }
}

fn jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([q, k, v, causal], [q_dot, k_dot, v_dot, ..]) = (call.args, tangents) else { return Err(unchecked()) };
    let composed = Composed::of(cx, q, k, flag(causal)?)?;
    let mut scores: Option<Value> = None;
    if let Some(q_dot) = q_dot {
        scores = Some(times(cx, q_dot, k, (false, true), Strong::Left)?);
    }
    if let Some(k_dot) = k_dot {
        let part = times(cx, q, k_dot, (false, true), Strong::Right)?;
        scores = Some(cx.add_to(scores, part)?);
    }
    let mut sum = None;
    if let Some(scores) = scores {
        let scores = cx.scale(&scores, composed.scale)?;
        let weights = composed.through(cx, scores)?;
        sum = Some(times(cx, &weights, v, (false, false), Strong::Left)?);
    }
    if let Some(v_dot) = v_dot {
        let part = times(cx, &composed.weights, v_dot, (false, false), Strong::Right)?;
        sum = Some(cx.add_to(sum, part)?);
    }
    Ok(sum)
}

fn vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let [q, k, v, causal] = call.args else { return Err(unchecked()) };
    if ![q, k, v, c].into_iter().any(carries) {
        let wanted = Value::Int(i64::from(call.wanted));
        let bars = cx.apply(&ATTENTION_PULL, &[q.clone(), k.clone(), v.clone(), c.clone(), causal.clone(), wanted])?;
        let Value::Tuple(bars) = bars else { return Err(unchecked()) };
        let bar = |bar: &Value| if matches!(bar, Value::None) { None } else { Some(bar.clone()) };
        return Ok(bars.iter().map(bar).chain([None]).collect());
    }
    let composed = Composed::of(cx, q, k, flag(causal)?)?;
    let v_bar = if call.wants(2) { Some(times(cx, &composed.weights, c, (true, false), Strong::Right)?) } else { None };
    let (mut q_bar, mut k_bar) = (None, None);
    if call.wants(0) || call.wants(1) {
        let bar = times(cx, c, v, (false, true), Strong::Left)?;
        let bar = composed.through(cx, bar)?;
        let bar = cx.scale(&bar, composed.scale)?;
        if call.wants(0) {
            q_bar = Some(times(cx, &bar, k, (false, false), Strong::Left)?);
        }
        if call.wants(1) {
            k_bar = Some(times(cx, &bar, q, (true, false), Strong::Left)?);
        }
    }
    Ok(Cotangents::from_iter([q_bar, k_bar, v_bar, None]))
}

/// The examples of a batch are more heads; of `N` tensors.
fn batched<const N: usize>(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let ranks: [usize; N] = std::array::from_fn(|i| call.shape(i).len());
    if call.batched.iter().skip(N).any(|b| *b) || ranks.iter().any(|rank| *rank < 2) {
        return Ok(None);
    }
    let rank = ranks.iter().copied().max().unwrap_or(2);
    let mut args = call.args.to_vec();
    for ((arg, have), batched) in args.iter_mut().zip(ranks).zip(call.batched) {
        if *batched {
            *arg = align(cx, arg, have, rank)?;
        }
    }
    cx.apply(call.prim, &args).map(Some)
}

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -2.0, hi: 2.0 }
}

const ALL: ProbeArg = ProbeArg::Bool(false);
const CAUSAL: ProbeArg = ProbeArg::Bool(true);

/// `_attention(q, k, v, causal)`
pub static ATTENTION: Prim = Prim {
    name: "_attention",
    doc: "`softmax(q @ k.t / sqrt(d)) @ v` along the last two axes, leading axes broadcast; if `causal`, a query sees the keys up to \
          its own place, and queries are the last places.",
    sig: Sig { params: &[req("q"), req("k"), req("v"), req("causal")] },
    infer,
    eval: Eval::General(eval),
    diff: Diff::Rules { jvp, vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batched::<3>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 2]), floats(&[3, 2]), floats(&[3, 2]), ALL] },
            Sample { args: &[floats(&[3, 2]), floats(&[3, 2]), floats(&[3, 2]), CAUSAL] },
            Sample { args: &[floats(&[2, 3]), floats(&[5, 3]), floats(&[5, 1]), CAUSAL] },
            Sample { args: &[floats(&[5, 3]), floats(&[2, 3]), floats(&[2, 4]), CAUSAL] },
            Sample { args: &[floats(&[2, 1, 2, 3]), floats(&[3, 4, 3]), floats(&[4, 2]), ALL] },
            Sample { args: &[floats(&[2, 1, 4, 2]), floats(&[3, 4, 2]), floats(&[1, 1, 4, 2]), CAUSAL] },
            Sample { args: &[floats(&[1, 2]), floats(&[1, 2]), floats(&[1, 2]), CAUSAL] },
            Sample { args: &[floats(&[0, 2]), floats(&[3, 2]), floats(&[3, 2]), ALL] },
            Sample { args: &[floats(&[2, 2]), floats(&[0, 2]), floats(&[0, 2]), ALL] },
        ],
    },
};

/// The cotangents of q, k and v, of which bits tell the wanted ones, with all leading axes. A constant: what carries derivatives
/// goes another way.
pub static ATTENTION_PULL: Prim = Prim {
    name: "_attention_pull",
    doc: "The cotangents of `_attention` as constants: a tuple with `none` where none is wanted.",
    sig: Sig { params: &[req("q"), req("k"), req("v"), req("c"), req("causal"), req("wanted")] },
    infer: infer_pull,
    eval: Eval::General(eval_pull),
    diff: Diff::Zero,
    batch: Batch::Rule(batched::<4>),
    // Of ints, since it is a constant of what it is differentiated by.
    probe: Probe {
        samples: &[Sample {
            args: &[
                ProbeArg::Ints { shape: &[2, 2], data: &[1, 0, -1, 1] },
                ProbeArg::Ints { shape: &[3, 2], data: &[1, 2, 0, 1, -1, 1] },
                ProbeArg::Ints { shape: &[3, 1], data: &[3, -2, 1] },
                ProbeArg::Ints { shape: &[2, 1], data: &[1, 2] },
                CAUSAL,
                ProbeArg::Int(7),
            ],
        }],
    },
};
