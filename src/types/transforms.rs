//! `grad` and its kin: functions made of functions, and the types of derivatives.

use std::rc::Rc;

use super::Checker;
use super::call::{ArgVal, Outcome};
use super::custom::with_rule;
use super::error::TypeError;
use super::host::HostArgs;
use super::join::join;
use super::show::{show_a, show_kind};
use super::size::Num;
use super::ty::{DictTy, Dim, Dims, FnTy, ListTy, StructTy, TensorTy, Ty};
use crate::ad::transforms::custom::Kind;
use crate::source::Span;

/// Which arguments a derivative is asked of.
enum Wrt {
    One(usize),
    Many(Vec<usize>),
    Unknown,
}

impl Checker {
    /// The result of a transform; `None` if `name` is none.
    pub(super) fn transform(&mut self, name: &'static str, args: &HostArgs, site: Span) -> Option<Outcome> {
        let made = |args: Vec<Ty>| Outcome::of(Ty::Fn(FnTy::Made { transform: name, args: Rc::new(args) }));
        match name {
            "grad" | "value_and_grad" | "derivative" | "jacobian" | "hessian" | "sparse_jacobian"
            | "sparse_hessian" | "vmap" | "custom_vjp" | "custom_jvp" => {
                let f = args.ty(0);
                if certainly_not_callable(f) {
                    let (transform, ty, place) = (format!("`{name}`"), f.clone(), args.span(0));
                    self.report(TypeError::NeedsFunction { transform, ty, place }, place);
                    return Some(Outcome::of(Ty::Any));
                }
                if matches!(name, "grad" | "value_and_grad")
                    && matches!(args.ty(1), Ty::Float | Ty::Tensor(TensorTy { dims: Some(_), .. }) | Ty::Struct(_))
                {
                    let error = crate::ad::transforms::not_a_target(&show_kind(args.ty(1)), true);
                    let error = error.operand(1, format!("this is {}", show_a(args.ty(1))));
                    let operands = args.spans.clone();
                    self.report(TypeError::Operation { error, operands, origins: vec![] }, site);
                    return Some(Outcome::of(Ty::Any));
                }
                if name == "value_and_grad"
                    && !matches!(args.ty(2), Ty::Any | Ty::Never | Ty::Bool(_) | Ty::None | Ty::Tensor(_))
                {
                    let error = crate::ad::transforms::not_a_flag(&show_a(args.ty(2)));
                    let operands = args.spans.clone();
                    self.report(TypeError::Operation { error, operands, origins: vec![] }, site);
                    return Some(Outcome::of(Ty::Any));
                }
                Some(if name == "checkpoint" { Outcome::of(f.clone()) } else { made(args.types.clone()) })
            }
            "stop_grad" => Some(Outcome::of(args.ty(0).clone())),
            "vjp" | "jvp" | "hvp" => {
                let f = args.ty(0).clone();
                // `vjp` takes several points, as a tuple, unless the function has one parameter.
                let alone = self.parameter_names(&f).is_some_and(|names| names.len() == 1);
                let xs = match (name, args.ty(1)) {
                    (_, Ty::Any) => return None,
                    ("vjp", Ty::Tuple(xs)) if !alone || xs.len() == 1 => xs.to_vec(),
                    (_, x) => vec![x.clone()],
                };
                for x in &xs {
                    if xs.len() == 1 && self.refuse_argument(name, &ArgVal::positional(x.clone(), args.span(1))) {
                        return Some(Outcome::of(Ty::Any));
                    }
                }
                if name != "vjp"
                    && let ([x], v) = (xs.as_slice(), args.ty(2))
                    && certainly_unlike(&gradient_of(x, 0), v, 0)
                {
                    let error = crate::ad::transforms::unlike_tangent(&show_a(v), &show_a(x))
                        .operand(1, format!("this is {}", show_a(x)))
                        .operand(2, format!("this is {}", show_a(v)));
                    let operands = args.spans.clone();
                    return Some(Outcome::of(
                        self.report(TypeError::Operation { error, operands, origins: vec![] }, site),
                    ));
                }
                let known = self.frame.problems.len();
                let ret = self.call_quiet_result(&f, xs.clone(), args.span(1), site);
                if name != "vjp" && self.parameter_names(&f).is_some_and(|names| names.len() > 1) {
                    for problem in self.frame.problems.iter_mut().skip(known).filter(|p| p.diagnostic.code == "E0320") {
                        problem.diagnostic.help = Some(format!(
                            "`{name}` takes a function of one argument: |(x, y)| ... takes a tuple apart"
                        ));
                    }
                }
                if name == "hvp" && with_rule(&f).is_none() && certainly_not_float(&ret) {
                    let error = self.not_one_float(name, &f, ret);
                    return Some(Outcome::of(self.report(error, site)));
                }
                let what = match name {
                    "vjp" => "the pullback",
                    "jvp" => "the directional derivative",
                    _ => "the product with the Hessian",
                };
                if xs.len() == 1 {
                    self.warn_dead_gradient(what, &f, 0, site);
                }
                let x = match xs.as_slice() {
                    [x] => gradient_of(x, 0),
                    all => Ty::tuple(all.iter().map(|x| gradient_of(x, 0)).collect()),
                };
                Some(Outcome::of(match name {
                    "vjp" => {
                        let pullback = FnTy::Made { transform: "pullback", args: Rc::new(vec![x, ret.clone()]) };
                        Ty::tuple(vec![ret, Ty::Fn(pullback)])
                    }
                    "jvp" => Ty::tuple(vec![ret.clone(), gradient_of(&ret, 0)]),
                    _ => x,
                }))
            }
            "root" | "fixed_point" => {
                let (f, x) = (args.ty(0).clone(), args.ty(1).clone());
                if matches!(x, Ty::Any) {
                    return None;
                }
                if self.refuse_argument(name, &ArgVal::positional(x.clone(), args.span(1))) {
                    return Some(Outcome::of(Ty::Any));
                }
                self.call_quiet_result(&f, vec![x.clone()], args.span(1), site);
                Some(Outcome::of(x))
            }
            "check_grad" => {
                let f = args.ty(0).clone();
                match args.ty(1) {
                    Ty::Any | Ty::Tuple(_) => {}
                    x => {
                        let x = x.clone();
                        self.call_quiet_result(&f, vec![x], args.span(1), site);
                    }
                }
                None
            }
            _ => None,
        }
    }

