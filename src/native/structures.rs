//! What instructions do with tuples, structs and functions, whose parts stand in registers of their own.

use std::rc::Rc;

use crate::bytecode::chunk::{DimTest, Host, TypeTest};
use crate::bytecode::formula::{Formula, Step};
use crate::bytecode::op::{Name, Op, Reg};
use crate::native::action::{Action, IntOp, Lanes, Order};
use crate::native::frame::What;
use crate::native::kind::{Kind, Kinds};
use crate::native::read::{Read, as_float, binary, join, unary};
use crate::native::region::Region;
use crate::native::sources::Source;
use crate::native::vector_math::power;
use crate::native::vectors::{PASSING, loaded};
use crate::ops::arith::{ABS, POW};
use crate::ops::elementwise::{CLAMP, HYPOT, MAXIMUM, MINIMUM};
use crate::symbol::Symbol;
use crate::tensor::DType;
use crate::value::{Key, Value};

/// What an instruction does, if it is a call or works on tuples, structs or closures; nothing if it is for numbers.
pub fn read(region: &mut Region, at: (usize, usize), op: Op, kinds: &mut Kinds) -> Option<Option<Read>> {
    let mut actions = vec![];
    let done = match op {
        Op::Call { base, site } => return Some(region.call(at, base, site, kinds)),
        Op::CallMethod { base, .. }
            if region.is_builtin(base, kinds, "push") && region.def_of(base.shifted(1), kinds).is_none() =>
        {
            return None;
        }
        Op::CallMethod { base, site } => return Some(region.call_method(at, base, site, kinds)),
        Op::CallHost { base, site } if region.is_jvp(at.0, site) => {
            let args: Vec<Reg> = (1..4).map(|i| base.shifted(i)).collect();
            return Some(region.take_derivative(at, "jvp", base, &args, kinds));
        }
        Op::Return { src } if at.0 == 0 && region.is_function => return Some(region.returns(at, src, kinds)),
        Op::Return { src } => return Some(region.hand_back(at.0, src, kinds)),
        Op::MakeClosure { dst, function } => match region.make_closure(at.0, dst, function, kinds) {
            Some(made) => {
                actions = made;
                Some(())
            }
            None => None,
        },
        _ => parts(region, at, op, kinds, &mut actions)?,
    };
    let behind = if matches!(op, Op::MulAdd { .. }) { at.1 + 2 } else { at.1 + 1 };
    if actions.is_empty() {
        actions.push(Action::Skip);
    }
    Some(done.and_then(|()| Some(Read { actions, next: region.place_of(at.0, behind)? })))
}

