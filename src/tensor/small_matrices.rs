//! Products of stacks of small matrices, such as rotations of many bodies: one loop over the stack, whose body has sizes that the
//! compiler knows.
//!
//! In: two stacks of matrices of one number of matrices, either of them stretched, transposed or sliced. Out: the products, row-major.
//! A call of a kernel for each pair would cost ten times the arithmetic.

use std::mem::MaybeUninit;
use std::ops::{AddAssign, Mul};

use ndarray::ArrayViewD;
use smallvec::SmallVec;

use super::create::Element;

/// The longest side of a right operand.
const SIDE: usize = 4;

/// Whether products of `[m, k]` and `[k, n]` are made here.
pub fn are_small(k: usize, n: usize) -> bool {
    (1..=SIDE).contains(&k) && (1..=SIDE).contains(&n)
}

/// How far apart rows and columns of a matrix are.
type Steps = (isize, isize);

/// One product: rows of the left matrix, both matrices with their steps, and where the result goes.
type Kernel<T> = unsafe fn(usize, (*const T, Steps), (*const T, Steps), *mut T);

/// The products from number `first` on, as many as `out` has room for. The leading axes of both stacks are `batch`. False, with nothing
/// done, if the shapes are not what is made here.
pub fn products<T>(
    a: &ArrayViewD<'_, T>,
    b: &ArrayViewD<'_, T>,
    batch: &[usize],
    first: usize,
    out: &mut [MaybeUninit<T>],
) -> bool
where
    T: Element + Mul<Output = T> + AddAssign,
{
    let (&[.., m, k], &[.., inner, n]) = (a.shape(), b.shape()) else { return false };
    let stacks = a.shape().strip_suffix(&[m, k]) == Some(batch) && b.shape().strip_suffix(&[inner, n]) == Some(batch);
    let (&[.., ar, ac], &[.., br, bc]) = (a.strides(), b.strides()) else { return false };
    let size = m * n;
    let count: usize = batch.iter().product();
    let Some(kernel) = kernel::<T>(k, n) else { return false };
    if !stacks || inner != k || size == 0 || !out.len().is_multiple_of(size) || first + out.len() / size > count {
        return false;
    }
    let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, batch.len());
    let (mut rest, mut at) = (first, (0, 0));
    for (axis, &len) in batch.iter().enumerate().rev() {
        index[axis] = rest % len;
        rest /= len;
        at.0 += index[axis] as isize * a.strides()[axis];
        at.1 += index[axis] as isize * b.strides()[axis];
    }
    for out in out.chunks_exact_mut(size) {
        // SAFETY: ndarray guarantees that the elements of a view lie where pointer and strides say. The index is one of the stack's, as
        // no more products are made than there are, and the kernel reads `[m, k]` and `[k, n]` elements of these two matrices and
        // writes `m * n` neighbours, which `out` has.
        unsafe {
            kernel(
                m,
                (a.as_ptr().offset(at.0), (ar, ac)),
                (b.as_ptr().offset(at.1), (br, bc)),
                out.as_mut_ptr().cast(),
            );
        }
        for axis in (0..batch.len()).rev() {
            index[axis] += 1;
            at.0 += a.strides()[axis];
            at.1 += b.strides()[axis];
            if index[axis] < batch[axis] {
                break;
            }
            at.0 -= a.strides()[axis] * batch[axis] as isize;
            at.1 -= b.strides()[axis] * batch[axis] as isize;
            index[axis] = 0;
        }
    }
    true
}

/// The kernel for right operands of this shape.
fn kernel<T: Element + Mul<Output = T> + AddAssign>(k: usize, n: usize) -> Option<Kernel<T>> {
    macro_rules! kernels {
        ($($k:literal: [$($n:literal)*])*) => {
            match (k, n) {
                $($(($k, $n) => Some(product::<T, $k, $n>),)*)*
                _ => None,
            }
        };
    }
    kernels!(1: [1 2 3 4] 2: [1 2 3 4] 3: [1 2 3 4] 4: [1 2 3 4])
}

