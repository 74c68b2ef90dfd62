//! Pooling of planes: `max_pool2d`, which picks the first largest element of each window, and `avg_pool2d`.

use super::operand::known_ints;
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Default, Diff, Eval, Keep, Param, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::reduce::only;
use super::sliding::{Arg, Pair, Pool, known_args, operand, operand_type, pair, pool_settings, pooled, shape};
use crate::ad::Cx;
use crate::each_dtype;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::ops::convert::shape_value;
use crate::tensor::cast::Float;
use crate::tensor::pool::{Planes, largest, largest_bar, means, means_bar, pick, places, put};
use crate::tensor::window::Slide;
use crate::tensor::{DType, Shape, Tensor, flat, room};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] =
    &[&MAX_POOL2D, &MAX_POOL_BAR, &POOL_PLACES, &POOL_PICK, &POOL_PUT, &AVG_POOL2D, &AVG_POOL_BAR];

#[cold]
fn unchecked(name: &str) -> Error {
    Error::new("E0400", format!("bug in dlang: {name} with unchecked shapes"))
}

/// How windows slide over planes of the size of `x`, and the shape of the result.
fn windows(name: &str, args: &[Value]) -> Result<(Planes, Shape)> {
    let x = operand(name, args, 0)?;
    let settings = pool_settings(name, &known_args(args))?;
    let out = shape(pooled(name, &x, &settings)?);
    planes(name, &shape(x.dims), &out, &settings).map(|planes| (planes, out))
}

fn planes(name: &str, x: &[usize], out: &[usize], settings: &Pool) -> Result<Planes> {
    let Pool { size: Some(size), stride: Some(stride), padding: Some(padding) } = settings else {
        return Err(unchecked(name));
    };
    let (&[n, c, h, w], &[.., oh, ow]) = (x, out) else { return Err(unchecked(name)) };
    let slide = |len: usize, count: usize, i: usize| Slide {
        len,
        count,
        size: size[i],
        stride: stride[i],
        padding: padding[i],
        dilation: 1,
    };
    Ok(Planes { count: n * c, rows: slide(h, oh, 0), columns: slide(w, ow, 1) })
}

/// Elements of a window.
fn area(g: &Planes) -> f64 {
    g.rows.size as f64 * g.columns.size as f64
}

fn tensor<'a>(name: &str, args: &'a [Value], i: usize) -> Result<&'a Tensor> {
    match args.get(i) {
        Some(Value::Tensor(_, t)) => Ok(t),
        _ => Err(unchecked(name)),
    }
}

fn infer(name: &str, args: &[Ty]) -> Result<Option<(Option<DType>, Option<Dims>)>> {
    let x = operand_type(name, args, 0)?;
    let settings = pool_settings(name, &known_args(args))?;
    let Some(x) = x else { return Ok(None) };
    Ok(Some((x.dtype, pooled(name, &x, &settings)?)))
}

/// Type of a transpose: the planes of `y` with the size of argument `i`.
fn infer_planes(args: &[Ty], i: usize) -> Result<Ty> {
    let Some(Ty::Tensor(y)) = args.first() else { return Ok(Ty::Any) };
    let (Some(&[n, c, ..]), Some(size)) = (y.dims.as_deref(), known_ints(args.get(i))) else {
        return Ok(Ty::of(y.dtype, None));
    };
    let mut dims = Dims::from_slice(&[n, c]);
    dims.extend(size.iter().map(|&n| usize::try_from(n).map_or(Dim::Unknown, Dim::Known)));
    Ok(Ty::of(y.dtype, Some(dims)))
}

fn max_pool(_: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "max_pool2d";
    let (g, out) = windows(name, args)?;
    room::check(&out, DType::F64)?;
    let x = tensor(name, args, 0)?;
    Ok(Value::tensor(each_dtype!(x, a => Tensor::from_vec(&out, largest(&g, &flat(a))))))
}

fn pool_places(_: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "max_pool2d";
    let (g, out) = windows(name, args)?;
    let x = tensor(name, args, 0)?;
    Ok(Value::tensor(Tensor::from_vec(&out, each_dtype!(x, a => places(&g, &flat(a))))))
}

/// Elements of a plane of this shape.
fn plane_of(shape: &[usize]) -> usize {
    shape.get(2..).map_or(0, |plane| plane.iter().product())
}

