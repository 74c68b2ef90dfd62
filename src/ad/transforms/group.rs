//! Calls with a pullback of their own, as an entry of a tape.

use crate::ad::dispatch::escaped;
use crate::ad::lift;
use crate::ad::slot::{Level, Slot};
use crate::ad::tape::{General, GroupEntry};
use crate::ad::{Cx, Mode};
use crate::error::Result;
use crate::value::Value;

/// What the innermost derivative that some values take part in does with them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Innermost {
    /// They take part in none.
    Nothing,
    Reverse(Level),
    Forward(Level),
    /// This many examples of `vmap`.
    Batch(Level, usize),
}

/// The innermost derivative that the leaves of some values take part in.
pub fn innermost(cx: &Cx, values: &[Value]) -> Result<Innermost> {
    let level = values.iter().map(lift::top_level).max().unwrap_or_default();
    if level.0 == 0 {
        return Ok(Innermost::Nothing);
    }
    match cx.level(level).map(|l| &l.mode) {
        Some(Mode::Reverse(_)) => Ok(Innermost::Reverse(level)),
        Some(Mode::Forward(_)) => Ok(Innermost::Forward(level)),
        Some(Mode::Batch { n, .. }) => Ok(Innermost::Batch(level, *n)),
        None => Err(escaped()),
    }
}

/// Arguments at a batch level as whole tensors, for `over_examples`: those that are batched, examples along axis 0,
/// and which these are.
pub fn wholes(cx: &mut Cx, args: &[Value], level: Level, n: usize) -> Result<(Vec<Value>, Vec<bool>)> {
    let along: Vec<bool> = args.iter().map(|a| lift::top_level(a) == level).collect();
    let mut all = vec![];
    for (arg, along) in args.iter().zip(&along) {
        all.push(if *along {
            lift::map_leaves(arg, &mut |leaf| {
                if leaf.shape().is_some() { cx.unbatch(leaf, level, n) } else { Ok(leaf.clone()) }
            })?
        } else {
            arg.clone()
        });
    }
    Ok((all, along))
}

/// Puts a result of `over_examples` under the batch level; `None` if it holds what is no number.
pub fn batched(cx: &mut Cx, result: &Value, level: Level) -> Result<Option<Value>> {
    let mut numbers = true;
    let batched = lift::map_leaves(result, &mut |leaf| {
        if leaf.shape().is_some() {
            return cx.batch(leaf.clone(), level);
        }
        numbers &= matches!(leaf, Value::None);
        Ok(leaf.clone())
    })?;
    Ok(numbers.then_some(batched))
}

/// The values one level down.
pub fn primals(cx: &Cx, values: &[Value], level: Level) -> Result<Vec<Value>> {
    values.iter().map(|v| lift::map_leaves(v, &mut |leaf| Ok(cx.primal(leaf, level)))).collect()
}

/// True if some of the values take part in a derivative or a batch.
pub fn recorded(values: &[Value]) -> bool {
    values.iter().any(|v| lift::top_level(v).0 > 0)
}

/// Records a call whose pullback is `pullback`; the result's leaves become nodes of `level`.
pub fn record_group(cx: &mut Cx, level: Level, args: Vec<Value>, out: &Value, pullback: Value) -> Result<Value> {
    let Some(tape) = cx.tape_mut(level) else { return Err(escaped()) };
    let head = tape.push_general(General::Group(GroupEntry { pullback, result: Value::None, args }), Slot::CONST)?;
    let result = lift::map_leaves(out, &mut |leaf| {
        if !leaf.is_differentiable() {
            return Ok(leaf.clone());
        }
        let node = tape.push_general(General::Part, leaf.slot())?;
        Ok(leaf.with_slot(Slot::new(level, node)))
    })?;
    let entry = tape.entries[head.0 as usize];
    if let Some(index) = entry.in_general()
        && let Some(General::Group(group)) = tape.general.get_mut(index)
    {
        group.result = result.clone();
    }
    Ok(result)
}
