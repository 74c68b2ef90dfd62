//! custom_vjp, custom_jvp, stop_grad: functions with derivatives of the program's own.
//!
//! Either rule serves both modes. A pullback is linear in its cotangent and a forward rule in its tangent, so each is
//! run backwards for the other mode by differentiating it in that argument. Under several levels the value is computed
//! by the function with its rule again, one level down, so that the rule is what counts at every level; the rule's own
//! code is differentiated for the derivative of the derivative.

use crate::ad::reverse::{cotangent_list, misfit};
use crate::ad::slot::Level;
use crate::ad::slot::Slot;
use crate::ad::transforms::custom_batch;
use crate::ad::transforms::group::{Innermost, batched, innermost, primals, record_group, recorded, wholes};
use crate::ad::transforms::reverse_mode::record;
use crate::ad::transforms::target::parameter_names;
use crate::ad::transforms::{describe, expect_function};
use crate::ad::{held, lift};
use crate::builtins::Builtin;
use crate::env::Rng;
use crate::error::{Error, Result};
use crate::ops::prim::{Sig, req};
use crate::value::{Args, NativeFn, Value};
use crate::vm::{Vm, bind};

pub static STOP_GRAD: Builtin = Builtin {
    name: "stop_grad",
    doc: "The same value as a constant: no derivative flows through it, at any level. \
          Example: grad(|x| x * stop_grad(x))(2.0) is 2.0",
    sig: Sig { params: &[req("x")] },
    infer: |args| Ok(args.first().cloned().unwrap_or_default()),
    run: |_, args| lift::map_leaves(&args[0], &mut |leaf| Ok(leaf.with_slot(Slot::CONST))),
};

pub static CUSTOM_VJP: Builtin = Builtin {
    name: "custom_vjp",
    doc: "f with its own reverse rule: rule(x...) returns (y, |dy| (dx...)), with a bare dx for one argument and none for \
          an argument without derivative. Forward mode runs the pullback backwards (its slope at zero, if it is not \
          linear). Example: custom_vjp(|x| round(x), |x| (round(x), |dy| dy))",
    sig: Sig { params: &[req("f"), req("rule")] },
    infer: |args| Ok(args.first().cloned().unwrap_or_default()),
    run: |_, args| {
        expect_function("custom_vjp", &args[0])?;
        expect_function("custom_vjp", &args[1])?;
        Ok(Value::native(Custom { kind: Kind::Vjp, f: args[0].clone(), rule: args[1].clone() }))
    },
};

pub static CUSTOM_JVP: Builtin = Builtin {
    name: "custom_jvp",
    doc: "f with its own forward rule: rule(x, dx) returns (y, dy), linear in dx; with several arguments rule(x1, x2, \
          dx1, dx2), where the tangent of an argument without derivative is none. Reverse mode runs the rule backwards. \
          Example: custom_jvp(|x| abs(x), |x, dx| (abs(x), tanh(9.0 * x) * dx))",
    sig: Sig { params: &[req("f"), req("rule")] },
    infer: |args| Ok(args.first().cloned().unwrap_or_default()),
    run: |_, args| {
        expect_function("custom_jvp", &args[0])?;
        expect_function("custom_jvp", &args[1])?;
        Ok(Value::native(Custom { kind: Kind::Jvp, f: args[0].clone(), rule: args[1].clone() }))
    },
};

/// Which of the two rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Vjp,
    Jvp,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Vjp => "custom_vjp",
            Kind::Jvp => "custom_jvp",
        }
    }

    /// The two parts of what a rule returned.
    pub fn pair(self, value: &Value) -> Result<(Value, Value)> {
        match value {
            Value::Tuple(items) if items.len() == 2 && holds_function(&items[0]) => {
                Err(Error::new("E0433", format!("the result of {} holds a function", self.name()))
                    .help("return numbers, tensors and structures of them"))
            }
            Value::Tuple(items) if items.len() == 2 => Ok((items[0].clone(), items[1].clone())),
            other => Err(unlike_rule(self, &other.type_name())),
        }
    }
}

/// The error for what a rule returned that is no pair.
pub fn unlike_rule(kind: Kind, returned: &str) -> Error {
    Error::new("E0433", format!("the rule of {} returned {returned}", kind.name())).help(match kind {
        Kind::Vjp => "it returns (y, pullback): |x| (f(x), |dy| dy * slope(x))",
        Kind::Jvp => "it returns (y, dy): |x, dx| (f(x), slope(x) * dx)",
    })
}

/// A function with a rule.
pub struct Custom {
    pub kind: Kind,
    pub f: Value,
    pub rule: Value,
}

