//! Numbers and strings: the logos callbacks that turn their text into values.
//!
//! In: a logos lexer standing on a literal. Out: its value; mistakes go to [`Problems`], and a value that lets
//! the parser go on takes the place of the bad one.

use std::borrow::Cow;
use std::rc::Rc;

use logos::{Filter, Lexer};

use super::error::SyntaxError;
use super::token::Token;
use crate::source::{SourceId, Span};

/// What the lexer found wrong, and what its callbacks need to know.
#[derive(Debug, Default, Clone)]
pub struct Problems {
    pub source: SourceId,
    pub list: Vec<SyntaxError>,
}

type Lex<'s> = Lexer<'s, Token<'s>>;

fn span(lex: &Lex<'_>) -> Span {
    let range = lex.span();
    Span::new(lex.extras.source, range.start, range.end)
}

fn digits(text: &str) -> Cow<'_, str> {
    if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) }
}

/// An int. `9223372036854775808`, which only a minus sign makes legal, gives `i64::MIN`; the lexer checks that.
pub fn int<'s>(lex: &mut Lex<'s>) -> i64 {
    let text = digits(lex.slice());
    let value = match text.strip_prefix("0x") {
        Some("") => {
            let problem = SyntaxError::BadNumber { text: lex.slice().into(), span: span(lex) };
            lex.extras.list.push(problem);
            return 0;
        }
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse::<u64>(),
    };
    match value {
        Ok(n) if n <= i64::MAX as u64 => n as i64,
        Ok(n) if n == i64::MIN.unsigned_abs() => i64::MIN,
        _ => {
            let problem = SyntaxError::NumberTooLarge { text: lex.slice().into(), span: span(lex) };
            lex.extras.list.push(problem);
            0
        }
    }
}

/// A float; one that is too large for 64 bits is a mistake, not `inf`.
pub fn float<'s>(lex: &mut Lex<'s>) -> f64 {
    let value = digits(lex.slice()).parse::<f64>().unwrap_or(f64::INFINITY);
    if value.is_finite() {
        return value;
    }
    let problem = SyntaxError::NumberTooLarge { text: lex.slice().into(), span: span(lex) };
    lex.extras.list.push(problem);
    0.0
}

/// A name: letters, digits and `_`, not beginning with a digit.
pub fn name<'s>(lex: &mut Lex<'s>) -> Result<&'s str, ()> {
    let text = lex.slice();
    if text.is_ascii() {
        return Ok(text);
    }
    let mut chars = text.chars();
    let starts = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if starts && chars.all(|c| c.is_alphanumeric() || c == '_') { Ok(text) } else { Err(()) }
}

/// `3x`, `0b11`, `1e`: a number with letters stuck to it.
pub fn bad_number<'s>(lex: &mut Lex<'s>) -> i64 {
    let problem = SyntaxError::BadNumber { text: lex.slice().into(), span: span(lex) };
    lex.extras.list.push(problem);
    0
}

/// `&&`, `**` and the like: noted, then taken for ours.
pub fn foreign_operator<'s>(lex: &mut Lex<'s>) {
    let found = lex.slice();
    let problem = SyntaxError::ForeignOperator { found: found.into(), span: span(lex) };
    lex.extras.list.push(problem);
}

/// `"..."`
pub fn string<'s>(lex: &mut Lex<'s>) -> Rc<str> {
    let start = lex.span().start;
    let body = lex.remainder();
    let mut text = String::new();
    let end = scan(body, Until::Quote(1), lex.span().end, lex.extras.source, &mut text, &mut lex.extras.list);
    finish(lex, start, end, false);
    text.into()
}

/// `"""..."""`
pub fn long_string<'s>(lex: &mut Lex<'s>) -> Rc<str> {
    let start = lex.span().start;
    let body = lex.remainder();
    let mut text = String::new();
    let end = scan(body, Until::Quote(3), lex.span().end, lex.extras.source, &mut text, &mut lex.extras.list);
    finish(lex, start, end, true);
    text.into()
}

fn finish(lex: &mut Lex<'_>, start: usize, end: End, triple: bool) {
    let body_start = lex.span().end;
    match end {
        End::Quote(n) => lex.bump(n),
        End::Missing(n) | End::Hole(n) => {
            let span = Span::new(lex.extras.source, start, body_start + n);
            lex.extras.list.push(SyntaxError::UnterminatedString { span, triple });
            lex.bump(n);
        }
    }
}

