//! The instructions of x86-64 that loops of arithmetic need: on vectors of 256 bits (AVX and AVX2, in their three-byte form) or of 512 bits
//! (AVX-512, in its four-byte form), and a few on addresses.
//!
//! Intel, "64 and IA-32 Architectures Software Developer's Manual", volume 2. A loop is a function of three arguments in the
//! System V order: `rdi`, a table of addresses; `rsi`, numbers; `rdx`, how many bytes each array has. `rcx` is the place in the arrays.

/// A vector register, 0 to 15, or to 31 if vectors have 512 bits.
pub type Vector = u8;
/// The register for a mask of bits that comparisons make, and those for the elements that are there of two vectors.
const MASK: u8 = 1;
const PRESENT: [u8; 2] = [2, 3];
/// What is not in the mask is zero, not left as it was.
const ZEROED: u8 = 1 << 7;
const BROADCAST_LONG: u8 = 0x19;

/// The second source of an instruction, or where it loads from or stores to.
#[derive(Clone, Copy)]
pub enum At {
    Vector(Vector),
    /// The place in the array whose address is in this register, and so many bytes further.
    Array(u8, i32),
    /// A number, by its place in bytes.
    Number(i32),
    /// Memory on the stack, by its place in bytes.
    Stack(i32),
}

/// Register that any address may be loaded to, and those that keep theirs.
pub const ADDRESS: u8 = 0;
pub const ADDRESSES: [u8; 4] = [8, 9, 10, 11];

const RCX: u8 = 1;
const RSP: u8 = 4;
const RSI: u8 = 6;

/// Prefix of opcodes.
#[derive(Clone, Copy)]
pub enum Map {
    M0F = 1,
    M0F38 = 2,
    M0F3A = 3,
}

/// Machine code under way.
pub struct Assembler {
    pub code: Vec<u8>,
    /// Vectors have 512 bits.
    pub wide: bool,
    /// The mask that the next instruction goes by, and what becomes of the other elements.
    predicate: u8,
}

impl Assembler {
    pub fn new(wide: bool) -> Assembler {
        Assembler { code: vec![], wide, predicate: 0 }
    }

    /// Bytes of a vector.
    pub fn bytes(&self) -> usize {
        if self.wide { 64 } else { 32 }
    }

    /// An instruction on a vector: `reg`, the first source `first` (0 if there is none), and `at`. `prefixed` is whether it has the prefix 66,
    /// `long` whether its elements have 64 bits, where it says so.
    fn vector(&mut self, map: Map, (prefixed, long): (bool, bool), opcode: u8, reg: Vector, first: Vector, at: At) {
        let base = match at {
            At::Vector(r) | At::Array(r, _) => r,
            At::Number(_) => RSI,
            At::Stack(_) => RSP,
        };
        let not = |high: u8, shift: u8| ((high >> 3 ^ 1) & 1) << shift;
        if self.wide {
            // Bit 4 of a register.
            let fifth = |register: u8, shift: u8| ((register >> 4 ^ 1) & 1) << shift;
            let extra = if let At::Vector(r) = at { fifth(r, 6) } else { 1 << 6 };
            self.code.push(0x62);
            self.code.push(not(reg, 7) | extra | not(base, 5) | fifth(reg, 4) | map as u8);
            self.code.push(u8::from(long) << 7 | (!first & 15) << 3 | 1 << 2 | u8::from(prefixed));
            self.code.push(self.predicate | 0b10 << 5 | fifth(first, 3));
        } else {
            self.code.push(0xc4);
            // No index register is above 7.
            self.code.push(not(reg, 7) | 1 << 6 | not(base, 5) | map as u8);
            let long = matches!(map, Map::M0F38) && long && opcode != BROADCAST_LONG;
            self.code.push(u8::from(long) << 7 | (!first & 15) << 3 | 1 << 2 | u8::from(prefixed));
        }
        self.code.push(opcode);
        let mode = |mode: u8, low: u8| mode << 6 | (reg & 7) << 3 | low;
        match at {
            At::Vector(r) => self.code.push(mode(3, r & 7)),
            At::Array(r, 0) => self.code.extend([mode(0, 4), RCX << 3 | r & 7]),
            At::Array(r, ahead) => {
                self.code.extend([mode(2, 4), RCX << 3 | r & 7]);
                self.code.extend(ahead.to_le_bytes());
            }
            At::Number(place) => {
                self.code.push(mode(2, RSI));
                self.code.extend(place.to_le_bytes());
            }
            At::Stack(place) => {
                self.code.extend([mode(2, 4), 0x24]);
                self.code.extend(place.to_le_bytes());
            }
        }
    }

    /// An operation on numbers, all bits, or a move: of `f64` or `f32`.
    pub fn floats(&mut self, double: bool, opcode: u8, reg: Vector, first: Vector, at: At) {
        self.vector(Map::M0F, (double, double), opcode, reg, first, at);
    }

