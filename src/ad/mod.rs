//! Derivatives: slots, levels, tapes, the dispatcher, the transforms.
//!
//! `slot` names a node of a level; `tape` is the record of a reverse level, `dispatch` writes it and `reverse` sweeps it;
//! a forward level keeps the tangent of each node; a batch level (`batch`) is `vmap`'s. `lift` puts values under a level and takes them out again;
//! `transforms` are the builtins; `trap` looks for NaN and infinity.

pub mod algebra;
mod alone;
pub mod batch;
mod cells;
pub mod dispatch;
pub mod element;
pub mod formula;
mod formula_levels;
mod formula_structures;
pub mod formula_tensors;
pub mod held;
pub mod leafwise;
pub mod lift;
pub mod nested;
pub mod products;
pub mod reverse;
#[cfg(test)]
mod scale_tests;
pub mod slopes;
pub mod slot;
pub mod small;
pub mod tape;
pub mod transforms;
pub mod trap;
pub mod windows;

use crate::ad::alone::Alone;
use crate::ad::formula::Scratch;
use crate::ad::products::Products;
use crate::ad::slot::{Level, Slot};
use crate::ad::tape::Tape;
use crate::ad::trap::Trap;
pub use crate::ad::trap::{Noted, Place, Watch};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::formula::small::Rooms;
use crate::value::Value;

/// The dispatcher: every application of a primitive goes through it, so that whatever is recorded is recorded here.
#[derive(Default)]
pub struct Cx {
    pub env: Env,
    /// Derivatives that are being taken now, outermost first; `levels[i]` is level `i + 1`.
    levels: Vec<LevelState>,
    /// Tapes that were used before, for their memory.
    pool: Vec<Tape>,
    next_serial: u64,
    /// What to do about results that are not finite, at the moment; see [`Cx::set_watch`].
    pub watch: Watch,
    /// The first of them, with [`Watch::Note`].
    pub noted: Option<Noted>,
    pub trap: Trap,
    scratch: Scratch,
    rooms: Rooms,
    products: Products,
    alone: Alone,
    /// Turns of loops, to find those that are worth compiling.
    pub turns: u32,
}

/// A derivative that is being taken.
pub struct LevelState {
    /// Distinguishes levels that have the same number one after the other.
    pub serial: u64,
    pub mode: Mode,
}

/// What a level records.
// There are few levels, and a tape is taken out of one often.
#[allow(clippy::large_enum_variant)]
pub enum Mode {
    Reverse(Tape),
    /// Tangent and primal slot of each node; node 0 is not used.
    Forward(Vec<Dual>),
    /// `vmap` over this many examples: values of the level are [`crate::value::Batched`].
    Batch {
        n: usize,
        /// The examples are directions of one run: they share its random numbers.
        one_run: bool,
    },
}

/// A node of a forward level.
pub struct Dual {
    pub tangent: Tangent,
    pub primal: Slot,
}

/// The tangent of a node.
pub enum Tangent {
    Is(Value),
    /// There is none at this point, such as of eigenvectors at a repeated eigenvalue. Whoever reads it gets the error;
    /// what is not read does no harm, as in reverse mode what no cotangent flows to.
    Undefined(Error),
}

const _: () = assert!(std::mem::size_of::<Dual>() == 24);

impl Cx {
    /// Opens a level for reverse mode; `once`: it will be swept a single time, from a cotangent of 1; `unread`: see [`Tape::unread`].
    pub fn open_reverse(&mut self, once: bool, unread: Option<usize>) -> Result<Level> {
        let nested = !self.levels.is_empty();
        let batched = self.innermost_batch().is_some();
        let tape = match self.pool.pop() {
            Some(mut tape) => {
                tape.reset(nested);
                tape
            }
            None => Tape::new(nested),
        };
        let tape = Tape { batched, plain: once && !nested, unread, ..tape };
        self.open(Mode::Reverse(tape))
    }

    /// Opens a level for forward mode.
    pub fn open_forward(&mut self) -> Result<Level> {
        self.open(Mode::Forward(vec![Dual { tangent: Tangent::Is(Value::None), primal: Slot::CONST }]))
    }

