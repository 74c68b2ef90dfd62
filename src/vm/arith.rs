//! Operators on what is not two floats or two ints.

use std::mem::ManuallyDrop;
use std::rc::Rc;

use crate::ad::Cx;
use crate::ad::slot::Slot;
use crate::builtins::collections;
use crate::bytecode::op::{Op, Reg};
use crate::error::{Error, Result};
use crate::ops::compare::{AND, EQ, NE, NOT, OR};
use crate::ops::elementwise::{ADD, DIV, FLOORDIV, MUL, POW, REM, SUB};
use crate::ops::linalg::MATMUL;
use crate::ops::prim::Prim;
use crate::ops::reshape::STACK;
use crate::syntax::ast::BinOp;
use crate::tensor::DType;
use crate::value::Value;
use crate::vm::call::a_value;
use crate::vm::registers::{put_float, put_int};

#[cold]
pub fn overflow(op: &str, x: i64, y: i64) -> Error {
    Error::new("E0411", format!("{x} {op} {y} does not fit an int (64 bits)")).help("compute with floats: float(x)")
}

/// Whether a text may be so long.
fn fits_memory(bytes: usize) -> Result<()> {
    const MAX_TEXT: usize = 1 << 30;
    if bytes <= MAX_TEXT {
        return Ok(());
    }
    Err(Error::new("E0421", format!("a str of {bytes} bytes is too large")).help("write it to a file piece by piece"))
}

/// `text += more`, in place if nothing else holds the text; false if they are no strings.
pub fn append(prim: &Prim, text: &mut Value, more: &Value) -> Result<bool> {
    let (Value::Str(text), Value::Str(more), "add") = (text, more, prim.name) else { return Ok(false) };
    fits_memory(text.len() + more.len())?;
    Rc::make_mut(text).push_str(more);
    Ok(true)
}

/// `out = a + b`, and `- * /`, on mixed numbers, tensors, structures; `+` joins strings.
pub fn general(cx: &mut Cx, prim: &'static Prim, a: &Value, b: &Value, out: &mut Value) -> Result<()> {
    if let (Value::Str(x), Value::Str(y)) = (a, b)
        && prim.name == "add"
    {
        fits_memory(x.len() + y.len())?;
        out.put(Value::str(format!("{x}{y}")));
        return Ok(());
    }
    // Numbers and tensors are checked by the primitive; all else is refused here, in the words of the operator.
    if !computes(a) || !computes(b) {
        return Err(no_operator(prim, a, b));
    }
    apply(cx, prim, a, b, out)
}

/// Applies a primitive to two values that stand apart.
fn apply(cx: &mut Cx, prim: &'static Prim, a: &Value, b: &Value, out: &mut Value) -> Result<()> {
    // SAFETY: two values that are never dropped, and only read as long as those that they are copies of are borrowed: nobody
    // can tell that their counts do not count these.
    let args = unsafe { ManuallyDrop::new([a.alias(), b.alias()]) };
    cx.apply_to(prim, &*args, out)
}

fn computes(v: &Value) -> bool {
    matches!(
        v,
        Value::Int(_)
            | Value::Float(..)
            | Value::Tensor(..)
            | Value::Batched(..)
            | Value::Tuple(_)
            | Value::List(_)
            | Value::Dict(_)
            | Value::Struct(_)
    )
}

fn no_operator(prim: &Prim, a: &Value, b: &Value) -> Error {
    let symbol = prim.shown();
    let error = Error::new("E0310", format!("`{symbol}` does not work on {} and {}", a_value(a), a_value(b)))
        .operand(0, format!("this is {}", a_value(a)))
        .operand(1, format!("this is {}", a_value(b)));
    match (a, b) {
        (Value::Str(_), Value::Int(_)) | (Value::Int(_), Value::Str(_)) if prim.name == "mul" => {
            error.help("to repeat text write repeat(text, n); to compute write float(text)")
        }
        (Value::Str(_), Value::Int(_) | Value::Float(..)) | (Value::Int(_) | Value::Float(..), Value::Str(_)) => {
            error.help("to join text write f\"...{x}...\"; to compute write float(text)")
        }
        (Value::None, _) | (_, Value::None) => {
            error.help("one side has no value: a function without a last expression gives none")
        }
        (Value::Bool(_), _) | (_, Value::Bool(_)) => error.help("count with int(b), or choose with where(b, x, y)"),
        (Value::Fn(_), _) | (_, Value::Fn(_)) => error.help("call the function: f(x)"),
        _ => error,
    }
}

