//! Files of bytes, and numbers and text as bytes.
//!
//! In and out: bytes as int tensors `[n]` of 0 to 255. Numbers are little-endian.

use std::io::Write;

use crate::builtins::dtypes::dtype_of;
use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::files::{read_bytes, utf8};
use crate::builtins::{Builtin, infer};
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::tensor::vecs::{bool_tensor, f32_tensor, f64_tensor, int_tensor};
use crate::tensor::{DType, Tensor};
use crate::types::ty::{Dim, TensorTy, Ty};
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&READ_BYTES, &WRITE_BYTES, &TO_BYTES, &FROM_BYTES];

fn infer_bytes(_: &[Ty]) -> Result<Ty> {
    Ok(Ty::Tensor(TensorTy { dtype: Some(DType::Int), dims: Some([Dim::Some].into_iter().collect()) }))
}

fn ints(bytes: &[u8]) -> Result<Value> {
    Ok(Value::tensor(int_tensor(&[bytes.len()], bytes.iter().map(|b| i64::from(*b)).collect())?))
}

/// Argument `i` of `function` as bytes: an int tensor with one axis, or a list of ints.
fn bytes_of(function: &str, i: usize, x: &Value) -> Result<Vec<u8>> {
    let numbers: Option<Vec<i64>> = match x {
        Value::Tensor(_, t) => match &**t {
            Tensor::Int(a) if a.ndim() == 1 => Some(a.iter().copied().collect()),
            // An empty literal is of floats.
            other if other.shape() == [0] => Some(vec![]),
            _ => None,
        },
        Value::List(items) => items.iter().map(|item| if let Value::Int(n) = item { Some(*n) } else { None }).collect(),
        _ => None,
    };
    let numbers = numbers.ok_or_else(|| wrong_kind(function, i, "bytes (an int tensor with one axis)", x))?;
    numbers.iter().enumerate().map(|(at, n)| u8::try_from(*n).map_err(|_| no_byte(function, i, at, *n))).collect()
}

#[cold]
fn no_byte(function: &str, i: usize, at: usize, n: i64) -> Error {
    Error::new(fail::BAD_ARGUMENT, format!("{function} takes bytes, 0 to 255, but number {at} (counted from 0) is {n}"))
        .operand(i, "these are not all bytes")
        .help("to_bytes(x) gives the bytes of larger numbers")
}

static READ_BYTES: Builtin = Builtin {
    name: "read_bytes",
    doc: "The bytes of a file as ints of 0 to 255: `int[n]`. `read_bytes(\"image.png\")[1:4]` is `[80, 78, 71]`.",
    sig: Sig { params: &[req("path")] },
    infer: infer_bytes,
    run: |_, args| match args {
        [Value::Str(path)] => ints(&read_bytes(path)?),
        [other] => Err(wrong_kind("read_bytes", 0, "a path (str)", other)),
        _ => Err(arity("read_bytes")),
    },
};

static WRITE_BYTES: Builtin = Builtin {
    name: "write_bytes",
    doc: "Writes bytes, ints of 0 to 255 in a tensor `[n]` or a list, to a file, in place of what was there, or with `append: true` after it. \
          `write_bytes(\"data.bin\", to_bytes(ones(3)))`.",
    sig: Sig { params: &[req("path"), req("bytes"), opt("append", Default::Bool(false))] },
    infer: infer::none,
    run: |_, args| match &*args {
        [Value::Str(path), bytes, Value::Bool(append)] => {
            let bytes = bytes_of("write_bytes", 1, bytes)?;
            let mut options = std::fs::OpenOptions::new();
            options.create(true).write(true).append(*append).truncate(!*append);
            let written = options.open(path.as_str()).and_then(|mut file| file.write_all(&bytes));
            written.map_err(|e| fail::cannot_write(path, &e))?;
            Ok(Value::None)
        }
        [Value::Str(_), _, other] => Err(wrong_kind("write_bytes", 2, "a bool for append", other)),
        [other, ..] => Err(wrong_kind("write_bytes", 0, "a path (str)", other)),
        [] => Err(arity("write_bytes")),
    },
};

