//! vmap: a function over a leading axis, one example after the other.

use crate::ad::lift;
use crate::ad::transforms::jacobian::{combine, stack};
use crate::ad::transforms::{describe, expect_function};
use crate::builtins::Builtin;
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::types::ty::Ty;
use crate::value::{Args, NativeFn, Value};
use crate::vm::{Vm, items};

pub static VMAP: Builtin = Builtin {
    name: "vmap",
    doc: "f over the leading axis of its arguments (axes: an axis, or one for each argument, none for those that go to \
          every example); results are stacked. Example: vmap(|x| sum(x))([[1.0, 2.0], [3.0, 4.0]]) is [3.0, 7.0]",
    sig: Sig { params: &[req("f"), opt("axes", Default::Int(0))] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        expect_function("vmap", &args[0])?;
        Ok(Value::native(Vmap { f: args[0].clone(), axes: args[1].clone() }))
    },
};

struct Vmap {
    f: Value,
    axes: Value,
}

impl Vmap {
    fn axis(&self, i: usize, count: usize) -> Result<Option<i64>> {
        let one = |v: &Value| match v {
            Value::Int(axis) => Ok(Some(*axis)),
            Value::None => Ok(None),
            other => Err(Error::new("E0438", format!("an axis of vmap is an int or none, not {}", other.type_name()))),
        };
        match &self.axes {
            Value::Tuple(axes) if axes.len() == count => one(&axes[i]),
            Value::Tuple(axes) => {
                Err(Error::new("E0438", format!("vmap has {} axes for {count} arguments", axes.len())))
            }
            single => one(single),
        }
    }
}

impl NativeFn for Vmap {
    fn describe(&self) -> String {
        describe("vmap", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let count = args.positional.len();
        let mut size: Option<(usize, usize)> = None;
        for (i, arg) in args.positional.iter().enumerate() {
            let Some(axis) = self.axis(i, count)? else { continue };
            for n in lengths(arg, axis)? {
                match size {
                    Some((first, m)) if m != n => {
                        return Err(Error::new("E0301", format!("vmap needs axes of one length, not {m} and {n}"))
                            .operand(first + 1, format!("this has {m}"))
                            .operand(i + 1, format!("this has {n}")));
                    }
                    _ => size = Some((i, n)),
                }
            }
        }
        let Some((_, n)) = size else {
            return Err(Error::new("E0438", "vmap needs an argument with an axis to go along")
                .help("pass a tensor with a leading batch axis"));
        };
        let mut results = Vec::with_capacity(n);
        for k in 0..n {
            let mut example = args.clone();
            for (i, arg) in example.positional.iter_mut().enumerate() {
                if let Some(axis) = self.axis(i, count)? {
                    let whole = std::mem::take(arg);
                    *arg = lift::map_leaves(&whole, &mut |leaf| match leaf {
                        Value::Tensor(..) => items::along(&mut vm.cx, leaf, axis, k),
                        other => Ok(other.clone()),
                    })?;
                }
            }
            results.push(vm.call_args(&self.f, example)?);
        }
        match results.first().cloned() {
            Some(first) => combine(&first, &results, &mut |leaf, parts| match leaf {
                Value::Float(..) | Value::Tensor(..) => stack(vm, parts),
                Value::Int(_) | Value::Bool(_) => crate::tensor::create::tensor_from_values(&mut vm.cx.env, parts),
                _ => Ok(Value::list(parts.to_vec())),
            }),
            None => {
                Err(Error::new("E0438", "vmap over an axis of length 0 has no result")
                    .help("give it at least one example"))
            }
        }
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }
}

/// Length of the axis in every tensor of a value.
fn lengths(value: &Value, axis: i64) -> Result<Vec<usize>> {
    if let Some(items) = lift::children(value) {
        let mut all = vec![];
        for item in items {
            all.extend(lengths(item, axis)?);
        }
        return Ok(all);
    }
    let Value::Tensor(_, t) = value else { return Ok(vec![]) };
    let rank = t.rank() as i64;
    let at = if axis < 0 { axis + rank } else { axis };
    match usize::try_from(at).ok().and_then(|at| t.shape().get(at)) {
        Some(&n) => Ok(vec![n]),
        None => Err(Error::new("E0401", format!("axis {axis} is out of range for {}", value.type_name()))),
    }
}
