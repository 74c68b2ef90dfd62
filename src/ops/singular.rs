//! The three parts of `svd`, as `factor.rs` explains: singular values and vectors of matrices with at least as many rows
//! as columns (`builtins/factor.rs` transposes the others).
//!
//! With `M = U^T dA V` and `F[i, j] = 1 / (s[j]^2 - s[i]^2)`: `ds = diag(M)`, `dV = V (F * (S M + M^T S))`,
//! `dU = U (F * (M S + S M^T)) + (I - U U^T) dA V / s`. Townsend, "Differentiating the singular value decomposition",
//! 2016. A singular value of 0 has slope 0, as `abs` has at 0. Vectors of equal values are not functions of the matrix,
//! nor are the left ones of a value 0 if there are more rows than columns.

use super::distinct::{Asks, Sound, Way, distinct, positive, require, require_alone};
use super::factor::{part, shorter};
use super::inverse::cutoff;
use super::matrices::{
    Each, Kind, batch_alike, batch_first, behind, columns_by, dtype, matrix, matrix_type, pair_sums, sides, times,
    transpose, where_moving,
};
use super::prim::{Batch, Call, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::only;
use super::spectral::reciprocal_gaps;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::decompose;
use crate::tensor::matrices::Matrices;
use crate::types::ty::{Dim, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&SVD, &SVD_U, &SVD_S, &SVD_VT];

const fn floats_of(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Matrix { shape, symmetric: false }
}

fn svd(env: &mut Env, args: &[Value]) -> Result<Value> {
    let m = Matrices::of(&matrix(env, "svd", args, 0, Kind::Any)?);
    let (rows, cols) = (m.rows, m.cols);
    let k = rows.min(cols);
    let parts = m.map(&[&[rows, k], &[k], &[k, cols]], |a| {
        let (u, s, vt) = decompose::svd(rows, cols, a)?;
        Ok(vec![u, s, vt])
    })?;
    Ok(Value::tuple(parts.into_iter().map(Value::tensor).collect()))
}

/// `_svd(a)`
pub static SVD: Prim = Prim {
    name: "_svd",
    doc: "`(u, s, vt)` of each matrix as constants.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_svd(args).map(|[u, s, vt]| Ty::tuple(vec![u, s, vt])),
    eval: Eval::General(svd),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_first),
    // Of ints, since it is a constant of what it is differentiated by.
    probe: Probe { samples: &[Sample { args: &[ProbeArg::Ints { shape: &[3, 2], data: &[2, 1, 0, 3, 1, 1] }] }] },
};

/// The types of u, s and vt.
pub fn infer_svd(args: &[Ty]) -> Result<[Ty; 3]> {
    let Some((dtype, dims)) = matrix_type("svd", args, 0, Kind::Any)? else { return Ok([Ty::Any, Ty::Any, Ty::Any]) };
    let (rows, cols) = match dims.as_deref() {
        Some([.., rows, cols]) => (*rows, *cols),
        _ => (Dim::Unknown, Dim::Unknown),
    };
    let k = shorter(rows, cols);
    Ok([&[rows, k][..], &[k], &[k, cols]].map(|last| behind(dtype, dims.as_ref(), last)))
}

fn infer_part(args: &[Ty], i: usize) -> Result<Ty> {
    let parts = infer_svd(args.get(..1).unwrap_or(&[]))?;
    Ok(parts.get(i).cloned().unwrap_or_default())
}

const SIG: Sig =
    Sig { params: &[req("a"), opt("u", Default::None), opt("s", Default::None), opt("vt", Default::None)] };

const PROBE: Probe = Probe {
    samples: &[
        Sample { args: &[floats_of(&[3, 3]), ProbeArg::None, ProbeArg::None, ProbeArg::None] },
        Sample { args: &[floats_of(&[4, 2]), ProbeArg::None, ProbeArg::None, ProbeArg::None] },
        Sample { args: &[floats_of(&[2, 2, 1]), ProbeArg::None, ProbeArg::None, ProbeArg::None] },
    ],
};

/// The three as functions of the matrix, where `bar` counts.
struct Parts {
    u: Value,
    s: Value,
    vt: Value,
    rows: usize,
    cols: usize,
}

impl Parts {
    fn of(cx: &mut Cx, call: &Call<'_>, bar: &Value, each: Each) -> Result<Parts> {
        let (rows, cols) = sides(call.shape(0));
        if rows < cols {
            return Err(Error::new("E0400", "bug in dlang: svd of a wide matrix was recorded"));
        }
        let args = where_moving(cx, call.args, bar, each)?;
        let [u, s, vt] = [&SVD_U, &SVD_S, &SVD_VT].map(|prim| cx.apply(prim, &args));
        Ok(Parts { u: u?, s: s?, vt: vt?, rows, cols })
    }

