//! Values of a check: drawn at random, read as numbers, compared.

use dlang::ops::prim::ProbeArg;
use dlang::tensor::{DType, Tensor, count};
use dlang::value::Value;
use dlang::vm::Vm;
use rand::Rng;

/// A machine whose new float tensors have `dtype`.
pub fn machine(dtype: DType) -> Vm {
    let mut vm = Vm::default();
    vm.cx.env.dtype = dtype;
    vm.cx.env.seed(7);
    vm
}

/// One argument of a call to check: a probe's, or a variant of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// Random floats of a shape within bounds; differentiated.
    Float(Vec<usize>, f64, f64),
    /// Well-conditioned matrices, symmetric or not; differentiated.
    Matrix(Vec<usize>, bool),
    /// Exactly these floats; differentiated.
    Point(Vec<f64>),
    Ints(Vec<usize>, Vec<i64>),
    Bools(Vec<usize>, Vec<bool>),
    Int(i64),
    Bool(bool),
    None,
    Tuple(Vec<i64>),
    Str(&'static str),
    DType(DType),
    Items(Vec<Spec>),
}

impl Spec {
    pub fn of(arg: &ProbeArg) -> Spec {
        match *arg {
            ProbeArg::Float { shape, lo, hi } => Spec::Float(shape.to_vec(), lo, hi),
            ProbeArg::Matrix { shape, symmetric } => Spec::Matrix(shape.to_vec(), symmetric),
            ProbeArg::Point(xs) => Spec::Point(xs.to_vec()),
            ProbeArg::Ints { shape, data } => Spec::Ints(shape.to_vec(), data.to_vec()),
            ProbeArg::Bools { shape, data } => Spec::Bools(shape.to_vec(), data.to_vec()),
            ProbeArg::Int(i) => Spec::Int(i),
            ProbeArg::Bool(b) => Spec::Bool(b),
            ProbeArg::None => Spec::None,
            ProbeArg::Tuple(items) => Spec::Tuple(items.to_vec()),
            ProbeArg::Str(s) => Spec::Str(s),
            ProbeArg::DType(d) => Spec::DType(d),
            ProbeArg::Items(items) => Spec::Items(items.iter().map(Spec::of).collect()),
        }
    }

    /// True for what is differentiated.
    pub fn is_active(&self) -> bool {
        matches!(self, Spec::Float(..) | Spec::Matrix(..) | Spec::Point(_))
    }

    /// As values in f64.
    pub fn draw(&self, vm: &mut Vm) -> Value {
        match self {
            Spec::Float(shape, lo, hi) => {
                let mut draw = || lo + (hi - lo) * vm.cx.env.rng.random::<f64>();
                let data = (0..count(shape)).map(|_| draw()).collect();
                floats(shape, data)
            }
            Spec::Matrix(shape, symmetric) => {
                let (rows, cols) = (shape[shape.len() - 2], shape[shape.len() - 1]);
                let mut data = vec![];
                for _ in 0..count(&shape[..shape.len() - 2]) {
                    let noise: Vec<f64> = (0..rows * cols).map(|_| 0.6 * vm.cx.env.rng.random::<f64>() - 0.3).collect();
                    let entry = |i: usize, j: usize| {
                        let (i, j) = if *symmetric { (i.max(j), i.min(j)) } else { (i, j) };
                        noise[i * cols + j] + if i == j { 1.5 + i as f64 } else { 0.0 }
                    };
                    data.extend((0..rows * cols).map(|k| entry(k / cols, k % cols)));
                }
                floats(shape, data)
            }
            Spec::Point(xs) if xs.len() == 1 => Value::float(xs[0]),
            Spec::Point(xs) => floats(&[xs.len()], xs.clone()),
            Spec::Ints(shape, data) => Value::tensor(Tensor::from_vec(shape, data.clone())),
            Spec::Bools(shape, data) => Value::tensor(Tensor::from_vec(shape, data.clone())),
            Spec::Int(i) => Value::Int(*i),
            Spec::Bool(b) => Value::Bool(*b),
            Spec::None => Value::None,
            Spec::Tuple(items) => Value::tuple(items.iter().map(|&i| Value::Int(i)).collect()),
            Spec::Str(s) => Value::str(*s),
            Spec::DType(d) => Value::DType(*d),
            Spec::Items(items) => Value::tuple(items.iter().map(|s| s.draw(vm)).collect()),
        }
    }
}

