//! Comparison and logic: elementwise with broadcasting, bool results, slope 0.

use super::prim::{Batch, Diff, Eval, Prim, Probe, ProbeArg, Sample, Sig, req};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::broadcast::broadcast_values;
use crate::tensor::cast::{Float, Kind, promote};
use crate::tensor::create::{article, scalar_f64};
use crate::tensor::elementwise::{Loaded, load, load_ints, operands, wrong_kind};
use crate::tensor::lanes::{Lanes, run, run_shared};
use crate::tensor::out::Room;
use crate::tensor::simd::ints::{Logic, bool_lanes};
use crate::tensor::{DType, Shape, Tensor, flat};
use crate::types::ty::Ty;
use crate::value::Value;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::rc::Rc;

/// The family.
pub static PRIMS: &[&Prim] = &[&EQ, &NE, &LT, &LE, &GT, &GE, &AND, &OR, &NOT, &ISNAN, &ISINF, &ISFINITE];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Test {
    #[inline(always)]
    fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Test::Eq => a == b,
            Test::Ne => a != b,
            Test::Lt => a < b,
            Test::Le => a <= b,
            Test::Gt => a > b,
            Test::Ge => a >= b,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Test::Eq => "==",
            Test::Ne => "!=",
            Test::Lt => "<",
            Test::Le => "<=",
            Test::Gt => ">",
            Test::Ge => ">=",
        }
    }

    /// One loop for each test, so that none is chosen inside.
    fn lanes<T: PartialOrd + Copy + Sync>(self, n: usize, lanes: &[Lanes<'_, T>], out: &mut impl Room<bool>) {
        match self {
            Test::Eq => zip(n, lanes, out, |a, b| a == b),
            Test::Ne => zip(n, lanes, out, |a, b| a != b),
            Test::Lt => zip(n, lanes, out, |a, b| a < b),
            Test::Le => zip(n, lanes, out, |a, b| a <= b),
            Test::Gt => zip(n, lanes, out, |a, b| a > b),
            Test::Ge => zip(n, lanes, out, |a, b| a >= b),
        }
    }
}

