//! Calls: arguments to parameters, and functions of the program followed once for each tuple of argument types.

use std::borrow::Borrow;
use std::rc::Rc;

use super::env::{Frame, Out};
use super::error::TypeError;
use super::join::join;
use super::rename::named;
use super::specialize::FnKey;
use super::ty::{FnTy, Origin, StructInfo, StructTy, Ty};
use super::{Checker, quoted};
use crate::resolve::{FnId, LoadedModule, LocalId};
use crate::source::Span;
use crate::syntax::ast::{Arg, Expr, FnDecl, Param, Pattern};

/// An argument after evaluation.
#[derive(Clone)]
pub(super) struct ArgVal {
    pub name: Option<Rc<str>>,
    /// Where the name stands, else the value.
    pub name_span: Span,
    pub inout: bool,
    pub ty: Ty,
    pub span: Span,
}

impl ArgVal {
    pub fn positional(ty: Ty, span: Span) -> ArgVal {
        ArgVal { name: None, name_span: span, inout: false, ty, span }
    }
}

/// What a call gives: its value, and what is left in the arguments that it changes (by index of the argument).
pub(super) struct Outcome {
    pub ty: Ty,
    pub outs: Vec<(usize, Ty)>,
}

impl Outcome {
    pub fn of(ty: Ty) -> Outcome {
        Outcome { ty, outs: vec![] }
    }

    /// After a report: nothing comes back, and what would have changed stays as it was.
    pub fn failed() -> Outcome {
        Outcome::of(Ty::Any)
    }

    /// Nothing is known, not even of what the call changed.
    pub fn unknown(args: &[ArgVal]) -> Outcome {
        let outs = args.iter().enumerate().filter(|(_, a)| a.inout).map(|(i, _)| (i, Ty::Any)).collect();
        Outcome { ty: Ty::Any, outs }
    }
}

/// A parameter as matching sees it.
pub(super) struct ParamInfo<'a> {
    pub name: &'a str,
    pub required: bool,
    pub inout: bool,
    /// Given by name only.
    pub named_only: bool,
}

impl Checker {
    /// Evaluates arguments in order.
    pub(super) fn args(&mut self, args: &[Arg]) -> Vec<ArgVal> {
        let eval = |a: &Arg| {
            let ty = self.expr_with_elements(&a.value);
            let name_span = a.name.as_ref().map_or(a.value.span, |n| n.span);
            ArgVal { name: a.name.as_ref().map(|n| n.name.clone()), name_span, inout: a.inout, ty, span: a.value.span }
        };
        args.iter().map(eval).collect()
    }

    /// Calls a value.
    pub(super) fn call_value(&mut self, f: &Ty, mut args: Vec<ArgVal>, callee: Span, site: Span) -> Outcome {
        if self.frame.dead {
            return Outcome::of(Ty::Never);
        }
        let keeps_elements = match f {
            Ty::Fn(FnTy::User { .. }) | Ty::Struct(_) => true,
            Ty::Fn(FnTy::Builtin(name)) => matches!(*name, "zip" | "enumerate" | "map"),
            Ty::Fn(FnTy::Made { transform, .. }) => *transform == "method",
            _ => false,
        };
        if !keeps_elements {
            for arg in args.iter_mut().filter(|a| matches!(a.ty, Ty::IntsOf(_))) {
                arg.ty = std::mem::take(&mut arg.ty).forget_elements();
            }
        }
        let outcome = match f {
            Ty::Any | Ty::Fn(FnTy::Unknown) | Ty::Never => {
                self.unknown_call();
                Outcome::unknown(&args)
            }
            Ty::Fn(FnTy::User { module, index, captures }) => {
                self.call_user((*module, *index), captures.clone(), args, site)
            }
            Ty::Fn(FnTy::Builtin(name)) => self.call_host(name, args, site),
            Ty::Fn(FnTy::Made { transform, args: made }) => {
                let made = made.clone();
                self.call_made(transform, &made, args, callee, site)
            }
            Ty::StructType(info) => self.construct(&info.clone(), args, site),
            Ty::Struct(s) => match self.method(&s.info, "call") {
                Some(key) => {
                    let mut all = vec![ArgVal::positional(f.clone(), callee)];
                    all.extend(args);
                    let mut outcome = self.call_user(key, Rc::default(), all, site);
                    outcome.outs = outcome.outs.into_iter().filter_map(|(i, t)| Some((i.checked_sub(1)?, t))).collect();
                    outcome
                }
                None => {
                    self.report(TypeError::NotCallable { ty: f.clone(), callee }, site);
                    Outcome::failed()
                }
            },
            Ty::DType(dtype) => self.call_dtype(*dtype, &args),
            _ => {
                self.report(TypeError::NotCallable { ty: f.clone(), callee }, site);
                Outcome::failed()
            }
        };
        self.after_call(outcome, site)
    }

