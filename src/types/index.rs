//! Indexing: `x[i, 1:3, ..., none]` on tensors, `xs[i]` on lists, tuples, strings, dicts.

use std::rc::Rc;

use super::Checker;
use super::error::TypeError;
use super::join::{join, join_elements};
use super::rename::renewed;
use super::show::{show_a, show_dims, show_ty};
use super::size::Num;
use super::ty::{DictTy, Dim, Dims, ListTy, TensorTy, Ty};
use crate::ops::index::{bad_item, not_a_bound};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, IndexItem};
use crate::tensor::DType;
use crate::tensor::index::step_of_zero;
use crate::tensor::parts::refuse;
use crate::vm::items::one_axis;

/// An index after evaluation.
pub(super) enum IndexTy {
    At(Ty, Span),
    Slice { start: Option<Ty>, stop: Option<Ty>, step: Option<Ty>, places: [Span; 3] },
    Ellipsis,
}

impl Checker {
    pub(super) fn index_items(&mut self, items: &[IndexItem]) -> Vec<IndexTy> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let mut part = |e: &Option<Expr>| e.as_ref().map(|e| self.index_value(e));
            out.push(match item {
                IndexItem::At(e) => IndexTy::At(self.index_value(e), e.span),
                IndexItem::Slice { start, stop, step, .. } => {
                    let places = [start, stop, step].map(|e| e.as_ref().map_or_else(Span::default, |e| e.span));
                    let (start, stop, step) = (part(start), part(stop), part(step));
                    IndexTy::Slice { start, stop, step, places }
                }
                IndexItem::Ellipsis(_) => IndexTy::Ellipsis,
            });
        }
        out
    }

    /// The type of an index. Where the place was read before it is written, an index that changes something has had
    /// its effect already: following it again would have that effect twice.
    fn index_value(&mut self, e: &Expr) -> Ty {
        if self.place_was_read && has_effect(e) { Ty::Any } else { self.expr(e) }
    }

    /// Reports a slice that certainly fails whatever it is of: a bound that is no int, a step of 0. True if it did.
    fn refuse_slice(&mut self, base: &Ty, items: &[IndexTy], base_span: Span, span: Span) -> bool {
        if !matches!(base, Ty::Tensor(_) | Ty::IntsOf(_) | Ty::Tuple(_) | Ty::List(_) | Ty::Str(_) | Ty::RangeOf(_)) {
            return false;
        }
        for item in items {
            let IndexTy::Slice { start, stop, step, places } = item else { continue };
            let bounds = [start, stop, step].into_iter().zip(places);
            let wrong = bounds.filter_map(|(ty, place)| Some((ty.as_ref()?, *place))).find(|(ty, _)| is_no_bound(ty));
            let (error, place) = match (wrong, step) {
                (Some((ty, place)), _) => (not_a_bound(&show_a(ty)), place),
                (None, Some(Ty::Int(Num::Known(0)))) => (step_of_zero(), places[2]),
                _ => continue,
            };
            let operands = vec![base_span, place];
            self.report(TypeError::Operation { error, operands, origins: vec![] }, span);
            return true;
        }
        false
    }

    /// The type of `base[items]`.
    pub(super) fn index(&mut self, base: &Ty, items: &[IndexTy], base_span: Span, span: Span) -> Ty {
        if self.refuse_slice(base, items, base_span, span) {
            return Ty::Any;
        }
        if items.len() > 1 && matches!(base, Ty::Tuple(_) | Ty::List(_) | Ty::Str(_)) {
            let error = one_axis(&show_a(base), items.len());
            return self.report(TypeError::Operation { error, operands: vec![base_span], origins: vec![] }, span);
        }
        if let (
            [IndexTy::At(at @ (Ty::Float | Ty::Str(_) | Ty::None), place)],
            Ty::Str(_) | Ty::Range | Ty::SomeRange | Ty::RangeOf(_),
        ) = (items, base)
        {
            return self.bad_index(base, at, base_span, *place);
        }
        match base {
            Ty::Any | Ty::Never => Ty::Any,
            Ty::IntsOf(ints) => match pick(ints, items) {
                Some(picked) => picked,
                None => self.index(&base.clone().forget_elements(), items, base_span, span),
            },
            Ty::Tensor(t) => self.index_tensor(t, items, base_span, span),
            Ty::Tuple(all) => match items {
                [IndexTy::At(at, place)] => self.index_sequence(base, Some(all), None, at, *place, base_span),
                [IndexTy::Slice { start, stop, step, .. }] => match slice(start, stop, step, all.len()) {
                    Some(picked) => Ty::tuple(picked.filter_map(|i| all.get(i).cloned()).collect()),
                    None => Ty::Any,
                },
                _ => Ty::Any,
            },
            Ty::List(list) => match items {
                [IndexTy::At(at, place)] => {
                    let all = list.items.as_ref();
                    self.index_sequence(base, all, Some(&renewed(&list.element)), at, *place, base_span)
                }
                [IndexTy::Slice { start, stop, step, .. }] => {
                    let picked = list.items.as_ref().and_then(|all| {
                        let picked = slice(start, stop, step, all.len())?;
                        Some(picked.filter_map(|i| all.get(i).cloned()).collect::<Vec<Ty>>())
                    });
                    picked.map_or_else(|| Ty::list_of(list.element.clone()), Ty::list)
                }
                _ => Ty::Any,
            },
            Ty::Dict(dict) => match (items, &dict.items) {
                ([IndexTy::At(Ty::Str(Some(key)), place)], Some(entries)) => {
                    match entries.iter().find(|(k, _)| k == key) {
                        Some((_, ty)) => ty.clone(),
                        None => self.no_key(key, entries, base_span, *place),
                    }
                }
                ([IndexTy::At(at @ (Ty::Float | Ty::Bool(_) | Ty::None | Ty::List(_) | Ty::Tuple(_)), place)], _) => {
                    let error = crate::builtins::iterate::no_kind_of_key(&show_a(at))
                        .operand(0, format!("this is {}", show_a(at)));
                    self.report(TypeError::Operation { error, operands: vec![*place], origins: vec![] }, *place)
                }
                _ => Ty::Any,
            },
            Ty::Str(_) => Ty::Str(None),
            Ty::Range | Ty::SomeRange | Ty::RangeOf(_) => match items {
                [IndexTy::At(Ty::Int(_), _)] => Ty::Int(Num::Unknown),
                _ => Ty::Any,
            },
            Ty::Bool(_) | Ty::Int(_) | Ty::Float
                if !items.iter().any(|i| matches!(i, IndexTy::At(Ty::Int(_), _) | IndexTy::Slice { .. })) =>
            {
                new_axes(base, items)
            }
            _ => self.report(TypeError::NotIndexable { ty: base.clone(), base: base_span }, span),
        }
    }

    pub(super) fn no_key(&mut self, key: &str, entries: &[(Rc<str>, Ty)], base: Span, place: Span) -> Ty {
        let keys: Vec<&str> = entries.iter().map(|e| &*e.0).collect();
        let remark = match crate::diagnostic::did_you_mean(key, keys.iter().copied()) {
            Some(near) => format!("it has `{near}`"),
            None => format!("its keys: {}", keys.join(", ")),
        };
        let sentence = format!("the dict has no key \"{key}\"");
        self.reserved = has_tag(entries.iter().map(|e| &e.1));
        self.report(TypeError::BadIndex { sentence, base: (base, remark), place, code: "E0450" }, place)
    }

    fn index_sequence(
        &mut self,
        base: &Ty,
        all: Option<&Vec<Ty>>,
        element: Option<&Ty>,
        at: &Ty,
        place: Span,
        base_span: Span,
    ) -> Ty {
        let any = || match (element, all) {
            (Some(Ty::Never), _) => Ty::Any,
            (Some(ty), _) => ty.clone(),
            (None, Some(all)) if !all.is_empty() => all.iter().fold(Ty::Never, |a, b| join(&a, b)),
            _ => Ty::Any,
        };
        match (at, all) {
            (Ty::Int(Num::Known(i)), Some(all)) => match position(*i, all.len()) {
                Some(i) => all.get(i).cloned().unwrap_or_default(),
                None => {
                    self.reserved = has_tag(all.iter());
                    let sentence = format!("index {i} is out of range: the length is {}", all.len());
                    let remark = format!("this is {}, of length {}", show_a(base), all.len());
                    let base = (base_span, remark);
                    self.report(TypeError::BadIndex { sentence, base, place, code: "E0401" }, place)
                }
            },
            (Ty::Int(_), _) => any(),
            (Ty::Float | Ty::Str(_) | Ty::None, _) => self.bad_index(base, at, base_span, place),
            _ => Ty::Any,
        }
    }

    fn bad_index(&mut self, base: &Ty, at: &Ty, base_span: Span, place: Span) -> Ty {
        let sentence = format!("{} is indexed by ints, not by {}", show_a(base), show_a(at));
        let base = (base_span, format!("this is {}", show_ty(base)));
        self.report(TypeError::BadIndex { sentence, base, place, code: "E0335" }, place)
    }

    fn index_tensor(&mut self, t: &TensorTy, items: &[IndexTy], base_span: Span, span: Span) -> Ty {
        let base_ty = Ty::Tensor(t.clone());
        let mut used = 0;
        let mut gathers = 0;
        let mut ints = 0;
        let mut known = true;
        for item in items {
            match item {
                IndexTy::At(at, place) => match at {
                    Ty::Int(_) => (used, ints) = (used + 1, ints + 1),
                    Ty::None => {}
                    Ty::Range | Ty::SomeRange | Ty::RangeOf(_) => (used, gathers) = (used + 1, gathers + 1),
                    Ty::Tensor(TensorTy { dtype: Some(DType::Int), dims: Some(_) }) => {
                        (used, gathers) = (used + 1, gathers + 1);
                    }
                    Ty::Tensor(TensorTy { dtype: Some(DType::Bool), dims: Some(d) }) => {
                        (used, gathers) = (used + d.len(), gathers + 1);
                    }
                    Ty::Float | Ty::Str(_) | Ty::Struct(_) | Ty::Dict(_) | Ty::Fn(_) => {
                        return self.bad_index(&base_ty, at, base_span, *place);
                    }
                    // Brackets without elements are a float tensor, and index nothing.
                    Ty::Tensor(TensorTy { dtype: Some(DType::F32 | DType::F64), dims: Some(d) })
                        if !d.is_empty() && d.iter().all(|d| d.is_positive()) =>
                    {
                        let error = bad_item(&crate::ops::shape_rules::show(at));
                        let operands = vec![base_span, *place];
                        return self.report(TypeError::Operation { error, operands, origins: vec![] }, span);
                    }
                    _ => known = false,
                },
                IndexTy::Slice { .. } => used += 1,
                IndexTy::Ellipsis => {}
            }
        }
        let Some(dims) = &t.dims else { return Checker::some_tensor(t.dtype) };
        if used > dims.len() && known {
            let axes = if dims.len() == 1 { "axis" } else { "axes" };
            let sentence = format!("too many indices: {used} for a tensor of {} {axes}", dims.len());
            let base = (base_span, format!("this is {}", show_ty(&base_ty)));
            return self.report(TypeError::BadIndex { sentence, base, place: span, code: "E0402" }, span);
        }
        // Several index tensors broadcast, and move axes when mixed with ints.
        if !known || gathers > 1 || (gathers > 0 && ints > 0) {
            return Checker::some_tensor(t.dtype);
        }
        let mut out = Dims::new();
        let mut axis = 0;
        let rest = dims.len() - used;
        let has_ellipsis = items.iter().any(|i| matches!(i, IndexTy::Ellipsis));
        for item in items {
            let here = dims.get(axis).copied().unwrap_or(Dim::Unknown);
            match item {
                IndexTy::At(Ty::Int(i), place) => {
                    if let (Some(i), Dim::Known(n)) = (i.known(), here)
                        && position(i, n).is_none()
                    {
                        let sentence = format!("index {i} is out of range: axis {axis} has length {n}");
                        let base = (base_span, format!("this is {}", show_ty(&base_ty)));
                        return self
                            .report(TypeError::BadIndex { sentence, base, place: *place, code: "E0401" }, *place);
                    }
                    axis += 1;
                }
                IndexTy::At(Ty::None, _) => out.push(Dim::Known(1)),
                IndexTy::At(Ty::RangeOf(r), _) => {
                    out.push(Dim::Known(r.len()));
                    axis += 1;
                }
                IndexTy::At(range @ (Ty::Range | Ty::SomeRange), _) => {
                    out.push(if *range == Ty::Range { Dim::Unknown } else { Dim::Some });
                    axis += 1;
                }
                IndexTy::At(Ty::Tensor(idx), place) => {
                    let idx_dims = idx.dims.clone().unwrap_or_default();
                    if idx.dtype == Some(DType::Bool) {
                        for (i, mask) in idx_dims.iter().enumerate() {
                            if let (Dim::Known(m), Some(Dim::Known(n))) = (mask, dims.get(axis + i))
                                && m != n
                            {
                                let sentence = format!(
                                    "the mask has shape {}, but axis {} has length {n}",
                                    show_dims(&idx_dims),
                                    axis + i
                                );
                                let base = (base_span, format!("this is {}", show_ty(&base_ty)));
                                return self.report(
                                    TypeError::BadIndex { sentence, base, place: *place, code: "E0403" },
                                    *place,
                                );
                            }
                        }
                        axis += idx_dims.len();
                        out.push(Dim::Unknown);
                    } else {
                        axis += 1;
                        out.extend(idx_dims);
                    }
                }
                IndexTy::At(..) => axis += 1,
                IndexTy::Slice { start, stop, step, .. } => {
                    out.push(match (start, stop, step, here) {
                        (None, None, None, d) => d,
                        (None, None, Some(Ty::Int(Num::Known(_))), Dim::Some) => Dim::Some,
                        (_, _, _, Dim::Known(n)) => match slice(start, stop, step, n) {
                            Some(picked) => Dim::Known(picked.count()),
                            None => sliced(start, stop, step, here),
                        },
                        _ => sliced(start, stop, step, here),
                    });
                    axis += 1;
                }
                IndexTy::Ellipsis => {
                    out.extend(dims.iter().skip(axis).take(rest).copied());
                    axis += rest;
                }
            }
        }
        if !has_ellipsis {
            out.extend(dims.iter().skip(axis).copied());
        }
        Ty::of(t.dtype, Some(out))
    }

    /// The type of `base` after `base[items] = value`.
    pub(super) fn with_index(
        &mut self,
        base: &Ty,
        items: &[IndexTy],
        value: &Ty,
        base_span: Span,
        span: Span,
        value_span: Span,
    ) -> Ty {
        if self.refuse_slice(base, items, base_span, span) {
            return base.clone();
        }
        match base {
            Ty::Tensor(t) => {
                let part = self.index_tensor(t, items, base_span, span);
                if let (Some(part), Some(given)) = (part.dims(), value.dims())
                    && !fits_into(&given, &part)
                {
                    let sentence =
                        format!("a value of shape {} does not fit into {}", show_dims(&given), show_dims(&part));
                    let base = (span, format!("this part has shape {}", show_dims(&part)));
                    self.report(TypeError::BadIndex { sentence, base, place: value_span, code: "E0301" }, value_span);
                }
                if matches!(value, Ty::Str(_) | Ty::Struct(_) | Ty::Dict(_) | Ty::None | Ty::Fn(_)) {
                    let sentence = format!("the elements of a tensor are numbers, not {}", show_a(value));
                    let base = (base_span, format!("this is {}", show_ty(base)));
                    self.report(TypeError::BadIndex { sentence, base, place: value_span, code: "E0335" }, value_span);
                }
                if let Some(dtype) = t.dtype
                    && cannot_hold(dtype, value)
                {
                    let float =
                        matches!(value, Ty::Float) || matches!(value, Ty::Tensor(t) if t.dtype != Some(DType::Int));
                    let error = refuse(dtype, &show_ty(value), float);
                    let operands = vec![base_span, span, value_span];
                    self.report(TypeError::Operation { error, operands, origins: vec![] }, span.to(value_span));
                    return base.clone();
                }
                let float = |d: Option<DType>| d.is_none_or(DType::is_float);
                let dtype = if float(t.dtype) { t.dtype } else { t.dtype.filter(|_| !matches!(value, Ty::Float)) };
                Ty::Tensor(TensorTy { dtype, dims: t.dims.clone() })
            }
            Ty::List(list) => {
                let element = join_elements(&list.element, value);
                let all = match (items, &list.items) {
                    ([IndexTy::At(Ty::Int(Num::Known(i)), place)], Some(all)) => {
                        let mut all = all.clone();
                        match position(*i, all.len()).and_then(|i| all.get_mut(i)) {
                            Some(slot) => *slot = value.clone(),
                            None => {
                                self.index(base, items, base_span, *place);
                            }
                        }
                        Some(all)
                    }
                    _ => None,
                };
                let slices = !matches!(items, [IndexTy::At(..)]);
                Ty::List(Rc::new(ListTy {
                    items: all,
                    element: if slices { Ty::Any } else { element },
                    filled: list.filled && !slices,
                }))
            }
            Ty::Dict(dict) => match (items, &dict.items) {
                ([IndexTy::At(Ty::Str(Some(key)), _)], Some(entries)) => {
                    let mut entries = entries.clone();
                    match entries.iter_mut().find(|(k, _)| k == key) {
                        Some(entry) => entry.1 = value.clone(),
                        None => entries.push((key.clone(), value.clone())),
                    }
                    let items = (entries.len() <= 32).then_some(entries);
                    Ty::Dict(Rc::new(DictTy { items, value: join(&dict.value, value) }))
                }
                _ => Ty::Dict(Rc::new(DictTy { items: None, value: join(&dict.value, value) })),
            },
            Ty::None | Ty::Int(_) | Ty::Float | Ty::Bool(_) | Ty::Fn(_) => {
                self.report(TypeError::NotIndexable { ty: base.clone(), base: base_span }, span)
            }
            _ => Ty::Any,
        }
    }
}

