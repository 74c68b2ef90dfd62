//! What the checker found out of a module, in lines: each top-level binding with its type, each function with the types of
//! its parameters and its result, joined over all calls.

use super::Types;
use super::show::show_ty;
use super::ty::Ty;
use crate::resolve::ModuleId;
use crate::syntax::ast::{FnDecl, Module, Pattern, Stmt, StmtKind};

/// `table: f32[n, 5]`, `fn predict(w: f32[4], x: f32[n, 4]) -> f32[n]`, in the order of the text.
pub fn signatures(types: &Types, module: ModuleId, tree: &Module) -> String {
    let mut out = String::new();
    for stmt in &tree.stmts {
        match &stmt.kind {
            StmtKind::Let { pattern, .. } => bindings(&mut out, types, module, pattern),
            StmtKind::Param { name, id, .. } => {
                out += &format!("param {}: {}\n", name.name, show_ty(types.get(module, *id)));
            }
            StmtKind::Fn(decl) => function(&mut out, types, module, None, decl),
            StmtKind::Impl { name, methods } => {
                for method in methods {
                    if let Stmt { kind: StmtKind::Fn(decl), .. } = method {
                        function(&mut out, types, module, Some(&name.name), decl);
                    }
                }
            }
            _ => {}
        }
    }
    out
}

fn bindings(out: &mut String, types: &Types, module: ModuleId, pattern: &Pattern) {
    match pattern {
        Pattern::Name { ident, id } => *out += &format!("{}: {}\n", ident.name, show_ty(types.get(module, *id))),
        Pattern::Tuple(parts, _) => parts.iter().for_each(|p| bindings(out, types, module, p)),
        Pattern::Ignore(_) => {}
    }
}

fn function(out: &mut String, types: &Types, module: ModuleId, owner: Option<&str>, decl: &FnDecl) {
    let Some(name) = &decl.name else { return };
    let params: Vec<String> = decl
        .params
        .iter()
        .map(|p| {
            let Pattern::Name { ident, id } = &p.pattern else { return "_".to_string() };
            let inout = if p.inout { "inout " } else { "" };
            match types.get(module, *id) {
                _ if owner.is_some() && &*ident.name == "self" => format!("{inout}self"),
                Ty::Any => format!("{inout}{}", ident.name),
                ty => format!("{inout}{}: {}", ident.name, show_ty(ty)),
            }
        })
        .collect();
    let owner = owner.map_or(String::new(), |o| format!("{o}."));
    let ret = if types.is_reached(module, decl.id) {
        format!(" -> {}", show_ty(types.get(module, decl.id)))
    } else {
        String::new()
    };
    *out += &format!("fn {owner}{}({}){ret}\n", name.name, params.join(", "));
}
