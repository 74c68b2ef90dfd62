//! Vector registers, for the few kernels that have to say which numbers stay in them.
//!
//! The other loops are left to the compiler, see [`wide!`](crate::wide). Where a kernel holds a block of sums in registers the compiler
//! does not find them again. Products are added without rounding in between (fused), as matrix products do it.

/// A vector of [`LANES`](Vector::LANES) numbers of type `T`.
pub trait Vector: Copy {
    type T: Copy + Default + std::ops::Add<Output = Self::T> + 'static;
    const LANES: usize;

    /// # Safety
    /// The machine has these vectors.
    unsafe fn splat(x: Self::T) -> Self;

    /// # Safety
    /// The machine has these vectors, and that many numbers can be read from `from` on.
    unsafe fn load(from: *const Self::T) -> Self;

    /// # Safety
    /// The machine has these vectors, and that many numbers can be written from `to` on.
    unsafe fn store(self, to: *mut Self::T);

    /// `self + a * b`, rounded once.
    ///
    /// # Safety
    /// The machine has these vectors and fused products for them.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;

    /// # Safety
    /// The machine has these vectors.
    unsafe fn plus(self, other: Self) -> Self;

    /// # Safety
    /// The machine has these vectors.
    unsafe fn minus(self, other: Self) -> Self;

    /// # Safety
    /// The machine has these vectors.
    unsafe fn times(self, other: Self) -> Self;

    /// The sum of the lanes: of its halves, of the halves of that, and so on.
    ///
    /// # Safety
    /// The machine has these vectors.
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn sum(self) -> Self::T {
        let mut lanes = [Self::T::default(); 16];
        debug_assert!(Self::LANES <= lanes.len());
        // SAFETY: no vector has more lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut half = Self::LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = lanes[i] + lanes[i + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// Says which instructions are those of a vector.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! vector {
    ($vector:ident, $type:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $plus:ident, $minus:ident, $times:ident,
     |$sum:ident, $a:ident, $b:ident| $fused:expr) => {
        // SAFETY (all of them): the caller's.
        #[allow(unsafe_code)]
        impl Vector for $vector {
            type T = $type;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(x: $type) -> Self {
                unsafe { $splat(x) }
            }

            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn plus_product(self, $a: Self, $b: Self) -> Self {
                let $sum = self;
                unsafe { $fused }
            }

            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                unsafe { $plus(self, other) }
            }

            #[inline(always)]
            unsafe fn minus(self, other: Self) -> Self {
                unsafe { $minus(self, other) }
            }

            #[inline(always)]
            unsafe fn times(self, other: Self) -> Self {
                unsafe { $times(self, other) }
            }
        }
    };
}

/// A number is a vector that every machine has.
macro_rules! number {
    ($type:ident) => {
        // SAFETY (all of them): the caller's.
        #[allow(unsafe_code)]
        impl Vector for $type {
            type T = $type;
            const LANES: usize = 1;

            #[inline(always)]
            unsafe fn splat(x: $type) -> $type {
                x
            }

            #[inline(always)]
            unsafe fn load(from: *const $type) -> $type {
                unsafe { *from }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                unsafe { *to = self }
            }

            #[inline(always)]
            unsafe fn plus_product(self, a: $type, b: $type) -> $type {
                a.mul_add(b, self)
            }

            #[inline(always)]
            unsafe fn plus(self, other: $type) -> $type {
                self + other
            }

            #[inline(always)]
            unsafe fn minus(self, other: $type) -> $type {
                self - other
            }

            #[inline(always)]
            unsafe fn times(self, other: $type) -> $type {
                self * other
            }
        }
    };
}

number!(f32);
number!(f64);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    vector!(
        __m512,
        f32,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        |s, a, b| _mm512_fmadd_ps(a, b, s)
    );
    vector!(
        __m512d,
        f64,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd,
        |s, a, b| _mm512_fmadd_pd(a, b, s)
    );
    vector!(
        __m256,
        f32,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        |s, a, b| _mm256_fmadd_ps(a, b, s)
    );
    vector!(
        __m256d,
        f64,
        4,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd,
        |s, a, b| _mm256_fmadd_pd(a, b, s)
    );
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Vector;
    use std::arch::aarch64::*;

    vector!(float32x4_t, f32, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, vaddq_f32, vsubq_f32, vmulq_f32, |s, a, b| {
        vfmaq_f32(s, a, b)
    });
    vector!(float64x2_t, f64, 2, vdupq_n_f64, vld1q_f64, vst1q_f64, vaddq_f64, vsubq_f64, vmulq_f64, |s, a, b| {
        vfmaq_f64(s, a, b)
    });
}
