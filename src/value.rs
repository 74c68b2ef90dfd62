//! What a program computes with. A [`Value`] is 16 bytes: tag, derivative slot, payload.

use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::rc::Rc;

use indexmap::IndexMap;

use crate::ad::slot::{Level, Slot};
use crate::ad::transforms::Taken;
use crate::builtins::Builtin;
use crate::bytecode::chunk::Chunk;
use crate::error::Result;
use crate::ops::prim::Prim;
use crate::symbol::Symbol;
use crate::tensor::create::Element;
use crate::tensor::{DType, Tensor};
use crate::vm::Vm;

/// A dlang value. Copying shares; changing a shared payload copies it first (`Rc::make_mut`).
///
/// Its layout is fixed because native code reads floats of lists in place: see [`FLOAT`].
#[derive(Default)]
#[repr(u8)]
pub enum Value {
    #[default]
    None = NONE,
    Bool(bool) = BOOL,
    Int(i64) = INT,
    /// 64-bit scalar with its derivative slot. Stands for every 0-d tensor.
    Float(Slot, f64) = FLOAT.tag,
    /// Rank 1 or more; the slot of int and bool tensors is `Slot::CONST`.
    Tensor(Slot, Rc<Tensor>),
    /// A number or tensor that differs from example to example, inside `vmap`. Its slot is never constant.
    Batched(Slot, Rc<Batched>),
    Str(Rc<String>),
    Tuple(Rc<Vec<Value>>),
    List(Rc<Vec<Value>>),
    Dict(Rc<Dict>),
    Struct(Rc<StructValue>),
    Range(Rc<RangeValue>),
    /// A function of the program with what it captured.
    Fn(Rc<Closure>),
    /// A host function without derivative.
    Builtin(&'static Builtin),
    /// A differentiable primitive.
    Prim(&'static Prim),
    /// A function made by a transform: `grad(f)`, a pullback, a bound method.
    Native(Rc<dyn_native::NativeBox>),
    DType(DType),
    /// A struct's name: calling it builds one.
    StructType(Rc<StructDef>),
    Module(Rc<ModuleValue>),
}

const _: () = assert!(std::mem::size_of::<Value>() == 16);

/// Tags of what is written as words.
const NONE: u8 = 0;
const BOOL: u8 = 1;
const INT: u8 = 2;

impl Clone for Value {
    #[inline]
    fn clone(&self) -> Value {
        self.count_one_more();
        // SAFETY: the copy has been counted.
        unsafe { std::ptr::read(self) }
    }
}

/// Half of a value, some of which may be nothing.
type Word = MaybeUninit<u64>;

/// The bytes of a value, read as two words. Registers are written as words and read soon after: read in one piece, or in pieces
/// across the words, the processor waits until what was written has reached the cache, as long as several instructions take.
///
/// # Safety
/// Of the two values one must not be dropped.
#[inline(always)]
unsafe fn words_of(value: &Value) -> Value {
    let from = (&raw const *value).cast::<Word>();
    // SAFETY: a value is two words, aligned as such. What is read is not merged with the other only if it is volatile.
    unsafe { std::mem::transmute([from.read_volatile(), from.add(1).read_volatile()]) }
}

/// The same value, to be written as two words.
#[inline(always)]
fn in_words(value: Value) -> Value {
    let value = std::mem::ManuallyDrop::new(value);
    let from = (&raw const value).cast::<Word>();
    // SAFETY: a value is two words, and the first one of the two values is not dropped.
    unsafe { std::mem::transmute([from.read(), from.add(1).read()]) }
}

/// Where a float's parts stand in memory: the tag is the first byte.
pub struct FloatLayout {
    pub tag: u8,
    pub slot: i32,
    pub number: i32,
}

/// As `repr(u8)` has it: a byte, then the fields as C would place them.
pub const FLOAT: FloatLayout = FloatLayout {
    tag: 3,
    slot: std::mem::offset_of!(FloatFields, slot) as i32,
    number: std::mem::offset_of!(FloatFields, number) as i32,
};

#[repr(C)]
struct FloatFields {
    _tag: u8,
    slot: Slot,
    number: f64,
}

/// All examples of a value inside `vmap`.
pub struct Batched {
    /// The batch level.
    pub level: Level,
    /// The examples along axis 0: a tensor, or a batched value of a level further out. Floats of one number each are f64,
    /// as scalars are.
    pub whole: Value,
}

/// Insertion-ordered dictionary.
pub type Dict = IndexMap<Key, Value>;

/// Keys are str or int.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Key {
    Int(i64),
    Str(Rc<str>),
}

/// `start..stop` by `step`; `step` is not 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RangeValue {
    pub start: i64,
    pub stop: i64,
    pub step: i64,
}

