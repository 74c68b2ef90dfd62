//! Diagnostics to text for people. The only code that names `ariadne`.
//!
//! In: diagnostics and the source map. Out: text, with colour only if asked for. A diagnostic is drawn as headline,
//! source excerpt with labels, notes, one hint. What ariadne sees is an [`excerpt`], never the whole text, so strange
//! characters and endless lines cannot spoil the terminal. See `plain.rs` and `json.rs` for the forms that machines read.

mod excerpt;
pub mod json;
pub mod plain;

use std::fmt::Write;

use ariadne::{Cache, Color, Config, IndexType, Label, Report, ReportKind};

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{SourceId, SourceMap};
use excerpt::{Excerpt, printable};

/// More than this many diagnostics are counted, not shown.
pub const SHOWN: usize = 20;

/// How to draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    pub color: bool,
    /// Source lines are clipped to this many characters.
    pub width: usize,
    /// Sentences are broken at this width; not at all if nobody said how wide the output is.
    pub wrap: Option<usize>,
}

/// Terminal colours by meaning; empty strings when colour is off.
struct Paint {
    color: bool,
}

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }

    fn severity(&self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Error => self.wrap("1;31", text),
            Severity::Warning => self.wrap("1;33", text),
        }
    }

    fn hint(&self, text: &str) -> String {
        self.wrap("36", text)
    }
}

/// All of them: at most [`SHOWN`], then how many more there are and where to read about the codes.
pub fn render_all(diagnostics: &[Diagnostic], sources: &SourceMap, style: Style) -> String {
    let mut text = String::new();
    // Where not all are shown, errors come first.
    let mut shown: Vec<&Diagnostic> = diagnostics.iter().collect();
    if shown.len() > SHOWN {
        shown.sort_by_key(|d| !d.is_error());
        shown.truncate(SHOWN);
    }
    for diagnostic in &shown {
        text.push_str(&render(diagnostic, sources, style));
        text.push('\n');
    }
    if diagnostics.len() > SHOWN {
        let _ = writeln!(text, "... and {} more\n", diagnostics.len() - SHOWN);
    }
    let mut codes: Vec<&str> = shown.iter().map(|d| d.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes.retain(|code| crate::codes::page(code).is_some());
    match codes.as_slice() {
        [] => {}
        [code] => {
            let _ = writeln!(text, "Run `dlang explain {code}` for more.");
        }
        several => {
            let _ = writeln!(text, "Run `dlang explain CODE` for more on {}.", several.join(", "));
        }
    }
    text
}

/// One diagnostic; ends in a newline.
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap, style: Style) -> String {
    let paint = Paint { color: style.color };
    let word = plain::severity_word(diagnostic.severity);
    let head = paint.severity(diagnostic.severity, &format!("{word}[{}]:", diagnostic.code));
    let mut text =
        format!("{head} {}\n", block(&diagnostic.message, word.len() + diagnostic.code.len() + 4, "  ", style.wrap));
    text.push_str(&frame(diagnostic, sources, style));
    for note in &diagnostic.notes {
        let _ = writeln!(text, "  {}", block(note, 2, "  ", style.wrap));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(text, "{} {}", paint.hint("hint:"), block(help, 6, "      ", style.wrap));
    }
    text
}

