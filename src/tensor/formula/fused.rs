//! Formulas as machine code: the loops of their arithmetic compiled, the kernels of elementary functions called in between, block by
//! block.
//!
//! On x86-64 with AVX2, or AVX-512 where there is that. Elsewhere, and where a formula cannot be written as a graph, there is nothing here, and operations go one by one
//! over each block.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::rc::Rc;

use memmap2::{Mmap, MmapMut};
use smallvec::{SmallVec, smallvec};

use super::BLOCK;
use super::graph::{Asked, Backward, Graph, Id, Node, Target, Writes};
use super::layout::Reach;
use super::loops::write;
use super::stages::{Place, Stage, Staged};
use crate::bytecode::formula::Formula;
use crate::tensor::cast::Float;
use crate::tensor::lanes::Lanes;
use crate::tensor::out::{Written, fill};
use crate::tensor::simd::{Width, width};

/// What a formula is compiled for.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    double: bool,
    /// The reach of each value: a number, a part, or an element for each of the result's.
    reach: SmallVec<[u8; 16]>,
    back: Option<Backward>,
}

/// What a formula was compiled to, for each [`Key`]; nothing where it cannot be, or has not been worth it so far.
#[derive(Default)]
pub struct Compiled(RefCell<Vec<Known>>);

struct Known {
    key: Key,
    /// Elements that it was computed for.
    elements: usize,
    code: Option<Option<Rc<Fused>>>,
}

/// Kinds of operands that a formula is compiled for.
const MOST: usize = 16;

impl Compiled {
    /// The code for `n` elements of operands of these kinds, if there is some by now.
    pub fn get(
        &self,
        formula: &Formula,
        reach: &[Reach],
        double: bool,
        back: Option<Backward>,
        n: usize,
    ) -> Option<Rc<Fused>> {
        let worth = compiled_from()?;
        let kind = |reach: &Reach| match reach {
            Reach::Number => 0,
            Reach::Part { .. } => 1,
            Reach::Whole => 2,
        };
        let key = Key { double, reach: reach.iter().map(kind).collect(), back };
        let mut all = self.0.borrow_mut();
        let at = match all.iter().position(|known| known.key == key) {
            Some(at) => at,
            None if all.len() == MOST => return None,
            None => {
                all.push(Known { key, elements: 0, code: None });
                all.len() - 1
            }
        };
        let known = all.get_mut(at)?;
        known.elements = known.elements.saturating_add(n);
        if known.code.is_none() && known.elements >= worth {
            known.code = Some(Fused::new(formula, reach, double, back).map(Rc::new));
        }
        known.code.clone()?
    }
}

thread_local! {
    /// Elements from which on compiling pays.
    static WORTH: Cell<usize> =
        Cell::new(if std::env::var_os("DLANG_NATIVE").is_some_and(|wish| wish == "off") { usize::MAX } else { 1 << 14 });
}

/// From how many elements on, all in all, this thread compiles a formula for one kind of operands. It computes the same without, more
/// slowly. The environment variable `DLANG_NATIVE=off` is as if this was never.
pub fn compile_from(elements: usize) {
    WORTH.set(elements);
}

/// See [`compile_from`]; `None` for never.
pub(super) fn compiled_from() -> Option<usize> {
    Some(WORTH.get()).filter(|worth| *worth != usize::MAX && is_possible())
}

/// Whether code is made with vectors of 512 bits.
fn is_wide() -> bool {
    width() == Width::Avx512 && WIDE.get()
}

fn is_possible() -> bool {
    cfg!(target_arch = "x86_64") && width() != Width::Portable
}

thread_local! {
    static WIDE: Cell<bool> = const { Cell::new(true) };
}

/// Whether code that this thread compiles from now on has vectors of 512 bits, where the machine has them.
pub fn compile_wide(on: bool) {
    WIDE.set(on);
}

/// Addresses of arrays, numbers, and how many bytes of each array.
pub(super) type Entry = unsafe extern "sysv64" fn(*const *mut u8, *const u8, usize);

/// A stage, ready to go.
enum Ready {
    Kernel(usize),
    Loop { entry: Entry, arrays: Vec<Place> },
}

