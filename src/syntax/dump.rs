//! Tokens and trees as text, for `dlang dump` and for tests.
//!
//! In: tokens or a tree. Out: lines. The tree is written as nested lists, on one line where that fits; it shows
//! all but spans and node ids, so two trees mean the same if their dumps are equal.

use super::ast::*;
use super::print;
use super::token::Token;
use crate::source::Span;

const WIDTH: usize = 100;

/// One token a line: `line:column  token`.
pub fn tokens(tokens: &[(Token<'_>, Span)], place: impl Fn(Span) -> (usize, usize)) -> String {
    let mut out = String::new();
    for (token, span) in tokens {
        let (line, column) = place(*span);
        out += &format!("{:<8} {}\n", format!("{line}:{column}"), token_text(token));
    }
    out
}

fn token_text(token: &Token<'_>) -> String {
    match token {
        Token::Ident(name) => format!("name {name}"),
        Token::Int(n) => format!("int {n}"),
        Token::Float(x) => format!("float {x:?}"),
        Token::Str(s) => format!("str {s:?}"),
        Token::FormatStart(_) => "f-string".into(),
        Token::FormatText(s) => format!("f-text {s:?}"),
        Token::HoleOpen => "f-hole".into(),
        Token::HoleSpec(s) => format!("f-spec {s:?}"),
        Token::HoleClose => "f-hole-end".into(),
        Token::FormatEnd => "f-string-end".into(),
        Token::Newline => "newline".into(),
        other => other.fixed_text().unwrap_or("?").into(),
    }
}

/// The tree of a file.
pub fn module(module: &Module) -> String {
    let mut out = String::new();
    if let Some(doc) = &module.doc {
        node("doc", vec![Node::text(format!("{doc:?}"))]).write(&mut out, 0);
        out.push('\n');
    }
    for s in &module.stmts {
        stmt(s).write(&mut out, 0);
        out.push('\n');
    }
    out
}

/// An atom, or a list with a head.
struct Node {
    head: String,
    children: Option<Vec<Node>>,
    /// Length when written on one line; `None` if that must not be.
    flat: Option<usize>,
}

fn node(head: impl Into<String>, children: Vec<Node>) -> Node {
    let head = head.into();
    let inner: Option<usize> = children.iter().map(|c| c.flat.map(|n| n + 1)).sum();
    let flat = inner.map(|n| n + head.chars().count() + 2);
    Node { head, children: Some(children), flat }
}

impl Node {
    fn text(text: impl Into<String>) -> Node {
        let head = text.into();
        let flat = Some(head.chars().count());
        Node { head, children: None, flat }
    }

    fn on_own_lines(mut self) -> Node {
        self.flat = None;
        self
    }

    fn write(&self, out: &mut String, indent: usize) {
        let Some(children) = &self.children else {
            out.push_str(&self.head);
            return;
        };
        let flat = self.flat.is_some_and(|n| n + indent <= WIDTH);
        out.push('(');
        out.push_str(&self.head);
        for child in children {
            if flat {
                out.push(' ');
            } else {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent + 2));
            }
            child.write(out, indent + 2);
        }
        out.push(')');
    }
}

fn ident(ident: &Ident) -> Node {
    Node::text(&*ident.name)
}

fn quoted(text: &str) -> Node {
    Node::text(format!("{text:?}"))
}

fn doc(doc: &Option<String>) -> Option<Node> {
    doc.as_ref().map(|d| node("doc", vec![quoted(d)]))
}

fn ty(t: &TypeExpr) -> Node {
    Node::text(format!(":{}", print::ty(t)))
}

