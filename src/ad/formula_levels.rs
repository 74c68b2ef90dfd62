//! Formulas on tensors under any levels: inside of `vmap`, in forward mode, and where derivatives are nested.
//!
//! As everywhere the highest level among the operands acts first. A tape wants the slopes of what is below, and keeps them; a forward level
//! multiplies them with its tangents; a batch level takes all examples at once. In the end the value, its slopes and
//! their tangents are one pass over plain tensors (`tensor/formula/jet.rs`). Where there is no code for that, or something else
//! is in the way, nothing is done, and the operations are applied one by one.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::batch::{align, whole_at};
use crate::ad::dispatch::{all_finite, escaped, is_structure};
use crate::ad::formula_tensors::Fate;
use crate::ad::slopes::{Factor, Part, SlopesEntry};
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::General;
use crate::ad::{Cx, Mode, Watch};
use crate::bytecode::formula::{Formula, Total};
use crate::error::Result;
use crate::ops::elementwise::ADD;
use crate::ops::reduce::{MEAN, SUM};
use crate::tensor::broadcast::broadcast_shapes;
use crate::tensor::formula::evaluate;
use crate::tensor::formula::jet::{Order, Slope, jet};
use crate::tensor::formula::layout::{Operands as Laid, lay};
use crate::tensor::{DType, Shape, count};
use crate::value::Value;

type Values = SmallVec<[Value; 6]>;

/// What a level wants of the one below.
#[derive(Clone, Copy)]
enum Want {
    Value,
    /// The slopes in the registers of these bits, too; `unread`: and no value, see [`Order::unread`].
    Slopes {
        wanted: u32,
        unread: Option<f64>,
    },
}

impl Want {
    fn wanted(self) -> u32 {
        if let Want::Slopes { wanted, .. } = self { wanted } else { 0 }
    }

    fn unread(self) -> Option<f64> {
        if let Want::Slopes { unread, .. } = self { unread } else { None }
    }
}

/// What it gets.
struct Made {
    /// `none` if it is unread.
    value: Value,
    /// For each register, if its slope is wanted.
    slopes: SmallVec<[Option<Slope>; 4]>,
}

impl Cx {
    /// The value of a formula on operands of which at least one belongs to a level; `None` if it has to be computed operation by operation.
    pub(super) fn formula_under_levels(
        &mut self,
        formula: &Rc<Formula>,
        operands: &[Value],
        fate: &dyn Fn(usize) -> Fate,
    ) -> Result<Option<Value>> {
        if self.watch != Watch::Off || self.trap.records || operands.iter().any(is_structure) {
            return Ok(None);
        }
        let level = highest(operands);
        let plain = formula.without_total();
        let value = match self.level(level).map(|l| &l.mode) {
            Some(Mode::Reverse(_)) => return self.record_slopes(&plain, formula.total, operands, level, fate),
            Some(_) => self.made(&plain, operands, Want::Value)?.map(|made| made.value),
            None => None,
        };
        match (value, formula.total) {
            (Some(value), Some(total)) => self.total_of(total, &value).map(Some),
            (value, _) => Ok(value),
        }
    }

    fn total_of(&mut self, total: Total, value: &Value) -> Result<Value> {
        let prim = if total == Total::Sum { &SUM } else { &MEAN };
        self.apply(prim, &[value.clone(), Value::None, Value::Bool(false)])
    }

    fn made(&mut self, formula: &Formula, operands: &[Value], want: Want) -> Result<Option<Made>> {
        let level = highest(operands);
        if level == Level::default() {
            return Ok(self.made_of_tensors(formula, operands, want));
        }
        match self.level(level).map(|l| &l.mode) {
            Some(Mode::Batch { n, .. }) => {
                let n = *n;
                self.made_of_examples(formula, operands, want, (level, n))
            }
            Some(Mode::Forward(_)) => self.made_with_tangents(formula, operands, want, level),
            // A tape below another level: its slopes would have to be differentiated backwards.
            _ => Ok(None),
        }
    }

    fn made_of_tensors(&mut self, formula: &Formula, operands: &[Value], want: Want) -> Option<Made> {
        let Want::Slopes { wanted, unread } = want else {
            return Some(Made { value: evaluate(formula, operands, &mut self.rooms)?, slopes: SmallVec::new() });
        };
        let Laid::Tensors(layout) = lay(formula, operands)? else { return None };
        let jet = jet(formula, &layout, &Order { operands, tangents: &[], wanted, unread, anyway: true })?;
        Some(Made {
            value: jet.value.map_or(Value::None, |(value, _)| value),
            slopes: jet.slopes.into_iter().map(|slope| slope.map(|(slope, _)| slope)).collect(),
        })
    }

