//! Evaluates elementwise primitives and their fused pullbacks on values: scalars, tensors, and mixtures.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::broadcast::broadcast_values;
use super::cast::{Float, Kind, promote};
use super::create::{full_value, scalar_f64};
use super::form;
use super::lanes::{Lanes, Run, run, run_shared, run_whole};
use super::out::{Out, behind};
use super::simd::kernels::add_to;
use super::spares::Spares;
use super::threads::{self, MANY};
use super::{Arr, DType, Shape, Tensor, count, dense, dense_mut, flat};
use crate::ad::slot::Slot;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::few::few;
use crate::ops::lanes::{Elementwise, Ints, LaneKernel, PullKernel, Scalar};
use crate::ops::num::Ex;
use crate::ops::prim::{Eval, Prim};
use crate::value::Value;

/// Applies an elementwise primitive to slot-free values (slots are dropped).
pub fn eval_elementwise(env: &mut Env, prim: &'static Prim, e: &Elementwise, args: &[Value]) -> Result<Value> {
    if let Some(check) = e.check {
        check(args)?;
    }
    match (&e.scalar, args) {
        (Scalar::Unary { f, .. }, [Value::Float(_, x)]) => return Ok(Value::float(f(*x))),
        (Scalar::Binary { f, .. }, [Value::Float(_, a), Value::Float(_, b)]) => return Ok(Value::float(f(*a, *b))),
        _ => {}
    }
    let e = e.special.and_then(|special| special(args)).unwrap_or(e);
    let args = args.get(..e.arity()).unwrap_or(args);
    if let Some(done) = few_of_one(e, args, &mut Spares::default()) {
        return Ok(Value::Tensor(Slot::CONST, done));
    }
    let Some(kind) = promote(env, args) else {
        return Err(wrong_kind(prim.name, args));
    };
    let scalars = !args.iter().any(|v| matches!(v, Value::Tensor(..)));
    match kind {
        Kind::Int | Kind::Bool if !matches!(e.ints, Ints::Promote) => {
            if scalars {
                int_scalar(prim, e, args)
            } else {
                int_tensor(prim, e, args)
            }
        }
        _ if scalars => float_scalar(e, args),
        Kind::Float(DType::F64) => float_tensor::<f64>(prim, e.lanes64, args),
        Kind::Int | Kind::Bool if env.dtype == DType::F64 => float_tensor::<f64>(prim, e.lanes64, args),
        _ => float_tensor::<f32>(prim, e.lanes32, args),
    }
}

/// Elements for which preparations would cost more than they are worth.
const FEW: usize = 2048;

/// The value for one or two small float tensors alike, or one and a number; `None` for others.
pub fn few_lanes(e: &Elementwise, args: &[Value], spares: &mut Spares) -> Option<Rc<Tensor>> {
    let e = e.special.and_then(|special| special(args)).unwrap_or(e);
    few_of_one(e, args.get(..e.arity())?, spares)
}

fn few_of_one(e: &Elementwise, args: &[Value], spares: &mut Spares) -> Option<Rc<Tensor>> {
    let ([Value::Tensor(_, t)] | [Value::Tensor(_, t), _] | [Value::Float(..) | Value::Int(_), Value::Tensor(_, t)]) =
        args
    else {
        return None;
    };
    match **t {
        Tensor::F32(ref a) => few_lanes_of(a, e.lanes32, args, spares),
        Tensor::F64(ref a) => few_lanes_of(a, e.lanes64, args, spares),
        _ => None,
    }
}

fn few_lanes_of<T: Float>(
    lead: &Arr<T>,
    kernel: LaneKernel<T>,
    args: &[Value],
    spares: &mut Spares,
) -> Option<Rc<Tensor>> {
    let shape = lead.shape();
    let n = count(shape);
    if n > FEW {
        return None;
    }
    match args {
        [_] => {
            let lanes = [Lanes::Each(dense(lead)?)];
            spares.make(shape, |out| {
                kernel(n, &lanes, out);
                Some(())
            })
        }
        [a, b] => {
            let lanes = [few_of(a, shape)?, few_of(b, shape)?];
            spares.make(shape, |out| {
                kernel(n, &lanes, out);
                Some(())
            })
        }
        _ => None,
    }
}

