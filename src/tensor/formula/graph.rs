//! What a formula computes, as a graph: forward its steps, on the way back their slopes too, written out down to arithmetic and the
//! kernels of elementary functions.
//!
//! Nodes stand behind those that they read. What occurs twice is one node.

use smallvec::SmallVec;

use super::layout::Reach;
use super::pull::factor;
use crate::bytecode::formula::{Formula, MOST, Step};
use crate::ops::activation::{RELU, SIGMOID};
use crate::ops::arith::{ABS, ADD, DIV, MUL, NEG, SUB, cheap_power};
use crate::ops::elementwise::ZMUL;
use crate::ops::lanes::Elementwise;
use crate::ops::math::{EXP, SQRT, TANH};
use crate::ops::num::{Ex, Test};
use crate::ops::prim::{Eval, Prim};
use crate::ops::slope::made_of;
use crate::ops::special::{MILLS, NORMAL_DENSITY};

/// Names a node.
pub type Id = u16;

/// Operations on all bits of a number or between two numbers, which vector instructions have. Of comparisons the result is
/// a mask: all bits or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arith {
    Add,
    Sub,
    Mul,
    Div,
    /// The square root of the first operand, which is the second, too.
    Sqrt,
    Greater,
    Equal,
    /// True for NaN.
    Unequal,
    And,
    Or,
    /// The second operand, but the first where that is less (or greater).
    Min,
    Max,
    /// Of all bits as ints.
    AddInt,
    /// The second operand without the bits of the first.
    Without,
    Xor,
}

/// Moves the bits of elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shift {
    Left(u8),
    /// All bits become that of the sign.
    Sign,
}

/// What is known of all elements.
#[derive(Clone, Copy)]
pub enum Node {
    /// The elements of value `i` of the formula, which was computed before: an operand, or a part.
    Value(u8),
    /// Value `i`, which is a number.
    Number(u8),
    Constant(f64),
    /// The cotangent of the result, and the same if it is a number.
    Root,
    RootNumber,
    /// The result.
    Out,
    /// What stands in the place of this output before.
    Before(u16),
    Arith(Arith, Id, Id),
    /// By a mask, of the second where it is set, else of the third.
    Pick(Id, Id, Id),
    /// The product of two, with its sign changed or not, and a third, rounded once.
    Fused(bool, Id, Id, Id),
    Shift(Shift, Id),
    Kernel(&'static Elementwise, Id, Option<Id>),
}

impl Node {
    fn is(&self, other: &Node) -> bool {
        match (*self, *other) {
            (Node::Value(i), Node::Value(j)) | (Node::Number(i), Node::Number(j)) => i == j,
            (Node::Constant(x), Node::Constant(y)) => x.to_bits() == y.to_bits(),
            (Node::Root, Node::Root) | (Node::RootNumber, Node::RootNumber) | (Node::Out, Node::Out) => true,
            (Node::Before(i), Node::Before(j)) => i == j,
            (Node::Arith(op, a, b), Node::Arith(other, c, d)) => (op, a, b) == (other, c, d),
            (Node::Pick(a, b, c), Node::Pick(d, e, f)) => (a, b, c) == (d, e, f),
            (Node::Fused(no, a, b, c), Node::Fused(other, d, e, f)) => (no, a, b, c) == (other, d, e, f),
            (Node::Shift(how, a), Node::Shift(other, b)) => (how, a) == (other, b),
            (Node::Kernel(e, a, b), Node::Kernel(other, c, d)) => std::ptr::eq(e, other) && (a, b) == (c, d),
            _ => false,
        }
    }

    /// The same for all elements.
    pub fn is_number(&self) -> bool {
        matches!(self, Node::Number(_) | Node::Constant(_) | Node::RootNumber)
    }

    /// Made of others.
    pub fn is_computed(&self) -> bool {
        self.is_arithmetic() || matches!(self, Node::Kernel(..))
    }

