//! Products: `@` (`matmul`), `dot`, `outer`, batched over leading axes as in NumPy. All are bilinear.
//!
//! Their derivatives are products again, with operands read transposed in place (`_matmul`), so no transpose is made.

use smallvec::SmallVec;

use super::prim::{Batch, Call, Cotangents, Default, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, opt, req};
use super::shape_rules;
use crate::ad::Cx;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::few::few;
use crate::tensor::broadcast::{broadcast_shapes, shapes_clash};
use crate::tensor::cast::Float;
use crate::tensor::create::article;
use crate::tensor::matmul::{Product, Strong, matmul, mend, outer_products, row_dots};
use crate::tensor::{Arr, DType, Shape, Tensor, room, small};
use crate::types::show::show_dim;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// The family.
pub static PRIMS: &[&Prim] = &[&MATMUL, &MATMUL_TURNED, &DOT, &OUTER];

/// Which of the two operands are read with their last two axes swapped.
type Turn = (bool, bool);

// ---- kinds and shapes ----

/// How messages name a product.
fn shown(name: &str) -> &str {
    if matches!(name, "matmul" | "_matmul") { "@" } else { name }
}

#[cold]
fn wrong_operand(name: &str, i: usize, kind: &str, scalar: bool) -> Error {
    let kind = article(kind);
    let error =
        Error::new("E0310", format!("{} wants tensors, not {kind}", shown(name))).operand(i, format!("this is {kind}"));
    if scalar { error.help("to scale by a number, write *") } else { error }
}

/// Both operands as tensors.
fn operands<'a>(name: &str, args: &'a [Value]) -> Result<(&'a Tensor, &'a Tensor)> {
    for (i, v) in args.iter().take(2).enumerate() {
        if !matches!(v, Value::Tensor(..)) {
            return Err(wrong_operand(name, i, &v.type_name(), v.shape().is_some()));
        }
    }
    match args {
        [Value::Tensor(_, a), Value::Tensor(_, b), ..] => Ok((a, b)),
        _ => Err(Error::new("E0400", format!("bug in dlang: {name} was called without its operands"))),
    }
}

/// dtype of a product: the wider float, else int.
fn product_dtype(a: DType, b: DType) -> DType {
    let widest = a.max(b);
    if widest == DType::Bool { DType::Int } else { widest }
}

/// Rows and columns of an operand's matrices; `None` for an axis that a vector lacks.
fn matrix<D: Copy>(dims: &[D], turn: bool, left: bool) -> (Option<D>, Option<D>) {
    match dims {
        [.., r, c] => {
            if turn {
                (Some(*c), Some(*r))
            } else {
                (Some(*r), Some(*c))
            }
        }
        [n] if left => (None, Some(*n)),
        [n] => (Some(*n), None),
        [] => (None, None),
    }
}

/// Axes before the matrix.
fn leading<D>(dims: &[D]) -> &[D] {
    dims.get(..dims.len().saturating_sub(2)).unwrap_or(&[])
}

/// The error for operands whose dims do not agree.
#[cold]
fn inner_clash(name: &str, a: (&str, &[Dim]), b: (&str, &[Dim]), turn: Turn) -> Error {
    let ((kind_a, a), (kind_b, b)) = (a, b);
    let (rows_a, k) = matrix(a, turn.0, true);
    let (l, columns_b) = matrix(b, turn.1, false);
    let number = |n: Option<Dim>| show_dim(n.unwrap_or(Dim::Unknown));
    let side = match b.len() {
        1 => "the length",
        2 => "the first dim",
        _ => "the second to last dim",
    };
    let side_a = if a.len() == 1 { "the length" } else { "the last dim" };
    let error = Error::new(
        "E0303",
        format!(
            "{} of {kind_a} and {kind_b}: {side_a} of the left, {}, is not {side} of the right, {}",
            shown(name),
            number(k),
            number(l)
        ),
    )
    .operand(0, format!("this is {kind_a}"))
    .operand(1, format!("this is {kind_b}"));
    let told = |d: Option<Dim>| d.filter(|d| !matches!(d, Dim::Some | Dim::Unknown));
    let (k, l, m, n) = (told(k), told(l), told(rows_a), told(columns_b));
    let known = |d: Option<Dim>| if let Some(Dim::Known(n)) = d { Some(n) } else { None };
    let error = error.sizes(known(k).into_iter().chain(known(l)));
    let plain = a.len() <= 2 && b.len() <= 2;
    if b.len() >= 2 && k.is_some() && k == n {
        error.help(match b.len() {
            2 => "transpose the right one: `.t`",
            _ => "transpose the right one: `.t` swaps its last two axes",
        })
    } else if plain && a.len() == 2 && m.is_some() && m == l {
        error.help("transpose the left one: `.t`")
    } else if plain && a.len() == 2 && b.len() == 2 && m.is_some() && m == n {
        error.help("swap the two, or transpose both: `.t`")
    } else {
        error
    }
}

