//! Native code for loops over numbers.
//!
//! ```text
//! bytecode ─region─▶ typed actions ─emit, slopes─▶ cranelift ─code─▶ machine code, which works on a frame
//!                                        └─record─▶ trace ─adjoint─▶ machine code of the way back, which works on a sweep
//! ```
//!
//! A loop that has turned often enough is compiled for the kinds of values that its registers hold then, if all it does is
//! compute with floats, ints and bools. For a gradient at the outermost level a run of it is one entry of the tape, with a
//! trace that its adjoint reads backwards; else it writes the entries of the tape, of the same bits that the machine would
//! write. Everything else, and whatever goes wrong inside, stays with the machine, which goes on at the
//! instruction where the code left.

mod action;
mod adjoint;
mod calls;
mod checked;
mod code;
mod constants;
mod derivatives;
mod elements;
mod emit;
mod entry;
mod frame;
mod function;
mod inlined;
mod inputs;
mod jumps;
mod keep;
mod kind;
mod needed;
mod parts;
mod rare;
mod read;
mod record;
mod recursion;
mod region;
mod seen;
mod slopes;
mod sources;
mod structures;
mod tangents;
mod under;
mod vector_math;
mod vectors;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::{Entry, General, Tape};
use crate::ad::{Cx, Watch};
use crate::bytecode::chunk::Chunk;
use crate::bytecode::op::{Op, Reg};
use crate::native::adjoint::Adjoint;
use crate::native::emit::{Emitted, Exit};
pub use crate::native::entry::LoopEntry;
use crate::native::frame::{Cell as Register, Frame, OBJECT, Tag};
pub use crate::native::function::{Functions, call};
use crate::native::inputs::Inputs;
use crate::native::keep::{Push, push_all};
use crate::native::kind::Kind;
use crate::native::parts::{Left, Making};
use crate::native::record::Recording;
use crate::native::region::Region;
use crate::native::under::Around;
use crate::tensor::DType;
use crate::tensor::create::scalar_f64;
use crate::value::Value;
use crate::vm::arith::brackets;

/// Turns of loops between two looks.
const LOOK: u32 = 128;
/// Looks at a loop before it is compiled.
const HOT: u32 = 8;
/// Attempts to compile it. The next run may be of other kinds or without forward mode.
const FAILURES: u32 = 6;
/// Turns that are left for which native code is not worth the way in and out.
const FEW: i64 = 8;
/// Kinds of registers that a loop is compiled for at a time.
const VARIANTS: usize = 8;
/// How often looks before it is compiled may double, as what was compiled gives way to what is new.
const PATIENT: u32 = 6;
/// Entries of the tape that may be written for a cell where code leaves: its node, and two for a vector that it is part of.
const ROOM: usize = 4;
/// How often code may leave in the middle of a turn before it is given up, if it did not turn `MANY` times before.
const LEFT: u32 = 1000;
const MANY: u64 = 16;

thread_local! {
    static COMPILED: Cell<usize> = const { Cell::new(0) };
    static ON: Cell<bool> = Cell::new(std::env::var_os("DLANG_NATIVE").is_none_or(|wish| wish != "off"));
    static TRACES: Cell<bool> = const { Cell::new(true) };
}

/// Compiles loops from now on, or leaves all to the machine: to find out whether native code is to blame. The environment
/// variable `DLANG_NATIVE=off` does it from the start.
pub fn switch(on: bool) {
    ON.set(on);
}

/// Whether loops compiled from now on may record traces instead of entries, whose sweeps add in the same order as those of the
/// machine to the last bit: for tests.
pub fn switch_traces(on: bool) {
    TRACES.set(on);
}

/// How many loops were compiled on this thread, for tests.
pub fn compiled() -> usize {
    COMPILED.get()
}

/// The compiled loops of a chunk.
#[derive(Default)]
pub struct Loops {
    /// One at least is compiled.
    any: Cell<bool>,
    loops: RefCell<Vec<Loop>>,
}

#[derive(Default)]
struct Loop {
    first: usize,
    /// The state of one over a range or items.
    iter: Option<Reg>,
    looks: u32,
    /// Attempts in vain; under levels for which no variables are compiled, too.
    failures: [u32; 2],
    /// The last used one first.
    variants: Vec<Rc<Variant>>,
    /// How many gave way to others.
    replaced: u32,
}

/// A loop compiled for some kinds of registers.
struct Variant {
    code: code::Code<Frame>,
    exits: Vec<Exit>,
    pushes: Vec<Push>,
    /// The way back from a trace.
    adjoint: Option<Rc<Adjoint>>,
    inputs: Inputs,
    /// Bytes that it records between two looks at the room.
    most: usize,
    /// There was no room at the last look.
    full: Cell<bool>,
    /// Exits in the middle of a turn that are left.
    patience: Cell<u32>,
    span: (usize, usize),
}

impl Cx {
    /// Called at each turn of a loop: is it worth a look?
    #[inline(always)]
    pub fn turns(&mut self, chunk: &Chunk) -> bool {
        self.turns = self.turns.wrapping_add(1);
        chunk.loops.any.get() || self.turns.is_multiple_of(LOOK)
    }
}

