//! From the bytecode of a loop to typed actions, by following the kinds of values from those that the registers hold.
//!
//! A region is a loop's instructions, from the target of its jump back to the last such jump, and those of the functions that
//! it calls. An instruction is one or several actions, each at a place of its own. What cannot be told as an [`Action`] is left
//! to the machine, which comes back at the loop's next turn.

use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bytecode::chunk::{CaptureSource, Chunk, Home};
use crate::bytecode::live::{Set, live, writes};
use crate::bytecode::op::{Op, Operand, Reg};
use crate::native::action::{Action, Place};
use crate::native::adjoint::Ways;
use crate::native::calls::{Called, Code, Promise};
use crate::native::constants::constants;
use crate::native::frame::What;
use crate::native::kind::{Kind, Kinds};
use crate::native::needed::needed;
use crate::native::parts::{Leaving, Left, Parts};
use crate::native::read::{Read, read};
use crate::native::sources::Sources;
use crate::native::tangents::{AROUND, Level};
use crate::native::under::Around;
use crate::tensor::DType;
use crate::value::Value;

/// Places that a region may have.
const MOST: usize = 4000;
/// Instructions that are followed, each time counted: kinds that do not settle are not compiled.
const STEPS: usize = 20 * MOST;

/// An action of an instruction: frame, instruction, number.
type Spot = (usize, usize, usize);

/// A loop that can be compiled.
pub struct Region<'a> {
    /// Its first instruction and its last.
    pub span: (usize, usize),
    /// The place where it is entered.
    pub entry: usize,
    /// `None` for those outside, and those never reached.
    pub places: Vec<Option<Place>>,
    spots: Vec<Spot>,
    numbers: FxHashMap<Spot, usize>,
    /// The loop's own frame, and those of functions that it calls.
    pub frames: Vec<Called<'a>>,
    /// What registers that hold something on entry hold.
    pub sources: Sources,
    pub regs: &'a [Value],
    pub globals: &'a [Option<Value>],
    pub entry_kinds: Kinds,
    /// What is not taken apart, by the register that holds it on entry.
    pub objects: Vec<(Reg, What)>,
    pub parts: Parts,
    pub promises: Vec<Promise>,
    /// How many there are.
    pub registers: u16,
    /// Registers that it names; each has a cell.
    pub named: Vec<Reg>,
    cells: FxHashMap<Reg, usize>,
    /// Those that it writes.
    written: Vec<Reg>,
    /// Those of which it may be asked what they hold, if that is one thing or another.
    pub tagged: FxHashSet<Reg>,
    /// Those that hold one and the same float.
    pub constants: FxHashMap<Reg, f64>,
    /// Those that something asks for.
    pub needed: FxHashSet<Reg>,
    /// By instruction of the span: what is read from there on and what is told if it fails.
    told: Vec<Set>,
    /// It is a whole function, which calls itself.
    pub is_function: bool,
    /// The kind of its result, as far as it is known.
    pub result: Option<Kind>,
    /// Instructions of frames that are left to the machine.
    refused: Vec<(usize, usize)>,
    /// Calls of functions that were running, which were found to go on calling themselves.
    pub recursing: Vec<(usize, usize)>,
    /// Of floats in brackets.
    pub dtype: DType,
    /// Vectors that are not taken apart, by the register that holds them on entry.
    pub whole: Vec<Reg>,
    /// Registers of the frame that hold the same number all the time, for which the code is made, and others that do not.
    pub fixed: Vec<(Reg, Value)>,
    pub varying: Vec<Reg>,
    /// Instructions that were followed.
    steps: usize,
    /// The forward level around the loop, if there is one, and whether anything that the loop names is under it.
    pub around: Option<Around<'a>>,
    pub is_under: bool,
    /// Directions of each level.
    pub directions: Vec<usize>,
    /// Registers of what an instruction computes on the way.
    pub passing: FxHashSet<Reg>,
    /// Functions that call a derivative, by frame and instruction.
    pub thunks: Vec<((usize, usize), Rc<Chunk>)>,
}

