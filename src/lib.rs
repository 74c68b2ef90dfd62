//! dlang: a small scripting language in which every program can be differentiated.

pub mod diagnostic;
pub mod source;
pub mod syntax;
