//! What the checker knows of a value. `Ty::Any` and unknown dims mean "not known", which is never an error.

use std::rc::Rc;

use smallvec::SmallVec;

use super::size::{Num, Sym};
use crate::source::Span;
use crate::tensor::DType;
use crate::value::RangeValue;

/// The type of a value, refined by what is known of it. As equality is total (`Eq`), what is shared is equal without a look.
#[derive(Clone, Debug, Eq, Default)]
pub enum Ty {
    /// Nothing is known.
    #[default]
    Any,
    None,
    /// With its value if known.
    Bool(Option<bool>),
    Int(Num),
    Float,
    Str(Option<Rc<str>>),
    Tensor(TensorTy),
    /// An int tensor of one axis with known elements, such as the sizes of layers. Variables and arguments keep them; all else,
    /// `infer` rules too, sees the tensor ([`Ty::forget_elements`]).
    IntsOf(Rc<Vec<i64>>),
    Tuple(Rc<Vec<Ty>>),
    /// With its elements if length and all of them are known, else what all have in common.
    List(Rc<ListTy>),
    Dict(Rc<DictTy>),
    Range,
    /// A range that has an element. As `RangeOf`, it is a `Range` for `infer` rules.
    SomeRange,
    /// A range with known ends. `infer` rules never see it: they get `Range`.
    RangeOf(RangeValue),
    Struct(Rc<StructTy>),
    /// A function, as far as it is known.
    Fn(FnTy),
    DType(Option<DType>),
    StructType(Rc<StructInfo>),
    /// Index of a module in the program.
    Module(u32),
    /// An expression that never yields a value (`return`, `error(...)`).
    Never,
}

impl PartialEq for Ty {
    /// Most comparisons are of different kinds: those are decided without a call.
    #[inline]
    fn eq(&self, other: &Ty) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.equals_of_its_kind(other)
    }
}

/// dtype and dims of a tensor of rank 1 or more.
#[derive(Debug, PartialEq, Eq)]
pub struct TensorTy {
    pub dtype: Option<DType>,
    /// `None`: the rank is not known (and it may even be a scalar).
    pub dims: Option<Dims>,
}

impl Clone for TensorTy {
    fn clone(&self) -> TensorTy {
        // In one piece: element by element it is what costs most in following a program.
        TensorTy { dtype: self.dtype, dims: self.dims.as_deref().map(Dims::from_slice) }
    }
}

/// Dims of a tensor.
pub type Dims = SmallVec<[Dim; 4]>;

/// One dim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Dim {
    Known(usize),
    /// An expression of variables, which stand for the same numbers wherever they occur.
    Sym(Sym),
    /// Some number, which is not 0; two of them need not be the same.
    Some,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTy {
    pub items: Option<Vec<Ty>>,
    /// What all elements have in common. Its sizes are of each element anew: [`super::rename::renewed`] gives one element.
    pub element: Ty,
    /// There is at least one element.
    pub filled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DictTy {
    /// All entries in order, if they are known.
    pub items: Option<Vec<(Rc<str>, Ty)>>,
    pub value: Ty,
}

/// A struct's value: the types of its fields in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructTy {
    pub info: Rc<StructInfo>,
    pub fields: Vec<Ty>,
    pub origin: Origin,
}

/// Where the user's code made a value; it takes no part in comparisons.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin(pub Option<Span>);

impl PartialEq for Origin {
    fn eq(&self, _: &Origin) -> bool {
        true
    }
}

impl Eq for Origin {}

/// A struct by its place in the program: module and number within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StructRef {
    pub module: u32,
    pub index: u32,
}

/// A struct's declaration as the checker keeps it.
#[derive(Clone, Debug)]
pub struct StructInfo {
    pub at: StructRef,
    pub name: Rc<str>,
    pub fields: Vec<FieldInfo>,
}

/// One field of a struct.
#[derive(Clone, Debug)]
pub struct FieldInfo {
    pub name: Rc<str>,
    pub nograd: bool,
    /// As in [`crate::value::FieldDef`].
    pub exact: Option<&'static str>,
}

impl PartialEq for StructInfo {
    fn eq(&self, other: &StructInfo) -> bool {
        self.at == other.at
    }
}

impl Eq for StructInfo {}

impl StructInfo {
    /// Position of a field.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| &*f.name == name)
    }
}

