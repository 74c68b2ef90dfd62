//! Softmax and its relatives along axes: row by row, down columns where the axes lie so, and short rows side by side.
//!
//! In: row-major elements, their shape and the axes; out: as many. A row has the same bits alone and beside others.

use super::abreast::{WHOLE, abreast, is_abreast, items};
use super::cast::Float;
use super::out::{Out, Room, Written, place};
use super::reduce::{max_slice, split, sum_slice};
use super::scan::{map_blocks, zip_blocks};
use super::simd::extrema::{Largest, best_of_columns};
use super::simd::softmax as loops;
use super::simd::sums::column_sums;
use super::simd::turn::turn_back;
use crate::ops::num::Num;
#[cfg(doc)]
use crate::ops::real::Real;

/// Room that rules for columns use again.
pub(super) struct Scratch<T> {
    lanes: Vec<T>,
    halves: Vec<f64>,
    pub sums: Vec<f64>,
    pub scales: Vec<T>,
    pub made: Vec<T>,
}

impl<T: Float> Scratch<T> {
    pub fn new() -> Self {
        Scratch { lanes: vec![], halves: vec![], sums: vec![], scales: vec![], made: vec![] }
    }

    /// Puts the sums of columns into `sums`.
    pub fn add_up(&mut self, x: &[T], side: usize) {
        loops::sums_abreast(x, side, &mut self.lanes, &mut self.halves, &mut self.sums);
    }

    /// Puts `exp(x - top)` of columns into `made` and their sums into `sums`.
    pub fn exp_below(&mut self, x: &[T], top: &[T]) {
        let mut made = std::mem::take(&mut self.made);
        made.clear();
        if top.len().is_multiple_of(WHOLE) {
            loops::exp_less_columns(x, top, &mut made);
        } else {
            loops::less_columns(x, top, &mut made);
            loops::exp_all(&mut made);
        }
        self.add_up(&made, top.len());
        self.made = made;
    }

    /// Puts what `f` makes of the sums into `scales`.
    pub fn scales(&mut self, f: impl Fn(f64) -> f64) {
        self.scales.clear();
        self.scales.extend(self.sums.iter().map(|&sum| T::c(f(sum))));
    }
}

/// Appends what `rule` makes of short rows, turned: `rule(turned, side, scratch)` leaves it in `scratch.made`, or says `None`; then
/// `each` appends it row by row.
fn map_abreast<T: Float, const N: usize>(
    x: [&[T]; N],
    n: usize,
    out: &mut Out<'_, T>,
    rule: impl Fn(&[Vec<T>; N], usize, &mut Scratch<T>) -> Option<()>,
    each: impl Fn([&[T]; N], &mut Out<'_, T>),
) {
    let mut scratch = Scratch::new();
    abreast(x, n, |rows, side, turned| {
        scratch.made.clear();
        if rule(turned, side, &mut scratch).is_none() || scratch.made.len() != n * side {
            return rows.for_each(|row| each(x.map(|x| items(x, n, row..row + 1)), out));
        }
        place(out, rows.len() * n, |room| {
            turn_back(&scratch.made, n, side, room);
            // SAFETY: it writes all of its room.
            Some(unsafe { Written::all() })
        });
    });
}

/// Softmax along axes; infinities share 1, a row of -inf gives zeros.
pub fn softmax<T: Float>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let down = by_columns(data, shape, axes, |part, inner, out| {
        let top = finite_tops(part, inner)?;
        let (start, mut sums) = (out.len(), vec![0.0; inner]);
        loops::exp_columns(part, &top, &mut sums, out);
        let scales: Vec<T> = sums.iter().map(|&sum| T::c(1.0 / sum)).collect();
        loops::scale_columns(out.get_mut(start..)?, &scales);
        Some(())
    });
    down.unwrap_or_else(|| map_blocks(data, shape, axes, softmax_rows))
}

