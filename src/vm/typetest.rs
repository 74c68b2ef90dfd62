//! Annotations while running: the value must be of the type; ints become floats where that is asked; dimension
//! variables are bound by the first value that shows them.

use std::rc::Rc;

use crate::bytecode::chunk::{DimTest, TypeTest};
use crate::error::{Error, Result};
use crate::syntax::ast::BinOp;
use crate::tensor::{DType, show_shape};
use crate::value::{Key, Value};
use crate::vm::call::a_value;

/// The common cases, without a look at anything else.
#[inline]
pub fn quick(test: &TypeTest, value: &Value) -> bool {
    matches!(
        (test, value),
        (TypeTest::Float, Value::Float(..))
            | (TypeTest::Int, Value::Int(_))
            | (TypeTest::Bool, Value::Bool(_))
            | (TypeTest::Str, Value::Str(_))
    )
}

/// Checks the register `at` in full; may change it and the registers of dimension variables.
///
/// `what` is annotated: a name in backquotes, "the result".
pub fn check(
    regs: &mut [Value],
    at: usize,
    test: &TypeTest,
    what: &str,
    globals: &[Option<Value>],
    default: DType,
) -> Result<()> {
    let value = std::mem::take(&mut regs[at]);
    let mut checker = Checker { regs, globals, default, what };
    let checked = checker.value(value, test);
    match checked {
        Ok(value) => {
            regs[at] = value;
            Ok(())
        }
        Err(error) => Err(error.operand(0, "annotated here")),
    }
}

struct Checker<'a> {
    regs: &'a mut [Value],
    globals: &'a [Option<Value>],
    default: DType,
    what: &'a str,
}

/// True for what passes as it is, by a look: a long list is tested anew each time that it grows.
#[inline]
fn is_plainly(test: &TypeTest, value: &Value) -> bool {
    matches!(
        (test, value),
        (TypeTest::Any, _)
            | (TypeTest::Float, Value::Float(..))
            | (TypeTest::Int, Value::Int(_))
            | (TypeTest::Bool, Value::Bool(_))
            | (TypeTest::Str, Value::Str(_))
    )
}

