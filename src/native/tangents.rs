//! Forward mode in native code: what actions do with tangents, as more actions.
//!
//! A derivative that is taken inside the code is a level: a number of directions, for each of which every float that a
//! function under the level writes has a tangent in a register of its own. What is made here are ordinary actions, so that a
//! level further out, or reverse mode around the loop, differentiates them again. (Griewank and Walther, Evaluating
//! Derivatives, chapter 3.)

use std::rc::Rc;

use crate::bytecode::formula::{Binary, Formula, MOST, Step, Unary};
use crate::bytecode::op::Reg;
use crate::native::action::{Action, Lanes, Place};
use crate::native::kind::{Kind, Kinds};
use crate::native::read::binary;
use crate::native::region::Region;
use crate::native::slopes::is_inside;
use crate::ops::arith::{ADD, DIV, MUL, NEG, SUB};
use crate::ops::lanes::Scalar;
use crate::ops::num::{Ex, Test};
use crate::ops::prim::{Eval, Prim};
use crate::ops::strong::{DIV_OR_ZERO, STRONG};
use crate::value::Value;

/// Directions that a level may have.
pub const MOST_DIRECTIONS: usize = 12;
/// Registers of tangents stand behind those of parts and of what is computed on the way.
const TANGENTS: u16 = 10_000;
/// Owner of the registers for what is computed on the way.
const PASSING: Reg = Reg(u16::MAX);

/// A level, by its number among those of the region.
pub type Level = u16;
/// That of forward mode around the loop.
pub const AROUND: Level = 0;

impl Region<'_> {
    /// A level of a derivative that is taken inside the code.
    pub(super) fn new_level(&mut self) -> Option<Level> {
        self.directions.push(0);
        Level::try_from(self.directions.len() - 1).ok()
    }

    /// The register of a tangent.
    pub(super) fn tangent(&mut self, of: Reg, level: Level, direction: usize) -> Option<Reg> {
        let number = number(level, direction)?;
        let reg = self.child(of, number)?;
        if self.passing.contains(&of) {
            self.passing.insert(reg);
        }
        Some(reg)
    }

    /// The register of a tangent, if it may be other than zero.
    pub(super) fn moving(&self, of: Reg, level: Level, direction: usize, kinds: &Kinds) -> Option<Reg> {
        let reg = self.parts.register(of, number(level, direction)?)?;
        (kinds[of].is_float() && !matches!(kinds[reg], Kind::Zero | Kind::Untouched)).then_some(reg)
    }

    /// Nothing reads behind an instruction what it computed on the way.
    pub(super) fn forget_passing(&self, kinds: &mut Kinds) {
        for reg in &self.passing {
            kinds.forget(*reg);
        }
    }

    /// The actions with those that compute tangents, at levels given from the outermost on.
    pub(super) fn with_tangents(
        &mut self,
        levels: &[Level],
        mut actions: Vec<Action>,
        kinds: &Kinds,
    ) -> Option<Vec<Action>> {
        let mut passing = 0;
        for level in levels.iter().rev() {
            let directions = *self.directions.get(*level as usize)?;
            let mut push =
                Push { region: self, level: *level, directions, kinds: kinds.clone(), made: vec![], passing };
            for action in actions {
                push.action(action)?;
            }
            passing = push.passing;
            actions = push.made;
        }
        Some(actions)
    }
}

/// The number of a tangent among the parts of a register.
pub fn number(level: Level, direction: usize) -> Option<u16> {
    let number = usize::from(level) * MOST_DIRECTIONS + direction;
    u16::try_from(number).ok()?.checked_add(TANGENTS)
}

/// What a step reads.
#[derive(Clone, Copy, PartialEq)]
enum Operand {
    Reg(Reg),
    Const(f64),
}

/// An operand with its tangents; nothing for those that are zero.
#[derive(Clone)]
struct Dual {
    value: Operand,
    tangents: Vec<Option<Reg>>,
}

/// The slope of a step in an operand.
#[derive(Clone, Copy)]
struct Slope {
    /// It is minus this.
    minus: bool,
    size: Operand,
}

