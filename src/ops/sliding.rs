//! What convolutions and pools ask of their arguments: settings and shapes, as values and as types.
//!
//! In: stride, padding, dilation, groups and dims, as far as they are known. Out: dims of the result, or the error that both
//! evaluation and the checker give.

use super::shape_rules;
use crate::error::{Error, Result};
use crate::tensor::create::article;
use crate::tensor::window::Slide;
use crate::tensor::{DType, Shape};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// An argument as far as it is known.
pub enum Arg {
    Int(Option<i64>),
    Items(Vec<Arg>),
    /// Something else, as messages show it.
    Other(String),
    Unknown,
}

impl From<&Value> for Arg {
    fn from(v: &Value) -> Arg {
        match v {
            Value::Int(i) => Arg::Int(Some(*i)),
            Value::Tuple(items) | Value::List(items) => Arg::Items(items.iter().map(Arg::from).collect()),
            other => Arg::Other(other.type_name()),
        }
    }
}

impl From<&Ty> for Arg {
    fn from(ty: &Ty) -> Arg {
        match ty {
            Ty::Int(known) => Arg::Int(known.known()),
            Ty::Tuple(items) => Arg::Items(items.iter().map(Arg::from).collect()),
            Ty::List(list) => match &list.items {
                Some(items) => Arg::Items(items.iter().map(Arg::from).collect()),
                None => Arg::Unknown,
            },
            Ty::Float | Ty::Bool(_) | Ty::Str(_) | Ty::None | Ty::Fn(_) | Ty::Range => {
                Arg::Other(shape_rules::show(ty))
            }
            _ => Arg::Unknown,
        }
    }
}

/// A number for rows and one for columns.
pub type Pair = [usize; 2];

/// Settings of a convolution or pool; `None` where one is not known.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub stride: Option<Pair>,
    pub padding: Option<Pair>,
    pub dilation: Option<Pair>,
    pub groups: Option<usize>,
}

/// Number `what` of `name`, at least `least`.
fn number(name: &str, what: &str, i: usize, n: i64, least: usize) -> Result<usize> {
    usize::try_from(n).ok().filter(|&n| n >= least).ok_or_else(|| {
        Error::new("E0455", format!("the {what} of {name} is {n}: it must be {least} or more"))
            .operand(i, format!("this is the {what}"))
    })
}

/// An int, or one for each of `axes` axes; argument `i`. With one axis the rows get `least`, which leaves them as they are.
pub fn pair(name: &str, what: &str, i: usize, arg: &Arg, least: usize, axes: usize) -> Result<Option<Pair>> {
    let of_axes = |n: usize| if axes == 1 { [least, n] } else { [n, n] };
    let bad = |kind: &str| {
        let tuple = if axes == 1 { "a tuple of one" } else { "a tuple of 2" };
        let kind = article(kind);
        Error::new("E0310", format!("the {what} of {name} is {kind}, not an int or {tuple}"))
            .operand(i, format!("this is {kind}"))
    };
    match arg {
        Arg::Unknown | Arg::Int(None) => Ok(None),
        Arg::Int(Some(n)) => number(name, what, i, *n, least).map(|n| Some(of_axes(n))),
        Arg::Items(items) => {
            if items.len() != axes {
                let wants = if axes == 1 { "1" } else { "2, for h and w" };
                return Err(Error::new(
                    "E0455",
                    format!("the {what} of {name} has {} numbers, not {wants}", items.len()),
                )
                .operand(i, format!("this is the {what}")));
            }
            let mut all = [least; 2];
            let mut known = true;
            for (place, item) in all.iter_mut().skip(2 - axes).zip(items) {
                match item {
                    Arg::Int(Some(n)) => *place = number(name, what, i, *n, least)?,
                    Arg::Int(None) | Arg::Unknown => known = false,
                    Arg::Items(_) => return Err(bad("tuple")),
                    Arg::Other(kind) => return Err(bad(kind)),
                }
            }
            Ok(known.then_some(all))
        }
        Arg::Other(kind) => Err(bad(kind)),
    }
}

