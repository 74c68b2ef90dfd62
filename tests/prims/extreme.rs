//! Settings and ints at the ends of their range: nothing panics, and the shape rule refuses only what evaluation refuses.

use dlang::ops::prim::Prim;
use dlang::tensor::Tensor;
use dlang::value::Value;
use dlang::vm::Vm;

use crate::samples::is_internal;
use crate::shape;
use crate::tally::{Failure, Kind, Tally};
use crate::values::*;

const ENDS: [i64; 4] = [i64::MIN, i64::MAX, i64::MIN + 1, -1 - i64::MAX / 2];

/// Every int in turn, and floats replaced by ints.
pub fn check(
    vm: &mut Vm,
    tally: &mut Tally,
    prim: &'static Prim,
    specs: &[Spec],
    args: &[Value],
) -> Result<(), Failure> {
    for i in 0..args.len() {
        for end in ENDS {
            for value in replaced(&args[i], specs[i].is_active() && !is_internal(prim), end) {
                let mut args = args.to_vec();
                args[i] = value;
                shape::check(vm, tally, prim, &args).map_err(|e| e.of(&format!("argument {i} with {end}")))?;
                tally.count(Kind::Extreme);
            }
        }
    }
    Ok(())
}

/// A value with `end` in place of its ints, one after the other in tuples.
fn replaced(v: &Value, active: bool, end: i64) -> Vec<Value> {
    match v {
        Value::Int(_) => vec![Value::Int(end)],
        Value::Float(..) if active => vec![Value::Int(end)],
        Value::Tensor(_, t) if active || t.dtype() == dlang::tensor::DType::Int => {
            vec![Value::tensor(Tensor::from_vec(t.shape(), vec![end; t.len()]))]
        }
        Value::Tuple(items) => {
            let mut all = vec![];
            for (i, item) in items.iter().enumerate() {
                for other in replaced(item, false, end) {
                    let mut items = items.to_vec();
                    items[i] = other;
                    all.push(Value::tuple(items));
                }
            }
            all
        }
        _ => vec![],
    }
}
