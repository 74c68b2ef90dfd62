//! Reductions over axes: sums, means, products, extrema, moments, and the bool and index reductions.
//!
//! `axis:` is an int, a tuple, or `none` for all; `keepdims:` leaves dims of 1. Scalars reduce to themselves. A full
//! reduction gives a scalar. Ints stay ints in `sum`, `prod`, `max`, `min`; bools are counted.

use std::borrow::Cow;

use super::prim::{Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::select::{MAXIMUM, MINIMUM};
use super::shape_rules::{self, Gives};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::create::to_tensor;
use crate::tensor::elementwise::{eval_elementwise, load_ints, wrong_kind};
use crate::tensor::reduce::{
    arg_extremum, extrema, float_result, reduced_shape, resolve_axes, rows, spread, sums, tie_shares,
};
use crate::tensor::scan::{map_rows, products_of_others};
use crate::tensor::{DType, Shape, Tensor, count, flat};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[
    &SUM,
    &MEAN,
    &PROD,
    &MAX,
    &MIN,
    &VAR,
    &STD,
    &ANY,
    &ALL,
    &ARGMAX,
    &ARGMIN,
    &COUNT_NONZERO,
    &TIE_SHARES,
    &PROD_OTHERS,
];

/// A reduction about to run: the tensor, the axes, the shape of the result.
pub(super) struct Plan {
    pub t: Tensor,
    pub axes: Shape,
    pub shape: Shape,
    /// dtype of a float result.
    pub dtype: DType,
}

impl Plan {
    /// From `x` and its `axis` and `keepdims` arguments.
    pub fn new(env: &Env, name: &str, x: &Value, axis: Option<&Value>, keepdims: Option<&Value>) -> Result<Plan> {
        let Some(t) = to_tensor(env, x) else {
            let error = wrong_kind(name, std::slice::from_ref(x));
            return Err(error);
        };
        let axes = resolve_axes(name, axis.unwrap_or(&Value::None), t.rank()).map_err(|e| {
            if x.shape().is_some_and(|s| s.is_empty()) { e } else { e.operand(0, format!("this is {}", x.type_name())) }
        })?;
        let keepdims = flag(name, "keepdims", keepdims)?;
        let shape = reduced_shape(t.shape(), &axes, keepdims);
        let dtype = if t.dtype().is_float() { t.dtype() } else { env.dtype };
        Ok(Plan { t, axes, shape, dtype })
    }

    /// Number of elements that become one.
    pub fn n(&self) -> usize {
        self.axes.iter().filter_map(|&a| self.t.shape().get(a)).product()
    }

    /// One float for each row.
    pub fn each_row(&self, f32s: impl FnMut(&[f32]) -> f64, f64s: impl FnMut(&[f64]) -> f64) -> Value {
        fn go<T: Float>(data: Cow<'_, [T]>, plan: &Plan, f: impl FnMut(&[T]) -> f64) -> Vec<f64> {
            let (rows, n) = rows(&data, plan.t.shape(), &plan.axes);
            if n == 0 {
                let mut f = f;
                return (0..count(&plan.shape)).map(|_| f(&[])).collect();
            }
            rows.chunks_exact(n).map(f).collect()
        }
        let data = match &self.t {
            Tensor::F32(a) => go(flat(a), self, f32s),
            other => go(f64::load(other), self, f64s),
        };
        float_result(&self.shape, self.dtype, data)
    }

    /// The error for a reduction that needs at least one element.
    pub fn not_empty(&self, name: &str) -> Result<()> {
        if self.n() > 0 || count(&self.shape) == 0 {
            return Ok(());
        }
        let shown = crate::tensor::show_shape(self.t.shape());
        Err(Error::new("E0412", format!("{name} of no elements"))
            .operand(0, format!("this has the shape {shown}"))
            .help("test x.size > 0 first"))
    }
}

/// A bool argument.
pub(super) fn flag(name: &str, what: &str, v: Option<&Value>) -> Result<bool> {
    match v {
        Some(Value::Bool(b)) => Ok(*b),
        None | Some(Value::None) => Ok(false),
        Some(other) => Err(Error::new("E0310", format!("{what} of {name} is {}, not a bool", other.type_name()))
            .help(format!("write {what}: true"))),
    }
}

/// Axes that a recorded call reduced; `k` is the position of its `axis` argument.
pub(super) fn call_axes(call: &Call<'_>, k: usize) -> Result<Shape> {
    if call.shape(0).is_empty() {
        return Ok(Shape::new()); // a scalar reduces to itself whatever the default axis
    }
    resolve_axes(call.prim.name, call.args.get(k).unwrap_or(&Value::None), call.shape(0).len())
}

/// Number of elements that a recorded call made one of.
fn reduced_count(call: &Call<'_>, axes: &[usize]) -> usize {
    axes.iter().filter_map(|&a| call.shape(0).get(a)).product()
}

/// The only cotangent of a call whose other arguments are settings.
pub(super) fn only(call: &Call<'_>, x_bar: Value) -> Result<Cotangents> {
    let mut all = Cotangents::new();
    all.push(Some(x_bar));
    all.resize(call.args.len(), None);
    Ok(all)
}

/// An axis argument that names these axes.
pub(super) fn axes_value(axes: &[usize]) -> Value {
    super::convert::shape_value(axes)
}

// ---- sums and means ----

fn sum(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "sum", x, args.get(1), args.get(2))?;
    if plan.t.dtype().is_float() {
        return Ok(float_result(&plan.shape, plan.dtype, sums(&plan.t, &plan.axes)));
    }
    fold_ints(&plan, x, "sum", 0, i64::checked_add)
}