/// `'...'`: a string as other languages write it. Alone on its line, a quote is someone's transpose.
pub fn single_quoted<'s>(lex: &mut Lex<'s>) -> Filter<Rc<str>> {
    let rest = lex.remainder();
    let line = rest.split('\n').next().unwrap_or("");
    let Some(n) = line.find('\'') else {
        let problem = SyntaxError::StrayCharacter { found: "'".into(), span: span(lex) };
        lex.extras.list.push(problem);
        return Filter::Skip;
    };
    let text: Rc<str> = line.get(..n).unwrap_or("").into();
    lex.bump(n + 1);
    let before = lex.source().get(..lex.span().start).unwrap_or("");
    let is_format = before.strip_suffix('f').is_some_and(|b| !b.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    let problem = SyntaxError::SingleQuotes { text: text.to_string(), is_format, span: span(lex) };
    lex.extras.list.push(problem);
    Filter::Emit(text)
}

/// What ends a scan over the text of a string.
#[derive(Clone, Copy, PartialEq)]
pub enum Until {
    /// As many quotes.
    Quote(usize),
    /// As many quotes, or the `{` of a hole; `{{` and `}}` are braces.
    QuoteOrHole(usize),
}

/// How a scan ended; the number counts the bytes read, the ending quotes or brace included.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum End {
    Quote(usize),
    Hole(usize),
    /// The line or the text ended first (not counted).
    Missing(usize),
}

/// Reads the text of a string from `body`, which starts at byte `at` of the source, resolving escapes into `out`.
pub fn scan(
    body: &str,
    until: Until,
    at: usize,
    source: SourceId,
    out: &mut String,
    problems: &mut Vec<SyntaxError>,
) -> End {
    let (quotes, holes) = match until {
        Until::Quote(n) => (n, false),
        Until::QuoteOrHole(n) => (n, true),
    };
    let mut i = 0;
    while let Some(c) = body.get(i..).and_then(|rest| rest.chars().next()) {
        let rest = body.get(i..).unwrap_or("");
        match c {
            '"' if quotes == 1 => return End::Quote(i + 1),
            '"' if rest.starts_with("\"\"\"") => return End::Quote(i + 3),
            '\n' if quotes == 1 => return End::Missing(i),
            '{' if holes && rest.starts_with("{{") => {
                out.push('{');
                i += 2;
                continue;
            }
            '{' if holes => return End::Hole(i + 1),
            '}' if holes => {
                out.push('}');
                if rest.starts_with("}}") {
                    i += 2;
                    continue;
                }
                problems.push(SyntaxError::LoneBrace { span: Span::new(source, at + i, at + i + 1) });
            }
            '\\' => {
                let (len, value) = escape(rest);
                match value {
                    Some(c) => out.push(c),
                    // An escaped line break, or a quote at the very end, must not hide what ends the string.
                    None => problems.push(SyntaxError::BadEscape {
                        text: rest.get(..len).unwrap_or("\\").into(),
                        span: Span::new(source, at + i, at + i + len),
                    }),
                }
                i += len;
                continue;
            }
            '\r' if rest.starts_with("\r\n") => {}
            c => out.push(c),
        }
        i += c.len_utf8();
    }
    End::Missing(body.len())
}

/// Length and meaning of the escape at the start of `text`.
fn escape(text: &str) -> (usize, Option<char>) {
    let Some(c) = text.chars().nth(1) else { return (1, None) };
    let known = match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        '"' => '"',
        '\\' => '\\',
        '{' => '{',
        '}' => '}',
        'u' => return unicode_escape(text),
        '\n' | '\r' => return (1, None),
        other => return (1 + other.len_utf8(), None),
    };
    (2, Some(known))
}

/// `\u{1F600}`
fn unicode_escape(text: &str) -> (usize, Option<char>) {
    let Some(rest) = text.strip_prefix("\\u{") else { return (2, None) };
    let len = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    if rest.as_bytes().get(len) != Some(&b'}') {
        return (3 + len, None);
    }
    let digits = rest.get(..len).unwrap_or("");
    (4 + len, u32::from_str_radix(digits, 16).ok().and_then(char::from_u32))
}
