//! Inverses and systems of equations: `inv`, `solve`, `solve_triangular`, and the pseudo-inverse behind `lstsq`.

use super::linalg::times as strong_times;
use super::matrices::{
    Kind, SINGULAR, batch_first, floats, infer_number, infer_square, matrix, matrix_type, number_or_tensor,
    operand_type, sides, strongly, times, transpose, tril,
};
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::reduce::{flag, only};
use super::shape_rules::show;
use super::triangle::TRIU;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::broadcast::broadcast_shapes;
use crate::tensor::create::article;
use crate::tensor::decompose::{self, Factors};
use crate::tensor::matmul::Strong;
use crate::tensor::matrices::{Matrices, epsilon};
use crate::tensor::{DType, Shape, Tensor};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&REGULAR, &INV, &SOLVE, &SOLVE_TRIANGULAR, &PINV];

const fn matrices(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Matrix { shape, symmetric: false }
}

const fn floats_of(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -2.0, hi: 2.0 }
}

#[cold]
fn singular(name: &str, condition: f64) -> Error {
    let how = if condition.is_finite() {
        format!("singular to working precision: its condition number is {condition:.1e}")
    } else {
        "singular: its condition number is inf".to_string()
    };
    Error::new(SINGULAR, format!("the matrix given to {name} is {how}"))
        .operand(0, "this has no inverse")
        .help("lstsq and linalg.pinv take such matrices; adding a little to the diagonal makes it regular")
}

/// The factors of a matrix that has an inverse; its condition number must be one that `dtype` can bear.
fn regular(name: &str, n: usize, a: &[f64], dtype: DType) -> Result<Factors> {
    let factors = Factors::of(n, a);
    match factors.bad_condition(a, epsilon(dtype)) {
        Some(condition) => Err(singular(name, condition)),
        None => Ok(factors),
    }
}

/// `_regular(a)`
pub static REGULAR: Prim = Prim {
    name: "_regular",
    doc: "True for each square matrix that `inv` takes.",
    sig: Sig { params: &[req("a")] },
    infer: |args| {
        Ok(match infer_number("_regular", args)? {
            Ty::Tensor(t) => Ty::of(Some(DType::Bool), t.dims),
            Ty::Float => Ty::Bool(None),
            other => other,
        })
    },
    eval: Eval::General(|env, args| {
        let m = Matrices::of(&matrix(env, "_regular", args, 0, Kind::Square)?);
        let flags: Vec<bool> = (0..m.count()).map(|i| regular("inv", m.rows, m.get(i), m.dtype).is_ok()).collect();
        Ok(Value::tensor(Tensor::from_vec(&m.batch, flags)))
    }),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_first),
    probe: Probe { samples: &[Sample { args: &[matrices(&[3, 3])] }] },
};

// ---- inv ----

/// `inv(a)`
pub static INV: Prim = Prim {
    name: "inv",
    doc: "The inverse of each square matrix `[..., n, n]`; a singular matrix is an error that tells the condition number. To \
          solve equations, `solve(a, b)` is faster and more exact than `inv(a) @ b`.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_square("inv", args),
    eval: Eval::General(|env, args| {
        let m = Matrices::of(&matrix(env, "inv", args, 0, Kind::Square)?);
        let n = m.rows;
        let out = m.map(&[&[n, n]], |a| Ok(vec![regular("inv", n, a, m.dtype)?.inverse()]))?;
        Ok(out.into_iter().next().map_or(Value::None, Value::tensor))
    }),
    // With X the inverse: dX = -X dA X.
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let right = strong_times(cx, a_dot, call.out, (false, false), Strong::Both)?;
            let product = strong_times(cx, call.out, &right, (false, false), Strong::Both)?;
            let product = strongly(cx, a_dot, &product)?;
            cx.neg(&product).map(Some)
        },
        vjp: |cx, call, y_bar| {
            let right = strong_times(cx, y_bar, call.out, (false, true), Strong::Both)?;
            let product = strong_times(cx, call.out, &right, (true, false), Strong::Both)?;
            let product = strongly(cx, y_bar, &product)?;
            only(call, cx.neg(&product)?)
        },
        keep: Keep::OUT,
    },
    batch: Batch::Rule(batch_first),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Matrix { shape: &[3, 3], symmetric: true }] },
            Sample { args: &[matrices(&[1, 1])] },
            Sample { args: &[matrices(&[2, 2, 2])] },
            Sample { args: &[matrices(&[0, 0])] },
            Sample { args: &[matrices(&[0, 2, 2])] },
        ],
    },
};

