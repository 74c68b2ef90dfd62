//! Row-major copies of arrays that lie otherwise: transposed, permuted, sliced, backwards.
//!
//! In: an array of any strides. Out: its elements in row-major order. Axes that lie behind one another are merged first. Then
//! whole rows are copied where the last axis is dense; where another one is, the two are turned in square blocks, so that
//! both sides are touched a cache line at a time.

use std::mem::MaybeUninit;

use ndarray::{ArrayBase, ArrayViewD, ArrayViewMutD, Data, IxDyn};
use smallvec::SmallVec;

use super::copy;
use super::simd::turn::{Turn, by_squares};

/// Length of the side of a block.
const BLOCK: usize = 8;

/// An axis: its length, and how far apart neighbours are in the array and in the copy, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Along {
    len: usize,
    from: isize,
    to: usize,
}

type Axes = SmallVec<[Along; 6]>;

/// The axes of an array without elements or of more; those that lie behind one another in the array and in the copy, whose steps are
/// `to`, are one.
fn merged_into(
    shape: &[usize],
    from: &[isize],
    to: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator,
) -> Axes {
    let mut axes = Axes::new();
    for ((&len, &from), to) in shape.iter().zip(from).zip(to).rev() {
        match axes.last_mut() {
            _ if len == 1 => {}
            Some(inner)
                if inner.from.checked_mul(inner.len as isize) == Some(from)
                    && inner.to.checked_mul(inner.len) == Some(to) =>
            {
                inner.len *= len;
            }
            _ => axes.push(Along { len, from, to }),
        }
    }
    axes.reverse();
    axes
}

/// The same for a row-major copy.
fn merged(shape: &[usize], strides: &[isize]) -> Axes {
    let mut to: SmallVec<[usize; 6]> = SmallVec::from_elem(1, shape.len());
    for axis in (1..shape.len()).rev() {
        to[axis - 1] = to[axis].saturating_mul(shape[axis]);
    }
    merged_into(shape, strides, to.iter().copied())
}

/// Writes the elements of an array into a buffer, from `start` on with these steps along its axes. False, and nothing is written, if
/// that is not within the buffer.
pub fn place<T: Copy, S: Data<Elem = T>>(
    a: &ArrayBase<S, IxDyn>,
    out: &mut [MaybeUninit<T>],
    start: usize,
    steps: &[usize],
) -> bool {
    if a.is_empty() {
        return true;
    }
    let ends = a.shape().iter().zip(steps).map(|(len, step)| (len - 1).saturating_mul(*step));
    let last = ends.fold(start, usize::saturating_add);
    if steps.len() != a.ndim() || last >= out.len() {
        return false;
    }
    let axes = merged_into(a.shape(), a.strides(), steps.iter().copied());
    // SAFETY: as in `copied`; the last place of the buffer that is written has been found to be within it.
    unsafe { copy_along(&axes, a.as_ptr(), out.as_mut_ptr().add(start).cast()) };
    true
}

/// The elements of an array in row-major order.
pub fn copied<T: Copy, S: Data<Elem = T>>(a: &ArrayBase<S, IxDyn>) -> Vec<T> {
    let mut out = Vec::with_capacity(a.len());
    if a.is_empty() {
        return out;
    }
    let axes = merged(a.shape(), a.strides());
    // SAFETY: ndarray guarantees that the elements of an array lie where pointer and strides say. Every index of the axes is one
    // of the array's, so only such elements are read; their places in the copy are the numbers below `a.len()`, each once.
    unsafe {
        copy_along(&axes, a.as_ptr(), out.as_mut_ptr());
        out.set_len(a.len());
    }
    out
}

