//! Runs kernels over lanes: the elements of broadcast operands, taken in row-major order.
//!
//! Operands are row-major buffers with their shapes. Axes along which all of them advance alike are merged, so that
//! operands of one shape become a single run; a row or column operand is never materialized unless rows are very short.

use std::ops::Range;

use smallvec::SmallVec;

use super::broadcast::{broadcast_strides, extend_by};
use super::out::Out;
use super::{Shape, count, threads};

/// One operand of a run of lanes.
#[derive(Clone, Copy)]
pub enum Lanes<'a, T> {
    /// An element for each lane.
    Each(&'a [T]),
    /// The same for all lanes.
    Same(T),
}

impl<'a, T: Copy> Lanes<'a, T> {
    /// Some of the lanes.
    pub fn part(self, range: Range<usize>) -> Lanes<'a, T> {
        match self {
            Lanes::Each(s) => Lanes::Each(s.get(range).unwrap_or(&[])),
            same => same,
        }
    }

    /// The element of lane `i`; the last one if there are fewer.
    #[inline(always)]
    pub fn at(&self, i: usize) -> Option<T> {
        match self {
            Lanes::Each(s) => s.get(i).copied(),
            Lanes::Same(x) => Some(*x),
        }
    }
}

/// Operands of one run.
pub type Run<'a, T> = SmallVec<[Lanes<'a, T>; 5]>;

/// Rows shorter than this are not worth a kernel call each.
const SHORT_ROW: usize = 16;
/// Elements that are written out for a call.
const SPREAD: usize = 1024;
/// Operands, at most: three arguments, the result and its cotangent.
const MOST: usize = 5;

