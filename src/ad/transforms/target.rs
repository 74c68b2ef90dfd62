//! Which arguments a derivative is with respect to.

use crate::ad::lift::children;
use crate::error::{Error, Result};
use crate::symbol::Symbol;
use crate::value::{Args, Value};

/// `wrt:` of `grad`: one argument, or several whose gradients form a tuple.
#[derive(Clone, Debug)]
pub struct Wrt {
    targets: Vec<Target>,
    tuple: bool,
}

#[derive(Clone, Debug)]
enum Target {
    Index(i64),
    Name(Symbol),
}

/// Where a target stands among the arguments of a call.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Positional(usize),
    Named(usize),
}

/// `grad(f, x)`, as one writes where `grad` is not a function that gives one.
#[cold]
pub fn not_a_target(kind: &str, is_point: bool) -> Error {
    let message = format!("`wrt` names an argument by position or name, and this is {kind}");
    Error::new("E0438", message).help(match is_point {
        true => "the gradient is a function, which takes the point: grad(f)(x)",
        false => "write wrt: 0, wrt: \"x\" or wrt: (0, 1)",
    })
}

impl Wrt {
    /// From the value of `wrt:`.
    pub fn parse(value: &Value) -> Result<Wrt> {
        let one = |v: &Value| match v {
            Value::Int(i) => Ok(Target::Index(*i)),
            Value::Str(s) => Ok(Target::Name(Symbol::new(s))),
            other => Err(not_a_target(&other.type_name(), other.is_differentiable())),
        };
        match value {
            Value::Tuple(items) => Ok(Wrt { targets: items.iter().map(one).collect::<Result<_>>()?, tuple: true }),
            single => Ok(Wrt { targets: vec![one(single)?], tuple: false }),
        }
    }

    /// One argument, by its position.
    pub fn position(i: u8) -> Wrt {
        Wrt { targets: vec![Target::Index(i64::from(i))], tuple: false }
    }

    /// The position of the argument, if it is one and told by it, from the start.
    pub fn as_position(&self) -> Option<u8> {
        match self.targets[..] {
            [Target::Index(i)] if !self.tuple => u8::try_from(i).ok(),
            _ => None,
        }
    }

    /// The value to differentiate: one argument, or a tuple of them.
    pub fn read(&self, f: &Value, args: &Args) -> Result<Value> {
        let (mut values, mut places) = (vec![], vec![]);
        for target in &self.targets {
            let place = self.place(target, f, args)?;
            if places.contains(&place) {
                return Err(Error::new("E0438", "`wrt` names one argument twice").help("name each argument once"));
            }
            places.push(place);
            values.push(match place {
                Place::Positional(i) => args.positional[i].clone(),
                Place::Named(i) => args.named[i].1.clone(),
            });
        }
        Ok(if self.tuple { Value::tuple(values) } else { values.pop().unwrap_or_default() })
    }

    /// The arguments with other values in those places.
    pub fn write(&self, f: &Value, args: &Args, value: &Value) -> Result<Args> {
        let mut args = args.clone();
        let parts = if self.tuple { children(value) } else { Some(vec![value]) };
        for (target, part) in self.targets.iter().zip(parts.unwrap_or_default()) {
            match self.place(target, f, &args)? {
                Place::Positional(i) => args.positional[i] = part.clone(),
                Place::Named(i) => args.named[i].1 = part.clone(),
            }
        }
        Ok(args)
    }

    fn place(&self, target: &Target, f: &Value, args: &Args) -> Result<Place> {
        let names = parameter_names(f);
        let count = args.positional.len() + args.named.len();
        match target {
            Target::Index(i) => {
                let at = if *i < 0 { i + count as i64 } else { *i };
                if at >= 0 && (at as usize) < args.positional.len() {
                    return Ok(Place::Positional(at as usize));
                }
                let name = names.as_ref().and_then(|n| n.get(at as usize));
                let named = name.and_then(|n| args.named.iter().position(|(m, _)| m == n));
                named.map(Place::Named).ok_or_else(|| match name {
                    Some(name) => left_out(*name),
                    None => {
                        Error::new("E0438", format!("there is no argument {i} to differentiate: {count} are given"))
                    }
                })
            }
            Target::Name(name) => {
                if let Some(i) = args.named.iter().position(|(n, _)| n == name) {
                    return Ok(Place::Named(i));
                }
                let at = names.as_ref().and_then(|n| n.iter().position(|m| m == name));
                match at {
                    Some(i) if i < args.positional.len() => Ok(Place::Positional(i)),
                    Some(_) => Err(left_out(*name)),
                    None => Err(Error::new("E0438", format!("there is no argument `{name}` to differentiate"))),
                }
            }
        }
    }
}

/// A parameter that has a default is no argument where it is not given.
#[cold]
fn left_out(name: Symbol) -> Error {
    Error::new("E0438", format!("`{name}` is left to its default here, so it is no argument to differentiate"))
        .help(format!("give it in the call: `{name}: ...`"))
}

/// Names of a function's parameters, if it has any known.
pub fn parameter_names(f: &Value) -> Option<Vec<Symbol>> {
    match f {
        Value::Fn(closure) => Some(closure.chunk.params.iter().map(|p| p.name).collect()),
        Value::Prim(prim) => Some(prim.sig.params.iter().map(|p| Symbol::new(p.name)).collect()),
        Value::Builtin(b) => Some(b.sig.params.iter().map(|p| Symbol::new(p.name)).collect()),
        Value::Native(native) => native.0.inner().and_then(parameter_names),
        Value::Struct(s) => match s.def.methods.borrow().get(&Symbol::CALL) {
            Some(Value::Fn(c)) => Some(c.chunk.params.iter().skip(1).map(|p| p.name).collect()),
            _ => None,
        },
        _ => None,
    }
}

/// A value with something to differentiate in it; ints get their own message.
pub fn expect_differentiable(transform: &str, value: &Value) -> Result<()> {
    if has_float(value) {
        return Ok(());
    }
    let error = Error::new("E0435", format!("`{transform}` needs a float, and this argument is {}", describe(value)))
        .operand(0, format!("this is {}", describe(value)));
    Err(match value {
        Value::Int(i) => error.help(format!("write {i}.0: an int has no derivative")),
        Value::Tensor(_, t) if t.dtype() == crate::tensor::DType::Int => {
            error.help("an int tensor has no derivative: write its elements with a point, or x.to(f32)")
        }
        Value::None => error.help("the argument is none"),
        _ => error.help("differentiate with respect to another argument: wrt: 1"),
    })
}

fn describe(value: &Value) -> String {
    match value {
        Value::Int(i) => format!("the int {i}"),
        other => other.type_name(),
    }
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Struct(s) => s.fields.iter().zip(&s.def.fields).any(|(v, d)| !d.nograd && has_float(v)),
        _ => match children(value) {
            // An empty structure is a vector of no entries.
            Some(items) => items.is_empty() || items.into_iter().any(has_float),
            None => value.is_differentiable(),
        },
    }
}
