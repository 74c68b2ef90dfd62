//! The walk over a module's tree that fills [`Resolved`].

use std::rc::Rc;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::diagnostic::did_you_mean;
use crate::resolve::error::NameError;
use crate::resolve::scope::{FnScope, Found, find_local};
use crate::resolve::{
    CaptureFrom, Extension, FnId, Function, Global, GlobalId, GlobalKind, Local, LocalKind, ModuleId, Program, Res,
    Resolved, Struct, builtin_names,
};
use crate::source::Span;
use crate::syntax::ast::*;

/// How the module is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The program itself: top-level variables that only its body uses are locals of it.
    Script,
    /// Imported: every top-level name is a global.
    Imported,
    /// A line of the REPL: as imported, and it may assign to variables of earlier lines.
    Repl,
}

/// What `resolve` needs.
pub struct Input<'a> {
    pub tree: &'a Module,
    pub id: ModuleId,
    pub mode: Mode,
    pub is_library: bool,
    /// Modules loaded so far.
    pub program: &'a Program,
    /// By span of the import path: the module, or nothing if it could not be loaded (reported by the loader).
    pub imports: &'a HashMap<Span, ModuleId>,
    /// Names of earlier REPL lines.
    pub outer: &'a HashMap<Rc<str>, GlobalId>,
}

/// Resolves the names of one module.
pub fn resolve(input: Input<'_>) -> (Resolved, Vec<NameError>) {
    let main = Function {
        name: "<main>".into(),
        decl: None,
        locals: vec![],
        captures: vec![],
        params: vec![],
        dims_of_params: vec![],
        owner: None,
        parent: None,
    };
    // What a broken statement may have defined is not missed.
    let missing = input.tree.lost.iter().flat_map(|l| l.names.iter().cloned()).collect();
    let input_mode = input.mode;
    let mut walk = Walk {
        shared: HashSet::default(),
        bound: super::mentions::top_level_bindings(&input.tree.stmts),
        input,
        out: Resolved { is_final: input_mode != Mode::Repl, ..Resolved::default() },
        scopes: vec![FnScope::new(FnId(0), main.clone(), true)],
        globals: HashMap::default(),
        defined: HashSet::default(),
        missing,
        local_functions: vec![],
        problems: vec![],
    };
    walk.out.functions.push(main);
    walk.module();
    (walk.out, walk.problems)
}

/// The walk: what it works on and what it has found so far.
pub(super) struct Walk<'a> {
    pub(super) input: Input<'a>,
    pub(super) out: Resolved,
    pub(super) scopes: Vec<FnScope>,
    /// Top-level names.
    pub(super) globals: HashMap<Rc<str>, u32>,
    /// Global variables whose definition the walk over the body has passed.
    defined: HashSet<u32>,
    /// Names that declared functions mention: such top-level variables are globals.
    shared: HashSet<Rc<str>>,
    /// What the top level binds anywhere, see [`super::mentions::top_level_bindings`].
    pub(super) bound: HashMap<Rc<str>, (Ident, bool)>,
    /// Names that were assigned to without being there: that is told once.
    pub(super) missing: HashSet<Rc<str>>,
    /// Functions that the open blocks declare, further up or down.
    pub(super) local_functions: Vec<Ident>,
    pub(super) problems: Vec<NameError>,
}