/// The error for leading axes that do not broadcast.
#[cold]
fn batch_clash(name: &str, kind_a: &str, a: &[usize], kind_b: &str, b: &[usize]) -> Error {
    let mut error = shapes_clash(shown(name), (0, kind_a, leading(a)), (1, kind_b, leading(b)));
    error.0.message =
        format!("the leading axes of {}'s operands, {kind_a} and {kind_b}, do not broadcast", shown(name));
    error.0.help = None;
    error
}

/// Dims of a product from those of its operands.
fn infer_dims(name: &str, args: &[Ty], a: &Dims, b: &Dims, turn: Turn) -> Result<Dims> {
    let kind = |i: usize| args.get(i).map_or_else(String::new, shape_rules::show);
    let (m, k) = matrix(a, turn.0, true);
    let (l, n) = matrix(b, turn.1, false);
    if let (Some(k), Some(l)) = (k, l)
        && k.differs(l)
    {
        return Err(inner_clash(name, (&kind(0), a), (&kind(1), b), turn));
    }
    let mut out = infer_batch(name, args, leading(a), leading(b))?;
    out.extend(m);
    out.extend(n);
    Ok(out)
}

/// Leading axes stretched to one another.
fn infer_batch(name: &str, args: &[Ty], a: &[Dim], b: &[Dim]) -> Result<Dims> {
    let batch = |dims: &[Dim]| Ty::of(Some(DType::F64), Some(Dims::from_slice(dims)));
    shape_rules::broadcast(name, &[batch(a), batch(b)]).map(Option::unwrap_or_default).map_err(|e| {
        let kind = |i: usize| args.get(i).map_or_else(String::new, shape_rules::show);
        let message =
            format!("the leading axes of {}'s operands, {} and {}, do not broadcast", shown(name), kind(0), kind(1));
        let mut error = Error::new(e.0.code, message);
        error.0.notes = e.0.notes;
        error.operand(0, format!("this is {}", kind(0))).operand(1, format!("this is {}", kind(1)))
    })
}

/// Type of a product: `dims` gives the result's from the operands' if both are known.
fn infer_by(name: &str, args: &[Ty], dims: impl Fn(&Dims, &Dims) -> Result<Dims>) -> Result<Ty> {
    if args.iter().any(|t| matches!(t, Ty::Never)) {
        return Ok(Ty::Never);
    }
    let mut dtype = Some(DType::Bool);
    for (i, ty) in args.iter().take(2).enumerate() {
        match ty {
            Ty::Any => dtype = None,
            Ty::Tensor(t) => dtype = dtype.zip(t.dtype).map(|(a, b)| product_dtype(a, b)),
            Ty::Int(_) | Ty::Bool(_) | Ty::Float => return Err(wrong_operand(name, i, &shape_rules::show(ty), true)),
            other => return Err(wrong_operand(name, i, &kind_of(other), false)),
        }
    }
    let known = |i: usize| args.get(i).and_then(Ty::dims);
    let dims = match (known(0), known(1)) {
        (Some(a), Some(b)) => Some(dims(&a, &b)?),
        _ => None,
    };
    Ok(match dims {
        None => {
            if dtype.is_some() {
                Ty::of(dtype, None)
            } else {
                Ty::Any
            }
        }
        dims => Ty::of(dtype, dims),
    })
}