/// Int rows folded one by one; overflow is an error.
fn fold_ints(plan: &Plan, x: &Value, name: &str, start: i64, f: fn(i64, i64) -> Option<i64>) -> Result<Value> {
    let (data, shape) = load_ints(x);
    let (rows, n) = rows(&data, &shape, &plan.axes);
    let row = |row: &[i64]| {
        row.iter().try_fold(start, |acc, &x| f(acc, x)).ok_or_else(|| {
            Error::new("E0411", format!("the {name} of these ints does not fit into a 64-bit int"))
                .help("make them floats first: x.to(f64)")
        })
    };
    let out: Vec<i64> =
        if n == 0 { vec![start; count(&plan.shape)] } else { rows.chunks_exact(n).map(row).collect::<Result<_>>()? };
    Ok(Value::tensor(Tensor::from_vec(&plan.shape, out)))
}

fn sum_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let axes = call_axes(call, 1)?;
    only(call, cx.expand(y_bar, call, &axes)?)
}

fn mean(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "mean", x, args.get(1), args.get(2))?;
    plan.not_empty("mean")?;
    let scale = plan.n() as f64;
    let data = sums(&plan.t, &plan.axes).into_iter().map(|s| s / scale).collect();
    Ok(float_result(&plan.shape, plan.dtype, data))
}

fn mean_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let axes = call_axes(call, 1)?;
    let share = cx.scale(y_bar, 1.0 / reduced_count(call, &axes).max(1) as f64)?;
    only(call, cx.expand(&share, call, &axes)?)
}

// ---- products ----

fn prod(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "prod", x, args.get(1), args.get(2))?;
    if !plan.t.dtype().is_float() {
        return fold_ints(&plan, x, "product", 1, i64::checked_mul);
    }
    Ok(plan.each_row(|row| row.iter().map(|&x| x as f64).product(), |row| row.iter().product()))
}

/// One axis after the other, each with the products of the others: exact at zeros, and differentiable again.
fn prod_slopes(cx: &mut Cx, call: &Call<'_>, x: &Value, axes: &[usize]) -> Result<Value> {
    let shape = Shape::from_slice(call.shape(0));
    if axes.len() == shape.len() && shape.len() > 1 {
        let line = cx.reshape(x, &[count(&shape)])?;
        let others = cx.apply(&PROD_OTHERS, &[line, Value::Int(0)])?;
        return cx.reshape(&others, &shape);
    }
    let mut slope: Option<Value> = None;
    let mut partial = x.clone();
    for &axis in axes {
        let others = cx.apply(&PROD_OTHERS, &[partial.clone(), Value::Int(axis as i64)])?;
        slope = Some(match slope {
            None => others,
            Some(s) => cx.mul(&s, &others)?,
        });
        partial = cx.apply(&PROD, &[partial, Value::Int(axis as i64), Value::Bool(true)])?;
    }
    match slope {
        Some(s) => Ok(s),
        None => Ok(Value::float(1.0)),
    }
}

