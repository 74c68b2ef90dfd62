//! Derivatives that are taken inside native code: `grad`, `value_and_grad`, `derivative` and `jvp` of functions of the program become
//! part of it like calls, under a level of forward mode with a direction for each float of the argument.
//!
//! Gradients of so few numbers cost less that way than a tape, and it goes through loops and branches as they are.

use std::rc::Rc;

use crate::ad::lift::children;
use crate::ad::transforms::Taken;
use crate::bytecode::chunk::{CallSite, Chunk, Host, ParamInfo, Places};
use crate::bytecode::op::{Op, Reg, Table};
use crate::native::action::Action;
use crate::native::calls::{Callee, Caller, arranged, unbound_dims};
use crate::native::frame::What;
use crate::native::kind::{Kind, Kinds};
use crate::native::read::{Read, as_float};
use crate::native::region::Region;
use crate::native::tangents::{Level, MOST_DIRECTIONS};
use crate::symbol::Symbol;
use crate::value::Value;

/// What a call asks for.
pub enum Asking {
    Taken(Taken),
    /// Along the tangent in this register.
    Along(Reg),
}

/// What is handed back.
#[derive(Clone)]
pub enum Asked {
    /// The gradient of this form, beside the value or not.
    Gradient { form: Form, value: bool },
    /// The tangent of the result, beside the value or not.
    Tangent { value: bool },
}

/// The structure of an argument.
#[derive(Clone)]
pub enum Form {
    /// A float, by its direction; `single`: of f32.
    Float {
        direction: usize,
        single: bool,
    },
    /// No float.
    Nothing,
    Parts(Kind, Vec<Form>),
}

