//! The inverse of a Jacobian at a point, as a fixed linear map on leaves.
//!
//! Being linear with constant coefficients it is its own derivative, and its transpose is that of the Jacobian. Small
//! systems are factored; large ones are solved by GMRES with products alone, so that no matrix is made.

use std::cell::RefCell;
use std::rc::Rc;

use crate::ad::lift;
use crate::ad::slot::Slot;
use crate::ad::transforms::directions::push_all;
use crate::ad::transforms::forward_mode::jvp;
use crate::ad::transforms::group::{Innermost, innermost, primals, record_group};
use crate::ad::transforms::implicit::{Residual, floats};
use crate::ad::transforms::reverse_mode::{Recorded, record};
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor, count};
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

/// Up to so many unknowns the matrix is made.
pub const DENSE: usize = 256;

/// The inverse of the Jacobian of a residual at a point.
pub struct Linear {
    /// The leaves of the unknown and of the residual at the point, for their shapes.
    unknown: Vec<Value>,
    residual: Vec<Value>,
    how: How,
}

enum How {
    Factored(Lu),
    Products { equation: Rc<Residual>, recorded: Box<RefCell<Recorded>>, tol: f64 },
}

impl Linear {
    /// At `x`, where all are plain numbers.
    pub fn at(vm: &mut Vm, equation: Rc<Residual>, x: &[Value], single: bool) -> Result<Linear> {
        let unknown = x.to_vec();
        if floats(x) <= DENSE {
            let (matrix, residual) = matrix(vm, &equation, x)?;
            let lu = Lu::of(matrix).ok_or_else(|| singular(equation.equation.name()))?;
            return Ok(Linear { unknown, residual, how: How::Factored(lu) });
        }
        let recorded =
            record(vm, &Value::tuple(unknown.clone()), |vm, x| Ok(Value::tuple(equation.at(vm, &parts(x))?)))?;
        let residual = parts(&recorded.value);
        let tol = if single { 1e-6 } else { 1e-11 };
        Ok(Linear {
            unknown,
            residual,
            how: How::Products { equation, recorded: Box::new(RefCell::new(recorded)), tol },
        })
    }

    /// On plain numbers.
    fn numbers(&self, vm: &mut Vm, b: &[f64], transposed: bool) -> Result<Vec<f64>> {
        match &self.how {
            How::Factored(lu) => Ok(lu.solve(b, transposed)),
            How::Products { recorded, tol, .. } if transposed => {
                let name = || self.name();
                gmres(b, *tol, name, &mut |v| {
                    let Ok(mut recorded) = recorded.try_borrow_mut() else { return Ok(v.to_vec()) };
                    let seeds = recorded.seeds(&Value::tuple(leaves_of(&self.residual, v)))?;
                    Ok(numbers_of(&parts(&recorded.pull(vm, &seeds, false)?)))
                })
            }
            How::Products { equation, tol, .. } => {
                let name = || self.name();
                gmres(b, *tol, name, &mut |v| product(vm, equation, &self.unknown, v))
            }
        }
    }

    fn name(&self) -> &'static str {
        match &self.how {
            How::Products { equation, .. } => equation.equation.name(),
            How::Factored(_) => "root",
        }
    }
}

/// The Jacobian, a row for each float of the residual, and the residual.
pub fn matrix(vm: &mut Vm, equation: &Residual, x: &[Value]) -> Result<(Vec<Vec<f64>>, Vec<Value>)> {
    let n = floats(x);
    let basis: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let residual = RefCell::new(vec![]);
    let columns = push_all(vm, &Value::tuple(x.to_vec()), &basis, &|vm, x| {
        let r = equation.at(vm, &parts(x))?;
        *residual.borrow_mut() = r.clone();
        Ok(Value::tuple(r))
    })?;
    let mut rows = vec![vec![0.0; n]; n];
    let mut begin = 0;
    for leaf in parts(&columns) {
        let Value::Tensor(_, t) = &leaf else { continue };
        let width = count(t.shape().get(1..).unwrap_or(&[]));
        for (i, y) in t.iter_f64().enumerate() {
            if let Some(row) = rows.get_mut(begin + i % width.max(1)) {
                row[i / width.max(1)] = y;
            }
        }
        begin += width;
    }
    let shapes = residual.into_inner().iter().map(blank).collect();
    Ok((rows, shapes))
}

/// The Jacobian times `v`.
pub fn product(vm: &mut Vm, equation: &Residual, x: &[Value], v: &[f64]) -> Result<Vec<f64>> {
    let (at, along) = (Value::tuple(x.to_vec()), Value::tuple(leaves_of(x, v)));
    let (_, dy) = jvp(vm, &at, &along, |vm, x| Ok(Value::tuple(equation.at(vm, &parts(x))?)))?;
    Ok(numbers_of(&parts(&dy)))
}

/// Zeros in the shape of a leaf.
fn blank(leaf: &Value) -> Value {
    match leaf.tensor_dtype() {
        Some(dtype) => Value::Tensor(Slot::CONST, Rc::new(Tensor::zeros(leaf.shape().unwrap_or(&[]), dtype))),
        None => Value::float(0.0),
    }
}

