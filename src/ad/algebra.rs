//! What derivative rules compute with: primitives applied through the dispatcher, so that rules can be differentiated.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::{Cx, Watch};
use crate::error::Result;
use crate::ops::arith::{ADD, DIV, MUL, NEG, POW, SUB};
use crate::ops::compare::{EQ, GT};
use crate::ops::convert::{BROADCAST_TO, CAST, SUM_TO, shape_value};
use crate::ops::math::{EXP, LOG, SQRT};
use crate::ops::num::{Ex, Test};
use crate::ops::prim::{Call, Eval, Prim};
use crate::ops::reduce::SUM;
use crate::ops::reshape::RESHAPE;
use crate::ops::select::{MAXIMUM, WHERE};
use crate::ops::strong::{DIV_OR_ZERO, ZMUL};
use crate::tensor::broadcast::broadcast_shapes;
use crate::tensor::create::{full_value, zeros_value};
use crate::tensor::elementwise::{add as add_constants, partial_program, pull_elementwise};
use crate::tensor::{DType, Shape, count, view};
use crate::value::Value;

impl Cx {
    pub fn add(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&ADD, &[a.clone(), b.clone()])
    }

    /// A sum so far, if there is one, and another part.
    pub fn add_to(&mut self, sum: Option<Value>, part: Value) -> Result<Value> {
        match sum {
            Some(sum) => self.add(&sum, &part),
            None => Ok(part),
        }
    }

    pub fn sub(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&SUB, &[a.clone(), b.clone()])
    }

    pub fn mul(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&MUL, &[a.clone(), b.clone()])
    }

    pub fn div(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&DIV, &[a.clone(), b.clone()])
    }

    pub fn neg(&mut self, a: &Value) -> Result<Value> {
        self.apply(&NEG, std::slice::from_ref(a))
    }

    /// Product that is 0 where `a` is (a cotangent or tangent), whatever `b` is.
    pub fn zmul(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&ZMUL, &[a.clone(), b.clone()])
    }

    /// Quotient that is constant 0 where `b` is 0.
    pub fn div_or_zero(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&DIV_OR_ZERO, &[a.clone(), b.clone()])
    }

    pub fn exp(&mut self, a: &Value) -> Result<Value> {
        self.apply(&EXP, std::slice::from_ref(a))
    }

    pub fn log(&mut self, a: &Value) -> Result<Value> {
        self.apply(&LOG, std::slice::from_ref(a))
    }

    pub fn sqrt(&mut self, a: &Value) -> Result<Value> {
        self.apply(&SQRT, std::slice::from_ref(a))
    }

    pub fn pow(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&POW, &[a.clone(), b.clone()])
    }

    pub fn maximum(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&MAXIMUM, &[a.clone(), b.clone()])
    }

    pub fn where_(&mut self, cond: &Value, a: &Value, b: &Value) -> Result<Value> {
        self.apply(&WHERE, &[cond.clone(), a.clone(), b.clone()])
    }

    /// `a` times a constant.
    pub fn scale(&mut self, a: &Value, k: f64) -> Result<Value> {
        self.apply(&MUL, &[a.clone(), Value::float(k)])
    }

    /// Sum over some axes.
    pub fn sum(&mut self, a: &Value, axes: &[usize], keepdims: bool) -> Result<Value> {
        self.apply(&SUM, &[a.clone(), shape_value(axes), Value::Bool(keepdims)])
    }

    /// Sum over all axes: a scalar.
    pub fn sum_all(&mut self, a: &Value) -> Result<Value> {
        self.apply(&SUM, &[a.clone(), Value::None, Value::Bool(false)])
    }

    /// Sums stretched axes back to a shape.
    pub fn sum_to(&mut self, a: &Value, shape: &[usize]) -> Result<Value> {
        if a.shape() == Some(shape) {
            return Ok(a.clone());
        }
        self.apply(&SUM_TO, &[a.clone(), shape_value(shape)])
    }

    /// Stretches to a shape; a scalar becomes an f64 tensor.
    pub fn broadcast_to(&mut self, a: &Value, shape: &[usize]) -> Result<Value> {
        self.stretch(a, shape, DType::F64)
    }

    /// Stretches to a shape; a scalar becomes a tensor of `dtype`.
    pub fn stretch(&mut self, a: &Value, shape: &[usize], dtype: DType) -> Result<Value> {
        match a {
            _ if a.shape() == Some(shape) => Ok(a.clone()),
            Value::Float(slot, x) if slot.is_const() => Ok(full_value(shape, dtype, *x)),
            _ => self.apply(&BROADCAST_TO, &[a.clone(), shape_value(shape), Value::DType(dtype)]),
        }
    }

    /// Another shape of as many elements.
    pub fn reshape(&mut self, a: &Value, shape: &[usize]) -> Result<Value> {
        if a.shape() == Some(shape) {
            return Ok(a.clone());
        }
        // Where nobody looks, it is no operation.
        if let Value::Tensor(slot, t) = a
            && slot.is_const()
            && !shape.is_empty()
            && self.watch == Watch::Off
            && t.len() == count(shape)
        {
            return Ok(Value::tensor(view::reshape(t, shape)));
        }
        self.apply(&RESHAPE, &[a.clone(), shape_value(shape)])
    }

    pub fn cast(&mut self, a: &Value, dtype: DType) -> Result<Value> {
        match a.tensor_dtype() {
            Some(have) if have != dtype => self.apply(&CAST, &[a.clone(), Value::DType(dtype)]),
            _ => Ok(a.clone()),
        }
    }

    /// Zeros of a shape; the scalar 0.0 for no dims.
    pub fn zeros(&mut self, shape: &[usize], dtype: DType) -> Value {
        zeros_value(shape, dtype)
    }

    /// One number everywhere.
    pub fn full(&mut self, shape: &[usize], dtype: DType, x: f64) -> Value {
        full_value(shape, dtype, x)
    }

    /// Zeros of a float's or float tensor's shape and dtype; `none` for what has no derivative.
    pub fn zeros_like(&mut self, a: &Value) -> Result<Value> {
        Ok(match a {
            Value::Float(..) => Value::float(0.0),
            Value::Tensor(_, t) if t.dtype().is_float() => zeros_value(t.shape(), t.dtype()),
            Value::Batched(_, b) if b.whole.is_differentiable() => {
                zeros_value(a.shape().unwrap_or(&[]), a.dtype().unwrap_or(DType::F64))
            }
            _ => Value::None,
        })
    }

    /// Sum of two cotangents of one shape.
    pub fn accumulate(&mut self, old: Value, new: Value) -> Result<Value> {
        if old.slot().is_const() && new.slot().is_const() && old.shape() == new.shape() {
            return add_constants(old, new);
        }
        self.apply(&ADD, &[old, new])
    }

    /// A result of a reduction over `axes` of argument 0 of a call, stretched to that argument's shape again.
    pub fn expand(&mut self, reduced: &Value, call: &Call<'_>, axes: &[usize]) -> Result<Value> {
        let shape = call.shape(0);
        let dtype = call.shapes.first().and_then(|s| s.dtype).unwrap_or(DType::F64);
        if reduced.is_one_float() {
            return self.stretch(reduced, shape, dtype);
        }
        let kept: Shape = shape.iter().enumerate().map(|(axis, &n)| if axes.contains(&axis) { 1 } else { n }).collect();
        let leading = axes.iter().enumerate().all(|(i, &axis)| i == axis);
        let aligned =
            reduced.shape() == Some(kept.as_slice()) || (leading && reduced.shape() == shape.get(axes.len()..));
        let reduced = if aligned { reduced.clone() } else { self.reshape(reduced, &kept)? };
        self.stretch(&reduced, shape, dtype)
    }

    /// `y_bar` (a cotangent, or a tangent of argument `i`) times partial `i` of an elementwise primitive: fused if
    /// nothing carries a slot, else by recorded primitives. What the partial does not read may be `Value::None`.
    pub fn pull(&mut self, prim: &'static Prim, args: &[Value], out: &Value, y_bar: &Value, i: usize) -> Result<Value> {
        let constant = |v: &Value| v.slot().is_const();
        if constant(y_bar) && constant(out) && args.iter().all(constant) {
            return pull_elementwise(prim, args, out, y_bar, i);
        }
        let partial = eval_partial(self, prim, i, args, out)?;
        self.zmul(y_bar, &partial)
    }
}

