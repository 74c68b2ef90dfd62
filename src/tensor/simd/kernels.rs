//! Loops of elementwise primitives over lanes: values, and cotangents times partials. Each appends.

use super::fill;
use super::poly::pick;
use crate::ops::lanes::{BinaryRule, TernaryRule, UnaryRule};
use crate::ops::real::Real;
use crate::tensor::create::Element;
use crate::tensor::lanes::Lanes;
use crate::tensor::out::{Out, Room};
use crate::wide;

wide! {
    /// Values of a primitive of one argument.
    pub fn unary_lanes<R: UnaryRule, T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
        match *args {
            [Lanes::Each(x)] => fill!(out, [x], R::f(x)),
            [Lanes::Same(x)] => out.extend(std::iter::repeat_n(R::f(x), n)),
            _ => {}
        }
    }

    /// Values of a primitive of two arguments.
    pub fn binary_lanes<R: BinaryRule, T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
        match *args {
            [Lanes::Each(a), Lanes::Each(b)] => fill!(out, [a, b], R::f(a, b)),
            [Lanes::Each(a), Lanes::Same(b)] => fill!(out, [a], R::f(a, b)),
            [Lanes::Same(a), Lanes::Each(b)] => fill!(out, [b], R::f(a, b)),
            [Lanes::Same(a), Lanes::Same(b)] => out.extend(std::iter::repeat_n(R::f(a, b), n)),
            _ => {}
        }
    }

    /// Values of a primitive of three arguments.
    pub fn ternary_lanes<R: TernaryRule, T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
        match *args {
            [Lanes::Each(a), Lanes::Same(b), Lanes::Same(c)] => fill!(out, [a], R::f(a, b, c)),
            [Lanes::Each(a), Lanes::Each(b), Lanes::Each(c)] => fill!(out, [a, b, c], R::f(a, b, c)),
            [a, b, c] => {
                out.extend((0..n).map(|i| match (a.at(i), b.at(i), c.at(i)) {
                    (Some(a), Some(b), Some(c)) => R::f(a, b, c),
                    _ => T::NAN,
                }));
            }
            _ => {}
        }
    }

    /// The elements of `a` where the mask is true, elsewhere those of `b`.
    pub fn choose_lanes<T: Element, O: Room<T>>(mask: &[bool], a: Lanes<'_, T>, b: Lanes<'_, T>, out: &mut O) {
        match (a, b) {
            (Lanes::Each(a), Lanes::Each(b)) => fill!(out, [mask, a, b], pick(mask, a, b)),
            (Lanes::Each(a), Lanes::Same(b)) => fill!(out, [mask, a], pick(mask, a, b)),
            (Lanes::Same(a), Lanes::Each(b)) => fill!(out, [mask, b], pick(mask, a, b)),
            (Lanes::Same(a), Lanes::Same(b)) => fill!(out, [mask], pick(mask, a, b)),
        }
    }

    /// Cotangents of the argument of a primitive: `y_bar` times the slope, 0 where `y_bar` is 0.
    pub fn unary_pull<R: UnaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        if let [x] = *args {
            fill!(out, [x, y, y_bar], y_bar.zmul(R::d(x, y)));
        }
    }

    /// The same for the first of two arguments.
    pub fn binary_pull0<R: BinaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        if let [a, b] = *args {
            fill!(out, [a, b, y, y_bar], y_bar.zmul(R::d0(a, b, y)));
        }
    }

    /// The same for the second of two arguments.
    pub fn binary_pull1<R: BinaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        if let [a, b] = *args {
            fill!(out, [a, b, y, y_bar], y_bar.zmul(R::d1(a, b, y)));
        }
    }

    /// The same for the first of three arguments.
    pub fn ternary_pull0<R: TernaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        if let [a, b, c] = *args {
            fill!(out, [a, b, c, y, y_bar], y_bar.zmul(R::d0(a, b, c, y)));
        }
    }

    /// The same for the second of three arguments.
    pub fn ternary_pull1<R: TernaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        if let [a, b, c] = *args {
            fill!(out, [a, b, c, y, y_bar], y_bar.zmul(R::d1(a, b, c, y)));
        }
    }

    /// The same for the third of three arguments.
    pub fn ternary_pull2<R: TernaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        if let [a, b, c] = *args {
            fill!(out, [a, b, c, y, y_bar], y_bar.zmul(R::d2(a, b, c, y)));
        }
    }

    /// Adds the elements of `y` to those of `x`.
    pub fn add_to<T: Real>(x: &mut [T], y: &[T]) {
        let n = x.len().min(y.len());
        let (x, y) = (&mut x[..n], &y[..n]);
        for i in 0..n {
            x[i] = x[i] + y[i];
        }
    }

    /// Adds `a` times the elements of `y` to those of `x`.
    pub fn add_scaled<T: Real>(x: &mut [T], a: T, y: &[T]) {
        let n = x.len().min(y.len());
        let (x, y) = (&mut x[..n], &y[..n]);
        for i in 0..n {
            x[i] = x[i] + a * y[i];
        }
    }

    /// The same for products that were made apart, from zero on, and then are added: a zero is positive.
    pub fn add_outer_row<T: Real>(x: &mut [T], a: T, y: &[T]) {
        let n = x.len().min(y.len());
        let (x, y) = (&mut x[..n], &y[..n]);
        for i in 0..n {
            x[i] = x[i] + (T::default() + a * y[i]);
        }
    }

    /// The same for rows of two elements: `sums[i, j]` grows by `x[i] * y[j]`.
    pub fn add_outer_pairs<T: Real>(sums: &mut [T], x: &[T], y: &[T; 2]) {
        let (rows, _) = sums.as_chunks_mut::<2>();
        for (row, &x) in rows.iter_mut().zip(x) {
            row[0] = row[0] + (T::default() + x * y[0]);
            row[1] = row[1] + (T::default() + x * y[1]);
        }
    }

    /// The sum of pairs that lie side by side, each times an element of `by`: of eight pairs in a row, each in its own running sums, and
    /// of those that are left over.
    pub fn sum_of_pairs<T: Real>(by: &[T], pairs: &[T]) -> [T; 2] {
        let n = by.len().min(pairs.len() / 2);
        let ((factors, rest), (rows, left)) = (by[..n].as_chunks::<8>(), pairs[..2 * n].as_chunks::<16>());
        let mut total = [T::default(); 2];
        if !rows.is_empty() {
            let mut sums = [T::default(); 16];
            for (row, factors) in rows.iter().zip(factors) {
                for i in 0..16 {
                    sums[i] = sums[i] + factors[i / 2] * row[i];
                }
            }
            for i in 0..8 {
                sums[i] = sums[i] + sums[i + 8];
            }
            for i in 0..4 {
                sums[i] = sums[i] + sums[i + 4];
            }
            total = [sums[0] + sums[2], sums[1] + sums[3]];
        }
        for (pair, &x) in left.as_chunks::<2>().0.iter().zip(rest) {
            total[0] = total[0] + x * pair[0];
            total[1] = total[1] + x * pair[1];
        }
        total
    }

    /// Appends the products of a pair with each of others that lie side by side, summed in their order.
    pub fn dots_of_pairs<T: Real, O: Room<T>>(pairs: &[T], by: &[T], out: &mut O) {
        let ([x, y], (pairs, _)) = (by, pairs.as_chunks::<2>()) else { return };
        fill!(out, [pairs], (T::default() + *x * pairs[0]) + *y * pairs[1]);
    }

    /// Whether all elements are finite: zero times such is zero.
    pub fn all_finite<T: Real>(x: &[T]) -> bool {
        /// So many that no sum waits for the one before.
        const SUMS: usize = 64;
        let (blocks, rest) = x.as_chunks::<SUMS>();
        let mut sums = [T::default(); SUMS];
        for block in blocks {
            for i in 0..SUMS {
                sums[i] = sums[i] + T::default() * block[i];
            }
        }
        let mut sum = T::default();
        for x in sums {
            sum = sum + x;
        }
        for &x in rest {
            sum = sum + T::default() * x;
        }
        sum == T::default()
    }

    /// Appends the first addends of sums: `a` times the elements.
    pub fn scaled<T: Real, O: Room<T>>(a: T, x: &[T], out: &mut O) {
        fill!(out, [x], T::default() + a * x);
    }

    /// Appends the elements times a slope: 0 where they are 0.
    pub fn times<T: Real, O: Room<T>>(x: &[T], slope: T, out: &mut O) {
        fill!(out, [x], x.zmul(slope));
    }

    /// Appends products of elements: 0 where those of `x` are 0.
    pub fn products<T: Real, O: Room<T>>(x: &[T], y: &[T], out: &mut O) {
        fill!(out, [x, y], x.zmul(y));
    }

    /// Adds the elements of `x` to wider sums and leaves zeros.
    pub fn move_to<T: Real>(sums: &mut [f64], x: &mut [T]) {
        let n = sums.len().min(x.len());
        let (sums, x) = (&mut sums[..n], &mut x[..n]);
        for i in 0..n {
            sums[i] += x[i].to_f64();
            x[i] = T::default();
        }
    }

    /// Appends the negated elements.
    pub fn negate<T: Real, O: Room<T>>(x: &[T], out: &mut O) {
        fill!(out, [x], -x);
    }

    fn all_near<T: Real>(x: &[T]) -> bool {
        let mut near = true;
        for &x in x {
            near &= x.abs() <= T::NEAR_ANGLE;
        }
        near
    }

    fn all_positive<T: Real>(x: &[T]) -> bool {
        let mut near = true;
        for &x in x {
            near &= x >= T::LEAST_NEAR;
        }
        near
    }

    fn lgamma_near<T: Real>(x: &[T], out: &mut Out<'_, T>) {
        fill!(out, [x], x.lgamma_near());
    }

    fn digamma_near<T: Real>(x: &[T], out: &mut Out<'_, T>) {
        fill!(out, [x], x.digamma_near());
    }

    fn lgamma_pull_near<T: Real>(x: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        fill!(out, [x, y_bar], y_bar.zmul(x.digamma_near()));
    }

    fn sin_near<T: Real>(x: &[T], out: &mut Out<'_, T>) {
        fill!(out, [x], x.sin_near());
    }

    fn cos_near<T: Real>(x: &[T], out: &mut Out<'_, T>) {
        fill!(out, [x], x.cos_near());
    }

    fn tan_near<T: Real>(x: &[T], out: &mut Out<'_, T>) {
        fill!(out, [x], x.tan_near());
    }

    fn sin_pull_near<T: Real>(x: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        fill!(out, [x, y_bar], y_bar.zmul(x.cos_near()));
    }

    fn cos_pull_near<T: Real>(x: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
        fill!(out, [x, y_bar], y_bar.zmul(-x.sin_near()));
    }
}