impl NativeFn for Custom {
    fn describe(&self) -> String {
        describe(self.kind.name(), &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let args = by_position(self.kind.name(), &self.f, args)?;
        self.run(vm, args)
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn called_in_gradient(&self) -> &'static str {
        if self.kind == Kind::Vjp { "the rule of custom_vjp" } else { "this function" }
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone(), self.rule.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        let [f, rule] = <[Value; 2]>::try_from(values).ok()?;
        Some(Value::native(Custom { kind: self.kind, f, rule }))
    }
}

impl Custom {
    fn run(&self, vm: &mut Vm, args: Vec<Value>) -> Result<Value> {
        let mode = innermost(&vm.cx, &args)?;
        self.refuse_captured(&args)?;
        match mode {
            Innermost::Nothing => vm.call(&self.f, &args),
            Innermost::Reverse(level) => {
                let below = primals(&vm.cx, &args, level)?;
                let rng = vm.cx.env.rng.clone();
                let (y, pullback) = match self.kind {
                    Kind::Vjp => {
                        let (y, pullback) = self.kind.pair(&vm.call(&self.rule, &below)?)?;
                        (self.value(vm, below, y, rng)?, pullback)
                    }
                    Kind::Jvp => {
                        let pullback = Value::native(Transposed { rule: self.rule.clone(), xs: below.clone(), rng });
                        (self.run(vm, below)?, pullback)
                    }
                };
                record_group(&mut vm.cx, level, args, &y, pullback)
            }
            // Only batched: no rule is asked for.
            Innermost::Batch(..) if args.iter().all(|a| held::level(a).0 == 0) => vm.call(&self.f, &args),
            Innermost::Batch(level, n) => {
                if [&self.f, &self.rule].into_iter().any(|f| lift::mentions(f, level)) {
                    return Err(vm.cx.each_alone());
                }
                let (args, along) = wholes(&mut vm.cx, &args, level, n)?;
                let out = custom_batch::over_batch(self, along, n).run(vm, args)?;
                batched(&mut vm.cx, &out, level)?.ok_or_else(|| vm.cx.each_alone())
            }
            Innermost::Forward(level) => {
                let below = primals(&vm.cx, &args, level)?;
                let mut tangents = vec![];
                for arg in &args {
                    tangents.push(vm.cx.read_tangents(arg, level)?);
                }
                let rng = vm.cx.env.rng.clone();
                let (y, dy) = match self.kind {
                    Kind::Vjp => {
                        let (y, pullback) = self.kind.pair(&vm.call(&self.rule, &below)?)?;
                        let dy = transpose(vm, &pullback, &y, &args, &tangents)?;
                        (y, dy)
                    }
                    Kind::Jvp => self.kind.pair(&vm.call(&self.rule, &[below.clone(), tangents].concat())?)?,
                };
                let y = self.value(vm, below, y, rng)?;
                let lifted = vm.cx.lift_forward(&y, &dy, level)?;
                lifted.ok_or_else(|| {
                    let (dy, y) = (dy.type_name(), y.type_name());
                    Error::new("E0433", format!("the rule of {} gave the tangent {dy} for {y}", self.kind.name()))
                        .help("a tangent has the structure and shape of the value")
                })
            }
        }
    }

    /// The value at arguments of which a rule gave `y`: if something is recorded of them, by the rule there too, with
    /// the same random numbers.
    fn value(&self, vm: &mut Vm, below: Vec<Value>, y: Value, rng: Rng) -> Result<Value> {
        if !recorded(&below) {
            return Ok(y);
        }
        let after = std::mem::replace(&mut vm.cx.env.rng, rng);
        let y = self.run(vm, below);
        vm.cx.env.rng = after;
        y
    }

