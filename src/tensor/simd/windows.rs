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

wide! {
    /// One row of windows of 2 by 2 without overlap: writes the largest elements of the pairs in `top` and `bottom`.
    pub fn largest_of_pairs<T: Comparable>(top: &[T], bottom: &[T], best: &mut [T]) {
        let n = best.len();
        let (top, bottom) = (&top[..2 * n], &bottom[..2 * n]);
        for i in 0..n {
            let (a, b, c, d) = (top[2 * i], top[2 * i + 1], bottom[2 * i], bottom[2 * i + 1]);
            let high = pick(wins(b, a), b, a);
            let low = pick(wins(d, c), d, c);
            best[i] = pick(wins(low, high), low, high);
        }
    }

    /// The same for where they are: numbers within the plane, of which that of `top`'s first element is `from`, and that of the one
    /// below it `width` more.
    pub fn places_of_pairs<T: Comparable>(top: &[T], bottom: &[T], from: i64, width: i64, places: &mut [i64]) {
        let n = places.len();
        let (top, bottom) = (&top[..2 * n], &bottom[..2 * n]);
        for i in 0..n {
            let (a, b, c, d) = (top[2 * i], top[2 * i + 1], bottom[2 * i], bottom[2 * i + 1]);
            let (right, below) = (wins(b, a), wins(d, c));
            let (high, low) = (pick(right, b, a), pick(below, d, c));
            let place = pick(wins(low, high), width + i64::from(below), i64::from(right));
            places[i] = from + 2 * i as i64 + place;
        }
    }

    /// The way back of [`largest_of_pairs`]: elements of `bar` where the largest ones are, in rows of zeros.
    pub fn spread_to_pairs<T: Real>(top: &[T], bottom: &[T], bar: &[T], top_bar: &mut [T], bottom_bar: &mut [T]) {
        let (n, zero) = (bar.len(), T::default());
        let (top, bottom) = (&top[..2 * n], &bottom[..2 * n]);
        let (top_bar, bottom_bar) = (&mut top_bar[..2 * n], &mut bottom_bar[..2 * n]);
        for i in 0..n {
            let (a, b, c, d) = (top[2 * i], top[2 * i + 1], bottom[2 * i], bottom[2 * i + 1]);
            let (right, below) = (wins(b, a), wins(d, c));
            let lower = wins(pick(below, d, c), pick(right, b, a));
            // As what is added to zero: never a negative one.
            let bar = zero + bar[i];
            top_bar[2 * i] = pick(!lower & !right, bar, zero);
            top_bar[2 * i + 1] = pick(!lower & right, bar, zero);
            bottom_bar[2 * i] = pick(lower & !below, bar, zero);
            bottom_bar[2 * i + 1] = pick(lower & below, bar, zero);
        }
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
