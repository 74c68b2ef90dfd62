//! A formula as straight-line code: its value, and its partials by a sweep through it from a cotangent of 1.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, SigRef, Value, types};
use cranelift_frontend::FunctionBuilder;

use crate::bytecode::formula::{Formula, Step};
use crate::ops::arith::{ABS, ADD, DIV, MUL, NEG, SIGN, SUB, cheap_power};
use crate::ops::lanes::{Elementwise, Scalar};
use crate::ops::math::SQRT;
use crate::ops::num::{Ex, Test};
use crate::ops::prim::{Eval, Prim};
use crate::ops::strong::ZMUL;

/// Calls of functions on floats.
#[derive(Clone, Copy)]
pub struct Calls {
    pub one: SigRef,
    pub two: SigRef,
}

/// Calls a function of the Rust convention. The last argument is its address.
pub extern "C" fn call_one(x: f64, f: usize) -> f64 {
    // SAFETY: compiled code passes the address of a function of this type, from the table of primitives.
    let f = unsafe { std::mem::transmute::<usize, fn(f64) -> f64>(f) };
    f(x)
}

/// The same for two arguments.
pub extern "C" fn call_two(x: f64, y: f64, f: usize) -> f64 {
    // SAFETY: as above.
    let f = unsafe { std::mem::transmute::<usize, fn(f64, f64) -> f64>(f) };
    f(x, y)
}

/// A cotangent inside a formula.
#[derive(Clone, Copy)]
enum Bar {
    Zero,
    One,
    MinusOne,
    /// Which may turn out to be zero.
    Is(Value),
}

/// The value of a formula and its partial for each register in `wanted`, 0 where nothing flows.
pub struct Computed {
    pub value: Value,
    pub partials: Vec<Option<Partial>>,
}

/// A partial; a 1 that is known makes no entry.
#[derive(Clone, Copy)]
pub enum Partial {
    One,
    Is(Value),
}

/// The number that a value is known to be.
pub fn constant(b: &FunctionBuilder<'_>, value: Value) -> Option<f64> {
    let dfg = &b.func.dfg;
    match dfg.insts[dfg.value_def(value).inst()?] {
        InstructionData::UnaryIeee64 { opcode: Opcode::F64const, imm } => Some(f64::from_bits(imm.bits())),
        _ => None,
    }
}

/// Writes code.
pub struct Writer<'a, 'f> {
    pub b: &'a mut FunctionBuilder<'f>,
    pub calls: Calls,
}

impl Writer<'_, '_> {
    /// The formula of these operands. Bit `i` of `wanted`: its register `i` may have a slot.
    pub fn formula(&mut self, formula: &Formula, operands: &[Value], wanted: u32) -> Computed {
        let mut v = operands.to_vec();
        for x in &formula.constants {
            let x = self.b.ins().f64const(*x);
            v.push(x);
        }
        for step in &formula.steps {
            let y = self.step(*step, &v);
            v.push(y);
        }
        let value = v[v.len() - 1];
        let mut partials = vec![None; operands.len()];
        if wanted != 0 {
            let bars = self.sweep(formula, &v, wanted);
            for (i, partial) in partials.iter_mut().enumerate() {
                if wanted & (1 << i) != 0 {
                    *partial = Some(match bars[i] {
                        Bar::One => Partial::One,
                        other => Partial::Is(self.number(other)),
                    });
                }
            }
        }
        Computed { value, partials }
    }

    fn step(&mut self, step: Step, v: &[Value]) -> Value {
        let x = |i: u8| v[i as usize];
        match step {
            Step::Add(a, b) => self.b.ins().fadd(x(a), x(b)),
            Step::Sub(a, b) => self.b.ins().fsub(x(a), x(b)),
            Step::Mul(a, b) => self.b.ins().fmul(x(a), x(b)),
            Step::Div(a, b) => self.b.ins().fdiv(x(a), x(b)),
            Step::Neg(a) => self.b.ins().fneg(x(a)),
            Step::Unary(a, u) => self.unary(u.inside, u.f, x(a)),
            Step::Binary(a, b, g) => self.call_two(g.f, x(a), x(b)),
        }
    }

