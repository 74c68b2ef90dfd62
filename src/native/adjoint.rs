//! The adjoint of a loop: machine code that reads the trace of a run backwards and carries the cotangents of registers.
//!
//! The trace has, in the order of the run, the partials of each formula, the positions of elements that were read, and at
//! places where several ways come together which one was taken. The adjoint starts where the run ended, undoes instruction
//! by instruction, and goes back on the way that the trace tells, until it is where the run began. Cotangents stay in
//! machine registers; only those of elements go to memory. (Reverse accumulation by a trace of the control flow, as in
//! Griewank and Walther, Evaluating Derivatives, chapter 4.)

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{Block, Function, InstBuilder, Value, types};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Switch, Variable};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::ad::reverse::Bar;
use crate::bytecode::op::Reg;
use crate::native::code::{self, Code};
use crate::native::emit::{Exit, FIXED, TRUSTED};
use crate::native::kind::Kind;
use crate::native::record::WORD;
use crate::native::region::Region;

/// Partials of a formula that are multiplied even by a cotangent of 0.
const FEW: usize = 1;

/// What an instruction does on the way back.
#[derive(Clone, Debug)]
pub enum Back {
    Nothing,
    /// It wrote a float that depends on nothing: the cotangent ends here.
    End {
        dst: Reg,
    },
    Copy {
        dst: Reg,
        src: Reg,
    },
    /// A formula: its variables in order, with their partials.
    Flow {
        dst: Reg,
        parts: Vec<(Reg, Part)>,
    },
    /// An element of a tensor. Its position is on the trace, or anything if a loop over elements had ended: then nothing
    /// reads `dst`, and its cotangent is 0.
    Element {
        dst: Reg,
        object: u16,
        single: bool,
    },
    /// An item of a list. Its node is on the trace, or the same.
    Item {
        dst: Reg,
    },
}

/// A partial of a formula.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Part {
    One,
    /// The same in each turn.
    Always(f64),
    /// On the trace.
    Kept,
}

/// Where the adjoint starts for an exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// The instruction was not done.
    Before(usize),
    /// It was the last.
    After(usize),
}

/// From which instructions each place of a region is reached; `None` stands for the entry.
pub struct Ways {
    from: Vec<Vec<Option<usize>>>,
}

impl Ways {
    pub fn of(region: &Region<'_>) -> Ways {
        let mut from = vec![vec![]; region.places.len()];
        let mut note = |at: Option<usize>, to: usize| {
            if let Some(list) = from.get_mut(to)
                && !list.contains(&at)
            {
                list.push(at);
            }
        };
        note(None, region.entry);
        for (i, place) in region.places.iter().enumerate() {
            for (to, _) in place.iter().flat_map(|place| place.ways(&region.objects)) {
                note(Some(i), to);
            }
        }
        Ways { from }
    }

    /// Those that lead to a place.
    pub fn of_place(&self, at: usize) -> &[Option<usize>] {
        self.from.get(at).map_or(&[], Vec::as_slice)
    }

    /// The number of a way among several.
    pub fn number(&self, from: Option<usize>, to: usize) -> Option<usize> {
        let ways = self.of_place(to);
        if ways.len() > 1 { ways.iter().position(|way| *way == from) } else { None }
    }
}

/// The argument of an adjoint.
#[repr(C)]
pub struct Sweep {
    /// Cotangents of registers, by cell: on entry those at the exit of the loop, then those at its entry.
    pub bars: *mut f64,
    /// The end of the trace.
    pub top: *const u64,
    /// Cotangents of the nodes of the tape.
    pub scalars: *mut Bar,
    /// Elements of the tensors' cotangents, by object.
    pub tensors: *const *mut u8,
    /// By which exit the loop left.
    pub exit: u64,
}

/// The compiled adjoint of a loop.
pub struct Adjoint {
    pub code: Code<Sweep>,
    /// By exit: the cells of registers that may hold a float with a node, which follow the loop's in this order.
    pub outs: Vec<Vec<usize>>,
    pub cells: usize,
}

impl Adjoint {
    /// Compiles it. `backs` are by place, `starts` by exit.
    pub fn new(
        isa: &OwnedTargetIsa,
        region: &Region<'_>,
        ways: &Ways,
        backs: &[Back],
        starts: &[Start],
        exits: &[Exit],
    ) -> Option<Adjoint> {
        let mut context = FunctionBuilderContext::new();
        let mut function = Function::new();
        function.signature = code::signature(isa);
        let mut b = FunctionBuilder::new(&mut function, &mut context);
        let mut vars = FxHashMap::default();
        for reg in backs.iter().flat_map(Back::carries) {
            vars.entry(reg).or_insert_with(|| b.declare_var(types::F64));
        }
        let [sweep, top] = [0; 2].map(|_| b.declare_var(types::I64));
        let out = |exit: &Exit| {
            let mut floats = vec![];
            let mut note = |cell: usize, kind: Kind| {
                if may_have_node(kind) {
                    floats.push(cell);
                }
            };
            exit.left.iter().for_each(|(_, left)| left.cells(&mut note));
            floats
        };
        let outs: Vec<Vec<usize>> = exits.iter().map(out).collect();
        let (blocks, follows) = (FxHashMap::default(), FxHashSet::default());
        let way = Way { region, ways, backs, b, blocks, todo: vec![], follows, vars, zero: None, sweep, top };
        way.run(isa, starts, &outs)?;
        Some(Adjoint { code: code::compile(isa, function)?, outs, cells: region.named.len() })
    }
}

