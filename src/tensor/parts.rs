//! Reading and writing parts of tensors. In: a tensor and an index specification. Out: a view where the specification
//! allows (ints and slices), else a copy; writes happen in place if the tensor is unshared.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use ndarray::{ArrayBase, Axis, IxDyn, RawData, Slice};
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::map_dtype;
use crate::tensor::cast::Float;
use crate::tensor::copy::append;
use crate::tensor::create::{Element, array, article};
use crate::tensor::index::{Gather, IndexSpec, Plan, Step, gathered_at, in_range, plan, slice_bounds};
use crate::tensor::lanes::Lanes;
use crate::tensor::simd::kernels::{add_to, choose_lanes};
use crate::tensor::view::{row_major, standard};
use crate::tensor::{Arr, DType, Shape, Tensor, cut, dense, dense_mut, flat, show_shape, strided};
use crate::value::Value;

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
                // The step of a single element may be as large as an int can be.
                let step = if len > 1 { step * stride as isize } else { stride as isize };
                ranges.push((adjacent && i < first, start * stride, len, step));
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
    /// Calls `f` with what is to be added to the gathered places; in the order of the selection if nothing comes after them.
    fn each_base(&self, mut f: impl FnMut(usize)) {
        for b in &self.before {
            self.after.iter().for_each(|a| f(b + a));
        }
    }

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
    if o.run == 1 && o.after.len() == 1 {
        let last = o.at.iter().copied().max().unwrap_or(0);
        o.each_base(|base| append_places(&mut out, data, base, (&o.at, last)));
    } else {
        match o.run {
            1 => o.each(|i| out.push(data[i])),
            // With a length that the compiler knows, a copy is a few moves.
            2 => o.each(|i| append_run::<2, T>(&mut out, data, i)),
            3 => o.each(|i| append_run::<3, T>(&mut out, data, i)),
            4 => o.each(|i| append_run::<4, T>(&mut out, data, i)),
            8 => o.each(|i| append_run::<8, T>(&mut out, data, i)),
            run => o.each(|i| out.extend_from_slice(&data[i..i + run])),
        }
    }
    array(&plan.shape, out)
}

/// Appends the elements at places behind `base`, of which `last` is the largest. One look tells that all of them are there.
#[inline(always)]
fn append_places<T: Element>(out: &mut Vec<T>, data: &[T], base: usize, (at, last): (&[usize], usize)) {
    if at.is_empty() {
        return;
    }
    assert!(last < data.len().saturating_sub(base), "places of an index within the tensor");
    // SAFETY: no place is behind the largest one.
    out.extend(at.iter().map(|&i| unsafe { *data.get_unchecked(base + i) }));
}

/// Appends `N` elements from `from` on.
#[inline(always)]
fn append_run<const N: usize, T: Element>(out: &mut Vec<T>, data: &[T], from: usize) {
    if let Some(run) = data[from..].first_chunk::<N>() {
        out.extend_from_slice(run);
    }
}

/// Length of a row and numbers of the rows of a row-major tensor that are asked for; `None` where a number is negative or too large.
fn rows_in<'a, T>(a: &Arr<T>, which: &'a Arr<i64>) -> Option<(usize, &'a [i64])> {
    let (&n, inner) = a.shape().split_first()?;
    let which = dense(which)?;
    // Compared without a sign, a negative number is a large one.
    let fine = which.iter().fold(true, |fine, &i| fine & ((i as u64) < n as u64));
    if fine { Some((inner.iter().product(), which)) } else { None }
}

/// Rows of a row-major tensor, without a plan.
fn rows_at<T: Element>(a: &Arr<T>, which: &Arr<i64>) -> Option<Value> {
    let (data, (len, rows)) = (dense(a)?, rows_in(a, which)?);
    let starts = rows.iter().map(|&i| i as usize * len);
    let mut out = Vec::with_capacity(rows.len() * len);
    match len {
        1 => out.extend(starts.filter_map(|i| data.get(i).copied())),
        2 => starts.for_each(|i| append_run::<2, T>(&mut out, data, i)),
        3 => starts.for_each(|i| append_run::<3, T>(&mut out, data, i)),
        4 => starts.for_each(|i| append_run::<4, T>(&mut out, data, i)),
        8 => starts.for_each(|i| append_run::<8, T>(&mut out, data, i)),
        _ => starts.for_each(|i| out.extend_from_slice(data.get(i..i + len).unwrap_or(&[]))),
    }
    let mut shape = Shape::from_slice(which.shape());
    shape.extend_from_slice(&a.shape()[1..]);
    Some(Value::from_vec(&shape, out))
}

