//! Branches, loops and `try`: states are saved, restored and joined; loops repeat until nothing changes.

use super::Checker;
use super::env::{Loop, Problem, State};
use super::error::TypeError;
use super::join::{Widen, join};
use super::pattern::{Count, Items};
use super::tag::holds_parts;
use super::ty::Ty;
use crate::resolve::FnId;
use crate::source::Span;
use crate::syntax::ast::{Block, Expr, NodeId, Pattern, TypeExpr};

/// Passes over a loop's body; after the third, what still changes becomes unknown, so more are hardly ever needed.
const MAX_PASSES: usize = 24;

impl Checker {
    /// The variables at this point.
    pub(super) fn state(&self) -> State {
        let globals = if self.frame.function == FnId(0) {
            self.globals.get(self.frame.module.id.0 as usize).cloned().unwrap_or_default()
        } else {
            vec![]
        };
        State { locals: self.frame.locals.clone(), globals, dead: self.frame.dead }
    }

    /// Goes back to an earlier state.
    pub(super) fn restore(&mut self, state: State) {
        self.frame.locals = state.locals;
        self.frame.dead = state.dead;
        if self.frame.function == FnId(0)
            && let Some(globals) = self.globals.get_mut(self.frame.module.id.0 as usize)
        {
            *globals = state.globals;
        }
    }

    /// Joins another state into the present one.
    pub(super) fn join_state(&mut self, other: &State) {
        let mut now = self.state();
        now.join(other);
        self.restore(now);
    }

    /// Follows what the program perhaps does not get to, if `perhaps` is true.
    pub(super) fn perhaps<T>(&mut self, perhaps: bool, follow: impl FnOnce(&mut Checker) -> T) -> T {
        self.frame.unsure += u32::from(perhaps);
        let result = follow(self);
        self.frame.unsure -= u32::from(perhaps);
        result
    }

    pub(super) fn if_else(&mut self, cond: &Expr, then: &Expr, otherwise: Option<&Expr>) -> Ty {
        let known = self.condition(cond);
        if self.frame.dead {
            return Ty::Never;
        }
        match (known, otherwise) {
            (Some(true), _) => {
                otherwise.into_iter().for_each(|e| self.names_only(cond, e));
                self.expr(then)
            }
            (Some(false), _) => {
                self.names_only(cond, then);
                otherwise.map_or(Ty::None, |e| self.expr(e))
            }
            (None, _) => {
                let before = self.state();
                self.frame.branches += 1;
                let a = self.behind(cond, |c| c.expr(then));
                let after = self.state();
                self.restore(before);
                let b = otherwise.map_or(Ty::None, |e| self.behind(cond, |c| c.expr(e)));
                self.frame.branches -= 1;
                self.join_state(&after);
                join(&a, &b)
            }
        }
    }

    pub(super) fn while_loop(&mut self, cond: &Expr, body: &Block) {
        self.frame.branches += 1;
        self.forget_counts(body);
        let exit = self.repeat(false, |checker| {
            let known = checker.condition(cond);
            if checker.frame.dead {
                return None;
            }
            let exit = (known != Some(true)).then(|| checker.state());
            if known == Some(false) {
                checker.frame.dead = true;
                return exit;
            }
            match known {
                None => checker.behind(cond, |c| c.block(body)),
                Some(_) => checker.block(body),
            };
            exit
        });
        self.frame.branches -= 1;
        self.restore(exit);
    }

    pub(super) fn for_loop(&mut self, pattern: &Pattern, iter: &Expr, body: &Block) {
        let ty = self.expr_with_elements(iter);
        if self.frame.dead {
            return;
        }
        self.note_parts(pattern, holds_parts(&ty));
        match self.items(&ty) {
            Items::Each(items) if self.may_unroll(items.len()) => {
                let exact = self.unrolled;
                self.unrolled *= items.len().max(1);
                self.unroll(pattern, &items, iter.span, body);
                self.unrolled = exact;
            }
            Items::Each(items) => {
                let item = items.iter().fold(Ty::Never, |a, b| join(&a, b));
                self.for_each(pattern, &item, iter.span, body, true);
            }
            Items::Repeated { count: Count::Known(0), .. } => {}
            Items::Repeated { item, count } => {
                self.for_each(pattern, &item, iter.span, body, count.is_some());
            }
            Items::None => {
                self.report(TypeError::NotIterable { ty, place: iter.span }, iter.span);
                self.for_each(pattern, &Ty::Any, iter.span, body, false);
            }
        }
    }

    /// Follows each iteration of a short loop.
    fn unroll(&mut self, pattern: &Pattern, items: &[Ty], place: Span, body: &Block) {
        self.frame.loops.push(Loop::default());
        for (i, item) in items.iter().enumerate() {
            if self.frame.dead {
                break;
            }
            let known = self.frame.problems.len();
            if let Some(around) = self.frame.loops.last_mut() {
                around.skipped = false;
            }
            self.bind_pattern(pattern, item, place);
            self.block(body);
            self.name_layer(known, i);
            if let Some(continues) = self.frame.loops.last_mut().and_then(|l| l.continues.take()) {
                self.join_state(&continues);
            }
        }
        let breaks = self.frame.loops.pop().and_then(|l| l.breaks);
        if let Some(breaks) = breaks {
            self.join_state(&breaks);
        }
    }

