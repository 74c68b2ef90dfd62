//! Formulas on a few elements as machine code: all operations in registers, in one call for all elements.
//!
//! Only with vectors of 512 bits, whose masks serve for what is no whole vector, and only where all functions can be written out. Of the
//! values on the way those that take long to compute are kept for the way back.

use std::cell::{Cell, OnceCell, RefCell};
use std::mem::MaybeUninit;
use std::ptr;
use std::rc::Rc;

use smallvec::SmallVec;

use super::fused::{Entry, Fused, compiled_from};
use super::fused_small::elements;
use super::graph::{Backward, Node, Root, Target, values_of};
use super::layout::Reach;
use super::plan::Plan;
use super::program::{Back, Bar};
use super::small::{Applied, Keeps, Kept, Pulled, Sink, at, pull_number};
use super::stages::Place;
use crate::bytecode::formula::{Formula, MOST, Step};
use crate::tensor::Tensor;
use crate::tensor::out::{Written, place};
use crate::tensor::simd::sums::sum;
use crate::tensor::spares::Spares;
use crate::value::Value;

/// Elements that count for one evaluation, however few it has, when it comes to whether compiling pays.
const LEAST: usize = 256;
/// Elements from which on cotangents are added in their places. To see whether that can be takes longer than to add a few afterwards.
const LEAST_IN_PLACE: usize = 64;
/// Elements of values that are kept, at most.
const MOST_KEPT: usize = 128;
/// Arrays that the code reads and writes, at most.
const ARRAYS: usize = 24;

/// Where the elements of an array are.
#[derive(Clone, Copy)]
enum Array {
    Register(u8),
    /// What was kept of the way forward, by its number.
    Kept(u8),
    Root,
    Out,
    Made(u8),
}

/// One way through a formula.
struct Way<T> {
    entry: Entry,
    arrays: SmallVec<[Array; 12]>,
    /// The numbers that it reads, constants among them.
    numbers: Vec<T>,
    /// Those that differ from one evaluation to the next: their places, and the values of the formula that they are.
    open: Vec<(usize, u8)>,
    /// Held for what the entry points to.
    code: Fused,
}

impl<T: Keeps> Way<T> {
    /// `kept` are the values that the way forward keeps.
    fn new(code: Fused, kept: &[u8]) -> Option<Way<T>> {
        let (mut numbers, mut open) = (vec![], vec![]);
        for node in code.numbers_read() {
            match *node {
                Node::Constant(x) => numbers.push(T::c(x)),
                Node::Number(i) => {
                    open.push((numbers.len(), i));
                    numbers.push(T::c(0.0));
                }
                _ => return None,
            }
        }
        let (entry, places) = code.only_loop()?;
        let array = |place: &Place| {
            Some(match *place {
                Place::Value(i) => match kept.iter().position(|own| *own == i) {
                    Some(at) => Array::Kept(at as u8),
                    None => Array::Register(i),
                },
                Place::Root => Array::Root,
                Place::Out => Array::Out,
                Place::Output(i) => Array::Made(i as u8),
                Place::Buffer(_) => return None,
            })
        };
        let arrays: SmallVec<[Array; 12]> = places.iter().map(array).collect::<Option<_>>()?;
        (arrays.len() <= ARRAYS).then_some(Way { entry, arrays, numbers, open, code })
    }

    /// How many arrays it makes.
    fn makes(&self) -> usize {
        self.code.targets().count()
    }

