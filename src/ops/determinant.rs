//! Determinants: `det`, `logdet`, and what `linalg.slogdet` is made of.
//!
//! The slope of `det` is the matrix of cofactors, which exists for every matrix; so does the slope of that. Both are
//! primitives, computed from the singular values where there is no inverse, so that first and second derivatives are
//! exact and finite at matrices of any rank.

use super::distinct::Way;
use super::matrices::{
    Each, Kind, as_undefined, batch_alike, batch_first, dtype, infer_number, infer_square, inner, inverses, matrix,
    sides, spread, strongly, times, transpose,
};
use super::prim::{Batch, Call, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use super::reduce::only;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::decompose::{self, Factors};
use crate::tensor::matrices::Matrices;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&DET, &LOGDET, &LOG_ABS_DET, &DET_SIGN, &COFACTORS, &COFACTORS_CHANGE];

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -2.0, hi: 2.0 }
}

/// A number of each matrix.
fn number(env: &Env, name: &str, args: &[Value], f: impl Fn(&Factors) -> Result<f64>) -> Result<Value> {
    let m = Matrices::of(&matrix(env, name, args, 0, Kind::Square)?);
    let out = m.map(&[&[]], |a| Ok(vec![vec![f(&Factors::of(m.rows, a))?]]))?;
    Ok(out.into_iter().next().map_or(Value::None, Value::tensor))
}

/// The argument of a recorded call.
fn first<'a>(call: &Call<'a>) -> Result<&'a Value> {
    call.args
        .first()
        .ok_or_else(|| Error::new("E0400", format!("bug in dlang: {} was recorded without its matrix", call.prim.name)))
}

// ---- det ----

/// `det(a)`
pub static DET: Prim = Prim {
    name: "det",
    doc: "The determinant of each square matrix `[..., n, n]`: `[...]`, or a float for one matrix. Its slope is the matrix of \
          cofactors, exact at singular matrices too, where the second derivative is finite. `det([[1.0, 2.0], [3.0, 4.0]])` \
          is -2.0.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_number("det", args),
    eval: Eval::General(|env, args| number(env, "det", args, |f| Ok(f.determinant()))),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let slope = cx.apply(&COFACTORS, call.args)?;
            inner(cx, a_dot, &slope).map(Some)
        },
        vjp: |cx, call, y_bar| {
            let slope = cx.apply(&COFACTORS, call.args)?;
            let y_bar = spread(cx, y_bar)?;
            only(call, cx.zmul(&y_bar, &slope)?)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_first),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 3])] },
            Sample { args: &[floats(&[1, 1])] },
            Sample { args: &[floats(&[0, 0])] },
            Sample { args: &[floats(&[2, 2, 2])] },
            Sample { args: &[floats(&[0, 3, 3])] },
        ],
    },
};

/// `_cofactors(a)`: the gradient of `det`, at regular matrices `det(a) * inv(a)^T`.
static COFACTORS: Prim = Prim {
    name: "_cofactors",
    doc: "The determinants, with their signs, of each square matrix without row i and column j.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_square("det", args),
    eval: Eval::General(|env, args| {
        let m = Matrices::of(&matrix(env, "det", args, 0, Kind::Square)?);
        let n = m.rows;
        let out = m.map(&[&[n, n]], |a| Ok(vec![decompose::cofactors(n, a)?]))?;
        Ok(out.into_iter().next().map_or(Value::None, Value::tensor))
    }),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            cx.apply(&COFACTORS_CHANGE, &[first(call)?.clone(), a_dot.clone()]).map(Some)
        },
        // The second derivative of `det` is symmetric: the rule is its own transpose.
        vjp: |cx, call, y_bar| only(call, cx.apply(&COFACTORS_CHANGE, &[first(call)?.clone(), y_bar.clone()])?),
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_first),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 3])] },
            Sample { args: &[floats(&[1, 1])] },
            Sample { args: &[floats(&[2, 2, 2])] },
        ],
    },
};

