//! The functions of elementwise primitives on single numbers: rules compiled for `f64`, with the instructions of this machine where it has them,
//! as loops over lanes are.

use super::lanes::{BinaryRule, TernaryRule, UnaryRule};
use crate::tensor::simd::{Width, width};

/// Compiled for each [`Width`], of which the wide ones are one here.
macro_rules! scalars {
    ($(pub fn $name:ident<$rule:ident: $bound:path>($($arg:ident: f64),*) -> f64 $body:block)*) => {$(
        pub fn $name<$rule: $bound>($($arg: f64),*) -> f64 {
            #[inline(always)]
            fn body<$rule: $bound>($($arg: f64),*) -> f64 $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn wide<$rule: $bound>($($arg: f64),*) -> f64 {
                body::<$rule>($($arg),*)
            }
            match width() {
                Width::Portable => body::<$rule>($($arg),*),
                // SAFETY: the machine has been found to have these instructions.
                #[cfg(target_arch = "x86_64")]
                Width::Avx2 | Width::Avx512 => unsafe { wide::<$rule>($($arg),*) },
                #[cfg(not(target_arch = "x86_64"))]
                Width::Avx2 | Width::Avx512 => body::<$rule>($($arg),*),
            }
        }
    )*};
}

scalars! {
    pub fn f1<R: UnaryRule>(x: f64) -> f64 {
        R::f(x)
    }
    pub fn d1<R: UnaryRule>(x: f64, y: f64) -> f64 {
        R::d(x, y)
    }
    pub fn f2<R: BinaryRule>(a: f64, b: f64) -> f64 {
        R::f(a, b)
    }
    pub fn d2_0<R: BinaryRule>(a: f64, b: f64, y: f64) -> f64 {
        R::d0(a, b, y)
    }
    pub fn d2_1<R: BinaryRule>(a: f64, b: f64, y: f64) -> f64 {
        R::d1(a, b, y)
    }
    pub fn f3<R: TernaryRule>(a: f64, b: f64, c: f64) -> f64 {
        R::f(a, b, c)
    }
    pub fn d3_0<R: TernaryRule>(a: f64, b: f64, c: f64, y: f64) -> f64 {
        R::d0(a, b, c, y)
    }
    pub fn d3_1<R: TernaryRule>(a: f64, b: f64, c: f64, y: f64) -> f64 {
        R::d1(a, b, c, y)
    }
    pub fn d3_2<R: TernaryRule>(a: f64, b: f64, c: f64, y: f64) -> f64 {
        R::d2(a, b, c, y)
    }
}
