//! The front end on hostile input: nothing panics, nothing overflows, nothing is quadratic; spans and ids hold.

use std::fmt::Write as _;
use std::path::Path;

use dlang::source::SourceId;
use dlang::syntax::{self, Parsed, dump};

fn parse(text: &str) -> Parsed {
    syntax::parse(SourceId(0), text)
}

fn codes(text: &str) -> Vec<&'static str> {
    parse(text).problems.iter().map(|p| p.code()).collect()
}

/// What every outcome must satisfy.
fn check(text: &str) {
    let parsed = parse(text);
    let tree = dump::module(&parsed.module);
    if tree.contains("<invalid>") {
        assert!(!parsed.problems.is_empty(), "an invalid node without a problem in:\n{text}");
    }
    assert!(parsed.problems.len() <= syntax::MAX_PROBLEMS);
    assert!(parsed.problems.is_sorted_by_key(|p| p.span().start));
    for problem in &parsed.problems {
        let diagnostic = problem.to_diagnostic();
        assert!(!diagnostic.message.is_empty() && !diagnostic.labels.is_empty());
        for label in &diagnostic.labels {
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            assert!(start <= end, "{problem:?}");
            assert!(text.get(start..end.min(text.len())).is_some(), "{problem:?} cuts a character in:\n{text}");
        }
    }
}

fn golden_sources() -> Vec<String> {
    let mut texts = vec![];
    for suite in ["lex", "parse", "syntax_error"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(suite);
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            texts.push(text.lines().filter(|l| !l.starts_with("#>")).flat_map(|l| [l, "\n"]).collect());
        }
    }
    assert!(texts.len() > 10);
    texts
}

#[test]
fn every_prefix_parses_without_panic() {
    for text in golden_sources() {
        let ends: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
        for &end in ends.iter().step_by(1 + ends.len() / 400) {
            check(&text[..end]);
        }
    }
}

#[test]
fn damaged_texts_parse_without_panic() {
    let spare =
        ["(", ")", "[", "]", "{", "}", "\"", "f\"{", "|", "\n", ";", "let ", "fn ", "=", ":", ",", "é", "'", "##x\n"];
    let mut state = 1u64;
    let mut random = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n.max(1)
    };
    for text in golden_sources() {
        let chars: Vec<char> = text.chars().collect();
        for _ in 0..60 {
            let mut damaged = chars.clone();
            for _ in 0..1 + random(4) {
                let at = random(damaged.len());
                match random(3) {
                    0 => drop(damaged.splice(at..(at + random(6)).min(damaged.len()), [])),
                    1 => drop(damaged.splice(at..at, spare[random(spare.len())].chars())),
                    _ => {
                        let other = random(damaged.len());
                        damaged.swap(at, other);
                    }
                }
            }
            check(&damaged.into_iter().collect::<String>());
        }
    }
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    for open in ["(", "[", "{", "f(", "x[", "f\"{", "{ let x = ", "if a { ", "(|x| ", "|a, b| (", "list(", "- (", "(-"]
    {
        for n in [300, 100_000] {
            let text = format!("let ok = 1\n{}", open.repeat(n));
            assert!(codes(&text).contains(&"E0113"), "{open} {n}");
            assert_eq!(dump::module(&parse(&text).module), "(let ok 1)\n");
        }
    }
    for link in ["-", "not ", "1 + ", "2^", "x |> ", "|x| ", "|a, b| ", "|| ", "if a {} else ", "f.", "1 < ", "1 .. "] {
        let text = format!("{}x", link.repeat(100_000));
        assert_eq!(codes(&text), ["E0113"], "{link}");
    }
    assert_eq!(codes(&format!("x{}", "(1)".repeat(100_000))), ["E0113"]);
    assert_eq!(codes(&format!("let x: T{} = 1", "?".repeat(100_000))), ["E0113"]);
    assert_eq!(codes(&format!("let x: {}T = 1", "fn(A, B) -> ".repeat(100_000))), ["E0113"]);
    assert_eq!(codes(&format!("let x: float[{}1] = 1", "1 + ".repeat(100_000))), ["E0113"]);
}

#[test]
fn what_is_not_deep_may_be_long() {
    let nested = format!("{}x{}", "(".repeat(200), ")".repeat(200));
    assert!(codes(&nested).is_empty());
    assert!(codes(&format!("let x = {}1", "1 + ".repeat(800))).is_empty());
    assert!(codes(&format!("let x = [{}1]", "a + b, ".repeat(50_000))).is_empty());
    assert!(codes(&format!("f({}1)", "|x| x, ".repeat(400))).is_empty());
    assert!(codes(&"x = -x + 1; ".repeat(20_000)).is_empty());
    assert!(codes(&format!("fn f() {{\n{}}}", "x = -x + 1\n".repeat(20_000))).is_empty());
}

#[test]
fn incomplete_texts_ask_for_more() {
    for text in
        ["f(", "let x =", "1 +", "fn f(x) {", "x |>", "[1,", "if a {", "\"\"\"abc", "f(a,\n", "try { 1 }", "|x|", "{\n"]
    {
        assert!(parse(text).incomplete, "{text}");
    }
    for text in ["", "1", "let x", "fn f(x)", "let = (", "\"abc", ")", "if x", "f(x) {", "x y"] {
        assert!(!parse(text).incomplete, "{text}");
    }
}

#[test]
fn ids_are_below_the_count_and_docs_are_found() {
    let text = "## About.\n\n## Doc of f.\nfn f(x) = x\nparam lr = 1 ## rate\n";
    let parsed = parse(text);
    assert_eq!(parsed.module.doc.as_deref(), Some("About."));
    let docs: Vec<_> = parsed.module.stmts.iter().map(|s| s.doc.as_deref()).collect();
    assert_eq!(docs, [Some("Doc of f."), Some("rate")]);
    assert!(parsed.module.node_count > 0);
    let direct = parse("## Doc of f.\nfn f(x) = x\n").module;
    assert_eq!((direct.doc, direct.stmts[0].doc.as_deref()), (None, Some("Doc of f.")));
}

/// Long programs are no trouble; how fast they parse is measured in `benches/`.
#[test]
fn long_programs_parse() {
    let program = |lines: usize| {
        let mut text = String::new();
        for i in 0..lines / 4 {
            let _ = writeln!(text, "fn f{i}(x: float[n, 4], k = 2) -> float {{");
            let _ = writeln!(text, "    let y = x @ w{i} + b[{i}, :] |> relu |> sum(axis: 0)");
            let _ = writeln!(
                text,
                "    if y > {i}.5 and not done {{ f\"{{y:.3f}} of {{k}}\" }} else {{ [z^2 for z in y] }}"
            );
            let _ = writeln!(text, "}}");
        }
        text
    };
    for lines in [1_000, 10_000] {
        let text = program(lines);
        let parsed = parse(&text);
        assert!(parsed.problems.is_empty());
        assert_eq!(parsed.module.stmts.len(), lines / 4);
    }
}
