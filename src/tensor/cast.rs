//! Casts between dtypes and the promotion rules (scalars are weak).

use std::borrow::Cow;

use super::create::Element;
use super::simd::ints::{Cut, cut};
use super::{Arr, DType, Tensor, flat};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::ops::lanes::{Elementwise, LaneKernel, PullKernel};
use crate::value::Value;

/// The bounds within which a float has an int; above, casting is an error.
const INT_LIMIT: f64 = 9_223_372_036_854_775_808.0;

/// A float as an int, cut towards zero; NaN and what does not fit are errors.
pub fn float_to_int(x: f64) -> Result<i64> {
    if (-INT_LIMIT..INT_LIMIT).contains(&x) {
        return Ok(x as i64);
    }
    let shown = super::format::format_float(x);
    Err(Error::new("E0312", format!("{shown} has no int")).help("an int is a whole number of at most 64 bits"))
}

impl Tensor {
    /// The same numbers in another dtype; shares the buffer if it is that already.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        Ok(match dtype {
            DType::F32 => Tensor::F32(self.to_f32()),
            DType::F64 => Tensor::F64(self.to_f64()),
            DType::Int => match self {
                Tensor::Bool(a) => Tensor::Int(convert(a, |x| x as i64)),
                Tensor::Int(a) => Tensor::Int(a.clone()),
                Tensor::F32(a) => Tensor::Int(cut_all(a)?),
                Tensor::F64(a) => Tensor::Int(cut_all(a)?),
            },
            DType::Bool => Tensor::Bool(match self {
                Tensor::Bool(a) => a.clone(),
                Tensor::Int(a) => convert(a, |x| x != 0),
                Tensor::F32(a) => convert(a, |x| x != 0.0),
                Tensor::F64(a) => convert(a, |x| x != 0.0),
            }),
        })
    }

    /// As f32; shares the buffer if it is.
    pub fn to_f32(&self) -> Arr<f32> {
        match self {
            Tensor::Bool(a) => convert(a, |x| x as u8 as f32),
            Tensor::Int(a) => convert(a, |x| x as f32),
            Tensor::F32(a) => a.clone(),
            Tensor::F64(a) => convert(a, |x| x as f32),
        }
    }

    /// As f64; shares the buffer if it is.
    pub fn to_f64(&self) -> Arr<f64> {
        match self {
            Tensor::Bool(a) => convert(a, |x| x as u8 as f64),
            Tensor::Int(a) => convert(a, |x| x as f64),
            Tensor::F32(a) => convert(a, |x| x as f64),
            Tensor::F64(a) => a.clone(),
        }
    }
}

fn convert<A: Element, B: Element>(a: &Arr<A>, f: impl Fn(A) -> B) -> Arr<B> {
    super::create::array(a.shape(), flat(a).iter().map(|&x| f(x)).collect())
}

fn cut_all<T: Float + Cut>(a: &Arr<T>) -> Result<Arr<i64>> {
    let (data, mut out) = (flat(a), vec![]);
    if !cut(&data, &mut out) {
        data.iter().try_for_each(|x| float_to_int(x.to_f64()).map(|_| ()))?;
    }
    Ok(super::create::array(a.shape(), out))
}

/// What the elementwise kernels can load a tensor as.
pub trait Float: Element + crate::ops::real::Real {
    /// The elements in row-major order, converted only if they must be.
    fn load(t: &Tensor) -> Cow<'_, [Self]>;
    /// The kernel of a primitive.
    fn lanes(e: &Elementwise) -> LaneKernel<Self>;
    /// The kernels of its pullback.
    fn pulls(e: &Elementwise) -> &[PullKernel<Self>; 3];
}

impl Float for f32 {
    #[inline]
    fn lanes(e: &Elementwise) -> LaneKernel<f32> {
        e.lanes32
    }

    #[inline]
    fn pulls(e: &Elementwise) -> &[PullKernel<f32>; 3] {
        &e.pull32
    }

    #[inline]
    fn load(t: &Tensor) -> Cow<'_, [f32]> {
        match t {
            Tensor::F32(a) => flat(a),
            Tensor::F64(a) => Cow::Owned(flat(a).iter().map(|&x| x as f32).collect()),
            Tensor::Int(a) => Cow::Owned(flat(a).iter().map(|&x| x as f32).collect()),
            Tensor::Bool(a) => Cow::Owned(flat(a).iter().map(|&x| x as u8 as f32).collect()),
        }
    }
}