    /// Puts the addresses of the arrays that it reads, of `n` elements, into the table; `None` if one is not there.
    #[inline(always)]
    fn look_up<'a>(&self, n: usize, read: impl Fn(Array) -> Option<&'a [T]>, table: &mut [*mut T; ARRAYS]) -> Option<()>
    where
        T: 'a,
    {
        for (place, array) in table.iter_mut().zip(&self.arrays) {
            if !matches!(array, Array::Made(_)) {
                *place = read(*array).filter(|elements| elements.len() == n)?.as_ptr().cast_mut();
            }
        }
        Some(())
    }

    /// Writes the `n` elements of all arrays that it makes.
    ///
    /// # Safety
    /// The table is [`Way::look_up`]'s for this `n`, and what it read is still there. Where `made` says that an array is to be made there is
    /// room for `n` elements, which nobody else reads or writes meanwhile; those to which it adds are there.
    #[inline(always)]
    unsafe fn run(&self, n: usize, values: &[f64], table: &mut [*mut T; ARRAYS], made: impl Fn(usize) -> *mut T) {
        for (place, array) in table.iter_mut().zip(&self.arrays) {
            if let Array::Made(k) = array {
                *place = made(*k as usize);
            }
        }
        let mut room: SmallVec<[T; 32]> = SmallVec::new();
        let mut numbers = &self.numbers[..];
        if !self.open.is_empty() {
            room.extend_from_slice(numbers);
            for (place, i) in &self.open {
                if let Some(own) = room.get_mut(*place) {
                    *own = T::c(at(values, *i));
                }
            }
            numbers = &room;
        }
        // SAFETY: the code was written for these arrays and numbers. Of each array it reads or writes `n` elements: those that it
        // reads were found to be there, and for the others the caller answers.
        unsafe { (self.entry)(table.as_ptr().cast(), numbers.as_ptr().cast(), n * size_of::<T>()) };
    }
}

/// A way that adds cotangents to what stands in their places, for the registers in a mask.
type Adding<T> = (u32, Rc<Way<T>>);

/// The way back.
struct WayBack<T> {
    /// The code that writes cotangents.
    way: Rc<Way<T>>,
    /// For sets of registers code that adds their cotangents to what stands in their places.
    adding: RefCell<Vec<Adding<T>>>,
    /// The same for all of them.
    all: Adding<T>,
    back: Backward,
    kept: SmallVec<[u8; 4]>,
    /// Of the arrays that it makes those that are cotangents of registers, by their numbers.
    cotangents: SmallVec<[(usize, u8); 12]>,
    /// Those whose sums are the cotangents of numbers.
    shares: SmallVec<[(usize, u8); 4]>,
    /// Registers that get the cotangent of the result, or a number.
    handed: Vec<(u8, Bar)>,
    /// Steps on numbers, last ones first.
    counted: Vec<u8>,
}

/// A formula on operands of some kinds and one dtype.
pub struct Straight<T> {
    forward: Way<T>,
    back: Option<WayBack<T>>,
    /// How many values are kept.
    kept: usize,
}

impl<T: Keeps> Straight<T> {
    fn new(formula: &Formula, plan: &Plan) -> Option<Straight<T>> {
        let double = size_of::<T>() == 8;
        let mask = kept(formula, plan);
        let kept: SmallVec<[u8; 4]> = values_of(mask).collect();
        let forward = Way::new(Fused::forward_keeping(formula, &plan.reach, double, mask)?, &[])?;
        let back = if plan.kinds.wanted == 0 { None } else { Some(WayBack::new(formula, plan, mask, &kept)?) };
        (forward.makes() == 1 + kept.len()).then_some(Straight { forward, back, kept: kept.len() })
    }
}

