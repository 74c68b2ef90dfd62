//! jacobian and hessian: dense, the axes of the output first.

use crate::ad::lift;
use crate::ad::transforms::directions::{Function, entries, indices, pull_all, push_all};
use crate::ad::transforms::reverse_mode::{Recorded, gradient_for, record};
use crate::ad::transforms::target::expect_differentiable;
use crate::ad::transforms::{describe, expect_function};
use crate::builtins::Builtin;
use crate::error::{Error, Result};
use crate::ops::index::GET_INDEX;
use crate::ops::prim::{Default, Sig, opt, req};
use crate::ops::reshape::PERMUTE;
use crate::tensor::DType;
use crate::types::ty::Ty;
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

pub static JACOBIAN: Builtin = Builtin {
    name: "jacobian",
    doc: "The Jacobian of f with respect to its first argument, as a function: shape of the result, then shape of the \
          argument; for structures, such a block for each leaf of the argument inside each leaf of the result. All passes \
          go together, those of a large result a few at a time. mode: \"auto\" (the fewer of inputs and outputs), \"forward\" or \"reverse\". \
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
          twice; forward over reverse. For structures, a block for each pair of leaves. Example: hessian(|x| sum(x^3))([1.0, 2.0]) is [[6.0, 0.0], [0.0, 12.0]]",
    sig: Sig { params: &[req("f")] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        let gradient = gradient_for("hessian", &args[0])?;
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
        if self.mode == Direction::Forward {
            return forward(vm, &x, &run);
        }
        let rng = vm.cx.env.rng.clone();
        let recorded = record(vm, &x, run)?;
        if self.mode == Direction::Auto && entries(&x) < entries(&recorded.value) {
            vm.cx.env.rng = rng;
            return forward(vm, &x, &run);
        }
        reverse(vm, recorded)
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

/// A block for each leaf of the result in each leaf of the argument, from one pass for each entry of `x`.
fn forward(vm: &mut Vm, x: &Value, run: &Function<'_>) -> Result<Value> {
    let n = entries(x);
    let basis: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let columns = push_all(vm, x, &basis, run)?;
    lift::map_gradient(&columns, &mut |column| {
        if !column.is_differentiable() {
            return Ok(Value::None);
        }
        let out = column.shape().and_then(|s| s.get(1..)).unwrap_or(&[]).to_vec();
        let kind = if out.is_empty() { None } else { column.tensor_dtype() };
        let mut at = 0;
        lift::map_gradient(x, &mut |leaf| {
            if !leaf.is_differentiable() {
                return Ok(Value::None);
            }
            let part = rows(vm, column, &mut at, entries(leaf))?;
            // [in..., out...] to [out..., in...].
            let inner = leaf.shape().unwrap_or(&[]).to_vec();
            let part = vm.cx.reshape(&part, &[&inner[..], &out].concat())?;
            let (r, k) = (inner.len() as i64, out.len() as i64);
            let order = Value::tuple((r..r + k).chain(0..r).map(Value::Int).collect());
            let part = if r == 0 || k == 0 { part } else { vm.cx.apply(&PERMUTE, &[part, order])? };
            typed(vm, part, kind, leaf.tensor_dtype())
        })
    })
}

/// The same from one sweep for each entry of the result.
fn reverse(vm: &mut Vm, mut recorded: Recorded) -> Result<Value> {
    let m = entries(&recorded.value);
    let basis: Vec<Vec<usize>> = (0..m).map(|i| vec![i]).collect();
    let all = pull_all(vm, &mut recorded, &basis)?;
    let mut at = 0;
    lift::map_gradient(&recorded.value, &mut |leaf| {
        if !leaf.is_differentiable() {
            return Ok(Value::None);
        }
        let (out, begin) = (leaf.shape().unwrap_or(&[]).to_vec(), at);
        at += entries(leaf);
        lift::map_gradient(&all, &mut |row| {
            if !row.is_differentiable() {
                return Ok(Value::None);
            }
            let inner = row.shape().and_then(|s| s.get(1..)).unwrap_or(&[]).to_vec();
            let part = rows(vm, row, &mut begin.clone(), entries(leaf))?;
            let part = vm.cx.reshape(&part, &[&out[..], &inner].concat())?;
            typed(vm, part, leaf.tensor_dtype(), if inner.is_empty() { None } else { row.tensor_dtype() })
        })
    })
}

/// `count` rows from `at` on, which moves on.
fn rows(vm: &mut Vm, all: &Value, at: &mut usize, count: usize) -> Result<Value> {
    let begin = *at;
    *at += count;
    if begin == 0 && all.shape().and_then(|s| s.first()) == Some(&count) {
        return Ok(all.clone());
    }
    vm.cx.apply(&GET_INDEX, &[all.clone(), indices(begin..*at)])
}

/// A block in the wider of the dtypes of its result and argument; scalars have none.
fn typed(vm: &mut Vm, block: Value, out: Option<DType>, inner: Option<DType>) -> Result<Value> {
    match (out, inner) {
        (None, None) => Ok(block),
        (Some(DType::F64), _) | (_, Some(DType::F64)) => vm.cx.cast(&block, DType::F64),
        (Some(dtype), _) | (None, Some(dtype)) => vm.cx.cast(&block, dtype),
    }
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
