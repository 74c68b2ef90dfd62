//! Applying a primitive at the highest level among its operands.
//!
//! The value is computed one level down (recursively, so every lower level records too). Then a reverse level appends an
//! entry and a forward level computes the tangent; both with rules made of primitives, so that they can be
//! differentiated again.

use smallvec::SmallVec;

use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::{Entry, General, Lower, PrimEntry, Tape};
use crate::ad::{Cx, Dual, Mode, Tangent, Watch};
use crate::error::{Error, Result};
use crate::few::few;
use crate::ops::activation::{GELU, gelu_kind_of};
use crate::ops::compare::ISNAN;
use crate::ops::elementwise::{ADD, ZMUL};
use crate::ops::lanes::{self, Elementwise, Scalar};
use crate::ops::prim::{ArgShape, Batch, Call, Diff, Eval, Keep, Prim, arg_bit};
use crate::profile;
use crate::tensor::Shape;
use crate::value::Value;

type Values = SmallVec<[Value; 3]>;

/// Code of a rule's error where there is no derivative. In forward mode it waits until the tangent is read.
pub const UNDEFINED: &str = "E0432";

impl Cx {
    /// Applies a primitive; `args` are in the order of its signature, defaults filled in. Works at the highest level
    /// among the slots of the arguments, and acts leaf by leaf on structures if the primitive is elementwise.
    pub fn apply(&mut self, prim: &'static Prim, args: &[Value]) -> Result<Value> {
        let mut out = Value::None;
        self.apply_to(prim, args, &mut out)?;
        Ok(out)
    }

    /// The same, with the result in the place of `out`.
    pub fn apply_to(&mut self, prim: &'static Prim, args: &[Value], out: &mut Value) -> Result<()> {
        // Then there is no other level.
        if self.is_swept_once()
            && (self.record_small(prim, args, out)?
                || self.record_window(prim, args, out)?
                || self.record_alone(prim, args, out)?)
        {
            return Ok(());
        }
        let level = args.iter().map(|a| a.slot().level()).max().unwrap_or_default();
        *out = self.apply_any(prim, args, level)?;
        Ok(())
    }

    fn apply_any(&mut self, prim: &'static Prim, args: &[Value], mut level: Level) -> Result<Value> {
        if std::ptr::eq(prim, &GELU)
            && let Some(kind) = gelu_kind_of(args.get(1))
        {
            return self.apply(kind, args.get(..1).unwrap_or(args));
        }
        if self.innermost_batch().is_some_and(|batch| batch > level) {
            // An index may be batched inside its tuple.
            level = level.max(self.batch_inside(args));
        }
        if level.0 == 0 {
            return self.evaluate(prim, args);
        }
        if let Some(done) = self.short(prim, args)? {
            return Ok(done);
        }
        match self.level(level).map(|l| &l.mode) {
            Some(Mode::Reverse(_)) => self.apply_reverse(prim, args, level),
            Some(Mode::Forward(_)) => self.apply_forward(prim, args, level),
            Some(Mode::Batch { n, .. }) => {
                let n = *n;
                self.apply_batch(prim, args, level, n)
            }
            None => Err(escaped()),
        }
    }

    fn evaluate(&mut self, prim: &'static Prim, args: &[Value]) -> Result<Value> {
        if profile::is_on() {
            profile::works(prim);
        }
        let out = match &prim.eval {
            Eval::Elementwise(e) => {
                if args.iter().any(is_structure) {
                    return self.apply_leafwise(prim, args);
                }
                lanes::eval_elementwise(&mut self.env, prim, e, args)?
            }
            Eval::General(eval) => eval(&mut self.env, args)?,
        };
        if self.watch != Watch::Off {
            self.watch_result(prim, args, &out)?;
        }
        Ok(out)
    }

