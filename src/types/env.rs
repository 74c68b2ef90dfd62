//! The state of the abstract interpreter: the running function's variables, and what joins at branches.

use std::rc::Rc;

use super::annot::DimBinding;
use super::join::{Widen, is_deep, join, of_any_length, widen};
use super::ty::Ty;
use crate::diagnostic::{Diagnostic, Severity};
use crate::resolve::{FnId, GlobalId, LoadedModule, LocalId};
use crate::source::Span;

/// What the label of a struct's origin ends with.
pub const MADE_HERE: &str = "` was made here";

/// A problem found in a function, on its way to the program's top.
#[derive(Clone, Debug)]
pub struct Problem {
    pub diagnostic: Diagnostic,
    /// Name of the library function that the primary label lies in; the first call in the user's code will take its place.
    pub library: Option<String>,
    /// How many calls lie between the place and here.
    pub chain: u32,
    /// The place is reached for sure, once the function that is being followed is entered and nothing else fails.
    pub certain: bool,
    /// It is told where it is certain only: elsewhere the value may be such that the program does not get there.
    pub reserved: bool,
    /// A value of another kind would do: it is not told behind a test of kinds (`tag.rs`).
    pub of_kind: bool,
    /// Sizes that do not fit, whose sources are told.
    pub sizes: Rc<[usize]>,
}

impl Problem {
    /// What is said of it: where the program may never get there it is a warning, unless it counts wherever it stands.
    pub fn told(self) -> Diagnostic {
        if self.certain || !self.diagnostic.is_error() || super::is_about_names(self.diagnostic.code) {
            return self.diagnostic;
        }
        Diagnostic { severity: Severity::Warning, ..self.diagnostic }.note("this fails if it is reached")
    }

    /// Problems at one place with one code are one problem; so is a layer that does not fit wherever it is called.
    pub fn same_as(&self, other: &Problem) -> bool {
        let (a, b) = (&self.diagnostic, &other.diagnostic);
        let made = |d: &Diagnostic| d.labels.iter().find(|l| l.message.ends_with(MADE_HERE)).map(|l| l.span);
        a.code == b.code
            && (a.span() == b.span() || a.message == b.message && made(a).is_some_and(|place| made(b) == Some(place)))
    }
}

/// The function that is being followed.
pub struct Frame {
    pub module: Rc<LoadedModule>,
    pub function: FnId,
    /// By [`LocalId`]; `Never` until assigned.
    pub locals: Vec<Ty>,
    /// Where each local got its value last.
    pub origins: Vec<Option<Span>>,
    /// What follows is not reached.
    pub dead: bool,
    /// Join of what is returned so far.
    pub returns: Ty,
    /// `inout` parameters with the join of their values at each return.
    pub outs: Vec<Out>,
    pub loops: Vec<Loop>,
    /// Variables as they may be at any point inside each enclosing `try`.
    pub tries: Vec<State>,
    pub problems: Vec<Problem>,
    /// Globals read with what was known of them.
    pub reads: Vec<(GlobalId, Ty)>,
    pub dims: Vec<DimBinding>,
    /// The function itself, for nested functions that call themselves.
    pub itself: Ty,
    /// How many branches and loops of unknown course are around.
    pub branches: u32,
    /// How many constructs around may not get here: a branch, a loop that may be empty, a `try`.
    pub unsure: u32,
    /// How many tests of what kind a value is are around.
    pub guards: u32,
    /// Values of some kinds may have left the function, or a loop in it, before here.
    pub left_by_tag: bool,
    /// Locals that were bound to parts of values.
    pub parts: Vec<LocalId>,
    /// Locals that were bound to what a call or a branch gave.
    pub results: Vec<LocalId>,
    /// `return` or `exit` may have left the function before here.
    pub left: bool,
    /// The function may end the program without failing.
    pub exits: bool,
    pub ret: Option<Span>,
}

/// An `inout` parameter.
pub struct Out {
    pub param: usize,
    pub local: LocalId,
    pub ty: Ty,
}

