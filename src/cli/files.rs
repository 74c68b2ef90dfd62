//! The texts of programs: from files, stdin or the command line; and the `.dl` files in folders.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::args::Program;
use super::exit::Exit;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::source::EVAL;

/// A text with the name that messages call it by.
pub struct Text {
    pub name: String,
    pub text: String,
}

/// Why there is no text, and how the process ends for it.
pub struct Unread {
    pub diagnostic: Box<Diagnostic>,
    pub exit: Exit,
}

impl Unread {
    fn new(diagnostic: Diagnostic, exit: Exit) -> Unread {
        Unread { diagnostic: Box::new(diagnostic), exit }
    }
}

/// Reads a program.
pub fn read(program: &Program) -> Result<Text, Unread> {
    match program {
        Program::Code(code) => Ok(Text { name: EVAL.into(), text: code.clone() }),
        Program::File(path) => read_file(path),
        Program::Stdin => {
            let mut bytes = vec![];
            match std::io::stdin().lock().read_to_end(&mut bytes) {
                Ok(_) => decode("<stdin>".into(), bytes),
                Err(error) => Err(unreadable("<stdin>", &error)),
            }
        }
    }
}

/// Reads a program's file.
pub fn read_file(path: &Path) -> Result<Text, Unread> {
    let name = path.display().to_string();
    if path.is_dir() {
        let diagnostic = Diagnostic::error("E0503", format!("`{name}` is a folder, not a program"))
            .help(format!("name a file in it; `dlang test {name}` and `dlang check {name}` take folders"));
        return Err(Unread::new(diagnostic, Exit::Usage));
    }
    match std::fs::read(path) {
        Ok(bytes) => decode(name, bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing(path)),
        Err(error) => Err(unreadable(&name, &error)),
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> Unread {
    let diagnostic = Diagnostic::error("E0502", format!("cannot read `{name}`: {error}"));
    Unread::new(diagnostic, Exit::Usage)
}

/// There is no such file; what stands nearby may be meant.
pub fn missing(path: &Path) -> Unread {
    let name = path.display().to_string();
    let mut diagnostic = Diagnostic::error("E0501", format!("there is no file `{name}`"));
    let commands: Vec<String> = super::args::command().get_subcommands().map(|c| c.get_name().to_string()).collect();
    let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let near = siblings(path);
    if let Some(near) = did_you_mean(&file, near.iter().map(String::as_str)) {
        diagnostic = diagnostic.help(format!("did you mean `{}`?", path.with_file_name(near).display()));
    } else if let Some(command) = did_you_mean(&name, commands.iter().map(String::as_str)) {
        diagnostic = diagnostic.help(format!("did you mean the command `dlang {command}`?"));
    } else if near.contains(&format!("{file}.dl")) {
        diagnostic = diagnostic.help(format!("did you mean `{name}.dl`?"));
    } else if !name.contains(['.', '/', '\\']) {
        diagnostic = diagnostic.help(match name.as_str() {
            "version" => "the version is told by `dlang --version`".to_string(),
            "repl" => "`dlang` alone is the REPL".to_string(),
            "lint" => "warnings are told by `dlang check FILE`".to_string(),
            "eval" => "code is given with `dlang -e CODE`".to_string(),
            _ => format!("`{name}` is no command, either: `dlang --help` lists them"),
        });
    }
    Unread::new(diagnostic, Exit::Usage)
}

/// Names of the programs in the folder of `path`.
fn siblings(path: &Path) -> Vec<String> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    // Enough for a suggestion even where a folder is huge.
    let mut names: Vec<String> = names.filter(|n| n.ends_with(".dl")).take(1000).collect();
    names.sort();
    names
}

fn decode(name: String, bytes: Vec<u8>) -> Result<Text, Unread> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Text { name, text }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(at).copied().unwrap_or_default();
            let message = format!("`{name}` is not UTF-8 text: byte {at} (0x{byte:02x}) cannot stand there");
            let diagnostic = Diagnostic::error("E0504", message)
                .help("if an old editor wrote it, convert it: iconv -f latin1 -t utf-8 OLD > NEW");
            Err(Unread::new(diagnostic, Exit::Failed))
        }
    }
}

/// What `check` and `test` work on: files as they are; of folders all `.dl` files below, sorted, but for hidden folders
/// and `target`. `-` is stdin.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<Program>, Unread> {
    let mut programs = vec![];
    for path in paths {
        if path.as_os_str() == "-" {
            programs.push(Program::Stdin);
        } else if path.is_dir() {
            let mut found = vec![];
            walk(path, &mut found, 0);
            programs.extend(found.into_iter().map(Program::File));
        } else if path.exists() {
            programs.push(Program::File(path.clone()));
        } else {
            return Err(missing(path));
        }
    }
    Ok(programs)
}

/// Folders deeper than this are links in a circle.
const DEEPEST: usize = 64;

fn walk(folder: &Path, found: &mut Vec<PathBuf>, depth: usize) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && depth < DEEPEST && !path.is_symlink() {
                walk(&path, found, depth + 1);
            }
        } else if name.ends_with(".dl") {
            // `./a.dl` reads as `a.dl`.
            found.push(path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path));
        }
    }
}