/// Settings from stride, padding, dilation and groups, of which the stride is argument `first`.
pub fn settings(name: &str, args: &[Arg], first: usize, axes: usize) -> Result<Settings> {
    let at = |i: usize| args.get(first + i).unwrap_or(&Arg::Unknown);
    let groups = match at(3) {
        Arg::Int(None) | Arg::Unknown => None,
        Arg::Int(Some(n)) => Some(number(name, "number of groups", first + 3, *n, 1)?),
        Arg::Items(_) => return Err(Error::new("E0310", format!("the groups of {name} are a tuple, not an int"))),
        Arg::Other(kind) => {
            let message = format!("the groups of {name} are {}, not an int", article(kind));
            return Err(Error::new("E0310", message).operand(first + 3, format!("this is {}", article(kind))));
        }
    };
    Ok(Settings {
        stride: pair(name, "stride", first, at(0), 1, axes)?,
        padding: pair(name, "padding", first + 1, at(1), 0, axes)?,
        dilation: pair(name, "dilation", first + 2, at(2), 1, axes)?,
        groups,
    })
}

/// A tensor argument: how messages show it, and its dims if they are known.
pub struct Operand {
    pub kind: String,
    pub dims: Option<Dims>,
    /// `None` if it is not known.
    pub dtype: Option<DType>,
}

#[cold]
fn no_tensor(name: &str, i: usize, kind: &str) -> Error {
    let kind = article(kind);
    Error::new("E0310", format!("{name} wants tensors, not {kind}")).operand(i, format!("this is {kind}"))
}

/// Argument `i` as a value.
pub fn operand(name: &str, args: &[Value], i: usize) -> Result<Operand> {
    let v = args.get(i).unwrap_or(&Value::None);
    let kind = v.type_name();
    match v.shape() {
        Some(shape) if !shape.is_empty() => {
            Ok(Operand { kind, dims: Some(shape.iter().map(|&n| Dim::Known(n)).collect()), dtype: v.dtype() })
        }
        _ => Err(no_tensor(name, i, &kind)),
    }
}

/// Argument `i` as a type; `None` if nothing is known of it.
pub fn operand_type(name: &str, args: &[Ty], i: usize) -> Result<Option<Operand>> {
    match args.get(i) {
        Some(ty @ Ty::Tensor(t)) => {
            Ok(Some(Operand { kind: shape_rules::show(ty), dims: t.dims.clone(), dtype: t.dtype }))
        }
        None | Some(Ty::Any | Ty::Never) => Ok(None),
        Some(Ty::Tuple(_)) => Err(no_tensor(name, i, "tuple")),
        Some(Ty::List(_)) => Err(no_tensor(name, i, "list")),
        Some(Ty::Dict(_)) => Err(no_tensor(name, i, "dict")),
        Some(Ty::Struct(_)) => Ok(None),
        Some(other) => Err(no_tensor(name, i, &shape_rules::show(other))),
    }
}

/// dtype of the result: the wider float; `None` if that depends on what is not known (ints give the default dtype).
pub fn float_dtype(a: Option<DType>, b: Option<DType>) -> Option<DType> {
    match (a, b) {
        (Some(DType::F64), _) | (_, Some(DType::F64)) => Some(DType::F64),
        (Some(a), Some(b)) => Some(a.max(b)).filter(|d| d.is_float()),
        _ => None,
    }
}

/// Dims of an operand that must have one for each of `labels`.
fn ranked(name: &str, i: usize, labels: &str, of: &Operand) -> Result<Option<Dims>> {
    let Some(dims) = &of.dims else { return Ok(None) };
    let want = labels.split(',').count();
    if dims.len() == want {
        return Ok(Some(dims.clone()));
    }
    let error = Error::new("E0303", format!("{name} wants {labels}, not {}", of.kind))
        .operand(i, format!("this is {}", of.kind));
    let x = labels.get(..1).unwrap_or("x");
    Err(match want.checked_sub(dims.len()) {
        Some(1) if i == 0 => {
            error.help(format!("add a batch axis with {x}[none], or an axis of one channel with {x}[:, none]"))
        }
        Some(missing) if missing > 0 => error.help(format!("add axes with {x}[{}]", vec!["none"; missing].join(", "))),
        _ => error.help("fold axes into one with reshape"),
    })
}

