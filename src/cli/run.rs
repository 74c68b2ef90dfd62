//! `dlang FILE`, `dlang -`, `dlang -e CODE`: loads, sets params, runs.

use super::args::Program;
use super::exit::Exit;
use super::report::{self, Look};
use super::settings::Settings;
use super::{files, interrupt, out, params};
use crate::diagnostic::Diagnostic;
use crate::pipeline::{Mode, Session, Unit};
use crate::profile::Profile;
use crate::show;
use crate::source::SourceMap;
use crate::value::Value;

/// A program that may run.
pub struct Ready {
    pub session: Session,
    pub unit: Unit,
    /// Its warnings as text.
    pub warnings: String,
}

/// All is said before anything ran: an error, wrong usage, or help, which was asked for.
pub struct Ended {
    pub text: String,
    pub exit: Exit,
}

/// Runs a program with its arguments; for `rejected` see [`super::args::Action::Run`].
pub fn run(settings: &Settings, program: &Program, arguments: &[String], rejected: &[(String, String)]) -> Exit {
    let Ready { mut session, unit, warnings } =
        match prepare(settings, Look::of(settings), program, arguments, rejected) {
            Ok(ready) => ready,
            Err(Ended { text, exit: Exit::Fine }) => {
                out::print(&text);
                return Exit::Fine;
            }
            Err(Ended { text, exit }) => {
                out::remark(&text);
                return exit;
            }
        };
    out::remark(&warnings);
    interrupt::install();
    interrupt::arm();
    let profile = session.options.profile.then(Profile::start);
    let result = session.run(&unit);
    let profile = profile.map(|profile| profile.finish(&session.sources));
    let flushed = session.vm.flush_out();
    let exit = match result.and_then(|value| flushed.map(|()| value)) {
        Ok(value) => {
            if mode(program) == Mode::Expression && !matches!(value, Value::None) {
                out::print(&format!("{}\n", show::display(&value)));
            }
            Exit::Fine
        }
        Err(error) => report::stopped(settings, &error, &session.sources),
    };
    if let Some(profile) = profile {
        out::remark(&profile);
    }
    // Freeing a large heap piece by piece would only cost time.
    std::mem::forget(session);
    exit
}

fn mode(program: &Program) -> Mode {
    if matches!(program, Program::Code(_)) { Mode::Expression } else { Mode::Script }
}

/// Reads and checks a program and sets its params.
pub fn prepare(
    settings: &Settings,
    look: Look,
    program: &Program,
    arguments: &[String],
    rejected: &[(String, String)],
) -> Result<Ready, Ended> {
    let text = files::read(program).map_err(|unread| {
        let text = report::text(look, &[*unread.diagnostic], &SourceMap::default());
        Ended { text, exit: unread.exit }
    })?;
    let call = params::split(arguments);
    let load = |lean: bool| {
        let mut session = Session::new(settings.options());
        session.lean = lean;
        session.keep_types = false;
        session.vm.script_args = call.rest.clone();
        let (name, given) = (text.name.clone(), call.clone());
        // What is wrong with the choice is told once the program is known to be right.
        session.choose_params = Some(Box::new(move |known| params::choose(&name, &given, known).unwrap_or_default()));
        let loaded = session.load_main(&text.name, &text.text, mode(program));
        (session, loaded)
    };
    let (mut session, mut loaded) = load(true);
    if loaded.unit.is_none() {
        (session, loaded) = load(false);
    }
    let said = report::text(look, &loaded.diagnostics, &session.sources);
    let unit = match loaded.unit {
        Some(unit) if !loaded.diagnostics.iter().any(Diagnostic::is_error) => unit,
        _ => return Err(Ended { text: said, exit: Exit::Failed }),
    };
    if call.help {
        let help = params::help(&text.name, session.unit_doc(&unit).as_deref(), &session.params(&unit));
        return Err(Ended { text: help, exit: Exit::Fine });
    }
    set_params(&mut session, &unit, &text.name, &call, rejected).map_err(|text| Ended { text, exit: Exit::Usage })?;
    Ok(Ready { session, unit, warnings: said })
}

fn set_params(
    session: &mut Session,
    unit: &Unit,
    name: &str,
    call: &params::Call,
    rejected: &[(String, String)],
) -> Result<(), String> {
    let known = session.params(unit);
    let chosen = params::choose(name, call, &known)?;
    if let Some((_, why)) = rejected.iter().find(|(name, _)| !known.iter().any(|p| params::same(&p.name, name))) {
        return Err(why.clone());
    }
    for (param, text) in chosen {
        session.set_param(unit, &param, &text).map_err(|why| format!("error: --{}: {why}\n", params::kebab(&param)))?;
    }
    Ok(())
}