/// A float tensor, or the scalar for no dims.
pub fn floats(shape: &[usize], data: Vec<f64>) -> Value {
    Value::tensor(Tensor::from_vec(shape, data))
}

/// Floats, scalars and tensors inside a result, in order.
pub fn leaves(v: &Value) -> Vec<Value> {
    match v {
        Value::Tuple(items) | Value::List(items) => items.iter().flat_map(leaves).collect(),
        other => vec![other.clone()],
    }
}

/// All numbers of a value in order.
pub fn numbers(v: &Value) -> Vec<f64> {
    match v {
        Value::Float(_, x) => vec![*x],
        Value::Int(i) => vec![*i as f64],
        Value::Bool(b) => vec![f64::from(u8::from(*b))],
        Value::Tensor(_, t) => t.iter_f64().collect(),
        Value::Tuple(items) | Value::List(items) => items.iter().flat_map(numbers).collect(),
        _ => vec![],
    }
}

pub fn all_numbers(vs: &[Value]) -> Vec<f64> {
    vs.iter().flat_map(numbers).collect()
}

/// Other numbers in the shape and dtype of `v`.
pub fn like(v: &Value, data: Vec<f64>) -> Value {
    match v {
        Value::Tensor(_, t) => {
            let wide = Tensor::from_vec(t.shape(), data);
            Value::tensor(wide.cast(t.dtype()).expect("floats can be cast"))
        }
        _ => Value::float(data[0]),
    }
}

/// A random direction whose entries suit the size of the numbers.
pub fn directions(vm: &mut Vm, vs: &[Value]) -> Vec<Value> {
    let rng = &mut vm.cx.env.rng;
    let mut step = |x: f64| {
        let size = (1e-2 + x.abs()) * (0.5 + rng.random::<f64>());
        if rng.random::<bool>() { size } else { -size }
    };
    vs.iter().map(|v| like(v, numbers(v).into_iter().map(&mut step).collect())).collect()
}

/// Random numbers between 0.5 and 1.5 and of either sign.
pub fn cotangents(vm: &mut Vm, vs: &[Value]) -> Vec<Value> {
    let ones: Vec<Value> = vs.iter().map(|v| like(v, vec![0.99; numbers(v).len()])).collect();
    directions(vm, &ones)
}

/// `v + h u`
pub fn moved(vs: &[Value], us: &[Value], h: f64) -> Vec<Value> {
    let step = |v: &Value, u: &Value| numbers(v).iter().zip(numbers(u)).map(|(x, d)| x + h * d).collect();
    vs.iter().zip(us).map(|(v, u)| like(v, step(v, u))).collect()
}

pub fn zeros(vs: &[Value]) -> Vec<Value> {
    vs.iter().map(|v| like(v, vec![0.0; numbers(v).len()])).collect()
}

/// Inner product, and the sum of the sizes of its terms.
pub fn dot(a: &[Value], b: &[Value]) -> (f64, f64) {
    let terms =
        all_numbers(a).into_iter().zip(all_numbers(b)).map(|(x, y)| if x == 0.0 || y == 0.0 { 0.0 } else { x * y });
    terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()))
}

/// Equal to a relative tolerance of the largest number; NaN equals NaN, an infinity itself.
pub fn close(got: &[f64], want: &[f64], tolerance: f64) -> bool {
    close_within(got, want, tolerance, 1e-3)
}

/// The same, with the least that counts as the largest number.
pub fn close_within(got: &[f64], want: &[f64], tolerance: f64, least: f64) -> bool {
    let scale = want.iter().filter(|w| w.is_finite()).fold(least, |m: f64, w| m.max(w.abs()));
    got.len() == want.len()
        && got.iter().zip(want).all(|(g, w)| g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tolerance * scale)
}

/// The same kinds, shapes and dtypes.
pub fn alike(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.type_name() == b.type_name())
}

/// Types in words, for messages.
pub fn shown(vs: &[Value]) -> String {
    vs.iter().map(Value::type_name).collect::<Vec<_>>().join(", ")
}
