//! Reading and writing parts of tensors. In: a tensor and an index specification as written (`x[i, 1:3, idx]`).
//! Out: a view where the specification allows (ints and slices), else a copy; writes happen in place if the tensor
//! is unshared.
//!
//! A specification is first resolved against the shape into a [`Plan`]: every index in range, negative ones
//! counted from the end, the ellipsis spelled out. Int tensors and masks follow NumPy: all of them (and single ints
//! beside them) broadcast together; their axes stand where the first was if they are adjacent, else in front.

use std::rc::Rc;

use ndarray::{ArrayBase, Axis, Dimension, IxDyn, RawData, Slice};
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::map_dtype;
use crate::tensor::create::{Element, array, article};
use crate::tensor::view::{row_major, standard};
use crate::tensor::{Arr, DType, Tensor, show_shape};
use crate::value::Value;

/// One item of an index: what stands between the commas.
#[derive(Clone, Debug)]
pub enum IndexSpec {
    At(i64),
    Slice { start: Option<i64>, stop: Option<i64>, step: i64 },
    Ellipsis,
    NewAxis,
    Ints(Rc<Tensor>),
    Mask(Rc<Tensor>),
}

/// All items of an index.
pub type Spec = SmallVec<[IndexSpec; 4]>;

/// What happens to one axis.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    /// A new axis of length 1; consumes none.
    New,
    At(usize),
    Range {
        start: usize,
        len: usize,
        step: isize,
    },
    /// Index vector number `k`.
    Gather(usize),
}

/// An index resolved against a shape.
pub struct Plan {
    steps: SmallVec<[Step; 4]>,
    gather: Option<Gather>,
    /// Shape of what the index selects.
    pub shape: SmallVec<[usize; 4]>,
}

struct Gather {
    /// One for each gathered axis, all as long as `shape` has elements.
    vectors: Vec<Vec<usize>>,
    shape: Vec<usize>,
    /// True if two entries may name the same place.
    repeats: bool,
}

/// `i` from the front or back of an axis of length `n`.
pub fn in_range(i: i64, axis: usize, n: usize) -> Result<usize> {
    let at = if i < 0 { i.checked_add(n as i64) } else { Some(i) };
    match at {
        Some(at) if at >= 0 && (at as usize) < n => Ok(at as usize),
        _ => Err(Error::new("E0401", format!("index {i} is out of range for axis {axis} of length {n}"))),
    }
}

/// Start, length and step of a slice of an axis of length `n`; bounds are clipped as in Python.
pub fn slice_bounds(start: Option<i64>, stop: Option<i64>, step: i64, n: usize) -> Result<(usize, usize, isize)> {
    if step == 0 {
        return Err(Error::new("E0402", "the step of a slice is 0").help("leave the step out to take every element"));
    }
    let n = n as i64;
    let clip = |i: i64, lo: i64, hi: i64| (if i < 0 { i.saturating_add(n) } else { i }).clamp(lo, hi);
    let (start, stop) = if step > 0 {
        (start.map_or(0, |i| clip(i, 0, n)), stop.map_or(n, |i| clip(i, 0, n)))
    } else {
        (start.map_or(n - 1, |i| clip(i, -1, n - 1)), stop.map_or(-1, |i| clip(i, -1, n - 1)))
    };
    let span = if step > 0 { stop - start } else { start - stop };
    if span <= 0 {
        return Ok((0, 0, 1));
    }
    let len = (span - 1) / step.saturating_abs() + 1;
    Ok((start as usize, len as usize, step.clamp(-(isize::MAX as i64), isize::MAX as i64) as isize))
}

/// How many axes an item takes up.
fn consumed(item: &IndexSpec) -> usize {
    match item {
        IndexSpec::At(_) | IndexSpec::Slice { .. } | IndexSpec::Ints(_) => 1,
        IndexSpec::Mask(m) => m.rank(),
        IndexSpec::Ellipsis | IndexSpec::NewAxis => 0,
    }
}

