//! The hot loop: instructions that need registers, the dispatcher and globals, and nothing else of the machine.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::ad::batch::is_batched;
use crate::ad::slot::Slot;
use crate::ad::{Cx, Place, Watch};
use crate::bytecode::chunk::{CaptureSource, Chunk, Host, IndexPart, Piece};
use crate::bytecode::op::{Op, Reg};
use crate::error::{Cause, Error, Result};
use crate::ops::compare::{EQ, GE, GT, LE, LT, NE};
use crate::ops::elementwise::{ADD, DIV, MUL, NEG, POW, SUB};
use crate::ops::lanes::Scalar;
use crate::ops::prim::Eval;
use crate::syntax::ast::BinOp;
use crate::value::{Closure, Value};
use crate::vm::{INTERRUPT, arith, fields, items, typetest};

/// Why the loop stops.
pub enum Exit {
    /// The instruction before `pc` needs the whole machine.
    Machine(Op),
    Return(Reg),
}

/// What the loop works on.
pub struct State<'a> {
    pub regs: &'a mut [Value],
    pub cx: &'a mut Cx,
    pub globals: &'a mut Vec<Option<Value>>,
    pub closure: &'a Rc<Closure>,
    pub given: u64,
    /// If this is a library's code and results are watched: the call of it from outside.
    pub outside: Option<crate::source::Span>,
}