/// Whether `holds` is true of all rows of neighbours in memory, which together are all elements of an array, in any order; what
/// is stretched is looked at once.
pub fn each_row<T, S: Data<Elem = T>>(a: &ArrayBase<S, IxDyn>, mut holds: impl FnMut(&[T]) -> bool) -> bool {
    if let Some(all) = a.as_slice_memory_order() {
        return holds(all);
    }
    if a.is_empty() {
        return true;
    }
    // From the lowest element on, all steps lead upwards.
    let mut start = 0;
    let mut axes = Axes::new();
    for (&len, &from) in a.shape().iter().zip(a.strides()).filter(|(len, from)| **len > 1 && **from != 0) {
        start += from.min(0) * (len as isize - 1);
        axes.push(Along { len, from: from.abs(), to: 0 });
    }
    axes.sort_unstable_by_key(|axis| std::cmp::Reverse(axis.from));
    let mut row = 1;
    while let Some(axis) = axes.last()
        && axis.from == row as isize
    {
        row *= axis.len;
        axes.pop();
    }
    let mut all = true;
    each(&axes, |from, _| {
        // SAFETY: ndarray guarantees that the elements of an array lie where pointer and strides say. Each offset is that of an
        // index whose place along the axes that make up a row is their lowest, and the row is those axes.
        all = all && holds(unsafe { std::slice::from_raw_parts(a.as_ptr().offset(start + from), row) });
    });
    all
}

/// The elements of a row-major buffer with its axes in another order: axis `k` of the result is axis `order[k]`, each of which
/// is named once.
pub fn permuted<T: Copy>(data: &[T], shape: &[usize], order: &[usize]) -> Vec<T> {
    let mut strides: SmallVec<[isize; 6]> = SmallVec::from_elem(0, shape.len());
    let mut step = 1;
    for (stride, &len) in strides.iter_mut().zip(shape).rev() {
        *stride = step as isize;
        step *= len;
    }
    let once = (0..shape.len()).all(|axis| order.contains(&axis)) && order.len() == shape.len();
    assert!(step == data.len() && once, "axes of a buffer in another order");
    let mut out = Vec::with_capacity(data.len());
    if data.is_empty() {
        return out;
    }
    let shape: SmallVec<[usize; 6]> = order.iter().map(|&axis| shape[axis]).collect();
    let strides: SmallVec<[isize; 6]> = order.iter().map(|&axis| strides[axis]).collect();
    // SAFETY: by the assertion the axes are those of the buffer, so each of its elements is read and each place of the copy
    // written once.
    unsafe {
        copy_along(&merged(&shape, &strides), data.as_ptr(), out.as_mut_ptr());
        out.set_len(data.len());
    }
    out
}

/// Slices as arguments are known to be apart, which vector instructions need.
#[inline(never)]
fn pairs<T: Copy>(to: &mut [T], from: &[T], f: impl Fn(&mut T, T)) {
    for (to, from) in to.iter_mut().zip(from) {
        f(to, *from);
    }
}

/// Calls `f` with each element of `to` and that of `from` at the same index; both have one shape.
pub fn zip_mut<T: Copy>(to: &mut ArrayViewMutD<'_, T>, from: &ArrayViewD<'_, T>, f: impl Fn(&mut T, T)) {
    assert_eq!(to.shape(), from.shape(), "arrays of one shape");
    if to.is_empty() {
        return;
    }
    // Axes that lie behind one another in both are one.
    let mut axes: SmallVec<[(usize, isize, isize); 6]> = SmallVec::new();
    for ((&len, &t), &s) in to.shape().iter().zip(to.strides()).zip(from.strides()).rev() {
        match axes.last_mut() {
            _ if len == 1 => {}
            Some((inner, t0, s0)) if *t0 * *inner as isize == t && *s0 * *inner as isize == s => *inner *= len,
            _ => axes.push((len, t, s)),
        }
    }
    let (len, t, s) = if axes.is_empty() { (1, 1, 1) } else { axes.remove(0) };
    axes.reverse();
    let (to, from) = (to.as_mut_ptr(), from.as_ptr());
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, axes.len());
    let (mut to_at, mut from_at) = (0isize, 0isize);
    loop {
        // SAFETY: ndarray guarantees that the elements of an array lie where pointer and strides say, and that those of a mutable
        // one are nobody else's. Each index that is formed here is one of the common shape.
        unsafe {
            let (to, from) = (to.offset(to_at), from.offset(from_at));
            if t == 1 && s == 1 {
                pairs(std::slice::from_raw_parts_mut(to, len), std::slice::from_raw_parts(from, len), &f);
            } else {
                for i in 0..len as isize {
                    f(&mut *to.offset(i * t), *from.offset(i * s));
                }
            }
        }
        let mut axis = axes.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return };
            axis = next;
            let ((len, t, s), i) = (axes[axis], &mut index[axis]);
            *i += 1;
            to_at += t;
            from_at += s;
            if *i < len {
                break;
            }
            to_at -= t * len as isize;
            from_at -= s * len as isize;
            *i = 0;
        }
    }
}

