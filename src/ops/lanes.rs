//! The inside of an elementwise primitive: scalar functions, lane kernels, partials, all made from one generic rule.

use std::sync::OnceLock;

use super::num::{Ex, Num};
use super::real::Real;
use super::scalar;
use crate::error::Result;
use crate::tensor::lanes::Lanes;
use crate::tensor::out::Out;
use crate::tensor::simd::ints::{IntBinary, IntTernary, IntUnary, int_binary, int_ternary, int_unary, unmark};
use crate::tensor::simd::kernels::{
    binary_lanes, binary_pull0, binary_pull1, cos_lanes, cos_pull, digamma_lanes, lgamma_lanes, lgamma_pull, sin_lanes,
    sin_pull, tan_lanes, ternary_lanes, ternary_pull0, ternary_pull1, ternary_pull2, unary_lanes, unary_pull,
};
use crate::value::Value;

pub use crate::ad::algebra::eval_partial;
pub use crate::tensor::elementwise::{eval_elementwise, partial_program, pull_elementwise, push_elementwise, reads};

/// Everything about an elementwise primitive but its name. Built from a rule by [`unary`], [`binary`], [`ternary`].
pub struct Elementwise {
    /// The f64 functions, which the VM calls directly for scalars (unless there is a `check`).
    pub scalar: Scalar,
    /// What becomes of int (and bool) arguments.
    pub ints: Ints,
    /// Kernels over lanes: append `n` results.
    pub lanes32: LaneKernel<f32>,
    pub lanes64: LaneKernel<f64>,
    /// Fused pullbacks, one for each argument (the rest repeats the last).
    pub pull32: [PullKernel<f32>; 3],
    pub pull64: [PullKernel<f64>; 3],
    /// Partial derivatives, one for each argument, as expressions over arguments and result.
    pub partials: fn() -> Vec<Ex>,
    /// A cheaper equivalent for these arguments (`x ^ 2`); its partial for argument 0 is the same function.
    pub special: Option<Specialize>,
    /// Refuses arguments that no result exists for.
    pub check: Option<Check>,
    /// What is known of the partials, once it was asked for.
    pub slopes: OnceLock<[Slope; 3]>,
}

/// What a partial is made of.
#[derive(Clone, Copy, Default)]
pub struct Slope {
    /// Bit `i` is set if argument `i` (or the result, as index `arity`) is read.
    pub reads: u32,
    /// The number that it is everywhere, if it is one.
    pub constant: Option<f64>,
}

/// Finds a cheaper equivalent for some arguments.
pub type Specialize = fn(&[Value]) -> Option<&'static Elementwise>;

/// Refuses arguments.
pub type Check = fn(&[Value]) -> Result<()>;

/// Partials of an elementwise function of two or three arguments; they take the arguments and the result.
pub type Partial2 = fn(f64, f64, f64) -> f64;
pub type Partial3 = fn(f64, f64, f64, f64) -> f64;

