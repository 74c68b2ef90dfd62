//! Which expressions become formulas. Functions that are formulas themselves are written out in it (`inline`).

use std::cell::Cell;
use std::rc::Rc;

use crate::builtins::wraps::wrapped;
use crate::bytecode::formula::{Binary, Formula, MOST, Step, Total, Unary, Window};
use crate::bytecode::op::{Count, GlobalSlot, Op, Reg};
use crate::compile::FnCompiler;
use crate::compile::inline::{Bound, Scope};
use crate::compile::literal::{Number, number};
use crate::ops::activation::{GELU, gelu_kind};
use crate::ops::elementwise::{CLAMP, MAXIMUM, MINIMUM, POW};
use crate::ops::lanes::{Elementwise, Ints, Scalar};
use crate::ops::prim::{Diff, Eval, Prim};
use crate::resolve::{GlobalId, GlobalKind, LocalId, Res};
use crate::source::Span;
use crate::syntax::ast::*;
use crate::value::Value;

thread_local! {
    /// False: no formulas are made, every operation is an instruction of its own.
    static FUSION: Cell<bool> = Cell::new(std::env::var_os("DLANG_FUSION").is_none_or(|wish| wish != "off"));
}

/// Whether what this thread compiles from now on has formulas. Without, it computes the same, more slowly: a way to find out whether a
/// formula is to blame. The environment variable `DLANG_FUSION=off` does it from the start.
pub fn set_fusion(on: bool) {
    FUSION.set(on);
}

/// Whether this thread makes one operation of several.
pub fn fuses() -> bool {
    FUSION.get()
}

/// A formula in the making.
#[derive(Default)]
pub struct Draft<'e> {
    /// Variables and the parts that are no scalar operations, in order of evaluation.
    leaves: Vec<Leaf<'e>>,
    /// Windows of leaves that are vectors: which leaf, and what of it.
    windows: Vec<(usize, Window)>,
    /// Slices and margins of vectors are windows.
    windowed: bool,
    /// Leaves that are written again, and which they are.
    again: Vec<(NodeId, usize)>,
    constants: Vec<(f64, bool)>,
    /// Steps whose operands are not numbered yet.
    steps: Vec<Planned>,
    /// Calls of functions that became part of it.
    pub calls: usize,
    /// Leaves that an annotation wants to be floats.
    pub floats: Vec<usize>,
    /// An annotation wants a number where a tensor might come.
    pub is_scalar: bool,
    /// `max` and `min` of two are steps, which they are of numbers only.
    extremes: bool,
    /// A part is evaluated that may do anything, after an operation.
    disorder: bool,
    /// Calls stay calls.
    keeps_calls: bool,
    /// Operations on numbers as written are done.
    folded: bool,
}

/// How long the lists of a draft were, to take back what came after.
pub struct DraftMark([usize; 7], [bool; 2]);

/// What a formula reads.
enum Leaf<'e> {
    Expr(&'e Expr),
    /// A local that a function written out here has captured.
    Local(LocalId),
    /// A global that it reads.
    Global(GlobalId, Span),
}

/// A value of a draft.
#[derive(Clone, Copy)]
pub enum Part {
    Leaf(usize),
    Window(usize),
    Constant(usize),
    Step(usize),
}

#[derive(Clone, Copy)]
struct Planned {
    what: What,
    a: Part,
    b: Part,
}

#[derive(Clone, Copy)]
enum What {
    Operator(BinOp),
    Neg,
    Unary(Unary),
    Binary(Binary),
}

