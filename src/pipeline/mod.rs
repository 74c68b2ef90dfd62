//! The order of the phases: load and parse (with all imports), resolve, check, compile, run.
//!
//! Phases know nothing of each other's order and print nothing; a [`Session`] drives them. `load` finds modules,
//! `params` the settings of a script, `dump` shows the inside, `complete` serves the REPL.

mod allow;
mod complete;
pub mod doc;
mod dump;
mod load;
mod params;

use std::path::PathBuf;
use std::rc::Rc;

use rustc_hash::FxHashMap as HashMap;

use crate::ad::Watch;
use crate::diagnostic::Diagnostic;
use crate::error::Result;
use crate::resolve::{GlobalId, GlobalKind, ModuleId, Program};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{ExprKind, Import, StmtKind};
use crate::tensor::DType;
use crate::tensor::threads;
use crate::tensor::underflow::Underflow;
use crate::types::Checker;
use crate::value::{Closure, Value};
use crate::vm::Vm;

pub use dump::Phase;
pub use params::{ChooseParams, ParamInfo};

/// Settings from the command line.
#[derive(Clone, Debug)]
pub struct Options {
    pub dtype: DType,
    pub seed: u64,
    pub check_nan: bool,
    pub profile: bool,
    /// 0: as many as the machine has.
    pub threads: usize,
}

/// How the main text is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Script,
    /// As a script whose `test` blocks will run.
    Test,
    /// `-e`: the value of the last expression matters.
    Expression,
    /// A line of the REPL.
    Repl,
}

/// A program that passed all checks, ready to run.
pub struct Unit {
    pub module: ModuleId,
    main: Rc<Closure>,
    tests: Vec<(String, Rc<Closure>)>,
    /// Bodies of modules that have not run yet, in order.
    imports: Vec<ModuleId>,
}

/// What loading gave.
pub struct Loaded {
    pub diagnostics: Vec<Diagnostic>,
    /// Absent if there are errors.
    pub unit: Option<Unit>,
    /// The text ends too early: a REPL asks for another line.
    pub incomplete: bool,
}

/// One run of the command: texts, modules, the machine.
pub struct Session {
    pub sources: SourceMap,
    pub vm: Vm,
    pub options: Options,
    program: Program,
    /// First global of each module.
    bases: Vec<u32>,
    /// Modules by library name or absolute path; `None` while one is being loaded.
    loaded: HashMap<String, Option<ModuleId>>,
    /// Folder from which a module's relative imports are looked up.
    folders: HashMap<ModuleId, PathBuf>,
    /// Bodies of imported modules; taken when they run.
    bodies: HashMap<ModuleId, Rc<Closure>>,
    checker: Checker,
    /// How the command line sets the params, if the program is going to run.
    pub choose_params: Option<ChooseParams>,
    /// Library modules are loaded as far as the program may need them. If it has errors, it is to be loaded again without,
    /// as hints know all names then.
    pub lean: bool,
    /// The types of expressions are kept, for those who ask for them after loading.
    pub keep_types: bool,
    /// What the checker says is dropped: a program runs as far as it gets (for tests of the checker).
    pub unchecked: bool,
    /// What earlier REPL lines defined.
    names: HashMap<Rc<str>, GlobalId>,
}

impl Session {
    /// A session with nothing loaded.
    pub fn new(options: Options) -> Session {
        let mut vm = Vm::default();
        vm.cx.env.dtype = options.dtype;
        vm.cx.env.seed(options.seed);
        threads::set(options.threads);
        if options.check_nan {
            vm.cx.set_watch(Watch::Trap);
        }
        Session {
            sources: SourceMap::default(),
            vm,
            checker: Checker::new().with_dtype(options.dtype),
            choose_params: None,
            lean: false,
            keep_types: true,
            unchecked: false,
            options,
            program: Program::default(),
            bases: vec![],
            loaded: HashMap::default(),
            folders: HashMap::default(),
            bodies: HashMap::default(),
            names: HashMap::default(),
        }
    }

