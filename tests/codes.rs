//! Error codes: the table, the pages in `docs/errors/` and the code literals in `src/` say the same, and the programs on
//! the pages do what the pages say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dlang::codes::CODES;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "tests.rs") {
            found.push(path);
        }
    }
}

/// The codes in double quotes in a text: `"E0301"`.
fn codes_in(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').filter(|part| {
        part.len() == 5 && part.starts_with(['E', 'W']) && part.chars().skip(1).all(|c| c.is_ascii_digit())
    })
}

fn codes_of_source() -> BTreeSet<String> {
    let mut files = vec![];
    rust_files(&root().join("src"), &mut files);
    let mut codes = BTreeSet::new();
    for file in files.iter().filter(|f| !f.ends_with("src/codes.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        codes.extend(codes_in(code).map(String::from));
    }
    codes
}

fn codes_of_table() -> BTreeSet<String> {
    CODES.iter().map(|c| c.code.to_string()).collect()
}

#[test]
fn the_search_finds_codes() {
    let found: Vec<&str> = codes_in("error(\"E0301\", \"E03\"), \"W0001\" \"E030x\"").collect();
    assert_eq!(found, ["E0301", "W0001"]);
}

#[test]
fn every_code_has_a_page() {
    let missing: Vec<_> = codes_of_source().difference(&codes_of_table()).cloned().collect();
    assert!(missing.is_empty(), "write docs/errors/CODE.md and list in src/codes.rs: {missing:?}");
}

#[test]
fn every_page_has_a_code() {
    let unused: Vec<_> = codes_of_table().difference(&codes_of_source()).cloned().collect();
    assert!(unused.is_empty(), "nothing in src/ gives these: {unused:?}");
    let pages: BTreeSet<String> = std::fs::read_dir(root().join("docs/errors"))
        .unwrap()
        .filter_map(|e| e.unwrap().path().file_stem().map(|s| s.to_string_lossy().into_owned()))
        .collect();
    assert_eq!(pages, codes_of_table(), "docs/errors and src/codes.rs differ");
}

/// The fenced programs of a page: whether to run it, and its text.
fn programs(page: &str) -> Vec<(bool, String)> {
    let mut found = vec![];
    let mut open: Option<(bool, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info == "dl", String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn pages_have_a_title_and_two_programs() {
    assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code), "the table is not sorted");
    for code in CODES {
        assert!(code.page.starts_with(&format!("# {}: ", code.code)) && !code.title().is_empty(), "{}", code.code);
        assert_eq!(programs(code.page).len(), 2, "{}: a wrong program and a right one", code.code);
    }
}

fn run(name: &str, program: &str) -> (i32, String) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.dl"));
    std::fs::write(&path, program).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dlang"))
        .args(["--message-format", "plain"])
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_programs_do_what_the_pages_say() {
    let mut wrong = vec![];
    for code in CODES {
        for (i, (runs, program)) in programs(code.page).iter().enumerate().filter(|(_, (runs, _))| *runs) {
            assert!(runs);
            let (status, said) = run(&format!("{}_{i}", code.code), program);
            let told = said.contains(&format!("[{}]", code.code));
            let fine = if i == 0 { told && (code.code.starts_with('W') || status == 1) } else { status == 0 && !told };
            if !fine {
                wrong.push(format!("{} program {}: status {status}\n{program}{said}", code.code, i + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n\n{}", wrong.len(), wrong.join("\n"));
}
