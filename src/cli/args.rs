//! Words of the command line to an [`Action`].
//!
//! `dlang [SETTINGS] FILE [ARGUMENTS]`: what follows the program belongs to its params, but for the common settings,
//! which count wherever they stand (a param of the same name gets the value, too), and all after `--`, which is for `args()`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::exit::Exit;
use super::out;
use super::settings::{self, Settings};
use crate::diagnostic::did_you_mean;
use crate::pipeline::Phase;

/// A command to carry out.
pub struct Invocation {
    pub settings: Settings,
    pub action: Action,
}

/// Where a program's text comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Program {
    File(PathBuf),
    Stdin,
    Code(String),
}

/// What to do.
#[derive(PartialEq, Eq, Debug)]
pub enum Action {
    /// Neither program nor command: the REPL on a terminal, else the program on stdin.
    Default,
    Run {
        program: Program,
        arguments: Vec<String>,
        /// Common settings among the arguments that make no sense as such, and why: wrong usage unless the program has
        /// a param of that name.
        rejected: Vec<(String, String)>,
    },
    Check {
        paths: Vec<PathBuf>,
        deny_warnings: bool,
        types: bool,
    },
    Test {
        paths: Vec<PathBuf>,
        filter: Option<String>,
    },
    Doc {
        name: Option<String>,
    },
    Explain {
        code: Option<String>,
    },
    Dump {
        phase: Phase,
        program: Program,
    },
    Help {
        topic: Option<String>,
    },
    /// A command that this version does not have.
    Absent {
        command: &'static str,
    },
}

/// Commands that people will try and that are not here.
const ABSENT: [&str; 2] = ["fmt", "lsp"];

const EXAMPLES: &str = "\
Examples:
  dlang train.dl --lr 0.1     run a program, with a param of it
  dlang -e 'grad(sin)(0.0)'   evaluate and print
  dlang                       talk to it";

/// The whole command line, for parsing and for help.
pub fn command() -> Command {
    let paths = |help: &'static str| {
        Arg::new("paths").value_name("PATH").num_args(0..).value_parser(value_parser!(PathBuf)).help(help)
    };
    let program = || Arg::new("program").value_name("FILE").value_parser(value_parser!(OsString));
    let mut command = Command::new("dlang")
        .version(env!("CARGO_PKG_VERSION"))
        .about(EXAMPLES)
        .override_usage("dlang [SETTINGS] FILE [--param value ...]\n       dlang [SETTINGS] -e CODE\n       dlang COMMAND")
        .help_template("dlang, a scripting language in which every program can be differentiated\n\nUsage: {usage}\n\n{about}\n\n{all-args}")
        .disable_help_subcommand(true)
        .subcommand_help_heading("Commands")
        .args(settings::options())
        .arg(Arg::new("eval").short('e').long("eval").value_name("CODE").help("Evaluate and print the value of the last expression"))
        .arg(
            Arg::new("program")
                .value_name("FILE")
                .value_parser(value_parser!(OsString))
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .help("Program and params; `-` is stdin; `FILE --help` lists the params"),
        )
        .subcommand(Command::new("run").about("Run a program: the same as `dlang FILE`").arg(
            program().required(true).num_args(1..).trailing_var_arg(true).allow_hyphen_values(true),
        ))
        .subcommand(
            Command::new("check")
                .about("Find errors without running anything")
                .arg(paths("Files, or folders with .dl files; `-` is stdin").required(true).num_args(1..))
                .arg(Arg::new("deny").long("deny").value_name("WHAT").value_parser(["warnings"]).help("Fail on these, too"))
                .arg(Arg::new("types").long("types").action(ArgAction::SetTrue).help("Print the types and shapes found")),
        )
        .subcommand(
            Command::new("test")
                .about("Run `test` blocks")
                .arg(paths("Files, or folders with .dl files [default: .]"))
                .arg(Arg::new("filter").long("filter").value_name("TEXT").help("Only tests whose name has this text in it")),
        )
        .subcommand(
            Command::new("explain")
                .about("Tell more about an error code")
                .arg(Arg::new("code").value_name("CODE").help("Such as E0301; left out: list all")),
        )
        .subcommand(
            Command::new("doc")
                .about("Tell what a builtin, a module of the library or a name in it does")
                .arg(Arg::new("name").value_name("NAME").help("Such as grad, nn or nn.Dense; left out: list the modules")),
        )
        .subcommand(
            Command::new("dump")
                .about("Show what a phase makes of a program")
                .arg(Arg::new("phase").value_name("PHASE").required(true).value_parser(["tokens", "ast", "typed", "bytecode"]))
                .arg(program().required(true).allow_hyphen_values(true).help("The program; `-` is stdin")),
        )
        .subcommand(
            Command::new("help")
                .about("Print help on a command or on `exit-codes`")
                .arg(Arg::new("topic").value_name("TOPIC")),
        );
    for name in ABSENT {
        command = command
            .subcommand(Command::new(name).hide(true).arg(Arg::new("any").num_args(0..).allow_hyphen_values(true)));
    }
    command
}

