//! What a loop only reads: globals, and fields of structs. They stand in registers above those of the frame.

use crate::bytecode::chunk::Chunk;
use crate::bytecode::op::{GlobalSlot, Op, Reg};
use crate::symbol::Symbol;
use crate::value::Value;

/// How many a loop may have.
const MOST: usize = 64;

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Global(GlobalSlot),
    Field { of: Reg, name: Symbol },
}

/// The sources of a loop, in the order of their registers.
pub struct Sources {
    first: u16,
    list: Vec<Source>,
}

impl Sources {
    /// Those that some instructions of a chunk may read.
    pub fn of(chunk: &Chunk, code: &[Op], regs: &[Value], globals: &[Option<Value>]) -> Sources {
        let mut sources = Sources { first: chunk.registers, list: vec![] };
        let mut names: Vec<Symbol> = vec![];
        for op in code {
            match op {
                Op::GetGlobal { global, .. } => sources.note(Source::Global(*global)),
                Op::GetField { name, .. } => names.extend(chunk.names.get(name.0 as usize)),
                _ => {}
            }
        }
        names.sort_unstable();
        names.dedup();
        // Fields may be structs, too.
        let mut i = 0;
        while !names.is_empty() && i < chunk.registers as usize + sources.list.len() {
            let of = Reg(i as u16);
            if let Value::Struct(s) = sources.value(regs, globals, of) {
                let fields = names.iter().filter(|name| s.def.field(**name).is_some());
                fields.for_each(|name| sources.note(Source::Field { of, name: *name }));
            }
            i += 1;
        }
        sources
    }

    fn note(&mut self, source: Source) {
        if !self.list.contains(&source) && self.list.len() < MOST {
            self.list.push(source);
        }
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    fn register(&self, source: Source) -> Option<Reg> {
        let place = self.list.iter().position(|s| *s == source)?;
        self.first.checked_add(u16::try_from(place).ok()?).map(Reg)
    }

    /// The register of a global.
    pub fn global(&self, slot: GlobalSlot) -> Option<Reg> {
        self.register(Source::Global(slot))
    }

    /// The register of a field of the struct in a register.
    pub fn field(&self, of: Reg, name: Symbol) -> Option<Reg> {
        self.register(Source::Field { of, name })
    }

    /// What a register of the frame or of a source holds.
    pub fn value<'a>(&self, regs: &'a [Value], globals: &'a [Option<Value>], reg: Reg) -> &'a Value {
        if reg.0 < self.first {
            return regs.get(reg.0 as usize).unwrap_or(&Value::None);
        }
        match self.list.get((reg.0 - self.first) as usize) {
            Some(Source::Global(slot)) => globals.get(slot.0 as usize).and_then(Option::as_ref).unwrap_or(&Value::None),
            // A source of a smaller number.
            Some(Source::Field { of, name }) if of.0 < reg.0 => match self.value(regs, globals, *of) {
                Value::Struct(s) => s.def.field(*name).and_then(|i| s.fields.get(i)).unwrap_or(&Value::None),
                _ => &Value::None,
            },
            _ => &Value::None,
        }
    }
}