/// # Safety
/// For each index of the axes there is an element to be read at `from` and room for one at `to`.
unsafe fn copy_along<T: Copy>(axes: &[Along], from: *const T, to: *mut T) {
    let Some((&last, outer)) = axes.split_last() else {
        // SAFETY: the caller's; without axes there is one element.
        return unsafe { to.write(from.read()) };
    };
    let densest = (0..outer.len()).filter(|&k| outer[k].from != 0).min_by_key(|&k| outer[k].from.unsigned_abs());
    match densest {
        Some(k) if last.from != 0 && outer[k].from.unsigned_abs() < last.from.unsigned_abs() => {
            let mut outer = Axes::from_slice(outer);
            let dense = outer.remove(k);
            // SAFETY: the caller's.
            each(&outer, |f, t| unsafe { turn(dense, last, from.offset(f), to.add(t)) });
        }
        // SAFETY: the caller's.
        _ => each(outer, |f, t| unsafe { row(last, from.offset(f), to.add(t)) }),
    }
}

/// Calls `f` with the two offsets of each index, in row-major order.
fn each(axes: &[Along], mut f: impl FnMut(isize, usize)) {
    let Some((&last, outer)) = axes.split_last() else { return f(0, 0) };
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer.len());
    let (mut from, mut to) = (0, 0);
    loop {
        for i in 0..last.len {
            f(from + i as isize * last.from, to + i * last.to);
        }
        let mut axis = outer.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return };
            axis = next;
            let (a, i) = (outer[axis], &mut index[axis]);
            *i += 1;
            from += a.from;
            to += a.to;
            if *i < a.len {
                break;
            }
            from -= a.from * a.len as isize;
            to -= a.to * a.len;
            *i = 0;
        }
    }
}

/// Copies along one axis, which is dense in the copy.
///
/// # Safety
/// As for [`copy_along`].
#[inline]
unsafe fn row<T: Copy>(axis: Along, from: *const T, to: *mut T) {
    // SAFETY: the caller's.
    unsafe {
        match axis {
            Along { len, from: 1, to: 1 } if len > BLOCK => copy::dense(from, to, len),
            // With steps that the compiler knows, these are vector instructions.
            Along { len, from: 1, to: 1 } => (0..len).for_each(|i| to.add(i).write(from.add(i).read())),
            Along { len, from: -1, to: 1 } => (0..len).for_each(|i| to.add(i).write(from.sub(i).read())),
            Along { len, from: 2, to: 1 } => (0..len).for_each(|i| to.add(i).write(from.add(2 * i).read())),
            Along { len, from: step, to: by } => {
                for i in 0..len {
                    to.add(i * by).write(from.offset(i as isize * step).read());
                }
            }
        }
    }
}