#[inline(always)]
fn zip<T: Copy>(n: usize, lanes: &[Lanes<'_, T>], out: &mut impl Room<bool>, f: impl Fn(T, T) -> bool) {
    match *lanes {
        [Lanes::Each(a), Lanes::Each(b)] => out.extend(a.iter().zip(b).map(|(&a, &b)| f(a, b))),
        [Lanes::Each(a), Lanes::Same(b)] => out.extend(a.iter().map(|&a| f(a, b))),
        [Lanes::Same(a), Lanes::Each(b)] => out.extend(b.iter().map(|&b| f(a, b))),
        [Lanes::Same(a), Lanes::Same(b)] => out.extend(std::iter::repeat_n(f(a, b), n)),
        _ => {}
    }
}

fn compare(test: Test, env: &mut Env, args: &[Value]) -> Result<Value> {
    let [a, b] = args else { return Ok(Value::None) };
    match (a, b) {
        (Value::Float(_, x), Value::Float(_, y)) => return Ok(Value::Bool(test.holds(*x, *y))),
        (Value::Int(x), Value::Int(y)) => return Ok(Value::Bool(test.holds(*x, *y))),
        (Value::Str(x), Value::Str(y)) => return Ok(Value::Bool(test.holds(x.as_str(), y.as_str()))),
        _ => {}
    }
    let Some(kind) = promote(env, args) else {
        return match test {
            Test::Eq => Ok(Value::Bool(equal(a, b))),
            Test::Ne => Ok(Value::Bool(!equal(a, b))),
            _ => Err(match (a, b) {
                (Value::Str(_), _) | (_, Value::Str(_)) => Error::new(
                    "E0310",
                    format!(
                        "{} cannot compare {} with {}",
                        test.sign(),
                        article(&a.type_name()),
                        article(&b.type_name())
                    ),
                )
                .operand(0, format!("this is {}", article(&a.type_name())))
                .operand(1, format!("this is {}", article(&b.type_name())))
                .help("convert one of them: str(x), int(s) or float(s)"),
                _ => wrong_kind(test.sign(), args),
            }),
        };
    };
    if !args.iter().any(|v| matches!(v, Value::Tensor(..))) {
        return Ok(Value::Bool(match kind {
            Kind::Int | Kind::Bool => test.holds(load_ints(a).0.first().copied(), load_ints(b).0.first().copied()),
            Kind::Float(_) => test.holds(scalar_f64(a), scalar_f64(b)),
        }));
    }
    let shape = broadcast_values(test.sign(), args)?;
    let out = match kind {
        Kind::Float(DType::F64) => floats::<f64>(test, args, &shape),
        Kind::Float(_) => floats::<f32>(test, args, &shape),
        Kind::Int | Kind::Bool => {
            let held: SmallVec<[(Cow<'_, [i64]>, Shape); 2]> = args.iter().map(load_ints).collect();
            let operands: SmallVec<[(&[i64], &[usize]); 2]> = held.iter().map(|(d, s)| (&**d, s.as_slice())).collect();
            let mut out = vec![];
            run_shared(&shape, &operands, &mut out, |n, lanes, out| test.lanes(n, lanes, out));
            out
        }
    };
    Ok(Value::tensor(Tensor::from_vec(&shape, out)))
}

fn floats<T: Float>(test: Test, args: &[Value], shape: &[usize]) -> Vec<bool> {
    let held: SmallVec<[Loaded<'_, T>; 2]> = args.iter().map(load).collect();
    let operands = operands(&held);
    let mut out = vec![];
    run_shared(shape, &operands, &mut out, |n, lanes, out| test.lanes(n, lanes, out));
    out
}

/// Whether two values of any kind are equal as wholes: same structure, equal leaves; tensors of one shape with equal
/// elements; functions if they are one and the same.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Int(x), Value::Int(y)) => x == y,
        (Value::Bool(_) | Value::Int(_) | Value::Float(..), Value::Bool(_) | Value::Int(_) | Value::Float(..)) => {
            scalar_f64(a) == scalar_f64(b)
        }
        (Value::Tensor(_, x), Value::Tensor(_, y)) => {
            x.same(y) || (x.dtype() != y.dtype() && x.shape() == y.shape() && x.iter_f64().eq(y.iter_f64()))
        }
        (Value::Str(x), Value::Str(y)) => x == y,
        (Value::Tuple(x), Value::Tuple(y)) | (Value::List(x), Value::List(y)) => all_equal(x, y),
        (Value::Dict(x), Value::Dict(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| equal(v, w)))
        }
        (Value::Struct(x), Value::Struct(y)) => Rc::ptr_eq(&x.def, &y.def) && all_equal(&x.fields, &y.fields),
        (Value::Range(x), Value::Range(y)) => x == y,
        (Value::Fn(x), Value::Fn(y)) => Rc::ptr_eq(x, y),
        (Value::Builtin(x), Value::Builtin(y)) => std::ptr::eq(*x, *y),
        (Value::Prim(x), Value::Prim(y)) => std::ptr::eq(*x, *y),
        (Value::Native(x), Value::Native(y)) => Rc::ptr_eq(x, y),
        (Value::DType(x), Value::DType(y)) => x == y,
        (Value::StructType(x), Value::StructType(y)) => Rc::ptr_eq(x, y),
        (Value::Module(x), Value::Module(y)) => Rc::ptr_eq(x, y),
        _ => false,
    }
}

fn all_equal(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| equal(x, y))
}

const PAIRS: Probe = Probe {
    samples: &[
        Sample { args: &[ProbeArg::Point(&[1.0, 2.0, -1.0]), ProbeArg::Point(&[0.5, 3.0, -2.0])] },
        Sample { args: &[ProbeArg::Point(&[1.0]), ProbeArg::Point(&[0.5, 3.0])] },
    ],
};