// ---- solve ----

#[cold]
fn misfit(name: &str, kind_a: &str, kind_b: &str, n: &str, rows: &str) -> Error {
    Error::new("E0303", format!("{name} of {kind_a} and {kind_b}: {n} equations, but {rows} right-hand sides"))
        .operand(0, format!("this is {kind_a}"))
        .operand(1, format!("this is {kind_b}"))
}

#[cold]
fn leading_misfit(name: &str, kind_a: &str, kind_b: &str) -> Error {
    Error::new("E0301", format!("the leading axes of {name}'s arguments, {kind_a} and {kind_b}, do not broadcast"))
        .operand(0, format!("this is {kind_a}"))
        .operand(1, format!("this is {kind_b}"))
}

/// Matrices and right-hand sides with the same leading axes; a vector `b` is one column.
fn system(env: &Env, name: &str, args: &[Value]) -> Result<(Tensor, Tensor, bool)> {
    let a = matrix(env, name, args, 0, Kind::Square)?;
    let b = floats(env, number_or_tensor(env, name, args, 1)?)?;
    let kind = |i: usize| args.get(i).map_or_else(String::new, Value::type_name);
    let vector = b.rank() == 1;
    let n = sides(a.shape()).0;
    let (rows, b) = match *b.shape() {
        [] => {
            let kind = article(&kind(1));
            return Err(Error::new("E0303", format!("{name} wants a vector or a matrix on the right, not {kind}"))
                .operand(1, format!("this is {kind}")));
        }
        [rows] => (rows, crate::tensor::view::reshape(&b, &[rows, 1])),
        [.., rows, _] => (rows, b),
    };
    if rows != n {
        return Err(misfit(name, &kind(0), &kind(1), &n.to_string(), &rows.to_string()));
    }
    let leading = |t: &Tensor| Shape::from_slice(t.shape().get(..t.rank() - 2).unwrap_or(&[]));
    let batch = broadcast_shapes(&leading(&a), &leading(&b)).map_err(|_| leading_misfit(name, &kind(0), &kind(1)))?;
    let dtype = a.dtype().max(b.dtype());
    let stretched = |t: &Tensor| -> Result<Tensor> {
        let (rows, cols) = sides(t.shape());
        let mut shape = batch.clone();
        shape.extend([rows, cols]);
        t.cast(dtype)?.broadcast_to(&shape)
    };
    Ok((stretched(&a)?, stretched(&b)?, vector))
}

/// Solves each system by `f(n, a, columns, b)`.
fn solve_each(
    env: &Env,
    name: &str,
    args: &[Value],
    f: impl Fn(usize, &[f64], usize, &[f64], DType) -> Result<Vec<f64>>,
) -> Result<Value> {
    let (a, b, vector) = system(env, name, args)?;
    let (a, b) = (Matrices::of(&a), Matrices::of(&b));
    let (n, k) = (b.rows, b.cols);
    let dims: &[usize] = if vector { &[n] } else { &[n, k] };
    let mut i = 0;
    let out = a.map(&[dims], |m| {
        i += 1;
        Ok(vec![f(n, m, k, b.get(i - 1), a.dtype)?])
    })?;
    Ok(out.into_iter().next().map_or(Value::None, Value::tensor))
}

