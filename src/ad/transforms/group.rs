//! Calls with a pullback of their own, as an entry of a tape.

use crate::ad::dispatch::escaped;
use crate::ad::lift;
use crate::ad::slot::{Level, Slot};
use crate::ad::tape::{GENERAL, General, GroupEntry};
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
        None => Err(escaped()),
    }
}

/// The values one level down.
pub fn primals(cx: &Cx, values: &[Value], level: Level) -> Result<Vec<Value>> {
    values.iter().map(|v| lift::map_leaves(v, &mut |leaf| Ok(cx.primal(leaf, level)))).collect()
}

/// True if something is recorded of some of the values.
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
    if entry.a == GENERAL
        && let Some(General::Group(group)) = tape.general.get_mut(entry.b as usize)
    {
        group.result = result.clone();
    }
    Ok(result)
}
