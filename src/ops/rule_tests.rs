//! Every rule of the table against numbers: tangents against central differences, cotangents against tangents, and the
//! derivative of the cotangents against their central differences. All in f64, at the samples of each probe.

use rand::Rng;

use super::prim::{ArgShape, Batch, Call, Diff, Prim, ProbeArg, Sample};
use crate::ad::Cx;
use crate::ad::slot::Slot;
use crate::error::Result;
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;

const STEP: f64 = 1e-6;

fn context() -> Cx {
    let mut cx = Cx::default();
    cx.env.dtype = DType::F64;
    cx.env.seed(7);
    cx
}

fn make(cx: &mut Cx, arg: &ProbeArg) -> Value {
    match *arg {
        ProbeArg::Float { shape, lo, hi } => {
            let mut draw = || lo + (hi - lo) * cx.env.rng.random::<f64>();
            match shape {
                [] => Value::float(draw()),
                _ => Value::tensor(Tensor::from_vec(shape, (0..count(shape)).map(|_| draw()).collect::<Vec<f64>>())),
            }
        }
        ProbeArg::Point([x]) => Value::float(*x),
        ProbeArg::Point(xs) => Value::tensor(Tensor::from_vec(&[xs.len()], xs.to_vec())),
        ProbeArg::Ints { shape, data } => Value::tensor(Tensor::from_vec(shape, data.to_vec())),
        ProbeArg::Bools { shape, data } => Value::tensor(Tensor::from_vec(shape, data.to_vec())),
        ProbeArg::Int(i) => Value::Int(i),
        ProbeArg::Bool(b) => Value::Bool(b),
        ProbeArg::None => Value::None,
        ProbeArg::Str(s) => Value::str(s),
        ProbeArg::Tuple(items) => Value::tuple(items.iter().map(|&i| Value::Int(i)).collect()),
    }
}

fn numbers(v: &Value) -> Vec<f64> {
    match v {
        Value::Float(_, x) => vec![*x],
        Value::Tensor(_, t) => t.iter_f64().collect(),
        _ => vec![],
    }
}

fn like(v: &Value, data: Vec<f64>) -> Value {
    match v.shape() {
        Some([]) => Value::float(data[0]),
        shape => Value::tensor(Tensor::from_vec(shape.unwrap(), data)),
    }
}

fn is_float(arg: &ProbeArg) -> bool {
    matches!(arg, ProbeArg::Float { .. } | ProbeArg::Point(_))
}

/// A direction whose entries suit the size of the numbers.
fn direction(cx: &mut Cx, v: &Value) -> Value {
    let data = numbers(v).iter().map(|x| (1e-2 + x.abs()) * (0.5 + cx.env.rng.random::<f64>())).collect();
    like(v, data)
}

fn moved(v: &Value, d: &Value, h: f64) -> Value {
    like(v, numbers(v).iter().zip(numbers(d)).map(|(x, d)| x + h * d).collect())
}

fn all_moved(args: &[Value], dirs: &[Option<Value>], h: f64) -> Vec<Value> {
    args.iter().zip(dirs).map(|(v, d)| d.as_ref().map_or(v.clone(), |d| moved(v, d, h))).collect()
}

fn difference(a: &Value, b: &Value) -> Vec<f64> {
    numbers(a).iter().zip(numbers(b)).map(|(a, b)| (a - b) / (2.0 * STEP)).collect()
}

fn close(got: &[f64], want: &[f64], tolerance: f64) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() <= tolerance * (1.0 + w.abs()) || g == w)
}

/// What is left of a pulled cotangent when broadcast axes are summed back.
fn cotangents(
    cx: &mut Cx,
    prim: &'static Prim,
    args: &[Value],
    out: &Value,
    y_bar: &Value,
) -> Result<Vec<Option<Value>>> {
    let shapes: Vec<ArgShape> = args
        .iter()
        .map(|v| match v {
            Value::Tensor(_, t) => ArgShape { shape: t.shape().into(), dtype: Some(t.dtype()) },
            _ => ArgShape::default(),
        })
        .collect();
    let call = Call { prim, args, out, shapes: &shapes, wanted: u32::MAX };
    let raw: Vec<Option<Value>> = match &prim.diff {
        Diff::Elementwise => {
            (0..args.len()).map(|i| cx.pull(prim, args, out, y_bar, i).map(Some)).collect::<Result<_>>()?
        }
        Diff::Linear { vjp, .. } | Diff::Rules { vjp, .. } => vjp(cx, &call, y_bar)?.into_vec(),
        Diff::Zero | Diff::Refused(_) => vec![None; args.len()],
    };
    raw.into_iter()
        .zip(args)
        .map(|(c, v)| match (c, v.shape()) {
            (Some(c), Some(shape)) if v.is_differentiable() => cx.sum_to(&c, shape).map(Some),
            _ => Ok(None),
        })
        .collect()
}

