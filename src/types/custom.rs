//! `custom_vjp` and `custom_jvp`: functions of which a derivative calls the rule.

use std::rc::Rc;

use super::Checker;
use super::call::{ArgVal, Outcome};
use super::error::TypeError;
use super::join::join;
use super::show::show_a;
use super::transforms::{certainly_unlike, gradient_of};
use super::ty::{FnTy, Ty};
use crate::ad::transforms::custom::{Kind, unlike_rule};
use crate::error::Error;
use crate::source::Span;

/// The kind, the function and the rule of a function that has one.
pub(super) fn with_rule(f: &Ty) -> Option<(Kind, Ty, Ty)> {
    let Ty::Fn(FnTy::Made { transform, args }) = f else { return None };
    let kind = match *transform {
        "custom_vjp" => Kind::Vjp,
        "custom_jvp" => Kind::Jvp,
        _ => return None,
    };
    Some((kind, args.first()?.clone(), args.get(1)?.clone()))
}

impl Checker {
    /// A call of a function with a rule, of which is not known whether a derivative is taken: its own result or that of
    /// the rule.
    pub(super) fn call_custom(
        &mut self,
        kind: Kind,
        made: &Rc<Vec<Ty>>,
        args: Vec<ArgVal>,
        callee: Span,
        site: Span,
    ) -> Outcome {
        let at = |i: usize| made.get(i).cloned().unwrap_or_default();
        self.unknown_call();
        let ruled = self.rule_result(kind, &at(1), &args, callee, site);
        let outcome = self.perhaps(true, |c| c.call_value(&at(0), args, callee, site));
        let value = match ruled {
            Ty::Tuple(parts) if parts.len() == 2 => parts.first().cloned().unwrap_or_default(),
            _ => Ty::Any,
        };
        Outcome { ty: join(&outcome.ty, &value), ..outcome }
    }

    /// What the rule gives for these arguments, if it is called; what is wrong in it then is not told.
    fn rule_result(&mut self, kind: Kind, rule: &Ty, args: &[ArgVal], callee: Span, site: Span) -> Ty {
        if args.iter().any(|a| a.name.is_some() || a.inout) {
            return Ty::Any;
        }
        let mut all = args.to_vec();
        if kind == Kind::Jvp {
            let tangent = |a: &ArgVal| ArgVal::positional(gradient_of(&a.ty, 0), a.span);
            all.extend(args.iter().map(tangent));
        }
        let (dead, problems) = (self.frame.dead, self.frame.problems.clone());
        let ty = self.perhaps(true, |c| c.call_value(rule, all, callee, site)).ty;
        self.frame.problems = problems;
        self.frame.dead = dead;
        if matches!(ty, Ty::Never) { Ty::Any } else { ty }
    }

    /// A call of a function with a reverse rule in a gradient with respect to arguments `wrt`: the rule is called, and its
    /// pullback. Gives the value, or what is wrong with the rule.
    pub(super) fn call_reverse_rule(
        &mut self,
        rule: &Ty,
        args: &[ArgVal],
        wrt: &[usize],
        callee: Span,
        site: Span,
    ) -> Ty {
        if args.iter().any(|a| a.name.is_some()) {
            return Ty::Any;
        }
        let ret = self.call_value(rule, args.to_vec(), callee, site).ty;
        let (y, pullback) = match &ret {
            Ty::Tuple(parts) if parts.len() == 2 => {
                (parts.first().cloned().unwrap_or_default(), parts.get(1).cloned().unwrap_or_default())
            }
            Ty::Any | Ty::Never => return Ty::Any,
            Ty::Tensor(t) if t.dims.is_none() => return Ty::Any,
            other => {
                let error = unlike_rule(Kind::Vjp, &super::show_ty(other));
                return self.report(operation(error), site);
            }
        };
        if !matches!(y, Ty::Float) {
            return y;
        }
        let bar = vec![ArgVal::positional(Ty::Float, site)];
        let bars = self.call_value(&pullback, bar, callee, site).ty;
        let of = |i: usize| match (&bars, args.len()) {
            (Ty::Tuple(bars), 1) if bars.len() == 1 && !matches!(args.first().map(|a| &a.ty), Some(Ty::Tuple(_))) => {
                bars.first().cloned()
            }
            (one, 1) => Some(one.clone()),
            (Ty::Tuple(bars), _) => bars.get(i).cloned(),
            _ => None,
        };
        let given = match (&bars, args.len()) {
            (Ty::Tuple(bars), n) if n != 1 => bars.len(),
            (Ty::Float | Ty::Int(_) | Ty::None, _) => 1,
            (Ty::Tensor(t), _) if t.dims.is_some() => 1,
            _ => args.len(),
        };
        if given != args.len() {
            return self.report(operation(crate::ad::reverse::wrong_count(given, args.len())), site);
        }
        for &i in wrt {
            let (Some(arg), Some(bar)) = (args.get(i), of(i)) else { continue };
            if certainly_unlike(&gradient_of(&arg.ty, 0), &bar, 0) {
                let error = crate::ad::reverse::unlike_argument(&show_a(&bar), &show_a(&arg.ty));
                return self.report(operation(error), site);
            }
        }
        y
    }
}

fn operation(error: Error) -> TypeError {
    TypeError::Operation { error, operands: vec![], origins: vec![] }
}
