//! What registers hold at a place of a region.

use std::ops::Index;

use crate::bytecode::op::Reg;
use crate::value::Value;

/// What a register holds at some place of the region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// What it held on entry, which is no number.
    Untouched,
    None,
    Bool,
    Int,
    /// `active`: it may have a slot.
    Float {
        active: bool,
    },
    /// This one of `Region::objects`.
    Object(u16),
    /// A tuple of so many, which stand in registers of their own.
    Tuple(u16),
    /// A struct of this definition of `Region::parts`; so do its fields.
    Struct(u16),
    /// A vector of so many floats, of f32 or f64; so do its elements.
    Vector {
        n: u8,
        single: bool,
    },
    /// A function with this code of `Region::parts`; so do its captures.
    Closure(u16),
    /// One or another of the simple ones, as the run went.
    Mixed,
    /// Nothing that could be told to the machine.
    Unknown,
}

impl Kind {
    /// The kind of a value.
    pub fn of(value: &Value) -> Kind {
        match value {
            Value::None => Kind::None,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::Float(slot, _) => Kind::Float { active: !slot.is_const() },
            _ => Kind::Untouched,
        }
    }

    /// The kind where two ways meet.
    pub fn join(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Float { .. }, Kind::Float { .. }) => Kind::Float { active: true },
            (a, b) if a.has_parts() || b.has_parts() || a == Kind::Unknown || b == Kind::Unknown => Kind::Unknown,
            _ => Kind::Mixed,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Kind::Float { .. })
    }

    pub fn is_number(self) -> bool {
        self == Kind::Int || self.is_float()
    }

    pub fn is_scalar(self) -> bool {
        self.is_number() || self == Kind::Bool
    }

    /// Its parts stand in registers of their own.
    pub fn has_parts(self) -> bool {
        matches!(self, Kind::Tuple(_) | Kind::Struct(_) | Kind::Vector { .. } | Kind::Closure(_))
    }

    /// May be copied from register to register.
    pub fn is_plain(self) -> bool {
        !matches!(self, Kind::Untouched | Kind::Mixed | Kind::Unknown) && !self.has_parts()
    }
}

/// The kinds of all registers.
#[derive(Clone, PartialEq, Eq)]
pub struct Kinds(Vec<Kind>);

impl Kinds {
    pub fn new() -> Kinds {
        Kinds(vec![])
    }

    pub fn set(&mut self, reg: Reg, kind: Kind) {
        let i = reg.0 as usize;
        if self.0.len() <= i {
            self.0.resize(i + 1, Kind::Untouched);
        }
        self.0[i] = kind;
    }

    /// Where two ways meet.
    pub fn join(&self, other: &Kinds) -> Kinds {
        let count = self.0.len().max(other.0.len());
        let reg = |i: usize| Reg(u16::try_from(i).unwrap_or(u16::MAX));
        Kinds((0..count).map(|i| self[reg(i)].join(other[reg(i)])).collect())
    }
}

impl Index<Reg> for Kinds {
    type Output = Kind;

    fn index(&self, reg: Reg) -> &Kind {
        self.0.get(reg.0 as usize).unwrap_or(&Kind::Untouched)
    }
}
