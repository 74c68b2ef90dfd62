//! `x.name(args)`: a field that is called, a method, `with`, or the function `name` applied to `x`.

use std::rc::Rc;

use crate::bytecode::chunk::CallSite;
use crate::error::{Error, Result};
use crate::resolve::Res;
use crate::symbol::Symbol;
use crate::value::{Closure, StructValue, Value};
use crate::vm::{Vm, fields};

impl Vm {
    /// Receiver at `at + 1`, the function of that name (or `none`) at `at`.
    pub(super) fn call_method(&mut self, at: usize, site: &CallSite) -> Result<()> {
        let Some(name) = site.method else { return self.call_site(at, site) };
        match &self.stack[at + 1] {
            Value::Struct(s) => {
                let method = s.def.methods.borrow().get(&name).cloned();
                if let Some(Value::Fn(closure)) = method {
                    return self.enter_method(closure, at, site);
                }
                if let Some(field) = s.def.field(name) {
                    let function = s.fields.get(field).cloned().unwrap_or_default();
                    return self.call_part(function, at, site);
                }
                if &*name.name() == "with" {
                    return self.with(at, site);
                }
            }
            Value::StructType(def) => {
                let method = def.methods.borrow().get(&name).cloned();
                let Some(Value::Fn(closure)) = method else {
                    let names: Vec<_> = def.methods.borrow().keys().map(|s| s.name()).collect();
                    return Err(no_method(&format!("`{}`", def.name), &name.name(), names.iter().map(|n| &**n), true));
                };
                return self.call_part(Value::Fn(closure), at, site);
            }
            Value::Module(module) => {
                let index = module.exports.get(&name).copied();
                let function = index.and_then(|i| self.globals.get(i as usize).cloned().flatten());
                if let Some(function) = function {
                    return self.call_part(function, at, site);
                }
                let names: Vec<_> = module.exports.keys().map(|s| s.name()).collect();
                return Err(no_method(
                    &format!("module `{}`", module.name),
                    &name.name(),
                    names.iter().map(|n| &**n),
                    true,
                ));
            }
            // `x.to(f64)` and the like are fields or builtins of tensors.
            _ => {}
        }
        if !callable(&self.stack[at]) {
            // A variable that holds no function hides no builtin here: `ages.items()` beside `let items = ...`.
            self.stack[at] = match crate::resolve::builtin_names::find(&name.name(), false) {
                Some(Res::Prim(prim)) => Value::Prim(prim),
                Some(Res::Builtin(builtin)) => Value::Builtin(builtin),
                _ => Value::None,
            };
        }
        if !matches!(self.stack[at], Value::None) {
            return self.call_on_receiver(at, site);
        }
        if let Value::Dict(dict) = &self.stack[at + 1]
            && let Some(function) = dict.get(&crate::value::Key::Str(name.name()))
        {
            let function = function.clone();
            return self.call_part(function, at, site);
        }
        let receiver = &self.stack[at + 1];
        Err(match receiver {
            Value::Struct(s) => {
                let mut names: Vec<_> = s.def.methods.borrow().keys().map(|s| s.name()).collect();
                names.extend(s.def.fields.iter().map(|f| f.name.name()));
                no_method(&format!("`{}`", s.def.name), &name.name(), names.iter().map(|n| &**n), true)
            }
            other => {
                let names: Vec<&str> = crate::resolve::builtin_names::all().collect();
                no_method(&crate::vm::call::a_value(other), &name.name(), names.into_iter(), false)
            }
        })
    }

    /// The function `name` with the receiver as first argument. A receiver that may change but is not changed by the
    /// function goes back unharmed.
    fn call_on_receiver(&mut self, at: usize, site: &CallSite) -> Result<()> {
        if site.inout & 1 != 0 {
            let takes_inout = match &self.stack[at] {
                Value::Fn(f) => f.chunk.inout & 1 != 0,
                Value::Builtin(b) => b.sig.params.first().is_some_and(|p| p.kind == crate::ops::prim::ParamKind::Inout),
                _ => false,
            };
            if !takes_inout {
                let plain = CallSite {
                    count: site.count,
                    names: site.names.clone(),
                    inout: site.inout & !1,
                    ..CallSite::default()
                };
                let receiver = self.stack[at + 1].clone();
                if let Value::Fn(closure) = &self.stack[at] {
                    let closure = closure.clone();
                    return self.enter(closure, at, &plain, Some(receiver));
                }
                self.call_site(at, &plain)?;
                self.stack[at + 1] = receiver;
                return Ok(());
            }
        }
        self.call_site(at, site)
    }

