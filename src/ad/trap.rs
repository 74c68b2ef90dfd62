//! The NaN trap: the first operation, forward or backward, that makes a NaN or infinity out of finite numbers.
//!
//! While it is on, the run loop tells the place of each instruction before it runs ([`Cx::at`]), and every tape keeps
//! an [`Origin`] for each entry, so that the sweep can name the line that an entry came from. While it is off, nothing is
//! told and nothing is kept.

use crate::ad::dispatch::{all_finite, scalar_f64};
use crate::ad::slot::Slot;
use crate::ad::tape::{PrimEntry, Tape};
use crate::ad::{Cx, Mode};
use crate::error::{Error, Result};
use crate::ops::prim::{Eval, Prim};
use crate::show::brief;
use crate::source::{SourceId, Span};
use crate::tensor::DType;
use crate::tensor::format::{format_f32, format_float};
use crate::value::Value;

/// What to do when an operation makes a NaN or infinity out of finite numbers.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watch {
    #[default]
    Off,
    /// Remember the first: the REPL.
    Note,
    /// Stop with an error: `--check-nan`, `debug.trap_nan()`.
    Trap,
}

/// An operation that made a NaN or infinity out of finite numbers.
#[derive(Clone, Debug)]
pub struct Noted {
    pub message: String,
    pub span: Span,
}

/// A place in the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub span: Span,
    /// If `span` lies in a library module: the innermost call from outside of the library.
    pub outside: Option<Span>,
}

impl Place {
    /// The line that the user wrote.
    fn users(&self) -> Span {
        self.outside.unwrap_or(self.span)
    }
}

/// Where a tape entry came from.
#[derive(Clone, Copy, Default)]
pub struct Origin {
    pub place: Place,
    /// What a scalar entry itself does not tell.
    scalars: Option<Scalars>,
}

/// A scalar operation and its operands.
#[derive(Clone, Copy)]
struct Scalars {
    prim: &'static Prim,
    x: [f64; 3],
    count: u8,
}

impl Scalars {
    fn of(prim: &'static Prim, args: &[Value]) -> Scalars {
        let mut x = [0.0; 3];
        for (x, arg) in x.iter_mut().zip(args) {
            *x = scalar_f64(arg);
        }
        Scalars { prim, x, count: args.len().min(3) as u8 }
    }

    fn operands(&self) -> &[f64] {
        self.x.get(..self.count as usize).unwrap_or(&[])
    }
}

/// What the trap needs to know beside the operation.
#[derive(Default)]
pub struct Trap {
    /// Whether recordings keep origins: while results are watched, and in the rules in between.
    pub(crate) records: bool,
    /// What is being executed.
    pub place: Place,
    /// What to go back to when the trap is switched off: [`Watch::Note`] in the REPL.
    pub otherwise: Watch,
    /// The function that is running there, if it is made of primitives.
    pub builtin: Option<&'static str>,
    /// Texts of library modules.
    pub library: Vec<SourceId>,
}

impl Cx {
    /// Tells what is executed from now on. What was recorded since the last call came from there.
    #[cold]
    pub fn at(&mut self, place: Place) {
        self.settle();
        self.trap.builtin = None;
        self.trap.place = place;
    }

    /// Gives all that was recorded until now its origin.
    pub(crate) fn settle(&mut self) {
        let place = self.trap.place;
        for level in &mut self.levels {
            if let Mode::Reverse(tape) = &mut level.mode {
                tape.settle(place);
            }
        }
    }

    /// Switches the trap on or off.
    pub fn trap_nan(&mut self, on: bool) {
        // What was recorded unwatched has no known place.
        self.at(Place::default());
        self.set_watch(if on { Watch::Trap } else { self.trap.otherwise });
    }

    /// What to do about results that are not finite.
    pub fn set_watch(&mut self, watch: Watch) {
        self.watch = watch;
        self.trap.records = watch != Watch::Off;
    }