    /// Stand-ins for the matrices left out.
    fn sound(self, cx: &mut Cx, sound: &Sound) -> Result<Parts> {
        let (u, vt) = (sound.matrices(cx, self.u)?, sound.matrices(cx, self.vt)?);
        Ok(Parts { u, s: sound.vectors(cx, self.s)?, vt, ..self })
    }

    /// `U^T dA V`
    fn moved(&self, cx: &mut Cx, a_dot: &Value) -> Result<Value> {
        let right = times(cx, a_dot, &self.vt, (false, true))?;
        times(cx, &self.u, &right, (true, false))
    }

    /// `x * F` for pairs of distinct values: by differences and by sums of values, whose squares may be out of range.
    fn by_gaps(&self, cx: &mut Cx, x: &Value, apart: &Value) -> Result<Value> {
        let by_difference = reciprocal_gaps(cx, &self.s, apart)?;
        let sums = pair_sums(cx, &self.s)?;
        let by_sum = cx.div_or_zero(apart, &sums)?;
        let part = cx.zmul(x, &by_difference)?;
        cx.zmul(&part, &by_sum)
    }

    /// `(x * F) S` for an antisymmetric `x`. The factor `S` comes between the two divisions: in tiny matrices both together
    /// are out of range.
    fn by_gaps_scaled(&self, cx: &mut Cx, x: &Value, apart: &Value) -> Result<Value> {
        let by_difference = reciprocal_gaps(cx, &self.s, apart)?;
        let sums = pair_sums(cx, &self.s)?;
        let by_sum = cx.div_or_zero(apart, &sums)?;
        let part = cx.zmul(x, &by_difference)?;
        let part = columns_by(cx, &part, &self.s)?;
        cx.zmul(&part, &by_sum)
    }

    /// 1 for values that count as more than 0.
    fn positive(&self, cx: &mut Cx) -> Result<Value> {
        positive(cx, &self.s, cutoff(self.rows, self.cols, dtype(&self.s)))
    }
}

/// `x - x^T`
fn antisymmetric(cx: &mut Cx, x: &Value) -> Result<Value> {
    let mirrored = transpose(cx, x)?;
    cx.sub(x, &mirrored)
}

/// `_svd_u(a, u, s, vt)`
pub static SVD_U: Prim = Prim {
    name: "_svd_u",
    doc: "The left vectors of a decomposition, differentiable where the values are distinct.",
    sig: SIG,
    infer: |args| infer_part(args, 0),
    eval: Eval::General(|env, args| part(env, args, 0, &SVD)),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let p = Parts::of(cx, call, a_dot, Each::Matrix)?;
            let (apart, positive) = (distinct(cx, &p.s)?, p.positive(cx)?);
            let mut sound = require_alone(cx, &apart, Asks::All(a_dot), "svd", Way::Push)?;
            if p.rows > p.cols {
                let more = require(cx, &positive, Asks::All(a_dot), "null", Way::Push)?;
                sound = sound.and(cx, more)?;
            }
            let p = p.sound(cx, &sound)?;
            let m = p.moved(cx, a_dot)?;
            // M S + S M^T
            let right = columns_by(cx, &m, &p.s)?;
            let left = transpose(cx, &right)?;
            let sum = cx.add(&right, &left)?;
            let turn = p.by_gaps(cx, &sum, &apart)?;
            let inside = times(cx, &p.u, &turn, (false, false))?;
            if p.rows == p.cols {
                return sound.result(cx, a_dot, inside).map(Some);
            }
            let scaled = times(cx, a_dot, &p.vt, (false, true))?;
            let part = times(cx, &p.u, &m, (false, false))?;
            let rest = cx.sub(&scaled, &part)?;
            let inverse = cx.div_or_zero(&positive, &p.s)?;
            let outside = columns_by(cx, &rest, &inverse)?;
            let u_dot = cx.add(&inside, &outside)?;
            sound.result(cx, a_dot, u_dot).map(Some)
        },
        // A_bar = [U (F * (W - W^T)) S + (I - U U^T) U_bar / s] V^T with W = U^T U_bar
        vjp: |cx, call, u_bar| {
            let p = Parts::of(cx, call, u_bar, Each::Matrix)?;
            let (apart, positive) = (distinct(cx, &p.s)?, p.positive(cx)?);
            let mut sound = require_alone(cx, &apart, Asks::Columns(u_bar), "svd", Way::Pull)?;
            if p.rows > p.cols {
                let more = require(cx, &positive, Asks::Columns(u_bar), "null", Way::Pull)?;
                sound = sound.and(cx, more)?;
            }
            let p = p.sound(cx, &sound)?;
            let w = times(cx, &p.u, u_bar, (true, false))?;
            let difference = antisymmetric(cx, &w)?;
            let turn = p.by_gaps_scaled(cx, &difference, &apart)?;
            let mut left = times(cx, &p.u, &turn, (false, false))?;
            if p.rows > p.cols {
                let part = times(cx, &p.u, &w, (false, false))?;
                let rest = cx.sub(u_bar, &part)?;
                let inverse = cx.div_or_zero(&positive, &p.s)?;
                let outside = columns_by(cx, &rest, &inverse)?;
                left = cx.add(&left, &outside)?;
            }
            let a_bar = times(cx, &left, &p.vt, (false, false))?;
            only(call, sound.result(cx, u_bar, a_bar)?)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_alike),
    probe: PROBE,
};

