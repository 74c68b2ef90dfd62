//! What a reverse level remembers: one entry for each operation, in order.
//!
//! A scalar operation is 24 bytes: two operands and two partials. All else (tensors, groups of outputs) is a *general*
//! entry, which keeps the primitive and what its rule reads. Entry 0 is the sink that stands for constants, so the
//! sweep needs no test for them. Above another level, the slots of primals and partials at lower levels stand in a
//! parallel list that the innermost level does not have.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::ad::element::Whole;
use crate::ad::formula_tensors::{FormulaEntry, SmallFormulaEntry, TotalEntry};
use crate::ad::held;
use crate::ad::slopes::SlopesEntry;
use crate::ad::slot::{Level, Node, Slot};
use crate::ad::small::SmallEntry;
use crate::ad::trap::Origin;
use crate::ad::windows::WindowEntry;
use crate::error::{Error, Result};
use crate::native::LoopEntry;
use crate::ops::prim::{ArgShape, Prim};
use crate::profile;
use crate::tensor::{DType, count};
use crate::value::Value;

/// One scalar operation: `y_bar * pa` flows to `a`, `y_bar * pb` to `b`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Entry {
    pub a: u32,
    pub b: u32,
    pub pa: f64,
    pub pb: f64,
}

const _: () = assert!(std::mem::size_of::<Entry>() == 24);

/// Slots at lower levels of an entry's primal and of its partials.
#[derive(Clone, Copy, Default)]
pub struct Lower {
    pub primal: Slot,
    pub pa: Slot,
    pub pb: Slot,
}

/// An entry that is not two multiplications.
pub enum General {
    /// An input that is a tensor.
    Leaf,
    Prim(Box<PrimEntry>),
    /// A primitive on small tensors.
    Small(SmallEntry),
    /// Neighbouring elements of a vector, perhaps with a margin.
    Window(WindowEntry),
    /// Several elementwise operations on tensors.
    Formula(Box<FormulaEntry>),
    /// The slopes of such a one.
    Slopes(Box<SlopesEntry>),
    /// The same on small ones.
    SmallFormula(SmallFormulaEntry),
    /// A sum or mean of such.
    Total(Box<TotalEntry>),
    /// Processed after all its parts, which are the nodes that follow it.
    Group(GroupEntry),
    /// One float leaf of a group's result.
    Part,
    /// A loop that ran in native code. What it computed are the nodes that follow it.
    Loop(Box<LoopEntry>),
}

/// An application of a primitive.
pub struct PrimEntry {
    pub prim: &'static Prim,
    /// Primal arguments; those the rule does not read are `Value::None`.
    pub args: SmallVec<[Value; 3]>,
    /// Node of each argument; the sink for constants.
    pub nodes: SmallVec<[Node; 3]>,
    pub shapes: SmallVec<[ArgShape; 3]>,
    pub out: Value,
}

/// A call whose pullback is a function: `custom_vjp`, `custom_jvp`, `checkpoint`.
pub struct GroupEntry {
    /// Takes the cotangent of the result, gives a tuple of the arguments' cotangents.
    pub pullback: Value,
    /// The result, its leaves under the slots of the parts (at this level).
    pub result: Value,
    /// The arguments, under the slots that they had (at this level).
    pub args: Vec<Value>,
}

/// The record of one reverse level.
pub struct Tape {
    pub entries: Vec<Entry>,
    /// Parallel to `entries` if `nested`, else empty.
    pub lower: Vec<Lower>,
    pub general: Vec<General>,
    /// Operands of formulas on small tensors, each with its node.
    pub operands: Vec<(Value, Node)>,
    /// What loops in native code noted for their way back.
    pub trace: Vec<u64>,
    /// Parallel to `general` while a profile is taken, else empty: where in the program.
    pub places: Vec<u64>,
    /// Tensors that elements were read from.
    pub wholes: Vec<Whole>,
    /// Elements read lately, by position: read again they are the same node. Empty before the first.
    pub recent: Vec<Recent>,
    /// Where entries came from, as far as the NaN trap was on; else empty.
    pub origins: Vec<Origin>,
    /// Primals may have slots of lower levels.
    pub nested: bool,
    /// A batch level lies below: cotangents may be batched, so scalars are recorded as general entries too.
    pub batched: bool,
    /// Every cotangent will be a plain number or tensor: the outermost level, swept once from 1.
    pub plain: bool,
    /// The value is not asked for, only the gradient, of a function that runs in the frame of this number.
    pub unread: Option<usize>,
}

