//! Tree with names to bytecode, function by function.
//!
//! Each local has its register (parameters first, then captures, then the rest); temporaries are a stack above them. Files by
//! form: `function` (frames, parameters, closures), `stmt`, `expr`, `call`, `place` (what can be assigned), `annotation`,
//! `structs` (constructors), `literal` (constant tensors).

mod annotation;
mod call;
mod expr;
mod formula;
mod function;
mod inline;
mod literal;
mod place;
mod stmt;
mod structs;
mod windows;

use std::rc::Rc;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::bytecode::chunk::Chunk;
use crate::compile::literal::Number;
use crate::diagnostic::Diagnostic;
use crate::resolve::{FnId, GlobalId, GlobalKind, LoadedModule, ModuleId, Program, Res};
use crate::source::Span;
use crate::symbol::Symbol;
use crate::syntax::ast::{ExprKind, Pattern, Stmt, StmtKind};
use crate::syntax::visit;
use crate::value::FieldDef;

pub use formula::set_fusion;
pub use function::FnCompiler;

/// A module ready to run. Globals are numbered through the whole program: `bases[module] + index`.
pub struct CompiledModule {
    pub id: ModuleId,
    /// Runs the module's statements; its value is that of the last one if that is an expression.
    pub main: Rc<Chunk>,
    /// Declared functions by global.
    pub functions: Vec<(u32, Rc<Chunk>)>,
    pub structs: Vec<CompiledStruct>,
    /// Methods for structs of other modules.
    pub extensions: Vec<CompiledExtension>,
    /// Imported modules by global.
    pub modules: Vec<(u32, ModuleId)>,
    pub tests: Vec<(String, Rc<Chunk>)>,
}

/// A struct ready to be defined.
pub struct CompiledStruct {
    pub global: u32,
    pub name: Rc<str>,
    pub fields: Vec<FieldDef>,
    /// Takes the fields as parameters.
    pub constructor: Rc<Chunk>,
    pub methods: Vec<(Symbol, Rc<Chunk>)>,
}

/// Methods that a struct of another module gets.
pub struct CompiledExtension {
    pub global: u32,
    pub methods: Vec<(Symbol, Rc<Chunk>)>,
}

/// What the functions of one module share while they are compiled.
pub struct ModuleContext<'a> {
    pub program: &'a Program,
    pub module: ModuleId,
    /// First global of each module.
    pub bases: &'a [u32],
    /// Names of all methods with `inout self` in the program.
    pub inout_methods: HashSet<Rc<str>>,
    /// The module's globals that are numbers as written, by index.
    numbers: HashMap<u32, Number>,
}

impl ModuleContext<'_> {
    /// Number of a global in the VM; imported names are those of their module.
    pub fn global(&self, id: GlobalId) -> u32 {
        match self.program.global(id).kind {
            GlobalKind::Imported(target) => self.global(target),
            _ => self.bases[id.module.0 as usize] + id.index,
        }
    }

    /// The number that a global of this module is for good.
    pub fn number(&self, id: GlobalId) -> Option<Number> {
        if id.module == self.module { self.numbers.get(&id.index).copied() } else { None }
    }

    /// The kind of a global, seen through imports.
    pub fn kind(&self, id: GlobalId) -> &GlobalKind {
        match &self.program.global(id).kind {
            GlobalKind::Imported(target) => self.kind(*target),
            kind => kind,
        }
    }
}