    /// Records a scalar operation with these partials at the outermost level; `None` if that has to go the long way.
    #[inline(always)]
    pub fn record(&mut self, a: (Slot, f64), b: (Slot, f64)) -> Result<Option<Slot>> {
        let level = Slot(a.0.0 | b.0.0).level();
        if level.0 != 1 || self.watch != Watch::Off || self.trap.records {
            return Ok(None);
        }
        let Some(Mode::Reverse(tape)) = self.levels.first_mut().map(|l| &mut l.mode) else { return Ok(None) };
        // Adding a constant changes the value and no derivative: it is the same node.
        if b.0.is_const() && a.1 == 1.0 {
            return Ok(Some(a.0));
        }
        if a.0.is_const() && b.1 == 1.0 {
            return Ok(Some(b.0));
        }
        // A constant's node is the sink, whatever the partial.
        let partial = |(slot, p): (Slot, f64)| if slot.is_const() { 0.0 } else { p };
        let entry = Entry { a: a.0.node().0, b: b.0.node().0, pa: partial(a), pb: partial(b) };
        Ok(Some(Slot::new(level, tape.push(entry)?)))
    }

    /// A scalar primitive of two arguments where at least one has a slot; the VM's path for arithmetic.
    #[inline]
    pub fn apply_scalar2(&mut self, prim: &'static Prim, a: (Slot, f64), b: (Slot, f64)) -> Result<(Slot, f64)> {
        match self.short2(prim, a, b)? {
            Some(done) => Ok(done),
            None => self.apply(prim, &[Value::Float(a.0, a.1), Value::Float(b.0, b.1)]).map(scalar_parts),
        }
    }

    /// The same for one argument, which has a slot.
    #[inline]
    pub fn apply_scalar1(&mut self, prim: &'static Prim, slot: Slot, x: f64) -> Result<(Slot, f64)> {
        match self.short1(prim, slot, x)? {
            Some(done) => Ok(done),
            None => self.apply(prim, &[Value::Float(slot, x)]).map(scalar_parts),
        }
    }

    /// The short way of an elementwise primitive on scalars, if there is one.
    #[inline]
    fn short(&mut self, prim: &'static Prim, args: &[Value]) -> Result<Option<Value>> {
        let Eval::Elementwise(Elementwise { check: None, .. }) = &prim.eval else { return Ok(None) };
        let done = match *args {
            [Value::Float(slot, x)] => self.short1(prim, slot, x)?,
            [Value::Float(sa, a), Value::Float(sb, b)] => self.short2(prim, (sa, a), (sb, b))?,
            _ => None,
        };
        Ok(done.map(|(slot, y)| Value::Float(slot, y)))
    }

    /// Nothing below the level and nobody watching: values and slopes of an elementwise primitive are plain numbers.
    #[inline]
    fn is_short(&self, prim: &Prim, level: Level) -> bool {
        level.0 == 1 && self.watch == Watch::Off && !self.trap.records && matches!(prim.diff, Diff::Elementwise)
    }

    #[inline]
    fn short2(&mut self, prim: &'static Prim, a: (Slot, f64), b: (Slot, f64)) -> Result<Option<(Slot, f64)>> {
        let level = a.0.level().max(b.0.level());
        if level.0 > 1 {
            return self.nested(prim, &[a, b], level);
        }
        let Eval::Elementwise(Elementwise { scalar: Scalar::Binary { f, d }, .. }) = &prim.eval else {
            return Ok(None);
        };
        if !self.is_short(prim, level) {
            return Ok(None);
        }
        match self.levels.first_mut().map(|l| &mut l.mode) {
            Some(Mode::Reverse(tape)) => {
                let y = f(a.1, b.1);
                let b = if ends_slope(prim, a.1) { (Slot::CONST, b.1) } else { b };
                // A constant's node is the sink, whatever the partial.
                let pa = if a.0.is_const() { 0.0 } else { d[0](a.1, b.1, y) };
                let pb = if b.0.is_const() { 0.0 } else { d[1](a.1, b.1, y) };
                let node = tape.push(Entry { a: a.0.node().0, b: b.0.node().0, pa, pb })?;
                Ok(Some((Slot::new(level, node), y)))
            }
            Some(Mode::Forward(duals)) if duals.len() < Slot::MAX_NODES => {
                let (Some(ta), Some(tb)) = (scalar_tangent(duals, a.0), scalar_tangent(duals, b.0)) else {
                    return Ok(None);
                };
                let y = f(a.1, b.1);
                let pa = if ta == 0.0 { 0.0 } else { d[0](a.1, b.1, y) };
                let pb = if tb == 0.0 { 0.0 } else { d[1](a.1, b.1, y) };
                let dot = match (a.0.is_const(), b.0.is_const()) {
                    (false, true) => strong(ta, pa),
                    (true, false) => strong(tb, pb),
                    _ => strong(ta, pa) + strong(tb, pb),
                };
                Ok(Some((push_scalar(duals, dot), y)))
            }
            _ => Ok(None),
        }
    }

