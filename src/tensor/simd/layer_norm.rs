//! Rows brought to mean 0 and variance 1, then scaled and shifted, and the cotangents of that: some rows at a time, as many as stay in
//! the first cache.
//!
//! A row is added up in 16 lanes. The lanes of all rows are turned, so that what is left to do for a row (its sum, a root, a quotient)
//! is done for 16 of them at once. The last chunk of a row ends where the row does: what has been in another one counts as 0 in sums,
//! and is written twice, the same.

// Places are told by number: that all are known when it is compiled keeps sums in registers.
#![allow(clippy::needless_range_loop)]

use std::mem::MaybeUninit;

use super::poly::pick;
use super::turn::turn;
use super::vector::Vector;
#[cfg(target_arch = "x86_64")]
use super::{Width, width};
use crate::ops::real::Real;

/// Numbers of a chunk, whatever the vectors of the machine; and how many rows have their sums joined together.
const SIDE: usize = 16;
/// Chunks that are summed in their own type, one by one into two sums.
const BLOCK: usize = 32;
/// Numbers that are worked on together, about.
const NEAR: usize = 4096;
/// Rows whose part in the sums of columns is added up in its own type.
pub const ROWS: usize = 32;

/// 16 numbers in vectors.
#[derive(Clone, Copy)]
struct Chunk<V, const N: usize>([V; N]);

// SAFETY (all of them): the caller's, that the machine has the vectors and 16 numbers can be read or written.
#[allow(unsafe_code)]
impl<V: Vector, const N: usize> Chunk<V, N> {
    #[inline(always)]
    unsafe fn splat(x: V::T) -> Self {
        Chunk([unsafe { V::splat(x) }; N])
    }

    #[inline(always)]
    unsafe fn load(from: *const V::T) -> Self {
        let mut all = unsafe { Self::splat(V::T::default()) };
        for i in 0..N {
            all.0[i] = unsafe { V::load(from.add(i * V::LANES)) };
        }
        all
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut V::T) {
        for i in 0..N {
            unsafe { self.0[i].store(to.add(i * V::LANES)) }
        }
    }

