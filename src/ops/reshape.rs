//! Another shape for the same elements.

use super::convert::{shape_arg, shape_dims};
use super::prim::{Cotangents, Diff, Eval, Keep, Prim, Probe, ProbeArg, Sample, Sig, req};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::tensor::elementwise::wrong_kind;
use crate::tensor::{count, show_shape};
use crate::types::ty::Ty;
use crate::value::Value;
use crate::{each_dtype, tensor::create::full_value, tensor::create::to_tensor};

/// The family.
pub static PRIMS: &[&Prim] = &[&RESHAPE];

fn reshape(env: &mut Env, args: &[Value]) -> Result<Value> {
    let [x, shape] = args else { return Ok(Value::None) };
    let shape = shape_arg("reshape", shape)?;
    if let Value::Float(_, v) = x
        && count(&shape) == 1
    {
        return Ok(full_value(&shape, env.dtype, *v));
    }
    let Some(t) = to_tensor(env, x) else { return Err(wrong_kind("reshape", args)) };
    if count(&shape) != t.len() {
        return Err(Error::new("E0303", format!("{} elements do not fill the shape {}", t.len(), show_shape(&shape))));
    }
    let t = t.contiguous();
    Ok(each_dtype!(&t, a => {
        let data: Vec<_> = a.iter().copied().collect();
        Value::tensor(crate::tensor::Tensor::from_vec(&shape, data))
    }))
}

/// `reshape(x, shape)`
pub static RESHAPE: Prim = Prim {
    name: "reshape",
    doc: "The elements of `x` in row-major order in another shape.",
    sig: Sig { params: &[req("x"), req("shape")] },
    infer: |args: &[Ty]| {
        Ok(Ty::of(args.first().and_then(super::shape_rules::dtype_of), args.get(1).and_then(shape_dims)))
    },
    eval: Eval::General(reshape),
    diff: Diff::Linear {
        vjp: |cx, call, y_bar| Ok(Cotangents::from_iter([Some(cx.reshape(y_bar, call.shape(0))?), None])),
        keep: Keep::NOTHING,
    },
    probe: Probe {
        samples: &[Sample { args: &[ProbeArg::Float { shape: &[2, 3], lo: -1.0, hi: 1.0 }, ProbeArg::Tuple(&[3, 2])] }],
    },
};
