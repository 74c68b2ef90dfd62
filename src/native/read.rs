//! What instructions do, once the kinds of their operands are known.

use std::rc::Rc;

use crate::bytecode::chunk::{Chunk, Host, IndexPart};
use crate::bytecode::formula::{Binary, Formula, Step, Unary};
use crate::bytecode::op::{Op, Reg, Table};
use crate::native::action::{Action, IntOp, Lanes, Order};
use crate::native::calls::Called;
use crate::native::frame::What;
use crate::native::keep;
use crate::native::kind::{Kind, Kinds};
use crate::native::region::Region;
use crate::native::structures;
use crate::native::vectors;
use crate::ops::elementwise::{FLOORDIV, POW, REM};
use crate::ops::lanes::{Ints, Scalar};
use crate::ops::prim::{Diff, Eval, Prim};
use crate::syntax::ast::BinOp;
use crate::value::Value;

/// What an instruction does, and the place behind it.
pub struct Read {
    pub actions: Vec<Action>,
    pub next: usize,
}

/// What the instruction `at` of a frame does: nothing if the machine has to do it.
pub fn read(region: &mut Region, (frame, at): (usize, usize), kinds: &mut Kinds) -> Option<Read> {
    let Called { code, base, .. } = region.frames.get(frame)?;
    let (code, base) = (code.clone(), *base);
    let op = code.code.get(at)?.shifted(base);
    if let Some(read) = vectors::read(region, (frame, at), op, kinds) {
        return read;
    }
    if let Some(read) = keep::read(region, (frame, at), op, kinds) {
        return read;
    }
    if let Some(read) = structures::read(region, (frame, at), op, kinds) {
        return read;
    }
    let (mut action, next) = numbers(&code, region, (frame, at), op, kinds)?;
    for to in action.targets() {
        *to = region.place_of(frame, *to)?;
    }
    let next = region.place_of(frame, next)?;
    Some(Read { actions: vec![action], next })
}

