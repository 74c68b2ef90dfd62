//! The backward sweep: from the cotangent of a result to those of the leaves, one pass over the tape from its end.
//!
//! A zero cotangent is skipped, so it contributes exactly zero whatever the partial (the strong zero).

use std::cell::RefCell;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::cells::Loose;
use crate::ad::dispatch::{all_finite, is_structure, is_zero};
use crate::ad::lift;
use crate::ad::nested::Number;
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::small::own_tensor;
use crate::ad::tape::{Entry, General, GroupEntry, Kind, PrimEntry, Tape};
use crate::ad::trap::SweepTrap;
use crate::ad::{Cx, Watch};
use crate::error::{Error, Result};
use crate::ops::compare::{ISFINITE, NE, OR};
use crate::ops::elementwise::{ADD, ZMUL};
use crate::ops::index::{GET_INDEX, add_in_place, neighbours};
use crate::ops::lanes;
use crate::ops::linalg::MATMUL;
use crate::ops::prim::{Call, Cotangents, Diff, Eval, Keep, Prim, arg_bit};
use crate::ops::reduce::{MEAN, SUM};
use crate::profile;
use crate::tensor::broadcast::broadcast_shapes;
use crate::tensor::elementwise::{add_alike, pull_onto};
use crate::tensor::matmul;
use crate::tensor::parts::add_at;
use crate::tensor::small;
use crate::tensor::{Tensor, count};
use crate::value::Value;
use crate::vm::Vm;

/// A scalar cotangent and its slot at lower levels.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Bar {
    pub x: f64,
    pub slot: Slot,
}

/// Cotangents of the nodes of a tape, while and after sweeping.
pub struct Bars {
    scalars: Vec<Bar>,
    pub(crate) general: Vec<Option<Value>>,
    /// Inside `vmap` instead of `scalars`: cotangents of scalar entries may be batched. Else empty.
    wide: Vec<Option<Value>>,
    /// What small operations gave.
    pub(crate) loose: Loose,
}

impl Bars {
    /// The cotangent of a node, if anything flowed there.
    pub fn get(&self, tape: &Tape, node: Node) -> Option<Value> {
        let index = node.0 as usize;
        let entry = tape.entries.get(index)?;
        if let Some(general) = entry.in_general()
            && let Some(value) = self.general.get(general)?
        {
            return Some(value.clone());
        }
        if let Some(Some(value)) = self.wide.get(index) {
            return Some(value.clone());
        }
        let bar = self.scalars.get(index)?;
        (bar.x != 0.0 || !bar.slot.is_const()).then_some(Value::Float(bar.slot, bar.x))
    }
}

impl Bars {
    /// The cotangent of a node as far as it is known, to be added to: if it is a constant tensor that nobody else has.
    pub(crate) fn tensor_mut(&mut self, tape: &Tape, node: Node) -> Option<&mut Tensor> {
        let general = tape.entries.get(node.0 as usize)?.in_general()?;
        own_tensor(self.general.get_mut(general)?.as_mut()?)
    }
}

thread_local! {
    /// Memory of scalar cotangents that are done with: fresh pages cost more than the sweep.
    static USED: RefCell<Vec<Bar>> = const { RefCell::new(vec![]) };
    /// The same of small tensors.
    static USED_LOOSE: RefCell<Loose> = RefCell::default();
}

fn loose(general: usize) -> Loose {
    let mut loose = USED_LOOSE.with_borrow_mut(std::mem::take);
    loose.reset(general);
    loose
}

fn zeros(n: usize) -> Vec<Bar> {
    let mut bars = USED.with_borrow_mut(std::mem::take);
    bars.clear();
    bars.resize(n, Bar::default());
    bars
}

impl Drop for Bars {
    fn drop(&mut self) {
        const KEPT: usize = 1 << 22;
        let (bars, loose) = (std::mem::take(&mut self.scalars), std::mem::take(&mut self.loose));
        let _ = USED_LOOSE.try_with(|used| used.replace(loose));
        let _ = USED.try_with(|used| {
            let mut used = used.borrow_mut();
            if bars.capacity() > used.capacity() && bars.capacity() <= KEPT {
                *used = bars;
            }
        });
    }
}