fn known(dim: Option<&Dim>) -> Option<usize> {
    if let Some(Dim::Known(n)) = dim { Some(*n) } else { None }
}

fn dim(n: Option<usize>) -> Dim {
    n.map_or(Dim::Unknown, Dim::Known)
}

/// Names of the axes of a plane, of which there may be one.
fn plane_axis(axes: usize, i: usize) -> &'static str {
    match (axes, i) {
        (1, _) => "l",
        (_, 0) => "h",
        _ => "w",
    }
}

/// How many windows of `size` fit along an axis of `len`; unknown where something is.
#[allow(clippy::too_many_arguments)]
fn fitting(
    name: &str,
    what: &str,
    axis: &str,
    len: Dim,
    size: Option<usize>,
    (stride, padding, dilation): (Option<usize>, Option<usize>, Option<usize>),
    kinds: (&str, Option<&str>),
) -> Result<Dim> {
    let marked = |error: Error| {
        let error = error.operand(0, format!("this is {}", kinds.0));
        if let Some(kind) = kinds.1 { error.operand(1, format!("this is {kind}")) } else { error }
    };
    if size == Some(0) {
        return Err(marked(Error::new("E0303", format!("the {what} of {name} has the length 0 along {axis}"))));
    }
    if let (Dim::Sym(_), Some(size), Some(stride), Some(padding), Some(dilation)) =
        (len, size, stride, padding, dilation)
    {
        return Ok(fitting_in(len, size, (stride, padding, dilation)));
    }
    let (Some(len), Some(size), Some(padding), Some(dilation)) = (known(Some(&len)), size, padding, dilation) else {
        return Ok(Dim::Unknown);
    };
    if let Some(count) = Slide::windows(len, size, stride.unwrap_or(1), padding, dilation) {
        return Ok(if stride.is_some() { Dim::Known(count) } else { Dim::Unknown });
    }
    let reach = (size - 1).saturating_mul(dilation).saturating_add(1);
    let spread = if dilation > 1 { format!(" with a dilation of {dilation}") } else { String::new() };
    let margin =
        if padding > 0 { format!(", {} with its padding", len.saturating_add(2 * padding)) } else { String::new() };
    let message = format!(
        "the {what} of {name} is larger than its input: it reaches over {reach} along {axis}{spread}, the input has {len}{margin}"
    );
    let lacks = reach.saturating_sub(len).div_ceil(2);
    Err(marked(Error::new("E0303", message)).help(format!("a padding of {lacks} would do")))
}

/// How many windows fit along an axis of a length that is an expression: `(n + 2 padding - reach)//stride + 1`.
fn fitting_in(len: Dim, size: usize, (stride, padding, dilation): (usize, usize, usize)) -> Dim {
    let int = |n: usize| Num::from(i64::try_from(n).ok());
    let reach = size.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
    let Ok(step) = i64::try_from(stride) else { return Dim::Unknown };
    // There is at least one window: none at all is an error.
    len.map(|n| (n + int(2 * padding) - int(reach)).positive().floor_div(step) + Num::Known(1))
}

