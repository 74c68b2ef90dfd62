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
use std::mem::offset_of;

use crate::ad::element::{RECENT, RECENT_STRIDE};
use crate::ad::tape::{ELEMENT, Entry, Recent};
use crate::bytecode::formula::{Formula, Step};
use crate::bytecode::op::Reg;
use crate::native::code::{self, Code};
use crate::native::frame::{Cell, Frame, Object, Tag, What, grow, read_item, write_item};
use crate::native::region::{Action, IntOp, Kind, Order, Place, Region};
use crate::native::slopes::{Calls, Partial, Writer};
use crate::value;
use crate::vm::INTERRUPT;

/// Where compiled code leaves, and what it leaves in the cells.
pub struct Exit {
    pub to: usize,
    /// Cell, register, kind.
    pub cells: Vec<(usize, Reg, Kind)>,
}

/// Compiles a region; its exits are numbered.
pub fn emit(isa: &OwnedTargetIsa, region: &Region) -> Option<(Code, Vec<Exit>)> {
    let mut context = FunctionBuilderContext::new();
    let mut function = Function::new();
    function.signature = code::signature(isa);
    let b = FunctionBuilder::new(&mut function, &mut context);
    let exits = Emitter::new(isa, region, b)?.run()?;
    Some((code::compile(isa, function)?, exits))
}

/// The variables of a register.
#[derive(Clone, Copy)]
struct Vars {
    float: Variable,
    node: Variable,
    int: Variable,
    tag: Variable,
}

/// Signatures of what compiled code calls.
#[derive(Clone, Copy)]
struct Helpers {
    grow: SigRef,
    read: SigRef,
    write: SigRef,
}

/// The end of the tape.
#[derive(Clone, Copy)]
struct Tape {
    top: Variable,
    end: Variable,
    node: Variable,
    /// Entries between two looks at the room that is left.
    most: usize,
}

struct Emitter<'a> {
    isa: &'a OwnedTargetIsa,
    region: &'a Region,
    b: FunctionBuilder<'a>,
    vars: Vec<Vars>,
    blocks: Vec<Option<Block>>,
    calls: Calls,
    helpers: Helpers,
    tape: Option<Tape>,
    frame: Variable,
    exits: Vec<Way>,
}

/// An exit: its block is written last.
struct Way {
    block: Block,
    to: usize,
    kinds: Vec<Kind>,
}

const TRUSTED: MemFlagsData = MemFlagsData::trusted();

impl<'a> Emitter<'a> {
    fn new(isa: &'a OwnedTargetIsa, region: &'a Region, mut b: FunctionBuilder<'a>) -> Option<Emitter<'a>> {
        let mut signature = |params: &[Type], result: Type| {
            let mut s = Signature::new(isa.default_call_conv());
            s.params.extend(params.iter().map(|t| AbiParam::new(*t)));
            s.returns.push(AbiParam::new(result));
            b.import_signature(s)
        };
        let calls = Calls {
            one: signature(&[types::F64, types::I64], types::F64),
            two: signature(&[types::F64, types::F64, types::I64], types::F64),
        };
        let helpers = Helpers {
            grow: signature(&[types::I64; 3], types::I64),
            read: signature(&[types::I64; 4], types::I64),
            write: signature(&[types::I64, types::I64, types::I64, types::I64, types::F64, types::I32], types::I64),
        };
        let variables = |b: &mut FunctionBuilder<'_>| Vars {
            float: b.declare_var(types::F64),
            node: b.declare_var(types::I32),
            int: b.declare_var(types::I64),
            tag: b.declare_var(types::I32),
        };
        let vars = region.named.iter().map(|_| variables(&mut b)).collect();
        let most = region.places.iter().flatten().map(|place| entries(region, place)).sum();
        let tape = (most > 0).then(|| Tape {
            top: b.declare_var(types::I64),
            end: b.declare_var(types::I64),
            node: b.declare_var(types::I64),
            most,
        });
        let frame = b.declare_var(types::I64);
        let blocks = region.places.iter().map(|place| place.as_ref().map(|_| b.create_block())).collect();
        Some(Emitter { isa, region, b, vars, blocks, calls, helpers, tape, frame, exits: vec![] })
    }

