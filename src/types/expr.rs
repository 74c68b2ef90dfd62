//! Expressions: one arm for each form; the larger forms have files of their own.

use std::rc::Rc;

use super::Checker;
use super::call::ArgVal;
use super::error::TypeError;
use super::host::Host;
use super::show::show_a;
use super::size::Num;
use super::ty::{Dim, FnTy, Ty};
use crate::builtins::higher_order::not_a_bound;
use crate::error::Error;
use crate::resolve::{CaptureFrom, GlobalId, GlobalKind, Res};
use crate::syntax::ast::{Arg, Block, Expr, ExprKind, FormatPart, StmtKind, UnOp};
use crate::tensor::DType;
use crate::value::RangeValue;
use crate::vm::items::no_part_of_format;

impl Checker {
    /// The type of an expression; `Never` if it yields no value.
    pub(super) fn expr(&mut self, e: &Expr) -> Ty {
        self.expr_with_elements(e).forget_elements()
    }

    /// The same for what gets a name or is run over: the elements of an int tensor are kept.
    pub(super) fn expr_with_elements(&mut self, e: &Expr) -> Ty {
        if self.frame.dead {
            return Ty::Never;
        }
        if !self.spend() {
            return Ty::Any;
        }
        self.depth += 1;
        let ty = self.form(e);
        self.depth -= 1;
        if self.frame.dead {
            self.record(e.id, &Ty::Never);
            return Ty::Never;
        }
        self.record(e.id, &ty);
        ty
    }