/// A register of this kind may hold a float with a node.
pub fn may_have_node(kind: Kind) -> bool {
    matches!(kind, Kind::Mixed | Kind::Float { active: true })
}

impl Back {
    /// The registers whose cotangents it hands on.
    fn carries(&self) -> Vec<Reg> {
        match self {
            Back::Nothing | Back::End { .. } => vec![],
            Back::Copy { dst, src } => vec![*dst, *src],
            Back::Flow { dst, parts } => parts.iter().map(|(reg, _)| *reg).chain([*dst]).collect(),
            Back::Element { dst, .. } | Back::Item { dst } => vec![*dst],
        }
    }
}

/// A piece of the code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Piece {
    /// Undoes a place and goes on.
    Undo(usize),
    /// Tells by which way a place was reached.
    Before(usize),
    Done,
}

struct Way<'a> {
    region: &'a Region<'a>,
    ways: &'a Ways,
    backs: &'a [Back],
    b: FunctionBuilder<'a>,
    blocks: FxHashMap<Piece, Block>,
    /// Blocks that are not written yet.
    todo: Vec<(Piece, Block)>,
    /// Pieces that stand in the block of the only one before them.
    follows: FxHashSet<Piece>,
    /// Those with cotangents.
    vars: FxHashMap<Reg, Variable>,
    /// One zero for all, so that what is zero on each way is known to be.
    zero: Option<Value>,
    sweep: Variable,
    top: Variable,
}

