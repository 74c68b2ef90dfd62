//! The value of a formula together with its slopes, and with the tangents of both, in one pass over memory, as machine code.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::fused::Found;
use super::fused_pull::{Way, settled};
use super::graph::{Asked, Backward, Root};
use super::layout::{Layout, Reach};
use super::onto::Sums;
use super::pull::{Bars, live};
use super::{Held, Machine};
use crate::bytecode::formula::Formula;
use crate::ops::lanes::{Elementwise, LaneKernel};
use crate::tensor::broadcast::broadcast_shapes;
use crate::tensor::cast::Float;
use crate::tensor::create::scalar_f64;
use crate::tensor::{DType, Shape, Tensor, count};
use crate::value::Value;

/// As how many elements fewer count where it is decided whether to compile.
const LEAST: usize = 256;

/// The slope of a formula's result in one of its registers.
#[derive(Clone)]
pub enum Slope {
    /// The same for all elements.
    Number(f64),
    /// An operand, as it is.
    Operand(usize),
    /// What broadcasts to the result: most often an element for each of its.
    Elements(Value),
}

/// What a formula has to give.
pub struct Order<'a> {
    pub operands: &'a [Value],
    /// For each operand its tangent, of its shape and dtype, or `none` for zero. There may be no tangents at all.
    pub tangents: &'a [Value],
    /// Bit `i`: the slope in register `i` is wanted.
    pub wanted: u32,
    /// The value is not; slopes are multiplied by this number.
    pub unread: Option<f64>,
    /// Slopes are wanted even if they are more than what their way back has to compute.
    pub anyway: bool,
}

/// What it gives. A tangent that is `none` is zero.
pub struct Jet {
    /// The value and its tangent, unless it is unread.
    pub value: Option<(Value, Value)>,
    /// For each register its slope, if it is wanted, and the tangent of one with elements.
    pub slopes: SmallVec<[Option<(Slope, Value)>; 4]>,
}

/// The value of a formula, its slopes, and their tangents, as far as they are wanted. `None` if there is no code for that, or it would not
/// pay: what values and slopes have in common is computed once, and no operand has to be kept, but slopes have to be.
pub fn jet(formula: &Formula, layout: &Layout, order: &Order<'_>) -> Option<Jet> {
    match layout.dtype {
        DType::F32 => computed::<f32>(formula, layout, order, |e| e.lanes32),
        _ => computed::<f64>(formula, layout, order, |e| e.lanes64),
    }
}