    /// By operations that vector instructions have.
    pub fn is_arithmetic(&self) -> bool {
        matches!(self, Node::Arith(..) | Node::Pick(..) | Node::Fused(..) | Node::Shift(..))
    }

    /// Those that it reads.
    pub fn reads(&self) -> impl Iterator<Item = Id> {
        let [a, b, c] = match *self {
            Node::Arith(_, a, b) => [Some(a), Some(b), None],
            Node::Pick(a, b, c) | Node::Fused(_, a, b, c) => [Some(a), Some(b), Some(c)],
            Node::Shift(_, a) => [Some(a), None, None],
            Node::Kernel(_, a, b) => [Some(a), b, None],
            _ => [None; 3],
        };
        [a, b, c].into_iter().flatten()
    }
}

/// What an output is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The value of the formula.
    Result,
    /// The same, to be summed.
    Sum,
    /// The cotangent of a value that has an element for each of the result's.
    Cotangent(u8),
    /// The same of one that reaches less far, to be summed.
    Shares(u8),
    /// Something that is [`Asked`] for.
    Aside,
}

/// The nodes, and which of them are wanted.
pub struct Graph {
    pub nodes: Vec<Node>,
    /// About how long each of them takes from the leaves on, in turns of a processor.
    pub depths: Vec<usize>,
    pub outputs: Vec<(Target, Id)>,
    /// What is asked for beside cotangents. What of it is computed is an output, too.
    pub asked: Vec<(Asked, Id)>,
}

/// What may be asked for; a tangent that is not there is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    Result,
    /// The slope of the result in a register.
    Slope(u8),
    ResultTangent,
    /// The tangent of that slope.
    SlopeTangent(u8),
}

/// The cotangent of the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Root {
    Elements,
    Number,
    /// A number that is not 0, nor infinite nor NaN.
    Nonzero,
    One,
}

impl Root {
    pub fn of(number: Option<f64>) -> Root {
        match number {
            None => Root::Elements,
            Some(1.0) => Root::One,
            Some(x) if x != 0.0 && x.is_finite() => Root::Nonzero,
            Some(_) => Root::Number,
        }
    }
}

/// What the way back starts from, and what it is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Backward {
    /// Bit `i`: value `i` depends on registers whose cotangents are wanted.
    pub live: u32,
    pub root: Root,
    /// The result is there.
    pub has_out: bool,
    /// The result is summed up as well.
    pub sums: bool,
    /// Not cotangents are wanted but the result and its slopes.
    pub slopes: bool,
    /// The result, or its sum, is not asked for.
    pub unread: bool,
    /// Slopes are wanted even if they take more memory than they spare.
    pub anyway: bool,
    /// Bit `i`: register `i` has a tangent, which is a value behind those of the steps: then the tangents of what is asked for are, too.
    pub moving: u32,
    /// Bit `i`: value `i`, which a step computes, is there.
    pub kept: u32,
    /// Bit `i`: the cotangent of register `i` is not wanted.
    pub apart: u32,
    /// Bit `i`: that of register `i` is added to what stands in its place.
    pub adds: u32,
}

impl Backward {
    /// The result, its slopes in what is `live`, and the tangents of these.
    pub fn jet(live: u32, root: Root, unread: bool, moving: u32) -> Backward {
        Backward {
            live,
            root,
            has_out: false,
            sums: false,
            slopes: true,
            unread,
            anyway: false,
            moving,
            kept: 0,
            apart: 0,
            adds: 0,
        }
    }
}

/// Elementary functions written out in arithmetic, for elements of this dtype.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    F32,
    F64,
}

