//! Functions over sequences: `map`, `filter`, `zip`, `enumerate`, `sorted`, `reversed`, `range`, `len`.
//!
//! In: anything that iterates (see `iterate.rs`). Out: lists. Elements are moved as they are, so derivatives pass through.
//! `map` and its kin take function and sequence in either order, so that `xs.map(f)` and `xs |> map(f)` work.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::builtins::fail::{self, arity, with_article, wrong_kind};
use crate::builtins::{Builtin, infer, iterate};
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req, variadic};
use crate::types::size::Num;
use crate::types::ty::{Dim, Ty};
use crate::value::{RangeValue, Value};
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&MAP, &FILTER, &ZIP, &ENUMERATE, &REVERSED, &SORTED, &RANGE, &LEN];

static MAP: Builtin = Builtin {
    name: "map",
    doc: "The list of `f(x)` for each element of `xs`; with more sequences, of `f(x, y, ...)` as far as the shortest goes. \
          `map(|x| x^2, 0..3)` is `list(0, 1, 4)`; so is `(0..3).map(|x| x^2)`. For a tensor write `[f(x) for x in xs]`.",
    sig: Sig { params: &[req("f"), req("xs"), variadic("more")] },
    infer: infer::list,
    run: map,
};

fn map(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [f, xs, more] = args else { return Err(arity("map")) };
    function_first(f, xs);
    let Value::Tuple(more) = more else { return Err(arity("map")) };
    let mut sources = vec![iterate::iter_source(xs)?];
    for other in more.iter() {
        sources.push(iterate::iter_source(other)?);
    }
    let mut out = vec![];
    iterate::reserve(&mut out, sources.iter().filter_map(iterate::iter_len).min().unwrap_or(0))?;
    let mut call_args = Vec::with_capacity(sources.len());
    loop {
        call_args.clear();
        for source in &sources {
            let Some(item) = iterate::iter_next(&mut vm.cx, source, out.len())? else { return Ok(Value::list(out)) };
            call_args.push(item);
        }
        out.push(vm.call(f, &call_args)?);
    }
}

/// Exchanges `f` and `xs` if they come as `xs, f`.
fn function_first(f: &mut Value, xs: &mut Value) {
    if iterate::is_sequence(f) && !iterate::is_sequence(xs) {
        std::mem::swap(f, xs);
    }
}

static FILTER: Builtin = Builtin {
    name: "filter",
    doc: "The list of those elements for which `f` gives true. `filter(|x| x > 1, 0..4)` is `list(2, 3)`.",
    sig: Sig { params: &[req("f"), req("xs")] },
    infer: |args| match args {
        [Ty::Range | Ty::List(_) | Ty::Str(_), _] => Ok(infer::list_of(infer::element_of(&args[0]))),
        [_, xs] => Ok(infer::list_of(infer::element_of(xs))),
        _ => infer::list(args),
    },
    run: filter,
};

fn filter(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [f, xs] = args else { return Err(arity("filter")) };
    function_first(f, xs);
    let source = iterate::iter_source(xs)?;
    let mut out = vec![];
    let mut i = 0;
    while let Some(item) = iterate::iter_next(&mut vm.cx, &source, i)? {
        match vm.call(f, std::slice::from_ref(&item))? {
            Value::Bool(true) => out.push(item),
            Value::Bool(false) => {}
            other => {
                let kind = fail::with_article(&other.type_name());
                return Err(Error::new(
                    fail::WRONG_KIND,
                    format!("filter needs a function that gives a bool, not {kind}"),
                )
                .operand(0, format!("this gives {kind}")));
            }
        }
        i += 1;
    }
    Ok(Value::list(out))
}

static ZIP: Builtin = Builtin {
    name: "zip",
    doc: "The list of tuples of elements that stand at the same place, as far as the shortest goes. \
          `zip(list(1, 2), \"ab\")` is `list((1, \"a\"), (2, \"b\"))`.",
    sig: Sig { params: &[variadic("sequences")] },
    infer: |args| {
        Ok(match args {
            [Ty::Tuple(items)] if items.iter().all(|t| !matches!(t, Ty::Any)) => {
                infer::list_of(Ty::Tuple(Rc::new(items.iter().map(infer::element_of).collect())))
            }
            _ => infer::list_of(Ty::Any),
        })
    },
    run: zip,
};