/// Copies along two axes, of which `dense` is that with the shorter steps in the array, `last` that in the copy.
///
/// # Safety
/// As for [`copy_along`].
unsafe fn turn<T: Copy>(dense: Along, last: Along, from: *const T, to: *mut T) {
    if dense.from == 1 && last.to == 1 && last.from > 0 && dense.len.min(last.len) > 1 {
        let step = last.from.unsigned_abs();
        let turn = Turn { rows: last.len, columns: dense.len, step, room: last.len, to_step: dense.to };
        // SAFETY: the caller's, for rows along `last`.
        if unsafe { by_squares(from, to, turn) } {
            return;
        }
    }
    for i in (0..dense.len).step_by(BLOCK) {
        for j in (0..last.len).step_by(BLOCK) {
            // SAFETY: the caller's, for a part of the indices; the constant lengths are those of a whole block.
            unsafe {
                let from = from.offset(i as isize * dense.from + j as isize * last.from);
                let to = to.add(i * dense.to + j * last.to);
                if i + BLOCK <= dense.len && j + BLOCK <= last.len {
                    block(BLOCK, BLOCK, dense, last, from, to);
                } else {
                    block(BLOCK.min(dense.len - i), BLOCK.min(last.len - j), dense, last, from, to);
                }
            }
        }
    }
}

