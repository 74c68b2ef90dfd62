//! Running results along one axis, and row functions that give as many numbers as they take (softmax).

use super::cast::Float;
use super::reduce::{max_slice, rows, sum_slice, unrows};
use super::simd::kernels::{exp_below, less_share};

/// Runs `f(row, out)` over the rows along `axes` and puts the results back in place. `f` appends as many as it reads.
pub fn map_rows<T: Float>(data: &[T], shape: &[usize], axes: &[usize], mut f: impl FnMut(&[T], &mut Vec<T>)) -> Vec<T> {
    let (rows, n) = rows(data, shape, axes);
    let mut out = Vec::with_capacity(data.len());
    if n > 0 {
        rows.chunks_exact(n).for_each(|row| f(row, &mut out));
    }
    unrows(out, shape, axes)
}

/// The same over two tensors of one shape.
pub fn zip_rows<T: Float>(
    a: &[T],
    b: &[T],
    shape: &[usize],
    axes: &[usize],
    mut f: impl FnMut(&[T], &[T], &mut Vec<T>),
) -> Vec<T> {
    let ((a, n), (b, _)) = (rows(a, shape, axes), rows(b, shape, axes));
    let mut out = Vec::with_capacity(a.len());
    if n > 0 {
        a.chunks_exact(n).zip(b.chunks_exact(n)).for_each(|(a, b)| f(a, b, &mut out));
    }
    unrows(out, shape, axes)
}

/// Softmax of a row; infinities share 1, a row of -inf gives zeros.
pub fn softmax<T: Float>(row: &[T], out: &mut Vec<T>) {
    let Some(max) = max_slice(row) else { return };
    if max.abs() == T::INFINITY {
        // Equal shares of the infinities; nothing for -inf.
        let ties = row.iter().filter(|&&x| x == max).count();
        let share = if max > T::c(0.0) { T::c(1.0 / ties as f64) } else { T::c(0.0) };
        out.extend(row.iter().map(|&x| if x == max { share } else { T::c(0.0) }));
        return;
    }
    let start = out.len();
    exp_below(row, max, out);
    if let Some(done) = out.get_mut(start..) {
        let scale = T::c(1.0 / sum_slice(done));
        done.iter_mut().for_each(|x| *x = *x * scale);
    }
}

/// `log(sum(exp(row)))`; -inf for an empty row.
pub fn logsumexp<T: Float>(row: &[T], scratch: &mut Vec<T>) -> f64 {
    let Some(max) = max_slice(row) else { return f64::NEG_INFINITY };
    if max.abs() == T::INFINITY {
        return max.to_f64();
    }
    scratch.clear();
    exp_below(row, max, scratch);
    max.to_f64() + sum_slice(scratch).ln()
}

/// Logarithm of the softmax of a row; of a row of -inf, -inf.
pub fn log_softmax<T: Float>(row: &[T], out: &mut Vec<T>, scratch: &mut Vec<T>) {
    let max = max_slice(row).unwrap_or_default();
    if max == T::INFINITY {
        let ties = row.iter().filter(|&&x| x == max).count();
        let top = T::c(-(ties as f64).ln());
        out.extend(row.iter().map(|&x| if x == max { top } else { -T::INFINITY }));
        return;
    }
    if max == -T::INFINITY {
        out.extend_from_slice(row);
        return;
    }
    scratch.clear();
    exp_below(row, max, scratch);
    let log = T::c(sum_slice(scratch).ln());
    out.extend(row.iter().map(|&x| x - max - log));
}

/// `y * (g - sum(y * g))`
pub fn softmax_pull<T: Float>(y: &[T], g: &[T], out: &mut Vec<T>) {
    let start = out.len();
    out.extend(y.iter().zip(g).map(|(&y, &g)| g.zmul(y)));
    if let Some(products) = out.get_mut(start..) {
        let sum = T::c(sum_slice(products));
        for (p, (&y, &g)) in products.iter_mut().zip(y.iter().zip(g)) {
            *p = (g - sum).zmul(y);
        }
    }
}

/// `g - exp(y) * sum(g)`; zeros for a row of -inf.
pub fn log_softmax_pull<T: Float>(y: &[T], g: &[T], out: &mut Vec<T>) {
    if y.iter().all(|&y| y == -T::INFINITY) {
        out.extend(y.iter().map(|_| T::c(0.0)));
        return;
    }
    let sum = T::c(sum_slice(g));
    less_share(y, g, sum, out);
}