fn stmt(s: &Stmt) -> Node {
    let mut children = vec![];
    let head = match &s.kind {
        StmtKind::Let { mutable, pattern: p, ty: t, value } => {
            children.push(pattern(p));
            children.extend(t.as_ref().map(ty));
            children.push(expr(value));
            if *mutable { "var" } else { "let" }.to_string()
        }
        StmtKind::Assign { target, op, value } => {
            children.extend([expr(target), expr(value)]);
            format!("{}=", op.map_or("", BinOp::symbol))
        }
        StmtKind::Fn(decl) => return with_doc(function("fn", decl), &s.doc),
        StmtKind::Struct(decl) => {
            children.push(ident(&decl.name));
            children.extend(decl.fields.iter().map(field));
            "struct".into()
        }
        StmtKind::Impl { name, methods } => {
            children.push(ident(name));
            children.extend(methods.iter().map(stmt));
            let n = node("impl", children);
            return with_doc(if methods.is_empty() { n } else { n.on_own_lines() }, &s.doc);
        }
        StmtKind::Import(Import::Module { path, bind, .. }) => {
            children.extend([module_path(path), ident(bind)]);
            "import".into()
        }
        StmtKind::Import(Import::Names { path, names }) => {
            children.push(module_path(path));
            children.extend(names.iter().map(|n| node("as", vec![ident(&n.name), ident(&n.bind)])));
            "from".into()
        }
        StmtKind::Param { name, ty: t, default, .. } => {
            children.push(ident(name));
            children.extend(t.as_ref().map(ty));
            children.push(expr(default));
            "param".into()
        }
        StmtKind::Test { name, body } => {
            children.extend([quoted(name), expr(&body.body)]);
            "test".into()
        }
        StmtKind::While { cond, body } => {
            children.extend([expr(cond), block(body)]);
            "while".into()
        }
        StmtKind::For { pattern: p, iter, body } => {
            children.extend([pattern(p), expr(iter), block(body)]);
            "for".into()
        }
        StmtKind::Break => "break".into(),
        StmtKind::Continue => "continue".into(),
        StmtKind::Return(value) => {
            children.extend(value.as_ref().map(expr));
            "return".into()
        }
        StmtKind::Expr(e) => return with_doc(expr(e), &s.doc),
    };
    with_doc(node(head, children), &s.doc)
}

fn with_doc(n: Node, d: &Option<String>) -> Node {
    match doc(d) {
        None => n,
        Some(Node { children: Some(mut d), .. }) => {
            d.push(n);
            node("doc", d).on_own_lines()
        }
        Some(other) => other,
    }
}

fn field(f: &FieldDecl) -> Node {
    let mut children = vec![ident(&f.name)];
    children.extend(f.ty.as_ref().map(ty));
    children.extend(f.default.as_ref().map(expr));
    children.extend(doc(&f.doc));
    node(if f.nograd { "nograd" } else { "field" }, children)
}

fn module_path(path: &ModulePath) -> Node {
    if path.is_file { quoted(&path.path) } else { Node::text(&*path.path) }
}

fn function(head: &str, decl: &FnDecl) -> Node {
    let mut children: Vec<Node> = decl.name.iter().map(ident).collect();
    children.push(node("params", decl.params.iter().map(param).collect()));
    children.extend(decl.ret.as_ref().map(|t| Node::text(format!("->{}", print::ty(t)))));
    children.push(expr(&decl.body));
    node(head, children)
}

fn param(p: &Param) -> Node {
    let name = pattern(&p.pattern);
    if !p.inout && p.ty.is_none() && p.default.is_none() {
        return name;
    }
    let mut children = vec![name];
    children.extend(p.ty.as_ref().map(ty));
    children.extend(p.default.as_ref().map(expr));
    node(if p.inout { "inout" } else { "param" }, children)
}

fn pattern(p: &Pattern) -> Node {
    match p {
        Pattern::Name { ident: name, .. } => ident(name),
        Pattern::Ignore(_) => Node::text("_"),
        Pattern::Tuple(items, _) => node("tuple", items.iter().map(pattern).collect()),
    }
}

fn block(b: &Block) -> Node {
    let n = node("block", b.stmts.iter().map(stmt).collect());
    if b.stmts.len() > 1 { n.on_own_lines() } else { n }
}

