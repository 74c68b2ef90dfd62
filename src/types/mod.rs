//! Tree and names to types and shapes: an abstract interpreter that follows the program with types for values.
//!
//! In: modules in the order of loading, [`Checker::check_module`] one after the other; then [`Checker::finish`] for what
//! no call reached. Out: diagnostics, and for each expression the join of its types over all calls ([`Types`]).
//!
//! - A function is followed once for each tuple of argument types (`specialize.rs`), with constants kept while they are few.
//! - Branches join, loops repeat until nothing changes (`flow.rs`), recursion iterates to a fixed point.
//! - Only what certainly fails when reached is reported, at the innermost place in the user's code, once. After a report
//!   the type is `Any`. What stands in `try` is not reported; in a function that nothing calls it is a warning.
//! - Work is bounded: when the fuel is spent, everything else is `Any` and nothing more is reported.
//! - Types are what the checker could see. A function that got away (stored where only `Any` is known) may be called with
//!   other types, so the compiler must take them as hints.

mod annot;
mod call;
mod counters;
mod custom;
mod dropped;
mod endless;
mod env;
mod equality;
pub mod error;
mod expr;
mod field;
mod filled;
mod flow;
mod hidden;
mod host;
mod index;
pub mod join;
mod leafwise;
mod literal;
mod makers;
mod operator;
mod pattern;
pub mod rename;
pub mod show;
mod signature;
pub mod size;
mod size_args;
mod slope;
mod source_of;
mod specialize;
mod stmt;
mod structures;
mod tag;
mod transforms;
pub mod ty;
mod unstable;
mod unused;
mod warn;

use std::rc::Rc;

pub use show::show_ty;

use env::{Frame, Problem};
use error::TypeError;
use host::Host;
use join::join;
use specialize::{Active, FnKey, Spec};
use ty::{StructInfo, Ty};

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::diagnostic::{Diagnostic, Severity};
use crate::resolve::{FnId, GlobalId, LoadedModule, ModuleId, Program, Res, Resolved};
use crate::source::{SourceId, Span};
use crate::syntax::ast::{FieldDecl, Module, NodeId};
use crate::tensor::DType;

/// What the checker found out about a program.
pub struct Checked {
    pub diagnostics: Vec<Diagnostic>,
    pub types: Types,
    /// Of the main module, see [`Checker::signatures`].
    pub signatures: String,
}

/// Types of expressions by module and node.
#[derive(Default)]
pub struct Types {
    modules: Vec<Vec<Option<Ty>>>,
}

impl Types {
    /// The join of the expression's types over all calls; `Any` if it was not reached.
    pub fn get(&self, module: ModuleId, node: NodeId) -> &Ty {
        const ANY: &Ty = &Ty::Any;
        let ty = self.modules.get(module.0 as usize).and_then(|m| m.get(node.0 as usize));
        ty.and_then(|t| t.as_ref()).unwrap_or(ANY)
    }

    /// False if no call reached the expression.
    pub fn is_reached(&self, module: ModuleId, node: NodeId) -> bool {
        self.modules.get(module.0 as usize).and_then(|m| m.get(node.0 as usize)).is_some_and(|t| t.is_some())
    }

    fn grow(&mut self, module: ModuleId, nodes: u32) {
        let i = module.0 as usize;
        if self.modules.len() <= i {
            self.modules.resize_with(i + 1, Vec::new);
        }
        if let Some(m) = self.modules.get_mut(i)
            && m.len() < nodes as usize
        {
            m.resize(nodes as usize, None);
        }
    }
}

/// Checks all modules of a program that runs as `main`.
pub fn check(program: &Program, main: ModuleId) -> Checked {
    let mut checker = Checker::new();
    let mut diagnostics = vec![];
    for module in &program.modules {
        diagnostics.extend(checker.check_module(program, module.id));
        if module.id == main {
            break;
        }
    }
    diagnostics.extend(checker.finish());
    let signatures = checker.signatures(main);
    Checked { diagnostics, types: std::mem::take(&mut checker.types), signatures }
}

