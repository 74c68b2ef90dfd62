//! Calls. Arguments stand in the registers behind the function; the callee's frame begins at the first of them, so
//! nothing is copied and `inout` parameters are handed back by leaving them there.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::Watch;
use crate::builtins;
use crate::bytecode::chunk::{CallSite, Host};
use crate::error::{Error, Result};
use crate::few::few;
use crate::ops::prim::{ParamKind, Prim};
use crate::symbol::Symbol;
use crate::value::{Args, Closure, Value};
use crate::vm::bind::{self, Given};
use crate::vm::{After, Frame, MAX_HOST_CALLS, Vm};

impl Vm {
    /// Calls a function with positional arguments and runs it to its end.
    pub fn call(&mut self, f: &Value, args: &[Value]) -> Result<Value> {
        self.call_with(f, args.to_vec(), &[])
    }

    /// The same with named arguments too.
    pub fn call_args(&mut self, f: &Value, args: Args) -> Result<Value> {
        let names: Vec<Symbol> = args.named.iter().map(|(name, _)| *name).collect();
        let mut values = args.positional;
        values.extend(args.named.into_iter().map(|(_, v)| v));
        self.call_with(f, values, &names)
    }

    fn call_with(&mut self, f: &Value, args: Vec<Value>, names: &[Symbol]) -> Result<Value> {
        if self.host_calls >= MAX_HOST_CALLS {
            return Err(Error::new(
                "E0420",
                format!("functions that call functions (map, grad, ...) are nested {MAX_HOST_CALLS} deep"),
            )
            .help("give the recursion a case that returns without calling itself"));
        }
        if let Value::Fn(closure) = f
            && closure.chunk.inout != 0
        {
            return Err(bind::changes_what_is_handed(&closure.chunk));
        }
        let at = self.host_base;
        let site = CallSite { count: args.len() as u16, names: names.to_vec(), ..CallSite::default() };
        self.reserve(at + args.len() + 2);
        self.stack[at] = f.clone();
        let count = args.len();
        for (i, arg) in args.into_iter().enumerate() {
            self.stack[at + 1 + i] = arg;
        }
        let frames = self.frames.len();
        let outer = std::mem::replace(&mut self.host_base, at + count + 2);
        self.host_calls += 1;
        let place = self.cx.trap.place;
        let result = match self.call_site(at, &site) {
            Ok(()) if self.frames.len() > frames => {
                self.frames[frames].entry = true;
                self.run()
            }
            Ok(()) => Ok(std::mem::take(&mut self.stack[at])),
            Err(error) => Err(error),
        };
        if self.cx.watch != Watch::Off {
            self.cx.at(place);
        }
        self.host_calls -= 1;
        self.host_base = outer;
        self.stack[at..at + count + 2].iter_mut().for_each(Value::clear);
        result
    }

    /// Runs a compiled function without parameters: a module's body, a test.
    pub fn run_chunk(&mut self, closure: Rc<Closure>) -> Result<Value> {
        self.call(&Value::Fn(closure), &[])
    }

    /// Calls R[at] with the arguments behind it. Either a frame was pushed or the result stands at `at`.
    pub(super) fn call_site(&mut self, at: usize, site: &CallSite) -> Result<()> {
        match &self.stack[at] {
            Value::Fn(closure) => {
                let closure = closure.clone();
                self.enter(closure, at, site, None)
            }
            Value::StructType(def) => {
                let constructor = def.constructor.borrow().clone();
                match constructor {
                    Some(closure) => self.enter(closure, at, site, None),
                    None => Err(Error::new("E0325", format!("`{}` cannot be built by a program", def.name))),
                }
            }
            Value::Prim(prim) => {
                let host = Host::Prim(prim);
                self.host_from_stack(host, at, site)
            }
            Value::Builtin(builtin) => {
                let host = Host::Builtin(builtin);
                self.host_from_stack(host, at, site)
            }
            Value::Native(native) => {
                let native = native.clone();
                let args = self.take_args(at, site);
                let value = self.above(at + 1 + site.count as usize, |vm| native.0.call(vm, args))?;
                self.stack[at] = value;
                Ok(())
            }
            Value::Struct(s) => {
                let method = s.def.methods.borrow().get(&Symbol::CALL).cloned();
                let Some(Value::Fn(closure)) = method else {
                    return Err(Error::new("E0325", format!("a `{}` cannot be called", s.def.name))
                        .operand(0, "called here")
                        .help(format!("add a method: impl {} {{ fn call(self, x) = ... }}", s.def.name)));
                };
                // The value becomes the first argument.
                let n = site.count as usize;
                self.reserve(at + n + 3);
                for i in (0..n).rev() {
                    self.stack[at + 2 + i] = std::mem::take(&mut self.stack[at + 1 + i]);
                }
                self.stack[at + 1] = self.stack[at].clone();
                let site = CallSite {
                    count: site.count + 1,
                    names: site.names.clone(),
                    inout: site.inout << 1,
                    ..CallSite::default()
                };
                if closure.chunk.inout & 1 != 0 {
                    return Err(Error::new("E0327", "this `call` takes `inout self`, which x(...) cannot give")
                        .help("call it as a method of a variable: x.call(...)"));
                }
                self.enter(closure, at, &site, None)
            }
            other => Err(Error::new("E0325", format!("{} cannot be called", a_value(other)))
                .help("only functions, struct names and structs with a method `call` can be called")),
        }
    }

