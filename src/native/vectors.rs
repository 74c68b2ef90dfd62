//! Small vectors in native code: like tuples they are never made. Their elements stand in registers of their own; those of f32
//! are numbers of f32, rounded wherever the machine would round them.

use std::rc::Rc;

use crate::bytecode::chunk::{Chunk, DimTest, Host, IndexPart};
use crate::bytecode::formula::{Formula, Step};
use crate::bytecode::live::writes;
use crate::bytecode::op::{Op, Operand, Reg};
use crate::native::action::{Action, Lanes, Order};
use crate::native::frame::What;
use crate::native::kind::{Kind, Kinds};
use crate::native::read::{Read, as_float, binary, join, update};
use crate::native::region::Region;
use crate::native::sources::Source;
use crate::native::vector_math::{power, simple};
use crate::ops::arith::POW;
use crate::ops::prim::Prim;
use crate::ops::reduce::{MEAN, SUM};
use crate::syntax::ast::BinOp;
use crate::tensor::{DType, Tensor};
use crate::value::Value;

/// Elements of a vector that is taken apart, at most: sums of so few are added one after the other.
pub const FEW: usize = 12;
/// The same of a matrix.
const MOST_PARTS: usize = 36;
/// Registers of what is computed on the way stand behind those of elements.
pub const PASSING: u16 = 1000;

