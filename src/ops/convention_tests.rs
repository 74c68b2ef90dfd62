//! The rows of GRADIENT_CONVENTIONS.md that this folder's primitives decide: slopes at kinks, ties, edges and infinities.

use super::elementwise::*;
use super::extremum::MAX;
use super::lanes::Scalar;
use super::moment::{STD, VAR};
use super::prim::{ArgShape, Call, Diff, Eval, Prim};
use super::product::PROD;
use super::reduce::MEAN;
use super::softmax::{LOG_SOFTMAX, LOGSUMEXP, SOFTMAX};
use super::{cumulative::CUMPROD, norm::NORM};
use crate::ad::Cx;
use crate::tensor::{DType, Tensor};
use crate::value::Value;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Equal, with NaN equal to NaN, and -0 to 0.
#[track_caller]
fn same(what: &str, got: &[f64], want: &[f64]) {
    let fits = got.len() == want.len()
        && got.iter().zip(want).all(|(g, w)| g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() < 1e-12 * w.abs());
    assert!(fits, "{what}: got {got:?}, want {want:?}");
}

fn f64s(xs: &[f64]) -> Value {
    Value::tensor(Tensor::from_vec(&[xs.len()], xs.to_vec()))
}

/// Slopes of an elementwise primitive at a point: by the scalar function, by the kernels of both float types, and by
/// recorded primitives, which must agree.
#[track_caller]
fn slopes(prim: &'static Prim, at: &[f64], want: &[f64]) {
    let Eval::Elementwise(e) = &prim.eval else { panic!("{} is not elementwise", prim.name) };
    let cx = &mut Cx::default();
    cx.env.dtype = DType::F64;
    let scalar: Vec<f64> = match (&e.scalar, at) {
        (Scalar::Unary { f, d }, [x]) => vec![d(*x, f(*x))],
        (Scalar::Binary { f, d }, [a, b]) => d.iter().map(|d| d(*a, *b, f(*a, *b))).collect(),
        (Scalar::Ternary { f, d }, [a, b, c]) => d.iter().map(|d| d(*a, *b, *c, f(*a, *b, *c))).collect(),
        _ => panic!("wrong number of arguments"),
    };
    same(prim.name, &scalar, want);
    let tensors: Vec<Value> = at.iter().map(|&x| f64s(&[x, x])).collect();
    let out = cx.apply(prim, &tensors).unwrap();
    for (i, &w) in want.iter().enumerate() {
        let one = f64s(&[1.0, 0.0]);
        let fused = numbers(&cx.pull(prim, &tensors, &out, &one, i).unwrap());
        same(&format!("{} fused, argument {i}", prim.name), &fused, &[w, 0.0]);
        let ex = crate::ad::algebra::eval_partial(cx, prim, i, &tensors, &out).unwrap();
        same(&format!("{} recorded, argument {i}", prim.name), &numbers(&ex)[..1], &[w]);
    }
    let small: Vec<Value> = at.iter().map(|&x| Value::tensor(Tensor::from_vec(&[1], vec![x as f32]))).collect();
    let out = cx.apply(prim, &small).unwrap();
    let one = Value::tensor(Tensor::from_vec(&[1], vec![1.0f32]));
    for (i, &w) in want.iter().enumerate() {
        let got = numbers(&cx.pull(prim, &small, &out, &one, i).unwrap());
        if (w as f32).is_finite() && at.iter().all(|x| x.abs() < 1e30) {
            assert!((got[0] - w).abs() <= 1e-5 * (1.0 + w.abs()), "{} f32, argument {i}: {got:?}, want {w}", prim.name);
        } else if at.iter().all(|x| x.abs() < 1e30) {
            same(&format!("{} f32, argument {i}", prim.name), &got, &[w]);
        }
    }
}

fn numbers(v: &Value) -> Vec<f64> {
    match v {
        Value::Float(_, x) => vec![*x],
        Value::Tensor(_, t) => t.iter_f64().collect(),
        _ => vec![],
    }
}

#[test]
fn arithmetic_and_powers() {
    slopes(&ABS, &[0.0], &[0.0]);
    slopes(&SQRT, &[0.0], &[INF]);
    slopes(&SQRT, &[-0.0], &[INF]);
    slopes(&SQRT, &[-1.0], &[NAN]);
    slopes(&CBRT, &[0.0], &[INF]);
    slopes(&DIV, &[1.0, 0.0], &[INF, -INF]);
    slopes(&DIV, &[0.0, 0.0], &[INF, NAN]);
    slopes(&MUL, &[0.0, INF], &[INF, 0.0]);
    slopes(&POW, &[0.0, 0.0], &[0.0, 0.0]);
    slopes(&POW, &[0.0, 1.0], &[1.0, 0.0]);
    slopes(&POW, &[0.0, 2.0], &[0.0, 0.0]);
    slopes(&POW, &[0.0, 0.5], &[INF, 0.0]);
    slopes(&POW, &[0.0, -1.0], &[-INF, -INF]);
    slopes(&POW, &[-2.0, 2.0], &[-4.0, NAN]);
    slopes(&POW, &[-2.0, 0.5], &[NAN, NAN]);
    slopes(&REM, &[5.0, 3.0], &[1.0, -1.0]);
    slopes(&REM, &[6.0, 3.0], &[1.0, -2.0]);
    slopes(&REM, &[1.0, 0.0], &[NAN, NAN]);
}

