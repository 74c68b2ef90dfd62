//! Variables that take the name of another of the same function.
//!
//! In: bindings in the order of the text, with the scopes around. Out: W0307 for one that hides another. Not told are those
//! whose value is made of the name they take (`let a = a * 2.0` after another `a` of the same block), variables of loops that
//! hide other than a loop's, names of errors, names of functions further out, and names of builtins: a call that meets a
//! variable instead is an error of its own.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::diagnostic::Diagnostic;
use crate::resolve::FnId;
use crate::source::Span;
use crate::syntax::ast::Ident;

/// What made a binding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BoundBy {
    Param,
    Let,
    Var,
    Loop,
    Catch,
    /// A function inside another.
    Function,
    /// At the top level, in sight everywhere: a function, struct, import or `param`, by this word.
    Declared(&'static str),
}

struct Binding {
    span: Span,
    function: FnId,
    scope: u32,
    by: BoundBy,
}

/// The names in sight, and what was found.
#[derive(Default)]
pub(super) struct Names<'a> {
    bindings: Vec<Binding>,
    /// The last binding of each name that is in sight.
    visible: HashMap<&'a str, usize>,
    /// What stood in `visible` before each binding of the open scopes.
    before: Vec<(&'a str, Option<usize>)>,
    scope: u32,
    scopes: u32,
    /// Bindings that were told to be hidden.
    pub hidden: HashSet<Span>,
}

/// A scope to be closed: the one around it, and where its names begin.
pub(super) struct Scope {
    outer: u32,
    start: usize,
}

impl<'a> Names<'a> {
    /// Opens a block.
    pub fn open(&mut self) -> Scope {
        self.scopes += 1;
        Scope { outer: std::mem::replace(&mut self.scope, self.scopes), start: self.before.len() }
    }

    /// Closes it: its names are out of sight.
    pub fn close(&mut self, scope: Scope) {
        for (name, binding) in self.before.drain(scope.start..).rev() {
            match binding {
                Some(binding) => self.visible.insert(name, binding),
                None => self.visible.remove(name),
            };
        }
        self.scope = scope.outer;
    }

    /// Binds a name. `is_refined` tells whether its value mentions the name.
    pub fn bind(
        &mut self,
        ident: &'a Ident,
        function: FnId,
        by: BoundBy,
        is_refined: impl FnOnce() -> bool,
    ) -> Option<Diagnostic> {
        let name: &str = &ident.name;
        let earlier = self.visible.insert(name, self.bindings.len());
        self.before.push((name, earlier));
        self.bindings.push(Binding { span: ident.span, function, scope: self.scope, by });
        let earlier = self.bindings.get(earlier?)?;
        let inner = earlier.scope != self.scope;
        let is_usual = match by {
            BoundBy::Loop => earlier.by != BoundBy::Loop,
            BoundBy::Catch | BoundBy::Param | BoundBy::Declared(_) => true,
            BoundBy::Let | BoundBy::Var | BoundBy::Function => inner && matches!(earlier.by, BoundBy::Declared(_)),
        };
        if earlier.function != function || name.starts_with('_') || is_usual {
            return None;
        }
        // In an inner block `let total = total + x` is what should have been an assignment.
        let may_be_assignment = inner && by != BoundBy::Loop && earlier.by != BoundBy::Loop;
        if !may_be_assignment && is_refined() {
            return None;
        }
        self.hidden.insert(earlier.span);
        let d = Diagnostic::warning("W0307", format!("this `{name}` hides another `{name}`"));
        let rename = "give one of them another name";
        let d = match (by, inner) {
            (BoundBy::Loop, _) => d.at(ident.span, "a new variable, for this loop alone"),
            (_, true) => d.at(ident.span, "a new variable, gone at the end of the block"),
            (_, false) => d.at(ident.span, format!("from here on, this is `{name}`")),
        };
        let first = match earlier.by {
            BoundBy::Param => format!("the parameter `{name}`"),
            BoundBy::Loop => format!("the loop's `{name}`"),
            BoundBy::Declared(what) => format!("the {what} `{name}`"),
            BoundBy::Function => format!("the function `{name}`"),
            BoundBy::Let | BoundBy::Var | BoundBy::Catch => format!("the first `{name}`"),
        };
        let d = d
            .also(earlier.span, if inner { format!("{first} stays as it is") } else { format!("{first} stands here") });
        let is_assignable = matches!(by, BoundBy::Let | BoundBy::Var);
        Some(match earlier.by {
            BoundBy::Let if is_assignable => {
                d.help(format!("to change the first, make it a `var` and write `{name} = ...` here; else {rename}"))
            }
            BoundBy::Var | BoundBy::Param if is_assignable => {
                d.help(format!("to change the first, write `{name} = ...` without let or var; else {rename}"))
            }
            _ => d.help(rename),
        })
    }
}
