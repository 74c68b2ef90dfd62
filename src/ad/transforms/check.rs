//! check_grad: reverse mode against central differences in f64.

use std::rc::Rc;

use crate::ad::lift;
use crate::ad::slot::Slot;
use crate::ad::transforms::expect_function;
use crate::ad::transforms::reverse_mode::record;
use crate::ad::transforms::target::expect_differentiable;
use crate::builtins::Builtin;
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::tensor::format::format_float;
use crate::tensor::{DType, Tensor};
use crate::types::ty::Ty;
use crate::value::Value;
use crate::vm::Vm;

pub static CHECK_GRAD: Builtin = Builtin {
    name: "check_grad",
    doc: "Compares the gradient of f at x with central differences in f64, entry by entry; an error names the worst entry \
          if they differ by more than tol (relative, absolute below 1). Gives true. A result of f that is not one float \
          is reduced with fixed weights. Example: check_grad(|x| sin(x), 1.0)",
    sig: Sig { params: &[req("f"), req("x"), opt("tol", Default::Float(1e-5))] },
    infer: |_| Ok(Ty::Bool(None)),
    run: |vm, args| {
        expect_function("check_grad", &args[0])?;
        expect_differentiable("check_grad", &args[1])?;
        let tol = match args[2] {
            Value::Float(_, tol) => tol,
            Value::Int(tol) => tol as f64,
            _ => 1e-5,
        };
        if tol.is_nan() || tol <= 0.0 {
            return Err(Error::new(
                "E0455",
                format!("the tol of check_grad is {}: it must be above 0", format_float(tol)),
            )
            .operand(2, "this is the tol")
            .help("differences are never exact; 1e-5 is usual, 1e-8 about the least that they reach"));
        }
        let (f, x) = (args[0].clone(), args[1].clone());
        let dtype = std::mem::replace(&mut vm.cx.env.dtype, DType::F64);
        let result = check(vm, &f, &x, tol);
        vm.cx.env.dtype = dtype;
        result.map(|()| Value::Bool(true))
    },
};

fn check(vm: &mut Vm, f: &Value, x: &Value, tol: f64) -> Result<()> {
    let x = lift::map_leaves(x, &mut |leaf| match leaf {
        Value::Tensor(_, t) if t.dtype().is_float() => Ok(Value::Tensor(Slot::CONST, Rc::new(t.cast(DType::F64)?))),
        other => Ok(other.with_slot(Slot::CONST)),
    })?;
    let rng = vm.cx.env.rng.clone();
    let mut recorded = record(vm, &x, |vm, x| vm.call(f, std::slice::from_ref(x)))?;
    let weights = weights_like(&recorded.value)?;
    let seeds = recorded.seeds(&weights)?;
    let gradient = recorded.pull(vm, &seeds, true)?;
    let mut point = flatten(&x);
    let slopes = flatten(&gradient);
    let mut worst: Option<(f64, usize, f64, f64)> = None;
    for i in 0..point.len() {
        let at = point[i];
        // The cube root of the machine epsilon balances truncation and rounding.
        let h = 6e-6 * at.abs().max(1.0);
        let fine = 6e-6 * at.abs();
        let mut value = |y: f64| -> Result<f64> {
            point[i] = y;
            vm.cx.env.rng = rng.clone();
            let moved = unflatten(&x, &mut point.iter().copied())?;
            let out = vm.call(f, &[moved])?;
            Ok(flatten(&out).iter().zip(flatten(&weights)).map(|(y, w)| y * w).sum())
        };
        let mut slope = |h: f64| -> Result<f64> { Ok((value(at + h)? - value(at - h)?) / (2.0 * h)) };
        let ours = slopes.get(i).copied().unwrap_or(0.0);
        let off = |numeric: f64| {
            let error = (ours - numeric).abs() / ours.abs().max(numeric.abs()).max(1.0);
            if error.is_nan() { f64::INFINITY } else { error }
        };
        let mut numeric = slope(h)?;
        if off(numeric) > tol && fine > 0.0 && fine < h {
            // Near 0 a function may bend within the step: 1/x at 1e-6.
            let closer = slope(fine)?;
            if off(closer) < off(numeric) {
                numeric = closer;
            }
        }
        let error = off(numeric);
        point[i] = at;
        if error > tol && worst.is_none_or(|(e, ..)| error > e) {
            worst = Some((error, i, ours, numeric));
        }
    }
    vm.cx.env.rng = rng;
    let Some((error, i, ours, numeric)) = worst else { return Ok(()) };
    // As many digits as tell the two apart.
    let rounded = |x: f64, digits: usize| format_float(format!("{x:.digits$e}").parse().unwrap_or(x));
    let digits = (6..17).find(|&d| rounded(ours, d) != rounded(numeric, d)).unwrap_or(17);
    Err(Error::new(
        "E0441",
        format!(
            "the gradient differs from central differences: entry {} has {} against {}",
            entry(&x, i),
            rounded(ours, digits),
            rounded(numeric, digits)
        ),
    )
    .note(format!("relative error {error:.3e}, allowed {tol:e}"))
    .help("at a kink or jump the two may differ; elsewhere the rule of a custom derivative is wrong"))
}

