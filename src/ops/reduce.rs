//! Reductions over axes: sums, means, and the bool and index reductions; what all reductions share.
//!
//! `axis:` is an int, a tuple, or `none` for all; `keepdims:` leaves dims of 1. Scalars reduce to themselves. A full
//! reduction gives a scalar. Ints stay ints in `sum`, `prod`, `max`, `min`; bools are counted.

use std::borrow::Cow;

use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::shape_rules::{self, Gives};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::create::to_tensor;
use crate::tensor::elementwise::{load_ints, wrong_kind};
use crate::tensor::reduce::{extrema, float_result, fold, int_sums, places, reduced_shape, resolve_axes, rows, sums};
use crate::tensor::simd::ints::{Truth, count_true};
use crate::tensor::{DType, Shape, Tensor, count, flat};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&SUM, &MEAN, &ANY, &ALL, &ARGMAX, &ARGMIN, &COUNT_NONZERO];

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
    pub fn each_row(&self, mut f32s: impl FnMut(&[f32]) -> f64, mut f64s: impl FnMut(&[f64]) -> f64) -> Value {
        fn go<T: Float>(data: Cow<'_, [T]>, plan: &Plan, f: &mut dyn FnMut(&[T]) -> f64) -> Vec<f64> {
            let (rows, n) = rows(&data, plan.t.shape(), &plan.axes);
            if n == 0 {
                return (0..count(&plan.shape)).map(|_| f(&[])).collect();
            }
            rows.chunks_exact(n).map(f).collect()
        }
        let data = match &self.t {
            Tensor::F32(a) => go(flat(a), self, &mut f32s),
            other => go(f64::load(other), self, &mut f64s),
        };
        float_result(&self.shape, self.dtype, data)
    }

    /// The same by a rule for rows and one for the columns of a matrix, see [`fold`].
    pub fn fold<R: Fold>(&self, rule: &R) -> Value {
        fn go<T: Float, R: Fold>(data: &[T], plan: &Plan, rule: &R) -> Vec<f64> {
            let mut scratch = vec![];
            fold(
                data,
                plan.t.shape(),
                &plan.axes,
                |part, inner, out| rule.down(part, inner, out),
                |rows, n, out| rule.rows(rows, n, &mut scratch, out),
                || rule.row::<T>(&[], &mut vec![]),
            )
        }
        let data = match &self.t {
            Tensor::F32(a) => go(&flat(a), self, rule),
            other => go(&f64::load(other), self, rule),
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

/// A reduction to floats.
pub(super) trait Fold {
    /// Appends what the columns of a matrix with rows of `inner` come to.
    fn down<T: Float>(&self, part: &[T], inner: usize, out: &mut Vec<f64>);
    /// What a row comes to, which may be empty.
    fn row<T: Float>(&self, row: &[T], scratch: &mut Vec<T>) -> f64;
    /// Appends what rows of `n` come to, which are not empty.
    fn rows<T: Float>(&self, rows: &[T], n: usize, scratch: &mut Vec<T>, out: &mut Vec<f64>) {
        out.extend(rows.chunks_exact(n).map(|row| self.row(row, scratch)));
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
pub(super) fn reduced_count(call: &Call<'_>, axes: &[usize]) -> usize {
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
    let out = match &plan.t {
        Tensor::Int(a) => int_sums(&flat(a), plan.t.shape(), &plan.axes),
        Tensor::Bool(a) => int_sums(&flat(a), plan.t.shape(), &plan.axes),
        Tensor::F32(_) | Tensor::F64(_) => None,
    };
    out.map(|out| Value::tensor(Tensor::from_vec(&plan.shape, out))).ok_or_else(|| no_int("sum"))
}

/// The error for a result beyond 64 bits.
#[cold]
fn no_int(name: &str) -> Error {
    Error::new("E0411", format!("the {name} of these ints does not fit into a 64-bit int"))
        .help("make them floats first: x.to(f64)")
}

/// Product of int rows; overflow is an error.
pub(super) fn int_products(plan: &Plan, x: &Value) -> Result<Value> {
    let (data, shape) = load_ints(x);
    let (rows, n) = rows(&data, &shape, &plan.axes);
    let row = |row: &[i64]| row.iter().try_fold(1i64, |acc, &x| acc.checked_mul(x)).ok_or_else(|| no_int("product"));
    let out: Vec<i64> =
        if n == 0 { vec![1; count(&plan.shape)] } else { rows.chunks_exact(n).map(row).collect::<Result<_>>()? };
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

/// Sums `x_dot` times slopes over the axes of the call.
pub(super) fn push_sum(cx: &mut Cx, call: &Call<'_>, k: usize, x_dot: &Value, slopes: &Value) -> Result<Option<Value>> {
    let terms = cx.zmul(x_dot, slopes)?;
    let [axis, keepdims] = [k, k + 1].map(|i| call.args.get(i).cloned().unwrap_or_default());
    cx.apply(&SUM, &[terms, axis, keepdims]).map(Some)
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
    let out = if plan.n() == 0 {
        vec![all; count(&plan.shape)]
    } else if count(&plan.shape) == 1 {
        // The first element often tells.
        vec![if all { data.iter().all(|&b| b) } else { data.iter().any(|&b| b) }]
    } else {
        extrema(&data, plan.t.shape(), &plan.axes, !all)
    };
    Ok(Value::tensor(Tensor::from_vec(&plan.shape, out)))
}

fn count_nonzero(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "count_nonzero", x, args.get(1), args.get(2))?;
    fn go<T: Truth>(data: &[T], plan: &Plan) -> Vec<i64> {
        let shape = plan.t.shape();
        if count(&plan.shape) == 1 {
            return vec![count_true(data) as i64];
        }
        let data: Vec<bool> = data.iter().map(|x| x.holds()).collect();
        int_sums(&data, shape, &plan.axes).unwrap_or_default()
    }
    let out = match &plan.t {
        Tensor::Bool(a) => go(&flat(a), &plan),
        Tensor::Int(a) => go(&flat(a), &plan),
        Tensor::F32(a) => go(&flat(a), &plan),
        Tensor::F64(a) => go(&flat(a), &plan),
    };
    Ok(Value::tensor(Tensor::from_vec(&plan.shape, out)))
}

fn arg(env: &mut Env, args: &[Value], name: &str, largest: bool) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, name, x, args.get(1), args.get(2))?;
    plan.not_empty(name)?;
    let (shape, axes) = (plan.t.shape(), &plan.axes);
    let out = match &plan.t {
        Tensor::F32(a) => places(&flat(a), shape, axes, largest),
        Tensor::F64(a) => places(&flat(a), shape, axes, largest),
        Tensor::Int(a) => places(&flat(a), shape, axes, largest),
        Tensor::Bool(a) => places(&flat(a), shape, axes, largest),
    };
    Ok(Value::tensor(Tensor::from_vec(&plan.shape, out)))
}

// ---- the rows of the table ----

pub(super) const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: 0.3, hi: 2.0 }
}

pub(super) const AXIS: &[super::prim::Param] =
    &[req("x"), opt("axis", Default::None), opt("keepdims", Default::Bool(false))];

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

pub(super) fn infer(name: &str, args: &[Ty], gives: Gives) -> Result<Ty> {
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
    batch: Batch::Rule(super::batching::reduction::<1>),
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
    batch: Batch::Rule(super::batching::reduction::<1>),
    probe: SAMPLES,
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
    batch: Batch::Rule(super::batching::reduction::<1>),
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
    batch: Batch::Rule(super::batching::reduction::<1>),
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
    batch: Batch::Rule(super::batching::reduction::<1>),
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
    batch: Batch::Rule(super::batching::along::<1>),
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
    batch: Batch::Rule(super::batching::along::<1>),
    probe: Probe { samples: &[Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Bool(false)] }] },
};