impl Region<'_> {
    /// The derivative that a register holds.
    pub(super) fn derivative_in(&self, reg: Reg, kinds: &Kinds) -> Option<Taken> {
        match kinds[reg] {
            Kind::Derivative(taken) => Some(taken),
            Kind::Object(k) => match self.objects.get(k as usize)?.1 {
                What::Derivative(taken) => Some(taken),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn is_jvp(&self, frame: usize, site: Table) -> bool {
        let site = self.frames.get(frame).and_then(|f| f.code.calls.get(site.0 as usize));
        site.is_some_and(|site| {
            matches!(site.host, Some(Host::Builtin(builtin)) if builtin.name == "jvp")
                && site.count == 3
                && site.names.is_empty()
        })
    }

    /// What a builtin does that takes derivatives, of arguments in order.
    pub(super) fn take_derivative(
        &mut self,
        at: (usize, usize),
        builtin: &str,
        result: Reg,
        args: &[Reg],
        kinds: &mut Kinds,
    ) -> Option<Read> {
        if builtin == "jvp" {
            let [f, x, dx] = *args else { return None };
            let site = CallSite::default();
            return self.enter_derivative(at, Asking::Along(dx), f, &[x], (result, &site), kinds);
        }
        let mut actions = vec![];
        self.make_derivative(at, builtin, result, args, kinds, &mut actions)?;
        Some(Read { actions, next: self.place_of(at.0, at.1 + 1)? })
    }

    /// A derivative as a function.
    pub(super) fn make_derivative(
        &mut self,
        at: (usize, usize),
        builtin: &str,
        dst: Reg,
        args: &[Reg],
        kinds: &Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let (f, options) = args.split_first()?;
        let mut given = vec![];
        for option in options {
            given.push(self.constant(at, *option)?);
        }
        let taken = match (builtin, &given[..]) {
            ("derivative", []) => Taken::Derivative,
            ("grad", []) => Taken::Gradient { wrt: 0, value: false },
            ("grad", [Value::Int(wrt)]) => Taken::Gradient { wrt: u8::try_from(*wrt).ok()?, value: false },
            ("value_and_grad", []) => Taken::Gradient { wrt: 0, value: true },
            ("value_and_grad", [Value::Int(wrt)] | [Value::Int(wrt), Value::Bool(false) | Value::None]) => {
                Taken::Gradient { wrt: u8::try_from(*wrt).ok()?, value: true }
            }
            _ => return None,
        };
        let is_function = match kinds[*f] {
            Kind::Closure(_) | Kind::Derivative(_) => true,
            Kind::Object(k) => matches!(self.objects.get(k as usize)?.1, What::Function(_) | What::Derivative(_)),
            _ => false,
        };
        if !is_function {
            return None;
        }
        self.assemble((dst, Kind::Derivative(taken)), &[*f], kinds, actions)
    }

    /// Hands the arguments over and goes on in the function, under a level of its own.
    pub(super) fn enter_derivative(
        &mut self,
        (frame, at): (usize, usize),
        asking: Asking,
        function: Reg,
        args: &[Reg],
        (result, site): (Reg, &CallSite),
        kinds: &mut Kinds,
    ) -> Option<Read> {
        // A derivative of a derivative is that of a function which calls the inner one.
        let callee = match self.derivative_in(function, kinds) {
            Some(_) => Callee { chunk: self.thunk((frame, at), args.len()), captures: vec![function] },
            None => self.callee(function, kinds)?,
        };
        let Callee { chunk, captures } = callee;
        let (to, given) = arranged(&chunk, args.len(), site, 0)?;
        if self.is_function && std::ptr::eq(&*self.frames.first()?.code, &*chunk) {
            return None;
        }
        let (wrt, along) = match asking {
            Asking::Taken(Taken::Gradient { wrt, .. }) => (usize::from(wrt), None),
            Asking::Taken(Taken::Derivative) => (0, None),
            Asking::Along(dx) => (0, Some(dx)),
        };
        // Arguments with names stand behind.
        if wrt >= args.len() - site.names.len() {
            return None;
        }
        let number = self.frame(frame, at, &chunk)?;
        let level = match self.frames[number].level {
            Some(level) => level,
            None => self.new_level()?,
        };
        let base = Reg(self.frames[number].base);
        let mut actions = unbound_dims(&chunk, base);
        let param = |i: usize| base.shifted(i as u16);
        let mut leaves = vec![];
        let form = self.spread(param(*to.get(wrt)?), *args.get(wrt)?, kinds, &mut leaves, &mut actions)?;
        let directions = if along.is_some() { 1 } else { leaves.len() };
        let is_float = matches!(form, Form::Float { .. });
        if leaves.is_empty() || directions > MOST_DIRECTIONS {
            return None;
        }
        *self.directions.get_mut(level as usize)? = directions;
        match along {
            Some(dx) => self.seed_along(&form, &leaves, (dx, level), kinds, &mut actions)?,
            None => {
                for (i, leaf) in leaves.iter().enumerate() {
                    for d in 0..directions {
                        let dst = self.tangent(*leaf, level, d)?;
                        let value = Value::float(1.0);
                        actions.push(if d == i { Action::Set { dst, value } } else { Action::Zero { dst } });
                    }
                }
            }
        }
        let others = args.iter().zip(&to).enumerate().filter(|(p, _)| *p != wrt).map(|(_, (arg, i))| (*arg, *i));
        let captured = captures.iter().enumerate().map(|(i, capture)| (*capture, chunk.params.len() + i));
        for (src, i) in others.chain(captured).collect::<Vec<_>>() {
            self.copy(param(i), src, kinds, &mut actions)?;
            self.still(param(i), src, level, kinds, &mut actions)?;
        }
        let asked = match asking {
            Asking::Taken(Taken::Gradient { value, .. }) => Asked::Gradient { form, value },
            Asking::Taken(Taken::Derivative) if is_float => Asked::Tangent { value: false },
            Asking::Taken(Taken::Derivative) => return None,
            Asking::Along(_) => Asked::Tangent { value: true },
        };
        let this = self.frames.get_mut(number)?;
        this.given = given;
        this.level = Some(level);
        this.caller = Some(Caller::of_derivative((frame, at), result, asked));
        let next = self.place_of(number, 0)?;
        actions.push(Action::Goto { to: next });
        Some(Read { actions, next })
    }

    /// A function of so many arguments that hands them to the function which it captured, for the call at an instruction.
    fn thunk(&mut self, at: (usize, usize), count: usize) -> Rc<Chunk> {
        let known = self.thunks.iter().find(|(of, thunk)| *of == at && thunk.params.len() == count);
        if let Some((_, thunk)) = known {
            return thunk.clone();
        }
        let reg = |i: usize| Reg(i as u16);
        let base = reg(count + 1);
        let mut code = vec![Op::Move { dst: base, src: reg(count) }];
        code.extend((0..count).map(|i| Op::Move { dst: base.shifted(1 + i as u16), src: reg(i) }));
        code.extend([Op::Call { base, site: Table(0) }, Op::Return { src: base }]);
        let thunk = Rc::new(Chunk {
            params: (0..count).map(|i| ParamInfo { name: Symbol::new(&format!("{i}")), has_default: false }).collect(),
            captures: 1,
            registers: (2 * count + 2) as u16,
            spans: vec![Places::default(); code.len()],
            code,
            calls: vec![CallSite { count: count as u16, ..CallSite::default() }],
            ..Chunk::default()
        });
        self.thunks.push((at, thunk.clone()));
        thunk
    }

    /// Copies an argument with all its floats apart, which are noted in order.
    fn spread(
        &mut self,
        dst: Reg,
        src: Reg,
        kinds: &mut Kinds,
        leaves: &mut Vec<Reg>,
        actions: &mut Vec<Action>,
    ) -> Option<Form> {
        let mut float = |dst: Reg, src: Reg, single: bool, actions: &mut Vec<Action>| {
            actions.push(Action::Copy { dst, src });
            leaves.push(dst);
            Form::Float { direction: leaves.len() - 1, single }
        };
        if kinds[src].is_float() {
            return Some(float(dst, src, false, actions));
        }
        if let Some(kind @ Kind::Vector { single, .. }) = self.vector_in(src, kinds) {
            let mut forms = vec![];
            for (i, element) in self.elements(src, kinds)?.into_iter().enumerate() {
                forms.push(float(self.child(dst, i as u16)?, element, single, actions));
            }
            actions.push(Action::Shape { dst, kind });
            return Some(Form::Parts(kind, forms));
        }
        let kind = match kinds[src] {
            kind @ (Kind::Tuple(_) | Kind::Struct(_)) => kind,
            Kind::Object(k) => match *self.objects.get(k as usize)? {
                (_, What::Tuple(n)) => Kind::Tuple(n),
                (of, What::Struct(_)) => match self.sources.value(self.regs, self.globals, of) {
                    Value::Struct(s) => self.parts.of_struct(&s.def.clone())?,
                    _ => return None,
                },
                (of, _) => {
                    let value = self.sources.value(self.regs, self.globals, of);
                    if value.is_differentiable() || children(value).is_some() {
                        return None;
                    }
                    self.copy(dst, src, kinds, actions)?;
                    return Some(Form::Nothing);
                }
            },
            _ => {
                self.copy(dst, src, kinds, actions)?;
                return Some(Form::Nothing);
            }
        };
        let mut forms = vec![];
        for i in 0..self.parts.count(kind) {
            let (to, from) = (self.child(dst, i)?, self.part(src, usize::from(i), kinds)?);
            forms.push(if self.is_fixed_field(kind, i) {
                self.copy(to, from, kinds, actions)?;
                Form::Nothing
            } else {
                self.spread(to, from, kinds, leaves, actions)?
            });
        }
        actions.push(Action::Shape { dst, kind });
        Some(Form::Parts(kind, forms))
    }

    /// A field that is never differentiated.
    fn is_fixed_field(&self, kind: Kind, i: u16) -> bool {
        let Kind::Struct(d) = kind else { return false };
        self.parts.defs.get(d as usize).and_then(|def| def.fields.get(i as usize)).is_some_and(|field| field.nograd)
    }

    /// The floats of what a register holds, in order; nothing if there is something that is none.
    pub(super) fn float_leaves(&mut self, reg: Reg, kinds: &mut Kinds, leaves: &mut Vec<Reg>) -> Option<()> {
        match kinds[reg] {
            kind if kind.is_float() => leaves.push(reg),
            kind @ (Kind::Tuple(_) | Kind::Struct(_)) => {
                for i in 0..self.parts.count(kind) {
                    if self.is_fixed_field(kind, i) {
                        continue;
                    }
                    let part = self.part(reg, usize::from(i), kinds)?;
                    self.float_leaves(part, kinds, leaves)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The tangents of an argument's floats are those in another register.
    fn seed_along(
        &mut self,
        form: &Form,
        leaves: &[Reg],
        (dx, level): (Reg, Level),
        kinds: &mut Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        match form {
            Form::Nothing => {}
            Form::Float { direction, .. } => {
                let dst = self.tangent(*leaves.get(*direction)?, level, 0)?;
                actions.push(match kinds[dx] {
                    Kind::Int => as_float(dst, dx),
                    Kind::None => Action::Zero { dst },
                    kind if kind.is_float() => Action::Copy { dst, src: dx },
                    _ => return None,
                });
            }
            Form::Parts(..) if kinds[dx] == Kind::None => return None,
            Form::Parts(kind, forms) => {
                let parts = match (*kind, self.vector_in(dx, kinds)) {
                    (Kind::Vector { .. }, found) if found == Some(*kind) => self.elements(dx, kinds)?,
                    (Kind::Tuple(_) | Kind::Struct(_), None) if kinds[dx] == *kind => {
                        (0..forms.len()).map(|i| self.part(dx, i, kinds)).collect::<Option<Vec<Reg>>>()?
                    }
                    _ => return None,
                };
                for (form, part) in forms.iter().zip(parts) {
                    self.seed_along(form, leaves, (part, level), kinds, actions)?;
                }
            }
        }
        Some(())
    }

    /// What was copied from `src` does not depend on what the level differentiates by.
    fn still(&mut self, dst: Reg, src: Reg, level: Level, kinds: &Kinds, actions: &mut Vec<Action>) -> Option<()> {
        let kind = kinds[src];
        if kind.is_float() {
            for d in 0..*self.directions.get(level as usize)? {
                let dst = self.tangent(dst, level, d)?;
                actions.push(Action::Zero { dst });
            }
        }
        for i in 0..self.parts.count(kind) {
            let (to, from) = (self.child(dst, i)?, self.child(src, i)?);
            self.still(to, from, level, kinds, actions)?;
        }
        Some(())
    }

    /// Hands back what was asked for, of the result in `src`.
    pub(super) fn hand_derivative(
        &mut self,
        dst: Reg,
        (src, level): (Reg, Level),
        asked: &Asked,
        kinds: &Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let (Asked::Gradient { value, .. } | Asked::Tangent { value }) = asked;
        let to = if *value { self.child(dst, 1)? } else { dst };
        if *value {
            let first = self.child(dst, 0)?;
            self.copy(first, src, kinds, actions)?;
        }
        match asked {
            Asked::Gradient { form, .. } if kinds[src].is_float() => {
                self.hand_gradient(to, form, (src, level), kinds, actions)?;
            }
            Asked::Gradient { .. } => return None,
            Asked::Tangent { .. } => self.hand_tangent(to, (src, level), false, kinds, actions)?,
        }
        if *value {
            actions.push(Action::Shape { dst, kind: Kind::Tuple(2) });
        }
        Some(())
    }

    fn hand_gradient(
        &mut self,
        dst: Reg,
        form: &Form,
        from: (Reg, Level),
        kinds: &Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        match form {
            Form::Float { direction, single } => self.hand_number(dst, from, (*direction, *single), kinds, actions)?,
            Form::Nothing => actions.push(Action::Set { dst, value: Value::None }),
            Form::Parts(kind, forms) => {
                for (i, form) in forms.iter().enumerate() {
                    let part = self.child(dst, i as u16)?;
                    self.hand_gradient(part, form, from, kinds, actions)?;
                }
                actions.push(Action::Shape { dst, kind: *kind });
            }
        }
        Some(())
    }

    /// A tangent as a number.
    fn hand_number(
        &mut self,
        dst: Reg,
        (src, level): (Reg, Level),
        (direction, single): (usize, bool),
        kinds: &Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        actions.push(match self.moving(src, level, direction, kinds) {
            Some(tangent) if !kinds[tangent].is_float() => return None,
            Some(src) if single => Action::Round { dst, src },
            Some(src) => Action::Copy { dst, src },
            None => Action::Set { dst, value: Value::float(0.0) },
        });
        Some(())
    }

    /// The tangent of a result, in its structure.
    fn hand_tangent(
        &mut self,
        dst: Reg,
        (src, level): (Reg, Level),
        single: bool,
        kinds: &Kinds,
        actions: &mut Vec<Action>,
    ) -> Option<()> {
        let kind = kinds[src];
        match kind {
            Kind::Tuple(_) | Kind::Struct(_) | Kind::Vector { .. } => {
                let single = matches!(kind, Kind::Vector { single: true, .. });
                for i in 0..self.parts.count(kind) {
                    let (to, from) = (self.child(dst, i)?, self.child(src, i)?);
                    if self.is_fixed_field(kind, i) {
                        actions.push(Action::Set { dst: to, value: Value::None });
                    } else {
                        self.hand_tangent(to, (from, level), single, kinds, actions)?;
                    }
                }
                actions.push(Action::Shape { dst, kind });
            }
            kind if kind.is_float() => self.hand_number(dst, (src, level), (0, single), kinds, actions)?,
            Kind::Int | Kind::Bool | Kind::None => actions.push(Action::Set { dst, value: Value::None }),
            _ => return None,
        }
        Some(())
    }
}
