//! What the docs say of a name: builtins, primitives, and the modules of the library with all that is in them.

use std::fmt::Write;

use crate::source::{SourceId, Span};
use crate::syntax::ast::{FnDecl, Import, Module, Stmt, StmtKind};
use crate::{builtins, ops, show, stdlib};

/// The page of `exp`, `grad`, `nn`, `nn.Dense`, `nn.Dense.new`.
pub fn page(name: &str) -> Option<String> {
    if let Some(builtin) = builtins::find(name) {
        return Some(format!("{}\n{}", show::signature(builtin.name, builtin.sig), builtin.doc));
    }
    if let Some(prim) = ops::find(name).filter(|_| !name.starts_with('_')) {
        return Some(format!("{}\n{}", show::signature(prim.name, prim.sig), prim.doc));
    }
    let mut path = name.split('.');
    let module = Text::of(path.next()?)?;
    match (path.next(), path.next()) {
        (None, _) => Some(module.contents()),
        (Some(item), None) => module.item(item),
        (Some(item), Some(method)) => module.method(item, method),
    }
}

/// The modules, each with the first sentence of its doc.
pub fn modules() -> String {
    let all: Vec<(&str, String)> = stdlib::names()
        .filter_map(|name| Some((name, sentence(Text::of(name)?.tree.doc.as_deref().unwrap_or("")))))
        .collect();
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    all.iter().map(|(name, about)| format!("  {name:width$}  {about}\n")).collect()
}

/// A library module and its tree.
struct Text {
    name: String,
    text: String,
    tree: Module,
}

impl Text {
    fn of(name: &str) -> Option<Text> {
        let text = stdlib::text(name)?.into_owned();
        let tree = crate::syntax::parse(SourceId(0), &text).module;
        Some(Text { name: name.to_string(), text, tree })
    }

