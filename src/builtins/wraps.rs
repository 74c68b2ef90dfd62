//! Builtins that extend a primitive of the same name to lists, tuples, ranges and strs: `sum prod max min mean var std median
//! quantile any all split repeat`.
//!
//! In: numbers and tensors go to the primitive, with all arguments by name. Sequences are folded with primitives, so derivatives flow.
//! Names find builtins first, so a program meets these; where the checker knows that the argument is a number or tensor, the
//! compiler may take [`wrapped`] instead.

use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::iterate::{self, default_value, primitive};
use crate::builtins::{Builtin, infer, join, text};
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Param, ParamKind, Prim, Sig, opt, req};
use crate::types::size::Num;
use crate::types::ty::Ty;
use crate::value::Value;
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] =
    &[&SUM, &PROD, &MEAN, &VAR, &STD, &MEDIAN, &QUANTILE, &MAX, &MIN, &ANY, &ALL, &SPLIT, &REPEAT];

/// The primitive that a builtin of this file is for numbers and tensors.
pub fn wrapped(builtin: &Builtin) -> Option<&'static Prim> {
    FAMILY.iter().find(|b| b.name == builtin.name).and_then(|b| crate::ops::find(b.name))
}

const REDUCE: &[Param] = &[req("x"), opt("axis", Default::None), opt("keepdims", Default::Bool(false))];
const EXTREME: &[Param] =
    &[req("x"), opt("other", Default::None), opt("axis", Default::None), opt("keepdims", Default::Bool(false))];

/// True for what the primitive takes.
fn is_number(x: &Value) -> bool {
    x.shape().is_some()
}

/// Applies the primitive called `name`, passing arguments by the names of the parameters.
fn forward(vm: &mut Vm, name: &str, params: &[Param], args: &[Value]) -> Result<Value> {
    let prim = primitive(name)?;
    let given =
        prim.sig.params.iter().enumerate().map(|(i, p)| match position(params, p, i).and_then(|at| args.get(at)) {
            Some(arg) => arg.clone(),
            None => match p.kind {
                ParamKind::Optional(default) => default_value(default),
                _ => Value::None,
            },
        });
    let given: Vec<Value> = given.collect();
    vm.cx.apply(prim, &given)
}

/// Which of our parameters the primitive's parameter `i` is; the first is the operand, whatever its name.
fn position(params: &[Param], wanted: &Param, i: usize) -> Option<usize> {
    if i == 0 { Some(0) } else { params.iter().position(|p| p.name == wanted.name) }
}

/// The primitive's result type if the argument is known to be a number or tensor.
fn infer_by(name: &str, params: &[Param], args: &[Ty]) -> Result<Ty> {
    let operand = args.first().unwrap_or(&Ty::Any);
    if !matches!(operand, Ty::Bool(_) | Ty::Int(_) | Ty::Float | Ty::Tensor(_)) {
        return match operand {
            Ty::Str(_) | Ty::Dict(_) | Ty::None => Err(fail::wrong_type(name, 0, SUMMABLE, operand)),
            _ => Ok(Ty::Any),
        };
    }
    let Some(prim) = crate::ops::find(name) else { return Ok(Ty::Any) };
    let given =
        prim.sig.params.iter().enumerate().map(|(i, p)| match position(params, p, i).and_then(|at| args.get(at)) {
            Some(ty) => ty.clone(),
            None => match p.kind {
                ParamKind::Optional(Default::None) => Ty::None,
                ParamKind::Optional(Default::Bool(b)) => Ty::Bool(Some(b)),
                ParamKind::Optional(Default::Int(i)) => Ty::Int(Num::Known(i)),
                ParamKind::Optional(Default::Float(_)) => Ty::Float,
                ParamKind::Optional(Default::Str(s)) => Ty::Str(Some(s.into())),
                _ => Ty::Any,
            },
        });
    (prim.infer)(&given.collect::<Vec<_>>())
}