/// Running sums; from the end if `reverse`.
pub fn cumsum<T: Float>(row: &[T], out: &mut Vec<T>, reverse: bool) {
    let start = out.len();
    let mut sum = 0.0;
    let mut step = |x: &T| {
        sum += x.to_f64();
        T::c(sum)
    };
    if reverse {
        out.extend(row.iter().rev().map(&mut step));
        if let Some(done) = out.get_mut(start..) {
            done.reverse();
        }
    } else {
        out.extend(row.iter().map(&mut step));
    }
}

/// Running products.
pub fn cumprod<T: Float>(row: &[T], out: &mut Vec<T>) {
    let mut product = 1.0;
    out.extend(row.iter().map(|x| {
        product *= x.to_f64();
        T::c(product)
    }));
}

/// Running folds `acc = f(acc, x)` down the columns of matrices `[n, inner]`, row by row: what running sums and products along an axis
/// that is not the last come to, without turning the tensor.
pub fn fold_down<T: Float>(data: &[T], n: usize, inner: usize, start: f64, f: impl Fn(f64, f64) -> f64) -> Vec<T> {
    let mut out = Vec::with_capacity(data.len());
    let mut acc = vec![start; inner];
    for matrix in data.chunks_exact((n * inner).max(1)) {
        acc.fill(start);
        for row in matrix.chunks_exact(inner) {
            out.extend(acc.iter_mut().zip(row).map(|(acc, x)| {
                *acc = f(*acc, x.to_f64());
                T::c(*acc)
            }));
        }
    }
    out
}

/// Running maxima, or minima; NaN from the first NaN on.
pub fn running_extremum<T: Float>(row: &[T], out: &mut Vec<T>, largest: bool) {
    let mut best: Option<T> = None;
    out.extend(row.iter().map(|&x| {
        let next = match best {
            Some(b) if b.is_nan() || (!x.is_nan() && (b == x || (b > x) == largest)) => b,
            _ => x,
        };
        best = Some(next);
        next
    }));
}

/// The slope of each running extremum in its own element: 1 if it is beyond the one before, 0 if not, a half at a tie.
pub fn running_shares<T: Float>(row: &[T], out: &mut Vec<T>, largest: bool) {
    let mut best: Option<T> = None;
    out.extend(row.iter().map(|&x| {
        let (next, share) = match best {
            _ if x.is_nan() => (x, x),
            Some(b) if b.is_nan() => (b, b),
            Some(b) if b == x => (b, T::c(0.5)),
            Some(b) if (b > x) == largest => (b, T::c(0.0)),
            _ => (x, T::c(1.0)),
        };
        best = Some(next);
        share
    }));
}

/// Logarithms of the running sums of the exponentials.
pub fn running_logsumexp<T: Float>(row: &[T], out: &mut Vec<T>) {
    let mut sum = f64::NEG_INFINITY;
    out.extend(row.iter().map(|x| {
        let x = x.to_f64();
        let (hi, lo) = if sum > x { (sum, x) } else { (x, sum) };
        // Two infinities of one sign have no difference; NaN goes on.
        sum = if hi == lo { hi + std::f64::consts::LN_2 } else { hi + (lo - hi).exp().ln_1p() };
        T::c(sum)
    }));
}

/// `h[i] = a[i] * h[i - 1] + b[i]` from `h[-1] = 0`; from the end (with `h[i + 1]`) if `reverse`. As `h` is a tangent or
/// cotangent, 0 stays 0 whatever the factor.
pub fn linear_recurrence<T: Float>(a: &[T], b: &[T], out: &mut Vec<T>, reverse: bool) {
    let start = out.len();
    let mut h = T::c(0.0);
    // The first factor meets nothing, and must not make NaN of it.
    let mut first = true;
    let mut step = |(&a, &b): (&T, &T)| {
        h = if first || h == T::c(0.0) { b } else { a * h + b };
        first = false;
        h
    };
    if reverse {
        out.extend(a.iter().zip(b).rev().map(&mut step));
        if let Some(done) = out.get_mut(start..) {
            done.reverse();
        }
    } else {
        out.extend(a.iter().zip(b).map(&mut step));
    }
}