/// Lanes of a number or of a tensor of this shape.
fn few_of<'a, T: Float>(v: &'a Value, shape: &[usize]) -> Option<Lanes<'a, T>> {
    match v {
        Value::Tensor(_, t) => {
            let a = T::array(t)?;
            if form::alike(a.shape(), shape) { dense(a).map(Lanes::Each) } else { None }
        }
        Value::Float(_, x) => Some(Lanes::Same(T::c(*x))),
        Value::Int(i) => Some(Lanes::Same(T::c(*i as f64))),
        _ => None,
    }
}

/// The error for an argument that is neither number nor tensor.
#[cold]
pub fn wrong_kind(name: &str, args: &[Value]) -> Error {
    let i = args.iter().position(|v| v.shape().is_none()).unwrap_or(0);
    wrong_kind_of(name, i, &args.get(i).map_or_else(String::new, Value::type_name))
}

/// The same from the kind of argument `i` alone.
#[cold]
pub fn wrong_kind_of(name: &str, i: usize, kind: &str) -> Error {
    let shown = match name {
        "add" => "+",
        "sub" | "neg" => "-",
        "mul" => "*",
        "div" => "/",
        "pow" => "^",
        "rem" => "%",
        "floordiv" => "//",
        "_gelu" | "_gelu_tanh" => "gelu",
        other => other,
    };
    let kind_shown = super::create::article(kind);
    let error = Error::new("E0310", format!("{shown} wants numbers or tensors, not {kind_shown}"))
        .operand(i, format!("this is {kind_shown}"));
    match kind {
        "str" => error.help("convert it first: float(s) or int(s)"),
        "list" | "tuple" => error.help("make it a tensor first: tensor(x)"),
        "none" => error.help("it may come from a function that returns nothing"),
        "function" => error.help("call it to get its result"),
        _ => error,
    }
}

fn float_scalar(e: &Elementwise, args: &[Value]) -> Result<Value> {
    let get = |i: usize| args.get(i).and_then(scalar_f64).unwrap_or(f64::NAN);
    Ok(Value::float(match &e.scalar {
        Scalar::Unary { f, .. } => f(get(0)),
        Scalar::Binary { f, .. } => f(get(0), get(1)),
        Scalar::Ternary { f, .. } => f(get(0), get(1), get(2)),
    }))
}

fn int_of(v: Option<&Value>) -> i64 {
    match v {
        Some(Value::Int(i)) => *i,
        Some(Value::Bool(b)) => *b as i64,
        _ => 0,
    }
}

fn apply_ints(ints: &Ints, a: i64, b: i64, c: i64) -> Option<i64> {
    match ints {
        Ints::Promote => None,
        Ints::Stay { f, .. } => f(a, b, c),
    }
}

fn int_scalar(prim: &'static Prim, e: &Elementwise, args: &[Value]) -> Result<Value> {
    let [a, b, c] = [0, 1, 2].map(|i| int_of(args.get(i)));
    match apply_ints(&e.ints, a, b, c) {
        Some(y) => Ok(Value::Int(y)),
        None => Err(int_error(prim.name, &[a, b, c][..e.arity().min(3)])),
    }
}

