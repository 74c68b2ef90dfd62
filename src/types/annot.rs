//! Annotations: whether a value fits, what it is then known to be, and dimension variables.

use std::rc::Rc;

use super::Checker;
use super::error::TypeError;
use super::join::join;
use super::rename::closed;
use super::show::{show_dim, show_dims};
use super::size::Num;
use super::ty::{DictTy, Dim, Dims, FnTy, ListTy, StructInfo, StructTy, TensorTy, Ty};
use crate::resolve::{GlobalKind, LoadedModule, LocalId, LocalKind, Res};
use crate::source::Span;
use crate::symbol::Symbol;
use crate::syntax::ast::{BinOp, DimExpr, TypeExpr, TypeKind};
use crate::tensor::DType;
use crate::vm::typetest::operand;

/// A dimension variable with the dim that it stands for in a call.
#[derive(Clone, Debug)]
pub struct DimBinding {
    pub local: LocalId,
    pub dim: Dim,
    /// What showed it.
    pub place: Span,
}

/// Why a value does not fit its annotation.
pub(super) enum Mismatch {
    Kind { expected: String, actual: Ty, help: Option<String> },
    Dims { sentence: String, bound: Option<(Span, String)>, sizes: Vec<usize> },
}

type Fit = Result<Ty, Box<Mismatch>>;