fn prod_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axes = call_axes(call, 1)?;
    let slopes = prod_slopes(cx, call, x, &axes)?;
    let y_bar = cx.expand(y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &slopes)?)
}

/// Sums `x_dot` times slopes over the axes of the call.
fn push_sum(cx: &mut Cx, call: &Call<'_>, k: usize, x_dot: &Value, slopes: &Value) -> Result<Option<Value>> {
    let terms = cx.zmul(x_dot, slopes)?;
    let [axis, keepdims] = [k, k + 1].map(|i| call.args.get(i).cloned().unwrap_or_default());
    cx.apply(&SUM, &[terms, axis, keepdims]).map(Some)
}

fn prod_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axes = call_axes(call, 1)?;
    let slopes = prod_slopes(cx, call, x, &axes)?;
    push_sum(cx, call, 1, x_dot, &slopes)
}

fn prod_others(_: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, axis] = args else { return Ok(Value::None) };
    let Value::Tensor(_, t) = x else { return Ok(Value::float(1.0)) };
    let axes = resolve_axes("prod", axis, t.rank())?;
    Ok(Value::tensor(match &**t {
        Tensor::F32(a) => {
            Tensor::from_vec(t.shape(), map_rows(&flat(a), t.shape(), &axes, |row, out| products_of_others(row, out)))
        }
        other => Tensor::from_vec(
            t.shape(),
            map_rows(&f64::load(other), t.shape(), &axes, |row, out| products_of_others(row, out)),
        ),
    }))
}

/// Every element's row once more for each element of the row, with that element replaced by 1; and the mask of those.
/// The axis is doubled: `[.., i, j, ..]` holds element `j` of the row.
fn doubled(cx: &mut Cx, x: &Value, shape: &[usize], axis: usize) -> Result<(Value, Value, Shape)> {
    let n = shape.get(axis).copied().unwrap_or(1);
    let mut row = Shape::from_slice(shape);
    row.insert(axis, 1);
    let mut wide = Shape::from_slice(shape);
    wide.insert(axis, n);
    let mut mask_shape = Shape::from_elem(1, wide.len());
    if let Some(dims) = mask_shape.get_mut(axis..axis + 2) {
        dims.fill(n);
    }
    let diagonal = (0..n * n).map(|k| k / n.max(1) == k % n.max(1)).collect();
    let mask = Value::tensor(Tensor::from_vec(&mask_shape, diagonal));
    let rows = cx.reshape(x, &row)?;
    let rows = cx.broadcast_to(&rows, &wide)?;
    let filled = cx.where_(&mask, &Value::float(1.0), &rows)?;
    Ok((filled, mask, wide))
}

fn single_axis(call: &Call<'_>) -> Result<usize> {
    Ok(call_axes(call, 1)?.first().copied().unwrap_or(0))
}

fn prod_others_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axis = single_axis(call)?;
    let shape = Shape::from_slice(call.shape(0));
    let (rows, mask, _) = doubled(cx, x, &shape, axis)?;
    let slopes = cx.apply(&PROD_OTHERS, &[rows, Value::Int(axis as i64 + 1)])?;
    let slopes = cx.where_(&mask, &Value::float(0.0), &slopes)?;
    let mut column = shape.clone();
    column.insert(axis + 1, 1);
    let y_bar = cx.reshape(y_bar, &column)?;
    let terms = cx.zmul(&y_bar, &slopes)?;
    only(call, cx.sum(&terms, &[axis], false)?)
}

