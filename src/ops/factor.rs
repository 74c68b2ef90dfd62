//! Triangular factors: `cholesky`, and the two parts of `qr`.
//!
//! A decomposition with several results is a group of primitives, one for each: they take the matrix and the results of
//! the one decomposition that was made (`_qr`, without derivative), give their own of these back as value, and bring
//! its rule. So a matrix is decomposed once however deep derivatives nest, and only what is read is differentiated.

use super::distinct::{Asks, Sound, Way, positive, require};
use super::inverse::{SOLVE_TRIANGULAR, cutoff};
use super::matrices::{
    Each, Kind, batch_alike, batch_first, diagonal, dtype, infer_number, infer_square, matrix, matrix_type, sides,
    symmetrized, times, transpose, tril, where_moving,
};
use super::prim::{Batch, Call, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::only;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::decompose;
use crate::tensor::matrices::{Matrices, transposed};
use crate::tensor::{DType, Tensor};
use crate::types::ty::{Dim, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&CHECK_SYMMETRIC, &CHOLESKY, &QR, &QR_Q, &QR_R];

const fn floats_of(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Matrix { shape, symmetric: false }
}

// ---- cholesky ----

/// Relative to the largest entry, what two mirrored entries may differ by.
fn asymmetry(dtype: DType) -> f64 {
    if dtype == DType::F32 { 1e-5 } else { 1e-10 }
}

/// `_check_symmetric(a, name)`
pub static CHECK_SYMMETRIC: Prim = Prim {
    name: "_check_symmetric",
    doc: "An error in the name of another function if a matrix is not symmetric but for rounding. True for each matrix.",
    sig: Sig { params: &[req("a"), opt("name", Default::Str("eigh"))] },
    infer: |args| {
        Ok(match infer_number("_check_symmetric", args)? {
            Ty::Tensor(t) => Ty::of(Some(DType::Bool), t.dims),
            Ty::Float => Ty::Bool(None),
            other => other,
        })
    },
    eval: Eval::General(check_symmetric),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_first),
    probe: Probe {
        samples: &[Sample { args: &[ProbeArg::Matrix { shape: &[3, 3], symmetric: true }, ProbeArg::None] }],
    },
};

fn check_symmetric(env: &mut Env, args: &[Value]) -> Result<Value> {
    let name = if let Some(Value::Str(name)) = args.get(1) { name.as_str() } else { "_check_symmetric" };
    let m = Matrices::of(&matrix(env, name, args, 0, Kind::Square)?);
    let n = m.rows;
    m.map(&[], |a| {
        let at = |i: usize, j: usize| a.get(i * n + j).copied().unwrap_or(0.0);
        let largest = a.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for (i, j) in (0..n).flat_map(|i| (0..i).map(move |j| (i, j))) {
            let (x, y) = (at(i, j), at(j, i));
            if (x - y).abs() > asymmetry(m.dtype) * largest {
                return Err(Error::new(
                    "E0462",
                    format!(
                        "the matrix given to {name} is not symmetric: {x:?} at [{i}, {j}], but {y:?} at [{j}, {i}]"
                    ),
                )
                .operand(0, "this must be equal to its transpose")
                .help(format!("write {name}((a + a.t) / 2) for its symmetric part")));
            }
        }
        Ok(vec![])
    })?;
    Ok(Value::tensor(Tensor::from_vec(&m.batch, vec![true; m.count()])))
}

/// The mean of a matrix and its transpose.
pub fn symmetric_part(n: usize, a: &[f64]) -> Vec<f64> {
    a.iter().zip(transposed(n, n, a)).map(|(x, y)| 0.5 * x + 0.5 * y).collect()
}

fn cholesky(env: &mut Env, args: &[Value]) -> Result<Value> {
    let m = Matrices::of(&matrix(env, "cholesky", args, 0, Kind::Square)?);
    let n = m.rows;
    let out = m.map(&[&[n, n]], |a| {
        decompose::finite("cholesky", a)?;
        decompose::cholesky(n, &symmetric_part(n, a)).map(|l| vec![l]).map_err(not_definite)
    })?;
    Ok(out.into_iter().next().map_or(Value::None, Value::tensor))
}

