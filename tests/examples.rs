//! Each program in `examples/` runs and prints what `tests/golden/examples/NAME.out` says. A first line
//! `tolerance T` there lets numbers differ by T, relative to the larger one and absolute below 1: sums are rounded
//! differently by different processors. `DLANG_BLESS=1` rewrites the files.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Text between numbers, and the numbers.
fn parts(line: &str) -> (Vec<String>, Vec<f64>) {
    let mut words = vec![];
    let mut numbers = vec![];
    for word in line.split_inclusive(|c: char| c.is_whitespace() || "(),[]%:=".contains(c)) {
        let core = word.trim_end_matches(|c: char| c.is_whitespace() || "(),[]%:=".contains(c));
        match core.parse::<f64>() {
            Ok(x) => {
                numbers.push(x);
                words.push("0".into());
            }
            Err(_) => words.push(core.to_string()),
        }
    }
    words.retain(|w| !w.is_empty());
    (words, numbers)
}

/// The shades of a row of a picture, `| .:-=+*#%@|`.
fn shades(line: &str) -> Option<Vec<usize>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    row.chars().map(|c| " .:-=+*#%@".find(c)).collect()
}

fn lines_agree(expected: &str, actual: &str, tolerance: f64) -> bool {
    if let (Some(row), Some(other)) = (shades(expected), shades(actual)) {
        return row.len() == other.len() && row.iter().zip(&other).all(|(p, q)| p.abs_diff(*q) <= 1);
    }
    let ((words, numbers), (other_words, others)) = (parts(expected), parts(actual));
    words == other_words
        && numbers.iter().zip(&others).all(|(p, q)| (p - q).abs() <= tolerance * p.abs().max(q.abs()).max(1.0))
}

fn agree(expected: &str, actual: &str, tolerance: f64) -> bool {
    if tolerance == 0.0 {
        return expected == actual;
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| lines_agree(x, y, tolerance))
}

#[test]
fn examples_print_what_they_should() {
    let bless = std::env::var_os("DLANG_BLESS").is_some_and(|v| v == "1");
    let mut failures = vec![];
    let mut count = 0;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join("examples")).unwrap().flatten().map(|e| e.path()).collect();
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "dl")) {
        count += 1;
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let scratch = std::env::temp_dir().join(format!("dlang-example-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        let relative = format!("examples/{name}.dl");
        let output = Command::new(env!("CARGO_BIN_EXE_dlang"))
            .arg(&relative)
            .env("TMPDIR", &scratch)
            .current_dir(root())
            .output()
            .unwrap();
        std::fs::remove_dir_all(&scratch).unwrap();
        let actual = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            failures.push(format!("{relative}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
            continue;
        }
        let golden = root().join(format!("tests/golden/examples/{name}.out"));
        let content = std::fs::read_to_string(&golden).unwrap_or_default();
        let head = content.lines().next().and_then(|l| l.strip_prefix("tolerance ")).map(str::to_string);
        let tolerance: f64 = head.as_ref().map_or(0.0, |t| t.parse().unwrap());
        let expected = if head.is_some() { content.split_once('\n').map_or("", |(_, rest)| rest) } else { &content };
        if bless {
            let head = head.map(|t| format!("tolerance {t}\n")).unwrap_or_default();
            std::fs::write(&golden, format!("{head}{actual}")).unwrap();
        } else if !agree(expected, &actual, tolerance) {
            failures.push(format!("{relative}: expected\n{expected}\nprinted\n{actual}"));
        }
    }
    assert!(count >= 7, "only {count} examples");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn comparison_can_fail() {
    assert!(agree("loss 1.00 at 3\n", "loss 1.01 at 3\n", 0.02));
    assert!(!agree("loss 1.00 at 3\n", "loss 1.10 at 3\n", 0.02));
    assert!(!agree("loss 1.00 at 3\n", "cost 1.00 at 3\n", 0.02));
    assert!(!agree("a\n", "a\nb\n", 0.02));
    assert!(agree("|.:@ |\n", "| -%.|\n", 0.02));
    assert!(!agree("|.:@ |\n", "|.:# |\n", 0.02));
    assert!(!agree("|.:@ |\n", "|.:@|\n", 0.02));
}
