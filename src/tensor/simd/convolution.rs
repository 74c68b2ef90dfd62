//! Kernels of convolutions whose windows are one step apart, see [`direct`](crate::tensor::convolve): sums of products of a number
//! with a stretch of a line, and of two stretches, for blocks of results that stay in registers.

use super::vector::Vector;

/// Distances on a line, and the largest of them.
#[derive(Clone, Debug)]
pub struct Offsets {
    at: Vec<usize>,
    largest: usize,
}

impl Offsets {
    pub fn new(at: Vec<usize>) -> Offsets {
        let largest = at.iter().copied().max().unwrap_or(0);
        Offsets { at, largest }
    }

    pub fn len(&self) -> usize {
        self.at.len()
    }

    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    pub fn largest(&self) -> usize {
        self.largest
    }
}

/// Several images one behind the other: where the first begins in a buffer is the caller's, the others follow `step` apart.
#[derive(Clone, Copy)]
pub struct Images<'a, T> {
    pub data: &'a [T],
    pub step: usize,
}

/// Outputs that one call of `dots` sums for, at most.
pub const ROWS: usize = 4;
/// Offsets that one call of `dots` sums for, at most.
pub const SHIFTS: usize = 6;

type RowsOf<T> = unsafe fn(*const T, &[usize], *const T, *mut T, usize);
type DotsOf<T> = unsafe fn([*const T; ROWS], usize, [*const T; SHIFTS], usize, usize, usize) -> [[T; SHIFTS]; ROWS];

/// The kernels of a machine for one type of numbers.
pub struct Kernels<T> {
    /// Numbers of a vector.
    pub lanes: usize,
    /// Places on the line that a call of `rows` computes.
    pub wide: usize,
    /// Outputs of the larger and the smaller kernel for rows.
    pub outputs: [usize; 2],
    /// Outputs and offsets of a call of `dots`.
    pub block: (usize, usize),
    rows: [RowsOf<T>; 2],
    dots: DotsOf<T>,
}

impl<T: Copy> Kernels<T> {
    /// `out[m * step + j]` becomes the sum over k of `w[k * M + m] * x[at[k] + j]`, for j below [`wide`](Kernels::wide) and all m below
    /// M, the number of `outputs`, which the kernel of this `size` (0 or 1) has.
    #[allow(unsafe_code)]
    pub fn rows(&self, size: usize, x: &[T], at: &Offsets, w: &[T], out: &mut [T], step: usize) {
        let (Some(&m), Some(rows)) = (self.outputs.get(size), self.rows.get(size)) else { return };
        assert!(
            at.largest + self.wide <= x.len()
                && at.len() * m <= w.len()
                && (m - 1).checked_mul(step).is_some_and(|last| last + self.wide <= out.len()),
            "a block of a convolution lies within its buffers"
        );
        // SAFETY: the machine has the vectors, as the kernels are only handed out then. It reads `wide` numbers of `x` from each
        // offset on, M of `w` for each offset, and writes `wide` numbers at each of M steps: bounded above.
        unsafe { rows(x.as_ptr(), &at.at, w.as_ptr(), out.as_mut_ptr(), step) }
    }

    /// For a [`block`](Kernels::block) of rows of `y` from `row` on (of `len` numbers each, a multiple of [`lanes`](Kernels::lanes)) and of
    /// offsets from `shift` on: the sums of row times the stretch of `x` that begins at the offset, over `images`. What is
    /// behind the last row or offset is the last again.
    #[allow(unsafe_code)]
    #[allow(clippy::too_many_arguments)]
    pub fn dots(
        &self,
        y: Images<'_, T>,
        (row, rows): (usize, usize),
        x: Images<'_, T>,
        (shift, at): (usize, &Offsets),
        len: usize,
        images: usize,
    ) -> [[T; SHIFTS]; ROWS] {
        let before = images.saturating_sub(1);
        let end =
            |step: usize, last: usize| step.checked_mul(before).and_then(|b| b.checked_add(last)?.checked_add(len));
        assert!(
            row < rows
                && shift < at.len()
                && len.is_multiple_of(self.lanes)
                && end(y.step, (rows - 1) * len).is_some_and(|end| end <= y.data.len())
                && end(x.step, at.largest).is_some_and(|end| end <= x.data.len()),
            "the sums of a convolution lie within its buffers"
        );
        // SAFETY: all rows and offsets end within the first image, and so within all, as bounded above.
        let ys = std::array::from_fn(|m| unsafe { y.data.as_ptr().add((row + m).min(rows - 1) * len) });
        // SAFETY: as above; the position exists.
        let xs = std::array::from_fn(|k| unsafe { x.data.as_ptr().add(at.at[(shift + k).min(at.len() - 1)]) });
        // SAFETY: the machine has the vectors, as the kernels are only handed out then; the rest is bounded above.
        unsafe { (self.dots)(ys, y.step, xs, x.step, len, images) }
    }
}

