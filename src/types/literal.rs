//! Brackets and comprehensions: tensors of known shape, lists of known length.

use std::rc::Rc;

use super::Checker;
use super::error::TypeError;
use super::join::{join, join_elements};
use super::pattern::{Count, Items};
use super::rename::renewed;
use super::show::show_dims;
use super::size::Num;
use super::ty::{Dim, Dims, TensorTy, Ty};
use crate::source::Span;
use crate::syntax::ast::{Clause, Expr};
use crate::tensor::DType;

/// Iterations of a comprehension or `for` that are followed one by one.
pub(super) const MAX_UNROLLED: usize = 16;
/// The same for nested loops taken together.
pub(super) const MAX_UNROLLED_NESTED: usize = 64;

impl Checker {
    /// `[a, b]`
    pub(super) fn brackets(&mut self, items: &[Expr]) -> Ty {
        let types: Vec<(Ty, Span)> = items.iter().map(|e| (self.expr(e), e.span)).collect();
        if let Some(ints) = known_ints(&types) {
            return Ty::IntsOf(Rc::new(ints));
        }
        self.stack(&types, Dim::Known(types.len()))
    }

    /// The tensor of these elements, `count` of them if known; `elements` may be one for all.
    fn stack(&mut self, elements: &[(Ty, Span)], count: Dim) -> Ty {
        if elements.is_empty() {
            let dims = Dims::from_slice(&[count]);
            return Ty::Tensor(TensorTy { dtype: self.dtype, dims: (count == Dim::Known(0)).then_some(dims) });
        }
        for (ty, place) in elements {
            if !matches!(ty, Ty::Any | Ty::Never | Ty::Bool(_) | Ty::Int(_) | Ty::Float | Ty::Tensor(_)) {
                return self.report(TypeError::NotElement { element: ty.clone(), place: *place }, *place);
            }
        }
        if let Some((_, place)) = elements.iter().find(|(t, _)| matches!(t, Ty::Bool(_)))
            && elements.iter().any(|(t, _)| matches!(t, Ty::Int(_) | Ty::Float))
        {
            return self.report(TypeError::MixedBools { place: *place }, *place);
        }
        let mut dims: Option<Dims> = None;
        let mut first: Option<(String, Span)> = None;
        for (ty, place) in elements {
            let Some(these) = ty.dims() else { continue };
            match (&mut dims, &first) {
                (Some(dims), Some((shape, first_place))) => {
                    if !meet(dims, &these) {
                        let other = if these.is_empty() { "of a scalar".into() } else { show_dims(&these) };
                        let first = if dims.is_empty() { "of a scalar".into() } else { shape.clone() };
                        let first_place = *first_place;
                        return self.report(TypeError::Ragged { first, first_place, other, place: *place }, *place);
                    }
                }
                _ => {
                    first = Some((show_dims(&these), *place));
                    dims = Some(these);
                }
            }
        }
        let dtype = self.stacked_dtype(elements);
        let dims = dims.map(|inner| {
            let mut all = Dims::new();
            all.push(count);
            all.extend(inner);
            all
        });
        Ty::Tensor(TensorTy { dtype, dims })
    }

    fn stacked_dtype(&self, elements: &[(Ty, Span)]) -> Option<DType> {
        let (mut ints, mut bools, mut floats, mut tensors) = (0, 0, 0, None);
        for (ty, _) in elements {
            match ty {
                Ty::Int(_) => ints += 1,
                Ty::Bool(_) => bools += 1,
                Ty::Float => floats += 1,
                Ty::Tensor(TensorTy { dtype: Some(d), .. }) if tensors.is_none_or(|t| t == *d) => tensors = Some(*d),
                _ => return None,
            }
        }
        match (ints, bools, floats, tensors) {
            (_, 0, 0, None) => Some(DType::Int),
            (0, _, 0, None) => Some(DType::Bool),
            (_, 0, _, None) => self.dtype,
            (0, 0, 0, Some(d)) => Some(d),
            (0, 0, _, Some(d)) if d.is_float() => Some(d),
            _ => None,
        }
    }

