//! From the bytecode of a loop to typed actions, by following the kinds of values from those that the registers hold.
//!
//! A region is a loop's instructions, from the target of its jump back to the last such jump. Whatever an instruction
//! means that is not one of [`Action`] makes the region unfit; the machine goes on as ever.

use std::rc::Rc;

use crate::bytecode::chunk::{Chunk, Home};
use crate::bytecode::formula::{Formula, Step};
use crate::bytecode::live::{Set, live};
use crate::bytecode::op::{Op, Operand, Reg};
use crate::native::adjoint::Ways;
use crate::native::frame::What;
use crate::native::read::read;
use crate::native::sources::Sources;
use crate::value::Value;

/// What a register holds at some place of the region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// What it held on entry, which is no number.
    Untouched,
    None,
    Bool,
    Int,
    /// `active`: it may have a slot.
    Float {
        active: bool,
    },
    /// This one of [`Region::objects`].
    Object(u16),
    /// One or another of these, as the run went.
    Mixed,
}

impl Kind {
    /// The kind of a value.
    pub fn of(value: &Value) -> Kind {
        match value {
            Value::None => Kind::None,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::Float(slot, _) => Kind::Float { active: !slot.is_const() },
            _ => Kind::Untouched,
        }
    }

    /// The kind where two ways meet.
    fn join(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Float { .. }, Kind::Float { .. }) => Kind::Float { active: true },
            _ => Kind::Mixed,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Kind::Float { .. })
    }

    pub fn is_number(self) -> bool {
        self == Kind::Int || self.is_float()
    }
}

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

/// An operation on ints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntOp {
    Add,
    Sub,
    Mul,
    FloorDiv,
    Rem,
    Neg,
}