/// Logarithm of the softmax along axes; of a row of -inf, -inf.
pub fn log_softmax<T: Float>(data: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut scratch = vec![];
    let down = by_columns(data, shape, axes, |part, inner, out| {
        let top = finite_tops(part, inner)?;
        let mut sums = vec![0.0; inner];
        scratch.clear();
        loops::exp_columns(part, &top, &mut sums, &mut scratch);
        let logs: Vec<T> = sums.iter().map(|sum| T::c(Num::ln(*sum))).collect();
        loops::less_both_columns(part, &top, &logs, out);
        Some(())
    });
    down.unwrap_or_else(|| map_blocks(data, shape, axes, log_softmax_rows))
}

/// `y * (g - sum(y * g))` along axes.
pub fn softmax_pull<T: Float>(y: &[T], g: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut at = 0;
    let down = by_columns(y, shape, axes, |part, inner, out| {
        let g = g.get(at..at + part.len())?;
        at += part.len();
        let mut sums = vec![0.0; inner];
        loops::add_products_of_columns(part, g, &mut sums);
        let sums: Vec<T> = sums.into_iter().map(T::c).collect();
        loops::share_columns(part, g, &sums, out);
        Some(())
    });
    down.unwrap_or_else(|| zip_blocks(y, g, shape, axes, softmax_pull_rows))
}

/// `g - exp(y) * sum(g)` along axes; zeros for a row of -inf.
pub fn log_softmax_pull<T: Float>(y: &[T], g: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut at = 0;
    let down = by_columns(y, shape, axes, |part, inner, out| {
        let g = g.get(at..at + part.len())?;
        at += part.len();
        let mut sums = vec![];
        column_sums(g, inner, &mut sums);
        let sums: Vec<T> = sums.into_iter().map(T::c).collect();
        loops::less_share_columns(part, g, &tops(part, inner), &sums, out);
        Some(())
    });
    down.unwrap_or_else(|| zip_blocks(y, g, shape, axes, log_softmax_pull_rows))
}

/// Appends what `f(part, inner, out)` makes of each matrix with rows of `inner` whose columns lie along the axes; `None` if there
/// are no such columns, or `f` gives up.
fn by_columns<T: Float>(
    data: &[T],
    shape: &[usize],
    axes: &[usize],
    mut f: impl FnMut(&[T], usize, &mut Vec<T>) -> Option<()>,
) -> Option<Vec<T>> {
    let (_, n, inner) = split(shape, axes).filter(|&(_, n, inner)| inner > 1 && n > 0)?;
    let mut out = Vec::with_capacity(data.len());
    for part in data.chunks_exact(n * inner) {
        f(part, inner, &mut out)?;
    }
    Some(out)
}

/// The largest elements of the columns.
fn tops<T: Float>(part: &[T], inner: usize) -> Vec<T> {
    let (first, others) = part.split_at(inner.min(part.len()));
    let mut top = first.to_vec();
    best_of_columns::<Largest, T>(others, &mut top);
    top
}

/// The same if none is infinite.
pub(super) fn finite_tops<T: Float>(part: &[T], inner: usize) -> Option<Vec<T>> {
    let top = tops(part, inner);
    (!top.iter().any(|top| top.abs() == T::INFINITY)).then_some(top)
}

fn softmax_rows<T: Float>(block: &[T], n: usize, out: &mut Out<'_, T>) {
    if !is_abreast(block.len() / n, n) {
        return block.chunks_exact(n).for_each(|row| softmax_row(row, out));
    }
    let rule = |[x]: &[Vec<T>; 1], side, scratch: &mut Scratch<T>| {
        scratch.exp_below(x, &finite_tops(x, side)?);
        scratch.scales(|sum| 1.0 / sum);
        loops::scale_columns(&mut scratch.made, &scratch.scales);
        Some(())
    };
    map_abreast([block], n, out, rule, |[row], out| softmax_row(row, out));
}

