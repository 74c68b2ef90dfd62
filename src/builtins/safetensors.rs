//! Saving and loading any structure as a `.safetensors` file, behind the library module `io`.
//!
//! A file is the length of a JSON header (8 bytes, little-endian), the header (name to dtype, shape and place of each tensor) and the
//! tensors' bytes. What a value has besides tensors stands in the header's metadata under `dlang` (see `saved.rs`);
//! files without it, from other programs, are dicts of tensors.
//!
//! Invariants: a file is written whole or not at all; nothing in a file is trusted before it is checked against the file's length,
//! so a damaged file is an error and never a panic or a large allocation.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::files::read_bytes;
use crate::builtins::load_like::{load_like, widened};
use crate::builtins::saved::{self, Entries, Kind, METADATA, Node};
use crate::builtins::{Builtin, infer};
use crate::error::{Error, Result};
use crate::ops::prim::{Sig, req};
use crate::tensor::vecs::{bool_tensor, f32_tensor, f64_tensor, int_tensor};
use crate::tensor::{DType, Tensor, show_shape};
use crate::value::{Dict, Key, RangeValue, Value};

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&SAVE, &LOAD, &LOAD_LIKE];

static SAVE: Builtin = Builtin {
    name: "_io_save",
    doc: "Writes any structure of tensors, numbers, bools, strs and `none` as one safetensors file, whole or not at all. \
          `_io_save(\"model.safetensors\", model)`.",
    sig: Sig { params: &[req("path"), req("value")] },
    infer: infer::none,
    run: |_, args| match &*args {
        [Value::Str(path), value] => {
            save(path, value)?;
            Ok(Value::None)
        }
        [other, _] => Err(wrong_kind("save", 0, "a path (str)", other)),
        _ => Err(arity("_io_save")),
    },
};

static LOAD: Builtin = Builtin {
    name: "_io_load",
    doc: "Reads a safetensors file: what `save` wrote, with dicts for structs and `none` for functions; of another program's file, a \
          dict of tensors by name. `_io_load(\"model.safetensors\")`.",
    sig: Sig { params: &[req("path")] },
    infer: infer::any,
    run: |_, args| match &*args {
        [Value::Str(path)] => load(path),
        [other] => Err(wrong_kind("load", 0, "a path (str)", other)),
        _ => Err(arity("_io_load")),
    },
};

static LOAD_LIKE: Builtin = Builtin {
    name: "_io_load_like",
    doc: "Reads a safetensors file that must have the structure, shapes and dtypes of `like`; gives structs as structs, and functions as \
          `like` has them. `_io_load_like(\"model.safetensors\", model)`.",
    sig: Sig { params: &[req("path"), req("like")] },
    infer: |args| Ok(args.get(1).map(widened).unwrap_or_default()),
    run: |_, args| match &*args {
        [Value::Str(path), like] => load_like(&File::read(path)?, like),
        [other, _] => Err(wrong_kind("load", 0, "a path (str)", other)),
        _ => Err(arity("_io_load_like")),
    },
};

/// Writes `value` to `path`.
pub fn save(path: &str, value: &Value) -> Result<()> {
    let (node, entries) = saved::take_apart(value)?;
    let written = write_whole(Path::new(path), |out| write_file(out, &node, &entries));
    written.map_err(|e| fail::cannot_write(path, &e))
}

/// Writes a file beside its place and moves it there when it is complete.
pub fn write_whole(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<std::fs::File>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    // Through a link, so that the link stays.
    let target: PathBuf = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if target.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let Some(name) = target.file_name() else { return Err(std::io::ErrorKind::NotFound.into()) };
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}.tmp", std::process::id()));
    let temporary = target.with_file_name(temporary_name);
    let result = (|| {
        let mut out = BufWriter::new(std::fs::File::create(&temporary)?);
        content(&mut out)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&temporary, &target)
    })();
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

fn dtype_name(dtype: DType) -> (&'static str, usize) {
    match dtype {
        DType::Bool => ("BOOL", 1),
        DType::Int => ("I64", 8),
        DType::F32 => ("F32", 4),
        DType::F64 => ("F64", 8),
    }
}

