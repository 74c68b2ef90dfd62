//! What compiled code and the machine hand each other: registers, and the end of the tape.

use std::rc::Rc;

use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::{Entry, Recent, Tape};
use crate::ad::transforms::Taken;
use crate::native::keep::Kept;
use crate::tensor::{DType, Tensor};
use crate::value::{StructDef, Value};
use crate::vm::elements;
use crate::vm::items::MAX_LIST;

/// A register, by all that it may hold.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Cell {
    pub float: f64,
    /// An int, or a bool.
    pub int: i64,
    /// Node of the float on the tape; 0 for a constant.
    pub node: u32,
    /// A [`Tag`].
    pub tag: u32,
}

/// The tag of a register that holds object 0; those of others follow.
pub const OBJECT: u32 = 100;

/// What a [`Cell`] holds; 0 for what it held on entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Tag {
    None = 1,
    Bool,
    Int,
    Float,
}

/// What a register holds that elements are read from or written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Of floats, `single` for f32; `active`: a node of the tape.
    Tensor { single: bool, rank: u8, active: bool },
    /// `active`: of floats that may have slots.
    List { active: bool },
    /// A list of anything else, or an empty one.
    Items,
    /// A vector of so many floats, which are read one by one; `active`: with a node.
    Vector { n: u8, single: bool, active: bool },
    /// The same of a matrix.
    Matrix { rows: u8, columns: u8, single: bool, active: bool },
    /// Of so many items.
    Tuple(u16),
    /// Of the definition with this address, whose fields are read.
    Struct(usize),
    /// A function with code at this address.
    Function(usize),
    /// A derivative of a function.
    Derivative(Taken),
    /// Whose entries are read.
    Dict,
    /// The name of a struct, by the address of its definition.
    StructType(usize),
    /// Anything else: it is handed on.
    Other,
}

impl What {
    /// Of a value, if it is such.
    pub fn of(value: &Value) -> Option<What> {
        match value {
            Value::Tensor(slot, t) if slot.level().0 <= 1 && (1..=2).contains(&t.rank()) && t.dtype().is_float() => {
                let single = t.dtype() == DType::F32;
                Some(What::Tensor { single, rank: t.rank() as u8, active: !slot.is_const() })
            }
            Value::Tuple(items) => u16::try_from(items.len()).ok().map(What::Tuple),
            Value::Struct(s) => Some(What::of_struct(&s.def)),
            Value::Fn(closure) => Some(What::Function(Rc::as_ptr(&closure.chunk) as usize)),
            Value::Native(native) => native.0.taken().map(What::Derivative),
            Value::Dict(_) => Some(What::Dict),
            Value::StructType(def) => Some(What::StructType(Rc::as_ptr(def) as usize)),
            Value::List(items) => match (items.first(), items.last()) {
                (Some(Value::Float(first, _)), Some(Value::Float(last, _))) => {
                    Some(What::List { active: !first.is_const() || !last.is_const() })
                }
                _ => Some(What::Items),
            },
            _ => None,
        }
    }

    /// Of a struct with this definition.
    pub fn of_struct(def: &Rc<StructDef>) -> What {
        What::Struct(Rc::as_ptr(def) as usize)
    }

    /// Whether a value is this.
    pub fn fits(self, value: &Value) -> bool {
        match self {
            What::Other => true,
            What::Vector { .. } => What::of_vector(value) == Some(self),
            What::Matrix { .. } => What::of_matrix(value) == Some(self),
            _ => What::of(value) == Some(self),
        }
    }

    /// Whether its elements may have slots.
    pub fn is_active(self) -> bool {
        matches!(self, What::Tensor { active: true, .. } | What::List { active: true })
    }

    /// The number of a tensor with a node among `Tape::wholes`.
    pub fn tensor_of(self, object: &Object) -> Option<u32> {
        matches!(self, What::Tensor { active: true, .. }).then_some(object.whole)
    }
}

/// A tensor or list while code runs. Of a list there are the value and its length.
#[repr(C)]
pub struct Object {
    pub value: *mut Value,
    pub data: *const u8,
    /// Of the axes; those of a vector stand first.
    pub sizes: [i64; 2],
    /// In bytes.
    pub strides: [i64; 2],
    /// Its number among `Tape::wholes`.
    pub whole: u32,
}