    #[inline]
    fn short1(&mut self, prim: &'static Prim, slot: Slot, x: f64) -> Result<Option<(Slot, f64)>> {
        let level = slot.level();
        if level.0 > 1 {
            return self.nested(prim, &[(slot, x)], level);
        }
        let Eval::Elementwise(Elementwise { scalar: Scalar::Unary { f, d }, .. }) = &prim.eval else {
            return Ok(None);
        };
        if !self.is_short(prim, level) {
            return Ok(None);
        }
        match self.levels.first_mut().map(|l| &mut l.mode) {
            Some(Mode::Reverse(tape)) => {
                let y = f(x);
                let node = tape.push(Entry { a: slot.node().0, b: 0, pa: d(x, y), pb: 0.0 })?;
                Ok(Some((Slot::new(level, node), y)))
            }
            Some(Mode::Forward(duals)) if duals.len() < Slot::MAX_NODES => {
                let Some(t) = scalar_tangent(duals, slot) else { return Ok(None) };
                let y = f(x);
                let p = if t == 0.0 { 0.0 } else { d(x, y) };
                Ok(Some((push_scalar(duals, strong(t, p)), y)))
            }
            _ => Ok(None),
        }
    }

    fn apply_reverse(&mut self, prim: &'static Prim, args: &[Value], level: Level) -> Result<Value> {
        if let Eval::Elementwise(_) = &prim.eval
            && args.iter().any(is_structure)
        {
            return self.apply_leafwise(prim, args);
        }
        if self.is_alone() && args.iter().any(|a| matches!(a, Value::Tensor(..))) && is_recorded(prim) {
            return self.record_tensors(prim, args, level);
        }
        if let Some(args) = self.settled(prim, args)? {
            return self.apply(prim, &args);
        }
        let primals: Values = few(args.iter().map(|a| self.primal(a, level)));
        let out = self.apply(prim, &primals)?;
        match &prim.diff {
            Diff::Zero => return Ok(out),
            Diff::Refused(reason) => return Err(refused(prim, reason)),
            _ if !out.is_differentiable() => return Ok(out),
            _ => {}
        }
        let nodes: SmallVec<[Node; 3]> =
            few(args.iter().map(|a| if a.slot().level() == level { a.slot().node() } else { Node(0) }));
        let batched = self.tape_mut(level).is_some_and(|t| t.batched);
        // A zero cotangent that may move itself needs its rule: an entry of numbers can't tell it from a slope of zero.
        let moves = primals.first().is_some_and(|p| ends_slope(prim, scalar_f64(p)) && !p.slot().is_const());
        if let (Eval::Elementwise(e), Value::Float(lower, _), Diff::Elementwise, false) =
            (&prim.eval, &out, &prim.diff, batched || moves)
        {
            return self.record_scalar(prim, e, &primals, &nodes, &out, *lower, level);
        }
        let mut wanted = 0;
        for (i, node) in nodes.iter().enumerate() {
            wanted |= if node.0 != 0 { arg_bit(i) } else { 0 };
        }
        let shapes = few(args.iter().map(arg_shape));
        let primal_slot = out.slot();
        // The NaN trap shows operands that the rule itself does not read.
        let (kept_args, kept_out) =
            if self.trap.records { (primals, out.clone()) } else { kept(prim, &primals, &out, wanted) };
        let entry = PrimEntry { prim, args: kept_args, nodes, shapes, out: kept_out };
        let Some(tape) = self.tape_mut(level) else { return Err(escaped()) };
        let node = tape.push_general(General::Prim(Box::new(entry)), primal_slot)?;
        Ok(out.with_slot(Slot::new(level, node)))
    }

    /// Nothing but one level, and nobody watching.
    fn is_alone(&self) -> bool {
        self.levels.len() == 1 && self.watch == Watch::Off && !self.trap.records
    }

