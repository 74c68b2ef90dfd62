//! The drawing, character by character.

use super::*;
use crate::source::Span;

const STYLE: Style = Style { color: false, width: 100, wrap: None };

fn one(text: &str) -> (SourceMap, SourceId) {
    let mut sources = SourceMap::default();
    let id = sources.add("a.dl", text);
    (sources, id)
}

fn span_of(sources: &SourceMap, id: SourceId, part: &str) -> Span {
    let start = sources.get(id).text.find(part).unwrap_or(0);
    Span::new(id, start, start + part.len())
}

#[test]
fn labels_stand_under_characters_not_bytes() {
    let (sources, id) = one("let grüße = \"äöü\" + 1\n");
    let d = Diagnostic::error("E0301", "cannot add str and int").at(span_of(&sources, id, "1"), "an int");
    let text = render(&d, &sources, STYLE);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "error[E0301]: cannot add str and int");
    assert!(lines[1].contains("[ a.dl:1:21 ]"), "{text}");
    let code = lines.iter().position(|l| l.contains("grüße")).unwrap();
    let under = lines[code + 1].chars().collect::<Vec<_>>();
    let at = lines[code].chars().collect::<Vec<_>>().iter().rposition(|c| *c == '1').unwrap();
    assert!(under[at] == '┬' || under[at] == '─', "{text}");
    assert!(text.contains("an int"));
}

#[test]
fn several_sources_notes_and_hint() {
    let (mut sources, id) = one("f(1)\n");
    let other = sources.add("b.dl", "\n\nfn f(x: str) = x\n");
    let d = Diagnostic::error("E0301", "wrong argument")
        .also(span_of(&sources, other, "x: str"), "declared here")
        .at(span_of(&sources, id, "1"), "an int")
        .note("in f, called at a.dl:1:1")
        .help("write \"1\"");
    let text = render(&d, &sources, STYLE);
    let a = text.find("a.dl:1:3").unwrap();
    let b = text.find("b.dl:3:6").unwrap();
    assert!(a < b, "the primary place comes first\n{text}");
    assert!(text.contains("\n  in f, called at a.dl:1:1\n"), "{text}");
    assert!(text.ends_with("hint: write \"1\"\n"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn colour_only_if_asked() {
    let (sources, id) = one("x\n");
    let d = Diagnostic::error("E0201", "no `x`").at(span_of(&sources, id, "x"), "");
    assert!(!render(&d, &sources, STYLE).contains('\u{1b}'));
    assert!(render(&d, &sources, Style { color: true, ..STYLE }).contains('\u{1b}'));
}

#[test]
fn endless_lines_are_clipped_and_the_column_stays_true() {
    let (sources, id) = one(&format!("{} + bad + {}", "1".repeat(5000), "2".repeat(5000)));
    let d = Diagnostic::error("E0201", "no `bad`").at(span_of(&sources, id, "bad"), "not found");
    let text = render(&d, &sources, STYLE);
    assert!(text.contains("a.dl:1:5004 "), "{text}");
    assert!(text.lines().all(|l| l.chars().count() < 130), "{text}");
    assert!(text.contains("bad"));
}

#[test]
fn odd_places_and_characters_do_no_harm() {
    for text in ["", "\n", "x", "x\n", "a\tb\u{1b}[31m\r\n", "\u{202e}evil\n", "漢字 = 1\n\u{c}\u{2028}x", "é"] {
        let (sources, id) = one(text);
        for start in 0..=text.len() + 2 {
            for end in start..=text.len() + 3 {
                let d = Diagnostic::warning("W0001", "a\nb").at(Span::new(id, start, end), "m\u{1b}n");
                let drawn = render(&d, &sources, STYLE);
                assert!(!drawn.contains('\u{1b}') && drawn.contains("a.dl:"), "{drawn}");
                plain::render(&d, &sources);
                json::render(&d, &sources);
            }
        }
    }
}

#[test]
fn a_span_of_several_lines() {
    let (sources, id) = one("fn f(x) {\n  x\n  y\n}\nf(1)\n");
    let d =
        Diagnostic::error("E0401", "stopped").at(span_of(&sources, id, "fn f(x) {\n  x\n  y\n}\n"), "this function");
    let text = render(&d, &sources, STYLE);
    assert!(text.contains("fn f(x) {") && text.contains("this function"), "{text}");
    assert!(text.contains("4 │"), "{text}");
}

#[test]
fn no_more_than_twenty() {
    let (sources, id) = one("x\n");
    let d = Diagnostic::error("E0201", "no `x`").at(span_of(&sources, id, "x"), "");
    let text = render_all(&vec![d; 33], &sources, STYLE);
    assert_eq!(text.matches("error[E0201]").count(), SHOWN);
    assert!(text.contains("... and 13 more"), "{text}");
}

#[test]
fn plain_is_one_line_each() {
    let (sources, id) = one("a\nbad\n");
    let d = Diagnostic::error("E0201", "no `bad`").at(span_of(&sources, id, "bad"), "not found").help("define it");
    assert_eq!(
        plain::render(&d, &sources),
        "a.dl:2:1: error[E0201]: no `bad`\n  a.dl:2:1: not found\n  hint: define it\n"
    );
}

#[test]
fn sentences_are_broken_at_the_width_of_the_terminal() {
    let (sources, id) = one("x\n");
    let long = "one two three four five six seven eight nine ten eleven twelve";
    let d = Diagnostic::error("E0201", long).at(span_of(&sources, id, "x"), "").note(long).help(long);
    let text = render(&d, &sources, Style { wrap: Some(40), ..STYLE });
    assert!(text.lines().all(|l| l.chars().count() <= 40), "{text}");
    assert!(text.contains("hint: one two three four five six seven\n      eight nine"), "{text}");
    let unbroken = render(&d, &sources, STYLE);
    assert_eq!(unbroken.matches(long).count(), 3, "{unbroken}");
}
