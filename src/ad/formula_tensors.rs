//! Formulas on tensors.
//!
//! On tensors the outermost level of a gradient records the whole formula as one entry; `formula_levels` has all other levels. On
//! structures formulas serve where nothing is differentiated, as in an optimizer's update.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::cells::{Cell, Small};
use crate::ad::dispatch::{arg_shape, escaped, is_structure};
use crate::ad::formula_structures::{is_ready, whole};
use crate::ad::reverse::{Bars, add};
use crate::ad::slopes::{Factor, Part, SlopesEntry};
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::{General, Tape};
use crate::ad::{Cx, Watch};
use crate::bytecode::formula::{Formula, Total};
use crate::bytecode::op::Reg;
use crate::error::{Error, Result};
use crate::few::few;
use crate::ops::arith::MUL;
use crate::ops::prim::ArgShape;
use crate::profile;
use crate::tensor::count;
use crate::tensor::form::Form;
use crate::tensor::formula::jet::{Order, jet};
use crate::tensor::formula::layout::{Layout, Operands as Laid, lay};
use crate::tensor::formula::onto::Onto;
use crate::tensor::formula::plan::{Plan, plan};
use crate::tensor::formula::pull::{Applied, Pulled, needed, pull_onto, pull_total};
use crate::tensor::formula::small;
use crate::tensor::formula::{evaluate, forward};
use crate::value::Value;

pub(super) type Operands = SmallVec<[Value; 6]>;
type Nodes = SmallVec<[Node; 4]>;

/// A formula on tensors, as a tape has it.
pub struct FormulaEntry {
    formula: Rc<Formula>,
    layout: Layout,
    /// Primal operands; those that the pullback does not read are `none`.
    operands: Operands,
    shapes: SmallVec<[ArgShape; 4]>,
    /// Node of each operand; the sink for constants.
    pub nodes: Nodes,
    out: Value,
}

/// A formula on small tensors of one shape and numbers, as a tape has it.
pub struct SmallFormulaEntry {
    formula: Rc<Formula>,
    plan: Rc<Plan>,
    /// Where its operands begin in those of the tape: the numbers, and the tensors that the pullback reads; each with its node, the sink
    /// for constants.
    operands: u32,
    out: Value,
    pub kept: small::Kept,
}

/// A sum or mean of a formula on tensors, as a tape has it: its gradient in each operand with a node.
pub struct TotalEntry {
    parts: SmallVec<[(Node, Value); 4]>,
}

/// What becomes of a formula's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Anything.
    Read,
    /// Nothing: it is the value of a function whose gradient alone is asked for.
    Unread,
    /// All elements are summed up, and the sum is unread; or their mean.
    Summed,
    Averaged,
}

impl Fate {
    /// If its `n` elements are only summed up: the share of each in the sum.
    pub fn scale(self, n: usize) -> Option<f64> {
        match self {
            Fate::Read | Fate::Unread => None,
            Fate::Summed => Some(1.0),
            Fate::Averaged => Some(1.0 / n as f64),
        }
    }
}

impl Cx {
    /// Gives `out` the value of a formula on these registers; false if it has to be computed operation by operation, for what it is
    /// made of or for the error that this gives.
    #[inline(never)]
    ///
    /// `fate` tells what becomes of the value, for a tape whose function's value is not asked for.
    pub fn formula_of_tensors(
        &mut self,
        formula: &Rc<Formula>,
        regs: &[Value],
        out: &mut Value,
        fate: &dyn Fn(usize) -> Fate,
    ) -> Result<bool> {
        if formula.is_scalar {
            return Ok(false);
        }
        if !formula.windows.is_empty() {
            return self.formula_of_windows(formula, regs, out, fate);
        }
        let registers = || formula.registers.iter().filter_map(|reg| regs.get(reg.0 as usize));
        if formula.total.is_none() && self.small_formula(formula, Some(&formula.registers), regs, out)? {
            return Ok(true);
        }
        if !registers().any(|v| matches!(v, Value::Tensor(..) | Value::Batched(..)) || is_structure(v)) {
            return Ok(false);
        }
        if profile::is_on() {
            profile::works_fused();
        }
        let operands: Operands = few(registers().cloned());
        if operands.len() != formula.registers.len() {
            return Ok(false);
        }
        self.large_formula(formula, operands, out, fate)
    }

