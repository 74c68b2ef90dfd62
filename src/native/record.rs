//! What native code records for the way back: entries of the tape, or the trace of a loop.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};
use cranelift_frontend::Variable;

use crate::ad::tape::Entry;
use crate::bytecode::formula::Formula;
use crate::bytecode::op::Reg;
use crate::native::action::{Action, Lanes, Place};
use crate::native::adjoint::{Back, Part};
use crate::native::emit::{Emitter, TRUSTED};
use crate::native::frame::Frame;
use crate::native::kind::Kind;
use crate::native::region::Region;
use crate::native::slopes::{Partial, Writer, constant};

/// How a loop with variables is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recording {
    /// It has none.
    Nothing,
    /// As entries of the tape.
    Entries,
    /// As a trace: partials and the way taken, in the order in which the loop's adjoint reads them backwards.
    Trace,
}

/// The end of what is recorded.
#[derive(Clone, Copy)]
pub struct Record {
    pub top: Variable,
    pub end: Variable,
    /// Of the next entry; a trace has none.
    pub node: Option<Variable>,
    /// Bytes between two looks at the room that is left.
    pub most: usize,
}

/// A formula that was recorded.
pub(super) struct Computed {
    pub value: Value,
    /// Of an entry.
    pub node: Option<Value>,
    /// For a trace: the operands with a partial.
    pub parts: Vec<(usize, Part)>,
}

/// Bytes of a word of the trace.
pub const WORD: usize = 8;

