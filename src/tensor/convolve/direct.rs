//! Convolutions whose windows are one step apart, without unfolding.
//!
//! A plane with its margins is a line: the places of a window are at fixed distances from its first one, and windows that begin
//! one after another on the line meet, at each of their places, elements one after another. So a stretch of outputs is a sum
//! of stretches of the line times weights, and the gradient of a weight is the product of two stretches. What begins too far
//! right in a row for a window lies between the rows of outputs and is left out.

use super::{FEW, Geometry, part, part_mut};
use crate::tensor::matmul::Dense;
use crate::tensor::simd::convolution::{Convolved, Images, Kernels, Offsets};
use crate::tensor::threads;
use crate::tensor::window::Slide;

/// Places computed for two places that count, at most: for planes that are small beside their windows unfolding is faster.
const MOST_OF_TWO: usize = 3;

/// Bytes of images whose sums are made together: they should stay in the cache.
const TOGETHER: usize = 1 << 20;
/// The same for the rows of outputs of a block of sums, which should stay in the nearest one.
const ROWS_TOGETHER: usize = 1 << 14;

/// How a convolution lies on lines.
pub struct Direct<T: 'static> {
    kernels: &'static Kernels<T>,
    /// Elements of a row with its margins.
    width: usize,
    /// Elements of a plane with its margins.
    plane: usize,
    /// Where the terms of an output are, from its place in the first plane on.
    at: Offsets,
    /// Places from the first output to the last, rounded up to what a kernel computes.
    len: usize,
}

/// Weights in the order in which the kernels read them: blocks of outputs, in each term by term.
pub struct Packed<T> {
    data: Vec<T>,
    /// Numbers of a group.
    group: usize,
}

impl Geometry {
    /// The convolution by which cotangents of `y` become those of `x`: outputs and inputs change places, and so do margins inside
    /// and outside. `None` if that would cut off some of `y`.
    fn turned(&self) -> Option<Geometry> {
        let turn = |s: &Slide| {
            let padding = (s.dilation * s.size.checked_sub(1)?).checked_sub(s.padding)?;
            Some(Slide { len: s.count, count: s.len, padding, ..*s })
        };
        let (rows, columns) = (turn(&self.rows)?, turn(&self.columns)?);
        Some(Geometry { inputs: self.outputs, outputs: self.inputs, rows, columns, ..*self })
    }
}

impl<T: Dense + Convolved> Direct<T> {
    /// For windows one step apart, on machines that have kernels, if it pays.
    pub fn new(g: &Geometry) -> Option<Direct<T>> {
        let kernels = T::kernels()?;
        if g.rows.stride != 1 || g.columns.stride != 1 || g.outputs <= FEW || g.is_pointwise() || g.is_empty() {
            return None;
        }
        let padded = |s: &Slide| s.len.checked_add(s.padding.checked_mul(2)?);
        let (height, width) = (padded(&g.rows)?, padded(&g.columns)?);
        let plane = height.checked_mul(width)?;
        let len = ((g.rows.count - 1) * width + g.columns.count).next_multiple_of(kernels.wide);
        if 2 * len > MOST_OF_TWO * g.windows() {
            return None;
        }
        let places = |s: &Slide| (0..s.size).map(|place| place * s.dilation).collect::<Vec<_>>();
        let (rows, columns) = (places(&g.rows), places(&g.columns));
        let at = (0..g.inputs).flat_map(|input| {
            let columns = &columns;
            rows.iter().flat_map(move |row| columns.iter().map(move |column| input * plane + row * width + column))
        });
        Some(Direct { kernels, width, plane, at: Offsets::new(at.collect()), len })
    }

    /// The same for the way from cotangents of `y` back to those of `x`, and its sizes.
    pub fn turned(g: &Geometry) -> Option<(Geometry, Direct<T>)> {
        let turned = g.turned()?;
        let direct = Direct::new(&turned)?;
        Some((turned, direct))
    }

    /// Outputs of the blocks, as sizes of kernels with the first output of each.
    fn blocks(&self, outputs: usize) -> impl Iterator<Item = (usize, usize)> {
        let [large, small] = self.kernels.outputs;
        (0..outputs).step_by(large).map(move |first| (usize::from(outputs - first <= small), first))
    }

    /// The weights of a convolution, `w(group, output, input, place)` each.
    pub fn pack(&self, g: &Geometry, w: impl Fn(usize, usize, usize, usize) -> T) -> Packed<T> {
        let mut data = vec![];
        for group in 0..g.groups {
            for (size, first) in self.blocks(g.outputs) {
                let block = first..first + self.kernels.outputs.get(size).copied().unwrap_or(0);
                for (input, place) in (0..g.inputs).flat_map(|i| (0..g.places()).map(move |place| (i, place))) {
                    let w = |o| if o < g.outputs { w(group, o, input, place) } else { T::default() };
                    data.extend(block.clone().map(w));
                }
            }
        }
        Packed { group: data.len() / g.groups.max(1), data }
    }

