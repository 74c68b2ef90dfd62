//! The checks can fail: a primitive with one part wrong is noticed, by the check that is meant to.

use dlang::error::{Error, Result};
use dlang::ops::lanes::eval_elementwise;
use dlang::ops::math::{COS, SIN};
use dlang::ops::prim::{Batch, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use dlang::ops::shape_rules;
use dlang::tensor::DType;
use dlang::types::ty::Ty;
use dlang::value::Value;

use crate::check;
use crate::tally::{Kind, Tally};
use crate::values::{like, numbers};

fn sine(env: &mut dlang::env::Env, args: &[Value]) -> Result<Value> {
    match &SIN.eval {
        Eval::Elementwise(e) => eval_elementwise(env, &SIN, e, args),
        Eval::General(eval) => eval(env, args),
    }
}

fn slope(cx: &mut dlang::ad::Cx, x: &Value, t: &Value) -> Result<Value> {
    let cos = cx.apply(&COS, std::slice::from_ref(x))?;
    cx.zmul(t, &cos)
}

const RIGHT: Diff = Diff::Rules {
    jvp: |cx, call, t| match &t[0] {
        Some(t) => slope(cx, &call.args[0], t).map(Some),
        None => Ok(None),
    },
    vjp: |cx, call, y_bar| Ok(Cotangents::from_iter([Some(slope(cx, &call.args[0], y_bar)?)])),
    keep: Keep::ARGS,
};

const SINE: Prim = Prim {
    name: "sine",
    doc: "",
    sig: Sig { params: &[req("x")] },
    infer: |args| shape_rules::elementwise("sine", args, true),
    eval: Eval::General(sine),
    diff: RIGHT,
    batch: Batch::Each,
    probe: Probe { samples: &[Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: 0.2, hi: 1.2 }] }] },
};

static CORRECT: Prim = SINE;

static WRONG_JVP: Prim = Prim {
    diff: Diff::Rules {
        jvp: |cx, call, t| match &t[0] {
            Some(t) => {
                let right = slope(cx, &call.args[0], t)?;
                cx.scale(&right, 1.00001).map(Some)
            }
            None => Ok(None),
        },
        vjp: |cx, call, y_bar| Ok(Cotangents::from_iter([Some(slope(cx, &call.args[0], y_bar)?)])),
        keep: Keep::ARGS,
    },
    ..SINE
};

static WRONG_SIGN: Prim = Prim {
    diff: Diff::Rules {
        jvp: |cx, call, t| match &t[0] {
            Some(t) => slope(cx, &call.args[0], t).map(Some),
            None => Ok(None),
        },
        vjp: |cx, call, y_bar| {
            let right = slope(cx, &call.args[0], y_bar)?;
            Ok(Cotangents::from_iter([Some(cx.neg(&right)?)]))
        },
        keep: Keep::ARGS,
    },
    ..SINE
};

/// The slope is right as a number, but computed behind the dispatcher's back.
fn number(x: &Value) -> Value {
    if let Value::Batched(..) = x {
        return x.clone();
    }
    like(x, numbers(x).iter().map(|x| x.cos()).collect())
}

static CONSTANT_SLOPE: Prim = Prim {
    diff: Diff::Rules {
        jvp: |cx, call, t| match &t[0] {
            Some(t) => cx.mul(t, &number(&call.args[0])).map(Some),
            None => Ok(None),
        },
        vjp: |cx, call, y_bar| Ok(Cotangents::from_iter([Some(cx.mul(y_bar, &number(&call.args[0]))?)])),
        keep: Keep::ARGS,
    },
    ..SINE
};

/// Only forward mode forgets: reverse over forward is not forward over reverse.
static CONSTANT_TANGENT: Prim = Prim {
    diff: Diff::Rules {
        jvp: |cx, call, t| match &t[0] {
            Some(t) => cx.mul(t, &number(&call.args[0])).map(Some),
            None => Ok(None),
        },
        vjp: |cx, call, y_bar| Ok(Cotangents::from_iter([Some(slope(cx, &call.args[0], y_bar)?)])),
        keep: Keep::ARGS,
    },
    ..SINE
};

static KEEPS_NOTHING: Prim = Prim {
    diff: match RIGHT {
        Diff::Rules { jvp, vjp, .. } => Diff::Rules { jvp, vjp, keep: Keep::NOTHING },
        other => other,
    },
    ..SINE
};

static WRONG_SHAPE: Prim = Prim {
    infer: |args| shape_rules::elementwise("sine", args, true).map(|_| Ty::tensor(DType::F64, &[2, 4])),
    ..SINE
};

static REFUSES: Prim = Prim {
    infer: |args| match &args[0] {
        Ty::Tensor(t) if t.dims.is_none() => Err(Error::new("E0303", "sine wants to know the rank")),
        _ => shape_rules::elementwise("sine", args, true),
    },
    ..SINE
};

static COARSE: Prim = Prim {
    eval: Eval::General(|env, args| {
        let out = sine(env, args)?;
        let narrow = matches!(&out, Value::Tensor(_, t) if t.dtype() == DType::F32);
        Ok(if narrow { like(&out, numbers(&out).iter().map(|y| y * 1.001).collect()) } else { out })
    }),
    ..SINE
};

static WRONG_BATCH: Prim = Prim {
    batch: Batch::Rule(|cx, call| {
        let doubled = cx.scale(&call.args[0], 2.0)?;
        cx.apply(&SIN, &[doubled]).map(Some)
    }),
    ..SINE
};

/// Tangents are right, batches of cotangents are not: the rule takes the batch axis for its own.
static UNBATCHED_SLOPE: Prim = Prim {
    batch: Batch::Rule(|cx, call| {
        let out = cx.apply(&SIN, &[call.args[0].clone()])?;
        Ok(Some(out.with_slot(dlang::ad::slot::Slot::CONST)))
    }),
    ..SINE
};

static REFUSED_BY_NOBODY: Prim = Prim { diff: Diff::Zero, ..SINE };

fn kinds(prim: &'static Prim) -> Vec<Kind> {
    check::primitive(prim, &mut Tally::default()).into_iter().map(|f| f.kind).collect()
}

#[test]
fn broken_primitives_are_noticed() {
    assert_eq!(kinds(&CORRECT), []);
    for (name, prim, kind) in [
        ("jvp off by 1e-5", &WRONG_JVP, Kind::Tangent),
        ("sign of the vjp", &WRONG_SIGN, Kind::Cotangent),
        ("slope not made of primitives", &CONSTANT_SLOPE, Kind::Second),
        ("tangent not made of primitives", &CONSTANT_TANGENT, Kind::Second),
        ("values that the rule reads are not kept", &KEEPS_NOTHING, Kind::Cotangent),
        ("shape rule", &WRONG_SHAPE, Kind::Shape),
        ("shape rule that refuses what it does not know", &REFUSES, Kind::PartShape),
        ("f32", &COARSE, Kind::Narrow),
        ("batching rule", &WRONG_BATCH, Kind::Batch),
        ("batching rule without derivative", &UNBATCHED_SLOPE, Kind::BatchSlope),
        ("zero everywhere, and it is not", &REFUSED_BY_NOBODY, Kind::Tangent),
    ] {
        assert!(kinds(prim).contains(&kind), "{name}: {:?}", kinds(prim));
    }
}
