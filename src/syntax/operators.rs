//! Operands and operators in a row to trees, by precedence. The grammar tells which rows there are.
//!
//! From loose to tight: `|>`, `or`, `and`, `not`, comparisons (a row of them is one chain), ranges, sums, products, `-x`,
//! `^`. Binary operators go from left to right, `^` from right to left; its exponent may have a sign of its own.

use super::actions::Builder;
use super::ast::{BinOp, Expr, UnOp};

/// What stands between two operands.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Pipe,
    Binary(BinOp),
    Range { inclusive: bool },
}

/// An operand with the signs before it: where each stands, the last one first.
#[derive(Debug)]
pub struct Operand {
    signs: Vec<(u32, UnOp)>,
    expr: Box<Expr>,
}

/// Operands with operators between them; there is always a first one.
#[derive(Debug)]
pub struct Flat {
    first: Operand,
    rest: Vec<(Op, Operand)>,
}

impl Operand {
    pub fn of(expr: Box<Expr>) -> Operand {
        Operand { signs: vec![], expr }
    }

    /// Under one more sign.
    pub fn under(mut self, at: u32, sign: UnOp) -> Operand {
        self.signs.push((at, sign));
        self
    }
}

impl Flat {
    pub fn of(first: Operand) -> Flat {
        Flat { first, rest: vec![] }
    }

    pub fn then(mut self, op: Op, operand: Operand) -> Flat {
        self.rest.push((op, operand));
        self
    }
}

/// How tightly an operator binds.
type Level = u8;

const PIPE: Level = 0;
const OR: Level = 1;
const AND: Level = 2;
const NOT: Level = 3;
const COMPARISON: Level = 4;
const RANGE: Level = 5;
const SUM: Level = 6;
const PRODUCT: Level = 7;
const NEG: Level = 8;
const POWER: Level = 9;

impl Op {
    fn level(self) -> Level {
        match self {
            Op::Pipe => PIPE,
            Op::Range { .. } => RANGE,
            Op::Binary(op) => match op {
                BinOp::Or => OR,
                BinOp::And => AND,
                BinOp::Add | BinOp::Sub => SUM,
                BinOp::Mul | BinOp::Div | BinOp::FloorDiv | BinOp::Rem | BinOp::MatMul => PRODUCT,
                BinOp::Pow => POWER,
                BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge | BinOp::In | BinOp::NotIn => {
                    COMPARISON
                }
            },
        }
    }
}

/// What waits for its right operand.
enum Pending {
    Sign(u32, UnOp),
    Infix(Op, Box<Expr>),
    /// A chain of comparisons so far, and how its last operand is compared with what comes.
    Compared(Box<Expr>, Vec<(BinOp, Box<Expr>)>, BinOp),
}

impl Pending {
    fn level(&self) -> Level {
        match self {
            Pending::Sign(_, UnOp::Not) => NOT,
            Pending::Sign(_, UnOp::Neg) => NEG,
            Pending::Infix(op, _) => op.level(),
            Pending::Compared(..) => COMPARISON,
        }
    }

    /// True if what is pending has all of its right operand when an operator of this level comes.
    fn ends_before(&self, level: Level) -> bool {
        let own = self.level();
        own > level || own == level && level != POWER && level != COMPARISON
    }
}

/// The operand proper; its signs wait.
fn signs_wait(operand: Operand, pending: &mut Vec<Pending>) -> Box<Expr> {
    pending.extend(operand.signs.into_iter().rev().map(|(at, sign)| Pending::Sign(at, sign)));
    operand.expr
}

impl Builder<'_> {
    /// The tree of a row.
    pub fn grouped(&self, row: Flat) -> Box<Expr> {
        let Flat { first, rest } = row;
        if rest.is_empty() && first.signs.is_empty() {
            return first.expr;
        }
        let mut pending = Vec::with_capacity(rest.len() + first.signs.len());
        let mut x = signs_wait(first, &mut pending);
        for (op, operand) in rest {
            let level = op.level();
            while let Some(last) = pending.pop_if(|last| last.ends_before(level)) {
                x = self.complete(last, x);
            }
            match (op, pending.last_mut()) {
                (Op::Binary(op), Some(Pending::Compared(_, chain, how))) if level == COMPARISON => {
                    chain.push((std::mem::replace(how, op), x));
                }
                (Op::Binary(op), _) if level == COMPARISON => pending.push(Pending::Compared(x, vec![], op)),
                (op, _) => pending.push(Pending::Infix(op, x)),
            }
            x = signs_wait(operand, &mut pending);
        }
        while let Some(last) = pending.pop() {
            x = self.complete(last, x);
        }
        x
    }

    fn complete(&self, pending: Pending, y: Box<Expr>) -> Box<Expr> {
        match pending {
            Pending::Sign(at, sign) => self.unary(at, sign, y),
            Pending::Infix(Op::Pipe, x) => self.pipe(x, y),
            Pending::Infix(Op::Range { inclusive }, x) => self.range(x, y, inclusive),
            Pending::Infix(Op::Binary(op), x) => self.binary(op, x, y),
            Pending::Compared(first, mut chain, how) => {
                chain.push((how, y));
                self.comparison(first, chain)
            }
        }
    }
}
