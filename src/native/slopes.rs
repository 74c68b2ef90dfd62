//! A formula as straight-line code: its value, and its partials by a sweep through it from a cotangent of 1.

use std::cell::RefCell;

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, SigRef, Value, types};
use cranelift_frontend::FunctionBuilder;

use crate::bytecode::formula::{Formula, Step};
use crate::native::action::Lanes;
use crate::native::checked::is_sum_of_products;
use crate::native::seen::Seen;
use crate::ops::arith::{ABS, ADD, DIV, MUL, NEG, SIGN, SUB, cheap_power};
use crate::ops::lanes::{Elementwise, LaneKernel, Scalar};
use crate::ops::math::SQRT;
use crate::ops::num::{Ex, Test};
use crate::ops::prim::{Eval, Prim};
use crate::tensor::lanes::Lanes as Many;
use crate::tensor::out::behind;

/// Calls of functions on floats.
#[derive(Clone, Copy)]
pub struct Calls {
    pub one: SigRef,
    pub two: SigRef,
    /// Of what is called now and then, with the address of [`crate::native::rare`].
    pub rare: Option<(SigRef, usize)>,
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

/// The int that a value is known to be.
pub fn whole_constant(b: &FunctionBuilder<'_>, value: Value) -> Option<i64> {
    let dfg = &b.func.dfg;
    match dfg.insts[dfg.value_def(value).inst()?] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits()),
        _ => None,
    }
}

/// A number as one of f32.
pub fn rounded(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    if let Some(x) = constant(b, x) {
        return b.ins().f64const(f64::from(x as f32));
    }
    let single = b.ins().fdemote(types::F32, x);
    b.ins().fpromote(types::F64, single)
}

/// Whether this is the inside of a primitive.
pub(super) fn is_inside(prim: &Prim, inside: &Elementwise) -> bool {
    matches!(&prim.eval, Eval::Elementwise(e) if std::ptr::eq(*e, inside))
}

thread_local! {
    static SINGLES: RefCell<Vec<f32>> = const { RefCell::new(vec![]) };
    static DOUBLES: RefCell<Vec<f64>> = const { RefCell::new(vec![]) };
}

