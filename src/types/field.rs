//! Fields and methods: struct fields, `impl` methods, members of modules, facts of tensors, `name(x, ...)`.

use std::rc::Rc;

use super::Checker;
use super::call::{ArgVal, Outcome};
use super::error::{Bound, TypeError};
use super::size::{Num, count};
use super::ty::{FnTy, StructInfo, StructTy, Ty};
use crate::diagnostic::Diagnostic;
use crate::ops::prim::ParamKind;
use crate::resolve::{Extension, GlobalId, LocalKind, ModuleId, Res};
use crate::source::Span;
use crate::syntax::ast::{Arg, Expr, ExprKind, Ident};
use crate::tensor::DType;

impl Checker {
    /// `base.name`
    pub(super) fn field_of(&mut self, base: &Expr, ty: &Ty, name: &Ident, span: Span) -> Ty {
        let known = match ty {
            Ty::Struct(s) => s.info.field(&name.name).is_some(),
            other => matches!(other, Ty::Any | Ty::Never | Ty::Dict(_) | Ty::Module(_)),
        };
        self.of_kind = !known && self.may_be_of_other_kind(base);
        let field = self.field(ty, name, span);
        self.of_kind = false;
        field
    }

    /// `x.name`
    pub(super) fn field(&mut self, ty: &Ty, name: &Ident, span: Span) -> Ty {
        match ty {
            Ty::Any | Ty::Never => Ty::Any,
            Ty::Dict(dict) => match &dict.items {
                // `d.key` reads an entry.
                Some(entries) => match entries.iter().find(|(k, _)| *k == name.name) {
                    Some((_, ty)) => ty.clone(),
                    None => self.no_key(&name.name, entries, span, name.span),
                },
                None => Ty::Any,
            },
            Ty::Struct(s) => {
                if let Some(at) = s.info.field(&name.name) {
                    return s.fields.get(at).cloned().unwrap_or_default();
                }
                match self.method(&s.info, &name.name) {
                    Some((module, index)) => {
                        let f = FnTy::User { module, index, captures: Rc::default() };
                        Ty::Fn(FnTy::Made { transform: "method", args: Rc::new(vec![ty.clone(), Ty::Fn(f)]) })
                    }
                    None => self.no_field(ty, name, false, span),
                }
            }
            Ty::Module(module) => self.member(*module, name),
            Ty::StructType(info) => match self.method(info, &name.name) {
                Some((module, index)) => Ty::Fn(FnTy::User { module, index, captures: Rc::default() }),
                None => self.no_field(ty, name, true, span),
            },
            Ty::Tensor(_) | Ty::Float | Ty::Int(_) | Ty::Bool(_) => self.tensor_fact(ty, name, span),
            Ty::None | Ty::Str(_) | Ty::Tuple(_) | Ty::List(_) => self.no_field(ty, name, false, span),
            Ty::IntsOf(_) => self.field(&ty.clone().forget_elements(), name, span),
            Ty::Range | Ty::SomeRange | Ty::RangeOf(_) | Ty::Fn(_) | Ty::DType(_) => Ty::Any,
        }
    }

    fn tensor_fact(&mut self, ty: &Ty, name: &Ident, span: Span) -> Ty {
        let dims = ty.dims();
        match &*name.name {
            "shape" => match dims {
                Some(dims) => Ty::tuple(dims.iter().map(|d| Ty::Int((*d).into())).collect()),
                None => Ty::Any,
            },
            "rank" => Ty::Int(dims.and_then(|d| i64::try_from(d.len()).ok()).into()),
            "size" => Ty::Int(dims.map_or(Num::Unknown, |dims| count(&dims))),
            "dtype" => Ty::DType(match ty {
                Ty::Tensor(t) => t.dtype,
                Ty::Int(_) => Some(DType::Int),
                Ty::Bool(_) => Some(DType::Bool),
                _ => Some(DType::F64),
            }),
            "t" => match (ty, dims) {
                (Ty::Tensor(t), Some(mut dims)) if dims.len() >= 2 => {
                    let n = dims.len();
                    dims.swap(n - 2, n - 1);
                    Ty::of(t.dtype, Some(dims))
                }
                (Ty::Tensor(t), Some(dims)) if dims.len() == 1 => Ty::of(t.dtype, Some(dims)),
                (Ty::Tensor(t), _) => Checker::some_tensor(t.dtype),
                _ => ty.clone(),
            },
            // A function of that name without its call, or something of a later version.
            _ => {
                let facts = ["shape", "rank", "size", "dtype", "t"].map(Rc::from).to_vec();
                self.report(
                    TypeError::NoField { ty: ty.clone(), name: name.name.clone(), candidates: facts, method: false },
                    span,
                )
            }
        }
    }

