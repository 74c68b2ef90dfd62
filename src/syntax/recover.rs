//! Runs the generated parser, and goes on after a mistake.
//!
//! In: balanced tokens. Out: a tree and all problems. How: when the parser stops, the statement that holds the
//! token is taken out (the innermost one that makes sense as such), `Token::Invalid` takes its place, and the parser
//! starts anew. So brackets stay balanced and each mistake costs one run. A mistake in a statement of which the
//! lexer complained before that place, or at a token that recovery put in, is an echo and not reported.

use lalrpop_util::ParseError;

use super::MAX_PROBLEMS;
use super::actions::Builder;
use super::ast::{Lost, Module};
use super::diagnose::diagnose;
use super::error::SyntaxError;
use super::grammar::ModuleParser;
use super::lexer::{Lexed, Lexeme};
use super::token::Token;
use crate::source::{SourceId, Span};

/// Parses tokens, statement by statement if need be.
pub fn parse(source: SourceId, text: &str, lexed: Lexed<'_>) -> (Module, Vec<SyntaxError>) {
    let Lexed { mut lexemes, docs, mut problems } = lexed;
    let lexical: Vec<Span> = problems.iter().flat_map(places).collect();
    let whole = Span::new(source, 0, text.len());
    let mut lost = vec![];
    loop {
        let builder = Builder::new(source, &docs);
        let mut taken = 0usize;
        let tokens = lexemes.iter().map(|l| {
            taken += 1;
            Ok((l.span.start, l.token.clone(), l.span.end))
        });
        let failure = match ModuleParser::new().parse(&builder, tokens) {
            Ok(stmts) => {
                let node_count = builder.node_count();
                problems.extend(builder.into_problems());
                return (Module { stmts, doc: docs.module, node_count, span: whole, lost }, problems);
            }
            Err(failure) => failure,
        };
        let (at, expected) = match failure {
            ParseError::UnrecognizedEof { expected, .. } => (lexemes.len(), expected),
            ParseError::UnrecognizedToken { expected, .. } => (taken.saturating_sub(1), expected),
            _ => (taken.saturating_sub(1), vec![]),
        };
        let (start, end) = statement_around(&lexemes, at);
        let end = with_indented(text, &lexemes, start, end);
        let region = span_of(&lexemes, start, end).unwrap_or(whole);
        let stopped = lexemes.get(at).map_or(whole.end, |l| l.span.end);
        let is_echo = lexemes.get(at).is_some_and(|l| l.is_virtual || l.token == Token::Invalid)
            || lexical.iter().any(|p| p.start < stopped && region.start <= p.end);
        if !is_echo {
            problems.push(diagnose(source, text, &lexemes, at, start, &expected));
        }
        if problems.len() >= MAX_PROBLEMS || start >= end {
            // What is left is not worth a run for each mistake; the statements before this one are.
            let keep = last_top_level_end(lexemes.get(..start.min(at)).unwrap_or(&[]));
            lost.extend(lost_part(&lexemes, keep, lexemes.len()));
            lexemes.truncate(keep);
            continue;
        }
        lost.extend(lost_part(&lexemes, start, end));
        let invalid = Lexeme { token: Token::Invalid, span: region, is_virtual: true };
        lexemes.splice(start..end, [invalid]);
    }
}

