//! Interned names, so that field and method look-ups compare integers.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashMap;

/// A name known by number; equal names have equal symbols.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Symbol(pub u32);

struct Interner {
    names: Vec<Rc<str>>,
    ids: FxHashMap<Rc<str>, u32>,
}

impl Interner {
    fn new() -> Interner {
        let call: Rc<str> = "call".into();
        Interner { names: vec![call.clone()], ids: FxHashMap::from_iter([(call, Symbol::CALL.0)]) }
    }
}

thread_local! {
    static INTERNER: RefCell<Interner> = RefCell::new(Interner::new());
}

impl Symbol {
    /// `call`, the method that makes structs functions.
    pub const CALL: Symbol = Symbol(0);

    /// The symbol of a name.
    pub fn new(name: &str) -> Symbol {
        INTERNER.with_borrow_mut(|interner| {
            if let Some(&id) = interner.ids.get(name) {
                return Symbol(id);
            }
            let id = interner.names.len() as u32;
            let name: Rc<str> = name.into();
            interner.names.push(name.clone());
            interner.ids.insert(name, id);
            Symbol(id)
        })
    }

    /// The name.
    pub fn name(self) -> Rc<str> {
        INTERNER.with_borrow(|interner| interner.names[self.0 as usize].clone())
    }
}

impl std::fmt::Display for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}