/// Adds to rows of a row-major tensor, without a plan; false, with nothing done, if that takes more.
fn add_rows<T: Float + std::ops::AddAssign>(a: &mut Arr<T>, which: &Arr<i64>, v: &Arr<T>) -> bool {
    let Some((len, rows)) = rows_in(a, which) else { return false };
    if v.shape().strip_prefix(which.shape()) != a.shape().get(1..) || len == 0 || dense(a).is_none() {
        return false;
    }
    let (Some(data), Some(v)) = (dense_mut(a), dense(v)) else { return false };
    let starts = rows.iter().map(|&i| i as usize * len);
    match len {
        1 => add_runs::<1, T>(data, starts, v),
        2 => add_runs::<2, T>(data, starts, v),
        3 => add_runs::<3, T>(data, starts, v),
        4 => add_runs::<4, T>(data, starts, v),
        8 => add_runs::<8, T>(data, starts, v),
        _ => {
            for (i, row) in starts.zip(v.chunks_exact(len)) {
                if let Some(sum) = data.get_mut(i..i + len) {
                    sum.iter_mut().zip(row).for_each(|(y, &x)| *y += x);
                }
            }
        }
    }
    true
}

/// Adds runs of `N` elements, which are few instructions each.
fn add_runs<const N: usize, T: Copy + std::ops::AddAssign>(
    data: &mut [T],
    starts: impl Iterator<Item = usize>,
    v: &[T],
) {
    let (rows, _) = v.as_chunks::<N>();
    for (i, row) in starts.zip(rows) {
        if let Some(sum) = data.get_mut(i..).and_then(<[T]>::first_chunk_mut::<N>) {
            sum.iter_mut().zip(row).for_each(|(y, &x)| *y += x);
        }
    }
}

