//! Machine code of a loop of arithmetic: some vectors of each array at a time, with all that is computed in registers.
//!
//! Each operation is rounded by itself, as kernels do it, so the bits are theirs. Registers are given out as the loop is written down; if
//! there is none left, the value that is read last of all gives way, to the stack unless it can be loaded again. Two vectors at a time, the
//! operations of one beside those of the other, keep the processor busy where each waits for the one before it; vectors that are left over have a loop
//! of their own.

use super::assembler::{ADDRESS, ADDRESSES, Assembler, At, Vector};
use super::graph::{Arith, Id, Node, Shift};
use super::stages::{Place, Program, Staged};

/// The code of a loop, and the arrays of its table.
pub struct Loop {
    pub code: Vec<u8>,
    pub arrays: Vec<Place>,
}

/// Bytes of values on the stack, at most: more would reach over the page that guards it.
const MOST_SPILLED: usize = 2048;
/// Operations that wait for each other, in turns of a processor, from which on two vectors at a time are faster.
const DEEP: usize = 40;

/// Vector registers.
fn vectors(wide: bool) -> usize {
    if wide { 32 } else { 16 }
}

/// Numbers that stand in registers throughout.
fn pinned(wide: bool, times: usize) -> usize {
    match (wide, times) {
        (true, 1) => 16,
        (true, _) => 14,
        (false, _) => 6,
    }
}

/// A node for one of the vectors that are computed at a time; of a number there is one for all.
type Item = (Id, usize);

struct Writer<'a> {
    staged: &'a Staged,
    program: &'a Program,
    double: bool,
    /// Vectors at a time.
    times: usize,
    /// Place of each node that is a number among the numbers.
    numbers: &'a [usize],
    body: Assembler,
    /// Only some elements are there.
    masked: bool,
    arrays: Vec<Place>,
    /// What each register holds.
    held: Vec<Option<Item>>,
    /// For each node, and each of the vectors: the steps that read it, last ones first.
    reads: Vec<Vec<usize>>,
    /// Those on the stack.
    spilled: Vec<Item>,
    /// Those that stand in their place by now.
    stored: Vec<Item>,
    pinned: Vec<Id>,
    /// Whether each node is computed by this loop.
    own: Vec<bool>,
    /// Comparisons that are made where they are read.
    late: Vec<bool>,
}

/// The loop of a program on `f64` or `f32`, with vectors of 512 bits or of 256; `numbers` tells the places of numbers.
pub fn write(staged: &Staged, program: &Program, kind: (bool, bool), numbers: &[usize]) -> Option<Loop> {
    let depth = program.nodes.iter().filter_map(|id| staged.graph.depths.get(*id as usize)).max();
    let twice = kind.1 && depth.is_some_and(|depth| *depth >= DEEP);
    let mut one = Writer::new(staged, program, kind, 1, numbers, vec![])?;
    one.write()?;
    let two = if twice { Writer::new(staged, program, kind, 2, numbers, one.arrays.clone()) } else { None };
    // Without room for two there is one.
    let two = two.and_then(|mut two| two.write().map(|()| two));
    if !kind.1 {
        return one.loops(two, None);
    }
    // Masks tell which elements are there of the last vectors.
    let ended = |of: &Writer<'_>| {
        let mut last = Writer::new(staged, program, kind, of.times, numbers, of.arrays.clone())?;
        last.masked = true;
        last.write()?;
        Some(last.body.code)
    };
    let rest = (ended(&one)?, two.as_ref().and_then(ended));
    one.loops(two, Some(rest))
}