/// Division by zero, or a result beyond 64 bits.
#[cold]
pub fn int_error(name: &str, operands: &[i64]) -> Error {
    if let ("floordiv" | "rem" | "fmod", [_, 0]) = (name, operands) {
        let what = if name == "rem" { "remainder of a division by zero" } else { "integer division by zero" };
        return Error::new("E0410", what).operand(1, "this is 0").help("test the divisor first, or divide floats");
    }
    let shown = match (name, operands) {
        ("add", [a, b]) => format!("{a} + {b}"),
        ("sub", [a, b]) => format!("{a} - {b}"),
        ("mul", [a, b]) => format!("{a} * {b}"),
        ("pow", [a, b]) => format!("{a} ^ {b}"),
        ("floordiv", [a, b]) => format!("{a} // {b}"),
        ("neg", [a]) => format!("-({a})"),
        _ => format!("{name}({})", operands.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
    };
    Error::new("E0411", format!("{shown} does not fit into a 64-bit int"))
        .help("use floats for large numbers: float(x)")
}

fn int_tensor(prim: &'static Prim, e: &Elementwise, args: &[Value]) -> Result<Value> {
    let shape = broadcast_values(prim.name, args)?;
    let held: SmallVec<[(Cow<'_, [i64]>, Shape); 3]> = args.iter().map(load_ints).collect();
    let operands: SmallVec<[(&[i64], &[usize]); 3]> = held.iter().map(|(d, s)| (&**d, s.as_slice())).collect();
    let mut out = Vec::new();
    let mut failed = None;
    let Ints::Stay { f, lanes: kernel } = &e.ints else { return Ok(Value::None) };
    run(&shape, &operands, &mut out, |n, lanes, out| {
        if !kernel(n, lanes, out) && failed.is_none() {
            let at = |i: usize| [0, 1, 2].map(|k| lanes.get(k).and_then(|l| l.at(i)).unwrap_or(0));
            failed = (0..n).map(at).find(|&[a, b, c]| f(a, b, c).is_none());
        }
    });
    match failed {
        Some(operands) => Err(int_error(prim.name, &operands[..e.arity().min(3)])),
        None => Ok(Value::from_vec(&shape, out)),
    }
}

/// Elements of an int or bool value as ints.
pub fn load_ints(v: &Value) -> (Cow<'_, [i64]>, Shape) {
    match v {
        Value::Tensor(_, t) => {
            let shape = Shape::from_slice(t.shape());
            match &**t {
                Tensor::Int(a) => (flat(a), shape),
                Tensor::Bool(a) => (Cow::Owned(flat(a).iter().map(|&b| b as i64).collect()), shape),
                Tensor::F32(_) | Tensor::F64(_) => (Cow::Owned(t.iter_f64().map(|x| x as i64).collect()), shape),
            }
        }
        scalar => (Cow::Owned(vec![int_of(Some(scalar))]), Shape::new()),
    }
}

/// An operand as lanes of `T` need it: a scalar, or a row-major buffer.
pub enum Loaded<'a, T: Clone> {
    Scalar(T),
    Buffer(Cow<'a, [T]>, &'a [usize]),
}

impl<T: Copy> Loaded<'_, T> {
    fn lanes(&self) -> Lanes<'_, T> {
        match self {
            Loaded::Scalar(x) => Lanes::Same(*x),
            Loaded::Buffer(data, _) => Lanes::Each(data),
        }
    }
}

/// A number or tensor as lanes of `T`.
pub fn load<T: Float>(v: &Value) -> Loaded<'_, T> {
    match v {
        Value::Tensor(_, t) => Loaded::Buffer(T::load(t), t.shape()),
        scalar => Loaded::Scalar(T::c(scalar_f64(scalar).unwrap_or(f64::NAN))),
    }
}

