//! Functions that a loop calls become part of it: their instructions work on registers of their own.
//!
//! Where such code has to leave, the machine repeats the whole call, so nothing in it writes to anything but registers.

use std::ops::Deref;
use std::rc::Rc;

use crate::bytecode::chunk::{CallSite, CaptureSource, Chunk, DimTest, TypeTest};
use crate::bytecode::live::{Set, live};
use crate::bytecode::op::{GlobalSlot, Reg, Table};
use crate::native::action::Action;
use crate::native::derivatives::{Asked, Asking};
use crate::native::frame::What;
use crate::native::kind::{Kind, Kinds};
use crate::native::read::Read;
use crate::native::region::Region;
use crate::native::sources::Source;
use crate::native::tangents::Level;
use crate::symbol::Symbol;
use crate::value::{Closure, StructDef, Value};

/// How deep calls may be nested.
const DEEP: usize = 8;

/// The code of the loop or of a function that it calls.
#[derive(Clone)]
pub enum Code<'a> {
    Own(&'a Chunk),
    Called(Rc<Chunk>),
}

impl Deref for Code<'_> {
    type Target = Chunk;

    fn deref(&self) -> &Chunk {
        match self {
            Code::Own(chunk) => chunk,
            Code::Called(chunk) => chunk,
        }
    }
}

/// A function as it is called at one place.
pub struct Called<'a> {
    pub code: Code<'a>,
    /// Its first register.
    pub base: u16,
    /// Bit `i`: parameter `i` was given.
    pub given: u64,
    /// By instruction: what is read from there on.
    pub live: Vec<Set>,
    /// From where; nothing for the loop itself.
    pub caller: Option<Caller>,
    /// That of the derivative which calls it.
    pub level: Option<Level>,
}

/// A call.
#[derive(Clone)]
pub struct Caller {
    pub frame: usize,
    pub at: usize,
    /// Where the result goes.
    result: Reg,
    /// Parameters that go back into arguments.
    back: Vec<(Reg, Reg)>,
    /// The result is that of a derivative.
    derivative: Option<Asked>,
}

impl Caller {
    /// Of a derivative.
    pub fn of_derivative((frame, at): (usize, usize), result: Reg, asked: Asked) -> Caller {
        Caller { frame, at, result, back: vec![], derivative: Some(asked) }
    }
}

/// A method that is part of the code: it must be the same when that runs.
pub struct Promise {
    def: Rc<StructDef>,
    name: Symbol,
    chunk: Rc<Chunk>,
}

impl Promise {
    pub fn holds(&self) -> bool {
        matches!(self.def.methods.borrow().get(&self.name), Some(Value::Fn(f)) if Rc::ptr_eq(&f.chunk, &self.chunk))
    }
}

/// A function and the registers of its captures.
pub(super) struct Callee {
    pub chunk: Rc<Chunk>,
    pub captures: Vec<Reg>,
}

/// The parameters that arguments stand for, by position or name, and the mask of those; `inout` tells which arguments are places.
pub(super) fn arranged(chunk: &Chunk, count: usize, site: &CallSite, inout: u64) -> Option<(Vec<usize>, u64)> {
    let (params, positional) = (&chunk.params, count.checked_sub(site.names.len())?);
    let mut to: Vec<usize> = (0..positional).collect();
    for name in &site.names {
        to.push(params.iter().position(|p| p.name == *name)?);
    }
    let given = to.iter().fold(0u64, |mask, i| mask | 1 << (i % 64));
    let changed = to.iter().enumerate().fold(0u64, |mask, (arg, i)| mask | (inout >> arg & 1) << (i % 64));
    let fits = params.len() < 64
        && to.iter().all(|i| *i < params.len())
        && given.count_ones() as usize == to.len()
        && params.iter().enumerate().all(|(i, p)| p.has_default || given >> i & 1 != 0)
        && changed == chunk.inout;
    fits.then_some((to, given))
}

/// Makes the variables of dims in the annotations of a function unbound.
pub(super) fn unbound_dims(chunk: &Chunk, base: Reg) -> Vec<Action> {
    let mut actions = vec![];
    for test in &chunk.types {
        let TypeTest::Tensor { dims, .. } = test else { continue };
        actions.extend(dims.iter().filter_map(|dim| match dim {
            DimTest::Var(reg, _) => Some(Action::Set { dst: base.shifted(reg.0), value: Value::None }),
            _ => None,
        }));
    }
    actions
}

