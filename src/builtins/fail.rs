//! Errors that many builtins give, worded in one place: wrong kind of argument, missing key, file trouble.
//!
//! In: the offending value or path. Out: an [`Error`] that names it.

use std::io;
use std::path::Path;

use crate::error::Error;
use crate::value::Value;

/// An argument of the wrong kind.
pub const WRONG_KIND: &str = "E0310";
/// An index outside of its range.
pub const OUT_OF_RANGE: &str = "E0401";
/// A key that a dict does not have.
pub const NO_KEY: &str = "E0450";
/// A text or number that can't be converted.
pub const BAD_CONVERSION: &str = "E0312";
/// `error("...")`
pub const RAISED: &str = "E0452";
/// `assert(false)`
pub const ASSERTION: &str = "E0453";
/// A structure nested deeper than [`MAX_DEPTH`], or too large for memory.
pub const TOO_LARGE: &str = "E0454";
/// A number, spec or option outside of what the function takes.
pub const BAD_ARGUMENT: &str = "E0455";
/// A file that does not exist.
pub const NO_FILE: &str = "E0501";
/// A file that the system refuses to hand over.
pub const UNREADABLE: &str = "E0502";
/// A folder where a file is expected.
pub const FOLDER: &str = "E0503";
/// Bytes that are not UTF-8.
pub const NOT_UTF8: &str = "E0504";
/// A file of arrays or pixels that is not what it should be.
pub const BAD_FILE: &str = "E0512";
/// A table that is not what it should be.
pub const BAD_TABLE: &str = "E0510";
/// Malformed JSON, or a value that JSON can't say.
pub const BAD_JSON: &str = "E0511";
/// Not a safetensors file, or a damaged one.
pub const BAD_SAFETENSORS: &str = "E0505";
/// A file that can't be written.
pub const NO_WRITE: &str = "E0506";
/// A file whose structure is not the wanted one.
pub const OTHER_STRUCTURE: &str = "E0507";

/// How deep host functions follow structures; guards the native stack.
pub const MAX_DEPTH: usize = 1000;

/// Argument `index` of `function` should have been a `wanted`.
#[cold]
pub fn wrong_kind(function: &str, index: usize, wanted: &str, got: &Value) -> Error {
    let kind = got.type_name();
    Error::new(WRONG_KIND, format!("{function} takes {wanted} here, but got {}", with_article(&kind)))
        .operand(index, format!("this is {}", with_article(&kind)))
}

/// The same where the checker knows it.
#[cold]
pub fn wrong_type(function: &str, index: usize, wanted: &str, got: &crate::types::ty::Ty) -> Error {
    let kind = crate::types::show::show_a(got);
    Error::new(WRONG_KIND, format!("{function} takes {wanted} here, but got {kind}"))
        .operand(index, format!("this is {kind}"))
}

/// `a list`, `an int`; names and `none` stay bare.
pub fn with_article(kind: &str) -> String {
    match kind {
        "none" => kind.to_string(),
        "int" => "an int".to_string(),
        _ if kind.starts_with(char::is_uppercase) => kind.to_string(),
        _ if kind.contains('[') => kind.to_string(),
        _ => format!("a {kind}"),
    }
}

/// The caller of a builtin passed another number of arguments than its signature has: a bug of dlang, not of the program.
#[cold]
pub fn arity(function: &str) -> Error {
    Error::new("E0400", format!("bug in dlang: {function} was called with the wrong number of arguments"))
}

/// A structure is nested too deep to be followed.
#[cold]
pub fn too_deep() -> Error {
    Error::new(TOO_LARGE, format!("this structure is nested more than {MAX_DEPTH} levels deep"))
        .help("keep the parts in one flat list instead of nesting them")
}

/// A place in the file system as messages show it: absolute, also if there is nothing there.
pub fn absolute(path: &str) -> String {
    std::path::absolute(Path::new(path)).map_or_else(|_| path.to_string(), |p| p.display().to_string())
}

/// A file could not be read.
#[cold]
pub fn cannot_read(path: &str, cause: &io::Error) -> Error {
    let place = absolute(path);
    match cause.kind() {
        io::ErrorKind::NotFound => Error::new(NO_FILE, format!("there is no file {path}"))
            .note(format!("looked for {place}"))
            .help("relative paths start at the directory in which dlang was started"),
        io::ErrorKind::IsADirectory => Error::new(FOLDER, format!("{place} is a directory, not a file")),
        io::ErrorKind::PermissionDenied => {
            Error::new(UNREADABLE, format!("{place} may not be read: permission denied"))
        }
        _ => Error::new(UNREADABLE, format!("{place} can't be read: {cause}")),
    }
}

/// A file could not be written.
#[cold]
pub fn cannot_write(path: &str, cause: &io::Error) -> Error {
    let place = absolute(path);
    match cause.kind() {
        io::ErrorKind::NotFound => {
            Error::new(NO_WRITE, format!("{place} can't be written: its directory does not exist"))
                .help("make the directory first")
        }
        io::ErrorKind::IsADirectory => Error::new(FOLDER, format!("{place} is a directory, not a file")),
        io::ErrorKind::PermissionDenied => {
            Error::new(NO_WRITE, format!("{place} may not be written: permission denied"))
        }
        _ => Error::new(NO_WRITE, format!("{place} can't be written: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles() {
        assert_eq!(with_article("int"), "an int");
        assert_eq!(with_article("list"), "a list");
        assert_eq!(with_article("Dense"), "Dense");
        assert_eq!(with_article("f32[3]"), "f32[3]");
        assert_eq!(with_article("none"), "none");
    }

    #[test]
    fn a_missing_file_is_named_with_its_absolute_place() {
        let cause = std::fs::read("no/such/file.csv").unwrap_err();
        let error = cannot_read("no/such/file.csv", &cause);
        assert_eq!(error.0.code, NO_FILE);
        assert!(error.0.message.contains("no/such/file.csv"));
        assert!(error.0.notes[0].contains(&absolute("no/such/file.csv")));
        assert!(Path::new(&absolute("no/such/file.csv")).is_absolute());
    }
}