fn prod_others_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axis = single_axis(call)?;
    let shape = Shape::from_slice(call.shape(0));
    let (rows, mask, _) = doubled(cx, x, &shape, axis)?;
    let slopes = cx.apply(&PROD_OTHERS, &[rows, Value::Int(axis as i64 + 1)])?;
    let slopes = cx.where_(&mask, &Value::float(0.0), &slopes)?;
    let mut row = shape.clone();
    row.insert(axis, 1);
    let x_dot = cx.reshape(x_dot, &row)?;
    let terms = cx.zmul(&x_dot, &slopes)?;
    cx.sum(&terms, &[axis + 1], false).map(Some)
}

// ---- extrema ----

fn extremum(env: &mut Env, args: &[Value], largest: bool) -> Result<Value> {
    let name = if largest { "max" } else { "min" };
    let Some(x) = args.first() else { return Ok(Value::None) };
    if let Some(other) = args.get(1)
        && !matches!(other, Value::None)
    {
        let prim = if largest { &MAXIMUM } else { &MINIMUM };
        if let Eval::Elementwise(e) = &prim.eval {
            return eval_elementwise(env, prim, e, &[x.clone(), other.clone()]);
        }
    }
    let plan = Plan::new(env, name, x, args.get(2), args.get(3))?;
    plan.not_empty(name)?;
    let (shape, axes) = (plan.t.shape(), &plan.axes);
    Ok(match &plan.t {
        Tensor::F32(a) => Value::tensor(Tensor::from_vec(&plan.shape, extrema(&flat(a), shape, axes, largest))),
        Tensor::F64(a) => Value::tensor(Tensor::from_vec(&plan.shape, extrema(&flat(a), shape, axes, largest))),
        Tensor::Int(_) | Tensor::Bool(_) => {
            let start = if largest { i64::MIN } else { i64::MAX };
            let f: fn(i64, i64) -> Option<i64> = if largest { |a, b| Some(a.max(b)) } else { |a, b| Some(a.min(b)) };
            fold_ints(&plan, x, name, start, f)?
        }
    })
}

/// The primitive of two arguments if the call has a second one.
fn of_two(call: &Call<'_>) -> Option<&'static Prim> {
    let given = call.args.get(1).is_some_and(|v| !matches!(v, Value::None));
    given.then_some(if call.prim.name == "max" { &MAXIMUM } else { &MINIMUM })
}

/// Shares of the elements in the extremum's slope: 1 over the number of ties.
fn shares(cx: &mut Cx, call: &Call<'_>, x: &Value) -> Result<Value> {
    let axes = call_axes(call, 2)?;
    cx.apply(&TIE_SHARES, &[x.clone(), axes_value(&axes), Value::Bool(call.prim.name == "max")])
}

fn extremum_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    if let (Some(prim), Some(pair)) = (of_two(call), call.args.get(..2)) {
        let mut all = Cotangents::new();
        for i in 0..2 {
            all.push(if call.wants(i) { Some(cx.pull(prim, pair, &Value::None, y_bar, i)?) } else { None });
        }
        all.resize(call.args.len(), None);
        return Ok(all);
    }
    let axes = call_axes(call, 2)?;
    let shares = shares(cx, call, x)?;
    let y_bar = cx.expand(y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &shares)?)
}

fn extremum_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let Some(x) = call.args.first() else { return Ok(None) };
    if let (Some(prim), Some(pair)) = (of_two(call), call.args.get(..2)) {
        let mut sum: Option<Value> = None;
        for (i, tangent) in tangents.iter().take(2).enumerate() {
            let Some(tangent) = tangent else { continue };
            let term = cx.pull(prim, pair, &Value::None, tangent, i)?;
            sum = Some(match sum {
                None => term,
                Some(s) => cx.add(&s, &term)?,
            });
        }
        return Ok(sum);
    }
    let Some(Some(x_dot)) = tangents.first() else { return Ok(None) };
    let shares = shares(cx, call, x)?;
    push_sum(cx, call, 2, x_dot, &shares)
}

