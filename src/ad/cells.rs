//! Cotangents of small tensors while a tape is swept: elements alone, without a tensor around them.
//!
//! What small operations (`small`, and formulas on small tensors) give their operands is gathered here. Making and freeing a tensor
//! costs more than the arithmetic on its few elements, and here a list of elements that is done with is at once the next one.
//! What other entries give a node is added here, too, or small operations add to the value that it has.

use std::ops::Range;
use std::rc::Rc;

use crate::ad::Cx;
use crate::ad::reverse::{Bars, add};
use crate::ad::slot::{Node, Slot};
use crate::ad::small::lost;
use crate::ad::tape::{Entry, General, Tape};
use crate::ad::windows::{WindowEntry, window_at};
use crate::error::Result;
use crate::ops::real::Real;
use crate::tensor::copy::append;
use crate::tensor::form::Form;
use crate::tensor::formula::small::{Keeps, Room};
use crate::tensor::simd::kernels::add_to;
use crate::tensor::{Arr, DType, Tensor, dense, dense_mut, flat, small};
use crate::value::Value;

const WIDE: u32 = 1 << 31;
/// Elements of what stands here, at most: it is kept for the next sweep.
const MOST: usize = 1 << 11;

/// Elements of a small tensor.
pub(crate) struct Few<T> {
    pub data: Vec<T>,
    pub form: Form,
}

/// Lists of elements of one dtype, in use or not.
pub(crate) struct Cells<T> {
    all: Vec<Few<T>>,
    free: Vec<u32>,
    /// Memory for what one entry makes.
    pub room: Option<Box<Room<T>>>,
    pub spread: Vec<T>,
}

impl<T> Default for Cells<T> {
    fn default() -> Cells<T> {
        Cells { all: vec![], free: vec![], room: None, spread: vec![] }
    }
}

/// Names a list of [`Cells`].
#[derive(Clone, Copy)]
pub(crate) struct Cell(u32);

impl Cell {
    /// As nodes name it: see [`Loose`].
    #[inline]
    fn of(name: u32) -> Option<Cell> {
        (name & !WIDE).checked_sub(1).map(Cell)
    }

    #[inline]
    fn name<T: Small>(self) -> u32 {
        (self.0 + 1) | if T::DTYPE == DType::F64 { WIDE } else { 0 }
    }
}

impl<T: Copy> Cells<T> {
    /// An empty list.
    #[inline]
    pub fn empty(&mut self, form: Form) -> Cell {
        let Some(cell) = self.free.pop() else {
            self.all.push(Few { data: vec![], form });
            return Cell(self.all.len() as u32 - 1);
        };
        if let Some(few) = self.all.get_mut(cell as usize) {
            few.data.clear();
            few.form = form;
        }
        Cell(cell)
    }

    /// A list to be read, and another to be written, with what else is memory.
    #[inline]
    pub fn pair(&mut self, read: Cell, write: Cell) -> Option<(&Few<T>, &mut Vec<T>, &mut Vec<T>)> {
        let [read, write] = self.all.get_disjoint_mut([read.0 as usize, write.0 as usize]).ok()?;
        Some((read, &mut write.data, &mut self.spread))
    }

    /// Takes the elements out, to be laid back with [`Cells::lay`]; the shape stays.
    #[inline]
    pub fn lift(&mut self, cell: Cell) -> Vec<T> {
        self.all.get_mut(cell.0 as usize).map(|few| std::mem::take(&mut few.data)).unwrap_or_default()
    }

    /// See [`Cells::lift`].
    #[inline]
    pub fn lay(&mut self, cell: Cell, data: Vec<T>) {
        if let Some(few) = self.all.get_mut(cell.0 as usize) {
            // What is there was left empty and owns nothing.
            std::mem::forget(std::mem::replace(&mut few.data, data));
        }
    }

    /// Takes the elements out, to be put back.
    pub fn take(&mut self, cell: Cell) -> Few<T> {
        match self.all.get_mut(cell.0 as usize) {
            Some(few) => Few { data: std::mem::take(&mut few.data), form: few.form },
            None => Few { data: vec![], form: Form::default() },
        }
    }

