//! Golden tests: each file in `tests/golden/<suite>/*.dl` is a source text, then the expected output as trailing
//! lines that start with `#>` (an empty output line is a bare `#>`).
//!
//! The expected lines are cut off before the run. `DLANG_BLESS=1 cargo test --test golden` rewrites them;
//! `DLANG_GOLDEN=word` runs only the files whose path contains the word. A new file needs no registration, a new
//! suite one row in [`SUITES`].

use rustc_hash::FxHashMap as HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use dlang::diagnostic::Diagnostic;
use dlang::pipeline::{self, Options, Session};
use dlang::resolve::{Input, LoadedModule, Mode, ModuleId, Program, resolve};
use dlang::source::{SourceId, SourceMap};
use dlang::syntax;
use dlang::syntax::ast::{Import, StmtKind};
use dlang::types;

/// Makes the output from the source.
type Run = fn(&str) -> String;

/// Name of the folder, and what runs its files.
const SUITES: &[(&str, Run)] = &[
    ("lex", lex),
    ("parse", parse),
    ("syntax_error", syntax_error),
    ("check", check),
    ("bytecode", bytecode),
    ("run", run),
    ("grad", run),
    ("error", run),
    ("trap", run),
];

fn session() -> Session {
    let mut session = Session::new(Options {
        dtype: dlang::tensor::DType::F32,
        seed: 0,
        check_nan: false,
        profile: false,
        threads: 1,
    });
    session.vm.capture_output();
    session
}

/// What a program prints, then its errors and warnings.
fn run(text: &str) -> String {
    let mut session = session();
    let loaded = session.load_main("test.dl", text, pipeline::Mode::Script);
    let mut out = String::new();
    for d in &loaded.diagnostics {
        diagnostic_lines(&mut out, &session.sources, d);
    }
    let Some(unit) = loaded.unit else { return out };
    let result = session.run(&unit);
    out += &session.vm.take_output();
    if let Err(error) = result {
        let diagnostic = error.to_diagnostic(|span| session.sources.place(span));
        diagnostic_lines(&mut out, &session.sources, &diagnostic);
    }
    out
}

/// The code of a program's functions.
fn bytecode(text: &str) -> String {
    let mut session = session();
    match session.dump(pipeline::Phase::Bytecode, "test.dl", text) {
        Ok(dump) => dump,
        Err(problems) => {
            let mut out = String::new();
            problems.iter().for_each(|d| diagnostic_lines(&mut out, &session.sources, d));
            out
        }
    }
}

fn sources(text: &str) -> (SourceMap, SourceId) {
    let mut map = SourceMap::default();
    let id = map.add("test.dl", text);
    (map, id)
}

fn lex(text: &str) -> String {
    let (map, id) = sources(text);
    let (tokens, problems) = syntax::tokens(id, text);
    let mut out = syntax::dump::tokens(&tokens, |span| map.get(span.source).line_col(span.start));
    out += &problem_lines(&map, &problems);
    out
}

fn parse(text: &str) -> String {
    let (map, id) = sources(text);
    let parsed = syntax::parse(id, text);
    problem_lines(&map, &parsed.problems) + &syntax::dump::module(&parsed.module)
}

fn syntax_error(text: &str) -> String {
    let (map, id) = sources(text);
    let parsed = syntax::parse(id, text);
    let mut out = problem_lines(&map, &parsed.problems);
    if parsed.problems.is_empty() {
        out += "no problems\n";
    }
    if parsed.incomplete {
        out += "more input could make it right\n";
    }
    out
}

/// A module with what it imports from `stdlib/`, resolved; problems of the main one are printed.
fn load(program: &mut Program, map: &mut SourceMap, name: &str, text: &str, mode: Mode, out: &mut String) -> ModuleId {
    let source = map.add(if mode == Mode::Script { "test.dl".to_string() } else { format!("{name}.dl") }, text);
    let parsed = syntax::parse(source, text);
    let mut imports = HashMap::default();
    for stmt in &parsed.module.stmts {
        let StmtKind::Import(Import::Module { path, .. } | Import::Names { path, .. }) = &stmt.kind else { continue };
        let known = program.modules.iter().find(|m| *m.name == *path.path).map(|m| m.id);
        let id = known.unwrap_or_else(|| {
            let text = fs::read_to_string(root().join(format!("stdlib/{}.dl", path.path))).unwrap_or_default();
            load(program, map, &path.path, &text, Mode::Imported, out)
        });
        imports.insert(path.span, id);
    }
    let id = ModuleId(program.modules.len() as u32);
    let is_library = mode == Mode::Imported;
    let outer = HashMap::default();
    let tree = Rc::new(parsed.module);
    let input = Input { tree: &tree, id, mode, is_library, program, imports: &imports, outer: &outer };
    let (resolved, problems) = resolve(input);
    for problem in &parsed.problems {
        diagnostic_lines(out, map, &problem.to_diagnostic());
    }
    for problem in &problems {
        diagnostic_lines(out, map, &problem.to_diagnostic());
    }
    let resolved = Rc::new(resolved);
    program.modules.push(Rc::new(LoadedModule { id, name: name.into(), source, is_library, tree, resolved }));
    id
}

