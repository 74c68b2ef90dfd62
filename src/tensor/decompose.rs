//! Decompositions of one matrix by `nalgebra`, which nothing else names.
//!
//! In and out: row-major buffers of f64 and their sizes; matrices of no elements are allowed. Signs that a decomposition
//! leaves open are fixed here, so that its results are functions of the matrix that vary smoothly.

use nalgebra::{DMatrix, DVector, Dyn, linalg};

use super::blocked;
use super::matrices::transposed;
use crate::error::{Error, Result};

fn matrix(rows: usize, cols: usize, a: &[f64]) -> DMatrix<f64> {
    DMatrix::from_row_slice(rows, cols, a)
}

/// Row by row.
fn buffer(m: &DMatrix<f64>) -> Vec<f64> {
    transposed(m.ncols(), m.nrows(), m.as_slice())
}

#[cold]
fn not_finite(name: &str) -> Error {
    Error::new("E0464", format!("the matrix given to {name} has an entry that is NaN or infinite"))
        .operand(0, "this must be finite")
}

/// Refuses entries on which iterations would not end.
pub fn finite(name: &str, a: &[f64]) -> Result<()> {
    if a.iter().all(|x| x.is_finite()) { Ok(()) } else { Err(not_finite(name)) }
}

/// After how many steps an iteration has failed; a few for each value are usual.
fn patience(n: usize) -> usize {
    1000 + 100 * n
}

#[cold]
fn no_convergence(name: &str) -> Error {
    Error::new("E0464", format!("{name} of this matrix does not converge"))
        .help("very large or very small entries may be why: scale the matrix")
}

// ---- triangular factors with row exchanges ----

/// `P A = L U` of a square matrix.
pub struct Factors {
    n: usize,
    lu: Lu,
}

/// Large matrices go block by block.
enum Lu {
    Small(linalg::LU<f64, Dyn, Dyn>),
    Large(blocked::Lu),
}

impl Factors {
    pub fn of(n: usize, a: &[f64]) -> Factors {
        let large = if n >= blocked::LARGE { blocked::Lu::of(n, a).ok() } else { None };
        let lu = large.map_or_else(|| Lu::Small(linalg::LU::new(matrix(n, n, a))), Lu::Large);
        Factors { n, lu }
    }

    fn pivots(&self) -> DVector<f64> {
        match &self.lu {
            Lu::Small(lu) => lu.lu_internal().diagonal(),
            Lu::Large(lu) => DVector::from_vec(lu.pivots()),
        }
    }

    /// 1 or -1: whether the rows were exchanged an even number of times.
    fn parity(&self) -> f64 {
        match &self.lu {
            Lu::Small(lu) => lu.p().determinant(),
            Lu::Large(lu) => lu.parity(),
        }
    }

    pub fn determinant(&self) -> f64 {
        self.pivots().iter().product::<f64>() * self.parity()
    }

    /// Sign and logarithm of the size of the determinant.
    pub fn log_determinant(&self) -> (f64, f64) {
        self.pivots().iter().fold((self.parity(), 0.0), |(sign, log), &p| {
            (if p == 0.0 { 0.0 } else { sign * p.signum() }, log + p.abs().ln())
        })
    }

    /// The columns `x` with `A x = b`.
    pub fn solve(&self, columns: usize, b: &[f64]) -> Vec<f64> {
        if b.is_empty() {
            return vec![];
        }
        let none = || vec![f64::NAN; b.len()];
        match &self.lu {
            Lu::Small(lu) => {
                let mut x = matrix(self.n, columns, b);
                if lu.solve_mut(&mut x) { buffer(&x) } else { none() }
            }
            Lu::Large(lu) => lu.solve(columns, b).unwrap_or_else(|_| none()),
        }
    }

    pub fn inverse(&self) -> Vec<f64> {
        self.solve(self.n, DMatrix::identity(self.n, self.n).as_slice())
    }

