//! Jumps of compiled code between its blocks, and when all that lead to a block are written: the sooner that is known, the
//! less it takes to find what variables hold there.

use cranelift_codegen::ir::{Block, InstBuilder, types};

use crate::native::adjoint::Start;
use crate::native::emit::Emitter;
use crate::native::kind::Kinds;

/// A jump that is noted: its block is written behind the one at hand.
pub struct Noted {
    pub block: Block,
    pub to: Block,
    pub number: usize,
}

impl Emitter<'_> {
    /// The block of an instruction that is jumped to from another, or the way out.
    pub(super) fn target(&mut self, from: usize, to: usize, kinds: &Kinds) -> Block {
        self.jump_to(Some(from), to).unwrap_or_else(|| self.exit(to, kinds, Start::After(from)))
    }

    /// The block of an instruction of the region.
    pub(super) fn jump_to(&mut self, from: Option<usize>, to: usize) -> Option<Block> {
        let inside = self.blocks.get(to).copied().flatten()?;
        self.jumped[to] += 1;
        if !self.traces() {
            return Some(inside);
        }
        let Some(number) = self.ways.number(from, to) else { return Some(inside) };
        let block = self.b.create_block();
        self.noted.push(Noted { block, to: inside, number });
        Some(block)
    }

    /// Writes the blocks of jumps that are noted on the trace.
    pub(super) fn note_jumps(&mut self) -> Option<()> {
        for noted in std::mem::take(&mut self.noted) {
            self.go_on(noted.block);
            let number = self.b.ins().iconst(types::I64, noted.number as i64);
            self.trace(number)?;
            self.b.ins().jump(noted.to, &[]);
        }
        Some(())
    }

    /// By place: how many jumps lead to its block.
    pub(super) fn jumps(&self) -> Vec<usize> {
        let mut jumps = vec![0; self.region.places.len()];
        jumps[self.region.entry] = 1;
        for (i, place) in self.region.places.iter().enumerate() {
            let Some(place) = place.as_ref().filter(|_| self.followers[i].is_none()) else { continue };
            for (to, _) in place.ways(&self.region.objects) {
                jumps[to] += 1;
            }
        }
        jumps
    }

    /// Goes on in a block to which all jumps are written.
    pub(super) fn go_on(&mut self, block: Block) {
        self.b.switch_to_block(block);
        self.b.seal_block(block);
    }
}