/// Lines after the first moved right, and long ones broken, so that a message reads as one block. `used` columns of the first
/// line are taken.
fn block(text: &str, used: usize, indent: &str, wrap: Option<usize>) -> String {
    let mut out = String::new();
    let mut column = used;
    for (i, line) in text.trim_end().lines().map(printable).enumerate() {
        if i > 0 {
            out.push('\n');
            out.push_str(indent);
            column = indent.len();
        }
        for (k, word) in line.split(' ').enumerate() {
            let length = word.chars().count();
            if k > 0 && wrap.is_some_and(|wrap| column + 1 + length > wrap.max(30)) {
                out.push('\n');
                out.push_str(indent);
                column = indent.len();
            } else if k > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
    }
    out
}

/// The source excerpt with labels; empty if there is no label.
fn frame(diagnostic: &Diagnostic, sources: &SourceMap, style: Style) -> String {
    let Some(main) = diagnostic.span() else { return String::new() };
    let excerpts = Excerpts::new(diagnostic, sources, style.width);
    let main_color = if diagnostic.is_error() { Color::Red } else { Color::Yellow };
    let Some(main_range) = excerpts.range(diagnostic.labels.iter().position(|l| l.span == main)) else {
        return String::new();
    };
    let config = Config::default().with_color(style.color).with_index_type(IndexType::Char).with_cross_gap(false);
    let mut report = Report::build(ReportKind::Error, main_range).with_config(config);
    // The group drawn first is that of the first label, so the primary ones lead.
    let mut order: Vec<usize> = (0..diagnostic.labels.len()).collect();
    order.sort_by_key(|&i| diagnostic.labels.get(i).is_none_or(|l| !l.primary));
    for i in order {
        let (Some(label), Some(range)) = (diagnostic.labels.get(i), excerpts.range(Some(i))) else { continue };
        // ariadne underlines only what has a message.
        let message = if label.message.is_empty() { "here".to_string() } else { printable(&label.message) };
        let color = if label.primary { main_color } else { Color::Cyan };
        report = report.with_label(Label::new(range).with_message(message).with_color(color));
    }
    let mut bytes = Vec::new();
    if report.finish().write(&mut &excerpts, &mut bytes).is_err() {
        return String::new();
    }
    let drawn = String::from_utf8_lossy(&bytes);
    // The first line is ariadne's headline; ours stands above.
    let body = drawn.split_once('\n').map_or("", |(_, body)| body);
    let mut text = String::new();
    for line in body.lines() {
        text.push_str(excerpts.mend_place(line).trim_end());
        text.push('\n');
    }
    text
}

/// The excerpts of one diagnostic, in the form in which ariadne asks for them.
struct Excerpts {
    /// By source: what is shown of it, and as ariadne's source.
    parts: Vec<(SourceId, Excerpt, ariadne::Source)>,
    /// By label: index into `parts`, and which of its ranges.
    labels: Vec<(usize, usize)>,
}

type Range = (usize, std::ops::Range<usize>);

impl Excerpts {
    fn new(diagnostic: &Diagnostic, sources: &SourceMap, width: usize) -> Excerpts {
        let mut ids: Vec<SourceId> = vec![];
        let mut labels = vec![];
        for label in &diagnostic.labels {
            let id = label.span.source;
            let part = ids.iter().position(|&known| known == id).unwrap_or_else(|| {
                ids.push(id);
                ids.len() - 1
            });
            let rank = labels.iter().filter(|(p, _)| *p == part).count();
            labels.push((part, rank));
        }
        let parts = ids
            .into_iter()
            .map(|id| {
                let spans: Vec<_> =
                    diagnostic.labels.iter().filter(|l| l.span.source == id).map(|l| (l.span, l.primary)).collect();
                let excerpt = Excerpt::new(sources.get(id), &spans, width);
                let source = ariadne::Source::from(excerpt.text.clone());
                (id, excerpt, source)
            })
            .collect();
        Excerpts { parts, labels }
    }

    fn range(&self, label: Option<usize>) -> Option<Range> {
        let &(part, rank) = self.labels.get(label?)?;
        let range = self.parts.get(part)?.1.ranges.get(rank)?.clone();
        Some((part, range))
    }

    /// Ariadne computes line and column from what it is shown; where a line was clipped the column must be put right.
    fn mend_place(&self, line: &str) -> String {
        for (_, excerpt, _) in &self.parts {
            if let Some((shown, real)) = &excerpt.moved
                && line.contains(shown.as_str())
            {
                return line.replacen(shown.as_str(), real, 1);
            }
        }
        line.to_string()
    }
}

impl Cache<usize> for &Excerpts {
    type Storage = String;

    fn fetch(&mut self, id: &usize) -> Result<&ariadne::Source, impl std::fmt::Debug> {
        self.parts.get(*id).map(|(_, _, source)| source).ok_or("no such source")
    }

    fn display<'a>(&self, id: &'a usize) -> Option<impl std::fmt::Display + 'a> {
        self.parts.get(*id).map(|(_, excerpt, _)| excerpt.name.clone())
    }
}

#[cfg(test)]
mod tests;
