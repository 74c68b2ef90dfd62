//! A tree as source text.
//!
//! In: a tree without `Invalid` nodes. Out: text that parses to the same tree. Pipes come out as the calls they
//! stand for; brackets are put where precedence needs them; comments other than docs are not in the tree.

use super::ast::*;

/// How tightly an expression binds, from the grammar's loosest to its tightest level.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Any,
    Or,
    And,
    Not,
    Comparison,
    Range,
    Sum,
    Product,
    Unary,
    Power,
    Postfix,
}

/// A whole file.
pub fn module(module: &Module) -> String {
    let mut p = Printer::default();
    if let Some(doc) = &module.doc {
        p.doc_lines(doc);
        p.out.push('\n');
    }
    for stmt in &module.stmts {
        p.stmt(stmt);
        p.out.push('\n');
    }
    p.out
}

/// An expression.
pub fn expr(expr: &Expr) -> String {
    let mut p = Printer::default();
    p.expr(expr, Level::Any);
    p.out
}

/// A type annotation.
pub fn ty(ty: &TypeExpr) -> String {
    let mut p = Printer::default();
    p.ty(ty);
    p.out
}

/// A string literal with the given content.
pub fn string(text: &str) -> String {
    format!("\"{}\"", escape(text, false))
}

fn escape(text: &str, braces: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '{' if braces => out.push_str("{{"),
            '}' if braces => out.push_str("}}"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

fn level(expr: &Expr) -> Level {
    use ExprKind::*;
    match &expr.kind {
        Lambda(_) => Level::Any,
        Binary(op, ..) => match op {
            BinOp::Or => Level::Or,
            BinOp::And => Level::And,
            op if op.is_comparison() => Level::Comparison,
            BinOp::Add | BinOp::Sub => Level::Sum,
            BinOp::Pow => Level::Power,
            _ => Level::Product,
        },
        Chain { .. } => Level::Comparison,
        Unary(UnOp::Not, _) => Level::Not,
        Unary(UnOp::Neg, _) => Level::Unary,
        Int(n) if *n < 0 => Level::Unary,
        Range { .. } => Level::Range,
        Call { args, .. } | Method { args, .. } if is_piped_comprehension(args) => Level::Any,
        _ => Level::Postfix,
    }
}

fn above(level: Level) -> Level {
    use Level::*;
    match level {
        Any => Or,
        Or => And,
        And => Not,
        Not => Comparison,
        Comparison => Range,
        Range => Sum,
        Sum => Product,
        Product => Unary,
        Unary => Power,
        Power | Postfix => Postfix,
    }
}

/// `x |> f(e for p in xs)`: only a pipe puts an argument before a comprehension.
fn is_piped_comprehension(args: &[Arg]) -> bool {
    matches!(args, [_, Arg { value: Expr { kind: ExprKind::Comprehension { list: true, .. }, .. }, .. }])
}

#[derive(Default)]
struct Printer {
    out: String,
    indent: usize,
}

impl Printer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn start_line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', self.indent));
    }

    fn doc_lines(&mut self, doc: &str) {
        for line in doc.split('\n') {
            self.put("## ");
            self.put(line);
            self.start_line();
        }
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Printer, &T)) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.put(", ");
            }
            each(self, item);
        }
    }

    // ---- statements

    fn stmt(&mut self, stmt: &Stmt) {
        let start = self.out.len();
        self.stmt_kind(&stmt.kind);
        let Some(doc) = &stmt.doc else { return };
        if !doc.contains('\n') && self.out.get(start..).is_some_and(|text| !text.contains('\n')) {
            self.put("  ## ");
            self.put(doc);
        } else {
            let text = self.out.split_off(start);
            self.doc_lines(doc);
            self.put(&text);
        }
    }

    fn stmt_kind(&mut self, kind: &StmtKind) {
        match kind {
            StmtKind::Let { mutable, pattern, ty, value } => {
                self.put(if *mutable { "var " } else { "let " });
                self.pattern(pattern);
                self.binding(ty, Some(value));
            }
            StmtKind::Assign { target, op, value } => {
                self.expr(target, Level::Any);
                self.put(" ");
                self.put(op.map_or("", BinOp::symbol));
                self.put("= ");
                self.expr(value, Level::Any);
            }
            StmtKind::Fn(decl) => self.function(decl),
            StmtKind::Struct(decl) => self.structure(decl),
            StmtKind::Impl { name, methods } => {
                self.put("impl ");
                self.put(&name.name);
                self.put(" ");
                self.stmts(methods);
            }
            StmtKind::Import(import) => self.import(import),
            StmtKind::Param { name, ty, default, .. } => {
                self.put("param ");
                self.put(&name.name);
                self.binding(ty, Some(default));
            }
            StmtKind::Test { name, body } => {
                self.put("test ");
                self.put(&string(name));
                self.put(" ");
                self.expr(&body.body, Level::Any);
            }
            StmtKind::While { cond, body } => {
                self.put("while ");
                self.expr(cond, Level::Any);
                self.put(" ");
                self.stmts(&body.stmts);
            }
            StmtKind::For { pattern, iter, body } => {
                self.put("for ");
                self.pattern(pattern);
                self.put(" in ");
                self.expr(iter, Level::Any);
                self.put(" ");
                self.stmts(&body.stmts);
            }
            StmtKind::Break => self.put("break"),
            StmtKind::Continue => self.put("continue"),
            StmtKind::Return(value) => {
                self.put("return");
                if let Some(value) = value {
                    self.put(" ");
                    self.expr(value, Level::Any);
                }
            }
            StmtKind::Expr(e) => self.expr(e, Level::Any),
        }
    }

    /// Statements in braces, each on its line.
    fn stmts(&mut self, stmts: &[Stmt]) {
        if stmts.is_empty() {
            self.put("{ }");
            return;
        }
        self.put("{");
        self.indent += 4;
        for stmt in stmts {
            self.start_line();
            self.stmt(stmt);
        }
        self.indent -= 4;
        self.start_line();
        self.put("}");
    }

    /// `: T = e`
    fn binding(&mut self, ty: &Option<TypeExpr>, value: Option<&Expr>) {
        if let Some(ty) = ty {
            self.put(": ");
            self.ty(ty);
        }
        if let Some(value) = value {
            self.put(" = ");
            self.expr(value, Level::Any);
        }
    }

    fn function(&mut self, decl: &FnDecl) {
        self.put("fn ");
        self.put(decl.name.as_ref().map_or("_", |n| &n.name));
        self.put("(");
        self.list(&decl.params, Printer::param);
        self.put(")");
        if let Some(ret) = &decl.ret {
            self.put(" -> ");
            self.ty(ret);
        }
        self.put(if matches!(decl.body.kind, ExprKind::Block(_)) { " " } else { " = " });
        self.expr(&decl.body, Level::Any);
    }

    fn param(&mut self, param: &Param) {
        if param.inout {
            self.put("inout ");
        }
        self.pattern(&param.pattern);
        self.binding(&param.ty, param.default.as_ref());
    }

    fn structure(&mut self, decl: &StructDecl) {
        self.put("struct ");
        self.put(&decl.name.name);
        if decl.fields.is_empty() {
            self.put(" { }");
            return;
        }
        self.put(" {");
        self.indent += 4;
        for field in &decl.fields {
            self.start_line();
            if let Some(doc) = &field.doc {
                self.doc_lines(doc);
            }
            self.put(if field.nograd { "nograd " } else { "" });
            self.put(&field.name.name);
            self.binding(&field.ty, field.default.as_ref());
        }
        self.indent -= 4;
        self.start_line();
        self.put("}");
    }

    fn import(&mut self, import: &Import) {
        let (path, names) = match import {
            Import::Module { path, .. } => (path, None),
            Import::Names { path, names } => (path, Some(names)),
        };
        self.put(if names.is_some() { "from " } else { "import " });
        if path.is_file {
            self.put(&string(&path.path));
        } else {
            self.put(&path.path);
        }
        match import {
            Import::Module { bind, .. } => {
                if bind.span != path.span {
                    self.put(" as ");
                    self.put(&bind.name);
                }
            }
            Import::Names { names, .. } => {
                self.put(" import ");
                self.list(names, |p, n| {
                    p.put(&n.name.name);
                    if n.name.name != n.bind.name {
                        p.put(" as ");
                        p.put(&n.bind.name);
                    }
                });
            }
        }
    }

    fn pattern(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::Name { ident, .. } => self.put(&ident.name),
            Pattern::Ignore(_) => self.put("_"),
            Pattern::Tuple(items, _) => self.tuple(items, Printer::pattern),
        }
    }

    fn tuple<T>(&mut self, items: &[T], each: impl FnMut(&mut Printer, &T)) {
        self.put("(");
        self.list(items, each);
        self.put(if items.len() == 1 { ",)" } else { ")" });
    }

    // ---- expressions

    /// In parentheses if it binds more loosely than `least`.
    fn expr(&mut self, expr: &Expr, least: Level) {
        if level(expr) < least {
            self.put("(");
            self.expr(expr, Level::Any);
            self.put(")");
            return;
        }
        use ExprKind::*;
        match &expr.kind {
            None => self.put("none"),
            Bool(b) => self.put(if *b { "true" } else { "false" }),
            Int(n) => self.put(&n.to_string()),
            Float(x) => self.put(&format!("{x:?}")),
            Str(s) => self.put(&string(s)),
            Format(parts) => self.format(parts),
            Name(name) => self.put(name),
            Unary(UnOp::Neg, x) => {
                self.put("-");
                self.expr(x, Level::Unary);
            }
            Unary(UnOp::Not, x) => {
                self.put("not ");
                self.expr(x, Level::Not);
            }
            Binary(op, x, y) => {
                let own = level(expr);
                let (left, right) = match own {
                    Level::Power => (Level::Postfix, Level::Unary),
                    Level::Comparison => (Level::Range, Level::Range),
                    own => (own, above(own)),
                };
                self.expr(x, left);
                self.put(&format!(" {} ", op.symbol()));
                self.expr(y, right);
            }
            Chain { first, rest } => {
                self.expr(first, Level::Range);
                for (op, e) in rest {
                    self.put(&format!(" {} ", op.symbol()));
                    self.expr(e, Level::Range);
                }
            }
            Range { lo, hi, inclusive } => {
                self.expr(lo, Level::Sum);
                self.put(if *inclusive { "..=" } else { ".." });
                self.expr(hi, Level::Sum);
            }
            Call { callee, args } => {
                let rest = self.pipe_prefix(args);
                // `x.f(...)` would be a method call.
                if matches!(callee.kind, Field { .. }) {
                    self.put("(");
                    self.expr(callee, Level::Any);
                    self.put(")");
                } else {
                    self.expr(callee, Level::Postfix);
                }
                self.args(rest);
            }
            Method { receiver, name, args } => {
                let rest = self.pipe_prefix(args);
                self.expr(receiver, Level::Postfix);
                self.put(".");
                self.put(&name.name);
                self.args(rest);
            }
            Index { base, items } => {
                self.expr(base, Level::Postfix);
                self.put("[");
                self.list(items, Printer::index_item);
                self.put("]");
            }
            Field { base, name } => {
                self.expr(base, Level::Postfix);
                self.put(".");
                self.put(&name.name);
            }
            Tuple(items) => self.tuple(items, |p, e| p.expr(e, Level::Any)),
            Tensor(items) => {
                self.put("[");
                self.list(items, |p, e| p.expr(e, Level::Any));
                self.put("]");
            }
            Comprehension { list, element, clauses } => {
                self.put(if *list { "" } else { "[" });
                self.expr(element, Level::Any);
                self.clauses(clauses);
                self.put(if *list { "" } else { "]" });
            }
            Lambda(decl) => {
                self.put("|");
                self.list(&decl.params, Printer::param);
                self.put("| ");
                self.expr(&decl.body, Level::Any);
            }
            Block(block) => self.stmts(&block.stmts),
            If { cond, then, otherwise } => {
                self.put("if ");
                self.expr(cond, Level::Any);
                self.put(" ");
                self.expr(then, Level::Any);
                if let Some(otherwise) = otherwise {
                    self.put(" else ");
                    self.expr(otherwise, Level::Any);
                }
            }
            Try { body, name, handler } => {
                self.put("try ");
                self.stmts(&body.stmts);
                self.put(" catch ");
                if let Some((name, _)) = name {
                    self.put(&name.name);
                    self.put(" ");
                }
                self.stmts(&handler.stmts);
            }
            Invalid => self.put("<invalid>"),
        }
    }

    /// Writes the first argument as the start of a pipe if it cannot stand in the brackets.
    fn pipe_prefix<'a>(&mut self, args: &'a [Arg]) -> &'a [Arg] {
        match args {
            [first, rest @ ..] if is_piped_comprehension(args) => {
                self.expr(&first.value, Level::Or);
                self.put(" |> ");
                rest
            }
            _ => args,
        }
    }

    fn args(&mut self, args: &[Arg]) {
        self.put("(");
        self.list(args, |p, arg| {
            if let Some(name) = &arg.name {
                p.put(&name.name);
                p.put(": ");
            }
            p.put(if arg.inout { "&" } else { "" });
            p.expr(&arg.value, Level::Any);
        });
        self.put(")");
    }

    fn index_item(&mut self, item: &IndexItem) {
        match item {
            IndexItem::At(e) => self.expr(e, Level::Any),
            IndexItem::Slice { start, stop, step, .. } => {
                let parts = [start, stop, step];
                for (i, part) in parts.into_iter().enumerate() {
                    if i == 1 || (i == 2 && step.is_some()) {
                        self.put(":");
                    }
                    if let Some(e) = part {
                        self.expr(e, Level::Any);
                    }
                }
            }
            IndexItem::Ellipsis(_) => self.put("..."),
        }
    }

    fn clauses(&mut self, clauses: &[Clause]) {
        for clause in clauses {
            match clause {
                Clause::For { pattern, iter } => {
                    self.put(" for ");
                    self.pattern(pattern);
                    self.put(" in ");
                    self.expr(iter, Level::Any);
                }
                Clause::If(cond) => {
                    self.put(" if ");
                    self.expr(cond, Level::Any);
                }
            }
        }
    }

    fn format(&mut self, parts: &[FormatPart]) {
        let mut text = String::new();
        for part in parts {
            match part {
                FormatPart::Text(t) => text.push_str(&escape(t, true)),
                FormatPart::Value { value, spec } => {
                    text.push_str(&format!("{{{}", hole_text(value, self.indent)));
                    if !spec.is_empty() {
                        text.push(':');
                    }
                    for part in spec {
                        match part {
                            FormatPart::Text(part) => text.push_str(part),
                            FormatPart::Value { value, .. } => {
                                text.push_str(&format!("{{{}}}", hole_text(value, self.indent)));
                            }
                        }
                    }
                    text.push('}');
                }
            }
        }
        let quotes = if text.contains('\n') { "\"\"\"" } else { "\"" };
        self.put(&format!("f{quotes}{text}{quotes}"));
    }

    // ---- types

    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeKind::Name { module, name } => {
                if let Some(module) = module {
                    self.put(&module.name);
                    self.put(".");
                }
                self.put(&name.name);
            }
            TypeKind::Tensor { dtype, dims } => {
                self.put(&dtype.name);
                self.put("[");
                self.list(dims, |p, d| p.dim(d, 0));
                self.put("]");
            }
            TypeKind::List(t) => {
                self.put("list[");
                self.ty(t);
                self.put("]");
            }
            TypeKind::Dict(k, v) => {
                self.put("dict[");
                self.ty(k);
                self.put(", ");
                self.ty(v);
                self.put("]");
            }
            TypeKind::Tuple(items) => self.tuple(items, Printer::ty),
            TypeKind::Fn(params, ret) => {
                self.put("fn(");
                self.list(params, Printer::ty);
                self.put(") -> ");
                self.ty(ret);
            }
            TypeKind::Optional(t) => {
                let parens = matches!(t.kind, TypeKind::Fn(..));
                self.put(if parens { "(" } else { "" });
                self.ty(t);
                self.put(if parens { ")?" } else { "?" });
            }
        }
    }

    /// `tightness`: 0 where all fits, 1 for a factor, 2 for the right one.
    fn dim(&mut self, dim: &DimExpr, tightness: u8) {
        match dim {
            DimExpr::Int(n, _) => self.put(&n.to_string()),
            DimExpr::Var { ident, .. } => self.put(&ident.name),
            DimExpr::Ellipsis(_) => self.put("..."),
            DimExpr::Any(_) => self.put("_"),
            DimExpr::Binary(op, x, y) => {
                let own = if matches!(op, BinOp::Add | BinOp::Sub) { 0 } else { 1 };
                let parens = own < tightness;
                self.put(if parens { "(" } else { "" });
                self.dim(x, own);
                self.put(op.symbol());
                self.dim(y, own + 1);
                self.put(if parens { ")" } else { "" });
            }
        }
    }
}

fn expr_text(expr: &Expr, indent: usize) -> String {
    let mut p = Printer { out: String::new(), indent };
    p.expr(expr, Level::Any);
    p.out
}

/// A value in an f-string. A brace first would read as an escape, a `:` of a lambda as the format.
fn hole_text(value: &Expr, indent: usize) -> String {
    let plain = level(value) > Level::Any && !matches!(value.kind, ExprKind::Block(_));
    let inner = expr_text(value, indent);
    if plain && !inner.starts_with('{') { inner } else { format!("({inner})") }
}