fn zip(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [Value::Tuple(sequences)] = args else { return Err(arity("zip")) };
    let sources = sequences.iter().map(iterate::iter_source).collect::<Result<Vec<_>>>()?;
    let mut out = vec![];
    iterate::reserve(&mut out, sources.iter().filter_map(iterate::iter_len).min().unwrap_or(0))?;
    if sources.is_empty() {
        return Ok(Value::list(out));
    }
    loop {
        let mut row = Vec::with_capacity(sources.len());
        for source in &sources {
            let Some(item) = iterate::iter_next(&mut vm.cx, source, out.len())? else { return Ok(Value::list(out)) };
            row.push(item);
        }
        out.push(Value::tuple(row));
    }
}

static ENUMERATE: Builtin = Builtin {
    name: "enumerate",
    doc: "The list of `(index, element)`, counted from `start`: `for (i, x) in enumerate(xs) { ... }`.",
    sig: Sig { params: &[req("xs"), opt("start", Default::Int(0))] },
    infer: |args| {
        let element = args.first().map_or(Ty::Any, infer::element_of);
        Ok(infer::list_of(Ty::Tuple(Rc::new(vec![Ty::Int(Num::Unknown), element]))))
    },
    run: enumerate,
};

fn enumerate(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [xs, start] = args else { return Err(arity("enumerate")) };
    let Value::Int(start) = *start else { return Err(wrong_kind("enumerate", 1, "an int", start)) };
    let items = iterate::items(&mut vm.cx, xs)?;
    let pairs = items.into_iter().enumerate().map(|(i, item)| {
        let i = start
            .checked_add(i as i64)
            .ok_or_else(|| Error::new(fail::BAD_ARGUMENT, "integer overflow in enumerate"))?;
        Ok(Value::tuple(vec![Value::Int(i), item]))
    });
    Ok(Value::list(pairs.collect::<Result<_>>()?))
}

static REVERSED: Builtin = Builtin {
    name: "reversed",
    doc: "The elements from last to first: of a list a list, of a tuple a tuple, of a range a range, of a str a str, of a tensor \
          a tensor with axis 0 flipped. `reversed(0..3)` is `range(2, -1, -1)`.",
    sig: Sig { params: &[req("xs")] },
    infer: |args| {
        Ok(match args {
            [Ty::List(l)] => infer::list_of(l.element.clone()),
            [Ty::Tuple(items)] => Ty::Tuple(Rc::new(items.iter().rev().cloned().collect())),
            [Ty::Tensor(t)] => Ty::Tensor(t.clone()),
            [Ty::Range] => Ty::Range,
            [Ty::Str(_)] => Ty::Str(None),
            _ => Ty::Any,
        })
    },
    run: reversed,
};

fn reversed(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [xs] = args else { return Err(arity("reversed")) };
    match xs {
        Value::Tuple(items) => Ok(Value::tuple(items.iter().rev().cloned().collect())),
        Value::Str(s) => Ok(Value::str(s.chars().rev().collect::<String>())),
        Value::Range(r) => reversed_range(r),
        _ if xs.tensor_dtype().is_some() => iterate::apply(&mut vm.cx, "flip", &[xs.clone(), Value::Int(0)]),
        other => {
            let mut items = iterate::items(&mut vm.cx, other)?;
            items.reverse();
            Ok(Value::list(items))
        }
    }
}

fn reversed_range(r: &RangeValue) -> Result<Value> {
    let n = r.len();
    if n == 0 {
        return make_range(0, 0, 1);
    }
    let step = r.step.checked_neg().ok_or_else(|| Error::new(fail::BAD_ARGUMENT, "integer overflow in reversed"))?;
    let start = r.at(n - 1);
    // Just past the first; the step itself may go too far.
    let stop = r.start.checked_add(step.signum()).unwrap_or(r.start);
    make_range(start, stop, step)
}

static SORTED: Builtin = Builtin {
    name: "sorted",
    doc: "The elements as a list in ascending order (`reverse: true`: descending), equal ones in their old order. They are compared \
          themselves, or by what `key` gives for each: numbers, strs, or tuples and lists of them; NaN goes last. \
          `sorted(list(3, 1, 2))`, `sorted(words, key: len)`.",
    sig: Sig { params: &[req("xs"), opt("key", Default::None), opt("reverse", Default::Bool(false))] },
    infer: |args| Ok(infer::list_of(args.first().map_or(Ty::Any, infer::element_of))),
    run: sorted,
};

