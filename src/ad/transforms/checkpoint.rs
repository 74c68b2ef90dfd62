//! checkpoint: a call whose inside is not recorded but run again in the backward pass.
//!
//! The function is made one of all that it depends on (`ad/held.rs`): its arguments and what it captured. Such a body has
//! a pullback and a forward rule which are bodies themselves, so that under several levels none records the inside:
//! the pullback of a checkpoint, when it is differentiated, is a checkpoint.

use std::rc::Rc;

use crate::ad::dispatch::escaped;
use crate::ad::transforms::forward_mode::jvp;
use crate::ad::transforms::group::{Innermost, batched, innermost, primals, record_group, recorded, wholes};
use crate::ad::transforms::reverse_mode::record;
use crate::ad::transforms::vmap::over_examples;
use crate::ad::transforms::{describe, expect_function};
use crate::ad::{held, lift};
use crate::builtins::Builtin;
use crate::env::Rng;
use crate::error::Result;
use crate::ops::prim::{Sig, req};
use crate::symbol::Symbol;
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

pub static CHECKPOINT: Builtin = Builtin {
    name: "checkpoint",
    doc: "f, but in a gradient its inside is not stored: it is computed again in the backward pass, from the same random \
          state. Saves memory for time. Example: checkpoint(block)(x)",
    sig: Sig { params: &[req("f")] },
    infer: |args| Ok(args.first().cloned().unwrap_or_default()),
    run: |_, args| {
        expect_function("checkpoint", &args[0])?;
        Ok(Value::native(Checkpoint { f: args[0].clone() }))
    },
};

struct Checkpoint {
    f: Value,
}

