//! Solving `r(x) = 0` on plain numbers: Newton's method with a line search, and iteration with Anderson acceleration.

use crate::ad::transforms::implicit::Residual;
use crate::ad::transforms::implicit::linear::{DENSE, Lu, gmres, leaves_of, matrix, norm, numbers_of, product};
use crate::error::{Error, Result};
use crate::value::Value;
use crate::vm::Vm;

/// When to stop.
pub struct Settings {
    pub tol: f64,
    pub max_steps: usize,
    /// The unknown has 32-bit numbers.
    pub single: bool,
}

impl Settings {
    /// A step this small that rounding keeps from improving anything counts as arrived.
    fn floor(&self) -> f64 {
        self.tol.max(if self.single { 3e-4 } else { 1e-8 })
    }
}

/// Newton's method from `start`: steps are halved until the residual falls; for one unknown, a change of sign that was
/// seen is kept enclosed.
pub fn newton(vm: &mut Vm, equation: &Residual, start: &[Value], settings: &Settings) -> Result<Vec<Value>> {
    let mut x = numbers_of(start);
    let mut r = residual(vm, equation, start, &x)?;
    if !r.iter().all(|r| r.is_finite()) {
        return Err(Error::new("E0447", "`root` starts where its function is not finite")
            .help("give a starting point x0 at which it is"));
    }
    // Ends of an interval with a change of sign, for one unknown: point and value.
    let mut seen: Vec<(f64, f64)> = vec![];
    for step in 0..settings.max_steps {
        let size = norm(&r);
        if size == 0.0 {
            return Ok(leaves_of(start, &x));
        }
        if x.len() == 1 {
            enclose(&mut seen, x[0], r[0]);
        }
        let here = leaves_of(start, &x);
        let direction = if x.len() <= DENSE {
            let (rows, _) = matrix(vm, equation, &here)?;
            Lu::of(rows).map(|lu| lu.solve(&r, false))
        } else {
            gmres(&r, (0.1 * size).clamp(settings.tol, 1e-2), || "root", &mut |v| product(vm, equation, &here, v)).ok()
        };
        let scale = 1.0 + x.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        if let [(a, _), (b, _)] = seen[..] {
            let target = direction.as_ref().map(|d| x[0] - d[0]);
            if !target.is_some_and(|t| t > a.min(b) && t < a.max(b)) {
                // Newton leaves the enclosing interval, or has no direction.
                if (b - a).abs() <= settings.tol * scale {
                    return Ok(leaves_of(start, &x));
                }
                x[0] = 0.5 * (a + b);
                r = residual(vm, equation, start, &x)?;
                continue;
            }
        }
        let Some(d) = direction.filter(|d| d.iter().all(|d| d.is_finite())) else {
            return Err(Error::new("E0448", format!("the Jacobian is singular at step {step} of `root`"))
                .note(format!("the residual there is {size:.3e}"))
                .help("start from another x0"));
        };
        let length = d.iter().fold(0.0f64, |m, d| m.max(d.abs()));
        let mut t = 1.0;
        let mut next = None;
        while t > 1e-10 {
            let y: Vec<f64> = x.iter().zip(&d).map(|(x, d)| x - t * d).collect();
            let there = residual(vm, equation, start, &y)?;
            if there.iter().all(|r| r.is_finite()) && norm(&there) <= (1.0 - 1e-4 * t) * size {
                next = Some((y, there));
                break;
            }
            t *= 0.5;
        }
        match next {
            Some((y, there)) => (x, r) = (y, there),
            None if length <= settings.floor() * scale => return Ok(leaves_of(start, &x)),
            None => {
                return Err(Error::new("E0447", format!("`root` is stuck after {} steps", step + 1))
                    .note(format!("the residual is {size:.3e}, and no step along Newton's direction makes it smaller"))
                    .help("start nearer to a root, or check that there is one"));
            }
        }
        if t * length <= settings.tol * scale && t == 1.0 {
            return Ok(leaves_of(start, &x));
        }
    }
    Err(unfinished("root", settings.max_steps, norm(&r)))
}