#[cold]
fn not_definite(minor: usize) -> Error {
    Error::new(
        "E0463",
        format!(
            "the matrix given to cholesky is not positive definite: its leading minor of order {minor} is not positive"
        ),
    )
    .operand(0, format!("the determinant of its first {minor} rows and columns is 0 or less"))
    .help("adding a little to the diagonal makes an almost definite matrix definite: a + 1e-6 * eye(n)")
}

/// The lower triangle with half the diagonal.
fn lower_half(cx: &mut Cx, a: &Value) -> Result<Value> {
    let (n, _) = sides(a.shape().unwrap_or(&[]));
    let half = Tensor::eye(n, n, dtype(a));
    let mask = cx.scale(&Value::tensor(half), -0.5)?;
    let ones = cx.full(&[n, n], dtype(a), 1.0);
    let mask = cx.add(&ones, &mask)?;
    let lower = tril(cx, a, 0)?;
    cx.mul(&lower, &mask)
}

/// `a x = b` for a triangular `a`.
fn triangular(cx: &mut Cx, a: &Value, b: &Value, lower: bool, turned: bool) -> Result<Value> {
    cx.apply(&SOLVE_TRIANGULAR, &[a.clone(), b.clone(), Value::Bool(lower), Value::Bool(turned)])
}

/// `_cholesky(a)`, of the symmetric part of a matrix: Murray, "Differentiation of the Cholesky decomposition", 2016, with H the lower triangle with half
/// the diagonal: `dL = L H(L^-1 dA L^-T)` and `A_bar = sym(L^-T H(L^T L_bar) L^-1)`.
pub static CHOLESKY: Prim = Prim {
    name: "_cholesky",
    doc: "The lower triangular `l` with `l @ l.t` the symmetric part of each matrix.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_square("cholesky", args),
    eval: Eval::General(cholesky),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let (l, a_dot) = (call.out, symmetrized(cx, a_dot)?);
            let left = triangular(cx, l, &a_dot, true, false)?;
            let left = transpose(cx, &left)?;
            let both = triangular(cx, l, &left, true, false)?;
            let half = lower_half(cx, &both)?;
            times(cx, l, &half, (false, false)).map(Some)
        },
        vjp: |cx, call, l_bar| {
            let l = call.out;
            let product = times(cx, l, l_bar, (true, false))?;
            let half = lower_half(cx, &product)?;
            let left = triangular(cx, l, &half, true, true)?;
            let left = transpose(cx, &left)?;
            let both = triangular(cx, l, &left, true, true)?;
            only(call, symmetrized(cx, &both)?)
        },
        keep: Keep::OUT,
    },
    batch: Batch::Rule(batch_first),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Matrix { shape: &[3, 3], symmetric: true }] },
            Sample { args: &[ProbeArg::Matrix { shape: &[1, 1], symmetric: true }] },
            Sample { args: &[ProbeArg::Matrix { shape: &[2, 2, 2], symmetric: true }] },
            Sample { args: &[ProbeArg::Matrix { shape: &[0, 0], symmetric: true }] },
        ],
    },
};

// ---- qr ----

fn qr(env: &mut Env, args: &[Value]) -> Result<Value> {
    let m = Matrices::of(&matrix(env, "qr", args, 0, Kind::Any)?);
    let (rows, cols) = (m.rows, m.cols);
    let k = rows.min(cols);
    let parts = m.map(&[&[rows, k], &[k, cols]], |a| {
        let (q, r) = decompose::qr(rows, cols, a)?;
        Ok(vec![q, r])
    })?;
    Ok(Value::tuple(parts.into_iter().map(Value::tensor).collect()))
}