/// # Safety
/// As for [`copy_along`].
#[inline(always)]
unsafe fn block<T: Copy>(height: usize, width: usize, dense: Along, last: Along, from: *const T, to: *mut T) {
    for i in 0..height {
        for j in 0..width {
            // SAFETY: the caller's.
            unsafe {
                to.add(i * dense.to + j * last.to)
                    .write(from.offset(i as isize * dense.from + j as isize * last.from).read())
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, Slice};

    use super::*;

    fn counted(shape: &[usize]) -> ArrayD<i64> {
        let n: usize = shape.iter().product();
        ArrayD::from_shape_vec(shape, (0..n as i64).collect()).unwrap()
    }

    #[track_caller]
    fn check(a: &ArrayD<i64>) {
        assert_eq!(copied(a), a.iter().copied().collect::<Vec<_>>(), "{:?} {:?}", a.shape(), a.strides());
    }

    #[test]
    fn every_order_of_axes() {
        for shape in [[2, 3, 4, 5], [9, 1, 8, 2], [1, 17, 1, 16], [3, 0, 2, 1], [1, 1, 1, 1], [2, 10, 9, 3]] {
            let a = counted(&shape);
            for code in 0..256usize {
                let order = [code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6];
                if (0..4).all(|axis| order.contains(&axis)) {
                    check(&a.clone().permuted_axes(&order[..]));
                }
            }
        }
    }

    #[test]
    fn gaps_steps_and_reversals() {
        let a = counted(&[6, 20, 11]);
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            for step in [1, 2, -1, -3] {
                for axis in 0..3 {
                    let mut part = a.clone();
                    part.slice_axis_inplace(ndarray::Axis(axis), Slice::new(1, Some(5), step));
                    check(&part.permuted_axes(&order[..]));
                }
            }
        }
    }

    #[test]
    fn stretched_axes() {
        let a = counted(&[3, 1, 9]);
        let wide = a.broadcast(IxDyn(&[4, 3, 20, 9])).unwrap();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            let turned = wide.view().permuted_axes(&order[..]);
            assert_eq!(copied(&turned), turned.iter().copied().collect::<Vec<_>>());
        }
        assert_eq!(copied(&counted(&[]).into_dyn()), [0]);
    }

    #[test]
    fn parts_are_placed() {
        let (a, b) = (counted(&[3, 4]), counted(&[4, 3]).permuted_axes(&[1, 0][..]));
        let mut flipped = counted(&[3, 2]);
        flipped.invert_axis(ndarray::Axis(1));
        let mut out = Vec::with_capacity(30);
        let room = &mut out.spare_capacity_mut()[..30];
        assert!(place(&a, room, 0, &[10, 1]) && place(&b, room, 4, &[10, 1]) && place(&flipped, room, 8, &[10, 1]));
        assert!(!place(&a, room, 7, &[10, 1]) && !place(&a, room, 0, &[1]));
        // SAFETY: three parts of 12, 12 and 6 elements have been written side by side.
        unsafe { out.set_len(30) };
        assert_eq!(out[..10], [0, 1, 2, 3, 0, 3, 6, 9, 1, 0]);
        assert_eq!(out[20..], [8, 9, 10, 11, 2, 5, 8, 11, 5, 4]);
        let mut pairs = Vec::with_capacity(12);
        let room = &mut pairs.spare_capacity_mut()[..12];
        let column = counted(&[6, 1]);
        assert!(place(&column, room, 0, &[2, 1]) && place(&column, room, 1, &[2, 1]));
        // SAFETY: every other place each.
        unsafe { pairs.set_len(12) };
        assert_eq!(pairs, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn pairs_of_any_layout() {
        let plain = counted(&[3, 4, 5]);
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            for other in [[0, 1, 2], [2, 0, 1]] {
                let mut to = plain.clone().permuted_axes(&order[..]);
                to.invert_axis(ndarray::Axis(1));
                let mut from = ArrayD::zeros(to.shape());
                from = from.permuted_axes(&other[..]);
                from.iter_mut().enumerate().for_each(|(i, x)| *x = 1000 * i as i64);
                let back: Vec<usize> = (0..3).map(|axis| other.iter().position(|&o| o == axis).unwrap()).collect();
                let from = from.permuted_axes(&back[..]);
                let mut want = to.clone();
                want.zip_mut_with(&from, |y, x| *y += x);
                zip_mut(&mut to.view_mut(), &from.view(), |y, x| *y += x);
                assert_eq!(to, want);
            }
        }
        let mut to = counted(&[4, 6]);
        let row = counted(&[6]);
        zip_mut(&mut to.view_mut(), &row.broadcast(IxDyn(&[4, 6])).unwrap(), |y, x| *y -= x);
        assert_eq!(to.iter().copied().collect::<Vec<_>>(), (0..24).map(|i| 6 * (i / 6)).collect::<Vec<_>>());
        let mut one = counted(&[1, 1]);
        zip_mut(&mut one.view_mut(), &counted(&[1, 1]).view(), |y, x| *y = x + 7);
        assert_eq!(one[[0, 0]], 7);
    }

    #[test]
    fn rows_are_all_elements() {
        let a = counted(&[4, 5, 6]);
        let seen = |a: &ndarray::ArrayViewD<'_, i64>| {
            let mut seen: Vec<i64> = vec![];
            assert!(each_row(a, |row| {
                seen.extend_from_slice(row);
                true
            }));
            seen.sort();
            seen
        };
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            for (axis, step) in [(0, 1), (1, 2), (2, -1), (2, -2), (1, -3)] {
                let mut part = a.view().permuted_axes(&order[..]);
                part.slice_axis_inplace(ndarray::Axis(axis), Slice::new(1, Some(4), step));
                let mut all: Vec<i64> = part.iter().copied().collect();
                all.sort();
                assert_eq!(seen(&part), all);
                assert!(!each_row(&part, |row| !row.contains(all.last().unwrap())));
            }
        }
        let columns = a.slice_axis(ndarray::Axis(2), Slice::new(1, Some(3), 1));
        let mut rows = 0;
        assert!(each_row(&columns, |row| {
            rows += 1;
            row.len() == 2
        }));
        assert_eq!(rows, 20);
        assert_eq!(seen(&counted(&[1, 3]).broadcast(IxDyn(&[7, 3])).unwrap()), [0, 1, 2]);
        assert!(seen(&counted(&[0, 3]).view()).is_empty());
    }

    #[test]
    fn axes_are_merged() {
        let a = counted(&[2, 3, 4, 5]);
        assert_eq!(merged(a.shape(), a.strides()).len(), 1);
        let turned = a.permuted_axes(&[2, 3, 0, 1][..]);
        let want = [Along { len: 20, from: 1, to: 6 }, Along { len: 6, from: 20, to: 1 }];
        assert_eq!(merged(turned.shape(), turned.strides()).as_slice(), want);
    }
}
