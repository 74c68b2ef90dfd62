//! stop_grad, checkpoint, custom_vjp, custom_jvp.

use crate::ad::dispatch::escaped;
use crate::ad::lift;
use crate::ad::slot::{Level, Slot};
use crate::ad::tape::{GENERAL, General, GroupEntry};
use crate::ad::transforms::reverse_mode::{record, with_pullback};
use crate::ad::transforms::{describe, expect_function};
use crate::ad::{Cx, Mode};
use crate::builtins::Builtin;
use crate::env::Rng;
use crate::error::{Error, Result};
use crate::ops::prim::{Sig, req};
use crate::value::{Args, Closure, NativeFn, Value};
use crate::vm::Vm;

pub static STOP_GRAD: Builtin = Builtin {
    name: "stop_grad",
    doc: "The same value as a constant: no derivative flows through it, at any level. \
          Example: grad(|x| x * stop_grad(x))(2.0) is 2.0",
    sig: Sig { params: &[req("x")] },
    infer: |args| Ok(args.first().cloned().unwrap_or_default()),
    run: |_, args| lift::map_leaves(&args[0], &mut |leaf| Ok(leaf.with_slot(Slot::CONST))),
};

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

pub static CUSTOM_VJP: Builtin = Builtin {
    name: "custom_vjp",
    doc: "f with its own reverse rule: rule(x...) returns (y, |dy| (dx...)), with a bare dx for one argument. Forward mode \
          differentiates f itself.",
    sig: Sig { params: &[req("f"), req("rule")] },
    infer: |args| Ok(args.first().cloned().unwrap_or_default()),
    run: |_, args| {
        expect_function("custom_vjp", &args[0])?;
        expect_function("custom_vjp", &args[1])?;
        Ok(Value::native(CustomVjp { f: args[0].clone(), rule: args[1].clone() }))
    },
};

pub static CUSTOM_JVP: Builtin = Builtin {
    name: "custom_jvp",
    doc: "f with its own forward rule: rule(x, dx) returns (y, dy), linear in dx; with several arguments rule(x1, x2, \
          dx1, dx2). Reverse mode runs the rule backwards.",
    sig: Sig { params: &[req("f"), req("rule")] },
    infer: |args| Ok(args.first().cloned().unwrap_or_default()),
    run: |_, args| {
        expect_function("custom_jvp", &args[0])?;
        expect_function("custom_jvp", &args[1])?;
        Ok(Value::native(CustomJvp { f: args[0].clone(), rule: args[1].clone() }))
    },
};

/// The highest level among arguments, if it is one of reverse mode.
fn level_of(values: &[Value]) -> Level {
    values.iter().map(lift::top_level).max().unwrap_or_default()
}

fn is_reverse(cx: &Cx, level: Level) -> bool {
    matches!(cx.level(level).map(|l| &l.mode), Some(Mode::Reverse(_)))
}

/// All arguments one level down.
fn primals(cx: &Cx, args: &[Value], level: Level) -> Result<Vec<Value>> {
    args.iter().map(|a| lift::map_leaves(a, &mut |leaf| Ok(cx.primal(leaf, level)))).collect()
}

/// Records a call whose pullback is `pullback`; the result's leaves become nodes of `level`.
fn record_group(cx: &mut Cx, level: Level, args: Vec<Value>, out: &Value, pullback: Value) -> Result<Value> {
    let Some(tape) = cx.tape_mut(level) else { return Err(escaped()) };
    let head = tape.push_general(General::Group(GroupEntry { pullback, result: Value::None, args }), Slot::CONST)?;
    let result = lift::map_leaves(out, &mut |leaf| {
        if !leaf.is_differentiable() {
            return Ok(leaf.clone());
        }
        let node = tape.push_general(General::Part, leaf.slot())?;
        Ok(leaf.with_slot(Slot::new(level, node)))
    })?;
    let entry = tape.entries[head.0 as usize];
    if entry.a == GENERAL
        && let Some(General::Group(group)) = tape.general.get_mut(entry.b as usize)
    {
        group.result = result.clone();
    }
    Ok(result)
}

fn positional(name: &str, args: Args) -> Result<Vec<Value>> {
    if args.named.is_empty() {
        return Ok(args.positional);
    }
    Err(Error::new("E0320", format!("a function made by {name} takes its arguments by position")))
}

struct Checkpoint {
    f: Value,
}