impl Checker<'_> {
    fn value(&mut self, value: Value, test: &TypeTest) -> Result<Value> {
        match (test, &value) {
            (TypeTest::Any, _)
            | (TypeTest::None, Value::None)
            | (TypeTest::Bool, Value::Bool(_))
            | (TypeTest::Int, Value::Int(_))
            | (TypeTest::Float, Value::Float(..))
            | (TypeTest::Str, Value::Str(_))
            | (TypeTest::Optional(_), Value::None) => Ok(value),
            (TypeTest::Float, Value::Int(i)) => Ok(Value::float(*i as f64)),
            (TypeTest::Float, Value::Batched(..)) if value.is_one_float() => Ok(value),
            (TypeTest::Int | TypeTest::Bool, Value::Batched(..)) if value.shape() == Some(&[]) => {
                let dtype = if matches!(test, TypeTest::Int) { DType::Int } else { DType::Bool };
                if value.dtype() == Some(dtype) { Ok(value) } else { Err(mismatch(self.what, test, &value)) }
            }
            (TypeTest::Tensor { dtype, dims, open, text }, Value::Batched(..)) if value.tensor_dtype().is_some() => {
                let have = value.dtype();
                let fits = if text.starts_with("float") { value.is_differentiable() } else { true };
                if !fits || dtype.is_some_and(|d| Some(d) != have) {
                    return Err(mismatch(self.what, test, &value));
                }
                self.dims(&value, dims, *open)?;
                Ok(value)
            }
            (TypeTest::Optional(inner), _) => self.value(value, inner),
            (TypeTest::Fn, _) => {
                let callable = matches!(
                    value,
                    Value::Fn(_) | Value::Builtin(_) | Value::Prim(_) | Value::Native(_) | Value::StructType(_)
                ) || matches!(&value, Value::Struct(s)
                    if s.def.methods.borrow().contains_key(&crate::symbol::Symbol::new("call")));
                if callable { Ok(value) } else { Err(mismatch(self.what, test, &value)) }
            }
            (TypeTest::Struct { global, .. }, Value::Struct(s)) => match self.globals.get(*global as usize) {
                Some(Some(Value::StructType(def))) if !Rc::ptr_eq(def, &s.def) => {
                    Err(mismatch(self.what, test, &value))
                }
                _ => Ok(value),
            },
            (TypeTest::Tensor { dtype, dims, open, text }, Value::Tensor(slot, t)) => {
                let mut value = value.clone();
                let float = text.starts_with("float");
                if float && t.dtype() == DType::Int {
                    value = Value::Tensor(*slot, Rc::new(t.cast(self.default)?));
                } else if float && t.dtype() == DType::Bool || dtype.is_some_and(|d| d != t.dtype()) {
                    return Err(mismatch(self.what, test, &value));
                }
                self.dims(&value, dims, *open)?;
                Ok(value)
            }
            (TypeTest::Tensor { dims, open: true, .. }, Value::Float(..)) if dims.is_empty() => Ok(value),
            (TypeTest::Tensor { dims, open: true, text, .. }, Value::Int(i))
                if dims.is_empty() && text.starts_with("float") =>
            {
                Ok(Value::float(*i as f64))
            }
            (TypeTest::Tuple(tests), Value::Tuple(items)) if tests.len() == items.len() => {
                let checked = items.iter().cloned().zip(tests).map(|(v, t)| self.value(v, t));
                Ok(Value::tuple(checked.collect::<Result<Vec<_>>>()?))
            }
            (TypeTest::List(test), Value::List(items)) => {
                if items.iter().all(|item| is_plainly(test, item)) {
                    return Ok(value);
                }
                let checked = items.iter().cloned().map(|v| self.value(v, test));
                Ok(Value::list(checked.collect::<Result<Vec<_>>>()?))
            }
            (TypeTest::Dict(key, item), Value::Dict(dict)) => {
                let mut out = crate::value::Dict::with_capacity(dict.len());
                for (k, v) in dict.iter() {
                    let fits = matches!(
                        (&**key, k),
                        (TypeTest::Int, Key::Int(_)) | (TypeTest::Str, Key::Str(_)) | (TypeTest::Any, _)
                    );
                    if !fits {
                        return Err(mismatch(self.what, test, &value));
                    }
                    out.insert(k.clone(), self.value(v.clone(), item)?);
                }
                Ok(Value::Dict(Rc::new(out)))
            }
            _ => Err(mismatch(self.what, test, &value)),
        }
    }

    fn dims(&mut self, value: &Value, dims: &[DimTest], open: bool) -> Result<()> {
        let Some(shape) = value.shape() else { return Ok(()) };
        if shape.len() < dims.len() || (!open && shape.len() != dims.len()) {
            return Err(axes_mismatch(self.what, dims.len(), open, shape.len()));
        }
        let tail = &shape[shape.len() - dims.len()..];
        // Plain variables first, so that `float[2*n, n]` knows n.
        for (dim, &size) in dims.iter().zip(tail) {
            if let DimTest::Var(reg, _) = dim
                && matches!(self.regs[reg.0 as usize], Value::None)
            {
                self.regs[reg.0 as usize] = Value::Int(size as i64);
            }
        }
        // Then `2*n` alone shows n.
        for (dim, &size) in dims.iter().zip(tail) {
            if matches!(dim, DimTest::Binary(..)) && self.dim(dim).is_none() && !self.solve(dim, size as i64) {
                return Err(no_such_dim(self.what, value, dim, size));
            }
        }
        for (dim, &size) in dims.iter().zip(tail) {
            let Some(want) = self.dim(dim) else { continue };
            if want != size as i64 {
                return Err(dim_mismatch(self.what, value, dim, want, size));
            }
        }
        Ok(())
    }

    /// Binds the one variable of a dim that is not bound yet, if only one number makes the dim `size`; false if none does.
    fn solve(&mut self, dim: &DimTest, size: i64) -> bool {
        match dim {
            DimTest::Var(reg, _) => {
                if size >= 0
                    && let Some(var) = self.regs.get_mut(reg.0 as usize)
                    && matches!(var, Value::None)
                {
                    *var = Value::Int(size);
                }
                size >= 0
            }
            DimTest::Binary(op, a, b) => match (self.dim(a), self.dim(b)) {
                (Some(known), None) => {
                    operand(*op, known, size, true).is_none_or(|n| n.is_some_and(|n| self.solve(b, n)))
                }
                (None, Some(known)) => {
                    operand(*op, known, size, false).is_none_or(|n| n.is_some_and(|n| self.solve(a, n)))
                }
                _ => true,
            },
            _ => true,
        }
    }

    /// What a dim must be, if that is known.
    fn dim(&self, dim: &DimTest) -> Option<i64> {
        let int = |v: &Value| if let Value::Int(i) = v { Some(*i) } else { None };
        match dim {
            DimTest::Any => None,
            DimTest::Known(n) => Some(*n),
            DimTest::Var(reg, _) => int(&self.regs[reg.0 as usize]),
            DimTest::Global(g, _) => int(self.globals.get(*g as usize)?.as_ref()?),
            DimTest::Binary(op, a, b) => {
                let (a, b) = (self.dim(a)?, self.dim(b)?);
                match op {
                    BinOp::Add => a.checked_add(b),
                    BinOp::Sub => a.checked_sub(b),
                    BinOp::Mul => a.checked_mul(b),
                    BinOp::FloorDiv | BinOp::Div if b > 0 => Some(a.div_euclid(b)),
                    _ => None,
                }
            }
        }
    }
}

