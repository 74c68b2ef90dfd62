//! Margins around a tensor: `pad` with a constant, with the border (`edge`), or mirrored at it (`reflect`).

use super::index::{GET_INDEX, INDEX_ADD, SET_INDEX, part_index, slice, spec};
use super::operand::{ranked, ranked_operand};
use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::create::{article, scalar_f64};
use crate::tensor::{DType, Shape, Tensor, flat, index as kernel, room};
use crate::types::size::Num;
use crate::types::ty::{Dim, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&PAD];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Edge,
    Reflect,
}

fn mode(v: Option<&Value>) -> Result<Mode> {
    let known = |s: &str| match s {
        "constant" => Some(Mode::Constant),
        "edge" => Some(Mode::Edge),
        "reflect" => Some(Mode::Reflect),
        _ => None,
    };
    match v {
        None => Ok(Mode::Constant),
        Some(Value::Str(s)) => known(s).ok_or_else(|| {
            Error::new("E0455", format!("pad has no mode \"{s}\""))
                .help("the modes are \"constant\", \"edge\" and \"reflect\"")
        }),
        Some(other) => {
            Err(Error::new("E0310", format!("the mode of pad is {}, not a str", article(&other.type_name()))))
        }
    }
}

fn bad_width(v: &Value) -> Error {
    Error::new("E0310", format!("the width of pad is {}", article(&v.type_name())))
        .operand(1, "the width")
        .help("a width is an int, (before, after), or one (before, after) for each axis: ((1, 1), (0, 2))")
}

/// A width: not negative.
fn width(v: &Value) -> Result<usize> {
    match v {
        Value::Int(n) => usize::try_from(*n).map_err(|_| {
            Error::new("E0303", format!("a width of pad is {n}: it must be 0 or more"))
                .help("cut with a slice: x[1:-1]")
        }),
        other => Err(bad_width(other)),
    }
}

/// Before and after for each axis.
pub(super) fn widths(v: Option<&Value>, rank: usize) -> Result<Vec<(usize, usize)>> {
    let v = v.unwrap_or(&Value::None);
    let pair = |v: &Value| match v {
        Value::Tuple(p) | Value::List(p) => match &p[..] {
            [a, b] => Ok((width(a)?, width(b)?)),
            _ => Err(bad_width(v)),
        },
        one => width(one).map(|w| (w, w)),
    };
    match v {
        Value::Tuple(items) | Value::List(items) if !items.iter().all(|i| matches!(i, Value::Int(_))) => {
            if items.len() != rank {
                let message = format!("pad got {} widths, but the tensor has {rank} axes", items.len());
                return Err(Error::new("E0305", message).help("give one (before, after) for each axis"));
            }
            items.iter().map(pair).collect()
        }
        Value::Int(_) | Value::Tuple(_) | Value::List(_) => Ok(vec![pair(v)?; rank]),
        other => Err(bad_width(other)),
    }
}

/// The index of the inner part.
fn inner(shape: &[usize], widths: &[(usize, usize)]) -> Value {
    Value::tuple(shape.iter().zip(widths).map(|(&n, &(before, _))| slice(before, before + n)).collect())
}

/// Where each place along a padded axis of length `n` comes from.
fn sources(mode: Mode, axis: usize, n: usize, (before, after): (usize, usize)) -> Result<Value> {
    let reach = if mode == Mode::Reflect { n.saturating_sub(1) } else { usize::MAX };
    if before.max(after) > reach || (n == 0 && before + after > 0) {
        let kind = if mode == Mode::Reflect { "reflect" } else { "edge" };
        let message = format!("pad with mode \"{kind}\" cannot add {} to axis {axis} of length {n}", before.max(after));
        let error = Error::new("E0303", message);
        return Err(if mode == Mode::Reflect {
            error.help("a mirrored margin is at most the length less 1")
        } else {
            error
        });
    }
    let last = n as i64 - 1;
    let place = |i: i64| match mode {
        Mode::Reflect if i < 0 => -i,
        Mode::Reflect if i > last => 2 * last - i,
        _ => i.clamp(0, last.max(0)),
    };
    let places: Vec<i64> = (-(before as i64)..n as i64 + after as i64).map(place).collect();
    Ok(Value::tensor(Tensor::from_vec(&[places.len()], places)))
}