    /// Loads the main text and all it imports, and checks them. Nothing runs.
    pub fn load_main(&mut self, name: &str, text: &str, mode: Mode) -> Loaded {
        if mode == Mode::Repl {
            self.vm.cx.trap.otherwise = Watch::Note;
            if self.vm.cx.watch == Watch::Off {
                self.vm.cx.set_watch(Watch::Note);
            }
        }
        let (mut diagnostics, incomplete, module) = self.load_sound(name, text, mode);
        if mode == Mode::Repl && incomplete {
            return Loaded { diagnostics, unit: None, incomplete };
        }
        let mut unit = None;
        if let Some(module) = module {
            match self.unit(module, mode) {
                Ok(ready) => unit = Some(ready),
                Err(limits) => diagnostics.extend(limits),
            }
        }
        Loaded { diagnostics, unit, incomplete }
    }

    /// What is wrong with the main text, its `test` blocks included, and all it imports; and the main module if there are no
    /// errors. It is compiled only where the compiler might find a function too large.
    pub fn check_main(&mut self, name: &str, text: &str) -> (Vec<Diagnostic>, Option<ModuleId>) {
        let (mut diagnostics, _, module) = self.load_sound(name, text, Mode::Test);
        let Some(module) = module else { return (diagnostics, None) };
        let mut all = vec![];
        self.imports_of(module, &mut all);
        all.push(module);
        for id in all {
            if !crate::compile::is_small(self.program.module(id))
                && let Err(limits) = crate::compile::compile(&self.program, id, &self.bases)
            {
                diagnostics.extend(limits);
                return (diagnostics, None);
            }
        }
        (diagnostics, Some(module))
    }

    /// Loads and checks: the diagnostics, whether the text ends too early, and the main module if there are no errors.
    fn load_sound(&mut self, name: &str, text: &str, mode: Mode) -> (Vec<Diagnostic>, bool, Option<ModuleId>) {
        let mut load = load::Load::new(self, mode);
        let module = load.main(name, text);
        let (diagnostics, incomplete) = load.finish();
        let sound = !diagnostics.iter().any(Diagnostic::is_error);
        (diagnostics, incomplete, module.filter(|_| sound))
    }

    /// Compiles what is not compiled yet.
    fn unit(&mut self, module: ModuleId, mode: Mode) -> std::result::Result<Unit, Vec<Diagnostic>> {
        let mut imports = vec![];
        self.imports_of(module, &mut imports);
        for &id in &imports {
            if !self.bodies.contains_key(&id) && !self.is_compiled(id) {
                let compiled = crate::compile::compile(&self.program, id, &self.bases)?;
                let body = self.vm.load(&self.program, compiled, &self.bases);
                self.bodies.insert(id, body);
            }
        }
        let mut compiled = crate::compile::compile(&self.program, module, &self.bases)?;
        let tests = std::mem::take(&mut compiled.tests);
        let tests = tests.into_iter().map(|(name, chunk)| (name, crate::vm::load::closure(chunk))).collect();
        let main = self.vm.load(&self.program, compiled, &self.bases);
        if mode == Mode::Repl {
            let globals = &self.program.module(module).resolved.globals;
            for (i, global) in globals.iter().enumerate() {
                self.names.insert(global.name.clone(), GlobalId { module, index: i as u32 });
            }
        }
        Ok(Unit { module, main, tests, imports })
    }

    /// True if the module's functions are in the machine.
    fn is_compiled(&self, id: ModuleId) -> bool {
        self.ran(id)
    }

    fn ran(&self, id: ModuleId) -> bool {
        // A body is kept until it runs; afterwards only its globals tell.
        let base = self.bases[id.0 as usize] as usize;
        let count = self.program.module(id).resolved.globals.len();
        count > 0 && self.vm.globals.get(base..base + count).is_some_and(|g| g.iter().any(Option::is_some))
    }