/// What reductions take.
const SUMMABLE: &str = "a tensor, number, list, tuple or range";

/// The elements of a sequence that is reduced as a whole: axes are for tensors.
fn elements(vm: &mut Vm, name: &str, args: &[Value]) -> Result<Vec<Value>> {
    let [x, options @ ..] = args else { return Err(arity(name)) };
    if !iterate::is_sequence(x) || matches!(x, Value::Str(_) | Value::Dict(_)) {
        return Err(wrong_kind(name, 0, SUMMABLE, x));
    }
    if let Some(at) = options.iter().position(|v| !matches!(v, Value::None | Value::Bool(false))) {
        let kind = fail::with_article(&x.type_name());
        return Err(Error::new(fail::BAD_ARGUMENT, format!("{name} of {kind} takes no axis"))
            .operand(at + 1, "only for tensors")
            .help("stack(xs) makes a tensor of a list of tensors"));
    }
    iterate::items(&mut vm.cx, x)
}

/// Joins values by a primitive of two arguments; `None` if there are none.
pub fn fold(vm: &mut Vm, prim: &'static Prim, items: Vec<Value>) -> Result<Option<Value>> {
    let mut items = items.into_iter();
    let Some(mut total) = items.next() else { return Ok(None) };
    for item in items {
        total = vm.cx.apply(prim, &[total, item])?;
    }
    Ok(Some(total))
}

static SUM: Builtin = Builtin {
    name: "sum",
    doc: "The sum of all elements of a tensor, or along `axis` (an int or tuple); of a list, tuple or range, the sum of its elements, \
          whatever adds up. `sum([1.0, 2.0])` is 3.0; `sum(f(x) for x in xs)`.",
    sig: Sig { params: REDUCE },
    infer: |args| infer_by("sum", REDUCE, args),
    run: |vm, args| {
        if args.first().is_some_and(is_number) {
            return forward(vm, "sum", REDUCE, args);
        }
        let items = elements(vm, "sum", args)?;
        Ok(fold(vm, primitive("add")?, items)?.unwrap_or(Value::Int(0)))
    },
};

static MEAN: Builtin = Builtin {
    name: "mean",
    doc: "The mean of all elements of a tensor, or along `axis` (an int or tuple); of a list, tuple or range, the mean of its \
          elements. `mean([1.0, 2.0])` is 1.5.",
    sig: Sig { params: REDUCE },
    infer: |args| infer_by("mean", REDUCE, args),
    run: |vm, args| {
        if args.first().is_some_and(is_number) {
            return forward(vm, "mean", REDUCE, args);
        }
        let items = elements(vm, "mean", args)?;
        let n = items.len();
        match fold(vm, primitive("add")?, items)? {
            Some(total) => vm.cx.apply(primitive("div")?, &[total, Value::float(n as f64)]),
            None => Err(empty("mean")),
        }
    },
};

#[cold]
fn empty(name: &str) -> Error {
    Error::new(fail::BAD_ARGUMENT, format!("{name} of nothing: the sequence has no elements"))
        .operand(0, "this is empty")
}

static PROD: Builtin = Builtin {
    name: "prod",
    doc: "The product of all elements of a tensor, or along `axis`; of a list, tuple or range, the product of its elements; 1 for no \
          elements. Its slopes are exact at zeros. `prod(x.shape)` is `x.size`.",
    sig: Sig { params: REDUCE },
    infer: |args| infer_by("prod", REDUCE, args),
    run: |vm, args| {
        if args.first().is_some_and(is_number) {
            return forward(vm, "prod", REDUCE, args);
        }
        let items = elements(vm, "prod", args)?;
        Ok(fold(vm, primitive("mul")?, items)?.unwrap_or(Value::Int(1)))
    },
};

const MOMENT: &[Param] =
    &[req("x"), opt("axis", Default::None), opt("keepdims", Default::Bool(false)), opt("ddof", Default::Int(0))];
