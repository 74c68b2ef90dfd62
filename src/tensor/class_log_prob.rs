//! The log-softmax of rows at one class each, which cross entropy is made of: no row of it is ever written.
//!
//! In: rows of `n` logits and a class for each, which the caller has made sure is below `n`.

use std::ops::Range;

use super::abreast::{abreast, is_abreast};
use super::cast::Float;
use super::out::{Out, Written, place};
use super::reduce::{max_slice, sum_slice};
use super::simd::softmax as loops;
use super::simd::turn::turn_back;
use super::softmax::{Scratch, finite_tops, softmax_row};
use super::threads;
use crate::ops::num::Num;

/// What is read of some rows.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    x: &'a [T],
    n: usize,
    classes: &'a [i64],
}

impl<'a, T: Float> Rows<'a, T> {
    fn part(&self, rows: Range<usize>) -> Rows<'a, T> {
        Rows {
            x: self.x.get(rows.start * self.n..rows.end * self.n).unwrap_or(&[]),
            n: self.n,
            classes: self.classes.get(rows).unwrap_or(&[]),
        }
    }

    fn count(&self) -> usize {
        self.classes.len()
    }

    fn row(&self, row: usize) -> &'a [T] {
        self.x.get(row * self.n..(row + 1) * self.n).unwrap_or(&[])
    }

    /// Where the logit of a row's class is.
    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        self.classes.get(row).map_or(0, |&class| row * self.n + class as usize)
    }

    /// The logit of a row's class.
    #[inline(always)]
    fn chosen(&self, row: usize) -> T {
        self.x.get(self.place(row)).copied().unwrap_or(T::NAN)
    }

    /// The log-softmax of a row at its class.
    fn log_prob(&self, row: usize, exps: &mut Vec<T>) -> T {
        let (x, row) = (self.chosen(row), self.row(row));
        let top = max_slice(row).unwrap_or_default();
        if top == -T::INFINITY || (top == T::INFINITY && x != top) {
            return -T::INFINITY;
        } else if top == T::INFINITY {
            // Infinities share.
            return T::c(-(row.iter().filter(|&&x| x == top).count() as f64).ln());
        }
        exps.clear();
        loops::exp_below(row, top, exps);
        x - top - T::c(Num::ln(sum_slice(exps)))
    }

    /// The same of all rows.
    fn log_probs(&self, out: &mut Out<'_, T>) {
        let mut scratch = Scratch::new();
        if !is_abreast(self.count(), self.n) {
            return out.extend((0..self.count()).map(|row| self.log_prob(row, &mut scratch.made)));
        }
        abreast([self.x], self.n, |rows, side, [turned]| match finite_tops(turned, side) {
            Some(tops) => {
                scratch.exp_below(turned, &tops);
                loops::log_all(&mut scratch.sums);
                let lost = tops.iter().zip(&scratch.sums);
                out.extend(rows.zip(lost).map(|(row, (&top, &log))| self.chosen(row) - top - T::c(log)));
            }
            None => out.extend(rows.map(|row| self.log_prob(row, &mut scratch.made))),
        });
    }

    /// The cotangents of all rows, see [`pull`].
    fn pull(&self, log_probs: &[T], g: &[T], out: &mut Out<'_, T>) {
        if !is_abreast(self.count(), self.n) {
            return (0..self.count())
                .zip(log_probs.iter().zip(g))
                .for_each(|(row, (&y, &g))| self.pull_row(row, y, g, out));
        }
        let (n, mut scratch, mut lost) = (self.n, Scratch::new(), vec![]);
        abreast([self.x], n, |rows, side, [turned]| {
            let (Some(y), Some(g)) = (log_probs.get(rows.clone()), g.get(rows.clone())) else { return };
            lost.clear();
            lost.extend(rows.clone().zip(y).map(|(row, &y)| self.chosen(row) - y));
            lost.resize(side, T::c(0.0));
            scratch.exp_below(turned, &lost);
            if scratch.sums.iter().take(rows.len()).any(|&sum| !is_near_one(sum)) {
                return rows.zip(y.iter().zip(g)).for_each(|(row, (&y, &g))| self.pull_row(row, y, g, out));
            }
            scratch.scales.clear();
            loops::shares_of(&scratch.sums, g, &mut scratch.scales);
            scratch.scales.resize(side, T::c(0.0));
            loops::strong_scale_columns(&mut scratch.made, &scratch.scales);
            let start = out.len();
            place(out, rows.len() * n, |room| {
                turn_back(&scratch.made, n, side, room);
                // SAFETY: it writes all of its room.
                Some(unsafe { Written::all() })
            });
            let base = rows.start * n;
            let made = out.get_mut(start..).unwrap_or(&mut []);
            for (row, &g) in rows.zip(g) {
                if let Some(bar) = made.get_mut(self.place(row) - base) {
                    *bar = *bar + g;
                }
            }
        });
    }

    /// Adds to the cotangent of a row's class; those of the row start at `start`.
    fn add(&self, row: usize, g: T, start: usize, out: &mut Out<'_, T>) {
        if let Some(bar) = self.classes.get(row).and_then(|&class| out.get_mut(start + class as usize)) {
            *bar = *bar + g;
        }
    }

    fn pull_row(&self, row: usize, y: T, g: T, out: &mut Out<'_, T>) {
        let (start, zero, x) = (out.len(), T::c(0.0), self.row(row));
        if g == zero {
            return out.extend(x.iter().map(|_| zero));
        }
        loops::exp_below(x, self.chosen(row) - y, out);
        let Some(made) = out.get_mut(start..) else { return };
        let sum = sum_slice(made);
        if is_near_one(sum) {
            loops::scale(made, T::c(-g.to_f64() / sum));
            return self.add(row, g, start, out);
        }
        let mut shares = Vec::with_capacity(x.len());
        softmax_row(x, &mut shares);
        if x.iter().all(|&x| x == -T::INFINITY) {
            return made.fill(zero);
        }
        made.copy_from_slice(&shares);
        loops::scale(made, -g);
        self.add(row, g, start, out);
    }
}

