//! Runs the programs in `benches/` one after the other with the optimized binary; each prints its own figure.
//! `cargo bench` runs all, `cargo bench -- loop` those whose name contains the word.

use std::path::Path;
use std::process::Command;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let word = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let Ok(entries) = std::fs::read_dir(root.join("benches")) else { return };
    let mut programs: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    programs.retain(|p| p.extension().is_some_and(|e| e == "dl") && p.to_string_lossy().contains(&word));
    programs.sort();
    for program in programs {
        match Command::new(env!("CARGO_BIN_EXE_dlang")).arg(&program).current_dir(root).status() {
            Ok(status) if status.success() => {}
            Ok(status) => eprintln!("{}: {status}", program.display()),
            Err(error) => eprintln!("{}: {error}", program.display()),
        }
    }
}
