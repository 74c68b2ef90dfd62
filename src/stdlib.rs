//! The library modules, inside the binary.

use std::borrow::Cow;

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
    let (name, text) = MODULES.iter().find(|(n, _)| *n == name)?;
    // For work on the library itself: DLANG_STDLIB names a folder to take it from.
    if let Some(folder) = std::env::var_os("DLANG_STDLIB")
        && let Ok(text) = std::fs::read_to_string(std::path::Path::new(&folder).join(format!("{name}.dl")))
    {
        return Some(text.into());
    }
    Some(Cow::Borrowed(text))
}

/// Names of all library modules.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
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