/// What the index selects: a scalar, a view, or (with int tensors and masks) a copy.
pub fn get_index(t: &Tensor, spec: &[IndexSpec]) -> Result<Value> {
    if let [IndexSpec::At(i)] = spec {
        return get_at(t, *i);
    }
    if let [IndexSpec::Ints(which)] = spec
        && let Tensor::Int(which) = &**which
        && let Some(rows) = match t {
            Tensor::F32(a) => rows_at(a, which),
            Tensor::F64(a) => rows_at(a, which),
            _ => None,
        }
    {
        return Ok(rows);
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

/// A view of neighbouring elements of a vector.
pub fn neighbours(t: &Tensor, range: Range<usize>) -> Tensor {
    map_dtype!(t, a => {
        let mut part = a.clone();
        part.slice_axis_inplace(Axis(0), Slice::from(range));
        part
    })
}

/// A vector of these elements, with as many numbers before and after them.
pub fn between<T: Element>(x: &[T], (before, after): (usize, usize), number: T) -> Value {
    let n = before + x.len() + after;
    let mut out = Vec::with_capacity(n);
    out.resize(before, number);
    append(&mut out, x);
    out.resize(n, number);
    Value::from_vec(&[n], out)
}

/// Adds the elements of `v` to neighbouring ones of a float vector; false, with nothing done, if they are not of one dtype and length.
pub fn add_neighbours(x: &mut Rc<Tensor>, range: Range<usize>, v: &Tensor) -> bool {
    fn add<T: Float>(x: &mut Arr<T>, range: Range<usize>, v: &Arr<T>) -> bool {
        match (dense_mut(x).and_then(|x| x.get_mut(range)), dense(v)) {
            (Some(x), Some(v)) if x.len() == v.len() => {
                add_to(x, v);
                true
            }
            _ => false,
        }
    }
    if x.rank() != 1 || v.rank() != 1 || x.dtype() != v.dtype() {
        return false;
    }
    match (Rc::make_mut(x), v) {
        (Tensor::F32(x), Tensor::F32(v)) => add(x, range, v),
        (Tensor::F64(x), Tensor::F64(v)) => add(x, range, v),
        _ => false,
    }
}

/// Position in row-major order and value of the float at an index with an int for each axis.
#[inline]
pub fn element(t: &Tensor, index: &[i64]) -> Result<(usize, f64)> {
    if let (&[i], &[n]) = (index, t.shape()) {
        let i = in_range(i, 0, n)?;
        return Ok(match t {
            Tensor::F32(a) => (i, a[i] as f64),
            Tensor::F64(a) => (i, a[i]),
            _ => (i, 0.0),
        });
    }
    let mut at = 0;
    let mut ints: SmallVec<[usize; 4]> = SmallVec::new();
    for (axis, (&i, &n)) in index.iter().zip(t.shape()).enumerate() {
        let i = in_range(i, axis, n)?;
        at = at * n + i;
        ints.push(i);
    }
    let x = match t {
        Tensor::F32(a) => a.get(&ints[..]).map(|&x| x as f64),
        Tensor::F64(a) => a.get(&ints[..]).copied(),
        _ => None,
    };
    Ok((at, x.unwrap_or(0.0)))
}

/// The element at an index with an int for each axis, to be changed; `None` if it is out of range or others share the
/// buffer.
#[inline]
pub fn element_mut<'a, T: Clone>(a: &'a mut Arr<T>, index: &[i64]) -> Option<&'a mut T> {
    let mut at: SmallVec<[usize; 4]> = SmallVec::new();
    for (axis, (&i, &n)) in index.iter().zip(a.shape()).enumerate() {
        at.push(in_range(i, axis, n).ok()?);
    }
    if !a.is_unique() {
        return None;
    }
    match at[..] {
        [i] => a.get_mut(i),
        _ => a.get_mut(&at[..]),
    }
}

/// Adds to the element at a position in row-major order.
pub fn add_at(t: &mut Tensor, at: usize, x: f64) {
    fn add<T: Copy + std::ops::AddAssign>(a: &mut Arr<T>, at: usize, x: T) {
        let place = match a.as_slice_mut() {
            Some(data) => data.get_mut(at),
            None => a.iter_mut().nth(at),
        };
        if let Some(y) = place {
            *y += x;
        }
    }
    match t {
        Tensor::F32(a) => add(a, at, x as f32),
        Tensor::F64(a) => add(a, at, x),
        _ => {}
    }
}

