//! The command line: arguments, files, streams, exit codes, the REPL. No language semantics.
//!
//! `args.rs` turns words into an [`args::Action`]; a file for each action carries it out and returns an [`exit::Exit`].

mod args;
mod check;
pub mod color;
mod doc;
mod dump;
pub mod exit;
mod explain;
mod files;
mod help;
mod interrupt;
mod out;
mod panic;
mod params;
pub mod repl;
mod report;
mod run;
mod settings;
mod test;

use std::io::IsTerminal;
use std::process::ExitCode;

use args::{Action, Invocation, Program};
use exit::Exit;

/// Stack sizes to try, largest first: only reserved, and used as far as a program recurses.
const STACKS: [usize; 4] = [1 << 30, 1 << 28, 1 << 26, 1 << 23];

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    panic::install();
    for size in STACKS {
        // It ends the process by itself: giving back its stack and its heap first would only cost time.
        let work = || std::process::exit(work().code().into());
        let worker = std::thread::Builder::new().name("dlang".into()).stack_size(size).spawn(work);
        match worker {
            Ok(handle) => {
                // Only a panic comes back, which was told by the hook.
                let _ = handle.join();
                return ExitCode::from(Exit::Failed.code());
            }
            Err(_) => continue,
        }
    }
    ExitCode::from(work().code())
}

fn work() -> Exit {
    if let Some(folder) = crate::stdlib::missing_folder() {
        let folder = folder.display();
        out::usage_error(
            &format!("DLANG_STDLIB names `{folder}`, which is no folder"),
            Some("it is the folder of the library modules; without it those in the binary are used"),
        );
        out::flush();
        return Exit::Usage;
    }
    let exit = match args::parse(std::env::args_os().skip(1).collect()) {
        Ok(invocation) => dispatch(invocation),
        Err(exit) => exit,
    };
    out::flush();
    exit
}

fn dispatch(invocation: Invocation) -> Exit {
    let Invocation { settings, action } = invocation;
    match action {
        Action::Default if std::io::stdin().is_terminal() => repl::terminal::run(&settings),
        Action::Default => run::run(&settings, &Program::Stdin, &[], &[]),
        Action::Run { program, arguments, rejected } => run::run(&settings, &program, &arguments, &rejected),
        Action::Check { paths, deny_warnings, types } => check::run(&settings, &paths, deny_warnings, types),
        Action::Test { paths, filter } => test::run(&settings, &paths, filter.as_deref()),
        Action::Doc { name } => doc::run(name.as_deref()),
        Action::Explain { code } => explain::run(code.as_deref()),
        Action::Dump { phase, program } => dump::run(&settings, phase, &program),
        Action::Help { topic } => help::run(topic.as_deref()),
        Action::Absent { command } => {
            out::usage_error(
                &format!("`dlang {command}` is not part of dlang {}", env!("CARGO_PKG_VERSION")),
                Some("docs/limitations.md lists what is missing; `dlang --help` shows what there is"),
            );
            Exit::Usage
        }
    }
}