/// Understands the arguments; `Err` if all is said already.
pub fn parse(words: Vec<OsString>) -> Result<Invocation, Exit> {
    let matches =
        command().try_get_matches_from([OsString::from("dlang")].into_iter().chain(words)).map_err(|e| refuse(&e))?;
    let mut settings = Settings::default();
    settings.apply(&matches);
    let action = match matches.subcommand() {
        Some((name, sub)) => {
            settings.apply(sub);
            subcommand(name, sub, &mut settings)?
        }
        None => program(&matches, &mut settings)?,
    };
    Ok(Invocation { settings, action })
}

fn subcommand(name: &str, matches: &ArgMatches, settings: &mut Settings) -> Result<Action, Exit> {
    let word = |name: &str| matches.get_one::<String>(name).cloned();
    let paths = || matches.get_many::<PathBuf>("paths").into_iter().flatten().cloned().collect();
    Ok(match name {
        "run" => program(matches, settings)?,
        "check" => {
            Action::Check { paths: paths(), deny_warnings: word("deny").is_some(), types: matches.get_flag("types") }
        }
        "test" => Action::Test { paths: paths(), filter: word("filter") },
        "explain" => Action::Explain { code: word("code") },
        "doc" => Action::Doc { name: word("name") },
        "dump" => Action::Dump {
            phase: match word("phase").as_deref() {
                Some("tokens") => Phase::Tokens,
                Some("ast") => Phase::Ast,
                Some("typed") => Phase::Typed,
                _ => Phase::Bytecode,
            },
            program: matches.get_one::<OsString>("program").map_or(Program::Stdin, source),
        },
        "help" => Action::Help { topic: word("topic") },
        other => Action::Absent { command: ABSENT.into_iter().find(|a| *a == other).unwrap_or("that") },
    })
}

/// `FILE ARGUMENTS` or `-e CODE ARGUMENTS`.
fn program(matches: &ArgMatches, settings: &mut Settings) -> Result<Action, Exit> {
    let mut words: Vec<OsString> = matches.get_many("program").into_iter().flatten().cloned().collect();
    // `run` has no `-e`.
    let code = matches.try_get_one::<String>("eval").ok().flatten();
    let program = match code {
        Some(code) => Program::Code(code.clone()),
        None if words.is_empty() => return Ok(Action::Default),
        None => {
            let first = words.remove(0);
            let text = first.to_string_lossy();
            if text.starts_with('-') && text != "-" {
                unknown_option(&text);
                return Err(Exit::Usage);
            }
            source(&first)
        }
    };
    let mut arguments = vec![];
    for word in words {
        match word.into_string() {
            Ok(text) => arguments.push(text),
            Err(word) => {
                out::usage_error(&format!("the argument {word:?} is not UTF-8"), None);
                return Err(Exit::Usage);
            }
        }
    }
    let mut rejected = vec![];
    for (name, words) in common_settings(&arguments) {
        let parser = Command::new("dlang").args(settings::options()).disable_help_flag(true);
        match parser.try_get_matches_from(["dlang".to_string()].into_iter().chain(words)) {
            Ok(matches) => settings.apply(&matches),
            Err(error) => rejected.push((name, error.render().to_string())),
        }
    }
    Ok(Action::Run { program, arguments, rejected })
}