    pub fn put(&mut self, cell: Cell, few: Few<T>) {
        if let Some(own) = self.all.get_mut(cell.0 as usize) {
            *own = few;
        }
    }

    #[inline]
    pub fn get_mut(&mut self, cell: Cell) -> Option<&mut Few<T>> {
        self.all.get_mut(cell.0 as usize)
    }

    fn add(&mut self, cell: Cell, a: &Arr<T>) -> bool
    where
        T: Real,
    {
        let own = self.get_mut(cell).filter(|own| own.form.is(a.shape()));
        own.map(|own| add_to(&mut own.data, &flat(a))).is_some()
    }

    /// Takes a list back that is done with.
    #[inline]
    pub fn release(&mut self, cell: Cell) {
        self.free.push(cell.0);
    }
}

/// The cotangents of the nodes that have theirs as elements.
#[derive(Default)]
pub(crate) struct Loose {
    /// By index in `Tape::general`: 1 + the cell, with [`WIDE`] for those of f64; or 0.
    cells: Vec<u32>,
    narrow: Cells<f32>,
    wide: Cells<f64>,
}

/// A dtype of small tensors.
pub(crate) trait Small: Keeps + std::ops::AddAssign {
    fn cells(loose: &mut Loose) -> &mut Cells<Self>;
}

macro_rules! small {
    ($type:ty, $cells:ident) => {
        impl Small for $type {
            #[inline]
            fn cells(loose: &mut Loose) -> &mut Cells<$type> {
                &mut loose.$cells
            }
        }
    };
}
small!(f32, narrow);
small!(f64, wide);

impl Loose {
    /// For this many general entries, without any cotangent. Nothing will stand here for none.
    pub fn reset(&mut self, general: usize) {
        self.cells.clear();
        self.cells.resize(general, 0);
        self.narrow.reset();
        self.wide.reset();
    }
}

impl<T> Cells<T> {
    fn reset(&mut self) {
        const KEPT: usize = 1 << 8;
        self.all.truncate(KEPT);
        self.free.clear();
        self.free.extend(0..self.all.len() as u32);
    }
}

/// Whether the node of this entry may have its cotangent as elements. The sweep asks for it as a value where it is needed so.
#[inline]
fn is_loose(entry: &General) -> bool {
    matches!(
        entry,
        General::Small(_) | General::SmallFormula(_) | General::Window(_) | General::Leaf | General::Prim(_)
    )
}

impl Bars {
    /// The cotangent of the result of a small operation, `general` in the tape, which nobody else reads; `None` if nothing flowed
    /// there.
    #[inline]
    pub(crate) fn take_few<T: Small>(&mut self, general: usize) -> Option<Cell> {
        let cell = Cell::of(self.loose.cells.get_mut(general).map_or(0, std::mem::take));
        let value = self.general.get_mut(general)?.take();
        let Some(Value::Tensor(_, t)) = value else { return cell };
        // Something else read the result as well.
        let elements = T::load(&t);
        let cells = T::cells(&mut self.loose);
        if let Some(cell) = cell {
            add_to(&mut cells.get_mut(cell)?.data, &elements);
            return Some(cell);
        }
        let cell = cells.empty(Form::of(t.shape())?);
        append(&mut cells.get_mut(cell)?.data, &elements);
        Some(cell)
    }

    /// The dtype of a small operation's cotangent; `None` if nothing flowed there.
    #[inline]
    pub(crate) fn few_dtype(&self, general: usize) -> Option<DType> {
        match self.loose.cells.get(general) {
            Some(0) | None => self.general.get(general)?.as_ref()?.tensor_dtype(),
            Some(cell) if cell & WIDE != 0 => Some(DType::F64),
            Some(_) => Some(DType::F32),
        }
    }

    /// Makes a value of all of the cotangent of `general`.
    #[inline]
    pub(crate) fn as_value(&mut self, general: usize) {
        if self.loose.cells.get(general).is_none_or(|cell| *cell == 0) {
            return;
        }
        match self.few_dtype(general) {
            Some(DType::F32) => self.as_value_of::<f32>(general),
            Some(DType::F64) => self.as_value_of::<f64>(general),
            _ => {}
        }
    }