impl Way<'_> {
    fn run(mut self, isa: &OwnedTargetIsa, starts: &[Start], outs: &[Vec<usize>]) -> Option<()> {
        self.find_followers(starts);
        self.enter(starts, outs)?;
        while let Some((first, block)) = self.todo.pop() {
            self.b.switch_to_block(block);
            let mut next = Some(first);
            while let Some(piece) = next {
                next = self.piece(piece)?;
            }
        }
        self.b.seal_all_blocks();
        self.b.finalize(isa.frontend_config());
        Some(())
    }

    /// Finds the pieces that only one other leads to, which leads nowhere else.
    fn find_followers(&mut self, starts: &[Start]) {
        let mut todo: Vec<Piece> = starts.iter().map(|start| self.resolve(*start)).collect();
        let mut branching: FxHashSet<Piece> = todo.iter().copied().collect();
        let mut seen = FxHashSet::default();
        while let Some(piece) = todo.pop() {
            if !seen.insert(piece) {
                continue;
            }
            let next = self.behind(piece);
            for to in &next {
                let is_only = matches!(piece, Piece::Undo(_)) && !branching.contains(to);
                if !is_only || !self.follows.insert(*to) {
                    self.follows.remove(to);
                    branching.insert(*to);
                }
            }
            todo.extend(next);
        }
    }

    /// Where a piece leads to.
    fn behind(&self, piece: Piece) -> Vec<Piece> {
        match piece {
            Piece::Undo(at) => vec![self.resolve(Start::Before(at))],
            Piece::Before(at) => {
                let target = |way: &Option<usize>| match way {
                    Some(from) => self.resolve(Start::After(*from)),
                    None => Piece::Done,
                };
                self.ways.of_place(at).iter().map(target).collect()
            }
            Piece::Done => vec![],
        }
    }

    /// The block of a piece, which is written later.
    fn block(&mut self, piece: Piece) -> Block {
        if let Some(block) = self.blocks.get(&piece) {
            return *block;
        }
        let block = self.b.create_block();
        self.blocks.insert(piece, block);
        self.todo.push((piece, block));
        block
    }

    /// Writes a piece; the one that follows in its block.
    fn piece(&mut self, piece: Piece) -> Option<Option<Piece>> {
        match piece {
            Piece::Undo(at) => {
                self.undo(self.backs.get(at)?)?;
                let next = self.resolve(Start::Before(at));
                if self.follows.contains(&next) {
                    return Some(Some(next));
                }
                let next = self.block(next);
                self.b.ins().jump(next, &[]);
            }
            Piece::Before(_) => {
                let targets = self.behind(piece);
                let targets: Vec<Block> = targets.into_iter().map(|piece| self.block(piece)).collect();
                self.go_back(&targets);
            }
            Piece::Done => {
                let sweep = self.b.use_var(self.sweep);
                let bars = self.b.ins().load(types::I64, TRUSTED, sweep, offset_of!(Sweep, bars) as i32);
                for (reg, var) in self.vars.clone() {
                    // Others had no node on entry.
                    if self.region.sources.has(reg) {
                        let bar = self.b.use_var(var);
                        let offset = self.offset(reg)?;
                        self.b.ins().store(TRUSTED, bar, bars, offset);
                    }
                }
                let zero = self.b.ins().iconst(types::I64, 0);
                self.b.ins().return_(&[zero]);
            }
        }
        Some(None)
    }

    /// Where a register's cotangent stands in `Sweep::bars`.
    fn offset(&self, reg: Reg) -> Option<i32> {
        Some((self.region.cell(reg)? * size_of::<f64>()) as i32)
    }

    fn enter(&mut self, starts: &[Start], outs: &[Vec<usize>]) -> Option<()> {
        let block = self.b.create_block();
        self.b.append_block_params_for_function_params(block);
        self.b.switch_to_block(block);
        let sweep = self.b.block_params(block)[0];
        self.b.def_var(self.sweep, sweep);
        let top = self.b.ins().load(types::I64, TRUSTED, sweep, offset_of!(Sweep, top) as i32);
        self.b.def_var(self.top, top);
        let bars = self.b.ins().load(types::I64, TRUSTED, sweep, offset_of!(Sweep, bars) as i32);
        let zero = self.b.ins().f64const(0.0);
        self.zero = Some(zero);
        for (reg, var) in self.vars.clone() {
            let (cell, offset) = (self.region.cell(reg)?, self.offset(reg)?);
            let is_out = outs.iter().any(|out| out.contains(&cell));
            let bar = if is_out { self.b.ins().load(types::F64, TRUSTED, bars, offset) } else { zero };
            self.b.def_var(var, bar);
        }
        let exit = self.b.ins().load(types::I64, TRUSTED, sweep, offset_of!(Sweep, exit) as i32);
        let mut switch = Switch::new();
        for (i, start) in starts.iter().enumerate() {
            let piece = self.resolve(*start);
            switch.set_entry(i as u128, self.block(piece));
        }
        let done = self.block(Piece::Done);
        switch.emit(&mut self.b, exit, done);
        Some(())
    }

    /// The piece where it goes on, past instructions that do nothing on the way back.
    fn resolve(&self, mut start: Start) -> Piece {
        for _ in 0..=2 * self.region.places.len() {
            start = match start {
                Start::After(at) => match self.backs.get(at) {
                    Some(Back::Nothing) => Start::Before(at),
                    _ => return Piece::Undo(at),
                },
                Start::Before(at) => match self.ways.of_place(at) {
                    [Some(from)] => Start::After(*from),
                    [None] => return Piece::Done,
                    _ => return Piece::Before(at),
                },
            };
        }
        Piece::Done
    }

    /// By the way that the trace tells.
    fn go_back(&mut self, targets: &[Block]) {
        match *targets {
            [] => {
                let done = self.block(Piece::Done);
                self.b.ins().jump(done, &[]);
            }
            [one] => {
                self.b.ins().jump(one, &[]);
            }
            [first, second] => {
                let number = self.words(1);
                let number = self.b.ins().load(types::I64, TRUSTED, number, 0);
                self.b.ins().brif(number, second, &[], first, &[]);
            }
            _ => {
                let number = self.words(1);
                let number = self.b.ins().load(types::I64, TRUSTED, number, 0);
                let mut switch = Switch::new();
                for (i, block) in targets.iter().enumerate() {
                    switch.set_entry(i as u128, *block);
                }
                let done = self.block(Piece::Done);
                switch.emit(&mut self.b, number, done);
            }
        }
    }

    /// Takes words off the trace; the address of the first.
    fn words(&mut self, count: usize) -> Value {
        let top = self.b.use_var(self.top);
        let below = self.b.ins().iadd_imm_s(top, -((count * WORD) as i64));
        self.b.def_var(self.top, below);
        below
    }

    fn var(&self, reg: Reg) -> Option<Variable> {
        self.vars.get(&reg).copied()
    }

    /// The cotangent of a register that was written: before that it had none.
    fn take(&mut self, reg: Reg) -> Option<Value> {
        let var = self.var(reg)?;
        let bar = self.b.use_var(var);
        self.b.def_var(var, self.zero?);
        Some(bar)
    }

    fn add(&mut self, reg: Reg, term: Value) -> Option<()> {
        let var = self.var(reg)?;
        let bar = self.b.use_var(var);
        let sum = if Some(bar) == self.zero { term } else { self.b.ins().fadd(bar, term) };
        self.b.def_var(var, sum);
        Some(())
    }

    /// What follows is skipped if a cotangent is 0: whatever the partials, nothing flows. The block behind it.
    fn unless_zero(&mut self, bar: Value) -> Block {
        let zero = self.b.ins().f64const(0.0);
        let flows = self.b.ins().fcmp(FloatCC::NotEqual, bar, zero);
        let (some, none) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(flows, some, &[], none, &[]);
        self.b.switch_to_block(some);
        self.b.seal_block(some);
        none
    }

    fn undo(&mut self, back: &Back) -> Option<()> {
        match back {
            Back::Nothing => {}
            Back::End { dst } => {
                if self.var(*dst).is_some() {
                    self.take(*dst)?;
                }
            }
            Back::Copy { dst, src } => {
                let bar = self.take(*dst)?;
                if Some(bar) != self.zero {
                    self.add(*src, bar)?;
                }
            }
            Back::Flow { dst, parts } => {
                let kept = parts.iter().filter(|(_, part)| *part == Part::Kept).count();
                let words = self.words(kept);
                let bar = self.take(*dst)?;
                if Some(bar) == self.zero {
                    return Some(());
                }
                // A branch costs more than a few products.
                let none = if kept > FEW { Some(self.unless_zero(bar)) } else { None };
                let zero = self.zero?;
                let is_zero = self.b.ins().fcmp(FloatCC::Equal, bar, zero);
                let mut offset = 0;
                let mut terms = vec![];
                for (reg, part) in parts {
                    terms.push((*reg, *part, offset));
                    offset += if *part == Part::Kept { WORD as i32 } else { 0 };
                }
                // In the order in which the entries of a tape are swept.
                terms.get_mut(1..)?.reverse();
                terms.rotate_left(1);
                if terms.len() > 1 {
                    let last = terms.len() - 1;
                    terms.swap(last - 1, last);
                }
                for (reg, part, offset) in terms {
                    let term = match part {
                        Part::One => bar,
                        Part::Always(x) => {
                            let partial = self.b.ins().f64const(x);
                            self.b.ins().fmul(bar, partial)
                        }
                        Part::Kept => {
                            let partial = self.b.ins().load(types::F64, TRUSTED, words, offset);
                            let product = self.b.ins().fmul(bar, partial);
                            // Whatever the partial.
                            if none.is_some() { product } else { self.b.ins().select(is_zero, zero, product) }
                        }
                    };
                    self.add(reg, term)?;
                }
                if let Some(none) = none {
                    self.b.ins().jump(none, &[]);
                    self.b.switch_to_block(none);
                    self.b.seal_block(none);
                }
            }
            Back::Element { dst, object, single } => {
                let word = self.words(1);
                let bar = self.take(*dst)?;
                let none = self.unless_zero(bar);
                let position = self.b.ins().load(types::I64, TRUSTED, word, 0);
                let sweep = self.b.use_var(self.sweep);
                let tensors = self.b.ins().load(types::I64, FIXED, sweep, offset_of!(Sweep, tensors) as i32);
                let data = (usize::from(*object) * size_of::<*mut u8>()) as i32;
                let data = self.b.ins().load(types::I64, FIXED, tensors, data);
                let (ty, shift) = if *single { (types::F32, 2) } else { (types::F64, 3) };
                let bytes = self.b.ins().ishl_imm_u(position, shift);
                let place = self.b.ins().iadd(data, bytes);
                let term = if *single { self.b.ins().fdemote(types::F32, bar) } else { bar };
                let old = self.b.ins().load(ty, TRUSTED, place, 0);
                let new = self.b.ins().fadd(old, term);
                self.b.ins().store(TRUSTED, new, place, 0);
                self.b.ins().jump(none, &[]);
                self.b.switch_to_block(none);
                self.b.seal_block(none);
            }
            Back::Item { dst } => {
                let word = self.words(1);
                let bar = self.take(*dst)?;
                let none = self.unless_zero(bar);
                let node = self.b.ins().load(types::I64, TRUSTED, word, 0);
                let sweep = self.b.use_var(self.sweep);
                let scalars = self.b.ins().load(types::I64, FIXED, sweep, offset_of!(Sweep, scalars) as i32);
                let size = self.b.ins().iconst(types::I64, size_of::<Bar>() as i64);
                let bytes = self.b.ins().imul(node, size);
                let place = self.b.ins().iadd(scalars, bytes);
                let old = self.b.ins().load(types::F64, TRUSTED, place, offset_of!(Bar, x) as i32);
                let new = self.b.ins().fadd(old, bar);
                self.b.ins().store(TRUSTED, new, place, offset_of!(Bar, x) as i32);
                self.b.ins().jump(none, &[]);
                self.b.switch_to_block(none);
                self.b.seal_block(none);
            }
        }
        Some(())
    }
}
