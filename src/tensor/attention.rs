//! Attention, `softmax(scale q @ k.t) @ v`, and its cotangents, head by head and some queries at a time, so that scores stay in the
//! caches. Of causal attention only what queries see is computed.
//!
//! In: views of queries, keys and values, whose leading axes stretch to one batch of heads. Out: row-major results. A key that a query
//! does not see has no part in it, whatever it is: NaN neither. Heads are shared among threads, so results do not depend on their number.

use std::mem::MaybeUninit;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewD, Axis, Ix2, IxDyn, ShapeBuilder};

use super::cast::Float;
use super::matmul::{Dense, unchecked, zeroed};
use super::simd::extrema::any_nan;
use super::simd::sums::{add_columns, row_dots};
use super::simd::tiles::{Dims, Left, ROUND, Right, Tiled};
use super::simd::weights::{Place, SIDE, bars_of_scores, weights};
use super::softmax::softmax;
use super::threads::{self, each_chunk};
use super::{Shape, count};
use crate::error::Result;

/// Numbers that attention is computed in.
pub trait Attended: Dense + Tiled {}
impl Attended for f32 {}
impl Attended for f64 {}

/// Queries whose scores are made together. They lie side by side, their keys below each other: so nothing is added up along vectors, and
/// keys and values are read as they lie.
const BLOCK: usize = 2 * SIDE;
/// Fewer queries do not fill a vector.
const FEW: usize = 4;

/// Which keys queries see.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    pub queries: usize,
    pub keys: usize,
    pub causal: bool,
}

impl Sight {
    /// How many keys, from the first on, query `i` sees. The queries are the last places.
    fn seen(&self, i: usize) -> usize {
        if self.causal { (i + 1 + self.keys).saturating_sub(self.queries).min(self.keys) } else { self.keys }
    }
}

/// What attention is computed of: `[.., t, d]`, `[.., s, d]` and `[.., s, m]`.
#[derive(Clone)]
pub struct Inputs<'a, T> {
    pub q: ArrayViewD<'a, T>,
    pub k: ArrayViewD<'a, T>,
    pub v: ArrayViewD<'a, T>,
    pub causal: bool,
}

/// The matrices of one head.
#[derive(Clone, Copy)]
struct Head<'a, T> {
    q: ArrayView2<'a, T>,
    k: ArrayView2<'a, T>,
    v: ArrayView2<'a, T>,
    sight: Sight,
    scale: T,
}

/// A stack stretched to `batch`.
fn stretched<'a, T>(stack: &'a ArrayViewD<'_, T>, batch: &[usize]) -> Result<ArrayViewD<'a, T>> {
    let &[.., rows, columns] = stack.shape() else { return Err(unchecked()) };
    let full: Shape = batch.iter().copied().chain([rows, columns]).collect();
    stack.broadcast(IxDyn(&full)).ok_or_else(unchecked)
}

/// Matrix number `i` of a stack.
fn matrix_at<'a, T>(stack: &ArrayViewD<'a, T>, batch: &[usize], i: usize) -> Option<ArrayView2<'a, T>> {
    let (mut stack, mut rest) = (stack.clone(), i);
    // From the last leading axis to the first.
    for (axis, &len) in batch.iter().enumerate().rev() {
        stack.collapse_axis(Axis(axis), rest % len.max(1));
        rest /= len.max(1);
    }
    while stack.ndim() > 2 {
        stack = stack.index_axis_move(Axis(0), 0);
    }
    stack.into_dimensionality::<Ix2>().ok()
}

/// The stacks, stretched to `batch`.
struct Stacks<'a, T> {
    inputs: Inputs<'a, T>,
    batch: &'a [usize],
    sight: Sight,
    scale: T,
}