/// Sweeps `tape` (of `level`) from the seeds. With `consume`, tensors are freed as the sweep passes them.
pub fn sweep(vm: &mut Vm, tape: &mut Tape, level: Level, seeds: &[(Node, Value)], consume: bool) -> Result<Bars> {
    if !profile::is_on() {
        return watched_sweep(vm, tape, level, seeds, consume);
    }
    let place = profile::place();
    tape.tell_profile();
    profile::begin_sweep();
    let bars = watched_sweep(vm, tape, level, seeds, consume);
    profile::end_sweep(place);
    bars
}

fn watched_sweep(vm: &mut Vm, tape: &mut Tape, level: Level, seeds: &[(Node, Value)], consume: bool) -> Result<Bars> {
    // The rules compute unwatched: what they make on the way is nobody's, what they give is looked at here.
    let watch = std::mem::take(&mut vm.cx.watch);
    if watch == Watch::Off {
        return sweep_from(vm, tape, level, seeds, consume, &mut None);
    }
    let finite = seeds.iter().map(|(_, seed)| all_finite(seed));
    let mut trap = Some(SweepTrap::new(watch, vm.cx.trap.place, finite));
    let result = sweep_from(vm, tape, level, seeds, consume, &mut trap);
    if let Some(trap) = &trap {
        trap.leave(&mut vm.cx);
    }
    vm.cx.watch = watch;
    result
}