/// More indices than axes.
#[cold]
pub fn too_many(taken: usize, rank: usize, shape: &str) -> Error {
    let axes = if rank == 1 { "1 axis".to_string() } else { format!("{rank} axes") };
    Error::new("E0402", format!("too many indices: {taken} for a tensor of {axes}"))
        .operand(0, format!("this has the shape {shape}"))
}

/// A mask whose shape is not that of the axes that it picks from.
#[cold]
pub fn mask_misfit(mask: &[usize], dims: &[usize], axis: usize) -> Error {
    Error::new(
        "E0403",
        match (mask, dims) {
            ([m], [n]) => format!("a mask of length {m} does not fit axis {axis} of length {n}"),
            _ => format!("a mask of shape {} does not fit axes of shape {}", show_shape(mask), show_shape(dims)),
        },
    )
    .operand(1, format!("this has the shape {}", show_shape(mask)))
}

/// Checks a specification against a shape and spells it out.
pub fn plan(shape: &[usize], spec: &[IndexSpec]) -> Result<Plan> {
    let taken: usize = spec.iter().map(consumed).sum();
    if taken > shape.len() {
        return Err(too_many(taken, shape.len(), &show_shape(shape)));
    }
    if spec.iter().filter(|s| matches!(s, IndexSpec::Ellipsis)).count() > 1 {
        return Err(Error::new("E0402", "an index can contain `...` only once"));
    }
    let advanced = spec.iter().any(|s| matches!(s, IndexSpec::Ints(_) | IndexSpec::Mask(_)));
    let mut steps = SmallVec::new();
    let mut sources: Vec<(Vec<usize>, Vec<usize>)> = vec![];
    let mut repeats = false;
    let mut axis = 0;
    let rest = shape.len() - taken;
    let whole = |n: usize| Step::Range { start: 0, len: n, step: 1 };
    for item in spec {
        let n = shape.get(axis).copied().unwrap_or(0);
        match item {
            IndexSpec::At(i) => {
                let i = in_range(*i, axis, n)?;
                steps.push(if advanced { Step::Gather(sources.len()) } else { Step::At(i) });
                if advanced {
                    sources.push((vec![], vec![i]));
                }
            }
            IndexSpec::Slice { start, stop, step } => {
                let (start, len, step) = slice_bounds(*start, *stop, *step, n)?;
                steps.push(Step::Range { start, len, step });
            }
            IndexSpec::Ellipsis => {
                steps.extend(shape[axis..axis + rest].iter().map(|&n| whole(n)));
                axis += rest;
            }
            IndexSpec::NewAxis => steps.push(Step::New),
            IndexSpec::Ints(t) => {
                repeats |= t.len() > 1;
                steps.push(Step::Gather(sources.len()));
                sources.push((t.shape().to_vec(), checked_ints(t, axis, n)?));
            }
            IndexSpec::Mask(m) => {
                let vectors = nonzero(m, &shape[axis..axis + m.rank()], axis)?;
                for v in vectors {
                    steps.push(Step::Gather(sources.len()));
                    sources.push((vec![v.len()], v));
                }
            }
        }
        axis += consumed(item);
    }
    steps.extend(shape[axis.min(shape.len())..].iter().map(|&n| whole(n)));
    let gather = if advanced { Some(join(sources, repeats)?) } else { None };
    let shape = selected_shape(&steps, gather.as_ref());
    Ok(Plan { steps, gather, shape })
}

/// The elements of an index tensor, in range.
fn checked_ints(t: &Tensor, axis: usize, n: usize) -> Result<Vec<usize>> {
    let Tensor::Int(a) = t else {
        return Ok(vec![]);
    };
    let mut out = Vec::with_capacity(a.len());
    for (k, &i) in a.iter().enumerate() {
        let at = in_range(i, axis, n);
        out.push(
            at.map_err(|e| if a.len() > 1 { e.note(format!("it is element {k} of the index tensor")) } else { e })?,
        );
    }
    Ok(out)
}

