//! Triangles and diagonals of matrices: `tril`, `triu`, `diag`, `trace`. All are linear.

use super::index::{INDEX_ADD, spec};
use super::operand::{self, Operand, known_int, ranked, ranked_operand};
use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::reduce::{SUM, only};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::create::article;
use crate::tensor::{DType, Tensor, index as kernel, room, view};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&TRIL, &TRIU, &DIAG, &TRACE];

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

// ---- triangles ----

fn tril(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = ranked(env, "tril", args, 2)?;
    Ok(Value::tensor(view::tril(&t, operand::int("tril", "the diagonal", args.get(1))?)))
}

fn triu(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = ranked(env, "triu", args, 2)?;
    Ok(Value::tensor(view::triu(&t, operand::int("triu", "the diagonal", args.get(1))?)))
}

fn infer_same(name: &str, args: &[Ty]) -> Result<Ty> {
    ranked_operand(name, args, 2)?;
    Ok(args.first().cloned().unwrap_or_default())
}

/// A triangle is its own transpose.
fn again(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let k = call.args.get(1).cloned().unwrap_or_default();
    only(call, cx.apply(call.prim, &[y_bar.clone(), k])?)
}

/// `tril(x, k: 0)`
pub static TRIL: Prim = Prim {
    name: "tril",
    doc: "The lower triangle of the last two axes up to diagonal `k` (0 is the main one, 1 the one above), zeros elsewhere.",
    sig: Sig { params: &[req("x"), opt("k", Default::Int(0))] },
    infer: |args| infer_same("tril", args),
    eval: Eval::General(tril),
    diff: Diff::Linear { vjp: again, keep: Keep::NOTHING },
    batch: Batch::Rule(super::batching_moves::on_matrices),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 3]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 2, 3]), ProbeArg::Int(-1)] },
        ],
    },
};

/// `triu(x, k: 0)`
pub static TRIU: Prim = Prim {
    name: "triu",
    doc: "The upper triangle of the last two axes from diagonal `k` (0 is the main one, 1 the one above), zeros elsewhere.",
    sig: Sig { params: &[req("x"), opt("k", Default::Int(0))] },
    infer: |args| infer_same("triu", args),
    eval: Eval::General(triu),
    diff: Diff::Linear { vjp: again, keep: Keep::NOTHING },
    batch: Batch::Rule(super::batching_moves::on_matrices),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 3]), ProbeArg::Int(1)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(0)] },
        ],
    },
};

// ---- diagonals ----

/// How far diagonal `k` starts from the top and from the left.
fn start(k: i64) -> (usize, usize) {
    let far = |k: i64| usize::try_from(k.max(0)).unwrap_or(usize::MAX);
    (far(k.saturating_neg()), far(k))
}

/// Length of diagonal `k` of a matrix.
fn length(rows: usize, cols: usize, k: i64) -> usize {
    let (down, right) = start(k);
    rows.saturating_sub(down).min(cols.saturating_sub(right))
}

/// The index of diagonal `k` of the last two axes.
pub(super) fn diagonal(shape: &[usize], k: i64) -> Value {
    let [.., rows, cols] = shape else { return Value::tuple(vec![]) };
    let n = length(*rows, *cols, k);
    let (down, right) = start(k);
    let places = |from: usize| Value::tensor(Tensor::from_vec(&[n], (from..from + n).map(|i| i as i64).collect()));
    // An empty diagonal may start far outside.
    let (down, right) = if n == 0 { (0, 0) } else { (down, right) };
    Value::tuple(vec![Value::str("..."), places(down), places(right)])
}

/// Rows and columns of a matrix with `n` numbers on diagonal `k`.
pub(super) fn diagonal_side(n: usize, k: i64) -> usize {
    let (down, right) = start(k);
    n.saturating_add(down).saturating_add(right)
}

#[cold]
fn not_flat(kind: &str) -> Error {
    let kind = article(kind);
    Error::new("E0303", format!("diag wants a vector or a matrix, not {kind}")).operand(0, format!("this is {kind}"))
}

fn diag(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = ranked(env, "diag", args, 1)?;
    let k = operand::int("diag", "the diagonal", args.get(1))?;
    match *t.shape() {
        [n] => {
            let side = diagonal_side(n, k);
            room::check(&[side, side], t.dtype())?;
            Ok(Value::tensor(view::diag_matrix(&t, k)))
        }
        [_, _] => kernel::get_index(&t, &spec(&diagonal(t.shape(), k))?),
        _ => Err(not_flat(&args.first().map_or_else(String::new, Value::type_name))),
    }
}

