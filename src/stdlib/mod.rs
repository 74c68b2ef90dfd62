//! The library modules, inside the binary.

// The build script uses the rest of it.
#[cfg_attr(not(test), allow(dead_code))]
mod scan;

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use self::scan::{Kind, words_and_outward};

/// A library module, as the build script lists it.
pub struct Module {
    name: &'static str,
    text: &'static str,
    /// Library modules that it imports.
    imports: &'static [&'static str],
    pieces: &'static [Part],
}

/// A piece of a module.
pub struct Part {
    kind: Kind,
    name: &'static str,
    start: usize,
    end: usize,
    /// Pieces of the module whose names occur in it.
    inside: &'static [u16],
    /// Names of other modules that occur in it.
    outside: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// The text of a library module.
pub fn text(name: &str) -> Option<Cow<'static, str>> {
    if let Some(folder) = folder()
        && let Ok(text) = std::fs::read_to_string(folder.join(format!("{name}.dl")))
    {
        return Some(text.into());
    }
    module(name).map(|module| Cow::Borrowed(module.text))
}

fn module(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.name == name)
}

/// For work on the library itself: `DLANG_STDLIB` names a folder to take modules from, new ones too.
fn folder() -> Option<PathBuf> {
    std::env::var_os("DLANG_STDLIB").map(PathBuf::from)
}

/// The folder that `DLANG_STDLIB` names, if it is none.
pub fn missing_folder() -> Option<PathBuf> {
    folder().filter(|folder| !folder.is_dir())
}

/// True if modules come from elsewhere, so that nothing is known of their pieces.
pub fn is_overridden() -> bool {
    folder().is_some()
}

/// Names of all library modules.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|module| module.name)
}

/// The library as a program sees it: modules without the functions and structs that it cannot need.
pub struct Lean {
    /// Names that the program may want of modules, the modules' own names too: those of [`NAMES`] among them.
    wanted: FxHashSet<&'static str>,
    made: RefCell<FxHashMap<&'static str, Option<Rc<Kept>>>>,
}

/// What is kept of a module.
struct Kept {
    pieces: Vec<bool>,
    /// What these want of other modules.
    outside: FxHashSet<&'static str>,
}

impl Lean {
    /// For the text of a program, with those of all its files.
    pub fn new(program: &str) -> Lean {
        // Each word once, as most are found again and again; and whether it stands where names of modules are wanted.
        let mut all: FxHashMap<&str, bool> = FxHashMap::with_capacity_and_hasher(512, Default::default());
        for (word, is_outward) in words_and_outward(program) {
            *all.entry(word).or_default() |= is_outward;
        }
        let known = |word: &str| NAMES.binary_search(&word).ok().and_then(|i| NAMES.get(i)).copied();
        let wanted = all.into_iter().filter(|(word, is_outward)| *is_outward || module(word).is_some());
        Lean { wanted: wanted.filter_map(|(word, _)| known(word)).collect(), made: RefCell::default() }
    }

    /// The text of a module: blanks stand for what is left out, so that places stay; line breaks need not. A declaration is needed if an importer
    /// names it, or one that is needed does.
    pub fn text(&self, name: &str) -> Option<String> {
        let module = module(name)?;
        let kept = self.kept(module)?;
        let mut out = String::with_capacity(module.text.len());
        let mut pieces = module.pieces.iter().zip(&kept.pieces).peekable();
        while let Some((piece, kept)) = pieces.next() {
            let text = module.text.get(piece.start..piece.end)?;
            match piece.kind {
                Kind::Head => {
                    // Items in their places, with commas between those that are left.
                    let mut list = String::new();
                    while let Some((item, kept)) = pieces.next_if(|(piece, _)| piece.kind == Kind::Item) {
                        let text = module.text.get(item.start..item.end)?;
                        if item.start > piece.end {
                            list.push(' ');
                        }
                        if *kept && let Some(last) = list.trim_end().len().checked_sub(1) {
                            list.replace_range(last + 1..last + 2, ",");
                        }
                        if *kept { list.push_str(text) } else { blank(text, &mut list) }
                    }
                    let (tail, _) = pieces.next()?;
                    let tail = module.text.get(tail.start..tail.end)?;
                    if list.trim().is_empty() {
                        blank_piece(text.len() + list.len() + tail.len(), &mut out);
                    } else {
                        [text, &list, tail].iter().for_each(|text| out.push_str(text));
                    }
                }
                _ if *kept => out.push_str(text),
                _ => blank_piece(text.len(), &mut out),
            }
        }
        Some(out)
    }

    /// `None` if the program does not import the module, neither itself nor by other modules.
    fn kept(&self, module: &'static Module) -> Option<Rc<Kept>> {
        if let Some(made) = self.made.borrow().get(module.name) {
            return made.clone();
        }
        let importers = MODULES.iter().filter(|by| by.imports.contains(&module.name));
        let importers: Vec<Rc<Kept>> = importers.filter_map(|by| self.kept(by)).collect();
        let used = !importers.is_empty() || self.wanted.contains(module.name);
        let made = used.then(|| {
            let wanted =
                |name: &str| self.wanted.contains(name) || importers.iter().any(|by| by.outside.contains(name));
            let mut kept = Kept { pieces: vec![false; module.pieces.len()], outside: FxHashSet::default() };
            let first = module.pieces.iter().enumerate().filter(|(_, piece)| match piece.kind {
                Kind::Always => true,
                Kind::Declared | Kind::Item => wanted(piece.name),
                Kind::Head | Kind::Tail | Kind::Never => false,
            });
            let mut unread: Vec<usize> = first.map(|(i, _)| i).collect();
            while let Some(i) = unread.pop() {
                if let (Some(kept @ false), Some(piece)) = (kept.pieces.get_mut(i), module.pieces.get(i)) {
                    *kept = true;
                    unread.extend(piece.inside.iter().map(|i| *i as usize));
                }
            }
            let of_kept = module.pieces.iter().zip(&kept.pieces).filter(|(_, kept)| **kept);
            kept.outside = of_kept.flat_map(|(piece, _)| piece.outside).copied().collect();
            Rc::new(kept)
        });
        self.made.borrow_mut().insert(module.name, made.clone());
        made
    }
}

