//! Windows of vectors at the outermost level of a gradient: slices of neighbours, and vectors with a margin.
//!
//! Finite differences, stencils and recurrences shift vectors before each operation. An entry of a few words says which elements went
//! where; on the way back they are added to the cotangent of the vector in place, or the cotangent of the window becomes that of
//! the vector.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::cells::Small;
use crate::ad::dispatch::escaped;
use crate::ad::formula_tensors::{Fate, Operands};
use crate::ad::reverse::{Bars, add};
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::small::{lost, own_tensor};
use crate::ad::tape::{Entry, General, Tape};
use crate::ad::{Cx, LevelState, Mode, Watch};
use crate::bytecode::formula::Formula;
use crate::error::Result;
use crate::ops::index::{GET_INDEX, neighbours};
use crate::ops::pad::{PAD, margin};
use crate::ops::prim::{ArgShape, Prim};
use crate::profile;
use crate::tensor::cut::Cut;
use crate::tensor::formula::onto::{Onto, Place};
use crate::tensor::index::slice_bounds;
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;

/// A window of a vector, as a tape has it.
#[derive(Clone, Copy)]
pub struct WindowEntry {
    pub base: Node,
    /// Length of the vector.
    pub n: usize,
    pub cut: Cut,
}

impl Cx {
    /// The tape of the outermost level, if that will be swept once, from 1, and nobody is watching.
    #[inline]
    pub(crate) fn plain_tape(&mut self) -> Option<&mut Tape> {
        if self.watch != Watch::Off || self.trap.records {
            return None;
        }
        match self.levels.first_mut() {
            Some(LevelState { mode: Mode::Reverse(tape), .. }) if tape.plain => Some(tape),
            _ => None,
        }
    }

    /// Neighbouring elements of a vector that is a constant, or recorded at the outermost level; `None` for others.
    pub fn neighbours(
        &mut self,
        slot: Slot,
        t: &Rc<Tensor>,
        (start, stop): (Option<i64>, Option<i64>),
    ) -> Result<Option<Value>> {
        let &[n] = t.shape() else { return Ok(None) };
        if self.watch != Watch::Off || !slot.is_const() && !self.records_window(slot, t) {
            return Ok(None);
        }
        let (start, len, _) = slice_bounds(start, stop, 1, n)?;
        if profile::is_on() {
            profile::works(&GET_INDEX);
        }
        self.window(slot, t, Cut { start, len, before: 0, after: 0 }, 0.0)
    }

    /// Whether a window of this vector is an entry of its own kind.
    #[inline]
    fn records_window(&mut self, slot: Slot, t: &Tensor) -> bool {
        slot.level() == Level(1) && t.rank() == 1 && t.dtype().is_float() && self.plain_tape().is_some()
    }

    /// Computes and records a primitive that makes a window of a vector, while [`Cx::is_swept_once`]; false, with nothing done, for others.
    #[inline]
    pub(super) fn record_window(&mut self, prim: &'static Prim, args: &[Value], out: &mut Value) -> Result<bool> {
        let made = match args {
            [Value::Tensor(slot, t), index] if std::ptr::eq(prim, &GET_INDEX) && self.records_window(*slot, t) => {
                let Some(range) = neighbours(t.len(), index) else { return Ok(false) };
                let cut = Cut { start: range.start, len: range.len(), before: 0, after: 0 };
                self.window(*slot, t, cut, 0.0)?
            }
            [Value::Tensor(slot, t), ..] if std::ptr::eq(prim, &PAD) && self.records_window(*slot, t) => {
                let Some(((before, after), fill)) = margin(t, args) else { return Ok(false) };
                self.window(*slot, t, Cut { start: 0, len: t.len(), before, after }, fill)?
            }
            _ => None,
        };
        let Some(made) = made else { return Ok(false) };
        if profile::is_on() {
            profile::works(prim);
        }
        out.put(made);
        Ok(true)
    }

    /// A window of a float vector (or of any, without a margin), recorded if that has a node; its tape is [`Cx::plain_tape`].
    pub(super) fn window(&mut self, slot: Slot, t: &Rc<Tensor>, cut: Cut, fill: f64) -> Result<Option<Value>> {
        self.rooms.spares.recorded = !slot.is_const();
        let made = cut.of(t, fill, &mut self.rooms.spares);
        self.rooms.spares.recorded = false;
        let Some(made) = made else { return Ok(None) };
        if slot.is_const() || cut.count() == t.len() && cut.len == t.len() {
            return Ok(Some(Value::Tensor(slot, made)));
        }
        let Some(tape) = self.plain_tape() else { return Err(escaped()) };
        let node = tape.push_small(|| General::Window(WindowEntry { base: slot.node(), n: t.len(), cut }))?;
        Ok(Some(Value::Tensor(Slot::new(Level(1), node), made)))
    }

