//! Operations on small float tensors at the outermost level of a gradient, which cost more around their arithmetic than in it.
//!
//! In: an elementwise primitive on tensors alike and constant numbers, or a product of a vector or matrix and another. Out: an entry
//! of a few words. That the level is swept once, from 1, makes all cotangents plain tensors of their node's shape and dtype, so
//! there is nothing to look at on the way back but what the rule itself reads.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::dispatch::{arg_shape, is_zero};
use crate::ad::reverse::{Bars, add, add_shared};
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::{General, PrimEntry, Tape};
use crate::ad::{Cx, LevelState, Mode, Watch};
use crate::error::Result;
use crate::few::few;
use crate::ops::elementwise::ZMUL;
use crate::ops::lanes::{self, Elementwise};
use crate::ops::linalg::MATMUL;
use crate::ops::prim::{ArgShape, Call, Diff, Eval, Prim, arg_bit};
use crate::profile;
use crate::tensor::Tensor;
use crate::tensor::elementwise::{few_lanes, pull_in_place};
use crate::tensor::small::{self, small_product};
use crate::value::Value;

/// An operation on one or two small tensors.
pub struct SmallEntry {
    pub prim: &'static Prim,
    /// Node of each operand; the sink for constants.
    nodes: [Node; 2],
    /// Node of what is added to the result of a product; the sink for a constant or nothing.
    pub bias: Node,
    /// Operands that the pullback reads, else `none`.
    args: [Value; 2],
    /// The result, if it is read.
    out: Value,
}

/// How an operation goes back.
enum Rule {
    Elementwise(&'static Elementwise),
    Product,
}

fn rule_of(prim: &'static Prim) -> Option<Rule> {
    match &prim.eval {
        Eval::Elementwise(e) if e.check.is_none() && matches!(prim.diff, Diff::Elementwise) => {
            (!std::ptr::eq(prim, &ZMUL)).then_some(Rule::Elementwise(e))
        }
        Eval::General(_) if std::ptr::eq(prim, &MATMUL) => Some(Rule::Product),
        _ => None,
    }
}

impl Cx {
    /// Whether the outermost level is the only one and will be swept once, from 1, and nobody is watching.
    #[inline]
    pub(crate) fn is_swept_once(&self) -> bool {
        let [LevelState { mode: Mode::Reverse(tape), .. }] = &self.levels[..] else { return false };
        tape.plain && self.watch == Watch::Off && !self.trap.records
    }

    /// Computes and records an operation whose arguments are at the outermost level; `None` if it is not one of those.
    #[inline]
    pub(crate) fn record_small(&mut self, prim: &'static Prim, args: &[Value]) -> Result<Option<Value>> {
        match args {
            [Value::Tensor(..)] | [Value::Tensor(..), _] | [_, Value::Tensor(..)] if self.is_swept_once() => {}
            _ => return Ok(None),
        }
        let Some(rule) = rule_of(prim) else { return Ok(None) };
        let computed = match (&rule, args) {
            (Rule::Elementwise(e), _) => {
                // The cotangent of a number would be a sum.
                if args.iter().any(|a| matches!(a, Value::Float(slot, _) if !slot.is_const())) {
                    return Ok(None);
                }
                few_lanes(e, args)
            }
            (Rule::Product, [Value::Tensor(_, x), Value::Tensor(_, y)]) => small_product(x, y),
            (Rule::Product, _) => None,
        };
        let Some(out) = computed else { return Ok(None) };
        if profile::is_on() {
            profile::works(prim);
        }
        let mut nodes = [Node(0); 2];
        let mut wanted = 0;
        for (i, (node, arg)) in nodes.iter_mut().zip(args).enumerate() {
            *node = arg.slot().node();
            wanted |= if node.0 == 0 { 0 } else { arg_bit(i) };
        }
        let reads = if let Rule::Elementwise(e) = rule { e.reads(wanted) } else { 0b11 };
        let kept = |i: usize| match args.get(i) {
            Some(Value::Tensor(_, t)) if reads & arg_bit(i) != 0 => Value::Tensor(Slot::CONST, t.clone()),
            Some(number @ (Value::Float(..) | Value::Int(_))) => number.clone(),
            _ => Value::None,
        };
        let result = if reads & arg_bit(args.len()) != 0 { out.clone() } else { Value::None };
        let entry = SmallEntry { prim, nodes, bias: Node(0), args: [kept(0), kept(1)], out: result };
        let Some(tape) = self.tape_mut(Level(1)) else { return Ok(None) };
        let node = tape.push_general(General::Small(entry), Slot::CONST)?;
        Ok(Some(out.into_slot(Slot::new(Level(1), node))))
    }

    /// `x @ y + b` for small tensors, of which one is a vector: computed, and recorded as one entry; `None` if it is not such, or some
    /// transform wants the two operations.
    #[inline]
    pub(crate) fn affine(&mut self, x: &Value, y: &Value, b: &Value) -> Result<Option<Value>> {
        let (&Value::Tensor(sx, ref left), &Value::Tensor(sy, ref right), &Value::Tensor(sb, ref add)) = (x, y, b)
        else {
            return Ok(None);
        };
        let recorded = match Slot(sx.0 | sy.0 | sb.0).level().0 {
            0 => false,
            1 if self.is_swept_once() => true,
            _ => return Ok(None),
        };
        let Some(out) = small::small_affine(left, right, add) else { return Ok(None) };
        if profile::is_on() {
            profile::works(&MATMUL);
        }
        if !recorded {
            return Ok(Some(out));
        }
        let kept = |t: &Rc<Tensor>| Value::Tensor(Slot::CONST, t.clone());
        let entry = SmallEntry {
            prim: &MATMUL,
            nodes: [sx.node(), sy.node()],
            bias: sb.node(),
            args: [kept(left), kept(right)],
            out: Value::None,
        };
        let Some(tape) = self.tape_mut(Level(1)) else { return Ok(None) };
        let node = tape.push_general(General::Small(entry), Slot::CONST)?;
        Ok(Some(out.into_slot(Slot::new(Level(1), node))))
    }

