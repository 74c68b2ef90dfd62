//! Writing registers: numbers field by field, all else as it was read.

use crate::ad::slot::Slot;
use crate::bytecode::op::Reg;
use crate::value::Value;

/// Writes a float. Field by field: building a `Value` elsewhere and copying its 16 bytes stalls on the narrower stores.
#[inline(always)]
pub fn put_float(dst: &mut Value, slot: Slot, x: f64) {
    if let Value::Float(s, v) = dst {
        *s = slot;
        *v = x;
    } else {
        dst.put(Value::Float(slot, x));
    }
}

/// Writes an int in place.
#[inline(always)]
pub fn put_int(dst: &mut Value, i: i64) {
    if let Value::Int(v) = dst {
        *v = i;
    } else {
        dst.put(Value::Int(i));
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

/// Copies a value; numbers without going through a clone.
#[inline(always)]
pub fn copy(regs: &mut [Value], dst: Reg, src: Reg) {
    match regs[src.0 as usize] {
        Value::Float(s, x) => put_float(&mut regs[dst.0 as usize], s, x),
        Value::Int(i) => put_int(&mut regs[dst.0 as usize], i),
        _ => {
            if let Ok([dst, src]) = regs.get_disjoint_mut([dst.0 as usize, src.0 as usize]) {
                dst.put_copy(src);
            }
        }
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
