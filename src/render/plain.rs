//! Diagnostics as stable lines without colour or drawing, for golden tests and `--message-format plain`.
//!
//! ```text
//! train.dl:14:12: error[E0203]: these shapes cannot be multiplied
//!   train.dl:14:14: 128 and 256 must be equal
//!   hint: ...
//! ```

use std::fmt::Write;

use super::excerpt::printable;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::SourceMap;

/// `error` or `warning`.
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// One headline, then one line for each label with a message, each note and the hint.
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let mut text = String::new();
    if let Some(span) = diagnostic.span() {
        let _ = write!(text, "{}: ", sources.place(span));
    }
    let word = severity_word(diagnostic.severity);
    let _ = writeln!(text, "{word}[{}]: {}", diagnostic.code, one_line(&diagnostic.message));
    for label in diagnostic.labels.iter().filter(|l| !l.message.is_empty()) {
        let _ = writeln!(text, "  {}: {}", sources.place(label.span), one_line(&label.message));
    }
    for note in &diagnostic.notes {
        let _ = writeln!(text, "  note: {}", one_line(note));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(text, "  hint: {}", one_line(help));
    }
    text
}

fn one_line(text: &str) -> String {
    printable(&text.trim_end().replace('\n', " "))
}
