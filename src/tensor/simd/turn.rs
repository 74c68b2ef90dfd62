//! Matrices turned, in squares that fit into vector registers.
//!
//! Short rows are turned to stand side by side: element `j` of each of `side` rows is in a row of its own then, so that what is done
//! along a row is done for all of them at once, without sums across a vector and without rests. Where rows lack, there are zeros.

use std::mem::MaybeUninit;

use super::{Width, width};

/// Rows are turned in groups of so many.
pub const GROUP: usize = 16;

/// A matrix to be turned: `rows` rows of `columns` elements, `step` apart; and how far apart the rows of the turned one are,
/// of which each gets `room` elements: behind those of the matrix zeros.
#[derive(Clone, Copy)]
pub struct Turn {
    pub rows: usize,
    pub columns: usize,
    pub step: usize,
    pub room: usize,
    pub to_step: usize,
}

/// Turns a matrix of elements of four or eight bytes, whatever they mean, where the machine has instructions for that; else false, and
/// nothing is done.
///
/// # Safety
/// The rows of the matrix can be read from `from` on, and those of the turned one written from `to` on, apart from the former.
#[inline]
pub unsafe fn by_squares<T: Copy>(from: *const T, to: *mut T, turn: Turn) -> bool {
    // SAFETY: the caller's; the machine has been found to have the instructions.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        match (width(), size_of::<T>()) {
            (Width::Avx512, 4) => wide32::squares(from.cast(), to.cast(), turn),
            (Width::Avx512, 8) => wide64::squares(from.cast(), to.cast(), turn),
            (Width::Avx2, 4) => half32::squares(from.cast(), to.cast(), turn),
            (Width::Avx2, 8) => half64::squares(from.cast(), to.cast(), turn),
            _ => return false,
        }
        true
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// How many rows there are, if lengths are what they must be.
fn rows_of(len: usize, n: usize, side: usize, turned: usize) -> usize {
    let rows = len / n.max(1);
    assert!(n > 0 && turned == n * side, "turned rows have their room");
    assert!(rows <= side && rows * n == len, "whole rows are turned, and no more than stand side by side");
    rows
}

/// `turned[j * side + r] = x[r * n + j]`
pub fn turn<T: Copy + Default>(x: &[T], n: usize, side: usize, turned: &mut [T]) {
    let rows = rows_of(x.len(), n, side, turned.len());
    let turn = Turn { rows, columns: n, step: n, room: side, to_step: side };
    // SAFETY: `x` has `rows` rows of `n`, and `turned` `n` of `side`.
    if unsafe { by_squares(x.as_ptr(), turned.as_mut_ptr(), turn) } {
        return;
    }
    if rows < side {
        turned.fill(T::default());
    }
    for (r, row) in x.chunks_exact(n).enumerate() {
        for (x, column) in row.iter().zip(turned.chunks_exact_mut(side)) {
            column[r] = *x;
        }
    }
}

/// `x[r * n + j] = turned[j * side + r]` for as many rows as `x` has; all of `x` is written.
pub fn turn_back<T: Copy>(turned: &[T], n: usize, side: usize, x: &mut [MaybeUninit<T>]) {
    let rows = rows_of(x.len(), n, side, turned.len());
    let turn = Turn { rows: n, columns: rows, step: side, room: n, to_step: n };
    // SAFETY: `turned` has `n` rows of `side`, `x` has `rows` rows of `n`.
    if unsafe { by_squares(turned.as_ptr(), x.as_mut_ptr().cast(), turn) } {
        return;
    }
    for (r, row) in x.chunks_exact_mut(n).enumerate() {
        for (x, column) in row.iter_mut().zip(turned.chunks_exact(side)) {
            x.write(column[r]);
        }
    }
}