/// What a kernel makes of one element.
fn by_kernel<T: Copy + Default>(kernel: LaneKernel<T>, args: &[Many<'_, T>], made: &RefCell<Vec<T>>) -> T {
    let mut made = made.borrow_mut();
    made.clear();
    behind(&mut made, 1, |out| kernel(1, args, out));
    made.first().copied().unwrap_or_default()
}

/// Calls the kernel of an elementwise primitive, whose address is the last argument, for one element of f32.
extern "C" fn one_single(x: f64, inside: usize) -> f64 {
    // SAFETY: compiled code passes the address of a part of the table of primitives.
    let inside = unsafe { &*(inside as *const Elementwise) };
    SINGLES.with(|made| f64::from(by_kernel(inside.lanes32, &[Many::Each(&[x as f32])], made)))
}

extern "C" fn two_single(x: f64, y: f64, inside: usize) -> f64 {
    // SAFETY: as above.
    let inside = unsafe { &*(inside as *const Elementwise) };
    let args = [x as f32, y as f32];
    SINGLES.with(|made| f64::from(by_kernel(inside.lanes32, &[Many::Each(&args[..1]), Many::Each(&args[1..])], made)))
}

/// The same of f64.
extern "C" fn one_double(x: f64, inside: usize) -> f64 {
    // SAFETY: as above.
    let inside = unsafe { &*(inside as *const Elementwise) };
    DOUBLES.with(|made| by_kernel(inside.lanes64, &[Many::Each(&[x])], made))
}

extern "C" fn two_double(x: f64, y: f64, inside: usize) -> f64 {
    // SAFETY: as above.
    let inside = unsafe { &*(inside as *const Elementwise) };
    DOUBLES.with(|made| by_kernel(inside.lanes64, &[Many::Each(&[x]), Many::Each(&[y])], made))
}

/// Writes code.
pub struct Writer<'a, 'f> {
    pub b: &'a mut FunctionBuilder<'f>,
    pub calls: Calls,
    pub seen: &'a mut Seen,
}

impl Writer<'_, '_> {
    /// The formula of these operands. Bit `i` of `wanted`: its register `i` may have a slot.
    pub fn formula(&mut self, formula: &Formula, lanes: Lanes, operands: &[Value], wanted: u32) -> Computed {
        let mut v = operands.to_vec();
        for x in &formula.constants {
            let x = self.seen.number(self.b, *x);
            v.push(x);
        }
        if wanted == 0 && lanes.values == 0 && is_sum_of_products(formula) {
            return Computed { value: self.sum_of_products(formula, &v), partials: vec![None; operands.len()] };
        }
        // What each step reads: numbers as those of f32 where they meet such.
        let mut read = vec![];
        for (k, step) in formula.steps.iter().enumerate() {
            let (a, b) = step.operands();
            let single = lanes.single && lanes.has(formula.value(k));
            let [x, y] = [Some(a), b].map(|i| {
                let i = i? as usize;
                Some(if single && !lanes.has(i) { rounded(self.b, v[i]) } else { v[i] })
            });
            let x = x.unwrap_or(v[0]);
            read.push([x, y.unwrap_or(x)]);
            let lane = lanes.has(formula.value(k)).then_some(lanes.single);
            v.push(self.once(*step, [x, y.unwrap_or(x)], lane));
        }
        let value = v[v.len() - 1];
        let mut partials = vec![None; operands.len()];
        if wanted != 0 {
            let bars = self.sweep(formula, (&v, &read), wanted);
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

    pub(super) fn step(&mut self, step: Step, [x, y]: [Value; 2]) -> Value {
        if let Some(value) = self.folded(step, x, y).or_else(|| self.among_vectors(step, x, y)) {
            return value;
        }
        match step {
            Step::Add(..) => self.b.ins().fadd(x, y),
            Step::Sub(..) => self.b.ins().fsub(x, y),
            Step::Mul(..) => self.b.ins().fmul(x, y),
            Step::Div(..) => self.b.ins().fdiv(x, y),
            Step::Neg(_) => self.b.ins().fneg(x),
            Step::Unary(_, u) => self.unary(u.inside, u.f, x),
            Step::Binary(_, _, g) => self.binary(g.inside, g.f, x, y),
        }
    }

    /// A function of two arguments: written out if it is a few instructions.
    fn binary(&mut self, inside: &'static Elementwise, f: fn(f64, f64) -> f64, x: Value, y: Value) -> Value {
        self.written_out(inside, f, x, y).unwrap_or_else(|| self.call_two(f, x, y))
    }

    /// The same for an element, as kernels compute it. An operation on numbers of f32 is that on f64, rounded: those have more
    /// than twice as many digits.
    pub(super) fn lane(&mut self, step: Step, [x, y]: [Value; 2], single: bool) -> Value {
        let powers = match step {
            Step::Unary(_, u) => cheap_power(u.inside),
            _ => None,
        };
        if let (true, Some(power @ 3..=4)) = (single, powers) {
            let square = self.b.ins().fmul(x, x);
            let square = rounded(self.b, square);
            let whole = self.b.ins().fmul(square, if power == 3 { x } else { square });
            return rounded(self.b, whole);
        }
        let is_root = |inside: &Elementwise| [&SQRT, &ABS, &SIGN].iter().any(|prim| is_inside(prim, inside));
        let z = match step {
            Step::Unary(_, u) if powers.is_none() && !is_root(u.inside) => {
                let f = if single { one_single as *const () } else { one_double as *const () };
                let callee = self.b.ins().iconst(types::I64, f as i64);
                let inside = self.b.ins().iconst(types::I64, std::ptr::from_ref(u.inside) as i64);
                let call = self.b.ins().call_indirect(self.calls.one, callee, &[x, inside]);
                return self.b.inst_results(call)[0];
            }
            Step::Binary(_, _, g) if let Some(z) = self.written_out(g.inside, g.f, x, y) => z,
            Step::Binary(_, _, g) => {
                let f = if single { two_single as *const () } else { two_double as *const () };
                let callee = self.b.ins().iconst(types::I64, f as i64);
                let inside = self.b.ins().iconst(types::I64, std::ptr::from_ref(g.inside) as i64);
                let call = self.b.ins().call_indirect(self.calls.two, callee, &[x, y, inside]);
                return self.b.inst_results(call)[0];
            }
            step => self.step(step, [x, y]),
        };
        if single { rounded(self.b, z) } else { z }
    }

    /// The cotangents of all values from one of 1 at the last, as `Cx::formula` finds them.
    fn sweep(&mut self, formula: &Formula, (v, read): (&[Value], &[[Value; 2]]), wanted: u32) -> Vec<Bar> {
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
            let [left, right] = read[k];
            let goes = |i: u8| live & (1 << i) != 0;
            let (a, b) = step.operands();
            let slopes = match *step {
                Step::Add(..) => [Some(Bar::One), Some(Bar::One)],
                Step::Sub(..) => [Some(Bar::One), Some(Bar::MinusOne)],
                Step::Neg(_) => [Some(Bar::MinusOne), None],
                Step::Mul(..) => [Some(Bar::Is(right)), Some(Bar::Is(left))],
                Step::Div(a, b) => {
                    let by = |w: &mut Self| {
                        let one = w.b.ins().f64const(1.0);
                        match constant(w.b, right) {
                            Some(x) => Bar::Is(w.b.ins().f64const(1.0 / x)),
                            None => Bar::Is(w.b.ins().fdiv(one, right)),
                        }
                    };
                    let from = |w: &mut Self| {
                        let quotient = w.b.ins().fdiv(y, right);
                        Bar::Is(w.b.ins().fneg(quotient))
                    };
                    [goes(a).then(|| by(self)), goes(b).then(|| from(self))]
                }
                Step::Unary(_, u) => {
                    let slope = (u.inside.partials)().first().map(|e| self.expression(e, &[left, y]));
                    [slope.map(Bar::Is), None]
                }
                Step::Binary(a, b, g) => {
                    let partials = (g.inside.partials)();
                    let mut slope = |i: u8, which: usize| {
                        let e = partials.get(which).filter(|_| goes(i))?;
                        Some(Bar::Is(self.expression(e, &[left, right, y])))
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
            (Bar::Is(bar), Bar::Is(slope)) => Bar::Is(self.product(bar, slope, [true, false])),
        }
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
        match &prim.eval {
            Eval::Elementwise(e) => match &e.scalar {
                Scalar::Binary { f, .. } => self.binary(e, *f, x, y),
                _ => self.b.ins().f64const(f64::NAN),
            },
            Eval::General(_) => self.b.ins().f64const(f64::NAN),
        }
    }

    /// A function of one argument: written out if it is a few instructions.
    fn unary(&mut self, inside: &'static Elementwise, f: fn(f64) -> f64, x: Value) -> Value {
        let of = |prim: &'static Prim| is_inside(prim, inside);
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
            Some(1) => x,
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

    pub(super) fn call_two(&mut self, f: fn(f64, f64) -> f64, x: Value, y: Value) -> Value {
        let f = self.b.ins().iconst(types::I64, f as usize as i64);
        let callee = self.b.ins().iconst(types::I64, call_two as *const () as i64);
        let call = self.b.ins().call_indirect(self.calls.two, callee, &[x, y, f]);
        self.b.inst_results(call)[0]
    }
}
