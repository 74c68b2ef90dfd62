//! Names in annotations: struct names, and dimension variables, which become locals.

use std::rc::Rc;

use crate::diagnostic::did_you_mean;
use crate::resolve::error::NameError;
use crate::resolve::scope::{Found, find_local};
use crate::resolve::walk::Walk;
use crate::resolve::{CaptureFrom, LocalId, LocalKind, Res};
use crate::syntax::ast::*;

impl Walk<'_> {
    /// Dimension variables become locals. `fresh`: of a parameter, where an outer variable of that name does not count.
    pub(super) fn type_expr(&mut self, ty: &TypeExpr, fresh: bool) {
        match &ty.kind {
            TypeKind::Name { module, name } => self.type_name(module.as_ref(), name),
            TypeKind::Tensor { dims, .. } => dims.iter().for_each(|dim| self.dim(dim, fresh)),
            TypeKind::List(item) | TypeKind::Optional(item) => self.type_expr(item, fresh),
            TypeKind::Dict(key, value) => {
                self.type_expr(key, fresh);
                self.type_expr(value, fresh);
            }
            TypeKind::Tuple(items) => items.iter().for_each(|t| self.type_expr(t, fresh)),
            TypeKind::Fn(params, ret) => {
                params.iter().for_each(|t| self.type_expr(t, fresh));
                self.type_expr(ret, fresh);
            }
        }
    }

    fn type_name(&mut self, module: Option<&Ident>, name: &Ident) {
        const BASIC: [&str; 13] =
            ["int", "float", "bool", "str", "none", "any", "f32", "f64", "list", "dict", "fn", "tuple", "tensor"];
        if module.is_none() && BASIC.contains(&&*name.name) {
            return;
        }
        let first = module.unwrap_or(name);
        let known = self.globals.contains_key(&first.name) || self.input.outer.contains_key(&first.name);
        if !known {
            let names: Vec<Rc<str>> = self.out.structs.iter().map(|s| s.decl.name.name.clone()).collect();
            let candidates = BASIC.into_iter().chain(names.iter().map(|n| &**n));
            let similar = did_you_mean(&first.name, candidates).map(str::to_string);
            let hint = match &*first.name {
                "Tensor" | "tensor" | "array" | "ndarray" => {
                    Some("write a tensor type with its shape: float[n, 3]".into())
                }
                "string" | "String" => Some("text is `str`".into()),
                "double" | "Float64" => Some("write `float`".into()),
                _ => None,
            };
            self.problems.push(NameError::Unknown { name: first.name.clone(), span: first.span, similar, hint });
        }
    }

    fn dim(&mut self, dim: &DimExpr, fresh: bool) {
        match dim {
            DimExpr::Int(..) | DimExpr::Ellipsis(_) | DimExpr::Any(_) => {}
            DimExpr::Binary(_, a, b) => {
                self.dim(a, fresh);
                self.dim(b, fresh);
            }
            DimExpr::Var { ident, id } => {
                let res = self.dim_local(ident, fresh);
                self.bind(*id, res);
            }
        }
    }

    fn dim_local(&mut self, ident: &Ident, fresh: bool) -> Res {
        if fresh {
            let own = self.scope().local(&ident.name);
            match own.map(|local| (local, self.scope().function.locals[local.0 as usize].kind)) {
                Some((local, LocalKind::Dim)) => return Res::Local(local),
                Some((local, LocalKind::Param)) => {
                    return Res::Local(self.scope().dim_of_param(local, &ident.name, ident.span));
                }
                _ => {}
            }
            // A closure's annotation may name a dimension of the function around it.
            if own.is_none()
                && self.scopes.len() > 1
                && !self.scope().declared
                && let Some(Found { res: Res::Local(outer), .. }) = {
                    let depth = self.scopes.len() - 2;
                    find_local(&mut self.scopes, depth, &ident.name)
                }
                && self.scopes[self.scopes.len() - 2].function.locals[outer.0 as usize].kind == LocalKind::Dim
            {
                let local = self.scope().capture(&ident.name, ident.span, CaptureFrom::Local(outer));
                return Res::Local(local);
            }
            return Res::Local(self.scope().define_outer(&ident.name, ident.span, LocalKind::Dim));
        }
        if let Some(found) = self.try_lookup(&ident.name, None)
            && matches!(found.res, Res::Local(_) | Res::Global(_))
        {
            return found.res;
        }
        let local: LocalId = self.scope().define(&ident.name, ident.span, false, LocalKind::Dim);
        Res::Local(local)
    }
}
