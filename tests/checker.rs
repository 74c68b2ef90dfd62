//! The checker never rejects a program that would run: all programs of the documentation, the library and the examples pass.

use std::fs;
use std::path::{Path, PathBuf};

use dlang::diagnostic::Diagnostic;
use dlang::pipeline::{Mode, Options, Session};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn options() -> Options {
    Options { dtype: dlang::tensor::DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 }
}

/// Errors of types and shapes that the checker finds.
fn errors(name: &str, text: &str, mode: Mode) -> (Session, Vec<Diagnostic>) {
    let mut session = Session::new(options());
    let loaded = session.load_main(name, text, mode);
    let found = loaded.diagnostics.into_iter().filter(|d| d.code.starts_with("E03") && d.is_error());
    let found = found.collect();
    (session, found)
}

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut out = vec![];
    for entry in fs::read_dir(root().join(dir)).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(files(&path.display().to_string(), extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// Fenced programs with the line they start at; `prefix` precedes every line.
fn fenced(text: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut out = vec![];
    let mut open: Option<(usize, String)> = None;
    for (i, line) in text.lines().enumerate() {
        let Some(line) = line.trim_start().strip_prefix(prefix.trim_end()) else {
            open = None;
            continue;
        };
        let line = line.strip_prefix(' ').unwrap_or(line);
        if let Some((start, mut body)) = open.take() {
            if line.trim() == "```" {
                out.push((start, body));
            } else {
                body += line;
                body.push('\n');
                open = Some((start, body));
            }
        } else if line.trim() == "```dl" {
            open = Some((i + 2, String::new()));
        }
    }
    out
}

fn describe(session: &Session, found: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| {
        let place = d.span().map_or(String::new(), |s| session.place(s));
        let notes: Vec<String> =
            d.labels.iter().map(|l| format!("    {}: {}", session.place(l.span), l.message)).collect();
        format!("  {place}: {} {}\n{}\n", d.code, d.message, notes.join("\n"))
    };
    found.iter().map(line).collect()
}

#[test]
fn programs_that_run_are_accepted() {
    let mut failures = String::new();
    let mut count = 0;
    let mut try_one = |name: String, text: &str, mode: Mode| {
        count += 1;
        let (session, found) = errors(&name, text, mode);
        if !found.is_empty() {
            failures += &format!("{name}\n{}", describe(&session, &found));
        }
    };
    for path in files("stdlib", "dl").into_iter().chain(files("examples", "dl")) {
        let text = fs::read_to_string(&path).unwrap();
        try_one(path.display().to_string(), &text, Mode::Test);
        for (line, program) in fenced(&text, "## ") {
            try_one(format!("{}:{line}", path.display()), &program, Mode::Script);
        }
    }
    for path in files("docs", "md").into_iter().filter(|p| !p.to_string_lossy().contains("errors")) {
        let text = fs::read_to_string(&path).unwrap();
        for (line, program) in fenced(&text, "") {
            try_one(format!("{}:{line}", path.display()), &program, Mode::Script);
        }
    }
    assert!(count > 20, "only {count} programs");
    assert!(failures.is_empty(), "{failures}");
}
