//! The differentiation builtins: functions that take a function and give its derivative.
//!
//! `reverse_mode`: grad, value_and_grad, vjp. `forward_mode`: jvp, derivative, hvp. `jacobian`: jacobian, hessian; `directions` runs many
//! of their passes as one.
//! `custom`: custom_vjp, custom_jvp, stop_grad. `checkpoint`: checkpoint. `sparse`: sparse_jacobian, sparse_hessian.
//! `implicit`: root, fixed_point. `check`: check_grad. `vmap`: vmap.

mod check;
mod checkpoint;
pub(crate) mod custom;
mod custom_batch;
mod directions;
mod forward_mode;
mod group;
mod implicit;
mod jacobian;
pub(crate) mod reverse_mode;
mod sparse;
mod target;
mod vmap;

pub use forward_mode::jvp;
pub use jacobian::combine;
pub use reverse_mode::record;
pub use target::not_a_target;

use crate::builtins::Builtin;
use crate::error::Error;
use crate::value::Value;

/// A derivative of a function that is a function again, by what it gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// With respect to an argument, beside the value or not.
    Gradient { wrt: u8, value: bool },
    /// Of a function of one float.
    Derivative,
}

impl Taken {
    /// This derivative of a function.
    pub fn of(self, f: Value) -> Value {
        match self {
            Taken::Gradient { wrt, value } => reverse_mode::gradient(f, wrt, value),
            Taken::Derivative => forward_mode::derivative(f),
        }
    }
}

/// A tangent of another structure or shape than the point; both in words, such as "f32[3]".
#[cold]
pub fn unlike_tangent(tangent: &str, point: &str) -> Error {
    Error::new("E0439", format!("the tangent is {tangent}, but the point is {point}"))
        .help("a tangent has the structure and shape of the point")
}

/// A cotangent of another structure or shape than the result; both in words.
#[cold]
pub fn unlike_cotangent(cotangent: &str, result: &str) -> Error {
    Error::new("E0439", format!("the cotangent is {cotangent}, but the result is {result}"))
        .help("a cotangent has the structure and shape of the function's result")
}

/// `aux` is `kind`, such as "an int", and no bool.
#[cold]
pub fn not_a_flag(kind: &str) -> Error {
    Error::new("E0310", format!("aux of value_and_grad is {kind}, not a bool"))
        .operand(2, format!("this is {kind}"))
        .help("with aux: true, f returns (loss, more)")
}

/// Two arguments of `vmap`, by index, with other numbers of examples.
#[cold]
pub fn unequal_axes((first, m): (usize, usize), (other, n): (usize, usize)) -> Error {
    Error::new("E0301", format!("vmap needs axes of one length, not {m} and {n}"))
        .operand(first, format!("this has {m}"))
        .operand(other, format!("this has {n}"))
        .help("what all examples share goes in as it is: vmap(f, axes: (0, none))")
}

/// All of them.
pub static FAMILY: &[&Builtin] = &[
    &reverse_mode::GRAD,
    &reverse_mode::VALUE_AND_GRAD,
    &reverse_mode::VJP,
    &forward_mode::JVP,
    &forward_mode::DERIVATIVE,
    &forward_mode::HVP,
    &jacobian::JACOBIAN,
    &jacobian::HESSIAN,
    &sparse::SPARSE_JACOBIAN,
    &sparse::SPARSE_HESSIAN,
    &implicit::ROOT,
    &implicit::FIXED_POINT,
    &custom::STOP_GRAD,
    &checkpoint::CHECKPOINT,
    &custom::CUSTOM_VJP,
    &custom::CUSTOM_JVP,
    &check::CHECK_GRAD,
    &vmap::VMAP,
];

/// A function's name, for `grad(loss)`.
fn describe(transform: &str, f: &Value) -> String {
    let name = match f {
        Value::Fn(closure) => closure.chunk.name.to_string(),
        Value::Prim(prim) => prim.name.to_string(),
        Value::Builtin(builtin) => builtin.name.to_string(),
        Value::Native(native) => native.0.describe(),
        other => other.type_name(),
    };
    format!("{transform}({name})")
}

/// The first argument of a transform must be a function.
fn expect_function(transform: &str, f: &Value) -> crate::error::Result<()> {
    match f {
        Value::Fn(_)
        | Value::Prim(_)
        | Value::Builtin(_)
        | Value::Native(_)
        | Value::Struct(_)
        | Value::StructType(_) => Ok(()),
        other => {
            let example = if transform == "hvp" { "hvp(f, x, v)".into() } else { format!("{transform}(f)(x)") };
            Err(Error::new(
                "E0437",
                format!(
                    "`{transform}` needs a function, and this is {}",
                    crate::builtins::fail::with_article(&other.type_name())
                ),
            )
            .operand(0, format!("this is {}", other.type_name()))
            .help(format!("pass the function itself, not its value: {example}")))
        }
    }
}
