//! Arrays and pictures from files and back, behind the library module `data`: IDX, NPY, NPZ, PNG, JPEG.
//!
//! In: paths and tensors. Out: tensors; ints for whole numbers of any width, floats in the width of the file. Every complaint
//! names the file.

use std::io::Write;
use std::path::Path;

use crate::builtins::dtypes::{cast, given_dtype};
use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::files::read_bytes;
use crate::builtins::safetensors::write_whole;
use crate::builtins::{Builtin, infer};
use crate::error::{Error, Result};
use crate::formats::{Array, Numbers, Problem, idx, npy, picture, zip};
use crate::ops::prim::{Default, Param, Sig, opt, req};
use crate::show;
use crate::tensor::vecs::{bool_tensor, f32_tensor, f64_tensor, float_tensor, int_tensor};
use crate::tensor::{DType, Tensor, show_shape};
use crate::types::ty::{Dim, TensorTy, Ty};
use crate::value::{Dict, Key, Value};

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&LOAD_IDX, &LOAD_NPY, &LOAD_NPZ, &SAVE_NPY, &SAVE_NPZ, &LOAD_IMAGE, &SAVE_IMAGE];

const PATH: &[Param] = &[req("path")];
const PATH_AND_X: &[Param] = &[req("path"), req("x")];

#[cold]
fn problem(path: &str, problem: Problem) -> Error {
    let error = Error::new(fail::BAD_FILE, format!("{} {}", fail::absolute(path), problem.what));
    match problem.help {
        Some(help) => error.help(help),
        None => error,
    }
}

fn value_of(array: Array) -> Result<Value> {
    let shape = &array.shape;
    let tensor = match array.numbers {
        Numbers::Bool(data) => bool_tensor(shape, data),
        Numbers::Int(data) => int_tensor(shape, data),
        Numbers::F32(data) => f32_tensor(shape, data),
        Numbers::F64(data) => f64_tensor(shape, data),
    };
    Ok(Value::tensor(tensor?))
}

static LOAD_IDX: Builtin = Builtin {
    name: "_load_idx",
    doc: "The tensor in an IDX file, plain or compressed by gzip, in `dtype` if that is given. `_load_idx(\"train-labels-idx1-ubyte.gz\")`.",
    sig: Sig { params: &[req("path"), opt("dtype", Default::None)] },
    infer: infer::any,
    run: |vm, args| match &*args {
        [Value::Str(path), dtype] => {
            let dtype = given_dtype(&vm.cx.env, "load_idx", 1, Some(dtype))?;
            let value = value_of(idx::read(&read_bytes(path)?).map_err(|p| problem(path, p))?)?;
            match dtype {
                Some(dtype) => cast(&mut vm.cx, &value, dtype),
                None => Ok(value),
            }
        }
        [other, _] => Err(wrong_kind("load_idx", 0, "a path (str)", other)),
        _ => Err(arity("_load_idx")),
    },
};

static LOAD_NPY: Builtin = Builtin {
    name: "_load_npy",
    doc: "The tensor in an NPY file of NumPy. `_load_npy(\"weights.npy\")`.",
    sig: Sig { params: PATH },
    infer: infer::any,
    run: |_, args| match &*args {
        [Value::Str(path)] => {
            let bytes = read_bytes(path)?;
            if bytes.starts_with(b"PK") {
                let error =
                    Problem::new("is an NPZ file, with several arrays").help("data.load_npz gives them by name");
                return Err(problem(path, error));
            }
            value_of(npy::read(&bytes).map_err(|p| problem(path, p))?)
        }
        [other] => Err(wrong_kind("load_npy", 0, "a path (str)", other)),
        _ => Err(arity("_load_npy")),
    },
};

static LOAD_NPZ: Builtin = Builtin {
    name: "_load_npz",
    doc: "The tensors in an NPZ file of NumPy, as a dict by name. `_load_npz(\"data.npz\")[\"x\"]`.",
    sig: Sig { params: PATH },
    infer: infer::dict,
    run: |_, args| match &*args {
        [Value::Str(path)] => load_npz(path),
        [other] => Err(wrong_kind("load_npz", 0, "a path (str)", other)),
        _ => Err(arity("_load_npz")),
    },
};