impl Slope {
    fn of(size: Operand) -> Slope {
        match size {
            Operand::Const(-1.0) => Slope { minus: true, size: Operand::Const(1.0) },
            size => Slope { minus: false, size },
        }
    }
}

/// A formula in the making. Its values are operands and steps.
#[derive(Default)]
struct Builder {
    registers: Vec<Reg>,
    constants: Vec<f64>,
    steps: Vec<(Step, [Part; 2])>,
}

/// A value of a formula in the making.
#[derive(Clone, Copy)]
enum Part {
    Operand(Operand),
    Step(usize),
}

impl Builder {
    /// One more step, whose operands replace those that it names.
    fn step(&mut self, step: Step, operands: [Part; 2]) -> Part {
        for part in &operands[..if step.operands().1.is_some() { 2 } else { 1 }] {
            match part {
                Part::Operand(Operand::Reg(reg)) if !self.registers.contains(reg) => self.registers.push(*reg),
                Part::Operand(Operand::Const(x)) if !self.constants.iter().any(|c| c.to_bits() == x.to_bits()) => {
                    self.constants.push(*x);
                }
                _ => {}
            }
        }
        self.steps.push((step, operands));
        Part::Step(self.steps.len() - 1)
    }

    /// The number of a value.
    fn number(&self, part: Part) -> Option<u8> {
        let count = self.registers.len();
        let number = match part {
            Part::Operand(Operand::Reg(reg)) => self.registers.iter().position(|r| *r == reg)?,
            Part::Operand(Operand::Const(x)) => {
                count + self.constants.iter().position(|c| c.to_bits() == x.to_bits())?
            }
            Part::Step(k) => count + self.constants.len() + k,
        };
        u8::try_from(number).ok()
    }

    fn formula(self) -> Option<Formula> {
        if self.registers.len() + self.constants.len() + self.steps.len() > MOST {
            return None;
        }
        let renumbered = |(step, [a, b]): &(Step, [Part; 2])| {
            let a = self.number(*a)?;
            let b = if step.operands().1.is_some() { self.number(*b)? } else { a };
            Some(match *step {
                Step::Add(..) => Step::Add(a, b),
                Step::Sub(..) => Step::Sub(a, b),
                Step::Mul(..) => Step::Mul(a, b),
                Step::Div(..) => Step::Div(a, b),
                Step::Neg(_) => Step::Neg(a),
                Step::Unary(_, u) => Step::Unary(a, u),
                Step::Binary(_, _, f) => Step::Binary(a, b, f),
            })
        };
        let steps = self.steps.iter().map(renumbered).collect::<Option<Vec<Step>>>()?;
        Some(Formula::new(self.registers, self.constants, steps, 0))
    }
}

/// The actions of an instruction at one level.
struct Push<'r, 'a> {
    region: &'r mut Region<'a>,
    level: Level,
    directions: usize,
    kinds: Kinds,
    made: Vec<Action>,
    /// How many registers for what is computed on the way are in use.
    passing: u16,
}

impl Push<'_, '_> {
    fn emit(&mut self, action: Action) {
        let place = Place { action, kinds: std::mem::take(&mut self.kinds), next: 0 };
        let first = place.ways(&self.region.objects).into_iter().next();
        self.kinds = first.map_or(place.kinds, |(_, kinds)| kinds);
        self.made.push(place.action);
    }

    fn new_register(&mut self) -> Option<Reg> {
        let reg = self.region.child(PASSING, self.passing)?;
        self.passing += 1;
        self.region.passing.insert(reg);
        Some(reg)
    }

    fn tangent(&mut self, of: Reg, direction: usize) -> Option<Reg> {
        self.region.tangent(of, self.level, direction)
    }

    /// The tangents of a register: nothing for those that are zero.
    fn tangents(&self, of: Reg) -> Option<Vec<Option<Reg>>> {
        let known = |reg: Option<Reg>| reg.is_none_or(|reg| self.kinds[reg].is_float()).then_some(reg);
        (0..self.directions).map(|d| known(self.region.moving(of, self.level, d, &self.kinds))).collect()
    }