/// Planes and their places, of which there must be equally many.
fn with_places<'a>(name: &str, args: &'a [Value]) -> Result<(&'a Tensor, &'a Tensor, std::borrow::Cow<'a, [i64]>)> {
    let (x, places) = (tensor(name, args, 0)?, tensor(name, args, 1)?);
    match places {
        Tensor::Int(a) if x.shape().get(..2) == places.shape().get(..2) => Ok((x, places, flat(a))),
        _ => Err(unchecked(name)),
    }
}

fn pool_pick(_: &mut Env, args: &[Value]) -> Result<Value> {
    let (x, places, at) = with_places("_pool_pick", args)?;
    let (plane, count) = (plane_of(x.shape()), plane_of(places.shape()));
    Ok(Value::tensor(match x {
        Tensor::F32(a) => Tensor::from_vec(places.shape(), pick(&flat(a), &at, plane, count)),
        other => Tensor::from_vec(places.shape(), pick(&f64::load(other), &at, plane, count)),
    }))
}

/// Rows and columns of the planes that a transpose gives.
fn size_arg(name: &str, args: &[Value], i: usize) -> Result<Pair> {
    let size = args.get(i).map_or(Arg::Unknown, Arg::from);
    pair(name, "size", i, &size, 0, 2)?.ok_or_else(|| unchecked(name))
}

/// The shape of `y` with other planes.
fn with_planes(y: &[usize], [h, w]: Pair) -> Shape {
    let mut shape = Shape::from_slice(y.get(..2).unwrap_or(&[]));
    shape.extend([h, w]);
    shape
}

fn pool_put(_: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "_pool_put";
    let (y, places, at) = with_places(name, args)?;
    let out = with_planes(y.shape(), size_arg(name, args, 2)?);
    room::check(&out, DType::F64)?;
    let (plane, count) = (plane_of(&out), plane_of(places.shape()));
    Ok(Value::tensor(match y {
        Tensor::F32(a) => Tensor::from_vec(&out, put(&flat(a), &at, plane, count)),
        other => Tensor::from_vec(&out, put(&f64::load(other), &at, plane, count)),
    }))
}

fn max_pool_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
    let places = cx.apply(&POOL_PLACES, call.args)?;
    cx.apply(&POOL_PICK, &[x_dot.clone(), places]).map(Some)
}

fn max_pool_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let mut args = call.args.to_vec();
    args.push(y_bar.clone());
    only(call, cx.apply(&MAX_POOL_BAR, &args)?)
}

fn max_pool_bar(_: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "_max_pool_bar";
    let (g, out) = windows(name, args)?;
    let (x, y) = (tensor(name, args, 0)?, tensor(name, args, Y)?);
    if y.shape() != out.as_slice() {
        return Err(unchecked(name));
    }
    Ok(Value::tensor(match (x, y) {
        (Tensor::F32(x), Tensor::F32(y)) => Tensor::from_vec(x.shape(), largest_bar(&g, &flat(x), &flat(y))),
        _ => Tensor::from_vec(x.shape(), largest_bar(&g, &f64::load(x), &f64::load(y))),
    }))
}

/// Where the elements of the tangent of `y` are in `x`: as [`MAX_POOL_BAR`] is linear in `y` and does not change with `x`.
fn max_pool_bar_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let Some(Some(y_dot)) = tangents.get(Y) else { return Ok(None) };
    let mut args = call.args.to_vec();
    if let Some(y) = args.get_mut(Y) {
        *y = y_dot.clone();
    }
    cx.apply(&MAX_POOL_BAR, &args).map(Some)
}

fn max_pool_bar_vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let places = cx.apply(&POOL_PLACES, call.args.get(..Y).unwrap_or(&[]))?;
    let y_bar = cx.apply(&POOL_PICK, &[c.clone(), places])?;
    Ok(Cotangents::from_iter([None, None, None, None, Some(y_bar)]))
}

fn avg_pool(env: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "avg_pool2d";
    let (g, out) = windows(name, args)?;
    room::check(&out, DType::F64)?;
    let x = tensor(name, args, 0)?;
    let dtype = if x.dtype().is_float() { x.dtype() } else { env.dtype };
    Ok(Value::tensor(match dtype {
        DType::F32 => Tensor::from_vec(&out, means(&g, &f32::load(x), area(&g) as f32)),
        _ => Tensor::from_vec(&out, means(&g, &f64::load(x), area(&g))),
    }))
}

fn avg_pool_bar(_: &mut Env, args: &[Value]) -> Result<Value> {
    let name = "_avg_pool_bar";
    let y = tensor(name, args, 0)?;
    let out = with_planes(y.shape(), size_arg(name, args, 4)?);
    room::check(&out, DType::F64)?;
    let g = planes(name, &out, y.shape(), &pool_settings(name, &known_args(args))?)?;
    Ok(Value::tensor(match y {
        Tensor::F32(a) => Tensor::from_vec(&out, means_bar(&g, &flat(a), area(&g) as f32)),
        other => Tensor::from_vec(&out, means_bar(&g, &f64::load(other), area(&g))),
    }))
}