impl<T: Keeps> WayBack<T> {
    fn new(formula: &Formula, plan: &Plan, mask: u32, kept: &[u8]) -> Option<WayBack<T>> {
        let program = &plan.program;
        let last = formula.value(formula.steps.len()) - 1;
        let roots = program.bars.iter().filter(|(_, bar)| matches!(bar, Bar::Root));
        let apart = roots.fold(0, |mask, (i, _)| mask | 1 << i);
        let back = Backward {
            live: program.live,
            root: Root::Elements,
            has_out: plan.needed & (1 << last) != 0,
            sums: false,
            slopes: false,
            unread: false,
            anyway: false,
            moving: 0,
            kept: mask,
            apart,
            adds: 0,
        };
        let way = |back| Way::new(Fused::new(formula, &plan.reach, size_of::<T>() == 8, Some(back))?, kept);
        let first = way(back)?;
        let (mut cotangents, mut shares) = (SmallVec::new(), SmallVec::new());
        for (k, target) in first.code.targets().enumerate() {
            match target {
                Target::Cotangent(i) => cotangents.push((k, i)),
                Target::Shares(i) => shares.push((k, i)),
                _ => return None,
            }
        }
        let is_made = |bar: &&(u8, Bar)| matches!(bar.1, Bar::Made(_));
        let all = cotangents.iter().fold(0, |mask: u32, (_, i): &(usize, u8)| mask | 1 << i);
        if cotangents.len() + shares.len() > ARRAYS
            || !program.bars.iter().filter(is_made).all(|(i, _)| all & (1 << i) != 0)
        {
            return None;
        }
        let counted =
            program.back.iter().filter_map(|back| if let Back::Numbers { k } = back { Some(*k) } else { None });
        Some(WayBack {
            way: Rc::new(first),
            adding: RefCell::default(),
            all: (all, Rc::new(way(Backward { adds: all, ..back })?)),
            back,
            kept: SmallVec::from_slice(kept),
            cotangents,
            shares,
            handed: program.bars.iter().filter(|bar| !is_made(bar)).copied().collect(),
            counted: counted.collect(),
        })
    }

    /// The way that adds for these registers; if there are many such by now, the one that adds for all, and tells so.
    fn adding(&self, formula: &Formula, plan: &Plan, adds: u32) -> Adding<T> {
        /// Sets of registers that there is code for.
        const MOST: usize = 8;
        if adds == 0 {
            return (0, self.way.clone());
        }
        let mut ways = self.adding.borrow_mut();
        if let Some(known) = ways.iter().find(|(known, _)| *known == adds) {
            return known.clone();
        }
        if ways.len() < MOST && adds != self.all.0 {
            let back = Backward { adds, ..self.back };
            let code = Fused::new(formula, &plan.reach, size_of::<T>() == 8, Some(back));
            if let Some(way) = code.and_then(|code| Way::new(code, &self.kept)) {
                let made = (adds, Rc::new(way));
                ways.push(made.clone());
                return made;
            }
        }
        self.all.clone()
    }

