//! The two float types that rules and kernels are compiled for. Functions that matter for speed come from
//! [`crate::tensor::simd`], written so that loops over them become vector instructions; the others go through `std`.

use super::gamma;
use super::num::{Num, call_binary, call_unary};
use crate::ops::prim::Prim;
use crate::tensor::simd::poly::pick;
use crate::tensor::simd::{
    asin, atan, erf, erfinv, exp, gamma as near_gamma, hazard, hyperbolic, hypot, log, normal, pow, ratio, sine, tanh,
};

/// `f32` or `f64`.
pub trait Real: Num + Copy + PartialOrd + Default + 'static {
    const NAN: Self;
    const INFINITY: Self;
    /// The largest finite number.
    const MAX: Self;
    fn to_f64(self) -> f64;
    #[inline(always)]
    fn is_nan(self) -> bool {
        #[allow(clippy::eq_op)]
        {
            self != self
        }
    }
    /// Through a function of `f64`.
    #[inline(always)]
    fn via(self, f: impl Fn(f64) -> f64) -> Self {
        Self::c(f(self.to_f64()))
    }
    /// Through a function of two `f64`.
    #[inline(always)]
    fn via2(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self::c(f(self.to_f64(), other.to_f64()))
    }
    /// `exp` of a number up to 1; results below the smallest normal number may be 0.
    fn exp_below(self) -> Self;
    /// The same of a number that is above 0 by rounding only, as a share in a sum of 1; of more than 1, what belongs to 1.
    #[inline(always)]
    fn exp_share(self) -> Self {
        pick(self > Self::c(1.0), Self::c(1.0), self).exp_below()
    }
    fn cbrt(self) -> Self;
    fn log2(self) -> Self;
    fn log10(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    /// `log(x / (1 - x))`
    fn logit(self) -> Self;
    fn atan2(self, x: Self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn trunc(self) -> Self;
    /// Remainder with the sign of the dividend.
    fn fmod(self, y: Self) -> Self;
    fn erf(self) -> Self;
    fn erfc(self) -> Self;
    fn erfinv(self) -> Self;
    /// Logarithm of the normal distribution function.
    fn log_ndtr(self) -> Self;
    /// The slope of that: density over distribution function.
    fn hazard(self) -> Self;
    /// What the hazard is above `-x`.
    fn hazard_excess(self) -> Self;
    /// Logarithm of the gamma function's size.
    fn lgamma(self) -> Self;
    /// From here on [`Real::lgamma_near`] and [`Real::digamma_near`] are `lgamma` and `digamma`.
    const LEAST_NEAR: Self;
    fn lgamma_near(self) -> Self;
    fn digamma_near(self) -> Self;
    /// Up to here [`Real::sin_near`], [`Real::cos_near`] and [`Real::tan_near`] are sine, cosine and tangent.
    const NEAR_ANGLE: Self;
    fn sin_near(self) -> Self;
    fn cos_near(self) -> Self;
    fn tan_near(self) -> Self;
}

macro_rules! real {
    ($t:ident, { $($special:tt)* }, { $($real:tt)* }) => {
        impl Num for $t {
            #[inline(always)]
            fn c(x: f64) -> $t {
                x as $t
            }
            fn unary(self, prim: &'static Prim) -> $t {
                call_unary(prim, self as f64) as $t
            }
            fn binary(self, prim: &'static Prim, other: $t) -> $t {
                call_binary(prim, self as f64, other as f64) as $t
            }
            #[inline(always)]
            fn if_gt(a: $t, b: $t, yes: $t, no: $t) -> $t {
                pick(a > b, yes, no)
            }
            #[inline(always)]
            fn if_eq(a: $t, b: $t, yes: $t, no: $t) -> $t {
                pick(a == b, yes, no)
            }
            #[inline(always)]
            fn sqrt(self) -> $t {
                $t::sqrt(self) + 0.0 // -0 has the root 0, so that its slope is +inf as at 0
            }
            #[inline(always)]
            fn abs(self) -> $t {
                $t::abs(self)
            }
            #[inline(always)]
            fn sign(self) -> $t {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    self // 0, -0 or NaN
                }
            }
            #[inline(always)]
            fn round(self) -> $t {
                $t::round_ties_even(self)
            }
            #[inline(always)]
            fn digamma(self) -> $t {
                gamma::digamma(self as f64) as $t
            }
            #[inline(always)]
            fn polygamma(self, x: $t) -> $t {
                gamma::polygamma(self as f64, x as f64) as $t
            }
            #[inline(always)]
            fn softplus(self) -> $t {
                let positive = pick(self > 0.0, self, 0.0);
                let value = positive + Num::ln1p(Num::exp(-self.abs()));
                pick(self.is_nan(), self, value)
            }
            #[inline(always)]
            fn zmul(self, other: $t) -> $t {
                pick(self == 0.0, 0.0, self * other)
            }
            #[inline(always)]
            fn strong(self, other: $t) -> $t {
                if self == 0.0 || other == 0.0 { 0.0 } else { self * other }
            }
            #[inline(always)]
            fn div_or_zero(self, other: $t) -> $t {
                if other == 0.0 { 0.0 } else { self / other }
            }
            $($special)*
        }

        impl Real for $t {
            const NAN: $t = $t::NAN;
            const INFINITY: $t = $t::INFINITY;
            const MAX: $t = $t::MAX;
            const LEAST_NEAR: $t = $t::MIN_POSITIVE;
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn cbrt(self) -> $t {
                $t::cbrt(self)
            }
            fn floor(self) -> $t {
                $t::floor(self)
            }
            fn ceil(self) -> $t {
                $t::ceil(self)
            }
            fn trunc(self) -> $t {
                $t::trunc(self)
            }
            #[inline(always)]
            fn fmod(self, y: $t) -> $t {
                self % y
            }
            #[inline(always)]
            fn lgamma(self) -> $t {
                if self >= Self::LEAST_NEAR { self.lgamma_near() } else { gamma::lgamma(self as f64) as $t }
            }
            #[inline(always)]
            fn digamma_near(self) -> $t {
                near_gamma::digamma64(self as f64) as $t
            }
            $($real)*
        }
    };
}

