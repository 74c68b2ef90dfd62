//! Text to tokens: decides which line breaks count, opens up f-strings, pairs brackets, sets doc comments aside.
//!
//! In: a source text. Out: [`Lexed`]. Invariants: brackets in the output are balanced (missing ones are put in
//! as *virtual* tokens, spare ones left out, each with a problem); there is no `Newline` at the start, after
//! another, after `{` or before `}`; tokens are in order of position; the tree they make is at most
//! [`MAX_DEPTH`] deep.

use logos::Logos;

use super::docs::Docs;
use super::error::SyntaxError;
use super::literal::{self, End, Problems, Until};
use super::token::Token;
use crate::source::{SourceId, Span};

/// How many brackets may be open at once.
pub const MAX_BRACKETS: usize = 256;
/// How deep the tree of a statement may get, operators and calls in a row included.
pub const MAX_DEPTH: u32 = 1000;

/// A token where it stands.
#[derive(Clone, Debug)]
pub struct Lexeme<'s> {
    pub token: Token<'s>,
    pub span: Span,
    /// Put in to balance brackets; errors at it are echoes of one already reported.
    pub is_virtual: bool,
}

/// The outcome of lexing.
#[derive(Debug)]
pub struct Lexed<'s> {
    pub lexemes: Vec<Lexeme<'s>>,
    pub docs: Docs,
    pub problems: Vec<SyntaxError>,
}

/// Splits a text into tokens.
pub fn lex(source: SourceId, text: &str) -> Lexed<'_> {
    let skipped = if text.starts_with("#!") { text.find('\n').unwrap_or(text.len()) } else { 0 };
    let mut logos = Token::lexer_with_extras(text, Problems { source, list: vec![] });
    logos.bump(skipped);
    let mut lexer = Lexer {
        source,
        text,
        logos,
        // Most of a library module may be blank.
        out: Vec::with_capacity((text.len() / 3).min(4096)),
        open: vec![],
        docs: Docs::default(),
        depth: 0,
        line_break: None,
        line_start: 0,
        line_indent: None,
        suspect: None,
    };
    lexer.run();
    let mut problems = std::mem::take(&mut lexer.logos.extras.list);
    problems.sort_by_key(|p| p.span().start);
    Lexed { lexemes: lexer.out, docs: lexer.docs, problems }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Bracket {
    Paren,
    Square,
    Brace,
    /// `{` in an f-string, which has triple quotes or not.
    Hole {
        triple: bool,
    },
    /// `{` in the format of such a hole.
    SpecHole,
}

/// What `}` may close.
const BRACES: &[Bracket] =
    &[Bracket::Brace, Bracket::Hole { triple: false }, Bracket::Hole { triple: true }, Bracket::SpecHole];

impl Bracket {
    fn closer<'s>(self) -> Token<'s> {
        match self {
            Bracket::Paren => Token::RParen,
            Bracket::Square => Token::RSquare,
            Bracket::Brace => Token::RBrace,
            Bracket::Hole { .. } | Bracket::SpecHole => Token::HoleClose,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Bracket::Paren => "(",
            Bracket::Square => "[",
            Bracket::Brace | Bracket::Hole { .. } | Bracket::SpecHole => "{",
        }
    }
}

#[derive(Debug)]
struct Open {
    bracket: Bracket,
    span: Span,
    /// Tokens that deepen the tree since the last separator at this level.
    chain: u32,
    /// Bars of lambdas among them, which a comma does not end.
    bars: u32,
    /// Column of the first token on the line of the bracket.
    indent: u32,
}

/// True if what stands in brackets at the start of `text` is followed by `=`, or does not end.
fn is_assigned(text: &str) -> bool {
    let (mut depth, mut quoted) = (0usize, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let after = chars.as_str().trim_start_matches([' ', '\t']);
                    return after.starts_with('=') && !after.starts_with("==");
                }
            }
            _ => {}
        }
    }
    true
}

struct Lexer<'s> {
    source: SourceId,
    text: &'s str,
    logos: logos::Lexer<'s, Token<'s>>,
    out: Vec<Lexeme<'s>>,
    open: Vec<Open>,
    docs: Docs,
    /// Sum of all `chain`s, plus one for each open bracket.
    depth: u32,
    /// A line break that may turn out to end a statement.
    line_break: Option<Span>,
    line_start: u32,
    /// Start of the first token on this line.
    line_indent: Option<u32>,
    /// The first `{` whose line is indented unlike that of its `}`: probably the one that lacks its own.
    suspect: Option<Span>,
}