    #[inline(always)]
    unsafe fn plus(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] = unsafe { self.0[i].plus(other.0[i]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn minus(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] = unsafe { self.0[i].minus(other.0[i]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn times(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] = unsafe { self.0[i].times(other.0[i]) };
        }
        self
    }
}

/// How rows are cut into chunks.
#[derive(Clone, Copy)]
struct Cut<T> {
    /// Rows, up to 16, and how far apart they begin.
    rows: usize,
    step: usize,
    /// Chunks that are whole and lie one behind the other.
    whole: usize,
    /// Where the last one begins, if it is not one of them, and 1 for what of it counts, else 0.
    last: Option<usize>,
    counts: [T; SIDE],
}

impl<T: Real> Cut<T> {
    /// For rows of `n` numbers; those of less than 16 have zeros behind them.
    fn new(n: usize, rows: usize) -> Cut<T> {
        let (whole, rest) = (n / SIDE, n % SIDE);
        let mut counts = [T::c(0.0); SIDE];
        for (k, counts) in counts.iter_mut().enumerate() {
            let some = if whole == 0 { k < rest } else { k >= SIDE - rest };
            *counts = T::c(f64::from(u8::from(some)));
        }
        let last = if rest > 0 { Some(n.saturating_sub(SIDE)) } else { None };
        Cut { rows, step: n.max(SIDE), whole, last, counts }
    }
}

/// Calls `$body` for each chunk, told by where it begins.
macro_rules! each_chunk {
    ($cut:expr, |$at:ident| $body:expr) => {
        for chunk in 0..$cut.whole {
            let $at = chunk * SIDE;
            $body
        }
        if let Some($at) = $cut.last {
            $body
        }
    };
}

/// What is added up for each row: `K` sums.
trait Terms<V: Vector, const N: usize, const K: usize> {
    /// # Safety
    /// The machine has the vectors, and row and place are some of the cut's.
    unsafe fn at(&self, row: usize, at: usize, counts: Option<Chunk<V, N>>) -> [Chunk<V, N>; K];
}

/// # Safety
/// As of [`Terms`].
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn counted<V: Vector, const N: usize>(x: Chunk<V, N>, counts: Option<Chunk<V, N>>) -> Chunk<V, N> {
    match counts {
        // SAFETY: the caller's.
        Some(counts) => unsafe { x.times(counts) },
        None => x,
    }
}

/// The lanes of up to 16 sums, what they are turned to, and of which row each is.
#[repr(align(64))]
struct Lanes<T> {
    all: [[T; SIDE]; SIDE],
    turned: [[T; SIDE]; SIDE],
    of: [usize; SIDE],
}

impl<T: Real> Lanes<T> {
    fn new() -> Lanes<T> {
        let zeros = [[T::c(0.0); SIDE]; SIDE];
        Lanes { all: zeros, turned: zeros, of: [0; SIDE] }
    }

    /// The sums of the lanes.
    #[inline(always)]
    fn joined(&mut self) -> [f64; SIDE] {
        let turned = &mut self.turned;
        turn(self.all.as_flattened(), SIDE, SIDE, turned.as_flattened_mut());
        let mut sums = [0.0; SIDE];
        for k in 0..SIDE / 2 {
            for row in 0..SIDE {
                sums[row] += (turned[k][row] + turned[k + SIDE / 2][row]).to_f64();
            }
        }
        sums
    }
}

/// The sums of each row: blocks in their own type, the sums of blocks in `f64`.
///
/// # Safety
/// As of [`Terms`].
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn add_up<V: Vector<T: Real>, const N: usize, const K: usize>(
    cut: &Cut<V::T>,
    terms: &impl Terms<V, N, K>,
    lanes: &mut [Lanes<V::T>; 3],
) -> [[f64; SIDE]; K] {
    // SAFETY: the caller's; there is room for 16 numbers in each of the lanes.
    unsafe {
        let zero = Chunk::<V, N>::splat(V::T::default());
        let counts = Chunk::load(cut.counts.as_ptr());
        let mut totals = [[0.0; SIDE]; K];
        let mut used = 0;
        for row in 0..cut.rows {
            let mut chunk = 0;
            loop {
                let end = (chunk + BLOCK).min(cut.whole);
                let (mut even, mut odd) = ([zero; K], [zero; K]);
                while chunk + 2 <= end {
                    let (first, second) = (terms.at(row, chunk * SIDE, None), terms.at(row, (chunk + 1) * SIDE, None));
                    for i in 0..K {
                        even[i] = even[i].plus(first[i]);
                        odd[i] = odd[i].plus(second[i]);
                    }
                    chunk += 2;
                }
                if chunk < end {
                    let first = terms.at(row, chunk * SIDE, None);
                    for i in 0..K {
                        even[i] = even[i].plus(first[i]);
                    }
                    chunk += 1;
                }
                let done = chunk == cut.whole;
                if done && let Some(at) = cut.last {
                    let last = terms.at(row, at, Some(counts));
                    for i in 0..K {
                        odd[i] = odd[i].plus(last[i]);
                    }
                }
                for i in 0..K {
                    even[i].plus(odd[i]).store(lanes[i].all[used].as_mut_ptr());
                    lanes[i].of[used] = row;
                }
                used += 1;
                if used == SIDE || (done && row + 1 == cut.rows) {
                    for i in 0..K {
                        let sums = lanes[i].joined();
                        if cut.whole <= BLOCK {
                            totals[i] = sums;
                            continue;
                        }
                        for (sum, &row) in sums.iter().zip(&lanes[i].of).take(used) {
                            totals[i][row] += sum;
                        }
                    }
                    used = 0;
                }
                if done {
                    break;
                }
            }
        }
        totals
    }
}

struct Plain<T> {
    x: *const T,
    step: usize,
}

#[allow(unsafe_code)]
impl<V: Vector, const N: usize> Terms<V, N, 1> for Plain<V::T> {
    #[inline(always)]
    unsafe fn at(&self, row: usize, at: usize, counts: Option<Chunk<V, N>>) -> [Chunk<V, N>; 1] {
        // SAFETY: the caller's.
        unsafe { [counted(Chunk::load(self.x.add(row * self.step + at)), counts)] }
    }
}

struct Squares<'a, T> {
    x: *const T,
    step: usize,
    mean: &'a [T; SIDE],
}

#[allow(unsafe_code)]
impl<V: Vector, const N: usize> Terms<V, N, 1> for Squares<'_, V::T> {
    #[inline(always)]
    unsafe fn at(&self, row: usize, at: usize, counts: Option<Chunk<V, N>>) -> [Chunk<V, N>; 1] {
        // SAFETY: the caller's.
        unsafe {
            let d = Chunk::load(self.x.add(row * self.step + at)).minus(Chunk::splat(self.mean[row]));
            let d = counted(d, counts);
            [d.times(d)]
        }
    }
}