    fn form(&mut self, e: &Expr) -> Ty {
        match &e.kind {
            ExprKind::None => Ty::None,
            ExprKind::Bool(b) => Ty::Bool(Some(*b)),
            ExprKind::Int(n) => Ty::Int(Num::Known(*n)),
            ExprKind::Float(_) => Ty::Float,
            ExprKind::Str(s) => Ty::Str((s.len() <= 64 || self.telling).then(|| s.clone())),
            ExprKind::Format(parts) => self.format(parts),
            ExprKind::Name(_) => self.name(e),
            ExprKind::Unary(op, operand) => self.unary(*op, operand, e.span),
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b, e.span),
            ExprKind::Chain { first, rest } => self.chain(first, rest),
            ExprKind::Range { lo, hi, inclusive } => self.range(lo, hi, *inclusive),
            ExprKind::Call { callee, args } => self.call(e, callee, args),
            ExprKind::Method { receiver, name, args } => self.method_call(e, receiver, name, args),
            ExprKind::Index { base, items } => {
                let ty = self.expr_with_elements(base);
                let items = self.index_items(items);
                self.index(&ty, &items, base.span, e.span)
            }
            ExprKind::Field { base, name } => {
                let ty = self.expr(base);
                self.record_again(base.id, &ty);
                self.field_of(base, &ty, name, e.span)
            }
            ExprKind::Tuple(items) => {
                let items = items.iter().map(|i| self.expr(i)).collect();
                Ty::tuple(items)
            }
            ExprKind::Tensor(items) => self.brackets(items),
            ExprKind::Comprehension { list, element, clauses } => self.comprehension(*list, element, clauses),
            ExprKind::Lambda(decl) => self.closure(decl),
            ExprKind::Block(block) => self.block(block),
            ExprKind::If { cond, then, otherwise } => self.if_else(cond, then, otherwise.as_deref()),
            ExprKind::Try { body, name, handler } => self.try_catch(body, name.as_ref().map(|n| n.1), handler),
            ExprKind::Invalid => {
                self.forget_all();
                Ty::Any
            }
        }
    }

    /// The value of a block is that of its last statement if that is an expression.
    pub(super) fn block(&mut self, block: &Block) -> Ty {
        let Some((last, before)) = block.stmts.split_last() else { return Ty::None };
        for stmt in before {
            self.stmt(stmt);
        }
        if let StmtKind::Expr(e) = &last.kind {
            return self.expr(e);
        }
        self.stmt(last);
        Ty::None
    }

    fn format(&mut self, parts: &[FormatPart]) -> Ty {
        let mut text = String::new();
        let mut known = true;
        for part in parts {
            match part {
                FormatPart::Text(t) => text.push_str(t),
                FormatPart::Value { value, spec } => {
                    let ty = self.expr(value);
                    for value in FormatPart::values(spec) {
                        let ty = self.expr(value);
                        if !matches!(ty, Ty::Int(_) | Ty::Str(_) | Ty::Any | Ty::Never) && !may_be_scalar(&ty) {
                            let kind = show_a(&ty);
                            let error = no_part_of_format(&kind).operand(0, format!("this is {kind}"));
                            let operands = vec![value.span];
                            self.report(TypeError::Operation { error, operands, origins: vec![] }, value.span);
                        }
                    }
                    let part = if spec.is_empty() && self.telling { shown(&ty) } else { None };
                    match part {
                        Some(part) => text.push_str(&part),
                        None => known = false,
                    }
                }
            }
        }
        let limit = if self.telling { 512 } else { 64 };
        Ty::Str((known && text.len() <= limit).then(|| text.into()))
    }

    fn name(&mut self, e: &Expr) -> Ty {
        match self.resolution(e.id) {
            Some(res) => self.resolved(res),
            None => Ty::Any,
        }
    }

    /// The value that a name stands for.
    pub(super) fn resolved(&mut self, res: Res) -> Ty {
        match res {
            Res::Local(local) => self.frame.local(local),
            Res::Global(id) => self.global(id),
            Res::Itself => self.frame.itself.clone(),
            Res::Prim(prim) => {
                self.host.entry(prim.name).or_insert(Host::Prim(prim));
                Ty::Fn(FnTy::Builtin(prim.name))
            }
            Res::Builtin(builtin) => {
                self.host.insert(builtin.name, Host::Builtin(builtin));
                Ty::Fn(FnTy::Builtin(builtin.name))
            }
            Res::Constant(_) => Ty::Float,
            Res::DType(dtype) => Ty::DType(Some(dtype)),
            Res::Unknown => Ty::Any,
        }
    }

    /// A global's value, noted as read by the running function.
    pub(super) fn global(&mut self, id: GlobalId) -> Ty {
        let Some(module) = self.module(id.module.0) else { return Ty::Any };
        let Some(global) = module.resolved.globals.get(id.index as usize) else { return Ty::Any };
        match &global.kind {
            GlobalKind::Function(f) => Ty::Fn(FnTy::User { module: id.module.0, index: f.0, captures: Rc::default() }),
            GlobalKind::Struct(index) => match self.struct_info(id.module.0, *index) {
                Some(info) => Ty::StructType(info),
                None => Ty::Any,
            },
            GlobalKind::Module(m) => Ty::Module(m.0),
            GlobalKind::Imported(other) if *other != id => self.global(*other),
            GlobalKind::Imported(_) => Ty::Any,
            GlobalKind::Variable | GlobalKind::Param => {
                let ty = self.stored_global(id);
                if !self.frame.reads.iter().any(|(known, _)| *known == id) {
                    self.frame.reads.push((id, ty.clone()));
                }
                ty
            }
        }
    }

    /// What is known of a global variable at this point of the program.
    pub(super) fn stored_global(&self, id: GlobalId) -> Ty {
        match self.globals.get(id.module.0 as usize).and_then(|m| m.get(id.index as usize)) {
            None | Some(Ty::Never) => Ty::Any,
            Some(ty) => ty.clone(),
        }
    }

    pub(super) fn same_global(&self, id: GlobalId, ty: &Ty) -> bool {
        match self.globals.get(id.module.0 as usize).and_then(|m| m.get(id.index as usize)) {
            None | Some(Ty::Never) => *ty == Ty::Any,
            Some(now) => now == ty,
        }
    }

    pub(super) fn captured(&mut self, from: CaptureFrom) -> Ty {
        match from {
            CaptureFrom::Itself => self.frame.itself.clone(),
            CaptureFrom::Local(local) => self.frame.local(local),
            CaptureFrom::Global(id) => self.global(id),
        }
    }

    fn unary(&mut self, op: UnOp, operand: &Expr, span: crate::source::Span) -> Ty {
        let ty = self.expr(operand);
        let error = match (op, &ty) {
            (_, Ty::Any | Ty::Never) => return ty,
            (UnOp::Not, Ty::Bool(b)) => return Ty::Bool(b.map(|b| !b)),
            (UnOp::Neg, Ty::Int(n)) => return Ty::Int(Num::Known(0) - *n),
            (UnOp::Neg, Ty::Float) => return Ty::Float,
            (UnOp::Neg, t) if matches!(t, Ty::Tensor(_)) || t.is_structure() => {
                return self.operator("neg", &[ty], &[operand.span], span);
            }
            (UnOp::Not, Ty::Tensor(t)) if t.dims.is_none() || t.dtype.is_none_or(|d| d == DType::Bool) => {
                return self.operator("not", &[ty], &[operand.span], span);
            }
            (UnOp::Not, _) => Error::new("E0311", format!("`not` turns a bool around, not {}", show_a(&ty)))
                .help("compare first: not x > 0, or x == none"),
            (UnOp::Neg, _) => Error::new("E0310", format!("`-` does not work on {}", show_a(&ty))),
        };
        let error = error.operand(0, format!("this is {}", show_a(&ty)));
        self.report(TypeError::Operation { error, operands: vec![operand.span], origins: vec![] }, span)
    }

    fn range(&mut self, lo: &Expr, hi: &Expr, inclusive: bool) -> Ty {
        let (a, b) = (self.expr(lo), self.expr(hi));
        for (ty, bound) in [(&a, lo), (&b, hi)] {
            if matches!(ty, Ty::Float | Ty::Str(_) | Ty::Bool(_) | Ty::None | Ty::List(_) | Ty::Tuple(_)) {
                let kind = show_a(ty);
                let error = not_a_bound(&kind).operand(0, format!("this is {kind}"));
                let span = lo.span.to(hi.span);
                return self.report(TypeError::Operation { error, operands: vec![bound.span], origins: vec![] }, span);
            }
        }
        match (a, b) {
            (Ty::Int(Num::Known(start)), Ty::Int(Num::Known(stop))) => match stop.checked_add(i64::from(inclusive)) {
                Some(stop) => Ty::RangeOf(RangeValue { start, stop, step: 1 }),
                None => Ty::Range,
            },
            (a, _) => super::join::range(self.reaches(&a, hi, inclusive)),
        }
    }

    fn call(&mut self, e: &Expr, callee: &Expr, args: &[Arg]) -> Ty {
        let f = self.expr(callee);
        if let ([Arg { value, .. }], Ty::Fn(FnTy::Builtin("list"))) = (args, &f)
            && let ExprKind::Comprehension { list: true, .. } = &value.kind
        {
            return self.expr(value);
        }
        self.warn_nested(e);
        let values = match (args, &f) {
            (
                [condition @ Arg { name: None, .. }, message @ Arg { name: None, .. }],
                Ty::Fn(FnTy::Builtin("assert")),
            ) => self.assert_args(condition, message),
            _ => self.args(args),
        };
        let known = self.frame.problems.len();
        let first = values.first().map(|a| a.ty.clone());
        let outcome = self.call_value(&f, values, callee.span, e.span);
        if self.frame.problems.len() > known {
            self.suggest_layer(known, &f, path_of(callee), first.as_ref(), e.span);
            let operands: Vec<&Expr> = args.iter().map(|a| &a.value).collect();
            self.explain_call(known, &f, path_of(callee), &operands, e.span);
            if let ExprKind::Name(name) = &callee.kind {
                self.tell_hidden(known, &f, name, callee.span, false);
                self.tell_variable(known, callee, name);
            }
        }
        self.learn(&f, args);
        let ty = self.write_back(args, 0, outcome);
        self.refine_range(&f, args, ty)
    }

    /// The condition and message of an `assert`: the message is made only where the condition does not hold.
    fn assert_args(&mut self, condition: &Arg, message: &Arg) -> Vec<ArgVal> {
        let mut values = self.args(std::slice::from_ref(condition));
        let holds = values.first().map_or(Ty::Any, |v| v.ty.clone());
        if self.frame.dead {
            return values;
        }
        let known = self.frame.problems.len();
        let before = std::mem::replace(&mut self.telling, holds == Ty::Bool(Some(false)));
        let certain = self.telling;
        values.extend(self.perhaps(!certain, |c| c.args(std::slice::from_ref(message))));
        self.telling = before;
        if !certain {
            self.frame.dead = false;
        }
        if holds == Ty::Bool(Some(true)) {
            let seen = self.frame.problems.split_off(known);
            self.frame.problems.extend(seen.into_iter().filter(|p| super::is_about_names(p.diagnostic.code)));
        }
        values
    }

    /// A dense layer made for another number of features: what to make instead.
    pub(super) fn suggest_layer(
        &mut self,
        known: usize,
        f: &Ty,
        name: Option<String>,
        x: Option<&Ty>,
        site: crate::source::Span,
    ) {
        let Ty::Struct(layer) = f else { return };
        let is_dense = &*layer.info.name == "Dense"
            && self.module(layer.info.at.module).is_some_and(|m| m.is_library && &*m.name == "nn");
        let w = layer.fields.first().and_then(Ty::dims);
        let (true, Some(name), Some([Dim::Known(takes), Dim::Known(gives)]), Some(dims)) =
            (is_dense, name, w.as_deref(), x.and_then(Ty::dims))
        else {
            return;
        };
        let Some(Dim::Known(gets)) = dims.last() else { return };
        for problem in self.frame.problems.iter_mut().skip(known) {
            let d = &mut problem.diagnostic;
            if d.code == "E0303" && d.span() == Some(site) && gets != takes {
                d.help = Some(format!(
                    "`{name}` takes {takes} features and gets {gets}: nn.Dense.new({gets}, {gives}) would take them"
                ));
            }
        }
    }

    /// Adds to the problems of a call, those from `known` on, what the call itself tells: the name of the layer that was called,
    /// and where the operands of a builtin come from.
    pub(super) fn explain_call(
        &mut self,
        known: usize,
        f: &Ty,
        name: Option<String>,
        operands: &[&Expr],
        site: crate::source::Span,
    ) {
        let origins = match f {
            Ty::Fn(FnTy::Builtin(_)) => self.origins_of(operands),
            _ => vec![],
        };
        let name = name.filter(|_| matches!(f, Ty::Struct(_)));
        for problem in self.frame.problems.iter_mut().skip(known).filter(|p| p.diagnostic.code == "E0326") {
            let d = &mut problem.diagnostic;
            let unmarked = d.labels.iter().find(|l| l.message == super::error::MARK).map(|l| l.span);
            if let (Ty::Fn(FnTy::Made { transform, .. }), Some(place)) = (f, unmarked) {
                let marked = d.labels.iter_mut().filter(|l| l.span == place);
                marked.for_each(|l| l.message = format!("`{transform}` hands over a value"));
                d.help = Some(format!("give `{transform}` a function that changes a copy: |a| {{ var a = a; f(&a) }}"));
                continue;
            }
            if let Some(path) = operands.iter().find(|e| Some(e.span) == unmarked).and_then(|e| path_of(e)) {
                d.help = Some(format!("write `&{path}` to let the function change it"));
            }
        }
        for problem in self.frame.problems.iter_mut().skip(known) {
            let d = &mut problem.diagnostic;
            if let Some(name) = &name {
                for label in d.labels.iter_mut().filter(|l| l.span == site) {
                    match label.message.as_str() {
                        "in this call" => label.message = format!("in this call of `{name}`"),
                        "called from here" => label.message = format!("`{name}` is called here"),
                        _ => {}
                    }
                }
            }
            let told_by_it = problem.library.as_ref().is_none_or(|function| !function.is_empty());
            if matches!(d.code, "E0301" | "E0303") && d.span() == Some(site) && told_by_it {
                for (place, remark) in &origins {
                    if !d.labels.iter().any(|l| l.span == *place) {
                        *d = d.clone().also(*place, remark.clone());
                    }
                }
            }
        }
    }

    /// Copies what a call left in its `&` arguments back to their places. Argument `i` of the call is `args[i - skip]`.
    pub(super) fn write_back(&mut self, args: &[Arg], skip: usize, outcome: super::call::Outcome) -> Ty {
        for (i, ty) in outcome.outs {
            let Some(arg) = i.checked_sub(skip).and_then(|i| args.get(i)) else { continue };
            if arg.inout && arg.value.is_place() {
                let before = std::mem::replace(&mut self.place_was_read, true);
                self.assign(&arg.value, &ty, arg.value.span);
                self.place_was_read = before;
            }
        }
        outcome.ty
    }

    /// The condition of `if` and `while`: its value if known.
    pub(super) fn condition(&mut self, cond: &Expr) -> Option<bool> {
        let ty = self.expr(cond);
        let wrong = match &ty {
            Ty::Bool(known) => return *known,
            Ty::Any | Ty::Never | Ty::DType(_) => false,
            Ty::Tensor(t) => t.dims.is_some(),
            _ => true,
        };
        if wrong {
            self.report(TypeError::Condition { ty, place: cond.span }, cond.span);
        }
        None
    }
}

/// True for a tensor of unknown rank.
fn may_be_scalar(ty: &Ty) -> bool {
    matches!(ty, Ty::Tensor(t) if t.dims.is_none())
}

/// What the message of an assertion shows of a value: sizes are shown as in the types of messages.
fn shown(ty: &Ty) -> Option<String> {
    match ty {
        Ty::Int(Num::Unknown) => None,
        Ty::Int(n) => Some(n.to_string()),
        Ty::Str(Some(text)) => Some(text.to_string()),
        Ty::Tuple(items) => {
            let items: Option<Vec<String>> =
                items.iter().map(|t| shown(t).filter(|_| matches!(t, Ty::Int(_)))).collect();
            let items = items?;
            Some(if items.len() == 1 { format!("({},)", items.join("")) } else { format!("({})", items.join(", ")) })
        }
        _ => None,
    }
}

/// `self.out`, as it is written.
pub(super) fn path_of(e: &Expr) -> Option<String> {
    match &e.kind {
        ExprKind::Name(name) => Some(name.to_string()),
        ExprKind::Field { base, name } => Some(format!("{}.{}", path_of(base)?, name.name)),
        _ => None,
    }
}
