//! `conv2d` and the two transposes that its derivatives are made of.
//!
//! All three are bilinear, and each one's transposes are the other two: with `y = conv2d(x, w)`, the cotangent of `x` is
//! `_conv_input_bar(y_bar, w)` and that of `w` is `_conv_weight_bar(x, y_bar)`. So every order of derivative comes out.

use super::operand::{known_int, known_ints, map_dim};
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Default, Diff, Eval, Keep, Param, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::reshape::PERMUTE;
use super::sliding::{
    Arg, Settings, convolution, float_dtype, known_args, operand, operand_type, pair, settings, shape,
};
use super::strong::bilinear;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::ops::convert::shape_value;
use crate::tensor::convolve::{Geometry, forward, input_bar, weight_bar};
use crate::tensor::window::Slide;
use crate::tensor::{DType, Shape, Tensor, room};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&CONV2D, &INPUT_BAR, &WEIGHT_BAR];

#[cold]
fn unchecked(name: &str) -> Error {
    Error::new("E0400", format!("bug in dlang: {name} with unchecked shapes"))
}

/// Sizes from the shapes of `x`, `w` and `y`.
fn geometry(name: &str, x: &[usize], w: &[usize], y: &[usize], s: &Settings) -> Result<Geometry> {
    let (&[batch, _, h, width], &[outputs, inputs, kh, kw], &[_, _, oh, ow]) = (x, w, y) else {
        return Err(unchecked(name));
    };
    let (Some(stride), Some(padding), Some(dilation), Some(groups)) = (s.stride, s.padding, s.dilation, s.groups)
    else {
        return Err(unchecked(name));
    };
    let slide = |len: usize, size: usize, count: usize, i: usize| Slide {
        len,
        count,
        size,
        stride: stride[i],
        padding: padding[i],
        dilation: dilation[i],
    };
    let outputs = outputs / groups.max(1);
    Ok(Geometry { batch, groups, inputs, outputs, rows: slide(h, kh, oh, 0), columns: slide(width, kw, ow, 1) })
}

/// Two operands through a kernel in their common float dtype; ints give floats of the default dtype.
fn by_dtype(
    env: &Env,
    a: &Value,
    b: &Value,
    out: &[usize],
    f32s: impl FnOnce(&[f32], &[f32]) -> Result<Vec<f32>>,
    f64s: impl FnOnce(&[f64], &[f64]) -> Result<Vec<f64>>,
) -> Result<Value> {
    use crate::tensor::cast::Float;
    let (Value::Tensor(_, a), Value::Tensor(_, b)) = (a, b) else { return Err(unchecked("convolution")) };
    let dtype = float_dtype(Some(a.dtype()), Some(b.dtype())).unwrap_or(env.dtype);
    room::check(out, dtype)?;
    Ok(Value::tensor(match dtype {
        DType::F32 => Tensor::from_vec(out, f32s(&f32::load(a), &f32::load(b))?),
        _ => Tensor::from_vec(out, f64s(&f64::load(a), &f64::load(b))?),
    }))
}

fn conv2d(env: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "conv2d";
    let (x, w) = (operand(name, args, 0)?, operand(name, args, 1)?);
    let s = settings(name, &known_args(args), 2, 2)?;
    let out = shape(convolution(name, &x, &w, &s, 2)?);
    let [x, w, ..] = args else { return Err(unchecked(name)) };
    let g = geometry(name, x.shape().unwrap_or(&[]), w.shape().unwrap_or(&[]), &out, &s)?;
    by_dtype(env, x, w, &out, |x, w| forward(&g, x, w), |x, w| forward(&g, x, w))
}

fn infer_conv2d(args: &[Ty]) -> Result<Ty> {
    let name = "conv2d";
    let (x, w) = (operand_type(name, args, 0)?, operand_type(name, args, 1)?);
    let s = settings(name, &known_args(args), 2, 2)?;
    let (Some(x), Some(w)) = (x, w) else { return Ok(Ty::Any) };
    Ok(Ty::of(float_dtype(x.dtype, w.dtype), convolution(name, &x, &w, &s, 2)?))
}

