//! Tuples, structs and closures in native code: they are never made. Their parts stand in registers of their own, and are put
//! together where code leaves. (Scalar replacement of aggregates.)

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::ad::transforms::Taken;
use crate::bytecode::chunk::Chunk;
use crate::bytecode::op::Reg;
use crate::native::action::Action;
use crate::native::frame::What;
use crate::native::kind::{Kind, Kinds};
use crate::native::region::Region;
use crate::native::sources::Source;
use crate::native::tangents::{AROUND, number as number_of_tangent};
use crate::value::{Closure, StructDef, StructValue, Value};

/// Leaves of what is taken apart on entry: as it is read, and if it changes.
const READ: usize = 12;
const CHANGED: usize = 64;

/// The registers of parts.
#[derive(Default)]
pub struct Parts {
    registers: FxHashMap<(Reg, u16), Reg>,
    pub defs: Vec<Rc<StructDef>>,
    pub chunks: Vec<Rc<Chunk>>,
}

impl Parts {
    /// The kind of structs of a definition.
    pub fn of_struct(&mut self, def: &Rc<StructDef>) -> Option<Kind> {
        number(&mut self.defs, def).map(Kind::Struct)
    }

    /// The kind of closures with some code.
    pub fn of_closure(&mut self, chunk: &Rc<Chunk>) -> Option<Kind> {
        number(&mut self.chunks, chunk).map(Kind::Closure)
    }

    /// How many parts values of a kind have.
    pub fn count(&self, kind: Kind) -> u16 {
        let count = match kind {
            Kind::Tuple(n) => n as usize,
            Kind::Vector { n, .. } => n as usize,
            Kind::Struct(d) => self.defs.get(d as usize).map_or(0, |def| def.fields.len()),
            Kind::Closure(c) => self.chunks.get(c as usize).map_or(0, |chunk| chunk.captures as usize),
            Kind::Derivative(_) => 1,
            _ => 0,
        };
        count as u16
    }

    /// The register of a part that was copied or set before.
    pub fn register(&self, of: Reg, number: u16) -> Option<Reg> {
        self.registers.get(&(of, number)).copied()
    }

    /// Notes it.
    pub fn set_register(&mut self, of: Reg, number: u16, reg: Reg) {
        self.registers.insert((of, number), reg);
    }
}

fn number<T>(list: &mut Vec<Rc<T>>, item: &Rc<T>) -> Option<u16> {
    let place = list.iter().position(|known| Rc::ptr_eq(known, item));
    let place = place.unwrap_or_else(|| {
        list.push(item.clone());
        list.len() - 1
    });
    u16::try_from(place).ok()
}

/// How many leaves a value has; more than `most` is one more.
fn leaves(value: &Value, most: usize) -> usize {
    let sum = |items: &[Value]| items.iter().fold(0, |sum, item| (sum + leaves(item, most)).min(most + 1));
    match value {
        Value::Tuple(items) => sum(items),
        Value::Struct(s) => sum(&s.fields),
        value => match What::of_vector(value) {
            Some(What::Vector { n, .. }) => n as usize,
            _ => 1,
        },
    }
}

