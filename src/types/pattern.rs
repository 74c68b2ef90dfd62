//! Patterns, and what can be run over.

use super::Checker;
use super::error::TypeError;
use super::join::join;
use super::rename::{named, renewed};
use super::size::Num;
use super::ty::{Dim, Dims, TensorTy, Ty};
use crate::resolve::{GlobalId, LocalId, Res};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, NodeId, Pattern};

/// What iterating over a value gives.
pub(super) enum Items {
    Each(Vec<Ty>),
    /// `item` stands for all; its sizes are of each anew, see [`renewed`].
    Repeated {
        item: Ty,
        count: Count,
    },
    /// Certainly not iterable.
    None,
}

impl Items {
    /// One type for all elements, and how many there are; `None` if it is not iterable.
    pub fn joined(&self) -> Option<(Ty, Count)> {
        match self {
            Items::Each(items) => Some((items.iter().fold(Ty::Never, |a, b| join(&a, b)), Count::Known(items.len()))),
            Items::Repeated { item, count } => Some((renewed(item), *count)),
            Items::None => None,
        }
    }
}

/// How many elements there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Count {
    Known(usize),
    /// At least one.
    Some,
    Unknown,
}

impl Count {
    /// True if there certainly is an element.
    pub fn is_some(self) -> bool {
        matches!(self, Count::Some | Count::Known(1..))
    }

    /// The number of entries along an axis.
    pub fn of_dim(dim: Dim) -> Count {
        match dim {
            Dim::Known(n) => Count::Known(n),
            _ if dim.is_positive() => Count::Some,
            _ => Count::Unknown,
        }
    }

    fn of_filled(filled: bool) -> Count {
        if filled { Count::Some } else { Count::Unknown }
    }
}

impl Checker {
    /// What `for` sees of a value.
    pub(super) fn items(&mut self, ty: &Ty) -> Items {
        let unknown = |item: Ty| Items::Repeated { item, count: Count::Unknown };
        match ty {
            Ty::Any | Ty::Never | Ty::Fn(super::ty::FnTy::Unknown) => unknown(Ty::Any),
            Ty::Range => unknown(Ty::Int(Num::Unknown)),
            Ty::SomeRange => Items::Repeated { item: Ty::Int(Num::Unknown), count: Count::Some },
            Ty::RangeOf(r) => {
                if r.len() <= super::literal::MAX_UNROLLED {
                    return Items::Each((0..r.len()).map(|i| Ty::Int(Num::Known(r.at(i)))).collect());
                }
                Items::Repeated { item: Ty::Int(Num::Unknown), count: Count::Known(r.len()) }
            }
            Ty::Tuple(items) => Items::Each(items.to_vec()),
            Ty::List(list) => match &list.items {
                Some(items) => Items::Each(items.clone()),
                None if list.element == Ty::Never => unknown(Ty::Any),
                None => Items::Repeated { item: list.element.clone(), count: Count::of_filled(list.filled) },
            },
            Ty::Dict(dict) => match &dict.items {
                Some(items) => Items::Repeated { item: Ty::Any, count: Count::Known(items.len()) },
                None => unknown(Ty::Any),
            },
            Ty::Str(_) => unknown(Ty::Str(None)),
            Ty::IntsOf(ints) => Items::Each(ints.iter().map(|n| Ty::Int(Num::Known(*n))).collect()),
            Ty::Tensor(t) => match &t.dims {
                Some(dims) => {
                    let count = dims.first().map_or(Count::Unknown, |d| Count::of_dim(*d));
                    let rest: Dims = dims.iter().skip(1).copied().collect();
                    let dtype = if rest.is_empty() && t.dtype.is_none() { None } else { t.dtype };
                    Items::Repeated { item: Ty::of(dtype, Some(rest)), count }
                }
                None => unknown(Ty::Any),
            },
            Ty::None
            | Ty::Bool(_)
            | Ty::Int(_)
            | Ty::Float
            | Ty::Struct(_)
            | Ty::Fn(_)
            | Ty::DType(_)
            | Ty::StructType(_)
            | Ty::Module(_) => Items::None,
        }
    }

    /// Binds the names of a pattern; `value` is where the value stands.
    pub(super) fn bind_pattern(&mut self, pattern: &Pattern, ty: &Ty, value: Span) {
        match pattern {
            Pattern::Name { id, .. } => self.set_name(*id, ty.clone(), value),
            Pattern::Ignore(_) => {}
            Pattern::Tuple(parts, span) => {
                let types = self.unpack(ty, parts.len(), *span, value);
                for (part, ty) in parts.iter().zip(types) {
                    self.bind_pattern(part, &ty, value);
                }
            }
        }
    }

