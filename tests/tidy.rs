//! The house rules that a machine can see: file sizes, heads, no unfinished marks.

use std::path::{Path, PathBuf};

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(dir).unwrap().flatten().map(|e| e.path()) {
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

#[test]
fn sources_are_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![];
    files(&root.join("src"), &mut all);
    files(&root.join("stdlib"), &mut all);
    let mut problems = vec![];
    for path in &all {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(root).unwrap().display();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
        if code.lines().count() > 800 {
            problems.push(format!("{name} has {} lines", code.lines().count()));
        }
        let head = if path.extension().is_some_and(|e| e == "rs") { "//!" } else { "##" };
        if !text.starts_with(head) {
            problems.push(format!("{name} does not begin with {head}"));
        }
        let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("dbg", "!(")];
        problems.extend(marks.iter().filter(|m| text.contains(**m)).map(|m| format!("{name} has {m}")));
    }
    assert!(all.len() > 50);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