impl<'a, T: Attended> Stacks<'a, T> {
    fn new(inputs: &'a Inputs<'_, T>, batch: &'a [usize]) -> Result<Stacks<'a, T>> {
        let (&[.., queries, n], &[.., keys, _]) = (inputs.q.shape(), inputs.k.shape()) else { return Err(unchecked()) };
        let [q, k, v] = [&inputs.q, &inputs.k, &inputs.v].map(|stack| stretched(stack, batch));
        let causal = inputs.causal;
        let scale = T::c(1.0 / (n as f64).sqrt());
        Ok(Stacks {
            inputs: Inputs { q: q?, k: k?, v: v?, causal },
            batch,
            sight: Sight { queries, keys, causal },
            scale,
        })
    }

    fn head(&self, i: usize) -> Option<Head<'a, T>> {
        let at = |stack: &ArrayViewD<'a, T>| matrix_at(stack, self.batch, i);
        let (sight, scale) = (self.sight, self.scale);
        Some(Head { q: at(&self.inputs.q)?, k: at(&self.inputs.k)?, v: at(&self.inputs.v)?, sight, scale })
    }

    /// Multiplications of a head, about.
    fn work(&self) -> usize {
        let last = |stack: &ArrayViewD<'a, T>| stack.shape().last().copied().unwrap_or(0);
        self.sight.queries * self.sight.keys * (last(&self.inputs.q) + last(&self.inputs.v))
    }
}

/// The results, `[batch.., t, m]`.
pub fn attention<T: Attended>(inputs: &Inputs<'_, T>, batch: &[usize]) -> Result<Vec<T>> {
    let stacks = Stacks::new(inputs, batch)?;
    let columns = inputs.v.shape().last().copied().unwrap_or(0);
    let size = stacks.sight.queries * columns;
    let total = count(batch) * size;
    let mut out: Vec<T> = Vec::with_capacity(total);
    let Some(spare) = out.spare_capacity_mut().get_mut(..total) else { return Err(unchecked()) };
    let together = threads::together(count(batch), stacks.work());
    each_chunk(spare, together * size, |chunk, out| {
        let mut room = Room::default();
        for (i, out) in out.chunks_exact_mut(size.max(1)).enumerate() {
            let out = zeroed(out);
            if let Some(head) = stacks.head(chunk * together + i) {
                head.values(&mut room, out);
            }
        }
    });
    // SAFETY: each chunk has been filled.
    unsafe { out.set_len(total) };
    Ok(out)
}

/// The cotangents of queries, keys and values that are asked for, each with all of `batch`, from that of the result.
pub fn pull<T: Attended>(
    inputs: &Inputs<'_, T>,
    c: &ArrayViewD<'_, T>,
    batch: &[usize],
    wants: [bool; 3],
) -> Result<[Option<Vec<T>>; 3]> {
    let stacks = Stacks::new(inputs, batch)?;
    let c = stretched(c, batch)?;
    let heads = count(batch);
    let sizes = [&inputs.q, &inputs.k, &inputs.v].map(|x| match x.shape() {
        &[.., rows, columns] => rows * columns,
        _ => 0,
    });
    let mut bars: [Option<Vec<T>>; 3] = [0, 1, 2].map(|i| wants[i].then(|| Vec::with_capacity(heads * sizes[i])));
    let together = threads::together(heads, 3 * stacks.work());
    let mut jobs: Vec<Bars<'_, MaybeUninit<T>>> = vec![];
    jobs.resize_with(heads.div_ceil(together), || [None, None, None]);
    for (i, bar) in bars.iter_mut().enumerate() {
        let Some(spare) = bar.as_mut().and_then(|bar| bar.spare_capacity_mut().get_mut(..heads * sizes[i])) else {
            continue;
        };
        for (job, part) in jobs.iter_mut().zip(spare.chunks_mut((together * sizes[i]).max(1))) {
            job[i] = Some(part);
        }
    }
    each_chunk(&mut jobs, 1, |chunk, jobs| {
        let mut room = Room::default();
        for job in jobs {
            let mut rest = job.each_mut().map(Option::take);
            for i in chunk * together..((chunk + 1) * together).min(heads) {
                let [q, k, v] = [0, 1, 2].map(|i| {
                    let (part, behind) = rest[i].take()?.split_at_mut_checked(sizes[i])?;
                    rest[i] = Some(behind);
                    Some(zeroed(part))
                });
                if let (Some(head), Some(c)) = (stacks.head(i), matrix_at(&c, batch, i)) {
                    head.pull(c, &mut room, [q, k, v]);
                }
            }
        }
    });
    for (i, bar) in bars.iter_mut().enumerate() {
        if let Some(bar) = bar {
            // SAFETY: all parts have been filled, by the job that has them; there are none of those that are empty.
            unsafe { bar.set_len(heads * sizes[i]) };
        }
    }
    Ok(bars)
}