/// `out = a ^ b`
pub fn power(cx: &mut Cx, prim: &'static Prim, a: &Value, b: &Value, out: &mut Value) -> Result<()> {
    if let (&Value::Float(sa, x), &Value::Float(sb, y)) = (a, b) {
        if sa.is_const() && sb.is_const() && cx.watch == crate::ad::Watch::Off {
            put_float(out, Slot::CONST, x.powf(y));
            return Ok(());
        }
        let (slot, z) = cx.apply_scalar2(prim, (sa, x), (sb, y))?;
        put_float(out, slot, z);
        return Ok(());
    }
    if let (&Value::Float(s, x), &Value::Int(2)) = (a, b)
        && s.is_const()
        && cx.watch == crate::ad::Watch::Off
    {
        put_float(out, Slot::CONST, x * x);
        return Ok(());
    }
    general(cx, prim, a, b, out)
}

/// `a * b` joined with `c` while a tape of the outermost level records: one entry, or two if all three are variables.
#[inline]
pub fn mul_add(cx: &mut Cx, word: Op, a: (Slot, f64), b: (Slot, f64), c: (Slot, f64)) -> Result<Option<(Slot, f64)>> {
    let ((sa, x), (sb, y), (sc, z)) = (a, b, c);
    let (value, by_product, by_c) = match word {
        Op::Minus { .. } => (x * y - z, 1.0, -1.0),
        Op::MinusFrom { .. } => (z - x * y, -1.0, 1.0),
        _ => (x * y + z, 1.0, 1.0),
    };
    let a = (sa, by_product * y);
    let b = (sb, by_product * x);
    let c = (sc, by_c);
    if Slot(sa.0 | sb.0 | sc.0).level().0 != 1 {
        return Ok(None);
    }
    let slot = if sc.is_const() {
        cx.record(a, b)?
    } else if sb.is_const() {
        cx.record(a, c)?
    } else if sa.is_const() {
        cx.record(b, c)?
    } else {
        match cx.record(a, b)? {
            Some(product) => cx.record((product, 1.0), c)?,
            None => None,
        }
    };
    Ok(slot.map(|slot| (slot, value)))
}

/// Comparisons of what is not two floats or two ints.
pub fn compare(cx: &mut Cx, prim: &'static Prim, a: &Value, b: &Value) -> Result<Value> {
    let is_eq = std::ptr::eq(prim, &EQ);
    if is_eq || std::ptr::eq(prim, &NE) {
        if let Value::None = b {
            return Ok(Value::Bool(matches!(a, Value::None) == is_eq));
        }
        let lanes = |v: &Value| matches!(v, Value::Tensor(..) | Value::Batched(..));
        let tensors = lanes(a) || lanes(b);
        let numeric = a.shape().is_some() && b.shape().is_some();
        if tensors && numeric {
            return cx.apply(prim, &[a.clone(), b.clone()]);
        }
        let equal = collections::values_equal(a, b)?;
        return Ok(Value::Bool(equal == is_eq));
    }
    match (a, b) {
        (Value::Str(x), Value::Str(y)) => Ok(Value::Bool(match prim.name {
            "lt" => x < y,
            "le" => x <= y,
            "gt" => x > y,
            _ => x >= y,
        })),
        _ if a.shape().is_some() && b.shape().is_some() => cx.apply(prim, &[a.clone(), b.clone()]),
        _ => Err(no_operator(prim, a, b)),
    }
}

