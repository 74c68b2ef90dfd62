//! `dlang test [PATH...]`: runs the `test` blocks of files, one line for each, then a summary.

use std::path::PathBuf;

use super::exit::Exit;
use super::settings::Settings;
use super::{files, interrupt, out, report};
use crate::diagnostic::Diagnostic;
use crate::error::{Cause, Error};
use crate::pipeline::{Mode, Session, Unit};
use crate::source::SourceMap;

/// What came of the tests so far.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// Files that could not be loaded or whose body failed.
    broken: usize,
    /// Set when the run ends at once: Ctrl-C.
    stop: Option<Exit>,
}

/// Tests of the given files and folders, of the current folder if none is given.
pub fn run(settings: &Settings, paths: &[PathBuf], filter: Option<&str>) -> Exit {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let programs = match files::expand(paths) {
        Ok(programs) => programs,
        Err(unread) => {
            report::show(settings, &[*unread.diagnostic], &SourceMap::default());
            return unread.exit;
        }
    };
    interrupt::install();
    let mut tally = Tally::default();
    for program in &programs {
        match files::read(program) {
            Ok(text) => test_file(settings, &text, filter, &mut tally),
            Err(unread) => {
                report::show(settings, &[*unread.diagnostic], &SourceMap::default());
                tally.broken += 1;
            }
        }
        if let Some(exit) = tally.stop {
            return exit;
        }
    }
    out::print(&summary(&tally));
    if tally.failed + tally.broken > 0 { Exit::Failed } else { Exit::Fine }
}

fn summary(tally: &Tally) -> String {
    let Tally { passed, failed, broken, .. } = tally;
    let files = match broken {
        0 => String::new(),
        1 => ", 1 file could not be tested".into(),
        n => format!(", {n} files could not be tested"),
    };
    if passed + failed + broken == 0 {
        return "no tests found\n".into();
    }
    format!("\n{passed} passed, {failed} failed{files}\n")
}

fn test_file(settings: &Settings, text: &files::Text, filter: Option<&str>, tally: &mut Tally) {
    let mut session = Session::new(settings.options());
    session.keep_types = false;
    let loaded = session.load_main(&text.name, &text.text, Mode::Test);
    let unit = match loaded.unit {
        Some(unit) if !loaded.diagnostics.iter().any(Diagnostic::is_error) => unit,
        _ => {
            report::show(settings, &loaded.diagnostics, &session.sources);
            tally.broken += 1;
            return;
        }
    };
    let names = session.tests(&unit);
    let chosen: Vec<usize> = (0..names.len()).filter(|&i| named(&names, i, filter)).collect();
    // A program without tests is not run at all.
    if chosen.is_empty() {
        return;
    }
    interrupt::arm();
    if let Err(error) = session.run(&unit) {
        let _ = session.vm.flush_out();
        tell(settings, &error, &session, tally);
        tally.broken += 1;
        return;
    }
    for index in chosen {
        let name = names.get(index).map(String::as_str).unwrap_or_default();
        run_one(settings, &mut session, &unit, (&text.name, name, index), tally);
        if tally.stop.is_some() {
            return;
        }
    }
}

fn named(names: &[String], index: usize, filter: Option<&str>) -> bool {
    filter.is_none_or(|part| names.get(index).is_some_and(|name| name.contains(part)))
}

fn run_one(
    settings: &Settings,
    session: &mut Session,
    unit: &Unit,
    (file, name, index): (&str, &str, usize),
    tally: &mut Tally,
) {
    interrupt::arm();
    let result = session.run_test(unit, index);
    let _ = session.vm.flush_out();
    match result {
        Ok(()) => {
            tally.passed += 1;
            out::print(&format!("ok      {file}: {name}\n"));
        }
        Err(error) => {
            tally.failed += 1;
            out::print(&format!("FAILED  {file}: {name}\n"));
            tell(settings, &error, session, tally);
        }
    }
}

fn tell(settings: &Settings, error: &Error, session: &Session, tally: &mut Tally) {
    let exit = report::stopped(settings, error, &session.sources);
    match error.0.cause {
        Cause::Interrupt | Cause::ClosedPipe => tally.stop = Some(exit),
        Cause::Exit(code) => out::remark(&format!("the test left the program by exit({code})\n")),
        Cause::Failure | Cause::Split(_) => {}
    }
}
