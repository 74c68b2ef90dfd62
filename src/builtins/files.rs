//! Text in and out: files, standard input, `print`.
//!
//! In: paths (relative to the current directory) and strs. Out: strs. All text is UTF-8; bytes that are not are an error
//! that tells where they stand.

use std::io::{BufRead, Write};

use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::{Builtin, infer};
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req, variadic};
use crate::show;
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&PRINT, &READ_TEXT, &WRITE_TEXT, &INPUT, &STDIN_LINES];

static PRINT: Builtin = Builtin {
    name: "print",
    doc: "Writes the values and a line end to standard output, with one space (or `sep`) between them. Strs are written bare, all \
          else as a program writes it. `print(\"loss\", 0.5)` writes `loss 0.5`; `end: \"\"` stays on the line.",
    sig: Sig { params: &[variadic("values"), opt("sep", Default::Str(" ")), opt("end", Default::Str("\n"))] },
    infer: infer::none,
    run: |vm, args| {
        let [Value::Tuple(values), sep, end] = &*args else { return Err(arity("print")) };
        let Value::Str(sep) = sep else { return Err(wrong_kind("print", 1, "a str for sep", sep)) };
        let Value::Str(end) = end else { return Err(wrong_kind("print", 2, "a str for end", end)) };
        let mut line = String::new();
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                line.push_str(sep);
            }
            line.push_str(&show::display(value));
        }
        line.push_str(end);
        vm.write_out(&line)?;
        Ok(Value::None)
    },
};

static READ_TEXT: Builtin = Builtin {
    name: "read_text",
    doc: "The content of a text file. `read_text(\"notes.txt\").split(\"\\n\")` gives its lines.",
    sig: Sig { params: &[req("path")] },
    infer: infer::str,
    run: |_, args| match args {
        [Value::Str(path)] => read_text(path).map(Value::str),
        [other] => Err(wrong_kind("read_text", 0, "a path (str)", other)),
        _ => Err(arity("read_text")),
    },
};

/// A file as text.
pub fn read_text(path: &str) -> Result<String> {
    utf8(read_bytes(path)?, &fail::absolute(path))
}

/// Bytes from `origin` as text.
pub fn utf8(bytes: Vec<u8>, origin: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let byte = e.as_bytes().get(at).copied().unwrap_or(0);
        Error::new(fail::NOT_UTF8, format!("{origin} is not UTF-8 text: byte {at} (counted from 0) is 0x{byte:02x}"))
            .help("convert it first, for example with `iconv -f latin1 -t utf-8`")
    })
}

static WRITE_TEXT: Builtin = Builtin {
    name: "write_text",
    doc: "Writes a str to a file, in place of what was there, or with `append: true` after it. `write_text(\"log.txt\", \"done\\n\")`.",
    sig: Sig { params: &[req("path"), req("text"), opt("append", Default::Bool(false))] },
    infer: infer::none,
    run: |_, args| match &*args {
        [Value::Str(path), Value::Str(text), Value::Bool(append)] => {
            write_text(path, text, *append)?;
            Ok(Value::None)
        }
        [Value::Str(_), Value::Str(_), other] => Err(wrong_kind("write_text", 2, "a bool for append", other)),
        [Value::Str(_), other, _] => {
            Err(wrong_kind("write_text", 1, "a str", other).help("write str(x) for what print would show"))
        }
        [other, ..] => Err(wrong_kind("write_text", 0, "a path (str)", other)),
        [] => Err(arity("write_text")),
    },
};

fn write_text(path: &str, text: &str, append: bool) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).append(append).truncate(!append);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| fail::cannot_write(path, &e))
}

static INPUT: Builtin = Builtin {
    name: "input",
    doc: "The next line of standard input without its end, or `none` after the last. The prompt goes to standard error. \
          `let name = input(\"name: \")`.",
    sig: Sig { params: &[opt("prompt", Default::Str(""))] },
    infer: infer::any,
    run: |vm, args| match &*args {
        [prompt] => {
            vm.flush_out()?;
            eprint_quietly(&show::display(prompt));
            Ok(next_line()?.map_or(Value::None, Value::str))
        }
        _ => Err(arity("input")),
    },
};

/// A closed stderr is no reason to stop.
fn eprint_quietly(text: &str) {
    let mut err = std::io::stderr();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

fn next_line() -> Result<Option<String>> {
    read_line(&mut std::io::stdin().lock())
}

fn read_line(from: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = vec![];
    let n = from
        .read_until(b'\n', &mut line)
        .map_err(|e| Error::new(fail::UNREADABLE, format!("standard input can't be read: {e}")))?;
    if n == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    utf8(line, "a line of standard input").map(Some)
}

static STDIN_LINES: Builtin = Builtin {
    name: "stdin_lines",
    doc: "All lines of standard input that are left, without their ends, as a list: `for line in stdin_lines() { ... }`. To \
          answer one line before the next is written, use `input()`.",
    sig: Sig { params: &[] },
    infer: infer::list_of_str,
    run: |vm, _| {
        vm.flush_out()?;
        let mut lines = vec![];
        while let Some(line) = next_line()? {
            lines.push(Value::str(line));
        }
        Ok(Value::list(lines))
    },
};

/// The bytes of a file.
pub fn read_bytes(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| fail::cannot_read(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::scratch::Scratch;

    #[test]
    fn text_goes_out_and_comes_back() {
        let dir = Scratch::new("text");
        let path = dir.path("a.txt");
        write_text(&path, "ä\n", false).unwrap();
        write_text(&path, "b", true).unwrap();
        assert_eq!(read_text(&path).unwrap(), "ä\nb");
        write_text(&path, "c", false).unwrap();
        assert_eq!(read_text(&path).unwrap(), "c");
    }

    #[test]
    fn bytes_that_are_no_text_are_placed() {
        let dir = Scratch::new("latin1");
        let path = dir.path("a.txt");
        std::fs::write(&path, b"ab\xe4c").unwrap();
        let error = read_text(&path).unwrap_err();
        assert_eq!(error.0.code, fail::NOT_UTF8);
        assert!(error.0.message.contains("byte 2") && error.0.message.contains("0xe4"), "{}", error.0.message);
    }

    #[test]
    fn missing_files_and_directories() {
        let dir = Scratch::new("missing");
        assert_eq!(read_text(&dir.path("nowhere.txt")).unwrap_err().0.code, fail::NO_FILE);
        assert_eq!(read_text(&dir.path("")).unwrap_err().0.code, fail::FOLDER);
        assert_eq!(write_text(&dir.path("no/such/dir.txt"), "", false).unwrap_err().0.code, fail::NO_WRITE);
    }

    #[test]
    fn lines_without_their_ends() {
        let mut from = std::io::Cursor::new(b"a\r\n\nb".to_vec());
        let mut lines = vec![];
        while let Some(line) = read_line(&mut from).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["a", "", "b"]);
        assert!(read_line(&mut std::io::Cursor::new(b"\xff\n".to_vec())).is_err());
    }
}
