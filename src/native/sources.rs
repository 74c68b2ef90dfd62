//! What a loop finds on entry outside the registers of its frame: globals, and parts of what is in registers. Each has a
//! register above those of the frame.

use std::rc::Rc;

use smallvec::{SmallVec, smallvec};

use crate::ad::slot::Slot;
use crate::bytecode::op::{GlobalSlot, Reg};
use crate::tensor::Tensor;
use crate::value::{Key, Value};

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Global(GlobalSlot),
    /// An item of a tuple, a field of a struct, a capture of a function.
    Part {
        of: Reg,
        number: u16,
    },
    /// The tangent of a number of the forward level around the loop.
    Tangent {
        of: Reg,
    },
    /// Of a dict, by one of [`Sources::keys`].
    Entry {
        of: Reg,
        key: u16,
    },
    /// One of [`Sources::constants`].
    Constant(u16),
}

/// The sources of a loop, in the order of their registers.
pub struct Sources {
    /// Registers of the frame.
    own: u16,
    list: Vec<(Reg, Source)>,
    keys: Vec<Key>,
    constants: Vec<Value>,
}

impl Sources {
    pub fn new(own: u16) -> Sources {
        Sources { own, list: vec![], keys: vec![], constants: vec![] }
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn registers(&self) -> impl Iterator<Item = Reg> {
        self.list.iter().map(|(reg, _)| *reg)
    }

    /// Whether a register is one of the frame.
    pub fn is_own(&self, reg: Reg) -> bool {
        reg.0 < self.own
    }

    /// Whether it holds something on entry.
    pub fn has(&self, reg: Reg) -> bool {
        self.is_own(reg) || self.list.binary_search_by_key(&reg, |(r, _)| *r).is_ok()
    }

    /// A new source, in a register above all others.
    pub fn note(&mut self, source: Source, reg: Reg) {
        self.list.push((reg, source));
    }

    /// An entry of a dict.
    pub fn entry(&mut self, of: Reg, key: Key) -> Option<Source> {
        let place = self.keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        Some(Source::Entry { of, key: u16::try_from(place).ok()? })
    }

    /// A constant of a chunk, which has one source wherever it is loaded.
    pub fn constant(&mut self, value: &Value) -> Option<Source> {
        let same = |known: &Value| match (known, value) {
            (Value::Str(a), Value::Str(b)) => Rc::ptr_eq(a, b),
            (Value::Builtin(a), Value::Builtin(b)) => std::ptr::eq(*a, *b),
            (Value::Prim(a), Value::Prim(b)) => std::ptr::eq(*a, *b),
            _ => false,
        };
        let place = self.constants.iter().position(same).unwrap_or_else(|| {
            self.constants.push(value.clone());
            self.constants.len() - 1
        });
        Some(Source::Constant(u16::try_from(place).ok()?))
    }

    /// The register of a source.
    pub fn register(&self, source: Source) -> Option<Reg> {
        self.list.iter().find(|(_, s)| *s == source).map(|(reg, _)| *reg)
    }

    /// The vector or matrix of which a register is an element on entry, and the index.
    pub fn element<'a>(
        &'a self,
        regs: &'a [Value],
        globals: &'a [Option<Value>],
        reg: Reg,
    ) -> Option<(Slot, &'a Tensor, SmallVec<[i64; 2]>)> {
        let Source::Part { of, number } = self.source(reg)? else { return None };
        match self.value(regs, globals, of) {
            Value::Tensor(slot, t) if of < reg => {
                let number = i64::from(number);
                let index = match *t.shape() {
                    [_, n] => smallvec![number / (n as i64).max(1), number % (n as i64).max(1)],
                    _ => smallvec![number],
                };
                Some((*slot, t, index))
            }
            _ => None,
        }
    }

    /// The register whose tangent stands in a register on entry.
    pub fn with_tangent(&self, reg: Reg) -> Option<Reg> {
        match self.source(reg)? {
            Source::Tangent { of } => Some(of),
            _ => None,
        }
    }

    fn source(&self, reg: Reg) -> Option<Source> {
        let place = self.list.binary_search_by_key(&reg, |(r, _)| *r).ok()?;
        self.list.get(place).map(|(_, source)| *source)
    }

    /// What a register of the frame or of a source holds on entry.
    pub fn value<'a>(&'a self, regs: &'a [Value], globals: &'a [Option<Value>], reg: Reg) -> &'a Value {
        if self.is_own(reg) {
            return regs.get(reg.0 as usize).unwrap_or(&Value::None);
        }
        let found = match self.source(reg) {
            Some(Source::Global(slot)) => globals.get(slot.0 as usize).and_then(Option::as_ref),
            // A source of a smaller number.
            Some(Source::Part { of, number }) if of < reg => match self.value(regs, globals, of) {
                Value::Tuple(items) => items.get(number as usize),
                Value::Struct(s) => s.fields.get(number as usize),
                Value::Fn(closure) => closure.captures.get(number as usize),
                Value::Native(native) if number == 0 => native.0.inner(),
                _ => None,
            },
            Some(Source::Entry { of, key }) if of < reg => {
                match (self.value(regs, globals, of), self.keys.get(key as usize)) {
                    (Value::Dict(dict), Some(key)) => dict.get(key),
                    _ => None,
                }
            }
            Some(Source::Constant(i)) => self.constants.get(i as usize),
            _ => None,
        };
        found.unwrap_or(&Value::None)
    }
}
