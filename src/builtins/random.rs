//! Random values: `seed random_state set_random_state rand randn randint permutation choice shuffle`, all from the session's one generator.
//!
//! In: shapes, bounds, or what to pick from. Out: tensors, or scalars where no shape is given. Picking rows of a float tensor is
//! differentiable in the rows.

use crate::ad::Cx;
use crate::builtins::dtypes::given_dtype;
use crate::builtins::fail::{self, arity};
use crate::builtins::make::{checked_shape, infer_shaped};
use crate::builtins::{Builtin, infer, iterate};
use crate::env::Rng;
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Param, Sig, opt, req, rest};
use crate::tensor::{DType, Tensor, count, random};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] =
    &[&SEED, &RANDOM_STATE, &SET_RANDOM_STATE, &RAND, &RANDN, &RANDINT, &PERMUTATION, &CHOICE, &SHUFFLE];

const SHAPED: &[Param] = &[rest("shape"), opt("dtype", Default::None)];

/// `seed(n)`
pub static SEED: Builtin = Builtin {
    name: "seed",
    doc: "Restarts the random generator: after `seed(1)` the same numbers come again.",
    sig: Sig { params: &[req("n")] },
    infer: infer::none,
    run: |vm, args| match args {
        [Value::Int(n)] => {
            vm.cx.env.seed(*n as u64);
            Ok(Value::None)
        }
        [other] => Err(fail::wrong_kind("seed", 0, "an int", other)),
        _ => Err(arity("seed")),
    },
};

/// `random_state()`
pub static RANDOM_STATE: Builtin = Builtin {
    name: "random_state",
    doc: "The state of the random generator, four ints in a tensor: `let s = random_state()` and later `set_random_state(s)` bring the \
          same numbers again.",
    sig: Sig { params: &[] },
    infer: |_| Ok(Ty::of(Some(DType::Int), Some([Dim::Known(4)].into_iter().collect()))),
    run: |vm, _| {
        let words = vm.cx.env.rng.state().map(|word| word as i64);
        Ok(Value::tensor(Tensor::from_vec(&[4], words.to_vec())))
    },
};

/// `set_random_state(state)`
pub static SET_RANDOM_STATE: Builtin = Builtin {
    name: "set_random_state",
    doc: "Sets the random generator to a state that `random_state()` gave.",
    sig: Sig { params: &[req("state")] },
    infer: infer::none,
    run: |vm, args| {
        let [state] = &*args else { return Err(arity("set_random_state")) };
        let words = match state {
            Value::Tensor(_, t) => match &**t {
                Tensor::Int(words) if words.shape() == [4] => Some(words.iter().map(|w| *w as u64).collect::<Vec<_>>()),
                _ => None,
            },
            _ => None,
        };
        let Some(words) = words else {
            return Err(fail::wrong_kind("set_random_state", 0, "what random_state() gave, an int[4]", state));
        };
        let state = <[u64; 4]>::try_from(words).ok().and_then(Rng::from_state);
        vm.cx.env.rng = state.ok_or_else(|| {
            Error::new(fail::BAD_ARGUMENT, "four zeros are no state of the random generator")
                .operand(0, "this is all zero")
                .help("give what random_state() gave; seed(n) starts anew")
        })?;
        Ok(Value::None)
    },
};

/// A scalar or tensor of floats.
fn floats(
    vm: &mut Vm,
    name: &str,
    args: &[Value],
    scalar: fn(&mut crate::env::Rng) -> f64,
    tensor: fn(&mut crate::env::Rng, &[usize], DType) -> Tensor,
) -> Result<Value> {
    let [shape, dtype] = args else { return Err(arity(name)) };
    let env = &vm.cx.env;
    let dtype = given_dtype(env, name, 1, Some(dtype))?.unwrap_or(env.dtype);
    if !dtype.is_float() {
        return Err(Error::new(fail::BAD_ARGUMENT, format!("{name} gives floats, not {dtype}"))
            .help("for ints there is randint(lo, hi, ...)"));
    }
    let shape = checked_shape(name, shape, dtype)?;
    if !vm.cx.batch_levels().is_empty() {
        return for_examples(&mut vm.cx, name, &shape, dtype, tensor);
    }
    let rng = &mut vm.cx.env.rng;
    if shape.is_empty() {
        return Ok(Value::float(scalar(rng)));
    }
    Ok(Value::tensor(tensor(rng, &shape, dtype)))
}