impl Emitter<'_> {
    pub(super) fn traces(&self) -> bool {
        self.recording == Recording::Trace
    }

    /// Leaves by `out` if there is no room up to the next look.
    pub(super) fn room(&mut self, out: Block) -> Option<()> {
        let Some(record) = self.record else { return Some(()) };
        let (top, end) = (self.b.use_var(record.top), self.b.use_var(record.end));
        let needed = self.b.ins().iadd_imm_s(top, record.most as i64);
        let fits = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, needed, end);
        let go = self.b.create_block();
        self.b.ins().brif(fits, go, &[], out, &[]);
        self.go_on(go);
        Some(())
    }

    pub(super) fn load_record(&mut self, record: Record) {
        let frame = self.b.use_var(self.frame);
        let top = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, top) as i32);
        self.b.def_var(record.top, top);
        let end = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, end) as i32);
        self.b.def_var(record.end, end);
    }

    /// Writes a word of the trace.
    pub(super) fn trace(&mut self, word: Value) -> Option<()> {
        let record = self.record?;
        let top = self.b.use_var(record.top);
        self.b.ins().store(TRUSTED, word, top, 0);
        let above = self.b.ins().iadd_imm_s(top, WORD as i64);
        self.b.def_var(record.top, above);
        Some(())
    }

    /// The value of a formula and, if it has variables, what is recorded of it: in the order of `Cx::formula`.
    pub(super) fn compute(&mut self, dst: Reg, formula: &Formula, lanes: Lanes, place: &Place) -> Option<Back> {
        let (mut operands, mut nodes) = (vec![], vec![]);
        for reg in &formula.registers {
            operands.push(self.float(*reg, place)?);
            nodes.push(self.node_of(*reg, place)?);
        }
        let Computed { value, node, parts } = self.differentiate(formula, lanes, &operands, &nodes)?;
        self.set_float(dst, value, node)?;
        let parts: Vec<(Reg, Part)> =
            parts.into_iter().filter_map(|(i, part)| Some((*formula.registers.get(i)?, part))).collect();
        Some(if parts.is_empty() { Back::End { dst } } else { Back::Flow { dst, parts } })
    }

    /// One float or the other.
    pub(super) fn select(&mut self, holds: Value, dst: Reg, from: [Reg; 2], place: &Place) -> Option<Back> {
        let [yes, no] = from.map(|reg| self.float(reg, place));
        let value = self.b.ins().select(holds, yes?, no?);
        let nodes = [self.node_of(from[0], place)?, self.node_of(from[1], place)?];
        if nodes.iter().all(Option::is_none) {
            self.set_float(dst, value, None)?;
            return Some(Back::End { dst });
        }
        if self.traces() {
            let (one, zero) = (self.b.ins().f64const(1.0), self.b.ins().f64const(0.0));
            let slopes = [self.b.ins().select(holds, one, zero), self.b.ins().select(holds, zero, one)];
            let mut parts = vec![];
            for ((reg, node), slope) in from.into_iter().zip(nodes).zip(slopes) {
                if node.is_some() {
                    self.trace(slope)?;
                    parts.push((reg, Part::Kept));
                }
            }
            self.set_float(dst, value, None)?;
            return Some(Back::Flow { dst, parts });
        }
        let [yes, no] = nodes.map(|node| node.unwrap_or_else(|| self.b.ins().iconst(types::I32, 0)));
        let node = self.b.ins().select(holds, yes, no);
        self.set_float(dst, value, Some(node))?;
        Some(Back::Nothing)
    }

    /// Computes a formula of operands, whose nodes are given if they have some, and records it.
    pub(super) fn differentiate(
        &mut self,
        formula: &Formula,
        lanes: Lanes,
        operands: &[Value],
        nodes: &[Option<Value>],
    ) -> Option<Computed> {
        let wanted = nodes.iter().enumerate().filter(|(_, n)| n.is_some()).fold(0, |mask, (i, _)| mask | 1 << i);
        let computed = Writer { b: &mut self.b, calls: self.calls, seen: &mut self.seen }
            .formula(formula, lanes, operands, wanted);
        if self.traces() {
            let mut parts = vec![];
            for (i, partial) in computed.partials.iter().enumerate() {
                parts.push(match partial {
                    Some(Partial::One) => (i, Part::One),
                    Some(Partial::Is(x)) => match constant(&self.b, *x) {
                        Some(x) => (i, Part::Always(x)),
                        None => {
                            self.trace(*x)?;
                            (i, Part::Kept)
                        }
                    },
                    None => continue,
                });
            }
            return Some(Computed { value: computed.value, node: None, parts });
        }
        let parts: Vec<(Value, Partial)> =
            nodes.iter().zip(&computed.partials).filter_map(|(node, partial)| Some(((*node)?, (*partial)?))).collect();
        let node = match parts[..] {
            [] => None,
            [(node, Partial::One)] => Some(node),
            [(a, pa)] => {
                let zero = self.b.ins().iconst(types::I32, 0);
                let nothing = self.b.ins().f64const(0.0);
                Some(self.push((a, pa), (zero, Partial::Is(nothing)))?)
            }
            [first, ref rest @ ..] => {
                let mut sum = first;
                for part in rest {
                    sum = (self.push(sum, *part)?, Partial::One);
                }
                Some(sum.0)
            }
        };
        Some(Computed { value: computed.value, node, parts: vec![] })
    }

    /// Writes an entry; its node.
    pub(super) fn push(&mut self, (a, pa): (Value, Partial), (b, pb): (Value, Partial)) -> Option<Value> {
        let record = self.record?;
        let top = self.b.use_var(record.top);
        let mut number = |p: Partial| match p {
            Partial::One => self.b.ins().f64const(1.0),
            Partial::Is(x) => x,
        };
        let (pa, pb) = (number(pa), number(pb));
        let fields = [
            (a, offset_of!(Entry, a)),
            (b, offset_of!(Entry, b)),
            (pa, offset_of!(Entry, pa)),
            (pb, offset_of!(Entry, pb)),
        ];
        for (value, offset) in fields {
            self.b.ins().store(TRUSTED, value, top, offset as i32);
        }
        let above = self.b.ins().iadd_imm_s(top, size_of::<Entry>() as i64);
        self.b.def_var(record.top, above);
        let var = record.node?;
        let node = self.b.use_var(var);
        let next = self.b.ins().iadd_imm_s(node, 1);
        self.b.def_var(var, next);
        Some(self.b.ins().ireduce(types::I32, node))
    }
}

/// How many bytes the instructions may record between two looks.
pub fn most(region: &Region<'_>, recording: Recording) -> usize {
    let places = || region.places.iter().flatten();
    let parts = places().map(|place| parts(region, place)).sum::<usize>();
    match recording {
        Recording::Nothing => 0,
        Recording::Entries => parts * size_of::<Entry>(),
        // And each may note that it was the one to jump.
        Recording::Trace => (parts + places().count() + 1) * WORD,
    }
}

/// How many entries or words an instruction may write.
fn parts(region: &Region<'_>, place: &Place) -> usize {
    let is_active = |k: u16| region.objects.get(k as usize).is_some_and(|(_, what)| what.is_active());
    match &place.action {
        Action::Element { object, .. } | Action::Each { object, .. } => usize::from(is_active(*object)),
        Action::Update { object, .. } if is_active(*object) => 3,
        Action::Compute { formula, .. } => {
            let active = |r: &&Reg| place.kinds[**r] == Kind::Float { active: true };
            formula.registers.iter().filter(active).count()
        }
        Action::Select { yes, no, .. } => {
            [yes, no].into_iter().filter(|r| place.kinds[**r] == Kind::Float { active: true }).count()
        }
        _ => 0,
    }
}
