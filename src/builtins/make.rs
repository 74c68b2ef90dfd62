//! Tensors from shapes and numbers: `zeros ones full eye arange linspace zeros_like ones_like tensor`.
//!
//! In: a shape (`zeros(2, 3)` or `zeros((2, 3))`), numbers, nested sequences. Out: a tensor in the default dtype unless
//! `dtype:` names another; no dims give a scalar. What is too large for the machine is an error before it is made.

use crate::ad::Cx;
use crate::builtins::dtypes::{self, given_dtype, infer_dtype};
use crate::builtins::fail::{self, arity, with_article};
use crate::builtins::{Builtin, iterate};
use crate::error::{Error, Result};
use crate::ops::convert::{shape_arg, shape_dims};
use crate::ops::prim::{Default, Param, Sig, opt, req, rest};
use crate::tensor::create::{full_value, tensor_from_values};
use crate::tensor::{DType, Shape, Tensor, room};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::{Dict, StructValue, Value};
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&ZEROS, &ONES, &FULL, &EYE, &ARANGE, &LINSPACE, &ZEROS_LIKE, &ONES_LIKE, &TENSOR];

const SHAPED: &[Param] = &[rest("shape"), opt("dtype", Default::None)];

/// A shape argument that may be held in memory.
pub fn checked_shape(name: &str, v: &Value, dtype: DType) -> Result<Shape> {
    let shape = shape_arg(name, v)?;
    room::check(&shape, dtype)?;
    Ok(shape)
}

/// The type of a tensor of the shape in an argument; `dtype` is `None` for the default one.
pub fn infer_shaped(name: &str, shape: &Ty, dtype: Option<DType>) -> Result<Ty> {
    if let Some(n) = negative(shape) {
        return Err(
            Error::new("E0303", format!("the shape given to {name} has the dim {n}")).help("dims are 0 or more")
        );
    }
    let dims = shape_dims(shape);
    // No dims and no dtype given: a float, as the default dtype is one.
    Ok(match &dims {
        Some(d) if d.is_empty() && dtype.is_none() => Ty::Float,
        _ => Ty::of(dtype, dims),
    })
}

/// The same for a dtype that may be any.
fn infer_some(name: &str, shape: &Ty) -> Result<Ty> {
    Ok(match infer_shaped(name, shape, None)? {
        Ty::Float => Ty::Any,
        other => other,
    })
}

fn negative(shape: &Ty) -> Option<i64> {
    let one = |t: &Ty| match t {
        Ty::Int(Num::Known(n)) if *n < 0 => Some(*n),
        _ => None,
    };
    match shape {
        Ty::Tuple(items) => items.iter().find_map(one),
        other => one(other),
    }
}

fn infer_filled(name: &str, args: &[Ty]) -> Result<Ty> {
    let shape = args.first().unwrap_or(&Ty::Any);
    match args.get(1) {
        None | Some(Ty::None) => infer_shaped(name, shape, None),
        given => match infer_dtype(given, None) {
            Some(dtype) => infer_shaped(name, shape, Some(dtype)),
            None => infer_some(name, shape),
        },
    }
}

fn filled(vm: &mut Vm, name: &str, args: &[Value], x: f64) -> Result<Value> {
    let [shape, dtype] = args else { return Err(arity(name)) };
    let dtype = given_dtype(&vm.cx.env, name, 1, Some(dtype))?.unwrap_or(vm.cx.env.dtype);
    Ok(full_value(&checked_shape(name, shape, dtype)?, dtype, x))
}

/// `zeros(2, 3)`
pub static ZEROS: Builtin = Builtin {
    name: "zeros",
    doc: "A tensor of zeros: `zeros(2, 3)` or `zeros((2, 3))` is `[2, 3]`; `zeros()` is 0.0.",
    sig: Sig { params: SHAPED },
    infer: |args| infer_filled("zeros", args),
    run: |vm, args| filled(vm, "zeros", args, 0.0),
};

/// `ones(2, 3)`
pub static ONES: Builtin = Builtin {
    name: "ones",
    doc: "A tensor of ones: `ones(2, 3)` or `ones((2, 3))` is `[2, 3]`; `ones()` is 1.0.",
    sig: Sig { params: SHAPED },
    infer: |args| infer_filled("ones", args),
    run: |vm, args| filled(vm, "ones", args, 1.0),
};