/// What the checker says; then the types of the top-level names.
fn check(text: &str) -> String {
    let (mut program, mut map, mut out) = (Program::default(), SourceMap::default(), String::new());
    let main = load(&mut program, &mut map, "<main>", text, Mode::Script, &mut out);
    let checked = types::check(&program, main);
    for d in &checked.diagnostics {
        diagnostic_lines(&mut out, &map, d);
    }
    out += &checked.signatures;
    out
}

fn diagnostic_lines(out: &mut String, map: &SourceMap, d: &Diagnostic) {
    let _ = writeln!(out, "{} {}", d.code, d.message);
    for label in &d.labels {
        let source = map.get(label.span.source);
        let (line, column) = source.line_col(label.span.start);
        let mark = if label.primary { "at" } else { "see" };
        let shown = map.text(label.span).escape_debug();
        // Lines of the library move with every edit of it.
        let place = match &*source.name {
            "test.dl" => format!("{line}:{column}"),
            library if library.starts_with("<stdlib>") => format!("{library}:_"),
            file => format!("{file}:{line}:{column}"),
        };
        let _ = writeln!(out, "  {mark} {place} `{shown}`: {}", label.message);
    }
    for note in &d.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    if let Some(help) = &d.help {
        let _ = writeln!(out, "  help: {help}");
    }
}

fn problem_lines(map: &SourceMap, problems: &[syntax::error::SyntaxError]) -> String {
    let mut out = String::new();
    for problem in problems {
        let d = problem.to_diagnostic();
        let _ = writeln!(out, "{} {}", d.code, d.message);
        for label in &d.labels {
            let source = map.get(label.span.source);
            let (line, column) = source.line_col(label.span.start);
            let mark = if label.primary { "at" } else { "see" };
            let shown = map.text(label.span).escape_debug();
            let _ = writeln!(out, "  {mark} {line}:{column} `{shown}`: {}", label.message);
        }
        for note in &d.notes {
            let _ = writeln!(out, "  note: {note}");
        }
        if let Some(help) = &d.help {
            let _ = writeln!(out, "  help: {help}");
        }
    }
    out
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// All `.dl` files under a folder, sorted.
fn dl_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return vec![] };
    let mut files = vec![];
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            files.extend(dl_files(&path));
        } else if path.extension().is_some_and(|e| e == "dl") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Source and expected output of a golden file.
fn split(content: &str) -> (String, String) {
    let lines: Vec<&str> = content.lines().collect();
    let source_len = lines.iter().rposition(|l| !l.starts_with("#>")).map_or(0, |i| i + 1);
    let source: String = lines[..source_len].iter().flat_map(|l| [l, "\n"]).collect();
    let expected = lines[source_len..].iter().flat_map(|l| [l.strip_prefix("#> ").unwrap_or(&l[2..]), "\n"]).collect();
    (source, expected)
}

fn join(source: &str, output: &str) -> String {
    let mut content = source.to_string();
    for line in output.lines() {
        content += if line.is_empty() { "#>" } else { "#> " };
        content += line;
        content.push('\n');
    }
    content
}

