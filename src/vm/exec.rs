//! The hot loop: instructions that need registers, the dispatcher and globals, and nothing else of the machine.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::ad::slot::Slot;
use crate::ad::{Cx, Place, Watch};
use crate::builtins::collections::PUSH;
use crate::bytecode::chunk::{Chunk, Host, IndexPart};
use crate::bytecode::op::{Op, Reg};
use crate::error::{Cause, Error, Result};
use crate::native;
use crate::ops::compare::{EQ, GE, GT, LE, LT, NE};
use crate::ops::elementwise::{ADD, DIV, MUL, NEG, POW, SUB};
use crate::ops::lanes::Scalar;
use crate::ops::prim::Eval;
use crate::profile;
use crate::source::Span;
use crate::syntax::ast::BinOp;
use crate::value::Value;
use crate::vm::rare::rare;
use crate::vm::registers::{put_bool, put_copy, put_float, put_int, put_taken};
use crate::vm::{Frame, INTERRUPT, MAX_FRAMES, arith, bind, call, elements, fields, foresee, items, typetest};

/// Why the loop stops.
pub enum Exit {
    /// The instruction before `pc` of the innermost frame needs the whole machine.
    Machine(Op),
    /// The innermost frame returns the value of a register, and that is more than going back to its caller.
    Return(Reg),
}

/// What the loop works on.
pub struct State<'a> {
    pub stack: &'a mut Vec<Value>,
    pub frames: &'a mut Vec<Frame>,
    pub cx: &'a mut Cx,
    pub globals: &'a mut Vec<Option<Value>>,
    /// If the innermost frame runs a library's code and results are watched: the call of it from outside.
    pub outside: Option<Span>,
}