fn eval_shares(_: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, axis, largest] = args else { return Ok(Value::None) };
    let Value::Tensor(_, t) = x else {
        return Ok(Value::float(if matches!(x, Value::Float(_, v) if v.is_nan()) { f64::NAN } else { 1.0 }));
    };
    let largest = matches!(largest, Value::Bool(true));
    let axes = resolve_axes("max", axis, t.rank())?;
    let shape = t.shape();
    Ok(Value::tensor(match &**t {
        Tensor::F32(a) => {
            Tensor::from_vec(shape, map_rows(&flat(a), shape, &axes, |row, out| tie_shares(row, largest, out)))
        }
        other => {
            Tensor::from_vec(shape, map_rows(&f64::load(other), shape, &axes, |row, out| tie_shares(row, largest, out)))
        }
    }))
}

// ---- moments ----

/// `n - ddof`, which must be positive.
fn degrees(name: &str, n: usize, ddof: Option<&Value>) -> Result<f64> {
    let ddof = match ddof {
        None | Some(Value::None) => 0,
        Some(Value::Int(d)) => *d,
        Some(other) => {
            return Err(Error::new("E0310", format!("ddof of {name} is {}, not an int", other.type_name())));
        }
    };
    let left = n as f64 - ddof as f64;
    if left > 0.0 {
        return Ok(left);
    }
    let elements = if n == 1 { "1 element".to_string() } else { format!("{n} elements") };
    Err(Error::new("E0412", format!("{name} of {elements} with ddof {ddof} has no degree of freedom left"))
        .help("it needs more elements than ddof"))
}

fn moment(env: &mut Env, args: &[Value], name: &str, root: bool) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, name, x, args.get(1), args.get(2))?;
    plan.not_empty(name)?;
    let left = if count(&plan.shape) == 0 { 1.0 } else { degrees(name, plan.n(), args.get(3))? };
    let finish = |spread: f64| if root { (spread / left).sqrt() } else { spread / left };
    Ok(plan.each_row(|row| finish(spread(row)), |row| finish(spread(row))))
}

/// `x - mean(x)` over the axes of the call.
fn centered(cx: &mut Cx, x: &Value, axes: &[usize]) -> Result<Value> {
    let mean = cx.apply(&MEAN, &[x.clone(), axes_value(axes), Value::Bool(true)])?;
    cx.sub(x, &mean)
}

fn var_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axes = call_axes(call, 1)?;
    let left = degrees("var", reduced_count(call, &axes), call.args.get(3))?;
    let c = centered(cx, x, &axes)?;
    let y_bar = cx.scale(y_bar, 2.0 / left)?;
    let y_bar = cx.expand(&y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &c)?)
}

fn var_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axes = call_axes(call, 1)?;
    let left = degrees("var", reduced_count(call, &axes), call.args.get(3))?;
    let c = centered(cx, x, &axes)?;
    let c = cx.scale(&c, 2.0 / left)?;
    push_sum(cx, call, 1, x_dot, &c)
}

fn std_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axes = call_axes(call, 1)?;
    let left = degrees("std", reduced_count(call, &axes), call.args.get(3))?;
    let c = centered(cx, x, &axes)?;
    let y = cx.scale(call.out, left)?;
    let y_bar = cx.div_or_zero(y_bar, &y)?;
    let y_bar = cx.expand(&y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &c)?)
}

fn std_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let axes = call_axes(call, 1)?;
    let left = degrees("std", reduced_count(call, &axes), call.args.get(3))?;
    let c = centered(cx, x, &axes)?;
    let Some(sum) = push_sum(cx, call, 1, x_dot, &c)? else { return Ok(None) };
    let y = cx.scale(call.out, left)?;
    cx.div_or_zero(&sum, &y).map(Some)
}

// ---- bools and indices ----