static TO_BYTES: Builtin = Builtin {
    name: "to_bytes",
    doc: "The bytes of numbers, `int[n]`, row by row and little-endian: 4 for each f32, 8 for f64 and int, 1 for bool; of a str its UTF-8. \
          `to_bytes(1.0)` is `[0, 0, 0, 0, 0, 0, 240, 63]`, `to_bytes(\"né\")` is `[110, 195, 169]`.",
    sig: Sig { params: &[req("x")] },
    infer: infer_bytes,
    run: |_, args| match &*args {
        [Value::Str(text)] => ints(text.as_bytes()),
        [Value::Tensor(_, t)] => ints(&t.to_le_bytes()),
        [Value::Float(_, x)] => ints(&x.to_le_bytes()),
        [Value::Int(n)] => ints(&n.to_le_bytes()),
        [Value::Bool(b)] => ints(&[u8::from(*b)]),
        [other] => Err(wrong_kind("to_bytes", 0, "numbers or a str", other)),
        _ => Err(arity("to_bytes")),
    },
};

fn infer_from(args: &[Ty]) -> Result<Ty> {
    let dtype = crate::builtins::dtypes::infer_dtype(args.get(1), None);
    Ok(match dtype {
        Some(_) => Ty::Tensor(TensorTy { dtype, dims: Some([Dim::Some].into_iter().collect()) }),
        None => Ty::Any,
    })
}

static FROM_BYTES: Builtin = Builtin {
    name: "from_bytes",
    doc: "What bytes say, as `to_bytes` makes them: numbers `[n]` of a dtype (f32, f64, int, bool), or with `str` a text in UTF-8. \
          `from_bytes(to_bytes([1.5, 2.5]), f32)` is `[1.5, 2.5]`, `from_bytes([104, 105], str)` is `\"hi\"`.",
    sig: Sig { params: &[req("bytes"), req("dtype")] },
    infer: infer_from,
    run: |vm, args| {
        let [bytes, dtype] = &*args else { return Err(arity("from_bytes")) };
        let bytes = bytes_of("from_bytes", 0, bytes)?;
        if let Value::Builtin(b) = dtype
            && b.name == "str"
        {
            return utf8(bytes, "this").map(Value::str);
        }
        let dtype = dtype_of(&vm.cx.env, "from_bytes", 1, dtype)?;
        from_bytes(&bytes, dtype).map(Value::tensor)
    },
};

fn from_bytes(bytes: &[u8], dtype: DType) -> Result<Tensor> {
    fn elements<T, const N: usize>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
        bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(read).collect()
    }
    let width = match dtype {
        DType::Bool => 1,
        DType::F32 => 4,
        DType::Int | DType::F64 => 8,
    };
    if !bytes.len().is_multiple_of(width) {
        let what = format!("{} bytes are no whole number of {dtype}, which has {width} bytes", bytes.len());
        return Err(Error::new(fail::BAD_ARGUMENT, what)
            .operand(0, "these bytes")
            .help("take the part that holds them, as with bytes[8:]"));
    }
    if let Some(at) = bytes.iter().position(|b| dtype == DType::Bool && *b > 1) {
        let byte = bytes.get(at).copied().unwrap_or(0);
        let what = format!("bytes of bools are 0 or 1, but number {at} (counted from 0) is {byte}");
        return Err(Error::new(fail::BAD_ARGUMENT, what).operand(0, "these bytes"));
    }
    let n = [bytes.len() / width];
    match dtype {
        DType::Bool => bool_tensor(&n, elements(bytes, |[b]: [u8; 1]| b != 0)),
        DType::Int => int_tensor(&n, elements(bytes, i64::from_le_bytes)),
        DType::F32 => f32_tensor(&n, elements(bytes, f32::from_le_bytes)),
        DType::F64 => f64_tensor(&n, elements(bytes, f64::from_le_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_bytes() {
        let tensors = [
            f32_tensor(&[3], vec![1.5, -0.0, f32::MIN_POSITIVE / 4.0]),
            f64_tensor(&[2], vec![f64::INFINITY, -1e300]),
            int_tensor(&[2], vec![i64::MIN, 7]),
            bool_tensor(&[2], vec![true, false]),
        ];
        for t in tensors.into_iter().map(|t| t.unwrap()) {
            let bytes = t.to_le_bytes();
            assert_eq!(from_bytes(&bytes, t.dtype()).unwrap().to_le_bytes(), bytes);
        }
        assert!(from_bytes(&[0; 6], DType::F32).is_err() && from_bytes(&[2], DType::Bool).is_err());
        assert!(from_bytes(&[], DType::F64).unwrap().is_empty());
    }
}
