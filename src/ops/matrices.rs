//! What primitives on matrices have in common: what they ask of their arguments, as values and as types; the pieces
//! their rules are made of; how they are batched. A matrix is the last two axes, the axes before are a batch.

use super::compare::{GT, ISFINITE, NE, NOT, OR};
use super::distinct::{Sound, Way, all_true, asking, carries};
use super::inverse::{INV, REGULAR};
use super::linalg::MATMUL_TURNED;
use super::operand::{Operand, operand, tensor};
use super::prim::BatchCall;
use super::reshape::TRANSPOSE;
use super::shape_rules::show;
use super::triangle::TRIL;
use crate::ad::Cx;
use crate::ad::dispatch::{UNDEFINED, all_finite};
use crate::ad::slot::Slot;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::create::article;
use crate::tensor::{DType, Shape, Tensor};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// Code of an error about a matrix without an inverse.
pub const SINGULAR: &str = "E0461";

// ---- arguments ----

#[cold]
fn no_matrix(name: &str, i: usize, kind: &str, wanted: &str) -> Error {
    let kind = article(kind);
    Error::new("E0303", format!("{name} wants {wanted}, not {kind}")).operand(i, format!("this is {kind}"))
}

/// What a matrix may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Any,
    Square,
}

impl Kind {
    fn wanted(self) -> &'static str {
        match self {
            Kind::Any => "a matrix",
            Kind::Square => "a square matrix",
        }
    }
}

/// Argument `i` as a float tensor of matrices.
pub fn matrix(env: &Env, name: &str, args: &[Value], i: usize, kind: Kind) -> Result<Tensor> {
    let t = number_or_tensor(env, name, args, i)?;
    let fits = match t.shape() {
        [.., rows, cols] => kind == Kind::Any || rows == cols,
        _ => false,
    };
    if !fits {
        return Err(no_matrix(name, i, &args.get(i).map_or_else(String::new, Value::type_name), kind.wanted()));
    }
    floats(env, t)
}

/// Argument `i` as a tensor of any rank.
pub fn number_or_tensor(env: &Env, name: &str, args: &[Value], i: usize) -> Result<Tensor> {
    tensor(env, name, args.get(i..).unwrap_or(&[])).map_err(|error| moved(error, i))
}

/// What is known of the type of argument `i`, a number or tensor.
pub fn operand_type(name: &str, args: &[Ty], i: usize) -> Result<Option<Operand>> {
    operand(name, args.get(i..).unwrap_or(&[])).map_err(|error| moved(error, i))
}

/// An error about argument 0 as one about argument `i`.
fn moved(mut error: Error, i: usize) -> Error {
    error.0.operands.iter_mut().for_each(|(k, _)| *k += i);
    error
}

/// Ints and bools become floats of the default dtype.
pub fn floats(env: &Env, t: Tensor) -> Result<Tensor> {
    if t.dtype().is_float() { Ok(t) } else { t.cast(env.dtype) }
}

/// dtype and dims of a type of matrices: `None` if nothing is known. The dtype of what is made of ints is not known.
pub fn matrix_type(name: &str, args: &[Ty], i: usize, kind: Kind) -> Result<Option<(Option<DType>, Option<Dims>)>> {
    let Some(x) = operand_type(name, args, i)? else { return Ok(None) };
    let fits = match x.dims.as_deref() {
        None => true,
        Some([.., Dim::Known(rows), Dim::Known(cols)]) => kind == Kind::Any || rows == cols,
        Some(dims) => dims.len() >= 2,
    };
    if !fits {
        return Err(no_matrix(name, i, &args.get(i).map_or_else(String::new, show), kind.wanted()));
    }
    Ok(Some((x.dtype.filter(|d| d.is_float()), x.dims)))
}

/// The type of a result whose dims are `last` behind the batch's.
pub fn behind(dtype: Option<DType>, dims: Option<&Dims>, last: &[Dim]) -> Ty {
    let out = dims.map(|dims| {
        let mut out = Dims::from_slice(dims.get(..dims.len().saturating_sub(2)).unwrap_or(&[]));
        out.extend_from_slice(last);
        out
    });
    match &out {
        Some(dims) if dims.is_empty() => Ty::Float,
        _ => Ty::of(dtype, out),
    }
}

