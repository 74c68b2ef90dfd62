//! Scalar operations under several levels: the short way of what `dispatch` does in general.
//!
//! The value is computed one level down, which may be nested again. A reverse level then appends one entry whose partials
//! are scalars of the levels below; a forward level sums the products of tangents and slopes.

use crate::ad::algebra::eval_partial;
use crate::ad::dispatch::{ends_slope, strong};
use crate::ad::slot::{Level, Slot};
use crate::ad::tape::{Entry, Lower};
use crate::ad::{Cx, Mode, Tangent, Watch};
use crate::error::Result;
use crate::ops::elementwise::{ADD, MUL, NEG, SUB, ZMUL};
use crate::ops::lanes::{Elementwise, Scalar};
use crate::ops::prim::{Diff, Eval, Prim};
use crate::value::Value;

/// A float and its slot.
pub type Number = (Slot, f64);

/// What a level at hand wants to know of an operation.
enum Wants {
    /// A tape: the partials of the arguments at its level.
    Partials,
    /// The tangents of the arguments.
    Tangents([Option<Number>; 2]),
}

fn is_sum(prim: &'static Prim) -> bool {
    std::ptr::eq(prim, &ADD) || std::ptr::eq(prim, &SUB)
}

fn value(x: Number) -> Value {
    Value::Float(x.0, x.1)
}

impl Cx {
    /// An elementwise primitive of one or two scalars, with a plain value and slopes: at whatever level, `level` being the
    /// highest of its arguments and above the first. `None` if it has to go the long way.
    pub(crate) fn nested(&mut self, prim: &'static Prim, args: &[Number], level: Level) -> Result<Option<Number>> {
        if self.watch != Watch::Off || self.trap.records || !matches!(prim.diff, Diff::Elementwise) {
            return Ok(None);
        }
        let Eval::Elementwise(Elementwise { scalar, check: None, .. }) = &prim.eval else { return Ok(None) };
        // Adding a constant changes the value and no derivative: it is the same node.
        match (scalar, args) {
            (Scalar::Binary { f, .. }, &[a, b]) if b.0.is_const() && is_sum(prim) => {
                return Ok(Some((a.0, f(a.1, b.1))));
            }
            (Scalar::Binary { f, .. }, &[a, b]) if a.0.is_const() && std::ptr::eq(prim, &ADD) => {
                return Ok(Some((b.0, f(a.1, b.1))));
            }
            _ => {}
        }
        let wants = match self.level(level).map(|l| &l.mode) {
            Some(Mode::Reverse(tape)) if !tape.batched => Wants::Partials,
            Some(Mode::Forward(_)) => {
                let mut tangents = [None; 2];
                for (tangent, arg) in tangents.iter_mut().zip(args) {
                    match self.plain_tangent(*arg, level) {
                        Some(plain) => *tangent = plain,
                        None => return Ok(None),
                    }
                }
                Wants::Tangents(tangents)
            }
            _ => return Ok(None),
        };
        let below = |cx: &Cx, arg: Number| if arg.0.level() == level { (cx.primal_slot(arg.0), arg.1) } else { arg };
        let (primals, arity) = match *args {
            [a] => ([below(self, a); 2], 1),
            [a, b] => ([below(self, a), below(self, b)], 2),
            _ => return Ok(None),
        };
        let primals = &primals[..arity];
        let ended = ends_slope(prim, primals[0].1);
        if ended && !primals[0].0.is_const() {
            return Ok(None);
        }
        let out = self.scalar(prim, scalar, primals)?;
        match wants {
            Wants::Partials => {
                let mut entry = Entry { a: 0, b: 0, pa: 0.0, pb: 0.0 };
                let mut lower = Lower { primal: out.0, ..Lower::default() };
                for (i, arg) in args.iter().enumerate() {
                    if arg.0.level() != level || (i == 1 && ended) {
                        continue;
                    }
                    let (slot, p) = self.slope(prim, scalar, primals, out, i)?;
                    if i == 0 {
                        (entry.a, entry.pa, lower.pa) = (arg.0.node().0, p, slot);
                    } else {
                        (entry.b, entry.pb, lower.pb) = (arg.0.node().0, p, slot);
                    }
                }
                let Some(tape) = self.tape_mut(level) else { return Ok(None) };
                let node = tape.push_nested(entry, lower)?;
                Ok(Some((Slot::new(level, node), out.1)))
            }
            Wants::Tangents(tangents) => {
                let mut sum: Option<Number> = None;
                for (i, tangent) in tangents.iter().enumerate() {
                    let Some(t) = *tangent else { continue };
                    let slope = self.slope(prim, scalar, primals, out, i)?;
                    let term = self.times(t, slope)?;
                    sum = Some(match sum {
                        Some(sum) => self.plus(sum, term)?,
                        None => term,
                    });
                }
                let tangent = Tangent::Is(value(sum.unwrap_or_default()));
                let dual = self.push_dual(value(out), tangent, level)?;
                Ok(Some((dual.slot(), out.1)))
            }
        }
    }