    /// The cotangents of all values from one of 1 at the last, as `Cx::formula` finds them.
    fn sweep(&mut self, formula: &Formula, v: &[Value], wanted: u32) -> Vec<Bar> {
        // What a wanted register flows into: only there cotangents go.
        let mut live = wanted;
        for (k, step) in formula.steps.iter().enumerate() {
            let (a, b) = step.operands();
            if live & (1 << a) != 0 || b.is_some_and(|b| live & (1 << b) != 0) {
                live |= 1 << formula.value(k);
            }
        }
        let mut bars = vec![Bar::Zero; v.len()];
        if let Some(last) = bars.last_mut() {
            *last = Bar::One;
        }
        for (k, step) in formula.steps.iter().enumerate().rev() {
            let at = formula.value(k);
            let (bar, y) = (bars[at], v[at]);
            if matches!(bar, Bar::Zero) || live & (1 << at) == 0 {
                continue;
            }
            let x = |i: u8| v[i as usize];
            let goes = |i: u8| live & (1 << i) != 0;
            let (a, b) = step.operands();
            let slopes = match *step {
                Step::Add(..) => [Some(Bar::One), Some(Bar::One)],
                Step::Sub(..) => [Some(Bar::One), Some(Bar::MinusOne)],
                Step::Neg(_) => [Some(Bar::MinusOne), None],
                Step::Mul(a, b) => [Some(Bar::Is(x(b))), Some(Bar::Is(x(a)))],
                Step::Div(a, b) => {
                    let by = |w: &mut Self| {
                        let one = w.b.ins().f64const(1.0);
                        Bar::Is(w.b.ins().fdiv(one, x(b)))
                    };
                    let from = |w: &mut Self| {
                        let quotient = w.b.ins().fdiv(y, x(b));
                        Bar::Is(w.b.ins().fneg(quotient))
                    };
                    [goes(a).then(|| by(self)), goes(b).then(|| from(self))]
                }
                Step::Unary(a, u) => {
                    let slope = (u.inside.partials)().first().map(|e| self.expression(e, &[x(a), y]));
                    [slope.map(Bar::Is), None]
                }
                Step::Binary(a, b, g) => {
                    let partials = (g.inside.partials)();
                    let mut slope = |i: u8, which: usize| {
                        let e = partials.get(which).filter(|_| goes(i))?;
                        Some(Bar::Is(self.expression(e, &[x(a), x(b), y])))
                    };
                    [slope(a, 0), slope(b, 1)]
                }
            };
            for (i, slope) in [Some(a), b].into_iter().zip(slopes) {
                if let (Some(i), Some(slope)) = (i, slope)
                    && goes(i)
                {
                    let term = self.times(bar, slope);
                    bars[i as usize] = self.plus(bars[i as usize], term);
                }
            }
        }
        bars
    }

    fn number(&mut self, bar: Bar) -> Value {
        match bar {
            Bar::Zero => self.b.ins().f64const(0.0),
            Bar::One => self.b.ins().f64const(1.0),
            Bar::MinusOne => self.b.ins().f64const(-1.0),
            Bar::Is(x) => x,
        }
    }

    /// A cotangent times a slope; a zero cotangent gives zero, whatever the slope.
    fn times(&mut self, bar: Bar, slope: Bar) -> Bar {
        match (bar, slope) {
            (Bar::Zero, _) | (_, Bar::Zero) => Bar::Zero,
            (Bar::One, x) | (x, Bar::One) => x,
            (Bar::MinusOne, Bar::MinusOne) => Bar::One,
            (Bar::MinusOne, Bar::Is(x)) | (Bar::Is(x), Bar::MinusOne) => Bar::Is(self.b.ins().fneg(x)),
            (Bar::Is(bar), Bar::Is(slope)) => Bar::Is(self.strong(bar, slope)),
        }
    }

    fn strong(&mut self, bar: Value, slope: Value) -> Value {
        match (constant(self.b, bar), constant(self.b, slope)) {
            (Some(bar), Some(slope)) => return self.b.ins().f64const(if bar == 0.0 { 0.0 } else { bar * slope }),
            (Some(x), None) if x != 0.0 => return self.b.ins().fmul(bar, slope),
            _ => {}
        }
        let zero = self.b.ins().f64const(0.0);
        let is_zero = self.b.ins().fcmp(FloatCC::Equal, bar, zero);
        let product = self.b.ins().fmul(bar, slope);
        self.b.ins().select(is_zero, zero, product)
    }

    fn plus(&mut self, old: Bar, term: Bar) -> Bar {
        match (old, term) {
            (Bar::Zero, x) | (x, Bar::Zero) => x,
            (a, b) => {
                let (a, b) = (self.number(a), self.number(b));
                Bar::Is(self.b.ins().fadd(a, b))
            }
        }
    }

