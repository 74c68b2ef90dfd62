//! How arguments meet parameters when that was not clear before running.

use smallvec::{SmallVec, smallvec};

use crate::builtins::iterate::default_value;
use crate::bytecode::chunk::{CallSite, Chunk};
use crate::diagnostic::did_you_mean;
use crate::error::{Error, Result};
use crate::ops::prim::{Param, ParamKind, Sig};
use crate::symbol::Symbol;
use crate::value::Value;

/// Bit `i`: parameter `i` was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Given(pub u64);

impl Given {
    /// The first `n`.
    pub fn all(n: usize) -> Given {
        Given(if n >= 64 { u64::MAX } else { (1 << n) - 1 })
    }
}

/// Puts the arguments of a call into the order of the parameters; gives what was given, and which `inout` parameters
/// have to go back to which argument.
pub fn arrange(chunk: &Chunk, window: &mut [Value], site: &CallSite) -> Result<(Given, Vec<(usize, usize)>)> {
    let count = site.count as usize;
    let positional = count - site.names.len();
    let params = &chunk.params;
    if positional > params.len() {
        return Err(too_many(&chunk.name, params.len(), positional).operand(params.len(), "one too many"));
    }
    let mut place: Vec<usize> = (0..positional).collect();
    for (i, name) in site.names.iter().enumerate() {
        let Some(at) = params.iter().position(|p| p.name == *name) else {
            let names: Vec<_> = params.iter().map(|p| p.name.name()).collect();
            return Err(unknown_name(&chunk.name, *name, names.iter().map(|n| &**n)).operand(positional + i, "here"));
        };
        if place.contains(&at) {
            return Err(twice(&chunk.name, *name).operand(positional + i, "given again"));
        }
        place.push(at);
    }
    let mut given = 0u64;
    let mut inout = 0u64;
    for (arg, &at) in place.iter().enumerate() {
        given |= 1 << at;
        inout |= (site.inout >> arg & 1) << at;
    }
    for (i, param) in params.iter().enumerate() {
        if given & (1 << i) == 0 && !param.has_default {
            return Err(missing(&chunk.name, &param.name.name()));
        }
    }
    if inout != chunk.inout {
        return Err(inout_differs(chunk, inout, &place));
    }
    let mut values: Vec<Value> = window[..count].iter_mut().map(std::mem::take).collect();
    let mut moves = vec![];
    let identity = place.iter().enumerate().all(|(i, &at)| i == at);
    for (arg, &at) in place.iter().enumerate() {
        window[at] = std::mem::take(&mut values[arg]);
        if !identity && chunk.inout & (1 << at) != 0 {
            moves.push((at, arg));
        }
    }
    Ok((Given(given), moves))
}

fn inout_differs(chunk: &Chunk, inout: u64, place: &[usize]) -> Error {
    let differs = (inout ^ chunk.inout).trailing_zeros() as usize;
    let name = chunk.params.get(differs).map_or_else(|| "?".into(), |p| p.name.name());
    let arg = place.iter().position(|&at| at == differs).unwrap_or(0);
    if chunk.inout & (1 << differs) == 0 {
        return Error::new("E0326", format!("`{}` does not change its parameter `{name}`", chunk.name))
            .operand(arg, "passed with &")
            .help("leave out the &");
    }
    if &*name == "self" {
        return Error::new("E0327", format!("`{}` changes its receiver, which must be a variable", chunk.name))
            .operand(0, "this is not a var")
            .help("bind it with var, and call the method on the variable");
    }
    Error::new("E0326", format!("`{}` changes its parameter `{name}`: pass a variable with &", chunk.name))
        .operand(arg, "passed without &")
        .help(format!("write &{name} (a var)"))
}

/// A function with `inout` parameters that is called by `map`, `grad` and the like: they hand over values.
#[cold]
pub fn changes_what_is_handed(chunk: &Chunk) -> Error {
    let names: Vec<_> = chunk.params.iter().map(|p| p.name.name()).collect();
    let is_changed = |i: usize| i < 64 && chunk.inout >> i & 1 != 0;
    let changed: Vec<_> = (0..names.len()).filter(|i| is_changed(*i)).map(|i| names[i].clone()).collect();
    let copies: Vec<String> = changed.iter().map(|name| format!("var {name} = {name}\n")).collect();
    let args: Vec<String> =
        names.iter().enumerate().map(|(i, n)| if is_changed(i) { format!("&{n}") } else { n.to_string() }).collect();
    let shown = changed.first().map_or_else(|| "?".into(), |name| name.to_string());
    Error::new(
        "E0326",
        format!("`{}` changes its parameter `{shown}`, and what calls it here has no variable for it", chunk.name),
    )
    .help(format!(
        "hand over a function that changes a copy:\n|{}| {{\n    {}    {}({})\n}}",
        names.join(", "),
        copies.join("    "),
        chunk.name,
        args.join(", ")
    ))
}

/// Arguments of a host function in the order of its signature, and where each came from.
type Bound = (SmallVec<[Value; 8]>, SmallVec<[usize; 8]>);

