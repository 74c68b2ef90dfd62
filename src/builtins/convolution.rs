//! `conv1d` and `conv_transpose2d`, made of the primitives of `conv2d`: derivatives and batches come with those.

use crate::builtins::Builtin;
use crate::builtins::fail::arity;
use crate::ops::convert::shape_value;
use crate::ops::convolution::{CONV2D, DILATION, GROUPS, INPUT_BAR, PADDING, STRIDE};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::ops::sliding::{
    Arg, Pair, convolution, float_dtype, known_args, operand, operand_type, pair, settings, shape, transposed,
};
use crate::types::ty::Ty;
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&CONV1D, &CONV_TRANSPOSE2D];

/// `(rows, columns)` as an argument.
fn pair_value(pair: Option<Pair>) -> Value {
    shape_value(&pair.unwrap_or_default())
}

/// `conv1d(x, w, stride: 1, padding: 0, dilation: 1, groups: 1)`
pub static CONV1D: Builtin = Builtin {
    name: "conv1d",
    doc: "Convolution along one axis, channels first: `x[batch, in, l]` and weights `w[out, in/groups, k]` give `[batch, out, ol]` \
          with `ol = (l + 2*padding - dilation*(k - 1) - 1) // stride + 1`. \
          `conv1d([[[1.0, 2.0, 3.0]]], [[[1.0, 1.0]]])` is `[[[3.0, 5.0]]]`.",
    sig: Sig { params: &[req("x"), req("w"), STRIDE, PADDING, DILATION, GROUPS] },
    infer: |args| {
        let name = "conv1d";
        let (x, w) = (operand_type(name, args, 0)?, operand_type(name, args, 1)?);
        let s = settings(name, &known_args(args), 2, 1)?;
        let (Some(x), Some(w)) = (x, w) else { return Ok(Ty::Any) };
        Ok(Ty::of(float_dtype(x.dtype, w.dtype), convolution(name, &x, &w, &s, 1)?))
    },
    run: |vm, args| {
        let name = "conv1d";
        let (x, w) = (operand(name, args, 0)?, operand(name, args, 1)?);
        let s = settings(name, &known_args(args), 2, 1)?;
        let out = shape(convolution(name, &x, &w, &s, 1)?);
        // Planes of one row.
        let plane = |dims| {
            let mut plane = shape(dims);
            plane.insert(2, 1);
            plane
        };
        let [x_value, w_value, _, _, _, groups] = args else { return Err(arity(name)) };
        let x = vm.cx.reshape(x_value, &plane(x.dims))?;
        let w = vm.cx.reshape(w_value, &plane(w.dims))?;
        let settings = [s.stride, s.padding, s.dilation].map(pair_value);
        let [stride, padding, dilation] = settings;
        let y = vm.cx.apply(&CONV2D, &[x, w, stride, padding, dilation, groups.clone()])?;
        vm.cx.reshape(&y, &out)
    },
};

/// `conv_transpose2d(x, w, stride: 1, padding: 0, dilation: 1, groups: 1, output_padding: 0)`
pub static CONV_TRANSPOSE2D: Builtin = Builtin {
    name: "conv_transpose2d",
    doc: "The transpose of `conv2d`: each element of `x[batch, in, h, w]` spreads the weights `w[in, out/groups, kh, kw]` (inputs \
          first) over the result `[batch, out, oh, ow]`, `oh = (h - 1)*stride - 2*padding + dilation*(kh - 1) + output_padding + 1`. \
          `output_padding`, less than the stride, is the part of the size that a stride loses.",
    sig: Sig {
        params: &[req("x"), req("w"), STRIDE, PADDING, DILATION, GROUPS, opt("output_padding", Default::Int(0))],
    },
    infer: |args| {
        let name = "conv_transpose2d";
        let (x, w) = (operand_type(name, args, 0)?, operand_type(name, args, 1)?);
        let s = settings(name, &known_args(args), 2, 2)?;
        let more = pair(name, "output_padding", 6, &args.get(6).map_or(Arg::Unknown, Arg::from), 0, 2)?;
        let (Some(x), Some(w)) = (x, w) else { return Ok(Ty::Any) };
        Ok(Ty::of(float_dtype(x.dtype, w.dtype), transposed(name, &x, &w, &s, more)?))
    },
    run: |vm, args| {
        let name = "conv_transpose2d";
        let (x, w) = (operand(name, args, 0)?, operand(name, args, 1)?);
        let s = settings(name, &known_args(args), 2, 2)?;
        let more = pair(name, "output_padding", 6, &args.get(6).map_or(Arg::Unknown, Arg::from), 0, 2)?;
        let out = shape(transposed(name, &x, &w, &s, more)?);
        let [x, w, stride, padding, dilation, groups, _] = args else { return Err(arity(name)) };
        let size = shape_value(out.get(2..).unwrap_or(&[]));
        let [x, w] = [x, w].map(|v| v.clone());
        let [stride, padding, dilation, groups] = [stride, padding, dilation, groups].map(|v| v.clone());
        vm.cx.apply(&INPUT_BAR, &[x, w, size, stride, padding, dilation, groups])
    },
};
