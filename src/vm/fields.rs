//! Fields: of structs, dicts and modules, and the properties of tensors.

use std::rc::Rc;

use crate::ad::Cx;
use crate::bytecode::chunk::TypeTest;
use crate::bytecode::op::Op;
use crate::diagnostic::did_you_mean;
use crate::error::{Error, Result};
use crate::ops::reshape::TRANSPOSE;
use crate::symbol::Symbol;
use crate::tensor::DType;
use crate::value::{Key, StructValue, Value};
use crate::vm::call::a_value;
use crate::vm::typetest;

type Globals = [Option<Value>];

/// A struct of the definition in `def` with the first `n` registers as fields, which are moved.
pub fn build(def: &Value, regs: &mut [Value], n: usize) -> Result<Value> {
    let Value::StructType(def) = def else {
        return Err(Error::new("E0400", "a constructor lacks its definition"));
    };
    let fields = regs[..n].iter_mut().map(std::mem::take).collect();
    Ok(Value::Struct(Rc::new(StructValue { def: def.clone(), fields })))
}

/// `object.name`
pub fn get(cx: &mut Cx, globals: &Globals, object: &Value, name: Symbol) -> Result<Value> {
    match object {
        Value::Struct(s) => {
            if let Some(i) = s.def.field(name) {
                return Ok(s.fields.get(i).cloned().unwrap_or_default());
            }
            let method = s.def.methods.borrow().get(&name).cloned();
            if let Some(method) = method {
                return Ok(Value::native(BoundMethod { receiver: object.clone(), method, name }));
            }
        }
        Value::Tensor(..) | Value::Batched(..) | Value::Float(..) | Value::Int(_) | Value::Bool(_) => {
            if let Some(value) = property(cx, object, &name.name())? {
                return Ok(value);
            }
        }
        Value::Module(module) => {
            if let Some(value) = module.exports.get(&name).and_then(|&i| globals.get(i as usize)) {
                return value
                    .clone()
                    .ok_or_else(|| Error::new("E0404", format!("`{}.{name}` has no value yet", module.name)));
            }
        }
        Value::StructType(def) => {
            if let Some(method) = def.methods.borrow().get(&name) {
                return Ok(method.clone());
            }
        }
        Value::Dict(dict) => {
            if let Some(value) = dict.get(&Key::Str(name.name())) {
                return Ok(value.clone());
            }
        }
        _ => {}
    }
    Err(no_field(object, name).operand(0, format!("this is {}", a_value(object))))
}

/// `x.shape`, `x.t` and the like.
fn property(cx: &mut Cx, object: &Value, name: &str) -> Result<Option<Value>> {
    let Some(shape) = object.shape() else { return Ok(None) };
    Ok(Some(match name {
        "shape" => Value::tuple(shape.iter().map(|&n| Value::Int(n as i64)).collect()),
        "rank" => Value::Int(shape.len() as i64),
        "size" => Value::Int(shape.iter().product::<usize>() as i64),
        "dtype" => Value::DType(object.dtype().unwrap_or(DType::F64)),
        "t" if shape.is_empty() => object.clone(),
        "t" => cx.apply(&TRANSPOSE, std::slice::from_ref(object))?,
        _ => return Ok(None),
    }))
}

/// The field, moved out where nothing else could see that.
pub fn take(cx: &mut Cx, globals: &Globals, object: &mut Value, name: Symbol) -> Result<Value> {
    match object {
        Value::Struct(s) => {
            if let Some(i) = s.def.field(name)
                && let Some(field) = Rc::make_mut(s).fields.get_mut(i)
            {
                return Ok(std::mem::take(field));
            }
        }
        Value::Dict(dict) => {
            if let Some(value) = Rc::make_mut(dict).get_mut(&Key::Str(name.name())) {
                return Ok(std::mem::take(value));
            }
        }
        _ => {}
    }
    get(cx, globals, object, name)
}

/// `object.name = value`; a struct's annotation holds for its field.
pub fn set(object: &mut Value, name: Symbol, value: Value, globals: &Globals, default: DType) -> Result<()> {
    match object {
        Value::Struct(s) => {
            if let Some(i) = s.def.field(name)
                && let value = annotated(s, i, value, globals, default)?
                && let Some(field) = Rc::make_mut(s).fields.get_mut(i)
            {
                *field = value;
                return Ok(());
            }
        }
        Value::Dict(dict) => {
            Rc::make_mut(dict).insert(Key::Str(name.name()), value);
            return Ok(());
        }
        _ => {}
    }
    Err(no_field(object, name))
}

/// The same for a list that came from the field and had a value pushed onto its end: only that one is tested, if it can be tested
/// alone.
pub fn set_grown(object: &mut Value, name: Symbol, value: Value, globals: &Globals, default: DType) -> Result<()> {
    if let Value::Struct(s) = object
        && let Some(i) = s.def.field(name)
        && let Value::List(items) = &value
        && let Some(last) = items.last()
        && passes(s, i, |test| matches!(test, TypeTest::List(item) if typetest::quick(item, last)))
        && let Some(field) = Rc::make_mut(s).fields.get_mut(i)
    {
        *field = value;
        return Ok(());
    }
    set(object, name, value, globals, default)
}