fn exprs<'a>(list: impl IntoIterator<Item = &'a Expr>) -> Vec<Node> {
    list.into_iter().map(expr).collect()
}

fn expr(e: &Expr) -> Node {
    use ExprKind::*;
    match &e.kind {
        None => Node::text("none"),
        Bool(b) => Node::text(b.to_string()),
        Int(n) => Node::text(n.to_string()),
        Float(x) => Node::text(format!("{x:?}")),
        Str(s) => quoted(s),
        Format(parts) => node("format", parts.iter().map(format_part).collect()),
        Name(name) => Node::text(&**name),
        Unary(UnOp::Neg, x) => node("neg", vec![expr(x)]),
        Unary(UnOp::Not, x) => node("not", vec![expr(x)]),
        Binary(op, x, y) => node(op.symbol(), vec![expr(x), expr(y)]),
        Chain { first, rest } => {
            let mut children = vec![expr(first)];
            children.extend(rest.iter().map(|(op, e)| node(op.symbol(), vec![expr(e)])));
            node("chain", children)
        }
        Range { lo, hi, inclusive } => node(if *inclusive { "..=" } else { ".." }, exprs([&**lo, &**hi])),
        Call { callee, args } => node("call", std::iter::once(expr(callee)).chain(args.iter().map(arg)).collect()),
        Method { receiver, name, args } => {
            let mut children = vec![expr(receiver), ident(name)];
            children.extend(args.iter().map(arg));
            node("method", children)
        }
        Index { base, items } => {
            node("index", std::iter::once(expr(base)).chain(items.iter().map(index_item)).collect())
        }
        Field { base, name } => node(".", vec![expr(base), ident(name)]),
        Tuple(items) => node("tuple", exprs(items)),
        Tensor(items) => node("tensor", exprs(items)),
        Comprehension { list, element, clauses } => {
            let head = if *list { "list-of" } else { "tensor-of" };
            node(head, std::iter::once(expr(element)).chain(clauses.iter().map(clause)).collect())
        }
        Lambda(decl) => function("lambda", decl),
        Block(b) => block(b),
        If { cond, then, otherwise } => {
            let mut children = exprs([&**cond, &**then]);
            children.extend(otherwise.as_deref().map(expr));
            node("if", children)
        }
        Try { body, name, handler } => {
            let mut catch: Vec<Node> = name.iter().map(|(name, _)| ident(name)).collect();
            catch.push(block(handler));
            node("try", vec![block(body), node("catch", catch)])
        }
        Invalid => Node::text("<invalid>"),
    }
}

fn format_part(part: &FormatPart) -> Node {
    match part {
        FormatPart::Text(text) => quoted(text),
        FormatPart::Value { value, spec } if spec.is_empty() => expr(value),
        FormatPart::Value { value, spec } => {
            node(":", std::iter::once(expr(value)).chain(spec.iter().map(format_part)).collect())
        }
    }
}

fn arg(a: &Arg) -> Node {
    let value = if a.inout { node("&", vec![expr(&a.value)]) } else { expr(&a.value) };
    match &a.name {
        Some(name) => node(format!("{}:", name.name), vec![value]),
        None => value,
    }
}

fn index_item(item: &IndexItem) -> Node {
    let part = |e: &Option<Expr>| e.as_ref().map_or(Node::text("_"), expr);
    match item {
        IndexItem::At(e) => expr(e),
        IndexItem::Slice { start, stop, step, .. } => node("slice", vec![part(start), part(stop), part(step)]),
        IndexItem::Ellipsis(_) => Node::text("..."),
    }
}

fn clause(c: &Clause) -> Node {
    match c {
        Clause::For { pattern: p, iter } => node("for", vec![pattern(p), expr(iter)]),
        Clause::If(cond) => node("if", vec![expr(cond)]),
    }
}
