//! The rules that depend on context, which the grammar leaves out.
//!
//! In: a tree. Out: problems. What holds afterwards: targets and `&` arguments are places; `break`, `continue`
//! and `return` have something to leave; declarations stand at the top level; names of parameters, fields, methods
//! and named arguments are distinct; `...` stands where it may.

use rustc_hash::FxHashMap as HashMap;
use smallvec::SmallVec;

use super::ast::*;
use super::error::SyntaxError;
use crate::source::Span;

/// Checks a tree. Without `clean`, rules about what stands around a statement are off: around a mistake that says
/// little.
pub fn validate(module: &Module, clean: bool) -> Vec<SyntaxError> {
    let mut validator = Validator { clean, problems: vec![] };
    let top = Around { in_loop: false, in_fn: false, top: true };
    validator.stmts(&module.stmts, top);
    validator.problems
}

/// What stands around a statement.
#[derive(Clone, Copy)]
struct Around {
    in_loop: bool,
    in_fn: bool,
    top: bool,
}

struct Validator {
    clean: bool,
    problems: Vec<SyntaxError>,
}

/// Reports names that come twice.
fn duplicates<'a>(what: &'static str, names: impl Iterator<Item = &'a Ident>) -> Vec<SyntaxError> {
    // A few names are compared with each other; a program of a generator may have many.
    const FEW: usize = 16;
    let mut few: SmallVec<[&Ident; FEW]> = SmallVec::new();
    let mut many: HashMap<&str, Span> = HashMap::default();
    let mut problems = vec![];
    for ident in names {
        let first = match few.iter().find(|seen| seen.name == ident.name) {
            Some(first) => Some(first.span),
            None => many.get(&*ident.name).copied(),
        };
        match first {
            None if few.len() < FEW => few.push(ident),
            None => drop(many.insert(&ident.name, ident.span)),
            Some(first) => {
                let name = ident.name.to_string();
                problems.push(SyntaxError::Duplicate { what, name, span: ident.span, first });
            }
        }
    }
    problems
}

fn names_of<'a>(pattern: &'a Pattern, out: &mut Vec<&'a Ident>) {
    match pattern {
        Pattern::Name { ident, .. } => out.push(ident),
        Pattern::Ignore(_) => {}
        Pattern::Tuple(items, _) => items.iter().for_each(|p| names_of(p, out)),
    }
}

impl Validator {
    fn stmts(&mut self, stmts: &[Stmt], around: Around) {
        for stmt in stmts {
            self.stmt(stmt, around);
        }
    }

    fn block(&mut self, block: &Block, around: Around) {
        self.stmts(&block.stmts, Around { top: false, ..around });
    }

    fn top_level_only(&mut self, word: &'static str, span: Span, around: Around) {
        if !around.top && self.clean {
            let span = Span { end: span.start + word.len() as u32, ..span };
            self.problems.push(SyntaxError::NotTopLevel { word, span });
        }
    }

