//! grad, value_and_grad, vjp.

use std::cell::RefCell;

use crate::ad::lift;
use crate::ad::reverse::{Bars, sweep};
use crate::ad::slot::{Level, Node};
use crate::ad::tape::Tape;
use crate::ad::transforms::target::{Wrt, expect_differentiable, parameter_names};
use crate::ad::transforms::{Taken, describe, expect_function, unlike_cotangent};
use crate::ad::{LevelState, Mode};
use crate::builtins::Builtin;
use crate::builtins::fail::with_article;
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req, rest};
use crate::types::ty::Ty;
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

pub static GRAD: Builtin = Builtin {
    name: "grad",
    doc: "The gradient of f with respect to argument `wrt` (position, name, or tuple of them), in reverse mode, as a \
          function with f's parameters. f must return one float; the gradient has the argument's structure. \
          Example: grad(|x| x^2)(3.0) is 6.0",
    sig: Sig { params: &[req("f"), opt("wrt", Default::Int(0))] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        expect_function("grad", &args[0])?;
        let wrt = Wrt::parse(&args[1])?;
        Ok(Value::native(Gradient { name: "grad", f: args[0].clone(), wrt, value: false, aux: false }))
    },
};

pub static VALUE_AND_GRAD: Builtin = Builtin {
    name: "value_and_grad",
    doc: "As grad, but gives (value, gradient). With aux: true f returns (loss, aux) and the result is \
          ((loss, aux), gradient). Example: value_and_grad(|x| x^2)(3.0) is (9.0, 6.0)",
    sig: Sig { params: &[req("f"), opt("wrt", Default::Int(0)), opt("aux", Default::Bool(false))] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        expect_function("value_and_grad", &args[0])?;
        let wrt = Wrt::parse(&args[1])?;
        let aux = match &args[2] {
            Value::Bool(aux) => *aux,
            Value::None => false,
            other => return Err(super::not_a_flag(&with_article(&other.type_name()))),
        };
        Ok(Value::native(Gradient { name: "value_and_grad", f: args[0].clone(), wrt, value: true, aux }))
    },
};

pub static VJP: Builtin = Builtin {
    name: "vjp",
    doc: "(f(x), pullback) in reverse mode: pullback(dy) is the cotangent of x and may be called again and again. With \
          several arguments it is a tuple. Example: vjp(|x| 2.0 * x, 3.0)[1](1.0) is 2.0",
    sig: Sig { params: &[req("f"), rest("x")] },
    infer: |_| Ok(Ty::Any),
    run: |vm, args| {
        expect_function("vjp", &args[0])?;
        let f = args[0].clone();
        let Value::Tuple(xs) = &args[1] else { return vjp(vm, &f, &args[1]) };
        match &xs[..] {
            [x] => vjp(vm, &f, x),
            _ => vjp_many(vm, &f, &args[1]),
        }
    },
};

/// What a recorded run of a function leaves: enough to sweep from its result.
pub struct Recorded {
    pub tape: Tape,
    pub level: Level,
    /// The argument, its leaves under the level.
    pub lifted: Value,
    /// The result, as it is inside the level.
    pub inside: Value,
    /// The result as seen from outside.
    pub value: Value,
}

/// Runs `f` on the lifted `x` and closes the level.
pub fn record(vm: &mut Vm, x: &Value, f: impl FnOnce(&mut Vm, &Value) -> Result<Value>) -> Result<Recorded> {
    record_level(vm, x, Use::Again, f)
}

/// What a tape is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// One sweep, from 1.
    Once,
    /// The same; the value of the function, which is one of the program, is not asked for.
    Gradient,
    Again,
}

fn record_level(
    vm: &mut Vm,
    x: &Value,
    purpose: Use,
    f: impl FnOnce(&mut Vm, &Value) -> Result<Value>,
) -> Result<Recorded> {
    let depth = vm.cx.depth();
    let result = record_open(vm, x, purpose, f);
    if result.is_err() {
        vm.cx.close_to(depth);
    }
    result
}

