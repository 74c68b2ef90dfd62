//! Writing registers: numbers field by field, all else as it was read.

use crate::ad::slot::Slot;
use crate::value::Value;

/// Writes a float. Field by field: building a `Value` elsewhere and copying its 16 bytes stalls on the narrower stores.
#[inline(always)]
pub fn put_float(dst: &mut Value, slot: Slot, x: f64) {
    if let Value::Float(s, v) = dst {
        *s = slot;
        *v = x;
    } else {
        dst.put_float(slot, x);
    }
}

/// Writes an int in place.
#[inline(always)]
pub fn put_int(dst: &mut Value, i: i64) {
    if let Value::Int(v) = dst {
        *v = i;
    } else {
        dst.put_int(i);
    }
}

/// Writes a bool in place.
#[inline(always)]
pub fn put_bool(dst: &mut Value, b: bool) {
    if let Value::Bool(v) = dst {
        *v = b;
    } else {
        dst.put(Value::Bool(b));
    }
}

/// Overwrites a register with a copy.
#[inline(always)]
pub fn put_copy(dst: &mut Value, src: &Value) {
    match *src {
        Value::Float(s, x) => put_float(dst, s, x),
        Value::Int(i) => put_int(dst, i),
        ref other => dst.put_copy(other),
    }
}

/// Overwrites a register with what another holds, which may become `none`.
#[inline(always)]
pub fn put_taken(dst: &mut Value, src: &mut Value) {
    match *src {
        Value::Float(s, x) => put_float(dst, s, x),
        Value::Int(i) => put_int(dst, i),
        ref mut other => dst.put_taken(other),
    }
}
