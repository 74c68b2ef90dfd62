//! Loops over ints. Where there is no result (overflow, division by zero), a loop goes on and marks it: tests of single elements would
//! keep the compiler from vector instructions.

use super::fill;
use crate::tensor::lanes::Lanes;
use crate::wide;

/// A result and its mark: a negative number if there is no such int.
pub type Marked = (i64, i64);

/// What a primitive makes of one int.
pub trait IntUnary: 'static {
    fn f(x: i64) -> Marked;
}

/// What a primitive makes of two ints.
pub trait IntBinary: 'static {
    fn f(a: i64, b: i64) -> Marked;
    /// The same without a call for each element, if these operands allow it; else nothing is appended.
    #[inline(always)]
    fn block(_: Lanes<'_, i64>, _: Lanes<'_, i64>, _: &mut Vec<i64>) -> bool {
        false
    }
}

/// What a primitive makes of three ints.
pub trait IntTernary: 'static {
    fn f(a: i64, b: i64, c: i64) -> Marked;
}

/// A result that may be missing.
#[inline(always)]
pub fn mark(y: Option<i64>) -> Marked {
    match y {
        Some(y) => (y, 0),
        None => (0, -1),
    }
}

/// Without its mark.
#[inline(always)]
pub fn unmark((y, missing): Marked) -> Option<i64> {
    (missing >= 0).then_some(y)
}

#[inline(always)]
pub fn add(a: i64, b: i64) -> Marked {
    let y = a.wrapping_add(b);
    (y, (a ^ y) & (b ^ y))
}

#[inline(always)]
pub fn sub(a: i64, b: i64) -> Marked {
    let y = a.wrapping_sub(b);
    (y, (a ^ b) & (a ^ y))
}

#[inline(always)]
pub fn mul(a: i64, b: i64) -> Marked {
    let (y, over) = a.overflowing_mul(b);
    (y, -i64::from(over))
}

#[inline(always)]
pub fn neg(x: i64) -> Marked {
    let y = x.wrapping_neg();
    (y, x & y)
}

#[inline(always)]
pub fn abs(x: i64) -> Marked {
    let y = x.wrapping_abs();
    (y, y)
}

/// The value of a marked result; the mark is collected.
macro_rules! collect {
    ($marks:ident, $made:expr) => {{
        let (y, mark) = $made;
        $marks |= mark;
        y
    }};
}

