//! `interp`: straight lines between knots, through `searchsorted`, so that derivatives flow.

use crate::ad::Cx;
use crate::builtins::Builtin;
use crate::builtins::fail::{self, arity, wrong_kind};
use crate::error::{Error, Result};
use crate::ops::arith::MUL;
use crate::ops::compare::{EQ, GT};
use crate::ops::index::{GET_INDEX, part_index};
use crate::ops::order::SEARCHSORTED;
use crate::ops::prim::{Sig, req};
use crate::ops::select::CLAMP;
use crate::types::ty::Ty;
use crate::value::Value;
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&INTERP];

static INTERP: Builtin = Builtin {
    name: "interp",
    doc: "`x` (of any shape) looked up on the straight lines through the points `(knots, values)`, vectors of one length with \
          the knots ascending; constant outside. At a knot the slope is the average of its two sides. \
          `interp(0.5, [0.0, 1.0], [2.0, 4.0])` is 3.0.",
    sig: Sig { params: &[req("x"), req("knots"), req("values")] },
    infer: |args: &[Ty]| match args {
        [Ty::Float | Ty::Int(_), ..] => Ok(Ty::Float),
        [Ty::Tensor(x), ..] => Ok(Ty::of(None, x.dims.clone())),
        _ => Ok(Ty::Any),
    },
    run: interp,
};

fn interp(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [x, knots, values] = args else { return Err(arity("interp")) };
    let (Value::Tensor(_, k), Value::Tensor(_, v)) = (&*knots, &*values) else {
        let at = if matches!(knots, Value::Tensor(..)) { 2 } else { 1 };
        return Err(wrong_kind("interp", at, "a vector", if at == 1 { knots } else { values }));
    };
    let (shape, n) = (k.shape().to_vec(), k.len());
    if k.rank() != 1 || shape != v.shape() || n < 2 {
        let message = "interp wants as many values as knots, at least two, as vectors";
        return Err(Error::new(fail::BAD_ARGUMENT, message)
            .operand(1, format!("this has the shape {}", crate::tensor::show_shape(k.shape())))
            .operand(2, format!("this has the shape {}", crate::tensor::show_shape(v.shape()))));
    }
    let sorted: Vec<f64> = k.iter_f64().collect();
    if let Some(at) = sorted.windows(2).position(|pair| !matches!(pair, [a, b] if a < b)) {
        let message = format!("the knots of interp must ascend, but knot {} is not above knot {at}", at + 1);
        return Err(Error::new("E0313", message).operand(1, "these knots"));
    }
    let cx = &mut vm.cx;
    // On a knot the pieces of both sides give the same value, and their mean has the mean slope.
    let left = piece(cx, x, knots, values, n, false)?;
    let right = piece(cx, x, knots, values, n, true)?;
    let sum = cx.add(&left, &right)?;
    cx.apply(&MUL, &[sum, Value::float(0.5)])
}

/// The line that holds left of a knot (and between), or right of it.
fn piece(cx: &mut Cx, x: &Value, knots: &Value, values: &Value, n: usize, right: bool) -> Result<Value> {
    let last = Value::Int(n as i64 - 1);
    let pick = |cx: &mut Cx, from: &Value, i: Value| cx.apply(&GET_INDEX, &[from.clone(), part_index(0, i)]);
    let above = cx.apply(&SEARCHSORTED, &[knots.clone(), x.clone(), Value::Bool(right)])?;
    let hi = cx.apply(&CLAMP, &[above.clone(), Value::Int(1), last.clone()])?;
    let lo = cx.sub(&hi, &Value::Int(1))?;
    let (x0, y0) = (pick(cx, knots, lo.clone())?, pick(cx, values, lo)?);
    let (x1, y1) = (pick(cx, knots, hi.clone())?, pick(cx, values, hi)?);
    let (rise, run, way) = (cx.sub(&y1, &y0)?, cx.sub(&x1, &x0)?, cx.sub(x, &x0)?);
    let part = cx.div(&way, &run)?;
    let step = cx.mul(&part, &rise)?;
    let line = cx.add(&y0, &step)?;
    let before = cx.apply(&EQ, &[above.clone(), Value::Int(0)])?;
    let after = cx.apply(&GT, &[above, last])?;
    let (first, end) = (pick(cx, values, Value::Int(0))?, pick(cx, values, Value::Int(n as i64 - 1))?);
    let line = cx.where_(&after, &end, &line)?;
    cx.where_(&before, &first, &line)
}
