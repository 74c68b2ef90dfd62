//! Names that are there without import.

use crate::builtins;
use crate::ops;
use crate::resolve::Res;
use crate::tensor::DType;

/// What a name means if the program does not define it. Names that start with `_` are for the library.
pub fn find(name: &str, in_library: bool) -> Option<Res> {
    if name.starts_with('_') && !in_library {
        return None;
    }
    Some(match name {
        "pi" => Res::Constant(std::f64::consts::PI),
        "e" => Res::Constant(std::f64::consts::E),
        "inf" => Res::Constant(f64::INFINITY),
        "nan" => Res::Constant(f64::NAN),
        "f32" => Res::DType(DType::F32),
        "f64" => Res::DType(DType::F64),
        _ => {
            // A builtin of the same name wraps the primitive (`sum` of a list, `max` of two).
            if let Some(builtin) = builtins::find(name) { Res::Builtin(builtin) } else { Res::Prim(ops::find(name)?) }
        }
    })
}

/// All of them, for suggestions and completion.
pub fn all() -> impl Iterator<Item = &'static str> {
    ["pi", "e", "inf", "nan", "f32", "f64"]
        .into_iter()
        .chain(builtins::table().map(|b| b.name))
        .chain(ops::table().map(|p| p.name))
        .filter(|name| !name.starts_with('_'))
}
