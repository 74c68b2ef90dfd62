//! Arithmetic of small vectors, element by element, and their sums: in the order in which the machine adds.

use std::rc::Rc;

use crate::bytecode::formula::{Formula, MOST, Step, Total, Unary};
use crate::bytecode::op::Reg;
use crate::native::action::{Action, Lanes, Order};
use crate::native::kind::{Kind, Kinds};
use crate::native::read::unary;
use crate::native::region::Region;
use crate::native::vectors::PASSING;
use crate::ops::arith::POW;
use crate::ops::lanes::Scalar;
use crate::ops::linalg::DOT;
use crate::ops::math::SQRT;
use crate::ops::norm::NORM;
use crate::ops::prim::{Eval, Prim};
use crate::ops::reduce::{MEAN, SUM};
use crate::value::Value;

/// Elements of vectors of f64 whose products are added one after the other, at most.
const FEW_PRODUCTS: u8 = 7;

/// A formula of one step, whose registers are given beside it.
pub fn simple(step: Step) -> Formula {
    let registers = if step.operands().1.is_some() { 2 } else { 1 };
    Formula::new((0..registers).map(Reg).collect(), vec![], vec![step], 0)
}

/// The step that takes a power of a vector, if there is one of its own for the exponent.
pub fn power(exponent: Value) -> Option<Step> {
    let Eval::Elementwise(general) = &POW.eval else { return None };
    let exponent = match exponent {
        Value::Float(_, k) if [2.0, 3.0, 4.0, -1.0].contains(&k) => Value::Int(k as i64),
        other => other,
    };
    let inside = (general.special?)(&[Value::float(1.0), exponent])?;
    let Scalar::Unary { f, d } = inside.scalar else { return None };
    Some(Step::Unary(0, Unary { f, d, promotes: true, inside }))
}