/// The elements of a float tensor in row-major order and for it alone, to be added to.
pub fn data_mut(t: &mut Tensor) -> Option<*mut u8> {
    if !t.is_contiguous() {
        *t = t.contiguous();
    }
    match t {
        Tensor::F32(a) => a.as_slice_mut().map(|data| data.as_mut_ptr().cast()),
        Tensor::F64(a) => a.as_slice_mut().map(|data| data.as_mut_ptr().cast()),
        _ => None,
    }
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
            Source::Many(v) => {
                if let Some(v) = v.broadcast(part.raw_dim()) {
                    strided::zip_mut(&mut part, &v, f);
                }
            }
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
        Source::One(x) if o.run == 1 => o.each_base(|base| o.at.iter().for_each(|at| f(&mut data[base + at], x))),
        Source::One(x) => o.each(|i| data[i..i + o.run].iter_mut().for_each(|y| f(y, x))),
        Source::Many(v) => {
            let Some(v) = v.broadcast(IxDyn(&plan.shape)) else {
                return;
            };
            let v = match v.as_slice() {
                Some(v) => Cow::Borrowed(v),
                None => Cow::Owned(strided::copied(&v)),
            };
            let mut rows = v.chunks_exact(o.run.max(1));
            o.each(|i| {
                let row = rows.next().unwrap_or(&[]);
                data[i..i + o.run].iter_mut().zip(row).for_each(|(y, &x)| f(y, x));
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
    Error::new("E0301", format!("a value of shape {value} does not fit into {part}"))
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

/// Writes one number where a mask of the array's shape is true.
fn write_masked<T: Element>(a: &mut Arr<T>, mask: &Arr<bool>, x: T) {
    let mut out = vec![];
    choose_lanes(&flat(mask), Lanes::Same(x), Lanes::Each(&flat(a)), &mut out);
    *a = array(mask.shape(), out);
}

/// `x` with `v` written at the index (the last write wins), cast to `x`'s dtype. In place if `x` is unshared.
pub fn set_index(x: &mut Rc<Tensor>, spec: &[IndexSpec], v: &Value) -> Result<()> {
    if let [IndexSpec::Mask(mask)] = spec
        && let Tensor::Bool(m) = &**mask
        && m.shape() == x.shape()
    {
        let mut done = true;
        match (Rc::make_mut(x), v) {
            (Tensor::F32(a), Value::Float(_, y)) => write_masked(a, m, *y as f32),
            (Tensor::F64(a), Value::Float(_, y)) => write_masked(a, m, *y),
            (Tensor::Int(a), Value::Int(y)) => write_masked(a, m, *y),
            (Tensor::Bool(a), Value::Bool(y)) => write_masked(a, m, *y),
            _ => done = false,
        }
        if done {
            return Ok(());
        }
    }
    if let (&[IndexSpec::Slice { start, stop, step: 1 }], &[n], Value::Tensor(_, v)) = (spec, x.shape(), v)
        && let (start, len, _) = slice_bounds(start, stop, 1, n)?
        && cut::put(x, start..start + len, v)
    {
        return Ok(());
    }
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
    if let ([IndexSpec::Ints(which)], Value::Tensor(_, v)) = (spec, v)
        && let Tensor::Int(which) = &**which
        && match (Rc::make_mut(x), &**v) {
            (Tensor::F32(x), Tensor::F32(v)) => add_rows(x, which, v),
            (Tensor::F64(x), Tensor::F64(v)) => add_rows(x, which, v),
            _ => false,
        }
    {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], data: &[i64]) -> Tensor {
        Tensor::from_vec(shape, data.to_vec())
    }

    /// `[[0, 1, 2], [3, 4, 5]]`
    fn table() -> Tensor {
        ints(&[2, 3], &[0, 1, 2, 3, 4, 5])
    }

    fn at(i: i64) -> IndexSpec {
        IndexSpec::At(i)
    }

    fn cut(start: Option<i64>, stop: Option<i64>, step: i64) -> IndexSpec {
        IndexSpec::Slice { start, stop, step }
    }

    fn whole() -> IndexSpec {
        cut(None, None, 1)
    }

    fn pick(shape: &[usize], data: &[i64]) -> IndexSpec {
        IndexSpec::Ints(Rc::new(ints(shape, data)))
    }

    fn mask(shape: &[usize], data: &[bool]) -> IndexSpec {
        IndexSpec::Mask(Rc::new(Tensor::from_vec(shape, data.to_vec())))
    }

    #[track_caller]
    fn reads(spec: &[IndexSpec], want: Tensor) {
        match get_index(&table(), spec).unwrap() {
            Value::Tensor(_, t) => assert!(t.same(&want), "{t:?} is not {want:?}"),
            _ => panic!("a scalar"),
        }
    }

    fn code(spec: &[IndexSpec]) -> &'static str {
        get_index(&table(), spec).err().map_or("", |e| e.0.code)
    }

    #[test]
    fn scalars_and_rows() {
        assert!(matches!(get_index(&table(), &[at(1), at(-1)]), Ok(Value::Int(5))));
        assert!(matches!(get_at(&ints(&[2], &[7, 8]), -2), Ok(Value::Int(7))));
        reads(&[at(-1)], ints(&[3], &[3, 4, 5]));
        reads(&[IndexSpec::Ellipsis, at(0)], ints(&[2], &[0, 3]));
        reads(&[at(0), IndexSpec::NewAxis, IndexSpec::Ellipsis], ints(&[1, 3], &[0, 1, 2]));
    }

    #[test]
    fn slices_are_clipped() {
        reads(&[whole(), cut(Some(1), Some(9), 1)], ints(&[2, 2], &[1, 2, 4, 5]));
        reads(&[at(0), cut(None, None, -1)], ints(&[3], &[2, 1, 0]));
        reads(&[at(0), cut(Some(-1), None, -2)], ints(&[2], &[2, 0]));
        reads(&[at(0), cut(Some(2), Some(1), 1)], ints(&[0], &[]));
        reads(&[at(0), cut(Some(i64::MIN), Some(i64::MAX), i64::MAX)], ints(&[1], &[0]));
        reads(&[at(0), cut(Some(i64::MAX), Some(i64::MIN), i64::MIN)], ints(&[1], &[2]));
        reads(&[cut(Some(0), Some(0), 1)], ints(&[0, 3], &[]));
    }

    #[test]
    fn int_tensors_broadcast_together() {
        reads(&[pick(&[3], &[1, 0, -1])], ints(&[3, 3], &[3, 4, 5, 0, 1, 2, 3, 4, 5]));
        reads(&[pick(&[2], &[0, 1]), pick(&[2], &[2, 0])], ints(&[2], &[2, 3]));
        reads(&[pick(&[2, 1], &[0, 1]), pick(&[2], &[2, 0])], ints(&[2, 2], &[2, 0, 5, 3]));
        reads(&[whole(), pick(&[2], &[2, 2])], ints(&[2, 2], &[2, 2, 5, 5]));
        reads(&[pick(&[2], &[1, 0]), IndexSpec::NewAxis, at(1)], ints(&[2, 1], &[4, 1]));
        reads(&[cut(None, None, -1), pick(&[1], &[1])], ints(&[2, 1], &[4, 1]));
        reads(&[pick(&[0], &[])], ints(&[0, 3], &[]));
    }

    #[test]
    fn masks_pick_where_true() {
        reads(&[mask(&[2], &[false, true])], ints(&[1, 3], &[3, 4, 5]));
        reads(&[whole(), mask(&[3], &[true, false, true])], ints(&[2, 2], &[0, 2, 3, 5]));
        reads(&[mask(&[2, 3], &[true, false, false, false, true, true])], ints(&[3], &[0, 4, 5]));
    }

    #[test]
    fn wrong_indices_have_codes() {
        assert_eq!(code(&[at(2)]), "E0401");
        assert_eq!(code(&[at(i64::MIN)]), "E0401");
        assert_eq!(code(&[pick(&[2], &[0, 2])]), "E0401");
        assert_eq!(code(&[at(0), at(0), at(0)]), "E0402");
        assert_eq!(code(&[IndexSpec::Ellipsis, IndexSpec::Ellipsis]), "E0402");
        assert_eq!(code(&[cut(None, None, 0)]), "E0402");
        assert_eq!(code(&[pick(&[2], &[0, 0]), pick(&[3], &[0, 0, 0])]), "E0402");
        assert_eq!(code(&[mask(&[3], &[true, true, true])]), "E0403");
    }

    fn written(spec: &[IndexSpec], v: Value, f: fn(&mut Rc<Tensor>, &[IndexSpec], &Value) -> Result<()>) -> Vec<f64> {
        let mut t = Rc::new(table());
        f(&mut t, spec, &v).unwrap();
        t.iter_f64().collect()
    }

    #[test]
    fn writes() {
        let two = || Value::tensor(ints(&[2], &[8, 9]));
        assert_eq!(written(&[at(1)], Value::Int(7), set_index), [0.0, 1.0, 2.0, 7.0, 7.0, 7.0]);
        assert_eq!(written(&[whole(), at(0)], two(), set_index), [8.0, 1.0, 2.0, 9.0, 4.0, 5.0]);
        assert_eq!(written(&[at(0), pick(&[2], &[1, 1])], two(), set_index), [0.0, 9.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(written(&[at(0), pick(&[2], &[1, 1])], two(), index_add), [0.0, 18.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(written(&[at(0), cut(None, None, -2)], two(), set_index), [9.0, 1.0, 8.0, 3.0, 4.0, 5.0]);
        let wide = Value::tensor(ints(&[1, 1, 2], &[8, 9]));
        assert_eq!(written(&[at(0), cut(None, Some(2), 1)], wide, set_index), [8.0, 9.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn rows_without_a_plan_are_those_by_a_plan() {
        for len in (1..10).chain([16]) {
            let shape = [4, len];
            let x = Tensor::from_vec(&shape, (0..4 * len).map(|i| (i * i % 31) as f64).collect());
            for (which, dims) in [(vec![2, 0, 2, 3], vec![4]), (vec![3, 1, 1, 1, 0, 3], vec![3, 2]), (vec![], vec![0])]
            {
                let index = [pick(&dims, &which)];
                // An index with a slice behind takes the long way.
                let long = [index[0].clone(), whole()];
                let (Value::Tensor(_, got), Value::Tensor(_, want)) =
                    (get_index(&x, &index).unwrap(), get_index(&x, &long).unwrap())
                else {
                    panic!("a scalar")
                };
                assert!(got.same(&want), "{len} {which:?}");
                let added = |index: &[IndexSpec]| {
                    let mut sum = Rc::new(x.clone());
                    index_add(&mut sum, index, &Value::Tensor(crate::ad::slot::Slot::CONST, want.clone())).unwrap();
                    sum
                };
                assert!(added(&index).same(&added(&long)), "{len} {which:?}");
            }
            let last = get_index(&x, &[pick(&[2], &[0, -1])]).unwrap();
            assert!(matches!(last, Value::Tensor(_, t) if t.iter_f64().last() == x.iter_f64().last()));
            assert_eq!(get_index(&x, &[pick(&[2], &[0, 4])]).unwrap_err().0.code, "E0401");
        }
        // A row for all of them stretches.
        let mut sum = Rc::new(Tensor::zeros(&[3, 2], DType::F64));
        let row = Value::tensor(Tensor::from_vec(&[2], vec![1.0, 2.0]));
        index_add(&mut sum, &[pick(&[2], &[0, 0])], &row).unwrap();
        assert_eq!(sum.iter_f64().collect::<Vec<_>>(), [2.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn writes_that_do_not_fit() {
        let mut t = Rc::new(table());
        let misfit = Value::tensor(ints(&[2], &[1, 2]));
        assert_eq!(set_index(&mut t, &[at(0)], &misfit).unwrap_err().0.code, "E0301");
        let e = set_index(&mut t, &[at(0)], &Value::float(0.5)).unwrap_err();
        assert_eq!((e.0.code, e.0.help.is_some()), ("E0306", true));
        assert_eq!(index_add(&mut t, &[at(1), at(2)], &Value::Int(i64::MAX)).unwrap_err().0.code, "E0411");
    }

    #[test]
    fn a_shared_tensor_is_copied_an_unshared_one_is_not() {
        let kept = Rc::new(table());
        let mut t = kept.clone();
        set_index(&mut t, &[at(0), at(0)], &Value::Int(9)).unwrap();
        assert!(kept.same(&table()) && !t.same(&kept));
        let place = |t: &Tensor| if let Tensor::Int(a) = t { a.as_ptr() } else { std::ptr::null() };
        let before = place(&t);
        set_index(&mut t, &[at(0), at(1)], &Value::Int(9)).unwrap();
        assert_eq!(place(&t), before);
        // A view of it does not see later writes.
        let Ok(Value::Tensor(_, row)) = get_at(&t, 0) else { panic!() };
        set_index(&mut t, &[at(0)], &Value::Int(0)).unwrap();
        assert!(row.same(&ints(&[3], &[9, 9, 2])));
    }

    #[test]
    fn the_last_write_hides_the_earlier() {
        let hidden = overwritten(&[2, 3], &[at(0), pick(&[3], &[1, 0, 1])]).unwrap().unwrap();
        assert!(hidden.same(&Tensor::from_vec(&[3], vec![true, false, false])));
        assert!(overwritten(&[2, 3], &[pick(&[2], &[1, 0])]).unwrap().is_none());
        assert!(overwritten(&[2, 3], &[at(0)]).unwrap().is_none());
    }
}