/// The inverse (or its transpose) applied to leaves that may be differentiated.
pub fn apply_inverse(vm: &mut Vm, map: &Rc<Linear>, b: Vec<Value>, transposed: bool) -> Result<Vec<Value>> {
    match innermost(&vm.cx, &b)? {
        Innermost::Nothing => {
            let y = map.numbers(vm, &numbers_of(&b), transposed)?;
            Ok(leaves_of(if transposed { &map.residual } else { &map.unknown }, &y))
        }
        Innermost::Reverse(level) => {
            let below = primals(&vm.cx, &b, level)?;
            let y = apply_inverse(vm, map, below, transposed)?;
            let pullback = Value::native(Inverse { map: map.clone(), transposed: !transposed });
            Ok(parts(&record_group(&mut vm.cx, level, b, &Value::tuple(y), pullback)?))
        }
        Innermost::Forward(level) => {
            let below = primals(&vm.cx, &b, level)?;
            let tangents = vm.cx.read_tangents(&Value::tuple(b), level)?;
            let y = Value::tuple(apply_inverse(vm, map, below, transposed)?);
            let dy = Value::tuple(apply_inverse(vm, map, parts(&tangents), transposed)?);
            Ok(vm.cx.lift_forward(&y, &dy, level)?.map(|duals| parts(&duals)).unwrap_or_default())
        }
        Innermost::Batch(level, n) => {
            let mut results = vec![];
            for k in 0..n {
                let example = vm.cx.example(&Value::tuple(b.clone()), level, k)?;
                results.push(Value::tuple(apply_inverse(vm, map, parts(&example), transposed)?));
            }
            let all = vm.cx.stack_examples(&results)?;
            parts(&all).into_iter().map(|whole| vm.cx.batch(whole, level)).collect()
        }
    }
}

/// A pullback of the inverse: its transpose.
struct Inverse {
    map: Rc<Linear>,
    transposed: bool,
}

impl NativeFn for Inverse {
    fn describe(&self) -> String {
        "pullback of an implicit function".into()
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let dy = args.positional.first().map(parts).unwrap_or_default();
        Ok(Value::tuple(apply_inverse(vm, &self.map, dy, self.transposed)?))
    }
}

/// The items of a tuple.
pub fn parts(tuple: &Value) -> Vec<Value> {
    lift::children(tuple).into_iter().flatten().cloned().collect()
}

/// All floats of some leaves.
pub fn numbers_of(leaves: &[Value]) -> Vec<f64> {
    let mut all = vec![];
    for leaf in leaves {
        match leaf {
            Value::Float(_, x) => all.push(*x),
            Value::Tensor(_, t) => all.extend(t.iter_f64()),
            _ => {}
        }
    }
    all
}

/// Leaves in the shapes of others.
pub fn leaves_of(like: &[Value], numbers: &[f64]) -> Vec<Value> {
    let mut rest = numbers.iter().copied();
    let leaf = |like: &Value| match like {
        Value::Tensor(_, t) => {
            let part = rest.by_ref().take(t.len());
            let dtype = if t.dtype() == DType::F32 { DType::F32 } else { DType::F64 };
            Value::Tensor(Slot::CONST, Rc::new(Tensor::floats(t.shape(), dtype, part)))
        }
        _ => Value::float(rest.next().unwrap_or(0.0)),
    };
    like.iter().map(leaf).collect()
}

/// The error for a system without a unique solution.
#[cold]
pub fn singular(name: &str) -> Error {
    Error::new("E0448", format!("the Jacobian at the solution of `{name}` is singular"))
        .note("the solution is not isolated there, or a multiple root: it has no derivative")
        .help("remove dependent equations, or start nearer to a simple root")
}

/// A factored matrix: `P A = L U`.
pub struct Lu {
    rows: Vec<Vec<f64>>,
    order: Vec<usize>,
}