/// Cotangents of queries, keys and values, as far as they are asked for.
type Bars<'a, T> = [Option<&'a mut [T]>; 3];

/// Where copies and scores of one head after the other lie.
#[derive(Default)]
struct Room<T> {
    q: Vec<T>,
    k: Vec<T>,
    v: Vec<T>,
    c: Vec<T>,
    turned: Vec<T>,
    weights: Vec<T>,
    bars: Vec<T>,
}

/// A matrix row by row, with whole vectors in each row if it is to be a right operand.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    data: &'a [T],
    step: usize,
}

impl<'a, T: Float> Rows<'a, T> {
    /// The matrix where it lies, if it lies so, or a copy.
    fn of(a: &'a ArrayView2<'_, T>, whole: bool, room: &'a mut Vec<T>) -> Rows<'a, T> {
        let columns = a.ncols();
        let step = if whole { columns.next_multiple_of(ROUND) } else { columns };
        if step == columns
            && let Some(data) = a.to_slice()
        {
            return Rows { data, step };
        }
        room.clear();
        room.resize(a.nrows() * step, T::default());
        for (to, from) in room.chunks_exact_mut(step.max(1)).zip(a.rows()) {
            to.iter_mut().zip(from).for_each(|(to, &x)| *to = x);
        }
        Rows { data: room, step }
    }

    /// From row `i` on.
    fn from(self, i: usize) -> &'a [T] {
        self.data.get(i * self.step..).unwrap_or(&[])
    }

    /// As a left operand.
    fn left(self, i: usize) -> Left<'a, T> {
        Left { data: self.from(i), rows: self.step, columns: 1 }
    }

    /// As a right operand.
    fn right(self, i: usize) -> Right<'a, T> {
        Right { data: self.from(i), step: self.step }
    }
}

/// `out[i * step + j]` becomes (with `add`: grows by) the product.
fn multiply<T: Attended>(dims: Dims, a: Left<'_, T>, b: Right<'_, T>, out: &mut [T], step: usize, add: bool) {
    let Dims { m, k, n } = dims;
    if m == 0 || n == 0 || (k == 0 && add) || T::multiply(dims, a, b, out, step, add) {
        return;
    }
    if k == 0 {
        return out.chunks_mut(step).take(m).for_each(|row| row.iter_mut().take(n).for_each(|x| *x = T::default()));
    }
    let a = ArrayView2::from_shape((m, k).strides((a.rows, a.columns)), a.data);
    let b = ArrayView2::from_shape((k, n).strides((b.step, 1)), b.data);
    if let (Ok(a), Ok(b)) = (a, b) {
        T::product_into(a, b, out, step, add);
    }
}

/// Room for `n` numbers, whatever they are.
fn roomy<T: Float>(room: &mut Vec<T>, n: usize) -> &mut [T] {
    if room.len() < n {
        room.resize(n, T::default());
    }
    room.get_mut(..n).unwrap_or(&mut [])
}

/// The queries of a block, and what they see.
struct Block<T> {
    first: usize,
    count: usize,
    /// Columns of a tile: the queries side by side, to whole vectors.
    width: usize,
    /// How many keys at least one of the queries of each vector sees.
    keys: [usize; BLOCK / SIDE],
    sight: Sight,
    scale: T,
}

/// Some queries of a block: which they are, and the keys that count for them.
struct Part {
    queries: Range<usize>,
    keys: Range<usize>,
}

impl<T: Attended> Block<T> {
    fn new(head: &Head<'_, T>, first: usize, width: usize) -> Block<T> {
        let sight = head.sight;
        let count = width.min(sight.queries - first);
        let keys = std::array::from_fn(|i| {
            let end = ((i + 1) * SIDE).min(count);
            if i * SIDE < count { sight.seen(first + end - 1) } else { 0 }
        });
        Block { first, count, width, keys, sight, scale: head.scale }
    }

