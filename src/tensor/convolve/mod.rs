//! Convolution of planes and its two transposes, as matrix products over unfolded windows (im2col).
//!
//! In: row-major `x[batch, groups * inputs, h, w]`, `w[groups * outputs, inputs, kh, kw]` and `y[batch, groups * outputs, oh,
//! ow]`, all sizes in a [`Geometry`] that the caller has checked. `y` is bilinear in `x` and `w`; with `y` in the place of one
//! of them the same three nested sums give the two transposes. Out: a new row-major buffer.
//!
//! Some rows of windows at a time are unfolded into a buffer that stays in the cache, `[inputs * kh * kw, rows * ow]`, and
//! multiplied. Kernels of one element need no unfolding, nor do windows one step apart (see [`direct`]). For one or two outputs a group
//! (depthwise) neither would pay: rows are added to rows.

mod direct;

use std::sync::atomic::{AtomicBool, Ordering};

use self::direct::Direct;
use crate::error::Result;
use crate::tensor::matmul::{Dense, matrix, unchecked};
use crate::tensor::simd::convolution::Convolved;
use crate::tensor::simd::kernels::{add_to, all_finite};
use crate::tensor::threads;
use crate::tensor::window::{Reach, Slide, along, back};

/// Sizes of a convolution.
#[derive(Clone, Debug)]
pub struct Geometry {
    pub batch: usize,
    pub groups: usize,
    /// Channels of each group.
    pub inputs: usize,
    pub outputs: usize,
    pub rows: Slide,
    pub columns: Slide,
}

/// Elements of the buffer for unfolded windows.
const UNFOLDED: usize = 1 << 15;

/// Windows that a part of the sums for weights is made over, at least.
const LEAST_WINDOWS: usize = 1 << 11;

/// Up to this many outputs a group are computed without unfolding.
const FEW: usize = 2;

impl Geometry {
    /// Elements of an input plane.
    fn plane(&self) -> usize {
        self.rows.len * self.columns.len
    }

    /// Elements of an output plane.
    fn windows(&self) -> usize {
        self.rows.count * self.columns.count
    }

    /// Elements of a kernel's plane.
    fn places(&self) -> usize {
        self.rows.size * self.columns.size
    }

    /// Elements that one output is summed over.
    fn terms(&self) -> usize {
        self.inputs * self.places()
    }

    fn x_len(&self) -> usize {
        self.batch * self.groups * self.inputs * self.plane()
    }

    fn w_len(&self) -> usize {
        self.groups * self.outputs * self.terms()
    }

    fn y_len(&self) -> usize {
        self.batch * self.groups * self.outputs * self.windows()
    }

    /// True if each window is one element of the input, in order.
    fn is_pointwise(&self) -> bool {
        let one = |s: &Slide| s.size == 1 && s.stride == 1 && s.padding == 0;
        one(&self.rows) && one(&self.columns)
    }

    fn is_empty(&self) -> bool {
        self.x_len() == 0 || self.w_len() == 0 || self.y_len() == 0
    }

    /// Rows of windows unfolded at a time.
    fn tile(&self) -> usize {
        (UNFOLDED / (self.terms() * self.columns.count).max(1)).clamp(1, self.rows.count.max(1))
    }
}

/// Part `i` of a buffer of parts of one length.
fn part<T>(data: &[T], i: usize, len: usize) -> &[T] {
    data.get(i * len..(i + 1) * len).unwrap_or(&[])
}

fn part_mut<T>(data: &mut [T], i: usize, len: usize) -> &mut [T] {
    data.get_mut(i * len..(i + 1) * len).unwrap_or_default()
}

/// Where the places of the windows meet the input.
struct Places {
    rows: Vec<Reach>,
    columns: Vec<Reach>,
}

impl Places {
    fn new(g: &Geometry) -> Places {
        Places { rows: g.rows.reaches(0..g.rows.size), columns: g.columns.reaches(0..g.columns.size) }
    }

    /// Calls `f` with the number of each place of a kernel's plane, and how it reaches rows and columns.
    fn each(&self, mut f: impl FnMut(usize, &Reach, &Reach)) {
        let mut place = 0;
        for rows in &self.rows {
            for columns in &self.columns {
                f(place, rows, columns);
                place += 1;
            }
        }
    }
}

