//! Machine code of a loop of arithmetic: a vector of each array at a time, with all that is computed in registers.
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

/// Bytes of values on the stack, at most: more would reach over the page that guards it.
const MOST_SPILLED: usize = 2048;

/// Vector registers.
fn vectors(wide: bool) -> usize {
    if wide { 32 } else { 16 }
}

/// Numbers that stand in registers throughout.
fn pinned(wide: bool) -> usize {
    if wide { 14 } else { 6 }
}

struct Writer<'a> {
    staged: &'a Staged,
    double: bool,
    /// Place of each node that is a number among the numbers.
    numbers: &'a [usize],
    body: Assembler,
    arrays: Vec<Place>,
    /// What each register holds.
    held: Vec<Option<Id>>,
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

/// The loop of a program on `f64` or `f32`, with vectors of 512 bits or of 256; `numbers` tells the places of numbers.
pub fn write(staged: &Staged, program: &Program, (double, wide): (bool, bool), numbers: &[usize]) -> Option<Loop> {
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
    let mut most: Vec<Id> =
        (0..reads.len() as Id).filter(|id| is_number(id) && !reads[*id as usize].is_empty()).collect();
    most.sort_by_key(|id| std::cmp::Reverse(reads[*id as usize].len()));
    most.truncate(pinned(wide));
    let mut held = vec![None; vectors(wide)];
    for (own, id) in held.iter_mut().rev().zip(&most) {
        *own = Some(*id);
    }
    let own = (0..reads.len() as Id).map(|id| program.nodes.contains(&id)).collect();
    let mut writer = Writer {
        staged,
        own,
        double,
        numbers,
        body: Assembler::new(wide),
        arrays: vec![],
        held,
        reads,
        spilled: vec![],
        stored: vec![],
        pinned: most,
    };
    writer.program(program)?;
    (writer.spilled.len() * writer.body.bytes() <= MOST_SPILLED).then(|| writer.loop_around())
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
                match op {
                    Arith::Greater => self.body.compare(double, 0x1e, to, ra, rb),
                    Arith::Equal => self.body.compare(double, 0x00, to, ra, rb),
                    Arith::Unequal => self.body.compare(double, 0x04, to, ra, rb),
                    // Of a root the only source is the second.
                    Arith::Sqrt => self.body.vector(Map::M0F, double, 0x51, to, 0, At::Vector(rb)),
                    _ => self.body.vector(Map::M0F, double, opcode(op), to, ra, At::Vector(rb)),
                }
            }
            Node::Pick(mask, yes, no) => {
                let rm = self.operand(mask, &[])?;
                let ry = self.operand(yes, &[rm])?;
                let rn = self.operand(no, &[rm, ry])?;
                let double = self.double;
                if self.body.wide {
                    let to = self.over(id, rm, &[rm, ry, rn])?;
                    if to != rm {
                        self.body.vector(Map::M0F, double, 0x28, to, 0, At::Vector(rm));
                    }
                    self.body.pick(double, to, to, ry, rn);
                } else {
                    let to = self.fresh(id, &[rm, ry, rn])?;
                    self.body.pick(double, to, rm, ry, rn);
                }
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
            self.body.vector(Map::M0F, double, 0x10, to, 0, At::Stack((slot * self.body.bytes()) as i32));
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

    /// A register for the result of a step on `operands`: that of `one` among them, if it is not read again.
    fn over(&mut self, id: Id, one: Vector, operands: &[Vector]) -> Option<Vector> {
        let to = if self.is_last(one) { one } else { self.free(operands)? };
        self.held[to as usize] = Some(id);
        Some(to)
    }

    /// Whether the value in a register is not read behind this step.
    fn is_last(&self, r: Vector) -> bool {
        self.held[r as usize].is_some_and(|held| {
            !self.pinned.contains(&held) && self.reads.get(held as usize).is_some_and(|reads| reads.len() <= 1)
        })
    }

    /// A register for the result of a step on these, of which it may take the place of one that is not read again.
    fn fresh(&mut self, id: Id, operands: &[Vector]) -> Option<Vector> {
        let to = match operands.iter().find(|r| self.is_last(**r)) {
            Some(r) => *r,
            None => self.free(operands)?,
        };
        self.held[to as usize] = Some(id);
        Some(to)
    }

    /// A register for something else; those in `keep` stay as they are.
    fn free(&mut self, keep: &[Vector]) -> Option<Vector> {
        if let Some(r) = (0..self.held.len()).find(|r| self.held[*r].is_none()) {
            return Some(r as Vector);
        }
        let next = |id: Id| self.reads.get(id as usize).and_then(|reads| reads.last()).copied().unwrap_or(usize::MAX);
        let may_go =
            |r: &usize| !keep.contains(&(*r as Vector)) && self.held[*r].is_some_and(|id| !self.pinned.contains(&id));
        let r = (0..self.held.len()).filter(may_go).max_by_key(|r| self.held[*r].map_or(0, next))?;
        let id = self.held[r]?;
        let stands = !*self.own.get(id as usize)? || self.stored.contains(&id);
        if !stands && next(id) != usize::MAX && !self.spilled.contains(&id) {
            self.spilled.push(id);
            let slot = self.spilled.len() as i32 - 1;
            self.body.vector(Map::M0F, self.double, 0x11, r as Vector, 0, At::Stack(slot * self.body.bytes() as i32));
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
        let mut code = Assembler::new(self.body.wide);
        let stack = (self.spilled.len() * code.bytes()) as i32;
        code.stack(stack);
        for (k, register) in ADDRESSES.iter().enumerate().take(self.arrays.len()) {
            code.address(*register, k);
        }
        for (k, id) in self.pinned.iter().enumerate() {
            let place = self.numbers.get(*id as usize).copied().unwrap_or(0) * if self.double { 8 } else { 4 };
            let opcode = if self.double { 0x19 } else { 0x18 };
            let register = (self.held.len() - 1 - k) as Vector;
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
        Arith::And => 0x54,
        Arith::Without => 0x55,
        Arith::Xor => 0x57,
        Arith::Add => 0x58,
        Arith::Mul => 0x59,
        Arith::Sub => 0x5c,
        Arith::Div => 0x5e,
        Arith::Sqrt => 0x51,
        Arith::Greater | Arith::Equal | Arith::Unequal => 0xc2,
    }
}