    fn imports_of(&self, module: ModuleId, out: &mut Vec<ModuleId>) {
        for &id in &self.program.module(module).resolved.imports {
            if !out.contains(&id) {
                self.imports_of(id, out);
                if !out.contains(&id) {
                    out.push(id);
                }
            }
        }
    }

    /// Runs imported modules that have not run yet, then the unit; the value of its last expression.
    pub fn run(&mut self, unit: &Unit) -> Result<Value> {
        let _flushed = Underflow::flushed();
        self.vm.cx.noted = None;
        for id in &unit.imports {
            if let Some(body) = self.bodies.remove(id) {
                self.vm.run_chunk(body)?;
            }
        }
        let result = self.vm.run_chunk(unit.main.clone());
        if result.is_err() {
            // Only some of its assignments were made.
            self.checker.forget_variables();
        }
        result
    }

    /// Names of the unit's tests.
    pub fn tests(&self, unit: &Unit) -> Vec<String> {
        unit.tests.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Runs one test.
    pub fn run_test(&mut self, unit: &Unit, index: usize) -> Result<()> {
        let _flushed = Underflow::flushed();
        match unit.tests.get(index) {
            Some((_, body)) => self.vm.run_chunk(body.clone()).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The type of an expression as the checker sees it.
    pub fn type_of(&mut self, text: &str) -> std::result::Result<String, Vec<Diagnostic>> {
        let mut load = load::Load::new(self, Mode::Repl);
        let module = load.main("<type>", text);
        let (diagnostics, _) = load.finish();
        let errors: Vec<Diagnostic> = diagnostics.into_iter().filter(Diagnostic::is_error).collect();
        let Some(module) = module.filter(|_| errors.is_empty()) else { return Err(errors) };
        let tree = self.program.module(module).tree.clone();
        Ok(match tree.stmts.last().map(|s| &s.kind) {
            Some(StmtKind::Expr(e)) => self.checker.described(self.checker.types.get(module, e.id)),
            _ => "none".into(),
        })
    }

    /// Names of the REPL with the types of their values.
    pub fn names(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = self
            .names
            .iter()
            .filter_map(|(name, id)| {
                let global = self.global_number(*id);
                let value = self.vm.globals.get(global)?.as_ref()?;
                Some((name.to_string(), value.type_name()))
            })
            .collect();
        all.sort();
        all
    }

    fn global_number(&self, id: GlobalId) -> usize {
        match self.program.global(id).kind {
            GlobalKind::Imported(target) => self.global_number(target),
            _ => (self.bases[id.module.0 as usize] + id.index) as usize,
        }
    }

    /// The doc comment at the head of the unit's file.
    pub fn unit_doc(&self, unit: &Unit) -> Option<String> {
        self.program.module(unit.module).tree.doc.clone()
    }

    /// `file:line:column` of a span.
    pub fn place(&self, span: Span) -> String {
        self.sources.place(span)
    }

    /// Doc of a builtin, primitive, library function (`nn.Dense`) or function of the REPL.
    pub fn doc(&self, name: &str) -> Option<String> {
        if let Some(page) = doc::page(name) {
            return Some(page);
        }
        let id = self.names.get(name)?;
        let tree = self.program.module(id.module).tree.clone();
        tree.stmts.iter().find_map(|stmt| match &stmt.kind {
            StmtKind::Fn(decl) if decl.name.as_ref().is_some_and(|n| &*n.name == name) => stmt.doc.clone(),
            StmtKind::Struct(decl) if &*decl.name.name == name => stmt.doc.clone(),
            _ => None,
        })
    }

    /// True if a text only imports or defines: the REPL shows no value then.
    pub fn is_definition(&self, unit: &Unit) -> bool {
        let tree = &self.program.module(unit.module).tree;
        !matches!(tree.stmts.last().map(|s| &s.kind), Some(StmtKind::Expr(e)) if !matches!(e.kind, ExprKind::None))
    }
}

/// Path and kind of an import.
fn import_path(import: &Import) -> &crate::syntax::ast::ModulePath {
    match import {
        Import::Module { path, .. } | Import::Names { path, .. } => path,
    }
}