/// Squares, cotangents, and their products with what the squares are of.
struct Slants<'a, T> {
    x: *const T,
    g: *const T,
    scale: *const T,
    step: usize,
    mean: &'a [T; SIDE],
}

#[allow(unsafe_code)]
impl<V: Vector, const N: usize> Terms<V, N, 3> for Slants<'_, V::T> {
    #[inline(always)]
    unsafe fn at(&self, row: usize, at: usize, counts: Option<Chunk<V, N>>) -> [Chunk<V, N>; 3] {
        // SAFETY: the caller's.
        unsafe {
            let d = Chunk::load(self.x.add(row * self.step + at)).minus(Chunk::splat(self.mean[row]));
            let g = Chunk::load(self.g.add(row * self.step + at)).times(Chunk::load(self.scale.add(at)));
            let (d, g) = (counted(d, counts), counted(g, counts));
            [d.times(d), g, g.times(d)]
        }
    }
}

/// 1 over the root of the variance and `epsilon`, or 0 if that is 0, each rounded as the steps are one by one.
#[inline(always)]
fn factor<T: Real>(variance: f64, epsilon: f64) -> T {
    let spread = T::c(variance + epsilon).sqrt();
    pick(spread == T::c(0.0), spread, T::c(1.0) / spread)
}

fn is_finite<T: Real>(x: T) -> bool {
    x.abs() < T::INFINITY
}

/// Each divided by `n`.
#[inline(always)]
fn over<T: Real>(sums: &[f64; SIDE], n: usize) -> [T; SIDE] {
    let mut out = [T::c(0.0); SIDE];
    for k in 0..SIDE {
        out[k] = T::c(sums[k] / n as f64);
    }
    out
}

#[inline(always)]
fn factors<T: Real>(squares: &[f64; SIDE], n: usize, epsilon: f64) -> [T; SIDE] {
    let mut out = [T::c(0.0); SIDE];
    for k in 0..SIDE {
        out[k] = factor(squares[k] / n as f64, epsilon);
    }
    out
}

/// The results of some rows.
///
/// # Safety
/// The machine has the vectors. Rows as `cut` tells can be read from `x` on and written from `out` on, one of `scale` and of `shift`.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn value<V: Vector<T: Real>, const N: usize>(
    cut: &Cut<V::T>,
    n: usize,
    epsilon: f64,
    x: *const V::T,
    [scale, shift]: [*const V::T; 2],
    out: *mut V::T,
    lanes: &mut [Lanes<V::T>; 3],
) {
    // SAFETY: the caller's.
    unsafe {
        let step = cut.step;
        let [sums] = add_up::<V, N, 1>(cut, &Plain { x, step }, lanes);
        let mean = over(&sums, n);
        let [squares] = add_up::<V, N, 1>(cut, &Squares { x, step, mean: &mean }, lanes);
        let r = factors(&squares, n, epsilon);
        for row in 0..cut.rows {
            let (x, out) = (x.add(row * step), out.add(row * step));
            let (mean, r) = (Chunk::<V, N>::splat(mean[row]), Chunk::splat(r[row]));
            each_chunk!(cut, |at| {
                let y = Chunk::load(x.add(at)).minus(mean).times(r);
                y.times(Chunk::load(scale.add(at))).plus(Chunk::load(shift.add(at))).store(out.add(at));
            });
        }
    }
}

