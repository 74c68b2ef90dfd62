//! Colours of a line while it is typed: keywords, numbers, strings, comments. Only colour codes are added, so the
//! cursor stays where it is.

use crate::source::SourceId;
use crate::syntax::token::Token;
use crate::syntax::tokens;

const KEYWORD: &str = "1;34";
const NUMBER: &str = "36";
const STRING: &str = "32";
const COMMENT: &str = "2";

/// The line with colour codes.
pub fn colored(line: &str) -> String {
    // Commands are not code.
    if line.trim_start().starts_with([':', '?', '%', '!']) {
        return line.to_string();
    }
    let mut text = String::with_capacity(line.len() + 32);
    let mut done = 0;
    for (token, span) in tokens(SourceId::default(), line).0 {
        let (start, end) = (span.start as usize, span.end as usize);
        let (Some(gap), Some(word)) = (line.get(done..start), line.get(start..end)) else { continue };
        text.push_str(&between(gap));
        text.push_str(&paint(code_of(&token), word));
        done = end;
    }
    text.push_str(&between(line.get(done..).unwrap_or("")));
    text
}

fn code_of(token: &Token) -> Option<&'static str> {
    match token {
        Token::Int(_) | Token::Float(_) => Some(NUMBER),
        Token::Str(_) | Token::FormatStart(_) | Token::FormatText(_) | Token::FormatEnd => Some(STRING),
        Token::Doc(_) => Some(COMMENT),
        token if token.keyword().is_some() => Some(KEYWORD),
        _ => None,
    }
}

/// What no token covers: blanks and comments.
fn between(gap: &str) -> String {
    match gap.find('#') {
        Some(at) => format!("{}{}", &gap[..at], paint(Some(COMMENT), &gap[at..])),
        None => gap.to_string(),
    }
}

/// Line by line, since an editor may draw lines of a block one by one.
fn paint(code: Option<&str>, word: &str) -> String {
    let Some(code) = code.filter(|_| !word.trim().is_empty()) else { return word.to_string() };
    let lines: Vec<String> = word.split('\n').map(|line| format!("\u{1b}[{code}m{line}\u{1b}[0m")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text without colour codes.
    fn bare(text: &str) -> String {
        text.split('\u{1b}')
            .enumerate()
            .map(|(i, part)| if i == 0 { part } else { part.split_once('m').unwrap().1 })
            .collect()
    }

    #[test]
    fn only_colour_is_added() {
        for line in [
            "let x = 1.5 # note",
            "f\"a {x:.2f} b\" + \"c\"",
            "\"open",
            "f\"open {x",
            "'single' && x ** 2",
            "\"\"\"a\nb\"\"\"",
            "ü = \"ö\" 漢 €",
            "## doc\nfn f(x) = x",
            ":type let",
            "x\t+ \u{1F600}",
            "",
        ] {
            assert_eq!(bare(&colored(line)), line);
        }
        assert!(colored("let x = 1").starts_with("\u{1b}[1;34mlet\u{1b}[0m x = \u{1b}[36m1"));
        assert!(!colored(":type let").contains('\u{1b}'));
    }
}