/// Runs the loop that begins at `first` in native code, if there is such; where the machine goes on.
#[cold]
#[inline(never)]
pub fn turn(cx: &mut Cx, chunk: &Chunk, regs: &mut [Value], globals: &[Option<Value>], first: usize) -> Option<usize> {
    let variant = {
        let mut loops = chunk.loops.loops.borrow_mut();
        let looks = cx.turns.is_multiple_of(LOOK);
        let place = loops.iter().position(|l| l.first == first);
        let place = match place {
            Some(place) => place,
            None if looks => {
                let iter = chunk.code.iter().rev().find_map(|op| match op {
                    Op::ForLoop { iter, to } if to.0 as usize == first => Some(*iter),
                    _ => None,
                });
                loops.push(Loop { first, iter, ..Loop::default() });
                loops.len() - 1
            }
            None => return None,
        };
        let this = &mut loops[place];
        if this.iter.and_then(|iter| turns_left(regs, iter)).is_some_and(|left| left < FEW) {
            return None;
        }
        let known = this.variants.iter().position(|v| v.inputs.fits(cx, regs, globals));
        if let Some(place) = known {
            this.variants[..=place].rotate_right(1);
        }
        match this.variants.first().filter(|_| known.is_some()) {
            Some(variant) if variant.patience.get() == 0 => return None,
            Some(variant) => variant.clone(),
            None => {
                // Under levels for which no variables are compiled it may work for none, and says nothing of others.
                let is_outermost = cx.depth() == 1 && cx.outermost_tape().is_some();
                let nested = usize::from(cx.depth() > 0 && !is_outermost && cx.forward_duals().is_none());
                if !looks || this.failures[nested] >= FAILURES || !ON.get() {
                    return None;
                }
                this.looks += 1;
                if this.looks < HOT << (this.failures[nested] + this.replaced.min(PATIENT)) {
                    return None;
                }
                this.looks = 0;
                let Some(variant) = compile(cx, chunk, regs, globals, first) else {
                    this.failures[nested] += 1;
                    return None;
                };
                let variant = Rc::new(variant);
                COMPILED.set(COMPILED.get() + 1);
                if this.variants.len() == VARIANTS {
                    this.variants.pop();
                    this.replaced += 1;
                }
                this.variants.insert(0, variant.clone());
                chunk.loops.any.set(true);
                if !variant.inputs.fits(cx, regs, globals) {
                    return None;
                }
                variant
            }
        }
    };
    variant.run(cx, regs, globals)
}

/// How often a loop turns yet, if its state tells.
fn turns_left(regs: &[Value], iter: Reg) -> Option<i64> {
    match regs.get(iter.0 as usize..)? {
        [Value::Int(_), Value::Int(left), ..] => Some(*left),
        [Value::Int(at), Value::List(items), ..] => Some(items.len() as i64 - at),
        _ => None,
    }
}

fn compile(cx: &mut Cx, chunk: &Chunk, regs: &[Value], globals: &[Option<Value>], first: usize) -> Option<Variant> {
    let (dtype, watched) = (cx.env.dtype, cx.watch != Watch::Off || cx.trap.records);
    let plain = cx.outermost_tape().map(|tape| tape.plain);
    let around = cx.forward_duals().map(Around::new);
    let region = Region::new((chunk, first), regs, globals, (dtype, around))?;
    if watched && region.directions.len() > 1 {
        return None;
    }
    let may_trace = region.records() && !region.stores_variables() && TRACES.get();
    let recording = match region.records() {
        true if may_trace && plain? => Recording::Trace,
        true => plain.map(|_| Recording::Entries)?,
        false => Recording::Nothing,
    };
    let Emitted { code, exits, pushes, adjoint, most } = emit::emit(code::isa()?, &region, recording)?;
    let span = region.span;
    Some(Variant {
        code,
        exits,
        pushes,
        adjoint: adjoint.map(Rc::new),
        inputs: Inputs::of(region, recording, may_trace),
        most,
        full: Cell::new(false),
        patience: Cell::new(LEFT),
        span,
    })
}

