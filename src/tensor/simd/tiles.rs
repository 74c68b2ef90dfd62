//! Products of small matrices that lie in the caches, as attention has them: a left operand read number by number, however it lies,
//! and a right one read in vectors along its rows, so that neither is brought into another order first.
//!
//! The sum for an element begins with the first term (or with what is there) and takes one after the other, so it does not depend on
//! the size of the matrices.

use super::vector::Vector;

/// A matrix whose element `[i, k]` is `data[i * rows + k * columns]`.
#[derive(Clone, Copy)]
pub struct Left<'a, T> {
    pub data: &'a [T],
    pub rows: usize,
    pub columns: usize,
}

/// A matrix whose element `[k, j]` is `data[k * step + j]`. Rows are read in whole vectors: behind the last column there are numbers
/// up to a multiple of [`ROUND`], whose products are left out.
#[derive(Clone, Copy)]
pub struct Right<'a, T> {
    pub data: &'a [T],
    pub step: usize,
}

/// No vector has more numbers, and all are divisors of it.
pub const ROUND: usize = 16;

/// `m` by `k` times `k` by `n`.
#[derive(Clone, Copy)]
pub struct Dims {
    pub m: usize,
    pub k: usize,
    pub n: usize,
}

/// Numbers for which machines may have kernels.
pub trait Tiled: Sized + 'static {
    /// `out[i * step + j]` becomes (with `add`: grows by) the product; false, with nothing done, if this machine has no kernel.
    fn multiply(dims: Dims, a: Left<'_, Self>, b: Right<'_, Self>, out: &mut [Self], step: usize, add: bool) -> bool;
}

/// The largest index that is read or written, and one: of `rows` that are `step` apart, `columns` that are `by` apart.
fn end(rows: usize, step: usize, columns: usize, by: usize) -> Option<usize> {
    let (Some(row), Some(column)) = (rows.checked_sub(1), columns.checked_sub(1)) else { return Some(0) };
    row.checked_mul(step)?.checked_add(column.checked_mul(by)?)?.checked_add(1)
}

/// Asserts that a kernel stays within its buffers.
fn check<T>(Dims { m, k, n }: Dims, a: Left<'_, T>, b: Right<'_, T>, out: &[T], step: usize) {
    let within = |end: Option<usize>, data: &[T]| end.is_some_and(|end| end <= data.len());
    assert!(
        within(end(m, a.rows, k, a.columns), a.data)
            && within(end(k, b.step, n.next_multiple_of(ROUND), 1), b.data)
            && within(end(m, step, n, 1), out)
            && n <= step,
        "a product of tiles lies within its buffers"
    );
}

/// `M` rows and `N` vectors of the result stay in registers.
///
/// # Safety
/// The machine has the vectors; `a[i * ar + l * ac]` can be read for i < M, l < k, N vectors from `b + l * bs` on, and N vectors can be
/// read and written from `out + i * step` on.
// Positions are told by number: that all are known when it is compiled keeps the sums in registers.
#[inline(always)]
#[allow(unsafe_code, clippy::needless_range_loop, clippy::too_many_arguments)]
unsafe fn tile<V: Vector, const M: usize, const N: usize>(
    k: usize,
    a: *const V::T,
    (ar, ac): (usize, usize),
    b: *const V::T,
    bs: usize,
    out: *mut V::T,
    step: usize,
    add: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[V::splat(V::T::default()); N]; M];
        if add {
            for i in 0..M {
                for j in 0..N {
                    sums[i][j] = V::load(out.add(i * step + j * V::LANES));
                }
            }
        }
        for l in 0..k {
            let (a, b) = (a.add(l * ac), b.add(l * bs));
            let mut right = [V::splat(V::T::default()); N];
            for j in 0..N {
                right[j] = V::load(b.add(j * V::LANES));
            }
            for i in 0..M {
                let left = V::splat(*a.add(i * ar));
                for j in 0..N {
                    sums[i][j] = sums[i][j].plus_product(left, right[j]);
                }
            }
        }
        for i in 0..M {
            for j in 0..N {
                sums[i][j].store(out.add(i * step + j * V::LANES));
            }
        }
    }
}

