//! `dlang explain [CODE]`: the page of an error code, or the list of all.

use super::exit::Exit;
use super::out;
use crate::codes::{self, CODES};
use crate::diagnostic::did_you_mean;

/// Prints one page or the list.
pub fn run(code: Option<&str>) -> Exit {
    let Some(code) = code else {
        let list: String = CODES.iter().map(|c| format!("{}  {}\n", c.code, c.title())).collect();
        out::print(&list);
        return Exit::Fine;
    };
    match codes::page(code) {
        Some(page) => {
            out::print(&marked(page));
            Exit::Fine
        }
        None => {
            let hint = match did_you_mean(&code.to_uppercase(), CODES.iter().map(|c| c.code)) {
                Some(near) => format!("did you mean {near}? `dlang explain` lists all codes"),
                None => "`dlang explain` lists all codes".to_string(),
            };
            out::usage_error(&format!("there is no code `{code}`"), Some(&hint));
            Exit::Usage
        }
    }
}

/// A page shows two programs: the wrong one, then the right one. Says which is which.
fn marked(page: &str) -> String {
    let mut names = ["Wrong:", "Right:"].into_iter();
    let mut out = String::with_capacity(page.len() + 32);
    for line in page.lines() {
        if line == "```dl"
            && let Some(name) = names.next()
        {
            out.push_str(name);
            out.push_str("\n\n");
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}