impl Object {
    /// Of a value of this kind.
    ///
    /// # Safety
    /// `value` is alive.
    pub unsafe fn new(value: *mut Value, what: What) -> Option<Object> {
        let mut object = Object { value, data: std::ptr::null(), sizes: [1; 2], strides: [0; 2], whole: 0 };
        // SAFETY: the caller's.
        let value = unsafe { &*value };
        if let Value::List(items) = value {
            object.sizes[0] = i64::try_from(items.len()).ok()?;
            object.data = items.as_ptr().cast();
        }
        let What::Tensor { rank, .. } = what else { return Some(object) };
        let Value::Tensor(_, t) = value else { return None };
        let (data, size): (*const u8, i64) = match &**t {
            Tensor::F32(a) => (a.as_ptr().cast(), 4),
            Tensor::F64(a) => (a.as_ptr().cast(), 8),
            _ => return None,
        };
        let strides = match &**t {
            Tensor::F32(a) => a.strides(),
            Tensor::F64(a) => a.strides(),
            _ => return None,
        };
        object.data = data;
        for i in 0..rank as usize {
            object.sizes[i] = i64::try_from(*t.shape().get(i)?).ok()?;
            object.strides[i] = *strides.get(i)? as i64 * size;
        }
        Some(object)
    }
}

/// Reads an item of a list into `Frame::item`: 0 if it is none, or no float that may stand there.
///
/// # Safety
/// `frame` and what it points to are alive.
pub unsafe extern "C" fn read_item(frame: *mut Frame, object: u64, index: i64, active: u64) -> u64 {
    // SAFETY: the caller's.
    let (frame, value) = unsafe { (&mut *frame, &*(*(*frame).objects.add(object as usize)).value) };
    let Value::List(items) = value else { return 0 };
    match position(index, items.len()).and_then(|i| items.get(i)) {
        Some(Value::Float(slot, x)) if slot.is_const() || active != 0 && slot.level().0 == 1 => {
            frame.item = Cell { float: *x, node: slot.node().0, ..Cell::default() };
            1
        }
        _ => 0,
    }
}

/// Writes an item of a list, or an element of a tensor without slot, that nothing else holds: 0 if that has to go another
/// way. `other` is the index of the second axis, of a matrix.
///
/// # Safety
/// `frame` and what it points to are alive.
pub unsafe extern "C" fn write_item(frame: *mut Frame, object: u64, index: i64, other: i64, x: f64, node: u32) -> u64 {
    // SAFETY: the caller's; nothing else refers to the value while code runs.
    let value = unsafe { &mut *(*(*frame).objects.add(object as usize)).value };
    let done = match value {
        Value::List(items) => {
            let place = position(index, items.len());
            match place.and_then(|i| Rc::get_mut(items).and_then(|items| items.get_mut(i))) {
                Some(item) => {
                    let slot = if node == 0 { Slot::CONST } else { Slot::new(Level(1), Node(node)) };
                    item.put(Value::Float(slot, x));
                    true
                }
                None => false,
            }
        }
        Value::Tensor(_, t) if node == 0 => {
            let rank = t.rank();
            elements::write(value, &[index, other][..rank.min(2)], x)
        }
        _ => false,
    };
    u64::from(done)
}

/// Pushes a float on a list that nothing else holds: 0 if that has to go another way.
///
/// # Safety
/// `frame` and what it points to are alive.
pub unsafe extern "C" fn push_item(frame: *mut Frame, object: u64, x: f64, node: u32) -> u64 {
    // SAFETY: the caller's; nothing else refers to the value while code runs.
    let value = unsafe { &mut *(*(*frame).objects.add(object as usize)).value };
    let Value::List(items) = value else { return 0 };
    let Some(items) = Rc::get_mut(items).filter(|items| items.len() < MAX_LIST) else { return 0 };
    let slot = if node == 0 { Slot::CONST } else { Slot::new(Level(1), Node(node)) };
    items.push(Value::Float(slot, x));
    1
}