pub(super) struct Maker<'a> {
    formula: &'a Formula,
    reach: &'a [Reach],
    pub(super) nodes: Vec<Node>,
    depths: Vec<usize>,
    /// Functions of this dtype are written out.
    pub(super) writes: Option<Writes>,
    /// The nodes of values.
    values: [Option<Id>; MOST],
    root_is_nonzero: bool,
    /// See [`Backward::moving`].
    pub(super) moving: u32,
    /// Where tangents are wanted: what each node was made by, if that is no arithmetic, and its tangent, as far as it is known.
    pub(super) rules: Vec<Option<Rule>>,
    pub(super) tangents: Vec<Option<Option<Id>>>,
}

/// What a node stands for whose derivative is not that of its arithmetic.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Function(&'static Elementwise, Id, Option<Id>),
    /// The product in which a zero on the left wins.
    Strong(Id, Id),
}

/// The values in a mask.
pub(super) fn values_of(mask: u32) -> impl Iterator<Item = u8> {
    (0..MOST as u8).filter(move |i| mask & (1 << i) != 0)
}

/// Nodes, at most.
const FULL: usize = 400;

impl Graph {
    /// The value of a formula, and those in the mask `kept`. `None` if that cannot be written so.
    pub fn forward(formula: &Formula, reach: &[Reach], kept: u32, writes: Option<Writes>) -> Option<Graph> {
        let mut maker = Maker::new(formula, reach, (false, 0), writes);
        let last = maker.value(maker.last())?;
        let target = if formula.total.is_some() { Target::Sum } else { Target::Result };
        let mut outputs = vec![(target, last)];
        for i in values_of(kept) {
            outputs.push((Target::Aside, maker.value(i)?));
        }
        Some(Graph { nodes: maker.nodes, depths: maker.depths, outputs, asked: vec![] })
    }

    /// The result and its slopes in the live registers. `None` if they are not worth the memory: as many slopes may be kept as a way
    /// back without them has functions and quotients to compute.
    pub fn with_slopes(formula: &Formula, reach: &[Reach], way: Backward, writes: Option<Writes>) -> Option<Graph> {
        let graph = Graph::back(formula, reach, way, writes)?;
        if way.unread || way.anyway {
            return Some(graph);
        }
        let without =
            Graph::back(formula, reach, Backward { slopes: false, root: Root::Elements, has_out: true, ..way }, None)?;
        let effort = without.effort();
        (effort > 0 && graph.outputs.len() <= 1 + effort).then_some(graph)
    }

    /// How many functions and quotients there are to compute.
    fn effort(&self) -> usize {
        let is_slow = |node: &Node| matches!(node, Node::Kernel(..) | Node::Arith(Arith::Div | Arith::Sqrt, ..));
        self.nodes.iter().zip(self.needed()).filter(|(node, needed)| *needed && is_slow(node)).count()
    }

