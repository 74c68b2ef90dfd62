//! What goes wrong while a program runs. An operation reports *what*; the VM's run loop adds *where*
//! (the span, the operands' spans, the call stack) in one place.

use crate::diagnostic::{Diagnostic, Label};
use crate::source::Span;

/// Result of anything that may fail at run time.
pub type Result<T> = std::result::Result<T, Error>;

/// A run-time error (or a request to leave); one pointer wide.
#[derive(Debug, Clone)]
pub struct Error(pub Box<ErrorData>);

/// Why execution stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An ordinary error; `try` catches it.
    Failure,
    /// `exit(n)`
    Exit(i32),
    /// Ctrl-C
    Interrupt,
    /// stdout was closed by its reader
    ClosedPipe,
    /// Examples of a `vmap` take different paths; it never leaves that `vmap`.
    Split(crate::ad::batch::Split),
}

/// The content of an [`Error`].
#[derive(Debug, Clone)]
pub struct ErrorData {
    pub cause: Cause,
    /// `E04xx`, or the checker's code if the checker could have seen it too.
    pub code: &'static str,
    /// One sentence in the user's words, with the actual shapes and values.
    pub message: String,
    /// Remarks on the operands, by index of the argument (receiver and left operand are 0).
    pub operands: Vec<(usize, String)>,
    pub help: Option<String>,
    /// Further lines under the message.
    pub notes: Vec<String>,
    /// Sizes that do not fit, as far as they are known: the checker tells where they come from.
    pub sizes: Vec<usize>,
    /// Set by the run loop: the failing expression, then remarks on places.
    pub span: Option<Span>,
    pub labels: Vec<Label>,
    /// Set while unwinding, innermost first: function and the place of the call in it.
    pub trace: Vec<(String, Span)>,
}

impl Error {
    /// An ordinary error.
    #[cold]
    pub fn new(code: &'static str, message: impl Into<String>) -> Error {
        Error(Box::new(ErrorData {
            cause: Cause::Failure,
            code,
            message: message.into(),
            operands: vec![],
            help: None,
            notes: vec![],
            sizes: vec![],
            span: None,
            labels: vec![],
            trace: vec![],
        }))
    }

    /// Leaves the program; not catchable.
    #[cold]
    pub fn leave(cause: Cause) -> Error {
        let mut error = Error::new("E0400", "stopped");
        error.0.cause = cause;
        error
    }

    /// A remark on operand `index`, such as its shape.
    pub fn operand(mut self, index: usize, remark: impl Into<String>) -> Error {
        self.0.operands.push((index, remark.into()));
        self
    }

    /// The sizes that do not fit.
    pub fn sizes(mut self, sizes: impl IntoIterator<Item = usize>) -> Error {
        self.0.sizes.extend(sizes);
        self
    }

    /// The hint that mends it.
    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.0.help = Some(help.into());
        self
    }

    /// A remark on a place that is known here already; the primary one is where the mistake shows.
    pub fn label(mut self, span: Span, message: impl Into<String>, primary: bool) -> Error {
        self.0.labels.push(Label { span, message: message.into(), primary });
        self
    }

    /// One more line under the message.
    pub fn note(mut self, note: impl Into<String>) -> Error {
        self.0.notes.push(note.into());
        self
    }

    /// True if `try` may catch it.
    pub fn is_failure(&self) -> bool {
        self.0.cause == Cause::Failure
    }

    /// As data for the renderer: failing place, remarks, call stack.
    pub fn to_diagnostic(&self, place: impl Fn(Span) -> String) -> Diagnostic {
        let data = &*self.0;
        let mut diagnostic = Diagnostic::error(data.code, data.message.clone());
        diagnostic.labels = data.labels.clone();
        if let Some(span) = data.span
            && !data.labels.iter().any(|l| l.primary)
        {
            diagnostic = diagnostic.at(span, "");
        }
        let inside = seen_from_outside(&mut diagnostic, &data.trace, &place);
        diagnostic.notes = data.notes.clone();
        diagnostic.help = data.help.clone();
        // Calls of one function from one place, as a recursion makes them, are one line.
        let mut lines: Vec<(&(String, Span), usize)> = vec![];
        // Calls that the library makes are not the user's.
        let in_library = |span: Span| place(span).starts_with(LIBRARY);
        for call in data.trace.iter().skip(inside).filter(|(_, span)| !in_library(*span)) {
            match lines.last_mut() {
                Some((last, times)) if *last == call => *times += 1,
                _ => lines.push((call, 1)),
            }
        }
        const SHOWN: usize = 8;
        let count = lines.len();
        for (i, ((function, span), times)) in lines.into_iter().enumerate() {
            if count > 2 * SHOWN && (SHOWN..count - SHOWN).contains(&i) {
                if i == SHOWN {
                    diagnostic = diagnostic.note(format!("... {} more ...", count - 2 * SHOWN));
                }
                continue;
            }
            let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
            diagnostic = diagnostic.note(format!("in {function}, called at {}{times}", place(*span)));
        }
        diagnostic
    }
}

/// The folder that the names of the standard library's sources begin with.
const LIBRARY: &str = "<stdlib>/";

/// In a library function, the call that the user wrote is where it shows. Gives the number of calls between the two, which
/// the user did not write.
fn seen_from_outside(d: &mut Diagnostic, trace: &[(String, Span)], place: &impl Fn(Span) -> String) -> usize {
    let module = |span: Span| Some(place(span).strip_prefix(LIBRARY)?.split_once(".dl")?.0.to_string());
    let Some(primary) = d.labels.iter().find(|l| l.primary).map(|l| l.span) else { return 0 };
    let Some(home) = module(primary) else { return 0 };
    let Some(outside) = trace.iter().position(|(_, span)| module(*span).is_none()) else { return 0 };
    // What is private to the library is told by the function that called it.
    let named = trace.iter().take(outside + 1).enumerate().find(|(_, (f, _))| {
        let last = f.rsplit('.').next().unwrap_or(f);
        !last.starts_with(['_', '<'])
    });
    let (Some((at, (function, _))), Some((_, call))) = (named, trace.get(outside)) else { return 0 };
    if matches!(d.code, "E0439" | "E0452" | "E0453") || d.code.starts_with("E05") {
        // The message says it all.
        d.labels.retain(|l| module(l.span).is_none());
        d.labels.push(Label { span: *call, message: "in this call".into(), primary: true });
        return outside + 1;
    }
    let home = at.checked_sub(1).and_then(|i| trace.get(i)).and_then(|(_, span)| module(*span)).unwrap_or(home);
    for label in d.labels.iter_mut().filter(|l| l.primary) {
        label.primary = false;
        let fails = format!("fails here, in `{home}.{function}`");
        label.message = if label.message.is_empty() { fails } else { format!("{}; {fails}", label.message) };
    }
    d.labels.push(Label { span: *call, message: "in this call".into(), primary: true });
    outside + 1
}