/// Values of the sine. Arguments that its own kernel does not reach are rare: one sends its whole block the slow way.
pub fn sin_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_near, sin_near), T::sin);
}

/// Values of the cosine.
pub fn cos_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_near, cos_near), T::cos);
}

/// Values of the tangent.
pub fn tan_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_near, tan_near), T::tan);
}

/// Values of the logarithm of the gamma function; fast for positive numbers.
pub fn lgamma_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_positive, lgamma_near), T::lgamma);
}

/// Values of its derivative.
pub fn digamma_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_positive, digamma_near), T::digamma);
}

/// Elements that go the fast way together.
const BLOCK: usize = 256;

/// Whether a kernel reaches all of a block, and such kernels: of values, and of cotangents.
type Reached<T> = fn(&[T]) -> bool;
type Near<T> = fn(&[T], &mut Out<'_, T>);
type PullNear<T> = fn(&[T], &[T], &mut Out<'_, T>);

/// Blocks that a kernel reaches as a whole by it, others number by number.
fn by_blocks<T: Real>(
    n: usize,
    args: &[Lanes<'_, T>],
    out: &mut Out<'_, T>,
    (reached, near): (Reached<T>, Near<T>),
    any: fn(T) -> T,
) {
    match *args {
        [Lanes::Each(x)] => {
            out.reserve(x.len());
            for x in x.chunks(BLOCK) {
                if reached(x) {
                    near(x, out);
                } else {
                    out.extend(x.iter().map(|&x| any(x)));
                }
            }
        }
        [Lanes::Same(x)] => out.extend(std::iter::repeat_n(any(x), n)),
        _ => {}
    }
}

/// Cotangents of the sine's argument.
pub fn sin_pull<T: Real>(args: &[&[T]], _: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
    pull_by_blocks(args, y_bar, out, (all_near, sin_pull_near), |x, y_bar| y_bar.zmul(x.cos()));
}

/// Cotangents of the cosine's argument.
pub fn cos_pull<T: Real>(args: &[&[T]], _: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
    pull_by_blocks(args, y_bar, out, (all_near, cos_pull_near), |x, y_bar| y_bar.zmul(-x.sin()));
}

/// Cotangents of the argument of the logarithm of the gamma function.
pub fn lgamma_pull<T: Real>(args: &[&[T]], _: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
    pull_by_blocks(args, y_bar, out, (all_positive, lgamma_pull_near), |x, y_bar| y_bar.zmul(x.digamma()));
}

fn pull_by_blocks<T: Real>(
    args: &[&[T]],
    y_bar: &[T],
    out: &mut Out<'_, T>,
    (reached, near): (Reached<T>, PullNear<T>),
    any: fn(T, T) -> T,
) {
    let [x] = *args else { return };
    out.reserve(x.len());
    for (x, y_bar) in x.chunks(BLOCK).zip(y_bar.chunks(BLOCK)) {
        if reached(x) {
            near(x, y_bar, out);
        } else {
            out.extend(x.iter().zip(y_bar).map(|(&x, &y_bar)| any(x, y_bar)));
        }
    }
}