impl Region<'_> {
    /// A formula of vectors of one length and dtype and numbers, element by element. Its registers are `operands`.
    pub(super) fn on_vectors(
        &mut self,
        dst: Reg,
        operands: &[Reg],
        formula: &Formula,
        kinds: &mut Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let lead = operands.iter().find_map(|reg| self.vector_in(*reg, kinds))?;
        let Kind::Vector { n, single } = lead else { return None };
        let (mut parts, mut lanes, mut whole) = (vec![], 0u32, 0u32);
        for (i, reg) in operands.iter().enumerate() {
            match self.vector_in(*reg, kinds) {
                Some(kind) if kind == lead => {
                    lanes |= 1 << i;
                    parts.push(self.elements(*reg, kinds)?);
                }
                Some(_) => return None,
                None if kinds[*reg].is_number() && *reg != dst => {
                    whole |= u32::from(kinds[*reg] == Kind::Int) << i;
                    parts.push(vec![*reg; n as usize]);
                }
                None => return None,
            }
        }
        if !formula.is_float(whole) {
            return None;
        }
        for (k, step) in formula.steps.iter().enumerate() {
            let (a, b) = step.operands();
            if lanes & (1 << a) != 0 || b.is_some_and(|b| lanes & (1 << b) != 0) {
                if step.inside().is_some_and(|inside| inside.check.is_some()) {
                    return None;
                }
                lanes |= 1 << formula.value(k);
            }
        }
        for i in 0..n as usize {
            let registers = parts.iter().map(|part| part.get(i).copied()).collect::<Option<Vec<Reg>>>()?;
            let element = Formula::new(registers, formula.constants.clone(), formula.steps.clone(), formula.ints);
            let to = self.child(dst, i as u16)?;
            let lanes = Lanes { values: lanes, single };
            actions.push(Action::Compute { dst: to, formula: Rc::new(element), lanes });
        }
        actions.push(Action::Shape { dst, kind: lead });
        Some(())
    }

    /// An elementwise primitive of one argument.
    pub(super) fn on_vector(
        &mut self,
        prim: &'static Prim,
        dst: Reg,
        src: Reg,
        kinds: &mut Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let elements = self.elements(src, kinds)?;
        let active = elements.iter().any(|reg| kinds[*reg] == Kind::Float { active: true });
        let step = unary(prim, Kind::Float { active })?;
        self.on_vectors(dst, &[src], &simple(step), kinds, actions)
    }

    /// A primitive, the first of whose arguments is a vector.
    pub(super) fn apply(
        &mut self,
        at: (usize, usize),
        prim: &'static Prim,
        (dst, args): (Reg, &[Reg]),
        kinds: &mut Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let is = |other: &'static Prim| std::ptr::eq(prim, other);
        let (x, rest) = args.split_first()?;
        // Over all axes, which it gives up.
        let over_all = |region: &mut Self, rest: &[Reg]| {
            rest.first().is_none_or(|axis| kinds[*axis] == Kind::None)
                && rest.get(1).is_none_or(|keep| matches!(region.constant(at, *keep), Some(Value::Bool(false))))
        };
        if is(&SUM) || is(&MEAN) {
            if !over_all(self, rest) {
                return None;
            }
            let total = if is(&SUM) { Total::Sum } else { Total::Mean };
            return self.total(dst, *x, total, kinds, actions);
        }
        if is(&NORM) {
            let euclid = match rest.first() {
                None => true,
                Some(order) => matches!(self.constant(at, *order), Some(Value::Int(2))),
            };
            let all = over_all(self, rest.get(1..).unwrap_or(&[]));
            return if euclid && all { self.norm(dst, *x, kinds, actions) } else { None };
        }
        match args {
            [a, b] if is(&DOT) => self.dot(dst, (*a, *b), kinds, actions),
            [x] => self.on_vector(prim, dst, *x, kinds, actions),
            _ => None,
        }
    }

    /// The sum or mean of a vector: of f64, one after the other from 0.
    fn total(&mut self, dst: Reg, x: Reg, total: Total, kinds: &mut Kinds, actions: &mut Vec<Action>) -> Option<()> {
        let elements = self.elements(x, kinds)?;
        let formula = sum(&elements, elements.len() as f64, total == Total::Mean);
        actions.push(Action::Compute { dst, formula: Rc::new(formula), lanes: Lanes::NONE });
        Some(())
    }

    /// The inner product of two vectors, all in their dtype.
    pub(super) fn dot(
        &mut self,
        dst: Reg,
        (a, b): (Reg, Reg),
        kinds: &mut Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let kind = self.vector_in(a, kinds)?;
        let Kind::Vector { n, single } = kind else { return None };
        if self.vector_in(b, kinds)? != kind || !single && n > FEW_PRODUCTS {
            return None;
        }
        let (xs, ys) = (self.elements(a, kinds)?, self.elements(b, kinds)?);
        let mut products = vec![];
        for (i, (x, y)) in xs.iter().zip(&ys).enumerate() {
            let product = self.child(dst, PASSING + i as u16)?;
            let formula = Formula::new(vec![*x, *y], vec![], vec![Step::Mul(0, 1)], 0);
            let lanes = Lanes { values: u32::MAX, single };
            actions.push(Action::Compute { dst: product, formula: Rc::new(formula), lanes });
            products.push(product);
        }
        let lanes = Lanes { values: u32::MAX, single };
        actions.push(Action::Compute { dst, formula: Rc::new(sum(&products, 0.0, false)), lanes });
        Some(())
    }

    /// The product of a matrix and a vector, in either order, all in their dtype.
    pub(super) fn matrix_product(
        &mut self,
        dst: Reg,
        (a, b): (Reg, Reg),
        kinds: &mut Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let turned = self.is_vector(a, kinds);
        let (matrix, vector) = if turned { (b, a) } else { (a, b) };
        let kind = self.vector_in(vector, kinds)?;
        let Kind::Vector { n, single } = kind else { return None };
        let (parts, [rows, columns], same) = self.matrix_elements(matrix, kinds)?;
        let (long, wide) = if turned { (columns, rows) } else { (rows, columns) };
        if wide != n as usize || same != single || !single && n > FEW_PRODUCTS {
            return None;
        }
        let xs = self.elements(vector, kinds)?;
        let lanes = Lanes { values: u32::MAX, single };
        let mut sums = vec![];
        for i in 0..long {
            let mut products = vec![];
            for (j, x) in xs.iter().enumerate() {
                let part = *parts.get(if turned { j * columns + i } else { i * columns + j })?;
                let product = self.child(dst, PASSING + j as u16)?;
                let operands = if turned { vec![*x, part] } else { vec![part, *x] };
                let formula = Formula::new(operands, vec![], vec![Step::Mul(0, 1)], 0);
                actions.push(Action::Compute { dst: product, formula: Rc::new(formula), lanes });
                products.push(product);
            }
            // The vector may be where the result goes.
            let total = self.child(dst, PASSING + (xs.len() + i) as u16)?;
            actions.push(Action::Compute { dst: total, formula: Rc::new(sum(&products, 0.0, false)), lanes });
            sums.push(total);
        }
        self.gather(dst, &sums, single, actions)
    }

    /// The length of a vector, of f64. Where squares overflow or vanish the machine does it.
    fn norm(&mut self, dst: Reg, x: Reg, kinds: &mut Kinds, actions: &mut Vec<Action>) -> Option<()> {
        let elements = self.elements(x, kinds)?;
        let n = elements.len() as u8;
        // Values: the elements, 0, their squares, the sums.
        let squares = (0..n).map(|i| Step::Mul(i, i));
        let sums = (0..n).map(|i| Step::Add(if i == 0 { n } else { 2 * n + i }, n + 1 + i));
        if elements.len() * 3 + 1 > MOST {
            return None;
        }
        let formula = Formula::new(elements, vec![0.0], squares.chain(sums).collect(), 0);
        let [total, least, most] = [0, 1, 2].map(|i| self.child(dst, PASSING + i));
        let (total, least, most) = (total?, least?, most?);
        let step = unary(&SQRT, Kind::Float { active: true })?;
        actions.push(Action::Compute { dst: total, formula: Rc::new(formula), lanes: Lanes::NONE });
        actions.push(Action::Set { dst: least, value: Value::float(1e-200) });
        actions.push(Action::Set { dst: most, value: Value::float(1e200) });
        actions.push(Action::Expect { order: Order::Gt, a: total, b: least });
        actions.push(Action::Expect { order: Order::Lt, a: total, b: most });
        let root = Formula::new(vec![total], vec![], vec![step], 0);
        actions.push(Action::Compute { dst, formula: Rc::new(root), lanes: Lanes::NONE });
        Some(())
    }
}

/// The sum of registers from 0 on, divided by a number if it is their mean.
fn sum(of: &[Reg], count: f64, mean: bool) -> Formula {
    let n = of.len() as u8;
    let first = n + 1 + u8::from(mean);
    let mut steps: Vec<Step> = (0..n).map(|i| Step::Add(if i == 0 { n } else { first + i - 1 }, i)).collect();
    let mut constants = vec![0.0];
    if mean {
        constants.push(count);
        steps.push(Step::Div(first + n - 1, n + 1));
    }
    Formula::new(of.to_vec(), constants, steps, 0)
}