/// All rows of `N` vectors.
///
/// # Safety
/// As of [`tile`], for i < m.
#[inline(always)]
#[allow(unsafe_code, clippy::too_many_arguments)]
unsafe fn band<V: Vector, const M: usize, const N: usize>(
    m: usize,
    k: usize,
    a: *const V::T,
    (ar, ac): (usize, usize),
    b: *const V::T,
    bs: usize,
    out: *mut V::T,
    step: usize,
    add: bool,
) {
    let mut i = 0;
    // SAFETY: the caller's, as the rows from i on are there.
    unsafe {
        while i + M <= m {
            tile::<V, M, N>(k, a.add(i * ar), (ar, ac), b, bs, out.add(i * step), step, add);
            i += M;
        }
        while i + 2 <= m {
            tile::<V, 2, N>(k, a.add(i * ar), (ar, ac), b, bs, out.add(i * step), step, add);
            i += 2;
        }
        if i < m {
            tile::<V, 1, N>(k, a.add(i * ar), (ar, ac), b, bs, out.add(i * step), step, add);
        }
    }
}

/// # Safety
/// The machine has the vectors, and [`check`] has been passed.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn product<V: Vector, const M: usize>(
    Dims { m, k, n }: Dims,
    a: Left<'_, V::T>,
    b: Right<'_, V::T>,
    out: &mut [V::T],
    step: usize,
    add: bool,
) {
    let (at, bt, to) = (a.data.as_ptr(), b.data.as_ptr(), out.as_mut_ptr());
    let (steps, bs) = ((a.rows, a.columns), b.step);
    let (mut j, mut left) = (0, n / V::LANES);
    // SAFETY: all positions are below those that have been checked; the vector behind the last whole one is read of `b` alone, where
    // there are numbers up to a multiple of it, and goes through a place of its own.
    unsafe {
        while left > 0 {
            let (b, to) = (bt.add(j), to.add(j));
            // Bands of nearly one width.
            let width = match left {
                1 => 1,
                2 | 4 => 2,
                _ => 3,
            };
            match width {
                1 => band::<V, M, 1>(m, k, at, steps, b, bs, to, step, add),
                2 => band::<V, M, 2>(m, k, at, steps, b, bs, to, step, add),
                _ => band::<V, M, 3>(m, k, at, steps, b, bs, to, step, add),
            }
            j += width * V::LANES;
            left -= width;
        }
        if j < n {
            let mut rows = [[V::T::default(); ROUND]; 4];
            for i in (0..m).step_by(4) {
                let height = (m - i).min(4);
                band::<V, 4, 1>(
                    height,
                    k,
                    at.add(i * a.rows),
                    steps,
                    bt.add(j),
                    bs,
                    rows.as_mut_ptr().cast(),
                    ROUND,
                    false,
                );
                for (r, row) in rows.iter().enumerate().take(height) {
                    for (c, &x) in row.iter().enumerate().take(n - j) {
                        let place = to.add((i + r) * step + j + c);
                        *place = if add { *place + x } else { x };
                    }
                }
            }
        }
    }
}