/// An element read lately; node 0 for none.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Recent {
    pub at: u64,
    pub whole: u32,
    pub node: u32,
}

/// What an entry is.
pub enum Kind {
    /// Two operands and two partials.
    Scalar,
    /// The rest stands in `Tape::general`, at this index.
    General(usize),
    /// An element read from `Tape::wholes[whole]`, at this position; see `element.rs`.
    Element { whole: usize, at: usize },
}

/// In `Entry::a`: the entry is general, `b` is its index.
const GENERAL: u32 = u32::MAX;
/// In `Entry::a`: an element, `b` is its whole, and the bits of `pa` its position. Nodes are below both.
pub const ELEMENT: u32 = GENERAL - 1;

impl Entry {
    fn general(index: u32) -> Entry {
        Entry { a: GENERAL, b: index, pa: 0.0, pb: 0.0 }
    }

    /// An element read from a tensor.
    pub fn element(whole: u32, at: usize) -> Entry {
        Entry { a: ELEMENT, b: whole, pa: f64::from_bits(at as u64), pb: 0.0 }
    }

    /// What it is. Only of a scalar are `a`, `b`, `pa` and `pb` nodes and partials.
    #[inline(always)]
    pub fn kind(&self) -> Kind {
        match self.a {
            GENERAL => Kind::General(self.b as usize),
            ELEMENT => Kind::Element { whole: self.b as usize, at: self.pa.to_bits() as usize },
            _ => Kind::Scalar,
        }
    }

    /// Two operands and two partials.
    #[inline(always)]
    pub fn is_scalar(&self) -> bool {
        self.a < ELEMENT
    }

    /// Index in `Tape::general`, if it is such a one.
    #[inline(always)]
    pub fn in_general(&self) -> Option<usize> {
        if self.a == GENERAL { Some(self.b as usize) } else { None }
    }
}

impl Tape {
    /// An empty tape: only the sink.
    pub fn new(nested: bool) -> Tape {
        let mut tape = Tape {
            entries: vec![],
            lower: vec![],
            general: vec![],
            operands: vec![],
            trace: vec![],
            places: vec![],
            wholes: vec![],
            recent: vec![],
            origins: vec![],
            nested,
            batched: false,
            plain: false,
            unread: None,
        };
        tape.reset(nested);
        tape
    }

    /// Empties it, keeping its memory.
    pub fn reset(&mut self, nested: bool) {
        const KEPT: usize = 1 << 22;
        // As much memory as the entries.
        const KEPT_WORDS: usize = KEPT * size_of::<Entry>() / size_of::<u64>();
        self.entries.clear();
        self.entries.shrink_to(KEPT);
        self.lower.clear();
        self.lower.shrink_to(KEPT);
        self.general.clear();
        self.general.shrink_to(KEPT);
        self.operands.clear();
        self.operands.shrink_to(KEPT);
        self.trace.clear();
        self.trace.shrink_to(KEPT_WORDS);
        self.places = vec![];
        self.wholes.clear();
        self.recent.clear();
        self.wholes.shrink_to(KEPT);
        self.origins = vec![];
        self.nested = nested;
        self.batched = false;
        self.plain = false;
        self.entries.push(Entry { a: 0, b: 0, pa: 0.0, pb: 0.0 });
        if nested {
            self.lower.push(Lower::default());
        }
    }

    /// Slot, at lower levels, of a node's primal.
    #[inline]
    pub fn primal(&self, node: Node) -> Slot {
        if self.nested { self.lower.get(node.0 as usize).map_or(Slot::CONST, |l| l.primal) } else { Slot::CONST }
    }

    /// The highest level below that anything recorded takes part in.
    pub fn lower_level(&self) -> Level {
        let scalars = self.lower.iter().flat_map(|l| [l.primal, l.pa, l.pb]).map(Slot::level).max();
        let general = self.general.iter().map(|g| match g {
            General::Prim(p) => p.args.iter().chain([&p.out]).map(|v| v.slot().level()).max().unwrap_or_default(),
            General::Group(g) => held::level(&g.pullback),
            General::Slopes(s) => s.level(),
            _ => Level(0),
        });
        scalars.max(general.max()).unwrap_or_default()
    }

