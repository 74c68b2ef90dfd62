//! Names that are bound and never read, imports that are not used, and variables that hide one of the same function.
//!
//! In: a module's tree with its names. Out: warnings. Left alone: parts of tuples, loop variables, names that start with
//! `_`, parameters of methods, closures and functions that are given to others, and top-level variables that other files
//! and lines may read: those of the REPL and of files that only define.

use std::rc::Rc;

use rustc_hash::FxHashSet as HashSet;

use super::dropped::dropped_values;
use super::hidden::{BoundBy, Names};
use crate::diagnostic::Diagnostic;
use crate::resolve::{CaptureFrom, FnId, GlobalKind, LoadedModule, LocalId, LocalKind, Res};
use crate::source::Span;
use crate::syntax::ast::*;
use crate::syntax::visit;

/// Warnings about the names of a module. `is_program`: it is a whole program without errors, and no line that is given to the
/// command; of others neither parameters nor top-level variables are told.
pub(super) fn check(module: &LoadedModule, is_program: bool) -> Vec<Diagnostic> {
    let mut walk = Walk {
        module,
        function: FnId(0),
        names: Names::default(),
        is_program,
        is_script: is_program && module.tree.stmts.iter().any(acts),
        depth: 0,
        bound: vec![],
        globals_bound: vec![],
        params: vec![],
        used: HashSet::default(),
        used_globals: HashSet::default(),
        given: HashSet::default(),
        used_names: HashSet::default(),
        out: vec![],
    };
    walk.declared(&module.tree.stmts);
    walk.in_scope(&module.tree.stmts);
    walk.captures();
    let mut out = std::mem::take(&mut walk.out);
    let never_read = |name: &str, span: Span| {
        Diagnostic::warning("W0305", format!("`{name}` is never read"))
            .at(span, "")
            .help(format!("take it out, or call it `_{name}` if that is meant"))
    };
    for (function, local, ident) in &walk.bound {
        if !walk.used.contains(&(*function, *local)) && !walk.names.hidden.contains(&ident.span) {
            out.push(never_read(&ident.name, ident.span));
        }
    }
    for (global, ident) in &walk.globals_bound {
        if !walk.used_globals.contains(global) && !walk.names.hidden.contains(&ident.span) {
            out.push(never_read(&ident.name, ident.span));
        }
    }
    for param in &walk.params {
        let mut read = std::iter::once(&param.local).chain(&param.dims);
        let is_read = read.any(|local| walk.used.contains(&(param.function, *local)));
        if !is_read && !walk.given.contains(&param.of) && !walk.names.hidden.contains(&param.ident.span) {
            let Ident { name, span } = param.ident;
            let d = Diagnostic::warning("W0305", format!("the parameter `{name}` is never read"));
            out.push(d.at(*span, "").help(format!("take it out, or call it `_{name}` if that is meant")));
        }
    }
    for (i, global) in module.resolved.globals.iter().enumerate() {
        let imported = matches!(global.kind, GlobalKind::Module(_) | GlobalKind::Imported(_));
        let used = walk.used_globals.contains(&(i as u32)) || walk.used_names.contains(&global.name);
        if imported && !used {
            let d = Diagnostic::warning("W0306", format!("`{}` is imported and not used", global.name));
            out.push(d.at(global.span, "").help("take the import out"));
        }
    }
    out
}

/// True for a top-level statement that does something: the file is a program, and no mere collection of definitions.
fn acts(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::Expr(Expr { kind: ExprKind::Call { callee, .. }, .. }) => {
            !matches!(&callee.kind, ExprKind::Name(name) if matches!(&**name, "set_dtype" | "seed"))
        }
        StmtKind::Expr(_) | StmtKind::For { .. } | StmtKind::While { .. } | StmtKind::Assign { .. } => true,
        _ => false,
    }
}

/// A parameter of a declared function.
struct OfFunction<'a> {
    function: FnId,
    local: LocalId,
    ident: &'a Ident,
    /// The function's place among the top-level names.
    of: u32,
    /// Dimension variables that its annotation binds.
    dims: Vec<LocalId>,
}