/// Size of a plane given to one of the transposes.
fn plane(name: &str, args: &[Value]) -> Result<[usize; 2]> {
    let size = args.get(2).map_or(Arg::Unknown, Arg::from);
    pair(name, "size", 2, &size, 0, 2)?.ok_or_else(|| unchecked(name))
}

/// Type of one of the transposes: its first two dims from those of its operands and the groups, then the size.
fn infer_bar(args: &[Ty], channels: fn([Dim; 4], usize) -> [Dim; 2]) -> Result<Ty> {
    let (Some(Ty::Tensor(a)), Some(Ty::Tensor(b))) = (args.first(), args.get(1)) else { return Ok(Ty::Any) };
    let dtype = float_dtype(a.dtype, b.dtype);
    let (Some(&[a0, a1, ..]), Some(&[b0, b1, ..])) = (a.dims.as_deref(), b.dims.as_deref()) else {
        return Ok(Ty::of(dtype, None));
    };
    let mut dims = match known_int(args.get(6)).and_then(|g| usize::try_from(g).ok()) {
        Some(groups) if groups > 0 => Dims::from_slice(&channels([a0, a1, b0, b1], groups)),
        _ => Dims::from_slice(&[Dim::Unknown; 2]),
    };
    match known_ints(args.get(2)) {
        Some(size) => dims.extend(size.iter().map(|&n| usize::try_from(n).map_or(Dim::Unknown, Dim::Known))),
        None => dims.extend([Dim::Unknown; 2]),
    }
    Ok(Ty::of(dtype, Some(dims)))
}

fn eval_input_bar(env: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "_conv_input_bar";
    let (s, [h, width]) = (settings(name, &known_args(args), 3, 2)?, plane(name, args)?);
    let [y, w, ..] = args else { return Err(unchecked(name)) };
    let (Some(y_shape @ &[batch, ..]), Some(w_shape @ &[_, inputs, ..])) = (y.shape(), w.shape()) else {
        return Err(unchecked(name));
    };
    let out = [batch, inputs * s.groups.unwrap_or(1), h, width];
    let g = geometry(name, &out, w_shape, y_shape, &s)?;
    by_dtype(env, y, w, &out, |y, w| input_bar(&g, y, w), |y, w| input_bar(&g, y, w))
}

fn eval_weight_bar(env: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "_conv_weight_bar";
    let (s, [kh, kw]) = (settings(name, &known_args(args), 3, 2)?, plane(name, args)?);
    let [x, y, ..] = args else { return Err(unchecked(name)) };
    let (Some(x_shape @ &[_, inputs, ..]), Some(y_shape @ &[_, outputs, ..])) = (x.shape(), y.shape()) else {
        return Err(unchecked(name));
    };
    let out = [outputs, inputs / s.groups.unwrap_or(1).max(1), kh, kw];
    let g = geometry(name, x_shape, &out, y_shape, &s)?;
    by_dtype(env, x, y, &out, |x, y| weight_bar(&g, x, y), |x, y| weight_bar(&g, x, y))
}

// ---- derivatives ----

/// `conv2d(x, w)` with the settings of a recorded call; operand `strong` is a cotangent.
fn conv(cx: &mut Cx, x: &Value, w: &Value, strong: usize, settings: &[Value]) -> Result<Value> {
    bilinear(cx, x, w, strong, &mut |cx, x, w| cx.apply(&CONV2D, &[&[x.clone(), w.clone()], settings].concat()))
}

/// One of the transposes, for a result whose planes are those of `shape`; operand `strong` is a cotangent.
fn bar(
    cx: &mut Cx,
    prim: &'static Prim,
    operands: [&Value; 2],
    strong: usize,
    shape: &[usize],
    settings: &[Value],
) -> Result<Value> {
    let size = shape_value(shape.get(2..).unwrap_or(&[]));
    bilinear(cx, operands[0], operands[1], strong, &mut |cx, a, b| {
        cx.apply(prim, &[&[a.clone(), b.clone(), size.clone()], settings].concat())
    })
}

