//! jacobian and hessian: dense, the axes of the output first.

use std::rc::Rc;

use crate::ad::lift;
use crate::ad::slot::{Node, Slot};
use crate::ad::transforms::forward_mode::jvp;
use crate::ad::transforms::reverse_mode::{GRAD, Recorded, record};
use crate::ad::transforms::target::expect_differentiable;
use crate::ad::transforms::{describe, expect_function};
use crate::builtins::Builtin;
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::ops::reshape::{PERMUTE, STACK};
use crate::tensor::{DType, Tensor};
use crate::types::ty::Ty;
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

pub static JACOBIAN: Builtin = Builtin {
    name: "jacobian",
    doc: "The Jacobian of f with respect to its first argument, as a function: shape of the result, then shape of the \
          argument; for structures, such a block for each leaf. mode: \"auto\", \"forward\" or \"reverse\". \
          Example: jacobian(|x| x^2)([1.0, 2.0]) is [[2.0, 0.0], [0.0, 4.0]]",
    sig: Sig { params: &[req("f"), opt("mode", Default::Str("auto"))] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        expect_function("jacobian", &args[0])?;
        let mode = match &args[1] {
            Value::Str(s) if s.as_str() == "auto" => Direction::Auto,
            Value::Str(s) if s.as_str() == "forward" => Direction::Forward,
            Value::Str(s) if s.as_str() == "reverse" => Direction::Reverse,
            other => {
                return Err(Error::new("E0438", format!("jacobian has no mode {}", crate::show::repr(other)))
                    .help("mode is \"auto\", \"forward\" or \"reverse\""));
            }
        };
        Ok(Value::native(Jacobian { f: args[0].clone(), mode, name: "jacobian" }))
    },
};

pub static HESSIAN: Builtin = Builtin {
    name: "hessian",
    doc: "The matrix of second derivatives of a function that returns one float, as a function: the argument's shape \
          twice; forward over reverse. Example: hessian(|x| sum(x^3))([1.0, 2.0]) is [[6.0, 0.0], [0.0, 12.0]]",
    sig: Sig { params: &[req("f")] },
    infer: |_| Ok(Ty::Any),
    run: |vm, args| {
        expect_function("hessian", &args[0])?;
        let gradient = (GRAD.run)(vm, &mut [args[0].clone(), Value::Int(0)])?;
        Ok(Value::native(Jacobian { f: gradient, mode: Direction::Forward, name: "hessian" }))
    },
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Auto,
    Forward,
    Reverse,
}

struct Jacobian {
    f: Value,
    mode: Direction,
    name: &'static str,
}

impl NativeFn for Jacobian {
    fn describe(&self) -> String {
        match (self.name, &self.f) {
            ("hessian", Value::Native(gradient)) => gradient.0.describe().replacen("grad", "hessian", 1),
            _ => describe(self.name, &self.f),
        }
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let Some(x) = args.positional.first().cloned() else {
            return Err(Error::new("E0320", format!("a {} takes the point as its first argument", self.name)));
        };
        expect_differentiable(self.name, &x)?;
        let run = |vm: &mut Vm, x: &Value| {
            let mut args = args.clone();
            args.positional[0] = x.clone();
            vm.call_args(&self.f, args)
        };
        let inputs = x.shape().map(|s| s.iter().product::<usize>());
        if let (Direction::Forward, Some(_)) = (self.mode, inputs) {
            return forward(vm, &x, &run);
        }
        let recorded = record(vm, &x, run)?;
        let outputs = recorded.value.shape().map(|s| s.iter().product::<usize>());
        match (self.mode, inputs, outputs) {
            (Direction::Auto, Some(n), Some(m)) if n < m => forward(vm, &x, &run),
            _ => reverse(vm, recorded),
        }
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        let f = values.into_iter().next()?;
        Some(Value::native(Jacobian { f, mode: self.mode, name: self.name }))
    }
}

/// One tangent for each entry of `x`, a scalar or tensor.
fn forward(vm: &mut Vm, x: &Value, run: &dyn Fn(&mut Vm, &Value) -> Result<Value>) -> Result<Value> {
    let shape = x.shape().unwrap_or(&[]).to_vec();
    if shape.is_empty() {
        return Ok(jvp(vm, x, &Value::float(1.0), |vm, x| run(vm, x))?.1);
    }
    let n: usize = shape.iter().product();
    let mut columns = Vec::with_capacity(n);
    for i in 0..n {
        let tangent = basis(x, &shape, i)?;
        columns.push(jvp(vm, x, &tangent, |vm, x| run(vm, x))?.1);
    }
    let Some(first) = columns.first().cloned() else {
        // No inputs: run once for the result's shape.
        let value = run(vm, x)?;
        return lift::map_gradient(&value, &mut |leaf| Ok(empty_block(leaf, &shape)));
    };
    combine(&first, &columns, &mut |leaf, parts| {
        let out = leaf.shape().unwrap_or(&[]).to_vec();
        let stacked = stack(vm, parts)?;
        // [n, out...] to [out..., n] to [out..., in...].
        let mut axes: Vec<i64> = (1..=out.len() as i64).collect();
        axes.push(0);
        let order = Value::tuple(axes.into_iter().map(Value::Int).collect());
        let moved = if out.is_empty() { stacked } else { vm.cx.apply(&PERMUTE, &[stacked, order])? };
        let full: Vec<usize> = out.iter().chain(&shape).copied().collect();
        vm.cx.reshape(&moved, &full)
    })
}