fn infer_system(name: &str, args: &[Ty]) -> Result<Ty> {
    let a = matrix_type(name, args, 0, Kind::Square)?;
    let b = operand_type(name, args, 1)?;
    let (Some((a_type, Some(a))), Some(b)) = (a, b) else { return Ok(Ty::Any) };
    let dtype = a_type.zip(b.dtype.filter(|d| d.is_float())).map(|(a, b)| a.max(b));
    let Some(b) = b.dims else { return Ok(Ty::of(dtype, None)) };
    let kind = |i: usize| args.get(i).map_or_else(String::new, show);
    let n = a.last().copied().unwrap_or(Dim::Unknown);
    let rows = match &b[..] {
        [] => {
            let kind = article(&kind(1));
            return Err(Error::new("E0303", format!("{name} wants a vector or a matrix on the right, not {kind}"))
                .operand(1, format!("this is {kind}")));
        }
        [rows] | [.., rows, _] => *rows,
    };
    if let (Dim::Known(n), Dim::Known(rows)) = (n, rows)
        && n != rows
    {
        return Err(misfit(name, &kind(0), &kind(1), &n.to_string(), &rows.to_string()));
    }
    let leading = |dims: &Dims| {
        Ty::of(Some(DType::F64), Some(Dims::from_slice(dims.get(..dims.len().saturating_sub(2)).unwrap_or(&[]))))
    };
    let mut out = super::shape_rules::broadcast(name, &[leading(&a), leading(&b)])
        .map_err(|_| leading_misfit(name, &kind(0), &kind(1)))?
        .unwrap_or_default();
    out.push(rows);
    if b.len() > 1 {
        out.extend(b.last().copied());
    }
    Ok(Ty::of(dtype, Some(out)))
}

/// A vector right-hand side and what belongs to it as columns.
fn columns(cx: &mut Cx, call: &Call<'_>, v: &Value) -> Result<Value> {
    if call.shape(1).len() != 1 {
        return Ok(v.clone());
    }
    let mut shape = Shape::from_slice(v.shape().unwrap_or(&[]));
    shape.push(1);
    cx.reshape(v, &shape)
}

/// The opposite.
fn back(cx: &mut Cx, call: &Call<'_>, v: Value) -> Result<Value> {
    if call.shape(1).len() != 1 {
        return Ok(v);
    }
    let mut shape = Shape::from_slice(v.shape().unwrap_or(&[]));
    shape.pop();
    cx.reshape(&v, &shape)
}