impl NativeFn for Checkpoint {
    fn describe(&self) -> String {
        describe("checkpoint", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let args = positional("checkpoint", args)?;
        // What the function captured is differentiated as well.
        let captures = captures(&self.f);
        let inputs: Vec<Value> = captures.iter().chain(&args).cloned().collect();
        let level = level_of(&inputs);
        if level.0 == 0 || !is_reverse(&vm.cx, level) {
            return vm.call(&self.f, &args);
        }
        let below = primals(&vm.cx, &inputs, level)?;
        let rng = vm.cx.env.rng.clone();
        let (inner, rest) = below.split_at(captures.len());
        let f = with_captures(&self.f, inner);
        let out = vm.call(&f, rest)?;
        let serials = vm.cx.serials()[..level.0 as usize - 1].to_vec();
        let pullback = Value::native(Recompute { f: self.f.clone(), inputs: below, rng, serials });
        record_group(&mut vm.cx, level, inputs, &out, pullback)
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }
}

fn captures(f: &Value) -> Vec<Value> {
    match f {
        Value::Fn(closure) => closure.captures.clone(),
        Value::Struct(_) => vec![f.clone()],
        _ => vec![],
    }
}

fn with_captures(f: &Value, captures: &[Value]) -> Value {
    match f {
        Value::Fn(closure) if !closure.captures.is_empty() => {
            Value::Fn(std::rc::Rc::new(Closure { chunk: closure.chunk.clone(), captures: captures.to_vec() }))
        }
        Value::Struct(_) => captures.first().cloned().unwrap_or_default(),
        other => other.clone(),
    }
}

/// The pullback of a checkpoint: runs the function again, recording, then sweeps.
struct Recompute {
    f: Value,
    /// Captured values, then arguments.
    inputs: Vec<Value>,
    rng: Rng,
    serials: Vec<u64>,
}

impl NativeFn for Recompute {
    fn describe(&self) -> String {
        describe("pullback of checkpoint", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        if !vm.cx.serials().starts_with(&self.serials) {
            return Err(escaped());
        }
        let n = captures(&self.f).len();
        let now = std::mem::replace(&mut vm.cx.env.rng, self.rng.clone());
        let inputs = Value::tuple(self.inputs.clone());
        let recorded = record(vm, &inputs, |vm, lifted| {
            let items = lift::children(lifted).unwrap_or_default().into_iter().cloned().collect::<Vec<_>>();
            let (inner, rest) = items.split_at(n);
            vm.call(&with_captures(&self.f, inner), rest)
        });
        vm.cx.env.rng = now;
        let mut recorded = recorded?;
        let seeds = recorded.seeds(args.positional.first().unwrap_or(&Value::None))?;
        let cotangents = recorded.pull(vm, &seeds, true)?;
        vm.cx.recycle(recorded.tape);
        // One input: bare, as the sweep expects.
        Ok(match &cotangents {
            Value::Tuple(items) if items.len() == 1 => items[0].clone(),
            _ => cotangents,
        })
    }
}

struct CustomVjp {
    f: Value,
    rule: Value,
}

impl NativeFn for CustomVjp {
    fn describe(&self) -> String {
        describe("custom_vjp", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let args = positional("custom_vjp", args)?;
        let level = level_of(&args);
        if level.0 == 0 || !is_reverse(&vm.cx, level) {
            return vm.call(&self.f, &args);
        }
        let below = primals(&vm.cx, &args, level)?;
        let ruled = vm.call(&self.rule, &below)?;
        match &ruled {
            Value::Tuple(items) if items.len() == 2 => {
                record_group(&mut vm.cx, level, args, &items[0], items[1].clone())
            }
            other => Err(Error::new("E0433", format!("the rule of custom_vjp returned {}", other.type_name()))
                .help("it returns (y, pullback): |x| (f(x), |dy| dy * slope(x))")),
        }
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone(), self.rule.clone()]
    }
}

struct CustomJvp {
    f: Value,
    rule: Value,
}

impl NativeFn for CustomJvp {
    fn describe(&self) -> String {
        describe("custom_jvp", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let args = positional("custom_jvp", args)?;
        let level = level_of(&args);
        if level.0 == 0 {
            return vm.call(&self.f, &args);
        }
        let below = primals(&vm.cx, &args, level)?;
        if is_reverse(&vm.cx, level) {
            let out = vm.call(&self.f, &below)?;
            let pullback = Value::native(Transposed { rule: self.rule.clone(), xs: below });
            return record_group(&mut vm.cx, level, args, &out, pullback);
        }
        let mut inputs = below.clone();
        for arg in &args {
            inputs.push(vm.cx.read_tangents(arg, level)?);
        }
        let (y, dy) = pair(&vm.call(&self.rule, &inputs)?)?;
        match vm.cx.lift_forward(&y, &dy, level)? {
            Some(value) => Ok(value),
            None => Err(Error::new(
                "E0433",
                format!("the rule of custom_jvp gave the tangent {} for {}", dy.type_name(), y.type_name()),
            )
            .help("a tangent has the structure and shape of the value")),
        }
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone(), self.rule.clone()]
    }
}

fn pair(value: &Value) -> Result<(Value, Value)> {
    match value {
        Value::Tuple(items) if items.len() == 2 => Ok((items[0].clone(), items[1].clone())),
        other => Err(Error::new("E0433", format!("the rule of custom_jvp returned {}", other.type_name()))
            .help("it returns (y, dy): |x, dx| (f(x), slope(x) * dx)")),
    }
}

/// A forward rule is linear in its tangents; its transpose is its pullback.
struct Transposed {
    rule: Value,
    xs: Vec<Value>,
}

impl NativeFn for Transposed {
    fn describe(&self) -> String {
        describe("pullback of custom_jvp", &self.rule)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let mut zeros = vec![];
        for x in &self.xs {
            zeros.push(lift::map_gradient(x, &mut |leaf| {
                if leaf.is_differentiable() { vm.cx.zeros_like(leaf) } else { Ok(Value::None) }
            })?);
        }
        let recorded = record(vm, &Value::tuple(zeros), |vm, tangents| {
            let tangents = lift::children(tangents).unwrap_or_default();
            let inputs: Vec<Value> = self.xs.iter().chain(tangents).cloned().collect();
            Ok(pair(&vm.call(&self.rule, &inputs)?)?.1)
        })?;
        let Value::Tuple(parts) = with_pullback(vm, recorded) else { return Ok(Value::None) };
        let cotangents = vm.call(&parts[1], &args.positional)?;
        Ok(match &cotangents {
            Value::Tuple(items) if items.len() == 1 => items[0].clone(),
            _ => cotangents,
        })
    }

    fn captured(&self) -> Vec<Value> {
        self.xs.clone()
    }
}
