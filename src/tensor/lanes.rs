//! Runs kernels over lanes: the elements of broadcast operands, taken in row-major order.
//!
//! Operands are row-major buffers with their shapes. Axes along which all of them advance alike are merged, so that
//! operands of one shape become a single run; a row or column operand is never materialized unless rows are very short.

use smallvec::SmallVec;

use super::broadcast::{broadcast_strides, stretch};
use super::{Shape, count};

/// One operand of a run of lanes.
#[derive(Clone, Copy)]
pub enum Lanes<'a, T> {
    /// An element for each lane.
    Each(&'a [T]),
    /// The same for all lanes.
    Same(T),
}

impl<T: Copy> Lanes<'_, T> {
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

/// Runs `kernel(n, operands, out)` over all lanes of `shape`; it appends `n` results to `out`.
/// Each operand is a row-major buffer and its shape, which broadcasts to `shape`.
pub fn run<T: Copy, O>(
    shape: &[usize],
    operands: &[(&[T], &[usize])],
    out: &mut Vec<O>,
    mut kernel: impl FnMut(usize, &[Lanes<'_, T>], &mut Vec<O>),
) {
    let n = count(shape);
    if n == 0 {
        return;
    }
    out.reserve(n);
    if operands.iter().all(|(data, own)| data.len() == 1 || *own == shape) {
        let lanes: Run<T> = operands.iter().map(|(data, own)| whole(data, own, shape)).collect();
        kernel(n, &lanes, out);
        return;
    }
    let (dims, strides) = merge(shape, operands);
    let inner = dims.last().copied().unwrap_or(1);
    if inner < SHORT_ROW && n > 4 * inner {
        let copies: SmallVec<[Vec<T>; 3]> = operands
            .iter()
            .map(|(data, own)| if data.len() == 1 || *own == shape { vec![] } else { stretch(data, own, shape) })
            .collect();
        let lanes: Run<T> = operands
            .iter()
            .zip(&copies)
            .map(|((data, own), copy)| if copy.is_empty() { whole(data, own, shape) } else { Lanes::Each(copy) })
            .collect();
        kernel(n, &lanes, out);
        return;
    }
    let outer = dims.len().saturating_sub(1);
    let mut bases: SmallVec<[usize; 5]> = SmallVec::from_elem(0, operands.len());
    let mut index: Shape = SmallVec::from_elem(0, outer);
    let mut lanes: Run<T> = SmallVec::new();
    for _ in 0..count(&dims[..outer]) {
        lanes.clear();
        for (k, (data, _)) in operands.iter().enumerate() {
            let (base, step) = (bases[k], strides[k].last().copied().unwrap_or(0));
            if step == 0 {
                if let Some(&x) = data.get(base) {
                    lanes.push(Lanes::Same(x));
                }
            } else if let Some(row) = data.get(base..base + inner) {
                lanes.push(Lanes::Each(row));
            }
        }
        kernel(inner, &lanes, out);
        for axis in (0..outer).rev() {
            index[axis] += 1;
            let done = index[axis] == dims[axis];
            for k in 0..operands.len() {
                let step = strides[k][axis];
                bases[k] += step;
                if done {
                    bases[k] -= step * dims[axis];
                }
            }
            if !done {
                break;
            }
            index[axis] = 0;
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