    /// Elements of an image with its margins and what a kernel may read behind them.
    fn room(&self, g: &Geometry) -> usize {
        g.inputs * self.plane + self.kernels.wide
    }

    /// Writes the planes of `x` where their places are within margins of zeros, which are there.
    fn place(&self, g: &Geometry, x: &[T], padded: &mut [T]) {
        let width = g.columns.len;
        for (plane, to) in x.chunks_exact(g.plane()).zip(padded.chunks_exact_mut(self.plane)) {
            let rows = to.chunks_exact_mut(self.width).skip(g.rows.padding);
            for (row, to) in plane.chunks_exact(width).zip(rows) {
                if let Some(to) = to.get_mut(g.columns.padding..g.columns.padding + width) {
                    to.copy_from_slice(row);
                }
            }
        }
    }

    /// The outputs of one image and group. `room` is empty or what the image before has left.
    pub fn image(&self, g: &Geometry, x: &[T], group: usize, w: &Packed<T>, y: &mut [T], room: &mut Vec<T>) {
        let count = g.columns.count;
        let most = self.kernels.outputs.into_iter().max().unwrap_or(0);
        room.resize(self.room(g) + most * self.len, T::default());
        let Some((padded, sums)) = room.split_at_mut_checked(self.room(g)) else { return };
        self.place(g, x, padded);
        let mut w = part(&w.data, group, w.group);
        for (size, first) in self.blocks(g.outputs) {
            for from in (0..self.len).step_by(self.kernels.wide) {
                let (Some(x), Some(sums)) = (padded.get(from..), sums.get_mut(from..)) else { return };
                self.kernels.rows(size, x, &self.at, w, sums, self.len);
            }
            let outputs = self.kernels.outputs.get(size).copied().unwrap_or(0);
            w = w.get(outputs * self.at.len()..).unwrap_or(&[]);
            let planes = y.chunks_exact_mut(g.windows()).skip(first);
            for (plane, sums) in planes.zip(sums.chunks_exact(self.len)).take(outputs) {
                for (row, sums) in plane.chunks_exact_mut(count).zip(sums.chunks(self.width)) {
                    if let Some(sums) = sums.get(..count) {
                        row.copy_from_slice(sums);
                    }
                }
            }
        }
    }

    /// Adds to `w_bar` what some of the images give.
    pub fn weight_bar(&self, g: &Geometry, images: std::ops::Range<usize>, x: &[T], y: &[T], w_bar: &mut [T]) {
        let (x_len, y_len) = (g.inputs * g.plane(), g.outputs * g.windows());
        let (x_room, y_room) = (self.room(g), g.outputs * self.len);
        let (rows, shifts) = self.kernels.block;
        let fit = |bytes: usize, each: usize| bytes / (size_of::<T>() * each).max(1);
        let some =
            fit(TOGETHER, x_room + y_room).min(fit(ROWS_TOGETHER, rows * self.len)).clamp(1, images.len().max(1));
        let mut padded = vec![T::default(); some * x_room];
        let mut lines = vec![T::default(); some * y_room];
        for group in 0..g.groups {
            let w_bar = part_mut(w_bar, group, g.outputs * g.terms());
            for first in images.clone().step_by(some) {
                let now = some.min(images.end - first);
                for (k, image) in (first..first + now).enumerate() {
                    let image = image * g.groups + group;
                    self.place(g, part(x, image, x_len), part_mut(&mut padded, k, x_room));
                    let planes = part(y, image, y_len).chunks_exact(g.windows());
                    for (plane, line) in planes.zip(part_mut(&mut lines, k, y_room).chunks_exact_mut(self.len)) {
                        for (row, to) in plane.chunks_exact(g.columns.count).zip(line.chunks_mut(self.width)) {
                            if let Some(to) = to.get_mut(..row.len()) {
                                to.copy_from_slice(row);
                            }
                        }
                    }
                }
                let x = Images { data: &padded, step: x_room };
                let y = Images { data: &lines, step: y_room };
                threads::each_chunk(w_bar, rows * g.terms(), |block, w_bar| {
                    for shift in (0..self.at.len()).step_by(shifts) {
                        let at = (shift, &self.at);
                        let sums = self.kernels.dots(y, (block * rows, g.outputs), x, at, self.len, now);
                        for (line, sums) in w_bar.chunks_exact_mut(g.terms()).zip(&sums) {
                            let places = line.iter_mut().skip(shift);
                            places.zip(sums.iter().take(shifts)).for_each(|(w_bar, sum)| *w_bar += *sum);
                        }
                    }
                });
            }
        }
    }
}