impl NativeFn for Checkpoint {
    fn describe(&self) -> String {
        describe("checkpoint", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let names = args.named.iter().map(|(name, _)| *name).collect();
        let mut form = vec![self.f.clone()];
        form.extend(args.positional.iter().cloned());
        form.extend(args.named.iter().map(|(_, v)| v.clone()));
        // A pullback among what it captured cannot be reached inside: then there is nothing to gain.
        let Some(inputs) = held::leaves(&form) else { return vm.call_args(&self.f, args) };
        if inputs.is_empty() {
            return vm.call_args(&self.f, args);
        }
        let body: Rc<dyn Body> = Rc::new(Call { form, names });
        let rng = vm.cx.env.rng.clone();
        match run(vm, &body, inputs)? {
            Some(out) => Ok(out),
            None => {
                vm.cx.env.rng = rng;
                vm.call_args(&self.f, args)
            }
        }
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        Some(Value::native(Checkpoint { f: values.into_iter().next()? }))
    }
}

/// A function of values that may be differentiated. `None`: the result holds what cannot be taken out of a derivative
/// (a pullback).
trait Body {
    fn run(&self, vm: &mut Vm, inputs: &[Value]) -> Result<Option<Value>>;
}

/// Runs a body; what takes part in a derivative is recorded as one entry.
fn run(vm: &mut Vm, body: &Rc<dyn Body>, inputs: Vec<Value>) -> Result<Option<Value>> {
    match innermost(&vm.cx, &inputs)? {
        Innermost::Nothing => body.run(vm, &inputs),
        Innermost::Reverse(level) => {
            let active: Vec<bool> = inputs.iter().map(|v| v.slot().level() == level).collect();
            let below = primals(&vm.cx, &inputs, level)?;
            let rng = vm.cx.env.rng.clone();
            let Some(out) = run(vm, body, below.clone())? else { return Ok(None) };
            let Some(leaves) = held::float_leaves(&out) else { return Ok(None) };
            let serials = vm.cx.serials()[..level.0 as usize - 1].to_vec();
            let args = picked(&inputs, &active);
            let pull: Rc<dyn Body> = Rc::new(Pull { body: body.clone(), active, rng });
            let pullback = Value::native(Recompute { pull, inputs: below, serials });
            let nodes = record_group(&mut vm.cx, level, args, &Value::tuple(leaves), pullback)?;
            Ok(Some(held::with_float_leaves(&out, &parts(&nodes))))
        }
        Innermost::Forward(level) => {
            let below = primals(&vm.cx, &inputs, level)?;
            if !recorded(&below) {
                return body.run(vm, &inputs);
            }
            let active: Vec<bool> = inputs.iter().map(|v| v.slot().level() == level).collect();
            let tangents: Vec<Value> =
                inputs.iter().filter_map(|v| vm.cx.tangent(v, level).transpose()).collect::<Result<_>>()?;
            let push: Rc<dyn Body> = Rc::new(Push { body: body.clone(), active });
            let Some(out) = run(vm, &push, [below, tangents].concat())? else { return Ok(None) };
            let [y, dy] = &parts(&out)[..] else { return Ok(None) };
            let Some(leaves) = held::float_leaves(y) else { return Ok(None) };
            let lifted = vm.cx.lift_forward(&Value::tuple(leaves), dy, level)?;
            Ok(lifted.map(|duals| held::with_float_leaves(y, &parts(&duals))))
        }
        // Only batched: nothing would be recorded.
        Innermost::Batch(..) if inputs.iter().all(|v| held::level(v).0 == 0) => body.run(vm, &inputs),
        Innermost::Batch(level, n) => {
            let (inputs, along) = wholes(&mut vm.cx, &inputs, level, n)?;
            let each: Rc<dyn Body> = Rc::new(Each { body: body.clone(), along, n });
            let Some(out) = run(vm, &each, inputs)? else { return Ok(None) };
            batched(&mut vm.cx, &out, level)
        }
    }
}

fn parts(tuple: &Value) -> Vec<Value> {
    lift::children(tuple).unwrap_or_default().into_iter().cloned().collect()
}

fn picked(values: &[Value], which: &[bool]) -> Vec<Value> {
    values.iter().zip(which).filter(|(_, w)| **w).map(|(v, _)| v.clone()).collect()
}

/// `values` with others where `which` says so.
fn merged(values: &[Value], which: &[bool], others: &[Value]) -> Vec<Value> {
    let mut others = others.iter();
    let pick = |(v, w): (&Value, &bool)| if *w { others.next().unwrap_or(v).clone() } else { v.clone() };
    values.iter().zip(which).map(pick).collect()
}

/// The call of the function itself.
struct Call {
    /// The function, then the arguments; the inputs stand in them where there were slots.
    form: Vec<Value>,
    names: Vec<Symbol>,
}

impl Body for Call {
    fn run(&self, vm: &mut Vm, inputs: &[Value]) -> Result<Option<Value>> {
        let mut values = held::with_leaves(&self.form, inputs).into_iter();
        let Some(f) = values.next() else { return Ok(None) };
        let mut positional: Vec<Value> = values.collect();
        let named = positional.split_off(positional.len() - self.names.len());
        let named = self.names.iter().copied().zip(named).collect();
        vm.call_args(&f, Args { positional, named }).map(Some)
    }
}

/// The pullback of a body: of its inputs and the cotangents of the leaves of its result. Runs it again, recording.
struct Pull {
    body: Rc<dyn Body>,
    /// Which inputs are asked for their cotangents.
    active: Vec<bool>,
    /// The random state that the body began with.
    rng: Rng,
}

impl Body for Pull {
    fn run(&self, vm: &mut Vm, inputs: &[Value]) -> Result<Option<Value>> {
        let (inputs, cotangents) = inputs.split_at(self.active.len());
        let now = std::mem::replace(&mut vm.cx.env.rng, self.rng.clone());
        let recorded = record(vm, &Value::tuple(picked(inputs, &self.active)), |vm, lifted| {
            let out = self.body.run(vm, &merged(inputs, &self.active, &parts(lifted)))?;
            out.and_then(|out| held::float_leaves(&out)).map(Value::tuple).ok_or_else(escaped)
        });
        vm.cx.env.rng = now;
        let mut recorded = recorded?;
        let seeds = recorded.seeds(&Value::tuple(cotangents.to_vec()))?;
        let gradient = recorded.pull(vm, &seeds, true)?;
        vm.cx.recycle(recorded.tape);
        Ok(Some(gradient))
    }
}

/// The forward rule of a body: of its inputs and the tangents of the active ones. Gives the result and the tangents of
/// its leaves.
struct Push {
    body: Rc<dyn Body>,
    active: Vec<bool>,
}

impl Body for Push {
    fn run(&self, vm: &mut Vm, inputs: &[Value]) -> Result<Option<Value>> {
        let (inputs, tangents) = inputs.split_at(self.active.len());
        let mut form = Value::None;
        let point = Value::tuple(picked(inputs, &self.active));
        let (y, dy) = jvp(vm, &point, &Value::tuple(tangents.to_vec()), |vm, lifted| {
            form = self.body.run(vm, &merged(inputs, &self.active, &parts(lifted)))?.ok_or_else(escaped)?;
            held::float_leaves(&form).map(Value::tuple).ok_or_else(escaped)
        })?;
        Ok(Some(Value::tuple(vec![held::with_float_leaves(&form, &parts(&y)), dy])))
    }
}

/// A body over the examples of a batch.
struct Each {
    body: Rc<dyn Body>,
    along: Vec<bool>,
    n: usize,
}

impl Body for Each {
    fn run(&self, vm: &mut Vm, inputs: &[Value]) -> Result<Option<Value>> {
        let one = |vm: &mut Vm, inputs: &[Value]| self.body.run(vm, inputs)?.ok_or_else(escaped);
        Ok(Some(over_examples(vm, inputs, &self.along, self.n, &one)?.value))
    }
}

/// What the sweep calls.
struct Recompute {
    pull: Rc<dyn Body>,
    inputs: Vec<Value>,
    /// Levels that the inputs belong to.
    serials: Vec<u64>,
}

impl NativeFn for Recompute {
    fn describe(&self) -> String {
        "pullback of checkpoint".into()
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        if !vm.cx.serials().starts_with(&self.serials) {
            return Err(escaped());
        }
        let cotangents = args.positional.first().map(parts).unwrap_or_default();
        let gradient = run(vm, &self.pull, [self.inputs.clone(), cotangents].concat())?;
        gradient.ok_or_else(escaped)
    }

