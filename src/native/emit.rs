//! From a region to machine code.
//!
//! Each register is a handful of variables, one for each kind it may have; cranelift finds their places. Only exits write
//! back to the frame. What the machine has to do itself (an int that overflows, a full tape) is an exit too, to the
//! instruction that would fail: the machine repeats it.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, Block, Function, InstBuilder, MemFlagsData, SigRef, Signature, Type, Value, types,
};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use rustc_hash::FxHashSet;
use std::mem::offset_of;

use crate::bytecode::op::Reg;
use crate::native::action::{Action, IntOp, Order, Place};
use crate::native::adjoint::{Adjoint, Back, Start, Ways};
use crate::native::code::{self, Code};
use crate::native::frame::{Cell, Frame, Tag};
use crate::native::jumps::Noted;
use crate::native::keep::Push;
use crate::native::kind::{Kind, Kinds, Told};
use crate::native::needed::is_idle;
use crate::native::parts::{Leaving, Left};
use crate::native::record::{Record, Recording, most};
use crate::native::region::Region;
use crate::native::seen::Seen;
use crate::native::slopes::{Calls, rounded, whole_constant};
use crate::native::{rare, recursion};
use crate::ops::num::Test;
use crate::value;
use crate::vm::INTERRUPT;

/// Where compiled code leaves, and what it leaves in the cells.
pub struct Exit {
    /// An instruction of the loop or behind it.
    pub to: usize,
    pub left: Vec<(Reg, Left)>,
    /// Registers that nothing reads any more.
    pub dead: Vec<Reg>,
    /// There was no room to record.
    pub full: bool,
}

/// A compiled region; its exits are numbered.
pub struct Emitted {
    pub code: Code<Frame>,
    pub exits: Vec<Exit>,
    pub pushes: Vec<Push>,
    /// The way back, of what is recorded as a trace.
    pub adjoint: Option<Adjoint>,
    /// Bytes that it records between two looks at the room.
    pub most: usize,
}

/// Compiles a region.
pub fn emit(isa: &OwnedTargetIsa, region: &Region<'_>, recording: Recording) -> Option<Emitted> {
    let mut context = FunctionBuilderContext::new();
    let mut function = Function::new();
    function.signature = if region.is_function { recursion::signature(isa, region) } else { code::signature(isa) };
    let b = FunctionBuilder::new(&mut function, &mut context);
    let ways = Ways::of(region);
    let Written { exits, starts, backs, pushes } = Emitter::new(isa, region, recording, &ways, b)?.run()?;
    let adjoint = match recording {
        Recording::Trace => Some(Adjoint::new(isa, region, &ways, &backs, &starts, &exits)?),
        _ => None,
    };
    Some(Emitted { code: code::compile(isa, function)?, exits, pushes, adjoint, most: most(region, recording) })
}

/// What there is beside the code.
struct Written {
    exits: Vec<Exit>,
    /// Where the adjoint starts, by exit.
    starts: Vec<Start>,
    backs: Vec<Back>,
    pushes: Vec<Push>,
}

/// The variables of a register.
#[derive(Clone, Copy)]
pub(super) struct Vars {
    pub float: Variable,
    pub node: Variable,
    pub int: Variable,
    pub tag: Variable,
}

/// Signatures of what compiled code calls.
#[derive(Clone, Copy)]
pub(super) struct Helpers {
    pub read: SigRef,
    pub write: SigRef,
    pub push: SigRef,
}

