//! Formulas on structures, leaf by leaf, where nothing is differentiated: an optimizer's update is one pass over each leaf.
//!
//! The rules are those of single operations (`leafwise.rs`). They leave some places as they are, as that of an activation function in a
//! model, without any arithmetic: there the steps of the formula only tell whose leaf it is.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::dispatch::is_structure;
use crate::ad::formula_tensors::Operands;
use crate::ad::leafwise::{fit_together, is_array, part};
use crate::bytecode::formula::{Formula, Step};
use crate::tensor::formula::evaluate;
use crate::tensor::formula::small::Rooms;
use crate::value::{Dict, StructValue, Value};

/// Looks at all leaves before any is computed: true unless one is of no use to a formula.
pub(super) fn is_ready(formula: &Formula, operands: &[Value]) -> bool {
    let Some(lead) = operands.iter().find(|v| is_structure(v)) else {
        return operands.iter().all(|v| match v {
            Value::Tensor(slot, t) => slot.is_const() && t.dtype().is_float(),
            Value::Float(slot, _) => slot.is_const(),
            Value::Int(_) => true,
            _ => false,
        });
    };
    let is_struct = matches!(lead, Value::Struct(_));
    if !operands.iter().all(|v| if is_structure(v) { fit_together(lead, v) } else { !is_struct || !is_array(v) }) {
        return false;
    }
    (0..length(lead)).all(|i| match place(formula, operands, i) {
        Some(Place::Kept(_)) => true,
        Some(Place::Leaf(leaf)) => is_ready(formula, &leaf),
        None => false,
    })
}

/// The value, if all [`is_ready`].
pub(super) fn whole(formula: &Formula, operands: &[Value], rooms: &mut Rooms) -> Option<Value> {
    let Some(lead) = operands.iter().find(|v| is_structure(v)) else {
        return evaluate(formula, operands, rooms);
    };
    let values = (0..length(lead)).map(|i| match place(formula, operands, i)? {
        Place::Kept(value) => Some(value),
        Place::Leaf(leaf) => whole(formula, &leaf, rooms),
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

/// One place of the operands' structures.
enum Place {
    /// What is there becomes this without arithmetic.
    Kept(Value),
    /// What the operands have there: numbers, tensors or structures of such.
    Leaf(Operands),
}

/// `None` where single operations have to say what becomes of it.
fn place(formula: &Formula, operands: &[Value], i: usize) -> Option<Place> {
    let field = operands.iter().find_map(|v| if let Value::Struct(s) = v { s.def.fields.get(i) } else { None });
    let is_kept = field.is_some_and(|field| field.nograd);
    if !is_kept && field.is_some_and(|field| field.exact.is_some()) {
        return None;
    }
    let leaf: Operands = operands.iter().map(|v| part(v, i)).collect();
    let mut of_structures = operands.iter().zip(&leaf).filter(|(v, _)| is_structure(v)).map(|(_, part)| part);
    if is_kept || of_structures.any(|part| matches!(part, Value::None) || part.has_no_arithmetic()) {
        let held = operands.iter().zip(leaf).map(|(v, part)| is_structure(v).then_some(part));
        return kept(formula, held, is_kept).map(Place::Kept);
    }
    Some(Place::Leaf(leaf))
}

/// What the steps make of the leaves of structures, `None` for an operand that is none, if that takes no arithmetic; `is_kept` for a
/// field that each operation keeps.
fn kept(formula: &Formula, leaves: impl Iterator<Item = Option<Value>>, is_kept: bool) -> Option<Value> {
    let mut values: SmallVec<[Option<Value>; 16]> = leaves.collect();
    values.extend(formula.constants.iter().map(|_| None));
    for step in &formula.steps {
        let (a, b) = step.operands();
        let held: SmallVec<[Value; 2]> =
            [Some(a), b].into_iter().flatten().filter_map(|k| values.get(k as usize).cloned().flatten()).collect();
        let present = held.iter().find(|v| !matches!(v, Value::None));
        let made = if held.is_empty() {
            None
        } else if is_kept {
            Some(present.cloned().unwrap_or_default())
        } else if held.iter().any(|v| matches!(v, Value::None)) {
            let adds = matches!(step, Step::Add(..) | Step::Sub(..));
            Some(present.filter(|_| adds).cloned().unwrap_or_default())
        } else {
            Some(held.iter().find(|v| v.has_no_arithmetic())?.clone())
        };
        values.push(made);
    }
    values.pop()?
}

fn length(structure: &Value) -> usize {
    match structure {
        Value::Tuple(items) | Value::List(items) => items.len(),
        Value::Dict(dict) => dict.len(),
        Value::Struct(s) => s.fields.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytecode::op::Reg;
    use crate::tensor::Tensor;

    /// `p - 2.0 * g`.
    fn descent() -> Formula {
        let steps = vec![Step::Mul(2, 1), Step::Sub(0, 3)];
        Formula::new(vec![Reg(0), Reg(1)], vec![2.0], steps, 0)
    }

    fn tensor(x: f64) -> Value {
        Value::tensor(Tensor::from_vec(&[2], vec![x; 2]))
    }

    fn made(p: Vec<Value>, g: Vec<Value>) -> Option<String> {
        let operands = [Value::list(p), Value::list(g)];
        let formula = descent();
        is_ready(&formula, &operands).then_some(())?;
        whole(&formula, &operands, &mut Rooms::default()).map(|value| crate::show::display(&value))
    }

    #[test]
    fn what_takes_no_arithmetic_stays() {
        let text = || Value::Str(Rc::new("relu".into()));
        let made = |p, g| made(vec![tensor(5.0), p], vec![tensor(1.0), g]);
        let with = |second: &str| Some(format!("list([3.0, 3.0], {second})"));
        assert_eq!(made(text(), Value::None), with("\"relu\""));
        assert_eq!(made(text(), text()), with("\"relu\""));
        assert_eq!(made(Value::None, Value::None), with("none"));
        assert_eq!(made(tensor(7.0), Value::None), with("[7.0, 7.0]"));
        // Of these something has to be computed, as it is operation by operation.
        assert_eq!(made(Value::None, tensor(1.0)), None);
    }
}
