//! Doc comments on their way from the lexer to the tree.
//!
//! In: `##` comments in order. Out: the doc of an item, found by where the item starts and ends. A comment on
//! lines of its own belongs to what follows; one at the end of a line to what ends there, or else to what starts
//! that line (`struct P {  ## a point`).

use rustc_hash::FxHashMap as HashMap;

use super::token::Token;

/// All doc comments of a text.
#[derive(Debug, Default)]
pub struct Docs {
    /// By the start of the item below.
    above: HashMap<u32, String>,
    /// By the end of the item on the same line.
    behind: HashMap<u32, String>,
    /// By the start of the first token on the same line.
    in_line: HashMap<u32, String>,
    /// Of the whole file.
    pub module: Option<String>,
    pending: Option<String>,
    at_head: bool,
}

impl Docs {
    /// A comment on a line of its own; `blank_before`: under an empty line; `at_head`: before all tokens.
    pub fn leading(&mut self, text: &str, blank_before: bool, at_head: bool) {
        if blank_before && self.at_head && self.module.is_none() {
            self.module = self.pending.take();
        }
        self.at_head = at_head;
        match &mut self.pending {
            Some(doc) => {
                doc.push('\n');
                doc.push_str(text);
            }
            None => self.pending = Some(text.into()),
        }
    }

    /// A comment behind tokens, the last of which ends at `last`. If the item goes on, `line` is where the line's
    /// first token starts, else `u32::MAX`.
    pub fn trailing(&mut self, text: &str, line: u32, last: u32) {
        self.behind.insert(last, text.into());
        if line != u32::MAX {
            self.in_line.insert(line, text.into());
        }
    }

    /// Gives the comments seen so far to the item that starts with `token`; at the head of a file those above an
    /// empty line, or above something that takes no doc, are the file's own.
    #[inline]
    pub fn attach_leading(&mut self, start: u32, token: &Token<'_>, blank_before: impl Fn() -> bool) {
        // Few tokens have any above them.
        if let Some(doc) = self.pending.take() {
            self.attach(doc, start, token, blank_before);
        }
    }

    fn attach(&mut self, doc: String, start: u32, token: &Token<'_>, blank_before: impl Fn() -> bool) {
        use Token::*;
        let takes_doc = matches!(token, Fn | Let | Var | Struct | Impl | Param | Test);
        if std::mem::take(&mut self.at_head) && self.module.is_none() && (!takes_doc || blank_before()) {
            self.module = Some(doc);
        } else {
            self.above.insert(start, doc);
        }
    }

    /// Ends the text: comments that nothing follows are the file's, if there is nothing else.
    pub fn finish(&mut self) {
        if self.at_head && self.module.is_none() {
            self.module = self.pending.take();
        }
    }

    /// The doc of the item from byte `start` to `end`.
    pub fn of(&self, start: u32, end: u32) -> Option<String> {
        if self.above.is_empty() && self.behind.is_empty() {
            return None;
        }
        let behind = self.behind.get(&end).or_else(|| self.in_line.get(&start));
        match (self.above.get(&start), behind) {
            (Some(above), Some(behind)) => Some(format!("{above}\n{behind}")),
            (above, behind) => above.or(behind).cloned(),
        }
    }
}