/// Where an index points to, from the end if it is negative.
fn position(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(index).ok().filter(|i| *i < len)
}

/// The argument of compiled code.
#[repr(C)]
pub struct Frame {
    /// One for each register that the code names.
    pub cells: *mut Cell,
    /// Where the next entry of the tape or word of the trace goes, and the end of the room for them; null without a tape.
    pub top: *mut u8,
    pub end: *mut u8,
    /// Number of the next node.
    pub node: u64,
    /// What elements are read from.
    pub objects: *const Object,
    /// Elements read lately; see [`Tape::recent`].
    pub recent: *mut Recent,
    /// The result of [`read_item`].
    pub item: Cell,
    /// How often the loop turned, if that is counted.
    pub turns: u64,
    /// Address of the code of a function that calls itself.
    pub function: usize,
    /// How far down the stack it may go.
    pub limit: usize,
    /// Words of the trace are written, not entries.
    pub traces: bool,
    /// What is pushed when the code leaves.
    pub kept: Kept,
}

/// Entries up to which code writes: behind them there is room for what is put together where it leaves.
const MOST_ENTRIES: usize = Slot::MAX_NODES - (1 << 14);

/// Words of a trace: as much memory as the entries of a full tape.
const MOST_WORDS: usize = Slot::MAX_NODES * (size_of::<Entry>() / size_of::<u64>());

impl Frame {
    /// For some registers and objects.
    pub fn new(cells: *mut Cell, objects: *const Object, traces: bool) -> Frame {
        Frame {
            cells,
            top: std::ptr::null_mut(),
            end: std::ptr::null_mut(),
            node: 0,
            objects,
            recent: std::ptr::null_mut(),
            item: Cell::default(),
            turns: 0,
            function: 0,
            limit: 0,
            traces,
            kept: Kept::default(),
        }
    }

    /// Sets the pointers to the end of a tape with room for some bytes, and as much again as there is if it was `full` before;
    /// nothing if it may not grow so much.
    pub fn point_to(&mut self, tape: &mut Tape, bytes: usize, full: bool) -> Option<()> {
        let used = tape.entries.len();
        if self.traces {
            let used = tape.trace.len();
            let (needed, more) = (bytes.div_ceil(size_of::<u64>()), if full { used.max(1 << 12) } else { 0 });
            if used + needed > MOST_WORDS {
                return None;
            }
            tape.trace.reserve(needed.max(more));
            let room = tape.trace.spare_capacity_mut();
            self.top = room.as_mut_ptr().cast();
            // SAFETY: one behind the last of the same allocation.
            self.end = unsafe { self.top.add(std::mem::size_of_val(room)) };
        } else {
            let (needed, more) = (bytes.div_ceil(size_of::<Entry>()), if full { used.max(1 << 10) } else { 0 });
            if used + needed > MOST_ENTRIES {
                return None;
            }
            tape.entries.reserve(needed.max(more));
            let room = tape.entries.spare_capacity_mut();
            self.top = room.as_mut_ptr().cast();
            let count = room.len().min(MOST_ENTRIES - used.min(MOST_ENTRIES));
            // SAFETY: not behind the end of the same allocation.
            self.end = unsafe { self.top.add(count * size_of::<Entry>()) };
        }
        self.node = used as u64;
        self.recent = tape.recent.as_mut_ptr();
        Some(())
    }

    /// Makes what was written part of the tape.
    ///
    /// # Safety
    /// All up to `top` is written, in the room of this tape.
    pub unsafe fn settle(&self, tape: &mut Tape) {
        if self.traces {
            let start: *const u8 = tape.trace.as_ptr().cast();
            // SAFETY: the caller's: `top` points into the trace.
            unsafe {
                let bytes = self.top.cast_const().offset_from_unsigned(start);
                tape.trace.set_len(bytes / size_of::<u64>());
            }
        } else {
            let start: *const u8 = tape.entries.as_ptr().cast();
            // SAFETY: as above.
            unsafe {
                let bytes = self.top.cast_const().offset_from_unsigned(start);
                tape.entries.set_len(bytes / size_of::<Entry>());
            }
        }
    }
}