impl<'a> FnCompiler<'a> {
    /// An expression of several scalar operations: a formula, and behind it the instructions for all other values.
    /// False if it is none.
    pub fn formula(&mut self, e: &Expr, dst: Reg) -> bool {
        if self.one_by_one || !FUSION.get() {
            return false;
        }
        let (total, inner) = self.total(e).map_or((None, e), |(total, inner)| (Some(total), inner));
        if !self.is_operation(inner) {
            return false;
        }
        let draft = match self.drafted(e, (total, inner), !self.no_windows) {
            Err(true) => self.drafted(e, (total, inner), false),
            draft => draft,
        };
        let Ok(draft) = draft else { return false };
        let before = self.leaves.len();
        let mut own: Vec<Reg> = vec![];
        for leaf in &draft.leaves {
            own.push(match *leaf {
                Leaf::Expr(e) => {
                    let reg = self.operand(e);
                    self.leaves.push((e.id, reg));
                    reg
                }
                Leaf::Local(local) => self.reg(local),
                Leaf::Global(id, span) => {
                    let reg = self.temp();
                    let global = GlobalSlot(self.context.global(id));
                    self.emit(Op::PeekGlobal { dst: reg, global }, span);
                    reg
                }
            });
        }
        self.leaves.extend(draft.again.iter().map(|(id, leaf)| (*id, own[*leaf])));
        let mut operands: Vec<(Reg, Option<Window>)> = vec![];
        let mut place = |operand: (Reg, Option<Window>)| {
            operands.iter().position(|known| *known == operand).unwrap_or_else(|| {
                operands.push(operand);
                operands.len() - 1
            })
        };
        let places: Vec<usize> =
            own.iter().enumerate().map(|(i, reg)| if draft.is_whole(i) { place((*reg, None)) } else { 0 }).collect();
        let windows: Vec<usize> =
            draft.windows.iter().map(|(leaf, window)| place((own[*leaf], Some(*window)))).collect();
        let constants = draft.used_constants();
        let number = |part: Part| match part {
            Part::Leaf(i) => places[i] as u8,
            Part::Window(i) => windows[i] as u8,
            Part::Constant(i) => (operands.len() + constants.iter().position(|c| *c == i).unwrap_or(0)) as u8,
            Part::Step(i) => (operands.len() + constants.len() + i) as u8,
        };
        let steps = draft.steps.iter().map(|s| {
            let (a, b) = (number(s.a), number(s.b));
            match s.what {
                What::Operator(BinOp::Add) => Step::Add(a, b),
                What::Operator(BinOp::Sub) => Step::Sub(a, b),
                What::Operator(BinOp::Mul) => Step::Mul(a, b),
                What::Operator(_) => Step::Div(a, b),
                What::Neg => Step::Neg(a),
                What::Unary(u) => Step::Unary(a, u),
                What::Binary(f) => Step::Binary(a, b, f),
            }
        });
        let steps = steps.collect();
        let constants: Vec<(f64, bool)> = constants.iter().filter_map(|i| draft.constants.get(*i).copied()).collect();
        let ints = constants.iter().enumerate().filter(|(_, (_, int))| *int);
        let ints = ints.fold(0, |mask, (i, _)| mask | 1 << (operands.len() + i));
        let constants = constants.into_iter().map(|(x, _)| x).collect();
        let floats = draft.floats.iter().fold(0, |mask, leaf| mask | 1 << places[*leaf]);
        let (registers, windows): (Vec<Reg>, Vec<Option<Window>>) = operands.into_iter().unzip();
        let windowed = !draft.windows.is_empty();
        let formula = Formula::new(registers, constants, steps, ints)
            .with_windows(if windowed { windows } else { vec![] })
            .with_total(total)
            .with_annotations(floats, draft.is_scalar);
        // All ints as written: `2 * 3`, or a power of one.
        let useful = formula.is_float(0);
        let at = self.writer.chunk.code.len();
        if useful {
            self.writer.chunk.formulas.push(Rc::new(formula));
            let formula = self.writer.table(self.writer.chunk.formulas.len());
            let words = Count(0);
            let op =
                if total.is_some() { Op::Total { dst, formula, words } } else { Op::Formula { dst, formula, words } };
            self.emit(op, e.span);
        }
        if windowed {
            // Slices and margins may be parts of any values: a formula of whole ones does for many.
            self.no_windows = true;
            if !self.formula(e, dst) {
                self.expr_inner(e, dst);
            }
            self.no_windows = false;
        } else {
            self.one_by_one = true;
            self.expr_inner(e, dst);
            self.one_by_one = false;
        }
        self.leaves.truncate(before);
        if useful {
            self.writer.skip_from(at);
        }
        true
    }