    fn is_moving(&self, of: Reg) -> bool {
        (0..self.directions).any(|d| self.region.moving(of, self.level, d, &self.kinds).is_some())
    }

    /// A float that does not depend on what the level differentiates by.
    fn still(&mut self, dst: Reg) -> Option<()> {
        for d in 0..self.directions {
            let dst = self.tangent(dst, d)?;
            self.emit(Action::Zero { dst });
        }
        Some(())
    }

    /// Puts tangents where those of a register belong.
    fn settle(&mut self, dst: Reg, tangents: &[Option<Reg>]) -> Option<()> {
        for (d, src) in tangents.iter().enumerate() {
            let dst = self.tangent(dst, d)?;
            match *src {
                Some(src) if src != dst => self.emit(Action::Copy { dst, src }),
                Some(_) => {}
                None => self.emit(Action::Zero { dst }),
            }
        }
        Some(())
    }

    fn action(&mut self, action: Action) -> Option<()> {
        match &action {
            Action::Copy { dst, src } | Action::Round { dst, src }
                if self.kinds[*src].is_float() || matches!(action, Action::Round { .. }) =>
            {
                let (dst, tangents) = (*dst, self.tangents(*src)?);
                self.emit(action);
                self.settle(dst, &tangents)
            }
            Action::Compute { dst, formula, lanes } => {
                let (dst, formula, lanes) = (*dst, formula.clone(), *lanes);
                if formula.registers.iter().any(|reg| self.is_moving(*reg)) {
                    return self.compute(dst, &formula, lanes);
                }
                self.emit(action);
                self.still(dst)
            }
            Action::Select { dst, test, a, b, yes, no } => {
                let (dst, test, a, b) = (*dst, *test, *a, *b);
                let (yes, no) = (self.tangents(*yes)?, self.tangents(*no)?);
                let to = self.new_register()?;
                let mut tangents = vec![];
                for (yes, no) in yes.into_iter().zip(no) {
                    if yes.is_none() && no.is_none() {
                        tangents.push(None);
                        continue;
                    }
                    let (yes, no) = (self.or_zero(yes)?, self.or_zero(no)?);
                    let dst = self.new_register()?;
                    self.emit(Action::Select { dst, test, a, b, yes, no });
                    tangents.push(Some(dst));
                }
                let mut action = action;
                if let Action::Select { dst, .. } = &mut action {
                    *dst = to;
                }
                self.emit(action);
                self.emit(Action::Copy { dst, src: to });
                self.settle(dst, &tangents)
            }
            Action::Set { dst, value: Value::Float(..) } | Action::Zero { dst } => {
                let dst = *dst;
                self.emit(action);
                self.still(dst)
            }
            // Elements of what has tangents itself are for the machine.
            Action::Element { dst, object, .. } => {
                let (dst, object) = (*dst, *object);
                if self.region.has_tangents(object) {
                    return None;
                }
                self.emit(action);
                self.still(dst)
            }
            Action::Each { iter, object, .. } => {
                let (item, object) = (iter.shifted(3), *object);
                if self.region.has_tangents(object) {
                    return None;
                }
                // Nothing reads the last one any more.
                self.still(item)?;
                self.emit(action);
                Some(())
            }
            Action::Store { value, .. } | Action::Push { value, .. } if self.is_moving(*value) => None,
            Action::Update { value, object, .. } if self.is_moving(*value) || self.region.has_tangents(*object) => None,
            Action::Keep { src, .. } if self.any_moving(*src) => None,
            Action::Recur { .. } => None,
            _ => {
                self.emit(action);
                Some(())
            }
        }
    }

    /// Whether tangents may be among the numbers of a value.
    fn any_moving(&self, of: Reg) -> bool {
        let kind = self.kinds[of];
        let part = |i: u16| self.region.parts.register(of, i).is_none_or(|part| self.any_moving(part));
        if kind.has_parts() { (0..self.region.parts.count(kind)).any(part) } else { self.is_moving(of) }
    }