/// Copies, and what is done with tuples and structs: nothing if it is of another kind.
fn parts(
    region: &mut Region,
    (frame, at): (usize, usize),
    op: Op,
    kinds: &mut Kinds,
    actions: &mut Vec<Action>,
) -> Option<Option<()>> {
    let own = region.frames.get(frame)?;
    let (code, base, given) = (own.code.clone(), own.base, own.given);
    let several = |first: Reg, n: usize| (0..n).map(|i| first.shifted(i as u16)).collect::<Vec<Reg>>();
    let name = |name: Name| code.names.get(name.0 as usize).copied();
    if let Op::MulAdd { dst, a, b } = op
        && (kinds[a], kinds[b]) == (Kind::Int, Kind::Int)
    {
        let joined = join(code.code.get(at + 1)?.shifted(base))?;
        return Some(whole_product(region, dst, (a, b), joined, kinds, actions));
    }
    let mut leafwise =
        |dst: Reg, operands: &[Reg], steps: &[Step]| leafwise(region, dst, operands, steps, kinds, actions);
    match op {
        Op::Add { dst, a, b } => return leafwise(dst, &[a, b], &[Step::Add(0, 1)]),
        Op::Sub { dst, a, b } => return leafwise(dst, &[a, b], &[Step::Sub(0, 1)]),
        Op::Mul { dst, a, b } => return leafwise(dst, &[a, b], &[Step::Mul(0, 1)]),
        Op::Div { dst, a, b } => return leafwise(dst, &[a, b], &[Step::Div(0, 1)]),
        Op::Neg { dst, src } => return leafwise(dst, &[src], &[Step::Neg(0)]),
        Op::MulAdd { dst, a, b } => {
            let (c, step) = join(code.code.get(at + 1)?.shifted(base))?;
            return leafwise(dst, &[a, b, c], &[Step::Mul(0, 1), step]);
        }
        _ => {}
    }
    Some(match op {
        Op::Pow { dst, a, b } if kinds[a].is_float() && kinds[b] == Kind::Int => {
            let Some(Value::Int(k)) = region.constant((frame, at), b) else { return Some(None) };
            let (constants, step) = match power(Value::Int(k)) {
                Some(step) => (vec![], Some(step)),
                None => (vec![k as f64], binary(&POW, true)),
            };
            step.map(|step| {
                let formula = Rc::new(Formula::new(vec![a], constants, vec![step], 0));
                actions.push(Action::Compute { dst, formula, lanes: Lanes::NONE });
            })
        }
        Op::Take { dst, src } if dst != src && matches!(kinds[src], Kind::Object(_)) => {
            actions.push(Action::Take { dst, src });
            Some(())
        }
        Op::Move { dst, src } | Op::Take { dst, src } => region.copy(dst, src, kinds, actions),
        Op::Load { dst, value } => {
            let value = code.consts.get(value.0 as usize)?;
            if Kind::of(value) != Kind::Untouched {
                return None;
            }
            let src = region.sources.constant(value).and_then(|source| region.source(source, kinds));
            src.and_then(|src| region.copy(dst, src, kinds, actions))
        }
        Op::GetGlobal { dst, global } => {
            let src = region.source(Source::Global(global), kinds);
            src.and_then(|src| region.copy(dst, src, kinds, actions))
        }
        Op::MakeTuple { dst, first, n } => {
            let from = several(first, n.0 as usize);
            region.assemble((dst, Kind::Tuple(n.0)), &from, kinds, actions)
        }
        Op::MakeStruct { dst, def } => match code.consts.get(def.0 as usize) {
            Some(Value::StructType(def)) => {
                let from = several(Reg(base), def.fields.len());
                let kind = region.parts.of_struct(def);
                kind.and_then(|kind| region.assemble((dst, kind), &from, kinds, actions))
            }
            _ => None,
        },
        Op::Unpack { first, src, n } => take_apart(region, src, &several(first, n.0 as usize), kinds, actions),
        Op::GetField { dst, object, name: field } if dict_in(region, object, kinds).is_some() => {
            let key = Key::Str(name(field)?.name());
            entry(region, dst, (dict_in(region, object, kinds)?, key), kinds, actions)
        }
        Op::GetItem { dst, object, index } if dict_in(region, object, kinds).is_some() => {
            let key = match (loaded(&code, at, Reg(index.0 - base)), region.constant((frame, at), index)) {
                (Some(Value::Str(text)), _) => Key::Str(text.as_str().into()),
                (_, Some(Value::Int(i))) => Key::Int(i),
                _ => return Some(None),
            };
            entry(region, dst, (dict_in(region, object, kinds)?, key), kinds, actions)
        }
        Op::GetField { dst, object, name: field } | Op::TakeField { dst, object, name: field } => {
            let place = region.def_of(object, kinds)?.field(name(field)?);
            place.and_then(|i| read_part(region, dst, (object, i), kinds, actions))
        }
        Op::SetField { object, name: field, value } => {
            let field = name(field)?;
            set_field(region, object, field, value, kinds, actions)
        }
        Op::GetItem { dst, object, index } => {
            let count = i64::from(items_of(region, object, kinds)?);
            let number = match region.constant((frame, at), index) {
                Some(Value::Int(i)) => usize::try_from(if i < 0 { i + count } else { i }).ok(),
                _ => None,
            };
            number.and_then(|i| read_part(region, dst, (object, i), kinds, actions))
        }
        Op::CallHost { base: dst, site } => {
            let site = code.calls.get(site.0 as usize)?;
            if let (Some(Host::Builtin(builtin)), 0) = (site.host, site.names.len()) {
                let args = several(dst.shifted(1), site.count as usize);
                match (builtin.name, &args[..]) {
                    ("grad" | "value_and_grad" | "derivative", _) => {
                        return Some(region.make_derivative((frame, at), builtin.name, dst, &args, kinds, actions));
                    }
                    ("global_norm", [of]) => return Some(global_norm(region, dst, *of, kinds, actions)),
                    _ => return None,
                }
            }
            let args = several(dst.shifted(1), 3);
            let is_clamp = matches!(site.host, Some(Host::Prim(prim)) if std::ptr::eq(prim, &CLAMP));
            if !is_clamp || site.count != 3 || !site.names.is_empty() {
                return None;
            }
            clamp(dst, &args, kinds, actions)
        }
        Op::SkipIfGiven { param, to } if frame != 0 || region.is_function => {
            let is_given = given >> (param.0 - base).min(63) & 1 != 0;
            let to = region.place_of(frame, if is_given { to.0 as usize } else { at + 1 });
            to.map(|to| actions.push(Action::Goto { to }))
        }
        Op::Check { reg, test } => match code.types.get(test.0 as usize) {
            Some(test) => check(region, (test, base), reg, kinds, actions),
            None => None,
        },
        _ => return None,
    })
}

