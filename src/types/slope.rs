//! Whether a function's result depends on an argument with a slope, or only through operations that have none
//! (`floor`, comparisons, `argmax`, `int`, `stop_grad`): then its gradient is zero, which is hardly meant.
//!
//! A walk over the function's body. What is not known counts as a slope, so that a warning is never wrong about that.

use std::collections::HashMap;

use super::Checker;
use super::ty::{FnTy, Ty};
use crate::diagnostic::Diagnostic;
use crate::ops::prim::Diff;
use crate::resolve::{CaptureFrom, FnId, LoadedModule, LocalId, Res};
use crate::source::Span;
use crate::syntax::ast::{Arg, BinOp, Block, Clause, Expr, ExprKind, IndexItem, Pattern, Stmt, StmtKind, UnOp};

/// How a value depends on the argument; the greater covers the lesser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Slope {
    Independent,
    /// It depends, but every path goes through something without slope.
    Dead,
    Live,
}

impl Slope {
    fn killed(self) -> Slope {
        self.min(Slope::Dead)
    }
}

impl Checker {
    /// Warns if the gradient of `f` with respect to its parameter `wrt` is zero whatever the argument.
    pub(super) fn warn_dead_gradient(&mut self, transform: &str, f: &Ty, wrt: usize, site: Span) {
        if self.frame.module.is_library {
            return;
        }
        let Ty::Fn(FnTy::User { module, index, .. }) = f else { return };
        let Some(module) = self.module(*module) else { return };
        let Some(function) = module.resolved.functions.get(*index as usize) else { return };
        let (Some(decl), Some(local)) = (function.decl.clone(), function.params.get(wrt).copied().flatten()) else {
            return;
        };
        let mut walk = Walk { checker: self, module: &module, locals: HashMap::new(), returned: Slope::Independent };
        walk.locals.insert(local, Slope::Live);
        let value = walk.expr(&decl.body);
        let slope = value.max(walk.returned);
        if slope == Slope::Independent {
            // Not to depend on this argument is one thing, to depend on none another.
            let mut walk =
                Walk { checker: self, module: &module, locals: HashMap::new(), returned: Slope::Independent };
            walk.locals.extend(function.params.iter().flatten().map(|&p| (p, Slope::Live)));
            let named = function.params.iter().all(Option::is_some);
            let value = walk.expr(&decl.body);
            if named && value.max(walk.returned) == Slope::Independent {
                let message = format!("{transform} is zero: the result is a constant");
                let d = Diagnostic::warning("W0308", message)
                    .at(site, "")
                    .also(decl.body.span, "this does not depend on any argument")
                    .help("for zeros like a value of numbers write 0.0 * value");
                self.note(d);
            }
            return;
        }
        if slope == Slope::Dead {
            let name = decl.params.get(wrt).and_then(|p| p.pattern.name());
            let name = name.map_or("its argument".into(), |n| format!("`{}`", n.name));
            // A long body is shown by its name.
            let place = match (&decl.body.kind, &decl.name) {
                (ExprKind::Block(_), Some(name)) => name.span,
                _ => decl.body.span,
            };
            let message = format!("{transform} is zero: the result depends on {name} only through what has no slope");
            let d = Diagnostic::warning("W0308", message)
                .at(site, "")
                .also(place, "comparisons, floor, argmax, int(...) and the like have slope 0")
                .help("use a smooth form: sigmoid for a step, softmax for argmax, or library `soft`");
            self.note(d);
        }
    }
}

struct Walk<'a> {
    checker: &'a Checker,
    module: &'a LoadedModule,
    locals: HashMap<LocalId, Slope>,
    returned: Slope,
}

