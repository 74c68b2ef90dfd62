//! The library modules, inside the binary.

use std::borrow::Cow;
use std::path::PathBuf;

use rustc_hash::FxHashSet;

/// Name and text of each module.
const MODULES: &[(&str, &str)] = &[
    ("data", include_str!("../stdlib/data.dl")),
    ("debug", include_str!("../stdlib/debug.dl")),
    ("init", include_str!("../stdlib/init.dl")),
    ("io", include_str!("../stdlib/io.dl")),
    ("linalg", include_str!("../stdlib/linalg.dl")),
    ("loss", include_str!("../stdlib/loss.dl")),
    ("metrics", include_str!("../stdlib/metrics.dl")),
    ("nn", include_str!("../stdlib/nn.dl")),
    ("optim", include_str!("../stdlib/optim.dl")),
    ("progress", include_str!("../stdlib/progress.dl")),
];

/// The text of a library module.
pub fn text(name: &str) -> Option<Cow<'static, str>> {
    if let Some(folder) = folder()
        && let Ok(text) = std::fs::read_to_string(folder.join(format!("{name}.dl")))
    {
        return Some(text.into());
    }
    MODULES.iter().find(|(n, _)| *n == name).map(|(_, text)| Cow::Borrowed(*text))
}

/// For work on the library itself: `DLANG_STDLIB` names a folder to take modules from, new ones too.
fn folder() -> Option<PathBuf> {
    std::env::var_os("DLANG_STDLIB").map(PathBuf::from)
}

/// Names of all library modules.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

/// Modules that other library modules import.
const SHARED: [&str; 1] = ["init"];

/// True if another library module imports it.
pub fn is_shared(name: &str) -> bool {
    SHARED.contains(&name) || folder().is_some()
}

/// A library module's text without the functions and structs that `program` cannot need: blanks stand for them, so that
/// places stay. A declaration is needed if its name occurs in the program or in one that is needed.
pub fn needed(module: &str, program: &str) -> String {
    let declarations = declarations(module);
    let mut wanted: FxHashSet<&str> = words(program).collect();
    let mut kept = vec![false; declarations.len()];
    loop {
        let mut changed = false;
        for ((name, text), kept) in declarations.iter().zip(&mut kept) {
            if !*kept && name.is_none_or(|name| wanted.contains(name)) {
                *kept = true;
                changed = true;
                wanted.extend(words(text));
            }
        }
        if !changed {
            break;
        }
    }
    let mut out = String::with_capacity(module.len());
    for ((_, text), kept) in declarations.iter().zip(kept) {
        if kept {
            out.push_str(text);
        } else {
            out.extend(text.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
        }
    }
    out
}

/// The pieces of a module, each from its doc comment to the next one's: with its name if it is a function, a struct, the
/// methods of one, or a test (which nothing needs).
fn declarations(text: &str) -> Vec<(Option<&str>, &str)> {
    let mut out: Vec<(Option<&str>, &str)> = vec![];
    let (mut start, mut at, mut name) = (0, 0, None);
    // Where the doc comment or attribute of the next declaration began.
    let mut comment = None;
    for line in text.split_inclusive('\n') {
        let head = ["fn ", "struct ", "impl "].iter().find_map(|word| line.strip_prefix(word));
        let head = head.map(|rest| words(rest).next().unwrap_or(""));
        let head = head.or(line.starts_with("test ").then_some("\""));
        let begins = line.starts_with(|c: char| c.is_ascii_alphabetic());
        if begins {
            let from = comment.take().unwrap_or(at);
            if from > start {
                out.push((name, &text[start..from]));
            }
            (start, name) = (from, head);
        } else if line.starts_with('#') {
            comment.get_or_insert(at);
        } else if !line.trim().is_empty() {
            comment = None;
        }
        at += line.len();
    }
    out.push((name, &text[start..]));
    out
}

/// Everything in it that might be a name.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// The module that offers a function or struct of this name.
pub fn home_of(name: &str) -> Option<&'static str> {
    if name.starts_with('_') || name.is_empty() {
        return None;
    }
    names().find(|module| {
        let offers = |line: &str| {
            let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("struct "));
            rest.and_then(|r| r.strip_prefix(name)).is_some_and(|r| r.starts_with(['(', ' ']))
        };
        text(module).is_some_and(|text| text.lines().any(offers))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_shared_modules_is_right() {
        let imports = |line: &str| {
            let mut words = line.split_whitespace();
            matches!(words.next(), Some("import" | "from")).then(|| words.next().unwrap_or("").to_string())
        };
        let mut shared: Vec<String> = MODULES.iter().flat_map(|(_, text)| text.lines().filter_map(imports)).collect();
        shared.sort();
        shared.dedup();
        assert_eq!(shared, SHARED);
    }

    #[test]
    fn only_what_is_needed_stays() {
        let module = "## Module.\nimport x\n\n## One.\nfn one(a) {\n    two(a)\n}\n\n# two\nfn two(a) = a\n\n## B.\nstruct B { a }\n\nimpl B {\n    fn f(self) = one(1)\n}\ntest \"one\" { one(1) }\nlet k = 3\n";
        assert_eq!(declarations(module).iter().map(|d| d.1).collect::<String>(), module);
        let lean = needed(module, "m.two(3)");
        assert_eq!((lean.len(), lean.lines().count()), (module.len(), module.lines().count()));
        assert!(lean.contains("fn two") && lean.contains("import x") && lean.contains("let k"));
        assert!(!lean.contains("fn one") && !lean.contains("B") && !lean.contains("test"));
        let all = needed(module, "B");
        assert!(all.contains("fn one") && all.contains("fn two") && all.contains("impl B"));
    }
}