impl<'a> Region<'a> {
    /// The loop that begins at `first`, for what registers and globals hold.
    pub fn new(
        (chunk, first): (&'a Chunk, usize),
        regs: &'a [Value],
        globals: &'a [Option<Value>],
        (dtype, around): (DType, Option<Around<'a>>),
    ) -> Option<Region<'a>> {
        let back = |op: &Op| match op {
            Op::Jump { to } | Op::ForLoop { to, .. } => to.0 as usize == first,
            _ => false,
        };
        let last = (first..chunk.code.len()).rev().find(|&i| back(&chunk.code[i]))?;
        let region = Region::of((chunk, first, last), regs, globals, (false, dtype), around)?;
        let turns = Ways::of(&region).of_place(region.entry).len() > 1;
        turns.then_some(region)
    }

    /// A function that calls itself, for these arguments: numbers, and what it hands on unchanged.
    pub fn of_function(
        chunk: &'a Chunk,
        args: &'a [Value],
        globals: &'a [Option<Value>],
        dtype: DType,
    ) -> Option<Region<'a>> {
        let region = Region::of((chunk, 0, chunk.code.len() - 1), args, globals, (true, dtype), None)?;
        let recurs = region.places.iter().flatten().any(|p| matches!(p.action, Action::Recur { .. }));
        (recurs && region.result.is_some_and(Kind::is_scalar)).then_some(region)
    }

    fn of(
        (chunk, first, last): (&'a Chunk, usize, usize),
        regs: &'a [Value],
        globals: &'a [Option<Value>],
        (is_function, dtype): (bool, DType),
        around: Option<Around<'a>>,
    ) -> Option<Region<'a>> {
        let live = live(chunk);
        let told = (first..=last).map(|at| told(chunk, at, &live)).collect::<Option<Vec<Set>>>()?;
        let own = Called { code: Code::Own(chunk), base: 0, given: u64::MAX, live, caller: None, level: None };
        let mut region = Region {
            span: (first, last),
            entry: 0,
            places: vec![],
            spots: vec![],
            numbers: FxHashMap::default(),
            frames: vec![own],
            sources: Sources::new(chunk.registers),
            regs,
            globals,
            entry_kinds: Kinds::new(),
            objects: vec![],
            parts: Parts::default(),
            promises: vec![],
            registers: chunk.registers,
            named: vec![],
            cells: FxHashMap::default(),
            written: vec![],
            tagged: FxHashSet::default(),
            constants: FxHashMap::default(),
            needed: FxHashSet::default(),
            told,
            is_function,
            result: None,
            refused: vec![],
            recursing: vec![],
            dtype,
            whole: vec![],
            fixed: vec![],
            varying: vec![],
            steps: 0,
            around,
            is_under: false,
            directions: vec![1],
            passing: FxHashSet::default(),
            thunks: vec![],
        };
        region.entry = region.place_of(0, first)?;
        region.take_in(chunk)?;
        // Sources that are found on the way have their kinds everywhere; so do results and arguments of a function.
        loop {
            let found = (region.sources.len(), region.result, region.entry_kinds.clone());
            region.places.iter_mut().for_each(|place| *place = None);
            region.follow()?;
            if !region.recursing.is_empty() {
                region.refused.append(&mut region.recursing);
                continue;
            }
            if (region.sources.len(), region.result) != (found.0, found.1) || region.entry_kinds != found.2 {
                continue;
            }
            let (shared, kept) = (region.shares_what_is_stored(), region.keeps_whole());
            if shared.is_empty() && !kept {
                break;
            }
            region.refused.extend(shared);
        }
        region.share_elements();
        region.collect();
        region.constants = constants(&region);
        region.needed = needed(&region);
        Some(region)
    }