impl Walk<'_> {
    fn local(&self, res: Option<&Res>) -> Slope {
        match res {
            Some(Res::Local(local)) => self.locals.get(local).copied().unwrap_or(Slope::Independent),
            Some(Res::Itself) => Slope::Live,
            _ => Slope::Independent,
        }
    }

    fn all<'e>(&mut self, items: impl IntoIterator<Item = &'e Expr>) -> Slope {
        items.into_iter().fold(Slope::Independent, |s, e| s.max(self.expr(e)))
    }

    fn args(&mut self, args: &[Arg]) -> Slope {
        args.iter().fold(Slope::Independent, |s, a| s.max(self.expr(&a.value)))
    }

    fn expr(&mut self, e: &Expr) -> Slope {
        match &e.kind {
            ExprKind::Name(_) => self.local(self.module.resolved.names.get(&e.id)),
            ExprKind::Unary(UnOp::Not, x) => self.expr(x).killed(),
            ExprKind::Unary(UnOp::Neg, x) => self.expr(x),
            ExprKind::Binary(op, a, b) => {
                let both = self.expr(a).max(self.expr(b));
                let kills = op.is_comparison() || matches!(op, BinOp::FloorDiv | BinOp::And | BinOp::Or);
                if kills { both.killed() } else { both }
            }
            ExprKind::Chain { first, rest } => {
                self.all(std::iter::once(&**first).chain(rest.iter().map(|r| &r.1))).killed()
            }
            ExprKind::Range { lo, hi, .. } => self.expr(lo).max(self.expr(hi)).killed(),
            ExprKind::Call { callee, args } => {
                let given = self.args(args);
                self.write_back(args, given);
                if self.is_flat(self.module.resolved.names.get(&callee.id)) {
                    return given.killed();
                }
                given.max(self.expr(callee))
            }
            ExprKind::Method { receiver, args, .. } => {
                let given = self.expr(receiver).max(self.args(args));
                self.write_back(args, given);
                let numeric = matches!(
                    self.checker.types.get(self.module.id, receiver.id),
                    Ty::Tensor(_) | Ty::Float | Ty::Int(_)
                );
                if numeric && self.is_flat(self.module.resolved.functions_by_method.get(&e.id)) {
                    return given.killed();
                }
                self.raise(receiver, given);
                given
            }
            ExprKind::Index { base, items } => {
                let base = self.expr(base);
                items.iter().fold(base, |s, item| match item {
                    IndexItem::At(at) => s.max(self.expr(at).killed()),
                    IndexItem::Slice { start, stop, step, .. } => {
                        let ends = [start, stop, step].into_iter().flatten();
                        s.max(self.all(ends).killed())
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
                        Clause::If(cond) => slope = slope.max(self.expr(cond).killed()),
                    }
                }
                slope.max(self.expr(element))
            }
            ExprKind::Lambda(decl) => self.closure(self.module.resolved.function_ids.get(&decl.id)),
            ExprKind::Block(block) => self.block(block),
            ExprKind::If { cond, then, otherwise } => {
                let cond = self.expr(cond).killed();
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

    /// A primitive without slope, or a builtin that gives no derivative.
    fn is_flat(&self, res: Option<&Res>) -> bool {
        match res {
            Some(Res::Prim(prim)) => matches!(prim.diff, Diff::Zero),
            Some(Res::Builtin(b)) => {
                matches!(b.name, "int" | "bool" | "str" | "len" | "type" | "repr" | "stop_grad" | "any" | "all")
            }
            _ => false,
        }
    }

    fn closure(&self, id: Option<&FnId>) -> Slope {
        let function = id.and_then(|id| self.module.resolved.functions.get(id.0 as usize));
        let captures = function.map(|f| f.captures.as_slice()).unwrap_or(&[]);
        let slope = |c: &crate::resolve::Capture| match c.from {
            CaptureFrom::Local(local) => self.locals.get(&local).copied().unwrap_or(Slope::Independent),
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
                for _ in 0..3 {
                    // How often it runs is a path without slope.
                    let cond = self.expr(cond).killed();
                    self.returned = self.returned.max(cond);
                    self.block(body);
                }
            }
            StmtKind::For { pattern, iter, body } => {
                let items = self.expr(iter);
                for _ in 0..3 {
                    self.bind(pattern, items);
                    self.block(body);
                }
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