    /// Runs what computes slopes: its inner values are nobody's, only its result is looked at.
    pub(crate) fn unwatched<T>(&mut self, f: impl FnOnce(&mut Cx) -> T) -> T {
        let watch = std::mem::take(&mut self.watch);
        let result = f(self);
        self.watch = watch;
        result
    }

    /// Looks at the result of an application.
    #[cold]
    pub(crate) fn watch_result(&mut self, prim: &'static Prim, args: &[Value], out: &Value) -> Result<()> {
        if all_finite(out) || !args.iter().all(all_finite) {
            return Ok(());
        }
        // A function that is made of primitives goes by its own name.
        let name = self.trap.builtin.unwrap_or(prim.shown());
        let message = format!("`{name}` made {} out of finite numbers", culprit(out));
        if self.watch == Watch::Note {
            let span = self.trap.place.users();
            self.noted.get_or_insert(Noted { message, span });
            return Ok(());
        }
        let mut error = Error::new("E0440", message);
        let bad = first_bad(out);
        for (i, arg) in args.iter().enumerate().filter(|(_, arg)| is_number(arg)) {
            let entry = bad.as_deref().and_then(|index| entry_at(prim, arg, out, index));
            error = error.operand(i, format!("this is {}{}", brief(arg), entry.unwrap_or_default()));
        }
        if let Some(index) = &bad {
            error = error.note(format!("entry {} of the result is {}", show_index(index), culprit(out)));
        }
        let error = match (prim.name, args) {
            // Of a power there are several ways to fail.
            ("pow", _) if bad_number(out).is_some_and(f64::is_infinite) && !args.iter().any(has_zero) => {
                error.help(TOO_LARGE)
            }
            _ => hint(error, prim, Side::Value),
        };
        Err(self.seen_outside(error))
    }

    /// Looks at the tangent of a result in forward mode.
    #[cold]
    pub(crate) fn watch_tangent(
        &mut self,
        prim: &'static Prim,
        args: &[Value],
        tangents: &[Option<Value>],
        out: &Value,
        tangent: &Value,
    ) -> Result<()> {
        let given = args.iter().chain(tangents.iter().flatten()).chain([out]);
        if all_finite(tangent) || !given.into_iter().all(all_finite) {
            return Ok(());
        }
        let message = format!("the tangent of `{}` is {}", prim.shown(), kind(tangent));
        if self.watch == Watch::Note {
            let span = self.trap.place.users();
            self.noted.get_or_insert(Noted { message, span });
            return Ok(());
        }
        let mut error = Error::new("E0440", message);
        let bad = first_bad(tangent);
        for (i, arg) in args.iter().enumerate().filter(|(_, arg)| is_number(arg)) {
            let entry = bad.as_deref().and_then(|index| entry_at(prim, arg, tangent, index));
            error = error.operand(i, format!("this is {}{}", brief(arg), entry.unwrap_or_default()));
        }
        if let Some(index) = &bad {
            error = error.note(format!("it is so at entry {} of the tangent", show_index(index)));
        }
        Err(self.seen_outside(hint(error, prim, Side::Slope)))
    }

    /// Inside a library function, the call that the user wrote comes first.
    fn seen_outside(&self, error: Error) -> Error {
        match self.trap.place.outside {
            Some(span) => error.label(span, "in this call", true),
            None => error,
        }
    }

    /// True if a node of a forward level has a tangent that is not finite.
    fn infinite_tangent(&self, slot: Slot) -> bool {
        self.tangent(&Value::Float(slot, 0.0), slot.level()).ok().flatten().is_some_and(|t| !all_finite(&t))
    }