/// What an instruction does with small vectors: nothing if it has none.
pub fn read(region: &mut Region, (frame, at): (usize, usize), op: Op, kinds: &mut Kinds) -> Option<Option<Read>> {
    let own = region.frames.get(frame)?;
    let (code, base) = (own.code.clone(), own.base);
    let is = |region: &Region, reg: Reg| region.is_vector(reg, kinds);
    let any = |region: &Region, regs: &[Reg]| regs.iter().any(|reg| is(region, *reg));
    let mut actions = vec![];
    let mut behind = at + 1;
    let constant = |region: &mut Region, reg: Reg| region.constant((frame, at), reg);
    let done = match op {
        Op::LoadTensor { dst, value } => region.literal(dst, code.consts.get(value.0 as usize)?, &mut actions),
        Op::MakeTensor { dst, first, n } => {
            let items: Vec<Reg> = (0..n.0).map(|i| first.shifted(i)).collect();
            if any(region, &items) {
                let (base, after) = joined_behind(region, (frame, at), &code, base, dst)?;
                behind = after;
                region.join_vectors(base, &items, kinds, &mut actions)
            } else {
                region.brackets(dst, &items, kinds, &mut actions)
            }
        }
        Op::Add { dst, a, b } if any(region, &[a, b]) => {
            region.on_vectors(dst, &[a, b], &simple(Step::Add(0, 1)), kinds, &mut actions)
        }
        Op::Sub { dst, a, b } if any(region, &[a, b]) => {
            region.on_vectors(dst, &[a, b], &simple(Step::Sub(0, 1)), kinds, &mut actions)
        }
        Op::Mul { dst, a, b } if any(region, &[a, b]) => {
            region.on_vectors(dst, &[a, b], &simple(Step::Mul(0, 1)), kinds, &mut actions)
        }
        Op::Div { dst, a, b } if any(region, &[a, b]) => {
            region.on_vectors(dst, &[a, b], &simple(Step::Div(0, 1)), kinds, &mut actions)
        }
        Op::Neg { dst, src } if is(region, src) => {
            region.on_vectors(dst, &[src], &simple(Step::Neg(0)), kinds, &mut actions)
        }
        Op::MulAdd { dst, a, b } => {
            let (c, step) = join(code.code.get(at + 1)?.shifted(base))?;
            if !any(region, &[a, b, c]) {
                return None;
            }
            behind = at + 2;
            // With the product as a value of its own.
            let formula = Formula::new(vec![a, b, c], vec![], vec![Step::Mul(0, 1), step], 0);
            region.on_vectors(dst, &[a, b, c], &formula, kinds, &mut actions)
        }
        Op::Pow { dst, a, b } if is(region, a) => match constant(region, b).map(power) {
            Some(Some(step)) => region.on_vectors(dst, &[a], &simple(step), kinds, &mut actions),
            Some(None) => {
                binary(&POW, true).and_then(|step| region.on_vectors(dst, &[a, b], &simple(step), kinds, &mut actions))
            }
            None => None,
        },
        Op::Prim1 { dst, src, prim } if is(region, src) => {
            let Host::Prim(prim) = code.hosts.get(prim.0 as usize)? else { return Some(None) };
            region.on_vector(prim, dst, src, kinds, &mut actions)
        }
        // The words that follow compute it.
        Op::Formula { formula, .. } | Op::Total { formula, .. }
            if !code.formulas.get(formula.0 as usize)?.windows.is_empty() =>
        {
            Some(())
        }
        Op::Formula { dst, formula, words } => {
            let formula = code.formulas.get(formula.0 as usize)?;
            let registers: Vec<Reg> = formula.registers.iter().map(|reg| reg.shifted(base)).collect();
            if !any(region, &registers) {
                return None;
            }
            let done = if formula.floats == 0 && !formula.is_scalar && formula.total.is_none() {
                region.on_vectors(dst, &registers, formula, kinds, &mut actions)
            } else {
                None
            };
            match done {
                Some(()) => behind = at + 1 + words.0 as usize,
                // The words that follow compute it.
                None => actions.clear(),
            }
            Some(())
        }
        // The same.
        Op::Total { formula, .. } => {
            let formula = code.formulas.get(formula.0 as usize)?;
            if !formula.registers.iter().any(|reg| is(region, reg.shifted(base))) {
                return None;
            }
            Some(())
        }
        // The words that follow compute it.
        Op::Affine { .. } => Some(()),
        Op::Binary { dst, a, b } if any(region, &[a, b]) => {
            let Some(Op::Operator { op }) = code.code.get(at + 1) else { return Some(None) };
            behind = at + 2;
            match code.operators.get(op.0 as usize)? {
                BinOp::MatMul => region
                    .dot(dst, (a, b), kinds, &mut actions)
                    .or_else(|| region.matrix_product(dst, (a, b), kinds, &mut actions)),
                _ => None,
            }
        }
        Op::CallHost { base: dst, site } => {
            let site = code.calls.get(site.0 as usize)?;
            let args: Vec<Reg> = (0..site.count).map(|i| dst.shifted(1 + i)).collect();
            if !args.first().is_some_and(|arg| is(region, *arg)) {
                return None;
            }
            match (site.host, site.names.len()) {
                (Some(Host::Prim(prim)), 0) => region.apply((frame, at), prim, (dst, &args), kinds, &mut actions),
                (Some(Host::Builtin(builtin)), 0) if reduction(builtin.name).is_some() => {
                    region.apply((frame, at), reduction(builtin.name)?, (dst, &args), kinds, &mut actions)
                }
                (Some(Host::Builtin(builtin)), 0) if builtin.name == "len" => {
                    let n = region.size_of(*args.first()?, kinds)?;
                    actions.push(Action::Set { dst, value: Value::Int(i64::from(n)) });
                    Some(())
                }
                _ => None,
            }
        }
        Op::CallMethod { base: dst, site } => {
            let site = code.calls.get(site.0 as usize)?;
            let args: Vec<Reg> = (0..site.count).map(|i| dst.shifted(1 + i)).collect();
            let prim = region.prim_in(dst, kinds)?;
            if !args.first().is_some_and(|arg| is(region, *arg)) || !site.names.is_empty() || site.inout != 0 {
                return None;
            }
            region.apply((frame, at), prim, (dst, &args), kinds, &mut actions)
        }
        Op::GetItem { dst, object, index }
            if matches!(kinds[object], Kind::Vector { .. }) || region.holds_tangents(object, kinds) =>
        {
            let item = constant(region, index).and_then(|i| region.item(object, i, kinds));
            item.map(|src| actions.push(Action::Copy { dst, src }))
        }
        Op::GetIndex { dst, first, index } if is(region, first) => {
            let parts = code.indices.get(index.0 as usize)?;
            let mut bounds = vec![];
            for i in 0..bound_count(parts) {
                bounds.push(constant(region, first.shifted(1 + i)));
            }
            region.slice(dst, first, (parts, &bounds), kinds, &mut actions)
        }
        Op::SetItem { object, index, value } if matches!(kinds[object], Kind::Vector { .. }) => {
            let item = constant(region, index).and_then(|i| region.item(object, i, kinds));
            item.and_then(|item| region.put(object, item, value, kinds, &mut actions))
        }
        Op::UpdateItem { object, index, value } if matches!(kinds[object], Kind::Vector { .. }) => {
            behind = at + 2;
            let item = constant(region, index).and_then(|i| region.item(object, i, kinds));
            let step = update(&code, at + 1);
            item.zip(step).and_then(|(item, step)| {
                let formula = Formula::new(vec![item, value], vec![], vec![step], 0);
                let new = region.child(object, PASSING)?;
                actions.push(Action::Compute { dst: new, formula: Rc::new(formula), lanes: Lanes::NONE });
                kinds[value].is_number().then_some(())?;
                let mut after = kinds.clone();
                after.set(new, Kind::Float { active: true });
                region.put(object, item, new, &after, &mut actions)
            })
        }
        _ => return None,
    };
    if actions.is_empty() {
        actions.push(Action::Skip);
    }
    Some(done.and_then(|()| Some(Read { actions, next: region.place_of(frame, behind)? })))
}