/// The places where a mask is true, one vector for each of its axes.
fn nonzero(mask: &Tensor, dims: &[usize], axis: usize) -> Result<Vec<Vec<usize>>> {
    let Tensor::Bool(m) = mask else {
        return Ok(vec![]);
    };
    if m.shape() != dims {
        return Err(mask_misfit(m.shape(), dims, axis));
    }
    let mut out = vec![vec![]; dims.len()];
    if let [only] = &mut out[..] {
        only.extend(m.iter().enumerate().filter(|(_, on)| **on).map(|(i, _)| i));
        return Ok(out);
    }
    for (at, &on) in m.indexed_iter() {
        if on {
            for (v, &i) in out.iter_mut().zip(at.slice()) {
                v.push(i);
            }
        }
    }
    Ok(out)
}

/// Broadcasts index vectors together.
fn join(sources: Vec<(Vec<usize>, Vec<usize>)>, repeats: bool) -> Result<Gather> {
    let mut shape: Vec<usize> = vec![];
    for (s, _) in &sources {
        shape = broadcast_shapes(&shape, s).ok_or_else(|| {
            let all: Vec<String> = sources.iter().map(|(s, _)| show_shape(s)).collect();
            Error::new("E0402", format!("index tensors of shapes {} do not broadcast together", all.join(" and ")))
        })?;
    }
    let expand = |(s, v): (Vec<usize>, Vec<usize>)| {
        if s == shape {
            return v;
        }
        crate::tensor::broadcast::stretch(&v, &s, &shape)
    };
    let vectors = sources.into_iter().map(expand).collect();
    Ok(Gather { vectors, shape, repeats })
}

/// The shape two shapes broadcast to.
pub(crate) fn broadcast_shapes(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (m, n) if m == n => Some(m),
            (1, n) | (n, 1) => Some(n),
            _ => None,
        })
        .collect()
}

/// Position of the first gathered step, and whether all of them are adjacent.
fn gathered_at(steps: &[Step]) -> (usize, bool) {
    let is = |s: &Step| matches!(s, Step::Gather(_));
    let first = steps.iter().position(is).unwrap_or(0);
    let last = steps.iter().rposition(is).unwrap_or(0);
    (first, steps[first..=last.min(steps.len().saturating_sub(1))].iter().all(is))
}

fn selected_shape(steps: &[Step], gather: Option<&Gather>) -> SmallVec<[usize; 4]> {
    let kept = |s: &Step| match s {
        Step::New => Some(1),
        Step::Range { len, .. } => Some(*len),
        Step::At(_) | Step::Gather(_) => None,
    };
    let Some(g) = gather else {
        return steps.iter().filter_map(kept).collect();
    };
    let (first, adjacent) = gathered_at(steps);
    let before = if adjacent { &steps[..first] } else { &[] };
    let after = if adjacent { &steps[first..] } else { steps };
    before.iter().filter_map(kept).chain(g.shape.iter().copied()).chain(after.iter().filter_map(kept)).collect()
}

/// Applies a plan without gathers: a view of whatever ownership `a` has.
fn basic_view<S: RawData>(mut a: ArrayBase<S, IxDyn>, steps: &[Step]) -> ArrayBase<S, IxDyn> {
    let mut axis = 0;
    for step in steps {
        match *step {
            Step::New => {
                a = a.insert_axis(Axis(axis));
                axis += 1;
            }
            Step::At(i) => a = a.index_axis_move(Axis(axis), i),
            Step::Range { start, len, step } => {
                let whole = start == 0 && step == 1 && a.shape()[axis] == len;
                if !whole {
                    let last = start as isize + step * (len as isize - 1).max(0);
                    let (lo, hi) =
                        if len == 0 { (0, 0) } else { (last.min(start as isize), last.max(start as isize) + 1) };
                    a.slice_axis_inplace(Axis(axis), Slice::new(lo, Some(hi), step.unsigned_abs() as isize));
                    if step < 0 {
                        a.invert_axis(Axis(axis));
                    }
                }
                axis += 1;
            }
            Step::Gather(_) => {}
        }
    }
    a
}