/// Numbers of its own for each example of every `vmap` around.
fn for_examples(
    cx: &mut Cx,
    name: &str,
    shape: &[usize],
    dtype: DType,
    tensor: fn(&mut crate::env::Rng, &[usize], DType) -> Tensor,
) -> Result<Value> {
    let levels = cx.batch_levels();
    let mut all: Vec<usize> = levels.iter().map(|(_, n)| *n).collect();
    all.extend(shape);
    let dims = Value::tuple(all.iter().map(|&n| Value::Int(n as i64)).collect());
    let dtype = if shape.is_empty() { DType::F64 } else { dtype };
    checked_shape(name, &dims, dtype)?;
    let mut value = Value::tensor(tensor(&mut cx.env.rng, &all, dtype));
    for (level, _) in levels {
        value = cx.batch(value, level)?;
    }
    Ok(value)
}

fn infer_floats(name: &str, args: &[Ty]) -> Result<Ty> {
    let dtype = match args.get(1) {
        Some(Ty::DType(dtype)) => *dtype,
        _ => None,
    };
    infer_shaped(name, args.first().unwrap_or(&Ty::Any), dtype)
}

/// `rand(2, 3)`
pub static RAND: Builtin = Builtin {
    name: "rand",
    doc: "Uniform random floats between 0 and 1, both excluded: `rand(2, 3)` or `rand((2, 3))` is `[2, 3]`, `rand()` one \
          float.",
    sig: Sig { params: SHAPED },
    infer: |args| infer_floats("rand", args),
    run: |vm, args| floats(vm, "rand", args, random::uniform, random::uniform_tensor),
};

/// `randn(2, 3)`
pub static RANDN: Builtin = Builtin {
    name: "randn",
    doc: "Normal random floats of mean 0 and variance 1: `randn(2, 3)` or `randn((2, 3))` is `[2, 3]`, `randn()` one float.",
    sig: Sig { params: SHAPED },
    infer: |args| infer_floats("randn", args),
    run: |vm, args| floats(vm, "randn", args, random::normal, random::normal_tensor),
};

/// `randint(lo, hi, 2, 3)`
pub static RANDINT: Builtin = Builtin {
    name: "randint",
    doc: "Random ints from `lo` up to but not including `hi`: `randint(0, 10, 2, 3)` is `[2, 3]`, `randint(0, 10)` one int.",
    sig: Sig { params: &[req("lo"), req("hi"), rest("shape")] },
    infer: |args| infer_shaped("randint", args.get(2).unwrap_or(&Ty::Any), Some(DType::Int)),
    run: |vm, args| {
        let [lo, hi, shape] = args else { return Err(arity("randint")) };
        let (lo, hi) = match (&*lo, &*hi) {
            (Value::Int(lo), Value::Int(hi)) => (*lo, *hi),
            (Value::Int(_), other) => return Err(fail::wrong_kind("randint", 1, "an int", other)),
            (other, _) => return Err(fail::wrong_kind("randint", 0, "an int", other)),
        };
        if lo >= hi {
            return Err(Error::new(fail::BAD_ARGUMENT, format!("there is no int from {lo} up to {hi}"))
                .operand(0, format!("this is {lo}"))
                .operand(1, format!("this is {hi}"))
                .help("the upper bound is excluded and must be larger: randint(0, 10)"));
        }
        let shape = checked_shape("randint", shape, DType::Int)?;
        let rng = &mut vm.cx.env.rng;
        let ints = (0..count(&shape)).map(|_| random::int_between(rng, lo, hi)).collect();
        Ok(Value::tensor(Tensor::from_vec(&shape, ints)))
    },
};

