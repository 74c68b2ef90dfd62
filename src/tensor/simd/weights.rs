//! Scores of attention made into weights, and the way back, in place. Queries lie side by side and their keys below each other, so that
//! nothing is added up along a vector.

use super::poly::pick;
use crate::ops::real::Real;
use crate::wide;

/// Queries that are worked on side by side.
pub const SIDE: usize = super::tiles::ROUND;

/// The scores of [`SIDE`] queries begin at `from` in a tile with rows of `step`, of which each is one key's.
#[derive(Clone, Copy)]
pub struct Place {
    pub from: usize,
    pub step: usize,
}

/// The scores for key `j`.
#[inline(always)]
fn of_key<T>(tile: &mut [T], at: Place, j: usize) -> &mut [T] {
    let from = at.from + j * at.step;
    &mut tile[from..from + SIDE]
}

wide! {
    /// The first `seen[i]` scores of query `i` become their softmax after `scale`, and those behind, up to `keys`, become 0. All queries
    /// see `all` keys. False, with nothing done, if the largest score of one is infinite, or it sees nothing.
    pub fn weights<T: Real>(tile: &mut [T], at: Place, seen: &[u32; SIDE], all: usize, keys: usize, scale: T) -> bool {
        let mut tops = [-T::INFINITY; SIDE];
        for j in 0..all {
            let x = of_key(tile, at, j);
            for i in 0..SIDE {
                tops[i] = pick(x[i] > tops[i], x[i], tops[i]);
            }
        }
        for j in all..keys {
            let (x, key) = (of_key(tile, at, j), j as u32);
            for i in 0..SIDE {
                let larger = pick(x[i] > tops[i], x[i], tops[i]);
                tops[i] = pick(key < seen[i], larger, tops[i]);
            }
        }
        let mut finite = true;
        for top in tops {
            finite &= top.abs() < T::INFINITY;
        }
        if !finite {
            return false;
        }
        let mut sums = [T::default(); SIDE];
        for j in 0..all {
            let x = of_key(tile, at, j);
            for i in 0..SIDE {
                x[i] = ((x[i] - tops[i]) * scale).exp_below();
                sums[i] = sums[i] + x[i];
            }
        }
        for j in all..keys {
            let (x, key) = (of_key(tile, at, j), j as u32);
            for i in 0..SIDE {
                let weight = ((x[i] - tops[i]) * scale).exp_below();
                x[i] = pick(key < seen[i], weight, T::default());
                sums[i] = sums[i] + x[i];
            }
        }
        for sum in &mut sums {
            *sum = T::c(1.0) / *sum;
        }
        for j in 0..all {
            let x = of_key(tile, at, j);
            for i in 0..SIDE {
                x[i] = x[i] * sums[i];
            }
        }
        for j in all..keys {
            let (x, key) = (of_key(tile, at, j), j as u32);
            for i in 0..SIDE {
                // Else they are NaN if the others are.
                x[i] = pick(key < seen[i], x[i] * sums[i], T::default());
            }
        }
        true
    }

    /// The `bars` of weights become those of scores, `scale * weights * (bars - sum(weights * bars))`.
    pub fn bars_of_scores<T: Real>(weights: &mut [T], bars: &mut [T], at: Place, keys: usize, scale: T) {
        let mut sums = [T::default(); SIDE];
        for j in 0..keys {
            let (p, g) = (of_key(weights, at, j), of_key(bars, at, j));
            for i in 0..SIDE {
                sums[i] = sums[i] + p[i] * g[i];
            }
        }
        for j in 0..keys {
            let (p, g) = (of_key(weights, at, j), of_key(bars, at, j));
            for i in 0..SIDE {
                g[i] = (g[i] - sums[i]) * (p[i] * scale);
            }
        }
    }
}