/// An element of known ints, or a slice of them.
fn pick(ints: &[i64], items: &[IndexTy]) -> Option<Ty> {
    match items {
        [IndexTy::At(Ty::Int(Num::Known(i)), _)] => Some(Ty::Int(Num::Known(*ints.get(position(*i, ints.len())?)?))),
        [IndexTy::Slice { start, stop, step, .. }] => {
            let picked: Vec<i64> = slice(start, stop, step, ints.len())?.filter_map(|i| ints.get(i).copied()).collect();
            (!picked.is_empty()).then(|| Ty::IntsOf(Rc::new(picked)))
        }
        _ => None,
    }
}

/// `y[none, ...]` of one number.
fn new_axes(number: &Ty, items: &[IndexTy]) -> Ty {
    let mut dims = Dims::new();
    for item in items {
        match item {
            IndexTy::At(Ty::None, _) => dims.push(Dim::Known(1)),
            IndexTy::Ellipsis => {}
            _ => return Ty::Any,
        }
    }
    let dtype = match number {
        Ty::Int(_) => Some(DType::Int),
        Ty::Bool(_) => Some(DType::Bool),
        // An example of a batch keeps the dtype of the batch.
        _ => None,
    };
    if dims.is_empty() { number.clone() } else { Ty::Tensor(TensorTy { dtype, dims: Some(dims) }) }
}