/// `_qr(a)`
pub static QR: Prim = Prim {
    name: "_qr",
    doc: "`(q, r)` of each matrix as constants.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_qr(args).map(|(q, r)| Ty::tuple(vec![q, r])),
    eval: Eval::General(qr),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_first),
    // Of ints, since it is a constant of what it is differentiated by.
    probe: Probe { samples: &[Sample { args: &[ProbeArg::Ints { shape: &[3, 2], data: &[2, 1, 0, 3, 1, 1] }] }] },
};

/// The types of q and r.
pub fn infer_qr(args: &[Ty]) -> Result<(Ty, Ty)> {
    let Some((dtype, dims)) = matrix_type("qr", args, 0, Kind::Any)? else { return Ok((Ty::Any, Ty::Any)) };
    let (rows, cols) = match dims.as_deref() {
        Some([.., rows, cols]) => (*rows, *cols),
        _ => (Dim::Unknown, Dim::Unknown),
    };
    let k = shorter(rows, cols);
    let behind = |last: &[Dim]| super::matrices::behind(dtype, dims.as_ref(), last);
    Ok((behind(&[rows, k]), behind(&[k, cols])))
}

/// The smaller of two dims.
pub fn shorter(rows: Dim, cols: Dim) -> Dim {
    match (rows, cols) {
        (Dim::Known(m), Dim::Known(n)) => Dim::Known(m.min(n)),
        (m, n) if m == n => m,
        _ => Dim::Unknown,
    }
}

/// Gives result `i` of a decomposition: argument `1 + i`, or if that is none, what `decompose` makes now.
pub fn part(env: &mut Env, args: &[Value], i: usize, decompose: &Prim) -> Result<Value> {
    match args.get(1 + i) {
        None | Some(Value::None) => {}
        Some(known) => return Ok(known.clone()),
    }
    let Eval::General(eval) = &decompose.eval else { return Ok(Value::None) };
    match eval(env, args.get(..1).unwrap_or(&[]))? {
        Value::Tuple(parts) => Ok(parts.get(i).cloned().unwrap_or_default()),
        _ => Ok(Value::None),
    }
}

const QR_SIG: Sig = Sig { params: &[req("a"), opt("q", Default::None), opt("r", Default::None)] };

const QR_PROBE: Probe = Probe {
    samples: &[
        Sample { args: &[floats_of(&[3, 2]), ProbeArg::None, ProbeArg::None] },
        Sample { args: &[floats_of(&[3, 3]), ProbeArg::None, ProbeArg::None] },
        Sample { args: &[floats_of(&[2, 2, 1]), ProbeArg::None, ProbeArg::None] },
    ],
};

/// `_qr_q(a, q, r)`, rows at least as many as columns: Walter and Lehmann, "Algorithmic differentiation of linear
/// algebra functions", 2018. With `X = Q^T dA R^-1` and W its strict lower triangle minus the transpose of that,
/// `dQ = Q W + dA R^-1 - Q X` and `dR = (X - W) R`.
pub static QR_Q: Prim = Prim {
    name: "_qr_q",
    doc: "The `q` of a decomposition, differentiable.",
    sig: QR_SIG,
    infer: |args| infer_qr(args.get(..1).unwrap_or(&[])).map(|(q, _)| q),
    eval: Eval::General(|env, args| part(env, args, 0, &QR)),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let t = Triangular::of(cx, call, a_dot)?;
            let turned = times(cx, &t.q, &t.turn, (false, false))?;
            let inside = times(cx, &t.q, &t.x, (false, false))?;
            let outside = cx.sub(&t.scaled, &inside)?;
            let q_dot = cx.add(&turned, &outside)?;
            t.sound.result(cx, a_dot, q_dot).map(Some)
        },
        vjp: |cx, call, q_bar| {
            let (q, r, sound) = parts(cx, call, q_bar, Way::Pull)?;
            // M = -Q_bar^T Q
            let product = times(cx, q_bar, &q, (true, false))?;
            let m = cx.neg(&product)?;
            let a_bar = pull(cx, &q, &r, &m, Some(q_bar))?;
            only(call, sound.result(cx, q_bar, a_bar)?)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_alike),
    probe: QR_PROBE,
};

