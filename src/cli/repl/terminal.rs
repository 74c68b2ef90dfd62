//! The REPL on a terminal: line editing, prompts, history, completion. Content comes from `session.rs`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::IsTerminal;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Cmd, CompletionType, Config, Context, Editor, Helper, KeyCode, KeyEvent, Modifiers};

use super::highlight::colored;
use super::history;
use super::input::{CONTINUATION, PROMPT};
use super::session::{Answer, Repl};
use crate::cli::exit::Exit;
use crate::cli::report::Look;
use crate::cli::settings::Settings;
use crate::cli::{color, interrupt, out};

/// Talks until Ctrl-D, `:quit` or `exit(n)`.
pub fn run(settings: &Settings) -> Exit {
    let color = color::wanted(settings.color, std::io::stdout().is_terminal());
    let repl = Rc::new(RefCell::new(Repl::new(settings, Look { color, ..Look::of(settings) })));
    let mut editor = match editor(repl.clone(), color) {
        Ok(editor) => editor,
        Err(error) => {
            out::usage_error(
                &format!("this terminal cannot be used: {error}"),
                Some("`dlang FILE` and `dlang -e CODE` need none"),
            );
            return Exit::Usage;
        }
    };
    let history = history::path();
    if let Some(path) = &history {
        // The first session has none yet.
        let _ = editor.load_history(path);
    }
    interrupt::install();
    if !settings.quiet {
        out::print(&format!("dlang {}: :help for help, Ctrl-D to leave\n", env!("CARGO_PKG_VERSION")));
    }
    loop {
        let text = match read(&mut editor, &repl) {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            Err(exit) => return exit,
        };
        if text.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(text.trim_end());
        if let Some(path) = &history {
            // A full disk must not end the conversation.
            let _ = editor.append_history(path);
        }
        let answer = answer(&repl, &text);
        out::print(&answer.text);
        out::flush();
        if let Some(exit) = answer.leave {
            return exit;
        }
    }
}

/// A bug in dlang is told by the panic hook; the conversation goes on.
fn answer(repl: &Rc<RefCell<Repl>>, text: &str) -> Answer {
    interrupt::arm();
    let work = AssertUnwindSafe(|| repl.borrow_mut().answer(text));
    std::panic::catch_unwind(work).unwrap_or_default()
}

type Terminal = Editor<Assistant, DefaultHistory>;

fn editor(repl: Rc<RefCell<Repl>>, color: bool) -> rustyline::Result<Terminal> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(false)
        .max_history_size(10_000)?
        .history_ignore_dups(true)?
        .bracketed_paste(true)
        .build();
    let mut editor: Terminal = Editor::with_config(config)?;
    editor.set_helper(Some(Assistant { repl, hinter: HistoryHinter::new(), color }));
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
    Ok(editor)
}

/// One complete input; `None` if it was given up by Ctrl-C. Lines are asked for until brackets and strings are closed;
/// an empty line after the prompt `...` ends the input as it is.
fn read(editor: &mut Terminal, repl: &Rc<RefCell<Repl>>) -> Result<Option<String>, Exit> {
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() { PROMPT } else { CONTINUATION };
        match editor.readline(prompt) {
            Ok(line) => {
                let give_up = !text.is_empty() && line.trim().is_empty();
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&line);
                if give_up || !repl.borrow().is_incomplete(&text) {
                    return Ok(Some(text));
                }
            }
            Err(ReadlineError::Interrupted) => return Ok(None),
            Err(ReadlineError::Eof) if text.is_empty() => return Err(Exit::Fine),
            Err(ReadlineError::Eof) => return Ok(Some(text)),
            Err(error) => {
                out::remark(&format!("error: the terminal cannot be read: {error}\n"));
                return Err(Exit::Failed);
            }
        }
    }
}

/// Completion, hints from history, colours.
struct Assistant {
    repl: Rc<RefCell<Repl>>,
    hinter: HistoryHinter,
    color: bool,
}

impl Helper for Assistant {}
impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.repl.borrow().complete(line, pos))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
        // Grey is what tells a suggestion from what was typed.
        if !self.color {
            return None;
        }
        self.hinter.hint(line, pos, context).filter(|hint| !hint.contains('\n'))
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.color { Cow::Owned(colored(line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        // Moving the cursor changes no colour.
        self.color && kind != CmdKind::MoveCursor
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.color { Cow::Owned(format!("\u{1b}[32m{prompt}\u{1b}[0m")) } else { Cow::Borrowed(prompt) }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\u{1b}[2m{hint}\u{1b}[0m"))
    }
}
