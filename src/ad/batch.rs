//! Batch levels: what `vmap` runs a function under.
//!
//! A value of a batch level is [`Value::Batched`]: all examples along axis 0 of one tensor, which may carry slots of lower
//! levels. To the program it looks like one example. A primitive at a batch level is applied to whole tensors by its
//! batching rule (`ops/prim.rs`), one level down, so everything below records as usual.
//!
//! Where control flow depends on a batched value, the examples part: the run is given up with [`Split`], and `vmap` runs
//! each group again on its own (`transforms/vmap.rs`). So every example takes its own path.

use std::collections::HashMap;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::dispatch::{escaped, is_structure};
use crate::ad::lift;
use crate::ad::slot::{Level, Slot};
use crate::ad::transforms::combine;
use crate::ad::{Cx, Mode};
use crate::error::{Cause, Error, Result};
use crate::ops::index::GET_INDEX;
use crate::ops::lanes::Ints;
use crate::ops::prim::{Batch, BatchCall, Eval, Prim};
use crate::ops::reshape::STACK;
use crate::tensor::{DType, Tensor};
use crate::value::{Batched, Value};

/// The examples of a batch level that may go on together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub level: u8,
    /// A number for each example: those with one number belong together. Empty: each goes alone.
    pub groups: Vec<u32>,
}

impl Cx {
    /// The innermost batch level that is open.
    pub fn innermost_batch(&self) -> Option<Level> {
        let at = self.levels.iter().rposition(|l| matches!(l.mode, Mode::Batch { .. }))?;
        Some(Level(at as u8 + 1))
    }

    /// Batch levels that are open and draw random numbers for each example, outermost first, with their numbers of
    /// examples.
    pub fn batch_levels(&self) -> Vec<(Level, usize)> {
        let open = self.levels.iter().enumerate();
        open.filter_map(|(i, l)| match l.mode {
            Mode::Batch { n, one_run: false } => Some((Level(i as u8 + 1), n)),
            _ => None,
        })
        .collect()
    }

    /// Puts a value, examples along axis 0, under a batch level.
    pub fn batch(&mut self, whole: Value, level: Level) -> Result<Value> {
        let one_float_each = whole.is_differentiable() && whole.shape().is_some_and(|s| s.len() == 1);
        let whole = if one_float_each { self.cast(&whole, DType::F64)? } else { whole };
        Ok(Value::Batched(Slot::batch(level), Rc::new(Batched { level, whole })))
    }

    /// All examples of a value along axis 0: of a value that is the same for all, copies.
    pub fn unbatch(&mut self, value: &Value, level: Level, n: usize) -> Result<Value> {
        if let Some(whole) = whole_at(value, level) {
            return Ok(whole.clone());
        }
        let mut shape: SmallVec<[usize; 4]> = SmallVec::from_slice(&[n]);
        shape.extend_from_slice(value.shape().unwrap_or(&[]));
        match value {
            Value::Int(i) => Ok(Value::tensor(Tensor::from_vec(&shape, vec![*i; n]))),
            Value::Bool(b) => Ok(Value::tensor(Tensor::from_vec(&shape, vec![*b; n]))),
            _ => self.broadcast_to(value, &shape),
        }
    }

    /// The highest batch level of a value inside a tuple or list among the arguments.
    pub(crate) fn batch_inside(&self, args: &[Value]) -> Level {
        args.iter().filter(|a| is_structure(a)).map(inside).max().unwrap_or_default()
    }