/// One cotangent for each entry of the result.
fn reverse(vm: &mut Vm, mut recorded: Recorded) -> Result<Value> {
    let inside = recorded.inside.clone();
    lift::map_gradient(&inside, &mut |leaf| {
        if !leaf.is_differentiable() {
            return Ok(Value::None);
        }
        let out = leaf.shape().unwrap_or(&[]).to_vec();
        let slot = leaf.slot();
        let depends = !slot.is_const() && slot.level() == recorded.level;
        let pull = |vm: &mut Vm, recorded: &mut Recorded, bar: Value| {
            let seeds: Vec<(Node, Value)> = if depends { vec![(slot.node(), bar)] } else { vec![] };
            recorded.pull(vm, &seeds, false)
        };
        if out.is_empty() {
            return pull(vm, &mut recorded, Value::float(1.0));
        }
        let n: usize = out.iter().product();
        let mut rows = Vec::with_capacity(n);
        for i in 0..n {
            let bar = basis(&leaf.with_slot(Slot::CONST), &out, i)?;
            rows.push(pull(vm, &mut recorded, bar)?);
        }
        let Some(first) = rows.first().cloned() else {
            return lift::map_gradient(&recorded.lifted, &mut |x| {
                let mut shape = out.clone();
                shape.extend(x.shape().unwrap_or(&[]));
                Ok(if x.is_differentiable() { empty_block(x, &shape) } else { Value::None })
            });
        };
        combine(&first, &rows, &mut |part, parts| {
            let stacked = stack(vm, parts)?;
            let full: Vec<usize> = out.iter().chain(part.shape().unwrap_or(&[])).copied().collect();
            vm.cx.reshape(&stacked, &full)
        })
    })
}

/// Values of one structure, joined leaf by leaf.
pub fn combine(first: &Value, all: &[Value], join: &mut dyn FnMut(&Value, &[Value]) -> Result<Value>) -> Result<Value> {
    if let Some(parts) = lift::children(first) {
        let mut joined = Vec::with_capacity(parts.len());
        for (i, part) in parts.into_iter().enumerate() {
            let column: Vec<Value> = all
                .iter()
                .map(|v| lift::children(v).and_then(|c| c.get(i).map(|&v| v.clone())).unwrap_or_default())
                .collect();
            joined.push(combine(part, &column, join)?);
        }
        return Ok(lift::rebuild(first, joined));
    }
    if matches!(first, Value::None) {
        return Ok(Value::None);
    }
    join(first, all)
}

/// Scalars or tensors of one shape along a new first axis; scalars keep 64 bits.
pub fn stack(vm: &mut Vm, parts: &[Value]) -> Result<Value> {
    let mut args = vec![Value::Int(0)];
    args.extend(parts.iter().cloned());
    let default = vm.cx.env.dtype;
    if parts.iter().all(|p| matches!(p, Value::Float(..))) {
        vm.cx.env.dtype = DType::F64;
    }
    let result = vm.cx.apply(&STACK, &args);
    vm.cx.env.dtype = default;
    result
}

/// The unit vector `i` in the shape and dtype of a tensor.
fn basis(like: &Value, shape: &[usize], i: usize) -> Result<Value> {
    let n: usize = shape.iter().product();
    let mut data = vec![0.0; n];
    if let Some(x) = data.get_mut(i) {
        *x = 1.0;
    }
    let tensor = Tensor::from_vec(shape, data);
    let dtype = if let Value::Tensor(_, t) = like { t.dtype() } else { DType::F64 };
    Ok(Value::Tensor(Slot::CONST, Rc::new(tensor.cast(dtype)?)))
}

fn empty_block(like: &Value, shape: &[usize]) -> Value {
    let dtype = if let Value::Tensor(_, t) = like { t.dtype() } else { DType::F64 };
    Value::Tensor(Slot::CONST, Rc::new(Tensor::zeros(shape, dtype)))
}
