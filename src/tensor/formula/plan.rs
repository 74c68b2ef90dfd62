//! What a formula takes on tensors of one shape and numbers: found once for each kind of operands, and kept by the formula.

use std::rc::Rc;

use smallvec::SmallVec;

use super::layout::Reach;
use super::program::{Masks, Program};
use super::pull::{live, needed};
use super::rows::{SHORT, Steps};
use super::straight::Trial;
use crate::bytecode::formula::Formula;
use crate::tensor::form::{Form, alike};
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;

/// Elements that are few.
const FEW: usize = 2048;
/// Plans that a formula keeps.
const KEPT: usize = 8;

/// What the operands are; bit `i` stands for register `i`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds {
    pub tensors: u32,
    pub ints: u32,
    /// Those with a node, whose cotangents are wanted.
    pub wanted: u32,
}

/// A formula on operands of some kinds.
pub struct Plan {
    pub kinds: Kinds,
    /// Bit `i`: the pullback reads value `i`, see [`needed`].
    pub needed: u32,
    pub program: Program,
    /// The same for tensors of a few elements.
    pub steps: Steps,
    /// How far each value reaches.
    pub reach: SmallVec<[Reach; 16]>,
    /// Machine code for a few elements, of f32 and of f64.
    pub narrow: Trial<f32>,
    pub wide: Trial<f64>,
}

impl Plan {
    /// `None` if the result is a number, or an operation has ints only.
    fn new(formula: &Formula, kinds: Kinds) -> Option<Plan> {
        if !formula.is_float(kinds.ints) {
            return None;
        }
        let mut lanes = kinds.tensors;
        for (k, step) in formula.steps.iter().enumerate() {
            let (a, b) = step.operands();
            if lanes & (1 << a) != 0 || b.is_some_and(|b| lanes & (1 << b) != 0) {
                lanes |= 1 << formula.value(k);
            }
        }
        let last = formula.value(formula.steps.len()).checked_sub(1)?;
        if lanes & (1 << last) == 0 {
            return None;
        }
        let (live, needed) = (live(formula, kinds.wanted), needed(formula, kinds.wanted));
        let program = Program::new(formula, kinds, Masks { lanes, live, needed })?;
        let reach = |i: usize| if lanes & (1 << i) != 0 { Reach::Whole } else { Reach::Number };
        let steps = Steps::new(&program);
        let reach = (0..=last).map(reach).collect();
        Some(Plan { kinds, needed, program, steps, reach, narrow: Trial::default(), wide: Trial::default() })
    }

    /// Whether it is worth to look for machine code: arithmetic on a few elements is done sooner without.
    pub fn is_for_code(&self, n: usize) -> bool {
        n > SHORT || self.steps.keeps()
    }
}

/// The plan for small dense float tensors of one shape and dtype, and numbers, and one of the tensors. `None` for all else, also for
/// operands of a level that is not the outermost.
#[inline]
pub fn plan<'a>(formula: &Formula, operands: impl Iterator<Item = &'a Value>) -> Option<(Rc<Plan>, &'a Tensor)> {
    let mut kinds = Kinds::default();
    let mut lead: Option<&Tensor> = None;
    for (i, operand) in operands.enumerate() {
        let slot = match operand {
            Value::Tensor(slot, t) => {
                kinds.tensors |= 1 << i;
                match lead {
                    None => lead = Some(t),
                    Some(lead) if lead.dtype() == t.dtype() && alike(lead.shape(), t.shape()) => {}
                    Some(_) => return None,
                }
                *slot
            }
            Value::Float(slot, _) => *slot,
            Value::Int(_) => {
                kinds.ints |= 1 << i;
                continue;
            }
            _ => return None,
        };
        if !slot.is_const() {
            if slot.level().0 > 1 {
                return None;
            }
            kinds.wanted |= 1 << i;
        }
    }
    let lead = lead?;
    let n = count(lead.shape());
    if n == 0 || n > FEW || lead.rank() > Form::RANK || !matches!(lead.dtype(), DType::F32 | DType::F64) {
        return None;
    }
    if formula.floats & (kinds.tensors | kinds.ints) != 0 {
        return None;
    }
    let mut plans = formula.plans.borrow_mut();
    if let Some(plan) = plans.iter().find(|plan| plan.kinds == kinds) {
        return Some((plan.clone(), lead));
    }
    let plan = Rc::new(Plan::new(formula, kinds)?);
    if plans.len() < KEPT {
        plans.push(plan.clone());
    }
    Some((plan, lead))
}