/// The operand of `op` beside a known one (`left`: the known one stands on the left) that makes it `size`: `Some(None)` if
/// there is none, `None` if it may be several.
pub fn operand(op: BinOp, known: i64, size: i64, left: bool) -> Option<Option<i64>> {
    match (op, left) {
        (BinOp::Add, _) => Some(size.checked_sub(known)),
        (BinOp::Sub, true) => Some(known.checked_sub(size)),
        (BinOp::Sub, false) => Some(size.checked_add(known)),
        (BinOp::Mul, _) if known != 0 => Some((size % known == 0).then(|| size / known)),
        _ => None,
    }
}

fn no_such_dim(what: &str, value: &Value, dim: &DimTest, size: usize) -> Error {
    let shape = show_shape(value.shape().unwrap_or(&[]));
    Error::new(
        "E0331",
        format!(
            "{what}: dimension `{}` cannot be {size}, which this value has there: its shape is {shape}",
            show_dim(dim)
        ),
    )
}

fn mismatch(what: &str, test: &TypeTest, value: &Value) -> Error {
    let error = Error::new("E0330", format!("{what} is annotated `{}`, but gets {}", show(test), a_value(value)));
    match (test, value) {
        (TypeTest::Int, Value::Float(..)) => error.help("int(x) cuts off the fraction"),
        (TypeTest::Float, Value::Tensor(..)) => {
            error.help("a tensor is written float[n]; sum(x) or mean(x) gives one float")
        }
        (TypeTest::List(_), Value::Tensor(..)) => error.help("brackets make tensors; write list(...) for a list"),
        (TypeTest::Tensor { dtype: Some(to), .. }, Value::Tensor(_, t))
            if to.is_float() && t.dtype().is_float() && *to != t.dtype() =>
        {
            error.help(format!("convert it: x.to({to}); `float[...]` takes both"))
        }
        _ => error,
    }
}

fn axes_mismatch(what: &str, wanted: usize, open: bool, have: usize) -> Error {
    let least = if open { "at least " } else { "" };
    let axes = if wanted == 1 { "axis" } else { "axes" };
    Error::new("E0331", format!("{what}: the annotation asks for {least}{wanted} {axes}, and the value has {have}"))
}

fn dim_mismatch(what: &str, value: &Value, dim: &DimTest, want: i64, size: usize) -> Error {
    let shape = show_shape(value.shape().unwrap_or(&[]));
    let due = match dim {
        DimTest::Known(_) | DimTest::Any => format!("the annotation asks for {want}"),
        named => format!("dimension `{}` is {want}", show_dim(named)),
    };
    Error::new("E0331", format!("{what}: {due}, but this value has {size} there: its shape is {shape}"))
}

/// A dim as it is written.
fn show_dim(dim: &DimTest) -> String {
    match dim {
        DimTest::Any => "_".into(),
        DimTest::Known(n) => n.to_string(),
        DimTest::Var(_, name) | DimTest::Global(_, name) => name.to_string(),
        DimTest::Binary(op, a, b) => {
            let part = |d: &DimTest| match d {
                DimTest::Binary(BinOp::Add | BinOp::Sub, ..) if !matches!(op, BinOp::Add) => {
                    format!("({})", show_dim(d))
                }
                _ => show_dim(d),
            };
            format!("{}{}{}", part(a), op.symbol(), part(b))
        }
    }
}

/// A type as it is written.
fn show(test: &TypeTest) -> String {
    match test {
        TypeTest::Any => "any".into(),
        TypeTest::None => "none".into(),
        TypeTest::Bool => "bool".into(),
        TypeTest::Int => "int".into(),
        TypeTest::Float => "float".into(),
        TypeTest::Str => "str".into(),
        TypeTest::Tensor { text, .. } => text.clone(),
        TypeTest::List(t) => format!("list[{}]", show(t)),
        TypeTest::Dict(k, v) => format!("dict[{}, {}]", show(k), show(v)),
        TypeTest::Tuple(items) => format!("({})", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        TypeTest::Fn => "a function".into(),
        TypeTest::Struct { name, .. } => name.to_string(),
        TypeTest::Optional(t) => format!("{}?", show(t)),
    }
}
