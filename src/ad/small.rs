//! Operations on small float tensors at the outermost level of a gradient, which cost more around their arithmetic than in it.
//!
//! In: an elementwise primitive on tensors alike and constant numbers, or a product of a vector or matrix and another. Out: an entry
//! of a few words. That the level is swept once, from 1, makes all cotangents plain tensors of their node's shape and dtype, so
//! there is nothing to look at on the way back but what the rule itself reads.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::cells::{Cell, Small};
use crate::ad::dispatch::arg_shape;
use crate::ad::reverse::{Bars, add};
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::{General, PrimEntry, Tape};
use crate::ad::{Cx, LevelState, Mode, Watch};
use crate::error::{Error, Result};
use crate::few::few;
use crate::ops::elementwise::ZMUL;
use crate::ops::lanes::Elementwise;
use crate::ops::linalg::MATMUL;
use crate::ops::prim::{ArgShape, Call, Diff, Eval, Prim, arg_bit};
use crate::profile;
use crate::tensor::create::scalar_f64;
use crate::tensor::elementwise::few_lanes;
use crate::tensor::form::Form;
use crate::tensor::out::behind;
use crate::tensor::simd::kernels::times;
use crate::tensor::small::{self, small_product};
use crate::tensor::{DType, Tensor, dense};
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

    /// Computes and records an operation of which an argument has a node, while [`Cx::is_swept_once`]; false if it is none on small
    /// tensors, or none of the arguments has one.
    #[inline]
    pub(crate) fn record_small(&mut self, prim: &'static Prim, args: &[Value], out: &mut Value) -> Result<bool> {
        let (nodes, wanted) = match args {
            [Value::Tensor(sx, _)] => ([sx.node(), Node(0)], u32::from(!sx.is_const())),
            [x @ Value::Tensor(..), y] | [x, y @ Value::Tensor(..)] => {
                let (sx, sy) = (x.slot(), y.slot());
                ([sx.node(), sy.node()], u32::from(!sx.is_const()) | u32::from(!sy.is_const()) << 1)
            }
            _ => return Ok(false),
        };
        if wanted == 0 {
            return Ok(false);
        }
        let Some(rule) = rule_of(prim) else { return Ok(false) };
        self.rooms.spares.recorded = true;
        let computed = match (&rule, args) {
            // The cotangent of a number would be a sum.
            (Rule::Elementwise(_), [Value::Float(slot, _), _] | [_, Value::Float(slot, _)]) if !slot.is_const() => None,
            (Rule::Elementwise(e), _) => few_lanes(e, args, &mut self.rooms.spares),
            (Rule::Product, [Value::Tensor(_, x), Value::Tensor(_, y)]) => small_product(x, y, &mut self.rooms.spares),
            (Rule::Product, _) => None,
        };
        self.rooms.spares.recorded = false;
        let Some(result) = computed.filter(|t| is_few(t)) else { return Ok(false) };
        if profile::is_on() {
            profile::works(prim);
        }
        let reads = if let Rule::Elementwise(e) = rule { e.reads(wanted) } else { 0b11 };
        let kept = |i: usize| match args.get(i) {
            Some(Value::Tensor(_, t)) if reads & (1 << i) != 0 => Value::Tensor(Slot::CONST, t.clone()),
            Some(Value::Float(_, x)) => Value::float(*x),
            Some(&Value::Int(n)) => Value::Int(n),
            _ => Value::None,
        };
        let is_read = reads & (1 << args.len()) != 0;
        let [LevelState { mode: Mode::Reverse(tape), .. }] = &mut self.levels[..] else { return Ok(false) };
        let node = tape.push_small(|| {
            General::Small(SmallEntry {
                prim,
                nodes,
                bias: Node(0),
                args: [kept(0), kept(1)],
                out: if is_read { Value::Tensor(Slot::CONST, result.clone()) } else { Value::None },
            })
        })?;
        out.put(Value::Tensor(Slot::new(Level(1), node), result));
        Ok(true)
    }

    /// `out = x @ y + b` for small tensors, of which one is a vector: computed, and recorded as one entry; false if it is not such, or
    /// some transform wants the two operations.
    #[inline]
    pub(crate) fn affine(&mut self, x: &Value, y: &Value, b: &Value, out: &mut Value) -> Result<bool> {
        let (&Value::Tensor(sx, ref left), &Value::Tensor(sy, ref right), &Value::Tensor(sb, ref add)) = (x, y, b)
        else {
            return Ok(false);
        };
        let recorded = match Slot(sx.0 | sy.0 | sb.0).level().0 {
            0 => false,
            1 if self.is_swept_once() => true,
            _ => return Ok(false),
        };
        self.rooms.spares.recorded = recorded;
        let computed = small::small_affine(left, right, add, &mut self.rooms.spares);
        self.rooms.spares.recorded = false;
        let Some(result) = computed else { return Ok(false) };
        if profile::is_on() {
            profile::works(&MATMUL);
        }
        if !recorded {
            out.put(Value::Tensor(Slot::CONST, result));
            return Ok(true);
        }
        let [LevelState { mode: Mode::Reverse(tape), .. }] = &mut self.levels[..] else { return Ok(false) };
        let kept = |t: &Rc<Tensor>| Value::Tensor(Slot::CONST, t.clone());
        let node = tape.push_small(|| {
            General::Small(SmallEntry {
                prim: &MATMUL,
                nodes: [sx.node(), sy.node()],
                bias: sb.node(),
                args: [kept(left), kept(right)],
                out: Value::None,
            })
        })?;
        out.put(Value::Tensor(Slot::new(Level(1), node), result));
        Ok(true)
    }

    /// Adds the cotangents of the operands to what they have, for the cotangent of the result of entry `general`, if it has one.
    pub(crate) fn pull_small(&mut self, tape: &Tape, bars: &mut Bars, general: usize) -> Result<()> {
        if let Some(General::Window(_)) = tape.general.get(general) {
            return self.pull_window(tape, bars, general);
        }
        match bars.few_dtype(general) {
            Some(DType::F32) => self.pull_small_of::<f32>(tape, bars, general),
            Some(_) => self.pull_small_of::<f64>(tape, bars, general),
            None => Ok(()),
        }
    }

    fn pull_small_of<T: Small>(&mut self, tape: &Tape, bars: &mut Bars, general: usize) -> Result<()> {
        let Some(y_bar) = bars.take_few::<T>(general) else { return Ok(()) };
        match tape.general.get(general) {
            Some(General::Small(entry)) => match rule_of(entry.prim) {
                Some(Rule::Elementwise(e)) if entry.nodes[1].0 == 0 => {
                    self.pull_first::<T>(tape, bars, e, entry, y_bar)
                }
                Some(Rule::Elementwise(e)) => self.pull_lanes::<T>(tape, bars, e, entry, y_bar),
                _ => {
                    let data = T::cells(&mut bars.loose).lift(y_bar);
                    let pulled = self.pull_product(tape, bars, entry, &data, y_bar);
                    T::cells(&mut bars.loose).lay(y_bar, data);
                    pulled?;
                    bars.add_few::<T>(self, tape, entry.bias, y_bar)
                }
            },
            Some(General::SmallFormula(entry)) => entry.pull::<T>(self, tape, bars, y_bar),
            _ => Ok(()),
        }
    }

    /// Of a primitive of which only the first operand has a node.
    #[inline(never)]
    fn pull_first<T: Small>(
        &mut self,
        tape: &Tape,
        bars: &mut Bars,
        e: &'static Elementwise,
        entry: &SmallEntry,
        y_bar: Cell,
    ) -> Result<()> {
        let SmallEntry { nodes: [node, _], args, out, .. } = entry;
        let own = args.get(..e.arity()).unwrap_or(args);
        let e = e.special.and_then(|special| special(own)).unwrap_or(e);
        let constant = e.slopes().first().and_then(|slope| slope.constant);
        if constant == Some(1.0) {
            return bars.add_few::<T>(self, tape, *node, y_bar);
        }
        let cells = T::cells(&mut bars.loose);
        let form = cells.get_mut(y_bar).ok_or_else(lost)?.form;
        let pulled = cells.empty(form);
        let (bar, made, spread) = cells.pair(y_bar, pulled).ok_or_else(lost)?;
        match constant {
            Some(slope) => times(T::c(slope), &bar.data, made),
            None => pull_few(e, (own, out), &bar.data, 0, made, spread).ok_or_else(lost)?,
        }
        cells.release(y_bar);
        bars.add_few::<T>(self, tape, *node, pulled)
    }

    #[inline(never)]
    fn pull_lanes<T: Small>(
        &mut self,
        tape: &Tape,
        bars: &mut Bars,
        e: &'static Elementwise,
        entry: &SmallEntry,
        y_bar: Cell,
    ) -> Result<()> {
        let SmallEntry { nodes, args, out, .. } = entry;
        let arity = e.arity().min(args.len());
        let own = args.get(..arity).unwrap_or(args);
        let mut whole = None;
        for (i, &node) in nodes.iter().enumerate().take(arity) {
            if node.0 == 0 {
                continue;
            }
            let special = if i == 0 { e.special.and_then(|special| special(own)) } else { None };
            let e = special.unwrap_or(e);
            let constant = e.slopes().get(i).and_then(|slope| slope.constant);
            if constant == Some(1.0) {
                // The last one that it passes to gets the elements themselves.
                if let Some(earlier) = whole.replace(node) {
                    let few = T::cells(&mut bars.loose).take(y_bar);
                    let added = bars.add_elements(self, tape, earlier, &few.data, &few.form);
                    T::cells(&mut bars.loose).put(y_bar, few);
                    added?;
                }
                continue;
            }
            let cells = T::cells(&mut bars.loose);
            let form = cells.get_mut(y_bar).ok_or_else(lost)?.form;
            let pulled = cells.empty(form);
            let (bar, made, spread) = cells.pair(y_bar, pulled).ok_or_else(lost)?;
            match constant {
                Some(slope) => times(T::c(slope), &bar.data, made),
                None => pull_few(e, (own, out), &bar.data, i, made, spread).ok_or_else(lost)?,
            }
            bars.add_few::<T>(self, tape, node, pulled)?;
        }
        bars.add_few::<T>(self, tape, whole.unwrap_or_default(), y_bar)
    }

    #[inline(never)]
    fn pull_product<T: Small>(
        &mut self,
        tape: &Tape,
        bars: &mut Bars,
        entry: &SmallEntry,
        c: &[T],
        y_bar: Cell,
    ) -> Result<()> {
        let SmallEntry { prim, nodes, args, .. } = entry;
        let [Value::Tensor(_, x), Value::Tensor(_, y)] = args else { return Ok(()) };
        let (Some(x), Some(y)) = (T::array(x), T::array(y)) else { return Err(lost()) };
        // A cotangent that is zero everywhere ends here, whatever the operands.
        if c.iter().all(|c| *c == T::default()) {
            return Ok(());
        }
        let [x_node, mut y_node] = *nodes;
        // The cotangent of a matrix that a vector was multiplied with grows in place.
        if y_node.0 != 0 && x.ndim() == 1 && dense(x).is_some_and(|x| bars.add_outer(tape, y_node, x, c)) {
            y_node = Node(0);
        }
        for (node, of) in [(x_node, small::Operand::Left), (y_node, small::Operand::Right)] {
            if node.0 == 0 {
                continue;
            }
            let operand = if let small::Operand::Left = of { x } else { y };
            let cells = T::cells(&mut bars.loose);
            let pulled = cells.empty(Form::of(operand.shape()).ok_or_else(lost)?);
            if small::pull_operand(x, y, c, of, &mut cells.get_mut(pulled).ok_or_else(lost)?.data) {
                bars.add_few::<T>(self, tape, node, pulled)?;
                continue;
            }
            cells.release(pulled);
            let i = if let small::Operand::Left = of { 0 } else { 1 };
            let shapes: SmallVec<[ArgShape; 2]> = args.iter().map(arg_shape).collect();
            let call = Call { prim, args, out: &Value::None, shapes: &shapes, wanted: arg_bit(i) };
            let form = T::cells(&mut bars.loose).get_mut(y_bar).ok_or_else(lost)?.form;
            let y_bar = Value::from_vec(form.dims(), c.to_vec());
            if let Some(Some(cotangent)) = self.cotangents(&call, &y_bar)?.into_iter().nth(i) {
                add(self, tape, bars, node, cotangent)?;
            }
        }
        Ok(())
    }
}

