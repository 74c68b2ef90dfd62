//! The instructions of x86-64 that loops of arithmetic need: on vectors of 256 bits (AVX and AVX2, in their three-byte form) or of 512 bits
//! (AVX-512, in its four-byte form), and a few on addresses.
//!
//! Intel, "64 and IA-32 Architectures Software Developer's Manual", volume 2. A loop is a function of three arguments in the
//! System V order: `rdi`, a table of addresses; `rsi`, numbers; `rdx`, how many bytes each array has. `rcx` is the place in the arrays.

/// A vector register, 0 to 15, or to 31 if vectors have 512 bits.
pub type Vector = u8;
/// The only register for a mask of bits.
const MASK: u8 = 1;

/// The second source of an instruction, or where it loads from or stores to.
#[derive(Clone, Copy)]
pub enum At {
    Vector(Vector),
    /// The place in the array whose address is in this register.
    Array(u8),
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
}

impl Assembler {
    pub fn new(wide: bool) -> Assembler {
        Assembler { code: vec![], wide }
    }

    /// Bytes of a vector.
    pub fn bytes(&self) -> usize {
        if self.wide { 64 } else { 32 }
    }

    /// An instruction on a vector: `reg`, the first source `first` (0 if there is none), and `at`. `double` chooses between `f64` and
    /// `f32`, or says what the instruction wants.
    pub fn vector(&mut self, map: Map, double: bool, opcode: u8, reg: Vector, first: Vector, at: At) {
        let base = match at {
            At::Vector(r) | At::Array(r) => r,
            At::Number(_) => RSI,
            At::Stack(_) => RSP,
        };
        let not = |high: u8, shift: u8| ((high >> 3 ^ 1) & 1) << shift;
        if self.wide {
            // Bit 4 of a register.
            let fifth = |register: u8, shift: u8| ((register >> 4 ^ 1) & 1) << shift;
            let is_wide_element = if let Map::M0F = map { double } else { opcode == 0x19 };
            let extra = if let At::Vector(r) = at { fifth(r, 6) } else { 1 << 6 };
            self.code.push(0x62);
            self.code.push(not(reg, 7) | extra | not(base, 5) | fifth(reg, 4) | map as u8);
            self.code.push(u8::from(is_wide_element) << 7 | (!first & 15) << 3 | 1 << 2 | u8::from(double));
            self.code.push(0b10 << 5 | fifth(first, 3));
        } else {
            self.code.push(0xc4);
            // No index register is above 7.
            self.code.push(not(reg, 7) | 1 << 6 | not(base, 5) | map as u8);
            self.code.push((!first & 15) << 3 | 1 << 2 | u8::from(double));
        }
        self.code.push(opcode);
        let mode = |mode: u8, low: u8| mode << 6 | (reg & 7) << 3 | low;
        match at {
            At::Vector(r) => self.code.push(mode(3, r & 7)),
            At::Array(r) => self.code.extend([mode(0, 4), RCX << 3 | r & 7]),
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

    /// Compares `a` with `b`; `to` gets all bits of the elements for which `relation` holds, none of the others.
    pub fn compare(&mut self, double: bool, relation: u8, to: Vector, a: Vector, b: Vector) {
        const COMPARE: u8 = 0xc2;
        if !self.wide {
            self.vector(Map::M0F, double, COMPARE, to, a, At::Vector(b));
            self.immediate(relation);
            return;
        }
        self.vector(Map::M0F, double, COMPARE, MASK, a, At::Vector(b));
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
            self.vector(Map::M0F3A, true, 0x25, to, yes, At::Vector(no));
            self.immediate(0xca);
        } else {
            self.vector(Map::M0F3A, true, if double { 0x4b } else { 0x4a }, to, no, At::Vector(yes));
            self.immediate(mask << 4);
        }
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

    /// Goes on by a vector, to `start` as long as there is one.
    pub fn next(&mut self, start: usize) {
        self.code.extend([0x48, 0x83, 0xc1, self.bytes() as u8, 0x48, 0x39, 0xd1, 0x0f, 0x82]);
        let behind = self.code.len() + 4;
        self.code.extend((start as i32 - behind as i32).to_le_bytes());
    }

    /// Leaves the upper halves of vectors empty, as other code wants it, and returns.
    pub fn leave(&mut self) {
        self.code.extend([0xc5, 0xf8, 0x77, 0xc3]);
    }
}
