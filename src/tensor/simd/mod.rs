//! Loops over elements, compiled for each vector width, and the elementary functions that they are made of.
//!
//! The functions are straight lines of additions, products and selections, so that the compiler makes vector instructions of
//! a loop over them. A number is the same bits alone (as a scalar of the language) and in a tensor, and on every machine:
//! nothing is reordered, and a product and a sum are rounded once (fused) where `mul_add` is written and nowhere else. A machine
//! without that instruction (before 2013) computes the same, slowly. `tests/ulp.rs` measures their errors and states the bounds.

pub mod asin;
pub mod atan;
pub mod convolution;
pub mod erf;
pub mod erfinv;
pub mod exp;
pub mod extrema;
pub mod gamma;
pub mod hazard;
pub mod hyperbolic;
pub mod hypot;
pub mod ints;
pub mod kernels;
pub mod layer_norm;
pub mod log;
pub mod normal;
pub mod poly;
pub mod pow;
pub mod ratio;
pub mod sine;
pub mod softmax;
pub mod standard;
pub mod sums;
pub mod tanh;
pub mod tiles;
pub mod turn;
pub mod vector;
pub mod weights;
pub mod windows;

use std::sync::atomic::{AtomicU8, Ordering};

/// Vector instructions of this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// What every machine of the architecture has.
    Portable,
    /// 256 bits, and fused products.
    Avx2,
    /// 512 bits.
    Avx512,
}

/// The widest vectors that this machine has.
#[inline(always)]
pub fn width() -> Width {
    match KNOWN.load(Ordering::Relaxed) {
        1 => Width::Portable,
        2 => Width::Avx2,
        3 => Width::Avx512,
        _ => ask(),
    }
}

/// The answer, once it is known.
static KNOWN: AtomicU8 = AtomicU8::new(0);

#[cold]
fn ask() -> Width {
    let width = found();
    let known = match width {
        Width::Portable => 1,
        Width::Avx2 => 2,
        Width::Avx512 => 3,
    };
    KNOWN.store(known, Ordering::Relaxed);
    width
}

fn found() -> Width {
    #[cfg(target_arch = "x86_64")]
    {
        use std::is_x86_feature_detected as has;
        if !has!("avx2") || !has!("fma") {
            return Width::Portable;
        }
        if has!("avx512f") && has!("avx512dq") && has!("avx512bw") && has!("avx512vl") && has!("bmi2") {
            return Width::Avx512;
        }
        Width::Avx2
    }
    #[cfg(not(target_arch = "x86_64"))]
    Width::Portable
}

/// Declares functions that are compiled once for each [`Width`]; a call runs the widest copy that the machine can.
/// Only what is inlined into the body gets the wide instructions: plain loops and `inline(always)` functions, not closures.
#[macro_export]
#[allow(clippy::needless_range_loop)]
macro_rules! wide {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident<$($g:ident: $bound:path),*>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        $vis fn $name<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? {
                body::<$($g),*>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,fma")]
            fn avx512<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? {
                body::<$($g),*>($($arg),*)
            }
            match $crate::tensor::simd::width() {
                // SAFETY: the machine has been found to have these instructions.
                #[cfg(target_arch = "x86_64")]
                $crate::tensor::simd::Width::Avx512 => unsafe { avx512::<$($g),*>($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::tensor::simd::Width::Avx2 => unsafe { avx2::<$($g),*>($($arg),*) },
                _ => body::<$($g),*>($($arg),*),
            }
        }
    )*};
}

/// Elements of a vector of the widest registers, of f32.
pub const STEP: usize = 16;

/// Declares functions that append a value for each element of slices, as many as the shortest has; numbers stand before the slices. They
/// are compiled as those of [`wide!`] are.
///
/// The loop is in a function of its own, which gets the slices and the room for the results and so knows that they do not overlap: where
/// it does not, results that lie less than four vectors behind an operand, as those of few elements do, are computed one by one. So would
/// be what is left of whole vectors, which may take longer than all before: the last vector begins earlier instead.
macro_rules! per_element {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident<$($g:ident: $bound:path),*>($($number:ident: $ty:ty),*; $($x:ident: $of:ty),+) -> $ret:ty $value:block)*) => {$(
        $(#[$meta])*
        #[inline]
        $vis fn $name<$($g: $bound,)* O: $crate::tensor::out::Room<$ret>>($($number: $ty,)* $($x: &[$of],)+ out: &mut O) {
            $crate::wide! {
                fn each<$($g: $bound),*>($($number: $ty,)* $($x: &[$of],)+ room: &mut [std::mem::MaybeUninit<$ret>]) {
                    const STEP: usize = $crate::tensor::simd::STEP;
                    let n = room.len();
                    let whole = if n > STEP { n - n % STEP } else { n };
                    {
                        let room = &mut room[..whole];
                        $(let $x = &$x[..whole];)+
                        for i in 0..whole {
                            $(let $x = $x[i];)+
                            room[i].write($value);
                        }
                    }
                    if whole < n && let Some(room) = room.last_chunk_mut::<STEP>() {
                        $(let Some($x) = $x[..n].last_chunk::<STEP>() else { return };)+
                        for i in 0..STEP {
                            $(let $x = $x[i];)+
                            room[i].write($value);
                        }
                    }
                }
            }
            let n = [$($x.len()),+].into_iter().min().unwrap_or(0);
            out.reserve(n);
            each::<$($g),*>($($number,)* $($x,)+ &mut out.spare_capacity_mut()[..n]);
            // SAFETY: `n` elements behind the old length were written.
            unsafe { out.set_len(out.len() + n) }
        }
    )*};
}
pub(crate) use per_element;

/// Appends as many numbers as the shortest of the slices has.
macro_rules! fill {
    ($out:ident, [$($x:ident),+], $value:expr) => {{
        let n = [$($x.len()),+].into_iter().min().unwrap_or(0);
        $(let $x = &$x[..n];)+
        $out.reserve(n);
        let spare = &mut $out.spare_capacity_mut()[..n];
        #[allow(clippy::needless_range_loop)]
        for i in 0..n {
            $(let $x = $x[i];)+
            spare[i].write($value);
        }
        // SAFETY: `n` elements behind the old length were written.
        unsafe { $out.set_len($out.len() + n) }
    }};
}
pub(crate) use fill;
