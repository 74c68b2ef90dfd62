//! Activations of neural nets. At a kink the slope is the one-sided slope of smaller magnitude.

use super::lanes::Ints;
use super::num::Num;
use super::prim::{
    Batch, BatchCall, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req,
};
use super::shape_rules;
use super::slope::{self, GELU_SLOPE, GELU_TANH_SLOPE, MISH_SLOPE, SILU_SLOPE};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::DType;
use crate::tensor::create::article;
use crate::tensor::elementwise::eval_elementwise;
use crate::tensor::simd::poly::pick;
use crate::types::ty::Ty;
use crate::value::Value;
use crate::{binary_prims, unary_prims};

/// The family.
pub static PRIMS: &[&Prim] = &[
    &SIGMOID,
    &LOG_SIGMOID,
    &SOFTPLUS,
    &RELU,
    &RELU6,
    &LEAKY_RELU,
    &ELU,
    &CELU,
    &SELU,
    &SILU,
    &MISH,
    &GELU,
    &GELU_EXACT,
    &GELU_TANH,
    &HARD_TANH,
    &HARD_SIGMOID,
    &HARD_SWISH,
    &SOFTSIGN,
];

unary_prims! {
    SIGMOID "sigmoid", "`1 / (1 + exp(-x))`, elementwise.",
        ints: Ints::Promote,
        f(x) x.sigmoid(),
        // 1 - y would lose the digits of a large x.
        d(x, y) y * (-x).sigmoid(),
        probe: -2.0..2.0, &[0.0, 20.0, -20.0];
    SOFTPLUS "softplus", "`log(1 + exp(x))` without overflow, elementwise.",
        ints: Ints::Promote,
        f(x) x.softplus(),
        d(x, y) x.sigmoid(),
        probe: -2.0..2.0, &[0.0, 25.0, -25.0];
    RELU "relu", "`max(x, 0)`, elementwise. Slope 0 at 0; NaN for NaN.",
        ints: crate::ints!(|i| (i.max(0), 0)),
        f(x) if x < T::c(0.0) { T::c(0.0) } else { x },
        // From the result alone, so that the argument need not be kept.
        d(x, y) N::if_gt(y.clone(), N::c(0.0), N::c(1.0), N::if_eq(y.clone(), y.clone(), N::c(0.0), y)),
        probe: 0.2..2.0, &[-1.0, 3.0];
    LOG_SIGMOID "log_sigmoid", "`log(sigmoid(x))` without loss, elementwise.",
        ints: Ints::Promote,
        f(x) T::c(0.0) - (-x).softplus(),
        d(x, y) (-x).sigmoid(),
        probe: -2.0..2.0, &[0.0, 25.0, -25.0];
    RELU6 "relu6", "`x` held between 0 and 6, elementwise. Slope 0 at both ends; NaN for NaN.",
        ints: crate::ints!(|i| (i.clamp(0, 6), 0)),
        f(x) if x < T::c(0.0) { T::c(0.0) } else if x > T::c(6.0) { T::c(6.0) } else { x },
        d(x, y) N::if_gt(y.clone(), N::c(0.0), N::if_gt(N::c(6.0), y.clone(), N::c(1.0), N::c(0.0)), flat(y)),
        probe: 0.2..2.0, &[-1.0, 3.0, 7.0];
    SELU "selu", "`1.0507 x` above 0, `1.7581 (exp(x) - 1)` below, elementwise. Slope 1.0507 at 0. Klambauer and others, \"Self-normalizing neural networks\", 2017.",
        ints: Ints::Promote,
        f(x) pick(x > T::c(0.0), T::c(SELU_SCALE) * x, T::c(SELU_SCALE * SELU_ALPHA) * x.expm1()),
        d(x, y) {
            let below = N::c(SELU_SCALE * SELU_ALPHA) * x.clone().exp();
            let at_most = N::if_eq(x.clone(), N::c(0.0), N::c(SELU_SCALE), below);
            N::if_gt(x, N::c(0.0), N::c(SELU_SCALE), at_most)
        },
        probe: -2.0..-0.1, &[3.0, -20.0];
    HARD_TANH "hard_tanh", "`x` held between -1 and 1, elementwise. Slope 0 at both ends; NaN for NaN.",
        ints: crate::ints!(|i| (i.clamp(-1, 1), 0)),
        f(x) if x < T::c(-1.0) { T::c(-1.0) } else if x > T::c(1.0) { T::c(1.0) } else { x },
        d(x, y) N::if_gt(N::c(1.0), y.clone().abs(), N::c(1.0), flat(y)),
        probe: -0.8..0.8, &[-3.0, 3.0];
    HARD_SIGMOID "hard_sigmoid", "`x / 6 + 1/2` held between 0 and 1, elementwise. Slope 0 at -3 and 3; NaN for NaN.",
        ints: Ints::Promote,
        f(x) if x <= T::c(-3.0) { T::c(0.0) } else if x >= T::c(3.0) { T::c(1.0) } else { x / T::c(6.0) + T::c(0.5) },
        d(x, y) N::if_gt(N::c(3.0), x.clone().abs(), N::c(1.0 / 6.0), flat(x)),
        probe: -2.0..2.0, &[-4.0, 4.0];
    HARD_SWISH "hard_swish", "`x * hard_sigmoid(x)`, elementwise; 0 at -inf. Slope 0 at -3 and 1 at 3; NaN for NaN.",
        ints: Ints::Promote,
        f(x) if x <= T::c(-3.0) { T::c(0.0) } else if x >= T::c(3.0) { x } else { x * (x + T::c(3.0)) / T::c(6.0) },
        d(x, y) {
            let inside = (x.clone() + x.clone() + N::c(3.0)) / N::c(6.0);
            N::if_gt(N::c(3.0), x.clone().abs(), inside, N::if_gt(x.clone(), N::c(0.0), N::c(1.0), flat(x)))
        },
        probe: -2.0..2.0, &[-4.0, 4.0];
    SOFTSIGN "softsign", "`x / (1 + |x|)`, elementwise; -1 and 1 at the infinities.",
        ints: Ints::Promote,
        f(x) if x.abs() == T::INFINITY { x.sign() } else { x / (T::c(1.0) + x.abs()) },
        d(x, y) {
            let part = N::c(1.0) / (N::c(1.0) + x.abs());
            part.clone() * part
        },
        probe: 0.1..2.0, &[0.0, -3.0];
    MISH "mish", "`x * tanh(softplus(x))`, elementwise; 0 at -inf. Misra, \"Mish: a self regularized activation function\", 2019.",
        ints: Ints::Promote,
        f(x) x.softplus().tanh().zmul(x),
        d(x, y) x.clone().known(&MISH_SLOPE, slope::mish_slope(x)),
        probe: -2.0..2.0, &[0.0, 10.0, -10.0];
    SILU "silu", "`x * sigmoid(x)`, elementwise; 0 at -inf.",
        ints: Ints::Promote,
        f(x) x.sigmoid().zmul(x),
        d(x, y) x.clone().known(&SILU_SLOPE, slope::silu_slope(x)),
        probe: -2.0..2.0, &[0.0, 10.0, -10.0];
    GELU_EXACT "_gelu", "`x` times the normal distribution function, elementwise; 0 at -inf.",
        ints: Ints::Promote,
        f(x) slope::gelu(x, pick(T::c(0.0) > x, T::c(0.0), x)),
        d(x, y) x.clone().known(&GELU_SLOPE, slope::gelu_slope(x)),
        probe: -2.0..2.0, &[0.0, 5.0, -5.0];
    GELU_TANH "_gelu_tanh", "`gelu` by its approximation with tanh, elementwise; 0 at -inf.",
        ints: Ints::Promote,
        // x times (1 + tanh(u)) / 2.
        f(x) (T::c(2.0) * bend(x)).sigmoid().zmul(x),
        d(x, y) x.clone().known(&GELU_TANH_SLOPE, slope::gelu_tanh_slope(x)),
        probe: -2.0..2.0, &[0.0, 5.0, -5.0];
}

