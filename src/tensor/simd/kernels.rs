//! Loops of elementwise primitives over lanes: values, and cotangents times partials. Each appends.

use super::poly::pick;
use super::{fill, per_element};
use crate::ops::lanes::{BinaryRule, TernaryRule, UnaryRule};
use crate::ops::real::Real;
use crate::tensor::create::Element;
use crate::tensor::lanes::Lanes;
use crate::tensor::out::{Out, Room, over};
use crate::wide;

per_element! {
    fn each<R: UnaryRule, T: Real>(; x: T) -> T { R::f(x) }
    fn each_of_two<R: BinaryRule, T: Real>(; a: T, b: T) -> T { R::f(a, b) }
    fn each_and_number<R: BinaryRule, T: Real>(b: T; a: T) -> T { R::f(a, b) }
    fn number_and_each<R: BinaryRule, T: Real>(a: T; b: T) -> T { R::f(a, b) }

    fn pull<R: UnaryRule, T: Real>(; x: T, y: T, y_bar: T) -> T { y_bar.zmul(R::d(x, y)) }
    fn pull_first<R: BinaryRule, T: Real>(; a: T, b: T, y: T, y_bar: T) -> T { y_bar.zmul(R::d0(a, b, y)) }
    fn pull_second<R: BinaryRule, T: Real>(; a: T, b: T, y: T, y_bar: T) -> T { y_bar.zmul(R::d1(a, b, y)) }

    fn dots_with<T: Real>(x: T, y: T; pair: [T; 2]) -> T { (T::default() + x * pair[0]) + y * pair[1] }

    /// Appends the first addends of sums: `a` times the elements.
    pub fn scaled<T: Real>(a: T; x: T) -> T { T::default() + a * x }

    /// Appends the elements times a slope: 0 where they are 0.
    pub fn times<T: Real>(slope: T; x: T) -> T { x.zmul(slope) }

    /// Appends products of elements: 0 where those of `x` are 0.
    pub fn products<T: Real>(; x: T, y: T) -> T { x.zmul(y) }

    /// Appends the negated elements.
    pub fn negate<T: Real>(; x: T) -> T { -x }

    fn sin_near<T: Real>(; x: T) -> T { x.sin_near() }
    fn cos_near<T: Real>(; x: T) -> T { x.cos_near() }
    fn tan_near<T: Real>(; x: T) -> T { x.tan_near() }
    fn lgamma_near<T: Real>(; x: T) -> T { x.lgamma_near() }
    fn digamma_near<T: Real>(; x: T) -> T { x.digamma_near() }
    fn lgamma_pull_near<T: Real>(; x: T, y_bar: T) -> T { y_bar.zmul(x.digamma_near()) }
    fn sin_pull_near<T: Real>(; x: T, y_bar: T) -> T { y_bar.zmul(x.cos_near()) }
    fn cos_pull_near<T: Real>(; x: T, y_bar: T) -> T { y_bar.zmul(-x.sin_near()) }
}

/// Values of a primitive of one argument.
pub fn unary_lanes<R: UnaryRule, T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    match *args {
        [Lanes::Each(x)] => each::<R, T, _>(x, out),
        [Lanes::Same(x)] => same(n, out, |one| each::<R, T, _>(&[x], one)),
        _ => {}
    }
}

/// Values of a primitive of two arguments.
pub fn binary_lanes<R: BinaryRule, T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    match *args {
        [Lanes::Each(a), Lanes::Each(b)] => each_of_two::<R, T, _>(a, b, out),
        [Lanes::Each(a), Lanes::Same(b)] => each_and_number::<R, T, _>(b, a, out),
        [Lanes::Same(a), Lanes::Each(b)] => number_and_each::<R, T, _>(a, b, out),
        [Lanes::Same(a), Lanes::Same(b)] => same(n, out, |one| each_of_two::<R, T, _>(&[a], &[b], one)),
        _ => {}
    }
}

/// Appends `n` times what `f` appends once.
fn same<T: Real>(n: usize, out: &mut Out<'_, T>, f: impl FnOnce(&mut Out<'_, T>)) {
    let mut one = [T::default()];
    over(&mut one, f);
    out.extend(std::iter::repeat_n(one[0], n));
}

/// Cotangents of the argument of a primitive: `y_bar` times the slope, 0 where `y_bar` is 0.
pub fn unary_pull<R: UnaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
    if let [x] = *args {
        pull::<R, T, _>(x, y, y_bar, out);
    }
}

/// The same for the first of two arguments.
pub fn binary_pull0<R: BinaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
    if let [a, b] = *args {
        pull_first::<R, T, _>(a, b, y, y_bar, out);
    }
}

/// The same for the second of two arguments.
pub fn binary_pull1<R: BinaryRule, T: Real>(args: &[&[T]], y: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
    if let [a, b] = *args {
        pull_second::<R, T, _>(a, b, y, y_bar, out);
    }
}

/// Appends the products of a pair with each of others that lie side by side, summed in their order.
pub fn dots_of_pairs<T: Real, O: Room<T>>(pairs: &[T], by: &[T], out: &mut O) {
    let ([x, y], (pairs, _)) = (by, pairs.as_chunks::<2>()) else { return };
    dots_with(*x, *y, pairs, out);
}

wide! {
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

    /// Cotangents of the first of three arguments: `y_bar` times the slope, 0 where `y_bar` is 0.
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
        let mut finite = true;
        if !blocks.is_empty() {
            for sum in sums {
                finite &= sum == T::default();
            }
        }
        // No sum: each of a few would wait for the one before.
        for &x in rest {
            finite &= T::default() * x == T::default();
        }
        finite
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
}

/// Values of the sine. Arguments that its own kernel does not reach are rare: one sends its whole block the slow way.
pub fn sin_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_near, |x, out| sin_near(x, out)), T::sin);
}

/// Values of the cosine.
pub fn cos_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_near, |x, out| cos_near(x, out)), T::cos);
}

/// Values of the tangent.
pub fn tan_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_near, |x, out| tan_near(x, out)), T::tan);
}

/// Values of the logarithm of the gamma function; fast for positive numbers.
pub fn lgamma_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_positive, |x, out| lgamma_near(x, out)), T::lgamma);
}

/// Values of its derivative.
pub fn digamma_lanes<T: Real>(n: usize, args: &[Lanes<'_, T>], out: &mut Out<'_, T>) {
    by_blocks(n, args, out, (all_positive, |x, out| digamma_near(x, out)), T::digamma);
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
    pull_by_blocks(args, y_bar, out, (all_near, |x, y_bar, out| sin_pull_near(x, y_bar, out)), |x, y_bar| {
        y_bar.zmul(x.cos())
    });
}

/// Cotangents of the cosine's argument.
pub fn cos_pull<T: Real>(args: &[&[T]], _: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
    pull_by_blocks(args, y_bar, out, (all_near, |x, y_bar, out| cos_pull_near(x, y_bar, out)), |x, y_bar| {
        y_bar.zmul(-x.sin())
    });
}

/// Cotangents of the argument of the logarithm of the gamma function.
pub fn lgamma_pull<T: Real>(args: &[&[T]], _: &[T], y_bar: &[T], out: &mut Out<'_, T>) {
    pull_by_blocks(args, y_bar, out, (all_positive, |x, y_bar, out| lgamma_pull_near(x, y_bar, out)), |x, y_bar| {
        y_bar.zmul(x.digamma())
    });
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
