//! vmap: a function over a leading axis, all examples at once.
//!
//! The function runs once under a batch level (`ad/batch.rs`). Where its control flow depends on an example's numbers, it
//! is run again for each group of examples that take one path, so the result is always that of one run for each example,
//! which is also the way out where a step cannot be batched.

use crate::ad::batch::{Split, is_batched};
use crate::ad::lift;
use crate::ad::slot::Level;
use crate::ad::transforms::jacobian::combine;
use crate::ad::transforms::{describe, expect_function};
use crate::builtins::Builtin;
use crate::env::Rng;
use crate::error::{Cause, Error, Result};
use crate::ops::index::GET_INDEX;
use crate::ops::prim::{Default, Sig, opt, req};
use crate::ops::reshape::{CONCAT, PERMUTE};
use crate::tensor::{DType, Tensor};
use crate::types::ty::Ty;
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

pub static VMAP: Builtin = Builtin {
    name: "vmap",
    doc: "f over the leading axis of its arguments (axes: an axis, or one for each argument, none for those that go to \
          every example); results are stacked. All examples run at once; where branches differ, each takes its own. \
          Example: vmap(|x| sum(x))([[1.0, 2.0], [3.0, 4.0]]) is [3.0, 7.0]",
    sig: Sig { params: &[req("f"), opt("axes", Default::Int(0))] },
    infer: |_| Ok(Ty::Any),
    run: |_, args| {
        expect_function("vmap", &args[0])?;
        Ok(Value::native(Vmap { f: args[0].clone(), axes: args[1].clone() }))
    },
};

struct Vmap {
    f: Value,
    axes: Value,
}

impl Vmap {
    fn axis(&self, i: usize, count: usize) -> Result<Option<i64>> {
        let one = |v: &Value| match v {
            Value::Int(axis) => Ok(Some(*axis)),
            Value::None => Ok(None),
            other => Err(Error::new("E0438", format!("an axis of vmap is an int or none, not {}", other.type_name()))),
        };
        match &self.axes {
            Value::Tuple(axes) if axes.len() == count => one(&axes[i]),
            Value::Tuple(axes) => {
                Err(Error::new("E0438", format!("vmap has {} axes for {count} arguments", axes.len())))
            }
            single => one(single),
        }
    }

    /// Number of examples, the same in every tensor of the arguments that have an axis.
    fn examples(&self, args: &Args) -> Result<usize> {
        let count = args.positional.len();
        let mut size: Option<(usize, usize)> = None;
        for (i, arg) in args.positional.iter().enumerate() {
            let Some(axis) = self.axis(i, count)? else { continue };
            for n in lengths(arg, axis)? {
                match size {
                    Some((first, m)) if m != n => {
                        return Err(super::unequal_axes((first, m), (i, n)));
                    }
                    _ => size = Some((i, n)),
                }
            }
        }
        size.map(|(_, n)| n).ok_or_else(|| {
            Error::new("E0438", "vmap needs an argument with an axis to go along")
                .help("pass a tensor with a leading batch axis")
        })
    }
}

