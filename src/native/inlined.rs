//! Primitives that are written out where they are used: products and quotients in which a zero wins, and `hypot`. They have
//! the bits of the primitives, but that a product in which both zeros win may be -0.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    InstBuilder, InstructionData, MemFlagsData, Opcode, StackSlotData, StackSlotKind, Value, types,
};

use crate::bytecode::formula::Step;
use crate::native::emit::TRUSTED;
use crate::native::slopes::{Writer, constant, is_inside};
use crate::ops::lanes::Elementwise;
use crate::ops::math::HYPOT;
use crate::ops::strong::{DIV_OR_ZERO, STRONG, ZMUL};

/// Sums of squares between these bounds are of numbers that `hypot` does not scale: the root of the sum is all.
const LEAST: f64 = 1e-279;
const MOST: f64 = 1e279;

impl Writer<'_, '_> {
    /// An operation on numbers that are known.
    pub(super) fn folded(&mut self, step: Step, x: Value, y: Value) -> Option<Value> {
        let (a, b) = (constant(self.b, x), constant(self.b, y));
        let known = match (step, a, b) {
            (Step::Add(..), Some(a), Some(b)) => a + b,
            (Step::Sub(..), Some(a), Some(b)) => a - b,
            (Step::Mul(..), Some(a), Some(b)) => a * b,
            (Step::Div(..), Some(a), Some(b)) => a / b,
            (Step::Neg(_), Some(a), _) => -a,
            _ => return None,
        };
        Some(self.b.ins().f64const(known))
    }

    /// A primitive of two arguments, if it is a few instructions.
    pub(super) fn written_out(
        &mut self,
        inside: &'static Elementwise,
        f: fn(f64, f64) -> f64,
        x: Value,
        y: Value,
    ) -> Option<Value> {
        if is_inside(&ZMUL, inside) {
            return Some(self.product(x, y, [true, false]));
        }
        if is_inside(&STRONG, inside) {
            return Some(self.product(x, y, [true, true]));
        }
        if is_inside(&DIV_OR_ZERO, inside) {
            return Some(match constant(self.b, y) {
                Some(0.0) => self.b.ins().f64const(0.0),
                Some(_) => self.b.ins().fdiv(x, y),
                None => {
                    // A quotient of numbers may be asked for elsewhere.
                    let quotient = match self.in_vector(x) {
                        Some(x) => {
                            let y = self.vector(y);
                            let quotient = self.b.ins().fdiv(x, y);
                            self.b.ins().extractlane(quotient, 0)
                        }
                        None => self.b.ins().fdiv(x, y),
                    };
                    self.unless_zero(quotient, &[y])
                }
            });
        }
        is_inside(&HYPOT, inside).then(|| self.hypot(f, x, y))
    }

    /// A product; 0 where an operand is 0 whose zero `wins`, whatever the other is. Where both do, 0 may be -0.
    pub(super) fn product(&mut self, x: Value, y: Value, wins: [bool; 2]) -> Value {
        let known = [x, y].map(|operand| constant(self.b, operand));
        if known.iter().zip(wins).any(|(known, wins)| wins && *known == Some(0.0)) {
            return self.b.ins().f64const(0.0);
        }
        match known {
            [Some(x), Some(y)] => return self.b.ins().f64const(x * y),
            // A finite number leaves a zero as it is, but for its sign.
            _ if wins != [true; 2] => {}
            [Some(1.0), _] => return y,
            [_, Some(1.0)] => return x,
            _ if known.iter().flatten().any(|known| known.is_finite()) => return self.b.ins().fmul(x, y),
            _ => {}
        }
        let [a, b] = [x, y].map(|operand| self.vector(operand));
        let product = self.b.ins().fmul(a, b);
        let product = self.b.ins().extractlane(product, 0);
        let asked = [x, y].into_iter().zip(known).zip(wins).filter(|((_, known), wins)| *wins && known.is_none());
        let asked: Vec<Value> = asked.map(|((operand, _), _)| operand).collect();
        self.unless_zero(product, &asked)
    }

