//! Expressions.

use std::rc::Rc;

use crate::bytecode::chunk::{IndexPart, Piece};
use crate::bytecode::op::{Count, Op, Reg, Table};
use crate::bytecode::writer::Label;
use crate::compile::FnCompiler;
use crate::compile::formula::fuses;
use crate::compile::function::ZERO;
use crate::compile::literal::{Number, constant_tensor, number};
use crate::resolve::{GlobalId, GlobalKind, ModuleId, Res};
use crate::source::Span;
use crate::syntax::ast::*;
use crate::tensor::Tensor;
use crate::value::Value;

/// Longer bracket literals of computed elements go through a list, which needs fewer registers.
const LONG_LITERAL: usize = 64;

impl FnCompiler<'_> {
    /// A register that holds the value: a local's own, or a new temporary.
    pub fn operand(&mut self, e: &Expr) -> Reg {
        if let ExprKind::Name(_) = &e.kind
            && let Res::Local(local) = self.res(e.id)
        {
            self.note_variable(e);
            return self.reg(local);
        }
        if let Some(reg) = self.leaf(e.id) {
            return reg;
        }
        if !self.loop_constants.is_empty()
            && let Some(n) = number(e)
            && let Some(reg) = self.loop_constant(&n.value())
        {
            return reg;
        }
        let dst = self.temp();
        self.expr(e, dst);
        dst
    }

    /// The operand, safe from assignments inside `later`, which runs before it is used.
    pub fn operand_before(&mut self, e: &Expr, later: &Expr) -> Reg {
        let reg = self.operand(e);
        if self.is_local(reg) && self.may_assign(later) {
            let copy = self.temp();
            self.emit(Op::Move { dst: copy, src: reg }, e.span);
            return copy;
        }
        reg
    }

    /// True if evaluating it may change a variable of this function: it holds statements or `&place`.
    pub fn may_assign(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Block(_) | ExprKind::If { .. } | ExprKind::Try { .. } => true,
            ExprKind::Call { callee, args } => {
                self.may_assign(callee) || args.iter().any(|a| a.inout || self.may_assign(&a.value))
            }
            ExprKind::Method { receiver, name, args } => {
                self.changes_receiver(receiver, &name.name, e.id)
                    || self.may_assign(receiver)
                    || args.iter().any(|a| a.inout || self.may_assign(&a.value))
            }
            ExprKind::Unary(_, x) => self.may_assign(x),
            ExprKind::Field { base, .. } => self.may_assign(base),
            ExprKind::Binary(_, a, b) | ExprKind::Range { lo: a, hi: b, .. } => {
                self.may_assign(a) || self.may_assign(b)
            }
            ExprKind::Chain { first, rest } => self.may_assign(first) || rest.iter().any(|(_, e)| self.may_assign(e)),
            ExprKind::Tuple(items) | ExprKind::Tensor(items) => items.iter().any(|e| self.may_assign(e)),
            ExprKind::Index { base, items } => {
                let bound = |e: &Option<Expr>| e.as_ref().is_some_and(|e| self.may_assign(e));
                self.may_assign(base)
                    || items.iter().any(|i| match i {
                        IndexItem::At(e) => self.may_assign(e),
                        IndexItem::Slice { start, stop, step, .. } => bound(start) || bound(stop) || bound(step),
                        IndexItem::Ellipsis(_) => false,
                    })
            }
            ExprKind::Format(parts) => FormatPart::values(parts).into_iter().any(|value| self.may_assign(value)),
            ExprKind::Comprehension { .. } => true,
            _ => false,
        }
    }

    /// Computes an expression into a register. Nothing is written to `dst` before all that is read has been read.
    pub fn expr(&mut self, e: &Expr, dst: Reg) {
        if let Some(src) = self.leaf(e.id) {
            return self.emit(Op::Move { dst, src }, e.span);
        }
        let mark = self.mark();
        if !self.formula(e, dst) {
            self.expr_inner(e, dst);
        }
        self.release(mark);
    }

    pub fn expr_inner(&mut self, e: &Expr, dst: Reg) {
        let span = e.span;
        match &e.kind {
            ExprKind::None | ExprKind::Invalid => self.emit(Op::LoadNone { dst }, span),
            ExprKind::Bool(b) => self.load(dst, Value::Bool(*b), span),
            ExprKind::Int(i) => self.load(dst, Value::Int(*i), span),
            ExprKind::Float(x) => self.load(dst, Value::float(*x), span),
            ExprKind::Str(s) => self.load(dst, Value::str(&**s), span),
            ExprKind::Format(parts) => self.format(parts, dst, span),
            ExprKind::Name(_) => {
                self.note_variable(e);
                self.load_res(self.res(e.id), dst, span);
            }
            ExprKind::Unary(op, x) => match (number(e), op) {
                (Some(Number::Int(i)), _) => self.load(dst, Value::Int(i), span),
                (Some(Number::Float(x)), _) => self.load(dst, Value::float(x), span),
                (None, UnOp::Neg) => {
                    let src = self.operand(x);
                    self.writer.emit(Op::Neg { dst, src }, span, &[x.span]);
                }
                (None, UnOp::Not) => {
                    let src = self.operand(x);
                    self.writer.emit(Op::Not { dst, src }, span, &[x.span]);
                }
            },
            ExprKind::Binary(op @ (BinOp::And | BinOp::Or), a, b) => self.and_or(*op, a, b, dst, span),
            ExprKind::Binary(op @ (BinOp::Add | BinOp::Sub), a, b) if fuses() && (is_product(a) || is_product(b)) => {
                self.mul_add(*op, a, b, dst, span);
            }
            ExprKind::Binary(op, a, b) => {
                if *op == BinOp::Add && self.affine(a, b, dst, span) {
                    return;
                }
                let ra = self.operand_before(a, b);
                let rb = self.operand(b);
                self.binary(*op, dst, ra, rb, span, &[a.span, b.span]);
            }
            ExprKind::Chain { first, rest } => self.chain(first, rest, dst, span),
            ExprKind::Range { lo, hi, inclusive } => {
                let l = self.operand_before(lo, hi);
                let h = self.operand(hi);
                let op = if *inclusive {
                    Op::MakeRangeInclusive { dst, lo: l, hi: h }
                } else {
                    Op::MakeRange { dst, lo: l, hi: h }
                };
                self.writer.emit(op, span, &[lo.span, hi.span]);
            }
            ExprKind::Call { callee, args } => self.call(callee, args, dst, span),
            ExprKind::Method { receiver, name, args } => self.method(e.id, receiver, name, args, dst, span),
            ExprKind::Index { base, items } => self.index(base, items, dst, span),
            ExprKind::Field { base, name } => {
                if let Some(id) = self.module_member(base, &name.name) {
                    return self.load_res(Res::Global(id), dst, span);
                }
                let object = self.operand(base);
                let name = self.writer.name(&name.name);
                self.writer.emit(Op::GetField { dst, object, name }, span, &[base.span]);
            }
            ExprKind::Tuple(items) => {
                let first = self.row(items);
                self.emit(Op::MakeTuple { dst, first, n: Count(items.len() as u16) }, span);
            }
            ExprKind::Tensor(items) => self.tensor(items, dst, span),
            ExprKind::Comprehension { list, element, clauses } => {
                let acc = self.temp();
                self.emit(Op::MakeList { dst: acc }, span);
                self.clauses(clauses, element, acc);
                let op = if *list { Op::Take { dst, src: acc } } else { Op::ListToTensor { dst, list: acc } };
                self.writer.emit(op, span, &[element.span]);
            }
            ExprKind::Lambda(decl) => self.closure(decl, dst),
            ExprKind::Block(block) => self.stmts(&block.stmts, dst, span),
            ExprKind::If { cond, then, otherwise } => {
                let other = self.writer.label();
                let end = self.writer.label();
                self.condition(cond, other);
                self.expr(then, dst);
                self.writer.emit_jump(Op::Jump { to: ZERO }, end, span);
                self.writer.bind(other);
                match otherwise {
                    Some(e) => self.expr(e, dst),
                    None => self.emit(Op::LoadNone { dst }, span),
                }
                self.writer.bind(end);
            }
            ExprKind::Try { body, name, handler } => {
                let error = self.temp();
                let caught = self.writer.label();
                let end = self.writer.label();
                self.writer.emit_jump(Op::TryStart { error, to: ZERO }, caught, span);
                self.tries += 1;
                self.stmts(&body.stmts, dst, body.span);
                self.tries -= 1;
                self.emit(Op::TryEnd {}, span);
                self.writer.emit_jump(Op::Jump { to: ZERO }, end, span);
                self.writer.bind(caught);
                if let Some((ident, id)) = name {
                    self.store_res(self.res(*id), error, ident.span);
                }
                self.stmts(&handler.stmts, dst, handler.span);
                self.writer.bind(end);
            }
        }
    }

    /// Computes expressions into registers in a row; the first.
    pub fn row(&mut self, items: &[Expr]) -> Reg {
        let first = self.temps(items.len());
        for (i, item) in items.iter().enumerate() {
            self.expr(item, Reg(first.0.saturating_add(i as u16)));
        }
        first
    }

    /// Emits a binary operator.
    pub fn binary(&mut self, op: BinOp, dst: Reg, a: Reg, b: Reg, span: Span, operands: &[Span]) {
        let own = match op {
            BinOp::Add => Op::Add { dst, a, b },
            BinOp::Sub => Op::Sub { dst, a, b },
            BinOp::Mul => Op::Mul { dst, a, b },
            BinOp::Div => Op::Div { dst, a, b },
            BinOp::Pow => Op::Pow { dst, a, b },
            BinOp::Lt => Op::Lt { dst, a, b },
            BinOp::Le => Op::Le { dst, a, b },
            BinOp::Gt => Op::Gt { dst, a, b },
            BinOp::Ge => Op::Ge { dst, a, b },
            BinOp::Eq => Op::Eq { dst, a, b },
            BinOp::Ne => Op::Ne { dst, a, b },
            BinOp::FloorDiv | BinOp::Rem | BinOp::MatMul | BinOp::In | BinOp::NotIn | BinOp::And | BinOp::Or => {
                self.writer.emit(Op::Binary { dst, a, b }, span, operands);
                self.operator(op, span, operands);
                return;
            }
        };
        self.writer.emit(own, span, operands);
    }

    /// Names the operator of the instruction before.
    pub fn operator(&mut self, op: BinOp, span: Span, operands: &[Span]) {
        let known = self.writer.chunk.operators.iter().position(|o| *o == op);
        let index = known.unwrap_or_else(|| {
            self.writer.chunk.operators.push(op);
            self.writer.chunk.operators.len() - 1
        });
        let op = self.writer.table(index + 1);
        self.writer.emit(Op::Operator { op }, span, operands);
    }

    /// `a * b + c` and its kin as one instruction of two words.
    fn mul_add(&mut self, op: BinOp, a: &Expr, b: &Expr, dst: Reg, span: Span) {
        let (product, other, first) = if is_product(a) { (a, b, true) } else { (b, a, false) };
        let ExprKind::Binary(_, p, q) = &product.kind else { return };
        let c = if first { None } else { Some(self.operand_before(other, product)) };
        let rp = self.operand_before(p, q);
        let rp = if first && self.is_local(rp) && self.may_assign(other) { self.copy(rp, p.span) } else { rp };
        let rq = self.operand(q);
        let rq = if first && self.is_local(rq) && self.may_assign(other) { self.copy(rq, q.span) } else { rq };
        let c = match c {
            Some(c) => c,
            None => self.operand(other),
        };
        self.writer.emit(Op::MulAdd { dst, a: rp, b: rq }, product.span, &[p.span, q.span]);
        let word = match (op, first) {
            (BinOp::Add, true) => Op::Plus { c },
            (BinOp::Add, false) => Op::PlusTo { c },
            (_, true) => Op::Minus { c },
            (_, false) => Op::MinusFrom { c },
        };
        self.writer.emit(word, span, &[a.span, b.span]);
    }

    /// `x @ y + b`, first as one operation; false, with nothing emitted, if it is none. What is added is found before the product
    /// is computed: it is a variable or a field.
    fn affine(&mut self, product: &Expr, b: &Expr, dst: Reg, span: Span) -> bool {
        let ExprKind::Binary(BinOp::MatMul, x, y) = &product.kind else { return false };
        if self.leaf(product.id).is_some() || !is_path(b) || !fuses() {
            return false;
        }
        let rx = self.operand_before(x, y);
        let ry = self.operand(y);
        let rb = self.operand(b);
        self.emit(Op::Affine { a: rx, b: ry, c: rb }, span);
        let sum = self.temp();
        self.binary(BinOp::MatMul, sum, rx, ry, product.span, &[x.span, y.span]);
        self.binary(BinOp::Add, dst, sum, rb, span, &[product.span, b.span]);
        true
    }

    fn copy(&mut self, src: Reg, span: Span) -> Reg {
        let dst = self.temp();
        self.emit(Op::Move { dst, src }, span);
        dst
    }

    fn and_or(&mut self, op: BinOp, a: &Expr, b: &Expr, dst: Reg, span: Span) {
        // The first operand is written before the second is read, so not into a variable.
        let acc = if self.is_local(dst) { self.temp() } else { dst };
        let end = self.writer.label();
        self.expr(a, acc);
        let skip = if op == BinOp::And {
            Op::SkipIfFalse { src: acc, to: ZERO }
        } else {
            Op::SkipIfTrue { src: acc, to: ZERO }
        };
        self.writer.emit_jump(skip, end, span);
        let rb = self.operand(b);
        self.binary(op, acc, acc, rb, span, &[a.span, b.span]);
        self.writer.bind(end);
        if acc != dst {
            self.emit(Op::Take { dst, src: acc }, span);
        }
    }

    fn chain(&mut self, first: &Expr, rest: &[(BinOp, Expr)], dst: Reg, span: Span) {
        let acc = self.temp();
        let end = self.writer.label();
        let mut left = self.temp();
        self.expr(first, left);
        let mut left_span = first.span;
        for (i, (op, e)) in rest.iter().enumerate() {
            let right = self.temp();
            self.expr(e, right);
            let places = [left_span, e.span];
            if i == 0 {
                self.binary(*op, acc, left, right, span, &places);
            } else {
                let part = self.temp();
                self.binary(*op, part, left, right, span, &places);
                self.binary(BinOp::And, acc, acc, part, span, &places);
            }
            if i + 1 < rest.len() {
                self.writer.emit_jump(Op::SkipIfFalse { src: acc, to: ZERO }, end, span);
            }
            (left, left_span) = (right, e.span);
        }
        self.writer.bind(end);
        self.emit(Op::Take { dst, src: acc }, span);
    }

    /// Goes on if the condition holds, to `otherwise` if not.
    pub fn condition(&mut self, cond: &Expr, otherwise: Label) {
        if let ExprKind::Binary(BinOp::And, a, b) = &cond.kind {
            self.condition(a, otherwise);
            self.condition(b, otherwise);
            return;
        }
        let mark = self.mark();
        let from = self.writer.chunk.code.len();
        let reg = self.operand(cond);
        if !self.is_local(reg) && matches!(cond.kind, ExprKind::Binary(..)) {
            self.writer.fuse_compare(reg, from);
        }
        self.writer.emit_jump(Op::JumpUnless { cond: reg, to: ZERO }, otherwise, cond.span);
        self.release(mark);
    }

    fn clauses(&mut self, clauses: &[Clause], element: &Expr, acc: Reg) {
        let Some((clause, rest)) = clauses.split_first() else {
            let mark = self.mark();
            let src = self.operand(element);
            self.emit(Op::Push { list: acc, src }, element.span);
            self.release(mark);
            return;
        };
        match clause {
            Clause::For { pattern, iter } => {
                self.for_(pattern, iter, |this| this.clauses(rest, element, acc));
            }
            Clause::If(cond) => {
                let skip = self.writer.label();
                self.condition(cond, skip);
                self.clauses(rest, element, acc);
                self.writer.bind(skip);
            }
        }
    }

    fn format(&mut self, parts: &[FormatPart], dst: Reg, span: Span) {
        let values = FormatPart::values(parts);
        let first = self.temps(values.len().max(1));
        for (i, value) in values.iter().enumerate() {
            self.expr(value, Reg(first.0.saturating_add(i as u16)));
        }
        self.writer.chunk.formats.push(pieces(parts));
        let format = self.writer.table(self.writer.chunk.formats.len());
        let places: Vec<Span> = values.iter().map(|v| v.span).collect();
        self.writer.emit(Op::Format { dst, first, format }, span, &places);
    }

    fn tensor(&mut self, items: &[Expr], dst: Reg, span: Span) {
        if let Some(tensor) = constant_tensor(items) {
            let is_float = matches!(tensor, Tensor::F64(_));
            let value = Value::Tensor(crate::ad::slot::Slot::CONST, Rc::new(tensor));
            let value = self.writer.constant(value);
            let op = if is_float { Op::LoadTensor { dst, value } } else { Op::Load { dst, value } };
            return self.emit(op, span);
        }
        if items.len() > LONG_LITERAL {
            let acc = self.temp();
            self.emit(Op::MakeList { dst: acc }, span);
            for item in items {
                let mark = self.mark();
                let src = self.operand(item);
                self.emit(Op::Push { list: acc, src }, item.span);
                self.release(mark);
            }
            return self.emit(Op::ListToTensor { dst, list: acc }, span);
        }
        let first = self.row(items);
        let places: Vec<Span> = items.iter().map(|e| e.span).collect();
        self.writer.emit(Op::MakeTensor { dst, first, n: Count(items.len() as u16) }, span, &places);
    }

    fn index(&mut self, base: &Expr, items: &[IndexItem], dst: Reg, span: Span) {
        if let [IndexItem::At(index)] = items {
            let object = self.operand_before(base, index);
            let index_reg = self.operand(index);
            self.writer.emit(Op::GetItem { dst, object, index: index_reg }, span, &[base.span, index.span]);
            return;
        }
        let first = self.temp();
        self.expr(base, first);
        let index = self.index_values(items);
        self.writer.emit(Op::GetIndex { dst, first, index }, span, &[base.span]);
    }

    /// Computes the values of an index into the registers that come next.
    pub fn index_values(&mut self, items: &[IndexItem]) -> Table {
        let mut parts = vec![];
        let mut values: Vec<&Expr> = vec![];
        for item in items {
            parts.push(match item {
                IndexItem::At(e) => {
                    values.push(e);
                    IndexPart::At
                }
                IndexItem::Slice { start, stop, step, .. } => {
                    values.extend([start, stop, step].into_iter().flatten());
                    IndexPart::Slice { start: start.is_some(), stop: stop.is_some(), step: step.is_some() }
                }
                IndexItem::Ellipsis(_) => IndexPart::Ellipsis,
            });
        }
        let first = self.temps(values.len());
        for (i, value) in values.into_iter().enumerate() {
            self.expr(value, Reg(first.0.saturating_add(i as u16)));
        }
        self.writer.chunk.indices.push(parts);
        self.writer.table(self.writer.chunk.indices.len())
    }

    /// `module.name` where `module` is an import: the global it is.
    pub fn module_member(&self, base: &Expr, name: &str) -> Option<GlobalId> {
        let module = self.module_of(base)?;
        let globals = &self.context.program.module(module).resolved.globals;
        let index = globals.iter().position(|g| &*g.name == name)? as u32;
        Some(GlobalId { module, index })
    }

    fn module_of(&self, base: &Expr) -> Option<ModuleId> {
        let ExprKind::Name(_) = &base.kind else { return None };
        let Res::Global(id) = self.res(base.id) else { return None };
        match self.context.kind(id) {
            GlobalKind::Module(module) => Some(*module),
            _ => None,
        }
    }
}

/// A variable, or a field of one.
fn is_path(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Name(_) => true,
        ExprKind::Field { base, .. } => is_path(base),
        _ => false,
    }
}

fn is_product(e: &Expr) -> bool {
    matches!(&e.kind, ExprKind::Binary(BinOp::Mul, _, _))
}

fn pieces(parts: &[FormatPart]) -> Vec<Piece> {
    let piece = |part: &FormatPart| match part {
        FormatPart::Text(text) => Piece::Text(text.clone()),
        FormatPart::Value { value, spec } => Piece::Value { spec: pieces(spec), span: value.span },
    };
    parts.iter().map(piece).collect()
}