struct Walk<'a> {
    module: &'a LoadedModule,
    function: FnId,
    names: Names<'a>,
    is_program: bool,
    /// Top-level variables are there for this file alone.
    is_script: bool,
    /// Blocks around, in all functions.
    depth: usize,
    bound: Vec<(FnId, LocalId, &'a Ident)>,
    globals_bound: Vec<(u32, &'a Ident)>,
    params: Vec<OfFunction<'a>>,
    used: HashSet<(FnId, LocalId)>,
    used_globals: HashSet<u32>,
    /// Functions that are given away, and not only called.
    given: HashSet<u32>,
    /// In annotations, where names have no node.
    used_names: HashSet<Rc<str>>,
    out: Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    /// Functions, structs and imports are in sight everywhere.
    fn declared(&mut self, stmts: &'a [Stmt]) {
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::Fn(decl) => decl.name.iter().for_each(|n| self.bind(n, BoundBy::Declared("function"), None)),
                StmtKind::Struct(decl) => self.bind(&decl.name, BoundBy::Declared("struct"), None),
                StmtKind::Param { name, .. } => self.bind(name, BoundBy::Declared("param"), None),
                StmtKind::Import(Import::Module { bind, .. }) => self.bind(bind, BoundBy::Declared("import"), None),
                StmtKind::Import(Import::Names { names, .. }) => {
                    names.iter().for_each(|n| self.bind(&n.bind, BoundBy::Declared("import"), None));
                }
                _ => {}
            }
        }
    }

    fn bind(&mut self, ident: &'a Ident, by: BoundBy, value: Option<&Expr>) {
        let is_refined = || value.is_some_and(|value| mentions(value, &ident.name));
        let found = self.names.bind(ident, self.function, by, is_refined);
        self.out.extend(found);
    }

    fn pattern(&mut self, pattern: &'a Pattern, by: BoundBy, value: Option<&Expr>) {
        match pattern {
            Pattern::Name { ident, .. } => self.bind(ident, by, value),
            Pattern::Tuple(parts, _) => parts.iter().for_each(|p| self.pattern(p, by, value)),
            Pattern::Ignore(_) => {}
        }
    }

    /// A captured variable is read.
    fn captures(&mut self) {
        for function in &self.module.resolved.functions {
            let Some(parent) = function.parent else { continue };
            for capture in &function.captures {
                match capture.from {
                    CaptureFrom::Local(local) => drop(self.used.insert((parent, local))),
                    CaptureFrom::Itself => {}
                    CaptureFrom::Global(id) => drop(self.used_globals.insert(id.index)),
                }
            }
        }
    }

    fn mark(&mut self, res: Option<&Res>) {
        match res {
            Some(Res::Local(local)) => drop(self.used.insert((self.function, *local))),
            Some(Res::Global(id)) if id.module == self.module.id => drop(self.used_globals.insert(id.index)),
            _ => {}
        }
    }

    fn stmts(&mut self, stmts: &'a [Stmt]) {
        let scope = self.names.open();
        self.in_scope(stmts);
        self.names.close(scope);
    }

    /// Statements of a block whose scope is open.
    fn in_scope(&mut self, stmts: &'a [Stmt]) {
        self.depth += 1;
        stmts.iter().for_each(|s| self.stmt(s));
        self.out.extend(dropped_values(stmts));
        self.depth -= 1;
    }

    /// `of`: its place among the top-level names, if all its calls stand in the file.
    fn function(&mut self, decl: &'a FnDecl, of: Option<u32>) {
        let id = self.module.resolved.function_ids.get(&decl.id).copied().unwrap_or(FnId(0));
        let outer = std::mem::replace(&mut self.function, id);
        for param in &decl.params {
            param.ty.iter().for_each(|t| self.annotation(t));
            param.default.iter().for_each(|e| self.expr(e));
        }
        decl.ret.iter().for_each(|t| self.annotation(t));
        let scope = self.names.open();
        for param in &decl.params {
            self.pattern(&param.pattern, BoundBy::Param, None);
            if let (Some(of), Pattern::Name { ident, id: node }) = (of, &param.pattern)
                && let Some(Res::Local(local)) = self.module.resolved.names.get(node)
                && !param.inout
                && !ident.name.starts_with('_')
            {
                let mut dims = vec![];
                param.ty.iter().for_each(|t| self.dims_of(t, &mut dims));
                self.params.push(OfFunction { function: id, local: *local, ident, of, dims });
            }
        }
        if let Some(function) = self.module.resolved.functions.get(id.0 as usize) {
            // A parameter that names a dimension of another says what is expected.
            self.used.extend(function.dims_of_params.iter().map(|(_, param)| (id, *param)));
        }
        self.depth += 1;
        match &decl.body.kind {
            ExprKind::Block(block) => self.in_scope(&block.stmts),
            _ => self.expr(&decl.body),
        }
        self.depth -= 1;
        self.names.close(scope);
        self.function = outer;
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Let { mutable, pattern, ty, value } => {
                self.expr(value);
                ty.iter().for_each(|t| self.annotation(t));
                self.pattern(pattern, if *mutable { BoundBy::Var } else { BoundBy::Let }, Some(value));
                if let Pattern::Name { ident, id } = pattern {
                    self.unread_unless_used(ident, *id);
                }
            }
            StmtKind::Assign { target, value, op } => {
                self.expr(value);
                self.target(target);
                if op.is_some() && !target.is_place() {
                    self.expr(target);
                }
            }
            StmtKind::Fn(decl) => {
                let of = match self.module.resolved.names.get(&decl.id) {
                    Some(Res::Global(id)) if self.is_program => Some(id.index),
                    _ => None,
                };
                self.function(decl, of);
                if self.depth > 1 {
                    decl.name.iter().for_each(|n| self.bind(n, BoundBy::Function, None));
                }
            }
            StmtKind::Struct(decl) => {
                for field in &decl.fields {
                    field.ty.iter().for_each(|t| self.annotation(t));
                    field.default.iter().for_each(|e| self.expr(e));
                }
            }
            StmtKind::Impl { methods, .. } => {
                for method in methods {
                    if let StmtKind::Fn(decl) = &method.kind {
                        self.function(decl, None);
                    }
                }
            }
            StmtKind::Param { ty, default, .. } => {
                self.expr(default);
                ty.iter().for_each(|t| self.annotation(t));
            }
            StmtKind::Test { body, .. } => self.function(body, None),
            StmtKind::While { cond, body } => {
                self.expr(cond);
                self.stmts(&body.stmts);
            }
            StmtKind::For { pattern, iter, body } => {
                self.expr(iter);
                let scope = self.names.open();
                self.pattern(pattern, BoundBy::Loop, Some(iter));
                self.in_scope(&body.stmts);
                self.names.close(scope);
            }
            StmtKind::Return(value) => value.iter().for_each(|e| self.expr(e)),
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::Import(_) | StmtKind::Break | StmtKind::Continue => {}
        }
    }

    fn unread_unless_used(&mut self, ident: &'a Ident, id: NodeId) {
        if self.depth == 1 && !self.is_script || ident.name.starts_with('_') {
            return;
        }
        match self.module.resolved.names.get(&id) {
            Some(Res::Local(local)) => self.bound.push((self.function, *local, ident)),
            Some(Res::Global(id)) => self.globals_bound.push((id.index, ident)),
            _ => {}
        }
    }

    /// A place that is assigned: only its indices are read.
    fn target(&mut self, target: &'a Expr) {
        match &target.kind {
            ExprKind::Name(_) => {
                // Assigning to a parameter or captured variable, or through `inout`, is seen elsewhere.
                if let Some(Res::Global(_)) = self.module.resolved.names.get(&target.id) {
                    self.mark(self.module.resolved.names.get(&target.id));
                }
            }
            ExprKind::Index { base, items } => {
                self.items(items);
                self.target(base);
            }
            ExprKind::Field { base, .. } => self.target(base),
            ExprKind::Tuple(parts) => parts.iter().for_each(|p| self.target(p)),
            _ => self.expr(target),
        }
    }

    fn items(&mut self, items: &'a [IndexItem]) {
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

    fn expr(&mut self, e: &'a Expr) {
        match &e.kind {
            ExprKind::Name(_) => {
                let res = self.module.resolved.names.get(&e.id);
                self.mark(res);
                if let Some(Res::Global(id)) = res {
                    self.given.insert(id.index);
                }
            }
            ExprKind::Format(parts) => {
                FormatPart::values(parts).into_iter().for_each(|value| self.expr(value));
            }
            ExprKind::Unary(_, x) => self.expr(x),
            ExprKind::Binary(_, a, b) | ExprKind::Range { lo: a, hi: b, .. } => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Chain { first, rest } => {
                self.expr(first);
                rest.iter().for_each(|(_, e)| self.expr(e));
            }
            ExprKind::Call { callee, args } => {
                match &callee.kind {
                    ExprKind::Name(_) => self.mark(self.module.resolved.names.get(&callee.id)),
                    _ => self.expr(callee),
                }
                args.iter().for_each(|a| self.expr(&a.value));
            }
            ExprKind::Method { receiver, args, .. } => {
                self.expr(receiver);
                self.mark(self.module.resolved.functions_by_method.get(&e.id));
                args.iter().for_each(|a| self.expr(&a.value));
            }
            ExprKind::Index { base, items } => {
                self.expr(base);
                self.items(items);
            }
            ExprKind::Field { base, .. } => self.expr(base),
            ExprKind::Tuple(items) | ExprKind::Tensor(items) => items.iter().for_each(|i| self.expr(i)),
            ExprKind::Comprehension { element, clauses, .. } => {
                for clause in clauses {
                    match clause {
                        Clause::For { iter, .. } => self.expr(iter),
                        Clause::If(cond) => self.expr(cond),
                    }
                }
                self.expr(element);
            }
            ExprKind::Lambda(decl) => self.function(decl, None),
            ExprKind::Block(block) => self.stmts(&block.stmts),
            ExprKind::If { cond, then, otherwise } => {
                self.expr(cond);
                self.expr(then);
                otherwise.iter().for_each(|e| self.expr(e));
            }
            ExprKind::Try { body, name, handler } => {
                self.stmts(&body.stmts);
                let scope = self.names.open();
                name.iter().for_each(|(n, _)| self.bind(n, BoundBy::Catch, None));
                self.in_scope(&handler.stmts);
                self.names.close(scope);
            }
            ExprKind::None
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Str(_)
            | ExprKind::Invalid => {}
        }
    }

    fn annotation(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeKind::Name { module, name } => {
                self.used_names.insert(module.as_ref().unwrap_or(name).name.clone());
            }
            TypeKind::Tensor { dims, .. } => dims.iter().for_each(|d| self.dim(d)),
            TypeKind::List(t) | TypeKind::Optional(t) => self.annotation(t),
            TypeKind::Dict(k, v) => {
                self.annotation(k);
                self.annotation(v);
            }
            TypeKind::Tuple(parts) => parts.iter().for_each(|t| self.annotation(t)),
            TypeKind::Fn(params, ret) => {
                params.iter().for_each(|t| self.annotation(t));
                self.annotation(ret);
            }
        }
    }

    fn dim(&mut self, dim: &DimExpr) {
        match dim {
            // What an annotation binds is read where a body mentions it.
            DimExpr::Var { id, .. } if self.dim_local(*id).is_none() => self.mark(self.module.resolved.names.get(id)),
            DimExpr::Binary(_, a, b) => {
                self.dim(a);
                self.dim(b);
            }
            DimExpr::Var { .. } | DimExpr::Int(..) | DimExpr::Ellipsis(_) | DimExpr::Any(_) => {}
        }
    }

    /// The dimension variable that a node of an annotation stands for.
    fn dim_local(&self, id: NodeId) -> Option<LocalId> {
        let Some(Res::Local(local)) = self.module.resolved.names.get(&id) else { return None };
        let function = self.module.resolved.functions.get(self.function.0 as usize)?;
        (function.locals.get(local.0 as usize)?.kind == LocalKind::Dim).then_some(*local)
    }

    fn dims_of(&self, ty: &TypeExpr, out: &mut Vec<LocalId>) {
        match &ty.kind {
            TypeKind::Tensor { dims, .. } => dims.iter().for_each(|d| self.dims_in(d, out)),
            TypeKind::List(t) | TypeKind::Optional(t) => self.dims_of(t, out),
            TypeKind::Dict(_, t) => self.dims_of(t, out),
            TypeKind::Tuple(parts) => parts.iter().for_each(|t| self.dims_of(t, out)),
            TypeKind::Name { .. } | TypeKind::Fn(..) => {}
        }
    }

    fn dims_in(&self, dim: &DimExpr, out: &mut Vec<LocalId>) {
        match dim {
            DimExpr::Var { id, .. } => out.extend(self.dim_local(*id)),
            DimExpr::Binary(_, a, b) => {
                self.dims_in(a, out);
                self.dims_in(b, out);
            }
            DimExpr::Int(..) | DimExpr::Ellipsis(_) | DimExpr::Any(_) => {}
        }
    }
}

/// True if the expression mentions the name.
fn mentions(e: &Expr, name: &str) -> bool {
    let mut found = false;
    visit::expr(e, &mut |part| match &part.kind {
        ExprKind::Name(n) => found |= &**n == name,
        ExprKind::Method { name: n, .. } | ExprKind::Field { name: n, .. } => found |= &*n.name == name,
        _ => {}
    });
    found
}