macro_rules! comparisons {
    ($($NAME:ident $name:literal $test:ident, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub static $NAME: Prim = Prim {
                name: $name,
                doc: $doc,
                sig: Sig { params: &[req("a"), req("b")] },
                infer: |args: &[Ty]| super::shape_rules::comparison(Test::$test.sign(), args, matches!(Test::$test, Test::Eq | Test::Ne)),
                eval: Eval::General(|env, args| compare(Test::$test, env, args)),
                diff: Diff::Zero,
                batch: Batch::Elementwise,
                probe: PAIRS,
            };
        )*
    };
}

comparisons! {
    EQ "eq" Eq, "`a == b`: elementwise on numbers and tensors; values of other kinds are compared as wholes.";
    NE "ne" Ne, "`a != b`: elementwise on numbers and tensors; values of other kinds are compared as wholes.";
    LT "lt" Lt, "`a < b`, elementwise; strings alphabetically.";
    LE "le" Le, "`a <= b`, elementwise; strings alphabetically.";
    GT "gt" Gt, "`a > b`, elementwise; strings alphabetically.";
    GE "ge" Ge, "`a >= b`, elementwise; strings alphabetically.";
}

/// A bool or bool tensor, row-major, with its shape.
fn bools<'a>(word: &str, args: &'a [Value], i: usize) -> Result<(Cow<'a, [bool]>, Shape)> {
    match args.get(i) {
        Some(Value::Bool(b)) => return Ok((Cow::Owned(vec![*b]), Shape::new())),
        Some(Value::Tensor(_, t)) => {
            if let Tensor::Bool(a) = &**t {
                return Ok((flat(a), t.shape().into()));
            }
        }
        _ => {}
    }
    let kind = article(&args.get(i).map_or_else(String::new, Value::type_name));
    Err(Error::new("E0310", format!("`{word}` wants bools, not {kind}"))
        .operand(i, format!("this is {kind}"))
        .help("compare to get a bool: x != 0"))
}

fn logic<R: Logic>(word: &'static str, args: &[Value]) -> Result<Value> {
    if let [Value::Bool(a), Value::Bool(b)] = args {
        return Ok(Value::Bool(R::f(*a, *b)));
    }
    let ((a, sa), (b, sb)) = (bools(word, args, 0)?, bools(word, args, 1)?);
    let shape = broadcast_values(word, args)?;
    let mut out = vec![];
    run(&shape, &[(&a, &sa), (&b, &sb)], &mut out, |n, lanes, out| {
        if let [a, b] = *lanes {
            bool_lanes::<R>(a, b, n, out);
        }
    });
    Ok(Value::tensor(Tensor::from_vec(&shape, out)))
}

struct And;
struct Or;

impl Logic for And {
    #[inline(always)]
    fn f(a: bool, b: bool) -> bool {
        a & b
    }
}

impl Logic for Or {
    #[inline(always)]
    fn f(a: bool, b: bool) -> bool {
        a | b
    }
}

fn not(args: &[Value]) -> Result<Value> {
    if let [Value::Bool(a)] = args {
        return Ok(Value::Bool(!a));
    }
    let (a, shape) = bools("not", args, 0)?;
    Ok(Value::tensor(Tensor::from_vec(&shape, a.iter().map(|&a| !a).collect())))
}

const TWO_MASKS: Probe = Probe {
    samples: &[Sample {
        args: &[
            ProbeArg::Bools { shape: &[2, 2], data: &[true, false, true, false] },
            ProbeArg::Bools { shape: &[2], data: &[true, false] },
        ],
    }],
};

/// `a and b` on tensors
pub static AND: Prim = Prim {
    name: "and",
    doc: "True where both are, elementwise on bools.",
    sig: Sig { params: &[req("a"), req("b")] },
    infer: |args: &[Ty]| super::shape_rules::logic("and", args),
    eval: Eval::General(|_, args| logic::<And>("and", args)),
    diff: Diff::Zero,
    batch: Batch::Elementwise,
    probe: TWO_MASKS,
};