fn sweep_from(
    vm: &mut Vm,
    tape: &mut Tape,
    level: Level,
    seeds: &[(Node, Value)],
    consume: bool,
    trap: &mut Option<SweepTrap>,
) -> Result<Bars> {
    let Some(last) = seeds.iter().map(|(node, _)| node.0 as usize).max() else {
        return Ok(Bars { scalars: vec![], general: vec![], wide: vec![], loose: Loose::default() });
    };
    // Elements alone have no slots of lower levels.
    let loose = loose(if tape.plain { tape.general.len() } else { 0 });
    let mut bars = Bars { scalars: zeros(last + 1), general: vec![], wide: vec![], loose };
    bars.general.resize_with(tape.general.len(), || None);
    let wide = tape.batched || vm.cx.innermost_batch().is_some();
    if wide {
        bars.wide.resize_with(last + 1, || None);
    }
    for (node, seed) in seeds {
        add(&mut vm.cx, tape, &mut bars, *node, seed.clone())?;
    }
    // With plain numbers all along, runs of scalar entries are one loop.
    let plain = !wide && !tape.nested && trap.is_none();
    let quiet = plain && tape.places.is_empty();
    let mut rest = last + 1;
    while rest > 1 {
        rest -= 1;
        if quiet
            && let Some(general) = tape.entries.get(rest).and_then(Entry::in_general)
            && let Some(General::Small(_) | General::SmallFormula(_) | General::Window(_)) = tape.general.get(general)
        {
            vm.cx.pull_small(tape, &mut bars, general)?;
            continue;
        }
        if plain {
            rest = sweep_scalars(&tape.entries, &mut bars.scalars, rest);
            if rest == 0 {
                break;
            }
        }
        let index = rest;
        let entry = tape.entries[index];
        if let Kind::Element { whole, at } = entry.kind() {
            if plain && add_plain_element(tape, &mut bars, index, (whole, at)) {
                continue;
            }
            let y_bar = if wide {
                bars.wide[index].clone()
            } else {
                let y = bars.scalars[index];
                (y.x != 0.0 || !y.slot.is_const()).then_some(Value::Float(y.slot, y.x))
            };
            if let Some(y_bar) = y_bar {
                let node = tape.wholes.get(whole).map_or(0, |w| w.node.0 as usize);
                let general = tape.entries[node].in_general();
                if let Some(bar) = general.and_then(|general| bars.general.get_mut(general)) {
                    vm.cx.add_element(tape, (whole, at), bar, &y_bar)?;
                }
            }
            continue;
        }
        if entry.is_scalar() && wide {
            let Some(y_bar) = bars.wide[index].clone() else { continue };
            let lower = tape.lower.get(index).copied().unwrap_or_default();
            for (node, p, slot) in [(entry.a, entry.pa, lower.pa), (entry.b, entry.pb, lower.pb)] {
                if node != 0 {
                    let term = vm.cx.zmul(&y_bar, &Value::Float(slot, p))?;
                    if let Some(trap) = trap
                        && all_finite(&y_bar)
                        && !all_finite(&term)
                    {
                        trap.scalar(&mut vm.cx, tape, index, 1.0)?;
                    }
                    add(&mut vm.cx, tape, &mut bars, Node(node), term)?;
                }
            }
            continue;
        }
        if entry.is_scalar() {
            let y = bars.scalars[index];
            if let Some(trap) = trap {
                trap.enter(&mut vm.cx, tape, index);
                trap.scalar(&mut vm.cx, tape, index, y.x)?;
            }
            if y.slot.is_const() && !tape.nested {
                if y.x != 0.0 {
                    bars.scalars[entry.a as usize].x += y.x * entry.pa;
                    bars.scalars[entry.b as usize].x += y.x * entry.pb;
                }
            } else if y.x != 0.0 || !y.slot.is_const() {
                let lower = tape.lower.get(index).copied().unwrap_or_default();
                add_product(vm, &mut bars, entry.a, y, Bar { x: entry.pa, slot: lower.pa })?;
                add_product(vm, &mut bars, entry.b, y, Bar { x: entry.pb, slot: lower.pb })?;
            }
            continue;
        }
        let Some(general) = entry.in_general() else { continue };
        if let Some(trap) = trap {
            trap.enter(&mut vm.cx, tape, index);
            // The trap was off when this was recorded.
            bars.as_value(general);
            if let (General::Small(_), Some(y_bar)) = (&tape.general[general], bars.general[general].clone())
                && let General::Small(entry) = std::mem::replace(&mut tape.general[general], General::Leaf)
            {
                add(&mut vm.cx, tape, &mut bars, entry.bias, y_bar.clone())?;
                tape.general[general] = General::Prim(Box::new(entry.general(&y_bar)));
            }
        }
        if let Some(place) = tape.places.get(general) {
            let prim = match &tape.general[general] {
                General::Prim(p) => Some(p.prim),
                General::Small(s) => Some(s.prim),
                _ => None,
            };
            profile::back_at(*place, prim);
        }
        match &tape.general[general] {
            General::Leaf | General::Part => {}
            General::Small(_) | General::SmallFormula(_) | General::Window(_) => {
                vm.cx.pull_small(tape, &mut bars, general)?;
            }
            General::Total(_) => {
                let Some(y_bar) = take(&mut bars, index, general) else { continue };
                if let General::Total(entry) = std::mem::replace(&mut tape.general[general], General::Leaf) {
                    for (node, cotangent) in entry.pull(&mut vm.cx, &y_bar)? {
                        add(&mut vm.cx, tape, &mut bars, node, cotangent)?;
                    }
                }
            }
            General::Formula(_) | General::Slopes(_) => {
                let number = bars.scalars[index];
                let Some(mut y_bar) = take(&mut bars, index, general) else { continue };
                // Of a sum and of others.
                if let Value::Tensor(..) = y_bar
                    && number.x != 0.0
                {
                    y_bar = vm.cx.apply(&ADD, &[y_bar, Value::Float(number.slot, number.x)])?;
                }
                match &tape.general[general] {
                    General::Formula(entry) => {
                        let (mut onto, homes) = bars.take_sums(tape, entry.operands());
                        let pulled = entry.pull(&y_bar, &mut onto);
                        bars.give_back(onto, &homes);
                        for (node, cotangent) in entry.nodes.iter().zip(pulled?) {
                            if let Some(c) = cotangent {
                                vm.cx.add_through(tape, &mut bars, *node, c)?;
                            }
                        }
                    }
                    General::Slopes(entry) => {
                        entry.pull(&mut vm.cx, tape, &mut bars, &y_bar)?;
                    }
                    _ => {}
                }
                if consume {
                    tape.general[general] = General::Leaf;
                }
            }
            General::Loop(entry) => {
                entry.pull(&mut vm.cx, tape, index, &mut bars.scalars, &mut bars.general)?;
            }
            General::Prim(p) => {
                let Some(y_bar) = take(&mut bars, index, general) else { continue };
                if plain && add_number(tape, &mut bars, p, &y_bar) {
                    continue;
                }
                if !add_part(tape, &mut bars, p, &y_bar)? {
                    let finite = trap.is_none() || all_finite(&y_bar);
                    if let Some(trap) = trap
                        && !finite
                    {
                        trap.sum(&mut vm.cx, &tape.origin(index), &y_bar)?;
                    }
                    let added = if plain { add_in_passing(tape, &mut bars, p, &y_bar) } else { 0 };
                    let cotangents = pull(vm, p, y_bar, added)?;
                    if let Some(trap) = trap {
                        trap.general(&mut vm.cx, &tape.origin(index), p, finite, &cotangents)?;
                    }
                    for (node, cotangent) in p.nodes.iter().zip(cotangents) {
                        if let Some(c) = cotangent {
                            add(&mut vm.cx, tape, &mut bars, *node, c)?;
                        }
                    }
                }
                if consume {
                    tape.general[general] = General::Leaf;
                }
            }
            General::Group(_) if consume => {
                if let General::Group(group) = std::mem::replace(&mut tape.general[general], General::Leaf) {
                    pull_group(vm, tape, &mut bars, &group, level, trap)?;
                }
            }
            General::Group(group) => pull_group(vm, tape, &mut bars, group, level, trap)?,
        }
    }
    bars.as_values();
    Ok(bars)
}

