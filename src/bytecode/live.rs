//! Which registers hold what is still read: backwards along the ways of a chunk, until nothing changes.

use smallvec::{SmallVec, smallvec};

use crate::bytecode::chunk::{CaptureSource, Chunk, IndexPart, Piece, TypeTest};
use crate::bytecode::op::{Op, Operand, Reg};

/// A set of registers.
#[derive(Clone, PartialEq, Eq)]
pub struct Set(Vec<u64>);

impl Set {
    fn new(registers: usize) -> Set {
        Set(vec![0; registers.div_ceil(64)])
    }

    fn all(registers: usize) -> Set {
        Set(vec![u64::MAX; registers.div_ceil(64)])
    }

    /// True if the register is one of them.
    pub fn has(&self, reg: Reg) -> bool {
        self.0.get(reg.0 as usize / 64).is_some_and(|word| word >> (reg.0 % 64) & 1 != 0)
    }

    /// Adds a register.
    pub fn insert(&mut self, reg: Reg) {
        if let Some(word) = self.0.get_mut(reg.0 as usize / 64) {
            *word |= 1 << (reg.0 % 64);
        }
    }

    fn remove(&mut self, reg: Reg) {
        if let Some(word) = self.0.get_mut(reg.0 as usize / 64) {
            *word &= !(1 << (reg.0 % 64));
        }
    }

    fn add(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
    }
}

/// What an instruction does to registers. It may write others than `kills`, too, which then counts for nothing.
struct Effect {
    /// First register and how many.
    reads: SmallVec<[(Reg, usize); 4]>,
    kills: SmallVec<[Reg; 3]>,
    /// Instructions that may follow, and what is killed on the way there.
    next: SmallVec<[(usize, Option<Reg>); 2]>,
}

/// By instruction of a chunk: the registers whose values may be read from there on. Those of `inout` parameters are always
/// among them.
pub fn live(chunk: &Chunk) -> Vec<Set> {
    let registers = chunk.registers as usize;
    let code = &chunk.code;
    // An error may go to a handler from anywhere in between.
    if code.iter().any(|op| matches!(op, Op::TryStart { .. })) {
        return vec![Set::all(registers); code.len()];
    }
    let mut handed = Set::new(registers);
    for i in (0..64).filter(|i| chunk.inout >> i & 1 != 0) {
        handed.insert(Reg(i));
    }
    let mut live = vec![handed.clone(); code.len()];
    let effects: Vec<Effect> = (0..code.len()).map(|at| effect(chunk, at)).collect();
    loop {
        let mut changed = false;
        for (at, effect) in effects.iter().enumerate().rev() {
            let mut set = handed.clone();
            for (next, killed) in &effect.next {
                if let Some(then) = live.get(*next) {
                    let mut then = then.clone();
                    killed.iter().for_each(|reg| then.remove(*reg));
                    set.add(&then);
                }
            }
            effect.kills.iter().for_each(|reg| set.remove(*reg));
            for (first, count) in &effect.reads {
                (0..*count).for_each(|i| set.insert(Reg(first.0.saturating_add(i as u16))));
            }
            set.add(&handed);
            if set != live[at] {
                live[at] = set;
                changed = true;
            }
        }
        if !changed {
            return live;
        }
    }
}

/// Whether an instruction writes a register, takes what is in it, or changes a part of that.
pub fn writes(chunk: &Chunk, at: usize, reg: Reg) -> bool {
    let changed = match chunk.code[at] {
        Op::Take { src, .. } | Op::TakeList { src, .. } => src == reg,
        Op::SetField { object, .. } | Op::TakeField { object, .. } | Op::SetGrown { object, .. } => object == reg,
        _ => false,
    };
    changed || effect(chunk, at).kills.contains(&reg)
}

