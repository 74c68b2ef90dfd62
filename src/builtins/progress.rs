//! Progress bars on stderr, behind the library module `progress`; silent where stderr is no terminal.
//!
//! Invariant: a bar is known by its number from `_progress_start` on; what is asked of a finished or unknown one is ignored,
//! so that drawing never stops a program.

use std::cell::RefCell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::builtins::fail::{arity, wrong_kind};
use crate::builtins::{Builtin, infer};
use crate::error::Result;
use crate::ops::prim::{Default, Sig, opt, req};
use crate::show;
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&START, &SET, &FINISH];

thread_local! {
    /// By number; `None` when finished.
    static BARS: RefCell<Vec<Option<ProgressBar>>> = const { RefCell::new(Vec::new()) };
}

static START: Builtin = Builtin {
    name: "_progress_start",
    doc: "Shows a bar of `total` steps and gives its number. `let id = _progress_start(100, \"train\")`.",
    sig: Sig { params: &[req("total"), opt("label", Default::Str(""))] },
    infer: infer::int,
    run: |_, args| match &*args {
        [Value::Int(total), label] => {
            let bar = new_bar((*total).max(0) as u64, show::display(label));
            Ok(Value::Int(BARS.with_borrow_mut(|bars| {
                bars.push(Some(bar));
                bars.len() as i64 - 1
            })))
        }
        [other, _] => Err(wrong_kind("_progress_start", 0, "an int", other)),
        _ => Err(arity("_progress_start")),
    },
};

fn new_bar(total: u64, label: String) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
    let template = "{prefix}{bar:30} {pos}/{len} {elapsed} (left: {eta}) {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(if label.is_empty() { label } else { format!("{label} ") });
    bar
}

static SET: Builtin = Builtin {
    name: "_progress_set",
    doc: "Moves a bar to a position and sets the message after it. `_progress_set(id, 10, \"loss 0.5\")`.",
    sig: Sig { params: &[req("id"), req("position"), opt("message", Default::Str(""))] },
    infer: infer::none,
    run: |_, args| match &*args {
        [id, Value::Int(position), message] => {
            with_bar(id, |bar| {
                if !bar.is_hidden() {
                    bar.set_message(show::display(message));
                }
                bar.set_position((*position).max(0) as u64);
            })?;
            Ok(Value::None)
        }
        [_, other, _] => Err(wrong_kind("_progress_set", 1, "an int", other)),
        _ => Err(arity("_progress_set")),
    },
};

static FINISH: Builtin = Builtin {
    name: "_progress_finish",
    doc: "Ends a bar; what it showed last stays. `_progress_finish(id)`.",
    sig: Sig { params: &[req("id")] },
    infer: infer::none,
    run: |_, args| match &*args {
        [id] => {
            with_bar(id, ProgressBar::abandon)?;
            if let Value::Int(id) = id {
                BARS.with_borrow_mut(|bars| {
                    if let Some(bar) = usize::try_from(*id).ok().and_then(|id| bars.get_mut(id)) {
                        *bar = None;
                    }
                });
            }
            Ok(Value::None)
        }
        _ => Err(arity("_progress_finish")),
    },
};

fn with_bar(id: &Value, act: impl FnOnce(&ProgressBar)) -> Result<()> {
    let Value::Int(id) = id else { return Err(wrong_kind("progress", 0, "the number of a bar", id)) };
    BARS.with_borrow(|bars| {
        if let Some(Some(bar)) = usize::try_from(*id).ok().and_then(|id| bars.get(id)) {
            act(bar);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bars_are_ignored() {
        with_bar(&Value::Int(-1), |_| panic!("there is no such bar")).unwrap();
        with_bar(&Value::Int(i64::MAX), |_| panic!("there is no such bar")).unwrap();
        assert!(with_bar(&Value::None, |_| ()).is_err());
    }

    #[test]
    fn a_known_bar_is_reached() {
        let id = BARS.with_borrow_mut(|bars| {
            bars.push(Some(ProgressBar::hidden()));
            bars.len() as i64 - 1
        });
        let mut reached = false;
        with_bar(&Value::Int(id), |_| reached = true).unwrap();
        assert!(reached);
    }
}