/// Operands and settings of a recorded call; the settings are the last four arguments.
fn parts<'a>(call: &Call<'a>) -> Result<(&'a Value, &'a Value, &'a [Value])> {
    match (call.args, call.args.len().checked_sub(4).and_then(|at| call.args.get(at..))) {
        ([a, b, ..], Some(settings)) => Ok((a, b, settings)),
        _ => Err(unchecked(call.prim.name)),
    }
}

/// Cotangents of the two operands.
fn two(call: &Call<'_>, a: Option<Value>, b: Option<Value>) -> Cotangents {
    let mut all = Cotangents::from_iter([a, b]);
    all.resize(call.args.len(), None);
    all
}

/// `f(da, b) + f(a, db)`, as all three are bilinear.
fn jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let mut sum: Option<Value> = None;
    for (i, tangent) in tangents.iter().take(2).enumerate() {
        let Some(tangent) = tangent else { continue };
        let (a, b, _) = parts(call)?;
        let (a, b) = if i == 0 { (tangent, b) } else { (a, tangent) };
        let rest = call.args.get(2..).unwrap_or(&[]);
        let term =
            bilinear(cx, a, b, i, &mut |cx, a, b| cx.apply(call.prim, &[&[a.clone(), b.clone()], rest].concat()))?;
        sum = Some(cx.add_to(sum, term)?);
    }
    Ok(sum)
}

fn conv2d_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let (x, w, settings) = parts(call)?;
    let x_bar = if call.wants(0) { Some(bar(cx, &INPUT_BAR, [y_bar, w], 0, call.shape(0), settings)?) } else { None };
    let w_bar = if call.wants(1) { Some(bar(cx, &WEIGHT_BAR, [x, y_bar], 1, call.shape(1), settings)?) } else { None };
    Ok(two(call, x_bar, w_bar))
}

fn input_bar_vjp(cx: &mut Cx, call: &Call<'_>, x: &Value) -> Result<Cotangents> {
    let (y, w, settings) = parts(call)?;
    let y_bar = if call.wants(0) { Some(conv(cx, x, w, 0, settings)?) } else { None };
    let w_bar = if call.wants(1) { Some(bar(cx, &WEIGHT_BAR, [x, y], 0, call.shape(1), settings)?) } else { None };
    Ok(two(call, y_bar, w_bar))
}

fn weight_bar_vjp(cx: &mut Cx, call: &Call<'_>, w: &Value) -> Result<Cotangents> {
    let (x, y, settings) = parts(call)?;
    let x_bar = if call.wants(0) { Some(bar(cx, &INPUT_BAR, [y, w], 1, call.shape(0), settings)?) } else { None };
    let y_bar = if call.wants(1) { Some(conv(cx, x, w, 1, settings)?) } else { None };
    Ok(two(call, x_bar, y_bar))
}

// ---- batches of examples ----
//
// With groups, x is [batch, group, in], w is [group, out, in] and y is [batch, group, out], and each of the three primitives
// sums over what its operands have in common. The axis of examples becomes part of an axis that sums nothing: if both
// operands are batched the groups, else the axis that the batched operand has in common with the result alone.

/// Where the axis of examples goes: into `axis` of four, in front of it or, with `inside`, behind its groups.
#[derive(Clone, Copy)]
struct Fold {
    axis: usize,
    inside: bool,
}

/// Into the batch of planes.
const BATCH: Fold = Fold { axis: 0, inside: false };
/// Into the groups of planes, and of weights.
const PLANE_GROUPS: Fold = Fold { axis: 1, inside: false };
const WEIGHT_GROUPS: Fold = Fold { axis: 0, inside: false };
/// Into the channels of each group of planes.
const CHANNELS: Fold = Fold { axis: 1, inside: true };
/// Into the outputs of each group of weights, and into their inputs.
const OUTPUTS: Fold = Fold { axis: 0, inside: true };
const INPUTS: Fold = Fold { axis: 1, inside: false };

