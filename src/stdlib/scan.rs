//! Pieces of a library module, found in its text alone, so that the build script can list them.

/// What a piece of a module is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Whoever imports the module needs it: its doc, its variables, imports of modules.
    Always,
    /// A function, a struct, or the methods of one.
    Declared,
    /// `from module import `; its items follow, then what stands behind them.
    Head,
    /// One name of an import.
    Item,
    /// What stands behind the items of an import.
    Tail,
    /// A test.
    Never,
}

/// A piece of a module, with the doc comment before it.
#[derive(Debug)]
pub struct Piece<'a> {
    pub kind: Kind,
    pub name: &'a str,
    pub start: usize,
    pub end: usize,
}

/// The pieces of a module; together they are its text.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out: Vec<Piece> = vec![];
    let (mut start, mut at) = (0, 0);
    let (mut kind, mut name) = (Kind::Always, "");
    // Where the doc comment or attribute of the next declaration began.
    let mut comment = None;
    for line in text.split_inclusive('\n') {
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let from = comment.take().unwrap_or(at);
            if from > start {
                out.push(Piece { kind, name, start, end: from });
            }
            start = from;
            let declared = ["fn ", "struct ", "impl "].iter().find_map(|word| line.strip_prefix(word));
            (kind, name) = match declared {
                Some(rest) => (Kind::Declared, words(rest).next().unwrap_or("")),
                None if line.starts_with("test ") => (Kind::Never, ""),
                None => (Kind::Always, ""),
            };
            let end = at + line.len();
            if let Some(list) = import(text, start, at, end) {
                out.extend(list);
                (start, kind, name) = (end, Kind::Always, "");
            }
        } else if line.starts_with('#') {
            comment.get_or_insert(at);
        } else if !line.trim().is_empty() {
            comment = None;
        }
        at += line.len();
    }
    if start < text.len() {
        out.push(Piece { kind, name, start, end: text.len() });
    }
    out
}

/// The parts of `from module import a, b` on one line (`at..end`; what is before it begins at `start`).
fn import(text: &str, start: usize, at: usize, end: usize) -> Option<Vec<Piece<'_>>> {
    let line = &text[at..end];
    let list = line.strip_prefix("from ")?.find(" import ")? + "from ".len() + " import ".len();
    let names = line[list..].split(['#', '\n']).next()?.trim_end();
    // After a comma the list goes on in the next line; and a name may be given another one.
    if names.ends_with(',') || names.split(',').any(|name| words(name).count() != 1) {
        return None;
    }
    let mut out = vec![Piece { kind: Kind::Head, name: "", start, end: at + list }];
    let mut from = at + list;
    for item in names.split(',') {
        let end = from + item.len();
        out.push(Piece { kind: Kind::Item, name: item.trim(), start: from, end });
        from = end + 1;
    }
    out.push(Piece { kind: Kind::Tail, name: "", start: from - 1, end });
    Some(out)
}

/// Everything in it that might be a name.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    spans(text).map(|(start, end)| &text[start..end])
}

/// Names that it may want of the modules that it imports: behind a dot, or in an import.
pub fn outward(text: &str) -> impl Iterator<Item = &str> {
    words_and_outward(text).filter(|(_, is_outward)| *is_outward).map(|(word, _)| word)
}

/// All of [`words`], and which of them are [`outward`].
pub fn words_and_outward(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut goes_on = false;
    text.split('\n').flat_map(move |line| {
        let inside = goes_on || line.trim_start().starts_with("from ");
        goes_on = inside && line.split('#').next().is_some_and(|line| line.trim_end().ends_with([',', '(']));
        spans(line).map(move |(start, end)| (&line[start..end], inside || line[..start].ends_with('.')))
    })
}

fn spans(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    // By bytes, which is faster: those of other scripts count as letters.
    const LETTERS: [bool; 256] = {
        let mut all = [false; 256];
        let mut b = 0;
        while b < 256 {
            all[b] = (b as u8).is_ascii_alphanumeric() || b as u8 == b'_' || b >= 0x80;
            b += 1;
        }
        all
    };
    let in_name = |b: u8| LETTERS[b as usize];
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(|b| in_name(*b))?;
        at = bytes.get(start..)?.iter().position(|b| !in_name(*b)).map_or(bytes.len(), |n| start + n);
        Some((start, at))
    })
}