/// `full(shape, value)`
pub static FULL: Builtin = Builtin {
    name: "full",
    doc: "A tensor with `value` everywhere: `full((2, 3), 0.5)` is `[2, 3]`. An int gives an int tensor. Differentiable in \
          `value`.",
    sig: Sig { params: &[req("shape"), req("value"), opt("dtype", Default::None)] },
    infer: |args| {
        let shape = args.first().unwrap_or(&Ty::Any);
        Ok(match args.get(1) {
            Some(Ty::Float) => infer_shaped("full", shape, infer_dtype(args.get(2), None))?,
            Some(Ty::Int(_)) => infer_shaped("full", shape, infer_dtype(args.get(2), Some(DType::Int)))?,
            Some(Ty::Bool(_)) => infer_shaped("full", shape, infer_dtype(args.get(2), Some(DType::Bool)))?,
            _ => infer_some("full", shape)?,
        })
    },
    run: |vm, args| {
        let [shape, value, dtype] = args else { return Err(arity("full")) };
        let given = given_dtype(&vm.cx.env, "full", 2, Some(dtype))?;
        let own = match value {
            Value::Int(_) => DType::Int,
            Value::Bool(_) => DType::Bool,
            Value::Float(..) => vm.cx.env.dtype,
            Value::Tensor(..) => value.dtype().unwrap_or(DType::F64),
            Value::Batched(..) if value.is_one_float() => vm.cx.env.dtype,
            Value::Batched(..) => value.dtype().unwrap_or(DType::F64),
            other => return Err(fail::wrong_kind("full", 1, "a number", other)),
        };
        let shape = checked_shape("full", shape, given.unwrap_or(own))?;
        let dtype = given.unwrap_or(own);
        let value = dtypes::cast(&mut vm.cx, value, dtype)?;
        vm.cx.stretch(&value, &shape, dtype)
    },
};

/// `eye(n)`
pub static EYE: Builtin = Builtin {
    name: "eye",
    doc: "The identity matrix: `eye(3)` is `[3, 3]`, `eye(2, 3)` is `[2, 3]` with ones on the diagonal.",
    sig: Sig { params: &[req("n"), opt("m", Default::None), opt("dtype", Default::None)] },
    infer: |args| {
        let n = args.first().cloned().unwrap_or_default();
        let m = match args.get(1) {
            None | Some(Ty::None) => n.clone(),
            Some(m) => m.clone(),
        };
        let shape = Ty::Tuple(std::rc::Rc::new(vec![n, m]));
        infer_filled("eye", &[shape, args.get(2).cloned().unwrap_or(Ty::None)])
    },
    run: |vm, args| {
        let [n, m, dtype] = args else { return Err(arity("eye")) };
        let dtype = given_dtype(&vm.cx.env, "eye", 2, Some(dtype))?.unwrap_or(vm.cx.env.dtype);
        let m = if matches!(m, Value::None) { n.clone() } else { m.clone() };
        let shape = checked_shape("eye", &Value::tuple(vec![n.clone(), m]), dtype)?;
        let &[rows, columns] = shape.as_slice() else { return Err(arity("eye")) };
        Ok(Value::tensor(Tensor::eye(rows, columns, dtype)))
    },
};

// ---- ranges of numbers ----

/// A number argument: its value, and whether it is an int.
fn number(name: &str, i: usize, v: &Value) -> Result<(f64, Option<i64>)> {
    match v {
        Value::Int(n) => Ok((*n as f64, Some(*n))),
        Value::Float(_, x) if x.is_finite() => Ok((*x, None)),
        Value::Float(_, x) => Err(Error::new(fail::BAD_ARGUMENT, format!("{name} wants finite numbers"))
            .operand(i, format!("this is {}", crate::tensor::format::format_float(*x)))),
        other => Err(fail::wrong_kind(name, i, "a number", other)),
    }
}

