//! Expressions of several scalar operations as one instruction.
//!
//! A formula is tried before the instructions that compute the same: it applies if all its registers are numbers, and at
//! least one of the operands of each operation on ints is a float. Its derivative is taken inside, so that it costs the tape
//! as many partials as it has variables, however many operations. On tensors, and on structures of such, all is one pass over
//! memory, and so is the way back (`tensor/formula`).

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use smallvec::SmallVec;

use crate::bytecode::op::Reg;
use crate::ops::arith::{ADD, DIV, MUL, NEG, SUB};
use crate::ops::lanes::Elementwise;
use crate::ops::num::Ex;
use crate::ops::prim::{Eval, Prim};
use crate::tensor::cut::Cut;
use crate::tensor::formula::fused::Compiled;
use crate::tensor::formula::plan::Plan;
use crate::tensor::index::slice_bounds;

/// Values that a formula may have: operands, constants, steps.
pub const MOST: usize = 32;

/// Values are numbered: those of the registers, then the constants, then one for each step; the last is the result.
pub struct Formula {
    pub registers: Vec<Reg>,
    /// Beside the registers: what of the vector in each is read, if not all. Empty if all is read of all.
    pub windows: Vec<Option<Window>>,
    pub constants: Vec<f64>,
    pub steps: Vec<Step>,
    /// Bit `i`: value `i` is an int as written.
    pub ints: u32,
    /// What becomes of the value, if it is a tensor.
    pub total: Option<Total>,
    /// Bit `i`: register `i` is annotated as a float, which an int is not.
    pub floats: u32,
    /// An annotation wants a number where a tensor might come.
    pub is_scalar: bool,
    /// What it takes on small tensors, for the kinds of operands that it was applied to.
    pub plans: RefCell<Vec<Rc<Plan>>>,
    /// Machine code for large ones.
    pub compiled: Compiled,
    /// See [`Formula::reads`].
    reads: OnceCell<Vec<[u32; 2]>>,
    /// See [`Formula::without_total`].
    inner: OnceCell<Rc<Formula>>,
}

/// What is read of a vector: a slice with bounds as written, in a margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    start: Option<i64>,
    stop: Option<i64>,
    before: u32,
    after: u32,
    /// Bits of the number in the margin: 0 is not -0.
    fill: u64,
}

impl Window {
    /// A slice without a margin.
    pub fn slice(start: Option<i64>, stop: Option<i64>) -> Window {
        Window { start, stop, ..Window::default() }
    }

    /// With a margin of a number; `None` if it is too wide for one as written.
    pub fn padded(self, (before, after): (i64, i64), fill: f64) -> Option<Window> {
        const WIDEST: i64 = 1 << 16;
        let width = |w: i64| if w <= WIDEST { u32::try_from(w).ok() } else { None };
        Some(Window { before: width(before)?, after: width(after)?, fill: fill.to_bits(), ..self })
    }

    /// Whether it has a margin.
    pub fn is_padded(&self) -> bool {
        self.before > 0 || self.after > 0
    }

    /// The number in the margin.
    pub fn fill(&self) -> f64 {
        f64::from_bits(self.fill)
    }

    /// What it is of a vector of `n`.
    #[inline]
    pub fn cut(&self, n: usize) -> Option<Cut> {
        let (start, len, _) = slice_bounds(self.start, self.stop, 1, n).ok()?;
        Some(Cut { start, len, before: self.before as usize, after: self.after as usize })
    }
}

/// A reduction of all elements of a formula's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Total {
    Sum,
    Mean,
}

/// An operation on earlier values.
#[derive(Clone, Copy)]
pub enum Step {
    Add(u8, u8),
    Sub(u8, u8),
    Mul(u8, u8),
    Div(u8, u8),
    Neg(u8),
    Unary(u8, Unary),
    Binary(u8, u8, Binary),
}

/// A function of one argument and its slope, which takes the result too.
#[derive(Clone, Copy)]
pub struct Unary {
    pub f: fn(f64) -> f64,
    pub d: fn(f64, f64) -> f64,
    /// Ints become floats.
    pub promotes: bool,
    /// Its kernels for tensors.
    pub inside: &'static Elementwise,
}

/// A function of two arguments and its slopes.
#[derive(Clone, Copy)]
pub struct Binary {
    pub f: fn(f64, f64) -> f64,
    pub d: &'static [fn(f64, f64, f64) -> f64; 2],
    pub promotes: bool,
    pub inside: &'static Elementwise,
}

impl Formula {
    /// Of registers, constants and steps; `ints` tells the constants that are written as ints.
    pub fn new(registers: Vec<Reg>, constants: Vec<f64>, steps: Vec<Step>, ints: u32) -> Formula {
        Formula {
            registers,
            windows: vec![],
            constants,
            steps,
            ints,
            total: None,
            floats: 0,
            is_scalar: false,
            plans: RefCell::default(),
            compiled: Compiled::default(),
            reads: OnceCell::new(),
            inner: OnceCell::new(),
        }
    }