/// The lines that differ, with the equal ones around them.
fn diff(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    // Lengths of the longest common subsequences of all pairs of tails.
    let mut table = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            table[i][j] = if old[i] == new[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            let _ = writeln!(out, "    {}", old[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && table[i + 1][j] >= table[i][j + 1]) {
            let _ = writeln!(out, "  - {}", old[i]);
            i += 1;
        } else {
            let _ = writeln!(out, "  + {}", new[j]);
            j += 1;
        }
    }
    out
}

#[test]
fn golden() {
    // Without formulas `one_by_one_it_is_the_same` runs them, but for the bytecode, which then is another.
    dlang::compile::set_fusion(true);
    let bless = std::env::var_os("DLANG_BLESS").is_some_and(|v| v == "1");
    let filter = std::env::var("DLANG_GOLDEN").unwrap_or_default();
    let mut failures = String::new();
    let mut count = 0;
    for (suite, run) in SUITES {
        let files = dl_files(&root().join("tests/golden").join(suite));
        assert!(!files.is_empty(), "the suite {suite} has no files");
        for path in files.iter().filter(|p| p.to_string_lossy().contains(&filter)) {
            let content = fs::read_to_string(path).unwrap();
            let (source, expected) = split(&content);
            // Where this folder lies on the machine is no part of a message.
            let output = run(&source).replace(root().to_str().unwrap(), "<root>");
            // Compared as the file would hold it: a final line break more or less is no difference.
            let (wanted, got) = (join(&source, &expected), join(&source, &output));
            count += 1;
            if bless && content != got {
                fs::write(path, got).unwrap();
            } else if wanted != got {
                let _ = writeln!(failures, "{}:\n{}", path.display(), diff(&expected, &output));
            }
        }
    }
    assert!(failures.is_empty(), "(- expected, + actual; DLANG_BLESS=1 accepts)\n{failures}");
    println!("{count} golden files");
}

/// What a program prints does not depend on whether expressions become formulas.
#[test]
fn one_by_one_it_is_the_same() {
    dlang::compile::set_fusion(false);
    let code = bytecode("fn f(x, y) = x * y + sin(x) / y\n");
    assert!(!code.contains("Formula"), "{code}");
    let (mut failures, mut count) = (String::new(), 0);
    for (suite, run) in SUITES.iter().filter(|(suite, _)| ["run", "grad", "error", "trap"].contains(suite)) {
        for path in dl_files(&root().join("tests/golden").join(suite)) {
            let (source, expected) = split(&fs::read_to_string(&path).unwrap());
            let output = run(&source).replace(root().to_str().unwrap(), "<root>");
            count += 1;
            if join(&source, &expected) != join(&source, &output) {
                let _ = writeln!(failures, "{}:\n{}", path.display(), diff(&expected, &output));
            }
        }
    }
    assert!(count > 0 && failures.is_empty(), "(- with formulas, + without)\n{failures}");
}

/// Parse, print, parse: the same tree.
#[test]
fn printing_round_trips() {
    let mut failures = String::new();
    let mut count = 0;
    for folder in ["tests/golden", "stdlib", "examples"] {
        for path in dl_files(&root().join(folder)) {
            let (text, _) = split(&fs::read_to_string(&path).unwrap());
            let first = syntax::parse(SourceId(0), &text);
            if !first.problems.is_empty() {
                continue;
            }
            count += 1;
            let printed = syntax::print::module(&first.module);
            let second = syntax::parse(SourceId(0), &printed);
            let (before, after) = (syntax::dump::module(&first.module), syntax::dump::module(&second.module));
            let (map, _) = sources(&printed);
            if !second.problems.is_empty() {
                let problems = problem_lines(&map, &second.problems);
                let _ = writeln!(failures, "{}: the printed text has problems\n{problems}\n{printed}", path.display());
            } else if before != after {
                let _ = writeln!(failures, "{}:\n{}\n{printed}", path.display(), diff(&before, &after));
            }
            if syntax::print::module(&second.module) != printed {
                let _ = writeln!(failures, "{}: printing twice differs", path.display());
            }
        }
    }
    assert!(count > 0, "no file to try");
    assert!(failures.is_empty(), "{failures}");
}

/// Codes without a golden program, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("E0217", "the program would have 100,000 lines"),
    ("E0400", "it says that dlang itself has a mistake"),
    ("E0421", "it names the memory of the machine"),
    ("E0430", "it takes gigabytes to record so many operations"),
    ("E0502", "who runs the tests may be allowed to read everything"),
];

/// Every code has a program whose message was read.
#[test]
fn every_code_has_a_program() {
    let mut told = std::collections::BTreeSet::new();
    for (suite, _) in SUITES {
        for path in dl_files(&root().join("tests/golden").join(suite)) {
            let (_, expected) = split(&fs::read_to_string(path).unwrap());
            let is_code =
                |w: &&str| w.len() == 5 && w.starts_with(['E', 'W']) && w[1..].bytes().all(|b| b.is_ascii_digit());
            told.extend(expected.lines().filter_map(|l| l.split(' ').next().filter(is_code)).map(str::to_string));
        }
    }
    let codes = || dlang::codes::CODES.iter().map(|c| c.code);
    let excused = |code: &str| NOT_HERE.iter().any(|(c, _)| *c == code);
    let missing: Vec<&str> = codes().filter(|c| !told.contains(*c) && !excused(c)).collect();
    assert!(missing.is_empty(), "no golden program gives {missing:?}");
    let needless: Vec<&str> = NOT_HERE.iter().map(|(c, _)| *c).filter(|c| told.contains(*c)).collect();
    assert!(needless.is_empty(), "{needless:?} have a program by now");
    let unknown: Vec<&String> = told.iter().filter(|c| !codes().any(|k| k == **c)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no codes");
}

#[test]
fn the_harness_notices_a_difference() {
    let (source, expected) = split("let x = 1\n#> one\n#>\n#> two\n");
    assert_eq!((source.as_str(), expected.as_str()), ("let x = 1\n", "one\n\ntwo\n"));
    assert_eq!(join(&source, &expected), "let x = 1\n#> one\n#>\n#> two\n");
    assert_eq!(diff("a\nb\nc\n", "a\nc\nd\n"), "    a\n  - b\n    c\n  + d\n");
}