    /// All examples at once: tensors with one more axis in front.
    fn made_of_examples(
        &mut self,
        formula: &Formula,
        operands: &[Value],
        want: Want,
        (level, n): (Level, usize),
    ) -> Result<Option<Made>> {
        let ranks: SmallVec<[usize; 6]> = operands.iter().map(|v| v.shape().map_or(0, <[usize]>::len)).collect();
        let rank = ranks.iter().copied().max().unwrap_or(0);
        // Numbers are weak: beside tensors they take their dtype.
        let tensors = || operands.iter().zip(&ranks).filter(|(_, rank)| **rank > 0).filter_map(|(v, _)| v.dtype());
        let dtype = tensors().next();
        if tensors().any(|d| Some(d) != dtype) {
            return Ok(None);
        }
        let mut wholes = Values::new();
        for (v, have) in operands.iter().zip(&ranks) {
            let Some(whole) = whole_at(v, level) else {
                wholes.push(v.clone());
                continue;
            };
            if !whole.is_differentiable() {
                return Ok(None);
            }
            let mut whole = whole.clone();
            if let Some(dtype) = dtype
                && *have == 0
                && whole.dtype() != Some(dtype)
            {
                if let Want::Slopes { .. } = want {
                    return Ok(None);
                }
                whole = self.cast(&whole, dtype)?;
            }
            wholes.push(align(self, &whole, *have, rank)?);
        }
        let Some(made) = self.made(formula, &wholes, want)? else { return Ok(None) };
        // What has no axis in front is the same for all examples.
        let mut all = |v: Value| match v.shape() {
            Some(shape) if shape.len() == rank + 1 && shape.first() == Some(&n) => self.batch(v, level).map(Some),
            Some(shape) if shape.len() <= rank => Ok(Some(v)),
            _ => Ok(None),
        };
        let value = match made.value {
            Value::None => Value::None,
            value => match all(value)? {
                Some(value @ Value::Batched(..)) => value,
                _ => return Ok(None),
            },
        };
        let mut slopes = SmallVec::new();
        for slope in made.slopes {
            slopes.push(match slope {
                Some(Slope::Elements(v)) => match all(v)? {
                    Some(v) => Some(Slope::Elements(v)),
                    None => return Ok(None),
                },
                other => other,
            });
        }
        Ok(Some(Made { value, slopes }))
    }

    fn made_with_tangents(
        &mut self,
        formula: &Formula,
        operands: &[Value],
        want: Want,
        level: Level,
    ) -> Result<Option<Made>> {
        let primals: Values = operands.iter().map(|v| self.primal(v, level)).collect();
        let tangents: SmallVec<[Option<Value>; 6]> =
            operands.iter().map(|v| self.tangent(v, level)).collect::<Result<_>>()?;
        // An infinite tangent ends at a slope of zero, which takes a closer look.
        if !tangents.iter().flatten().all(all_finite) {
            return Ok(None);
        }
        let is_plain = |v: &Value| v.slot().is_const();
        if primals.iter().all(is_plain) && tangents.iter().flatten().all(is_plain) {
            let Some(Laid::Tensors(layout)) = lay(formula, &primals) else { return Ok(None) };
            let tangents: Values = tangents.into_iter().map(Option::unwrap_or_default).collect();
            let (wanted, unread) = (want.wanted(), want.unread());
            let order = Order { operands: &primals, tangents: &tangents, wanted, unread, anyway: true };
            let Some(jet) = jet(formula, &layout, &order) else { return Ok(None) };
            let dual = |cx: &mut Cx, v: Value, tangent: Value| match tangent {
                Value::None => Ok(v),
                tangent => cx.new_dual(v, tangent, level),
            };
            let value = match jet.value {
                Some((value, tangent)) => dual(self, value, tangent)?,
                None => Value::None,
            };
            let mut slopes = SmallVec::new();
            for slope in jet.slopes {
                slopes.push(match slope {
                    Some((Slope::Elements(v), tangent)) => Some(Slope::Elements(dual(self, v, tangent)?)),
                    other => other.map(|(slope, _)| slope),
                });
            }
            return Ok(Some(Made { value, slopes }));
        }
        let Want::Value = want else { return Ok(None) };
        let wanted = tangents.iter().enumerate().fold(0, |mask, (i, t)| mask | u32::from(t.is_some()) << i);
        let below = self.made(formula, &primals, Want::Slopes { wanted, unread: None })?;
        let Some(Made { value, slopes }) = below else { return Ok(None) };
        self.part_directions(&value, &tangents)?;
        let mut factors: SmallVec<[(Value, Value); 4]> = SmallVec::new();
        for (tangent, slope) in tangents.into_iter().zip(slopes) {
            let (Some(t), Some(slope)) = (tangent, slope) else { continue };
            let slope = match slope {
                Slope::Number(x) => Value::float(x),
                Slope::Operand(j) => primals.get(j).cloned().unwrap_or_default(),
                Slope::Elements(v) => v,
            };
            factors.push((t, slope));
        }
        let Some(mut tangent) = self.sum_of_products(&factors)? else {
            return Ok(Some(Made { value, slopes: SmallVec::new() }));
        };
        // A tangent has its primal's shape and dtype.
        if let Some(shape) = value.shape() {
            tangent = self.broadcast_to(&tangent, shape)?;
        }
        if let Some(dtype) = value.tensor_dtype() {
            tangent = self.cast(&tangent, dtype)?;
        }
        Ok(Some(Made { value: self.new_dual(value, tangent, level)?, slopes: SmallVec::new() }))
    }