/// The abstract interpreter; it takes one module after the other and remembers what they define.
pub struct Checker {
    pub types: Types,
    modules: Vec<Rc<LoadedModule>>,
    frame: Frame,
    /// By module and index; `Never` until set.
    globals: Vec<Vec<Ty>>,
    memo: HashMap<FnKey, Vec<Spec>>,
    stack: Vec<Active>,
    /// Functions made as values, with the join of what they captured.
    made: HashMap<FnKey, Rc<Vec<Ty>>>,
    structs: HashMap<(u32, u32), Rc<StructInfo>>,
    host: HashMap<&'static str, Host>,
    /// Values of `param`s that the command line gives.
    params: HashMap<Rc<str>, Ty>,
    /// All other `param`s have their defaults.
    params_known: bool,
    /// Default dtype of float tensors, while known.
    dtype: Option<DType>,
    tests: bool,
    /// The types of all expressions are kept; else of those alone that the checker itself looks at again.
    keeps_types: bool,
    /// The body of a `test` is followed: its assertions fail when it runs.
    in_test: bool,
    /// Modules whose uncalled functions were checked.
    finished: HashSet<ModuleId>,
    fuel: u64,
    /// `place op= value` and `&place`: the place was read, and is now written.
    place_was_read: bool,
    depth: u32,
    /// The fuel is spent: types are guesses from here on, so nothing may be reported.
    gave_up: bool,
    /// How many modules were looked through for the next two.
    watched: usize,
    /// Uses of `set_dtype` in the user's code.
    dtypes_set: usize,
    /// Some function calls `exit`.
    exit_used: bool,
    /// Modules whose body may end the program.
    exiting: HashSet<ModuleId>,
    /// Product of the lengths of the loops that are being unrolled.
    unrolled: usize,
    /// What is followed is never reached.
    names_only: bool,
    /// The next problem is told without its place in the library.
    hide_place: bool,
    /// The next problem is [`Problem::reserved`].
    reserved: bool,
    /// The next problem is about a field of what may be a value of another kind.
    of_kind: bool,
    /// What is followed is the message of an assertion that fails.
    telling: bool,
    /// Tables whose files were looked at.
    tables: Vec<source_of::Table>,
    /// Files that the program writes, before what is followed now.
    written: Vec<Option<Rc<str>>>,
    /// The last call of a library function in the user's code.
    user_site: Option<Span>,
    /// Modules without a mistake so far: what they give to the structs of others counts.
    sound: HashSet<ModuleId>,
    /// The locals of each module's body at its end: variables that no function reads.
    ends: HashMap<ModuleId, Vec<Ty>>,
    /// Annotations of the running function itself: a dimension may name one of its variables.
    in_frame: bool,
    /// The main text is a program, and sound so far: what it leaves unread is told.
    is_program: bool,
}

impl Default for Checker {
    fn default() -> Checker {
        Checker::new()
    }
}

/// Expressions visited for each module; plus some for each node.
const FUEL: u64 = 250_000;
/// Nested expressions, over all calls.
const MAX_DEPTH: u32 = 900;

impl Checker {
    /// A checker that has seen nothing.
    pub fn new() -> Checker {
        size::forget_letters();
        Checker {
            types: Types::default(),
            modules: vec![],
            frame: Frame::new(nowhere(), FnId(0)),
            globals: vec![],
            memo: HashMap::default(),
            stack: vec![],
            made: HashMap::default(),
            structs: HashMap::default(),
            host: HashMap::default(),
            params: HashMap::default(),
            params_known: false,
            dtype: Some(DType::F32),
            tests: false,
            keeps_types: true,
            in_test: false,
            finished: HashSet::default(),
            fuel: 0,
            place_was_read: false,
            depth: 0,
            gave_up: false,
            watched: 0,
            dtypes_set: 0,
            exit_used: false,
            exiting: HashSet::default(),
            unrolled: 1,
            names_only: false,
            hide_place: false,
            reserved: false,
            of_kind: false,
            telling: false,
            tables: vec![],
            written: vec![],
            user_site: None,
            sound: HashSet::default(),
            ends: HashMap::default(),
            in_frame: false,
            is_program: false,
        }
    }

    /// With another default dtype (`--dtype f64`).
    pub fn with_dtype(mut self, dtype: DType) -> Checker {
        self.dtype = Some(dtype);
        self
    }