    /// What the registers of the frame hold on entry.
    fn take_in(&mut self, chunk: &Chunk) -> Option<()> {
        let code = &chunk.code[self.span.0..=self.span.1];
        // Of all that the frame holds only what the loop names.
        let names = |reg: Reg| {
            let operand = |(_, o): (&str, Operand)| matches!(o, Operand::Reg(r) if r == reg);
            let named = |op: &Op| match op {
                Op::ForNext { iter, .. } | Op::ForLoop { iter, .. } => iter.shifted(1) == reg,
                Op::MakeClosure { function, .. } => {
                    let site = chunk.functions.get(function.0 as usize);
                    let captures = |capture: &CaptureSource| matches!(capture, CaptureSource::Reg(r) if *r == reg);
                    site.is_some_and(|site| site.captures.iter().any(captures))
                }
                op => op.operands().into_iter().any(operand),
            };
            code.iter().any(named)
        };
        for i in 0..chunk.registers {
            let reg = Reg(i);
            let kind = if self.is_function && i as usize >= chunk.params.len() {
                Kind::None
            } else if names(reg) {
                let value = self.regs.get(i as usize)?;
                let has_parts = matches!(value, Value::Tuple(_) | Value::Struct(_)) || What::of_vector(value).is_some();
                let changes = has_parts && (self.span.0..=self.span.1).any(|at| writes(chunk, at, reg));
                let is_live = self.frames.first()?.live.get(self.span.0)?.has(reg);
                if is_live || Kind::of(value) != Kind::Untouched {
                    self.entering(reg, changes)?
                } else {
                    // Whatever it holds, nothing reads it.
                    Kind::Mixed
                }
            } else {
                // Formulas name floats, too.
                match self.regs.get(i as usize)? {
                    Value::Float(slot, _) => self.entering_float(reg, *slot)?,
                    value => Kind::of(value),
                }
            };
            self.entry_kinds.set(reg, kind);
        }
        Some(())
    }

    /// The number of an instruction's first place.
    pub fn place_of(&mut self, frame: usize, at: usize) -> Option<usize> {
        self.number((frame, at, 0))
    }

    fn number(&mut self, spot: Spot) -> Option<usize> {
        if let Some(number) = self.numbers.get(&spot) {
            return Some(*number);
        }
        let number = self.spots.len();
        self.spots.push(spot);
        self.places.push(None);
        self.numbers.insert(spot, number);
        (number < MOST).then_some(number)
    }

    /// The place, if it is part of the region and reached.
    pub fn at(&self, at: usize) -> Option<&Place> {
        self.places.get(at)?.as_ref()
    }

    /// The instruction of the loop itself that a place belongs to.
    pub fn instruction(&self, at: usize) -> Option<usize> {
        let (mut frame, mut at, _) = *self.spots.get(at)?;
        while let Some(caller) = &self.frames.get(frame)?.caller {
            (frame, at) = (caller.frame, caller.at);
        }
        Some(at)
    }

    /// Whether one place goes back to another: a loop turns.
    pub fn is_back(&self, from: usize, to: usize) -> bool {
        match (self.spots.get(from), self.spots.get(to)) {
            (Some(from), Some(to)) => from.0 == to.0 && (to.1, to.2) <= (from.1, from.2),
            _ => false,
        }
    }

    /// Whether the machine may read a register of the frame when it goes on at an instruction, which may be one that fails.
    pub fn leaves(&self, to: usize, fails: bool, reg: Reg) -> bool {
        let told = to.checked_sub(self.span.0).filter(|_| fails).and_then(|i| self.told.get(i));
        let live = self.frames.first().and_then(|own| own.live.get(to));
        told.or(live).is_none_or(|set| set.has(reg))
    }

    /// Whether a register is read behind a place, in the function that the place is in.
    pub fn is_live(&self, at: usize, reg: Reg) -> bool {
        let Some((frame, at, _)) = self.spots.get(at) else { return true };
        let Some(frame) = self.frames.get(*frame) else { return true };
        let own = reg.0.checked_sub(frame.base);
        own.is_none_or(|own| frame.live.get(*at).is_none_or(|set| set.has(Reg(own))))
    }

    /// The cell of a register.
    pub fn cell(&self, reg: Reg) -> Option<usize> {
        self.cells.get(&reg).copied()
    }

    /// What code that goes on at an instruction leaves in registers of the frame, and those of them that nothing reads any more.
    pub fn leaving(&self, to: usize, fails: bool, kinds: &Kinds) -> Option<Leaving> {
        let (mut left, mut dead) = (vec![], vec![]);
        for reg in self.written.iter().filter(|reg| self.sources.is_own(**reg)) {
            if !self.leaves(to, fails, *reg) {
                dead.push(*reg);
            } else if kinds[*reg] != Kind::Untouched {
                match self.left_in(*reg, kinds) {
                    Some(whole) => left.push((*reg, whole)),
                    // Only a message would tell it.
                    None if fails && !self.leaves(to, false, *reg) => dead.push(*reg),
                    None => return None,
                }
            }
        }
        Some(Leaving { left, dead })
    }

