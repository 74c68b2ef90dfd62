//! What the grammar's actions call: makes tree nodes, numbers them, and rewrites sugar (pipes, method calls).
//!
//! In: the parts of one production. Out: a node. Invariant: one [`Builder`] numbers one tree; every id it gives is
//! below [`Builder::node_count`].

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use super::ast::*;
use super::docs::Docs;
use super::error::SyntaxError;
use crate::source::{SourceId, Span};

/// Statements of a file or block.
pub type Stmts = Vec<Stmt>;
/// Name, parameters and result type of a function.
pub type FnHead = (Ident, Vec<Param>, Option<TypeExpr>);

/// State of one parse.
pub struct Builder<'d> {
    source: SourceId,
    docs: &'d Docs,
    next_id: Cell<u32>,
    /// Expressions that stand in parentheses of their own, where that changes what a later action makes of them.
    in_parens: RefCell<HashSet<NodeId>>,
    problems: RefCell<Vec<SyntaxError>>,
}

impl<'d> Builder<'d> {
    pub fn new(source: SourceId, docs: &'d Docs) -> Builder<'d> {
        Builder {
            source,
            docs,
            next_id: Cell::new(0),
            in_parens: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// How many ids were given out.
    pub fn node_count(&self) -> u32 {
        self.next_id.get()
    }

    /// What the actions found wrong.
    pub fn into_problems(self) -> Vec<SyntaxError> {
        self.problems.into_inner()
    }

    fn id(&self) -> NodeId {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        NodeId(id)
    }

    pub fn span(&self, start: u32, end: u32) -> Span {
        Span { source: self.source, start, end: end.max(start) }
    }

    fn node(&self, span: Span, kind: ExprKind) -> Expr {
        Expr { id: self.id(), kind, span }
    }

    // ---- lists

    pub fn push<T>(&self, mut list: Vec<T>, item: T) -> Vec<T> {
        list.push(item);
        list
    }

    pub fn extend<T>(&self, mut list: Vec<T>, item: Option<T>) -> Vec<T> {
        list.extend(item);
        list
    }

    pub fn prepend<T>(&self, first: T, mut rest: Vec<T>) -> Vec<T> {
        rest.insert(0, first);
        rest
    }

    // ---- statements

    pub fn stmt(&self, l: u32, r: u32, kind: StmtKind) -> Stmt {
        Stmt { kind, span: self.span(l, r), doc: self.docs.of(l, r) }
    }

    pub fn let_(&self, mutable: bool, pattern: Pattern, ty: Option<TypeExpr>, value: Expr) -> StmtKind {
        StmtKind::Let { mutable, pattern, ty, value }
    }

    pub fn assign(&self, target: Expr, op: Option<BinOp>, value: Expr) -> StmtKind {
        StmtKind::Assign { target, op, value }
    }

    pub fn invalid_stmt(&self, l: u32, r: u32) -> StmtKind {
        StmtKind::Expr(self.expr(l, r, ExprKind::Invalid))
    }

    pub fn fn_decl(&self, l: u32, r: u32, (name, params, ret): FnHead, body: Expr) -> Rc<FnDecl> {
        let (id, span, doc) = (self.id(), self.span(l, r), self.docs.of(l, r));
        Rc::new(FnDecl { id, name: Some(name), params, ret, body, span, doc })
    }

    pub fn param(
        &self,
        l: u32,
        r: u32,
        inout: bool,
        pattern: Pattern,
        ty: Option<TypeExpr>,
        default: Option<Expr>,
    ) -> Param {
        Param { pattern, inout, ty, default, span: self.span(l, r) }
    }

    pub fn struct_(&self, l: u32, r: u32, name: Ident, fields: Vec<FieldDecl>) -> StmtKind {
        let (id, span, doc) = (self.id(), self.span(l, r), self.docs.of(l, r));
        StmtKind::Struct(Rc::new(StructDecl { id, name, fields, span, doc }))
    }

    pub fn field(
        &self,
        l: u32,
        r: u32,
        nograd: bool,
        name: Ident,
        ty: Option<TypeExpr>,
        default: Option<Expr>,
    ) -> Option<FieldDecl> {
        Some(FieldDecl { name, id: self.id(), nograd, ty, default, doc: self.docs.of(l, r) })
    }

    pub fn impl_(&self, name: Ident, methods: Stmts) -> StmtKind {
        StmtKind::Impl { name, methods }
    }

    pub fn module_path(&self, l: u32, r: u32, path: &str, is_file: bool) -> ModulePath {
        ModulePath { path: path.into(), is_file, span: self.span(l, r) }
    }

    /// A file binds its stem: `"./util.dl"` is `util`.
    pub fn import(&self, path: ModulePath, alias: Option<Ident>) -> StmtKind {
        let bind = alias.unwrap_or_else(|| {
            let file = path.path.rsplit(['/', '\\']).next().unwrap_or("");
            let stem = file.strip_suffix(".dl").unwrap_or(file);
            let is_name = stem.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && stem.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !super::token::KEYWORDS.contains(&stem);
            if !is_name {
                self.problem(SyntaxError::UnnamedImport { stem: stem.into(), span: path.span });
            }
            Ident { name: stem.into(), span: path.span }
        });
        StmtKind::Import(Import::Module { path, bind, id: self.id() })
    }

    pub fn import_names(&self, path: ModulePath, names: Vec<ImportedName>) -> StmtKind {
        StmtKind::Import(Import::Names { path, names })
    }

    pub fn imported_name(&self, name: Ident, alias: Option<Ident>) -> ImportedName {
        let bind = alias.unwrap_or_else(|| name.clone());
        ImportedName { name, bind, id: self.id() }
    }

    pub fn param_stmt(&self, name: Ident, ty: Option<TypeExpr>, default: Expr) -> StmtKind {
        StmtKind::Param { name, id: self.id(), ty, default }
    }

    pub fn test(&self, l: u32, name: Rc<str>, body: Expr) -> StmtKind {
        let span = self.span(l, body.span.end);
        let decl = FnDecl { id: self.id(), name: None, params: vec![], ret: None, body, span, doc: None };
        StmtKind::Test { name: name.to_string(), body: Rc::new(decl) }
    }

    pub fn block(&self, l: u32, r: u32, stmts: Stmts) -> Block {
        Block { stmts, span: self.span(l, r) }
    }

    // ---- names and patterns

    pub fn ident(&self, l: u32, r: u32, name: &str) -> Ident {
        Ident { name: name.into(), span: self.span(l, r) }
    }

    pub fn pattern(&self, ident: Ident) -> Pattern {
        Pattern::Name { ident, id: self.id() }
    }

    // ---- expressions

    pub fn expr(&self, l: u32, r: u32, kind: ExprKind) -> Expr {
        self.node(self.span(l, r), kind)
    }

    pub fn name(&self, ident: Ident) -> Expr {
        self.node(ident.span, ExprKind::Name(ident.name))
    }

    pub fn block_expr(&self, block: Block) -> Expr {
        self.node(block.span, ExprKind::Block(block))
    }

    pub fn parens(&self, l: u32, r: u32, mut inner: Expr) -> Expr {
        self.in_parens.borrow_mut().insert(inner.id);
        inner.span = self.span(l, r);
        inner
    }

    fn is_in_parens(&self, expr: &Expr) -> bool {
        self.in_parens.borrow().contains(&expr.id)
    }

    pub fn lambda(&self, l: u32, params: Vec<Param>, body: Expr) -> Expr {
        let span = self.span(l, body.span.end);
        let decl = FnDecl { id: self.id(), name: None, params, ret: None, body, span, doc: None };
        self.node(span, ExprKind::Lambda(Rc::new(decl)))
    }

    /// `x |> f` is `f(x)`, `x |> g(2)` is `g(x, 2)`, `x |> m.f(2)` is `m.f(x, 2)`.
    pub fn pipe(&self, x: Expr, f: Expr) -> Expr {
        let span = x.span.to(f.span);
        let first = Arg { name: None, inout: false, value: x };
        if self.is_in_parens(&f) {
            return self.node(span, ExprKind::Call { callee: Box::new(f), args: vec![first] });
        }
        let kind = match f.kind {
            ExprKind::Call { callee, args } => ExprKind::Call { callee, args: self.prepend(first, args) },
            ExprKind::Method { receiver, name, args } => {
                ExprKind::Method { receiver, name, args: self.prepend(first, args) }
            }
            ExprKind::Field { base, name } => ExprKind::Method { receiver: base, name, args: vec![first] },
            kind => {
                let callee = Box::new(Expr { id: f.id, kind, span: f.span });
                return self.node(span, ExprKind::Call { callee, args: vec![first] });
            }
        };
        Expr { id: f.id, kind, span }
    }

    pub fn binary(&self, op: BinOp, x: Expr, y: Expr) -> Expr {
        self.node(x.span.to(y.span), ExprKind::Binary(op, Box::new(x), Box::new(y)))
    }

    /// One comparison, or a chain of them.
    pub fn comparison(&self, first: Expr, mut rest: Vec<(BinOp, Expr)>) -> Expr {
        if rest.len() == 1
            && let Some((op, y)) = rest.pop()
        {
            return self.binary(op, first, y);
        }
        let span = rest.last().map_or(first.span, |(_, last)| first.span.to(last.span));
        self.node(span, ExprKind::Chain { first: Box::new(first), rest })
    }

    pub fn unary(&self, l: u32, op: UnOp, x: Expr) -> Expr {
        let span = self.span(l, x.span.end);
        match x.kind {
            // The one int whose digits do not fit without the sign; the lexer let it through for this.
            ExprKind::Int(i64::MIN) if op == UnOp::Neg => self.node(span, ExprKind::Int(i64::MIN)),
            _ => self.node(span, ExprKind::Unary(op, Box::new(x))),
        }
    }

    pub fn range(&self, lo: Expr, hi: Expr, inclusive: bool) -> Expr {
        self.node(lo.span.to(hi.span), ExprKind::Range { lo: Box::new(lo), hi: Box::new(hi), inclusive })
    }

    pub fn field_access(&self, base: Expr, name: Ident) -> Expr {
        self.node(base.span.to(name.span), ExprKind::Field { base: Box::new(base), name })
    }

    /// `x.f(...)` is a method call, `(x.f)(...)` calls what the field holds.
    pub fn call(&self, callee: Expr, args: Vec<Arg>, r: u32) -> Expr {
        let span = self.span(callee.span.start, r);
        if self.is_in_parens(&callee) {
            return self.node(span, ExprKind::Call { callee: Box::new(callee), args });
        }
        match callee.kind {
            ExprKind::Field { base, name } => {
                Expr { id: callee.id, kind: ExprKind::Method { receiver: base, name, args }, span }
            }
            _ => self.node(span, ExprKind::Call { callee: Box::new(callee), args }),
        }
    }

    pub fn index(&self, base: Expr, items: Vec<IndexItem>, r: u32) -> Expr {
        let span = self.span(base.span.start, r);
        if items.is_empty() {
            self.problem(SyntaxError::EmptyIndex { span });
        }
        self.node(span, ExprKind::Index { base: Box::new(base), items })
    }

    pub fn slice(&self, l: u32, r: u32, start: Option<Expr>, stop: Option<Expr>, step: Option<Expr>) -> IndexItem {
        IndexItem::Slice { start, stop, step, span: self.span(l, r) }
    }

    pub fn comprehension(&self, l: u32, r: u32, element: Expr, clauses: Vec<Clause>) -> Expr {
        self.expr(l, r, ExprKind::Comprehension { list: false, element: Box::new(element), clauses })
    }

    /// `f(e for p in xs)`
    pub fn comprehension_arg(&self, element: Expr, clauses: Vec<Clause>) -> Vec<Arg> {
        let end = clauses.last().map_or(element.span, |clause| match clause {
            Clause::For { iter, .. } => iter.span,
            Clause::If(cond) => cond.span,
        });
        let span = element.span.to(end);
        let value = self.node(span, ExprKind::Comprehension { list: true, element: Box::new(element), clauses });
        vec![Arg { name: None, inout: false, value }]
    }

    pub fn if_(&self, l: u32, r: u32, cond: Expr, then: Expr, otherwise: Option<Expr>) -> Expr {
        let (cond, then) = (Box::new(cond), Box::new(then));
        self.expr(l, r, ExprKind::If { cond, then, otherwise: otherwise.map(Box::new) })
    }

    pub fn try_(&self, l: u32, r: u32, body: Block, name: Option<Ident>, handler: Block) -> Expr {
        let name = name.map(|name| (name, self.id()));
        self.expr(l, r, ExprKind::Try { body, name, handler })
    }

    pub fn hole(&self, value: Expr, spec: Option<Rc<str>>) -> FormatPart {
        FormatPart::Value { value, spec: spec.as_deref().unwrap_or("").to_string() }
    }

    // ---- types

    pub fn ty(&self, l: u32, r: u32, kind: TypeKind) -> TypeExpr {
        TypeExpr { kind, span: self.span(l, r) }
    }

    pub fn none_type(&self, l: u32, r: u32) -> TypeExpr {
        self.named_type(None, self.ident(l, r, "none"))
    }

    pub fn named_type(&self, module: Option<Ident>, name: Ident) -> TypeExpr {
        let span = module.as_ref().map_or(name.span, |m| m.span.to(name.span));
        TypeExpr { kind: TypeKind::Name { module, name }, span }
    }

    pub fn tensor_type(&self, dtype: Ident, dims: Vec<DimExpr>, r: u32) -> TypeExpr {
        TypeExpr { span: self.span(dtype.span.start, r), kind: TypeKind::Tensor { dtype, dims } }
    }

    pub fn dim(&self, op: BinOp, x: DimExpr, y: DimExpr) -> DimExpr {
        DimExpr::Binary(op, Box::new(x), Box::new(y))
    }

    pub fn dim_var(&self, ident: Ident) -> DimExpr {
        DimExpr::Var { ident, id: self.id() }
    }

    fn problem(&self, problem: SyntaxError) {
        self.problems.borrow_mut().push(problem);
    }
}
