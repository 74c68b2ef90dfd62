//! What compiled code and the machine hand each other: registers, and the end of the tape.

use crate::ad::slot::Slot;
use crate::ad::tape::{Entry, Tape};

/// A register, by all that it may hold.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Cell {
    pub float: f64,
    /// An int, or a bool.
    pub int: i64,
    /// Node of the float on the tape; 0 for a constant.
    pub node: u32,
    /// A [`Tag`].
    pub tag: u32,
}

/// What a [`Cell`] holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Tag {
    Untouched,
    None,
    Bool,
    Int,
    Float,
}

/// The argument of compiled code.
#[repr(C)]
pub struct Frame {
    /// One for each register that the code names.
    pub cells: *mut Cell,
    /// Where the next entry of the tape goes, and the end of the room for entries; null without a tape.
    pub top: *mut Entry,
    pub end: *mut Entry,
    /// Number of the next node.
    pub node: u64,
    /// The tape, for [`grow`].
    pub tape: *mut Tape,
}

/// Makes room for `more` entries: 0 if the tape is full.
///
/// # Safety
/// `frame` and what it points to are alive, and entries up to `node` are written.
pub unsafe extern "C" fn grow(frame: *mut Frame, node: u64, more: u64) -> u64 {
    // SAFETY: the caller's.
    let (frame, tape) = unsafe { (&mut *frame, &mut *(*frame).tape) };
    let (used, more) = (node as usize, more as usize);
    if used + more > Slot::MAX_NODES {
        return 0;
    }
    // SAFETY: written up to there, says the caller.
    unsafe { tape.entries.set_len(used) };
    tape.entries.reserve(more.max(1 << 10));
    frame.point_to(tape);
    1
}

impl Frame {
    /// Sets the pointers to the end of a tape.
    pub fn point_to(&mut self, tape: &mut Tape) {
        let used = tape.entries.len();
        let room = tape.entries.spare_capacity_mut();
        self.top = room.as_mut_ptr().cast();
        // SAFETY: one behind the last of the same allocation.
        self.end = unsafe { self.top.add(room.len().min(Slot::MAX_NODES - used.min(Slot::MAX_NODES))) };
        self.node = used as u64;
        self.tape = tape;
    }
}
