//! Decompositions with several results, `eigh`, `svd`, `qr`, and `lstsq`, made of primitives so that derivatives flow:
//! one without derivative decomposes, one for each result brings its rule (`ops/factor.rs`).

use crate::ad::Cx;
use crate::builtins::Builtin;
use crate::builtins::fail::arity;
use crate::error::{Error, Result};
use crate::ops::factor::{CHECK_SYMMETRIC, CHOLESKY, QR, QR_Q, QR_R, infer_qr};
use crate::ops::index::{GET_INDEX, slice};
use crate::ops::inverse::PINV;
use crate::ops::join::CONCAT;
use crate::ops::linalg::MATMUL;
use crate::ops::matrices::{Kind, infer_square, matrix, matrix_type, sides, transpose};
use crate::ops::prim::{Default, Prim, Sig, opt, req};
use crate::ops::singular::{SVD, SVD_S, SVD_U, SVD_VT, infer_svd};
use crate::ops::spectral::{EIGH, EIGH_VALUES, EIGH_VECTORS, infer_eigh};
use crate::tensor::create::article;
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;
use crate::vm::Vm;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&CHOLESKY_BUILTIN, &EIGH_BUILTIN, &SVD_BUILTIN, &QR_BUILTIN, &PINV_BUILTIN, &LSTSQ];

/// Decomposes once, then makes each result a function of the matrix.
fn decompose(cx: &mut Cx, a: &Value, whole: &'static Prim, parts: &[&'static Prim]) -> Result<Vec<Value>> {
    let Value::Tuple(results) = cx.apply(whole, std::slice::from_ref(a))? else {
        return Err(Error::new("E0400", format!("bug in dlang: {} gave no tuple", whole.name)));
    };
    let mut args = vec![a.clone()];
    args.extend(results.iter().cloned());
    parts.iter().map(|part| cx.apply(part, &args)).collect()
}

/// Rows and columns, if it is a matrix at all.
fn size(a: &Value) -> (usize, usize) {
    sides(a.shape().unwrap_or(&[]))
}

// ---- symmetric matrices ----

static CHOLESKY_BUILTIN: Builtin = Builtin {
    name: "cholesky",
    doc: "The lower triangular `l` with `a == l @ l.t` for each symmetric positive definite matrix `a[..., n, n]`. A matrix that is \
          not symmetric (but for rounding) or not positive definite is an error. The gradient is symmetric.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_square("cholesky", args),
    run: |vm, args| {
        let [a] = args else { return Err(arity("cholesky")) };
        vm.cx.apply(&CHECK_SYMMETRIC, &[a.clone(), Value::str("cholesky")])?;
        vm.cx.apply(&CHOLESKY, std::slice::from_ref(a))
    },
};

static EIGH_BUILTIN: Builtin = Builtin {
    name: "eigh",
    doc: "`(values, vectors)` of each symmetric matrix `a[..., n, n]`: eigenvalues `[..., n]` in ascending order, and their vectors \
          as the columns of `[..., n, n]`, the largest entry of each positive. The gradient is symmetric; of vectors whose values \
          coincide it is an error. `eigh([[2.0, 1.0], [1.0, 2.0]])[0]` is `[1.0, 3.0]`.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_eigh(args).map(|(values, vectors)| Ty::tuple(vec![values, vectors])),
    run: |vm, args| {
        let [a] = args else { return Err(arity("eigh")) };
        vm.cx.apply(&CHECK_SYMMETRIC, &[a.clone(), Value::str("eigh")])?;
        decompose(&mut vm.cx, a, &EIGH, &[&EIGH_VALUES, &EIGH_VECTORS]).map(Value::tuple)
    },
};

// ---- svd ----

