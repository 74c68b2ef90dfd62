//! Calls: of functions, of host functions known by name, of methods.

use std::rc::Rc;

use crate::ad::slot::Slot;
use crate::builtins::iterate::default_value;
use crate::bytecode::chunk::{CallSite, Host};
use crate::bytecode::op::{Op, Reg};
use crate::compile::FnCompiler;
use crate::compile::function::ZERO;
use crate::compile::literal::constant_tensor;
use crate::compile::place::OpenPlace;
use crate::ops::prim::{Default, Eval, Param, ParamKind};
use crate::resolve::{GlobalKind, LocalKind, Res};
use crate::source::Span;
use crate::symbol::Symbol;
use crate::syntax::ast::*;
use crate::value::{Key, Value};

impl FnCompiler<'_> {
    /// `callee(args)`
    pub fn call(&mut self, callee: &Expr, args: &[Arg], dst: Reg, span: Span) {
        if let ExprKind::Name(_) = &callee.kind {
            match self.res(callee.id) {
                Res::Prim(prim) => return self.host_call(Host::Prim(prim), args, dst, span),
                Res::Builtin(builtin) => return self.host_call(Host::Builtin(builtin), args, dst, span),
                _ => {}
            }
        }
        let places = self.prepare_places(args);
        let base = self.temps(args.len() + 1);
        self.expr(callee, base);
        self.finish_call(base, args, CallSite::default(), dst, span, None, places);
    }

    /// Places of `&place` arguments. Their registers must stand below the call's: the callee's frame covers what is
    /// above.
    fn prepare_places(&mut self, args: &[Arg]) -> Vec<(usize, OpenPlace)> {
        let inout = args.iter().enumerate().filter(|(_, a)| a.inout);
        inout.map(|(i, arg)| (i, self.prepare_place(&arg.value))).collect()
    }

    /// Evaluates the arguments behind `base` (and a receiver, if there is one), calls, puts `&places` back. `receiver` is
    /// its expression, and its place if the method may change it; else it stands in R[base+1] already.
    #[allow(clippy::too_many_arguments)]
    fn finish_call(
        &mut self,
        base: Reg,
        args: &[Arg],
        mut site: CallSite,
        dst: Reg,
        span: Span,
        receiver: Option<(&Expr, Option<OpenPlace>)>,
        places: Vec<(usize, OpenPlace)>,
    ) {
        let before = usize::from(receiver.is_some());
        let slot = |i: usize| Reg(base.0.saturating_add((1 + before + i) as u16));
        let mut spans: Vec<Span> = receiver.iter().map(|(e, _)| e.span).collect();
        for (i, arg) in args.iter().enumerate() {
            spans.push(arg.value.span);
            if !arg.inout {
                self.expr(&arg.value, slot(i));
            }
            if let Some(name) = &arg.name {
                site.names.push(Symbol::new(&name.name));
            }
        }
        let mut open: Vec<(OpenPlace, Reg)> = vec![];
        if let Some((_, Some(place))) = receiver {
            open.push((place, Reg(base.0 + 1)));
            site.inout |= 1;
        }
        for (i, place) in places {
            open.push((place, slot(i)));
            site.inout |= 1u64.checked_shl((before + i) as u32).unwrap_or(0);
        }
        Self::relate(&mut open);
        if let Some(Host::Builtin(builtin)) = site.host
            && calls_nothing(builtin.name)
        {
            open.iter_mut().for_each(|(place, _)| place.be_quiet());
        }
        for (place, reg) in &open {
            self.lend(place, *reg);
        }
        site.count = (before + args.len()) as u16;
        let method = site.method.is_some();
        let host = site.host.is_some();
        let pushes = site.method.is_some_and(|method| &*method.name() == "push");
        self.writer.chunk.calls.push(site);
        let site = self.writer.table(self.writer.chunk.calls.len());
        let op = match (host, method) {
            (true, _) => Op::CallHost { base, site },
            (_, true) => Op::CallMethod { base, site },
            _ => Op::Call { base, site },
        };
        self.writer.emit(op, span, &spans);
        self.hand_back(&open, pushes.then_some(Reg(base.0 + 1)), span);
        self.emit(Op::Take { dst, src: base }, span);
    }

    fn host_call(&mut self, host: Host, args: &[Arg], dst: Reg, span: Span) {
        if let Host::Builtin(builtin) = host
            && self.special_form(builtin.name, args, dst, span)
        {
            return;
        }
        if let (Host::Prim(prim), [arg]) = (host, args)
            && let Eval::Elementwise(_) = prim.eval
            && prim.sig.params.len() == 1
            && arg.name.is_none()
            && !arg.inout
        {
            let src = self.operand(&arg.value);
            self.writer.chunk.hosts.push(host);
            let prim = self.writer.table(self.writer.chunk.hosts.len());
            self.writer.emit(Op::Prim1 { dst, src, prim }, span, &[arg.value.span]);
            return;
        }
        let params = match host {
            Host::Prim(p) => p.sig.params,
            Host::Builtin(b) => b.sig.params,
        };
        if let Some(order) = arrange(params, args) {
            let base = self.temps(params.len() + 1);
            let mut places = vec![span; params.len()];
            for (arg, &at) in args.iter().zip(&order) {
                places[at] = arg.value.span;
                self.expr(&arg.value, Reg(base.0 + 1 + at as u16));
            }
            for (at, param) in params.iter().enumerate() {
                if let (ParamKind::Optional(default), false) = (param.kind, order.contains(&at)) {
                    self.load_default(Reg(base.0 + 1 + at as u16), default, span);
                }
            }
            let site = CallSite { count: params.len() as u16, host: Some(host), arranged: true, ..CallSite::default() };
            self.writer.chunk.calls.push(site);
            let site = self.writer.table(self.writer.chunk.calls.len());
            self.writer.emit(Op::CallHost { base, site }, span, &places);
            self.emit(Op::Take { dst, src: base }, span);
            return;
        }
        let places = self.prepare_places(args);
        let base = self.temps(args.len() + 1);
        let site = CallSite { host: Some(host), ..CallSite::default() };
        self.finish_call(base, args, site, dst, span, None, places);
    }

    /// A tensor as written, in all its digits: a constant, or lists of what stands in the brackets.
    fn written_numbers(&mut self, e: &Expr, dst: Reg) {
        let ExprKind::Tensor(items) = &e.kind else { return self.expr(e, dst) };
        if let Some(tensor) = constant_tensor(items) {
            return self.load(dst, Value::Tensor(Slot::CONST, Rc::new(tensor)), e.span);
        }
        self.emit(Op::MakeList { dst }, e.span);
        for item in items {
            let src = self.temp();
            self.written_numbers(item, src);
            self.emit(Op::Push { list: dst, src }, item.span);
        }
    }

    fn load_default(&mut self, dst: Reg, default: Default, span: Span) {
        let value = default_value(default);
        self.load(dst, value, span);
    }

    /// `dict(k: v)` and `list(e for ...)`, whose arguments are no ordinary ones.
    fn special_form(&mut self, name: &str, args: &[Arg], dst: Reg, span: Span) -> bool {
        match (name, args) {
            ("dict", _) if !args.is_empty() && args.iter().all(|a| a.name.is_some() && !a.inout) => {
                let first = self.temps(args.len());
                for (i, arg) in args.iter().enumerate() {
                    self.expr(&arg.value, Reg(first.0.saturating_add(i as u16)));
                }
                let keys = args.iter().filter_map(|a| a.name.as_ref()).map(|n| Key::Str(n.name.clone()));
                let keys = keys.collect();
                self.writer.chunk.dict_keys.push(keys);
                let site = self.writer.table(self.writer.chunk.dict_keys.len());
                self.emit(Op::MakeDict { dst, first, site }, span);
                true
            }
            // Another dtype than the usual one is that of the numbers as written.
            ("tensor", [Arg { name: None, inout: false, value }, dtype])
                if dtype.name.as_ref().is_some_and(|n| &*n.name == "dtype")
                    && !dtype.inout
                    && matches!(value.kind, ExprKind::Tensor(_)) =>
            {
                let base = self.temps(3);
                self.written_numbers(value, Reg(base.0 + 1));
                self.expr(&dtype.value, Reg(base.0 + 2));
                let host = crate::builtins::find("tensor").map(Host::Builtin);
                let names = vec![Symbol::new("dtype")];
                self.writer.chunk.calls.push(CallSite { count: 2, names, host, ..CallSite::default() });
                let site = self.writer.table(self.writer.chunk.calls.len());
                self.writer.emit(Op::CallHost { base, site }, span, &[value.span, dtype.value.span]);
                self.emit(Op::Take { dst, src: base }, span);
                true
            }
            // The message is made only where the condition does not hold.
            (
                "assert",
                [Arg { name: None, inout: false, value: condition }, Arg { name: None, inout: false, value: message }],
            ) => {
                let base = self.temps(3);
                let (first, second) = (Reg(base.0 + 1), Reg(base.0 + 2));
                let end = self.writer.label();
                self.expr(condition, first);
                self.writer.emit_jump(Op::SkipIfTrue { src: first, to: ZERO }, end, span);
                self.expr(message, second);
                let host = crate::builtins::find("assert").map(Host::Builtin);
                self.writer.chunk.calls.push(CallSite { count: 2, host, arranged: true, ..CallSite::default() });
                let site = self.writer.table(self.writer.chunk.calls.len());
                self.writer.emit(Op::CallHost { base, site }, span, &[condition.span, message.span]);
                self.writer.bind(end);
                self.load(dst, Value::None, span);
                true
            }
            ("list", [Arg { name: None, inout: false, value }])
                if matches!(value.kind, ExprKind::Comprehension { .. }) =>
            {
                self.expr(value, dst);
                true
            }
            _ => false,
        }
    }

    /// `receiver.name(args)`
    pub fn method(&mut self, id: NodeId, receiver: &Expr, name: &Ident, args: &[Arg], dst: Reg, span: Span) {
        let places = self.prepare_places(args);
        if let Some(global) = self.module_member(receiver, &name.name) {
            let base = self.temps(args.len() + 1);
            self.load_res(Res::Global(global), base, name.span);
            return self.finish_call(base, args, CallSite::default(), dst, span, None, places);
        }
        let changes = self.changes_receiver(receiver, &name.name, id);
        let mut place = if changes { Some(self.prepare_place(receiver)) } else { None };
        let base = self.temps(args.len() + 2);
        let resolved = &self.context.program.module(self.context.module).resolved;
        // Not if the program has a function or a method of that name.
        if let (Some(place), Some(Res::Builtin(builtin))) = (&mut place, resolved.functions_by_method.get(&id))
            && calls_nothing(builtin.name)
            && !self.is_method(&name.name)
        {
            place.be_quiet();
            if let ("push", [Arg { name: None, inout: false, .. }]) = (builtin.name, args) {
                place.be_pushed_on();
            }
        }
        match resolved.functions_by_method.get(&id) {
            // A field or method of that name comes first, so the variable may still be without a value.
            Some(&Res::Global(id)) => {
                let global = crate::bytecode::op::GlobalSlot(self.context.global(id));
                self.emit(Op::PeekGlobal { dst: base, global }, name.span);
            }
            Some(&res) => self.load_res(res, base, name.span),
            None => self.emit(Op::LoadNone { dst: base }, name.span),
        }
        if !changes {
            self.expr(receiver, Reg(base.0 + 1));
        }
        let site = CallSite { method: Some(Symbol::new(&name.name)), ..CallSite::default() };
        self.finish_call(base, args, site, dst, span, Some((receiver, place)), places);
    }

    /// True if a method of this name may take `inout self` and the receiver is a variable that may change.
    pub fn changes_receiver(&self, receiver: &Expr, name: &Rc<str>, id: NodeId) -> bool {
        if !receiver.is_place() || !self.is_variable(receiver) {
            return false;
        }
        if self.context.inout_methods.contains(name) {
            return true;
        }
        let resolved = &self.context.program.module(self.context.module).resolved;
        match resolved.functions_by_method.get(&id) {
            Some(Res::Builtin(b)) => b.sig.params.first().is_some_and(|p| p.kind == ParamKind::Inout),
            Some(Res::Global(global)) => match self.context.kind(*global) {
                GlobalKind::Function(f) => {
                    let module = self.owner_of(*global);
                    let function = &self.context.program.module(module).resolved.functions[f.0 as usize];
                    let first = function.decl.as_ref().and_then(|d| d.params.first());
                    first.is_some_and(|p| p.inout)
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a struct of the program has a method of this name.
    fn is_method(&self, name: &Rc<str>) -> bool {
        self.context.program.modules.iter().any(|module| {
            let structs = module.resolved.structs.iter().flat_map(|s| &s.methods);
            let extensions = module.resolved.extensions.iter().flat_map(|e| &e.methods);
            structs.chain(extensions).any(|(method, _)| method == name)
        })
    }

    fn owner_of(&self, id: crate::resolve::GlobalId) -> crate::resolve::ModuleId {
        match self.context.program.global(id).kind {
            GlobalKind::Imported(target) => self.owner_of(target),
            _ => id.module,
        }
    }

    fn is_variable(&self, place: &Expr) -> bool {
        match &place.kind {
            ExprKind::Index { base, .. } | ExprKind::Field { base, .. } => self.is_variable(base),
            ExprKind::Name(_) => match self.res(place.id) {
                Res::Local(local) => {
                    let local = &self.function.locals[local.0 as usize];
                    local.mutable && local.kind != LocalKind::Capture
                }
                Res::Global(id) => {
                    let global = self.context.program.global(id);
                    self.id.0 == 0 && global.mutable && matches!(global.kind, GlobalKind::Variable)
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// Position in the signature of each argument, if that is clear before running.
fn arrange(params: &[Param], args: &[Arg]) -> Option<Vec<usize>> {
    if params.iter().any(|p| matches!(p.kind, ParamKind::Rest | ParamKind::Variadic | ParamKind::Inout)) {
        return None;
    }
    let mut order = vec![];
    for (i, arg) in args.iter().enumerate() {
        let at = match &arg.name {
            Some(name) => params.iter().position(|p| p.name == &*name.name)?,
            None => i,
        };
        if arg.inout || at >= params.len() || order.contains(&at) {
            return None;
        }
        order.push(at);
    }
    let complete = params.iter().enumerate().all(|(i, p)| p.kind != ParamKind::Required || order.contains(&i));
    complete.then_some(order)
}

/// True for the builtins that change a list or dict and call nothing of the program.
fn calls_nothing(name: &str) -> bool {
    ["push", "pop", "extend", "insert", "remove"].contains(&name)
}
