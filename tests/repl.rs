//! Conversations with the REPL, without a terminal: `tests/golden/repl/*.txt`.
//!
//! A file is a transcript: `dlang> ` and `   ... ` before what is typed, all else is what is answered. Typing goes
//! through the same evaluator as on a terminal. `DLANG_BLESS=1 cargo test --test repl` rewrites the answers.

use std::path::PathBuf;

use dlang::cli::repl::session::Repl;

const PROMPT: &str = "dlang> ";
const CONTINUATION: &str = "   ... ";

/// The transcript that arises when the inputs of `script` are typed.
fn replay(script: &str) -> String {
    let mut repl = Repl::plain();
    let mut transcript = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix(PROMPT.trim_end()) else { continue };
        let mut input = first.strip_prefix(' ').unwrap_or(first).to_string();
        transcript.push_str(&format!("{line}\n"));
        while let Some(more) = lines.peek().and_then(|l| l.strip_prefix(CONTINUATION.trim_end())) {
            // The REPL asks for more exactly where the transcript goes on.
            assert!(repl.is_incomplete(&input), "complete before the last line: {input}");
            input.push('\n');
            input.push_str(more.strip_prefix(' ').unwrap_or(more));
            transcript.push_str(&format!("{CONTINUATION}{}\n", more.strip_prefix(' ').unwrap_or(more)));
            lines.next();
        }
        assert!(!repl.is_incomplete(&input), "not complete: {input}");
        let answer = repl.answer(&input);
        transcript.push_str(&answer.text);
        if let Some(exit) = answer.leave {
            transcript.push_str(&format!("(leaves with {})\n", exit.code()));
            break;
        }
    }
    transcript
}

#[test]
fn transcripts() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/repl");
    let bless = std::env::var_os("DLANG_BLESS").is_some();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let expected = std::fs::read_to_string(&file).unwrap();
        let actual = replay(&expected);
        if bless {
            std::fs::write(&file, &actual).unwrap();
        } else {
            assert_eq!(actual, expected, "{} (DLANG_BLESS=1 rewrites it)", file.display());
        }
    }
}

#[test]
fn completion() {
    let mut repl = Repl::plain();
    assert_eq!(repl.complete(":re", 3), (0, vec![":reload".to_string(), ":reset".to_string()]));
    repl.answer("let momentum_of_disc = 1.0");
    let (start, names) = repl.complete("2.0 * momentum_o", 16);
    assert!(start == 6 && names.iter().any(|n| n == "momentum_of_disc"), "{start} {names:?}");
    let (start, names) = repl.complete(":type momentum_o", 16);
    assert!(start == 6 && names.iter().any(|n| n == "momentum_of_disc"), "{start} {names:?}");
    // Nothing to complete, and places that are none.
    repl.complete("", 0);
    repl.complete("ü", 1);
    repl.complete("x", 9);
}

#[test]
fn timing_commands_measure() {
    let mut repl = Repl::plain();
    let time = repl.answer(":time 1 + 1").text;
    assert!(time.starts_with("2 : int\ntook "), "{time}");
    let bench = repl.answer(":bench 1 + 1").text;
    assert!(bench.starts_with("median ") && bench.contains(" runs"), "{bench}");
}

#[test]
fn files() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("repl");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("loaded.dl");
    std::fs::write(&path, "let answer = 42\nprint(\"loading\")\n").unwrap();
    let mut repl = Repl::plain();
    assert_eq!(repl.answer(&format!(":load {}", path.display())).text, "loading\n");
    assert_eq!(repl.answer("answer").text, "42 : int\n");
    std::fs::write(&path, "let answer = 43\n").unwrap();
    assert_eq!(repl.answer(":reload").text, "");
    assert_eq!(repl.answer("answer").text, "43 : int\n");
    std::fs::write(&path, "param n = 1\nprint(n)\nexit(3)\n").unwrap();
    let run = repl.answer(&format!(":run {} --n 5", path.display()));
    assert!(run.text == "5\n" && run.leave.is_none(), "{run:?}");
    assert_eq!(repl.answer("answer").text, "43 : int\n", "a run leaves the names alone");
    assert!(repl.answer(":load no/such.dl").text.contains("E0501"));
    let saved = folder.join("saved.dl");
    assert!(repl.answer(&format!(":save {}", saved.display())).text.contains("inputs written"));
    assert_eq!(std::fs::read_to_string(&saved).unwrap(), "answer\nanswer\nanswer\n");
}
