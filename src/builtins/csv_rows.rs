//! The rows of a CSV text, cell by cell.
//!
//! In: bytes. Out: for each row its cells (white space around them taken off, quotes undone) and the line it starts at, from 1.
//! Cells are separated by commas; `"a, ""b"""` is the cell `a, "b"` and may span lines. Empty lines are skipped.
//! Every row is as wide as the first, else it is an error with file, line and column.

use std::borrow::Cow;

use crate::builtins::fail;
use crate::error::{Error, Result};
use crate::show;

/// A walk through the rows.
pub struct Rows<'a> {
    /// Absolute, for messages.
    pub path: String,
    /// Of the current row.
    pub cells: Vec<Cow<'a, [u8]>>,
    /// Where the current row starts.
    pub line: u64,
    /// Cells of the first row.
    pub width: Option<usize>,
    rest: &'a [u8],
    next_line: u64,
}

impl<'a> Rows<'a> {
    /// Before the first row.
    pub fn new(path: &str, bytes: &'a [u8]) -> Rows<'a> {
        let rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        Rows { path: fail::absolute(path), cells: vec![], line: 0, width: None, rest, next_line: 1 }
    }

    /// Goes to the next row; false at the end.
    pub fn advance(&mut self) -> Result<bool> {
        while self.end_of_line() {}
        if self.rest.is_empty() {
            return Ok(false);
        }
        self.line = self.next_line;
        self.cells.clear();
        loop {
            let cell = self.cell()?;
            self.cells.push(cell);
            match self.rest.split_first() {
                Some((b',', rest)) => self.rest = rest,
                None => break,
                Some(_) if self.end_of_line() => break,
                Some(_) => {
                    let what = "there is text after the closing quote".to_string();
                    return Err(self
                        .problem(self.cells.len(), what)
                        .help("a quote inside of quotes is written twice: \"\""));
                }
            }
        }
        let found = self.cells.len();
        let width = *self.width.get_or_insert(found);
        if found != width {
            // The first cell too many, or the place of the first that is missing.
            let column = found.min(width) + 1;
            let cells = if found == 1 { "cell" } else { "cells" };
            let error = self.problem(column, format!("this row has {found} {cells}, the first row has {width}"));
            return Err(if found > width {
                error.help("quote cells that have a comma in them: \"a, b\"")
            } else {
                error
            });
        }
        Ok(true)
    }

    /// Goes past white space and a line end, if that is all there is before the next line.
    fn end_of_line(&mut self) -> bool {
        let blank = self.rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        match self.rest.get(blank..) {
            Some([b'\r', b'\n', rest @ ..] | [b'\n' | b'\r', rest @ ..]) => {
                self.rest = rest;
                self.next_line += 1;
                true
            }
            Some([]) if blank > 0 => {
                self.rest = &[];
                true
            }
            _ => false,
        }
    }

    /// Goes to the end of a cell.
    fn cell(&mut self) -> Result<Cow<'a, [u8]>> {
        let blank = self.rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        if let Some([b'"', rest @ ..]) = self.rest.get(blank..) {
            self.rest = rest;
            return self.quoted();
        }
        let n = self.rest.iter().position(|b| matches!(b, b',' | b'\n' | b'\r')).unwrap_or(self.rest.len());
        let (cell, rest) = self.rest.split_at(n);
        self.rest = rest;
        Ok(Cow::Borrowed(cell.trim_ascii()))
    }

    /// Goes behind the closing quote; the opening one is past.
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>> {
        let mut cell: Option<Cow<'a, [u8]>> = None;
        loop {
            let Some(n) = self.rest.iter().position(|&b| b == b'"') else {
                return Err(self.problem(self.cells.len() + 1, "the quote that opens here is never closed".to_string()));
            };
            let (part, rest) = self.rest.split_at(n);
            self.next_line += part.iter().filter(|&&b| b == b'\n').count() as u64;
            match &mut cell {
                None => cell = Some(Cow::Borrowed(part)),
                Some(cell) => cell.to_mut().extend_from_slice(part),
            }
            match rest {
                [b'"', b'"', rest @ ..] => {
                    self.rest = rest;
                    cell.get_or_insert_default().to_mut().push(b'"');
                }
                _ => {
                    let rest = rest.get(1..).unwrap_or(&[]);
                    let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                    self.rest = rest.get(blank..).unwrap_or(&[]);
                    return Ok(cell.unwrap_or_default());
                }
            }
        }
    }

    /// What is wrong in a column (from 1) of the current row.
    #[cold]
    pub fn problem(&self, column: usize, what: String) -> Error {
        Error::new(fail::BAD_TABLE, format!("{}, line {}, column {column}: {what}", self.path, self.line))
    }

    /// The cells as text.
    pub fn texts(&self) -> Result<Vec<&str>> {
        let cells = self.cells.iter().enumerate();
        cells
            .map(|(i, cell)| {
                std::str::from_utf8(cell).map_err(|_| self.problem(i + 1, format!("{} is not UTF-8 text", shown(cell))))
            })
            .collect()
    }
}

/// A cell in a message.
pub fn shown(cell: &[u8]) -> String {
    const SHOWN: usize = 40;
    let text = String::from_utf8_lossy(cell);
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    show::quote(&short)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line: cell|cell` for each row.
    fn rows(text: &str) -> Result<Vec<String>> {
        let mut rows = Rows::new("t.csv", text.as_bytes());
        let mut out = vec![];
        while rows.advance()? {
            out.push(format!("{}: {}", rows.line, rows.texts()?.join("|")));
        }
        Ok(out)
    }

    #[test]
    fn cells_and_lines() {
        assert_eq!(rows("a,b\n1, 2 \n").unwrap(), ["1: a|b", "2: 1|2"]);
        assert_eq!(rows("\u{feff}a,b\r\n\r\n  \n3,4").unwrap(), ["1: a|b", "4: 3|4"]);
        assert_eq!(rows("a,\n,b\n").unwrap(), ["1: a|", "2: |b"]);
        assert_eq!(rows("").unwrap(), [""; 0]);
        assert_eq!(rows(" \n\n ").unwrap(), [""; 0]);
    }

    #[test]
    fn quotes() {
        assert_eq!(rows("\"a, b\",\"say \"\"hi\"\"\"\n").unwrap(), ["1: a, b|say \"hi\""]);
        assert_eq!(rows("\"two\nlines\", \"x\" \n\"\",y").unwrap(), ["1: two\nlines|x", "3: |y"]);
        assert_eq!(rows("a\"b,c").unwrap(), ["1: a\"b|c"]);
        let error = rows("a\n\"b").unwrap_err();
        assert!(error.0.message.ends_with("line 2, column 1: the quote that opens here is never closed"));
        assert!(rows("\"a\"b,c").unwrap_err().0.message.contains("after the closing quote"));
    }

    #[test]
    fn ragged_rows() {
        let message = |text: &str| rows(text).unwrap_err().0.message.split_once("t.csv, ").unwrap().1.to_string();
        assert_eq!(message("1,2\n3\n"), "line 2, column 2: this row has 1 cell, the first row has 2");
        assert_eq!(message("1\n\n2,3\n"), "line 3, column 2: this row has 2 cells, the first row has 1");
    }
}