    /// Loads the elements that are there of vector `k`; those behind the end are zero.
    pub fn load_present(&mut self, double: bool, k: usize, to: Vector, from: At) {
        self.predicate = ZEROED | PRESENT[k % 2];
        self.floats(double, 0x10, to, 0, from);
        self.predicate = 0;
    }

    /// Stores the elements that are there of vector `k`.
    pub fn store_present(&mut self, double: bool, k: usize, from: Vector, to: At) {
        self.predicate = PRESENT[k % 2];
        self.floats(double, 0x11, from, 0, to);
        self.predicate = 0;
    }

    /// Gives all elements of `to` the number that stands in `place` bytes.
    pub fn number(&mut self, double: bool, to: Vector, place: usize) {
        let opcode = if double { BROADCAST_LONG } else { 0x18 };
        self.vector(Map::M0F38, (true, double), opcode, to, 0, At::Number(place as i32));
    }

    /// A product and a sum, rounded once: of the forms 213 and 231.
    pub fn fused(&mut self, double: bool, opcode: u8, to: Vector, a: Vector, b: Vector) {
        self.vector(Map::M0F38, (true, double), opcode, to, a, At::Vector(b));
    }

    /// The sum of the bits of elements as ints.
    pub fn add_ints(&mut self, double: bool, to: Vector, a: Vector, b: Vector) {
        self.vector(Map::M0F, (true, double), if double { 0xd4 } else { 0xfe }, to, a, At::Vector(b));
    }

    /// Shifts the bits of elements: by `way` 6 to the left, 4 to the right with the sign (of 64 bits only in vectors of 512).
    pub fn shift(&mut self, double: bool, way: u8, bits: u8, to: Vector, from: Vector) {
        let opcode = if double && way == 6 { 0x73 } else { 0x72 };
        self.vector(Map::M0F, (true, double), opcode, way, to, At::Vector(from));
        self.immediate(bits);
    }

    pub fn copy(&mut self, to: Vector, from: Vector) {
        if to != from {
            self.floats(false, 0x28, to, 0, At::Vector(from));
        }
    }

    /// Compares `a` with `b`; `to` gets all bits of the elements for which `relation` holds, none of the others.
    pub fn compare(&mut self, double: bool, relation: u8, to: Vector, a: Vector, b: Vector) {
        const COMPARE: u8 = 0xc2;
        if !self.wide {
            self.floats(double, COMPARE, to, a, At::Vector(b));
            self.immediate(relation);
            return;
        }
        self.floats(double, COMPARE, MASK, a, At::Vector(b));
        self.immediate(relation);
        // One bit becomes an element's.
        let not = |bit: u8, shift: u8| ((to >> bit ^ 1) & 1) << shift;
        let prefix = [0x62, not(3, 7) | 0b11 << 5 | not(4, 4) | Map::M0F38 as u8];
        self.code.extend(prefix);
        self.code.extend([u8::from(double) << 7 | 0b1111 << 3 | 0b110, 0b10 << 5 | 1 << 3, 0x38]);
        self.code.push(0b11 << 6 | (to & 7) << 3 | MASK);
    }

    /// Of `yes` where `mask` has its bits, else of `no`. With 512 bits `to` is the mask's own register.
    pub fn pick(&mut self, double: bool, to: Vector, mask: Vector, yes: Vector, no: Vector) {
        if self.wide {
            self.vector(Map::M0F3A, (true, false), 0x25, to, yes, At::Vector(no));
            self.immediate(0xca);
        } else {
            self.vector(Map::M0F3A, (true, false), if double { 0x4b } else { 0x4a }, to, no, At::Vector(yes));
            self.immediate(mask << 4);
        }
    }

    /// Compares for the next instruction, which is one of the two below; vectors have 512 bits.
    pub fn compare_ahead(&mut self, double: bool, relation: u8, a: Vector, b: Vector) {
        self.floats(double, 0xc2, MASK, a, At::Vector(b));
        self.immediate(relation);
    }

    /// Of `yes` where the comparison holds, else of `no`.
    pub fn blend(&mut self, double: bool, to: Vector, yes: Vector, no: Vector) {
        self.predicate = MASK;
        self.vector(Map::M0F38, (true, double), 0x65, to, no, At::Vector(yes));
        self.predicate = 0;
    }

    /// Of `from` where the comparison holds, else 0.
    pub fn keep(&mut self, double: bool, to: Vector, from: Vector) {
        self.predicate = ZEROED | MASK;
        self.floats(double, 0x28, to, 0, At::Vector(from));
        self.predicate = 0;
    }

    /// One more byte of the last instruction.
    pub fn immediate(&mut self, byte: u8) {
        self.code.push(byte);
    }