/// Appends `n` results for the lanes of the arguments.
pub type LaneKernel<T> = fn(usize, &[Lanes<'_, T>], &mut Out<'_, T>);

/// Appends `y_bar * partial` for arguments, result and cotangent, all of one length; 0 where the cotangent is 0.
pub type PullKernel<T> = fn(&[&[T]], &[T], &[T], &mut Out<'_, T>);

/// Scalar evaluation and partials; partials take the arguments and then the result.
pub enum Scalar {
    Unary { f: fn(f64) -> f64, d: fn(f64, f64) -> f64 },
    Binary { f: fn(f64, f64) -> f64, d: [Partial2; 2] },
    Ternary { f: fn(f64, f64, f64) -> f64, d: [Partial3; 3] },
}

/// How an elementwise primitive treats ints.
#[derive(Clone, Copy)]
pub enum Ints {
    /// Ints become floats (`sqrt`, `/`).
    Promote,
    /// Ints stay ints (`+`, `abs`).
    Stay {
        /// Of as many arguments as the primitive has; `None` is overflow or division by zero.
        f: fn(i64, i64, i64) -> Option<i64>,
        /// The same for lanes: false if a result does not exist.
        lanes: IntKernel,
    },
}

/// Appends `n` results for the lanes of the arguments; false if there is one that does not exist.
pub type IntKernel = fn(usize, &[Lanes<'_, i64>], &mut Vec<i64>) -> bool;

impl Ints {
    /// Ints stay ints by this rule.
    pub const fn unary<R: IntUnary>() -> Ints {
        Ints::Stay { f: |x, _, _| unmark(R::f(x)), lanes: int_unary::<R> }
    }

    /// The same for two arguments.
    pub const fn binary<R: IntBinary>() -> Ints {
        Ints::Stay { f: |a, b, _| unmark(R::f(a, b)), lanes: int_binary::<R> }
    }

    /// The same for three arguments.
    pub const fn ternary<R: IntTernary>() -> Ints {
        Ints::Stay { f: |a, b, c| unmark(R::f(a, b, c)), lanes: int_ternary::<R> }
    }
}

/// `Ints` that stay ints, by the marked result for one, two or three of them.
#[macro_export]
macro_rules! ints {
    (|$x:ident| $f:expr) => {{
        struct Rule;
        impl $crate::tensor::simd::ints::IntUnary for Rule {
            #[inline(always)]
            fn f($x: i64) -> $crate::tensor::simd::ints::Marked {
                $f
            }
        }
        $crate::ops::lanes::Ints::unary::<Rule>()
    }};
    (|$a:ident, $b:ident| $f:expr) => {{
        struct Rule;
        impl $crate::tensor::simd::ints::IntBinary for Rule {
            #[inline(always)]
            fn f($a: i64, $b: i64) -> $crate::tensor::simd::ints::Marked {
                $f
            }
        }
        $crate::ops::lanes::Ints::binary::<Rule>()
    }};
    (|$a:ident, $b:ident, $c:ident| $f:expr) => {{
        struct Rule;
        impl $crate::tensor::simd::ints::IntTernary for Rule {
            #[inline(always)]
            fn f($a: i64, $b: i64, $c: i64) -> $crate::tensor::simd::ints::Marked {
                $f
            }
        }
        $crate::ops::lanes::Ints::ternary::<Rule>()
    }};
}

/// The rule of a primitive of one argument: value, and slope from argument and result.
pub trait UnaryRule: 'static {
    fn f<T: Real>(x: T) -> T;
    fn d<N: Num>(x: N, y: N) -> N;
}

/// The rule of a primitive of two arguments; `y` is the result.
pub trait BinaryRule: 'static {
    fn f<T: Real>(a: T, b: T) -> T;
    fn d0<N: Num>(a: N, b: N, y: N) -> N;
    fn d1<N: Num>(a: N, b: N, y: N) -> N;
}

/// The rule of a primitive of three arguments; `y` is the result.
pub trait TernaryRule: 'static {
    fn f<T: Real>(a: T, b: T, c: T) -> T;
    fn d0<N: Num>(a: N, b: N, c: N, y: N) -> N;
    fn d1<N: Num>(a: N, b: N, c: N, y: N) -> N;
    fn d2<N: Num>(a: N, b: N, c: N, y: N) -> N;
}

/// A primitive of one argument from its rule.
pub const fn unary<R: UnaryRule>(ints: Ints) -> Elementwise {
    Elementwise {
        scalar: Scalar::Unary { f: scalar::f1::<R>, d: scalar::d1::<R> },
        ints,
        lanes32: unary_lanes::<R, f32>,
        lanes64: unary_lanes::<R, f64>,
        pull32: [unary_pull::<R, f32>; 3],
        pull64: [unary_pull::<R, f64>; 3],
        partials: || vec![R::d(Ex::Arg(0), Ex::Arg(1))],
        special: None,
        check: None,
        slopes: OnceLock::new(),
    }
}

/// A primitive of two arguments from its rule.
pub const fn binary<R: BinaryRule>(ints: Ints) -> Elementwise {
    Elementwise {
        scalar: Scalar::Binary { f: scalar::f2::<R>, d: [scalar::d2_0::<R>, scalar::d2_1::<R>] },
        ints,
        lanes32: binary_lanes::<R, f32>,
        lanes64: binary_lanes::<R, f64>,
        pull32: [binary_pull0::<R, f32>, binary_pull1::<R, f32>, binary_pull1::<R, f32>],
        pull64: [binary_pull0::<R, f64>, binary_pull1::<R, f64>, binary_pull1::<R, f64>],
        partials: || {
            let [a, b, y] = [Ex::Arg(0), Ex::Arg(1), Ex::Arg(2)];
            vec![R::d0(a.clone(), b.clone(), y.clone()), R::d1(a, b, y)]
        },
        special: None,
        check: None,
        slopes: OnceLock::new(),
    }
}

/// A primitive of three arguments from its rule.
pub const fn ternary<R: TernaryRule>(ints: Ints) -> Elementwise {
    Elementwise {
        scalar: Scalar::Ternary { f: scalar::f3::<R>, d: [scalar::d3_0::<R>, scalar::d3_1::<R>, scalar::d3_2::<R>] },
        ints,
        lanes32: ternary_lanes::<R, f32>,
        lanes64: ternary_lanes::<R, f64>,
        pull32: [ternary_pull0::<R, f32>, ternary_pull1::<R, f32>, ternary_pull2::<R, f32>],
        pull64: [ternary_pull0::<R, f64>, ternary_pull1::<R, f64>, ternary_pull2::<R, f64>],
        partials: || {
            let [a, b, c, y] = [Ex::Arg(0), Ex::Arg(1), Ex::Arg(2), Ex::Arg(3)];
            vec![
                R::d0(a.clone(), b.clone(), c.clone(), y.clone()),
                R::d1(a.clone(), b.clone(), c.clone(), y.clone()),
                R::d2(a, b, c, y),
            ]
        },
        special: None,
        check: None,
        slopes: OnceLock::new(),
    }
}

impl Elementwise {
    /// With a cheaper equivalent for some arguments.
    pub const fn with_special(mut self, special: Specialize) -> Elementwise {
        self.special = Some(special);
        self
    }

    /// With arguments it refuses.
    pub const fn with_check(mut self, check: Check) -> Elementwise {
        self.check = Some(check);
        self
    }

    /// With the kernels of the sine.
    pub const fn with_sine(mut self) -> Elementwise {
        self.lanes32 = sin_lanes::<f32>;
        self.lanes64 = sin_lanes::<f64>;
        self.pull32 = [sin_pull::<f32>; 3];
        self.pull64 = [sin_pull::<f64>; 3];
        self
    }

    /// With the kernels of the cosine.
    pub const fn with_cosine(mut self) -> Elementwise {
        self.lanes32 = cos_lanes::<f32>;
        self.lanes64 = cos_lanes::<f64>;
        self.pull32 = [cos_pull::<f32>; 3];
        self.pull64 = [cos_pull::<f64>; 3];
        self
    }

    /// With the kernels of the tangent.
    pub const fn with_tangent(mut self) -> Elementwise {
        self.lanes32 = tan_lanes::<f32>;
        self.lanes64 = tan_lanes::<f64>;
        self
    }

    /// With the kernels of the logarithm of the gamma function.
    pub const fn with_log_gamma(mut self) -> Elementwise {
        self.lanes32 = lgamma_lanes::<f32>;
        self.lanes64 = lgamma_lanes::<f64>;
        self.pull32 = [lgamma_pull::<f32>; 3];
        self.pull64 = [lgamma_pull::<f64>; 3];
        self
    }

    /// With the kernels of its derivative.
    pub const fn with_digamma(mut self) -> Elementwise {
        self.lanes32 = digamma_lanes::<f32>;
        self.lanes64 = digamma_lanes::<f64>;
        self
    }

    /// What is known of the partials; the same for arguments that there are not.
    #[inline]
    pub fn slopes(&self) -> &[Slope; 3] {
        self.slopes.get_or_init(|| {
            let mut slopes = [Slope::default(); 3];
            for (slope, ex) in slopes.iter_mut().zip((self.partials)()) {
                let constant = if let Ex::Const(c) = ex { Some(c) } else { None };
                *slope = Slope { reads: ex.reads(), constant };
            }
            slopes
        })
    }

    /// Bit `k` is set if a partial for one of the `wanted` arguments reads argument `k` (or the result, as index `arity`).
    #[inline]
    pub fn reads(&self, wanted: u32) -> u32 {
        let slopes = self.slopes().iter().enumerate();
        slopes.filter(|(i, _)| wanted & (1 << i) != 0).fold(0, |mask, (_, slope)| mask | slope.reads)
    }

    /// Number of arguments.
    pub fn arity(&self) -> usize {
        match self.scalar {
            Scalar::Unary { .. } => 1,
            Scalar::Binary { .. } => 2,
            Scalar::Ternary { .. } => 3,
        }
    }
}

/// Declares elementwise primitives of one argument:
/// `NAME "name" (domain) doc; f(x) value; d(x, y) slope; ints; [probe points]`, and a method of [`Elementwise`] that brings
/// kernels of its own.
#[macro_export]
macro_rules! unary_prims {
    ($($(#[$meta:meta])* $NAME:ident $name:literal, $doc:literal, ints: $ints:expr,
        f($x:ident) $f:expr, d($dx:ident, $dy:ident) $d:expr, probe: $lo:literal .. $hi:literal, $points:expr
        $(, $with:ident)?;)*) => {
        $(
            $(#[$meta])*
            pub static $NAME: $crate::ops::prim::Prim = {
                struct Rule;
                impl $crate::ops::lanes::UnaryRule for Rule {
                    #[inline(always)]
                    fn f<T: $crate::ops::real::Real>($x: T) -> T {
                        $f
                    }
                    #[inline(always)]
                    #[allow(unused_variables)]
                    fn d<N: $crate::ops::num::Num>($dx: N, $dy: N) -> N {
                        $d
                    }
                }
                static INSIDE: $crate::ops::lanes::Elementwise = $crate::ops::lanes::unary::<Rule>($ints)$(.$with())?;
                $crate::ops::prim::Prim {
                    name: $name,
                    doc: $doc,
                    sig: $crate::ops::prim::Sig { params: &[$crate::ops::prim::req("x")] },
                    infer: {
                        fn infer(args: &[$crate::types::ty::Ty]) -> $crate::error::Result<$crate::types::ty::Ty> {
                            let promotes = matches!(INSIDE.ints, $crate::ops::lanes::Ints::Promote);
                            $crate::ops::shape_rules::elementwise($name, args, promotes)
                        }
                        infer
                    },
                    eval: $crate::ops::prim::Eval::Elementwise(&INSIDE),
                    diff: $crate::ops::prim::Diff::Elementwise,
                    batch: $crate::ops::prim::Batch::Elementwise,
                    probe: {
                        use $crate::ops::prim::{ProbeArg, Sample};
                        $crate::ops::prim::Probe {
                            samples: &[
                                Sample { args: &[ProbeArg::Float { shape: &[], lo: $lo, hi: $hi }] },
                                Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: $lo, hi: $hi }] },
                                Sample { args: &[ProbeArg::Float { shape: &[0], lo: $lo, hi: $hi }] },
                                Sample { args: &[ProbeArg::Float { shape: &[1], lo: $lo, hi: $hi }] },
                                Sample { args: &[ProbeArg::Point($points)] },
                            ],
                        }
                    },
                }
            };
        )*
    };
}

