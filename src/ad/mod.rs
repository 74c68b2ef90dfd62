//! Derivatives: slots, levels, tapes, the dispatcher, the transforms.

pub mod slot;

use crate::env::Env;
use crate::error::Result;
use crate::ops::prim::Prim;
use crate::value::Value;

/// The dispatcher: every application of a primitive goes through it, so that whatever is recorded is recorded here.
pub struct Cx {
    pub env: Env,
}

impl Cx {
    /// Applies a primitive; `args` are in the order of its signature, defaults filled in. Works at the highest level
    /// among the slots of the arguments, and acts leaf by leaf on structures if the primitive is elementwise.
    pub fn apply(&mut self, _prim: &'static Prim, _args: &[Value]) -> Result<Value> {
        Ok(Value::None)
    }
}