/// A number of things, as an argument.
fn amount(name: &str, i: usize, v: &Value) -> Result<usize> {
    match v {
        Value::Int(n) => {
            let shape = checked_shape(name, &Value::Int(*n), DType::Int)?;
            Ok(shape.first().copied().unwrap_or(0))
        }
        other => Err(fail::wrong_kind(name, i, "an int", other)),
    }
}

fn ints(data: Vec<i64>) -> Value {
    Value::tensor(Tensor::from_vec(&[data.len()], data))
}

/// `permutation(n)`
pub static PERMUTATION: Builtin = Builtin {
    name: "permutation",
    doc: "The ints from 0 up to but not including `n` in random order, `[n]`.",
    sig: Sig { params: &[req("n")] },
    infer: |args| infer_shaped("permutation", args.first().unwrap_or(&Ty::Any), Some(DType::Int)),
    run: |vm, args| {
        let [n] = args else { return Err(arity("permutation")) };
        let n = amount("permutation", 0, n)?;
        Ok(ints(random::permutation(&mut vm.cx.env.rng, n)))
    },
};

/// Elements of a list or tuple, or rows of a tensor, at some positions.
fn take(cx: &mut Cx, name: &str, x: &Value, at: Vec<i64>) -> Result<Value> {
    let pick = |items: &[Value]| -> Vec<Value> {
        at.iter().filter_map(|&i| items.get(usize::try_from(i).ok()?).cloned()).collect()
    };
    match x {
        Value::List(items) => Ok(Value::list(pick(items))),
        Value::Tuple(items) => Ok(Value::tuple(pick(items))),
        Value::Range(range) => Ok(ints(at.iter().map(|&i| range.at(i as usize)).collect())),
        Value::Tensor(..) => iterate::apply(cx, "get_index", &[x.clone(), ints(at)]),
        other => Err(fail::wrong_kind(name, 0, "a tensor, list, tuple or range", other)),
    }
}

/// How many there are to pick from.
fn population(name: &str, x: &Value) -> Result<usize> {
    Ok(match x {
        Value::Int(_) => amount(name, 0, x)?,
        Value::List(items) | Value::Tuple(items) => items.len(),
        Value::Range(range) => range.len(),
        Value::Tensor(_, t) => t.shape().first().copied().unwrap_or(0),
        other => return Err(fail::wrong_kind(name, 0, "a tensor, list, tuple, range or int", other)),
    })
}

/// Chances for each of `n`.
fn weights(v: &Value, n: usize, needed: usize) -> Result<Vec<f64>> {
    let weights: Vec<f64> = match v {
        Value::Tensor(_, t) if t.rank() == 1 => t.iter_f64().collect(),
        Value::List(items) | Value::Tuple(items) => items
            .iter()
            .map(|item| crate::tensor::create::scalar_f64(item).ok_or(item))
            .collect::<std::result::Result<_, _>>()
            .map_err(|item| fail::wrong_kind("choice", 3, "a weight for each", item))?,
        other => return Err(fail::wrong_kind("choice", 3, "a vector of weights", other)),
    };
    let bad = |message: String| Err(Error::new(fail::BAD_ARGUMENT, message).operand(3, "these are the weights"));
    if weights.len() != n {
        return bad(format!("choice has {} weights for {n} elements", weights.len()));
    }
    if let Some(w) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
        return bad(format!("a weight of choice is {}", crate::tensor::format::format_float(*w)));
    }
    let positive = weights.iter().filter(|&&w| w > 0.0).count();
    if positive < needed {
        return bad(format!("choice has to pick {needed} elements, but only {positive} weights are positive"));
    }
    Ok(weights)
}

