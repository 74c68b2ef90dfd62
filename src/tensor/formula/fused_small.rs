//! Formulas on some hundred elements as machine code, in one block.

use std::mem::MaybeUninit;
use std::rc::Rc;

use smallvec::SmallVec;

use super::fused::Sources;
use super::graph::{Backward, Root, Target};
use super::plan::Plan;
use super::program::{Back, Bar};
use super::small::{Applied, Pulled, at, pull_number};
use crate::bytecode::formula::{Formula, MOST};
use crate::tensor::cast::Float;
use crate::tensor::out::place;
use crate::tensor::simd::sums::sum;
use crate::tensor::spares::Spares;
use crate::tensor::{Tensor, dense};
use crate::value::Value;

/// Whether it is faster than operation by operation (see `straight` for what has no kernels), which goes through memory once for each, but has less to see to before.
#[inline]
pub(super) fn pays(plan: &Plan, n: usize) -> bool {
    const FEWEST: usize = 128;
    /// Elements that are read and written once less.
    const SAVED: usize = 1024;
    n >= FEWEST && plan.program.forward.len().saturating_sub(1) * n >= SAVED
}

/// The elements of an operand.
#[inline]
pub(super) fn elements<T: Float>(operand: Option<&Value>) -> Option<&[T]> {
    if let Value::Tensor(_, t) = operand? { dense(T::array(t)?) } else { None }
}

/// The value of a formula; `None` if there is no code for it.
pub(super) fn forward<'a, T: Float>(
    formula: &Formula,
    plan: &Plan,
    (shape, n): (&[usize], usize),
    numbers: &[f64],
    operand: &impl Fn(usize) -> Option<&'a Value>,
    spares: &mut Spares,
) -> Option<Rc<Tensor>> {
    let fused = formula.compiled.get(formula, &plan.reach, size_of::<T>() == 8, None, n)?;
    let numbers = fused.numbers::<T>(|i| Some(at(numbers, i)), 0.0)?;
    let value = |i: u8| elements(operand(i as usize));
    let sources = Sources { numbers: &numbers, value: &value, root: &[], out: &[] };
    let mut scratch = fused.scratch(n);
    spares.make(shape, |out| {
        place(out, n, |room| fused.run(&sources, n, &mut [room], &mut scratch));
        Some(())
    })
}

/// Hands out the cotangents of the wanted registers; `None`, with nothing done, if there is no code for it.
pub(super) fn pull<'a, T: Float, E>(
    applied: &Applied<'a>,
    numbers: &[f64],
    operand: &impl Fn(usize) -> Option<&'a Value>,
    (root, out): (&[T], &[T]),
    room: &mut Vec<T>,
    hand: &mut impl FnMut(usize, Pulled<'_, T>) -> Result<(), E>,
) -> Option<Result<(), E>> {
    let Applied { formula, plan, .. } = *applied;
    let (n, program) = (root.len(), &plan.program);
    let way = Backward {
        live: program.live,
        root: Root::Elements,
        has_out: !out.is_empty(),
        sums: false,
        slopes: false,
        unread: false,
        anyway: false,
        moving: 0,
        kept: 0,
        apart: 0,
        adds: 0,
    };
    let fused = formula.compiled.get(formula, &plan.reach, size_of::<T>() == 8, Some(way), n)?;
    let values = fused.numbers::<T>(|i| Some(at(numbers, i)), 0.0)?;
    let value = |i: u8| elements(operand(i as usize));
    let sources = Sources { numbers: &values, value: &value, root, out };
    let targets: SmallVec<[Target; 8]> = fused.targets().collect();
    let size = targets.len() * n;
    room.clear();
    room.reserve(size);
    let mut outputs: SmallVec<[&mut [MaybeUninit<T>]; 8]> =
        room.spare_capacity_mut().get_mut(..size)?.chunks_exact_mut(n).collect();
    fused.run(&sources, n, &mut outputs, &mut fused.scratch(n))?;
    drop(outputs);
    // SAFETY: `run` has written all outputs.
    unsafe { room.set_len(size) };
    let made = |wanted: Target| {
        let at = targets.iter().position(|target| *target == wanted)?;
        room.get(at * n..(at + 1) * n)
    };
    let mut sums = [0.0; MOST];
    for target in &targets {
        if let Target::Shares(i) = *target {
            sums[i as usize % MOST] = sum(made(*target)?);
        }
    }
    for step in &program.back {
        if let Back::Numbers { k } = step {
            pull_number(formula, *k, plan, numbers, &mut sums)?;
        }
    }
    for &(i, bar) in &program.bars {
        let pulled = match bar {
            Bar::Root => Pulled::Root,
            Bar::Made(_) => Pulled::Elements(made(Target::Cotangent(i))?),
            Bar::Sum => Pulled::Number(sums[i as usize % MOST]),
        };
        if let Err(error) = hand(i as usize, pulled) {
            return Some(Err(error));
        }
    }
    Some(Ok(()))
}
