//! Where the vectors of a decomposition are functions of the matrix: values that are alone, values that are not 0. As
//! primitives without derivative, since rules run on batches of matrices too.

use super::compare::{AND, NE, OR};
use super::matrices::{batch_alike, dtype, sides, spread, undefined};
use super::operand::{Operand, operand};
use super::prim::{Batch, Default, Diff, Eval, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::create::scalar_f64;
use crate::tensor::matrices::{Matrices, epsilon};
use crate::tensor::{DType, Shape, Tensor, show_shape};
use crate::types::ty::{Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&DISTINCT, &POSITIVE, &REQUIRE];

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: 0.5, hi: 2.0 }
}

#[cold]
fn bug(name: &str) -> Error {
    Error::new("E0400", format!("bug in dlang: {name} was called without its tensors"))
}

fn values<'a>(name: &str, args: &'a [Value]) -> Result<&'a Tensor> {
    match args.first() {
        Some(Value::Tensor(_, t)) => Ok(t),
        _ => Err(bug(name)),
    }
}

/// What `f` makes of each row of the last axis.
fn each_row(t: &Tensor, shape: &[usize], f: impl FnMut(&[f64]) -> Vec<f64>) -> Value {
    let n = t.shape().last().copied().unwrap_or(0).max(1);
    let all: Vec<f64> = t.iter_f64().collect();
    let out: Vec<f64> = all.chunks_exact(n).flat_map(f).collect();
    Value::tensor(Tensor::floats(shape, t.dtype(), out.into_iter()))
}

/// `_distinct(values)`
static DISTINCT: Prim = Prim {
    name: "_distinct",
    doc: "Of values `[..., n]` a matrix with 1 at `[i, j]` if values i and j differ by more than rounding, else 0.",
    sig: Sig { params: &[req("values")] },
    infer: |args| {
        let Some(Operand { dtype, dims }) = operand("_distinct", args)? else { return Ok(Ty::Any) };
        let dims = dims.map(|mut dims| {
            dims.extend(dims.last().copied());
            dims
        });
        Ok(Ty::of(dtype, dims))
    },
    eval: Eval::General(|_, args| {
        let t = values("_distinct", args)?;
        let n = t.shape().last().copied().unwrap_or(0);
        let shape: Shape = t.shape().iter().copied().chain([n]).collect();
        Ok(each_row(t, &shape, |row| {
            let largest = row.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let least = 4.0 * n as f64 * epsilon(t.dtype()) * largest;
            let apart = |x: &f64, y: &f64| if (x - y).abs() > least { 1.0 } else { 0.0 };
            row.iter().flat_map(|x| row.iter().map(move |y| apart(x, y))).collect()
        }))
    }),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_alike),
    probe: Probe { samples: &[Sample { args: &[floats(&[3])] }] },
};

/// `_positive(values, part)`
static POSITIVE: Prim = Prim {
    name: "_positive",
    doc: "1 for those of the values `[..., n]` that are more than `part` of the largest, else 0.",
    sig: Sig { params: &[req("values"), opt("part", Default::Float(0.0))] },
    infer: |args| {
        let Some(Operand { dtype, dims }) = operand("_positive", args)? else { return Ok(Ty::Any) };
        Ok(Ty::of(dtype, dims))
    },
    eval: Eval::General(|_, args| {
        let t = values("_positive", args)?;
        let part = args.get(1).and_then(scalar_f64).unwrap_or(0.0);
        Ok(each_row(t, t.shape(), |row| {
            let least = part * row.iter().fold(0.0f64, |m, x| m.max(*x));
            row.iter().map(|&x| if x > least { 1.0 } else { 0.0 }).collect()
        }))
    }),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_alike),
    probe: Probe { samples: &[Sample { args: &[floats(&[3]), ProbeArg::None] }] },
};

/// Why vectors may not be differentiated, by the word that a rule gives.
fn reason(word: &str) -> Error {
    match word {
        "qr" => undefined(
            "qr",
            "the leading columns of the matrix are linearly dependent, so that q and r are not functions of it",
            "drop dependent columns, or add a little noise to them",
        ),
        "null" => undefined(
            "svd",
            "a singular value is 0, so that its vectors are not functions of the matrix",
            "the singular values alone can be differentiated there",
        ),
        "svd" => undefined(
            "svd",
            "two singular values coincide, so that their vectors are not functions of the matrix",
            "the singular values alone can be differentiated there; or separate them by adding a little to the matrix",
        ),
        _ => undefined(
            "eigh",
            "two eigenvalues coincide, so that their vectors are not functions of the matrix",
            "the eigenvalues alone can be differentiated there; or separate them by adding a little to the matrix",
        ),
    }
}