    fn captured(&self) -> Vec<Value> {
        self.inputs.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::math::SIN;

    /// The sine, as often as it says.
    struct Sines(usize);

    impl NativeFn for Sines {
        fn describe(&self) -> String {
            "sines".into()
        }

        fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
            let mut x = args.positional[0].clone();
            for _ in 0..self.0 {
                x = vm.cx.apply(&SIN, &[x])?;
            }
            Ok(x)
        }

        fn with_captured(&self, _: Vec<Value>) -> Option<Value> {
            Some(Value::native(Sines(self.0)))
        }
    }

    /// Entries on the outermost tape of a derivative of `f`, and the derivative.
    fn entries(f: &Value, second: bool) -> (usize, f64) {
        let mut vm = Vm::default();
        let x = Value::float(0.5);
        let mut outer = record(&mut vm, &x, |vm, x| {
            if !second {
                return vm.call(f, std::slice::from_ref(x));
            }
            let mut inner = record(vm, x, |vm, x| vm.call(f, std::slice::from_ref(x)))?;
            let seeds = inner.seeds(&Value::float(1.0))?;
            inner.pull(vm, &seeds, true)
        })
        .unwrap();
        let seeds = outer.seeds(&Value::float(1.0)).unwrap();
        let count = outer.tape.entries.len();
        let Value::Float(_, slope) = outer.pull(&mut vm, &seeds, true).unwrap() else { panic!() };
        (count, slope)
    }

    #[test]
    fn the_inside_is_not_on_the_tape_at_any_order() {
        let plain = Value::native(Sines(1000));
        let saved = Value::native(Checkpoint { f: plain.clone() });
        for second in [false, true] {
            let (long, expected) = entries(&plain, second);
            let (short, slope) = entries(&saved, second);
            assert!(long > 1000 && short < 12, "{long} entries plain, {short} with a checkpoint");
            assert!((slope - expected).abs() <= 1e-12 * expected.abs(), "{slope} is not {expected}");
        }
    }
}
