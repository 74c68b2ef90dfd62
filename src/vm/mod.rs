//! The machine: frames on one stack of registers, a hot loop for what needs nothing but registers, and slower
//! paths for calls and host functions.
//!
//! - `exec`: the hot loop over instructions. `run`: frames, calls, returns, errors and `try`.
//! - `call`: how arguments meet parameters. `method`: what `x.name(..)` means.
//! - `foresee`: what will become of a value.
//! - `fields`, `items`: parts of values. `typetest`: annotations. `load`: modules.

pub mod arith;
pub(crate) mod bind;
mod call;
pub mod characters;
pub mod elements;
mod exec;
mod fields;
mod foresee;
pub(crate) mod items;
pub mod load;
mod method;
mod rare;
mod registers;
mod run;
pub mod typetest;
mod values;

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use crate::ad::Cx;
use crate::bytecode::chunk::Chunk;
use crate::error::{Cause, Error, Result};
use crate::value::{Closure, Value};

/// Set by Ctrl-C; the run loop polls it.
pub static INTERRUPT: AtomicBool = AtomicBool::new(false);

/// Calls that may be under way at once.
pub const MAX_FRAMES: usize = 200_000;
/// Host functions that call back into the program (`map(f, xs)`), nested.
pub const MAX_HOST_CALLS: usize = 2_000;

/// The machine.
pub struct Vm {
    pub cx: Cx,
    /// Registers of all frames, innermost last; above the last frame all are `none`.
    stack: Vec<Value>,
    frames: Vec<Frame>,
    handlers: Vec<Handler>,
    host_calls: usize,
    /// First register that a call made by host code may use.
    host_base: usize,
    /// Top-level names of all modules; `None` until they are set.
    pub globals: Vec<Option<Value>>,
    /// Values of `param`s given from outside, by name.
    pub overrides: HashMap<Rc<str>, Value>,
    /// What `args()` gives.
    pub script_args: Vec<String>,
    /// Folder of the main file.
    pub source_dir: PathBuf,
    out: Output,
}

/// A call that is under way.
struct Frame {
    closure: Rc<Closure>,
    pc: usize,
    base: usize,
    /// Where in the stack the result goes: to the caller's register of the function.
    result: usize,
    /// Bit `i`: parameter `i` was given.
    given: u64,
    /// The host called it: its return ends the run loop.
    entry: bool,
    /// Arguments to put back after the call; `None` for the usual case.
    after: Option<Box<After>>,
}

/// What a return does beside handing over the value.
#[derive(Default)]
struct After {
    /// `inout` parameters that were passed out of order: parameter, argument.
    moves: Vec<(usize, usize)>,
    /// A receiver that might have changed but did not: it goes back into the first argument's register.
    receiver: Option<Value>,
}

impl Frame {
    fn chunk(&self) -> &Rc<Chunk> {
        &self.closure.chunk
    }

    /// Enters a function whose arguments stand from `base` in the order of its parameters; all of them were given.
    #[inline]
    fn enter(closure: Rc<Closure>, base: usize, result: usize, stack: &mut Vec<Value>, frames: &mut Vec<Frame>) {
        let chunk = &closure.chunk;
        let end = base + chunk.registers as usize;
        if stack.len() < end {
            stack.resize(end.max(stack.len() * 2), Value::None);
        }
        let params = chunk.params.len();
        let own = &mut stack[base + params..end];
        // What earlier calls left behind in the caller's temporaries.
        own.iter_mut().for_each(Value::clear);
        for (register, value) in own.iter_mut().zip(&closure.captures) {
            register.put_copy(value);
        }
        // Written where it stays.
        frames.reserve(1);
        let count = frames.len();
        if let Some(place) = frames.spare_capacity_mut().first_mut() {
            place.write(Frame { closure, pc: 0, base, result, given: u64::MAX, entry: false, after: None });
            // SAFETY: one more has been written.
            unsafe { frames.set_len(count + 1) };
        }
    }
}

/// A `try` that is under way.
struct Handler {
    /// Index of its frame.
    frame: usize,
    target: usize,
    register: usize,
}

/// Where `print` goes.
enum Output {
    Stdout(Box<dyn Write>),
    /// For tests and the REPL's evaluator.
    Captured(String),
}

impl Default for Vm {
    fn default() -> Vm {
        Vm {
            cx: Cx::default(),
            stack: vec![],
            frames: vec![],
            handlers: vec![],
            host_calls: 0,
            host_base: 0,
            globals: vec![],
            overrides: HashMap::new(),
            script_args: vec![],
            source_dir: PathBuf::new(),
            out: Output::Stdout(stdout()),
        }
    }
}

impl Vm {
    /// How many calls are under way.
    pub fn calls(&self) -> usize {
        self.frames.len()
    }

    /// Program output. A closed pipe ends the program quietly.
    pub fn write_out(&mut self, text: &str) -> Result<()> {
        match &mut self.out {
            Output::Captured(buffer) => {
                buffer.push_str(text);
                Ok(())
            }
            Output::Stdout(out) => out.write_all(text.as_bytes()).map_err(output_error),
        }
    }

    /// True if what is written shows at once on a terminal.
    pub fn writes_to_terminal(&self) -> bool {
        matches!(self.out, Output::Stdout(_)) && std::io::stdout().is_terminal()
    }

    /// Hands on what is buffered.
    pub fn flush_out(&mut self) -> Result<()> {
        match &mut self.out {
            Output::Captured(_) => Ok(()),
            Output::Stdout(out) => out.flush().map_err(output_error),
        }
    }

    /// Where and how the first NaN or infinity arose since the last call, if that is being noted.
    pub fn first_nonfinite(&self) -> Option<(crate::source::Span, String)> {
        let noted = self.cx.noted.as_ref()?;
        Some((noted.span, noted.message.clone()))
    }

    /// From now on output is kept; [`Vm::take_output`] gives it.
    pub fn capture_output(&mut self) {
        self.out = Output::Captured(String::new());
    }

    /// What was printed since the last call, if output is captured.
    pub fn take_output(&mut self) -> String {
        match &mut self.out {
            Output::Captured(buffer) => std::mem::take(buffer),
            Output::Stdout(_) => String::new(),
        }
    }
}

/// A terminal shows each line at once; anything else gets large pieces.
fn stdout() -> Box<dyn Write> {
    let stdout = std::io::stdout();
    if stdout.is_terminal() { Box::new(stdout) } else { Box::new(std::io::BufWriter::with_capacity(1 << 16, stdout)) }
}

fn output_error(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Error::leave(Cause::ClosedPipe);
    }
    Error::new("E0502", format!("the output cannot be written: {error}"))
}