/// The kernels for a type and the vectors of a machine.
macro_rules! kernel {
    ($name:ident, $vector:ty, $type:ty, $features:literal, $rows:literal) => {
        #[target_feature(enable = $features)]
        #[allow(unsafe_code)]
        pub(super) unsafe fn $name(
            dims: Dims,
            a: Left<'_, $type>,
            b: Right<'_, $type>,
            out: &mut [$type],
            step: usize,
            add: bool,
        ) {
            // SAFETY: the caller's.
            unsafe { product::<$vector, $rows>(dims, a, b, out, step, add) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod of_machine {
    use super::*;
    use crate::tensor::simd::{Width, width};
    use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    kernel!(avx512_f32, __m512, f32, "avx512f,avx512dq,avx512bw,avx512vl,fma", 8);
    kernel!(avx512_f64, __m512d, f64, "avx512f,avx512dq,avx512bw,avx512vl,fma", 8);
    kernel!(avx2_f32, __m256, f32, "avx2,fma", 4);
    kernel!(avx2_f64, __m256d, f64, "avx2,fma", 4);

    macro_rules! tiled {
        ($type:ty, $wide:ident, $narrow:ident) => {
            impl Tiled for $type {
                fn multiply(
                    dims: Dims,
                    a: Left<'_, $type>,
                    b: Right<'_, $type>,
                    out: &mut [$type],
                    step: usize,
                    add: bool,
                ) -> bool {
                    check(dims, a, b, out, step);
                    match width() {
                        // SAFETY: the machine has been found to have these instructions, and the buffers are large enough.
                        Width::Avx512 => unsafe { $wide(dims, a, b, out, step, add) },
                        // SAFETY: as above; a machine is only said to have these vectors if it has fused products.
                        Width::Avx2 => unsafe { $narrow(dims, a, b, out, step, add) },
                        Width::Portable => return false,
                    }
                    true
                }
            }
        };
    }
    tiled!(f32, avx512_f32, avx2_f32);
    tiled!(f64, avx512_f64, avx2_f64);
}

#[cfg(target_arch = "aarch64")]
mod of_machine {
    use super::*;
    use std::arch::aarch64::{float32x4_t, float64x2_t};

    kernel!(neon_f32, float32x4_t, f32, "neon", 8);
    kernel!(neon_f64, float64x2_t, f64, "neon", 8);

    macro_rules! tiled {
        ($type:ty, $kernel:ident) => {
            impl Tiled for $type {
                fn multiply(
                    dims: Dims,
                    a: Left<'_, $type>,
                    b: Right<'_, $type>,
                    out: &mut [$type],
                    step: usize,
                    add: bool,
                ) -> bool {
                    check(dims, a, b, out, step);
                    // SAFETY: all of these machines have these instructions, and the buffers are large enough.
                    unsafe { $kernel(dims, a, b, out, step, add) };
                    true
                }
            }
        };
    }
    tiled!(f32, neon_f32);
    tiled!(f64, neon_f64);
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod of_machine {
    use super::*;

    macro_rules! tiled {
        ($type:ty) => {
            impl Tiled for $type {
                fn multiply(
                    dims: Dims,
                    a: Left<'_, $type>,
                    b: Right<'_, $type>,
                    out: &mut [$type],
                    step: usize,
                    _: bool,
                ) -> bool {
                    check(dims, a, b, out, step);
                    false
                }
            }
        };
    }
    tiled!(f32);
    tiled!(f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((((i + seed) * 7919) % 1013) as f64 / 97.0).round() - 5.0).collect()
    }

    type Kernel = unsafe fn(Dims, Left<'_, f64>, Right<'_, f64>, &mut [f64], usize, bool);

    /// Products of whole numbers, which are exact, by their definition; nothing else is written.
    fn agrees(kernel: Kernel, m: usize, k: usize, n: usize) {
        for (turned, add) in [(false, false), (true, false), (false, true), (true, true)] {
            let (bs, step) = (n.next_multiple_of(ROUND) + 3, n + 5);
            let (rows, columns) = if turned { (1, m + 2) } else { (k + 1, 1) };
            let a = numbers((m + 2) * (k + 2), 3);
            let b = numbers(bs * k, 8);
            let start = numbers(m * step, 1);
            let mut out = start.clone();
            let (left, right) = (Left { data: &a, rows, columns }, Right { data: &b, step: bs });
            check(Dims { m, k, n }, left, right, &out, step);
            // SAFETY: the machine has the vectors, by the caller; the buffers have been checked.
            unsafe { kernel(Dims { m, k, n }, left, right, &mut out, step, add) };
            for i in 0..m {
                for j in 0..step {
                    let sum: f64 = (0..k).filter(|_| j < n).map(|l| a[i * rows + l * columns] * b[l * bs + j]).sum();
                    let before = if add || j >= n { start[i * step + j] } else { 0.0 };
                    assert_eq!(out[i * step + j], before + sum, "{m} {k} {n} at {i} {j}, {turned} {add}");
                }
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn products_of_all_sizes() {
        use crate::tensor::simd::{Width, width};
        let mut kernels: Vec<Kernel> = vec![];
        match width() {
            Width::Avx512 => kernels.extend([of_machine::avx512_f64 as Kernel, of_machine::avx2_f64]),
            Width::Avx2 => kernels.push(of_machine::avx2_f64),
            Width::Portable => {}
        }
        for kernel in kernels {
            for m in [1, 2, 3, 4, 7, 8, 9, 16, 21] {
                for k in [0, 1, 2, 17] {
                    for n in [1, 3, 4, 7, 8, 12, 15, 16, 17, 24, 31, 32, 40, 48, 65] {
                        agrees(kernel, m, k, n);
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "lies within its buffers")]
    fn rows_without_whole_vectors_are_refused() {
        let (a, b) = (numbers(4, 1), numbers(6, 1));
        let (left, right) = (Left { data: &a, rows: 2, columns: 1 }, Right { data: &b, step: 3 });
        f64::multiply(Dims { m: 2, k: 2, n: 3 }, left, right, &mut [0.0; 6], 3, false);
    }
}