fn quantifier(env: &mut Env, args: &[Value], name: &str, all: bool) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, name, x, args.get(1), args.get(2))?;
    let data: Cow<[bool]> = match &plan.t {
        Tensor::Bool(a) => flat(a),
        other => {
            let kind = crate::tensor::create::article(&x.type_name());
            let _ = other;
            return Err(Error::new("E0310", format!("{name} wants bools, not {kind}"))
                .operand(0, format!("this is {kind}"))
                .help(format!("compare to get bools: {name}(x != 0)")));
        }
    };
    let (rows, n) = rows(&data, plan.t.shape(), &plan.axes);
    let out: Vec<bool> = if n == 0 {
        vec![all; count(&plan.shape)]
    } else {
        rows.chunks_exact(n).map(|row| if all { row.iter().all(|&b| b) } else { row.iter().any(|&b| b) }).collect()
    };
    Ok(Value::tensor(Tensor::from_vec(&plan.shape, out)))
}

fn count_nonzero(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "count_nonzero", x, args.get(1), args.get(2))?;
    let data: Vec<bool> = plan.t.iter_f64().map(|x| x != 0.0).collect();
    let (rows, n) = rows(&data, plan.t.shape(), &plan.axes);
    let out: Vec<i64> = if n == 0 {
        vec![0; count(&plan.shape)]
    } else {
        rows.chunks_exact(n).map(|row| row.iter().filter(|&&b| b).count() as i64).collect()
    };
    Ok(Value::tensor(Tensor::from_vec(&plan.shape, out)))
}

fn arg(env: &mut Env, args: &[Value], name: &str, largest: bool) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, name, x, args.get(1), args.get(2))?;
    plan.not_empty(name)?;
    let (shape, axes) = (plan.t.shape(), &plan.axes);
    fn go<T: Copy + PartialOrd>(data: &[T], shape: &[usize], axes: &[usize], largest: bool) -> Vec<i64> {
        let (rows, n) = rows(data, shape, axes);
        rows.chunks_exact(n.max(1)).map(|row| arg_extremum(row, largest) as i64).collect()
    }
    let out = match &plan.t {
        Tensor::F32(a) => go(&flat(a), shape, axes, largest),
        Tensor::F64(a) => go(&flat(a), shape, axes, largest),
        Tensor::Int(a) => go(&flat(a), shape, axes, largest),
        Tensor::Bool(a) => go(&flat(a), shape, axes, largest),
    };
    Ok(Value::tensor(Tensor::from_vec(&plan.shape, out)))
}

// ---- the rows of the table ----

pub(super) const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: 0.3, hi: 2.0 }
}

const AXIS: &[super::prim::Param] = &[req("x"), opt("axis", Default::None), opt("keepdims", Default::Bool(false))];

/// Samples of a reduction `(x, axis, keepdims)`.
const SAMPLES: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::Int(-1), ProbeArg::Bool(true)] },
        Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[1]), ProbeArg::None, ProbeArg::Bool(true)] },
        Sample { args: &[floats(&[]), ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[0, 2]), ProbeArg::Int(1), ProbeArg::Bool(false)] },
    ],
};

fn infer(name: &str, args: &[Ty], gives: Gives) -> Result<Ty> {
    match args.first() {
        Some(x) => shape_rules::reduce(name, x, args.get(1), args.get(2), gives),
        None => Ok(Ty::Any),
    }
}

/// `sum(x, axis: none, keepdims: false)`
pub static SUM: Prim = Prim {
    name: "sum",
    doc: "Sum over `axis` (an int, a tuple, or none for all). 0 for no elements. Ints stay ints, bools are counted.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("sum", args, Gives::Own),
    eval: Eval::General(sum),
    diff: Diff::Linear { vjp: sum_vjp, keep: Keep::NOTHING },
    probe: SAMPLES,
};

/// `mean(x, axis: none, keepdims: false)`
pub static MEAN: Prim = Prim {
    name: "mean",
    doc: "Mean over `axis`, as a float. An error for no elements.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("mean", args, Gives::Float),
    eval: Eval::General(mean),
    diff: Diff::Linear { vjp: mean_vjp, keep: Keep::NOTHING },
    probe: SAMPLES,
};

