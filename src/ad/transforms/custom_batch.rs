//! Custom rules over the examples of a batch: rules of the whole batch, made of the rules for one example.

use crate::ad::lift;
use crate::ad::reverse::cotangent_list;
use crate::ad::transforms::custom::{Custom, Kind};
use crate::ad::transforms::describe;
use crate::ad::transforms::vmap::over_examples;
use crate::env::Rng;
use crate::error::{Error, Result};
use crate::value::{Args, NativeFn, Value};
use crate::vm::Vm;

/// The function with its rule, over `n` examples at once; arguments with `along` have them on axis 0.
pub fn over_batch(custom: &Custom, along: Vec<bool>, n: usize) -> Custom {
    let each = |part, f: &Value| Value::native(Each { part, f: f.clone(), along: along.clone(), n });
    let part = match custom.kind {
        Kind::Vjp => Part::VjpRule,
        Kind::Jvp => Part::JvpRule,
    };
    Custom { kind: custom.kind, f: each(Part::Value, &custom.f), rule: each(part, &custom.rule) }
}

#[derive(Clone, Copy)]
enum Part {
    Value,
    VjpRule,
    JvpRule,
}

struct Each {
    part: Part,
    f: Value,
    along: Vec<bool>,
    n: usize,
}

impl NativeFn for Each {
    fn describe(&self) -> String {
        describe("vmap", &self.f)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let xs = args.positional;
        match self.part {
            Part::Value => Ok(over_examples(vm, &xs, &self.along, self.n, &|vm, xs| vm.call(&self.f, xs))?.value),
            // Arguments, then a tangent for each.
            Part::JvpRule => {
                let along = [&self.along[..], &self.along[..]].concat();
                Ok(over_examples(vm, &xs, &along, self.n, &|vm, xs| vm.call(&self.f, xs))?.value)
            }
            Part::VjpRule => {
                let rng = vm.cx.env.rng.clone();
                let value = |vm: &mut Vm, xs: &[Value]| Ok(Kind::Vjp.pair(&vm.call(&self.f, xs)?)?.0);
                let y = over_examples(vm, &xs, &self.along, self.n, &value)?.value;
                let (rule, along, n) = (self.f.clone(), self.along.clone(), self.n);
                Ok(Value::tuple(vec![y, Value::native(Pullback { rule, xs, along, n, rng })]))
            }
        }
    }

    fn captured(&self) -> Vec<Value> {
        vec![self.f.clone()]
    }

    fn with_captured(&self, values: Vec<Value>) -> Option<Value> {
        let f = values.into_iter().next()?;
        Some(Value::native(Each { part: self.part, f, along: self.along.clone(), n: self.n }))
    }
}

/// The pullbacks of the examples: the rule is asked again for each, as its pullbacks ended with their batch.
struct Pullback {
    rule: Value,
    xs: Vec<Value>,
    along: Vec<bool>,
    n: usize,
    /// The random state of the call.
    rng: Rng,
}

impl NativeFn for Pullback {
    fn describe(&self) -> String {
        describe("pullback of custom_vjp", &self.rule)
    }

    fn call(&self, vm: &mut Vm, args: Args) -> Result<Value> {
        let mut all = self.xs.clone();
        all.extend(args.positional);
        let along = [&self.along[..], &[true]].concat();
        let one = |vm: &mut Vm, all: &[Value]| {
            let Some((dy, xs)) = all.split_last() else {
                return Err(Error::new("E0320", "a pullback takes one argument: the cotangent of the result"));
            };
            let (_, pullback) = Kind::Vjp.pair(&vm.call(&self.rule, xs)?)?;
            Ok(Value::tuple(cotangent_list(&vm.call(&pullback, std::slice::from_ref(dy))?, xs)?))
        };
        let now = std::mem::replace(&mut vm.cx.env.rng, self.rng.clone());
        let pulled = over_examples(vm, &all, &along, self.n, &one);
        vm.cx.env.rng = now;
        let pulled = pulled?.value;
        let mut cotangents = vec![];
        for (cotangent, along) in lift::children(&pulled).unwrap_or_default().into_iter().zip(&self.along) {
            cotangents.push(if *along {
                cotangent.clone()
            } else {
                // Every example had this argument.
                lift::map_leaves(cotangent, &mut |leaf| {
                    if leaf.is_differentiable() { vm.cx.sum(leaf, &[0], false) } else { Ok(leaf.clone()) }
                })?
            });
        }
        // One argument: bare, as a tuple of one could be the cotangent of a tuple.
        Ok(if let [_] = &cotangents[..] { cotangents.remove(0) } else { Value::tuple(cotangents) })
    }

    fn captured(&self) -> Vec<Value> {
        [&self.xs[..], std::slice::from_ref(&self.rule)].concat()
    }
}