    /// Adds the cotangents of the operands to what they have, for the cotangent of the result.
    pub(crate) fn pull_small(&mut self, tape: &Tape, bars: &mut Bars, entry: SmallEntry, y_bar: Value) -> Result<()> {
        match rule_of(entry.prim) {
            Some(Rule::Elementwise(e)) => self.pull_lanes(tape, bars, e, &entry, y_bar),
            _ => {
                self.pull_product(tape, bars, &entry, &y_bar)?;
                add(self, tape, bars, entry.bias, y_bar)
            }
        }
    }

    fn pull_lanes(
        &mut self,
        tape: &Tape,
        bars: &mut Bars,
        e: &'static Elementwise,
        entry: &SmallEntry,
        mut y_bar: Value,
    ) -> Result<()> {
        let SmallEntry { prim, nodes, args, out, .. } = entry;
        let arity = e.arity().min(args.len());
        let passes = |i: usize| e.slopes().get(i).is_some_and(|slope| slope.constant == Some(1.0));
        let mut whole = None;
        for (i, &node) in nodes.iter().enumerate().take(arity) {
            if node.0 == 0 {
                continue;
            }
            if passes(i) {
                // The last one that it passes to gets the tensor itself.
                if let Some(earlier) = whole.replace(node) {
                    add_shared(self, tape, bars, earlier, &y_bar)?;
                }
                continue;
            }
            let own = args.get(..arity).unwrap_or(args);
            // Nobody else reads the cotangent of the result: it becomes that of the only operand.
            if nodes.iter().filter(|node| node.0 != 0).count() == 1 && pull_in_place(e, own, out, &mut y_bar, i) {
                return add(self, tape, bars, node, y_bar);
            }
            let cotangent = lanes::pull_elementwise(prim, own, out, &y_bar, i)?;
            add(self, tape, bars, node, cotangent)?;
        }
        match whole {
            Some(node) => add(self, tape, bars, node, y_bar),
            None => Ok(()),
        }
    }

    fn pull_product(&mut self, tape: &Tape, bars: &mut Bars, entry: &SmallEntry, y_bar: &Value) -> Result<()> {
        let SmallEntry { prim, nodes, args, .. } = entry;
        let ([Value::Tensor(_, x), Value::Tensor(_, y)], Value::Tensor(_, c)) = (args, y_bar) else { return Ok(()) };
        if is_zero(y_bar) {
            return Ok(());
        }
        let mut wanted = nodes.map(|node| node.0 != 0);
        // The cotangent of a matrix that a vector was multiplied with grows in place.
        if wanted[1]
            && x.rank() == 1
            && let Some(sum) = bars.tensor_mut(tape, nodes[1])
        {
            wanted[1] = !small::add_outer(sum, x, c);
        }
        let cotangents = match small::pull(x, y, c, wanted) {
            Some(cotangents) => SmallVec::from(cotangents),
            None => {
                let shapes: SmallVec<[ArgShape; 2]> = args.iter().map(arg_shape).collect();
                let bits = (0..2).filter(|i| wanted[*i]).fold(0, |bits, i| bits | arg_bit(i));
                let call = Call { prim, args, out: &Value::None, shapes: &shapes, wanted: bits };
                self.cotangents(&call, y_bar)?.into_iter().collect::<SmallVec<[Option<Value>; 2]>>()
            }
        };
        for (node, cotangent) in nodes.iter().zip(cotangents) {
            if let Some(cotangent) = cotangent {
                add(self, tape, bars, *node, cotangent)?;
            }
        }
        Ok(())
    }
}

impl SmallEntry {
    /// The same, but for what is added to it, as an entry of any primitive, which the NaN trap can be asked about; `y_bar` is the
    /// cotangent of the result.
    pub(crate) fn general(self, y_bar: &Value) -> PrimEntry {
        let SmallEntry { prim, nodes, args, out, .. } = self;
        let arity = if let Some(Rule::Elementwise(e)) = rule_of(prim) { e.arity() } else { 2 };
        // Operands that are not kept are like the result.
        let shape = |arg: &Value| if let Value::None = arg { arg_shape(y_bar) } else { arg_shape(arg) };
        let shapes = few(args.iter().map(shape).take(arity));
        PrimEntry {
            prim,
            args: few(args.into_iter().take(arity)),
            nodes: few(nodes.into_iter().take(arity)),
            shapes,
            out,
        }
    }

    /// What it keeps alive.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.args.iter().chain([&self.out])
    }
}

/// The tensor inside, if it is a constant that nobody shares.
#[inline]
pub(crate) fn own_tensor(value: &mut Value) -> Option<&mut Tensor> {
    match value {
        Value::Tensor(slot, t) if slot.is_const() => Rc::get_mut(t),
        _ => None,
    }
}