fn arange(vm: &mut Vm, args: &[Value]) -> Result<Value> {
    let [first, second, step, dtype] = args else { return Err(arity("arange")) };
    let given = given_dtype(&vm.cx.env, "arange", 3, Some(dtype))?;
    let (start, stop) =
        if matches!(second, Value::None) { (Value::Int(0), first.clone()) } else { (first.clone(), second.clone()) };
    let step = if matches!(step, Value::None) { Value::Int(1) } else { step.clone() };
    let at_stop = usize::from(!matches!(second, Value::None));
    let (a, a_int) = number("arange", 0, &start)?;
    let (b, b_int) = number("arange", at_stop, &stop)?;
    let (h, h_int) = number("arange", 2, &step)?;
    if h == 0.0 {
        return Err(Error::new(fail::BAD_ARGUMENT, "arange can't go in steps of 0").operand(2, "this is 0"));
    }
    if let (Some(a), Some(b), Some(h)) = (a_int, b_int, h_int) {
        let range = crate::value::RangeValue { start: a, stop: b, step: h };
        let n = range.len();
        room::check(&[n], DType::Int)?;
        let ints = Value::tensor(Tensor::from_vec(&[n], (0..n).map(|i| range.at(i)).collect()));
        return match given {
            Some(dtype) => dtypes::cast(&mut vm.cx, &ints, dtype),
            None => Ok(ints),
        };
    }
    let dtype = given.unwrap_or(vm.cx.env.dtype);
    let n = ((b - a) / h).ceil().max(0.0);
    // Beyond this every shape is too large anyway.
    let n = if n < 1e18 { n as usize } else { 1 << 60 };
    room::check(&[n], dtype)?;
    let inner = if dtype.is_float() { dtype } else { DType::F64 };
    let constant = start.slot().is_const() && step.slot().is_const();
    let out = if constant {
        Value::tensor(Tensor::floats(&[n], inner, (0..n).map(|i| a + h * i as f64)))
    } else {
        let index = Value::tensor(Tensor::floats(&[n], inner, (0..n).map(|i| i as f64)));
        let scaled = vm.cx.mul(&index, &step)?;
        vm.cx.add(&scaled, &start)?
    };
    dtypes::cast(&mut vm.cx, &out, dtype)
}

fn infer_arange(args: &[Ty]) -> Result<Ty> {
    for (i, ty) in args.iter().take(3).enumerate() {
        let no_number = match ty {
            Ty::Str(_) | Ty::Bool(_) | Ty::Tuple(_) | Ty::List(_) | Ty::Dict(_) | Ty::Struct(_) => true,
            Ty::Tensor(t) => t.dims.is_some(),
            _ => false,
        };
        if no_number {
            return Err(fail::wrong_type("arange", i, "a number", ty));
        }
    }
    let known = |i: usize| match args.get(i) {
        None | Some(Ty::None) => Some(None),
        Some(Ty::Int(n)) => n.known().map(Some),
        _ => None,
    };
    let all_ints = args.iter().take(3).all(|t| matches!(t, Ty::Int(_) | Ty::None));
    let any_float = args.iter().take(3).any(|t| matches!(t, Ty::Float));
    let dtype = if all_ints { Some(DType::Int) } else { None };
    let dtype = if any_float || all_ints { infer_dtype(args.get(3), dtype) } else { None };
    let dim = match (known(0), known(1), known(2)) {
        (Some(Some(a)), Some(b), Some(step)) if step != Some(0) => {
            let (start, stop) = b.map_or((0, a), |b| (a, b));
            Dim::Known(crate::value::RangeValue { start, stop, step: step.unwrap_or(1) }.len())
        }
        _ => match (args.first(), args.get(1), args.get(2)) {
            (Some(Ty::Int(n)), None | Some(Ty::None), None | Some(Ty::None | Ty::Int(Num::Known(1)))) => {
                n.positive().into()
            }
            (Some(Ty::Int(a)), Some(Ty::Int(b)), None | Some(Ty::None | Ty::Int(Num::Known(1)))) => {
                (*b - *a).positive().into()
            }
            _ => Dim::Unknown,
        },
    };
    Ok(Ty::of(dtype, Some(Dims::from_slice(&[dim]))))
}

/// `arange(stop)`, `arange(start, stop, step)`
pub static ARANGE: Builtin = Builtin {
    name: "arange",
    doc: "Numbers from `start` (0) up to but not including `stop` in steps: `arange(3)` is `[0, 1, 2]`, `arange(0.0, 1.0, \
          0.5)` is `[0.0, 0.5]`. Ints give an int tensor.",
    sig: Sig {
        params: &[req("start"), opt("stop", Default::None), opt("step", Default::None), opt("dtype", Default::None)],
    },
    infer: infer_arange,
    run: |vm, args| arange(vm, args),
};