impl Fold {
    /// `shape` with the axis taken apart into groups, if the examples go inside, and the rest.
    fn apart(self, shape: &[usize], groups: usize) -> Option<Shape> {
        let mut apart = Shape::from_slice(shape);
        let dim = apart.get_mut(self.axis)?;
        if self.inside {
            if *dim % groups != 0 {
                return None;
            }
            *dim /= groups;
            apart.insert(self.axis, groups);
        }
        Some(apart)
    }

    /// Place of the axis of examples.
    fn place(self) -> usize {
        self.axis + usize::from(self.inside)
    }

    /// `[n, ...]` as a tensor of rank 4.
    fn fold(self, cx: &mut Cx, v: &Value, groups: usize) -> Result<Option<Value>> {
        let Some((&n, shape)) = v.shape().and_then(<[usize]>::split_first) else { return Ok(None) };
        let (mut folded, Some(mut apart)) = (Shape::from_slice(shape), self.apart(shape, groups)) else {
            return Ok(None);
        };
        apart.insert(0, n);
        let Some(dim) = folded.get_mut(self.axis) else { return Ok(None) };
        *dim *= n;
        let apart = cx.reshape(v, &apart)?;
        let moved = moved(cx, &apart, 0, self.place())?;
        cx.reshape(&moved, &folded).map(Some)
    }

    /// The reverse: a tensor of rank 4 as `[n, ...]`.
    fn unfold(self, cx: &mut Cx, v: &Value, groups: usize, n: usize) -> Result<Option<Value>> {
        let mut shape = Shape::from_slice(v.shape().unwrap_or(&[]));
        let Some(dim) = shape.get_mut(self.axis).filter(|dim| n > 0 && **dim % n == 0) else { return Ok(None) };
        *dim /= n;
        let Some(mut apart) = self.apart(&shape, groups) else { return Ok(None) };
        apart.insert(self.place(), n);
        let apart = cx.reshape(v, &apart)?;
        let moved = moved(cx, &apart, self.place(), 0)?;
        shape.insert(0, n);
        cx.reshape(&moved, &shape).map(Some)
    }
}

/// Axis `from` moved to `to`.
fn moved(cx: &mut Cx, v: &Value, from: usize, to: usize) -> Result<Value> {
    if from == to {
        return Ok(v.clone());
    }
    let mut axes: Shape = (0..v.shape().map_or(0, <[usize]>::len)).filter(|&a| a != from).collect();
    axes.insert(to, from);
    cx.apply(&PERMUTE, &[v.clone(), shape_value(&axes)])
}

/// Where the examples of the operands and the result go if the first, the second or both operands are batched.
type Folds = [[Fold; 3]; 3];

/// One application on a whole batch. `first` is where the settings begin.
fn batch(cx: &mut Cx, call: &BatchCall<'_>, first: usize, folds: &Folds) -> Result<Option<Value>> {
    let (&[a, b, ref rest @ ..], Some(groups)) = (call.batched, call.args.get(first + 3)) else { return Ok(None) };
    let Value::Int(groups) = *groups else { return Ok(None) };
    let (Ok(groups), false, 4, 4) =
        (usize::try_from(groups), rest.contains(&true), call.shape(0).len(), call.shape(1).len())
    else {
        return Ok(None); // the examples say what is wrong
    };
    if groups == 0 {
        return Ok(None);
    }
    let [fold_a, fold_b, fold_out] = folds[match (a, b) {
        (true, false) => 0,
        (false, true) => 1,
        _ => 2,
    }];
    let mut args = call.args.to_vec();
    for ((arg, fold), batched) in args.iter_mut().zip([fold_a, fold_b]).zip([a, b]) {
        if batched {
            let Some(folded) = fold.fold(cx, arg, groups)? else { return Ok(None) };
            *arg = folded;
        }
    }
    if let (true, true, Some(all)) = (a, b, args.get_mut(first + 3)) {
        let Some(product) = groups.checked_mul(call.n).and_then(|g| i64::try_from(g).ok()) else { return Ok(None) };
        *all = Value::Int(product);
    }
    let out = cx.apply(call.prim, &args)?;
    fold_out.unfold(cx, &out, groups, call.n)
}