/// A compiled formula.
pub struct Fused {
    staged: Staged,
    ready: Vec<Ready>,
    /// Place of each node that is a number among the numbers.
    numbers: Vec<usize>,
    count: usize,
    /// Bytes of a vector.
    bytes: usize,
    /// Held for what the entries point to.
    _memory: Option<Mmap>,
}

/// What something that was asked for is.
pub enum Found {
    /// The number in this place of the numbers.
    Number(usize),
    /// A value, as it is.
    Value(u8),
    /// This output.
    Output(usize),
}

/// What a block is computed from, of elements all the same number; the ones of a block.
pub struct Sources<'a, T> {
    pub numbers: &'a [T],
    /// The elements of value `i`.
    pub value: &'a dyn Fn(u8) -> Option<&'a [T]>,
    pub root: &'a [T],
    pub out: &'a [T],
}

impl Fused {
    /// The way of a formula forward, which leaves behind the values in the mask, too, for all elements.
    pub(super) fn forward_keeping(formula: &Formula, reach: &[Reach], double: bool, kept: u32) -> Option<Fused> {
        if !is_wide() {
            return None;
        }
        let writes = if double { Writes::F64 } else { Writes::F32 };
        Fused::of(Graph::forward(formula, reach, kept, Some(writes))?, (double, true))
    }

    /// The way of a formula forward, or back.
    pub(super) fn new(formula: &Formula, reach: &[Reach], double: bool, back: Option<Backward>) -> Option<Fused> {
        let wide = is_wide();
        // Where a loop would have too much in it, functions have theirs.
        let writes = if double { Writes::F64 } else { Writes::F32 };
        let written_out = if wide { Fused::made(formula, reach, back, (double, wide), Some(writes)) } else { None };
        written_out.or_else(|| Fused::made(formula, reach, back, (double, wide), None))
    }

    fn made(
        formula: &Formula,
        reach: &[Reach],
        back: Option<Backward>,
        (double, wide): (bool, bool),
        writes: Option<Writes>,
    ) -> Option<Fused> {
        let graph = match back {
            None => Graph::forward(formula, reach, 0, writes)?,
            Some(way) if way.slopes => Graph::with_slopes(formula, reach, way, writes)?,
            Some(way) => Graph::back(formula, reach, way, writes)?,
        };
        Fused::of(graph, (double, wide))
    }

    fn of(graph: Graph, (double, wide): (bool, bool)) -> Option<Fused> {
        let staged = Staged::new(graph);
        let mut count = 0;
        let numbers: Vec<usize> = staged
            .graph
            .nodes
            .iter()
            .map(|node| {
                let place = count;
                count += usize::from(node.is_number());
                place
            })
            .collect();
        let mut bytes: Vec<u8> = vec![];
        let mut loops = vec![];
        for (at, stage) in staged.stages.iter().enumerate() {
            loops.push(match stage {
                Stage::Kernel { .. } => (at, None),
                Stage::Arith(program) => {
                    let code = write(&staged, program, (double, wide), &numbers)?;
                    bytes.resize(bytes.len().next_multiple_of(64), 0x90);
                    let start = bytes.len();
                    bytes.extend(&code.code);
                    (at, Some((start, code.arrays)))
                }
            });
        }
        let memory = if bytes.is_empty() { None } else { Some(executable(&bytes)?) };
        let mut ready = vec![];
        for (at, code) in loops {
            ready.push(match (code, &memory) {
                (Some((start, arrays)), Some(memory)) => {
                    let place = memory.get(start..)?.as_ptr();
                    // SAFETY: there stands a function with these arguments, written by `loops`; the memory lives as long.
                    Ready::Loop { entry: unsafe { std::mem::transmute::<*const u8, Entry>(place) }, arrays }
                }
                _ => Ready::Kernel(at),
            });
        }
        Some(Fused { staged, ready, numbers, count, bytes: if wide { 64 } else { 32 }, _memory: memory })
    }

    /// The values of the formula that it reads elements of.
    pub fn values(&self) -> impl Iterator<Item = u8> {
        self.staged.graph.nodes.iter().filter_map(|node| if let Node::Value(i) = node { Some(*i) } else { None })
    }

    /// The only loop, if it is one over vectors of 512 bits, and the arrays of its table.
    pub(super) fn only_loop(&self) -> Option<(Entry, &[Place])> {
        match &self.ready[..] {
            [Ready::Loop { entry, arrays }] if self.bytes == 64 && self.staged.buffers == 0 => Some((*entry, arrays)),
            _ => None,
        }
    }

