//! The library modules, inside the binary.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use rustc_hash::FxHashMap;

macro_rules! modules {
    ($($name:literal,)*) => { &[$(($name, include_str!(concat!("../stdlib/", $name, ".dl")))),*] };
}

/// Name and text of each module.
const MODULES: &[(&str, &str)] = modules![
    "activation",
    "attention",
    "augment",
    "bijectors",
    "convolution",
    "data",
    "debug",
    "discrete",
    "distributions",
    "init",
    "io",
    "linalg",
    "loss",
    "mcmc",
    "metrics",
    "minimize",
    "nn",
    "normalization",
    "ode",
    "optim",
    "prob",
    "progress",
    "random",
    "recurrent",
    "rl",
    "sde",
    "soft",
    "special",
    "text",
    "vi",
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

/// True if modules come from elsewhere, which may import what they like.
pub fn is_overridden() -> bool {
    folder().is_some()
}

/// Names of all library modules.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

/// Modules that other library modules import, with those.
const SHARED: &[(&str, &[&str])] = &[
    ("activation", &["nn"]),
    ("attention", &["nn"]),
    ("bijectors", &["prob"]),
    ("convolution", &["nn"]),
    ("data", &["text"]),
    ("discrete", &["distributions", "prob"]),
    ("distributions", &["prob"]),
    ("init", &["convolution", "nn", "recurrent"]),
    ("linalg", &["distributions", "mcmc", "minimize", "vi"]),
    ("loss", &["metrics"]),
    ("mcmc", &["prob", "vi"]),
    ("nn", &["rl"]),
    ("normalization", &["nn"]),
    ("ode", &["sde"]),
    ("optim", &["vi"]),
    ("random", &["discrete", "distributions"]),
    ("recurrent", &["nn"]),
    ("special", &["discrete", "distributions", "mcmc", "random"]),
    ("vi", &["prob"]),
];

/// The library as a program sees it: modules without what it cannot need.
pub struct Lean {
    program: String,
    made: RefCell<FxHashMap<String, Option<Rc<str>>>>,
}

impl Lean {
    /// For the text of a program, with those of all its files.
    pub fn new(program: String) -> Lean {
        Lean { program, made: RefCell::default() }
    }

    /// The text of a module; `None` if the program does not import it, neither itself nor by other modules.
    pub fn text(&self, name: &str) -> Option<Rc<str>> {
        if let Some(made) = self.made.borrow().get(name) {
            return made.clone();
        }
        let importers = SHARED.iter().find(|(shared, _)| *shared == name).map_or(&[][..], |(_, by)| by);
        let importers: Vec<Rc<str>> = importers.iter().filter_map(|by| self.text(by)).collect();
        let used = !importers.is_empty() || words(&self.program).any(|word| word == name);
        let whole = text(name).filter(|_| used);
        let users = importers.iter().map(|text| &**text).chain([self.program.as_str()]);
        let made: Option<Rc<str>> = whole.as_ref().map(|whole| needed(whole, users).into());
        self.made.borrow_mut().insert(name.into(), made.clone());
        made
    }
}

/// A library module's text without the functions and structs that its users cannot need: blanks stand for them, so that
/// places stay. A declaration is needed if its name occurs in the text of a user or in one that is needed.
fn needed<'a>(module: &'a str, users: impl Iterator<Item = &'a str>) -> String {
    let declarations = declarations(module);
    let mut kept = vec![false; declarations.len()];
    let mut unseen: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
    let mut unread: Vec<&str> = users.collect();
    for (i, (name, text)) in declarations.iter().enumerate() {
        match name {
            Some(name) => unseen.entry(name).or_default().push(i),
            None => {
                kept[i] = true;
                unread.push(text);
            }
        }
    }
    while let Some(text) = unread.pop() {
        for i in words(text).filter_map(|word| unseen.remove(word)).flatten() {
            kept[i] = true;
            unread.push(declarations[i].1);
        }
    }
    let mut out = String::with_capacity(module.len());
    for ((_, text), kept) in declarations.iter().zip(kept) {
        if kept {
            out.push_str(text);
        } else {
            for line in text.split_inclusive('\n') {
                let blanks = line.len() - usize::from(line.ends_with('\n'));
                out.extend(std::iter::repeat_n(' ', blanks));
                out.push_str(&line[blanks..]);
            }
        }
    }
    out
}

/// The pieces of a module, each from its doc comment to the next one's: with its name if it is a function, a struct, the
/// methods of one, an import of one name, or a test (which nothing needs).
fn declarations(text: &str) -> Vec<(Option<&str>, &str)> {
    let mut out: Vec<(Option<&str>, &str)> = vec![];
    let (mut start, mut at, mut name) = (0, 0, None);
    // Where the doc comment or attribute of the next declaration began.
    let mut comment = None;
    for line in text.split_inclusive('\n') {
        let head = ["fn ", "struct ", "impl "].iter().find_map(|word| line.strip_prefix(word));
        let head = head.map(|rest| words(rest).next().unwrap_or(""));
        let head = head.or(line.starts_with("test ").then_some("\"")).or_else(|| imported(line));
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

/// The name that a line `from module import name` binds, if it is one alone.
fn imported(line: &str) -> Option<&str> {
    let (_, names) = line.strip_prefix("from ")?.split_once(" import ")?;
    let mut found = words(names);
    let name = found.next()?;
    // After a comma at the end of the line the list goes on.
    (found.next().is_none() && !names.contains(',')).then_some(name)
}

/// Everything in it that might be a name.
fn words(text: &str) -> impl Iterator<Item = &str> {
    // By bytes, which is faster: those of other scripts count as letters.
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(|b| in_name(*b))?;
        at = bytes.get(start..)?.iter().position(|b| !in_name(*b)).map_or(bytes.len(), |n| start + n);
        text.get(start..at)
    })
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
        for (name, _) in MODULES {
            let imports = |text: &str| {
                text.lines().any(|line| {
                    let mut words = line.split_whitespace();
                    matches!(words.next(), Some("import" | "from")) && words.next() == Some(name)
                })
            };
            let by: Vec<&str> = MODULES.iter().filter(|(_, text)| imports(text)).map(|(by, _)| *by).collect();
            let listed = SHARED.iter().find(|(shared, _)| shared == name).map_or(&[][..], |(_, by)| by);
            assert_eq!(by, listed, "{name}");
        }
    }

    #[test]
    fn only_what_is_needed_stays() {
        let module = "## Module.\nimport x\n\n## One.\nfn one(a) {\n    two(a)\n}\n\n# two\nfn two(a) = a\n\n## B.\nstruct B { a }\n\nimpl B {\n    fn f(self) = one(1)\n}\ntest \"one\" { one(1) }\nlet k = 3\n";
        assert_eq!(declarations(module).iter().map(|d| d.1).collect::<String>(), module);
        let lean = needed(module, ["m.two(3)"].into_iter());
        assert_eq!((lean.len(), lean.lines().count()), (module.len(), module.lines().count()));
        assert!(lean.contains("fn two") && lean.contains("import x") && lean.contains("let k"));
        assert!(!lean.contains("fn one") && !lean.contains("B") && !lean.contains("test"));
        let all = needed(module, ["B"].into_iter());
        assert!(all.contains("fn one") && all.contains("fn two") && all.contains("impl B"));
        let imports = "from a import one\nfrom b import two,\n    three\nfrom c import four\nfn five() = four\n";
        let lean = needed(imports, ["five()"].into_iter());
        assert!(!lean.contains("one") && lean.contains("two,\n    three") && lean.contains("four"));
    }
}