    /// `[e for p in xs if c]`, `list(e for p in xs)`
    pub(super) fn comprehension(&mut self, list: bool, element: &Expr, clauses: &[Clause]) -> Ty {
        let unrolled = self.unrolled;
        let mut out = Elements { items: vec![], exact: true, filled: true };
        self.frame.branches += 1;
        self.clauses(clauses, element, &mut out);
        self.frame.branches -= 1;
        self.unrolled = unrolled;
        if self.frame.dead {
            return Ty::Never;
        }
        if list {
            let items: Vec<Ty> = out.items.into_iter().map(|(t, _)| t).collect();
            return match out.exact {
                true => Ty::list(items),
                false => Ty::list_with(items.iter().fold(Ty::Never, |a, b| join_elements(&a, b)), out.filled),
            };
        }
        if !out.exact
            && let Some((ty, _)) = out.items.first()
            && matches!(ty, Ty::Any)
        {
            return Ty::Tensor(TensorTy { dtype: None, dims: None });
        }
        let count = if out.exact { Dim::Known(out.items.len()) } else { self.known_length(clauses) };
        self.stack(&out.items, if count == Dim::Unknown && out.filled { Dim::Some } else { count })
    }

    /// The length of a comprehension over one known range or tensor without conditions.
    fn known_length(&mut self, clauses: &[Clause]) -> Dim {
        match clauses {
            [Clause::For { iter, .. }] => {
                let ty = self.types.get(self.frame.module.id, iter.id).clone();
                match self.items(&ty) {
                    Items::Repeated { count: Count::Known(n), .. } => Dim::Known(n),
                    Items::Each(items) => Dim::Known(items.len()),
                    _ => Dim::Unknown,
                }
            }
            _ => Dim::Unknown,
        }
    }

    fn clauses(&mut self, clauses: &[Clause], element: &Expr, out: &mut Elements) {
        let Some((clause, rest)) = clauses.split_first() else {
            let ty = self.expr(element);
            out.items.push((ty, element.span));
            return;
        };
        match clause {
            Clause::If(cond) => match self.condition(cond) {
                Some(false) => {}
                Some(true) => self.clauses(rest, element, out),
                None => {
                    out.exact = false;
                    out.filled = false;
                    self.behind(cond, |c| c.clauses(rest, element, out));
                }
            },
            Clause::For { pattern, iter } => {
                let ty = self.expr_with_elements(iter);
                self.record_again(iter.id, &ty);
                if self.frame.dead {
                    return;
                }
                self.note_parts(pattern, super::tag::holds_parts(&ty));
                let before = self.unrolled;
                match self.items(&ty) {
                    Items::Each(items) if self.may_unroll(items.len()) => {
                        out.filled &= !items.is_empty();
                        self.unrolled *= items.len().max(1);
                        for item in &items {
                            self.bind_pattern(pattern, item, iter.span);
                            self.clauses(rest, element, out);
                        }
                    }
                    Items::Each(items) => {
                        let item = items.iter().fold(Ty::Never, |a, b| join(&a, b));
                        out.exact = false;
                        self.bind_pattern(pattern, &item, iter.span);
                        self.clauses(rest, element, out);
                    }
                    Items::Repeated { count: Count::Known(0), .. } => out.filled = false,
                    Items::Repeated { item, count } => {
                        out.exact = false;
                        out.filled &= count.is_some();
                        self.bind_pattern(pattern, &renewed(&item), iter.span);
                        self.perhaps(!count.is_some(), |c| c.clauses(rest, element, out));
                    }
                    Items::None => {
                        self.report(TypeError::NotIterable { ty, place: iter.span }, iter.span);
                        out.exact = false;
                        self.bind_pattern(pattern, &Ty::Any, iter.span);
                        self.perhaps(true, |c| c.clauses(rest, element, out));
                    }
                }
                self.unrolled = before;
            }
        }
    }

    pub(super) fn may_unroll(&self, count: usize) -> bool {
        count <= MAX_UNROLLED && self.unrolled.saturating_mul(count) <= MAX_UNROLLED_NESTED
    }
}

struct Elements {
    items: Vec<(Ty, Span)>,
    /// The items are all, in order.
    exact: bool,
    /// There is at least one.
    filled: bool,
}

/// A few ints, all known: sizes, not data.
fn known_ints(elements: &[(Ty, Span)]) -> Option<Vec<i64>> {
    if !(1..=MAX_UNROLLED).contains(&elements.len()) {
        return None;
    }
    elements.iter().map(|(ty, _)| if let Ty::Int(Num::Known(n)) = ty { Some(*n) } else { None }).collect()
}

/// Takes in what `other` tells of the common dims; false if they certainly differ.
fn meet(dims: &mut Dims, other: &Dims) -> bool {
    if dims.len() != other.len() {
        return false;
    }
    for (a, b) in dims.iter_mut().zip(other) {
        if a.differs(*b) {
            return false;
        }
        *a = a.meet(*b);
    }
    true
}