impl NativeFn for Vmap {
    fn describe(&self) -> String {
        describe("vmap", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let n = self.examples(&args)?;
        if n == 0 {
            return Err(
                Error::new("E0438", "vmap over an axis of length 0 has no result").help("give it at least one example")
            );
        }
        let count = args.positional.len();
        let mut along = Vec::with_capacity(count);
        let mut args = args;
        for (i, arg) in args.positional.iter_mut().enumerate() {
            let axis = self.axis(i, count)?;
            along.push(axis.is_some());
            if let Some(axis) = axis {
                *arg = lift::map_leaves(arg, &mut |leaf| axis_first(vm, leaf, axis))?;
            }
        }
        let run = |vm: &mut Vm, positional: &[Value]| {
            vm.call_args(&self.f, Args { positional: positional.to_vec(), named: args.named.clone() })
        };
        let result = over_examples(vm, &args.positional, &along, n, &run)?;
        // Scalars become elements of a tensor of the default dtype, as in brackets.
        let dtype = vm.cx.env.dtype;
        match result.one_number_each {
            Some(ref flags) => cast_leaves(vm, &result.value, flags, &mut 0, dtype),
            None => Ok(result.value),
        }
    }

    fn inner(&self) -> Option<&Value> {
        Some(&self.f)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        let f = values.into_iter().next()?;
        Some(Value::native(Vmap { f, axes: self.axes.clone() }))
    }
}

/// What a function gives over examples.
pub struct Mapped {
    /// Each number or tensor with the examples along axis 0.
    pub value: Value,
    /// For each leaf, whether it was one float in each example (then it is f64). `None`: no leaf is.
    one_number_each: Option<Vec<bool>>,
}

/// A run of host code on arguments.
pub type Run<'a> = dyn Fn(&mut Vm, &[Value]) -> Result<Value> + 'a;

/// Runs a function over `n` examples: arguments with `along` have them on axis 0 of every tensor in them.
pub fn over_examples(vm: &mut Vm, args: &[Value], along: &[bool], n: usize, run: &Run<'_>) -> Result<Mapped> {
    over(vm, Job { args, along, run, n, one_run: None })
}

/// The same for `n` directions of one run: all get the same random numbers, and the generator goes on as after one.
pub fn over_directions(vm: &mut Vm, args: &[Value], along: &[bool], n: usize, run: &Run<'_>) -> Result<Value> {
    let one_run = Some(vm.cx.env.rng.clone());
    over(vm, Job { args, along, run, n, one_run }).map(|mapped| mapped.value)
}

fn over(vm: &mut Vm, job: Job<'_>) -> Result<Mapped> {
    let n = job.n;
    // Groups that are still to be run, and what the others gave.
    let mut open: Vec<Vec<usize>> = vec![(0..n).collect()];
    let mut done: Vec<(Vec<usize>, Mapped)> = vec![];
    let (mut parted, mut finished) = (0, 0);
    while let Some(group) = open.pop() {
        // Groups that keep shrinking by a few examples are no gain over one example at a time.
        if parted > 16 && finished < 4 * parted && group.len() > 1 {
            open.extend(group.into_iter().rev().map(|example| vec![example]));
            continue;
        }
        match job.group(vm, &group)? {
            Outcome::Done(mapped) => {
                finished += group.len();
                done.push((group, mapped));
            }
            Outcome::Parted(parts) => {
                parted += 1;
                open.extend(parts.into_iter().rev());
            }
        }
    }
    job.merge(vm, done)
}

struct Job<'a> {
    args: &'a [Value],
    along: &'a [bool],
    run: &'a Run<'a>,
    n: usize,
    /// The random state that every example begins with, if it is one for all.
    one_run: Option<Rng>,
}

enum Outcome {
    Done(Mapped),
    /// The examples take different paths.
    Parted(Vec<Vec<usize>>),
}

