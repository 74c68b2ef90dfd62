//! The checks can fail: a primitive with one part wrong is noticed, by the check that is meant to.

use dlang::error::{Error, Result};
use dlang::ops::lanes::{Elementwise, Ints, UnaryRule, eval_elementwise, unary};
use dlang::ops::math::{COS, SIN, SQRT};
use dlang::ops::num::Num;
use dlang::ops::prim::{Batch, Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use dlang::ops::real::Real;
use dlang::ops::repeat::FLIP;
use dlang::ops::shape_rules;
use dlang::tensor::DType;
use dlang::tensor::out::Out;
use dlang::types::ty::Ty;
use dlang::value::Value;

use crate::check;
use crate::special;
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

static KNOWS_NOTHING: Prim = Prim { infer: |_| Ok(Ty::Any), ..SINE };

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

/// The slope of the slope is a number only: two derivatives are right.
static COSINE: Prim = Prim {
    name: "cosine",
    eval: Eval::General(|env, args| match &COS.eval {
        Eval::Elementwise(e) => eval_elementwise(env, &COS, e, args),
        Eval::General(eval) => eval(env, args),
    }),
    diff: Diff::Rules {
        jvp: |cx, call, t| match &t[0] {
            Some(t) => cx.mul(t, &minus_sine(&call.args[0])).map(Some),
            None => Ok(None),
        },
        vjp: |cx, call, y_bar| Ok(Cotangents::from_iter([Some(cx.mul(y_bar, &minus_sine(&call.args[0]))?)])),
        keep: Keep::ARGS,
    },
    ..SINE
};

fn minus_sine(x: &Value) -> Value {
    match x {
        Value::Batched(..) => x.clone(),
        x => like(x, numbers(x).iter().map(|x| -x.sin()).collect()),
    }
}

static TWO_DERIVATIVES: Prim = Prim {
    diff: Diff::Rules {
        jvp: |cx, call, t| match &t[0] {
            Some(t) => {
                let slope = cx.apply(&COSINE, &call.args[..1])?;
                cx.zmul(t, &slope).map(Some)
            }
            None => Ok(None),
        },
        vjp: |cx, call, y_bar| {
            let slope = cx.apply(&COSINE, &call.args[..1])?;
            Ok(Cotangents::from_iter([Some(cx.zmul(y_bar, &slope)?)]))
        },
        keep: Keep::ARGS,
    },
    ..SINE
};

static WRONG_OF_INTS: Prim = Prim {
    eval: Eval::General(|env, args| {
        let out = sine(env, args)?;
        let float = args[0].is_differentiable();
        Ok(if float { out } else { like(&out, numbers(&out).iter().map(|y| y + 1.0).collect()) })
    }),
    ..SINE
};

/// Reads a view as if it were a copy.
static WRONG_OF_VIEWS: Prim = Prim {
    eval: Eval::General(|env, args| {
        let out = sine(env, args)?;
        let view = matches!(&args[0], Value::Tensor(_, t) if !t.is_contiguous());
        Ok(if view { like(&out, numbers(&out).into_iter().rev().collect()) } else { out })
    }),
    ..SINE
};

static WRONG_AXIS: Prim = Prim {
    name: "backwards",
    sig: FLIP.sig,
    infer: FLIP.infer,
    eval: Eval::General(|env, args| {
        let axis = if matches!(args[1], Value::Int(-2)) { Value::Int(-1) } else { args[1].clone() };
        match &FLIP.eval {
            Eval::General(eval) => eval(env, &[args[0].clone(), axis]),
            Eval::Elementwise(_) => Ok(Value::None),
        }
    }),
    probe: Probe {
        samples: &[Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: 0.2, hi: 1.2 }, ProbeArg::Int(0)] }],
    },
    ..SINE
};

struct Root;

impl UnaryRule for Root {
    fn f<T: Real>(x: T) -> T {
        x.sqrt()
    }
    fn d<N: Num>(_: N, y: N) -> N {
        N::c(0.5) / y
    }
}

/// Its kernel forgets that a zero cotangent stays zero at an infinite slope.
static WEAK_ZERO_INSIDE: Elementwise = {
    let mut inside = unary::<Root>(Ints::Promote);
    inside.pull64 = [weak_pull; 3];
    inside
};

fn weak_pull(_: &[&[f64]], out: &[f64], y_bar: &[f64], dst: &mut Out<'_, f64>) {
    dst.extend(out.iter().zip(y_bar).map(|(y, g)| g * (0.5 / y)));
}

static WEAK_ZERO: Prim = Prim { eval: Eval::Elementwise(&WEAK_ZERO_INSIDE), diff: Diff::Elementwise, ..SINE };

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
        ("shape rule that says nothing", &KNOWS_NOTHING, Kind::Shape),
        ("shape rule that refuses what it does not know", &REFUSES, Kind::PartShape),
        ("third derivative", &TWO_DERIVATIVES, Kind::Third),
        ("ints", &WRONG_OF_INTS, Kind::Ints),
        ("views", &WRONG_OF_VIEWS, Kind::Layout),
        ("negative axis", &WRONG_AXIS, Kind::Axis),
        ("f32", &COARSE, Kind::Narrow),
        ("batching rule", &WRONG_BATCH, Kind::Batch),
        ("batching rule without derivative", &UNBATCHED_SLOPE, Kind::BatchSlope),
        ("zero everywhere, and it is not", &REFUSED_BY_NOBODY, Kind::Tangent),
    ] {
        assert!(kinds(prim).contains(&kind), "{name}: {:?}", kinds(prim));
    }
    let weak = special::check(&WEAK_ZERO, &mut Tally::default());
    assert!(weak.iter().any(|f| f.kind == Kind::Special), "zero cotangent at an infinite slope: {weak:?}");
    assert!(special::check(&SQRT, &mut Tally::default()).is_empty());
}