/// The primitive of a builtin that takes lists, too.
fn reduction(name: &str) -> Option<&'static Prim> {
    match name {
        "sum" => Some(&SUM),
        "mean" => Some(&MEAN),
        _ => None,
    }
}

/// Values of an index that are given.
fn bound_count(parts: &[IndexPart]) -> u16 {
    let count = |part: &IndexPart| match part {
        IndexPart::At => 1,
        IndexPart::Slice { start, stop, step } => [start, stop, step].into_iter().filter(|x| **x).count(),
        IndexPart::Ellipsis => 0,
    };
    parts.iter().map(count).sum::<usize>() as u16
}

/// Where `concat` of brackets, which are made at an instruction, puts its result, and the instruction behind it.
fn joined_behind(
    region: &mut Region,
    (frame, at): (usize, usize),
    code: &Chunk,
    base: u16,
    brackets: Reg,
) -> Option<(Reg, usize)> {
    let axis = brackets.shifted(1);
    let Op::CallHost { base: dst, site } = code.code.get(at + 2)?.shifted(base) else { return None };
    let site = code.calls.get(site.0 as usize)?;
    let is_concat = matches!(site.host, Some(Host::Builtin(builtin)) if builtin.name == "concat");
    let zero = matches!(region.constant((frame, at + 2), axis), Some(Value::Int(0)));
    let fits = is_concat && site.names.is_empty() && site.count == 2 && dst.shifted(1) == brackets && zero;
    fits.then_some((dst, at + 3))
}

/// A tensor of floats, whether they are of f32, and whether it has a node, of the outermost level.
fn floats(value: &Value) -> Option<(&Tensor, bool, bool)> {
    let Value::Tensor(slot, t) = value else { return None };
    let single = match &**t {
        Tensor::F32(_) => true,
        Tensor::F64(_) => false,
        _ => return None,
    };
    (slot.level().0 <= 1).then(|| (&**t, single, !slot.is_const()))
}

impl What {
    /// Of a small vector of floats.
    pub fn of_vector(value: &Value) -> Option<What> {
        let (t, single, active) = floats(value)?;
        let [n] = *t.shape() else { return None };
        (1..=FEW).contains(&n).then_some(What::Vector { n: n as u8, single, active })
    }

    /// Of a small matrix of floats.
    pub fn of_matrix(value: &Value) -> Option<What> {
        let (t, single, active) = floats(value)?;
        let [m, n] = *t.shape() else { return None };
        let few = (1..=MOST_PARTS).contains(&(m * n)) && m <= FEW && n <= FEW;
        few.then_some(What::Matrix { rows: m as u8, columns: n as u8, single, active })
    }
}

