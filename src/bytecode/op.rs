//! The instruction set: one list gives the enum, the operands (for disassembly and verification) and the docs.
//!
//! `R[x]` is a register of the running frame. An instruction is 8 bytes. Primitives are not instructions.

use smallvec::{SmallVec, smallvec};

/// A register of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Reg(pub u16);
/// Index into [`Chunk::consts`](super::chunk::Chunk::consts).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Const(pub u16);
/// Index into [`Chunk::names`](super::chunk::Chunk::names).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name(pub u16);
/// Index into one of the chunk's side tables; which one follows from the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table(pub u16);
/// A small count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count(pub u16);
/// Target of a jump: index of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target(pub u32);
/// Index into the VM's globals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GlobalSlot(pub u32);

/// One operand, for code that walks instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    Reg(Reg),
    Const(Const),
    Name(Name),
    Table(Table),
    Count(Count),
    Target(Target),
    Global(GlobalSlot),
}

impl Reg {
    /// The register so much further up.
    pub fn shifted(self, by: u16) -> Reg {
        Reg(self.0.saturating_add(by))
    }
}

macro_rules! not_shifted {
    ($($ty:ident),*) => { $(impl $ty { fn shifted(self, _: u16) -> $ty { self } })* };
}
not_shifted!(Const, Name, Table, Count, Target, GlobalSlot);

macro_rules! operand_from {
    ($($kind:ident $ty:ident),*) => {
        $(impl From<$ty> for Operand { fn from(x: $ty) -> Operand { Operand::$kind(x) } })*
    };
}
operand_from!(Reg Reg, Const Const, Name Name, Table Table, Count Count, Target Target, Global GlobalSlot);

macro_rules! instructions {
    ($($(#[doc = $doc:literal])+ $name:ident { $($field:ident : $ty:ident),* })*) => {
        /// An instruction.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Op { $($(#[doc = $doc])+ $name { $($field: $ty),* },)* }

        impl Op {
            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Op::$name { .. } => stringify!($name),)* }
            }

            /// Its operands with their roles, in order.
            pub fn operands(self) -> SmallVec<[(&'static str, Operand); 4]> {
                match self { $(Op::$name { $($field),* } => smallvec![$((stringify!($field), $field.into())),*],)* }
            }

            /// The same instruction on registers further up.
            pub fn shifted(self, by: u16) -> Op {
                match self { $(Op::$name { $($field),* } => Op::$name { $($field: $field.shifted(by)),* },)* }
            }

            /// Words behind an `Affine` that do the same.
            pub const AFFINE_WORDS: usize = 3;

            /// The same instruction with another jump target.
            pub fn retarget(self, new: Target) -> Op {
                self.retarget_impl(new)
            }
        }

        /// All instructions with their effect, for the docs.
        pub const INSTRUCTIONS: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),+))),*];
    };
}

