//! What was computed before in the block at hand, so that nothing is computed twice: not even a function that is called, as by
//! a second run for another direction.

use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use rustc_hash::FxHashMap;

use crate::bytecode::formula::Step;
use crate::native::slopes::Writer;

/// Values by what they are the result of.
#[derive(Default)]
pub struct Seen {
    /// By the bits.
    numbers: FxHashMap<u64, Value>,
    steps: FxHashMap<Key, Value>,
    /// What is put in the place of a plain sum, in case that is NaN.
    pub checked: FxHashMap<Value, Value>,
}

/// An operation and its operands.
type Key = ((usize, usize), Option<bool>, [Value; 2]);

impl Seen {
    /// Another block begins, which others may lead to.
    pub fn forget(&mut self) {
        self.numbers.clear();
        self.steps.clear();
        self.checked.clear();
    }

    /// A number as a value.
    pub fn number(&mut self, b: &mut FunctionBuilder<'_>, x: f64) -> Value {
        *self.numbers.entry(x.to_bits()).or_insert_with(|| b.ins().f64const(x))
    }
}

/// What a step does, whatever its operands.
fn operation(step: Step) -> (usize, usize) {
    match step {
        Step::Add(..) => (0, 0),
        Step::Sub(..) => (0, 1),
        Step::Mul(..) => (0, 2),
        Step::Div(..) => (0, 3),
        Step::Neg(_) => (0, 4),
        Step::Unary(_, u) => (std::ptr::from_ref(u.inside) as usize, u.f as usize),
        Step::Binary(_, _, g) => (std::ptr::from_ref(g.inside) as usize, g.f as usize),
    }
}

impl Writer<'_, '_> {
    /// The result of a step, as an element of vectors of f32 or f64 if `lane` tells which.
    pub(super) fn once(&mut self, step: Step, operands: [Value; 2], lane: Option<bool>) -> Value {
        let key = (operation(step), lane, operands);
        if let Some(value) = self.seen.steps.get(&key) {
            return *value;
        }
        let value = match lane {
            Some(single) => self.lane(step, operands, single),
            None => self.step(step, operands),
        };
        self.seen.steps.insert(key, value);
        value
    }
}