fn effect(chunk: &Chunk, at: usize) -> Effect {
    let op = chunk.code[at];
    let all = (Reg(0), chunk.registers as usize);
    let state = |iter: Reg, n: usize| (0..n).map(|i| Reg(iter.0.saturating_add(i as u16))).collect();
    // As most do: `dst` is written, other registers are read.
    let mut effect = Effect { reads: smallvec![], kills: smallvec![], next: smallvec![(at + 1, None)] };
    for (role, operand) in op.operands() {
        match operand {
            Operand::Reg(reg) if role == "dst" => effect.kills.push(reg),
            Operand::Reg(reg) => effect.reads.push((reg, 1)),
            Operand::Target(to) => effect.next.push((to.0 as usize, None)),
            _ => {}
        }
    }
    let values = |first: Reg, parts: &[IndexPart]| {
        let count: usize = parts
            .iter()
            .map(|p| match p {
                IndexPart::At => 1,
                IndexPart::Slice { start, stop, step } => [start, stop, step].into_iter().filter(|x| **x).count(),
                IndexPart::Ellipsis => 0,
            })
            .sum();
        (first, 1 + count)
    };
    match op {
        // The words behind read before it writes.
        Op::MulAdd { .. } => {
            let behind = chunk.code.get(at + 1);
            if let Some(Op::Plus { c } | Op::PlusTo { c } | Op::Minus { c } | Op::MinusFrom { c }) = behind {
                effect.reads.push((*c, 1));
            }
        }
        Op::Plus { .. } | Op::PlusTo { .. } | Op::Minus { .. } | Op::MinusFrom { .. } => effect.reads.clear(),
        Op::Affine { .. } => effect.next.push((at + 1 + Op::AFFINE_WORDS, None)),
        Op::Formula { formula, words, .. } | Op::Total { formula, words, .. } => {
            let formula = chunk.formulas.get(formula.0 as usize);
            effect.reads.extend(formula.iter().flat_map(|f| &f.registers).map(|reg| (*reg, 1)));
            effect.next.push((at + 1 + words.0 as usize, None));
        }
        Op::Jump { to } => effect.next = smallvec![(to.0 as usize, None)],
        // Nothing is written if nothing is given.
        Op::Override { .. } => effect.kills.clear(),
        Op::ForRange { iter, lo, hi } => {
            effect.reads = smallvec![(lo, 1), (hi, 1)];
            effect.kills = smallvec![iter];
        }
        Op::ForStart { iter } => {
            effect.reads = smallvec![(iter, 1)];
            effect.kills = state(Reg(iter.0.saturating_add(1)), 2);
        }
        Op::ForNext { iter, to } | Op::ForLoop { iter, to } => {
            effect.reads = smallvec![(iter, 3)];
            let item = Some(Reg(iter.0.saturating_add(3)));
            let to = to.0 as usize;
            effect.next = match op {
                Op::ForNext { .. } => smallvec![(at + 1, item), (to, None)],
                _ => smallvec![(to, item), (at + 1, None)],
            };
        }
        Op::Call { base, site } | Op::CallMethod { base, site } => {
            let count = chunk.calls.get(site.0 as usize).map_or(0, |site| site.count as usize);
            effect.reads = smallvec![(base, 1 + count)];
            effect.kills = smallvec![base];
        }
        // No function stands before the arguments.
        Op::CallHost { base, site } => {
            let count = chunk.calls.get(site.0 as usize).map_or(0, |site| site.count as usize);
            effect.reads = smallvec![(Reg(base.0.saturating_add(1)), count)];
            effect.kills = smallvec![base];
        }
        Op::Return { .. } => effect.next.clear(),
        Op::MakeTuple { first, n, .. } | Op::MakeTensor { first, n, .. } => {
            effect.reads = smallvec![(first, n.0 as usize)];
        }
        Op::MakeDict { first, site, .. } => {
            effect.reads = smallvec![(first, chunk.dict_keys.get(site.0 as usize).map_or(0, Vec::len))];
        }
        Op::MakeClosure { function, .. } => {
            let captures = chunk.functions.get(function.0 as usize).map_or(&[][..], |f| f.captures.as_slice());
            effect.reads.extend(captures.iter().filter_map(|capture| match capture {
                CaptureSource::Reg(reg) => Some((*reg, 1)),
                CaptureSource::Itself | CaptureSource::Global(_) => None,
            }));
        }
        Op::Unpack { first, src, n } => {
            effect.reads = smallvec![(src, 1)];
            effect.kills = state(first, n.0 as usize);
        }
        Op::Format { first, format, .. } => {
            let pieces = chunk.formats.get(format.0 as usize).map_or(&[][..], Vec::as_slice);
            let count = Piece::count(pieces);
            effect.reads = smallvec![(first, count)];
        }
        Op::GetIndex { first, index, .. }
        | Op::SetIndex { first, index, .. }
        | Op::UpdateIndex { first, index, .. } => {
            effect.reads.extend(chunk.indices.get(index.0 as usize).map(|parts| values(first, parts)));
        }
        // Dimension variables are read and bound.
        Op::Check { test, .. } => match chunk.types.get(test.0 as usize) {
            Some(TypeTest::Any | TypeTest::None | TypeTest::Bool | TypeTest::Int | TypeTest::Float | TypeTest::Str) => {
            }
            _ => effect.reads.push(all),
        },
        // It reads the parameters.
        Op::MakeStruct { .. } => effect.reads.push(all),
        _ => {}
    }
    effect
}