/// Runs from `pc` until something needs the machine. On an error `pc` stands behind the failing instruction.
pub fn exec(state: &mut State<'_>, pc: &mut usize) -> Result<Exit> {
    let chunk = &*state.closure.chunk;
    let code = &chunk.code[..];
    let regs = &mut *state.regs;
    let cx = &mut *state.cx;
    let trap = cx.watch != Watch::Off;
    let outside = state.outside;
    let mut at = *pc;

    debug_assert!(regs.len() >= chunk.registers as usize);
    // SAFETY (of both macros): every chunk passed `bytecode::verify` when it was compiled, so registers are below
    // `chunk.registers`, which is the length of `regs`, and control stays within `code`, whose last instruction is a
    // Return or a Jump. Checking each access again costs a quarter of the scalar loop in `benches/`.
    macro_rules! r {
        ($reg:expr) => {
            *unsafe { regs.get_unchecked_mut($reg.0 as usize) }
        };
    }
    macro_rules! get {
        ($reg:expr) => {
            unsafe { regs.get_unchecked($reg.0 as usize) }
        };
    }
    // Tells the NaN trap what is executed.
    macro_rules! here {
        () => {
            if trap {
                note_place(cx, chunk, at, outside);
            }
        };
    }
    // Errors leave through here so that the place is known.
    macro_rules! ok {
        ($result:expr) => {{
            here!();
            match $result {
                Ok(value) => value,
                Err(error) => {
                    *pc = at;
                    return Err(error);
                }
            }
        }};
    }
    macro_rules! arithmetic {
        ($dst:ident, $a:ident, $b:ident, $prim:ident, $op:tt, $checked:ident, $slopes:expr) => {{
            match (get!($a), get!($b)) {
                (&Value::Float(sa, x), &Value::Float(sb, y)) => {
                    let slopes: fn(f64, f64) -> (f64, f64) = $slopes;
                    if sa.is_const() && sb.is_const() && !trap {
                        put_float(&mut r!($dst), Slot::CONST, x $op y);
                    } else if let Some(slot) = ok!(cx.record((sa, slopes(x, y).0), (sb, slopes(x, y).1))) {
                        put_float(&mut r!($dst), slot, x $op y);
                    } else {
                        let (slot, z) = ok!(cx.apply_scalar2(&$prim, (sa, x), (sb, y)));
                        put_float(&mut r!($dst), slot, z);
                    }
                }
                (&Value::Int(x), &Value::Int(y)) => match x.$checked(y) {
                    Some(z) => put_int(&mut r!($dst), z),
                    None => ok!(Err(arith::overflow(stringify!($op), x, y))),
                },
                (a, b) => {
                    let value = ok!(arith::general(cx, &$prim, a, b));
                    r!($dst) = value;
                }
            }
        }};
    }
    macro_rules! compare {
        ($dst:ident, $a:ident, $b:ident, $prim:ident, $op:tt) => {{
            match (get!($a), get!($b)) {
                (&Value::Float(_, x), &Value::Float(_, y)) => put_bool(&mut r!($dst), x $op y),
                (&Value::Int(x), &Value::Int(y)) => put_bool(&mut r!($dst), x $op y),
                (a, b) => {
                    let value = ok!(arith::compare(cx, &$prim, a, b));
                    r!($dst) = value;
                }
            }
        }};
    }

    loop {
        // SAFETY: as above.
        let op = *unsafe { code.get_unchecked(at) };
        at += 1;
        match op {
            Op::Move { dst, src } => copy(regs, dst, src),
            Op::Take { dst, src } => match r!(src) {
                Value::Float(s, x) => put_float(&mut r!(dst), s, x),
                Value::Int(i) => put_int(&mut r!(dst), i),
                _ => r!(dst) = std::mem::take(&mut r!(src)),
            },
            Op::Load { dst, value } => match &chunk.consts[value.0 as usize] {
                &Value::Float(s, x) => put_float(&mut r!(dst), s, x),
                &Value::Int(i) => put_int(&mut r!(dst), i),
                other => r!(dst) = other.clone(),
            },
            Op::LoadNone { dst } => r!(dst) = Value::None,
            Op::LoadTensor { dst, value } => {
                r!(dst) = ok!(arith::literal(cx, &chunk.consts[value.0 as usize]));
            }
            Op::GetGlobal { dst, global } => match state.globals.get(global.0 as usize) {
                Some(Some(value)) => r!(dst) = value.clone(),
                _ => ok!(Err(not_yet())),
            },
            Op::PeekGlobal { dst, global } => {
                r!(dst) = state.globals.get(global.0 as usize).cloned().flatten().unwrap_or_default();
            }
            Op::SetGlobal { src, global } => {
                if let Some(slot) = state.globals.get_mut(global.0 as usize) {
                    *slot = Some(std::mem::take(&mut r!(src)));
                }
            }
            Op::Itself { dst } => r!(dst) = Value::Fn(state.closure.clone()),

            Op::Add { dst, a, b } => arithmetic!(dst, a, b, ADD, +, checked_add, |_, _| (1.0, 1.0)),
            Op::Sub { dst, a, b } => arithmetic!(dst, a, b, SUB, -, checked_sub, |_, _| (1.0, -1.0)),
            Op::Mul { dst, a, b } => arithmetic!(dst, a, b, MUL, *, checked_mul, |x, y| (y, x)),
            Op::MulAdd { dst, a, b } => {
                let word = code[at];
                let (Op::Plus { c } | Op::PlusTo { c } | Op::Minus { c } | Op::MinusFrom { c }) = word else {
                    unreachable!("MulAdd is followed by what to do with the product");
                };
                if let (&Value::Float(sa, x), &Value::Float(sb, y), &Value::Float(sc, z)) = (get!(a), get!(b), get!(c))
                    && sa.is_const()
                    && sb.is_const()
                    && sc.is_const()
                    && !trap
                {
                    // Nothing here leaves the floating point registers: a loop's variable is a chain through this.
                    at += 1;
                    match word {
                        Op::Minus { .. } => put_float(&mut r!(dst), Slot::CONST, x * y - z),
                        Op::MinusFrom { .. } => put_float(&mut r!(dst), Slot::CONST, z - x * y),
                        _ => put_float(&mut r!(dst), Slot::CONST, x * y + z),
                    }
                    continue;
                }
                if let (&Value::Float(sa, x), &Value::Float(sb, y), &Value::Float(sc, z)) = (get!(a), get!(b), get!(c))
                    && !trap
                    && let Some((slot, value)) = ok!(mul_add(cx, word, (sa, x), (sb, y), (sc, z)))
                {
                    at += 1;
                    put_float(&mut r!(dst), slot, value);
                    continue;
                }
                // The product's errors have the place of this word, the sum's that of the next.
                let product = ok!(arith::product(cx, get!(a), get!(b)));
                at += 1;
                let value = ok!(arith::join(cx, word, product, regs));
                if let Value::Float(slot, x) = value {
                    put_float(&mut r!(dst), slot, x);
                } else {
                    r!(dst) = value;
                }
            }
            // Words of MulAdd.
            Op::Plus { .. } | Op::PlusTo { .. } | Op::Minus { .. } | Op::MinusFrom { .. } => {}
            Op::Div { dst, a, b } => match (get!(a), get!(b)) {
                (&Value::Float(sa, x), &Value::Float(sb, y)) if !trap => {
                    if sa.is_const() && sb.is_const() {
                        put_float(&mut r!(dst), Slot::CONST, x / y);
                    } else if let Some(slot) = ok!(cx.record((sa, 1.0 / y), (sb, -(x / y / y)))) {
                        put_float(&mut r!(dst), slot, x / y);
                    } else {
                        let (slot, z) = ok!(cx.apply_scalar2(&DIV, (sa, x), (sb, y)));
                        put_float(&mut r!(dst), slot, z);
                    }
                }
                (a, b) => {
                    let value = ok!(arith::general(cx, &DIV, a, b));
                    r!(dst) = value;
                }
            },
            Op::Pow { dst, a, b } => {
                let value = ok!(arith::power(cx, &POW, get!(a), get!(b)));
                r!(dst) = value;
            }
            Op::Lt { dst, a, b } => compare!(dst, a, b, LT, <),
            Op::Le { dst, a, b } => compare!(dst, a, b, LE, <=),
            Op::Gt { dst, a, b } => compare!(dst, a, b, GT, >),
            Op::Ge { dst, a, b } => compare!(dst, a, b, GE, >=),
            Op::Eq { dst, a, b } => compare!(dst, a, b, EQ, ==),
            Op::Ne { dst, a, b } => compare!(dst, a, b, NE, !=),
            Op::Binary { dst, a, b } => {
                let Op::Operator { op } = code[at] else {
                    unreachable!("Binary is followed by Operator");
                };
                at += 1;
                let operator = chunk.operators[op.0 as usize];
                let value = match (get!(a), get!(b), operator) {
                    (&Value::Int(x), &Value::Int(y), BinOp::Rem) if y > 0 => Value::Int(x.rem_euclid(y)),
                    (&Value::Int(x), &Value::Int(y), BinOp::FloorDiv) if y > 0 => Value::Int(x.div_euclid(y)),
                    (a, b, operator) => ok!(arith::binary(cx, operator, a, b)),
                };
                r!(dst) = value;
            }
            Op::Operator { .. } => {}
            Op::Neg { dst, src } => match get!(src) {
                &Value::Float(s, x) if s.is_const() => put_float(&mut r!(dst), s, -x),
                &Value::Float(s, x) => {
                    let (slot, y) = ok!(cx.apply_scalar1(&NEG, s, x));
                    put_float(&mut r!(dst), slot, y);
                }
                other => {
                    let value = ok!(arith::unary(cx, &NEG, other));
                    r!(dst) = value;
                }
            },
            Op::Not { dst, src } => {
                let value = match get!(src) {
                    Value::Bool(b) => Value::Bool(!b),
                    other => ok!(arith::not(cx, other)),
                };
                r!(dst) = value;
            }
            Op::Prim1 { dst, src, prim } => {
                let Host::Prim(prim) = chunk.hosts[prim.0 as usize] else {
                    unreachable!("Prim1 names a primitive");
                };
                match (get!(src), &prim.eval) {
                    (&Value::Float(s, x), Eval::Elementwise(e)) if !trap => {
                        if s.is_const()
                            && let Scalar::Unary { f, .. } = e.scalar
                        {
                            let y = f(x);
                            put_float(&mut r!(dst), s, y);
                        } else {
                            let (slot, y) = ok!(cx.apply_scalar1(prim, s, x));
                            put_float(&mut r!(dst), slot, y);
                        }
                    }
                    (x, _) => {
                        let value = ok!(arith::unary(cx, prim, x));
                        r!(dst) = value;
                    }
                }
            }

            Op::Formula { dst, formula, words } => {
                if !trap && let Some((slot, x)) = ok!(cx.formula(&chunk.formulas[formula.0 as usize], regs)) {
                    put_float(&mut r!(dst), slot, x);
                    at += words.0 as usize;
                }
            }

            Op::Jump { to } => {
                if (to.0 as usize) < at && INTERRUPT.load(Ordering::Relaxed) {
                    ok!(Err(Error::leave(Cause::Interrupt)));
                }
                at = to.0 as usize;
            }
            Op::JumpUnless { cond, to } => match &r!(cond) {
                Value::Bool(true) => {}
                Value::Bool(false) => at = to.0 as usize,
                other => {
                    let cond = ok!(cx.concrete(other));
                    match cond {
                        Value::Bool(true) => {}
                        Value::Bool(false) => at = to.0 as usize,
                        other => ok!(Err(arith::no_condition(&other))),
                    }
                }
            },
            Op::SkipIfFalse { src, to } => {
                if let Value::Bool(false) = r!(src) {
                    at = to.0 as usize;
                }
            }
            Op::SkipIfTrue { src, to } => {
                if let Value::Bool(true) = r!(src) {
                    at = to.0 as usize;
                }
            }
            Op::SkipIfGiven { param, to } => {
                if state.given & (1 << param.0) != 0 {
                    at = to.0 as usize;
                }
            }
            Op::ForStart { iter } => {
                let i = iter.0 as usize;
                let source = std::mem::take(&mut regs[i]);
                match source {
                    Value::Range(range) => {
                        regs[i] = Value::Int(range.start);
                        regs[i + 1] = Value::Int(i64::try_from(range.len()).unwrap_or(i64::MAX));
                        regs[i + 2] = Value::Int(range.step);
                    }
                    other => {
                        let source = ok!(items::iterable(other));
                        regs[i] = Value::Int(0);
                        regs[i + 1] = source;
                        regs[i + 2] = Value::None;
                    }
                }
            }
            Op::ForNext { iter, to } => {
                let i = iter.0 as usize;
                match (&regs[i], &regs[i + 1], &regs[i + 2]) {
                    (&Value::Int(current), &Value::Int(left), &Value::Int(step)) => {
                        if left <= 0 {
                            at = to.0 as usize;
                        } else {
                            put_int(&mut regs[i + 3], current);
                            put_int(&mut regs[i], current.wrapping_add(step));
                            put_int(&mut regs[i + 1], left - 1);
                        }
                    }
                    (&Value::Int(index), source, _) => match ok!(items::next(cx, source, index as usize)) {
                        Some(item) => {
                            regs[i + 3] = item;
                            regs[i] = Value::Int(index + 1);
                        }
                        None => {
                            regs[i + 1] = Value::None;
                            at = to.0 as usize;
                        }
                    },
                    _ => at = to.0 as usize,
                }
            }
            Op::ForLoop { iter, to } => {
                let i = iter.0 as usize;
                // SAFETY: as above; the four registers of a loop are verified together.
                let state4 = unsafe { regs.get_unchecked_mut(i..i + 4) };
                if let [Value::Int(current), Value::Int(left), Value::Int(step), item] = state4 {
                    if *left > 0 {
                        put_int(item, *current);
                        *current = current.wrapping_add(*step);
                        *left -= 1;
                        at = to.0 as usize;
                        if INTERRUPT.load(Ordering::Relaxed) {
                            ok!(Err(Error::leave(Cause::Interrupt)));
                        }
                    }
                } else if let &Value::Int(index) = &regs[i] {
                    match ok!(items::next(cx, &regs[i + 1], index as usize)) {
                        Some(item) => {
                            regs[i + 3] = item;
                            regs[i] = Value::Int(index + 1);
                            at = to.0 as usize;
                            if INTERRUPT.load(Ordering::Relaxed) {
                                ok!(Err(Error::leave(Cause::Interrupt)));
                            }
                        }
                        None => regs[i + 1] = Value::None,
                    }
                }
            }

            Op::MakeTuple { dst, first, n } => {
                let f = first.0 as usize;
                let tuple = regs[f..f + n.0 as usize].iter_mut().map(std::mem::take).collect();
                r!(dst) = Value::tuple(tuple);
            }
            Op::MakeTensor { dst, first, n } => {
                let f = first.0 as usize;
                let value = ok!(arith::brackets(cx, &regs[f..f + n.0 as usize]));
                r!(dst) = value;
            }
            Op::MakeList { dst } => r!(dst) = Value::list(vec![]),
            Op::Push { list, src } => {
                let item = r!(src).clone();
                if let Value::List(items) = &mut r!(list) {
                    ok!(items::grow(Rc::make_mut(items), item));
                }
            }
            Op::ListToTensor { dst, list } => {
                let value = match &r!(list) {
                    Value::List(items) => ok!(arith::brackets(cx, items)),
                    _ => Value::None,
                };
                r!(dst) = value;
            }
            Op::MakeDict { dst, first, site } => {
                let keys = &chunk.dict_keys[site.0 as usize];
                let f = first.0 as usize;
                let entries = keys.iter().cloned().zip(regs[f..f + keys.len()].iter_mut().map(std::mem::take));
                r!(dst) = Value::Dict(Rc::new(entries.collect()));
            }
            Op::MakeRange { dst, lo, hi } => {
                let value = ok!(items::range(cx, get!(lo), get!(hi), false));
                r!(dst) = value;
            }
            Op::MakeRangeInclusive { dst, lo, hi } => {
                let value = ok!(items::range(cx, get!(lo), get!(hi), true));
                r!(dst) = value;
            }
            Op::MakeClosure { dst, function } => {
                let site = &chunk.functions[function.0 as usize];
                let captures = site.captures.iter().map(|source| match *source {
                    CaptureSource::Itself => Ok(Value::Fn(state.closure.clone())),
                    CaptureSource::Reg(reg) => Ok(r!(reg).clone()),
                    CaptureSource::Global(g) => state.globals.get(g as usize).cloned().flatten().ok_or_else(not_yet),
                });
                let captures = ok!(captures.collect::<Result<Vec<Value>>>());
                r!(dst) = Value::Fn(Rc::new(Closure { chunk: site.chunk.clone(), captures }));
            }
            Op::MakeStruct { dst, def } => {
                let value = ok!(fields::build(&chunk.consts[def.0 as usize], regs, chunk.params.len()));
                r!(dst) = value;
            }
            Op::Unpack { first, src, n } => {
                let f = first.0 as usize;
                if let Value::Tuple(items) = &regs[src.0 as usize]
                    && items.len() == n.0 as usize
                {
                    let items = items.clone();
                    for (i, item) in items.iter().enumerate() {
                        regs[f + i].put(item.clone());
                    }
                    continue;
                }
                let parts = ok!(items::unpack(cx, &r!(src), n.0 as usize));
                for (i, part) in parts.into_iter().enumerate() {
                    regs[f + i] = part;
                }
            }
            Op::Format { dst, first, format } => {
                let pieces = &chunk.formats[format.0 as usize];
                if cx.innermost_batch().is_some() {
                    let shown = pieces.iter().filter(|p| matches!(p, Piece::Value { .. })).count();
                    let from = first.0 as usize;
                    if regs[from..from + shown].iter().any(is_batched) {
                        ok!(Err(cx.each_alone()));
                    }
                }
                let text = ok!(items::format(pieces, &regs[first.0 as usize..]));
                r!(dst) = Value::str(text);
            }

            Op::GetField { dst, object, name } => {
                let value = ok!(fields::get(cx, state.globals, &r!(object), chunk.names[name.0 as usize]));
                r!(dst) = value;
            }
            Op::TakeField { dst, object, name } => {
                let symbol = chunk.names[name.0 as usize];
                let value = ok!(fields::take(cx, state.globals, &mut r!(object), symbol));
                r!(dst) = value;
            }
            Op::SetField { object, name, value } => {
                let value = std::mem::take(&mut r!(value));
                let dtype = cx.env.dtype;
                ok!(fields::set(&mut r!(object), chunk.names[name.0 as usize], value, state.globals, dtype));
            }
            Op::GetItem { dst, object, index } => {
                if let (Value::List(items), &Value::Int(i)) = (get!(object), get!(index))
                    && let Some(item) = usize::try_from(i).ok().and_then(|i| items.get(i))
                {
                    match *item {
                        Value::Float(s, x) => put_float(&mut r!(dst), s, x),
                        Value::Int(i) => put_int(&mut r!(dst), i),
                        ref other => {
                            let value = other.clone();
                            r!(dst).put(value);
                        }
                    }
                } else {
                    let value = ok!(items::get(cx, get!(object), get!(index)));
                    r!(dst) = value;
                }
            }
            Op::TakeItem { dst, object, index } => {
                let key = r!(index).clone();
                let value = ok!(items::take(cx, &mut r!(object), &key));
                r!(dst) = value;
            }
            Op::SetItem { object, index, value } => {
                let item = std::mem::take(&mut r!(value));
                let key = get!(index).clone();
                if let (Value::List(items), &Value::Int(i)) = (&mut r!(object), &key)
                    && let Some(items) = Rc::get_mut(items)
                    && let Some(place) = usize::try_from(i).ok().and_then(|i| items.get_mut(i))
                {
                    place.put(item);
                } else {
                    ok!(items::set(cx, &mut r!(object), &key, item));
                }
            }
            Op::GetIndex { dst, first, index } => {
                let f = first.0 as usize;
                let value = ok!(items::get_index(cx, &regs[f], &chunk.indices[index.0 as usize], &regs[f + 1..]));
                r!(dst) = value;
            }
            Op::SetIndex { object, first, index } => {
                let f = first.0 as usize;
                let item = std::mem::take(&mut regs[f]);
                let mut target = std::mem::take(&mut r!(object));
                let parts = &chunk.indices[index.0 as usize];
                here!();
                let result = items::set_index(cx, &mut target, parts, &regs[f + 1..], item);
                r!(object) = target;
                ok!(result);
            }
            Op::UpdateItem { object, index, value } => {
                let Op::Operator { op } = code[at] else {
                    unreachable!("UpdateItem is followed by Operator");
                };
                let operator = chunk.operators[op.0 as usize];
                let item = std::mem::take(&mut r!(value));
                let key = std::slice::from_ref(&regs[index.0 as usize]).to_vec();
                let mut target = std::mem::take(&mut r!(object));
                here!();
                let result = items::update(cx, &mut target, &[IndexPart::At], &key, operator, item);
                r!(object) = target;
                ok!(result);
                at += 1;
            }
            Op::UpdateIndex { object, first, index } => {
                let Op::Operator { op } = code[at] else {
                    unreachable!("UpdateIndex is followed by Operator");
                };
                let operator = chunk.operators[op.0 as usize];
                let f = first.0 as usize;
                let item = std::mem::take(&mut regs[f]);
                let mut target = std::mem::take(&mut r!(object));
                let parts = &chunk.indices[index.0 as usize];
                here!();
                let result = items::update(cx, &mut target, parts, &regs[f + 1..], operator, item);
                r!(object) = target;
                ok!(result);
                at += 1;
            }
            Op::Check { reg, test } => {
                let test = &chunk.types[test.0 as usize];
                if !typetest::quick(test, &r!(reg)) {
                    let dtype = cx.env.dtype;
                    ok!(typetest::check(regs, reg.0 as usize, test, state.globals, dtype));
                }
            }

            Op::Return { src } => {
                *pc = at;
                return Ok(Exit::Return(src));
            }
            Op::Call { .. }
            | Op::CallMethod { .. }
            | Op::CallHost { .. }
            | Op::TryStart { .. }
            | Op::TryEnd {}
            | Op::Override { .. } => {
                *pc = at;
                return Ok(Exit::Machine(op));
            }
            // Behind an Override whose param was not given.
            Op::OverrideTo { .. } => {}
        }
    }
}

