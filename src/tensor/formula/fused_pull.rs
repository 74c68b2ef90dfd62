//! The way back through a formula as machine code: what `pull` does operation by operation.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::fused::{Fused, Sources};
use super::graph::{Backward, Root, Target};
use super::layout::{Layout, Reach};
use super::onto::{Onto, Sums};
use super::pull::{Applied, Bars, Pulled, gathered, rest};
use super::{BLOCK, Held, Machine};
use crate::bytecode::formula::Formula;
use crate::ops::lanes::{Elementwise, LaneKernel, PullKernel};
use crate::tensor::cast::Float;
use crate::tensor::create::scalar_f64;
use crate::tensor::simd::sums::{addends, sum_onto};
use crate::tensor::{count, threads};
use crate::value::Value;

/// What all blocks have in common.
pub(super) struct Way<'a, T: Clone> {
    fused: &'a Fused,
    targets: Vec<Target>,
    pub(super) numbers: Vec<T>,
    /// The cotangent of the result and the result, as far as they are tensors.
    root: Cow<'a, [T]>,
    out: Cow<'a, [T]>,
}

/// Some of the elements: the cotangents that have an element for each, and what the values add to their sum.
struct Part<'p, T> {
    start: usize,
    end: usize,
    outputs: Vec<&'p mut [MaybeUninit<T>]>,
    sums: Vec<f64>,
    done: bool,
}

/// The elements of outputs that are whole.
pub(super) type Wholes<T> = Vec<(Target, Vec<T>)>;

/// Whether an output has its elements in the end, and not their sums, and they don't go to others at once (bit `i` of `done`).
fn is_whole(target: &Target, done: u32) -> bool {
    match target {
        Target::Sum | Target::Shares(_) => false,
        Target::Cotangent(i) => done & (1 << i) == 0,
        _ => true,
    }
}

/// The sum of the values, if this is a total, and the cotangents; `None` if there is no code for it.
pub(super) fn fused_back<T: Float>(
    applied: &Applied<'_>,
    y_bar: &Value,
    onto: &mut Onto,
    (live, needed): (u32, u32),
    lanes: fn(&Elementwise) -> LaneKernel<T>,
    pulls: fn(&Elementwise) -> [PullKernel<T>; 3],
) -> Option<(f64, Pulled)> {
    let Applied { formula, layout, operands, out, unread, .. } = *applied;
    let n = count(&layout.shape);
    if n == 0 {
        return None;
    }
    let number = if let Value::Tensor(..) = y_bar { None } else { Some(scalar_f64(y_bar).unwrap_or(0.0)) };
    let back = Backward {
        live,
        root: Root::of(number.map(|x| T::c(x).to_f64())),
        has_out: matches!(out, Value::Tensor(..)),
        sums: formula.total.is_some(),
        slopes: false,
        unread,
        anyway: false,
        moving: 0,
        kept: 0,
        apart: 0,
        adds: 0,
    };
    let fused = formula.compiled.get(formula, &layout.reach, size_of::<T>() == 8, Some(back), n)?;
    // Several threads have the cotangents as a whole.
    let alone = threads::part_of(n, fused.targets().count()) >= n;
    let has = |i: usize| fused.targets().any(|target| matches!(target, Target::Cotangent(j) if j as usize == i));
    let mut sums = onto.begin::<T>(n, |i| alone && layout.reach.get(i) == Some(&Reach::Whole) && has(i));
    let done = sums.mask();
    // What is made goes through the innermost cache.
    let block = if done == 0 { fused.block(&layout.reach) } else { BLOCK / 2 };
    let mut machine = settled(formula, operands, layout, needed, block, lanes)?;
    let way = Way::new(&fused, &mut machine, number.unwrap_or(0.0), elements(y_bar), elements(out))?;
    let mut bars = Bars::new(layout, formula.value(formula.steps.len()), machine.block);
    let (total, wholes) = way.compute(&mut machine, n, &mut bars, &mut sums)?;
    let made = sums.made();
    onto.end(done, made);
    for (target, data) in wholes {
        if let Target::Cotangent(i) = target {
            *bars.blocks.get_mut(i as usize)? = data;
        }
    }
    bars.settle();
    rest(applied, &machine, &mut bars, live, pulls)?;
    Some((total, gathered(applied, bars, done)?))
}

/// The operands of a formula, and what of its values reaches less far than the result, as far as it is needed; blocks of `most` elements.
pub(super) fn settled<'a, T: Float>(
    formula: &Formula,
    operands: &'a [Value],
    layout: &'a Layout,
    needed: u32,
    most: usize,
    lanes: fn(&Elementwise) -> LaneKernel<T>,
) -> Option<Machine<'a, T>> {
    let mut machine: Machine<T> = Machine::new(formula, operands, layout, most)?;
    for (k, step) in formula.steps.iter().enumerate() {
        let value = formula.value(k);
        let reach = machine.reach(value as u8);
        let held = if reach != Reach::Whole && needed & (1 << value) != 0 {
            machine.settle(*step, reach, lanes(step.inside()?))?
        } else {
            Held::Absent
        };
        machine.held.push(held);
    }
    Some(machine)
}

