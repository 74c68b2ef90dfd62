//! Calls of primitives and builtins: arguments in the order of the signature, then its `infer` rule, unless the
//! checker knows more (`structures.rs`, `transforms.rs`).

use std::rc::Rc;

use super::Checker;
use super::call::{ArgVal, Outcome, ParamInfo};
use super::error::TypeError;
use super::leafwise::{infer_prim, plain};
use super::size::Num;
use super::ty::{TensorTy, Ty};
use crate::builtins::{Builtin, fail};
use crate::error::Error;
use crate::ops::prim::{Default, ParamKind, Prim, Sig};
use crate::resolve::FnId;
use crate::source::Span;
use crate::tensor::DType;

/// Of what is private to the library, those that say only where the operands clash: the place in the library tells which they are.
const TOLD_BY_PLACE: &[&str] = &["_layer_norm"];

/// A function of the host.
#[derive(Clone, Copy)]
pub(super) enum Host {
    Prim(&'static Prim),
    Builtin(&'static Builtin),
}

impl Host {
    pub fn sig(&self) -> &'static Sig {
        match self {
            Host::Prim(p) => &p.sig,
            Host::Builtin(b) => &b.sig,
        }
    }
}

/// Arguments in the order of the signature.
pub(super) struct HostArgs {
    pub types: Vec<Ty>,
    pub spans: Vec<Span>,
    /// By parameter, the argument that it got.
    pub from: Vec<Option<usize>>,
}

impl HostArgs {
    pub fn ty(&self, i: usize) -> &Ty {
        const ANY: &Ty = &Ty::Any;
        self.types.get(i).unwrap_or(ANY)
    }

    pub fn span(&self, i: usize) -> Span {
        self.spans.get(i).copied().unwrap_or_default()
    }

    pub fn is_given(&self, i: usize) -> bool {
        self.from.get(i).is_some_and(|f| f.is_some())
    }
}

impl Checker {
    /// Calls a primitive or builtin.
    pub(super) fn call_host(&mut self, name: &'static str, args: Vec<ArgVal>, site: Span) -> Outcome {
        if name == "dict" {
            return Outcome::of(self.make_dict(&args));
        }
        let Some(host) = self.host.get(name).copied() else { return Outcome::unknown(&args) };
        let Some(matched) = self.host_args(name, host.sig(), &args, site) else { return Outcome::failed() };
        if args.iter().any(|a| a.ty == Ty::Never) {
            return Outcome::unknown(&args);
        }
        if let Some((error, place)) = super::size_args::wrong_size(name, host.sig(), &matched, &args) {
            self.report(TypeError::Operation { error, operands: vec![place], origins: vec![] }, site);
            return Outcome::failed();
        }
        if let Some(outcome) = self.transform(name, &matched, site) {
            return outcome;
        }
        if let Some(outcome) = self.structural(name, &matched, site) {
            return outcome;
        }
        if name == "exit" {
            self.frame.may_exit();
        } else if args.iter().any(|a| matches!(a.ty, Ty::Fn(_))) {
            self.unknown_call();
        }
        if matches!(name, "write_text" | "write_bytes" | "_io_save") {
            self.note_written(matched.ty(0));
        }
        let result = match host {
            _ if name == "_load_csv"
                && let Some(ty) = self.glimpse(matched.ty(0)) =>
            {
                Ok(ty)
            }
            _ if name == "_read_table"
                && let Some(ty) = self.glimpse_names(matched.ty(0)) =>
            {
                Ok(ty)
            }
            Host::Prim(prim) => infer_prim(prim, &matched.types),
            Host::Builtin(builtin) => {
                let types: Vec<Ty> = matched.types.iter().map(plain).collect();
                // A builtin of a primitive's name wraps it: `sum` of a list.
                match crate::ops::find(name) {
                    Some(prim) if is_numeric(matched.ty(0)) && fits(prim, builtin, &matched) => {
                        infer_prim(prim, &types[..prim.sig.params.len()])
                    }
                    _ => (builtin.infer)(&types),
                }
            }
        };
        let result = match (name, matched.ty(0)) {
            ("assert", Ty::Bool(Some(false))) => match self.failed_assert(&matched, site) {
                Some(error) => Err(error),
                None => return Outcome::of(Ty::Never),
            },
            _ => result,
        };
        let failed = result.is_err();
        let says_all = name == "assert" || name.starts_with('_') && !TOLD_BY_PLACE.contains(&name);
        self.hide_place = failed && self.frame.module.is_library && says_all;
        let ty = match result {
            Ok(Ty::Int(Num::Unknown)) => Ty::Int(unknown_int(name, &matched)),
            Ok(ty) => self.with_default_dtype(name, host.sig(), &matched, ty),
            Err(error) => {
                let operands = operands_of(host.sig(), &matched, &args);
                self.report(TypeError::Operation { error, operands, origins: vec![] }, site)
            }
        };
        if name == "assert" && self.frame.module.is_library && failed && self.frame.is_certain() {
            // Nothing comes back: what the caller does with it is no mistake of its own.
            self.leave(Ty::Any, site, None);
        }
        let outs = args.iter().enumerate().filter(|(_, a)| a.inout).map(|(i, _)| (i, Ty::Any)).collect();
        Outcome { ty, outs }
    }

