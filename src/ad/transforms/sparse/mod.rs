//! sparse_jacobian and sparse_hessian: the entries that can differ from zero, by as few passes as their places allow.

mod coloring;
mod pattern;

use crate::ad::lift;
use crate::ad::transforms::directions::{entries, indices, pull_all, push_all};
use crate::ad::transforms::reverse_mode::{gradient_for, record};
use crate::ad::transforms::sparse::coloring::plan;
use crate::ad::transforms::sparse::pattern::pattern;
use crate::ad::transforms::target::expect_differentiable;
use crate::ad::transforms::{describe, expect_function};
use crate::builtins::Builtin;
use crate::error::{Error, Result};
use crate::ops::index::GET_INDEX;
use crate::ops::join::CONCAT;
use crate::ops::prim::{Sig, req};
use crate::tensor::{DType, count};
use crate::types::ty::Ty;
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

pub static SPARSE_JACOBIAN: Builtin = Builtin {
    name: "sparse_jacobian",
    doc: "The Jacobian of f with respect to its first argument as (rows, cols, values) of the entries that can differ from \
          zero where f takes the same branches, row by row; floats of results and arguments are numbered through. \
          Columns that share no row are computed by one pass. \
          Example: sparse_jacobian(|x| x^2)([1.0, 2.0]) is ([0, 1], [0, 1], [2.0, 4.0])",
    sig: Sig { params: &[req("f")] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        expect_function("sparse_jacobian", &args[0])?;
        Ok(Value::native(Sparse { f: args[0].clone(), name: "sparse_jacobian" }))
    },
};

pub static SPARSE_HESSIAN: Builtin = Builtin {
    name: "sparse_hessian",
    doc: "The second derivatives of a function that returns one float, as (rows, cols, values) of the entries that can \
          differ from zero: sparse_jacobian of its gradient. \
          Example: sparse_hessian(|x| sum(x^3))([1.0, 2.0]) is ([0, 1], [0, 1], [6.0, 12.0])",
    sig: Sig { params: &[req("f")] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        let gradient = gradient_for("sparse_hessian", &args[0])?;
        Ok(Value::native(Sparse { f: gradient, name: "sparse_hessian" }))
    },
};

struct Sparse {
    f: Value,
    name: &'static str,
}

impl NativeFn for Sparse {
    fn describe(&self) -> String {
        match (self.name, &self.f) {
            ("sparse_hessian", Value::Native(gradient)) => gradient.0.describe().replacen("grad", "sparse_hessian", 1),
            _ => describe(self.name, &self.f),
        }
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let Some(x) = args.positional.first().cloned() else {
            return Err(Error::new("E0320", format!("`{}` takes the point as its first argument", self.name)));
        };
        expect_differentiable(self.name, &x)?;
        if vm.cx.innermost_batch().is_some() {
            // Examples may differ in structure.
            return Err(vm.cx.each_alone());
        }
        let run = |vm: &mut Vm, x: &Value| {
            let mut args = args.clone();
            args.positional[0] = x.clone();
            vm.call_args(&self.f, args)
        };
        let before = vm.cx.env.rng.clone();
        let mut recorded = record(vm, &x, run)?;
        let after = std::mem::replace(&mut vm.cx.env.rng, before);
        let rows = pattern(&recorded);
        let (n, m) = (entries(&x), rows.len());
        let plan = plan(&rows, n);
        let mut parts = vec![];
        if !plan.forward.is_empty() {
            let pushed = push_all(vm, &x, &plan.forward, &run)?;
            parts.push(in_line(vm, &pushed, plan.forward.len())?);
        }
        vm.cx.env.rng = after;
        if !plan.reverse.is_empty() {
            let pulled = pull_all(vm, &mut recorded, &plan.reverse)?;
            parts.push(in_line(vm, &pulled, plan.reverse.len())?);
        }
        let (mut at_rows, mut at_columns, mut places) = (vec![], vec![], vec![]);
        for (r, row) in rows.iter().enumerate() {
            for c in row.iter().map(|c| *c as usize) {
                at_rows.push(r);
                at_columns.push(c);
                places.push(match plan.pass_of_row.get(r).copied().flatten() {
                    Some(pass) => plan.forward.len() * m + pass * n + c,
                    None => plan.pass_of_column.get(c).copied().unwrap_or(0) * m + r,
                });
            }
        }
        let values = match parts.len() {
            0 => vm.cx.zeros(&[0], dtype_of(&x)),
            _ => {
                let all = joined(vm, &parts)?;
                vm.cx.apply(&GET_INDEX, &[all, indices(places)])?
            }
        };
        Ok(Value::tuple(vec![indices(at_rows), indices(at_columns), values]))
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        Some(Value::native(Sparse { f: values.into_iter().next()?, name: self.name }))
    }
}

/// The passes of all leaves, one pass after the other, as a vector.
fn in_line(vm: &mut Vm, leaves: &Value, passes: usize) -> Result<Value> {
    let mut flat = vec![];
    lift::map_leaves(leaves, &mut |leaf| {
        if leaf.is_differentiable() {
            let width = count(leaf.shape().and_then(|s| s.get(1..)).unwrap_or(&[]));
            flat.push(vm.cx.reshape(leaf, &[passes, width])?);
        }
        Ok(Value::None)
    })?;
    let mut args = vec![Value::Int(1)];
    args.extend(flat);
    let all = if args.len() == 2 { args.swap_remove(1) } else { vm.cx.apply(&CONCAT, &args)? };
    let n = count(all.shape().unwrap_or(&[]));
    vm.cx.reshape(&all, &[n])
}

fn joined(vm: &mut Vm, parts: &[Value]) -> Result<Value> {
    if let [one] = parts {
        return Ok(one.clone());
    }
    let mut args = vec![Value::Int(0)];
    args.extend(parts.iter().cloned());
    vm.cx.apply(&CONCAT, &args)
}

/// The dtype of the first tensor in a value.
fn dtype_of(x: &Value) -> DType {
    let mut found = None;
    let _ = lift::map_leaves(x, &mut |leaf| {
        found = found.or(leaf.tensor_dtype().filter(|d| d.is_float()));
        Ok(Value::None)
    });
    found.unwrap_or(DType::F64)
}
