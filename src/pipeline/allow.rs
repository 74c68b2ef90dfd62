//! `# allow: W0303`: warnings that a comment on their line takes as meant.

use crate::codes;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::source::{SourceId, SourceMap, Span};
use crate::syntax::lexer;

const MARK: &str = "# allow:";

/// True for a warning whose line has a comment with its code, or with several codes and commas.
pub fn is_allowed(d: &Diagnostic, sources: &SourceMap) -> bool {
    let Some(span) = d.span() else { return false };
    let text = &sources.get(span.source).text;
    let (before, after) = text.split_at_checked(span.end.max(span.start) as usize).unwrap_or((text, ""));
    let start = before.get(..span.start as usize).and_then(|b| b.rfind('\n')).map_or(0, |i| i + 1);
    let end = before.len() + after.find('\n').unwrap_or(after.len());
    let lines = text.get(start..end).unwrap_or("").lines();
    let codes = lines.filter_map(|line| line.split_once(MARK)).flat_map(|(_, codes)| codes.split([',', ' ']));
    codes.into_iter().any(|code| code.trim() == d.code)
}

/// A warning for each code in such comments that no warning has.
pub fn unknown(source: SourceId, text: &str) -> Vec<Diagnostic> {
    if !text.contains(MARK) {
        return vec![];
    }
    let lexed = lexer::lex(source, text);
    let in_text = |at: usize| lexed.lexemes.iter().any(|l| (l.span.start as usize) < at && at < l.span.end as usize);
    let mut out = vec![];
    for (at, _) in text.match_indices(MARK).filter(|(at, _)| !in_text(*at)) {
        let line = text.get(at + MARK.len()..).and_then(|rest| rest.lines().next()).unwrap_or("");
        for (i, word) in line.split([',', ' ']).filter(|word| !word.is_empty()).enumerate() {
            // After the codes a comment may say more.
            if !looks_like_code(word) && i > 0 {
                break;
            }
            let known = codes::CODES.iter().any(|c| c.code == word);
            if known && word.starts_with('W') {
                continue;
            }
            let start = at + MARK.len() + (word.as_ptr() as usize - line.as_ptr() as usize);
            let span = Span { source, start: start as u32, end: (start + word.len()) as u32 };
            let d =
                Diagnostic::warning("W0313", format!("`{word}` is no warning, so nothing is silenced")).at(span, "");
            let warnings = codes::CODES.iter().map(|c| c.code).filter(|c| c.starts_with('W'));
            let upper = word.to_uppercase();
            let near = match codes::CODES.iter().find(|c| c.code == upper && upper.starts_with('W')) {
                Some(code) => Some(code.code),
                None => did_you_mean(&upper, warnings),
            };
            out.push(match near {
                _ if known => d.help("what is an error stays one; mend it"),
                Some(near) => d.help(format!("did you mean {near}?")),
                None => d.help("a warning has its code in brackets: warning[W0303]"),
            });
        }
    }
    out
}

fn looks_like_code(word: &str) -> bool {
    let digits = word.get(1..).unwrap_or("");
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
}