fn pad(env: &mut Env, args: &[Value]) -> Result<Value> {
    let t = ranked(env, "pad", args, 1)?;
    let widths = widths(args.get(1), t.rank())?;
    let mode = mode(args.get(2))?;
    let shape: Shape =
        t.shape().iter().zip(&widths).map(|(n, (a, b))| n.saturating_add(*a).saturating_add(*b)).collect();
    room::check(&shape, t.dtype())?;
    if mode != Mode::Constant {
        let mut out = t.clone();
        for (axis, (&n, &width)) in t.shape().iter().zip(&widths).enumerate() {
            if width != (0, 0) {
                let index = part_index(axis, sources(mode, axis, n, width)?);
                if let Value::Tensor(_, part) = kernel::get_index(&out, &spec(&index)?)? {
                    out = (*part).clone();
                }
            }
        }
        return Ok(Value::tensor(out));
    }
    if let ([width], Some(value)) = (&widths[..], args.get(3).map_or(Some(0.0), scalar_f64)) {
        match &t {
            Tensor::F32(a) => return Ok(kernel::between(&flat(a), *width, value as f32)),
            Tensor::F64(a) => return Ok(kernel::between(&flat(a), *width, value)),
            _ => {}
        }
    }
    let mut out = std::rc::Rc::new(Tensor::zeros(&shape, t.dtype()));
    match args.get(3) {
        None => {}
        Some(value) if scalar_f64(value) == Some(0.0) => {}
        Some(value @ (Value::Int(_) | Value::Float(..) | Value::Bool(_))) => {
            kernel::set_index(&mut out, &[kernel::IndexSpec::Ellipsis], value)?;
        }
        Some(other) => {
            let kind = article(&other.type_name());
            return Err(Error::new("E0310", format!("the value of pad is {kind}, not a number")));
        }
    }
    let index = inner(t.shape(), &widths);
    kernel::set_index(&mut out, &spec(&index)?, &Value::tensor(t))?;
    Ok(Value::Tensor(crate::ad::slot::Slot::CONST, out))
}

/// How many of which number `pad` with these arguments puts before and behind a vector, if that is as it wants it and the number is a
/// constant.
pub fn margin(t: &Tensor, args: &[Value]) -> Option<((usize, usize), f64)> {
    let &[width] = &widths(args.get(1), t.rank()).ok()?[..] else { return None };
    let fill = match args.get(3) {
        None => 0.0,
        Some(value @ (Value::Int(_) | Value::Float(..) | Value::Bool(_))) if value.slot().is_const() => {
            scalar_f64(value)?
        }
        Some(_) => return None,
    };
    if mode(args.get(2)).ok()? != Mode::Constant {
        return None;
    }
    let n = t.len().saturating_add(width.0).saturating_add(width.1);
    room::check(&[n], t.dtype()).ok()?;
    Some((width, fill))
}

fn infer_pad(args: &[Ty]) -> Result<Ty> {
    let Some(x) = ranked_operand("pad", args, 1)? else { return Ok(Ty::Any) };
    let Some(dims) = x.dims else { return Ok(Ty::of(x.dtype, None)) };
    // The width as a value, if it is known as a whole.
    fn value(ty: &Ty) -> Option<Value> {
        match ty {
            Ty::Int(Num::Known(i)) => Some(Value::Int(*i)),
            Ty::Tuple(items) => items.iter().map(value).collect::<Option<Vec<_>>>().map(Value::tuple),
            _ => None,
        }
    }
    let known = match args.get(1).and_then(value) {
        Some(v) => Some(widths(Some(&v), dims.len())?),
        None => None,
    };
    let dims = dims.iter().enumerate().map(|(i, dim)| match (dim, known.as_ref().and_then(|w| w.get(i))) {
        (dim, Some((0, 0))) => *dim,
        (dim, Some((a, b))) => dim.with(Dim::Known(a.saturating_add(*b)), |n, more| n + more),
        _ => Dim::Unknown,
    });
    Ok(Ty::of(x.dtype, Some(dims.collect())))
}

fn jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let dtype = call.shapes.first().and_then(|s| s.dtype).unwrap_or(DType::F64);
    let x_dot = match tangents.first() {
        Some(Some(t)) => t.clone(),
        _ => cx.zeros(call.shape(0), dtype),
    };
    let value_dot = tangents.get(3).cloned().flatten().unwrap_or(Value::float(0.0));
    let [width, mode] = [1, 2].map(|i| call.args.get(i).cloned().unwrap_or_default());
    cx.apply(&PAD, &[x_dot, width, mode, value_dot]).map(Some)
}

fn vjp(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let shape = Shape::from_slice(call.shape(0));
    let widths = widths(call.args.get(1), shape.len())?;
    let mode = mode(call.args.get(2))?;
    if mode == Mode::Constant {
        let index = inner(&shape, &widths);
        let value_bar = if call.wants(3) {
            let margin = cx.apply(&SET_INDEX, &[y_bar.clone(), index.clone(), Value::float(0.0)])?;
            Some(cx.sum_all(&margin)?)
        } else {
            None
        };
        let x_bar = cx.apply(&GET_INDEX, &[y_bar.clone(), index])?;
        return Ok(Cotangents::from_iter([Some(x_bar), None, None, value_bar]));
    }
    // One axis after the other, backwards: copies add up where they came from.
    let dtype = call.shapes.first().and_then(|s| s.dtype).unwrap_or(DType::F64);
    let mut bar = y_bar.clone();
    for (axis, (&n, &width)) in shape.iter().zip(&widths).enumerate().rev() {
        if width == (0, 0) {
            continue;
        }
        let mut narrow = Shape::from_slice(bar.shape().unwrap_or(&[]));
        if let Some(dim) = narrow.get_mut(axis) {
            *dim = n;
        }
        let zeros = cx.zeros(&narrow, dtype);
        bar = cx.apply(&INDEX_ADD, &[zeros, part_index(axis, sources(mode, axis, n, width)?), bar])?;
    }
    Ok(Cotangents::from_iter([Some(bar), None, None, None]))
}

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -1.0, hi: 1.0 }
}