/// `_svd_s(a, u, s, vt)`
pub static SVD_S: Prim = Prim {
    name: "_svd_s",
    doc: "The singular values of a decomposition, differentiable; slope 0 where one is 0.",
    sig: SIG,
    infer: |args| infer_part(args, 1),
    eval: Eval::General(|env, args| part(env, args, 1, &SVD)),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let p = Parts::of(cx, call, a_dot, Each::Matrix)?;
            // diag(U^T dA V): columns of U times those of dA V.
            let right = times(cx, a_dot, &p.vt, (false, true))?;
            let products = cx.mul(&p.u, &right)?;
            let rank = products.shape().map_or(0, <[usize]>::len);
            let slopes = cx.sum(&products, &[rank.saturating_sub(2)], false)?;
            let positive = p.positive(cx)?;
            cx.zmul(&positive, &slopes).map(Some)
        },
        vjp: |cx, call, s_bar| {
            let p = Parts::of(cx, call, s_bar, Each::Vector)?;
            let positive = p.positive(cx)?;
            let s_bar = cx.zmul(&positive, s_bar)?;
            let left = columns_by(cx, &p.u, &s_bar)?;
            only(call, times(cx, &left, &p.vt, (false, false))?)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_alike),
    probe: PROBE,
};

/// `_svd_vt(a, u, s, vt)`
pub static SVD_VT: Prim = Prim {
    name: "_svd_vt",
    doc: "The right vectors, as rows, of a decomposition, differentiable where the values are distinct.",
    sig: SIG,
    infer: |args| infer_part(args, 2),
    eval: Eval::General(|env, args| part(env, args, 2, &SVD)),
    diff: Diff::Rules {
        jvp: |cx, call, tangents| {
            let Some(Some(a_dot)) = tangents.first() else { return Ok(None) };
            let p = Parts::of(cx, call, a_dot, Each::Matrix)?;
            let apart = distinct(cx, &p.s)?;
            let sound = require_alone(cx, &apart, Asks::All(a_dot), "svd", Way::Push)?;
            let p = p.sound(cx, &sound)?;
            let m = p.moved(cx, a_dot)?;
            // S M + M^T S, of which M^T S is the first summand and S M its transpose.
            let mirrored = transpose(cx, &m)?;
            let right = columns_by(cx, &mirrored, &p.s)?;
            let left = transpose(cx, &right)?;
            let sum = cx.add(&right, &left)?;
            let turn = p.by_gaps(cx, &sum, &apart)?;
            // dV^T = (F * sum)^T V^T
            let vt_dot = times(cx, &turn, &p.vt, (true, false))?;
            sound.result(cx, a_dot, vt_dot).map(Some)
        },
        // A_bar = U S (F * (W - W^T)) V^T with W = V^T V_bar
        vjp: |cx, call, vt_bar| {
            let p = Parts::of(cx, call, vt_bar, Each::Matrix)?;
            let apart = distinct(cx, &p.s)?;
            let sound = require_alone(cx, &apart, Asks::Rows(vt_bar), "svd", Way::Pull)?;
            let p = p.sound(cx, &sound)?;
            let w = times(cx, &p.vt, vt_bar, (false, true))?;
            let difference = antisymmetric(cx, &w)?;
            // S (F * x) is the transpose of (F * x) S, as F and x are antisymmetric.
            let turn = p.by_gaps_scaled(cx, &difference, &apart)?;
            let left = times(cx, &p.u, &turn, (false, true))?;
            let a_bar = times(cx, &left, &p.vt, (false, false))?;
            only(call, sound.result(cx, vt_bar, a_bar)?)
        },
        keep: Keep::ARGS,
    },
    batch: Batch::Rule(batch_alike),
    probe: PROBE,
};