impl RangeValue {
    /// How many ints it holds.
    pub fn len(&self) -> usize {
        let (span, step) = if self.step > 0 {
            (self.stop as i128 - self.start as i128, self.step as i128)
        } else {
            (self.start as i128 - self.stop as i128, -(self.step as i128))
        };
        if span <= 0 { 0 } else { ((span + step - 1) / step) as usize }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `i`-th int; `i < len`.
    pub fn at(&self, i: usize) -> i64 {
        self.start + self.step * i as i64
    }
}

/// A struct's declaration at run time. Two structs are of one type if they share it.
pub struct StructDef {
    pub name: Rc<str>,
    pub fields: Vec<FieldDef>,
    /// Filled by `impl` blocks.
    pub methods: RefCell<FxHashMap<Symbol, Value>>,
    /// Called with the given fields (missing ones as `Value::None` plus a mask) to check types and fill defaults;
    /// see `compile/structs.rs`.
    pub constructor: RefCell<Option<Rc<Closure>>>,
    /// The method `call`, if it is a function of the program: a copy, since layers are called often.
    pub call: RefCell<Option<Rc<Closure>>>,
}

/// One field of a struct.
pub struct FieldDef {
    pub name: Symbol,
    /// Never differentiated: its gradient is `none`.
    pub nograd: bool,
    pub has_default: bool,
    /// `int` or `bool` if it is annotated so: arithmetic must not make it something else.
    pub exact: Option<&'static str>,
}

impl StructDef {
    /// Position of a field.
    pub fn field(&self, name: Symbol) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// Adds methods, or puts others in the place of those of the same names.
    pub fn add_methods(&self, methods: impl IntoIterator<Item = (Symbol, Value)>) {
        let mut all = self.methods.borrow_mut();
        all.extend(methods);
        *self.call.borrow_mut() = match all.get(&Symbol::CALL) {
            Some(Value::Fn(closure)) => Some(closure.clone()),
            _ => None,
        };
    }
}

/// A struct's value: as many fields as its definition has.
#[derive(Clone)]
pub struct StructValue {
    pub def: Rc<StructDef>,
    pub fields: Vec<Value>,
}

/// A function and its captured values.
pub struct Closure {
    pub chunk: Rc<Chunk>,
    pub captures: Vec<Value>,
}

/// A module's names at run time: name to index into the VM's globals.
pub struct ModuleValue {
    pub name: Rc<str>,
    pub exports: FxHashMap<Symbol, u32>,
}

/// Arguments of a call that is not a plain positional one.
#[derive(Clone, Default)]
pub struct Args {
    pub positional: Vec<Value>,
    pub named: Vec<(Symbol, Value)>,
}

/// A function that the host makes at run time.
pub trait NativeFn {
    /// As printed: `grad(loss)`.
    fn describe(&self) -> String;
    /// Calls it.
    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value>;
    /// The function it is made of, if a call of it takes the same arguments (for signatures in messages).
    fn inner(&self) -> Option<&Value> {
        None
    }
    /// The derivative of [`NativeFn::inner`] that it is, if it is no more than that.
    fn taken(&self) -> Option<Taken> {
        None
    }
    /// What a gradient calls, in messages about its result.
    fn called_in_gradient(&self) -> &'static str {
        "this function"
    }
    /// The values inside, for code that walks values.
    fn captured(&self) -> Vec<Value> {
        vec![]
    }
    /// The same function with others in the places of [`NativeFn::captured`]; `None` if it cannot be made.
    fn with_captured(&self, _values: Vec<Value>) -> Option<Value> {
        None
    }
}

