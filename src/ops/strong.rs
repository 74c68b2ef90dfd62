//! Products and quotients that rules are written with: a zero cotangent stays zero, whatever it is multiplied by.

use super::compare::{GT, ISFINITE, NE};
use super::lanes::Ints;
use super::prim::Prim;
use crate::ad::Cx;
use crate::ad::dispatch::all_finite;
use crate::binary_prims;
use crate::error::Result;
use crate::tensor::DType;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&ZMUL, &DIV_OR_ZERO];

binary_prims! {
    ZMUL "_zmul" ("a", "b"), "`a * b`, but 0 where `a` is 0 even if `b` is infinite or NaN.",
        ints: Ints::Promote,
        f(a, b) a.zmul(b),
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
    let finite = cx.apply(&ISFINITE, std::slice::from_ref(other))?;
    let clean = cx.where_(&finite, other, &zero)?;
    let bad = cx.where_(&finite, &zero, &one)?;
    let present = cx.apply(&NE, &[zeros.clone(), zero.clone()])?;
    let present = cx.where_(&present, &one, &zero)?;
    let (bad, present) = (cx.cast(&bad, dtype)?, cx.cast(&present, dtype)?);
    let mut ordered = |cx: &mut Cx, zeros: &Value, other: &Value| {
        if strong == 0 { f(cx, zeros, other) } else { f(cx, other, zeros) }
    };
    let without = ordered(cx, zeros, &clean)?;
    let hits = ordered(cx, &present, &bad)?;
    let hit = cx.apply(&GT, &[hits, Value::float(0.5)])?;
    cx.where_(&hit, &plain, &without)
}