fn log_softmax_rows<T: Float>(block: &[T], n: usize, out: &mut Out<'_, T>) {
    if !is_abreast(block.len() / n, n) {
        let mut exps = vec![];
        return block.chunks_exact(n).for_each(|row| log_softmax_row(row, out, &mut exps));
    }
    let rule = |[x]: &[Vec<T>; 1], side, scratch: &mut Scratch<T>| {
        let top = finite_tops(x, side)?;
        scratch.exp_below(x, &top);
        loops::log_all(&mut scratch.sums);
        scratch.scales(|log| log);
        scratch.made.clear();
        loops::less_both_columns(x, &top, &scratch.scales, &mut scratch.made);
        Some(())
    };
    map_abreast([block], n, out, rule, |[row], out| log_softmax_row(row, out, &mut vec![]));
}

fn softmax_pull_rows<T: Float>(y: &[T], g: &[T], n: usize, out: &mut Out<'_, T>) {
    if !is_abreast(y.len() / n, n) {
        return y.chunks_exact(n).zip(g.chunks_exact(n)).for_each(|(y, g)| softmax_pull_row(y, g, out));
    }
    let rule = |[y, g]: &[Vec<T>; 2], side, scratch: &mut Scratch<T>| {
        let mut products = std::mem::take(&mut scratch.made);
        loops::products(y, g, &mut products);
        scratch.add_up(&products, side);
        scratch.scales(|sum| sum);
        products.clear();
        loops::share_columns(y, g, &scratch.scales, &mut products);
        scratch.made = products;
        Some(())
    };
    map_abreast([y, g], n, out, rule, |[y, g], out| softmax_pull_row(y, g, out));
}

fn log_softmax_pull_rows<T: Float>(y: &[T], g: &[T], n: usize, out: &mut Out<'_, T>) {
    if !is_abreast(y.len() / n, n) {
        return y.chunks_exact(n).zip(g.chunks_exact(n)).for_each(|(y, g)| log_softmax_pull_row(y, g, out));
    }
    let rule = |[y, g]: &[Vec<T>; 2], side, scratch: &mut Scratch<T>| {
        scratch.add_up(g, side);
        scratch.scales(|sum| sum);
        loops::less_share_columns(y, g, &tops(y, side), &scratch.scales, &mut scratch.made);
        Some(())
    };
    map_abreast([y, g], n, out, rule, |[y, g], out| log_softmax_pull_row(y, g, out));
}

pub(super) fn softmax_row<T: Float, O: Room<T>>(row: &[T], out: &mut O) {
    let Some(max) = max_slice(row) else { return };
    if max.abs() == T::INFINITY {
        // Equal shares of the infinities; nothing for -inf.
        let ties = row.iter().filter(|&&x| x == max).count();
        let share = if max > T::c(0.0) { T::c(1.0 / ties as f64) } else { T::c(0.0) };
        out.extend(row.iter().map(|&x| if x == max { share } else { T::c(0.0) }));
        return;
    }
    let start = out.len();
    loops::exp_below(row, max, out);
    if let Some(done) = out.get_mut(start..) {
        loops::scale(done, T::c(1.0 / sum_slice(done)));
    }
}

/// Appends `log(sum(exp(x)))` of the columns of a matrix with rows of `inner`.
pub fn logsumexp_down<T: Float>(part: &[T], inner: usize, out: &mut Vec<f64>) {
    let mut top = tops(part, inner);
    // An infinite top is the result whatever else there is.
    let ends: Vec<Option<T>> = top.iter().map(|&t| (t.abs() == T::INFINITY).then_some(t)).collect();
    top.iter_mut().for_each(|t| *t = if t.abs() == T::INFINITY { T::c(0.0) } else { *t });
    let mut sums = vec![0.0; top.len()];
    loops::add_exp_of_columns(part, &top, &mut sums);
    let columns = ends.into_iter().zip(top).zip(sums);
    out.extend(columns.map(|((end, top), sum)| end.map_or_else(|| top.to_f64() + sum.ln(), T::to_f64)));
}