/// `clamp` of numbers, whose bounds are in order.
fn clamp(dst: Reg, args: &[Reg], kinds: &Kinds, actions: &mut Vec<Action>) -> Option<()> {
    let [x, lo, hi] = *args else { return None };
    let active = |reg: Reg| kinds[reg] == Kind::Float { active: true };
    let numbers = kinds[x].is_float() && kinds[lo].is_number() && kinds[hi].is_number();
    let any = active(x) || active(lo) || active(hi);
    let (larger, smaller) = (binary(&MAXIMUM, any)?, binary(&MINIMUM, any)?);
    let (Step::Binary(_, _, larger), Step::Binary(_, _, smaller)) = (larger, smaller) else { return None };
    let steps = vec![Step::Binary(0, 1, larger), Step::Binary(3, 2, smaller)];
    let formula = Formula::new(vec![x, lo, hi], vec![], steps, 0);
    actions.push(Action::Expect { order: Order::Le, a: lo, b: hi });
    actions.push(Action::Compute { dst, formula: Rc::new(formula), lanes: Lanes::NONE });
    numbers.then_some(())
}

/// The norm of a structure: those of its leaves, joined by `hypot`.
fn global_norm(region: &mut Region, dst: Reg, of: Reg, kinds: &mut Kinds, actions: &mut Vec<Action>) -> Option<()> {
    let mut leaves = vec![];
    region.float_leaves(of, kinds, &mut leaves)?;
    let (first, rest) = leaves.split_first()?;
    let mut norm_of = |region: &mut Region, i: u16, leaf: Reg| {
        let to = region.child(dst, PASSING + i)?;
        let formula = Formula::new(vec![leaf], vec![], vec![unary(&ABS, Kind::Float { active: true })?], 0);
        actions.push(Action::Compute { dst: to, formula: Rc::new(formula), lanes: Lanes::NONE });
        Some(to)
    };
    let mut norms = vec![norm_of(region, 0, *first)?];
    for (i, leaf) in rest.iter().enumerate() {
        norms.push(norm_of(region, 1 + i as u16, *leaf)?);
    }
    let count = norms.len() as u8;
    let mut steps = vec![];
    for i in 1..count {
        let Step::Binary(_, _, hypot) = binary(&HYPOT, true)? else { return None };
        steps.push(Step::Binary(if i == 1 { 0 } else { count + i - 2 }, i, hypot));
    }
    actions.push(match steps.len() {
        0 => Action::Copy { dst, src: *norms.first()? },
        _ => {
            let formula = Rc::new(Formula::new(norms, vec![], steps, 0));
            Action::Compute { dst, formula, lanes: Lanes::NONE }
        }
    });
    Some(())
}

/// Copies a part of what a register holds.
fn read_part(
    region: &mut Region,
    dst: Reg,
    (object, number): (Reg, usize),
    kinds: &mut Kinds,
    actions: &mut Vec<Action>,
) -> Option<()> {
    let src = region.part(object, number, kinds)?;
    // It would change while it is read.
    if dst == object && kinds[src].has_parts() {
        return None;
    }
    region.copy(dst, src, kinds, actions)
}

/// Copies all parts of a tuple to registers.
fn take_apart(region: &mut Region, src: Reg, to: &[Reg], kinds: &mut Kinds, actions: &mut Vec<Action>) -> Option<()> {
    if items_of(region, src, kinds)? as usize != to.len() {
        return None;
    }
    for (i, dst) in to.iter().enumerate() {
        read_part(region, *dst, (src, i), kinds, actions)?;
    }
    Some(())
}