const LEVEL: &[Param] = &[req("x"), req("q"), opt("axis", Default::None), opt("keepdims", Default::Bool(false))];

static VAR: Builtin = Builtin {
    name: "var",
    doc: "Variance of all elements of a tensor, or over `axis`; of a list, tuple or range, that of its elements: squared distances from \
          the mean, divided by n - `ddof`. `var([1.0, 3.0])` is 1.0.",
    sig: Sig { params: MOMENT },
    infer: |args| infer_by("var", MOMENT, args),
    run: |vm, args| over_elements(vm, "var", MOMENT, args),
};

static STD: Builtin = Builtin {
    name: "std",
    doc: "Standard deviation of all elements of a tensor, or over `axis`; of a list, tuple or range, that of its elements: the root of \
          `var`. Slope 0 where all elements are equal. `std([1.0, 3.0])` is 1.0.",
    sig: Sig { params: MOMENT },
    infer: |args| infer_by("std", MOMENT, args),
    run: |vm, args| over_elements(vm, "std", MOMENT, args),
};

static MEDIAN: Builtin = Builtin {
    name: "median",
    doc: "Median of all elements of a tensor, or over `axis`; of a list, tuple or range, that of its elements; the mean of the middle two \
          of an even number; NaN if there is one; an error for no elements. Tied elements share the slope. `median([1.0, 2.0, 4.0])` is 2.0.",
    sig: Sig { params: REDUCE },
    infer: |args| infer_by("median", REDUCE, args),
    run: |vm, args| over_elements(vm, "median", REDUCE, args),
};

static QUANTILE: Builtin = Builtin {
    name: "quantile",
    doc: "The value that a part `q` (a number from 0 to 1) of the elements of a tensor, or of those over `axis`, or of a list, tuple or \
          range, lie below, straight between neighbours; NaN if there is one. Tied elements share the slope. Of several levels, \
          the quantiles of each along a new first axis. `quantile([1.0, 2.0], 0.75)` is 1.75; `quantile(x, [0.1, 0.5, 0.9])`.",
    sig: Sig { params: LEVEL },
    infer: |args| infer_by("quantile", LEVEL, args),
    run: |vm, args| match &*args {
        [x, levels @ (Value::Tensor(..) | Value::List(_) | Value::Tuple(_)), options @ ..] => {
            let mut parts = vec![Value::Int(0)];
            for level in iterate::items(&mut vm.cx, levels)? {
                let mut one = vec![x.clone(), level];
                one.extend_from_slice(options);
                parts.push(over_elements(vm, "quantile", LEVEL, &one)?);
            }
            if parts.len() == 1 {
                return Err(Error::new(fail::BAD_ARGUMENT, "quantile got no levels").operand(1, "this is empty"));
            }
            vm.cx.apply(primitive("_stack")?, &parts)
        }
        _ => over_elements(vm, "quantile", LEVEL, args),
    },
};

/// A reduction that needs its elements side by side. Those of a list are scalars or tensors of one shape.
fn over_elements(vm: &mut Vm, name: &str, params: &[Param], args: &[Value]) -> Result<Value> {
    if args.first().is_some_and(is_number) {
        return forward(vm, name, params, args);
    }
    let [x, ..] = args else { return Err(arity(name)) };
    let flags: Vec<Value> = params
        .iter()
        .zip(args)
        .filter(|(p, _)| matches!(p.name, "axis" | "keepdims"))
        .map(|(_, value)| value.clone())
        .collect();
    let whole: Vec<Value> = std::iter::once(x.clone()).chain(flags).collect();
    let items = elements(vm, name, &whole)?;
    if items.is_empty() {
        return Err(empty(name));
    }
    let float = |item: Value| if let Value::Int(n) = item { Value::float(n as f64) } else { item };
    let parts: Vec<Value> = std::iter::once(Value::Int(0)).chain(items.into_iter().map(float)).collect();
    let stacked = vm.cx.apply(primitive("_stack")?, &parts)?;
    let given: Vec<Value> = params
        .iter()
        .zip(args)
        .enumerate()
        .map(|(i, (p, value))| match p.name {
            _ if i == 0 => stacked.clone(),
            "axis" => Value::Int(0),
            _ => value.clone(),
        })
        .collect();
    forward(vm, name, params, &given)
}