/// The examples of a batch are more images.
fn batch(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let operands: &[usize] = match call.prim.name {
        "_pool_pick" | "_pool_put" => &[0, 1],
        "_max_pool_bar" => &[0, Y],
        _ => &[0],
    };
    let all = call.batched.iter().enumerate().all(|(i, &batched)| batched == operands.contains(&i));
    if !all || operands.iter().any(|&i| call.shape(i).len() != 4) {
        return Ok(None);
    }
    let mut args = call.args.to_vec();
    for &i in operands {
        let Some(arg) = args.get_mut(i) else { return Ok(None) };
        let Some(&[n, images, ref rest @ ..]) = arg.shape() else { return Ok(None) };
        let shape: Shape = std::iter::once(n * images).chain(rest.iter().copied()).collect();
        *arg = cx.reshape(arg, &shape)?;
    }
    let out = cx.apply(call.prim, &args)?;
    let shape = std::iter::once(call.n).chain(call.shape(0).first().copied());
    let shape: Shape = shape.chain(out.shape().unwrap_or(&[]).iter().skip(1).copied()).collect();
    cx.reshape(&out, &shape).map(Some)
}

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

const PARAMS: &[Param] = &[req("x"), req("size"), opt("stride", Default::None), opt("padding", Default::Int(0))];
const TWO: ProbeArg = ProbeArg::Int(2);
const NO: ProbeArg = ProbeArg::Int(0);
const ONE: ProbeArg = ProbeArg::Int(1);
const POOLS: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[2, 2, 4, 4]), TWO, ProbeArg::None, NO] },
        Sample { args: &[floats(&[1, 2, 5, 4]), ProbeArg::Tuple(&[3, 2]), ONE, ProbeArg::Tuple(&[1, 0])] },
        Sample { args: &[floats(&[1, 1, 5, 5]), TWO, ProbeArg::Tuple(&[3, 2]), ONE] },
        Sample { args: &[floats(&[0, 2, 4, 4]), TWO, ProbeArg::None, NO] },
    ],
};

/// `max_pool2d(x, size, stride: size, padding: 0)`
pub static MAX_POOL2D: Prim = Prim {
    name: "max_pool2d",
    doc: "The largest element of each window of `x[batch, channels, h, w]`; `size`, `stride` (the size if left out) and `padding` \
          (never picked) are an int or a tuple for h and w. NaN wins; of equal elements the first gets the slope.",
    sig: Sig { params: PARAMS },
    infer: |args| {
        Ok(match infer("max_pool2d", args)? {
            Some((dtype, dims)) => Ty::of(dtype, dims),
            None => Ty::Any,
        })
    },
    eval: Eval::General(max_pool),
    diff: Diff::Rules { jvp: max_pool_jvp, vjp: max_pool_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batch),
    probe: POOLS,
};

/// Which argument of [`MAX_POOL_BAR`] is the cotangent.
const Y: usize = 4;

/// `_max_pool_bar(x, size, stride, padding, y)`: the cotangent of `x`, if that of `max_pool2d(x, ..)` is `y`.
pub static MAX_POOL_BAR: Prim = Prim {
    name: "_max_pool_bar",
    doc: "Planes of zeros like those of `x`, with the elements of `y` added where `max_pool2d` finds the element of each window.",
    sig: Sig { params: &[req("x"), req("size"), req("stride"), req("padding"), req("y")] },
    infer: |args| match args.first() {
        Some(Ty::Tensor(x)) => Ok(Ty::of(x.dtype.filter(|d| d.is_float()), x.dims.clone())),
        _ => Ok(Ty::Any),
    },
    eval: Eval::General(max_pool_bar),
    diff: Diff::Rules { jvp: max_pool_bar_jvp, vjp: max_pool_bar_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(batch),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 2, 4, 4]), TWO, ProbeArg::None, NO, floats(&[2, 2, 2, 2])] },
            Sample { args: &[floats(&[1, 2, 5, 7]), TWO, ProbeArg::None, NO, floats(&[1, 2, 2, 3])] },
            Sample { args: &[floats(&[1, 1, 5, 5]), TWO, ProbeArg::Tuple(&[3, 2]), ONE, floats(&[1, 1, 2, 3])] },
        ],
    },
};