/// The shape rule of what makes a square matrix of one.
pub fn infer_square(name: &str, args: &[Ty]) -> Result<Ty> {
    let Some((dtype, dims)) = matrix_type(name, args, 0, Kind::Square)? else { return Ok(Ty::Any) };
    Ok(Ty::of(dtype, dims))
}

/// The shape rule of what makes a number of a square matrix.
pub fn infer_number(name: &str, args: &[Ty]) -> Result<Ty> {
    let Some((dtype, dims)) = matrix_type(name, args, 0, Kind::Square)? else { return Ok(Ty::Any) };
    Ok(behind(dtype, dims.as_ref(), &[]))
}

/// Rows and columns of a shape.
pub fn sides(shape: &[usize]) -> (usize, usize) {
    match shape {
        [.., rows, cols] => (*rows, *cols),
        _ => (0, 0),
    }
}

// ---- pieces of rules ----

/// `a @ b`, each read transposed if its flag says so.
pub fn times(cx: &mut Cx, a: &Value, b: &Value, turn: (bool, bool)) -> Result<Value> {
    cx.apply(&MATMUL_TURNED, &[a.clone(), b.clone(), Value::Bool(turn.0), Value::Bool(turn.1)])
}

pub fn transpose(cx: &mut Cx, a: &Value) -> Result<Value> {
    cx.apply(&TRANSPOSE, &[a.clone(), Value::None, Value::None])
}

/// `(a + a^T) / 2`
pub fn symmetrized(cx: &mut Cx, a: &Value) -> Result<Value> {
    let turned = transpose(cx, a)?;
    let sum = cx.add(a, &turned)?;
    cx.scale(&sum, 0.5)
}

/// The lower triangle up to diagonal `k`.
pub fn tril(cx: &mut Cx, a: &Value, k: i64) -> Result<Value> {
    cx.apply(&TRIL, &[a.clone(), Value::Int(k)])
}

/// dtype of a tensor.
pub fn dtype(a: &Value) -> DType {
    a.dtype().unwrap_or(DType::F64)
}

/// The main diagonal of each square matrix.
pub fn diagonal(cx: &mut Cx, a: &Value) -> Result<Value> {
    let shape = a.shape().unwrap_or(&[]);
    let (n, rank) = (sides(shape).0, shape.len());
    let on = cx.zmul(&Value::tensor(Tensor::eye(n, n, dtype(a))), a)?;
    cx.sum(&on, &[rank.saturating_sub(1)], false)
}

/// A vector `[..., n]` as one row, `[..., 1, n]`, or one column, `[..., n, 1]`.
fn as_matrix(cx: &mut Cx, v: &Value, row: bool) -> Result<Value> {
    let mut shape = Shape::from_slice(v.shape().unwrap_or(&[]));
    let at = if row { shape.len().saturating_sub(1) } else { shape.len() };
    shape.insert(at, 1);
    cx.reshape(v, &shape)
}

/// `a` with column j times `v[j]`.
pub fn columns_by(cx: &mut Cx, a: &Value, v: &Value) -> Result<Value> {
    let row = as_matrix(cx, v, true)?;
    cx.zmul(a, &row)
}

/// `v[j] - v[i]` at `[i, j]`
pub fn differences(cx: &mut Cx, v: &Value) -> Result<Value> {
    let (row, column) = (as_matrix(cx, v, true)?, as_matrix(cx, v, false)?);
    cx.sub(&row, &column)
}

/// `v[j] + v[i]` at `[i, j]`
pub fn pair_sums(cx: &mut Cx, v: &Value) -> Result<Value> {
    let (row, column) = (as_matrix(cx, v, true)?, as_matrix(cx, v, false)?);
    cx.add(&row, &column)
}