binary_prims! {
    LEAKY_RELU "leaky_relu" ("x", "slope" = 0.01), "`x` above 0, `slope * x` below, elementwise. At 0 the slope of smaller magnitude.",
        ints: Ints::Promote,
        f(x, slope) if x > T::c(0.0) { x } else { slope.zmul(x) },
        d0(x, slope, y) {
            let at_most = N::if_eq(x.clone(), N::c(0.0), smaller_slope(slope.clone()), x.clone() + slope.clone());
            N::if_gt(x.clone(), N::c(0.0), N::c(1.0), N::if_gt(N::c(0.0), x, slope, at_most))
        },
        d1(x, slope, y) N::if_gt(x.clone(), N::c(0.0), N::c(0.0), x),
        probe: -2.0..-0.1, 0.01..0.5, &[-1.0, 3.0], &[0.1, 0.2];
    ELU "elu" ("x", "alpha" = 1.0), "`x` above 0, `alpha (exp(x) - 1)` below, elementwise. Slope 1 at 0, or `alpha` if that is smaller. Clevert and others, \"Exponential linear units\", 2016.",
        ints: Ints::Promote,
        f(x, alpha) pick(x > T::c(0.0), x, alpha * x.expm1()),
        d0(x, alpha, y) {
            let below = alpha.clone() * x.clone().exp();
            let at_most = N::if_eq(x.clone(), N::c(0.0), smaller_slope(alpha), below);
            N::if_gt(x, N::c(0.0), N::c(1.0), at_most)
        },
        d1(x, alpha, y) N::if_gt(x.clone(), N::c(0.0), N::c(0.0), x.expm1()),
        probe: -2.0..-0.1, 0.5..1.5, &[-1.0, 3.0], &[1.0, 0.5];
    CELU "celu" ("x", "alpha" = 1.0), "`x` above 0, `alpha (exp(x / alpha) - 1)` below, elementwise. Slope 1 at 0. Barron, \"Continuously differentiable exponential linear units\", 2017.",
        ints: Ints::Promote,
        f(x, alpha) pick(x > T::c(0.0), x, alpha * (x / alpha).expm1()),
        d0(x, alpha, y) N::if_gt(x.clone(), N::c(0.0), N::c(1.0), (x / alpha).exp()),
        d1(x, alpha, y) {
            let z = x.clone() / alpha;
            let below = z.clone().expm1() - z.clone().exp().zmul(z);
            N::if_gt(x, N::c(0.0), N::c(0.0), below)
        },
        probe: -2.0..-0.1, 0.5..1.5, &[-1.0, 3.0], &[1.0, 0.5];
}