/// How a solver's rules solve again, and read a matrix where the solver reads only part of it.
struct Solver {
    /// `a x = b`, or with the flag `a^T x = b`, for columns.
    again: fn(&mut Cx, &Call<'_>, &Value, bool) -> Result<Value>,
    /// The part of the matrix that counts.
    part: fn(&mut Cx, &Call<'_>, Value) -> Result<Value>,
    /// The solver reads `a^T`.
    turned: fn(&Call<'_>) -> bool,
}

/// `dx = A^-1 (db - dA x)`
fn system_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>], solver: &Solver) -> Result<Option<Value>> {
    let mut right = match tangents.get(1) {
        Some(Some(b_dot)) => Some(columns(cx, call, b_dot)?),
        _ => None,
    };
    if let Some(Some(a_dot)) = tangents.first() {
        let a_dot = (solver.part)(cx, call, a_dot.clone())?;
        let x = columns(cx, call, call.out)?;
        let moved = strong_times(cx, &a_dot, &x, ((solver.turned)(call), false), Strong::Both)?;
        let moved = strongly(cx, &a_dot, &moved)?;
        right = Some(match right {
            Some(b_dot) => cx.sub(&b_dot, &moved)?,
            None => cx.neg(&moved)?,
        });
    }
    let Some(right) = right else { return Ok(None) };
    let x_dot = (solver.again)(cx, call, &right, false)?;
    let x_dot = strongly(cx, &right, &x_dot)?;
    back(cx, call, x_dot).map(Some)
}

/// `b_bar = A^-T x_bar`, `A_bar = -b_bar x^T`
fn system_vjp(cx: &mut Cx, call: &Call<'_>, x_bar: &Value, solver: &Solver) -> Result<Cotangents> {
    let mut out = Cotangents::from_elem(None, call.args.len());
    let x_bar = columns(cx, call, x_bar)?;
    let b_bar = (solver.again)(cx, call, &x_bar, true)?;
    let b_bar = strongly(cx, &x_bar, &b_bar)?;
    if call.wants(0) {
        let x = columns(cx, call, call.out)?;
        let product = if (solver.turned)(call) {
            strong_times(cx, &x, &b_bar, (false, true), Strong::Both)?
        } else {
            strong_times(cx, &b_bar, &x, (false, true), Strong::Both)?
        };
        let product = strongly(cx, &b_bar, &product)?;
        let product = cx.neg(&product)?;
        out[0] = Some((solver.part)(cx, call, product)?);
    }
    if call.wants(1) {
        out[1] = Some(back(cx, call, b_bar)?);
    }
    Ok(out)
}

/// Both arguments with the batch axis first and, behind it, the same number of leading axes; a vector `b` as a column.
fn batch_system(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let vector = call.shape(1).len() == 1;
    let rank = call.shape(0).len().max(call.shape(1).len()).max(2);
    let mut args = call.args.to_vec();
    for (i, arg) in args.iter_mut().enumerate().take(2) {
        let own = call.shape(i).to_vec();
        let column = vector && i == 1;
        let mut shape = Shape::new();
        if call.batched.get(i) == Some(&true) {
            shape.push(call.n);
            shape.extend(std::iter::repeat_n(1, rank.saturating_sub(own.len() + usize::from(column))));
        }
        shape.extend(own);
        if column {
            shape.push(1);
        }
        *arg = cx.reshape(arg, &shape)?;
    }
    let out = cx.apply(call.prim, &args)?;
    if !vector {
        return Ok(Some(out));
    }
    let mut shape = Shape::from_slice(out.shape().unwrap_or(&[]));
    shape.pop();
    cx.reshape(&out, &shape).map(Some)
}

static DENSE: Solver = Solver {
    again: |cx, call, b, turned| {
        let a = call.args.first().cloned().unwrap_or_default();
        let a = if turned { transpose(cx, &a)? } else { a };
        cx.apply(&SOLVE, &[a, b.clone()])
    },
    part: |_, _, a| Ok(a),
    turned: |_| false,
};

/// `solve(a, b)`
pub static SOLVE: Prim = Prim {
    name: "solve",
    doc: "`x` with `a @ x == b` for each square matrix `a[..., n, n]`. `b` is one vector `[n]` or matrices `[..., n, k]`; leading \
          axes broadcast. A singular matrix is an error that tells the condition number.",
    sig: Sig { params: &[req("a"), req("b")] },
    infer: |args| infer_system("solve", args),
    eval: Eval::General(|env, args| {
        solve_each(env, "solve", args, |n, a, k, b, dtype| Ok(regular("solve", n, a, dtype)?.solve(k, b)))
    }),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| system_jvp(cx, call, tangents, &DENSE),
        vjp: |cx, call, x_bar| system_vjp(cx, call, x_bar, &DENSE),
        keep: Keep::BOTH,
    },
    batch: Batch::Rule(batch_system),
    probe: Probe {
        samples: &[
            Sample { args: &[matrices(&[3, 3]), floats_of(&[3])] },
            Sample { args: &[matrices(&[3, 3]), floats_of(&[3, 2])] },
            Sample { args: &[matrices(&[2, 2, 2]), floats_of(&[2, 2, 1])] },
            Sample { args: &[matrices(&[2, 2, 2]), floats_of(&[2])] },
            Sample { args: &[matrices(&[2, 2]), floats_of(&[3, 2, 2])] },
            Sample { args: &[matrices(&[0, 0]), floats_of(&[0, 2])] },
            Sample { args: &[matrices(&[2, 2]), floats_of(&[2, 0])] },
        ],
    },
};

// ---- solve_triangular ----