    /// Queries of one vector after the other, each with all keys that one of them sees.
    fn vectors(&self) -> impl Iterator<Item = Part> {
        let (count, keys) = (self.count, self.keys);
        let starts = (0..count).step_by(SIDE);
        starts.zip(keys).map(move |(from, keys)| Part { queries: from..(from + SIDE).min(count), keys: 0..keys })
    }

    /// Keys that the same vectors of queries see: these, and all after them.
    fn steps(&self) -> impl Iterator<Item = Part> {
        let (count, keys) = (self.count, self.keys);
        let starts = (0..count).step_by(SIDE);
        starts.enumerate().map(move |(i, from)| {
            let before = if i == 0 { 0 } else { keys[i - 1] };
            Part { queries: from..count, keys: before..keys[i] }
        })
    }

    /// The products of rows of `x` for each key with those of `y` for the queries, which lie as columns of `turned`.
    fn products(&self, x: Rows<'_, T>, n: usize, turned: &[T], tile: &mut [T]) {
        for Part { queries, keys } in self.steps() {
            let dims = Dims { m: keys.len(), k: n, n: self.count.next_multiple_of(SIDE) - queries.start };
            let right = Right { data: turned.get(queries.start..).unwrap_or(&[]), step: self.width };
            let out = tile.get_mut(keys.start * self.width + queries.start..).unwrap_or(&mut []);
            multiply(dims, x.left(keys.start), right, out, self.width, false);
        }
    }

    /// Scores become weights.
    fn weigh(&self, tile: &mut [T]) {
        for Part { queries, keys } in self.vectors() {
            let of = |i: usize| self.sight.seen((self.first + i).min(self.sight.queries - 1));
            let seen: [u32; SIDE] = std::array::from_fn(|i| of(queries.start + i) as u32);
            let at = Place { from: queries.start, step: self.width };
            let all = of(queries.start).min(keys.end);
            if !weights(tile, at, &seen, all, keys.end, self.scale) {
                for i in queries {
                    weigh_one(tile, Place { from: i, step: self.width }, of(i), keys.end, self.scale);
                }
            }
        }
    }
}

/// The same for one query, whatever its scores are.
#[cold]
fn weigh_one<T: Attended>(tile: &mut [T], at: Place, seen: usize, keys: usize, scale: T) {
    let places = || (0..keys).map(|j| at.from + j * at.step);
    let scores = places().take(seen).filter_map(|place| tile.get(place).map(|&x| x * scale)).collect();
    let row = softmax_of(scores);
    for (j, place) in places().enumerate() {
        if let Some(x) = tile.get_mut(place) {
            *x = row.get(j).copied().unwrap_or_default();
        }
    }
}

fn softmax_of<T: Float>(row: Vec<T>) -> Vec<T> {
    softmax(&row, &[row.len()], &[0])
}

/// Rows from `first` on as the columns of a matrix of `width`, with zeros behind the last.
fn turn<T: Float>(a: &ArrayView2<'_, T>, first: usize, count: usize, width: usize, to: &mut [T]) {
    let n = a.ncols();
    let dense = a.to_slice();
    for (l, to) in to.chunks_exact_mut(width).enumerate() {
        let (to, behind) = to.split_at_mut(count.min(width));
        behind.fill(T::default());
        let to = to.iter_mut();
        match dense.and_then(|data| data.get(first * n + l..)) {
            Some(data) => to.zip(data.iter().step_by(n)).for_each(|(to, &x)| *to = x),
            None => to.enumerate().for_each(|(i, to)| *to = a[[first + i, l]]),
        }
    }
}

