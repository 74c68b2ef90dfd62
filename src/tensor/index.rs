//! What an index names. In: a specification as written (`x[i, 1:3, idx]`) and a shape. Out: a [`Plan`]: every index in
//! range, negative ones counted from the end, the ellipsis spelled out. `tensor/parts.rs` reads and writes by it.
//! Int tensors and masks follow NumPy: all of them (and single ints
//! beside them) broadcast together; their axes stand where the first was if they are adjacent, else in front.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::tensor::simd::ints::count_true;
use crate::tensor::{Tensor, flat, show_shape};

pub use super::parts::{
    add_neighbours, between, get_at, get_index, index_add, neighbours, overwritten, refuse, set_index, value_misfit,
};

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
pub(super) enum Step {
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
    pub(super) steps: SmallVec<[Step; 4]>,
    pub(super) gather: Option<Gather>,
    /// Shape of what the index selects.
    pub shape: SmallVec<[usize; 4]>,
}

pub(super) struct Gather {
    /// One for each gathered axis, all as long as `shape` has elements.
    pub vectors: Vec<Vec<usize>>,
    pub shape: Vec<usize>,
    /// True if two entries may name the same place.
    pub repeats: bool,
}

/// `i` from the front or back of an axis of length `n`.
pub fn in_range(i: i64, axis: usize, n: usize) -> Result<usize> {
    let at = if i < 0 { i.checked_add(n as i64) } else { Some(i) };
    match at {
        Some(at) if at >= 0 && (at as usize) < n => Ok(at as usize),
        _ => Err(Error::new("E0401", format!("index {i} is out of range: axis {axis} has length {n}"))),
    }
}

/// The error for `x[::0]`.
#[cold]
pub fn step_of_zero() -> Error {
    Error::new("E0402", "the step of a slice is 0").help("leave the step out to take every element")
}

/// Start, length and step of a slice of an axis of length `n`; bounds are clipped as in Python.
pub fn slice_bounds(start: Option<i64>, stop: Option<i64>, step: i64, n: usize) -> Result<(usize, usize, isize)> {
    if step == 0 {
        return Err(step_of_zero());
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
            ([m], [n]) => format!("the mask has shape [{m}], but axis {axis} has length {n}"),
            _ => format!("the mask has shape {}, but the axes have shape {}", show_shape(mask), show_shape(dims)),
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
    checked(&flat(a), n, |k, i| {
        let at = in_range(i, axis, n);
        at.map_err(|e| if a.len() > 1 { e.note(format!("it is element {k} of the index tensor")) } else { e })
    })
}

/// Indices of an axis of length `n`, counted from the front; `slow(k, i)` gives index `k` or tells what is wrong with it.
pub(super) fn checked(indices: &[i64], n: usize, slow: impl Fn(usize, i64) -> Result<usize>) -> Result<Vec<usize>> {
    // Compared without a sign, a negative index is a large one.
    if indices.iter().fold(true, |fine, &i| fine & ((i as u64) < n as u64)) {
        return Ok(indices.iter().map(|&i| i as usize).collect());
    }
    indices.iter().enumerate().map(|(k, &i)| slow(k, i)).collect()
}

/// The places where a mask is true, one vector for each of its axes.
fn nonzero(mask: &Tensor, dims: &[usize], axis: usize) -> Result<Vec<Vec<usize>>> {
    let Tensor::Bool(m) = mask else {
        return Ok(vec![]);
    };
    if m.shape() != dims {
        return Err(mask_misfit(m.shape(), dims, axis));
    }
    let places = places_of_true(&flat(m));
    let mut step = m.len();
    let along = |&n: &usize| {
        step /= n.max(1);
        places.iter().map(|&place| place / step.max(1) % n.max(1)).collect()
    };
    Ok(if dims.len() == 1 { vec![places] } else { dims.iter().map(along).collect() })
}

/// Where a mask is true.
fn places_of_true(mask: &[bool]) -> Vec<usize> {
    // Each place is written, and the next one over it if it is none: a branch would often be foreseen wrong.
    let mut out = vec![0; count_true(mask) + 1];
    let mut found = 0;
    for (i, &on) in mask.iter().enumerate() {
        if let Some(place) = out.get_mut(found) {
            *place = i;
        }
        found += usize::from(on);
    }
    out.truncate(found);
    out
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
pub(super) fn gathered_at(steps: &[Step]) -> (usize, bool) {
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
