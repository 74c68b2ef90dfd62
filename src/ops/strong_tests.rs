//! The strong zero, for every primitive: a zero cotangent gives zero cotangents and a zero tangent a zero tangent, even
//! where arguments are infinite or NaN, as in lanes that a mask leaves out.

use super::prim::{ArgShape, Call, Diff, Prim, ProbeArg, Sample};
use crate::ad::Cx;
use crate::error::Result;
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;

const BAD: [f64; 4] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0];

fn make(arg: &ProbeArg, shift: usize) -> Value {
    let bad = |k: usize| BAD[(k + shift) % BAD.len()];
    match *arg {
        ProbeArg::Float { shape: [], .. } | ProbeArg::Point([_]) => Value::float(bad(0)),
        ProbeArg::Float { shape, .. } | ProbeArg::Matrix { shape, .. } => {
            Value::tensor(Tensor::from_vec(shape, (0..count(shape)).map(bad).collect::<Vec<f64>>()))
        }
        ProbeArg::Point(xs) => {
            Value::tensor(Tensor::from_vec(&[xs.len()], (0..xs.len()).map(bad).collect::<Vec<f64>>()))
        }
        ProbeArg::Ints { shape, data } => Value::tensor(Tensor::from_vec(shape, data.to_vec())),
        ProbeArg::Bools { shape, data } => Value::tensor(Tensor::from_vec(shape, data.to_vec())),
        ProbeArg::Int(i) => Value::Int(i),
        ProbeArg::Bool(b) => Value::Bool(b),
        ProbeArg::None => Value::None,
        ProbeArg::Str(s) => Value::str(s),
        ProbeArg::DType(d) => Value::DType(d),
        ProbeArg::Items(items) => Value::tuple(items.iter().map(|i| make(i, shift)).collect()),
        ProbeArg::Tuple(items) => Value::tuple(items.iter().map(|&i| Value::Int(i)).collect()),
    }
}

fn zeros_like(v: &Value) -> Value {
    match v {
        Value::Tensor(_, t) => Value::tensor(Tensor::zeros(t.shape(), DType::F64)),
        _ => Value::float(0.0),
    }
}

fn is_zero(v: &Value) -> bool {
    match v {
        Value::Float(_, x) => *x == 0.0,
        Value::Tensor(_, t) => t.iter_f64().all(|x| x == 0.0),
        _ => true,
    }
}

/// What a zero cotangent is pulled to, or why it cannot be.
fn pulled(cx: &mut Cx, prim: &'static Prim, args: &[Value], out: &Value) -> Result<Vec<Option<Value>>> {
    let y_bar = zeros_like(out);
    let shapes: Vec<ArgShape> = args.iter().map(crate::ad::dispatch::arg_shape).collect();
    let call = Call { prim, args, out, shapes: &shapes, wanted: u32::MAX };
    match &prim.diff {
        // The rule itself, without the dispatcher's look at zeros.
        Diff::Linear { vjp, .. } | Diff::Rules { vjp, .. } => Ok(vjp(cx, &call, &y_bar)?.into_vec()),
        _ => Ok(cx.cotangents(&call, &y_bar)?.into_vec()),
    }
}

/// The tangent that zero tangents are pushed to.
fn pushed(cx: &mut Cx, prim: &'static Prim, args: &[Value]) -> Result<Option<Value>> {
    let level = cx.open_forward()?;
    let mut dual = vec![];
    for v in args {
        dual.push(if v.is_differentiable() { cx.new_dual(v.clone(), zeros_like(v), level)? } else { v.clone() });
    }
    let out = cx.apply(prim, &dual)?;
    let tangent = cx.tangent(&out, level);
    cx.close();
    tangent
}

fn check(prim: &'static Prim, sample: &Sample, shift: usize) -> std::result::Result<(), String> {
    let cx = &mut Cx::default();
    cx.env.dtype = DType::F64;
    let args: Vec<Value> = sample.args.iter().map(|a| make(a, shift)).collect();
    let Ok(out) = cx.apply(prim, &args) else { return Ok(()) };
    if !out.is_differentiable() || matches!(prim.diff, Diff::Zero | Diff::Refused(_)) {
        return Ok(());
    }
    let Ok(bars) = pulled(cx, prim, &args, &out) else { return Ok(()) };
    for (i, bar) in bars.iter().enumerate() {
        if let Some(bar) = bar.as_ref().filter(|b| args[i].is_differentiable() && !is_zero(b)) {
            return Err(format!("{}: cotangent {i} of {args:?} is {bar:?}", prim.name));
        }
    }
    match pushed(cx, prim, &args) {
        Ok(Some(t)) if !is_zero(&t) => Err(format!("{}: tangent at {args:?} is {t:?}", prim.name)),
        _ => Ok(()),
    }
}

