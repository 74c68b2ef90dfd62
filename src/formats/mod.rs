//! Files of numbers: from bytes to arrays and back. `idx` (MNIST's), `npy` and `zip` (NumPy's), `picture` (PNG, JPEG).
//!
//! Invariants: no number in a file is trusted before it is checked against the bytes that are there, so a damaged file is a
//! [`Problem`] and never a panic or a large allocation. Nothing here knows of values or opens files.

pub mod idx;
pub mod npy;
pub mod picture;
pub mod zip;

use std::io::Read;

/// What is wrong with a file: a sentence that goes after its name, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub what: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(what: impl Into<String>) -> Problem {
        Problem { what: what.into(), help: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }
}

/// Numbers of one kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Numbers by rows; as many as the product of the dims.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub numbers: Numbers,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Signed(usize),
    Unsigned(usize),
    Float(usize),
}

impl Kind {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Kind::Bool => 1,
            Kind::Signed(n) | Kind::Unsigned(n) | Kind::Float(n) => n,
        }
    }

    /// The numbers in `bytes`, the most significant byte first or last.
    pub fn read(self, bytes: &[u8], big_endian: bool) -> Result<Numbers, Problem> {
        let raw = |chunk: &[u8]| {
            let join = |bits: u64, b: &u8| bits << 8 | u64::from(*b);
            if big_endian { chunk.iter().fold(0, join) } else { chunk.iter().rev().fold(0, join) }
        };
        let all = bytes.chunks_exact(self.size());
        Ok(match self {
            Kind::Bool => Numbers::Bool(bytes.iter().map(|b| *b != 0).collect()),
            Kind::Signed(n) => {
                let spare = 64 - 8 * n as u32;
                Numbers::Int(all.map(|c| ((raw(c) << spare) as i64) >> spare).collect())
            }
            Kind::Unsigned(_) => {
                let ints: Option<Vec<i64>> = all.map(|c| i64::try_from(raw(c)).ok()).collect();
                Numbers::Int(ints.ok_or_else(|| {
                    Problem::new("holds an unsigned int of 2^63 or more, which no int of dlang can be")
                })?)
            }
            Kind::Float(2) => Numbers::F32(all.map(|c| half(raw(c) as u16)).collect()),
            Kind::Float(4) => Numbers::F32(all.map(|c| f32::from_bits(raw(c) as u32)).collect()),
            Kind::Float(_) => Numbers::F64(all.map(|c| f64::from_bits(raw(c))).collect()),
        })
    }
}

/// IEEE 754 half precision.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, (bits >> 10) & 0x1f, f32::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        e => (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(e) - 15),
    };
    if sign == 1 { -size } else { size }
}

/// How many numbers a shape holds; none where that is more than can be counted.
pub fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim))
}

/// True for what gzip wrote.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// What gzip compressed, but not more than `limit` bytes of it and one.
pub fn gunzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Problem> {
    let mut out = vec![];
    let read = flate2::read::MultiGzDecoder::new(bytes).take(limit as u64 + 1).read_to_end(&mut out);
    read.map_err(|e| Problem::new(format!("is a damaged gzip file: {e}")).help("fetch or make the file again"))?;
    Ok(out)
}

/// `[3, 4]`
pub fn show(shape: &[usize]) -> String {
    format!("[{}]", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_kinds() {
        let read = |kind: Kind, bytes: &[u8], big| kind.read(bytes, big).unwrap();
        assert_eq!(read(Kind::Signed(1), &[0xff, 5], false), Numbers::Int(vec![-1, 5]));
        assert_eq!(read(Kind::Signed(2), &[0xff, 0xfe], true), Numbers::Int(vec![-2]));
        assert_eq!(read(Kind::Signed(2), &[0xfe, 0xff], false), Numbers::Int(vec![-2]));
        assert_eq!(read(Kind::Signed(8), &i64::MIN.to_le_bytes(), false), Numbers::Int(vec![i64::MIN]));
        assert_eq!(read(Kind::Unsigned(4), &u32::MAX.to_be_bytes(), true), Numbers::Int(vec![4294967295]));
        assert!(Kind::Unsigned(8).read(&u64::MAX.to_le_bytes(), false).is_err());
        assert_eq!(read(Kind::Float(4), &1.5f32.to_be_bytes(), true), Numbers::F32(vec![1.5]));
        assert_eq!(read(Kind::Float(8), &0.1f64.to_le_bytes(), false), Numbers::F64(vec![0.1]));
        let halves = [0x3c00u16, 0xc000, 0x0001, 0x7c00].map(u16::to_le_bytes).concat();
        assert_eq!(read(Kind::Float(2), &halves, false), Numbers::F32(vec![1.0, -2.0, 5.9604645e-8, f32::INFINITY]));
        assert_eq!(read(Kind::Bool, &[0, 1, 2], false), Numbers::Bool(vec![false, true, true]));
    }
}