    fn run(mut self) -> Option<Vec<Exit>> {
        self.enter()?;
        let heads = self.heads();
        for i in 0..self.region.places.len() {
            let (Some(place), Some(block)) = (&self.region.places[i], self.blocks[i]) else { continue };
            let at = self.region.first + i;
            self.b.switch_to_block(block);
            if heads.contains(&at) {
                self.head(at, place)?;
            }
            self.place(at, place)?;
        }
        let exits = std::mem::take(&mut self.exits);
        let exits = exits.iter().enumerate().map(|(i, way)| self.leave(i, way)).collect::<Option<Vec<Exit>>>()?;
        self.b.seal_all_blocks();
        self.b.finalize(self.isa.frontend_config());
        Some(exits)
    }

    /// Loads the registers.
    fn enter(&mut self) -> Option<()> {
        let block = self.b.create_block();
        self.b.append_block_params_for_function_params(block);
        self.b.switch_to_block(block);
        let frame = self.b.block_params(block)[0];
        self.b.def_var(self.frame, frame);
        let cells = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, cells) as i32);
        for (i, vars) in self.vars.clone().into_iter().enumerate() {
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
        if let Some(tape) = self.tape {
            self.load_tape(tape);
            let node = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, node) as i32);
            self.b.def_var(tape.node, node);
        }
        let entry = self.blocks[self.region.entry - self.region.first]?;
        self.b.ins().jump(entry, &[]);
        Some(())
    }

    fn load_tape(&mut self, tape: Tape) {
        let frame = self.b.use_var(self.frame);
        let top = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, top) as i32);
        self.b.def_var(tape.top, top);
        let end = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, end) as i32);
        self.b.def_var(tape.end, end);
    }

    /// The entry, and what is jumped back to.
    fn heads(&self) -> Vec<usize> {
        let mut heads = vec![self.region.entry];
        for (i, place) in self.region.places.iter().enumerate() {
            if let Some(place) = place {
                heads.extend(
                    place
                        .ways(&self.region.objects)
                        .iter()
                        .map(|(to, _)| *to)
                        .filter(|to| *to <= self.region.first + i),
                );
            }
        }
        heads
    }

    /// Looks for an interrupt, and whether the tape has room up to the next look.
    fn head(&mut self, at: usize, place: &Place) -> Option<()> {
        let out = self.exit(at, &place.kinds);
        let flag = self.b.ins().iconst(types::I64, INTERRUPT.as_ptr() as i64);
        let interrupt = self.b.ins().load(types::I8, TRUSTED, flag, 0);
        let go = self.b.create_block();
        self.b.ins().brif(interrupt, out, &[], go, &[]);
        self.b.switch_to_block(go);
        let Some(tape) = self.tape else { return Some(()) };
        let (top, end) = (self.b.use_var(tape.top), self.b.use_var(tape.end));
        let needed = self.b.ins().iadd_imm_s(top, (tape.most * size_of::<Entry>()) as i64);
        let fits = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, needed, end);
        let (more, full, go) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().brif(fits, go, &[], full, &[]);
        self.b.set_cold_block(full);
        self.b.switch_to_block(full);
        let (frame, node) = (self.b.use_var(self.frame), self.b.use_var(tape.node));
        let count = self.b.ins().iconst(types::I64, tape.most as i64);
        let callee = self.b.ins().iconst(types::I64, grow as *const () as i64);
        let call = self.b.ins().call_indirect(self.helpers.grow, callee, &[frame, node, count]);
        let done = self.b.inst_results(call)[0];
        self.b.ins().brif(done, more, &[], out, &[]);
        self.b.switch_to_block(more);
        self.load_tape(tape);
        self.b.ins().jump(go, &[]);
        self.b.switch_to_block(go);
        Some(())
    }

    /// A block that writes back what the registers hold and leaves for `to`.
    fn exit(&mut self, to: usize, kinds: &[Kind]) -> Block {
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        self.exits.push(Way { block, to, kinds: kinds.to_vec() });
        block
    }

    fn leave(&mut self, number: usize, way: &Way) -> Option<Exit> {
        self.b.switch_to_block(way.block);
        let frame = self.b.use_var(self.frame);
        let cells = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, cells) as i32);
        let mut left = vec![];
        for reg in &self.region.written {
            let i = self.region.named.iter().position(|r| r == reg)?;
            let (vars, kind) = (self.vars[i], way.kinds[reg.0 as usize]);
            let (float, node) = ((vars.float, offset_of!(Cell, float)), (vars.node, offset_of!(Cell, node)));
            let (int, tag) = ((vars.int, offset_of!(Cell, int)), (vars.tag, offset_of!(Cell, tag)));
            let stores = match kind {
                Kind::Untouched | Kind::None | Kind::Object(_) => vec![],
                Kind::Bool | Kind::Int => vec![int],
                Kind::Float { active: true } => vec![float, node],
                Kind::Float { active: false } => vec![float],
                Kind::Mixed => vec![float, node, int, tag],
            };
            for (var, offset) in stores {
                let value = self.b.use_var(var);
                self.b.ins().store(TRUSTED, value, cells, (i * size_of::<Cell>() + offset) as i32);
            }
            if kind != Kind::Untouched {
                left.push((i, *reg, kind));
            }
        }
        if let Some(tape) = self.tape {
            let node = self.b.use_var(tape.node);
            self.b.ins().store(TRUSTED, node, frame, offset_of!(Frame, node) as i32);
        }
        let number = self.b.ins().iconst(types::I64, number as i64);
        self.b.ins().return_(&[number]);
        Some(Exit { to: way.to, cells: left })
    }

    /// The block of an instruction, or the way out.
    fn target(&mut self, to: usize, kinds: &[Kind]) -> Block {
        let inside = to.checked_sub(self.region.first).and_then(|i| self.blocks.get(i).copied().flatten());
        inside.unwrap_or_else(|| self.exit(to, kinds))
    }

    fn vars(&self, reg: Reg) -> Option<Vars> {
        self.region.named.iter().position(|r| *r == reg).map(|i| self.vars[i])
    }

    fn set_tag(&mut self, vars: Vars, tag: Tag) {
        let tag = self.b.ins().iconst(types::I32, tag as i64);
        self.b.def_var(vars.tag, tag);
    }

    fn set_int(&mut self, reg: Reg, value: Value, tag: Tag) -> Option<()> {
        let vars = self.vars(reg)?;
        self.b.def_var(vars.int, value);
        self.set_tag(vars, tag);
        Some(())
    }

    fn set_float(&mut self, reg: Reg, value: Value, node: Option<Value>) -> Option<()> {
        let vars = self.vars(reg)?;
        self.b.def_var(vars.float, value);
        let node = node.unwrap_or_else(|| self.b.ins().iconst(types::I32, 0));
        self.b.def_var(vars.node, node);
        self.set_tag(vars, Tag::Float);
        Some(())
    }

    fn int(&mut self, reg: Reg) -> Option<Value> {
        let vars = self.vars(reg)?;
        Some(self.b.use_var(vars.int))
    }

    /// A number as a float.
    fn float(&mut self, reg: Reg, place: &Place) -> Option<Value> {
        let vars = self.vars(reg)?;
        Some(match place.kinds[reg.0 as usize] {
            Kind::Int => {
                let int = self.b.use_var(vars.int);
                self.b.ins().fcvt_from_sint(types::F64, int)
            }
            _ => self.b.use_var(vars.float),
        })
    }

    fn place(&mut self, at: usize, place: &Place) -> Option<()> {
        let ways = place.ways(&self.region.objects);
        match &place.action {
            Action::Skip | Action::Goto { .. } => {}
            Action::Copy { dst, src } => {
                let (from, to) = (self.vars(*src)?, self.vars(*dst)?);
                for (from, to) in [(from.float, to.float), (from.node, to.node), (from.int, to.int), (from.tag, to.tag)]
                {
                    let value = self.b.use_var(from);
                    self.b.def_var(to, value);
                }
            }
            Action::Set { dst, value } => match value {
                value::Value::Float(_, x) => {
                    let x = self.b.ins().f64const(*x);
                    self.set_float(*dst, x, None)?;
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
                    let vars = self.vars(*dst)?;
                    self.set_tag(vars, Tag::None);
                }
            },
            Action::Compute { dst, formula } => self.compute(*dst, formula, place)?,
            Action::Element { dst, object, index } => {
                let (x, node) = self.element(*object, index, at, place)?;
                self.set_float(*dst, x, node)?;
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
            Action::CompareJump { order, a, b, .. } => {
                let holds = self.compare(*order, place, *a, *b)?;
                return self.branch(holds, true, &ways);
            }
            Action::Branch { cond, when, .. } => {
                let cond = self.int(*cond)?;
                return self.branch(cond, !*when, &ways);
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
            Action::Next { iter, .. } => {
                let [current, left, step] = [0, 1, 2].map(|i| self.int(Reg(iter.0 + i)));
                let (current, left, step) = (current?, left?, step?);
                let some = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, left, 0);
                let advance = self.b.create_block();
                let none = self.target(ways[1].0, &ways[1].1);
                self.b.ins().brif(some, advance, &[], none, &[]);
                self.b.switch_to_block(advance);
                let next = self.b.ins().iadd(current, step);
                let rest = self.b.ins().iadd_imm_s(left, -1);
                self.set_int(Reg(iter.0), next, Tag::Int)?;
                self.set_int(Reg(iter.0 + 1), rest, Tag::Int)?;
                self.set_int(Reg(iter.0 + 3), current, Tag::Int)?;
            }
        }
        let (to, kinds) = &ways[0];
        let to = self.target(*to, kinds);
        self.b.ins().jump(to, &[]);
        Some(())
    }

    /// To `ways[0]` if the condition is as `goes_on` says, else to `ways[1]`.
    fn branch(&mut self, condition: Value, goes_on: bool, ways: &[(usize, Vec<Kind>)]) -> Option<()> {
        let [on, off] = [self.target(ways[0].0, &ways[0].1), self.target(ways[1].0, &ways[1].1)];
        let (yes, no) = if goes_on { (on, off) } else { (off, on) };
        self.b.ins().brif(condition, yes, &[], no, &[]);
        Some(())
    }

    /// Lets the machine repeat the instruction if the condition holds.
    fn leave_if(&mut self, condition: Value, at: usize, place: &Place) -> Option<()> {
        let out = self.exit(at, &place.kinds);
        let go = self.b.create_block();
        self.b.ins().brif(condition, out, &[], go, &[]);
        self.b.switch_to_block(go);
        Some(())
    }

    /// An element and its node, if it may have one.
    fn element(&mut self, object: u16, index: &[Reg], at: usize, place: &Place) -> Option<(Value, Option<Value>)> {
        let (_, what) = *self.region.objects.get(object as usize)?;
        let frame = self.b.use_var(self.frame);
        match what {
            What::List { active } => {
                let i = self.int(*index.first()?)?;
                let callee = self.b.ins().iconst(types::I64, read_item as *const () as i64);
                let number = self.b.ins().iconst(types::I64, i64::from(object));
                let may = self.b.ins().iconst(types::I64, i64::from(active));
                let call = self.b.ins().call_indirect(self.helpers.read, callee, &[frame, number, i, may]);
                let done = self.b.inst_results(call)[0];
                let failed = self.b.ins().icmp_imm_s(IntCC::Equal, done, 0);
                self.leave_if(failed, at, place)?;
                let item = offset_of!(Frame, item);
                let x = self.b.ins().load(types::F64, TRUSTED, frame, (item + offset_of!(Cell, float)) as i32);
                let node = self.b.ins().load(types::I32, TRUSTED, frame, (item + offset_of!(Cell, node)) as i32);
                Some((x, active.then_some(node)))
            }
            What::Tensor { single, active, .. } => {
                let objects = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, objects) as i32);
                let field = |offset: usize| (object as usize * size_of::<Object>() + offset) as i32;
                let mut address = self.b.ins().load(types::I64, TRUSTED, objects, field(offset_of!(Object, data)));
                let mut position: Option<Value> = None;
                for (axis, reg) in index.iter().enumerate() {
                    let i = self.int(*reg)?;
                    let size = field(offset_of!(Object, sizes) + 8 * axis);
                    let size = self.b.ins().load(types::I64, TRUSTED, objects, size);
                    let from_end = self.b.ins().iadd(i, size);
                    let below = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, i, 0);
                    let i = self.b.ins().select(below, from_end, i);
                    let outside = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, i, size);
                    self.leave_if(outside, at, place)?;
                    let stride = field(offset_of!(Object, strides) + 8 * axis);
                    let stride = self.b.ins().load(types::I64, TRUSTED, objects, stride);
                    let bytes = self.b.ins().imul(i, stride);
                    address = self.b.ins().iadd(address, bytes);
                    position = Some(match position {
                        Some(rows) => {
                            let before = self.b.ins().imul(rows, size);
                            self.b.ins().iadd(before, i)
                        }
                        None => i,
                    });
                }
                let x = if single {
                    let x = self.b.ins().load(types::F32, TRUSTED, address, 0);
                    self.b.ins().fpromote(types::F64, x)
                } else {
                    self.b.ins().load(types::F64, TRUSTED, address, 0)
                };
                if !active {
                    return Some((x, None));
                }
                let whole = self.b.ins().load(types::I32, TRUSTED, objects, field(offset_of!(Object, whole)));
                Some((x, Some(self.node_of_element(position?, whole)?)))
            }
        }
    }

    /// The node of an element, which may have been read lately; as `Tape::element`.
    fn node_of_element(&mut self, position: Value, whole: Value) -> Option<Value> {
        let frame = self.b.use_var(self.frame);
        let recent = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, recent) as i32);
        let wide = self.b.ins().uextend(types::I64, whole);
        let stride = self.b.ins().iconst(types::I64, RECENT_STRIDE as i64);
        let wide = self.b.ins().imul(wide, stride);
        let place = self.b.ins().iadd(position, wide);
        let place = self.b.ins().band_imm_u(place, RECENT as i64 - 1);
        let size = self.b.ins().iconst(types::I64, size_of::<Recent>() as i64);
        let place = self.b.ins().imul(place, size);
        let place = self.b.ins().iadd(recent, place);
        let field = |offset: usize| offset as i32;
        let (at, of, node) = (offset_of!(Recent, at), offset_of!(Recent, whole), offset_of!(Recent, node));
        let kept_at = self.b.ins().load(types::I64, TRUSTED, place, field(at));
        let kept_of = self.b.ins().load(types::I32, TRUSTED, place, field(of));
        let kept = self.b.ins().load(types::I32, TRUSTED, place, field(node));
        let same_at = self.b.ins().icmp(IntCC::Equal, kept_at, position);
        let same_of = self.b.ins().icmp(IntCC::Equal, kept_of, whole);
        let is_set = self.b.ins().icmp_imm_s(IntCC::NotEqual, kept, 0);
        let same = self.b.ins().band(same_at, same_of);
        let same = self.b.ins().band(same, is_set);
        let found = self.b.declare_var(types::I32);
        self.b.def_var(found, kept);
        let (new, go) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(same, go, &[], new, &[]);
        self.b.switch_to_block(new);
        let element = self.b.ins().iconst(types::I32, i64::from(ELEMENT));
        let bits = self.b.ins().bitcast(types::F64, MemFlagsData::new(), position);
        let nothing = self.b.ins().f64const(0.0);
        let pushed = self.push((element, Partial::Is(bits)), (whole, Partial::Is(nothing)))?;
        for (value, offset) in [(position, at), (whole, of), (pushed, node)] {
            self.b.ins().store(TRUSTED, value, place, field(offset));
        }
        self.b.def_var(found, pushed);
        self.b.ins().jump(go, &[]);
        self.b.switch_to_block(go);
        Some(self.b.use_var(found))
    }

    /// The node of a number, if it may have one.
    fn node_of(&mut self, reg: Reg, place: &Place) -> Option<Option<Value>> {
        let vars = self.vars(reg)?;
        let active = place.kinds[reg.0 as usize] == Kind::Float { active: true };
        Some(active.then(|| self.b.use_var(vars.node)))
    }

    fn store(
        &mut self,
        object: u16,
        index: &[Reg],
        (x, node): (Value, Option<Value>),
        at: usize,
        place: &Place,
    ) -> Option<()> {
        let frame = self.b.use_var(self.frame);
        let number = self.b.ins().iconst(types::I64, i64::from(object));
        let i = self.int(*index.first()?)?;
        let j = match index.get(1) {
            Some(reg) => self.int(*reg)?,
            None => i,
        };
        let node = node.unwrap_or_else(|| self.b.ins().iconst(types::I32, 0));
        let callee = self.b.ins().iconst(types::I64, write_item as *const () as i64);
        let call = self.b.ins().call_indirect(self.helpers.write, callee, &[frame, number, i, j, x, node]);
        let done = self.b.inst_results(call)[0];
        let failed = self.b.ins().icmp_imm_s(IntCC::Equal, done, 0);
        self.leave_if(failed, at, place)
    }

    fn update(
        &mut self,
        (object, index): (u16, &[Reg]),
        value: Reg,
        step: Step,
        at: usize,
        place: &Place,
    ) -> Option<()> {
        let (old, old_node) = self.element(object, index, at, place)?;
        let (x, x_node) = (self.float(value, place)?, self.node_of(value, place)?);
        let formula = Formula::new(vec![value, value], vec![], vec![step], 0);
        let (y, node) = self.differentiate(&formula, &[old, x], &[old_node, x_node])?;
        self.store(object, index, (y, node), at, place)
    }

    fn whole(&mut self, op: IntOp, (at, place): (usize, &Place), a: Reg, b: Reg) -> Option<Value> {
        let (x, y) = (self.int(a)?, self.int(b)?);
        let (value, over) = match op {
            IntOp::Add => self.b.ins().sadd_overflow(x, y),
            IntOp::Sub => self.b.ins().ssub_overflow(x, y),
            IntOp::Mul => self.b.ins().smul_overflow(x, y),
            IntOp::Neg => {
                let zero = self.b.ins().iconst(types::I64, 0);
                self.b.ins().ssub_overflow(zero, x)
            }
            IntOp::FloorDiv | IntOp::Rem => {
                let odd = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, y, 0);
                self.leave_if(odd, at, place)?;
                // Towards minus infinity: the remainder of a positive divisor is not negative.
                let rest = self.b.ins().srem(x, y);
                let below = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, rest, 0);
                return Some(if op == IntOp::Rem {
                    let up = self.b.ins().iadd(rest, y);
                    self.b.ins().select(below, up, rest)
                } else {
                    let quotient = self.b.ins().sdiv(x, y);
                    let down = self.b.ins().iadd_imm_s(quotient, -1);
                    self.b.ins().select(below, down, quotient)
                });
            }
        };
        self.leave_if(over, at, place)?;
        Some(value)
    }

    fn compare(&mut self, order: Order, place: &Place, a: Reg, b: Reg) -> Option<Value> {
        let kind = |reg: Reg| place.kinds[reg.0 as usize];
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

    /// The value of a formula and, if it has variables, its entries on the tape: in the order of `Cx::formula`.
    fn compute(&mut self, dst: Reg, formula: &Formula, place: &Place) -> Option<()> {
        let (mut operands, mut nodes) = (vec![], vec![]);
        for reg in &formula.registers {
            operands.push(self.float(*reg, place)?);
            nodes.push(self.node_of(*reg, place)?);
        }
        let (value, node) = self.differentiate(formula, &operands, &nodes)?;
        self.set_float(dst, value, node)
    }

    /// The value of a formula of operands, and its node if one of theirs is given.
    fn differentiate(
        &mut self,
        formula: &Formula,
        operands: &[Value],
        nodes: &[Option<Value>],
    ) -> Option<(Value, Option<Value>)> {
        let wanted = nodes.iter().enumerate().filter(|(_, n)| n.is_some()).fold(0, |mask, (i, _)| mask | 1 << i);
        let computed = Writer { b: &mut self.b, calls: self.calls }.formula(formula, operands, wanted);
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
        Some((computed.value, node))
    }

    /// Writes an entry; its node.
    fn push(&mut self, (a, pa): (Value, Partial), (b, pb): (Value, Partial)) -> Option<Value> {
        let tape = self.tape?;
        let top = self.b.use_var(tape.top);
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
        self.b.def_var(tape.top, above);
        let node = self.b.use_var(tape.node);
        let next = self.b.ins().iadd_imm_s(node, 1);
        self.b.def_var(tape.node, next);
        Some(self.b.ins().ireduce(types::I32, node))
    }
}

/// How many entries an instruction may write.
fn entries(region: &Region, place: &Place) -> usize {
    let is_active = |k: u16| region.objects.get(k as usize).is_some_and(|(_, what)| what.is_active());
    match &place.action {
        Action::Element { object, .. } => usize::from(is_active(*object)),
        Action::Update { object, .. } if is_active(*object) => 3,
        Action::Compute { formula, .. } => {
            let active = |r: &&Reg| place.kinds[r.0 as usize] == Kind::Float { active: true };
            formula.registers.iter().filter(active).count()
        }
        _ => 0,
    }
}