fn record_open(
    vm: &mut Vm,
    x: &Value,
    purpose: Use,
    f: impl FnOnce(&mut Vm, &Value) -> Result<Value>,
) -> Result<Recorded> {
    let unread = (purpose == Use::Gradient).then_some(vm.calls());
    let level = vm.cx.open_reverse(purpose != Use::Again, unread)?;
    let lifted = vm.cx.lift_reverse(x, level)?;
    let inside = f(vm, &lifted)?;
    let value = vm.cx.strip(&inside, level)?;
    match vm.cx.close() {
        Some(LevelState { mode: Mode::Reverse(tape), .. }) => Ok(Recorded { tape, level, lifted, inside, value }),
        _ => Err(Error::new("E0400", "a reverse level was closed out of order")),
    }
}

impl Recorded {
    /// Cotangent of the argument from the cotangents of nodes.
    pub fn pull(&mut self, vm: &mut Vm, seeds: &[(Node, Value)], consume: bool) -> Result<Value> {
        let bars = sweep(vm, &mut self.tape, self.level, seeds, consume)?;
        self.gather(vm, &bars)
    }

    fn gather(&self, vm: &mut Vm, bars: &Bars) -> Result<Value> {
        lift::map_gradient(&self.lifted, &mut |leaf| {
            let slot = leaf.slot();
            if slot.is_const() || slot.level() != self.level {
                return Ok(Value::None);
            }
            match bars.get(&self.tape, slot.node()) {
                Some(bar) => Ok(bar),
                None => vm.cx.zeros_like(&leaf.with_slot(crate::ad::slot::Slot::CONST)),
            }
        })
    }

    /// Seeds from a cotangent with the structure of the result. `none` stands for zero.
    pub fn seeds(&self, dy: &Value) -> Result<Vec<(Node, Value)>> {
        let mut seeds = vec![];
        let fits = lift::zip_leaves(&self.inside, dy, &mut |y, bar| {
            if matches!(bar, Value::None) {
                return Ok(());
            }
            let mut bar = bar.clone();
            if let Value::Int(i) = bar {
                bar = Value::float(i as f64);
            }
            // Ints and bools stand for the floats that they are.
            if let (Value::Tensor(_, t), Some(dtype)) = (&bar, y.tensor_dtype())
                && !t.dtype().is_float()
            {
                bar = Value::tensor(t.cast(dtype)?);
            }
            if y.is_differentiable() && bar.shape() != y.shape() {
                return Err(unlike_cotangent(&with_article(&bar.type_name()), &with_article(&y.type_name())));
            }
            let slot = y.slot();
            if !slot.is_const() && slot.level() == self.level && bar.is_differentiable() {
                seeds.push((slot.node(), bar));
            }
            Ok(())
        })?;
        if fits || matches!(dy, Value::None) {
            return Ok(seeds);
        }
        let kind = |v: &Value| with_article(&v.type_name());
        Err(match (dy, &self.inside) {
            (Value::Tuple(a), Value::Tuple(b)) => {
                unlike_cotangent(&format!("a tuple of {}", a.len()), &format!("a tuple of {}", b.len()))
            }
            (dy, inside) => unlike_cotangent(&kind(dy), &kind(inside)),
        })
    }
}

/// The gradient of `f` with respect to its first argument, for a transform `name` that is made of it.
pub fn gradient_for(name: &'static str, f: &Value) -> Result<Value> {
    expect_function(name, f)?;
    let wrt = Wrt::parse(&Value::Int(0))?;
    Ok(Value::native(Gradient { name, f: f.clone(), wrt, value: false, aux: false }))
}

/// `grad(f)` or, with the `value`, `value_and_grad(f)`, with respect to an argument by its position.
pub fn gradient(f: Value, wrt: u8, value: bool) -> Value {
    let name = if value { "value_and_grad" } else { "grad" };
    Value::native(Gradient { name, f, wrt: Wrt::position(wrt), value, aux: false })
}

/// `grad(f)` and `value_and_grad(f)`.
struct Gradient {
    /// The transform that takes it, for messages.
    name: &'static str,
    f: Value,
    wrt: Wrt,
    value: bool,
    aux: bool,
}