    /// Pushes the frame of a closure; arguments are put into the order of its parameters.
    pub(super) fn enter(
        &mut self,
        closure: Rc<Closure>,
        at: usize,
        site: &CallSite,
        receiver: Option<Value>,
    ) -> Result<()> {
        let chunk = &closure.chunk;
        let base = at + 1;
        let count = site.count as usize;
        self.reserve(base + (chunk.registers as usize).max(count));
        let mut given = Given::all(count);
        let mut moves = vec![];
        if count != chunk.params.len() || !site.names.is_empty() || site.inout != chunk.inout {
            (given, moves) = bind::arrange(chunk, &mut self.stack[base..base + count.max(chunk.params.len())], site)?;
        }
        let params = chunk.params.len();
        let window = &mut self.stack[base..base + chunk.registers as usize];
        // What earlier calls left behind in the caller's temporaries.
        window[params..].iter_mut().for_each(Value::clear);
        for (register, value) in window[params..].iter_mut().zip(&closure.captures) {
            *register = value.clone();
        }
        let after =
            if moves.is_empty() && receiver.is_none() { None } else { Some(Box::new(After { moves, receiver })) };
        self.push_frame(Frame { closure, pc: 0, base, result: at, given: given.0, entry: false, after })
    }

    /// Takes the arguments behind `at`.
    fn take_args(&mut self, at: usize, site: &CallSite) -> Args {
        let count = site.count as usize;
        let named = site.names.len();
        let mut values: Vec<Value> = self.stack[at + 1..at + 1 + count].iter_mut().map(std::mem::take).collect();
        let tail = values.split_off(count - named);
        Args { positional: values, named: site.names.iter().copied().zip(tail).collect() }
    }

    /// A host function whose arguments the site describes.
    pub(super) fn call_host(&mut self, at: usize, site: &CallSite) -> Result<()> {
        match site.host {
            Some(host) => self.host_from_stack(host, at, site),
            None => self.call_site(at, site),
        }
    }

    fn host_from_stack(&mut self, host: Host, at: usize, site: &CallSite) -> Result<()> {
        let count = site.count as usize;
        let range = at + 1..at + 1 + count;
        let mut args: SmallVec<[Value; 8]> = few(self.stack[range.clone()].iter_mut().map(std::mem::take));
        if let Host::Prim(prim) = host
            && (site.arranged || bind::is_whole(prim.sig, site))
        {
            self.stack[at] = self.above(at + 1 + count, |vm| vm.apply_prim(prim, &args))?;
            return Ok(());
        }
        let mut homes: SmallVec<[usize; 8]> = (0..count).collect();
        if !site.arranged {
            let sig = match host {
                Host::Prim(p) => (p.name, p.sig),
                Host::Builtin(b) => (b.name, b.sig),
            };
            (args, homes) = bind::to_signature(sig.0, sig.1, args, &site.names, site.inout)?;
        }
        let value = match host {
            Host::Prim(prim) => self.above(at + 1 + count, |vm| vm.apply_prim(prim, &args))?,
            Host::Builtin(builtin) => {
                if self.cx.innermost_batch().is_some() {
                    builtins::batched::prepare(&mut self.cx, builtin, &mut args)?;
                }
                self.cx.trap.builtin = (!builtin.name.starts_with('_')).then_some(builtin.name);
                let value = self.above(at + 1 + count, |vm| (builtin.run)(vm, &mut args))?;
                self.cx.trap.builtin = None;
                for (i, param) in builtin.sig.params.iter().enumerate() {
                    if param.kind == ParamKind::Inout
                        && let Some(&home) = homes.get(i)
                    {
                        self.stack[at + 1 + home] = std::mem::take(&mut args[i]);
                    }
                }
                value
            }
        };
        self.stack[at] = value;
        Ok(())
    }