    /// Records an application on tensors at the only level. The arguments are their primals but for the slots, which
    /// evaluation does not read.
    fn record_tensors(&mut self, prim: &'static Prim, args: &[Value], level: Level) -> Result<Value> {
        let out = self.evaluate(prim, args)?;
        if !out.is_differentiable() {
            return Ok(out);
        }
        let mut wanted = 0;
        for (i, a) in args.iter().enumerate() {
            wanted |= if a.slot().is_const() { 0 } else { arg_bit(i) };
        }
        let reads = reads(prim, args.len(), wanted);
        let out = out.into_slot(Slot::CONST);
        let mut entry = PrimEntry {
            prim,
            args: SmallVec::new(),
            nodes: SmallVec::new(),
            shapes: SmallVec::new(),
            out: if reads & arg_bit(args.len()) != 0 { out.clone() } else { Value::None },
        };
        for (i, arg) in args.iter().enumerate() {
            entry.nodes.push(arg.slot().node());
            entry.shapes.push(arg_shape(arg));
            let is_read = reads & arg_bit(i) != 0;
            entry.args.push(match arg {
                Value::Tensor(_, t) if is_read || !t.dtype().is_float() => Value::Tensor(Slot::CONST, t.clone()),
                Value::Float(_, x) if is_read => Value::float(*x),
                Value::Tensor(..) | Value::Float(..) => Value::None,
                other => other.clone(),
            });
        }
        let Some(tape) = self.tape_mut(level) else { return Err(escaped()) };
        let node = tape.push_general(General::Prim(Box::new(entry)), Slot::CONST)?;
        Ok(out.into_slot(Slot::new(level, node)))
    }

    /// Rules read axes, widths and the like as numbers: a batched one must be the same for all examples, or they part.
    fn settled(&mut self, prim: &'static Prim, args: &[Value]) -> Result<Option<Values>> {
        if !matches!(prim.diff, Diff::Linear { .. } | Diff::Rules { .. }) || matches!(prim.batch, Batch::Elementwise) {
            return Ok(None);
        }
        // Indices may differ, and so may ints among joined parts; axes may not.
        let indexed = matches!(prim.batch, Batch::Indexed(_));
        let loose = |(i, a): (usize, &Value)| {
            matches!(a, Value::Batched(..))
                && !a.is_differentiable()
                && a.shape().is_some_and(<[usize]>::is_empty)
                && (!indexed || prim.sig.params.get(i).is_some_and(|p| p.name == "axis"))
        };
        if !args.iter().enumerate().any(loose) {
            return Ok(None);
        }
        let settle = |(i, a): (usize, &Value)| if loose((i, a)) { self.concrete(a) } else { Ok(a.clone()) };
        args.iter().enumerate().map(settle).collect::<Result<_>>().map(Some)
    }

    pub(crate) fn tape_mut(&mut self, level: Level) -> Option<&mut Tape> {
        match self.level_mut(level).map(|l| &mut l.mode) {
            Some(Mode::Reverse(tape)) => Some(tape),
            _ => None,
        }
    }

    /// Appends an elementwise application on scalars. Three operands take two entries.
    #[allow(clippy::too_many_arguments)]
    fn record_scalar(
        &mut self,
        prim: &'static Prim,
        e: &'static Elementwise,
        primals: &[Value],
        nodes: &[Node],
        out: &Value,
        lower: Slot,
        level: Level,
    ) -> Result<Value> {
        let mut partials: SmallVec<[(Node, f64, Slot); 3]> = SmallVec::new();
        let ended = primals.first().is_some_and(|p| ends_slope(prim, scalar_f64(p)));
        for (i, node) in nodes.iter().enumerate() {
            if node.0 == 0 || (i == 1 && ended) {
                continue;
            }
            let (slot, p) = self.unwatched(|cx| cx.scalar_partial(prim, e, primals, out, i))?;
            partials.push((*node, p, slot));
        }
        let y = if let Value::Float(_, y) = out { *y } else { 0.0 };
        let (records, place) = (self.trap.records, self.trap.place);
        let Some(tape) = self.tape_mut(level) else { return Err(escaped()) };
        let mut parts = partials.into_iter();
        let (a, pa, sa) = parts.next().unwrap_or((Node(0), 0.0, Slot::CONST));
        let (b, pb, sb) = parts.next().unwrap_or((Node(0), 0.0, Slot::CONST));
        let mut node = tape.push_nested(Entry { a: a.0, b: b.0, pa, pb }, Lower { primal: lower, pa: sa, pb: sb })?;
        if records {
            tape.note_scalars(place, prim, primals);
        }
        for (c, pc, sc) in parts {
            let entry = Entry { a: node.0, b: c.0, pa: 1.0, pb: pc };
            node = tape.push_nested(entry, Lower { primal: lower, pa: Slot::CONST, pb: sc })?;
            if records {
                tape.note_scalars(place, prim, primals);
            }
        }
        Ok(Value::Float(Slot::new(level, node), y))
    }

