//! Formulas on a few elements as machine code: all operations in registers, in one call for all elements.
//!
//! Only with vectors of 512 bits, whose masks serve for what is no whole vector, and only where all functions can be written out. Of the
//! values on the way those that take long to compute are kept for the way back.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::rc::Rc;

use smallvec::SmallVec;

use super::fused::{Fused, Sources, compiled_from};
use super::fused_small::{Back, elements, hand_out};
use super::graph::{Backward, Node, Root, values_of};
use super::plan::Plan;
use super::small::{Applied, Keeps, Kept, Pulled, at};
use crate::bytecode::formula::{Formula, Step};
use crate::tensor::Tensor;
use crate::tensor::out::place;
use crate::tensor::spares::Spares;
use crate::value::Value;

/// Elements that count for one evaluation, however few it has, when it comes to whether compiling pays.
const LEAST: usize = 256;

/// One way through a formula.
struct Way<T> {
    code: Fused,
    /// The numbers that it reads, constants among them.
    numbers: Vec<T>,
    /// Those that differ from one evaluation to the next: their places, and the values of the formula that they are.
    open: Vec<(usize, u8)>,
}

impl<T: Keeps> Way<T> {
    fn new(code: Fused) -> Option<Way<T>> {
        if !code.is_straight() {
            return None;
        }
        let (mut numbers, mut open) = (vec![], vec![]);
        for node in code.numbers_read() {
            match *node {
                Node::Constant(x) => numbers.push(T::c(x)),
                Node::Number(i) => {
                    open.push((numbers.len(), i));
                    numbers.push(T::c(0.0));
                }
                _ => return None,
            }
        }
        Some(Way { code, numbers, open })
    }

    /// The numbers for these values of the formula.
    #[inline]
    fn numbers<'a>(&'a self, values: &[f64], room: &'a mut SmallVec<[T; 32]>) -> &'a [T] {
        if self.open.is_empty() {
            return &self.numbers;
        }
        room.extend_from_slice(&self.numbers);
        for (place, i) in &self.open {
            if let Some(own) = room.get_mut(*place) {
                *own = T::c(at(values, *i));
            }
        }
        room
    }
}

/// A formula on operands of some kinds and one dtype.
pub struct Straight<T> {
    forward: Way<T>,
    back: Option<Way<T>>,
    /// The values that are kept.
    kept: SmallVec<[u8; 4]>,
}

impl<T: Keeps> Straight<T> {
    fn new(formula: &Formula, plan: &Plan) -> Option<Straight<T>> {
        let double = size_of::<T>() == 8;
        let mask = kept(formula, plan);
        let forward = Way::new(Fused::forward_keeping(formula, &plan.reach, double, mask)?)?;
        let back = if plan.kinds.wanted == 0 {
            None
        } else {
            let last = formula.value(formula.steps.len()) - 1;
            let way = Backward {
                live: plan.program.live,
                root: Root::Elements,
                has_out: plan.needed & (1 << last) != 0,
                sums: false,
                slopes: false,
                unread: false,
                anyway: false,
                moving: 0,
                kept: mask,
            };
            Some(Way::new(Fused::new(formula, &plan.reach, double, Some(way))?)?)
        };
        let kept = values_of(mask).collect();
        Some(Straight { forward, back, kept })
    }
}

/// Values that the way back reads, or computes others of, and that take long.
fn kept(formula: &Formula, plan: &Plan) -> u32 {
    let live = |i: u8| plan.program.live & (1 << i) != 0;
    let mut read = 0;
    for (k, step) in formula.steps.iter().enumerate() {
        let (a, b) = step.operands();
        for (operand, reads) in [Some(a), b].into_iter().zip(formula.reads(k)) {
            if operand.is_some_and(live) && live(formula.value(k) as u8) {
                read |= reads;
            }
        }
    }
    let mut kept = 0;
    let is_whole = |value: usize| plan.reach.get(value) == Some(&super::layout::Reach::Whole);
    // The result is there by itself.
    for (k, step) in formula.steps.iter().enumerate().rev().skip(1) {
        let value = formula.value(k);
        if read & (1 << value) == 0 || !is_whole(value) {
            continue;
        }
        match step {
            Step::Div(..) | Step::Unary(..) | Step::Binary(..) => kept |= 1 << value,
            _ => {
                let (a, b) = step.operands();
                read |= 1 << a | b.map_or(0, |b| 1 << b);
            }
        }
    }
    kept
}