    /// The draft of an expression; `Err` if it is not worth a formula, or can't be one, true if it has windows.
    fn drafted<'e>(
        &self,
        e: &Expr,
        (total, inner): (Option<Total>, &'e Expr),
        windowed: bool,
    ) -> Result<Draft<'e>, bool>
    where
        'a: 'e,
    {
        let extremes = self.extreme(inner).is_some();
        let windowed = windowed && !extremes;
        let begin = || Draft { extremes, is_scalar: extremes, windowed, ..Draft::default() };
        let mut draft = begin();
        let mut root = self.draft(inner, &mut draft, None);
        if draft.calls > 0 && (draft.is_full() || draft.disorder) {
            draft = Draft { keeps_calls: true, ..begin() };
            root = self.draft(inner, &mut draft, None);
        }
        let has_windows = !draft.windows.is_empty();
        let Some(Part::Step(last)) = root else { return Err(has_windows) };
        let worth = total.is_some()
            || extremes
            || draft.calls > 0
            || self.has_options(inner)
            || draft.windows.iter().any(|(_, window)| window.is_padded())
            || draft.steps.len() > 2
            || draft.steps.len() == 2 && (draft.folded || !is_mul_add(e));
        let assigns = |leaf: &Leaf<'_>| matches!(leaf, Leaf::Expr(e) if self.may_assign(e));
        // Windows are of tensors only.
        if !worth
            || last + 1 != draft.steps.len()
            || draft.disorder
            || draft.is_over()
            || has_windows && draft.is_scalar
            || draft.leaves.iter().any(assigns)
        {
            return Err(has_windows);
        }
        Ok(draft)
    }

    /// The register of a formula's part that was computed before.
    pub fn leaf(&self, id: NodeId) -> Option<Reg> {
        self.leaves.iter().rev().find(|(leaf, _)| *leaf == id).map(|(_, reg)| *reg)
    }

