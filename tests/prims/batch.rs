//! Batching rules: one application to all examples against one for each, stacked; and derivatives through both.

use dlang::ad::slot::Level;
use dlang::error::{Cause, Result};
use dlang::ops::prim::Prim;
use dlang::tensor::DType;
use dlang::value::Value;
use dlang::vm::Vm;

use crate::check::of;
use crate::derivative::{self, Plan};
use crate::modes::vjp;
use crate::tally::{Failure, Kind, Tally};
use crate::values::*;

/// Examples in a batch: another number than any dim of the samples.
const N: usize = 5;

/// The primitive on whole arguments: `wholes` have the examples along axis 0.
fn together(vm: &mut Vm, prim: &'static Prim, args: &[Value], wholes: &[Option<Value>]) -> Result<Value> {
    let depth = vm.cx.depth();
    let level = vm.cx.open_batch(N)?;
    let result = inside(vm, prim, args, wholes, level);
    vm.cx.close_to(depth);
    result
}

fn inside(vm: &mut Vm, prim: &'static Prim, args: &[Value], wholes: &[Option<Value>], level: Level) -> Result<Value> {
    let mut mixed = args.to_vec();
    for (arg, whole) in mixed.iter_mut().zip(wholes) {
        if let Some(whole) = whole {
            *arg = batch(vm, whole, level)?;
        }
    }
    let out = vm.cx.apply(prim, &mixed)?;
    dlang::ad::lift::map_leaves(&out, &mut |leaf| match leaf.shape() {
        Some(_) => vm.cx.unbatch(leaf, level, N),
        None => Ok(leaf.clone()),
    })
}

/// Under the batch level; of a tuple the tensors in it.
fn batch(vm: &mut Vm, whole: &Value, level: Level) -> Result<Value> {
    match whole {
        Value::Tuple(items) => {
            let items: Result<Vec<Value>> = items.iter().map(|item| batch(vm, item, level)).collect();
            Ok(Value::tuple(items?))
        }
        Value::Tensor(..) => vm.cx.batch(whole.clone(), level),
        other => Ok(other.clone()),
    }
}

/// Examples along axis 0; of tuples the tensors in them.
fn stacked(vm: &mut Vm, parts: &[Value]) -> Result<Value> {
    let Value::Tuple(items) = &parts[0] else { return vm.cx.stack_parts(parts) };
    let part = |v: &Value, i: usize| if let Value::Tuple(items) = v { items[i].clone() } else { Value::None };
    let mut columns = vec![];
    for (i, item) in items.iter().enumerate() {
        let column: Vec<Value> = parts.iter().map(|v| part(v, i)).collect();
        columns.push(match item {
            Value::Tensor(..) | Value::Tuple(_) => stacked(vm, &column)?,
            setting => setting.clone(),
        });
    }
    Ok(Value::tuple(columns))
}

/// Arguments of example `k`: floats drawn anew, tensors of ints and bools in another order.
fn example(vm: &mut Vm, specs: &[Spec], args: &[Value], batched: &[bool], k: usize) -> Vec<Value> {
    let mut out = args.to_vec();
    for i in (0..args.len()).filter(|&i| batched[i]) {
        out[i] = turned(&specs[i], k).draw(vm);
    }
    out
}

fn turned(spec: &Spec, k: usize) -> Spec {
    let order = |n: usize| (0..n).map(move |j| (j + k) % n);
    match spec {
        Spec::Ints(shape, data) => Spec::Ints(shape.clone(), order(data.len()).map(|j| data[j]).collect()),
        Spec::Bools(shape, data) => Spec::Bools(shape.clone(), order(data.len()).map(|j| data[j]).collect()),
        Spec::Items(items) => Spec::Items(items.iter().map(|s| turned(s, k)).collect()),
        other => other.clone(),
    }
}

fn holds_tensors(spec: &Spec) -> bool {
    match spec {
        Spec::Ints(..) | Spec::Bools(..) => true,
        Spec::Items(items) => items.iter().any(holds_tensors),
        _ => false,
    }
}

/// Every set of batched arguments.
pub fn check(
    vm: &mut Vm,
    tally: &mut Tally,
    prim: &'static Prim,
    specs: &[Spec],
    args: &[Value],
    own: bool,
) -> std::result::Result<(), Failure> {
    let may = |s: &Spec| s.is_active() || holds_tensors(s) || (own && matches!(s, Spec::Int(_)));
    let candidates: Vec<usize> = (0..args.len()).filter(|&i| may(&specs[i])).collect();
    let sets = 1usize << candidates.len().min(4);
    for set in 1..sets {
        if !own && set != sets - 1 && set.count_ones() != 1 {
            continue;
        }
        let batched: Vec<bool> = (0..args.len())
            .map(|i| candidates.iter().take(4).position(|&c| c == i).is_some_and(|p| set >> p & 1 == 1))
            .collect();
        one(vm, tally, prim, specs, args, &batched, own).map_err(|e| e.of(&format!("batched {batched:?}")))?;
    }
    Ok(())
}

