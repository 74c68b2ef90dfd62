//! The instructions of x86-64 that loops of arithmetic need: on vectors of 256 bits (AVX and AVX2, in their three-byte form), and a
//! few on addresses.
//!
//! Intel, "64 and IA-32 Architectures Software Developer's Manual", volume 2. A loop is a function of three arguments in the
//! System V order: `rdi`, a table of addresses; `rsi`, numbers; `rdx`, how many bytes each array has. `rcx` is the place in the arrays.

/// A vector register, 0 to 15.
pub type Vector = u8;

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
#[derive(Default)]
pub struct Assembler {
    pub code: Vec<u8>,
}

impl Assembler {
    /// An instruction on 256 bits: `reg`, the first source `first` (0 if there is none), and `at`. `double` chooses between `f64` and
    /// `f32`, or says what the instruction wants.
    pub fn vector(&mut self, map: Map, double: bool, opcode: u8, reg: Vector, first: Vector, at: At) {
        let base = match at {
            At::Vector(r) | At::Array(r) => r,
            At::Number(_) => RSI,
            At::Stack(_) => RSP,
        };
        let not = |high: u8, shift: u8| ((high >> 3 ^ 1) & 1) << shift;
        self.code.push(0xc4);
        // No index register is above 7.
        self.code.push(not(reg, 7) | 1 << 6 | not(base, 5) | map as u8);
        self.code.push((!first & 15) << 3 | 1 << 2 | u8::from(double));
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

    /// Goes on by 32 bytes, to `start` as long as there are some.
    pub fn next(&mut self, start: usize) {
        self.code.extend([0x48, 0x83, 0xc1, 32, 0x48, 0x39, 0xd1, 0x0f, 0x82]);
        let behind = self.code.len() + 4;
        self.code.extend((start as i32 - behind as i32).to_le_bytes());
    }

    /// Leaves the upper halves of vectors empty, as other code wants it, and returns.
    pub fn leave(&mut self) {
        self.code.extend([0xc5, 0xf8, 0x77, 0xc3]);
    }
}