/// Sweeps scalar entries from `index` down as long as there are only plain numbers; the first entry that is left, or 0.
fn sweep_scalars(entries: &[Entry], bars: &mut [Bar], mut index: usize) -> usize {
    while index > 0 {
        let (entry, y) = (&entries[index], bars[index]);
        if !entry.is_scalar() || !y.slot.is_const() {
            break;
        }
        if y.x != 0.0 {
            bars[entry.a as usize].x += y.x * entry.pa;
            bars[entry.b as usize].x += y.x * entry.pb;
        }
        index -= 1;
    }
    index
}

/// Adds the cotangent of an element to that of its tensor in place; false if that takes more.
#[inline]
fn add_plain_element(tape: &Tape, bars: &mut Bars, index: usize, (whole, at): (usize, usize)) -> bool {
    let y = bars.scalars[index];
    let node = tape.wholes.get(whole).and_then(|w| tape.entries.get(w.node.0 as usize));
    let bar = node.and_then(Entry::in_general).and_then(|general| bars.general.get_mut(general));
    match bar {
        Some(Some(Value::Tensor(slot, t))) if slot.is_const() && y.slot.is_const() => match Rc::get_mut(t) {
            Some(t) => {
                if y.x != 0.0 {
                    add_at(t, at, y.x);
                }
                true
            }
            None => false,
        },
        _ => false,
    }
}

/// The cotangent of a sum or mean of a formula is one number for all elements, and stays one; false, with nothing done, for others.
fn add_number(tape: &Tape, bars: &mut Bars, entry: &PrimEntry, y_bar: &Value) -> bool {
    let (&Value::Float(Slot::CONST, x), Some(&node), Some(of)) = (y_bar, entry.nodes.first(), entry.shapes.first())
    else {
        return false;
    };
    let share = if std::ptr::eq(entry.prim, &SUM) {
        x
    } else if std::ptr::eq(entry.prim, &MEAN) {
        x * (1.0 / count(&of.shape).max(1) as f64)
    } else {
        return false;
    };
    let general = tape.entries.get(node.0 as usize).and_then(Entry::in_general);
    if !general
        .is_some_and(|general| matches!(tape.general.get(general), Some(General::Formula(_) | General::Slopes(_))))
    {
        return false;
    }
    bars.scalars[node.0 as usize].x += share;
    true
}

