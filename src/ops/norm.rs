//! Vector norms over axes. Slope 0 at the zero vector.

use super::arith::{ABS, SIGN};
use super::extremum::TIE_SHARES;
use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::real::Real;
use super::reduce::{Fold, Plan, SUM, axes_value, call_axes, floats, only};
use super::shape_rules::{self, Gives};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::cast::Float;
use crate::tensor::simd::sums::{column_spreads, sum_squares};
use crate::types::ty::Ty;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&NORM];

/// The `ord` argument: 1, 2, inf, or another positive number.
fn order(v: Option<&Value>) -> Result<f64> {
    let p = match v {
        None | Some(Value::None) => 2.0,
        Some(Value::Int(p)) => *p as f64,
        Some(Value::Float(_, p)) => *p,
        Some(other) => {
            return Err(Error::new("E0310", format!("the order of a norm is {}, not a number", other.type_name())));
        }
    };
    if p > 0.0 {
        return Ok(p);
    }
    let shown = crate::tensor::format::format_float(p);
    Err(Error::new("E0313", format!("the order of a norm must be positive, not {shown}"))
        .help("the usual ones are 1, 2 and inf"))
}

/// Norm of a row. Elements are divided by the largest first where squares would overflow or vanish.
fn norm_row<T: Real>(row: &[T], p: f64) -> f64 {
    if p == 2.0
        && let Some(root) = plain_root(sum_squares(row))
    {
        return root;
    }
    let row = row.iter().map(|x| x.to_f64());
    if p == 1.0 {
        return row.map(f64::abs).sum();
    }
    let top = row.clone().fold(0.0, |m: f64, x| if x.is_nan() || m.is_nan() { f64::NAN } else { m.max(x.abs()) });
    if p == f64::INFINITY || top == 0.0 || !top.is_finite() {
        return top;
    }
    if p == 2.0 {
        return top * row.map(|x| (x / top).powi(2)).sum::<f64>().sqrt();
    }
    top * row.map(|x| (x.abs() / top).powf(p)).sum::<f64>().powf(1.0 / p)
}

fn norm(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(x) = args.first() else { return Ok(Value::None) };
    let plan = Plan::new(env, "norm", x, args.get(2), args.get(3))?;
    let p = order(args.get(1))?;
    Ok(match p {
        2.0 => plan.fold(&Euclid),
        _ => plan.each_row(|row| norm_row(row, p), |row| norm_row(row, p)),
    })
}

struct Euclid;

impl Fold for Euclid {
    fn down<T: Float>(&self, part: &[T], inner: usize, out: &mut Vec<f64>) {
        let start = out.len();
        column_spreads(part, &vec![0.0; inner], out);
        for (k, y) in out.iter_mut().skip(start).enumerate() {
            *y = plain_root(*y).unwrap_or_else(|| {
                let column: Vec<T> = part.iter().skip(k).step_by(inner.max(1)).copied().collect();
                norm_row(&column, 2.0)
            });
        }
    }
    fn row<T: Float>(&self, row: &[T], _: &mut Vec<T>) -> f64 {
        norm_row(row, 2.0)
    }
}

/// Root of a sum of squares in which none overflowed or vanished.
fn plain_root(squares: f64) -> Option<f64> {
    (squares > 1e-200 && squares < 1e200).then(|| squares.sqrt())
}

/// Slopes of the norm at `x`, of the shape of `x`.
fn slopes(cx: &mut Cx, call: &Call<'_>, x: &Value) -> Result<Value> {
    let axes = call_axes(call, 2)?;
    let p = order(call.args.get(1))?;
    if p == 1.0 {
        return cx.apply(&SIGN, std::slice::from_ref(x));
    }
    if p == f64::INFINITY {
        let size = cx.apply(&ABS, std::slice::from_ref(x))?;
        let shares = cx.apply(&TIE_SHARES, &[size, axes_value(&axes), Value::Bool(true)])?;
        let sign = cx.apply(&SIGN, std::slice::from_ref(x))?;
        return cx.mul(&sign, &shares);
    }
    let y = cx.expand(call.out, call, &axes)?;
    let unit = cx.div_or_zero(x, &y)?;
    if p == 2.0 {
        return Ok(unit);
    }
    // sign(x) * (|x| / y)^(p - 1)
    let size = cx.apply(&ABS, &[unit])?;
    let sign = cx.apply(&SIGN, std::slice::from_ref(x))?;
    let power = cx.pow(&size, &Value::float(p - 1.0))?;
    cx.zmul(&sign, &power)
}

fn norm_vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let Some(x) = call.args.first() else { return Ok(Cotangents::new()) };
    let axes = call_axes(call, 2)?;
    let slopes = slopes(cx, call, x)?;
    let y_bar = cx.expand(y_bar, call, &axes)?;
    only(call, cx.zmul(&y_bar, &slopes)?)
}

fn norm_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let (Some(x), Some(Some(x_dot))) = (call.args.first(), tangents.first()) else { return Ok(None) };
    let slopes = slopes(cx, call, x)?;
    let terms = cx.zmul(x_dot, &slopes)?;
    let [axis, keepdims] = [2, 3].map(|i| call.args.get(i).cloned().unwrap_or_default());
    cx.apply(&SUM, &[terms, axis, keepdims]).map(Some)
}

/// `norm(x, ord: 2, axis: none, keepdims: false)`
pub static NORM: Prim = Prim {
    name: "norm",
    doc: "The `ord`-norm over `axis`: 2 (Euclid), 1, inf, or another positive order; without overflow. Slope 0 at the zero vector; for inf, ties share.",
    sig: Sig {
        params: &[
            req("x"),
            opt("ord", Default::Int(2)),
            opt("axis", Default::None),
            opt("keepdims", Default::Bool(false)),
        ],
    },
    infer: |args: &[Ty]| match args.first() {
        Some(x) => shape_rules::reduce("norm", x, args.get(2), args.get(3), Gives::Float),
        None => Ok(Ty::Any),
    },
    eval: Eval::General(norm),
    diff: Diff::Rules { jvp: norm_jvp, vjp: norm_vjp, keep: Keep::BOTH },
    batch: Batch::Rule(super::batching::reduction::<2>),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(2), ProbeArg::None, ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(2), ProbeArg::Int(0), ProbeArg::Bool(true)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(1), ProbeArg::Int(-1), ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[3, 4]), ProbeArg::Int(3), ProbeArg::Int(0), ProbeArg::Bool(false)] },
            Sample { args: &[floats(&[2, 3, 2]), ProbeArg::Int(2), ProbeArg::Tuple(&[0, 2]), ProbeArg::Bool(false)] },
        ],
    },
};