/// Slope 0, but NaN for NaN.
#[inline(always)]
fn flat<N: Num>(x: N) -> N {
    N::if_eq(x.clone(), x.clone(), N::c(0.0), x)
}

/// Of the slopes 1 and `other` on the two sides of a kink the one of smaller magnitude.
#[inline(always)]
fn smaller_slope<N: Num>(other: N) -> N {
    N::if_gt(other.clone().abs(), N::c(1.0), N::c(1.0), other)
}

const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// `sqrt(2 / pi)`
pub(super) const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
pub(super) const GELU_CUBE: f64 = 0.044_715;

/// The argument of tanh in the approximation.
#[inline(always)]
pub(super) fn bend<N: Num>(x: N) -> N {
    N::c(GELU_SCALE) * (x.clone() + N::c(GELU_CUBE) * (x.clone() * x.clone() * x))
}

/// The primitive behind `gelu` for its second argument.
pub fn gelu_kind(approximate: bool) -> &'static Prim {
    if approximate { &GELU_TANH } else { &GELU_EXACT }
}

/// The same; `None` if it is no bool.
pub fn gelu_kind_of(approximate: Option<&Value>) -> Option<&'static Prim> {
    match approximate {
        None => Some(gelu_kind(false)),
        Some(Value::Bool(is)) => Some(gelu_kind(*is)),
        Some(_) => None,
    }
}

#[cold]
fn no_bool(kind: &str) -> Error {
    let kind = article(kind);
    Error::new("E0310", format!("approximate of gelu is {kind}, not a bool")).operand(1, format!("this is {kind}"))
}

fn infer_gelu(args: &[Ty]) -> Result<Ty> {
    match args.get(1) {
        Some(other @ (Ty::Int(_) | Ty::Float | Ty::Str(_) | Ty::None)) => Err(no_bool(&shape_rules::show(other))),
        _ => shape_rules::elementwise("gelu", args.get(..1).unwrap_or(&[]), true),
    }
}

fn gelu(env: &mut Env, args: &[Value]) -> Result<Value> {
    let Some(kind) = gelu_kind_of(args.get(1)) else {
        return Err(no_bool(&args.get(1).map_or("nothing".into(), Value::type_name)));
    };
    let x = args.get(..1).unwrap_or(&[]);
    match &kind.eval {
        Eval::Elementwise(e) => eval_elementwise(env, kind, e, x),
        Eval::General(f) => f(env, x),
    }
}

fn is_true(v: &Value) -> bool {
    matches!(v, Value::Bool(true))
}

fn gelu_pull(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let [x, approximate] = call.args else { return Ok(Cotangents::new()) };
    let d = cx.pull(gelu_kind(is_true(approximate)), std::slice::from_ref(x), &Value::None, y_bar, 0)?;
    Ok(Cotangents::from_iter([Some(d), None]))
}

fn gelu_push(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let ([x, approximate], Some(Some(x_dot))) = (call.args, tangents.first()) else { return Ok(None) };
    cx.pull(gelu_kind(is_true(approximate)), std::slice::from_ref(x), &Value::None, x_dot, 0).map(Some)
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
    infer: infer_gelu,
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
