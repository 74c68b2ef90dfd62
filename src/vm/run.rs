//! Frames: entering, leaving, unwinding. Errors get their place here, and only here.

use std::rc::Rc;

use crate::ad::Watch;
use crate::bytecode::op::Op;
use crate::diagnostic::Label;
use crate::error::{Error, Result};
use crate::profile;
use crate::source::Span;
use crate::symbol::Symbol;
use crate::value::{Dict, Key, Value};
use crate::vm::exec::{Exit, State, exec, note_place};
use crate::vm::{After, Frame, Handler, MAX_FRAMES, Vm};

impl Vm {
    /// First register above the innermost frame.
    pub(super) fn top(&self) -> usize {
        self.frames.last().map_or(0, |f| f.base + f.chunk().registers as usize)
    }

    /// Makes registers up to `end` exist.
    pub(super) fn reserve(&mut self, end: usize) {
        if self.stack.len() < end {
            self.stack.resize(end.max(self.stack.len() * 2), Value::None);
        }
    }

    /// Starts a frame; its arguments stand from `base`.
    pub(super) fn push_frame(&mut self, frame: Frame) -> Result<()> {
        if self.frames.len() >= MAX_FRAMES {
            return Err(Error::new("E0420", format!("calls are nested {MAX_FRAMES} deep; this recursion has no end"))
                .help("give the recursion a case that returns without calling itself, or use a loop"));
        }
        let end = frame.base + frame.chunk().registers as usize;
        self.reserve(end);
        self.frames.push(frame);
        Ok(())
    }

    /// Runs until the frame that the host entered returns; its value.
    pub(super) fn run(&mut self) -> Result<Value> {
        let entry = self.frames.len() - 1;
        loop {
            match self.step(entry) {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(error) => self.unwind(error, entry)?,
            }
        }
    }