// Positions are told by number: that all are known when it is compiled keeps the sums in registers.
/// # Safety
/// As [`Kernels::rows`] says, for `M` outputs and `N` vectors.
#[inline(always)]
#[allow(unsafe_code, clippy::needless_range_loop)]
unsafe fn rows<V: Vector, const M: usize, const N: usize>(
    x: *const V::T,
    at: &[usize],
    w: *const V::T,
    out: *mut V::T,
    step: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[V::splat(V::T::default()); N]; M];
        for (k, &at) in at.iter().enumerate() {
            let (x, w) = (x.add(at), w.add(k * M));
            let mut xs = [V::splat(V::T::default()); N];
            for n in 0..N {
                xs[n] = V::load(x.add(n * V::LANES));
            }
            for m in 0..M {
                let w = V::splat(*w.add(m));
                for n in 0..N {
                    sums[m][n] = sums[m][n].plus_product(w, xs[n]);
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            for (n, sum) in sums.iter().enumerate() {
                sum.store(out.add(m * step + n * V::LANES));
            }
        }
    }
}

/// # Safety
/// As [`Kernels::dots`] says.
#[inline(always)]
#[allow(unsafe_code, clippy::needless_range_loop)]
unsafe fn dots<V: Vector, const R: usize, const S: usize>(
    y: [*const V::T; ROWS],
    y_step: usize,
    x: [*const V::T; SHIFTS],
    x_step: usize,
    len: usize,
    images: usize,
) -> [[V::T; SHIFTS]; ROWS] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[V::splat(V::T::default()); S]; R];
        for image in 0..images {
            let (y_at, x_at) = (image * y_step, image * x_step);
            for i in (0..len).step_by(V::LANES) {
                let mut ys = [V::splat(V::T::default()); R];
                for m in 0..R {
                    ys[m] = V::load(y[m].add(y_at + i));
                }
                for k in 0..S {
                    let x = V::load(x[k].add(x_at + i));
                    for m in 0..R {
                        sums[m][k] = sums[m][k].plus_product(ys[m], x);
                    }
                }
            }
        }
        let mut out = [[V::T::default(); SHIFTS]; ROWS];
        for (out, sums) in out.iter_mut().zip(&sums) {
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum.sum();
            }
        }
        out
    }
}

/// Numbers for which machines have kernels.
pub trait Convolved: Sized + 'static {
    /// The kernels of this machine, if it has some.
    fn kernels() -> Option<&'static Kernels<Self>>;
}

/// The kernels for a type and the vectors of a machine: rows of `m` and of `s` outputs by `n` vectors, sums for `r` outputs by `k` offsets.
macro_rules! kernels {
    ($name:ident, $vector:ty, $type:ty, $features:literal, [$m:literal, $s:literal] by $n:literal, $r:literal by $k:literal) => {
        pub static $name: Kernels<$type> = {
            #[target_feature(enable = $features)]
            unsafe fn large(x: *const $type, at: &[usize], w: *const $type, out: *mut $type, step: usize) {
                // SAFETY: the caller's.
                unsafe { rows::<$vector, $m, $n>(x, at, w, out, step) }
            }
            #[target_feature(enable = $features)]
            unsafe fn small(x: *const $type, at: &[usize], w: *const $type, out: *mut $type, step: usize) {
                // SAFETY: the caller's.
                unsafe { rows::<$vector, $s, $n>(x, at, w, out, step) }
            }
            #[target_feature(enable = $features)]
            unsafe fn all(
                y: [*const $type; ROWS],
                y_step: usize,
                x: [*const $type; SHIFTS],
                x_step: usize,
                len: usize,
                images: usize,
            ) -> [[$type; SHIFTS]; ROWS] {
                // SAFETY: the caller's.
                unsafe { dots::<$vector, $r, $k>(y, y_step, x, x_step, len, images) }
            }
            let lanes = <$vector as Vector>::LANES;
            Kernels { lanes, wide: $n * lanes, outputs: [$m, $s], block: ($r, $k), rows: [large, small], dots: all }
        };
    };
}