/// Kind of what is no number, in the words of evaluation.
fn kind_of(ty: &Ty) -> String {
    match ty {
        Ty::Tuple(_) => "tuple".into(),
        Ty::List(_) => "list".into(),
        Ty::Dict(_) => "dict".into(),
        Ty::Struct(_) => "struct".into(),
        other => shape_rules::show(other),
    }
}

// ---- matmul ----

/// Element types by which a product is computed.
fn by_dtype(
    a: &Tensor,
    b: &Tensor,
    f32s: impl FnOnce(Arr<f32>, Arr<f32>) -> Result<Tensor>,
    f64s: impl FnOnce(Arr<f64>, Arr<f64>) -> Result<Tensor>,
    ints: impl FnOnce(Arr<i64>, Arr<i64>) -> Result<Tensor>,
) -> Result<Value> {
    let int = |t: &Tensor| match t.cast(DType::Int) {
        Ok(Tensor::Int(a)) => Ok(a),
        Ok(_) => Err(Error::new("E0400", "bug in dlang: a cast to int gave no ints")),
        Err(error) => Err(error),
    };
    Ok(Value::tensor(match product_dtype(a.dtype(), b.dtype()) {
        DType::F32 => f32s(a.to_f32(), b.to_f32())?,
        DType::F64 => f64s(a.to_f64(), b.to_f64())?,
        DType::Int | DType::Bool => ints(int(a)?, int(b)?)?,
    }))
}

fn product(name: &str, args: &[Value], turn: Turn) -> Result<Value> {
    let (a, b) = operands(name, args)?;
    let (m, k) = matrix(a.shape(), turn.0, true);
    let (l, n) = matrix(b.shape(), turn.1, false);
    if k != l {
        let known = |t: &Tensor| -> Dims { t.shape().iter().copied().map(Dim::Known).collect() };
        let kind = |i: usize| args.get(i).map_or_else(String::new, Value::type_name);
        return Err(inner_clash(name, (&kind(0), &known(a)), (&kind(1), &known(b)), turn));
    }
    if a.rank() <= 2 && b.rank() <= 2 {
        let shape: SmallVec<[usize; 2]> = few(m.into_iter().chain(n));
        let dims = [m.unwrap_or(1), k.unwrap_or(0), n.unwrap_or(1)];
        if let Some(product) = small::product(a, b, turn, dims, &shape, strong_of(args).is_some()) {
            return Ok(product);
        }
    }
    let Ok(batch) = broadcast_shapes(leading(a.shape()), leading(b.shape())) else {
        let kind = |i: usize| args.get(i).map_or_else(String::new, Value::type_name);
        return Err(batch_clash(name, &kind(0), a.shape(), &kind(1), b.shape()));
    };
    let mut shape = batch.clone();
    shape.extend(m);
    shape.extend(n);
    room::check(&shape, product_dtype(a.dtype(), b.dtype()))?;
    fn go<T: Product>(a: Arr<T>, b: Arr<T>, turn: Turn, batch: &[usize], shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(shape, matmul(a.view(), b.view(), turn, batch)?))
    }
    fn floats<T: Product + Float>(
        a: Arr<T>,
        b: Arr<T>,
        turn: Turn,
        batch: &[usize],
        strong: Option<Strong>,
    ) -> Result<Vec<T>> {
        let mut out = matmul(a.view(), b.view(), turn, batch)?;
        if let Some(strong) = strong {
            mend(&mut out, a.view(), b.view(), turn, batch, strong);
        }
        Ok(out)
    }
    let strong = strong_of(args);
    by_dtype(
        a,
        b,
        |a, b| Ok(Tensor::from_vec(&shape, floats(a, b, turn, &batch, strong)?)),
        |a, b| Ok(Tensor::from_vec(&shape, floats(a, b, turn, &batch, strong)?)),
        |a, b| go(a, b, turn, &batch, &shape),
    )
}