/// The code of a plan for one dtype; nothing where there can be none, or it has not been worth it so far.
pub struct Trial<T>(RefCell<(usize, Option<Option<Rc<Straight<T>>>>)>);

impl<T> Default for Trial<T> {
    fn default() -> Trial<T> {
        Trial(RefCell::new((0, None)))
    }
}

impl<T: Keeps> Trial<T> {
    /// The code, if there is some by now.
    fn get(&self, formula: &Formula, plan: &Plan) -> Option<Rc<Straight<T>>> {
        let worth = compiled_from()?;
        let (elements, code) = &mut *self.0.borrow_mut();
        if code.is_none() {
            *elements += LEAST;
            if *elements >= worth {
                *code = Some(Straight::new(formula, plan).map(Rc::new));
            }
        }
        code.clone()?
    }

    /// The code that there is.
    fn known(&self) -> Option<Rc<Straight<T>>> {
        self.0.borrow().1.clone()?
    }
}

/// The value of a formula, and what its way back needs; `None` if there is no code for it.
pub(super) fn forward<'a, T: Keeps>(
    formula: &Formula,
    plan: &Plan,
    (shape, n): (&[usize], usize),
    numbers: &[f64],
    operand: &impl Fn(usize) -> Option<&'a Value>,
    spares: &mut Spares,
) -> Option<(Rc<Tensor>, Kept)> {
    let straight = T::trial(plan).get(formula, plan)?;
    let way = &straight.forward;
    let mut room = SmallVec::new();
    let value = |i: u8| elements(operand(i as usize));
    let sources = Sources { numbers: way.numbers(numbers, &mut room), value: &value, root: &[], out: &[] };
    let size = straight.kept.len() * n;
    let mut kept: Vec<T> = Vec::with_capacity(size);
    let mut written = None;
    let result = spares.make(shape, |out| {
        place(out, n, |result| {
            let mut outputs: SmallVec<[&mut [MaybeUninit<T>]; 6]> = SmallVec::new();
            outputs.push(result);
            outputs.extend(kept.spare_capacity_mut().get_mut(..size)?.chunks_exact_mut(n));
            let all = way.code.run(&sources, n, &mut outputs, &mut []);
            written = all.as_ref().map(|_| ());
            all
        });
        written
    })?;
    // SAFETY: `run` has written all outputs.
    unsafe { kept.set_len(size) };
    Some((result, if size > 0 { T::keep_for_code(kept) } else { Kept::Nothing }))
}

/// Hands out the cotangents of the wanted registers; `None`, with nothing done, if there is no code for it, or the value was not
/// computed by it.
pub(super) fn pull<'a, T: Keeps, E>(
    applied: &Applied<'a>,
    numbers: &[f64],
    operand: &impl Fn(usize) -> Option<&'a Value>,
    (root, out): (&[T], &[T]),
    made: &mut Vec<T>,
    hand: &mut impl FnMut(usize, Pulled<'_, T>) -> Result<(), E>,
) -> Option<Result<(), E>> {
    let Applied { formula, plan, kept, .. } = *applied;
    let kept = T::kept_for_code(kept);
    let straight = if kept.is_empty() { T::trial(plan).get(formula, plan) } else { T::trial(plan).known() }?;
    let (way, n) = (straight.back.as_ref()?, root.len());
    if kept.len() != straight.kept.len() * n {
        return None;
    }
    let mut room = SmallVec::new();
    let value = |i: u8| match straight.kept.iter().position(|own| *own == i) {
        Some(at) => kept.get(at * n..(at + 1) * n),
        None => elements(operand(i as usize)),
    };
    let sources = Sources { numbers: way.numbers(numbers, &mut room), value: &value, root, out };
    hand_out(&Back { formula, plan, code: &way.code, numbers }, &sources, made, hand)
}