static SVD_BUILTIN: Builtin = Builtin {
    name: "svd",
    doc: "The thin singular value decomposition `(u, s, vt)` of each matrix `a[..., m, n]`, with `a == (u * s) @ vt`: `u[..., m, k]`, \
          `s[..., k]` in descending order, `vt[..., k, n]`, k the smaller of m and n; the largest entry of each column of `u` is \
          positive. A value 0 has slope 0; the gradient of vectors whose values coincide is an error.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_svd(args).map(|parts| Ty::tuple(parts.to_vec())),
    run: |vm, args| {
        let [a] = args else { return Err(arity("svd")) };
        let parts: [&'static Prim; 3] = [&SVD_U, &SVD_S, &SVD_VT];
        let cx = &mut vm.cx;
        let (rows, cols) = size(a);
        if rows >= cols {
            return decompose(cx, a, &SVD, &parts).map(Value::tuple);
        }
        let turned = transpose(cx, a)?;
        let mut results = decompose(cx, &turned, &SVD, &parts)?;
        results.reverse();
        if let [u, _, vt] = &mut results[..] {
            (*u, *vt) = (transpose(cx, u)?, transpose(cx, vt)?);
        }
        Ok(Value::tuple(results))
    },
};

// ---- qr ----

static QR_BUILTIN: Builtin = Builtin {
    name: "qr",
    doc: "The reduced decomposition `(q, r)` of each matrix `a[..., m, n]`, with `a == q @ r`: `q[..., m, k]` with orthonormal \
          columns, `r[..., k, n]` upper triangular with a diagonal of 0 or more, k the smaller of m and n. Differentiating it \
          where the first k columns are dependent is an error.",
    sig: Sig { params: &[req("a")] },
    infer: |args| infer_qr(args).map(|(q, r)| Ty::tuple(vec![q, r])),
    run: qr,
};

fn qr(vm: &mut Vm, args: &mut [Value]) -> Result<Value> {
    let [a] = args else { return Err(arity("qr")) };
    let cx = &mut vm.cx;
    let (rows, cols) = size(a);
    if rows >= cols {
        return decompose(cx, a, &QR, &[&QR_Q, &QR_R]).map(Value::tuple);
    }
    // The first columns, which are square, decide q; the others are turned by it.
    let mut columns = |start: usize, stop: usize| {
        let index = Value::tuple(vec![Value::str("..."), slice(start, stop)]);
        cx.apply(&GET_INDEX, &[a.clone(), index])
    };
    let (first, others) = (columns(0, rows)?, columns(rows, cols)?);
    let parts = decompose(cx, &first, &QR, &[&QR_Q, &QR_R])?;
    let [q, r] = &parts[..] else { return Err(arity("qr")) };
    let turned = transpose(cx, q)?;
    let rest = cx.apply(&MATMUL, &[turned, others])?;
    let r = cx.apply(&CONCAT, &[Value::Int(-1), r.clone(), rest])?;
    Ok(Value::tuple(vec![q.clone(), r]))
}

// ---- least squares ----

/// The pseudo-inverse; wide matrices are transposed, for which its rules are not made.
fn pinv(cx: &mut Cx, a: &Value, rtol: &Value) -> Result<Value> {
    let (rows, cols) = size(a);
    if rows >= cols {
        return cx.apply(&PINV, &[a.clone(), rtol.clone()]);
    }
    let turned = transpose(cx, a)?;
    let inverse = cx.apply(&PINV, &[turned, rtol.clone()])?;
    transpose(cx, &inverse)
}

static PINV_BUILTIN: Builtin = Builtin {
    name: "_pinv_any",
    doc: "The pseudo-inverse of each matrix, of any shape; see `linalg.pinv`.",
    sig: Sig { params: &[req("a"), opt("rtol", Default::None)] },
    infer: PINV.infer,
    run: |vm, args| {
        let [a, rtol] = args else { return Err(arity("pinv")) };
        pinv(&mut vm.cx, a, rtol).map_err(|e| renamed(e, "pinv"))
    },
};

static LSTSQ: Builtin = Builtin {
    name: "lstsq",
    doc: "The `x` for which `norm(a @ x - b)` is least, for each matrix `a[..., m, n]`; of several the shortest. `b` is a vector \
          `[m]` or matrices `[..., m, k]`, `x` is `[n]` or `[..., n, k]`. Singular values that count as 0 are left out, and the \
          derivative is that at constant rank.",
    sig: Sig { params: &[req("a"), req("b")] },
    infer: infer_lstsq,
    run: |vm, args| {
        if args.first().and_then(Value::shape).is_none_or(|s| s.len() < 2) {
            matrix(&vm.cx.env, "lstsq", args, 0, Kind::Any)?;
        }
        let [a, b] = args else { return Err(arity("lstsq")) };
        let cx = &mut vm.cx;
        if b.shape().is_none_or(<[usize]>::is_empty) {
            return Err(no_right_side(&b.type_name()));
        }
        let inverse = pinv(cx, a, &Value::None).map_err(|e| renamed(e, "lstsq"))?;
        let (kind_a, kind_b, rows) = (a.type_name(), b.type_name(), size(a).0);
        cx.apply(&MATMUL, &[inverse, b.clone()]).map_err(|error| match b.shape() {
            Some([m] | [.., m, _]) if *m != rows => misfit(&kind_a, &kind_b, rows, *m),
            _ => error,
        })
    },
};

/// What the decomposition inside says of its matrix, said of the function that the user called.
#[cold]
fn renamed(mut error: Error, name: &str) -> Error {
    error.0.message = error.0.message.replace("given to svd", &format!("given to {name}"));
    error
}

#[cold]
fn no_right_side(kind: &str) -> Error {
    let kind = article(kind);
    Error::new("E0303", format!("lstsq wants a vector or a matrix on the right, not {kind}"))
        .operand(1, format!("this is {kind}"))
}

#[cold]
fn misfit(kind_a: &str, kind_b: &str, n: usize, rows: usize) -> Error {
    Error::new("E0303", format!("lstsq of {kind_a} and {kind_b}: {n} equations, but {rows} right-hand sides"))
        .operand(0, format!("this is {kind_a}"))
        .operand(1, format!("this is {kind_b}"))
}

fn infer_lstsq(args: &[Ty]) -> Result<Ty> {
    let a = matrix_type("lstsq", args, 0, Kind::Any)?;
    let inverse = (PINV.infer)(args.get(..1).unwrap_or(&[]))?;
    if let Some(b @ (Ty::Float | Ty::Int(_) | Ty::Bool(_) | Ty::Str(_) | Ty::None)) = args.get(1) {
        return Err(no_right_side(&crate::ops::shape_rules::show(b)));
    }
    let rows = |dims: &Dims| if dims.len() == 1 { dims.first().copied() } else { dims.iter().rev().nth(1).copied() };
    if let (Some((_, Some(a))), Some(b)) = (a, args.get(1).and_then(Ty::dims))
        && let (Some(Dim::Known(n)), Some(Dim::Known(m))) = (rows(&a), rows(&b))
        && n != m
    {
        let kind = |i: usize| args.get(i).map_or_else(String::new, crate::ops::shape_rules::show);
        return Err(misfit(&kind(0), &kind(1), n, m));
    }
    (MATMUL.infer)(&[inverse, args.get(1).cloned().unwrap_or_default()])
}