/// Where the selected elements of a row-major buffer lie, in the order of the selection: for each `before`, each
/// `at`, each `after`, a run of `run` elements.
struct Offsets {
    before: Vec<usize>,
    at: Vec<usize>,
    after: Vec<usize>,
    run: usize,
}

fn offsets(shape: &[usize], plan: &Plan, gather: &Gather) -> Offsets {
    let strides = row_major(shape);
    let (first, adjacent) = gathered_at(&plan.steps);
    let mut at = vec![0; gather.shape.iter().product()];
    // (is it in front of the gathered axes, start, length, step) in elements
    let mut ranges: Vec<(bool, usize, usize, isize)> = vec![];
    let mut axis = 0;
    for (i, step) in plan.steps.iter().enumerate() {
        match *step {
            Step::New => continue,
            Step::Gather(k) => {
                for (place, &j) in at.iter_mut().zip(&gather.vectors[k]) {
                    *place += j * strides[axis];
                }
            }
            Step::Range { start, len, step } => {
                let stride = strides[axis];
                ranges.push((adjacent && i < first, start * stride, len, step * stride as isize));
            }
            Step::At(i) => at.iter_mut().for_each(|place| *place += i * strides[axis]),
        }
        axis += 1;
    }
    let mut run = 1;
    while let Some(&(false, 0, len, step)) = ranges.last()
        && step == run as isize
    {
        run *= len;
        ranges.pop();
    }
    let expand = |front: bool| {
        let mut all = vec![0usize];
        for &(_, start, len, step) in ranges.iter().filter(|r| r.0 == front) {
            let along = |base: usize| (0..len).map(move |i| (base + start).wrapping_add_signed(step * i as isize));
            all = all.into_iter().flat_map(along).collect();
        }
        all
    };
    let (before, after) = (expand(true), expand(false));
    Offsets { before, at, after, run }
}

impl Offsets {
    /// Calls `f` with the start of each run.
    fn each(&self, mut f: impl FnMut(usize)) {
        for b in &self.before {
            for at in &self.at {
                for a in &self.after {
                    f(b + at + a);
                }
            }
        }
    }
}

fn read<T: Element>(a: &Arr<T>, plan: &Plan) -> Arr<T> {
    let Some(g) = &plan.gather else {
        return basic_view(a.clone(), &plan.steps);
    };
    let a = standard(a);
    let data = a.as_slice().unwrap_or(&[]);
    let o = offsets(a.shape(), plan, g);
    let mut out = Vec::with_capacity(plan.shape.iter().product());
    if o.run == 1 {
        o.each(|i| out.push(data[i]));
    } else {
        o.each(|i| out.extend_from_slice(&data[i..i + o.run]));
    }
    array(&plan.shape, out)
}

/// What the index selects: a scalar, a view, or (with int tensors and masks) a copy.
pub fn get_index(t: &Tensor, spec: &[IndexSpec]) -> Result<Value> {
    if let [IndexSpec::At(i)] = spec {
        return get_at(t, *i);
    }
    let plan = plan(t.shape(), spec)?;
    Ok(Value::tensor(map_dtype!(t, a => read(a, &plan))))
}

/// `t[i]`: a scalar without allocation at rank 1, else a view.
#[inline]
pub fn get_at(t: &Tensor, i: i64) -> Result<Value> {
    let n = t.shape().first().copied().unwrap_or(0);
    let i = in_range(i, 0, n)?;
    if t.rank() > 1 {
        return Ok(Value::tensor(map_dtype!(t, a => a.clone().index_axis_move(Axis(0), i))));
    }
    Ok(match t {
        Tensor::Bool(a) => Value::Bool(a[i]),
        Tensor::Int(a) => Value::Int(a[i]),
        Tensor::F32(a) => Value::float(a[i] as f64),
        Tensor::F64(a) => Value::float(a[i]),
    })
}

/// What is written: one scalar everywhere, or an array that broadcasts to the selection.
enum Source<T> {
    One(T),
    Many(Arr<T>),
}