    fn kind_of_tangent(&self, slot: Slot) -> &'static str {
        self.tangent(&Value::Float(slot, 0.0), slot.level()).ok().flatten().map_or("infinite", |t| kind(&t))
    }

    fn trapped(&mut self, watch: Watch, origin: &Origin, what: What, taking: Place) -> Result<()> {
        let span = origin.place.users();
        if watch == Watch::Note {
            self.noted.get_or_insert(Noted { message: what.message, span });
            return Ok(());
        }
        let mut error = hint(Error::new("E0440", what.message), what.prim, Side::Slope);
        if origin.place == Place::default() {
            // Recorded before the trap was on.
            return Err(error.note(format!("{} was computed before the trap was on", what.computed)));
        }
        if origin.place.outside.is_some() {
            error = error.label(span, "in this call", true);
            error = error.label(origin.place.span, format!("{} was computed here", what.computed), false);
        } else {
            error = error.label(span, format!("{} was computed here", what.computed), true);
        }
        if taking != Place::default() && taking.users() != span {
            error = error.label(taking.users(), "the gradient was taken here", false);
        }
        error.0.notes.extend(what.notes);
        error.0.span = Some(span);
        Err(error)
    }
}

/// What is wrong in a backward pass.
struct What {
    prim: &'static Prim,
    message: String,
    /// "`sqrt` of 0.0".
    computed: String,
    notes: Vec<String>,
}

/// The trap during one sweep.
pub struct SweepTrap {
    pub watch: Watch,
    /// Where the gradient is taken.
    taking: Place,
    /// A NaN or infinity that no operation made has entered: what follows from it is not trapped.
    tainted: bool,
}

impl SweepTrap {
    pub fn new(watch: Watch, taking: Place, seeds: impl IntoIterator<Item = bool>) -> SweepTrap {
        SweepTrap { watch, taking, tainted: !seeds.into_iter().all(|finite| finite) }
    }

    /// Before an entry is processed: what the rules record at lower levels comes from its place.
    pub fn enter(&self, cx: &mut Cx, tape: &Tape, index: usize) {
        cx.at(tape.origin(index).place);
    }

    /// Back to the place where the gradient is taken.
    pub fn leave(&self, cx: &mut Cx) {
        cx.at(self.taking);
    }

    /// A scalar entry: cotangent `y` meets its partials.
    pub fn scalar(&mut self, cx: &mut Cx, tape: &Tape, index: usize, y: f64) -> Result<()> {
        let Some(&entry) = tape.entries.get(index) else { return Ok(()) };
        let origin = tape.origin(index);
        if !y.is_finite() {
            return self.sum(cx, &origin, &Value::float(y));
        }
        let lower = tape.lower.get(index).copied().unwrap_or_default();
        let terms = [(entry.a, entry.pa, lower.pa), (entry.b, entry.pb, lower.pb)];
        let mut terms = terms.into_iter().filter(|&(node, ..)| node != 0 && y != 0.0);
        let Some((_, slope, slot)) = terms.find(|&(_, p, slot)| !(y * p).is_finite() || cx.infinite_tangent(slot))
        else {
            return Ok(());
        };
        let Some(scalars) = origin.scalars.filter(|s| s.operands().iter().all(|x| x.is_finite())) else {
            self.tainted = true;
            return Ok(());
        };
        let shown = scalars.prim.shown();
        let operands: Vec<String> = scalars.operands().iter().map(|x| format_float(*x)).collect();
        let product = Value::float(y * slope);
        let finite = all_finite(&product);
        let notes = if slope.is_finite() && !finite {
            vec![format!(
                "its slope {} times the gradient {} that arrives there is too large",
                format_float(slope),
                format_float(y)
            )]
        } else {
            vec![]
        };
        let what = What {
            prim: scalars.prim,
            message: match finite {
                true => format!("the derivative of the gradient of `{shown}` is {}", cx.kind_of_tangent(slot)),
                false => format!("the gradient of `{shown}` is {}", kind(&product)),
            },
            computed: format!("`{shown}` of {}", operands.join(" and ")),
            notes,
        };
        cx.trapped(self.watch, &origin, what, self.taking)
    }