fn one(
    vm: &mut Vm,
    tally: &mut Tally,
    prim: &'static Prim,
    specs: &[Spec],
    args: &[Value],
    batched: &[bool],
    own: bool,
) -> std::result::Result<(), Failure> {
    let said = |e| Kind::Batch.error(&e);
    let examples: Vec<Vec<Value>> = (0..N).map(|k| example(vm, specs, args, batched, k)).collect();
    let mut alone = vec![];
    let mut refused = None;
    for example in &examples {
        match vm.cx.apply(prim, example) {
            Ok(out) => alone.push(out),
            Err(e) => refused = Some(e),
        }
    }
    let mut wholes = vec![None; args.len()];
    for i in (0..args.len()).filter(|&i| batched[i]) {
        let parts: Vec<Value> = examples.iter().map(|e| e[i].clone()).collect();
        wholes[i] = Some(stacked(vm, &parts).map_err(said)?);
    }
    if let Some(refused) = refused {
        return match together(vm, prim, args, &wholes) {
            Ok(out) => Kind::Batch.fail(format!("of a batch it is {}, of one: {}", out.type_name(), refused.0.message)),
            Err(_) => {
                tally.count(Kind::Batch);
                Ok(())
            }
        };
    }
    let got = match together(vm, prim, args, &wholes) {
        Err(e) if matches!(e.0.cause, Cause::Split(_)) => return Ok(()),
        other => other.map_err(said)?,
    };
    let want = match vm.cx.stack_examples(&alone) {
        Ok(want) => want,
        // Of different shapes: no batch.
        Err(_) => return Ok(()),
    };
    if !alike(&leaves(&got), &leaves(&want)) || !close(&numbers(&got), &numbers(&want), 1e-12) {
        return Kind::Batch.fail(format!(
            "{} {:?}, one by one {} {:?}",
            got.type_name(),
            numbers(&got),
            want.type_name(),
            numbers(&want)
        ));
    }
    tally.count(Kind::Batch);
    let active: Vec<usize> = (0..args.len()).filter(|&i| batched[i] && specs[i].is_active()).collect();
    if !own || active.is_empty() || matches!(prim.diff, dlang::ops::prim::Diff::Refused(_)) || !got.is_differentiable()
    {
        return Ok(());
    }
    // Differences of rounded results say nothing.
    if got.dtype() != Some(DType::F64) {
        return Ok(());
    }
    outside(vm, tally, prim, specs, args, &wholes, &active)?;
    within(vm, prim, &examples, args, &wholes, &active)?;
    tally.count(Kind::BatchSlope);
    Ok(())
}

/// The derivative of a batched application.
fn outside(
    vm: &mut Vm,
    tally: &mut Tally,
    prim: &'static Prim,
    specs: &[Spec],
    args: &[Value],
    wholes: &[Option<Value>],
    active: &[usize],
) -> std::result::Result<(), Failure> {
    let f = |vm: &mut Vm, xs: &[Value]| {
        let mut wholes = wholes.to_vec();
        for (&i, x) in active.iter().zip(xs) {
            wholes[i] = Some(x.clone());
        }
        Ok(vec![together(vm, prim, args, &wholes)?])
    };
    let xs: Vec<Value> = active.iter().filter_map(|&i| wholes[i].clone()).collect();
    let kinks = specs.iter().any(|s| matches!(s, Spec::Point(_)));
    let plan = Plan { kind: [Kind::BatchSlope, Kind::BatchSlope], directions: 1, kinks };
    let whole = |e: Failure| e.of("derivative of the batch");
    derivative::check(vm, tally, &f, &xs, plan).map_err(whole)
}

/// A batch of derivatives.
fn within(
    vm: &mut Vm,
    prim: &'static Prim,
    examples: &[Vec<Value>],
    args: &[Value],
    wholes: &[Option<Value>],
    active: &[usize],
) -> std::result::Result<(), Failure> {
    let said = |e| Kind::BatchSlope.error(&e);
    let mut bars = vec![];
    let mut alone = vec![vec![]; active.len()];
    for example in examples {
        let f = of(prim, example.clone(), active.to_vec());
        let xs: Vec<Value> = active.iter().map(|&i| example[i].clone()).collect();
        let y = f(vm, &xs).map_err(said)?;
        let bar = cotangents(vm, &y);
        for (list, x_bar) in alone.iter_mut().zip(vjp(vm, &f, &xs, &bar).map_err(said)?) {
            list.push(x_bar);
        }
        bars.extend(bar);
    }
    let bar = vm.cx.stack_parts(&bars).map_err(said)?;
    let depth = vm.cx.depth();
    let level = vm.cx.open_batch(N).map_err(said)?;
    let mut pull = || -> Result<Vec<Value>> {
        let mut mixed = args.to_vec();
        for (arg, whole) in mixed.iter_mut().zip(wholes) {
            if let Some(whole) = whole {
                *arg = batch(vm, whole, level)?;
            }
        }
        let f = of(prim, mixed.clone(), active.to_vec());
        let xs: Vec<Value> = active.iter().map(|&i| mixed[i].clone()).collect();
        let bar = vm.cx.batch(bar.clone(), level)?;
        let x_bars = vjp(vm, &f, &xs, &[bar])?;
        x_bars.iter().map(|x_bar| vm.cx.unbatch(x_bar, level, N)).collect()
    };
    let got = pull();
    vm.cx.close_to(depth);
    let got = match got {
        Err(e) if matches!(e.0.cause, Cause::Split(_)) => return Ok(()),
        other => other.map_err(said)?,
    };
    for (got, alone) in got.iter().zip(&alone) {
        let want = vm.cx.stack_parts(alone).map_err(said)?;
        if got.type_name() != want.type_name() || !close(&numbers(got), &numbers(&want), 1e-11) {
            return Kind::BatchSlope.fail(format!(
                "batch of derivatives: {} {:?}, one by one {} {:?}",
                got.type_name(),
                numbers(got),
                want.type_name(),
                numbers(&want)
            ));
        }
    }
    Ok(())
}