    /// The parts of a value for a pattern of `names` parts; a tensor gives its rows.
    pub(super) fn unpack(&mut self, ty: &Ty, names: usize, pattern: Span, value: Span) -> Vec<Ty> {
        let parts = match ty {
            Ty::IntsOf(ints) if ints.len() == names => {
                return ints.iter().map(|n| Ty::Int(Num::Known(*n))).collect();
            }
            Ty::IntsOf(_) => return self.unpack(&ty.clone().forget_elements(), names, pattern, value),
            Ty::Tuple(items) => Some(items.to_vec()),
            Ty::List(list) => list.items.clone(),
            Ty::None | Ty::Bool(_) | Ty::Int(_) | Ty::Float | Ty::Struct(_) | Ty::DType(_) | Ty::Module(_) => {
                Some(vec![])
            }
            Ty::Tensor(_) => {
                return match self.items(ty) {
                    Items::Repeated { count: Count::Known(parts), .. } if parts != names => {
                        let error = TypeError::Unpack { names, ty: ty.clone(), parts, pattern, value };
                        self.report(error, pattern);
                        vec![Ty::Any; names]
                    }
                    Items::Repeated { item, .. } => vec![item; names],
                    _ => vec![Ty::Any; names],
                };
            }
            _ => None,
        };
        match parts {
            Some(parts) if parts.len() == names => parts,
            Some(parts) => {
                self.report(TypeError::Unpack { names, ty: ty.clone(), parts: parts.len(), pattern, value }, pattern);
                vec![Ty::Any; names]
            }
            None => vec![Ty::Any; names],
        }
    }

    /// Sets the local or global that a binding stands for.
    pub(super) fn set_name(&mut self, id: NodeId, ty: Ty, origin: Span) {
        let ty = named(&ty);
        self.record(id, &ty);
        match self.resolution(id) {
            Some(Res::Local(local)) => self.set_local(local, ty, origin),
            Some(Res::Global(id)) => self.set_global(id, ty),
            _ => {}
        }
    }

    pub(super) fn set_local(&mut self, local: LocalId, ty: Ty, origin: Span) {
        self.frame.set_local(local, ty, Some(origin));
    }

    /// Follows a branch that is certainly never reached: only what is wrong wherever it stands is told. The condition must be
    /// a flag of the whole program; one about a parameter, such as its type, may let other calls through. Calls are not
    /// followed, as a recursion ends where a branch is not reached.
    pub(super) fn names_only(&mut self, cond: &Expr, e: &Expr) {
        if self.names_only || self.gave_up || self.frame.module.is_library || !self.is_flag(cond) {
            return;
        }
        let before = self.state();
        let problems = std::mem::take(&mut self.frame.problems);
        let (returns, left, exits) = (self.frame.returns.clone(), self.frame.left, self.frame.exits);
        let loops: Vec<_> = std::mem::take(&mut self.frame.loops);
        self.names_only = true;
        self.frame.loops.push(Default::default());
        self.expr(e);
        self.names_only = false;
        self.frame.loops = loops;
        (self.frame.returns, self.frame.left, self.frame.exits) = (returns, left, exits);
        let found = std::mem::replace(&mut self.frame.problems, problems);
        self.restore(before);
        for problem in found.into_iter().filter(|p| super::is_about_names(p.diagnostic.code)) {
            self.frame.add_problem(problem);
        }
    }

    /// `false`, `not debug` of a top-level `debug`.
    fn is_flag(&self, cond: &Expr) -> bool {
        match &cond.kind {
            ExprKind::Bool(_) => true,
            ExprKind::Unary(_, e) => self.is_flag(e),
            ExprKind::Name(_) => match self.resolution(cond.id) {
                Some(Res::Global(id)) => matches!(self.stored_global(id), Ty::Bool(_)),
                _ => false,
            },
            _ => false,
        }
    }

    /// A statement that made no sense may have changed any variable.
    pub(super) fn forget_all(&mut self) {
        self.frame.locals.iter_mut().for_each(|ty| *ty = Ty::Any);
        let id = self.frame.module.id;
        if self.frame.function.0 == 0
            && let Some(globals) = self.globals.get_mut(id.0 as usize)
        {
            globals.iter_mut().filter(|ty| **ty != Ty::Never).for_each(|ty| *ty = Ty::Any);
        }
    }

    pub(super) fn set_global(&mut self, id: GlobalId, ty: Ty) {
        // A global of another module (an earlier line of the REPL) is no part of the state that branches restore.
        let foreign = id.module != self.frame.module.id && self.frame.branches > 0;
        let Some(place) = self.globals.get_mut(id.module.0 as usize).and_then(|m| m.get_mut(id.index as usize)) else {
            return;
        };
        for state in &mut self.frame.tries {
            if let Some(seen) = state.globals.get_mut(id.index as usize)
                && !foreign
            {
                *seen = join(seen, &ty);
            }
        }
        *place = if foreign { Ty::Any } else { ty };
    }

    /// A tensor of which nothing is known but perhaps its dtype.
    pub(super) fn some_tensor(dtype: Option<crate::tensor::DType>) -> Ty {
        Ty::Tensor(TensorTy { dtype, dims: None })
    }
}
