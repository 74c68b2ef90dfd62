//! What the checker found out of a module, in lines: each top-level binding with its type, each function with the types of
//! its parameters and its result; and the signature of a function as it is declared.

use std::rc::Rc;

use super::Checker;
use super::join::join;
use super::show::show_ty;
use super::specialize::Spec;
use super::ty::{FnTy, TensorTy, Ty};
use crate::resolve::{FnId, LoadedModule, ModuleId, Res};
use crate::syntax::ast::{FnDecl, NodeId, Param, Pattern, Stmt, StmtKind};
use crate::syntax::print;

/// Kinds of calls of one function that are told one by one.
const MAX_SHOWN: usize = 4;

impl Checker {
    /// `table: f32[n, 5]`, `fn predict(w: f32[4], x: f32[n, 4]) -> f32[n]`, in the order of the text. A variable has the type
    /// that it ends with. A function has the types of all calls joined, or where that tells nothing, those of each kind.
    pub fn signatures(&self, module: ModuleId) -> String {
        let mut out = String::new();
        let Some(module) = self.module(module.0) else { return out };
        for stmt in &module.tree.stmts {
            match &stmt.kind {
                StmtKind::Let { pattern, .. } => self.bindings(&mut out, &module, pattern),
                StmtKind::Param { name, id, .. } => {
                    out += &format!("param {}: {}\n", name.name, show_ty(self.types.get(module.id, *id)));
                }
                StmtKind::Fn(decl) => self.function(&mut out, &module, None, decl),
                StmtKind::Impl { name, methods } => {
                    for method in methods {
                        if let Stmt { kind: StmtKind::Fn(decl), .. } = method {
                            self.function(&mut out, &module, Some(&name.name), decl);
                        }
                    }
                }
                _ => {}
            }
        }
        out
    }

    fn bindings(&self, out: &mut String, module: &LoadedModule, pattern: &Pattern) {
        match pattern {
            Pattern::Name { ident, id } => *out += &format!("{}: {}\n", ident.name, show_ty(&self.last(module, *id))),
            Pattern::Tuple(parts, _) => parts.iter().for_each(|p| self.bindings(out, module, p)),
            Pattern::Ignore(_) => {}
        }
    }

    /// The type of a top-level name at the end of the module.
    fn last(&self, module: &LoadedModule, id: NodeId) -> Ty {
        let last = match module.resolved.names.get(&id) {
            Some(Res::Global(id)) => self.globals.get(id.module.0 as usize).and_then(|m| m.get(id.index as usize)),
            Some(Res::Local(local)) => self.ends.get(&module.id).and_then(|locals| locals.get(local.0 as usize)),
            _ => None,
        };
        // Where the program has errors, or ends before, it is not set.
        last.filter(|ty| **ty != Ty::Never).unwrap_or_else(|| self.types.get(module.id, id)).clone()
    }

    fn function(&self, out: &mut String, module: &LoadedModule, owner: Option<&str>, decl: &FnDecl) {
        let Some(name) = &decl.name else { return };
        let name = owner.map_or_else(|| name.name.to_string(), |o| format!("{o}.{}", name.name));
        let reached = self.types.is_reached(module.id, decl.id);
        let param = |p: &Param| match &p.pattern {
            Pattern::Name { id, .. } => Some(self.types.get(module.id, *id)),
            _ => None,
        };
        let ret = reached.then(|| self.types.get(module.id, decl.id));
        let types: Vec<Option<&Ty>> = decl.params.iter().map(param).collect();
        if types.iter().copied().chain([ret]).flatten().any(is_vague)
            && let Some(id) = module.resolved.function_ids.get(&decl.id)
        {
            let lines = self.kinds(module, *id, &name, owner.is_some(), decl);
            if (2..=MAX_SHOWN).contains(&lines.len()) {
                lines.iter().for_each(|line| *out += line);
                return;
            }
        }
        let ret = ret.map_or_else(String::new, |ty| format!(" -> {}", show_ty(ty)));
        *out += &format!("{}{ret}\n", head(&name, owner.is_some(), decl, &types));
    }

    /// One line for each kind of call of which all is known.
    fn kinds(&self, module: &LoadedModule, id: FnId, name: &str, method: bool, decl: &FnDecl) -> Vec<String> {
        let mut kinds: Vec<(String, Ty)> = vec![];
        for (slots, ret) in self.memo.get(&(module.id.0, id.0)).into_iter().flatten().filter_map(Spec::found) {
            let types: Vec<Option<&Ty>> = slots.iter().map(Option::as_ref).collect();
            let head = head(name, method, decl, &types);
            match kinds.iter_mut().find(|(other, _)| *other == head) {
                Some((_, all)) => *all = join(all, ret),
                None => kinds.push((head, ret.clone())),
            }
        }
        kinds.into_iter().map(|(head, ret)| format!("{head} -> {}\n", show_ty(&ret))).collect()
    }

    /// A type in the user's words; of a function its signature as it is declared.
    pub fn described(&self, ty: &Ty) -> String {
        let Ty::Fn(f) = ty else { return show_ty(ty) };
        match f {
            FnTy::User { module, index, .. } => {
                let module = self.modules.get(*module as usize);
                let function = module.and_then(|m| m.resolved.functions.get(*index as usize));
                function.and_then(|f| f.decl.as_ref()).map_or_else(|| show_ty(ty), declared)
            }
            FnTy::Builtin(name) => self
                .host
                .get(name)
                .map_or_else(|| show_ty(ty), |host| format!("fn {}", crate::show::signature(name, *host.sig()))),
            _ => show_ty(ty),
        }
    }
}

/// True if a type tells less than that of a single call would.
fn is_vague(ty: &Ty) -> bool {
    matches!(ty, Ty::Any | Ty::Tensor(TensorTy { dims: None, .. }))
}

/// `fn f(x: float, k: int)`
fn head(name: &str, method: bool, decl: &FnDecl, types: &[Option<&Ty>]) -> String {
    let params: Vec<String> = decl
        .params
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let Pattern::Name { ident, .. } = &p.pattern else { return "_".to_string() };
            let inout = if p.inout { "inout " } else { "" };
            match types.get(i).copied().flatten() {
                _ if method && &*ident.name == "self" => format!("{inout}self"),
                None | Some(Ty::Any) => format!("{inout}{}", ident.name),
                Some(ty) => format!("{inout}{}: {}", ident.name, show_ty(ty)),
            }
        })
        .collect();
    format!("fn {name}({})", params.join(", "))
}

/// `fn f(x: float[n], k: int = 2) -> float[n]`
fn declared(decl: &Rc<FnDecl>) -> String {
    let param = |p: &Param| {
        let mut out = String::new();
        if p.inout {
            out += "inout ";
        }
        out += p.pattern.name().map_or("_", |n| &n.name);
        if let Some(ty) = &p.ty {
            out += &format!(": {}", print::ty(ty));
        }
        if let Some(default) = &p.default {
            out += &format!(" = {}", print::expr(default));
        }
        out
    };
    let params: Vec<String> = decl.params.iter().map(param).collect();
    let name = decl.name.as_ref().map_or_else(String::new, |n| format!(" {}", n.name));
    let ret = decl.ret.as_ref().map_or_else(String::new, |ty| format!(" -> {}", print::ty(ty)));
    format!("fn{name}({}){ret}", params.join(", "))
}
