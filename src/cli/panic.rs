//! A panic is a bug in dlang, never the user's mistake: one line says so, without a Rust trace.

use std::panic::PanicHookInfo;

use super::out;

/// Replaces Rust's own message.
pub fn install() {
    std::panic::set_hook(Box::new(|info| out::remark(&message(info))));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let what = payload
        .downcast_ref::<&str>()
        .map(|s| s.to_string())
        .or(payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
    let what = what.replace('\n', " ");
    format!(
        "bug in dlang {} ({}){place}: {what}. Send this line and the program to the authors of dlang.\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
    )
}
