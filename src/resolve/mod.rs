//! Tree to names: what each name stands for, which function owns which local, what closures capture.
//!
//! The results stand in tables beside the tree ([`Resolved`]); `types` and `compile` read them.
//! - A name inside a lambda or nested `fn` that is a local of the function around it is *captured*: it becomes a local
//!   of the inner function that is filled when the closure is made.
//! - A top-level `let`, `var` or `param` is a local of function 0 (the module's body) unless a declared function,
//!   method or test of the module reads it, the module is imported, or the REPL runs; then it is a global.
//!   A lambda captures globals that are variables, too.

mod annotations;
pub mod builtin_names;
pub mod by_node;
pub mod error;
pub mod foreign;
pub mod hints;
mod mentions;
mod missing;
mod scope;
mod walk;

use std::rc::Rc;

use rustc_hash::FxHashMap as HashMap;

use by_node::ByNode;

use crate::builtins::Builtin;
use crate::ops::prim::Prim;
use crate::source::{SourceId, Span};
use crate::syntax::ast::{FnDecl, Module, NodeId, StructDecl};

pub use walk::{Input, Mode, resolve};

/// Local variable of a function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct LocalId(pub u32);

/// Function of a module; 0 is the module's body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct FnId(pub u32);

/// Module of the program, in the order of loading.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ModuleId(pub u32);

/// A name at the top level of a module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct GlobalId {
    pub module: ModuleId,
    pub index: u32,
}

/// What a name stands for.
#[derive(Clone, Copy)]
pub enum Res {
    Local(LocalId),
    Global(GlobalId),
    /// The closure that is running: a nested `fn` that calls itself.
    Itself,
    Prim(&'static Prim),
    Builtin(&'static Builtin),
    /// `pi e inf nan`
    Constant(f64),
    /// `f32 f64` (and `int bool float` where a dtype is expected)
    DType(crate::tensor::DType),
    /// Not found; reported.
    Unknown,
}

/// Everything `resolve` found out about one module.
#[derive(Default)]
pub struct Resolved {
    /// By [`NodeId`]: of a `Name` expression what it stands for; of a binding (pattern name, dimension variable, struct, fn,
    /// import, param, catch name) the local or global that it sets.
    pub names: ByNode<Res>,
    /// By id of a `Method` expression: the function `name` of the scope, for `x.name(..)` that is `name(x, ..)`.
    pub functions_by_method: HashMap<NodeId, Res>,
    /// Function 0 is the module's body.
    pub functions: Vec<Function>,
    /// By [`FnDecl::id`] (lambdas: by the decl's id as well).
    pub function_ids: HashMap<NodeId, FnId>,
    pub globals: Vec<Global>,
    pub structs: Vec<Struct>,
    /// Methods that a line of the REPL gives to a struct of an earlier one.
    pub extensions: Vec<Extension>,
    /// `test` blocks in order: name and body.
    pub tests: Vec<(String, FnId)>,
    /// Modules it imports, in order.
    pub imports: Vec<ModuleId>,
    /// Names of methods with `inout self`: a call of one may change its receiver.
    pub inout_methods: Vec<Rc<str>>,
    /// An error in its body is the end of all: it is no line of the REPL.
    pub is_final: bool,
}

/// `impl` of a struct that another module declares.
#[derive(Clone)]
pub struct Extension {
    /// The struct's name there.
    pub of: GlobalId,
    /// Its number among the structs of that module.
    pub index: u32,
    pub methods: Vec<(Rc<str>, FnId)>,
}

/// A function of a module.
#[derive(Clone)]
pub struct Function {
    /// `<main>`, `area`, `Dense.call`, `<lambda>`, `test "name"`
    pub name: Rc<str>,
    /// `None` for the module's body.
    pub decl: Option<Rc<FnDecl>>,
    pub locals: Vec<Local>,
    pub captures: Vec<Capture>,
    /// Parameter locals by position; `None` for a pattern that is no name.
    pub params: Vec<Option<LocalId>>,
    /// Dimension variables that are named like a parameter: `fn f(n: int, x: float[n])`. They are locals of their own, without a name.
    pub dims_of_params: Vec<(LocalId, LocalId)>,
    /// For a method: index into `structs`.
    pub owner: Option<u32>,
    /// The function in which it stands; `None` for function 0.
    pub parent: Option<FnId>,
}

/// A local variable.
#[derive(Clone)]
pub struct Local {
    pub name: Rc<str>,
    pub span: Span,
    pub mutable: bool,
    /// It is assigned after it was bound, passed with `&`, or something is called on it that might change it.
    pub changed: bool,
    pub kind: LocalKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocalKind {
    Param,
    Capture,
    /// A dimension variable of an annotation.
    Dim,
    Variable,
    /// Of a loop or comprehension.
    Loop,
}

/// A captured value: `local` of the inner function is filled from `from` of the function around it.
#[derive(Clone, Copy)]
pub struct Capture {
    pub local: LocalId,
    pub from: CaptureFrom,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CaptureFrom {
    /// The closure around it, which mentions itself inside of another.
    Itself,
    Local(LocalId),
    Global(GlobalId),
}

/// A top-level name.
#[derive(Clone)]
pub struct Global {
    pub name: Rc<str>,
    pub span: Span,
    pub mutable: bool,
    /// It is bound more than once: `let n = 1`, and later `let n = 2`.
    pub again: bool,
    pub kind: GlobalKind,
}

#[derive(Clone, Debug)]
pub enum GlobalKind {
    Variable,
    Function(FnId),
    /// Index into `structs`.
    Struct(u32),
    Module(ModuleId),
    /// A name from another module (`from m import name`): where it lives.
    Imported(GlobalId),
    Param,
}

/// A struct and its methods.
#[derive(Clone)]
pub struct Struct {
    pub decl: Rc<StructDecl>,
    pub methods: Vec<(Rc<str>, FnId)>,
    /// The function that checks annotations and fills defaults: its parameters are the fields; see `compile/structs.rs`.
    /// Dimension variables of the fields are locals of it.
    pub constructor: FnId,
}

/// A module with its tree and names.
pub struct LoadedModule {
    pub id: ModuleId,
    /// As it is called in messages and by `import`: `nn`, `util`, `<main>`.
    pub name: Rc<str>,
    pub source: SourceId,
    pub is_library: bool,
    pub tree: Rc<Module>,
    pub resolved: Rc<Resolved>,
}

/// All modules; imported ones come before those that import them, the main one is last.
#[derive(Default)]
pub struct Program {
    pub modules: Vec<Rc<LoadedModule>>,
}

impl Program {
    pub fn module(&self, id: ModuleId) -> &LoadedModule {
        &self.modules[id.0 as usize]
    }

    pub fn global(&self, id: GlobalId) -> &Global {
        &self.module(id.module).resolved.globals[id.index as usize]
    }
}
