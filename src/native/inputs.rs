//! What compiled code finds on entry: values of the kinds that it was made for.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::slot::{Level, Slot};
use crate::ad::{Cx, Watch};
use crate::bytecode::chunk::Chunk;
use crate::bytecode::op::Reg;
use crate::native::calls::{Code, Promise};
use crate::native::frame::{Cell as Register, OBJECT, Object, Tag, What};
use crate::native::kind::Kind;
use crate::native::record::Recording;
use crate::native::region::Region;
use crate::native::sources::{Source, Sources};
use crate::native::under::Around;
use crate::native::vectors::same;
use crate::tensor::parts::element;
use crate::tensor::{DType, Tensor};
use crate::value::{StructDef, Value};

/// The inputs of a loop or function.
pub struct Inputs {
    /// Register and its kind, by cell.
    pub cells: Vec<(Reg, Kind)>,
    /// Which of them hold something on entry.
    entering: Vec<usize>,
    pub sources: Sources,
    /// What elements or parts are read of, by register.
    pub objects: Vec<(Reg, What)>,
    /// Methods that are part of the code.
    promises: Vec<Promise>,
    pub recording: Recording,
    /// A trace would do where cotangents are plain numbers.
    may_trace: bool,
    /// Of floats in brackets.
    dtype: DType,
    /// Registers that hold just this.
    fixed: Vec<(Reg, Value)>,
    /// The forward level around it, if numbers of that are among the inputs.
    around: Option<Level>,
    /// Derivatives are taken inside: nobody may watch what they compute.
    derives: bool,
    /// What is told by its address lives as long as this.
    _kept: Kept,
}

/// Definitions and code that a region knows by their addresses.
struct Kept {
    _defs: Vec<Rc<StructDef>>,
    _chunks: Vec<Rc<Chunk>>,
}

impl Kept {
    fn of(region: &Region<'_>) -> Kept {
        let (mut defs, mut chunks) = (region.parts.defs.clone(), region.parts.chunks.clone());
        for frame in &region.frames {
            if let Code::Called(chunk) = &frame.code {
                chunks.push(chunk.clone());
            }
        }
        for (reg, _) in &region.objects {
            match region.sources.value(region.regs, region.globals, *reg) {
                Value::Struct(s) => defs.push(s.def.clone()),
                Value::StructType(def) => defs.push(def.clone()),
                Value::Fn(closure) => chunks.push(closure.chunk.clone()),
                _ => {}
            }
        }
        Kept { _defs: defs, _chunks: chunks }
    }
}

impl Inputs {
    pub fn of(region: Region<'_>, recording: Recording, may_trace: bool) -> Inputs {
        // What is only written may hold anything before.
        let at_entry = |reg: Reg| if region.sources.has(reg) { region.entry_kinds[reg] } else { Kind::Mixed };
        let cells = region.named.iter().map(|reg| (*reg, at_entry(*reg))).collect();
        let holds = |(i, reg): (usize, &Reg)| region.sources.has(*reg).then_some(i);
        Inputs {
            cells,
            entering: region.named.iter().enumerate().filter_map(holds).collect(),
            _kept: Kept::of(&region),
            objects: region.objects,
            sources: region.sources,
            promises: region.promises,
            dtype: region.dtype,
            fixed: region.fixed,
            around: region.around.filter(|_| region.is_under).map(|around| around.level),
            derives: region.directions.len() > 1,
            recording,
            may_trace,
        }
    }

    /// True if the registers hold what the code was made for.
    pub fn fits(&self, cx: &mut Cx, regs: &[Value], globals: &[Option<Value>]) -> bool {
        if self.recording != Recording::Nothing {
            let Some(tape) = cx.outermost_tape() else { return false };
            if (self.recording == Recording::Trace) != (self.may_trace && tape.plain) {
                return false;
            }
        }
        if self.derives && (cx.watch != Watch::Off || cx.trap.records) {
            return false;
        }
        let dtype = cx.env.dtype;
        let around = match (self.around, cx.forward_duals().map(Around::new)) {
            (Some(level), Some(around)) if around.level == level => Some(around),
            (Some(_), _) => return false,
            (None, _) => None,
        };
        let objects = self.objects.iter().all(|(reg, what)| what.fits(self.sources.value(regs, globals, *reg)));
        let is_fixed = |(reg, value): &(Reg, Value)| regs.get(reg.0 as usize).is_some_and(|held| same(held, value));
        objects
            && dtype == self.dtype
            && self.fixed.iter().all(is_fixed)
            && self.promises.iter().all(Promise::holds)
            && self.entering().all(|(_, reg, kind)| {
                if self.sources.with_tangent(*reg).is_some() {
                    return true;
                }
                // Elements are as the vector is.
                if self.sources.element(regs, globals, *reg).is_some() {
                    return true;
                }
                let value = self.sources.value(regs, globals, *reg);
                if let (Some(around), Value::Float(slot, _)) = (around, value)
                    && slot.level() == around.level
                {
                    return self.takes(around, *reg, *kind, *slot);
                }
                match (kind, value) {
                    // Slots come back as those of level 1.
                    (Kind::Mixed | Kind::Float { active: true }, Value::Float(slot, _)) => slot.level().0 <= 1,
                    // Told apart when it runs.
                    (Kind::Mixed | Kind::Unknown | Kind::Object(_), _) => true,
                    (kind, _) if kind.has_parts() => true,
                    _ => Kind::of(value) == *kind,
                }
            })
    }