impl Float for f64 {
    #[inline]
    fn lanes(e: &Elementwise) -> LaneKernel<f64> {
        e.lanes64
    }

    #[inline]
    fn pulls(e: &Elementwise) -> &[PullKernel<f64>; 3] {
        &e.pull64
    }

    #[inline]
    fn load(t: &Tensor) -> Cow<'_, [f64]> {
        match t {
            Tensor::F64(a) => flat(a),
            Tensor::F32(a) => Cow::Owned(flat(a).iter().map(|&x| x as f64).collect()),
            Tensor::Int(a) => Cow::Owned(flat(a).iter().map(|&x| x as f64).collect()),
            Tensor::Bool(a) => Cow::Owned(flat(a).iter().map(|&x| x as u8 as f64).collect()),
        }
    }
}

/// Kind of a result with several operands, before it is known whether it is a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Bool,
    Int,
    /// A float: of this dtype if a tensor.
    Float(DType),
}

/// The common kind of operands: float tensors decide (the widest), then floats, then ints. `None` if one is not numeric.
pub fn promote(env: &Env, args: &[Value]) -> Option<Kind> {
    let mut kind = Kind::Bool;
    let mut tensor: Option<DType> = None;
    for v in args {
        match v {
            Value::Bool(_) => {}
            Value::Int(_) if kind == Kind::Bool => kind = Kind::Int,
            Value::Int(_) => {}
            Value::Float(..) => kind = Kind::Float(env.dtype),
            Value::Tensor(_, t) => match t.dtype() {
                DType::Bool => {}
                DType::Int if kind == Kind::Bool => kind = Kind::Int,
                DType::Int => {}
                float => tensor = Some(tensor.map_or(float, |d| d.max(float))),
            },
            _ => return None,
        }
    }
    Some(tensor.map_or(kind, Kind::Float))
}

/// The value in another dtype; scalars change their kind.
pub fn cast_value(v: &Value, dtype: DType) -> Result<Value> {
    Ok(match (v, dtype) {
        (Value::Tensor(_, t), _) => Value::tensor(t.cast(dtype)?),
        (Value::Float(_, x), DType::Int) => Value::Int(float_to_int(*x)?),
        (Value::Int(i), DType::Int) => Value::Int(*i),
        (other, _) => match (super::create::scalar_f64(other), dtype) {
            (Some(x), DType::Bool) => Value::Bool(x != 0.0),
            (Some(x), DType::Int) => Value::Int(x as i64),
            (Some(x), _) => Value::float(x),
            (None, _) => return Err(Error::new("E0310", format!("{} cannot be cast to {dtype}", other.type_name()))),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_weak() {
        let env = Env::default();
        let f64s = Value::tensor(Tensor::zeros(&[2], DType::F64));
        let f32s = Value::tensor(Tensor::zeros(&[2], DType::F32));
        let ints = Value::tensor(Tensor::zeros(&[2], DType::Int));
        let x = Value::float(1.0);
        assert_eq!(promote(&env, &[x.clone(), f64s.clone()]), Some(Kind::Float(DType::F64)));
        assert_eq!(promote(&env, &[f32s.clone(), f64s]), Some(Kind::Float(DType::F64)));
        assert_eq!(promote(&env, &[f32s, x.clone()]), Some(Kind::Float(DType::F32)));
        assert_eq!(promote(&env, &[ints.clone(), x]), Some(Kind::Float(DType::F32)));
        assert_eq!(promote(&env, &[ints, Value::Int(1)]), Some(Kind::Int));
        assert_eq!(promote(&env, &[Value::str("a")]), None);
    }

    #[test]
    fn float_to_int_limits() {
        assert_eq!(float_to_int(-1.7).unwrap(), -1);
        assert!(float_to_int(f64::NAN).is_err());
        assert!(float_to_int(1e20).is_err());
        assert!(Tensor::from_vec(&[1], vec![f32::NAN]).cast(DType::Int).is_err());
    }
}
