//! What the checker has to say against a program, as data, and its conversion to a [`Diagnostic`].
//!
//! | code | mistake |
//! | --- | --- |
//! | E0301 E0303 E0304 E0310 E0311 ... | what a primitive says of its operands ([`TypeError::Operation`]) |
//! | E0401 E0402 E0403 E0450 | an index out of range, too many, a mask of another shape, a key that is not there |
//! | E0204 E0206 | a module has no such name, or it is private (as `resolve` says of `from` imports) |
//! | E0302 | brackets whose elements do not make a tensor |
//! | E0320 | an argument is missing, or there are too many |
//! | E0321 | no parameter of that name |
//! | E0322 | an argument given twice |
//! | E0323 | a struct has no such field or method |
//! | E0325 | what is called is not a function |
//! | E0326 | `&` is missing, or stands where nothing is changed |
//! | E0327 | a method that changes its receiver, on what cannot be changed |
//! | E0330 | a value does not fit its annotation |
//! | E0331 | the dims of a value do not fit its annotation |
//! | E0332 | a condition is not one bool |
//! | E0333 | what `for` runs over has no elements |
//! | E0334 | a pattern has another number of names than the value has parts |
//! | E0335 | what is indexed has no index, or the index is of the wrong kind |
//! | E0435 | a derivative with respect to what has none |
//! | E0436 | a derivative of what is not one float |
//! | E0437 | a transform of what is no function |
//! | E0438 | `wrt` names no argument |

use std::rc::Rc;

use super::show::{show_a, show_ty};
use super::size::Num;
use super::ty::Ty;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::error::Error;
use crate::resolve::hints;
use crate::source::Span;
use crate::tensor::DType;

/// Where something gets its value that may not change here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    Let,
    Loop,
    /// A `var` of the top level, in a function.
    TopLevel,
    /// A variable that a closure captures.
    Outside,
}

/// A mistake in types or shapes. Each is certain: code that gets there fails.
#[derive(Debug, Clone)]
pub enum TypeError {
    /// An operation refuses its operands; the spans are those of the operands, then where each was made, if elsewhere.
    Operation {
        error: Error,
        operands: Vec<Span>,
        origins: Vec<(Span, String)>,
    },
    /// `[1, "a"]`
    NotElement {
        element: Ty,
        place: Span,
    },
    /// `[1, true]`
    MixedBools {
        place: Span,
    },
    /// `[[1, 2], [3]]`
    Ragged {
        first: String,
        first_place: Span,
        other: String,
        place: Span,
    },
    Missing {
        function: String,
        params: Vec<Rc<str>>,
        declared: Option<Span>,
    },
    TooMany {
        function: String,
        takes: usize,
        given: usize,
        declared: Option<Span>,
    },
    UnknownParam {
        function: String,
        name: Rc<str>,
        params: Vec<Rc<str>>,
        place: Span,
        of_struct: bool,
    },
    Twice {
        function: String,
        name: Rc<str>,
        place: Span,
    },
    NoField {
        ty: Ty,
        name: Rc<str>,
        candidates: Vec<Rc<str>>,
        method: bool,
    },
    Private {
        module: Rc<str>,
        name: Rc<str>,
    },
    NoExport {
        module: Rc<str>,
        name: Rc<str>,
        hint: Option<String>,
    },
    NotCallable {
        ty: Ty,
        callee: Span,
    },
    NeedsReference {
        function: String,
        param: Rc<str>,
        place: Span,
        /// Another argument is marked in its stead.
        swapped: bool,
    },
    NoReference {
        function: String,
        place: Span,
    },
    NotAPlace {
        what: String,
        place: Span,
        made: Option<Span>,
        bound: Bound,
    },
    Mismatch {
        what: String,
        expected: String,
        /// What does not fit, and the value that it is a part of.
        actual: Ty,
        whole: Ty,
        place: Span,
        annotation: Span,
        help: Option<String>,
    },
    DimMismatch {
        sentence: String,
        actual: Ty,
        place: Span,
        annotation: Span,
        bound: Option<(Span, String)>,
        sizes: Vec<usize>,
    },
    Condition {
        ty: Ty,
        place: Span,
    },
    NotIterable {
        ty: Ty,
        place: Span,
    },
    Unpack {
        names: usize,
        ty: Ty,
        parts: usize,
        pattern: Span,
        value: Span,
    },
    NotIndexable {
        ty: Ty,
        base: Span,
    },
    BadIndex {
        sentence: String,
        base: (Span, String),
        place: Span,
        code: &'static str,
    },
    NeedsFunction {
        transform: String,
        ty: Ty,
        place: Span,
    },
    GradOutput {
        transform: String,
        ty: Ty,
        of: String,
        /// Where its result is made.
        result: Option<Span>,
    },
    GradArgument {
        transform: String,
        ty: Ty,
        place: Option<Span>,
    },
    DerivativeOf {
        ty: Ty,
        place: Span,
    },
    Wrt {
        sentence: String,
        help: Option<String>,
    },
}

