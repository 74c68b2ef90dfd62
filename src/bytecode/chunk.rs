//! The code of one function, with its constants, side tables and places in the source.

use std::cell::RefCell;
use std::rc::Rc;

use crate::builtins::Builtin;
use crate::bytecode::formula::Formula;
use crate::bytecode::op::{Op, Reg};
use crate::native::{Functions, Loops};
use crate::ops::prim::Prim;
use crate::source::Span;
use crate::symbol::Symbol;
use crate::syntax::ast::BinOp;
use crate::tensor::DType;
use crate::value::Value;

/// A compiled function.
#[derive(Default)]
pub struct Chunk {
    /// As messages show it: `loss`, `Dense.call`, `<lambda>`.
    pub name: Rc<str>,
    /// Where the function stands.
    pub span: Span,
    pub params: Vec<ParamInfo>,
    /// Bit `i`: parameter `i` is `inout`.
    pub inout: u64,
    /// Registers of a frame: parameters, then captures, then the rest.
    pub registers: u16,
    /// Registers `params.len() ..` that captures fill.
    pub captures: u16,
    pub code: Vec<Op>,
    /// By instruction: the expression that it computes.
    pub spans: Vec<Places>,
    /// Variables where the code reads them, for errors.
    pub variables: Vec<Variable>,
    pub consts: Vec<Value>,
    pub names: Vec<Symbol>,
    pub operators: Vec<BinOp>,
    pub calls: Vec<CallSite>,
    pub dict_keys: Vec<Vec<crate::value::Key>>,
    pub functions: Vec<FunctionSite>,
    pub formats: Vec<Vec<Piece>>,
    pub indices: Vec<Vec<IndexPart>>,
    pub types: Vec<TypeTest>,
    /// What is annotated with each of them, for messages: `x` in backquotes, "the result".
    pub annotated: Vec<Rc<str>>,
    pub hosts: Vec<Host>,
    pub formulas: Vec<Rc<Formula>>,
    /// Those that have become native code, and the function itself.
    pub loops: Loops,
    pub functions_native: Functions,
    /// Text of the signature, for printing.
    pub signature: RefCell<Option<String>>,
}

/// The place of an instruction: the whole expression, and its operands for remarks.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub span: Span,
    pub operands: Rc<[Span]>,
}

/// A variable that an expression names.
#[derive(Clone, Debug)]
pub struct Variable {
    pub span: Span,
    pub name: Rc<str>,
    pub home: Home,
}

/// Where a variable's value is.
#[derive(Clone, Copy, Debug)]
pub enum Home {
    Register(Reg),
    Global(u32),
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct ParamInfo {
    pub name: Symbol,
    pub has_default: bool,
}

/// A host function known when compiling.
#[derive(Clone, Copy)]
pub enum Host {
    Prim(&'static Prim),
    Builtin(&'static Builtin),
}

/// How a call passes its arguments.
#[derive(Default)]
pub struct CallSite {
    /// Number of arguments, receiver included; they stand in R[base+1 ..].
    pub count: u16,
    /// Names of the last ones.
    pub names: Vec<Symbol>,
    /// Bit `i`: argument `i` is `&place`. For a method call, bit 0 means that the receiver is a place that may change.
    pub inout: u64,
    pub method: Option<Symbol>,
    pub host: Option<Host>,
    /// The host's arguments are already in the order of its signature.
    pub arranged: bool,
}

/// A closure to make: code and where its captures come from.
pub struct FunctionSite {
    pub chunk: Rc<Chunk>,
    pub captures: Vec<CaptureSource>,
}

/// Where a captured value comes from.
#[derive(Clone, Copy, Debug)]
pub enum CaptureSource {
    /// The running closure.
    Itself,
    Reg(Reg),
    Global(u32),
}

/// Part of an f-string.
pub enum Piece {
    Text(String),
    /// The next register, shown as `spec` says, whose own values are in the registers behind it; the span is that of the value.
    Value {
        spec: Vec<Piece>,
        span: Span,
    },
}

impl Piece {
    /// How many registers an f-string reads.
    pub fn count(pieces: &[Piece]) -> usize {
        let values = |piece: &Piece| match piece {
            Piece::Text(_) => 0,
            Piece::Value { spec, .. } => 1 + Piece::count(spec),
        };
        pieces.iter().map(values).sum()
    }
}

/// One item of an index; values stand in consecutive registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexPart {
    At,
    Slice { start: bool, stop: bool, step: bool },
    Ellipsis,
}

/// An annotation, made ready for checking.
#[derive(Clone)]
pub enum TypeTest {
    Any,
    None,
    Bool,
    Int,
    Float,
    Str,
    /// `float[..]` is `Err(())`-less: `None` accepts both float dtypes.
    Tensor {
        dtype: Option<DType>,
        dims: Vec<DimTest>,
        open: bool,
        text: String,
    },
    List(Box<TypeTest>),
    Dict(Box<TypeTest>, Box<TypeTest>),
    Tuple(Vec<TypeTest>),
    Fn,
    Struct {
        global: u32,
        name: Rc<str>,
    },
    Optional(Box<TypeTest>),
}

/// A dim of an annotation.
#[derive(Clone, Debug)]
pub enum DimTest {
    Any,
    Known(i64),
    /// Bound in this register by the first value that shows it.
    Var(Reg, Rc<str>),
    Global(u32, Rc<str>),
    Binary(BinOp, Box<DimTest>, Box<DimTest>),
}