    /// Opens a level for `n` examples.
    pub fn open_batch(&mut self, n: usize) -> Result<Level> {
        self.open(Mode::Batch { n, one_run: false })
    }

    /// Opens a level for `n` directions of one run.
    pub fn open_directions(&mut self, n: usize) -> Result<Level> {
        self.open(Mode::Batch { n, one_run: true })
    }

    fn open(&mut self, mode: Mode) -> Result<Level> {
        if self.levels.len() >= Slot::MAX_LEVEL {
            return Err(Error::new("E0431", format!("derivatives are nested {} deep", Slot::MAX_LEVEL))
                .help("a function that takes a gradient calls itself inside that gradient without end?"));
        }
        self.next_serial += 1;
        self.levels.push(LevelState { serial: self.next_serial, mode });
        Ok(Level(self.levels.len() as u8))
    }

    /// The tape of the outermost level, if that is one of reverse mode and nobody watches: scalars of level 1 may be
    /// recorded by writing entries.
    pub fn outermost_tape(&mut self) -> Option<&mut Tape> {
        match self.levels.first_mut().map(|l| &mut l.mode) {
            Some(Mode::Reverse(tape)) if self.watch == Watch::Off && !self.trap.records && !tape.nested => Some(tape),
            _ => None,
        }
    }

    /// The innermost level and its nodes, if that is one of forward mode which stands alone or above [`Cx::outermost_tape`].
    pub fn forward_duals(&mut self) -> Option<(Level, &[Dual])> {
        if self.watch != Watch::Off || self.trap.records || self.levels.len() == 2 && self.outermost_tape().is_none() {
            return None;
        }
        match &self.levels[..] {
            [LevelState { mode: Mode::Forward(duals), .. }] | [_, LevelState { mode: Mode::Forward(duals), .. }] => {
                Some((Level(self.levels.len() as u8), duals))
            }
            _ => None,
        }
    }

    /// How many levels are open.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Closes the innermost level and gives its record.
    pub fn close(&mut self) -> Option<LevelState> {
        if self.trap.records {
            self.settle();
        }
        self.levels.pop()
    }

    /// Closes levels until `depth` are open, after an error.
    pub fn close_to(&mut self, depth: usize) {
        while self.levels.len() > depth {
            if let Some(LevelState { mode: Mode::Reverse(tape), .. }) = self.levels.pop() {
                self.recycle(tape);
            }
        }
    }

    /// Takes a tape back for its memory.
    pub fn recycle(&mut self, mut tape: Tape) {
        const KEPT: usize = 4;
        if self.pool.len() < KEPT {
            tape.reset(false);
            self.pool.push(tape);
        }
        if self.levels.is_empty() {
            self.rooms.spares.rewind();
        }
    }

    /// Serials of the open levels, to recognize later whether they are still the same.
    pub fn serials(&self) -> Vec<u64> {
        self.levels.iter().map(|l| l.serial).collect()
    }

    pub(crate) fn level(&self, level: Level) -> Option<&LevelState> {
        self.levels.get((level.0 as usize).wrapping_sub(1))
    }

    pub(crate) fn level_mut(&mut self, level: Level) -> Option<&mut LevelState> {
        self.levels.get_mut((level.0 as usize).wrapping_sub(1))
    }

    /// True if the level is one of forward mode, where tangents are known.
    pub fn is_forward(&self, level: Level) -> bool {
        matches!(self.level(level), Some(LevelState { mode: Mode::Forward(_), .. }))
    }

    /// Slot of a value's primal one level down; `slot` is at an open level.
    pub fn primal_slot(&self, slot: Slot) -> Slot {
        match self.level(slot.level()).map(|l| &l.mode) {
            Some(Mode::Reverse(tape)) => tape.primal(slot.node()),
            Some(Mode::Forward(duals)) => duals.get(slot.node().0 as usize).map_or(Slot::CONST, |d| d.primal),
            Some(Mode::Batch { .. }) | None => Slot::CONST,
        }
    }

    /// The value as seen below `level`: if it is a node of that level, its primal.
    pub fn primal(&self, value: &Value, level: Level) -> Value {
        let slot = value.slot();
        if !slot.is_const() && slot.level() == level { value.with_slot(self.primal_slot(slot)) } else { value.clone() }
    }
}
