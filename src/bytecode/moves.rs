//! Copies that are not needed: of registers that nobody reads again, and just before a return.
//!
//! A copy of a tensor or structure is counted, and so are two ends of it; what is taken is only moved.

use crate::bytecode::chunk::{Chunk, Home};
use crate::bytecode::live::live;
use crate::bytecode::op::{Op, Reg};

/// Takes what is copied for the last time, unless an error would tell the variable's value, and returns what is copied for a return.
/// `is_told`: errors tell the variables of this function.
pub fn spare(chunk: &mut Chunk, is_told: bool) {
    let is_handed = |reg: Reg| chunk.inout.checked_shr(u32::from(reg.0)).unwrap_or(0) & 1 != 0;
    for at in 1..chunk.code.len() {
        if let (Op::Move { dst, src } | Op::Take { dst, src }, Op::Return { src: returned }) =
            (chunk.code[at - 1], chunk.code[at])
            && dst == returned
            && !is_handed(src)
        {
            // The other return stays for those that jump to it.
            chunk.code[at - 1] = Op::Return { src };
        }
    }
    let is_told = |reg: Reg| {
        is_told && chunk.variables.iter().any(|v| matches!(v.home, Home::Register(home) if home == reg))
    };
    let may_be_taken = |op: &Op| matches!(op, Op::Move { dst, src } if dst != src && !is_told(*src));
    if !chunk.code.iter().any(may_be_taken) {
        return;
    }
    let live = live(chunk);
    let taken: Vec<(usize, Op)> = (chunk.code.iter().enumerate())
        .filter(|(_, op)| may_be_taken(op))
        .filter_map(|(at, op)| match *op {
            Op::Move { dst, src } if !live.get(at + 1)?.has(src) => Some((at, Op::Take { dst, src })),
            _ => None,
        })
        .collect();
    for (at, op) in taken {
        chunk.code[at] = op;
    }
}
