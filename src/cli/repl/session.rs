//! Answers one input with text. Knows no terminal, so tests drive it as the terminal does.
//!
//! What a program prints while it runs goes to the machine's output at once; only if that is captured, into the answer.

use std::path::PathBuf;

use super::commands;
use super::finite::has_nonfinite;
use super::input::{self, Input};
use crate::cli::exit::Exit;
use crate::cli::report::{self, Look};
use crate::cli::settings::Settings;
use crate::diagnostic::Diagnostic;
use crate::error::Cause;
use crate::pipeline::{Mode, Session, Unit};
use crate::show;
use crate::source::SourceId;
use crate::syntax;
use crate::value::Value;

/// A conversation.
pub struct Repl {
    pub(super) session: Session,
    pub(super) settings: Settings,
    pub(super) look: Look,
    /// What was typed and understood, for `:history` and `:save`.
    pub(super) typed: Vec<String>,
    /// The file of the last `:load`.
    pub(super) loaded: Option<PathBuf>,
    /// What programs print becomes part of the answers.
    captured: bool,
    count: usize,
}

/// What came of an input.
#[derive(Default, Debug)]
pub struct Answer {
    /// Value and type, a diagnostic, a list, ...
    pub text: String,
    /// Set if the conversation is over.
    pub leave: Option<Exit>,
}

impl From<String> for Answer {
    fn from(text: String) -> Answer {
        Answer { text, leave: None }
    }
}

impl Repl {
    /// A fresh conversation; `look` is how diagnostics are drawn.
    pub fn new(settings: &Settings, look: Look) -> Repl {
        let session = Session::new(settings.options());
        Repl { session, settings: settings.clone(), look, typed: vec![], loaded: None, captured: false, count: 0 }
    }

    /// With plain settings and no colour; what programs print becomes part of the answers. For tests.
    pub fn plain() -> Repl {
        let mut repl = Repl::new(&Settings::default(), Look::default());
        repl.captured = true;
        repl.session.vm.capture_output();
        repl
    }

    /// Goes on with another session and gives the one before.
    pub(super) fn exchange(&mut self, session: Session) -> Session {
        let before = std::mem::replace(&mut self.session, session);
        if self.captured {
            self.session.vm.capture_output();
        }
        before
    }

    /// Answers an input, which may hold several if it was pasted with prompts.
    pub fn answer(&mut self, text: &str) -> Answer {
        let mut all = Answer::default();
        for part in input::split_pasted(text) {
            let answer = self.answer_one(&part);
            all.text.push_str(&answer.text);
            if answer.leave.is_some() {
                all.leave = answer.leave;
                break;
            }
        }
        all
    }

    fn answer_one(&mut self, text: &str) -> Answer {
        match input::classify(text) {
            Input::Empty => Answer::default(),
            Input::Leave => Answer { text: String::new(), leave: Some(Exit::Fine) },
            Input::Teach(lesson) => lesson.into(),
            Input::Help(name) if name.is_empty() => commands::help().into(),
            Input::Help(name) => self.doc(&name).into(),
            Input::Command { name, rest } => match commands::find(&name) {
                Ok(command) => self.act(command.action, &rest),
                Err(why) => why.into(),
            },
            Input::Code(code) => {
                self.typed.push(code.trim_end().to_string());
                self.code(&code)
            }
        }
    }

    /// True if more lines may complete the input.
    pub fn is_incomplete(&self, text: &str) -> bool {
        match input::split_pasted(text).last().map(|part| input::classify(part)) {
            Some(Input::Code(code)) => syntax::parse(SourceId::default(), &code).incomplete,
            _ => false,
        }
    }

    /// Where the word under the cursor begins, and what may stand there.
    pub fn complete(&self, line: &str, pos: usize) -> (usize, Vec<String>) {
        let Some(before) = line.get(..pos) else { return (pos, vec![]) };
        if let Some(word) = before.strip_prefix(':')
            && !word.contains(char::is_whitespace)
        {
            let names = commands::COMMANDS.iter().filter(|c| c.name.starts_with(word));
            return (0, names.map(|c| format!(":{}", c.name)).collect());
        }
        // The word after a command is completed as in code.
        let skipped =
            if before.starts_with([':', '?']) { before.find(char::is_whitespace).unwrap_or(0) + 1 } else { 0 };
        let (Some(code), Some(at)) = (line.get(skipped..), pos.checked_sub(skipped)) else { return (pos, vec![]) };
        let (start, names) = self.session.completions(code, at);
        (start + skipped, names)
    }

    /// Runs code and shows the value of its last expression.
    pub(super) fn code(&mut self, code: &str) -> Answer {
        let mut answer = Answer::default();
        if let Some(unit) = self.load(code, &mut answer.text) {
            let hidden = code.trim_end().ends_with(';');
            if let Some(value) = self.execute(&unit, &mut answer)
                && !hidden
            {
                answer.text.push_str(&self.show(&value));
            }
        }
        answer
    }

    /// Checks code; what there is to say goes into `text`.
    pub(super) fn load(&mut self, code: &str, text: &mut String) -> Option<Unit> {
        self.count += 1;
        self.load_as(&format!("<repl:{}>", self.count), code, text)
    }

    /// The same under a name.
    pub(super) fn load_as(&mut self, name: &str, code: &str, text: &mut String) -> Option<Unit> {
        let loaded = self.session.load_main(name, code, Mode::Repl);
        text.push_str(&report::text(self.look, &loaded.diagnostics, &self.session.sources));
        loaded.unit.filter(|_| !loaded.diagnostics.iter().any(Diagnostic::is_error))
    }

    /// Runs what was loaded; an error is told in the answer and leaves the conversation alive.
    pub(super) fn execute(&mut self, unit: &Unit, answer: &mut Answer) -> Option<Value> {
        crate::cli::interrupt::arm();
        let result = self.session.run(unit);
        // On a terminal the output is out already, and nothing is kept.
        let _ = self.session.vm.flush_out();
        answer.text.push_str(&self.session.vm.take_output());
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                match error.0.cause {
                    Cause::Exit(code) => answer.leave = Some(Exit::Program(code)),
                    Cause::ClosedPipe => answer.leave = Some(Exit::Fine),
                    _ => {}
                }
                answer.text.push_str(&report::stop_text(self.look, &error, &self.session.sources));
                None
            }
        }
    }

    /// `3.0 : float`, and where NaN or infinity came from; nothing for `none`.
    pub(super) fn show(&self, value: &Value) -> String {
        if matches!(value, Value::None) {
            return String::new();
        }
        let mut text = format!("{} : {}\n", show::repr(value), type_name(value));
        if has_nonfinite(value)
            && let Some((span, what)) = self.session.vm.first_nonfinite()
        {
            text.push_str(&format!("note: {what} at {}\n", self.session.sources.place(span)));
        }
        text
    }
}

/// The type of a value, with that of the items of a tuple.
fn type_name(value: &Value) -> String {
    match value {
        Value::Tuple(items) => {
            let items: Vec<String> = items.iter().map(type_name).collect();
            if let [one] = items.as_slice() { format!("({one},)") } else { format!("({})", items.join(", ")) }
        }
        other => other.type_name(),
    }
}