/// Calls `f` with a row of windows and the row of the input that it meets, for all rows in `reach`.
fn each_row(g: &Geometry, reach: &Reach, mut f: impl FnMut(usize, usize)) {
    for (i, row) in reach.outputs.clone().enumerate() {
        f(row, reach.start + i * g.rows.stride);
    }
}

/// Fills `unfolded[terms, rows * ow]` with the windows of `rows` of one image and group.
fn unfold<T: Dense>(g: &Geometry, at: &Places, x: &[T], rows: std::ops::Range<usize>, unfolded: &mut [T]) {
    let (width, count) = (g.columns.len, g.columns.count);
    let mut lines = unfolded.chunks_exact_mut((rows.len() * count).max(1));
    for plane in x.chunks_exact(g.plane().max(1)) {
        at.each(|_, by_row, by_column| {
            let Some(line) = lines.next() else { return };
            for (row, line) in rows.clone().zip(line.chunks_exact_mut(count.max(1))) {
                if !by_row.outputs.contains(&row) {
                    line.fill(T::default());
                    continue;
                }
                let from = by_row.start + (row - by_row.outputs.start) * g.rows.stride;
                let (first, last) = (by_column.outputs.start, by_column.outputs.end);
                let Some((line, margin)) = line.split_at_mut_checked(last) else { continue };
                margin.fill(T::default());
                let Some((margin, line)) = line.split_at_mut_checked(first) else { continue };
                margin.fill(T::default());
                let x = part(plane, from, width).get(by_column.start..).unwrap_or(&[]);
                match x.get(..line.len()) {
                    Some(x) if g.columns.stride == 1 => line.copy_from_slice(x),
                    _ => line.iter_mut().zip(x.iter().step_by(g.columns.stride)).for_each(|(e, x)| *e = *x),
                }
            }
        });
    }
}

/// Adds `unfolded` back to where its elements came from.
fn fold<T: Dense>(g: &Geometry, at: &Places, unfolded: &[T], rows: std::ops::Range<usize>, x: &mut [T]) {
    let (width, count) = (g.columns.len, g.columns.count);
    let mut lines = unfolded.chunks_exact((rows.len() * count).max(1));
    for plane in x.chunks_exact_mut(g.plane().max(1)) {
        at.each(|_, by_row, by_column| {
            let Some(line) = lines.next() else { return };
            for (row, line) in rows.clone().zip(line.chunks_exact(count.max(1))) {
                if by_row.outputs.contains(&row) {
                    let to = by_row.start + (row - by_row.outputs.start) * g.rows.stride;
                    let x = part_mut(plane, to, width);
                    if g.columns.stride == 1 {
                        let line = line.get(by_column.outputs.clone()).unwrap_or(&[]);
                        add_to(x.get_mut(by_column.start..).unwrap_or_default(), line);
                    } else {
                        back(line, x, by_column, g.columns.stride, |e, x| *x += *e);
                    }
                }
            }
        });
    }
}

/// Calls `f` for each image and group with its number, that of the group, its part of `out` (of `len` elements) and room for
/// unfolded windows; on several threads if there are.
fn each_image<T: Dense>(
    g: &Geometry,
    out: &mut [T],
    len: usize,
    f: impl Fn(usize, usize, &mut [T], &mut Vec<T>) -> Result<()> + Sync,
) -> Result<()> {
    let together = threads::together(g.batch * g.groups, g.outputs * g.terms() * g.windows());
    let done = AtomicBool::new(true);
    threads::each_chunk(out, together * len, |chunk, out| {
        let mut unfolded = vec![];
        for (i, out) in out.chunks_exact_mut(len).enumerate() {
            let i = chunk * together + i;
            if f(i, i % g.groups, out, &mut unfolded).is_err() {
                done.store(false, Ordering::Relaxed);
            }
        }
    });
    if done.into_inner() { Ok(()) } else { Err(unchecked()) }
}