/// Dims of a convolution `x[batch, in, ...]`, `w[out, in/groups, ...]` with `axes` axes of a plane.
pub fn convolution(name: &str, x: &Operand, w: &Operand, s: &Settings, axes: usize) -> Result<Option<Dims>> {
    let labels = if axes == 1 {
        ["x[batch, in, l]", "w[out, in/groups, k]"]
    } else {
        ["x[batch, in, h, w]", "w[out, in/groups, kh, kw]"]
    };
    let (x_dims, w_dims) = (ranked(name, 0, labels[0], x)?, ranked(name, 1, labels[1], w)?);
    let (x_dims, w_dims) = (x_dims.as_deref(), w_dims.as_deref());
    let at = |dims: Option<&[Dim]>, i: usize| known(dims.and_then(|d| d.get(i)));
    let marked =
        |error: Error| error.operand(0, format!("this is {}", x.kind)).operand(1, format!("this is {}", w.kind));
    if let (Some(channels), Some(takes), Some(groups)) = (at(x_dims, 1), at(w_dims, 1), s.groups)
        && takes.checked_mul(groups) != Some(channels)
    {
        if channels % groups != 0 {
            let message = format!(
                "{name} with groups {groups}: the {channels} channels of x, {}, do not divide into {groups}",
                x.kind
            );
            return Err(marked(Error::new("E0303", message)));
        }
        let of = if groups == 1 {
            String::new()
        } else {
            format!(" in each of {groups} groups, {} in all", takes.saturating_mul(groups))
        };
        let message = format!("{name}: x, {}, has {channels} channels, but w, {}, takes {takes}{of}", x.kind, w.kind);
        let error = marked(Error::new("E0303", message));
        return Err(error.help(format!(
            "w is {}, x is {}",
            labels[1].trim_start_matches('w'),
            labels[0].trim_start_matches('x')
        )));
    }
    if let (Some(outputs), Some(groups)) = (at(w_dims, 0), s.groups)
        && outputs % groups != 0
    {
        let message =
            format!("{name} with groups {groups}: the {outputs} outputs of w, {}, do not divide into {groups}", w.kind);
        return Err(marked(Error::new("E0303", message)));
    }
    let mut out = Dims::new();
    out.push(x_dims.and_then(|d| d.first()).copied().unwrap_or(Dim::Unknown));
    out.push(w_dims.and_then(|d| d.first()).copied().unwrap_or(Dim::Unknown));
    for i in 0..axes {
        let side = i + 2 - axes;
        let of = (s.stride.map(|p| p[side]), s.padding.map(|p| p[side]), s.dilation.map(|p| p[side]));
        let kinds = (x.kind.as_str(), Some(w.kind.as_str()));
        let len = x_dims.and_then(|d| d.get(i + 2)).copied().unwrap_or(Dim::Unknown);
        out.push(fitting(name, "kernel", plane_axis(axes, i), len, at(w_dims, i + 2), of, kinds)?);
    }
    Ok(Some(out))
}

/// Dims of `conv_transpose2d`: `x[batch, in, h, w]`, `w[in, out/groups, kh, kw]`.
pub fn transposed(name: &str, x: &Operand, w: &Operand, s: &Settings, more: Option<Pair>) -> Result<Option<Dims>> {
    let x_dims = ranked(name, 0, "x[batch, in, h, w]", x)?;
    let w_dims = ranked(name, 1, "w[in, out/groups, kh, kw]", w)?;
    let (x_dims, w_dims) = (x_dims.as_deref(), w_dims.as_deref());
    let at = |dims: Option<&[Dim]>, i: usize| known(dims.and_then(|d| d.get(i)));
    let marked =
        |error: Error| error.operand(0, format!("this is {}", x.kind)).operand(1, format!("this is {}", w.kind));
    if let (Some(channels), Some(takes)) = (at(x_dims, 1), at(w_dims, 0))
        && channels != takes
    {
        let message = format!("{name}: x, {}, has {channels} channels, but w, {}, takes {takes}", x.kind, w.kind);
        return Err(
            marked(Error::new("E0303", message)).help("the weights are w[in, out/groups, kh, kw]: inputs come first")
        );
    }
    if let (Some(channels), Some(groups)) = (at(x_dims, 1).or(at(w_dims, 0)), s.groups)
        && channels % groups != 0
    {
        let message = format!(
            "{name} with groups {groups}: the {channels} channels of x, {}, do not divide into {groups}",
            x.kind
        );
        return Err(marked(Error::new("E0303", message)));
    }
    let mut out = Dims::new();
    out.push(x_dims.and_then(|d| d.first()).copied().unwrap_or(Dim::Unknown));
    out.push(dim(at(w_dims, 1).zip(s.groups).and_then(|(n, g)| n.checked_mul(g))));
    for side in 0..2 {
        let axis = plane_axis(2, side);
        let (len, size) = (at(x_dims, side + 2), at(w_dims, side + 2));
        if size == Some(0) || len == Some(0) {
            let what = if size == Some(0) { "kernel" } else { "input" };
            return Err(marked(Error::new("E0303", format!("the {what} of {name} has the length 0 along {axis}"))));
        }
        if let (Some(stride), Some(more)) = (s.stride, more)
            && more[side] >= stride[side]
        {
            let (more, stride) = (more[side], stride[side]);
            let message =
                format!("the output_padding of {name} along {axis}, {more}, must be less than the stride, {stride}");
            return Err(Error::new("E0455", message).operand(6, "this is the output_padding"));
        }
        let (Some(len), Some(size), Some(stride), Some(padding), Some(dilation), Some(more)) =
            (len, size, s.stride, s.padding, s.dilation, more)
        else {
            out.push(Dim::Unknown);
            continue;
        };
        let full = (len - 1)
            .saturating_mul(stride[side])
            .saturating_add((size - 1).saturating_mul(dilation[side]))
            .saturating_add(1 + more[side]);
        match full.checked_sub(padding[side].saturating_mul(2)).filter(|&n| n > 0) {
            Some(n) => out.push(Dim::Known(n)),
            None => {
                let message = format!(
                    "{name} leaves nothing along {axis}: the padding of {} cuts all of {full} off",
                    padding[side]
                );
                return Err(marked(Error::new("E0303", message)));
            }
        }
    }
    Ok(Some(out))
}