fn sorted(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [xs, key, reverse] = args else { return Err(arity("sorted")) };
    let Value::Bool(reverse) = *reverse else { return Err(wrong_kind("sorted", 2, "a bool", reverse)) };
    let items = iterate::items(&mut vm.cx, xs)?;
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        let sort_key = match &*key {
            Value::None => item.clone(),
            f => vm.call(f, std::slice::from_ref(&item))?,
        };
        keyed.push((sort_key, item));
    }
    sort_by_key(&mut keyed, reverse)?;
    Ok(Value::list(keyed.into_iter().map(|(_, item)| item).collect()))
}

fn sort_by_key(keyed: &mut [(Value, Value)], reverse: bool) -> Result<()> {
    let mut problem = None;
    keyed.sort_by(|(a, _), (b, _)| {
        compare(a, b, reverse, 0).unwrap_or_else(|e| {
            problem.get_or_insert(e);
            Ordering::Equal
        })
    });
    problem.map_or(Ok(()), Err)
}

/// Order of two values of one kind: a total one, NaN after all else whichever way it goes.
fn compare(a: &Value, b: &Value, reverse: bool, depth: usize) -> Result<Ordering> {
    if depth > fail::MAX_DEPTH {
        return Err(fail::too_deep());
    }
    let number = |v: &Value| match v {
        Value::Int(i) => Some(*i as f64),
        Value::Float(_, x) => Some(*x),
        _ => None,
    };
    let directed = |order: Ordering| if reverse { order.reverse() } else { order };
    match (a, b) {
        (Value::Int(x), Value::Int(y)) => Ok(directed(x.cmp(y))),
        (Value::Bool(x), Value::Bool(y)) => Ok(directed(x.cmp(y))),
        (Value::Str(x), Value::Str(y)) => Ok(directed(x.cmp(y))),
        (Value::Tuple(x), Value::Tuple(y)) | (Value::List(x), Value::List(y)) => {
            for (x, y) in x.iter().zip(y.iter()) {
                let order = compare(x, y, reverse, depth + 1)?;
                if order.is_ne() {
                    return Ok(order);
                }
            }
            Ok(directed(x.len().cmp(&y.len())))
        }
        _ => match (number(a), number(b)) {
            (Some(x), Some(y)) => Ok(x.partial_cmp(&y).map_or_else(|| x.is_nan().cmp(&y.is_nan()), directed)),
            _ => {
                let (a, b) = (fail::with_article(&a.type_name()), fail::with_article(&b.type_name()));
                Err(Error::new(fail::WRONG_KIND, format!("sorted can't tell whether {a} or {b} comes first"))
                    .help("give key: a function that makes a number or str of each element"))
            }
        },
    }
}

static RANGE: Builtin = Builtin {
    name: "range",
    doc: "Ints from `start` up to but not including `stop`, by `step`; with one argument, from 0. \
          `range(0, 10, 2)` holds 0, 2, 4, 6, 8; `range(3)` is `0..3`.",
    sig: Sig { params: &[req("start"), opt("stop", Default::None), opt("step", Default::Int(1))] },
    infer: |_| Ok(Ty::Range),
    run: |_, args| {
        let [start, stop, step] = &*args else { return Err(arity("range")) };
        let int = |i: usize, v: &Value| match v {
            Value::Int(n) => Ok(*n),
            other => {
                let kind = with_article(&other.type_name());
                Err(not_a_bound(&kind).operand(i, format!("this is {kind}")))
            }
        };
        match stop {
            Value::None => make_range(0, int(0, start)?, int(2, step)?),
            stop => make_range(int(0, start)?, int(1, stop)?, int(2, step)?),
        }
    },
};

/// `kind`, such as "a float", as a bound of a range.
#[cold]
pub fn not_a_bound(kind: &str) -> Error {
    let error = Error::new(fail::WRONG_KIND, format!("a range goes from int to int, not {kind}"));
    match kind {
        "a float" => error.help(RANGE_OF_FLOATS),
        _ => error,
    }
}

/// What to write where a range was given floats.
pub const RANGE_OF_FLOATS: &str =
    "`/` gives a float: write `//` for a whole quotient; floats in steps are arange(a, b, h) or linspace(a, b, n)";