/// Keeps the ends of the smallest interval known to hold a change of sign.
fn enclose(seen: &mut Vec<(f64, f64)>, x: f64, r: f64) {
    match &mut seen[..] {
        [a, b] => {
            let (a_sign, x_sign) = (a.1 > 0.0, r > 0.0);
            *(if a_sign == x_sign { a } else { b }) = (x, r);
        }
        [a] if (a.1 > 0.0) == (r > 0.0) => *a = (x, r),
        _ => seen.push((x, r)),
    }
}

fn residual(vm: &mut Vm, equation: &Residual, like: &[Value], x: &[f64]) -> Result<Vec<f64>> {
    Ok(numbers_of(&equation.at(vm, &leaves_of(like, x))?))
}

#[cold]
fn unfinished(name: &str, steps: usize, size: f64) -> Error {
    Error::new("E0447", format!("`{name}` has not converged after {steps} steps"))
        .note(format!("the residual is {size:.3e}"))
        .help("start nearer, allow more (max_steps:) or ask for less (tol:)")
}

/// Iterates `x <- x - r(x)` where `r(x) = x - g(x)`, each time combining the last few points so that their residuals
/// cancel best (Anderson, 1965). A combination that makes the residual grow a lot is given up for plain steps.
pub fn anderson(vm: &mut Vm, equation: &Residual, start: &[Value], settings: &Settings) -> Result<Vec<Value>> {
    const MEMORY: usize = 5;
    let mut x = numbers_of(start);
    let mut points: Vec<(Vec<f64>, Vec<f64>)> = vec![];
    let mut best = f64::INFINITY;
    for step in 0..settings.max_steps {
        let r = residual(vm, equation, start, &x)?;
        let size = r.iter().fold(0.0f64, |m, r| m.max(r.abs()));
        let scale = 1.0 + x.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        if size <= settings.tol * scale {
            return Ok(leaves_of(start, &x));
        }
        if !size.is_finite() || size > 1e3 * best {
            let Some((x0, r0)) = points.last().filter(|_| points.len() > 1).cloned() else {
                if size.is_finite() && size < 1e100 {
                    x.iter_mut().zip(&r).for_each(|(x, r)| *x -= r);
                    continue;
                }
                return Err(Error::new("E0447", format!("`fixed_point` runs away after {} steps", step + 1))
                    .note("x grows without bound")
                    .help(
                        "the function must bring x nearer to the fixed point: mix it with x, as in 0.5 * (x + f(x))",
                    ));
            };
            x = x0.iter().zip(&r0).map(|(x, r)| x - r).collect();
            points.clear();
            best = f64::INFINITY;
            continue;
        }
        best = best.min(size);
        points.push((x.clone(), r.clone()));
        if points.len() > MEMORY + 1 {
            points.remove(0);
        }
        x = mixed(&points);
    }
    let r = residual(vm, equation, start, &x)?;
    Err(unfinished("fixed_point", settings.max_steps, norm(&r)))
}

/// The next point from earlier ones and their residuals, the latest last.
fn mixed(points: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let Some(((x, r), earlier)) = points.split_last() else { return vec![] };
    let plain = || x.iter().zip(r).map(|(x, r)| x - r).collect();
    let differences: Vec<Vec<f64>> =
        earlier.iter().map(|(_, e)| r.iter().zip(e).map(|(r, e)| r - e).collect()).collect();
    let products = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut gram: Vec<Vec<f64>> =
        differences.iter().map(|a| differences.iter().map(|b| products(a, b)).collect()).collect();
    let trace: f64 = gram.iter().enumerate().map(|(i, row)| row[i]).sum();
    for (i, row) in gram.iter_mut().enumerate() {
        row[i] += 1e-12 * trace;
    }
    let right: Vec<f64> = differences.iter().map(|d| products(d, r)).collect();
    let Some(lu) = Lu::of(gram) else { return plain() };
    let weights = lu.solve(&right, false);
    if earlier.is_empty() || !weights.iter().all(|w| w.is_finite() && w.abs() < 1e4) {
        return plain();
    }
    let mut next: Vec<f64> = plain();
    for ((w, (ex, _)), d) in weights.iter().zip(earlier).zip(&differences) {
        for i in 0..next.len() {
            next[i] -= w * ((x[i] - ex[i]) - d[i]);
        }
    }
    next
}