/// The flags of `_matmul`; `matmul` has none.
fn turn_of(args: &[Value]) -> Turn {
    let flag = |i: usize| matches!(args.get(i), Some(Value::Bool(true)));
    (flag(2), flag(3))
}

/// The operands of `_matmul` whose zeros stay zero; `matmul` has none.
fn strong_of(args: &[Value]) -> Option<Strong> {
    match args.get(4) {
        Some(Value::Int(0)) => Some(Strong::Left),
        Some(Value::Int(1)) => Some(Strong::Right),
        Some(Value::Int(_)) => Some(Strong::Both),
        _ => None,
    }
}

/// A product whose operands may be read transposed; the `strong` ones are tangents or cotangents, whose zeros stay zero.
pub fn times(cx: &mut Cx, a: &Value, b: &Value, turn: Turn, strong: Strong) -> Result<Value> {
    let strong = match strong {
        Strong::Left => 0,
        Strong::Right => 1,
        Strong::Both => 2,
    };
    cx.apply(&MATMUL_TURNED, &[a.clone(), b.clone(), Value::Bool(turn.0), Value::Bool(turn.1), Value::Int(strong)])
}

/// Operand `side` of a product is a tangent or cotangent, and the other is operand `i` of a recorded call: it stays
/// strong if it was, so that where it is 0 the derivative of what it met is.
fn beside(call: &Call<'_>, i: usize, side: Strong) -> Strong {
    match (i, strong_of(call.args)) {
        (_, Some(Strong::Both)) | (0, Some(Strong::Left)) | (1, Some(Strong::Right)) => Strong::Both,
        _ => side,
    }
}

/// The operands of a recorded product.
fn pair<'a>(call: &Call<'a>) -> Result<(&'a Value, &'a Value)> {
    match call.args {
        [a, b, ..] => Ok((a, b)),
        _ => Err(Error::new("E0400", format!("bug in dlang: {} was recorded without its operands", call.prim.name))),
    }
}

/// `f(dx, y) + f(x, dy)`, which is the tangent of whatever is bilinear.
fn bilinear_jvp(cx: &mut Cx, call: &Call<'_>, tangents: &[Option<Value>]) -> Result<Option<Value>> {
    let mut sum: Option<Value> = None;
    for (i, tangent) in tangents.iter().take(2).enumerate() {
        let Some(tangent) = tangent else { continue };
        let (x, y) = pair(call)?;
        let (a, b) = if i == 0 { (tangent, y) } else { (x, tangent) };
        let term = bilinear_term(cx, call, a, b, i)?;
        sum = Some(cx.add_to(sum, term)?);
    }
    Ok(sum)
}

/// The product of a call with operand `i` replaced by its tangent, whose zeros stay zero.
fn bilinear_term(cx: &mut Cx, call: &Call<'_>, a: &Value, b: &Value, i: usize) -> Result<Value> {
    let strong = |cx: &mut Cx, a: &Value, b: &Value| if i == 0 { cx.zmul(a, b) } else { cx.zmul(b, a) };
    let last = |rank: usize| rank.saturating_sub(1);
    let side = if i == 0 { Strong::Left } else { Strong::Right };
    match call.prim.name {
        "dot" => {
            let terms = strong(cx, a, b)?;
            let axis = last(terms.shape().unwrap_or(&[]).len());
            cx.sum(&terms, &[axis], false)
        }
        "outer" => {
            let mut row = Shape::from_slice(call.shape(1));
            row.insert(last(row.len()), 1);
            let column = cx.reshape(a, &column_of(call.shape(0)))?;
            let row = cx.reshape(b, &row)?;
            strong(cx, &column, &row)
        }
        _ => {
            // Vectors become matrices of one row or one column, whose axis is dropped from the product again.
            let (row, column) = (call.shape(0).len() == 1, call.shape(1).len() == 1);
            if !row && !column {
                return times(cx, a, b, turn_of(call.args), beside(call, 1 - i, side));
            }
            let n = call.shape(0).last().copied().unwrap_or(0);
            let a = if row { cx.reshape(a, &[1, n])? } else { a.clone() };
            let b = if column { cx.reshape(b, &[n, 1])? } else { b.clone() };
            let (tx, ty) = turn_of(call.args);
            let product = times(cx, &a, &b, (tx && !row, ty && !column), beside(call, 1 - i, side))?;
            let mut shape = Shape::from_slice(product.shape().unwrap_or(&[]));
            if column {
                shape.pop();
            }
            if row && !shape.is_empty() {
                shape.remove(shape.len() - if column { 1 } else { 2 });
            }
            cx.reshape(&product, &shape)
        }
    }
}