impl<'s> Lexer<'s> {
    fn run(&mut self) {
        while let Some(result) = self.logos.next() {
            let range = self.logos.span();
            let span = Span::new(self.source, range.start, range.end);
            match result {
                Ok(Token::Newline) => {
                    self.line_end(span);
                    self.skip_blanks();
                }
                Ok(Token::Doc(text)) => self.doc(text, span),
                Ok(token) => {
                    let variance = matches!(token, Token::Var) && self.is_variance();
                    let token = if variance { Token::Ident("var") } else { token };
                    let before = self.out.len();
                    self.token(token, span);
                    if self.too_deep(span) {
                        self.cut(before);
                        return;
                    }
                }
                Err(()) => {
                    // A run beyond ASCII arrives as one piece: the characters that no name has are each reported.
                    let mut at = range.start;
                    for c in self.logos.slice().chars() {
                        if !(c.is_alphanumeric() || c == '_') {
                            let span = Span::new(self.source, at, at + c.len_utf8());
                            self.problem(SyntaxError::StrayCharacter { found: c.to_string(), span });
                        }
                        at += c.len_utf8();
                    }
                }
            }
        }
        let end = Span::new(self.source, self.text.len(), self.text.len());
        if let Some(last) = self.open.last() {
            let (open, bracket) = match (last.bracket, self.suspect) {
                (Bracket::Brace, Some(suspect)) => (suspect, "{"),
                _ => (last.span, last.bracket.text()),
            };
            self.problem(SyntaxError::Unclosed { bracket, open, at: end, at_end: true });
        }
        self.close_down_to(0, end);
        self.docs.finish();
    }

    /// `var(x)` is the variance; at the start of a statement and before `=` a declaration.
    fn is_variance(&self) -> bool {
        let inside = matches!(self.open.last(), Some(Open { bracket: Bracket::Paren | Bracket::Square, .. }));
        let first = matches!(self.out.last().map(|l| &l.token), None | Some(Token::Newline | Token::LBrace));
        let starts = !inside && (self.line_break.is_some() || first);
        self.logos.remainder().starts_with('(') && !(starts && is_assigned(self.logos.remainder()))
    }

    /// At the start of a line. Many blanks stand for what a program does not need of a library module: passed over in long steps.
    fn skip_blanks(&mut self) {
        const STEP: usize = 64;
        let rest = self.logos.remainder().as_bytes();
        let steps = rest.chunks_exact(STEP).take_while(|chunk| **chunk == [b' '; STEP]);
        let len = STEP * steps.count();
        let few = rest.iter().skip(len).take_while(|b| **b == b' ').count();
        self.logos.bump(len + few);
    }

    fn problem(&mut self, problem: SyntaxError) {
        self.logos.extras.list.push(problem);
    }

    /// A string without end has taken the closing brackets of its line with it.
    fn close_after_string(&mut self, line_end: Span) {
        let unclosed = matches!(self.logos.extras.list.last(),
            Some(SyntaxError::UnterminatedString { span, triple: false }) if span.end == line_end.start);
        let closable =
            |o: &Open| matches!(o.bracket, Bracket::Paren | Bracket::Square) && o.span.start >= self.line_start;
        if unclosed {
            let keep = self.open.iter().rposition(|o| !closable(o)).map_or(0, |i| i + 1);
            self.close_down_to(keep, line_end);
        }
    }

    fn line_end(&mut self, span: Span) {
        self.line_break.get_or_insert(span);
        self.close_after_string(span);
        self.line_start = span.end;
        self.line_indent = None;
        // A hole of a one-line f-string ends with its line, whatever is open in it.
        let hole = self.open.iter().position(|o| o.bracket == Bracket::Hole { triple: false });
        if let Some(i) = hole {
            if let Some(open) = self.open.get(i) {
                let open = open.span;
                // A string without end in a hole: its quote was meant to end the f-string.
                let at = match self.logos.extras.list.last() {
                    Some(SyntaxError::UnterminatedString { span: string, .. }) if string.end == span.start => *string,
                    _ => span,
                };
                if at != span {
                    self.logos.extras.list.pop();
                }
                self.problem(SyntaxError::Unclosed { bracket: "{", open, at, at_end: false });
            }
            self.close_down_to(i, span);
        }
    }

