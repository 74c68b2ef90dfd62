//! What a primitive is: one value with name, signature, shape rule, evaluation, derivative and probe.
//! The dispatcher (`ad/dispatch.rs`), the checker, completion, docs and the derivative tests read nothing else.

use smallvec::SmallVec;

use crate::ad::Cx;
use crate::ad::slot::Level;
use crate::env::Env;
use crate::error::Result;
use crate::ops::lanes::Elementwise;
use crate::types::ty::Ty;
use crate::value::Value;

/// A row of the ops table.
pub struct Prim {
    pub name: &'static str,
    /// One or two sentences with shapes, formula, and the derivative's convention at kinks and ties.
    pub doc: &'static str,
    pub sig: Sig,
    /// The type of the result from the types of all arguments (in the order of `sig`, defaults filled in).
    /// Unknown is never an error. The message is the one that evaluation gives.
    pub infer: fn(&[Ty]) -> Result<Ty>,
    pub eval: Eval,
    pub diff: Diff,
    pub batch: Batch,
    pub probe: Probe,
}

impl Prim {
    /// As messages call it: the operator, if it is one.
    pub fn shown(&self) -> &'static str {
        match self.name {
            "add" => "+",
            "sub" => "-",
            "mul" => "*",
            "div" => "/",
            "pow" => "^",
            "floordiv" => "//",
            "rem" => "%",
            "matmul" => "@",
            "lt" => "<",
            "le" => "<=",
            "gt" => ">",
            "ge" => ">=",
            "_matmul" => "@",
            "_attention" => "attention",
            "_cast" => "to",
            "_cholesky" => "cholesky",
            "_gelu" | "_gelu_tanh" => "gelu",
            "_concat" => "concat",
            "_stack" => "stack",
            "_eigh" | "_eigh_values" | "_eigh_vectors" => "eigh",
            "_svd" | "_svd_s" | "_svd_u" | "_svd_vt" => "svd",
            "_qr" | "_qr_q" | "_qr_r" => "qr",
            "_pinv" => "pinv",
            "_log_abs_det" => "logdet",
            "_det_sign" | "_cofactors" | "_cofactors_change" => "det",
            "_solve_triangular" => "solve",
            "_polygamma" => "digamma",
            "_set_index" | "_index_add" | "_scatter_along" => "[ ]",
            "_linrec" => "scan",
            // A part of a derivative.
            other if other.starts_with('_') => "its derivative",
            other => other,
        }
    }
}

/// How to compute the value.
pub enum Eval {
    /// Elementwise with broadcasting; scalars take a path without allocation.
    Elementwise(&'static Elementwise),
    /// Arguments in the order of `sig`, defaults filled in, free of slots that matter here. Rank-0 results are scalars.
    General(fn(&mut Env, &[Value]) -> Result<Value>),
}

/// How to differentiate. There is no `Option`: forgetting to decide does not compile.
pub enum Diff {
    /// The partials stand in the [`Elementwise`] value; jvp and vjp both follow from them.
    Elementwise,
    /// Linear in its differentiable arguments taken together: the tangent is the primitive applied to the tangents
    /// (zeros where missing); `vjp` is the transpose.
    Linear { vjp: VjpRule, keep: Keep },
    /// Both rules by hand.
    Rules { jvp: JvpRule, vjp: VjpRule, keep: Keep },
    /// Piecewise constant: zero everywhere.
    Zero,
    /// Differentiating it is an error with this reason and remedy.
    Refused(&'static str),
}

/// How `vmap` applies it to many examples at once. There is no `Option` here either.
pub enum Batch {
    /// Elementwise with broadcasting: shorter examples get axes of 1 behind the batch axis.
    Elementwise,
    /// One application on the whole batch.
    Rule(BatchRule),
    /// The same for primitives whose index may be batched inside its tuple; the rule gets the batch level too.
    Indexed(IndexedRule),
    /// One application for each example, results stacked: right for everything, fast for nothing. Also for what draws
    /// random numbers, so that each example gets its own.
    Each,
}

/// One application on a whole batch, made of primitives through [`Cx`]. The result (each tensor in it) has the batch
/// axis first. `Ok(None)` leaves it to one application for each example.
pub type BatchRule = fn(&mut Cx, &BatchCall<'_>) -> Result<Option<Value>>;

/// A [`BatchRule`] that looks into index tuples.
pub type IndexedRule = fn(&mut Cx, &BatchCall<'_>, Level) -> Result<Option<Value>>;

/// An application to a batch of examples, as batching rules see it.
pub struct BatchCall<'a> {
    pub prim: &'static Prim,
    /// All arguments in the order of `sig`. Batched ones have the batch axis first, so that a batched scalar is a
    /// tensor of rank 1; the others are the same for every example.
    pub args: &'a [Value],
    /// Which arguments are batched; at least one is.
    pub batched: &'a [bool],
    /// Number of examples.
    pub n: usize,
}

impl BatchCall<'_> {
    /// Shape of argument `i` of one example.
    pub fn shape(&self, i: usize) -> &[usize] {
        let shape = self.args.get(i).and_then(|a| a.shape()).unwrap_or(&[]);
        if self.batched.get(i) == Some(&true) { shape.get(1..).unwrap_or(&[]) } else { shape }
    }

    /// True if argument `i` alone is batched.
    pub fn only(&self, i: usize) -> bool {
        self.batched.iter().enumerate().all(|(k, &b)| b == (k == i))
    }
}

/// Tangent of the result from the tangents of the arguments (`None` = zero). At least one is present.
pub type JvpRule = fn(&mut Cx, &Call<'_>, &[Option<Value>]) -> Result<Option<Value>>;

/// Cotangents of the arguments from the result's. `call.wants(i)` tells which are asked for; others may be `None`.
/// The dispatcher sums broadcast axes back, so a rule may return the shape of the result; and casts to the argument's dtype.
pub type VjpRule = fn(&mut Cx, &Call<'_>, &Value) -> Result<Cotangents>;

/// One entry for each argument.
pub type Cotangents = SmallVec<[Option<Value>; 3]>;

/// A recorded application, as rules see it. Values may carry slots of lower levels; rules compute with [`Cx`] only.
pub struct Call<'a> {
    pub prim: &'static Prim,
    /// All arguments in the order of `sig`. Those not kept (see [`Keep`]) are replaced by `Value::None`, except
    /// non-differentiable ones (axes, indices, masks), which always stay. Shapes stay known through [`Call::shape`].
    pub args: &'a [Value],
    /// `Value::None` unless kept.
    pub out: &'a Value,
    pub shapes: &'a [ArgShape],
    pub wanted: u32,
}

/// What is remembered of an argument even when its value is not.
#[derive(Clone, Debug, Default)]
pub struct ArgShape {
    pub shape: SmallVec<[usize; 4]>,
    /// `None` for scalars and for what is not numeric.
    pub dtype: Option<crate::tensor::DType>,
}

/// The bit of argument `i` in a mask. Primitives that join values have any number of arguments: from 31 on they share one.
pub const fn arg_bit(i: usize) -> u32 {
    1 << if i < 31 { i } else { 31 }
}

impl Call<'_> {
    /// True if the cotangent of argument `i` is needed.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted & arg_bit(i) != 0
    }