/// `_require(fine, bar, columns, strict, why, push)`
static REQUIRE: Prim = Prim {
    name: "_require",
    doc: "An error if a vector for which `fine[..., n]` is 0 is asked for: by an entry of the cotangent `bar` in its column (or \
          row, or with `columns: none` anywhere in its matrix) that is not 0; with `strict` or without `bar`, in any case. In a \
          batch, no error but false for matrices with such a vector of which `bar` is 0 or, with `push`, a tangent. True for others.",
    sig: Sig {
        params: &[
            req("fine"),
            opt("bar", Default::None),
            opt("columns", Default::None),
            opt("strict", Default::Bool(true)),
            opt("why", Default::Str("eigh")),
            opt("push", Default::Bool(false)),
        ],
    },
    infer: |args| {
        let Some(Operand { dims, .. }) = operand("_require", args)? else { return Ok(Ty::Any) };
        let Some(dims) = dims else { return Ok(Ty::Any) };
        Ok(match dims.as_slice() {
            [] | [_] => Ty::Bool(None),
            [batch @ .., _] => Ty::of(Some(DType::Bool), Some(Dims::from_slice(batch))),
        })
    },
    eval: Eval::General(check),
    diff: Diff::Zero,
    batch: Batch::Rule(batch_alike),
    probe: Probe {
        samples: &[Sample {
            args: &[
                floats(&[3]),
                ProbeArg::None,
                ProbeArg::Bool(true),
                ProbeArg::Bool(true),
                ProbeArg::Str("eigh"),
                ProbeArg::Bool(false),
            ],
        }],
    },
};

fn check(_: &mut Env, args: &[Value]) -> Result<Value> {
    let fine = values("_require", args)?;
    let flag = |i: usize| matches!(args.get(i), Some(Value::Bool(true)));
    let (strict, push) = (flag(3), flag(5));
    let n = fine.shape().last().copied().unwrap_or(0).max(1);
    let batch = fine.shape().get(..fine.rank().saturating_sub(1)).unwrap_or(&[]);
    let several = fine.rank() > 1;
    let bars = match args.get(1) {
        Some(Value::Tensor(_, t)) => Some(Matrices::of(t)),
        _ => None,
    };
    let moves = |matrix: usize| bars.as_ref().is_none_or(|b| b.get(matrix).iter().any(|&x| x != 0.0));
    let asked = |matrix: usize, vector: usize| {
        let Some(bars) = bars.as_ref().filter(|_| !strict) else { return true };
        let cols = bars.cols.max(1);
        let meets = |k: usize| match args.get(2) {
            Some(Value::Bool(true)) => k % cols == vector,
            Some(Value::Bool(false)) => k / cols == vector,
            _ => true,
        };
        bars.get(matrix).iter().enumerate().any(|(k, &x)| meets(k) && x != 0.0)
    };
    let all: Vec<f64> = fine.iter_f64().collect();
    let mut sound = Vec::with_capacity(all.len() / n);
    for (matrix, row) in all.chunks_exact(n).enumerate() {
        let spared = several && (push || !moves(matrix));
        let wanted = |(vector, x): (usize, &f64)| *x == 0.0 && asked(matrix, vector);
        if !spared && row.iter().enumerate().any(wanted) {
            let why = if let Some(Value::Str(why)) = args.get(4) { why.as_str() } else { "eigh" };
            return Err(match batch {
                [] => reason(why),
                batch => {
                    reason(why).note(format!("the matrix number {matrix} of the leading axes {}", show_shape(batch)))
                }
            });
        }
        sound.push(!spared || row.iter().all(|&x| x != 0.0));
    }
    sound.resize(batch.iter().product(), true);
    Ok(Value::tensor(Tensor::from_vec(batch, sound)))
}

/// True if a derivative flows through a value, seen from inside a rule.
pub fn carries(value: &Value) -> bool {
    match value {
        Value::Batched(slot, b) => slot.level() != b.level || carries(&b.whole),
        other => !other.slot().is_const(),
    }
}

/// `1` where two values differ by more than rounding.
pub fn distinct(cx: &mut Cx, values: &Value) -> Result<Value> {
    cx.apply(&DISTINCT, std::slice::from_ref(values))
}

/// 1 for values that are more than `part` of the largest.
pub fn positive(cx: &mut Cx, values: &Value, part: f64) -> Result<Value> {
    cx.apply(&POSITIVE, &[values.clone(), Value::float(part)])
}

/// Not 0 where a cotangent or a tangent that it carries in forward mode is not. And true if it carries a derivative that is
/// not known yet.
pub fn asking(cx: &mut Cx, bar: &Value) -> Result<(Value, bool)> {
    let mut some = cx.apply(&NE, &[bar.clone(), Value::float(0.0)])?;
    let mut value = bar.clone();
    let mut unknown = false;
    while !value.slot().is_const() {
        let level = value.slot().level();
        if !cx.is_forward(level) {
            unknown |= carries(&value);
            break;
        }
        if let Some(tangent) = cx.tangent(&value, level)? {
            let (more, open) = asking(cx, &tangent)?;
            unknown |= open;
            some = cx.apply(&OR, &[some, more])?;
        }
        value = cx.primal(&value, level);
    }
    Ok((some, unknown))
}