pub(super) struct Emitter<'a> {
    isa: &'a OwnedTargetIsa,
    pub region: &'a Region<'a>,
    pub b: FunctionBuilder<'a>,
    /// Where registers are loaded.
    first: Block,
    vars: Vec<Vars>,
    /// By cell: whether it may have a slot somewhere, and whether it may be one thing or another: what is never asked for is not noted.
    slotted: Vec<bool>,
    mixed: Vec<bool>,
    pub blocks: Vec<Option<Block>>,
    /// By place: how many jumps to its block are written.
    pub jumped: Vec<usize>,
    /// By place: the one that stands behind it in its block.
    pub followers: Vec<Option<usize>>,
    pub calls: Calls,
    pub helpers: Helpers,
    pub seen: Seen,
    pub recording: Recording,
    pub record: Option<Record>,
    pub frame: Variable,
    /// How a function calls itself.
    pub recursion: Option<SigRef>,
    /// Turns of the loop, if the machine has to do something now and then.
    turns: Option<Variable>,
    exits: Vec<Way>,
    /// The ways on which places come together.
    pub ways: &'a Ways,
    /// Jumps from the block at hand that note on the trace which one they are.
    pub noted: Vec<Noted>,
    /// What each place does on the way back.
    backs: Vec<Back>,
    /// What is put together behind the code.
    pub pushes: Vec<Push>,
}

/// An exit: its block is written last.
struct Way {
    block: Block,
    /// A place.
    to: usize,
    kinds: Kinds,
    start: Start,
    full: bool,
}

/// By place: the one that it leads to, if nothing else leads there and it leads nowhere else.
fn followers(region: &Region<'_>, ways: &Ways) -> Vec<Option<usize>> {
    let mut followers = vec![None; region.places.len()];
    for (i, place) in region.places.iter().enumerate() {
        let Some(place) = place else { continue };
        if let [(to, _)] = place.ways(&region.objects)[..]
            && matches!(ways.of_place(to), [Some(_)])
            && region.at(to).is_some()
        {
            followers[i] = Some(to);
        }
    }
    followers
}

pub(super) const TRUSTED: MemFlagsData = MemFlagsData::trusted();
/// Of what does not change while the code runs.
pub(super) const FIXED: MemFlagsData = MemFlagsData::trusted().with_readonly().with_can_move();