/// True for numbers that a tensor of this dtype certainly does not take: floats into ints, numbers into bools.
fn cannot_hold(dtype: DType, value: &Ty) -> bool {
    let given = match value {
        Ty::Float => DType::F64,
        Ty::Int(_) => DType::Int,
        Ty::Tensor(TensorTy { dtype: Some(d), dims: Some(_) }) => *d,
        _ => return false,
    };
    match dtype {
        DType::Bool => given != DType::Bool,
        DType::Int => given.is_float(),
        DType::F32 | DType::F64 => false,
    }
}

/// True for what is certainly neither an int nor `none`, as one example of a batch is not, either.
fn is_no_bound(ty: &Ty) -> bool {
    match ty {
        Ty::Float | Ty::Bool(_) | Ty::Str(_) | Ty::Struct(_) | Ty::Dict(_) | Ty::List(_) | Ty::Tuple(_) => true,
        Ty::Tensor(t) => t.dims.is_some(),
        _ => false,
    }
}

/// True if one of the parts may tell what kind of value this is: a constant that is not known, as where two kinds meet.
fn has_tag<'a>(mut parts: impl Iterator<Item = &'a Ty>) -> bool {
    parts.any(|t| matches!(t, Ty::Str(None) | Ty::Bool(None) | Ty::Int(Num::Unknown)))
}