fn make_range(start: i64, stop: i64, step: i64) -> Result<Value> {
    if step == 0 {
        return Err(Error::new(fail::BAD_ARGUMENT, "a range can't have step 0").operand(2, "this is 0"));
    }
    Ok(Value::Range(Rc::new(RangeValue { start, stop, step })))
}

/// What `len` takes.
const HAVE_LENGTH: &str = "a list, tuple, dict, str, range or tensor";

static LEN: Builtin = Builtin {
    name: "len",
    doc: "Number of elements of a list, tuple, dict or range, of characters of a str, of rows (axis 0) of a tensor. \
          `len(\"abc\")` is 3; `len(zeros(5, 2))` is 5.",
    sig: Sig { params: &[req("x")] },
    infer: |args| match args {
        [ty @ (Ty::Int(_) | Ty::Float | Ty::Bool(_) | Ty::None | Ty::DType(_))] => {
            Err(fail::wrong_type("len", 0, HAVE_LENGTH, ty))
        }
        [Ty::Tensor(t)] => Ok(Ty::Int(match t.dims.as_ref().and_then(|d| d.first()) {
            Some(dim) if *dim != Dim::Some => Num::from(*dim),
            _ => Num::Unknown,
        })),
        [ty] => Ok(Ty::Int(infer::count_of(ty).map(|n| n as i64).into())),
        _ => infer::int(args),
    },
    run: |_, args| {
        let [x] = &*args else { return Err(arity("len")) };
        match iterate::iter_len(x) {
            Some(n) => match i64::try_from(n) {
                Ok(n) => Ok(Value::Int(n)),
                Err(_) => Err(Error::new("E0411", format!("the length {n} does not fit an int (64 bits)"))),
            },
            None => Err(wrong_kind("len", 0, HAVE_LENGTH, x)),
        }
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::display;

    fn order(values: Vec<Value>, reverse: bool) -> Vec<String> {
        let mut keyed: Vec<_> = values.iter().enumerate().map(|(i, v)| (v.clone(), Value::Int(i as i64))).collect();
        sort_by_key(&mut keyed, reverse).unwrap();
        keyed.iter().map(|(k, i)| format!("{}@{}", display(k), display(i))).collect()
    }

    #[test]
    fn sorting_is_stable_both_ways_and_nan_goes_last() {
        let values = vec![Value::float(2.0), Value::float(f64::NAN), Value::Int(1), Value::Int(2)];
        assert_eq!(
            order(values.clone(), false).iter().map(|s| s.split('@').nth(1).unwrap()).collect::<Vec<_>>(),
            ["2", "0", "3", "1"]
        );
        assert_eq!(
            order(values, true).iter().map(|s| s.split('@').nth(1).unwrap()).collect::<Vec<_>>(),
            ["0", "3", "2", "1"]
        );
    }

    #[test]
    fn tuples_compare_part_by_part() {
        let pair = |a: i64, b: &str| Value::tuple(vec![Value::Int(a), Value::str(b)]);
        let sorted = order(vec![pair(2, "a"), pair(1, "b"), pair(1, "a")], false);
        assert_eq!(sorted, [r#"(1, "a")@2"#, r#"(1, "b")@1"#, r#"(2, "a")@0"#]);
    }

    #[test]
    fn mixed_kinds_have_no_order() {
        let mut keyed = vec![(Value::Int(1), Value::None), (Value::str("a"), Value::None)];
        assert_eq!(sort_by_key(&mut keyed, false).unwrap_err().0.code, fail::WRONG_KIND);
    }

    #[test]
    fn a_reversed_range_holds_the_same_ints() {
        for (start, stop, step) in [(0, 3, 1), (0, 10, 3), (9, 0, -4), (5, 5, 1), (i64::MIN, i64::MIN + 2, 1)] {
            let r = RangeValue { start, stop, step };
            let Value::Range(back) = reversed_range(&r).unwrap() else { panic!() };
            let mut there: Vec<i64> = (0..r.len()).map(|i| r.at(i)).collect();
            there.reverse();
            if start != i64::MIN {
                assert_eq!((0..back.len()).map(|i| back.at(i)).collect::<Vec<_>>(), there);
            }
        }
    }

    #[test]
    fn a_range_has_a_step() {
        assert!(make_range(0, 3, 0).is_err());
    }
}