impl<'a> Emitter<'a> {
    fn new(
        isa: &'a OwnedTargetIsa,
        region: &'a Region<'a>,
        recording: Recording,
        ways: &'a Ways,
        mut b: FunctionBuilder<'a>,
    ) -> Option<Emitter<'a>> {
        let mut signature = |params: &[Type], result: Type| {
            let mut s = Signature::new(isa.default_call_conv());
            s.params.extend(params.iter().map(|t| AbiParam::new(*t)));
            s.returns.push(AbiParam::new(result));
            b.import_signature(s)
        };
        let mut calls = Calls {
            one: signature(&[types::F64, types::I64], types::F64),
            two: signature(&[types::F64, types::F64, types::I64], types::F64),
            rare: None,
        };
        let helpers = Helpers {
            read: signature(&[types::I64; 4], types::I64),
            write: signature(&[types::I64, types::I64, types::I64, types::I64, types::F64, types::I32], types::I64),
            push: signature(&[types::I64, types::I64, types::F64, types::I32], types::I64),
        };
        calls.rare = rare::address(isa).map(|address| (b.import_signature(rare::signature()), address));
        let variables = |b: &mut FunctionBuilder<'_>| Vars {
            float: b.declare_var(types::F64),
            node: b.declare_var(types::I32),
            int: b.declare_var(types::I64),
            tag: b.declare_var(types::I32),
        };
        let vars = region.named.iter().map(|_| variables(&mut b)).collect();
        let most = most(region, recording);
        let record = (most > 0).then(|| Record {
            top: b.declare_var(types::I64),
            end: b.declare_var(types::I64),
            node: (recording == Recording::Entries).then(|| b.declare_var(types::I64)),
            most,
        });
        let frame = b.declare_var(types::I64);
        let recursion = region.is_function.then(|| b.import_signature(recursion::signature(isa, region)));
        let turns = (region.has_gaps() && !region.is_function).then(|| b.declare_var(types::I64));
        let followers = followers(region, ways);
        // The first block, which defines most: variables take memory up to the last block that defines them.
        let first = b.create_block();
        let mut blocks = vec![];
        for place in &region.places {
            blocks.push(place.as_ref().map(|_| b.create_block()));
        }
        followers.iter().flatten().for_each(|place| blocks[*place] = None);
        let behind = region.places.iter().flatten().flat_map(|place| place.ways(&region.objects));
        let behind: Vec<Kinds> = behind.map(|(_, kinds)| kinds).collect();
        let told = Told::of(region.places.iter().flatten().map(|place| &place.kinds).chain(&behind));
        let by_cell = |set: &FxHashSet<Reg>| region.named.iter().map(|reg| set.contains(reg)).collect();
        let mixed = &told.mixed & &region.tagged;
        Some(Emitter {
            isa,
            region,
            b,
            first,
            vars,
            slotted: by_cell(&told.slotted),
            mixed: by_cell(&mixed),
            jumped: vec![0; blocks.len()],
            blocks,
            followers,
            calls,
            helpers,
            seen: Seen::default(),
            recording,
            record,
            frame,
            recursion,
            turns,
            exits: vec![],
            ways,
            noted: vec![],
            backs: region.places.iter().map(|_| Back::Nothing).collect(),
            pushes: vec![],
        })
    }

    fn run(mut self) -> Option<Written> {
        let jumps = self.jumps();
        self.enter()?;
        let heads = self.heads();
        for (i, jumps) in jumps.into_iter().enumerate() {
            let Some(block) = self.blocks[i] else { continue };
            self.b.switch_to_block(block);
            self.seen.forget();
            if jumps == self.jumped[i] {
                self.b.seal_block(block);
            }
            let mut next = Some(i);
            while let Some(at) = next {
                let place = self.region.at(at)?;
                if heads.contains(&at) {
                    self.head(at, place)?;
                }
                self.place(at, place)?;
                next = self.followers[at];
            }
            self.note_jumps()?;
        }
        // All jumps are written, those out of the region too.
        self.b.seal_all_blocks();
        let exits = std::mem::take(&mut self.exits);
        let starts = exits.iter().map(|way| way.start).collect();
        let exits = exits.iter().enumerate().map(|(i, way)| self.leave(i, way)).collect::<Option<Vec<Exit>>>()?;
        self.b.seal_all_blocks();
        self.b.finalize(self.isa.frontend_config());
        Some(Written { exits, starts, backs: self.backs, pushes: self.pushes })
    }

    /// Loads the registers.
    fn enter(&mut self) -> Option<()> {
        let block = self.first;
        self.b.append_block_params_for_function_params(block);
        self.go_on(block);
        let frame = self.b.block_params(block)[0];
        self.b.def_var(self.frame, frame);
        let given = self.take_arguments(block)?;
        let cells = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, cells) as i32);
        for (i, vars) in self.vars.clone().into_iter().enumerate() {
            // Arguments are there, and what is only written has nothing.
            let reg = *self.region.named.get(i)?;
            if given.contains(&reg) || !self.region.sources.has(reg) {
                continue;
            }
            let at = |field: usize| (i * size_of::<Cell>() + field) as i32;
            let loads = [
                (vars.float, types::F64, offset_of!(Cell, float)),
                (vars.int, types::I64, offset_of!(Cell, int)),
                (vars.node, types::I32, offset_of!(Cell, node)),
                (vars.tag, types::I32, offset_of!(Cell, tag)),
            ];
            for (var, ty, offset) in loads {
                let value = self.b.ins().load(ty, TRUSTED, cells, at(offset));
                self.b.def_var(var, value);
            }
        }
        if let Some(record) = self.record {
            self.load_record(record);
            if let Some(var) = record.node {
                let node = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, node) as i32);
                self.b.def_var(var, node);
            }
        }
        if let Some(turns) = self.turns {
            let zero = self.b.ins().iconst(types::I64, 0);
            self.b.def_var(turns, zero);
        }
        let entry = self.jump_to(None, self.region.entry)?;
        self.b.ins().jump(entry, &[]);
        self.note_jumps()
    }

    /// The entry, and what is jumped back to.
    fn heads(&self) -> Vec<usize> {
        let mut heads = vec![self.region.entry];
        for (i, place) in self.region.places.iter().enumerate() {
            for (to, _) in place.iter().flat_map(|place| place.ways(&self.region.objects)) {
                if self.region.is_back(i, to) {
                    heads.push(to);
                }
            }
        }
        heads
    }

    /// Looks for an interrupt, and whether there is room up to the next look.
    fn head(&mut self, at: usize, place: &Place) -> Option<()> {
        if let Some(var) = self.turns.filter(|_| at == self.region.entry) {
            let turns = self.b.use_var(var);
            let more = self.b.ins().iadd_imm_s(turns, 1);
            self.b.def_var(var, more);
        }
        if self.recursion.is_some() && at == self.region.entry {
            let out = self.exit(at, &place.kinds, Start::Before(at));
            self.go_deeper(out);
        }
        let out = self.exit(at, &place.kinds, Start::Before(at));
        let flag = self.b.ins().iconst(types::I64, INTERRUPT.as_ptr() as i64);
        let interrupt = self.b.ins().load(types::I8, TRUSTED, flag, 0);
        let go = self.b.create_block();
        self.b.ins().brif(interrupt, out, &[], go, &[]);
        self.go_on(go);
        self.look(at, place)
    }

    /// Leaves if there is no room up to the next look.
    fn look(&mut self, at: usize, place: &Place) -> Option<()> {
        let out = self.exit(at, &place.kinds, Start::Before(at));
        if let Some(way) = self.exits.last_mut() {
            way.full = true;
        }
        self.room(out)
    }

    /// A block that writes back what the registers hold and leaves for `to`.
    pub(super) fn exit(&mut self, to: usize, kinds: &Kinds, start: Start) -> Block {
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        self.exits.push(Way { block, to, kinds: kinds.clone(), start, full: false });
        block
    }

    fn leave(&mut self, number: usize, way: &Way) -> Option<Exit> {
        self.b.switch_to_block(way.block);
        if self.recursion.is_some() {
            self.fail(way.full);
            return Some(Exit { to: 0, left: vec![], dead: vec![], full: way.full });
        }
        let frame = self.b.use_var(self.frame);
        let cells = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, cells) as i32);
        let to = self.region.instruction(way.to)?;
        let Leaving { left, dead } = self.region.leaving(to, matches!(way.start, Start::Before(_)), &way.kinds)?;
        let mut stored = vec![];
        left.iter().for_each(|(_, left)| left.cells(&mut |cell, kind| stored.push((cell, kind))));
        for (i, kind) in stored {
            self.store_cell(i, kind, cells)?;
        }
        if let Some(record) = self.record {
            let top = self.b.use_var(record.top);
            self.b.ins().store(TRUSTED, top, frame, offset_of!(Frame, top) as i32);
        }
        if let Some(turns) = self.turns {
            let turns = self.b.use_var(turns);
            self.b.ins().store(TRUSTED, turns, frame, offset_of!(Frame, turns) as i32);
        }
        let number = self.b.ins().iconst(types::I64, number as i64);
        self.b.ins().return_(&[number]);
        Some(Exit { to, left, dead, full: way.full })
    }

    /// Writes a register to its cell.
    pub(super) fn store_cell(&mut self, i: usize, kind: Kind, cells: Value) -> Option<()> {
        let vars = *self.vars.get(i)?;
        let (float, node) = ((vars.float, offset_of!(Cell, float)), (vars.node, offset_of!(Cell, node)));
        let (int, tag) = ((vars.int, offset_of!(Cell, int)), (vars.tag, offset_of!(Cell, tag)));
        let stores = match kind {
            Kind::Bool | Kind::Int => vec![int],
            Kind::Float { active: true } => vec![float, node],
            Kind::Float { active: false } | Kind::Zero => vec![float],
            Kind::Mixed => vec![float, node, int, tag],
            _ => vec![],
        };
        for (var, offset) in stores {
            let value = self.b.use_var(var);
            self.b.ins().store(TRUSTED, value, cells, (i * size_of::<Cell>() + offset) as i32);
        }
        Some(())
    }

    /// The node of a number, if it may have one.
    pub(super) fn node_of(&mut self, reg: Reg, place: &Place) -> Option<Option<Value>> {
        if place.kinds[reg] != (Kind::Float { active: true }) {
            return Some(None);
        }
        let vars = self.vars(reg)?;
        Some(Some(self.b.use_var(vars.node)))
    }

    pub(super) fn vars(&self, reg: Reg) -> Option<Vars> {
        self.region.cell(reg).map(|i| self.vars[i])
    }

    pub(super) fn set_tag(&mut self, reg: Reg, tag: Tag) -> Option<()> {
        let cell = self.region.cell(reg)?;
        if self.mixed[cell] {
            let tag = self.b.ins().iconst(types::I32, tag as i64);
            self.b.def_var(self.vars[cell].tag, tag);
        }
        Some(())
    }

    pub(super) fn set_int(&mut self, reg: Reg, value: Value, tag: Tag) -> Option<()> {
        let vars = self.vars(reg)?;
        self.b.def_var(vars.int, value);
        self.set_tag(reg, tag)
    }

    pub(super) fn set_float(&mut self, reg: Reg, value: Value, node: Option<Value>) -> Option<()> {
        let cell = self.region.cell(reg)?;
        let vars = self.vars[cell];
        self.b.def_var(vars.float, value);
        if self.slotted[cell] || self.mixed[cell] {
            let node = node.unwrap_or_else(|| self.b.ins().iconst(types::I32, 0));
            self.b.def_var(vars.node, node);
        }
        self.set_tag(reg, Tag::Float)
    }

    pub(super) fn int(&mut self, reg: Reg) -> Option<Value> {
        let vars = self.vars(reg)?;
        Some(self.b.use_var(vars.int))
    }

    /// A number as a float.
    pub(super) fn float(&mut self, reg: Reg, place: &Place) -> Option<Value> {
        let vars = self.vars(reg)?;
        if let Some(x) = self.region.constants.get(&reg).filter(|_| place.kinds[reg].is_float()) {
            return Some(self.seen.number(&mut self.b, *x));
        }
        Some(match place.kinds[reg] {
            Kind::Int => {
                let int = self.b.use_var(vars.int);
                self.b.ins().fcvt_from_sint(types::F64, int)
            }
            _ => self.b.use_var(vars.float),
        })
    }

    fn place(&mut self, at: usize, place: &Place) -> Option<()> {
        let ways = place.ways(&self.region.objects);
        let mut back = Back::Nothing;
        match &place.action {
            Action::Skip | Action::Goto { .. } | Action::Shape { .. } => {}
            action if is_idle(action, &self.region.needed) => {}
            Action::Leave => {
                let out = self.exit(at, &place.kinds, Start::Before(at));
                self.b.ins().jump(out, &[]);
                return Some(());
            }
            Action::Copy { dst, src } => {
                back = match place.kinds[*src] {
                    Kind::Float { active: true } if dst != src => Back::Copy { dst: *dst, src: *src },
                    Kind::Float { active: false } | Kind::Zero => Back::End { dst: *dst },
                    _ => Back::Nothing,
                };
                self.copy(*dst, *src, place)?;
            }
            Action::Take { dst, src } => {
                self.copy(*dst, *src, place)?;
                self.set_tag(*src, Tag::None)?;
            }
            Action::Return { src } => return self.give_back(*src, place),
            Action::Recur { dst, args, result } => {
                self.recur(*dst, args, (*result)?)?;
                // What follows records, too.
                self.look(at, place)?;
            }
            Action::Keep { object, src } => self.keep(*object, *src, at, place)?,
            Action::Push { object, value } => {
                let x = self.float(*value, place)?;
                let node = self.node_of(*value, place)?;
                self.push_on(*object, (x, node), at, place)?;
            }
            Action::Length { dst, object } => {
                let count = self.length(*object);
                self.set_int(*dst, count, Tag::Int)?;
            }
            Action::Set { dst, value } => match value {
                value::Value::Float(_, x) => {
                    let x = self.seen.number(&mut self.b, *x);
                    self.set_float(*dst, x, None)?;
                    back = Back::End { dst: *dst };
                }
                value::Value::Int(i) => {
                    let i = self.b.ins().iconst(types::I64, *i);
                    self.set_int(*dst, i, Tag::Int)?;
                }
                value::Value::Bool(b) => {
                    let b = self.b.ins().iconst(types::I64, i64::from(*b));
                    self.set_int(*dst, b, Tag::Bool)?;
                }
                _ => {
                    self.set_tag(*dst, Tag::None)?;
                }
            },
            Action::Compute { dst, formula, lanes } => back = self.compute(*dst, formula, *lanes, place)?,
            Action::Zero { dst } => {
                let zero = self.seen.number(&mut self.b, 0.0);
                self.set_float(*dst, zero, None)?;
                back = Back::End { dst: *dst };
            }
            Action::Select { dst, test, a, b, yes, no } => {
                let order = match test {
                    Test::Greater => Order::Gt,
                    Test::Equal => Order::Eq,
                };
                let holds = self.compare(order, place, *a, *b)?;
                back = self.select(holds, *dst, [*yes, *no], place)?;
            }
            Action::Round { dst, src } => {
                let node = self.node_of(*src, place)?;
                back = match node {
                    Some(_) if dst != src => Back::Copy { dst: *dst, src: *src },
                    Some(_) => Back::Nothing,
                    None => Back::End { dst: *dst },
                };
                let x = self.float(*src, place)?;
                let x = rounded(&mut self.b, x);
                self.set_float(*dst, x, node)?;
            }
            Action::Element { dst, object, index } => {
                let (x, node) = self.element(*object, index, at, place)?;
                self.set_float(*dst, x, node)?;
                back = self.back_from_element(*dst, *object);
            }
            Action::Store { object, index, value } => {
                let x = self.float(*value, place)?;
                let node = self.node_of(*value, place)?;
                self.store(*object, index, (x, node), at, place)?;
            }
            Action::Update { object, index, value, step } => {
                self.update((*object, index), *value, *step, at, place)?;
            }
            Action::Whole { op, dst, a, b } => {
                let value = self.whole(*op, (at, place), *a, *b)?;
                self.set_int(*dst, value, Tag::Int)?;
            }
            Action::Compare { order, dst, a, b } => {
                let holds = self.compare(*order, place, *a, *b)?;
                let holds = self.b.ins().uextend(types::I64, holds);
                self.set_int(*dst, holds, Tag::Bool)?;
            }
            Action::Expect { order, a, b } => {
                let holds = self.compare(*order, place, *a, *b)?;
                let fails = self.b.ins().icmp_imm_s(IntCC::Equal, holds, 0);
                self.leave_if(fails, at, place)?;
            }
            Action::CompareJump { order, a, b, .. } => {
                let holds = self.compare(*order, place, *a, *b)?;
                return self.branch(at, holds, true, &ways);
            }
            Action::Branch { cond, when, .. } => {
                let cond = self.int(*cond)?;
                return self.branch(at, cond, !*when, &ways);
            }
            Action::Not { dst, src } => {
                let x = self.int(*src)?;
                let value = self.b.ins().bxor_imm_u(x, 1);
                self.set_int(*dst, value, Tag::Bool)?;
            }
            Action::Both { dst, a, b, and } => {
                let (x, y) = (self.int(*a)?, self.int(*b)?);
                let value = if *and { self.b.ins().band(x, y) } else { self.b.ins().bor(x, y) };
                self.set_int(*dst, value, Tag::Bool)?;
            }
            Action::Range { iter, lo, hi } => {
                let (start, stop) = (self.int(*lo)?, self.int(*hi)?);
                // How many there are; where that does not fit an int the machine does it.
                let (count, over) = self.b.ins().ssub_overflow(stop, start);
                self.leave_if(over, at, place)?;
                let zero = self.b.ins().iconst(types::I64, 0);
                let count = self.b.ins().smax(count, zero);
                let one = self.b.ins().iconst(types::I64, 1);
                for (i, value) in [start, count, one].into_iter().enumerate() {
                    self.set_int(Reg(iter.0 + i as u16), value, Tag::Int)?;
                }
            }
            Action::Walk { iter } => {
                let (from, to) = (self.vars(*iter)?, self.vars(Reg(iter.0 + 1))?);
                let tag = self.b.use_var(from.tag);
                self.b.def_var(to.tag, tag);
                let zero = self.b.ins().iconst(types::I64, 0);
                self.set_int(*iter, zero, Tag::Int)?;
                self.set_tag(Reg(iter.0 + 2), Tag::None)?;
            }
            Action::Each { iter, object, .. } => {
                // Where the item is dead, which it is wherever loops end, nothing flows to it on the way back.
                if self.region.is_live(ways[1].0, iter.shifted(3)) {
                    return None;
                }
                let none = self.target(at, ways[1].0, &ways[1].1);
                back = self.each(*iter, *object, at, place, none)?;
            }
            Action::Next { iter, .. } => {
                let [current, left, step] = [0, 1, 2].map(|i| self.int(Reg(iter.0 + i)));
                let (current, left, step) = (current?, left?, step?);
                let some = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, left, 0);
                let advance = self.b.create_block();
                let none = self.target(at, ways[1].0, &ways[1].1);
                self.b.ins().brif(some, advance, &[], none, &[]);
                self.go_on(advance);
                let next = self.b.ins().iadd(current, step);
                let rest = self.b.ins().iadd_imm_s(left, -1);
                self.set_int(Reg(iter.0), next, Tag::Int)?;
                self.set_int(Reg(iter.0 + 1), rest, Tag::Int)?;
                self.set_int(Reg(iter.0 + 3), current, Tag::Int)?;
            }
        }
        if let Some(noted) = self.backs.get_mut(at) {
            *noted = back;
        }
        if self.followers[at].is_none() {
            let (to, kinds) = &ways[0];
            let to = self.target(at, *to, kinds);
            self.b.ins().jump(to, &[]);
        }
        Some(())
    }

    fn copy(&mut self, dst: Reg, src: Reg, place: &Place) -> Option<()> {
        let (from, to) = (self.vars(src)?, self.vars(dst)?);
        let tag = match place.kinds[src] {
            Kind::Float { .. } | Kind::Zero => {
                let (value, node) = (self.float(src, place)?, self.node_of(src, place)?);
                return self.set_float(dst, value, node);
            }
            Kind::Int => Tag::Int,
            Kind::Bool => Tag::Bool,
            _ => Tag::None,
        };
        if tag != Tag::None {
            let value = self.b.use_var(from.int);
            return self.set_int(dst, value, tag);
        }
        for (from, to) in [(from.float, to.float), (from.node, to.node), (from.int, to.int), (from.tag, to.tag)] {
            let value = self.b.use_var(from);
            self.b.def_var(to, value);
        }
        Some(())
    }

    /// To `ways[0]` if the condition is as `goes_on` says, else to `ways[1]`.
    fn branch(&mut self, at: usize, condition: Value, goes_on: bool, ways: &[(usize, Kinds)]) -> Option<()> {
        let [on, off] = [0, 1].map(|i| self.target(at, ways[i].0, &ways[i].1));
        let (yes, no) = if goes_on { (on, off) } else { (off, on) };
        self.b.ins().brif(condition, yes, &[], no, &[]);
        Some(())
    }

    /// Lets the machine repeat the instruction if the condition holds.
    pub(super) fn leave_if(&mut self, condition: Value, at: usize, place: &Place) -> Option<()> {
        let out = self.exit(at, &place.kinds, Start::Before(at));
        let go = self.b.create_block();
        self.b.ins().brif(condition, out, &[], go, &[]);
        self.go_on(go);
        Some(())
    }

    fn whole(&mut self, op: IntOp, (at, place): (usize, &Place), a: Reg, b: Reg) -> Option<Value> {
        let (x, y) = (self.int(a)?, self.int(b)?);
        let (value, over) = match op {
            IntOp::Max => return Some(self.b.ins().smax(x, y)),
            IntOp::Min => return Some(self.b.ins().smin(x, y)),
            IntOp::Add => self.b.ins().sadd_overflow(x, y),
            IntOp::Sub => self.b.ins().ssub_overflow(x, y),
            IntOp::Mul => self.b.ins().smul_overflow(x, y),
            IntOp::Neg => {
                let zero = self.b.ins().iconst(types::I64, 0);
                self.b.ins().ssub_overflow(zero, x)
            }
            IntOp::FloorDiv | IntOp::Rem => {
                // Towards minus infinity, as bits below and above a place are.
                if let Some(power) = whole_constant(&self.b, y).filter(|y| *y > 0 && y.count_ones() == 1) {
                    return Some(match op {
                        IntOp::Rem => self.b.ins().band_imm_s(x, power - 1),
                        _ => self.b.ins().sshr_imm_u(x, u64::from(power.trailing_zeros()) as i64),
                    });
                }
                let odd = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, y, 0);
                self.leave_if(odd, at, place)?;
                // The remainder of a positive divisor is not negative.
                let quotient = self.b.ins().sdiv(x, y);
                let product = self.b.ins().imul(quotient, y);
                let rest = self.b.ins().isub(x, product);
                let below = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, rest, 0);
                return Some(if op == IntOp::Rem {
                    let up = self.b.ins().iadd(rest, y);
                    self.b.ins().select(below, up, rest)
                } else {
                    let down = self.b.ins().iadd_imm_s(quotient, -1);
                    self.b.ins().select(below, down, quotient)
                });
            }
        };
        self.leave_if(over, at, place)?;
        Some(value)
    }

    fn compare(&mut self, order: Order, place: &Place, a: Reg, b: Reg) -> Option<Value> {
        let kind = |reg: Reg| place.kinds[reg];
        if kind(a) == Kind::Int && kind(b) == Kind::Int {
            let (x, y) = (self.int(a)?, self.int(b)?);
            let condition = match order {
                Order::Lt => IntCC::SignedLessThan,
                Order::Le => IntCC::SignedLessThanOrEqual,
                Order::Gt => IntCC::SignedGreaterThan,
                Order::Ge => IntCC::SignedGreaterThanOrEqual,
                Order::Eq => IntCC::Equal,
                Order::Ne => IntCC::NotEqual,
            };
            return Some(self.b.ins().icmp(condition, x, y));
        }
        let (x, y) = (self.float(a, place)?, self.float(b, place)?);
        let condition = match order {
            Order::Lt => FloatCC::LessThan,
            Order::Le => FloatCC::LessThanOrEqual,
            Order::Gt => FloatCC::GreaterThan,
            Order::Ge => FloatCC::GreaterThanOrEqual,
            Order::Eq => FloatCC::Equal,
            Order::Ne => FloatCC::NotEqual,
        };
        Some(self.b.ins().fcmp(condition, x, y))
    }
}