/// Runs `kernel(n, operands, out)` over all lanes of `shape`; it appends `n` results to `out`.
/// Each operand is a row-major buffer and its shape, which broadcasts to `shape`.
pub fn run<T: Copy, O>(
    shape: &[usize],
    operands: &[(&[T], &[usize])],
    out: &mut Vec<O>,
    mut kernel: impl FnMut(usize, &[Lanes<'_, T>], &mut Vec<O>),
) {
    let n = count(shape);
    out.reserve(n);
    match lay(shape, operands) {
        _ if n == 0 => {}
        Way::Whole(lanes) => kernel(n, &lanes, out),
        Way::Rows(rows) => rows.each(operands, 0..rows.count(), |inner, lanes| kernel(inner, lanes, out)),
    }
}

/// The same on several threads if there are many lanes. What the kernel makes of a lane does not depend on the others.
pub fn run_shared<T: Copy + Sync, O: Copy + Send>(
    shape: &[usize],
    operands: &[(&[T], &[usize])],
    out: &mut Vec<O>,
    kernel: impl Fn(usize, &[Lanes<'_, T>], &mut Out<'_, O>) + Sync,
) {
    let n = count(shape);
    out.reserve(n);
    match lay(shape, operands) {
        _ if n == 0 => {}
        Way::Whole(lanes) => run_whole(n, &lanes, out, kernel),
        Way::Rows(rows) => {
            threads::fill(rows.count(), rows.inner(), rows.inner(), out, |range, out| {
                rows.each(operands, range, |inner, lanes| kernel(inner, lanes, out));
            });
        }
    }
}

/// The same for operands that are laid out already.
pub fn run_whole<T: Copy + Sync, O: Copy + Send>(
    n: usize,
    lanes: &[Lanes<'_, T>],
    out: &mut Vec<O>,
    kernel: impl Fn(usize, &[Lanes<'_, T>], &mut Out<'_, O>) + Sync,
) {
    threads::fill(n, 1, 1, out, |range, out| {
        if range.len() == n {
            return kernel(n, lanes, out);
        }
        let part: Run<T> = lanes.iter().map(|lane| lane.part(range.clone())).collect();
        kernel(range.len(), &part, out);
    });
}

/// How lanes are visited.
enum Way<'a, T> {
    /// In a single run.
    Whole(Run<'a, T>),
    Rows(Rows),
}

/// A run for each row of the merged dims.
struct Rows {
    dims: Shape,
    strides: Strides,
}

fn lay<'a, T: Copy>(shape: &[usize], operands: &[(&'a [T], &[usize])]) -> Way<'a, T> {
    if operands.iter().all(|(data, own)| data.len() == 1 || *own == shape) {
        return Way::Whole(operands.iter().map(|(data, own)| whole(data, own, shape)).collect());
    }
    let (dims, strides) = merge(shape, operands);
    Way::Rows(Rows { dims, strides })
}

impl Rows {
    fn inner(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    fn outer(&self) -> usize {
        self.dims.len().saturating_sub(1)
    }

    fn count(&self) -> usize {
        count(self.dims.get(..self.outer()).unwrap_or(&[]))
    }

    /// Calls `f` with the lanes of some of the rows.
    fn each<T: Copy>(
        &self,
        operands: &[(&[T], &[usize])],
        rows: Range<usize>,
        mut f: impl FnMut(usize, &[Lanes<'_, T>]),
    ) {
        let inner = self.inner();
        // Rows too short for a call each are written out for many of them, where they do not lie one behind the other.
        if inner < SHORT_ROW {
            let together = (SPREAD / inner.max(1)).max(1);
            let mut copies: SmallVec<[Vec<T>; MOST]> = operands.iter().map(|_| vec![]).collect();
            for from in rows.clone().step_by(together) {
                let some = from..(from + together).min(rows.end);
                let mut lanes: Run<T> = SmallVec::new();
                for (k, ((data, _), copy)) in operands.iter().zip(&mut copies).enumerate() {
                    lanes.push(if self.is_dense(k) {
                        Lanes::Each(data.get(some.start * inner..some.end * inner).unwrap_or(&[]))
                    } else {
                        copy.clear();
                        self.write_out(k, data, some.clone(), copy);
                        Lanes::Each(copy)
                    });
                }
                f(some.len() * inner, &lanes);
            }
            return;
        }
        let mut lanes: [Lanes<'_, T>; MOST] = [Lanes::Each(&[]); MOST];
        let mut steps = [0; MOST];
        let count = operands.len().min(MOST);
        steps.iter_mut().enumerate().for_each(|(k, step)| *step = self.step(k));
        self.bases(rows, |bases| {
            for (lane, ((&base, &step), (data, _))) in lanes.iter_mut().zip(bases.iter().zip(&steps).zip(operands)) {
                *lane = match data.get(base) {
                    Some(&x) if step == 0 => Lanes::Same(x),
                    _ => Lanes::Each(data.get(base..base + inner).unwrap_or(&[])),
                };
            }
            f(inner, &lanes[..count]);
        });
    }

    /// Whether the rows of operand `k` lie one behind the other.
    fn is_dense(&self, k: usize) -> bool {
        let mut step = 1;
        let Some(strides) = self.strides.get(k) else { return false };
        strides.iter().zip(&self.dims).rev().all(|(&own, &n)| {
            let joins = own == step;
            step *= n;
            joins
        })
    }

    /// Appends some of the rows of operand `k`.
    fn write_out<T: Copy>(&self, k: usize, data: &[T], rows: Range<usize>, out: &mut Vec<T>) {
        let (inner, step) = (self.inner(), self.step(k));
        out.reserve(rows.len() * inner + SHORT_ROW);
        match inner {
            // Points in the plane and in space: with a length that the compiler knows, a copy is a few moves.
            2 => self.bases_of(k, rows, |base| extend_by::<2, T>(out, data, base, step)),
            3 => self.bases_of(k, rows, |base| extend_by::<3, T>(out, data, base, step)),
            4 => self.bases_of(k, rows, |base| extend_by::<4, T>(out, data, base, step)),
            // Others are a whole block, of which the next row overwrites what is too much.
            _ => self.bases_of(k, rows, |base| {
                let (start, rest) = (out.len(), data.get(base..).unwrap_or(&[]));
                match (rest.first_chunk::<SHORT_ROW>(), rest) {
                    (_, [x, ..]) if step == 0 => out.extend_from_slice(&[*x; SHORT_ROW]),
                    (Some(block), _) => out.extend_from_slice(block),
                    (None, rest) => out.extend_from_slice(rest),
                }
                out.truncate(start + inner);
            }),
        }
    }

    /// Calls `f` with where operand `k` begins in each of the rows.
    #[inline]
    fn bases_of(&self, k: usize, rows: Range<usize>, mut f: impl FnMut(usize)) {
        let (Some(strides), Some(last)) = (self.strides.get(k), self.outer().checked_sub(1)) else {
            return rows.for_each(|_| f(0));
        };
        let (len, step) = (self.dims[last].max(1), strides[last]);
        let mut row = rows.start;
        while row < rows.end {
            // The rows up to the end of the last of the outer axes are equally far apart.
            let (mut left, mut base) = (row, 0);
            for axis in (0..=last).rev() {
                let n = self.dims[axis].max(1);
                base += left % n * strides[axis];
                left /= n;
            }
            let end = (row - row % len + len).min(rows.end);
            for i in 0..end - row {
                f(base + i * step);
            }
            row = end;
        }
    }

    /// How far operand `k` advances within a row.
    fn step(&self, k: usize) -> usize {
        self.strides.get(k).and_then(|strides| strides.last()).copied().unwrap_or(0)
    }

    /// Calls `f` with where each operand begins in each of the rows.
    #[inline]
    fn bases(&self, rows: Range<usize>, mut f: impl FnMut(&[usize; MOST])) {
        let Some(last) = self.outer().checked_sub(1) else {
            return rows.for_each(|_| f(&[0; MOST]));
        };
        let len = self.dims[last].max(1);
        let mut steps = [0; MOST];
        for (step, strides) in steps.iter_mut().zip(&self.strides) {
            *step = strides[last];
        }
        let mut row = rows.start;
        while row < rows.end {
            // The rows up to the end of the last of the outer axes are equally far apart.
            let (mut left, mut bases) = (row, [0; MOST]);
            for axis in (0..=last).rev() {
                let (n, at) = (self.dims[axis].max(1), left % self.dims[axis].max(1));
                left /= n;
                for (base, strides) in bases.iter_mut().zip(&self.strides) {
                    *base += at * strides[axis];
                }
            }
            let end = (row - row % len + len).min(rows.end);
            for _ in row..end {
                f(&bases);
                bases.iter_mut().zip(&steps).for_each(|(base, step)| *base += step);
            }
            row = end;
        }
    }
}

fn whole<'a, T: Copy>(data: &'a [T], own: &[usize], shape: &[usize]) -> Lanes<'a, T> {
    match data {
        [x] if own != shape => Lanes::Same(*x),
        _ => Lanes::Each(data),
    }
}

type Strides = SmallVec<[SmallVec<[usize; 4]>; 5]>;

/// Dims without those of 1, neighbours merged where every operand allows it, and each operand's strides for them.
fn merge<T>(shape: &[usize], operands: &[(&[T], &[usize])]) -> (Shape, Strides) {
    let full: Strides = operands.iter().map(|(_, own)| broadcast_strides(own, shape)).collect();
    let mut dims = Shape::new();
    let mut strides: Strides = operands.iter().map(|_| SmallVec::new()).collect();
    for (axis, &n) in shape.iter().enumerate() {
        if n == 1 {
            continue;
        }
        let joins = !dims.is_empty()
            && full.iter().zip(&strides).all(|(f, s)| s.last().is_some_and(|&last| last == f[axis] * n));
        if joins && let Some(last) = dims.last_mut() {
            *last *= n;
            for (s, f) in strides.iter_mut().zip(&full) {
                if let Some(step) = s.last_mut() {
                    *step = f[axis];
                }
            }
        } else {
            dims.push(n);
            for (s, f) in strides.iter_mut().zip(&full) {
                s.push(f[axis]);
            }
        }
    }
    (dims, strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(shape: &[usize], a: (&[i64], &[usize]), b: (&[i64], &[usize])) -> Vec<i64> {
        let mut out = vec![];
        run(shape, &[a, b], &mut out, |n, lanes, out| {
            out.extend((0..n).map(|i| lanes[0].at(i).unwrap() + lanes[1].at(i).unwrap()));
        });
        out
    }

    #[test]
    fn rows_and_columns() {
        let m: Vec<i64> = (0..6).collect();
        assert_eq!(add(&[2, 3], (&m, &[2, 3]), (&[10, 20, 30], &[3])), [10, 21, 32, 13, 24, 35]);
        assert_eq!(add(&[2, 3], (&m, &[2, 3]), (&[10, 20], &[2, 1])), [10, 11, 12, 23, 24, 25]);
        assert_eq!(add(&[2, 3], (&[1, 2], &[2, 1]), (&[10, 20, 30], &[3])), [11, 21, 31, 12, 22, 32]);
        assert_eq!(add(&[2], (&[1, 2], &[2]), (&[5], &[])), [6, 7]);
    }

    #[test]
    fn short_rows_of_every_length() {
        for n in 1..SHORT_ROW + 2 {
            // More rows than are written out at a time.
            let rows = 2 * SPREAD / n + 3;
            let shape = [rows, 3, n];
            let of = |count: usize, from: i64| (0..count as i64).map(|i| from + i * i % 97).collect::<Vec<_>>();
            for own in [[rows, 3, n], [1, 3, n], [rows, 1, n], [rows, 3, 1], [1, 1, n], [1, 3, 1], [rows, 1, 1]] {
                for other in [[rows, 3, n], [1, 3, n], [rows, 3, 1]] {
                    let (a, b) = (of(count(&own), 1000), of(count(&other), 5));
                    let at = |data: &[i64], own: [usize; 3], index: [usize; 3]| {
                        let place = (0..3).fold(0, |at, k| at * own[k] + if own[k] == 1 { 0 } else { index[k] });
                        data[place]
                    };
                    let mut want = vec![];
                    for i in 0..rows {
                        for (j, k) in (0..3).flat_map(|j| (0..n).map(move |k| (j, k))) {
                            want.push(at(&a, own, [i, j, k]) + at(&b, other, [i, j, k]));
                        }
                    }
                    assert!(add(&shape, (&a, &own), (&b, &other)) == want, "{own:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn long_rows_go_the_strided_way() {
        let m: Vec<i64> = (0..2 * 3 * 40).collect();
        let col: Vec<i64> = vec![1000, 2000, 3000];
        let got = add(&[2, 3, 40], (&m, &[2, 3, 40]), (&col, &[3, 1]));
        for (i, x) in got.iter().enumerate() {
            assert_eq!(*x, i as i64 + 1000 * ((i / 40 % 3) as i64 + 1));
        }
        let got = add(&[2, 3, 40], (&m, &[2, 3, 40]), (&m[..80], &[2, 1, 40]));
        for (i, x) in got.iter().enumerate() {
            assert_eq!(*x, i as i64 + (i / 120 * 40 + i % 40) as i64);
        }
    }
}
