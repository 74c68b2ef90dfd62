//! An operation on a tape as its slopes: what flows back to an operand is the cotangent times the slope, element by element.
//!
//! Slopes are values of the levels below, and the products are applied by the dispatcher, so it serves under any levels.

use std::ops::Range;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::Cx;
use crate::ad::reverse::Bars;
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::{Entry, Tape};
use crate::ad::windows::window_at;
use crate::error::Result;
use crate::ops::arith::MUL;
use crate::ops::elementwise::ZMUL;
use crate::ops::prim::Eval;
use crate::ops::reduce::SUM;
use crate::tensor::cast::Float;
use crate::tensor::cut::Cut;
use crate::tensor::formula::jet::Slope;
use crate::tensor::lanes::Lanes;
use crate::tensor::out::behind;
use crate::tensor::simd::kernels::add_to;
use crate::tensor::{Arr, DType, Shape, Tensor, count, dense, dense_mut, threads};
use crate::value::Value;

/// The slope of a result in an operand.
pub enum Factor {
    /// The same for all elements.
    Number(f64),
    /// What broadcasts to the result.
    Of(Value),
}

impl Factor {
    /// Of a formula with these operands.
    pub fn of(slope: Slope, operands: &[Value]) -> Factor {
        match slope {
            Slope::Number(x) => Factor::Number(x),
            Slope::Operand(j) => operands.get(j).map_or(Factor::Number(0.0), |v| Factor::Of(v.clone())),
            Slope::Elements(v) => Factor::Of(v),
        }
    }
}

/// An operand with a node.
pub struct Part {
    pub node: Node,
    pub shape: Shape,
    pub factor: Factor,
}

/// An operation, as a tape has it. Cotangents have the shape of the result, or are one number for all of its elements.
pub struct SlopesEntry {
    pub parts: SmallVec<[Part; 3]>,
    /// Of the result.
    pub shape: Shape,
    pub dtype: DType,
}