    /// How what a register holds is put together.
    pub fn left_in(&self, reg: Reg, kinds: &Kinds) -> Option<Left> {
        let kind = kinds[reg];
        let parts = || {
            let part = |i: u16| self.left_in(self.parts.register(reg, i)?, kinds);
            (0..self.parts.count(kind)).map(part).collect::<Option<Vec<Left>>>()
        };
        Some(match kind {
            Kind::Unknown | Kind::Untouched => return None,
            Kind::Tuple(_) => Left::Tuple(parts()?),
            Kind::Vector { single, .. } => Left::Vector(single, parts()?),
            Kind::Struct(d) => Left::Struct(self.parts.defs.get(d as usize)?.clone(), parts()?),
            Kind::Closure(c) => Left::Closure(self.parts.chunks.get(c as usize)?.clone(), parts()?),
            Kind::Derivative(taken) => Left::Derivative(taken, parts()?),
            kind => {
                let primal = Left::Cell(self.cell(reg)?, kind);
                match self.tangent_left(reg, kinds) {
                    Some((tangent, kind)) => Left::Dual(Box::new([primal, Left::Cell(self.cell(tangent)?, kind)])),
                    None => primal,
                }
            }
        })
    }

    /// Reads what was read before from the register where it still is.
    fn share_elements(&mut self) {
        let ways = Ways::of(self);
        for at in 0..self.places.len() {
            let Some(Place { action: Action::Element { dst, object, index }, .. }) = &self.places[at] else { continue };
            let Some(src) = self.read_before(&ways, at, *object, index) else { continue };
            let dst = *dst;
            if let Some(place) = &mut self.places[at] {
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
            if matches!(action, Action::Store { .. } | Action::Update { .. } | Action::Push { .. })
                || index.iter().any(|reg| changed.contains(reg))
            {
                return None;
            }
        }
        None
    }

    /// Is there something that the machine has to do?
    pub fn has_gaps(&self) -> bool {
        self.places.iter().flatten().any(|p| matches!(p.action, Action::Leave))
    }

    /// Does it write entries of the tape?
    pub fn records(&self) -> bool {
        let active = |k: &Kind| *k == Kind::Float { active: true };
        let is_active = |k: u16| self.objects.get(k as usize).is_some_and(|(_, what)| what.is_active());
        self.places.iter().flatten().any(|p| match &p.action {
            Action::Element { object, .. } | Action::Update { object, .. } | Action::Each { object, .. } => {
                is_active(*object)
            }
            Action::Compute { formula, .. } => formula.registers.iter().any(|r| active(&p.kinds[*r])),
            Action::Select { yes, no, .. } => active(&p.kinds[*yes]) || active(&p.kinds[*no]),
            _ => false,
        })
    }

    /// Does it write to a list that may hold variables?
    pub fn stores_variables(&self) -> bool {
        self.places.iter().flatten().any(|p| match p.action {
            Action::Store { object, .. } | Action::Update { object, .. } | Action::Push { object, .. } => {
                self.objects.get(object as usize).is_some_and(|(_, what)| what.is_active())
            }
            Action::Keep { src, .. } => self.holds_variables(src, &p.kinds),
            _ => false,
        })
    }

    /// Finds the kinds at each place that is reached: again where more is found to come together.
    fn follow(&mut self) -> Option<()> {
        let mut todo = vec![(self.entry, self.entry_kinds.clone())];
        while let Some((at, mut kinds)) = todo.pop() {
            let (frame, instruction, _) = *self.spots.get(at)?;
            if frame == 0 && !(self.span.0..=self.span.1).contains(&instruction) {
                continue;
            }
            self.steps += 1;
            if self.steps > STEPS {
                return None;
            }
            if let Some(known) = self.places.get(at)? {
                let joined = known.kinds.join(&kinds);
                if joined == known.kinds {
                    continue;
                }
                kinds = joined;
            }
            let refused = self.refused.contains(&(frame, instruction));
            let done = if refused { None } else { self.read_with_tangents((frame, instruction), &mut kinds) };
            let Read { actions, next } = done.unwrap_or(Read { actions: vec![Action::Leave], next: at });
            // It may have been more of them before.
            let mut stale = actions.len().max(1);
            while let Some(number) = self.numbers.get(&(frame, instruction, stale)) {
                self.places[*number] = None;
                stale += 1;
            }
            let count = actions.len();
            for (k, action) in actions.into_iter().enumerate() {
                let here = self.number((frame, instruction, k))?;
                let next = if k + 1 < count { self.number((frame, instruction, k + 1))? } else { next };
                let place = Place { action, kinds, next };
                let mut ways = place.ways(&self.objects);
                self.places[here] = Some(place);
                if k + 1 == count {
                    ways.iter_mut().for_each(|(_, kinds)| self.forget_passing(kinds));
                    todo.extend(ways);
                    break;
                }
                kinds = ways.swap_remove(0).1;
            }
        }
        Some(())
    }

    /// What an instruction does, with the tangents of the levels that it is under.
    fn read_with_tangents(&mut self, (frame, at): (usize, usize), kinds: &mut Kinds) -> Option<Read> {
        let Read { actions, next } = read(self, (frame, at), kinds)?;
        // What a derivative hands back is under those of its caller.
        let called = self.frames.get(frame)?;
        let hands_back = matches!(called.code.code.get(at), Some(Op::Return { .. }));
        let frame = called.caller.as_ref().filter(|_| hands_back).map_or(frame, |caller| caller.frame);
        let levels = self.levels_of(frame)?;
        let actions = if levels.is_empty() { actions } else { self.with_tangents(&levels, actions, kinds)? };
        Some(Read { actions, next })
    }

    /// The levels that a frame is under, from the outermost on.
    pub(super) fn levels_of(&self, frame: usize) -> Option<Vec<Level>> {
        let mut levels = vec![];
        let mut at = self.frames.get(frame)?;
        loop {
            levels.extend(at.level);
            let Some(caller) = &at.caller else { break };
            at = self.frames.get(caller.frame)?;
        }
        if self.is_under {
            levels.push(AROUND);
        }
        levels.reverse();
        Some(levels)
    }

    /// Instructions after which two registers would hold what is written to (after a copy on write they would not), and those that
    /// read the length of what grows.
    fn shares_what_is_stored(&self) -> Vec<(usize, usize)> {
        let places = || self.places.iter().enumerate().filter_map(|(i, place)| Some((i, place.as_ref()?)));
        let mut shared = vec![];
        for (_, place) in places() {
            let (object, grows) = match place.action {
                Action::Store { object, .. } | Action::Update { object, .. } => (object, false),
                Action::Push { object, .. } | Action::Keep { object, .. } => (object, true),
                _ => continue,
            };
            for (i, p) in places() {
                let is_shared = match p.action {
                    Action::Copy { src, .. } | Action::Walk { iter: src } => p.kinds[src] == Kind::Object(object),
                    Action::Length { object: of, .. } | Action::Each { object: of, .. } => grows && of == object,
                    _ => false,
                };
                let instruction = self.spots.get(i).map(|(frame, at, _)| (*frame, *at));
                shared.extend(instruction.filter(|it| is_shared && !shared.contains(it)));
            }
        }
        shared
    }

    /// Numbers the registers that actions name, and those that are put together where code leaves.
    fn collect(&mut self) {
        let (mut named, mut written) = (vec![], vec![]);
        for place in self.places.iter().flatten() {
            let (reads, writes) = place.action.registers();
            named.extend(reads.iter().chain(&writes));
            written.extend(writes);
            self.tagged.extend(reads.into_iter().filter(|reg| place.kinds[*reg] == Kind::Mixed));
        }
        let kept = self.places.iter().flatten().filter_map(|place| match place.action {
            Action::Keep { src, .. } => Some(src),
            _ => None,
        });
        let mut whole: Vec<Reg> = kept.collect();
        whole.extend(written.iter().filter(|reg| self.sources.is_own(**reg)).copied());
        while let Some(reg) = whole.pop() {
            let most = (0..).map_while(|i| self.parts.register(reg, i));
            let parts: Vec<Reg> = most.collect();
            let tangent = self.tangent_around(reg);
            named.extend(tangent);
            self.tagged.extend(tangent.into_iter().chain([reg]));
            named.extend(&parts);
            whole.extend(parts);
        }
        let unique = |mut list: Vec<Reg>| {
            list.sort_unstable();
            list.dedup();
            list
        };
        self.named = unique(named);
        self.written = unique(written);
        self.cells = self.named.iter().enumerate().map(|(i, reg)| (*reg, i)).collect();
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
