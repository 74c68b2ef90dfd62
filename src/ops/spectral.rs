//! The two parts of `eigh`, as `factor.rs` explains: eigenvalues and eigenvectors of symmetric matrices.
//!
//! With `M = V^T dA V` and `F[i, j] = 1 / (l[j] - l[i])`: `dl = diag(M)`, `dV = V (F * M)`. Vectors of equal eigenvalues
//! are not functions of the matrix: a derivative that needs those is an error, while that of the values exists.

use super::distinct::{Asks, Way, distinct, require_alone};
use super::factor::{part, symmetric_part};
use super::matrices::{
    Each, Kind, batch_alike, batch_first, behind, columns_by, differences, infer_square, matrix, matrix_type,
    symmetrized, times, where_moving,
};
use super::prim::{Batch, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::only;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::Result;
use crate::tensor::decompose;
use crate::tensor::matrices::Matrices;
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&EIGH, &EIGH_VALUES, &EIGH_VECTORS];

fn eigh(env: &mut Env, args: &[Value]) -> Result<Value> {
    let m = Matrices::of(&matrix(env, "eigh", args, 0, Kind::Square)?);
    let n = m.rows;
    let parts = m.map(&[&[n], &[n, n]], |a| {
        decompose::finite("eigh", a)?;
        let (values, vectors) = decompose::eigh(n, &symmetric_part(n, a))?;
        Ok(vec![values, vectors])
    })?;
    Ok(Value::tuple(parts.into_iter().map(Value::tensor).collect()))
}

/// `_eigh(a)`
pub static EIGH: Prim = Prim {
    name: "_eigh",
    doc: "`(values, vectors)` of each symmetric matrix as constants.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_eigh(args).map(|(values, vectors)| Ty::tuple(vec![values, vectors])),
    eval: Eval::General(eigh),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_first),
    // Of ints, since it is a constant of what it is differentiated by.
    probe: Probe { samples: &[Sample { args: &[ProbeArg::Ints { shape: &[2, 2], data: &[2, 1, 1, 3] }] }] },
};

/// The types of values and vectors.
pub fn infer_eigh(args: &[Ty]) -> Result<(Ty, Ty)> {
    let vectors = infer_square("eigh", args)?;
    let Some((dtype, dims)) = matrix_type("eigh", args, 0, Kind::Square)? else { return Ok((Ty::Any, vectors)) };
    let n = dims.as_ref().and_then(|d| d.last().copied());
    Ok((behind(dtype, dims.as_ref(), n.as_slice()), vectors))
}

const SIG: Sig = Sig { params: &[req("a"), opt("values", Default::None), opt("vectors", Default::None)] };

const PROBE: Probe = Probe {
    samples: &[
        Sample { args: &[ProbeArg::Matrix { shape: &[3, 3], symmetric: true }, ProbeArg::None, ProbeArg::None] },
        Sample { args: &[ProbeArg::Matrix { shape: &[1, 1], symmetric: true }, ProbeArg::None, ProbeArg::None] },
        Sample { args: &[ProbeArg::Matrix { shape: &[2, 2, 2], symmetric: true }, ProbeArg::None, ProbeArg::None] },
    ],
};

/// `_eigh_values(a, values, vectors)`
pub static EIGH_VALUES: Prim = Prim {
    name: "_eigh_values",
    doc: "The eigenvalues of a decomposition, differentiable.",
    sig: SIG,
    infer: |args| infer_eigh(args.get(..1).unwrap_or(&[])).map(|(values, _)| values),
    eval: Eval::General(|env, args| part(env, args, 0, &EIGH)),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let args = where_moving(cx, call.args, a_dot, Each::Matrix)?;
            let v = cx.apply(&EIGH_VECTORS, &args)?;
            // diag(V^T dA V): columns of V times those of dA V.
            let a_dot = symmetrized(cx, a_dot)?;
            let moved = times(cx, &a_dot, &v, (false, false))?;
            let products = cx.mul(&v, &moved)?;
            let rank = products.shape().map_or(0, <[usize]>::len);
            cx.sum(&products, &[rank.saturating_sub(2)], false).map(Some)
        },
        vjp: |cx, call, l_bar| {
            let args = where_moving(cx, call.args, l_bar, Each::Vector)?;
            let v = cx.apply(&EIGH_VECTORS, &args)?;
            let scaled = columns_by(cx, &v, l_bar)?;
            only(call, times(cx, &scaled, &v, (false, true))?)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_alike),
    probe: PROBE,
};

/// `_eigh_vectors(a, values, vectors)`
pub static EIGH_VECTORS: Prim = Prim {
    name: "_eigh_vectors",
    doc: "The eigenvectors of a decomposition, differentiable where no two eigenvalues are equal.",
    sig: SIG,
    infer: |args| infer_eigh(args.get(..1).unwrap_or(&[])).map(|(_, vectors)| vectors),
    eval: Eval::General(|env, args| part(env, args, 1, &EIGH)),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let args = where_moving(cx, call.args, a_dot, Each::Matrix)?;
            let (l, v) = (cx.apply(&EIGH_VALUES, &args)?, cx.apply(&EIGH_VECTORS, &args)?);
            let apart = distinct(cx, &l)?;
            let sound = require_alone(cx, &apart, Asks::All(a_dot), "eigh", Way::Push)?;
            let (l, v) = (sound.vectors(cx, l)?, sound.matrices(cx, v)?);
            let symmetric = symmetrized(cx, a_dot)?;
            let moved = times(cx, &symmetric, &v, (false, false))?;
            let m = times(cx, &v, &moved, (true, false))?;
            let f = reciprocal_gaps(cx, &l, &apart)?;
            let turn = cx.zmul(&m, &f)?;
            let v_dot = times(cx, &v, &turn, (false, false))?;
            sound.result(cx, a_dot, v_dot).map(Some)
        },
        vjp: |cx, call, v_bar| {
            let args = where_moving(cx, call.args, v_bar, Each::Matrix)?;
            let (l, v) = (cx.apply(&EIGH_VALUES, &args)?, cx.apply(&EIGH_VECTORS, &args)?);
            let apart = distinct(cx, &l)?;
            let sound = require_alone(cx, &apart, Asks::Columns(v_bar), "eigh", Way::Pull)?;
            let (l, v) = (sound.vectors(cx, l)?, sound.matrices(cx, v)?);
            let m = times(cx, &v, v_bar, (true, false))?;
            let f = reciprocal_gaps(cx, &l, &apart)?;
            let turn = cx.zmul(&m, &f)?;
            let left = times(cx, &v, &turn, (false, false))?;
            let a_bar = times(cx, &left, &v, (false, true))?;
            let a_bar = symmetrized(cx, &a_bar)?;
            only(call, sound.result(cx, v_bar, a_bar)?)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_alike),
    probe: PROBE,
};

/// `1 / (values[j] - values[i])` at `[i, j]`, 0 where these coincide.
pub fn reciprocal_gaps(cx: &mut Cx, values: &Value, distinct: &Value) -> Result<Value> {
    let gaps = differences(cx, values)?;
    cx.div_or_zero(distinct, &gaps)
}
