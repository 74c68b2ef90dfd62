//! All checks of one primitive: its probe's samples and their variants.

use std::collections::HashSet;
use std::time::Instant;

use dlang::error::Result;
use dlang::ops::prim::{Diff, Prim};
use dlang::ops::reshape::TRANSPOSE;
use dlang::tensor::DType;
use dlang::value::Value;
use dlang::vm::Vm;

use crate::batch;
use crate::derivative::{self, Plan};
use crate::dtypes;
use crate::extreme;
use crate::modes::{Function, jvp, vjp};
use crate::samples::{is_axis, is_internal, specs, variants};
use crate::shape;
use crate::tally::{Failure, Kind, Tally};
use crate::values::*;

/// Checks a primitive at all of its samples.
pub fn primitive(prim: &'static Prim, tally: &mut Tally) -> Vec<Failure> {
    let start = Instant::now();
    let mut failures = vec![];
    let mut seen = HashSet::new();
    for (k, sample) in prim.probe.samples.iter().enumerate() {
        let own = specs(sample);
        let mut all = vec![own.clone()];
        all.extend(variants(prim, &own));
        for (j, specs) in all.iter().enumerate() {
            if !seen.insert(format!("{specs:?}")) {
                continue;
            }
            tally.samples += 1;
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(prim, specs, j == 0, tally)));
            if let Err(failure) = checked.unwrap_or_else(|_| Kind::Panic.fail("it panics".into())) {
                failures.push(failure.of(&format!("{} sample {k} {specs:?}", prim.name)));
            }
        }
    }
    tally.times.push((start.elapsed(), prim.name.to_string()));
    failures
}

/// One call of a primitive: `own` if it is its probe's and not a variant.
fn call(prim: &'static Prim, specs: &[Spec], own: bool, tally: &mut Tally) -> std::result::Result<(), Failure> {
    let vm = &mut machine(DType::F64);
    let args: Vec<Value> = specs.iter().map(|s| s.draw(vm)).collect();
    let accepted = shape::check(vm, tally, prim, &args)?;
    dtypes::shapes(tally, prim, &args, own)?;
    if !is_internal(prim) {
        dtypes::ints(tally, prim, specs, &args)?;
    }
    if own {
        extreme::check(vm, tally, prim, specs, &args)?;
    }
    batch::check(vm, tally, prim, specs, &args, own)?;
    if !accepted {
        return if own { Kind::Error.fail("a sample of the probe is refused".into()) } else { Ok(()) };
    }
    axes(vm, tally, prim, &args)?;
    let active: Vec<usize> = (0..args.len()).filter(|&i| specs[i].is_active()).collect();
    let xs: Vec<Value> = active.iter().map(|&i| args[i].clone()).collect();
    if xs.is_empty() {
        return Ok(());
    }
    layout(vm, tally, prim, &args)?;
    if let Diff::Refused(_) = prim.diff {
        return refused(vm, tally, prim, &args, &active);
    }
    let f = of(prim, args.clone(), active.clone());
    let y = f(vm, &xs).map_err(|e| Kind::Tangent.error(&e))?;
    // Differences of rounded results say nothing.
    let rounded = y.iter().any(|y| matches!(y, Value::Tensor(_, t) if t.dtype() == DType::F32));
    if y.is_empty() || rounded {
        return Ok(());
    }
    let kinks = specs.iter().any(|s| matches!(s, Spec::Point(_)));
    let plan = Plan { kind: [Kind::Tangent, Kind::Cotangent], directions: if own { 2 } else { 1 }, kinks };
    derivative::check(vm, tally, &f, &xs, plan)?;
    derivative::second(vm, tally, &f, &xs, kinks)?;
    if own && !kinks && all_numbers(&xs).len() <= 6 {
        derivative::third(vm, tally, &f, &xs)?;
    }
    dtypes::narrow(vm, tally, prim, &args, &active, own)
}