/// `_cofactors_change(a, e)`: the derivative of the cofactors in direction `e`, which is linear in it.
static COFACTORS_CHANGE: Prim = Prim {
    name: "_cofactors_change",
    doc: "How the cofactors of `a` change in direction `e`.",
    sig: Sig { params: &[req("a"), req("e")] },
    infer: |args| infer_square("det", args),
    eval: Eval::General(cofactors_change),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let [a, e] = call.args else { return Ok(None) };
            let [a_dot, e_dot] = tangents else { return Ok(None) };
            let by_a = match a_dot {
                Some(a_dot) => Some(third(cx, a, e, a_dot, Way::Push)?),
                None => None,
            };
            let by_e = match e_dot {
                Some(e_dot) => Some(cx.apply(&COFACTORS_CHANGE, &[a.clone(), e_dot.clone()])?),
                None => None,
            };
            match (by_a, by_e) {
                (Some(x), Some(y)) => cx.add(&x, &y).map(Some),
                (x, y) => Ok(x.or(y)),
            }
        },
        vjp: |cx, call, y_bar| {
            let mut out = Cotangents::from_elem(None, 2);
            let [a, e] = call.args else { return Ok(out) };
            if call.wants(0) {
                out[0] = Some(third(cx, a, e, y_bar, Way::Pull)?);
            }
            if call.wants(1) {
                out[1] = Some(cx.apply(&COFACTORS_CHANGE, &[a.clone(), y_bar.clone()])?);
            }
            Ok(out)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_alike),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 3]), floats(&[3, 3])] },
            Sample { args: &[floats(&[2, 2, 2]), floats(&[2, 2, 2])] },
        ],
    },
};

fn cofactors_change(env: &mut Env, args: &[Value]) -> Result<Value> {
    let m = Matrices::of(&matrix(env, "det", args, 0, Kind::Square)?);
    let directions = Matrices::of(&matrix(env, "det", args, 1, Kind::Square)?);
    let n = m.rows;
    let mut i = 0;
    let out = m.map(&[&[n, n]], |a| {
        i += 1;
        Ok(vec![decompose::cofactors_change(n, a, directions.get(i - 1))?])
    })?;
    Ok(out.into_iter().next().map_or(Value::None, Value::tensor))
}

/// The third derivative of `det` in directions `e` and `g`, by inverse `X` and determinant `d`:
/// with `E = X e`, `G = X g` it is `d (tr(E) tr(G) - tr(E G)) X^T - d (tr(G) E X + tr(E) G X - E G X - G E X)^T`.
fn third(cx: &mut Cx, a: &Value, e: &Value, g: &Value, way: Way) -> Result<Value> {
    let shape = a.shape().unwrap_or(&[]);
    if sides(shape).0 < 3 {
        // A polynomial of degree 2 or less.
        return Ok(cx.zeros(shape, dtype(a)));
    }
    let x = inverses(cx, a, &[e, g], Each::Matrix, way);
    let x = as_undefined("det", x)?;
    let d = cx.apply(&DET, std::slice::from_ref(a))?;
    let plain = (false, false);
    let (ex, gx) = (times(cx, &x, e, plain)?, times(cx, &x, g, plain)?);
    let xt = transpose(cx, &x)?;
    let turned = |cx: &mut Cx, v: &Value| transpose(cx, v);
    // tr(X e) is the sum of the products of X^T and e.
    let (tr_e, tr_g) = (inner(cx, &xt, e)?, inner(cx, &xt, g)?);
    let ex_t = turned(cx, &ex)?;
    let tr_eg = inner(cx, &ex_t, &gx)?;
    let both = cx.mul(&tr_e, &tr_g)?;
    let scale = cx.sub(&both, &tr_eg)?;
    let (scale, tr_e, tr_g) = (spread(cx, &scale)?, spread(cx, &tr_e)?, spread(cx, &tr_g)?);
    let mut inside = cx.mul(&x, &scale)?;
    let (exx, gxx) = (times(cx, &ex, &x, plain)?, times(cx, &gx, &x, plain)?);
    for (trace, matrix) in [(&tr_g, &exx), (&tr_e, &gxx)] {
        let term = cx.mul(matrix, trace)?;
        inside = cx.sub(&inside, &term)?;
    }
    for (left, right) in [(&ex, &gxx), (&gx, &exx)] {
        let term = times(cx, left, right, plain)?;
        inside = cx.add(&inside, &term)?;
    }
    let d = spread(cx, &d)?;
    let scaled = cx.mul(&inside, &d)?;
    let scaled = turned(cx, &scaled)?;
    let scaled = strongly(cx, e, &scaled)?;
    strongly(cx, g, &scaled)
}