    fn stmt(&mut self, stmt: &Stmt, around: Around) {
        match &stmt.kind {
            StmtKind::Let { pattern, ty, value, .. } => {
                self.pattern(pattern);
                self.opt_ty(ty);
                self.expr(value, around);
            }
            StmtKind::Assign { target, op, value } => {
                self.target(target, *op);
                self.target_parts(target, around);
                self.expr(value, around);
            }
            StmtKind::Fn(decl) => self.function(decl, false),
            StmtKind::Struct(decl) => {
                self.top_level_only("struct", stmt.span, around);
                self.problems.extend(duplicates("field", decl.fields.iter().map(|f| &f.name)));
                for field in &decl.fields {
                    self.opt_ty(&field.ty);
                    self.opt_expr(&field.default, around);
                }
            }
            StmtKind::Impl { methods, .. } => {
                self.top_level_only("impl", stmt.span, around);
                let names = methods.iter().filter_map(|m| match &m.kind {
                    StmtKind::Fn(decl) => decl.name.as_ref(),
                    _ => None,
                });
                self.problems.extend(duplicates("method", names));
                self.stmts(methods, Around { top: false, ..around });
            }
            StmtKind::Import(import) => {
                let word = match import {
                    Import::Module { .. } => "import",
                    Import::Names { names, .. } => {
                        self.problems.extend(duplicates("name", names.iter().map(|n| &n.bind)));
                        "from"
                    }
                };
                self.top_level_only(word, stmt.span, around);
            }
            StmtKind::Param { ty, default, .. } => {
                self.top_level_only("param", stmt.span, around);
                self.opt_ty(ty);
                self.expr(default, around);
            }
            StmtKind::Test { body, .. } => {
                self.top_level_only("test", stmt.span, around);
                self.function(body, false);
            }
            StmtKind::While { cond, body } => {
                self.expr(cond, around);
                self.block(body, Around { in_loop: true, ..around });
            }
            StmtKind::For { pattern, iter, body } => {
                self.pattern(pattern);
                self.expr(iter, around);
                self.block(body, Around { in_loop: true, ..around });
            }
            StmtKind::Break => self.in_loop_only("break", stmt.span, around),
            StmtKind::Continue => self.in_loop_only("continue", stmt.span, around),
            StmtKind::Return(value) => {
                if !around.in_fn && self.clean {
                    let span = Span { end: stmt.span.start + "return".len() as u32, ..stmt.span };
                    self.problems.push(SyntaxError::ReturnOutside { span });
                }
                self.opt_expr(value, around);
            }
            StmtKind::Expr(expr) => self.expr(expr, around),
        }
    }

    fn in_loop_only(&mut self, word: &'static str, span: Span, around: Around) {
        if !around.in_loop && self.clean {
            self.problems.push(SyntaxError::OutsideLoop { word, span });
        }
    }

    fn pattern(&mut self, pattern: &Pattern) {
        let mut names = vec![];
        names_of(pattern, &mut names);
        self.problems.extend(duplicates("name", names.into_iter()));
    }

    fn target(&mut self, target: &Expr, op: Option<BinOp>) {
        match &target.kind {
            ExprKind::Invalid => {}
            ExprKind::Tuple(items) if !items.is_empty() => match op {
                Some(op) => self.problems.push(SyntaxError::UpdateOfTuple { op: op.symbol(), span: target.span }),
                None => items.iter().for_each(|item| self.target(item, None)),
            },
            ExprKind::Name(name) if &**name == "_" && op.is_some() => self.dropped(target.span),
            _ if target.is_place() => {}
            _ => self.problems.push(SyntaxError::NotAPlace { span: target.span }),
        }
    }

    /// `_` where a value is due.
    fn dropped(&mut self, span: Span) {
        let (found, hint) = ("`_`".into(), Some("`_` drops a value and has none".into()));
        self.problems.push(SyntaxError::Unexpected { found, expected: "an expression".into(), hint, span });
    }

    /// The expressions inside of a target. `_` takes what is dropped.
    fn target_parts(&mut self, target: &Expr, around: Around) {
        match &target.kind {
            ExprKind::Tuple(items) => items.iter().for_each(|item| self.target_parts(item, around)),
            ExprKind::Name(name) if &**name == "_" => {}
            _ => self.expr(target, around),
        }
    }

    fn function(&mut self, decl: &FnDecl, is_lambda: bool) {
        let mut names = vec![];
        decl.params.iter().for_each(|p| names_of(&p.pattern, &mut names));
        self.problems.extend(duplicates("parameter", names.into_iter()));
        let around = Around { in_loop: false, in_fn: true, top: false };
        let mut default = None;
        for param in &decl.params {
            if !is_lambda && !matches!(param.pattern, Pattern::Name { .. } | Pattern::Ignore(_)) {
                self.problems.push(SyntaxError::PatternParameter { span: param.pattern.span() });
            }
            match (&param.default, default) {
                (Some(_), _) => default = Some(param.span),
                (None, Some(default)) => {
                    let name = param.pattern.name().map_or("_", |n| &n.name).to_string();
                    self.problems.push(SyntaxError::RequiredAfterDefault { name, span: param.span, default });
                }
                (None, None) => {}
            }
            self.opt_ty(&param.ty);
            self.opt_expr(&param.default, around);
        }
        self.opt_ty(&decl.ret);
        self.expr(&decl.body, around);
    }