    /// Calls a function that a transform made.
    pub(super) fn call_made(
        &mut self,
        transform: &'static str,
        made: &Rc<Vec<Ty>>,
        args: Vec<ArgVal>,
        callee: Span,
        site: Span,
    ) -> Outcome {
        let at = |i: usize| made.get(i).cloned().unwrap_or_default();
        let f = at(0);
        match transform {
            "method" => {
                let mut all = vec![ArgVal::positional(f, callee)];
                all.extend(args);
                let mut outcome = self.call_value(&at(1), all, callee, site);
                outcome.outs = outcome.outs.into_iter().filter_map(|(i, t)| Some((i.checked_sub(1)?, t))).collect();
                outcome
            }
            "pullback" => {
                let result = at(1);
                if let [bar] = args.as_slice()
                    && certainly_unlike(&gradient_of(&result, 0), &bar.ty, 0)
                {
                    let error = crate::ad::transforms::unlike_cotangent(&show_a(&bar.ty), &show_a(&result))
                        .operand(0, format!("this is {}", show_a(&bar.ty)));
                    let operands = vec![bar.span];
                    return Outcome::of(self.report(TypeError::Operation { error, operands, origins: vec![] }, site));
                }
                Outcome::of(f)
            }
            "grad" | "value_and_grad" => {
                let aux = made.get(2).cloned().unwrap_or(Ty::Bool(Some(false)));
                self.call_grad(transform, &f, &at(1), &aux, args, callee, site)
            }
            "derivative" => {
                if let Some(x) = args.first()
                    && (self.refuse_argument("derivative", x) || self.refuse_structure(x))
                {
                    return Outcome::of(Ty::Any);
                }
                let ret = self.call_value(&f, args, callee, site).ty;
                self.warn_dead_gradient("the derivative", &f, 0, site);
                Outcome::of(gradient_of(&ret, 0))
            }
            "jacobian" | "hessian" => {
                if let Some(x) = args.first()
                    && self.refuse_argument(transform, x)
                {
                    return Outcome::of(Ty::Any);
                }
                let x = args.first().map(|a| a.ty.clone()).unwrap_or_default();
                let single = args.len() == 1;
                let ret = self.call_value(&f, args, callee, site).ty;
                if transform == "hessian" && with_rule(&f).is_none() && certainly_not_float(&ret) {
                    let error = self.not_one_float(transform, &f, ret);
                    return Outcome::of(self.report(error, site));
                }
                // A linear function has second derivative zero, and that is seldom a mistake; what is flat is.
                let what = if transform == "hessian" { "the Hessian" } else { "the Jacobian" };
                self.warn_dead_gradient(what, &f, 0, site);
                let out = if transform == "hessian" { &x } else { &ret };
                let ty = match (out.dims(), x.dims(), single) {
                    (Some(out_dims), Some(in_dims), true) => {
                        let dims: Dims = out_dims.iter().chain(in_dims.iter()).copied().collect();
                        let dtype = match (out, &x) {
                            (Ty::Tensor(a), Ty::Tensor(b)) if a.dtype == b.dtype => a.dtype,
                            (Ty::Tensor(a), Ty::Float) | (Ty::Float, Ty::Tensor(a)) => a.dtype,
                            _ => None,
                        };
                        if dims.is_empty() { Ty::Float } else { Ty::Tensor(TensorTy { dtype, dims: Some(dims) }) }
                    }
                    _ => Ty::Any,
                };
                Outcome::of(ty)
            }
            "sparse_jacobian" | "sparse_hessian" => {
                if let Some(x) = args.first() {
                    self.refuse_argument(transform, x);
                }
                let ret = self.call_value(&f, args, callee, site).ty;
                if transform == "sparse_hessian" && with_rule(&f).is_none() && certainly_not_float(&ret) {
                    let error = self.not_one_float(transform, &f, ret);
                    return Outcome::of(self.report(error, site));
                }
                Outcome::of(Ty::Any)
            }
            "vmap" => self.call_vmap(&f, &at(1), args, callee, site),
            "custom_vjp" => self.call_custom(Kind::Vjp, made, args, callee, site),
            "custom_jvp" => self.call_custom(Kind::Jvp, made, args, callee, site),
            _ => {
                self.unknown_call();
                Outcome::unknown(&args)
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn call_grad(
        &mut self,
        transform: &'static str,
        f: &Ty,
        wrt: &Ty,
        aux: &Ty,
        args: Vec<ArgVal>,
        callee: Span,
        site: Span,
    ) -> Outcome {
        if args.iter().any(|a| a.inout) {
            return Outcome::unknown(&args);
        }
        let wrt = self.wrt(f, wrt, &args, site);
        let mut wrong = false;
        // Beside others, what has no derivative is `none` in the gradient.
        let alone =
            |all: &[usize]| all.iter().all(|i| args.get(*i).is_some_and(|arg| certainly_without_float(&arg.ty, 0)));
        let refuse = match &wrt {
            Wrt::Many(all) => alone(all),
            _ => true,
        };
        let mut gradient = |checker: &mut Checker, i: usize| {
            let Some(arg) = args.get(i) else { return Ty::Any };
            wrong |= refuse && checker.refuse_argument(transform, arg);
            gradient_of(&arg.ty, 0)
        };
        let gradient = match &wrt {
            Wrt::One(i) => gradient(self, *i),
            Wrt::Many(all) => Ty::tuple(all.iter().map(|i| gradient(self, *i)).collect()),
            Wrt::Unknown => Ty::Any,
        };
        let asked = match &wrt {
            Wrt::One(i) => vec![*i],
            Wrt::Many(all) => all.clone(),
            Wrt::Unknown => vec![],
        };
        let moved = |i: &usize| args.get(*i).is_some_and(|a| matches!(a.ty, Ty::Float | Ty::Tensor(_)));
        let rule = with_rule(f).filter(|(kind, ..)| *kind == Kind::Vjp && asked.iter().any(moved));
        let has_rule = rule.is_some();
        let ret = match rule {
            Some((_, _, rule)) if !wrong => self.call_reverse_rule(&rule, &args, &asked, callee, site),
            _ => self.call_value(f, args, callee, site).ty,
        };
        if wrong || self.frame.dead {
            return Outcome::of(Ty::Any);
        }
        let (loss, known) = match (aux, &ret) {
            (Ty::Bool(Some(false)) | Ty::None, _) => (ret.clone(), true),
            (Ty::Bool(Some(true)), Ty::Tuple(items)) if items.len() == 2 => {
                (items.first().cloned().unwrap_or_default(), true)
            }
            _ => (Ty::Any, false),
        };
        if known && certainly_not_float(&loss) {
            let error = match has_rule {
                true => {
                    let of = "the rule of custom_vjp".into();
                    TypeError::GradOutput { transform: format!("`{transform}`"), ty: loss, of, result: None }
                }
                false => self.not_one_float(transform, f, loss),
            };
            return Outcome::of(self.report(error, site));
        }
        match wrt {
            Wrt::One(i) => self.warn_dead_gradient("the gradient", f, i, site),
            Wrt::Many(all) => all.iter().for_each(|i| self.warn_dead_gradient("the gradient", f, *i, site)),
            Wrt::Unknown => {}
        }
        let value = match (&ret, aux) {
            (Ty::Any, Ty::Bool(Some(false)) | Ty::None) => Ty::Float,
            _ => ret,
        };
        Outcome::of(if transform == "grad" { gradient } else { Ty::tuple(vec![value, gradient]) })
    }

    /// The error for a derivative of a function whose result is certainly not one float.
    fn not_one_float(&self, transform: &str, f: &Ty, ty: Ty) -> TypeError {
        let (of, result) = (self.function_name(f), self.result_place(f));
        TypeError::GradOutput { transform: format!("`{transform}`"), ty, of, result }
    }

    /// Which arguments `wrt` means, by position in the call.
    fn wrt(&mut self, f: &Ty, wrt: &Ty, args: &[ArgVal], site: Span) -> Wrt {
        let names = self.parameter_names(f);
        let position = |checker: &mut Checker, ty: &Ty| -> Option<usize> {
            match ty {
                Ty::Int(Num::Known(i)) => {
                    // Negative positions count from the last argument.
                    let given = i64::try_from(args.len()).unwrap_or(i64::MAX);
                    let at = usize::try_from(if *i < 0 { i.saturating_add(given) } else { *i }).ok();
                    let beyond = |n: &Vec<Rc<str>>| at.is_none_or(|i| i >= n.len());
                    if let Some(names) = names.as_ref().filter(|n| beyond(n)) {
                        let plural = if names.len() == 1 { "parameter" } else { "parameters" };
                        let sentence = format!("there is no argument {i}: the function has {} {plural}", names.len());
                        checker.report(TypeError::Wrt { sentence, help: Some("arguments count from 0".into()) }, site);
                        return None;
                    }
                    let name = names.as_ref().and_then(|n| n.get(at?));
                    let positional = args.iter().take_while(|a| a.name.is_none()).count();
                    match at {
                        Some(i) if i < positional => Some(i),
                        _ => args.iter().position(|a| a.name.is_some() && a.name.as_ref() == name),
                    }
                }
                Ty::Str(Some(name)) => {
                    if let Some(names) = &names
                        && !names.iter().any(|n| n == name)
                    {
                        let near = crate::diagnostic::did_you_mean(name, names.iter().map(|n| &**n));
                        let help = near.map(|n| format!("did you mean \"{n}\"?"));
                        let sentence = format!("wrt: the function has no parameter `{name}`");
                        checker.report(TypeError::Wrt { sentence, help }, site);
                        return None;
                    }
                    let named = args.iter().position(|a| a.name.as_ref() == Some(name));
                    named.or_else(|| names.as_ref()?.iter().position(|n| n == name).filter(|i| *i < args.len()))
                }
                _ => None,
            }
        };
        match wrt {
            Ty::Tuple(all) => {
                let all: Option<Vec<usize>> = all.iter().map(|t| position(self, t)).collect();
                all.map_or(Wrt::Unknown, Wrt::Many)
            }
            Ty::None => Wrt::One(0),
            other => position(self, other).map_or(Wrt::Unknown, Wrt::One),
        }
    }

    /// Names of a function's parameters, without `self` of a value that is called.
    fn parameter_names(&self, f: &Ty) -> Option<Vec<Rc<str>>> {
        let (module, index, skip) = match f {
            Ty::Fn(FnTy::User { module, index, .. }) => (*module, *index, 0),
            Ty::Struct(s) => {
                let (module, index) = self.method(&s.info, "call")?;
                (module, index, 1)
            }
            _ => return None,
        };
        let decl = self.modules.get(module as usize)?.resolved.functions.get(index as usize)?.decl.clone()?;
        let name = |p: &crate::syntax::ast::Param| p.pattern.name().map_or_else(|| "".into(), |n| n.name.clone());
        Some(decl.params.iter().skip(skip).map(name).collect())
    }

    /// Where a function of the user's makes its result.
    fn result_place(&self, f: &Ty) -> Option<Span> {
        let Ty::Fn(FnTy::User { module, index, .. }) = f else { return None };
        let module = self.modules.get(*module as usize).filter(|m| !m.is_library)?;
        let decl = module.resolved.functions.get(*index as usize)?.decl.clone()?;
        Some(super::call::value_span(&decl.body))
    }

    fn function_name(&self, f: &Ty) -> String {
        let name = match f {
            Ty::Fn(FnTy::User { module, index, .. }) => {
                self.modules.get(*module as usize).and_then(|m| m.resolved.functions.get(*index as usize))
            }
            _ => None,
        };
        name.map_or("the function".into(), |f| super::quoted(&f.name))
    }

    /// Reports an argument that has no derivative at all; true if it did.
    fn refuse_argument(&mut self, transform: &str, arg: &ArgVal) -> bool {
        let refused = certainly_without_float(&arg.ty, 0);
        if refused {
            let error = TypeError::GradArgument {
                transform: format!("`{transform}`"),
                ty: arg.ty.clone(),
                place: Some(arg.span),
            };
            self.report(error, arg.span);
        }
        refused
    }

    /// `derivative` is for functions of one float; true if this certainly is none.
    fn refuse_structure(&mut self, x: &ArgVal) -> bool {
        let refused = x.ty.is_structure() || matches!(&x.ty, Ty::Tensor(t) if t.dims.is_some());
        if refused {
            self.report(TypeError::DerivativeOf { ty: x.ty.clone(), place: x.span }, x.span);
        }
        refused
    }

    /// `vmap(f)(xs, ...)`: f of the elements along axis 0, results stacked.
    fn call_vmap(&mut self, f: &Ty, axes: &Ty, args: Vec<ArgVal>, callee: Span, site: Span) -> Outcome {
        if !matches!(axes, Ty::Int(Num::Known(0))) || args.iter().any(|a| a.inout) {
            let unknown = Outcome::unknown(&args);
            let args = args.into_iter().map(|a| ArgVal { ty: Ty::Any, ..a }).collect();
            self.call_value(f, args, callee, site);
            return unknown;
        }
        let leading =
            |a: &ArgVal| a.ty.dims().and_then(|d| if let Some(Dim::Known(n)) = d.first() { Some(*n) } else { None });
        let lengths: Vec<(usize, Option<usize>)> = args.iter().map(leading).enumerate().collect();
        if let Some(&(first, Some(m))) = lengths.iter().find(|(_, n)| n.is_some())
            && let Some(&(i, Some(n))) = lengths.iter().find(|(_, n)| n.is_some_and(|n| n != m))
        {
            let error = crate::ad::transforms::unequal_axes((first, m), (i, n));
            let operands = args.iter().map(|a| a.span).collect();
            return Outcome::of(self.report(TypeError::Operation { error, operands, origins: vec![] }, site));
        }
        let mut count = None;
        let inner = args.iter().map(|a| ArgVal { ty: example(&a.ty, &mut count, 0), ..a.clone() }).collect();
        let ret = self.call_value(f, inner, callee, site).ty;
        Outcome::of(match count {
            Some(count) => batched(&ret, count, 0),
            None => Ty::Any,
        })
    }
}

/// One example of a batch; scalars go to every example.
fn example(ty: &Ty, count: &mut Option<Dim>, depth: usize) -> Ty {
    match ty {
        _ if depth > 16 => Ty::Any,
        Ty::Tensor(TensorTy { dtype, dims: Some(dims) }) if !dims.is_empty() => {
            let first = dims.first().copied().unwrap_or(Dim::Unknown);
            if !matches!(count, Some(Dim::Known(_))) {
                *count = Some(first);
            }
            Ty::of(*dtype, Some(dims.iter().skip(1).copied().collect()))
        }
        Ty::Tensor(_) => Ty::Any,
        Ty::Tuple(items) => Ty::tuple(items.iter().map(|t| example(t, count, depth + 1)).collect()),
        Ty::Struct(s) => {
            let fields = s.fields.iter().map(|t| example(t, count, depth + 1)).collect();
            Ty::Struct(Rc::new(StructTy { fields, ..(**s).clone() }))
        }
        Ty::List(_) | Ty::Dict(_) => Ty::Any,
        other => other.clone(),
    }
}

/// True where a tangent certainly has not the structure and shape of what it belongs to. Ints stand for floats, `none`
/// for what has no derivative.
pub(super) fn certainly_unlike(like: &Ty, ty: &Ty, depth: usize) -> bool {
    let any =
        |a: &[Ty], b: &[Ty]| a.len() != b.len() || a.iter().zip(b).any(|(a, b)| certainly_unlike(a, b, depth + 1));
    match (like, ty) {
        _ if depth > 16 => false,
        (Ty::Any | Ty::Never | Ty::None, _) | (_, Ty::Any | Ty::Never | Ty::None) => false,
        (Ty::Tuple(a), Ty::Tuple(b)) => any(a, b),
        (Ty::Struct(a), Ty::Struct(b)) => a.info.at != b.info.at || any(&a.fields, &b.fields),
        (Ty::Tuple(_), Ty::Float | Ty::Tensor(_)) | (Ty::Float | Ty::Tensor(_), Ty::Tuple(_) | Ty::Str(_)) => true,
        (Ty::Float | Ty::Tensor(_), Ty::Float | Ty::Int(_) | Ty::Tensor(_)) => match (like.dims(), ty.dims()) {
            (Some(a), Some(b)) => {
                a.len() != b.len()
                    || a.iter().zip(&b).any(|(a, b)| matches!((a, b), (Dim::Known(a), Dim::Known(b)) if a != b))
            }
            _ => false,
        },
        _ => false,
    }
}

/// True for an argument in which nothing has a derivative.
fn certainly_without_float(ty: &Ty, depth: usize) -> bool {
    // An empty structure is a vector of no entries.
    let none_of = |items: &[Ty]| !items.is_empty() && items.iter().all(|t| certainly_without_float(t, depth + 1));
    match ty {
        _ if depth > 16 => false,
        Ty::Int(_) | Ty::Bool(_) | Ty::Str(_) | Ty::None | Ty::Range | Ty::SomeRange | Ty::RangeOf(_) => true,
        Ty::Tensor(t) => t.dims.is_some() && t.dtype.is_some_and(|d| !d.is_float()),
        Ty::Tuple(items) => none_of(items),
        Ty::List(list) => list.items.as_ref().is_some_and(|items| none_of(items)),
        Ty::Struct(s) => {
            let mut fields = s.info.fields.iter().zip(&s.fields);
            !s.fields.is_empty() && fields.all(|(f, t)| f.nograd || certainly_without_float(t, depth + 1))
        }
        _ => false,
    }
}

fn certainly_not_callable(ty: &Ty) -> bool {
    matches!(
        ty,
        Ty::None
            | Ty::Bool(_)
            | Ty::Int(_)
            | Ty::Float
            | Ty::Str(_)
            | Ty::Tensor(_)
            | Ty::List(_)
            | Ty::Range
            | Ty::SomeRange
    )
}

/// A tensor of unknown rank may be a float.
fn certainly_not_float(ty: &Ty) -> bool {
    match ty {
        Ty::Any | Ty::Float | Ty::Never => false,
        Ty::Tensor(t) => t.dims.is_some(),
        _ => true,
    }
}

/// The gradient with respect to a value: its structure, with `none` for what has no derivative.
pub(super) fn gradient_of(ty: &Ty, depth: usize) -> Ty {
    if depth > 16 {
        return Ty::Any;
    }
    let all = |items: &[Ty]| items.iter().map(|t| gradient_of(t, depth + 1)).collect::<Vec<Ty>>();
    match ty {
        Ty::Float => Ty::Float,
        Ty::Tensor(t) => match t.dtype {
            Some(d) if !d.is_float() => Ty::None,
            _ if t.dims.is_none() => Ty::Any,
            _ => ty.clone(),
        },
        Ty::Tuple(items) => Ty::tuple(all(items)),
        Ty::List(list) => {
            let items = list.items.as_ref().map(|i| all(i));
            Ty::List(Rc::new(ListTy { items, element: gradient_of(&list.element, depth + 1), filled: list.filled }))
        }
        Ty::Dict(dict) => {
            let items = dict
                .items
                .as_ref()
                .map(|d| d.iter().map(|(k, t)| (k.clone(), gradient_of(t, depth + 1))).collect::<Vec<_>>());
            let value = match &items {
                Some(items) => items.iter().fold(Ty::Never, |a, (_, t)| join(&a, t)),
                None => Ty::Any,
            };
            Ty::Dict(Rc::new(DictTy { items, value }))
        }
        Ty::Struct(s) => {
            let field = |(info, ty): (&super::ty::FieldInfo, &Ty)| {
                if info.nograd { Ty::None } else { gradient_of(ty, depth + 1) }
            };
            let fields = s.info.fields.iter().zip(&s.fields).map(field).collect();
            Ty::Struct(Rc::new(StructTy { info: s.info.clone(), fields, origin: s.origin }))
        }
        Ty::Any => Ty::Any,
        Ty::Never => Ty::Never,
        _ => Ty::None,
    }
}

/// Results of all elements along a new leading axis.
fn batched(ty: &Ty, count: Dim, depth: usize) -> Ty {
    let all = |items: &[Ty]| items.iter().map(|t| batched(t, count, depth + 1)).collect::<Vec<Ty>>();
    let front = |dims: &Dims| std::iter::once(count).chain(dims.iter().copied()).collect::<Dims>();
    use crate::tensor::DType;
    match ty {
        _ if depth > 16 => Ty::Any,
        Ty::Float => Ty::Tensor(TensorTy { dtype: None, dims: Some(front(&Dims::new())) }),
        Ty::Int(_) => Ty::Tensor(TensorTy { dtype: Some(DType::Int), dims: Some(front(&Dims::new())) }),
        Ty::Bool(_) => Ty::Tensor(TensorTy { dtype: Some(DType::Bool), dims: Some(front(&Dims::new())) }),
        Ty::Tensor(TensorTy { dtype, dims: Some(dims) }) => {
            Ty::Tensor(TensorTy { dtype: *dtype, dims: Some(front(dims)) })
        }
        Ty::Tuple(items) => Ty::tuple(all(items)),
        Ty::Struct(s) => Ty::Struct(Rc::new(StructTy { fields: all(&s.fields), ..(**s).clone() })),
        _ => Ty::Any,
    }
}