// ---- its logarithm ----

#[cold]
fn negative(name: &str, determinant: f64) -> Error {
    Error::new("E0463", format!("{name} of a matrix with the negative determinant {determinant:.6}"))
        .operand(0, "the logarithm of its determinant is not real")
        .help("linalg.slogdet(a) gives the sign of the determinant and the logarithm of its size")
}

const fn log_rules() -> Diff {
    Diff::Rules { jvp: log_jvp, vjp: log_vjp, keep: Keep::ARGS }
}

fn log_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
    let slope = log_slope(cx, call, a_dot, Each::Matrix, Way::Push)?;
    inner(cx, a_dot, &slope).map(Some)
}

fn log_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let slope = log_slope(cx, call, y_bar, Each::Number, Way::Pull)?;
    let y_bar = spread(cx, y_bar)?;
    only(call, cx.zmul(&y_bar, &slope)?)
}

/// The gradient of the logarithm of a determinant: the inverse, transposed.
fn log_slope(cx: &mut Cx, call: &Call<'_>, bar: &Value, each: Each, way: Way) -> Result<Value> {
    let name = if call.prim.name == "logdet" { "logdet" } else { "slogdet" };
    let inverse = inverses(cx, first(call)?, &[bar], each, way);
    let inverse = as_undefined(name, inverse)?;
    transpose(cx, &inverse)
}

const LOG_PROBE: Probe = Probe {
    samples: &[
        Sample { args: &[ProbeArg::Matrix { shape: &[3, 3], symmetric: true }] },
        Sample { args: &[ProbeArg::Matrix { shape: &[2, 2, 2], symmetric: true }] },
        Sample { args: &[ProbeArg::Matrix { shape: &[0, 0], symmetric: false }] },
    ],
};

/// `logdet(a)`
pub static LOGDET: Prim = Prim {
    name: "logdet",
    doc: "The logarithm of the determinant of each square matrix, without overflow: -inf for a singular matrix, where \
          differentiating it is an error; an error if the determinant is negative (see `linalg.slogdet`).",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_number("logdet", args),
    eval: Eval::General(|env, args| {
        number(env, "logdet", args, |f| {
            let (sign, log) = f.log_determinant();
            if sign < 0.0 { Err(negative("logdet", -log.exp())) } else { Ok(log) }
        })
    }),
    diff: log_rules(),
    batch: Batch::Rule(batch_first),
    probe: LOG_PROBE,
};

/// `_log_abs_det(a)`
static LOG_ABS_DET: Prim = Prim {
    name: "_log_abs_det",
    doc: "The logarithm of the size of the determinant of each square matrix.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_number("slogdet", args),
    eval: Eval::General(|env, args| number(env, "slogdet", args, |f| Ok(f.log_determinant().1))),
    diff: log_rules(),
    batch: Batch::Rule(batch_first),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Matrix { shape: &[3, 3], symmetric: false }] },
            Sample { args: &[ProbeArg::Matrix { shape: &[2, 2, 2], symmetric: false }] },
        ],
    },
};

/// `_det_sign(a)`
static DET_SIGN: Prim = Prim {
    name: "_det_sign",
    doc: "The sign of the determinant of each square matrix: -1, 0 or 1.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_number("slogdet", args),
    eval: Eval::General(|env, args| number(env, "slogdet", args, |f| Ok(f.log_determinant().0))),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_first),
    probe: Probe { samples: &[Sample { args: &[floats(&[3, 3])] }] },
};
