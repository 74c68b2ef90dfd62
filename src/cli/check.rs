//! `dlang check PATH...`: all problems of programs without running them.

use std::collections::HashSet;
use std::path::PathBuf;

use super::exit::Exit;
use super::settings::Settings;
use super::{files, out, report};
use crate::pipeline::Session;
use crate::render::plain;
use crate::source::SourceMap;

/// Checks each file on its own; a problem in a module that several import is told once.
pub fn run(settings: &Settings, paths: &[PathBuf], deny_warnings: bool, types: bool) -> Exit {
    let programs = match files::expand(paths) {
        Ok(programs) => programs,
        Err(unread) => {
            report::show(settings, &[*unread.diagnostic], &SourceMap::default());
            return unread.exit;
        }
    };
    // What is denied is told.
    let settings = &Settings { quiet: settings.quiet && !deny_warnings, ..settings.clone() };
    let mut exit = Exit::Fine;
    let mut told = HashSet::new();
    let mut all = vec![];
    for (i, program) in programs.iter().enumerate() {
        let text = match files::read(program) {
            Ok(text) => text,
            Err(unread) => {
                exit = unread.exit;
                report::show(settings, std::slice::from_ref(&unread.diagnostic), &SourceMap::default());
                all.push(*unread.diagnostic);
                continue;
            }
        };
        let mut session = Session::new(settings.options());
        session.lean = true;
        session.keep_types = types;
        let (mut fresh, mut module) = session.check_main(&text.name, &text.text);
        if module.is_none() {
            session = Session::new(settings.options());
            (fresh, module) = session.check_main(&text.name, &text.text);
        }
        fresh.retain(|d| told.insert(plain::render(d, &session.sources)));
        report::show(settings, &fresh, &session.sources);
        if fresh.iter().any(|d| d.is_error() || deny_warnings) || module.is_none() {
            exit = Exit::Failed;
        }
        if types && let Some(module) = module {
            out::print(&session.signatures(module));
        }
        all.extend(fresh);
        if i + 1 == programs.len() {
            // The process is about to end: freeing all of it piece by piece would only cost time.
            std::mem::forget(session);
        }
    }
    let files = if programs.len() == 1 { "1 file".to_string() } else { format!("{} files", programs.len()) };
    match (settings.format, report::count(&all)) {
        (report::Format::Json, _) => {}
        _ if settings.quiet => {}
        (_, Some(count)) => out::remark(&format!("{files} checked: {count}\n")),
        (_, None) => out::remark(&format!("{files} checked: no problems\n")),
    }
    exit
}