    /// Adds an expression; inside of a function that is written out, `None` if that can't be.
    pub fn draft<'e>(&self, e: &'e Expr, draft: &mut Draft<'e>, scope: Option<&Scope<'_>>) -> Option<Part>
    where
        'a: 'e,
    {
        if let Some(n) = number(e) {
            return Some(draft.constant(n));
        }
        match &e.kind {
            ExprKind::Name(_) => match (self.res(e.id), scope) {
                (Res::Constant(x), _) => return Some(draft.constant(Number::Float(x))),
                (Res::Global(id), _) if let Some(n) = self.context.number(id) => return Some(draft.constant(n)),
                (res, Some(scope)) => {
                    return match scope.find(res)? {
                        Bound::Part(part) => Some(part),
                        Bound::Local(local) => Some(draft.leaf(Leaf::Local(local))),
                        Bound::Global(id) => self.global(id, e.span, draft),
                    };
                }
                _ => {}
            },
            ExprKind::Unary(UnOp::Neg, x) => {
                let a = self.draft(x, draft, scope)?;
                return Some(draft.step(What::Neg, a, a));
            }
            ExprKind::Binary(op @ (BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Div), x, y) => {
                let a = self.draft(x, draft, scope)?;
                let b = self.draft(y, draft, scope)?;
                return Some(draft.step(What::Operator(*op), a, b));
            }
            ExprKind::Binary(BinOp::Pow, x, y) => {
                if let Some(power) = power(y) {
                    let a = self.draft(x, draft, scope)?;
                    let b = if let What::Unary(_) = power { a } else { self.draft(y, draft, scope)? };
                    return Some(draft.step(power, a, b));
                }
            }
            ExprKind::Call { .. } if draft.extremes && self.extreme(e).is_some() => {
                let (first, others) = self.extreme(e)?;
                let mut a = self.draft(first, draft, scope)?;
                for (f, y) in others {
                    let b = self.draft(y, draft, scope)?;
                    a = draft.step(f, a, b);
                }
                return Some(a);
            }
            ExprKind::Call { callee, args } => match (self.scalar_function(callee, args), &args[..]) {
                (Some(f), [x]) | (Some(f @ What::Unary(_)), [x, _]) => {
                    let a = self.draft(&x.value, draft, scope)?;
                    return Some(draft.step(f, a, a));
                }
                (Some(f), [x, y]) => {
                    let a = self.draft(&x.value, draft, scope)?;
                    let b = self.draft(&y.value, draft, scope)?;
                    return Some(draft.step(f, a, b));
                }
                _ => {
                    let mark = draft.mark();
                    if let Some(part) = self.written_out(callee, args, draft, scope) {
                        return Some(part);
                    }
                    draft.take_back(mark);
                }
            },
            _ => {}
        }
        if scope.is_some() {
            return None;
        }
        if draft.windowed
            && let Some((vector, window)) = self.window(e)
        {
            let leaf = self.computed(vector, draft);
            return Some(draft.window(leaf, window));
        }
        draft.disorder |= !draft.steps.is_empty() && !is_quiet(e);
        Some(Part::Leaf(self.computed(e, draft)))
    }

    /// The leaf that an expression is. Written twice, computed once: `x[1:]` is one part of the formula wherever it stands.
    fn computed<'e>(&self, e: &'e Expr, draft: &mut Draft<'e>) -> usize {
        let same = |leaf: &Leaf<'_>| matches!(leaf, Leaf::Expr(known) if is_quiet(known) && self.is_same(known, e));
        if let Some(known) = draft.leaves.iter().position(same) {
            draft.again.push((e.id, known));
            return known;
        }
        draft.leaves.push(Leaf::Expr(e));
        draft.leaves.len() - 1
    }

    /// A global that a function written out here reads.
    fn global(&self, id: GlobalId, span: Span, draft: &mut Draft<'_>) -> Option<Part> {
        if let Some(n) = self.context.number(id) {
            return Some(draft.constant(n));
        }
        let variable = matches!(self.context.kind(id), GlobalKind::Variable | GlobalKind::Param);
        variable.then(|| draft.leaf(Leaf::Global(id, span)))
    }

    /// Whether two expressions are written alike and their names stand for the same.
    fn is_same(&self, a: &Expr, b: &Expr) -> bool {
        let same = |a: &Option<Expr>, b: &Option<Expr>| match (a, b) {
            (Some(a), Some(b)) => self.is_same(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        match (&a.kind, &b.kind) {
            (ExprKind::Name(_), ExprKind::Name(_)) => match (self.res(a.id), self.res(b.id)) {
                (Res::Local(a), Res::Local(b)) => a == b,
                (Res::Global(a), Res::Global(b)) => a == b,
                _ => false,
            },
            (ExprKind::Int(a), ExprKind::Int(b)) => a == b,
            (ExprKind::Float(a), ExprKind::Float(b)) => a.to_bits() == b.to_bits(),
            (ExprKind::Field { base: a, name: x, .. }, ExprKind::Field { base: b, name: y, .. }) => {
                x.name == y.name && self.is_same(a, b)
            }
            (ExprKind::Unary(op, a), ExprKind::Unary(other, b)) => op == other && self.is_same(a, b),
            (ExprKind::Binary(op, a, b), ExprKind::Binary(other, c, d)) => {
                op == other && self.is_same(a, c) && self.is_same(b, d)
            }
            (ExprKind::Index { base: a, items: x }, ExprKind::Index { base: b, items: y }) => {
                let item = |(x, y): (&IndexItem, &IndexItem)| match (x, y) {
                    (IndexItem::At(a), IndexItem::At(b)) => self.is_same(a, b),
                    (
                        IndexItem::Slice { start, stop, step, .. },
                        IndexItem::Slice { start: start_b, stop: stop_b, step: step_b, .. },
                    ) => same(start, start_b) && same(stop, stop_b) && same(step, step_b),
                    (IndexItem::Ellipsis(_), IndexItem::Ellipsis(_)) => true,
                    _ => false,
                };
                x.len() == y.len() && self.is_same(a, b) && x.iter().zip(y).all(item)
            }
            _ => false,
        }
    }

    fn is_operation(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Unary(UnOp::Neg, _) => number(e).is_none(),
            ExprKind::Binary(BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Div, ..) => true,
            ExprKind::Binary(BinOp::Pow, _, y) => power(y).is_some(),
            ExprKind::Call { callee, args } => {
                self.scalar_function(callee, args).is_some()
                    || self.function_to_write_out(callee, None).is_some()
                    || self.extreme(e).is_some()
            }
            _ => false,
        }
    }

    /// A function with options, which has no instruction of its own.
    fn has_options(&self, e: &Expr) -> bool {
        let ExprKind::Call { callee, .. } = &e.kind else { return false };
        matches!(self.res(callee.id), Res::Prim(prim) if std::ptr::eq(prim, &GELU))
    }

    /// `sum(x)` or `mean(x)`, over all elements.
    fn total<'e>(&self, e: &'e Expr) -> Option<(Total, &'e Expr)> {
        let ExprKind::Call { callee, args } = &e.kind else { return None };
        let (ExprKind::Name(_), [x]) = (&callee.kind, &args[..]) else { return None };
        // The builtins are the primitives for tensors, and only those are taken.
        let name = match self.res(callee.id) {
            Res::Prim(prim) => prim.name,
            Res::Builtin(builtin) => wrapped(builtin)?.name,
            _ => return None,
        };
        let total = match name {
            "sum" => Total::Sum,
            "mean" => Total::Mean,
            _ => return None,
        };
        (!x.inout && x.name.is_none()).then_some((total, &x.value))
    }

    /// `max(x, y)` or `min(x, y)`, and `clamp` to numbers in order: of numbers they are primitives of two arguments, one after the other.
    fn extreme<'e>(&self, e: &'e Expr) -> Option<(&'e Expr, Vec<(What, &'e Expr)>)> {
        let ExprKind::Call { callee, args } = &e.kind else { return None };
        let ExprKind::Name(_) = &callee.kind else { return None };
        if args.iter().any(|a| a.inout || a.name.is_some()) {
            return None;
        }
        let (largest, smallest) = (what(elementwise(&MAXIMUM)?)?, what(elementwise(&MINIMUM)?)?);
        match (self.res(callee.id), &args[..]) {
            (Res::Builtin(f), [x, y]) => match wrapped(f)?.name {
                "max" => Some((&x.value, vec![(largest, &y.value)])),
                "min" => Some((&x.value, vec![(smallest, &y.value)])),
                _ => None,
            },
            (Res::Prim(prim), [x, lo, hi]) if std::ptr::eq(prim, &CLAMP) => {
                let ordered = number(&lo.value)?.float() <= number(&hi.value)?.float();
                ordered.then(|| (&x.value, vec![(largest, &lo.value), (smallest, &hi.value)]))
            }
            _ => None,
        }
    }

    /// The elementwise primitive of one or two arguments that is called.
    fn scalar_function(&self, callee: &Expr, args: &[Arg]) -> Option<What> {
        let ExprKind::Name(_) = &callee.kind else { return None };
        let Res::Prim(mut prim) = self.res(callee.id) else { return None };
        let mut args = args;
        if std::ptr::eq(prim, &GELU) {
            let approximate = match args.get(1).map(|arg| (&arg.name, &arg.value.kind)) {
                None => false,
                Some((None, ExprKind::Bool(is))) => *is,
                Some((Some(name), ExprKind::Bool(is))) if &*name.name == "approximate" => *is,
                _ => return None,
            };
            (prim, args) = (gelu_kind(approximate), args.get(..1)?);
        }
        if prim.sig.params.len() != args.len() || args.iter().any(|a| a.inout || a.name.is_some()) {
            return None;
        }
        let e = elementwise(prim)?;
        if e.special.is_some() {
            return None;
        }
        what(e)
    }
}

