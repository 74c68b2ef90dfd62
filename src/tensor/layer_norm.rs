//! Layer normalization with scale and shift, and its three cotangents from one pass over the rows.
//!
//! In: row-major rows of as many numbers as scale and shift have. The sums over rows, which are the cotangents of scale and shift, are
//! made part by part, and the parts depend on the number of rows alone: so results do not depend on the number of threads.

use std::mem::MaybeUninit;

use super::cast::Float;
use super::out::{Written, place};
use super::simd::layer_norm::{Bars, ROWS, Values};
use super::threads;

pub use super::simd::layer_norm::Normed;

/// Numbers of a part, about.
const PART: usize = 1 << 16;

/// The rows of `x` less their mean and over the root of their variance and `epsilon`, times `scale`, plus `shift`.
pub fn values<T: Float + Normed>(x: &[T], scale: &[T], shift: &[T], epsilon: f64) -> Vec<T> {
    let (n, mut out) = (scale.len().max(1), Vec::with_capacity(x.len()));
    threads::fill(x.len() / n, n, n, &mut out, |rows, out| {
        let x = x.get(rows.start * n..rows.end * n).unwrap_or(&[]);
        place(out, x.len(), |room| {
            T::values(Values { x, scale, shift, epsilon, out: room });
            // SAFETY: all of it has been written.
            Some(unsafe { Written::all() })
        });
    });
    out
}

/// Rows and their cotangents, in `groups` of as many rows each.
#[derive(Clone, Copy)]
pub struct Pulled<'a, T> {
    pub x: &'a [T],
    pub g: &'a [T],
    pub scale: &'a [T],
    pub epsilon: f64,
    pub groups: usize,
}

/// Some rows of a group, room for their cotangents, and the sums of those of scale and of shift.
struct Part<'a, T> {
    x: &'a [T],
    g: &'a [T],
    x_bar: Option<&'a mut [MaybeUninit<T>]>,
    sums: [Vec<f64>; 2],
}

/// The cotangents of rows, scale and shift that are wanted; the latter two for each group.
pub fn bars<T: Float + Normed>(of: &Pulled<'_, T>, wants: [bool; 3]) -> [Option<Vec<T>>; 3] {
    let &Pulled { x, g, scale, epsilon, groups } = of;
    let [wants_x, wants_scale, wants_shift] = wants;
    let (n, columns) = (scale.len().max(1), wants_scale || wants_shift);
    let size = x.len() / groups.max(1);
    let step = (PART / n).next_multiple_of(ROWS) * n;
    let mut x_bar = wants_x.then(|| Vec::with_capacity(x.len()));
    let mut room = x_bar.as_mut().and_then(|bar: &mut Vec<T>| bar.spare_capacity_mut().get_mut(..x.len()));
    let mut parts = vec![];
    for (x, g) in x.chunks(size.max(1)).zip(g.chunks(size.max(1))) {
        for (x, g) in x.chunks(step).zip(g.chunks(step)) {
            let part = room.take().and_then(|all| all.split_at_mut_checked(x.len()));
            let (x_bar, behind) = part.unzip();
            room = behind;
            parts.push(Part { x, g, x_bar, sums: [vec![], vec![]] });
        }
    }
    let together = if x.len() < threads::MANY { parts.len() } else { PART / step.min(size).max(1) };
    threads::each_chunk(&mut parts, together, |_, parts| {
        for Part { x, g, x_bar, sums } in parts {
            let x_bar = x_bar.take();
            let columns = columns.then(|| {
                sums.each_mut().map(|sums| {
                    sums.resize(n, 0.0);
                    &mut sums[..]
                })
            });
            T::bars(Bars { x, g, scale, epsilon, x_bar, columns });
        }
    });
    let count = size.div_ceil(step);
    let sums = |i: usize| -> Vec<T> {
        let mut out = Vec::with_capacity(groups * n);
        for group in 0..groups {
            let mut total = vec![0.0; n];
            for part in parts.iter().skip(group * count).take(count) {
                part.sums[i].iter().zip(&mut total).for_each(|(sum, total)| *total += sum);
            }
            out.extend(total.into_iter().map(T::c));
        }
        out
    };
    let [scale_bar, shift_bar] = [wants_scale.then(|| sums(0)), wants_shift.then(|| sums(1))];
    drop(parts);
    if let Some(bar) = &mut x_bar {
        // SAFETY: all of it has been filled, each part by the kernel that had it.
        unsafe { bar.set_len(x.len()) }
    }
    [x_bar, scale_bar, shift_bar]
}