fn write_file(out: &mut impl Write, node: &Node, entries: &Entries) -> std::io::Result<()> {
    // Wide elements first, so that each tensor is aligned.
    let mut sorted: Vec<(&String, &Tensor)> = entries.iter().collect();
    sorted.sort_by_key(|(_, t)| std::cmp::Reverse(dtype_name(t.dtype()).1));
    let mut header = Map::new();
    header.insert(METADATA.to_string(), serde_json::json!({ "dlang": saved::to_json(node) }));
    let mut start = 0;
    for (name, tensor) in &sorted {
        let (dtype, size) = dtype_name(tensor.dtype());
        let end = start + tensor.len() * size;
        let info = serde_json::json!({ "dtype": dtype, "shape": tensor.shape(), "data_offsets": [start, end] });
        header.insert((*name).clone(), info);
        start = end;
    }
    let mut header = Json::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for (_, tensor) in sorted {
        out.write_all(&tensor.to_le_bytes())?;
    }
    out.flush()
}

/// A file that was read: entries by name, and the tree if dlang wrote it.
pub struct File {
    /// Absolute, for messages.
    pub path: String,
    pub entries: Entries,
    pub tree: Option<Node>,
}

impl File {
    /// Reads and checks a file.
    pub fn read(path: &str) -> Result<File> {
        if std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            return Err(Error::new(fail::UNREADABLE, format!("{} is not a file", fail::absolute(path))));
        }
        File::parse(fail::absolute(path), &read_bytes(path)?)
    }

    fn parse(path: String, bytes: &[u8]) -> Result<File> {
        let damaged = |what: String| damaged(&path, what);
        let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(damaged(format!("it has only {} bytes", bytes.len())));
        };
        let length = u64::from_le_bytes(*length);
        let cut = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n));
        let Some((header, data)) = cut else {
            let what = format!("a header of {length} bytes is announced, but there are only {} more", rest.len());
            return Err(damaged(what).note("it may have been cut off, or be a file of another kind"));
        };
        let header: Json =
            serde_json::from_slice(header).map_err(|e| damaged(format!("its header is not JSON: {e}")))?;
        let Json::Object(header) = header else { return Err(damaged("its header is no JSON object".to_string())) };
        let mut file = File { path: path.clone(), entries: Entries::with_capacity(header.len()), tree: None };
        let mut used = 0;
        for (name, info) in &header {
            if name == METADATA {
                if let Some(tree) = info.get("dlang") {
                    let tree = tree.as_str().and_then(saved::from_json);
                    file.tree =
                        Some(tree.ok_or_else(|| damaged("the structure in its metadata can't be read".to_string()))?);
                }
                continue;
            }
            let place = Place::of(info).ok_or_else(|| damaged(format!("its header describes {name} wrongly")))?;
            let Some(bytes) = data.get(place.start..place.end) else {
                let (end, all) = (place.end, data.len());
                return Err(damaged(format!(
                    "it is cut off: {name} ends at byte {end} of the data, but there are {all}"
                )));
            };
            used = used.max(place.end);
            let tensor = decode(&place, bytes).map_err(|what| damaged(format!("{name} {what}")))?;
            file.entries.insert(name.clone(), tensor);
        }
        if used != data.len() {
            return Err(damaged(format!("it has {} bytes after its last tensor", data.len() - used)));
        }
        Ok(file)
    }

    /// An entry that the tree names.
    pub fn entry(&self, name: &str) -> Result<&Tensor> {
        self.entries
            .get(name)
            .ok_or_else(|| damaged(&self.path, format!("its structure names {name}, which is not in it")))
    }

    /// The scalars of a packed list or tuple.
    pub fn scalars(&self, name: &str) -> Result<Vec<Value>> {
        let tensor = self.entry(name)?;
        match tensor {
            Tensor::Int(a) if tensor.rank() == 1 => Ok(a.iter().map(|&i| Value::Int(i)).collect()),
            Tensor::F64(a) if tensor.rank() == 1 => Ok(a.iter().map(|&x| Value::float(x)).collect()),
            _ => Err(self.other_kind(name)),
        }
    }

    /// An entry with another type than the tree says.
    #[cold]
    pub fn other_kind(&self, name: &str) -> Error {
        damaged(&self.path, format!("{name} is not what its structure says"))
    }
}

