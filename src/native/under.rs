//! Loops under a level of forward mode: on entry each number of the level is two, itself and its tangent, and where code leaves
//! they are put together again.

use crate::ad::Dual;
use crate::ad::Tangent;
use crate::ad::slot::{Level, Slot};
use crate::bytecode::op::Reg;
use crate::native::kind::{Kind, Kinds};
use crate::native::region::Region;
use crate::native::sources::Source;
use crate::native::tangents::{AROUND, number};
use crate::value::Value;

/// The forward level around a loop.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub level: Level,
    duals: &'a [Dual],
}

impl<'a> Around<'a> {
    pub fn new((level, duals): (Level, &'a [Dual])) -> Around<'a> {
        Around { level, duals }
    }

    /// The primal's slot and the tangent of what has a slot of the level; nothing if that is undefined.
    pub fn parts(&self, slot: Slot) -> Option<(Slot, &'a Value)> {
        let dual = self.duals.get(slot.node().0 as usize)?;
        match &dual.tangent {
            Tangent::Is(tangent) if tangent.slot().level() < self.level && dual.primal.level() < self.level => {
                Some((dual.primal, tangent))
            }
            _ => None,
        }
    }
}

impl Region<'_> {
    /// The kind of a float on entry, with this slot or that of the tensor whose element it is. Its tangent is noted.
    pub(super) fn entering_float(&mut self, reg: Reg, slot: Slot) -> Option<Kind> {
        let Some(around) = self.around else { return Some(Kind::Float { active: !slot.is_const() }) };
        if slot.level() != around.level || slot.is_const() {
            let tangent = self.tangent(reg, AROUND, 0)?;
            if self.entry_kinds[tangent] == Kind::Untouched {
                self.entry_kinds.set(tangent, Kind::Zero);
            }
            return Some(Kind::Float { active: !slot.is_const() });
        }
        let (primal, tangent) = around.parts(slot)?;
        self.is_under = true;
        let kind = Kind::Float { active: !tangent.slot().is_const() };
        let register = self.new_register()?;
        self.parts.set_register(reg, number(AROUND, 0)?, register);
        self.sources.note(Source::Tangent { of: reg }, register);
        self.entry_kinds.set(register, kind);
        Some(Kind::Float { active: !primal.is_const() })
    }

    /// Whether elements of an object may have tangents on entry.
    pub(super) fn has_tangents(&self, object: u16) -> bool {
        let is_active = self.objects.get(object as usize).is_none_or(|(_, what)| what.is_active());
        self.around.is_some_and(|around| around.level.0 == 1) && is_active
    }

    /// The register of the tangent at the level around.
    pub(super) fn tangent_around(&self, of: Reg) -> Option<Reg> {
        self.parts.register(of, number(AROUND, 0).filter(|_| self.is_under)?)
    }

    /// The register of the tangent that is left beside what a register holds, and its kind.
    pub(super) fn tangent_left(&self, reg: Reg, kinds: &Kinds) -> Option<(Reg, Kind)> {
        let tangent = self.tangent_around(reg)?;
        let kind = match (kinds[reg], kinds[tangent]) {
            (Kind::Float { .. }, kind @ Kind::Float { .. }) => kind,
            // If it is a float, its tangent was written with it.
            (Kind::Mixed, Kind::Float { .. } | Kind::Mixed) => Kind::Float { active: true },
            _ => return None,
        };
        Some((tangent, kind))
    }
}