/// Appends `log(sum(exp(x)))` of rows of `n` (1 or more).
pub fn logsumexp_rows<T: Float>(rows: &[T], n: usize, scratch: &mut Vec<T>, out: &mut Vec<f64>) {
    if !is_abreast(rows.len() / n, n) {
        return out.extend(rows.chunks_exact(n).map(|row| logsumexp(row, scratch)));
    }
    let mut room = Scratch::new();
    abreast([rows], n, |some, side, [turned]| match finite_tops(turned, side) {
        Some(tops) => {
            room.exp_below(turned, &tops);
            loops::log_all(&mut room.sums);
            out.extend(tops.iter().zip(&room.sums).take(some.len()).map(|(top, log)| top.to_f64() + log));
        }
        None => out.extend(some.map(|row| logsumexp(items(rows, n, row..row + 1), scratch))),
    });
}

/// `log(sum(exp(row)))`; -inf for an empty row.
pub fn logsumexp<T: Float>(row: &[T], scratch: &mut Vec<T>) -> f64 {
    let Some(max) = max_slice(row) else { return f64::NEG_INFINITY };
    if max.abs() == T::INFINITY {
        return max.to_f64();
    }
    scratch.clear();
    loops::exp_below(row, max, scratch);
    max.to_f64() + Num::ln(sum_slice(scratch))
}

fn log_softmax_row<T: Float, O: Room<T>>(row: &[T], out: &mut O, scratch: &mut Vec<T>) {
    let max = max_slice(row).unwrap_or_default();
    if max == T::INFINITY {
        let ties = row.iter().filter(|&&x| x == max).count();
        let top = T::c(-(ties as f64).ln());
        out.extend(row.iter().map(|&x| if x == max { top } else { -T::INFINITY }));
        return;
    }
    if max == -T::INFINITY {
        out.extend_from_slice(row);
        return;
    }
    scratch.clear();
    loops::exp_below(row, max, scratch);
    loops::less_both(row, max, T::c(Num::ln(sum_slice(scratch))), out);
}

fn softmax_pull_row<T: Float, O: Room<T>>(y: &[T], g: &[T], out: &mut O) {
    let start = out.len();
    loops::products(y, g, out);
    if let Some(products) = out.get_mut(start..) {
        loops::shares(y, g, T::c(sum_slice(products)), products);
    }
}

