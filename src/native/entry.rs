//! A loop on the tape: one entry for a whole run of native code, whose sweep is its adjoint.

use std::ops::Range;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::Cx;
use crate::ad::reverse::Bar;
use crate::ad::tape::Tape;
use crate::error::{Error, Result};
use crate::native::adjoint::{Adjoint, Sweep};
use crate::tensor::parts::data_mut;
use crate::value::Value;

/// A run of a loop. The nodes that follow it on the tape are those of [`Adjoint::outs`].
pub struct LoopEntry {
    pub adjoint: Rc<Adjoint>,
    pub exit: usize,
    /// Nodes of the registers on entry, by cell; 0 for what has none.
    pub inputs: SmallVec<[u32; 16]>,
    /// By object: a tensor with a node, by its number among [`Tape::wholes`].
    pub tensors: SmallVec<[Option<u32>; 4]>,
    /// Of [`Tape::trace`].
    pub words: Range<usize>,
}

impl LoopEntry {
    /// Hands the cotangents of what the loop computed to what it read. `scalars` are those of all nodes, `general` those of
    /// tensors; `index` is the loop's own node.
    pub fn pull(
        &self,
        cx: &mut Cx,
        tape: &Tape,
        index: usize,
        scalars: &mut [Bar],
        general: &mut [Option<Value>],
    ) -> Result<()> {
        let mut bars: SmallVec<[f64; 32]> = SmallVec::from_elem(0.0, self.adjoint.cells);
        let outs = self.adjoint.outs.get(self.exit).map_or(&[][..], Vec::as_slice);
        let mut flows = false;
        for (i, cell) in outs.iter().enumerate() {
            let bar = scalars.get(index + 1 + i).map_or(0.0, |bar| bar.x);
            flows |= bar != 0.0;
            bars[*cell] = bar;
        }
        // Whatever the partials.
        if !flows {
            return Ok(());
        }
        let mut tensors: SmallVec<[*mut u8; 4]> = SmallVec::new();
        for whole in &self.tensors {
            tensors.push(match whole {
                Some(whole) => cotangent_of_whole(cx, tape, *whole, general)?,
                None => std::ptr::null_mut(),
            });
        }
        let Some(words) = tape.trace.get(self.words.clone()) else { return Err(lost()) };
        let mut sweep = Sweep {
            bars: bars.as_mut_ptr(),
            top: words.as_ptr_range().end,
            scalars: scalars.as_mut_ptr(),
            tensors: tensors.as_ptr(),
            exit: self.exit as u64,
        };
        // SAFETY: the trace was written by the loop that this is the adjoint of, up to this exit: nodes and positions on it are
        // those of items and elements that were there, so of `scalars`, which reaches beyond the loop, and of the tensors.
        unsafe { (self.adjoint.code.entry)(&raw mut sweep) };
        for (node, bar) in self.inputs.iter().zip(&bars) {
            if *node != 0
                && let Some(place) = scalars.get_mut(*node as usize)
            {
                place.x += bar;
            }
        }
        Ok(())
    }
}

/// The elements of a tensor's cotangent, in a row and nowhere else, so that they may be added to.
fn cotangent_of_whole(cx: &mut Cx, tape: &Tape, whole: u32, general: &mut [Option<Value>]) -> Result<*mut u8> {
    let whole = tape.wholes.get(whole as usize).ok_or_else(lost)?;
    let index = tape.entries.get(whole.node.0 as usize).and_then(|e| e.in_general()).ok_or_else(lost)?;
    let bar = general.get_mut(index).ok_or_else(lost)?;
    let value = bar.get_or_insert_with(|| whole.zeros(cx));
    let Value::Tensor(slot, t) = value else { return Err(lost()) };
    if !slot.is_const() || t.shape() != whole.shape() || t.dtype() != whole.dtype() {
        return Err(lost());
    }
    data_mut(Rc::make_mut(t)).ok_or_else(lost)
}

#[cold]
fn lost() -> Error {
    Error::new("E0400", "bug in dlang: the trace of a loop does not fit the tape")
}