impl<'a> Writer<'a> {
    fn new(
        staged: &'a Staged,
        program: &'a Program,
        (double, wide): (bool, bool),
        times: usize,
        numbers: &'a [usize],
        arrays: Vec<Place>,
    ) -> Option<Writer<'a>> {
        let count = staged.graph.nodes.len();
        let is_number = |id: Id| staged.graph.nodes.get(id as usize).is_some_and(Node::is_number);
        let mut reads: Vec<Vec<usize>> = vec![vec![]; count * times];
        let place = |id: Id, k: usize| id as usize * times + if is_number(id) { 0 } else { k };
        let late = late(staged, program, wide);
        let end = program.nodes.len() * times;
        for (id, _) in program.stores.iter().filter(|(id, _)| !program.nodes.contains(id)) {
            (0..times).for_each(|k| reads[place(*id, k)].push(end));
        }
        for (at, id) in program.nodes.iter().enumerate().rev() {
            if late[*id as usize] {
                continue;
            }
            for k in (0..times).rev() {
                let node = staged.graph.nodes.get(*id as usize)?;
                let direct = node.reads().filter(|read| !late[*read as usize]);
                let compared = node.reads().filter(|read| late[*read as usize]);
                let compared = compared.flat_map(|mask| staged.graph.nodes[mask as usize].reads());
                for read in direct.chain(compared) {
                    let reads = reads.get_mut(place(read, k))?;
                    if reads.last() != Some(&(at * times + k)) {
                        reads.push(at * times + k);
                    }
                }
            }
        }
        let mut most: Vec<Id> =
            (0..count as Id).filter(|id| is_number(*id) && !reads[place(*id, 0)].is_empty()).collect();
        most.sort_by_key(|id| std::cmp::Reverse(reads[place(*id, 0)].len()));
        most.truncate(pinned(wide, times));
        let mut held = vec![None; vectors(wide)];
        for (own, id) in held.iter_mut().rev().zip(&most) {
            *own = Some((*id, 0));
        }
        let own = (0..count as Id).map(|id| program.nodes.contains(&id)).collect();
        Some(Writer {
            staged,
            program,
            double,
            times,
            numbers,
            body: Assembler::new(wide),
            masked: false,
            arrays,
            held,
            reads,
            spilled: vec![],
            stored: vec![],
            pinned: most,
            own,
            late,
        })
    }

    fn is_number(&self, id: Id) -> bool {
        self.staged.graph.nodes.get(id as usize).is_some_and(Node::is_number)
    }

    fn item(&self, id: Id, k: usize) -> Item {
        (id, if self.is_number(id) { 0 } else { k })
    }

    fn reads_of(&self, (id, k): Item) -> &[usize] {
        self.reads.get(id as usize * self.times + k).map_or(&[], |reads| reads)
    }

    /// Writes the body.
    fn write(&mut self) -> Option<()> {
        let program = self.program;
        for (at, id) in program.nodes.iter().enumerate() {
            if self.late[*id as usize] {
                continue;
            }
            for k in 0..self.times {
                self.node(*id, k)?;
                for (_, place) in program.stores.iter().filter(|(stored, _)| stored == id) {
                    let from = self.register_of((*id, k))?;
                    self.store(from, *place, k);
                    self.stored.push((*id, k));
                }
                self.done(at * self.times + k);
            }
        }
        for (id, place) in program.stores.iter().filter(|(id, _)| !program.nodes.contains(id)) {
            for k in 0..self.times {
                let from = self.operand(*id, k, &[])?;
                self.store(from, *place, k);
            }
        }
        (self.spilled.len() * self.body.bytes() <= MOST_SPILLED).then_some(())
    }

    fn node(&mut self, id: Id, k: usize) -> Option<()> {
        let double = self.double;
        match *self.staged.graph.nodes.get(id as usize)? {
            Node::Arith(Arith::And, a, b) if self.late[a as usize] || self.late[b as usize] => {
                let (mask, of) = if self.late[a as usize] { (a, b) } else { (b, a) };
                let (relation, rx, ry) = self.compared(mask, k)?;
                let rv = self.operand(of, k, &[rx, ry])?;
                let to = self.fresh((id, k), &[rv, rx, ry])?;
                self.body.compare_ahead(double, relation, rx, ry);
                self.body.keep(double, to, rv);
            }
            Node::Pick(mask, yes, no) if self.late[mask as usize] => {
                let (relation, rx, ry) = self.compared(mask, k)?;
                let yes = self.operand(yes, k, &[rx, ry])?;
                let no = self.operand(no, k, &[rx, ry, yes])?;
                let to = self.fresh((id, k), &[no, yes, rx, ry])?;
                self.body.compare_ahead(double, relation, rx, ry);
                self.body.blend(double, to, yes, no);
            }
            Node::Arith(op, a, b) => {
                let ra = self.operand(a, k, &[])?;
                let rb = if a == b { ra } else { self.operand(b, k, &[ra])? };
                let to = self.fresh((id, k), &[ra, rb])?;
                match op {
                    Arith::Greater | Arith::Equal | Arith::Unequal => {
                        self.body.compare(double, relation(op), to, ra, rb);
                    }
                    // Of a root the only source is the second.
                    Arith::Sqrt => self.body.floats(double, 0x51, to, 0, At::Vector(rb)),
                    Arith::AddInt => self.body.add_ints(double, to, ra, rb),
                    _ => self.body.floats(double, opcode(op), to, ra, At::Vector(rb)),
                }
            }
            Node::Pick(mask, yes, no) => {
                let rm = self.operand(mask, k, &[])?;
                let ry = self.operand(yes, k, &[rm])?;
                let rn = self.operand(no, k, &[rm, ry])?;
                if self.body.wide {
                    let to = self.over((id, k), rm, &[rm, ry, rn])?;
                    self.body.copy(to, rm);
                    self.body.pick(double, to, to, ry, rn);
                } else {
                    let to = self.fresh((id, k), &[rm, ry, rn])?;
                    self.body.pick(double, to, rm, ry, rn);
                }
            }
            Node::Fused(is_negative, a, b, c) => {
                let ra = self.operand(a, k, &[])?;
                let rb = if a == b { ra } else { self.operand(b, k, &[ra])? };
                let rc = self.operand(c, k, &[ra, rb])?;
                // One of the sources is where the result goes.
                if self.is_last(ra) && ra != rb && !self.is_last(rc) {
                    let to = self.over((id, k), ra, &[ra, rb, rc])?;
                    self.body.fused(double, if is_negative { 0xac } else { 0xa8 }, to, rb, rc);
                } else if self.is_last(rb) && ra != rb && !self.is_last(rc) {
                    let to = self.over((id, k), rb, &[ra, rb, rc])?;
                    self.body.fused(double, if is_negative { 0xac } else { 0xa8 }, to, ra, rc);
                } else {
                    let to = self.over((id, k), rc, &[ra, rb, rc])?;
                    self.body.copy(to, rc);
                    self.body.fused(double, if is_negative { 0xbc } else { 0xb8 }, to, ra, rb);
                }
            }
            Node::Shift(shift, a) => {
                let ra = self.operand(a, k, &[])?;
                let to = self.fresh((id, k), &[ra])?;
                match shift {
                    Shift::Left(bits) => self.body.shift(double, 6, bits, to, ra),
                    Shift::Sign => self.body.shift(double, 4, if double { 63 } else { 31 }, to, ra),
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The relation and the operands of a comparison.
    fn compared(&mut self, mask: Id, k: usize) -> Option<(u8, Vector, Vector)> {
        let Node::Arith(op, a, b) = *self.staged.graph.nodes.get(mask as usize)? else { return None };
        let ra = self.operand(a, k, &[])?;
        let rb = if a == b { ra } else { self.operand(b, k, &[ra])? };
        Some((relation(op), ra, rb))
    }

    fn register_of(&self, item: Item) -> Option<Vector> {
        self.held.iter().position(|held| *held == Some(item)).map(|r| r as Vector)
    }

    /// A register with a node's value; those in `keep` stay as they are.
    fn operand(&mut self, id: Id, k: usize, keep: &[Vector]) -> Option<Vector> {
        let item = self.item(id, k);
        if let Some(register) = self.register_of(item) {
            return Some(register);
        }
        let to = self.free(keep)?;
        self.load(item, to)?;
        self.held[to as usize] = Some(item);
        Some(to)
    }

    fn load(&mut self, (id, k): Item, to: Vector) -> Option<()> {
        let double = self.double;
        if self.is_number(id) {
            let size = if double { 8 } else { 4 };
            self.body.number(double, to, *self.numbers.get(id as usize)? * size);
        } else if let Some(slot) = self.spilled.iter().position(|other| *other == (id, k)) {
            self.body.floats(double, 0x10, to, 0, At::Stack((slot * self.body.bytes()) as i32));
        } else {
            let at = self.array((*self.staged.places.get(id as usize)?)?, k);
            if self.masked {
                self.body.load_present(double, k, to, at);
            } else {
                self.body.floats(double, 0x10, to, 0, at);
            }
        }
        Some(())
    }

    fn store(&mut self, from: Vector, place: Place, k: usize) {
        let at = self.array(place, k);
        if self.masked {
            self.body.store_present(self.double, k, from, at);
        } else {
            self.body.floats(self.double, 0x11, from, 0, at);
        }
    }

    /// Where an array's elements are; its address is loaded if it has no register.
    fn array(&mut self, place: Place, k: usize) -> At {
        let number = self.arrays.iter().position(|other| *other == place).unwrap_or_else(|| {
            self.arrays.push(place);
            self.arrays.len() - 1
        });
        let ahead = (k * self.body.bytes()) as i32;
        match ADDRESSES.get(number) {
            Some(register) => At::Array(*register, ahead),
            None => {
                self.body.address(ADDRESS, number);
                At::Array(ADDRESS, ahead)
            }
        }
    }

    /// A register for the result of a step on `operands`: that of `one` among them, if it is not read again.
    fn over(&mut self, item: Item, one: Vector, operands: &[Vector]) -> Option<Vector> {
        let to = if self.is_last(one) { one } else { self.free(operands)? };
        self.held[to as usize] = Some(item);
        Some(to)
    }

    /// Whether the value in a register is not read behind this step.
    fn is_last(&self, r: Vector) -> bool {
        self.held[r as usize].is_some_and(|held| !self.pinned.contains(&held.0) && self.reads_of(held).len() <= 1)
    }

    /// A register for the result of a step on these, of which it may take the place of one that is not read again.
    fn fresh(&mut self, item: Item, operands: &[Vector]) -> Option<Vector> {
        let to = match operands.iter().find(|r| self.is_last(**r)) {
            Some(r) => *r,
            None => self.free(operands)?,
        };
        self.held[to as usize] = Some(item);
        Some(to)
    }

    /// A register for something else; those in `keep` stay as they are.
    fn free(&mut self, keep: &[Vector]) -> Option<Vector> {
        if let Some(r) = (0..self.held.len()).find(|r| self.held[*r].is_none()) {
            return Some(r as Vector);
        }
        let next = |item: Item| self.reads_of(item).last().copied().unwrap_or(usize::MAX);
        let may_go = |r: &usize| {
            !keep.contains(&(*r as Vector)) && self.held[*r].is_some_and(|item| !self.pinned.contains(&item.0))
        };
        let r = (0..self.held.len()).filter(may_go).max_by_key(|r| self.held[*r].map_or(0, next))?;
        let item = self.held[r]?;
        let stands = !*self.own.get(item.0 as usize)? || self.stored.contains(&item);
        if !stands && next(item) != usize::MAX && !self.spilled.contains(&item) {
            self.spilled.push(item);
            let slot = self.spilled.len() - 1;
            let at = At::Stack((slot * self.body.bytes()) as i32);
            self.body.floats(self.double, 0x11, r as Vector, 0, at);
        }
        self.held[r] = None;
        Some(r as Vector)
    }

    /// Registers are free whose values are not read behind step `at`.
    fn done(&mut self, at: usize) {
        for reads in &mut self.reads {
            if reads.last() == Some(&at) {
                reads.pop();
            }
        }
        for r in 0..self.held.len() {
            if self.held[r].is_some_and(|item| !self.pinned.contains(&item.0) && self.reads_of(item).is_empty()) {
                self.held[r] = None;
            }
        }
    }

    /// The function: the loop over pairs of vectors, if there is one, or this one over single ones, and what `rest` has for the last
    /// elements, of one vector and of two.
    fn loops(self, two: Option<Writer<'_>>, rest: Option<(Vec<u8>, Option<Vec<u8>>)>) -> Option<Loop> {
        let mut code = Assembler::new(self.body.wide);
        let spilled = self.spilled.len().max(two.as_ref().map_or(0, |two| two.spilled.len()));
        let stack = (spilled * code.bytes()) as i32;
        let arrays = two.as_ref().map_or(&self.arrays, |two| &two.arrays).clone();
        code.stack(stack);
        for (k, register) in ADDRESSES.iter().enumerate().take(arrays.len()) {
            code.address(*register, k);
        }
        code.begin();
        match (two, rest) {
            (Some(two), Some((last, Some(last_two)))) => {
                two.numbers(&mut code);
                code.pairs(&two.body.code);
                let mut one = Assembler::new(code.wide);
                self.numbers(&mut one);
                one.code.extend(last);
                code.rest(self.double, &one.code, Some(&last_two));
            }
            (two, rest) => {
                if let Some(two) = two {
                    two.numbers(&mut code);
                    code.pairs(&two.body.code);
                }
                self.numbers(&mut code);
                code.singles(&self.body.code);
                if let Some((last, _)) = rest {
                    code.rest(self.double, &last, None);
                }
            }
        }
        code.stack(-stack);
        code.leave();
        Some(Loop { code: code.code, arrays })
    }

    /// Loads the numbers that stay.
    fn numbers(&self, code: &mut Assembler) {
        for (k, id) in self.pinned.iter().enumerate() {
            let place = self.numbers.get(*id as usize).copied().unwrap_or(0) * if self.double { 8 } else { 4 };
            code.number(self.double, (self.held.len() - 1 - k) as Vector, place);
        }
    }
}

/// Comparisons that only choose or mask: with 512 bits they are made into a mask right there.
fn late(staged: &Staged, program: &Program, wide: bool) -> Vec<bool> {
    let node = |id: Id| staged.graph.nodes.get(id as usize);
    let is_comparison =
        |id: Id| matches!(node(id), Some(Node::Arith(Arith::Greater | Arith::Equal | Arith::Unequal, ..)));
    let mut late: Vec<bool> = (0..staged.graph.nodes.len())
        .map(|id| wide && is_comparison(id as Id) && staged.places.get(id).is_some_and(Option::is_none))
        .collect();
    for id in &program.nodes {
        let Some(node) = node(*id) else { continue };
        let masks: Option<Id> = match *node {
            Node::Pick(mask, yes, no) if mask != yes && mask != no => Some(mask),
            Node::Arith(Arith::And, a, b) if is_comparison(a) && !is_comparison(b) => Some(a),
            Node::Arith(Arith::And, a, b) if is_comparison(b) && !is_comparison(a) => Some(b),
            _ => None,
        };
        for read in node.reads().filter(|read| masks != Some(*read)) {
            late[read as usize] = false;
        }
    }
    late
}

/// What an instruction calls a relation.
fn relation(op: Arith) -> u8 {
    match op {
        Arith::Greater => 0x1e,
        Arith::Equal => 0x00,
        _ => 0x04,
    }
}

fn opcode(op: Arith) -> u8 {
    match op {
        Arith::And => 0x54,
        Arith::Without => 0x55,
        Arith::Or => 0x56,
        Arith::Xor => 0x57,
        Arith::Add => 0x58,
        Arith::Mul => 0x59,
        Arith::Sub => 0x5c,
        Arith::Min => 0x5d,
        Arith::Div => 0x5e,
        Arith::Max => 0x5f,
        Arith::Sqrt => 0x51,
        Arith::AddInt => 0xfe,
        Arith::Greater | Arith::Equal | Arith::Unequal => 0xc2,
    }
}