#[cold]
fn zero_pivot(i: usize) -> Error {
    Error::new(
        SINGULAR,
        format!("the triangular matrix given to solve_triangular is singular: its diagonal is 0 at {i}"),
    )
    .operand(0, "this has no inverse")
}

fn triangular(env: &mut Env, args: &[Value]) -> Result<Value> {
    const NAME: &str = "solve_triangular";
    let (lower, turned) = (flag(NAME, "lower", args.get(2))?, flag(NAME, "transpose", args.get(3))?);
    solve_each(env, NAME, args, |n, a, k, b, _| {
        if let Some(i) = (0..n).find(|i| a.get(i * n + i) == Some(&0.0)) {
            return Err(zero_pivot(i));
        }
        Ok(decompose::solve_triangular(n, a, k, b, lower, turned))
    })
}

static TRIANGULAR: Solver = Solver {
    again: |cx, call, b, turned| {
        let mut args = call.args.to_vec();
        if let [_, right, _, flag] = &mut args[..] {
            *right = b.clone();
            *flag = Value::Bool(turned != reads_transposed(call));
        }
        cx.apply(&SOLVE_TRIANGULAR, &args)
    },
    part: |cx, call, a| match call.args.get(2) {
        Some(Value::Bool(false)) => cx.apply(&TRIU, &[a, Value::Int(0)]),
        _ => tril(cx, &a, 0),
    },
    turned: reads_transposed,
};

fn reads_transposed(call: &Call<'_>) -> bool {
    matches!(call.args.get(3), Some(Value::Bool(true)))
}

/// `_solve_triangular(a, b, lower: true, transpose: false)`
pub static SOLVE_TRIANGULAR: Prim = Prim {
    name: "_solve_triangular",
    doc: "`x` with `a @ x == b` (or with `transpose: true`, `a.t @ x == b`) for triangular matrices, of which only the lower (or \
          with `lower: false`, the upper) triangle is read: the other has slope 0. Shapes as in `solve`.",
    sig: Sig {
        params: &[req("a"), req("b"), opt("lower", Default::Bool(true)), opt("transpose", Default::Bool(false))],
    },
    infer: |args| infer_system("solve_triangular", args),
    eval: Eval::General(triangular),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| system_jvp(cx, call, tangents, &TRIANGULAR),
        vjp: |cx, call, x_bar| system_vjp(cx, call, x_bar, &TRIANGULAR),
        keep: Keep::BOTH,
    },
    batch: Batch::Rule(batch_system),
    probe: Probe {
        samples: &[
            Sample { args: &[matrices(&[3, 3]), floats_of(&[3]), ProbeArg::Bool(true), ProbeArg::Bool(false)] },
            Sample { args: &[matrices(&[3, 3]), floats_of(&[3, 2]), ProbeArg::Bool(false), ProbeArg::Bool(false)] },
            Sample { args: &[matrices(&[2, 2, 2]), floats_of(&[2, 1]), ProbeArg::Bool(true), ProbeArg::Bool(true)] },
            Sample { args: &[matrices(&[2, 2]), floats_of(&[2, 2, 1]), ProbeArg::Bool(false), ProbeArg::Bool(true)] },
        ],
    },
};

// ---- pseudo-inverse ----

/// Singular values at or below this part of the largest count as 0.
pub fn cutoff(rows: usize, cols: usize, dtype: DType) -> f64 {
    rows.max(cols) as f64 * epsilon(dtype)
}

fn pinv(env: &mut Env, args: &[Value]) -> Result<Value> {
    let m = Matrices::of(&matrix(env, "pinv", args, 0, Kind::Any)?);
    let rtol = match args.get(1) {
        None | Some(Value::None) => cutoff(m.rows, m.cols, m.dtype),
        Some(v) => crate::tensor::create::scalar_f64(v).ok_or_else(|| {
            Error::new("E0310", format!("the rtol of pinv is {}, not a float", article(&v.type_name())))
        })?,
    };
    let (rows, cols) = (m.rows, m.cols);
    let out = m.map(&[&[cols, rows]], |a| Ok(vec![decompose::pseudo_inverse(rows, cols, a, rtol)?]))?;
    Ok(out.into_iter().next().map_or(Value::None, Value::tensor))
}