/// `shape` with an axis of 1 at its end.
fn column_of(shape: &[usize]) -> Shape {
    let mut column = Shape::from_slice(shape);
    column.push(1);
    column
}

fn matmul_vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let (x, y) = pair(call)?;
    let (sx, sy) = (call.shape(0), call.shape(1));
    let (tx, ty) = turn_of(call.args);
    let mut out = Cotangents::from_elem(None, call.args.len());
    let mut give = |i: usize, bar: Value| {
        if let Some(place) = out.get_mut(i) {
            *place = Some(bar);
        }
    };
    if sx.len() == 1 && sy.len() == 1 {
        if call.wants(0) {
            give(0, cx.zmul(c, y)?);
        }
        if call.wants(1) {
            give(1, cx.zmul(c, x)?);
        }
        return Ok(out);
    }
    if let (Value::Tensor(slot, c), Value::Tensor(_, left), Value::Tensor(_, right)) = (c, x, y)
        && (slot.0 | x.slot().0 | y.slot().0) == 0
        && call.args.len() == 2
        && let Some(bars) = small::pull(left, right, c, [call.wants(0), call.wants(1)])
    {
        return Ok(Cotangents::from_iter(bars));
    }
    // A row times a matrix: its cotangent is a row too. Recorded, it would need rules for vectors.
    let constant = |v: &Value| matches!(v, Value::Tensor(slot, _) if slot.is_const());
    if let ([_], [_, _], true, false) = (sx, sy, call.wants(0), tx)
        && constant(c)
        && constant(y)
    {
        give(0, times(cx, c, y, (false, !ty), beside(call, 1, Strong::Left))?);
        if !call.wants(1) {
            return Ok(out);
        }
    }
    let rest = call.wants(0) && out.first().is_none_or(Option::is_none);
    let mut give = |i: usize, bar: Value| {
        if let Some(place) = out.get_mut(i) {
            *place = Some(bar);
        }
    };
    // Vectors become matrices of one row or one column, and the cotangent gets the axes that they lack.
    let (mut sc, mut x, mut y) = (Shape::from_slice(c.shape().unwrap_or(&[])), x.clone(), y.clone());
    if let [n] = sx {
        x = cx.reshape(&x, &[1, *n])?;
        sc.insert(sc.len().saturating_sub(1), 1);
    }
    if let [n] = sy {
        y = cx.reshape(&y, &[*n, 1])?;
        sc.push(1);
    }
    let mut c = cx.reshape(c, &sc)?;
    let batch = Shape::from_slice(leading(&sc));
    if rest {
        let bar = if tx {
            times(cx, &y, &c, (ty, true), beside(call, 1, Strong::Right))?
        } else {
            times(cx, &c, &y, (false, !ty), beside(call, 1, Strong::Left))?
        };
        let bar = match sx {
            [n] => {
                let mut shape = batch.clone();
                shape.push(*n);
                cx.reshape(&bar, &shape)?
            }
            _ => bar,
        };
        give(0, bar);
    }
    if call.wants(1) {
        // One right operand for all of a batch: the sum over the batch is part of one product.
        if sy.len() <= 2
            && !tx
            && let ([.., m, k], [.., n]) = (sx, sc.as_slice())
            && sx.len() > 2
        {
            let rows = batch.iter().product::<usize>() * m;
            x = cx.reshape(&x, &[rows, *k])?;
            c = cx.reshape(&c, &[rows, *n])?;
        }
        let bar = if ty {
            times(cx, &c, &x, (true, tx), beside(call, 0, Strong::Left))?
        } else {
            times(cx, &x, &c, (!tx, false), beside(call, 0, Strong::Right))?
        };
        let bar = match (sy, bar.shape()) {
            ([_], Some([rest @ .., 1])) => {
                let shape = Shape::from_slice(rest);
                cx.reshape(&bar, &shape)?
            }
            _ => bar,
        };
        give(1, bar);
    }
    Ok(out)
}