fn load_npz(path: &str) -> Result<Value> {
    let bytes = read_bytes(path)?;
    if bytes.starts_with(b"\x93NUMPY") {
        let error = Problem::new("is an NPY file, with one array").help("data.load_npy reads it");
        return Err(problem(path, error));
    }
    let mut out = Dict::new();
    for (name, content) in zip::read(&bytes).map_err(|p| problem(path, p))? {
        let name = name.strip_suffix(".npy").unwrap_or(&name);
        let array = npy::read(&content).map_err(|p| {
            let what = format!("has an entry {} that {}", show::quote(name), p.what);
            problem(path, Problem { what, help: p.help })
        })?;
        out.insert(Key::Str(name.into()), value_of(array)?);
    }
    Ok(Value::Dict(out.into()))
}

static SAVE_NPY: Builtin = Builtin {
    name: "_save_npy",
    doc: "Writes a tensor or number as an NPY file for NumPy. `_save_npy(\"weights.npy\", w)`.",
    sig: Sig { params: PATH_AND_X },
    infer: infer::none,
    run: |_, args| match &*args {
        [Value::Str(path), x] => {
            let bytes = npy_bytes(x).ok_or_else(|| wrong_kind("save_npy", 1, "a tensor or number", x))?;
            write(path, &bytes)
        }
        [other, _] => Err(wrong_kind("save_npy", 0, "a path (str)", other)),
        _ => Err(arity("_save_npy")),
    },
};

static SAVE_NPZ: Builtin = Builtin {
    name: "_save_npz",
    doc: "Writes a dict of tensors or numbers as an NPZ file for NumPy. `_save_npz(\"data.npz\", dict(x: x, y: y))`.",
    sig: Sig { params: &[req("path"), req("arrays")] },
    infer: infer::none,
    run: |_, args| match &*args {
        [Value::Str(path), Value::Dict(dict)] => {
            let mut entries = vec![];
            for (key, x) in dict.iter() {
                let name = match key {
                    Key::Str(name) => name.to_string(),
                    Key::Int(i) => i.to_string(),
                };
                let bytes = npy_bytes(x).ok_or_else(|| {
                    let kind = fail::with_article(&x.type_name());
                    Error::new(
                        fail::WRONG_KIND,
                        format!("NPZ files hold tensors and numbers, but {} is {kind}", show::quote(&name)),
                    )
                    .operand(1, "this dict")
                    .help("io.save keeps any structure")
                })?;
                entries.push((format!("{name}.npy"), bytes));
            }
            let bytes = zip::write(&entries).ok_or_else(|| {
                Error::new(fail::BAD_ARGUMENT, "this is more than an NPZ file holds (4 GiB, 65535 arrays)")
                    .help("save_npy writes each to a file of its own")
            })?;
            write(path, &bytes)
        }
        [Value::Str(_), other] => Err(wrong_kind("save_npz", 1, "a dict of tensors", other)),
        [other, _] => Err(wrong_kind("save_npz", 0, "a path (str)", other)),
        _ => Err(arity("_save_npz")),
    },
};

fn write(path: &str, bytes: &[u8]) -> Result<Value> {
    write_whole(Path::new(path), |out| out.write_all(bytes)).map_err(|e| fail::cannot_write(path, &e))?;
    Ok(Value::None)
}

/// The content of an NPY file; none for what is no number.
fn npy_bytes(x: &Value) -> Option<Vec<u8>> {
    Some(match x {
        Value::Bool(b) => npy::write("|b1", &[], &[u8::from(*b)]),
        Value::Int(i) => npy::write("<i8", &[], &i.to_le_bytes()),
        Value::Float(_, x) => npy::write("<f8", &[], &x.to_le_bytes()),
        Value::Tensor(_, t) => {
            let descr = match t.dtype() {
                DType::Bool => "|b1",
                DType::Int => "<i8",
                DType::F32 => "<f4",
                DType::F64 => "<f8",
            };
            npy::write(descr, t.shape(), &t.to_le_bytes())
        }
        _ => return None,
    })
}

static LOAD_IMAGE: Builtin = Builtin {
    name: "_load_image",
    doc: "A PNG or JPEG as `float[h, w, c]` between 0 and 1, with `c` 1 for gray, 3 for red, green and blue, 2 and 4 with alpha. \
          `_load_image(\"cat.png\")`.",
    sig: Sig { params: PATH },
    // f32 or f64, as the default dtype is.
    infer: |_| {
        let dims = [Dim::Some, Dim::Some, Dim::Some].into_iter().collect();
        Ok(Ty::Tensor(TensorTy { dtype: None, dims: Some(dims) }))
    },
    run: |vm, args| match &*args {
        [Value::Str(path)] => {
            let pixels = picture::read(&read_bytes(path)?).map_err(|p| problem(path, p))?;
            let tensor = match vm.cx.env.dtype {
                DType::F32 => f32_tensor(&pixels.shape, pixels.values)?,
                dtype => float_tensor(dtype, &pixels.shape, pixels.values.into_iter().map(f64::from).collect())?,
            };
            Ok(Value::tensor(tensor))
        }
        [other] => Err(wrong_kind("load_image", 0, "a path (str)", other)),
        _ => Err(arity("_load_image")),
    },
};