    /// Shape of argument `i`; empty for scalars.
    pub fn shape(&self, i: usize) -> &[usize] {
        self.shapes.get(i).map_or(&[], |s| &s.shape)
    }
}

/// Which values a vjp rule reads; all else is freed (and may be updated in place) after the forward pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    pub args: bool,
    pub out: bool,
}

impl Keep {
    pub const NOTHING: Keep = Keep { args: false, out: false };
    pub const ARGS: Keep = Keep { args: true, out: false };
    pub const OUT: Keep = Keep { args: false, out: true };
    pub const BOTH: Keep = Keep { args: true, out: true };
}

/// Parameters of a primitive or builtin.
#[derive(Clone, Copy, Debug)]
pub struct Sig {
    pub params: &'static [Param],
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub name: &'static str,
    pub kind: ParamKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParamKind {
    /// Must be given.
    Required,
    /// May be left out; must be given by name if `named_only` parameters precede it.
    Optional(Default),
    /// Takes all further positional arguments, as a tuple. A single tuple or list argument is taken as it is.
    Rest,
    /// Takes all further positional arguments, as a tuple, each as it is (`print((1, 2))` gets one argument).
    Variadic,
    /// Must be given as `&place`; only builtins have such.
    Inout,
}

/// Default of an optional parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'static str),
}

/// A required parameter.
pub const fn req(name: &'static str) -> Param {
    Param { name, kind: ParamKind::Required }
}

/// An optional parameter.
pub const fn opt(name: &'static str, default: Default) -> Param {
    Param { name, kind: ParamKind::Optional(default) }
}

/// A parameter that is optional if a default is given.
pub const fn second(name: &'static str, default: &[Default]) -> Param {
    match default {
        [default, ..] => opt(name, *default),
        [] => req(name),
    }
}

/// All further arguments.
pub const fn rest(name: &'static str) -> Param {
    Param { name, kind: ParamKind::Rest }
}

/// All further arguments, each as it is.
pub const fn variadic(name: &'static str) -> Param {
    Param { name, kind: ParamKind::Variadic }
}

/// An `&place` parameter.
pub const fn inout(name: &'static str) -> Param {
    Param { name, kind: ParamKind::Inout }
}

/// Where the machine check samples a primitive.
pub struct Probe {
    /// Argument lists to try: each a call in dlang's terms, see [`Sample`].
    pub samples: &'static [Sample],
}

/// One way to call the primitive in the check.
pub struct Sample {
    pub args: &'static [ProbeArg],
}

/// One argument of a probe call.
#[derive(Clone, Copy, Debug)]
pub enum ProbeArg {
    /// Random floats of this shape (`&[]`: a scalar) within `lo..hi`; differentiated.
    Float {
        shape: &'static [usize],
        lo: f64,
        hi: f64,
    },
    /// Random matrices along the last two axes, differentiated: well-conditioned, with distinct eigenvalues and singular
    /// values; if symmetric, positive definite.
    Matrix {
        shape: &'static [usize],
        symmetric: bool,
    },
    /// Exactly these floats, 1-d, or a scalar if there is one; differentiated.
    Point(&'static [f64]),
    /// An int tensor.
    Ints {
        shape: &'static [usize],
        data: &'static [i64],
    },
    /// A bool tensor.
    Bools {
        shape: &'static [usize],
        data: &'static [bool],
    },
    /// A static argument.
    Int(i64),
    Bool(bool),
    None,
    Tuple(&'static [i64]),
    Str(&'static str),
    DType(crate::tensor::DType),
    /// A tuple of arguments that are not differentiated: several index items, a slice as `(start, stop, step)`.
    Items(&'static [ProbeArg]),
}
