//! Text to tree.
//!
//! In: a source text. Out: [`Parsed`], which always holds a tree, with `Invalid` nodes where statements made no
//! sense. Pure functions; nothing else of the phase leaves this folder, and no type of the parser generator does.

mod actions;
pub mod ast;
mod diagnose;
mod docs;
pub mod dump;
pub mod error;
pub mod hints;
pub(crate) mod lexer;
mod literal;
mod operators;
pub mod print;
mod recover;
pub mod token;
mod validate;
pub mod visit;

lalrpop_util::lalrpop_mod!(
    #[allow(clippy::all, unused, missing_docs, rustdoc::all)]
    grammar,
    "/dlang.rs"
);

use ast::Module;
use error::SyntaxError;
use token::Token;

use crate::source::{SourceId, Span};

/// Problems reported for one text; what follows more of them is rarely about the program.
pub const MAX_PROBLEMS: usize = 20;

/// The outcome of parsing.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub module: Module,
    /// Sorted by position.
    pub problems: Vec<SyntaxError>,
    /// More text could make it right, and nothing else is wrong: a REPL asks for another line.
    pub incomplete: bool,
}

/// Parses a text.
pub fn parse(source: SourceId, text: &str) -> Parsed {
    let lexed = lexer::lex(source, text);
    let (module, mut problems) = recover::parse(source, text, lexed);
    problems.extend(validate::validate(&module, problems.is_empty()));
    problems.sort_by_key(|p| p.span().start);
    problems.dedup();
    problems.truncate(MAX_PROBLEMS);
    let incomplete = !problems.is_empty() && problems.iter().all(SyntaxError::needs_more_input);
    Parsed { module, problems, incomplete }
}

/// The tokens of a text, in order.
pub fn tokens(source: SourceId, text: &str) -> (Vec<(Token<'_>, Span)>, Vec<SyntaxError>) {
    let lexed = lexer::lex(source, text);
    let tokens = lexed.lexemes.into_iter().filter(|l| !l.is_virtual).map(|l| (l.token, l.span)).collect();
    (tokens, lexed.problems)
}
