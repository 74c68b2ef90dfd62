//! Forward mode through a graph: the tangent of a node, as nodes, from those of the registers.
//!
//! As everywhere, a tangent of zero wins over any slope.

use smallvec::SmallVec;

use super::graph::{Arith, Id, Maker, Node, Rule};
use super::layout::Reach;
use crate::bytecode::formula::MOST;

/// A tangent, if it is not zero.
type Tangent = Option<Id>;

impl Maker<'_> {
    /// The tangent of a node; `None` if there is no rule for it.
    pub(super) fn tangent(&mut self, id: Id) -> Option<Tangent> {
        if let Some(known) = *self.tangents.get(id as usize)? {
            return Some(known);
        }
        let made = match *self.rules.get(id as usize)? {
            Some(Rule::Function(inside, a, b)) => {
                let partials = (inside.partials)();
                let mut terms: SmallVec<[Id; 2]> = SmallVec::new();
                for (operand, slope) in [Some(a), b].into_iter().flatten().zip(&partials) {
                    if let Some(dot) = self.tangent(operand)? {
                        let args = [a, b.unwrap_or(id)];
                        let slope = self.slope_at(slope, &mut |_, i| Some(args.get(i).copied().unwrap_or(id)))?;
                        terms.push(self.strong_product(dot, slope)?);
                    }
                }
                self.sum(&mut terms)?
            }
            Some(Rule::Strong(a, b)) => self.product_rule(a, b)?,
            None => self.of_node(id)?,
        };
        *self.tangents.get_mut(id as usize)? = Some(made);
        Some(made)
    }

    fn of_node(&mut self, id: Id) -> Option<Tangent> {
        let node = *self.nodes.get(id as usize)?;
        Some(match node {
            Node::Value(i) | Node::Number(i) if usize::from(i) < MOST && self.moving & (1 << i) != 0 => {
                let tangent = self.tangent_value(i);
                let is_number = self.reach_of(tangent) == Reach::Number;
                Some(self.node(if is_number { Node::Number(tangent) } else { Node::Value(tangent) })?)
            }
            Node::Value(_) | Node::Number(_) | Node::Constant(_) | Node::Root | Node::RootNumber => None,
            Node::Arith(Arith::Greater | Arith::Equal | Arith::Unequal, ..) => None,
            Node::Arith(Arith::Add, a, b) => {
                let mut terms: SmallVec<[Id; 2]> = SmallVec::new();
                terms.extend(self.tangent(a)?);
                terms.extend(self.tangent(b)?);
                self.sum(&mut terms)?
            }
            Node::Arith(Arith::Sub, a, b) => match (self.tangent(a)?, self.tangent(b)?) {
                (a, None) => a,
                (None, Some(b)) => Some(self.negated(b)?),
                (Some(a), Some(b)) => Some(self.arith(Arith::Sub, a, b)?),
            },
            Node::Arith(Arith::Mul, a, b) => self.product_rule(a, b)?,
            Node::Arith(Arith::Div, a, b) => {
                let (da, db) = (self.tangent(a)?, self.tangent(b)?);
                if da.is_none() && db.is_none() {
                    return Some(None);
                }
                let one = self.constant(1.0)?;
                let inverse = self.arith(Arith::Div, one, b)?;
                let mut terms: SmallVec<[Id; 2]> = SmallVec::new();
                if let Some(da) = da {
                    terms.push(self.strong_product(da, inverse)?);
                }
                if let Some(db) = db {
                    let slope = self.arith(Arith::Mul, id, inverse)?;
                    let slope = self.negated(slope)?;
                    terms.push(self.strong_product(db, slope)?);
                }
                self.sum(&mut terms)?
            }
            // The sign changes.
            Node::Arith(Arith::Xor, a, sign) if matches!(self.nodes.get(sign as usize), Some(Node::Constant(_))) => {
                match self.tangent(a)? {
                    Some(a) => Some(self.negated(a)?),
                    None => None,
                }
            }
            Node::Pick(mask, a, b) => match (self.tangent(a)?, self.tangent(b)?) {
                (None, None) => None,
                (a, b) => {
                    let zero = self.constant(0.0)?;
                    Some(self.node(Node::Pick(mask, a.unwrap_or(zero), b.unwrap_or(zero)))?)
                }
            },
            // Of what stands still.
            _ if node.is_computed() => {
                for read in node.reads() {
                    if self.tangent(read)?.is_some() {
                        return None;
                    }
                }
                None
            }
            _ => return None,
        })
    }

    fn product_rule(&mut self, a: Id, b: Id) -> Option<Tangent> {
        let mut terms: SmallVec<[Id; 2]> = SmallVec::new();
        if let Some(da) = self.tangent(a)? {
            terms.push(self.strong_product(da, b)?);
        }
        if let Some(db) = self.tangent(b)? {
            terms.push(self.strong_product(db, a)?);
        }
        self.sum(&mut terms)
    }
}