    /// The module's doc, and a line for each thing in it.
    fn contents(&self) -> String {
        let mut out = format!("module {}\n{}\n", self.name, self.tree.doc.as_deref().unwrap_or(""));
        let mut rows: Vec<(String, String)> = vec![];
        for stmt in &self.tree.stmts {
            match &stmt.kind {
                StmtKind::Fn(_) | StmtKind::Struct(_) | StmtKind::Let { .. } => {
                    let name = declared(stmt).unwrap_or("");
                    rows.push((name.to_string(), sentence(stmt.doc.as_deref().unwrap_or(""))));
                }
                StmtKind::Import(Import::Names { path, names }) => {
                    let Some(from) = Text::of(&path.path) else { continue };
                    for name in names.iter().filter(|name| self.hands_on(&name.bind.name)) {
                        rows.push((name.bind.name.to_string(), sentence(&from.doc_of(&name.name.name))));
                    }
                }
                _ => {}
            }
        }
        rows.retain(|(name, _)| !name.starts_with('_') && !name.is_empty());
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, about) in rows {
            let _ = writeln!(out, "  {name:width$}  {about}");
        }
        out
    }

    /// True for an imported name that is there for users of the module: its doc speaks of it, or its code does not need it.
    fn hands_on(&self, name: &str) -> bool {
        let code = self.text.lines().filter(|line| !line.starts_with("from ") && !line.trim_start().starts_with('#'));
        let needs = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
        self.tree.doc.as_ref().is_some_and(|doc| doc.contains(&format!("`{name}`"))) || !code.into_iter().any(needs)
    }

    fn doc_of(&self, item: &str) -> String {
        let named = self.tree.stmts.iter().find(|stmt| declared(stmt) == Some(item));
        named.and_then(|stmt| stmt.doc.clone()).unwrap_or_default()
    }

    fn item(&self, item: &str) -> Option<String> {
        self.tree.stmts.iter().find_map(|stmt| match &stmt.kind {
            StmtKind::Fn(decl) if declared(stmt) == Some(item) => Some(self.function(decl, stmt)),
            // A long value says less than its doc.
            StmtKind::Let { .. } if declared(stmt) == Some(item) => {
                let text = self.slice(stmt.span);
                let shown = if text.contains('\n') { format!("let {item}") } else { text.to_string() };
                Some(format!("{shown}\n{}", stmt.doc.as_deref().unwrap_or("")))
            }
            StmtKind::Struct(decl) if &*decl.name.name == item => {
                let mut out = format!("{}\n{}", self.slice(decl.span), stmt.doc.as_deref().unwrap_or(""));
                for method in self.methods(item).filter(|(name, _)| !name.starts_with('_')) {
                    let StmtKind::Fn(decl) = &method.1.kind else { continue };
                    let _ = write!(out, "\n\n  {}", self.heading(decl));
                    for line in method.1.doc.iter().flat_map(|doc| doc.lines()) {
                        let _ = write!(out, "\n    {line}");
                    }
                }
                Some(out)
            }
            StmtKind::Import(Import::Names { path, names }) => {
                let from = names.iter().find(|name| &*name.bind.name == item)?;
                Text::of(&path.path)?.item(&from.name.name)
            }
            _ => None,
        })
    }

    fn method(&self, item: &str, method: &str) -> Option<String> {
        if let Some((_, stmt)) = self.methods(item).find(|(name, _)| *name == method) {
            let StmtKind::Fn(decl) = &stmt.kind else { return None };
            let mut out = self.function(decl, stmt);
            if !out.contains("```") {
                out.push_str(&self.around(item, method, stmt.doc.is_none()));
            }
            return Some(out);
        }
        self.tree.stmts.iter().find_map(|stmt| match &stmt.kind {
            StmtKind::Import(Import::Names { path, names }) => {
                let from = names.iter().find(|name| &*name.bind.name == item)?;
                Text::of(&path.path)?.method(&from.name.name, method)
            }
            _ => None,
        })
    }

    /// What a method without an example has from elsewhere: its row in a table of the module's head, if it says nothing itself, and the
    /// doc of its struct.
    fn around(&self, item: &str, method: &str, silent: bool) -> String {
        let mut out = String::new();
        let cell = format!("`{method}(");
        let head = self.tree.doc.as_deref().unwrap_or("");
        for row in head.lines().filter(|row| silent && row.starts_with('|') && row.contains(&cell)) {
            let _ = writeln!(out, "{}", row.trim_matches(['|', ' ']).replace(" | ", "   "));
        }
        match self.doc_of(item) {
            about if about.is_empty() => out,
            about => format!("{out}\n{item}: {about}\n"),
        }
    }

    fn methods(&self, of: &str) -> impl Iterator<Item = (&str, &Stmt)> {
        let of = of.to_string();
        let blocks = self.tree.stmts.iter().filter_map(move |stmt| match &stmt.kind {
            StmtKind::Impl { name, methods } if *name.name == *of => Some(methods),
            _ => None,
        });
        blocks.flatten().filter_map(|stmt| match &stmt.kind {
            StmtKind::Fn(decl) => Some((&*decl.name.as_ref()?.name, stmt)),
            _ => None,
        })
    }

    fn function(&self, decl: &FnDecl, stmt: &Stmt) -> String {
        format!("{}\n{}", self.heading(decl), stmt.doc.as_deref().unwrap_or(""))
    }

    /// The declaration up to the body.
    fn heading(&self, decl: &FnDecl) -> String {
        let head = self.slice(Span { end: decl.body.span.start, ..decl.span });
        head.trim_end().trim_end_matches(['=', '{']).trim_end().to_string()
    }

    fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }
}

/// The name that a function, a struct or a `let` gives to what it declares.
fn declared(stmt: &Stmt) -> Option<&str> {
    match &stmt.kind {
        StmtKind::Fn(decl) => decl.name.as_ref().map(|n| &*n.name),
        StmtKind::Struct(decl) => Some(&decl.name.name),
        StmtKind::Let { pattern, .. } => pattern.name().map(|n| &*n.name),
        _ => None,
    }
}

/// The first sentence, or the first line if that ends before.
fn sentence(doc: &str) -> String {
    let paragraph = doc.split("\n\n").next().unwrap_or("").replace('\n', " ");
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    paragraph[..end].trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_without_words_has_those_of_its_struct() {
        let text = "## A module.\n##\n## | method | gives |\n## | --- | --- |\n## | `entropy()` | `-E[log_prob]` |\n\n\
            ## The normal distribution.\n##\n## ```dl\n## print(1)\n## ```\nstruct Normal { loc: float }\n\n\
            impl Normal {\n    fn entropy(self) = self.loc\n}\n";
        let tree = crate::syntax::parse(SourceId(0), text).module;
        let module = Text { name: "module".into(), text: text.into(), tree };
        let page = module.method("Normal", "entropy").unwrap();
        assert!(page.starts_with("fn entropy(self)") && page.contains("E[log_prob]"), "{page}");
        assert!(page.contains("Normal: The normal distribution") && page.contains("```dl"), "{page}");
    }
}