/// The position of index `i` (negative from the end), if within range.
pub(super) fn position(i: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if i < 0 { i.checked_add(length)? } else { i };
    if (0..length).contains(&at) { usize::try_from(at).ok() } else { None }
}

/// The positions that a slice picks; `None` if its ends are not known. Ends are clamped as in Python.
fn slice(
    start: &Option<Ty>,
    stop: &Option<Ty>,
    step: &Option<Ty>,
    length: usize,
) -> Option<impl Iterator<Item = usize> + use<>> {
    let known = |ty: &Option<Ty>| match ty {
        None | Some(Ty::None) => Some(None),
        Some(Ty::Int(Num::Known(i))) => Some(Some(*i)),
        _ => None,
    };
    let (start, stop, step) = (known(start)?, known(stop)?, known(step)?.unwrap_or(1));
    let n = i64::try_from(length).ok()?;
    if step == 0 {
        return None;
    }
    let clamp = |i: i64, lo: i64, hi: i64| (if i < 0 { i.saturating_add(n) } else { i }).clamp(lo, hi);
    let (from, to) = if step > 0 {
        (start.map_or(0, |i| clamp(i, 0, n)), stop.map_or(n, |i| clamp(i, 0, n)))
    } else {
        (start.map_or(n - 1, |i| clamp(i, -1, n - 1)), stop.map_or(-1, |i| clamp(i, -1, n - 1)))
    };
    let range = crate::value::RangeValue { start: from, stop: to, step };
    Some((0..range.len()).filter_map(move |i| usize::try_from(range.at(i)).ok()))
}