impl<'e> Draft<'e> {
    fn constant(&mut self, n: Number) -> Part {
        self.constants.push(match n {
            Number::Int(i) => (i as f64, true),
            Number::Float(x) => (x, false),
        });
        Part::Constant(self.constants.len() - 1)
    }

    fn step(&mut self, what: What, a: Part, b: Part) -> Part {
        if let (What::Operator(op), Part::Constant(a), Part::Constant(b)) = (what, a, b)
            && let (Some(&(x, x_int)), Some(&(y, y_int))) = (self.constants.get(a), self.constants.get(b))
            && !(x_int && y_int)
        {
            self.folded = true;
            return self.constant(Number::Float(match op {
                BinOp::Add => x + y,
                BinOp::Sub => x - y,
                BinOp::Mul => x * y,
                _ => x / y,
            }));
        }
        self.steps.push(Planned { what, a, b });
        Part::Step(self.steps.len() - 1)
    }

    /// A window of a leaf.
    fn window(&mut self, leaf: usize, window: Window) -> Part {
        let known = self.windows.iter().position(|known| *known == (leaf, window));
        Part::Window(known.unwrap_or_else(|| {
            self.windows.push((leaf, window));
            self.windows.len() - 1
        }))
    }

    /// Whether a leaf is read as a whole.
    fn is_whole(&self, leaf: usize) -> bool {
        let reads = |part: Part| matches!(part, Part::Leaf(i) if i == leaf);
        !self.windows.iter().any(|(of, _)| *of == leaf)
            || self.floats.contains(&leaf)
            || self.steps.iter().any(|s| reads(s.a) || reads(s.b))
    }

    fn leaf(&mut self, leaf: Leaf<'e>) -> Part {
        let known = self.leaves.iter().position(|known| match (known, &leaf) {
            (Leaf::Local(a), Leaf::Local(b)) => a == b,
            (Leaf::Global(a, _), Leaf::Global(b, _)) => a == b,
            _ => false,
        });
        Part::Leaf(known.unwrap_or_else(|| {
            self.leaves.push(leaf);
            self.leaves.len() - 1
        }))
    }