impl Job<'_> {
    /// Runs some of the examples.
    fn group(&self, vm: &mut Vm, which: &[usize]) -> Result<Outcome> {
        if let Some(rng) = &self.one_run {
            vm.cx.env.rng = rng.clone();
        }
        let [only] = which else { return self.together(vm, which) };
        let args = self.arguments(vm, |vm, leaf| vm.cx.apply(&GET_INDEX, &[leaf.clone(), Value::Int(*only as i64)]))?;
        let result = (self.run)(vm, &args)?;
        let flags = flags(&result);
        let value = vm.cx.stack_examples(std::slice::from_ref(&result))?;
        Ok(Outcome::Done(Mapped { value, one_number_each: flags }))
    }

    fn together(&self, vm: &mut Vm, which: &[usize]) -> Result<Outcome> {
        let depth = vm.cx.depth();
        let rng = vm.cx.env.rng.clone();
        let error = match self.attempt(vm, which) {
            Ok(mapped) => return Ok(Outcome::Done(mapped)),
            Err(error) => error,
        };
        vm.cx.close_to(depth);
        let groups = match &error.0.cause {
            Cause::Split(Split { level, groups }) if *level as usize == depth + 1 => groups.as_slice(),
            // It may fail for some of them only; alone, the error names the example's own values.
            Cause::Failure => &[],
            _ => return Err(error),
        };
        vm.cx.env.rng = rng;
        if groups.len() != which.len() {
            return Ok(Outcome::Parted(which.iter().map(|example| vec![*example]).collect()));
        }
        let count = groups.iter().max().map_or(0, |m| *m as usize + 1);
        let mut parts = vec![vec![]; count];
        for (example, group) in which.iter().zip(groups) {
            parts[*group as usize].push(*example);
        }
        Ok(Outcome::Parted(parts))
    }

    /// All of them under one batch level.
    fn attempt(&self, vm: &mut Vm, which: &[usize]) -> Result<Mapped> {
        let level = match self.one_run {
            Some(_) => vm.cx.open_directions(which.len())?,
            None => vm.cx.open_batch(which.len())?,
        };
        let picked = (which.len() < self.n).then(|| indices(which));
        let args = self.arguments(vm, |vm, leaf| {
            let whole = match &picked {
                Some(picked) => vm.cx.apply(&GET_INDEX, &[leaf.clone(), picked.clone()])?,
                None => leaf.clone(),
            };
            vm.cx.batch(whole, level)
        })?;
        let result = (self.run)(vm, &args)?;
        let flags = flags(&result);
        let value = self.gathered(vm, &result, level, which.len())?;
        vm.cx.close();
        Ok(Mapped { value, one_number_each: flags })
    }

    fn arguments(&self, vm: &mut Vm, mut each: impl FnMut(&mut Vm, &Value) -> Result<Value>) -> Result<Vec<Value>> {
        let mut args = Vec::with_capacity(self.args.len());
        for (arg, along) in self.args.iter().zip(self.along) {
            args.push(if *along {
                lift::map_leaves(arg, &mut |leaf| {
                    if leaf.tensor_dtype().is_some() { each(vm, leaf) } else { Ok(leaf.clone()) }
                })?
            } else {
                arg.clone()
            });
        }
        Ok(args)
    }

    /// A result with the examples along axis 0 of each leaf, seen from below the level.
    fn gathered(&self, vm: &mut Vm, result: &Value, level: Level, n: usize) -> Result<Value> {
        lift::map_leaves(result, &mut |leaf| {
            if leaf.shape().is_some() {
                return vm.cx.unbatch(leaf, level, n);
            }
            if matches!(leaf, Value::None) {
                return Ok(Value::None);
            }
            // A function may hold batched values.
            if lift::mentions(leaf, level) || is_batched(leaf) {
                return Err(vm.cx.each_alone());
            }
            Ok(Value::list(vec![leaf.clone(); n]))
        })
    }

    /// Results of groups, in the order of the examples again.
    fn merge(&self, vm: &mut Vm, mut done: Vec<(Vec<usize>, Mapped)>) -> Result<Mapped> {
        if done.len() == 1
            && let Some((_, mapped)) = done.pop()
        {
            return Ok(mapped);
        }
        let order: Vec<usize> = done.iter().flat_map(|(group, _)| group).copied().collect();
        let mut place = vec![0; order.len()];
        for (i, example) in order.iter().enumerate() {
            place[*example] = i;
        }
        let sorted = order.is_sorted();
        let flags = done.first().and_then(|(_, r)| r.one_number_each.clone());
        let values: Vec<Value> = done.into_iter().map(|(_, r)| r.value).collect();
        let values = values.iter().map(|v| conform(&values[0], v)).collect::<Result<Vec<_>>>()?;
        let Some(first) = values.first() else { return Ok(Mapped { value: Value::None, one_number_each: None }) };
        let value = combine_results(first, &values, &mut |leaf, pieces| {
            if leaf.shape().is_none() {
                let all: Vec<Value> = pieces
                    .iter()
                    .filter_map(|p| if let Value::List(v) = p { Some(v.to_vec()) } else { None })
                    .flatten()
                    .collect();
                return Ok(Value::list(place.iter().filter_map(|p| all.get(*p).cloned()).collect()));
            }
            let mut args = vec![Value::Int(0)];
            args.extend(pieces.iter().cloned());
            let joined = vm.cx.apply(&CONCAT, &args)?;
            if sorted { Ok(joined) } else { vm.cx.apply(&GET_INDEX, &[joined, indices(&place)]) }
        })?;
        Ok(Mapped { value, one_number_each: flags })
    }
}

/// True for a leaf that is no number: a list with what each example gave.
fn is_collected(value: &Value) -> bool {
    matches!(value, Value::List(items) if items.iter().all(|v| v.shape().is_none() && lift::children(v).is_none()))
}

/// The result of a group in the form of the first group's: dicts in its order of keys. Different forms are an error.
fn conform(first: &Value, value: &Value) -> Result<Value> {
    let parts = |x: &[&Value], y: &[&Value]| x.iter().zip(y).map(|(x, y)| conform(x, y)).collect::<Result<Vec<_>>>();
    let (xs, ys) = (lift::children(first), lift::children(value));
    match (first, value) {
        _ if is_collected(first) || is_collected(value) => {
            if is_collected(first) && is_collected(value) {
                Ok(value.clone())
            } else {
                Err(forms(first, value))
            }
        }
        (Value::Dict(x), Value::Dict(y)) if x.len() == y.len() => {
            let ordered: Option<Vec<&Value>> = x.keys().map(|key| y.get(key)).collect();
            match (xs, ordered) {
                (Some(xs), Some(ys)) => Ok(lift::rebuild(first, parts(&xs, &ys)?)),
                _ => Err(forms(first, value)),
            }
        }
        (Value::Tuple(_), Value::Tuple(_)) | (Value::List(_), Value::List(_)) => match (xs, ys) {
            (Some(xs), Some(ys)) if xs.len() == ys.len() => Ok(lift::rebuild(first, parts(&xs, &ys)?)),
            _ => Err(forms(first, value)),
        },
        (Value::Struct(x), Value::Struct(y)) if std::rc::Rc::ptr_eq(&x.def, &y.def) => match (xs, ys) {
            (Some(xs), Some(ys)) => Ok(lift::rebuild(first, parts(&xs, &ys)?)),
            _ => Err(forms(first, value)),
        },
        (Value::None, Value::None) => Ok(Value::None),
        _ => match (first.shape(), value.shape()) {
            (Some([_, x @ ..]), Some([_, y @ ..])) if x == y => Ok(value.clone()),
            _ => Err(forms(first, value)),
        },
    }
}