/// Writes a float. Field by field: building a `Value` elsewhere and copying its 16 bytes stalls on the narrower stores.
#[inline(always)]
fn put_float(dst: &mut Value, slot: Slot, x: f64) {
    if let Value::Float(s, v) = dst {
        *s = slot;
        *v = x;
    } else {
        *dst = Value::Float(slot, x);
    }
}

/// Writes an int in place.
#[inline(always)]
fn put_int(dst: &mut Value, i: i64) {
    if let Value::Int(v) = dst {
        *v = i;
    } else {
        *dst = Value::Int(i);
    }
}

/// Writes a bool in place.
#[inline(always)]
fn put_bool(dst: &mut Value, b: bool) {
    if let Value::Bool(v) = dst {
        *v = b;
    } else {
        *dst = Value::Bool(b);
    }
}

/// `a * b` joined with `c` while a tape of the outermost level records: one entry, or two if all three are variables.
#[inline]
fn mul_add(cx: &mut Cx, word: Op, a: (Slot, f64), b: (Slot, f64), c: (Slot, f64)) -> Result<Option<(Slot, f64)>> {
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

/// Copies a value; numbers without going through a clone.
#[inline(always)]
fn copy(regs: &mut [Value], dst: Reg, src: Reg) {
    match regs[src.0 as usize] {
        Value::Float(s, x) => put_float(&mut regs[dst.0 as usize], s, x),
        Value::Int(i) => put_int(&mut regs[dst.0 as usize], i),
        ref other => {
            let value = other.clone();
            regs[dst.0 as usize] = value;
        }
    }
}

/// Tells where the instruction before `at` comes from.
#[cold]
pub fn note_place(cx: &mut Cx, chunk: &Chunk, at: usize, outside: Option<crate::source::Span>) {
    if let Some(places) = chunk.spans.get(at.wrapping_sub(1)) {
        cx.at(Place { span: places.span, outside });
    }
}

#[cold]
fn not_yet() -> Error {
    Error::new("E0404", "this name has no value yet")
        .help("the function that uses it was called before the line that defines it")
}
