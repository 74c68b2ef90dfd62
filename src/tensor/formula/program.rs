//! What a formula does on small tensors, step by step: made once for a kind of operands, so that applying it only follows.
//!
//! The elements that are made on the way have numbers in the order in which they are made: `n` for the first, and so on. The
//! way back makes its own, first values that slopes read, then cotangents.

use super::plan::Kinds;
use super::pull::factor;
use crate::bytecode::formula::{Formula, MOST, Step};
use crate::ops::lanes::Elementwise;

/// Where an operation finds an operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The number that is this value.
    Number(u8),
    /// The elements of a register.
    Operand(u8),
    /// Elements that were made.
    Made(u8),
    /// On the way back: the cotangent of the result.
    Root,
    /// The result.
    Out,
}

/// The operations that a few elements do not need a kernel for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plain {
    Add,
    Sub,
    Mul,
    Div,
}

/// A step that makes elements.
pub struct Making {
    pub inside: &'static Elementwise,
    pub plain: Option<Plain>,
    pub a: Source,
    pub b: Option<Source>,
}

/// What an operand gets of the cotangent of a step's value.
pub enum Share {
    Itself,
    Negated,
    /// Times the number that is this value.
    Times(u8),
    /// Times the elements of the other factor.
    By(Source),
    /// What a pullback makes of it: of operand `j`, for operands and value.
    Pulled {
        inside: &'static Elementwise,
        j: u8,
        a: Source,
        b: Option<Source>,
        y: Source,
    },
}

/// Where it goes.
#[derive(Clone, Copy)]
pub enum To {
    /// The first share of its value.
    New,
    AddTo(u8),
    /// To a number, whose cotangent is a sum.
    Sum(u8),
}

/// A step of the way back.
pub enum Back {
    Elements {
        bar: Source,
        share: Share,
        to: To,
    },
    /// Step `k`, which is one on numbers.
    Numbers {
        k: u8,
    },
}

/// Where the cotangent of a register is in the end.
#[derive(Clone, Copy)]
pub enum Bar {
    Root,
    Made(u8),
    Sum,
}

/// A formula on operands of some kinds.
pub struct Program {
    /// Registers that are numbers.
    pub numbers: Vec<u8>,
    /// Steps on numbers.
    pub counted: Vec<u8>,
    /// Steps on elements; the last one makes the result.
    pub forward: Vec<Making>,
    /// Values that the way back computes again.
    pub again: Vec<Making>,
    /// Which elements they are of those that are made on the way there.
    pub known: Vec<u8>,
    /// Numbers that it reads as elements, made behind those.
    pub spread: Vec<u8>,
    pub back: Vec<Back>,
    /// Cotangents of the registers that want one.
    pub bars: Vec<(u8, Bar)>,
    /// Elements that the way back makes, one at a time that is added to others among them.
    pub places: usize,
    /// Bit `i`: value `i` depends on registers that want a cotangent.
    pub live: u32,
}

/// Sets of values: bit `i` stands for value `i`.
#[derive(Clone, Copy)]
pub struct Masks {
    /// Values that have elements; the others are numbers.
    pub lanes: u32,
    /// Values that depend on those whose cotangents are wanted.
    pub live: u32,
    /// Values that the way back reads.
    pub needed: u32,
}

fn has(mask: u32, i: usize) -> bool {
    mask & (1 << i) != 0
}

/// Finds the program.
struct Maker<'a> {
    formula: &'a Formula,
    masks: Masks,
    /// Elements made so far, and which of them are what value.
    made: u8,
    places: [Option<u8>; MOST],
}

impl Program {
    /// `None` if a step has no kernels.
    pub fn new(formula: &Formula, kinds: Kinds, masks: Masks) -> Option<Program> {
        let mut maker = Maker { formula, masks, made: 0, places: [None; MOST] };
        let is_lane = |i: usize| has(masks.lanes, i);
        let registers = formula.registers.len();
        let all = || (0..formula.steps.len()).zip(&formula.steps);
        let forward = maker.making(all().filter(|(k, _)| is_lane(formula.value(*k))))?;
        let mut back = Maker { made: 0, places: [None; MOST], ..maker };
        let last = formula.value(formula.steps.len()) - 1;
        let needed = |k: usize| has(masks.needed & masks.lanes, formula.value(k)) && formula.value(k) != last;
        let again = back.making(all().filter(|(k, _)| needed(*k)))?;
        let known = all().filter(|(k, _)| needed(*k)).map(|(k, _)| maker.places.get(formula.value(k)).copied()?);
        let mut program = Program {
            numbers: (0..registers).filter(|i| !is_lane(*i)).map(|i| i as u8).collect(),
            counted: all().filter(|(k, _)| !is_lane(formula.value(*k))).map(|(k, _)| k as u8).collect(),
            forward,
            known: known.collect::<Option<_>>()?,
            again,
            spread: vec![],
            back: vec![],
            bars: vec![],
            places: 0,
            live: masks.live,
        };
        back.pull(&mut program, kinds)?;
        program.places = back.made as usize + 1;
        Some(program)
    }
}