/// The loops over squares of `N` rows and columns, for a module that says how one is read, turned and written.
#[cfg(target_arch = "x86_64")]
macro_rules! loops {
    ($type:ty, $features:literal) => {
        /// # Safety
        /// The machine has these vectors; for the rest see [`by_squares`](super::by_squares).
        #[target_feature(enable = $features)]
        pub unsafe fn squares(from: *const $type, to: *mut $type, turn: super::Turn) {
            let super::Turn { rows, columns, step, room, to_step } = turn;
            for row in (0..room).step_by(N) {
                let (height, some) = ((room - row).min(N), rows.saturating_sub(row).min(N));
                for column in (0..columns).step_by(N) {
                    let width = (columns - column).min(N);
                    // SAFETY: the caller's; what is not part of the matrix or of its room is masked.
                    unsafe {
                        let from = from.wrapping_add(row * step + column);
                        let to = to.wrapping_add(column * to_step + row);
                        if some == N && width == N {
                            let mut square = [zero(); N];
                            for i in 0..N {
                                square[i] = load_all(from.add(i * step));
                            }
                            let square = turned_square(square);
                            for i in 0..N {
                                store_all(to.add(i * to_step), square[i]);
                            }
                            continue;
                        }
                        // Of a length that the compiler knows, so that the square stays in registers.
                        let (read, written) = (first(width), first(height));
                        let mut square = [zero(); N];
                        for i in 0..N {
                            if i < some {
                                square[i] = load(read, from.wrapping_add(i * step));
                            }
                        }
                        let square = turned_square(square);
                        for i in 0..N {
                            if i < width {
                                store(written, to.wrapping_add(i * to_step), square[i]);
                            }
                        }
                    }
                }
            }
        }
    };
}

/// What a module says of its vectors: one-liners for its intrinsics.
#[cfg(target_arch = "x86_64")]
macro_rules! vectors {
    ($features:literal, $type:ty, $vector:ty, $mask:ty, $zero:ident, $load_all:ident, $store_all:ident, $store:ident) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn zero() -> $vector {
            $zero()
        }

        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn load_all(from: *const $type) -> $vector {
            // SAFETY: the caller's.
            unsafe { $load_all(from) }
        }

        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn store_all(to: *mut $type, vector: $vector) {
            // SAFETY: the caller's.
            unsafe { $store_all(to, vector) }
        }

        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn store(mask: $mask, to: *mut $type, vector: $vector) {
            // SAFETY: the caller's.
            unsafe { $store(to, mask, vector) }
        }
    };
}

/// Squares of 16 `f32`.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::needless_range_loop)]
mod wide32 {
    use std::arch::x86_64::*;

    const N: usize = 16;

    vectors!(
        "avx512f",
        f32,
        __m512,
        __mmask16,
        _mm512_setzero_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_mask_storeu_ps
    );
    loops!(f32, "avx512f");

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn first(n: usize) -> __mmask16 {
        (0xffff_u32 >> (N - n)) as u16
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load(mask: __mmask16, from: *const f32) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }

    /// Numbers of pairs of rows change places, then pairs of numbers, then quarters of vectors.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn turned_square(a: [__m512; N]) -> [__m512; N] {
        let (mut b, mut c, mut d) = (a, a, a);
        for i in (0..N).step_by(2) {
            b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
            b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
        }
        let two = |x: __m512, y: __m512| (_mm512_castps_pd(x), _mm512_castps_pd(y));
        for i in (0..N).step_by(4) {
            for k in 0..2 {
                let (x, y) = two(b[i + k], b[i + k + 2]);
                c[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
                c[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
            }
        }
        for k in 0..4 {
            let low = _mm512_shuffle_f32x4::<0x44>(c[k], c[k + 4]);
            let high = _mm512_shuffle_f32x4::<0xee>(c[k], c[k + 4]);
            let later_low = _mm512_shuffle_f32x4::<0x44>(c[k + 8], c[k + 12]);
            let later_high = _mm512_shuffle_f32x4::<0xee>(c[k + 8], c[k + 12]);
            d[k] = _mm512_shuffle_f32x4::<0x88>(low, later_low);
            d[k + 4] = _mm512_shuffle_f32x4::<0xdd>(low, later_low);
            d[k + 8] = _mm512_shuffle_f32x4::<0x88>(high, later_high);
            d[k + 12] = _mm512_shuffle_f32x4::<0xdd>(high, later_high);
        }
        d
    }
}

/// Squares of 8 `f64`.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::needless_range_loop)]
mod wide64 {
    use std::arch::x86_64::*;