fn float_tensor<T: Float>(prim: &'static Prim, kernel: LaneKernel<T>, args: &[Value]) -> Result<Value> {
    // One tensor shape and perhaps scalars: a single run.
    let mut shape: Option<&[usize]> = None;
    let mut one_shape = true;
    for v in args {
        if let Value::Tensor(_, t) = v {
            match shape {
                None => shape = Some(t.shape()),
                Some(s) => one_shape &= s == t.shape(),
            }
        }
    }
    if one_shape && let Some(shape) = shape {
        let n = count(shape);
        let mut out = Vec::with_capacity(n);
        match args {
            [a] => run_whole(n, &[load(a).lanes()], &mut out, kernel),
            [a, b] => run_whole(n, &[load(a).lanes(), load(b).lanes()], &mut out, kernel),
            _ => {
                let loaded: SmallVec<[Loaded<T>; 3]> = args.iter().map(load).collect();
                let lanes: Run<T> = loaded.iter().map(Loaded::lanes).collect();
                run_whole(n, &lanes, &mut out, kernel);
            }
        }
        return Ok(Value::from_vec(shape, out));
    }
    let loaded: SmallVec<[Loaded<T>; 3]> = args.iter().map(load).collect();
    let shape = broadcast_values(prim.name, args)?;
    let mut out = Vec::with_capacity(count(&shape));
    run_shared(&shape, &operands(&loaded), &mut out, kernel);
    Ok(Value::from_vec(&shape, out))
}

/// Buffers with their shapes.
pub fn operands<'a, T: Clone>(loaded: &'a [Loaded<'a, T>]) -> SmallVec<[(&'a [T], &'a [usize]); 5]> {
    loaded
        .iter()
        .map(|l| match l {
            Loaded::Scalar(x) => (std::slice::from_ref(x), &[] as &[usize]),
            Loaded::Buffer(data, shape) => (&**data, *shape),
        })
        .collect()
}

/// `y_bar` times the partial for argument `i`, in one pass; 0 where `y_bar` is 0, whatever the partial is.
/// Arguments and result that the partial does not read may be `Value::None`. `y_bar` may be a tangent: anything that
/// broadcasts to the result's shape.
pub fn pull_elementwise(prim: &'static Prim, args: &[Value], out: &Value, y_bar: &Value, i: usize) -> Result<Value> {
    let Eval::Elementwise(e) = &prim.eval else { return Ok(Value::None) };
    let scalar = |v: &Value| matches!(v, Value::Float(..) | Value::Int(_) | Value::Bool(_) | Value::None);
    if scalar(y_bar) && scalar(out) && args.iter().all(scalar) {
        let slope = slope_at(e, args, out, i);
        let g = scalar_f64(y_bar).unwrap_or(0.0);
        return Ok(Value::float(if g == 0.0 { 0.0 } else { g * slope }));
    }
    if let Value::Tensor(_, t) = y_bar {
        let done = match **t {
            Tensor::F32(ref bar) => pull_few(e, |e| e.pull32, args, out, bar, i),
            Tensor::F64(ref bar) => pull_few(e, |e| e.pull64, args, out, bar, i),
            _ => None,
        };
        if let Some(done) = done {
            return Ok(done);
        }
    }
    let float = |v: &Value| match v {
        Value::Tensor(_, t) if t.dtype().is_float() => Some(t.dtype()),
        _ => None,
    };
    // The widest: a tangent may be of a narrower argument.
    match [y_bar, out].into_iter().chain(args).filter_map(float).max() {
        Some(DType::F32) => pull_tensor::<f32>(prim, e, |e| e.pull32, args, out, y_bar, i),
        _ => pull_tensor::<f64>(prim, e, |e| e.pull64, args, out, y_bar, i),
    }
}

/// The pullback for a few elements, if what is present are tensors alike.
fn pull_few<T: Float>(
    e: &Elementwise,
    kernels: fn(&Elementwise) -> [PullKernel<T>; 3],
    args: &[Value],
    out: &Value,
    bar: &Arr<T>,
    i: usize,
) -> Option<Value> {
    Some(Value::from_vec(bar.shape(), few_pulled(e, kernels, args, out, bar, i)?))
}

