//! What the command itself writes: data to stdout, remarks to stderr. A closed pipe is silence, not an error.

use std::io::Write;

/// Text for stdout.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
}

/// Text for stderr, after all that was printed before.
pub fn remark(text: &str) {
    flush();
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Wrong usage: one sentence and, where known, how to mend it.
pub fn usage_error(message: &str, hint: Option<&str>) {
    let mut text = format!("error: {message}\n");
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    remark(&text);
}

/// Hands on what is buffered.
pub fn flush() {
    let _ = std::io::stdout().flush();
}