static SAVE_IMAGE: Builtin = Builtin {
    name: "_save_image",
    doc: "Writes `x[h, w]` or `x[h, w, c]` between 0 and 1 (what lies outside is cut off) as PNG. `_save_image(\"out.png\", x)`.",
    sig: Sig { params: PATH_AND_X },
    infer: infer::none,
    run: |_, args| match &*args {
        [Value::Str(path), Value::Tensor(_, t)] => save_image(path, t),
        [Value::Str(_), other] => Err(wrong_kind("save_image", 1, "a tensor [h, w] or [h, w, c]", other)),
        [other, _] => Err(wrong_kind("save_image", 0, "a path (str)", other)),
        _ => Err(arity("_save_image")),
    },
};

fn save_image(path: &str, t: &Tensor) -> Result<Value> {
    if !path.to_ascii_lowercase().ends_with(".png") {
        let what = format!("save_image writes PNG files, but the path is {}", show::quote(path));
        return Err(Error::new(fail::NO_WRITE, what).operand(0, "this path").help("end it in .png"));
    }
    let (height, width, channels) = match t.shape() {
        [h, w] => (*h, *w, 1),
        [h, w, c @ 1..=4] => (*h, *w, *c),
        shape => return Err(no_image(shape)),
    };
    if height == 0 || width == 0 {
        return Err(no_image(t.shape()));
    }
    let values = t.to_f64s();
    if let Some(bad) = values.iter().find(|v| v.is_nan()) {
        return Err(Error::new(fail::NO_WRITE, format!("an image has no pixels of {bad}"))
            .operand(1, "this tensor")
            .help("find where it arises with `dlang --check-nan`, or replace it: where(isnan(x), 0.0, x)"));
    }
    let bytes: Vec<u8> = values.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    let file = picture::write_png(height, width, channels, &bytes);
    write(path, &file.map_err(|p| Error::new(fail::NO_WRITE, p.what))?)
}

#[cold]
fn no_image(shape: &[usize]) -> Error {
    let error = Error::new(
        fail::NO_WRITE,
        format!("an image is [h, w] or [h, w, c] with 1 to 4 channels, but this is {}", show_shape(shape)),
    )
    .operand(1, format!("its shape is {}", show_shape(shape)));
    match shape {
        [1 | 3 | 4, _, _] => error.help("channels come last: permute(x, (1, 2, 0))"),
        [_, _, _, _] => error.help("save one at a time, or all in one picture with plot.images"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::scratch::Scratch;

    #[test]
    fn every_problem_names_its_file() {
        let dir = Scratch::new("data-files");
        let path = dir.path("x.npz");
        std::fs::write(&path, zip::write(&[("a.npy".to_string(), b"no".to_vec())]).unwrap()).unwrap();
        let error = load_npz(&path).unwrap_err();
        assert_eq!(error.0.code, fail::BAD_FILE);
        assert!(
            error.0.message.contains(&path) && error.0.message.contains("\"a\" that is no NPY file"),
            "{}",
            error.0.message
        );
    }

    #[test]
    fn bytes_of_images_are_rounded() {
        let dir = Scratch::new("images");
        let path = dir.path("x.png");
        let t = f64_tensor(&[1, 4], vec![-1.0, 0.5, 1.0, 7.0]).unwrap();
        save_image(&path, &t).unwrap();
        let back = picture::read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(back.values, [0.0, 128.0 / 255.0, 1.0, 1.0]);
        assert!(save_image(&dir.path("x.jpg"), &t).is_err());
        assert!(save_image(&path, &f64_tensor(&[3, 2, 2], vec![0.0; 12]).unwrap()).is_ok());
        assert!(save_image(&path, &f64_tensor(&[2, 2, 5], vec![0.0; 20]).unwrap()).is_err());
        assert!(save_image(&path, &f64_tensor(&[1, 1], vec![f64::NAN]).unwrap()).is_err());
    }
}
