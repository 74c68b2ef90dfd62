//! Diagnostics and run-time errors to stderr, in the form that was asked for.

use std::io::IsTerminal;

use super::color;
use super::exit::Exit;
use super::out;
use super::settings::Settings;
use crate::diagnostic::Diagnostic;
use crate::error::{Cause, Error};
use crate::render::{self, Style};
use crate::source::SourceMap;

/// `--message-format`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Drawn for people.
    Text,
    /// One line for each remark.
    Plain,
    /// One object a line.
    Json,
}

/// How diagnostics look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    pub format: Format,
    pub color: bool,
    pub width: usize,
    /// Sentences are broken at this width.
    pub wrap: Option<usize>,
    /// Warnings are kept back.
    pub quiet: bool,
}

/// Source lines are clipped to this where the terminal does not tell its width.
const WIDTH: usize = 100;

impl Default for Look {
    fn default() -> Look {
        Look { format: Format::Text, color: false, width: WIDTH, wrap: None, quiet: false }
    }
}

impl Look {
    /// As the settings and the terminal behind stderr want it.
    pub fn of(settings: &Settings) -> Look {
        let said = std::env::var("COLUMNS").ok().and_then(|c| c.parse::<usize>().ok());
        let terminal = || console::Term::stderr().size_checked().map(|(_, columns)| usize::from(columns));
        let width = said.or_else(terminal).filter(|w| *w > 0);
        Look {
            format: settings.format,
            color: color::wanted(settings.color, std::io::stderr().is_terminal()),
            // Line numbers and frame stand left of the source.
            width: width.map_or(WIDTH, |w| w.saturating_sub(8).clamp(40, 400)),
            wrap: width.map(|w| w.clamp(40, 400)),
            quiet: settings.quiet,
        }
    }
}

/// Diagnostics as text; empty if there are none.
pub fn text(look: Look, diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let told: Vec<Diagnostic>;
    let diagnostics = if look.quiet {
        told = diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
        &told
    } else {
        diagnostics
    };
    match look.format {
        Format::Text => {
            render::render_all(diagnostics, sources, Style { color: look.color, width: look.width, wrap: look.wrap })
        }
        Format::Plain => diagnostics.iter().map(|d| render::plain::render(d, sources)).collect(),
        Format::Json => diagnostics.iter().map(|d| render::json::render(d, sources)).collect(),
    }
}

/// Writes them to stderr; nothing if there are none.
pub fn show(settings: &Settings, diagnostics: &[Diagnostic], sources: &SourceMap) {
    if !diagnostics.is_empty() {
        out::remark(&text(Look::of(settings), diagnostics, sources));
    }
}

/// How many calls are told when Ctrl-C stops a program.
const CALLS: usize = 8;

/// Why a program stopped; empty if it wanted to.
pub fn stop_text(look: Look, error: &Error, sources: &SourceMap) -> String {
    let data = &error.0;
    match data.cause {
        Cause::Exit(_) | Cause::ClosedPipe => String::new(),
        Cause::Interrupt => {
            let place = data.span.map(|span| format!(" at {}", sources.place(span))).unwrap_or_default();
            let mut text = format!("interrupted{place}\n");
            for (function, span) in data.trace.iter().take(CALLS) {
                text.push_str(&format!("  in {function}, called at {}\n", sources.place(*span)));
            }
            text
        }
        Cause::Failure | Cause::Split(_) => text(look, &[error.to_diagnostic(|span| sources.place(span))], sources),
    }
}

/// A program stopped: says why on stderr, and tells how the process ends.
pub fn stopped(settings: &Settings, error: &Error, sources: &SourceMap) -> Exit {
    out::remark(&stop_text(Look::of(settings), error, sources));
    match error.0.cause {
        Cause::Exit(code) => Exit::Program(code),
        Cause::ClosedPipe => Exit::Fine,
        Cause::Interrupt => Exit::Interrupted,
        Cause::Failure | Cause::Split(_) => Exit::Failed,
    }
}

/// `2 errors, 1 warning`; `None` if there are none.
pub fn count(diagnostics: &[Diagnostic]) -> Option<String> {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let one = |n: usize, word: &str| match n {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let parts: Vec<String> = [one(errors, "error"), one(warnings, "warning")].into_iter().flatten().collect();
    if parts.is_empty() { None } else { Some(parts.join(", ")) }
}