/// What an instruction does, once the kinds of its operands are known.
#[derive(Clone)]
pub enum Action {
    Skip,
    Copy {
        dst: Reg,
        src: Reg,
    },
    /// A number, a bool or none.
    Set {
        dst: Reg,
        value: Value,
    },
    /// The value of a formula of floats and ints.
    Compute {
        dst: Reg,
        formula: Rc<Formula>,
    },
    /// `b` is not read by a negation.
    Whole {
        op: IntOp,
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    /// Goes on, with the result in `dst`.
    Compare {
        order: Order,
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    /// Goes on if it holds, else to `to`.
    CompareJump {
        order: Order,
        a: Reg,
        b: Reg,
        to: usize,
    },
    Not {
        dst: Reg,
        src: Reg,
    },
    /// `a and b`, or `a or b`.
    Both {
        dst: Reg,
        a: Reg,
        b: Reg,
        and: bool,
    },
    Goto {
        to: usize,
    },
    /// To `to` if the bool is `when`, else on.
    Branch {
        cond: Reg,
        when: bool,
        to: usize,
    },
    /// An element of an object.
    Element {
        dst: Reg,
        object: u16,
        index: Vec<Reg>,
    },
    /// Writes one.
    Store {
        object: u16,
        index: Vec<Reg>,
        value: Reg,
    },
    /// Changes one by the step, of the old one and the value.
    Update {
        object: u16,
        index: Vec<Reg>,
        value: Reg,
        step: Step,
    },
    /// State of a loop over `lo..hi`.
    Range {
        iter: Reg,
        lo: Reg,
        hi: Reg,
    },
    /// The next int of a range and on to `some`, or to `none`.
    Next {
        iter: Reg,
        some: usize,
        none: usize,
    },
    /// State of a loop over the items of an object.
    Walk {
        iter: Reg,
    },
    /// The next item and on to `some`, or to `none`.
    Each {
        iter: Reg,
        object: u16,
        some: usize,
        none: usize,
    },
}

/// An instruction of a region.
pub struct Place {
    pub action: Action,
    /// Of all registers, before it.
    pub kinds: Vec<Kind>,
    /// The instruction behind it.
    pub next: usize,
}

/// A loop that can be compiled.
pub struct Region {
    pub first: usize,
    /// Where it is entered.
    pub entry: usize,
    /// By instruction from `first`; `None` for those never reached.
    pub places: Vec<Option<Place>>,
    /// What it only reads.
    pub sources: Sources,
    /// Tensors and lists, by the register that holds them on entry.
    pub objects: Vec<(Reg, What)>,
    /// Registers of numbers that it names.
    pub named: Vec<Reg>,
    /// Those that it writes.
    pub written: Vec<Reg>,
    /// By instruction of the chunk: the registers that are read from there on.
    live: Vec<Set>,
    /// By place: the same and what is told if the instruction there fails.
    told: Vec<Set>,
}

impl Region {
    /// The loop from `first` to the last jump back there, entered at `entry`, for what registers and globals hold.
    pub fn new(
        chunk: &Chunk,
        (first, entry): (usize, usize),
        regs: &[Value],
        globals: &[Option<Value>],
    ) -> Option<Region> {
        let back = |op: &Op| match op {
            Op::Jump { to } | Op::ForLoop { to, .. } => to.0 as usize == first,
            _ => false,
        };
        let last = (first..chunk.code.len()).rev().find(|&i| back(&chunk.code[i]))?;
        let sources = Sources::of(chunk, &chunk.code[first..=last], regs, globals);
        let registers = chunk.registers as usize;
        let mut places: Vec<Option<Place>> = vec![];
        places.resize_with(last + 1 - first, || None);
        // Of all that the frame holds only what the loop names.
        let names = |reg: usize| {
            let operand = |(_, o): (&str, Operand)| matches!(o, Operand::Reg(r) if r.0 as usize == reg);
            let named = |op: &Op| match op {
                Op::ForNext { iter, .. } | Op::ForLoop { iter, .. } => iter.0 as usize + 1 == reg,
                op => op.operands().into_iter().any(operand),
            };
            reg >= registers || chunk.code[first..=last].iter().any(named)
        };
        let mut objects = vec![];
        let mut kinds: Vec<Kind> = vec![];
        for i in 0..registers + sources.len() {
            let reg = Reg(u16::try_from(i).ok()?);
            let value = sources.value(regs, globals, reg);
            kinds.push(match What::of(value) {
                Some(what) if names(i) => {
                    objects.push((reg, what));
                    Kind::Object(u16::try_from(objects.len() - 1).ok()?)
                }
                _ => Kind::of(value),
            });
        }
        let live = live(chunk);
        let told = (first..=last).map(|at| told(chunk, at, &live)).collect::<Option<Vec<Set>>>()?;
        let (named, written) = (vec![], vec![]);
        let mut region = Region { first, entry, places, sources, objects, named, written, live, told };
        region.follow(chunk, kinds)?;
        region.share_elements();
        region.collect();
        (!region.stores_what_is_shared()).then_some(region)
    }

    /// The instruction at a place, if it is part of the region and reached.
    pub fn at(&self, at: usize) -> Option<&Place> {
        self.places.get(at.checked_sub(self.first)?)?.as_ref()
    }

    /// Whether the machine may read a register when it goes on at an instruction, which may be one that fails.
    pub fn leaves(&self, to: usize, fails: bool, reg: Reg) -> bool {
        let told = to.checked_sub(self.first).filter(|_| fails).and_then(|i| self.told.get(i));
        told.or_else(|| self.live.get(to)).is_none_or(|set| set.has(reg))
    }

    /// Reads what was read before from the register where it still is.
    fn share_elements(&mut self) {
        let ways = Ways::of(self);
        for i in 0..self.places.len() {
            let Some(Place { action: Action::Element { dst, object, index }, .. }) = &self.places[i] else { continue };
            let Some(src) = self.read_before(&ways, self.first + i, *object, index) else { continue };
            let dst = *dst;
            if let Some(place) = &mut self.places[i] {
                place.action = Action::Copy { dst, src };
            }
        }
    }

    /// A register that has the element of an object at an index, since the only way to a place leads past where it was read.
    fn read_before(&self, ways: &Ways, at: usize, object: u16, index: &[Reg]) -> Option<Reg> {
        let mut changed: Vec<Reg> = vec![];
        let mut at = at;
        for _ in 0..self.places.len() {
            let [Some(before)] = ways.of_place(at) else { return None };
            at = *before;
            let action = &self.at(at)?.action;
            if let Action::Element { dst, object: other, index: same } = action
                && *other == object
                && same == index
                && !changed.contains(dst)
            {
                return Some(*dst);
            }
            changed.extend(action.registers().1);
            if matches!(action, Action::Store { .. } | Action::Update { .. })
                || index.iter().any(|reg| changed.contains(reg))
            {
                return None;
            }
        }
        None
    }

    /// Does it write entries of the tape?
    pub fn records(&self) -> bool {
        let active = |k: &Kind| *k == Kind::Float { active: true };
        let is_active = |k: u16| self.objects.get(k as usize).is_some_and(|(_, what)| what.is_active());
        self.places.iter().flatten().any(|p| match &p.action {
            Action::Element { object, .. } | Action::Update { object, .. } | Action::Each { object, .. } => {
                is_active(*object)
            }
            Action::Compute { formula, .. } => formula.registers.iter().any(|r| active(&p.kinds[r.0 as usize])),
            _ => false,
        })
    }

    /// Does it write to a list that may hold variables?
    pub fn stores_variables(&self) -> bool {
        self.places.iter().flatten().any(|p| match p.action {
            Action::Store { object, .. } | Action::Update { object, .. } => {
                self.objects.get(object as usize).is_some_and(|(_, what)| what.is_active())
            }
            _ => false,
        })
    }

    /// Finds the kinds at each instruction that is reached: again where more is found to come together.
    fn follow(&mut self, chunk: &Chunk, kinds: Vec<Kind>) -> Option<()> {
        let mut todo = vec![(self.entry, kinds)];
        while let Some((at, mut kinds)) = todo.pop() {
            let Some(place) = at.checked_sub(self.first).and_then(|i| self.places.get(i)) else { continue };
            if let Some(known) = place {
                let joined: Vec<Kind> = known.kinds.iter().zip(&kinds).map(|(a, b)| a.join(*b)).collect();
                if joined == known.kinds {
                    continue;
                }
                kinds = joined;
            }
            let (action, next) = read(chunk, self, at, &kinds)?;
            let reached = Place { action, kinds, next };
            todo.extend(reached.ways(&self.objects));
            let place = &mut self.places[at - self.first];
            *place = Some(reached);
        }
        Some(())
    }

    /// Two registers hold what is written to: after a copy on write they would not.
    fn stores_what_is_shared(&self) -> bool {
        let actions = || self.places.iter().flatten();
        actions().any(|p| match p.action {
            Action::Store { object, .. } | Action::Update { object, .. } => actions().any(|p| match p.action {
                Action::Copy { src, .. } | Action::Walk { iter: src } => {
                    p.kinds[src.0 as usize] == Kind::Object(object)
                }
                _ => false,
            }),
            _ => false,
        })
    }

    fn collect(&mut self) {
        let note = |list: &mut Vec<Reg>, reg: Reg| {
            if !list.contains(&reg) {
                list.push(reg);
            }
        };
        for place in self.places.iter().flatten() {
            let (reads, writes) = place.action.registers();
            for reg in reads {
                note(&mut self.named, reg);
            }
            for reg in writes {
                note(&mut self.named, reg);
                note(&mut self.written, reg);
            }
        }
    }
}

impl Place {
    /// Where it goes on, with the kinds there.
    pub fn ways(&self, objects: &[(Reg, What)]) -> Vec<(usize, Vec<Kind>)> {
        let mut after = self.kinds.clone();
        let float = |formula: &Formula, kinds: &[Kind]| Kind::Float {
            active: formula.registers.iter().any(|r| kinds[r.0 as usize] == Kind::Float { active: true }),
        };
        match &self.action {
            Action::Skip => {}
            Action::Copy { dst, src } => after[dst.0 as usize] = self.kinds[src.0 as usize],
            Action::Set { dst, value } => after[dst.0 as usize] = Kind::of(value),
            Action::Compute { dst, formula } => after[dst.0 as usize] = float(formula, &self.kinds),
            Action::Element { dst, object, .. } => {
                let active = objects.get(*object as usize).is_some_and(|(_, what)| what.is_active());
                after[dst.0 as usize] = Kind::Float { active };
            }
            Action::Store { .. } | Action::Update { .. } => {}
            Action::Whole { dst, .. } => after[dst.0 as usize] = Kind::Int,
            Action::Compare { dst, .. } | Action::Not { dst, .. } | Action::Both { dst, .. } => {
                after[dst.0 as usize] = Kind::Bool;
            }
            Action::CompareJump { to, .. } | Action::Branch { to, .. } => {
                return vec![(self.next, after.clone()), (*to, after)];
            }
            Action::Goto { to } => return vec![(*to, after)],
            Action::Range { iter, .. } => after[iter.0 as usize..][..3].fill(Kind::Int),
            Action::Next { iter, some, none } => {
                let without = after.clone();
                after[iter.0 as usize + 3] = Kind::Int;
                return vec![(*some, after), (*none, without)];
            }
            Action::Walk { iter } => {
                let i = iter.0 as usize;
                after[i + 1] = after[i];
                after[i] = Kind::Int;
                after[i + 2] = Kind::None;
            }
            Action::Each { iter, object, some, none } => {
                let mut without = after.clone();
                without[iter.0 as usize + 1] = Kind::None;
                let active = objects.get(*object as usize).is_some_and(|(_, what)| what.is_active());
                after[iter.0 as usize + 3] = Kind::Float { active };
                return vec![(*some, after), (*none, without)];
            }
        }
        vec![(self.next, after)]
    }
}

impl Action {
    /// The registers that it reads and those that it writes.
    fn registers(&self) -> (Vec<Reg>, Vec<Reg>) {
        let state = |iter: Reg, n: u16| (0..n).map(|i| Reg(iter.0 + i)).collect::<Vec<Reg>>();
        match self {
            Action::Skip | Action::Goto { .. } => (vec![], vec![]),
            Action::Copy { dst, src } | Action::Not { dst, src } => (vec![*src], vec![*dst]),
            Action::Set { dst, .. } => (vec![], vec![*dst]),
            Action::Compute { dst, formula } => (formula.registers.clone(), vec![*dst]),
            Action::Element { dst, index, .. } => (index.clone(), vec![*dst]),
            Action::Store { index, value, .. } | Action::Update { index, value, .. } => {
                (index.iter().chain([value]).copied().collect(), vec![])
            }
            Action::Whole { dst, a, b, .. } | Action::Compare { dst, a, b, .. } | Action::Both { dst, a, b, .. } => {
                (vec![*a, *b], vec![*dst])
            }
            Action::CompareJump { a, b, .. } => (vec![*a, *b], vec![]),
            Action::Branch { cond, .. } => (vec![*cond], vec![]),
            Action::Range { iter, lo, hi } => (vec![*lo, *hi], state(*iter, 3)),
            Action::Next { iter, .. } => (state(*iter, 3), state(*iter, 4)),
            Action::Walk { iter } => (state(*iter, 1), state(*iter, 3)),
            Action::Each { iter, .. } => (state(*iter, 2), state(*iter, 4)),
        }
    }
}

/// The registers that are read from an instruction on, and those of the variables that its expression names: where it fails, the
/// message tells their values.
fn told(chunk: &Chunk, at: usize, live: &[Set]) -> Option<Set> {
    let place = chunk.spans.get(at)?.span;
    let mut told = live.get(at)?.clone();
    for variable in &chunk.variables {
        let span = variable.span;
        if let Home::Register(reg) = variable.home
            && span.source == place.source
            && place.start <= span.start
            && span.end <= place.end
        {
            told.insert(reg);
        }
    }
    Some(told)
}