    /// Smallest pivot relative to the largest.
    fn least_pivot(&self) -> f64 {
        let sizes = self.pivots().map(f64::abs);
        let largest = sizes.iter().fold(0.0f64, |m, &x| m.max(x));
        let least = sizes.iter().fold(f64::INFINITY, |m, &x| m.min(x));
        if least == 0.0 { 0.0 } else { least / largest }
    }

    /// The condition number, in the norm of row sums after rows and columns are scaled to a largest entry of 1, if it is
    /// so large that nothing is left of `1 / epsilon`. It is computed only if the pivots make one suspicious.
    pub fn bad_condition(&self, a: &[f64], epsilon: f64) -> Option<f64> {
        let n = self.n;
        let least = self.least_pivot();
        if least == 0.0 {
            return Some(f64::INFINITY);
        }
        // Also of entries that are NaN, which stay what they are.
        if n == 0 || least.is_nan() || least > n as f64 * epsilon.sqrt() {
            return None;
        }
        let largest = |m: f64, x: f64| m.max(x.abs());
        let row: Vec<f64> = a.chunks_exact(n).map(|r| r.iter().copied().fold(0.0, largest)).collect();
        let mut scaled = matrix(n, n, a);
        scaled.row_iter_mut().zip(&row).for_each(|(mut r, s)| r /= *s);
        let column: Vec<f64> = scaled.column_iter().map(|c| c.iter().copied().fold(0.0, largest)).collect();
        scaled.column_iter_mut().zip(&column).for_each(|(mut c, s)| c /= *s);
        let mut inverse = matrix(n, n, &self.inverse());
        inverse.column_iter_mut().zip(&row).for_each(|(mut c, s)| c *= *s);
        inverse.row_iter_mut().zip(&column).for_each(|(mut r, s)| r *= *s);
        let norm = |m: &DMatrix<f64>| m.row_iter().map(|r| r.iter().map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max);
        let condition = norm(&scaled) * norm(&inverse);
        let bad = condition.is_nan() || condition >= 1.0 / epsilon;
        bad.then_some(if condition.is_nan() { f64::INFINITY } else { condition })
    }
}

/// `x` with `T x = b`, or with `turned`, `T^T x = b`, for the lower or upper triangle T of `a`.
pub fn solve_triangular(n: usize, a: &[f64], columns: usize, b: &[f64], lower: bool, turned: bool) -> Vec<f64> {
    if b.is_empty() {
        return vec![];
    }
    let diagonal = || a.iter().step_by(n + 1);
    if n >= blocked::LARGE && diagonal().all(|x| *x != 0.0) {
        let mut x = b.to_vec();
        let turned = if turned { Some(transposed(n, n, a)) } else { None };
        let t = turned.as_deref().unwrap_or(a);
        let done = if lower != turned.is_some() {
            blocked::solve_lower(n, t, false, columns, &mut x)
        } else {
            blocked::solve_upper(n, t, columns, &mut x)
        };
        return if done.is_ok() { x } else { vec![f64::NAN; b.len()] };
    }
    let (t, mut x) = (matrix(n, n, a), matrix(n, columns, b));
    let solved = match (lower, turned) {
        (true, false) => t.solve_lower_triangular_mut(&mut x),
        (false, false) => t.solve_upper_triangular_mut(&mut x),
        (true, true) => t.tr_solve_lower_triangular_mut(&mut x),
        (false, true) => t.tr_solve_upper_triangular_mut(&mut x),
    };
    if solved { buffer(&x) } else { vec![f64::NAN; b.len()] }
}

// ---- cofactors ----

/// Matrices whose pivots differ by less are inverted for their cofactors.
const REGULAR: f64 = 1e-4;

/// The determinants, with their signs, of the matrix without row i and column j.
pub fn cofactors(n: usize, a: &[f64]) -> Result<Vec<f64>> {
    if n == 0 || !a.iter().all(|x| x.is_finite()) {
        return Ok(vec![f64::NAN; n * n]);
    }
    let factors = Factors::of(n, a);
    if factors.least_pivot() > REGULAR {
        let d = factors.determinant();
        return Ok(transposed(n, n, &factors.inverse()).into_iter().map(|x| d * x).collect());
    }
    let s = Singular::of(n, a)?;
    let inside = DMatrix::from_fn(n, n, |i, j| if i == j { s.product_without(&[i]) } else { 0.0 });
    Ok(s.rotated(&inside))
}