/// A number for each matrix with two axes of 1 behind it.
pub fn spread(cx: &mut Cx, v: &Value) -> Result<Value> {
    if matches!(v, Value::Float(..)) {
        return Ok(v.clone());
    }
    let mut shape = Shape::from_slice(v.shape().unwrap_or(&[]));
    shape.extend([1, 1]);
    cx.reshape(v, &shape)
}

/// The sum over each matrix of the products of two.
pub fn inner(cx: &mut Cx, a: &Value, b: &Value) -> Result<Value> {
    let rank = a.shape().map_or(0, <[usize]>::len);
    let product = cx.zmul(a, b)?;
    cx.sum(&product, &[rank.saturating_sub(2), rank.saturating_sub(1)], false)
}

/// What a tangent or cotangent has for each matrix of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Each {
    Number,
    Vector,
    Matrix,
}

/// Of flags for the entries of tangents or cotangents, true for matrices with any; with two axes of 1 behind it.
fn any_of(cx: &mut Cx, flags: &Value, each: Each) -> Result<Value> {
    let rank = flags.shape().map_or(0, <[usize]>::len);
    let axes: &[usize] = match each {
        Each::Number => return spread(cx, flags),
        Each::Vector => &[rank.saturating_sub(1)],
        Each::Matrix => &[rank.saturating_sub(2), rank.saturating_sub(1)],
    };
    let ones = cx.cast(flags, DType::F64)?;
    let count = cx.sum(&ones, axes, false)?;
    let some = cx.apply(&GT, &[count, Value::float(0.0)])?;
    spread(cx, &some)
}

/// True for matrices of which `bar` or a tangent that it carries is not 0. And true if it carries a derivative that is not
/// known yet, by which any may count.
fn moving(cx: &mut Cx, bar: &Value, each: Each) -> Result<(Value, bool)> {
    let (flags, unknown) = asking(cx, bar)?;
    Ok((any_of(cx, &flags, each)?, unknown))
}

/// True for a batch of matrices, along leading axes or under `vmap`.
fn several(a: &Value) -> bool {
    matches!(a, Value::Batched(..)) || a.shape().is_some_and(|s| s.len() > 2)
}

/// `result`, which is linear in `bar`, but 0 for matrices of which `bar` is 0, whatever else went into it. A finite
/// result is that already, and keeps what it says about the slope of `bar`; else that is NaN.
pub fn strongly(cx: &mut Cx, bar: &Value, result: &Value) -> Result<Value> {
    if all_finite(result) {
        return Ok(result.clone());
    }
    let flags = cx.apply(&NE, &[bar.clone(), Value::float(0.0)])?;
    let some = any_of(cx, &flags, Each::Matrix)?;
    let finite = cx.apply(&ISFINITE, std::slice::from_ref(result))?;
    let infinite = cx.apply(&NOT, &[finite])?;
    let infinite = any_of(cx, &infinite, Each::Matrix)?;
    let finite = cx.apply(&NOT, &[infinite])?;
    let keep = cx.apply(&OR, &[finite, some])?;
    Sound::of(&keep).result(cx, bar, result.clone())
}

/// The inverses of `a`. In a batch, NaN for singular matrices that do not count: of which one of `bars` is 0, or which move
/// along a tangent. What a 0 times it is ends as 0, its slope as NaN.
pub fn inverses(cx: &mut Cx, a: &Value, bars: &[&Value], each: Each, way: Way) -> Result<Value> {
    let error = match cx.apply(&INV, std::slice::from_ref(a)) {
        Err(error) if several(a) => error,
        done => return done,
    };
    let regular = cx.apply(&REGULAR, std::slice::from_ref(a))?;
    let regular = spread(cx, &regular)?;
    if way == Way::Pull {
        let mut fine = regular.clone();
        for bar in bars {
            let (some, _) = moving(cx, bar, each)?;
            let still = cx.apply(&NOT, &[some])?;
            fine = cx.apply(&OR, &[fine, still])?;
        }
        if !all_true(&fine) {
            return Err(error);
        }
    }
    let sound = Sound::of(&regular);
    let a = sound.matrices(cx, a.clone())?;
    let out = cx.apply(&INV, &[a])?;
    cx.where_(&regular, &out, &Value::float(f64::NAN))
}

