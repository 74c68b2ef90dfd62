//! Diagnostics as JSON, one object a line, for editors and scripts: `--message-format json`.
//!
//! Lines and columns count from 1, columns in characters; `byte` counts from 0. `version` changes when a field changes.

use serde_json::{Value, json};

use super::plain::severity_word;
use crate::diagnostic::Diagnostic;
use crate::source::{SourceMap, Span};

/// One diagnostic as one line, with its newline.
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let labels: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|label| {
            json!({
                "file": sources.get(label.span.source).name,
                "start": place(sources, label.span, label.span.start),
                "end": place(sources, label.span, label.span.end),
                "message": label.message,
                "primary": label.primary,
            })
        })
        .collect();
    let child = |severity: &str, text: &str| json!({ "severity": severity, "message": text });
    let mut children: Vec<Value> = diagnostic.notes.iter().map(|note| child("note", note)).collect();
    children.extend(diagnostic.help.iter().map(|help| child("hint", help)));
    let object = json!({
        "version": 1,
        "severity": severity_word(diagnostic.severity),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "labels": labels,
        "notes": diagnostic.notes,
        "hint": diagnostic.help,
        "children": children,
    });
    format!("{object}\n")
}

fn place(sources: &SourceMap, span: Span, byte: u32) -> Value {
    let (line, column) = sources.get(span.source).line_col(byte);
    json!({ "line": line, "column": column, "byte": byte })
}