#[cold]
fn forms(a: &Value, b: &Value) -> Error {
    fn one(value: &Value) -> String {
        match value {
            Value::List(items) if is_collected(value) => items.first().map_or("an empty list".into(), Value::type_name),
            Value::Tuple(items) | Value::List(items) => format!("a {} of {}", value.type_name(), items.len()),
            Value::Dict(d) => format!("a dict with {}", d.keys().map(crate::show::key).collect::<Vec<_>>().join(", ")),
            _ => match (value.shape(), value.dtype()) {
                (Some([_]), Some(DType::Int)) => "int".into(),
                (Some([_]), Some(DType::Bool)) => "bool".into(),
                (Some([_]), Some(_)) => "float".into(),
                (Some([_, rest @ ..]), Some(dtype)) => format!("{dtype}{}", crate::tensor::show_shape(rest)),
                _ => value.type_name(),
            },
        }
    }
    Error::new("E0304", format!("vmap stacks results of one form, and the examples gave {} and {}", one(a), one(b)))
        .help("return the same structure, with the same shapes, from every branch")
}

/// As [`combine`], but lists of what is no number (one entry for each example) are leaves.
fn combine_results(
    first: &Value,
    all: &[Value],
    join: &mut dyn FnMut(&Value, &[Value]) -> Result<Value>,
) -> Result<Value> {
    if is_collected(first) {
        return join(first, all);
    }
    if let Some(parts) = lift::children(first) {
        let mut joined = Vec::with_capacity(parts.len());
        for i in 0..parts.len() {
            let column: Vec<Value> = all
                .iter()
                .map(|v| lift::children(v).and_then(|c| c.get(i).map(|&v| v.clone())).unwrap_or_default())
                .collect();
            joined.push(combine_results(&column[0], &column, join)?);
        }
        return Ok(lift::rebuild(first, joined));
    }
    combine(first, all, join)
}

fn indices(which: &[usize]) -> Value {
    Value::tensor(Tensor::from_vec(&[which.len()], which.iter().map(|&i| i as i64).collect()))
}

/// Which leaves are one float.
fn flags(result: &Value) -> Option<Vec<bool>> {
    fn walk(value: &Value, out: &mut Vec<bool>) {
        match lift::children(value) {
            Some(items) => items.into_iter().for_each(|v| walk(v, out)),
            None => out.push(value.is_one_float()),
        }
    }
    let mut out = vec![];
    walk(result, &mut out);
    out.contains(&true).then_some(out)
}

fn cast_leaves(vm: &mut Vm, value: &Value, flags: &[bool], at: &mut usize, dtype: DType) -> Result<Value> {
    lift::map_leaves(value, &mut |leaf| {
        let flag = flags.get(*at) == Some(&true);
        *at += 1;
        if flag { vm.cx.cast(leaf, dtype) } else { Ok(leaf.clone()) }
    })
}

/// A tensor with an axis moved to the front; other leaves as they are.
fn axis_first(vm: &mut Vm, leaf: &Value, axis: i64) -> Result<Value> {
    let Some(rank) = leaf.shape().map(<[usize]>::len).filter(|&r| r > 0) else { return Ok(leaf.clone()) };
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    if at == 0 {
        return Ok(leaf.clone());
    }
    let order = std::iter::once(at).chain((0..rank as i64).filter(|&a| a != at)).map(Value::Int).collect();
    vm.cx.apply(&PERMUTE, &[leaf.clone(), Value::tuple(order)])
}

/// Length of the axis in every tensor of a value.
fn lengths(value: &Value, axis: i64) -> Result<Vec<usize>> {
    if let Some(items) = lift::children(value) {
        let mut all = vec![];
        for item in items {
            all.extend(lengths(item, axis)?);
        }
        return Ok(all);
    }
    let Some(shape) = value.shape().filter(|s| !s.is_empty()) else { return Ok(vec![]) };
    let rank = shape.len() as i64;
    let at = if axis < 0 { axis + rank } else { axis };
    match usize::try_from(at).ok().and_then(|at| shape.get(at)) {
        Some(&n) => Ok(vec![n]),
        None => Err(Error::new("E0401", format!("axis {axis} is out of range for {}", value.type_name()))),
    }
}