impl Region<'_> {
    /// What `Call` does: the function stands in `base`, the arguments behind it.
    pub(super) fn call(&mut self, at: (usize, usize), base: Reg, site: Table, kinds: &mut Kinds) -> Option<Read> {
        let code = self.frames.get(at.0)?.code.clone();
        let site = code.calls.get(site.0 as usize)?;
        let args: Vec<Reg> = (0..site.count).map(|i| base.shifted(1 + i)).collect();
        self.call_value(at, base, args, (base, site, site.inout), kinds)
    }

    /// Calls the function in a register, or the method `call` of a struct.
    fn call_value(
        &mut self,
        at: (usize, usize),
        function: Reg,
        mut args: Vec<Reg>,
        (result, site, inout): (Reg, &CallSite, u64),
        kinds: &mut Kinds,
    ) -> Option<Read> {
        if let Some(def) = self.def_of(function, kinds) {
            let chunk = self.method(&def, Symbol::CALL)?;
            args.insert(0, function);
            return self.enter(at, Callee { chunk, captures: vec![] }, &args, (result, site, inout << 1), kinds);
        }
        if let Some(taken) = self.derivative_in(function, kinds) {
            if inout != 0 {
                return None;
            }
            let of = self.part(function, 0, kinds)?;
            return self.enter_derivative(at, Asking::Taken(taken), of, &args, (result, site), kinds);
        }
        if let Some(builtin) = self.builtin_in(function, kinds) {
            let plain = inout == 0 && site.names.is_empty();
            return if plain { self.take_derivative(at, builtin, result, &args, kinds) } else { None };
        }
        let callee = self.callee(function, kinds)?;
        self.enter(at, callee, &args, (result, site, inout), kinds)
    }

    /// What `CallMethod` does, of a struct or with a function of the program: the receiver is the first argument.
    pub(super) fn call_method(
        &mut self,
        at: (usize, usize),
        base: Reg,
        site: Table,
        kinds: &mut Kinds,
    ) -> Option<Read> {
        let code = self.frames.get(at.0)?.code.clone();
        let site = code.calls.get(site.0 as usize)?;
        let name = site.method?;
        let args: Vec<Reg> = (0..site.count).map(|i| base.shifted(1 + i)).collect();
        let receiver = *args.first()?;
        // A receiver that could change but is not changed.
        let plain = |chunk: &Chunk| if chunk.inout & 1 == 0 { site.inout & !1 } else { site.inout };
        if let Some(def) = self.def_of(receiver, kinds) {
            if let Some(chunk) = self.method(&def, name) {
                let inout = plain(&chunk);
                return self.enter(at, Callee { chunk, captures: vec![] }, &args, (base, site, inout), kinds);
            }
            if let Some(field) = def.field(name) {
                if site.inout != 0 {
                    return None;
                }
                let function = self.part(receiver, field, kinds)?;
                return self.call_value(at, function, args[1..].to_vec(), (base, site, 0), kinds);
            }
            return None;
        }
        if let Kind::Object(k) = kinds[receiver]
            && let (of, What::StructType(_)) = *self.objects.get(k as usize)?
        {
            let Value::StructType(def) = self.sources.value(self.regs, self.globals, of) else { return None };
            let chunk = self.method(&def.clone(), name)?;
            if site.inout != 0 {
                return None;
            }
            return self.enter(at, Callee { chunk, captures: vec![] }, &args[1..], (base, site, 0), kinds);
        }
        if !(kinds[receiver].is_plain() || kinds[receiver].has_parts()) {
            return None;
        }
        let callee = self.callee(base, kinds)?;
        let inout = plain(&callee.chunk);
        self.enter(at, callee, &args, (base, site, inout), kinds)
    }

    /// The function in a register, if it is one of the program, or builds a struct.
    pub(super) fn callee(&mut self, reg: Reg, kinds: &mut Kinds) -> Option<Callee> {
        match kinds[reg] {
            Kind::Closure(c) => {
                let chunk = self.parts.chunks.get(c as usize)?.clone();
                let captures = (0..chunk.captures).map(|i| self.child(reg, i)).collect::<Option<Vec<Reg>>>()?;
                Some(Callee { chunk, captures })
            }
            Kind::Object(k) => {
                let (of, _) = *self.objects.get(k as usize)?;
                let closure: Rc<Closure> = match self.sources.value(self.regs, self.globals, of) {
                    Value::Fn(closure) => closure.clone(),
                    Value::StructType(def) => def.constructor.borrow().clone()?,
                    _ => return None,
                };
                let captures = (0..closure.captures.len()).map(|i| self.part(reg, i, kinds));
                let captures = captures.collect::<Option<Vec<Reg>>>()?;
                Some(Callee { chunk: closure.chunk.clone(), captures })
            }
            _ => None,
        }
    }

    fn method(&mut self, def: &Rc<StructDef>, name: Symbol) -> Option<Rc<Chunk>> {
        let chunk = match def.methods.borrow().get(&name)? {
            Value::Fn(closure) if closure.captures.is_empty() => closure.chunk.clone(),
            _ => return None,
        };
        if !self.promises.iter().any(|p| p.name == name && Rc::ptr_eq(&p.def, def)) {
            self.promises.push(Promise { def: def.clone(), name, chunk: chunk.clone() });
        }
        Some(chunk)
    }

    /// Hands the arguments over and goes on in the function.
    fn enter(
        &mut self,
        (frame, at): (usize, usize),
        callee: Callee,
        args: &[Reg],
        (result, site, inout): (Reg, &CallSite, u64),
        kinds: &Kinds,
    ) -> Option<Read> {
        let Callee { chunk, captures } = callee;
        let (to, given) = arranged(&chunk, args.len(), site, inout)?;
        if self.is_function && std::ptr::eq(&*self.frames.first()?.code, &*chunk) {
            let plain = args.len() == chunk.params.len() && site.names.is_empty() && captures.is_empty();
            return if plain { self.recur((frame, at), args, result, kinds) } else { None };
        }
        let number = self.frame(frame, at, &chunk)?;
        let base = Reg(self.frames[number].base);
        let back = to.iter().enumerate().filter(|(arg, _)| inout >> arg & 1 != 0);
        let back = back.map(|(arg, i)| Some((*args.get(arg)?, base.shifted(*i as u16)))).collect::<Option<Vec<_>>>()?;
        let this = &mut self.frames[number];
        this.given = given;
        this.caller = Some(Caller { frame, at, result, back, derivative: None });
        let mut actions = unbound_dims(&chunk, base);
        for (arg, i) in args.iter().zip(&to) {
            self.copy(base.shifted(*i as u16), *arg, kinds, &mut actions)?;
        }
        for (i, capture) in captures.iter().enumerate() {
            self.copy(base.shifted((chunk.params.len() + i) as u16), *capture, kinds, &mut actions)?;
        }
        let next = self.place_of(number, 0)?;
        actions.push(Action::Goto { to: next });
        Some(Read { actions, next })
    }

    /// The function calls itself.
    fn recur(&mut self, (frame, at): (usize, usize), args: &[Reg], dst: Reg, kinds: &Kinds) -> Option<Read> {
        let mut numbers = vec![];
        for (i, arg) in args.iter().enumerate() {
            let param = Reg(i as u16);
            match (self.entry_kinds[param], kinds[*arg]) {
                (Kind::Float { active }, Kind::Float { active: more }) => {
                    self.entry_kinds.set(param, Kind::Float { active: active || more });
                    numbers.push(*arg);
                }
                (a, b) if a == b && a.is_scalar() => numbers.push(*arg),
                // The same as it has.
                (Kind::Object(a), Kind::Object(b)) if a == b => {}
                _ => return None,
            }
        }
        let next = self.place_of(frame, at + 1)?;
        Some(Read { actions: vec![Action::Recur { dst, args: numbers, result: self.result }], next })
    }

    /// The function gives what a register holds.
    pub(super) fn returns(&mut self, (frame, at): (usize, usize), src: Reg, kinds: &Kinds) -> Option<Read> {
        let kind = kinds[src];
        let joined = self.result.map_or(kind, |known| known.join(kind));
        if !joined.is_scalar() {
            return None;
        }
        self.result = Some(joined);
        Some(Read { actions: vec![Action::Return { src }], next: self.place_of(frame, at)? })
    }

    /// The frame of a function called from a place: not one that is running already.
    pub(super) fn frame(&mut self, frame: usize, at: usize, chunk: &Rc<Chunk>) -> Option<usize> {
        let known = self.frames.iter().position(|f| f.caller.as_ref().is_some_and(|c| (c.frame, c.at) == (frame, at)));
        if let Some(known) = known {
            return matches!(&self.frames[known].code, Code::Called(c) if Rc::ptr_eq(c, chunk)).then_some(known);
        }
        let (mut running, mut deep, mut inner) = (Some(frame), 0, None);
        while let Some(f) = running {
            let f = self.frames.get(f)?;
            if std::ptr::eq(&*f.code, &**chunk) {
                if let Some(inner) = inner {
                    self.recursing.push(inner);
                    return None;
                }
                inner = Some(f.caller.as_ref().map_or((frame, at), |caller| (caller.frame, caller.at)));
            }
            if deep >= DEEP {
                return None;
            }
            running = f.caller.as_ref().map(|caller| caller.frame);
            deep += 1;
        }
        let base = self.registers;
        self.registers = base.checked_add(chunk.registers)?;
        let code = Code::Called(chunk.clone());
        self.frames.push(Called { code, base, given: 0, live: live(chunk), caller: None, level: None });
        Some(self.frames.len() - 1)
    }

    /// What `Return` does in a function that is part of the loop.
    pub(super) fn hand_back(&mut self, frame: usize, src: Reg, kinds: &Kinds) -> Option<Read> {
        let caller = self.frames.get(frame)?.caller.clone()?;
        let mut actions = vec![];
        match &caller.derivative {
            Some(asked) => {
                let level = self.frames.get(frame)?.level?;
                self.hand_derivative(caller.result, (src, level), asked, kinds, &mut actions)?;
            }
            None => self.copy(caller.result, src, kinds, &mut actions)?,
        }
        for (arg, param) in &caller.back {
            self.copy(*arg, *param, kinds, &mut actions)?;
        }
        let next = self.place_of(caller.frame, caller.at + 1)?;
        actions.push(Action::Goto { to: next });
        Some(Read { actions, next })
    }

    /// Whether a register holds the builtin of a name.
    pub(super) fn is_builtin(&self, reg: Reg, kinds: &Kinds, name: &str) -> bool {
        let Kind::Object(k) = kinds[reg] else { return false };
        let Some((of, _)) = self.objects.get(k as usize) else { return false };
        matches!(self.sources.value(self.regs, self.globals, *of), Value::Builtin(builtin) if builtin.name == name)
    }

    /// The name of the builtin in a register.
    fn builtin_in(&self, reg: Reg, kinds: &Kinds) -> Option<&'static str> {
        let Kind::Object(k) = kinds[reg] else { return None };
        match self.sources.value(self.regs, self.globals, self.objects.get(k as usize)?.0) {
            Value::Builtin(builtin) => Some(builtin.name),
            _ => None,
        }
    }

    /// What `MakeClosure` does.
    pub(super) fn make_closure(
        &mut self,
        frame: usize,
        dst: Reg,
        function: Table,
        kinds: &mut Kinds,
    ) -> Option<Vec<Action>> {
        let Called { code, base, .. } = self.frames.get(frame)?;
        let (code, base) = (code.clone(), *base);
        let site = code.functions.get(function.0 as usize)?;
        let mut captures = vec![];
        for capture in &site.captures {
            captures.push(match capture {
                CaptureSource::Itself => return None,
                CaptureSource::Reg(reg) => reg.shifted(base),
                CaptureSource::Global(slot) => self.source(Source::Global(GlobalSlot(*slot)), kinds)?,
            });
        }
        let kind = self.parts.of_closure(&site.chunk)?;
        let mut actions = vec![];
        self.assemble((dst, kind), &captures, kinds, &mut actions)?;
        Some(actions)
    }
}
