//! Making tensors: from buffers, filled, and from the values inside brackets.
//!
//! In: Rust buffers or scalars and tensors. Out: row-major tensors. Nothing here carries a derivative.

use std::rc::Rc;

use ndarray::{ArcArray1, ArcArray2, ArrayD, IxDyn};

use super::{Arr, DType, Shape, Tensor, count, flat, show_shape};
use crate::each_dtype;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::value::Value;

/// A Rust type that tensors hold.
pub trait Element: Copy + Default + PartialEq + Send + Sync + 'static {
    const DTYPE: DType;
    /// Wraps an array of this type.
    fn wrap(a: Arr<Self>) -> Tensor;
    /// The array if the tensor is of this type.
    fn array(t: &Tensor) -> Option<&Arr<Self>>;
    /// The same to be changed.
    fn array_mut(t: &mut Tensor) -> Option<&mut Arr<Self>>;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl Element for $type {
            const DTYPE: DType = DType::$variant;
            fn wrap(a: Arr<Self>) -> Tensor {
                Tensor::$variant(a)
            }
            fn array(t: &Tensor) -> Option<&Arr<Self>> {
                if let Tensor::$variant(a) = t { Some(a) } else { None }
            }
            #[inline]
            fn array_mut(t: &mut Tensor) -> Option<&mut Arr<Self>> {
                if let Tensor::$variant(a) = t { Some(a) } else { None }
            }
        }
    };
}
element!(bool, Bool);
element!(i64, Int);
element!(f32, F32);
element!(f64, F64);

/// A row-major array; `data` holds exactly the elements of `shape` (a shorter one is padded, a longer one cut).
#[inline]
pub fn array<T: Element>(shape: &[usize], data: Vec<T>) -> Arr<T> {
    debug_assert_eq!(count(shape), data.len(), "buffer and shape disagree");
    match *shape {
        [n] if n == data.len() => ArcArray1::from_vec(data).into_dyn(),
        [m, n] if n.checked_mul(m) == Some(data.len()) && n != 0 => {
            // SAFETY: the buffer holds as many elements as the shape, whose strides are below that.
            unsafe { ArcArray2::from_shape_vec_unchecked((m, n), data) }.into_dyn()
        }
        _ => array_of(shape, data),
    }
}

fn array_of<T: Element>(shape: &[usize], mut data: Vec<T>) -> Arr<T> {
    data.resize(count(shape), T::default());
    let whole = shape.iter().filter(|n| **n != 0).try_fold(1usize, |whole, n| whole.checked_mul(*n));
    if whole.is_none_or(|n| n > isize::MAX as usize) {
        return Arr::default(IxDyn(&[0]));
    }
    // SAFETY: the buffer has been made to hold exactly the elements of the shape, whose strides do not overflow.
    unsafe { ArrayD::from_shape_vec_unchecked(IxDyn(shape), data) }.into_shared()
}

impl Tensor {
    /// A row-major tensor from its elements.
    pub fn from_vec<T: Element>(shape: &[usize], data: Vec<T>) -> Tensor {
        T::wrap(array(shape, data))
    }

    /// The same, counted: written where it stays, as it is longer than its small ones' elements.
    #[inline]
    pub fn counted<T: Element>(shape: &[usize], data: Vec<T>) -> Rc<Tensor> {
        let mut place = Rc::<Tensor>::new_uninit();
        match Rc::get_mut(&mut place) {
            Some(own) => own.write(Tensor::from_vec(shape, data)),
            // It has one owner.
            None => return Rc::new(Tensor::from_vec(shape, data)),
        };
        // SAFETY: it has been written.
        unsafe { place.assume_init() }
    }

    /// A row-major f64 tensor; an error if the buffer does not fill the shape.
    pub fn from_f64(data: Vec<f64>, shape: &[usize]) -> Result<Tensor> {
        filled(data, shape)
    }

    /// A row-major int tensor; an error if the buffer does not fill the shape.
    pub fn from_ints(data: Vec<i64>, shape: &[usize]) -> Result<Tensor> {
        filled(data, shape)
    }

    /// All elements alike, cast to `dtype`.
    pub fn full(shape: &[usize], dtype: DType, x: f64) -> Tensor {
        let n = count(shape);
        match dtype {
            DType::Bool => Tensor::from_vec(shape, vec![x != 0.0; n]),
            DType::Int => Tensor::from_vec(shape, vec![x as i64; n]),
            DType::F32 => Tensor::from_vec(shape, vec![x as f32; n]),
            DType::F64 => Tensor::from_vec(shape, vec![x; n]),
        }
    }

    /// All elements zero (or false).
    pub fn zeros(shape: &[usize], dtype: DType) -> Tensor {
        Tensor::full(shape, dtype, 0.0)
    }

    /// Ones on the main diagonal.
    pub fn eye(rows: usize, columns: usize, dtype: DType) -> Tensor {
        fn go<T: Element>(rows: usize, columns: usize, one: T) -> Tensor {
            let mut data = vec![T::default(); rows * columns];
            for x in data.iter_mut().step_by(columns + 1).take(rows.min(columns)) {
                *x = one;
            }
            Tensor::from_vec(&[rows, columns], data)
        }
        match dtype {
            DType::Bool => go(rows, columns, true),
            DType::Int => go(rows, columns, 1i64),
            DType::F32 => go(rows, columns, 1f32),
            DType::F64 => go(rows, columns, 1f64),
        }
    }