    fn doc(&mut self, text: &str, span: Span) {
        let text = text.strip_prefix("##").unwrap_or(text);
        let text = text.strip_prefix(' ').unwrap_or(text).trim_end();
        match self.line_indent {
            None => {
                let blank_before = blank_line_before(self.text, span.start);
                self.docs.leading(text, blank_before, self.out.is_empty());
            }
            Some(line) => {
                let Some(last) = self.out.iter().rev().find(|l| l.token != Token::Comma) else { return };
                let goes_on =
                    last.token.continues_line() || matches!(last.token, Token::LBrace | Token::LParen | Token::LSquare);
                self.docs.trailing(text, if goes_on { line } else { u32::MAX }, last.span.end);
            }
        }
    }

    /// Takes in one token from logos.
    fn token(&mut self, token: Token<'s>, span: Span) {
        let mut token = token;
        if token.keyword().is_some() && self.is_plain_word() {
            token = Token::Ident(self.logos.slice());
        }
        if token == Token::Semicolon {
            self.line_break = None;
            let spare = matches!(self.out.last(), None | Some(Lexeme { token: Token::Newline | Token::LBrace, .. }));
            if !spare {
                self.push(Token::Newline, span, false);
            }
            return;
        }
        self.decide_line_break(&token, span);
        if self.line_indent.is_none() {
            self.line_indent = Some(span.start);
        }
        self.docs.attach_leading(span.start, &token, || blank_line_before(self.text, span.start));
        match token {
            Token::LParen => self.open(Bracket::Paren, token, span),
            Token::LSquare => self.open(Bracket::Square, token, span),
            Token::LBrace => self.open(Bracket::Brace, token, span),
            Token::RParen => self.close(&[Bracket::Paren], ")", span),
            Token::RSquare => self.close(&[Bracket::Square], "]", span),
            Token::RBrace => self.close(BRACES, "}", span),
            Token::FormatStart(triple) => {
                self.push(token, span, false);
                self.format_text(triple, span);
            }
            Token::Colon if matches!(self.open.last(), Some(Open { bracket: Bracket::Hole { .. }, .. })) => {
                self.hole_spec(true);
            }
            Token::Bang => {
                self.problem(SyntaxError::ForeignOperator { found: "!".into(), span });
                self.push(Token::Not, span, false);
            }
            Token::PlusPlus => self.problem(SyntaxError::ForeignOperator { found: "++".into(), span }),
            Token::Int(i64::MIN) => {
                let negated = match self.out.as_slice() {
                    [.., before, Lexeme { token: Token::Minus, .. }] => !before.token.ends_operand(),
                    [Lexeme { token: Token::Minus, .. }] => true,
                    _ => false,
                };
                if !negated {
                    self.problem(SyntaxError::NumberTooLarge { text: self.logos.slice().into(), span });
                }
                self.push(token, span, false);
            }
            token => self.push(token, span, false),
        }
    }

    /// True if a keyword here can only be a name: after `.`, or naming an argument (`f(from: 1)`).
    fn is_plain_word(&self) -> bool {
        match self.out.last().map(|l| &l.token) {
            Some(Token::Dot) => self.line_break.is_none(),
            Some(Token::LParen | Token::Comma) => {
                matches!(self.open.last(), Some(Open { bracket: Bracket::Paren, .. }))
                    && self.logos.remainder().trim_start().starts_with(':')
            }
            _ => false,
        }
    }

    /// Emits the `Newline` for a line break before `next`, if it ends a statement.
    fn decide_line_break(&mut self, next: &Token<'s>, span: Span) {
        let Some(line_break) = self.line_break.take() else { return };
        match self.open.last().map(|o| o.bracket) {
            None | Some(Bracket::Brace) => {}
            Some(_) if self.starts_statement(next) => {
                // Nothing but a forgotten bracket brings a statement here.
                let keep = self.open.iter().rposition(|o| o.bracket == Bracket::Brace).map_or(0, |i| i + 1);
                if let Some(open) = self.open.get(keep) {
                    let (bracket, open) = (open.bracket.text(), open.span);
                    self.problem(SyntaxError::Unclosed { bracket, open, at: span, at_end: false });
                }
                self.close_down_to(keep, line_break);
            }
            Some(_) => return,
        }
        let Some(last) = self.out.last() else { return };
        let goes_on = match last.token {
            Token::Newline | Token::LBrace => true,
            Token::Minus if self.ends_with_decrement() => false,
            // Half a statement and then a whole one: the mistake is in the first.
            _ => last.token.continues_line() && !self.starts_statement(next),
        };
        if !goes_on && !next.continues_previous_line() && *next != Token::RBrace {
            self.push(Token::Newline, line_break, false);
        }
    }

