//! Largest and smallest elements of rows and columns, where they are, and how they share the slope. NaN beats all.

use super::poly::pick;
use super::windows::Comparable;
use crate::ops::real::Real;
use crate::wide;

/// Elements that are compared side by side, at most.
const LANES: usize = 64;
/// Elements that are searched together.
const BLOCK: usize = 64;

/// Which of two numbers is looked for.
pub trait Side: 'static {
    fn beats<T: Comparable>(x: T, best: T) -> bool;
}

/// The larger one.
pub struct Largest;
/// The smaller one.
pub struct Smallest;

impl Side for Largest {
    #[inline(always)]
    fn beats<T: Comparable>(x: T, best: T) -> bool {
        x > best
    }
}

impl Side for Smallest {
    #[inline(always)]
    fn beats<T: Comparable>(x: T, best: T) -> bool {
        x < best
    }
}

/// The better of two, or NaN once either is.
#[inline(always)]
pub(super) fn better<S: Side, T: Comparable>(x: T, best: T) -> T {
    let beats = if S::beats(x, best) { x } else { best };
    pick(is_nan(x), x, beats)
}

/// True of what does not equal itself.
#[inline(always)]
#[allow(clippy::eq_op)]
fn is_nan<T: Comparable>(x: T) -> bool {
    x != x
}

/// The best of a row that begins with `start`.
#[inline(always)]
fn best_of_row<S: Side, T: Comparable>(x: &[T], start: T) -> T {
    let mut best = start;
    if x.len() < LANES {
        for &x in x {
            best = better::<S, T>(x, best);
        }
        return best;
    }
    let mut lanes = [start; LANES];
    // The compiler must not know how many: it would make a number of its own of each lane instead of vectors.
    let lanes = &mut lanes[..LANES.min(x.len())];
    let n = lanes.len();
    let chunks = x.chunks_exact(n);
    let rest = chunks.remainder();
    for chunk in chunks {
        let chunk = &chunk[..n];
        for k in 0..n {
            lanes[k] = better::<S, T>(chunk[k], lanes[k]);
        }
    }
    for &x in rest {
        best = better::<S, T>(x, best);
    }
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for k in 0..half {
            low[k] = better::<S, T>(high[k], low[k]);
        }
        half /= 2;
    }
    better::<S, T>(lanes[0], best)
}

/// True if `x` is the best: equal to it, or NaN as it.
#[inline(always)]
fn is_best<T: Comparable>(x: T, best: T) -> bool {
    (x == best) | (is_nan(x) & is_nan(best))
}