/// What is known of a function value.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum FnTy {
    #[default]
    Unknown,
    /// Function `index` of `module` with the types of what it captured.
    User {
        module: u32,
        index: u32,
        captures: Rc<Vec<Ty>>,
    },
    Builtin(&'static str),
    /// `grad(f, wrt: 0)` and the like: name of the transform, and its arguments.
    Made {
        transform: &'static str,
        args: Rc<Vec<Ty>>,
    },
}

impl std::fmt::Debug for FnTy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FnTy::Unknown => f.write_str("fn"),
            FnTy::User { module, index, .. } => write!(f, "fn#{module}.{index}"),
            FnTy::Builtin(name) => f.write_str(name),
            FnTy::Made { transform, args } => write!(f, "{transform}({args:?})"),
        }
    }
}

impl Ty {
    fn equals_of_its_kind(&self, other: &Ty) -> bool {
        match (self, other) {
            (Ty::Any | Ty::None | Ty::Float | Ty::Range | Ty::SomeRange | Ty::Never, _) => true,
            (Ty::Bool(a), Ty::Bool(b)) => a == b,
            (Ty::Int(a), Ty::Int(b)) => a == b,
            (Ty::Str(a), Ty::Str(b)) => a == b,
            (Ty::Tensor(a), Ty::Tensor(b)) => a == b,
            (Ty::IntsOf(a), Ty::IntsOf(b)) => a == b,
            (Ty::Tuple(a), Ty::Tuple(b)) => a == b,
            (Ty::List(a), Ty::List(b)) => a == b,
            (Ty::Dict(a), Ty::Dict(b)) => a == b,
            (Ty::RangeOf(a), Ty::RangeOf(b)) => a == b,
            (Ty::Struct(a), Ty::Struct(b)) => a == b,
            (Ty::Fn(a), Ty::Fn(b)) => a == b,
            (Ty::DType(a), Ty::DType(b)) => a == b,
            (Ty::StructType(a), Ty::StructType(b)) => a == b,
            (Ty::Module(a), Ty::Module(b)) => a == b,
            _ => false,
        }
    }

    /// A tensor with known dims.
    pub fn tensor(dtype: DType, shape: &[usize]) -> Ty {
        let dims = shape.iter().map(|&n| Dim::Known(n)).collect();
        Ty::Tensor(TensorTy { dtype: Some(dtype), dims: Some(dims) })
    }

    /// A tensor or, for no dims, the scalar of its dtype.
    pub fn of(dtype: Option<DType>, dims: Option<Dims>) -> Ty {
        match (&dims, dtype) {
            (Some(d), Some(DType::Int)) if d.is_empty() => Ty::Int(Num::Unknown),
            (Some(d), Some(DType::Bool)) if d.is_empty() => Ty::Bool(None),
            (Some(d), Some(_)) if d.is_empty() => Ty::Float,
            (Some(d), None) if d.is_empty() => Ty::Any,
            _ => Ty::Tensor(TensorTy { dtype, dims }),
        }
    }

    /// Dims of a scalar (none) or tensor (if known).
    pub fn dims(&self) -> Option<Dims> {
        match self {
            Ty::Bool(_) | Ty::Int(_) | Ty::Float => Some(Dims::new()),
            Ty::Tensor(t) => t.dims.clone(),
            Ty::IntsOf(ints) => Some(Dims::from_slice(&[Dim::Known(ints.len())])),
            _ => None,
        }
    }

    /// A tensor of known ints as the tensor that it is.
    pub fn forget_elements(self) -> Ty {
        match &self {
            Ty::IntsOf(ints) => Ty::tensor(DType::Int, &[ints.len()]),
            _ => self,
        }
    }

    /// A tuple.
    pub fn tuple(items: Vec<Ty>) -> Ty {
        Ty::Tuple(Rc::new(items))
    }

    /// A list whose elements are known one by one.
    pub fn list(items: Vec<Ty>) -> Ty {
        let element = items.iter().fold(Ty::Never, |a, b| super::join::join_elements(&a, b));
        Ty::List(Rc::new(ListTy { filled: !items.is_empty(), items: Some(items), element }))
    }

    /// A list of any length.
    pub fn list_of(element: Ty) -> Ty {
        Ty::list_with(element, false)
    }

    /// A list of unknown length, which is not 0 if it is `filled`.
    pub fn list_with(element: Ty, filled: bool) -> Ty {
        Ty::List(Rc::new(ListTy { items: None, element: super::rename::closed(&element), filled }))
    }

    /// True for what holds other values: leafwise operations go into it.
    pub fn is_structure(&self) -> bool {
        matches!(self, Ty::Tuple(_) | Ty::List(_) | Ty::Dict(_) | Ty::Struct(_))
    }
}
