//! `_expect_gradient`: what an optimizer is given must be the gradient of the parameters that it moves.
//!
//! In: parameters, gradient and what the optimizer remembers of gradients, as values or as types. Out: nothing, or the error that both
//! the run and the checker give. Without it a loss in place of a gradient, the gradient of another model, or an optimizer made for
//! something else would broadcast and train something else.

use crate::builtins::fail::{self, arity, with_article};
use crate::builtins::{Builtin, infer};
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::types::show::show_a;
use crate::types::ty::{Dim, Ty};
use crate::value::{Dict, Key, Value};

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&EXPECT_GRADIENT];

static EXPECT_GRADIENT: Builtin = Builtin {
    name: "_expect_gradient",
    doc: "Stops with an error unless `g`, and the `memory` of earlier gradients, have the structure and shapes of `params`, with `none` for \
          what has no derivative.",
    sig: Sig { params: &[req("params"), req("g"), opt("memory", Default::None)] },
    infer: |args| match args {
        [params, g, memory] => {
            if let Some(unlike) = unlike_types(params, memory, &mut vec![]) {
                return Err(unlike.of_optimizer());
            }
            match unlike_types(params, g, &mut vec![]) {
                Some(unlike) => Err(unlike.error()),
                None => infer::none(args),
            }
        }
        _ => infer::none(args),
    },
    run: |_, args| match &*args {
        [params, g, memory] => {
            if let Some(unlike) = unlike_values(params, memory, &mut vec![])? {
                return Err(unlike.of_optimizer());
            }
            match unlike_values(params, g, &mut vec![])? {
                Some(unlike) => Err(unlike.error()),
                None => Ok(Value::None),
            }
        }
        _ => Err(arity("_expect_gradient")),
    },
};

/// Two parts that do not fit.
struct Unlike {
    /// Fields and positions that lead there.
    path: Vec<String>,
    param: String,
    gradient: String,
    /// A single number where a structure is due.
    is_number: bool,
    /// Of two dicts: a key that only the parameters have, and one that only the gradient has.
    keys: (Option<String>, Option<String>),
}

impl Unlike {
    #[cold]
    fn error(self) -> Error {
        let Unlike { path, param, gradient, is_number, keys } = self;
        let of = if path.is_empty() { String::new() } else { format!(" of `{}`", path.join(".")) };
        let message = match path.as_slice() {
            _ if keys.0.is_some() => {
                let key = keys.0.unwrap_or_default();
                format!("the gradient{of} has no entry {key}, which the parameters have")
            }
            _ if keys.1.is_some() => {
                let key = keys.1.unwrap_or_default();
                format!("the gradient{of} has an entry {key}, which the parameters do not have")
            }
            [] => format!("this gradient is {gradient}, but the parameters are {param}"),
            path => format!("the gradient of `{}` is {gradient}, but the parameter is {param}", path.join(".")),
        };
        Error::new("E0439", message).help(match is_number && path.is_empty() {
            true => "value_and_grad gives the value first: let (l, g) = value_and_grad(f)(model)",
            false => "take the gradient with respect to the very model that is updated: value_and_grad(f)(model), then opt.update(&model, g)",
        })
    }
}

impl Unlike {
    /// The same of an optimizer: it was made for what `gradient` is.
    #[cold]
    fn of_optimizer(self) -> Error {
        let Unlike { path, param, gradient, keys, .. } = self;
        let message = match path.as_slice() {
            _ if keys != (None, None) => {
                let other = keys.0.or(keys.1).unwrap_or_default();
                format!("this optimizer was made for a dict with other entries: only one of the two has {other}")
            }
            [] => format!("this optimizer was made for {gradient}, but updates {param}"),
            path => {
                format!("this optimizer was made for {gradient} in `{}`, but updates {param} there", path.join("."))
            }
        };
        Error::new("E0439", message)
            .help("give it the very parameters that it will update, and the rate by name: optim.adam(model, lr: 0.1)")
    }
}