/// Window and step of a pool; the stride is the size if it is `none`.
pub struct Pool {
    pub size: Option<Pair>,
    pub stride: Option<Pair>,
    pub padding: Option<Pair>,
}

/// Settings of a pool: arguments 1 to 3. A stride that is not given may be `none`.
pub fn pool_settings(name: &str, args: &[Arg]) -> Result<Pool> {
    let at = |i: usize| args.get(i).unwrap_or(&Arg::Unknown);
    let size = pair(name, "size", 1, at(1), 1, 2)?;
    let stride = match at(2) {
        Arg::Other(kind) if kind == "none" => size,
        given => pair(name, "stride", 2, given, 1, 2)?,
    };
    let padding = pair(name, "padding", 3, at(3), 0, 2)?;
    if let (Some(size), Some(padding)) = (size, padding)
        && let Some(side) = (0..2).find(|&i| padding[i] > size[i] / 2)
    {
        let (size, padding) = (size[side], padding[side]);
        let message = format!("the padding of {name}, {padding}, is more than half of its size, {size}");
        return Err(Error::new("E0455", message)
            .operand(3, "this is the padding")
            .help("windows would hold nothing but margin; make a wider margin with pad"));
    }
    Ok(Pool { size, stride, padding })
}

/// Dims of a pool over `x[batch, channels, h, w]`.
pub fn pooled(name: &str, x: &Operand, p: &Pool) -> Result<Option<Dims>> {
    let Some(dims) = ranked(name, 0, "x[batch, channels, h, w]", x)? else { return Ok(None) };
    let mut out = Dims::from_slice(dims.get(..2).unwrap_or(&[]));
    for side in 0..2 {
        let len = dims.get(side + 2).copied().unwrap_or(Dim::Unknown);
        if len == Dim::Known(0) {
            let message = format!("{name} of {}: there is nothing along {}", x.kind, plane_axis(2, side));
            return Err(Error::new("E0303", message).operand(0, format!("this is {}", x.kind)));
        }
        let of = (p.stride.map(|p| p[side]), p.padding.map(|p| p[side]), Some(1));
        let size = p.size.map(|p| p[side]);
        out.push(fitting(name, "window", plane_axis(2, side), len, size, of, (x.kind.as_str(), None))?);
    }
    Ok(Some(out))
}

/// Dims that are all known, as evaluation has them.
pub fn shape(dims: Option<Dims>) -> Shape {
    dims.iter().flatten().map(|d| known(Some(d)).unwrap_or(0)).collect()
}

/// All arguments as far as they are known.
pub fn known_args<'a, T>(args: &'a [T]) -> Vec<Arg>
where
    Arg: From<&'a T>,
{
    args.iter().map(Arg::from).collect()
}