    /// Takes `test` blocks as called (`dlang test`), or not.
    pub fn follow_tests(&mut self, follow: bool) {
        self.tests = follow;
    }

    /// Whether to keep the types of all expressions, for [`Types::get`] and [`Checker::signatures`]; else nobody asks for them.
    pub fn keep_types(&mut self, keep: bool) {
        self.keeps_types = keep;
    }

    /// Whether to tell of parameters and top-level variables that the main text leaves unread: it is a program without errors.
    pub fn tell_unread(&mut self, tell: bool) {
        self.is_program = tell;
    }

    /// Forgets what variables hold: a line of the REPL has failed half-way.
    pub fn forget_variables(&mut self) {
        for ty in self.globals.iter_mut().flatten() {
            *ty = Ty::Any;
        }
    }

    /// Tells the values of the `param`s that the command line sets; all others have their defaults then. Without it the
    /// program is checked for other runs, too: flags and texts are unknown, ints are their defaults.
    pub fn set_params(&mut self, given: impl IntoIterator<Item = (Rc<str>, Ty)>) {
        self.params = given.into_iter().collect();
        self.params_known = true;
    }

    /// Follows a module's body, and the functions that it calls.
    pub fn check_module(&mut self, program: &Program, id: ModuleId) -> Vec<Diagnostic> {
        self.modules = program.modules.clone();
        let Some(module) = self.modules.get(id.0 as usize).cloned() else { return vec![] };
        self.grow_tables();
        self.watch_settings();
        self.fuel = FUEL + 20 * u64::from(module.tree.node_count);
        self.gave_up = false;
        self.depth = 0;
        self.unrolled = 1;
        if !module.is_library {
            let locals = module.resolved.functions.iter().flat_map(|f| &f.locals).map(|l| &*l.name);
            size::reserve(locals.chain(module.resolved.globals.iter().map(|g| &*g.name)));
        }
        self.sound.insert(id);
        let before = self.globals.clone();
        let outer = std::mem::replace(&mut self.frame, Frame::new(module.clone(), FnId(0)));
        if module.resolved.imports.iter().any(|id| self.exiting.contains(id)) {
            self.frame.may_exit();
        }
        for stmt in &module.tree.stmts {
            self.stmt(stmt);
        }
        if self.frame.exits {
            self.exiting.insert(id);
        }
        let frame = std::mem::replace(&mut self.frame, outer);
        if !frame.dead {
            self.ends.insert(id, frame.locals);
        }
        let diagnostics: Vec<Diagnostic> = frame.problems.into_iter().map(Problem::told).collect();
        if diagnostics.iter().any(Diagnostic::is_error) {
            // It will not run: a line of the REPL leaves the variables of earlier lines as they were.
            self.sound.remove(&id);
            self.globals = before;
            self.grow_tables();
        }
        diagnostics
    }

    /// Follows what no call reached, with what the annotations say; it is reported as warnings, as the program would run.
    pub fn finish(&mut self) -> Vec<Diagnostic> {
        let mut out = vec![];
        for module in self.modules.clone() {
            if module.is_library || !self.finished.insert(module.id) {
                continue;
            }
            self.fuel = FUEL;
            self.gave_up = false;
            if module.name.starts_with("<main") {
                out.extend(unused::check(&module, self.is_program));
                out.extend(endless::check(&module, &self.modules));
            }
            for index in 1..module.resolved.functions.len() as u32 {
                let key = (module.id.0, index);
                if self.memo.contains_key(&key) || self.is_followed_test(&module, FnId(index)) {
                    continue;
                }
                let problems = self.check_uncalled(&module, FnId(index));
                let name = module.resolved.functions.get(index as usize).map(|f| f.name.to_string());
                for mut problem in problems {
                    if is_about_names(problem.code) {
                        out.push(problem);
                        continue;
                    }
                    problem.severity = Severity::Warning;
                    let name = name.as_deref().unwrap_or("this function");
                    out.push(
                        problem.note(format!("no call of {} is reached, so the program may still run", quoted(name))),
                    );
                }
            }
        }
        out
    }

    /// What is known of a global after the modules that were checked.
    pub fn global_type(&self, id: GlobalId) -> Ty {
        self.stored_global(id).forget_elements()
    }