#[cfg(target_arch = "x86_64")]
mod of_machine {
    use super::*;
    use crate::tensor::simd::{Width, width};
    use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    kernels!(AVX512_F32, __m512, f32, "avx512f,avx512dq,avx512bw,avx512vl,fma", [8, 4] by 2, 4 by 6);
    kernels!(AVX512_F64, __m512d, f64, "avx512f,avx512dq,avx512bw,avx512vl,fma", [8, 4] by 2, 4 by 6);
    kernels!(AVX2_F32, __m256, f32, "avx2,fma", [4, 2] by 3, 3 by 4);
    kernels!(AVX2_F64, __m256d, f64, "avx2,fma", [4, 2] by 3, 3 by 4);

    /// Those for the widest vectors of this machine; none without fused products.
    pub fn pick<T>(wide: &'static Kernels<T>, narrow: &'static Kernels<T>) -> Option<&'static Kernels<T>> {
        match width() {
            _ if !std::is_x86_feature_detected!("fma") => None,
            Width::Avx512 => Some(wide),
            Width::Avx2 => Some(narrow),
            Width::Portable => None,
        }
    }

    impl Convolved for f32 {
        fn kernels() -> Option<&'static Kernels<f32>> {
            pick(&AVX512_F32, &AVX2_F32)
        }
    }

    impl Convolved for f64 {
        fn kernels() -> Option<&'static Kernels<f64>> {
            pick(&AVX512_F64, &AVX2_F64)
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod of_machine {
    use super::*;
    use std::arch::aarch64::{float32x4_t, float64x2_t};

    kernels!(NEON_F32, float32x4_t, f32, "neon", [8, 4] by 2, 4 by 6);
    kernels!(NEON_F64, float64x2_t, f64, "neon", [8, 4] by 2, 4 by 6);

    impl Convolved for f32 {
        fn kernels() -> Option<&'static Kernels<f32>> {
            Some(&NEON_F32)
        }
    }

    impl Convolved for f64 {
        fn kernels() -> Option<&'static Kernels<f64>> {
            Some(&NEON_F64)
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod of_machine {
    use super::*;

    impl Convolved for f32 {
        fn kernels() -> Option<&'static Kernels<f32>> {
            None
        }
    }

    impl Convolved for f64 {
        fn kernels() -> Option<&'static Kernels<f64>> {
            None
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i + seed) * 7919) % 1013) as f64 / 97.0 - 5.0).collect()
    }

    /// Both kinds of sums by their definitions; in small whole parts, so that no rounding hides a wrong term.
    fn check(kernels: &Kernels<f64>) {
        let at = Offsets::new(vec![0, 3, 1, 40, 41, 43, 17, 90, 5]);
        let x = numbers(400, 1);
        for (size, m) in kernels.outputs.into_iter().enumerate() {
            let (w, step) = (numbers(m * at.len(), 9), kernels.wide + 3);
            let mut out = vec![0.5; m * step];
            kernels.rows(size, &x, &at, &w, &mut out, step);
            for (i, &got) in out.iter().enumerate() {
                let (row, j) = (i / step, i % step);
                let want: f64 = at.at.iter().enumerate().map(|(k, at)| w[k * m + row] * x[at + j]).sum();
                let want = if j < kernels.wide { want } else { 0.5 };
                assert!((got - want).abs() < 1e-10, "{m} outputs, row {row}, place {j}: {got}, not {want}");
            }
        }
        let (len, rows, images) = (3 * kernels.lanes, 5, 3);
        let y = numbers(images * (rows * len + 7), 4);
        let (ys, xs) = (Images { data: &y, step: rows * len + 7 }, Images { data: &x, step: 120 });
        for (row, shift) in [(0, 0), (3, 4), (4, 8)] {
            let sums = kernels.dots(ys, (row, rows), xs, (shift, &at), len, images);
            for (m, k) in (0..kernels.block.0).flat_map(|m| (0..kernels.block.1).map(move |k| (m, k))) {
                let (line, from) = ((row + m).min(rows - 1) * len, at.at[(shift + k).min(at.len() - 1)]);
                let places = (0..images).flat_map(|i| (0..len).map(move |j| (i, j)));
                let want: f64 = places.map(|(i, j)| y[i * ys.step + line + j] * x[i * 120 + from + j]).sum();
                assert!(
                    (sums[m][k] - want).abs() < 1e-9,
                    "row {row} + {m}, offset {shift} + {k}: {}, not {want}",
                    sums[m][k]
                );
            }
        }
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        use crate::tensor::simd::{Width, width};
        if let Some(kernels) = f64::kernels() {
            check(kernels);
        }
        if width() != Width::Portable && std::is_x86_feature_detected!("fma") {
            check(&of_machine::AVX2_F64);
        }
    }
}