    /// Loads address `k` of the table.
    pub fn address(&mut self, to: u8, k: usize) {
        self.code.extend([0x48 | (to >> 3) << 2, 0x8b, 0x87 | (to & 7) << 3]);
        self.code.extend((8 * k as i32).to_le_bytes());
    }

    /// Makes room on the stack, or gives it back.
    pub fn stack(&mut self, bytes: i32) {
        if bytes != 0 {
            self.code.extend([0x48, 0x81, if bytes > 0 { 0xec } else { 0xc4 }]);
            self.code.extend(bytes.abs().to_le_bytes());
        }
    }

    /// Begins at the first element.
    pub fn begin(&mut self) {
        self.code.extend([0x31, 0xc9]);
    }

    /// A loop over pairs of vectors, as long as there are two.
    pub fn pairs(&mut self, body: &[u8]) {
        let bytes = 2 * self.bytes() as u8;
        // lea rax, [rcx + bytes]; cmp rax, rdx; ja behind
        let test = |code: &mut Vec<u8>| code.extend([0x48, 0x8d, 0x81, bytes, 0, 0, 0, 0x48, 0x39, 0xd0]);
        test(&mut self.code);
        self.code.extend([0x0f, 0x87]);
        let out = self.hole();
        let start = self.code.len();
        self.code.extend(body);
        // add rcx, bytes
        self.code.extend([0x48, 0x81, 0xc1, bytes, 0, 0, 0]);
        test(&mut self.code);
        self.code.extend([0x0f, 0x86]);
        self.back_to(start);
        self.fill(out);
    }

    /// The distance of a jump back.
    fn back_to(&mut self, start: usize) {
        let behind = self.code.len() + 4;
        self.code.extend((start as i32 - behind as i32).to_le_bytes());
    }

    /// A loop over vectors, as long as there is one.
    pub fn singles(&mut self, body: &[u8]) {
        let bytes = self.bytes() as u8;
        // lea rax, [rcx + bytes]; cmp rax, rdx; ja behind
        let test = |code: &mut Vec<u8>| code.extend([0x48, 0x8d, 0x41, bytes, 0x48, 0x39, 0xd0]);
        test(&mut self.code);
        self.code.extend([0x0f, 0x87]);
        let out = self.hole();
        let start = self.code.len();
        self.code.extend(body);
        // add rcx, bytes
        self.code.extend([0x48, 0x83, 0xc1, bytes]);
        test(&mut self.code);
        self.code.extend([0x0f, 0x86]);
        self.back_to(start);
        self.fill(out);
    }

    /// What follows the loops over whole vectors of 512 bits: `one` for the last elements, if they are fewer than a vector has; `two`,
    /// if it is there, for those of two vectors, if they are more than one has and no more than two.
    pub fn rest(&mut self, double: bool, one: &[u8], two: Option<&[u8]>) {
        let lanes = if double { 8 } else { 16 };
        // shr edx, 3 or 2; mov eax, -1; bzhi eax, eax, edx; kmovw k2, eax
        let present = |code: &mut Vec<u8>| {
            code.extend([0xc1, 0xea, if double { 3 } else { 2 }, 0xb8, 0xff, 0xff, 0xff, 0xff]);
            code.extend([0xc4, 0xe2, 0x68, 0xf5, 0xc0, 0xc5, 0xf8, 0x92, 0xd0]);
        };
        // cmp rcx, rdx; jae behind; sub edx, ecx
        self.code.extend([0x48, 0x39, 0xd1, 0x0f, 0x83]);
        let out = self.hole();
        self.code.extend([0x29, 0xca]);
        let mut behind = vec![out];
        if let Some(two) = two {
            // cmp edx, bytes; jbe single
            self.code.extend([0x83, 0xfa, 64, 0x0f, 0x86]);
            let single = self.hole();
            present(&mut self.code);
            // shr eax, lanes; kmovw k3, eax
            self.code.extend([0xc1, 0xe8, lanes, 0xc5, 0xf8, 0x92, 0xd8]);
            self.code.extend(two);
            // jmp behind
            self.code.push(0xe9);
            behind.push(self.hole());
            self.fill(single);
        }
        present(&mut self.code);
        self.code.extend(one);
        behind.into_iter().for_each(|hole| self.fill(hole));
    }

    /// Room for the distance of a jump.
    fn hole(&mut self) -> usize {
        self.code.extend([0; 4]);
        self.code.len() - 4
    }

    /// Lets the jump go here.
    fn fill(&mut self, hole: usize) {
        let distance = (self.code.len() - hole - 4) as i32;
        if let Some(place) = self.code.get_mut(hole..hole + 4) {
            place.copy_from_slice(&distance.to_le_bytes());
        }
    }

    /// Leaves the upper halves of vectors empty, as other code wants it, and returns.
    pub fn leave(&mut self) {
        self.code.extend([0xc5, 0xf8, 0x77, 0xc3]);
    }
}