    fn or_zero(&mut self, tangent: Option<Reg>) -> Option<Reg> {
        match tangent {
            Some(reg) => Some(reg),
            None => {
                let dst = self.new_register()?;
                self.emit(Action::Zero { dst });
                Some(dst)
            }
        }
    }

    /// A formula, step by step, with the tangents of each.
    fn compute(&mut self, dst: Reg, formula: &Formula, lanes: Lanes) -> Option<()> {
        let mut values: Vec<Dual> = vec![];
        for reg in &formula.registers {
            values.push(Dual { value: Operand::Reg(*reg), tangents: self.tangents(*reg)? });
        }
        let still = vec![None; self.directions];
        for x in &formula.constants {
            values.push(Dual { value: Operand::Const(*x), tangents: still.clone() });
        }
        for (k, step) in formula.steps.iter().enumerate() {
            let (a, b) = step.operands();
            let a = values.get(a as usize)?.clone();
            let b = match b {
                Some(b) => values.get(b as usize)?.clone(),
                None => a.clone(),
            };
            let (i, j) = step.operands();
            let in_lanes = [lanes.has(i as usize), lanes.has(j.unwrap_or(i) as usize), lanes.has(formula.value(k))];
            values.push(self.step(*step, [a, b], (in_lanes, lanes.single))?);
        }
        let Dual { value: Operand::Reg(src), tangents } = values.pop()? else { return None };
        self.emit(Action::Copy { dst, src });
        self.settle(dst, &tangents)
    }

    /// One step of a formula.
    fn step(&mut self, step: Step, [a, b]: [Dual; 2], (in_lanes, single): ([bool; 3], bool)) -> Option<Dual> {
        let to = self.new_register()?;
        let mut builder = Builder::default();
        let operands = [Part::Operand(a.value), Part::Operand(b.value)];
        builder.step(step, operands);
        let mut mask = 0u32;
        for (part, is_lane) in operands.into_iter().zip(in_lanes) {
            mask |= u32::from(is_lane) << builder.number(part).unwrap_or(0);
        }
        mask |= u32::from(in_lanes[2]) << (builder.registers.len() + builder.constants.len());
        let lanes = Lanes { values: mask, single };
        self.emit(Action::Compute { dst: to, formula: Rc::new(builder.formula()?), lanes });
        let moving = |dual: &Dual| dual.tangents.iter().any(Option::is_some);
        let wanted = [moving(&a), step.operands().1.is_some() && moving(&b)];
        let slopes = self.slopes(step, [a.value, b.value, Operand::Reg(to)], wanted)?;
        let mut tangents = vec![];
        for d in 0..self.directions {
            let second = if wanted[1] { b.tangents[d] } else { None };
            let terms = [(a.tangents[d], slopes[0]), (second, slopes[1])];
            tangents.push(self.combine(terms)?);
        }
        Some(Dual { value: Operand::Reg(to), tangents })
    }

    /// The slopes of a step in those operands that are wanted.
    fn slopes(&mut self, step: Step, args: [Operand; 3], wanted: [bool; 2]) -> Option<[Slope; 2]> {
        let (one, [a, b, y]) = (Operand::Const(1.0), args);
        let partials = match step {
            Step::Add(..) => return Some([Slope::of(one), Slope::of(one)]),
            Step::Sub(..) => return Some([Slope::of(one), Slope { minus: true, size: one }]),
            Step::Neg(_) => return Some([Slope { minus: true, size: one }, Slope::of(one)]),
            Step::Mul(..) => return Some([Slope::of(b), Slope::of(a)]),
            Step::Div(..) => return self.slopes_of_quotient(step, args, wanted),
            Step::Binary(_, _, g) if is_inside(&DIV_OR_ZERO, g.inside) => {
                return self.slopes_of_quotient(step, args, wanted);
            }
            Step::Unary(..) | Step::Binary(..) => (step.inside()?.partials)(),
        };
        let args = if step.operands().1.is_some() { vec![a, b, y] } else { vec![a, y] };
        let mut slopes = [Slope::of(Operand::Const(0.0)); 2];
        for (i, slope) in slopes.iter_mut().enumerate() {
            if wanted[i] {
                *slope = Slope::of(self.expression(partials.get(i)?, &args)?);
            }
        }
        Some(slopes)
    }