fn batch_conv2d(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let kind = |i: usize| {
        let dims = call.shape(i).iter().map(|&n| Dim::Known(n)).collect();
        super::sliding::Operand { kind: String::new(), dims: Some(dims), dtype: None }
    };
    // What is wrong is said of one example.
    let checked =
        settings("conv2d", &known_args(call.args), 2, 2).and_then(|s| convolution("conv2d", &kind(0), &kind(1), &s, 2));
    if checked.is_err() {
        return Ok(None);
    }
    batch(
        cx,
        call,
        2,
        &[[BATCH, OUTPUTS, BATCH], [BATCH, OUTPUTS, CHANNELS], [PLANE_GROUPS, WEIGHT_GROUPS, PLANE_GROUPS]],
    )
}

fn batch_input_bar(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    batch(
        cx,
        call,
        3,
        &[[BATCH, INPUTS, BATCH], [BATCH, INPUTS, CHANNELS], [PLANE_GROUPS, WEIGHT_GROUPS, PLANE_GROUPS]],
    )
}

fn batch_weight_bar(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    batch(
        cx,
        call,
        3,
        &[[CHANNELS, BATCH, INPUTS], [BATCH, CHANNELS, OUTPUTS], [PLANE_GROUPS, PLANE_GROUPS, WEIGHT_GROUPS]],
    )
}

// ---- the table ----

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

/// Parameters of every convolution.
pub const STRIDE: Param = opt("stride", Default::Int(1));
pub const PADDING: Param = opt("padding", Default::Int(0));
pub const DILATION: Param = opt("dilation", Default::Int(1));
pub const GROUPS: Param = opt("groups", Default::Int(1));

const ONE: ProbeArg = ProbeArg::Int(1);
const NO: ProbeArg = ProbeArg::Int(0);

/// `conv2d(x, w, stride: 1, padding: 0, dilation: 1, groups: 1)`
pub static CONV2D: Prim = Prim {
    name: "conv2d",
    doc: "Convolution of planes, channels first: `x[batch, in, h, w]` and weights `w[out, in/groups, kh, kw]` give `[batch, out, oh, \
          ow]` with `oh = (h + 2*padding - dilation*(kh - 1) - 1) // stride + 1`. `stride`, `padding` (zeros) and `dilation` are an int \
          or a tuple for h and w. As in neural networks the kernel is not flipped. \
          `conv2d(ones(1, 1, 3, 3), ones(1, 1, 2, 2))` is all 4.0.",
    sig: Sig { params: &[req("x"), req("w"), STRIDE, PADDING, DILATION, GROUPS] },
    infer: infer_conv2d,
    eval: Eval::General(conv2d),
    diff: Diff::Rules { jvp, vjp: conv2d_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batch_conv2d),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 2, 4, 5]), floats(&[3, 2, 2, 3]), ONE, NO, ONE, ONE] },
            Sample { args: &[floats(&[1, 2, 4, 4]), floats(&[4, 2, 2, 2]), ProbeArg::Int(2), ONE, ONE, ONE] },
            Sample {
                args: &[
                    floats(&[1, 2, 5, 4]),
                    floats(&[6, 1, 2, 2]),
                    ProbeArg::Tuple(&[2, 1]),
                    ProbeArg::Tuple(&[1, 2]),
                    ProbeArg::Tuple(&[1, 2]),
                    ProbeArg::Int(2),
                ],
            },
            Sample { args: &[floats(&[1, 3, 3, 3]), floats(&[3, 1, 3, 3]), ONE, ONE, ONE, ProbeArg::Int(3)] },
            Sample { args: &[floats(&[2, 3, 2, 2]), floats(&[4, 3, 1, 1]), ONE, NO, ONE, ONE] },
            Sample { args: &[floats(&[0, 2, 3, 3]), floats(&[3, 2, 2, 2]), ONE, NO, ONE, ONE] },
        ],
    },
};