wide! {
    /// The best element of a slice that begins with `start`.
    pub fn best_of<S: Side, T: Comparable>(x: &[T], start: T) -> T {
        best_of_row::<S, T>(x, start)
    }

    /// Appends the best of each row of `n` (1 or more).
    pub fn best_of_rows<S: Side, T: Comparable>(x: &[T], n: usize, out: &mut Vec<T>) {
        out.reserve(x.len() / n);
        for row in x.chunks_exact(n) {
            out.push(best_of_row::<S, T>(row, row[0]));
        }
    }

    /// Puts the best of each column and of what stands there already into `best`.
    pub fn best_of_columns<S: Side, T: Comparable>(x: &[T], best: &mut [T]) {
        // Made elsewhere and copied: a choice between a place's content and something else would become a masked store, which takes
        // some processors twenty times as long.
        let n = best.len();
        let mut made = best.to_vec();
        for block in x.chunks(4 * n.max(1)) {
            let made = &mut made[..n];
            let mut rows = block.chunks_exact(n.max(1));
            if let (Some(a), Some(b), Some(c), Some(d)) = (rows.next(), rows.next(), rows.next(), rows.next()) {
                let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
                for k in 0..n {
                    let half = better::<S, T>(b[k], better::<S, T>(a[k], best[k]));
                    made[k] = better::<S, T>(d[k], better::<S, T>(c[k], half));
                }
                best.copy_from_slice(made);
                continue;
            }
            for row in block.chunks_exact(n.max(1)) {
                let row = &row[..n];
                for k in 0..n {
                    made[k] = better::<S, T>(row[k], best[k]);
                }
                best.copy_from_slice(made);
            }
        }
    }

    /// Appends the positions of the first best elements of the columns of a matrix with rows of `inner`.
    pub fn first_best_of_columns<S: Side, T: Comparable>(x: &[T], inner: usize, out: &mut Vec<i64>) {
        let (first, others) = x.split_at(inner.min(x.len()));
        // From one pair of buffers to the other and back: see `best_of_columns`.
        let (mut best, mut places) = (first.to_vec(), vec![0u32; inner]);
        let (mut next_best, mut next_places) = (best.clone(), places.clone());
        for (i, row) in others.chunks_exact(inner.max(1)).enumerate() {
            let (row, at) = (&row[..inner], i as u32 + 1);
            let (old, old_places) = (&best[..inner], &places[..inner]);
            let (new, new_places) = (&mut next_best[..inner], &mut next_places[..inner]);
            for k in 0..inner {
                let wins = S::beats(row[k], old[k]) | (is_nan(row[k]) & !is_nan(old[k]));
                new[k] = pick(wins, row[k], old[k]);
                new_places[k] = pick(wins, at, old_places[k]);
            }
            std::mem::swap(&mut best, &mut next_best);
            std::mem::swap(&mut places, &mut next_places);
        }
        for place in places {
            out.push(i64::from(place));
        }
    }

    /// Position of the first best element; 0 if there is none.
    pub fn first_best<S: Side, T: Comparable>(x: &[T]) -> usize {
        let Some(&start) = x.first() else { return 0 };
        let best = best_of_row::<S, T>(x, start);
        let mut at = 0;
        for block in x.chunks(BLOCK) {
            let mut found = false;
            for &x in block {
                found |= is_best(x, best);
            }
            if found {
                for (k, &x) in block.iter().enumerate() {
                    if is_best(x, best) {
                        return at + k;
                    }
                }
            }
            at += block.len();
        }
        0
    }

    /// Appends for each element of each row of `n` (1 or more) its share in the slope of the row's best: 1 over the number of those
    /// that are equal to it, else 0; NaN in a row with NaN.
    pub fn row_shares<S: Side, T: Real>(x: &[T], n: usize, out: &mut Vec<T>) {
        out.reserve(x.len());
        for row in x.chunks_exact(n) {
            let best = best_of_row::<S, T>(row, row[0]);
            let mut ties = 0u32;
            for &x in row {
                ties += u32::from(x == best);
            }
            let (share, none) = (T::c(1.0 / f64::from(ties)), pick(best.is_nan(), T::NAN, T::c(0.0)));
            let spare = &mut out.spare_capacity_mut()[..n];
            let row = &row[..n];
            for k in 0..n {
                spare[k].write(pick(row[k] == best, share, none));
            }
            // SAFETY: `n` elements behind the old length were written.
            unsafe { out.set_len(out.len() + n) }
        }
    }

    /// The same for the columns of a matrix with rows of `inner` (1 or more).
    pub fn column_shares<S: Side, T: Real>(x: &[T], inner: usize, out: &mut Vec<T>) {
        let (mut best, mut share) = (x[..inner].to_vec(), vec![T::c(0.0); inner]);
        let (best, share) = (&mut best[..inner], &mut share[..inner]);
        best_of_columns::<S, T>(x, best);
        for row in x.chunks_exact(inner) {
            let row = &row[..inner];
            for k in 0..inner {
                share[k] = share[k] + pick(row[k] == best[k], T::c(1.0), T::c(0.0));
            }
        }
        for share in &mut *share {
            *share = T::c(1.0) / *share;
        }
        out.reserve(x.len());
        for row in x.chunks_exact(inner) {
            let (row, spare) = (&row[..inner], &mut out.spare_capacity_mut()[..inner]);
            for k in 0..inner {
                let none = pick(best[k].is_nan(), best[k], T::c(0.0));
                spare[k].write(pick(row[k] == best[k], share[k], none));
            }
            // SAFETY: `inner` elements behind the old length were written.
            unsafe { out.set_len(out.len() + inner) }
        }
    }

    /// True if an element is NaN.
    pub fn any_nan<T: Real>(x: &[T]) -> bool {
        for block in x.chunks(1024) {
            let mut found = false;
            for &x in block {
                found |= x.is_nan();
            }
            if found {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers in no order, with ties.
    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919) % 101) as f32 - 50.0).collect()
    }

    #[test]
    fn rows_of_all_lengths() {
        for n in (1..70).chain([127, 128, 129, 300]) {
            let x = numbers(3 * n);
            let (mut top, mut low, mut shares) = (vec![], vec![], vec![]);
            best_of_rows::<Largest, _>(&x, n, &mut top);
            best_of_rows::<Smallest, _>(&x, n, &mut low);
            row_shares::<Largest, _>(&x, n, &mut shares);
            for (i, row) in x.chunks(n).enumerate() {
                let (max, min) = row.iter().fold((row[0], row[0]), |(a, b), &x| (a.max(x), b.min(x)));
                assert_eq!((top[i], low[i]), (max, min));
                assert_eq!(first_best::<Largest, _>(row), row.iter().position(|&x| x == max).unwrap());
                assert_eq!(first_best::<Smallest, _>(row), row.iter().position(|&x| x == min).unwrap());
                let ties = row.iter().filter(|&&x| x == max).count() as f32;
                let want: Vec<f32> = row.iter().map(|&x| if x == max { 1.0 / ties } else { 0.0 }).collect();
                assert_eq!(shares[i * n..(i + 1) * n], want);
            }
        }
    }

    #[test]
    fn columns_are_rows_turned() {
        for (n, inner) in [(1, 5), (7, 1), (9, 33), (40, 64)] {
            let x = numbers(n * inner);
            let turned: Vec<f32> =
                (0..inner).flat_map(|k| (0..n).map(move |i| (i, k))).map(|(i, k)| x[i * inner + k]).collect();
            let (mut want, mut best) = (vec![], x[..inner].to_vec());
            best_of_rows::<Smallest, _>(&turned, n, &mut want);
            best_of_columns::<Smallest, _>(&x, &mut best);
            assert_eq!(best, want);
            let mut places = vec![];
            first_best_of_columns::<Smallest, _>(&x, inner, &mut places);
            let want: Vec<i64> = turned.chunks(n).map(|row| first_best::<Smallest, _>(row) as i64).collect();
            assert_eq!(places, want);
            let (mut rows, mut columns) = (vec![], vec![]);
            row_shares::<Smallest, _>(&turned, n, &mut rows);
            column_shares::<Smallest, _>(&x, inner, &mut columns);
            for i in 0..n {
                for k in 0..inner {
                    assert_eq!(columns[i * inner + k], rows[k * n + i]);
                }
            }
        }
    }

    #[test]
    fn nan_beats_all() {
        for n in [3, 64, 200] {
            for at in [0, 1, n - 1] {
                let mut x = numbers(n);
                x[at] = f32::NAN;
                assert!(best_of::<Largest, _>(&x, x[0]).is_nan() && best_of::<Smallest, _>(&x, x[0]).is_nan());
                assert_eq!((first_best::<Largest, _>(&x), first_best::<Smallest, _>(&x)), (at, at));
                let (mut shares, mut columns) = (vec![], vec![]);
                row_shares::<Largest, _>(&x, n, &mut shares);
                assert!(shares.iter().all(|s| s.is_nan()));
                column_shares::<Largest, _>(&x, 1, &mut columns);
                let mut place = vec![];
                first_best_of_columns::<Smallest, _>(&x, 1, &mut place);
                assert_eq!(place, [at as i64]);
                assert!(columns.iter().all(|s| s.is_nan()));
                assert!(any_nan(&x));
            }
            assert!(!any_nan(&numbers(n)));
        }
        assert!(!any_nan(&[f64::INFINITY, -f64::INFINITY]));
    }
}
