//! Polynomials, coefficients from the highest, and selection without branches.
//!
//! A product and the sum that it goes into are rounded once, on every machine, so that a number does not depend on where or how
//! wide it is computed.

/// `yes` or `no`, without a branch: a branch would keep the loop around it from becoming vector instructions, or double it.
#[inline(always)]
pub fn pick<T>(condition: bool, yes: T, no: T) -> T {
    std::hint::select_unpredictable(condition, yes, no)
}

macro_rules! polynomial {
    ($(#[$doc:meta])* $name:ident, $t:ident) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name<const N: usize>(c: &[$t; N], x: $t) -> $t {
            const { assert!(N > 1) };
            let square = x * x;
            let (mut a, mut b) = (c[0], c[1]);
            let mut i = 2;
            while i + 1 < N {
                a = a.mul_add(square, c[i]);
                b = b.mul_add(square, c[i + 1]);
                i += 2;
            }
            if i < N { b.mul_add(x, a.mul_add(square, c[i])) } else { a.mul_add(x, b) }
        }
    };
}

polynomial! {
    /// A polynomial of `f32`: even and odd powers apart, each by Horner's rule, so that fewer operations wait for each other.
    poly32, f32
}
polynomial! {
    /// The same of `f64`.
    poly, f64
}

macro_rules! one_chain {
    ($(#[$doc:meta])* $name:ident, $(#[$other:meta])* $monic:ident, $t:ident) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name<const N: usize>(c: &[$t; N], x: $t) -> $t {
            let mut y = c[0];
            let mut i = 1;
            while i < N {
                y = y.mul_add(x, c[i]);
                i += 1;
            }
            y
        }

        $(#[$other])*
        #[inline(always)]
        pub fn $monic<const N: usize>(c: &[$t; N], x: $t) -> $t {
            let mut y = x + c[0];
            let mut i = 1;
            while i < N {
                y = y.mul_add(x, c[i]);
                i += 1;
            }
            y
        }
    };
}

one_chain! {
    /// A polynomial of `f32` by Horner's rule: the fewest operations, each of which waits for the one before it. For long functions,
    /// where others are to be done in the meantime.
    chain,
    /// The same with a highest coefficient of 1 in front.
    monic, f32
}
one_chain! {
    /// The same of `f64`.
    chain64,
    /// The same of `f64`.
    monic64, f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_of_all_lengths() {
        fn check<const N: usize>() {
            let c: [f64; N] = std::array::from_fn(|i| (i + 1) as f64);
            let want = c.iter().fold(0.0, |sum, c| sum * 3.0 + c);
            assert_eq!(poly(&c, 3.0), want);
            assert_eq!(poly32(&c.map(|c| c as f32), -1.0), c.iter().fold(0.0, |sum, c| c - sum) as f32);
            assert_eq!(chain64(&c, 3.0), want);
            assert_eq!(monic64(&c, 3.0), want + 3f64.powi(N as i32));
        }
        check::<2>();
        check::<3>();
        check::<4>();
        check::<5>();
        check::<7>();
        check::<8>();
        check::<11>();
        check::<17>();
        check::<24>();
    }
}