/// `_pool_places(x, size, stride, padding)`
pub static POOL_PLACES: Prim = Prim {
    name: "_pool_places",
    doc: "Where in its plane, counted row by row, `max_pool2d` finds the element of each window.",
    sig: Sig { params: PARAMS },
    infer: |args| {
        Ok(match infer("max_pool2d", args)? {
            Some((_, dims)) => Ty::of(Some(DType::Int), dims),
            None => Ty::Any,
        })
    },
    eval: Eval::General(pool_places),
    diff: Diff::Zero,
    batch: Batch::Rule(batch),
    probe: POOLS,
};

const PICKED: ProbeArg = ProbeArg::Ints { shape: &[1, 2, 1, 2], data: &[0, 3, 5, 5] };

/// `_pool_pick(x, places)`
pub static POOL_PICK: Prim = Prim {
    name: "_pool_pick",
    doc: "The elements of the planes of `x` at these places.",
    sig: Sig { params: &[req("x"), req("places")] },
    infer: |args| match (args.first(), args.get(1)) {
        (Some(Ty::Tensor(x)), Some(Ty::Tensor(places))) => {
            Ok(Ty::of(x.dtype.filter(|d| d.is_float()), places.dims.clone()))
        }
        _ => Ok(Ty::Any),
    },
    eval: Eval::General(pool_pick),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let places = call.args.get(1).cloned().unwrap_or_default();
            let size = shape_value(call.shape(0).get(2..).unwrap_or(&[]));
            only(call, cx.apply(&POOL_PUT, &[y_bar.clone(), places, size])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(batch),
    probe: Probe { samples: &[Sample { args: &[floats(&[1, 2, 2, 3]), PICKED] }] },
};

/// `_pool_put(y, places, size)`: the transpose of [`POOL_PICK`].
pub static POOL_PUT: Prim = Prim {
    name: "_pool_put",
    doc: "Planes of zeros of this size, with the elements of `y` added at their places.",
    sig: Sig { params: &[req("y"), req("places"), req("size")] },
    infer: |args| infer_planes(args, 2),
    eval: Eval::General(pool_put),
    diff: Diff::Linear {
        vjp: |cx, call, x_bar| {
            let places = call.args.get(1).cloned().unwrap_or_default();
            only(call, cx.apply(&POOL_PICK, &[x_bar.clone(), places])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(batch),
    probe: Probe { samples: &[Sample { args: &[floats(&[1, 2, 1, 2]), PICKED, ProbeArg::Tuple(&[2, 3])] }] },
};

/// `avg_pool2d(x, size, stride: size, padding: 0)`
pub static AVG_POOL2D: Prim = Prim {
    name: "avg_pool2d",
    doc: "The mean of each window of `x[batch, channels, h, w]`; `size`, `stride` (the size if left out) and `padding` (zeros, \
          which count) are an int or a tuple for h and w.",
    sig: Sig { params: PARAMS },
    infer: |args| {
        Ok(match infer("avg_pool2d", args)? {
            Some((dtype, dims)) => Ty::of(dtype.filter(|d| d.is_float()), dims),
            None => Ty::Any,
        })
    },
    eval: Eval::General(avg_pool),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let [size, stride, padding] = [1, 2, 3].map(|i| call.args.get(i).cloned().unwrap_or_default());
            let plane = shape_value(call.shape(0).get(2..).unwrap_or(&[]));
            only(call, cx.apply(&AVG_POOL_BAR, &[y_bar.clone(), size, stride, padding, plane])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(batch),
    probe: POOLS,
};

/// `_avg_pool_bar(y, size, stride, padding, plane)`: the transpose of [`AVG_POOL2D`].
pub static AVG_POOL_BAR: Prim = Prim {
    name: "_avg_pool_bar",
    doc: "Planes of this size, with each element of `y` shared out evenly over its window.",
    sig: Sig { params: &[req("y"), req("size"), req("stride"), req("padding"), req("plane")] },
    infer: |args| infer_planes(args, 4),
    eval: Eval::General(avg_pool_bar),
    diff: Diff::Linear {
        vjp: |cx, call, x_bar| {
            let [size, stride, padding] = [1, 2, 3].map(|i| call.args.get(i).cloned().unwrap_or_default());
            only(call, cx.apply(&AVG_POOL2D, &[x_bar.clone(), size, stride, padding])?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(batch),
    probe: Probe {
        samples: &[Sample {
            args: &[floats(&[1, 2, 2, 3]), TWO, ProbeArg::Tuple(&[3, 2]), ONE, ProbeArg::Tuple(&[5, 5])],
        }],
    },
};