    /// Whether the cotangent of `general` stands here.
    #[inline]
    pub(crate) fn is_loose(&self, general: usize) -> bool {
        self.loose.cells.get(general).is_some_and(|cell| *cell != 0)
    }

    /// Makes values of all cotangents.
    pub(crate) fn as_values(&mut self) {
        for general in 0..self.loose.cells.len() {
            if self.loose.cells.get(general).is_some_and(|cell| *cell != 0) {
                self.as_value(general);
            }
        }
    }

    fn as_value_of<T: Small>(&mut self, general: usize) {
        let Some(cell) = self.take_few::<T>(general) else { return };
        let cells = T::cells(&mut self.loose);
        let value = cells.get_mut(cell).map(|few| Value::from_vec(few.form.dims(), few.data.clone()));
        cells.release(cell);
        if let Some(bar) = self.general.get_mut(general) {
            *bar = value;
        }
    }

    /// Where the cotangent of a node is named, if it stands here or may. One that is a value already gets more in place, so that sums
    /// keep their order.
    #[inline]
    fn loose_of(&mut self, tape: &Tape, node: Node) -> Option<&mut u32> {
        let general = tape.entries.get(node.0 as usize)?.in_general()?;
        let name = self.loose.cells.get_mut(general)?;
        let is_open =
            || matches!(self.general.get(general), Some(None)) && tape.general.get(general).is_some_and(is_loose);
        if *name != 0 || is_open() { Some(name) } else { None }
    }

    /// Adds a tensor to the cotangent of `general`, if that stands here; false, with nothing done, if not.
    #[inline]
    pub(crate) fn add_tensor(&mut self, general: usize, t: &Tensor) -> bool {
        let name = self.loose.cells.get(general).copied().unwrap_or(0);
        match (Cell::of(name), t) {
            (Some(cell), Tensor::F32(a)) if name & WIDE == 0 => self.loose.narrow.add(cell, a),
            (Some(cell), Tensor::F64(a)) if name & WIDE != 0 => self.loose.wide.add(cell, a),
            _ => false,
        }
    }

    /// Adds elements to the cotangent of a node and gives up their list.
    pub(crate) fn add_few<T: Small>(&mut self, cx: &mut Cx, tape: &Tape, node: Node, cell: Cell) -> Result<()> {
        if node.0 == 0 {
            T::cells(&mut self.loose).release(cell);
            return Ok(());
        }
        if let Some(named) = self.loose_of(tape, node) {
            let Some(own) = Cell::of(*named) else {
                *named = cell.name::<T>();
                return Ok(());
            };
            let cells = T::cells(&mut self.loose);
            if let Some((more, own, _)) = cells.pair(cell, own) {
                add_to(own, &more.data);
            }
            cells.release(cell);
            return Ok(());
        }
        let few = T::cells(&mut self.loose).take(cell);
        let added = self.add_to_value(cx, tape, node, &few.data, &few.form);
        let cells = T::cells(&mut self.loose);
        cells.put(cell, few);
        cells.release(cell);
        added
    }

    /// Adds elements to the cotangent of a node.
    pub(crate) fn add_elements<T: Small>(
        &mut self,
        cx: &mut Cx,
        tape: &Tape,
        node: Node,
        elements: &[T],
        form: &Form,
    ) -> Result<()> {
        if node.0 == 0 {
            return Ok(());
        }
        if let Some(entry) = window_at(tape, node) {
            return self.add_elements_of(cx, tape, entry, elements);
        }
        let Some(named) = self.loose_of(tape, node) else { return self.add_to_value(cx, tape, node, elements, form) };
        if let Some(own) = Cell::of(*named) {
            if let Some(own) = T::cells(&mut self.loose).get_mut(own) {
                add_to(&mut own.data, elements);
            }
            return Ok(());
        }
        let cells = T::cells(&mut self.loose);
        let fresh = cells.empty(*form);
        if let Some(few) = cells.get_mut(fresh) {
            append(&mut few.data, elements);
        }
        self.add_few::<T>(cx, tape, node, fresh)
    }