/// `_qr_r(a, q, r)`, see [`QR_Q`].
pub static QR_R: Prim = Prim {
    name: "_qr_r",
    doc: "The `r` of a decomposition, differentiable.",
    sig: QR_SIG,
    infer: |args| infer_qr(args.get(..1).unwrap_or(&[])).map(|(_, r)| r),
    eval: Eval::General(|env, args| part(env, args, 1, &QR)),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let t = Triangular::of(cx, call, a_dot)?;
            let rest = cx.sub(&t.x, &t.turn)?;
            let r_dot = times(cx, &rest, &t.r, (false, false))?;
            t.sound.result(cx, a_dot, r_dot).map(Some)
        },
        vjp: |cx, call, r_bar| {
            let r_bar = &cx.apply(&super::triangle::TRIU, &[r_bar.clone(), Value::Int(0)])?;
            let (q, r, sound) = parts(cx, call, r_bar, Way::Pull)?;
            // M = R R_bar^T
            let m = times(cx, &r, r_bar, (false, true))?;
            let a_bar = pull(cx, &q, &r, &m, None)?;
            only(call, sound.result(cx, r_bar, a_bar)?)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_alike),
    probe: QR_PROBE,
};

/// q and r of a recorded call as functions of its matrix; an error if the columns are dependent. Matrices of a batch that are
/// left out have identities.
fn parts(cx: &mut Cx, call: &Call<'_>, bar: &Value, way: Way) -> Result<(Value, Value, Sound)> {
    let args = where_moving(cx, call.args, bar, Each::Matrix)?;
    let (q, r) = (cx.apply(&QR_Q, &args)?, cx.apply(&QR_R, &args)?);
    // The diagonal of r is 0 or more.
    let pivots = diagonal(cx, &r)?;
    let fine = positive(cx, &pivots, cutoff(sides(call.shape(0)).0, 1, dtype(&r)))?;
    let sound = require(cx, &fine, Asks::All(bar), "qr", way)?;
    Ok((sound.matrices(cx, q)?, sound.matrices(cx, r)?, sound))
}

/// What both tangents need.
struct Triangular {
    q: Value,
    r: Value,
    /// `dA R^-1`
    scaled: Value,
    /// `Q^T dA R^-1`
    x: Value,
    /// Its strict lower triangle minus the transpose of that.
    turn: Value,
    sound: Sound,
}

impl Triangular {
    fn of(cx: &mut Cx, call: &Call<'_>, a_dot: &Value) -> Result<Triangular> {
        let (q, r, sound) = parts(cx, call, a_dot, Way::Push)?;
        // dA R^-1 is the transpose of R^-T dA^T.
        let turned = transpose(cx, a_dot)?;
        let solved = triangular(cx, &r, &turned, false, true)?;
        let scaled = transpose(cx, &solved)?;
        let x = times(cx, &q, &scaled, (true, false))?;
        let below = tril(cx, &x, -1)?;
        let above = transpose(cx, &below)?;
        let turn = cx.sub(&below, &above)?;
        Ok(Triangular { q, r, scaled, x, turn, sound })
    }
}

/// `A_bar = (Q_bar + Q C) R^-T`, C symmetric with the lower triangle of M.
fn pull(cx: &mut Cx, q: &Value, r: &Value, m: &Value, q_bar: Option<&Value>) -> Result<Value> {
    let (lower, below) = (tril(cx, m, 0)?, tril(cx, m, -1)?);
    let above = transpose(cx, &below)?;
    let symmetric = cx.add(&lower, &above)?;
    let mut inside = times(cx, q, &symmetric, (false, false))?;
    if let Some(q_bar) = q_bar {
        inside = cx.add(q_bar, &inside)?;
    }
    // B R^-T is the transpose of R^-1 B^T.
    let turned = transpose(cx, &inside)?;
    let solved = triangular(cx, r, &turned, false, false)?;
    transpose(cx, &solved)
}