    /// A primitive's entry: its rule made `cotangents` out of `y_bar`.
    pub fn general(
        &mut self,
        cx: &mut Cx,
        origin: &Origin,
        entry: &PrimEntry,
        y_finite: bool,
        cotangents: &[Option<Value>],
    ) -> Result<()> {
        let Some((i, bad, of)) = cotangents.iter().enumerate().find_map(|(i, c)| match c {
            Some(c) if !all_finite(c) => Some((i, c.clone(), "gradient")),
            Some(c) if cx.infinite_tangent(c.slot()) => {
                Some((i, cx.tangent(c, c.slot().level()).ok()??, "derivative of the gradient"))
            }
            _ => None,
        }) else {
            return Ok(());
        };
        let bad = &bad;
        if !y_finite || !entry.args.iter().chain([&entry.out]).all(all_finite) {
            self.tainted = true;
            return Ok(());
        }
        let shown = entry.prim.shown();
        let index = first_bad(bad);
        // Beside tensors, ints are sizes and axes.
        let tensors = entry.args.iter().any(|a| matches!(a, Value::Tensor(..)));
        let counts = |a: &&Value| is_number(a) && !(tensors && entry.args.len() > 2 && matches!(a, Value::Int(_)));
        let operands = entry.args.iter().filter(counts).map(|arg| {
            let entry = index.as_deref().and_then(|index| entry_at(entry.prim, arg, bad, index));
            format!("{}{}", brief(arg), entry.unwrap_or_default())
        });
        let computed = format!("`{shown}` of {}", operands.collect::<Vec<_>>().join(" and "));
        let notes = index.map(|index| {
            let which =
                if entry.nodes.len() > 1 { format!(" with respect to operand {}", i + 1) } else { String::new() };
            format!("it is so at entry {}{which}", show_index(&index))
        });
        let message = format!("the {of} of `{shown}` is {}", kind(bad));
        let what = What { prim: entry.prim, message, computed, notes: notes.into_iter().collect() };
        cx.trapped(self.watch, origin, what, self.taking)
    }

    /// A cotangent that is not finite before its entry is processed: the sum of those that arrived is too large.
    pub fn sum(&mut self, cx: &mut Cx, origin: &Origin, y: &Value) -> Result<()> {
        if self.tainted {
            return Ok(());
        }
        self.tainted = true;
        let message = format!("the gradients that arrive here add up to {}", culprit(y));
        let (prim, computed) = match origin.scalars {
            Some(s) => (s.prim, format!("the result of `{}`", s.prim.shown())),
            None => (&crate::ops::arith::ADD, "this value".into()),
        };
        cx.trapped(self.watch, origin, What { prim, message, computed, notes: vec![] }, self.taking)
    }

    /// The pullback of a group ran watched; what it made of infinite captured values is not trapped.
    pub fn group(&mut self, finite: bool) {
        self.tainted |= !finite;
    }
}

impl Tape {
    /// Entries that have no origin yet came from `place`.
    pub(crate) fn settle(&mut self, place: Place) {
        self.origins.resize(self.entries.len(), Origin { place, scalars: None });
    }

    /// Notes the operands of the scalar entry that was recorded last.
    #[cold]
    pub(crate) fn note_scalars(&mut self, place: Place, prim: &'static Prim, args: &[Value]) {
        self.settle(place);
        if let Some(last) = self.origins.last_mut() {
            last.scalars = Some(Scalars::of(prim, args));
        }
    }

    /// Where an entry came from.
    pub(crate) fn origin(&self, index: usize) -> Origin {
        self.origins.get(index).copied().unwrap_or_default()
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(..) | Value::Tensor(..) | Value::Batched(..))
}

/// The first float of it that is not finite.
fn bad_number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(_, x) => Some(*x).filter(|x| !x.is_finite()),
        Value::Tensor(_, t) if t.dtype().is_float() => t.iter_f64().find(|x| !x.is_finite()),
        Value::Batched(_, b) => bad_number(&b.whole),
        _ => None,
    }
}

fn culprit(value: &Value) -> String {
    bad_number(value).map_or_else(|| "something".into(), format_float)
}

fn kind(value: &Value) -> &'static str {
    if bad_number(value).is_some_and(f64::is_nan) { "NaN" } else { "infinite" }
}