    /// Makes all arrays in the room, hands the cotangents over and sums the others up; `None` if something is not there.
    #[inline]
    fn hand<'a, S: Sink<T>>(
        &self,
        (n, numbers): (usize, &[f64]),
        read: impl Fn(Array) -> Option<&'a [T]>,
        room: &mut Vec<T>,
        counts: &mut [f64; MOST],
        sink: &mut S,
    ) -> Option<Result<(), S::Error>>
    where
        T: 'a,
    {
        let size = (self.cotangents.len() + self.shares.len()) * n;
        room.clear();
        room.reserve(size);
        let first = room.as_mut_ptr();
        let mut table = [ptr::null_mut(); ARRAYS];
        self.way.look_up(n, read, &mut table)?;
        // SAFETY: there is room for as many arrays as the code makes, which are numbered by their places.
        unsafe {
            self.way.run(n, numbers, &mut table, |k| first.wrapping_add(k * n));
            room.set_len(size);
        }
        for &(k, i) in &self.shares {
            counts[i as usize % MOST] = sum(room.get(k * n..(k + 1) * n)?);
        }
        for &(k, i) in &self.cotangents {
            if let Err(error) = sink.hand(i as usize, Pulled::Elements(room.get(k * n..(k + 1) * n)?)) {
                return Some(Err(error));
            }
        }
        Some(Ok(()))
    }

    /// Adds the cotangents in their places. What cannot be is made in the room and handed over, or summed up; `None` if something is not
    /// there.
    fn add<'a, S: Sink<T>>(
        &self,
        (formula, plan): (&Formula, &Plan),
        (n, numbers): (usize, &[f64]),
        read: impl Fn(Array) -> Option<&'a [T]>,
        room: &mut Vec<T>,
        counts: &mut [f64; MOST],
        sink: &mut S,
    ) -> Option<Result<(), S::Error>>
    where
        T: 'a,
    {
        let mut made: [*mut T; ARRAYS] = [ptr::null_mut(); ARRAYS];
        // What is to be handed over, or summed up, is made in the room.
        let mut apart: SmallVec<[(usize, u8); 16]> = SmallVec::new();
        let (mut adds, mut fresh) = (0u32, 0u32);
        for &(k, i) in &self.cotangents {
            match sink.place(i as usize, n) {
                Some((place, is_there)) => {
                    *made.get_mut(k)? = place;
                    *(if is_there { &mut adds } else { &mut fresh }) |= 1 << i;
                }
                None => apart.push((k, i)),
            }
        }
        let size = (apart.len() + self.shares.len()) * n;
        room.clear();
        room.reserve(size);
        for (at, (k, _)) in apart.iter().chain(&self.shares).enumerate() {
            *made.get_mut(*k)? = room.as_mut_ptr().wrapping_add(at * n);
        }
        let (adding, way) = self.adding(formula, plan, adds);
        let mut table = [ptr::null_mut(); ARRAYS];
        let found = way.look_up(n, read, &mut table);
        if found.is_none() || adding != adds {
            for &(k, i) in self.cotangents.iter().filter(|(_, i)| adds & (1 << *i) == 0) {
                if found.is_none() || adding & (1 << i) != 0 {
                    // SAFETY: there is room for `n` numbers, whose zero has no bits.
                    unsafe { made.get(k)?.write_bytes(0, n) };
                }
            }
        }
        if found.is_some() {
            // SAFETY: the sink answers for the places that it gives, and there is room for the others; so it is as [`Way::run`] wants it.
            unsafe { way.run(n, numbers, &mut table, |k| made.get(k).copied().unwrap_or(ptr::null_mut())) };
        }
        while fresh != 0 {
            // SAFETY: the code has written them, or zeros were.
            unsafe { sink.filled(fresh.trailing_zeros() as usize, n) };
            fresh &= fresh - 1;
        }
        found?;
        // SAFETY: all of it is written.
        unsafe { room.set_len(size) };
        let mut rest = room.chunks_exact(n.max(1));
        for (&(_, i), made) in apart.iter().zip(&mut rest) {
            if let Err(error) = sink.hand(i as usize, Pulled::Elements(made)) {
                return Some(Err(error));
            }
        }
        for ((_, i), made) in self.shares.iter().zip(rest) {
            counts[*i as usize % MOST] = sum(made);
        }
        Some(Ok(()))
    }
}

/// Values that the way back reads, or computes others of, and that take long.
fn kept(formula: &Formula, plan: &Plan) -> u32 {
    let live = |i: u8| plan.program.live & (1 << i) != 0;
    let mut read = 0;
    for (k, step) in formula.steps.iter().enumerate() {
        let (a, b) = step.operands();
        for (operand, reads) in [Some(a), b].into_iter().zip(formula.reads(k)) {
            if operand.is_some_and(live) && live(formula.value(k) as u8) {
                read |= reads;
            }
        }
    }
    let mut kept = 0;
    // The result is there by itself.
    for (k, step) in formula.steps.iter().enumerate().rev().skip(1) {
        let value = formula.value(k);
        if read & (1 << value) == 0 || plan.reach.get(value) != Some(&Reach::Whole) {
            continue;
        }
        match step {
            Step::Div(..) | Step::Unary(..) | Step::Binary(..) => kept |= 1 << value,
            _ => {
                let (a, b) = step.operands();
                read |= 1 << a | b.map_or(0, |b| 1 << b);
            }
        }
    }
    kept
}

/// The code of a plan for one dtype; nothing where there can be none, or it has not been worth it so far.
pub struct Trial<T> {
    /// Elements that it was wanted for.
    elements: Cell<usize>,
    code: OnceCell<Option<Box<Straight<T>>>>,
}

impl<T> Default for Trial<T> {
    fn default() -> Trial<T> {
        Trial { elements: Cell::new(0), code: OnceCell::new() }
    }
}

impl<T: Keeps> Trial<T> {
    /// The code, if there is some by now.
    fn get(&self, formula: &Formula, plan: &Plan, n: usize) -> Option<&Straight<T>> {
        let worth = compiled_from()?;
        if let Some(known) = self.code.get() {
            return known.as_deref();
        }
        let elements = self.elements.get() + LEAST.max(n);
        self.elements.set(elements);
        if elements < worth {
            return None;
        }
        self.code.get_or_init(|| Straight::new(formula, plan).map(Box::new)).as_deref()
    }