impl TypeError {
    /// Known sizes that do not fit.
    pub fn sizes(&self) -> Vec<usize> {
        match self {
            TypeError::Operation { error, .. } => error.0.sizes.clone(),
            TypeError::DimMismatch { sizes, .. } => sizes.clone(),
            _ => vec![],
        }
    }

    /// As data for the renderer; `span` is the failing expression.
    pub fn to_diagnostic(&self, span: Span) -> Diagnostic {
        match self {
            TypeError::Operation { error, operands, origins } => operation(error, operands, origins, span),
            TypeError::NotElement { element, place } => {
                let d = Diagnostic::error(
                    "E0302",
                    "brackets make a tensor: its elements are numbers, or tensors of one shape",
                )
                .at(*place, format!("this is {}", show_a(element)));
                d.help("write list(...) for a list, which may hold anything")
            }
            TypeError::MixedBools { place } => Diagnostic::error("E0302", "a tensor cannot mix bool and numbers")
                .at(*place, "this is a bool")
                .help("write 1 or 0 in place of it, or use list(...) for mixed values"),
            TypeError::Ragged { first, first_place, other, place } => Diagnostic::error(
                "E0302",
                format!("brackets make a tensor, but its elements have shapes {first} and {other}"),
            )
            .at(*place, format!("shape {other}"))
            .also(*first_place, format!("shape {first}"))
            .help("all elements need one shape; write list(...) to keep values of different shapes"),
            TypeError::Missing { function, params, declared } => {
                let names = params.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", ");
                let plural = if params.len() == 1 { "argument" } else { "arguments" };
                let d = Diagnostic::error("E0320", format!("{function} misses its {plural} {names}")).at(span, "");
                declared_at(d, *declared)
            }
            TypeError::TooMany { function, takes, given, declared } => {
                let arguments = if *takes == 1 { "argument" } else { "arguments" };
                let d = Diagnostic::error("E0320", format!("{function} takes {takes} {arguments}, not {given}"))
                    .at(span, "");
                let d = match (takes, given) {
                    (0, 1) if function.contains('.') => d.help("declare it with `self` as its first parameter"),
                    (1, 2) if function == "`round`" => d.help(hints::ROUND_DIGITS),
                    _ => d,
                };
                declared_at(d, *declared)
            }
            TypeError::UnknownParam { function, name, params, place, of_struct } => {
                let (code, kind) = if *of_struct { ("E0323", "field") } else { ("E0321", "parameter") };
                let d = Diagnostic::error(code, format!("{function} has no {kind} `{name}`")).at(*place, "");
                let known = || params.iter().map(|p| &**p);
                match hints::for_parameter(name, known()).or_else(|| did_you_mean(name, known())) {
                    Some(near) => d.help(format!("did you mean `{near}`?")),
                    None if params.is_empty() => d.help("it takes no arguments"),
                    None => d.help(format!("its {kind}s: {}", params.join(", "))),
                }
            }
            TypeError::Twice { function, name, place } => {
                Diagnostic::error("E0322", format!("{function} gets `{name}` twice")).at(*place, "given again here")
            }
            TypeError::NoField { ty, name, candidates, method } => no_field(ty, name, candidates, *method).at(span, ""),
            TypeError::Private { module, name } => {
                Diagnostic::error("E0206", format!("`{name}` is private to module `{module}`"))
                    .at(span, "names that start with _ are not exported")
            }
            TypeError::NoExport { module, name, hint } => {
                let d = Diagnostic::error("E0204", format!("module `{module}` has no `{name}`")).at(span, "not there");
                match hint {
                    Some(hint) => d.help(hint.clone()),
                    None => d,
                }
            }
            TypeError::NotCallable { ty, callee } => {
                let d = Diagnostic::error("E0325", format!("{} cannot be called", show_a(ty)))
                    .at(*callee, format!("this is {}", show_ty(ty)));
                match ty {
                    Ty::Struct(s) => d.help(format!(
                        "give it `impl {} {{ fn call(self, ...) = ... }}` to call its values",
                        s.info.name
                    )),
                    Ty::Tensor(_) | Ty::List(_) | Ty::Tuple(_) | Ty::Dict(_) => {
                        d.help("elements are taken with brackets: x[i]")
                    }
                    Ty::Int(_) | Ty::Float => d.help("write `*` to multiply"),
                    _ => d,
                }
            }
            TypeError::NeedsReference { function, param, place, swapped } => {
                let d = Diagnostic::error("E0326", format!("{function} changes its argument `{param}`"));
                match swapped {
                    true => d
                        .at(*place, format!("this stands where `{param}` belongs"))
                        .help(format!("`{param}` is what changes: put the argument with the `&` there")),
                    false => d.at(*place, MARK).help("write `&name` to let the function change the variable"),
                }
            }
            TypeError::NoReference { function, place } => {
                Diagnostic::error("E0326", format!("{function} does not change this argument"))
                    .at(*place, "`&` is for `inout` parameters")
                    .help("leave the `&` out, or declare the parameter `inout`")
            }
            TypeError::NotAPlace { what, place, made, bound } => {
                let d = Diagnostic::error("E0327", what.clone()).at(*place, "this cannot be changed");
                match (made, bound) {
                    (None, _) => d.help("keep the value in a `var` and call the method on that"),
                    (Some(made), Bound::Let) => {
                        d.also(*made, "bound with `let` here").help("bind it with `var` to change it")
                    }
                    (Some(made), Bound::Loop) => {
                        d.also(*made, "a variable of the loop, which takes each element in turn").help(
                            "change the elements in their place: for i in 0..len(xs) { xs[i]... }, where `xs` is a `var`",
                        )
                    }
                    (Some(made), Bound::TopLevel) => d
                        .also(*made, "defined at the top level, which a function cannot change")
                        .help("take it as a parameter, `inout name`, and call the function with `&name`"),
                    (Some(made), Bound::Outside) => d
                        .also(*made, "defined outside: a closure keeps the value that this had when it was made")
                        .help("take it as a parameter, `inout name`, and call the function with `&name`, or return the new value"),
                }
            }
            TypeError::Mismatch { what, expected, actual, whole, place, annotation, help } => {
                let part = match (whole, whole == actual) {
                    (Ty::List(_), false) => "an element of ",
                    (Ty::Dict(_), false) => "a value in ",
                    (Ty::Tuple(_), false) => "a part of ",
                    _ => "",
                };
                let d = Diagnostic::error(
                    "E0330",
                    format!("{part}{what} is annotated {expected}, but gets {}", show_a(actual)),
                )
                .at(*place, format!("this is {}", show_ty(whole)));
                let d = if annotation == place { d } else { d.also(*annotation, "annotated here") };
                let other = match actual {
                    Ty::Tensor(t) if t.dtype == Some(DType::F64) && expected.contains("f32[") => Some("f32"),
                    Ty::Tensor(t) if t.dtype == Some(DType::F32) && expected.contains("f64[") => Some("f64"),
                    _ => None,
                };
                match (help, other) {
                    (Some(help), _) => d.help(help.clone()),
                    (None, Some(dtype)) => d.help(format!("convert it: x.to({dtype}); `float[...]` takes both")),
                    (None, None) => d,
                }
            }
            TypeError::DimMismatch { sentence, actual, place, annotation, bound, .. } => {
                let d = Diagnostic::error("E0331", sentence.clone())
                    .at(*place, format!("this is {}", show_ty(actual)))
                    .also(*annotation, "annotated here");
                match bound {
                    Some((span, remark)) if span != place => d.also(*span, remark.clone()),
                    _ => d,
                }
            }
            TypeError::Condition { ty, place } => {
                let d = Diagnostic::error("E0332", format!("a condition is one bool, and this is {}", show_a(ty)))
                    .at(*place, format!("this is {}", show_ty(ty)));
                match ty {
                    Ty::Tensor(t) if t.dtype == Some(DType::Bool) => {
                        d.help("use all(...) or any(...); where(cond, a, b) chooses element by element")
                    }
                    Ty::Tensor(_) => d.help("compare it and use all(...) or any(...): if all(x > 0) { ... }"),
                    Ty::Int(_) | Ty::Float => d.help("compare it: x != 0"),
                    Ty::None => d.help("compare it: x != none"),
                    Ty::Str(_) | Ty::List(_) | Ty::Dict(_) => d.help("compare its length: len(x) > 0"),
                    _ => d,
                }
            }
            TypeError::NotIterable { ty, place } => {
                let d = Diagnostic::error("E0333", format!("`for` cannot run over {}", show_a(ty)))
                    .at(*place, format!("this is {}", show_ty(ty)));
                match ty {
                    Ty::Int(_) => d.help("write 0..n to count"),
                    _ => d.help("it runs over ranges, tensors, lists, tuples, dicts and strings"),
                }
            }
            TypeError::Unpack { names, ty, parts, pattern, value } => {
                let plural = if *names == 1 { "name" } else { "names" };
                let message = match ty {
                    Ty::Tuple(_) | Ty::List(_) | Ty::Tensor(_) => format!("{names} {plural} for {parts} values"),
                    _ => format!("{} has no parts to give {names} {plural}", show_a(ty)),
                };
                let d = Diagnostic::error("E0334", message).at(*pattern, format!("{names} {plural}"));
                d.also(*value, format!("this is {}", show_ty(ty)))
            }
            TypeError::NotIndexable { ty, base } => {
                let d = Diagnostic::error("E0335", format!("{} has no elements to index", show_a(ty)))
                    .at(span, "")
                    .also(*base, format!("this is {}", show_ty(ty)));
                match ty {
                    Ty::Float | Ty::Int(_) => d.help("it is one number already"),
                    Ty::Struct(_) => d.help("fields are read with a point: p.x"),
                    Ty::Fn(_) => d.help("call it with round brackets: f(x)"),
                    _ => d,
                }
            }
            TypeError::BadIndex { sentence, base, place, code } => {
                let d = Diagnostic::error(code, sentence.clone()).at(*place, "");
                match base.1.strip_prefix("it has `").and_then(|rest| rest.strip_suffix('`')) {
                    Some(near) => d.help(format!("did you mean \"{near}\"?")),
                    None => d.also(base.0, base.1.clone()),
                }
            }
            TypeError::NeedsFunction { transform, ty, place } => {
                let message = format!("{transform} needs a function, and this is {}", show_a(ty));
                Diagnostic::error("E0437", message)
                    .at(*place, format!("this is {}", show_ty(ty)))
                    .help(format!("pass the function itself, not its value: {}(f)(x)", transform.trim_matches('`')))
            }
            TypeError::GradOutput { transform, ty, of, result } => {
                let d =
                    Diagnostic::error("E0436", format!("{transform} needs one float, but {of} returns {}", show_a(ty)))
                        .at(span, "");
                let d = match result {
                    Some(place) => d.also(*place, format!("this is {}", show_ty(ty))),
                    None => d,
                };
                match ty {
                    Ty::Tensor(_) => d.help(crate::ad::transforms::reverse_mode::reduce_help(transform)),
                    Ty::Int(_) => d.help("return a float: float(...), or write 1.0 for 1"),
                    Ty::None => d.help("a function without a last expression gives none: let it end with the loss"),
                    Ty::Tuple(items) if items.len() == 2 => d.help("with `aux: true`, f may return (loss, more)"),
                    _ => d,
                }
            }
            TypeError::GradArgument { transform, ty, place } => {
                let d = Diagnostic::error(
                    "E0435",
                    format!("{transform} needs a float, and this argument is {}", show_a(ty)),
                )
                .at(place.unwrap_or(span), format!("this is {}", show_ty(ty)));
                match ty {
                    Ty::Int(Num::Known(n)) => d.help(format!("write it as a float: {n}.0")),
                    Ty::Int(_) => d.help("make it a float: float(x)"),
                    Ty::Tensor(_) => d.help("make its elements floats: x.to(f32), or write [1.0, 2.0]"),
                    _ => d.help("only floats and what is made of them have derivatives"),
                }
            }
            TypeError::DerivativeOf { ty, place } => {
                let message = format!("`derivative` is for a function of one float, and this is {}", show_ty(ty));
                let d = Diagnostic::error("E0435", message).at(*place, format!("this is {}", show_ty(ty)));
                d.help("use grad(f) for a float result, jacobian(f) for any")
            }
            TypeError::Wrt { sentence, help } => {
                let d = Diagnostic::error("E0438", sentence.clone()).at(span, "");
                match help {
                    Some(help) => d.help(help.clone()),
                    None => d,
                }
            }
        }
    }
}