impl Region<'_> {
    /// A register that nothing else has.
    pub(super) fn new_register(&mut self) -> Option<Reg> {
        let reg = Reg(self.registers);
        self.registers = self.registers.checked_add(1)?;
        Some(reg)
    }

    /// The register of a part.
    pub(super) fn child(&mut self, of: Reg, number: u16) -> Option<Reg> {
        if let Some(reg) = self.parts.register(of, number) {
            return Some(reg);
        }
        let reg = self.new_register()?;
        self.parts.set_register(of, number, reg);
        Some(reg)
    }

    /// The kind of what a register holds on entry, taken apart if it is small or, if it `changes`, not too large.
    pub(super) fn entering(&mut self, reg: Reg, changes: bool) -> Option<Kind> {
        let element = self.sources.element(self.regs, self.globals, reg).map(|(slot, _, _)| slot);
        let float = match self.sources.value(self.regs, self.globals, reg) {
            Value::Float(slot, _) => Some(*slot),
            _ => None,
        };
        if let Some(slot) = element.or(float) {
            return self.entering_float(reg, slot);
        }
        let value = self.sources.value(self.regs, self.globals, reg);
        let most = if changes { CHANGED } else { READ };
        let vector = What::of_vector(value).filter(|_| changes);
        let (what, kind, count) = match value {
            Value::Tensor(..) if let Some(what @ What::Vector { n, single, .. }) = vector => {
                (what, Kind::Vector { n, single }, u16::from(n))
            }
            Value::Tuple(items) if leaves(value, most) <= most => {
                let n = u16::try_from(items.len()).ok()?;
                (What::Tuple(n), Kind::Tuple(n), n)
            }
            Value::Struct(s) if leaves(value, most) <= most => {
                let kind = self.parts.of_struct(&s.def)?;
                (What::of_struct(&s.def), kind, u16::try_from(s.fields.len()).ok()?)
            }
            _ => {
                let what = match (What::of(value), Kind::of(value)) {
                    (Some(what), _) => what,
                    (None, Kind::Untouched) if !self.sources.is_own(reg) => What::Other,
                    (None, kind) => return Some(kind),
                };
                self.objects.push((reg, what));
                return Some(Kind::Object(u16::try_from(self.objects.len() - 1).ok()?));
            }
        };
        self.objects.push((reg, what));
        for i in 0..count {
            let part = self.new_register()?;
            self.sources.note(Source::Part { of: reg, number: i }, part);
            self.parts.set_register(reg, i, part);
            let kind = self.entering(part, changes)?;
            self.entry_kinds.set(part, kind);
        }
        Some(kind)
    }

    /// The register of a source, whose kind is noted.
    pub(super) fn source(&mut self, source: Source, kinds: &mut Kinds) -> Option<Reg> {
        let reg = match self.sources.register(source) {
            Some(reg) => reg,
            None => {
                let reg = self.new_register()?;
                self.sources.note(source, reg);
                let kind = self.entering(reg, false)?;
                self.entry_kinds.set(reg, kind);
                reg
            }
        };
        self.tell(reg, kinds);
        Some(reg)
    }

    /// Notes the kind that something has on entry, and those of its parts.
    fn tell(&self, reg: Reg, kinds: &mut Kinds) {
        let kind = self.entry_kinds[reg];
        kinds.set(reg, kind);
        if let Some(tangent) = self.around.and_then(|_| self.parts.register(reg, number_of_tangent(AROUND, 0)?)) {
            kinds.set(tangent, self.entry_kinds[tangent]);
        }
        for i in 0..self.parts.count(kind) {
            if let Some(part) = self.parts.register(reg, i) {
                self.tell(part, kinds);
            }
        }
    }

    /// The register of an item, a field or a capture of what a register holds.
    pub(super) fn part(&mut self, of: Reg, number: usize, kinds: &mut Kinds) -> Option<Reg> {
        let number = u16::try_from(number).ok()?;
        match kinds[of] {
            kind if kind.has_parts() => {
                if number < self.parts.count(kind) {
                    self.child(of, number)
                } else {
                    None
                }
            }
            Kind::Object(k) => match *self.objects.get(k as usize)? {
                (of, What::Tuple(n)) if number < n => self.source(Source::Part { of, number }, kinds),
                (of, What::Struct(_) | What::Function(_) | What::Derivative(_)) => {
                    self.source(Source::Part { of, number }, kinds)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The definition of the struct in a register.
    pub(super) fn def_of(&self, reg: Reg, kinds: &Kinds) -> Option<Rc<StructDef>> {
        match kinds[reg] {
            Kind::Struct(d) => self.parts.defs.get(d as usize).cloned(),
            Kind::Object(k) => match self.objects.get(k as usize)? {
                (of, What::Struct(_)) => match self.sources.value(self.regs, self.globals, *of) {
                    Value::Struct(s) => Some(s.def.clone()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// Copies what a register holds, part by part. In functions that are part of the loop that may be what nobody knows.
    pub(super) fn copy(&mut self, dst: Reg, src: Reg, kinds: &Kinds, actions: &mut Vec<Action>) -> Option<()> {
        let kind = kinds[src];
        if kind.has_parts() {
            if dst == src {
                return Some(());
            }
            for i in 0..self.parts.count(kind) {
                let (to, from) = (self.child(dst, i)?, self.child(src, i)?);
                self.copy(to, from, kinds, actions)?;
            }
            actions.push(Action::Shape { dst, kind });
        } else if kind.is_plain() {
            actions.push(Action::Copy { dst, src });
        } else if self.sources.is_own(dst) {
            return None;
        } else {
            actions.push(Action::Shape { dst, kind: Kind::Unknown });
        }
        Some(())
    }

    /// Copies the registers `first..` to the parts of `dst`, which gets the kind.
    pub(super) fn assemble(
        &mut self,
        (dst, kind): (Reg, Kind),
        from: &[Reg],
        kinds: &Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        // It would change while it is read.
        if from.contains(&dst) && kinds[dst].has_parts() {
            return None;
        }
        for (i, src) in from.iter().enumerate() {
            let part = self.child(dst, u16::try_from(i).ok()?)?;
            self.copy(part, *src, kinds, actions)?;
        }
        actions.push(Action::Shape { dst, kind });
        Some(())
    }
}

/// What code leaves where the machine goes on.
pub struct Leaving {
    pub left: Vec<(Reg, Left)>,
    /// Registers that nothing reads any more.
    pub dead: Vec<Reg>,
}

/// What code leaves in a register.
pub enum Left {
    /// What a cell holds, of this kind.
    Cell(usize, Kind),
    Tuple(Vec<Left>),
    /// Of f32 or not.
    Vector(bool, Vec<Left>),
    Struct(Rc<StructDef>, Vec<Left>),
    Closure(Rc<Chunk>, Vec<Left>),
    Derivative(Taken, Vec<Left>),
    /// A number and its tangent.
    Dual(Box<[Left; 2]>),
}

/// What is not put together from values alone.
pub enum Making {
    /// A vector of floats, of f32 or not.
    Vector(bool, Vec<Value>),
    /// A float with a tangent of the forward level around the loop.
    Dual(Value, Value),
}

impl Left {
    /// Puts it together.
    pub fn value(
        &self,
        of_cell: &impl Fn(usize, Kind) -> Option<Value>,
        make: &mut impl FnMut(Making) -> Option<Value>,
    ) -> Option<Value> {
        let mut all =
            |parts: &[Left]| parts.iter().map(|part| part.value(of_cell, make)).collect::<Option<Vec<Value>>>();
        Some(match self {
            Left::Vector(single, elements) => {
                let elements = all(elements)?;
                make(Making::Vector(*single, elements))?
            }
            Left::Dual(parts) => {
                let [primal, tangent] = [parts[0].value(of_cell, make)?, parts[1].value(of_cell, make)?];
                // Of what is no float on this way the tangent is nothing.
                if matches!(primal, Value::Float(..)) { make(Making::Dual(primal, tangent))? } else { primal }
            }
            Left::Derivative(taken, function) => taken.of(all(function)?.pop()?),
            Left::Cell(cell, kind) => of_cell(*cell, *kind)?,
            Left::Tuple(items) => Value::tuple(all(items)?),
            Left::Struct(def, fields) => Value::Struct(Rc::new(StructValue { def: def.clone(), fields: all(fields)? })),
            Left::Closure(chunk, captures) => {
                Value::Fn(Rc::new(Closure { chunk: chunk.clone(), captures: all(captures)? }))
            }
        })
    }

    /// The same of other cells.
    pub fn numbered(self, cell: &mut impl FnMut(usize, Kind) -> usize) -> Left {
        let mut all = |parts: Vec<Left>| parts.into_iter().map(|part| part.numbered(cell)).collect::<Vec<Left>>();
        match self {
            Left::Cell(number, kind) => Left::Cell(cell(number, kind), kind),
            Left::Tuple(parts) => Left::Tuple(all(parts)),
            Left::Vector(single, parts) => Left::Vector(single, all(parts)),
            Left::Struct(def, parts) => Left::Struct(def, all(parts)),
            Left::Closure(chunk, parts) => Left::Closure(chunk, all(parts)),
            Left::Derivative(taken, parts) => Left::Derivative(taken, all(parts)),
            Left::Dual(parts) => {
                let [primal, tangent] = *parts;
                Left::Dual(Box::new([primal.numbered(cell), tangent.numbered(cell)]))
            }
        }
    }

    /// Notes the cells and kinds.
    pub fn cells(&self, note: &mut impl FnMut(usize, Kind)) {
        match self {
            Left::Cell(cell, kind) => note(*cell, *kind),
            Left::Tuple(parts)
            | Left::Vector(_, parts)
            | Left::Struct(_, parts)
            | Left::Closure(_, parts)
            | Left::Derivative(_, parts) => parts.iter().for_each(|part| part.cells(note)),
            Left::Dual(parts) => parts.iter().for_each(|part| part.cells(note)),
        }
    }
}