/// Runs `f` on arguments with tangents and gives the tangents of what it returns.
fn forward(
    cx: &mut Cx,
    args: &[Value],
    dirs: &[Option<Value>],
    f: impl FnOnce(&mut Cx, &[Value]) -> Result<Vec<Option<Value>>>,
) -> Result<Vec<Option<Value>>> {
    let level = cx.open_forward()?;
    let mut dual = vec![];
    for (v, d) in args.iter().zip(dirs) {
        dual.push(match d {
            Some(d) => cx.new_dual(v.clone(), d.clone(), level)?,
            None => v.clone(),
        });
    }
    let outs = f(cx, &dual)?;
    let tangents = outs
        .iter()
        .map(|v| v.as_ref().map(|v| cx.tangent(v, level).unwrap_or_else(|| like(v, vec![0.0; numbers(v).len()]))))
        .map(|v| v.map(|v| v.with_slot(Slot::CONST)))
        .collect();
    cx.close();
    Ok(tangents)
}

fn check(prim: &'static Prim, sample: &Sample) -> std::result::Result<(), String> {
    let fail = |what: &str, got: &[f64], want: &[f64]| Err(format!("{} {what}: got {got:?}, want {want:?}", prim.name));
    let cx = &mut context();
    let args: Vec<Value> = sample.args.iter().map(|a| make(cx, a)).collect();
    let said = |e: crate::error::Error| format!("{}: {}", prim.name, e.0.message);
    let out = cx.apply(prim, &args).map_err(said)?;
    if !out.is_differentiable() || matches!(prim.diff, Diff::Zero | Diff::Refused(_)) {
        return Ok(());
    }
    let dirs: Vec<Option<Value>> =
        sample.args.iter().zip(&args).map(|(a, v)| is_float(a).then(|| direction(cx, v))).collect();
    let [up, down] = [STEP, -STEP].map(|h| all_moved(&args, &dirs, h));
    let (y1, y0) = (cx.apply(prim, &up).map_err(said)?, cx.apply(prim, &down).map_err(said)?);
    let want = difference(&y1, &y0);
    let tangent = forward(cx, &args, &dirs, |cx, args| Ok(vec![Some(cx.apply(prim, args)?)])).map_err(said)?;
    let tangent = tangent[0].clone().unwrap();
    if tangent.shape() != out.shape() {
        return Err(format!("{}: the tangent is {}, the result {}", prim.name, tangent.type_name(), out.type_name()));
    }
    if !close(&numbers(&tangent), &want, 2e-5) {
        return fail("tangent", &numbers(&tangent), &want);
    }
    let y_bar = direction(cx, &out);
    let bars = cotangents(cx, prim, &args, &out, &y_bar).map_err(said)?;
    let forth: f64 = numbers(&y_bar).iter().zip(numbers(&tangent)).map(|(a, b)| a * b).sum();
    let mut back = 0.0;
    for (bar, dir) in bars.iter().zip(&dirs) {
        if let (Some(bar), Some(dir)) = (bar, dir) {
            back += numbers(bar).iter().zip(numbers(dir)).map(|(a, b)| a * b).sum::<f64>();
        }
    }
    if !close(&[back], &[forth], 1e-10) {
        return fail("cotangent against tangent", &[back], &[forth]);
    }
    // Kinks are at points only, where slopes jump.
    let kink = sample.args.iter().any(|a| matches!(a, ProbeArg::Point(_))) && !prim.name.contains("prod");
    if kink {
        return Ok(());
    }
    let pulled = |cx: &mut Cx, args: &[Value]| -> Result<Vec<Option<Value>>> {
        let out = cx.apply(prim, args)?;
        cotangents(cx, prim, args, &out, &y_bar)
    };
    let second = forward(cx, &args, &dirs, pulled).map_err(said)?;
    let (b1, b0) = (pulled(cx, &up).map_err(said)?, pulled(cx, &down).map_err(said)?);
    for (i, dir) in dirs.iter().enumerate() {
        let (Some(_), Some(Some(s)), Some(Some(b1)), Some(Some(b0))) = (dir, second.get(i), b1.get(i), b0.get(i))
        else {
            continue;
        };
        let want = difference(b1, b0);
        if !close(&numbers(s), &want, 5e-5) {
            return fail(&format!("second derivative, argument {i}"), &numbers(s), &want);
        }
    }
    Ok(())
}