    /// Whether each node has to be computed.
    pub fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        let asked = self.asked.iter().map(|(_, id)| id);
        self.outputs.iter().map(|(_, id)| id).chain(asked).for_each(|id| needed[*id as usize] = true);
        for (id, node) in self.nodes.iter().enumerate().rev() {
            if needed[id] {
                node.reads().for_each(|read| needed[read as usize] = true);
            }
        }
        needed
    }

    /// The cotangents of what the steps of the result's shape read.
    pub fn back(formula: &Formula, reach: &[Reach], way: Backward, writes: Option<Writes>) -> Option<Graph> {
        let mut maker = Maker::new(formula, reach, (way.root == Root::Nonzero, way.moving), writes);
        let (mut outputs, mut asked) = (vec![], vec![]);
        for i in values_of(way.kept) {
            let known = maker.node(Node::Value(i))?;
            *maker.values.get_mut(i as usize)? = Some(known);
        }
        let last = maker.last();
        if way.unread {
            // Only what slopes read of it.
        } else if way.slopes {
            let result = maker.value(last)?;
            outputs.push((Target::Result, result));
            asked.push((Asked::Result, result));
        } else if way.sums {
            outputs.push((Target::Sum, maker.value(last)?));
        } else if way.has_out {
            let out = maker.node(Node::Out)?;
            *maker.values.get_mut(last as usize)? = Some(out);
        }
        // What each value gets of the cotangent.
        let mut shares: [SmallVec<[Id; 4]>; MOST] = Default::default();
        shares.get_mut(last as usize)?.push(maker.node(match way.root {
            Root::Elements => Node::Root,
            Root::One => Node::Constant(1.0),
            Root::Number | Root::Nonzero => Node::RootNumber,
        })?);
        let is_live = |i: u8| way.live & (1 << i) != 0;
        for (k, step) in formula.steps.iter().enumerate().rev() {
            let value = formula.value(k) as u8;
            if !is_live(value) || maker.reach_of(value) != Reach::Whole {
                continue;
            }
            let Some(bar) = maker.sum(shares.get_mut(value as usize)?)? else { continue };
            let (a, b) = step.operands();
            for (j, i) in [Some(a), b].into_iter().flatten().enumerate().filter(|(_, i)| is_live(*i)) {
                let share = maker.share(k, *step, j, bar)?;
                shares.get_mut(i as usize)?.push(share);
            }
        }
        for i in 0..last {
            let is_step = i as usize >= formula.value(0) && maker.reach_of(i) == Reach::Whole;
            if is_step {
                continue;
            }
            let Some(bar) = maker.sum(shares.get_mut(i as usize)?)? else { continue };
            match (maker.reach_of(i), (i as usize) < formula.registers.len()) {
                // Steps on parts have ways back of their own.
                (_, false) if way.slopes => return None,
                (_, true) if way.slopes => asked.push((Asked::Slope(i), bar)),
                (Reach::Whole, true) if way.apart & (1 << i) != 0 => {}
                (Reach::Whole, true) if way.adds & (1 << i) != 0 => {
                    let before = maker.node(Node::Before(outputs.len() as u16))?;
                    outputs.push((Target::Cotangent(i), maker.node(Node::Arith(Arith::Add, before, bar))?));
                }
                (Reach::Whole, true) => outputs.push((Target::Cotangent(i), bar)),
                _ => outputs.push((Target::Shares(i), bar)),
            }
        }
        if way.moving != 0 {
            for (what, id) in asked.clone() {
                let what = match what {
                    Asked::Slope(i) => Asked::SlopeTangent(i),
                    _ => Asked::ResultTangent,
                };
                asked.extend(maker.tangent(id)?.map(|tangent| (what, tangent)));
            }
        }
        for (_, id) in &asked {
            let is_computed = maker.nodes.get(*id as usize).is_some_and(Node::is_computed);
            if is_computed && !outputs.iter().any(|(_, output)| output == id) {
                outputs.push((Target::Aside, *id));
            }
        }
        Some(Graph { nodes: maker.nodes, depths: maker.depths, outputs, asked })
    }
}