/// Keeps `Value` 16 bytes wide: a thin pointer to the fat one.
pub mod dyn_native {
    /// A boxed [`super::NativeFn`].
    pub struct NativeBox(pub Box<dyn super::NativeFn>);
}

impl Value {
    /// True for what arithmetic on structures keeps as it is: text, and functions.
    pub fn has_no_arithmetic(&self) -> bool {
        matches!(self, Value::Str(_) | Value::Fn(_) | Value::Prim(_) | Value::Builtin(_) | Value::Native(_))
    }

    /// Overwrites it. What holds no count goes without a call.
    #[inline(always)]
    pub fn put(&mut self, value: Value) {
        let value = in_words(value);
        match self {
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(..) => {
                std::mem::forget(std::mem::replace(self, value));
            }
            _ => *self = value,
        }
    }

    /// Overwrites it with a copy of another.
    #[inline(always)]
    pub fn put_copy(&mut self, from: &Value) {
        from.count_one_more();
        // SAFETY: the copy has been counted.
        self.put(unsafe { words_of(from) });
    }

    /// Overwrites it with what another holds, which becomes `none`.
    #[inline(always)]
    pub fn put_taken(&mut self, from: &mut Value) {
        // SAFETY: the other is overwritten without being dropped.
        let value = unsafe {
            let value = words_of(from);
            std::ptr::write(from, Value::None);
            value
        };
        self.put(value);
    }

    /// A copy that is not counted, so that it must not be dropped.
    ///
    /// # Safety
    /// The value has to be there, and not changed, as long as the copy is.
    #[inline(always)]
    pub unsafe fn alias(&self) -> Value {
        // SAFETY: the caller's.
        unsafe { words_of(self) }
    }

    /// Counts one more owner of what it points to, for a copy of its bytes.
    #[inline(always)]
    fn count_one_more(&self) {
        fn more<T>(x: &Rc<T>) {
            std::mem::forget(x.clone());
        }
        match self {
            Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(..)
            | Value::Builtin(_)
            | Value::Prim(_)
            | Value::DType(_) => {}
            Value::Tensor(_, x) => more(x),
            Value::Batched(_, x) => more(x),
            Value::Str(x) => more(x),
            Value::Tuple(x) | Value::List(x) => more(x),
            Value::Dict(x) => more(x),
            Value::Struct(x) => more(x),
            Value::Range(x) => more(x),
            Value::Fn(x) => more(x),
            Value::Native(x) => more(x),
            Value::StructType(x) => more(x),
            Value::Module(x) => more(x),
        }
    }