    /// Of tangents and slopes; `None` if there are none.
    fn sum_of_products(&mut self, factors: &[(Value, Value)]) -> Result<Option<Value>> {
        if let Some(formula) = self.products.sum_of(factors.len()) {
            let operands: Values = factors.iter().flat_map(|(t, slope)| [t.clone(), slope.clone()]).collect();
            if let Some(made) = self.made(&formula, &operands, Want::Value)? {
                return Ok(Some(made.value));
            }
        }
        let mut sum: Option<Value> = None;
        for (t, slope) in factors {
            let term = if matches!(slope, Value::Float(Slot::CONST, 1.0)) { t.clone() } else { self.zmul(t, slope)? };
            sum = Some(match sum {
                Some(sum) => self.apply(&ADD, &[sum, term])?,
                None => term,
            });
        }
        Ok(sum)
    }

    /// At a tape: the slopes of what is below become an entry.
    fn record_slopes(
        &mut self,
        formula: &Formula,
        total: Option<Total>,
        operands: &[Value],
        level: Level,
        fate: &dyn Fn(usize) -> Fate,
    ) -> Result<Option<Value>> {
        let mut shape = Shape::new();
        for operand in operands {
            match broadcast_shapes(&shape, operand.shape().unwrap_or(&[])) {
                Ok(joined) => shape = joined,
                Err(_) => return Ok(None),
            }
        }
        let Some(dtype) = operands.iter().filter(|v| v.shape() != Some(&[])).find_map(Value::dtype) else {
            return Ok(None);
        };
        if count(&shape) == 0 || !matches!(dtype, DType::F32 | DType::F64) {
            return Ok(None);
        }
        let end = self.tape_mut(level).and_then(|tape| tape.unread);
        let fate = match (end.map_or(Fate::Read, fate), total) {
            (Fate::Unread, Some(Total::Sum)) => Fate::Summed,
            (Fate::Unread, Some(Total::Mean)) => Fate::Averaged,
            (fate, None) => fate,
            _ => Fate::Read,
        };
        let unread = fate.scale(count(&shape));
        let primals: Values = operands.iter().map(|v| self.primal(v, level)).collect();
        let node = |v: &Value| if v.slot().level() == level { v.slot().node() } else { Node(0) };
        let nodes: SmallVec<[Node; 6]> = operands.iter().map(node).collect();
        let wanted = nodes.iter().enumerate().fold(0, |mask, (i, node)| mask | u32::from(node.0 != 0) << i);
        let Some(made) = self.made(formula, &primals, Want::Slopes { wanted, unread })? else { return Ok(None) };
        let mut parts = SmallVec::new();
        for ((node, operand), slope) in nodes.iter().zip(&primals).zip(made.slopes) {
            let Some(slope) = slope else { continue };
            let factor = Factor::of(slope, &primals);
            parts.push(Part { node: *node, shape: Shape::from_slice(operand.shape().unwrap_or(&[])), factor });
        }
        let entry = SlopesEntry { parts, shape, dtype };
        let out = if unread.is_some() { Value::float(0.0) } else { made.value };
        let lower = out.slot();
        let Some(tape) = self.tape_mut(level) else { return Err(escaped()) };
        let node = tape.push_general(General::Slopes(Box::new(entry)), lower)?;
        let out = out.with_slot(Slot::new(level, node));
        match total {
            Some(total) if unread.is_none() => self.total_of(total, &out).map(Some),
            _ => Ok(Some(out)),
        }
    }
}

fn highest(operands: &[Value]) -> Level {
    operands.iter().map(|v| v.slot().level()).max().unwrap_or_default()
}
