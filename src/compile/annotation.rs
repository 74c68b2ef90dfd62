//! Annotations to run-time tests.

use crate::bytecode::chunk::{DimTest, TypeTest};
use crate::bytecode::op::{Op, Reg};
use crate::compile::FnCompiler;
use crate::resolve::{GlobalKind, Res};
use crate::source::Span;
use crate::syntax::ast::{BinOp, DimExpr, Ident, Param, TypeExpr, TypeKind};
use crate::tensor::DType;

impl FnCompiler<'_> {
    /// Emits the test of an annotation; nothing for `any`.
    pub fn check(&mut self, reg: Reg, ty: &TypeExpr, span: Span, what: &str) {
        let test = self.type_test(ty);
        if matches!(test, TypeTest::Any) {
            return;
        }
        self.writer.chunk.types.push(test);
        self.writer.chunk.annotated.push(what.into());
        let test = self.writer.table(self.writer.chunk.types.len());
        self.writer.emit(Op::Check { reg, test }, span, &[ty.span]);
    }

    /// An int parameter is the dimension of its name: `fn f(n: int, x: float[n])`.
    pub fn bind_dim(&mut self, param: usize, ty: Option<&TypeExpr>, span: Span) {
        let is_int =
            matches!(ty.map(|ty| &ty.kind), Some(TypeKind::Name { module: None, name }) if &*name.name == "int");
        let local = self.function.params.get(param).copied().flatten();
        let dims = self.function.dims_of_params.iter();
        if is_int && let Some(&(dim, _)) = dims.clone().find(|(_, of)| Some(*of) == local) {
            let dst = self.reg(dim);
            self.emit(Op::Move { dst, src: Reg(param as u16) }, span);
        }
    }

    /// Whether a parameter's annotation names a dimension that only a later one may show: in a formula of several, or since it has a
    /// default that is an int.
    pub fn names_later_dim(&self, ty: &TypeExpr, so_far: &[Param], later: &[Param]) -> bool {
        fn named(ty: &TypeExpr) -> Vec<(&Ident, bool)> {
            let mut dims = vec![];
            dims_of(ty, &mut dims);
            dims
        }
        let shows = |param: &Param, name: &str| {
            let plainly = |(dim, whole): &(&Ident, bool)| *whole && &*dim.name == name;
            param.ty.as_ref().is_some_and(|ty| named(ty).iter().any(plainly))
        };
        named(ty).iter().any(|(dim, whole)| {
            let is_default = |p: &Param| p.default.is_some() && p.pattern.name().is_some_and(|n| n.name == dim.name);
            let unknown = !whole && !so_far.iter().any(|p| shows(p, &dim.name));
            later.iter().any(|p| is_default(p) || unknown && shows(p, &dim.name))
        })
    }

    fn type_test(&mut self, ty: &TypeExpr) -> TypeTest {
        match &ty.kind {
            TypeKind::Name { module, name } => self.named_type(module.as_ref(), name),
            TypeKind::Tensor { dtype, dims } => {
                let dtype_test = match &*dtype.name {
                    "int" => Some(DType::Int),
                    "bool" => Some(DType::Bool),
                    "f32" => Some(DType::F32),
                    "f64" => Some(DType::F64),
                    _ => None,
                };
                let open = matches!(dims.first(), Some(DimExpr::Ellipsis(_)));
                let closed = if open { &dims[1..] } else { &dims[..] };
                let text = format!("{}[{}]", dtype.name, show_dims(dims));
                let dims = closed.iter().map(|d| self.dim_test(d)).collect();
                TypeTest::Tensor { dtype: dtype_test, dims, open, text }
            }
            TypeKind::List(item) => TypeTest::List(Box::new(self.type_test(item))),
            TypeKind::Dict(key, value) => {
                TypeTest::Dict(Box::new(self.type_test(key)), Box::new(self.type_test(value)))
            }
            TypeKind::Tuple(items) => TypeTest::Tuple(items.iter().map(|t| self.type_test(t)).collect()),
            TypeKind::Fn(..) => TypeTest::Fn,
            TypeKind::Optional(item) => TypeTest::Optional(Box::new(self.type_test(item))),
        }
    }

    fn named_type(&mut self, module: Option<&Ident>, name: &Ident) -> TypeTest {
        let program = self.context.program;
        let find = |id, name: &str| {
            let globals = &program.module(id).resolved.globals;
            globals
                .iter()
                .position(|g| &*g.name == name)
                .map(|i| crate::resolve::GlobalId { module: id, index: i as u32 })
        };
        if let Some(module) = module {
            let global = find(self.context.module, &module.name).and_then(|g| match self.context.kind(g) {
                GlobalKind::Module(m) => find(*m, &name.name),
                _ => None,
            });
            return match global {
                Some(g) if matches!(self.context.kind(g), GlobalKind::Struct(_)) => {
                    TypeTest::Struct { global: self.context.global(g), name: name.name.clone() }
                }
                _ => TypeTest::Any,
            };
        }
        match &*name.name {
            "int" => TypeTest::Int,
            "float" => TypeTest::Float,
            "bool" => TypeTest::Bool,
            "str" => TypeTest::Str,
            "none" => TypeTest::None,
            "fn" => TypeTest::Fn,
            "list" => TypeTest::List(Box::new(TypeTest::Any)),
            "dict" => TypeTest::Dict(Box::new(TypeTest::Any), Box::new(TypeTest::Any)),
            other => {
                let global = find(self.context.module, other);
                match global {
                    Some(g) if matches!(self.context.kind(g), GlobalKind::Struct(_)) => {
                        TypeTest::Struct { global: self.context.global(g), name: name.name.clone() }
                    }
                    _ => TypeTest::Any,
                }
            }
        }
    }

    fn dim_test(&mut self, dim: &DimExpr) -> DimTest {
        match dim {
            DimExpr::Int(n, _) => DimTest::Known(*n),
            DimExpr::Any(_) | DimExpr::Ellipsis(_) => DimTest::Any,
            DimExpr::Binary(op, a, b) => DimTest::Binary(*op, Box::new(self.dim_test(a)), Box::new(self.dim_test(b))),
            DimExpr::Var { ident, id } => match self.res(*id) {
                Res::Local(local) => DimTest::Var(self.reg(local), ident.name.clone()),
                Res::Global(global) => DimTest::Global(self.context.global(global), ident.name.clone()),
                _ => DimTest::Any,
            },
        }
    }
}