wide! {
    /// Appends the results for `n` lanes; false if there is one that does not exist.
    pub fn int_unary<R: IntUnary>(n: usize, args: &[Lanes<'_, i64>], out: &mut Vec<i64>) -> bool {
        let mut marks = 0;
        match *args {
            [Lanes::Each(x)] => fill!(out, [x], collect!(marks, R::f(x))),
            [Lanes::Same(x)] => out.extend(std::iter::repeat_n(collect!(marks, R::f(x)), n)),
            _ => {}
        }
        marks >= 0
    }

    /// The same for two arguments.
    pub fn int_binary<R: IntBinary>(n: usize, args: &[Lanes<'_, i64>], out: &mut Vec<i64>) -> bool {
        let mut marks = 0;
        let [a, b] = *args else { return true };
        if R::block(a, b, out) {
            return true;
        }
        match (a, b) {
            (Lanes::Each(a), Lanes::Each(b)) => fill!(out, [a, b], collect!(marks, R::f(a, b))),
            (Lanes::Each(a), Lanes::Same(b)) => fill!(out, [a], collect!(marks, R::f(a, b))),
            (Lanes::Same(a), Lanes::Each(b)) => fill!(out, [b], collect!(marks, R::f(a, b))),
            (Lanes::Same(a), Lanes::Same(b)) => out.extend(std::iter::repeat_n(collect!(marks, R::f(a, b)), n)),
        }
        marks >= 0
    }

    /// The same for three arguments.
    pub fn int_ternary<R: IntTernary>(n: usize, args: &[Lanes<'_, i64>], out: &mut Vec<i64>) -> bool {
        let mut marks = 0;
        match *args {
            [Lanes::Each(a), Lanes::Same(b), Lanes::Same(c)] => fill!(out, [a], collect!(marks, R::f(a, b, c))),
            [Lanes::Each(a), Lanes::Each(b), Lanes::Each(c)] => {
                fill!(out, [a, b, c], collect!(marks, R::f(a, b, c)));
            }
            [a, b, c] => {
                for i in 0..n {
                    if let (Some(a), Some(b), Some(c)) = (a.at(i), b.at(i), c.at(i)) {
                        out.push(collect!(marks, R::f(a, b, c)));
                    }
                }
            }
            _ => {}
        }
        marks >= 0
    }

    /// Floors of the quotients, or the remainders that they leave, by floats: exact as long as both numbers are below 2^50 (a quotient
    /// that is not whole is further from the next whole number than half a unit in the last place). False, and nothing is appended,
    /// if one is not or a divisor is 0.
    pub fn divide_small<R: Part>(a: Lanes<'_, i64>, b: Lanes<'_, i64>, out: &mut Vec<i64>) -> bool {
        let mut fine = true;
        match (a, b) {
            (Lanes::Each(a), Lanes::Same(b)) => {
                if b == 0 || !small(b) {
                    return false;
                }
                for &a in a {
                    fine &= small(a);
                }
                if fine {
                    let b = whole(b);
                    fill!(out, [a], int(R::part(whole(a), b)));
                }
            }
            (Lanes::Each(a), Lanes::Each(b)) => {
                for &a in a {
                    fine &= small(a);
                }
                for &b in b {
                    fine &= small(b) & (b != 0);
                }
                if fine {
                    fill!(out, [a, b], int(R::part(whole(a), whole(b))));
                }
            }
            _ => return false,
        }
        fine
    }

    /// Sum of ints; `None` if it, or the sum of the elements in one of the lanes, overflows.
    fn sum_lanes<T: Count>(x: &[T]) -> Option<i64> {
        const LANES: usize = 16;
        let (mut lanes, mut marks, mut rest) = ([0i64; LANES], [0i64; LANES], x);
        while let Some((chunk, tail)) = rest.split_first_chunk::<LANES>() {
            for k in 0..LANES {
                let (y, mark) = add(lanes[k], chunk[k].int());
                lanes[k] = y;
                marks[k] |= mark;
            }
            rest = tail;
        }
        let mut total = 0i64;
        for k in 0..LANES {
            if marks[k] < 0 {
                return None;
            }
            total = total.checked_add(lanes[k])?;
        }
        for &x in rest {
            total = total.checked_add(x.int())?;
        }
        Some(total)
    }

    /// Adds the rows of a matrix to `sums`; false if one of the sums overflows on the way.
    fn add_rows<T: Count>(part: &[T], sums: &mut [i64]) -> bool {
        let inner = sums.len();
        let mut marks = 0;
        for row in part.chunks_exact(inner.max(1)) {
            let (row, sums) = (&row[..inner], &mut sums[..inner]);
            for k in 0..inner {
                sums[k] = collect!(marks, add(sums[k], row[k].int()));
            }
        }
        marks >= 0
    }

    /// How many elements are true.
    pub fn count_true<T: Truth>(x: &[T]) -> usize {
        const LANES: usize = 64;
        let (mut total, mut rest) = (0usize, x);
        // So many rounds that a byte holds what each lane counts.
        while rest.len() >= LANES {
            let mut lanes = [0u8; LANES];
            for _ in 0..255 {
                let Some((chunk, tail)) = rest.split_first_chunk::<LANES>() else { break };
                for k in 0..LANES {
                    lanes[k] += u8::from(chunk[k].holds());
                }
                rest = tail;
            }
            for lane in lanes {
                total += usize::from(lane);
            }
        }
        for x in rest {
            total += usize::from(x.holds());
        }
        total
    }

    /// Appends what `R` makes of two bools.
    pub fn bool_lanes<R: Logic>(a: Lanes<'_, bool>, b: Lanes<'_, bool>, n: usize, out: &mut Vec<bool>) {
        match (a, b) {
            (Lanes::Each(a), Lanes::Each(b)) => fill!(out, [a, b], R::f(a, b)),
            (Lanes::Each(a), Lanes::Same(b)) => fill!(out, [a], R::f(a, b)),
            (Lanes::Same(a), Lanes::Each(b)) => fill!(out, [b], R::f(a, b)),
            (Lanes::Same(a), Lanes::Same(b)) => out.extend(std::iter::repeat_n(R::f(a, b), n)),
        }
    }

    /// Appends the ints that floats are cut to; false if one has none (the results are then without meaning).
    pub fn cut<T: Cut>(x: &[T], out: &mut Vec<i64>) -> bool {
        let mut fine = true;
        for x in x {
            fine &= x.fits();
        }
        if fine {
            fill!(out, [x], x.cut());
        }
        fine
    }
}

/// Magnitudes up to here go by floats.
const SMALL: i64 = 1 << 50;
/// Added to a whole number below 2^51, the bits of the sum count from those of this number.
const SHIFT: f64 = 6_755_399_441_055_744.0;

#[inline(always)]
fn small(x: i64) -> bool {
    x.wrapping_add(SMALL) as u64 <= 2 * SMALL as u64
}

#[inline(always)]
fn whole(x: i64) -> f64 {
    f64::from_bits(x.wrapping_add(SHIFT.to_bits() as i64) as u64) - SHIFT
}

#[inline(always)]
fn int(x: f64) -> i64 {
    ((x + SHIFT).to_bits() as i64).wrapping_sub(SHIFT.to_bits() as i64)
}

/// What is asked of a division.
pub trait Part: 'static {
    fn part(a: f64, b: f64) -> f64;
}

/// The floor of the quotient.
pub struct Quotient;
/// What it leaves, with the sign of the divisor.
pub struct Remainder;

impl Part for Quotient {
    #[inline(always)]
    fn part(a: f64, b: f64) -> f64 {
        (a / b).floor()
    }
}

impl Part for Remainder {
    #[inline(always)]
    fn part(a: f64, b: f64) -> f64 {
        a - (a / b).floor() * b
    }
}

/// What is summed as an int.
pub trait Count: Copy + 'static {
    fn int(self) -> i64;
}

impl Count for i64 {
    #[inline(always)]
    fn int(self) -> i64 {
        self
    }
}

impl Count for bool {
    #[inline(always)]
    fn int(self) -> i64 {
        i64::from(self)
    }
}

/// What is true or not; numbers if they are not 0.
pub trait Truth: Copy + 'static {
    fn holds(self) -> bool;
}