/// The same for what works on numbers, bools and elements. Where it goes on are instructions of the frame.
fn numbers(
    chunk: &Chunk,
    region: &Region,
    (frame, at): (usize, usize),
    op: Op,
    kinds: &Kinds,
) -> Option<(Action, usize)> {
    let base = region.frames.get(frame)?.base;
    let kind = |reg: Reg| kinds[reg];
    let floats =
        |a: Reg, b: Reg| kind(a).is_number() && kind(b).is_number() && (kind(a).is_float() || kind(b).is_float());
    let active = |reg: Reg| kind(reg) == Kind::Float { active: true };
    let ints = |a: Reg, b: Reg| kind(a) == Kind::Int && kind(b) == Kind::Int;
    let compute = |dst: Reg, registers: &[Reg], steps: Vec<Step>| {
        let formula = Formula::new(registers.to_vec(), vec![], steps, 0);
        Some(Action::Compute { dst, formula: Rc::new(formula), lanes: Lanes::NONE })
    };
    // An operator on ints, or on floats and ints.
    let operator = |dst: Reg, a: Reg, b: Reg, op: IntOp, step: Step| {
        if ints(a, b) {
            return Some(Action::Whole { op, dst, a, b });
        }
        if floats(a, b) { compute(dst, &[a, b], vec![step]) } else { None }
    };
    let compare = |order: Order, dst: Reg, a: Reg, b: Reg| {
        (ints(a, b) || floats(a, b)).then_some(Action::Compare { order, dst, a, b })
    };
    let jump = |order: Order, a: Reg, b: Reg| match chunk.code.get(at + 1)? {
        Op::JumpUnless { to, .. } if ints(a, b) || floats(a, b) => {
            Some(Action::CompareJump { order, a, b, to: to.0 as usize })
        }
        _ => None,
    };
    // The state of a loop over a range.
    let counts = |iter: Reg| (0..3).all(|i| kind(iter.shifted(i)) == Kind::Int);
    // The object in a register, if it has an element there, and the value may be written to it. A function that is part of the
    // loop writes to none: the machine may have to repeat its call.
    let object_of = |reg: Reg, index: &[Reg], value: Option<Reg>| {
        if value.is_some() && (frame != 0 || region.is_function) {
            return None;
        }
        let Kind::Object(object) = kind(reg) else { return None };
        let (_, what) = region.objects.get(object as usize)?;
        let axes = match what {
            What::Tensor { rank, .. } => *rank as usize,
            What::List { .. } => 1,
            _ => return None,
        };
        let fits = match (value.map(kind), what) {
            (None, _) => true,
            (Some(Kind::Float { active }), What::List { active: may }) => *may || !active,
            (Some(Kind::Float { active }), What::Tensor { active: recorded, .. }) => !active && !recorded,
            _ => false,
        };
        (fits && axes == index.len() && index.iter().all(|r| kind(*r) == Kind::Int)).then_some(object)
    };
    // The list in a register, if a value may be pushed on it.
    let grown = |list: Reg, value: Reg| {
        let Kind::Object(object) = kind(list) else { return None };
        match (kind(value), region.objects.get(object as usize)?) {
            (Kind::Float { active }, (_, What::List { active: may })) if frame == 0 && (*may || !active) => {
                Some(object)
            }
            _ => None,
        }
    };
    // The object in a register, if its items are floats; the one that a loop's state has.
    let walkable = |reg: Reg| {
        let Kind::Object(object) = kind(reg) else { return None };
        let (_, what) = region.objects.get(object as usize)?;
        matches!(what, What::List { .. } | What::Tensor { rank: 1, .. }).then_some(object)
    };
    let walked = |iter: Reg| if kind(iter) == Kind::Int { walkable(Reg(iter.0 + 1)) } else { None };
    // The registers of an index behind `first`, if it is ints.
    let indices = |first: Reg, index: Table| {
        let parts = chunk.indices.get(index.0 as usize)?;
        let ints = parts.iter().all(|p| *p == IndexPart::At);
        ints.then(|| (0..parts.len()).map(|i| Reg(first.0 + 1 + i as u16)).collect::<Vec<Reg>>())
    };
    // Registers are those of the region from here on, and so in the words behind.
    let word = |at: usize| Some(chunk.code.get(at)?.shifted(base));
    let mut next = at + 1;
    let action = match op {
        Op::Load { dst, value } => {
            let value = chunk.consts.get(value.0 as usize)?;
            if Kind::of(value) == Kind::Untouched {
                return None;
            }
            Action::Set { dst, value: value.clone() }
        }
        Op::LoadNone { dst } => Action::Set { dst, value: Value::None },
        Op::GetItem { dst, object, index } => {
            Action::Element { dst, object: object_of(object, &[index], None)?, index: vec![index] }
        }
        Op::GetIndex { dst, first, index } => {
            let index = indices(first, index)?;
            Action::Element { dst, object: object_of(first, &index, None)?, index }
        }
        Op::SetItem { object, index, value } => {
            Action::Store { object: object_of(object, &[index], Some(value))?, index: vec![index], value }
        }
        Op::SetIndex { object, first, index } => {
            let index = indices(first, index)?;
            Action::Store { object: object_of(object, &index, Some(first))?, index, value: first }
        }
        Op::UpdateItem { object, index, value } => {
            next += 1;
            let object = object_of(object, &[index], Some(value))?;
            Action::Update { object, index: vec![index], value, step: update(chunk, at + 1)? }
        }
        Op::UpdateIndex { object, first, index } => {
            next += 1;
            let index = indices(first, index)?;
            let object = object_of(object, &index, Some(first))?;
            Action::Update { object, index, value: first, step: update(chunk, at + 1)? }
        }
        Op::Add { dst, a, b } => operator(dst, a, b, IntOp::Add, Step::Add(0, 1))?,
        Op::Sub { dst, a, b } => operator(dst, a, b, IntOp::Sub, Step::Sub(0, 1))?,
        Op::Mul { dst, a, b } => operator(dst, a, b, IntOp::Mul, Step::Mul(0, 1))?,
        Op::Div { dst, a, b } if kind(a).is_number() && kind(b).is_number() => {
            compute(dst, &[a, b], vec![Step::Div(0, 1)])?
        }
        Op::MulAdd { dst, a, b } if floats(a, b) => {
            next += 1;
            let (c, join) = join(word(at + 1)?)?;
            if !kind(c).is_number() {
                return None;
            }
            compute(dst, &[a, b, c], vec![Step::Mul(0, 1), join])?
        }
        Op::Pow { dst, a, b } if kind(a).is_float() && kind(b).is_float() => {
            let step = match (kind(a), kind(b)) {
                // As the machine computes it, when there is no derivative.
                (Kind::Float { active: false }, Kind::Float { active: false }) => {
                    let Step::Binary(x, y, power) = binary(&POW, false)? else { return None };
                    Step::Binary(x, y, Binary { f: f64::powf, ..power })
                }
                _ => binary(&POW, true)?,
            };
            compute(dst, &[a, b], vec![step])?
        }
        Op::Binary { dst, a, b } => {
            next += 1;
            let Op::Operator { op } = *chunk.code.get(at + 1)? else { return None };
            let bools = kind(a) == Kind::Bool && kind(b) == Kind::Bool;
            match chunk.operators.get(op.0 as usize)? {
                BinOp::FloorDiv if ints(a, b) => Action::Whole { op: IntOp::FloorDiv, dst, a, b },
                BinOp::Rem if ints(a, b) => Action::Whole { op: IntOp::Rem, dst, a, b },
                BinOp::FloorDiv if floats(a, b) => {
                    compute(dst, &[a, b], vec![binary(&FLOORDIV, active(a) || active(b))?])?
                }
                BinOp::Rem if floats(a, b) => compute(dst, &[a, b], vec![binary(&REM, true)?])?,
                BinOp::And if bools => Action::Both { dst, a, b, and: true },
                BinOp::Or if bools => Action::Both { dst, a, b, and: false },
                _ => return None,
            }
        }
        Op::Lt { dst, a, b } => compare(Order::Lt, dst, a, b)?,
        Op::Le { dst, a, b } => compare(Order::Le, dst, a, b)?,
        Op::Gt { dst, a, b } => compare(Order::Gt, dst, a, b)?,
        Op::Ge { dst, a, b } => compare(Order::Ge, dst, a, b)?,
        Op::Eq { dst, a, b } => compare(Order::Eq, dst, a, b)?,
        Op::Ne { dst, a, b } => compare(Order::Ne, dst, a, b)?,
        Op::LtJump { a, b, .. } => {
            next += 1;
            jump(Order::Lt, a, b)?
        }
        Op::LeJump { a, b, .. } => {
            next += 1;
            jump(Order::Le, a, b)?
        }
        Op::GtJump { a, b, .. } => {
            next += 1;
            jump(Order::Gt, a, b)?
        }
        Op::GeJump { a, b, .. } => {
            next += 1;
            jump(Order::Ge, a, b)?
        }
        Op::EqJump { a, b, .. } => {
            next += 1;
            jump(Order::Eq, a, b)?
        }
        Op::NeJump { a, b, .. } => {
            next += 1;
            jump(Order::Ne, a, b)?
        }
        Op::Neg { dst, src } => match kind(src) {
            Kind::Int => Action::Whole { op: IntOp::Neg, dst, a: src, b: src },
            Kind::Float { .. } => compute(dst, &[src], vec![Step::Neg(0)])?,
            _ => return None,
        },
        Op::Not { dst, src } if kind(src) == Kind::Bool => Action::Not { dst, src },
        Op::Prim1 { dst, src, prim } => {
            let Host::Prim(prim) = chunk.hosts.get(prim.0 as usize)? else { return None };
            compute(dst, &[src], vec![unary(prim, kind(src))?])?
        }
        Op::Formula { dst, formula, words } => {
            let formula = shifted(chunk.formulas.get(formula.0 as usize)?, base);
            let numbers = formula.registers.iter().all(|r| kind(*r).is_number());
            let bits = formula.registers.iter().enumerate().filter(|(_, r)| kind(**r) == Kind::Int);
            let whole = bits.fold(0, |mask, (i, _)| mask | 1 << i);
            // The same conditions as in `Cx::formula`; where they fail the words that follow compute it.
            if numbers && (whole == 0 || whole & formula.floats == 0 && formula.is_float(whole)) {
                next += words.0 as usize;
                Action::Compute { dst, formula, lanes: Lanes::NONE }
            } else {
                Action::Skip
            }
        }
        Op::Jump { to } => Action::Goto { to: to.0 as usize },
        Op::JumpUnless { cond, to } | Op::SkipIfFalse { src: cond, to } if kind(cond) == Kind::Bool => {
            Action::Branch { cond, when: false, to: to.0 as usize }
        }
        Op::SkipIfTrue { src: cond, to } if kind(cond) == Kind::Bool => {
            Action::Branch { cond, when: true, to: to.0 as usize }
        }
        Op::ForRange { iter, lo, hi } if ints(lo, hi) => {
            next += 1;
            Action::Range { iter, lo, hi }
        }
        Op::ForNext { iter, to } if counts(iter) => Action::Next { iter, some: next, none: to.0 as usize },
        Op::ForLoop { iter, to } if counts(iter) => Action::Next { iter, some: to.0 as usize, none: next },
        Op::ForStart { iter } => walkable(iter).map(|_| Action::Walk { iter })?,
        Op::ForNext { iter, to } => Action::Each { iter, object: walked(iter)?, some: next, none: to.0 as usize },
        Op::ForLoop { iter, to } => Action::Each { iter, object: walked(iter)?, some: to.0 as usize, none: next },
        Op::Push { list, src } => Action::Push { object: grown(list, src)?, value: src },
        Op::CallMethod { base, site } => {
            let site = chunk.calls.get(site.0 as usize)?;
            let (list, value) = (base.shifted(1), base.shifted(2));
            if !region.is_builtin(base, kinds, "push") || site.count != 2 || !site.names.is_empty() {
                return None;
            }
            Action::Push { object: grown(list, value)?, value }
        }
        Op::CallHost { base, site } => {
            let site = chunk.calls.get(site.0 as usize)?;
            if let (Some(Host::Builtin(builtin)), 0) = (site.host, site.names.len()) {
                let (a, b) = (base.shifted(1), base.shifted(2));
                let object = match kind(a) {
                    Kind::Object(k) => Some((k, region.objects.get(k as usize)?.1)),
                    _ => None,
                };
                return Some((
                    match (builtin.name, site.count, object) {
                        ("len", 1, Some((object, What::List { .. } | What::Items | What::Tensor { .. }))) => {
                            Action::Length { dst: base, object }
                        }
                        ("float", 1, None) if kind(a) == Kind::Int => as_float(base, a),
                        ("float", 1, None) if kind(a).is_float() => Action::Copy { dst: base, src: a },
                        ("max", 2 | 4, None) if ints(a, b) => Action::Whole { op: IntOp::Max, dst: base, a, b },
                        ("min", 2 | 4, None) if ints(a, b) => Action::Whole { op: IntOp::Min, dst: base, a, b },
                        _ => return None,
                    },
                    next,
                ));
            }
            let (Some(Host::Prim(prim)), 0) = (site.host, site.names.len()) else { return None };
            match site.count {
                1 => {
                    let src = base.shifted(1);
                    compute(base, &[src], vec![unary(prim, kind(src))?])?
                }
                2 if !std::ptr::eq(prim, &POW) => {
                    let (a, b) = (base.shifted(1), base.shifted(2));
                    if !floats(a, b) {
                        return None;
                    }
                    compute(base, &[a, b], vec![binary(prim, active(a) || active(b))?])?
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    Some((action, next))
}

/// The step of an update, whose operator is the word behind.
pub fn update(chunk: &Chunk, at: usize) -> Option<Step> {
    match chunk.code.get(at)? {
        Op::Operator { op } => match chunk.operators.get(op.0 as usize)? {
            BinOp::Add => Some(Step::Add(0, 1)),
            BinOp::Sub => Some(Step::Sub(0, 1)),
            BinOp::Mul => Some(Step::Mul(0, 1)),
            BinOp::Div => Some(Step::Div(0, 1)),
            _ => None,
        },
        _ => None,
    }
}

/// An int as a float, which is the same number.
pub fn as_float(dst: Reg, src: Reg) -> Action {
    let formula = Formula::new(vec![src], vec![0.0], vec![Step::Add(0, 1)], 0);
    Action::Compute { dst, formula: Rc::new(formula), lanes: Lanes::NONE }
}

/// What is joined with the product before it, and how: of the product's operands, that, and the product.
pub fn join(word: Op) -> Option<(Reg, Step)> {
    Some(match word {
        Op::Plus { c } => (c, Step::Add(3, 2)),
        Op::PlusTo { c } => (c, Step::Add(2, 3)),
        Op::Minus { c } => (c, Step::Sub(3, 2)),
        Op::MinusFrom { c } => (c, Step::Sub(2, 3)),
        _ => return None,
    })
}

/// The same formula on registers further up.
fn shifted(formula: &Rc<Formula>, by: u16) -> Rc<Formula> {
    if by == 0 {
        return formula.clone();
    }
    let registers = formula.registers.iter().map(|reg| reg.shifted(by)).collect();
    let moved = Formula::new(registers, formula.constants.clone(), formula.steps.clone(), formula.ints);
    Rc::new(moved.with_total(formula.total).with_annotations(formula.floats, formula.is_scalar))
}

/// The step of a primitive of one argument on a number.
pub fn unary(prim: &'static Prim, kind: Kind) -> Option<Step> {
    let Eval::Elementwise(inside) = &prim.eval else { return None };
    let Scalar::Unary { f, d } = inside.scalar else { return None };
    if !has_slopes(prim, kind == Kind::Float { active: true }) {
        return None;
    }
    let promotes = matches!(inside.ints, Ints::Promote);
    let fits = kind.is_float() || kind == Kind::Int && promotes;
    (fits && inside.check.is_none()).then_some(Step::Unary(0, Unary { f, d, promotes, inside }))
}

/// Slopes by its rule; those of piecewise constant functions end the derivative, which is for the machine to tell.
fn has_slopes(prim: &Prim, active: bool) -> bool {
    matches!(prim.diff, Diff::Elementwise) || matches!(prim.diff, Diff::Zero) && !active
}

/// The same for two arguments.
pub fn binary(prim: &'static Prim, active: bool) -> Option<Step> {
    let Eval::Elementwise(inside) = &prim.eval else { return None };
    if !has_slopes(prim, active) {
        return None;
    }
    let Scalar::Binary { f, d } = &inside.scalar else { return None };
    inside.check.is_none().then_some(Step::Binary(0, 1, Binary { f: *f, d, promotes: true, inside }))
}