    fn grow_tables(&mut self) {
        for module in &self.modules {
            let i = module.id.0 as usize;
            if self.globals.len() <= i {
                self.globals.resize_with(i + 1, Vec::new);
            }
            if let Some(g) = self.globals.get_mut(i)
                && g.len() < module.resolved.globals.len()
            {
                g.resize(module.resolved.globals.len(), Ty::Never);
            }
            self.types.grow(module.id, module.tree.node_count);
        }
    }

    /// With several uses of `set_dtype` the default dtype is taken as unknown from the start; one use is followed. Without a
    /// function that calls `exit`, a call of something unknown comes back or fails.
    fn watch_settings(&mut self) {
        for module in self.modules.iter().skip(self.watched) {
            for res in module.resolved.names.values() {
                let Res::Builtin(builtin) = res else { continue };
                self.dtypes_set += usize::from(builtin.name == "set_dtype" && !module.is_library);
                self.exit_used |= builtin.name == "exit";
            }
        }
        self.watched = self.modules.len();
        if self.dtypes_set > 1 {
            self.dtype = None;
        }
    }

    /// Something of which nothing is known is called.
    fn unknown_call(&mut self) {
        if self.exit_used {
            self.frame.may_exit();
        }
    }

    /// Spends one unit of fuel; false when there is none left.
    fn spend(&mut self) -> bool {
        if self.fuel == 0 || self.depth > MAX_DEPTH {
            self.gave_up = true;
            return false;
        }
        self.fuel -= 1;
        !self.gave_up
    }

    /// Keeps the type of an expression or name for others than the checker.
    fn record(&mut self, node: NodeId, ty: &Ty) {
        if self.keeps_types {
            self.remember(node, ty);
        }
    }

    /// Keeps the type of an expression for [`slope`] and [`literal`], which look at it again; it is kept already where all are.
    fn record_again(&mut self, node: NodeId, ty: &Ty) {
        if !self.keeps_types {
            self.remember(node, ty);
        }
    }

    fn remember(&mut self, node: NodeId, ty: &Ty) {
        if let Ty::IntsOf(_) = ty {
            return self.remember(node, &ty.clone().forget_elements());
        }
        let slot = self.types.modules.get_mut(self.frame.module.id.0 as usize).and_then(|m| m.get_mut(node.0 as usize));
        if let Some(slot) = slot {
            match slot {
                Some(old) if old == ty => {}
                Some(old) => *old = join(old, ty),
                None => *slot = Some(ty.clone()),
            }
        }
    }

    /// Notes a mistake; the caller goes on with `Any`.
    fn report(&mut self, error: TypeError, span: Span) -> Ty {
        let (d, sizes) = (error.to_diagnostic(span), error.sizes());
        self.note_sizes(self.tell_sources(d, &sizes), sizes.into());
        Ty::Any
    }

    fn note(&mut self, diagnostic: Diagnostic) {
        self.note_sizes(diagnostic, Rc::default());
    }

    fn note_sizes(&mut self, diagnostic: Diagnostic, sizes: Rc<[usize]>) {
        let reserved = std::mem::take(&mut self.reserved);
        let of_kind = std::mem::take(&mut self.of_kind);
        if self.gave_up || self.frame.dead {
            return;
        }
        let hidden = std::mem::take(&mut self.hide_place);
        let library = self.frame.module.is_library.then(|| match hidden {
            true => String::new(),
            false => self.function_in_library(),
        });
        let refused = |p: &Problem| p.library.as_ref().is_some_and(String::is_empty);
        if self.frame.problems.iter().any(refused) {
            // What comes after a failed assertion is an echo of it.
            return;
        }
        let of_kind = diagnostic.is_error() && (of_kind || !is_about_names(diagnostic.code));
        let certain = self.frame.is_certain();
        let problem = Problem { diagnostic, library, chain: 0, certain, reserved, of_kind, sizes };
        if !self.keeps_silent(&problem) {
            self.frame.add_problem(problem);
        }
    }

