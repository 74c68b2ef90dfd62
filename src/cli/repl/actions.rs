//! Carries out the `:commands`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::commands::{self, Action};
use super::session::{Answer, Repl};
use crate::cli::exit::Exit;
use crate::cli::{files, report, run};
use crate::diagnostic::did_you_mean;
use crate::pipeline::{Phase, Session};
use crate::source::SourceMap;
use crate::tensor::show_shape;
use crate::value::{Key, Value};

/// `:bench` runs at least this long, or so often.
const BENCH_TIME: Duration = Duration::from_millis(300);
const BENCH_RUNS: usize = 100_000;

impl Repl {
    /// Carries out a command; `rest` is what follows its name.
    pub(super) fn act(&mut self, action: Action, rest: &str) -> Answer {
        let wants = |what: &str| Answer::from(format!("{what} is missing; :help shows how it is used\n"));
        match action {
            Action::Help if rest.is_empty() => commands::help().into(),
            Action::Help | Action::Doc => match rest.trim_start_matches(':') {
                "" => wants("a name"),
                name => self.doc(name).into(),
            },
            Action::Type | Action::Shape | Action::Time | Action::Bench if rest.is_empty() => wants("an expression"),
            Action::Type => self.type_of(rest).into(),
            Action::Shape => self.shape(rest),
            Action::Time => self.time(rest),
            Action::Bench => self.bench(rest),
            Action::Load | Action::Run | Action::Save if rest.is_empty() => wants("a file"),
            Action::Load => self.load_file(PathBuf::from(unquoted(rest))),
            Action::Reload => match self.loaded.clone() {
                Some(path) => self.load_file(path),
                None => "nothing was loaded yet; :load FILE does\n".to_string().into(),
            },
            Action::Run => self.run_file(rest),
            Action::Save => self.save(Path::new(unquoted(rest))).into(),
            Action::Vars => self.vars().into(),
            Action::Seed => match rest.parse::<u64>() {
                Ok(seed) => {
                    self.session.vm.cx.env.seed(seed);
                    Answer::default()
                }
                Err(_) => ":seed takes a whole number from 0\n".to_string().into(),
            },
            Action::Reset => {
                self.exchange(Session::new(self.settings.options()));
                self.typed.clear();
                Answer::default()
            }
            Action::History => self.typed.iter().map(|t| format!("{t}\n")).collect::<String>().into(),
            Action::Dump => self.dump(rest).into(),
            Action::Quit => Answer { text: String::new(), leave: Some(Exit::Fine) },
        }
    }

    /// What is known of a name.
    pub(super) fn doc(&self, name: &str) -> String {
        if let Some(doc) = self.session.doc(name) {
            return format!("{}\n", doc.trim_end());
        }
        if let Ok(command) = commands::find(name)
            && command.name == name
        {
            return format!(":{} {}\n  {}\n", command.name, command.args, command.help);
        }
        let names = self.session.names();
        if let Some((_, ty)) = names.iter().find(|(known, _)| known == name) {
            return format!("{name} : {ty}\n");
        }
        let (_, builtin) = self.session.completions("", 0);
        let near = did_you_mean(name, names.iter().map(|(n, _)| n).chain(&builtin).map(String::as_str));
        match near {
            Some(near) => format!("there is no help on `{name}`\nhint: did you mean `{near}`?\n"),
            None => format!("there is no help on `{name}`\n"),
        }
    }

    fn type_of(&mut self, code: &str) -> String {
        match self.session.type_of(code) {
            Ok(ty) => format!("{ty}\n"),
            Err(diagnostics) => report::text(self.look, &diagnostics, &self.session.sources),
        }
    }

    fn shape(&mut self, code: &str) -> Answer {
        let mut answer = Answer::default();
        if let Some(unit) = self.load(code, &mut answer.text)
            && let Some(value) = self.execute(&unit, &mut answer)
        {
            let mut lines = vec![];
            shapes(&value, "", &mut lines);
            if lines.is_empty() {
                lines.push(format!("no tensor in it: {}", value.type_name()));
            }
            answer.text.push_str(&(lines.join("\n") + "\n"));
        }
        answer
    }

    fn time(&mut self, code: &str) -> Answer {
        let mut answer = Answer::default();
        if let Some(unit) = self.load(code, &mut answer.text) {
            let start = Instant::now();
            let value = self.execute(&unit, &mut answer);
            let took = start.elapsed();
            if let Some(value) = value {
                answer.text.push_str(&self.show(&value));
            }
            answer.text.push_str(&format!("took {}\n", duration(took)));
        }
        answer
    }