    /// One `item` stands for all; `reached`: there is at least one.
    fn for_each(&mut self, pattern: &Pattern, item: &Ty, place: Span, body: &Block, reached: bool) {
        self.frame.branches += 1;
        self.forget_counts(body);
        let exit = self.repeat(reached, |checker| {
            let exit = checker.state();
            checker.bind_pattern(pattern, &super::rename::renewed(item), place);
            checker.perhaps(!reached, |c| c.block(body));
            Some(exit)
        });
        self.frame.branches -= 1;
        self.restore(exit);
    }

    /// Runs a loop's body until the state at its head no longer changes. `pass` gives the state in which the loop ends
    /// if it ends at its head; `reached`: not before the first pass. Returns the state after the loop. Only the first pass is
    /// certain.
    fn repeat(&mut self, reached: bool, mut pass: impl FnMut(&mut Checker) -> Option<State>) -> State {
        let mut head = self.state();
        let mut exit: Option<State> = None;
        let mut passes = 0;
        loop {
            self.frame.loops.push(Loop::default());
            let known = self.frame.problems.len();
            let end = self.perhaps(passes > 0, &mut pass);
            let done = self.frame.loops.pop().unwrap_or_default();
            let first = reached && passes == 0;
            for state in [end.filter(|_| !first), done.breaks].into_iter().flatten() {
                match &mut exit {
                    Some(exit) => exit.join(&state),
                    None => exit = Some(state),
                }
            }
            if let Some(continues) = done.continues {
                self.join_state(&continues);
            }
            let mut next = head.clone();
            if first && !self.frame.dead {
                // What the first pass leaves is where the others start: an accumulator has its shape then.
                next = self.state();
                next.forget_inner(&head);
                if next == head {
                    exit.get_or_insert_with(|| head.clone()).join(&head);
                }
            } else {
                next.join(&self.state());
                next.forget_inner(&head);
            }
            if next == head || self.gave_up {
                return exit.unwrap_or(State { dead: true, ..head });
            }
            // What fails only with the values of this pass may be what the loop does not do in this pass: `if i > 0 { x - last }`.
            let found = self.frame.problems.split_off(known);
            let stands = |p: &Problem| p.certain || super::is_about_names(p.diagnostic.code);
            self.frame.problems.extend(found.into_iter().filter(stands));
            passes += 1;
            let how = match passes {
                1 => Widen::Constants,
                2 | 3 => Widen::Dims,
                _ => Widen::Everything,
            };
            next.widen_from(&head, how);
            head = next;
            self.restore(head.clone());
            self.gave_up |= passes > MAX_PASSES;
        }
    }

    /// `try { } catch e { }`: the handler starts from any state inside the body.
    pub(super) fn try_catch(&mut self, body: &Block, name: Option<NodeId>, handler: &Block) -> Ty {
        let before = self.state();
        let problems = self.frame.problems.len();
        self.frame.tries.push(before);
        self.frame.branches += 1;
        let a = self.perhaps(true, |c| c.block(body));
        let after = self.state();
        // The program runs on when something fails in here; but what has no such name is wrong wherever it stands.
        let inside = self.frame.problems.split_off(problems);
        self.frame.problems.extend(inside.into_iter().filter(|p| super::is_about_names(p.diagnostic.code)));
        if let Some(caught) = self.frame.tries.pop() {
            for outer in &mut self.frame.tries {
                outer.join(&caught);
            }
            self.restore(State { dead: false, ..caught });
        }
        if let Some(id) = name {
            self.set_name(id, Ty::Any, handler.span);
        }
        let b = self.perhaps(true, |c| c.block(handler));
        self.frame.branches -= 1;
        let b = if self.frame.dead { Ty::Never } else { b };
        self.join_state(&after);
        let a = if after.dead { Ty::Never } else { a };
        join(&a, &b)
    }

    /// `break` and `continue`
    pub(super) fn jump(&mut self, is_break: bool) {
        self.leave_by_tag();
        let state = self.state();
        if let Some(around) = self.frame.loops.last_mut() {
            around.broken |= is_break;
            around.skipped |= !is_break;
            let target = if is_break { &mut around.breaks } else { &mut around.continues };
            match target {
                Some(old) => old.join(&state),
                None => *target = Some(state),
            }
        }
        self.frame.dead = true;
    }

    /// `return`, and the end of a function's body.
    pub(super) fn leave(&mut self, ty: Ty, place: Span, annotation: Option<&TypeExpr>) {
        let mut ty = ty;
        if let Some(annotation) = annotation {
            let module = self.frame.module.clone();
            let mut dims = std::mem::take(&mut self.frame.dims);
            self.in_frame = true;
            let admitted = self.admit(annotation, &ty, &module, &mut dims, place);
            self.in_frame = false;
            self.frame.dims = dims;
            ty = match admitted {
                Ok(ty) => ty,
                Err(mismatch) => {
                    let what = "the result".to_string();
                    self.report_mismatch(*mismatch, what, &ty, place, annotation.span);
                    self.annotated(annotation, &module)
                }
            };
        }
        self.frame.returns = join(&self.frame.returns, &ty);
        let frame = &mut self.frame;
        for out in &mut frame.outs {
            let now = match frame.locals.get(out.local.0 as usize) {
                None | Some(Ty::Never) => Ty::Any,
                Some(ty) => ty.clone(),
            };
            out.ty = join(&out.ty, &now);
        }
        self.frame.dead = true;
    }
}