fn linspace(vm: &mut Vm, args: &[Value]) -> Result<Value> {
    let [first, last, n, dtype] = args else { return Err(arity("linspace")) };
    let dtype = given_dtype(&vm.cx.env, "linspace", 3, Some(dtype))?.unwrap_or(vm.cx.env.dtype);
    let (a, _) = number("linspace", 0, first)?;
    let (b, _) = number("linspace", 1, last)?;
    let Value::Int(_) = n else {
        let kind = with_article(&n.type_name());
        let error = crate::ops::operand::not_an_int("linspace", "the number of points", &kind);
        return Err(error.operand(2, format!("this is {kind}")));
    };
    let shape = checked_shape("linspace", n, dtype)?;
    let n = shape.first().copied().unwrap_or(0);
    let inner = if dtype.is_float() { dtype } else { DType::F64 };
    let gaps = n.saturating_sub(1).max(1) as f64;
    let share = |i: usize| i as f64 / gaps;
    let out = if first.slot().is_const() && last.slot().is_const() {
        // Both ends are exact.
        let at = |i: usize| if i > 0 && i + 1 == n { b } else { a + (b - a) * share(i) };
        Value::tensor(Tensor::floats(&shape, inner, (0..n).map(at)))
    } else {
        let to_last = Value::tensor(Tensor::floats(&shape, inner, (0..n).map(share)));
        let to_first = Value::tensor(Tensor::floats(&shape, inner, (0..n).map(|i| 1.0 - share(i))));
        let left = vm.cx.mul(&to_first, first)?;
        let right = vm.cx.mul(&to_last, last)?;
        vm.cx.add(&left, &right)?
    };
    dtypes::cast(&mut vm.cx, &out, dtype)
}

/// `linspace(a, b, n)`
pub static LINSPACE: Builtin = Builtin {
    name: "linspace",
    doc: "`n` numbers at equal distances from `a` to `b`, both included: `linspace(0.0, 1.0, 3)` is `[0.0, 0.5, 1.0]`. \
          Differentiable in `a` and `b`.",
    sig: Sig { params: &[req("a"), req("b"), req("n"), opt("dtype", Default::None)] },
    infer: |args| {
        let n = args.get(2).unwrap_or(&Ty::Any);
        let shape = Ty::Tuple(std::rc::Rc::new(vec![n.clone()]));
        infer_filled("linspace", &[shape, args.get(3).cloned().unwrap_or(Ty::None)])
    },
    run: |vm, args| linspace(vm, args),
};

// ---- like another value ----

/// Each float or float tensor of `x` filled with `fill`; other leaves of a structure become `none`.
fn like(x: &Value, fill: f64, depth: usize) -> Result<Value> {
    if depth > fail::MAX_DEPTH {
        return Err(fail::too_deep());
    }
    let part = |v: &Value| like(v, fill, depth + 1);
    Ok(match x {
        Value::Float(..) => Value::float(fill),
        Value::Tensor(_, t) if t.dtype().is_float() || depth == 0 => full_value(t.shape(), t.dtype(), fill),
        Value::Batched(..) if x.is_differentiable() || depth == 0 => {
            full_value(x.shape().unwrap_or(&[]), x.dtype().unwrap_or(DType::F64), fill)
        }
        Value::Int(_) if depth == 0 => Value::Int(fill as i64),
        Value::Bool(_) if depth == 0 => Value::Bool(fill != 0.0),
        Value::Tuple(items) => Value::tuple(items.iter().map(part).collect::<Result<_>>()?),
        Value::List(items) => Value::list(items.iter().map(part).collect::<Result<_>>()?),
        Value::Dict(dict) => {
            let entries = dict.iter().map(|(k, v)| Ok((k.clone(), part(v)?)));
            Value::Dict(std::rc::Rc::new(entries.collect::<Result<Dict>>()?))
        }
        Value::Struct(s) => {
            let fields = s.def.fields.iter().zip(&s.fields);
            let fields = fields.map(|(def, v)| if def.nograd { Ok(Value::None) } else { part(v) });
            Value::Struct(std::rc::Rc::new(StructValue { def: s.def.clone(), fields: fields.collect::<Result<_>>()? }))
        }
        _ => Value::None,
    })
}

fn infer_like(args: &[Ty]) -> Result<Ty> {
    Ok(match args.first() {
        Some(x @ (Ty::Tensor(_) | Ty::Float)) => x.clone(),
        Some(Ty::Int(_)) => Ty::Int(Num::Unknown),
        Some(Ty::Bool(_)) => Ty::Bool(None),
        _ => Ty::Any,
    })
}

fn run_like(name: &str, args: &[Value], fill: f64) -> Result<Value> {
    let [x] = args else { return Err(arity(name)) };
    if matches!(x, Value::None) || x.shape().is_some() || crate::builtins::structures::is_tree(x) {
        return like(x, fill, 0);
    }
    Err(fail::wrong_kind(name, 0, "a number, a tensor or a structure of them", x))
}

