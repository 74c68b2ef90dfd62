//! Scopes: which local a name means inside the function that is being resolved.

use std::rc::Rc;

use rustc_hash::FxHashMap as HashMap;

use crate::resolve::{Capture, CaptureFrom, FnId, Function, GlobalId, Local, LocalId, LocalKind, Res};
use crate::source::Span;

/// A function that is being resolved, with its open blocks.
pub struct FnScope {
    pub id: FnId,
    pub function: Function,
    pub blocks: Vec<HashMap<Rc<str>, LocalId>>,
    /// Declared at the top level: sees the module's globals, not the locals of its body.
    pub declared: bool,
    /// Name by which a nested `fn` may call itself.
    pub itself: Option<Rc<str>>,
    global_captures: HashMap<GlobalId, LocalId>,
}

/// Where a variable was found, seen from the function that mentions it.
#[derive(Clone, Copy)]
pub struct Found {
    pub res: Res,
    /// It belongs to a function further out.
    pub captured: bool,
}

impl FnScope {
    pub fn new(id: FnId, function: Function, declared: bool) -> FnScope {
        FnScope {
            id,
            function,
            blocks: vec![HashMap::default()],
            declared,
            itself: None,
            global_captures: HashMap::default(),
        }
    }

    /// Adds a local to the innermost block; an older one of that name is shadowed.
    pub fn define(&mut self, name: &Rc<str>, span: Span, mutable: bool, kind: LocalKind) -> LocalId {
        let id = self.add_local(name, span, mutable, kind);
        if let Some(block) = self.blocks.last_mut() {
            block.insert(name.clone(), id);
        }
        id
    }

    /// Adds a local to the outermost block.
    pub fn define_outer(&mut self, name: &Rc<str>, span: Span, kind: LocalKind) -> LocalId {
        let id = self.add_local(name, span, false, kind);
        self.blocks[0].insert(name.clone(), id);
        id
    }

    /// The dimension variable that has the name of a parameter.
    pub fn dim_of_param(&mut self, param: LocalId, name: &Rc<str>, span: Span) -> LocalId {
        if let Some((dim, _)) = self.function.dims_of_params.iter().find(|(_, of)| *of == param) {
            return *dim;
        }
        let dim = self.add_local(name, span, false, LocalKind::Dim);
        self.function.dims_of_params.push((dim, param));
        dim
    }

    fn add_local(&mut self, name: &Rc<str>, span: Span, mutable: bool, kind: LocalKind) -> LocalId {
        self.function.locals.push(Local { name: name.clone(), span, mutable, changed: false, kind });
        LocalId(self.function.locals.len() as u32 - 1)
    }

    /// The local that a name means here, captures included.
    pub fn local(&self, name: &str) -> Option<LocalId> {
        self.blocks.iter().rev().find_map(|block| block.get(name).copied())
    }

    /// The local that holds a captured value, made on first use.
    pub fn capture(&mut self, name: &Rc<str>, span: Span, from: CaptureFrom) -> LocalId {
        if let CaptureFrom::Global(global) = from
            && let Some(&local) = self.global_captures.get(&global)
        {
            return local;
        }
        let local = self.define_outer(name, span, LocalKind::Capture);
        self.function.captures.push(Capture { local, from });
        if let CaptureFrom::Global(global) = from {
            self.global_captures.insert(global, local);
        }
        local
    }
}

/// Looks a name up in the function `scopes[depth]` and those around it, capturing on the way. `None` if it is no local
/// of any of them.
pub fn find_local(scopes: &mut [FnScope], depth: usize, name: &str) -> Option<Found> {
    if let Some(local) = scopes[depth].local(name) {
        let captured = scopes[depth].function.locals[local.0 as usize].kind == LocalKind::Capture;
        return Some(Found { res: Res::Local(local), captured });
    }
    if scopes[depth].itself.as_deref() == Some(name) {
        return Some(Found { res: Res::Itself, captured: false });
    }
    if depth == 0 || scopes[depth].declared {
        return None;
    }
    let found = find_local(scopes, depth - 1, name)?;
    let inner = match found.res {
        Res::Local(outer) => {
            let local = &scopes[depth - 1].function.locals[outer.0 as usize];
            let (name, span) = (local.name.clone(), local.span);
            scopes[depth].capture(&name, span, CaptureFrom::Local(outer))
        }
        Res::Itself => scopes[depth].capture(&name.into(), Span::default(), CaptureFrom::Itself),
        _ => return None,
    };
    Some(Found { res: Res::Local(inner), captured: true })
}