impl Truth for bool {
    #[inline(always)]
    fn holds(self) -> bool {
        self
    }
}

macro_rules! truth {
    ($($number:ty, $zero:literal;)*) => {$(
        impl Truth for $number {
            #[inline(always)]
            fn holds(self) -> bool {
                self != $zero
            }
        }
    )*};
}
truth! {
    i64, 0;
    f32, 0.0;
    f64, 0.0;
}

/// An operation on two bools.
pub trait Logic: 'static {
    fn f(a: bool, b: bool) -> bool;
}

/// A float that may be cut to an int.
pub trait Cut: Copy + 'static {
    fn fits(&self) -> bool;
    /// Only for what fits.
    fn cut(self) -> i64;
}

macro_rules! cut {
    ($float:ty) => {
        impl Cut for $float {
            #[inline(always)]
            fn fits(&self) -> bool {
                // Both bounds are powers of two. NaN is not between them.
                (*self >= -9_223_372_036_854_775_808.0) & (*self < 9_223_372_036_854_775_808.0)
            }
            #[inline(always)]
            fn cut(self) -> i64 {
                // SAFETY: it fits.
                unsafe { self.to_int_unchecked() }
            }
        }
    };
}
cut!(f32);
cut!(f64);

/// Sum of ints (bools are counted), `None` if it is none.
pub fn int_sum<T: Count>(x: &[T]) -> Option<i64> {
    sum_lanes(x).or_else(|| i64::try_from(x.iter().map(|x| i128::from(x.int())).sum::<i128>()).ok())
}