impl Variant {
    fn run(&self, cx: &mut Cx, regs: &mut [Value], globals: &[Option<Value>]) -> Option<usize> {
        let inputs = &self.inputs;
        let mut cells = inputs.registers(cx, regs, globals)?;
        let objects = inputs.objects(cx, regs, globals)?;
        let mut frame = Frame::new(cells.as_mut_ptr(), objects.as_ptr(), inputs.recording == Recording::Trace);
        let nodes = cells.iter().map(|cell| cell.node).collect();
        let mut words = 0;
        if inputs.recording != Recording::Nothing {
            let tape = cx.outermost_tape()?;
            if tape.entries.len() + ROOM * (inputs.cells.len() + 1) > Slot::MAX_NODES {
                return None;
            }
            words = tape.trace.len();
            tape.keep_recent();
            // The entry is noted before the first look at the room.
            frame.point_to(tape, self.most + size_of::<u64>(), self.full.get())?;
        }
        // SAFETY: the code was made for these cells (`fits`), and writes only within the room of the frame.
        let number = unsafe { (self.code.entry)(&raw mut frame) } as usize;
        if inputs.recording != Recording::Nothing {
            let tape = cx.outermost_tape()?;
            // SAFETY: the code has written all up to there, within the capacity.
            unsafe { frame.settle(tape) };
        }
        if let (Some(adjoint), Some(tape)) = (&self.adjoint, cx.outermost_tape()) {
            let tensors =
                objects.iter().zip(&inputs.objects).map(|(object, (_, what))| what.tensor_of(object)).collect();
            let words = words..tape.trace.len();
            let entry = LoopEntry { adjoint: adjoint.clone(), exit: number, inputs: nodes, tensors, words };
            let outs = adjoint.outs.get(number).map_or(&[][..], Vec::as_slice);
            record(tape, entry, outs, &mut cells)?;
        }
        let exit = self.exits.get(number)?;
        // Copies of objects are taken before their registers change.
        let mut values: smallvec::SmallVec<[(Reg, Value); 32]> = smallvec::SmallVec::new();
        let object = |k: usize| inputs.objects.get(k).map(|(reg, _)| inputs.sources.value(regs, globals, *reg).clone());
        let of = |cell: &Register, kind: Kind| {
            let slot = || if cell.node == 0 { Slot::CONST } else { Slot::new(Level(1), Node(cell.node)) };
            Some(match kind {
                Kind::None => Value::None,
                Kind::Bool => Value::Bool(cell.int != 0),
                Kind::Int => Value::Int(cell.int),
                Kind::Float { active: true } => Value::Float(slot(), cell.float),
                Kind::Float { active: false } | Kind::Zero => Value::float(cell.float),
                Kind::Object(k) => object(k as usize).unwrap_or_default(),
                Kind::Mixed => match cell.tag {
                    t if t == Tag::None as u32 => Value::None,
                    t if t == Tag::Bool as u32 => Value::Bool(cell.int != 0),
                    t if t == Tag::Int as u32 => Value::Int(cell.int),
                    t if t == Tag::Float as u32 => Value::Float(slot(), cell.float),
                    0 => return None,
                    k => object(k.saturating_sub(OBJECT) as usize).unwrap_or_default(),
                },
                _ => return None,
            })
        };
        let of_cell = |cell: usize, kind: Kind| of(cells.get(cell)?, kind);
        let put_together = |left: &Left, cells: &[Register]| {
            let of_cell = |cell: usize, kind: Kind| of(cells.get(cell)?, kind);
            left.value(&of_cell, &mut |making| make(cx, making))
        };
        // SAFETY: the registers have not changed yet.
        unsafe { push_all(&frame.kept, &self.pushes, &objects, put_together) };
        for (reg, left) in &exit.left {
            // What was not touched stays.
            if let Some(value) = left.value(&of_cell, &mut |making| make(cx, making)) {
                values.push((*reg, value));
            }
        }
        for reg in &exit.dead {
            if let Some(register) = regs.get_mut(reg.0 as usize) {
                register.clear();
            }
        }
        for (reg, value) in values {
            if let Some(register) = regs.get_mut(reg.0 as usize) {
                register.put(value);
            }
        }
        self.full.set(exit.full);
        let in_vain = !exit.full && !frame.kept.is_full() && frame.turns < MANY;
        if (self.span.0..=self.span.1).contains(&exit.to) && in_vain {
            self.patience.set(self.patience.get().saturating_sub(1));
        }
        Some(exit.to)
    }
}

/// What is not put together from values alone.
fn make(cx: &mut Cx, making: Making) -> Option<Value> {
    match making {
        Making::Vector(single, elements) => vector(cx, single, &elements),
        Making::Dual(primal, tangent) => {
            let (level, _) = cx.forward_duals()?;
            cx.new_dual(primal, tangent, level).ok()
        }
    }
}

/// A vector of floats, as brackets make it.
fn vector(cx: &mut Cx, single: bool, elements: &[Value]) -> Option<Value> {
    if elements.iter().all(|x| x.slot().is_const()) {
        let floats = elements.iter().map(scalar_f64);
        let shape = [elements.len()];
        return Some(if single {
            Value::from_vec(&shape, floats.map(|x| Some(x? as f32)).collect::<Option<Vec<f32>>>()?)
        } else {
            Value::from_vec(&shape, floats.collect::<Option<Vec<f64>>>()?)
        });
    }
    let before = std::mem::replace(&mut cx.env.dtype, if single { DType::F32 } else { DType::F64 });
    let made = brackets(cx, elements).ok();
    cx.env.dtype = before;
    made
}

/// Puts a run of a loop on the tape, and behind it a node for each cell that may hold a variable.
fn record(tape: &mut Tape, entry: LoopEntry, outs: &[usize], cells: &mut [Register]) -> Option<()> {
    tape.push_general(General::Loop(Box::new(entry)), Slot::CONST).ok()?;
    for cell in outs {
        cells[*cell].node = tape.push(Entry { a: 0, b: 0, pa: 0.0, pb: 0.0 }).ok()?.0;
    }
    Some(())
}