    const N: usize = 8;

    vectors!(
        "avx512f",
        f64,
        __m512d,
        __mmask8,
        _mm512_setzero_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_mask_storeu_pd
    );
    loops!(f64, "avx512f");

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn first(n: usize) -> __mmask8 {
        (0xff_u32 >> (N - n)) as u8
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load(mask: __mmask8, from: *const f64) -> __m512d {
        // SAFETY: the caller's.
        unsafe { _mm512_maskz_loadu_pd(mask, from) }
    }

    /// Numbers of pairs of rows change places, then quarters of vectors.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn turned_square(a: [__m512d; N]) -> [__m512d; N] {
        let (mut b, mut c) = (a, a);
        for i in (0..N).step_by(2) {
            b[i] = _mm512_unpacklo_pd(a[i], a[i + 1]);
            b[i + 1] = _mm512_unpackhi_pd(a[i], a[i + 1]);
        }
        for k in 0..2 {
            let low = _mm512_shuffle_f64x2::<0x44>(b[k], b[k + 2]);
            let high = _mm512_shuffle_f64x2::<0xee>(b[k], b[k + 2]);
            let later_low = _mm512_shuffle_f64x2::<0x44>(b[k + 4], b[k + 6]);
            let later_high = _mm512_shuffle_f64x2::<0xee>(b[k + 4], b[k + 6]);
            c[k] = _mm512_shuffle_f64x2::<0x88>(low, later_low);
            c[k + 2] = _mm512_shuffle_f64x2::<0xdd>(low, later_low);
            c[k + 4] = _mm512_shuffle_f64x2::<0x88>(high, later_high);
            c[k + 6] = _mm512_shuffle_f64x2::<0xdd>(high, later_high);
        }
        c
    }
}

/// Squares of 8 `f32`.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::needless_range_loop)]
mod half32 {
    use std::arch::x86_64::*;

    const N: usize = 8;

    vectors!("avx2", f32, __m256, __m256i, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_maskstore_ps);
    loops!(f32, "avx2");

    #[inline]
    #[target_feature(enable = "avx2")]
    fn first(n: usize) -> __m256i {
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(mask: __m256i, from: *const f32) -> __m256 {
        // SAFETY: the caller's.
        unsafe { _mm256_maskload_ps(from, mask) }
    }

    /// Numbers of pairs of rows change places, then pairs of numbers, then halves of vectors.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn turned_square(a: [__m256; N]) -> [__m256; N] {
        let (mut b, mut c, mut d) = (a, a, a);
        for i in (0..N).step_by(2) {
            b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
            b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
        }
        for i in (0..N).step_by(4) {
            for k in 0..2 {
                let (x, y) = (_mm256_castps_pd(b[i + k]), _mm256_castps_pd(b[i + k + 2]));
                c[i + 2 * k] = _mm256_castpd_ps(_mm256_unpacklo_pd(x, y));
                c[i + 2 * k + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(x, y));
            }
        }
        for k in 0..4 {
            d[k] = _mm256_permute2f128_ps::<0x20>(c[k], c[k + 4]);
            d[k + 4] = _mm256_permute2f128_ps::<0x31>(c[k], c[k + 4]);
        }
        d
    }
}

/// Squares of 4 `f64`.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::needless_range_loop)]
mod half64 {
    use std::arch::x86_64::*;

    const N: usize = 4;