    /// The numbers that it reads, in their order.
    pub(super) fn numbers_read(&self) -> impl Iterator<Item = &Node> {
        self.staged.graph.nodes.iter().filter(|node| node.is_number())
    }

    /// Elements of a block, at most: few if a block is gone through more than once, as it should stay in the cache.
    pub fn block(&self, reach: &[Reach]) -> usize {
        let is_spread = |i: u8| reach.get(i as usize).is_some_and(|reach| *reach != Reach::Whole);
        let is_summed = |target: Target| matches!(target, Target::Sum | Target::Shares(_));
        let again = self.staged.buffers > 0 || self.targets().any(is_summed) || self.values().any(is_spread);
        if again { BLOCK } else { 8 * BLOCK }
    }

    /// Memory for the buffers of blocks of `n`.
    pub fn scratch<T: Float>(&self, n: usize) -> Vec<MaybeUninit<T>> {
        vec![MaybeUninit::uninit(); self.staged.buffers * n]
    }

    /// What the outputs are for.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        self.staged.graph.outputs.iter().map(|(target, _)| *target)
    }

    /// Something that was asked for; nothing if it is a tangent that is zero.
    pub fn find(&self, what: Asked) -> Option<Found> {
        let graph = &self.staged.graph;
        let (_, id) = *graph.asked.iter().find(|(asked, _)| *asked == what)?;
        Some(match *graph.nodes.get(id as usize)? {
            Node::Value(j) | Node::Number(j) => Found::Value(j),
            node if node.is_number() => Found::Number(*self.numbers.get(id as usize)?),
            _ => Found::Output(graph.outputs.iter().position(|(_, output)| *output == id)?),
        })
    }

    /// The numbers that the formula reads, given those of its values and the cotangent of the result.
    pub fn numbers<T: Float>(&self, value: impl Fn(u8) -> Option<f64>, root: f64) -> Option<Vec<T>> {
        let mut numbers = Vec::with_capacity(self.count);
        for node in &self.staged.graph.nodes {
            match *node {
                Node::Number(i) => numbers.push(T::c(value(i)?)),
                Node::Constant(x) => numbers.push(T::c(x)),
                Node::RootNumber => numbers.push(T::c(root)),
                _ => {}
            }
        }
        Some(numbers)
    }

    /// Computes the `n` elements of a block for each output; `scratch` is memory for `buffers` times `n` elements. `None`, with
    /// anything written, if something is not there.
    pub fn run<T: Float>(
        &self,
        sources: &Sources<'_, T>,
        n: usize,
        outputs: &mut [&mut [MaybeUninit<T>]],
        scratch: &mut [MaybeUninit<T>],
    ) -> Option<Written> {
        let fits = outputs.iter().all(|out| out.len() == n) && outputs.len() == self.staged.graph.outputs.len();
        if !fits || sources.numbers.len() != self.count || scratch.len() < self.staged.buffers * n {
            return None;
        }
        let outputs: SmallVec<[*mut T; 8]> = outputs.iter_mut().map(|out| out.as_mut_ptr().cast()).collect();
        let block = Block { fused: self, sources, n, outputs, scratch: scratch.as_mut_ptr().cast() };
        for ready in &self.ready {
            match ready {
                Ready::Kernel(at) => block.kernel(*at)?,
                Ready::Loop { entry, arrays } => block.arithmetic(*entry, arrays)?,
            }
        }
        // SAFETY: each output is written by the stage that makes it, element by element.
        Some(unsafe { Written::all() })
    }
}

/// Memory with this code, which may be executed.
fn executable(bytes: &[u8]) -> Option<Mmap> {
    let mut memory = MmapMut::map_anon(bytes.len()).ok()?;
    memory.get_mut(..bytes.len())?.copy_from_slice(bytes);
    memory.make_exec().ok()
}

/// A block under way. Its memory: `outputs` and `scratch` are the caller's alone, of `n` elements for each output and buffer.
struct Block<'a, 's, T> {
    fused: &'a Fused,
    sources: &'a Sources<'s, T>,
    n: usize,
    outputs: SmallVec<[*mut T; 8]>,
    scratch: *mut T,
}

