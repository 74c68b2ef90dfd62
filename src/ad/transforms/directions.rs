//! Many directions in one pass: tangents or cotangents as the examples of a batch.

use std::cell::RefCell;

use crate::ad::lift;
use crate::ad::slot::Slot;
use crate::ad::transforms::combine;
use crate::ad::transforms::forward_mode::jvp;
use crate::ad::transforms::reverse_mode::Recorded;
use crate::ad::transforms::vmap::over_directions;
use crate::error::{Error, Result};
use crate::ops::join::CONCAT;
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;
use crate::vm::Vm;

/// A function of one argument.
pub type Function<'a> = dyn Fn(&mut Vm, &Value) -> Result<Value> + 'a;

/// Runs some directions at once.
type Pass<'a> = dyn FnMut(&mut Vm, &[Vec<usize>]) -> Result<Value> + 'a;

/// Numbers that one pass holds of each value, at most.
const ROOM: usize = 1 << 22;

/// Number of floats in a value, as its gradient has them.
pub fn entries(value: &Value) -> usize {
    let mut n = 0;
    let _ = lift::map_gradient(value, &mut |leaf| {
        n += if leaf.is_differentiable() { count(leaf.shape().unwrap_or(&[])) } else { 0 };
        Ok(Value::None)
    });
    n
}

/// Ints as an index.
pub fn indices(which: impl IntoIterator<Item = usize>) -> Value {
    let data: Vec<i64> = which.into_iter().map(|i| i as i64).collect();
    Value::tensor(Tensor::from_vec(&[data.len()], data))
}

/// Directions in the space of `like`, along axis 0 of each leaf: in each, 1 at the entries that it lists.
fn indicators(like: &Value, directions: &[Vec<usize>]) -> Result<Value> {
    let mut begin = 0;
    lift::map_gradient(like, &mut |leaf| {
        if !leaf.is_differentiable() {
            return Ok(Value::None);
        }
        let shape = leaf.shape().unwrap_or(&[]);
        let n = count(shape);
        let mut data = vec![0.0; directions.len() * n];
        for (k, listed) in directions.iter().enumerate() {
            for i in listed.iter().filter(|i| (begin..begin + n).contains(*i)) {
                data[k * n + i - begin] = 1.0;
            }
        }
        begin += n;
        let mut whole = vec![directions.len()];
        whole.extend_from_slice(shape);
        let tensor = Tensor::floats(&whole, leaf.tensor_dtype().unwrap_or(DType::F64), data.into_iter());
        Ok(Value::Tensor(Slot::CONST, std::rc::Rc::new(tensor)))
    })
}

/// The derivatives of `f` at `x` along directions (lists of entries of `x`): the structure of the result, directions along
/// axis 0 of each leaf.
pub fn push_all(vm: &mut Vm, x: &Value, directions: &[Vec<usize>], f: &Function<'_>) -> Result<Value> {
    if directions.is_empty() {
        let y = f(vm, x)?;
        return none_along(&y);
    }
    in_parts(vm, directions, entries(x), &mut |vm, directions| {
        let tangents = indicators(x, directions)?;
        over_directions(vm, &[tangents], &[true], directions.len(), &|vm, dx| {
            let [dx] = dx else { return Ok(Value::None) };
            Ok(jvp(vm, x, dx, |vm, x| f(vm, x))?.1)
        })
    })
}

/// The cotangents of the argument from directions in the space of the result: the structure of the argument,
/// directions along axis 0 of each leaf.
pub fn pull_all(vm: &mut Vm, recorded: &mut Recorded, directions: &[Vec<usize>]) -> Result<Value> {
    if directions.is_empty() {
        return none_along(&recorded.lifted);
    }
    let width = entries(&recorded.lifted).max(entries(&recorded.value));
    let value = recorded.value.clone();
    let recorded = RefCell::new(recorded);
    in_parts(vm, directions, width, &mut |vm, directions| {
        let cotangents = indicators(&value, directions)?;
        over_directions(vm, &[cotangents], &[true], directions.len(), &|vm, dy| {
            let Ok(mut recorded) = recorded.try_borrow_mut() else {
                return Err(Error::new("E0434", "a pullback cannot be called while it is running"));
            };
            let seeds = recorded.seeds(dy.first().unwrap_or(&Value::None))?;
            recorded.pull(vm, &seeds, false)
        })
    })
}

fn in_parts(vm: &mut Vm, directions: &[Vec<usize>], width: usize, pass: &mut Pass<'_>) -> Result<Value> {
    let most = (ROOM / width.max(1)).clamp(1, 64);
    let rng = vm.cx.env.rng.clone();
    let mut parts = vec![];
    for some in directions.chunks(most) {
        vm.cx.env.rng = rng.clone();
        parts.push(pass(vm, some)?);
    }
    let [first, _, ..] = &parts[..] else { return Ok(parts.pop().unwrap_or_default()) };
    combine(first, &parts, &mut |_, pieces| {
        let mut args = vec![Value::Int(0)];
        args.extend(pieces.iter().cloned());
        vm.cx.apply(&CONCAT, &args)
    })
}

/// No directions along axis 0 of each leaf.
fn none_along(value: &Value) -> Result<Value> {
    lift::map_gradient(value, &mut |leaf| {
        if !leaf.is_differentiable() {
            return Ok(Value::None);
        }
        let shape = [&[0], leaf.shape().unwrap_or(&[])].concat();
        let dtype = leaf.tensor_dtype().unwrap_or(DType::F64);
        Ok(Value::Tensor(Slot::CONST, std::rc::Rc::new(Tensor::zeros(&shape, dtype))))
    })
}