/// The arguments of a recorded decomposition, those matrices as constants of which `bar` and all that it carries are 0:
/// nothing that is made of them counts, and a decomposition that has no derivative there is no error.
pub fn where_moving(cx: &mut Cx, args: &[Value], bar: &Value, each: Each) -> Result<Vec<Value>> {
    let mut args = args.to_vec();
    if let Some(a) = args.first_mut()
        && several(a)
        && carries(a)
        && let (some, false) = moving(cx, bar, each)?
    {
        *a = cx.where_(&some, a, &a.with_slot(Slot::CONST))?;
    }
    Ok(args)
}

/// The error for a derivative that is not defined at this point.
#[cold]
pub fn undefined(name: &str, why: &str, help: &str) -> Error {
    Error::new(UNDEFINED, format!("`{name}` cannot be differentiated here: {why}")).help(help)
}

/// A singular matrix ends a derivative: the error of a rule that needs the inverse.
pub fn as_undefined(name: &str, result: Result<Value>) -> Result<Value> {
    result.map_err(|error| {
        if error.0.code != SINGULAR {
            return error;
        }
        let mut out = Error::new(UNDEFINED, format!("`{name}` cannot be differentiated here: {}", error.0.message));
        out.0.notes = error.0.notes;
        out
    })
}

// ---- batches ----

/// The primitive takes leading axes: one application to the whole batch, if its only matrix is batched.
pub fn batch_first(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    if !call.only(0) {
        return Ok(None);
    }
    cx.apply(call.prim, call.args).map(Some)
}