fn log_softmax_pull_row<T: Float, O: Room<T>>(y: &[T], g: &[T], out: &mut O) {
    if y.iter().all(|&y| y == -T::INFINITY) {
        out.extend(y.iter().map(|_| T::c(0.0)));
        return;
    }
    loops::less_share(y, g, T::c(sum_slice(g)), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::abreast::{BLOCK, SHORT};

    #[test]
    fn softmax_conventions() {
        let inf = f64::INFINITY;
        type Along = fn(&[f64], &[usize], &[usize]) -> Vec<f64>;
        let row = |f: Along, x: &[f64]| f(x, &[x.len()], &[0]);
        assert_eq!(row(softmax, &[-inf, -inf]), [0.0, 0.0]);
        assert_eq!(row(softmax, &[0.0, inf]), [0.0, 1.0]);
        assert_eq!(row(softmax, &[1000.0, 1000.0]), [0.5, 0.5]);
        assert!(row(softmax, &[f64::NAN, 1.0]).iter().all(|x| x.is_nan()));
        assert_eq!(logsumexp(&[-inf, -inf], &mut vec![]), -inf);
        assert_eq!(logsumexp::<f64>(&[], &mut vec![]), -inf);
        assert_eq!(logsumexp(&[0.0, inf], &mut vec![]), inf);
        assert_eq!(row(log_softmax, &[-inf, -inf]), [-inf, -inf]);
        assert_eq!(log_softmax_pull(&[-inf, -inf], &[1.0, 2.0], &[2], &[0]), [0.0, 0.0]);
    }

    #[test]
    fn short_rows_stand_side_by_side() {
        for n in [1, 2, 7, 16, 40, 100, SHORT] {
            let m = 3 * BLOCK / n + 5;
            let x: Vec<f32> = (0..m * n).map(|i| (i * 7919 % 101) as f32 / 10.0 - 5.0).collect();
            let g: Vec<f32> = (0..m * n).map(|i| (i * 31 % 17) as f32 / 5.0 - 1.0).collect();
            let (shape, axes) = ([m, n], [1]);
            let (y, z) = (softmax(&x, &shape, &axes), log_softmax(&x, &shape, &axes));
            let (p, q) = (softmax_pull(&y, &g, &shape, &axes), log_softmax_pull(&z, &g, &shape, &axes));
            let mut want = [vec![], vec![], vec![], vec![]];
            for (i, x) in x.chunks(n).enumerate() {
                let at = i * n..(i + 1) * n;
                softmax_row(x, &mut want[0]);
                log_softmax_row(x, &mut want[1], &mut vec![]);
                softmax_pull_row(&y[at.clone()], &g[at.clone()], &mut want[2]);
                log_softmax_pull_row(&z[at.clone()], &g[at], &mut want[3]);
            }
            assert!([y, z, p, q] == want, "{n}");
        }
    }

    #[test]
    fn logarithms_of_sums_side_by_side() {
        for special in [0.0, f64::INFINITY, -f64::INFINITY, f64::NAN] {
            let mut x: Vec<f64> = (0..500).map(|i| (i * 7919 % 101) as f64 / 10.0 - 5.0).collect();
            x[7] = special;
            let mut got = vec![];
            logsumexp_rows(&x, 5, &mut vec![], &mut got);
            let want: Vec<f64> = x.chunks(5).map(|row| logsumexp(row, &mut vec![])).collect();
            assert!(got.iter().zip(&want).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())), "{special}");
            assert_eq!(got.len(), want.len());
        }
    }

    #[test]
    fn columns_are_rows_turned() {
        let inf = f64::INFINITY;
        let (n, inner) = (4, 5);
        let plain: Vec<f64> = (0..2 * n * inner).map(|i| ((i * 7919) % 101) as f64 / 10.0 - 5.0).collect();
        let weights: Vec<f64> = (0..2 * n * inner).map(|i| ((i * 31) % 17) as f64 / 5.0 - 1.0).collect();
        let turn = |x: &[f64], n, inner| crate::tensor::reduce::swap_last(x, 2, n, inner);
        for special in [&[][..], &[(2, inf)], &[(7, f64::NAN)], &[(1, -inf), (6, -inf), (11, -inf), (16, -inf)]] {
            let mut x = plain.clone();
            special.iter().for_each(|&(i, value)| x[i] = value);
            let turned = turn(&x, n, inner);
            let check = |down: Vec<f64>, along: Vec<f64>, what: &str| {
                for (a, b) in down.iter().zip(turn(&along, inner, n)) {
                    assert!((a - b).abs() < 1e-12 || *a == b || (a.is_nan() && b.is_nan()), "{what}: {a} is not {b}");
                }
            };
            let (tall, wide) = ([2, n, inner], [2, inner, n]);
            check(softmax(&x, &tall, &[1]), softmax(&turned, &wide, &[2]), "softmax");
            let (y, z) = (log_softmax(&x, &tall, &[1]), log_softmax(&turned, &wide, &[2]));
            check(y.clone(), z.clone(), "log_softmax");
            let g = turn(&weights, n, inner);
            let pulled = log_softmax_pull(&z, &g, &wide, &[2]);
            check(log_softmax_pull(&y, &weights, &tall, &[1]), pulled, "log_softmax_pull");
            let pulled = softmax_pull(&turned, &g, &wide, &[2]);
            check(softmax_pull(&x, &weights, &tall, &[1]), pulled, "softmax_pull");
        }
    }
}