    /// Those of y = a/b are 1/b, which quotients by the same share, and -y times it.
    fn slopes_of_quotient(&mut self, step: Step, [a, b, y]: [Operand; 3], wanted: [bool; 2]) -> Option<[Slope; 2]> {
        let (one, zero) = (Operand::Const(1.0), Operand::Const(0.0));
        if let Operand::Const(b) = b {
            return Some([Slope::of(Operand::Const(folded(step, 1.0, b)?)), Slope::of(zero)]);
        }
        let inverse = if a == one { y } else { self.compute_steps(&[step], [one, b])? };
        let product = [Step::Mul(0, 1), Step::Neg(0)];
        let second = match wanted {
            [_, false] => Slope::of(zero),
            // A difference has the sign for nothing, a product in each direction has not.
            [true, true] => Slope { minus: true, size: self.compute_steps(&product[..1], [y, inverse])? },
            [false, true] => Slope::of(self.compute_steps(&product, [y, inverse])?),
        };
        Some([Slope::of(inverse), second])
    }

    /// The result of a step on two operands, and of others on that of the one before.
    fn compute_steps(&mut self, steps: &[Step], operands: [Operand; 2]) -> Option<Operand> {
        let mut builder = Builder::default();
        let mut parts = operands.map(Part::Operand);
        for step in steps {
            parts = [builder.step(*step, parts); 2];
        }
        let dst = self.new_register()?;
        self.emit(Action::Compute { dst, formula: Rc::new(builder.formula()?), lanes: Lanes::NONE });
        Some(Operand::Reg(dst))
    }

    /// The sum of tangents times slopes.
    fn combine(&mut self, terms: [(Option<Reg>, Slope); 2]) -> Option<Option<Reg>> {
        let mut builder = Builder::default();
        let (mut sum, mut minus) = (None, false);
        for (tangent, slope) in terms {
            let Some(tangent) = tangent else { continue };
            let t = Part::Operand(Operand::Reg(tangent));
            let term = match slope.size {
                Operand::Const(0.0) => continue,
                Operand::Const(1.0) => t,
                Operand::Const(x) if x.is_finite() => {
                    builder.step(Step::Mul(0, 1), [t, Part::Operand(Operand::Const(x))])
                }
                size => builder.step(binary(&STRONG, true)?, [t, Part::Operand(size)]),
            };
            let negative = slope.minus;
            sum = Some(match sum {
                None => {
                    minus = negative;
                    term
                }
                Some(before) => {
                    let before = if minus { builder.step(Step::Neg(0), [before, before]) } else { before };
                    minus = false;
                    builder.step(if negative { Step::Sub(0, 1) } else { Step::Add(0, 1) }, [before, term])
                }
            });
        }
        let Some(mut sum) = sum else { return Some(None) };
        if minus {
            sum = builder.step(Step::Neg(0), [sum, sum]);
        }
        if let Part::Operand(Operand::Reg(reg)) = sum {
            return Some(Some(reg));
        }
        let dst = self.new_register()?;
        self.emit(Action::Compute { dst, formula: Rc::new(builder.formula()?), lanes: Lanes::NONE });
        Some(Some(dst))
    }

    /// The value of an expression over operands.
    fn expression(&mut self, e: &Ex, args: &[Operand]) -> Option<Operand> {
        let mut builder = Builder::default();
        match self.build(e, args, &mut builder)? {
            Part::Operand(operand) => Some(operand),
            Part::Step(_) => {
                let dst = self.new_register()?;
                self.emit(Action::Compute { dst, formula: Rc::new(builder.formula()?), lanes: Lanes::NONE });
                Some(Operand::Reg(dst))
            }
        }
    }

