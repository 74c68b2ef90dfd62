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
    let is_told =
        |reg: Reg| is_told && chunk.variables.iter().any(|v| matches!(v.home, Home::Register(home) if home == reg));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytecode::chunk::Variable;
    use crate::source::Span;

    const MOVE: Op = Op::Move { dst: Reg(1), src: Reg(0) };
    const TAKE: Op = Op::Take { dst: Reg(1), src: Reg(0) };
    const SUM: Op = Op::Add { dst: Reg(2), a: Reg(1), b: Reg(1) };

    fn chunk(code: &[Op]) -> Chunk {
        Chunk { registers: 4, code: code.to_vec(), ..Chunk::default() }
    }

    fn spared(mut chunk: Chunk, is_told: bool) -> Vec<Op> {
        spare(&mut chunk, is_told);
        chunk.code
    }

    #[test]
    fn the_last_copy_is_taken() {
        let end = Op::Return { src: Reg(2) };
        assert_eq!(spared(chunk(&[MOVE, SUM, end]), false), [TAKE, SUM, end]);
        // It is read again.
        let again = Op::Add { dst: Reg(2), a: Reg(1), b: Reg(0) };
        assert_eq!(spared(chunk(&[MOVE, again, end]), false), [MOVE, again, end]);
        // An error would tell it.
        let variable = Variable { span: Span::default(), name: "x".into(), home: Home::Register(Reg(0)) };
        let told = || Chunk { variables: vec![variable.clone()], ..chunk(&[MOVE, SUM, end]) };
        assert_eq!(spared(told(), true), [MOVE, SUM, end]);
        assert_eq!(spared(told(), false), [TAKE, SUM, end]);
        // The caller gets it back.
        assert_eq!(spared(Chunk { inout: 1, ..chunk(&[MOVE, SUM, end]) }, false), [MOVE, SUM, end]);
    }

    #[test]
    fn what_is_returned_is_not_copied() {
        let (own, copy) = (Op::Return { src: Reg(0) }, Op::Return { src: Reg(1) });
        assert_eq!(spared(chunk(&[MOVE, copy]), true), [own, copy]);
        assert_eq!(spared(chunk(&[TAKE, copy]), true), [own, copy]);
        assert_eq!(spared(Chunk { inout: 1, ..chunk(&[MOVE, copy]) }, false), [MOVE, copy]);
    }
}