    /// The elements of an iterator of known length, cast to a float dtype.
    pub fn floats(shape: &[usize], dtype: DType, items: impl Iterator<Item = f64>) -> Tensor {
        match dtype {
            DType::F32 => Tensor::from_vec(shape, items.map(|x| x as f32).collect()),
            _ => Tensor::from_vec(shape, items.collect()),
        }
    }

    /// The elements of a float tensor as `T`, row-major, or `None` for another dtype.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::array(self)?.as_slice()
    }
}

fn filled<T: Element>(data: Vec<T>, shape: &[usize]) -> Result<Tensor> {
    if data.len() == count(shape) {
        return Ok(Tensor::from_vec(shape, data));
    }
    Err(Error::new("E0303", format!("{} elements do not fill the shape {}", data.len(), show_shape(shape))))
}

/// Zeros of a shape; the scalar 0.0 for no dims.
pub fn zeros_value(shape: &[usize], dtype: DType) -> Value {
    full_value(shape, dtype, 0.0)
}

/// One number everywhere; a scalar for no dims.
pub fn full_value(shape: &[usize], dtype: DType, x: f64) -> Value {
    if !shape.is_empty() {
        return Value::tensor(Tensor::full(shape, dtype, x));
    }
    match dtype {
        DType::Bool => Value::Bool(x != 0.0),
        DType::Int => Value::Int(x as i64),
        DType::F32 | DType::F64 => Value::float(x),
    }
}

/// The dtype that `[a, b, ...]` takes: that of its tensors (the widest float among them), else by the kinds of its
/// scalars; `Err` gives the first item that no tensor can hold.
pub fn stacked_dtype(env: &Env, items: &[Value]) -> std::result::Result<DType, usize> {
    let mut float_scalar = false;
    let mut int = false;
    let mut tensor: Option<DType> = None;
    let mut all_bool = true;
    for (i, item) in items.iter().enumerate() {
        all_bool &= matches!(item, Value::Bool(_)) || matches!(item, Value::Tensor(_, t) if t.dtype() == DType::Bool);
        match item {
            Value::Bool(_) => {}
            Value::Int(_) => int = true,
            Value::Float(..) => float_scalar = true,
            Value::Tensor(_, t) => match t.dtype() {
                DType::Int => int = true,
                DType::Bool => {}
                float => tensor = Some(tensor.map_or(float, |d| d.max(float))),
            },
            _ => return Err(i),
        }
    }
    Ok(match tensor {
        Some(dtype) => dtype,
        None if float_scalar || items.is_empty() => env.dtype,
        None if int => DType::Int,
        None if all_bool => DType::Bool,
        None => DType::Int,
    })
}

/// The tensor of a bracket literal from its elements: scalars, or tensors of one shape, which are stacked.
pub fn tensor_from_values(env: &mut Env, items: &[Value]) -> Result<Value> {
    let dtype = match stacked_dtype(env, items) {
        Ok(dtype) => dtype,
        Err(i) => {
            let kind = items.get(i).map_or_else(String::new, Value::type_name);
            return Err(Error::new(
                "E0302",
                "brackets make a tensor: its elements are numbers, or tensors of one shape",
            )
            .operand(i, format!("this is {}", article(&kind)))
            .help("write list(...) for a list, which may hold anything"));
        }
    };
    let has_bool = items.iter().any(|v| matches!(v, Value::Bool(_)));
    if has_bool && dtype != DType::Bool {
        let i = items.iter().position(|v| matches!(v, Value::Bool(_))).unwrap_or(0);
        return Err(Error::new("E0302", "a tensor cannot mix bool and numbers")
            .operand(i, "this is a bool")
            .help("write 1 or 0 in place of it, or use list(...) for mixed values"));
    }
    let inner: Shape = items.first().and_then(Value::shape).unwrap_or(&[]).into();
    for (i, item) in items.iter().enumerate() {
        let shape = item.shape().unwrap_or(&[]);
        if shape != inner.as_slice() {
            let (first, other) = (super::show_shape(&inner), super::show_shape(shape));
            let message = format!("brackets make a tensor, but its elements have shapes {first} and {other}");
            return Err(Error::new("E0302", message)
                .operand(0, format!("shape {first}"))
                .operand(i, format!("shape {other}"))
                .help("all elements need one shape; write list(...) to keep values of different shapes"));
        }
    }
    let mut shape = Shape::with_capacity(inner.len() + 1);
    shape.push(items.len());
    shape.extend_from_slice(&inner);
    let n = count(&inner);
    Ok(Value::tensor(match dtype {
        DType::Bool => Tensor::from_vec(&shape, gather(items, n, |v| matches!(v, Value::Bool(true)), |x| x != 0.0)),
        DType::Int => Tensor::from_vec(&shape, ints(items, n)),
        DType::F32 => Tensor::from_vec(&shape, gather(items, n, |v| scalar_f64(v).unwrap_or(0.0) as f32, |x| x as f32)),
        DType::F64 => Tensor::from_vec(&shape, gather(items, n, |v| scalar_f64(v).unwrap_or(0.0), |x| x)),
    }))
}