    /// The tangent of an argument, if it has one at this level; outer `None` if that is no finite number.
    fn plain_tangent(&self, arg: Number, level: Level) -> Option<Option<Number>> {
        if arg.0.level() != level {
            return Some(None);
        }
        let Some(Mode::Forward(duals)) = self.level(level).map(|l| &l.mode) else { return None };
        match duals.get(arg.0.node().0 as usize).map(|d| &d.tangent) {
            Some(&Tangent::Is(Value::Float(slot, t))) if t.is_finite() => Some(Some((slot, t))),
            _ => None,
        }
    }

    /// Applies a primitive to scalars of any levels.
    fn scalar(&mut self, prim: &'static Prim, inside: &Scalar, args: &[Number]) -> Result<Number> {
        match (inside, args) {
            (Scalar::Unary { f, .. }, &[(slot, x)]) if slot.is_const() => Ok((slot, f(x))),
            (Scalar::Binary { f, .. }, &[(sa, x), (sb, y)]) if sa.is_const() && sb.is_const() => Ok((sa, f(x, y))),
            (_, &[(slot, x)]) => self.apply_scalar1(prim, slot, x),
            (_, &[a, b]) => self.apply_scalar2(prim, a, b),
            _ => Ok((Slot::CONST, 0.0)),
        }
    }

    /// Partial `i` at primals of the levels below.
    fn slope(
        &mut self,
        prim: &'static Prim,
        inside: &Scalar,
        args: &[Number],
        out: Number,
        i: usize,
    ) -> Result<Number> {
        let constant = |p| Ok((Slot::CONST, p));
        if std::ptr::eq(prim, &ADD) {
            return constant(1.0);
        }
        if std::ptr::eq(prim, &SUB) {
            return constant(if i == 0 { 1.0 } else { -1.0 });
        }
        if std::ptr::eq(prim, &NEG) {
            return constant(-1.0);
        }
        if std::ptr::eq(prim, &MUL) {
            return Ok(args[1 - i]);
        }
        if args.iter().all(|a| a.0.is_const()) {
            return match (inside, args) {
                (Scalar::Unary { d, .. }, [x]) => constant(d(x.1, out.1)),
                (Scalar::Binary { d, .. }, [x, y]) => constant(d[i.min(1)](x.1, y.1, out.1)),
                _ => constant(0.0),
            };
        }
        let primals = [value(args[0]), value(args[args.len() - 1])];
        match eval_partial(self, prim, i, &primals[..args.len()], &value(out))? {
            Value::Float(slot, p) => Ok((slot, p)),
            _ => constant(0.0),
        }
    }

    /// A cotangent or tangent times a slope: zero wins.
    pub(crate) fn times(&mut self, t: Number, slope: Number) -> Result<Number> {
        if slope.0.is_const() {
            if t.0.is_const() {
                return Ok((Slot::CONST, strong(t.1, slope.1)));
            }
            if slope.1 == 1.0 {
                return Ok(t);
            }
        }
        self.apply_scalar2(&ZMUL, t, slope)
    }

    /// The sum of two scalars of any levels.
    pub(crate) fn plus(&mut self, a: Number, b: Number) -> Result<Number> {
        if a.0.is_const() && b.0.is_const() {
            return Ok((Slot::CONST, a.1 + b.1));
        }
        self.apply_scalar2(&ADD, a, b)
    }
}