/// `a * b`
pub fn product(cx: &mut Cx, a: &Value, b: &Value) -> Result<Value> {
    match (a, b) {
        (&Value::Float(sa, x), &Value::Float(sb, y)) if !(sa.is_const() && sb.is_const()) => {
            let (slot, z) = cx.apply_scalar2(&MUL, (sa, x), (sb, y))?;
            Ok(Value::Float(slot, z))
        }
        (&Value::Float(_, x), &Value::Float(_, y)) if cx.watch == crate::ad::Watch::Off => Ok(Value::float(x * y)),
        (&Value::Int(x), &Value::Int(y)) => x.checked_mul(y).map(Value::Int).ok_or_else(|| overflow("*", x, y)),
        (a, b) => {
            let mut out = Value::None;
            general(cx, &MUL, a, b, &mut out)?;
            Ok(out)
        }
    }
}

/// The second half of a `MulAdd`.
pub fn join(cx: &mut Cx, word: Op, product: Value, regs: &[Value], out: &mut Value) -> Result<()> {
    let (prim, c, product_first): (&'static Prim, Reg, bool) = match word {
        Op::Plus { c } => (&ADD, c, true),
        Op::PlusTo { c } => (&ADD, c, false),
        Op::Minus { c } => (&SUB, c, true),
        Op::MinusFrom { c } => (&SUB, c, false),
        _ => return Err(Error::new("E0400", "MulAdd is followed by what to do with the product")),
    };
    let other = &regs[c.0 as usize];
    let (a, b) = if product_first { (&product, other) } else { (other, &product) };
    match (a, b) {
        (&Value::Float(sa, x), &Value::Float(sb, y)) if !(sa.is_const() && sb.is_const()) => {
            let (slot, z) = cx.apply_scalar2(prim, (sa, x), (sb, y))?;
            put_float(out, slot, z);
            Ok(())
        }
        (&Value::Int(x), &Value::Int(y)) => {
            let (symbol, z) = if prim.name == "add" { ("+", x.checked_add(y)) } else { ("-", x.checked_sub(y)) };
            put_int(out, z.ok_or_else(|| overflow(symbol, x, y))?);
            Ok(())
        }
        (a, b) => general(cx, prim, a, b, out),
    }
}

/// Any arithmetic operator.
pub fn operate(cx: &mut Cx, op: BinOp, a: &Value, b: &Value) -> Result<Value> {
    let mut out = Value::None;
    match op {
        BinOp::Add => general(cx, &ADD, a, b, &mut out),
        BinOp::Sub => general(cx, &SUB, a, b, &mut out),
        BinOp::Mul => general(cx, &MUL, a, b, &mut out),
        BinOp::Div => general(cx, &DIV, a, b, &mut out),
        BinOp::Pow => power(cx, &POW, a, b, &mut out),
        other => binary(cx, other, a, b, &mut out),
    }?;
    Ok(out)
}

/// `// % @ in and or`
pub fn binary(cx: &mut Cx, op: BinOp, a: &Value, b: &Value, out: &mut Value) -> Result<()> {
    match op {
        BinOp::FloorDiv => general(cx, &FLOORDIV, a, b, out),
        BinOp::Rem => general(cx, &REM, a, b, out),
        BinOp::MatMul => {
            let tensor = |v: &Value| v.shape().is_some_and(|s| !s.is_empty());
            if !tensor(a) || !tensor(b) {
                let error =
                    Error::new("E0310", format!("`@` multiplies tensors, not {} and {}", a_value(a), a_value(b)))
                        .operand(0, format!("this is {}", a_value(a)))
                        .operand(1, format!("this is {}", a_value(b)));
                return Err(error.help("scale by a number with *"));
            }
            apply(cx, &MATMUL, a, b, out)
        }
        BinOp::In | BinOp::NotIn => {
            out.put(Value::Bool(collections::contains(b, a)? == (op == BinOp::In)));
            Ok(())
        }
        BinOp::And | BinOp::Or => {
            let boolean = |v: &Value| match v {
                Value::Bool(_) => true,
                other => other.dtype() == Some(DType::Bool),
            };
            if !boolean(a) || !boolean(b) {
                let which = usize::from(boolean(a));
                let wrong = if which == 0 { a } else { b };
                return Err(Error::new("E0311", format!("`{}` joins bools, not {}", op.symbol(), a_value(wrong)))
                    .operand(which, format!("this is {}", a_value(wrong)))
                    .help("compare first: x > 0 and y > 0"));
            }
            if let (Value::Bool(x), Value::Bool(y)) = (a, b) {
                out.put(Value::Bool(if op == BinOp::And { *x && *y } else { *x || *y }));
                return Ok(());
            }
            apply(cx, if op == BinOp::And { &AND } else { &OR }, a, b, out)
        }
        other => Err(Error::new("E0400", format!("operator {} has its own instruction", other.symbol()))),
    }
}