/// Its elements.
fn few_pulled<T: Float>(
    e: &Elementwise,
    kernels: fn(&Elementwise) -> [PullKernel<T>; 3],
    args: &[Value],
    out: &Value,
    bar: &Arr<T>,
    i: usize,
) -> Option<Vec<T>> {
    let shape = bar.shape();
    let n = count(shape);
    if n > FEW || e.slopes().get(i)?.constant.is_some() {
        return None;
    }
    let special = if i == 0 { e.special.and_then(|special| special(args)) } else { None };
    let e = special.unwrap_or(e);
    let bar = dense(bar)?;
    // What is not kept is not read either; the cotangent stands in for it.
    let mut slices: [&[T]; 3] = [&[]; 3];
    let arity = e.arity().min(args.len());
    for (slice, v) in slices.iter_mut().zip(args.get(..arity)?) {
        *slice = alike(v, shape, bar)?;
    }
    let mut result = Vec::with_capacity(n);
    let (kernel, args, y) = (kernels(e).get(i).copied()?, slices.get(..arity)?, alike(out, shape, bar)?);
    behind(&mut result, n, |out| kernel(args, y, bar, out));
    Some(result)
}

/// Adds `y_bar` times the partial for argument `i` to `sum`, block by block: what is added is never written to memory. False, with
/// nothing done, where not all that is read are tensors alike, or the partial is a constant.
pub fn pull_onto(prim: &'static Prim, args: &[Value], out: &Value, y_bar: &Tensor, i: usize, sum: &mut Tensor) -> bool {
    let Eval::Elementwise(e) = &prim.eval else { return false };
    match (y_bar, sum) {
        (Tensor::F32(bar), Tensor::F32(sum)) => pull_onto_of(e, |e| e.pull32, args, out, bar, i, sum),
        (Tensor::F64(bar), Tensor::F64(sum)) => pull_onto_of(e, |e| e.pull64, args, out, bar, i, sum),
        _ => false,
    }
}

fn pull_onto_of<T: Float>(
    e: &Elementwise,
    kernels: fn(&Elementwise) -> [PullKernel<T>; 3],
    args: &[Value],
    out: &Value,
    bar: &Arr<T>,
    i: usize,
    sum: &mut Arr<T>,
) -> bool {
    let shape = bar.shape();
    let n = count(shape);
    let shared = n >= MANY && threads::available() > 1;
    if shared || sum.shape() != shape || dense(sum).is_none() || e.slopes().get(i).is_none_or(|s| s.constant.is_some())
    {
        return false;
    }
    let special = if i == 0 { e.special.and_then(|special| special(args)) } else { None };
    let e = special.unwrap_or(e);
    let Some(bar) = dense(bar) else { return false };
    // What is not kept is not read either; the cotangent stands in for it.
    let mut slices: [&[T]; 3] = [&[]; 3];
    let arity = e.arity().min(args.len());
    for (slice, v) in slices.iter_mut().zip(args.iter().take(arity)) {
        match alike(v, shape, bar) {
            Some(data) => *slice = data,
            None => return false,
        }
    }
    let (Some(kernel), Some(y)) = (kernels(e).get(i).copied(), alike(out, shape, bar)) else { return false };
    let Some(sum) = dense_mut(sum) else { return false };
    let mut made = Vec::with_capacity(BLOCK.min(n));
    for (block, sum) in sum.chunks_mut(BLOCK).enumerate() {
        let part =
            |x: &'_ [T]| -> Range<usize> { (block * BLOCK).min(x.len())..(block * BLOCK + sum.len()).min(x.len()) };
        let args = slices.map(|x| x.get(part(x)).unwrap_or(&[]));
        let (y, bar) = (y.get(part(y)).unwrap_or(&[]), bar.get(part(bar)).unwrap_or(&[]));
        made.clear();
        behind(&mut made, sum.len(), |out| kernel(args.get(..arity).unwrap_or(&[]), y, bar, out));
        add_to(sum, &made);
    }
    true
}