    /// `x--`, which is no reason to go on in the next line.
    fn ends_with_decrement(&self) -> bool {
        match self.out.as_slice() {
            [.., x, a, b] => {
                x.token.ends_operand()
                    && a.token == Token::Minus
                    && b.token == Token::Minus
                    && a.span.end == b.span.start
            }
            _ => false,
        }
    }

    /// True for a word that starts a statement and stands in no expression.
    fn starts_statement(&self, token: &Token<'s>) -> bool {
        use Token::*;
        let rest = self.logos.remainder().trim_start();
        match token {
            Let | Var | Struct | Impl | While | Import | Param | Test | Return | Break | Continue => {
                !rest.starts_with(':')
            }
            Fn => !rest.starts_with('('),
            _ => false,
        }
    }

    fn push(&mut self, token: Token<'s>, span: Span, is_virtual: bool) {
        let deepens = token.deepens() as u32;
        if let Some(open) = self.open.last_mut() {
            match token {
                Token::Comma => {
                    self.depth = self.depth.saturating_sub(open.chain - open.bars);
                    open.chain = open.bars;
                }
                Token::Newline => {
                    self.depth = self.depth.saturating_sub(open.chain);
                    open.chain = 0;
                    open.bars = 0;
                }
                _ => {
                    open.chain += deepens;
                    open.bars += matches!(token, Token::Bar | Token::BarBar) as u32;
                    self.depth += deepens;
                }
            }
        } else if token == Token::Newline {
            self.depth = 0;
        } else {
            self.depth += deepens;
        }
        self.out.push(Lexeme { token, span, is_virtual });
    }

    fn open(&mut self, bracket: Bracket, token: Token<'s>, span: Span) {
        self.push(token, span, false);
        let indent = self.line_indent.unwrap_or(span.start) - self.line_start;
        self.open.push(Open { bracket, span, chain: 0, bars: 0, indent });
        self.depth += 1;
    }

    fn close(&mut self, brackets: &[Bracket], text: &'static str, span: Span) {
        let Some(i) = self.open.iter().rposition(|o| brackets.contains(&o.bracket)) else {
            let open = self.open.last().map(|o| (o.bracket.text(), o.span));
            self.problem(SyntaxError::Unopened { bracket: text, span, open });
            // `(1, 2]`: taken for the wrong bracket, not for a spare one.
            if matches!(self.open.last(), Some(Open { bracket: Bracket::Paren | Bracket::Square, .. })) {
                self.close_down_to(self.open.len() - 1, span);
            }
            return;
        };
        if let Some(inner) = self.open.get(i + 1) {
            let (bracket, open) = (inner.bracket.text(), inner.span);
            self.problem(SyntaxError::Unclosed { bracket, open, at: span, at_end: false });
            self.close_down_to(i + 1, span);
        }
        let Some(open) = self.open.pop() else { return };
        self.depth = self.depth.saturating_sub(open.chain + 1);
        let starts_line = self.line_indent == Some(span.start);
        if open.bracket == Bracket::Brace && starts_line && span.start - self.line_start != open.indent {
            self.suspect.get_or_insert(open.span);
        }
        self.push(open.bracket.closer(), span, false);
        match open.bracket {
            Bracket::Hole { triple } => self.format_text(triple, span),
            Bracket::SpecHole => self.hole_spec(false),
            _ => {}
        }
    }

    /// Closes all brackets above the lowest `keep` with virtual tokens at `span`.
    fn close_down_to(&mut self, keep: usize, span: Span) {
        let at = Span { end: span.start, ..span };
        while self.open.len() > keep
            && let Some(open) = self.open.pop()
        {
            self.depth = self.depth.saturating_sub(open.chain + 1);
            self.push(open.bracket.closer(), at, true);
            if let Bracket::Hole { .. } = open.bracket {
                self.push(Token::FormatEnd, at, true);
            }
        }
    }