impl Maker<'_> {
    fn source(&self, i: u8) -> Option<Source> {
        Some(if !has(self.masks.lanes, i as usize) {
            Source::Number(i)
        } else if (i as usize) < self.formula.registers.len() {
            Source::Operand(i)
        } else {
            Source::Made((*self.places.get(i as usize)?)?)
        })
    }

    fn keep(&mut self, value: usize) -> Option<()> {
        *self.places.get_mut(value)? = Some(self.made);
        self.made += 1;
        Some(())
    }

    fn making<'s>(&mut self, steps: impl Iterator<Item = (usize, &'s Step)>) -> Option<Vec<Making>> {
        let mut all = vec![];
        for (k, step) in steps {
            let (a, b) = step.operands();
            let b = if let Some(b) = b { Some(self.source(b)?) } else { None };
            all.push(Making { inside: step.inside()?, plain: plain(*step), a: self.source(a)?, b });
            self.keep(self.formula.value(k))?;
        }
        Some(all)
    }

    fn pull(&mut self, program: &mut Program, kinds: Kinds) -> Option<()> {
        let Masks { lanes, live, needed } = self.masks;
        let formula = self.formula;
        let registers = formula.registers.len();
        // Numbers are spread before any cotangent is made.
        let steps = || formula.steps.iter().enumerate().filter(|(k, _)| has(live & lanes, formula.value(*k)));
        for (_, step) in steps() {
            let (a, b) = step.operands();
            for (j, i) in [Some(a), b].into_iter().flatten().enumerate() {
                if !has(live, i as usize) || factor(*step, j).is_some() || by_number(*step, j, lanes).is_some() {
                    continue;
                }
                for read in [Some(a), b].into_iter().flatten() {
                    let is_spread = self.places.get(read as usize)?.is_some();
                    if has(needed & !lanes, read as usize) && !is_spread {
                        self.keep(read as usize)?;
                        program.spread.push(read);
                    }
                }
            }
        }
        let last = formula.value(formula.steps.len()) - 1;
        let mut bars: [Option<Source>; MOST] = [None; MOST];
        *bars.get_mut(last)? = Some(Source::Root);
        for (k, step) in formula.steps.iter().enumerate().rev() {
            let value = formula.value(k);
            if !has(live, value) {
                continue;
            }
            if !has(lanes, value) {
                program.back.push(Back::Numbers { k: k as u8 });
                continue;
            }
            let (a, b) = step.operands();
            let operands = || [Some(a), b].into_iter().flatten().enumerate();
            let bar = (*bars.get(value)?)?;
            // What a slope does not read may be anything.
            let slice = |i: u8| match self.places.get(i as usize) {
                _ if !has(needed, i as usize) => bar,
                _ if has(lanes, i as usize) && (i as usize) < registers => Source::Operand(i),
                Some(Some(place)) => Source::Made(*place),
                _ => bar,
            };
            let y = if value == last && has(needed, last) { Source::Out } else { slice(value as u8) };
            // Nobody reads the cotangent of this value again: the last operand that it passes to may take it over.
            let passes = |j: usize, i: u8| has(live & lanes, i as usize) && factor(*step, j) == Some(1.0);
            let taker = if b == Some(a) { None } else { operands().filter(|&(j, i)| passes(j, i)).last() };
            for (j, i) in operands() {
                if !has(live, i as usize) {
                    continue;
                }
                let takes = taker.is_some_and(|(last, _)| last == j)
                    || (bar == Source::Root && taker.is_some() && passes(j, i));
                let own = *bars.get(i as usize)?;
                if takes && own.is_none() {
                    *bars.get_mut(i as usize)? = Some(bar);
                    continue;
                }
                let share = match (factor(*step, j), by_number(*step, j, lanes), *step) {
                    (Some(1.0), ..) => Share::Itself,
                    (Some(_), ..) => Share::Negated,
                    (None, Some(number), _) => Share::Times(number),
                    (None, None, Step::Mul(a, b)) => Share::By(slice(if j == 0 { b } else { a })),
                    (None, None, _) => {
                        Share::Pulled { inside: step.inside()?, j: j as u8, a: slice(a), b: b.map(slice), y }
                    }
                };
                let to = match own {
                    _ if !has(lanes, i as usize) => To::Sum(i),
                    None => To::New,
                    Some(Source::Made(place)) => To::AddTo(place),
                    // The result's cotangent is of others, too.
                    Some(_) => {
                        let copy = self.made;
                        self.made += 1;
                        program.back.push(Back::Elements { bar: Source::Root, share: Share::Itself, to: To::New });
                        *bars.get_mut(i as usize)? = Some(Source::Made(copy));
                        To::AddTo(copy)
                    }
                };
                if let To::New = to {
                    *bars.get_mut(i as usize)? = Some(Source::Made(self.made));
                    self.made += 1;
                }
                program.back.push(Back::Elements { bar, share, to });
            }
        }
        for i in (0..registers).filter(|i| has(kinds.wanted, *i)) {
            let bar = match bars.get(i)? {
                _ if !has(lanes, i) => Bar::Sum,
                Some(Source::Made(place)) => Bar::Made(*place),
                Some(Source::Root) => Bar::Root,
                _ => return None,
            };
            program.bars.push((i as u8, bar));
        }
        Some(())
    }
}

fn plain(step: Step) -> Option<Plain> {
    match step {
        Step::Add(..) => Some(Plain::Add),
        Step::Sub(..) => Some(Plain::Sub),
        Step::Mul(..) => Some(Plain::Mul),
        Step::Div(..) => Some(Plain::Div),
        _ => None,
    }
}

/// The number that a product's slope in operand `j` is, if the other operand is one.
fn by_number(step: Step, j: usize, lanes: u32) -> Option<u8> {
    match (step, j) {
        (Step::Mul(a, b), 0) if has(lanes, a as usize) && !has(lanes, b as usize) => Some(b),
        (Step::Mul(a, b), 1) if has(lanes, b as usize) && !has(lanes, a as usize) => Some(a),
        _ => None,
    }
}