/// The elements of a tensor of this shape; others in the place of what is absent.
fn alike<'a, T: Float>(v: &'a Value, shape: &[usize], absent: &'a [T]) -> Option<&'a [T]> {
    match v {
        Value::None => Some(absent),
        Value::Tensor(_, t) => {
            let a = T::array(t)?;
            if a.shape() == shape { dense(a) } else { None }
        }
        _ => None,
    }
}

fn slope_at(e: &Elementwise, args: &[Value], out: &Value, i: usize) -> f64 {
    let get = |k: usize| args.get(k).and_then(scalar_f64).unwrap_or(f64::NAN);
    let y = scalar_f64(out).unwrap_or(f64::NAN);
    match &e.scalar {
        Scalar::Unary { d, .. } => d(get(0), y),
        Scalar::Binary { d, .. } => d.get(i).map_or(0.0, |d| d(get(0), get(1), y)),
        Scalar::Ternary { d, .. } => d.get(i).map_or(0.0, |d| d(get(0), get(1), get(2), y)),
    }
}

/// Lanes done at a time when some operand is splat.
const BLOCK: usize = 512;

fn pull_tensor<T: Float>(
    prim: &'static Prim,
    e: &Elementwise,
    kernels: fn(&Elementwise) -> [PullKernel<T>; 3],
    args: &[Value],
    out: &Value,
    y_bar: &Value,
    i: usize,
) -> Result<Value> {
    let shape = pull_shape(prim, args, out, y_bar)?;
    let shape = shape.as_slice();
    if let Some(c) = e.slopes().get(i).and_then(|slope| slope.constant) {
        return scaled::<T>(y_bar, c, shape);
    }
    let special = if i == 0 { e.special.and_then(|special| special(args)) } else { None };
    let e = special.unwrap_or(e);
    let Some(kernel) = kernels(e).get(i).copied() else { return Ok(full_value(shape, T::DTYPE, 0.0)) };
    // What is not kept is not read either; the cotangent stands in for it.
    let operands_of = (args.iter().take(e.arity())).chain([out, y_bar]);
    let loaded: SmallVec<[Loaded<T>; 5]> = few(operands_of.map(|v| load(if v.shape().is_some() { v } else { y_bar })));
    let n = count(shape);
    let mut result = Vec::with_capacity(n);
    if n <= BLOCK {
        let mut slices: [&[T]; 5] = [&[]; 5];
        let alike = slices.iter_mut().zip(&loaded).all(|(slice, l)| match l {
            Loaded::Buffer(data, own) if *own == shape => {
                *slice = data;
                true
            }
            _ => false,
        });
        if alike && let Some([args @ .., out, y_bar]) = slices.get(..loaded.len()) {
            behind(&mut result, n, |made| kernel(args, out, y_bar, made));
            return Ok(Value::from_vec(shape, result));
        }
    }
    run_shared(shape, &operands(&loaded), &mut result, |n, lanes, dst| pull_run(kernel, n, lanes, dst));
    Ok(Value::from_vec(shape, result))
}

/// The shape that what is present broadcasts to.
fn pull_shape(prim: &'static Prim, args: &[Value], out: &Value, y_bar: &Value) -> Result<Shape> {
    let mut tensors = args.iter().chain([out, y_bar]).filter_map(|v| match v {
        Value::Tensor(_, t) => Some(t.shape()),
        _ => None,
    });
    let first = tensors.next().unwrap_or(&[]);
    if tensors.all(|s| s == first) {
        return Ok(Shape::from_slice(first));
    }
    let numeric = |v: &&Value| v.shape().is_some();
    let present: SmallVec<[Value; 5]> = args.iter().chain([out, y_bar]).filter(numeric).cloned().collect();
    broadcast_values(prim.name, &present)
}

