//! Registers that hold one and the same float wherever something reads them: those of functions that are part of the loop, to
//! which nothing else is written. Products with a tangent of 1 or a step that is given as a number are simpler where that is known.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bytecode::op::Reg;
use crate::native::action::Action;
use crate::native::region::Region;
use crate::value::Value;

/// What is written to a register.
#[derive(Clone, Copy)]
enum Written {
    /// A float, by its bits.
    Float(u64),
    Same(Reg),
}

/// The floats that registers always hold.
pub fn constants(region: &Region<'_>) -> FxHashMap<Reg, f64> {
    let mut written: FxHashMap<Reg, Vec<Written>> = FxHashMap::default();
    let mut varying = FxHashSet::default();
    for place in region.places.iter().flatten() {
        let (dst, what) = match &place.action {
            Action::Set { dst, value: Value::Float(_, x) } => (*dst, Written::Float(x.to_bits())),
            Action::Zero { dst } => (*dst, Written::Float(0)),
            Action::Copy { dst, src } if place.kinds[*src].is_float() => (*dst, Written::Same(*src)),
            action => {
                varying.extend(action.registers().1);
                continue;
            }
        };
        written.entry(dst).or_default().push(what);
    }
    // A copy holds what the other does, once that is known; until nothing new is found.
    let mut known: FxHashMap<Reg, u64> = FxHashMap::default();
    written.retain(|reg, _| !varying.contains(reg) && !region.sources.has(*reg));
    loop {
        let before = (known.len(), varying.len());
        for (reg, list) in &written {
            for what in list {
                let bits = match what {
                    Written::Float(bits) => Some(*bits),
                    Written::Same(src) if varying.contains(src) || !written.contains_key(src) => None,
                    Written::Same(src) => match known.get(src) {
                        Some(bits) => Some(*bits),
                        None => continue,
                    },
                };
                match bits {
                    Some(bits) if *known.entry(*reg).or_insert(bits) == bits => {}
                    _ => _ = varying.insert(*reg),
                }
            }
        }
        if (known.len(), varying.len()) == before {
            break;
        }
    }
    known.into_iter().filter(|(reg, _)| !varying.contains(reg)).map(|(reg, bits)| (reg, f64::from_bits(bits))).collect()
}