    /// Reading windows of vectors, one beside each register or none at all.
    pub fn with_windows(self, windows: Vec<Option<Window>>) -> Formula {
        Formula { windows, ..self }
    }

    /// With what becomes of the value.
    pub fn with_total(self, total: Option<Total>) -> Formula {
        Formula { total, ..self }
    }

    /// The same without what becomes of its value, of operands that are no windows any more.
    pub fn without_total(self: &Rc<Formula>) -> Rc<Formula> {
        if self.total.is_none() {
            return self.clone();
        }
        let made = || {
            let (registers, constants) = (self.registers.clone(), self.constants.clone());
            let plain = Formula::new(registers, constants, self.steps.clone(), self.ints);
            Rc::new(plain.with_annotations(self.floats, self.is_scalar))
        };
        self.inner.get_or_init(made).clone()
    }

    /// With what the annotations of functions that are part of it ask for.
    pub fn with_annotations(self, floats: u32, is_scalar: bool) -> Formula {
        Formula { floats, is_scalar, ..self }
    }

    /// Which values the slopes of step `k` in its operands read.
    pub fn reads(&self, k: usize) -> [u32; 2] {
        let all = self.reads.get_or_init(|| {
            let of = |(k, step): (usize, &Step)| {
                let (a, b) = step.operands();
                let mut values: SmallVec<[usize; 3]> = [Some(a), b].into_iter().flatten().map(usize::from).collect();
                values.push(self.value(k));
                let mask = |slope: &Ex| {
                    let reads = slope.reads();
                    values
                        .iter()
                        .enumerate()
                        .filter(|(i, _)| reads & (1 << i) != 0)
                        .fold(0, |mask, (_, v)| mask | 1 << v)
                };
                let slopes: SmallVec<[u32; 2]> =
                    step.inside().map_or_else(Vec::new, |e| (e.partials)()).iter().map(mask).collect();
                [0, 1].map(|i| slopes.get(i).copied().unwrap_or(0))
            };
            self.steps.iter().enumerate().map(of).collect()
        });
        all.get(k).copied().unwrap_or_default()
    }

    /// Number of the value of step `k`.
    #[inline]
    pub fn value(&self, k: usize) -> usize {
        self.registers.len() + self.constants.len() + k
    }

    /// True for the number of a constant.
    #[inline]
    pub fn is_constant(&self, i: u8) -> bool {
        (self.registers.len()..self.value(0)).contains(&(i as usize))
    }

    /// True if it computes with floats, with ints in the places of `ints` beside those written: no operation may have
    /// ints only, but for those that make floats of them.
    pub fn is_float(&self, ints: u32) -> bool {
        let mut ints = ints | self.ints;
        for (k, step) in self.steps.iter().enumerate() {
            let int = |i: u8| ints & (1 << i) != 0;
            let whole = match *step {
                Step::Add(a, b) | Step::Sub(a, b) | Step::Mul(a, b) => int(a) && int(b),
                Step::Div(..) => false,
                Step::Neg(a) => int(a),
                Step::Unary(a, u) => int(a) && !u.promotes,
                Step::Binary(a, b, f) => int(a) && int(b) && !f.promotes,
            };
            if whole {
                return false;
            }
            ints &= !(1 << self.value(k));
        }
        true
    }

    /// Checks numbers and sizes, for `verify`.
    pub fn is_sound(&self) -> bool {
        let fits = self.value(self.steps.len()) <= MOST && !self.steps.is_empty();
        let fits = fits && (self.windows.is_empty() || self.windows.len() == self.registers.len());
        fits && self.steps.iter().enumerate().all(|(k, step)| {
            let (a, b) = step.operands();
            let earlier = |i: u8| (i as usize) < self.value(k);
            earlier(a) && b.is_none_or(earlier)
        })
    }
}

impl Step {
    /// Scalar functions and kernels.
    pub fn inside(self) -> Option<&'static Elementwise> {
        let of = |prim: &'static Prim| match &prim.eval {
            Eval::Elementwise(e) => Some(*e),
            Eval::General(_) => None,
        };
        match self {
            Step::Add(..) => of(&ADD),
            Step::Sub(..) => of(&SUB),
            Step::Mul(..) => of(&MUL),
            Step::Div(..) => of(&DIV),
            Step::Neg(_) => of(&NEG),
            Step::Unary(_, u) => Some(u.inside),
            Step::Binary(_, _, g) => Some(g.inside),
        }
    }

    /// Its operands.
    pub fn operands(self) -> (u8, Option<u8>) {
        match self {
            Step::Add(a, b) | Step::Sub(a, b) | Step::Mul(a, b) | Step::Div(a, b) | Step::Binary(a, b, _) => {
                (a, Some(b))
            }
            Step::Neg(a) | Step::Unary(a, _) => (a, None),
        }
    }
}