    /// Applies a primitive to all examples.
    pub(crate) fn apply_batch(&mut self, prim: &'static Prim, args: &[Value], level: Level, n: usize) -> Result<Value> {
        if let Eval::Elementwise(_) = &prim.eval
            && args.iter().any(is_structure)
        {
            return self.apply_leafwise(prim, args);
        }
        let mut wholes: SmallVec<[Value; 4]> = SmallVec::new();
        let mut batched: SmallVec<[bool; 4]> = SmallVec::new();
        for arg in args {
            let whole = whole_at(arg, level);
            batched.push(whole.is_some());
            wholes.push(whole.unwrap_or(arg).clone());
        }
        let call = BatchCall { prim, args: &wholes, batched: &batched, n };
        let nested = args.iter().any(|a| is_structure(a) && inside(a) == level);
        let out = match &prim.batch {
            Batch::Elementwise => Some(self.batch_elementwise(&call)?),
            Batch::Indexed(rule) => rule(self, &call, level)?,
            Batch::Rule(rule) if !nested => rule(self, &call)?,
            _ => None,
        };
        let out = match out {
            Some(out) => out,
            None => self.each_example(prim, args, level, n)?,
        };
        lift::map_leaves(&out, &mut |leaf| match leaf.shape() {
            Some(shape) if shape.first() == Some(&n) => self.batch(leaf.clone(), level),
            None => Ok(leaf.clone()),
            _ => Err(Error::new("E0400", format!("the batching rule of `{}` lost the batch axis", prim.name))),
        })
    }

    /// Elementwise with broadcasting on a whole batch.
    pub(crate) fn batch_elementwise(&mut self, call: &BatchCall<'_>) -> Result<Value> {
        let (count, promotes) = match &call.prim.eval {
            Eval::Elementwise(e) => (e.arity().min(call.args.len()), matches!(e.ints, Ints::Promote)),
            Eval::General(_) => (call.args.len(), false),
        };
        let rank = (0..count).map(|i| call.shape(i).len()).max().unwrap_or(0);
        let dtype = scalar_dtype(self, call, count, promotes);
        let mut args: SmallVec<[Value; 4]> = SmallVec::from(call.args);
        for (i, arg) in args.iter_mut().enumerate().take(count) {
            if !call.batched[i] {
                continue;
            }
            if let Some(dtype) = dtype
                && call.shape(i).is_empty()
                && (arg.is_differentiable() || rank == 0)
                && arg.dtype() != Some(DType::Bool)
            {
                *arg = self.cast(arg, dtype)?;
            }
            *arg = align(self, arg, call.shape(i).len(), rank)?;
        }
        self.apply(call.prim, &args)
    }

    /// One application for each example, results stacked.
    fn each_example(&mut self, prim: &'static Prim, args: &[Value], level: Level, n: usize) -> Result<Value> {
        let mut results = Vec::with_capacity(n);
        for k in 0..n {
            let mut example = Vec::with_capacity(args.len());
            for arg in args {
                example.push(self.example(arg, level, k)?);
            }
            results.push(self.apply(prim, &example)?);
        }
        self.stack_examples(&results)
    }

    /// Example `k` of a value.
    pub fn example(&mut self, value: &Value, level: Level, k: usize) -> Result<Value> {
        lift::map_leaves(value, &mut |leaf| match whole_at(leaf, level) {
            Some(whole) => self.apply(&GET_INDEX, &[whole.clone(), Value::Int(k as i64)]),
            None => Ok(leaf.clone()),
        })
    }

    /// Results of one structure, stacked leaf by leaf; what is no number is collected in a list.
    pub fn stack_examples(&mut self, results: &[Value]) -> Result<Value> {
        let Some(first) = results.first() else {
            return Err(
                Error::new("E0438", "vmap over an axis of length 0 has no result").help("give it at least one example")
            );
        };
        combine(first, results, &mut |leaf, parts| {
            if leaf.shape().is_none() {
                return Ok(Value::list(parts.to_vec()));
            }
            self.stack_parts(parts)
        })
    }

    /// Scalars or tensors of one shape along a new first axis; float scalars keep 64 bits.
    pub fn stack_parts(&mut self, parts: &[Value]) -> Result<Value> {
        let mut args = vec![Value::Int(0)];
        args.extend(parts.iter().cloned());
        let default = self.env.dtype;
        if parts.iter().all(Value::is_one_float) {
            self.env.dtype = DType::F64;
        }
        let result = self.apply(&STACK, &args);
        self.env.dtype = default;
        result
    }