/// The common settings among the arguments of a program: name, and the words that make it up.
fn common_settings(arguments: &[String]) -> Vec<(String, Vec<String>)> {
    let mut common = vec![];
    let mut rest = arguments.iter().take_while(|word| *word != "--");
    while let Some(word) = rest.next() {
        let Some(option) = word.strip_prefix("--") else { continue };
        let name = option.split('=').next().unwrap_or(option);
        if let Some(takes_value) = settings::kind_of(name) {
            let mut words = vec![word.clone()];
            if takes_value && !option.contains('=') {
                words.extend(rest.next().cloned());
            }
            common.push((name.to_string(), words));
        }
    }
    common
}

fn source(word: &OsString) -> Program {
    if word == "-" { Program::Stdin } else { Program::File(PathBuf::from(word)) }
}

fn unknown_option(word: &str) {
    let name = word.split('=').next().unwrap_or(word);
    let known: Vec<String> =
        settings::options().iter().filter_map(|o| o.get_long()).map(|n| format!("--{n}")).collect();
    let others = ["--help", "--version", "--eval"];
    let near = if name == "-v" { Some("--version") } else { None };
    let near = near.or_else(|| did_you_mean(name, known.iter().map(String::as_str).chain(others)));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "params of a program stand after its name; `dlang --help` lists the options".to_string(),
    };
    out::usage_error(&format!("there is no option `{name}`"), Some(&hint));
}

/// clap's own words: help and version to stdout, the rest to stderr.
fn refuse(error: &clap::Error) -> Exit {
    let text = error.render().to_string();
    if error.use_stderr() {
        out::remark(&text);
        Exit::Usage
    } else {
        out::print(&text);
        Exit::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> (Settings, Action) {
        match parse(words.iter().map(OsString::from).collect()) {
            Ok(invocation) => (invocation.settings, invocation.action),
            Err(exit) => panic!("{words:?} gave {exit:?}"),
        }
    }

    fn arguments(words: &[&str]) -> Vec<String> {
        match run(words).1 {
            Action::Run { arguments, .. } => arguments,
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn programs() {
        assert_eq!(run(&[]).1, Action::Default);
        let file = |name: &str| Program::File(PathBuf::from(name));
        let run_of = |program, arguments: &[&str]| Action::Run {
            program,
            arguments: arguments.iter().map(|a| a.to_string()).collect(),
            rejected: vec![],
        };
        for words in [&["a.dl"][..], &["run", "a.dl"]] {
            assert_eq!(run(words).1, run_of(file("a.dl"), &[]));
        }
        assert_eq!(run(&["-"]).1, run_of(Program::Stdin, &[]));
        let code = Program::Code("-1 + 2".into());
        assert_eq!(run(&["-e", "-1 + 2", "--x", "3"]).1, run_of(code, &["--x", "3"]));
    }

    #[test]
    fn settings_count_before_and_after() {
        let (settings, _) =
            run(&["--dtype", "f64", "a.dl", "--seed=7", "--lr", "0.1", "--check-nan", "--", "--profile"]);
        assert_eq!((settings.dtype, settings.seed, settings.check_nan), (crate::tensor::DType::F64, 7, true));
        assert!(!settings.profile);
        assert_eq!(arguments(&["a.dl", "--help"]), ["--help"]);
        assert_eq!(arguments(&["a.dl", "--lr", "-0.1", "x"]), ["--lr", "-0.1", "x"]);
        assert!(run(&["check", "a.dl", "--seed", "3"]).0.seed == 3);
        assert!(run(&["--seed", "3", "check", "a.dl"]).0.seed == 3);
    }

    #[test]
    fn a_setting_that_makes_no_sense_may_be_a_param() {
        match run(&["a.dl", "--color", "red", "--seed", "4"]) {
            (settings, Action::Run { rejected, .. }) => {
                assert_eq!(settings.seed, 4);
                assert_eq!(rejected.len(), 1);
                assert!(rejected[0].0 == "color" && rejected[0].1.contains("red"), "{rejected:?}");
            }
            (_, other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn help_fits_a_terminal() {
        let mut whole = command();
        whole.build();
        let mut texts = vec![whole.render_help().to_string()];
        texts.extend(whole.get_subcommands_mut().map(|c| c.render_help().to_string()));
        for line in texts.iter().flat_map(|t| t.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn wrong_usage() {
        for words in [&["--bogus", "a.dl"][..], &["check"], &["dump", "wasm", "a.dl"], &["run"]] {
            assert_eq!(parse(words.iter().map(OsString::from).collect()).err(), Some(Exit::Usage), "{words:?}");
        }
    }
}