/// `out = prim(x)`, on whatever it is.
pub fn unary(cx: &mut Cx, prim: &'static Prim, x: &Value, out: &mut Value) -> Result<()> {
    if prim.name == "neg" && !computes(x) {
        return Err(Error::new("E0310", format!("`-` does not work on {}", a_value(x)))
            .operand(0, format!("this is {}", a_value(x))));
    }
    cx.apply_to(prim, std::slice::from_ref(x), out)
}

/// `not x`
pub fn not(cx: &mut Cx, x: &Value) -> Result<Value> {
    match x {
        Value::Tensor(..) | Value::Batched(..) if x.dtype() == Some(DType::Bool) => {
            cx.apply(&NOT, std::slice::from_ref(x))
        }
        other => Err(Error::new("E0311", format!("`not` turns a bool around, not {}", a_value(other)))
            .operand(0, format!("this is {}", a_value(other)))
            .help("compare first: not x > 0, or x == none")),
    }
}

/// `if` and `while` want one bool.
#[cold]
pub fn no_condition(v: &Value) -> Error {
    let error = Error::new("E0332", format!("a condition is one bool, and this is {}", a_value(v)));
    match v {
        Value::Tensor(_, t) if t.dtype() == DType::Bool => {
            error.help("use all(...) or any(...); where(cond, a, b) chooses element by element")
        }
        Value::Tensor(..) => error.help("compare it and use all(...) or any(...): if all(x > 0) { ... }"),
        Value::Int(_) | Value::Float(..) => error.help("compare it: x != 0"),
        Value::None => error.help("compare it: x != none"),
        Value::Str(_) | Value::List(_) | Value::Dict(_) => error.help("compare its length: len(x) > 0"),
        _ => error,
    }
}

/// A literal of floats in the default dtype.
pub fn literal(cx: &Cx, value: &Value) -> Result<Value> {
    match value {
        Value::Tensor(slot, t) if t.dtype() != cx.env.dtype => Ok(Value::Tensor(*slot, Rc::new(t.cast(cx.env.dtype)?))),
        other => Ok(other.clone()),
    }
}

/// `[a, b]`: a tensor of scalars, or of tensors of one shape.
pub fn brackets(cx: &mut Cx, items: &[Value]) -> Result<Value> {
    if items.iter().all(|v| v.slot().is_const()) {
        return crate::tensor::create::tensor_from_values(&mut cx.env, items);
    }
    let mut args = Vec::with_capacity(items.len() + 1);
    args.push(Value::Int(0));
    // Checks that they fit together, and says so in the words of the literal.
    let plain: Vec<Value> = items.iter().map(stand_in).collect();
    let whole = crate::tensor::create::tensor_from_values(&mut cx.env, &plain)?;
    let Value::Tensor(_, whole) = whole else { return Ok(whole) };
    args.extend(items.iter().cloned());
    let stacked = cx.apply(&STACK, &args)?;
    cx.cast(&stacked, whole.dtype())
}

/// A constant of the same shape and dtype, to see whether values fit together.
fn stand_in(value: &Value) -> Value {
    match value {
        Value::Batched(..) => {
            let (shape, dtype) = (value.shape().unwrap_or(&[]), value.dtype().unwrap_or(DType::F64));
            Value::tensor(crate::tensor::Tensor::zeros(shape, dtype))
        }
        other => other.with_slot(crate::ad::slot::Slot::CONST),
    }
}