fn unlike_types(params: &Ty, g: &Ty, path: &mut Vec<String>) -> Option<Unlike> {
    let found = |path: &Vec<String>| {
        let is_number = matches!(g, Ty::Float | Ty::Int(_)) && params.is_structure();
        let keys = match (params, g) {
            (Ty::Dict(a), Ty::Dict(b)) => {
                let names = |d: &crate::types::ty::DictTy| -> Vec<String> {
                    d.items.iter().flatten().map(|(key, _)| format!("{:?}", &**key)).collect()
                };
                odd_keys(&names(a), &names(b))
            }
            _ => (None, None),
        };
        Some(Unlike { path: path.clone(), param: show_a(params), gradient: show_a(g), is_number, keys })
    };
    if path.len() > 16 {
        return None;
    }
    match (params, g) {
        (Ty::Any | Ty::Never, _) | (_, Ty::Any | Ty::Never | Ty::None) => None,
        (Ty::Struct(a), Ty::Struct(b)) if a.info.at == b.info.at => {
            let fields = a.info.fields.iter().zip(a.fields.iter().zip(&b.fields));
            unlike_parts(fields.filter(|(f, _)| !f.nograd).map(|(f, (x, y))| (f.name.to_string(), x, y)), path)
        }
        (Ty::Tuple(a), Ty::Tuple(b)) if a.len() == b.len() => {
            unlike_parts(a.iter().zip(b.iter()).enumerate().map(|(i, (x, y))| (i.to_string(), x, y)), path)
        }
        (Ty::List(a), Ty::List(b)) => match (&a.items, &b.items) {
            (Some(a), Some(b)) if a.len() == b.len() => {
                unlike_parts(a.iter().zip(b).enumerate().map(|(i, (x, y))| (i.to_string(), x, y)), path)
            }
            (Some(_), Some(_)) => found(path),
            _ => None,
        },
        (Ty::Dict(a), Ty::Dict(b)) => match (&a.items, &b.items) {
            (Some(a), Some(b)) if a.iter().map(|e| &e.0).eq(b.iter().map(|e| &e.0)) => {
                unlike_parts(a.iter().zip(b).map(|((key, x), (_, y))| (key.to_string(), x, y)), path)
            }
            (Some(a), Some(b)) if a.len() != b.len() || a.iter().any(|(key, _)| b.iter().all(|(k, _)| k != key)) => {
                found(path)
            }
            _ => None,
        },
        (Ty::Float | Ty::Tensor(_), Ty::Float | Ty::Int(_) | Ty::Tensor(_)) => match (params.dims(), g.dims()) {
            (Some(a), Some(b)) => {
                let differ = |(a, b): (&Dim, &Dim)| matches!((a, b), (Dim::Known(a), Dim::Known(b)) if a != b);
                if a.len() != b.len() || a.iter().zip(&b).any(differ) { found(path) } else { None }
            }
            _ => None,
        },
        // What has no derivative takes whatever stands for that.
        (Ty::Struct(_) | Ty::Tuple(_) | Ty::List(_) | Ty::Dict(_) | Ty::Float | Ty::Tensor(_), _) => {
            let comparable =
                matches!(g, Ty::Struct(_) | Ty::Tuple(_) | Ty::List(_) | Ty::Dict(_) | Ty::Float | Ty::Int(_))
                    || matches!(g, Ty::Tensor(t) if t.dims.as_ref().is_some_and(|d| !d.is_empty()));
            let rank_unknown = matches!(params, Ty::Tensor(t) if t.dims.is_none()) && !g.is_structure();
            if comparable && !rank_unknown { found(path) } else { None }
        }
        _ => None,
    }
}

fn unlike_parts<'a>(parts: impl Iterator<Item = (String, &'a Ty, &'a Ty)>, path: &mut Vec<String>) -> Option<Unlike> {
    for (step, a, b) in parts {
        path.push(step);
        let unlike = unlike_types(a, b, path);
        path.pop();
        if unlike.is_some() {
            return unlike;
        }
    }
    None
}

/// The first key that only `a` has, and the first that only `b` has.
fn odd_keys(a: &[String], b: &[String]) -> (Option<String>, Option<String>) {
    let only = |x: &[String], y: &[String]| x.iter().find(|key| !y.contains(key)).cloned();
    (only(a, b), only(b, a))
}

fn step(key: &Key) -> String {
    match key {
        Key::Str(text) => text.to_string(),
        Key::Int(n) => n.to_string(),
    }
}

fn unlike_values(params: &Value, g: &Value, path: &mut Vec<String>) -> Result<Option<Unlike>> {
    if path.len() > fail::MAX_DEPTH {
        return Err(fail::too_deep());
    }
    let kind = |v: &Value| match v {
        Value::Tuple(items) => format!("a tuple of {}", items.len()),
        other => with_article(&other.type_name()),
    };
    let found = |path: &Vec<String>| {
        let is_number = matches!(g, Value::Float(..) | Value::Int(_));
        let keys = match (params, g) {
            (Value::Dict(a), Value::Dict(b)) => {
                let names = |d: &Dict| d.keys().map(crate::show::key).collect::<Vec<String>>();
                odd_keys(&names(a), &names(b))
            }
            _ => (None, None),
        };
        Ok(Some(Unlike { path: path.clone(), param: kind(params), gradient: kind(g), is_number, keys }))
    };
    let mut parts: Vec<(String, &Value, &Value)> = vec![];
    match (params, g) {
        (_, Value::None) => return Ok(None),
        (Value::Struct(a), Value::Struct(b)) if std::rc::Rc::ptr_eq(&a.def, &b.def) => {
            let fields = a.def.fields.iter().zip(a.fields.iter().zip(&b.fields));
            parts.extend(fields.filter(|(f, _)| !f.nograd).map(|(f, (x, y))| (f.name.name().to_string(), x, y)));
        }
        (Value::Tuple(a), Value::Tuple(b)) if a.len() == b.len() => {
            parts.extend(a.iter().zip(b.iter()).enumerate().map(|(i, (x, y))| (i.to_string(), x, y)));
        }
        (Value::List(a), Value::List(b)) if a.len() == b.len() => {
            parts.extend(a.iter().zip(b.iter()).enumerate().map(|(i, (x, y))| (i.to_string(), x, y)));
        }
        (Value::Dict(a), Value::Dict(b)) if a.len() == b.len() && a.keys().all(|k| b.contains_key(k)) => {
            parts.extend(a.iter().filter_map(|(k, x)| Some((step(k), x, b.get(k)?))));
        }
        _ if params.is_differentiable() && g.shape().is_some() => {
            return if params.shape() == g.shape() { Ok(None) } else { found(path) };
        }
        (Value::Struct(_) | Value::Tuple(_) | Value::List(_) | Value::Dict(_), _) => return found(path),
        _ if params.is_differentiable() => return found(path),
        _ => return Ok(None),
    }
    for (step, a, b) in parts {
        path.push(step);
        let unlike = unlike_values(a, b, path)?;
        path.pop();
        if unlike.is_some() {
            return Ok(unlike);
        }
    }
    Ok(None)
}
