//! Machine code of a loop of arithmetic: 256 bits of each array at a time, with all that is computed in registers.
//!
//! Each operation is rounded by itself, as kernels do it, so the bits are theirs. Registers are given out as the loop is written down; if
//! there is none left, the value that is read last of all gives way, to the stack unless it can be loaded again.

use super::assembler::{ADDRESS, ADDRESSES, Assembler, At, Map, Vector};
use super::graph::{Arith, Id, Node};
use super::stages::{Place, Program, Staged};

/// The code of a loop, and the arrays of its table.
pub struct Loop {
    pub code: Vec<u8>,
    pub arrays: Vec<Place>,
}

/// Numbers that stand in registers throughout.
const PINNED: usize = 6;
/// Values on the stack, at most.
const MOST_SPILLED: usize = 64;
const VECTORS: usize = 16;
const BYTES: i32 = 32;

struct Writer<'a> {
    staged: &'a Staged,
    double: bool,
    /// Place of each node that is a number among the numbers.
    numbers: &'a [usize],
    body: Assembler,
    arrays: Vec<Place>,
    /// What each register holds.
    held: [Option<Id>; VECTORS],
    /// For each node: the steps that read it, last ones first.
    reads: Vec<Vec<usize>>,
    /// Nodes on the stack.
    spilled: Vec<Id>,
    /// Nodes that stand in their place by now.
    stored: Vec<Id>,
    pinned: Vec<Id>,
    /// Whether each node is computed by this loop.
    own: Vec<bool>,
}

/// The loop of a program on `f64` or `f32`; `numbers` tells the places of numbers.
pub fn write(staged: &Staged, program: &Program, double: bool, numbers: &[usize]) -> Option<Loop> {
    let mut reads: Vec<Vec<usize>> = vec![vec![]; staged.graph.nodes.len()];
    let end = program.nodes.len();
    for (id, _) in program.stores.iter().filter(|(id, _)| !program.nodes.contains(id)) {
        reads.get_mut(*id as usize)?.push(end);
    }
    for (at, id) in program.nodes.iter().enumerate().rev() {
        for read in staged.graph.nodes.get(*id as usize)?.reads() {
            let reads = reads.get_mut(read as usize)?;
            if reads.last() != Some(&at) {
                reads.push(at);
            }
        }
    }
    let is_number = |id: &Id| staged.graph.nodes.get(*id as usize).is_some_and(Node::is_number);
    let mut pinned: Vec<Id> =
        (0..reads.len() as Id).filter(|id| is_number(id) && !reads[*id as usize].is_empty()).collect();
    pinned.sort_by_key(|id| std::cmp::Reverse(reads[*id as usize].len()));
    pinned.truncate(PINNED);
    let mut held = [None; VECTORS];
    for (k, id) in pinned.iter().enumerate() {
        held[VECTORS - 1 - k] = Some(*id);
    }
    let own = (0..reads.len() as Id).map(|id| program.nodes.contains(&id)).collect();
    let mut writer = Writer {
        staged,
        own,
        double,
        numbers,
        body: Assembler::default(),
        arrays: vec![],
        held,
        reads,
        spilled: vec![],
        stored: vec![],
        pinned,
    };
    writer.program(program)?;
    // More would reach over the page that guards the stack.
    (writer.spilled.len() <= MOST_SPILLED).then(|| writer.loop_around())
}