    /// The same for the operands, whatever their size.
    pub(super) fn large_formula(
        &mut self,
        formula: &Rc<Formula>,
        operands: Operands,
        out: &mut Value,
        fate: &dyn Fn(usize) -> Fate,
    ) -> Result<bool> {
        let is_float = |(i, v): (usize, &Value)| formula.floats & (1 << i) == 0 || matches!(v, Value::Float(..));
        if formula.floats != 0 && !operands.iter().enumerate().all(is_float) {
            return Ok(false);
        }
        let level = operands.iter().map(|v| v.slot().level()).max().unwrap_or_default();
        let is_plain = |cx: &mut Cx| cx.tape_mut(level).is_some_and(|tape| tape.plain);
        let value = match level {
            Level(0) if formula.total.is_some() => evaluate(formula, &operands, &mut self.rooms),
            Level(0) if is_ready(formula, &operands) => whole(formula, &operands, &mut self.rooms),
            Level(0) => None,
            Level(1) if is_plain(self) => {
                if operands.iter().any(is_structure) {
                    None
                } else {
                    self.record_formula(formula, operands, level, fate)?
                }
            }
            _ => self.formula_under_levels(formula, &operands, fate)?,
        };
        Ok(value.map(|value| out.put(value)).is_some())
    }

    /// On small tensors of one shape: computed, and recorded if anything has a node; false if it is no such formula or the
    /// level is another than that of [`Cx::record_formula`].
    ///
    /// The operands are what stands in `registers` of `values`, or these as they are.
    pub(super) fn small_formula(
        &mut self,
        formula: &Rc<Formula>,
        registers: Option<&[Reg]>,
        values: &[Value],
        out: &mut Value,
    ) -> Result<bool> {
        let operand = |i: usize| match registers {
            Some(registers) => values.get(registers.get(i)?.0 as usize),
            None => values.get(i),
        };
        let registers = || (0..formula.registers.len()).filter_map(operand);
        let Some((plan, lead)) = plan(formula, registers()) else { return Ok(false) };
        let wanted = plan.kinds.wanted != 0;
        if wanted
            && (self.watch != Watch::Off
                || self.trap.records
                || !self.tape_mut(Level(1)).is_some_and(|tape| tape.plain))
        {
            return Ok(false);
        }
        self.rooms.spares.recorded = wanted;
        let computed = small::forward(formula, &plan, lead, operand, &mut self.rooms);
        self.rooms.spares.recorded = false;
        let Some((result, kept)) = computed else { return Ok(false) };
        if profile::is_on() {
            profile::works_fused();
        }
        if !wanted {
            // Nothing tells when these are done with.
            out.put(Value::Tensor(Slot::CONST, result));
            return Ok(true);
        }
        let Some(tape) = self.tape_mut(Level(1)) else { return Err(escaped()) };
        let needed = plan.needed;
        let is_needed = |i: usize| needed & (1 << i) != 0;
        let first = tape.operands.len() as u32;
        for (i, v) in registers().enumerate() {
            // Each kind is pushed apart: chosen first, an operand would be written in pieces and then copied, which waits for the pieces.
            let operands = &mut tape.operands;
            match v {
                Value::Tensor(slot, t) if is_needed(i) => {
                    operands.push((Value::Tensor(Slot::CONST, t.clone()), slot.node()));
                }
                Value::Tensor(slot, _) => operands.push((Value::None, slot.node())),
                Value::Float(slot, x) => operands.push((Value::float(*x), slot.node())),
                Value::Int(n) => operands.push((Value::Int(*n), Node(0))),
                _ => operands.push((Value::None, Node(0))),
            }
        }
        let last = formula.value(formula.steps.len()) - 1;
        let node = tape.push_small(|| {
            General::SmallFormula(SmallFormulaEntry {
                operands: first,
                kept,
                out: if is_needed(last) { Value::Tensor(Slot::CONST, result.clone()) } else { Value::None },
                formula: formula.clone(),
                plan,
            })
        })?;
        out.put(Value::Tensor(Slot::new(Level(1), node), result));
        Ok(true)
    }

