//! The tree that the parser makes. Nodes that later phases say something about carry a [`NodeId`];
//! `resolve` and `types` keep their results in tables indexed by it, so there is one tree, not three.

use std::rc::Rc;

use crate::source::Span;

/// Names a node within one module; ids are dense from 0 to [`Module::node_count`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A name where it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Ident {
    pub name: Rc<str>,
    pub span: Span,
}

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Module {
    pub stmts: Vec<Stmt>,
    /// Doc comments at the head of the file, before anything else.
    pub doc: Option<String>,
    pub node_count: u32,
    pub span: Span,
    /// What made no sense; empty in a text without syntax errors.
    pub lost: Vec<Lost>,
}

/// A statement of which no tree could be made.
#[derive(Clone, Debug)]
pub struct Lost {
    pub span: Span,
    /// All names in it: what it may have defined or changed.
    pub names: Vec<Rc<str>>,
}

#[derive(Clone, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
    /// The `##` lines before it, or on its line for a `param`.
    pub doc: Option<String>,
}

#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `let p: T = e`, `var p: T = e`
    Let {
        mutable: bool,
        pattern: Pattern,
        ty: Option<TypeExpr>,
        value: Expr,
    },
    /// `x = e`, `x[i] += e`, `(a, b) = (b, a)`: the target is a place (see [`Expr::is_place`]) or a tuple of places
    Assign {
        target: Expr,
        op: Option<BinOp>,
        value: Expr,
    },
    Fn(Rc<FnDecl>),
    Struct(Rc<StructDecl>),
    /// `impl Name { fn ... }`
    Impl {
        name: Ident,
        methods: Vec<Stmt>,
    },
    Import(Import),
    /// `param lr: float = 0.1`, top level only
    Param {
        name: Ident,
        id: NodeId,
        ty: Option<TypeExpr>,
        default: Expr,
    },
    /// `test "name" { ... }`, top level only; the body is a function without parameters
    Test {
        name: String,
        body: Rc<FnDecl>,
    },
    While {
        cond: Expr,
        body: Block,
    },
    For {
        pattern: Pattern,
        iter: Expr,
        body: Block,
    },
    Break,
    Continue,
    Return(Option<Expr>),
    Expr(Expr),
}

#[derive(Clone, Debug)]
pub enum Import {
    /// `import nn`, `import optim as o`, `import "./util.dl"`: `bind` is the name it gets here (`id` is that binding)
    Module { path: ModulePath, bind: Ident, id: NodeId },
    /// `from data import batches as b, split`
    Names { path: ModulePath, names: Vec<ImportedName> },
}

#[derive(Clone, Debug)]
pub struct ImportedName {
    pub name: Ident,
    pub bind: Ident,
    pub id: NodeId,
}

/// `nn` (library) or `"./util.dl"` (file, relative to the importing one).
#[derive(Clone, Debug)]
pub struct ModulePath {
    pub path: String,
    pub is_file: bool,
    pub span: Span,
}

/// A function: declared, method, lambda or test body.
#[derive(Clone, Debug)]
pub struct FnDecl {
    /// Names the function for `resolve`; for `fn f` also the binding of `f`.
    pub id: NodeId,
    /// `None` for a lambda.
    pub name: Option<Ident>,
    pub params: Vec<Param>,
    pub ret: Option<TypeExpr>,
    /// A [`ExprKind::Block`] for a body in braces, else the expression after `=` or the bars.
    pub body: Expr,
    pub span: Span,
    pub doc: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Param {
    /// Lambdas take patterns; elsewhere it is a name. `self` is an ordinary name.
    pub pattern: Pattern,
    pub inout: bool,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct StructDecl {
    pub id: NodeId,
    pub name: Ident,
    pub fields: Vec<FieldDecl>,
    pub span: Span,
    pub doc: Option<String>,
}

#[derive(Clone, Debug)]
pub struct FieldDecl {
    pub name: Ident,
    pub id: NodeId,
    pub nograd: bool,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
    pub doc: Option<String>,
}

impl FieldDecl {
    /// `int` or `bool` if it is annotated so: what is counted and chosen, and no part of the vector that a struct is.
    pub fn exact(&self) -> Option<&'static str> {
        match &self.ty.as_ref()?.kind {
            TypeKind::Name { module: None, name } => ["int", "bool"].into_iter().find(|kind| *kind == &*name.name),
            _ => None,
        }
    }
}

/// What `let`, `for`, parameters and comprehensions bind.
#[derive(Clone, Debug)]
pub enum Pattern {
    Name {
        ident: Ident,
        id: NodeId,
    },
    /// `_`
    Ignore(Span),
    Tuple(Vec<Pattern>, Span),
}

impl Pattern {
    pub fn span(&self) -> Span {
        match self {
            Pattern::Name { ident, .. } => ident.span,
            Pattern::Ignore(span) | Pattern::Tuple(_, span) => *span,
        }
    }