impl Lu {
    /// With partial pivoting; `None` if a pivot vanishes against the largest.
    pub fn of(mut rows: Vec<Vec<f64>>) -> Option<Lu> {
        let n = rows.len();
        let mut order: Vec<usize> = (0..n).collect();
        let mut largest = 0.0f64;
        for k in 0..n {
            let at = (k..n).max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs()))?;
            let pivot = rows[at][k];
            largest = largest.max(pivot.abs());
            if !pivot.is_finite() || pivot.abs() <= 1e-14 * largest {
                return None;
            }
            rows.swap(k, at);
            order.swap(k, at);
            let (above, below) = rows.split_at_mut(k + 1);
            let top = &above[k];
            for row in below {
                let factor = row[k] / pivot;
                row[k] = factor;
                if factor != 0.0 {
                    for (x, t) in row[k + 1..].iter_mut().zip(&top[k + 1..]) {
                        *x -= factor * t;
                    }
                }
            }
        }
        Some(Lu { rows, order })
    }

    /// `A^-1 b`, or `A^-T b`.
    pub fn solve(&self, b: &[f64], transposed: bool) -> Vec<f64> {
        let n = self.rows.len();
        if !transposed {
            let mut y: Vec<f64> = self.order.iter().map(|&i| b.get(i).copied().unwrap_or(0.0)).collect();
            for i in 0..n {
                let known: f64 = self.rows[i][..i].iter().zip(&y).map(|(l, y)| l * y).sum();
                y[i] -= known;
            }
            for i in (0..n).rev() {
                let known: f64 = self.rows[i][i + 1..].iter().zip(&y[i + 1..]).map(|(u, y)| u * y).sum();
                y[i] = (y[i] - known) / self.rows[i][i];
            }
            return y;
        }
        let mut y = b.to_vec();
        y.resize(n, 0.0);
        for i in 0..n {
            let known: f64 = (0..i).map(|j| self.rows[j][i] * y[j]).sum();
            y[i] = (y[i] - known) / self.rows[i][i];
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|j| self.rows[j][i] * y[j]).sum();
            y[i] -= known;
        }
        let mut x = vec![0.0; n];
        for (i, &at) in self.order.iter().enumerate() {
            x[at] = y[i];
        }
        x
    }
}

/// Solves `A x = b` from products with `A` alone (Saad and Schultz, 1986), restarted every 60 of them.
pub fn gmres(
    b: &[f64],
    tol: f64,
    name: impl Fn() -> &'static str,
    product: &mut dyn FnMut(&[f64]) -> Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    const KEPT: usize = 60;
    const RESTARTS: usize = 20;
    let n = b.len();
    let size = norm(b);
    let mut x = vec![0.0; n];
    if size == 0.0 {
        return Ok(x);
    }
    let mut residual = b.to_vec();
    for _ in 0..RESTARTS {
        let beta = norm(&residual);
        if !beta.is_finite() {
            break;
        }
        if beta <= tol * size {
            return Ok(x);
        }
        let mut basis = vec![residual.iter().map(|r| r / beta).collect::<Vec<f64>>()];
        // Columns of the triangle that rotations make of the projected matrix.
        let mut triangle: Vec<Vec<f64>> = vec![];
        let mut rotations: Vec<(f64, f64)> = vec![];
        let mut right = vec![beta];
        for k in 0..KEPT.min(n) {
            let mut w = product(&basis[k])?;
            let mut column = vec![];
            for v in &basis {
                let h = dot(&w, v);
                w.iter_mut().zip(v).for_each(|(w, v)| *w -= h * v);
                column.push(h);
            }
            let h = norm(&w);
            for (i, (c, s)) in rotations.iter().enumerate() {
                let (p, q) = (column[i], column[i + 1]);
                column[i] = c * p + s * q;
                column[i + 1] = c * q - s * p;
            }
            let r = column[k].hypot(h);
            if r == 0.0 {
                break;
            }
            let (c, s) = (column[k] / r, h / r);
            column[k] = r;
            rotations.push((c, s));
            triangle.push(column);
            right.push(-s * right[k]);
            right[k] *= c;
            if right[k + 1].abs() <= 0.1 * tol * size || h <= 1e-300 {
                break;
            }
            basis.push(w.iter().map(|w| w / h).collect());
        }
        let m = triangle.len();
        let mut y = vec![0.0; m];
        for i in (0..m).rev() {
            let known: f64 = (i + 1..m).map(|j| triangle[j][i] * y[j]).sum();
            y[i] = (right[i] - known) / triangle[i][i];
        }
        for (y, v) in y.iter().zip(&basis) {
            x.iter_mut().zip(v).for_each(|(x, v)| *x += y * v);
        }
        let image = product(&x)?;
        residual = b.iter().zip(&image).map(|(b, a)| b - a).collect();
    }
    if norm(&residual) <= 1e3 * tol * size { Ok(x) } else { Err(singular(name())) }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The Euclidean norm.
pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [[f64; 3]; 3] = [[0.0, 2.0, 1.0], [4.0, 1.0, -1.0], [1.0, 0.5, 3.0]];

    fn times(x: &[f64], transposed: bool) -> Vec<f64> {
        (0..3).map(|i| (0..3).map(|j| if transposed { A[j][i] } else { A[i][j] } * x[j]).sum()).collect()
    }

    #[test]
    fn factored_and_krylov_solve_both_ways() {
        let lu = Lu::of(A.iter().map(|r| r.to_vec()).collect()).unwrap();
        let x = [1.0, -2.0, 0.5];
        for transposed in [false, true] {
            let b = times(&x, transposed);
            let by_products = gmres(&b, 1e-12, || "root", &mut |v| Ok(times(v, transposed))).unwrap();
            for found in [lu.solve(&b, transposed), by_products] {
                assert!(found.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
            }
        }
        assert!(Lu::of(vec![vec![1.0, 2.0], vec![2.0, 4.0]]).is_none());
        assert!(gmres(&[1.0, 0.0], 1e-12, || "root", &mut |v| Ok(vec![v[0] + v[1], v[0] + v[1]])).is_err());
    }
}