    fn build(&mut self, e: &Ex, args: &[Operand], builder: &mut Builder) -> Option<Part> {
        Some(match e {
            Ex::Const(x) => Part::Operand(Operand::Const(*x)),
            Ex::Arg(i) => Part::Operand(*args.get(*i)?),
            Ex::Unary(prim, x) => {
                let x = self.build(x, args, builder)?;
                let step = step_of(prim)?;
                match (step, x) {
                    (Step::Unary(_, u), Part::Operand(Operand::Const(x))) => Part::Operand(Operand::Const((u.f)(x))),
                    (Step::Neg(_), Part::Operand(Operand::Const(x))) => Part::Operand(Operand::Const(-x)),
                    _ => builder.step(step, [x, x]),
                }
            }
            Ex::Binary(prim, x, y) => {
                let (x, y) = (self.build(x, args, builder)?, self.build(y, args, builder)?);
                let step = step_of(prim)?;
                match (x, y) {
                    (Part::Operand(Operand::Const(x)), Part::Operand(Operand::Const(y))) => {
                        Part::Operand(Operand::Const(folded(step, x, y)?))
                    }
                    _ => builder.step(step, [x, y]),
                }
            }
            Ex::Select(test, parts) => {
                let [a, b] = [self.expression(&parts[0], args)?, self.expression(&parts[1], args)?];
                if let (Operand::Const(a), Operand::Const(b)) = (a, b) {
                    let holds = match test {
                        Test::Greater => a > b,
                        Test::Equal => a == b,
                    };
                    return self.build(if holds { &parts[2] } else { &parts[3] }, args, builder);
                }
                let [yes, no] = [self.expression(&parts[2], args)?, self.expression(&parts[3], args)?];
                let (a, b) = (self.in_register(a)?, self.in_register(b)?);
                let (yes, no) = (self.in_register(yes)?, self.in_register(no)?);
                let dst = self.new_register()?;
                self.emit(Action::Select { dst, test: *test, a, b, yes, no });
                Part::Operand(Operand::Reg(dst))
            }
        })
    }

    fn in_register(&mut self, operand: Operand) -> Option<Reg> {
        match operand {
            Operand::Reg(reg) if self.kinds[reg].is_float() => Some(reg),
            Operand::Reg(reg) => {
                let dst = self.new_register()?;
                self.emit(crate::native::read::as_float(dst, reg));
                Some(dst)
            }
            Operand::Const(x) => {
                let dst = self.new_register()?;
                self.emit(Action::Set { dst, value: Value::float(x) });
                Some(dst)
            }
        }
    }
}

/// The step that a primitive of an expression is.
fn step_of(prim: &'static Prim) -> Option<Step> {
    let is = |other: &'static Prim| std::ptr::eq(prim, other);
    for (known, step) in [
        (&ADD, Step::Add(0, 1)),
        (&SUB, Step::Sub(0, 1)),
        (&MUL, Step::Mul(0, 1)),
        (&DIV, Step::Div(0, 1)),
        (&NEG, Step::Neg(0)),
    ] {
        if is(known) {
            return Some(step);
        }
    }
    let Eval::Elementwise(inside) = &prim.eval else { return None };
    match &inside.scalar {
        Scalar::Unary { f, d } => Some(Step::Unary(0, Unary { f: *f, d: *d, promotes: true, inside })),
        Scalar::Binary { f, d } => Some(Step::Binary(0, 1, Binary { f: *f, d, promotes: true, inside })),
        Scalar::Ternary { .. } => None,
    }
}

fn folded(step: Step, x: f64, y: f64) -> Option<f64> {
    Some(match step {
        Step::Add(..) => x + y,
        Step::Sub(..) => x - y,
        Step::Mul(..) => x * y,
        Step::Div(..) => x / y,
        Step::Binary(_, _, f) => (f.f)(x, y),
        Step::Neg(_) | Step::Unary(..) => return None,
    })
}