/// `prod(x, axis: none, keepdims: false)`
pub static PROD: Prim = Prim {
    name: "prod",
    doc: "Product over `axis`; 1 for no elements. Its slopes are exact at zeros.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("prod", args, Gives::Own),
    eval: Eval::General(prod),
    diff: Diff::Rules { jvp: prod_jvp, vjp: prod_vjp, keep: Keep::ARGS },
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(true)] },
            Sample { args: &[ProbeArg::Point(&[2.0, 0.0, 3.0]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[ProbeArg::Point(&[2.0, 0.0, 0.0]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[]), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[0]), ProbeArg::None, ProbeArg::Bool(false)] },
        ],
    },
};

/// For each element the product of the others along one axis.
pub static PROD_OTHERS: Prim = Prim {
    name: "_prod_others",
    doc: "For each element the product of all others along `axis`.",
    sig: Sig { params: &[req("x"), req("axis")] },
    infer: |args: &[Ty]| shape_rules::same("prod", args),
    eval: Eval::General(prod_others),
    diff: Diff::Rules { jvp: prod_others_jvp, vjp: prod_others_vjp, keep: Keep::ARGS },
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1)] },
            Sample { args: &[ProbeArg::Point(&[2.0, 0.0, 0.0]), ProbeArg::Int(0)] },
        ],
    },
};

const EXTREMUM: &[super::prim::Param] =
    &[req("x"), opt("other", Default::None), opt("axis", Default::None), opt("keepdims", Default::Bool(false))];

const EXTREMUM_SAMPLES: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Int(0), ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Int(-1), ProbeArg::Bool(true)] },
        Sample { args: &[floats(&[2, 3, 2]), ProbeArg::None, ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[3]), floats(&[2, 3]), ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[ProbeArg::Point(&[1.0, 1.0, 0.0]), ProbeArg::None, ProbeArg::None, ProbeArg::Bool(false)] },
        Sample { args: &[floats(&[]), ProbeArg::None, ProbeArg::None, ProbeArg::Bool(false)] },
    ],
};

fn infer_extremum(name: &str, args: &[Ty]) -> Result<Ty> {
    let [x, other, axis, keepdims] = args else { return Ok(Ty::Any) };
    match other {
        Ty::None => shape_rules::reduce(name, x, Some(axis), Some(keepdims), Gives::Own),
        Ty::Any => Ok(Ty::Any),
        _ => shape_rules::elementwise(name, &[x.clone(), other.clone()], false),
    }
}

/// `max(x, axis: none, keepdims: false)`, `max(a, b)`
pub static MAX: Prim = Prim {
    name: "max",
    doc: "Largest element over `axis`; NaN if there is one; an error for no elements. k tied elements have 1/k of the slope each. `max(a, b)` of two values is `maximum`.",
    sig: Sig { params: EXTREMUM },
    infer: |args: &[Ty]| infer_extremum("max", args),
    eval: Eval::General(|env, args| extremum(env, args, true)),
    diff: Diff::Rules { jvp: extremum_jvp, vjp: extremum_vjp, keep: Keep::ARGS },
    probe: EXTREMUM_SAMPLES,
};

/// `min(x, axis: none, keepdims: false)`, `min(a, b)`
pub static MIN: Prim = Prim {
    name: "min",
    doc: "Smallest element over `axis`; NaN if there is one; an error for no elements. k tied elements have 1/k of the slope each. `min(a, b)` of two values is `minimum`.",
    sig: Sig { params: EXTREMUM },
    infer: |args: &[Ty]| infer_extremum("min", args),
    eval: Eval::General(|env, args| extremum(env, args, false)),
    diff: Diff::Rules { jvp: extremum_jvp, vjp: extremum_vjp, keep: Keep::ARGS },
    probe: EXTREMUM_SAMPLES,
};

/// Slopes of `max` and `min`.
pub static TIE_SHARES: Prim = Prim {
    name: "_tie_shares",
    doc: "For each element 1/k if it is one of the k largest (or smallest) along `axis`, else 0.",
    sig: Sig { params: &[req("x"), req("axis"), req("largest")] },
    infer: |args: &[Ty]| shape_rules::same("max", args),
    eval: Eval::General(eval_shares),
    diff: Diff::Zero,
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Bool(true)] }] },
};