    /// Runs the innermost frame up to the next call or return.
    fn step(&mut self, entry: usize) -> Result<Option<Value>> {
        let outside = if self.cx.watch == Watch::Off { None } else { self.outside() };
        let Vm { stack, frames, cx, globals, .. } = self;
        let exit = exec(&mut State { stack, frames, cx, globals, outside })?;
        let index = self.frames.len() - 1;
        let frame = &mut self.frames[index];
        let (closure, base) = (frame.closure.clone(), frame.base);
        match exit {
            Exit::Return(src) => {
                let value = std::mem::take(&mut self.stack[base + src.0 as usize]);
                return Ok(self.leave(value, entry));
            }
            Exit::Machine(op) => {
                let trap = self.cx.watch != Watch::Off;
                if trap || profile::is_on() {
                    note_place(&mut self.cx, &closure.chunk, frame.pc, outside, trap);
                }
                match op {
                    Op::TryStart { error, to } => {
                        let register = base + error.0 as usize;
                        self.handlers.push(Handler { frame: index, target: to.0 as usize, register });
                    }
                    Op::TryEnd {} => {
                        self.handlers.pop();
                    }
                    Op::Override { dst, param } => {
                        let name = closure.chunk.names[param.0 as usize].name();
                        if let Some(value) = self.overrides.get(&name) {
                            self.stack[base + dst.0 as usize] = value.clone();
                            if let Op::OverrideTo { to } = closure.chunk.code[frame.pc] {
                                frame.pc = to.0 as usize;
                            }
                        }
                    }
                    Op::Call { base: reg, site } => {
                        self.call_site(base + reg.0 as usize, &closure.chunk.calls[site.0 as usize])?;
                    }
                    Op::CallMethod { base: reg, site } => {
                        self.call_method(base + reg.0 as usize, &closure.chunk.calls[site.0 as usize])?;
                    }
                    Op::CallHost { base: reg, site } => {
                        self.call_host(base + reg.0 as usize, &closure.chunk.calls[site.0 as usize])?;
                    }
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    /// If the innermost frame runs library code: the innermost call from outside of the library.
    fn outside(&self) -> Option<Span> {
        let library = |frame: &Frame| self.cx.trap.library.contains(&frame.chunk().span.source);
        if !self.frames.last().is_some_and(library) {
            return None;
        }
        let frame = self.frames.iter().rev().find(|f| !library(f))?;
        frame.chunk().spans.get(frame.pc.saturating_sub(1)).map(|p| p.span)
    }

    /// Ends the innermost frame. The value, if the host entered it.
    fn leave(&mut self, value: Value, entry: usize) -> Option<Value> {
        let frame = self.frames.pop()?;
        let inout = frame.chunk().inout;
        let registers = frame.chunk().registers as usize;
        let window = &mut self.stack[frame.base..frame.base + registers];
        if frame.after.is_none() {
            // What `inout` hands back stays.
            let (handed, own) = window.split_at_mut(registers.min(64 - inout.leading_zeros() as usize));
            handed.iter_mut().enumerate().filter(|(i, _)| inout & (1 << i) == 0).for_each(|(_, r)| r.clear());
            own.iter_mut().for_each(Value::clear);
        } else {
            finish(window, inout, frame.after);
        }
        if frame.entry {
            debug_assert_eq!(self.frames.len(), entry);
            return Some(value);
        }
        // The result replaces the function in the caller's register.
        self.stack[frame.result] = value;
        None
    }

    /// Gives an error its place, then goes to the innermost `try` at or above `entry`, or leaves.
    fn unwind(&mut self, mut error: Error, entry: usize) -> Result<()> {
        self.attach_place(&mut error);
        let handler = self.handlers.last().is_some_and(|h| h.frame >= entry);
        if handler && error.is_failure() && self.cx.innermost_batch().is_some() {
            // It may fail in some examples only.
            error = self.cx.each_alone();
        }
        if handler && error.is_failure() {
            if let Some(handler) = self.handlers.pop() {
                while self.frames.len() > handler.frame + 1 {
                    self.drop_frame();
                }
                self.frames[handler.frame].pc = handler.target;
                self.stack[handler.register] = error_value(&error);
            }
            return Ok(());
        }
        while self.frames.len() > entry {
            let name = self.frames[self.frames.len() - 1].chunk().name.clone();
            self.drop_frame();
            if let Some(caller) = self.frames.last() {
                let places = &caller.chunk().spans[caller.pc.saturating_sub(1)];
                error.0.trace.push((name.to_string(), places.span));
            }
        }
        while self.handlers.last().is_some_and(|h| h.frame >= entry) {
            self.handlers.pop();
        }
        Err(error)
    }

    fn drop_frame(&mut self) {
        if let Some(frame) = self.frames.pop() {
            let end = frame.base + frame.chunk().registers as usize;
            self.stack[frame.base..end].iter_mut().for_each(Value::clear);
        }
    }

    fn attach_place(&mut self, error: &mut Error) {
        if error.0.span.is_some() {
            return;
        }
        let Some(frame) = self.frames.last() else { return };
        let places = &frame.chunk().spans[frame.pc.saturating_sub(1)];
        error.0.span = Some(places.span);
        let operands = places.operands.clone();
        self.note_values(error);
        for (operand, message) in std::mem::take(&mut error.0.operands) {
            if let Some(&span) = operands.get(operand) {
                error.0.labels.push(Label { span, message, primary: false });
            } else {
                error.0.notes.push(message);
            }
        }
    }
}

/// Clears a frame's registers, keeping what `inout` hands back.
fn finish(window: &mut [Value], inout: u64, after: Option<Box<After>>) {
    let after = after.map(|a| *a).unwrap_or_default();
    let mut kept: Vec<(usize, Value)> =
        after.moves.iter().filter_map(|&(param, arg)| Some((arg, std::mem::take(window.get_mut(param)?)))).collect();
    if let Some(receiver) = after.receiver {
        kept.push((0, receiver));
    }
    for (i, register) in window.iter_mut().enumerate() {
        let stays = after.moves.is_empty() && i < 64 && inout & (1 << i) != 0;
        if !stays {
            *register = Value::None;
        }
    }
    for (arg, value) in kept {
        if let Some(register) = window.get_mut(arg) {
            *register = value;
        }
    }
}

/// What `catch e` binds: `e.message`, `e.code`, `e.help`.
fn error_value(error: &Error) -> Value {
    let data = &error.0;
    let mut fields = Dict::new();
    fields.insert(Key::Str("message".into()), Value::str(data.message.clone()));
    fields.insert(Key::Str("code".into()), Value::str(data.code));
    let help = data.help.clone().map_or(Value::None, Value::str);
    fields.insert(Key::Str("help".into()), help);
    thread_local! {
        static DEF: Rc<crate::value::StructDef> = Rc::new(crate::value::StructDef {
            name: "Error".into(),
            fields: ["message", "code", "help"]
                .map(|name| crate::value::FieldDef { name: Symbol::new(name), nograd: true, has_default: false, exact: None })
                .into(),
            methods: Default::default(),
            constructor: Default::default(),
            call: Default::default(),
        });
    }
    let def = DEF.with(Rc::clone);
    Value::Struct(Rc::new(crate::value::StructValue { def, fields: fields.into_values().collect() }))
}
