//! Formulas on tensors, and on structures leaf by leaf, where nothing is differentiated.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::dispatch::is_structure;
use crate::ad::leafwise::{fit_together, part};
use crate::bytecode::formula::Formula;
use crate::tensor::formula::evaluate;
use crate::value::{Dict, StructValue, Value};

type Operands = SmallVec<[Value; 6]>;

/// The value of a formula on these registers; `None` if it has to be computed operation by operation, for what it is made of
/// or for the error that this gives.
#[inline(never)]
pub fn formula_of_tensors(formula: &Formula, regs: &[Value]) -> Option<Value> {
    let registers = || formula.registers.iter().filter_map(|reg| regs.get(reg.0 as usize));
    if !registers().any(|v| matches!(v, Value::Tensor(..)) || is_structure(v)) {
        return None;
    }
    let operands: Operands = registers().cloned().collect();
    if operands.len() != formula.registers.len() {
        return None;
    }
    if is_ready(&operands) { whole(formula, &operands) } else { None }
}

/// Looks at all leaves before any is computed: true unless one is of no use to a formula.
fn is_ready(operands: &[Value]) -> bool {
    let Some(lead) = operands.iter().find(|v| is_structure(v)) else {
        return operands.iter().all(|v| match v {
            Value::Tensor(slot, t) => slot.is_const() && t.dtype().is_float(),
            Value::Float(slot, _) => slot.is_const(),
            Value::Int(_) => true,
            _ => false,
        });
    };
    if !operands.iter().all(|v| !is_structure(v) || fit_together(lead, v)) {
        return false;
    }
    (0..length(lead)).all(|i| match parts(operands, i) {
        Some(Parts::Nothing) => true,
        Some(Parts::Leaf(leaf)) => !has_no_gradient(lead, i) && is_ready(&leaf),
        None => false,
    })
}

fn whole(formula: &Formula, operands: &[Value]) -> Option<Value> {
    let Some(lead) = operands.iter().find(|v| is_structure(v)) else {
        return evaluate(formula, operands);
    };
    let values = (0..length(lead)).map(|i| match parts(operands, i)? {
        Parts::Nothing => Some(Value::None),
        Parts::Leaf(leaf) => whole(formula, &leaf),
    });
    let values: Vec<Value> = values.collect::<Option<_>>()?;
    Some(match lead {
        Value::Tuple(_) => Value::tuple(values),
        Value::List(_) => Value::list(values),
        Value::Dict(dict) => Value::Dict(Rc::new(dict.keys().cloned().zip(values).collect::<Dict>())),
        Value::Struct(s) => Value::Struct(Rc::new(StructValue { def: s.def.clone(), fields: values })),
        _ => return None,
    })
}

/// What the operands have at one place of their structures.
enum Parts {
    /// None of the structures has anything there.
    Nothing,
    Leaf(Operands),
}

fn parts(operands: &[Value], i: usize) -> Option<Parts> {
    let leaf: Operands = operands.iter().map(|v| part(v, i)).collect();
    let mut of_structures = operands.iter().zip(&leaf).filter(|(v, _)| is_structure(v)).map(|(_, part)| part);
    if of_structures.clone().all(|part| matches!(part, Value::None)) {
        return Some(Parts::Nothing);
    }
    if of_structures.any(|part| matches!(part, Value::None)) { None } else { Some(Parts::Leaf(leaf)) }
}

fn length(structure: &Value) -> usize {
    match structure {
        Value::Tuple(items) | Value::List(items) => items.len(),
        Value::Dict(dict) => dict.len(),
        Value::Struct(s) => s.fields.len(),
        _ => 0,
    }
}

/// True for a `nograd` field, which operations keep as it is.
fn has_no_gradient(structure: &Value, i: usize) -> bool {
    matches!(structure, Value::Struct(s) if s.def.fields.get(i).is_some_and(|f| f.nograd))
}
