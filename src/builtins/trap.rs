//! The switch of the NaN trap, behind the library module `debug`. See `ad/trap.rs`.

use crate::builtins::fail::{arity, wrong_kind};
use crate::builtins::{Builtin, infer};
use crate::ops::prim::{Default, Sig, opt};
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&TRAP_NAN];

static TRAP_NAN: Builtin = Builtin {
    name: "_trap_nan",
    doc: "Switches the trap on or off that stops at the first operation, forward or backward, that makes a NaN or infinity out of \
          finite numbers. `_trap_nan(true)`.",
    sig: Sig { params: &[opt("on", Default::Bool(true))] },
    infer: infer::none,
    run: |vm, args| match &*args {
        [Value::Bool(on)] => {
            vm.cx.trap_nan(*on);
            Ok(Value::None)
        }
        [other] => Err(wrong_kind("_trap_nan", 0, "a bool", other)),
        _ => Err(arity("_trap_nan")),
    },
};