    /// True for what fails on a way that perhaps no call takes: which way is taken may hang together with the kind of value
    /// (`if e.kind == "leaf"`), and here that is no longer known.
    fn keeps_silent(&self, problem: &Problem) -> bool {
        let blurred = self.stack.last().is_some_and(Active::is_blurred);
        let guarded = problem.of_kind && self.is_guarded();
        !problem.certain && (problem.reserved || guarded || blurred && !is_without_values(problem.diagnostic.code))
    }

    /// The name of the function that is followed, with its module's.
    fn function_in_library(&self) -> String {
        let module = &self.frame.module;
        let function = module.resolved.functions.get(self.frame.function.0 as usize);
        match function.filter(|f| f.decl.as_ref().is_none_or(|d| d.name.is_some())) {
            Some(function) => format!("{}.{}", module.name, function.name),
            None => module.name.to_string(),
        }
    }

    fn is_followed_test(&self, module: &LoadedModule, id: FnId) -> bool {
        self.tests && module.name.starts_with('<') && module.resolved.tests.iter().any(|(_, test)| *test == id)
    }

    /// True in the module that runs, not one that it imports.
    fn is_main(&self) -> bool {
        self.frame.module.name.starts_with('<')
    }

    /// True for a place in the standard library.
    fn is_library_place(&self, span: Span) -> bool {
        self.modules.iter().any(|m| m.is_library && m.source == span.source)
    }

    fn module(&self, id: u32) -> Option<Rc<LoadedModule>> {
        self.modules.get(id as usize).cloned()
    }

    fn resolution(&self, node: NodeId) -> Option<Res> {
        self.frame.module.resolved.names.get(&node).copied()
    }

    /// A struct's declaration.
    fn struct_info(&mut self, module: u32, index: u32) -> Option<Rc<StructInfo>> {
        if let Some(info) = self.structs.get(&(module, index)) {
            return Some(info.clone());
        }
        let decl = self.modules.get(module as usize)?.resolved.structs.get(index as usize)?.decl.clone();
        let field = |f: &FieldDecl| ty::FieldInfo { name: f.name.name.clone(), nograd: f.nograd, exact: f.exact() };
        let fields = decl.fields.iter().map(field).collect();
        let info = Rc::new(StructInfo { at: ty::StructRef { module, index }, name: decl.name.name.clone(), fields });
        self.structs.insert((module, index), info.clone());
        Some(info)
    }

    /// A method of a struct, as the function that it is.
    fn method(&self, info: &StructInfo, name: &str) -> Option<FnKey> {
        let given = |methods: &[(Rc<str>, FnId)]| methods.iter().find(|(n, _)| &**n == name).map(|(_, id)| id.0);
        let later = self.modules.iter().rev().filter(|m| self.sound.contains(&m.id));
        for (m, e) in later.flat_map(|m| m.resolved.extensions.iter().map(move |e| (m, e))) {
            if (e.of.module.0, e.index) == (info.at.module, info.at.index)
                && let Some(id) = given(&e.methods)
            {
                return Some((m.id.0, id));
            }
        }
        let s = self.modules.get(info.at.module as usize)?.resolved.structs.get(info.at.index as usize)?;
        Some((info.at.module, given(&s.methods)?))
    }
}

/// Mistakes that count wherever they stand: names that do not exist, wrong fields, forbidden changes.
fn is_about_names(code: &str) -> bool {
    matches!(code, "E0204" | "E0206" | "E0323" | "E0327")
}

/// Those of them that do not depend on the values that get there.
fn is_without_values(code: &str) -> bool {
    matches!(code, "E0204" | "E0206" | "E0327")
}

/// `area` in backquotes; `<lambda>` and the like as words.
fn quoted(name: &str) -> String {
    match name {
        "<lambda>" => "this function".into(),
        _ if name.starts_with('<') || name.contains('"') => name.into(),
        _ => format!("`{name}`"),
    }
}

/// A module without content, for the frame before any other.
fn nowhere() -> Rc<LoadedModule> {
    Rc::new(LoadedModule {
        id: ModuleId(u32::MAX),
        name: "".into(),
        source: SourceId::default(),
        is_library: false,
        tree: Rc::new(Module { stmts: vec![], doc: None, node_count: 0, span: Span::default(), lost: vec![] }),
        resolved: Rc::new(Resolved::default()),
    })
}