    /// The rule has no say in what the functions captured.
    fn refuse_captured(&self, args: &[Value]) -> Result<()> {
        let level = args.iter().map(held::level).max().unwrap_or_default();
        let captured = [&self.f, &self.rule].into_iter().chain(args).map(captured_level).max().unwrap_or_default();
        if captured.0 == 0 || captured < level {
            return Ok(());
        }
        let name = self.kind.name();
        Err(Error::new("E0446", format!("`{name}` captured a value that is being differentiated"))
            .note("its rule says how it depends on its arguments only")
            .help("pass that value as an argument, or capture stop_grad(value)"))
    }
}

/// The highest level of what functions in a value captured.
fn captured_level(value: &Value) -> Level {
    match value {
        Value::Fn(_) | Value::Native(_) => held::level(value),
        _ => lift::children(value).into_iter().flatten().map(captured_level).max().unwrap_or_default(),
    }
}

/// True if a function in it may have captured something.
fn holds_function(value: &Value) -> bool {
    match value {
        Value::Fn(closure) => !closure.captures.is_empty(),
        Value::Native(_) => true,
        _ => lift::children(value).into_iter().flatten().any(holds_function),
    }
}

/// Named arguments in their places: a rule takes arguments by position.
fn by_position(transform: &str, f: &Value, args: Args) -> Result<Vec<Value>> {
    if args.named.is_empty() {
        return Ok(args.positional);
    }
    let shown = describe(transform, f);
    let Some(names) = parameter_names(f) else {
        return Err(Error::new("E0320", format!("`{shown}` takes its arguments by position")));
    };
    let mut places: Vec<Option<Value>> = args.positional.into_iter().map(Some).collect();
    let given = places.len();
    places.resize(names.len().max(given), None);
    for (name, value) in args.named {
        let Some(i) = names.iter().position(|n| *n == name) else {
            let known: Vec<String> = names.iter().map(|n| n.to_string()).collect();
            return Err(bind::unknown_name(&shown, name, known.iter().map(String::as_str)));
        };
        if places[i].replace(value).is_some() {
            return Err(bind::twice(&shown, name));
        }
    }
    while places.last().is_some_and(Option::is_none) {
        places.pop();
    }
    let mut all = Vec::with_capacity(places.len());
    for (i, place) in places.into_iter().enumerate() {
        let name = || names.get(i).map(ToString::to_string).unwrap_or_default();
        all.push(place.ok_or_else(|| bind::missing(&shown, &name()))?);
    }
    Ok(all)
}

/// The tangent of `y` along `tangents`: the pullback, run backwards. Its slope at the cotangent zero, where it is
/// defined by its linearity.
fn transpose(vm: &mut Vm, pullback: &Value, y: &Value, args: &[Value], tangents: &[Value]) -> Result<Value> {
    let zero = lift::map_gradient(y, &mut |leaf| vm.cx.zeros_like(leaf))?;
    let mut recorded = record(vm, &zero, |vm, dy| vm.call(pullback, std::slice::from_ref(dy)))?;
    let cotangents = cotangent_list(&recorded.inside, args)?;
    let mut seeds = vec![];
    for ((arg, cotangent), tangent) in args.iter().zip(&cotangents).zip(tangents) {
        if matches!(cotangent, Value::None) {
            continue;
        }
        let fits = lift::zip_leaves(cotangent, tangent, &mut |c, t| {
            if c.slot().level() != recorded.level || matches!(t, Value::None) {
                return Ok(());
            }
            if c.shape() != t.shape() {
                return Err(misfit(t, c));
            }
            let mut seed = t.clone();
            if let Some(dtype) = c.tensor_dtype() {
                seed = vm.cx.cast(&seed, dtype)?;
            }
            seeds.push((c.slot().node(), seed));
            Ok(())
        })?;
        if !fits {
            return Err(misfit(arg, cotangent));
        }
    }
    let tangent = recorded.pull(vm, &seeds, true)?;
    vm.cx.recycle(recorded.tape);
    Ok(tangent)
}

/// A forward rule is linear in its tangents; its transpose is its pullback.
struct Transposed {
    rule: Value,
    xs: Vec<Value>,
    /// The random state of the call.
    rng: Rng,
}

impl NativeFn for Transposed {
    fn describe(&self) -> String {
        describe("pullback of custom_jvp", &self.rule)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let mut zeros = vec![];
        for x in &self.xs {
            zeros.push(lift::map_gradient(x, &mut |leaf| vm.cx.zeros_like(leaf))?);
        }
        let now = std::mem::replace(&mut vm.cx.env.rng, self.rng.clone());
        let recorded = record(vm, &Value::tuple(zeros), |vm, tangents| {
            let tangents = lift::children(tangents).unwrap_or_default();
            let inputs: Vec<Value> = self.xs.iter().chain(tangents).cloned().collect();
            Ok(Kind::Jvp.pair(&vm.call(&self.rule, &inputs)?)?.1)
        });
        vm.cx.env.rng = now;
        let mut recorded = recorded?;
        let seeds = recorded.seeds(args.positional.first().unwrap_or(&Value::None))?;
        let cotangents = recorded.pull(vm, &seeds, true)?;
        vm.cx.recycle(recorded.tape);
        Ok(match &cotangents {
            Value::Tuple(items) if items.len() == 1 => items[0].clone(),
            _ => cotangents,
        })
    }

    fn captured(&self) -> Vec<Value> {
        self.xs.clone()
    }
}