fn computed<T: Float>(
    formula: &Formula,
    layout: &Layout,
    order: &Order<'_>,
    lanes: fn(&Elementwise) -> LaneKernel<T>,
) -> Option<Jet> {
    let Order { operands, tangents, wanted, unread, anyway } = *order;
    let n = count(&layout.shape);
    if n == 0 {
        return None;
    }
    let moves = |(i, t): (usize, &Value)| if matches!(t, Value::None) { 0 } else { 1u32 << i };
    let moving = tangents.iter().enumerate().map(moves).sum::<u32>();
    let with_tangents;
    let layout = if moving == 0 {
        layout
    } else {
        with_tangents = extended(formula, layout, order, moving)?;
        &with_tangents
    };
    let scale = unread.map_or(1.0, |x| T::c(x).to_f64());
    let live = live(formula, wanted);
    let back = Backward { anyway, ..Backward::jet(live, Root::of(Some(scale)), unread.is_some(), moving) };
    // Operations one by one would take a microsecond each, of however few elements.
    let elements = if anyway { n.max(LEAST) } else { n };
    let fused = formula.compiled.get(formula, &layout.reach, size_of::<T>() == 8, Some(back), elements)?;
    let mut machine = settled(formula, operands, layout, u32::MAX, fused.block(&layout.reach), lanes)?;
    for (tangent, reach) in tangents.iter().zip(&layout.reach) {
        machine.held.push(match (tangent, reach) {
            (Value::None, _) => Held::Absent,
            (Value::Tensor(_, t), Reach::Part { .. }) => Held::Part(T::load(t), usize::MAX),
            (Value::Tensor(_, t), _) => Held::Whole(T::load(t)),
            (number, _) => Held::Number(scalar_f64(number)?),
        });
    }
    let way = Way::new(&fused, &mut machine, scale, Cow::Borrowed(&[]), Cow::Borrowed(&[]))?;
    let (_, wholes) = way.compute(&mut machine, n, &mut Bars::new(layout, 0, 0), &mut Sums::none())?;
    let made: SmallVec<[Value; 4]> =
        wholes.into_iter().map(|(_, data)| Value::tensor(Tensor::from_vec(&layout.shape, data))).collect();
    let first_tangent = formula.value(formula.steps.len());
    let all = |x: f64| Value::tensor(Tensor::full(&layout.shape, layout.dtype, x));
    // An element for each of the result's.
    let spread_out = |found: Found| -> Option<Value> {
        let v = match found {
            Found::Number(k) => return Some(all(way.numbers.get(k)?.to_f64())),
            Found::Output(k) => return made.get(k).cloned(),
            Found::Value(j) => {
                operands.get(j as usize).or_else(|| tangents.get((j as usize).checked_sub(first_tangent)?))?
            }
        };
        match v {
            Value::Tensor(_, t) if t.shape() == layout.shape.as_slice() => Some(v.clone()),
            Value::Tensor(_, t) => Some(Value::tensor(t.broadcast_to(&layout.shape).ok()?)),
            number => Some(all(scalar_f64(number)?)),
        }
    };
    let tangent = |what: Asked| match fused.find(what) {
        Some(found) => spread_out(found),
        None => Some(Value::None),
    };
    let value = match unread {
        Some(_) => None,
        None => Some((spread_out(fused.find(Asked::Result)?)?, tangent(Asked::ResultTangent)?)),
    };
    let mut slopes: SmallVec<[Option<(Slope, Value)>; 4]> = SmallVec::new();
    for i in 0..formula.registers.len() {
        slopes.push(if wanted & (1 << i) == 0 {
            None
        } else {
            Some(match fused.find(Asked::Slope(i as u8))? {
                Found::Number(k) => (Slope::Number(way.numbers.get(k)?.to_f64()), Value::None),
                Found::Value(j) if (j as usize) < operands.len() => match operands.get(j as usize)? {
                    number @ (Value::Int(_) | Value::Float(..)) if moving & (1 << j) == 0 => {
                        (Slope::Number(scalar_f64(number)?), Value::None)
                    }
                    _ => (Slope::Operand(j as usize), Value::None),
                },
                Found::Value(j) => (held_slope(formula, operands, &machine, j as usize)?, Value::None),
                Found::Output(k) => (Slope::Elements(made.get(k)?.clone()), tangent(Asked::SlopeTangent(i as u8))?),
            })
        });
    }
    Some(Jet { value, slopes })
}

/// A slope that is a value which reaches less far than the result and was computed before.
fn held_slope<T: Float>(formula: &Formula, operands: &[Value], machine: &Machine<'_, T>, j: usize) -> Option<Slope> {
    let data = match machine.held.get(j)? {
        Held::Number(x) => return Some(Slope::Number(*x)),
        Held::Part(data, _) => data,
        _ => return None,
    };
    let mut shapes: SmallVec<[Shape; 16]> =
        operands.iter().map(|v| Shape::from_slice(v.shape().unwrap_or(&[]))).collect();
    shapes.extend(formula.constants.iter().map(|_| Shape::new()));
    for step in &formula.steps {
        let (a, b) = step.operands();
        let joined = match b {
            Some(b) => broadcast_shapes(shapes.get(a as usize)?, shapes.get(b as usize)?).ok()?,
            None => shapes.get(a as usize)?.clone(),
        };
        shapes.push(joined);
    }
    let shape = shapes.get(j).filter(|shape| count(shape) == data.len())?;
    Some(Slope::Elements(Value::tensor(Tensor::from_vec(shape, data.to_vec()))))
}

/// The layout with the tangents as values behind those of the steps. `None` if a tangent is not like its operand, or flows through what
/// reaches less far than the result, for which there is no code.
fn extended(formula: &Formula, layout: &Layout, order: &Order<'_>, moving: u32) -> Option<Layout> {
    let live = live(formula, moving);
    let mut reach = layout.reach.clone();
    for k in 0..formula.steps.len() {
        let value = formula.value(k);
        if live & (1 << value) != 0 && reach.get(value) != Some(&Reach::Whole) {
            return None;
        }
    }
    for (i, (operand, tangent)) in order.operands.iter().zip(order.tangents).enumerate() {
        let alike = match (operand, tangent) {
            (_, Value::None) => true,
            (Value::Tensor(_, x), Value::Tensor(_, dx)) => x.shape() == dx.shape() && x.dtype() == dx.dtype(),
            (Value::Float(..), Value::Float(..)) => true,
            _ => false,
        };
        if !alike {
            return None;
        }
        let own = if moving & (1 << i) != 0 { layout.reach.get(i).copied()? } else { Reach::Number };
        reach.push(own);
    }
    Some(Layout { shape: layout.shape.clone(), dtype: layout.dtype, reach })
}