const UNEVEN: ProbeArg = ProbeArg::Items(&[ProbeArg::Tuple(&[1, 0]), ProbeArg::Tuple(&[0, 2])]);

/// `pad(x, width, mode: "constant", value: 0)`
pub static PAD: Prim = Prim {
    name: "pad",
    doc: "`x` with a margin: `width` is an int, `(before, after)` for every axis, or one such pair for each. `mode` is \
          `\"constant\"` (filled with `value`), `\"edge\"` (the border goes on) or `\"reflect\"` (mirrored at it). Copies add up \
          in the gradient.",
    sig: Sig {
        params: &[req("x"), req("width"), opt("mode", Default::Str("constant")), opt("value", Default::Int(0))],
    },
    infer: infer_pad,
    eval: Eval::General(pad),
    diff: Diff::Rules { jvp, vjp, keep: Keep::NOTHING },
    batch: Batch::Rule(super::batching_moves::padding),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), ProbeArg::Tuple(&[1, 2]), ProbeArg::Str("constant"), floats(&[])] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Str("edge"), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), UNEVEN, ProbeArg::Str("constant"), ProbeArg::Int(2)] },
            Sample { args: &[floats(&[2, 3]), UNEVEN, ProbeArg::Str("reflect"), ProbeArg::Int(0)] },
            Sample { args: &[floats(&[2, 3]), ProbeArg::Int(1), ProbeArg::Str("reflect"), ProbeArg::Int(0)] },
        ],
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(data: &[f64]) -> Value {
        Value::tensor(Tensor::from_vec(&[data.len()], data.to_vec()))
    }

    fn call(mode: &str, value: Value) -> Vec<f64> {
        let mut cx = Cx::default();
        let width = Value::tuple(vec![Value::Int(2), Value::Int(1)]);
        match cx.apply(&PAD, &[vector(&[1.0, 2.0, 3.0]), width, Value::str(mode), value]) {
            Ok(Value::Tensor(_, t)) => t.iter_f64().collect(),
            _ => vec![],
        }
    }

    #[test]
    fn margins() {
        assert_eq!(call("constant", Value::Int(0)), [0.0, 0.0, 1.0, 2.0, 3.0, 0.0]);
        assert_eq!(call("constant", Value::float(0.5)), [0.5, 0.5, 1.0, 2.0, 3.0, 0.5]);
        assert_eq!(call("edge", Value::Int(0)), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(call("reflect", Value::Int(0)), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert!(call("mirror", Value::Int(0)).is_empty());
    }

    /// Cotangents of `x` and `value` for the cotangent 1, 2, 4, ...
    fn pulled(mode: &str, width: i64) -> (Vec<f64>, Option<f64>) {
        let mut cx = Cx::default();
        let args = [vector(&[1.0, 2.0, 3.0]), Value::Int(width), Value::str(mode), Value::float(1.0)];
        let out = cx.apply(&PAD, &args).unwrap();
        let shapes: Vec<_> = args.iter().map(crate::ad::dispatch::arg_shape).collect();
        let call = Call { prim: &PAD, args: &args, out: &out, shapes: &shapes, wanted: 0b1001 };
        let n = out.shape().unwrap()[0];
        let y_bar = vector(&(0..n).map(|i| f64::from(1 << i)).collect::<Vec<_>>());
        let bars = vjp(&mut cx, &call, &y_bar).unwrap();
        let Some(Value::Tensor(_, x_bar)) = &bars[0] else { panic!() };
        (x_bar.iter_f64().collect(), bars[3].as_ref().and_then(scalar_f64))
    }

    #[test]
    fn copies_add_up() {
        assert_eq!(pulled("constant", 1), (vec![2.0, 4.0, 8.0], Some(17.0)));
        assert_eq!(pulled("edge", 1), (vec![3.0, 4.0, 24.0], None));
        assert_eq!(pulled("reflect", 1), (vec![2.0, 21.0, 8.0], None));
    }

    #[test]
    fn a_mirror_reaches_to_the_other_end() {
        let mut cx = Cx::default();
        let args = [vector(&[1.0, 2.0]), Value::Int(2), Value::str("reflect"), Value::Int(0)];
        assert_eq!(cx.apply(&PAD, &args).unwrap_err().0.code, "E0303");
    }
}
