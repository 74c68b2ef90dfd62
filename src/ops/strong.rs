//! Products and quotients that rules are written with: a zero cotangent stays zero, whatever it is multiplied by.

use super::arith::ABS;
use super::compare::{AND, EQ, GT, ISFINITE, ISNAN, LT, NE, NOT, OR};
use super::lanes::Ints;
use super::prim::Prim;
use crate::ad::Cx;
use crate::ad::dispatch::all_finite;
use crate::binary_prims;
use crate::error::Result;
use crate::tensor::DType;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&ZMUL, &STRONG, &DIV_OR_ZERO];

binary_prims! {
    ZMUL "_zmul" ("a", "b"), "`a * b`, but 0 where `a` is 0 even if `b` is infinite or NaN.",
        ints: Ints::Promote,
        f(a, b) a.zmul(b),
        d0(a, b, y) b,
        d1(a, b, y) a,
        probe: 0.5..2.0, -2.0..2.0, &[0.0, 1.0], &[1.0, 0.0];
    STRONG "_strong" ("a", "b"), "`a * b`, but 0 where either is 0, whatever the other is.",
        ints: Ints::Promote,
        f(a, b) a.strong(b),
        d0(a, b, y) b,
        d1(a, b, y) a,
        probe: 0.5..2.0, -2.0..2.0, &[0.0, 1.0], &[1.0, 0.0];
    DIV_OR_ZERO "_div_or_zero" ("a", "b"), "`a / b`, but constant 0 where `b` is 0.",
        ints: Ints::Promote,
        f(a, b) a.div_or_zero(b),
        d0(a, b, y) N::c(1.0).div_or_zero(b),
        d1(a, b, y) -y.div_or_zero(b),
        probe: -2.0..2.0, 0.5..2.0, &[0.0, 1.0], &[-1.0, 2.0];
}

/// A bilinear `f(a, b)` in which zeros of operand `strong` (0 or 1; a tangent or cotangent) contribute zero, also where the
/// other operand is infinite or NaN.
pub fn bilinear(
    cx: &mut Cx,
    a: &Value,
    b: &Value,
    strong: usize,
    f: &mut dyn FnMut(&mut Cx, &Value, &Value) -> Result<Value>,
) -> Result<Value> {
    let plain = f(cx, a, b)?;
    let (zeros, other) = if strong == 0 { (a, b) } else { (b, a) };
    if all_finite(other) {
        return Ok(plain);
    }
    let dtype = other.tensor_dtype().unwrap_or(DType::F64);
    let (zero, one) = (Value::float(0.0), Value::float(1.0));
    let mut ordered = |cx: &mut Cx, zeros: &Value, other: &Value| {
        if strong == 0 { f(cx, zeros, other) } else { f(cx, other, zeros) }
    };
    // Where a pair of elements with these flags meets.
    let mut meet = |cx: &mut Cx, zeros: &Value, other: &Value| {
        let mut flag = |v: &Value| -> Result<Value> {
            let numbers = cx.where_(v, &one, &zero)?;
            cx.cast(&numbers, dtype)
        };
        let (zeros, other) = (flag(zeros)?, flag(other)?);
        let count = ordered(cx, &zeros, &other)?;
        cx.apply(&GT, &[count, Value::float(0.5)])
    };
    let compare =
        |cx: &mut Cx, prim: &'static Prim, v: &Value, with: f64| cx.apply(prim, &[v.clone(), Value::float(with)]);
    let finite = cx.apply(&ISFINITE, std::slice::from_ref(other))?;
    let bad = cx.apply(&NOT, std::slice::from_ref(&finite))?;
    let nan = cx.apply(&ISNAN, std::slice::from_ref(other))?;
    let (high, low) = (compare(cx, &EQ, other, f64::INFINITY)?, compare(cx, &EQ, other, f64::NEG_INFINITY)?);
    let present = compare(cx, &NE, zeros, 0.0)?;
    let (above, below) = (compare(cx, &GT, zeros, 0.0)?, compare(cx, &LT, zeros, 0.0)?);
    let hit = meet(cx, &present, &bad)?;
    let undefined = meet(cx, &present, &nan)?;
    let plus = [meet(cx, &above, &high)?, meet(cx, &below, &low)?];
    let minus = [meet(cx, &above, &low)?, meet(cx, &below, &high)?];
    let (plus, minus) = (cx.apply(&OR, &plus)?, cx.apply(&OR, &minus)?);
    let clean = cx.where_(&finite, other, &zero)?;
    let without = ordered(cx, zeros, &clean)?;
    // Where a zero met a NaN beside: the infinity without it, of an infinite slope.
    let filled = cx.where_(&finite, other, &one)?;
    let moving = ordered(cx, zeros, &filled)?;
    let size = cx.apply(&ABS, &[moving])?;
    let size = cx.add(&size, &one)?;
    let (infinite, negative) = (cx.scale(&size, f64::INFINITY)?, cx.scale(&size, f64::NEG_INFINITY)?);
    let either = cx.where_(&plus, &infinite, &negative)?;
    let both = cx.apply(&AND, &[plus, minus])?;
    let undefined = cx.apply(&OR, &[undefined, both])?;
    let plain_nan = cx.apply(&ISNAN, std::slice::from_ref(&plain))?;
    let stays = cx.apply(&NOT, &[plain_nan])?;
    let stays = cx.apply(&OR, &[undefined, stays])?;
    let bad = cx.where_(&stays, &plain, &either)?;
    let out = cx.where_(&hit, &bad, &without)?;
    cx.cast(&out, dtype)
}
