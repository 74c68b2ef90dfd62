//! Elements read from a tensor: an entry as small as that of a scalar operation, so that a loop over the elements of a
//! tensor costs like one over floats.
//!
//! The entry names the tensor in [`Tape::wholes`] and the position. Only for the outermost level: above another level `get_index` is recorded like all else.

use std::rc::Rc;

use crate::ad::slot::{Node, Slot};
use crate::ad::tape::{Entry, Recent, Tape};
use crate::ad::{Cx, Mode};
use crate::error::Result;
use crate::ops::index::INDEX_ADD;
use crate::tensor::parts::{add_at, element};
use crate::tensor::{DType, Shape, Tensor};
use crate::value::Value;

/// How many elements read lately are known again, and how far apart those of two tensors are.
pub const RECENT: usize = 64;
pub const RECENT_STRIDE: usize = 17;

/// A tensor that elements were read from.
pub struct Whole {
    pub node: Node,
    shape: Shape,
    dtype: DType,
}

impl Whole {
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Its cotangent before anything has flowed there.
    pub fn zeros(&self, cx: &mut Cx) -> Value {
        cx.zeros(&self.shape, self.dtype)
    }
}

impl Cx {
    /// The element of a float tensor at an index with an int for each axis; `None` if it has to be recorded in full.
    pub fn read_element(&mut self, slot: Slot, t: &Tensor, index: &[i64]) -> Result<Option<Value>> {
        if slot.level().0 != 1 || self.trap.records || index.len() != t.rank() || !t.dtype().is_float() {
            return Ok(None);
        }
        let Some(Mode::Reverse(tape)) = self.levels.first_mut().map(|l| &mut l.mode) else { return Ok(None) };
        if tape.entries.get(slot.node().0 as usize).is_none_or(|e| e.in_general().is_none()) {
            return Ok(None);
        }
        let (at, x) = element(t, index)?;
        let whole = tape.whole(slot.node(), t);
        let node = tape.element(whole, at)?;
        Ok(Some(Value::Float(Slot::new(slot.level(), node), x)))
    }

    /// The cotangent of a tensor with that of one of its elements added: in place if both are constants.
    pub(crate) fn add_element(
        &mut self,
        tape: &Tape,
        (whole, at): (usize, usize),
        bar: &mut Option<Value>,
        y_bar: &Value,
    ) -> Result<()> {
        let Some(whole) = tape.wholes.get(whole) else { return Ok(()) };
        let mut old = match bar.take() {
            Some(old) => old,
            None => whole.zeros(self),
        };
        *bar = Some(match (&mut old, y_bar) {
            (Value::Tensor(of, t), Value::Float(slot, x)) if of.is_const() && slot.is_const() => {
                add_at(Rc::make_mut(t), at, *x);
                old
            }
            _ => {
                let mut rest = at;
                let mut index: Vec<Value> = vec![];
                for &n in whole.shape.iter().rev() {
                    index.push(Value::Int((rest % n.max(1)) as i64));
                    rest /= n.max(1);
                }
                index.reverse();
                self.apply(&INDEX_ADD, &[old, Value::tuple(index), y_bar.clone()])?
            }
        });
        Ok(())
    }
}

impl Tape {
    /// The node of an element: `x[i]` in one turn of a loop is often `x[i + 1]` of the turn before.
    fn element(&mut self, whole: u32, at: usize) -> Result<Node> {
        self.keep_recent();
        let place = (at + RECENT_STRIDE * whole as usize) % RECENT;
        match self.recent.get(place) {
            Some(kept) if kept.node != 0 && kept.whole == whole && kept.at == at as u64 => Ok(Node(kept.node)),
            _ => {
                let node = self.push(Entry::element(whole, at))?;
                if let Some(kept) = self.recent.get_mut(place) {
                    *kept = Recent { at: at as u64, whole, node: node.0 };
                }
                Ok(node)
            }
        }
    }

    /// Makes the places for [`RECENT`] elements.
    pub fn keep_recent(&mut self) {
        if self.recent.is_empty() {
            self.recent.resize(RECENT, Recent::default());
        }
    }

    /// Index of a tensor in `wholes`; a loop reads from few tensors in turn.
    pub fn whole(&mut self, node: Node, t: &Tensor) -> u32 {
        const LOOKED_AT: usize = 8;
        let recent = self.wholes.len().saturating_sub(LOOKED_AT);
        if let Some(i) = self.wholes[recent..].iter().rposition(|w| w.node == node) {
            return (recent + i) as u32;
        }
        self.wholes.push(Whole { node, shape: t.shape().into(), dtype: t.dtype() });
        self.wholes.len() as u32 - 1
    }
}
