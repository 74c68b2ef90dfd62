//! The machine.

use std::sync::atomic::AtomicBool;

/// Set by Ctrl-C; the run loop polls it.
pub static INTERRUPT: AtomicBool = AtomicBool::new(false);

/// The machine.
pub struct Vm {
    pub cx: crate::ad::Cx,
    pub script_args: Vec<String>,
}