    /// At the outermost level, if that is a gradient's: everything below is plain numbers and tensors, and so is every
    /// cotangent.
    fn record_formula(
        &mut self,
        formula: &Rc<Formula>,
        operands: Operands,
        level: Level,
        fate: &dyn Fn(usize) -> Fate,
    ) -> Result<Option<Value>> {
        if self.watch != Watch::Off || self.trap.records {
            return Ok(None);
        }
        let nodes: Nodes = few(operands.iter().map(|v| v.slot().node()));
        let mut primals: Operands = few(operands.into_iter().map(|v| v.into_slot(Slot::CONST)));
        let Some(Laid::Tensors(layout)) = lay(formula, &primals) else { return Ok(None) };
        let end = self.tape_mut(level).and_then(|tape| tape.unread);
        let fate = end.map_or(Fate::Read, fate);
        if let Some(total) = formula.total {
            return self.record_total(formula, total, nodes, (&primals, &layout, fate), level);
        }
        let wanted = wanted(&nodes);
        let shapes: SmallVec<[ArgShape; 4]> = few(primals.iter().map(arg_shape));
        let unread = fate.scale(count(&layout.shape));
        let order = Order { operands: &primals, tangents: &[], wanted, unread, anyway: false };
        if let Some(made) = jet(formula, &layout, &order) {
            let parts = nodes.iter().zip(shapes).zip(made.slopes).filter_map(|((node, of), slope)| {
                Some(Part { node: *node, shape: of.shape, factor: Factor::of(slope?.0, &primals) })
            });
            let entry = SlopesEntry { parts: parts.collect(), shape: layout.shape, dtype: layout.dtype };
            let Some(tape) = self.tape_mut(level) else { return Err(escaped()) };
            let node = tape.push_general(General::Slopes(Box::new(entry)), Slot::CONST)?;
            // A number that the sum might be stands for what is not read.
            let out = made.value.map_or(Value::float(0.0), |(value, _)| value);
            return Ok(Some(out.into_slot(Slot::new(level, node))));
        }
        let Some(out) = forward(formula, &primals, &layout) else { return Ok(None) };
        let needed = needed(formula, wanted);
        for (i, primal) in primals.iter_mut().enumerate() {
            if needed & (1 << i) == 0 {
                *primal = Value::None;
            }
        }
        let last = formula.value(formula.steps.len()) - 1;
        let kept = if needed & (1 << last) != 0 { out.clone() } else { Value::None };
        let entry = FormulaEntry { formula: formula.clone(), layout, operands: primals, shapes, nodes, out: kept };
        let Some(tape) = self.tape_mut(level) else { return Err(escaped()) };
        let node = tape.push_general(General::Formula(Box::new(entry)), Slot::CONST)?;
        Ok(Some(out.into_slot(Slot::new(level, node))))
    }
}

impl Cx {
    /// A sum or mean: its gradient is made along with it, and only scaled on the way back.
    fn record_total(
        &mut self,
        formula: &Formula,
        total: Total,
        nodes: Nodes,
        (primals, layout, fate): (&[Value], &Layout, Fate),
        level: Level,
    ) -> Result<Option<Value>> {
        let shapes: SmallVec<[ArgShape; 4]> = few(primals.iter().map(arg_shape));
        let out = &Value::None;
        let (wanted, unread) = (wanted(&nodes), fate == Fate::Unread);
        let applied = Applied { formula, layout, operands: primals, shapes: &shapes, out, wanted, unread };
        let Some((value, gradient)) = pull_total(&applied, total) else { return Ok(None) };
        let parts = nodes.into_iter().zip(gradient).filter_map(|(node, part)| Some((node, part?))).collect();
        let Some(tape) = self.tape_mut(level) else { return Err(escaped()) };
        let node = tape.push_general(General::Total(Box::new(TotalEntry { parts })), Slot::CONST)?;
        Ok(Some(Value::Float(Slot::new(level, node), value)))
    }
}

impl TotalEntry {
    /// What it keeps alive.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.parts.iter().map(|(_, part)| part)
    }

    /// Cotangents of the operands.
    pub fn pull(self, cx: &mut Cx, y_bar: &Value) -> Result<SmallVec<[(Node, Value); 4]>> {
        if matches!(y_bar, Value::Float(_, 1.0)) {
            return Ok(self.parts);
        }
        let scaled = |(node, part): (Node, Value)| Ok((node, cx.apply(&MUL, &[part, y_bar.clone()])?));
        self.parts.into_iter().map(scaled).collect()
    }
}

/// Bit `i`: operand `i` has a node.
fn wanted(nodes: &[Node]) -> u32 {
    nodes.iter().enumerate().filter(|(_, node)| node.0 != 0).fold(0, |mask, (i, _)| mask | 1 << i)
}

impl SmallFormulaEntry {
    /// What it keeps alive.
    pub fn values<'a>(&'a self, tape: &'a Tape) -> impl Iterator<Item = &'a Value> {
        self.operands(tape).iter().map(|(value, _)| value).chain([&self.out])
    }