/// Whether a call gives every parameter by its place, so that there is nothing to bind.
pub fn is_whole(sig: Sig, site: &CallSite) -> bool {
    let by_place = |p: &Param| matches!(p.kind, ParamKind::Required | ParamKind::Optional(_));
    sig.params.len() == site.count as usize
        && site.names.is_empty()
        && site.inout == 0
        && sig.params.iter().all(by_place)
}

/// Binds arguments to a host function's signature, filling in defaults and collecting the rest.
pub fn to_signature(
    name: &str,
    sig: Sig,
    mut args: SmallVec<[Value; 8]>,
    names: &[Symbol],
    inout: u64,
) -> Result<Bound> {
    let params = sig.params;
    let positional = args.len() - names.len();
    let mut out: SmallVec<[Value; 8]> = smallvec![Value::None; params.len()];
    let mut homes: SmallVec<[usize; 8]> = smallvec![0; params.len()];
    let mut filled: u64 = 0;
    let mut next = 0;
    let mut collected = vec![];
    for (i, arg) in args[..positional].iter_mut().enumerate() {
        let arg = std::mem::take(arg);
        if params.get(next).is_some_and(|p| matches!(p.kind, ParamKind::Rest | ParamKind::Variadic)) {
            collected.push(arg);
            continue;
        }
        if next >= params.len() {
            return Err(too_many(name, params.len(), positional).operand(i, "one too many"));
        }
        out[next] = arg;
        homes[next] = i;
        filled |= 1 << next;
        next += 1;
    }
    for (i, symbol) in names.iter().enumerate() {
        let text = symbol.name();
        let Some(at) = params.iter().position(|p| p.name == &*text) else {
            return Err(unknown_name(name, *symbol, params.iter().map(|p| p.name)).operand(positional + i, "here"));
        };
        if filled & (1 << at) != 0 {
            return Err(twice(name, *symbol).operand(positional + i, "given again"));
        }
        out[at] = std::mem::take(&mut args[positional + i]);
        homes[at] = positional + i;
        filled |= 1 << at;
    }
    for (i, param) in params.iter().enumerate() {
        if filled & (1 << i) != 0 {
            if (param.kind == ParamKind::Inout) != (inout >> homes[i] & 1 != 0) {
                return Err(host_inout(name, param.name, param.kind == ParamKind::Inout, homes[i]));
            }
            continue;
        }
        out[i] = match param.kind {
            ParamKind::Optional(default) => default_value(default),
            ParamKind::Rest => match (collected.len(), collected.first()) {
                (1, Some(whole @ (Value::Tuple(_) | Value::List(_)))) => whole.clone(),
                _ => Value::tuple(std::mem::take(&mut collected)),
            },
            ParamKind::Variadic => Value::tuple(std::mem::take(&mut collected)),
            ParamKind::Required | ParamKind::Inout => return Err(missing(name, param.name)),
        };
    }
    Ok((out, homes))
}

fn host_inout(function: &str, param: &str, wants: bool, arg: usize) -> Error {
    if wants {
        Error::new("E0327", format!("`{function}` changes its argument, which must be a variable"))
            .operand(arg, "this is not a var that may change")
            .help(format!("bind it with var, then write x.{function}(...) or {function}(&x, ...)"))
    } else {
        Error::new("E0326", format!("`{function}` does not change its parameter `{param}`"))
            .operand(arg, "passed with &")
            .help("leave out the &")
    }
}

fn too_many(function: &str, params: usize, given: usize) -> Error {
    let plural = if params == 1 { "" } else { "s" };
    let error = Error::new("E0320", format!("{} takes {params} argument{plural}, not {given}", shown(function)));
    if (function, given) == ("round", 2) { error.help(crate::resolve::hints::ROUND_DIGITS) } else { error }
}

pub(crate) fn missing(function: &str, param: &str) -> Error {
    Error::new("E0320", format!("{} misses its argument `{param}`", shown(function)))
}

pub(crate) fn twice(function: &str, name: Symbol) -> Error {
    Error::new("E0322", format!("{} gets `{name}` twice", shown(function)))
}

pub(crate) fn unknown_name<'a>(function: &str, name: Symbol, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    // Structs are capitalized, and built by their fields.
    let of_struct = function.starts_with(char::is_uppercase) && !function.contains('.');
    let (code, kind) = if of_struct { ("E0323", "field") } else { ("E0321", "parameter") };
    let error = Error::new(code, format!("{} has no {kind} `{name}`", shown(function)));
    let text = name.name();
    let near = crate::resolve::hints::for_parameter(&text, known.iter().copied());
    match near.or_else(|| did_you_mean(&text, known.iter().copied())) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => error.help("it takes no arguments"),
        None => error.help(format!("its {kind}s: {}", known.join(", "))),
    }
}

/// A function in backquotes, or in words if it has no name.
fn shown(function: &str) -> String {
    if function == "<lambda>" { "this function".into() } else { format!("`{function}`") }
}