impl Writer<'_> {
    fn program(&mut self, program: &Program) -> Option<()> {
        for (at, id) in program.nodes.iter().enumerate() {
            self.node(*id)?;
            for (_, place) in program.stores.iter().filter(|(stored, _)| stored == id) {
                let from = self.register_of(*id)?;
                self.store(from, *place);
                self.stored.push(*id);
            }
            self.done(at);
        }
        for (id, place) in program.stores.iter().filter(|(id, _)| !program.nodes.contains(id)) {
            let from = self.operand(*id, &[])?;
            self.store(from, *place);
        }
        Some(())
    }

    fn node(&mut self, id: Id) -> Option<()> {
        match *self.staged.graph.nodes.get(id as usize)? {
            Node::Arith(op, a, b) => {
                let ra = self.operand(a, &[])?;
                let rb = if a == b { ra } else { self.operand(b, &[ra])? };
                let to = self.fresh(id, &[ra, rb])?;
                let double = self.double;
                // Of a root the only source is the second.
                let first = if op == Arith::Sqrt { 0 } else { ra };
                self.body.vector(Map::M0F, double, opcode(op), to, first, At::Vector(rb));
                match op {
                    Arith::Greater => self.body.immediate(0x1e),
                    Arith::Equal => self.body.immediate(0x00),
                    Arith::Unequal => self.body.immediate(0x04),
                    _ => {}
                }
            }
            Node::Pick(mask, yes, no) => {
                let rm = self.operand(mask, &[])?;
                let ry = self.operand(yes, &[rm])?;
                let rn = self.operand(no, &[rm, ry])?;
                let to = self.fresh(id, &[rm, ry, rn])?;
                let opcode = if self.double { 0x4b } else { 0x4a };
                self.body.vector(Map::M0F3A, true, opcode, to, rn, At::Vector(ry));
                self.body.immediate(rm << 4);
            }
            _ => return None,
        }
        Some(())
    }

    fn register_of(&self, id: Id) -> Option<Vector> {
        self.held.iter().position(|held| *held == Some(id)).map(|r| r as Vector)
    }

    /// A register with a node's value; those in `keep` stay as they are.
    fn operand(&mut self, id: Id, keep: &[Vector]) -> Option<Vector> {
        if let Some(register) = self.register_of(id) {
            return Some(register);
        }
        let to = self.free(keep)?;
        self.load(id, to)?;
        self.held[to as usize] = Some(id);
        Some(to)
    }

    fn load(&mut self, id: Id, to: Vector) -> Option<()> {
        let double = self.double;
        if self.staged.graph.nodes.get(id as usize)?.is_number() {
            let size = if double { 8 } else { 4 };
            let place = (*self.numbers.get(id as usize)? * size) as i32;
            let opcode = if double { 0x19 } else { 0x18 };
            self.body.vector(Map::M0F38, true, opcode, to, 0, At::Number(place));
        } else if let Some(slot) = self.spilled.iter().position(|other| *other == id) {
            self.body.vector(Map::M0F, double, 0x10, to, 0, At::Stack(slot as i32 * BYTES));
        } else {
            let at = self.array((*self.staged.places.get(id as usize)?)?);
            self.body.vector(Map::M0F, double, 0x10, to, 0, at);
        }
        Some(())
    }

    fn store(&mut self, from: Vector, place: Place) {
        let at = self.array(place);
        self.body.vector(Map::M0F, self.double, 0x11, from, 0, at);
    }

    /// Where an array's elements are; its address is loaded if it has no register.
    fn array(&mut self, place: Place) -> At {
        let k = self.arrays.iter().position(|other| *other == place).unwrap_or_else(|| {
            self.arrays.push(place);
            self.arrays.len() - 1
        });
        match ADDRESSES.get(k) {
            Some(register) => At::Array(*register),
            None => {
                self.body.address(ADDRESS, k);
                At::Array(ADDRESS)
            }
        }
    }

    /// A register for the result of a step on these, of which it may take the place of one that is not read again.
    fn fresh(&mut self, id: Id, operands: &[Vector]) -> Option<Vector> {
        let is_last = |r: &&Vector| {
            self.held[**r as usize].is_some_and(|held| {
                !self.pinned.contains(&held) && self.reads.get(held as usize).is_some_and(|reads| reads.len() <= 1)
            })
        };
        let to = match operands.iter().find(is_last) {
            Some(r) => *r,
            None => self.free(operands)?,
        };
        self.held[to as usize] = Some(id);
        Some(to)
    }

    /// A register for something else; those in `keep` stay as they are.
    fn free(&mut self, keep: &[Vector]) -> Option<Vector> {
        if let Some(r) = (0..VECTORS).find(|r| self.held[*r].is_none()) {
            return Some(r as Vector);
        }
        let next = |id: Id| self.reads.get(id as usize).and_then(|reads| reads.last()).copied().unwrap_or(usize::MAX);
        let may_go =
            |r: &usize| !keep.contains(&(*r as Vector)) && self.held[*r].is_some_and(|id| !self.pinned.contains(&id));
        let r = (0..VECTORS).filter(may_go).max_by_key(|r| self.held[*r].map_or(0, next))?;
        let id = self.held[r]?;
        let stands = !*self.own.get(id as usize)? || self.stored.contains(&id);
        if !stands && next(id) != usize::MAX && !self.spilled.contains(&id) {
            self.spilled.push(id);
            let slot = self.spilled.len() as i32 - 1;
            self.body.vector(Map::M0F, self.double, 0x11, r as Vector, 0, At::Stack(slot * BYTES));
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
        for held in &mut self.held {
            if let Some(id) = *held
                && !self.pinned.contains(&id)
                && self.reads.get(id as usize).is_none_or(Vec::is_empty)
            {
                *held = None;
            }
        }
    }

    fn loop_around(self) -> Loop {
        let mut code = Assembler::default();
        let stack = self.spilled.len() as i32 * BYTES;
        code.stack(stack);
        for (k, register) in ADDRESSES.iter().enumerate().take(self.arrays.len()) {
            code.address(*register, k);
        }
        for (k, id) in self.pinned.iter().enumerate() {
            let place = self.numbers.get(*id as usize).copied().unwrap_or(0) * if self.double { 8 } else { 4 };
            let opcode = if self.double { 0x19 } else { 0x18 };
            let register = (VECTORS - 1 - k) as Vector;
            code.vector(Map::M0F38, true, opcode, register, 0, At::Number(place as i32));
        }
        code.begin();
        let start = code.code.len();
        code.code.extend(&self.body.code);
        code.next(start);
        code.stack(-stack);
        code.leave();
        Loop { code: code.code, arrays: self.arrays }
    }
}

fn opcode(op: Arith) -> u8 {
    match op {
        Arith::Sqrt => 0x51,
        Arith::And => 0x54,
        Arith::Without => 0x55,
        Arith::Xor => 0x57,
        Arith::Add => 0x58,
        Arith::Mul => 0x59,
        Arith::Sub => 0x5c,
        Arith::Div => 0x5e,
        Arith::Greater | Arith::Equal | Arith::Unequal => 0xc2,
    }
}
