//! Elements of tensors and lists in native code.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value, types};

use crate::ad::element::{RECENT, RECENT_STRIDE};
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::tape::{ELEMENT, Recent};
use crate::bytecode::formula::{Formula, Step};
use crate::bytecode::op::Reg;
use crate::native::action::{Action, Lanes, Place};
use crate::native::adjoint::Back;
use crate::native::emit::{Emitter, FIXED, TRUSTED};
use crate::native::frame::{Cell, Frame, Object, Tag, What, push_item, read_item, write_item};
use crate::native::slopes::Partial;
use crate::value::{self, FLOAT};

impl Emitter<'_> {
    /// An element and its node, if it may have one.
    pub(super) fn element(
        &mut self,
        object: u16,
        index: &[Reg],
        at: usize,
        place: &Place,
    ) -> Option<(Value, Option<Value>)> {
        let (_, what) = *self.region.objects.get(object as usize)?;
        let frame = self.b.use_var(self.frame);
        match what {
            What::List { active } if !self.grows(object) => {
                let i = self.int(*index.first()?)?;
                let (x, node) = self.item(object, i, active, at, place)?;
                if active && self.traces() {
                    let node = self.b.ins().uextend(types::I64, node);
                    self.trace(node)?;
                }
                Some((x, active.then_some(node)))
            }
            What::List { active } => {
                let i = self.int(*index.first()?)?;
                let callee = self.b.ins().iconst(types::I64, read_item as *const () as i64);
                let number = self.b.ins().iconst(types::I64, i64::from(object));
                let may = self.b.ins().iconst(types::I64, i64::from(active));
                let call = self.b.ins().call_indirect(self.helpers.read, callee, &[frame, number, i, may]);
                let done = self.b.inst_results(call)[0];
                let failed = self.b.ins().icmp_imm_s(IntCC::Equal, done, 0);
                self.leave_if(failed, at, place)?;
                let item = offset_of!(Frame, item);
                let x = self.b.ins().load(types::F64, TRUSTED, frame, (item + offset_of!(Cell, float)) as i32);
                let node = self.b.ins().load(types::I32, TRUSTED, frame, (item + offset_of!(Cell, node)) as i32);
                if active && self.traces() {
                    let node = self.b.ins().uextend(types::I64, node);
                    self.trace(node)?;
                }
                Some((x, active.then_some(node)))
            }
            What::Tensor { single, active, .. } => {
                // They stay what they were when the loop was entered.
                let objects = self.b.ins().load(types::I64, FIXED, frame, offset_of!(Frame, objects) as i32);
                let field = |offset: usize| (object as usize * size_of::<Object>() + offset) as i32;
                let mut address = self.b.ins().load(types::I64, FIXED, objects, field(offset_of!(Object, data)));
                let mut position: Option<Value> = None;
                for (axis, reg) in index.iter().enumerate() {
                    let i = self.int(*reg)?;
                    let size = field(offset_of!(Object, sizes) + 8 * axis);
                    let size = self.b.ins().load(types::I64, FIXED, objects, size);
                    let i = self.position(i, size, at, place)?;
                    let stride = field(offset_of!(Object, strides) + 8 * axis);
                    let stride = self.b.ins().load(types::I64, FIXED, objects, stride);
                    let bytes = self.b.ins().imul(i, stride);
                    address = self.b.ins().iadd(address, bytes);
                    position = Some(match position {
                        Some(rows) => {
                            let before = self.b.ins().imul(rows, size);
                            self.b.ins().iadd(before, i)
                        }
                        None => i,
                    });
                }
                let x = if single {
                    let x = self.b.ins().load(types::F32, TRUSTED, address, 0);
                    self.b.ins().fpromote(types::F64, x)
                } else {
                    self.b.ins().load(types::F64, TRUSTED, address, 0)
                };
                if !active {
                    return Some((x, None));
                }
                if self.traces() {
                    self.trace(position?)?;
                    let nothing = self.b.ins().iconst(types::I32, 0);
                    return Some((x, Some(nothing)));
                }
                let whole = self.b.ins().load(types::I32, FIXED, objects, field(offset_of!(Object, whole)));
                Some((x, Some(self.node_of_element(position?, whole)?)))
            }
            _ => None,
        }
    }

    /// Whether items are pushed on a list, which may move them.
    fn grows(&self, object: u16) -> bool {
        let pushes = |action: &Action| matches!(action, Action::Push { object: o, .. } if *o == object);
        self.region.places.iter().flatten().any(|place| pushes(&place.action))
    }

    /// An item of a list that stays where it is, if it is a float, and its node.
    fn item(&mut self, object: u16, i: Value, active: bool, at: usize, place: &Place) -> Option<(Value, Value)> {
        let frame = self.b.use_var(self.frame);
        let objects = self.b.ins().load(types::I64, FIXED, frame, offset_of!(Frame, objects) as i32);
        let field = |offset: usize| (object as usize * size_of::<Object>() + offset) as i32;
        let data = self.b.ins().load(types::I64, FIXED, objects, field(offset_of!(Object, data)));
        let size = self.b.ins().load(types::I64, FIXED, objects, field(offset_of!(Object, sizes)));
        let i = self.position(i, size, at, place)?;
        let bytes = self.b.ins().imul_imm_s(i, size_of::<value::Value>() as i64);
        let address = self.b.ins().iadd(data, bytes);
        let tag = self.b.ins().load(types::I8, TRUSTED, address, 0);
        let other = self.b.ins().icmp_imm_s(IntCC::NotEqual, tag, i64::from(FLOAT.tag));
        self.leave_if(other, at, place)?;
        let slot = self.b.ins().load(types::I32, TRUSTED, address, FLOAT.slot);
        // A constant or, where there may be such, a node of level 1.
        let most = if active { Slot::new(Level(1), Node(Slot::MAX_NODES as u32 - 1)).0 } else { 0 };
        let deeper = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, slot, i64::from(most));
        self.leave_if(deeper, at, place)?;
        let node = self.b.ins().band_imm_u(slot, Slot::MAX_NODES as i64 - 1);
        let x = self.b.ins().load(types::F64, TRUSTED, address, FLOAT.number);
        Some((x, node))
    }

    /// Where an index points to, from the end if it is negative; leaves if that is outside.
    fn position(&mut self, i: Value, size: Value, at: usize, place: &Place) -> Option<Value> {
        let from_end = self.b.ins().iadd(i, size);
        let below = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, i, 0);
        let i = self.b.ins().select(below, from_end, i);
        let outside = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, i, size);
        self.leave_if(outside, at, place)?;
        Some(i)
    }

    /// The node of an element, which may have been read lately; as `Tape::element`.
    fn node_of_element(&mut self, position: Value, whole: Value) -> Option<Value> {
        let frame = self.b.use_var(self.frame);
        let recent = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, recent) as i32);
        let wide = self.b.ins().uextend(types::I64, whole);
        let stride = self.b.ins().iconst(types::I64, RECENT_STRIDE as i64);
        let wide = self.b.ins().imul(wide, stride);
        let place = self.b.ins().iadd(position, wide);
        let place = self.b.ins().band_imm_u(place, RECENT as i64 - 1);
        let size = self.b.ins().iconst(types::I64, size_of::<Recent>() as i64);
        let place = self.b.ins().imul(place, size);
        let place = self.b.ins().iadd(recent, place);
        let field = |offset: usize| offset as i32;
        let (at, of, node) = (offset_of!(Recent, at), offset_of!(Recent, whole), offset_of!(Recent, node));
        let kept_at = self.b.ins().load(types::I64, TRUSTED, place, field(at));
        let kept_of = self.b.ins().load(types::I32, TRUSTED, place, field(of));
        let kept = self.b.ins().load(types::I32, TRUSTED, place, field(node));
        let same_at = self.b.ins().icmp(IntCC::Equal, kept_at, position);
        let same_of = self.b.ins().icmp(IntCC::Equal, kept_of, whole);
        let is_set = self.b.ins().icmp_imm_s(IntCC::NotEqual, kept, 0);
        let same = self.b.ins().band(same_at, same_of);
        let same = self.b.ins().band(same, is_set);
        let found = self.b.declare_var(types::I32);
        self.b.def_var(found, kept);
        let (new, go) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(same, go, &[], new, &[]);
        self.go_on(new);
        let element = self.b.ins().iconst(types::I32, i64::from(ELEMENT));
        let bits = self.b.ins().bitcast(types::F64, MemFlagsData::new(), position);
        let nothing = self.b.ins().f64const(0.0);
        let pushed = self.push((element, Partial::Is(bits)), (whole, Partial::Is(nothing)))?;
        for (value, offset) in [(position, at), (whole, of), (pushed, node)] {
            self.b.ins().store(TRUSTED, value, place, field(offset));
        }
        self.b.def_var(found, pushed);
        self.b.ins().jump(go, &[]);
        self.go_on(go);
        Some(self.b.use_var(found))
    }

    /// What is done on the way back from an element that was read into `dst`.
    pub(super) fn back_from_element(&self, dst: Reg, object: u16) -> Back {
        match self.region.objects.get(object as usize) {
            Some((_, What::Tensor { single, active: true, .. })) => Back::Element { dst, object, single: *single },
            Some((_, What::List { active: true })) => Back::Item { dst },
            _ => Back::End { dst },
        }
    }

    /// How many items or rows an object has, as long as nothing is pushed on it.
    pub(super) fn length(&mut self, object: u16) -> Value {
        let frame = self.b.use_var(self.frame);
        let objects = self.b.ins().load(types::I64, FIXED, frame, offset_of!(Frame, objects) as i32);
        let size = object as usize * size_of::<Object>() + offset_of!(Object, sizes);
        self.b.ins().load(types::I64, FIXED, objects, size as i32)
    }

    pub(super) fn push_on(
        &mut self,
        object: u16,
        (x, node): (Value, Option<Value>),
        at: usize,
        place: &Place,
    ) -> Option<()> {
        let frame = self.b.use_var(self.frame);
        let number = self.b.ins().iconst(types::I64, i64::from(object));
        let node = node.unwrap_or_else(|| self.b.ins().iconst(types::I32, 0));
        let callee = self.b.ins().iconst(types::I64, push_item as *const () as i64);
        let call = self.b.ins().call_indirect(self.helpers.push, callee, &[frame, number, x, node]);
        let done = self.b.inst_results(call)[0];
        let failed = self.b.ins().icmp_imm_s(IntCC::Equal, done, 0);
        self.leave_if(failed, at, place)
    }

    /// The next item of a loop over an object, or on to `none`.
    pub(super) fn each(&mut self, iter: Reg, object: u16, at: usize, place: &Place, none: Block) -> Option<Back> {
        let index = self.int(iter)?;
        let size = self.length(object);
        let some = self.b.ins().icmp(IntCC::SignedLessThan, index, size);
        let (next, ended) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(some, next, &[], ended, &[]);
        self.go_on(ended);
        let back = self.back_from_element(Reg(iter.0 + 3), object);
        if self.traces() && !matches!(back, Back::End { .. }) {
            let nothing = self.b.ins().iconst(types::I64, 0);
            self.trace(nothing)?;
        }
        self.set_tag(Reg(iter.0 + 1), Tag::None)?;
        self.b.ins().jump(none, &[]);
        self.go_on(next);
        let (x, node) = self.element(object, &[iter], at, place)?;
        let above = self.b.ins().iadd_imm_s(index, 1);
        self.set_int(iter, above, Tag::Int)?;
        self.set_float(Reg(iter.0 + 3), x, node)?;
        Some(back)
    }

    pub(super) fn store(
        &mut self,
        object: u16,
        index: &[Reg],
        (x, node): (Value, Option<Value>),
        at: usize,
        place: &Place,
    ) -> Option<()> {
        let frame = self.b.use_var(self.frame);
        let number = self.b.ins().iconst(types::I64, i64::from(object));
        let i = self.int(*index.first()?)?;
        let j = match index.get(1) {
            Some(reg) => self.int(*reg)?,
            None => i,
        };
        let node = node.unwrap_or_else(|| self.b.ins().iconst(types::I32, 0));
        let callee = self.b.ins().iconst(types::I64, write_item as *const () as i64);
        let call = self.b.ins().call_indirect(self.helpers.write, callee, &[frame, number, i, j, x, node]);
        let done = self.b.inst_results(call)[0];
        let failed = self.b.ins().icmp_imm_s(IntCC::Equal, done, 0);
        self.leave_if(failed, at, place)
    }

    pub(super) fn update(
        &mut self,
        (object, index): (u16, &[Reg]),
        value: Reg,
        step: Step,
        at: usize,
        place: &Place,
    ) -> Option<()> {
        let (old, old_node) = self.element(object, index, at, place)?;
        let (x, x_node) = (self.float(value, place)?, self.node_of(value, place)?);
        let formula = Formula::new(vec![value, value], vec![], vec![step], 0);
        let done = self.differentiate(&formula, Lanes::NONE, &[old, x], &[old_node, x_node])?;
        self.store(object, index, (done.value, done.node), at, place)
    }
}