impl Region<'_> {
    /// Whether the small vector that a register holds is of f32.
    pub(super) fn is_single(&self, reg: Reg, kinds: &Kinds) -> Option<bool> {
        match self.vector_in(reg, kinds)? {
            Kind::Vector { single, .. } => Some(single),
            _ => None,
        }
    }

    /// Whether a register holds a small vector.
    pub(super) fn is_vector(&self, reg: Reg, kinds: &Kinds) -> bool {
        self.vector_in(reg, kinds).is_some()
    }

    /// Whether a register holds a small vector whose elements have tangents on entry, which are read one by one.
    fn holds_tangents(&self, reg: Reg, kinds: &Kinds) -> bool {
        let Kind::Object(k) = kinds[reg] else { return false };
        self.has_tangents(k) && self.is_vector(reg, kinds)
    }

    /// The kind of a small vector that a register holds.
    pub(super) fn vector_in(&self, reg: Reg, kinds: &Kinds) -> Option<Kind> {
        match kinds[reg] {
            kind @ Kind::Vector { .. } => Some(kind),
            Kind::Object(k) => {
                let (of, What::Tensor { rank: 1, .. }) = *self.objects.get(k as usize)? else { return None };
                match What::of_vector(self.sources.value(self.regs, self.globals, of))? {
                    What::Vector { n, single, .. } if !self.whole.contains(&of) => Some(Kind::Vector { n, single }),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn size_of(&self, reg: Reg, kinds: &Kinds) -> Option<u8> {
        match self.vector_in(reg, kinds)? {
            Kind::Vector { n, .. } => Some(n),
            _ => None,
        }
    }

    /// The registers of a small vector's elements.
    pub(super) fn elements(&mut self, reg: Reg, kinds: &mut Kinds) -> Option<Vec<Reg>> {
        let n = self.size_of(reg, kinds)?;
        let Kind::Object(k) = kinds[reg] else {
            return (0..u16::from(n)).map(|i| self.child(reg, i)).collect();
        };
        let (of, _) = *self.objects.get(k as usize)?;
        let what = What::of_vector(self.sources.value(self.regs, self.globals, of))?;
        if !self.objects.contains(&(of, what)) {
            self.objects.push((of, what));
        }
        (0..u16::from(n)).map(|number| self.source(Source::Part { of, number }, kinds)).collect()
    }

    /// The registers of the elements of a small matrix that a register holds, row by row; its rows, columns and whether it is of
    /// f32.
    pub(super) fn matrix_elements(&mut self, reg: Reg, kinds: &mut Kinds) -> Option<(Vec<Reg>, [usize; 2], bool)> {
        let Kind::Object(k) = kinds[reg] else { return None };
        let (of, What::Tensor { rank: 2, .. }) = *self.objects.get(k as usize)? else { return None };
        let what =
            What::of_matrix(self.sources.value(self.regs, self.globals, of)).filter(|_| !self.whole.contains(&of))?;
        let What::Matrix { rows, columns, single, .. } = what else { return None };
        if !self.objects.contains(&(of, what)) {
            self.objects.push((of, what));
        }
        let all =
            (0..u16::from(rows) * u16::from(columns)).map(|number| self.source(Source::Part { of, number }, kinds));
        Some((all.collect::<Option<Vec<Reg>>>()?, [rows, columns].map(usize::from), single))
    }

    /// The primitive that a register holds.
    fn prim_in(&self, reg: Reg, kinds: &Kinds) -> Option<&'static Prim> {
        let Kind::Object(k) = kinds[reg] else { return None };
        let (of, _) = *self.objects.get(k as usize)?;
        match self.sources.value(self.regs, self.globals, of) {
            Value::Prim(prim) => Some(prim),
            Value::Builtin(builtin) => reduction(builtin.name),
            _ => None,
        }
    }

    /// The constant that an instruction finds in a register: loaded just before, or before the loop.
    pub(super) fn constant(&mut self, (frame, at): (usize, usize), reg: Reg) -> Option<Value> {
        let own = self.frames.get(frame)?;
        let (code, inner) = (own.code.clone(), Reg(reg.0.checked_sub(own.base)?));
        if let Some(value) = loaded(&code, at, inner) {
            return Some(value.clone());
        }
        // Loaded at one place, and written nowhere else.
        let mut writers = (0..code.code.len()).filter(|at| writes(&code, *at, inner));
        if let (Some(only), None) = (writers.next(), writers.next())
            && let Some(Op::Load { value, .. }) = code.code.get(only)
            && inner.0 as usize >= code.params.len()
        {
            return code.consts.get(value.0 as usize).cloned();
        }
        let is_loaded = |value: &Value| {
            let loads = |op: &Op| match op {
                Op::Load { dst, value: c } if *dst == inner => {
                    code.consts.get(c.0 as usize).is_some_and(|constant| same(constant, value))
                }
                _ => false,
            };
            code.code.iter().any(loads)
        };
        if frame != 0 || self.varying.contains(&reg) {
            return None;
        }
        let value = self.regs.get(reg.0 as usize).filter(|value| is_loaded(value))?;
        if !self.fixed.iter().any(|(known, _)| *known == reg) {
            self.fixed.push((reg, value.clone()));
        }
        Some(value.clone())
    }

    /// A literal of the default dtype.
    fn literal(&mut self, dst: Reg, value: &Value, actions: &mut Vec<Action>) -> Option<()> {
        let Some(What::Vector { n, .. }) = What::of_vector(value) else { return None };
        let Value::Tensor(_, t) = value else { return None };
        let single = self.single()?;
        for i in 0..u16::from(n) {
            let (_, x) = crate::tensor::parts::element(t, &[i64::from(i)]).ok()?;
            let x = if single { f64::from(x as f32) } else { x };
            actions.push(Action::Set { dst: self.child(dst, i)?, value: Value::float(x) });
        }
        actions.push(Action::Shape { dst, kind: Kind::Vector { n, single } });
        Some(())
    }

    /// Whether floats in brackets are of f32.
    fn single(&self) -> Option<bool> {
        match self.dtype {
            DType::F32 => Some(true),
            DType::F64 => Some(false),
            _ => None,
        }
    }

    /// Brackets around numbers, one at least a float.
    fn brackets(&mut self, dst: Reg, items: &[Reg], kinds: &Kinds, actions: &mut Vec<Action>) -> Option<()> {
        let numbers = items.iter().all(|reg| kinds[*reg].is_number()) && items.iter().any(|reg| kinds[*reg].is_float());
        if !numbers || items.len() > FEW {
            return None;
        }
        let kind = Kind::Vector { n: items.len() as u8, single: self.single()? };
        for (i, item) in items.iter().enumerate() {
            let element = self.child(dst, i as u16)?;
            self.element_of((element, kind), *item, kinds, actions)?;
        }
        actions.push(Action::Shape { dst, kind });
        Some(())
    }

    /// A number as an element of a vector.
    fn element_of(
        &mut self,
        (dst, kind): (Reg, Kind),
        src: Reg,
        kinds: &Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let Kind::Vector { single, .. } = kind else { return None };
        actions.push(match (single, kinds[src]) {
            (true, kind) if kind.is_number() => Action::Round { dst, src },
            (false, Kind::Int) => as_float(dst, src),
            (false, kind) if kind.is_float() => Action::Copy { dst, src },
            _ => return None,
        });
        Some(())
    }

    /// Vectors one after the other.
    fn join_vectors(&mut self, dst: Reg, items: &[Reg], kinds: &mut Kinds, actions: &mut Vec<Action>) -> Option<()> {
        let mut all = vec![];
        let first = self.vector_in(*items.first()?, kinds)?;
        for item in items {
            if self.vector_in(*item, kinds)? != first || *item == dst {
                return None;
            }
            all.extend(self.elements(*item, kinds)?);
        }
        let Kind::Vector { single, .. } = first else { return None };
        if all.len() > FEW {
            return None;
        }
        self.gather(dst, &all, single, actions)
    }

    /// A vector of elements that stand in registers, not those of its own behind where they go.
    pub(super) fn gather(&mut self, dst: Reg, elements: &[Reg], single: bool, actions: &mut Vec<Action>) -> Option<()> {
        for (i, src) in elements.iter().enumerate() {
            let to = self.child(dst, i as u16)?;
            if to != *src {
                actions.push(Action::Copy { dst: to, src: *src });
            }
        }
        actions.push(Action::Shape { dst, kind: Kind::Vector { n: elements.len() as u8, single } });
        Some(())
    }

    /// The register of an element at a constant index.
    fn item(&mut self, object: Reg, index: Value, kinds: &mut Kinds) -> Option<Reg> {
        let (Value::Int(i), n) = (index, self.size_of(object, kinds)?) else { return None };
        let i = usize::try_from(if i < 0 { i + i64::from(n) } else { i }).ok()?;
        self.elements(object, kinds)?.get(i).copied()
    }

    /// An element or a slice of constant bounds.
    fn slice(
        &mut self,
        dst: Reg,
        object: Reg,
        (parts, bounds): (&[IndexPart], &[Option<Value>]),
        kinds: &mut Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let n = i64::from(self.size_of(object, kinds)?);
        let (start, stop) = match *parts {
            [IndexPart::At] => {
                let src = self.item(object, bounds.first()?.clone()?, kinds)?;
                actions.push(Action::Copy { dst, src });
                return Some(());
            }
            [IndexPart::Slice { start, stop, step: false }] => (start, stop),
            _ => return None,
        };
        let mut given = bounds.iter();
        let mut bound = |is_given: bool, default: i64| {
            if !is_given {
                return Some(default);
            }
            match given.next()? {
                Some(Value::Int(i)) => Some(if *i < 0 { i + n } else { *i }),
                _ => None,
            }
        };
        let (start, stop) = (bound(start, 0)?, bound(stop, n)?);
        if !(0 <= start && start < stop && stop <= n) {
            return None;
        }
        let Kind::Vector { single, .. } = self.vector_in(object, kinds)? else { return None };
        let elements = self.elements(object, kinds)?;
        self.gather(dst, elements.get(start as usize..stop as usize)?, single, actions)
    }

    /// Writes an element.
    fn put(&mut self, object: Reg, item: Reg, value: Reg, kinds: &Kinds, actions: &mut Vec<Action>) -> Option<()> {
        let kind = kinds[object];
        self.element_of((item, kind), value, kinds, actions)?;
        // It has changed, too.
        actions.push(Action::Shape { dst: object, kind });
        Some(())
    }

    /// Whether a vector is of the dims of an annotation, whose variables are in the frame at `base`.
    pub(super) fn dims(
        &mut self,
        reg: Reg,
        (dims, base): (&[DimTest], u16),
        kinds: &Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let n = i64::from(self.size_of(reg, kinds)?);
        let [dim] = dims else { return None };
        match dim {
            DimTest::Any => Some(()),
            DimTest::Known(size) => (*size == n).then_some(()),
            DimTest::Var(size, _) => {
                let size = size.shifted(base);
                // By another part of the same value.
                let bound = actions.iter().find_map(|action| match action {
                    Action::Set { dst, value: Value::Int(bound) } if *dst == size => Some(*bound),
                    _ => None,
                });
                match (bound, kinds[size]) {
                    (Some(bound), _) => (bound == n).then_some(()),
                    (None, Kind::None) => {
                        actions.push(Action::Set { dst: size, value: Value::Int(n) });
                        Some(())
                    }
                    (None, Kind::Int) => {
                        let known = self.child(reg, PASSING)?;
                        actions.push(Action::Set { dst: known, value: Value::Int(n) });
                        actions.push(Action::Expect { order: Order::Eq, a: size, b: known });
                        Some(())
                    }
                    _ => None,
                }
            }
            DimTest::Global(..) | DimTest::Binary(..) => None,
        }
    }

    /// What is stored to element by element, and would have to be read again: it stays whole.
    pub(super) fn keeps_whole(&mut self) -> bool {
        let stored = |action: &Action| match action {
            Action::Store { object, .. } | Action::Update { object, .. } => Some(*object),
            _ => None,
        };
        let mut found = vec![];
        for object in self.places.iter().flatten().filter_map(|place| stored(&place.action)) {
            let Some((of, _)) = self.objects.get(object as usize) else { continue };
            let is_apart = self.objects.iter().any(|(reg, what)| {
                let is_apart = matches!(what, What::Vector { .. } | What::Matrix { .. });
                reg == of && is_apart
            });
            if is_apart && !self.whole.contains(of) && !found.contains(of) {
                found.push(*of);
            }
        }
        self.whole.extend(&found);
        let writes = |reg: Reg| self.places.iter().flatten().any(|place| place.action.registers().1.contains(&reg));
        let varying: Vec<Reg> = self.fixed.iter().map(|(reg, _)| *reg).filter(|reg| writes(*reg)).collect();
        self.fixed.retain(|(reg, _)| !varying.contains(reg));
        self.varying.extend(&varying);
        !found.is_empty() || !varying.is_empty()
    }
}

/// Whether two values are the same number or bool, to the last bit.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Float(_, a), Value::Float(_, b)) => a.to_bits() == b.to_bits(),
        _ => false,
    }
}

/// The constant that was loaded to a register just before an instruction, as both are written.
pub fn loaded(code: &Chunk, at: usize, reg: Reg) -> Option<&Value> {
    let is_target = |to: usize| {
        let leads =
            |(_, operand): (&str, Operand)| matches!(operand, Operand::Target(target) if target.0 as usize == to);
        code.code.iter().any(|op| op.operands().into_iter().any(leads))
    };
    const BACK: usize = 8;
    for before in (at.saturating_sub(BACK)..at).rev() {
        if is_target(before + 1) {
            return None;
        }
        match code.code.get(before)? {
            Op::Load { dst, value } if *dst == reg => return code.consts.get(value.0 as usize),
            Op::Load { dst, .. } | Op::Move { dst, .. } | Op::GetGlobal { dst, .. } if *dst != reg => {}
            _ => return None,
        }
    }
    None
}