    /// Tells the profile what the tape holds: tensors kept by each entry, and scalar operations.
    #[cold]
    pub fn tell_profile(&self) {
        let bytes = |v: &Value| match v {
            Value::Tensor(_, t) => {
                count(t.shape())
                    * match t.dtype() {
                        DType::Bool => 1,
                        DType::F32 => 4,
                        DType::Int | DType::F64 => 8,
                    }
            }
            _ => 0,
        };
        let mut by_place: FxHashMap<u64, usize> = FxHashMap::default();
        for (entry, place) in self.general.iter().zip(&self.places) {
            let held: usize = match entry {
                General::Leaf | General::Part | General::Window(_) => 0,
                General::Prim(p) => p.args.iter().chain([&p.out]).map(bytes).sum(),
                General::Small(s) => s.values().map(bytes).sum(),
                General::SmallFormula(f) => f.values(self).map(bytes).sum::<usize>() + f.kept.bytes(),
                General::Formula(f) => f.values().map(bytes).sum(),
                General::Slopes(s) => s.values().map(bytes).sum(),
                General::Total(t) => t.values().map(bytes).sum(),
                General::Loop(l) => l.words.len() * std::mem::size_of::<u64>(),
                General::Group(g) => g.args.iter().map(bytes).sum(),
            };
            *by_place.entry(*place).or_default() += held;
        }
        profile::held(by_place, (self.entries.len() - self.general.len()) * std::mem::size_of::<Entry>());
    }

    /// Records a scalar operation.
    #[inline(always)]
    pub fn push(&mut self, entry: Entry) -> Result<Node> {
        let index = self.entries.len();
        if index >= Slot::MAX_NODES {
            return Err(full());
        }
        self.entries.push(entry);
        if self.nested {
            self.lower.push(Lower::default());
        }
        Ok(Node(index as u32))
    }

    /// Records a scalar operation whose primal or partials have slots of lower levels.
    pub fn push_nested(&mut self, entry: Entry, lower: Lower) -> Result<Node> {
        let node = self.push(entry)?;
        if let Some(last) = self.lower.last_mut() {
            *last = lower;
        }
        Ok(node)
    }

    /// Records a general entry; `primal` is the slot of its result at lower levels.
    #[inline]
    pub fn push_general(&mut self, general: General, primal: Slot) -> Result<Node> {
        self.general.push(general);
        self.name_general(primal)
    }

    /// How much is recorded, to take back what came after.
    pub fn mark(&self) -> [usize; 2] {
        [self.entries.len(), self.general.len()]
    }

    /// Takes back general entries that were recorded last, whose nodes nobody has.
    pub fn take_back(&mut self, [entries, general]: [usize; 2]) {
        self.entries.truncate(entries);
        self.general.truncate(general);
        self.places.truncate(general);
    }

    /// The node of the last general entry.
    #[inline(always)]
    fn name_general(&mut self, primal: Slot) -> Result<Node> {
        let index = self.general.len() as u32 - 1;
        if profile::is_on() {
            self.place_general(index);
        }
        // Made for each: what a call takes by its address is written in pieces first and copied then, which waits for the pieces.
        if self.nested {
            self.push_nested(Entry::general(index), Lower { primal, ..Lower::default() })
        } else {
            self.push(Entry::general(index))
        }
    }

    #[cold]
    fn place_general(&mut self, index: u32) {
        // What was recorded before the profile began has no place.
        self.places.resize(index as usize, u64::MAX);
        self.places.push(profile::place());
    }

    /// Appends a general entry; its node. It is made behind the test for room, so that it is written where it stays: made elsewhere it
    /// would be copied just after it was written in pieces, which takes longer than to write it.
    #[inline(always)]
    pub fn push_small(&mut self, make: impl FnOnce() -> General) -> Result<Node> {
        self.general.reserve(1);
        let count = self.general.len();
        if let Some(place) = self.general.spare_capacity_mut().first_mut() {
            place.write(make());
            // SAFETY: one more has been written.
            unsafe { self.general.set_len(count + 1) };
        }
        self.name_general(Slot::CONST)
    }
}

#[cold]
fn full() -> Error {
    Error::new("E0430", format!("the tape is full: {} operations are recorded", Slot::MAX_NODES))
        .help("wrap a part of the computation in checkpoint(f), which records it again when it is needed")
}