    /// The name, if it is just one.
    pub fn name(&self) -> Option<&Ident> {
        match self {
            Pattern::Name { ident, .. } => Some(ident),
            _ => None,
        }
    }
}

/// `{ ... }`: its value is that of its last statement if that is an expression, else `none`.
#[derive(Clone, Debug)]
pub struct Block {
    pub stmts: Vec<Stmt>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub id: NodeId,
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<str>),
    /// `f"..."`
    Format(Vec<FormatPart>),
    Name(Rc<str>),
    Unary(UnOp, Box<Expr>),
    /// Arithmetic, comparison, `in`, and `and`/`or` (short-circuit on bools). Spans of operands serve as labels.
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// `a < b <= c`: each operand is evaluated once; `rest` is not empty
    Chain {
        first: Box<Expr>,
        rest: Vec<(BinOp, Expr)>,
    },
    /// `lo..hi`, `lo..=hi`
    Range {
        lo: Box<Expr>,
        hi: Box<Expr>,
        inclusive: bool,
    },
    /// `f(a, k: b, &c)`; `x |> f(a)` arrives as `f(x, a)`
    Call {
        callee: Box<Expr>,
        args: Vec<Arg>,
    },
    /// `x.name(args)`: a field that is called, a method, a module's function, or `name(x, args)`
    Method {
        receiver: Box<Expr>,
        name: Ident,
        args: Vec<Arg>,
    },
    Index {
        base: Box<Expr>,
        items: Vec<IndexItem>,
    },
    Field {
        base: Box<Expr>,
        name: Ident,
    },
    Tuple(Vec<Expr>),
    /// `[a, b]`: always a tensor
    Tensor(Vec<Expr>),
    /// `[e for p in xs if c]` (a tensor) or, as the only argument of a call, `f(e for p in xs)` (a list)
    Comprehension {
        list: bool,
        element: Box<Expr>,
        clauses: Vec<Clause>,
    },
    /// `|x, y| e`, `|| e`
    Lambda(Rc<FnDecl>),
    Block(Block),
    /// Branches are blocks; the last is `else { }` or another `if`.
    If {
        cond: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    Try {
        body: Block,
        name: Option<(Ident, NodeId)>,
        handler: Block,
    },
    /// Stands where the parser could not make sense of the text; there is an error for it.
    Invalid,
}

impl Expr {
    /// What its fields, items and slices are of.
    pub fn root(&self) -> &Expr {
        match &self.kind {
            ExprKind::Index { base, .. } | ExprKind::Field { base, .. } => base.root(),
            _ => self,
        }
    }

    /// A name, or an index, slice or field of a place.
    pub fn is_place(&self) -> bool {
        match &self.kind {
            ExprKind::Name(_) => true,
            ExprKind::Index { base, .. } | ExprKind::Field { base, .. } => base.is_place(),
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Arg {
    pub name: Option<Ident>,
    /// `&place`
    pub inout: bool,
    pub value: Expr,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "few exist at a time, and a box would be in everyone's way")]
pub enum IndexItem {
    /// An index: int, tensor, mask, `none` (new axis), string key, or any expression with such a value.
    At(Expr),
    Slice {
        start: Option<Expr>,
        stop: Option<Expr>,
        step: Option<Expr>,
        span: Span,
    },
    /// `...`
    Ellipsis(Span),
}

/// `for p in xs` or `if c` of a comprehension.
#[derive(Clone, Debug)]
pub enum Clause {
    For { pattern: Pattern, iter: Expr },
    If(Expr),
}

#[derive(Clone, Debug)]
pub enum FormatPart {
    Text(String),
    /// `{value:spec}`; `spec` as written, empty if absent: text, and values (without a format) whose text belongs there
    Value {
        value: Expr,
        spec: Vec<FormatPart>,
    },
}

impl FormatPart {
    /// The expressions of an f-string in the order of evaluation: each value, then those in its format.
    pub fn values(parts: &[FormatPart]) -> Vec<&Expr> {
        let mut out = vec![];
        for part in parts {
            if let FormatPart::Value { value, spec } = part {
                out.push(value);
                out.extend(FormatPart::values(spec));
            }
        }
        out
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnOp {
    Neg,
    Not,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
    MatMul,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
    And,
    Or,
}

impl BinOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinOp::Add => "+",
            BinOp::Sub => "-",
            BinOp::Mul => "*",
            BinOp::Div => "/",
            BinOp::FloorDiv => "//",
            BinOp::Rem => "%",
            BinOp::Pow => "^",
            BinOp::MatMul => "@",
            BinOp::Eq => "==",
            BinOp::Ne => "!=",
            BinOp::Lt => "<",
            BinOp::Le => "<=",
            BinOp::Gt => ">",
            BinOp::Ge => ">=",
            BinOp::In => "in",
            BinOp::NotIn => "not in",
            BinOp::And => "and",
            BinOp::Or => "or",
        }
    }

    /// `== != < <= > >= in`
    pub fn is_comparison(self) -> bool {
        use BinOp::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge | In | NotIn)
    }
}

/// A type annotation.
#[derive(Clone, Debug)]
pub struct TypeExpr {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TypeKind {
    /// `int float bool str none any`, a struct, or `module.Struct`
    Name {
        module: Option<Ident>,
        name: Ident,
    },
    /// `float[n, 784]`, `f32[..., n]`, `int[n]`
    Tensor {
        dtype: Ident,
        dims: Vec<DimExpr>,
    },
    /// `list[T]`
    List(Box<TypeExpr>),
    /// `dict[K, V]`
    Dict(Box<TypeExpr>, Box<TypeExpr>),
    Tuple(Vec<TypeExpr>),
    Fn(Vec<TypeExpr>, Box<TypeExpr>),
    /// `T?`
    Optional(Box<TypeExpr>),
}

/// A dim of an annotation.
#[derive(Clone, Debug)]
pub enum DimExpr {
    Int(i64, Span),
    /// A dimension variable. `resolve` gives each its local: it is readable as an int in the function.
    Var {
        ident: Ident,
        id: NodeId,
    },
    /// `+ - * // /` of dims
    Binary(BinOp, Box<DimExpr>, Box<DimExpr>),
    /// `...`: any leading axes; only first
    Ellipsis(Span),
    /// `_`: any size
    Any(Span),
}