real!(
    f64,
    {
        #[inline(always)]
        fn exp(self) -> f64 {
            exp::exp64(self)
        }
        #[inline(always)]
        fn expm1(self) -> f64 {
            exp::expm1_64(self)
        }
        #[inline(always)]
        fn ln(self) -> f64 {
            log::ln64(self)
        }
        #[inline(always)]
        fn ln1p(self) -> f64 {
            log::ln1p64(self)
        }
        #[inline(always)]
        fn sin(self) -> f64 {
            sine::sin64(self)
        }
        #[inline(always)]
        fn cos(self) -> f64 {
            sine::cos64(self)
        }
        #[inline(always)]
        fn hypot(self, y: f64) -> f64 {
            hypot::hypot64(self, y)
        }
        #[inline(always)]
        fn sinh(self) -> f64 {
            hyperbolic::sinh64(self)
        }
        #[inline(always)]
        fn cosh(self) -> f64 {
            hyperbolic::cosh64(self)
        }
        #[inline(always)]
        fn tanh(self) -> f64 {
            tanh::tanh64(self)
        }
        #[inline(always)]
        fn sigmoid(self) -> f64 {
            tanh::sigmoid64(self)
        }
        #[inline(always)]
        fn pow(self, y: f64) -> f64 {
            if y == 2.0 {
                self * self
            } else if y == 1.0 {
                self
            } else {
                f64::powf(self, y)
            }
        }
        #[inline(always)]
        fn ndtr(self) -> f64 {
            normal::ndtr64(self)
        }
        #[inline(always)]
        fn density(self) -> f64 {
            normal::density64(self)
        }
        #[inline(always)]
        fn mills(self) -> f64 {
            normal::mills64(self)
        }
        #[inline(always)]
        fn density_by_size(self) -> f64 {
            normal::density64(self) * normal::size64(self)
        }
    },
    {
        const NEAR_ANGLE: f64 = sine::NEAR64;
        #[inline(always)]
        fn exp_below(self) -> f64 {
            exp::exp64(self)
        }
        #[inline(always)]
        fn erf(self) -> f64 {
            erf::erf64(self)
        }
        #[inline(always)]
        fn log2(self) -> f64 {
            log::log2_64(self)
        }
        #[inline(always)]
        fn log10(self) -> f64 {
            log::log10_64(self)
        }
        #[inline(always)]
        fn asin(self) -> f64 {
            asin::asin64(self)
        }
        #[inline(always)]
        fn acos(self) -> f64 {
            asin::acos64(self)
        }
        #[inline(always)]
        fn atan(self) -> f64 {
            atan::atan64(self)
        }
        #[inline(always)]
        fn atan2(self, x: f64) -> f64 {
            atan::atan2_64(self, x)
        }
        #[inline(always)]
        fn asinh(self) -> f64 {
            hyperbolic::asinh64(self)
        }
        #[inline(always)]
        fn acosh(self) -> f64 {
            hyperbolic::acosh64(self)
        }
        #[inline(always)]
        fn atanh(self) -> f64 {
            ratio::atanh64(self)
        }
        #[inline(always)]
        fn logit(self) -> f64 {
            ratio::logit64(self)
        }
        #[inline(always)]
        fn log_ndtr(self) -> f64 {
            hazard::log_ndtr64(self)
        }
        #[inline(always)]
        fn hazard(self) -> f64 {
            hazard::hazard64(self)
        }
        #[inline(always)]
        fn hazard_excess(self) -> f64 {
            hazard::hazard_excess64(self)
        }
        #[inline(always)]
        fn erfinv(self) -> f64 {
            erfinv::erfinv64(self)
        }
        #[inline(always)]
        fn lgamma_near(self) -> f64 {
            near_gamma::lgamma64(self)
        }
        #[inline(always)]
        fn erfc(self) -> f64 {
            erf::erfc64(self)
        }
        #[inline(always)]
        fn tan(self) -> f64 {
            sine::tan64(self)
        }
        #[inline(always)]
        fn tan_near(self) -> f64 {
            sine::tan_near64(self)
        }
        #[inline(always)]
        fn sin_near(self) -> f64 {
            sine::sin_near64(self)
        }
        #[inline(always)]
        fn cos_near(self) -> f64 {
            sine::cos_near64(self)
        }
    }
);

