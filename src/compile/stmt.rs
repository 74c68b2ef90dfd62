//! Statements.

use crate::bytecode::op::{Count, GlobalSlot, Op, Reg};
use crate::compile::FnCompiler;
use crate::compile::function::{LoopLabels, ZERO};
use crate::compile::literal::number;
use crate::resolve::Res;
use crate::source::Span;
use crate::syntax::ast::*;
use crate::syntax::visit;
use crate::value::Value;

impl FnCompiler<'_> {
    /// The module's body; its value is that of the last statement.
    pub fn body_of_module(&mut self, stmts: &[Stmt]) {
        let dst = self.temp();
        self.stmts(stmts, dst, self.span);
        self.emit(Op::Return { src: dst }, self.span);
    }

    /// Statements whose value (that of the last, if it is an expression) goes to `dst`.
    pub fn stmts(&mut self, stmts: &[Stmt], dst: Reg, span: Span) {
        let Some((last, rest)) = stmts.split_last() else {
            return self.emit(Op::LoadNone { dst }, span);
        };
        for stmt in rest {
            self.stmt(stmt);
        }
        if let StmtKind::Expr(e) = &last.kind {
            self.expr(e, dst);
        } else {
            self.stmt(last);
            self.emit(Op::LoadNone { dst }, last.span);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let mark = self.mark();
        match &stmt.kind {
            StmtKind::Let { pattern, ty, value, .. } => self.let_(pattern, ty.as_ref(), value),
            StmtKind::Assign { target, op, value } => self.assign(target, *op, value, stmt.span),
            StmtKind::Fn(decl) => {
                // Those at the top level are set when the module is loaded.
                if let Res::Local(local) = self.res(decl.id) {
                    let dst = self.reg(local);
                    self.closure(decl, dst);
                    self.note_lambda(local, decl);
                }
            }
            StmtKind::Struct(_) | StmtKind::Impl { .. } | StmtKind::Import(_) | StmtKind::Test { .. } => {}
            StmtKind::Param { name, id, ty, default } => {
                let dst = self.temp();
                let given = self.writer.label();
                let param = self.writer.name(&name.name);
                self.emit(Op::Override { dst, param }, name.span);
                self.writer.emit_jump(Op::OverrideTo { to: ZERO }, given, name.span);
                self.expr(default, dst);
                self.writer.bind(given);
                if let Some(ty) = ty {
                    self.check(dst, ty, default.span, &format!("`{}`", name.name));
                }
                self.store_res(self.res(*id), dst, name.span);
            }
            StmtKind::While { cond, body } => self.while_(cond, body),
            StmtKind::For { pattern, iter, body } => {
                let mark = self.hoist_constants(|f| body.stmts.iter().for_each(|s| visit::stmt(s, f)));
                self.for_(pattern, iter, |this| this.effects(&body.stmts));
                self.loop_constants.truncate(mark);
            }
            StmtKind::Break => {
                if let Some(l) = self.loops.last() {
                    let (exit, leaves) = (l.exit, self.tries - l.tries);
                    self.leave_tries(leaves, stmt.span);
                    self.writer.emit_jump(Op::Jump { to: ZERO }, exit, stmt.span);
                }
            }
            StmtKind::Continue => {
                if let Some(l) = self.loops.last() {
                    let (again, leaves) = (l.again, self.tries - l.tries);
                    self.leave_tries(leaves, stmt.span);
                    self.writer.emit_jump(Op::Jump { to: ZERO }, again, stmt.span);
                }
            }
            StmtKind::Return(value) => {
                let src = self.temp();
                match value {
                    Some(e) => self.expr(e, src),
                    None => self.emit(Op::LoadNone { dst: src }, stmt.span),
                }
                if let Some(ret) = self.function.decl.clone().as_ref().and_then(|d| d.ret.as_ref()) {
                    self.check(src, ret, value.as_ref().map_or(stmt.span, |v| v.span), "the result");
                }
                self.leave_tries(self.tries, stmt.span);
                self.emit(Op::Return { src }, stmt.span);
            }
            StmtKind::Expr(e) => self.effect(e),
        }
        self.release(mark);
    }

    /// An expression for its effects only.
    fn effect(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Block(block) => self.effects(&block.stmts),
            ExprKind::If { cond, then, otherwise } => {
                let other = self.writer.label();
                self.condition(cond, other);
                self.effect(then);
                match otherwise {
                    Some(e) => {
                        let end = self.writer.label();
                        self.writer.emit_jump(Op::Jump { to: ZERO }, end, e.span);
                        self.writer.bind(other);
                        self.effect(e);
                        self.writer.bind(end);
                    }
                    None => self.writer.bind(other),
                }
            }
            _ => {
                let mark = self.mark();
                let dst = self.temp();
                self.expr(e, dst);
                self.release(mark);
            }
        }
    }

    fn leave_tries(&mut self, n: usize, span: Span) {
        for _ in 0..n {
            self.emit(Op::TryEnd {}, span);
        }
    }

    /// Statements for their effects only.
    fn effects(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|s| self.stmt(s));
    }

    /// Loads the numbers that a loop mentions into registers of their own; the number of those known before.
    fn hoist_constants(&mut self, walk: impl FnOnce(&mut dyn FnMut(&Expr))) -> usize {
        const MOST: usize = 32;
        let before = self.loop_constants.len();
        let mut found: Vec<(Value, Span)> = vec![];
        walk(&mut |e| {
            if let Some(n) = number(e) {
                found.push((n.value(), e.span));
            }
        });
        for (value, span) in found {
            if self.loop_constants.len() < MOST && self.loop_constant(&value).is_none() {
                let reg = self.temp();
                self.load(reg, value.clone(), span);
                self.loop_constants.push((value, reg));
            }
        }
        before
    }

    /// The register of a number that stands in one.
    pub fn loop_constant(&self, value: &Value) -> Option<Reg> {
        let same = |v: &Value| match (v, value) {
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(_, a), Value::Float(_, b)) => a.to_bits() == b.to_bits(),
            _ => false,
        };
        self.loop_constants.iter().find(|(v, _)| same(v)).map(|(_, reg)| *reg)
    }

    fn let_(&mut self, pattern: &Pattern, ty: Option<&TypeExpr>, value: &Expr) {
        // A variable read by its own new value (`let x = x + 1`) is another local: no conflict in computing in place.
        if let Pattern::Name { id, .. } = pattern
            && let Res::Local(local) = self.res(*id)
        {
            let dst = self.reg(local);
            self.expr(value, dst);
            match (ty, &value.kind) {
                (Some(ty), _) => self.check(dst, ty, value.span, &annotated(pattern)),
                (None, ExprKind::Lambda(decl)) => self.note_lambda(local, decl),
                _ => {}
            }
            return;
        }
        // `let (a, b) = (x, y)` makes no tuple. Its names are not known in its values.
        if let (Pattern::Tuple(names, _), ExprKind::Tuple(values), None) = (pattern, &value.kind, ty)
            && names.len() == values.len()
            && self.is_of_locals(pattern)
        {
            for (name, value) in names.iter().zip(values) {
                self.let_(name, None, value);
            }
            return;
        }
        let src = self.temp();
        self.expr(value, src);
        if let Some(ty) = ty {
            self.check(src, ty, value.span, &annotated(pattern));
        }
        self.unpack(pattern, src);
    }

    /// True if the pattern binds no global.
    fn is_of_locals(&self, pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Ignore(_) => true,
            Pattern::Name { id, .. } => matches!(self.res(*id), Res::Local(_)),
            Pattern::Tuple(items, _) => items.iter().all(|p| self.is_of_locals(p)),
        }
    }

    /// Binds a pattern to the value in a register.
    pub fn unpack(&mut self, pattern: &Pattern, src: Reg) {
        match pattern {
            Pattern::Ignore(_) => {}
            Pattern::Name { ident, id } => self.store_res(self.res(*id), src, ident.span),
            Pattern::Tuple(items, span) => {
                let mark = self.mark();
                let first = self.temps(items.len());
                self.emit(Op::Unpack { first, src, n: Count(items.len() as u16) }, *span);
                for (i, item) in items.iter().enumerate() {
                    self.unpack(item, Reg(first.0 + i as u16));
                }
                self.release(mark);
            }
        }
    }

    /// Sets a variable.
    pub fn store_res(&mut self, res: Res, src: Reg, span: Span) {
        match res {
            Res::Local(local) => {
                let dst = self.reg(local);
                if dst != src {
                    // A temporary must not go on holding what a variable may change in place.
                    let op = if self.is_local(src) { Op::Move { dst, src } } else { Op::Take { dst, src } };
                    self.emit(op, span);
                }
            }
            Res::Global(id) => {
                let global = GlobalSlot(self.context.global(id));
                self.emit(Op::SetGlobal { src, global }, span);
            }
            _ => {}
        }
    }

    fn while_(&mut self, cond: &Expr, body: &Block) {
        let constants = self.hoist_constants(|f| {
            visit::expr(cond, f);
            body.stmts.iter().for_each(|s| visit::stmt(s, f));
        });
        let again = self.writer.label();
        let exit = self.writer.label();
        self.writer.bind(again);
        self.condition(cond, exit);
        self.loops.push(LoopLabels { exit, again, tries: self.tries });
        self.effects(&body.stmts);
        self.loops.pop();
        self.loop_constants.truncate(constants);
        self.writer.emit_jump(Op::Jump { to: ZERO }, again, cond.span);
        self.writer.bind(exit);
    }

    /// A loop over the items of `iter`.
    pub fn for_(&mut self, pattern: &Pattern, iter: &Expr, body: impl FnOnce(&mut Self)) {
        let mark = self.mark();
        let state = self.temps(4);
        if let ExprKind::Range { lo, hi, inclusive: false } = &iter.kind {
            let mark = self.mark();
            let l = self.operand_before(lo, hi);
            let h = self.operand(hi);
            self.writer.emit(Op::ForRange { iter: state, lo: l, hi: h }, iter.span, &[lo.span, hi.span]);
            self.release(mark);
        } else {
            self.expr(iter, state);
        }
        let item = Reg(state.0.saturating_add(3));
        let simple = match pattern {
            Pattern::Name { id, .. } => match self.res(*id) {
                Res::Local(local) => Some(local),
                _ => None,
            },
            _ => None,
        };
        if let Some(local) = simple {
            self.move_local(local, item);
        }
        self.emit(Op::ForStart { iter: state }, iter.span);
        let again = self.writer.label();
        let start = self.writer.label();
        let exit = self.writer.label();
        self.writer.emit_jump(Op::ForNext { iter: state, to: ZERO }, exit, iter.span);
        self.writer.bind(start);
        if simple.is_none() {
            self.unpack(pattern, item);
        }
        self.loops.push(LoopLabels { exit, again, tries: self.tries });
        body(self);
        self.loops.pop();
        self.writer.bind(again);
        self.writer.emit_jump(Op::ForLoop { iter: state, to: ZERO }, start, iter.span);
        self.writer.bind(exit);
        self.release(mark);
    }

    fn assign(&mut self, target: &Expr, op: Option<BinOp>, value: &Expr, span: Span) {
        if let ExprKind::Tuple(items) = &target.kind {
            let first = match &value.kind {
                ExprKind::Tuple(values) if values.len() == items.len() => self.row(values),
                _ => {
                    let src = self.temp();
                    self.expr(value, src);
                    let first = self.temps(items.len());
                    self.writer.emit(
                        Op::Unpack { first, src, n: Count(items.len() as u16) },
                        target.span,
                        &[target.span, value.span],
                    );
                    first
                }
            };
            self.assign_parts(items, first, span);
            return;
        }
        if is_dropped(target) {
            let unused = self.temp();
            return self.expr(value, unused);
        }
        if let ExprKind::Name(_) = &target.kind
            && let Res::Local(local) = self.res(target.id)
        {
            let dst = self.reg(local);
            match op {
                // `x += y * z` is `x = x + y * z`, unless the value changes x first.
                Some(op) if !self.may_assign(value) => {
                    let kind = ExprKind::Binary(op, target.clone().into(), value.clone().into());
                    self.expr(&Expr { kind, id: value.id, span }, dst);
                }
                Some(op) => {
                    let b = self.operand(value);
                    self.binary(op, dst, dst, b, span, &[target.span, value.span]);
                }
                None => self.expr(value, dst),
            }
            return;
        }
        // The value first, then the place: `x[i] = f(&x)` writes into what f left.
        let src = self.temp();
        self.expr(value, src);
        let open = self.open_place(target);
        match op {
            Some(op) if Self::has_steps(&open) => {
                self.update_place(&open, op, src, span, &[target.span, value.span]);
            }
            Some(op) => {
                let old = self.temp();
                self.take_res(self.res(target.id), old, &open);
                self.binary(op, old, old, src, span, &[target.span, value.span]);
                self.close_place(&open, old, span);
            }
            None => self.close_place(&open, src, span),
        }
    }

    /// The values from `first` on into the parts of a tuple.
    fn assign_parts(&mut self, items: &[Expr], first: Reg, span: Span) {
        for (i, item) in items.iter().enumerate().filter(|(_, item)| !is_dropped(item)) {
            let mark = self.mark();
            let src = Reg(first.0 + i as u16);
            if let ExprKind::Tuple(parts) = &item.kind {
                let first = self.temps(parts.len());
                let unpack = Op::Unpack { first, src, n: Count(parts.len() as u16) };
                self.writer.emit(unpack, item.span, &[item.span, item.span]);
                self.assign_parts(parts, first, span);
            } else {
                let open = self.open_place(item);
                self.close_place(&open, src, span);
            }
            self.release(mark);
        }
    }
}

/// True for `_`, which takes what is dropped.
fn is_dropped(target: &Expr) -> bool {
    matches!(&target.kind, ExprKind::Name(name) if &**name == "_")
}

/// What a `let` annotates, in words.
fn annotated(pattern: &Pattern) -> String {
    pattern.name().map_or("this pattern".into(), |n| format!("`{}`", n.name))
}