    fn enter_method(&mut self, closure: Rc<Closure>, at: usize, site: &CallSite) -> Result<()> {
        if site.inout & 1 != 0 && closure.chunk.inout & 1 == 0 {
            let plain = CallSite {
                count: site.count,
                names: site.names.clone(),
                inout: site.inout & !1,
                ..CallSite::default()
            };
            let receiver = self.stack[at + 1].clone();
            return self.enter(closure, at, &plain, Some(receiver));
        }
        self.enter(closure, at, site, None)
    }

    /// Calls a function that was a part of the receiver, which is no argument then.
    fn call_part(&mut self, function: Value, at: usize, site: &CallSite) -> Result<()> {
        let count = site.count as usize;
        let changes = site.inout & 1 != 0;
        let inner = CallSite {
            count: site.count - 1,
            names: site.names.clone(),
            inout: site.inout >> 1,
            ..CallSite::default()
        };
        if changes || inner.inout != 0 {
            // Places must stay where they are: run the call to its end beside the arguments.
            let args: Vec<Value> = self.stack[at + 2..at + 1 + count].to_vec();
            if inner.inout != 0 {
                return Err(Error::new("E0326", "a function kept in a field cannot change its arguments")
                    .help("bind it first: let f = x.field, then f(&y)"));
            }
            let tail = args.len() - inner.names.len();
            let (positional, named) = args.split_at(tail);
            let args = crate::value::Args {
                positional: positional.to_vec(),
                named: inner.names.iter().copied().zip(named.iter().cloned()).collect(),
            };
            let value = self.call_args_above(at + 1 + count, &function, args)?;
            self.stack[at] = value;
            return Ok(());
        }
        self.stack[at] = function;
        for i in 1..count {
            self.stack[at + i] = std::mem::take(&mut self.stack[at + i + 1]);
        }
        self.call_site(at, &inner)
    }

    /// `p.with(w: w2)`: a copy with other fields.
    fn with(&mut self, at: usize, site: &CallSite) -> Result<()> {
        let count = site.count as usize;
        let Value::Struct(s) = self.stack[at + 1].clone() else { return Ok(()) };
        if site.names.len() + 1 != count {
            return Err(Error::new("E0320", "`with` takes named fields only")
                .help("name the fields that change: p.with(x: 1.0)"));
        }
        let mut copy: StructValue = (*s).clone();
        let first = at + 1 + count - site.names.len();
        let mut alike = true;
        for (i, name) in site.names.iter().enumerate() {
            let Some(field) = copy.def.field(*name) else {
                return Err(fields::no_field(&Value::Struct(s.clone()), *name).operand(i + 1, "not a field"));
            };
            let new = std::mem::take(&mut self.stack[first + i]);
            alike &= stands_for(&new, &copy.fields[field]);
            copy.fields[field] = new;
        }
        let constructor = copy.def.constructor.borrow().clone();
        let has_none = copy.fields.iter().any(|f| matches!(f, Value::None));
        let value = match constructor {
            // The constructor checks annotations of the new fields.
            Some(closure) => {
                let args = crate::value::Args { positional: copy.fields.clone(), named: vec![] };
                match self.call_args_above(at + 1 + count, &Value::Fn(closure), args) {
                    // A gradient has none where nothing moves, whatever the annotation says.
                    Err(error) if has_none && alike && matches!(error.0.code, "E0330" | "E0331") => {
                        Value::Struct(Rc::new(copy))
                    }
                    result => result?,
                }
            }
            None => Value::Struct(Rc::new(copy)),
        };
        if site.inout & 1 == 0 {
            self.stack[at + 1] = Value::None;
        }
        self.stack[at] = value;
        Ok(())
    }
}

/// True for `none`, and for what may be the gradient in place of another.
fn stands_for(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::None, _) | (_, Value::None) => true,
        (Value::Struct(a), Value::Struct(b)) => Rc::ptr_eq(&a.def, &b.def),
        _ => new.shape() == old.shape() && (new.shape().is_some() || new.type_name() == old.type_name()),
    }
}

fn callable(value: &Value) -> bool {
    match value {
        Value::Fn(_) | Value::Prim(_) | Value::Builtin(_) | Value::Native(_) | Value::StructType(_) => true,
        Value::Struct(s) => s.def.methods.borrow().contains_key(&Symbol::new("call")),
        _ => false,
    }
}

fn no_method<'a>(of: &str, name: &str, known: impl Iterator<Item = &'a str>, is_struct: bool) -> Error {
    let error = Error::new("E0323", format!("{of} has no method `{name}`"));
    let of_text = if of == "a str" { crate::resolve::hints::for_text(name).map(str::to_string) } else { None };
    match of_text.or_else(|| crate::resolve::hints::for_member(name, is_struct, known)) {
        Some(hint) => error.help(hint),
        None => error,
    }
}
