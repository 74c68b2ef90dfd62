//! What compiled code finds on entry: values of the kinds that it was made for.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::Cx;
use crate::bytecode::chunk::Chunk;
use crate::bytecode::op::Reg;
use crate::native::calls::{Code, Promise};
use crate::native::frame::{Cell as Register, OBJECT, Object, Tag, What};
use crate::native::kind::Kind;
use crate::native::record::Recording;
use crate::native::region::Region;
use crate::native::sources::Sources;
use crate::native::vectors::same;
use crate::tensor::DType;
use crate::tensor::parts::element;
use crate::value::{StructDef, Value};

/// The inputs of a loop or function.
pub struct Inputs {
    /// Register and its kind, by cell.
    pub cells: Vec<(Reg, Kind)>,
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
        Inputs {
            cells,
            _kept: Kept::of(&region),
            objects: region.objects,
            sources: region.sources,
            promises: region.promises,
            dtype: region.dtype,
            fixed: region.fixed,
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
        let objects = self.objects.iter().all(|(reg, what)| what.fits(self.sources.value(regs, globals, *reg)));
        let is_fixed = |(reg, value): &(Reg, Value)| regs.get(reg.0 as usize).is_some_and(|held| same(held, value));
        objects
            && cx.env.dtype == self.dtype
            && self.fixed.iter().all(is_fixed)
            && self.promises.iter().all(Promise::holds)
            && self.cells.iter().all(|(reg, kind)| {
                // Elements are as the vector is.
                if self.sources.element(regs, globals, *reg).is_some() {
                    return true;
                }
                let value = self.sources.value(regs, globals, *reg);
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
            if let (Value::Tensor(slot, t), true) = (value, what.is_active()) {
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
        for (reg, _) in &self.cells {
            if let Some((slot, t, index)) = self.sources.element(regs, globals, *reg) {
                let (node, x) = if slot.is_const() {
                    (0, element(t, &index).ok()?.1)
                } else {
                    let Ok(Some(Value::Float(slot, x))) = cx.read_element(slot, t, &index) else { return None };
                    (slot.node().0, x)
                };
                cells.push(Register { float: x, node, tag: Tag::Float as u32, ..Register::default() });
                continue;
            }
            cells.push(match self.sources.value(regs, globals, *reg) {
                Value::Float(slot, x) => {
                    Register { float: *x, node: slot.node().0, tag: Tag::Float as u32, ..Register::default() }
                }
                Value::Int(i) => Register { int: *i, tag: Tag::Int as u32, ..Register::default() },
                Value::Bool(b) => Register { int: i64::from(*b), tag: Tag::Bool as u32, ..Register::default() },
                Value::None => Register { tag: Tag::None as u32, ..Register::default() },
                _ => match self.objects.iter().position(|(r, _)| r == reg) {
                    Some(object) => Register { tag: OBJECT + object as u32, ..Register::default() },
                    None => Register::default(),
                },
            });
        }
        Some(cells)
    }
}