/// `y`: at each place of each window, `x` times `w`, summed.
pub fn forward<T: Dense + Convolved>(g: &Geometry, x: &[T], w: &[T]) -> Result<Vec<T>> {
    let mut y = vec![T::default(); g.y_len()];
    if g.is_empty() {
        return Ok(y);
    }
    let (x_len, w_len, y_len) = (g.inputs * g.plane(), g.outputs * g.terms(), g.outputs * g.windows());
    if let Some(direct) = Direct::new(g) {
        let w = direct.pack(g, |group, output, input, place| {
            let at = ((group * g.outputs + output) * g.inputs + input) * g.places() + place;
            w.get(at).copied().unwrap_or_default()
        });
        each_image(g, &mut y, y_len, |i, group, y, room| {
            direct.image(g, part(x, i, x_len), group, &w, y, room);
            Ok(())
        })?;
        return Ok(y);
    }
    let at = Places::new(g);
    each_image(g, &mut y, y_len, |i, group, y, unfolded| {
        let (x, w) = (part(x, i, x_len), part(w, group, w_len));
        if g.is_pointwise() {
            let (w, x) = (matrix(w, g.outputs, g.inputs, g.inputs)?, matrix(x, g.inputs, g.plane(), g.plane())?);
            T::product_into(w, x, y, g.windows(), false);
        } else if g.outputs <= FEW {
            for (y, w) in y.chunks_exact_mut(g.windows()).zip(w.chunks_exact(g.terms())) {
                for (x, w) in x.chunks_exact(g.plane()).zip(w.chunks_exact(g.places())) {
                    add_plane(g, &at, x, w, y);
                }
            }
        } else {
            let w = matrix(w, g.outputs, g.terms(), g.terms())?;
            for first in (0..g.rows.count).step_by(g.tile()) {
                let rows = first..(first + g.tile()).min(g.rows.count);
                let (from, wide) = (first * g.columns.count, rows.len() * g.columns.count);
                unfolded.resize(g.terms() * wide, T::default());
                unfold(g, &at, x, rows, unfolded);
                let unfolded = matrix(unfolded, g.terms(), wide, wide)?;
                T::product_into(w, unfolded, y.get_mut(from..).unwrap_or_default(), g.windows(), false);
            }
        }
        Ok(())
    })?;
    Ok(y)
}

/// One plane of `x` times one of `w`, added to one of `y`.
fn add_plane<T: Dense>(g: &Geometry, at: &Places, x: &[T], w: &[T], y: &mut [T]) {
    let (width, count) = (g.columns.len, g.columns.count);
    at.each(|place, by_row, by_column| {
        let Some(&w) = w.get(place) else { return };
        each_row(g, by_row, |row, from| {
            let (x, y) = (part(x, from, width), part_mut(y, row, count));
            along(y, x, by_column, g.columns.stride, |y, x| *y += w * *x);
        });
    });
}

/// `x_bar`: each element of `y` times `w`, added where its window is.
pub fn input_bar<T: Dense + Convolved>(g: &Geometry, y: &[T], w: &[T]) -> Result<Vec<T>> {
    let mut x_bar = vec![T::default(); g.x_len()];
    if g.is_empty() {
        return Ok(x_bar);
    }
    let (x_len, w_len, y_len) = (g.inputs * g.plane(), g.outputs * g.terms(), g.outputs * g.windows());
    // Margins are zeros that are multiplied, which only finite numbers leave at 0.
    if all_finite(w)
        && let Some((turned, direct)) = Direct::turned(g)
    {
        // A weight of the way back is that from the same input to the same output, at the opposite place of the window.
        let w = direct.pack(&turned, |group, input, output, place| {
            let at = ((group * g.outputs + output) * g.inputs + input + 1) * g.places() - 1 - place;
            w.get(at).copied().unwrap_or_default()
        });
        each_image(g, &mut x_bar, x_len, |i, group, x, room| {
            direct.image(&turned, part(y, i, y_len), group, &w, x, room);
            Ok(())
        })?;
        return Ok(x_bar);
    }
    let (width, count) = (g.columns.len, g.columns.count);
    let at = Places::new(g);
    each_image(g, &mut x_bar, x_len, |i, group, x, unfolded| {
        let (w, y) = (part(w, group, w_len), part(y, i, y_len));
        if g.is_pointwise() {
            let (w, y) = (matrix(w, g.outputs, g.inputs, g.inputs)?, matrix(y, g.outputs, g.windows(), g.windows())?);
            T::product_into(w.reversed_axes(), y, x, g.plane(), false);
        } else if g.outputs <= FEW {
            for (y, w) in y.chunks_exact(g.windows()).zip(w.chunks_exact(g.terms())) {
                for (x, w) in x.chunks_exact_mut(g.plane()).zip(w.chunks_exact(g.places())) {
                    at.each(|place, by_row, by_column| {
                        let Some(&w) = w.get(place) else { return };
                        each_row(g, by_row, |row, to| {
                            let (x, y) = (part_mut(x, to, width), part(y, row, count));
                            back(y, x, by_column, g.columns.stride, |y, x| *x += w * *y);
                        });
                    });
                }
            }
        } else {
            let w = matrix(w, g.outputs, g.terms(), g.terms())?;
            for first in (0..g.rows.count).step_by(g.tile()) {
                let rows = first..(first + g.tile()).min(g.rows.count);
                let (from, wide) = (first * count, rows.len() * count);
                unfolded.resize(g.terms() * wide, T::default());
                let y = matrix(y.get(from..).unwrap_or_default(), g.outputs, wide, g.windows())?;
                T::product_into(w.reversed_axes(), y, unfolded, wide, false);
                fold(g, &at, unfolded, rows, x);
            }
        }
        Ok(())
    })?;
    Ok(x_bar)
}

