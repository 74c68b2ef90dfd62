//! `dlang dump PHASE FILE`: what a phase makes of a program, for looking inside.

use super::args::Program;
use super::exit::Exit;
use super::settings::Settings;
use super::{files, out, report};
use crate::pipeline::{Phase, Session};
use crate::source::SourceMap;

/// Prints the output of a phase.
pub fn run(settings: &Settings, phase: Phase, program: &Program) -> Exit {
    let text = match files::read(program) {
        Ok(text) => text,
        Err(unread) => {
            report::show(settings, &[*unread.diagnostic], &SourceMap::default());
            return unread.exit;
        }
    };
    let mut session = Session::new(settings.options());
    match session.dump(phase, &text.name, &text.text) {
        Ok(dump) => {
            out::print(&dump);
            Exit::Fine
        }
        Err(diagnostics) => {
            report::show(settings, &diagnostics, &session.sources);
            Exit::Failed
        }
    }
}