#[test]
fn exponentials_and_special_functions() {
    slopes(&EXP, &[1000.0], &[INF]);
    slopes(&EXP, &[-1000.0], &[0.0]);
    slopes(&EXPM1, &[1e-20], &[1.0]);
    slopes(&LOG1P, &[1e-20], &[1.0]);
    slopes(&LOG, &[0.0], &[INF]);
    slopes(&LOG, &[-0.0], &[INF]);
    slopes(&LOG, &[-1.0], &[NAN]);
    slopes(&LOG1P, &[-1.0], &[INF]);
    slopes(&LOG1P, &[-2.0], &[NAN]);
    slopes(&LOGADDEXP, &[1.0, 1.0], &[0.5, 0.5]);
    slopes(&LOGADDEXP, &[-INF, -INF], &[0.0, 0.0]);
    slopes(&LOGADDEXP, &[INF, INF], &[0.5, 0.5]);
    slopes(&LOGADDEXP, &[0.0, -INF], &[1.0, 0.0]);
    slopes(&ASIN, &[1.0], &[INF]);
    slopes(&ACOS, &[1.0], &[-INF]);
    slopes(&ASIN, &[1.5], &[NAN]);
    slopes(&ATAN2, &[0.0, 0.0], &[0.0, 0.0]);
    slopes(&ATAN2, &[0.0, -1.0], &[-1.0, 0.0]);
    slopes(&HYPOT, &[0.0, 0.0], &[0.0, 0.0]);
    slopes(&HYPOT, &[1e200, 1e200], &[0.5f64.sqrt(), 0.5f64.sqrt()]);
    slopes(&LGAMMA, &[0.0], &[-INF]);
    slopes(&LGAMMA, &[-1.0], &[NAN]);
    slopes(&DIGAMMA, &[0.0], &[INF]);
}

#[test]
fn choices_and_activations() {
    slopes(&MAXIMUM, &[2.0, 2.0], &[0.5, 0.5]);
    slopes(&MINIMUM, &[2.0, 2.0], &[0.5, 0.5]);
    slopes(&MAXIMUM, &[NAN, 1.0], &[NAN, NAN]);
    slopes(&MINIMUM, &[1.0, NAN], &[NAN, NAN]);
    slopes(&CLAMP, &[0.0, 0.0, 1.0], &[0.5, 0.5, 0.0]);
    slopes(&CLAMP, &[1.0, 0.0, 1.0], &[0.5, 0.0, 0.5]);
    slopes(&CLAMP, &[-1.0, 0.0, 1.0], &[0.0, 1.0, 0.0]);
    slopes(&CLAMP, &[2.0, 0.0, 1.0], &[0.0, 0.0, 1.0]);
    slopes(&RELU, &[0.0], &[0.0]);
    slopes(&RELU, &[NAN], &[NAN]);
    slopes(&SIGMOID, &[1000.0], &[0.0]);
    slopes(&SIGMOID, &[-1000.0], &[0.0]);
    slopes(&TANH, &[1000.0], &[0.0]);
    slopes(&SOFTPLUS, &[1000.0], &[1.0]);
    slopes(&SOFTPLUS, &[-1000.0], &[0.0]);
    for f in [&GELU_EXACT, &GELU_TANH, &SILU] {
        slopes(f, &[-INF], &[0.0]);
        slopes(f, &[INF], &[1.0]);
    }
    let cx = &mut Cx::default();
    let mistake = cx.apply(&CLAMP, &[Value::float(0.0), Value::float(1.0), Value::float(0.0)]);
    assert!(mistake.is_err());
}

/// Value and gradient of a function of one tensor whose other arguments are settings.
fn gradient(prim: &'static Prim, x: &[f64], rest: &[Value], y_bar: Option<&[f64]>) -> (Vec<f64>, Vec<f64>) {
    let cx = &mut Cx::default();
    cx.env.dtype = DType::F64;
    let mut args = vec![f64s(x)];
    args.extend_from_slice(rest);
    let out = cx.apply(prim, &args).unwrap();
    let shapes = [ArgShape { shape: [x.len()].into_iter().collect(), dtype: Some(DType::F64) }];
    let call = Call { prim, args: &args, out: &out, shapes: &shapes, wanted: 1 };
    let (Diff::Linear { vjp, .. } | Diff::Rules { vjp, .. }) = &prim.diff else { panic!("no rule") };
    let y_bar = y_bar.map_or(Value::float(1.0), f64s);
    let bars = vjp(cx, &call, &y_bar).unwrap();
    (numbers(&out), numbers(bars[0].as_ref().unwrap()))
}