/// `a or b` on tensors
pub static OR: Prim = Prim {
    name: "or",
    doc: "True where at least one is, elementwise on bools.",
    sig: Sig { params: &[req("a"), req("b")] },
    infer: |args: &[Ty]| super::shape_rules::logic("or", args),
    eval: Eval::General(|_, args| logic::<Or>("or", args)),
    diff: Diff::Zero,
    batch: Batch::Elementwise,
    probe: TWO_MASKS,
};

/// `not a`
pub static NOT: Prim = Prim {
    name: "not",
    doc: "True where `a` is false, elementwise on bools.",
    sig: Sig { params: &[req("a")] },
    infer: |args: &[Ty]| super::shape_rules::logic("not", args),
    eval: Eval::General(|_, args| not(args)),
    diff: Diff::Zero,
    batch: Batch::Elementwise,
    probe: Probe { samples: &[Sample { args: &[ProbeArg::Bools { shape: &[2], data: &[true, false] }] }] },
};

fn classify(
    name: &'static str,
    args: &[Value],
    f32s: impl Fn(f32) -> bool,
    f64s: impl Fn(f64) -> bool,
) -> Result<Value> {
    match args.first() {
        Some(Value::Float(_, x)) => Ok(Value::Bool(f64s(*x))),
        Some(Value::Int(_) | Value::Bool(_)) => Ok(Value::Bool(f64s(0.0))),
        Some(Value::Tensor(_, t)) => {
            let out = match &**t {
                Tensor::F32(a) => flat(a).iter().map(|&x| f32s(x)).collect(),
                Tensor::F64(a) => flat(a).iter().map(|&x| f64s(x)).collect(),
                Tensor::Int(_) | Tensor::Bool(_) => vec![f64s(0.0); t.len()],
            };
            Ok(Value::tensor(Tensor::from_vec(t.shape(), out)))
        }
        _ => Err(wrong_kind(name, args)),
    }
}

macro_rules! classes {
    ($($NAME:ident $name:literal $method:ident, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub static $NAME: Prim = Prim {
                name: $name,
                doc: $doc,
                sig: Sig { params: &[req("x")] },
                infer: |args: &[Ty]| super::shape_rules::comparison($name, args, false),
                eval: Eval::General(|_, args| classify($name, args, |x| x.$method(), |x| x.$method())),
                diff: Diff::Zero,
                batch: Batch::Elementwise,
                probe: Probe { samples: &[Sample { args: &[ProbeArg::Point(&[1.0, -2.0])] }] },
            };
        )*
    };
}

classes! {
    ISNAN "isnan" is_nan, "True where `x` is NaN, elementwise.";
    ISINF "isinf" is_infinite, "True where `x` is inf or -inf, elementwise.";
    ISFINITE "isfinite" is_finite, "True where `x` is neither NaN nor infinite, elementwise.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wholes_and_elements() {
        let env = &mut Env::default();
        let t = Value::tensor(Tensor::from_vec(&[2], vec![0.1f32, 2.0]));
        let eq = compare(Test::Eq, env, &[t.clone(), Value::float(0.1)]).unwrap();
        assert!(matches!(&eq, Value::Tensor(_, m) if m.to_text() == "[true, false]"));
        assert!(equal(
            &Value::tuple(vec![t.clone(), Value::str("a")]),
            &Value::tuple(vec![t.clone(), Value::str("a")])
        ));
        assert!(!equal(&t, &Value::None));
        assert!(compare(Test::Lt, env, &[t.clone(), Value::str("a")]).is_err());
        assert!(matches!(compare(Test::Lt, env, &[Value::str("a"), Value::str("b")]), Ok(Value::Bool(true))));
        assert!(matches!(compare(Test::Eq, env, &[Value::None, Value::Int(1)]), Ok(Value::Bool(false))));
        assert!(logic::<And>("and", &[t, Value::Bool(true)]).is_err());
    }
}
