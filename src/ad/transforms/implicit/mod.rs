//! root and fixed_point: values defined by an equation, differentiated by the implicit function theorem.
//!
//! The equation `r(x, t) = 0` is solved on plain numbers (`solve`), with everything stripped of derivatives. Where something
//! that the function holds (`t`, what it captured) is being differentiated, the solution is corrected by
//!
//! ```text
//! x <- x - A (r(x, t)),    A the inverse of dr/dx at the solution, a constant
//! ```
//!
//! with `r` evaluated as usual, so that it is recorded. The correction is zero in value, and its derivative is that of the
//! theorem, `-A dr/dt`. Each further correction makes the derivatives right to one order more (a simplified Newton step
//! reduces an error of order `h^k` to `h^(k+1)`), so there are as many as derivatives are being taken. None of the
//! iterations is recorded.

mod linear;
mod solve;

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::ad::batch::is_batched;
use crate::ad::transforms::expect_function;
use crate::ad::transforms::implicit::linear::{Linear, apply_inverse};
use crate::ad::transforms::implicit::solve::Settings;
use crate::ad::transforms::target::expect_differentiable;
use crate::ad::{Cx, held, lift};
use crate::builtins::Builtin;
use crate::error::{Error, Result};
use crate::ops::elementwise::SUB;
use crate::ops::prim::{Default, Sig, opt, req};
use crate::tensor::DType;
use crate::value::Value;
use crate::vm::Vm;

pub static ROOT: Builtin = Builtin {
    name: "root",
    doc: "x with f(x) = 0 near x0, by Newton's method with the derivatives of f; x is a float, a tensor or a structure, and \
          f gives as many floats. Differentiable in what f captured, by the implicit function theorem. tol bounds the \
          last step relative to x (1e-12 in f64, 1e-6 in f32). \
          Example: grad(|a| root(|x| x^2 - a, 1.0))(4.0) is 0.25",
    sig: Sig { params: &[req("f"), req("x0"), opt("tol", Default::None), opt("max_steps", Default::Int(100))] },
    infer: |args| Ok(args.get(1).cloned().unwrap_or_default()),
    run: |vm, args| implicit(vm, Equation::Root, args),
};

pub static FIXED_POINT: Builtin = Builtin {
    name: "fixed_point",
    doc: "x with x = f(x), by iterating from x0 (with Anderson acceleration). Differentiable in what f captured, by the \
          implicit function theorem: memory does not grow with the steps. tol bounds f(x) - x relative to x (1e-10 in \
          f64, 1e-6 in f32). Example: grad(|a| fixed_point(|x| 0.5 * (x + a / x), 1.0))(4.0) is 0.25",
    sig: Sig { params: &[req("f"), req("x0"), opt("tol", Default::None), opt("max_steps", Default::Int(1000))] },
    infer: |args| Ok(args.get(1).cloned().unwrap_or_default()),
    run: |vm, args| implicit(vm, Equation::FixedPoint, args),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Equation {
    Root,
    FixedPoint,
}

impl Equation {
    fn name(self) -> &'static str {
        match self {
            Equation::Root => "root",
            Equation::FixedPoint => "fixed_point",
        }
    }
}

/// The equation of a function: what must be zero, as a function of the leaves of the unknown.
struct Residual {
    equation: Equation,
    f: Value,
    /// The unknown's structure.
    form: Value,
}

impl Residual {
    /// The leaves of the residual at the leaves `x`.
    fn at(&self, vm: &mut Vm, x: &[Value]) -> Result<Vec<Value>> {
        let point = with_unknowns(&self.form, &mut x.iter());
        let y = unknowns(&vm.call(&self.f, std::slice::from_ref(&point))?);
        let name = self.equation.name();
        let fits = match self.equation {
            Equation::Root => floats(&y) == floats(x),
            Equation::FixedPoint => y.len() == x.len() && y.iter().zip(x).all(|(a, b)| a.shape() == b.shape()),
        };
        if !fits {
            let (have, want) = (floats(&y), floats(x));
            let error = if self.equation == Equation::Root {
                Error::new("E0439", format!("`{name}` looks for {want} floats, and its function gives {have}"))
                    .help("as many equations as unknowns")
            } else {
                Error::new("E0439", format!("the function of `{name}` gives what x is not: {have} floats for {want}"))
                    .help("it maps x to the next x, of the same structure and shape")
            };
            return Err(error);
        }
        if self.equation == Equation::Root {
            return Ok(y);
        }
        let mut r = Vec::with_capacity(y.len());
        for (x, y) in x.iter().zip(&y) {
            let y = match x.tensor_dtype() {
                Some(dtype) => vm.cx.cast(y, dtype)?,
                None => y.clone(),
            };
            r.push(vm.cx.apply(&SUB, &[x.clone(), y])?);
        }
        Ok(r)
    }
}