    /// The one number that a batched int or bool has in all examples; where they differ, the examples part. A value that
    /// is not batched is given back as it is.
    pub fn concrete(&mut self, value: &Value) -> Result<Value> {
        let Value::Batched(_, b) = value else { return Ok(value.clone()) };
        if !value.shape().is_some_and(<[usize]>::is_empty) {
            return Ok(value.clone());
        }
        let (levels, tensor) = peel(b);
        let Some(tensor) = tensor else { return Err(self.each_alone()) };
        let data: Vec<u64> = tensor
            .iter_values()
            .map(|v| match v {
                Value::Int(i) => i as u64,
                Value::Bool(b) => u64::from(b),
                // A float may carry derivatives: it stays what it is.
                _ => u64::MAX,
            })
            .collect();
        if tensor.dtype().is_float() {
            return Err(self.each_alone());
        }
        let mut left = &data[..];
        for (level, n) in levels {
            let width = left.len() / n.max(1);
            let rows: Vec<&[u64]> = left.chunks(width.max(1)).collect();
            let mut known: HashMap<&[u64], u32> = HashMap::new();
            let groups: Vec<u32> = rows
                .iter()
                .map(|row| {
                    let next = known.len() as u32;
                    *known.entry(row).or_insert(next)
                })
                .collect();
            if known.len() > 1 {
                return Err(split(Split { level: level.0, groups }));
            }
            left = rows.first().copied().unwrap_or(&[]);
        }
        let Some(&bits) = left.first() else { return Ok(value.clone()) };
        Ok(if tensor.dtype() == DType::Bool { Value::Bool(bits != 0) } else { Value::Int(bits as i64) })
    }

    /// Parts directions of one run whose tangents of this result would be too large together: some at a time stay in the caches and
    /// in memory that was used before, which is worth running the function again for the others.
    pub(crate) fn part_directions(&self, out: &Value, tangents: &[Option<Value>]) -> Result<()> {
        /// Numbers in the tangents of one result.
        const ROOM: usize = 1 << 19;
        /// Directions that go together whatever their size, so that the function itself is little of the work.
        const LEAST: usize = 4;
        let Some(level) = self.innermost_batch() else { return Ok(()) };
        let Some(Mode::Batch { n, one_run: true }) = self.level(level).map(|l| &l.mode) else { return Ok(()) };
        let size: usize = out.shape().unwrap_or(&[]).iter().product();
        if *n <= LEAST || size.saturating_mul(*n) <= ROOM {
            return Ok(());
        }
        if !tangents.iter().flatten().any(|t| whole_at(t, level).is_some()) {
            return Ok(());
        }
        // All passes but the last are alike, and so is the memory that they use.
        let together = n.div_ceil(n.div_ceil((ROOM / size).max(LEAST)));
        Err(split(Split { level: level.0, groups: (0..*n).map(|i| (i / together) as u32).collect() }))
    }

    /// The request to run every example of the innermost batch level alone.
    #[cold]
    pub fn each_alone(&self) -> Error {
        match self.innermost_batch() {
            Some(level) => split(Split { level: level.0, groups: vec![] }),
            None => escaped(),
        }
    }
}

/// The request to run groups of examples apart.
#[cold]
fn split(split: Split) -> Error {
    Error::leave(Cause::Split(split))
}

/// All examples, if the value is batched at this level.
pub fn whole_at(value: &Value, level: Level) -> Option<&Value> {
    match value {
        Value::Batched(slot, b) if slot.level() == level && b.level == level => Some(&b.whole),
        _ => None,
    }
}

/// True if a leaf of it is batched.
pub fn is_batched(value: &Value) -> bool {
    match lift::children(value) {
        Some(items) => items.into_iter().any(is_batched),
        None => matches!(value, Value::Batched(..)),
    }
}

