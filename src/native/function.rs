//! Functions that call themselves: compiled once they are called often, for numbers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::ad::Cx;
use crate::ad::slot::{Level, Node, Slot};
use crate::bytecode::chunk::Chunk;
use crate::bytecode::op::Op;
use crate::native::code::{self, Code};
use crate::native::emit::{self, Emitted};
use crate::native::frame::Frame;
use crate::native::inputs::Inputs;
use crate::native::kind::Kind;
use crate::native::record::Recording;
use crate::native::recursion::{DONE, FULL, first_call};
use crate::native::region::Region;
use crate::native::{COMPILED, ON};
use crate::value::Value;

/// Calls of a function before it is compiled.
const HOT: u32 = 2000;
/// How often that is tried, for other kinds of arguments.
const ATTEMPTS: u32 = 4;
/// Bytes of the stack that it may take: what calls itself deeper is left to the machine, which needs no stack.
const STACK: usize = 1 << 18;
/// How often it may fail before it is given up.
const PATIENCE: u32 = 8;

/// The compiled forms of a function.
#[derive(Default)]
pub struct Functions {
    calls: Cell<u32>,
    /// How often it was tried.
    attempts: Cell<u32>,
    variants: RefCell<Vec<Rc<Variant>>>,
}

struct Variant {
    /// Held for its address.
    code: Code<Frame>,
    enter: Code<Frame>,
    inputs: Inputs,
    result: Kind,
    most: usize,
    patience: Cell<u32>,
}

impl Functions {
    /// Called at each call: is it worth a look?
    #[inline(always)]
    pub fn is_hot(&self) -> bool {
        let calls = self.calls.get().saturating_add(1);
        self.calls.set(calls);
        calls >= HOT && !self.is_done()
    }

    /// Nothing is compiled and nothing will be.
    fn is_done(&self) -> bool {
        self.attempts.get() >= ATTEMPTS && self.variants.borrow().is_empty()
    }
}

/// The result of a function of these arguments, if it is compiled or can be.
#[cold]
#[inline(never)]
pub fn call(cx: &mut Cx, chunk: &Chunk, args: &mut [Value], globals: &[Option<Value>]) -> Option<Value> {
    let functions = &chunk.functions_native;
    let found = functions.variants.borrow().iter().find(|v| v.inputs.fits(cx, args, globals)).cloned();
    let variant = match found {
        Some(variant) => variant,
        None => {
            if functions.attempts.get() >= ATTEMPTS || !ON.get() {
                return None;
            }
            functions.attempts.set(functions.attempts.get() + 1);
            if !calls_itself(chunk, globals) {
                functions.attempts.set(ATTEMPTS);
                return None;
            }
            let variant = Rc::new(compile(cx, chunk, args, globals)?);
            COMPILED.set(COMPILED.get() + 1);
            functions.variants.borrow_mut().push(variant.clone());
            if !variant.inputs.fits(cx, args, globals) {
                return None;
            }
            variant
        }
    };
    if variant.patience.get() == 0 {
        return None;
    }
    let result = variant.run(cx, args, globals);
    if result.is_none() {
        variant.patience.set(variant.patience.get() - 1);
    }
    result
}

/// Whether a function of no captures reads itself, by its name.
fn calls_itself(chunk: &Chunk, globals: &[Option<Value>]) -> bool {
    let is_this = |op: &Op| match op {
        Op::GetGlobal { global, .. } => {
            let value = globals.get(global.0 as usize).and_then(Option::as_ref);
            matches!(value, Some(Value::Fn(f)) if std::ptr::eq(&*f.chunk, chunk))
        }
        _ => false,
    };
    chunk.captures == 0 && chunk.code.iter().any(is_this)
}

fn compile(cx: &mut Cx, chunk: &Chunk, args: &[Value], globals: &[Option<Value>]) -> Option<Variant> {
    let region = Region::of_function(chunk, args, globals, cx.env.dtype)?;
    let recording = match region.records() {
        true => cx.outermost_tape().map(|_| Recording::Entries)?,
        false => Recording::Nothing,
    };
    let isa = code::isa()?;
    let Emitted { code, most, .. } = emit::emit(isa, &region, recording)?;
    let (enter, result) = (first_call(isa, &region)?, region.result?);
    let patience = Cell::new(PATIENCE);
    Some(Variant { code, enter, inputs: Inputs::of(region, recording, false), result, most, patience })
}

impl Variant {
    fn run(&self, cx: &mut Cx, args: &mut [Value], globals: &[Option<Value>]) -> Option<Value> {
        let mut cells = self.inputs.registers(cx, args, globals)?;
        let objects = self.inputs.objects(cx, args, globals)?;
        let mut room = self.most;
        loop {
            let mut frame = Frame::new(cells.as_mut_ptr(), objects.as_ptr(), false);
            frame.function = self.code.entry as usize;
            frame.limit = (&raw const frame as usize).saturating_sub(STACK);
            if self.inputs.recording != Recording::Nothing {
                let tape = cx.outermost_tape()?;
                tape.keep_recent();
                frame.point_to(tape, room, false)?;
            }
            // SAFETY: the code was made for these cells (`fits`), and writes only within the room of the frame.
            let done = unsafe { (self.enter.entry)(&raw mut frame) };
            if done == FULL && self.inputs.recording != Recording::Nothing {
                // Nothing is part of the tape yet: once more with room for more.
                room = (room * 4).max(1 << 16);
                let tape = cx.outermost_tape()?;
                tape.recent.clear();
                continue;
            }
            if done != DONE {
                if self.inputs.recording != Recording::Nothing {
                    cx.outermost_tape()?.recent.clear();
                }
                return None;
            }
            if self.inputs.recording != Recording::Nothing {
                let tape = cx.outermost_tape()?;
                // SAFETY: the code has written all up to there, within the capacity.
                unsafe { frame.settle(tape) };
            }
            let item = frame.item;
            let slot = if item.node == 0 { Slot::CONST } else { Slot::new(Level(1), Node(item.node)) };
            return match self.result {
                Kind::Int => Some(Value::Int(item.int)),
                Kind::Bool => Some(Value::Bool(item.int != 0)),
                Kind::Float { active: true } => Some(Value::Float(slot, item.float)),
                Kind::Float { active: false } => Some(Value::float(item.float)),
                _ => None,
            };
        }
    }
}
