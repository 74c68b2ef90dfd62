//! Points where functions are nasty: zero cotangents and tangents stay zero whatever the slope, and both modes agree,
//! by fused kernels and by recorded primitives, for scalars and for tensors.

use dlang::ops::prim::{Diff, Eval, Prim};
use dlang::tensor::DType;
use dlang::value::Value;
use dlang::vm::Vm;

use crate::check::of;
use crate::modes::{Function, jvp, pulled, vjp};
use crate::tally::{Failure, Kind, Tally};
use crate::values::*;

const POINTS: [f64; 8] = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -1.0, 1e300, 1e-300];
/// Of three arguments fewer.
const FEW: [f64; 4] = [0.0, f64::INFINITY, f64::NAN, -1.0];

/// All combinations of nasty points, for an elementwise primitive.
pub fn check(prim: &'static Prim, tally: &mut Tally) -> Vec<Failure> {
    // Rules by hand may refuse.
    let (Eval::Elementwise(e), false) = (&prim.eval, matches!(prim.diff, Diff::Rules { .. })) else { return vec![] };
    let arity = e.arity();
    let points: &[f64] = if arity > 2 { &FEW } else { &POINTS };
    let rest: Vec<Value> =
        prim.probe.samples[0].args.iter().skip(arity).map(|a| Spec::of(a).draw(&mut machine(DType::F64))).collect();
    let mut failures = vec![];
    for k in 0..points.len().pow(arity as u32) {
        let at: Vec<f64> = (0..arity).map(|i| points[k / points.len().pow(i as u32) % points.len()]).collect();
        if let Err(failure) = point(prim, &at, &rest, tally) {
            failures.push(failure.of(&format!("{} at {at:?}", prim.name)));
        }
    }
    failures
}

fn point(prim: &'static Prim, at: &[f64], rest: &[Value], tally: &mut Tally) -> Result<(), Failure> {
    let mut slopes: Vec<(&str, Vec<f64>)> = vec![];
    for (name, dtype, scalar) in [("scalar", DType::F64, true), ("f64", DType::F64, false), ("f32", DType::F32, false)]
    {
        let vm = &mut machine(dtype);
        let shape: &[usize] = if scalar { &[] } else { &[1] };
        let mut xs = vec![];
        for &x in at {
            let v = floats(shape, vec![x]);
            xs.push(vm.cx.cast(&v, dtype).map_err(|e| Kind::Special.error(&e))?);
        }
        let args = [xs.clone(), rest.to_vec()].concat();
        let f = of(prim, args, (0..at.len()).collect());
        match f(vm, &xs) {
            // Refused, or not differentiable.
            Err(_) => return Ok(()),
            Ok(y) if y.is_empty() => return Ok(()),
            Ok(_) => {}
        }
        let got = both_modes(vm, &f, &xs).map_err(|e| e.of(name))?;
        // f32 has no such numbers.
        if dtype == DType::F64 || at.iter().all(|x| !x.is_finite() || x.abs() < 1e30 && (*x == 0.0 || x.abs() > 1e-30))
        {
            slopes.push((name, got));
        }
    }
    for (name, got) in &slopes[1..] {
        let (_, want) = &slopes[0];
        if !close(got, want, 1e-6) {
            return Kind::Special.fail(format!("slopes {got:?} as {name}, {want:?} as scalar"));
        }
    }
    tally.count(Kind::Special);
    Ok(())
}

/// The slopes in each argument; zeros must come out as zeros, and all ways must agree.
fn both_modes(vm: &mut Vm, f: &Function<'_>, xs: &[Value]) -> Result<Vec<f64>, Failure> {
    let said = |e| Kind::Special.error(&e);
    let none = zeros(xs);
    let (y, still) = jvp(vm, f, xs, &none).map_err(said)?;
    if all_numbers(&still).iter().any(|t| *t != 0.0) {
        return Kind::Special.fail(format!("the zero tangent became {:?}", all_numbers(&still)));
    }
    let silent = zeros(&y);
    let pull = pulled(f, xs.len());
    let with_bar = |bar: &[Value]| [xs, bar].concat();
    let at_rest = [none.clone(), silent.clone()].concat();
    let fused = vjp(vm, f, xs, &silent).map_err(said)?;
    let recorded = jvp(vm, &pull, &with_bar(&silent), &at_rest).map_err(said)?.0;
    for (how, bars) in [("fused", fused), ("recorded", recorded)] {
        if all_numbers(&bars).iter().any(|t| *t != 0.0) {
            return Kind::Special.fail(format!("the zero cotangent became {:?} ({how})", all_numbers(&bars)));
        }
    }
    let one: Vec<Value> = y.iter().map(|y| like(y, vec![1.0; numbers(y).len()])).collect();
    let back = all_numbers(&vjp(vm, f, xs, &one).map_err(said)?);
    let recorded = all_numbers(&jvp(vm, &pull, &with_bar(&one), &at_rest).map_err(said)?.0);
    let mut forth = vec![];
    for i in 0..xs.len() {
        let mut us = none.clone();
        us[i] = like(&xs[i], vec![1.0]);
        forth.extend(all_numbers(&jvp(vm, f, xs, &us).map_err(said)?.1));
    }
    if !close(&forth, &back, 1e-12) {
        return Kind::Special.fail(format!("forward {forth:?}, reverse {back:?}"));
    }
    // Recorded primitives may round differently.
    if !close(&recorded, &back, 1e-6) {
        return Kind::Special.fail(format!("recorded {recorded:?}, fused {back:?}"));
    }
    Ok(back)
}