fn gather<T: Element>(items: &[Value], inner: usize, scalar: impl Fn(&Value) -> T, cast: impl Fn(f64) -> T) -> Vec<T> {
    let mut data = Vec::with_capacity(items.len() * inner);
    for item in items {
        match item {
            Value::Tensor(_, t) => match T::array(t) {
                Some(a) => data.extend_from_slice(&flat(a)),
                None => data.extend(t.iter_f64().map(&cast)),
            },
            other => data.push(scalar(other)),
        }
    }
    data
}

/// As [`gather`], without passing through floats.
fn ints(items: &[Value], inner: usize) -> Vec<i64> {
    let mut data = Vec::with_capacity(items.len() * inner);
    for item in items {
        match item {
            Value::Tensor(_, t) => match &**t {
                Tensor::Int(a) => data.extend_from_slice(&flat(a)),
                Tensor::Bool(a) => data.extend(a.iter().map(|&b| b as i64)),
                Tensor::F32(_) | Tensor::F64(_) => data.extend(t.iter_f64().map(|x| x as i64)),
            },
            Value::Int(i) => data.push(*i),
            other => data.push(matches!(other, Value::Bool(true)) as i64),
        }
    }
    data
}

/// A scalar as a float.
pub fn scalar_f64(v: &Value) -> Option<f64> {
    match v {
        Value::Bool(b) => Some(*b as u8 as f64),
        Value::Int(i) => Some(*i as f64),
        Value::Float(_, x) => Some(*x),
        _ => None,
    }
}

/// Scalars become 1-element views of their kind; tensors stay. `None` for what is not numeric.
pub fn to_tensor(env: &Env, v: &Value) -> Option<Tensor> {
    Some(match v {
        Value::Bool(b) => Tensor::from_vec(&[], vec![*b]),
        Value::Int(i) => Tensor::from_vec(&[], vec![*i]),
        Value::Float(_, x) => Tensor::full(&[], if env.dtype.is_float() { DType::F64 } else { env.dtype }, *x),
        Value::Tensor(_, t) => (**t).clone(),
        _ => return None,
    })
}

/// `a list`, `an int`, `none`.
pub fn article(kind: &str) -> String {
    match kind.chars().next() {
        _ if kind == "none" || kind.contains('[') => kind.to_string(),
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// `f32[3, 4]` for a dtype and shape.
pub fn show_type(dtype: DType, shape: &[usize]) -> String {
    format!("{dtype}{}", show_shape(shape))
}

/// Element `i` in row-major order, if there is one.
pub fn element(t: &Tensor, i: usize) -> Option<Value> {
    each_dtype!(t, a => match a.as_slice() {
        Some(s) => s.get(i).map(|&x| Value::from(x)),
        None => a.iter().nth(i).map(|&x| Value::from(x)),
    })
}

impl From<bool> for Value {
    fn from(x: bool) -> Value {
        Value::Bool(x)
    }
}
impl From<i64> for Value {
    fn from(x: i64) -> Value {
        Value::Int(x)
    }
}
impl From<f32> for Value {
    fn from(x: f32) -> Value {
        Value::float(x as f64)
    }
}
impl From<f64> for Value {
    fn from(x: f64) -> Value {
        Value::float(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(v: Result<Value>) -> String {
        match v {
            Ok(Value::Tensor(_, t)) => format!("{} {}", show_type(t.dtype(), t.shape()), t.to_text()),
            Ok(other) => other.type_name(),
            Err(e) => e.0.code.to_string(),
        }
    }

    #[test]
    fn literals() {
        let env = &mut Env::default();
        let ints = tensor_from_values(env, &[Value::Int(1), Value::Int(2)]);
        assert_eq!(show(ints.clone()), "int[2] [1, 2]");
        let row = ints.unwrap();
        assert_eq!(show(tensor_from_values(env, &[row.clone(), row.clone()])), "int[2, 2] [[1, 2],\n [1, 2]]");
        assert_eq!(show(tensor_from_values(env, &[Value::Int(1), Value::float(0.5)])), "f32[2] [1.0, 0.5]");
        assert_eq!(show(tensor_from_values(env, &[Value::Bool(true)])), "bool[1] [true]");
        assert_eq!(show(tensor_from_values(env, &[])), "f32[0] []");
        assert_eq!(show(tensor_from_values(env, &[row.clone(), Value::Int(1)])), "E0302");
        assert_eq!(show(tensor_from_values(env, &[Value::str("a")])), "E0302");
        let wide = Value::tensor(Tensor::from_vec(&[2], vec![1.5f64, 2.0]));
        assert_eq!(show(tensor_from_values(env, &[row, wide])), "f64[2, 2] [[1.0, 2.0],\n [1.5, 2.0]]");
        let big = i64::MAX - 1;
        assert_eq!(show(tensor_from_values(env, &[Value::Int(big)])), format!("int[1] [{big}]"));
    }
}