/// Floats of a value in order, as many as a gradient of it has.
fn flatten(value: &Value) -> Vec<f64> {
    match value {
        Value::Struct(s) => {
            let fields = s.fields.iter().zip(&s.def.fields).filter(|(_, d)| !d.nograd);
            fields.flat_map(|(v, _)| flatten(v)).collect()
        }
        Value::Float(_, x) => vec![*x],
        Value::Tensor(_, t) if t.dtype().is_float() => t.iter_f64().collect(),
        other => lift::children(other).unwrap_or_default().into_iter().flat_map(flatten).collect(),
    }
}

fn unflatten(like: &Value, data: &mut dyn Iterator<Item = f64>) -> Result<Value> {
    match like {
        Value::Float(..) => Ok(Value::float(data.next().unwrap_or(0.0))),
        Value::Tensor(_, t) if t.dtype().is_float() => {
            let values: Vec<f64> = data.take(t.len()).collect();
            Ok(Value::Tensor(Slot::CONST, Rc::new(Tensor::from_vec(t.shape(), values))))
        }
        Value::Struct(s) => {
            let mut parts = vec![];
            for (v, d) in s.fields.iter().zip(&s.def.fields) {
                parts.push(if d.nograd { v.clone() } else { unflatten(v, data)? });
            }
            Ok(lift::rebuild(like, parts))
        }
        other => match lift::children(other) {
            Some(items) => {
                let mut parts = vec![];
                for item in items {
                    parts.push(unflatten(item, data)?);
                }
                Ok(lift::rebuild(other, parts))
            }
            None => Ok(other.clone()),
        },
    }
}

/// Fixed weights in the shape of a result: 1 for one float.
fn weights_like(value: &Value) -> Result<Value> {
    let mut k = 0u32;
    lift::map_leaves(value, &mut |leaf| match leaf {
        Value::Float(..) => {
            k += 1;
            Ok(Value::float(if k == 1 { 1.0 } else { weight(k) }))
        }
        Value::Tensor(_, t) if t.dtype().is_float() => {
            let data: Vec<f64> = (0..t.len() as u32).map(|i| weight(i + k)).collect();
            Ok(Value::Tensor(Slot::CONST, Rc::new(Tensor::from_vec(t.shape(), data))))
        }
        _ => Ok(Value::None),
    })
}

/// Irregular numbers between 0.5 and 1.5, so that errors do not cancel.
fn weight(k: u32) -> f64 {
    0.5 + (f64::from(k) * 0.618_033_988_749_895).fract()
}

/// The name of entry `i` of a value: `[3]`, `.w[1, 2]`.
fn entry(value: &Value, i: usize) -> String {
    match value {
        Value::Tensor(_, t) => {
            let mut rest = i;
            let mut index = vec![];
            for &n in t.shape().iter().rev() {
                index.push((rest % n.max(1)).to_string());
                rest /= n.max(1);
            }
            index.reverse();
            format!("[{}]", index.join(", "))
        }
        Value::Struct(s) => {
            let mut rest = i;
            for (v, d) in s.fields.iter().zip(&s.def.fields).filter(|(_, d)| !d.nograd) {
                let n = flatten(v).len();
                if rest < n {
                    return format!(".{}{}", d.name, entry(v, rest));
                }
                rest -= n;
            }
            String::new()
        }
        other => {
            let mut rest = i;
            for (k, v) in lift::children(other).unwrap_or_default().into_iter().enumerate() {
                let n = flatten(v).len();
                if rest < n {
                    return format!("[{k}]{}", entry(v, rest));
                }
                rest -= n;
            }
            "x".into()
        }
    }
}