/// What is said of an argument that lacks its `&`.
pub(super) const MARK: &str = "this must be marked with `&`";

fn declared_at(d: Diagnostic, declared: Option<Span>) -> Diagnostic {
    match declared {
        Some(span) => d.also(span, "declared here"),
        None => d,
    }
}

fn operation(error: &Error, operands: &[Span], origins: &[(Span, String)], span: Span) -> Diagnostic {
    let data = &*error.0;
    let mut d = Diagnostic::error(data.code, data.message.clone()).at(span, "");
    for (i, remark) in &data.operands {
        if let Some(place) = operands.get(*i) {
            d = d.also(*place, remark.clone());
        }
    }
    for (place, remark) in origins {
        if !d.labels.iter().any(|l| l.span == *place) {
            d = d.also(*place, remark.clone());
        }
    }
    d.notes = data.notes.clone();
    d.help = data.help.clone();
    d
}

fn no_field(ty: &Ty, name: &str, candidates: &[Rc<str>], method: bool) -> Diagnostic {
    let owner = match ty {
        Ty::Struct(s) => format!("`{}`", s.info.name),
        Ty::StructType(info) => format!("`{}`", info.name),
        other => show_a(other),
    };
    let kind = if method { "method" } else { "field" };
    let d = Diagnostic::error("E0323", format!("{owner} has no {kind} `{name}`"));
    let is_struct = matches!(ty, Ty::Struct(_) | Ty::StructType(_));
    let of_text = if matches!(ty, Ty::Str(_)) { hints::for_text(name).map(str::to_string) } else { None };
    match of_text.or_else(|| hints::for_member(name, is_struct, candidates.iter().map(|p| &**p))) {
        Some(hint) => d.help(hint),
        // The names of all functions, which may be called as methods, are no help.
        _ if candidates.is_empty() || method && !is_struct => d,
        _ => d.help(format!("it has: {}", candidates.join(", "))),
    }
}