#[test]
fn zeros_stay_zero() {
    let mut failures = vec![];
    for prim in super::table() {
        for sample in prim.probe.samples {
            failures.extend((0..BAD.len()).find_map(|shift| check(prim, sample, shift).err()));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// A matrix for a batch: regular and not symmetric (`f(i, j)` small beside the diagonal), or of one bad number.
fn matrix(rows: usize, cols: usize, bad: Option<f64>, symmetric: bool) -> Vec<f64> {
    let entry = |k: usize| {
        let (i, j) = (k / cols.max(1), k % cols.max(1));
        let (low, high) = if symmetric { (i.min(j), i.max(j)) } else { (i, j) };
        bad.unwrap_or(if i == j { 2.0 + i as f64 } else { 0.3 * ((1 + low + 3 * high) as f64).sin() })
    };
    (0..rows * cols).map(entry).collect()
}

/// The arguments of a sample on single matrices as a batch of two, of which the second is bad.
fn batch(sample: &Sample, bad: f64) -> Option<Vec<Value>> {
    let pair = |rows: usize, cols: usize, shape: &[usize], symmetric: bool| {
        let data = [matrix(rows, cols, None, symmetric), matrix(rows, cols, Some(bad), symmetric)].concat();
        Value::tensor(Tensor::from_vec(shape, data))
    };
    sample
        .args
        .iter()
        .map(|arg| match *arg {
            ProbeArg::Matrix { shape: &[m, n], symmetric } => Some(pair(m, n, &[2, m, n], symmetric)),
            ProbeArg::Float { shape: &[m, n], .. } => Some(pair(m, n, &[2, m, n], false)),
            ProbeArg::Matrix { .. } | ProbeArg::Float { .. } => None,
            _ => Some(make(arg, 0)),
        })
        .collect()
}

/// `v` for the first matrix of the batch, 0 for the second.
fn halved(like: &Value) -> Value {
    let Value::Tensor(_, t) = like else { return Value::float(0.0) };
    let half = count(t.shape()) / 2;
    let data = (0..2 * half).map(|k| if k < half { 0.5 + 0.1 * k as f64 } else { 0.0 });
    Value::tensor(Tensor::floats(t.shape(), DType::F64, data))
}

/// True if the second half is 0 and the first is not NaN.
fn is_halved(v: &Value) -> bool {
    let Value::Tensor(_, t) = v else { return true };
    let half = count(t.shape()) / 2;
    t.iter_f64().enumerate().all(|(k, x)| if k < half { x.is_finite() } else { x == 0.0 })
}

/// What is wrong, and how many derivatives were looked at.
fn check_batch(prim: &'static Prim, args: &[Value]) -> std::result::Result<usize, String> {
    let Diff::Rules { jvp, vjp, .. } = &prim.diff else { return Ok(0) };
    let cx = &mut Cx::default();
    cx.env.dtype = DType::F64;
    let Ok(out) = cx.apply(prim, args) else { return Ok(0) };
    let shapes: Vec<ArgShape> = args.iter().map(crate::ad::dispatch::arg_shape).collect();
    let call = Call { prim, args, out: &out, shapes: &shapes, wanted: u32::MAX };
    let told = |what: &str, v: &dyn std::fmt::Debug| format!("{}: {what} is {v:?}", prim.name);
    let bars = vjp(cx, &call, &halved(&out)).map_err(|e| told("the pullback", &e))?;
    for (i, bar) in bars.iter().enumerate() {
        if let Some(bar) = bar.as_ref().filter(|b| !is_halved(b)) {
            return Err(told(&format!("cotangent {i}"), bar));
        }
    }
    let tangents: Vec<Option<Value>> = args.iter().map(|a| matches!(a, Value::Tensor(..)).then(|| halved(a))).collect();
    match jvp(cx, &call, &tangents) {
        Ok(Some(t)) if !is_halved(&t) => Err(told("the tangent", &t)),
        Err(e) => Err(told("the push", &e)),
        _ => Ok(bars.len()),
    }
}

#[test]
fn zeros_stay_zero_beside_others() {
    let mut failures = vec![];
    let mut checked = std::collections::BTreeSet::new();
    let families = [
        super::determinant::PRIMS,
        super::inverse::PRIMS,
        super::factor::PRIMS,
        super::spectral::PRIMS,
        super::singular::PRIMS,
        super::linalg::PRIMS,
    ];
    for prim in families.concat() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300, 1e-300] {
            for args in prim.probe.samples.iter().filter_map(|s| batch(s, bad)) {
                match check_batch(prim, &args) {
                    Ok(0) => {}
                    Ok(_) => drop(checked.insert(prim.name)),
                    Err(e) => failures.push(format!("{e} beside matrices of {bad:?}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(checked.len() > 10, "{checked:?}");
}

/// The check can fail: a product that multiplies plainly is noticed.
#[test]
fn a_weak_zero_is_noticed() {
    static WEAK: Prim = Prim {
        diff: Diff::Rules {
            jvp: |cx, call, t| match (&t[0], &call.args[0]) {
                (Some(t), x) => cx.mul(t, x).map(Some),
                _ => Ok(None),
            },
            vjp: |cx, call, y_bar| Ok([Some(cx.mul(y_bar, &call.args[0])?)].into_iter().collect()),
            keep: super::prim::Keep::ARGS,
        },
        name: "weak",
        doc: "",
        sig: super::prim::Sig { params: &[super::prim::req("x")] },
        infer: |_| Ok(crate::types::ty::Ty::Any),
        eval: super::prim::Eval::General(|_, args| Ok(args[0].clone())),
        batch: super::prim::Batch::Each,
        probe: super::prim::Probe { samples: &[] },
    };
    let sample = Sample { args: &[ProbeArg::Float { shape: &[2], lo: 0.0, hi: 1.0 }] };
    assert!(check(&WEAK, &sample, 0).is_err());
}