    fn no_field(&mut self, ty: &Ty, name: &Ident, method: bool, span: Span) -> Ty {
        if self.names_only && *ty == Ty::None {
            return Ty::Any;
        }
        // Where the program does not look into it, `none` may be a part that other values have.
        self.reserved = *ty == Ty::None;
        let candidates = match ty {
            Ty::Struct(s) => self.members_of(&s.info, true),
            Ty::StructType(info) => self.members_of(info, false),
            // Any function can be called as a method.
            _ if method => crate::resolve::builtin_names::all().map(Rc::from).collect(),
            _ => vec![],
        };
        if let Ty::StructType(info) = ty
            && &*name.name == "new"
            && !candidates.iter().any(|c| &**c == "new")
        {
            let made = self.made_by_calling(info);
            let error = TypeError::NoField { ty: ty.clone(), name: name.name.clone(), candidates: vec![], method };
            let d = error.to_diagnostic(span).help(format!("there is no `new` to call: write {made}"));
            self.note(d);
            return Ty::Any;
        }
        self.report(TypeError::NoField { ty: ty.clone(), name: name.name.clone(), candidates, method }, span)
    }

    fn members_of(&self, info: &StructInfo, fields: bool) -> Vec<Rc<str>> {
        let mut out: Vec<Rc<str>> = vec![];
        if fields {
            out.extend(info.fields.iter().map(|f| f.name.clone()));
        }
        let module = self.modules.get(info.at.module as usize);
        if let Some(s) = module.and_then(|m| m.resolved.structs.get(info.at.index as usize)) {
            out.extend(s.methods.iter().map(|(n, _)| n.clone()));
        }
        let of_it = |e: &&Extension| (e.of.module.0, e.index) == (info.at.module, info.at.index);
        for e in self.modules.iter().flat_map(|m| m.resolved.extensions.iter()).filter(of_it) {
            out.extend(e.methods.iter().map(|(n, _)| n.clone()));
        }
        out
    }

    /// `module.name`
    fn member(&mut self, module: u32, name: &Ident) -> Ty {
        let Some(home) = self.module(module) else { return Ty::Any };
        let found = home.resolved.globals.iter().rposition(|g| g.name == name.name);
        match found {
            Some(_) if name.name.starts_with('_') && !self.frame.module.is_library => {
                self.report(TypeError::Private { module: home.name.clone(), name: name.name.clone() }, name.span)
            }
            Some(index) => self.global(GlobalId { module: ModuleId(module), index: index as u32 }),
            None => {
                let hint = home.export_hint(&name.name);
                self.report(TypeError::NoExport { module: home.name.clone(), name: name.name.clone(), hint }, name.span)
            }
        }
    }