    /// An expression over the arguments and the result of a primitive.
    fn expression(&mut self, e: &Ex, args: &[Value]) -> Value {
        match e {
            Ex::Const(x) => self.b.ins().f64const(*x),
            Ex::Arg(i) => args[*i],
            Ex::Unary(prim, x) => {
                let x = self.expression(x, args);
                self.primitive1(prim, x)
            }
            Ex::Binary(prim, x, y) => {
                let (x, y) = (self.expression(x, args), self.expression(y, args));
                self.primitive2(prim, x, y)
            }
            Ex::Select(test, parts) => {
                let [a, b, yes, no] = [0, 1, 2, 3].map(|i| self.expression(&parts[i], args));
                let condition = match test {
                    Test::Greater => FloatCC::GreaterThan,
                    Test::Equal => FloatCC::Equal,
                };
                let holds = self.b.ins().fcmp(condition, a, b);
                self.b.ins().select(holds, yes, no)
            }
        }
    }

    fn primitive1(&mut self, prim: &'static Prim, x: Value) -> Value {
        if std::ptr::eq(prim, &NEG) {
            return self.b.ins().fneg(x);
        }
        match &prim.eval {
            Eval::Elementwise(e) => match e.scalar {
                Scalar::Unary { f, .. } => self.unary(e, f, x),
                _ => self.b.ins().f64const(f64::NAN),
            },
            Eval::General(_) => self.b.ins().f64const(f64::NAN),
        }
    }

    fn primitive2(&mut self, prim: &'static Prim, x: Value, y: Value) -> Value {
        let is = |other: &'static Prim| std::ptr::eq(prim, other);
        if is(&ADD) {
            return self.b.ins().fadd(x, y);
        }
        if is(&SUB) {
            return self.b.ins().fsub(x, y);
        }
        if is(&MUL) {
            return self.b.ins().fmul(x, y);
        }
        if is(&DIV) {
            return self.b.ins().fdiv(x, y);
        }
        if is(&ZMUL) {
            return self.strong(x, y);
        }
        match &prim.eval {
            Eval::Elementwise(e) => match &e.scalar {
                Scalar::Binary { f, .. } => self.call_two(*f, x, y),
                _ => self.b.ins().f64const(f64::NAN),
            },
            Eval::General(_) => self.b.ins().f64const(f64::NAN),
        }
    }

    /// A function of one argument: written out if it is a few instructions.
    fn unary(&mut self, inside: &'static Elementwise, f: fn(f64) -> f64, x: Value) -> Value {
        let of = |prim: &'static Prim| matches!(&prim.eval, Eval::Elementwise(e) if std::ptr::eq(*e, inside));
        if of(&SQRT) {
            // -0 has the root 0.
            let root = self.b.ins().sqrt(x);
            let zero = self.b.ins().f64const(0.0);
            return self.b.ins().fadd(root, zero);
        }
        if of(&ABS) {
            return self.b.ins().fabs(x);
        }
        if of(&SIGN) {
            let [zero, one, minus] = [0.0, 1.0, -1.0].map(|x| self.b.ins().f64const(x));
            let above = self.b.ins().fcmp(FloatCC::GreaterThan, x, zero);
            let below = self.b.ins().fcmp(FloatCC::LessThan, x, zero);
            let rest = self.b.ins().select(below, minus, x);
            return self.b.ins().select(above, one, rest);
        }
        match cheap_power(inside) {
            Some(2) => self.b.ins().fmul(x, x),
            Some(3) => {
                let square = self.b.ins().fmul(x, x);
                self.b.ins().fmul(square, x)
            }
            Some(4) => {
                let square = self.b.ins().fmul(x, x);
                self.b.ins().fmul(square, square)
            }
            Some(-1) => {
                let one = self.b.ins().f64const(1.0);
                self.b.ins().fdiv(one, x)
            }
            _ => {
                let f = self.b.ins().iconst(types::I64, f as usize as i64);
                let callee = self.b.ins().iconst(types::I64, call_one as *const () as i64);
                let call = self.b.ins().call_indirect(self.calls.one, callee, &[x, f]);
                self.b.inst_results(call)[0]
            }
        }
    }

    fn call_two(&mut self, f: fn(f64, f64) -> f64, x: Value, y: Value) -> Value {
        let f = self.b.ins().iconst(types::I64, f as usize as i64);
        let callee = self.b.ins().iconst(types::I64, call_two as *const () as i64);
        let call = self.b.ins().call_indirect(self.calls.two, callee, &[x, y, f]);
        self.b.inst_results(call)[0]
    }
}