/// The primitive as a function of its float arguments; of its result only what is differentiable.
pub fn of(prim: &'static Prim, args: Vec<Value>, active: Vec<usize>) -> Box<Function<'static>> {
    Box::new(move |vm, xs| {
        let mut args = args.clone();
        for (&i, x) in active.iter().zip(xs) {
            args[i] = x.clone();
        }
        let out = vm.cx.apply(prim, &args)?;
        Ok(leaves(&out).into_iter().filter(Value::is_differentiable).collect())
    })
}

/// `a - n` is the same axis as `a`, where `n` is how many there are.
fn axes(vm: &mut Vm, tally: &mut Tally, prim: &'static Prim, args: &[Value]) -> std::result::Result<(), Failure> {
    for i in (0..args.len()).filter(|&i| is_axis(prim, i)) {
        let mut at = |axis: i64| -> Result<Value> {
            let mut args = args.to_vec();
            args[i] = Value::Int(axis);
            vm.cx.apply(prim, &args)
        };
        if !matches!(args[i], Value::Int(_)) {
            continue;
        }
        let Err(beyond) = at(99) else { continue };
        let mut legal = |axis: i64| match at(axis) {
            Err(e) if e.0.code == beyond.0.code => None,
            other => Some(other),
        };
        let n = (0..9).take_while(|&a| legal(a).is_some()).count() as i64;
        if legal(-n - 1).is_some() || (-n..0).any(|a| legal(a).is_none()) {
            return Kind::Axis.fail(format!("there are {n} axes from the front, not so many from the back"));
        }
        for a in 0..n {
            if let (Some(Ok(front)), Some(Ok(back))) = (legal(a), legal(a - n))
                && !(alike(&leaves(&front), &leaves(&back)) && close(&numbers(&back), &numbers(&front), 0.0))
            {
                return Kind::Axis.fail(format!("axis {a} of {n} is not {}", a - n));
            }
            tally.count(Kind::Axis);
        }
    }
    Ok(())
}

/// Tensors of rank 2 or more whose elements lie the other way round.
fn layout(vm: &mut Vm, tally: &mut Tally, prim: &'static Prim, args: &[Value]) -> std::result::Result<(), Failure> {
    let said = |e| Kind::Layout.error(&e);
    let mut turned = vec![];
    for v in args {
        turned.push(match v {
            Value::Tensor(_, t) if t.rank() > 1 => {
                let there = vm.cx.apply(&TRANSPOSE, &[v.clone(), Value::Int(0), Value::Int(-1)]).map_err(said)?;
                let Value::Tensor(_, there) = there else { return Kind::Layout.fail("no tensor".into()) };
                let there = Value::tensor(there.contiguous());
                vm.cx.apply(&TRANSPOSE, &[there, Value::Int(0), Value::Int(-1)]).map_err(said)?
            }
            other => other.clone(),
        });
    }
    let want = vm.cx.apply(prim, args).map_err(said)?;
    let got = vm.cx.apply(prim, &turned).map_err(said)?;
    if !alike(&leaves(&got), &leaves(&want)) || !close(&numbers(&got), &numbers(&want), 1e-13) {
        return Kind::Layout.fail(format!("of views {:?}, of copies {:?}", numbers(&got), numbers(&want)));
    }
    tally.count(Kind::Layout);
    Ok(())
}

fn refused(
    vm: &mut Vm,
    tally: &mut Tally,
    prim: &'static Prim,
    args: &[Value],
    active: &[usize],
) -> std::result::Result<(), Failure> {
    let xs: Vec<Value> = active.iter().map(|&i| args[i].clone()).collect();
    let f = of(prim, args.to_vec(), active.to_vec());
    let us = directions(vm, &xs);
    for way in [jvp(vm, &f, &xs, &us).map(|_| ()), vjp(vm, &f, &xs, &[]).map(|_| ())] {
        match way {
            Err(e) if e.0.code == "E0432" => tally.count(Kind::Refused),
            Err(e) => return Err(Kind::Refused.error(&e)),
            Ok(()) => return Kind::Refused.fail("it is differentiated".into()),
        }
    }
    Ok(())
}