/// The cotangent of a part that was read adds to that of the whole in place, if there is one already: a loop over the
/// elements of a tensor costs as much as the tensor is long, not its square.
fn add_part(tape: &Tape, bars: &mut Bars, entry: &PrimEntry, y_bar: &Value) -> Result<bool> {
    if !bars.wide.is_empty() || !std::ptr::eq(entry.prim, &GET_INDEX) || !y_bar.slot().is_const() {
        return Ok(false);
    }
    let Some(&node) = entry.nodes.first() else { return Ok(false) };
    let whole = tape.entries.get(node.0 as usize).and_then(Entry::in_general);
    let (Some(whole), Some(index)) = (whole, entry.args.get(1)) else { return Ok(false) };
    if let (Some(shape), Value::Tensor(_, part)) = (entry.shapes.first(), y_bar)
        && let [n] = shape.shape[..]
        && let Some(range) = neighbours(n, index)
        && bars.add_range(tape, node, n, range, part)
    {
        return Ok(true);
    }
    match bars.general.get_mut(whole) {
        Some(Some(Value::Tensor(slot, bar))) if slot.is_const() => {
            add_in_place(bar, index, y_bar)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Cotangents that add to what there is in place as they are made; the bits of the arguments for which that is done.
fn add_in_passing(tape: &Tape, bars: &mut Bars, entry: &PrimEntry, y_bar: &Value) -> u32 {
    let Value::Tensor(Slot::CONST, c) = y_bar else { return 0 };
    if !matches!(entry.prim.diff, Diff::Elementwise) || std::ptr::eq(entry.prim, &ZMUL) {
        return add_to_factor(tape, bars, entry, y_bar);
    }
    let mut done = 0;
    for (i, node) in entry.nodes.iter().enumerate().filter(|(_, node)| node.0 != 0) {
        let sum = bars.tensor_mut(tape, *node);
        if sum.is_some_and(|sum| pull_onto(entry.prim, &entry.args, &entry.out, c, i, sum)) {
            done |= arg_bit(i);
        }
    }
    done
}

/// The cotangent of a matrix that others were multiplied with adds to what there is in place; the bit of the argument for which
/// that is done.
fn add_to_factor(tape: &Tape, bars: &mut Bars, entry: &PrimEntry, y_bar: &Value) -> u32 {
    let ([Value::Tensor(_, x), _], [_, node]) = (&entry.args[..], &entry.nodes[..]) else { return 0 };
    if !std::ptr::eq(entry.prim, &MATMUL) || node.0 == 0 {
        return 0;
    }
    let general = tape.entries.get(node.0 as usize).and_then(Entry::in_general);
    let (Some(general), Value::Tensor(slot, c)) = (general, y_bar) else { return 0 };
    match bars.general.get_mut(general) {
        Some(Some(Value::Tensor(own, bar))) if own.is_const() && slot.is_const() => {
            let add = if x.rank() == 1 { small::add_outer } else { matmul::add_product };
            let done = Rc::get_mut(bar).is_some_and(|bar| add(bar, x, c));
            if done { arg_bit(1) } else { 0 }
        }
        _ => 0,
    }
}

fn take(bars: &mut Bars, index: usize, general: usize) -> Option<Value> {
    bars.as_value(general);
    if let Some(value) = bars.general[general].take() {
        return Some(value);
    }
    let bar = bars.scalars[index];
    (bar.x != 0.0 || !bar.slot.is_const()).then_some(Value::Float(bar.slot, bar.x))
}

fn add_product(vm: &mut Vm, bars: &mut Bars, node: u32, y: Bar, p: Bar) -> Result<()> {
    if node == 0 {
        return Ok(());
    }
    let term = if y.slot.is_const() && p.slot.is_const() {
        (Slot::CONST, y.x * p.x)
    } else {
        vm.cx.times((y.slot, y.x), (p.slot, p.x))?
    };
    add_scalar(&mut vm.cx, bars, node as usize, term)
}

fn add_scalar(cx: &mut Cx, bars: &mut Bars, index: usize, (slot, x): Number) -> Result<()> {
    let bar = bars.scalars[index];
    bars.scalars[index] = if slot.is_const() {
        // Adding a constant changes neither the node nor its tangent.
        Bar { x: bar.x + x, slot: bar.slot }
    } else if bar.slot.is_const() {
        Bar { x: bar.x + x, slot }
    } else {
        let (slot, x) = cx.plus((bar.slot, bar.x), (slot, x))?;
        Bar { x, slot }
    };
    Ok(())
}

/// Adds to the cotangent of a node.
pub(crate) fn add(cx: &mut Cx, tape: &Tape, bars: &mut Bars, node: Node, mut value: Value) -> Result<()> {
    if node.0 == 0 || matches!(value, Value::None) {
        return Ok(());
    }
    let index = node.0 as usize;
    let entry = tape.entries[index];
    let wide = !bars.wide.is_empty();
    if let (Value::Tensor(Slot::CONST, c), Some(general)) = (&value, entry.in_general()) {
        if bars.add_tensor(general, c) {
            return Ok(());
        }
        let bar = &mut bars.general[general];
        let Some(old) = bar else {
            *bar = Some(value);
            return Ok(());
        };
        if own_tensor(old).is_some_and(|old| add_alike(old, c)) {
            return Ok(());
        }
        if let Value::Tensor(Slot::CONST, old) = old
            && own_tensor(&mut value).is_some_and(|new| add_alike(new, old))
        {
            *bar = Some(value);
            return Ok(());
        }
    }
    if let (&Value::Float(slot, x), false) = (&value, wide) {
        return add_scalar(cx, bars, index, (slot, x));
    }
    if entry.in_general().is_none() && !(wide && value.is_one_float()) {
        return Err(Error::new("E0433", format!("the cotangent of a float is {}", value.type_name()))
            .help("a rule must return a cotangent of the shape of each argument"));
    }
    let bar = match entry.in_general() {
        Some(general) => &mut bars.general[general],
        None => &mut bars.wide[index],
    };
    *bar = Some(match bar.take() {
        None => value,
        Some(old) => cx.accumulate(old, value)?,
    });
    Ok(())
}

/// Cotangents of the arguments of one application, each with its argument's shape and dtype; without those that are `done`.
fn pull(vm: &mut Vm, entry: &PrimEntry, y_bar: Value, done: u32) -> Result<Cotangents> {
    let mut wanted = 0u32;
    for (i, node) in entry.nodes.iter().enumerate() {
        wanted |= if node.0 != 0 { arg_bit(i) & !done } else { 0 };
    }
    if wanted == 0 {
        return Ok(Cotangents::new());
    }
    let call = Call { prim: entry.prim, args: &entry.args, out: &entry.out, shapes: &entry.shapes, wanted };
    let mut cotangents = vm.cx.cotangents(&call, &y_bar)?;
    for (i, cotangent) in cotangents.iter_mut().enumerate() {
        if !call.wants(i) {
            *cotangent = None;
        } else if cotangent.as_ref().is_some_and(|c| !fits(c, &call, i))
            && let Some(c) = cotangent.take()
        {
            *cotangent = Some(fit(vm, c, &call, i)?);
        }
    }
    Ok(cotangents)
}

impl Cx {
    /// What the rule of a primitive gives for a cotangent. One that is zero everywhere ends here, whatever the arguments.
    pub(crate) fn cotangents(&mut self, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
        match &call.prim.diff {
            Diff::Elementwise => pull_elementwise(self, call, y_bar),
            Diff::Linear { keep, .. } | Diff::Rules { keep, .. } if ends(*keep, y_bar) => {
                Ok(SmallVec::from_elem(None, call.args.len()))
            }
            Diff::Linear { vjp, .. } | Diff::Rules { vjp, .. } => vjp(self, call, y_bar),
            Diff::Zero | Diff::Refused(_) => Ok(Cotangents::new()),
        }
    }
}

/// Whether a cotangent is zero everywhere. Of a tensor that is not looked for where the rule reads nothing beside it: it gives
/// zeros of zeros then.
fn ends(keep: Keep, y_bar: &Value) -> bool {
    (keep.args || keep.out || !matches!(y_bar, Value::Tensor(..))) && is_zero(y_bar)
}

fn pull_elementwise(cx: &mut Cx, call: &Call<'_>, y_bar: &Value) -> Result<Cotangents> {
    let constant =
        y_bar.slot().is_const() && call.out.slot().is_const() && call.args.iter().all(|a| a.slot().is_const());
    let mut cotangents = SmallVec::new();
    for i in 0..call.args.len() {
        if !call.wants(i) {
            cotangents.push(None);
            continue;
        }
        if let (Value::Tensor(..), true) = (y_bar, passes(call.prim, i))
            && fits(y_bar, call, i)
        {
            cotangents.push(Some(y_bar.clone()));
            continue;
        }
        let beside;
        let y_bar = if i == 1 && std::ptr::eq(call.prim, &ZMUL) {
            beside = beside_zeros(cx, call, y_bar, i)?;
            &beside
        } else {
            y_bar
        };
        cotangents.push(Some(if constant {
            lanes::pull_elementwise(call.prim, call.args, call.out, y_bar, i)?
        } else {
            let partial = lanes::eval_partial(cx, call.prim, i, call.args, call.out)?;
            cx.zmul(y_bar, &partial)?
        }));
    }
    Ok(cotangents)
}

/// Whether argument `i` gets the cotangent of the result as it is.
fn passes(prim: &Prim, i: usize) -> bool {
    matches!(&prim.eval, Eval::Elementwise(e) if e.slopes().get(i).is_some_and(|s| s.constant == Some(1.0)))
}

/// The cotangent of a product of a cotangent and a slope as the slope gets it: where the former is 0, so is what the slope
/// gets, even of an infinity or NaN.
fn beside_zeros(cx: &mut Cx, call: &Call<'_>, y_bar: &Value, i: usize) -> Result<Value> {
    if !call.wants(i) || all_finite(y_bar) {
        return Ok(y_bar.clone());
    }
    let Some(bar) = call.args.first() else { return Ok(y_bar.clone()) };
    let some = cx.apply(&NE, &[bar.clone(), Value::float(0.0)])?;
    let finite = cx.apply(&ISFINITE, std::slice::from_ref(y_bar))?;
    let keep = cx.apply(&OR, &[some, finite])?;
    cx.where_(&keep, y_bar, &Value::float(0.0))
}

/// Whether it is a tensor of the argument's shape and dtype already.
fn fits(cotangent: &Value, call: &Call<'_>, i: usize) -> bool {
    let (Value::Tensor(_, c), Some(want)) = (cotangent, call.shapes.get(i)) else { return false };
    want.dtype == Some(c.dtype()) && want.shape.as_slice() == c.shape()
}

/// Sums broadcast axes back and casts to the argument's dtype.
fn fit(vm: &mut Vm, cotangent: Value, call: &Call<'_>, i: usize) -> Result<Value> {
    let shape = call.shape(i);
    let mut c = cotangent;
    if let Some(own) = c.shape()
        && own != shape
    {
        // [0] does not stretch to [1]: it is summed to it.
        let stretches = broadcast_shapes(own, shape).is_ok_and(|s| s.as_slice() == shape);
        c = if stretches { vm.cx.broadcast_to(&c, shape)? } else { vm.cx.sum_to(&c, shape)? };
    }
    if let Some(want) = call.shapes.get(i).and_then(|s| s.dtype)
        && want.is_float()
    {
        c = vm.cx.cast(&c, want)?;
    }
    Ok(c)
}

/// A group's parts have got their cotangents: gather them, call the pullback, hand on what it gives.
fn pull_group(
    vm: &mut Vm,
    tape: &Tape,
    bars: &mut Bars,
    group: &GroupEntry,
    level: Level,
    trap: &mut Option<SweepTrap>,
) -> Result<()> {
    let mut any = false;
    let dy = lift::map_leaves(&group.result, &mut |leaf| {
        let slot = leaf.slot();
        if !slot.is_const() && slot.level() == level {
            if let Some(bar) = bars.get(tape, slot.node()) {
                any = true;
                return Ok(bar);
            }
            return vm.cx.zeros_like(leaf);
        }
        if leaf.is_differentiable() { vm.cx.zeros_like(leaf) } else { Ok(Value::None) }
    })?;
    if !any {
        return Ok(());
    }
    // The pullback is the program's own code.
    vm.cx.watch = trap.as_ref().map_or(Watch::Off, |trap| trap.watch);
    let cotangents = vm.call(&group.pullback, &[dy]);
    vm.cx.watch = Watch::Off;
    let cotangents = cotangents?;
    if let Some(trap) = trap {
        trap.group(lift::leaves_finite(&cotangents));
    }
    let list = cotangent_list(&cotangents, &group.args)?;
    for (arg, cotangent) in group.args.iter().zip(&list) {
        add_structure(vm, tape, bars, arg, cotangent, level)?;
    }
    Ok(())
}

/// What a pullback gave, one cotangent for each argument.
pub(crate) fn cotangent_list(cotangents: &Value, args: &[Value]) -> Result<Vec<Value>> {
    let list = match cotangents {
        Value::Tuple(items) if args.len() != 1 => items.as_ref().clone(),
        // One argument: a bare cotangent, or a tuple of one.
        Value::Tuple(items) if items.len() == 1 && !args.iter().any(|a| matches!(a, Value::Tuple(_))) => {
            items.as_ref().clone()
        }
        single => vec![single.clone()],
    };
    if list.len() != args.len() {
        return Err(wrong_count(list.len(), args.len()));
    }
    Ok(list)
}

/// The error for a pullback that gave another number of cotangents than there are arguments.
#[cold]
pub(crate) fn wrong_count(given: usize, wanted: usize) -> Error {
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let message = format!(
        "the pullback of a custom rule gave {given} cotangent{} for {wanted} argument{}",
        plural(given),
        plural(wanted)
    );
    Error::new("E0433", message).help("return a tuple with one cotangent for each argument; none where there is none")
}

/// Adds cotangents leaf by leaf to the nodes of `arg`.
fn add_structure(
    vm: &mut Vm,
    tape: &Tape,
    bars: &mut Bars,
    arg: &Value,
    cotangent: &Value,
    level: Level,
) -> Result<()> {
    if matches!(cotangent, Value::None) {
        return Ok(());
    }
    if is_structure(arg) {
        let (Some(xs), Some(cs)) = (lift::children(arg), lift::children(cotangent)) else {
            return Err(misfit(arg, cotangent));
        };
        if xs.len() != cs.len() {
            return Err(misfit(arg, cotangent));
        }
        for (x, c) in xs.iter().zip(cs) {
            add_structure(vm, tape, bars, x, c, level)?;
        }
        return Ok(());
    }
    let slot = arg.slot();
    if slot.is_const() || slot.level() != level {
        return Ok(());
    }
    let mut c = cotangent.clone();
    if let Value::Int(i) = c {
        c = Value::float(i as f64);
    }
    if c.shape() != arg.shape() || !c.is_differentiable() {
        return Err(misfit(arg, cotangent));
    }
    if let Some(dtype) = arg.tensor_dtype() {
        c = vm.cx.cast(&c, dtype)?;
    }
    add(&mut vm.cx, tape, bars, slot.node(), c)
}

pub(crate) fn misfit(arg: &Value, cotangent: &Value) -> Error {
    use crate::builtins::fail::with_article;
    unlike_argument(&with_article(&cotangent.type_name()), &with_article(&arg.type_name()))
}

/// The error for a cotangent of a custom rule that its argument cannot have.
pub(crate) fn unlike_argument(cotangent: &str, arg: &str) -> Error {
    Error::new("E0433", format!("a custom rule gave {cotangent} as the cotangent of an argument that is {arg}"))
        .help("a cotangent has the structure and shape of its argument")
}