instructions! {
    /// R[dst] = R[src]
    Move { dst: Reg, src: Reg }
    /// R[dst] = R[src]; R[src] = none
    Take { dst: Reg, src: Reg }
    /// R[dst] = R[src]; if it is a list, R[src] = none
    TakeList { dst: Reg, src: Reg }
    /// R[dst] = consts[value]
    Load { dst: Reg, value: Const }
    /// R[dst] = the constant float tensor, in the default dtype
    LoadTensor { dst: Reg, value: Const }
    /// R[dst] = none
    LoadNone { dst: Reg }
    /// R[dst] = globals[global]; an error if it is not set yet
    GetGlobal { dst: Reg, global: GlobalSlot }
    /// R[dst] = globals[global], which is not set any more: it is written back later
    TakeGlobal { dst: Reg, global: GlobalSlot }
    /// R[dst] = globals[global]; none if it is not set yet: the receiver may have a method of that name, and formulas do not apply then
    PeekGlobal { dst: Reg, global: GlobalSlot }
    /// globals[global] = R[src], which moves
    SetGlobal { src: Reg, global: GlobalSlot }
    /// R[dst] = the running function
    Itself { dst: Reg }

    /// R[dst] = R[a] + R[b]
    Add { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] - R[b]
    Sub { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] * R[b]
    Mul { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] / R[b]
    Div { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] ^ R[b]
    Pow { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] op R[b] for the operators without an instruction of their own: operators[op]
    Binary { dst: Reg, a: Reg, b: Reg }
    /// The operator of the instruction before it
    Operator { op: Table }
    /// R[dst] = R[a] * R[b] joined with another register as the next word says; no dispatch in between
    MulAdd { dst: Reg, a: Reg, b: Reg }
    /// after MulAdd: product + R[c]
    Plus { c: Reg }
    /// after MulAdd: R[c] + product
    PlusTo { c: Reg }
    /// after MulAdd: product - R[c]
    Minus { c: Reg }
    /// after MulAdd: R[c] - product
    MinusFrom { c: Reg }
    /// R[a] @ R[b] + R[c], which the three words behind compute into the last one's dst: they are skipped if small tensors make it one
    Affine { a: Reg, b: Reg, c: Reg }
    /// R[dst] = R[a] < R[b]
    Lt { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] <= R[b]
    Le { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] > R[b]
    Gt { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] >= R[b]
    Ge { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] == R[b]
    Eq { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = R[a] != R[b]
    Ne { dst: Reg, a: Reg, b: Reg }
    /// Lt, and the JumpUnless that follows is the only one to read R[dst]
    LtJump { dst: Reg, a: Reg, b: Reg }
    /// Le, and the JumpUnless that follows is the only one to read R[dst]
    LeJump { dst: Reg, a: Reg, b: Reg }
    /// Gt, and the JumpUnless that follows is the only one to read R[dst]
    GtJump { dst: Reg, a: Reg, b: Reg }
    /// Ge, and the JumpUnless that follows is the only one to read R[dst]
    GeJump { dst: Reg, a: Reg, b: Reg }
    /// Eq, and the JumpUnless that follows is the only one to read R[dst]
    EqJump { dst: Reg, a: Reg, b: Reg }
    /// Ne, and the JumpUnless that follows is the only one to read R[dst]
    NeJump { dst: Reg, a: Reg, b: Reg }
    /// R[dst] = -R[src]
    Neg { dst: Reg, src: Reg }
    /// R[dst] = not R[src]
    Not { dst: Reg, src: Reg }
    /// R[dst] = hosts[prim](R[src]), an elementwise primitive of one argument
    Prim1 { dst: Reg, src: Reg, prim: Table }

    /// if formulas[formula] applies to its registers: R[dst] = its value, and on behind the next `words` instructions
    Formula { dst: Reg, formula: Table, words: Count }
    /// the same for the sum or mean of a formula's value, a tensor
    Total { dst: Reg, formula: Table, words: Count }

    /// go to target
    Jump { to: Target }
    /// if not R[cond]: go to target; R[cond] must be a bool
    JumpUnless { cond: Reg, to: Target }
    /// go to target if R[src] is false: `and` needs no second operand
    SkipIfFalse { src: Reg, to: Target }
    /// go to target if R[src] is true: `or` needs no second operand
    SkipIfTrue { src: Reg, to: Target }
    /// go to target if parameter number R was given (no default needed)
    SkipIfGiven { param: Reg, to: Target }
    /// R[iter] = R[lo]..R[hi]; the ForStart of it follows
    ForRange { iter: Reg, lo: Reg, hi: Reg }
    /// R[iter..iter+3] = state of an iteration over R[iter]
    ForStart { iter: Reg }
    /// R[iter+3] = next item, or go to target when there is none
    ForNext { iter: Reg, to: Target }

    /// R[iter+3] = next item and go to target, or go on when there is none: the end of a loop's body
    ForLoop { iter: Reg, to: Target }

    /// call R[base] with R[base+1..] as calls[site] says; R[base] = result; inout arguments are left in place
    Call { base: Reg, site: Table }
    /// call method calls[site].method of R[base+1], or R[base] (a function of that name); result as Call
    CallMethod { base: Reg, site: Table }
    /// call hosts[..] of calls[site] with R[base+1..] in the order of its signature; R[base] = result
    CallHost { base: Reg, site: Table }
    /// leave the function with R[src]
    Return { src: Reg }

    /// R[dst] = tuple of R[first .. first+n]
    MakeTuple { dst: Reg, first: Reg, n: Count }
    /// R[dst] = tensor of R[first .. first+n]
    MakeTensor { dst: Reg, first: Reg, n: Count }
    /// R[dst] = empty list
    MakeList { dst: Reg }
    /// push R[src] on the list R[list]
    Push { list: Reg, src: Reg }
    /// R[dst] = tensor of the items of the list R[list]
    ListToTensor { dst: Reg, list: Reg }
    /// R[dst] = dict of keys[site] and R[first..]
    MakeDict { dst: Reg, first: Reg, site: Table }
    /// R[dst] = R[lo]..R[hi]
    MakeRange { dst: Reg, lo: Reg, hi: Reg }
    /// R[dst] = R[lo]..=R[hi]
    MakeRangeInclusive { dst: Reg, lo: Reg, hi: Reg }
    /// R[dst] = function functions[function] with its captures
    MakeClosure { dst: Reg, function: Table }
    /// R[dst] = struct of structs-constant with fields R[0..]
    MakeStruct { dst: Reg, def: Const }
    /// R[first .. first+n] = items of R[src], which must have n
    Unpack { first: Reg, src: Reg, n: Count }
    /// R[dst] = text of formats[format] with R[first..]
    Format { dst: Reg, first: Reg, format: Table }

    /// R[dst] = R[object].name
    GetField { dst: Reg, object: Reg, name: Name }
    /// R[dst] = R[object].name, left as none there: the place is written back later
    TakeField { dst: Reg, object: Reg, name: Name }
    /// R[object].name = R[value], which moves
    SetField { object: Reg, name: Name, value: Reg }
    /// the same for what was taken out of the field and had a value pushed onto its end
    SetGrown { object: Reg, name: Name, value: Reg }
    /// R[dst] = R[object][R[index]]
    GetItem { dst: Reg, object: Reg, index: Reg }
    /// R[dst] = R[object][R[index]], left as none there if it is an item of a list or dict
    TakeItem { dst: Reg, object: Reg, index: Reg }
    /// R[object][R[index]] = R[value], which moves
    SetItem { object: Reg, index: Reg, value: Reg }
    /// R[dst] = R[first][indices[index] with R[first+1..]]
    GetIndex { dst: Reg, first: Reg, index: Table }
    /// R[object][indices[index] with R[first+1..]] = R[first], which moves
    SetIndex { object: Reg, first: Reg, index: Table }
    /// R[object][R[index]] op= R[value], which moves; the operator follows
    UpdateItem { object: Reg, index: Reg, value: Reg }
    /// R[object][indices[index] with R[first+1..]] op= R[first], which moves; the operator follows
    UpdateIndex { object: Reg, first: Reg, index: Table }

    /// R[reg] must be of types[test]; ints become floats where that is asked; dimension variables are bound
    Check { reg: Reg, test: Table }
    /// errors from here on put the error in R[error] and go to target
    TryStart { error: Reg, to: Target }
    /// end of the innermost try
    TryEnd { }
    /// R[dst] = the value given for this param on the command line, and go to target; else go on
    Override { dst: Reg, param: Name }
    /// where Override goes
    OverrideTo { to: Target }
}

impl Op {
    fn retarget_impl(self, to: Target) -> Op {
        match self {
            Op::Jump { .. } => Op::Jump { to },
            Op::JumpUnless { cond, .. } => Op::JumpUnless { cond, to },
            Op::SkipIfFalse { src, .. } => Op::SkipIfFalse { src, to },
            Op::SkipIfTrue { src, .. } => Op::SkipIfTrue { src, to },
            Op::SkipIfGiven { param, .. } => Op::SkipIfGiven { param, to },
            Op::ForNext { iter, .. } => Op::ForNext { iter, to },
            Op::ForLoop { iter, .. } => Op::ForLoop { iter, to },
            Op::TryStart { error, .. } => Op::TryStart { error, to },
            Op::OverrideTo { .. } => Op::OverrideTo { to },
            other => other,
        }
    }
}

const _: () = assert!(std::mem::size_of::<Op>() == 8);