/// Where rows begin whose cotangents are computed, and where those go.
struct Pulled<T> {
    x: *const T,
    g: *const T,
    scale: *const T,
    epsilon: f64,
    /// True if `scale` is finite.
    finite: bool,
    x_bar: Option<*mut T>,
    /// The sums of columns for scale and shift so far.
    columns: Option<[*mut T; 2]>,
}

/// The cotangents of some rows.
///
/// # Safety
/// As of [`value`]; what is `Some` can be written.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn bars<V: Vector<T: Real>, const N: usize>(
    cut: &Cut<V::T>,
    n: usize,
    of: &Pulled<V::T>,
    lanes: &mut [Lanes<V::T>; 3],
) {
    let &Pulled { x, g, scale, epsilon, finite, x_bar, columns } = of;
    let (step, zero) = (cut.step, V::T::default());
    // SAFETY: the caller's.
    unsafe {
        let [sums] = add_up::<V, N, 1>(cut, &Plain { x, step }, lanes);
        let mean = over(&sums, n);
        let (squares, [gs, slants]);
        if x_bar.is_some() {
            let sums = add_up::<V, N, 3>(cut, &Slants { x, g, scale, step, mean: &mean }, lanes);
            (squares, [gs, slants]) = (sums[0], [sums[1], sums[2]]);
        } else {
            let [sums] = add_up::<V, N, 1>(cut, &Squares { x, step, mean: &mean }, lanes);
            (squares, [gs, slants]) = (sums, [[0.0; SIDE]; 2]);
        }
        let r = factors::<V::T>(&squares, n, epsilon);
        // Then all numbers that a zero of `g` meets are finite, and it stays zero.
        if !finite || !r.iter().take(cut.rows).all(|r| *r > zero) {
            return bars_with_care(cut, n, of, &mean, &r);
        }
        let (gs, slants): ([V::T; SIDE], [V::T; SIDE]) = (over(&gs, n), over(&slants, n));
        if let Some(x_bar) = x_bar {
            for row in 0..cut.rows {
                let (x, g, x_bar) = (x.add(row * step), g.add(row * step), x_bar.add(row * step));
                let (mean, slant) = (Chunk::<V, N>::splat(mean[row]), Chunk::splat(slants[row] * r[row] * r[row]));
                let (lost, r) = (Chunk::splat(zero - gs[row]), Chunk::splat(r[row]));
                each_chunk!(cut, |at| {
                    let d = Chunk::load(x.add(at)).minus(mean);
                    let g = Chunk::load(g.add(at)).times(Chunk::load(scale.add(at)));
                    // In this order there is no -0 where `g` is 0.
                    lost.minus(d.times(slant)).plus(g).times(r).store(x_bar.add(at));
                });
            }
        }
        let Some([scale_bar, shift_bar]) = columns else { return };
        each_chunk!(cut, |at| {
            let (mut y_sum, mut sum) = (Chunk::<V, N>::splat(zero), Chunk::<V, N>::splat(zero));
            for row in 0..cut.rows {
                let place = row * step + at;
                let g = Chunk::load(g.add(place));
                let y = Chunk::load(x.add(place)).minus(Chunk::splat(mean[row])).times(Chunk::splat(r[row]));
                y_sum = y_sum.plus(g.times(y));
                sum = sum.plus(g);
            }
            if cut.last != Some(at) {
                Chunk::load(scale_bar.add(at)).plus(y_sum).store(scale_bar.add(at));
                Chunk::load(shift_bar.add(at)).plus(sum).store(shift_bar.add(at));
            } else {
                let mut parts = [[zero; SIDE]; 2];
                y_sum.store(parts[0].as_mut_ptr());
                sum.store(parts[1].as_mut_ptr());
                for k in 0..SIDE {
                    if cut.counts[k] != zero {
                        *scale_bar.add(at + k) = *scale_bar.add(at + k) + parts[0][k];
                        *shift_bar.add(at + k) = *shift_bar.add(at + k) + parts[1][k];
                    }
                }
            }
        });
    }
}