const fn floats(shape: &'static [usize]) -> ProbeArg {
    ProbeArg::Float { shape, lo: -2.0, hi: 2.0 }
}

/// `matmul(x, y)`, `x @ y`
pub static MATMUL: Prim = Prim {
    name: "matmul",
    doc: "Matrix product `x @ y`: `[..., n, k] @ [..., k, m]` is `[..., n, m]`, leading axes broadcast; a vector `[k]` on \
          the left is a row, on the right a column, and its axis is dropped from the result, so `[k] @ [k]` is a number. \
          `[[1.0, 2.0]] @ [3.0, 4.0]` is `[11.0]`.",
    sig: Sig { params: &[req("x"), req("y")] },
    infer: |args: &[Ty]| infer_by("matmul", args, |a, b| infer_dims("matmul", args, a, b, (false, false))),
    eval: Eval::General(|_, args| product("matmul", args, (false, false))),
    diff: Diff::Rules { jvp: bilinear_jvp, vjp: matmul_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::product),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[2, 3]), floats(&[3, 4])] },
            Sample { args: &[floats(&[3]), floats(&[3])] },
            Sample { args: &[floats(&[2, 3]), floats(&[3])] },
            Sample { args: &[floats(&[3]), floats(&[3, 2])] },
            Sample { args: &[floats(&[2, 2, 3]), floats(&[3, 2])] },
            Sample { args: &[floats(&[2, 2, 3]), floats(&[3])] },
            Sample { args: &[floats(&[3]), floats(&[2, 3, 2])] },
            Sample { args: &[floats(&[2, 1, 2, 3]), floats(&[3, 3, 1])] },
            Sample { args: &[floats(&[2, 0]), floats(&[0, 3])] },
            Sample { args: &[floats(&[0, 2]), floats(&[2, 3])] },
        ],
    },
};

const TURNED: &[super::prim::Param] =
    &[req("x"), req("y"), req("transpose_x"), req("transpose_y"), opt("strong", Default::None)];

/// `_matmul(x, y, transpose_x, transpose_y, strong)`: what the derivatives of products are made of.
pub static MATMUL_TURNED: Prim = Prim {
    name: "_matmul",
    doc: "Matrix product of tensors, either read with its last two axes swapped. Zeros of operand `strong` (0 or 1; 2: of \
          both) give zero whatever they meet.",
    sig: Sig { params: TURNED },
    infer: |args: &[Ty]| {
        let flag = |i: usize| match args.get(i) {
            Some(Ty::Bool(known)) => *known,
            _ => None,
        };
        match (flag(2), flag(3)) {
            (Some(x), Some(y)) => infer_by("_matmul", args, |a, b| infer_dims("_matmul", args, a, b, (x, y))),
            _ => Ok(Ty::Any),
        }
    },
    eval: Eval::General(|_, args| product("_matmul", args, turn_of(args))),
    diff: Diff::Rules { jvp: bilinear_jvp, vjp: matmul_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::bilinear),
    probe: Probe {
        samples: &[
            Sample {
                args: &[floats(&[3, 2]), floats(&[3, 4]), ProbeArg::Bool(true), ProbeArg::Bool(false), ProbeArg::None],
            },
            Sample {
                args: &[floats(&[2, 3]), floats(&[4, 3]), ProbeArg::Bool(false), ProbeArg::Bool(true), ProbeArg::None],
            },
            Sample {
                args: &[floats(&[3, 2]), floats(&[4, 3]), ProbeArg::Bool(true), ProbeArg::Bool(true), ProbeArg::None],
            },
            Sample {
                args: &[
                    floats(&[2, 3, 2]),
                    floats(&[3, 2]),
                    ProbeArg::Bool(true),
                    ProbeArg::Bool(false),
                    ProbeArg::None,
                ],
            },
            Sample {
                args: &[
                    floats(&[2, 2, 3]),
                    floats(&[2, 3]),
                    ProbeArg::Bool(false),
                    ProbeArg::Bool(true),
                    ProbeArg::None,
                ],
            },
            Sample {
                args: &[
                    floats(&[3, 2]),
                    floats(&[2, 2, 3]),
                    ProbeArg::Bool(true),
                    ProbeArg::Bool(true),
                    ProbeArg::None,
                ],
            },
        ],
    },
};