impl<T: Attended> Head<'_, T> {
    /// `out`, which is 0, becomes the result.
    fn values(&self, room: &mut Room<T>, out: &mut [T]) {
        let (n, m, Sight { queries, keys, .. }) = (self.q.ncols(), self.v.ncols(), self.sight);
        if out.is_empty() || keys == 0 {
            return;
        }
        if queries < FEW && n > 0 {
            self.values_of_few(room, out);
        } else {
            let (k, v) = (Rows::of(&self.k, false, &mut room.k), Rows::of(&self.v, true, &mut room.v));
            let width = queries.next_multiple_of(SIDE).min(BLOCK);
            let (turned, tile) = (roomy(&mut room.turned, n * width), roomy(&mut room.weights, keys * width));
            for first in (0..queries).step_by(width) {
                let block = Block::new(self, first, width);
                turn(&self.q, first, block.count, width, turned);
                block.products(k, n, turned, tile);
                block.weigh(tile);
                for Part { queries, keys } in block.vectors() {
                    let left = Left { data: tile.get(queries.start..).unwrap_or(&[]), rows: 1, columns: width };
                    let out = out.get_mut((first + queries.start) * m..).unwrap_or(&mut []);
                    multiply(Dims { m: queries.len(), k: keys.end, n: m }, left, v.right(0), out, m, false);
                }
            }
        }
        if any_nan(out) {
            self.mend(out);
        }
    }

    /// The same query by query.
    fn values_of_few(&self, room: &mut Room<T>, out: &mut [T]) {
        let (n, m) = (self.q.ncols(), self.v.ncols());
        let (q, k) = (Rows::of(&self.q, false, &mut room.q), Rows::of(&self.k, false, &mut room.k));
        let v = Rows::of(&self.v, false, &mut room.v);
        for (i, (q, out)) in q.data.chunks_exact(n).zip(out.chunks_exact_mut(m)).enumerate() {
            let seen = self.sight.seen(i);
            let (Some(k), Some(v)) = (k.data.get(..seen * n), v.data.get(..seen * m)) else { continue };
            let mut scores = vec![T::default(); seen];
            row_dots(k, q, &mut scores);
            scores.iter_mut().for_each(|x| *x = *x * self.scale);
            add_columns(v, &softmax_of(scores), out);
        }
    }

    /// The weights of query `i`: of the keys that it sees.
    fn weights_of(&self, i: usize) -> Vec<T> {
        let q = self.q.row(i);
        let dot = |j: usize| q.iter().zip(self.k.row(j)).fold(T::default(), |sum: T, (&a, &b)| sum + a * b);
        softmax_of((0..self.sight.seen(i)).map(|j| dot(j) * self.scale).collect())
    }

    /// Computes results that are NaN anew, of what their queries see alone: a weight of 0 times what is not finite is NaN.
    #[cold]
    fn mend(&self, out: &mut [T]) {
        for (i, out) in out.chunks_exact_mut(self.v.ncols().max(1)).enumerate() {
            if any_nan(out) {
                let row = self.weights_of(i);
                for (x, v) in out.iter_mut().zip(self.v.columns()) {
                    *x = row.iter().zip(v).fold(T::default(), |sum: T, (&p, &v)| sum + p * v);
                }
            }
        }
    }

    /// The `bars`, which are 0, become cotangents.
    fn pull(&self, c: ArrayView2<'_, T>, room: &mut Room<T>, mut bars: Bars<'_, T>) {
        let (n, m, Sight { queries, keys, .. }) = (self.q.ncols(), self.v.ncols(), self.sight);
        if queries == 0 || keys == 0 {
            return;
        }
        let [q_bar, k_bar, v_bar] = &mut bars;
        let scores = q_bar.is_some() || k_bar.is_some();
        let (q, k) = (Rows::of(&self.q, true, &mut room.q), Rows::of(&self.k, true, &mut room.k));
        let (c_rows, v) = (Rows::of(&c, true, &mut room.c), Rows::of(&self.v, false, &mut room.v));
        let width = queries.next_multiple_of(SIDE).min(BLOCK);
        let turned = roomy(&mut room.turned, n.max(m) * width);
        let tile = roomy(&mut room.weights, keys * width);
        let back = roomy(&mut room.bars, if scores { keys * width } else { 0 });
        for first in (0..queries).step_by(width) {
            let block = Block::new(self, first, width);
            turn(&self.q, first, block.count, width, turned.get_mut(..n * width).unwrap_or(&mut []));
            block.products(k, n, turned, tile);
            block.weigh(tile);
            if scores {
                turn(&c, first, block.count, width, turned.get_mut(..m * width).unwrap_or(&mut []));
                block.products(v, m, turned, back);
                for Part { queries, keys } in block.vectors() {
                    bars_of_scores(tile, back, Place { from: queries.start, step: width }, keys.end, self.scale);
                    let Some(bar) = q_bar.as_deref_mut() else { continue };
                    let left = Left { data: back.get(queries.start..).unwrap_or(&[]), rows: 1, columns: width };
                    let bar = bar.get_mut((first + queries.start) * n..).unwrap_or(&mut []);
                    multiply(Dims { m: queries.len(), k: keys.end, n }, left, k.right(0), bar, n, false);
                }
            }
            for Part { queries, keys } in block.steps() {
                let grow = |tile: &[T], right: Rows<'_, T>, n: usize, bar: &mut Option<&mut [T]>| {
                    let Some(bar) = bar.as_deref_mut() else { return };
                    let data = tile.get(keys.start * width + queries.start..).unwrap_or(&[]);
                    let left = Left { data, rows: width, columns: 1 };
                    let bar = bar.get_mut(keys.start * n..).unwrap_or(&mut []);
                    let dims = Dims { m: keys.len(), k: queries.len(), n };
                    multiply(dims, left, right.right(first + queries.start), bar, n, true);
                };
                grow(tile, c_rows, m, v_bar);
                grow(back, q, n, k_bar);
            }
        }
        if bars.iter().flatten().any(|bar| any_nan(bar)) {
            self.pull_strongly(c, bars);
        }
    }

    /// The same with products that are 0 where a cotangent is, whatever it meets, of what queries see alone.
    #[cold]
    fn pull_strongly(&self, c: ArrayView2<'_, T>, mut bars: Bars<'_, T>) {
        bars.iter_mut().flatten().for_each(|bar| bar.fill(T::default()));
        let (n, m) = (self.q.ncols(), self.v.ncols());
        let [q_bar, k_bar, v_bar] = bars;
        let (mut q_bar, mut k_bar, mut v_bar) = (q_bar, k_bar, v_bar);
        /// Row `i` of a cotangent grows by `y`, times a number that is strong or by numbers that are.
        fn grow<'a, T: Attended>(bar: &mut Option<&mut [T]>, i: usize, n: usize, terms: impl Iterator<Item = T> + 'a) {
            if let Some(row) = bar.as_deref_mut().and_then(|bar| bar.get_mut(i * n..(i + 1) * n)) {
                row.iter_mut().zip(terms).for_each(|(x, term)| *x += term);
            }
        }
        for i in 0..self.sight.queries {
            let (row, c) = (self.weights_of(i), c.row(i));
            let mut back = vec![T::default(); row.len()];
            for (j, (x, &p)) in back.iter_mut().zip(&row).enumerate() {
                *x = c.iter().zip(self.v.row(j)).fold(T::default(), |sum: T, (&c, &v)| sum + c.zmul(v));
                grow(&mut v_bar, j, m, c.iter().map(|&c| c.zmul(p)));
            }
            let sum = back.iter().zip(&row).fold(T::default(), |sum: T, (&g, &p)| sum + g.zmul(p));
            for (j, (&g, &p)) in back.iter().zip(&row).enumerate() {
                let score = (g - sum).zmul(p).zmul(self.scale);
                grow(&mut q_bar, i, n, self.k.row(j).iter().map(|&k| score.zmul(k)));
                grow(&mut k_bar, j, n, self.q.row(i).iter().map(|&q| score.zmul(q)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arr;
    use super::super::create::array;
    use super::*;

    fn numbers(shape: &[usize], seed: usize) -> Arr<f64> {
        array(shape, (0..count(shape)).map(|i| ((((i + seed) * 7919) % 1013) as f64 / 506.5 - 1.0) * 1.7).collect())
    }

    /// Results and cotangents by their definitions.
    fn by_definition(q: &Arr<f64>, k: &Arr<f64>, v: &Arr<f64>, c: &Arr<f64>, causal: bool) -> [Vec<f64>; 4] {
        let matrix = |x: &Arr<f64>| x.clone().into_dimensionality::<Ix2>().unwrap();
        let (q, k, v, c) = (matrix(q), matrix(k), matrix(v), matrix(c));
        let (t, s, n, m) = (q.nrows(), k.nrows(), q.ncols(), v.ncols());
        let scale = 1.0 / (n as f64).sqrt();
        let [mut out, mut qb, mut kb, mut vb] = [t * m, t * n, s * n, s * m].map(|size| vec![0.0; size]);
        for i in 0..t {
            let seen = if causal { (i + 1 + s).saturating_sub(t) } else { s };
            let scores: Vec<f64> = (0..seen).map(|j| scale * q.row(i).dot(&k.row(j))).collect();
            let top = scores.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = scores.iter().map(|x| (x - top).exp()).sum();
            let p: Vec<f64> = scores.iter().map(|x| (x - top).exp() / total).collect();
            let g: Vec<f64> = (0..seen).map(|j| c.row(i).dot(&v.row(j))).collect();
            let mean: f64 = g.iter().zip(&p).map(|(g, p)| g * p).sum();
            for j in 0..seen {
                let bar = p[j] * (g[j] - mean) * scale;
                for e in 0..m {
                    out[i * m + e] += p[j] * v[[j, e]];
                    vb[j * m + e] += p[j] * c[[i, e]];
                }
                for l in 0..n {
                    qb[i * n + l] += bar * k[[j, l]];
                    kb[j * n + l] += bar * q[[i, l]];
                }
            }
        }
        [out, qb, kb, vb]
    }

    #[track_caller]
    fn close(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        for (i, (x, y)) in got.iter().zip(want).enumerate() {
            assert!((x - y).abs() <= tolerance * (1.0 + y.abs()), "{what} at {i}: {x} is not {y}");
        }
    }

    fn wide(x: Vec<f32>) -> Vec<f64> {
        x.into_iter().map(f64::from).collect()
    }

    #[test]
    fn results_and_cotangents_are_those_of_the_definition() {
        let sizes = [
            (1, 1, 1, 1),
            (1, 9, 4, 3),
            (2, 70, 5, 16),
            (3, 2, 8, 2),
            (4, 4, 8, 8),
            (17, 40, 16, 33),
            (33, 16, 20, 7),
            (40, 17, 3, 16),
            (64, 64, 32, 32),
            (65, 130, 32, 48),
            (130, 90, 9, 5),
            (20, 2100, 4, 3),
            (5, 6, 0, 3),
            (5, 6, 3, 0),
            (0, 3, 2, 2),
            (6, 0, 2, 2),
        ];
        for (t, s, n, m) in sizes {
            for causal in [false, true] {
                let [q, k, v, c] = [[t, n], [s, n], [s, m], [t, m]].map(|shape| numbers(&shape, 7 * t + shape[1]));
                let what = format!("{t} {s} {n} {m} {causal}");
                if n == 0 {
                    // 0 / 0, as without the kernel.
                    let out = attention(&Inputs { q: q.view(), k: k.view(), v: v.view(), causal }, &[]).unwrap();
                    assert_eq!(out[out.len() - 1].is_nan(), m > 0, "{what}");
                    continue;
                }
                let [out, qb, kb, vb] = by_definition(&q, &k, &v, &c, causal);
                let inputs = Inputs { q: q.view(), k: k.view(), v: v.view(), causal };
                close(&attention(&inputs, &[]).unwrap(), &out, 1e-12, &what);
                for wants in [[true, true, true], [true, false, false], [false, true, false], [false, false, true]] {
                    let bars = pull(&inputs, &c.view(), &[], wants).unwrap();
                    for ((bar, want), wanted) in bars.into_iter().zip([&qb, &kb, &vb]).zip(wants) {
                        assert_eq!(bar.is_some(), wanted, "{what}");
                        bar.iter().for_each(|bar| close(bar, want, 1e-12, &what));
                    }
                }
                let [q, k, v, c] = [q, k, v, c].map(|x| x.mapv(|x| x as f32));
                let inputs = Inputs { q: q.view(), k: k.view(), v: v.view(), causal };
                close(&wide(attention(&inputs, &[]).unwrap()), &out, 1e-5, &what);
                let [q_bar, k_bar, v_bar] = pull(&inputs, &c.view(), &[], [true; 3]).unwrap();
                for (bar, want) in [(q_bar, &qb), (k_bar, &kb), (v_bar, &vb)] {
                    close(&wide(bar.unwrap()), want, 1e-4, &what);
                }
            }
        }
    }

    /// Transposed, strided and stretched operands, on any number of threads.
    #[test]
    fn heads_lie_as_they_may() {
        let (q, k, v) = (numbers(&[3, 40, 2, 8], 1), numbers(&[3, 2, 8, 50], 2), numbers(&[50, 16], 3));
        let q = q.permuted_axes(IxDyn(&[0, 2, 1, 3]));
        let k = k.permuted_axes(IxDyn(&[0, 1, 3, 2]));
        let c = numbers(&[3, 2, 40, 16], 4);
        let inputs = Inputs { q: q.view(), k: k.view(), v: v.view(), causal: true };
        let out = attention(&inputs, &[3, 2]).unwrap();
        let bars = pull(&inputs, &c.view(), &[3, 2], [true; 3]).unwrap().map(Option::unwrap);
        for head in 0..6 {
            let part = |x: &Arr<f64>| x.clone().index_axis_move(Axis(0), head / 2).index_axis_move(Axis(0), head % 2);
            let want = by_definition(&part(&q), &part(&k), &v, &part(&c), true);
            let slices = [(&out, 640), (&bars[0], 320), (&bars[1], 400), (&bars[2], 800)];
            for ((got, size), want) in slices.into_iter().zip(&want) {
                close(&got[head * size..(head + 1) * size], want, 1e-12, "a head");
            }
        }
        // Large enough for several threads.
        let [q, k, c] = [1, 2, 3].map(|seed| numbers(&[10, 70, 32], seed));
        let inputs = Inputs { q: q.view(), k: k.view(), v: k.view(), causal: true };
        let all = || {
            let bars = pull(&inputs, &c.view(), &[10], [true; 3]).unwrap();
            (attention(&inputs, &[10]).unwrap(), bars)
        };
        let one = all();
        for threads in [2, 3] {
            threads::set(threads);
            let more = all();
            threads::set(1);
            assert!(more == one, "{threads} threads");
        }
    }

    /// What a query does not see may be anything, and so may what a cotangent of 0 meets.
    #[test]
    fn nothing_comes_from_what_is_not_seen() {
        for t in [3, 20] {
            let [q, mut k, mut v, c] = [1, 2, 3, 4].map(|seed| numbers(&[t, 4], seed));
            let [out, qb, kb, vb] = by_definition(&q, &k, &v, &c, true);
            let last = t - 1;
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                k[[last, 1]] = bad;
                v[[last, 2]] = bad;
                let inputs = Inputs { q: q.view(), k: k.view(), v: v.view(), causal: true };
                let got = attention(&inputs, &[]).unwrap();
                close(&got[..last * 4], &out[..last * 4], 1e-12, "results");
                // The last query, which alone sees it, has no part in what is differentiated.
                let mut still = c.clone();
                for e in 0..4 {
                    still[[last, e]] = 0.0;
                }
                let want = by_definition(&q, &numbers(&[t, 4], 2), &numbers(&[t, 4], 3), &still, true);
                let bars = pull(&inputs, &still.view(), &[], [true; 3]).unwrap().map(Option::unwrap);
                for (bar, want) in bars.iter().zip(&want[1..]) {
                    close(bar, want, 1e-12, "cotangents");
                }
            }
            assert!([qb, kb, vb].iter().flatten().all(|x| x.is_finite()));
        }
    }

    /// Infinite scores share the weight, and where all are -inf there is none.
    #[test]
    fn infinite_scores() {
        let inf = f64::INFINITY;
        let q = array(&[4, 1], vec![1.0, 1.0, 1.0, -1.0]);
        let k = array(&[4, 1], vec![inf, 0.5, inf, -3.0]);
        let v = numbers(&[4, 2], 5);
        let out = attention(&Inputs { q: q.view(), k: k.view(), v: v.view(), causal: false }, &[]).unwrap();
        let half = |j| (v[[0, j]] + v[[2, j]]) / 2.0;
        close(&out[..2], &[half(0), half(1)], 1e-12, "two infinities");
        let k = array(&[4, 1], vec![inf; 4]);
        let out = attention(&Inputs { q: q.view(), k: k.view(), v: v.view(), causal: false }, &[]).unwrap();
        assert_eq!(out[6..], [0.0, 0.0], "all are -inf");
    }
}