#[test]
fn reductions() {
    let plain = [Value::None, Value::Bool(false)];
    let (_, g) = gradient(&PROD, &[2.0, 0.0, 3.0], &plain, None);
    same("prod", &g, &[0.0, 6.0, 0.0]);
    let (_, g) = gradient(&PROD, &[2.0, 0.0, 0.0], &plain, None);
    same("prod", &g, &[0.0, 0.0, 0.0]);
    let (_, g) = gradient(&CUMPROD, &[2.0, 0.0, 3.0], &[Value::Int(0)], Some(&[1.0, 1.0, 1.0]));
    same("cumprod", &g, &[1.0, 8.0, 0.0]);
    let max = [Value::None, Value::None, Value::Bool(false)];
    same("max", &gradient(&MAX, &[1.0, 1.0, 0.0], &max, None).1, &[0.5, 0.5, 0.0]);
    same("max", &gradient(&MAX, &[NAN, 1.0], &max, None).1, &[NAN, NAN]);
    let moment = [Value::None, Value::Bool(false), Value::Int(0)];
    same("std", &gradient(&STD, &[3.0, 3.0], &moment, None).1, &[0.0, 0.0]);
    same("var", &gradient(&VAR, &[3.0, 3.0], &moment, None).1, &[0.0, 0.0]);
    let norm = |ord: Value| [ord, Value::None, Value::Bool(false)];
    same("norm 2", &gradient(&NORM, &[0.0, 0.0], &norm(Value::Int(2)), None).1, &[0.0, 0.0]);
    same("norm 3", &gradient(&NORM, &[0.0, 0.0], &norm(Value::Int(3)), None).1, &[0.0, 0.0]);
    same("norm 1", &gradient(&NORM, &[0.0, 1.0], &norm(Value::Int(1)), None).1, &[0.0, 1.0]);
    same("norm inf", &gradient(&NORM, &[1.0, -1.0], &norm(Value::float(INF)), None).1, &[0.5, -0.5]);
    let (y, g) = gradient(&NORM, &[1e200, 1e200], &norm(Value::Int(2)), None);
    same("norm", &y, &[2f64.sqrt() * 1e200]);
    same("norm", &g, &[0.5f64.sqrt(), 0.5f64.sqrt()]);
    let lse = |x: &[f64]| gradient(&LOGSUMEXP, x, &plain, None);
    same("lse", &lse(&[-INF, -INF]).1, &[0.0, 0.0]);
    same("lse", &lse(&[0.0, -INF]).1, &[1.0, 0.0]);
    same("lse", &lse(&[0.0, INF]).1, &[0.0, 1.0]);
    same("lse", &lse(&[INF, INF]).1, &[0.5, 0.5]);
    same("lse", &lse(&[1000.0, 1000.0]).1, &[0.5, 0.5]);
    for x in [[-INF, -INF], [0.0, INF]] {
        same("softmax", &gradient(&SOFTMAX, &x, &[Value::Int(0)], Some(&[1.0, 2.0])).1, &[0.0, 0.0]);
    }
    let (y, g) = gradient(&LOG_SOFTMAX, &[-INF, -INF], &[Value::Int(0)], Some(&[1.0, 2.0]));
    same("log_softmax", &y, &[-INF, -INF]);
    same("log_softmax", &g, &[0.0, 0.0]);
}

#[test]
fn empty_reductions() {
    let cx = &mut Cx::default();
    let none = f64s(&[]);
    let plain = [none.clone(), Value::None, Value::Bool(false)];
    assert!(cx.apply(&MEAN, &plain).is_err());
    assert!(cx.apply(&MAX, &[none.clone(), Value::None, Value::None, Value::Bool(false)]).is_err());
    same("prod", &numbers(&cx.apply(&PROD, &plain).unwrap()), &[1.0]);
    same("sum", &numbers(&cx.apply(&super::reduce::SUM, &plain).unwrap()), &[0.0]);
    same("logsumexp", &numbers(&cx.apply(&LOGSUMEXP, &plain).unwrap()), &[-INF]);
    let one = [f64s(&[1.0]), Value::None, Value::Bool(false), Value::Int(1)];
    assert!(cx.apply(&VAR, &one).is_err());
}

#[test]
fn where_never_leaks() {
    let cx = &mut Cx::default();
    let x = f64s(&[0.0, 4.0]);
    let root = cx.sqrt(&x).unwrap();
    let cond = Value::tensor(Tensor::from_vec(&[2], vec![false, true]));
    // The cotangent of sqrt is 0 in the untaken lane, and 0 times an infinite slope stays 0.
    let bar = cx.where_(&cond, &f64s(&[1.0, 1.0]), &Value::float(0.0)).unwrap();
    same("where", &numbers(&cx.pull(&SQRT, &[x], &root, &bar, 0).unwrap()), &[0.0, 0.25]);
}
