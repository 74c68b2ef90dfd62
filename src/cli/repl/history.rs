//! Where the REPL's history is kept: `$XDG_STATE_HOME/dlang/history`, by default under `~/.local/state`.

use std::path::{Path, PathBuf};

/// The file; `None` if there is no place for it. Its folder is made if need be.
pub fn path() -> Option<PathBuf> {
    let path = locate(|name| std::env::var_os(name).map(PathBuf::from))?;
    std::fs::create_dir_all(path.parent()?).ok()?;
    Some(path)
}

fn locate(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // Relative paths there are to be ignored, by the standard that defines the variable.
    let absolute = |name: &str| variable(name).filter(|p| p.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join(Path::new("dlang/history")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let with = |vars: &'static [(&str, &str)]| {
            locate(move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v)))
        };
        assert_eq!(with(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), Some(PathBuf::from("/s/dlang/history")));
        assert_eq!(
            with(&[("XDG_STATE_HOME", ""), ("HOME", "/h")]),
            Some(PathBuf::from("/h/.local/state/dlang/history"))
        );
        assert_eq!(with(&[]), None);
    }
}