    /// Makes it `none`. Registers are cleared twice in each call of a function.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.give_up();
        // SAFETY: a value is words, aligned as such. The first byte is the tag, and nothing else is read of one that is `none`.
        unsafe { (&raw mut *self).cast::<u64>().write(u64::from_ne_bytes([NONE, 0, 0, 0, 0, 0, 0, 0])) }
    }

    /// Overwrites it with an int.
    #[inline(always)]
    pub fn put_int(&mut self, i: i64) {
        self.put_words(INT, [0; 4], i as u64);
    }

    /// Overwrites it with a float.
    #[inline(always)]
    pub fn put_float(&mut self, slot: Slot, x: f64) {
        const { assert!(FLOAT.slot == 4 && FLOAT.number == 8) }
        self.put_words(FLOAT.tag, slot.0.to_ne_bytes(), x.to_bits());
    }

    /// Drops what it holds. It has to be overwritten next.
    #[inline(always)]
    fn give_up(&mut self) {
        match self {
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(..) => {}
            // SAFETY: it is overwritten next.
            _ => unsafe { std::ptr::drop_in_place(self) },
        }
    }

    /// Overwrites it with a value that holds no count, as its words are: written so, none of its bytes is left to chance, which would
    /// take a register from the run loop.
    #[inline(always)]
    fn put_words(&mut self, tag: u8, [a, b, c, d]: [u8; 4], second: u64) {
        self.give_up();
        let first = u64::from_ne_bytes([tag, 0, 0, 0, a, b, c, d]);
        // SAFETY: a value is two words, aligned as such. The first byte is the tag; a number is the second word.
        unsafe { (&raw mut *self).cast::<[u64; 2]>().write([first, second]) }
    }

    /// A constant float.
    pub fn float(x: f64) -> Value {
        Value::Float(Slot::CONST, x)
    }

    /// A constant tensor; rank 0 becomes the scalar of its dtype.
    pub fn tensor(t: Tensor) -> Value {
        if t.rank() == 0 { t.scalar_value() } else { Value::Tensor(Slot::CONST, Rc::new(t)) }
    }

    /// A constant tensor from its elements in row-major order; rank 0 becomes the scalar of its dtype.
    #[inline]
    pub fn from_vec<T: Element>(shape: &[usize], data: Vec<T>) -> Value {
        if shape.is_empty() {
            return Value::tensor(Tensor::from_vec(shape, data));
        }
        Value::Tensor(Slot::CONST, Tensor::counted(shape, data))
    }

    pub fn str(s: impl Into<String>) -> Value {
        Value::Str(Rc::new(s.into()))
    }

    pub fn tuple(items: Vec<Value>) -> Value {
        Value::Tuple(Rc::new(items))
    }

    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Rc::new(items))
    }

    pub fn native(f: impl NativeFn + 'static) -> Value {
        Value::Native(Rc::new(dyn_native::NativeBox(Box::new(f))))
    }

    /// The slot of a float, tensor or batched value; constant for all else.
    #[inline]
    pub fn slot(&self) -> Slot {
        match self {
            Value::Float(slot, _) | Value::Tensor(slot, _) | Value::Batched(slot, _) => *slot,
            _ => Slot::CONST,
        }
    }

    /// The same payload under another slot. A constant batched value is one without derivatives: it keeps its batch level.
    pub fn with_slot(&self, slot: Slot) -> Value {
        match self {
            Value::Float(_, x) => Value::Float(slot, *x),
            Value::Tensor(_, t) => Value::Tensor(slot, t.clone()),
            Value::Batched(_, b) if slot.is_const() => {
                let whole = b.whole.with_slot(Slot::CONST);
                Value::Batched(Slot::batch(b.level), Rc::new(Batched { level: b.level, whole }))
            }
            Value::Batched(_, b) => Value::Batched(slot, b.clone()),
            other => other.clone(),
        }
    }

    /// The same without a copy of the payload's count.
    pub fn into_slot(mut self, slot: Slot) -> Value {
        match &mut self {
            Value::Float(own, _) | Value::Tensor(own, _) => *own = slot,
            _ => return self.with_slot(slot),
        }
        self
    }

    /// True if it can carry a derivative: a float or a float tensor.
    pub fn is_differentiable(&self) -> bool {
        match self {
            Value::Float(..) => true,
            Value::Tensor(_, t) => t.dtype().is_float(),
            Value::Batched(_, b) => b.whole.is_differentiable(),
            _ => false,
        }
    }

    /// dtype of what the numbers are kept in; `None` for what is not numeric.
    pub fn dtype(&self) -> Option<DType> {
        match self {
            Value::Bool(_) => Some(DType::Bool),
            Value::Int(_) => Some(DType::Int),
            Value::Float(..) => Some(DType::F64),
            Value::Tensor(_, t) => Some(t.dtype()),
            Value::Batched(_, b) => b.whole.dtype(),
            _ => None,
        }
    }

    /// dtype of a tensor; `None` for scalars and what is not numeric.
    pub fn tensor_dtype(&self) -> Option<DType> {
        if self.shape().is_none_or(<[usize]>::is_empty) { None } else { self.dtype() }
    }

    /// True for one float, batched or not.
    pub fn is_one_float(&self) -> bool {
        self.shape().is_some_and(<[usize]>::is_empty) && self.is_differentiable()
    }

    /// Shape (of one example): empty for scalars, `None` for what is neither scalar nor tensor.
    pub fn shape(&self) -> Option<&[usize]> {
        match self {
            Value::Bool(_) | Value::Int(_) | Value::Float(..) => Some(&[]),
            Value::Tensor(_, t) => Some(t.shape()),
            Value::Batched(_, b) => b.whole.shape().and_then(|s| s.get(1..)),
            _ => None,
        }
    }

    /// The kind in the user's words, with dtype and shape: `int`, `f32[3, 4]`, `Dense`, `list`.
    pub fn type_name(&self) -> String {
        match self {
            Value::None => "none".into(),
            Value::Bool(_) => "bool".into(),
            Value::Int(_) => "int".into(),
            Value::Float(..) => "float".into(),
            Value::Tensor(_, t) => format!("{}{}", t.dtype(), crate::tensor::show_shape(t.shape())),
            Value::Batched(..) => match (self.shape().unwrap_or(&[]), self.dtype()) {
                ([], Some(DType::Int)) => "int".into(),
                ([], Some(DType::Bool)) => "bool".into(),
                ([], _) => "float".into(),
                (shape, dtype) => {
                    format!("{}{}", dtype.unwrap_or(DType::F64), crate::tensor::show_shape(shape))
                }
            },
            Value::Str(_) => "str".into(),
            Value::Tuple(_) => "tuple".into(),
            Value::List(_) => "list".into(),
            Value::Dict(_) => "dict".into(),
            Value::Struct(s) => s.def.name.to_string(),
            Value::Range(_) => "range".into(),
            Value::Fn(_) | Value::Builtin(_) | Value::Prim(_) | Value::Native(_) => "function".into(),
            Value::DType(_) => "dtype".into(),
            Value::StructType(_) => "struct type".into(),
            Value::Module(_) => "module".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad::slot::Node;

    #[test]
    fn floats_lie_in_memory_as_native_code_reads_them() {
        let value = Value::Float(Slot(0x0800_0007), 1.5);
        let start = (&raw const value).cast::<u8>();
        // SAFETY: within the value; the fields are those that `repr(u8)` places there.
        unsafe {
            assert_eq!(*start, FLOAT.tag);
            assert_eq!(*start.offset(FLOAT.slot as isize).cast::<u32>(), 0x0800_0007);
            assert_eq!(*start.offset(FLOAT.number as isize).cast::<f64>(), 1.5);
            for other in [Value::None, Value::Bool(true), Value::Int(3)] {
                assert_ne!(*(&raw const other).cast::<u8>(), FLOAT.tag);
            }
        }
    }

    struct Nothing;

    impl NativeFn for Nothing {
        fn describe(&self) -> String {
            String::new()
        }

        fn call(&self, _: &mut Vm, _: Args) -> Result<Value> {
            Ok(Value::None)
        }
    }

    /// One value of each kind that counts its owners.
    fn counted() -> Vec<Value> {
        let def = || {
            Rc::new(StructDef {
                name: "S".into(),
                fields: vec![],
                methods: RefCell::default(),
                constructor: RefCell::default(),
                call: Default::default(),
            })
        };
        let level = Level(1);
        vec![
            Value::Tensor(Slot::CONST, Tensor::counted(&[2], vec![1.0, 2.0])),
            Value::Batched(Slot::new(level, Node(0)), Rc::new(Batched { level, whole: Value::Int(1) })),
            Value::str("text"),
            Value::Tuple(Rc::new(vec![Value::Int(1)])),
            Value::list(vec![Value::Int(1)]),
            Value::Dict(Rc::default()),
            Value::Struct(Rc::new(StructValue { def: def(), fields: vec![] })),
            Value::Range(Rc::new(RangeValue { start: 0, stop: 1, step: 1 })),
            Value::Fn(Rc::new(Closure { chunk: Rc::default(), captures: vec![] })),
            Value::Native(Rc::new(dyn_native::NativeBox(Box::new(Nothing)))),
            Value::StructType(def()),
            Value::Module(Rc::new(ModuleValue { name: "m".into(), exports: FxHashMap::default() })),
        ]
    }

    fn owners(value: &Value) -> usize {
        match value {
            Value::Tensor(_, x) => Rc::strong_count(x),
            Value::Batched(_, x) => Rc::strong_count(x),
            Value::Str(x) => Rc::strong_count(x),
            Value::Tuple(x) | Value::List(x) => Rc::strong_count(x),
            Value::Dict(x) => Rc::strong_count(x),
            Value::Struct(x) => Rc::strong_count(x),
            Value::Range(x) => Rc::strong_count(x),
            Value::Fn(x) => Rc::strong_count(x),
            Value::Native(x) => Rc::strong_count(x),
            Value::StructType(x) => Rc::strong_count(x),
            Value::Module(x) => Rc::strong_count(x),
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(..) => 0,
            Value::Builtin(_) | Value::Prim(_) | Value::DType(_) => 0,
        }
    }

    #[test]
    fn copies_and_moves_count_each_owner_once() {
        for (value, before) in counted().into_iter().flat_map(|v| counted().into_iter().map(move |w| (v.clone(), w))) {
            let kind = value.type_name();
            let counts = |kept: usize, register: &Value| (owners(&value) - kept, owners(register));
            // `counted` holds one more, as does the other values' iterator.
            let kept = owners(&value);
            let replaced = before.clone();
            let mut register = before;
            register.put_copy(&value);
            assert_eq!(counts(kept, &register), (1, kept + 1), "a copy of a {kind}");
            assert_eq!(owners(&replaced), 1, "what a {kind} replaced");
            let mut other = replaced.clone();
            other.put_taken(&mut register);
            assert!(matches!(register, Value::None), "what is left of a {kind}");
            assert_eq!(counts(kept, &other), (1, kept + 1), "a moved {kind}");
            assert_eq!(owners(&replaced), 1, "what a moved {kind} replaced");
            register.put(other.clone());
            assert_eq!(owners(&value), kept + 2, "a clone of a {kind}");
            register.put_copy(&other);
            assert_eq!(owners(&value), kept + 2, "a {kind} over itself");
            // SAFETY: never dropped, and the value outlives it.
            let alias = std::mem::ManuallyDrop::new(unsafe { value.alias() });
            assert_eq!(owners(&alias), kept + 2, "an alias of a {kind}");
            register.clear();
            other.put(Value::Int(1));
            assert_eq!(owners(&value), kept, "a {kind} after all");
        }
        for plain in [Value::Bool(true), Value::Int(-3), Value::Float(Slot(7), 0.5), Value::DType(DType::F32)] {
            let shown = |v: &Value| match v {
                Value::Float(slot, x) => format!("{} {x}", slot.0),
                Value::Int(i) => i.to_string(),
                Value::Bool(b) => b.to_string(),
                other => other.type_name().to_string(),
            };
            let mut register = Value::str("text");
            register.put_copy(&plain);
            assert_eq!(shown(&register), shown(&plain));
            let mut other = Value::None;
            other.put_taken(&mut register);
            assert_eq!(shown(&other), shown(&plain.clone()));
            assert!(matches!(register, Value::None));
        }
    }
}
