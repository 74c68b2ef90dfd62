//! Builtins inside `vmap`: what has effects, draws random numbers or shows values runs for each example alone; what wants
//! plain ints gets them where they are the same in all examples. All others take batched values as they are.

use crate::ad::Cx;
use crate::ad::batch::is_batched;
use crate::builtins::{
    Builtin, bytes, data_files, files, json, make, plot, process, progress, random, safetensors, tables, text,
};
use crate::error::Result;
use crate::value::Value;

/// Families whose builtins see one example at a time, with the exceptions.
static ALONE: &[&[&Builtin]] = &[
    bytes::FAMILY,
    data_files::FAMILY,
    files::FAMILY,
    plot::FAMILY,
    process::FAMILY,
    progress::FAMILY,
    random::FAMILY,
    safetensors::FAMILY,
    tables::FAMILY,
];
static TOGETHER: &[&str] = &["rand", "randn", "args", "env", "time", "assert", "error"];

/// Families that work on numbers and text of their own: batched arguments make examples part.
static PLAIN: &[&[&Builtin]] = &[make::FAMILY, json::FAMILY, text::FAMILY];
static LIFTED: &[&str] = &["zeros_like", "ones_like", "full", "tensor", "int", "float", "bool", "type"];

fn among(families: &[&[&Builtin]], builtin: &Builtin) -> bool {
    families.iter().copied().flatten().any(|b| std::ptr::eq(*b, builtin))
}

/// Makes arguments fit for a builtin that is called inside `vmap`, or asks for the examples to part.
pub fn prepare(cx: &mut Cx, builtin: &Builtin, args: &mut [Value]) -> Result<()> {
    if (among(ALONE, builtin) && !TOGETHER.contains(&builtin.name)) || builtin.name == "check_grad" {
        return Err(cx.each_alone());
    }
    if let ("assert", Some(cond)) = (builtin.name, args.first_mut()) {
        *cond = cx.concrete(cond)?;
    }
    if among(PLAIN, builtin) && !LIFTED.contains(&builtin.name) {
        for arg in args.iter_mut().filter(|a| is_batched(a)) {
            let plain = match &*arg {
                Value::Tuple(items) => Value::tuple(items.iter().map(|v| cx.concrete(v)).collect::<Result<Vec<_>>>()?),
                one => cx.concrete(one)?,
            };
            *arg = plain;
            if is_batched(arg) {
                return Err(cx.each_alone());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    /// A name that no builtin has would be an exception to nothing.
    #[test]
    fn exceptions_are_builtins() {
        for name in super::TOGETHER.iter().chain(super::LIFTED) {
            assert!(crate::builtins::find(name).is_some(), "{name}");
        }
    }
}