impl<T: Float> Block<'_, '_, T> {
    /// Address of `n` elements; those of sources are only read.
    fn address(&self, place: Place) -> Option<*mut T> {
        let read = |x: &[T]| (x.len() == self.n).then(|| x.as_ptr().cast_mut());
        match place {
            Place::Value(i) => read((self.sources.value)(i)?),
            Place::Root => read(self.sources.root),
            Place::Out => read(self.sources.out),
            Place::Output(i) => self.outputs.get(i as usize).copied(),
            // SAFETY: `run` has looked that there is room for all buffers.
            Place::Buffer(i) if (i as usize) < self.fused.staged.buffers => {
                Some(unsafe { self.scratch.add(i as usize * self.n) })
            }
            Place::Buffer(_) => None,
        }
    }

    fn lanes(&self, id: Id) -> Option<Lanes<'_, T>> {
        let id = id as usize;
        if self.fused.staged.graph.nodes.get(id)?.is_number() {
            return Some(Lanes::Same(*self.sources.numbers.get(*self.fused.numbers.get(id)?)?));
        }
        let place = (*self.fused.staged.places.get(id)?)?;
        // SAFETY: `n` elements stand there, written by an earlier stage if not by the caller: stages come behind those that
        // they read. No stage writes what it reads.
        Some(Lanes::Each(unsafe { std::slice::from_raw_parts(self.address(place)?, self.n) }))
    }

    fn kernel(&self, at: usize) -> Option<()> {
        let Stage::Kernel { inside, a, b, to } = self.fused.staged.stages.get(at)? else { return None };
        let mut lanes: SmallVec<[Lanes<'_, T>; 2]> = SmallVec::new();
        lanes.push(self.lanes(*a)?);
        if let Some(b) = b {
            lanes.push(self.lanes(*b)?);
        }
        // SAFETY: there is room for `n` elements, which nobody else sees now.
        let room = unsafe { std::slice::from_raw_parts_mut(self.address(*to)?.cast::<MaybeUninit<T>>(), self.n) };
        let made = fill(room, |out| T::lanes(inside)(self.n, &lanes, out));
        (made == self.n).then_some(())
    }

    fn arithmetic(&self, entry: Entry, arrays: &[Place]) -> Option<()> {
        // Vectors of 512 bits have masks for the last elements.
        let lanes = if self.fused.bytes == 64 { 1 } else { self.fused.bytes / size_of::<T>() };
        let (whole, rest) = (self.n / lanes * lanes, self.n % lanes);
        let mut table: SmallVec<[*mut T; 12]> = SmallVec::new();
        for place in arrays {
            table.push(self.address(*place)?);
        }
        let numbers = self.sources.numbers.as_ptr().cast();
        if whole > 0 {
            // SAFETY: the code was written for these arrays and numbers; it reads and writes `whole` elements of arrays of `n`.
            unsafe { entry(table.as_ptr().cast(), numbers, whole * size_of::<T>()) };
        }
        if rest > 0 {
            // The last elements on a vector of their own.
            let mut last: SmallVec<[[MaybeUninit<T>; 16]; 12]> = smallvec![[MaybeUninit::zeroed(); 16]; arrays.len()];
            for (own, from) in last.iter_mut().zip(&table) {
                // SAFETY: the array has as many. Those that the code is yet to write may be anything, as what they are copied to.
                unsafe { std::ptr::copy_nonoverlapping(from.add(whole).cast(), own.as_mut_ptr(), rest) };
            }
            let own: SmallVec<[*mut T; 12]> = last.iter_mut().map(|own| own.as_mut_ptr().cast()).collect();
            // SAFETY: as above, with arrays of one vector.
            unsafe { entry(own.as_ptr().cast(), numbers, self.fused.bytes) };
            for (own, (to, place)) in last.iter().zip(table.iter().zip(arrays)) {
                if matches!(place, Place::Output(_) | Place::Buffer(_)) {
                    // SAFETY: there is room for as many, which is the caller's alone.
                    unsafe { std::ptr::copy_nonoverlapping(own.as_ptr().cast(), to.add(whole), rest) };
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytecode::formula::{Step, Total};
    use crate::bytecode::op::Reg;
    use crate::ops::prim::ArgShape;
    use crate::tensor::formula::evaluate;
    use crate::tensor::formula::layout::{Operands, lay};
    use crate::tensor::formula::pull::{Applied, Pulled, pull, pull_total};
    use crate::tensor::formula::small::Rooms;
    use crate::tensor::{Shape, Tensor};
    use crate::value::Value;

    /// Values in great number that are all read again at the end, last ones first: more than there are registers. Of `x`, `y` and
    /// a number.
    fn crowded(total: Option<Total>) -> Formula {
        let mut steps = vec![Step::Mul(0, 1)];
        for i in 0..13 {
            steps.push(if i % 2 == 0 { Step::Add(3 + i, 0) } else { Step::Sub(1, 3 + i) });
        }
        for i in 0..14 {
            let so_far = if i == 0 { 2 } else { 16 + i };
            steps.push(if i % 3 == 0 { Step::Sub(16 - i, so_far) } else { Step::Mul(so_far, 16 - i) });
        }
        Formula::new(vec![Reg(0), Reg(1), Reg(2)], vec![], steps, 0).with_total(total)
    }

    fn tensor(n: usize, shape: &[usize], double: bool, k: f64) -> Value {
        let x = (0..n).map(|i| ((i as f64 + 0.5) * k).sin() * 0.9);
        Value::tensor(if double {
            Tensor::from_vec(shape, x.collect())
        } else {
            Tensor::from_vec(shape, x.map(|x| x as f32).collect())
        })
    }

    /// The value or sum, and the cotangents of `x`, `y` and the number.
    fn both_ways(formula: &Formula, operands: &[Value], y_bar: &Value) -> (Value, Pulled) {
        let Some(Operands::Tensors(layout)) = lay(formula, operands) else { panic!("no tensors") };
        let value = evaluate(formula, operands, &mut Rooms::default()).unwrap();
        let shapes: Vec<ArgShape> = operands.iter().map(crate::ad::dispatch::arg_shape).collect();
        let out = if formula.total.is_some() { &Value::None } else { &value };
        let applied =
            Applied { formula, layout: &layout, operands, shapes: &shapes, out, wanted: 0b111, unread: false };
        let pulled = match formula.total {
            Some(total) => pull_total(&applied, total).map(|(_, pulled)| pulled),
            None => pull(&applied, y_bar),
        };
        (value, pulled.unwrap())
    }

    fn floats(v: &Value) -> Vec<f64> {
        match v {
            Value::Tensor(_, t) => t.iter_f64().collect(),
            Value::Float(_, x) => vec![*x],
            _ => vec![],
        }
    }

    #[test]
    fn more_values_than_registers() {
        for (double, total) in [(false, None), (true, None), (false, Some(Total::Sum)), (true, Some(Total::Mean))] {
            for rows in [1, 2, 9, 700] {
                let shape = Shape::from_slice(&[rows, 13]);
                let operands =
                    [tensor(rows * 13, &shape, double, 0.37), tensor(13, &[13], double, 1.7), Value::float(0.81)];
                let y_bar = tensor(rows * 13, &shape, double, 0.11);
                compile_from(usize::MAX);
                let want = both_ways(&crowded(total), &operands, &y_bar);
                compile_from(0);
                let formula = crowded(total);
                let got = both_ways(&formula, &operands, &y_bar);
                let compiled =
                    formula.compiled.0.borrow().iter().filter(|known| matches!(known.code, Some(Some(_)))).count();
                assert!(compiled == if is_possible() { 2 } else { 0 } || rows == 1, "{compiled} for {rows} rows");
                // Sums are taken in another order.
                let all = [&got.0].into_iter().chain(got.1.iter().flatten());
                for (got, want) in all.zip([&want.0].into_iter().chain(want.1.iter().flatten())) {
                    for (got, want) in floats(got).into_iter().zip(floats(want)) {
                        let near = if double { 1e-12 } else { 1e-4 } * (1.0 + want.abs());
                        assert!((got - want).abs() <= near, "{rows} rows, {double}, {total:?}: {got} {want}");
                    }
                }
                assert!(total.is_some() || floats(&got.0) == floats(&want.0), "{rows} rows, {double}");
            }
        }
        compile_from(1 << 14);
    }
}