    /// A number, or 0 where one of others is 0: by masks, as a choice would be branches.
    fn unless_zero(&mut self, x: Value, others: &[Value]) -> Value {
        let zero = self.b.ins().f64const(0.0);
        let zeros = self.vector(zero);
        let mut mask = None;
        for other in others {
            let other = self.vector(*other);
            let differs = self.b.ins().fcmp(FloatCC::NotEqual, other, zeros);
            let differs = self.b.ins().bitcast(types::F64X2, MemFlagsData::new(), differs);
            mask = Some(match mask {
                Some(mask) => self.b.ins().band(mask, differs),
                None => differs,
            });
        }
        let Some(mask) = mask else { return x };
        let x = self.vector(x);
        let masked = self.b.ins().band(x, mask);
        self.b.ins().extractlane(masked, 0)
    }

    /// The vector that a number is the first element of, which it takes no instruction to read.
    fn in_vector(&self, x: Value) -> Option<Value> {
        let dfg = &self.b.func.dfg;
        match dfg.insts[dfg.value_def(x).inst()?] {
            InstructionData::BinaryImm8 { opcode: Opcode::Extractlane, arg, imm: 0 }
                if dfg.value_type(arg) == types::F64X2 =>
            {
                Some(arg)
            }
            _ => None,
        }
    }

    /// The same, or a new one.
    fn vector(&mut self, x: Value) -> Value {
        self.in_vector(x).unwrap_or_else(|| self.b.ins().splat(types::F64X2, x))
    }

    /// A step whose operands are in vectors is done there, as its result may be asked for in one.
    pub(super) fn among_vectors(&mut self, step: Step, x: Value, y: Value) -> Option<Value> {
        let (x, y) = (self.in_vector(x)?, self.in_vector(y)?);
        let z = match step {
            Step::Add(..) => self.b.ins().fadd(x, y),
            Step::Sub(..) => self.b.ins().fsub(x, y),
            Step::Mul(..) => self.b.ins().fmul(x, y),
            Step::Neg(_) => self.b.ins().fneg(x),
            _ => return None,
        };
        Some(self.b.ins().extractlane(z, 0))
    }

    /// The root of a sum of squares; the primitive is called for numbers that it scales, and for infinite ones and NaN.
    fn hypot(&mut self, f: fn(f64, f64) -> f64, x: Value, y: Value) -> Value {
        let (a, b) = (self.b.ins().fmul(x, x), self.b.ins().fmul(y, y));
        let sum = self.b.ins().fadd(a, b);
        let root = self.b.ins().sqrt(sum);
        // Positive numbers are in the order of their bits.
        let bits = self.b.ins().bitcast(types::I64, MemFlagsData::new(), sum);
        let least = self.b.ins().iconst(types::I64, LEAST.to_bits() as i64);
        let above = self.b.ins().isub(bits, least);
        let width = self.b.ins().iconst(types::I64, (MOST.to_bits() - LEAST.to_bits()) as i64);
        let is_usual = self.b.ins().icmp(IntCC::UnsignedLessThan, above, width);
        let (rare, join) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(rare);
        let found = self.b.append_block_param(join, types::F64);
        self.b.ins().brif(is_usual, join, &[root.into()], rare, &[]);
        self.b.switch_to_block(rare);
        self.b.seal_block(rare);
        let called = self.call_rarely(f, x, y);
        self.b.ins().jump(join, &[called.into()]);
        self.b.switch_to_block(join);
        self.b.seal_block(join);
        found
    }

    /// Calls a function in a way that changes no registers.
    fn call_rarely(&mut self, f: fn(f64, f64) -> f64, x: Value, y: Value) -> Value {
        let Some((signature, address)) = self.calls.rare else { return self.call_two(f, x, y) };
        let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3));
        let out = self.b.ins().stack_addr(types::I64, slot, 0);
        let f = self.b.ins().iconst(types::I64, f as usize as i64);
        let callee = self.b.ins().iconst(types::I64, address as i64);
        self.b.ins().call_indirect(signature, callee, &[x, y, f, out]);
        self.b.ins().load(types::F64, TRUSTED, out, 0)
    }
}
