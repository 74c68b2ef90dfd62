//! What of a source is shown beside a diagnostic: the lines that labels begin and end on; all other lines are left empty,
//! so that line numbers stay true.
//!
//! In: source and spans (bytes). Out: text that any terminal can show, and the spans in characters of it. Every range
//! covers at least one character and lies within the text.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::source::{Source, Span};

/// See the head of the file.
pub struct Excerpt {
    pub name: String,
    pub text: String,
    /// In the order of the spans given.
    pub ranges: Vec<Range<usize>>,
    /// Where the line of the main place was clipped at the left: `name:line:column` as it follows from `text`, and as it is.
    pub moved: Option<(String, String)>,
}

/// A place: line (from 0) and column in characters (from 0).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: usize,
    col: usize,
}

/// Left context kept when a line is clipped at the left.
const CONTEXT: usize = 20;

impl Excerpt {
    /// The excerpt of `source` for `spans`, each with whether it is the primary one.
    pub fn new(source: &Source, spans: &[(Span, bool)], width: usize) -> Excerpt {
        let lines: Vec<&str> = source.text.split('\n').collect();
        let places: Vec<(Place, Place)> = spans.iter().map(|(span, _)| ends(source, *span)).collect();
        // Leftmost and rightmost column that labels touch, by line.
        let mut touched: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (start, end) in &places {
            for place in [start, end] {
                let (low, high) = touched.entry(place.line).or_insert((place.col, place.col));
                *low = place.col.min(*low);
                *high = place.col.max(*high);
            }
        }
        let mut text = String::new();
        let mut length = 0;
        // By line: where it starts in `text`, in characters, and its window.
        let mut windows: BTreeMap<usize, (usize, Window)> = BTreeMap::new();
        let last = touched.keys().next_back().copied().unwrap_or(0);
        for line in 0..=last {
            if let Some(&(low, high)) = touched.get(&line) {
                let shown: Vec<char> = lines.get(line).copied().unwrap_or("").chars().map(printable_char).collect();
                let window = Window::new(shown.len(), low, high, width.max(2 * CONTEXT));
                let visible = window.cut(&shown);
                windows.insert(line, (length, window));
                length += visible.chars().count();
                text.push_str(&visible);
            }
            text.push('\n');
            length += 1;
        }
        let column = |place: &Place| windows.get(&place.line).map_or(0, |(_, window)| window.column(place.col));
        let offset = |place: &Place| windows.get(&place.line).map_or(0, |(start, _)| *start) + column(place);
        let ranges = places.iter().map(|(start, end)| offset(start)..offset(end).max(offset(start)) + 1).collect();
        // The place that ariadne prints is that of the primary span, which comes first in its group.
        let main = spans.iter().position(|(_, primary)| *primary).unwrap_or(0);
        let moved = places.get(main).filter(|(start, _)| column(start) != start.col).map(|(start, _)| {
            let at = |col: usize| format!("{}:{}:{}", source.name, start.line + 1, col + 1);
            (format!("{} ", at(column(start))), format!("{} ", at(start.col)))
        });
        Excerpt { name: source.name.clone(), text, ranges, moved }
    }
}

/// First and last character of a span; the same place twice for an empty one.
fn ends(source: &Source, span: Span) -> (Place, Place) {
    let text = &source.text;
    let mut start = (span.start as usize).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (span.end as usize).clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // A span that ends in blanks or a line's end is drawn up to its last visible character.
    let covered = text.get(start..end).unwrap_or("").trim_end();
    let last = covered.chars().next_back().map_or(start, |c| start + covered.len() - c.len_utf8());
    (place(source, start), place(source, last))
}

fn place(source: &Source, byte: usize) -> Place {
    let (line, col) = source.line_col(byte as u32);
    Place { line: line - 1, col: col - 1 }
}

/// The part of a line that is shown: characters `from..to`, with a mark where something was cut off.
struct Window {
    from: usize,
    to: usize,
    len: usize,
}

impl Window {
    fn new(len: usize, low: usize, high: usize, width: usize) -> Window {
        let from = if len <= width || high + 2 < width { 0 } else { low.saturating_sub(CONTEXT) };
        Window { from, to: len.min(from + width), len }
    }

    fn cut(&self, line: &[char]) -> String {
        let mut text = String::new();
        if self.from > 0 {
            text.push('…');
        }
        text.extend(line.get(self.from..self.to).unwrap_or(&[]));
        // A blank to point at when a label stands behind the last character.
        text.push(if self.to < self.len { '…' } else { ' ' });
        text
    }

    /// Where a column of the line went; what was cut off lies on the mark.
    fn column(&self, col: usize) -> usize {
        col.clamp(self.from, self.to) - self.from + usize::from(self.from > 0)
    }
}

/// Text without characters that steer a terminal or reorder what is read.
pub fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

fn printable_char(c: char) -> char {
    match c {
        '\t' => '\t',
        '\r' => ' ',
        '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => '\u{fffd}',
        c => c,
    }
}