/// # Safety
/// `m` by `K` elements can be read from `a` on by its steps and `K` by `N` from `b` on, and `m * N` neighbours can be written from `out`
/// on, where nothing else lies.
unsafe fn product<T, const K: usize, const N: usize>(
    m: usize,
    (a, (ar, ac)): (*const T, Steps),
    (b, (br, bc)): (*const T, Steps),
    out: *mut T,
) where
    T: Element + Mul<Output = T> + AddAssign,
{
    // SAFETY: the caller's.
    unsafe {
        let mut right = [[T::default(); N]; K];
        for (l, row) in right.iter_mut().enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                *x = *b.offset(l as isize * br + j as isize * bc);
            }
        }
        for i in 0..m {
            let mut sums = [T::default(); N];
            for (l, row) in right.iter().enumerate() {
                let x = *a.offset(i as isize * ar + l as isize * ac);
                for (sum, &y) in sums.iter_mut().zip(row) {
                    *sum += x * y;
                }
            }
            out.add(i * N).cast::<[T; N]>().write(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, Axis, IxDyn, Slice};

    use super::*;

    fn counted(shape: &[usize], from: i64) -> ArrayD<f64> {
        let n: usize = shape.iter().product();
        let number = |i: usize| ((i as i64 * 37 + from) % 23 - 11) as f64;
        ArrayD::from_shape_vec(IxDyn(shape), (0..n).map(number).collect()).unwrap()
    }

    /// All products from `first` on against sums written out.
    #[track_caller]
    fn check(a: &ArrayViewD<'_, f64>, b: &ArrayViewD<'_, f64>, batch: &[usize], first: usize) {
        let (m, k, n) = (a.shape()[a.ndim() - 2], a.shape()[a.ndim() - 1], b.shape()[b.ndim() - 1]);
        let count: usize = batch.iter().product();
        let mut want = vec![];
        for stack in ndarray::indices(batch).into_iter().skip(first) {
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let at = |x: &ArrayViewD<'_, f64>, r, c| {
                    let mut index = ndarray::Dimension::slice(&stack).to_vec();
                    index.extend([r, c]);
                    x[IxDyn(&index)]
                };
                want.push((0..k).map(|l| at(a, i, l) * at(b, l, j)).sum::<f64>());
            }
        }
        let mut out = Vec::with_capacity((count - first) * m * n);
        let room = &mut out.spare_capacity_mut()[..(count - first) * m * n];
        assert!(products(a, b, batch, first, room));
        // SAFETY: all products have been written.
        unsafe { out.set_len((count - first) * m * n) };
        assert_eq!(out, want, "{:?} {:?}", a.shape(), b.shape());
    }

    #[test]
    fn all_small_sizes() {
        for m in 1..6 {
            for (k, n) in (1..=SIDE).flat_map(|k| (1..=SIDE).map(move |n| (k, n))) {
                let (a, b) = (counted(&[2, 3, m, k], 5), counted(&[2, 3, k, n], 8));
                check(&a.view(), &b.view(), &[2, 3], 0);
                check(&a.view(), &b.view(), &[2, 3], 4);
            }
        }
    }

    #[test]
    fn however_they_lie() {
        let (a, b) = (counted(&[2, 3, 4, 3], 1), counted(&[2, 3, 3, 2], 2));
        let turned = |x: &ArrayD<f64>| x.clone().permuted_axes(&[0, 1, 3, 2][..]);
        let (at, bt) = (turned(&counted(&[2, 3, 3, 4], 3)), turned(&counted(&[2, 3, 2, 3], 4)));
        check(&at.view(), &b.view(), &[2, 3], 0);
        check(&a.view(), &bt.view(), &[2, 3], 1);
        let one = counted(&[3, 1, 3, 2], 6);
        let wide = counted(&[3, 4, 2, 3], 7);
        check(&wide.view(), &one.broadcast(IxDyn(&[3, 4, 3, 2])).unwrap(), &[3, 4], 0);
        let mut part = counted(&[5, 4, 9], 9);
        part.slice_axis_inplace(Axis(0), Slice::new(0, None, -2));
        part.slice_axis_inplace(Axis(2), Slice::new(1, None, 3));
        check(&part.view(), &counted(&[3, 3, 2], 3).view(), &[3], 0);
    }

    #[test]
    fn other_shapes_are_refused() {
        let room = |n| vec![MaybeUninit::<f64>::uninit(); n];
        let (a, b) = (counted(&[2, 3, 3], 1), counted(&[2, 3, 3], 1));
        assert!(!products(&a.view(), &b.view(), &[2], 1, &mut room(18)));
        assert!(!products(&a.view(), &b.view(), &[3], 0, &mut room(9)));
        assert!(!products(&a.view(), &counted(&[2, 2, 3], 1).view(), &[2], 0, &mut room(18)));
        assert!(!products(&a.view(), &counted(&[2, 3, 5], 1).view(), &[2], 0, &mut room(30)));
        assert!(!products(&a.view(), &b.view(), &[2], 0, &mut room(17)));
    }
}
