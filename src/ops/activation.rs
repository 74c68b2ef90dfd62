//! Activations of neural nets. At a kink the slope is the one-sided slope of smaller magnitude.

use super::lanes::Ints;
use super::num::Num;
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::special::normal_density;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::Result;
use crate::tensor::DType;
use crate::tensor::elementwise::eval_elementwise;
use crate::types::ty::Ty;
use crate::unary_prims;
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&SIGMOID, &SOFTPLUS, &RELU, &SILU, &GELU, &GELU_EXACT, &GELU_TANH];

unary_prims! {
    SIGMOID "sigmoid", "`1 / (1 + exp(-x))`, elementwise.",
        ints: Ints::Promote,
        f(x) x.sigmoid(),
        // 1 - y would lose the digits of a large x.
        d(x, y) y * (-x).sigmoid(),
        probe: -2.0..2.0, &[0.0, 20.0, -20.0];
    SOFTPLUS "softplus", "`log(1 + exp(x))` without overflow, elementwise.",
        ints: Ints::Promote,
        f(x) {
            let positive = if x > T::c(0.0) { x } else { T::c(0.0) };
            let value = positive + (-x.abs()).exp().ln1p();
            if x.is_nan() { x } else { value }
        },
        d(x, y) x.sigmoid(),
        probe: -2.0..2.0, &[0.0, 25.0, -25.0];
    RELU "relu", "`max(x, 0)`, elementwise. Slope 0 at 0; NaN for NaN.",
        ints: Ints::Unary(|i| Some(i.max(0))),
        f(x) if x < T::c(0.0) { T::c(0.0) } else { x },
        // From the result alone, so that the argument need not be kept.
        d(x, y) N::if_gt(y.clone(), N::c(0.0), N::c(1.0), N::if_eq(y.clone(), y.clone(), N::c(0.0), y)),
        probe: 0.2..2.0, &[-1.0, 3.0];
    SILU "silu", "`x * sigmoid(x)`, elementwise; 0 at -inf.",
        ints: Ints::Promote,
        f(x) x.sigmoid().zmul(x),
        d(x, y) {
            let s = x.clone().sigmoid();
            s.clone() + (s * (-x.clone()).sigmoid()).zmul(x)
        },
        probe: -2.0..2.0, &[0.0, 10.0, -10.0];
    GELU_EXACT "_gelu", "`x` times the normal distribution function, elementwise; 0 at -inf.",
        ints: Ints::Promote,
        f(x) x.ndtr().zmul(x),
        d(x, y) x.clone().ndtr() + normal_density(x.clone()).zmul(x),
        probe: -2.0..2.0, &[0.0, 5.0, -5.0];
    GELU_TANH "_gelu_tanh", "`gelu` by its approximation with tanh, elementwise; 0 at -inf.",
        ints: Ints::Promote,
        f(x) (T::c(0.5) * (T::c(1.0) + bend(x).tanh())).zmul(x),
        d(x, y) {
            let t = bend(x.clone()).tanh();
            let rise = N::c(GELU_SCALE) * (N::c(1.0) + N::c(3.0 * GELU_CUBE) * (x.clone() * x.clone()));
            let slope = N::c(0.5) * (N::c(1.0) - t.clone() * t.clone());
            N::c(0.5) * (N::c(1.0) + t) + slope.zmul(x * rise)
        },
        probe: -2.0..2.0, &[0.0, 5.0, -5.0];
}

/// `sqrt(2 / pi)`
const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
const GELU_CUBE: f64 = 0.044_715;

/// The argument of tanh in the approximation.
#[inline(always)]
fn bend<N: Num>(x: N) -> N {
    N::c(GELU_SCALE) * (x.clone() + N::c(GELU_CUBE) * (x.clone() * x.clone() * x))
}

/// The primitive behind `gelu` for its second argument.
fn gelu_kind(approximate: Option<&Value>) -> &'static Prim {
    if matches!(approximate, Some(Value::Bool(true))) { &GELU_TANH } else { &GELU_EXACT }
}

fn gelu(env: &mut Env, args: &[Value]) -> Result<Value> {
    let kind = gelu_kind(args.get(1));
    let x = args.get(..1).unwrap_or(&[]);
    match &kind.eval {
        Eval::Elementwise(e) => eval_elementwise(env, kind, e, x),
        Eval::General(f) => f(env, x),
    }
}

fn gelu_pull(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let [x, approximate] = call.args else { return Ok(Cotangents::new()) };
    let d = cx.pull(gelu_kind(Some(approximate)), std::slice::from_ref(x), &Value::None, y_bar, 0)?;
    Ok(Cotangents::from_iter([Some(d), None]))
}

fn gelu_push(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([x, approximate], Some(Some(x_dot))) = (call.args, tangents.first()) else { return Ok(None) };
    cx.pull(gelu_kind(Some(approximate)), std::slice::from_ref(x), &Value::None, x_dot, 0).map(Some)
}

fn batched_gelu(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let ([x, approximate], true) = (call.args, call.only(0)) else { return Ok(None) };
    // Of a scalar it is a 64-bit float.
    let x = if call.shape(0).is_empty() { cx.cast(x, DType::F64)? } else { x.clone() };
    cx.apply(&GELU, &[x, approximate.clone()]).map(Some)
}

/// `gelu(x, approximate: false)`
pub static GELU: Prim = Prim {
    name: "gelu",
    doc: "`x` times the normal distribution function at `x`, elementwise; `approximate: true` takes the formula with tanh. Value and slope are 0 at -inf.",
    sig: Sig { params: &[req("x"), opt("approximate", Default::Bool(false))] },
    infer: |args: &[Ty]| super::shape_rules::elementwise("gelu", args.get(..1).unwrap_or(&[]), true),
    eval: Eval::General(gelu),
    diff: Diff::Rules { jvp: gelu_push, vjp: gelu_pull, keep: Keep::ARGS },
    batch: Batch::Rule(batched_gelu),
    probe: Probe {
        samples: &[
            Sample { args: &[ProbeArg::Float { shape: &[], lo: -2.0, hi: 2.0 }, ProbeArg::Bool(false)] },
            Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: -2.0, hi: 2.0 }, ProbeArg::Bool(true)] },
            Sample { args: &[ProbeArg::Float { shape: &[0], lo: -2.0, hi: 2.0 }, ProbeArg::Bool(false)] },
        ],
    },
};