/// How many items the tuple in a register has.
fn items_of(region: &Region, reg: Reg, kinds: &Kinds) -> Option<u16> {
    match kinds[reg] {
        Kind::Tuple(n) => Some(n),
        Kind::Vector { n, .. } => Some(u16::from(n)),
        Kind::Object(k) => match region.objects.get(k as usize)? {
            (_, What::Tuple(n)) => Some(*n),
            _ => None,
        },
        _ => None,
    }
}

/// The register on entry of the dict that a register holds.
fn dict_in(region: &Region, reg: Reg, kinds: &Kinds) -> Option<Reg> {
    let Kind::Object(k) = kinds[reg] else { return None };
    match region.objects.get(k as usize)? {
        (of, What::Dict) => Some(*of),
        _ => None,
    }
}

/// Copies an entry of a dict that is there.
fn entry(
    region: &mut Region,
    dst: Reg,
    (of, key): (Reg, Key),
    kinds: &mut Kinds,
    actions: &mut Vec<Action>,
) -> Option<()> {
    let Value::Dict(dict) = region.sources.value(region.regs, region.globals, of) else { return None };
    if !dict.contains_key(&key) {
        return None;
    }
    let source = region.sources.entry(of, key)?;
    let src = region.source(source, kinds)?;
    region.copy(dst, src, kinds, actions)
}

/// `object.name = value`, if the value is of the field's type.
fn set_field(
    region: &mut Region,
    object: Reg,
    name: Symbol,
    value: Reg,
    kinds: &mut Kinds,
    actions: &mut Vec<Action>,
) -> Option<()> {
    let kind @ Kind::Struct(_) = kinds[object] else { return None };
    let def = region.def_of(object, kinds)?;
    let i = def.field(name)?;
    let constructor = def.constructor.borrow().clone()?;
    let test = constructor.chunk.code.iter().find_map(|op| match op {
        Op::Check { reg, test } if reg.0 as usize == i => Some(constructor.chunk.types.get(test.0 as usize)),
        _ => None,
    });
    let part = region.part(object, i, kinds)?;
    // A vector like the one that is there has passed the test.
    let alike = matches!(kinds[value], Kind::Vector { .. }) && kinds[part] == kinds[value];
    if let Some(test) = test.filter(|_| !alike) {
        // A variable of a dim is bound by other fields.
        let binds = |dim: &DimTest| !matches!(dim, DimTest::Any | DimTest::Known(_));
        if matches!(test?, TypeTest::Tensor { dims, .. } if dims.iter().any(binds)) {
            return None;
        }
        check(region, (test?, 0), value, kinds, actions)?;
    }
    region.copy(part, value, kinds, actions)?;
    // It has changed, too.
    actions.push(Action::Shape { dst: object, kind });
    Some(())
}

/// Whether what a register holds is of a type; an int becomes a float where that is asked.
fn check(
    region: &mut Region,
    (test, base): (&TypeTest, u16),
    reg: Reg,
    kinds: &mut Kinds,
    actions: &mut Vec<Action>,
) -> Option<()> {
    let object = match kinds[reg] {
        Kind::Object(k) => region.objects.get(k as usize).map(|(_, what)| *what),
        _ => None,
    };
    match (test, kinds[reg]) {
        (TypeTest::Any, _)
        | (TypeTest::None | TypeTest::Optional(_), Kind::None)
        | (TypeTest::Bool, Kind::Bool)
        | (TypeTest::Int, Kind::Int)
        | (TypeTest::Float, Kind::Float { .. })
        | (TypeTest::Fn, Kind::Closure(_) | Kind::Derivative(_)) => Some(()),
        (TypeTest::Fn, _) if matches!(object, Some(What::Function(_) | What::StructType(_) | What::Derivative(_))) => {
            Some(())
        }
        (TypeTest::List(item), _)
            if matches!((&**item, object), (TypeTest::Any, Some(What::List { .. } | What::Items))) =>
        {
            Some(())
        }
        (TypeTest::Tensor { dims, open: true, .. }, Kind::Float { .. }) if dims.is_empty() => Some(()),
        (TypeTest::Float, Kind::Int) => {
            actions.push(as_float(reg, reg));
            Some(())
        }
        (TypeTest::Tensor { dtype, dims, text, .. }, _) if let Some(single) = region.is_single(reg, kinds) => {
            let wanted = dtype.is_none_or(|dtype| (dtype == DType::F32) == single);
            if !wanted || !text.starts_with("float") {
                return None;
            }
            region.dims(reg, (dims, base), kinds, actions)
        }
        (TypeTest::Optional(inner), _) => check(region, (inner, base), reg, kinds, actions),
        (TypeTest::Tuple(tests), Kind::Tuple(n)) if tests.len() == n as usize => {
            for (i, test) in tests.iter().enumerate() {
                let part = region.part(reg, i, kinds)?;
                check(region, (test, base), part, kinds, actions)?;
            }
            Some(())
        }
        (TypeTest::Struct { global, .. }, _) => {
            let def = region.def_of(reg, kinds)?;
            match region.globals.get(*global as usize) {
                Some(Some(Value::StructType(wanted))) if !Rc::ptr_eq(wanted, &def) => None,
                _ => Some(()),
            }
        }
        _ => None,
    }
}

