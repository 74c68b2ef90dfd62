//! What can be wrong with names. E02xx.

use std::rc::Rc;

use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// A problem with a name.
#[derive(Clone, Debug)]
pub enum NameError {
    Unknown { name: Rc<str>, span: Span, similar: Option<String>, hint: Option<String> },
    TooEarly { name: Rc<str>, span: Span, defined: Span },
    NoModule { path: String, span: Span, similar: Option<String>, is_file: bool },
    NoExport { module: Rc<str>, name: Rc<str>, span: Span, hint: Option<String> },
    Private { module: Rc<str>, name: Rc<str>, span: Span },
    Twice { name: Rc<str>, span: Span, first: Span },
    ImplWithoutStruct { name: Rc<str>, span: Span, similar: Option<String> },
    AssignToLet { name: Rc<str>, span: Span, bound: Span },
    AssignToLoop { name: Rc<str>, span: Span, bound: Span },
    AssignToCaptured { name: Rc<str>, span: Span, bound: Span },
    AssignToGlobal { name: Rc<str>, span: Span, bound: Span },
    AssignToSelf { span: Span, bound: Span },
    AssignToFixed { name: Rc<str>, span: Span, what: &'static str },
    ImportCycle { path: Vec<String>, span: Span },
    TooManyParams { name: Rc<str>, span: Span, count: usize },
}

impl NameError {
    /// As data for the renderer.
    pub fn to_diagnostic(&self) -> Diagnostic {
        use NameError::*;
        let maybe = |d: Diagnostic, similar: &Option<String>| match similar {
            Some(s) => d.help(format!("did you mean `{s}`?")),
            None => d,
        };
        match self {
            Unknown { name, span, similar, hint } => {
                let d = Diagnostic::error("E0201", format!("there is no `{name}` here"))
                    .at(*span, "this name is not defined");
                match hint {
                    Some(hint) => d.help(hint),
                    None => maybe(d, similar),
                }
            }
            TooEarly { name, span, defined } => {
                Diagnostic::error("E0202", format!("`{name}` is used before it is defined"))
                    .at(*span, "used here")
                    .also(*defined, "defined only here")
                    .help("move the definition up")
            }
            NoModule { path, span, similar, is_file } => {
                let what = if *is_file { "file" } else { "library module" };
                let d =
                    Diagnostic::error("E0203", format!("there is no {what} `{path}`")).at(*span, "cannot be imported");
                if let Some(hint) = super::hints::for_module(path)
                    && !is_file
                {
                    d.help(hint)
                } else if similar.is_none() && !is_file {
                    d.help(format!("a file of your own is imported by its path: import \"./{path}.dl\""))
                } else {
                    maybe(d, similar)
                }
            }
            NoExport { module, name, span, hint } => {
                let d = Diagnostic::error("E0204", format!("module `{module}` has no `{name}`")).at(*span, "not there");
                match hint {
                    Some(hint) => d.help(hint),
                    None => d,
                }
            }
            Private { module, name, span } => {
                Diagnostic::error("E0206", format!("`{name}` is private to module `{module}`"))
                    .at(*span, "names that start with _ are not exported")
            }
            Twice { name, span, first } => Diagnostic::error("E0205", format!("`{name}` is defined twice"))
                .at(*span, "defined again here")
                .also(*first, "first defined here")
                .help("rename one of the two"),
            ImplWithoutStruct { name, span, similar } => maybe(
                Diagnostic::error("E0207", format!("there is no struct `{name}` in this module"))
                    .at(*span, "impl needs a struct of the same module"),
                similar,
            ),
            AssignToLet { name, span, bound } => {
                Diagnostic::error("E0210", format!("`{name}` is bound by let and cannot be changed"))
                    .at(*span, "changed here")
                    .also(*bound, "bound here")
                    .help(format!("make it a variable: var {name} = ..."))
            }
            AssignToLoop { name, span, bound } => {
                Diagnostic::error("E0210", format!("`{name}` is set by the loop and cannot be changed"))
                    .at(*span, "changed here")
                    .also(*bound, "set here")
                    .help(format!("copy it: var my_{name} = {name}"))
            }
            AssignToCaptured { name, span, bound } => {
                Diagnostic::error("E0211", format!("`{name}` is captured by this function, which cannot change it"))
                    .at(*span, "a closure keeps the value that the variable had when the closure was made")
                    .also(*bound, "the variable is defined outside")
                    .help(format!("return the new value, or pass the variable: |inout {name}| ... called with &{name}"))
            }
            AssignToGlobal { name, span, bound } => {
                Diagnostic::error("E0213", format!("a function cannot change the top-level `{name}`"))
                    .at(*span, "changed here")
                    .also(*bound, "defined at the top level")
                    .help(format!("take it as a parameter `inout {name}` and call the function with &{name}"))
            }
            AssignToSelf { span, bound } => {
                Diagnostic::error("E0212", "this method cannot change `self`: it has its own copy")
                    .at(*span, "changed here")
                    .also(*bound, "self is not inout")
                    .help("declare the method with `inout self`, or return self.with(field: value)")
            }
            AssignToFixed { name, span, what } => {
                Diagnostic::error("E0214", format!("`{name}` is {what} and cannot be changed"))
                    .at(*span, "changed here")
                    .help(format!("make a variable of another name: var my_{name} = ..."))
            }
            ImportCycle { path, span } => {
                Diagnostic::error("E0215", format!("modules import each other in a circle: {}", path.join(" -> ")))
                    .at(*span, "this import closes the circle")
                    .help("move what both need into a third module")
            }
            TooManyParams { name, span, count } => {
                Diagnostic::error("E0216", format!("`{name}` has {count} parameters or fields; 64 is the most"))
                    .at(*span, "declared here")
                    .help("group some of them in a struct, list or tensor")
            }
        }
    }
}
