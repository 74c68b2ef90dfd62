//! Writes a chunk: labels instead of offsets, pools without duplicates.

use std::rc::Rc;

use crate::bytecode::chunk::{Chunk, Places};
use crate::bytecode::op::{Const, Name, Op, Operand, Reg, Table, Target};
use crate::source::Span;
use crate::symbol::Symbol;
use crate::value::Value;

/// A place to jump to, bound once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(u32);

/// A chunk in the making.
#[derive(Default)]
pub struct Writer {
    pub chunk: Chunk,
    /// By label: the instruction it stands before.
    labels: Vec<Option<u32>>,
    /// Jumps that wait for their label.
    jumps: Vec<(usize, Label)>,
    /// What instructions without places of operands share.
    no_operands: Rc<[Span]>,
    too_large: bool,
}

impl Writer {
    /// Appends an instruction.
    pub fn emit(&mut self, op: Op, span: Span, operands: &[Span]) {
        self.chunk.code.push(op);
        let shared = match self.chunk.spans.last() {
            Some(last) if *last.operands == *operands => last.operands.clone(),
            _ if operands.is_empty() => self.no_operands.clone(),
            _ => Rc::from(operands),
        };
        self.chunk.spans.push(Places { span, operands: shared });
    }

    /// The comparison behind `from` that leaves its result in `cond` becomes one with the `JumpUnless` that comes next
    /// and is the only one to read it.
    pub fn fuse_compare(&mut self, cond: Reg, from: usize) {
        let here = self.chunk.code.len();
        if here == from || self.labels.contains(&Some(here as u32)) {
            return;
        }
        let Some(last) = self.chunk.code.last_mut() else { return };
        *last = match *last {
            Op::Lt { dst, a, b } if dst == cond => Op::LtJump { dst, a, b },
            Op::Le { dst, a, b } if dst == cond => Op::LeJump { dst, a, b },
            Op::Gt { dst, a, b } if dst == cond => Op::GtJump { dst, a, b },
            Op::Ge { dst, a, b } if dst == cond => Op::GeJump { dst, a, b },
            Op::Eq { dst, a, b } if dst == cond => Op::EqJump { dst, a, b },
            Op::Ne { dst, a, b } if dst == cond => Op::NeJump { dst, a, b },
            other => other,
        };
    }

    /// Appends an instruction that jumps to `label`; its target is filled in later.
    pub fn emit_jump(&mut self, op: Op, label: Label, span: Span) {
        self.jumps.push((self.chunk.code.len(), label));
        self.emit(op, span, &[]);
    }

    /// Lets a `Formula` or `Total` at this place go on behind the last instruction.
    pub fn skip_from(&mut self, at: usize) {
        let rest = self.chunk.code.len() - at - 1;
        if let Op::Formula { words, .. } | Op::Total { words, .. } = &mut self.chunk.code[at] {
            match u16::try_from(rest) {
                Ok(rest) => words.0 = rest,
                Err(_) => self.too_large = true,
            }
        }
    }

    /// A new label, not bound yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Binds a label to the next instruction.
    pub fn bind(&mut self, label: Label) {
        self.labels[label.0 as usize] = Some(self.chunk.code.len() as u32);
    }

    /// Puts a value into the constant pool.
    pub fn constant(&mut self, value: Value) -> Const {
        let same = |a: &Value| match (a, &value) {
            (Value::Int(x), Value::Int(y)) => x == y,
            (Value::Float(_, x), Value::Float(_, y)) => x.to_bits() == y.to_bits(),
            (Value::Bool(x), Value::Bool(y)) => x == y,
            (Value::Str(x), Value::Str(y)) => x == y,
            (Value::None, Value::None) => true,
            _ => false,
        };
        if let Some(i) = self.chunk.consts.iter().rev().take(256).position(same) {
            return Const((self.chunk.consts.len() - 1 - i) as u16);
        }
        self.chunk.consts.push(value);
        Const(self.index(self.chunk.consts.len() - 1))
    }

    /// Puts a name into the name pool.
    pub fn name(&mut self, name: &str) -> Name {
        let symbol = Symbol::new(name);
        let index = match self.chunk.names.iter().position(|s| *s == symbol) {
            Some(i) => i,
            None => {
                self.chunk.names.push(symbol);
                self.chunk.names.len() - 1
            }
        };
        Name(self.index(index))
    }

    /// An index into a side table of this length after pushing.
    pub fn table(&mut self, len: usize) -> Table {
        Table(self.index(len - 1))
    }

    fn index(&mut self, index: usize) -> u16 {
        u16::try_from(index).unwrap_or_else(|_| {
            self.too_large = true;
            0
        })
    }

    /// Fills in the jumps. `Err` if a pool ran over.
    pub fn finish(mut self) -> Result<Chunk, TooLarge> {
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = self.labels[label.0 as usize];
            debug_assert!(target.is_some(), "a label of `{}` is not bound", self.chunk.name);
            self.chunk.code[at] = self.chunk.code[at].retarget(Target(target.unwrap_or_default()));
        }
        debug_assert!(self.chunk.code.iter().all(|op| {
            op.operands().iter().all(|(_, o)| {
                !matches!(o, Operand::Target(t)
                if t.0 as usize > self.chunk.code.len())
            })
        }),);
        if self.too_large { Err(TooLarge) } else { Ok(self.chunk) }
    }
}

/// A function has more constants, calls or registers than instructions can name.
#[derive(Debug)]
pub struct TooLarge;
