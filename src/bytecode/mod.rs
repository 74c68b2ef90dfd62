//! Instructions.
pub mod chunk;