const MOMENT: &[super::prim::Param] =
    &[req("x"), opt("axis", Default::None), opt("keepdims", Default::Bool(false)), opt("ddof", Default::Int(0))];

const MOMENT_SAMPLES: Probe = Probe {
    samples: &[
        Sample { args: &[floats(&[3, 4]), ProbeArg::None, ProbeArg::Bool(false), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::Int(0), ProbeArg::Bool(false), ProbeArg::Int(1)] },
        Sample { args: &[floats(&[3, 4]), ProbeArg::Int(-1), ProbeArg::Bool(true), ProbeArg::Int(0)] },
        Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(false), ProbeArg::Int(0)] },
    ],
};

/// `var(x, axis: none, keepdims: false, ddof: 0)`
pub static VAR: Prim = Prim {
    name: "var",
    doc: "Variance over `axis`: squared distances from the mean, divided by n - `ddof`.",
    sig: Sig { params: MOMENT },
    infer: |args: &[Ty]| infer("var", args, Gives::Float),
    eval: Eval::General(|env, args| moment(env, args, "var", false)),
    diff: Diff::Rules { jvp: var_jvp, vjp: var_vjp, keep: Keep::ARGS },
    probe: MOMENT_SAMPLES,
};

/// `std(x, axis: none, keepdims: false, ddof: 0)`
pub static STD: Prim = Prim {
    name: "std",
    doc: "Standard deviation over `axis`: the root of `var`. Slope 0 where all elements are equal.",
    sig: Sig { params: MOMENT },
    infer: |args: &[Ty]| infer("std", args, Gives::Float),
    eval: Eval::General(|env, args| moment(env, args, "std", true)),
    diff: Diff::Rules { jvp: std_jvp, vjp: std_vjp, keep: Keep::BOTH },
    probe: MOMENT_SAMPLES,
};

const MASK: Probe = Probe {
    samples: &[Sample {
        args: &[
            ProbeArg::Bools { shape: &[2, 2], data: &[true, false, true, true] },
            ProbeArg::Int(1),
            ProbeArg::Bool(false),
        ],
    }],
};

/// `any(x, axis: none, keepdims: false)`
pub static ANY: Prim = Prim {
    name: "any",
    doc: "True if at least one of the bools over `axis` is.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("any", args, Gives::Bool),
    eval: Eval::General(|env, args| quantifier(env, args, "any", false)),
    diff: Diff::Zero,
    probe: MASK,
};

/// `all(x, axis: none, keepdims: false)`
pub static ALL: Prim = Prim {
    name: "all",
    doc: "True if all of the bools over `axis` are.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("all", args, Gives::Bool),
    eval: Eval::General(|env, args| quantifier(env, args, "all", true)),
    diff: Diff::Zero,
    probe: MASK,
};

/// `count_nonzero(x, axis: none, keepdims: false)`
pub static COUNT_NONZERO: Prim = Prim {
    name: "count_nonzero",
    doc: "How many elements over `axis` are not 0 (or true).",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("count_nonzero", args, Gives::Int),
    eval: Eval::General(count_nonzero),
    diff: Diff::Zero,
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(0), ProbeArg::Bool(false)] }] },
};

/// `argmax(x, axis: none, keepdims: false)`
pub static ARGMAX: Prim = Prim {
    name: "argmax",
    doc: "Index of the largest element along `axis`, the first of ties; without `axis` into the flattened tensor.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("argmax", args, Gives::Int),
    eval: Eval::General(|env, args| arg(env, args, "argmax", true)),
    diff: Diff::Zero,
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Bool(false)] }] },
};

/// `argmin(x, axis: none, keepdims: false)`
pub static ARGMIN: Prim = Prim {
    name: "argmin",
    doc: "Index of the smallest element along `axis`, the first of ties; without `axis` into the flattened tensor.",
    sig: Sig { params: AXIS },
    infer: |args: &[Ty]| infer("argmin", args, Gives::Int),
    eval: Eval::General(|env, args| arg(env, args, "argmin", false)),
    diff: Diff::Zero,
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Bool(false)] }] },
};