#[test]
fn rules_agree_with_differences() {
    let mut failures = vec![];
    for prim in super::table() {
        for (k, sample) in prim.probe.samples.iter().enumerate() {
            if let Err(e) = check(prim, sample) {
                failures.push(format!("sample {k}: {e}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The check can fail: a rule with the wrong sign is noticed.
#[test]
fn a_wrong_rule_is_noticed() {
    static WRONG: Prim = Prim {
        name: "wrong",
        doc: "",
        sig: super::prim::Sig { params: &[super::prim::req("x")] },
        infer: |_| Ok(crate::types::ty::Ty::Any),
        eval: super::prim::Eval::General(|_, args| match args {
            [Value::Float(_, x)] => Ok(Value::float(x.sin())),
            _ => Ok(Value::None),
        }),
        diff: Diff::Rules {
            jvp: |cx, call, t| match (&t[0], &call.args[0]) {
                (Some(t), x) => {
                    let slope = cx.apply(&super::math::COS, std::slice::from_ref(x))?;
                    let d = cx.mul(t, &slope)?;
                    cx.neg(&d).map(Some)
                }
                _ => Ok(None),
            },
            vjp: |_, _, y_bar| Ok(super::prim::Cotangents::from_iter([Some(y_bar.clone())])),
            keep: super::prim::Keep::ARGS,
        },
        batch: Batch::Each,
        probe: super::prim::Probe { samples: &[] },
    };
    let sample = Sample { args: &[ProbeArg::Float { shape: &[], lo: 0.1, hi: 0.2 }] };
    assert!(check(&WRONG, &sample).is_err());
}

/// Inferred types agree with what comes out.
#[test]
fn inferred_types_hold() {
    use crate::types::ty::{Dim, Ty};
    let mut failures = vec![];
    for prim in super::table() {
        for sample in prim.probe.samples {
            let cx = &mut context();
            let args: Vec<Value> = sample.args.iter().map(|a| make(cx, a)).collect();
            let tys: Vec<Ty> = args.iter().map(type_of).collect();
            let (Ok(out), ty) = (cx.apply(prim, &args), (prim.infer)(&tys)) else { continue };
            let fits = match (&ty, &out) {
                (Err(_), _) => false,
                (Ok(Ty::Any), _) => true,
                (Ok(Ty::Float), Value::Float(..))
                | (Ok(Ty::Int(_)), Value::Int(_))
                | (Ok(Ty::Bool(_)), Value::Bool(_)) => true,
                (Ok(Ty::Tensor(t)), v) => {
                    let shape = v.shape().unwrap_or(&[]);
                    let dims = t.dims.as_ref().is_none_or(|d| {
                        d.len() == shape.len()
                            && d.iter().zip(shape).all(|(d, n)| !matches!(d, Dim::Known(k) if k != n))
                    });
                    let dtype = match v {
                        Value::Tensor(_, x) => t.dtype.is_none_or(|d| d == x.dtype()),
                        _ => true,
                    };
                    dims && dtype
                }
                _ => false,
            };
            if !fits {
                let shown = ty.map_or_else(|e| e.0.message.clone(), |t| format!("{t:?}"));
                failures.push(format!("{}: inferred {shown}, is {}", prim.name, out.type_name()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    fn type_of(v: &Value) -> Ty {
        match v {
            Value::None => Ty::None,
            Value::Bool(b) => Ty::Bool(Some(*b)),
            Value::Int(i) => Ty::Int(Some(*i)),
            Value::Float(..) => Ty::Float,
            Value::Tensor(_, t) => Ty::tensor(t.dtype(), t.shape()),
            Value::Tuple(items) => Ty::Tuple(std::rc::Rc::new(items.iter().map(type_of).collect())),
            _ => Ty::Any,
        }
    }
}
