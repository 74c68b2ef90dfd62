//! Ctrl-C: the first press asks the running program to stop, a second one ends the process.

use std::sync::Once;
use std::sync::atomic::Ordering;

use super::exit::Exit;
use crate::vm::INTERRUPT;

static INSTALLED: Once = Once::new();

/// Takes Ctrl-C over; from then on it no longer ends the process by itself. Called before something runs.
pub fn install() {
    INSTALLED.call_once(|| {
        // Without a handler Ctrl-C ends the process, which is no harm.
        let _ = ctrlc::set_handler(|| {
            if INTERRUPT.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
        });
    });
}

/// Forgets an earlier press: something new begins to run.
pub fn arm() {
    INTERRUPT.store(false, Ordering::SeqCst);
}