/// Appends the cotangent of argument `i` of an elementwise primitive, for arguments and result as far as they are kept.
fn pull_few<T: Small>(
    e: &Elementwise,
    (args, out): (&[Value], &Value),
    bar: &[T],
    i: usize,
    pulled: &mut Vec<T>,
    spread: &mut Vec<T>,
) -> Option<()> {
    if e.arity() == 2
        && let Some(number) = args.iter().find_map(scalar_f64)
    {
        spread.clear();
        spread.resize(bar.len(), T::c(number));
    }
    let kernel = T::pulls(e).get(i)?;
    let y = elements_of(out, bar, spread)?;
    match args {
        [a, b] if e.arity() == 2 => {
            let args = [elements_of(a, bar, spread)?, elements_of(b, bar, spread)?];
            behind(pulled, bar.len(), |out| kernel(&args, y, bar, out));
        }
        [a, ..] => {
            let args = [elements_of(a, bar, spread)?];
            behind(pulled, bar.len(), |out| kernel(&args, y, bar, out));
        }
        [] => return None,
    }
    (pulled.len() == bar.len()).then_some(())
}

/// The elements of what is kept. What is not is not read either; the cotangent stands in for it.
#[inline]
fn elements_of<'a, T: Small>(v: &'a Value, bar: &'a [T], number: &'a [T]) -> Option<&'a [T]> {
    match v {
        Value::None => Some(bar),
        Value::Tensor(_, t) => dense(T::array(t)?),
        _ => Some(number),
    }
}

/// What was recorded as an operation on small tensors is one on them.
#[cold]
pub(crate) fn lost() -> Error {
    Error::new("E0400", "an operation on small tensors was recorded with others")
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

/// Whether the elements of a small operation's result can stand alone.
fn is_few(out: &Tensor) -> bool {
    match out.shape() {
        [n] => *n > 0,
        [] => false,
        shape => shape.len() <= Form::RANK && !out.is_empty(),
    }
}