impl<'a> Maker<'a> {
    fn new(
        formula: &'a Formula,
        reach: &'a [Reach],
        (root_is_nonzero, moving): (bool, u32),
        writes: Option<Writes>,
    ) -> Maker<'a> {
        Maker {
            formula,
            reach,
            nodes: vec![],
            depths: vec![],
            writes,
            values: [None; MOST],
            root_is_nonzero,
            moving,
            rules: vec![],
            tangents: vec![],
        }
    }

    /// The value that is the tangent of register `i`.
    pub(super) fn tangent_value(&self, i: u8) -> u8 {
        self.last() + 1 + i
    }

    fn last(&self) -> u8 {
        (self.formula.value(self.formula.steps.len()) - 1) as u8
    }

    pub(super) fn reach_of(&self, i: u8) -> Reach {
        self.reach.get(i as usize).copied().unwrap_or(Reach::Whole)
    }

    pub(super) fn node(&mut self, node: Node) -> Option<Id> {
        if let Some(at) = self.nodes.iter().position(|other| other.is(&node)) {
            return Some(at as Id);
        }
        let before = node.reads().filter_map(|read| self.depths.get(read as usize)).max().copied().unwrap_or(0);
        let own = match node {
            Node::Arith(Arith::Add | Arith::Sub | Arith::Mul, ..) | Node::Fused(..) => 4,
            Node::Arith(Arith::Div | Arith::Sqrt, ..) => 12,
            Node::Arith(..) | Node::Pick(..) | Node::Shift(..) => 1,
            Node::Kernel(..) => 60,
            _ => 0,
        };
        self.depths.push(before + own);
        self.nodes.push(node);
        self.rules.push(None);
        self.tangents.push(None);
        (self.nodes.len() <= FULL).then(|| self.nodes.len() as Id - 1)
    }

    pub(super) fn arith(&mut self, op: Arith, a: Id, b: Id) -> Option<Id> {
        let (a, b) = if let Arith::Add | Arith::Mul = op { (a.min(b), a.max(b)) } else { (a, b) };
        self.node(Node::Arith(op, a, b))
    }

    /// The sum of these, if there are any: what is known last is added last, so that little has to wait for it.
    pub(super) fn sum(&mut self, parts: &mut [Id]) -> Option<Option<Id>> {
        parts.sort_by_key(|id| self.depths.get(*id as usize).copied().unwrap_or(0));
        let Some((&first, rest)) = parts.split_first() else { return Some(None) };
        let mut sum = first;
        for &part in rest {
            let sign = self.constant(-0.0)?;
            sum = match self.nodes.get(part as usize) {
                Some(&Node::Arith(Arith::Xor, b, other)) if other == sign => self.arith(Arith::Sub, sum, b)?,
                _ => self.arith(Arith::Add, sum, part)?,
            };
        }
        Some(Some(sum))
    }

    pub(super) fn constant(&mut self, x: f64) -> Option<Id> {
        self.node(Node::Constant(x))
    }

    pub(super) fn negated(&mut self, a: Id) -> Option<Id> {
        if let Some(Node::Constant(x)) = self.nodes.get(a as usize) {
            return self.constant(-x);
        }
        // Its only bit is the sign.
        let sign = self.constant(-0.0)?;
        if let Some(Node::Arith(Arith::Xor, b, other)) = self.nodes.get(a as usize)
            && *other == sign
        {
            return Some(*b);
        }
        self.arith(Arith::Xor, a, sign)
    }

    pub(super) fn absolute(&mut self, a: Id) -> Option<Id> {
        let sign = self.constant(-0.0)?;
        match self.nodes.get(a as usize) {
            // Of the negated the same.
            Some(&Node::Arith(Arith::Xor, b, other)) if other == sign => self.arith(Arith::Without, sign, b),
            _ => self.arith(Arith::Without, sign, a),
        }
    }

    /// The product, but 0 where `a` is 0.
    pub(super) fn strong_product(&mut self, a: Id, b: Id) -> Option<Id> {
        let made = self.masked_product(a, b)?;
        if matches!(self.nodes.get(made as usize), Some(Node::Arith(Arith::And, ..))) {
            self.note(made, Rule::Strong(a, b));
        }
        Some(made)
    }

    fn note(&mut self, id: Id, rule: Rule) {
        if let Some(known @ None) = self.rules.get_mut(id as usize) {
            *known = Some(rule);
        }
    }

    fn masked_product(&mut self, a: Id, b: Id) -> Option<Id> {
        let of = |id: Id| self.nodes.get(id as usize).copied();
        match (of(a), of(b)) {
            (Some(Node::Constant(1.0)), _) => return Some(b),
            (Some(Node::Constant(-1.0)), _) => return self.negated(b),
            (Some(Node::Constant(x)), _) if x != 0.0 && x.is_finite() => return self.arith(Arith::Mul, a, b),
            (_, Some(Node::Constant(1.0))) => return Some(a),
            // Zero times anything finite is zero.
            (Some(Node::RootNumber), _) if self.root_is_nonzero => return self.arith(Arith::Mul, a, b),
            (_, Some(Node::Constant(x))) if x.is_finite() => return self.arith(Arith::Mul, a, b),
            _ => {}
        }
        let zero = self.constant(0.0)?;
        let is_not = self.arith(Arith::Unequal, a, zero)?;
        let product = self.arith(Arith::Mul, a, b)?;
        self.arith(Arith::And, is_not, product)
    }

    fn value(&mut self, i: u8) -> Option<Id> {
        if let Some(known) = *self.values.get(i as usize)? {
            return Some(known);
        }
        let first = self.formula.value(0);
        let node = match self.reach_of(i) {
            Reach::Number => {
                match self.formula.constants.get((i as usize).wrapping_sub(self.formula.registers.len())) {
                    Some(x) => self.constant(*x)?,
                    None => self.node(Node::Number(i))?,
                }
            }
            Reach::Whole if i as usize >= first => self.step(*self.formula.steps.get(i as usize - first)?)?,
            _ => self.node(Node::Value(i))?,
        };
        *self.values.get_mut(i as usize)? = Some(node);
        Some(node)
    }

    fn step(&mut self, step: Step) -> Option<Id> {
        let (a, b) = step.operands();
        let a = self.value(a)?;
        let b = if let Some(b) = b { Some(self.value(b)?) } else { None };
        match (step, b) {
            (Step::Add(..), Some(b)) => self.arith(Arith::Add, a, b),
            (Step::Sub(..), Some(b)) => self.arith(Arith::Sub, a, b),
            (Step::Mul(..), Some(b)) => self.arith(Arith::Mul, a, b),
            (Step::Div(..), Some(b)) => self.arith(Arith::Div, a, b),
            (Step::Neg(_), _) => self.negated(a),
            _ => self.function(step.inside()?, a, b),
        }
    }

    /// A function, by arithmetic if it is that.
    pub(super) fn function(&mut self, inside: &'static Elementwise, a: Id, b: Option<Id>) -> Option<Id> {
        let made = self.written(inside, a, b)?;
        let is = |prim: &&'static Prim| matches!(&prim.eval, Eval::Elementwise(e) if std::ptr::eq(*e, inside));
        let is_arithmetic = [&ADD, &SUB, &MUL, &DIV, &NEG, &ZMUL].iter().any(is) || cheap_power(inside).is_some();
        if !is_arithmetic {
            self.note(made, Rule::Function(inside, a, b));
        }
        Some(made)
    }

    fn written(&mut self, inside: &'static Elementwise, a: Id, b: Option<Id>) -> Option<Id> {
        let is = |prim: &'static Prim| matches!(&prim.eval, Eval::Elementwise(e) if std::ptr::eq(*e, inside));
        match (cheap_power(inside), b) {
            (Some(1), _) => Some(a),
            (Some(2), _) => self.arith(Arith::Mul, a, a),
            (Some(3), _) => {
                let square = self.arith(Arith::Mul, a, a)?;
                self.arith(Arith::Mul, square, a)
            }
            (Some(4), _) => {
                let square = self.arith(Arith::Mul, a, a)?;
                self.arith(Arith::Mul, square, square)
            }
            (Some(-1), _) => {
                let one = self.constant(1.0)?;
                self.arith(Arith::Div, one, a)
            }
            (_, None) if is(&SQRT) => self.arith(Arith::Sqrt, a, a),
            (_, None) if is(&NEG) => self.negated(a),
            (_, None) if is(&ABS) => self.absolute(a),
            (_, None) if is(&RELU) => {
                let zero = self.constant(0.0)?;
                let mask = self.arith(Arith::Greater, zero, a)?;
                self.node(Node::Pick(mask, zero, a))
            }
            (_, Some(b)) if is(&ADD) => self.arith(Arith::Add, a, b),
            (_, Some(b)) if is(&SUB) => self.arith(Arith::Sub, a, b),
            (_, Some(b)) if is(&MUL) => self.arith(Arith::Mul, a, b),
            (_, Some(b)) if is(&DIV) => self.arith(Arith::Div, a, b),
            (_, Some(b)) if is(&ZMUL) => self.strong_product(a, b),
            _ if inside.check.is_some() => None,
            (_, None) if self.writes.is_some() && is(&TANH) => self.tanh(a),
            (_, None) if self.writes.is_some() && is(&SIGMOID) => self.sigmoid(a),
            (_, None) if self.writes.is_some() && is(&EXP) => self.exp(a),
            (_, None) if self.writes.is_some() && is(&NORMAL_DENSITY) => self.density(a),
            (_, None) if self.writes.is_some() && is(&MILLS) => self.mills(a),
            _ => match made_of(inside) {
                Some(made) => self.slope_at(&made, &mut |_, _| Some(a)),
                None => self.node(Node::Kernel(inside, a, b)),
            },
        }
    }

    /// What operand `j` of step `k` gets of the cotangent of its value.
    fn share(&mut self, k: usize, step: Step, j: usize, bar: Id) -> Option<Id> {
        match factor(step, j) {
            Some(1.0) => return Some(bar),
            Some(_) => return self.negated(bar),
            None => {}
        }
        let slope = match step {
            // A quotient takes long; both slopes have this one.
            Step::Div(a, b) => {
                let (one, b) = (self.constant(1.0)?, self.value(b)?);
                let inverse = self.arith(Arith::Div, one, b)?;
                if j == 0 {
                    inverse
                } else {
                    // If nothing else reads the quotient, a product with the inverse will do.
                    let y = match self.values.get(self.formula.value(k)).copied().flatten() {
                        Some(known) => known,
                        None => {
                            let a = self.value(a)?;
                            self.arith(Arith::Mul, a, inverse)?
                        }
                    };
                    let slope = self.arith(Arith::Mul, y, inverse)?;
                    self.negated(slope)?
                }
            }
            _ => {
                let slopes = (step.inside()?.partials)();
                self.slope(slopes.get(j)?, k, step)?
            }
        };
        self.strong_product(bar, slope)
    }

    fn slope(&mut self, slope: &Ex, k: usize, step: Step) -> Option<Id> {
        let (a, b) = step.operands();
        let value = self.formula.value(k) as u8;
        self.slope_at(slope, &mut |maker, i| {
            maker.value(match (i, b) {
                (0, _) => a,
                (1, Some(b)) => b,
                _ => value,
            })
        })
    }

    /// An expression, a slope for one, whose arguments and result `arg` gives by their numbers.
    pub(super) fn slope_at(&mut self, slope: &Ex, arg: &mut dyn FnMut(&mut Self, usize) -> Option<Id>) -> Option<Id> {
        match slope {
            Ex::Const(x) => self.constant(*x),
            Ex::Arg(i) => arg(self, *i),
            Ex::Unary(prim, a) => {
                let a = self.slope_at(a, arg)?;
                self.function(inside(prim)?, a, None)
            }
            Ex::Binary(prim, a, b) => {
                let (a, b) = (self.slope_at(a, arg)?, self.slope_at(b, arg)?);
                self.function(inside(prim)?, a, Some(b))
            }
            Ex::Select(test, parts) => {
                let mut of = |i: usize| self.slope_at(parts.get(i)?, arg);
                let (a, b, yes, no) = (of(0)?, of(1)?, of(2)?, of(3)?);
                let mask = self.arith(if *test == Test::Greater { Arith::Greater } else { Arith::Equal }, a, b)?;
                self.node(Node::Pick(mask, yes, no))
            }
        }
    }
}

fn inside(prim: &'static Prim) -> Option<&'static Elementwise> {
    if let Eval::Elementwise(e) = &prim.eval { Some(e) } else { None }
}
