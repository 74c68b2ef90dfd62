//! Why the parser stopped: from the token it could not use to the mistake that was most likely made.
//!
//! In: the tokens, the one in the way, the start of its statement, the terminals the grammar would have taken.
//! Out: one [`SyntaxError`]. The rules go from special to general; the first that fits decides.

use super::error::SyntaxError;
use super::hints;
use super::lexer::Lexeme;
use super::token::Token;
use crate::source::{SourceId, Span};

struct Stop<'a, 's> {
    source: SourceId,
    text: &'s str,
    lexemes: &'a [Lexeme<'s>],
    /// Index of the token in the way; the number of tokens at the end of the text.
    at: usize,
    /// Index of the first token of its statement.
    start: usize,
    expected: Vec<&'a str>,
}

/// Names the mistake that made the parser stop at token `at` of a statement from token `start` on.
pub fn diagnose(
    source: SourceId,
    text: &str,
    lexemes: &[Lexeme<'_>],
    at: usize,
    start: usize,
    expected: &[String],
) -> SyntaxError {
    let expected = expected.iter().map(|e| e.trim_matches('"')).collect();
    let stop = Stop { source, text, lexemes, at, start, expected };
    stop.at_end().or_else(|| stop.foreign()).or_else(|| stop.misplaced()).unwrap_or_else(|| stop.general())
}

impl<'s> Stop<'_, 's> {
    fn token(&self, i: usize) -> Option<&Token<'s>> {
        self.lexemes.get(i).map(|l| &l.token)
    }

    /// The token in the way.
    fn found(&self) -> Option<&Token<'s>> {
        self.token(self.at)
    }

    /// The token `n` before it, if that belongs to the same statement.
    fn before(&self, n: usize) -> Option<&Token<'s>> {
        let i = self.at.checked_sub(n)?;
        if i < self.start { None } else { self.token(i) }
    }

    fn span_at(&self, i: usize) -> Span {
        let end = Span::new(self.source, self.text.len(), self.text.len());
        self.lexemes.get(i).map_or(end, |l| l.span)
    }

    fn span(&self) -> Span {
        self.span_at(self.at)
    }

    fn source_text(&self, span: Span) -> &'s str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    fn expects(&self, terminal: &str) -> bool {
        self.expected.contains(&terminal)
    }

    /// True if no token, or one that ends a statement, is in the way.
    fn is_end(&self) -> bool {
        matches!(self.found(), None | Some(Token::Newline | Token::RBrace))
    }

    /// The token in the way, in words.
    fn found_words(&self) -> String {
        match self.found() {
            None => "the end of the text".into(),
            Some(Token::Newline) if self.source_text(self.span()) == ";" => "`;`".into(),
            Some(Token::Int(_) | Token::Float(_)) => format!("the number `{}`", self.source_text(self.span())),
            Some(token) => match token.keyword() {
                Some(word) => format!("the keyword `{word}`"),
                None => token.to_string(),
            },
        }
    }

    fn unexpected(&self, hint: impl Into<String>) -> Option<SyntaxError> {
        Some(SyntaxError::Unexpected {
            found: self.found_words(),
            expected: self.expected_words(),
            hint: Some(hint.into()),
            span: self.span(),
        })
    }

    /// What would fit, in words; empty if that says nothing.
    fn expected_words(&self) -> String {
        let closers = |t: &&str| matches!(*t, ")" | "]" | "}");
        let mut words: Vec<String> = vec![];
        if self.expects("fn") && self.expects("none") && !self.expects("an int") {
            return "a type".into();
        }
        if self.expects("an int") && self.expects("(") {
            words.push("an expression".into());
            if self.expects("an int") && !self.expects("if") {
                words = vec!["a size".into()];
            }
        } else {
            let after_operand = self.before(1).is_some_and(Token::ends_operand);
            let in_expression = ["+", "+=", "|>", "?"].iter().any(|t| self.expects(t));
            for &terminal in self.expected.iter().filter(|t| !(closers(t) || in_expression && is_operator(t))) {
                match terminal {
                    "if" | "for" if after_operand => {}
                    "list" | "dict" | "f-text" | "f-string-end" | "f-hole" | "f-spec" | "invalid" => {}
                    "f-hole-end" => words.push("`}`".into()),
                    "a name" | "an int" | "a float" | "a string" | "a new line" => words.push(terminal.into()),
                    "f-string" => {}
                    other => words.push(format!("`{other}`")),
                }
            }
        }
        words.extend(self.expected.iter().filter(|t| closers(t)).map(|t| format!("`{t}`")));
        match words.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [most @ .., last] if words.len() <= 4 => format!("{} or {last}", most.join(", ")),
            _ => String::new(),
        }
    }

    /// Going outward from the token in the way, the nearest of the given words that waits for it: not within a
    /// complete bracket, not before the statement.
    fn head(&self, words: &[Token<'static>]) -> Option<usize> {
        let mut depth = 0usize;
        for i in (self.start..self.at).rev() {
            match self.token(i)? {
                Token::RParen | Token::RSquare | Token::RBrace | Token::HoleClose => depth += 1,
                Token::LBrace | Token::Newline if depth == 0 => return None,
                Token::LParen | Token::LSquare | Token::LBrace | Token::HoleOpen => depth = depth.saturating_sub(1),
                token if depth == 0 && words.contains(token) => return Some(i),
                _ => {}
            }
        }
        None
    }

    /// The innermost bracket that is open at the token in the way, within the statement.
    fn innermost_bracket(&self) -> Option<usize> {
        let mut depth = 0usize;
        for i in (self.start..self.at).rev() {
            match self.token(i)? {
                Token::RParen | Token::RSquare | Token::RBrace | Token::HoleClose => depth += 1,
                Token::LParen | Token::LSquare | Token::LBrace | Token::HoleOpen => {
                    if depth == 0 {
                        return Some(i);
                    }
                    depth -= 1;
                }
                _ => {}
            }
        }
        None
    }

    /// The text ends, and a line could not.
    fn at_end(&self) -> Option<SyntaxError> {
        if self.found().is_some() {
            return None;
        }
        let waits = self.before(1).is_some_and(Token::continues_line) || self.expected == ["catch"];
        waits.then(|| SyntaxError::UnexpectedEnd { expected: self.expected_words(), span: self.span() })
    }

    /// Words, operators and comments of other languages.
    fn foreign(&self) -> Option<SyntaxError> {
        // `def f(x):` -- the parser takes `def` for a name and stops at the next token. Many of these words make
        // good names, so they count only where a word of the language would stand.
        if let Some(Token::Ident(word)) = self.before(1)
            && !self.is_end()
            && let Some(instead) = hints::foreign_word(word)
        {
            let is_first = self.at == self.start + 1;
            let fits = match self.found() {
                Some(Token::Colon) => matches!(*word, "lambda" | "except" | "finally" | "do" | "loop"),
                _ => is_first || matches!(*word, "lambda" | "mut" | "new" | "await"),
            };
            if fits {
                return Some(SyntaxError::ForeignWord {
                    word: (*word).into(),
                    instead,
                    span: self.span_at(self.at - 1),
                });
            }
        }
        if let Some(Token::Ident(
            word @ ("is" | "then" | "do" | "xor" | "begin" | "except" | "elif" | "elsif" | "elseif"),
        )) = self.found()
            && let Some(instead) = hints::foreign_word(word)
        {
            return Some(SyntaxError::ForeignWord { word: (*word).into(), instead, span: self.span() });
        }
        if let Some(&Token::Ident(word)) = self.token(self.start)
            && matches!(word, "int" | "float" | "str" | "bool" | "double" | "string")
            && self.at == self.start + 1
            && let Some(Token::Ident(name)) = self.found()
        {
            return self.unexpected(format!("write `let {name}: {word} = ...`"));
        }
        let line_comment = (self.start..=self.at).rev().find(|&i| self.token(i) == Some(&Token::SlashSlash));
        if let Some(i) = line_comment
            && !self.text_between(i, self.at).contains('\n')
            && !self.is_end()
        {
            return self.unexpected("comments start with `#`; `//` divides and rounds down");
        }
        let comment = [(self.before(1), self.found()), (self.found(), self.token(self.at + 1))];
        if comment.contains(&(Some(&Token::Slash), Some(&Token::Star))) {
            return self.unexpected("comments start with `#` and end with their line");
        }
        if self.found() == Some(&Token::BarBar) && self.before(1).is_some_and(Token::ends_operand) {
            return Some(SyntaxError::ForeignOperator { found: "||".into(), span: self.span() });
        }
        if let (Some(Token::Minus), Some(Token::Minus)) = (self.before(2), self.before(1)) {
            let span = self.span_at(self.at - 2).to(self.span_at(self.at - 1));
            if self.source_text(span) == "--" {
                return Some(SyntaxError::ForeignOperator { found: "--".into(), span });
            }
        }
        None
    }

    fn text_between(&self, from: usize, to: usize) -> &'s str {
        let (from, to) = (self.span_at(from).start as usize, self.span_at(to).start as usize);
        self.text.get(from..to).unwrap_or("")
    }

    /// Right words in the wrong place.
    fn misplaced(&self) -> Option<SyntaxError> {
        let after_operand = self.before(1).is_some_and(Token::ends_operand);
        if let (Some(Token::HoleOpen), Some(Token::HoleClose | Token::HoleSpec(_))) = (self.before(1), self.found()) {
            let span = self.span_at(self.at - 1).to(self.span());
            return Some(SyntaxError::EmptyHole { span });
        }
        if self.found() == Some(&Token::Eq)
            && let Some(error) = self.stray_equals()
        {
            return Some(error);
        }
        if let Some(error) = self.missing_body(after_operand) {
            return Some(error);
        }
        if let (Some(&Token::Ident(name)), Some(&Token::Ident(ty))) = (self.before(1), self.found())
            && self.expects(":")
            && !self.expects("+")
        {
            return self.unexpected(format!("put a `:` before the type: `{name}: {ty}`"));
        }
        if matches!(self.before(1), Some(Token::Dot)) && matches!(self.before(2), Some(Token::Int(_))) {
            let number = self.source_text(self.span_at(self.at - 2));
            return self.unexpected(format!("a float has digits on both sides of the point: write `{number}.0`"));
        }
        if self.expects("=")
            && let Some(word @ (Token::Let | Token::Var | Token::Param)) = self.token(self.start)
            && self.at > self.start + 1
            && !matches!(self.found(), Some(Token::Comma | Token::LParen))
        {
            let word = word.fixed_text().unwrap_or("let");
            return self.unexpected(format!("give it a value: `{word} name = ...`"));
        }
        match self.found()? {
            Token::Star if self.token(self.start) == Some(&Token::From) => {
                self.unexpected("name what you need, as in `from nn import Dense`, or write `import nn` and `nn.Dense`")
            }
            Token::Dot if self.token(self.start) == Some(&Token::Import) => {
                self.unexpected("modules hold no modules: write `import name`, or the path of a file in quotes")
            }
            Token::Let | Token::Var if self.token(self.start) == Some(&Token::For) => {
                self.unexpected("write `for i in 0..n { ... }`")
            }
            Token::At if self.at == self.start => {
                self.unexpected("there are no decorators: call the function on it, as in `let g = checkpoint(f)`")
            }
            Token::Greater if self.before(1) == Some(&Token::Less) => self.unexpected("write `!=`"),
            Token::Arrow if self.before(1) == Some(&Token::Bar) => {
                self.unexpected("write a function in bars, as in `|x| x + 1`")
            }
            Token::For if after_operand && self.at == self.start + 1 => {
                self.unexpected("write `[f(x) for x in xs]` for a tensor, `list(f(x) for x in xs)` for a list")
            }
            Token::LParen
                if matches!(self.token(self.start), Some(Token::Let | Token::Var)) && self.at == self.start + 2 =>
            {
                self.unexpected("write a function as `fn f(x) = ...`")
            }
            Token::Eq if self.token(self.start) == Some(&Token::For) => self.unexpected("write `for x in xs { ... }`"),
            Token::In
                if self.token(self.start) == Some(&Token::For) && self.innermost_bracket() == Some(self.start + 1) =>
            {
                self.unexpected("write it without parentheses: `for x in xs { ... }`")
            }
            Token::Question if after_operand => self.unexpected("write `if cond { a } else { b }`; it has a value"),
            Token::If if after_operand && !self.rest_of_line_has(&Token::LBrace) => {
                self.unexpected("write `if cond { a } else { b }`; it has a value")
            }
            Token::Dot if matches!(self.token(self.at + 1), Some(Token::Int(_))) => {
                let digits = self.source_text(self.span_at(self.at + 1));
                self.unexpected(format!("a float has digits on both sides of the point: write `0.{digits}`"))
            }
            Token::FatArrow | Token::Arrow if after_operand => {
                self.unexpected("write a function in bars, as in `|x| x + 1`")
            }
            Token::Fn if matches!(self.token(self.at + 1), Some(Token::LParen)) => {
                self.unexpected("write a function without a name in bars, as in `|x| x + 1`")
            }
            Token::For if after_operand && self.innermost_bracket().is_some() => {
                self.unexpected("write `[f(x) for x in xs]` for a tensor, `list(f(x) for x in xs)` for a list")
            }
            Token::Comma if self.innermost_bracket().is_none() => self.unexpected(match self.token(self.start) {
                Some(Token::Let | Token::Var | Token::Return) => "write several values in parentheses: `(1, 2)`",
                _ => "write several values in parentheses: `(a, b) = (1, 2)`",
            }),
            Token::Colon => match self.innermost_bracket().and_then(|i| self.token(i)) {
                None | Some(Token::LBrace)
                    if matches!(self.before(1), Some(Token::Ident(_))) && self.before(2).is_none() =>
                {
                    self.unexpected("write `let name: type = value` for a new name")
                }
                Some(Token::LBrace) => self.unexpected(DICT),
                None if self.before(2).is_none() => match self.before(1) {
                    Some(Token::Str(_)) => self.unexpected(DICT),
                    Some(Token::Int(_) | Token::Float(_)) => self.unexpected(INT_KEYS),
                    _ => None,
                },
                Some(Token::LParen) => match self.before(1) {
                    Some(Token::Str(text)) if is_name(text) => {
                        self.unexpected(format!("names stand without quotes: `{text}: value`"))
                    }
                    Some(Token::Str(_)) => {
                        self.unexpected("for keys that are no names, write pairs: `dict(list((\"a b\", 1)))`")
                    }
                    Some(Token::Int(_)) => self.unexpected(INT_KEYS),
                    _ => None,
                },
                _ => None,
            },
            // `a if cond else b`: the `if` was taken for that of a comprehension.
            Token::Else if self.head(&[Token::If]).is_some_and(|i| i > self.start) => {
                self.unexpected("a choice is written `if cond { a } else { b }`")
            }
            Token::Else => self.unexpected("`else` goes on the line of the `}` before it, or on the next one"),
            token if self.expects("a name") && !self.expects("an int") && token.keyword().is_some() => {
                let word = token.keyword().unwrap_or_default();
                self.unexpected(format!("`{word}` is a keyword; choose another name"))
            }
            _ => None,
        }
    }

    /// `=` in a condition, in a call, after another `=`.
    fn stray_equals(&self) -> Option<SyntaxError> {
        let mut outer = Stop { expected: vec![], ..*self };
        loop {
            if let Some(i) = outer.head(&[Token::If, Token::While]) {
                let word = self.token(i).and_then(Token::keyword).unwrap_or("if");
                return Some(SyntaxError::AssignInCondition { word, span: self.span(), head: self.span_at(i) });
            }
            match outer.innermost_bracket() {
                Some(i) if outer.token(i) != Some(&Token::LBrace) => outer.at = i,
                _ => break,
            }
        }
        let bracket = self.innermost_bracket();
        match bracket.and_then(|i| self.token(i)) {
            Some(Token::LParen) => {
                let name = match self.before(1) {
                    Some(Token::Ident(name)) => name,
                    _ => "name",
                };
                self.unexpected(format!("name an argument with `:`, as in `f({name}: value)`; compare with `==`"))
            }
            None if self.head(&[Token::Eq]).is_some() && self.before(1).is_some_and(Token::ends_operand) => {
                self.unexpected("assign one name at a time; compare with `==`")
            }
            _ => None,
        }
    }

    /// `if x:` and the like.
    fn missing_body(&self, after_operand: bool) -> Option<SyntaxError> {
        if !self.expects("{") {
            return None;
        }
        let heads = [
            Token::If,
            Token::While,
            Token::For,
            Token::Fn,
            Token::Try,
            Token::Else,
            Token::Catch,
            Token::Test,
            Token::Struct,
            Token::Impl,
        ];
        let i = self.head(&heads)?;
        if !after_operand && i + 1 != self.at {
            return None;
        }
        // Right after `if`, `while`, `for` it is the condition that is missing.
        let word = self.token(i).and_then(Token::keyword)?;
        if i + 1 == self.at && !matches!(word, "else" | "try" | "catch") {
            return None;
        }
        let word = if word == "catch" { "try" } else { word };
        let (head, span) = (self.span_at(i), self.span());
        Some(SyntaxError::MissingBody { word, found: self.found_words(), head, span })
    }

    fn rest_of_line_has(&self, token: &Token<'s>) -> bool {
        let rest = self.lexemes.get(self.at..).unwrap_or(&[]);
        rest.iter().take_while(|l| l.token != Token::Newline).any(|l| l.token == *token)
    }

    /// The text from the token in the way to the end of its line.
    fn rest_of_line(&self) -> &'s str {
        let rest = self.text.get(self.span().start as usize..).unwrap_or("");
        rest.lines().next().unwrap_or("").trim_end()
    }

    fn general(&self) -> SyntaxError {
        let after_operand = self.before(1).is_some_and(Token::ends_operand)
            || matches!(self.before(1), Some(Token::Break | Token::Continue | Token::Return));
        let in_bracket = self.innermost_bracket().and_then(|i| self.token(i));
        let starts_operand = matches!(
            self.found(),
            Some(Token::Ident(_) | Token::Int(_) | Token::Float(_) | Token::Str(_) | Token::FormatStart(_))
        );
        if let (Some(Token::Ident(name)), true) = (self.before(1), starts_operand && self.at == self.start + 1) {
            let rest = match self.rest_of_line() {
                rest if rest.is_empty() || rest.contains(['{', '#', '\'']) || rest.chars().count() > 40 => "...",
                rest => rest,
            };
            if let Some(error) = self.unexpected(format!("to call `{name}`, write `{name}({rest})`")) {
                return error;
            }
        }
        if !self.is_end() && self.expects("a new line") && self.at > self.start && after_operand && in_bracket.is_none()
        {
            let first = self.span_at(self.start).to(self.span_at(self.at - 1));
            return SyntaxError::SameLine { found: self.found_words(), first, span: self.span() };
        }
        if self.at == self.start && self.at > 0 && self.found().is_some() && is_operator(self.source_text(self.span()))
        {
            let operator = self.source_text(self.span());
            let hint = format!("a line goes on after an operator at its end: move the `{operator}` up");
            if let Some(error) = self.unexpected(hint) {
                return error;
            }
        }
        let in_list = matches!(in_bracket, Some(Token::LParen | Token::LSquare));
        let hint = (after_operand && starts_operand && in_list).then(|| "put a `,` or an operator before it".into());
        SyntaxError::Unexpected { found: self.found_words(), expected: self.expected_words(), hint, span: self.span() }
    }
}

const DICT: &str = "write a dict as `dict(name: value)`";
const INT_KEYS: &str = "for keys that are no names, write pairs: `dict(list((1, \"one\"), (2, \"two\")))`";

/// True for what may name an argument.
fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// What may follow any operand, and so says little.
fn is_operator(terminal: &str) -> bool {
    matches!(
        terminal,
        "and"
            | "or"
            | "not"
            | "in"
            | "=="
            | "!="
            | "<"
            | "<="
            | ">"
            | ">="
            | ".."
            | "..="
            | "+"
            | "-"
            | "*"
            | "/"
            | "//"
            | "%"
            | "@"
            | "^"
            | "."
            | "("
            | "["
            | "|>"
            | "?"
            | "+="
            | "-="
            | "*="
            | "/="
            | "//="
            | "%="
            | "@="
            | "^="
    )
}