    fn bench(&mut self, code: &str) -> Answer {
        let mut answer = Answer::default();
        let Some(unit) = self.load(code, &mut answer.text) else { return answer };
        let begin = Instant::now();
        let mut times = vec![];
        while times.is_empty() || (begin.elapsed() < BENCH_TIME && times.len() < BENCH_RUNS) {
            let start = Instant::now();
            if self.execute(&unit, &mut answer).is_none() {
                return answer;
            }
            times.push(start.elapsed());
        }
        times.sort();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let fastest = times.first().copied().unwrap_or_default();
        let runs = if times.len() == 1 { "1 run".into() } else { format!("{} runs", times.len()) };
        answer.text.push_str(&format!("median {}, fastest {}, of {runs}\n", duration(median), duration(fastest)));
        answer
    }

    fn load_file(&mut self, path: PathBuf) -> Answer {
        let mut answer = Answer::default();
        match files::read_file(&path) {
            Ok(file) => {
                if let Some(unit) = self.load_as(&file.name, &file.text, &mut answer.text) {
                    self.execute(&unit, &mut answer);
                }
                self.loaded = Some(path);
            }
            Err(unread) => answer.text = report::text(self.look, &[*unread.diagnostic], &SourceMap::default()),
        }
        answer
    }

    /// In a session of its own, so that it behaves as `dlang FILE` does.
    fn run_file(&mut self, rest: &str) -> Answer {
        let words: Vec<String> = rest.split_whitespace().map(String::from).collect();
        let Some((file, arguments)) = words.split_first() else { return Answer::default() };
        let program = crate::cli::args::Program::File(PathBuf::from(unquoted(file)));
        match run::prepare(&self.settings, self.look, &program, arguments, &[]) {
            Ok(run::Ready { session, unit, warnings }) => {
                let before = self.exchange(session);
                let mut answer = Answer::from(warnings);
                self.execute(&unit, &mut answer);
                self.session = before;
                // `exit(n)` ends that program, not this conversation.
                answer.leave = None;
                answer
            }
            Err(ended) => ended.text.into(),
        }
    }

    fn save(&self, path: &Path) -> String {
        let text: String = self.typed.iter().map(|t| format!("{t}\n")).collect();
        match std::fs::write(path, text) {
            Ok(()) => format!("{} inputs written to {}\n", self.typed.len(), path.display()),
            Err(error) => format!("cannot write `{}`: {error}\n", path.display()),
        }
    }

    fn vars(&self) -> String {
        let names = self.session.names();
        let width = names.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        names.iter().map(|(name, ty)| format!("{name:width$} : {ty}\n")).collect()
    }

    fn dump(&mut self, rest: &str) -> String {
        let (word, code) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let phase = match word {
            "tokens" => Phase::Tokens,
            "ast" => Phase::Ast,
            "typed" => Phase::Typed,
            "bytecode" => Phase::Bytecode,
            _ => return ":dump takes tokens, ast, typed or bytecode, then code\n".into(),
        };
        match self.session.dump(phase, "<repl>", code) {
            Ok(text) => text,
            Err(diagnostics) => report::text(self.look, &diagnostics, &self.session.sources),
        }
    }
}

/// A path may be written in quotes.
fn unquoted(path: &str) -> &str {
    path.strip_prefix('"').and_then(|p| p.strip_suffix('"')).unwrap_or(path)
}

/// A line for each tensor in a value: `.w: [3, 4]`.
fn shapes(value: &Value, path: &str, lines: &mut Vec<String>) {
    match value {
        Value::Tuple(items) | Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                shapes(item, &format!("{path}[{i}]"), lines);
            }
        }
        Value::Dict(entries) => {
            for (key, item) in entries.iter() {
                let key = match key {
                    Key::Int(i) => format!("[{i}]"),
                    Key::Str(s) => format!("[{s:?}]"),
                };
                shapes(item, &format!("{path}{key}"), lines);
            }
        }
        Value::Struct(s) => {
            for (field, item) in s.def.fields.iter().zip(&s.fields) {
                shapes(item, &format!("{path}.{}", field.name), lines);
            }
        }
        other => {
            if let Some(shape) = other.shape() {
                let head = if path.is_empty() { String::new() } else { format!("{path}: ") };
                lines.push(format!("{head}{}", show_shape(shape)));
            }
        }
    }
}

/// Three digits and a fitting unit.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration(Duration::from_nanos(950)), "950 ns");
        assert_eq!(duration(Duration::from_micros(12)), "12.0 us");
        assert_eq!(duration(Duration::from_millis(1234)), "1.23 s");
    }

    #[test]
    fn shapes_of_parts() {
        let value = Value::tuple(vec![Value::float(1.0), Value::list(vec![Value::Int(1)]), Value::str("a")]);
        let mut lines = vec![];
        shapes(&value, "", &mut lines);
        assert_eq!(lines, ["[0]: []", "[1][0]: []"]);
    }
}