    /// Reads the text of an f-string up to its end or the next hole; `before` is what precedes it.
    fn format_text(&mut self, triple: bool, before: Span) {
        let at = self.logos.span().end;
        let quotes = if triple { 3 } else { 1 };
        let mut text = String::new();
        let rest = self.logos.remainder();
        let until = Until::QuoteOrHole(quotes);
        let end = literal::scan(rest, until, at, self.source, &mut text, &mut self.logos.extras.list);
        let (len, tail) = match end {
            End::Quote(n) => (n, quotes),
            End::Hole(n) => (n, 1),
            End::Missing(n) => (n, 0),
        };
        self.logos.bump(len);
        let span = |from, to| Span::new(self.source, from, to);
        let (text_span, tail_span) = (span(at, at + len - tail), span(at + len - tail, at + len));
        if !text.is_empty() {
            self.push(Token::FormatText(text.into()), text_span, false);
        }
        match end {
            End::Quote(_) => self.push(Token::FormatEnd, tail_span, false),
            End::Hole(_) => self.open(Bracket::Hole { triple }, Token::HoleOpen, tail_span),
            End::Missing(_) => {
                self.problem(SyntaxError::UnterminatedString { span: before.to(text_span), triple });
                self.push(Token::FormatEnd, tail_span, true);
            }
        }
    }

    /// Reads the format after the `:` in a hole, or what follows a value in it, up to the next value or the `}`.
    fn hole_spec(&mut self, first: bool) {
        let at = self.logos.span().end;
        let rest = self.logos.remainder();
        let len = rest.find(['}', '"', '\n', '{']).unwrap_or(rest.len());
        let spec = rest.get(..len).unwrap_or("");
        if first || len > 0 {
            self.push(Token::HoleSpec(spec.into()), Span::new(self.source, at, at + len), false);
        }
        self.logos.bump(len);
        let end = Span::new(self.source, at + len, at + len + 1);
        if rest.as_bytes().get(len) == Some(&b'{') {
            self.logos.bump(1);
            self.open(Bracket::SpecHole, Token::HoleOpen, end);
            return;
        }
        if rest.as_bytes().get(len) == Some(&b'}') {
            self.logos.bump(1);
            self.close(BRACES, "}", end);
            return;
        }
        let Some(open) = self.open.last() else { return };
        let (open, bracket) = (open.span, open.bracket);
        self.problem(SyntaxError::Unclosed { bracket: "{", open, at: end, at_end: false });
        // Go on in the text of the string, so that its end is found.
        if let Bracket::Hole { triple } = bracket
            && let Some(hole) = self.open.pop()
        {
            self.depth = self.depth.saturating_sub(hole.chain + 1);
            self.push(Token::HoleClose, end, true);
            self.format_text(triple, open);
        }
    }

    /// Notes a tree that would be too deep for the passes to come, which walk it recursively.
    fn too_deep(&mut self, span: Span) -> bool {
        let brackets = self.open.len() > MAX_BRACKETS;
        if brackets || self.depth > MAX_DEPTH {
            self.problem(SyntaxError::TooDeep { span, brackets });
            return true;
        }
        false
    }

    /// Drops the top-level statement that holds token `index` and all after it.
    fn cut(&mut self, index: usize) {
        let mut depth = 0usize;
        let mut keep = 0;
        for (i, lexeme) in self.out.iter().take(index).enumerate() {
            match lexeme.token {
                Token::LParen | Token::LSquare | Token::LBrace | Token::HoleOpen => depth += 1,
                Token::RParen | Token::RSquare | Token::RBrace | Token::HoleClose => depth = depth.saturating_sub(1),
                Token::Newline if depth == 0 => keep = i,
                _ => {}
            }
        }
        self.out.truncate(keep);
        self.open.clear();
    }
}

/// True if an empty line stands above the line that holds byte `at`.
fn blank_line_before(text: &str, at: u32) -> bool {
    let before = text.get(..at as usize).unwrap_or("");
    let mut lines = before.rsplit('\n').skip(1);
    lines.next().is_some_and(|line| line.trim().is_empty())
}