/// `_conv_input_bar(y, w, size, stride, padding, dilation, groups)`: the cotangent of `x`, whose planes have this size.
pub static INPUT_BAR: Prim = Prim {
    name: "_conv_input_bar",
    doc: "Each element of `y` times `w`, added where `conv2d` took it from: `[batch, in, h, w]` for `size` `(h, w)`.",
    sig: Sig {
        params: &[req("y"), req("w"), req("size"), req("stride"), req("padding"), req("dilation"), req("groups")],
    },
    infer: |args| {
        infer_bar(args, |[batch, _, _, inputs], groups| [batch, map_dim(inputs, |n| n.saturating_mul(groups))])
    },
    eval: Eval::General(eval_input_bar),
    diff: Diff::Rules { jvp, vjp: input_bar_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batch_input_bar),
    probe: Probe {
        samples: &[
            Sample {
                args: &[floats(&[2, 3, 3, 3]), floats(&[3, 2, 2, 3]), ProbeArg::Tuple(&[4, 5]), ONE, NO, ONE, ONE],
            },
            Sample {
                args: &[
                    floats(&[1, 6, 3, 6]),
                    floats(&[6, 1, 2, 2]),
                    ProbeArg::Tuple(&[5, 4]),
                    ProbeArg::Tuple(&[2, 1]),
                    ProbeArg::Tuple(&[1, 2]),
                    ProbeArg::Tuple(&[1, 2]),
                    ProbeArg::Int(2),
                ],
            },
        ],
    },
};