/// One run of a pullback: scalars are splat over blocks, as the kernel wants slices.
fn pull_run<T: Float>(kernel: PullKernel<T>, n: usize, lanes: &[Lanes<'_, T>], dst: &mut Out<'_, T>) {
    let block = n.min(BLOCK);
    let mut splat: SmallVec<[T; BLOCK]> = SmallVec::new();
    let mut all_each = true;
    for lane in lanes {
        if let Lanes::Same(x) = lane {
            all_each = false;
            splat.extend(std::iter::repeat_n(*x, block));
        }
    }
    let step = if all_each { n } else { block };
    let mut start = 0;
    while start < n {
        let len = step.min(n - start);
        let mut splats = splat.chunks_exact(block);
        let slices: SmallVec<[&[T]; 5]> = lanes
            .iter()
            .map(|lane| match lane {
                Lanes::Each(s) => s.get(start..start + len).unwrap_or(&[]),
                Lanes::Same(_) => splats.next().and_then(|s| s.get(..len)).unwrap_or(&[]),
            })
            .collect();
        if let [args @ .., out, y_bar] = slices.as_slice() {
            kernel(args, out, y_bar, dst);
        }
        start += len;
    }
}

/// `y_bar * c`, stretched to `shape`.
fn scaled<T: Float>(y_bar: &Value, c: f64, shape: &[usize]) -> Result<Value> {
    if c == 0.0 {
        return Ok(full_value(shape, T::DTYPE, 0.0));
    }
    match y_bar {
        Value::Tensor(_, t) if c == 1.0 && t.dtype() == T::DTYPE && t.shape() == shape => Ok(y_bar.clone()),
        Value::Tensor(_, t) => {
            let t = if c == 1.0 {
                t.cast(T::DTYPE)?
            } else {
                let k = T::c(c);
                Tensor::from_vec(t.shape(), T::load(t).iter().map(|&x| x * k).collect())
            };
            Ok(Value::tensor(t.broadcast_to(shape)?))
        }
        scalar => Ok(full_value(shape, T::DTYPE, scalar_f64(scalar).unwrap_or(0.0) * c)),
    }
}

/// The part of the result's tangent that comes from argument `i`. It has the shape to which the kept arguments, the
/// result and the tangent broadcast.
pub fn push_elementwise(prim: &'static Prim, args: &[Value], out: &Value, x_dot: &Value, i: usize) -> Result<Value> {
    pull_elementwise(prim, args, out, x_dot, i)
}

/// Bit `k` is set if a partial for one of the `wanted` arguments reads argument `k` (or the result, as index `arity`).
pub fn reads(prim: &'static Prim, wanted: u32) -> u32 {
    let Eval::Elementwise(e) = &prim.eval else { return 0 };
    e.reads(wanted)
}

/// Sum of two constant floats or float tensors of one shape; takes the first one's buffer if it is not shared.
pub fn add(mut a: Value, b: Value) -> Result<Value> {
    if let (Value::Float(_, x), Value::Float(_, y)) = (&a, &b) {
        return Ok(Value::float(x + y));
    }
    if let (Value::Tensor(_, t), Value::Tensor(_, u)) = (&mut a, &b)
        && let Some(t) = std::rc::Rc::get_mut(t)
        && add_alike(t, u)
    {
        return Ok(a);
    }
    let wide = [&a, &b].iter().any(|v| matches!(v, Value::Tensor(_, t) if t.dtype() == DType::F64));
    let prim = &crate::ops::arith::ADD;
    let Eval::Elementwise(e) = &prim.eval else { return Ok(a) };
    let args = [a, b];
    if wide { float_tensor::<f64>(prim, e.lanes64, &args) } else { float_tensor::<f32>(prim, e.lanes32, &args) }
}

/// `x += y` if they are float tensors of one dtype and shape, both row-major; false, with nothing done, if not.
pub fn add_alike(x: &mut Tensor, y: &Tensor) -> bool {
    match (x, y) {
        (Tensor::F32(x), Tensor::F32(y)) if x.shape() == y.shape() => add_into(x, y),
        (Tensor::F64(x), Tensor::F64(y)) if x.shape() == y.shape() => add_into(x, y),
        _ => false,
    }
}

/// `x += y` if both are row-major; copies `x` first if it is shared.
fn add_into<T: Float>(x: &mut super::Arr<T>, y: &super::Arr<T>) -> bool {
    if dense(x).is_none() {
        return false;
    }
    match (dense_mut(x), dense(y)) {
        (Some(x), Some(y)) => {
            add_to(x, y);
            true
        }
        _ => false,
    }
}

thread_local! {
    /// Partials by the address of their primitive. They live as long as the program.
    static PARTIALS: RefCell<FxHashMap<usize, &'static [Ex]>> = RefCell::new(FxHashMap::default());
}

/// The partials of an elementwise primitive, made once; empty if it has none.
pub fn partial_programs(prim: &'static Prim) -> &'static [Ex] {
    let Eval::Elementwise(e) = &prim.eval else { return &[] };
    let key = prim as *const Prim as usize;
    PARTIALS.with(|cache| {
        if let Some(made) = cache.borrow().get(&key) {
            return *made;
        }
        let made: &'static [Ex] = Box::leak((e.partials)().into_boxed_slice());
        cache.borrow_mut().insert(key, made);
        made
    })
}

/// The partial derivative for argument `i` as an expression over arguments and result.
pub fn partial_program(prim: &'static Prim, i: usize) -> Option<&'static Ex> {
    partial_programs(prim).get(i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::arith::{ADD, MUL};
    use crate::ops::math::SIN;

    fn numbers(shape: &[usize], seed: usize) -> Tensor {
        let number = |i: usize| (((i + seed) * 7919) % 1013) as f64 / 97.0 - 5.0;
        Tensor::from_vec(shape, (0..count(shape)).map(number).collect())
    }

    #[test]
    fn what_is_added_in_passing_is_what_is_pulled_and_added() {
        for shape in [&[3, 700][..], &[BLOCK], &[BLOCK + 1], &[5], &[0, 2]] {
            let [a, b, y, bar, sum] = [1, 2, 3, 4, 5].map(|seed| numbers(shape, seed));
            let values = [Value::tensor(a), Value::tensor(b)];
            for (prim, args, i) in [(&MUL, &values[..], 0), (&MUL, &values, 1), (&SIN, &values[..1], 0)] {
                let mut in_passing = sum.clone();
                assert!(pull_onto(prim, args, &Value::tensor(y.clone()), &bar, i, &mut in_passing));
                let bar = Value::tensor(bar.clone());
                let pulled = pull_elementwise(prim, args, &Value::tensor(y.clone()), &bar, i).unwrap();
                let Value::Tensor(_, want) = add(Value::tensor(sum.clone()), pulled).unwrap() else { panic!() };
                assert!(in_passing.same(&want), "{} {i} {shape:?}", prim.name);
            }
        }
    }

    #[test]
    fn what_is_not_alike_is_not_added_in_passing() {
        let (x, bar) = (numbers(&[4, 3], 1), numbers(&[4, 3], 2));
        let refused = |args: &[Value], sum: &mut Tensor| {
            let before = sum.clone();
            assert!(!pull_onto(&MUL, args, &Value::None, &bar, 0, sum) && sum.same(&before));
        };
        let tensor = |t: &Tensor| Value::tensor(t.clone());
        refused(&[tensor(&x), Value::float(2.0)], &mut numbers(&[4, 3], 3));
        refused(&[tensor(&x), tensor(&numbers(&[3], 4))], &mut numbers(&[4, 3], 3));
        refused(&[tensor(&x), tensor(&x)], &mut numbers(&[12], 3));
        refused(&[tensor(&x), tensor(&x)], &mut Tensor::zeros(&[4, 3], DType::F32));
        // A slope of one is no product.
        assert!(!pull_onto(&ADD, &[tensor(&x), tensor(&x)], &Value::None, &bar, 0, &mut numbers(&[4, 3], 3)));
    }
}