    /// An assertion that certainly fails: what comes after it in the function is not reached. In the library it is told with
    /// its message, and so it is in a function that turns down its arguments; elsewhere the run tells it.
    fn failed_assert(&mut self, args: &HostArgs, site: Span) -> Option<Error> {
        let Ty::Str(Some(text)) = args.ty(1) else { return None };
        let error = Error::new(fail::ASSERTION, &**text);
        if self.frame.module.is_library {
            return Some(error);
        }
        if self.frame.function != FnId(0) && self.frame.is_certain() && !self.in_test {
            let error = error.operand(0, "this is false");
            self.report(TypeError::Operation { error, operands: args.spans.clone(), origins: vec![] }, site);
            self.leave(Ty::Any, site, None);
        }
        None
    }

    /// A conversion: `int(x)`, `f32(x)` if names of dtypes are called.
    pub(super) fn call_dtype(&mut self, dtype: Option<DType>, args: &[ArgVal]) -> Outcome {
        let ty = match (args, dtype) {
            ([x], Some(_)) => match &x.ty {
                Ty::Tensor(t) => Ty::Tensor(TensorTy { dtype, dims: t.dims.clone() }),
                _ => Ty::Any,
            },
            _ => Ty::Any,
        };
        Outcome::of(ty)
    }

    fn host_args(&mut self, name: &str, sig: &'static Sig, args: &[ArgVal], site: Span) -> Option<HostArgs> {
        let rest = sig.params.iter().position(|p| is_rest(p.kind));
        let mut infos: Vec<ParamInfo> = sig
            .params
            .iter()
            .enumerate()
            .map(|(i, p)| ParamInfo {
                name: p.name,
                required: matches!(p.kind, ParamKind::Required | ParamKind::Inout),
                inout: p.kind == ParamKind::Inout,
                named_only: rest.is_some_and(|r| i > r),
            })
            .collect();
        // All further positional arguments go to `rest` as one tuple.
        let mut rest_args: Vec<&ArgVal> = vec![];
        let mut kept: Vec<&ArgVal> = Vec::with_capacity(args.len());
        let mut original: Vec<usize> = vec![];
        let mut count = 0;
        for (i, arg) in args.iter().enumerate() {
            if arg.name.is_none() {
                count += 1;
                if rest.is_some_and(|r| count > r) {
                    rest_args.push(arg);
                    continue;
                }
            }
            kept.push(arg);
            original.push(i);
        }
        if let Some(r) = rest
            && let Some(info) = infos.get_mut(r)
        {
            // Given by position only.
            info.required = false;
            info.named_only = true;
        }
        let slots = self.match_args(&|| format!("`{name}`"), &infos, &kept, None, site)?;
        let of_each = sig.params.len();
        let mut out = HostArgs {
            types: Vec::with_capacity(of_each),
            spans: Vec::with_capacity(of_each),
            from: Vec::with_capacity(of_each),
        };
        for (i, param) in sig.params.iter().enumerate() {
            if Some(i) == rest && slots.get(i).copied().flatten().is_none() {
                out.types.push(rest_type(param.kind, &rest_args));
                out.spans.push(span_of(&rest_args, site));
                out.from.push(None);
                continue;
            }
            let at = slots.get(i).copied().flatten();
            match at.and_then(|k| kept.get(k)) {
                Some(arg) => {
                    out.types.push(arg.ty.clone());
                    out.spans.push(arg.span);
                }
                None => {
                    out.types.push(default_type(param.kind));
                    out.spans.push(site);
                }
            }
            out.from.push(at.and_then(|k| original.get(k).copied()));
        }
        Some(out)
    }