fn write<T: Element>(a: &mut Arr<T>, plan: &Plan, source: Source<T>, f: impl Fn(&mut T, T)) {
    let Some(g) = &plan.gather else {
        let mut part = basic_view(a.view_mut(), &plan.steps);
        match source {
            Source::One(x) => part.map_inplace(|y| f(y, x)),
            Source::Many(v) => part.zip_mut_with(&v, |y, &x| f(y, x)),
        }
        return;
    };
    if !a.is_standard_layout() {
        *a = standard(a);
    }
    let o = offsets(a.shape(), plan, g);
    let Some(data) = a.as_slice_mut() else {
        return;
    };
    match source {
        Source::One(x) => o.each(|i| data[i..i + o.run].iter_mut().for_each(|y| f(y, x))),
        Source::Many(v) => {
            let Some(v) = v.broadcast(IxDyn(&plan.shape)) else {
                return;
            };
            let v = v.as_standard_layout();
            let v = v.as_slice().unwrap_or(&[]);
            let mut next = 0;
            o.each(|i| {
                for (y, &x) in data[i..i + o.run].iter_mut().zip(&v[next..]) {
                    f(y, x);
                }
                next += o.run;
            });
        }
    }
}

/// `v` as floats of one type; `same` picks the array that needs no cast.
fn floats<T: Element>(v: &Value, same: fn(&Tensor) -> Option<&Arr<T>>, of: fn(f64) -> T) -> Option<Source<T>> {
    Some(match v {
        Value::Float(_, x) => Source::One(of(*x)),
        Value::Int(x) => Source::One(of(*x as f64)),
        Value::Bool(x) => Source::One(of(f64::from(*x))),
        Value::Tensor(_, t) => Source::Many(match (same(t), &**t) {
            (Some(a), _) => a.clone(),
            (_, Tensor::Bool(a)) => a.mapv(|x| of(f64::from(x))).into_shared(),
            (_, Tensor::Int(a)) => a.mapv(|x| of(x as f64)).into_shared(),
            (_, Tensor::F32(a)) => a.mapv(|x| of(x as f64)).into_shared(),
            (_, Tensor::F64(a)) => a.mapv(of).into_shared(),
        }),
        _ => return None,
    })
}

fn ints(v: &Value) -> Option<Source<i64>> {
    match v {
        Value::Int(x) => Some(Source::One(*x)),
        Value::Bool(x) => Some(Source::One(i64::from(*x))),
        Value::Tensor(_, t) => match &**t {
            Tensor::Int(a) => Some(Source::Many(a.clone())),
            Tensor::Bool(a) => Some(Source::Many(a.mapv(i64::from).into_shared())),
            _ => None,
        },
        _ => None,
    }
}

