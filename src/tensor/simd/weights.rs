//! Rows of attention's scores made into weights, and the way back, in place: rows lie in a tile and each counts up to its own number of
//! keys.

use super::poly::pick;
use crate::ops::real::Real;
use crate::wide;

/// Numbers that are worked on side by side; rows of a tile have room for a multiple of them.
pub const SIDE: usize = super::tiles::ROUND;

/// Sum of the lanes.
#[inline(always)]
fn joined<T: Real>(lanes: [T; SIDE]) -> f64 {
    // Else the compiler takes all vectors of the loop apart, for the elements that are added up here.
    let lanes = std::hint::black_box(lanes);
    let mut eight = [0.0; SIDE / 2];
    for k in 0..SIDE / 2 {
        eight[k] = lanes[k].to_f64() + lanes[k + SIDE / 2].to_f64();
    }
    let mut four = [0.0; 4];
    for k in 0..4 {
        four[k] = eight[k] + eight[k + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// The largest of the lanes.
#[inline(always)]
fn largest<T: Real>(lanes: [T; SIDE]) -> T {
    let lanes = std::hint::black_box(lanes);
    let larger = |a: T, b: T| pick(b > a, b, a);
    let mut half = [T::default(); SIDE / 2];
    for k in 0..SIDE / 2 {
        half[k] = larger(lanes[k], lanes[k + SIDE / 2]);
    }
    let mut four = [T::default(); 4];
    for k in 0..4 {
        four[k] = larger(half[k], half[k + 4]);
    }
    larger(larger(four[0], four[2]), larger(four[1], four[3]))
}

/// The weights of a row whose largest score is infinite, as `softmax` has them: infinities share 1, of -inf alone there are none.
#[cold]
#[inline(never)]
fn of_infinities<T: Real>(row: &mut [T], top: T) {
    let any_nan = row.iter().any(|x| x.is_nan());
    let ties = row.iter().filter(|&&x| x == top).count();
    let share = if any_nan {
        T::NAN
    } else if top > T::c(0.0) {
        T::c(1.0 / ties as f64)
    } else {
        T::c(0.0)
    };
    for x in row {
        *x = if any_nan || *x == top { share } else { T::c(0.0) };
    }
}

wide! {
    /// The first `seen` numbers of each row, `step` apart, become their softmax after `scale`; those behind, up to `width` (a
    /// multiple of [`SIDE`]), become 0.
    pub fn weights<T: Real>(tile: &mut [T], step: usize, width: usize, seen: &[usize], scale: T) {
        for (row, &seen) in tile.chunks_mut(step).zip(seen) {
            let whole = seen.next_multiple_of(SIDE).min(width);
            let (row, behind) = row[..width].split_at_mut(whole);
            behind.fill(T::default());
            row[seen..].fill(-T::INFINITY);
            let mut tops = [-T::INFINITY; SIDE];
            for x in row.chunks_exact(SIDE) {
                for k in 0..SIDE {
                    tops[k] = pick(x[k] > tops[k], x[k], tops[k]);
                }
            }
            let top = largest(tops);
            if top.abs() == T::INFINITY {
                of_infinities(&mut row[..seen], top);
                row[seen..].fill(T::default());
                continue;
            }
            let mut sums = [T::default(); SIDE];
            for x in row.chunks_exact_mut(SIDE) {
                for k in 0..SIDE {
                    x[k] = ((x[k] - top) * scale).exp();
                    sums[k] = sums[k] + x[k];
                }
            }
            let by = T::c(1.0 / joined(sums));
            for x in row.iter_mut() {
                *x = *x * by;
            }
            // Else they are NaN if the others are.
            row[seen..].fill(T::default());
        }
    }

    /// Rows of `bars` become `scale * weights * (bars - sum(weights * bars))` up to `width`, a multiple of [`SIDE`].
    pub fn bars_of_scores<T: Real>(weights: &[T], bars: &mut [T], step: usize, width: usize, rows: usize, scale: T) {
        for (weights, bars) in weights.chunks(step).zip(bars.chunks_mut(step)).take(rows) {
            let (weights, bars) = (&weights[..width], &mut bars[..width]);
            let mut sums = [T::default(); SIDE];
            for (p, g) in weights.chunks_exact(SIDE).zip(bars.chunks_exact(SIDE)) {
                for k in 0..SIDE {
                    sums[k] = sums[k] + p[k] * g[k];
                }
            }
            let sum = T::c(joined(sums));
            for (g, &p) in bars.iter_mut().zip(weights) {
                *g = (*g - sum) * p * scale;
            }
        }
    }
}
