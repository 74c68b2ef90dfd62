//! jvp, derivative, hvp.

use crate::ad::transforms::reverse_mode::gradient_for;
use crate::ad::transforms::target::expect_differentiable;
use crate::ad::transforms::{Taken, describe, expect_function};
use crate::builtins::Builtin;
use crate::error::{Error, Result};
use crate::ops::prim::{Sig, req};
use crate::types::ty::Ty;
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

pub static JVP: Builtin = Builtin {
    name: "jvp",
    doc: "(f(x), directional derivative of f at x along dx) in forward mode; dx has the structure of x. \
          Example: jvp(|x| x^2, 3.0, 1.0) is (9.0, 6.0)",
    sig: Sig { params: &[req("f"), req("x"), req("dx")] },
    infer: |_| Ok(Ty::Any),
    run: |vm, args| {
        expect_function("jvp", &args[0])?;
        let (f, x, dx) = (args[0].clone(), args[1].clone(), args[2].clone());
        expect_differentiable("jvp", &x)?;
        let (y, dy) = jvp(vm, &x, &dx, |vm, x| vm.call(&f, std::slice::from_ref(x)))?;
        Ok(Value::tuple(vec![y, dy]))
    },
};

pub static DERIVATIVE: Builtin = Builtin {
    name: "derivative",
    doc: "The derivative of a function of one float (its result may be anything), in forward mode, as a function. \
          Example: derivative(|t| [t, t^2])(3.0) is [1.0, 6.0]",
    sig: Sig { params: &[req("f")] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        expect_function("derivative", &args[0])?;
        Ok(derivative(args[0].clone()))
    },
};

pub static HVP: Builtin = Builtin {
    name: "hvp",
    doc: "The product of the Hessian of f at x with v, which has the structure of x: forward over reverse, a few times \
          the cost of f. Example: hvp(|x| sum(x^3), [1.0, 2.0], [1.0, 0.0]) is [6.0, 0.0]",
    sig: Sig { params: &[req("f"), req("x"), req("v")] },
    infer: |_| Ok(Ty::Any),
    run: |vm, args| {
        expect_function("hvp", &args[0])?;
        let (f, x, v) = (args[0].clone(), args[1].clone(), args[2].clone());
        expect_differentiable("hvp", &x)?;
        let gradient = gradient_for("hvp", &f)?;
        let (_, product) = jvp(vm, &x, &v, |vm, x| vm.call(&gradient, std::slice::from_ref(x)))?;
        Ok(product)
    },
};

/// Value and tangent of `f` at `x` along `dx`.
pub fn jvp(
    vm: &mut Vm,
    x: &Value,
    dx: &Value,
    f: impl FnOnce(&mut Vm, &Value) -> Result<Value>,
) -> Result<(Value, Value)> {
    let depth = vm.cx.depth();
    let result = jvp_open(vm, x, dx, f);
    vm.cx.close_to(depth);
    result
}

fn jvp_open(
    vm: &mut Vm,
    x: &Value,
    dx: &Value,
    f: impl FnOnce(&mut Vm, &Value) -> Result<Value>,
) -> Result<(Value, Value)> {
    let level = vm.cx.open_forward()?;
    let Some(lifted) = vm.cx.lift_forward(x, dx, level)? else {
        let kind = |v: &Value| crate::builtins::fail::with_article(&v.type_name());
        return Err(super::unlike_tangent(&kind(dx), &kind(x)));
    };
    let inside = f(vm, &lifted)?;
    let tangent = vm.cx.read_tangents(&inside, level)?;
    let value = vm.cx.strip(&inside, level)?;
    Ok((value, tangent))
}

/// `derivative(f)`.
pub fn derivative(f: Value) -> Value {
    Value::native(Derivative { f })
}

struct Derivative {
    f: Value,
}

impl NativeFn for Derivative {
    fn describe(&self) -> String {
        describe("derivative", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let Some(x) = args.positional.first().cloned() else {
            return Err(Error::new("E0320", "a derivative takes the point as its first argument"));
        };
        expect_differentiable("derivative", &x)?;
        // Under vmap, one float in each example.
        if x.shape() != Some(&[]) {
            return Err(Error::new(
                "E0435",
                format!("`derivative` is for a function of one float, and this is {}", x.type_name()),
            )
            .help("use grad(f) for a float result, jacobian(f) for any"));
        }
        let (_, tangent) = jvp(vm, &x, &Value::float(1.0), |vm, x| {
            let mut args = args.clone();
            args.positional[0] = x.clone();
            vm.call_args(&self.f, args)
        })?;
        Ok(tangent)
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn taken(&self) -> Option<Taken> {
        Some(Taken::Derivative)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        let f = values.into_iter().next()?;
        Some(Value::native(Derivative { f }))
    }
}
