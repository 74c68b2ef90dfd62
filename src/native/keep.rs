//! Lists that grow by more than floats. What is pushed is kept as the numbers that it is made of, and put together and pushed
//! where code leaves: nothing of the loop reads it before.

use std::mem::offset_of;
use std::rc::Rc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, types};

use crate::ad::tape::Entry;
use crate::bytecode::op::{Op, Reg};
use crate::native::action::{Action, Place};
use crate::native::emit::{Emitter, TRUSTED};
use crate::native::frame::{Cell, Frame, Object, What};
use crate::native::kind::{Kind, Kinds};
use crate::native::parts::Left;
use crate::native::read::Read;
use crate::native::record::Recording;
use crate::native::region::Region;
use crate::value::Value;
use crate::vm::items::MAX_LIST;

/// Numbers that one value may have.
const WIDE: usize = 32;
/// Values that are kept before code has to leave.
const MOST: usize = 1 << 10;
/// Entries of the tape that a value may need when it is put together, for each of its numbers.
const ENTRIES: usize = 2;

/// What was pushed.
#[derive(Default)]
pub struct Kept {
    pub cells: Vec<Cell>,
    /// Number of the push and of the list, in order.
    pub pushes: Vec<(u32, u32)>,
}

impl Kept {
    /// Code has to leave before it keeps more.
    pub fn is_full(&self) -> bool {
        self.pushes.len() >= MOST
    }
}

/// How what an instruction pushes is put together, from its cells in order.
pub struct Push {
    pub left: Left,
    /// Cells of the registers that hold them.
    cells: Box<[u32]>,
}

/// What an instruction does that pushes on a list of anything: nothing if it does not.
pub fn read(region: &mut Region, (frame, at): (usize, usize), op: Op, kinds: &mut Kinds) -> Option<Option<Read>> {
    let (list, src) = match op {
        Op::Push { list, src } => (list, src),
        Op::CallMethod { base, site } => {
            let site = region.frames.get(frame)?.code.calls.get(site.0 as usize)?;
            if !region.is_builtin(base, kinds, "push") || site.count != 2 || !site.names.is_empty() {
                return None;
            }
            (base.shifted(1), base.shifted(2))
        }
        _ => return None,
    };
    let Kind::Object(object) = kinds[list] else { return None };
    let (_, What::Items) = region.objects.get(object as usize)? else { return None };
    // A function that is part of the loop pushes on none: the machine may have to repeat its call.
    let kept = frame == 0 && !region.is_function && region.leaves_of(src, kinds).is_some_and(|n| n <= WIDE);
    let done = kept.then(|| Action::Keep { object, src });
    Some(done.and_then(|action| Some(Read { actions: vec![action], next: region.place_of(frame, at + 1)? })))
}

impl Region<'_> {
    /// How many numbers a value has that can be put together.
    fn leaves_of(&self, reg: Reg, kinds: &Kinds) -> Option<usize> {
        let kind = kinds[reg];
        if let Kind::Object(k) = kind {
            // What may have changed by the time when it is put together.
            let what = self.objects.get(k as usize)?.1;
            let stays = matches!(
                what,
                What::Other | What::Struct(_) | What::Tuple(_) | What::Function(_) | What::StructType(_)
            );
            return stays.then_some(1);
        }
        if !kind.has_parts() {
            return kind.is_plain().then_some(1);
        }
        let part = |i: u16| self.leaves_of(self.parts.register(reg, i)?, kinds);
        (0..self.parts.count(kind)).map(part).sum()
    }

    /// Whether a variable may be among the numbers of a value.
    pub(super) fn holds_variables(&self, reg: Reg, kinds: &Kinds) -> bool {
        let kind = kinds[reg];
        let part = |i: u16| self.parts.register(reg, i).is_none_or(|part| self.holds_variables(part, kinds));
        if kind.has_parts() { (0..self.parts.count(kind)).any(part) } else { kind == Kind::Float { active: true } }
    }
}

impl Emitter<'_> {
    /// Keeps what is pushed on an object.
    pub(super) fn keep(&mut self, object: u16, src: Reg, at: usize, place: &Place) -> Option<()> {
        let mut cells = vec![];
        let left = self.region.left_in(src, &place.kinds)?.numbered(&mut |cell, kind| {
            cells.push((cell, kind));
            cells.len() - 1
        });
        let frame = self.b.use_var(self.frame);
        let to = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, cells) as i32);
        for (cell, kind) in &cells {
            self.store_cell(*cell, *kind, to)?;
        }
        let cells: Box<[u32]> = cells.iter().map(|(cell, _)| *cell as u32).collect();
        let number = (self.pushes.len() as u64) << 32 | u64::from(object);
        let args = [number as i64, cells.as_ptr() as i64, cells.len() as i64];
        self.pushes.push(Push { left, cells });
        let args = args.map(|x| self.b.ins().iconst(types::I64, x));
        let callee = self.b.ins().iconst(types::I64, keep_push as *const () as i64);
        let call = self.b.ins().call_indirect(self.helpers.read, callee, &[frame, args[0], args[1], args[2]]);
        let done = self.b.inst_results(call)[0];
        let failed = self.b.ins().icmp_imm_s(IntCC::Equal, done, 0);
        self.leave_if(failed, at, place)?;
        // What it takes to put it together is taken off the room.
        if let (Some(record), Recording::Entries) = (self.record, self.recording) {
            let end = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, end) as i32);
            self.b.def_var(record.end, end);
        }
        Some(())
    }
}

/// Keeps cells for the push of a number on an object, which stands in its lower half: 0 if that has to go another way.
///
/// # Safety
/// `frame` and what it points to are alive; there are `count` numbers of cells.
unsafe extern "C" fn keep_push(frame: *mut Frame, number: u64, cells: *const u32, count: u64) -> u64 {
    let object = number as u32;
    // SAFETY: the caller's; nothing else refers to the value while code runs.
    let (frame, value) = unsafe { (&mut *frame, &mut *(*(*frame).objects.add(object as usize)).value) };
    let Value::List(items) = value else { return 0 };
    let kept = &mut frame.kept;
    let fits = !kept.is_full() && items.len() + kept.pushes.len() < MAX_LIST && Rc::get_mut(items).is_some();
    if !fits {
        return 0;
    }
    // SAFETY: the caller's.
    let cells = unsafe { std::slice::from_raw_parts(cells, count as usize) };
    // SAFETY: each is the number of one of the frame's cells.
    kept.cells.extend(cells.iter().map(|cell| unsafe { *frame.cells.add(*cell as usize) }));
    kept.pushes.push(((number >> 32) as u32, object));
    if !frame.end.is_null() && !frame.traces {
        let room = (frame.end as usize).saturating_sub((count as usize + 1) * ENTRIES * size_of::<Entry>());
        frame.end = frame.end.with_addr(room);
    }
    1
}

/// Pushes what was kept: `value` puts it together.
///
/// # Safety
/// The objects are alive.
pub unsafe fn push_all(
    kept: &Kept,
    pushes: &[Push],
    objects: &[Object],
    mut value: impl FnMut(&Left, &[Cell]) -> Option<Value>,
) {
    let mut rest = &kept.cells[..];
    for (number, object) in &kept.pushes {
        let Some(push) = pushes.get(*number as usize) else { return };
        let Some((cells, behind)) = rest.split_at_checked(push.cells.len()) else { return };
        rest = behind;
        let (Some(item), Some(object)) = (value(&push.left, cells), objects.get(*object as usize)) else { return };
        // SAFETY: the caller's.
        if let Value::List(items) = unsafe { &mut *object.value } {
            Rc::make_mut(items).push(item);
        }
    }
}
