//! Specializations: a function is followed once for each tuple of argument types, and recursion iterates to a fixed point.
//!
//! A recursive call finds its specialization running and takes what is assumed of it, `Never` at first; if the result
//! is wider than the assumption, the body is followed again. What was finished meanwhile and rests on the assumption is
//! dropped then. Many specializations, or deep recursion, widen the arguments.

use std::rc::Rc;

use super::Checker;
use super::env::Problem;
use super::join::{Widen, is_deep, join, widen};
use super::makers::forget_inner_maker;
use super::rename::{Call, Params, has_unnamed_dims, named_dims};
use super::size::made_so_far;
use super::ty::Ty;
use crate::resolve::{GlobalId, LoadedModule};
use crate::source::Span;
use crate::syntax::ast::FnDecl;

/// Module and function.
pub(super) type FnKey = (u32, u32);

/// A function followed with one tuple of argument types. Variables of sizes among them are numbered, so that calls that
/// differ in nothing else share it.
pub(super) struct Spec {
    slots: Vec<Option<Ty>>,
    captures: Rc<Vec<Ty>>,
    state: SpecState,
    /// How many variables there were when it was followed.
    before: u32,
    ret: Ty,
    outs: Vec<(usize, Ty)>,
    problems: Rc<Vec<Problem>>,
    /// It may end the program.
    exits: bool,
    reads: Rc<Vec<(GlobalId, Ty)>>,
}

impl Spec {
    /// The types of its arguments and of its result, once it has been followed.
    pub fn found(&self) -> Option<(&[Option<Ty>], &Ty)> {
        (self.state == SpecState::Done).then_some((&self.slots, &self.ret))
    }

