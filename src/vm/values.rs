//! What the variables of a failing expression held: a note of an error that nothing catches.

use crate::builtins::fail;
use crate::bytecode::chunk::Home;
use crate::error::Error;
use crate::show;
use crate::tensor::Tensor;
use crate::value::Value;
use crate::vm::{Frame, Vm};

/// Variables that are shown.
const VARIABLES: usize = 5;
/// Letters of one value.
const LETTERS: usize = 60;
/// First elements of a tensor.
const ELEMENTS: usize = 4;

impl Vm {
    /// Adds the values of the variables in the innermost expression of the user's that failed, in the order of the text.
    #[cold]
    pub(super) fn note_values(&self, error: &mut Error) {
        if !error.is_failure() || error.0.code == fail::RAISED || !self.handlers.is_empty() {
            return;
        }
        let is_library = |f: &&Frame| self.cx.trap.library.contains(&f.chunk().span.source);
        let Some(frame) = self.frames.iter().rev().find(|f| !is_library(f)) else { return };
        let chunk = frame.chunk();
        let Some(place) = chunk.spans.get(frame.pc.saturating_sub(1)).map(|p| p.span) else { return };
        let inside = |s: crate::source::Span| s.source == place.source && place.start <= s.start && s.end <= place.end;
        let mut read: Vec<_> = chunk.variables.iter().filter(|v| inside(v.span)).collect();
        read.sort_by_key(|v| v.span.start);
        let mut told: Vec<(&str, String)> = vec![];
        for variable in read {
            if told.iter().any(|(name, _)| *name == &*variable.name) {
                continue;
            }
            let value = match variable.home {
                Home::Register(reg) => self.stack.get(frame.base + reg.0 as usize),
                Home::Global(slot) => self.globals.get(slot as usize).and_then(|v| v.as_ref()),
            };
            if let Some(text) = value.and_then(shown) {
                told.push((&variable.name, text));
            }
        }
        if told.is_empty() {
            return;
        }
        let more = if told.len() > VARIABLES { ", ..." } else { "" };
        let told: Vec<String> = told.iter().take(VARIABLES).map(|(name, text)| format!("{name} = {text}")).collect();
        error.0.notes.push(format!("where {}{more}", told.join(", ")));
    }
}

/// A value in a few words; nothing of functions and modules, and of what was taken out to be changed.
fn shown(value: &Value) -> Option<String> {
    let short = |text: String| (text.chars().count() <= LETTERS && !text.contains('\n')).then_some(text);
    match value {
        Value::None
        | Value::Fn(_)
        | Value::Prim(_)
        | Value::Builtin(_)
        | Value::Native(_)
        | Value::DType(_)
        | Value::StructType(_)
        | Value::Module(_)
        | Value::Batched(..) => None,
        Value::Tensor(_, t) => Some(tensor(value, t)),
        Value::Tuple(items) | Value::List(items) if items.len() > 16 => Some(show::brief(value)),
        Value::Struct(_) | Value::Tuple(_) | Value::List(_) => {
            Some(short(show::repr(value)).unwrap_or_else(|| show::brief(value)))
        }
        other => Some(show::brief(other)),
    }
}

/// All of a small vector; of others the type and the first elements.
fn tensor(value: &Value, t: &Tensor) -> String {
    if t.rank() == 1 && t.len() <= 2 * ELEMENTS {
        return show::repr(value);
    }
    let first: Vec<String> = t.iter_f64().take(ELEMENTS).map(|x| element(t, x)).collect();
    let more = if t.len() > ELEMENTS { ", ..." } else { "" };
    match first.as_slice() {
        [] => value.type_name().to_string(),
        _ => format!("{} of {}{more}", value.type_name(), first.join(", ")),
    }
}

fn element(t: &Tensor, x: f64) -> String {
    if !t.dtype().is_float() {
        return format!("{}", x as i64);
    }
    let digits = format!("{x:.4}");
    let trimmed = digits.trim_end_matches('0');
    match x {
        _ if x == 0.0 || (1e-3..1e6).contains(&x.abs()) => {
            if trimmed.ends_with('.') {
                format!("{trimmed}0")
            } else {
                trimmed.to_string()
            }
        }
        _ => show::repr(&Value::float(x)),
    }
}