/// Appends the sums of the columns of a matrix with rows of `inner`; `None` if one is no int.
pub fn int_column_sums<T: Count>(part: &[T], inner: usize, out: &mut Vec<i64>) -> Option<()> {
    let start = out.len();
    out.resize(start + inner, 0);
    let sums = out.get_mut(start..)?;
    if add_rows(part, sums) {
        return Some(());
    }
    for (k, sum) in sums.iter_mut().enumerate() {
        let column = part.iter().skip(k).step_by(inner.max(1));
        *sum = i64::try_from(column.map(|x| i128::from(x.int())).sum::<i128>()).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Add;
    impl IntBinary for Add {
        fn f(a: i64, b: i64) -> Marked {
            add(a, b)
        }
    }

    const EDGES: [i64; 9] = [i64::MIN, i64::MIN + 1, -3, -1, 0, 1, 7, i64::MAX - 1, i64::MAX];

    #[test]
    fn marks_are_those_of_checked_operations() {
        for a in EDGES {
            assert_eq!(unmark(neg(a)), a.checked_neg());
            assert_eq!(unmark(abs(a)), a.checked_abs());
            for b in EDGES {
                assert_eq!(unmark(add(a, b)), a.checked_add(b), "{a} + {b}");
                assert_eq!(unmark(sub(a, b)), a.checked_sub(b), "{a} - {b}");
                assert_eq!(unmark(mul(a, b)), a.checked_mul(b), "{a} * {b}");
            }
        }
    }

    #[test]
    fn a_lane_that_overflows_is_told() {
        let x: Vec<i64> = (0..100).collect();
        let mut out = vec![];
        assert!(int_binary::<Add>(100, &[Lanes::Each(&x), Lanes::Same(5)], &mut out));
        assert_eq!(out, (5..105).collect::<Vec<_>>());
        assert!(!int_binary::<Add>(100, &[Lanes::Each(&x), Lanes::Same(i64::MAX - 98)], &mut out));
    }

    #[test]
    fn quotients_by_floats_are_exact() {
        let edge = SMALL;
        let numbers = [-edge, -edge + 1, -1_000_001, -8, -7, -3, -1, 1, 2, 3, 7, 49, 999_999_937, edge - 1, edge];
        for b in numbers {
            for shift in [0, 1] {
                let a: Vec<i64> =
                    numbers.iter().flat_map(|&n| [n - n.signum() * shift, n / b * b, n / b * b - 1]).collect();
                let a: Vec<i64> = a.into_iter().filter(|a| a.abs() <= edge).collect();
                let (mut q, mut r) = (vec![], vec![]);
                assert!(divide_small::<Quotient>(Lanes::Each(&a), Lanes::Same(b), &mut q));
                assert!(divide_small::<Remainder>(Lanes::Each(&a), Lanes::Each(&vec![b; a.len()]), &mut r));
                for (i, &a) in a.iter().enumerate() {
                    let floor =
                        (a as i128).div_euclid(b as i128) - i128::from(b < 0 && (a as i128).rem_euclid(b as i128) != 0);
                    assert_eq!(i128::from(q[i]), floor, "{a} // {b}");
                    assert_eq!(i128::from(r[i]), a as i128 - floor * b as i128, "{a} % {b}");
                }
            }
        }
        let mut out = vec![];
        assert!(!divide_small::<Quotient>(Lanes::Each(&[1, 2]), Lanes::Same(0), &mut out));
        assert!(!divide_small::<Quotient>(Lanes::Each(&[1, 2]), Lanes::Each(&[1, 0]), &mut out));
        assert!(!divide_small::<Quotient>(Lanes::Each(&[1, i64::MIN]), Lanes::Same(3), &mut out));
        assert!(out.is_empty());
    }

    #[test]
    fn sums_are_those_of_wide_numbers() {
        for n in [0, 1, 15, 16, 17, 100] {
            let x: Vec<i64> = (0..n).map(|i| i * 7919 % 101 - 50).collect();
            assert_eq!(int_sum(&x), Some(x.iter().sum()));
        }
        let mut x = vec![i64::MAX; 64];
        assert_eq!(int_sum(&x), None);
        x[32..].fill(-i64::MAX);
        assert_eq!(int_sum(&x), Some(0));
        let mut out = vec![7];
        int_column_sums(&x, 4, &mut out).unwrap();
        assert_eq!(out, [7, 0, 0, 0, 0]);
        assert!(int_column_sums(&x[..32], 4, &mut out).is_none());
        assert_eq!(int_sum(&[true, false, true]), Some(2));
    }

    #[test]
    fn what_is_true_is_counted() {
        for n in [0, 1, 63, 64, 65, 64 * 255, 64 * 256 + 3, 40_000] {
            let x: Vec<bool> = (0..n).map(|i| i % 3 != 1).collect();
            assert_eq!(count_true(&x), x.iter().filter(|x| **x).count());
        }
        assert_eq!(count_true(&[0.0, -0.0, f64::NAN, 2.0]), 2);
    }

    #[test]
    fn what_does_not_fit_is_not_cut() {
        let mut out = vec![];
        assert!(cut(&[-1.7f32, 1.7, -9.223372e18], &mut out));
        assert_eq!(out, [-1, 1, i64::MIN]);
        for x in [f64::NAN, 9_223_372_036_854_775_808.0, f64::NEG_INFINITY] {
            assert!(!cut(&[1.0, x], &mut out));
        }
    }
}