    /// Whether a register of this kind may hold a number of the level around.
    fn takes(&self, around: Around<'_>, reg: Reg, kind: Kind, slot: Slot) -> bool {
        let Some((primal, Value::Float(tangent, _))) = around.parts(slot) else { return false };
        let may = |kind: Kind, slot: Slot| match kind {
            Kind::Float { active } => active || slot.is_const(),
            _ => false,
        };
        let of_tangent = self.sources.register(Source::Tangent { of: reg });
        let of_tangent = of_tangent.map(|reg| self.cells.iter().find(|(r, _)| *r == reg));
        // One that nothing names may be anything.
        may(kind, primal) && of_tangent.is_some_and(|cell| cell.is_none_or(|(_, kind)| may(*kind, *tangent)))
    }

    /// A tangent on entry: that of a number or of an element of a tensor.
    fn tangent_of(
        &self,
        cx: &mut Cx,
        of: Reg,
        kind: Kind,
        (regs, globals): (&[Value], &[Option<Value>]),
    ) -> Option<Register> {
        let element = self.sources.element(regs, globals, of);
        let slot = match &element {
            Some((slot, _, _)) => *slot,
            None => self.sources.value(regs, globals, of).slot(),
        };
        let around = Around::new(cx.forward_duals()?);
        let none = Register { tag: Tag::Float as u32, ..Register::default() };
        if slot.is_const() || slot.level() != around.level {
            return Some(none);
        }
        let (_, tangent) = around.parts(slot)?;
        let (slot, x) = match (tangent, element) {
            (Value::Float(slot, x), None) => (*slot, *x),
            (Value::Tensor(slot, t), Some((_, _, index))) => {
                let (slot, t) = (*slot, t.clone());
                read_element(cx, slot, &t, &index)?
            }
            _ => return None,
        };
        (slot.is_const() || kind == Kind::Float { active: true }).then_some(Register {
            float: x,
            node: slot.node().0,
            ..none
        })
    }

    /// The tensors and lists, as code sees them.
    pub fn objects(&self, cx: &mut Cx, regs: &mut [Value], globals: &[Option<Value>]) -> Option<SmallVec<[Object; 4]>> {
        let mut objects = SmallVec::new();
        for (reg, what) in &self.objects {
            let value: *mut Value = match regs.get_mut(reg.0 as usize) {
                Some(value) => value,
                // Only read: what is written stands in a register of the frame.
                None => std::ptr::from_ref(self.sources.value(regs, globals, *reg)).cast_mut(),
            };
            // SAFETY: a register or a global, which stay where they are while the code runs.
            let (mut object, value) = unsafe { (Object::new(value, *what)?, &*value) };
            if let (Value::Tensor(slot, t), true) = (value, what.is_active())
                && Some(slot.level()) != self.around
            {
                let tape = cx.outermost_tape()?;
                let entry = tape.entries.get(slot.node().0 as usize)?;
                // Of a tensor, not of a loop that has cotangents of its own.
                entry.in_general()?;
                object.whole = tape.whole(slot.node(), t);
            }
            objects.push(object);
        }
        Some(objects)
    }

    /// The registers; nothing if an element with a node cannot be read alone.
    pub fn registers(
        &self,
        cx: &mut Cx,
        regs: &[Value],
        globals: &[Option<Value>],
    ) -> Option<SmallVec<[Register; 32]>> {
        let mut cells: SmallVec<[Register; 32]> = SmallVec::new();
        // A number's own slot, below the level around.
        let own = |cx: &mut Cx, slot: Slot| match self.around {
            Some(level) if slot.level() == level => Some(Around::new(cx.forward_duals()?).parts(slot)?.0),
            _ => Some(slot),
        };
        cells.resize(self.cells.len(), Register::default());
        for (cell, reg, kind) in self.entering() {
            if let Some(of) = self.sources.with_tangent(*reg) {
                cells[cell] = self.tangent_of(cx, of, *kind, (regs, globals))?;
                continue;
            }
            if let Some((slot, t, index)) = self.sources.element(regs, globals, *reg) {
                let slot = own(cx, slot)?;
                let (slot, x) = read_element(cx, slot, t, &index)?;
                let node = slot.node().0;
                cells[cell] = Register { float: x, node, tag: Tag::Float as u32, ..Register::default() };
                continue;
            }
            cells[cell] = match self.sources.value(regs, globals, *reg) {
                Value::Float(slot, x) => {
                    let node = own(cx, *slot)?.node().0;
                    Register { float: *x, node, tag: Tag::Float as u32, ..Register::default() }
                }
                Value::Int(i) => Register { int: *i, tag: Tag::Int as u32, ..Register::default() },
                Value::Bool(b) => Register { int: i64::from(*b), tag: Tag::Bool as u32, ..Register::default() },
                Value::None => Register { tag: Tag::None as u32, ..Register::default() },
                _ => match self.objects.iter().position(|(r, _)| r == reg) {
                    Some(object) => Register { tag: OBJECT + object as u32, ..Register::default() },
                    None => Register::default(),
                },
            };
        }
        Some(cells)
    }

    /// The cells that hold something on entry, with their registers and kinds.
    fn entering(&self) -> impl Iterator<Item = (usize, &Reg, &Kind)> {
        self.entering.iter().filter_map(|cell| self.cells.get(*cell).map(|(reg, kind)| (*cell, reg, kind)))
    }
}

/// An element of a tensor with this slot.
fn read_element(cx: &mut Cx, slot: Slot, t: &Tensor, index: &[i64]) -> Option<(Slot, f64)> {
    if slot.is_const() {
        return Some((slot, element(t, index).ok()?.1));
    }
    match cx.read_element(slot, t, index) {
        Ok(Some(Value::Float(slot, x))) => Some((slot, x)),
        _ => None,
    }
}