fn inside(value: &Value) -> Level {
    match lift::children(value) {
        Some(items) => items.into_iter().map(inside).max().unwrap_or_default(),
        None => match value {
            Value::Batched(slot, _) => slot.level(),
            _ => Level::default(),
        },
    }
}

/// Levels from the outermost with their numbers of examples, and the tensor that holds all.
fn peel(b: &Batched) -> (Vec<(Level, usize)>, Option<Rc<Tensor>>) {
    let (mut levels, tensor) = match &b.whole {
        Value::Tensor(_, t) => (vec![], Some(t.clone())),
        Value::Batched(_, below) => peel(below),
        _ => (vec![], None),
    };
    levels.push((b.level, b.whole.shape().and_then(|s| s.first().copied()).unwrap_or(0)));
    (levels, tensor)
}

/// A batched argument with axes of 1 behind the batch axis, so that an example of rank `have` has rank `want`.
pub fn align(cx: &mut Cx, whole: &Value, have: usize, want: usize) -> Result<Value> {
    if have >= want {
        return Ok(whole.clone());
    }
    let Some((&n, rest)) = whole.shape().and_then(<[usize]>::split_first) else { return Ok(whole.clone()) };
    let mut shape: SmallVec<[usize; 6]> = SmallVec::from_slice(&[n]);
    shape.resize(1 + want - have, 1);
    shape.extend_from_slice(rest);
    cx.reshape(whole, &shape)
}

/// What batched scalars must be cast to for the result to have the dtype of one example: scalars are weak.
fn scalar_dtype(cx: &Cx, call: &BatchCall<'_>, count: usize, promotes: bool) -> Option<DType> {
    let tensors = || (0..count).filter(|&i| !call.shape(i).is_empty()).filter_map(|i| call.args[i].dtype());
    if tensors().next().is_none() {
        // Scalars only: the result is a 64-bit float, if it is a float.
        let floats = promotes || call.args.iter().take(count).any(Value::is_differentiable);
        return floats.then_some(DType::F64);
    }
    Some(match tensors().filter(|d| d.is_float()).max_by_key(|d| *d == DType::F64) {
        Some(dtype) => dtype,
        None => cx.env.dtype,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups into which `n` directions of one run part at a result of this size, if they do.
    fn parted(n: usize, size: usize) -> Option<Vec<u32>> {
        let mut cx = Cx::default();
        let level = cx.open_directions(n).unwrap();
        let tangent = cx.batch(Value::tensor(Tensor::zeros(&[n, 2], DType::F64)), level).unwrap();
        let out = Value::tensor(Tensor::zeros(&[size], DType::F64));
        assert!(cx.part_directions(&out, &[None]).is_ok(), "nothing is batched");
        match cx.part_directions(&out, &[None, Some(tangent)]) {
            Ok(()) => None,
            Err(error) => match error.0.cause {
                Cause::Split(Split { level: at, groups }) if at == level.0 => Some(groups),
                other => panic!("{other:?}"),
            },
        }
    }

    #[test]
    fn directions_part_where_their_tangents_are_large() {
        let room = 1 << 19;
        assert_eq!(parted(8, room / 8), None);
        assert_eq!(parted(8, room / 8 + 1), Some(vec![0, 0, 0, 0, 1, 1, 1, 1]));
        assert_eq!(parted(4, room), None);
        assert_eq!(parted(9, 10 * room), Some(vec![0, 0, 0, 1, 1, 1, 2, 2, 2]));
        assert_eq!(parted(26, 153_600).map(|groups| groups.last().copied()), Some(Some(6)));
    }

    #[test]
    fn examples_do_not_part_for_their_size() {
        let mut cx = Cx::default();
        let level = cx.open_batch(8).unwrap();
        let tangent = cx.batch(Value::tensor(Tensor::zeros(&[8, 2], DType::F64)), level).unwrap();
        let out = Value::tensor(Tensor::zeros(&[1 << 19], DType::F64));
        assert!(cx.part_directions(&out, &[Some(tangent)]).is_ok());
    }
}
