//! dlang: a small scripting language in which every program can be differentiated.
//!
//! ```text
//! text ─syntax─▶ tree ─resolve─▶ names ─types─▶ types, shapes ─compile─▶ bytecode ─▶ vm ─ ops, ad, tensor
//! ```

pub mod ad;
pub mod builtins;
pub mod bytecode;
pub mod cli;
pub mod codes;
pub mod compile;
pub mod diagnostic;
pub mod env;
pub mod error;
pub mod few;
pub mod formats;
pub mod native;
pub mod ops;
pub mod pipeline;
pub mod plot;
pub mod profile;
pub mod render;
pub mod resolve;
pub mod show;
pub mod source;
pub mod stdlib;
pub mod symbol;
pub mod syntax;
pub mod tensor;
pub mod types;
pub mod value;
pub mod vm;
