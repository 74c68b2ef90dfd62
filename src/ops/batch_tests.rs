//! Every batching rule against one application for each example: values, cotangents and tangents, for each choice of
//! batched arguments.

use rand::Rng;

use super::prim::{Batch, Diff, Prim, ProbeArg, Sample};
use crate::ad::Cx;
use crate::ad::lift;
use crate::ad::slot::Slot;
use crate::ad::transforms::{jvp, record};
use crate::error::Result;
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;
use crate::vm::Vm;

const N: usize = 3;

fn vm() -> Vm {
    let mut vm = Vm::default();
    vm.cx.env.dtype = DType::F64;
    vm.cx.env.seed(11);
    vm
}

/// Examples of one argument along axis 0 where it can be batched, and its single value.
fn make(cx: &mut Cx, arg: &ProbeArg) -> (Value, Option<Value>) {
    match *arg {
        ProbeArg::Float { shape, lo, hi } => {
            let mut full = vec![N];
            full.extend(shape);
            let data: Vec<f64> = (0..count(&full)).map(|_| lo + (hi - lo) * cx.env.rng.random::<f64>()).collect();
            let one = data[..count(shape)].to_vec();
            let one = if shape.is_empty() { Value::float(one[0]) } else { Value::tensor(Tensor::from_vec(shape, one)) };
            (one, Some(Value::tensor(Tensor::from_vec(&full, data))))
        }
        ProbeArg::Point([x]) => (
            Value::float(*x),
            Some(Value::tensor(Tensor::from_vec(&[N], (0..N).map(|k| x + k as f64 * 0.0).collect::<Vec<f64>>()))),
        ),
        ProbeArg::Point(xs) => {
            let mut data: Vec<f64> = vec![];
            for k in 0..N {
                data.extend(xs.iter().cycle().skip(k).take(xs.len()));
            }
            (
                Value::tensor(Tensor::from_vec(&[xs.len()], xs.to_vec())),
                Some(Value::tensor(Tensor::from_vec(&[N, xs.len()], data))),
            )
        }
        ProbeArg::Ints { shape, data } => {
            let mut all: Vec<i64> = vec![];
            for k in 0..N {
                all.extend(data.iter().cycle().skip(k).take(data.len()));
            }
            let mut full = vec![N];
            full.extend(shape);
            (Value::tensor(Tensor::from_vec(shape, data.to_vec())), Some(Value::tensor(Tensor::from_vec(&full, all))))
        }
        ProbeArg::Bools { shape, data } => {
            let mut all: Vec<bool> = vec![];
            for k in 0..N {
                all.extend(data.iter().cycle().skip(k).take(data.len()));
            }
            let mut full = vec![N];
            full.extend(shape);
            (Value::tensor(Tensor::from_vec(shape, data.to_vec())), Some(Value::tensor(Tensor::from_vec(&full, all))))
        }
        ProbeArg::Int(i) => (Value::Int(i), None),
        ProbeArg::Bool(b) => (Value::Bool(b), None),
        ProbeArg::None => (Value::None, None),
        ProbeArg::Tuple(items) => (Value::tuple(items.iter().map(|&i| Value::Int(i)).collect()), None),
        ProbeArg::Str(s) => (Value::str(s), None),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    if let Some(items) = lift::children(value) {
        return items.into_iter().flat_map(numbers).collect();
    }
    match value {
        Value::Float(_, x) => vec![*x],
        Value::Int(i) => vec![*i as f64],
        Value::Bool(b) => vec![f64::from(u8::from(*b))],
        Value::Tensor(_, t) => t.iter_f64().collect(),
        _ => vec![],
    }
}

fn shapes(value: &Value) -> Vec<Vec<usize>> {
    match lift::children(value) {
        Some(items) => items.into_iter().flat_map(shapes).collect(),
        None => value.shape().map(<[usize]>::to_vec).into_iter().collect(),
    }
}

/// Runs `f` for all examples at once and one by one.
fn compare(
    vm: &mut Vm,
    args: &[Value],
    batched: &[bool],
    f: &dyn Fn(&mut Vm, &[Value]) -> Result<Value>,
) -> std::result::Result<(), String> {
    let said = |e: crate::error::Error| e.0.message;
    let mut singly = vec![];
    let mut refused = None;
    for k in 0..N {
        let example: Vec<Value> = args
            .iter()
            .zip(batched)
            .map(|(a, b)| {
                if *b {
                    vm.cx.apply(&super::index::GET_INDEX, &[a.clone(), Value::Int(k as i64)])
                } else {
                    Ok(a.clone())
                }
            })
            .collect::<Result<_>>()
            .map_err(said)?;
        match f(vm, &example) {
            Ok(value) => singly.push(value),
            Err(e) => refused = Some(e),
        }
    }
    let depth = vm.cx.depth();
    let level = vm.cx.open_batch(N, false).map_err(said)?;
    let inside: Vec<Value> = args
        .iter()
        .zip(batched)
        .map(|(a, b)| if *b { vm.cx.batch(a.clone(), level) } else { Ok(a.clone()) })
        .collect::<Result<_>>()
        .map_err(said)?;
    let result = f(vm, &inside).and_then(|out| {
        lift::map_leaves(&out, &mut |leaf| {
            if leaf.shape().is_some() { vm.cx.unbatch(leaf, level, N) } else { Ok(leaf.clone()) }
        })
    });
    vm.cx.close_to(depth);
    let together = match (result, refused) {
        (Ok(value), None) => value,
        // What fails for an example fails for all, or the examples part.
        (Err(_), Some(_)) => return Ok(()),
        // The examples part: `vmap` then runs each alone.
        (Err(e), None) if !e.is_failure() => return Ok(()),
        (Ok(_), Some(e)) => return Err(format!("only one example at a time is refused: {}", e.0.message)),
        (Err(e), None) => return Err(format!("refused: {}", e.0.message)),
    };
    let want = vm.cx.stack_examples(&singly).map_err(said)?;
    if shapes(&together) != shapes(&want) {
        return Err(format!("shape {:?}, want {:?}", shapes(&together), shapes(&want)));
    }
    let (got, want) = (numbers(&together), numbers(&want));
    let close = |g: f64, w: f64| (g - w).abs() <= 1e-12 * (1.0 + w.abs()) || g == w || (g.is_nan() && w.is_nan());
    if got.iter().zip(&want).all(|(g, w)| close(*g, *w)) {
        return Ok(());
    }
    Err(format!("got {got:?}, want {want:?}"))
}

fn check(prim: &'static Prim, sample: &Sample, counts: &mut [usize; 3]) -> Vec<String> {
    let mut failures = vec![];
    let mut vm = vm();
    let made: Vec<(Value, Option<Value>)> = sample.args.iter().map(|a| make(&mut vm.cx, a)).collect();
    let can: Vec<usize> = made.iter().enumerate().filter(|(_, m)| m.1.is_some()).map(|(i, _)| i).collect();
    for mask in 1..1usize << can.len().min(3) {
        let mut batched = vec![false; made.len()];
        for (bit, &i) in can.iter().enumerate().take(3) {
            batched[i] = mask >> bit & 1 == 1;
        }
        let args: Vec<Value> = made
            .iter()
            .zip(&batched)
            .map(|((one, all), b)| if *b { all.clone().unwrap() } else { one.clone() })
            .collect();
        let mut note = |what: &str, result: std::result::Result<(), String>| {
            if let Err(e) = result {
                failures.push(format!("{} {what} {batched:?} {:?}: {e}", prim.name, sample.args));
            }
        };
        counts[0] += 1;
        note("value", compare(&mut vm, &args, &batched, &|vm, args| vm.cx.apply(prim, args)));
        if matches!(prim.diff, Diff::Zero | Diff::Refused(_)) {
            continue;
        }
        // The cotangent of the result: different weights for its elements.
        let weigh = |y: &Value| -> Value {
            let shape = y.shape().unwrap_or(&[]).to_vec();
            match shape[..] {
                [] => Value::float(1.5),
                _ => Value::tensor(Tensor::from_vec(
                    &shape,
                    (0..count(&shape)).map(|i| 1.0 + i as f64 * 0.25).collect::<Vec<_>>(),
                )),
            }
        };
        let floats: Vec<bool> = args.iter().map(Value::is_differentiable).collect();
        counts[1] += 1;
        note(
            "cotangents",
            compare(&mut vm, &args, &batched, &|vm, args| {
                let mut recorded = record(vm, &Value::tuple(args.to_vec()), |vm, lifted| {
                    let lifted: Vec<Value> = lift::children(lifted).unwrap_or_default().into_iter().cloned().collect();
                    vm.cx.apply(prim, &lifted)
                })?;
                if !recorded.value.is_differentiable() {
                    return Ok(Value::None);
                }
                let seeds = recorded.seeds(&weigh(&recorded.value))?;
                recorded.pull(vm, &seeds, false)
            }),
        );
        counts[2] += 1;
        note(
            "tangents",
            compare(&mut vm, &args, &batched, &|vm, args| {
                let mut dx = vec![];
                for (a, float) in args.iter().zip(&floats) {
                    // A constant direction, and one that differs from example to example where the argument does.
                    dx.push(if *float { vm.cx.scale(a, 0.5)? } else { Value::None });
                }
                let (_, dy) = jvp(vm, &Value::tuple(args.to_vec()), &Value::tuple(dx), |vm, dual| {
                    let dual: Vec<Value> = lift::children(dual).unwrap_or_default().into_iter().cloned().collect();
                    vm.cx.apply(prim, &dual)
                })?;
                Ok(dy)
            }),
        );
    }
    failures
}

#[test]
fn rules_agree_with_single_examples() {
    let mut failures = vec![];
    let mut counts = [0; 3];
    for prim in super::table() {
        for sample in prim.probe.samples {
            failures.extend(check(prim, sample, &mut counts));
        }
    }
    println!("batching: {} values, {} cotangents, {} tangents", counts[0], counts[1], counts[2]);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The check can fail: a rule that takes the batch axis for an axis of the example is noticed.
#[test]
fn a_wrong_rule_is_noticed() {
    static WRONG: Prim = Prim {
        name: "wrong",
        batch: Batch::Rule(super::batching::as_it_is),
        probe: super::prim::Probe { samples: &[] },
        sig: super::reduce::MEAN.sig,
        doc: "",
        infer: |_| Ok(crate::types::ty::Ty::Any),
        eval: super::prim::Eval::General(|_, args| match args {
            [Value::Tensor(_, t), ..] => Ok(Value::Tensor(Slot::CONST, std::rc::Rc::new(t.broadcast_to(&[N, N])?))),
            _ => Ok(Value::None),
        }),
        diff: Diff::Zero,
    };
    let sample = Sample { args: &[ProbeArg::Float { shape: &[N], lo: 0.0, hi: 1.0 }] };
    assert!(!check(&WRONG, &sample, &mut [0; 3]).is_empty());
}