/// True if exponentials add up to what a softmax does, up to rounding: then their shares in the sum are exact.
fn is_near_one(sum: f64) -> bool {
    sum > 0.5 && sum < 2.0
}

/// The log-softmax of each row at its class.
pub fn log_probs<T: Float>(x: &[T], n: usize, classes: &[i64]) -> Vec<T> {
    let (all, mut out) = (Rows { x, n, classes }, vec![]);
    threads::fill(classes.len(), n, 1, &mut out, |rows, out| all.part(rows).log_probs(out));
    out
}

/// `g` at the class of each row, less `g` times the row's softmax: the pullback of [`log_probs`]. Zeros for a row of -inf, and where
/// `g` is 0. With `log_probs`, what that gave, the largest of a row need not be found again; other numbers cost time, no more.
pub fn pull<T: Float>(x: &[T], n: usize, log_probs: &[T], classes: &[i64], g: &[T]) -> Vec<T> {
    let (all, mut out) = (Rows { x, n, classes }, Vec::with_capacity(x.len()));
    threads::fill(classes.len(), n, n, &mut out, |rows, out| {
        let (Some(y), Some(g)) = (log_probs.get(rows.clone()), g.get(rows.clone())) else { return };
        all.part(rows).pull(y, g, out);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::softmax::{log_softmax, log_softmax_pull};

    /// Short and long rows, few and many, with infinities: as the log-softmax and its pullback give it.
    #[test]
    fn what_log_softmax_gives_at_the_classes() {
        let inf = f64::INFINITY;
        for (rows, n) in [(1, 1), (3, 5), (40, 3), (300, 10), (33, 100), (9, 200), (9, 256), (5, 333)] {
            for special in [&[][..], &[(0, inf)], &[(0, -inf)], &[(0, f64::NAN)]] {
                let mut x: Vec<f64> = (0..rows * n).map(|i| (i * 7919 % 101) as f64 / 10.0 - 5.0).collect();
                special.iter().for_each(|&(i, value)| x[i] = value);
                if special == [(0, -inf)] {
                    x[..n].fill(-inf);
                }
                let classes: Vec<i64> = (0..rows).map(|i| (i * 31 % n) as i64).collect();
                let g: Vec<f64> = (0..rows).map(|i| (i * 31 % 17) as f64 / 5.0 - 1.0).collect();
                let y = log_softmax(&x, &[rows, n], &[1]);
                let want: Vec<f64> = classes.iter().enumerate().map(|(i, &c)| y[i * n + c as usize]).collect();
                let same = |a: f64, b: f64| a == b || (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan());
                let log_probs = log_probs(&x, n, &classes);
                let got = &log_probs;
                assert!(got.iter().zip(&want).all(|(a, b)| same(*a, *b)), "{rows} {n} {special:?}: {got:?} {want:?}");
                let mut y_bar = vec![0.0; rows * n];
                classes.iter().zip(&g).enumerate().for_each(|(i, (c, g))| y_bar[i * n + *c as usize] = *g);
                let want = log_softmax_pull(&y, &y_bar, &[rows, n], &[1]);
                for hint in [&log_probs, &vec![0.0; rows], &vec![-500.0; rows]] {
                    let got = pull(&x, n, hint, &classes, &g);
                    assert_eq!(got.len(), want.len());
                    for (i, (a, b)) in got.iter().zip(&want).enumerate() {
                        // A cotangent of 0 gives zeros, whatever the row.
                        assert!(
                            if g[i / n] == 0.0 { *a == 0.0 } else { same(*a, *b) },
                            "{rows} {n} {special:?} {i}: {a} {b}"
                        );
                    }
                }
            }
        }
    }
}