    /// What every call does at its end: note that it never returns, and where the user's code made a struct.
    fn after_call(&mut self, mut outcome: Outcome, site: Span) -> Outcome {
        if outcome.ty == Ty::Never {
            self.frame.dead = true;
        }
        if let Ty::Struct(s) = &outcome.ty
            && !self.frame.module.is_library
            && s.origin.0.is_none()
        {
            let made = StructTy { origin: Origin(Some(site)), ..(**s).clone() };
            outcome.ty = Ty::Struct(Rc::new(made));
        }
        outcome
    }

    /// Which argument each parameter gets; `None` after a report.
    pub(super) fn match_args(
        &mut self,
        function: &dyn Fn() -> String,
        params: &[ParamInfo<'_>],
        args: &[impl Borrow<ArgVal>],
        declared: Option<Span>,
        site: Span,
    ) -> Option<Vec<Option<usize>>> {
        let mut slots: Vec<Option<usize>> = vec![None; params.len()];
        let positional = params.iter().filter(|p| !p.named_only).count();
        let given = args.iter().filter(|a| (*a).borrow().name.is_none()).count();
        if given > positional {
            self.report(TypeError::TooMany { function: function(), takes: positional, given, declared }, site);
            return None;
        }
        let mut next = 0;
        for (i, arg) in args.iter().map(Borrow::borrow).enumerate() {
            let at = match &arg.name {
                None => {
                    next += 1;
                    Some(next - 1)
                }
                Some(name) => params.iter().position(|p| *p.name == **name),
            };
            let Some(at) = at else {
                let name = arg.name.clone().unwrap_or_default();
                let params = params.iter().map(|p| p.name).filter(|n| !n.is_empty()).map(Rc::from).collect();
                let of_struct = declared.is_some_and(|d| self.is_struct_name(d));
                self.report(
                    TypeError::UnknownParam { function: function(), name, params, place: arg.name_span, of_struct },
                    site,
                );
                return None;
            };
            let slot = slots.get_mut(at)?;
            if slot.is_some() {
                let name = arg.name.clone().unwrap_or_default();
                self.report(TypeError::Twice { function: function(), name, place: arg.name_span }, site);
                return None;
            }
            *slot = Some(i);
        }
        let lacking = params.iter().zip(&slots).filter(|(p, s)| p.required && s.is_none());
        let missing: Vec<Rc<str>> = lacking.map(|(p, _)| p.name.into()).collect();
        if !missing.is_empty() {
            self.report(TypeError::Missing { function: function(), params: missing, declared }, site);
            return None;
        }
        for (param, slot) in params.iter().zip(&slots) {
            let Some(arg) = slot.and_then(|i| args.get(i)).map(Borrow::borrow) else { continue };
            if param.inout && !arg.inout {
                let marked = |i: Option<usize>| i.and_then(|i| args.get(i)).is_some_and(|a| a.borrow().inout);
                let swapped = params.iter().zip(&slots).any(|(param, at)| !param.inout && marked(*at));
                let (function, param, place) = (function(), param.name.into(), arg.span);
                self.report(TypeError::NeedsReference { function, param, place, swapped }, site);
                return None;
            }
            if !param.inout && arg.inout {
                self.report(TypeError::NoReference { function: function(), place: arg.span }, site);
                return None;
            }
        }
        Some(slots)
    }

    /// True for the place of a struct's name in its declaration.
    fn is_struct_name(&self, place: Span) -> bool {
        let module = self.modules.iter().find(|m| m.source == place.source);
        module.is_some_and(|m| m.resolved.structs.iter().any(|s| s.decl.name.span == place))
    }

    /// Calls a function of the program.
    pub(super) fn call_user(&mut self, key: FnKey, captures: Rc<Vec<Ty>>, args: Vec<ArgVal>, site: Span) -> Outcome {
        if self.names_only {
            return Outcome::unknown(&args);
        }
        let Some(module) = self.module(key.0) else { return Outcome::unknown(&args) };
        let Some(function) = module.resolved.functions.get(key.1 as usize) else { return Outcome::unknown(&args) };
        let Some(decl) = function.decl.clone() else { return Outcome::unknown(&args) };
        let params = params_of(&decl);
        let declared = decl.name.as_ref().map(|n| n.span);
        let Some(matched) = self.match_args(&|| quoted(&function.name), &params, &args, declared, site) else {
            return Outcome::failed();
        };
        let mut dims = vec![];
        let mut slots: Vec<Option<Ty>> = Vec::with_capacity(matched.len());
        for (param, at) in decl.params.iter().zip(&matched) {
            let Some(arg) = at.and_then(|i| args.get(i)) else {
                slots.push(None);
                continue;
            };
            let Some(annotation) = &param.ty else {
                slots.push(Some(named(&arg.ty)));
                continue;
            };
            match self.admit(annotation, &arg.ty, &module, &mut dims, arg.span) {
                Ok(ty) => slots.push(Some(named(&ty))),
                Err(mismatch) => {
                    let what = param.pattern.name().map_or("this argument".into(), |n| format!("`{}`", n.name));
                    self.report_mismatch(*mismatch, what, &arg.ty, arg.span, annotation.span);
                    return Outcome::failed();
                }
            }
        }
        let origins = matched.iter().map(|at| at.and_then(|i| args.get(i)).map(|a| a.span)).collect();
        if module.is_library && !self.frame.module.is_library {
            self.user_site = Some(site);
        }
        let (mut ret, outs) = self.specialize(key, &module, &decl, slots, captures, origins, site);
        if let Ty::Struct(s) = &ret
            && !self.frame.module.is_library
            && s.origin.0.is_some_and(|o| contains(decl.span, o))
        {
            // The call that made it tells more than the constructor inside of it.
            ret = Ty::Struct(Rc::new(StructTy { origin: Origin(Some(site)), ..(**s).clone() }));
        }
        let back = |(param, ty): (usize, Ty)| matched.get(param).copied().flatten().map(|arg| (arg, ty));
        Outcome { ty: ret, outs: outs.into_iter().filter_map(back).collect() }
    }

    /// Follows a function's body in a frame of its own, which it returns.
    pub(super) fn run_body(
        &mut self,
        key: FnKey,
        module: &Rc<LoadedModule>,
        decl: &Rc<FnDecl>,
        slots: &[Option<Ty>],
        captures: &Rc<Vec<Ty>>,
        origins: &[Option<Span>],
    ) -> Frame {
        let mut frame = Frame::new(module.clone(), FnId(key.1));
        frame.itself = Ty::Fn(FnTy::User { module: key.0, index: key.1, captures: captures.clone() });
        frame.ret = decl.ret.as_ref().map(|t| t.span);
        let function = module.resolved.functions.get(key.1 as usize);
        let local = |i: usize| function.and_then(|f| f.params.get(i).copied().flatten());
        for (i, _) in decl.params.iter().enumerate().filter(|(_, p)| p.inout) {
            frame.outs.extend(local(i).map(|local| Out { param: i, local, ty: Ty::Never }));
        }
        for (capture, ty) in function.iter().flat_map(|f| &f.captures).zip(captures.iter()) {
            frame.set_local(capture.local, ty.clone(), None);
        }
        let outer = std::mem::replace(&mut self.frame, frame);
        let unrolled = std::mem::replace(&mut self.unrolled, 1);
        for (i, param) in decl.params.iter().enumerate() {
            let mut ty = match slots.get(i) {
                Some(Some(ty)) => ty.clone(),
                _ => match &param.default {
                    Some(default) => self.expr(default),
                    None => Ty::Any,
                },
            };
            if let Some(annotation) = &param.ty {
                let mut dims = std::mem::take(&mut self.frame.dims);
                ty = self.admit(annotation, &ty, module, &mut dims, param.span).unwrap_or(Ty::Any);
                self.frame.dims = dims;
                self.publish_dims();
            }
            match local(i) {
                Some(local) => {
                    if let Pattern::Name { id, .. } = &param.pattern {
                        self.record(*id, &ty);
                    }
                    self.frame.set_local(local, ty, origins.get(i).copied().flatten());
                }
                None => {
                    self.note_parts(&param.pattern, true);
                    self.bind_pattern(&param.pattern, &ty, param.span);
                }
            }
        }
        let ty = self.expr(&decl.body);
        if !self.frame.dead {
            self.leave(ty, value_span(&decl.body), decl.ret.as_ref());
        }
        let returns = self.frame.returns.clone();
        self.record(decl.id, &returns);
        self.unrolled = unrolled;
        std::mem::replace(&mut self.frame, outer)
    }

    /// Follows the body of a `test`, which starts from the module's variables as they are here.
    pub(super) fn follow_test(&mut self, body: &Rc<FnDecl>) {
        let module = self.frame.module.clone();
        let Some(id) = module.resolved.function_ids.get(&body.id).copied() else { return };
        self.in_test = true;
        let frame = self.run_body((module.id.0, id.0), &module, body, &[], &Rc::default(), &[]);
        self.in_test = false;
        for problem in frame.problems {
            self.frame.add_problem(problem);
        }
    }

    /// Follows a function that nothing calls, with what its annotations say.
    pub(super) fn check_uncalled(&mut self, module: &Rc<LoadedModule>, id: FnId) -> Vec<crate::diagnostic::Diagnostic> {
        let key = (module.id.0, id.0);
        let Some(function) = module.resolved.functions.get(id.0 as usize) else { return vec![] };
        let Some(decl) = function.decl.clone() else { return vec![] };
        let captures = match self.made.get(&key) {
            Some(captures) => captures.clone(),
            None => Rc::new(vec![Ty::Any; function.captures.len()]),
        };
        let mut dims = vec![];
        let owner = function.owner.and_then(|o| self.struct_info(key.0, o));
        let mut slots = vec![];
        for param in &decl.params {
            let is_self = param.pattern.name().is_some_and(|n| &*n.name == "self");
            slots.push(Some(match (&param.ty, &owner) {
                (Some(annotation), _) => {
                    self.admit(annotation, &Ty::Any, module, &mut dims, annotation.span).unwrap_or(Ty::Any)
                }
                (None, Some(owner)) if is_self => self.declared_struct(owner, 2),
                _ => Ty::Any,
            }));
        }
        let frame = self.run_body(key, module, &decl, &slots, &captures, &[]);
        frame.problems.into_iter().map(|p| p.diagnostic).collect()
    }

    /// Builds a struct: fields are the parameters, defaults and annotations are evaluated in its constructor's scope.
    pub(super) fn construct(&mut self, info: &Rc<StructInfo>, args: Vec<ArgVal>, site: Span) -> Outcome {
        let known = self.frame.problems.len();
        let names: Vec<Rc<str>> = args.iter().filter_map(|a| a.name.clone()).collect();
        let outcome = self.construct_fields(info, args, site);
        if self.frame.problems.len() > known && !self.frame.module.is_library {
            self.suggest_maker(known, info, &names);
        }
        outcome
    }

    fn construct_fields(&mut self, info: &Rc<StructInfo>, args: Vec<ArgVal>, site: Span) -> Outcome {
        let Some(module) = self.module(info.at.module) else { return Outcome::unknown(&args) };
        let Some(declared) = module.resolved.structs.get(info.at.index as usize) else {
            return Outcome::unknown(&args);
        };
        let (decl, constructor) = (declared.decl.clone(), declared.constructor);
        let params: Vec<ParamInfo> = decl
            .fields
            .iter()
            .map(|f| ParamInfo { name: &f.name.name, required: f.default.is_none(), inout: false, named_only: false })
            .collect();
        let name = || format!("`{}`", info.name);
        let Some(matched) = self.match_args(&name, &params, &args, Some(decl.name.span), site) else {
            return Outcome::failed();
        };
        let mut fields: Vec<Ty> = Vec::with_capacity(params.len());
        let mut dims = vec![];
        for (field, at) in decl.fields.iter().zip(&matched) {
            let Some(arg) = at.and_then(|i| args.get(i)) else {
                fields.push(Ty::Never);
                continue;
            };
            let Some(annotation) = &field.ty else {
                fields.push(arg.ty.clone());
                continue;
            };
            match self.admit(annotation, &arg.ty, &module, &mut dims, arg.span) {
                Ok(ty) => fields.push(ty),
                Err(mismatch) => {
                    let what = format!("`{}.{}`", info.name, field.name.name);
                    self.report_mismatch(*mismatch, what, &arg.ty, arg.span, annotation.span);
                    return Outcome::failed();
                }
            }
        }
        if matched.iter().any(Option::is_none) {
            let function = module.resolved.functions.get(constructor.0 as usize);
            let local =
                |i: usize| function.and_then(|f| f.params.get(i).copied().flatten()).unwrap_or(LocalId(i as u32));
            let mut frame = Frame::new(module.clone(), constructor);
            frame.dims = dims;
            for (i, ty) in fields.iter().enumerate() {
                frame.set_local(local(i), ty.clone(), None);
            }
            let outer = std::mem::replace(&mut self.frame, frame);
            self.publish_dims();
            for (i, field) in decl.fields.iter().enumerate() {
                if matched.get(i).copied().flatten().is_some() {
                    continue;
                }
                let mut ty = field.default.as_ref().map_or(Ty::Any, |d| self.expr(d));
                if let Some(annotation) = &field.ty {
                    let mut dims = std::mem::take(&mut self.frame.dims);
                    ty = self.admit(annotation, &ty, &module, &mut dims, annotation.span).unwrap_or(Ty::Any);
                    self.frame.dims = dims;
                    self.publish_dims();
                }
                self.frame.set_local(local(i), ty.clone(), None);
                if let Some(slot) = fields.get_mut(i) {
                    *slot = ty;
                }
            }
            let inner = std::mem::replace(&mut self.frame, outer);
            for problem in &inner.problems {
                self.take_problem(problem, site);
            }
            if inner.exits {
                self.frame.may_exit();
            }
        }
        let origin = Origin((!self.frame.module.is_library).then_some(site));
        Outcome::of(Ty::Struct(Rc::new(StructTy { info: info.clone(), fields, origin })))
    }

    /// A function of the program as a value.
    pub(super) fn closure(&mut self, decl: &FnDecl) -> Ty {
        let module = self.frame.module.clone();
        let Some(id) = module.resolved.function_ids.get(&decl.id).copied() else { return Ty::Fn(FnTy::Unknown) };
        let Some(function) = module.resolved.functions.get(id.0 as usize) else { return Ty::Fn(FnTy::Unknown) };
        let captures: Vec<Ty> = function.captures.iter().map(|c| self.captured(c.from)).collect();
        let captures = Rc::new(captures);
        let key = (module.id.0, id.0);
        match self.made.get_mut(&key) {
            Some(old) if *old != captures => {
                *old = Rc::new(old.iter().zip(captures.iter()).map(|(a, b)| join(a, b)).collect());
            }
            Some(_) => {}
            None => drop(self.made.insert(key, captures.clone())),
        }
        Ty::Fn(FnTy::User { module: key.0, index: key.1, captures })
    }
}

fn contains(outer: Span, inner: Span) -> bool {
    outer.source == inner.source && outer.start <= inner.start && inner.end <= outer.end
}

/// Parameters of a declared function.
pub(super) fn params_of(decl: &FnDecl) -> Vec<ParamInfo<'_>> {
    fn info(p: &Param) -> ParamInfo<'_> {
        let name = p.pattern.name().map_or("", |n| &*n.name);
        ParamInfo { name, required: p.default.is_none(), inout: p.inout, named_only: false }
    }
    decl.params.iter().map(info).collect()
}

/// The expression that is a body's value.
pub(super) fn value_span(body: &Expr) -> Span {
    use crate::syntax::ast::{ExprKind, StmtKind};
    if let ExprKind::Block(block) = &body.kind
        && let Some(last) = block.stmts.last()
        && let StmtKind::Expr(e) = &last.kind
    {
        return value_span(e);
    }
    body.span
}