fn choice(vm: &mut Vm, args: &[Value]) -> Result<Value> {
    let [x, size, replace, p] = args else { return Err(arity("choice")) };
    let n = population("choice", x)?;
    let one = matches!(size, Value::None);
    let size = if one { 1 } else { amount("choice", 1, size)? };
    let Value::Bool(replace) = replace else { return Err(fail::wrong_kind("choice", 2, "a bool", replace)) };
    if n == 0 && size > 0 {
        return Err(Error::new("E0412", "choice from nothing").operand(0, "this is empty"));
    }
    if !replace && size > n {
        return Err(Error::new(
            fail::BAD_ARGUMENT,
            format!("choice can't pick {size} of {n} without taking one twice"),
        )
        .help("leave out replace: false, or pick fewer"));
    }
    let rng = &mut vm.cx.env.rng;
    let at = match p {
        Value::None => random::picks(rng, n, size, *replace),
        p => {
            let weights = weights(p, n, if *replace { size.min(1) } else { size })?;
            random::weighted_picks(rng, &weights, size, *replace)
        }
    };
    if !one {
        return if matches!(x, Value::Int(_)) { Ok(ints(at)) } else { take(&mut vm.cx, "choice", x, at) };
    }
    let i = at.first().copied().unwrap_or(0);
    match x {
        Value::Int(_) => Ok(Value::Int(i)),
        Value::Tensor(..) => iterate::row(&mut vm.cx, x, i as usize),
        other => Ok(iterate::iter_at(other, i as usize).unwrap_or_default()),
    }
}

fn infer_choice(args: &[Ty]) -> Result<Ty> {
    let size = match args.get(1) {
        None | Some(Ty::None) => None,
        Some(Ty::Int(n)) => Some((*n).into()),
        _ => return Ok(Ty::Any),
    };
    Ok(match (args.first(), size) {
        (Some(Ty::Int(_) | Ty::Range), None) => Ty::Int(Num::Unknown),
        (Some(Ty::Int(_) | Ty::Range), Some(size)) => Ty::of(Some(DType::Int), Some(Dims::from_slice(&[size]))),
        (Some(Ty::Tensor(t)), size) => match &t.dims {
            Some(dims) => {
                let rows = size.into_iter().chain(dims.iter().skip(1).copied());
                Ty::of(t.dtype, Some(rows.collect()))
            }
            None => Ty::Any,
        },
        (Some(list @ Ty::List(_)), None) => infer::element_of(list),
        _ => Ty::Any,
    })
}

/// `choice(x, size)`
pub static CHOICE: Builtin = Builtin {
    name: "choice",
    doc: "One random element of `x`, or `size` of them: of a list, the rows of a tensor, or the ints below an int `x`. \
          `replace: false` takes none twice; `p` are weights. `choice(10, 3)` is an int tensor `[3]`.",
    sig: Sig {
        params: &[req("x"), opt("size", Default::None), opt("replace", Default::Bool(true)), opt("p", Default::None)],
    },
    infer: infer_choice,
    run: |vm, args| choice(vm, args),
};

/// `shuffle(x)`
pub static SHUFFLE: Builtin = Builtin {
    name: "shuffle",
    doc: "A copy of a list, tuple or range, or of a tensor along its first axis, in random order: `x = shuffle(x)`.",
    sig: Sig { params: &[req("x")] },
    infer: |args| {
        Ok(match args.first() {
            Some(x @ Ty::Tensor(_)) => x.clone(),
            Some(list @ Ty::List(_)) => infer::list_of(infer::element_of(list)),
            Some(Ty::Range) => Ty::of(Some(DType::Int), Some(Dims::from_slice(&[Dim::Unknown]))),
            _ => Ty::Any,
        })
    },
    run: |vm, args| {
        let [x] = args else { return Err(arity("shuffle")) };
        if matches!(x, Value::Int(_)) {
            return Err(fail::wrong_kind("shuffle", 0, "a tensor, list, tuple or range", x)
                .help("permutation(n) gives the ints below n in random order"));
        }
        let n = population("shuffle", x)?;
        let order = random::permutation(&mut vm.cx.env.rng, n);
        take(&mut vm.cx, "shuffle", x, order)
    },
};
