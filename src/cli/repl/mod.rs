//! The REPL: `session.rs` answers one input with text and knows no terminal; `terminal.rs` reads inputs and prints answers.

mod actions;
mod commands;
mod finite;
mod highlight;
mod history;
mod input;
pub mod session;
pub mod terminal;