/// Declares elementwise primitives of two arguments; as [`unary_prims`], with a slope for each argument and the
/// parameters' names; the second may have a default. `special` is the hook of [`Elementwise::special`].
#[macro_export]
macro_rules! binary_prims {
    ($($(#[$meta:meta])* $NAME:ident $name:literal ($p0:literal, $p1:literal $(= $default:literal)?), $doc:literal,
        ints: $ints:expr,
        f($a:ident, $b:ident) $f:expr,
        d0($a0:ident, $b0:ident, $y0:ident) $d0:expr,
        d1($a1:ident, $b1:ident, $y1:ident) $d1:expr,
        probe: $lo0:literal .. $hi0:literal, $lo1:literal .. $hi1:literal, $points0:expr, $points1:expr
        $(, special: $special:expr)?;)*) => {
        $(
            $(#[$meta])*
            pub static $NAME: $crate::ops::prim::Prim = {
                struct Rule;
                impl $crate::ops::lanes::BinaryRule for Rule {
                    #[inline(always)]
                    fn f<T: $crate::ops::real::Real>($a: T, $b: T) -> T {
                        $f
                    }
                    #[inline(always)]
                    #[allow(unused_variables)]
                    fn d0<N: $crate::ops::num::Num>($a0: N, $b0: N, $y0: N) -> N {
                        $d0
                    }
                    #[inline(always)]
                    #[allow(unused_variables)]
                    fn d1<N: $crate::ops::num::Num>($a1: N, $b1: N, $y1: N) -> N {
                        $d1
                    }
                }
                static INSIDE: $crate::ops::lanes::Elementwise =
                    $crate::ops::lanes::binary::<Rule>($ints)$(.with_special($special))?;
                $crate::ops::prim::Prim {
                    name: $name,
                    doc: $doc,
                    sig: $crate::ops::prim::Sig {
                        params: &[
                            $crate::ops::prim::req($p0),
                            $crate::ops::prim::second($p1, &[$($crate::ops::prim::Default::Float($default))?]),
                        ],
                    },
                    infer: {
                        fn infer(args: &[$crate::types::ty::Ty]) -> $crate::error::Result<$crate::types::ty::Ty> {
                            let promotes = matches!(INSIDE.ints, $crate::ops::lanes::Ints::Promote);
                            $crate::ops::shape_rules::elementwise($name, args, promotes)
                        }
                        infer
                    },
                    eval: $crate::ops::prim::Eval::Elementwise(&INSIDE),
                    diff: $crate::ops::prim::Diff::Elementwise,
                    batch: $crate::ops::prim::Batch::Elementwise,
                    probe: {
                        use $crate::ops::prim::{ProbeArg, Sample};
                        const fn float(shape: &'static [usize], lo: f64, hi: f64) -> ProbeArg {
                            ProbeArg::Float { shape, lo, hi }
                        }
                        $crate::ops::prim::Probe {
                            samples: &[
                                Sample { args: &[float(&[], $lo0, $hi0), float(&[], $lo1, $hi1)] },
                                Sample { args: &[float(&[2, 3], $lo0, $hi0), float(&[2, 3], $lo1, $hi1)] },
                                Sample { args: &[float(&[2, 3], $lo0, $hi0), float(&[3], $lo1, $hi1)] },
                                Sample { args: &[float(&[2, 1], $lo0, $hi0), float(&[1, 3], $lo1, $hi1)] },
                                Sample { args: &[float(&[], $lo0, $hi0), float(&[2], $lo1, $hi1)] },
                                Sample { args: &[float(&[2], $lo0, $hi0), float(&[], $lo1, $hi1)] },
                                Sample { args: &[float(&[0], $lo0, $hi0), float(&[1], $lo1, $hi1)] },
                                Sample { args: &[ProbeArg::Point($points0), ProbeArg::Point($points1)] },
                            ],
                        }
                    },
                }
            };
        )*
    };
}