fn bools(v: &Value) -> Option<Source<bool>> {
    match v {
        Value::Bool(x) => Some(Source::One(*x)),
        Value::Tensor(_, t) => match &**t {
            Tensor::Bool(a) => Some(Source::Many(a.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// A value that the tensor's dtype cannot hold.
#[cold]
pub fn refuse(dtype: DType, kind: &str, float: bool) -> Error {
    let kind = article(kind);
    let error = Error::new("E0306", format!("cannot write {kind} into a tensor of {dtype}"))
        .operand(2, format!("this is {kind}"));
    match dtype {
        DType::Int if float => error.help("make it a float tensor first: x = x.to(f32)"),
        _ => error,
    }
}

/// A value that does not stretch to the part that it is written to.
#[cold]
pub fn value_misfit(value: &[usize], part: &[usize]) -> Error {
    let (value, part) = (show_shape(value), show_shape(part));
    Error::new("E0301", format!("cannot write a value of shape {value} into a part of shape {part}"))
        .operand(2, format!("this has the shape {value}"))
}

fn refused(dtype: DType, v: &Value) -> Error {
    refuse(dtype, &v.type_name(), v.is_differentiable())
}

/// Without leading axes of length 1 that the selection lacks; an error if the shape does not fit.
fn fit<T: Element>(source: Source<T>, shape: &[usize]) -> Result<Source<T>> {
    let Source::Many(mut a) = source else {
        return Ok(source);
    };
    while a.ndim() > shape.len() && a.shape().first() == Some(&1) {
        a = a.index_axis_move(Axis(0), 0);
    }
    if a.broadcast(IxDyn(shape)).is_none() {
        return Err(value_misfit(a.shape(), shape));
    }
    Ok(Source::Many(a))
}

fn same32(t: &Tensor) -> Option<&Arr<f32>> {
    if let Tensor::F32(a) = t { Some(a) } else { None }
}

fn same64(t: &Tensor) -> Option<&Arr<f64>> {
    if let Tensor::F64(a) = t { Some(a) } else { None }
}

/// `x` with `v` written at the index (the last write wins), cast to `x`'s dtype. In place if `x` is unshared.
pub fn set_index(x: &mut Rc<Tensor>, spec: &[IndexSpec], v: &Value) -> Result<()> {
    let plan = plan(x.shape(), spec)?;
    macro_rules! set {
        ($a:expr, $source:expr, $dtype:ident) => {
            write($a, &plan, fit($source.ok_or_else(|| refused(DType::$dtype, v))?, &plan.shape)?, |y, x| *y = x)
        };
    }
    match Rc::make_mut(x) {
        Tensor::Bool(a) => set!(a, bools(v), Bool),
        Tensor::Int(a) => set!(a, ints(v), Int),
        Tensor::F32(a) => set!(a, floats(v, same32, |x| x as f32), F32),
        Tensor::F64(a) => set!(a, floats(v, same64, |x| x), F64),
    }
    Ok(())
}

/// `x` with `v` added at the index; places named several times take every addend. In place if `x` is unshared.
pub fn index_add(x: &mut Rc<Tensor>, spec: &[IndexSpec], v: &Value) -> Result<()> {
    let plan = plan(x.shape(), spec)?;
    let overflow = std::cell::Cell::new(false);
    macro_rules! add {
        ($a:expr, $source:expr, $dtype:ident, $f:expr) => {
            write($a, &plan, fit($source.ok_or_else(|| refused(DType::$dtype, v))?, &plan.shape)?, $f)
        };
    }
    match Rc::make_mut(x) {
        Tensor::Bool(_) => return Err(refused(DType::Bool, v)),
        Tensor::Int(a) => add!(a, ints(v), Int, |y, x| match y.checked_add(x) {
            Some(sum) => *y = sum,
            None => overflow.set(true),
        }),
        Tensor::F32(a) => add!(a, floats(v, same32, |x| x as f32), F32, |y, x| *y += x),
        Tensor::F64(a) => add!(a, floats(v, same64, |x| x), F64, |y, x| *y += x),
    }
    if overflow.get() {
        return Err(Error::new("E0411", "a sum of these ints does not fit into a 64-bit int"));
    }
    Ok(())
}

/// For a write at an index that names a place more than once: a mask, of the selection's shape, of the writes that
/// are overwritten by a later one. `None` if no place is named twice.
pub fn overwritten(shape: &[usize], spec: &[IndexSpec]) -> Result<Option<Tensor>> {
    let plan = plan(shape, spec)?;
    if !plan.gather.as_ref().is_some_and(|g| g.repeats) {
        return Ok(None);
    }
    let n = plan.shape.iter().product::<usize>();
    let order = Tensor::from_vec::<i64>(&plan.shape, (0..n as i64).collect());
    let (Tensor::Int(mut last), Tensor::Int(order)) = (Tensor::zeros(shape, DType::Int), order) else {
        return Ok(None);
    };
    write(&mut last, &plan, Source::Many(order.clone()), |y, x| *y = x);
    let winners = read(&last, &plan);
    let lost: Vec<bool> = winners.iter().zip(order.iter()).map(|(w, i)| w != i).collect();
    Ok(if lost.contains(&true) { Some(Tensor::Bool(array(&plan.shape, lost))) } else { None })
}