/// Takes the elements of a block that are to be added up: what for, where the block begins, the elements, and where sums go.
type Summing<'f, T> = &'f mut dyn FnMut(Target, usize, &[T], &mut Vec<f64>);

impl<'a, T: Float> Way<'a, T> {
    /// `root` is the cotangent of the result and `out` the result, as far as they are tensors; `number` is the cotangent if it is one.
    pub(super) fn new(
        fused: &'a Fused,
        machine: &mut Machine<'_, T>,
        number: f64,
        root: Cow<'a, [T]>,
        out: Cow<'a, [T]>,
    ) -> Option<Way<'a, T>> {
        fused.values().for_each(|i| machine.will_spread(i));
        let numbers = fused.numbers(|i| machine.number(i), number)?;
        Some(Way { fused, targets: fused.targets().collect(), numbers, root, out })
    }

    /// The sum of what is a sum, and the elements of the outputs that are whole; adds shares to `bars`.
    pub(super) fn compute(
        &self,
        machine: &mut Machine<'_, T>,
        n: usize,
        bars: &mut Bars<'_, T>,
        onto: &mut Sums<'_, T>,
    ) -> Option<(f64, Wholes<T>)> {
        let targets = &self.targets;
        let done = onto.mask();
        let wholes = targets.iter().copied().filter(|target| is_whole(target, done));
        let mut whole: Wholes<T> = wholes.map(|target| (target, Vec::with_capacity(n))).collect();
        // Sums of shares would depend on the number of parts.
        let has_shares = targets.iter().any(|target| matches!(target, Target::Shares(_)));
        let size = if has_shares || done != 0 {
            n
        } else {
            threads::part_of(n, targets.len()).next_multiple_of(machine.block.max(1))
        };
        let part = |start| Part { start, end: (start + size).min(n), outputs: vec![], sums: vec![], done: false };
        let mut parts: Vec<Part<'_, T>> = (0..n).step_by(size).map(part).collect();
        for (_, whole) in &mut whole {
            for (part, room) in parts.iter_mut().zip(whole.spare_capacity_mut().get_mut(..n)?.chunks_mut(size)) {
                part.outputs.push(room);
            }
        }
        let mut total = 0.0;
        if let [part] = &mut parts[..] {
            self.go(machine, part, done, &mut |target, start, made, _| match target {
                Target::Cotangent(i) => onto.add(i as usize, start, made),
                Target::Shares(i) => bars.add(i as usize, start, made.len(), false, |out| out.extend_from_slice(made)),
                _ => total = sum_onto(total, made),
            });
        } else {
            threads::each_chunk(&mut parts, 1, |_, part| {
                if let [part] = part {
                    self.go(&mut machine.clone(), part, done, &mut |_, _, made, sums| addends(made, sums));
                }
            });
            // In the order in which one thread adds them.
            total = parts.iter().flat_map(|part| &part.sums).fold(0.0, |sum, part| sum + part);
        }
        if !parts.iter().all(|part| part.done) {
            return None;
        }
        drop(parts);
        for (_, data) in &mut whole {
            // SAFETY: all parts are done: each has written its elements.
            unsafe { data.set_len(n) };
        }
        Some((total, whole))
    }

    /// Goes through the blocks of a part.
    fn go(&self, machine: &mut Machine<'_, T>, part: &mut Part<'_, T>, done: u32, sum: Summing<'_, T>) -> Option<()> {
        let block = machine.block.max(1);
        let mut scratch = self.fused.scratch::<T>(block);
        let mut apart: Vec<Vec<T>> =
            self.targets.iter().filter(|t| !is_whole(t, done)).map(|_| Vec::with_capacity(block)).collect();
        for start in (part.start..part.end).step_by(block) {
            let len = block.min(part.end - start);
            machine.begin(start, len);
            let value = |i: u8| machine.elements(i, start, len);
            let of = |all: &'_ [T]| if all.is_empty() { 0..0 } else { start..start + len };
            let sources = Sources {
                numbers: &self.numbers,
                value: &value,
                root: self.root.get(of(&self.root))?,
                out: self.out.get(of(&self.out))?,
            };
            let (mut wholes, mut sums) = (part.outputs.iter_mut(), apart.iter_mut());
            let mut outputs: Vec<&mut [MaybeUninit<T>]> = vec![];
            for target in &self.targets {
                outputs.push(if is_whole(target, done) {
                    wholes.next()?.get_mut(start - part.start..start - part.start + len)?
                } else {
                    let made = sums.next()?;
                    made.clear();
                    made.spare_capacity_mut().get_mut(..len)?
                });
            }
            self.fused.run(&sources, len, &mut outputs, &mut scratch)?;
            for (target, made) in self.targets.iter().filter(|t| !is_whole(t, done)).zip(&mut apart) {
                // SAFETY: `run` has written so many to each output.
                unsafe { made.set_len(len) };
                sum(*target, start, made, &mut part.sums);
            }
        }
        part.done = true;
        Some(())
    }
}

/// The elements of a tensor; none of what is no tensor.
fn elements<T: Float>(v: &Value) -> Cow<'_, [T]> {
    if let Value::Tensor(_, t) = v { T::load(t) } else { Cow::Borrowed(&[]) }
}