/// For each element the product of all others, without division.
pub fn products_of_others<T: Float>(row: &[T], out: &mut Vec<T>) {
    let start = out.len();
    let mut product = T::c(1.0);
    out.extend(row.iter().map(|&x| {
        let before = product;
        product = product * x;
        before
    }));
    let mut product = T::c(1.0);
    if let Some(before) = out.get_mut(start..) {
        for (b, &x) in before.iter_mut().zip(row).rev() {
            *b = *b * product;
            product = product * x;
        }
    }
}

/// The row moved by `by` places, with `fill` where nothing comes from.
pub fn shift<T: Float>(row: &[T], out: &mut Vec<T>, by: i64, fill: T) {
    let n = row.len() as i64;
    out.extend((0..n).map(|i| {
        let from = i.checked_sub(by).and_then(|k| usize::try_from(k).ok());
        from.and_then(|k| row.get(k)).copied().unwrap_or(fill)
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(f: impl FnOnce(&mut Vec<f64>)) -> Vec<f64> {
        let mut v = vec![];
        f(&mut v);
        v
    }

    #[test]
    fn softmax_conventions() {
        let inf = f64::INFINITY;
        assert_eq!(out(|o| softmax(&[-inf, -inf], o)), [0.0, 0.0]);
        assert_eq!(out(|o| softmax(&[0.0, inf], o)), [0.0, 1.0]);
        assert_eq!(out(|o| softmax(&[1000.0, 1000.0], o)), [0.5, 0.5]);
        assert!(out(|o| softmax(&[f64::NAN, 1.0], o)).iter().all(|x| x.is_nan()));
        assert_eq!(logsumexp(&[-inf, -inf], &mut vec![]), -inf);
        assert_eq!(logsumexp::<f64>(&[], &mut vec![]), -inf);
        assert_eq!(logsumexp(&[0.0, inf], &mut vec![]), inf);
        assert_eq!(out(|o| log_softmax(&[-inf, -inf], o, &mut vec![])), [-inf, -inf]);
        assert_eq!(out(|o| log_softmax_pull(&[-inf, -inf], &[1.0, 2.0], o)), [0.0, 0.0]);
    }

    #[test]
    fn running() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(out(|o| running_extremum(&[1.0, 3.0, 2.0, 4.0], o, true)), [1.0, 3.0, 3.0, 4.0]);
        assert_eq!(out(|o| running_extremum(&[3.0, 1.0, 2.0], o, false)), [3.0, 1.0, 1.0]);
        let broken = out(|o| running_extremum(&[1.0, nan, 2.0], o, true));
        assert!(broken[0] == 1.0 && broken[1].is_nan() && broken[2].is_nan());
        assert_eq!(out(|o| running_shares(&[-inf, -inf, 2.0, 1.0], o, true)), [1.0, 0.5, 1.0, 0.0]);
        let sums = out(|o| running_logsumexp(&[-inf, 0.0, 0.0, inf, 1.0], o));
        assert_eq!(sums[..2], [-inf, 0.0]);
        assert!((sums[2] - 2f64.ln()).abs() < 1e-15);
        assert_eq!(sums[3..], [inf, inf]);
        assert!(out(|o| running_logsumexp(&[nan, 0.0], o))[1].is_nan());
    }

    #[test]
    fn folds_down_columns() {
        let sums = fold_down(&[1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0], 2, 2, 0.0, |a, x| a + x);
        assert_eq!(sums, [1.0, 2.0, 4.0, 6.0, 10.0, 20.0, 40.0, 60.0]);
        assert!(fold_down::<f32>(&[], 0, 3, 0.0, |a, x| a + x).is_empty());
    }

    #[test]
    fn scans() {
        assert_eq!(out(|o| cumsum(&[1.0, 2.0, 3.0], o, true)), [6.0, 5.0, 3.0]);
        assert_eq!(out(|o| products_of_others(&[2.0, 0.0, 3.0], o)), [0.0, 6.0, 0.0]);
        assert_eq!(out(|o| linear_recurrence(&[9.0, 2.0, 3.0], &[1.0, 1.0, 1.0], o, false)), [1.0, 3.0, 10.0]);
        assert_eq!(out(|o| linear_recurrence(&[0.0, f64::NAN], &[0.0, 1.0], o, false)), [0.0, 1.0]);
        assert_eq!(out(|o| shift(&[1.0, 2.0, 3.0], o, 1, 7.0)), [7.0, 1.0, 2.0]);
        assert_eq!(out(|o| shift(&[1.0, 2.0, 3.0], o, -1, 7.0)), [2.0, 3.0, 7.0]);
    }
}