/// The same for primitives of several tensors: those that are the same for all examples are copied to each.
pub fn batch_alike(cx: &mut Cx, call: &BatchCall<'_>) -> Result<Option<Value>> {
    let mut args = call.args.to_vec();
    for (i, arg) in args.iter_mut().enumerate() {
        if call.batched.get(i) == Some(&false) && !call.shape(i).is_empty() && arg.is_differentiable() {
            let shape: Shape = [call.n].iter().chain(call.shape(i)).copied().collect();
            *arg = cx.stretch(arg, &shape, dtype(arg))?;
        }
    }
    cx.apply(call.prim, &args).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::inverse::{PINV, SOLVE, SOLVE_TRIANGULAR};
    use super::super::prim::{Batch, Prim};
    use super::super::singular::SVD_S;
    use super::super::spectral::EIGH;
    use super::super::{determinant::DET, factor::CHOLESKY};
    use super::*;

    /// Numbers that make well-conditioned matrices of any shape: near the identity, all different.
    fn example(shape: &[usize], start: usize) -> Value {
        let n: usize = shape.iter().product();
        let (_, cols) = if shape.len() < 2 { (1, n) } else { sides(shape) };
        let entry = |k: usize| {
            let on = shape.len() > 1 && (k / cols.max(1)) % sides(shape).0.max(1) == k % cols.max(1);
            0.3 * ((start + k) as f64 * 1.7).sin() + if on { 2.0 } else { 0.0 }
        };
        Value::tensor(Tensor::from_vec(shape, (0..n).map(entry).collect()))
    }

    fn symmetric(v: &Value) -> Value {
        symmetrized(&mut Cx::default(), v).unwrap()
    }

    fn numbers(v: &Value) -> Vec<f64> {
        match v {
            Value::Tuple(parts) => parts.iter().flat_map(numbers).collect(),
            Value::Tensor(_, t) => t.iter_f64().collect(),
            Value::Float(_, x) => vec![*x],
            _ => vec![],
        }
    }

    /// The batching rule gives what one application for each example gives.
    #[track_caller]
    fn batches(prim: &'static Prim, args: &[Value], batched: &[bool]) {
        let cx = &mut Cx::default();
        let Batch::Rule(rule) = prim.batch else { panic!("{} has no rule", prim.name) };
        let n = 2;
        let whole = rule(cx, &BatchCall { prim, args, batched, n }).unwrap().unwrap();
        let mut want = vec![vec![]; 3];
        for i in 0..n {
            let one: Vec<Value> = args
                .iter()
                .zip(batched)
                .map(|(v, b)| match v {
                    Value::Tensor(_, t) if *b => Value::tensor(crate::tensor::view::index_axis(t, 0, i)),
                    v => v.clone(),
                })
                .collect();
            match cx.apply(prim, &one).unwrap() {
                Value::Tuple(parts) => parts.iter().zip(&mut want).for_each(|(p, w)| w.extend(numbers(p))),
                single => want[0].extend(numbers(&single)),
            }
        }
        let (got, want) = (numbers(&whole), want.concat());
        assert!(!got.is_empty() && got.len() == want.len(), "{}: {got:?}, want {want:?}", prim.name);
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12), "{}: {got:?}, want {want:?}", prim.name);
    }

    #[test]
    fn rules_agree_with_one_after_the_other() {
        for prim in [&DET, &INV, &PINV] {
            batches(prim, &[example(&[2, 3, 3], 0)], &[true]);
            batches(prim, &[example(&[2, 2, 2, 2], 0)], &[true]);
        }
        for prim in [&CHOLESKY, &EIGH] {
            batches(prim, &[symmetric(&example(&[2, 3, 3], 1))], &[true]);
        }
        let cx = &mut Cx::default();
        let a = example(&[2, 3, 2], 5);
        let Value::Tuple(parts) = cx.apply(&super::super::singular::SVD, std::slice::from_ref(&a)).unwrap() else {
            panic!("no tuple")
        };
        let args = [a, parts[0].clone(), parts[1].clone(), parts[2].clone()];
        batches(&SVD_S, &args, &[true; 4]);
    }

    #[test]
    fn systems_of_every_mixture() {
        let flags = [Value::Bool(true), Value::Bool(true)];
        for prim in [&SOLVE, &SOLVE_TRIANGULAR] {
            let check = |a: &[usize], b: &[usize], batched: [bool; 2]| {
                let mut args = vec![example(a, 0), example(b, 7)];
                let mut which = batched.to_vec();
                if std::ptr::eq(prim, &SOLVE_TRIANGULAR) {
                    args.extend(flags.iter().cloned());
                    which.extend([false, false]);
                }
                batches(prim, &args, &which);
            };
            check(&[2, 3, 3], &[2, 3], [true, true]);
            check(&[2, 3, 3], &[3], [true, false]);
            check(&[3, 3], &[2, 3], [false, true]);
            check(&[3, 3], &[2, 3, 2], [false, true]);
            check(&[2, 3, 3], &[2, 4, 3, 2], [true, true]);
            check(&[4, 3, 3], &[2, 3], [false, true]);
            check(&[2, 4, 3, 3], &[2, 3, 1], [true, true]);
            check(&[4, 3, 3], &[2, 3, 1], [false, true]);
        }
    }

    #[test]
    fn types_of_what_is_known() {
        let t = |shape: &[usize]| Ty::tensor(DType::F32, shape);
        assert_eq!((DET.infer)(&[t(&[4, 3, 3])]).unwrap(), t(&[4]));
        assert_eq!((DET.infer)(&[t(&[3, 3])]).unwrap(), Ty::Float);
        assert_eq!((SOLVE.infer)(&[t(&[4, 3, 3]), t(&[3])]).unwrap(), t(&[4, 3]));
        assert_eq!((SOLVE.infer)(&[t(&[3, 3]), t(&[4, 3, 2])]).unwrap(), t(&[4, 3, 2]));
        assert_eq!((PINV.infer)(&[t(&[4, 3, 2])]).unwrap(), t(&[4, 2, 3]));
        assert_eq!((INV.infer)(&[t(&[2, 3])]).unwrap_err().0.code, "E0303");
        assert_eq!((SOLVE.infer)(&[t(&[3, 3]), t(&[2])]).unwrap_err().0.code, "E0303");
        assert_eq!((SOLVE.infer)(&[t(&[2, 3, 3]), t(&[4, 3, 1])]).unwrap_err().0.code, "E0301");
        assert_eq!((INV.infer)(&[Ty::Any]).unwrap(), Ty::Any);
    }
}
