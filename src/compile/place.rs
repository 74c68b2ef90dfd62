//! Places: what can be assigned or passed with `&`: a variable, then fields, items and slices of it.
//!
//! A place is *opened* from its root inwards: the containers on the way are taken out into temporaries (so that nothing
//! else holds them and they are changed in place), and *closed* in the opposite order, each put back into the one
//! around it. Inside a `try` they are copied instead: an error in between must leave the variable whole.

use crate::bytecode::op::{GlobalSlot, Op, Reg, Table};
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
    /// How many of them an earlier place of the same call opens and closes.
    shared: usize,
    /// Another place of the call may overlap: what is there is copied, and written back one after the other.
    overlaps: bool,
    /// Nothing that the program wrote runs while it is open: nobody sees that a global is taken out.
    quiet: bool,
    /// What is done with it does not fail if it is a list.
    is_certain: bool,
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

/// How two places of one call lie to each other.
enum Meeting {
    /// They begin at different variables.
    Apart,
    /// They have so many containers in common, and are different fields of the last.
    Share(usize),
    /// One may be the other, or a part of it.
    Overlap,
}

impl Root {
    fn is(self, other: Root) -> bool {
        match (self, other) {
            (Root::Local(a), Root::Local(b)) => a == b,
            (Root::Other(Res::Global(a)), Root::Other(Res::Global(b))) => a == b,
            _ => false,
        }
    }
}

impl OpenPlace {
    fn meets(&self, other: &OpenPlace) -> Meeting {
        if !self.root.is(other.root) {
            return Meeting::Apart;
        }
        for (i, (a, b)) in self.steps.iter().zip(&other.steps).enumerate() {
            match (a, b) {
                (Step::Field(a, _), Step::Field(b, _)) if a == b => {}
                (Step::Field(..), Step::Field(..)) => return Meeting::Share(i + 1),
                _ => return Meeting::Overlap,
            }
        }
        Meeting::Overlap
    }

    /// Notes that what is done with it runs nothing that the program wrote.
    pub fn be_quiet(&mut self) {
        self.quiet = true;
    }

    /// Notes that a value is pushed onto it, which does not fail if it is a list.
    pub fn be_pushed_on(&mut self) {
        self.is_certain = true;
    }

    /// Whether a container is opened and closed with another place; places that overlap are written back by themselves.
    fn is_shared(&self, container: usize) -> bool {
        container < self.shared && !self.overlaps
    }
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
        OpenPlace {
            root,
            steps,
            containers,
            shared: 0,
            overlaps: false,
            quiet: false,
            is_certain: false,
            span: place.span,
        }
    }

    /// Finds out which of the places of a call have containers in common, and which may be the same or part of each other.
    pub fn relate(places: &mut [(OpenPlace, Reg)]) {
        for i in 1..places.len() {
            let (before, rest) = places.split_at_mut(i);
            let Some((place, _)) = rest.first_mut() else { continue };
            for (other, _) in before {
                match place.meets(other) {
                    Meeting::Apart => {}
                    Meeting::Share(common) if common > place.shared => {
                        place.containers[..common].copy_from_slice(&other.containers[..common]);
                        place.shared = common;
                    }
                    Meeting::Share(_) => {}
                    Meeting::Overlap => (place.overlaps, other.overlaps) = (true, true),
                }
            }
        }
        // One way or the other for all that begin at one variable.
        for i in 0..places.len() {
            if places[i].0.overlaps {
                let root = places[i].0.root;
                places.iter_mut().filter(|(p, _)| p.root.is(root)).for_each(|(p, _)| p.overlaps = true);
            }
        }
    }

    /// Opens a place of a call and moves what is there to `dst`.
    pub fn lend(&mut self, place: &OpenPlace, dst: Reg) {
        // As in a `try`: copies are made.
        self.tries += usize::from(place.overlaps);
        self.enter_place(place);
        self.take_place(place, dst);
        self.tries -= usize::from(place.overlaps);
    }

    /// Writes back what was lent, in an order in which containers that are shared are closed last; of overlapping places the last wins.
    pub fn hand_back(&mut self, places: &[(OpenPlace, Reg)], grown: Option<Reg>, span: Span) {
        for (place, reg) in places.iter().rev().filter(|(place, _)| !place.overlaps) {
            if grown == Some(*reg) {
                self.close_grown_place(place, *reg, span);
            } else {
                self.close_place(place, *reg, span);
            }
        }
        for (place, reg) in places.iter().filter(|(place, _)| place.overlaps) {
            self.enter_place(place);
            self.close_place(place, *reg, span);
        }
    }

    /// Takes out the containers of a prepared place, all but the innermost part.
    pub fn enter_place(&mut self, open: &OpenPlace) {
        if let (Root::Other(res), Some(&first), false) = (open.root, open.containers.first(), open.is_shared(0)) {
            self.take_res(res, first, open);
        }
        for (i, (step, pair)) in open.steps.iter().zip(open.containers.windows(2)).enumerate() {
            if !open.is_shared(i + 1) {
                self.take(pair[0], *step, pair[1]);
            }
        }
    }

    /// Loads a variable that is written back: a global without a trace, so that it is changed in place, unless an error in
    /// between would leave the REPL without it.
    pub fn take_res(&mut self, res: Res, dst: Reg, open: &OpenPlace) {
        let resolved = &self.context.program.module(self.context.module).resolved;
        match res {
            Res::Global(id) if open.quiet && self.tries == 0 && resolved.is_final => {
                let global = GlobalSlot(self.context.global(id));
                self.emit(Op::TakeGlobal { dst, global }, open.span);
            }
            _ => self.load_res(res, dst, open.span),
        }
    }

    /// Computes the indices and takes out the containers, for an instruction that does no more than change what is there.
    pub fn open_place(&mut self, place: &Expr) -> OpenPlace {
        let open = OpenPlace { quiet: true, ..self.prepare_place(place) };
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
                Root::Local(local) if open.is_certain => {
                    let src = self.reg(local);
                    self.emit(Op::TakeList { dst, src }, open.span);
                }
                Root::Local(local) => self.load_res(Res::Local(local), dst, open.span),
                Root::Other(res) => self.take_res(res, dst, open),
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
        for (i, (step, pair)) in open.steps.iter().zip(open.containers.windows(2)).enumerate().rev() {
            if !open.is_shared(i + 1) {
                self.put(pair[0], *step, pair[1], span);
            }
        }
        if let (Root::Other(res), Some(&first), false) = (open.root, open.containers.first(), open.is_shared(0)) {
            self.store_res(res, first, span);
        }
    }

    /// True if it is more than a variable.
    pub fn has_steps(open: &OpenPlace) -> bool {
        !open.steps.is_empty()
    }
}