/// Index of the first entry of a tensor that is not finite.
fn first_bad(value: &Value) -> Option<Vec<usize>> {
    let Value::Tensor(_, t) = value else { return None };
    let mut rest = t.iter_f64().position(|x| !x.is_finite())?;
    let mut index: Vec<usize> = t
        .shape()
        .iter()
        .rev()
        .map(|&n| {
            let i = rest % n.max(1);
            rest /= n.max(1);
            i
        })
        .collect();
    index.reverse();
    Some(index)
}

fn show_index(index: &[usize]) -> String {
    format!("[{}]", index.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}

/// ` (0.0 at [1])`: the entry of an operand of an elementwise primitive that meets entry `index` of `like`.
fn entry_at(prim: &Prim, arg: &Value, like: &Value, index: &[usize]) -> Option<String> {
    let (Eval::Elementwise(_), Value::Tensor(_, t)) = (&prim.eval, arg) else { return None };
    // Broadcast axes are at 0; a part of a larger shape cannot be told.
    let skipped = like.shape()?.len().checked_sub(t.rank())?;
    let mut own = vec![];
    for ((&n, &of), &i) in t.shape().iter().zip(like.shape()?.get(skipped..)?).zip(index.get(skipped..)?) {
        own.push(match n {
            1 => 0,
            n if n == of => i,
            _ => return None,
        });
    }
    let flat = t.shape().iter().zip(&own).fold(0, |flat, (n, i)| flat * n + i);
    let x = t.iter_f64().nth(flat)?;
    let x = if t.dtype() == DType::F32 { format_f32(x as f32) } else { format_float(x) };
    Some(format!(" ({x} at {})", show_index(&own)))
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Value,
    Slope,
}

const TOO_LARGE: &str = "the numbers grew too large: a smaller learning rate, clipped gradients, or f64 (--dtype f64)";

fn has_zero(value: &Value) -> bool {
    match value {
        Value::Float(_, x) => *x == 0.0,
        Value::Int(n) => *n == 0,
        Value::Tensor(_, t) => t.iter_f64().any(|x| x == 0.0),
        Value::Batched(_, b) => has_zero(&b.whole),
        _ => false,
    }
}

fn hint(error: Error, prim: &Prim, side: Side) -> Error {
    match remedy(prim.name, side) {
        Some(text) => error.help(text),
        None => error,
    }
}

/// What helps, by primitive.
fn remedy(name: &str, side: Side) -> Option<&'static str> {
    Some(match (name, side) {
        ("sqrt" | "cbrt", Side::Slope) => {
            "for a length use norm(x) or hypot(x, y), for sqrt(x*x) abs(x): their slope at 0 is 0; else sqrt(x + 1e-12)"
        }
        ("sqrt", Side::Value) => "a negative number has no real root: sqrt(maximum(x, 0.0))",
        ("log" | "log2" | "log10", _) => {
            "keep the argument above 0: log(maximum(x, 1e-12)); log_softmax(x) and logsumexp(x) never take the log of 0"
        }
        ("log1p", _) => "keep the argument above -1: log1p(maximum(x, -1.0 + 1e-12))",
        ("div" | "rem", _) => "where the divisor can be 0, divide by something else: x / where(y == 0.0, 1.0, y)",
        ("exp" | "expm1" | "sinh" | "cosh", _) => {
            "subtract the largest exponent first; softmax(x), logsumexp(x), sigmoid(x) and softplus(x) do so"
        }
        ("pow", Side::Slope) => "x ^ p with p below 1 is vertical at 0: (x + 1e-12) ^ p",
        ("pow", Side::Value) => {
            "a negative number to a fraction is NaN, 0 to a negative power infinite: maximum(x, 1e-12) ^ p"
        }
        ("asin" | "acos", _) => "keep the argument inside of -1 to 1: clamp(x, -1.0 + 1e-7, 1.0 - 1e-7)",
        ("lgamma" | "digamma", _) => "0 and the negative integers are poles: keep the argument above 0",
        ("norm" | "var" | "std" | "add" | "sub" | "mul" | "matmul" | "dot" | "outer" | "sum" | "prod" | "mean", _) => {
            TOO_LARGE
        }
        _ => return None,
    })
}