fn infer_pinv(args: &[Ty]) -> Result<Ty> {
    let Some((dtype, dims)) = matrix_type("pinv", args, 0, Kind::Any)? else { return Ok(Ty::Any) };
    Ok(Ty::of(
        dtype,
        dims.map(|mut dims| {
            let n = dims.len();
            dims.swap(n.saturating_sub(1), n.saturating_sub(2));
            dims
        }),
    ))
}

/// `_pinv(a, rtol)`: Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems
/// whose variables separate", 1973: with P the pseudo-inverse, and as long as the rank stays,
/// `dP = -P dA P + P P^T dA^T (I - A P) + (I - P A) dA^T P^T P`.
pub static PINV: Prim = Prim {
    name: "_pinv",
    doc: "The pseudo-inverse of each matrix. Singular values up to `rtol` times the largest count as 0; the derivative is that \
          at constant rank.",
    sig: Sig { params: &[req("a"), opt("rtol", Default::None)] },
    infer: infer_pinv,
    eval: Eval::General(pinv),
    diff: Diff::Rules { jvp: pinv_jvp, vjp: pinv_vjp, keep: Keep::BOTH },
    batch: Batch::Rule(batch_first),
    probe: Probe {
        samples: &[
            Sample { args: &[matrices(&[3, 2]), ProbeArg::None] },
            Sample { args: &[matrices(&[2, 3]), ProbeArg::None] },
            Sample { args: &[matrices(&[2, 2, 1]), ProbeArg::None] },
        ],
    },
};

// The products are grouped for tall matrices: nothing is as large as rows by rows.

fn pinv_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(Some(a_dot)), Some(a)) = (tangents.first(), call.args.first()) else { return Ok(None) };
    let p = call.out;
    let plain = (false, false);
    let moved = times(cx, p, a_dot, plain)?;
    let first = times(cx, &moved, p, plain)?;
    let overlap = times(cx, a_dot, a, (true, false))?;
    let part = times(cx, &overlap, p, plain)?;
    let turned = transpose(cx, a_dot)?;
    let rest = cx.sub(&turned, &part)?;
    let gram = times(cx, p, p, (false, true))?;
    let second = times(cx, &gram, &rest, plain)?;
    let projection = times(cx, p, a, plain)?;
    let part = times(cx, &projection, &moved, (false, true))?;
    let turned = transpose(cx, &moved)?;
    let rest = cx.sub(&turned, &part)?;
    let third = times(cx, &rest, p, plain)?;
    let sum = cx.add(&second, &third)?;
    let p_dot = cx.sub(&sum, &first)?;
    strongly(cx, a_dot, &p_dot).map(Some)
}

fn pinv_vjp(cx: &mut Cx, call: &Call<'_>, p_bar: &Value) -> Result<Cotangents> {
    let Some(a) = call.args.first() else { return Ok(Cotangents::new()) };
    let p = call.out;
    let plain = (false, false);
    // K = P P_bar^T; P^T K^T, then (I - A P) P_bar^T P P^T, then P^T K (I - P A).
    let k = times(cx, p, p_bar, (false, true))?;
    let first = times(cx, p, &k, (true, true))?;
    let part = times(cx, a, &k, plain)?;
    let turned = transpose(cx, p_bar)?;
    let rest = cx.sub(&turned, &part)?;
    let gram = times(cx, p, p, (false, true))?;
    let second = times(cx, &rest, &gram, plain)?;
    let row = times(cx, p, &k, (true, false))?;
    let projection = times(cx, p, a, plain)?;
    let part = times(cx, &row, &projection, plain)?;
    let third = cx.sub(&row, &part)?;
    let sum = cx.add(&second, &third)?;
    let a_bar = cx.sub(&sum, &first)?;
    only(call, strongly(cx, p_bar, &a_bar)?)
}