/// The derivative of the cofactors in direction `e`.
pub fn cofactors_change(n: usize, a: &[f64], e: &[f64]) -> Result<Vec<f64>> {
    if e.iter().all(|&x| x == 0.0) {
        return Ok(vec![0.0; n * n]);
    }
    if n == 0 || !a.iter().all(|x| x.is_finite()) {
        return Ok(vec![f64::NAN; n * n]);
    }
    let factors = Factors::of(n, a);
    if factors.least_pivot() > REGULAR {
        // d (tr(X e) X - X e X)^T with the inverse X
        let x = matrix(n, n, &factors.inverse());
        let moved = &x * matrix(n, n, e);
        let change = &x * moved.trace() - moved * &x;
        return Ok(buffer(&(change.transpose() * factors.determinant())));
    }
    // For a diagonal matrix: entry i, i sees every other change on the diagonal; entry i, j only that of entry j, i.
    let s = Singular::of(n, a)?;
    let moved = s.u.transpose() * matrix(n, n, e) * s.vt.transpose();
    let inside = DMatrix::from_fn(n, n, |i, j| {
        if i == j {
            (0..n).filter(|&k| k != i).map(|k| moved[(k, k)] * s.product_without(&[i, k])).sum()
        } else {
            -moved[(j, i)] * s.product_without(&[i, j])
        }
    });
    Ok(s.rotated(&inside))
}

/// A square matrix by its singular values, for what is a polynomial of them.
struct Singular {
    u: DMatrix<f64>,
    s: DVector<f64>,
    vt: DMatrix<f64>,
    /// The determinant of `u vt`, 1 or -1.
    sign: f64,
}

impl Singular {
    fn of(n: usize, a: &[f64]) -> Result<Singular> {
        let (u, s, vt) = svd_of(n, n, a)?;
        let sign = (&u * &vt).determinant().signum();
        // What is 0 but for rounding is 0: the cofactors of a matrix of low rank are exactly none.
        let least = s.max() * n as f64 * f64::EPSILON;
        Ok(Singular { u, s: s.map(|x| if x > least { x } else { 0.0 }), vt, sign })
    }

    /// The product of the values but for some.
    fn product_without(&self, left_out: &[usize]) -> f64 {
        self.s.iter().enumerate().filter(|(i, _)| !left_out.contains(i)).map(|(_, s)| s).product()
    }

    /// A matrix in the directions of the singular vectors, in those of the entries.
    fn rotated(&self, inside: &DMatrix<f64>) -> Vec<f64> {
        buffer(&((&self.u * inside * &self.vt) * self.sign))
    }
}

// ---- symmetric matrices ----

/// The lower triangular L with `L L^T` the matrix, or the order of the first leading minor that is not positive.
pub fn cholesky(n: usize, a: &[f64]) -> std::result::Result<Vec<f64>, usize> {
    if n >= blocked::LARGE
        && let Ok(found) = blocked::cholesky(n, a)
    {
        return found;
    }
    if let Some(cholesky) = linalg::Cholesky::new(matrix(n, n, a)) {
        return Ok(buffer(&cholesky.l()));
    }
    let whole = matrix(n, n, a);
    let definite = |k: usize| linalg::Cholesky::new(whole.view((0, 0), (k, k)).into_owned()).is_some();
    // All leading blocks of a definite block are definite.
    let (mut good, mut bad) = (0, n);
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if definite(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Err(bad)
}

/// Eigenvalues in ascending order and their vectors as columns, the largest entry of each positive.
pub fn eigh(n: usize, a: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    if n == 0 {
        return Ok((vec![], vec![]));
    }
    let scale = power_of_two(a);
    let scaled: Vec<f64> = a.iter().map(|x| x / scale).collect();
    let eigen = linalg::SymmetricEigen::try_new(matrix(n, n, &scaled), f64::EPSILON, patience(n))
        .ok_or_else(|| no_convergence("eigh"))?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| eigen.eigenvalues[i].total_cmp(&eigen.eigenvalues[j]));
    let values = order.iter().map(|&i| eigen.eigenvalues[i] * scale).collect();
    let mut vectors = eigen.eigenvectors.select_columns(&order);
    for mut column in vectors.column_iter_mut() {
        if is_negative(column.as_slice()) {
            column.neg_mut();
        }
    }
    Ok((values, buffer(&vectors)))
}