/// `w_bar`: each element of `y` times its window of `x`, summed over batch and windows.
///
/// Sums of a few images each are made apart, on several threads if there are, and then added in order; how many does not depend
/// on the threads.
pub fn weight_bar<T: Dense + Convolved>(g: &Geometry, x: &[T], y: &[T]) -> Result<Vec<T>> {
    let mut w_bar = vec![T::default(); g.w_len()];
    if g.is_empty() {
        return Ok(w_bar);
    }
    let work = g.batch * g.w_len() * g.windows();
    // Each sum should be long enough that it, and adding it to the others, costs little.
    let least = LEAST_WINDOWS.div_ceil(g.windows());
    let chunks = (work / (4 * threads::WORTH)).clamp(1, g.batch.div_ceil(least).min(16));
    let images = g.batch.div_ceil(chunks);
    let mut sums = vec![T::default(); chunks * g.w_len()];
    let is_finite = all_finite(x);
    let done = AtomicBool::new(true);
    threads::each_chunk(&mut sums, g.w_len(), |chunk, sum| {
        let images = chunk * images..((chunk + 1) * images).min(g.batch);
        if add_weight_bar(g, images, (x, is_finite), y, sum).is_err() {
            done.store(false, Ordering::Relaxed);
        }
    });
    sums.chunks_exact(g.w_len()).for_each(|sum| add_to(&mut w_bar, sum));
    if done.into_inner() { Ok(w_bar) } else { Err(unchecked()) }
}

/// The part of [`weight_bar`] that some of the images have.
fn add_weight_bar<T: Dense + Convolved>(
    g: &Geometry,
    images: std::ops::Range<usize>,
    (x, is_finite): (&[T], bool),
    y: &[T],
    w_bar: &mut [T],
) -> Result<()> {
    let (x_len, w_len, y_len) = (g.inputs * g.plane(), g.outputs * g.terms(), g.outputs * g.windows());
    let (width, count) = (g.columns.len, g.columns.count);
    // What lies between the rows of outputs is multiplied by zeros, see `input_bar`.
    if is_finite && let Some(direct) = Direct::new(g) {
        direct.weight_bar(g, images, x, y, w_bar);
        return Ok(());
    }
    let at = Places::new(g);
    let mut unfolded = vec![];
    for i in images.start * g.groups..images.end * g.groups {
        let (x, w, y) = (part(x, i, x_len), part_mut(w_bar, i % g.groups, w_len), part(y, i, y_len));
        if g.is_pointwise() {
            let y = matrix(y, g.outputs, g.windows(), g.windows())?;
            let x = matrix(x, g.inputs, g.plane(), g.plane())?;
            T::product_into(y, x.reversed_axes(), w, g.inputs, true);
        } else if g.outputs <= FEW {
            for (y, w) in y.chunks_exact(g.windows()).zip(w.chunks_exact_mut(g.terms())) {
                for (x, w) in x.chunks_exact(g.plane()).zip(w.chunks_exact_mut(g.places())) {
                    at.each(|place, by_row, by_column| {
                        let Some(w) = w.get_mut(place) else { return };
                        each_row(g, by_row, |row, from| {
                            *w += row_sum(g, by_column, part(x, from, width), part(y, row, count));
                        });
                    });
                }
            }
        } else {
            for first in (0..g.rows.count).step_by(g.tile()) {
                let rows = first..(first + g.tile()).min(g.rows.count);
                let (from, wide) = (first * count, rows.len() * count);
                unfolded.resize(g.terms() * wide, T::default());
                unfold(g, &at, x, rows, &mut unfolded);
                let windows = matrix(&unfolded, g.terms(), wide, wide)?;
                let y = matrix(y.get(from..).unwrap_or_default(), g.outputs, wide, g.windows())?;
                T::product_into(y, windows.reversed_axes(), w, g.terms(), true);
            }
        }
    }
    Ok(())
}