    fn operands<'a>(&self, tape: &'a Tape) -> &'a [(Value, Node)] {
        let first = self.operands as usize;
        tape.operands.get(first..first + self.formula.registers.len()).unwrap_or(&[])
    }

    /// Adds the cotangents of the operands to what they have.
    pub(crate) fn pull<T: Small>(&self, cx: &mut Cx, tape: &Tape, bars: &mut Bars, y_bar: Cell) -> Result<()> {
        let SmallFormulaEntry { formula, plan, out, kept, .. } = self;
        let operands = self.operands(tape);
        let applied = small::Applied { formula, plan, out, kept };
        let operand = |i: usize| operands.get(i).map(|(value, _)| value);
        let cells = T::cells(&mut bars.loose);
        let form = cells.get_mut(y_bar).ok_or_else(no_formula)?.form;
        let (mut room, elements) = (cells.room.take().unwrap_or_default(), cells.lift(y_bar));
        let data = &elements[..];
        let nodes = Nodes::new();
        let mut owners = Owners { cx, tape, bars, operands, data, form, summed: nodes, last: Node(0) };
        let pulled = small::pull(&applied, operand, data, &mut room, &mut owners);
        let last = owners.last;
        let cells = T::cells(&mut bars.loose);
        cells.room = Some(room);
        cells.lay(y_bar, elements);
        pulled.ok_or_else(no_formula)??;
        bars.add_few::<T>(cx, tape, last, y_bar)
    }
}

/// The cotangents of a formula's operands.
struct Owners<'a, T> {
    cx: &'a mut Cx,
    tape: &'a Tape,
    bars: &'a mut Bars,
    operands: &'a [(Value, Node)],
    /// The cotangent of the result.
    data: &'a [T],
    form: Form,
    /// Those whose elements were given out.
    summed: Nodes,
    /// The last one that gets the cotangent of the result, which will be its own.
    last: Node,
}

impl<T> Owners<'_, T> {
    fn node(&self, i: usize) -> Node {
        self.operands.get(i).map_or(Node(0), |(_, node)| *node)
    }
}

impl<T: Small> small::Sink<T> for Owners<'_, T> {
    type Error = Error;

    fn place(&mut self, i: usize, n: usize) -> Option<(*mut T, bool)> {
        let node = self.node(i);
        if node.0 == 0 || self.summed.contains(&node) {
            return None;
        }
        let own = self.bars.place_of::<T>(self.tape, node, &self.form)?;
        if own.is_empty() {
            own.reserve(n);
        } else if own.len() != n {
            return None;
        }
        self.summed.push(node);
        Some((own.as_mut_ptr(), !own.is_empty()))
    }

    unsafe fn filled(&mut self, i: usize, n: usize) {
        let node = self.node(i);
        if let Some(own) = self.bars.place_of::<T>(self.tape, node, &self.form) {
            // SAFETY: there was room for them, and by now they are written.
            unsafe { own.set_len(n) };
        }
    }

    fn hand(&mut self, i: usize, pulled: small::Pulled<'_, T>) -> Result<()> {
        let node = self.node(i);
        match pulled {
            small::Pulled::Elements(x) => self.bars.add_elements(self.cx, self.tape, node, x, &self.form),
            small::Pulled::Number(x) => add(self.cx, self.tape, self.bars, node, Value::float(x)),
            small::Pulled::Root => match std::mem::replace(&mut self.last, node) {
                Node(0) => Ok(()),
                earlier => self.bars.add_elements(self.cx, self.tape, earlier, self.data, &self.form),
            },
        }
    }
}

#[cold]
fn no_formula() -> Error {
    Error::new("E0400", "a formula was pulled back that is none")
}

impl FormulaEntry {
    /// What it keeps alive.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.operands.iter().chain([&self.out])
    }

    /// The nodes of the operands, with their shapes.
    pub(crate) fn operands(&self) -> impl Iterator<Item = (Node, &ArgShape)> {
        self.nodes.iter().copied().zip(&self.shapes)
    }

    /// Cotangents of the operands, but for those that `onto` takes.
    pub fn pull(&self, y_bar: &Value, onto: &mut Onto) -> Result<Pulled> {
        let applied = Applied {
            formula: &self.formula,
            layout: &self.layout,
            operands: &self.operands,
            shapes: &self.shapes,
            out: &self.out,
            wanted: wanted(&self.nodes),
            unread: false,
        };
        pull_onto(&applied, y_bar, onto).ok_or_else(no_formula)
    }
}