    fn args(&mut self, args: &[Arg], around: Around) {
        self.problems.extend(duplicates("argument", args.iter().filter_map(|a| a.name.as_ref())));
        let mut named = None;
        for arg in args {
            match (&arg.name, named) {
                (Some(name), None) => named = Some(name.span),
                (None, Some(named)) => {
                    self.problems.push(SyntaxError::PositionalAfterNamed { span: arg.value.span, named });
                }
                _ => {}
            }
            if arg.inout && !arg.value.is_place() && !matches!(arg.value.kind, ExprKind::Invalid) {
                self.problems.push(SyntaxError::InoutNotAPlace { span: arg.value.span });
            }
            self.expr(&arg.value, around);
        }
    }

    fn index_items(&mut self, items: &[IndexItem], around: Around) {
        let mut first = None;
        for item in items {
            match item {
                IndexItem::At(expr) => self.expr(expr, around),
                IndexItem::Slice { start, stop, step, .. } => {
                    [start, stop, step].into_iter().for_each(|e| self.opt_expr(e, around));
                }
                IndexItem::Ellipsis(span) => match first {
                    None => first = Some(*span),
                    Some(_) => self.problems.push(SyntaxError::MisplacedEllipsis { span: *span, first }),
                },
            }
        }
    }

    fn opt_expr(&mut self, expr: &Option<Expr>, around: Around) {
        if let Some(expr) = expr {
            self.expr(expr, around);
        }
    }

    fn exprs<'a>(&mut self, exprs: impl IntoIterator<Item = &'a Expr>, around: Around) {
        exprs.into_iter().for_each(|e| self.expr(e, around));
    }

    fn expr(&mut self, expr: &Expr, around: Around) {
        use ExprKind::*;
        let around = Around { top: false, ..around };
        match &expr.kind {
            Name(name) if &**name == "_" => self.dropped(expr.span),
            None | Bool(_) | Int(_) | Float(_) | Str(_) | Name(_) | Invalid => {}
            Format(parts) => self.exprs(FormatPart::values(parts), around),
            Unary(_, x) => self.expr(x, around),
            Binary(_, x, y) => self.exprs([&**x, &**y], around),
            Chain { first, rest } => {
                self.expr(first, around);
                self.exprs(rest.iter().map(|(_, e)| e), around);
            }
            Range { lo, hi, .. } => self.exprs([&**lo, &**hi], around),
            Call { callee, args } => {
                self.expr(callee, around);
                self.args(args, around);
            }
            Method { receiver, args, .. } => {
                self.expr(receiver, around);
                self.args(args, around);
            }
            Index { base, items } => {
                self.expr(base, around);
                self.index_items(items, around);
            }
            Field { base, .. } => self.expr(base, around),
            Tuple(items) | Tensor(items) => self.exprs(items, around),
            Comprehension { element, clauses, .. } => {
                self.expr(element, around);
                for clause in clauses {
                    match clause {
                        Clause::For { pattern, iter } => {
                            self.pattern(pattern);
                            self.expr(iter, around);
                        }
                        Clause::If(cond) => self.expr(cond, around),
                    }
                }
            }
            Lambda(decl) => self.function(decl, true),
            Block(block) => self.block(block, around),
            If { cond, then, otherwise } => {
                self.exprs([&**cond, &**then], around);
                self.exprs(otherwise.as_deref(), around);
            }
            Try { body, handler, .. } => {
                self.block(body, around);
                self.block(handler, around);
            }
        }
    }

    fn opt_ty(&mut self, ty: &Option<TypeExpr>) {
        if let Some(ty) = ty {
            self.ty(ty);
        }
    }

    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeKind::Name { .. } => {}
            TypeKind::Tensor { dims, .. } => {
                for dim in dims.iter().skip(1) {
                    if let DimExpr::Ellipsis(span) = dim {
                        self.problems.push(SyntaxError::MisplacedEllipsis { span: *span, first: None });
                    }
                }
            }
            TypeKind::List(t) | TypeKind::Optional(t) => self.ty(t),
            TypeKind::Dict(k, v) => [k, v].into_iter().for_each(|t| self.ty(t)),
            TypeKind::Tuple(items) => items.iter().for_each(|t| self.ty(t)),
            TypeKind::Fn(params, ret) => {
                params.iter().for_each(|t| self.ty(t));
                self.ty(ret);
            }
        }
    }
}