    vectors!("avx2", f64, __m256d, __m256i, _mm256_setzero_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_maskstore_pd);
    loops!(f64, "avx2");

    #[inline]
    #[target_feature(enable = "avx2")]
    fn first(n: usize) -> __m256i {
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(mask: __m256i, from: *const f64) -> __m256d {
        // SAFETY: the caller's.
        unsafe { _mm256_maskload_pd(from, mask) }
    }

    /// Numbers of pairs of rows change places, then halves of vectors.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn turned_square(a: [__m256d; N]) -> [__m256d; N] {
        let (low, high) = (_mm256_unpacklo_pd(a[0], a[1]), _mm256_unpackhi_pd(a[0], a[1]));
        let (later_low, later_high) = (_mm256_unpacklo_pd(a[2], a[3]), _mm256_unpackhi_pd(a[2], a[3]));
        [
            _mm256_permute2f128_pd::<0x20>(low, later_low),
            _mm256_permute2f128_pd::<0x20>(high, later_high),
            _mm256_permute2f128_pd::<0x31>(low, later_low),
            _mm256_permute2f128_pd::<0x31>(high, later_high),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns<T: Copy + Default + PartialEq + std::fmt::Debug>(number: impl Fn(usize) -> T) {
        for n in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40] {
            for (rows, side) in [(0, 16), (1, 16), (3, 16), (8, 16), (13, 16), (16, 16), (17, 64), (50, 64), (64, 64)] {
                let x: Vec<T> = (0..rows * n).map(&number).collect();
                let mut turned: Vec<T> = (0..side * n).map(|i| number(i + 5)).collect();
                turn(&x, n, side, &mut turned);
                for (i, &found) in turned.iter().enumerate() {
                    let (j, r) = (i / side, i % side);
                    assert_eq!(
                        found,
                        x.get(r * n + j).copied().filter(|_| r < rows).unwrap_or_default(),
                        "{n} {rows} {side} {i}"
                    );
                }
                let mut back: Vec<T> = Vec::with_capacity(x.len());
                turn_back(&turned, n, side, &mut back.spare_capacity_mut()[..x.len()]);
                // SAFETY: as many were written.
                unsafe { back.set_len(x.len()) };
                assert_eq!(back, x, "{n} {rows} {side}");
            }
        }
    }

    /// The narrower vectors are not what a machine with wide ones takes.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn squares_of_narrow_vectors() {
        if width() == Width::Portable {
            return;
        }
        for (rows, columns, step, room, to_step) in
            [(8, 8, 8, 8, 8), (3, 5, 7, 4, 9), (17, 9, 10, 20, 21), (1, 1, 1, 2, 2), (12, 16, 16, 12, 12)]
        {
            let turn = Turn { rows, columns, step, room, to_step };
            let (singles, doubles): (Vec<f32>, Vec<f64>) = (0..rows * step).map(|i| (i as f32, i as f64)).unzip();
            let (mut to32, mut to64) = (vec![-1.0; columns * to_step], vec![-1.0; columns * to_step]);
            // SAFETY: the machine has these vectors, and the buffers have the room.
            unsafe {
                half32::squares(singles.as_ptr(), to32.as_mut_ptr(), turn);
                half64::squares(doubles.as_ptr(), to64.as_mut_ptr(), turn);
            }
            for (at, (&single, &double)) in to32.iter().zip(&to64).enumerate() {
                let (column, row) = (at / to_step, at % to_step);
                let want = match row {
                    _ if row < rows => (row * step + column) as f64,
                    _ if row < room => 0.0,
                    _ => -1.0,
                };
                assert_eq!((f64::from(single), double), (want, want), "{rows} {columns} {at}");
            }
        }
    }

    #[test]
    fn elements_find_their_places_and_back() {
        turns(|i| i as f32 + 1.0);
        turns(|i| i as f64 + 1.0);
        turns(|i| i as u16);
    }
}