    /// The cotangent of a node, to be added to or, if it is empty, to be filled; `None` if it does not stand here.
    pub(crate) fn place_of<T: Small>(&mut self, tape: &Tape, node: Node, form: &Form) -> Option<&mut Vec<T>> {
        let known = *self.loose_of(tape, node)?;
        let cell = match Cell::of(known) {
            Some(cell) => cell,
            None => {
                let fresh = T::cells(&mut self.loose).empty(*form);
                *self.loose_of(tape, node)? = fresh.name::<T>();
                fresh
            }
        };
        T::cells(&mut self.loose).get_mut(cell).map(|few| &mut few.data)
    }

    /// Adds `x[i] * c[j]` to the cotangent of a matrix, for vectors; false, with nothing done, if there is none yet, or something is
    /// infinite or NaN.
    pub(crate) fn add_outer<T: Small>(&mut self, tape: &Tape, node: Node, x: &[T], c: &[T]) -> bool {
        if let Some(cell) = self.loose_of(tape, node).and_then(|name| Cell::of(*name)) {
            let sum = T::cells(&mut self.loose).get_mut(cell);
            return sum.is_some_and(|sum| small::add_outer_to(&mut sum.data, x, c));
        }
        let sum = self.tensor_mut(tape, node).and_then(T::array_mut);
        sum.is_some_and(|sum| small::add_outer_of(sum, x, c))
    }

    /// Adds a part to the cotangent of a vector of `n`; false, with nothing done, if that does not stand here.
    pub(crate) fn add_range(&mut self, tape: &Tape, node: Node, n: usize, range: Range<usize>, part: &Tensor) -> bool {
        match part {
            _ if n > MOST => false,
            Tensor::F32(part) => self.add_range_of(tape, node, n, range, part),
            Tensor::F64(part) => self.add_range_of(tape, node, n, range, part),
            _ => false,
        }
    }

    fn add_range_of<T: Small>(
        &mut self,
        tape: &Tape,
        node: Node,
        n: usize,
        range: Range<usize>,
        part: &Arr<T>,
    ) -> bool {
        let Some(named) = self.loose_of(tape, node).map(|name| *name) else { return false };
        let Some(part) = dense(part).filter(|part| part.len() == range.len() && range.end <= n) else { return false };
        if let Some(own) = Cell::of(named) {
            let own = T::cells(&mut self.loose).get_mut(own).and_then(|few| few.data.get_mut(range));
            return own.map(|own| add_to(own, part)).is_some();
        }
        let (Some(form), cells) = (Form::of(&[n]), T::cells(&mut self.loose)) else { return false };
        let fresh = cells.empty(form);
        if let Some(Few { data, .. }) = cells.get_mut(fresh) {
            data.resize(range.start, T::default());
            append(data, part);
            data.resize(n, T::default());
        }
        if let Some(name) = self.loose_of(tape, node) {
            *name = fresh.name::<T>();
        }
        true
    }

    /// The cotangent of `general` as a value, which nobody else reads; `None` if nothing flowed there, or it stands here alone.
    #[inline]
    pub(crate) fn take_value(&mut self, general: usize) -> Option<Value> {
        if let Some(None) = self.general.get(general) {
            return None;
        }
        self.as_value(general);
        self.general.get_mut(general)?.take()
    }

    /// Adds the cotangent of a window to that of its vector, and gives up its list or makes it that of the vector.
    pub(crate) fn add_cut<T: Small>(
        &mut self,
        cx: &mut Cx,
        tape: &Tape,
        entry: &WindowEntry,
        cell: Cell,
    ) -> Result<()> {
        let &WindowEntry { base, n, cut } = entry;
        let named = self.loose_of(tape, base).map(|name| *name);
        if let Some(own) = named.and_then(Cell::of) {
            let cells = T::cells(&mut self.loose);
            if let Some((more, own, _)) = cells.pair(cell, own)
                && let (Some(own), Some(more)) = (own.get_mut(cut.range()), more.data.get(cut.inside()))
            {
                add_to(own, more);
            }
            cells.release(cell);
            return Ok(());
        }
        if named.is_some()
            && n <= MOST
            && cut.len > 0
            && let (Some(form), Some(few)) = (Form::of(&[n]), T::cells(&mut self.loose).get_mut(cell))
        {
            if !cut.spread_within(&mut few.data, n) {
                few.data = cut.spread(&few.data, n);
            }
            few.form = form;
            return self.add_few::<T>(cx, tape, base, cell);
        }
        let few = T::cells(&mut self.loose).take(cell);
        let added = self.add_inside(cx, tape, entry, &few.data);
        let cells = T::cells(&mut self.loose);
        cells.put(cell, few);
        cells.release(cell);
        added
    }