/// The product of two ints, joined with a number.
fn whole_product(
    region: &mut Region,
    dst: Reg,
    (a, b): (Reg, Reg),
    (c, step): (Reg, Step),
    kinds: &Kinds,
    actions: &mut Vec<Action>,
) -> Option<()> {
    let product = region.child(dst, PASSING)?;
    actions.push(Action::Whole { op: IntOp::Mul, dst: product, a, b });
    // Operand 2 of the step is the number, 3 the product.
    let (op, x, y, step) = match step {
        Step::Add(2, _) => (IntOp::Add, c, product, Step::Add(0, 1)),
        Step::Add(..) => (IntOp::Add, product, c, Step::Add(0, 1)),
        Step::Sub(2, _) => (IntOp::Sub, c, product, Step::Sub(0, 1)),
        Step::Sub(..) => (IntOp::Sub, product, c, Step::Sub(0, 1)),
        _ => return None,
    };
    actions.push(match kinds[c] {
        Kind::Int => Action::Whole { op, dst, a: x, b: y },
        Kind::Float { .. } => {
            let formula = Formula::new(vec![x, y], vec![], vec![step], 0);
            Action::Compute { dst, formula: Rc::new(formula), lanes: Lanes::NONE }
        }
        _ => return None,
    });
    Some(())
}

/// A formula of structures of floats, leaf by leaf; nothing if no operand is one.
fn leafwise(
    region: &mut Region,
    dst: Reg,
    operands: &[Reg],
    steps: &[Step],
    kinds: &mut Kinds,
    actions: &mut Vec<Action>,
) -> Option<Option<()>> {
    let lead = operands.iter().find(|reg| kinds[**reg].has_parts())?;
    let done = each_leaf(region, (dst, *lead), operands, steps, kinds, actions);
    Some(done)
}

/// `lead` is the operand whose form the result has.
fn each_leaf(
    region: &mut Region,
    (dst, lead): (Reg, Reg),
    operands: &[Reg],
    steps: &[Step],
    kinds: &mut Kinds,
    actions: &mut Vec<Action>,
) -> Option<()> {
    let kind = kinds[lead];
    if matches!(kind, Kind::Vector { .. }) {
        let registers = (0..operands.len() as u16).map(Reg).collect();
        let formula = Formula::new(registers, vec![], steps.to_vec(), 0);
        return region.on_vectors(dst, operands, &formula, kinds, actions);
    }
    if !kind.has_parts() {
        let floats = kind.is_float() && operands.iter().all(|reg| kinds[*reg].is_number());
        let formula = Formula::new(operands.to_vec(), vec![], steps.to_vec(), 0);
        return floats.then(|| actions.push(Action::Compute { dst, formula: Rc::new(formula), lanes: Lanes::NONE }));
    }
    let is_kept = match kind {
        Kind::Struct(d) => region.parts.defs.get(d as usize)?.fields.iter().any(|field| field.nograd),
        Kind::Closure(_) | Kind::Derivative(_) => true,
        _ => false,
    };
    let alike = operands.iter().all(|reg| kinds[*reg] == kind || kinds[*reg].is_number());
    if is_kept || !alike {
        return None;
    }
    for i in 0..region.parts.count(kind) {
        let mut parts = vec![];
        for reg in operands {
            parts.push(if kinds[*reg] == kind { region.child(*reg, i)? } else { *reg });
        }
        let to = region.child(dst, i)?;
        let lead = region.child(lead, i)?;
        // A number that is replaced is read by the next leaf, too.
        if operands.contains(&dst) && kinds[dst] != kind {
            return None;
        }
        each_leaf(region, (to, lead), &parts, steps, kinds, actions)?;
    }
    actions.push(Action::Shape { dst, kind });
    Some(())
}