fn implicit(vm: &mut Vm, equation: Equation, args: &mut [Value]) -> Result<Value> {
    let name = equation.name();
    let [f, x0, tol, max_steps] = args else {
        return Err(Error::new("E0320", format!("`{name}` takes a function and a starting point")));
    };
    expect_function(name, f)?;
    expect_differentiable(name, x0)?;
    let mut batched = is_batched(x0);
    let walked = held::map_held(f, &mut |leaf| {
        batched |= is_batched(leaf);
        Ok(constant(leaf))
    })?;
    if batched {
        // Every example takes its own number of steps.
        return Err(vm.cx.each_alone());
    }
    let form = lift::map_leaves(x0, &mut |leaf| Ok(constant(leaf)))?;
    let start = unknowns(&form);
    let single = start.iter().any(|x| x.tensor_dtype() == Some(DType::F32));
    let tol = match tol {
        Value::None if single => 1e-6,
        Value::None if equation == Equation::Root => 1e-12,
        Value::None => 1e-10,
        Value::Float(_, t) if *t > 0.0 => *t,
        other => {
            return Err(Error::new("E0438", format!("tol of `{name}` is {}", crate::show::brief(other)))
                .help("a float above 0, such as tol: 1e-8"));
        }
    };
    let max_steps = match max_steps {
        Value::Int(n) if *n > 0 => *n as usize,
        other => {
            return Err(Error::new("E0438", format!("max_steps of `{name}` is {}", crate::show::brief(other)))
                .help("an int above 0, such as max_steps: 500"));
        }
    };
    let plain = Rc::new(Residual { equation, f: walked.clone().unwrap_or_else(|| f.clone()), form: form.clone() });
    let settings = Settings { tol, max_steps, single };
    let solution = match equation {
        Equation::Root => solve::newton(vm, &plain, &start, &settings)?,
        Equation::FixedPoint => solve::anderson(vm, &plain, &start, &settings)?,
    };
    let corrections = match walked {
        Some(_) => derivatives(&vm.cx, f),
        // It holds a pullback, which may be of any of them.
        None => vm.cx.depth(),
    };
    if corrections == 0 {
        return Ok(with_unknowns(&form, &mut solution.iter()));
    }
    let inverse = Rc::new(Linear::at(vm, plain, &solution, single)?);
    let recorded = Residual { equation, f: f.clone(), form: form.clone() };
    let mut x = solution;
    for _ in 0..corrections {
        let r = recorded.at(vm, &x)?;
        let step = apply_inverse(vm, &inverse, r, false)?;
        for (x, step) in x.iter_mut().zip(&step) {
            *x = vm.cx.apply(&SUB, &[x.clone(), step.clone()])?;
        }
    }
    Ok(with_unknowns(&form, &mut x.iter()))
}

/// The number without any derivative.
fn constant(leaf: &Value) -> Value {
    leaf.with_slot(crate::ad::slot::Slot::CONST)
}

/// How many derivatives are being taken of what a function holds.
fn derivatives(cx: &Cx, f: &Value) -> usize {
    let mut levels = BTreeSet::new();
    for leaf in held::leaves(std::slice::from_ref(f)).unwrap_or_default() {
        let mut slot = leaf.slot();
        while !slot.is_const() {
            levels.insert(slot.level());
            slot = cx.primal_slot(slot);
        }
    }
    levels.len()
}

/// The float leaves of a value, as its gradient has them.
fn unknowns(value: &Value) -> Vec<Value> {
    match value {
        Value::Struct(s) => {
            s.fields.iter().zip(&s.def.fields).filter(|(_, d)| !d.nograd).flat_map(|(v, _)| unknowns(v)).collect()
        }
        leaf if leaf.is_differentiable() => vec![leaf.clone()],
        other => lift::children(other).into_iter().flatten().flat_map(unknowns).collect(),
    }
}

/// The value with other leaves.
fn with_unknowns(form: &Value, leaves: &mut dyn Iterator<Item = &Value>) -> Value {
    match form {
        Value::Struct(s) => {
            let fields = s.fields.iter().zip(&s.def.fields);
            let fields = fields.map(|(v, d)| if d.nograd { v.clone() } else { with_unknowns(v, leaves) }).collect();
            lift::rebuild(form, fields)
        }
        leaf if leaf.is_differentiable() => leaves.next().unwrap_or(leaf).clone(),
        other => match lift::children(other) {
            Some(parts) => lift::rebuild(other, parts.into_iter().map(|v| with_unknowns(v, leaves)).collect()),
            None => other.clone(),
        },
    }
}

/// How many floats some leaves hold.
fn floats(leaves: &[Value]) -> usize {
    leaves.iter().map(|v| crate::tensor::count(v.shape().unwrap_or(&[]))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad::transforms::reverse_mode::record;
    use crate::ops::math::COS;
    use crate::value::{Args, NativeFn};

    /// `x` to `a cos(x)`.
    struct Scaled(Value);

    impl NativeFn for Scaled {
        fn describe(&self) -> String {
            "scaled".into()
        }

        fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
            let cosine = vm.cx.apply(&COS, &args.positional)?;
            vm.cx.mul(&self.0, &cosine)
        }

        fn captured(&self) -> Vec<Value> {
            vec![self.0.clone()]
        }

        fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
            Some(Value::native(Scaled(values.into_iter().next()?)))
        }
    }

    #[test]
    fn the_steps_are_not_on_the_tape() {
        let mut lengths = vec![];
        for tol in [1e-2, 1e-13] {
            let mut vm = Vm::default();
            let recorded = record(&mut vm, &Value::float(0.9), |vm, a| {
                let f = Value::native(Scaled(a.clone()));
                implicit(vm, Equation::FixedPoint, &mut [f, Value::float(0.0), Value::float(tol), Value::Int(500)])
            });
            let mut recorded = recorded.unwrap();
            lengths.push(recorded.tape.entries.len());
            let (Value::Float(_, x), seeds) = (&recorded.value.clone(), recorded.seeds(&Value::float(1.0)).unwrap())
            else {
                panic!()
            };
            let Value::Float(_, slope) = recorded.pull(&mut vm, &seeds, true).unwrap() else { panic!() };
            // As exact as the solution is.
            assert!((slope - x.cos() / (1.0 + 0.9 * x.sin())).abs() < 2.0 * tol.max(1e-10), "{slope}");
        }
        assert!(lengths[0] == lengths[1] && lengths[0] < 12, "{lengths:?}");
    }
}