impl Checker {
    /// The value as known after its annotation was checked; an error if it certainly does not fit.
    pub(super) fn admit(
        &mut self,
        annotation: &TypeExpr,
        ty: &Ty,
        module: &Rc<LoadedModule>,
        dims: &mut Vec<DimBinding>,
        place: Span,
    ) -> Fit {
        if matches!(ty, Ty::Never) {
            return Ok(Ty::Any);
        }
        if let Ty::IntsOf(_) = ty {
            let tensor = ty.clone().forget_elements();
            let admitted = self.admit(annotation, &tensor, module, dims, place)?;
            return Ok(if admitted == tensor { ty.clone() } else { admitted });
        }
        let wrong = || mismatch(annotation, ty);
        match &annotation.kind {
            TypeKind::Name { module: None, name } if is_basic(&name.name) => admit_basic(&name.name, annotation, ty),
            TypeKind::Name { module: in_module, name } => {
                let Some(info) = self.find_struct(in_module.as_ref().map(|m| &*m.name), &name.name, module) else {
                    return Ok(ty.clone());
                };
                match ty {
                    Ty::Any => Ok(self.declared_struct(&info, 2)),
                    Ty::Struct(s) if s.info == info => Ok(ty.clone()),
                    _ => wrong(),
                }
            }
            TypeKind::Tensor { dtype, dims: written } => {
                self.admit_tensor(annotation, &dtype.name, written, ty, module, dims, place)
            }
            TypeKind::List(element) => match ty {
                Ty::Any => Ok(Ty::list_of(self.annotated(element, module))),
                Ty::List(list) => match &list.items {
                    Some(items) => {
                        let items = items.iter().map(|t| self.admit(element, t, module, dims, place));
                        Ok(Ty::list(items.collect::<Result<_, _>>()?))
                    }
                    None if list.element == Ty::Never => Ok(Ty::list_of(self.annotated(element, module))),
                    None => {
                        let known = dims.len();
                        let admitted = match self.admit(element, &list.element, module, dims, place) {
                            // Perhaps it has no element at all.
                            Err(_) if !list.filled => {
                                dims.truncate(known);
                                return Ok(ty.clone());
                            }
                            admitted => admitted?,
                        };
                        Ok(Ty::List(Rc::new(ListTy { items: None, filled: list.filled, element: closed(&admitted) })))
                    }
                },
                _ => wrong(),
            },
            TypeKind::Dict(key, value) => match ty {
                Ty::Any => {
                    let value = self.annotated(value, module);
                    Ok(Ty::Dict(Rc::new(DictTy { items: None, value })))
                }
                Ty::Dict(dict) => {
                    let Some(items) = &dict.items else { return Ok(ty.clone()) };
                    // Keys that are known are texts.
                    if !items.is_empty() && matches!(&key.kind, TypeKind::Name { name, .. } if &*name.name == "int") {
                        return wrong();
                    }
                    let mut admitted = Vec::with_capacity(items.len());
                    for (key, ty) in items {
                        admitted.push((key.clone(), self.admit(value, ty, module, dims, place)?));
                    }
                    let value = admitted.iter().fold(Ty::Never, |a, (_, t)| join(&a, t));
                    Ok(Ty::Dict(Rc::new(DictTy { items: Some(admitted), value })))
                }
                _ => wrong(),
            },
            TypeKind::Tuple(parts) => match ty {
                Ty::Any => Ok(Ty::tuple(parts.iter().map(|p| self.annotated(p, module)).collect())),
                Ty::Tuple(items) if items.len() == parts.len() => {
                    let items = parts.iter().zip(items.iter()).map(|(p, t)| self.admit(p, t, module, dims, place));
                    Ok(Ty::tuple(items.collect::<Result<_, _>>()?))
                }
                _ => wrong(),
            },
            TypeKind::Fn(..) => match ty {
                Ty::Any => Ok(Ty::Fn(FnTy::Unknown)),
                Ty::None
                | Ty::Bool(_)
                | Ty::Int(_)
                | Ty::Float
                | Ty::Str(_)
                | Ty::Tensor(_)
                | Ty::Tuple(_)
                | Ty::List(_)
                | Ty::Dict(_)
                | Ty::Range
                | Ty::SomeRange
                | Ty::RangeOf(_)
                | Ty::Module(_) => wrong(),
                _ => Ok(ty.clone()),
            },
            TypeKind::Optional(inner) => match ty {
                Ty::None | Ty::Any => Ok(ty.clone()),
                _ => self.admit(inner, ty, module, dims, place),
            },
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn admit_tensor(
        &mut self,
        annotation: &TypeExpr,
        dtype: &str,
        written: &[DimExpr],
        ty: &Ty,
        module: &LoadedModule,
        dims: &mut Vec<DimBinding>,
        place: Span,
    ) -> Fit {
        let any_rank = matches!(written.first(), Some(DimExpr::Ellipsis(_)));
        let fixed = written.len() - usize::from(any_rank);
        let (actual, actual_dims) = match ty {
            Ty::Any => (None, None),
            Ty::Tensor(t) => (t.dtype, t.dims.clone()),
            Ty::Float if fixed == 0 => (Some(DType::F64), Some(Dims::new())),
            Ty::Int(_) if fixed == 0 => (Some(DType::Int), Some(Dims::new())),
            Ty::Bool(_) if fixed == 0 => (Some(DType::Bool), Some(Dims::new())),
            _ => return mismatch(annotation, ty),
        };
        let wanted = match dtype {
            "f32" => Some(DType::F32),
            "f64" => Some(DType::F64),
            "int" => Some(DType::Int),
            "bool" => Some(DType::Bool),
            _ => None,
        };
        let is_scalar = actual_dims.as_ref().is_some_and(|d| d.is_empty());
        let dtype = match (dtype, wanted, actual) {
            // Bools and ints where floats are asked may be converted.
            ("float", _, Some(a)) if a.is_float() => Some(a),
            ("float", _, Some(DType::Bool)) if !is_scalar => return mismatch(annotation, ty),
            ("float", _, Some(_)) => None,
            ("float", ..) => None,
            (_, Some(w), Some(a)) if w == a || is_scalar => Some(w),
            (_, Some(DType::F32 | DType::F64), Some(DType::Int)) => wanted,
            (_, Some(_), Some(_)) => return mismatch(annotation, ty),
            (_, w, _) => w,
        };
        let Some(actual_dims) = actual_dims else {
            if any_rank {
                return Ok(Ty::Tensor(TensorTy { dtype, dims: None }));
            }
            self.bind_dims(written, &[], module, dims, place);
            let refined = written.iter().map(|d| self.written_dim(d, module, dims)).collect();
            return Ok(of_float(dtype, refined));
        };
        let fits = if any_rank { actual_dims.len() >= fixed } else { actual_dims.len() == fixed };
        if !fits {
            let sentence = format!(
                "the annotation asks for {}{} {}, and the value has {}",
                if any_rank { "at least " } else { "" },
                fixed,
                if fixed == 1 { "axis" } else { "axes" },
                actual_dims.len()
            );
            return Err(Box::new(Mismatch::Dims { sentence, bound: None, sizes: vec![] }));
        }
        let leading = actual_dims.len() - fixed;
        let mut refined: Dims = actual_dims.iter().take(leading).copied().collect();
        let written = written.get(usize::from(any_rank)..).unwrap_or(&[]);
        self.bind_dims(written, actual_dims.get(leading..).unwrap_or(&[]), module, dims, place);
        for (d, actual) in written.iter().zip(actual_dims.iter().skip(leading)) {
            if let (DimExpr::Binary(..), Dim::Known(n)) = (d, actual)
                && self.written_dim(d, module, dims) == Dim::Unknown
                && !self.solve_dim(d, *n as i64, module, dims, place)
            {
                let sentence = format!(
                    "dimension `{}` cannot be {n}, which this value has there: its shape is {}",
                    show_any(d),
                    show_dims(&actual_dims)
                );
                return Err(Box::new(Mismatch::Dims { sentence, bound: None, sizes: vec![*n] }));
            }
        }
        for (d, actual) in written.iter().zip(actual_dims.iter().skip(leading)) {
            let expected = self.written_dim(d, module, dims);
            if expected.differs(*actual) {
                let (shape, e, a) = (show_dims(&actual_dims), show_dim(expected), show_dim(*actual));
                let sentence = match show_written(d) {
                    Some(name) if name == e => {
                        format!("dimension `{name}` is not {a}, which this value has there: its shape is {shape}")
                    }
                    Some(name) => {
                        format!("dimension `{name}` is {e}, but this value has {a} there: its shape is {shape}")
                    }
                    None => format!("the annotation asks for {e}, but this value has {a} there: its shape is {shape}"),
                };
                let bound = self.bound_at(d, module, dims);
                let known = |d: Dim| if let Dim::Known(n) = d { Some(n) } else { None };
                // What is expected stands in the annotation.
                let sizes = known(*actual).into_iter().collect();
                return Err(Box::new(Mismatch::Dims { sentence, bound, sizes }));
            }
            refined.push(expected.meet(*actual));
        }
        Ok(of_float(dtype, refined))
    }

    /// Binds dimension variables to the dims that they stand for; where a dim is not known, it has the variable's name from
    /// here on. Plain variables come first, so that `2*n` finds what `n` is.
    fn bind_dims(
        &self,
        written: &[DimExpr],
        actual: &[Dim],
        module: &LoadedModule,
        dims: &mut Vec<DimBinding>,
        place: Span,
    ) {
        for (i, d) in written.iter().enumerate() {
            let DimExpr::Var { id, ident } = d else { continue };
            let Some(Res::Local(local)) = module.resolved.names.get(id) else { continue };
            let named = |min: i64| Num::made(Some(Symbol::new(&ident.name)), Some(min)).into();
            let actual = actual.get(i).copied().unwrap_or(Dim::Unknown);
            match dims.iter_mut().find(|b| b.local == *local) {
                Some(bound) if !matches!(bound.dim, Dim::Known(_)) => bound.dim = bound.dim.meet(actual),
                Some(_) => {}
                // It names a variable of the function.
                None if self.in_frame && self.is_plain_variable(*local) => {}
                None => {
                    let dim = match actual {
                        Dim::Unknown => named(0),
                        Dim::Some => named(1),
                        known => known,
                    };
                    dims.push(DimBinding { local: *local, dim, place });
                }
            }
        }
    }

    /// Binds the one variable of a dim that is not bound yet, as the run does; false if no number makes the dim `size`.
    fn solve_dim(
        &self,
        d: &DimExpr,
        size: i64,
        module: &LoadedModule,
        dims: &mut Vec<DimBinding>,
        place: Span,
    ) -> bool {
        match d {
            DimExpr::Var { id, .. } => {
                let Some(Res::Local(local)) = module.resolved.names.get(id) else { return true };
                if dims.iter().any(|b| b.local == *local) || (self.in_frame && self.is_plain_variable(*local)) {
                    return true;
                }
                let Ok(n) = usize::try_from(size) else { return false };
                dims.push(DimBinding { local: *local, dim: Dim::Known(n), place });
                true
            }
            DimExpr::Binary(op, a, b) => {
                let known = |d: &DimExpr, dims: &[DimBinding]| match self.written_dim(d, module, dims) {
                    Dim::Known(n) => i64::try_from(n).ok(),
                    _ => None,
                };
                let (left, right) = (known(a, dims), known(b, dims));
                let (known, open, on_left) = match (left, right) {
                    (Some(n), None) => (n, b, true),
                    (None, Some(n)) => (n, a, false),
                    _ => return true,
                };
                match operand(*op, known, size, on_left) {
                    None => true,
                    Some(n) => n.is_some_and(|n| self.solve_dim(open, n, module, dims, place)),
                }
            }
            _ => true,
        }
    }

    fn is_plain_variable(&self, local: LocalId) -> bool {
        let function = self.frame.module.resolved.functions.get(self.frame.function.0 as usize);
        function.and_then(|f| f.locals.get(local.0 as usize)).is_some_and(|l| l.kind != LocalKind::Dim)
    }

    fn bound_at(&self, d: &DimExpr, module: &LoadedModule, dims: &[DimBinding]) -> Option<(Span, String)> {
        let DimExpr::Var { id, ident } = d else { return None };
        let Some(Res::Local(local)) = module.resolved.names.get(id) else { return None };
        let bound = dims.iter().find(|b| b.local == *local)?;
        Some((bound.place, format!("`{}` is {} here", ident.name, show_dim(bound.dim))))
    }

    /// A dim of an annotation as far as it is known.
    fn written_dim(&self, d: &DimExpr, module: &LoadedModule, dims: &[DimBinding]) -> Dim {
        match d {
            DimExpr::Int(n, _) => usize::try_from(*n).map_or(Dim::Unknown, Dim::Known),
            DimExpr::Var { id, .. } => {
                let local = match module.resolved.names.get(id) {
                    Some(Res::Local(local)) => local,
                    Some(Res::Global(id)) => return dim_of(&self.stored_global(*id)),
                    _ => return Dim::Unknown,
                };
                match dims.iter().find(|b| b.local == *local) {
                    Some(bound) => bound.dim,
                    None if self.in_frame => dim_of(&self.frame.local(*local)),
                    None => Dim::Unknown,
                }
            }
            DimExpr::Binary(op, a, b) => {
                let (a, b) = (self.written_dim(a, module, dims), self.written_dim(b, module, dims));
                a.with(b, |a, b| match (op, b) {
                    (BinOp::Add, _) => a + b,
                    (BinOp::Sub, _) => a - b,
                    (BinOp::Mul, _) => a * b,
                    (BinOp::FloorDiv, Num::Known(k @ 1..)) => a.floor_div(k),
                    (BinOp::Div, Num::Known(k @ 1..)) if a.known().is_some_and(|a| a % k == 0) => a.floor_div(k),
                    _ => Num::Unknown,
                })
            }
            DimExpr::Ellipsis(_) | DimExpr::Any(_) => Dim::Unknown,
        }
    }

    /// Dimension variables are ints of the function.
    pub(super) fn publish_dims(&mut self) {
        for i in 0..self.frame.dims.len() {
            let Some(binding) = self.frame.dims.get(i) else { break };
            let (local, place, dim) = (binding.local, binding.place, binding.dim);
            self.frame.set_local(local, Ty::Int(dim.into()), Some(place));
        }
    }

    /// What an annotation alone tells of a value.
    pub(super) fn annotated(&mut self, annotation: &TypeExpr, module: &Rc<LoadedModule>) -> Ty {
        self.admit(annotation, &Ty::Any, module, &mut vec![], annotation.span).unwrap_or(Ty::Any)
    }

    /// A struct's value of which only the declaration is known; `depth` bounds structs in structs.
    pub(super) fn declared_struct(&mut self, info: &Rc<StructInfo>, depth: usize) -> Ty {
        let module = self.module(info.at.module);
        let decl = module.as_ref().and_then(|m| Some(m.resolved.structs.get(info.at.index as usize)?.decl.clone()));
        let (Some(module), Some(decl)) = (module, decl) else { return Ty::Any };
        let mut fields = vec![];
        for field in &decl.fields {
            fields.push(match &field.ty {
                // A gradient is a struct with `none` in fields that have none, so only floats are taken at their word.
                Some(annotation) if depth > 0 && !field.nograd && is_float(annotation) => {
                    self.annotated(annotation, &module)
                }
                _ => Ty::Any,
            });
        }
        Ty::Struct(Rc::new(StructTy { info: info.clone(), fields, origin: Default::default() }))
    }

    /// The struct that an annotation names.
    fn find_struct(&mut self, qualifier: Option<&str>, name: &str, module: &LoadedModule) -> Option<Rc<StructInfo>> {
        let global = |m: &LoadedModule, name: &str| m.resolved.globals.iter().rev().find(|g| &*g.name == name).cloned();
        let mut at = module.id;
        if let Some(qualifier) = qualifier {
            match global(module, qualifier)?.kind {
                GlobalKind::Module(m) => at = m,
                _ => return None,
            }
        }
        let home = self.module(at.0)?;
        match global(&home, name)?.kind {
            GlobalKind::Struct(index) => self.struct_info(at.0, index),
            GlobalKind::Imported(id) => {
                let home = self.module(id.module.0)?;
                match home.resolved.globals.get(id.index as usize)?.kind {
                    GlobalKind::Struct(index) => self.struct_info(id.module.0, index),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    pub(super) fn report_mismatch(
        &mut self,
        mismatch: Mismatch,
        what: String,
        actual: &Ty,
        place: Span,
        annotation: Span,
    ) {
        let whole = actual.clone();
        let error = match mismatch {
            Mismatch::Kind { expected, actual, help } => {
                TypeError::Mismatch { what, expected, actual, whole, place, annotation, help }
            }
            Mismatch::Dims { sentence, bound, sizes } => {
                let sentence = format!("{what}: {sentence}");
                TypeError::DimMismatch { sentence, actual: whole, place, annotation, bound, sizes }
            }
        };
        self.report(error, place);
    }
}

/// An int variable as a dim.
fn dim_of(ty: &Ty) -> Dim {
    match ty {
        Ty::Int(n) => (*n).into(),
        _ => Dim::Unknown,
    }
}

fn is_basic(name: &str) -> bool {
    matches!(name, "int" | "float" | "bool" | "str" | "none" | "any")
}

fn is_float(annotation: &TypeExpr) -> bool {
    match &annotation.kind {
        TypeKind::Tensor { dtype, .. } => matches!(&*dtype.name, "float" | "f32" | "f64"),
        TypeKind::Name { module: None, name } => &*name.name == "float",
        _ => false,
    }
}

/// A float tensor, or a float for no dims.
fn of_float(dtype: Option<DType>, dims: Dims) -> Ty {
    if dims.is_empty() && dtype.is_none() { Ty::Any } else { Ty::of(dtype, Some(dims)) }
}

fn mismatch(annotation: &TypeExpr, actual: &Ty) -> Fit {
    let help = match (&annotation.kind, actual) {
        (TypeKind::Name { name, .. }, Ty::Float) if &*name.name == "int" => {
            Some("int(x) cuts off the fraction".to_string())
        }
        (TypeKind::Name { name, .. }, Ty::Tensor(_)) if &*name.name == "float" => {
            Some("a tensor is written float[n]; sum(x) or mean(x) gives one float".to_string())
        }
        (TypeKind::List(_), Ty::Tensor(_)) => Some("brackets make tensors; write list(...) for a list".to_string()),
        _ => None,
    };
    Err(Box::new(Mismatch::Kind {
        expected: format!("`{}`", show_annotation(annotation)),
        actual: actual.clone(),
        help,
    }))
}

fn admit_basic(name: &str, annotation: &TypeExpr, ty: &Ty) -> Fit {
    // A tensor of unknown rank may be a scalar.
    let may_be_scalar = matches!(ty, Ty::Tensor(TensorTy { dims: None, .. }));
    let result = match (name, ty) {
        ("any", _) => ty.clone(),
        ("int", Ty::Int(_)) => ty.clone(),
        ("int", Ty::Any) => Ty::Int(Num::Unknown),
        ("float", Ty::Float | Ty::Int(_) | Ty::Any) => Ty::Float,
        ("bool", Ty::Bool(_)) => ty.clone(),
        ("bool", Ty::Any) => Ty::Bool(None),
        ("str", Ty::Str(_)) => ty.clone(),
        ("str", Ty::Any) => Ty::Str(None),
        ("none", Ty::None | Ty::Any) => Ty::None,
        ("int", _) if may_be_scalar => Ty::Int(Num::Unknown),
        ("float", _) if may_be_scalar => Ty::Float,
        ("bool", _) if may_be_scalar => Ty::Bool(None),
        _ => return mismatch(annotation, ty),
    };
    Ok(result)
}

/// An annotation as it is written.
pub(super) fn show_annotation(annotation: &TypeExpr) -> String {
    let all = |parts: &[TypeExpr]| parts.iter().map(show_annotation).collect::<Vec<_>>().join(", ");
    match &annotation.kind {
        TypeKind::Name { module: Some(module), name } => format!("{}.{}", module.name, name.name),
        TypeKind::Name { module: None, name } => name.name.to_string(),
        TypeKind::Tensor { dtype, dims } => {
            let dims: Vec<String> = dims.iter().map(|d| show_written(d).unwrap_or_else(|| show_plain(d))).collect();
            format!("{}[{}]", dtype.name, dims.join(", "))
        }
        TypeKind::List(t) => format!("list[{}]", show_annotation(t)),
        TypeKind::Dict(k, v) => format!("dict[{}, {}]", show_annotation(k), show_annotation(v)),
        TypeKind::Tuple(parts) => format!("({})", all(parts)),
        TypeKind::Fn(params, ret) => format!("fn({}) -> {}", all(params), show_annotation(ret)),
        TypeKind::Optional(t) => format!("{}?", show_annotation(t)),
    }
}

/// A dim with a name in it.
fn show_written(d: &DimExpr) -> Option<String> {
    match d {
        DimExpr::Var { ident, .. } => Some(ident.name.to_string()),
        DimExpr::Binary(op, a, b) => {
            let part = |d: &DimExpr| match d {
                DimExpr::Binary(BinOp::Add | BinOp::Sub, ..) if !matches!(op, BinOp::Add) => {
                    format!("({})", show_any(d))
                }
                _ => show_any(d),
            };
            Some(format!("{}{}{}", part(a), op.symbol(), part(b)))
        }
        _ => None,
    }
}

fn show_any(d: &DimExpr) -> String {
    show_written(d).unwrap_or_else(|| show_plain(d))
}

fn show_plain(d: &DimExpr) -> String {
    match d {
        DimExpr::Int(n, _) => n.to_string(),
        DimExpr::Ellipsis(_) => "...".into(),
        _ => "_".into(),
    }
}
