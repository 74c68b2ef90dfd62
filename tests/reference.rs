//! `docs/reference/builtins.md` is written from the tables of primitives and builtins; `DLANG_BLESS=1` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

#[test]
fn the_list_of_builtins_is_fresh() {
    let mut all: BTreeMap<&str, (String, &str)> = BTreeMap::new();
    for prim in dlang::ops::table() {
        all.insert(prim.name, (dlang::show::signature(prim.name, prim.sig), prim.doc));
    }
    for builtin in dlang::builtins::table() {
        all.insert(builtin.name, (dlang::show::signature(builtin.name, builtin.sig), builtin.doc));
    }
    let mut text =
        String::from("# Builtins\n\nWritten from the tables in `src/ops/` and `src/builtins/`; not by hand.\n\n");
    for (signature, doc) in all.iter().filter(|(name, _)| !name.starts_with('_')).map(|(_, v)| v) {
        let _ = writeln!(text, "- `{signature}` · {doc}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/builtins.md");
    if std::env::var_os("DLANG_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == text, "{} is out of date; DLANG_BLESS=1 writes it anew", path.display());
}

/// Every primitive and builtin says what it does.
#[test]
fn everything_has_a_doc() {
    let prims = dlang::ops::table().map(|p| (p.name, p.doc));
    let builtins = dlang::builtins::table().map(|b| (b.name, b.doc));
    let silent: Vec<&str> = prims.chain(builtins).filter(|(_, doc)| doc.len() < 10).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "{silent:?}");
}