/// Tokens that are given up.
fn lost_part(lexemes: &[Lexeme<'_>], start: usize, end: usize) -> Option<Lost> {
    let part = lexemes.get(start..end)?;
    let names = part.iter().filter_map(|l| if let Token::Ident(name) = l.token { Some(name.into()) } else { None });
    Some(Lost { span: span_of(lexemes, start, end)?, names: names.collect() })
}

/// The end of a statement, and of the indented lines after it if it ends in a colon: in other languages they are its
/// body, and what stands in them is no mistake of its own.
fn with_indented(text: &str, lexemes: &[Lexeme<'_>], start: usize, end: usize) -> usize {
    let column = |l: &Lexeme<'_>| {
        let before = text.get(..l.span.start as usize).unwrap_or("");
        let line = before.rsplit('\n').next().unwrap_or("");
        line.trim().is_empty().then(|| line.chars().count())
    };
    // A colon at the end of its line; the line break after it is no token.
    let statement = lexemes.get(start..end).unwrap_or(&[]);
    let has_head = statement.iter().enumerate().any(|(i, l)| {
        let rest = text.get(l.span.end as usize..).unwrap_or("");
        let blank = rest.split('\n').next().unwrap_or("").split('#').next().unwrap_or("").trim().is_empty();
        l.token == Token::Colon && blank && i > 0
    });
    let Some(outer) = lexemes.get(start).and_then(column).filter(|_| has_head) else { return end };
    let mut end = end;
    while lexemes.get(end).is_some_and(|l| l.token == Token::Newline)
        && lexemes.get(end + 1).and_then(column).is_some_and(|inner| inner > outer)
    {
        let (_, next) = segment(lexemes, end + 1, end + 1);
        if next <= end + 1 {
            break;
        }
        end = next;
    }
    end
}

/// All places a problem is about.
fn places(problem: &SyntaxError) -> Vec<Span> {
    match problem {
        // From behind the bracket: that it does not fit is one thing, that it is never closed another.
        SyntaxError::Unclosed { open, at, .. } => vec![Span { start: open.end, ..*open }, *at],
        other => vec![other.span()],
    }
}

fn span_of(lexemes: &[Lexeme<'_>], start: usize, end: usize) -> Option<Span> {
    let first = lexemes.get(start)?;
    let last = lexemes.get(end.checked_sub(1)?)?;
    Some(first.span.to(last.span))
}

fn is_opener(token: &Token<'_>) -> bool {
    matches!(token, Token::LParen | Token::LSquare | Token::LBrace | Token::HoleOpen)
}

fn is_closer(token: &Token<'_>) -> bool {
    matches!(token, Token::RParen | Token::RSquare | Token::RBrace | Token::HoleClose)
}

/// The tokens `start..end` of the innermost statement around `at` that is not given up already. If there is none,
/// an empty range.
fn statement_around(lexemes: &[Lexeme<'_>], at: usize) -> (usize, usize) {
    let mut open = vec![];
    for (i, lexeme) in lexemes.iter().enumerate().take(at) {
        if is_opener(&lexeme.token) {
            open.push(i);
        } else if is_closer(&lexeme.token) {
            open.pop();
        }
    }
    let mut at = at;
    loop {
        while open.last().and_then(|&i| lexemes.get(i)).is_some_and(|l| l.token != Token::LBrace) {
            open.pop();
        }
        let block = open.pop();
        let (start, end) = segment(lexemes, block.map_or(0, |i| i + 1), at);
        let given_up = lexemes.get(start..end).is_none_or(|s| matches!(s, [] | [Lexeme { token: Token::Invalid, .. }]));
        if !given_up {
            return (start, end);
        }
        match block {
            Some(brace) => at = brace,
            None => return (start, start),
        }
    }
}

/// The statement around `at` in the block whose first token is `from`.
fn segment(lexemes: &[Lexeme<'_>], from: usize, at: usize) -> (usize, usize) {
    let mut start = from;
    let mut depth = 0usize;
    for (i, lexeme) in lexemes.iter().enumerate().skip(from) {
        match &lexeme.token {
            Token::Newline if depth == 0 && i >= at => return (start, i),
            Token::Newline if depth == 0 => start = i + 1,
            t if is_opener(t) => depth += 1,
            t if is_closer(t) => {
                if depth == 0 {
                    return (start, i);
                }
                depth -= 1;
            }
            _ => {}
        }
    }
    (start, lexemes.len())
}

/// Where the last complete statement of the file ends.
fn last_top_level_end(lexemes: &[Lexeme<'_>]) -> usize {
    let mut depth = 0usize;
    let mut end = 0;
    for (i, lexeme) in lexemes.iter().enumerate() {
        if is_opener(&lexeme.token) {
            depth += 1;
        } else if is_closer(&lexeme.token) {
            depth = depth.saturating_sub(1);
        } else if lexeme.token == Token::Newline && depth == 0 {
            end = i;
        }
    }
    end
}