impl SlopesEntry {
    /// What it keeps alive.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.parts.iter().filter_map(|part| if let Factor::Of(v) = &part.factor { Some(v) } else { None })
    }

    /// The highest level of what it keeps.
    pub fn level(&self) -> Level {
        self.values().map(|v| v.slot().level()).max().unwrap_or_default()
    }

    /// Adds the cotangents of the operands to what they have.
    pub(crate) fn pull(&self, cx: &mut Cx, tape: &Tape, bars: &mut Bars, y_bar: &Value) -> Result<()> {
        // Several operands may have one slope.
        let mut known: SmallVec<[(&Value, Value); 2]> = SmallVec::new();
        let mut parts = self.parts.iter();
        while let Some(part) = parts.next() {
            if tape.plain && self.add_in_place(tape, bars, part, y_bar) {
                continue;
            }
            let same = |v: &Value, other: &Factor| matches!(other, Factor::Of(other) if is_same(v, other));
            let of = if let Factor::Of(v) = &part.factor { Some(v) } else { None };
            let product = match known.iter().find(|(other, _)| of.is_some_and(|v| is_same(v, other))) {
                Some((_, product)) => product.clone(),
                None => {
                    let product = self.product(cx, &part.factor, y_bar)?;
                    cx.stretch(&product, &self.shape, self.dtype)?
                }
            };
            if let Some(v) = of
                && parts.as_slice().iter().any(|later| same(v, &later.factor))
            {
                known.push((v, product.clone()));
            }
            let cotangent = match part.shape.as_slice() {
                own if own == self.shape.as_slice() => product,
                [] => cx.apply(&SUM, &[product, Value::None, Value::Bool(false)])?,
                own => cx.sum_to(&product, own)?,
            };
            cx.add_through(tape, bars, part.node, cotangent)?;
        }
        Ok(())
    }

    /// Adds the product to what there is without making it as a whole; false, with nothing done, if that takes more.
    fn add_in_place(&self, tape: &Tape, bars: &mut Bars, part: &Part, y_bar: &Value) -> bool {
        let Value::Tensor(Slot::CONST, bar) = y_bar else { return false };
        let n = count(&self.shape);
        if bar.shape() != self.shape.as_slice() || part.shape != self.shape || threads::part_of(n, 1) < n {
            return false;
        }
        match &**bar {
            Tensor::F32(bar) => self.add_in_place_of(tape, bars, part, bar),
            Tensor::F64(bar) => self.add_in_place_of(tape, bars, part, bar),
            _ => false,
        }
    }

    fn add_in_place_of<T: Float>(&self, tape: &Tape, bars: &mut Bars, part: &Part, bar: &Arr<T>) -> bool {
        let n = bar.len();
        let whole = Cut { start: 0, len: n, before: 0, after: 0 };
        let (base, cut) = window_at(tape, part.node).map_or((part.node, whole), |w| (w.base, w.cut));
        let slope = match &part.factor {
            Factor::Number(x) => Lanes::Same(T::c(*x)),
            Factor::Of(Value::Tensor(Slot::CONST, v)) if v.shape() == self.shape.as_slice() => {
                let Some(v) = T::array(v).and_then(dense) else { return false };
                Lanes::Each(v)
            }
            Factor::Of(_) => return false,
        };
        let home = tape.entries.get(base.0 as usize).and_then(Entry::in_general);
        if cut.count() != n || home.is_none_or(|home| bars.is_loose(home)) {
            return false;
        }
        let sum = bars.tensor_mut(tape, base).and_then(T::array_mut).and_then(dense_mut);
        match (sum.and_then(|sum| sum.get_mut(cut.range())), dense(bar)) {
            (Some(sum), Some(bar)) => add_products(sum, bar, slope, cut.inside()),
            _ => false,
        }
    }

    fn product(&self, cx: &mut Cx, factor: &Factor, y_bar: &Value) -> Result<Value> {
        match (factor, y_bar) {
            (Factor::Of(v), Value::Float(Slot::CONST, 1.0)) => Ok(v.clone()),
            (Factor::Of(v), Value::Float(Slot::CONST, x)) if *x != 0.0 && x.is_finite() => {
                cx.apply(&MUL, &[v.clone(), y_bar.clone()])
            }
            (Factor::Of(v), _) => cx.zmul(y_bar, v),
            (Factor::Number(1.0), _) => Ok(y_bar.clone()),
            (Factor::Number(x), _) => cx.zmul(y_bar, &Value::float(*x)),
        }
    }
}

/// Adds cotangents times slopes, of these elements; false, with nothing done, if there are fewer.
fn add_products<T: Float>(sum: &mut [T], bar: &[T], slope: Lanes<'_, T>, inside: Range<usize>) -> bool {
    /// Elements that stay in the innermost cache.
    const BLOCK: usize = 1024;
    let Some(bar) = bar.get(inside.clone()) else { return false };
    let Eval::Elementwise(e) = &ZMUL.eval else { return false };
    let slope = match slope {
        Lanes::Each(slope) => match slope.get(inside) {
            Some(slope) => Lanes::Each(slope),
            None => return false,
        },
        same => same,
    };
    if let Lanes::Same(x) = slope
        && x == T::c(1.0)
    {
        add_to(sum, bar);
        return true;
    }
    let mut made = Vec::with_capacity(BLOCK.min(bar.len()));
    for (k, (sum, bar)) in sum.chunks_mut(BLOCK).zip(bar.chunks(BLOCK)).enumerate() {
        let slope = match slope {
            Lanes::Each(slope) => Lanes::Each(slope.get(k * BLOCK..k * BLOCK + bar.len()).unwrap_or(&[])),
            same => same,
        };
        made.clear();
        behind(&mut made, bar.len(), |out| T::lanes(e)(bar.len(), &[Lanes::Each(bar), slope], out));
        add_to(sum, &made);
    }
    true
}

fn is_same(a: &Value, b: &Value) -> bool {
    matches!((a, b), (Value::Tensor(s, a), Value::Tensor(t, b)) if s == t && Rc::ptr_eq(a, b))
}