    /// `x.name(args)`
    pub(super) fn method_call(&mut self, e: &Expr, receiver: &Expr, name: &Ident, args: &[Arg]) -> Ty {
        self.warn_nested(e);
        let ty = self.expr(receiver);
        if self.frame.dead {
            return Ty::Never;
        }
        self.record_again(receiver.id, &ty);
        match &ty {
            Ty::Module(_) | Ty::StructType(_) => {
                let f = self.field(&ty, name, name.span);
                let values = self.args(args);
                let outcome = self.call_value(&f, values, name.span, e.span);
                return self.write_back(args, 0, outcome);
            }
            Ty::Struct(s) => {
                if let Some((module, index)) = self.method(&s.info, &name.name) {
                    let f = Ty::Fn(FnTy::User { module, index, captures: Rc::default() });
                    return self.call_with_receiver(e, &f, &ty, receiver, name, args);
                }
                if let Some(at) = s.info.field(&name.name) {
                    let f = s.fields.get(at).cloned().unwrap_or_default();
                    let values = self.args(args);
                    let known = self.frame.problems.len();
                    let first = values.first().map(|a| a.ty.clone());
                    let outcome = self.call_value(&f, values, receiver.span.to(name.span), e.span);
                    if self.frame.problems.len() > known {
                        let path = super::expr::path_of(receiver).map(|path| format!("{path}.{}", name.name));
                        self.suggest_layer(known, &f, path.clone(), first.as_ref(), e.span);
                        self.explain_call(known, &f, path, &[], e.span);
                    }
                    return self.write_back(args, 0, outcome);
                }
                if &*name.name == "with" {
                    let values = self.args(args);
                    return self.with(s, &values, e.span);
                }
            }
            _ => {}
        }
        let function = self.frame.module.resolved.functions_by_method.get(&e.id).copied();
        match (function, &ty) {
            (_, Ty::Any)
            | (None, Ty::Dict(_) | Ty::Fn(_) | Ty::DType(_) | Ty::Range | Ty::SomeRange | Ty::RangeOf(_)) => {
                self.unknown_call();
                let values = self.args(args);
                let outcome = Outcome::unknown(&values);
                self.write_back(args, 0, outcome);
                if receiver.is_place() && self.is_variable(receiver) {
                    // It may be a method that changes its receiver.
                    self.forget(receiver);
                }
                Ty::Any
            }
            (Some(res), _) => {
                let known = self.frame.problems.len();
                let mut f = self.resolved(res);
                if is_plain_data(&f)
                    && let Some(builtin) = crate::resolve::builtin_names::find(&name.name, false)
                {
                    // `let mean = x.mean()`, then `y.mean()`.
                    f = self.resolved(builtin);
                }
                let result = self.call_with_receiver(e, &f, &ty, receiver, name, args);
                self.tell_hidden(known, &f, &name.name, name.span, true);
                self.tell_entry(known, &ty, &name.name);
                result
            }
            (None, _) => {
                self.args(args);
                if matches!(&*name.name, "to" | "with" | "t") {
                    return Ty::Any;
                }
                self.of_kind = self.may_be_of_other_kind(receiver);
                self.no_field(&ty, name, true, name.span)
            }
        }
    }

    /// The same where a dict has an entry of that name: the function goes before it.
    fn tell_entry(&mut self, known: usize, ty: &Ty, name: &str) {
        let Ty::Dict(dict) = ty else { return };
        let has_entry = dict.items.as_ref().is_some_and(|entries| entries.iter().any(|(key, _)| &**key == name));
        for problem in self.frame.problems.iter_mut().skip(known) {
            let d = &mut problem.diagnostic;
            if has_entry {
                let help = "the entry of the dict is called by";
                d.help = Some(format!("`.{name}(...)` calls the function `{name}`; {help} d[\"{name}\"](...)"));
            } else if matches!(d.code, "E0310" | "E0320" | "E0321") && d.help.is_none() {
                d.help = Some(format!(
                    "`d.{name}(...)` calls the function `{name}` with the dict as its first argument; entries are taken with brackets: d[\"key\"]"
                ));
            }
        }
    }

    /// Adds to the problems of a call from `known` on that a function of the program was called where a builtin has its name:
    /// those of what it was called with, and those inside of it. `place` is the name in the call.
    pub(super) fn tell_hidden(&mut self, known: usize, f: &Ty, name: &str, place: Span, is_method: bool) {
        let Ty::Fn(FnTy::User { module, index, .. }) = f else { return };
        if self.frame.problems.len() == known || crate::resolve::builtin_names::find(name, false).is_none() {
            return;
        }
        let Some(home) = self.modules.get(*module as usize).filter(|m| !m.is_library) else { return };
        let Some(decl) = home.resolved.functions.get(*index as usize).and_then(|f| f.decl.as_ref()) else { return };
        let Some(declared) = decl.name.as_ref().filter(|n| &*n.name == name).map(|n| n.span) else { return };
        let of = if *module == self.frame.module.id.0 { "of this file" } else { "of another file" };
        let call = if is_method { format!(".{name}(...)") } else { format!("{name}(...)") };
        // Who calls it by its name alone knows of it, unless the arguments are of the other.
        let meant = |d: &Diagnostic| !is_method && !matches!(d.code, "E0320" | "E0321" | "E0322");
        for problem in self.frame.problems.iter_mut().skip(known).filter(|p| !meant(&p.diagnostic)) {
            let d = problem.diagnostic.clone();
            let help = format!(
                "`{call}` calls the function {of}, which hides the builtin `{name}`: to reach the builtin, give yours another name"
            );
            let mut d = match d.labels.iter().position(|l| l.span == place) {
                Some(_) => d,
                None => d.also(place, format!("this is the function {of}, not the builtin")),
            };
            match d.labels.iter_mut().find(|l| l.span == declared) {
                Some(label) => label.message = format!("`{name}` is declared here"),
                None => d = d.also(declared, format!("`{name}` is declared here")),
            }
            problem.diagnostic = match d.help {
                Some(_) => d.note(help),
                None => d.help(help),
            };
        }
    }

