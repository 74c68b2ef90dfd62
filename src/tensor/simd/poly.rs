//! Polynomials by Horner's rule, coefficients from the highest.
//!
//! Products and sums are rounded one by one on every machine (no fused multiply-add), so that a number does not depend on
//! where or how wide it is computed.

/// `yes` or `no`, without a branch: a branch would keep the loop around it from becoming vector instructions, or double it.
#[inline(always)]
pub fn pick<T>(condition: bool, yes: T, no: T) -> T {
    std::hint::select_unpredictable(condition, yes, no)
}

/// A polynomial of `f32`.
#[inline(always)]
pub fn poly32<const N: usize>(c: &[f32; N], x: f32) -> f32 {
    let mut sum = c[0];
    let mut i = 1;
    while i < N {
        sum = sum * x + c[i];
        i += 1;
    }
    sum
}

/// A polynomial of `f64`.
#[inline(always)]
pub fn poly<const N: usize>(c: &[f64; N], x: f64) -> f64 {
    let mut sum = c[0];
    let mut i = 1;
    while i < N {
        sum = sum * x + c[i];
        i += 1;
    }
    sum
}
