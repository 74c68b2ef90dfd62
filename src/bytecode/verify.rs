//! Checks a chunk before it runs (in tests and debug builds): registers, pools and jumps in range, and no way past
//! the end. It does not prove that registers are set before they are read; they start as `none`.

use crate::bytecode::chunk::Chunk;
use crate::bytecode::op::{Op, Operand};

/// The first thing that is wrong, as a sentence for the developers.
pub fn verify(chunk: &Chunk) -> Result<(), String> {
    let fail = |at: usize, what: &str| Err(format!("`{}` at {at} ({}): {what}", chunk.name, chunk.code[at].name()));
    if chunk.spans.len() != chunk.code.len() {
        return Err(format!("`{}` has {} places for {} instructions", chunk.name, chunk.spans.len(), chunk.code.len()));
    }
    if !matches!(chunk.code.last(), Some(Op::Return { .. } | Op::Jump { .. })) {
        return Err(format!("`{}` may run past its end", chunk.name));
    }
    for (at, op) in chunk.code.iter().enumerate() {
        for (role, operand) in op.operands() {
            let fine = match operand {
                // A row of no registers may begin behind the last.
                Operand::Reg(r) => r.0 < chunk.registers || (role == "first" && r.0 == chunk.registers),
                Operand::Const(c) => (c.0 as usize) < chunk.consts.len(),
                Operand::Name(n) => (n.0 as usize) < chunk.names.len(),
                Operand::Target(t) => (t.0 as usize) < chunk.code.len(),
                Operand::Table(t) => {
                    let len = match op {
                        Op::Call { .. } | Op::CallMethod { .. } | Op::CallHost { .. } => chunk.calls.len(),
                        Op::Operator { .. } => chunk.operators.len(),
                        Op::Prim1 { .. } => chunk.hosts.len(),
                        Op::Formula { .. } | Op::Total { .. } => chunk.formulas.len(),
                        Op::MakeDict { .. } => chunk.dict_keys.len(),
                        Op::MakeClosure { .. } => chunk.functions.len(),
                        Op::Format { .. } => chunk.formats.len(),
                        Op::GetIndex { .. } | Op::SetIndex { .. } | Op::UpdateIndex { .. } => chunk.indices.len(),
                        _ => chunk.types.len(),
                    };
                    (t.0 as usize) < len
                }
                Operand::Count(_) | Operand::Global(_) => true,
            };
            if !fine {
                return fail(at, &format!("operand {role} is out of range"));
            }
        }
        if let Op::Formula { formula, words, .. } | Op::Total { formula, words, .. } = op {
            let formula = &chunk.formulas[formula.0 as usize];
            let inside = formula.registers.iter().all(|r| r.0 < chunk.registers);
            if !inside || !formula.is_sound() || at + 1 + words.0 as usize >= chunk.code.len() {
                return fail(at, "the formula is unsound");
            }
        }
        if let Op::Affine { .. } = op
            && !matches!(chunk.code.get(at + Op::AFFINE_WORDS), Some(Op::Add { .. }))
        {
            return fail(at, "no sum behind the product");
        }
        if let Op::ForRange { iter, .. } | Op::ForStart { iter } | Op::ForNext { iter, .. } | Op::ForLoop { iter, .. } =
            op
            && iter.0 as usize + 3 >= chunk.registers as usize
        {
            return fail(at, "the loop's state stands outside the frame");
        }
        if let Op::Call { base, site } | Op::CallMethod { base, site } | Op::CallHost { base, site } = op
            && base.0 as usize + chunk.calls[site.0 as usize].count as usize >= chunk.registers as usize
        {
            return fail(at, "arguments stand outside the frame");
        }
    }
    chunk.functions.iter().try_for_each(|f| verify(&f.chunk))
}
