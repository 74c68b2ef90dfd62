//! Generates the parser from `grammar/dlang.lalrpop`, and the index of the library from `stdlib/`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;

#[path = "src/stdlib/scan.rs"]
mod scan;

use scan::Kind;

fn main() {
    println!("cargo:rerun-if-changed=grammar");
    println!("cargo:rerun-if-changed=stdlib");
    println!("cargo:rerun-if-changed=src/stdlib/scan.rs");
    // At an address that is known beforehand nothing has to be relocated, and fewer pages are touched, when a process starts.
    let target = |key: &str| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let result =
        lalrpop::Configuration::new().set_in_dir("grammar").set_out_dir(&out).emit_rerun_directives(true).process();
    let result = result.map_err(|e| e.to_string()).and_then(|()| {
        let index = library().map_err(|e| e.to_string())?;
        std::fs::write(Path::new(&out).join("library.rs"), index).map_err(|e| e.to_string())
    });
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

/// The modules as a constant: each with its pieces, and what each piece wants of its own and of other modules.
fn library() -> std::io::Result<String> {
    let mut modules: Vec<(String, String)> = vec![];
    for entry in std::fs::read_dir("stdlib")? {
        let path = entry?.path();
        if let (Some(name), true) = (path.file_stem(), path.extension().is_some_and(|e| e == "dl")) {
            modules.push((name.to_string_lossy().into_owned(), std::fs::read_to_string(&path)?));
        }
    }
    modules.sort();
    let declared: HashSet<&str> = modules
        .iter()
        .flat_map(|(_, text)| scan::pieces(text))
        .filter(|p| p.kind == Kind::Declared)
        .map(|p| p.name)
        .collect();
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let mut out = String::from("pub const MODULES: &[Module] = &[\n");
    for (name, text) in &modules {
        let imports: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("import ") || line.starts_with("from "))
            .filter_map(|line| line.split_whitespace().nth(1))
            .filter(|import| modules.iter().any(|(name, _)| name == import))
            .collect();
        let path = Path::new(&root).join("stdlib").join(format!("{name}.dl"));
        let _ = writeln!(out, "    Module {{\n        name: {name:?},\n        text: include_str!({path:?}),");
        let _ = writeln!(out, "        imports: &{imports:?},\n        pieces: &[");
        let pieces = scan::pieces(text);
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, piece) in pieces.iter().enumerate().filter(|(_, p)| !p.name.is_empty()) {
            places.entry(piece.name).or_default().push(i);
        }
        for (i, piece) in pieces.iter().enumerate() {
            // What comments mention is not needed.
            let lines = text[piece.start..piece.end].split_inclusive('\n');
            let body: String = lines.filter(|line| !line.trim_start().starts_with('#')).collect();
            let mut inside: Vec<usize> =
                scan::words(&body).filter_map(|word| places.get(word)).flatten().copied().collect();
            inside.retain(|j| *j != i);
            let mut outside: Vec<&str> = match piece.kind {
                Kind::Item => vec![piece.name],
                _ => scan::outward(&body).filter(|word| declared.contains(word)).collect(),
            };
            inside.sort_unstable();
            inside.dedup();
            outside.sort_unstable();
            outside.dedup();
            let _ = writeln!(
                out,
                "            Part {{ kind: Kind::{:?}, name: {:?}, start: {}, end: {}, inside: &{inside:?}, outside: &{outside:?} }},",
                piece.kind, piece.name, piece.start, piece.end
            );
        }
        out.push_str("        ],\n    },\n");
    }
    out.push_str("];\n");
    let named = modules.iter().flat_map(|(_, text)| scan::pieces(text)).map(|piece| piece.name);
    let names: BTreeSet<&str> =
        named.chain(modules.iter().map(|(name, _)| name.as_str())).filter(|n| !n.is_empty()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let _ = writeln!(
        out,
        "/// Names of modules and of what they declare or import, sorted.\npub const NAMES: &[&str] = &{names:?};"
    );
    Ok(out)
}
