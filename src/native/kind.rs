//! What registers hold at a place of a region.

use std::ops::Index;
use std::rc::Rc;

use rustc_hash::FxHashSet;

use crate::ad::transforms::Taken;
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
    /// A tangent that is 0 on each way to here.
    Zero,
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
    /// A derivative of a function, which is its only part.
    Derivative(Taken),
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
            (Kind::Zero, kind @ Kind::Float { .. }) | (kind @ Kind::Float { .. }, Kind::Zero) => kind,
            (a, b) if a.has_parts() || b.has_parts() || a == Kind::Unknown || b == Kind::Unknown => Kind::Unknown,
            _ => Kind::Mixed,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Kind::Float { .. } | Kind::Zero)
    }

    pub fn is_number(self) -> bool {
        self == Kind::Int || self.is_float()
    }

    pub fn is_scalar(self) -> bool {
        self.is_number() || self == Kind::Bool
    }

    /// Its parts stand in registers of their own.
    pub fn has_parts(self) -> bool {
        matches!(self, Kind::Tuple(_) | Kind::Struct(_) | Kind::Vector { .. } | Kind::Closure(_) | Kind::Derivative(_))
    }

    /// May be copied from register to register.
    pub fn is_plain(self) -> bool {
        !matches!(self, Kind::Untouched | Kind::Mixed | Kind::Unknown) && !self.has_parts()
    }
}

/// Kinds that are shared together.
const WIDE: usize = 32;

/// The kinds of all registers. Those of one place differ little from those of the next, so they share what is the same.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Kinds(Vec<Rc<[Kind; WIDE]>>);

impl Kinds {
    pub fn new() -> Kinds {
        Kinds(vec![])
    }

    pub fn set(&mut self, reg: Reg, kind: Kind) {
        let (row, i) = (reg.0 as usize / WIDE, reg.0 as usize % WIDE);
        if self.0.len() <= row {
            self.0.resize(row + 1, Rc::new([Kind::Untouched; WIDE]));
        }
        if self.0[row][i] != kind {
            Rc::make_mut(&mut self.0[row])[i] = kind;
        }
    }

    /// Whatever a register holds, nothing reads it.
    pub fn forget(&mut self, reg: Reg) {
        if self[reg] != Kind::Untouched {
            self.set(reg, Kind::Untouched);
        }
    }

    /// Where two ways meet.
    pub fn join(&self, other: &Kinds) -> Kinds {
        let blank = Rc::new([Kind::Untouched; WIDE]);
        let row = |row: usize| {
            let [a, b] = [self, other].map(|kinds| kinds.0.get(row).unwrap_or(&blank));
            if Rc::ptr_eq(a, b) {
                return a.clone();
            }
            let joined: [Kind; WIDE] = std::array::from_fn(|i| a[i].join(b[i]));
            if joined == **a { a.clone() } else { Rc::new(joined) }
        };
        Kinds((0..self.0.len().max(other.0.len())).map(row).collect())
    }
}

/// Registers that may have a slot somewhere, and those that may be one thing or another.
#[derive(Default)]
pub struct Told {
    pub slotted: FxHashSet<Reg>,
    pub mixed: FxHashSet<Reg>,
}

impl Told {
    pub fn of<'a>(kinds: impl Iterator<Item = &'a Kinds>) -> Told {
        let mut told = Told::default();
        // What is shared is looked at once.
        let mut seen = FxHashSet::default();
        for (row, kinds) in kinds.flat_map(|kinds| kinds.0.iter().enumerate()) {
            if !seen.insert((row, Rc::as_ptr(kinds))) {
                continue;
            }
            for (i, kind) in kinds.iter().enumerate() {
                let reg = Reg((row * WIDE + i) as u16);
                match kind {
                    Kind::Float { active: true } => _ = told.slotted.insert(reg),
                    Kind::Mixed => _ = told.mixed.insert(reg),
                    _ => {}
                }
            }
        }
        told
    }
}

impl Index<Reg> for Kinds {
    type Output = Kind;

    fn index(&self, reg: Reg) -> &Kind {
        self.0.get(reg.0 as usize / WIDE).map_or(&Kind::Untouched, |row| &row[reg.0 as usize % WIDE])
    }
}
