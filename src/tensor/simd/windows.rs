//! Contests for the largest element of each window of a row.

use super::extrema::{Largest, better};
use super::poly::pick;
use crate::ops::real::Real;
use crate::wide;

/// True if `x` takes the place of `best`: it is larger, or the first NaN. The first of equals stays.
#[allow(clippy::eq_op)]
#[inline(always)]
fn wins<T: Copy + PartialOrd>(x: T, best: T) -> bool {
    (x > best) | ((x != x) & (best == best))
}

/// What can be compared with itself.
pub trait Comparable: Copy + Default + PartialOrd + 'static {}
impl<T: Copy + Default + PartialOrd + 'static> Comparable for T {}

/// The largest of `a b` above `c d`, the first of equals, whether it is below, and whether to the right in its row.
#[inline(always)]
fn largest_of_square<T: Comparable>([a, b]: [T; 2], [c, d]: [T; 2]) -> (T, bool, bool) {
    let (right, below) = (wins(b, a), wins(d, c));
    let (high, low) = (pick(right, b, a), pick(below, d, c));
    let lower = wins(low, high);
    (pick(lower, low, high), lower, pick(lower, below, right))
}

/// Where blocks of `size` begin in `n` elements: side by side but for the last, which ends where they do. So there is nothing left over
/// that would be done one by one, and a loop over a block has a fixed length; else the compiler makes no vectors of pairs.
#[inline(always)]
fn starts(n: usize, size: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by(size).map(move |start| start.min(n - size))
}

/// Calls a loop with the largest size of blocks that `n` has room for.
macro_rules! in_blocks {
    ($n:expr, $size:ident, $loop:expr) => {
        match $n {
            8.. => {
                const $size: usize = 8;
                $loop
            }
            4.. => {
                const $size: usize = 4;
                $loop
            }
            _ => {
                const $size: usize = 1;
                $loop
            }
        }
    };
}

wide! {
    /// One row of windows of 2 by 2 without overlap: writes the largest elements of the pairs in `top` and `bottom`.
    pub fn largest_of_pairs<T: Comparable>(top: &[T], bottom: &[T], best: &mut [T]) {
        let (top, bottom) = (top.as_chunks::<2>().0, bottom.as_chunks::<2>().0);
        let n = best.len().min(top.len()).min(bottom.len());
        in_blocks!(n, SIZE, for start in starts(n, SIZE) {
            let (Some(top), Some(bottom)) = (top[start..].first_chunk::<SIZE>(), bottom[start..].first_chunk::<SIZE>()) else { return };
            let Some(best) = best[start..].first_chunk_mut::<SIZE>() else { return };
            for i in 0..SIZE {
                best[i] = largest_of_square(top[i], bottom[i]).0;
            }
        });
    }

    /// The same for where they are: numbers within the plane, of which that of `top`'s first element is `from`, and that of the one
    /// below it `width` more.
    pub fn places_of_pairs<T: Comparable>(top: &[T], bottom: &[T], from: i64, width: i64, places: &mut [i64]) {
        let (top, bottom) = (top.as_chunks::<2>().0, bottom.as_chunks::<2>().0);
        let n = places.len().min(top.len()).min(bottom.len());
        for i in 0..n {
            let (_, lower, right) = largest_of_square(top[i], bottom[i]);
            places[i] = from + 2 * i as i64 + pick(lower, width, 0) + i64::from(right);
        }
    }

    /// The way back of [`largest_of_pairs`]: elements of `bar` where the largest ones are, in rows of zeros.
    pub fn spread_to_pairs<T: Real>(top: &[T], bottom: &[T], bar: &[T], top_bar: &mut [T], bottom_bar: &mut [T]) {
        let (top, bottom) = (top.as_chunks::<2>().0, bottom.as_chunks::<2>().0);
        let (top_bar, bottom_bar) = (top_bar.as_chunks_mut::<2>().0, bottom_bar.as_chunks_mut::<2>().0);
        let n = [bar.len(), top.len(), bottom.len(), top_bar.len(), bottom_bar.len()].into_iter().min().unwrap_or(0);
        let zero = T::default();
        in_blocks!(n, SIZE, for start in starts(n, SIZE) {
            let (Some(top), Some(bottom)) = (top[start..].first_chunk::<SIZE>(), bottom[start..].first_chunk::<SIZE>()) else { return };
            let Some(bar) = bar[start..].first_chunk::<SIZE>() else { return };
            let Some(top_bar) = top_bar[start..].first_chunk_mut::<SIZE>() else { return };
            let Some(bottom_bar) = bottom_bar[start..].first_chunk_mut::<SIZE>() else { return };
            for i in 0..SIZE {
                let ([a, b], [c, d]) = (top[i], bottom[i]);
                let (right, below) = (wins(b, a), wins(d, c));
                let lower = wins(pick(below, d, c), pick(right, b, a));
                // As what is added to zero: never a negative one.
                let bar = zero + bar[i];
                // Written so, pairs are laid side by side in registers; as whole pairs they would be scattered.
                top_bar[i][0] = pick(!lower & !right, bar, zero);
                top_bar[i][1] = pick(!lower & right, bar, zero);
                bottom_bar[i][0] = pick(lower & !below, bar, zero);
                bottom_bar[i][1] = pick(lower & below, bar, zero);
            }
        });
    }

    /// Windows `step` apart: each grows by its element of `x`, window `i` by element `i * step`.
    pub fn add_every<T: Real>(x: &[T], step: usize, sums: &mut [T]) {
        let n = sums.len();
        if step == 1 {
            let x = &x[..n];
            for i in 0..n {
                sums[i] = sums[i] + x[i];
            }
        } else if step == 2 {
            // Pairs, the last of which may lack its second half.
            let whole = n.min(x.len() / 2);
            let (pairs, part) = (&x[..2 * whole], &mut sums[..whole]);
            for i in 0..whole {
                part[i] = part[i] + pairs[2 * i];
            }
            for i in whole..n {
                sums[i] = sums[i] + x[2 * i];
            }
        } else {
            for i in 0..n {
                sums[i] = sums[i] + x[i * step];
            }
        }
    }

    /// Windows `step` apart: each keeps the larger of what it has and its element of `x`, window `i` meeting element `i * step`.
    pub fn keep_largest<T: Comparable>(x: &[T], step: usize, best: &mut [T]) {
        let n = best.len();
        if step == 1 {
            let x = &x[..n];
            for i in 0..n {
                best[i] = better::<Largest, T>(x[i], best[i]);
            }
        } else {
            for i in 0..n {
                best[i] = better::<Largest, T>(x[i * step], best[i]);
            }
        }
    }

    /// The same with the places, of which that of the first element of `x` is `from`.
    pub fn keep_places<T: Comparable>(x: &[T], step: usize, from: i64, best: &mut [T], places: &mut [i64]) {
        let n = best.len();
        let places = &mut places[..n];
        for i in 0..n {
            let x = x[i * step];
            let wins = wins(x, best[i]);
            best[i] = pick(wins, x, best[i]);
            places[i] = pick(wins, from + (i * step) as i64, places[i]);
        }
    }
}
