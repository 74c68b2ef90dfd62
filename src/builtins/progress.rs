//! Progress bars on stderr, behind the library module `progress`. Where stderr is no terminal, losses are told in plain lines, at
//! most ten for a bar, and all else is silent.
//!
//! Invariant: a bar is known by its number from `_progress_start` on; what is asked of a finished or unknown one is ignored,
//! so that drawing never stops a program.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::builtins::fail::{arity, wrong_kind};
use crate::builtins::{Builtin, infer};
use crate::error::Result;
use crate::ops::prim::{Default, Sig, opt, req};
use crate::show;
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&START, &SET, &LOSS, &FINISH];

thread_local! {
    /// By number; `None` when finished.
    static BARS: RefCell<Vec<Option<Shown>>> = const { RefCell::new(Vec::new()) };
}

/// A bar under way.
struct Shown {
    bar: ProgressBar,
    label: String,
    total: u64,
    losses: Losses,
    /// How many plain lines there were, where stderr is no terminal.
    lines: u64,
}

impl Shown {
    fn new(total: u64, label: String) -> Shown {
        Shown { bar: new_bar(total, label.clone()), label, total, losses: Losses::default(), lines: 0 }
    }

    fn lose(&mut self, position: u64, loss: f64) {
        self.losses.add(loss);
        if !self.bar.is_hidden() {
            self.bar.set_message(self.losses.message());
            self.bar.set_position(position);
        } else if let Some(line) = self.line(position) {
            // A closed stderr is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// A line for each tenth of the way.
    fn line(&mut self, position: u64) -> Option<String> {
        let tenths = (10 * position).checked_div(self.total).unwrap_or(10);
        if tenths <= self.lines {
            return None;
        }
        self.lines = tenths;
        let space = if self.label.is_empty() { "" } else { " " };
        Some(format!("{}{space}{position}/{} loss {}", self.label, self.total, self.losses.shown()))
    }
}

/// The losses of a run: their running mean, and a picture of their course.
#[derive(Default)]
struct Losses {
    count: u64,
    mean: f64,
    /// Means of runs of `width` losses, from the first on; the last may be of fewer.
    course: Vec<(f64, u64)>,
    width: u64,
}

impl Losses {
    /// The running mean takes this part of what it was.
    const KEPT: f64 = 0.9;
    /// Signs in the picture.
    const LONGEST: usize = 16;

    fn add(&mut self, loss: f64) {
        self.count += 1;
        // The first few count alike, so that the start does not drag on.
        let kept = Self::KEPT.min(1.0 - 1.0 / self.count as f64);
        self.mean = kept * self.mean + (1.0 - kept) * loss;
        self.width = self.width.max(1);
        match self.course.last_mut() {
            Some((mean, n)) if *n < self.width => {
                *n += 1;
                *mean += (loss - *mean) / *n as f64;
            }
            _ => self.course.push((loss, 1)),
        }
        if self.course.len() > Self::LONGEST {
            self.course = self
                .course
                .chunks(2)
                .map(|pair| match pair {
                    [(a, n), (b, m)] => ((a * *n as f64 + b * *m as f64) / (n + m) as f64, n + m),
                    [one, ..] => *one,
                    [] => (0.0, 0),
                })
                .collect();
            self.width *= 2;
        }
    }

    fn shown(&self) -> String {
        let size = self.mean.abs();
        if self.mean != 0.0 && !(1e-3..1e5).contains(&size) {
            format!("{:.3e}", self.mean)
        } else {
            format!("{:.4}", self.mean)
        }
    }

    /// `loss 0.1234 █▅▃▂▁`
    fn message(&self) -> String {
        let finite = self.course.iter().map(|(mean, _)| *mean).filter(|m| m.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), m| (l.min(m), h.max(m)));
        let sign = |(mean, _): &(f64, u64)| match (mean - low) / (high - low) {
            _ if !mean.is_finite() => '?',
            share if share.is_finite() => char::from_u32(0x2581 + (share * 7.0).round() as u32).unwrap_or(' '),
            _ => '\u{2581}',
        };
        format!("loss {} {}", self.shown(), self.course.iter().map(sign).collect::<String>())
    }
}

static START: Builtin = Builtin {
    name: "_progress_start",
    doc: "Shows a bar of `total` steps and gives its number. `let id = _progress_start(100, \"train\")`.",
    sig: Sig { params: &[req("total"), opt("label", Default::Str(""))] },
    infer: infer::int,
    run: |_, args| match &*args {
        [Value::Int(total), label] => {
            let bar = Shown::new((*total).max(0) as u64, show::display(label));
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
            with_bar(id, |Shown { bar, .. }| {
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

static LOSS: Builtin = Builtin {
    name: "_progress_loss",
    doc: "Moves a bar to a position and shows the running mean of the losses so far and their course. `_progress_loss(id, 10, 0.5)`.",
    sig: Sig { params: &[req("id"), req("position"), req("loss")] },
    infer: infer::none,
    run: |_, args| match &*args {
        [id, Value::Int(position), loss] => {
            let loss = match loss {
                Value::Float(_, x) => *x,
                Value::Int(n) => *n as f64,
                other => return Err(wrong_kind("update", 2, "one float for loss", other)),
            };
            with_bar(id, |shown| shown.lose((*position).max(0) as u64, loss))?;
            Ok(Value::None)
        }
        [_, other, _] => Err(wrong_kind("_progress_loss", 1, "an int", other)),
        _ => Err(arity("_progress_loss")),
    },
};

static FINISH: Builtin = Builtin {
    name: "_progress_finish",
    doc: "Ends a bar; what it showed last stays. `_progress_finish(id)`.",
    sig: Sig { params: &[req("id")] },
    infer: infer::none,
    run: |_, args| match &*args {
        [id] => {
            with_bar(id, |shown| shown.bar.abandon())?;
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

fn with_bar(id: &Value, act: impl FnOnce(&mut Shown)) -> Result<()> {
    let Value::Int(id) = id else { return Err(wrong_kind("progress", 0, "the number of a bar", id)) };
    BARS.with_borrow_mut(|bars| {
        if let Some(Some(bar)) = usize::try_from(*id).ok().and_then(|id| bars.get_mut(id)) {
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
            bars.push(Some(Shown::new(1, String::new())));
            bars.len() as i64 - 1
        });
        let mut reached = false;
        with_bar(&Value::Int(id), |_| reached = true).unwrap();
        assert!(reached);
    }

    #[test]
    fn losses_have_a_mean_and_a_course() {
        let mut losses = Losses::default();
        for i in 0..40 {
            losses.add(40.0 - f64::from(i));
        }
        assert_eq!((losses.width, losses.course.len()), (4, 10));
        assert_eq!(losses.course[0], (38.5, 4));
        assert_eq!(losses.course[9], (2.5, 4));
        assert!(
            losses
                .message()
                .ends_with("\u{2588}\u{2587}\u{2586}\u{2586}\u{2585}\u{2584}\u{2583}\u{2583}\u{2582}\u{2581}"),
            "{}",
            losses.message()
        );
        let mut few = Losses::default();
        few.add(3.0);
        few.add(1.0);
        assert_eq!(few.shown(), "2.0000");
        few.add(f64::NAN);
        assert!(few.message().starts_with("loss NaN") && few.message().ends_with('?'));
    }

    #[test]
    fn a_plain_line_for_each_tenth() {
        let mut shown = Shown::new(100, "train".into());
        let lines: Vec<String> = (1..=100)
            .filter_map(|i| {
                shown.losses.add(1.0);
                shown.line(i)
            })
            .collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "train 10/100 loss 1.0000");
        assert_eq!(lines[9], "train 100/100 loss 1.0000");
    }
}