    /// A primitive that the program calls by name.
    pub fn apply_prim(&mut self, prim: &'static Prim, args: &[Value]) -> Result<Value> {
        self.cx.apply(prim, args)
    }

    /// Calls a function while registers up to `base` are in use.
    pub(super) fn call_args_above(&mut self, base: usize, f: &Value, args: Args) -> Result<Value> {
        self.above(base, |vm| vm.call_args(f, args))
    }

    /// Runs host code; calls that it makes use registers above `base` and above the running frame.
    fn above<T>(&mut self, base: usize, f: impl FnOnce(&mut Vm) -> Result<T>) -> Result<T> {
        let base = base.max(self.top());
        let base = base.max(self.host_base);
        let outer = std::mem::replace(&mut self.host_base, base);
        let result = f(self);
        self.host_base = outer;
        result
    }
}

/// Enters the method `call` of a struct that is called with as many positional arguments as it takes behind `self`; the struct stands
/// at `at`, where the result goes, too, and the arguments behind it: so they are the callee's first registers. False, with nothing
/// done, for any other call.
#[inline(never)]
pub(super) fn enter_struct(stack: &mut Vec<Value>, at: usize, site: &CallSite, frames: &mut Vec<Frame>) -> bool {
    let Some(Value::Struct(s)) = stack.get(at) else { return false };
    let callee = match &*s.def.call.borrow() {
        Some(closure) if closure.chunk.params.len() == site.count as usize + 1 && closure.chunk.inout == 0 => {
            closure.clone()
        }
        _ => return false,
    };
    if !site.names.is_empty() || site.inout != 0 {
        return false;
    }
    Frame::enter(callee, at, at, stack, frames);
    true
}

/// Enters a method of a struct, or a function or struct with a method `call` in one of its fields, that is called with as many positional
/// arguments as it takes. The receiver stands behind `at`, the arguments behind that. False, with nothing done, for any other call.
#[inline(never)]
pub(super) fn enter_method(stack: &mut Vec<Value>, at: usize, site: &CallSite, frames: &mut Vec<Frame>) -> bool {
    let (Some(name), Some(Value::Struct(s))) = (site.method, stack.get(at + 1)) else { return false };
    let count = site.count as usize;
    if !site.names.is_empty() {
        return false;
    }
    let method = s.def.methods.borrow().get(&name).map(|method| match method {
        Value::Fn(f) if f.chunk.params.len() == count && f.chunk.inout == site.inout => Some(f.clone()),
        _ => None,
    });
    match method {
        Some(Some(callee)) => {
            Frame::enter(callee, at + 1, at, stack, frames);
            return true;
        }
        None if site.inout == 0 => {}
        _ => return false,
    }
    match s.def.field(name).and_then(|i| s.fields.get(i)) {
        Some(Value::Fn(f)) if f.chunk.params.len() + 1 == count && f.chunk.inout == 0 => {
            let callee = f.clone();
            stack[at + 1].clear();
            Frame::enter(callee, at + 2, at, stack, frames);
            true
        }
        Some(Value::Struct(layer)) => {
            let callee = match &*layer.def.call.borrow() {
                Some(f) if f.chunk.params.len() == count && f.chunk.inout == 0 => f.clone(),
                _ => return false,
            };
            stack[at + 1] = Value::Struct(layer.clone());
            Frame::enter(callee, at + 1, at, stack, frames);
            true
        }
        _ => false,
    }
}

/// What a value is, for messages: "an int", "a list".
pub(super) fn a_value(value: &Value) -> String {
    let name = value.type_name();
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    match value {
        Value::None => "none".into(),
        Value::Tuple(items) => format!("a tuple of {}", items.len()),
        // A tensor by its type.
        _ if name.contains('[') => name,
        _ if vowel => format!("an {name}"),
        _ => format!("a {name}"),
    }
}
