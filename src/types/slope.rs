//! Whether a function's result depends on an argument with a slope, or only through operations that have none
//! (`floor`, comparisons, `argmax`, `int`, `stop_grad`), or not at all: then its gradient is zero, which is hardly meant.
//!
//! A walk over the function's body and the functions it calls by name. What is not known counts as a slope, so that a
//! warning is never wrong about that.

use rustc_hash::FxHashMap as HashMap;

use super::Checker;
use super::ty::{FnTy, Ty};
use crate::diagnostic::Diagnostic;
use crate::ops::prim::Diff;
use crate::resolve::{CaptureFrom, FnId, GlobalId, GlobalKind, LoadedModule, LocalId, ModuleId, Res};
use crate::source::Span;
use crate::syntax::ast::{Arg, BinOp, Block, Clause, Expr, ExprKind, FnDecl, IndexItem, Pattern, Stmt, StmtKind, UnOp};
use std::rc::Rc;

/// How a value depends on the argument; the greater covers the lesser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Slope {
    Independent,
    /// It depends, but every path goes through something without slope.
    Dead,
    Live,
}

/// A place where a slope ends: the name of what ends it.
#[derive(Clone, PartialEq)]
struct Death {
    place: Span,
    by: String,
}

/// Functions that are followed inside one another.
const MAX_FOLLOWED: usize = 12;
/// Passes over a loop until nothing changes; more are taken to reach everything.
const MAX_PASSES: usize = 16;
/// Places that are shown.
const MAX_SHOWN: usize = 3;

impl Checker {
    /// Warns if the derivative (`what`: "the gradient") of `f` with respect to its parameter `wrt` is zero whatever the
    /// argument, and where a branch compares the argument exactly.
    pub(super) fn warn_dead_gradient(&mut self, what: &str, f: &Ty, wrt: usize, site: Span) {
        if self.frame.module.is_library || self.gave_up {
            return;
        }
        let Ty::Fn(FnTy::User { module, index, .. }) = f else { return };
        let Some(module) = self.module(*module) else { return };
        let Some(function) = module.resolved.functions.get(*index as usize) else { return };
        let Some(decl) = function.decl.clone() else { return };
        let Some(param) = decl.params.get(wrt) else { return };
        let mut walk = Walk::new(self, &module, vec![FnId(*index)]);
        walk.bind(&param.pattern, Slope::Live);
        walk.defaults(&decl, &module, wrt);
        let value = walk.expr(&decl.body).max(walk.returned);
        let (deaths, exact) = (walk.deaths, walk.exact);
        for comparison in exact {
            let d = Diagnostic::warning("W0309", "a branch at one exact value of what is differentiated")
                .at(comparison, "it matters at a single point only")
                .also(site, "differentiated here")
                .help("the gradient there is that of the branch alone; cover a neighbourhood, as in abs(x) < 1e-4");
            self.note(d);
        }
        let name = param.pattern.name().map_or("its argument".into(), |n| format!("`{}`", n.name));
        match value {
            Slope::Live => {}
            Slope::Dead => {
                let message = format!("{what} is zero: the result depends on {name} only through what has no slope");
                let mut d = Diagnostic::warning("W0308", message).at(site, "");
                for death in deaths.iter().take(MAX_SHOWN) {
                    d = d.also(death.place, format!("{} has slope 0", death.by));
                }
                self.note(match deaths.first() {
                    Some(death) => d.help(remedy(&death.by)),
                    None => d,
                });
            }
            Slope::Independent => {
                // A long body is shown by its name.
                let place = match (&decl.body.kind, &decl.name) {
                    (ExprKind::Block(_), Some(name)) => name.span,
                    _ => decl.body.span,
                };
                let message = format!("{what} is zero: the result does not depend on {name}");
                self.note(
                    Diagnostic::warning("W0308", message).at(site, "").also(place, format!("constant in {name}")),
                );
            }
        }
    }
}