/// The vectors that a tangent or cotangent asks for by its entries that are not 0.
#[derive(Clone, Copy)]
pub enum Asks<'a> {
    /// Those of the same column.
    Columns(&'a Value),
    /// Those of the same row.
    Rows(&'a Value),
    /// All of the same matrix.
    All(&'a Value),
}

/// A rule that pushes a tangent, or pulls a cotangent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Push,
    Pull,
}

/// The matrices of a batch of which a rule may use what it has; for the others stand-ins are used.
pub struct Sound(Option<Value>);

impl Sound {
    /// By a flag for each matrix, with two axes of 1 behind it.
    pub fn of(flags: &Value) -> Sound {
        Sound(Some(flags.clone()).filter(|flags| !all_true(flags)))
    }

    pub fn and(self, cx: &mut Cx, other: Sound) -> Result<Sound> {
        match (self.0, other.0) {
            (Some(a), Some(b)) => cx.apply(&AND, &[a, b]).map(|both| Sound(Some(both))),
            (a, b) => Ok(Sound(a.or(b))),
        }
    }

    /// `a`, but identities for the matrices left out.
    pub fn matrices(&self, cx: &mut Cx, a: Value) -> Result<Value> {
        let Some(flags) = &self.0 else { return Ok(a) };
        let (rows, cols) = sides(a.shape().unwrap_or(&[]));
        let one = Value::tensor(Tensor::eye(rows, cols, dtype(&a)));
        cx.where_(flags, &a, &one)
    }

    /// `v`, but the numbers n to 1 for the matrices left out.
    pub fn vectors(&self, cx: &mut Cx, v: Value) -> Result<Value> {
        let Some(flags) = &self.0 else { return Ok(v) };
        let mut shape = Shape::from_slice(flags.shape().unwrap_or(&[]));
        shape.pop();
        let flags = cx.reshape(flags, &shape)?;
        let n = v.shape().and_then(|s| s.last().copied()).unwrap_or(0);
        let count = Value::tensor(Tensor::floats(&[n], dtype(&v), (0..n).rev().map(|i| i as f64 + 1.0)));
        cx.where_(&flags, &v, &count)
    }

    /// What a rule made of `bar`, but for the matrices left out 0 if `bar` is 0, else NaN; the slope is NaN.
    pub fn result(&self, cx: &mut Cx, bar: &Value, result: Value) -> Result<Value> {
        let Some(flags) = &self.0 else { return Ok(result) };
        let slope = cx.where_(flags, &Value::float(0.0), &Value::float(f64::NAN))?;
        let slope = cx.cast(&slope, dtype(&result))?;
        let undefined = cx.zmul(bar, &slope)?;
        let rank = undefined.shape().map_or(0, <[usize]>::len);
        let undefined = cx.sum(&undefined, &[rank.saturating_sub(2), rank.saturating_sub(1)], true)?;
        cx.where_(flags, &result, &undefined)
    }
}

/// True if all of a tensor of bools are.
pub fn all_true(flags: &Value) -> bool {
    match flags {
        Value::Bool(flag) => *flag,
        Value::Tensor(_, t) => t.iter_f64().all(|x| x != 0.0),
        Value::Batched(_, b) => all_true(&b.whole),
        _ => false,
    }
}

/// An error if vectors are asked for that are not `fine`: also by a tangent that the cotangent carries. One that carries a
/// derivative that is not known yet asks for all of them: where it is 0, its derivative may not be. In a batch, a tangent
/// asks for nothing, nor does a cotangent that is 0 for a matrix: these are left out of the result.
pub fn require(cx: &mut Cx, fine: &Value, asks: Asks<'_>, why: &str, way: Way) -> Result<Sound> {
    let (bar, columns) = match asks {
        Asks::Columns(bar) => (bar, Value::Bool(true)),
        Asks::Rows(bar) => (bar, Value::Bool(false)),
        Asks::All(bar) => (bar, Value::None),
    };
    let (asked, unknown) = asking(cx, bar)?;
    let strict = Value::Bool(unknown);
    let push = Value::Bool(way == Way::Push);
    let flags = cx.apply(&REQUIRE, &[fine.clone(), asked, columns, strict, Value::str(why), push])?;
    spread(cx, &flags).map(|flags| Sound::of(&flags))
}

/// The same for values of which each must be alone.
pub fn require_alone(cx: &mut Cx, distinct: &Value, asks: Asks<'_>, why: &str, way: Way) -> Result<Sound> {
    // A value that is alone differs from all n - 1 others.
    let n = distinct.shape().and_then(|s| s.last().copied()).unwrap_or(0);
    let rank = distinct.shape().map_or(0, <[usize]>::len);
    let others = cx.sum(distinct, &[rank.saturating_sub(1)], false)?;
    let fine = cx.apply(&super::compare::GE, &[others, Value::float(n.saturating_sub(1) as f64)])?;
    let dtype = distinct.dtype().unwrap_or(DType::F64);
    let fine = cx.cast(&fine, dtype)?;
    require(cx, &fine, asks, why, way)
}