    /// The constants that steps read, in order: others have become part of these.
    fn used_constants(&self) -> Vec<usize> {
        let mut used: Vec<usize> = vec![];
        for part in self.steps.iter().flat_map(|s| [s.a, s.b]) {
            if let Part::Constant(i) = part
                && !used.contains(&i)
            {
                used.push(i);
            }
        }
        used
    }

    /// True if no function is to be written out any more.
    pub fn is_full(&self) -> bool {
        self.keeps_calls || self.is_over()
    }

    fn is_over(&self) -> bool {
        self.leaves.len() + self.windows.len() + self.constants.len() + self.steps.len() > MOST
    }

    /// The state, to come back to.
    pub fn mark(&self) -> DraftMark {
        let [leaves, windows, again] = [self.leaves.len(), self.windows.len(), self.again.len()];
        let [constants, steps, floats] = [self.constants.len(), self.steps.len(), self.floats.len()];
        DraftMark([leaves, windows, again, constants, steps, self.calls, floats], [self.is_scalar, self.disorder])
    }

    /// Goes back to a state.
    pub fn take_back(&mut self, mark: DraftMark) {
        let DraftMark([leaves, windows, again, constants, steps, calls, floats], [is_scalar, disorder]) = mark;
        self.leaves.truncate(leaves);
        self.windows.truncate(windows);
        self.again.truncate(again);
        self.constants.truncate(constants);
        self.steps.truncate(steps);
        self.floats.truncate(floats);
        (self.calls, self.is_scalar, self.disorder) = (calls, is_scalar, disorder);
    }

    /// Whether a part is an int as written.
    pub fn is_int(&self, part: Part) -> bool {
        matches!(part, Part::Constant(i) if self.constants.get(i).is_some_and(|(_, int)| *int))
    }
}

/// The inside of a primitive whose scalars are plain functions.
fn elementwise(prim: &'static Prim) -> Option<&'static Elementwise> {
    match (&prim.eval, &prim.diff) {
        (Eval::Elementwise(e), Diff::Elementwise) if e.check.is_none() => Some(e),
        _ => None,
    }
}

fn what(e: &'static Elementwise) -> Option<What> {
    let promotes = matches!(e.ints, Ints::Promote);
    match &e.scalar {
        Scalar::Unary { f, d } => Some(What::Unary(Unary { f: *f, d: *d, promotes, inside: e })),
        Scalar::Binary { f, d } => Some(What::Binary(Binary { f: *f, d, promotes, inside: e })),
        Scalar::Ternary { .. } => None,
    }
}

/// `x ^ y` for a written `y`, with a base that is a float.
fn power(y: &Expr) -> Option<What> {
    let n = number(y)?;
    let e = elementwise(&POW)?;
    let special = e.special.and_then(|special| special(&[Value::float(1.0), n.value()]));
    match what(special.unwrap_or(e))? {
        // A power of an int may be one.
        What::Unary(u) => Some(What::Unary(Unary { promotes: false, ..u })),
        other => Some(other),
    }
}

/// `a * b + c` and its kin have an instruction of their own.
fn is_mul_add(e: &Expr) -> bool {
    let product = |e: &Expr| matches!(&e.kind, ExprKind::Binary(BinOp::Mul, ..));
    matches!(&e.kind, ExprKind::Binary(BinOp::Add | BinOp::Sub, a, b) if product(a) || product(b))
}

/// True for what does nothing but give a value or an error, so that once is as good as twice, and earlier.
pub fn is_quiet(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Name(_) | ExprKind::Int(_) | ExprKind::Float(_) => true,
        ExprKind::Field { base, .. } => is_quiet(base),
        ExprKind::Unary(_, x) => is_quiet(x),
        ExprKind::Binary(_, a, b) => is_quiet(a) && is_quiet(b),
        ExprKind::Index { base, items } => {
            let quiet = |e: &Option<Expr>| e.as_ref().is_none_or(is_quiet);
            is_quiet(base)
                && items.iter().all(|i| match i {
                    IndexItem::At(e) => is_quiet(e),
                    IndexItem::Slice { start, stop, step, .. } => quiet(start) && quiet(stop) && quiet(step),
                    IndexItem::Ellipsis(_) => true,
                })
        }
        _ => false,
    }
}
