//! Formulas: several scalar operations computed and differentiated at once.
//!
//! In reverse mode the sweep goes through the formula right away, from a cotangent of 1, and the tape gets the partials
//! of the whole. In forward mode each step has its tangent. Only for the outermost level: above another one the
//! operations are applied one by one.

use crate::ad::dispatch::{push_scalar, scalar_tangent, strong};
use crate::ad::slot::{Node, Slot};
use crate::ad::tape::{Entry, Tape};
use crate::ad::{Cx, Dual, Mode, Watch};
use crate::bytecode::formula::{Formula, MOST, Step};
use crate::error::Result;
use crate::value::Value;

/// Values and derivatives of the steps of one formula.
pub struct Scratch {
    values: [f64; MOST],
    bars: [f64; MOST],
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { values: [0.0; MOST], bars: [0.0; MOST] }
    }
}

/// Keeps an index inside [`MOST`] values without a branch.
#[inline(always)]
fn within(i: usize) -> usize {
    i % MOST
}

impl Cx {
    /// The value of a formula; `None` if it has to be computed operation by operation.
    #[inline]
    pub fn formula(&mut self, formula: &Formula, regs: &[Value]) -> Result<Option<(Slot, f64)>> {
        if !formula.windows.is_empty() {
            return Ok(None);
        }
        let (mut slots, mut ints) = (0, 0);
        for (i, reg) in formula.registers.iter().enumerate() {
            self.scratch.values[within(i)] = match regs[reg.0 as usize] {
                Value::Float(slot, x) => {
                    slots |= slot.0;
                    x
                }
                Value::Int(n) => {
                    ints |= 1 << within(i);
                    n as f64
                }
                _ => return Ok(None),
            };
        }
        if ints != 0 && (ints & formula.floats != 0 || !formula.is_float(ints)) {
            return Ok(None);
        }
        let level = Slot(slots).level().0;
        if level > 1 {
            return Ok(None);
        }
        let x = self.scratch.evaluate(formula);
        if level == 0 {
            return Ok(Some((Slot::CONST, x)));
        }
        if self.watch != Watch::Off || self.trap.records {
            return Ok(None);
        }
        let scratch = &mut self.scratch;
        let slot = match self.levels.first_mut().map(|l| &mut l.mode) {
            Some(Mode::Reverse(tape)) => scratch.record(formula, regs, tape)?,
            Some(Mode::Forward(duals)) if duals.len() < Slot::MAX_NODES => {
                match scratch.tangent(formula, regs, duals) {
                    Some(tangent) => push_scalar(duals, tangent),
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some((slot, x)))
    }
}

impl Scratch {
    #[inline]
    fn evaluate(&mut self, formula: &Formula) -> f64 {
        let v = &mut self.values;
        let constants = formula.registers.len();
        for (i, x) in formula.constants.iter().enumerate() {
            v[within(constants + i)] = *x;
        }
        let first = formula.value(0);
        let mut y = 0.0;
        for (k, step) in formula.steps.iter().enumerate() {
            let x = |i: u8| v[within(i as usize)];
            y = match *step {
                Step::Add(a, b) => x(a) + x(b),
                Step::Sub(a, b) => x(a) - x(b),
                Step::Mul(a, b) => x(a) * x(b),
                Step::Div(a, b) => x(a) / x(b),
                Step::Neg(a) => -x(a),
                Step::Unary(a, u) => (u.f)(x(a)),
                Step::Binary(a, b, g) => (g.f)(x(a), x(b)),
            };
            v[within(first + k)] = y;
        }
        y
    }

    /// The partials of the result, and their entries.
    #[inline]
    fn record(&mut self, formula: &Formula, regs: &[Value], tape: &mut Tape) -> Result<Slot> {
        let (v, bars) = (&self.values, &mut self.bars);
        let first = formula.value(0);
        let count = formula.steps.len();
        bars[..within(first + count - 1)].fill(0.0);
        bars[within(first + count - 1)] = 1.0;
        for (k, step) in formula.steps.iter().enumerate().rev() {
            let at = within(first + k);
            let (bar, y) = (bars[at], v[at]);
            if bar == 0.0 {
                // As in the sweep of a tape: a zero cotangent ends here, whatever the slopes.
                continue;
            }
            let x = |i: u8| v[within(i as usize)];
            let mut add = |i: u8, term: f64| bars[within(i as usize)] += term;
            match *step {
                Step::Add(a, b) => {
                    add(a, bar);
                    add(b, bar);
                }
                Step::Sub(a, b) => {
                    add(a, bar);
                    add(b, -bar);
                }
                Step::Mul(a, b) => {
                    add(a, bar * x(b));
                    add(b, bar * x(a));
                }
                Step::Div(a, b) => {
                    add(a, bar * (1.0 / x(b)));
                    add(b, bar * -(y / x(b)));
                }
                Step::Neg(a) => add(a, -bar),
                Step::Unary(a, u) => add(a, bar * (u.d)(x(a), y)),
                Step::Binary(a, b, g) => {
                    if !formula.is_constant(a) {
                        add(a, bar * (g.d[0])(x(a), x(b), y));
                    }
                    if !formula.is_constant(b) {
                        add(b, bar * (g.d[1])(x(a), x(b), y));
                    }
                }
            }
        }
        let mut level = Slot::CONST.level();
        let mut entry = Entry { a: 0, b: 0, pa: 0.0, pb: 0.0 };
        for (i, reg) in formula.registers.iter().enumerate() {
            let slot = regs[reg.0 as usize].slot();
            if slot.is_const() {
                continue;
            }
            level = slot.level();
            let (node, partial) = (slot.node().0, bars[within(i)]);
            if entry.a == 0 {
                (entry.a, entry.pa) = (node, partial);
            } else {
                if entry.b != 0 {
                    let sum = tape.push(entry)?;
                    (entry.a, entry.pa) = (sum.0, 1.0);
                }
                (entry.b, entry.pb) = (node, partial);
            }
        }
        if entry.b == 0 && entry.pa == 1.0 {
            return Ok(Slot::new(level, Node(entry.a)));
        }
        Ok(Slot::new(level, tape.push(entry)?))
    }

    /// The tangent of the result; `None` if one of the operands' is no plain number.
    #[inline]
    fn tangent(&mut self, formula: &Formula, regs: &[Value], duals: &[Dual]) -> Option<f64> {
        let (v, dots) = (&self.values, &mut self.bars);
        let first = formula.value(0);
        for (i, reg) in formula.registers.iter().enumerate() {
            dots[within(i)] = scalar_tangent(duals, regs[reg.0 as usize].slot())?;
        }
        dots[formula.registers.len()..first].fill(0.0);
        let mut dot = 0.0;
        for (k, step) in formula.steps.iter().enumerate() {
            let at = within(first + k);
            let y = v[at];
            let x = |i: u8| v[within(i as usize)];
            let t = |i: u8| dots[within(i as usize)];
            let by = |i: u8, slope: &dyn Fn() -> f64| if t(i) == 0.0 { 0.0 } else { strong(t(i), slope()) };
            dot = match *step {
                Step::Add(a, b) => t(a) + t(b),
                Step::Sub(a, b) => t(a) - t(b),
                Step::Mul(a, b) => strong(t(a), x(b)) + strong(t(b), x(a)),
                Step::Div(a, b) => by(a, &|| 1.0 / x(b)) + by(b, &|| -(y / x(b))),
                Step::Neg(a) => -t(a),
                Step::Unary(a, u) => by(a, &|| (u.d)(x(a), y)),
                Step::Binary(a, b, g) => by(a, &|| (g.d[0])(x(a), x(b), y)) + by(b, &|| (g.d[1])(x(a), x(b), y)),
            };
            dots[at] = dot;
        }
        Some(dot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad::slot::Level;
    use crate::bytecode::op::Reg;
    use crate::ops::elementwise::{ADD, DIV, MUL, NEG, SUB};
    use crate::ops::lanes::Scalar;
    use crate::ops::prim::{Eval, Prim};

    /// Value and partials of one step at 1.5 and -0.75, by the formula.
    fn by_formula(step: Step, variables: usize) -> (f64, [f64; 2]) {
        let formula = Formula::new(vec![Reg(0), Reg(1)][..variables].into(), vec![], vec![step], 0);
        let at = |i: u32, x| Value::Float(Slot::new(Level(1), Node(i)), x);
        let mut tape = Tape::new(false);
        let mut scratch = Scratch::default();
        scratch.values[..2].copy_from_slice(&[1.5, -0.75]);
        let y = scratch.evaluate(&formula);
        scratch.record(&formula, &[at(7, 1.5), at(8, -0.75)], &mut tape).unwrap();
        let entry = tape.entries[1];
        assert_eq!((entry.a, entry.b), (7, if variables == 2 { 8 } else { 0 }));
        (y, [entry.pa, entry.pb])
    }

    #[test]
    fn operators_have_the_slopes_of_their_primitives() {
        let inside = |prim: &'static Prim| match &prim.eval {
            Eval::Elementwise(e) => &e.scalar,
            Eval::General(_) => panic!("{} is no elementwise primitive", prim.name),
        };
        let binary: [(Step, &'static Prim); 4] =
            [(Step::Add(0, 1), &ADD), (Step::Sub(0, 1), &SUB), (Step::Mul(0, 1), &MUL), (Step::Div(0, 1), &DIV)];
        for (step, prim) in binary {
            let Scalar::Binary { f, d } = inside(prim) else { panic!("{}", prim.name) };
            let y = f(1.5, -0.75);
            assert_eq!(by_formula(step, 2), (y, [d[0](1.5, -0.75, y), d[1](1.5, -0.75, y)]), "{}", prim.name);
        }
        let Scalar::Unary { f, d } = inside(&NEG) else { panic!("neg") };
        assert_eq!(by_formula(Step::Neg(0), 1), (f(1.5), [d(1.5, f(1.5)), 0.0]));
    }
}