// ---- dot and outer ----

fn infer_dot(args: &[Ty]) -> Result<Ty> {
    infer_by("dot", args, |a, b| {
        if let (Some(Dim::Known(n)), Some(Dim::Known(m))) = (a.last(), b.last())
            && n != m
        {
            let kind = |i: usize| args.get(i).map_or_else(String::new, shape_rules::show);
            return Err(dot_clash(&kind(0), *n, &kind(1), *m));
        }
        let before = |dims: &Dims| Dims::from_slice(dims.get(..dims.len().saturating_sub(1)).unwrap_or(&[]));
        infer_batch("dot", args, &before(a), &before(b))
    })
}

#[cold]
fn dot_clash(kind_a: &str, n: usize, kind_b: &str, m: usize) -> Error {
    Error::new("E0303", format!("dot of {kind_a} and {kind_b}: the last dims, {n} and {m}, must be equal"))
        .operand(0, format!("this is {kind_a}"))
        .operand(1, format!("this is {kind_b}"))
        .help("dot multiplies vectors along the last axis; the product of matrices is `@`")
}

fn dot(_: &mut Env, args: &[Value]) -> Result<Value> {
    let (a, b) = operands("dot", args)?;
    let kind = |i: usize| args.get(i).map_or_else(String::new, Value::type_name);
    let (Some((&n, lead_a)), Some((&m, lead_b))) = (a.shape().split_last(), b.shape().split_last()) else {
        return Err(wrong_operand("dot", 0, "number", true));
    };
    if n != m {
        return Err(dot_clash(&kind(0), n, &kind(1), m));
    }
    let Ok(batch) = broadcast_shapes(lead_a, lead_b) else {
        return Err(batch_clash("dot", &kind(0), &column_of(a.shape()), &kind(1), &column_of(b.shape())));
    };
    let mut full = batch.clone();
    full.push(n);
    let (a, b) = (a.broadcast_to(&full)?, b.broadcast_to(&full)?);
    fn go<T: Product>(a: &Arr<T>, b: &Arr<T>, n: usize, batch: &[usize]) -> Result<Tensor> {
        let rows = crate::tensor::count(batch);
        Ok(Tensor::from_vec(batch, row_dots(&crate::tensor::flat(a), &crate::tensor::flat(b), rows, n)?))
    }
    by_dtype(&a, &b, |a, b| go(&a, &b, n, &batch), |a, b| go(&a, &b, n, &batch), |a, b| go(&a, &b, n, &batch))
}

fn dot_vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let (x, y) = pair(call)?;
    let c = match c.shape() {
        Some(shape) if !shape.is_empty() => {
            let column = column_of(shape);
            cx.reshape(c, &column)?
        }
        _ => c.clone(),
    };
    let x_bar = if call.wants(0) { Some(cx.zmul(&c, y)?) } else { None };
    let y_bar = if call.wants(1) { Some(cx.zmul(&c, x)?) } else { None };
    Ok(Cotangents::from_iter([x_bar, y_bar]))
}

