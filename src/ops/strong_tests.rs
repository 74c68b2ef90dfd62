//! The strong zero, for every primitive: a zero cotangent gives zero cotangents and a zero tangent a zero tangent, even
//! where arguments are infinite or NaN, as in lanes that a mask leaves out.

use super::prim::{ArgShape, Call, Diff, Prim, ProbeArg, Sample};
use crate::ad::Cx;
use crate::error::Result;
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;

/// Rules that mix all elements: only a cotangent that is zero everywhere ends, and it does so in the dispatcher.
const WHOLE: [&str; 5] = ["_cofactors", "_cofactors_change", "_solve_triangular", "inv", "solve"];

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
        Diff::Linear { vjp, .. } | Diff::Rules { vjp, .. } if !WHOLE.contains(&prim.name) => {
            Ok(vjp(cx, &call, &y_bar)?.into_vec())
        }
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