#[cold]
fn damaged(path: &str, what: String) -> Error {
    Error::new(fail::BAD_SAFETENSORS, format!("{path} is no safetensors file, or a damaged one: {what}"))
}

/// Where an entry stands, as its header says.
struct Place {
    dtype: String,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

impl Place {
    fn of(info: &Json) -> Option<Place> {
        let int = |json: &Json| json.as_u64().and_then(|n| usize::try_from(n).ok());
        let shape = info.get("shape")?.as_array()?.iter().map(int).collect::<Option<Vec<_>>>()?;
        let [start, end] = info.get("data_offsets")?.as_array()?.as_slice() else { return None };
        Some(Place { dtype: info.get("dtype")?.as_str()?.to_string(), shape, start: int(start)?, end: int(end)? })
    }
}

/// The tensor of an entry's bytes, or what is wrong with it. Dtypes that dlang has not become the next wider one.
fn decode(place: &Place, bytes: &[u8]) -> std::result::Result<Tensor, String> {
    let size = match place.dtype.as_str() {
        "BOOL" | "I8" | "U8" => 1,
        "F16" | "BF16" | "I16" | "U16" => 2,
        "F32" | "I32" | "U32" => 4,
        "F64" | "I64" | "U64" => 8,
        other => return Err(format!("has elements of type {other}, which dlang does not know")),
    };
    let count = place.shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
    if count.and_then(|n| n.checked_mul(size)) != Some(bytes.len()) {
        let shape = show_shape(&place.shape);
        return Err(format!("has {} bytes, which is not what {} of shape {shape} need", bytes.len(), place.dtype));
    }
    let shape = &place.shape;
    let ints = |data: Vec<i64>| int_tensor(shape, data);
    let tensor = match place.dtype.as_str() {
        "BOOL" => bool_tensor(shape, bytes.iter().map(|&b| b != 0).collect()),
        "I8" => ints(elements(bytes, |[b]: [u8; 1]| i64::from(b as i8))),
        "U8" => ints(elements(bytes, |[b]: [u8; 1]| i64::from(b))),
        "I16" => ints(elements(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        "U16" => ints(elements(bytes, |b| i64::from(u16::from_le_bytes(b)))),
        "I32" => ints(elements(bytes, |b| i64::from(i32::from_le_bytes(b)))),
        "U32" => ints(elements(bytes, |b| i64::from(u32::from_le_bytes(b)))),
        "I64" => ints(elements(bytes, i64::from_le_bytes)),
        "U64" => {
            let data: Option<Vec<i64>> =
                elements(bytes, |b| i64::try_from(u64::from_le_bytes(b)).ok()).into_iter().collect();
            ints(data.ok_or("has ints of more than 63 bits")?)
        }
        "F16" => f32_tensor(shape, elements(bytes, |b| half(u16::from_le_bytes(b)))),
        // The upper half of an f32.
        "BF16" => f32_tensor(shape, elements(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
        "F32" => f32_tensor(shape, elements(bytes, f32::from_le_bytes)),
        _ => f64_tensor(shape, elements(bytes, f64::from_le_bytes)),
    };
    tensor.map_err(|e| format!("can't be: {}", e.0.message))
}

fn elements<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
}

/// An IEEE float of 16 bits.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    }
}

/// Reads a file without knowing what is in it.
pub fn load(path: &str) -> Result<Value> {
    let file = File::read(path)?;
    match &file.tree {
        Some(tree) => build(&file, tree),
        None => {
            let entries = file.entries.into_iter();
            let dict: Dict = entries.map(|(name, t)| (Key::Str(name.into()), Value::tensor(t))).collect();
            Ok(Value::Dict(dict.into()))
        }
    }
}

/// The value of a tree; its depth was limited when it was read.
fn build(file: &File, node: &Node) -> Result<Value> {
    let all = |items: &[Node]| items.iter().map(|item| build(file, item)).collect::<Result<Vec<_>>>();
    Ok(match node {
        Node::List(items) => Value::list(all(items)?),
        Node::Tuple(items) => Value::tuple(all(items)?),
        Node::Dict(items) => {
            let mut dict = Dict::with_capacity(items.len());
            for (key, item) in items {
                dict.insert(key.clone(), build(file, item)?);
            }
            Value::Dict(dict.into())
        }
        Node::Struct(_, fields) => {
            let mut dict = Dict::with_capacity(fields.len());
            for (name, item) in fields {
                dict.insert(Key::Str(name.as_str().into()), build(file, item)?);
            }
            Value::Dict(dict.into())
        }
        Node::Entry(Kind::FloatList | Kind::IntList, name) => Value::list(file.scalars(name)?),
        Node::Entry(Kind::FloatTuple | Kind::IntTuple, name) => Value::tuple(file.scalars(name)?),
        Node::Entry(kind, name) => scalar_or_tensor(file, *kind, name)?,
        plain => plain_value(plain),
    })
}

/// An entry that is one tensor or number.
pub fn scalar_or_tensor(file: &File, kind: Kind, name: &str) -> Result<Value> {
    let value = Value::tensor(file.entry(name)?.clone());
    match (kind, &value) {
        (Kind::Tensor, Value::Tensor(..)) | (Kind::Float, Value::Float(..)) | (Kind::Int, Value::Int(_)) => Ok(value),
        _ => Err(file.other_kind(name)),
    }
}

/// What has no entry of its own; a function is `none`.
pub fn plain_value(node: &Node) -> Value {
    match node {
        Node::Bool(b) => Value::Bool(*b),
        Node::Str(s) => Value::str(s.as_str()),
        Node::DType(d) => Value::DType(*d),
        Node::Range(start, stop, step) => Value::Range(RangeValue { start: *start, stop: *stop, step: *step }.into()),
        _ => Value::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::collections::values_equal;
    use crate::builtins::scratch::Scratch;
    use crate::builtins::structures::tests::{floats, make_struct};
    use crate::show::repr;

    fn sample() -> Value {
        let layer = make_struct("Layer", &[("w", floats(&[1.0, -2.5])), ("name", Value::str("ä"))]);
        let mask = Value::tensor(bool_tensor(&[2], vec![true, false]).unwrap());
        let ints = Value::tensor(int_tensor(&[1, 2], vec![i64::MIN, 7]).unwrap());
        let none_at_all = Value::tensor(f64_tensor(&[0, 3], vec![]).unwrap());
        Value::tuple(vec![
            Value::list(vec![layer, Value::None, mask]),
            Value::Dict(Dict::from_iter([(Key::Int(3), ints), (Key::Str("a.b".into()), Value::Bool(true))]).into()),
            Value::list(vec![Value::float(f64::NAN), Value::float(f64::INFINITY)]),
            Value::float(0.1),
            Value::Int(-1),
            none_at_all,
            Value::tuple(vec![]),
        ])
    }

    #[test]
    fn structures_come_back() {
        let dir = Scratch::new("save");
        let path = dir.path("m.safetensors");
        save(&path, &sample()).unwrap();
        let back = load(&path).unwrap();
        let expected = repr(&sample()).replace("Layer(", "dict(");
        assert_eq!(repr(&back), expected);
        assert_eq!(dir.files(), ["m.safetensors"]);
        for single in [floats(&[1.0]), Value::float(0.5), Value::Int(3), Value::str("x"), Value::None] {
            save(&path, &single).unwrap();
            assert!(values_equal(&load(&path).unwrap(), &single).unwrap());
        }
    }

    #[test]
    fn the_reference_reader_agrees() {
        let dir = Scratch::new("reference");
        let path = dir.path("m.safetensors");
        save(&path, &sample()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let theirs = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let w = theirs.tensor("0.0.w").unwrap();
        assert_eq!(w.shape(), [2]);
        assert_eq!(w.data(), [1.0f32.to_le_bytes(), (-2.5f32).to_le_bytes()].concat());
        assert_eq!(theirs.tensor("1.3").unwrap().dtype(), ::safetensors::Dtype::I64);
        assert_eq!(theirs.tensor("2").unwrap().shape(), [2]);
    }

    #[test]
    fn foreign_files_are_dicts() {
        use ::safetensors::tensor::{Dtype, TensorView, serialize};
        let half_bytes = [0x00, 0x3c, 0x00, 0xc0];
        let small = [1u8, 255];
        let views = [
            ("h", TensorView::new(Dtype::F16, vec![2], &half_bytes).unwrap()),
            ("i", TensorView::new(Dtype::I8, vec![2], &small).unwrap()),
            ("s", TensorView::new(Dtype::F16, vec![], &half_bytes[..2]).unwrap()),
        ];
        let bytes = serialize(views, &None).unwrap();
        let dir = Scratch::new("foreign");
        let path = dir.path("f.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let Value::Dict(d) = load(&path).unwrap() else { panic!() };
        let at = |name: &str| repr(d.get(&Key::Str(name.into())).unwrap());
        assert_eq!((at("h"), at("s")), ("[1.0, -2.0]".to_string(), "1.0".to_string()));
        assert_eq!(d.get(&Key::Str("i".into())).unwrap().type_name(), "int[2]");
    }

    #[test]
    fn halves() {
        assert_eq!(half(0x3555), 0.333_251_95);
        assert_eq!(half(0x0001), 5.960_464_5e-8);
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
        assert_eq!(half(0x7bff), 65504.0);
    }

    fn whole() -> Vec<u8> {
        let dir = Scratch::new("whole");
        let path = dir.path("m.safetensors");
        save(&path, &sample()).unwrap();
        std::fs::read(&path).unwrap()
    }

    fn parsed(bytes: &[u8]) -> Result<Value> {
        let file = File::parse("m".to_string(), bytes)?;
        file.tree.as_ref().map_or(Ok(Value::None), |tree| build(&file, tree))
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = whole();
        for n in 0..bytes.len() {
            assert_eq!(parsed(&bytes[..n]).err().unwrap().0.code, fail::BAD_SAFETENSORS, "cut at {n}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(parsed(&longer).is_err());
        assert!(parsed(&bytes).is_ok());
    }

    #[test]
    fn changed_bytes_never_panic() {
        let bytes = whole();
        for at in 0..bytes.len() {
            for change in [0, b'9', b'"', 0xff] {
                let mut other = bytes.clone();
                other[at] = change;
                let _ = parsed(&other);
            }
        }
    }

    #[test]
    fn lying_headers_are_errors() {
        let file = |header: &str| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend_from_slice(header.as_bytes());
            bytes
        };
        for header in [
            r#"{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,18446744073709551600]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[9223372036854775807,0],"data_offsets":[0,0],"x":[]},"b":{"dtype":"F8_E4M3","shape":[],"data_offsets":[0,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}"#,
            r#"{"a":3}"#,
            r#"{"__metadata__":{"dlang":"[[\"tensor\",\"gone\"]]"}}"#,
            r#"{"__metadata__":{"dlang":"what"}}"#,
            "[]",
            "",
        ] {
            assert_eq!(parsed(&file(header)).err().map(|e| e.0.code), Some(fail::BAD_SAFETENSORS), "{header}");
        }
        assert!(parsed(b"PK\x03\x04 this is a zip file, not ours").is_err());
    }

    #[test]
    fn a_failed_save_leaves_nothing_behind() {
        let dir = Scratch::new("failed-save");
        std::fs::create_dir(dir.path("taken")).unwrap();
        assert_eq!(save(&dir.path("taken"), &Value::Int(1)).unwrap_err().0.code, fail::FOLDER);
        assert!(save(&dir.path("no/dir/x"), &Value::Int(1)).is_err());
        let broken = write_whole(Path::new(&dir.path("half")), |out| {
            out.write_all(b"some")?;
            Err(std::io::ErrorKind::StorageFull.into())
        });
        assert!(broken.is_err());
        assert_eq!(dir.files(), ["taken"]);
        let old = dir.path("old");
        std::fs::write(&old, "before").unwrap();
        let _ = write_whole(Path::new(&old), |_| Err(std::io::ErrorKind::Other.into()));
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "before");
    }
}