/// `dot(x, y)`
pub static DOT: Prim = Prim {
    name: "dot",
    doc: "Inner product along the last axis: `[..., n]` and `[..., n]` give `[...]`, two vectors a number; leading axes \
          broadcast. `dot([1.0, 2.0], [3.0, 4.0])` is 11.0.",
    sig: Sig { params: &[req("x"), req("y")] },
    infer: infer_dot,
    eval: Eval::General(dot),
    diff: Diff::Rules { jvp: bilinear_jvp, vjp: dot_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::bilinear),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), floats(&[3])] },
            Sample { args: &[floats(&[2, 3]), floats(&[2, 3])] },
            Sample { args: &[floats(&[2, 3]), floats(&[3])] },
            Sample { args: &[floats(&[2, 1, 3]), floats(&[4, 3])] },
            Sample { args: &[floats(&[0]), floats(&[0])] },
        ],
    },
};

fn outer(_: &mut Env, args: &[Value]) -> Result<Value> {
    let (a, b) = operands("outer", args)?;
    let (Some((&n, lead_a)), Some((&m, lead_b))) = (a.shape().split_last(), b.shape().split_last()) else {
        return Err(wrong_operand("outer", 0, "number", true));
    };
    let Ok(batch) = broadcast_shapes(lead_a, lead_b) else {
        let kind = |i: usize| args.get(i).map_or_else(String::new, Value::type_name);
        return Err(batch_clash("outer", &kind(0), &column_of(a.shape()), &kind(1), &column_of(b.shape())));
    };
    let mut shape = batch.clone();
    shape.extend([n, m]);
    room::check(&shape, product_dtype(a.dtype(), b.dtype()))?;
    fn go<T: Product>(a: &Arr<T>, b: &Arr<T>, batch: &[usize], shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(shape, outer_products(a, b, batch)?))
    }
    by_dtype(
        a,
        b,
        |a, b| go(&a, &b, &batch, &shape),
        |a, b| go(&a, &b, &batch, &shape),
        |a, b| go(&a, &b, &batch, &shape),
    )
}

fn infer_outer(args: &[Ty]) -> Result<Ty> {
    infer_by("outer", args, |a, b| {
        let (Some((n, lead_a)), Some((m, lead_b))) = (a.split_last(), b.split_last()) else { return Ok(Dims::new()) };
        let mut out = infer_batch("outer", args, lead_a, lead_b)?;
        out.extend([*n, *m]);
        Ok(out)
    })
}

fn outer_vjp(cx: &mut Cx, call: &Call<'_>, c: &Value) -> Result<Cotangents> {
    let (x, y) = pair(call)?;
    let drop_last = |cx: &mut Cx, bar: Value| -> Result<Value> {
        let shape = Shape::from_slice(bar.shape().and_then(|s| s.split_last()).map_or(&[], |(_, rest)| rest));
        cx.reshape(&bar, &shape)
    };
    let mut out = Cotangents::from_elem(None, 2);
    if call.wants(0) {
        let column = cx.reshape(y, &column_of(call.shape(1)))?;
        let bar = times(cx, c, &column, (false, false), Strong::Left)?;
        out[0] = Some(drop_last(cx, bar)?);
    }
    if call.wants(1) {
        let column = cx.reshape(x, &column_of(call.shape(0)))?;
        let bar = times(cx, c, &column, (true, false), Strong::Left)?;
        out[1] = Some(drop_last(cx, bar)?);
    }
    Ok(out)
}

/// `outer(x, y)`
pub static OUTER: Prim = Prim {
    name: "outer",
    doc: "All products of an element of `x` and one of `y` along their last axes: `[..., n]` and `[..., m]` give \
          `[..., n, m]`; leading axes broadcast. `outer([1, 2], [3, 4])` is `[[3, 4], [6, 8]]`.",
    sig: Sig { params: &[req("x"), req("y")] },
    infer: infer_outer,
    eval: Eval::General(outer),
    diff: Diff::Rules { jvp: bilinear_jvp, vjp: outer_vjp, keep: Keep::ARGS },
    batch: Batch::Rule(super::batching::bilinear),
    probe: Probe {
        samples: &[
            Sample { args: &[floats(&[3]), floats(&[2])] },
            Sample { args: &[floats(&[2, 3]), floats(&[2, 2])] },
            Sample { args: &[floats(&[2, 3]), floats(&[2])] },
            Sample { args: &[floats(&[0]), floats(&[2])] },
        ],
    },
};