/// The same where zeros of `g` meet infinities or NaN, and stay zero.
///
/// # Safety
/// As of [`bars`].
#[cold]
#[inline(never)]
#[allow(unsafe_code)]
unsafe fn bars_with_care<T: Real>(cut: &Cut<T>, n: usize, of: &Pulled<T>, mean: &[T; SIDE], r: &[T; SIDE]) {
    let &Pulled { x, g, scale, x_bar, columns, .. } = of;
    // SAFETY: the caller's.
    unsafe {
        if let Some(x_bar) = x_bar {
            for row in 0..cut.rows {
                let start = row * cut.step;
                let gs = |k: usize| (*g.add(start + k)).zmul(*scale.add(k));
                let d = |k: usize| *x.add(start + k) - mean[row];
                if (0..n).all(|k| gs(k) == T::c(0.0)) {
                    (0..n).for_each(|k| *x_bar.add(start + k) = T::c(0.0));
                    continue;
                }
                let mean = |term: &dyn Fn(usize) -> T| T::c((0..n).map(|k| term(k).to_f64()).sum::<f64>() / n as f64);
                let (lost, slant) = (mean(&gs), mean(&|k| gs(k) * d(k)) * r[row] * r[row]);
                (0..n).for_each(|k| *x_bar.add(start + k) = (gs(k) - lost - d(k) * slant) * r[row]);
            }
        }
        let Some([scale_bar, shift_bar]) = columns else { return };
        for k in 0..n {
            let (mut y_sum, mut sum) = (T::c(0.0), T::c(0.0));
            for row in 0..cut.rows {
                let (x, g) = (*x.add(row * cut.step + k), *g.add(row * cut.step + k));
                y_sum = y_sum + g.zmul((x - mean[row]) * r[row]);
                sum = sum + g;
            }
            *scale_bar.add(k) = *scale_bar.add(k) + y_sum;
            *shift_bar.add(k) = *shift_bar.add(k) + sum;
        }
    }
}

/// Rows of as many numbers as `scale` and `shift` have, and room for their results.
pub struct Values<'a, T> {
    pub x: &'a [T],
    pub scale: &'a [T],
    pub shift: &'a [T],
    pub epsilon: f64,
    pub out: &'a mut [MaybeUninit<T>],
}

/// Rows and their cotangents `g`, and room for what is wanted: the cotangents of `x`, and the sums of those of scale and shift, to
/// which they are added.
pub struct Bars<'a, T> {
    pub x: &'a [T],
    pub g: &'a [T],
    pub scale: &'a [T],
    pub epsilon: f64,
    pub x_bar: Option<&'a mut [MaybeUninit<T>]>,
    pub columns: Option<[&'a mut [f64]; 2]>,
}

/// Rows of `n` numbers that are worked on together.
fn together(n: usize) -> usize {
    (NEAR / n).clamp(1, SIDE)
}

/// Numbers that begin where a line of the cache does: loads that cross lines take twice as long.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line<T>([T; SIDE]);

/// Room for `n` numbers, zeros.
fn lines<T: Real>(n: usize) -> Vec<Line<T>> {
    vec![Line([T::c(0.0); SIDE]); n.div_ceil(SIDE)]
}

/// Where a copy of `x` begins.
fn copied<T: Real>(x: &[T], room: &mut [Line<T>]) -> *mut T {
    for (x, line) in x.chunks(SIDE).zip(&mut *room) {
        line.0[..x.len()].copy_from_slice(x);
    }
    room.as_mut_ptr().cast()
}