impl Walk<'_> {
    fn module(&mut self) {
        let tree = self.input.tree;
        for stmt in &tree.stmts {
            super::mentions::in_declared(stmt, &mut self.shared);
        }
        self.hoist(&tree.stmts);
        for stmt in &tree.stmts {
            self.stmt(stmt);
        }
        let scope = self.scopes.remove(0);
        self.out.functions[0] = scope.function;
    }

    /// Functions, structs and imports are known in the whole module.
    fn hoist(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::Fn(decl) => {
                    let Some(name) = &decl.name else { continue };
                    let id = self.new_function(decl, name.name.clone(), None, Some(FnId(0)));
                    let global = self.fixed(name, GlobalKind::Function(id));
                    self.bind(decl.id, Res::Global(global));
                }
                StmtKind::Struct(decl) => {
                    let index = self.out.structs.len() as u32;
                    let constructor = FnId(self.out.functions.len() as u32);
                    self.out.functions.push(Function {
                        name: decl.name.name.clone(),
                        decl: None,
                        locals: vec![],
                        captures: vec![],
                        params: vec![],
                        dims_of_params: vec![],
                        owner: Some(index),
                        parent: Some(FnId(0)),
                    });
                    self.out.structs.push(Struct { decl: decl.clone(), methods: vec![], constructor });
                    let global = self.fixed(&decl.name, GlobalKind::Struct(index));
                    self.bind(decl.id, Res::Global(global));
                }
                StmtKind::Import(import) => self.import(import),
                StmtKind::Param { name, id, .. } => {
                    let global = self.fixed(name, GlobalKind::Param);
                    self.bind(*id, Res::Global(global));
                }
                _ => {}
            }
        }
        for stmt in stmts {
            let StmtKind::Impl { name, methods } = &stmt.kind else { continue };
            let found = self.out.structs.iter().position(|s| s.decl.name.name == name.name);
            let earlier = self.input.outer.get(&name.name).filter(|_| self.input.mode == Mode::Repl).copied();
            if let (None, Some(of)) = (found, earlier)
                && let GlobalKind::Struct(index) = self.input.program.global(of).kind
            {
                self.extend_struct(of, index, &name.name, methods);
                continue;
            }
            let Some(index) = found else {
                let names: Vec<_> = self.out.structs.iter().map(|s| s.decl.name.name.clone()).collect();
                let similar = did_you_mean(&name.name, names.iter().map(|n| &**n)).map(str::to_string);
                self.problems.push(NameError::ImplWithoutStruct { name: name.name.clone(), span: name.span, similar });
                continue;
            };
            for method in methods {
                let StmtKind::Fn(decl) = &method.kind else { continue };
                let Some(method_name) = &decl.name else { continue };
                let full: Rc<str> = format!("{}.{}", name.name, method_name.name).into();
                let id = self.new_function(decl, full, Some(index as u32), Some(FnId(0)));
                let earlier = self.out.structs[index].methods.iter().find(|(n, _)| *n == method_name.name);
                if let Some((_, first)) = earlier {
                    let first = self.out.functions[first.0 as usize].decl.as_ref().map_or(name.span, |d| d.span);
                    self.problems.push(NameError::Twice {
                        name: method_name.name.clone(),
                        span: method_name.span,
                        first,
                    });
                    continue;
                }
                self.out.structs[index].methods.push((method_name.name.clone(), id));
                if decl.params.first().is_some_and(|p| p.inout) {
                    self.out.inout_methods.push(method_name.name.clone());
                }
            }
        }
    }

    fn import(&mut self, import: &Import) {
        match import {
            Import::Module { path, bind, id } => {
                let Some(&module) = self.input.imports.get(&path.span) else {
                    self.bind(*id, Res::Unknown);
                    // The name is known, so that its uses are not reported too.
                    self.fixed(bind, GlobalKind::Variable);
                    return;
                };
                self.out.imports.push(module);
                let global = self.fixed(bind, GlobalKind::Module(module));
                self.bind(*id, Res::Global(global));
            }
            Import::Names { path, names } => {
                let module = self.input.imports.get(&path.span).copied();
                if let Some(module) = module {
                    self.out.imports.push(module);
                }
                for name in names {
                    let target = module.and_then(|m| self.export(m, &name.name));
                    let kind = target.map_or(GlobalKind::Variable, GlobalKind::Imported);
                    let global = self.fixed(&name.bind, kind);
                    self.bind(name.id, Res::Global(global));
                }
            }
        }
    }

    fn export(&mut self, module: ModuleId, name: &Ident) -> Option<GlobalId> {
        let loaded = self.input.program.module(module);
        let position = loaded.resolved.globals.iter().position(|g| g.name == name.name);
        let module_name = loaded.name.clone();
        if name.name.starts_with('_') {
            self.problems.push(NameError::Private { module: module_name, name: name.name.clone(), span: name.span });
            return None;
        }
        match position {
            Some(index) => Some(GlobalId { module, index: index as u32 }),
            None => {
                let (name, span) = (name.name.clone(), name.span);
                let hint = loaded.export_hint(&name).map(|h| h.replace(&format!("mean `{}.", loaded.name), "mean `"));
                self.problems.push(NameError::NoExport { module: module_name, name, span, hint });
                None
            }
        }
    }

    /// A function, struct or module at the top level: there may be only one of that name.
    fn fixed(&mut self, ident: &Ident, kind: GlobalKind) -> GlobalId {
        if let Some(&first) = self.globals.get(&ident.name) {
            let first = self.out.globals[first as usize].span;
            self.problems.push(NameError::Twice { name: ident.name.clone(), span: ident.span, first });
        }
        let id = self.new_global(ident, false, kind);
        self.defined.insert(id.index);
        id
    }

    fn new_global(&mut self, ident: &Ident, mutable: bool, kind: GlobalKind) -> GlobalId {
        let index = self.out.globals.len() as u32;
        self.out.globals.push(Global { name: ident.name.clone(), span: ident.span, mutable, again: false, kind });
        self.globals.insert(ident.name.clone(), index);
        GlobalId { module: self.input.id, index }
    }

    pub(super) fn bind(&mut self, id: NodeId, res: Res) {
        self.out.names.insert(id, res);
    }

    /// `impl` of a struct that an earlier line of the REPL declares: a method of the same name takes the other's place.
    fn extend_struct(&mut self, of: GlobalId, index: u32, name: &str, methods: &[Stmt]) {
        let mut given = vec![];
        for method in methods {
            let StmtKind::Fn(decl) = &method.kind else { continue };
            let Some(method_name) = &decl.name else { continue };
            let full: Rc<str> = format!("{name}.{}", method_name.name).into();
            given.push((method_name.name.clone(), self.new_function(decl, full, None, Some(FnId(0)))));
            if decl.params.first().is_some_and(|p| p.inout) {
                self.out.inout_methods.push(method_name.name.clone());
            }
        }
        self.out.extensions.push(Extension { of, index, methods: given });
    }

    fn new_function(&mut self, decl: &Rc<FnDecl>, name: Rc<str>, owner: Option<u32>, parent: Option<FnId>) -> FnId {
        let id = FnId(self.out.functions.len() as u32);
        if decl.params.len() > 64 {
            self.problems.push(NameError::TooManyParams {
                name: name.clone(),
                span: decl.span,
                count: decl.params.len(),
            });
        }
        self.out.functions.push(Function {
            name,
            decl: Some(decl.clone()),
            locals: vec![],
            captures: vec![],
            params: vec![],
            dims_of_params: vec![],
            owner,
            parent,
        });
        self.out.function_ids.insert(decl.id, id);
        id
    }

    pub(super) fn scope(&mut self) -> &mut FnScope {
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    fn at_top(&self) -> bool {
        self.scopes.len() == 1 && self.scopes[0].blocks.len() == 1
    }

    // ---- functions ----

    fn enter(&mut self, id: FnId, declared: bool) {
        let function = self.out.functions[id.0 as usize].clone();
        self.scopes.push(FnScope::new(id, function, declared));
    }

    fn leave(&mut self) {
        if let Some(scope) = self.scopes.pop() {
            self.out.functions[scope.id.0 as usize] = scope.function;
        }
    }

    fn function(&mut self, id: FnId, decl: &FnDecl, declared: bool) {
        self.enter(id, declared);
        if !declared {
            self.scope().itself = decl.name.as_ref().map(|n| n.name.clone());
        }
        // Parameters first: positions are registers.
        let mut patterns = vec![];
        for param in &decl.params {
            let local = match &param.pattern {
                Pattern::Name { ident, id } => {
                    let mutable = param.inout || &*ident.name != "self";
                    let local = self.scope().define(&ident.name, ident.span, mutable, LocalKind::Param);
                    self.bind(*id, Res::Local(local));
                    Some(local)
                }
                other => {
                    patterns.push(other);
                    None
                }
            };
            self.scope().function.params.push(local);
        }
        for pattern in patterns {
            self.pattern(pattern, true, false);
        }
        for param in &decl.params {
            if let Some(ty) = &param.ty {
                self.type_expr(ty, true);
            }
        }
        for param in &decl.params {
            if let Some(default) = &param.default {
                self.expr(default);
            }
        }
        if let Some(ret) = &decl.ret {
            self.type_expr(ret, true);
        }
        self.expr(&decl.body);
        self.leave();
    }

    fn constructor(&mut self, index: usize) {
        let decl = self.out.structs[index].decl.clone();
        if decl.fields.len() > 64 {
            self.problems.push(NameError::TooManyParams {
                name: decl.name.name.clone(),
                span: decl.name.span,
                count: decl.fields.len(),
            });
        }
        self.enter(self.out.structs[index].constructor, true);
        for field in &decl.fields {
            let local = self.scope().define(&field.name.name, field.name.span, false, LocalKind::Param);
            self.bind(field.id, Res::Local(local));
            self.scope().function.params.push(Some(local));
        }
        for field in &decl.fields {
            if let Some(ty) = &field.ty {
                self.type_expr(ty, true);
            }
        }
        for field in &decl.fields {
            if let Some(default) = &field.default {
                self.expr(default);
            }
        }
        self.leave();
    }

    // ---- statements ----

    fn block(&mut self, block: &Block) {
        self.scope().blocks.push(HashMap::default());
        let functions = self.local_functions.len();
        for stmt in &block.stmts {
            if let StmtKind::Fn(decl) = &stmt.kind {
                self.local_functions.extend(decl.name.clone());
            }
        }
        for stmt in &block.stmts {
            self.stmt(stmt);
        }
        self.local_functions.truncate(functions);
        self.scope().blocks.pop();
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let { mutable, pattern, ty, value } => {
                self.expr(value);
                if let Some(ty) = ty {
                    self.type_expr(ty, false);
                }
                self.pattern(pattern, *mutable, false);
            }
            StmtKind::Assign { target, value, .. } => {
                self.expr(value);
                self.target(target);
            }
            StmtKind::Fn(decl) => {
                if self.at_top() {
                    if let Some(&id) = self.out.function_ids.get(&decl.id) {
                        self.function(id, decl, true);
                    }
                } else if let Some(name) = &decl.name {
                    let parent = self.scope().id;
                    let id = self.new_function(decl, name.name.clone(), None, Some(parent));
                    self.function(id, decl, false);
                    let local = self.scope().define(&name.name, name.span, false, LocalKind::Variable);
                    self.bind(decl.id, Res::Local(local));
                }
            }
            StmtKind::Struct(decl) => {
                let index = self.out.structs.iter().position(|s| Rc::ptr_eq(&s.decl, decl));
                if let Some(index) = index {
                    self.constructor(index);
                }
            }
            StmtKind::Impl { methods, .. } => {
                for method in methods {
                    if let StmtKind::Fn(decl) = &method.kind
                        && let Some(&id) = self.out.function_ids.get(&decl.id)
                    {
                        self.function(id, decl, true);
                    }
                }
            }
            StmtKind::Import(_) | StmtKind::Break | StmtKind::Continue => {}
            StmtKind::Param { ty, default, .. } => {
                self.expr(default);
                if let Some(ty) = ty {
                    self.type_expr(ty, false);
                }
            }
            StmtKind::Test { name, body } => {
                let id = self.new_function(body, format!("test \"{name}\"").into(), None, Some(FnId(0)));
                self.out.tests.push((name.clone(), id));
                self.function(id, body, true);
            }
            StmtKind::While { cond, body } => {
                self.expr(cond);
                self.block(body);
            }
            StmtKind::For { pattern, iter, body } => {
                self.expr(iter);
                self.scope().blocks.push(HashMap::default());
                self.pattern(pattern, false, true);
                self.block(body);
                self.scope().blocks.pop();
            }
            StmtKind::Return(value) => {
                if let Some(value) = value {
                    self.expr(value);
                }
            }
            StmtKind::Expr(expr) => self.expr(expr),
        }
    }

    fn pattern(&mut self, pattern: &Pattern, mutable: bool, is_loop: bool) {
        match pattern {
            Pattern::Ignore(_) => {}
            Pattern::Tuple(items, _) => {
                for item in items {
                    self.pattern(item, mutable, is_loop);
                }
            }
            Pattern::Name { ident, id } => {
                if self.at_top() && !is_loop && self.is_global(&ident.name) {
                    let global = self.define_global(ident, mutable);
                    self.bind(*id, Res::Global(global));
                    return;
                }
                let kind = if is_loop { LocalKind::Loop } else { LocalKind::Variable };
                let local = self.scope().define(&ident.name, ident.span, mutable, kind);
                self.bind(*id, Res::Local(local));
            }
        }
    }

    fn is_global(&self, name: &Rc<str>) -> bool {
        self.input.mode != Mode::Script || self.shared.contains(name)
    }

    /// A top-level variable; defining it again sets the same global.
    fn define_global(&mut self, ident: &Ident, mutable: bool) -> GlobalId {
        if let Some(&index) = self.globals.get(&ident.name) {
            let global = &mut self.out.globals[index as usize];
            if matches!(global.kind, GlobalKind::Variable) {
                global.mutable = mutable;
                global.again |= !self.defined.insert(index);
                return GlobalId { module: self.input.id, index };
            }
            let first = global.span;
            self.problems.push(NameError::Twice { name: ident.name.clone(), span: ident.span, first });
        }
        let id = self.new_global(ident, mutable, GlobalKind::Variable);
        self.defined.insert(id.index);
        id
    }

    // ---- places ----

    fn target(&mut self, target: &Expr) {
        match &target.kind {
            ExprKind::Tuple(items) => items.iter().for_each(|item| self.target(item)),
            ExprKind::Index { base, items } => {
                self.index_items(items);
                self.target(base);
            }
            ExprKind::Field { base, .. } => self.target(base),
            ExprKind::Name(name) if &**name == "_" => {}
            ExprKind::Name(name) => {
                let later = self.bound.contains_key(name);
                if !later && self.try_lookup(name, None).is_none() {
                    let hint = Some(format!("to make a new variable, write var {name} = ..."));
                    let (name, span) = (name.clone(), target.span);
                    if self.missing.insert(name.clone()) {
                        self.problems.push(NameError::Unknown { name, span, similar: None, hint });
                    }
                    self.bind(target.id, Res::Unknown);
                    return;
                }
                let res = self.lookup(name, target.span);
                self.bind(target.id, res.res);
                self.check_assignable(name, target.span, res);
            }
            _ => self.expr(target),
        }
    }

    fn check_assignable(&mut self, name: &Rc<str>, span: Span, found: Found) {
        let name = name.clone();
        let problem = match found.res {
            Res::Unknown => return,
            Res::Local(id) => {
                let scope = self.scope();
                let local: &Local = &scope.function.locals[id.0 as usize];
                let bound = local.span;
                if found.captured {
                    NameError::AssignToCaptured { name, span, bound }
                } else if local.mutable {
                    self.scope().function.locals[id.0 as usize].changed = true;
                    return;
                } else if local.kind == LocalKind::Param && &*name == "self" {
                    NameError::AssignToSelf { span, bound }
                } else if local.kind == LocalKind::Loop {
                    NameError::AssignToLoop { name, span, bound }
                } else {
                    NameError::AssignToLet { name, span, bound }
                }
            }
            Res::Global(id) => {
                let global = if id.module == self.input.id {
                    self.out.globals[id.index as usize].clone()
                } else {
                    self.input.program.global(id).clone()
                };
                let bound = global.span;
                match global.kind {
                    GlobalKind::Variable if self.scopes.len() > 1 => NameError::AssignToGlobal { name, span, bound },
                    GlobalKind::Variable if global.mutable => return,
                    GlobalKind::Variable => NameError::AssignToLet { name, span, bound },
                    GlobalKind::Function(_) => NameError::AssignToFixed { name, span, what: "a function" },
                    GlobalKind::Struct(_) => NameError::AssignToFixed { name, span, what: "a struct" },
                    GlobalKind::Module(_) => NameError::AssignToFixed { name, span, what: "a module" },
                    GlobalKind::Imported(_) => NameError::AssignToFixed { name, span, what: "imported" },
                    GlobalKind::Param => NameError::AssignToFixed { name, span, what: "a param" },
                }
            }
            Res::Itself => NameError::AssignToFixed { name, span, what: "a function" },
            Res::Prim(_) | Res::Builtin(_) => NameError::AssignToFixed { name, span, what: "a builtin function" },
            Res::Constant(_) | Res::DType(_) => NameError::AssignToFixed { name, span, what: "a constant" },
        };
        self.problems.push(problem);
    }

    /// `use_at`: report a top-level variable that the body uses before its definition.
    pub(super) fn try_lookup(&mut self, name: &Rc<str>, use_at: Option<Span>) -> Option<Found> {
        let depth = self.scopes.len() - 1;
        if let Some(found) = find_local(&mut self.scopes, depth, name) {
            return Some(found);
        }
        let global = match self.globals.get(name) {
            Some(&index) => Some(GlobalId { module: self.input.id, index }),
            None => self.later_global(name, use_at),
        };
        if let Some(id) = global.or_else(|| self.input.outer.get(name).copied()) {
            return Some(self.global_use(name, id));
        }
        builtin_names::find(name, self.input.is_library).map(|res| Found { res, captured: false })
    }

    /// A global variable that the walk has not come to yet: fine in a declared function, an error in the body.
    fn later_global(&mut self, name: &Rc<str>, use_at: Option<Span>) -> Option<GlobalId> {
        if !self.is_global(name) {
            return None;
        }
        let (ident, mutable) = self.bound.get(name).cloned()?;
        let in_declared = self.scopes.len() > 1 && self.scopes[1].declared;
        if !in_declared {
            if builtin_names::find(name, self.input.is_library).is_some() || self.input.outer.contains_key(name) {
                return None;
            }
            if let Some(span) = use_at {
                self.problems.push(NameError::TooEarly { name: name.clone(), span, defined: ident.span });
            }
        }
        Some(self.new_global(&ident, mutable, GlobalKind::Variable))
    }

    /// A global seen from the current function: closures capture variables, all else reads them when it runs.
    fn global_use(&mut self, name: &Rc<str>, id: GlobalId) -> Found {
        let global = if id.module == self.input.id {
            self.out.globals[id.index as usize].clone()
        } else {
            self.input.program.global(id).clone()
        };
        let depth = self.scopes.len() - 1;
        if matches!(global.kind, GlobalKind::Variable) && !self.scopes[depth].declared {
            // From the outermost closure inwards, each keeps the value.
            let first = (0..=depth).rev().take_while(|&d| !self.scopes[d].declared).last().unwrap_or(depth);
            let mut from = CaptureFrom::Global(id);
            for d in first..=depth {
                let local = match self.scopes[d].local(name) {
                    Some(local) => local,
                    None => self.scopes[d].capture(name, global.span, from),
                };
                from = CaptureFrom::Local(local);
                if d == depth {
                    return Found { res: Res::Local(local), captured: true };
                }
            }
        }
        Found { res: Res::Global(id), captured: false }
    }

    // ---- expressions ----

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::None
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Str(_)
            | ExprKind::Invalid => {}
            ExprKind::Format(parts) => {
                FormatPart::values(parts).into_iter().for_each(|value| self.expr(value));
            }
            // The validator has told it.
            ExprKind::Name(name) if &**name == "_" => {}
            ExprKind::Name(name) => {
                let found = self.lookup(name, expr.span);
                self.bind(expr.id, found.res);
            }
            ExprKind::Unary(_, x) => self.expr(x),
            ExprKind::Binary(op, a, b) => {
                self.expr(a);
                self.expr(b);
                if *op == BinOp::FloorDiv {
                    self.comment_elsewhere(b);
                }
            }
            ExprKind::Chain { first, rest } => {
                self.expr(first);
                rest.iter().for_each(|(_, e)| self.expr(e));
            }
            ExprKind::Range { lo, hi, .. } => {
                self.expr(lo);
                self.expr(hi);
            }
            ExprKind::Call { callee, args } => {
                self.expr(callee);
                self.args(args);
            }
            ExprKind::Method { receiver, name, args } => {
                self.expr(receiver);
                if let Some(Res::Local(local)) = self.out.names.get(&receiver.root().id) {
                    let local = local.0 as usize;
                    self.scope().function.locals[local].changed = true;
                }
                self.name_elsewhere(receiver, name);
                // What a module has is no method: a variable of that name has nothing to do with it.
                if !self.is_module(receiver)
                    && let Some(found) = self.try_lookup(&name.name, None)
                {
                    self.out.functions_by_method.insert(expr.id, found.res);
                }
                self.args(args);
            }
            ExprKind::Index { base, items } => {
                self.expr(base);
                self.index_items(items);
            }
            ExprKind::Field { base, name } => {
                self.expr(base);
                self.name_elsewhere(base, name);
            }
            ExprKind::Tuple(items) | ExprKind::Tensor(items) => items.iter().for_each(|e| self.expr(e)),
            ExprKind::Comprehension { element, clauses, .. } => {
                self.scope().blocks.push(HashMap::default());
                for clause in clauses {
                    match clause {
                        Clause::For { pattern, iter } => {
                            self.expr(iter);
                            self.pattern(pattern, false, true);
                        }
                        Clause::If(cond) => self.expr(cond),
                    }
                }
                self.expr(element);
                self.scope().blocks.pop();
            }
            ExprKind::Lambda(decl) => {
                let parent = self.scope().id;
                let id = self.new_function(decl, "<lambda>".into(), None, Some(parent));
                self.function(id, decl, false);
            }
            ExprKind::Block(block) => self.block(block),
            ExprKind::If { cond, then, otherwise } => {
                self.expr(cond);
                self.expr(then);
                if let Some(otherwise) = otherwise {
                    self.expr(otherwise);
                }
            }
            ExprKind::Try { body, name, handler } => {
                self.block(body);
                self.scope().blocks.push(HashMap::default());
                if let Some((ident, id)) = name {
                    let local = self.scope().define(&ident.name, ident.span, false, LocalKind::Variable);
                    self.bind(*id, Res::Local(local));
                }
                self.block(handler);
                self.scope().blocks.pop();
            }
        }
    }

    fn args(&mut self, args: &[Arg]) {
        for arg in args {
            if arg.inout {
                self.target(&arg.value);
            } else {
                self.expr(&arg.value);
            }
        }
    }

    fn index_items(&mut self, items: &[IndexItem]) {
        for item in items {
            match item {
                IndexItem::At(e) => self.expr(e),
                IndexItem::Slice { start, stop, step, .. } => {
                    [start, stop, step].into_iter().flatten().for_each(|e| self.expr(e));
                }
                IndexItem::Ellipsis(_) => {}
            }
        }
    }
}
