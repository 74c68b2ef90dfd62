//! Functions written out in a graph: the operations of `simd::tanh`, `simd::exp` and `simd::normal`, in their order, so the bits are the same.
//!
//! In a loop of their own they would read and write a buffer for each function of a formula.

use super::graph::{Arith, Id, Maker, Node, Shift, Writes};
use crate::tensor::simd::exp::{LN2_HI, LN2_HI32, LN2_LO, LN2_LO32, ROUND32, ROUND64, TAIL32, TAIL64};
use crate::tensor::simd::normal::{
    BELL32, HALVINGS32, HALVINGS64, P32, P64, Q32, Q64, SCALE_OFF64, SCALE64, TOP32, TOP64, TWICE_HI32, TWICE_LO32,
};
use crate::tensor::simd::tanh::{ABOVE, BELOW};

impl Maker<'_> {
    fn add(&mut self, a: Id, b: Id) -> Option<Id> {
        self.arith(Arith::Add, a, b)
    }

    fn sub(&mut self, a: Id, b: Id) -> Option<Id> {
        self.arith(Arith::Sub, a, b)
    }

    fn mul(&mut self, a: Id, b: Id) -> Option<Id> {
        self.arith(Arith::Mul, a, b)
    }

    /// `a b + c`
    fn fused(&mut self, a: Id, b: Id, c: Id) -> Option<Id> {
        self.node(Node::Fused(false, a.min(b), a.max(b), c))
    }

    /// `c - a b`
    fn fused_less(&mut self, a: Id, b: Id, c: Id) -> Option<Id> {
        self.node(Node::Fused(true, a.min(b), a.max(b), c))
    }

    fn single(&mut self, x: f32) -> Option<Id> {
        self.constant(f64::from(x))
    }

    /// The functions of the dtype that is written out.
    pub(super) fn exp(&mut self, x: Id) -> Option<Id> {
        if self.writes == Some(Writes::F64) { self.exp64(x) } else { self.exp32(x) }
    }

    pub(super) fn tanh(&mut self, x: Id) -> Option<Id> {
        if self.writes == Some(Writes::F64) { self.tanh64(x) } else { self.tanh32(x) }
    }

    pub(super) fn sigmoid(&mut self, x: Id) -> Option<Id> {
        if self.writes == Some(Writes::F64) { self.sigmoid64(x) } else { self.sigmoid32(x) }
    }

    /// The normal's density.
    pub(super) fn density(&mut self, x: Id) -> Option<Id> {
        if self.writes == Some(Writes::F64) { self.density64(x) } else { self.density32(x) }
    }

    /// Mills' ratio.
    pub(super) fn mills(&mut self, x: Id) -> Option<Id> {
        let size = self.normal_size(x)?;
        let (p, q) = if self.writes == Some(Writes::F64) {
            (self.monic(&P64, size)?, self.chain(&Q64, size)?)
        } else {
            (self.monic(&P32, size)?, self.chain(&Q32, size)?)
        };
        let below = self.fused(p, size, q)?;
        self.arith(Arith::Div, p, below)
    }

    /// `|x|`, but no more than where the normal's density is 0.
    fn normal_size(&mut self, x: Id) -> Option<Id> {
        let most = if self.writes == Some(Writes::F64) { self.constant(TOP64)? } else { self.single(TOP32)? };
        let size = self.absolute(x)?;
        self.arith(Arith::Min, most, size)
    }

    /// By Horner's rule.
    fn chain<T: Copy + Into<f64>>(&mut self, c: &[T], x: Id) -> Option<Id> {
        let (first, rest) = c.split_first()?;
        let y = self.constant((*first).into())?;
        self.chain_on(y, rest, x)
    }

    /// The same with a highest coefficient of 1 in front.
    fn monic<T: Copy + Into<f64>>(&mut self, c: &[T], x: Id) -> Option<Id> {
        let (first, rest) = c.split_first()?;
        let first = self.constant((*first).into())?;
        let y = self.add(x, first)?;
        self.chain_on(y, rest, x)
    }

    fn chain_on<T: Copy + Into<f64>>(&mut self, mut y: Id, rest: &[T], x: Id) -> Option<Id> {
        for c in rest {
            let c = self.constant((*c).into())?;
            y = self.fused(y, x, c)?;
        }
        Some(y)
    }

    /// A polynomial, as `simd::poly` computes it.
    fn poly<T: Copy + Into<f64>>(&mut self, c: &[T], x: Id) -> Option<Id> {
        let [a, b, rest @ ..] = c else { return None };
        let square = self.mul(x, x)?;
        let (mut a, mut b) = (self.constant((*a).into())?, self.constant((*b).into())?);
        let mut pairs = rest.chunks_exact(2);
        for pair in &mut pairs {
            let [c, d] = pair else { return None };
            let (c, d) = (self.constant((*c).into())?, self.constant((*d).into())?);
            a = self.fused(a, square, c)?;
            b = self.fused(b, square, d)?;
        }
        match pairs.remainder() {
            [c] => {
                let c = self.constant((*c).into())?;
                a = self.fused(a, square, c)?;
                self.fused(b, x, a)
            }
            _ => self.fused(a, x, b),
        }
    }

    /// The number of halvings of `x` in low bits, and `x - k ln(2)`.
    fn parts(&mut self, x: Id) -> Option<(Id, Id)> {
        let (log, round) = (self.single(std::f32::consts::LOG2_E)?, self.single(ROUND32)?);
        let t = self.fused(x, log, round)?;
        let k = self.sub(t, round)?;
        let (high, low) = (self.single(LN2_HI32)?, self.single(LN2_LO32)?);
        let rest = self.fused_less(k, high, x)?;
        Some((t, self.fused_less(k, low, rest)?))
    }

    /// `(e^r - 1 - r) / r^2` and `r^2`.
    fn tail(&mut self, r: Id) -> Option<(Id, Id)> {
        let square = self.mul(r, r)?;
        Some((self.poly(&TAIL32, r)?, square))
    }

    /// `2^k` by the low bits of `t`.
    fn power(&mut self, t: Id) -> Option<Id> {
        let digits = if self.writes == Some(Writes::F64) { 52 } else { 23 };
        let bits = self.node(Node::Shift(Shift::Left(digits), t))?;
        // Its bits are the exponent of 2^0.
        let one = self.constant(1.0)?;
        self.arith(Arith::AddInt, bits, one)
    }

    /// `e^r` near 0; what `1 + r` rounds off is added back.
    fn exp_near32(&mut self, r: Id) -> Option<Id> {
        let one = self.constant(1.0)?;
        let sum = self.add(one, r)?;
        let off = self.sub(one, sum)?;
        let off = self.add(off, r)?;
        let (tail, square) = self.tail(r)?;
        let more = self.fused(tail, square, off)?;
        self.add(sum, more)
    }

    /// `exp(x)` for `x` up to 0.
    fn exp_below32(&mut self, x: Id) -> Option<Id> {
        let least = self.constant(-88.0)?;
        let x = self.arith(Arith::Max, least, x)?;
        let (t, r) = self.parts(x)?;
        let power = self.power(t)?;
        let rest = self.exp_near32(r)?;
        self.mul(rest, power)
    }

    fn exp32(&mut self, x: Id) -> Option<Id> {
        let (most, least) = (self.constant(89.0)?, self.constant(-104.0)?);
        let x = self.arith(Arith::Min, most, x)?;
        let x = self.arith(Arith::Max, least, x)?;
        let (t, r) = self.parts(x)?;
        // The power as two factors, of which neither is too large or too small.
        let (round, half) = (self.single(ROUND32)?, self.constant(0.5)?);
        let k = self.sub(t, round)?;
        let first = self.fused(k, half, round)?;
        let halved = self.sub(first, round)?;
        let other = self.sub(k, halved)?;
        let second = self.add(other, round)?;
        let (first, second) = (self.power(first)?, self.power(second)?);
        let rest = self.exp_near32(r)?;
        let product = self.mul(rest, first)?;
        self.mul(product, second)
    }

    fn sigmoid32(&mut self, x: Id) -> Option<Id> {
        let (sign, half, one) = (self.constant(-0.0)?, self.constant(0.5)?, self.constant(1.0)?);
        let size = self.absolute(x)?;
        let below_zero = self.arith(Arith::Or, size, sign)?;
        let t = self.exp_below32(below_zero)?;
        let below = self.add(one, t)?;
        let off = self.sub(one, below)?;
        let off = self.add(off, t)?;
        // Of -0 either is 1.
        let is_negative = self.node(Node::Shift(Shift::Sign, x))?;
        let above = self.node(Node::Pick(is_negative, t, one))?;
        let y = self.arith(Arith::Div, above, below)?;
        let share = self.fused_less(half, t, one)?;
        let off = self.mul(off, share)?;
        self.fused_less(y, off, y)
    }

    fn tanh32(&mut self, x: Id) -> Option<Id> {
        let (sign, one, two) = (self.constant(-0.0)?, self.constant(1.0)?, self.constant(2.0)?);
        let size = self.absolute(x)?;
        let most = self.constant(10.0)?;
        let cut = self.arith(Arith::Min, most, size)?;
        let twice = self.mul(two, cut)?;
        // exp(twice) - 1
        let (t, r) = self.parts(twice)?;
        let power = self.power(t)?;
        let (tail, square) = self.tail(r)?;
        let rise = self.fused(tail, square, r)?;
        let less = self.sub(power, one)?;
        let above = self.fused(rise, power, less)?;
        let below = self.add(above, two)?;
        let is_near = self.arith(Arith::Greater, two, above)?;
        let off = self.sub(two, below)?;
        let off = self.add(off, above)?;
        let off = self.arith(Arith::And, is_near, off)?;
        let y = self.arith(Arith::Div, above, below)?;
        let half = self.constant(-0.5)?;
        let off = self.mul(half, off)?;
        let y = self.fused(y, off, y)?;
        let sign = self.arith(Arith::And, sign, x)?;
        self.arith(Arith::Xor, y, sign)
    }

    /// `exp(x)` of `f64`, with what `r` and `1 + r` round off.
    fn exp64(&mut self, x: Id) -> Option<Id> {
        let (most, least) = (self.constant(710.0)?, self.constant(-746.0)?);
        let x = self.arith(Arith::Min, most, x)?;
        let x = self.arith(Arith::Max, least, x)?;
        let (log, round) = (self.constant(std::f64::consts::LOG2_E)?, self.constant(ROUND64)?);
        let t = self.fused(x, log, round)?;
        let k = self.sub(t, round)?;
        let (high, low) = (self.constant(LN2_HI)?, self.constant(LN2_LO)?);
        let high = self.fused_less(k, high, x)?;
        let low = self.mul(k, low)?;
        let r = self.sub(high, low)?;
        let error = self.sub(high, r)?;
        let error = self.sub(error, low)?;
        let rest = self.exp_near64(r, error)?;
        self.times_power64(rest, k)
    }

    /// `e^r` near 0, with what `r` and `1 + r` round off.
    fn exp_near64(&mut self, r: Id, error: Id) -> Option<Id> {
        let one = self.constant(1.0)?;
        let sum = self.add(one, r)?;
        let off = self.sub(one, sum)?;
        let off = self.add(off, r)?;
        let square = self.mul(r, r)?;
        let tail = self.poly(&TAIL64, r)?;
        let more = self.fused(tail, square, error)?;
        let more = self.add(off, more)?;
        self.add(sum, more)
    }

    /// `x 2^k`, the power as two factors, of which neither is too large or too small.
    fn times_power64(&mut self, x: Id, k: Id) -> Option<Id> {
        let (half, round) = (self.constant(0.5)?, self.constant(ROUND64)?);
        let first = self.fused(k, half, round)?;
        let halved = self.sub(first, round)?;
        let other = self.sub(k, halved)?;
        let second = self.add(other, round)?;
        let (first, second) = (self.power(first)?, self.power(second)?);
        let product = self.mul(x, first)?;
        self.mul(product, second)
    }

    fn sigmoid64(&mut self, x: Id) -> Option<Id> {
        let (sign, zero, one) = (self.constant(-0.0)?, self.constant(0.0)?, self.constant(1.0)?);
        let size = self.absolute(x)?;
        let below_zero = self.arith(Arith::Or, size, sign)?;
        let t = self.exp64(below_zero)?;
        let is_negative = self.arith(Arith::Greater, zero, x)?;
        let above = self.node(Node::Pick(is_negative, t, one))?;
        let below = self.add(one, t)?;
        self.arith(Arith::Div, above, below)
    }

    fn tanh64(&mut self, x: Id) -> Option<Id> {
        let (sign, zero, one, two) =
            (self.constant(-0.0)?, self.constant(0.0)?, self.constant(1.0)?, self.constant(2.0)?);
        let size = self.absolute(x)?;
        let z = self.mul(x, x)?;
        let is_near = self.arith(Arith::Greater, one, size)?;
        // The fraction near 0, and beyond `1 - 2 / (exp(2 x) + 1)`.
        let above = self.poly(&ABOVE, z)?;
        let above = self.mul(z, above)?;
        let above = self.node(Node::Pick(is_near, above, two))?;
        let twice = self.mul(two, size)?;
        let far = self.exp64(twice)?;
        let far = self.add(far, one)?;
        let below = self.poly(&BELOW, z)?;
        let below = self.node(Node::Pick(is_near, below, far))?;
        let part = self.arith(Arith::Div, above, below)?;
        let near = self.fused(x, part, x)?;
        let far = self.sub(one, part)?;
        let far = self.absolute(far)?;
        let sign = self.arith(Arith::And, sign, x)?;
        let far = self.arith(Arith::Or, far, sign)?;
        let y = self.node(Node::Pick(is_near, near, far))?;
        let is_zero = self.arith(Arith::Equal, x, zero)?;
        self.node(Node::Pick(is_zero, x, y))
    }

    fn density32(&mut self, x: Id) -> Option<Id> {
        let a = self.normal_size(x)?;
        let square = self.mul(a, a)?;
        // What is rounded off, with the other sign.
        let off = self.fused_less(a, a, square)?;
        let (halvings, round) = (self.single(HALVINGS32)?, self.single(ROUND32)?);
        let t = self.fused(square, halvings, round)?;
        let k = self.sub(t, round)?;
        let (high, low) = (self.single(TWICE_HI32)?, self.single(TWICE_LO32)?);
        let high = self.fused(k, high, square)?;
        let low = self.fused_less(k, low, off)?;
        let r = self.sub(high, low)?;
        let power = self.power(t)?;
        let bell = self.chain(&BELL32, r)?;
        self.mul(bell, power)
    }

    fn density64(&mut self, x: Id) -> Option<Id> {
        let a = self.normal_size(x)?;
        let square = self.mul(a, a)?;
        let off = self.fused_less(a, a, square)?;
        let (halvings, round) = (self.constant(HALVINGS64)?, self.constant(ROUND64)?);
        let t = self.fused(square, halvings, round)?;
        let k = self.sub(t, round)?;
        let (half, less) = (self.constant(0.5)?, self.constant(-0.5)?);
        let exponent = self.mul(less, square)?;
        let (high, low) = (self.constant(LN2_HI)?, self.constant(LN2_LO)?);
        let high = self.fused_less(k, high, exponent)?;
        let low = self.mul(k, low)?;
        let low = self.fused_less(half, off, low)?;
        let r = self.sub(high, low)?;
        let lost = self.sub(high, r)?;
        let error = self.sub(lost, low)?;
        let scale_off = self.constant(SCALE_OFF64)?;
        let error = self.sub(error, scale_off)?;
        let rest = self.exp_near64(r, error)?;
        let scale = self.constant(SCALE64)?;
        let scaled = self.mul(rest, scale)?;
        self.times_power64(scaled, k)
    }
}
