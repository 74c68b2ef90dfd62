//! Registers whose numbers something asks for. Forward mode writes a tangent beside every float, most of which are known to be
//! zero or flow nowhere: it takes time to compile even what is found to be of no use later.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bytecode::op::Reg;
use crate::native::action::Action;
use crate::native::region::Region;

/// Whether an action only computes a float from others.
fn only_computes(action: &Action) -> Option<Reg> {
    match action {
        Action::Compute { dst, .. } | Action::Zero { dst } | Action::Select { dst, .. } | Action::Round { dst, .. } => {
            Some(*dst)
        }
        _ => None,
    }
}

/// The registers that are read on some way to what is done or left. An action that only computes another is nothing.
pub fn needed(region: &Region<'_>) -> FxHashSet<Reg> {
    let mut needed = region.tagged.clone();
    let mut flows: FxHashMap<Reg, Vec<Reg>> = FxHashMap::default();
    for place in region.places.iter().flatten() {
        let (reads, writes) = place.action.registers();
        match (&place.action, only_computes(&place.action)) {
            (_, Some(dst)) => flows.entry(dst).or_default().extend(reads),
            (Action::Copy { .. }, _) => writes.iter().for_each(|dst| flows.entry(*dst).or_default().extend(&reads)),
            _ => needed.extend(reads),
        }
    }
    let mut todo: Vec<Reg> = needed.iter().copied().collect();
    while let Some(reg) = todo.pop() {
        for from in flows.remove(&reg).into_iter().flatten() {
            if needed.insert(from) {
                todo.push(from);
            }
        }
    }
    needed
}

/// Whether it is of no use.
pub fn is_idle(action: &Action, needed: &FxHashSet<Reg>) -> bool {
    let dst = match action {
        Action::Copy { dst, .. } => Some(*dst),
        action => only_computes(action),
    };
    dst.is_some_and(|dst| !needed.contains(&dst))
}
