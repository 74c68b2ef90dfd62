//! Fenced `dl` blocks of the docs and of the library's doc comments are programs that run. Lines `#> ...` at the end of
//! a block are what it prints; a block fenced `dl,error` must fail; one fenced `dl no-run` is only parsed.

use std::path::{Path, PathBuf};

use dlang::pipeline::{Mode, Options, Session};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

struct Block {
    place: String,
    info: String,
    text: String,
}

/// Fenced blocks of a text whose lines may be doc comments.
fn blocks(name: &str, text: &str, doc_comments: bool) -> Vec<Block> {
    let mut found = vec![];
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        let line = if doc_comments {
            match line.trim_start().strip_prefix("##") {
                Some(doc) => doc.strip_prefix(' ').unwrap_or(doc),
                None => {
                    open = None;
                    continue;
                }
            }
        } else {
            line
        };
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let place = format!("{name}:{}", number + 1);
                open = Some(Block { place, info: info.trim().to_string(), text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    found.retain(|b| b.info == "dl" || b.info.starts_with("dl,") || b.info.starts_with("dl "));
    found
}

/// What the block prints, or its errors.
fn run(text: &str) -> Result<String, String> {
    let mut session = Session::new(Options {
        dtype: dlang::tensor::DType::F32,
        seed: 0,
        check_nan: false,
        profile: false,
        threads: 1,
    });
    session.vm.capture_output();
    let loaded = session.load_main("block.dl", text, Mode::Script);
    let Some(unit) = loaded.unit else {
        let messages: Vec<String> = loaded.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect();
        return Err(messages.join("\n"));
    };
    match session.run(&unit) {
        Ok(_) => Ok(session.vm.take_output()),
        Err(error) => Err(format!("{} {}", error.0.code, error.0.message)),
    }
}

fn check(blocks: &[Block], failures: &mut Vec<String>) {
    for block in blocks {
        let lines: Vec<&str> = block.text.lines().collect();
        let last = lines.iter().rposition(|l| !l.starts_with("#>")).map_or(0, |i| i + 1);
        let expected: Vec<&str> = lines[last..].iter().map(|l| l[2..].strip_prefix(' ').unwrap_or(&l[2..])).collect();
        if block.info.contains("no-run") {
            continue;
        }
        match (run(&block.text), block.info.contains("error")) {
            (Ok(output), false) => {
                let actual: Vec<&str> = output.lines().collect();
                if !expected.is_empty() && actual != expected {
                    failures.push(format!("{}: printed\n{output}", block.place));
                }
            }
            (Err(_), true) => {}
            (Ok(_), true) => failures.push(format!("{}: should fail, and ran", block.place)),
            (Err(error), false) => failures.push(format!("{}: {error}", block.place)),
        }
    }
}

fn on_large_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn blocks_of_the_docs_run() {
    on_large_stack(|| {
        let mut failures = vec![];
        let mut count = 0;
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(root().join("docs")).unwrap().flatten().map(|e| e.path()).collect();
        files.push(root().join("README.md"));
        files.sort();
        for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "md")) {
            let text = std::fs::read_to_string(file).unwrap();
            let found = blocks(&file.display().to_string(), &text, false);
            count += found.len();
            check(&found, &mut failures);
        }
        assert!(count > 10, "only {count} blocks");
        assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    });
}

#[test]
fn examples_of_the_library_run() {
    on_large_stack(|| {
        let mut failures = vec![];
        let mut count = 0;
        for name in dlang::stdlib::names() {
            let text = dlang::stdlib::text(name).unwrap();
            let found = blocks(&format!("stdlib/{name}.dl"), &text, true);
            count += found.len();
            check(&found, &mut failures);
        }
        assert!(count > 10, "only {count} blocks");
        assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    });
}

/// A wrong block is noticed: the check can fail.
#[test]
fn a_wrong_block_is_noticed() {
    on_large_stack(|| {
        let mut failures = vec![];
        check(&blocks("x", "```dl\nprint(1)\n#> 2\n```\n```dl\nprint(y)\n```\n", false), &mut failures);
        assert_eq!(failures.len(), 2, "{failures:?}");
    });
}
