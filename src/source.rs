//! Source texts and places in them. Every tree node, instruction and diagnostic carries a [`Span`].

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Name of what is given with `-e`.
pub const EVAL: &str = "<eval>";

/// Index of a text in the [`SourceMap`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A half-open range of bytes in one source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct Span {
    pub source: SourceId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `source`.
    pub fn new(source: SourceId, start: usize, end: usize) -> Span {
        Span { source, start: start as u32, end: end as u32 }
    }

    /// The smallest span that holds both; both lie in one source.
    pub fn to(self, other: Span) -> Span {
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// What a source says: read from somewhere, or a part of the binary.
#[derive(Clone, Debug)]
pub enum Text {
    Static(&'static str),
    Read(Arc<str>),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Static(text) => text,
            Text::Read(text) => text,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::Read(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::Read(text.into())
    }
}

impl From<Cow<'static, str>> for Text {
    fn from(text: Cow<'static, str>) -> Text {
        match text {
            Cow::Borrowed(text) => Text::Static(text),
            Cow::Owned(text) => text.into(),
        }
    }
}

/// One text: a file, a library module, a line typed into the REPL.
#[derive(Clone, Debug)]
pub struct Source {
    /// As shown in messages: a path, `<stdlib>/nn.dl`, `<repl:3>`.
    pub name: String,
    pub text: Text,
    /// Found when a place is first asked for.
    line_starts: OnceLock<Vec<u32>>,
}

impl Source {
    /// Line and column of a byte, both counted from 1; columns count characters.
    pub fn line_col(&self, byte: u32) -> (usize, usize) {
        let starts = self.line_starts();
        let line = starts.partition_point(|&start| start <= byte).max(1);
        let start = starts.get(line - 1).map_or(0, |&start| start as usize);
        let end = (byte as usize).min(self.text.len());
        let column = self.text.get(start..end).map_or(0, |s| s.chars().count());
        (line, column + 1)
    }

    fn line_starts(&self) -> &[u32] {
        let find = || {
            let ends = self.text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
            std::iter::once(0).chain(ends.map(|(i, _)| i as u32 + 1)).collect()
        };
        self.line_starts.get_or_init(find)
    }

    /// The text of line `line` (from 1), without its newline.
    pub fn line(&self, line: usize) -> &str {
        self.text.lines().nth(line.saturating_sub(1)).unwrap_or("")
    }
}

/// All texts of a session.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

impl SourceMap {
    /// Takes in a text and gives it an id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Text>) -> SourceId {
        self.sources.push(Source { name: name.into(), text: text.into(), line_starts: OnceLock::new() });
        SourceId(self.sources.len() as u32 - 1)
    }

    /// The source with this id.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.sources[id.0 as usize]
    }

    /// The text under a span.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// `name:line:column` of a span's start.
    pub fn place(&self, span: Span) -> String {
        let source = self.get(span.source);
        let (line, column) = source.line_col(span.start);
        format!("{}:{line}:{column}", source.name)
    }
}