/// The dimension variables of an annotation, and whether each is a dim by itself.
fn dims_of<'e>(ty: &'e TypeExpr, out: &mut Vec<(&'e Ident, bool)>) {
    fn in_dim<'e>(dim: &'e DimExpr, whole: bool, out: &mut Vec<(&'e Ident, bool)>) {
        match dim {
            DimExpr::Var { ident, .. } => out.push((ident, whole)),
            DimExpr::Binary(_, a, b) => {
                in_dim(a, false, out);
                in_dim(b, false, out);
            }
            DimExpr::Int(..) | DimExpr::Any(_) | DimExpr::Ellipsis(_) => {}
        }
    }
    match &ty.kind {
        TypeKind::Tensor { dims, .. } => dims.iter().for_each(|dim| in_dim(dim, true, out)),
        TypeKind::List(item) | TypeKind::Optional(item) => dims_of(item, out),
        TypeKind::Dict(key, value) => {
            dims_of(key, out);
            dims_of(value, out);
        }
        TypeKind::Tuple(items) => items.iter().for_each(|item| dims_of(item, out)),
        TypeKind::Name { .. } | TypeKind::Fn(..) => {}
    }
}

/// Dims as they are written.
pub fn show_dims(dims: &[DimExpr]) -> String {
    dims.iter().map(show_dim).collect::<Vec<_>>().join(", ")
}

fn show_dim(dim: &DimExpr) -> String {
    match dim {
        DimExpr::Int(n, _) => n.to_string(),
        DimExpr::Var { ident, .. } => ident.name.to_string(),
        DimExpr::Any(_) => "_".into(),
        DimExpr::Ellipsis(_) => "...".into(),
        DimExpr::Binary(op, a, b) => {
            let space = if matches!(op, BinOp::Add | BinOp::Sub) { " " } else { "" };
            format!("{}{space}{}{space}{}", show_dim(a), op.symbol(), show_dim(b))
        }
    }
}