    /// Partial `i` of an elementwise primitive at scalars, with its slot at lower levels.
    fn scalar_partial(
        &mut self,
        prim: &'static Prim,
        e: &Elementwise,
        args: &[Value],
        out: &Value,
        i: usize,
    ) -> Result<(Slot, f64)> {
        if args.iter().all(|a| a.slot().is_const()) {
            let x = |i: usize| args.get(i).map_or(0.0, scalar_f64);
            let y = scalar_f64(out);
            let p = match &e.scalar {
                Scalar::Unary { d, .. } => d(x(0), y),
                Scalar::Binary { d, .. } => d[i.min(1)](x(0), x(1), y),
                Scalar::Ternary { d, .. } => d[i.min(2)](x(0), x(1), x(2), y),
            };
            return Ok((Slot::CONST, p));
        }
        match lanes::eval_partial(self, prim, i, args, out)? {
            Value::Float(slot, p) => Ok((slot, p)),
            other => Ok((Slot::CONST, scalar_f64(&other))),
        }
    }

    fn apply_forward(&mut self, prim: &'static Prim, args: &[Value], level: Level) -> Result<Value> {
        if let Eval::Elementwise(_) = &prim.eval
            && args.iter().any(is_structure)
        {
            return self.apply_leafwise(prim, args);
        }
        if let Some(args) = self.settled(prim, args)? {
            return self.apply(prim, &args);
        }
        let primals: Values = args.iter().map(|a| self.primal(a, level)).collect();
        let out = self.apply(prim, &primals)?;
        if !out.is_differentiable() || matches!(prim.diff, Diff::Zero) {
            return Ok(out);
        }
        let tangents: SmallVec<[Option<Value>; 3]> =
            args.iter().map(|a| self.tangent(a, level)).collect::<Result<_>>()?;
        self.part_directions(&out, &tangents)?;
        let tangent = match self.unwatched(|cx| cx.push(prim, &primals, &out, &tangents)) {
            Err(error) if error.0.code == UNDEFINED && matches!(prim.diff, Diff::Rules { .. }) => {
                return self.push_dual(out, Tangent::Undefined(error), level);
            }
            tangent => tangent?,
        };
        match tangent {
            Some(tangent) => {
                if self.watch != Watch::Off {
                    self.watch_tangent(prim, &primals, &tangents, &out, &tangent)?;
                }
                self.new_dual(out, tangent, level)
            }
            None => Ok(out),
        }
    }

    /// Tangent of the result of a primitive; `None` if it is zero.
    fn push(
        &mut self,
        prim: &'static Prim,
        primals: &[Value],
        out: &Value,
        tangents: &[Option<Value>],
    ) -> Result<Option<Value>> {
        match &prim.diff {
            Diff::Zero => Ok(None),
            Diff::Refused(reason) => Err(refused(prim, reason)),
            Diff::Elementwise => self.push_elementwise(prim, primals, out, tangents),
            Diff::Linear { .. } => {
                let mut linear = Values::from(primals);
                for (i, (arg, tangent)) in linear.iter_mut().zip(tangents).enumerate() {
                    if let Some(t) = tangent {
                        *arg = t.clone();
                    } else if primals[i].is_differentiable() {
                        *arg = self.zeros_like(&primals[i])?;
                    }
                }
                self.apply(prim, &linear).map(Some)
            }
            Diff::Rules { jvp, .. } => {
                let shapes: SmallVec<[ArgShape; 3]> = primals.iter().map(arg_shape).collect();
                let call = Call { prim, args: primals, out, shapes: &shapes, wanted: 0 };
                // A tangent that is zero everywhere ends here, whatever the arguments.
                let tangents: SmallVec<[Option<Value>; 3]> =
                    tangents.iter().map(|t| t.clone().filter(|t| !is_zero(t))).collect();
                if tangents.iter().all(Option::is_none) {
                    return Ok(None);
                }
                jvp(self, &call, &tangents)
            }
        }
    }