/// Rows with zeros behind them, to [`SIDE`].
fn padded<T: Real>(x: &[T], n: usize) -> [[T; SIDE]; SIDE] {
    let mut out = [[T::c(0.0); SIDE]; SIDE];
    for (row, out) in x.chunks_exact(n).zip(&mut out) {
        out[..n].copy_from_slice(row);
    }
    out
}

/// What [`padded`] put there is left out.
fn unpadded<T: Real>(rows: &[[T; SIDE]; SIDE], n: usize, out: &mut [MaybeUninit<T>]) {
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(n)) {
        for k in 0..n {
            out[k].write(row[k]);
        }
    }
}

/// # Safety
/// The machine has the vectors.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn all_values<V: Vector<T: Real>, const N: usize>(job: Values<'_, V::T>) {
    let Values { x, scale, shift, epsilon, out } = job;
    let n = scale.len();
    assert!(
        n > 0 && shift.len() == n && x.len().is_multiple_of(n) && out.len() == x.len(),
        "whole rows are normalized"
    );
    let mut cut = Cut::new(n, 0);
    let mut lanes = std::array::from_fn(|_| Lanes::new());
    let size = together(n) * n;
    let mut near = [lines(n), lines(n)];
    let [scale_room, shift_room] = &mut near;
    let ends = [copied(scale, scale_room).cast_const(), copied(shift, shift_room).cast_const()];
    for (x, out) in x.chunks(size).zip(out.chunks_mut(size)) {
        cut.rows = x.len() / n;
        // SAFETY: rows of `n` numbers are read and written, or if that is less than a chunk, of 16.
        unsafe {
            if n < SIDE {
                let (x, mut made) = (padded(x, n), [[V::T::default(); SIDE]; SIDE]);
                let made_ptr = made.as_flattened_mut().as_mut_ptr();
                let x = x.as_flattened().as_ptr();
                value::<V, N>(&cut, n, epsilon, x, ends, made_ptr, &mut lanes);
                unpadded(&made, n, out);
            } else {
                let out = out.as_mut_ptr().cast();
                value::<V, N>(&cut, n, epsilon, x.as_ptr(), ends, out, &mut lanes);
            }
        }
    }
}

/// # Safety
/// The machine has the vectors.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn all_bars<V: Vector<T: Real>, const N: usize>(job: Bars<'_, V::T>) {
    let Bars { x, g, scale, epsilon, mut x_bar, mut columns } = job;
    let (n, zero) = (scale.len(), V::T::default());
    assert!(n > 0 && x.len().is_multiple_of(n) && g.len() == x.len(), "whole rows are pulled back");
    assert!(x_bar.as_ref().is_none_or(|x_bar| x_bar.len() == x.len()), "each number has room for its cotangent");
    assert!(columns.as_ref().is_none_or(|c| c.iter().all(|c| c.len() == n)), "each column has room for its sum");
    let mut cut = Cut::new(n, 0);
    let mut lanes = std::array::from_fn(|_| Lanes::new());
    let size = together(n) * n;
    let finite = scale.iter().all(|x| is_finite(*x));
    let (mut near, mut sums) = (lines(n), [lines(n), lines(n)]);
    let scale = copied(scale, &mut near).cast_const();
    let mut summed = 0;
    for (i, (x, g)) in x.chunks(size).zip(g.chunks(size)).enumerate() {
        cut.rows = x.len() / n;
        let mut room = x_bar.as_mut().map(|x_bar| &mut x_bar[i * size..i * size + x.len()]);
        let ends = if columns.is_some() {
            let [first, second] = &mut sums;
            Some([first.as_mut_ptr().cast(), second.as_mut_ptr().cast()])
        } else {
            None
        };
        // SAFETY: rows of `n` numbers are read and written, or if that is less than a chunk, of 16.
        unsafe {
            if n < SIDE {
                let (x, g, mut made) = (padded(x, n), padded(g, n), [[zero; SIDE]; SIDE]);
                let of = Pulled {
                    x: x.as_flattened().as_ptr(),
                    g: g.as_flattened().as_ptr(),
                    scale,
                    epsilon,
                    finite,
                    x_bar: room.is_some().then_some(made.as_flattened_mut().as_mut_ptr()),
                    columns: ends,
                };
                bars::<V, N>(&cut, n, &of, &mut lanes);
                if let Some(room) = room {
                    unpadded(&made, n, room);
                }
            } else {
                let of = Pulled {
                    x: x.as_ptr(),
                    g: g.as_ptr(),
                    scale,
                    epsilon,
                    finite,
                    x_bar: room.as_mut().map(|room| room.as_mut_ptr().cast()),
                    columns: ends,
                };
                bars::<V, N>(&cut, n, &of, &mut lanes);
            }
        }
        let Some([scale_bar, shift_bar]) = &mut columns else { continue };
        summed += cut.rows;
        if summed >= ROWS || (i + 1) * size >= job.x.len() {
            for (bar, sums) in [scale_bar, shift_bar].into_iter().zip(&mut sums) {
                for (bar, sums) in bar.chunks_mut(SIDE).zip(sums) {
                    for (bar, sum) in bar.iter_mut().zip(&mut sums.0) {
                        *bar += std::mem::replace(sum, zero).to_f64();
                    }
                }
            }
            summed = 0;
        }
    }
}