/// The partial for argument `i` at these arguments and result, by primitives, so that it can be differentiated again.
pub fn eval_partial(cx: &mut Cx, prim: &'static Prim, i: usize, args: &[Value], out: &Value) -> Result<Value> {
    match partial_program(prim, i) {
        Some(ex) => {
            let arity = match &prim.eval {
                Eval::Elementwise(e) => e.arity(),
                Eval::General(_) => args.len(),
            };
            eval_ex(cx, ex, args.get(..arity).unwrap_or(args), out)
        }
        None => Ok(Value::float(0.0)),
    }
}

/// An expression over arguments and result, by primitives. Shared parts are computed once.
pub fn eval_ex(cx: &mut Cx, ex: &Ex, args: &[Value], out: &Value) -> Result<Value> {
    let mut done = Done::new();
    eval_shared(cx, ex, args, out, &mut done)
}

/// Values of the inner nodes that were computed, by address.
type Done = SmallVec<[(*const Ex, Value); 8]>;

fn eval_shared(cx: &mut Cx, ex: &Ex, args: &[Value], out: &Value, done: &mut Done) -> Result<Value> {
    fn shared(cx: &mut Cx, ex: &Rc<Ex>, args: &[Value], out: &Value, done: &mut Done) -> Result<Value> {
        let address = Rc::as_ptr(ex);
        if let Some((_, v)) = done.iter().find(|(p, _)| *p == address) {
            return Ok(v.clone());
        }
        let v = eval_shared(cx, ex, args, out, done)?;
        if !matches!(**ex, Ex::Const(_) | Ex::Arg(_)) {
            done.push((address, v.clone()));
        }
        Ok(v)
    }
    match ex {
        Ex::Const(x) => Ok(Value::float(*x)),
        Ex::Arg(i) => Ok(args.get(*i).unwrap_or(out).clone()),
        Ex::Unary(prim, a) => {
            let a = shared(cx, a, args, out, done)?;
            cx.apply(prim, &[a])
        }
        Ex::Binary(prim, a, b) => {
            let a = shared(cx, a, args, out, done)?;
            let b = shared(cx, b, args, out, done)?;
            cx.apply(prim, &[a, b])
        }
        Ex::Select(test, parts) => {
            let [a, b, yes, no] = &**parts;
            let a = eval_shared(cx, a, args, out, done)?;
            let b = eval_shared(cx, b, args, out, done)?;
            let holds = match test {
                Test::Greater => cx.apply(&GT, &[a, b])?,
                Test::Equal => cx.apply(&EQ, &[a, b])?,
            };
            // One side only, if the condition is one for all lanes.
            if let Value::Bool(holds) = holds {
                return eval_shared(cx, if holds { yes } else { no }, args, out, done);
            }
            let yes = eval_shared(cx, yes, args, out, done)?;
            let no = eval_shared(cx, no, args, out, done)?;
            cx.apply(&WHERE, &[holds, yes, no])
        }
    }
}

/// Common shape of the arguments of a call.
pub fn call_shape(call: &Call<'_>) -> Shape {
    call.shapes.iter().fold(Shape::new(), |shape, s| broadcast_shapes(&shape, &s.shape).unwrap_or(shape))
}