static MAX: Builtin = Builtin {
    name: "max",
    doc: "The largest element of a tensor, or along `axis`; of a list, tuple or range, the largest of its elements; of two values, \
          `maximum`. Ties share the gradient equally. `max([1.0, 3.0])` is 3.0; `max(a, b)`.",
    sig: Sig { params: EXTREME },
    infer: |args| infer_extreme("max", "maximum", args),
    run: |vm, args| extreme(vm, "max", "maximum", args),
};

static MIN: Builtin = Builtin {
    name: "min",
    doc: "The smallest element of a tensor, or along `axis`; of a list, tuple or range, the smallest of its elements; of two values, \
          `minimum`. Ties share the gradient equally. `min([1.0, 3.0])` is 1.0; `min(a, b)`.",
    sig: Sig { params: EXTREME },
    infer: |args| infer_extreme("min", "minimum", args),
    run: |vm, args| extreme(vm, "min", "minimum", args),
};

fn infer_extreme(name: &str, pairwise: &str, args: &[Ty]) -> Result<Ty> {
    match args {
        [_, Ty::None, ..] => infer_by(name, EXTREME, args),
        [a, b, ..] => infer_by(pairwise, &[req("a"), req("b")], &[a.clone(), b.clone()]),
        _ => Ok(Ty::Any),
    }
}

fn extreme(vm: &mut Vm, name: &str, pairwise: &str, args: &[Value]) -> Result<Value> {
    let [x, other, options @ ..] = args else { return Err(arity(name)) };
    if !matches!(other, Value::None) {
        // Said of the function that was called.
        return vm.cx.apply(primitive(pairwise)?, &[x.clone(), other.clone()]).map_err(|mut error| {
            error.0.message = error.0.message.replace(pairwise, name);
            error
        });
    }
    if is_number(x) {
        return forward(vm, name, EXTREME, args);
    }
    let mut whole = vec![x.clone()];
    whole.extend_from_slice(options);
    let items = elements(vm, name, &whole)?;
    fold(vm, primitive(pairwise)?, items)?.ok_or_else(|| empty(name))
}

static ANY: Builtin = Builtin {
    name: "any",
    doc: "True if an element of a bool tensor (along `axis`, if given) or of a list is true. `any(x > 0)`.",
    sig: Sig { params: REDUCE },
    infer: |args| infer_by("any", REDUCE, args),
    run: |vm, args| {
        if args.first().is_some_and(is_number) {
            return forward(vm, "any", REDUCE, args);
        }
        let items = elements(vm, "any", args)?;
        Ok(Value::Bool(bools("any", &items)?.contains(&true)))
    },
};

static ALL: Builtin = Builtin {
    name: "all",
    doc: "True if every element of a bool tensor (along `axis`, if given) or of a list is true. `all(x > 0)`.",
    sig: Sig { params: REDUCE },
    infer: |args| infer_by("all", REDUCE, args),
    run: |vm, args| {
        if args.first().is_some_and(is_number) {
            return forward(vm, "all", REDUCE, args);
        }
        let items = elements(vm, "all", args)?;
        Ok(Value::Bool(!bools("all", &items)?.contains(&false)))
    },
};

fn bools(name: &str, items: &[Value]) -> Result<Vec<bool>> {
    let each = items.iter().map(|item| match item {
        Value::Bool(b) => Ok(*b),
        other => Err(wrong_kind(name, 0, "bools", other)),
    });
    each.collect()
}

const PARTS: &[Param] = &[req("x"), opt("parts", Default::None), opt("axis", Default::Int(0))];

