//! What will become of a value, as far as the code ahead tells: that of a function whose gradient alone is asked for is not read, nor is
//! what it sums up.

use std::ptr;

use crate::ad::formula_tensors::Fate;
use crate::builtins::wraps::wrapped;
use crate::bytecode::chunk::Host;
use crate::bytecode::op::{Const, Op, Reg};
use crate::ops::reduce::{MEAN, SUM};
use crate::value::Value;
use crate::vm::Frame;

/// Instructions to look at; more do not stand between a value and its sum.
const FAR: usize = 32;

/// The fate of what stands in register `reg` before instruction `at` of the innermost frame, if the value of the function of frame `end` is
/// not asked for. `is_sum` tells that it is a sum already.
pub fn fate(frames: &[Frame], at: usize, reg: Reg, end: usize, is_sum: bool) -> Fate {
    ahead(frames, at, reg, end, is_sum).unwrap_or(Fate::Read)
}

fn ahead(frames: &[Frame], mut at: usize, mut reg: Reg, end: usize, is_sum: bool) -> Option<Fate> {
    let mut index = frames.len().checked_sub(1)?;
    let mut fate = if is_sum { Fate::Unread } else { Fate::Read };
    // What the code ahead puts into registers: arguments of a sum.
    let mut loaded: Vec<(Reg, Const)> = vec![];
    for _ in 0..FAR {
        let frame = frames.get(index)?;
        let chunk = frame.chunk();
        let op = *chunk.code.get(at)?;
        at += 1;
        match op {
            Op::Take { dst, src } | Op::Move { dst, src } if src == reg => reg = dst,
            Op::Load { dst, value } if dst != reg => loaded.push((dst, value)),
            // An annotation of a number.
            Op::Check { reg: checked, .. } if checked == reg && fate != Fate::Read => {}
            Op::CallHost { base, site } if fate == Fate::Read && reg.0 == base.0 + 1 => {
                let site = chunk.calls.get(site.0 as usize)?;
                let prim = match site.host? {
                    Host::Prim(prim) => prim,
                    Host::Builtin(builtin) => wrapped(builtin)?,
                };
                let argument = |i: u16| {
                    let (_, value) = loaded.iter().rev().find(|(dst, _)| dst.0 == base.0 + i)?;
                    chunk.consts.get(value.0 as usize)
                };
                if !site.arranged || site.count != 3 {
                    return None;
                }
                let (Value::None, Value::Bool(false)) = (argument(2)?, argument(3)?) else { return None };
                fate = match prim {
                    prim if ptr::eq(prim, &SUM) => Fate::Summed,
                    prim if ptr::eq(prim, &MEAN) => Fate::Averaged,
                    _ => return None,
                };
                reg = base;
            }
            Op::Return { src } if src == reg => {
                if frame.after.is_some() || chunk.inout != 0 {
                    return None;
                }
                if frame.entry {
                    return (index == end && fate != Fate::Read).then_some(fate);
                }
                let place = frame.result;
                index = index.checked_sub(1)?;
                let caller = frames.get(index)?;
                reg = Reg(place.checked_sub(caller.base)?.try_into().ok()?);
                at = caller.pc;
                loaded.clear();
            }
            _ => return None,
        }
    }
    None
}