/// Sum of a row of `y` times what it meets in a row of `x`.
fn row_sum<T: Dense>(g: &Geometry, reach: &Reach, x: &[T], y: &[T]) -> T {
    let (Some(y), Some(x)) = (y.get(reach.outputs.clone()), x.get(reach.start..)) else { return T::default() };
    if g.columns.stride == 1 {
        let n = y.len().min(x.len());
        return T::dot(y.get(..n).unwrap_or(&[]), x.get(..n).unwrap_or(&[])).unwrap_or_default();
    }
    let mut sum = T::default();
    for (y, x) in y.iter().zip(x.iter().step_by(g.columns.stride)) {
        sum += *y * *x;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern that a wrong stride could reproduce.
    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i + seed) * 7919) % 1013) as f64 / 97.0 - 5.0).collect()
    }

    /// Calls `f` with the positions in `x`, `w` and `y` of each product, by the definition.
    fn each_term(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
        let (r, c) = (&g.rows, &g.columns);
        let meet = |s: &Slide, o: usize, k: usize| {
            (o * s.stride + k * s.dilation).checked_sub(s.padding).filter(|&i| i < s.len)
        };
        for (i, group) in (0..g.batch * g.groups).map(|i| (i, i % g.groups)) {
            for o in 0..g.outputs {
                for n in 0..g.inputs {
                    for (oy, ox) in (0..r.count).flat_map(|y| (0..c.count).map(move |x| (y, x))) {
                        for (ky, kx) in (0..r.size).flat_map(|y| (0..c.size).map(move |x| (y, x))) {
                            let (Some(iy), Some(ix)) = (meet(r, oy, ky), meet(c, ox, kx)) else { continue };
                            f(
                                ((i * g.inputs + n) * r.len + iy) * c.len + ix,
                                (((group * g.outputs + o) * g.inputs + n) * r.size + ky) * c.size + kx,
                                ((i * g.outputs + o) * r.count + oy) * c.count + ox,
                            );
                        }
                    }
                }
            }
        }
    }

    fn close(got: &[f64], want: &[f64], what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((g - w).abs() <= 1e-10 * (1.0 + w.abs()), "{what} at {i}: {g} is not {w}");
        }
    }

    fn slide(len: usize, size: usize, stride: usize, padding: usize, dilation: usize) -> Option<Slide> {
        let count = Slide::windows(len, size, stride, padding, dilation)?;
        Some(Slide { len, count, size, stride, padding, dilation })
    }

    fn check(g: &Geometry) {
        let (x, w, y) = (numbers(g.x_len(), 3), numbers(g.w_len(), 50), numbers(g.y_len(), 200));
        let (mut to_x, mut to_w, mut to_y) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; y.len()]);
        each_term(g, |i, j, k| {
            to_x[i] += w[j] * y[k];
            to_w[j] += x[i] * y[k];
            to_y[k] += x[i] * w[j];
        });
        let shown = format!("{g:?}");
        close(&forward(g, &x, &w).unwrap(), &to_y, &shown);
        close(&input_bar(g, &y, &w).unwrap(), &to_x, &shown);
        close(&weight_bar(g, &x, &y).unwrap(), &to_w, &shown);
        let narrow = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let got: Vec<f64> = forward(g, &narrow(&x), &narrow(&w)).unwrap().into_iter().map(f64::from).collect();
        let scale = 1.0 + to_y.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        assert!(got.iter().zip(&to_y).all(|(g, w)| (g - w).abs() < 1e-5 * scale), "{shown}");
    }

    #[test]
    fn all_three_are_the_sums_of_the_definition() {
        for (batch, groups, inputs, outputs) in
            [(1, 1, 1, 1), (2, 1, 3, 4), (2, 2, 2, 3), (1, 3, 1, 1), (0, 1, 2, 3), (1, 1, 0, 3)]
        {
            for (len, size, stride, padding, dilation) in [
                (5, 3, 1, 0, 1),
                (5, 3, 2, 1, 1),
                (4, 1, 1, 0, 1),
                (4, 1, 2, 1, 1),
                (7, 2, 3, 2, 2),
                (2, 2, 5, 0, 1),
                (1, 1, 1, 3, 1),
                (3, 2, 1, 4, 1),
            ] {
                for (columns, pad) in [(6, 0), (4, 1)] {
                    let rows = slide(len, size, stride, padding, dilation).unwrap();
                    let columns = slide(columns, 3, 1, pad, 1).unwrap();
                    check(&Geometry { batch, groups, inputs, outputs, rows, columns });
                    check(&Geometry { batch, groups, inputs, outputs, rows, columns: rows });
                }
            }
        }
    }

    /// Outputs that fill a block of kernels and that do not, planes of several stretches, margins up to what can be turned and beyond.
    #[test]
    fn windows_one_step_apart_are_not_unfolded() {
        for (batch, groups, inputs, outputs) in
            [(2, 1, 3, 8), (1, 2, 4, 13), (3, 1, 5, 20), (1, 1, 9, 3), (40, 1, 2, 4)]
        {
            for (rows, columns) in [
                (slide(9, 3, 1, 1, 1), slide(14, 3, 1, 1, 1)),
                (slide(7, 2, 1, 0, 1), slide(21, 4, 1, 2, 1)),
                (slide(1, 1, 1, 0, 1), slide(50, 5, 1, 4, 2)),
                (slide(12, 3, 1, 3, 1), slide(12, 3, 1, 3, 1)),
                (slide(10, 5, 1, 2, 2), slide(40, 1, 1, 0, 1)),
            ] {
                let g = Geometry { batch, groups, inputs, outputs, rows: rows.unwrap(), columns: columns.unwrap() };
                assert_eq!(Direct::<f64>::new(&g).is_some(), f64::kernels().is_some(), "{g:?}");
                check(&g);
            }
        }
    }

    /// An infinite number reaches what it is multiplied with, and nothing that margins alone would carry it to.
    #[test]
    fn what_is_not_finite_stays_where_it_counts() {
        let side = slide(9, 3, 1, 1, 1).unwrap();
        let g = Geometry { batch: 2, groups: 1, inputs: 3, outputs: 5, rows: side, columns: side };
        let (mut x, mut w, y) = (numbers(g.x_len(), 3), numbers(g.w_len(), 50), numbers(g.y_len(), 200));
        (x[0], w[0]) = (f64::INFINITY, f64::NAN);
        let (mut to_x, mut to_w) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        each_term(&g, |i, j, k| {
            to_x[i] += w[j] * y[k];
            to_w[j] += x[i] * y[k];
        });
        let finite = |v: &[f64]| v.iter().map(|x| x.is_finite()).collect::<Vec<_>>();
        assert_eq!(finite(&weight_bar(&g, &x, &y).unwrap()), finite(&to_w));
        assert_eq!(finite(&input_bar(&g, &y, &w).unwrap()), finite(&to_x));
    }

    #[test]
    fn threads_change_no_bit() {
        let side = slide(24, 3, 1, 1, 1).unwrap();
        let g = Geometry { batch: 5, groups: 2, inputs: 6, outputs: 16, rows: side, columns: side };
        let (x, w, y) = (numbers(g.x_len(), 3), numbers(g.w_len(), 50), numbers(g.y_len(), 200));
        let all = || [forward(&g, &x, &w).unwrap(), input_bar(&g, &y, &w).unwrap(), weight_bar(&g, &x, &y).unwrap()];
        let one = all();
        for threads in [2, 3] {
            threads::set(threads);
            assert!(all() == one);
            threads::set(1);
        }
    }

    /// More rows of windows than are unfolded at a time.
    #[test]
    fn large_planes_are_done_in_parts() {
        let side = slide(40, 5, 1, 2, 1).unwrap();
        let g = Geometry { batch: 2, groups: 1, inputs: 5, outputs: 3, rows: side, columns: side };
        assert!(g.tile() < g.rows.count && !g.rows.count.is_multiple_of(g.tile()));
        check(&g);
    }
}
