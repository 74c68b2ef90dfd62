//! `docs/reference/library.md` lists the public names of the library, written from its doc comments; `DLANG_BLESS=1`
//! writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Modules that pass on the names of others, which are parts of them.
const WHOLES: [(&str, &[&str]); 6] = [
    ("data", &["tables"]),
    (
        "nn",
        &["activation", "attention", "composition", "convolution", "distances", "images", "normalization", "recurrent"],
    ),
    ("ode", &["integrators"]),
    ("optim", &["adaptive", "schedules", "wrappers"]),
    (
        "prob",
        &[
            "bijectors",
            "bounded",
            "circular",
            "compound",
            "counts",
            "diagnostics",
            "discrete",
            "distributions",
            "location_scale",
            "mcmc",
            "multivariate",
            "outcomes",
            "vi",
        ],
    ),
    ("rl", &["environments", "off_policy"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

#[derive(Default)]
struct Module {
    /// The first sentence of its head.
    doc: String,
    /// Public functions, structs and constants, in the order of the file.
    items: Vec<Item>,
    /// Module and name of what is imported by name.
    imports: Vec<(String, String)>,
}

#[derive(Clone)]
struct Item {
    name: String,
    /// How it is written where it is used: `adam(params, lr)`, `Dense.new(inputs, outputs)`.
    use_form: String,
    doc: String,
    methods: Vec<String>,
}

/// The word that `line` declares after `keyword`.
fn declared<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(keyword)?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| !name.is_empty())
}

/// The names of parameters or fields of a list that begins at the first `open` of `text`.
fn names_in(text: &str, open: char) -> Vec<String> {
    let close = if open == '(' { ')' } else { '}' };
    let (mut depth, mut in_comment, mut parts) = (0, false, vec![String::new()]);
    for c in text.chars() {
        match c {
            '\n' => in_comment = false,
            '#' => in_comment = true,
            _ if in_comment => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 1 => parts.push(String::new()),
            _ if depth > 0 => parts.last_mut().unwrap().push(c),
            _ => {}
        }
        if c == close && depth == 0 {
            break;
        }
    }
    let words = parts.iter().map(|part| part.trim().trim_start_matches("inout ").trim_start_matches("nograd ").trim());
    let names = words.filter_map(|part| declared(part, "")).map(str::to_string);
    names.filter(|name| name != "self" && !name.starts_with('_')).collect()
}

/// The first sentence of a doc comment, its lines joined.
fn first_sentence(doc: &[&str]) -> String {
    let paragraph: Vec<&str> = doc.iter().copied().take_while(|l| !l.is_empty() && !l.starts_with("```")).collect();
    let text = paragraph.join(" ");
    // A point ends the sentence where a new one begins after it.
    let end = text.match_indices(". ").find(|(i, _)| {
        let next = text[i + 2..].chars().next();
        let before = text[..*i].rsplit(' ').next().unwrap_or("");
        next.is_some_and(|c| c.is_uppercase() || c == '`') && before.len() > 1
    });
    end.map_or(text.clone(), |(i, _)| text[..=i].to_string())
}

fn read(text: &str) -> Module {
    let mut module = Module::default();
    let lines: Vec<&str> = text.lines().collect();
    let mut doc: Vec<&str> = vec![];
    let mut in_impl: Option<String> = None;
    for (at, line) in lines.iter().enumerate() {
        let rest = || lines[at..].join("\n");
        if let Some(comment) = line.trim_start().strip_prefix("##") {
            doc.push(comment.trim());
            continue;
        }
        if at > 0 && module.doc.is_empty() && line.is_empty() && !doc.is_empty() {
            module.doc = first_sentence(&doc);
        }
        if let Some(name) = declared(line, "impl ") {
            in_impl = Some(name.to_string());
        } else if let (Some(name), Some(owner)) = (declared(line, "    fn "), &in_impl) {
            if let Some(item) = module.items.iter_mut().find(|item| item.name == *owner) {
                if name == "new" {
                    item.use_form = format!("{owner}.new({})", names_in(&rest(), '(').join(", "));
                } else if !name.starts_with('_') && name != "call" {
                    item.methods.push(name.to_string());
                }
            }
        } else if let Some(name) = declared(line, "struct ") {
            let fields = if line.contains("{}") { vec![] } else { names_in(&rest(), '{') };
            module.add(name, format!("{name}({})", fields.join(", ")), &doc);
        } else if let Some(name) = declared(line, "fn ") {
            module.add(name, format!("{name}({})", names_in(&rest(), '(').join(", ")), &doc);
        } else if let Some(name) = declared(line, "let ") {
            module.add(name, name.to_string(), &doc);
        } else if let Some(from) = declared(line, "from ") {
            let names = line.split("import").nth(1).unwrap_or("").split('#').next().unwrap_or("");
            module.imports.extend(names.split(',').map(|name| (from.to_string(), name.trim().to_string())));
        }
        if *line == "}" {
            in_impl = None;
        }
        doc.clear();
    }
    module
}

impl Module {
    /// What the module `name` passes on of its parts.
    fn passed_on(&self, name: &str) -> Vec<&(String, String)> {
        let parts = WHOLES.iter().find(|(whole, _)| *whole == name).map_or(&[] as &[&str], |(_, parts)| parts);
        self.imports.iter().filter(|(from, _)| parts.contains(&from.as_str())).collect()
    }

    fn add(&mut self, name: &str, use_form: String, doc: &[&str]) {
        if !name.starts_with('_') {
            let doc = first_sentence(doc);
            // What a function makes is not made by its fields.
            let use_form = if doc.contains("; made by `") { name.to_string() } else { use_form };
            self.items.push(Item { name: name.to_string(), use_form, doc, methods: vec![] });
        }
    }
}

fn modules() -> BTreeMap<String, Module> {
    let files = std::fs::read_dir(root().join("stdlib")).unwrap().flatten().map(|e| e.path());
    let files = files.filter(|f| f.extension().is_some_and(|e| e == "dl"));
    let named = files.map(|f| {
        let text = std::fs::read_to_string(&f).unwrap();
        (f.file_stem().unwrap().to_string_lossy().into_owned(), read(&text))
    });
    named.collect()
}

fn written(modules: &BTreeMap<String, Module>) -> String {
    let listed_elsewhere: BTreeSet<&(String, String)> =
        modules.iter().flat_map(|(name, m)| m.passed_on(name)).collect();
    let mut contents = String::new();
    let mut sections = String::new();
    for (name, module) in modules {
        let own =
            module.items.iter().filter(|item| !listed_elsewhere.contains(&(name.clone(), item.name.clone()))).cloned();
        let others = module.passed_on(name).into_iter().filter_map(|(from, item)| {
            modules.get(from).and_then(|m| m.items.iter().find(|i| i.name == *item)).cloned()
        });
        let items: Vec<Item> = own.chain(others).collect();
        // A part of another module has nothing left to list.
        if items.is_empty() {
            continue;
        }
        let _ = writeln!(contents, "- [`{name}`](#{name}) · {}", module.doc);
        let _ = write!(sections, "\n## {name}\n\n");
        for item in items {
            let _ = write!(sections, "- `{name}.{}` · {}", item.use_form, item.doc);
            if !item.methods.is_empty() {
                let _ = write!(sections, " Methods: `{}`.", item.methods.join("`, `"));
            }
            sections.push('\n');
        }
    }
    format!(
        "# The library\n\nWritten from the doc comments in `stdlib/`; not by hand. Each name has more to tell there, with examples; \
         [builtins](builtins.md) need no import.\n\n{contents}{sections}"
    )
}

#[test]
fn the_list_of_the_library_is_fresh() {
    let text = written(&modules());
    let path = root().join("docs/reference/library.md");
    if std::env::var_os("DLANG_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == text, "{} is out of date; DLANG_BLESS=1 writes it anew", path.display());
}

/// Every public name of the library says what it is.
#[test]
fn every_name_of_the_library_has_a_doc() {
    let modules = modules();
    let items =
        modules.iter().flat_map(|(name, m)| m.items.iter().map(move |i| (format!("{name}.{}", i.name), &i.doc)));
    let silent: Vec<String> = items.filter(|(_, doc)| doc.len() < 10).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "{silent:?}");
    let headless: Vec<&String> = modules.iter().filter(|(_, m)| m.doc.len() < 10).map(|(name, _)| name).collect();
    assert!(headless.is_empty(), "{headless:?}");
}

#[test]
fn names_and_sentences_are_found() {
    let module = read(
        "## A module. With more.\n\n## Adds. Twice.\n##\n## More.\nfn add(\n    a: float[n, m],   # (first\n    b = (1, 2)\n) -> float {\n}\n\
         fn _hidden() = 1\n## A thing.\nstruct Thing { x: float, nograd y: int = f(1, 2) }\nimpl Thing {\n    fn new(n: int) -> Thing = 1\n    \
         fn run(inout self) = 2\n}\nfrom other import one, two   # why\n",
    );
    assert_eq!(module.doc, "A module.");
    let forms: Vec<(&str, &str)> = module.items.iter().map(|i| (i.use_form.as_str(), i.doc.as_str())).collect();
    assert_eq!(forms, [("add(a, b)", "Adds."), ("Thing.new(n)", "A thing.")]);
    assert_eq!(module.items[1].methods, ["run"]);
    assert_eq!(module.imports, [("other".into(), "one".into()), ("other".into(), "two".into())]);
}