fn infer_diag(args: &[Ty]) -> Result<Ty> {
    let Some(Operand { dtype, dims }) = ranked_operand("diag", args, 1)? else { return Ok(Ty::Any) };
    let Some(dims) = dims else { return Ok(Ty::of(dtype, None)) };
    let k = known_int(args.get(1));
    let out: Dims = match (&dims[..], k) {
        ([Dim::Known(n)], Some(k)) => {
            let side = Dim::Known(diagonal_side(*n, k));
            Dims::from_slice(&[side, side])
        }
        ([n], Some(0)) => Dims::from_slice(&[*n, *n]),
        ([_], _) => Dims::from_slice(&[Dim::Unknown, Dim::Unknown]),
        ([Dim::Known(m), Dim::Known(n)], Some(k)) => Dims::from_slice(&[Dim::Known(length(*m, *n, k))]),
        ([_, _], _) => Dims::from_slice(&[Dim::Unknown]),
        _ => return Err(not_flat(&args.first().map_or_else(String::new, super::shape_rules::show))),
    };
    Ok(Ty::of(dtype, Some(out)))
}

/// Zeros of argument 0 with a cotangent on diagonal `k` of the last two axes.
fn on_diagonal(cx: &mut Cx, call: &Call<'_>, k: i64, y_bar: &Value) -> Result<Value> {
    let dtype = call.shapes.first().and_then(|s| s.dtype).unwrap_or(DType::F64);
    let zeros = cx.zeros(call.shape(0), dtype);
    cx.apply(&INDEX_ADD, &[zeros, diagonal(call.shape(0), k), y_bar.clone()])
}

fn diag_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let k = operand::int("diag", "the diagonal", call.args.get(1))?;
    let x_bar = match call.shape(0) {
        [_] => cx.apply(&DIAG, &[y_bar.clone(), Value::Int(k)])?,
        _ => on_diagonal(cx, call, k, y_bar)?,
    };
    only(call, x_bar)
}

/// `diag(x, k: 0)`
pub static DIAG: Prim = Prim {
    name: "diag",
    doc: "Of a vector the square matrix with it on diagonal `k`; of a matrix its diagonal `k` (0 is the main one, 1 the one above).",
    sig: Sig { params: &[req("x"), opt("k", Default::Int(0))] },
    infer: infer_diag,
    eval: Eval::General(diag),
    diff: Diff::Linear { vjp: diag_vjp, keep: Keep::NOTHING },
    batch: Batch::Rule(super::batching_moves::diagonals),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2]), ProbeArg::Int(-1)] },
            Sample { args: &[floats(&[3, 2]), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[3, 3]), ProbeArg::Int(1)] },
        ],
    },
};

fn trace(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = ranked(env, "trace", args, 2)?;
    let diagonals = kernel::get_index(&t, &spec(&diagonal(t.shape(), 0))?)?;
    match &SUM.eval {
        Eval::General(sum) => sum(env, &[diagonals, Value::Int(-1), Value::Bool(false)]),
        Eval::Elementwise(_) => Ok(Value::None),
    }
}

fn infer_trace(args: &[Ty]) -> Result<Ty> {
    let Some(Operand { dtype, dims }) = ranked_operand("trace", args, 2)? else { return Ok(Ty::Any) };
    let dtype = if dtype == Some(DType::Bool) { Some(DType::Int) } else { dtype };
    let dims = dims.map(|dims| Dims::from_slice(dims.get(..dims.len().saturating_sub(2)).unwrap_or(&[])));
    Ok(Ty::of(dtype, dims))
}

/// `trace(x)`
pub static TRACE: Prim = Prim {
    name: "trace",
    doc: "The sum of the main diagonal of the last two axes.",
    sig: Sig { params: &[req("x")] },
    infer: infer_trace,
    eval: Eval::General(trace),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| {
            let mut column: Vec<usize> = y_bar.shape().unwrap_or(&[]).to_vec();
            if column.is_empty() {
                return only(call, on_diagonal(cx, call, 0, y_bar)?);
            }
            column.push(1);
            let y_bar = cx.reshape(y_bar, &column)?;
            only(call, on_diagonal(cx, call, 0, &y_bar)?)
        },
        keep: Keep::NOTHING,
    },
    batch: Batch::Rule(super::batching_moves::on_matrices),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 3])] },
            Sample { args: &[floats(&[2, 3])] },
            Sample { args: &[floats(&[2, 3, 3])] },
        ],
    },
};
