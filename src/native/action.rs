//! What an instruction does, once the kinds of its operands are known.

use std::rc::Rc;

use crate::bytecode::formula::{Formula, Step};
use crate::bytecode::op::Reg;
use crate::native::frame::What;
use crate::native::kind::{Kind, Kinds};
use crate::ops::num::Test;
use crate::value::Value;

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

/// An operation on ints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntOp {
    Add,
    Sub,
    Mul,
    FloorDiv,
    Rem,
    Max,
    Min,
    Neg,
}

/// Which values of a formula are elements of vectors: they are computed as the kernels of tensors do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lanes {
    /// Bit `i`: value `i` is.
    pub values: u32,
    /// In f32, to which the other values are rounded when they meet.
    pub single: bool,
}

impl Lanes {
    /// None is.
    pub const NONE: Lanes = Lanes { values: 0, single: false };

    pub fn has(self, value: usize) -> bool {
        self.values & (1 << value) != 0
    }
}

/// What is done at a place. Others are named by their numbers.
#[derive(Clone)]
pub enum Action {
    Skip,
    /// The machine has to do it.
    Leave,
    Copy {
        dst: Reg,
        src: Reg,
    },
    /// The function calls itself with these numbers, for its parameters in order. Nothing is known of the result yet, or its kind.
    Recur {
        dst: Reg,
        args: Vec<Reg>,
        result: Option<Kind>,
    },
    /// The function is done.
    Return {
        src: Reg,
    },
    /// Copies an object; `src` holds none from here on.
    Take {
        dst: Reg,
        src: Reg,
    },
    /// From here on `dst` holds what its parts make up.
    Shape {
        dst: Reg,
        kind: Kind,
    },
    /// A number, a bool or none.
    Set {
        dst: Reg,
        value: Value,
    },
    /// The value of a formula of floats and ints.
    Compute {
        dst: Reg,
        formula: Rc<Formula>,
        lanes: Lanes,
    },
    /// A tangent of 0.
    Zero {
        dst: Reg,
    },
    /// One float or the other, as two compare.
    Select {
        dst: Reg,
        test: Test,
        a: Reg,
        b: Reg,
        yes: Reg,
        no: Reg,
    },
    /// A number as one of f32.
    Round {
        dst: Reg,
        src: Reg,
    },
    /// `b` is not read by a negation.
    Whole {
        op: IntOp,
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    /// Goes on, with the result in `dst`.
    Compare {
        order: Order,
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    /// The machine has to tell what is wrong unless it holds.
    Expect {
        order: Order,
        a: Reg,
        b: Reg,
    },
    /// Goes on if it holds, else to `to`.
    CompareJump {
        order: Order,
        a: Reg,
        b: Reg,
        to: usize,
    },
    Not {
        dst: Reg,
        src: Reg,
    },
    /// `a and b`, or `a or b`.
    Both {
        dst: Reg,
        a: Reg,
        b: Reg,
        and: bool,
    },
    Goto {
        to: usize,
    },
    /// To `to` if the bool is `when`, else on.
    Branch {
        cond: Reg,
        when: bool,
        to: usize,
    },
    /// An element of an object.
    Element {
        dst: Reg,
        object: u16,
        index: Vec<Reg>,
    },
    /// Writes one.
    Store {
        object: u16,
        index: Vec<Reg>,
        value: Reg,
    },
    /// Makes a list of anything longer, by what is put together later.
    Keep {
        object: u16,
        src: Reg,
    },
    /// Makes a list longer.
    Push {
        object: u16,
        value: Reg,
    },
    /// The number of items or of rows.
    Length {
        dst: Reg,
        object: u16,
    },
    /// Changes one by the step, of the old one and the value.
    Update {
        object: u16,
        index: Vec<Reg>,
        value: Reg,
        step: Step,
    },
    /// State of a loop over `lo..hi`.
    Range {
        iter: Reg,
        lo: Reg,
        hi: Reg,
    },
    /// The next int of a range and on to `some`, or to `none`.
    Next {
        iter: Reg,
        some: usize,
        none: usize,
    },
    /// State of a loop over the items of an object.
    Walk {
        iter: Reg,
    },
    /// The next item and on to `some`, or to `none`.
    Each {
        iter: Reg,
        object: u16,
        some: usize,
        none: usize,
    },
}

/// An action of a region.
pub struct Place {
    pub action: Action,
    /// Of all registers, before it.
    pub kinds: Kinds,
    /// The place behind it.
    pub next: usize,
}

impl Place {
    /// Where it goes on, with the kinds there.
    pub fn ways(&self, objects: &[(Reg, What)]) -> Vec<(usize, Kinds)> {
        let mut after = self.kinds.clone();
        let is_active = |k: u16| objects.get(k as usize).is_some_and(|(_, what)| what.is_active());
        let behind = |reg: Reg, n: u16| reg.shifted(n);
        match &self.action {
            Action::Skip
            | Action::Store { .. }
            | Action::Update { .. }
            | Action::Push { .. }
            | Action::Keep { .. }
            | Action::Expect { .. } => {}
            Action::Leave | Action::Return { .. } | Action::Recur { result: None, .. } => return vec![],
            Action::Recur { dst, result: Some(kind), .. } => after.set(*dst, *kind),
            Action::Copy { dst, src } => after.set(*dst, self.kinds[*src]),
            Action::Take { dst, src } => {
                after.set(*src, Kind::None);
                after.set(*dst, self.kinds[*src]);
            }
            Action::Shape { dst, kind } => after.set(*dst, *kind),
            Action::Set { dst, value } => after.set(*dst, Kind::of(value)),
            Action::Zero { dst } => after.set(*dst, Kind::Zero),
            Action::Select { dst, yes, no, .. } => after.set(*dst, self.kinds[*yes].join(self.kinds[*no])),
            Action::Round { dst, src } => {
                after.set(*dst, Kind::Float { active: self.kinds[*src] == Kind::Float { active: true } });
            }
            Action::Compute { dst, formula, .. } => {
                let active = formula.registers.iter().any(|r| self.kinds[*r] == Kind::Float { active: true });
                after.set(*dst, Kind::Float { active });
            }
            Action::Element { dst, object, .. } => after.set(*dst, Kind::Float { active: is_active(*object) }),
            Action::Whole { dst, .. } | Action::Length { dst, .. } => after.set(*dst, Kind::Int),
            Action::Compare { dst, .. } | Action::Not { dst, .. } | Action::Both { dst, .. } => {
                after.set(*dst, Kind::Bool);
            }
            Action::CompareJump { to, .. } | Action::Branch { to, .. } => {
                return vec![(self.next, after.clone()), (*to, after)];
            }
            Action::Goto { to } => return vec![(*to, after)],
            Action::Range { iter, .. } => (0..3).for_each(|i| after.set(behind(*iter, i), Kind::Int)),
            Action::Next { iter, some, none } => {
                let without = after.clone();
                after.set(behind(*iter, 3), Kind::Int);
                return vec![(*some, after), (*none, without)];
            }
            Action::Walk { iter } => {
                after.set(behind(*iter, 1), self.kinds[*iter]);
                after.set(*iter, Kind::Int);
                after.set(behind(*iter, 2), Kind::None);
            }
            Action::Each { iter, object, some, none } => {
                let mut without = after.clone();
                without.set(behind(*iter, 1), Kind::None);
                after.set(behind(*iter, 3), Kind::Float { active: is_active(*object) });
                return vec![(*some, after), (*none, without)];
            }
        }
        vec![(self.next, after)]
    }
}

impl Action {
    /// Where it goes on if not behind it.
    pub fn targets(&mut self) -> Vec<&mut usize> {
        match self {
            Action::Goto { to } | Action::CompareJump { to, .. } | Action::Branch { to, .. } => vec![to],
            Action::Next { some, none, .. } | Action::Each { some, none, .. } => vec![some, none],
            _ => vec![],
        }
    }

    /// The registers that it reads and those that it writes.
    pub fn registers(&self) -> (Vec<Reg>, Vec<Reg>) {
        let state = |iter: Reg, n: u16| (0..n).map(|i| iter.shifted(i)).collect::<Vec<Reg>>();
        match self {
            Action::Skip | Action::Leave | Action::Goto { .. } => (vec![], vec![]),
            Action::Copy { dst, src } | Action::Not { dst, src } | Action::Round { dst, src } => {
                (vec![*src], vec![*dst])
            }
            Action::Take { dst, src } => (vec![*src], vec![*dst, *src]),
            Action::Recur { dst, args, .. } => (args.clone(), vec![*dst]),
            Action::Return { src } | Action::Keep { src, .. } => (vec![*src], vec![]),
            Action::Push { value, .. } => (vec![*value], vec![]),
            Action::Set { dst, .. } | Action::Zero { dst } | Action::Shape { dst, .. } | Action::Length { dst, .. } => {
                (vec![], vec![*dst])
            }
            Action::Select { dst, a, b, yes, no, .. } => (vec![*a, *b, *yes, *no], vec![*dst]),
            Action::Compute { dst, formula, .. } => (formula.registers.clone(), vec![*dst]),
            Action::Element { dst, index, .. } => (index.clone(), vec![*dst]),
            Action::Store { index, value, .. } | Action::Update { index, value, .. } => {
                (index.iter().chain([value]).copied().collect(), vec![])
            }
            Action::Whole { dst, a, b, .. } | Action::Compare { dst, a, b, .. } | Action::Both { dst, a, b, .. } => {
                (vec![*a, *b], vec![*dst])
            }
            Action::CompareJump { a, b, .. } | Action::Expect { a, b, .. } => (vec![*a, *b], vec![]),
            Action::Branch { cond, .. } => (vec![*cond], vec![]),
            Action::Range { iter, lo, hi } => (vec![*lo, *hi], state(*iter, 3)),
            Action::Next { iter, .. } => (state(*iter, 3), state(*iter, 4)),
            Action::Walk { iter } => (state(*iter, 1), state(*iter, 3)),
            Action::Each { iter, .. } => (state(*iter, 2), state(*iter, 4)),
        }
    }
}
