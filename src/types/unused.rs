//! Names that are bound and never read, imports that are not used, and variables that hide one of the same function.
//!
//! In: a module's tree with its names. Out: warnings. Left alone: parameters, parts of tuples, loop variables, names that
//! start with `_`, and top-level variables, which other files and lines may read.

use std::rc::Rc;

use rustc_hash::FxHashSet as HashSet;

use crate::diagnostic::Diagnostic;
use crate::resolve::{CaptureFrom, FnId, GlobalKind, LoadedModule, LocalId, Res};
use crate::source::Span;
use crate::syntax::ast::*;

/// Warnings about the names of a module.
pub(super) fn check(module: &LoadedModule) -> Vec<Diagnostic> {
    let mut walk = Walk {
        module,
        function: FnId(0),
        scopes: vec![],
        params: vec![],
        depth: 0,
        bound: vec![],
        used: HashSet::default(),
        used_globals: HashSet::default(),
        used_names: HashSet::default(),
        out: vec![],
    };
    walk.stmts(&module.tree.stmts);
    walk.captures();
    let mut out = std::mem::take(&mut walk.out);
    for (function, local, name, span) in &walk.bound {
        if !walk.used.contains(&(*function, *local)) {
            let d = Diagnostic::warning("W0305", format!("`{name}` is never read"))
                .at(*span, "")
                .help(format!("take it out, or call it `_{name}` if that is meant"));
            out.push(d);
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

/// A binding: function, local, name and place.
type Bound = (FnId, LocalId, Rc<str>, Span);

struct Walk<'a> {
    module: &'a LoadedModule,
    function: FnId,
    /// Blocks of the function that is open, with the names bound in each.
    scopes: Vec<Vec<(Rc<str>, Span)>>,
    /// Parameters of a function whose body comes next: they count as names of its outermost block.
    params: Vec<(Rc<str>, Span)>,
    /// Blocks around, in all functions.
    depth: usize,
    bound: Vec<Bound>,
    used: HashSet<(FnId, LocalId)>,
    used_globals: HashSet<u32>,
    /// In annotations, where names have no node.
    used_names: HashSet<Rc<str>>,
    out: Vec<Diagnostic>,
}

impl Walk<'_> {
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

    fn stmts(&mut self, stmts: &[Stmt]) {
        self.depth += 1;
        self.scopes.push(std::mem::take(&mut self.params));
        stmts.iter().for_each(|s| self.stmt(s));
        self.out.extend(dropped_values(stmts));
        self.scopes.pop();
        self.depth -= 1;
    }

    fn function(&mut self, decl: &FnDecl) {
        let id = self.module.resolved.function_ids.get(&decl.id).copied();
        let outer = std::mem::replace(&mut self.function, id.unwrap_or(FnId(0)));
        let scopes = std::mem::take(&mut self.scopes);
        for param in &decl.params {
            param.ty.iter().for_each(|t| self.annotation(t));
            param.default.iter().for_each(|e| self.expr(e));
        }
        decl.ret.iter().for_each(|t| self.annotation(t));
        self.depth += 1;
        let name = |p: &Param| p.pattern.name().map(|n| (n.name.clone(), n.span));
        self.params = decl.params.iter().filter_map(name).collect();
        self.expr(&decl.body);
        self.params.clear();
        self.depth -= 1;
        self.scopes = scopes;
        self.function = outer;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let { pattern, ty, value, .. } => {
                self.expr(value);
                ty.iter().for_each(|t| self.annotation(t));
                if let Pattern::Name { ident, id } = pattern {
                    self.let_name(ident, *id);
                }
            }
            StmtKind::Assign { target, value, op } => {
                self.expr(value);
                self.target(target);
                if op.is_some() && !target.is_place() {
                    self.expr(target);
                }
            }
            StmtKind::Fn(decl) => self.function(decl),
            StmtKind::Struct(decl) => {
                for field in &decl.fields {
                    field.ty.iter().for_each(|t| self.annotation(t));
                    field.default.iter().for_each(|e| self.expr(e));
                }
            }
            StmtKind::Impl { methods, .. } => methods.iter().for_each(|m| self.stmt(m)),
            StmtKind::Param { ty, default, .. } => {
                self.expr(default);
                ty.iter().for_each(|t| self.annotation(t));
            }
            StmtKind::Test { body, .. } => self.function(body),
            StmtKind::While { cond, body } => {
                self.expr(cond);
                self.stmts(&body.stmts);
            }
            StmtKind::For { iter, body, .. } => {
                self.expr(iter);
                self.stmts(&body.stmts);
            }
            StmtKind::Return(value) => value.iter().for_each(|e| self.expr(e)),
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::Import(_) | StmtKind::Break | StmtKind::Continue => {}
        }
    }

    fn let_name(&mut self, ident: &Ident, id: NodeId) {
        let Some(Res::Local(local)) = self.module.resolved.names.get(&id) else { return };
        if self.depth > 1 && !ident.name.starts_with('_') {
            self.bound.push((self.function, *local, ident.name.clone(), ident.span));
        }
        let n = self.scopes.len();
        let outer = self.scopes.iter().take(n.saturating_sub(1)).flatten().rev().find(|(name, _)| *name == ident.name);
        if let Some((_, first)) = outer {
            let d = Diagnostic::warning("W0307", format!("this `{}` hides another of this function", ident.name))
                .at(ident.span, "a new variable, gone at the end of the block")
                .also(*first, "this one stays as it is")
                .help(format!("to change the outer one, write `{} = ...` without let or var", ident.name));
            self.out.push(d);
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.push((ident.name.clone(), ident.span));
        }
    }

    /// A place that is assigned: only its indices are read.
    fn target(&mut self, target: &Expr) {
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

    fn items(&mut self, items: &[IndexItem]) {
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

    fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Name(_) => self.mark(self.module.resolved.names.get(&e.id)),
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
                self.expr(callee);
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
            ExprKind::Lambda(decl) => self.function(decl),
            ExprKind::Block(block) => self.stmts(&block.stmts),
            ExprKind::If { cond, then, otherwise } => {
                self.expr(cond);
                self.expr(then);
                otherwise.iter().for_each(|e| self.expr(e));
            }
            ExprKind::Try { body, handler, .. } => {
                self.stmts(&body.stmts);
                self.stmts(&handler.stmts);
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
            DimExpr::Var { id, .. } => self.mark(self.module.resolved.names.get(id)),
            DimExpr::Binary(_, a, b) => {
                self.dim(a);
                self.dim(b);
            }
            DimExpr::Int(..) | DimExpr::Ellipsis(_) | DimExpr::Any(_) => {}
        }
    }
}

/// Values that a statement makes and nothing takes: a line that starts with `-` goes on with no other, and `a == b` assigns nothing.
fn dropped_values(stmts: &[Stmt]) -> Vec<Diagnostic> {
    let mut out = vec![];
    for (i, stmt) in stmts.iter().enumerate() {
        let StmtKind::Expr(e) = &stmt.kind else { continue };
        let before = i.checked_sub(1).and_then(|i| stmts.get(i));
        let dropped = |s: &Stmt| matches!(&s.kind, StmtKind::Expr(e) if is_mere_value(e));
        let is_last = i + 1 == stmts.len();
        if let Some(minus) = leading_minus(e)
            && let Some(before) = before
            && (dropped(before) || !is_last && is_mere_value(e) && makes_value(before))
        {
            let d = Diagnostic::warning("W0314", "a line that starts with `-` is a statement of its own");
            let lost = if dropped(before) { "this value is not used" } else { "this ends here" };
            let d = d.at(minus, "not a part of the line before").also(before.span, lost);
            out.push(d.help("a line goes on after an operator at its end: move the `-` up"));
        } else if !is_last
            && let ExprKind::Binary(BinOp::Eq, a, _) = &e.kind
            && a.is_place()
        {
            let d = Diagnostic::warning("W0314", "nothing is done with the answer of this `==`");
            out.push(d.at(e.span, "compares, and assigns nothing").help("to assign, write `=`"));
        }
    }
    out
}

/// An expression without a call or block in it: all that it does is give a value.
fn is_mere_value(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Name(_) | ExprKind::Int(_) | ExprKind::Float(_) => true,
        ExprKind::Unary(_, a) | ExprKind::Field { base: a, .. } => is_mere_value(a),
        ExprKind::Binary(_, a, b) => is_mere_value(a) && is_mere_value(b),
        _ => false,
    }
}

fn makes_value(stmt: &Stmt) -> bool {
    matches!(&stmt.kind, StmtKind::Let { .. } | StmtKind::Assign { .. })
}

/// The minus that an expression starts with.
fn leading_minus(e: &Expr) -> Option<Span> {
    match &e.kind {
        ExprKind::Unary(UnOp::Neg, _) => Some(Span { end: e.span.start + 1, ..e.span }),
        ExprKind::Binary(_, a, _) => leading_minus(a),
        _ => None,
    }
}