    /// The same for elements that stay.
    fn add_elements_of<T: Small>(&mut self, cx: &mut Cx, tape: &Tape, entry: &WindowEntry, bar: &[T]) -> Result<()> {
        let &WindowEntry { base, n, cut } = entry;
        let named = self.loose_of(tape, base).map(|name| *name);
        let own = named.and_then(Cell::of);
        if own.is_none() && (named.is_none() || n > MOST || cut.len == 0) {
            return self.add_inside(cx, tape, entry, bar);
        }
        let Some(bar) = bar.get(cut.inside()) else { return Err(lost()) };
        let cells = T::cells(&mut self.loose);
        if let Some(own) = own {
            if let Some(own) = cells.get_mut(own).and_then(|few| few.data.get_mut(cut.range())) {
                add_to(own, bar);
            }
            return Ok(());
        }
        let fresh = cells.empty(Form::of(&[n]).ok_or_else(lost)?);
        if let Some(Few { data, .. }) = cells.get_mut(fresh) {
            data.resize(cut.start, T::default());
            append(data, bar);
            data.resize(n, T::default());
        }
        self.add_few::<T>(cx, tape, base, fresh)
    }

    /// The same for a cotangent that is a tensor.
    pub(crate) fn add_cut_of<T: Small>(
        &mut self,
        cx: &mut Cx,
        tape: &Tape,
        entry: &WindowEntry,
        mut bar: Rc<Tensor>,
    ) -> Result<()> {
        let &WindowEntry { base, n, cut } = entry;
        let general = tape.entries.get(base.0 as usize).and_then(Entry::in_general);
        if let Some(general) = general
            && self.few_dtype(general).is_none()
            && n == bar.len()
            && cut.len > 0
            && let Some(own) = Rc::get_mut(&mut bar).and_then(T::array_mut).and_then(dense_mut)
            && cut.spread_within(own, n)
        {
            if let Some(place) = self.general.get_mut(general) {
                *place = Some(Value::Tensor(Slot::CONST, bar));
            }
            return Ok(());
        }
        let bar = T::load(&bar);
        if let Some(own) = self.loose_of(tape, base).and_then(|name| Cell::of(*name))
            && let Some(own) = T::cells(&mut self.loose).get_mut(own)
            && let (Some(own), Some(more)) = (own.data.get_mut(cut.range()), bar.get(cut.inside()))
        {
            add_to(own, more);
            return Ok(());
        }
        self.add_inside(cx, tape, entry, &bar)
    }

    /// The same for elements, where the cotangent of the vector is a value or nothing.
    fn add_inside<T: Small>(&mut self, cx: &mut Cx, tape: &Tape, entry: &WindowEntry, bar: &[T]) -> Result<()> {
        let &WindowEntry { base, n, cut } = entry;
        if cut.len == 0 {
            return Ok(());
        }
        if let Some(own) = self.tensor_mut(tape, base).and_then(T::array_mut)
            && own.shape() == [n]
            && let Some(own) = dense_mut(own)
            && let (Some(own), Some(more)) = (own.get_mut(cut.range()), bar.get(cut.inside()))
        {
            add_to(own, more);
            return Ok(());
        }
        add(cx, tape, self, base, Value::from_vec(&[n], cut.spread(bar, n)))
    }

    /// Adds elements to the value that is the cotangent of a node.
    fn add_to_value<T: Small>(
        &mut self,
        cx: &mut Cx,
        tape: &Tape,
        node: Node,
        elements: &[T],
        form: &Form,
    ) -> Result<()> {
        if let Some(own) = self.tensor_mut(tape, node).and_then(T::array_mut)
            && form.is(own.shape())
            && dense(own).is_some()
            && let Some(own) = dense_mut(own)
        {
            add_to(own, elements);
            return Ok(());
        }
        add(cx, tape, self, node, Value::from_vec(form.dims(), elements.to_vec()))
    }
}
