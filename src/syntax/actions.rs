//! What the grammar's actions call: makes tree nodes, numbers them, and rewrites sugar (pipes, method calls).
//!
//! In: the parts of one production. Out: a node. Invariant: one [`Builder`] numbers one tree; every id it gives is
//! below [`Builder::node_count`].

#![allow(
    clippy::boxed_local,
    clippy::vec_box,
    reason = "large nodes travel in boxes: the parser moves a value through its stack at each step"
)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rustc_hash::FxHashSet as HashSet;

use super::ast::*;
use super::docs::Docs;
use super::error::SyntaxError;
use crate::source::{SourceId, Span};

/// Statements of a file or block.
pub type Stmts = Vec<Stmt>;
/// Name, parameters and result type of a function.
pub type FnHead = (Ident, Vec<Box<Param>>, Option<Box<TypeExpr>>);
/// Name, whether `&`, value.
pub type ArgParts = (Option<Ident>, bool, Box<Expr>);

/// An index on its way through the parser's stack.
pub enum ItemParts {
    At(Box<Expr>),
    Slice([Option<Box<Expr>>; 3], Span),
    Ellipsis(Span),
}

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
        Builder { source, docs, next_id: Cell::new(0), in_parens: RefCell::default(), problems: RefCell::default() }
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

    fn node(&self, span: Span, kind: ExprKind) -> Box<Expr> {
        Box::new(Expr { id: self.id(), kind, span })
    }

    // ---- lists

    /// Most lists have a few items.
    pub fn first<T>(&self, item: T) -> Vec<T> {
        let mut list = Vec::with_capacity(4);
        list.push(item);
        list
    }

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

    pub fn unbox<T>(&self, list: Vec<Box<T>>) -> Vec<T> {
        list.into_iter().map(|item| *item).collect()
    }

    // ---- statements

    pub fn stmt(&self, l: u32, r: u32, kind: Box<StmtKind>) -> Box<Stmt> {
        Box::new(Stmt { kind: *kind, span: self.span(l, r), doc: self.docs.of(l, r) })
    }

    pub fn let_(&self, mutable: bool, pattern: Pattern, ty: Option<Box<TypeExpr>>, value: Box<Expr>) -> Box<StmtKind> {
        Box::new(StmtKind::Let { mutable, pattern, ty: ty.map(|t| *t), value: *value })
    }

    pub fn assign(&self, target: Box<Expr>, op: Option<BinOp>, value: Box<Expr>) -> Box<StmtKind> {
        Box::new(StmtKind::Assign { target: *target, op, value: *value })
    }

    pub fn while_(&self, cond: Box<Expr>, body: Block) -> Box<StmtKind> {
        Box::new(StmtKind::While { cond: *cond, body })
    }

    pub fn for_(&self, pattern: Pattern, iter: Box<Expr>, body: Block) -> Box<StmtKind> {
        Box::new(StmtKind::For { pattern, iter: *iter, body })
    }

    pub fn return_(&self, value: Option<Box<Expr>>) -> Box<StmtKind> {
        Box::new(StmtKind::Return(value.map(|e| *e)))
    }

    pub fn expr_stmt(&self, expr: Box<Expr>) -> Box<StmtKind> {
        Box::new(StmtKind::Expr(*expr))
    }

    pub fn invalid_stmt(&self, l: u32, r: u32) -> Box<StmtKind> {
        self.expr_stmt(self.expr(l, r, ExprKind::Invalid))
    }

    pub fn fn_decl(&self, l: u32, r: u32, (name, params, ret): FnHead, body: Box<Expr>) -> Rc<FnDecl> {
        let (id, span, doc) = (self.id(), self.span(l, r), self.docs.of(l, r));
        let params = self.unbox(params);
        Rc::new(FnDecl { id, name: Some(name), params, ret: ret.map(|t| *t), body: *body, span, doc })
    }

    pub fn param(
        &self,
        l: u32,
        r: u32,
        inout: bool,
        pattern: Pattern,
        ty: Option<Box<TypeExpr>>,
        default: Option<Box<Expr>>,
    ) -> Box<Param> {
        let (ty, default) = (ty.map(|t| *t), default.map(|e| *e));
        Box::new(Param { pattern, inout, ty, default, span: self.span(l, r) })
    }

    pub fn struct_(&self, l: u32, r: u32, name: Ident, fields: Vec<Box<FieldDecl>>) -> Box<StmtKind> {
        let (id, span, doc) = (self.id(), self.span(l, r), self.docs.of(l, r));
        let fields = self.unbox(fields);
        Box::new(StmtKind::Struct(Rc::new(StructDecl { id, name, fields, span, doc })))
    }

    pub fn field(
        &self,
        l: u32,
        r: u32,
        nograd: bool,
        name: Ident,
        ty: Option<Box<TypeExpr>>,
        default: Option<Box<Expr>>,
    ) -> Option<Box<FieldDecl>> {
        let (ty, default) = (ty.map(|t| *t), default.map(|e| *e));
        Some(Box::new(FieldDecl { name, id: self.id(), nograd, ty, default, doc: self.docs.of(l, r) }))
    }

    pub fn impl_(&self, name: Ident, methods: Vec<Box<Stmt>>) -> Box<StmtKind> {
        Box::new(StmtKind::Impl { name, methods: self.unbox(methods) })
    }

    pub fn module_path(&self, l: u32, r: u32, path: &str, is_file: bool) -> ModulePath {
        ModulePath { path: path.into(), is_file, span: self.span(l, r) }
    }

    /// A file binds its stem: `"./util.dl"` is `util`.
    pub fn import(&self, path: ModulePath, alias: Option<Ident>) -> Box<StmtKind> {
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
        Box::new(StmtKind::Import(Import::Module { path, bind, id: self.id() }))
    }

    pub fn import_names(&self, path: ModulePath, names: Vec<Box<ImportedName>>) -> Box<StmtKind> {
        Box::new(StmtKind::Import(Import::Names { path, names: self.unbox(names) }))
    }

    pub fn imported_name(&self, name: Ident, alias: Option<Ident>) -> Box<ImportedName> {
        let bind = alias.unwrap_or_else(|| name.clone());
        Box::new(ImportedName { name, bind, id: self.id() })
    }

    pub fn param_stmt(&self, name: Ident, ty: Option<Box<TypeExpr>>, default: Box<Expr>) -> Box<StmtKind> {
        Box::new(StmtKind::Param { name, id: self.id(), ty: ty.map(|t| *t), default: *default })
    }

    pub fn test(&self, l: u32, name: Rc<str>, body: Box<Expr>) -> Box<StmtKind> {
        let span = self.span(l, body.span.end);
        let decl = FnDecl { id: self.id(), name: None, params: vec![], ret: None, body: *body, span, doc: None };
        Box::new(StmtKind::Test { name: name.to_string(), body: Rc::new(decl) })
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

    pub fn expr(&self, l: u32, r: u32, kind: ExprKind) -> Box<Expr> {
        self.node(self.span(l, r), kind)
    }

    pub fn name(&self, ident: Ident) -> Box<Expr> {
        self.node(ident.span, ExprKind::Name(ident.name))
    }

    pub fn block_expr(&self, block: Block) -> Box<Expr> {
        self.node(block.span, ExprKind::Block(block))
    }

    pub fn parens(&self, l: u32, r: u32, mut inner: Box<Expr>) -> Box<Expr> {
        self.in_parens.borrow_mut().insert(inner.id);
        inner.span = self.span(l, r);
        inner
    }

    fn is_in_parens(&self, expr: &Expr) -> bool {
        self.in_parens.borrow().contains(&expr.id)
    }

    pub fn lambda(&self, l: u32, params: Vec<Box<Param>>, body: Box<Expr>) -> Box<Expr> {
        let span = self.span(l, body.span.end);
        let params = self.unbox(params);
        let decl = FnDecl { id: self.id(), name: None, params, ret: None, body: *body, span, doc: None };
        self.node(span, ExprKind::Lambda(Rc::new(decl)))
    }

    /// `x |> f` is `f(x)`, `x |> g(2)` is `g(x, 2)`, `x |> m.f(2)` is `m.f(x, 2)`.
    pub fn pipe(&self, x: Box<Expr>, mut f: Box<Expr>) -> Box<Expr> {
        let span = x.span.to(f.span);
        let first = Arg { name: None, inout: false, value: *x };
        if self.is_in_parens(&f) {
            return self.node(span, ExprKind::Call { callee: f, args: vec![first] });
        }
        f.kind = match f.kind {
            ExprKind::Call { callee, args } => ExprKind::Call { callee, args: self.prepend(first, args) },
            ExprKind::Method { receiver, name, args } => {
                ExprKind::Method { receiver, name, args: self.prepend(first, args) }
            }
            ExprKind::Field { base, name } => ExprKind::Method { receiver: base, name, args: vec![first] },
            kind => {
                f.kind = kind;
                return self.node(span, ExprKind::Call { callee: f, args: vec![first] });
            }
        };
        f.span = span;
        f
    }

    pub fn binary(&self, op: BinOp, x: Box<Expr>, y: Box<Expr>) -> Box<Expr> {
        self.node(x.span.to(y.span), ExprKind::Binary(op, x, y))
    }

    /// One comparison, or a chain of them.
    pub fn comparison(&self, first: Box<Expr>, mut rest: Vec<(BinOp, Box<Expr>)>) -> Box<Expr> {
        if rest.len() == 1
            && let Some((op, y)) = rest.pop()
        {
            return self.binary(op, first, y);
        }
        let span = rest.last().map_or(first.span, |(_, last)| first.span.to(last.span));
        let rest = rest.into_iter().map(|(op, e)| (op, *e)).collect();
        self.node(span, ExprKind::Chain { first, rest })
    }

    pub fn unary(&self, l: u32, op: UnOp, x: Box<Expr>) -> Box<Expr> {
        let span = self.span(l, x.span.end);
        match x.kind {
            // The one int whose digits do not fit without the sign; the lexer let it through for this.
            ExprKind::Int(i64::MIN) if op == UnOp::Neg => self.node(span, ExprKind::Int(i64::MIN)),
            _ => self.node(span, ExprKind::Unary(op, x)),
        }
    }

    pub fn range(&self, lo: Box<Expr>, hi: Box<Expr>, inclusive: bool) -> Box<Expr> {
        self.node(lo.span.to(hi.span), ExprKind::Range { lo, hi, inclusive })
    }

    pub fn field_access(&self, base: Box<Expr>, name: Ident) -> Box<Expr> {
        self.node(base.span.to(name.span), ExprKind::Field { base, name })
    }

    /// `x.f(...)` is a method call, `(x.f)(...)` calls what the field holds.
    pub fn call(&self, mut callee: Box<Expr>, args: Vec<ArgParts>, r: u32) -> Box<Expr> {
        let span = self.span(callee.span.start, r);
        let args = args.into_iter().map(|(name, inout, value)| Arg { name, inout, value: *value }).collect();
        if self.is_in_parens(&callee) {
            return self.node(span, ExprKind::Call { callee, args });
        }
        callee.kind = match callee.kind {
            ExprKind::Field { base, name } => ExprKind::Method { receiver: base, name, args },
            kind => {
                callee.kind = kind;
                return self.node(span, ExprKind::Call { callee, args });
            }
        };
        callee.span = span;
        callee
    }

    pub fn index(&self, base: Box<Expr>, items: Vec<ItemParts>, r: u32) -> Box<Expr> {
        let span = self.span(base.span.start, r);
        if items.is_empty() {
            self.problem(SyntaxError::EmptyIndex { span });
        }
        let items = items.into_iter().map(|item| match item {
            ItemParts::At(e) => IndexItem::At(*e),
            ItemParts::Slice(parts, span) => {
                let [start, stop, step] = parts.map(|part| part.map(|e| *e));
                IndexItem::Slice { start, stop, step, span }
            }
            ItemParts::Ellipsis(span) => IndexItem::Ellipsis(span),
        });
        self.node(span, ExprKind::Index { base, items: items.collect() })
    }

    pub fn slice(
        &self,
        l: u32,
        r: u32,
        start: Option<Box<Expr>>,
        stop: Option<Box<Expr>>,
        step: Option<Box<Expr>>,
    ) -> ItemParts {
        ItemParts::Slice([start, stop, step], self.span(l, r))
    }

    pub fn tuple(&self, l: u32, r: u32, items: Vec<Box<Expr>>) -> Box<Expr> {
        self.expr(l, r, ExprKind::Tuple(self.unbox(items)))
    }

    pub fn tensor(&self, l: u32, r: u32, items: Vec<Box<Expr>>) -> Box<Expr> {
        self.expr(l, r, ExprKind::Tensor(self.unbox(items)))
    }

    pub fn format(&self, l: u32, r: u32, parts: Vec<Box<FormatPart>>) -> Box<Expr> {
        self.expr(l, r, ExprKind::Format(self.unbox(parts)))
    }

    pub fn for_clause(&self, pattern: Pattern, iter: Box<Expr>) -> Box<Clause> {
        Box::new(Clause::For { pattern, iter: *iter })
    }

    pub fn comprehension(&self, l: u32, r: u32, element: Box<Expr>, clauses: Vec<Box<Clause>>) -> Box<Expr> {
        self.expr(l, r, ExprKind::Comprehension { list: false, element, clauses: self.unbox(clauses) })
    }

    /// `f(e for p in xs)`
    pub fn comprehension_arg(&self, element: Box<Expr>, clauses: Vec<Box<Clause>>) -> Vec<ArgParts> {
        let end = clauses.last().map_or(element.span, |clause| match &**clause {
            Clause::For { iter, .. } => iter.span,
            Clause::If(cond) => cond.span,
        });
        let span = element.span.to(end);
        let clauses = self.unbox(clauses);
        vec![(None, false, self.node(span, ExprKind::Comprehension { list: true, element, clauses }))]
    }

    pub fn if_(&self, l: u32, r: u32, cond: Box<Expr>, then: Box<Expr>, otherwise: Option<Box<Expr>>) -> Box<Expr> {
        self.expr(l, r, ExprKind::If { cond, then, otherwise })
    }

    pub fn try_(&self, l: u32, r: u32, body: Block, name: Option<Ident>, handler: Block) -> Box<Expr> {
        let name = name.map(|name| (name, self.id()));
        self.expr(l, r, ExprKind::Try { body, name, handler })
    }

    pub fn hole(&self, value: Box<Expr>, spec: Vec<Box<FormatPart>>) -> Box<FormatPart> {
        let spec = self.unbox(spec).into_iter().filter(|p| !matches!(p, FormatPart::Text(t) if t.is_empty()));
        Box::new(FormatPart::Value { value: *value, spec: spec.collect() })
    }

    // ---- types

    pub fn ty(&self, l: u32, r: u32, kind: TypeKind) -> Box<TypeExpr> {
        Box::new(TypeExpr { kind, span: self.span(l, r) })
    }

    pub fn none_type(&self, l: u32, r: u32) -> Box<TypeExpr> {
        self.named_type(None, self.ident(l, r, "none"))
    }

    pub fn named_type(&self, module: Option<Ident>, name: Ident) -> Box<TypeExpr> {
        let span = module.as_ref().map_or(name.span, |m| m.span.to(name.span));
        Box::new(TypeExpr { kind: TypeKind::Name { module, name }, span })
    }

    pub fn tensor_type(&self, dtype: Ident, dims: Vec<DimExpr>, r: u32) -> Box<TypeExpr> {
        Box::new(TypeExpr { span: self.span(dtype.span.start, r), kind: TypeKind::Tensor { dtype, dims } })
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
