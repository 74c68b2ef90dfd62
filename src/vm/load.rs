//! Putting a compiled module into the machine: its functions, structs and imports become globals.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::bytecode::chunk::Chunk;
use crate::compile::{CompiledExtension, CompiledModule};
use crate::resolve::{GlobalKind, LoadedModule, Program};
use crate::symbol::Symbol;
use crate::value::{Closure, ModuleValue, StructDef, Value};
use crate::vm::Vm;

impl Vm {
    /// Sets what is known before the module's body runs; gives the body.
    pub fn load(&mut self, program: &Program, compiled: CompiledModule, bases: &[u32]) -> Rc<Closure> {
        let module = program.module(compiled.id);
        if module.is_library {
            self.cx.trap.library.push(module.source);
        }
        let end = bases[compiled.id.0 as usize] as usize + module.resolved.globals.len();
        if self.globals.len() < end {
            self.globals.resize(end, None);
        }
        for (global, chunk) in compiled.functions {
            self.globals[global as usize] = Some(Value::Fn(closure(chunk)));
        }
        for s in compiled.structs {
            let def = Rc::new(StructDef {
                name: s.name,
                fields: s.fields,
                methods: Default::default(),
                constructor: Default::default(),
                call: Default::default(),
            });
            def.add_methods(s.methods.into_iter().map(|(name, chunk)| (name, Value::Fn(closure(chunk)))));
            if let Ok(mut chunk) = Rc::try_unwrap(s.constructor) {
                // Constant 0 stands for the definition (see `compile/structs.rs`).
                chunk.consts[0] = Value::StructType(def.clone());
                *def.constructor.borrow_mut() = Some(closure(Rc::new(chunk)));
            }
            self.globals[s.global as usize] = Some(Value::StructType(def));
        }
        for CompiledExtension { global, methods } in compiled.extensions {
            if let Some(Some(Value::StructType(def))) = self.globals.get(global as usize) {
                let methods = methods.into_iter().map(|(name, chunk)| (name, Value::Fn(closure(chunk))));
                def.add_methods(methods);
            }
        }
        for (global, id) in compiled.modules {
            let value = module_value(program.module(id), bases);
            self.globals[global as usize] = Some(Value::Module(Rc::new(value)));
        }
        closure(compiled.main)
    }
}

/// A function that captures nothing.
pub fn closure(chunk: Rc<Chunk>) -> Rc<Closure> {
    Rc::new(Closure { chunk, captures: vec![] })
}

fn module_value(module: &LoadedModule, bases: &[u32]) -> ModuleValue {
    let mut exports = FxHashMap::default();
    for (i, global) in module.resolved.globals.iter().enumerate() {
        // What a module imports is not its own to export.
        let own = !matches!(global.kind, GlobalKind::Module(_) | GlobalKind::Imported(_));
        if own && !global.name.starts_with('_') {
            exports.insert(Symbol::new(&global.name), bases[module.id.0 as usize] + i as u32);
        }
    }
    ModuleValue { name: module.name.clone(), exports }
}