/// The size of the largest entry as a power of two, by which dividing is exact; 1 for ordinary sizes.
fn power_of_two(entries: &[f64]) -> f64 {
    let largest = entries.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() || (1e-100..1e100).contains(&largest) {
        return 1.0;
    }
    largest.log2().floor().clamp(-1021.0, 1022.0).exp2()
}

/// True if the largest of the entries (the first of several) is negative.
fn is_negative(entries: &[f64]) -> bool {
    let largest = entries.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    // Entries that are equal but for rounding count as equal, lest noise decides.
    entries.iter().find(|x| x.abs() >= largest * (1.0 - 1e-9)).is_some_and(|x| *x < 0.0)
}

// ---- any matrices ----

/// The thin `(q, r)`, the diagonal of r 0 or more.
pub fn qr(rows: usize, cols: usize, a: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    let k = rows.min(cols);
    if k == 0 {
        return Ok((vec![], vec![]));
    }
    finite("qr", a)?;
    let mut m = matrix(rows, cols, a);
    // Squares of very small and very large entries would not be there.
    let scales: Vec<f64> = (0..cols).map(|j| power_of_two(m.column(j).as_slice())).collect();
    for (mut column, scale) in m.column_iter_mut().zip(&scales) {
        column.iter_mut().for_each(|x| *x /= scale);
    }
    let qr = linalg::QR::new(m);
    let (mut q, mut r) = (qr.q(), qr.r());
    for (mut column, scale) in r.column_iter_mut().zip(&scales) {
        column.iter_mut().for_each(|x| *x *= scale);
    }
    for i in 0..k {
        if r[(i, i)] < 0.0 {
            q.column_mut(i).neg_mut();
            r.row_mut(i).neg_mut();
        }
    }
    Ok((buffer(&q), buffer(&r)))
}

fn svd_of(rows: usize, cols: usize, a: &[f64]) -> Result<(DMatrix<f64>, DVector<f64>, DMatrix<f64>)> {
    finite("svd", a)?;
    let svd = linalg::SVD::try_new(matrix(rows, cols, a), true, true, 5.0 * f64::EPSILON, patience(rows.min(cols)));
    let parts = svd.map(|svd| (svd.u, svd.singular_values, svd.v_t));
    match parts {
        Some((Some(u), s, Some(vt))) => Ok((u, s, vt)),
        _ => Err(no_convergence("svd")),
    }
}

/// The thin `(u, s, vt)`, s in descending order, the largest entry of each column of u positive.
pub fn svd(rows: usize, cols: usize, a: &[f64]) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let k = rows.min(cols);
    if k == 0 {
        return Ok((vec![], vec![], vec![]));
    }
    let (mut u, s, mut vt) = svd_of(rows, cols, a)?;
    for i in 0..k {
        if is_negative(u.column(i).as_slice()) {
            u.column_mut(i).neg_mut();
            vt.row_mut(i).neg_mut();
        }
    }
    Ok((buffer(&u), s.as_slice().to_vec(), buffer(&vt)))
}

/// The pseudo-inverse; singular values up to `rtol` times the largest count as 0.
pub fn pseudo_inverse(rows: usize, cols: usize, a: &[f64], rtol: f64) -> Result<Vec<f64>> {
    if rows.min(cols) == 0 {
        return Ok(vec![]);
    }
    let (u, s, vt) = svd_of(rows, cols, a)?;
    let least = s.max() * rtol;
    let mut v = vt.transpose();
    for (mut column, s) in v.column_iter_mut().zip(s.iter()) {
        column *= if *s > least { 1.0 / s } else { 0.0 };
    }
    Ok(buffer(&(v * u.transpose())))
}