    /// The same for a variable, which cannot be called.
    pub(super) fn tell_variable(&mut self, known: usize, callee: &Expr, name: &str) {
        if crate::resolve::builtin_names::find(name, false).is_none() {
            return;
        }
        let bound = self.binding_of(callee);
        let about_it =
            |p: &&mut super::env::Problem| p.diagnostic.code == "E0325" && p.diagnostic.span() == Some(callee.span);
        for problem in self.frame.problems.iter_mut().skip(known).filter(about_it) {
            let mut d = problem.diagnostic.clone();
            if let Some(bound) = bound {
                d = d.also(bound, format!("this `{name}` hides the builtin"));
            }
            problem.diagnostic = d.help(format!("to call the builtin `{name}`, give the variable another name"));
        }
    }

    /// Where the variable is bound that an expression names.
    fn binding_of(&self, e: &Expr) -> Option<Span> {
        self.local_at(e).map(|l| l.span).or_else(|| match (&e.kind, self.resolution(e.id)) {
            (ExprKind::Name(_), Some(Res::Global(id))) => {
                self.modules.get(id.module.0 as usize)?.resolved.globals.get(id.index as usize).map(|g| g.span)
            }
            _ => None,
        })
    }

    /// The local that an expression names.
    fn local_at(&self, e: &Expr) -> Option<&crate::resolve::Local> {
        let (ExprKind::Name(_), Some(Res::Local(local))) = (&e.kind, self.resolution(e.id)) else { return None };
        let function = self.frame.module.resolved.functions.get(self.frame.function.0 as usize)?;
        function.locals.get(local.0 as usize)
    }

    /// A receiver of unknown type after an unknown method.
    fn forget(&mut self, receiver: &Expr) {
        let mut root = receiver;
        while let ExprKind::Index { base, .. } | ExprKind::Field { base, .. } = &root.kind {
            root = base;
        }
        if !std::ptr::eq(root, receiver) {
            // Only a part of a known value is unknown; that part stays so.
            return;
        }
        self.assign(root, &Ty::Any, receiver.span);
    }

    fn call_with_receiver(&mut self, e: &Expr, f: &Ty, ty: &Ty, receiver: &Expr, name: &Ident, args: &[Arg]) -> Ty {
        let changes = self.changes_first(f);
        let values = self.args(args);
        if self.frame.dead {
            return Ty::Never;
        }
        if changes && !(receiver.is_place() && self.is_variable(receiver)) {
            return self.unchangeable(receiver, name);
        }
        let mut all = vec![ArgVal { inout: changes, ..ArgVal::positional(ty.clone(), receiver.span) }];
        all.extend(values);
        let known = self.frame.problems.len();
        let mut outcome = self.call_value(f, all, name.span, e.span);
        if self.frame.problems.len() > known {
            let operands: Vec<&Expr> = std::iter::once(receiver).chain(args.iter().map(|a| &a.value)).collect();
            self.explain_call(known, f, None, &operands, e.span);
            self.tell_update(known, ty, args, e.span);
        }
        if let Some(at) = outcome.outs.iter().position(|(i, _)| *i == 0) {
            let (_, new) = outcome.outs.remove(at);
            self.assign(receiver, &new, receiver.span);
        }
        self.write_back(args, 1, outcome)
    }