/// Runs the innermost frame, and those that it calls, until something needs the machine. On an error the `pc` of the
/// innermost frame stands behind the failing instruction.
pub fn exec(state: &mut State<'_>) -> Result<Exit> {
    let State { stack, frames, cx, globals, outside } = state;
    let (cx, globals, outside): (&mut Cx, &mut Vec<Option<Value>>, Option<Span>) = (cx, globals, *outside);
    // What operations make, on the way to a register.
    let mut made = Value::None;
    // Neither changes before the loop stops.
    let trap = cx.watch != Watch::Off;
    let told = trap || profile::is_on();
    // Calls and returns change the frame.
    'frame: loop {
        let Some(frame) = frames.last() else { return Err(Error::new("E0400", "no function is running")) };
        // SAFETY: the frame owns its closure, and what is below is done with it when a frame is entered or left.
        let chunk = unsafe { &*Rc::as_ptr(&frame.closure.chunk) };
        let code = &chunk.code[..];
        let (base, given) = (frame.base, frame.given);
        let mut at = frame.pc;
        let regs = &mut stack[base..base + chunk.registers as usize];

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
        // Notes where the frame stands.
        macro_rules! leave {
            () => {
                if let Some(frame) = frames.last_mut() {
                    frame.pc = at;
                }
            };
        }
        // Tells the NaN trap and the profile what is executed.
        macro_rules! here {
            () => {
                if told {
                    note_place(cx, chunk, at, outside, trap);
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
                        leave!();
                        return Err(error);
                    }
                }
            }};
        }
        // The result of an operation, which it leaves in `made`.
        macro_rules! made {
            ($dst:ident, $operation:expr) => {{
                ok!($operation);
                put_taken(&mut r!($dst), &mut made);
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
                (Value::Str(_), Value::Str(_)) if $dst == $a => {
                    let more = get!($b).clone();
                    if !ok!(arith::append(&$prim, &mut r!($dst), &more)) {
                        made!($dst, arith::general(cx, &$prim, get!($a), &more, &mut made));
                    }
                }
                (a, b) => made!($dst, arith::general(cx, &$prim, a, b, &mut made)),
            }
        }};
    }
        // A comparison before the `JumpUnless` that alone reads it.
        macro_rules! compare_jump {
        ($dst:ident, $a:ident, $b:ident, $prim:ident, $op:tt $(, $none:literal)?) => {{
            let holds = match (get!($a), get!($b)) {
                (&Value::Float(_, x), &Value::Float(_, y)) => x $op y,
                (&Value::Int(x), &Value::Int(y)) => x $op y,
                $((a, Value::None) => matches!(a, Value::None) == $none,)?
                (a, b) => {
                    let value = ok!(arith::compare(cx, &$prim, a, b));
                    r!($dst) = value;
                    continue;
                }
            };
            match code[at] {
                Op::JumpUnless { to, .. } if !holds => at = to.0 as usize,
                _ => at += 1,
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

        // A loop's next turn begins at `at`: it may be native code.
        macro_rules! turn {
            () => {
                if INTERRUPT.load(Ordering::Relaxed) {
                    ok!(Err(Error::leave(Cause::Interrupt)));
                }
                if cx.turns(chunk)
                    && !told
                    && let Some(next) = native::turn(cx, chunk, regs, globals, at)
                {
                    at = next;
                }
            };
        }

        loop {
            // SAFETY: as above.
            let op = *unsafe { code.get_unchecked(at) };
            at += 1;
            match op {
                Op::Move { dst, src } => match get!(src) {
                    &Value::Float(s, x) => put_float(&mut r!(dst), s, x),
                    &Value::Int(i) => put_int(&mut r!(dst), i),
                    other if dst != src => {
                        let other: *const Value = other;
                        // SAFETY: another register than the one that is written.
                        r!(dst).put_copy(unsafe { &*other });
                    }
                    _ => {}
                },
                Op::Take { dst, src } => match r!(src) {
                    Value::Float(s, x) => put_float(&mut r!(dst), s, x),
                    Value::Int(i) => put_int(&mut r!(dst), i),
                    ref mut other if dst != src => {
                        let other: *mut Value = other;
                        // SAFETY: another register than the one that is written.
                        r!(dst).put_taken(unsafe { &mut *other });
                    }
                    _ => {}
                },
                Op::Load { dst, value } => put_copy(&mut r!(dst), &chunk.consts[value.0 as usize]),
                Op::LoadNone { dst } => {
                    r!(dst).clear();
                    // A comparison with it comes next, as a rule, and a jump.
                    let is_none = match code[at] {
                        Op::EqJump { a, b, .. } if b == dst => matches!(get!(a), Value::None),
                        Op::NeJump { a, b, .. } if b == dst => !matches!(get!(a), Value::None),
                        _ => continue,
                    };
                    match code[at + 1] {
                        Op::JumpUnless { to, .. } if !is_none => at = to.0 as usize,
                        _ => at += 2,
                    }
                }
                Op::GetGlobal { dst, global } => match globals.get(global.0 as usize) {
                    Some(Some(value)) => put_copy(&mut r!(dst), value),
                    _ => ok!(Err(not_yet())),
                },
                Op::TakeGlobal { dst, global } => match globals.get_mut(global.0 as usize).and_then(Option::take) {
                    Some(value) => r!(dst).put(value),
                    None => ok!(Err(not_yet())),
                },
                Op::SetGlobal { src, global } => {
                    if let Some(slot) = globals.get_mut(global.0 as usize) {
                        *slot = Some(std::mem::take(&mut r!(src)));
                    }
                }
                Op::Itself { dst } => {
                    if let Some(frame) = frames.last() {
                        r!(dst) = Value::Fn(frame.closure.clone());
                    }
                }

                Op::Add { dst, a, b } => arithmetic!(dst, a, b, ADD, +, checked_add, |_, _| (1.0, 1.0)),
                Op::Sub { dst, a, b } => arithmetic!(dst, a, b, SUB, -, checked_sub, |_, _| (1.0, -1.0)),
                Op::Mul { dst, a, b } => arithmetic!(dst, a, b, MUL, *, checked_mul, |x, y| (y, x)),
                Op::MulAdd { dst, a, b } => {
                    let word = code[at];
                    let (Op::Plus { c } | Op::PlusTo { c } | Op::Minus { c } | Op::MinusFrom { c }) = word else {
                        unreachable!("MulAdd is followed by what to do with the product");
                    };
                    if let (&Value::Float(sa, x), &Value::Float(sb, y), &Value::Float(sc, z)) =
                        (get!(a), get!(b), get!(c))
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
                    if let (&Value::Float(sa, x), &Value::Float(sb, y), &Value::Float(sc, z)) =
                        (get!(a), get!(b), get!(c))
                        && !trap
                        && let Some((slot, value)) = ok!(arith::mul_add(cx, word, (sa, x), (sb, y), (sc, z)))
                    {
                        at += 1;
                        put_float(&mut r!(dst), slot, value);
                        continue;
                    }
                    if !trap && ok!(cx.joined_product(word, [get!(a), get!(b), get!(c)], &mut made)) {
                        at += 1;
                        r!(dst).put_taken(&mut made);
                        continue;
                    }
                    // The product's errors have the place of this word, the sum's that of the next.
                    let product = ok!(arith::product(cx, get!(a), get!(b)));
                    at += 1;
                    made!(dst, arith::join(cx, word, product, regs, &mut made));
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
                    (a, b) => made!(dst, arith::general(cx, &DIV, a, b, &mut made)),
                },
                Op::Pow { dst, a, b } => made!(dst, arith::power(cx, &POW, get!(a), get!(b), &mut made)),
                Op::Lt { dst, a, b } => compare!(dst, a, b, LT, <),
                Op::LtJump { dst, a, b } => compare_jump!(dst, a, b, LT, <),
                Op::Le { dst, a, b } => compare!(dst, a, b, LE, <=),
                Op::LeJump { dst, a, b } => compare_jump!(dst, a, b, LE, <=),
                Op::Gt { dst, a, b } => compare!(dst, a, b, GT, >),
                Op::GtJump { dst, a, b } => compare_jump!(dst, a, b, GT, >),
                Op::Ge { dst, a, b } => compare!(dst, a, b, GE, >=),
                Op::GeJump { dst, a, b } => compare_jump!(dst, a, b, GE, >=),
                Op::Eq { dst, a, b } => compare!(dst, a, b, EQ, ==),
                Op::EqJump { dst, a, b } => compare_jump!(dst, a, b, EQ, ==, true),
                Op::Ne { dst, a, b } => compare!(dst, a, b, NE, !=),
                Op::NeJump { dst, a, b } => compare_jump!(dst, a, b, NE, !=, false),
                Op::Binary { dst, a, b } => {
                    let Op::Operator { op } = code[at] else {
                        unreachable!("Binary is followed by Operator");
                    };
                    at += 1;
                    let operator = chunk.operators[op.0 as usize];
                    match (get!(a), get!(b), operator) {
                        (&Value::Int(x), &Value::Int(y), BinOp::Rem) if y > 0 => put_int(&mut r!(dst), x.rem_euclid(y)),
                        (&Value::Int(x), &Value::Int(y), BinOp::FloorDiv) if y > 0 => {
                            put_int(&mut r!(dst), x.div_euclid(y));
                        }
                        (a, b, operator) => made!(dst, arith::binary(cx, operator, a, b, &mut made)),
                    }
                }
                Op::Operator { .. } => {}
                Op::Neg { dst, src } => match get!(src) {
                    &Value::Float(s, x) if s.is_const() => put_float(&mut r!(dst), s, -x),
                    &Value::Float(s, x) => {
                        let (slot, y) = ok!(cx.apply_scalar1(&NEG, s, x));
                        put_float(&mut r!(dst), slot, y);
                    }
                    other => made!(dst, arith::unary(cx, &NEG, other, &mut made)),
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
                        (x, _) => made!(dst, arith::unary(cx, prim, x, &mut made)),
                    }
                }

                Op::Formula { dst, formula, words } => {
                    let formula = &chunk.formulas[formula.0 as usize];
                    if trap {
                    } else if let Some((slot, x)) = ok!(cx.formula(formula, regs)) {
                        put_float(&mut r!(dst), slot, x);
                        at += words.0 as usize;
                    } else if ok!(cx.formula_of_tensors(formula, regs, &mut made, &|end| {
                        foresee::fate(frames, at + words.0 as usize, dst, end, false)
                    })) {
                        r!(dst).put_taken(&mut made);
                        at += words.0 as usize;
                    }
                }

                Op::Total { dst, formula, words } => {
                    let formula = &chunk.formulas[formula.0 as usize];
                    let fate = |end| foresee::fate(frames, at + words.0 as usize, dst, end, true);
                    if !trap && ok!(cx.formula_of_tensors(formula, regs, &mut made, &fate)) {
                        r!(dst).put_taken(&mut made);
                        at += words.0 as usize;
                    }
                }

                Op::Affine { a, b, c } => {
                    if let Op::Add { dst, .. } = code[at + Op::AFFINE_WORDS - 1]
                        && !trap
                        && ok!(cx.affine(get!(a), get!(b), get!(c), &mut made))
                    {
                        r!(dst).put_taken(&mut made);
                        at += Op::AFFINE_WORDS;
                    }
                }
                Op::Jump { to } => {
                    let back = (to.0 as usize) < at;
                    at = to.0 as usize;
                    if back {
                        turn!();
                    }
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
                    if given & (1 << param.0) != 0 {
                        at = to.0 as usize;
                    }
                }
                Op::ForRange { iter, lo, hi } => {
                    let i = iter.0 as usize;
                    if let (&Value::Int(start), &Value::Int(stop)) = (get!(lo), get!(hi)) {
                        let state4 = &mut regs[i..i + 3];
                        put_int(&mut state4[0], start);
                        put_int(&mut state4[1], stop.saturating_sub(start).max(0));
                        put_int(&mut state4[2], 1);
                        // Behind the ForStart.
                        at += 1;
                    } else {
                        let value = ok!(items::range(cx, get!(lo), get!(hi), false));
                        r!(iter) = value;
                    }
                }
                Op::ForStart { iter } => {
                    let i = iter.0 as usize;
                    if let [source @ (Value::List(_) | Value::Tuple(_)), held, step, ..] = &mut regs[i..] {
                        held.put_taken(source);
                        put_int(source, 0);
                        step.clear();
                        continue;
                    }
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
                        (&Value::Int(index), Value::List(items), _) if (index as usize) < items.len() => {
                            let item = items[index as usize].clone();
                            regs[i + 3].put(item);
                            put_int(&mut regs[i], index + 1);
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
                            turn!();
                        }
                    } else if let [Value::Int(index), Value::List(items), _, item] = state4
                        && let Some(next) = items.get(*index as usize)
                    {
                        put_copy(item, next);
                        *index += 1;
                        at = to.0 as usize;
                        turn!();
                    } else if let &Value::Int(index) = &regs[i] {
                        match ok!(items::next(cx, &regs[i + 1], index as usize)) {
                            Some(item) => {
                                regs[i + 3] = item;
                                regs[i] = Value::Int(index + 1);
                                at = to.0 as usize;
                                turn!();
                            }
                            None => regs[i + 1] = Value::None,
                        }
                    }
                }

                Op::GetField { dst, object, name } => {
                    if let Value::Struct(s) = get!(object)
                        && let Some(i) = s.def.field(chunk.names[name.0 as usize])
                        && let Some(field) = s.fields.get(i)
                    {
                        if dst == object {
                            let value = field.clone();
                            r!(dst).put(value);
                        } else {
                            let field: *const Value = field;
                            // SAFETY: the struct is held by another register than the one that is written.
                            put_copy(&mut r!(dst), unsafe { &*field });
                        }
                        continue;
                    }
                    let value = ok!(fields::get(cx, globals, &r!(object), chunk.names[name.0 as usize]));
                    r!(dst) = value;
                }
                Op::GetItem { dst, object, index } => {
                    if let (Value::List(items), &Value::Int(i)) = (get!(object), get!(index))
                        && let Some(item) = usize::try_from(i).ok().and_then(|i| items.get(i))
                    {
                        let value = item.clone();
                        r!(dst).put(value);
                    } else if let (Value::Tensor(slot, t), &Value::Int(i)) = (get!(object), get!(index))
                        && slot.is_const()
                        && let Some(x) = elements::read(t, &[i])
                    {
                        put_float(&mut r!(dst), Slot::CONST, x);
                    } else {
                        let value = ok!(items::get(cx, get!(object), get!(index)));
                        r!(dst).put(value);
                    }
                }
                Op::SetItem { object, index, value } => {
                    if let (&Value::Int(i), &Value::Float(slot, x)) = (get!(index), get!(value))
                        && slot.is_const()
                        && elements::write(&mut r!(object), &[i], x)
                    {
                        continue;
                    }
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
                    let parts = &chunk.indices[index.0 as usize][..];
                    if let Value::Tensor(slot, t) = &regs[f]
                        && slot.is_const()
                        && let Some(x) = elements::read_parts(t, parts, &regs[f + 1..])
                    {
                        put_float(&mut r!(dst), Slot::CONST, x);
                        continue;
                    }
                    let value = ok!(items::get_index(cx, &regs[f], &chunk.indices[index.0 as usize], &regs[f + 1..]));
                    r!(dst) = value;
                }
                Op::UpdateItem { object, index, value } => {
                    let Op::Operator { op } = code[at] else {
                        unreachable!("UpdateItem is followed by Operator");
                    };
                    let operator = chunk.operators[op.0 as usize];
                    if let (&Value::Int(i), &Value::Float(slot, x)) = (get!(index), get!(value))
                        && slot.is_const()
                        && !trap
                        && elements::update(&mut r!(object), &[i], operator, x)
                    {
                        at += 1;
                        continue;
                    }
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
                    if let &Value::Float(slot, x) = &regs[f]
                        && slot.is_const()
                        && !trap
                        && let Some(ints) = elements::ints(&chunk.indices[index.0 as usize], &regs[f + 1..])
                        && elements::update(&mut r!(object), &ints, operator, x)
                    {
                        at += 1;
                        continue;
                    }
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
                    let what = test.0 as usize;
                    let test = &chunk.types[what];
                    if !typetest::quick(test, &r!(reg)) {
                        let dtype = cx.env.dtype;
                        let what = &chunk.annotated[what];
                        ok!(typetest::check(regs, reg.0 as usize, test, what, globals, dtype));
                    }
                }

                Op::Return { src } => {
                    // A plain return; `run` does all others.
                    if let Some(frame) = frames.last()
                        && !frame.entry
                        && frame.after.is_none()
                        && !trap
                    {
                        let result = frame.result;
                        put_taken(&mut made, &mut r!(src));
                        if chunk.inout == 0 {
                            regs.iter_mut().for_each(Value::clear);
                        } else {
                            let handed = (64 - chunk.inout.leading_zeros() as usize).min(regs.len());
                            let (handed, own) = regs.split_at_mut(handed);
                            let dropped = handed.iter_mut().enumerate().filter(|(i, _)| chunk.inout & (1 << i) == 0);
                            dropped.for_each(|(_, r)| r.clear());
                            own.iter_mut().for_each(Value::clear);
                        }
                        if let Some(last) = frames.len().checked_sub(1) {
                            // SAFETY: the closure is the only part of this frame that owns anything, and is dropped once.
                            unsafe {
                                frames.set_len(last);
                                std::ptr::drop_in_place(&raw mut (*frames.as_mut_ptr().add(last)).closure);
                            }
                        }
                        // The result replaces the function in the caller's register, unless it is taken from there at once.
                        if let Some(caller) = frames.last_mut()
                            && let Some(&Op::Take { dst, src }) = caller.closure.chunk.code.get(caller.pc)
                            && caller.base + src.0 as usize == result
                        {
                            stack[result].clear();
                            put_taken(&mut stack[caller.base + dst.0 as usize], &mut made);
                            caller.pc += 1;
                        } else {
                            put_taken(&mut stack[result], &mut made);
                        }
                        continue 'frame;
                    }
                    leave!();
                    return Ok(Exit::Return(src));
                }
                Op::Call { base: function, site } => {
                    let site = &chunk.calls[site.0 as usize];
                    // A primitive as a value.
                    if let Value::Prim(prim) = *get!(function)
                        && !trap
                        && bind::is_whole(prim.sig, site)
                    {
                        let first = function.0 as usize + 1;
                        let args = first..first + site.count as usize;
                        ok!(cx.apply_to(prim, &regs[args.clone()], &mut made));
                        regs[args].iter_mut().for_each(Value::clear);
                        put_taken(&mut r!(function), &mut made);
                        continue;
                    }
                    leave!();
                    // A plain call; `run` does all others.
                    if let Value::Fn(callee) = get!(function)
                        && callee.chunk.params.len() == site.count as usize
                        && site.names.is_empty()
                        && site.inout == callee.chunk.inout
                        && frames.len() < MAX_FRAMES
                        && !trap
                    {
                        let callee = callee.clone();
                        // A recursion may have no loops.
                        if INTERRUPT.load(Ordering::Relaxed) {
                            ok!(Err(Error::leave(Cause::Interrupt)));
                        }
                        if callee.chunk.functions_native.is_hot() && !told && callee.chunk.inout == 0 {
                            let first = function.0 as usize + 1;
                            let args = first..first + site.count as usize;
                            if let Some(value) = native::call(cx, &callee.chunk, &mut regs[args.clone()], globals) {
                                regs[args].iter_mut().for_each(Value::clear);
                                r!(function) = value;
                                continue;
                            }
                        }
                        let at = base + function.0 as usize;
                        Frame::enter(callee, at + 1, at, stack, frames);
                        continue 'frame;
                    }
                    if !trap
                        && frames.len() < MAX_FRAMES
                        && call::enter_struct(stack, base + function.0 as usize, site, frames)
                    {
                        continue 'frame;
                    }
                    return Ok(Exit::Machine(op));
                }
                Op::CallMethod { base: function, site } => {
                    leave!();
                    let described = &chunk.calls[site.0 as usize];
                    let f = function.0 as usize;
                    // As loops do it, over and over.
                    if let [Value::Builtin(builtin), Value::List(items), value, ..] = &mut regs[f..]
                        && std::ptr::eq(*builtin, &PUSH)
                        && (described.count, described.inout) == (2, 1)
                        && described.names.is_empty()
                        && !told
                        && cx.innermost_batch().is_none()
                    {
                        Rc::make_mut(items).push(std::mem::take(value));
                        regs[f].clear();
                        continue;
                    }
                    if !trap && frames.len() < MAX_FRAMES && call::enter_method(stack, base + f, described, frames) {
                        continue 'frame;
                    }
                    return Ok(Exit::Machine(op));
                }
                Op::CallHost { .. } | Op::TryStart { .. } | Op::TryEnd {} | Op::Override { .. } => {
                    leave!();
                    return Ok(Exit::Machine(op));
                }
                // Behind an Override whose param was not given.
                Op::OverrideTo { .. } => {}
                _ => {
                    let Some(frame) = frames.last() else { continue };
                    ok!(rare(op, regs, cx, globals, &frame.closure));
                }
            }
        }
    }
}

/// Tells where the instruction before `at` comes from.
#[cold]
pub fn note_place(cx: &mut Cx, chunk: &Chunk, at: usize, outside: Option<Span>, trap: bool) {
    if let Some(places) = chunk.spans.get(at.wrapping_sub(1)) {
        if trap {
            cx.at(Place { span: places.span, outside });
        }
        if profile::is_on() {
            profile::at(outside.unwrap_or(places.span));
        }
    }
}

#[cold]
pub fn not_yet() -> Error {
    Error::new("E0404", "this name has no value yet")
        .help("the function that uses it was called before the line that defines it")
}
