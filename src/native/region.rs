//! From the bytecode of a loop to typed actions, by following the kinds of values from those that the registers hold.
//!
//! A region is a loop's instructions, from the target of its jump back to the last such jump. Whatever an instruction
//! means that is not one of [`Action`] makes the region unfit; the machine goes on as ever.

use std::rc::Rc;

use crate::bytecode::chunk::{Chunk, Home, Host, IndexPart, TypeTest};
use crate::bytecode::formula::{Binary, Formula, Step, Unary};
use crate::bytecode::live::{Set, live};
use crate::bytecode::op::{GlobalSlot, Op, Operand, Reg, Table};
use crate::native::adjoint::Ways;
use crate::native::frame::What;
use crate::ops::elementwise::{FLOORDIV, POW, REM};
use crate::ops::lanes::{Ints, Scalar};
use crate::ops::prim::{Diff, Eval, Prim};
use crate::syntax::ast::BinOp;
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

    fn is_float(self) -> bool {
        matches!(self, Kind::Float { .. })
    }

    fn is_number(self) -> bool {
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
    /// Globals that it reads: they stand in registers above those of the frame.
    pub globals: Vec<GlobalSlot>,
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
    /// The loop from `first` to the last jump back there, entered at `entry`. `kinds` are those of the frame's registers,
    /// `global` tells those of globals.
    pub fn new(
        chunk: &Chunk,
        (first, entry): (usize, usize),
        regs: &[Value],
        global: impl Fn(GlobalSlot) -> Value,
    ) -> Option<Region> {
        let back = |op: &Op| match op {
            Op::Jump { to } | Op::ForLoop { to, .. } => to.0 as usize == first,
            _ => false,
        };
        let last = (first..chunk.code.len()).rev().find(|&i| back(&chunk.code[i]))?;
        let mut values = regs.to_vec();
        let mut globals = vec![];
        for op in &chunk.code[first..=last] {
            if let Op::GetGlobal { global: slot, .. } = op
                && !globals.contains(slot)
            {
                globals.push(*slot);
                values.push(global(*slot));
            }
        }
        let mut places: Vec<Option<Place>> = vec![];
        places.resize_with(last + 1 - first, || None);
        // Of all that the frame holds only what the loop names.
        let names = |reg: usize| {
            let operand = |(_, o): (&str, Operand)| matches!(o, Operand::Reg(r) if r.0 as usize == reg);
            reg >= regs.len() || chunk.code[first..=last].iter().any(|op| op.operands().into_iter().any(operand))
        };
        let mut objects = vec![];
        let mut kinds: Vec<Kind> = vec![];
        for (i, value) in values.iter().enumerate() {
            kinds.push(match What::of(value) {
                Some(what) if names(i) => {
                    objects.push((Reg(u16::try_from(i).ok()?), what));
                    Kind::Object(u16::try_from(objects.len() - 1).ok()?)
                }
                _ => Kind::of(value),
            });
        }
        let live = live(chunk);
        let told = (first..=last).map(|at| told(chunk, at, &live)).collect::<Option<Vec<Set>>>()?;
        let (named, written) = (vec![], vec![]);
        let mut region = Region { first, entry, places, globals, objects, named, written, live, told };
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
            Action::Element { object, .. } | Action::Update { object, .. } => is_active(*object),
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
            let (action, next) = self::read(chunk, self, at, &kinds)?;
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
                Action::Copy { src, .. } => p.kinds[src.0 as usize] == Kind::Object(object),
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

/// What the instruction at a place does, and the place behind it.
fn read(chunk: &Chunk, region: &Region, at: usize, kinds: &[Kind]) -> Option<(Action, usize)> {
    let globals = &region.globals;
    let kind = |reg: Reg| kinds[reg.0 as usize];
    let floats =
        |a: Reg, b: Reg| kind(a).is_number() && kind(b).is_number() && (kind(a).is_float() || kind(b).is_float());
    let active = |reg: Reg| kind(reg) == Kind::Float { active: true };
    let ints = |a: Reg, b: Reg| kind(a) == Kind::Int && kind(b) == Kind::Int;
    let compute = |dst: Reg, registers: &[Reg], steps: Vec<Step>| {
        let formula = Formula::new(registers.to_vec(), vec![], steps, 0);
        Some(Action::Compute { dst, formula: Rc::new(formula) })
    };
    // An operator on ints, or on floats and ints.
    let operator = |dst: Reg, a: Reg, b: Reg, op: IntOp, step: Step| {
        if ints(a, b) {
            return Some(Action::Whole { op, dst, a, b });
        }
        if floats(a, b) { compute(dst, &[a, b], vec![step]) } else { None }
    };
    let compare = |order: Order, dst: Reg, a: Reg, b: Reg| {
        (ints(a, b) || floats(a, b)).then_some(Action::Compare { order, dst, a, b })
    };
    let compare_jump = |order: Order, a: Reg, b: Reg| match chunk.code.get(at + 1)? {
        Op::JumpUnless { to, .. } if ints(a, b) || floats(a, b) => {
            Some(Action::CompareJump { order, a, b, to: to.0 as usize })
        }
        _ => None,
    };
    // The object in a register, if it has an element there, and the value may be written to it.
    let object_of = |reg: Reg, index: &[Reg], value: Option<Reg>| {
        let Kind::Object(object) = kind(reg) else { return None };
        let (_, what) = region.objects.get(object as usize)?;
        let axes = match what {
            What::Tensor { rank, .. } => *rank as usize,
            What::List { .. } => 1,
        };
        let fits = match (value.map(kind), what) {
            (None, _) => true,
            (Some(Kind::Float { active }), What::List { active: may }) => *may || !active,
            (Some(Kind::Float { active }), What::Tensor { active: recorded, .. }) => !active && !recorded,
            _ => false,
        };
        (fits && axes == index.len() && index.iter().all(|r| kind(*r) == Kind::Int)).then_some(object)
    };
    // The registers of an index behind `first`, if it is ints.
    let indices = |first: Reg, index: Table| {
        let parts = chunk.indices.get(index.0 as usize)?;
        let ints = parts.iter().all(|p| *p == IndexPart::At);
        ints.then(|| (0..parts.len()).map(|i| Reg(first.0 + 1 + i as u16)).collect::<Vec<Reg>>())
    };
    let update = |at: usize| match chunk.code.get(at)? {
        Op::Operator { op } => match chunk.operators.get(op.0 as usize)? {
            BinOp::Add => Some(Step::Add(0, 1)),
            BinOp::Sub => Some(Step::Sub(0, 1)),
            BinOp::Mul => Some(Step::Mul(0, 1)),
            BinOp::Div => Some(Step::Div(0, 1)),
            _ => None,
        },
        _ => None,
    };
    let plain = |reg: Reg| !matches!(kind(reg), Kind::Untouched | Kind::Mixed);
    let mut next = at + 1;
    let action = match *chunk.code.get(at)? {
        Op::Move { dst, src } | Op::Take { dst, src } if plain(src) => Action::Copy { dst, src },
        Op::Load { dst, value } => {
            let value = chunk.consts.get(value.0 as usize)?;
            if Kind::of(value) == Kind::Untouched {
                return None;
            }
            Action::Set { dst, value: value.clone() }
        }
        Op::LoadNone { dst } => Action::Set { dst, value: Value::None },
        Op::GetGlobal { dst, global } => {
            let place = globals.iter().position(|g| *g == global)?;
            let src = Reg(chunk.registers + u16::try_from(place).ok()?);
            if !plain(src) {
                return None;
            }
            Action::Copy { dst, src }
        }
        Op::GetItem { dst, object, index } => {
            Action::Element { dst, object: object_of(object, &[index], None)?, index: vec![index] }
        }
        Op::GetIndex { dst, first, index } => {
            let index = indices(first, index)?;
            Action::Element { dst, object: object_of(first, &index, None)?, index }
        }
        Op::SetItem { object, index, value } => {
            Action::Store { object: object_of(object, &[index], Some(value))?, index: vec![index], value }
        }
        Op::SetIndex { object, first, index } => {
            let index = indices(first, index)?;
            Action::Store { object: object_of(object, &index, Some(first))?, index, value: first }
        }
        Op::UpdateItem { object, index, value } => {
            next += 1;
            let object = object_of(object, &[index], Some(value))?;
            Action::Update { object, index: vec![index], value, step: update(at + 1)? }
        }
        Op::UpdateIndex { object, first, index } => {
            next += 1;
            let index = indices(first, index)?;
            let object = object_of(object, &index, Some(first))?;
            Action::Update { object, index, value: first, step: update(at + 1)? }
        }
        Op::Add { dst, a, b } => operator(dst, a, b, IntOp::Add, Step::Add(0, 1))?,
        Op::Sub { dst, a, b } => operator(dst, a, b, IntOp::Sub, Step::Sub(0, 1))?,
        Op::Mul { dst, a, b } => operator(dst, a, b, IntOp::Mul, Step::Mul(0, 1))?,
        Op::Div { dst, a, b } if kind(a).is_number() && kind(b).is_number() => {
            compute(dst, &[a, b], vec![Step::Div(0, 1)])?
        }
        Op::MulAdd { dst, a, b } if floats(a, b) => {
            next += 1;
            let (c, join) = match *chunk.code.get(at + 1)? {
                Op::Plus { c } => (c, Step::Add(3, 2)),
                Op::PlusTo { c } => (c, Step::Add(2, 3)),
                Op::Minus { c } => (c, Step::Sub(3, 2)),
                Op::MinusFrom { c } => (c, Step::Sub(2, 3)),
                _ => return None,
            };
            if !kind(c).is_number() {
                return None;
            }
            compute(dst, &[a, b, c], vec![Step::Mul(0, 1), join])?
        }
        Op::Pow { dst, a, b } if kind(a).is_float() && kind(b).is_float() => {
            let step = match (kind(a), kind(b)) {
                // As the machine computes it, when there is no derivative.
                (Kind::Float { active: false }, Kind::Float { active: false }) => {
                    let Step::Binary(x, y, power) = binary(&POW, false)? else { return None };
                    Step::Binary(x, y, Binary { f: f64::powf, ..power })
                }
                _ => binary(&POW, true)?,
            };
            compute(dst, &[a, b], vec![step])?
        }
        Op::Binary { dst, a, b } => {
            next += 1;
            let Op::Operator { op } = *chunk.code.get(at + 1)? else { return None };
            let bools = kind(a) == Kind::Bool && kind(b) == Kind::Bool;
            match chunk.operators.get(op.0 as usize)? {
                BinOp::FloorDiv if ints(a, b) => Action::Whole { op: IntOp::FloorDiv, dst, a, b },
                BinOp::Rem if ints(a, b) => Action::Whole { op: IntOp::Rem, dst, a, b },
                BinOp::FloorDiv if floats(a, b) => {
                    compute(dst, &[a, b], vec![binary(&FLOORDIV, active(a) || active(b))?])?
                }
                BinOp::Rem if floats(a, b) => compute(dst, &[a, b], vec![binary(&REM, true)?])?,
                BinOp::And if bools => Action::Both { dst, a, b, and: true },
                BinOp::Or if bools => Action::Both { dst, a, b, and: false },
                _ => return None,
            }
        }
        Op::Lt { dst, a, b } => compare(Order::Lt, dst, a, b)?,
        Op::Le { dst, a, b } => compare(Order::Le, dst, a, b)?,
        Op::Gt { dst, a, b } => compare(Order::Gt, dst, a, b)?,
        Op::Ge { dst, a, b } => compare(Order::Ge, dst, a, b)?,
        Op::Eq { dst, a, b } => compare(Order::Eq, dst, a, b)?,
        Op::Ne { dst, a, b } => compare(Order::Ne, dst, a, b)?,
        Op::LtJump { a, b, .. } => {
            next += 1;
            compare_jump(Order::Lt, a, b)?
        }
        Op::LeJump { a, b, .. } => {
            next += 1;
            compare_jump(Order::Le, a, b)?
        }
        Op::GtJump { a, b, .. } => {
            next += 1;
            compare_jump(Order::Gt, a, b)?
        }
        Op::GeJump { a, b, .. } => {
            next += 1;
            compare_jump(Order::Ge, a, b)?
        }
        Op::EqJump { a, b, .. } => {
            next += 1;
            compare_jump(Order::Eq, a, b)?
        }
        Op::NeJump { a, b, .. } => {
            next += 1;
            compare_jump(Order::Ne, a, b)?
        }
        Op::Neg { dst, src } => match kind(src) {
            Kind::Int => Action::Whole { op: IntOp::Neg, dst, a: src, b: src },
            Kind::Float { .. } => compute(dst, &[src], vec![Step::Neg(0)])?,
            _ => return None,
        },
        Op::Not { dst, src } if kind(src) == Kind::Bool => Action::Not { dst, src },
        Op::Prim1 { dst, src, prim } => {
            let Host::Prim(prim) = chunk.hosts.get(prim.0 as usize)? else { return None };
            compute(dst, &[src], vec![unary(prim, kind(src))?])?
        }
        Op::Formula { dst, formula, words } => {
            let formula = chunk.formulas.get(formula.0 as usize)?;
            let numbers = formula.registers.iter().all(|r| kind(*r).is_number());
            let bits = formula.registers.iter().enumerate().filter(|(_, r)| kind(**r) == Kind::Int);
            let whole = bits.fold(0, |mask, (i, _)| mask | 1 << i);
            // The same conditions as in `Cx::formula`; where they fail the words that follow compute it.
            if numbers && (whole == 0 || whole & formula.floats == 0 && formula.is_float(whole)) {
                next += words.0 as usize;
                Action::Compute { dst, formula: formula.clone() }
            } else {
                Action::Skip
            }
        }
        Op::Jump { to } => Action::Goto { to: to.0 as usize },
        Op::JumpUnless { cond, to } | Op::SkipIfFalse { src: cond, to } if kind(cond) == Kind::Bool => {
            Action::Branch { cond, when: false, to: to.0 as usize }
        }
        Op::SkipIfTrue { src: cond, to } if kind(cond) == Kind::Bool => {
            Action::Branch { cond, when: true, to: to.0 as usize }
        }
        Op::ForRange { iter, lo, hi } if ints(lo, hi) => {
            next += 1;
            Action::Range { iter, lo, hi }
        }
        Op::ForNext { iter, to } if counts(kinds, iter) => Action::Next { iter, some: next, none: to.0 as usize },
        Op::ForLoop { iter, to } if counts(kinds, iter) => Action::Next { iter, some: to.0 as usize, none: next },
        Op::Check { reg, test } => match (chunk.types.get(test.0 as usize)?, kind(reg)) {
            (TypeTest::Any, _)
            | (TypeTest::Float, Kind::Float { .. })
            | (TypeTest::Int, Kind::Int)
            | (TypeTest::Bool, Kind::Bool) => Action::Skip,
            _ => return None,
        },
        _ => return None,
    };
    Some((action, next))
}

/// The state of a loop over a range.
fn counts(kinds: &[Kind], iter: Reg) -> bool {
    kinds[iter.0 as usize..][..3].iter().all(|k| *k == Kind::Int)
}

/// The step of a primitive of one argument on a number.
fn unary(prim: &'static Prim, kind: Kind) -> Option<Step> {
    let Eval::Elementwise(inside) = &prim.eval else { return None };
    let Scalar::Unary { f, d } = inside.scalar else { return None };
    if !has_slopes(prim, kind == Kind::Float { active: true }) {
        return None;
    }
    let promotes = matches!(inside.ints, Ints::Promote);
    let fits = kind.is_float() || kind == Kind::Int && promotes;
    (fits && inside.check.is_none()).then_some(Step::Unary(0, Unary { f, d, promotes, inside }))
}

/// Slopes by its rule; those of piecewise constant functions end the derivative, which is for the machine to tell.
fn has_slopes(prim: &Prim, active: bool) -> bool {
    matches!(prim.diff, Diff::Elementwise) || matches!(prim.diff, Diff::Zero) && !active
}

/// The same for two arguments.
fn binary(prim: &'static Prim, active: bool) -> Option<Step> {
    let Eval::Elementwise(inside) = &prim.eval else { return None };
    if !has_slopes(prim, active) {
        return None;
    }
    let Scalar::Binary { f, d } = &inside.scalar else { return None };
    inside.check.is_none().then_some(Step::Binary(0, 1, Binary { f: *f, d, promotes: true, inside }))
}