    fn unchangeable(&mut self, receiver: &Expr, name: &Ident) -> Ty {
        let what = format!("`{}` changes its receiver", name.name);
        let made = self.binding_of(receiver);
        let bound = match (self.local_at(receiver).map(|l| l.kind), self.resolution(receiver.id)) {
            (Some(LocalKind::Loop), _) => Bound::Loop,
            (Some(LocalKind::Capture), _) => Bound::Outside,
            (None, Some(Res::Global(id))) => {
                let globals = self.modules.get(id.module.0 as usize).map(|m| &m.resolved.globals);
                let is_var = globals.and_then(|all| all.get(id.index as usize)).is_some_and(|global| global.mutable);
                if is_var { Bound::TopLevel } else { Bound::Let }
            }
            _ => Bound::Let,
        };
        self.report(TypeError::NotAPlace { what, place: receiver.span, made, bound }, receiver.span)
    }

    /// True if the function's first parameter is `inout`.
    fn changes_first(&self, f: &Ty) -> bool {
        match f {
            Ty::Fn(FnTy::User { module, index, .. }) => self
                .modules
                .get(*module as usize)
                .and_then(|m| m.resolved.functions.get(*index as usize)?.decl.as_ref()?.params.first().map(|p| p.inout))
                .unwrap_or(false),
            Ty::Fn(FnTy::Builtin(name)) => {
                self.host.get(name).and_then(|h| h.sig().params.first()).is_some_and(|p| p.kind == ParamKind::Inout)
            }
            _ => false,
        }
    }

    /// True for a place inside a variable that may change here.
    pub(super) fn is_variable(&self, place: &Expr) -> bool {
        match &place.kind {
            ExprKind::Index { base, .. } | ExprKind::Field { base, .. } => self.is_variable(base),
            ExprKind::Name(_) => match self.resolution(place.id) {
                Some(Res::Local(local)) => {
                    let function = self.frame.module.resolved.functions.get(self.frame.function.0 as usize);
                    function
                        .and_then(|f| f.locals.get(local.0 as usize))
                        .is_some_and(|l| l.mutable && l.kind != LocalKind::Capture)
                }
                Some(Res::Global(id)) => {
                    let module = self.modules.get(id.module.0 as usize);
                    let global = module.and_then(|m| m.resolved.globals.get(id.index as usize));
                    self.frame.function.0 == 0 && global.is_some_and(|g| g.mutable)
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// `p.with(field: value)`
    fn with(&mut self, s: &Rc<StructTy>, args: &[ArgVal], span: Span) -> Ty {
        let mut fields: Vec<ArgVal> = s.fields.iter().map(|ty| ArgVal::positional(ty.clone(), span)).collect();
        for arg in args {
            let Some(name) = &arg.name else { return Ty::Any };
            match s.info.field(name) {
                Some(at) => {
                    if let Some(field) = fields.get_mut(at) {
                        *field = ArgVal::positional(arg.ty.clone(), arg.span);
                    }
                }
                None => {
                    let function = format!("`{}`", s.info.name);
                    let params = s.info.fields.iter().map(|f| f.name.clone()).collect();
                    let error = TypeError::UnknownParam {
                        function,
                        name: name.clone(),
                        params,
                        place: arg.name_span,
                        of_struct: true,
                    };
                    return self.report(error, span);
                }
            }
        }
        // The constructor looks at the annotations again, but a gradient has none where nothing moves.
        let frozen: Vec<bool> = fields.iter().map(|f| f.ty == Ty::None).collect();
        for field in fields.iter_mut().filter(|f| f.ty == Ty::None) {
            field.ty = Ty::Any;
        }
        match self.construct(&s.info, fields, span).ty {
            Ty::Struct(made) => {
                let fields = made.fields.iter().zip(frozen);
                let fields = fields.map(|(ty, none)| if none { Ty::None } else { ty.clone() }).collect();
                Ty::Struct(Rc::new(StructTy { fields, ..(*made).clone() }))
            }
            other => other,
        }
    }
}

/// True for what cannot be called; a variable of that kind does not hide a builtin in `x.name()`.
fn is_plain_data(ty: &Ty) -> bool {
    !matches!(ty, Ty::Any | Ty::Never | Ty::Fn(_) | Ty::Struct(_) | Ty::StructType(_) | Ty::None)
}