    /// The code that there is.
    fn known(&self) -> Option<&Straight<T>> {
        self.code.get()?.as_deref()
    }
}

/// The value of a formula, and what its way back needs; `None` if there is no code for it.
pub(super) fn forward<'a, T: Keeps>(
    formula: &Formula,
    plan: &Plan,
    (shape, n): (&[usize], usize),
    numbers: &[f64],
    operand: &impl Fn(usize) -> Option<&'a Value>,
    spares: &mut Spares,
) -> Option<(Rc<Tensor>, Kept)> {
    let straight = T::trial(plan).get(formula, plan, n)?;
    // A tape holds many formulas: what many elements have on the way is computed again.
    if n > MOST_KEPT && straight.kept > 0 {
        return None;
    }
    let size = straight.kept * n;
    let mut kept: Vec<T> = Vec::with_capacity(size);
    let first = kept.as_mut_ptr();
    let read = |array: Array| if let Array::Register(i) = array { elements(operand(i as usize)) } else { None };
    let mut table = [ptr::null_mut(); ARRAYS];
    straight.forward.look_up(n, read, &mut table)?;
    let result = spares.make(shape, |out| {
        place(out, n, |result: &mut [MaybeUninit<T>]| {
            let result = result.as_mut_ptr().cast::<T>();
            let made = |k: usize| if k == 0 { result } else { first.wrapping_add((k - 1) * n) };
            // SAFETY: `place` gives room for `n` elements; of what is kept there are as many arrays as the code makes behind the
            // result, with room for `n` each. With that all are written.
            unsafe {
                straight.forward.run(n, numbers, &mut table, made);
                Some(Written::all())
            }
        });
        Some(())
    })?;
    // SAFETY: so is what is kept.
    unsafe { kept.set_len(size) };
    Some((result, if size > 0 { T::keep_for_code(kept) } else { Kept::Nothing }))
}

/// Gives the sink the cotangents of the wanted registers; `None`, with nothing done, if there is no code for it, or the value was not
/// computed by it. `room` is memory for what it makes.
pub(super) fn pull<'a, T: Keeps, S: Sink<T>>(
    applied: &Applied<'a>,
    numbers: &[f64],
    operand: &impl Fn(usize) -> Option<&'a Value>,
    (root, out): (&[T], &[T]),
    room: &mut Vec<T>,
    sink: &mut S,
) -> Option<Result<(), S::Error>> {
    let Applied { formula, plan, kept, .. } = *applied;
    let (kept, n) = (T::kept_for_code(kept), root.len());
    let straight = if kept.is_empty() { T::trial(plan).get(formula, plan, n) } else { T::trial(plan).known() }?;
    let back = straight.back.as_ref()?;
    if kept.len() != straight.kept * n {
        return None;
    }
    let read = |array: Array| match array {
        Array::Register(i) => elements(operand(i as usize)),
        Array::Kept(k) => kept.get(k as usize * n..(k as usize + 1) * n),
        Array::Root => Some(root),
        Array::Out => Some(out),
        Array::Made(_) => None,
    };
    let mut counts = [0.0; MOST];
    let done = if n < LEAST_IN_PLACE {
        back.hand((n, numbers), read, room, &mut counts, sink)?
    } else {
        back.add((formula, plan), (n, numbers), read, room, &mut counts, sink)?
    };
    if let Err(error) = done {
        return Some(Err(error));
    }
    for k in &back.counted {
        pull_number(formula, *k, plan, numbers, &mut counts)?;
    }
    for (i, bar) in &back.handed {
        let pulled = match bar {
            Bar::Root => Pulled::Root,
            _ => Pulled::Number(counts[*i as usize % MOST]),
        };
        if let Err(error) = sink.hand(*i as usize, pulled) {
            return Some(Err(error));
        }
    }
    Some(Ok(()))
}