/// `zeros_like(x)`
pub static ZEROS_LIKE: Builtin = Builtin {
    name: "zeros_like",
    doc: "Zeros of the shape and dtype of `x`. Of a structure: the same structure with zeros for floats and float tensors, \
          and `none` for all else and for `nograd` fields, as in its gradient.",
    sig: Sig { params: &[req("x")] },
    infer: infer_like,
    run: |_, args| run_like("zeros_like", args, 0.0),
};

/// `ones_like(x)`
pub static ONES_LIKE: Builtin = Builtin {
    name: "ones_like",
    doc: "Ones of the shape and dtype of `x`; structures as in `zeros_like`.",
    sig: Sig { params: &[req("x")] },
    infer: infer_like,
    run: |_, args| run_like("ones_like", args, 1.0),
};

// ---- from sequences ----

/// A number or tensor of what is nested in `x`. Derivatives survive.
fn stack(cx: &mut Cx, x: &Value, depth: usize) -> Result<Value> {
    if depth > fail::MAX_DEPTH {
        return Err(fail::too_deep());
    }
    match x {
        _ if x.shape().is_some() => Ok(x.clone()),
        Value::Range(range) => {
            let n = range.len();
            room::check(&[n], DType::Int)?;
            Ok(Value::tensor(Tensor::from_vec(&[n], (0..n).map(|i| range.at(i)).collect())))
        }
        Value::Tuple(items) | Value::List(items) => {
            let parts: Vec<Value> = items.iter().map(|item| stack(cx, item, depth + 1)).collect::<Result<_>>()?;
            if parts.iter().all(|part| part.slot().is_const()) {
                return tensor_from_values(&mut cx.env, &parts);
            }
            let mut args = Vec::with_capacity(parts.len() + 1);
            args.push(Value::Int(0));
            args.extend(parts);
            let prim = iterate::primitive("_stack")?;
            cx.apply(prim, &args)
        }
        other => {
            let kind = with_article(&other.type_name());
            Err(Error::new(fail::WRONG_KIND, format!("tensor takes numbers and sequences of them, not {kind}"))
                .operand(0, format!("this is or holds {kind}"))
                .help("tensor(list(1.0, 2.0)) is [1.0, 2.0]"))
        }
    }
}

fn tensor(vm: &mut Vm, args: &[Value]) -> Result<Value> {
    let [x, dtype] = args else { return Err(arity("tensor")) };
    let given = given_dtype(&vm.cx.env, "tensor", 1, Some(dtype))?;
    // Numbers go into the wanted dtype at once, so that f64 keeps all their digits.
    let usual = vm.cx.env.dtype;
    if let Some(dtype) = given
        && dtype.is_float()
    {
        vm.cx.env.dtype = dtype;
    }
    let stacked = stack(&mut vm.cx, x, 0);
    vm.cx.env.dtype = usual;
    let stacked = stacked?;
    match given {
        Some(dtype) => dtypes::cast(&mut vm.cx, &stacked, dtype),
        None => Ok(stacked),
    }
}

fn infer_tensor(args: &[Ty]) -> Result<Ty> {
    fn dims(ty: &Ty) -> Option<Dims> {
        let parts: Vec<Ty> = match ty {
            Ty::Tuple(items) => items.to_vec(),
            Ty::List(list) => list.items.clone()?,
            other => return other.dims(),
        };
        let mut out = Dims::from_slice(&[Dim::Known(parts.len())]);
        if let Some(first) = parts.first() {
            out.extend(dims(first)?);
        }
        Some(out)
    }
    let x = args.first().unwrap_or(&Ty::Any);
    let own = crate::ops::shape_rules::dtype_of(x);
    Ok(match x {
        Ty::Tensor(_) | Ty::Int(_) | Ty::Float | Ty::Bool(_) => Ty::of(infer_dtype(args.get(1), own), x.dims()),
        Ty::Range => Ty::of(infer_dtype(args.get(1), Some(DType::Int)), Some(Dims::from_slice(&[Dim::Unknown]))),
        other => Ty::of(infer_dtype(args.get(1), None), dims(other)),
    })
}

/// `tensor(x)`
pub static TENSOR: Builtin = Builtin {
    name: "tensor",
    doc: "A tensor of the numbers in a (nested) list, tuple or range: `tensor(list(1.0, 2.0))` is `[1.0, 2.0]`, \
          `tensor(0..3)` is `[0, 1, 2]`. Numbers and tensors stay. Differentiable.",
    sig: Sig { params: &[req("x"), opt("dtype", Default::None)] },
    infer: infer_tensor,
    run: |vm, args| tensor(vm, args),
};
