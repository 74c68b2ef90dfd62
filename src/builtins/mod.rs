//! Host functions without derivative. Each family file lists its own; this file joins them.

pub mod batched;
pub mod bytes;
pub mod collections;
pub mod convolution;
pub mod csv_rows;
pub mod data_files;
pub mod dtypes;
pub mod einsum;
pub mod factor;
pub mod fail;
pub mod files;
pub mod fitting;
pub mod higher_order;
pub mod infer;
pub mod interp;
pub mod iterate;
pub mod join;
pub mod json;
mod json_reader;
pub mod load_like;
pub mod make;
pub mod order;
pub mod plot;
pub mod process;
pub mod progress;
pub mod random;
pub mod safetensors;
pub mod saved;
#[cfg(test)]
pub mod scratch;
pub mod structures;
pub mod tables;
pub mod text;
pub mod trap;
pub mod wraps;

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::error::Result;
use crate::ops::prim::Sig;
use crate::types::ty::Ty;
use crate::value::Value;
use crate::vm::Vm;

/// A host function. Names that start with `_` are seen by library modules only.
pub struct Builtin {
    pub name: &'static str,
    /// Shapes, result, an example.
    pub doc: &'static str,
    pub sig: Sig,
    /// The result's type, as far as it follows from the arguments' types (in the order of `sig`).
    pub infer: fn(&[Ty]) -> Result<Ty>,
    /// `args` are in the order of `sig`, defaults filled in, the rest as one tuple. What is left in an `inout`
    /// argument is copied back to the caller's place.
    pub run: fn(&mut Vm, &mut [Value]) -> Result<Value>,
}

/// The families.
static FAMILIES: &[&[&Builtin]] = &[
    crate::ad::transforms::FAMILY,
    bytes::FAMILY,
    collections::FAMILY,
    convolution::FAMILY,
    data_files::FAMILY,
    dtypes::FAMILY,
    einsum::FAMILY,
    factor::FAMILY,
    files::FAMILY,
    fitting::FAMILY,
    higher_order::FAMILY,
    interp::FAMILY,
    join::FAMILY,
    json::FAMILY,
    make::FAMILY,
    order::FAMILY,
    plot::FAMILY,
    process::FAMILY,
    progress::FAMILY,
    random::FAMILY,
    safetensors::FAMILY,
    structures::FAMILY,
    tables::FAMILY,
    text::FAMILY,
    trap::FAMILY,
    wraps::FAMILY,
];

/// Every builtin.
pub fn table() -> impl Iterator<Item = &'static Builtin> {
    FAMILIES.iter().copied().flatten().copied()
}

/// The builtin of this name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    static BY_NAME: OnceLock<FxHashMap<&str, &Builtin>> = OnceLock::new();
    let all = || {
        let count = FAMILIES.iter().map(|family| family.len()).sum();
        let mut all = FxHashMap::with_capacity_and_hasher(count, Default::default());
        all.extend(table().map(|b| (b.name, b)));
        all
    };
    BY_NAME.get_or_init(all).get(name).copied()
}
