//! Other dtypes: f32 and mixtures against f64, ints against the same floats.

use dlang::ops::prim::Prim;
use dlang::tensor::{DType, Tensor};
use dlang::value::Value;
use dlang::vm::Vm;

use crate::check::of;
use crate::modes::{jvp, pulled, vjp};
use crate::samples::is_internal;
use crate::shape;
use crate::tally::{Failure, Kind, Tally};
use crate::values::*;

/// The same in f32.
fn cast(v: &Value, dtype: DType) -> Value {
    match v {
        Value::Tensor(_, t) if t.dtype().is_float() => Value::tensor(t.cast(dtype).expect("floats can be cast")),
        other => other.clone(),
    }
}

/// The arguments in f32, and for a sample of the probe (`own`) in mixtures of f32 and f64 if there are several tensors.
fn mixtures(prim: &Prim, args: &[Value], own: bool) -> Vec<Vec<Value>> {
    let is_float = |v: &&Value| matches!(v, Value::Tensor(_, t) if t.dtype().is_float());
    let first = args.iter().position(|v| is_float(&v)).unwrap_or(0);
    let by = |f: &dyn Fn(usize) -> bool| -> Vec<Value> {
        args.iter().enumerate().map(|(i, v)| if f(i) { cast(v, DType::F32) } else { v.clone() }).collect()
    };
    let mut all = vec![by(&|_| true)];
    if own && !is_internal(prim) && args.iter().filter(is_float).count() > 1 {
        all.push(by(&|i| i == first));
        all.push(by(&|i| i != first));
    }
    all
}

/// Shape rules for other float dtypes.
pub fn shapes(tally: &mut Tally, prim: &'static Prim, args: &[Value], own: bool) -> Result<(), Failure> {
    for mixed in mixtures(prim, args, own) {
        let types = shown(&mixed);
        shape::check(&mut machine(DType::F32), tally, prim, &mixed).map_err(|e| e.of(&types))?;
    }
    Ok(())
}

/// Value and derivatives in f32 and in mixtures against those in f64 at the same numbers.
pub fn narrow(
    vm: &mut Vm,
    tally: &mut Tally,
    prim: &'static Prim,
    args: &[Value],
    active: &[usize],
    own: bool,
) -> Result<(), Failure> {
    for small in mixtures(prim, args, own) {
        compare(vm, prim, &small, active).map_err(|e| e.of(&shown(&small)))?;
        tally.count(Kind::Narrow);
    }
    Ok(())
}

fn compare(vm: &mut Vm, prim: &'static Prim, small: &[Value], active: &[usize]) -> Result<(), Failure> {
    let widen = |vs: &[Value]| -> Vec<Value> { vs.iter().map(|v| cast(v, DType::F64)).collect() };
    let said = |e| Kind::Narrow.error(&e);
    let xs: Vec<Value> = active.iter().map(|&i| small[i].clone()).collect();
    let us = directions(vm, &xs);
    let small_vm = &mut machine(DType::F32);
    let f = of(prim, small.to_vec(), active.to_vec());
    let g = of(prim, widen(small), active.to_vec());
    let (y, dy) = jvp(small_vm, &f, &xs, &us).map_err(said)?;
    let (z, dz) = jvp(vm, &g, &widen(&xs), &widen(&us)).map_err(said)?;
    let bars = cotangents(vm, &y);
    let bx = vjp(small_vm, &f, &xs, &bars).map_err(said)?;
    let bz = vjp(vm, &g, &widen(&xs), &widen(&bars)).map_err(said)?;
    let (pull_f, pull_g) = (pulled(&f, xs.len()), pulled(&g, xs.len()));
    let (at, along) = ([&xs[..], &bars].concat(), [&us[..], &zeros(&bars)].concat());
    let d2 = jvp(small_vm, &pull_f, &at, &along).map_err(said)?.1;
    let d2_wide = jvp(vm, &pull_g, &widen(&at), &widen(&along)).map_err(said)?.1;
    let back = vjp(small_vm, &pull_f, &at, &us).map_err(said)?;
    if !alike(&bx, &xs) || !alike(&dy, &y) || !alike(&d2, &xs) || !alike(&back, &at) {
        return Kind::Narrow.fail(format!(
            "{} has tangent {}, cotangents {}, their tangents {}, their cotangents {}",
            shown(&y),
            shown(&dy),
            shown(&bx),
            shown(&d2),
            shown(&back)
        ));
    }
    // Second derivatives that cancel are as exact as the first.
    let largest = |vs: &[Value]| all_numbers(vs).iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
    let first = largest(&bz) * largest(&us).max(1.0);
    for (what, got, want, scale) in
        [("value", y, z, 1e-3), ("tangent", dy, dz, 1e-3), ("cotangent", bx, bz, 1e-3), ("second", d2, d2_wide, first)]
    {
        let (got, want) = (all_numbers(&got), all_numbers(&want));
        if !close_within(&got, &want, 2e-5, scale) {
            return Kind::Narrow.fail(format!("{what} {got:?}, in f64 {want:?}"));
        }
    }
    Ok(())
}

/// Ints and bools instead of floats.
pub fn ints(tally: &mut Tally, prim: &'static Prim, specs: &[Spec], args: &[Value]) -> Result<(), Failure> {
    let vm = &mut machine(DType::F64);
    let of_ints = |k: i64, i: usize| 1 + (k + i as i64) % 3;
    let (mut whole, mut truth, mut same) = (args.to_vec(), args.to_vec(), args.to_vec());
    for (k, spec) in specs.iter().enumerate().filter(|(_, s)| s.is_active()) {
        let _ = spec;
        let shape = args[k].shape().unwrap_or(&[]).to_vec();
        let n = shape.iter().product::<usize>();
        let data: Vec<i64> = (0..n).map(|i| of_ints(k as i64, i)).collect();
        same[k] = floats(&shape, data.iter().map(|&i| i as f64).collect());
        truth[k] = Value::tensor(Tensor::from_vec(&shape, data.iter().map(|i| i % 2 == 1).collect::<Vec<bool>>()));
        whole[k] = Value::tensor(Tensor::from_vec(&shape, data));
    }
    let accepted = shape::check(vm, tally, prim, &whole).map_err(|e| e.of("ints"))?;
    shape::check(vm, tally, prim, &truth).map_err(|e| e.of("bools"))?;
    if accepted && let Ok(float) = vm.cx.apply(prim, &same) {
        let int = vm.cx.apply(prim, &whole).map_err(|e| Kind::Ints.error(&e))?;
        let (int, float) = (numbers(&int), numbers(&float));
        if !close(&int, &float, 1e-12) {
            return Kind::Ints.fail(format!("of ints {int:?}, of the same floats {float:?}"));
        }
    }
    tally.count(Kind::Ints);
    Ok(())
}