/// What can change at a branch.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub locals: Vec<Ty>,
    /// Globals of the module; empty unless its body runs.
    pub globals: Vec<Ty>,
    pub dead: bool,
}

/// Where `break` and `continue` of a loop lead.
#[derive(Default)]
pub struct Loop {
    pub breaks: Option<State>,
    pub continues: Option<State>,
    /// `break` may have ended the loop before here.
    pub broken: bool,
    /// `continue` may have ended this pass before here.
    pub skipped: bool,
}

impl State {
    /// The state after two branches meet.
    pub fn join(&mut self, other: &State) {
        if other.dead {
            return;
        }
        if self.dead {
            *self = other.clone();
            return;
        }
        join_into(&mut self.locals, &other.locals);
        join_into(&mut self.globals, &other.globals);
    }

    /// At the head of a loop, what is declared in its body has no value yet.
    pub fn forget_inner(&mut self, head: &State) {
        for (local, before) in self.locals.iter_mut().zip(&head.locals) {
            if *before == Ty::Never {
                *local = Ty::Never;
            }
        }
    }

    /// Forgets what differs from `head`, so that a loop comes to rest.
    pub fn widen_from(&mut self, head: &State, how: Widen) {
        for (new, old) in self.locals.iter_mut().zip(&head.locals).chain(self.globals.iter_mut().zip(&head.globals)) {
            if new != old {
                *new = if is_deep(new, 6) { Ty::Any } else { widen(&of_any_length(new, old), how) };
            }
        }
    }
}

fn join_into(into: &mut [Ty], from: &[Ty]) {
    for (a, b) in into.iter_mut().zip(from) {
        if a != b {
            *a = join(a, b);
        }
    }
}

impl Frame {
    /// An empty frame of a function.
    pub fn new(module: Rc<LoadedModule>, function: FnId) -> Frame {
        let count = module.resolved.functions.get(function.0 as usize).map_or(0, |f| f.locals.len());
        Frame {
            module,
            function,
            locals: vec![Ty::Never; count],
            origins: vec![None; count],
            dead: false,
            returns: Ty::Never,
            outs: vec![],
            loops: vec![],
            tries: vec![],
            problems: vec![],
            reads: vec![],
            dims: vec![],
            itself: Ty::Any,
            branches: 0,
            unsure: 0,
            guards: 0,
            left_by_tag: false,
            parts: vec![],
            results: vec![],
            left: false,
            exits: false,
            ret: None,
        }
    }

    /// Sets a local.
    pub fn set_local(&mut self, local: LocalId, ty: Ty, origin: Option<Span>) {
        let i = local.0 as usize;
        for state in &mut self.tries {
            if let Some(seen) = state.locals.get_mut(i) {
                *seen = join(seen, &ty);
            }
        }
        if let Some(place) = self.origins.get_mut(i) {
            *place = origin;
        }
        if let Some(place) = self.locals.get_mut(i) {
            *place = ty;
        }
    }

    /// A local's type.
    pub fn local(&self, local: LocalId) -> Ty {
        match self.locals.get(local.0 as usize) {
            None | Some(Ty::Never) => Ty::Any,
            Some(ty) => ty.clone(),
        }
    }

    /// Takes in a problem, unless it is there already; one that is certain takes the place of one that is not.
    pub fn add_problem(&mut self, problem: Problem) {
        match self.problems.iter_mut().find(|p| p.same_as(&problem)) {
            Some(known) if problem.certain && !known.certain => *known = problem,
            Some(_) => {}
            None => self.problems.push(problem),
        }
    }

    /// True where the code is reached whenever the function is entered and nothing fails before. Loops are taken to end.
    pub fn is_certain(&self) -> bool {
        self.unsure == 0 && !self.left && !self.loops.iter().any(|l| l.broken || l.skipped)
    }

    /// Something was called that may end the program.
    pub fn may_exit(&mut self) {
        self.left = true;
        self.exits = true;
    }
}
