//! Names that are not there, and what may have been meant.

use std::rc::Rc;

use crate::diagnostic::did_you_mean;
use crate::resolve::error::NameError;
use crate::resolve::scope::Found;
use crate::resolve::walk::Walk;
use crate::resolve::{GlobalKind, LoadedModule, Res, builtin_names, hints};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Ident};

impl LoadedModule {
    /// A hint for a name that the module does not have.
    pub fn export_hint(&self, name: &str) -> Option<String> {
        let names = self.resolved.globals.iter().map(|g| &*g.name).filter(|n| !n.starts_with('_'));
        hints::for_export(&self.name, self.is_library, name, names)
    }
}

impl Walk<'_> {
    /// Looks a name up; reports it if it is not there.
    pub(super) fn lookup(&mut self, name: &Rc<str>, span: Span) -> Found {
        if let Some(found) = self.try_lookup(name, Some(span)) {
            return found;
        }
        if self.missing.contains(name) {
            return Found { res: Res::Unknown, captured: false };
        }
        if self.scopes.len() == 1
            && let Some((ident, _)) = self.bound.get(name)
        {
            self.problems.push(NameError::TooEarly { name: name.clone(), span, defined: ident.span });
            return Found { res: Res::Unknown, captured: false };
        }
        let mut candidates: Vec<String> = builtin_names::all().map(str::to_string).collect();
        candidates.extend(self.globals.keys().map(|k| k.to_string()));
        candidates.extend(self.input.outer.keys().map(|k| k.to_string()));
        for scope in &self.scopes {
            candidates.extend(scope.blocks.iter().flat_map(|b| b.keys()).map(|k| k.to_string()));
        }
        let similar = did_you_mean(name, candidates.iter().map(String::as_str)).map(str::to_string);
        let hint = self
            .declared_below(name)
            .or_else(|| self.own_field(name))
            .or_else(|| hints::for_unknown(name).or_else(|| hints::for_home(name)));
        self.problems.push(NameError::Unknown { name: name.clone(), span, similar, hint });
        Found { res: Res::Unknown, captured: false }
    }

    /// `torch.relu`, where `torch` was just found missing.
    pub(super) fn name_elsewhere(&mut self, base: &Expr, name: &Ident) {
        if let ExprKind::Name(root) = &base.kind
            && let Some(NameError::Unknown { span, hint, .. }) = self.problems.last_mut()
            && *span == base.span
            && let Some(better) = hints::for_path(root, &name.name)
        {
            *hint = Some(better);
        }
    }

    /// `x = 3 // note`: what should have been a comment.
    pub(super) fn comment_elsewhere(&mut self, right: &Expr) {
        if let Some(NameError::Unknown { span, similar, hint, .. }) = self.problems.last_mut()
            && *span == right.span
            && similar.as_ref().is_none_or(|name| builtin_names::find(name, false).is_some())
        {
            *hint = Some("comments start with `#`; `//` divides and rounds down".into());
        }
    }

    /// A function of a block around that is declared further down.
    fn declared_below(&self, name: &str) -> Option<String> {
        self.local_functions.iter().any(|ident| &*ident.name == name).then(|| {
            format!(
                "a function inside another sees what stands before it, and `{name}` is declared further down: \
                 functions that call each other belong at the top level"
            )
        })
    }

    /// True for the name of an imported module.
    pub(super) fn is_module(&self, e: &Expr) -> bool {
        match self.out.names.get(&e.id) {
            Some(Res::Global(id)) if matches!(e.kind, ExprKind::Name(_)) && id.module == self.input.id => {
                let global = self.out.globals.get(id.index as usize);
                matches!(global.map(|g| &g.kind), Some(GlobalKind::Module(_)))
            }
            _ => false,
        }
    }

    /// In a method: the name is a field, which is read from `self`.
    fn own_field(&self, name: &str) -> Option<String> {
        let owner = self.scopes.iter().rev().find_map(|s| s.function.owner)?;
        let decl = &self.out.structs.get(owner as usize)?.decl;
        decl.fields.iter().any(|f| &*f.name.name == name).then(|| {
            format!(
                "it is a field of `{}`: write `self.{name}`, in a method with `self` as first parameter",
                decl.name.name
            )
        })
    }
}