/// `_conv_weight_bar(x, y, size, stride, padding, dilation, groups)`: the cotangent of `w`, whose planes have this size.
pub static WEIGHT_BAR: Prim = Prim {
    name: "_conv_weight_bar",
    doc: "Each element of `y` times its window of `x`, summed: `[out, in/groups, kh, kw]` for `size` `(kh, kw)`.",
    sig: Sig {
        params: &[req("x"), req("y"), req("size"), req("stride"), req("padding"), req("dilation"), req("groups")],
    },
    infer: |args| infer_bar(args, |[_, inputs, _, outputs], groups| [outputs, map_dim(inputs, |n| n / groups)]),
    eval: Eval::General(eval_weight_bar),
    diff: Diff::Rules { jvp, vjp: weight_bar_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batch_weight_bar),
    probe: Probe {
        samples: &[
            Sample {
                args: &[floats(&[2, 2, 4, 5]), floats(&[2, 3, 3, 3]), ProbeArg::Tuple(&[2, 3]), ONE, NO, ONE, ONE],
            },
            Sample {
                args: &[
                    floats(&[1, 2, 5, 4]),
                    floats(&[1, 6, 3, 6]),
                    ProbeArg::Tuple(&[2, 2]),
                    ProbeArg::Tuple(&[2, 1]),
                    ProbeArg::Tuple(&[1, 2]),
                    ProbeArg::Tuple(&[1, 2]),
                    ProbeArg::Int(2),
                ],
            },
        ],
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(shape: &[usize], seed: usize) -> Value {
        let n = shape.iter().product();
        Value::tensor(Tensor::from_vec(
            shape,
            (0..n).map(|i| (((i + seed) * 7919) % 101) as f64 / 50.0 - 1.0).collect::<Vec<f64>>(),
        ))
    }

    fn flat(v: &Value) -> Vec<f64> {
        if let Value::Tensor(_, t) = v { t.iter_f64().collect() } else { vec![] }
    }

    /// Example `k` of three.
    fn example(v: &Value, k: usize) -> Value {
        let shape = v.shape().unwrap();
        let all = flat(v);
        let n = all.len() / shape[0];
        Value::tensor(Tensor::from_vec(&shape[1..], all[k * n..(k + 1) * n].to_vec()))
    }

    fn check(prim: &'static Prim, shapes: [&[usize]; 2], rest: &[Value]) {
        let Batch::Rule(rule) = &prim.batch else { panic!() };
        for batched in [[true, false], [false, true], [true, true]] {
            let cx = &mut Cx::default();
            let full = |i: usize| if batched[i] { [&[3], shapes[i]].concat() } else { shapes[i].to_vec() };
            let (a, b) = (numbers(&full(0), 1), numbers(&full(1), 40));
            let args = [&[a.clone(), b.clone()], rest].concat();
            let mut flags = vec![false; args.len()];
            flags[..2].copy_from_slice(&batched);
            let call = BatchCall { prim, args: &args, batched: &flags, n: 3 };
            let whole = rule(cx, &call).unwrap().unwrap();
            for k in 0..3 {
                let one = |v: &Value, i: usize| if batched[i] { example(v, k) } else { v.clone() };
                let want = cx.apply(prim, &[&[one(&a, 0), one(&b, 1)], rest].concat()).unwrap();
                let got = example(&whole, k);
                assert_eq!(got.shape(), want.shape(), "{} {batched:?}", prim.name);
                for (g, w) in flat(&got).iter().zip(flat(&want)) {
                    assert!((g - w).abs() < 1e-12, "{} {batched:?}: {g} is not {w}", prim.name);
                }
            }
        }
    }

    #[test]
    fn batches_are_their_examples() {
        for groups in [1usize, 2] {
            let pair = |a, b| Value::tuple(vec![Value::Int(a), Value::Int(b)]);
            let rest = [pair(2, 1), pair(1, 0), Value::Int(1), Value::Int(groups as i64)];
            let (x, w, y) = ([2, 4, 5, 4], [6, 4 / groups, 3, 2], [2, 6, 3, 3]);
            check(&CONV2D, [&x, &w], &rest);
            check(&INPUT_BAR, [&y, &w], &[&[pair(5, 4)], &rest[..]].concat());
            check(&WEIGHT_BAR, [&x, &y], &[&[pair(3, 2)], &rest[..]].concat());
        }
    }

    #[test]
    fn settings_are_checked() {
        let said = |args: &[Value]| Cx::default().apply(&CONV2D, args).unwrap_err().0;
        let call =
            |x: &[usize], w: &[usize], rest: [Value; 4]| said(&[&[numbers(x, 0), numbers(w, 0)], &rest[..]].concat());
        let int = Value::Int;
        assert!(
            call(&[28, 28], &[1, 1, 3, 3], [int(1), int(0), int(1), int(1)]).help.unwrap().contains("x[none, none]")
        );
        let e = call(&[1, 3, 8, 8], &[4, 2, 3, 3], [int(1), int(0), int(1), int(1)]);
        assert_eq!(e.code, "E0303");
        assert!(e.message.contains("has 3 channels") && e.message.contains("takes 2"), "{}", e.message);
        let e = call(&[1, 3, 8, 8], &[4, 1, 3, 3], [int(1), int(0), int(1), int(2)]);
        assert!(e.message.contains("groups 2"), "{}", e.message);
        let e = call(&[1, 4, 8, 8], &[3, 2, 3, 3], [int(1), int(0), int(1), int(2)]);
        assert!(e.message.contains("3 outputs"), "{}", e.message);
        let e = call(&[1, 1, 2, 8], &[1, 1, 3, 3], [int(1), int(0), int(1), int(1)]);
        assert!(
            e.message.contains("larger than its input") && e.help.unwrap().contains("padding of 1"),
            "{}",
            e.message
        );
        assert_eq!(call(&[1, 1, 4, 8], &[1, 1, 3, 3], [int(0), int(0), int(1), int(1)]).code, "E0455");
        assert_eq!(call(&[1, 1, 4, 8], &[1, 1, 3, 3], [Value::float(1.0), int(0), int(1), int(1)]).code, "E0310");
        let three = Value::tuple(vec![int(1), int(1), int(1)]);
        assert_eq!(call(&[1, 1, 4, 8], &[1, 1, 3, 3], [int(1), three, int(1), int(1)]).code, "E0455");
        assert_eq!(call(&[1, 1, 4, 8], &[1, 1, 3, 3], [int(1), int(1 << 40), int(1), int(1)]).code, "E0421");
        assert_eq!(call(&[1, 1, 4, 8], &[1, 1, 3, 3], [int(1), int(0), int(i64::MAX), int(1)]).code, "E0303");
    }
}
