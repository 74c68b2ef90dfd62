//! What a phase has to say about a program, as data. Only `render.rs` turns it into text.

use crate::source::Span;

/// How much a diagnostic matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Warning,
}

/// A remark on one place. The primary label is where the mistake shows; the others tell where facts come from.
#[derive(Clone, PartialEq, Debug)]
pub struct Label {
    pub span: Span,
    pub message: String,
    pub primary: bool,
}

/// One problem, complete: code, one sentence, labels, notes, one hint.
#[derive(Clone, PartialEq, Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    /// `E0101`: 01 syntax, 02 names, 03 types and shapes, 04 while running, 05 files and usage; `W` for warnings.
    /// Every code has a page in `docs/errors/`.
    pub code: &'static str,
    pub message: String,
    pub labels: Vec<Label>,
    /// Further lines, such as the call stack.
    pub notes: Vec<String>,
    /// How to mend it, where that is known.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error with code and sentence; add labels with [`Diagnostic::at`].
    pub fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        let message = message.into();
        Diagnostic { severity: Severity::Error, code, message, labels: vec![], notes: vec![], help: None }
    }

    /// A warning with code and sentence.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message) }
    }

    /// Adds the primary label.
    pub fn at(mut self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, message: message.into(), primary: true });
        self
    }

    /// Adds a label that tells where a fact comes from.
    pub fn also(mut self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, message: message.into(), primary: false });
        self
    }

    /// Sets the hint.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Adds a note.
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Where it stands: the primary label, else the first.
    pub fn span(&self) -> Option<Span> {
        self.labels.iter().find(|l| l.primary).or(self.labels.first()).map(|l| l.span)
    }

    /// True for errors, false for warnings.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The candidate most like `name`, if one is near enough to suggest.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|c| *c != name)
        .map(|c| (strsim::osa_distance(&name.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= limit && *distance < name.chars().count().max(c.chars().count()))
        // Of names equally near, the one that begins alike.
        .min_by_key(|(distance, c)| {
            let alike = c.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
            (*distance, std::cmp::Reverse(alike))
        })
        .map(|(_, c)| c)
}