    /// Tensors made without a dtype have the default one.
    fn with_default_dtype(&mut self, name: &str, sig: &Sig, args: &HostArgs, ty: Ty) -> Ty {
        let Ty::Tensor(TensorTy { dtype: None, dims }) = &ty else { return ty };
        let given = sig.params.iter().position(|p| p.name == "dtype").map(|i| args.ty(i).clone());
        let makes_floats = match name {
            "zeros" | "ones" | "eye" | "linspace" | "rand" | "randn" | "one_hot" | "_load_csv" => true,
            "full" => args.types.contains(&Ty::Float),
            "arange" => args.types.iter().take(3).any(|t| *t == Ty::Float),
            _ => return ty,
        };
        let dtype = match given {
            None | Some(Ty::None) if makes_floats => self.dtype,
            Some(Ty::DType(dtype)) => dtype,
            _ => None,
        };
        Ty::Tensor(TensorTy { dtype, dims: dims.clone() })
    }
}

/// An int that is no known number, with what is known of it.
fn unknown_int(name: &str, args: &HostArgs) -> Num {
    match (name, args.ty(0)) {
        ("count_nonzero", _) => Num::at_least(0),
        ("randint", Ty::Int(low)) => low.lower().map_or(Num::Unknown, Num::at_least),
        _ => Num::Unknown,
    }
}

/// The places that an error means by the numbers of its operands: those of the parameters; where one parameter takes all
/// further arguments, those of the arguments.
fn operands_of(sig: &Sig, matched: &HostArgs, args: &[ArgVal]) -> Vec<Span> {
    match sig.params.iter().any(|p| is_rest(p.kind)) {
        true => args.iter().filter(|a| a.name.is_none()).map(|a| a.span).collect(),
        false => matched.spans.clone(),
    }
}

fn is_rest(kind: ParamKind) -> bool {
    !matches!(kind, ParamKind::Required | ParamKind::Optional(_) | ParamKind::Inout)
}

/// A single tuple or list is the rest itself for [`ParamKind::Rest`].
fn rest_type(kind: ParamKind, args: &[&ArgVal]) -> Ty {
    if kind == ParamKind::Rest
        && let [only] = args
    {
        match &only.ty {
            Ty::Tuple(_) => return only.ty.clone(),
            Ty::List(list) => {
                return match &list.items {
                    Some(items) => Ty::Tuple(Rc::new(items.clone())),
                    None => Ty::Any,
                };
            }
            Ty::Any => return Ty::Any,
            _ => {}
        }
    }
    Ty::tuple(args.iter().map(|a| a.ty.clone()).collect())
}

fn span_of(args: &[&ArgVal], site: Span) -> Span {
    match args {
        [] => site,
        [first, .., last] => first.span.to(last.span),
        [one] => one.span,
    }
}

fn default_type(kind: ParamKind) -> Ty {
    match kind {
        ParamKind::Optional(Default::Bool(b)) => Ty::Bool(Some(b)),
        ParamKind::Optional(Default::Int(n)) => Ty::Int(Num::Known(n)),
        ParamKind::Optional(Default::Float(_)) => Ty::Float,
        ParamKind::Optional(Default::Str(s)) => Ty::Str(Some(s.into())),
        _ => Ty::None,
    }
}

fn is_numeric(ty: &Ty) -> bool {
    matches!(ty, Ty::Tensor(_) | Ty::Float | Ty::Int(_) | Ty::Bool(_))
}

/// The wrapping builtin has the primitive's parameters, by name, and perhaps more that are not used.
fn fits(prim: &Prim, builtin: &Builtin, args: &HostArgs) -> bool {
    let (inner, outer) = (prim.sig.params, builtin.sig.params);
    inner.len() <= outer.len()
        && inner.iter().zip(outer).all(|(a, b)| a.name == b.name)
        && (inner.len()..outer.len()).all(|i| !args.is_given(i))
}