    /// A formula that reads windows, of constants or of what is recorded at the outermost level; false, with nothing done, if it has to be
    /// computed operation by operation.
    pub(super) fn formula_of_windows(
        &mut self,
        formula: &Rc<Formula>,
        regs: &[Value],
        out: &mut Value,
        fate: &dyn Fn(usize) -> Fate,
    ) -> Result<bool> {
        let read = || formula.registers.iter().map(|reg| regs.get(reg.0 as usize)).zip(&formula.windows);
        let mut slots = 0;
        for (value, window) in read() {
            let fits = match value {
                Some(Value::Tensor(slot, t)) => {
                    slots |= slot.0;
                    window.is_none() || t.rank() == 1 && t.dtype().is_float()
                }
                Some(Value::Float(slot, _)) => {
                    slots |= slot.0;
                    window.is_none()
                }
                Some(Value::Int(_)) => window.is_none(),
                _ => false,
            };
            if !fits {
                return Ok(false);
            }
        }
        let level = Slot(slots).level().0;
        let mark = self.plain_tape().map(|tape| tape.mark());
        if level > 1 || mark.is_none() && (level == 1 || self.watch != Watch::Off || self.trap.records) {
            return Ok(false);
        }
        let mut operands = Operands::new();
        for (value, window) in read() {
            operands.push(match (value, window) {
                (Some(Value::Tensor(slot, t)), Some(window)) => {
                    let Some(cut) = window.cut(t.len()) else { return Ok(false) };
                    let Some(made) = self.window(*slot, t, cut, window.fill())? else { return Ok(false) };
                    made
                }
                (Some(value), _) => value.clone(),
                (None, _) => return Ok(false),
            });
        }
        let small = formula.total.is_none() && self.small_formula(formula, None, &operands, out)?;
        if small {
            return Ok(true);
        }
        if profile::is_on() {
            profile::works_fused();
        }
        if self.large_formula(formula, operands, out, fate)? {
            return Ok(true);
        }
        // Nobody has the windows.
        if let (Some(mark), Some(tape)) = (mark, self.plain_tape()) {
            tape.take_back(mark);
        }
        Ok(false)
    }

    /// Adds the cotangent of a window, entry `general`, to that of its vector, if it has one.
    pub(crate) fn pull_window(&mut self, tape: &Tape, bars: &mut Bars, general: usize) -> Result<()> {
        let Some(&General::Window(entry)) = tape.general.get(general) else { return Ok(()) };
        let Some(dtype) = bars.few_dtype(general) else { return Ok(()) };
        match dtype {
            DType::F32 => self.pull_window_of::<f32>(tape, bars, general, &entry),
            DType::F64 => self.pull_window_of::<f64>(tape, bars, general, &entry),
            _ => Err(lost()),
        }
    }

    fn pull_window_of<T: Small>(
        &mut self,
        tape: &Tape,
        bars: &mut Bars,
        general: usize,
        entry: &WindowEntry,
    ) -> Result<()> {
        let Some(value) = bars.take_value(general) else {
            let Some(cell) = bars.take_few::<T>(general) else { return Ok(()) };
            return bars.add_cut::<T>(self, tape, entry, cell);
        };
        match value {
            Value::Tensor(Slot::CONST, t) => bars.add_cut_of::<T>(self, tape, entry, t),
            _ => Err(lost()),
        }
    }
}

/// The window that a node is.
#[inline]
pub(crate) fn window_at(tape: &Tape, node: Node) -> Option<&WindowEntry> {
    let general = tape.entries.get(node.0 as usize)?.in_general()?;
    if let Some(General::Window(entry)) = tape.general.get(general) { Some(entry) } else { None }
}

impl Cx {
    /// Adds to the cotangent of a node, or, where that is a window, of its vector.
    pub(crate) fn add_through(&mut self, tape: &Tape, bars: &mut Bars, node: Node, value: Value) -> Result<()> {
        match (window_at(tape, node), value) {
            (Some(entry), Value::Tensor(Slot::CONST, t)) if t.dtype() == DType::F32 => {
                bars.add_cut_of::<f32>(self, tape, entry, t)
            }
            (Some(entry), Value::Tensor(Slot::CONST, t)) if t.dtype() == DType::F64 => {
                bars.add_cut_of::<f64>(self, tape, entry, t)
            }
            (_, value) => add(self, tape, bars, node, value),
        }
    }
}

impl Bars {
    /// Takes out what the cotangents of these operands of a formula can be added to in place: of each node or vector what is there, for
    /// the first operand that adds to it, so that sums keep their order. Where there is nothing yet, one for a window is begun. With it,
    /// the places in the tape.
    pub(crate) fn take_sums<'a>(
        &mut self,
        tape: &Tape,
        operands: impl Iterator<Item = (Node, &'a ArgShape)>,
    ) -> (Onto, SmallVec<[usize; 4]>) {
        let (mut onto, mut homes) = (Onto::default(), SmallVec::new());
        for (node, of) in operands {
            let n = count(&of.shape);
            let whole = Cut { start: 0, len: n, before: 0, after: 0 };
            let window = window_at(tape, node);
            let (base, n, cut) = window.map_or((node, n, whole), |w| (w.base, w.n, w.cut));
            let home = tape.entries.get(base.0 as usize).and_then(Entry::in_general).unwrap_or(usize::MAX);
            let first = !homes.contains(&home);
            homes.push(home);
            let place = if base.0 == 0 || !first { None } else { self.take_sum(home, window.is_some()) };
            onto.places.push(place.map(|sum| Place { n, cut, sum }));
        }
        (onto, homes)
    }

    fn take_sum(&mut self, home: usize, begins: bool) -> Option<Option<Rc<Tensor>>> {
        if self.is_loose(home) {
            return None;
        }
        let own = self.general.get_mut(home)?;
        if own.is_none() {
            return begins.then_some(None);
        }
        own_tensor(own.as_mut()?)?;
        if let Some(Value::Tensor(_, t)) = own.take() { Some(Some(t)) } else { None }
    }

    /// See [`Bars::take_sums`].
    pub(crate) fn give_back(&mut self, onto: Onto, homes: &[usize]) {
        for (place, home) in onto.places.into_iter().zip(homes) {
            if let Some(Place { sum: Some(sum), .. }) = place
                && let Some(own) = self.general.get_mut(*home)
            {
                *own = Some(Value::Tensor(Slot::CONST, sum));
            }
        }
    }
}