real!(
    f32,
    {
        #[inline(always)]
        fn exp(self) -> f32 {
            exp::exp32(self)
        }
        #[inline(always)]
        fn expm1(self) -> f32 {
            exp::expm1_32(self)
        }
        #[inline(always)]
        fn ln(self) -> f32 {
            log::ln32(self)
        }
        #[inline(always)]
        fn ln1p(self) -> f32 {
            log::ln1p32(self)
        }
        #[inline(always)]
        fn sin(self) -> f32 {
            sine::sin32(self)
        }
        #[inline(always)]
        fn cos(self) -> f32 {
            sine::cos32(self)
        }
        #[inline(always)]
        fn hypot(self, y: f32) -> f32 {
            hypot::hypot32(self, y)
        }
        #[inline(always)]
        fn sinh(self) -> f32 {
            hyperbolic::sinh32(self)
        }
        #[inline(always)]
        fn cosh(self) -> f32 {
            hyperbolic::cosh32(self)
        }
        #[inline(always)]
        fn tanh(self) -> f32 {
            tanh::tanh32(self)
        }
        #[inline(always)]
        fn sigmoid(self) -> f32 {
            tanh::sigmoid32(self)
        }
        #[inline(always)]
        fn pow(self, y: f32) -> f32 {
            pow::pow32(self, y)
        }
        #[inline(always)]
        fn ndtr(self) -> f32 {
            normal::ndtr32(self)
        }
        #[inline(always)]
        fn density(self) -> f32 {
            normal::density32(self)
        }
        #[inline(always)]
        fn mills(self) -> f32 {
            normal::mills32(self)
        }
        #[inline(always)]
        fn density_by_size(self) -> f32 {
            normal::density32(self) * normal::size32(self)
        }
    },
    {
        const NEAR_ANGLE: f32 = sine::NEAR32;
        #[inline(always)]
        fn exp_below(self) -> f32 {
            exp::exp_below32(self)
        }
        #[inline(always)]
        fn erf(self) -> f32 {
            erf::erf32(self)
        }
        #[inline(always)]
        fn log2(self) -> f32 {
            pow::log2_32(self)
        }
        #[inline(always)]
        fn log10(self) -> f32 {
            pow::log10_32(self)
        }
        #[inline(always)]
        fn asin(self) -> f32 {
            asin::asin32(self)
        }
        #[inline(always)]
        fn acos(self) -> f32 {
            asin::acos32(self)
        }
        #[inline(always)]
        fn atan(self) -> f32 {
            atan::atan32(self)
        }
        #[inline(always)]
        fn atan2(self, x: f32) -> f32 {
            atan::atan2_32(self, x)
        }
        #[inline(always)]
        fn asinh(self) -> f32 {
            hyperbolic::asinh32(self)
        }
        #[inline(always)]
        fn acosh(self) -> f32 {
            hyperbolic::acosh32(self)
        }
        #[inline(always)]
        fn atanh(self) -> f32 {
            ratio::atanh32(self)
        }
        #[inline(always)]
        fn logit(self) -> f32 {
            ratio::logit32(self)
        }
        #[inline(always)]
        fn log_ndtr(self) -> f32 {
            hazard::log_ndtr32(self)
        }
        #[inline(always)]
        fn hazard(self) -> f32 {
            hazard::hazard32(self)
        }
        #[inline(always)]
        fn hazard_excess(self) -> f32 {
            hazard::hazard_excess32(self)
        }
        #[inline(always)]
        fn erfinv(self) -> f32 {
            erfinv::erfinv32(self)
        }
        #[inline(always)]
        fn lgamma_near(self) -> f32 {
            near_gamma::lgamma32(self as f64) as f32
        }
        #[inline(always)]
        fn erfc(self) -> f32 {
            erf::erfc32(self)
        }
        #[inline(always)]
        fn tan(self) -> f32 {
            sine::tan32(self)
        }
        #[inline(always)]
        fn tan_near(self) -> f32 {
            sine::tan_near32(self)
        }
        #[inline(always)]
        fn sin_near(self) -> f32 {
            sine::sin_near32(self)
        }
        #[inline(always)]
        fn cos_near(self) -> f32 {
            sine::cos_near32(self)
        }
    }
);