/// As many blanks, with an empty line at the end: what follows starts a line, with nothing above it.
fn blank_piece(len: usize, out: &mut String) {
    const BLANKS: &str = match std::str::from_utf8(&[b' '; 1024]) {
        Ok(blanks) => blanks,
        Err(_) => " ",
    };
    let mut rest = len.saturating_sub(2);
    while rest > 0 {
        let part = rest.min(BLANKS.len());
        out.push_str(&BLANKS[..part]);
        rest -= part;
    }
    out.push_str(&"\n\n"[..len.min(2)]);
}

/// As many blanks, and the same ends of lines.
fn blank(text: &str, out: &mut String) {
    for line in text.split_inclusive('\n') {
        let blanks = line.len() - usize::from(line.ends_with('\n'));
        out.extend(std::iter::repeat_n(' ', blanks));
        out.push_str(&line[blanks..]);
    }
}

/// The module that offers a function or struct of this name: one that gathers others before those.
pub fn home_of(name: &str) -> Option<&'static str> {
    if name.starts_with('_') || name.is_empty() {
        return None;
    }
    let has = |module: &&Module, kind: Kind| module.pieces.iter().any(|p| p.kind == kind && p.name == name);
    let home = MODULES.iter().find(|module| has(module, Kind::Declared))?;
    // What a module imports and does not use itself it hands on.
    let hands_on = |module: &&Module| {
        let item = module.pieces.iter().position(|p| p.kind == Kind::Item && p.name == name);
        item.is_some_and(|i| !module.pieces.iter().any(|p| p.inside.contains(&(i as u16))))
    };
    let gathers = MODULES.iter().filter(|module| module.imports.contains(&home.name)).find(hands_on);
    Some(gathers.unwrap_or(home).name)
}

#[cfg(test)]
mod tests {
    use super::scan::{outward, pieces};
    use super::*;

    #[test]
    fn pieces_are_the_text() {
        let text = "## Module.\nimport x\n\nfrom a import one, Two   # allow: W0306\n## One.\nfn one(a) {\n    two(a)\n}\n\n# two\nfn two(a) = a\n\n## B.\nstruct B { a }\n\nimpl B {\n    fn f(self) = one(1)\n}\ntest \"one\" { one(1) }\nlet k = 3\n";
        for text in MODULES.iter().map(|m| m.text).chain([text]) {
            let parts: Vec<&str> = pieces(text).iter().map(|p| &text[p.start..p.end]).collect();
            let commas = pieces(text).windows(2).filter(|p| p[0].kind == Kind::Item && p[1].kind == Kind::Item).count();
            assert_eq!(parts.concat().len() + commas, text.len());
        }
        let found = pieces(text);
        let named = |kind| found.iter().filter(|p| p.kind == kind).map(|p| p.name).collect::<Vec<_>>();
        assert_eq!(named(Kind::Declared), ["one", "two", "B", "B"]);
        assert_eq!(named(Kind::Item), ["one", "Two"]);
        assert_eq!(named(Kind::Never).len(), 1);
        let wanted: Vec<&str> = outward("let x = nn.Dense.new(3)\nfrom a import b,\n    c\nprint(d)").collect();
        assert_eq!(wanted, ["Dense", "new", "from", "a", "import", "b", "c"]);
    }

    #[test]
    fn only_what_is_needed_stays() {
        let lean = Lean::new("import nn\nlet layer = nn.Conv2d.new(3, 4, 3)");
        let (nn, convolution) = (lean.text("nn").unwrap(), lean.text("convolution").unwrap());
        assert!(nn.contains("import Conv2d") && !nn.contains("struct Dense") && nn.len() == text("nn").unwrap().len());
        assert!(convolution.contains("struct Conv2d") && !convolution.contains("struct ConvTranspose2d"));
        assert!(lean.text("ode").is_none());
        let lean = Lean::new("from prob import Normal, Interval\nprint(Normal)");
        let prob = lean.text("prob").unwrap();
        let line = |start: &str| {
            prob.lines()
                .filter(|l| l.starts_with(start))
                .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(line("from bijectors"), ["from bijectors import Interval # allow: W0306"]);
        assert_eq!(line("from distributions"), ["from distributions import Normal # allow: W0306"]);
        assert!(line("from discrete").is_empty());
    }

    #[test]
    fn homes_are_where_users_look() {
        assert_eq!(home_of("Dense"), Some("nn"));
        assert_eq!(home_of("Conv2d"), Some("nn"));
        assert_eq!(home_of("Normal"), Some("prob"));
        assert_eq!(home_of("adam"), Some("optim"));
        assert_eq!(home_of("nothing_of_the_kind"), None);
    }
}