/// The length of a slice whose ends are not all known numbers.
fn sliced(start: &Option<Ty>, stop: &Option<Ty>, step: &Option<Ty>, dim: Dim) -> Dim {
    let end = |ty: &Option<Ty>| match ty {
        None | Some(Ty::None) => Some(None),
        Some(Ty::Int(n)) if *n != Num::Unknown => Some(Some(*n)),
        _ => None,
    };
    match (end(start), end(stop), step) {
        (Some(start), Some(stop), None | Some(Ty::None | Ty::Int(Num::Known(1)))) => dim.map(|n| n.sliced(start, stop)),
        _ => Dim::Unknown,
    }
}

/// False if a value of these dims certainly does not broadcast into the part.
fn fits_into(value: &Dims, part: &Dims) -> bool {
    if value.len() > part.len() {
        // Leading axes of size 1 may be dropped.
        let extra = value.len() - part.len();
        if value.iter().take(extra).any(|d| d.differs(Dim::Known(1))) {
            return false;
        }
    }
    let fits = |v: &Dim, p: &Dim| !v.differs(*p) || !v.differs(Dim::Known(1));
    value.iter().rev().zip(part.iter().rev()).all(|(v, p)| fits(v, p))
}

/// True if evaluating it may change a variable.
fn has_effect(e: &Expr) -> bool {
    let mut found = false;
    crate::syntax::visit::expr(e, &mut |e| {
        found |= match &e.kind {
            ExprKind::Call { args, .. } => args.iter().any(|a| a.inout),
            // The method may take `inout self`.
            ExprKind::Method { .. } | ExprKind::Block(_) => true,
            _ => false,
        };
    });
    found
}