/// Numbers that there are kernels for.
pub trait Normed: Real {
    /// Writes the rows less their mean and over the root of their variance and `epsilon`, times `scale`, plus `shift`.
    fn values(job: Values<'_, Self>);
    /// Computes what is wanted of the cotangents. A zero of `g` counts as zero whatever it is multiplied with.
    fn bars(job: Bars<'_, Self>);
}

/// The kernels for a type and the vectors of a machine.
#[cfg(target_arch = "x86_64")]
macro_rules! kernels {
    ($name:ident, $type:ty, $vector:ident, $count:literal, $features:literal) => {
        mod $name {
            use super::{Bars, Values};

            #[target_feature(enable = $features)]
            #[allow(unsafe_code)]
            pub unsafe fn values(job: Values<'_, $type>) {
                // SAFETY: the caller's.
                unsafe { super::all_values::<std::arch::x86_64::$vector, $count>(job) }
            }

            #[target_feature(enable = $features)]
            #[allow(unsafe_code)]
            pub unsafe fn bars(job: Bars<'_, $type>) {
                // SAFETY: the caller's.
                unsafe { super::all_bars::<std::arch::x86_64::$vector, $count>(job) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(wide32, f32, __m512, 1, "avx512f,avx512dq,avx512bw,avx512vl,fma");
#[cfg(target_arch = "x86_64")]
kernels!(wide64, f64, __m512d, 2, "avx512f,avx512dq,avx512bw,avx512vl,fma");
#[cfg(target_arch = "x86_64")]
kernels!(half32, f32, __m256, 2, "avx2,fma");
#[cfg(target_arch = "x86_64")]
kernels!(half64, f64, __m256d, 4, "avx2,fma");

macro_rules! normed {
    ($type:ident, $wide:ident, $half:ident) => {
        // SAFETY (all of them): the machine has been found to have the instructions.
        #[allow(unsafe_code)]
        impl Normed for $type {
            fn values(job: Values<'_, $type>) {
                #[cfg(target_arch = "x86_64")]
                match width() {
                    Width::Avx512 => return unsafe { $wide::values(job) },
                    Width::Avx2 => return unsafe { $half::values(job) },
                    Width::Portable => {}
                }
                unsafe { all_values::<$type, SIDE>(job) }
            }

            fn bars(job: Bars<'_, $type>) {
                #[cfg(target_arch = "x86_64")]
                match width() {
                    Width::Avx512 => return unsafe { $wide::bars(job) },
                    Width::Avx2 => return unsafe { $half::bars(job) },
                    Width::Portable => {}
                }
                unsafe { all_bars::<$type, SIDE>(job) }
            }
        }
    };
}

normed!(f32, wide32, half32);
normed!(f64, wide64, half64);