/// The value for field `i` after the test of its annotation, which stands in the constructor. Dimension variables are
/// those of the other fields.
fn annotated(s: &StructValue, i: usize, value: Value, globals: &Globals, default: DType) -> Result<Value> {
    let constructor = s.def.constructor.borrow();
    let Some(chunk) = constructor.as_ref().map(|c| &c.chunk) else { return Ok(value) };
    let tests = chunk.code.iter().filter_map(|op| match op {
        Op::Check { reg, test } => Some((reg.0 as usize, &chunk.types[test.0 as usize])),
        _ => None,
    });
    let tests: Vec<(usize, &TypeTest)> = tests.collect();
    let Some((_, own)) = tests.iter().find(|(reg, _)| *reg == i) else { return Ok(value) };
    if typetest::quick(own, &value) {
        return Ok(value);
    }
    let mut regs = vec![Value::None; chunk.registers as usize];
    // Others matter for the dimension variables that they show: a long list of ints shows none.
    for (k, test) in tests.iter().filter(|(k, test)| *k != i && has_dims(own) && has_dims(test)) {
        // A field whose value is out for a change says nothing about dims.
        if let Some(other @ (Value::Tensor(..) | Value::Tuple(_) | Value::List(_))) = s.fields.get(*k) {
            regs[*k] = other.clone();
            let _ = typetest::check(&mut regs, *k, test, "", globals, default);
        }
    }
    regs[i] = value;
    let field = s.def.fields.get(i).map_or_else(String::new, |f| format!("`{}.{}`", s.def.name, f.name));
    typetest::check(&mut regs, i, own, &field, globals, default)?;
    Ok(std::mem::take(&mut regs[i]))
}

/// True for the annotation of what has dimension variables.
fn has_dims(test: &TypeTest) -> bool {
    match test {
        TypeTest::Tensor { dims, .. } => !dims.is_empty(),
        TypeTest::Optional(inner) | TypeTest::List(inner) => has_dims(inner),
        TypeTest::Dict(_, item) => has_dims(item),
        TypeTest::Tuple(parts) => parts.iter().any(has_dims),
        _ => false,
    }
}

/// Whether the annotation of field `i` is one for which `holds` is true; also if it has none.
fn passes(s: &StructValue, i: usize, holds: impl Fn(&TypeTest) -> bool) -> bool {
    let constructor = s.def.constructor.borrow();
    let Some(chunk) = constructor.as_ref().map(|c| &c.chunk) else { return true };
    let own = chunk.code.iter().find_map(|op| match op {
        Op::Check { reg, test } if reg.0 as usize == i => chunk.types.get(test.0 as usize),
        _ => None,
    });
    own.is_none_or(holds)
}

/// There is no such field.
pub fn no_field(object: &Value, name: Symbol) -> Error {
    let text = name.name();
    let error = |of: &str| Error::new("E0323", format!("{of} has no field `{text}`"));
    let near = |e: Error, known: Vec<Rc<str>>| match did_you_mean(&text, known.iter().map(|n| &**n)) {
        Some(near) => e.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => e,
        None => e.help(format!("it has: {}", known.join(", "))),
    };
    match object {
        Value::Struct(s) => {
            let mut known: Vec<Rc<str>> = s.def.fields.iter().map(|f| f.name.name()).collect();
            known.extend(s.def.methods.borrow().keys().map(|m| m.name()));
            near(error(&format!("`{}`", s.def.name)), known)
        }
        Value::Module(m) => near(
            Error::new("E0204", format!("module `{}` has no `{text}`", m.name)),
            m.exports.keys().map(|s| s.name()).collect(),
        ),
        Value::Dict(d) => {
            let known = d.keys().filter_map(|k| if let Key::Str(s) = k { Some(s.clone()) } else { None });
            let error = Error::new("E0450", format!("the dict has no key \"{text}\""));
            let known: Vec<Rc<str>> = known.collect();
            match did_you_mean(&text, known.iter().map(|n| &**n)) {
                Some(near) => error.help(format!("did you mean \"{near}\"?")),
                None => error.operand(0, format!("its keys: {}", known.join(", "))),
            }
        }
        Value::Tensor(..) => {
            near(error(&a_value(object)), ["shape", "rank", "size", "dtype", "t"].map(Rc::from).to_vec())
        }
        Value::None => error("none").help("a function without a last expression gives none"),
        other => error(&a_value(other)),
    }
}

/// `x.method` without a call.
struct BoundMethod {
    receiver: Value,
    method: Value,
    name: Symbol,
}

impl crate::value::NativeFn for BoundMethod {
    fn describe(&self) -> String {
        format!("{}.{}", self.receiver.type_name(), self.name)
    }

    fn call(&self, vm: &mut crate::vm::Vm, mut args: crate::value::Args) -> Result<Value> {
        args.positional.insert(0, self.receiver.clone());
        vm.call_args(&self.method, args)
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.receiver.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        let receiver = values.into_iter().next()?;
        Some(Value::native(BoundMethod { receiver, method: self.method.clone(), name: self.name }))
    }
}