/// Compiles one module. Problems are limits of the machine; all else was reported before.
pub fn compile(program: &Program, module: ModuleId, bases: &[u32]) -> Result<CompiledModule, Vec<Diagnostic>> {
    let loaded = program.module(module);
    let inout_methods = program.modules.iter().flat_map(|m| m.resolved.inout_methods.iter().cloned()).collect();
    let context = ModuleContext { program, module, bases, inout_methods, numbers: numbers(program, module) };
    let mut problems = vec![];
    let mut chunk = |id: FnId| match FnCompiler::compile(&context, id) {
        Ok(chunk) => Some(Rc::new(chunk)),
        Err(span) => {
            problems.push(too_large(span));
            None
        }
    };
    let base = bases[module.0 as usize];
    let main = chunk(FnId(0));
    let mut functions = vec![];
    let mut modules = vec![];
    let mut structs = vec![];
    for (index, global) in loaded.resolved.globals.iter().enumerate() {
        let number = base + index as u32;
        match global.kind {
            GlobalKind::Function(id) => functions.extend(chunk(id).map(|c| (number, c))),
            GlobalKind::Module(id) => modules.push((number, id)),
            GlobalKind::Struct(i) => {
                let s = &loaded.resolved.structs[i as usize];
                let Some(constructor) = chunk(s.constructor) else { continue };
                let methods = s.methods.iter().filter_map(|(n, id)| Some((Symbol::new(n), chunk(*id)?))).collect();
                let fields = s.decl.fields.iter();
                let fields = fields.map(|f| FieldDef {
                    name: Symbol::new(&f.name.name),
                    nograd: f.nograd,
                    has_default: f.default.is_some(),
                    exact: f.exact(),
                });
                let fields = fields.collect();
                structs.push(CompiledStruct {
                    global: number,
                    name: s.decl.name.name.clone(),
                    fields,
                    constructor,
                    methods,
                });
            }
            GlobalKind::Variable | GlobalKind::Imported(_) | GlobalKind::Param => {}
        }
    }
    let mut extensions = vec![];
    for e in &loaded.resolved.extensions {
        let methods = e.methods.iter().filter_map(|(n, id)| Some((Symbol::new(n), chunk(*id)?))).collect();
        extensions.push(CompiledExtension { global: bases[e.of.module.0 as usize] + e.of.index, methods });
    }
    let tests = loaded.resolved.tests.iter().filter_map(|(name, id)| Some((name.clone(), chunk(*id)?))).collect();
    match main {
        Some(main) if problems.is_empty() => {
            Ok(CompiledModule { id: module, main, functions, structs, extensions, modules, tests })
        }
        _ => Err(problems),
    }
}

/// Bytes of source from which a function may be too large. A byte needs less than 8 registers, constants or entries of a table: the
/// most is needed by the call of a function that is written out, with up to [`MOST`](crate::bytecode::formula::MOST) values.
const LARGE: u32 = 8000;

/// True for a module of which no function can be too large.
pub fn is_small(module: &LoadedModule) -> bool {
    let size = |span: Span| span.end - span.start;
    let is_body = |stmt: &&Stmt| {
        !matches!(stmt.kind, StmtKind::Fn(_) | StmtKind::Struct(_) | StmtKind::Impl { .. } | StmtKind::Test { .. })
    };
    let body: u32 = module.tree.stmts.iter().filter(is_body).map(|stmt| size(stmt.span)).sum();
    let functions = &module.resolved.functions;
    let structs = &module.resolved.structs;
    body < LARGE
        && functions.iter().filter_map(|f| f.decl.as_ref()).all(|decl| size(decl.span) < LARGE)
        && structs.iter().all(|s| size(s.decl.span) < LARGE)
}

/// `let n = 100` and `let dt = 0.01` at the top level, before anything is called: a function that is called earlier must find that
/// there is no value yet.
fn numbers(program: &Program, module: ModuleId) -> HashMap<u32, Number> {
    let loaded = program.module(module);
    let mut numbers = HashMap::default();
    for stmt in &loaded.tree.stmts {
        if let StmtKind::Let { mutable: false, pattern: Pattern::Name { id, .. }, ty: None, value } = &stmt.kind
            && let Some(n) = literal::number(value)
            && let Some(Res::Global(global)) = loaded.resolved.names.get(id)
            && loaded.resolved.globals.get(global.index as usize).is_some_and(|g| !g.again)
        {
            numbers.insert(global.index, n);
        } else if calls(stmt) {
            break;
        }
    }
    numbers
}

/// Whether a function may be called when a statement of a module runs.
fn calls(stmt: &Stmt) -> bool {
    if let StmtKind::Fn(_) | StmtKind::Struct(_) | StmtKind::Impl { .. } | StmtKind::Test { .. } = stmt.kind {
        return false;
    }
    let mut found = false;
    visit::stmt(stmt, &mut |e| found |= matches!(e.kind, ExprKind::Call { .. } | ExprKind::Method { .. }));
    found
}

fn too_large(span: Span) -> Diagnostic {
    Diagnostic::error("E0217", "this function is too large: it needs more than 65,535 registers, constants or calls")
        .at(span, "this one")
        .help("split it into several functions, or read long data from a file")
}