    /// Something that it rests on has changed.
    pub fn outdate(&mut self) {
        if self.state == SpecState::Done {
            self.state = SpecState::Stale;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SpecState {
    /// On the stack; `ret` is what is assumed of it so far.
    Running,
    Done,
    /// Rests on an assumption that turned out too narrow.
    Stale,
}

/// A specialization that is being followed.
pub(super) struct Active {
    key: FnKey,
    spec: usize,
    /// Its assumed result was used.
    used: bool,
    /// Specializations finished while it ran, which rest on its assumed result.
    dependents: Vec<(FnKey, usize)>,
    /// More is forgotten of its arguments, or of those of a function around, than any call says.
    blurred: bool,
}

impl Active {
    pub fn is_blurred(&self) -> bool {
        self.blurred
    }
}

fn map_all_with(all: &[Ty], f: impl FnMut(&Ty) -> Ty) -> Rc<Vec<Ty>> {
    Rc::new(all.iter().map(f).collect())
}

/// Calls that may be nested.
const MAX_CALLS: usize = 40;

impl Checker {
    /// Looks up or makes the specialization for these argument types.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn specialize(
        &mut self,
        key: FnKey,
        module: &Rc<LoadedModule>,
        decl: &Rc<FnDecl>,
        mut slots: Vec<Option<Ty>>,
        mut captures: Rc<Vec<Ty>>,
        origins: Vec<Option<Span>>,
        site: Span,
    ) -> (Ty, Vec<(usize, Ty)>) {
        let running = self.stack.iter().filter(|a| a.key == key).count();
        let fresh = |s: &&Spec| s.state != SpecState::Stale;
        let specs = self.memo.get(&key).map_or(0, |s| s.iter().filter(fresh).count());
        let forget = match (specs, running) {
            (64.., _) | (_, 9..) => Some(Widen::Everything),
            (40.., _) | (_, 6..) => Some(Widen::Dims),
            (20.., _) | (_, 3..) => Some(Widen::Constants),
            _ => None,
        };
        let mut blurred = self.stack.last().is_some_and(Active::is_blurred);
        if let Some(how) = forget {
            for ty in slots.iter_mut().flatten() {
                let less = if is_deep(ty, 8) { Ty::Any } else { widen(ty, how) };
                blurred |= less != *ty;
                *ty = less;
            }
            let less = Rc::new(captures.iter().map(|t| widen(t, how)).collect());
            blurred |= less != captures;
            captures = less;
        }
        for ty in slots.iter_mut().flatten() {
            if has_unnamed_dims(ty) {
                *ty = named_dims(ty);
            }
        }
        let mut params = Params::of(slots.iter().flatten().chain(captures.iter()));
        let (given, given_captures) = (slots, captures);
        let known = self.frame.problems.len();
        // Without variables the arguments are as they are numbered.
        let numbered = (!params.is_empty()).then(|| {
            let numbered: Vec<Option<Ty>> = given.iter().map(|t| t.as_ref().map(|t| params.number(t))).collect();
            (numbered, map_all_with(&given_captures, |t| params.number(t)))
        });
        let (looked_for, with_captures) = numbered.as_ref().map_or((&given, &given_captures), |(n, c)| (n, c));
        if let Some(found) = self.find_spec(key, looked_for, with_captures) {
            let result = self.use_spec(key, found, &params, site);
            self.tell_arguments(known, module, &given, &origins, site);
            return result;
        }
        if self.stack.len() >= MAX_CALLS || self.gave_up {
            let outs = decl.params.iter().enumerate().filter(|(_, p)| p.inout).map(|(i, _)| (i, Ty::Any)).collect();
            self.unknown_call();
            return (Ty::Any, outs);
        }
        let outs = decl.params.iter().enumerate().filter(|(_, p)| p.inout).map(|(i, _)| (i, Ty::Never)).collect();
        let (numbered, numbered_captures, slots, captures) = match numbered {
            None => (given.clone(), given_captures.clone(), given.clone(), given_captures),
            Some((numbered, numbered_captures)) => {
                let slots = given.iter().map(|t| t.as_ref().map(|t| params.stand_in(t))).collect();
                (numbered, numbered_captures, slots, map_all_with(&given_captures, |t| params.stand_in(t)))
            }
        };
        let specs = self.memo.entry(key).or_default();
        let spec = specs.len();
        specs.push(Spec {
            slots: numbered,
            captures: numbered_captures,
            before: made_so_far(),
            state: SpecState::Running,
            ret: Ty::Never,
            outs,
            problems: Rc::default(),
            exits: false,
            reads: Rc::default(),
        });
        self.stack.push(Active { key, spec, used: false, dependents: vec![], blurred });
        for round in 0.. {
            let frame = self.run_body(key, module, decl, &slots, &captures, &origins);
            let outs: Vec<(usize, Ty)> = frame.outs.iter().map(|o| (o.param, params.renumber(&o.ty))).collect();
            let returns = params.renumber(&frame.returns);
            let Some(active) = self.stack.last_mut() else { break };
            let used = std::mem::take(&mut active.used);
            let dependents = std::mem::take(&mut active.dependents);
            let Some(entry) = self.memo.get_mut(&key).and_then(|s| s.get_mut(spec)) else { break };
            let within = |old: &Ty, new: &Ty| join(old, new) == *old;
            let outs_within = entry.outs.iter().zip(&outs).all(|(a, b)| within(&a.1, &b.1));
            let same_end = entry.exits || !frame.exits;
            let settled = !used || (within(&entry.ret, &returns) && outs_within && same_end) || round > 4;
            entry.exits |= frame.exits;
            if settled {
                entry.state = SpecState::Done;
                entry.ret = returns;
                entry.outs = outs;
                entry.problems = Rc::new(frame.problems);
                entry.reads = Rc::new(frame.reads);
                // What rests on assumptions of outer calls must go when they change.
                self.hand_down(key, spec, dependents);
                break;
            }
            let mut ret = join(&entry.ret, &returns);
            if round >= 1 {
                ret = if is_deep(&ret, 6) { Ty::Any } else { widen(&ret, Widen::Constants) };
            }
            if round >= 2 {
                ret = widen(&ret, Widen::Dims);
            }
            if round >= 3 {
                ret = Ty::Any;
            }
            entry.ret = ret;
            for ((_, old), (_, new)) in entry.outs.iter_mut().zip(&outs) {
                *old = if round >= 2 { Ty::Any } else { join(old, new) };
            }
            for (key, spec) in dependents {
                if let Some(entry) = self.memo.get_mut(&key).and_then(|s| s.get_mut(spec)) {
                    entry.state = SpecState::Stale;
                }
            }
        }
        self.stack.pop();
        let result = self.use_spec(key, spec, &params, site);
        self.tell_arguments(known, module, &given, &origins, site);
        result
    }

    fn hand_down(&mut self, key: FnKey, spec: usize, mut dependents: Vec<(FnKey, usize)>) {
        let n = self.stack.len();
        let Some(outer) = self.stack.get(..n.saturating_sub(1)) else { return };
        let Some(at) = outer.iter().rposition(|a| a.used) else { return };
        dependents.push((key, spec));
        if let Some(active) = self.stack.get_mut(at) {
            active.dependents.extend(dependents);
        }
    }

    fn find_spec(&self, key: FnKey, slots: &[Option<Ty>], captures: &Rc<Vec<Ty>>) -> Option<usize> {
        let fits = |spec: &Spec| {
            spec.state != SpecState::Stale
                && spec.slots == slots
                && spec.captures == *captures
                && (spec.problems.is_empty() || same_origins(&spec.slots, slots))
                && spec.reads.iter().all(|(id, ty)| self.same_global(*id, ty))
        };
        self.memo.get(&key)?.iter().position(fits)
    }

    /// The result of a specialization; its problems become those of the caller.
    fn use_spec(&mut self, key: FnKey, spec: usize, params: &Params, site: Span) -> (Ty, Vec<(usize, Ty)>) {
        let Some(entry) = self.memo.get(&key).and_then(|s| s.get(spec)) else { return (Ty::Any, vec![]) };
        let mut call = Call::new(params, entry.before);
        let ret = call.result(&entry.ret);
        let outs = entry.outs.iter().map(|(i, ty)| (*i, call.result(ty))).collect();
        let (problems, reads, exits) = (entry.problems.clone(), entry.reads.clone(), entry.exits);
        if entry.state == SpecState::Running {
            for active in &mut self.stack {
                if active.key == key && active.spec == spec {
                    active.used = true;
                }
            }
        }
        for (id, ty) in reads.iter() {
            if !self.frame.reads.iter().any(|(known, _)| known == id) {
                self.frame.reads.push((*id, ty.clone()));
            }
        }
        for problem in problems.iter() {
            let mut problem = problem.clone();
            let of_layer = |f: &String| {
                matches!(
                    f.rsplit_once('.'),
                    Some((
                        "nn.Dense"
                            | "convolution.Conv2d"
                            | "normalization.LayerNorm"
                            | "normalization.RMSNorm"
                            | "normalization.BatchNorm",
                        "call"
                    )) | Some(("recurrent.RNN" | "recurrent.GRU" | "recurrent.LSTM", "run"))
                )
            };
            if matches!(problem.diagnostic.code, "E0301" | "E0303")
                && problem.library.as_ref().is_some_and(of_layer)
                && let Some(slots) = self.memo.get(&key).and_then(|s| s.get(spec)).map(|s| s.slots.as_slice())
                && let Some(help) = self.layer_help(slots)
            {
                problem.diagnostic.help = Some(help);
            }
            self.take_problem(&problem, site);
        }
        if exits {
            self.frame.may_exit();
        }
        (ret, outs)
    }

    /// A callee's problem seen from the call. A place in a library moves to the first call in the user's code.
    pub(super) fn take_problem(&mut self, problem: &Problem, site: Span) {
        if self.gave_up {
            return;
        }
        let mut problem = problem.clone();
        problem.certain &= self.frame.is_certain();
        if let Some(function) = &mut problem.library
            && self.frame.module.is_library
            && function.rsplit('.').next().is_some_and(|last| last.starts_with('_'))
        {
            // What is private to the library is told by the function that called it.
            *function = self.function_in_library();
        }
        if problem.library.is_some() {
            self.name_maker(&mut problem);
        }
        if !self.frame.module.is_library {
            if let Some(function) = problem.library.take() {
                forget_inner_maker(&mut problem.diagnostic);
                if function.is_empty() {
                    // The message says it all.
                    let user = self.frame.module.source;
                    problem.diagnostic.labels.retain(|l| l.span.source == user);
                }
                let verb = if problem.diagnostic.is_error() { "fails" } else { "seen" };
                let place = format!("{verb} here, in `{function}`");
                for label in &mut problem.diagnostic.labels {
                    if label.primary {
                        label.primary = false;
                        label.message = if label.message.is_empty() {
                            place.clone()
                        } else {
                            format!("{}; {place}", label.message)
                        };
                    }
                }
                problem.diagnostic = problem.diagnostic.at(site, "in this call");
            } else if problem.chain < 3 && !problem.diagnostic.labels.iter().any(|l| l.span == site) {
                problem.diagnostic = problem.diagnostic.also(site, "called from here");
                problem.chain += 1;
            }
            if !problem.sizes.is_empty() && self.is_made_of_plain_sizes(&problem.diagnostic) {
                // The call may lead to the number in the program that a size is.
                problem.diagnostic = self.tell_sources(problem.diagnostic, &problem.sizes);
            }
        }
        let refused = |p: &Problem| p.library.as_ref().is_some_and(String::is_empty);
        let is_echo = self.frame.module.is_library && self.frame.problems.iter().any(refused);
        if !is_echo && !self.keeps_silent(&problem) {
            self.frame.add_problem(problem);
        }
    }
}

/// True if structs in these arguments were made at the same places; what is reported of them names the places.
fn same_origins(a: &[Option<Ty>], b: &[Option<Ty>]) -> bool {
    fn same(a: &Ty, b: &Ty) -> bool {
        let all = |x: &[Ty], y: &[Ty]| x.iter().zip(y).all(|(x, y)| same(x, y));
        match (a, b) {
            (Ty::Struct(x), Ty::Struct(y)) => x.origin.0 == y.origin.0 && all(&x.fields, &y.fields),
            (Ty::Tuple(x), Ty::Tuple(y)) => all(x, y),
            (Ty::List(x), Ty::List(y)) => match (&x.items, &y.items) {
                (Some(x), Some(y)) => all(x, y),
                _ => true,
            },
            _ => true,
        }
    }
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        _ => true,
    })
}
