//! Which parts of formulas are windows of vectors: `x[1:-1]`, `pad(x, (1, 0))`, `pad(x[:-1], (1, 0), value: 1.0)`, with numbers as
//! written.

use crate::bytecode::formula::Window;
use crate::compile::FnCompiler;
use crate::compile::formula::is_quiet;
use crate::compile::literal::{Number, number};
use crate::ops::pad::PAD;
use crate::resolve::Res;
use crate::syntax::ast::*;

impl FnCompiler<'_> {
    /// The vector that an expression reads, and what of it; `None` if it is no window.
    pub fn window<'e>(&self, e: &'e Expr) -> Option<(&'e Expr, Window)> {
        let (vector, window) = match &e.kind {
            ExprKind::Call { callee, args } => self.padded(callee, args)?,
            _ => self.slice(e)?,
        };
        (is_quiet(vector) && number(vector).is_none()).then_some((vector, window))
    }

    fn slice<'e>(&self, e: &'e Expr) -> Option<(&'e Expr, Window)> {
        let ExprKind::Index { base, items } = &e.kind else { return None };
        let [IndexItem::Slice { start, stop, step: None, .. }] = &items[..] else { return None };
        let bound = |e: &Option<Expr>| match e {
            None => Some(None),
            Some(e) => Some(Some(self.int(e)?)),
        };
        Some((base, Window::slice(bound(start)?, bound(stop)?)))
    }

    /// A call of `pad` with a margin of one number.
    fn padded<'e>(&self, callee: &Expr, args: &'e [Arg]) -> Option<(&'e Expr, Window)> {
        let ExprKind::Name(_) = &callee.kind else { return None };
        if !matches!(self.res(callee.id), Res::Prim(prim) if std::ptr::eq(prim, &PAD)) {
            return None;
        }
        let mut given: [Option<&Expr>; 4] = [None; 4];
        for (i, arg) in args.iter().enumerate() {
            let place = match &arg.name {
                None => i,
                Some(name) => PAD.sig.params.iter().position(|param| param.name == &*name.name)?,
            };
            if arg.inout || given.get_mut(place)?.replace(&arg.value).is_some() {
                return None;
            }
        }
        let [Some(x), Some(width), None, fill] = given else { return None };
        let fill = fill.map_or(Some(0.0), |e| self.float(e))?;
        let (vector, slice) = self.slice(x).unwrap_or((x, Window::default()));
        Some((vector, slice.padded(self.width(width)?, fill)?))
    }

    /// Before and behind a vector: one number, two, or two for its only axis.
    fn width(&self, e: &Expr) -> Option<(i64, i64)> {
        match &e.kind {
            ExprKind::Tuple(items) => match &items[..] {
                [before, after] => Some((self.int(before)?, self.int(after)?)),
                [axis @ Expr { kind: ExprKind::Tuple(_), .. }] => self.width(axis),
                _ => None,
            },
            _ => self.int(e).map(|w| (w, w)),
        }
    }

    fn int(&self, e: &Expr) -> Option<i64> {
        match self.known(e)? {
            Number::Int(i) => Some(i),
            Number::Float(_) => None,
        }
    }

    fn float(&self, e: &Expr) -> Option<f64> {
        match &e.kind {
            ExprKind::Unary(UnOp::Neg, x) if number(e).is_none() => match self.known(x)? {
                Number::Float(x) => Some(-x),
                Number::Int(_) => None,
            },
            _ => self.known(e).map(Number::float),
        }
    }

    /// A number as written, or of a name that stands for one for good.
    fn known(&self, e: &Expr) -> Option<Number> {
        if let Some(n) = number(e) {
            return Some(n);
        }
        let ExprKind::Name(_) = &e.kind else { return None };
        match self.res(e.id) {
            Res::Constant(x) => Some(Number::Float(x)),
            Res::Global(id) => self.context.number(id),
            _ => None,
        }
    }
}