impl NativeFn for Gradient {
    fn describe(&self) -> String {
        describe(if self.value { "value_and_grad" } else { "grad" }, &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let name = self.name;
        let x = self.wrt.read(&self.f, &args)?;
        expect_differentiable(name, &x)?;
        let of_program = matches!(self.f, Value::Fn(_));
        let purpose = if of_program && !self.value && !self.aux { Use::Gradient } else { Use::Once };
        let mut recorded = record_level(vm, &x, purpose, |vm, lifted| {
            let args = self.wrt.write(&self.f, &args, lifted)?;
            vm.call_args(&self.f, args)
        })?;
        let loss = if self.aux {
            match &recorded.inside {
                Value::Tuple(items) if items.len() == 2 => items[0].clone(),
                other => {
                    return Err(Error::new(
                        "E0436",
                        format!(
                            "with aux: true the function returns (loss, aux), and it returned {}",
                            other.type_name()
                        ),
                    ));
                }
            }
        } else {
            recorded.inside.clone()
        };
        if !loss.is_one_float() {
            return Err(not_one_float(name, &self.f, &loss));
        }
        let slot = loss.slot();
        let depends = !slot.is_const() && slot.level() == recorded.level;
        let seeds = if depends { vec![(slot.node(), Value::float(1.0))] } else { vec![] };
        let gradient = recorded.pull(vm, &seeds, true)?;
        vm.cx.recycle(recorded.tape);
        Ok(if self.value { Value::tuple(vec![recorded.value, gradient]) } else { gradient })
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn taken(&self) -> Option<Taken> {
        let wrt = self.wrt.as_position().filter(|_| !self.aux)?;
        Some(Taken::Gradient { wrt, value: self.value })
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        let f = values.into_iter().next()?;
        Some(Value::native(Gradient { f, wrt: self.wrt.clone(), ..*self }))
    }
}

/// What to do where a derivative is asked of a tensor.
pub fn reduce_help(transform: &str) -> &'static str {
    match transform.contains("grad") {
        true => "reduce the result with sum(...) or mean(...), or use jacobian",
        false => "reduce the result with sum(...) or mean(...), or use jacobian(jacobian(f))",
    }
}

fn not_one_float(transform: &str, f: &Value, result: &Value) -> Error {
    let called = if let Value::Native(n) = f { n.0.called_in_gradient() } else { "this function" };
    let error = Error::new(
        "E0436",
        format!("`{transform}` needs one float, but {called} returns {}", with_article(&result.type_name())),
    );
    match result {
        Value::Tensor(..) => error.help(reduce_help(transform)),
        Value::Int(_) => error.help("return a float: float(...), or write 1.0 for 1"),
        Value::Tuple(items) if items.len() == 2 => error.help("with `aux: true`, f may return (loss, more)"),
        Value::None => error.help("a function without a last expression gives none: let it end with the loss"),
        _ => error,
    }
}

/// `(f(x), pullback)`.
pub fn vjp(vm: &mut Vm, f: &Value, x: &Value) -> Result<Value> {
    expect_differentiable("vjp", x)?;
    let recorded = record(vm, x, |vm, lifted| vm.call(f, std::slice::from_ref(lifted)))?;
    Ok(with_pullback(vm, recorded))
}

fn vjp_many(vm: &mut Vm, f: &Value, xs: &Value) -> Result<Value> {
    expect_differentiable("vjp", xs)?;
    // A function of one argument takes the tuple as it is.
    let whole = parameter_names(f).is_some_and(|names| names.len() == 1);
    let recorded = record(vm, xs, |vm, lifted| match lifted {
        Value::Tuple(items) if !whole => vm.call(f, items),
        other => vm.call(f, std::slice::from_ref(other)),
    })?;
    Ok(with_pullback(vm, recorded))
}

/// The value and the function that pulls cotangents back.
pub fn with_pullback(vm: &mut Vm, recorded: Recorded) -> Value {
    let value = recorded.value.clone();
    let mut serials = vm.cx.serials();
    serials.truncate(recorded.tape.lower_level().0 as usize);
    Value::tuple(vec![value, Value::native(Pullback { recorded: RefCell::new(recorded), serials })])
}

struct Pullback {
    recorded: RefCell<Recorded>,
    /// Levels that were open around the recording: values on the tape belong to them.
    serials: Vec<u64>,
}

impl NativeFn for Pullback {
    fn describe(&self) -> String {
        "pullback".into()
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let [dy] = &args.positional[..] else {
            return Err(Error::new("E0320", "a pullback takes one argument: the cotangent of the result"));
        };
        if !vm.cx.serials().starts_with(&self.serials) {
            return Err(crate::ad::dispatch::escaped());
        }
        let Ok(mut recorded) = self.recorded.try_borrow_mut() else {
            return Err(Error::new("E0434", "a pullback cannot be called while it is running"));
        };
        let seeds = recorded.seeds(dy)?;
        recorded.pull(vm, &seeds, false)
    }
}