/// The smooth form of what has no slope.
fn remedy(by: &str) -> &'static str {
    match by {
        "`round`" | "`floor`" | "`ceil`" | "`trunc`" | "`//`" | "`int`" => {
            "to round in the value only, write x + stop_grad(round(x) - x): its slope is 1"
        }
        "`sign`" => "tanh(x / t) is a smooth sign",
        "`argmax`" | "`argmin`" | "`one_hot`" => {
            "softmax(x, axis: 0) weighs all entries smoothly; sum(x * softmax(x, axis: 0)) is near the largest"
        }
        "`argsort`" | "`searchsorted`" => "module `soft` has smooth ranks and sorting",
        "`count_nonzero`" | "`any`" | "`all`" => "sum(sigmoid(x / t)) counts smoothly",
        "`stop_grad`" => "leave out stop_grad where the slope is wanted",
        "`if`" | "the condition" => {
            "mix the branches smoothly: let w = sigmoid((x - edge) / t), then w * a + (1 - w) * b"
        }
        _ => "a smooth step is sigmoid((a - b) / t)",
    }
}

struct Walk<'a> {
    checker: &'a mut Checker,
    module: &'a LoadedModule,
    locals: HashMap<LocalId, Slope>,
    returned: Slope,
    deaths: Vec<Death>,
    /// Conditions that compare a float with a slope exactly.
    exact: Vec<Span>,
    /// The functions being followed, of this module and others.
    stack: Vec<FnId>,
    /// How deep in calls.
    depth: usize,
}