static SPLIT: Builtin = Builtin {
    name: "split",
    doc: "The parts of a str between the separators, as a list; without a separator, the words between white space: \
          `\"a,b\".split(\",\")` is `list(\"a\", \"b\")`. Of a tensor, `parts` equal parts (or parts of the given sizes) along `axis`.",
    sig: Sig { params: PARTS },
    infer: |args| match args {
        [Ty::Str(_), ..] => infer::list_of_str(args),
        [x @ Ty::Tensor(_), parts, axis, ..] => join::infer_split(x, parts, axis),
        [x @ Ty::Tensor(_), ..] => join::infer_split(x, &Ty::Any, &Ty::Any),
        _ => Ok(Ty::Any),
    },
    run: |vm, args| match &*args {
        [Value::Str(s), Value::None, _] => Ok(text::words(s)),
        [Value::Str(s), Value::Str(sep), _] => text::split_text(s, sep),
        [Value::Str(_), other, _] => Err(wrong_kind("split", 1, "a str", other)),
        [x, Value::None, _] if is_number(x) => {
            Err(Error::new(fail::BAD_ARGUMENT, "split of a tensor needs the number of parts")
                .help("write split(x, 3), or split(x, (2, 4)) for parts of these sizes"))
        }
        [x, parts, axis] if is_number(x) => join::split(vm, x, parts, axis),
        [other, ..] => Err(wrong_kind("split", 0, "a str or tensor", other)),
        [] => Err(arity("split")),
    },
};

static REPEAT: Builtin = Builtin {
    name: "repeat",
    doc: "Each entry of a tensor along `axis` `n` times in a row: `repeat([1, 2], 2)` is `[1, 1, 2, 2]`. A scalar becomes a vector. \
          Of a str, the text `n` times: `repeat(\"-\", 3)` is `\"---\"`.",
    sig: Sig { params: &[req("x"), req("n"), opt("axis", Default::Int(0))] },
    infer: |args| match args {
        [Ty::Str(_), Ty::Int(Num::Known(n)), ..] if *n < 0 => Err(repeats(*n)),
        [Ty::Str(_), Ty::Int(_) | Ty::Any, ..] => infer::str(args),
        [Ty::Str(_), other, ..] => Err(fail::wrong_type("repeat", 1, "an int", other)),
        _ => crate::ops::find("repeat").map_or(Ok(Ty::Any), |prim| (prim.infer)(args)),
    },
    run: |vm, args| match &*args {
        [Value::Str(text), Value::Int(n), _] => {
            let n = usize::try_from(*n).map_err(|_| repeats(*n))?;
            let mut out = String::new();
            let size =
                text.len().checked_mul(n).filter(|size| *size <= LONGEST && out.try_reserve_exact(*size).is_ok());
            if size.is_none() {
                return Err(Error::new(fail::TOO_LARGE, format!("{n} times this text is too long for a str")));
            }
            (0..n).for_each(|_| out.push_str(text));
            Ok(Value::str(out))
        }
        [Value::Str(_), other, _] => Err(wrong_kind("repeat", 1, "an int", other)),
        _ => vm.cx.apply(primitive("repeat")?, args),
    },
};

/// Bytes of a text: what is longer is a mistake.
const LONGEST: usize = 1 << 30;

/// In the words of the primitive.
fn repeats(n: i64) -> Error {
    Error::new("E0303", format!("the count of repeat is {n}: it must be 0 or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_matched_by_name() {
        assert_eq!(position(EXTREME, &opt("axis", Default::None), 1), Some(2));
        assert_eq!(position(EXTREME, &req("a"), 0), Some(0));
        assert_eq!(position(REDUCE, &opt("ddof", Default::Int(0)), 1), None);
    }

    #[test]
    fn truth_is_of_bools() {
        assert_eq!(bools("all", &[Value::Bool(true), Value::Bool(false)]).unwrap(), [true, false]);
        assert!(bools("all", &[Value::Int(1)]).is_err());
    }
}