    /// Puts a value under a forward level with a tangent.
    pub(crate) fn new_dual(&mut self, out: Value, tangent: Value, level: Level) -> Result<Value> {
        self.push_dual(out, Tangent::Is(tangent), level)
    }

    pub(crate) fn push_dual(&mut self, out: Value, tangent: Tangent, level: Level) -> Result<Value> {
        let primal = out.slot();
        let Some(Mode::Forward(duals)) = self.level_mut(level).map(|l| &mut l.mode) else { return Err(escaped()) };
        if duals.len() >= Slot::MAX_NODES {
            return Err(Error::new("E0430", format!("forward mode holds {} tangents, the most it can", duals.len()))
                .help("differentiate a shorter part at a time"));
        }
        duals.push(Dual { tangent, primal });
        let node = Node(duals.len() as u32 - 1);
        Ok(out.with_slot(Slot::new(level, node)))
    }

    /// Tangent of a value at a forward level; an error if it is undefined.
    pub(crate) fn tangent(&self, value: &Value, level: Level) -> Result<Option<Value>> {
        let slot = value.slot();
        if slot.is_const() || slot.level() != level {
            return Ok(None);
        }
        match self.level(level).map(|l| &l.mode) {
            Some(Mode::Forward(duals)) => match duals.get(slot.node().0 as usize).map(|d| &d.tangent) {
                Some(Tangent::Is(tangent)) => Ok(Some(tangent.clone())),
                Some(Tangent::Undefined(error)) => Err(error.clone()),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn push_elementwise(
        &mut self,
        prim: &'static Prim,
        primals: &[Value],
        out: &Value,
        tangents: &[Option<Value>],
    ) -> Result<Option<Value>> {
        let mut sum: Option<Value> = None;
        for (i, tangent) in tangents.iter().enumerate() {
            let Some(t) = tangent else { continue };
            let constant = t.slot().is_const() && out.slot().is_const() && primals.iter().all(|p| p.slot().is_const());
            let term = if constant && all_finite(t) {
                lanes::push_elementwise(prim, primals, out, t, i)?
            } else {
                let slope = if constant {
                    lanes::pull_elementwise(prim, primals, out, &Value::float(1.0), i)?
                } else {
                    lanes::eval_partial(self, prim, i, primals, out)?
                };
                let by_tangent = self.zmul(t, &slope)?;
                if all_finite(t) {
                    by_tangent
                } else {
                    // A slope of exactly zero ends an infinite tangent, as in reverse mode the cotangent zero ends there.
                    let by_slope = self.zmul(&slope, t)?;
                    let undefined = self.apply(&ISNAN, std::slice::from_ref(&by_slope))?;
                    self.where_(&undefined, &by_tangent, &by_slope)?
                }
            };
            sum = Some(match sum {
                Some(s) => self.apply(&ADD, &[s, term])?,
                None => term,
            });
        }
        let Some(mut s) = sum else { return Ok(None) };
        // A tangent has its primal's shape and dtype: those of an argument that was broadcast or wider differ yet.
        if let Some(shape) = out.shape()
            && s.shape() != Some(shape)
        {
            s = self.broadcast_to(&s, shape)?;
        }
        match out.tensor_dtype() {
            Some(dtype) if dtype.is_float() => Ok(Some(self.cast(&s, dtype)?)),
            _ => Ok(Some(s)),
        }
    }
}

/// Whether the primitive is the product of a cotangent and a slope with a cotangent of 0: then the slope's cotangent is 0,
/// even if that of the product is infinite or NaN.
#[inline]
pub(crate) fn ends_slope(prim: &'static Prim, cotangent: f64) -> bool {
    cotangent == 0.0 && std::ptr::eq(prim, &ZMUL)
}

/// Tangent of a scalar at the only level, a forward one; `None` if it is no plain number.
#[inline]
pub(crate) fn scalar_tangent(duals: &[Dual], slot: Slot) -> Option<f64> {
    if slot.is_const() {
        return Some(0.0);
    }
    match duals.get(slot.node().0 as usize).map(|d| &d.tangent) {
        Some(Tangent::Is(Value::Float(below, t))) if below.is_const() => Some(*t),
        _ => None,
    }
}

/// A product in which zero wins, over infinities and NaN too.
#[inline]
pub(crate) fn strong(tangent: f64, slope: f64) -> f64 {
    if tangent == 0.0 || (slope == 0.0 && !tangent.is_finite()) { 0.0 } else { tangent * slope }
}

#[inline]
pub(crate) fn push_scalar(duals: &mut Vec<Dual>, tangent: f64) -> Slot {
    duals.push(Dual { tangent: Tangent::Is(Value::float(tangent)), primal: Slot::CONST });
    Slot::new(Level(1), Node(duals.len() as u32 - 1))
}

/// Slot and number of the result of a scalar operation.
fn scalar_parts(value: Value) -> (Slot, f64) {
    (value.slot(), scalar_f64(&value))
}

/// What an entry keeps alive: only what its rule reads.
fn kept(prim: &'static Prim, primals: &[Value], out: &Value, wanted: u32) -> (Values, Value) {
    let arity = primals.len();
    let reads = reads(prim, arity, wanted);
    let keep = |(i, v): (usize, &Value)| match reads & arg_bit(i) != 0 || !v.is_differentiable() {
        true => v.clone(),
        false => Value::None,
    };
    let args = few(primals.iter().enumerate().map(keep));
    (args, if reads & arg_bit(arity) != 0 { out.clone() } else { Value::None })
}

/// Bit `i`: the rule reads argument `i` for the cotangents of the `wanted` ones; behind them, the result.
fn reads(prim: &'static Prim, arity: usize, wanted: u32) -> u32 {
    match &prim.diff {
        Diff::Elementwise => lanes::reads(prim, wanted),
        Diff::Linear { keep, .. } | Diff::Rules { keep, .. } => keep_mask(*keep, arity),
        Diff::Zero | Diff::Refused(_) => 0,
    }
}

/// Whether its applications become entries of a tape.
fn is_recorded(prim: &Prim) -> bool {
    matches!(prim.diff, Diff::Elementwise | Diff::Linear { .. } | Diff::Rules { .. })
}

fn keep_mask(keep: Keep, arity: usize) -> u32 {
    (if keep.args { (0..arity.min(32)).fold(0, |mask, i| mask | arg_bit(i)) } else { 0 })
        | (if keep.out { arg_bit(arity) } else { 0 })
}

/// Shape and dtype of an argument.
pub(crate) fn arg_shape(value: &Value) -> ArgShape {
    match value {
        Value::Tensor(_, t) => ArgShape { shape: Shape::from_slice(t.shape()), dtype: Some(t.dtype()) },
        Value::Batched(..) => {
            ArgShape { shape: Shape::from_slice(value.shape().unwrap_or(&[])), dtype: value.tensor_dtype() }
        }
        _ => ArgShape::default(),
    }
}

/// A number as `f64`; 0 for what is none.
pub(crate) fn scalar_f64(value: &Value) -> f64 {
    match value {
        Value::Float(_, x) => *x,
        Value::Int(i) => *i as f64,
        Value::Bool(b) => f64::from(u8::from(*b)),
        _ => 0.0,
    }
}

/// True for tuples, lists, dicts and structs.
pub(crate) fn is_structure(value: &Value) -> bool {
    matches!(value, Value::Tuple(_) | Value::List(_) | Value::Dict(_) | Value::Struct(_))
}

#[cold]
fn refused(prim: &Prim, reason: &str) -> Error {
    Error::new(UNDEFINED, format!("`{}` cannot be differentiated here: {reason}", prim.name))
}

#[cold]
pub(crate) fn escaped() -> Error {
    Error::new("E0434", "a value is used after the derivative that it belongs to is finished").help(
        "return such values from the differentiated function (with aux: true) instead of keeping a pullback of it",
    )
}

/// True for a constant float or float tensor that is zero everywhere.
pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Float(slot, x) => slot.is_const() && *x == 0.0,
        Value::Tensor(slot, t) => slot.is_const() && t.dtype().is_float() && t.all_zero(),
        _ => false,
    }
}

/// False if a float in it (scalar or tensor) is NaN or infinite.
pub fn all_finite(value: &Value) -> bool {
    match value {
        Value::Float(_, x) => x.is_finite(),
        Value::Tensor(_, t) => t.all_finite(),
        Value::Batched(_, b) => all_finite(&b.whole),
        _ => true,
    }
}