impl<'a> Walk<'a> {
    fn new(checker: &'a mut Checker, module: &'a LoadedModule, stack: Vec<FnId>) -> Walk<'a> {
        Walk {
            checker,
            module,
            locals: HashMap::default(),
            returned: Slope::Independent,
            deaths: vec![],
            exact: vec![],
            stack,
            depth: 0,
        }
    }

    /// The slope ends here.
    fn kill(&mut self, slope: Slope, place: Span, by: impl Into<String>) -> Slope {
        if slope == Slope::Live {
            let death = Death { place, by: by.into() };
            if !self.deaths.contains(&death) {
                self.deaths.push(death);
            }
        }
        slope.min(Slope::Dead)
    }

    fn local(&self, res: Option<&Res>) -> Slope {
        match res {
            Some(Res::Local(local)) => self.locals.get(local).copied().unwrap_or(Slope::Independent),
            Some(Res::Itself) => Slope::Live,
            _ => Slope::Independent,
        }
    }

    /// Default values of parameters may use the ones before them.
    fn defaults(&mut self, decl: &FnDecl, module: &LoadedModule, given: usize) {
        let _ = module;
        for (i, param) in decl.params.iter().enumerate() {
            if i != given
                && let Some(default) = &param.default
            {
                let slope = self.expr(default);
                if slope != Slope::Independent {
                    self.bind(&param.pattern, slope);
                }
            }
        }
    }

    /// A call of a function of the program: what its body makes of the arguments. `None` if it cannot be followed.
    fn follow(&mut self, res: Option<&Res>, args: &[(Option<Rc<str>>, Slope)]) -> Option<Slope> {
        let Some(Res::Global(id)) = res else { return None };
        let (module, function) = self.function(*id)?;
        if self.depth >= MAX_FOLLOWED || self.stack.contains(&function) && module.id == self.module.id {
            return None;
        }
        let function_info = module.resolved.functions.get(function.0 as usize)?;
        let decl = function_info.decl.clone()?;
        if decl.params.iter().any(|p| p.inout) || args.len() > decl.params.len() {
            return None;
        }
        let mut inner = Walk::new(self.checker, &module, vec![function]);
        inner.depth = self.depth + 1;
        if module.id == self.module.id {
            inner.stack.extend(&self.stack);
        }
        let mut given = vec![false; decl.params.len()];
        for (i, (name, slope)) in args.iter().enumerate() {
            let at = match name {
                None => i,
                Some(name) => decl.params.iter().position(|p| p.pattern.name().is_some_and(|n| n.name == *name))?,
            };
            *given.get_mut(at)? = true;
            inner.bind(&decl.params.get(at)?.pattern, *slope);
        }
        for (param, given) in decl.params.iter().zip(&given) {
            if !given && let Some(default) = &param.default {
                let slope = inner.expr(default);
                inner.bind(&param.pattern, slope);
            }
        }
        let value = inner.expr(&decl.body).max(inner.returned);
        let (deaths, exact) = (inner.deaths, inner.exact);
        if !module.is_library {
            for death in deaths {
                if !self.deaths.contains(&death) {
                    self.deaths.push(death);
                }
            }
            self.exact.extend(exact);
        }
        Some(value)
    }

    fn function(&self, id: GlobalId) -> Option<(Rc<LoadedModule>, FnId)> {
        let module = self.checker.module(id.module.0)?;
        match &module.resolved.globals.get(id.index as usize)?.kind {
            GlobalKind::Function(f) => Some((module.clone(), *f)),
            GlobalKind::Imported(other) if *other != id => self.function(*other),
            _ => None,
        }
    }

    /// `module.name`
    fn member(&self, base: &Expr, name: &str) -> Option<Res> {
        let Some(Res::Global(id)) = self.module.resolved.names.get(&base.id) else { return None };
        let home = self.checker.module(id.module.0)?;
        let GlobalKind::Module(module) = home.resolved.globals.get(id.index as usize)?.kind else { return None };
        let member = self.checker.module(module.0)?;
        let index = member.resolved.globals.iter().rposition(|g| &*g.name == name)?;
        Some(Res::Global(GlobalId { module: ModuleId(module.0), index: index as u32 }))
    }

    fn named(&mut self, args: &[Arg]) -> Vec<(Option<Rc<str>>, Slope)> {
        args.iter().map(|a| (a.name.as_ref().map(|n| n.name.clone()), self.expr(&a.value))).collect()
    }

    fn all<'e>(&mut self, items: impl IntoIterator<Item = &'e Expr>) -> Slope {
        items.into_iter().fold(Slope::Independent, |s, e| s.max(self.expr(e)))
    }

    fn expr(&mut self, e: &Expr) -> Slope {
        match &e.kind {
            ExprKind::Name(_) => self.local(self.module.resolved.names.get(&e.id)),
            ExprKind::Unary(UnOp::Not, x) => {
                let x = self.expr(x);
                self.kill(x, e.span, "`not`")
            }
            ExprKind::Unary(UnOp::Neg, x) => self.expr(x),
            ExprKind::Binary(op, a, b) => {
                let both = self.expr(a).max(self.expr(b));
                let kills = op.is_comparison() || matches!(op, BinOp::FloorDiv | BinOp::And | BinOp::Or);
                if kills { self.kill(both, e.span, format!("`{}`", op.symbol())) } else { both }
            }
            ExprKind::Chain { first, rest } => {
                let all = self.all(std::iter::once(&**first).chain(rest.iter().map(|r| &r.1)));
                self.kill(all, e.span, "a comparison")
            }
            ExprKind::Range { lo, hi, .. } => {
                let ends = self.expr(lo).max(self.expr(hi));
                self.kill(ends, e.span, "a range")
            }
            ExprKind::Call { callee, args } => {
                let each = self.named(args);
                let given = each.iter().map(|a| a.1).max().unwrap_or(Slope::Independent);
                self.write_back(args, given);
                let res = match &callee.kind {
                    ExprKind::Field { base, name } => self.member(base, &name.name),
                    _ => self.module.resolved.names.get(&callee.id).copied(),
                };
                self.called(res.as_ref(), &each, given, e.span).unwrap_or_else(|| given.max(self.expr(callee)))
            }
            ExprKind::Method { receiver, name, args } => {
                if let Some(res) = self.member(receiver, &name.name) {
                    let each = self.named(args);
                    let given = each.iter().map(|a| a.1).max().unwrap_or(Slope::Independent);
                    self.write_back(args, given);
                    return self.called(Some(&res), &each, given, e.span).unwrap_or(given);
                }
                let own = self.expr(receiver);
                let mut each = vec![(None, own)];
                each.extend(self.named(args));
                let given = each.iter().map(|a| a.1).max().unwrap_or(own);
                self.write_back(args, given);
                let numeric = matches!(
                    self.checker.types.get(self.module.id, receiver.id),
                    Ty::Tensor(_) | Ty::Float | Ty::Int(_)
                );
                if numeric {
                    let res = self.module.resolved.functions_by_method.get(&e.id).copied();
                    return self.called(res.as_ref(), &each, given, e.span).unwrap_or(given);
                }
                self.raise(receiver, given);
                given
            }
            ExprKind::Index { base, items } => {
                let base = self.expr(base);
                items.iter().fold(base, |s, item| match item {
                    IndexItem::At(at) => {
                        let at_slope = self.expr(at);
                        s.max(self.kill(at_slope, at.span, "an index"))
                    }
                    IndexItem::Slice { start, stop, step, .. } => {
                        let ends = [start, stop, step].into_iter().flatten();
                        let ends = self.all(ends);
                        s.max(self.kill(ends, e.span, "a slice"))
                    }
                    IndexItem::Ellipsis(_) => s,
                })
            }
            ExprKind::Field { base, name } => {
                let fact = matches!(&*name.name, "shape" | "rank" | "size" | "dtype");
                let tensor = matches!(self.checker.types.get(self.module.id, base.id), Ty::Tensor(_) | Ty::Float);
                let slope = self.expr(base);
                // The shape does not even depend on the values.
                if fact && tensor { Slope::Independent } else { slope }
            }
            ExprKind::Tuple(items) | ExprKind::Tensor(items) => self.all(items),
            ExprKind::Comprehension { element, clauses, .. } => {
                let mut slope = Slope::Independent;
                for clause in clauses {
                    match clause {
                        Clause::For { pattern, iter } => {
                            let items = self.expr(iter);
                            self.bind(pattern, items);
                        }
                        Clause::If(cond) => slope = slope.max(self.condition(cond)),
                    }
                }
                slope.max(self.expr(element))
            }
            ExprKind::Lambda(decl) => self.closure(self.module.resolved.function_ids.get(&decl.id)),
            ExprKind::Block(block) => self.block(block),
            ExprKind::If { cond, then, otherwise } => {
                let cond = self.condition(cond);
                let then = self.expr(then);
                cond.max(then).max(otherwise.as_deref().map_or(Slope::Independent, |e| self.expr(e)))
            }
            ExprKind::Try { body, handler, .. } => self.block(body).max(self.block(handler)),
            ExprKind::None
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Str(_)
            | ExprKind::Format(_)
            | ExprKind::Invalid => Slope::Independent,
        }
    }

    /// How a condition's value depends on the argument; it has no slope itself.
    fn condition(&mut self, cond: &Expr) -> Slope {
        if let ExprKind::Binary(BinOp::Eq | BinOp::Ne, a, b) = &cond.kind {
            let sides = [&**a, &**b];
            let float = |w: &Self, e: &Expr| *w.checker.types.get(w.module.id, e.id) == Ty::Float;
            let live = sides.iter().any(|x| float(self, x) && self.expr(x) == Slope::Live);
            if live && sides.iter().all(|x| float(self, x)) && !self.exact.contains(&cond.span) {
                self.exact.push(cond.span);
            }
        }
        let slope = self.expr(cond);
        self.kill(slope, cond.span, "the condition")
    }

    /// The slope of a call of something known; `None` if nothing is known of it.
    fn called(
        &mut self,
        res: Option<&Res>,
        args: &[(Option<Rc<str>>, Slope)],
        all: Slope,
        place: Span,
    ) -> Option<Slope> {
        match res {
            Some(Res::Prim(prim)) if matches!(prim.diff, Diff::Zero) => {
                Some(self.kill(all, place, format!("`{}`", prim.name)))
            }
            // A step in x, but not in the value at the step.
            Some(Res::Prim(prim)) if prim.name == "heaviside" => {
                let is_x = |i: usize, name: &Option<Rc<str>>| name.as_deref().map_or(i == 0, |n| n == "x");
                let slope = |x: bool| {
                    let picked = args.iter().enumerate().filter(|(i, (name, _))| is_x(*i, name) == x);
                    picked.map(|(_, (_, s))| *s).max().unwrap_or(Slope::Independent)
                };
                let (x, h) = (slope(true), slope(false));
                Some(self.kill(x, place, "`heaviside`").max(h))
            }
            Some(Res::Builtin(b)) => match b.name {
                // They tell of the shape or kind only, or of nothing.
                "len" | "type" | "zeros_like" | "ones_like" | "print" => Some(Slope::Independent),
                "int" | "bool" | "str" | "repr" | "stop_grad" | "any" | "all" | "argmax" | "argmin" | "argsort"
                | "one_hot" | "count_nonzero" | "searchsorted" => Some(self.kill(all, place, format!("`{}`", b.name))),
                _ => None,
            },
            Some(Res::DType(dtype)) if !dtype.is_float() => Some(self.kill(all, place, "the conversion")),
            res => self.follow(res, args),
        }
    }

    fn closure(&self, id: Option<&FnId>) -> Slope {
        let function = id.and_then(|id| self.module.resolved.functions.get(id.0 as usize));
        let captures = function.map(|f| f.captures.as_slice()).unwrap_or(&[]);
        let slope = |c: &crate::resolve::Capture| match c.from {
            CaptureFrom::Local(local) => self.locals.get(&local).copied().unwrap_or(Slope::Independent),
            CaptureFrom::Itself => Slope::Live,
            CaptureFrom::Global(_) => Slope::Independent,
        };
        captures.iter().map(slope).max().unwrap_or(Slope::Independent)
    }

    fn block(&mut self, block: &Block) -> Slope {
        let Some((last, before)) = block.stmts.split_last() else { return Slope::Independent };
        before.iter().for_each(|s| self.stmt(s));
        match &last.kind {
            StmtKind::Expr(e) => self.expr(e),
            _ => {
                self.stmt(last);
                Slope::Independent
            }
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let { pattern, value, .. } => {
                let slope = self.expr(value);
                self.bind(pattern, slope);
            }
            StmtKind::Assign { target, value, .. } => {
                let slope = self.expr(value);
                self.raise(target, slope);
            }
            StmtKind::Fn(decl) => {
                let slope = self.closure(self.module.resolved.function_ids.get(&decl.id));
                if let Some(Res::Local(local)) = self.module.resolved.names.get(&decl.id) {
                    self.locals.insert(*local, slope);
                }
            }
            StmtKind::While { cond, body } => {
                self.repeat(|walk| {
                    // How often it runs is a path without slope.
                    let cond = walk.condition(cond);
                    walk.returned = walk.returned.max(cond);
                    walk.block(body);
                });
            }
            StmtKind::For { pattern, iter, body } => {
                let items = self.expr(iter);
                self.repeat(|walk| {
                    walk.bind(pattern, items);
                    walk.block(body);
                });
            }
            StmtKind::Return(value) => {
                let slope = value.as_ref().map_or(Slope::Independent, |e| self.expr(e));
                self.returned = self.returned.max(slope);
            }
            StmtKind::Expr(e) => {
                self.expr(e);
            }
            _ => {}
        }
    }

    /// Goes over a loop's body until nothing changes.
    fn repeat(&mut self, mut pass: impl FnMut(&mut Self)) {
        for _ in 0..MAX_PASSES {
            let before = (self.locals.clone(), self.returned);
            pass(self);
            if before == (self.locals.clone(), self.returned) {
                return;
            }
        }
        self.returned = Slope::Live;
    }

    fn bind(&mut self, pattern: &Pattern, slope: Slope) {
        match pattern {
            Pattern::Name { id, .. } => {
                if let Some(Res::Local(local)) = self.module.resolved.names.get(id) {
                    self.locals.insert(*local, slope);
                }
            }
            Pattern::Ignore(_) => {}
            Pattern::Tuple(parts, _) => parts.iter().for_each(|p| self.bind(p, slope)),
        }
    }

    /// Something of this slope went into the place.
    fn raise(&mut self, place: &Expr, slope: Slope) {
        match &place.kind {
            ExprKind::Name(_) => {
                if let Some(Res::Local(local)) = self.module.resolved.names.get(&place.id) {
                    let old = self.locals.entry(*local).or_insert(Slope::Independent);
                    *old = (*old).max(slope);
                }
            }
            ExprKind::Index { base, .. } | ExprKind::Field { base, .. } => self.raise(base, slope),
            ExprKind::Tuple(parts) => parts.iter().for_each(|p| self.raise(p, slope)),
            _ => {}
        }
    }

    fn write_back(&mut self, args: &[Arg], slope: Slope) {
        for arg in args.iter().filter(|a| a.inout) {
            self.raise(&arg.value, slope);
        }
    }
}
