//! Places: what can be assigned or passed with `&`: a variable, then fields, items and slices of it.
//!
//! A place is *opened* from its root inwards: the containers on the way are taken out into temporaries (so that nothing
//! else holds them and they are changed in place), and *closed* in the opposite order, each put back into the one
//! around it. Inside a `try` they are copied instead: an error in between must leave the variable whole.

use crate::bytecode::op::{Op, Reg, Table};
use crate::compile::FnCompiler;
use crate::resolve::{LocalId, Res};
use crate::source::Span;
use crate::syntax::ast::{BinOp, Expr, ExprKind, IndexItem};

/// A place whose index values are computed and whose containers are at hand.
pub struct OpenPlace {
    root: Root,
    steps: Vec<Step>,
    /// Register of the container that step `i` goes into.
    containers: Vec<Reg>,
    span: Span,
}

#[derive(Clone, Copy)]
enum Root {
    Local(LocalId),
    Other(Res),
}

#[derive(Clone, Copy)]
enum Step {
    Field(crate::bytecode::op::Name, Span),
    Item(Reg, Span),
    /// Values stand from `first + 1`; `first` itself is for the container or the value.
    Index {
        first: Reg,
        index: Table,
        span: Span,
    },
}

impl FnCompiler<'_> {
    /// Computes the indices of a place; nothing is taken out yet.
    pub fn prepare_place(&mut self, place: &Expr) -> OpenPlace {
        let mut steps = vec![];
        let root = self.steps(place, &mut steps);
        let mut containers = vec![];
        if !steps.is_empty() {
            containers.push(match root {
                Root::Local(local) => self.reg(local),
                Root::Other(_) => self.temp(),
            });
            for _ in &steps[1..] {
                containers.push(self.temp());
            }
        }
        OpenPlace { root, steps, containers, span: place.span }
    }

    /// Takes out the containers of a prepared place, all but the innermost part.
    pub fn enter_place(&mut self, open: &OpenPlace) {
        if let (Root::Other(res), Some(&first)) = (open.root, open.containers.first()) {
            self.load_res(res, first, open.span);
        }
        for (step, pair) in open.steps.iter().zip(open.containers.windows(2)) {
            self.take(pair[0], *step, pair[1]);
        }
    }

    /// Computes the indices and takes out the containers.
    pub fn open_place(&mut self, place: &Expr) -> OpenPlace {
        let open = self.prepare_place(place);
        self.enter_place(&open);
        open
    }

    fn steps(&mut self, place: &Expr, out: &mut Vec<Step>) -> Root {
        match &place.kind {
            ExprKind::Field { base, name } => {
                let root = self.steps(base, out);
                let symbol = self.writer.name(&name.name);
                out.push(Step::Field(symbol, place.span));
                root
            }
            ExprKind::Index { base, items } => {
                let root = self.steps(base, out);
                if let [IndexItem::At(index)] = &items[..] {
                    let reg = self.temp();
                    self.expr(index, reg);
                    out.push(Step::Item(reg, place.span));
                } else {
                    let first = self.temp();
                    let index = self.index_values(items);
                    out.push(Step::Index { first, index, span: place.span });
                }
                root
            }
            _ => {
                self.note_variable(place);
                match self.res(place.id) {
                    Res::Local(local) => Root::Local(local),
                    res => Root::Other(res),
                }
            }
        }
    }

    /// `dst` = the part, taken out where that is safe.
    fn take(&mut self, object: Reg, step: Step, dst: Reg) {
        let take = self.tries == 0;
        match step {
            Step::Field(name, span) if take => self.emit(Op::TakeField { dst, object, name }, span),
            Step::Field(name, span) => self.emit(Op::GetField { dst, object, name }, span),
            Step::Item(index, span) if take => self.emit(Op::TakeItem { dst, object, index }, span),
            Step::Item(index, span) => self.emit(Op::GetItem { dst, object, index }, span),
            Step::Index { first, index, span } => {
                self.emit(Op::Move { dst: first, src: object }, span);
                self.emit(Op::GetIndex { dst, first, index }, span);
                self.emit(Op::LoadNone { dst: first }, span);
            }
        }
    }

    /// The value moves: nothing else holds it afterwards, so the next change is in place.
    fn put(&mut self, object: Reg, step: Step, value: Reg, span: Span) {
        match step {
            Step::Field(name, place) => self.writer.emit(Op::SetField { object, name, value }, span, &[place]),
            Step::Item(index, place) => self.writer.emit(Op::SetItem { object, index, value }, span, &[place]),
            Step::Index { first, index, span: place } => {
                self.emit(Op::Take { dst: first, src: value }, span);
                self.writer.emit(Op::SetIndex { object, first, index }, span, &[place]);
            }
        }
    }

    /// `place op= value`, where the place has a step. Repeated indices each take their turn.
    pub fn update_place(&mut self, open: &OpenPlace, op: BinOp, value: Reg, span: Span, operands: &[Span]) {
        let (Some(&step), Some(&object)) = (open.steps.last(), open.containers.last()) else { return };
        match step {
            Step::Field(name, place) => {
                let old = self.temp();
                self.emit(Op::GetField { dst: old, object, name }, place);
                self.binary(op, old, old, value, span, operands);
                self.put(object, step, old, span);
            }
            Step::Item(index, _) => {
                self.writer.emit(Op::UpdateItem { object, index, value }, span, operands);
                self.operator(op, span, operands);
            }
            Step::Index { first, index, .. } => {
                self.emit(Op::Take { dst: first, src: value }, span);
                self.writer.emit(Op::UpdateIndex { object, first, index }, span, operands);
                self.operator(op, span, operands);
            }
        }
        self.close_containers(open, span);
    }

    /// Moves the value of an open place to `dst` for an `inout` call; inside a `try` it is copied.
    pub fn take_place(&mut self, open: &OpenPlace, dst: Reg) {
        match (open.steps.last(), open.containers.last()) {
            (Some(&step), Some(&object)) => self.take(object, step, dst),
            _ => match open.root {
                Root::Local(local) if self.tries == 0 => {
                    let src = self.reg(local);
                    self.emit(Op::Take { dst, src }, open.span);
                }
                Root::Local(local) => self.load_res(Res::Local(local), dst, open.span),
                Root::Other(res) => self.load_res(res, dst, open.span),
            },
        }
    }

    /// The same for a list that came from the place and had a value pushed onto its end.
    pub fn close_grown_place(&mut self, open: &OpenPlace, value: Reg, span: Span) {
        match (open.steps.last(), open.containers.last()) {
            (Some(&Step::Field(name, place)), Some(&object)) => {
                self.writer.emit(Op::SetGrown { object, name, value }, span, &[place]);
                self.close_containers(open, span);
            }
            _ => self.close_place(open, value, span),
        }
    }

    /// Writes a value into an open place and puts the containers back.
    pub fn close_place(&mut self, open: &OpenPlace, value: Reg, span: Span) {
        match (open.steps.last(), open.containers.last()) {
            (Some(&step), Some(&object)) => {
                self.put(object, step, value, span);
                self.close_containers(open, span);
            }
            _ => match open.root {
                Root::Local(local) => self.store_res(Res::Local(local), value, span),
                Root::Other(res) => self.store_res(res, value, span),
            },
        }
    }

    /// Puts the containers back, innermost first.
    fn close_containers(&mut self, open: &OpenPlace, span: Span) {
        for (step, pair) in open.steps.iter().zip(open.containers.windows(2)).rev() {
            self.put(pair[0], *step, pair[1], span);
        }
        if let (Root::Other(res), Some(&first)) = (open.root, open.containers.first()) {
            self.store_res(res, first, span);
        }
    }

    /// True if it is more than a variable.
    pub fn has_steps(open: &OpenPlace) -> bool {
        !open.steps.is_empty()
    }
}
