//! `dlang dump`: what a phase made of a text.

use crate::bytecode::disasm::disassemble;
use crate::diagnostic::Diagnostic;
use crate::pipeline::load::Load;
use crate::pipeline::{Mode, Session};
use std::rc::Rc;

use crate::resolve::{ModuleId, Res};
use crate::syntax;
use crate::syntax::ast::{Expr, Module, Pattern, StmtKind};
use crate::types::ty::Ty;
use crate::value::Value;

/// A phase whose result can be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Tokens,
    Ast,
    Typed,
    Bytecode,
}

impl Session {
    /// The result of a phase as text; the errors that stand in the way otherwise.
    pub fn dump(&mut self, phase: Phase, name: &str, text: &str) -> Result<String, Vec<Diagnostic>> {
        match phase {
            Phase::Tokens => {
                let source = self.sources.add(name, text);
                let (tokens, problems) = syntax::tokens(source, text);
                if problems.is_empty() {
                    Ok(syntax::dump::tokens(&tokens, |span| self.sources.get(span.source).line_col(span.start)))
                } else {
                    Err(problems.iter().map(|p| p.to_diagnostic()).collect())
                }
            }
            Phase::Ast => {
                let source = self.sources.add(name, text);
                let parsed = syntax::parse(source, text);
                if parsed.problems.is_empty() {
                    Ok(syntax::dump::module(&parsed.module))
                } else {
                    Err(parsed.problems.iter().map(|p| p.to_diagnostic()).collect())
                }
            }
            Phase::Typed => {
                let mut load = Load::new(self, Mode::Script);
                let module = load.main(name, text);
                let (diagnostics, _) = load.finish();
                match module {
                    Some(module) if !diagnostics.iter().any(Diagnostic::is_error) => {
                        let tree = self.program.module(module).tree.clone();
                        Ok(self.typed(module, &tree))
                    }
                    _ => Err(diagnostics),
                }
            }
            Phase::Bytecode => {
                let loaded = self.load_main(name, text, Mode::Script);
                let Some(unit) = loaded.unit else { return Err(loaded.diagnostics) };
                let mut out = disassemble(&unit.main.chunk, Some(&self.sources));
                let module = self.program.module(unit.module);
                let base = self.bases[unit.module.0 as usize] as usize;
                for global in self.vm.globals[base..base + module.resolved.globals.len()].iter().flatten() {
                    if let crate::value::Value::Fn(closure) = global {
                        out.push('\n');
                        out.push_str(&disassemble(&closure.chunk, Some(&self.sources)));
                    }
                    if let crate::value::Value::StructType(def) = global {
                        let mut methods: Vec<_> = def.methods.borrow().iter().map(|(n, m)| (*n, m.clone())).collect();
                        methods.sort_by_key(|(name, _)| name.name());
                        for (_, method) in methods {
                            if let crate::value::Value::Fn(closure) = method {
                                out.push('\n');
                                out.push_str(&disassemble(&closure.chunk, Some(&self.sources)));
                            }
                        }
                    }
                }
                Ok(out)
            }
        }
    }

    /// The top-level bindings and functions of a module that was loaded, with the types found.
    pub fn signatures(&self, module: ModuleId) -> String {
        self.checker.signatures(module)
    }

    /// Top-level names of `let` without `var`: the type found, and the value if it was run.
    pub fn constants(&self, module: ModuleId) -> Vec<(Rc<str>, Ty, Option<Value>)> {
        let loaded = self.program.module(module);
        let base = self.bases.get(module.0 as usize).map_or(0, |b| *b as usize);
        let mut out = vec![];
        for stmt in &loaded.tree.stmts {
            let StmtKind::Let { mutable: false, pattern: Pattern::Name { ident, id }, .. } = &stmt.kind else {
                continue;
            };
            let Some(Res::Global(global)) = loaded.resolved.names.get(id) else { continue };
            let value = self.vm.globals.get(base + global.index as usize).cloned().flatten();
            out.push((ident.name.clone(), self.checker.types.get(module, *id).clone(), value));
        }
        out
    }

    /// Each expression with its type: the join over all calls that reach it.
    fn typed(&self, module: ModuleId, tree: &Module) -> String {
        let mut out = String::new();
        let mut line = |e: &Expr| {
            let (number, column) = self.sources.get(e.span.source).line_col(e.span.start);
            let text = self.sources.text(e.span);
            let first = text.lines().next().unwrap_or("");
            let more = if first.len() < text.len() { " ..." } else { "" };
            let types = &self.checker.types;
            let ty = if types.is_reached(module, e.id) {
                crate::types::show_ty(types.get(module, e.id))
            } else {
                "not reached".into()
            };
            out.push_str(&format!("{:<8} {first}{more} : {ty}\n", format!("{number}:{column}")));
        };
        tree.stmts.iter().for_each(|s| syntax::visit::stmt(s, &mut line));
        out
    }
}
