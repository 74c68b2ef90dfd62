//! Characters of strings by number: at once where all are ASCII, else counted from the start.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// Shorter texts are looked through each time.
const SHORT: usize = 64;

thread_local! {
    /// The long text that was looked at last, and whether it is ASCII. It keeps the text from being changed in place.
    static LAST: RefCell<(Weak<String>, bool)> = const { RefCell::new((Weak::new(), false)) };
}

fn is_ascii(text: &Rc<String>) -> bool {
    if text.len() < SHORT {
        return text.is_ascii();
    }
    LAST.with_borrow_mut(|(last, ascii)| {
        if last.as_ptr() != Rc::as_ptr(text) {
            (*last, *ascii) = (Rc::downgrade(text), text.is_ascii());
        }
        *ascii
    })
}

/// How many there are.
pub fn count(text: &Rc<String>) -> usize {
    if is_ascii(text) { text.len() } else { text.chars().count() }
}

/// The character of a number.
pub fn at(text: &Rc<String>, i: usize) -> Option<char> {
    if is_ascii(text) { text.as_bytes().get(i).map(|byte| char::from(*byte)) } else { text.chars().nth(i) }
}

/// `count` characters from `first` on, each `step` behind the one before.
pub fn picked(text: &Rc<String>, first: usize, count: usize, step: i64) -> String {
    let place = |k: usize| first as i64 + k as i64 * step;
    match (is_ascii(text), step) {
        (true, 1) => text.get(first..first + count).unwrap_or_default().to_owned(),
        (false, 1) => text.chars().skip(first).take(count).collect(),
        (true, _) => {
            let byte = |k: usize| usize::try_from(place(k)).ok().and_then(|i| text.as_bytes().get(i));
            (0..count).filter_map(byte).map(|byte| char::from(*byte)).collect()
        }
        (false, _) => {
            let all: Vec<char> = text.chars().collect();
            let char = |k: usize| usize::try_from(place(k)).ok().and_then(|i| all.get(i));
            (0..count).filter_map(char).collect()
        }
    }
}
