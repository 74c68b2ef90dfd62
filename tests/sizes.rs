//! Inferred sizes against the values of a run: random programs over tensors whose sizes the checker does not know.

use std::collections::HashMap;

use dlang::pipeline::{Mode, Options, Session};
use dlang::types::show_ty;
use dlang::types::size::{Num, VarId};
use dlang::types::ty::{Dim, Ty};
use dlang::value::Value;

fn options() -> Options {
    Options { dtype: dlang::tensor::DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 }
}

/// What random programs start with. `u` is 0, which the checker does not know.
const PRELUDE: &str = "
let u = len(args())
let a = zeros(5 + u, 3)
let b = ones(4, 3)[u:]
let c = if u > 0 { zeros(2, 3) } else { ones(6, 3) }
let d = arange(9)[arange(9) > 3 + u].reshape(-1, 1) * 1.0
fn halves(x) = (x[:len(x) // 2], x[len(x) // 2:])
fn positive(x) = x[x[:, 0] > 0.5]
fn both(x: float[n, k], y: float[m, k]) -> float[n + m, k] = concat(list(x, y))
fn pieces(x, size) {
    var parts = list()
    var at = 0
    while at < len(x) {
        parts.push((x[at:at + size], arange(len(x[at:at + size]))))
        at += size
    }
    parts
}
fn shrink(x) = if len(x) > 2 { shrink(x[1:]) } else { x }
let parts = pieces(a, 2)
let head = parts[0][0]
let tail = parts[-1][0]
let tails = map(|i| a[i:], 0..len(b))
let long = tails[0]
let short = tails[2]
let rest = list(a[i:] for i in 0..len(b))
let more = rest[0]
let less = rest[3]
let w = randint(2, 5) + u
let e = stack(list(ones(3) * i for i in u..w + 1))
let k = concat(list(ones(i + 1, 3) for i in 0..w))
fn grown(n) = concat(list(ones(n, 3), ones(n + 1, 3)))
let g = grown(randint(1, 4))
var s = 0.0
for i in 0..w { s += ones(2, 3) }
let t = sum(map(|i| ones(4, 3), 0..w))
";

struct Writer {
    state: u64,
    names: Vec<String>,
    text: String,
}

impl Writer {
    fn random(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % n
    }

    fn name(&mut self) -> String {
        let i = self.random(self.names.len());
        self.names[i].clone()
    }

    fn expression(&mut self) -> String {
        let (x, y, k) = (self.name(), self.name(), self.random(4));
        let forms = [
            format!("{x}[{k}:]"),
            format!("{x}[:-{}]", k + 1),
            format!("{x}[-{}:]", k + 1),
            format!("{x}[{k} + u:]"),
            format!("{x}[u:len({x}) - {k}]"),
            format!("{x}[:, {k}:]"),
            format!("{x}[::-1]"),
            format!("{x} @ {y}.t"),
            format!("{x}.t @ {x}"),
            format!("{x} + {y}"),
            format!("{x} - {y}[:, :1]"),
            format!("both({x}, {y})"),
            format!("concat(list({x}, {y}, {x}))"),
            format!("concat(list({x}, {x}), axis: 1)"),
            format!("{x}.reshape({x}.shape[0], -1)"),
            format!("{x}.reshape(-1, {x}.shape[1])"),
            format!("{x}.reshape(1, -1)"),
            format!("{x}.t"),
            format!("zeros(len({x}), {k} + 1)"),
            format!("zeros({x}.shape[0] * 2, {x}.shape[1] + u)"),
            format!("zeros(max({x}.shape[0] - {k}, 0), 2)"),
            format!("zeros(min({x}.shape[0], {y}.shape[0]), 2)"),
            format!("flatten({x}).reshape(-1, 1)"),
            format!("pad({x}, {k})"),
            format!("repeat({x}, {k} + 1, axis: 0)"),
            format!("tile({x}, (2, {k}))"),
            format!("stack(list({x}, {x})).reshape(2 * len({x}), -1)"),
            format!("positive({x})"),
            format!("halves({x})[{}]", k % 2),
            format!("shrink({x})"),
            format!("pieces({x}, {})[0][0]", k + 1),
            format!("{{ let (p, q) = pieces({x}, {})[-1]; p * q.reshape(-1, 1) }}", k + 1),
            format!("{{ var s = {x}; for i in 0..{k} {{ s = s[1:] }}; s }}"),
            format!("{{ var s = {x}; for (p, q) in pieces({x}, 2) {{ s = p }}; s }}"),
            format!("{{ var s = {x}; while len(s) > {k} {{ s = s[:-1] }}; s }}"),
            format!("if u > {k} {{ {x} }} else {{ {y} }}"),
            format!("try {{ {x} @ {y} }} catch e {{ {y} }}"),
            format!("{{ assert(len({x}) == len({y})); {x}[1:] }}"),
            format!("{{ assert(len({x}) > 0 and {x}.shape[1] == {y}.shape[1]); concat(list({x}[:1], {y})) }}"),
            format!("[sum({x}[i]) for i in 0..len({x})].reshape(-1, 1)"),
            format!("list({x}[i:] for i in 0..3)[{}]", k % 3),
            format!("list(({x}[i:], {y}) for i in 0..20 if i < 3)[{}][{}]", k % 3, k % 2),
            format!("map(|i| {x}[i:i + 2], 0..len({x}))[0]"),
            format!("conv1d({x}.t.reshape({x}.shape[1], 1, -1), ones(1, 1, 2), stride: {})[0]", k + 1),
            format!("vmap(|r| r[{k}:])({x})"),
            format!("grad(|w| sum(w * w))({x})"),
            format!("jacobian(|w| w[{k}:] * 2.0)({x}[:, 0])"),
            format!("gather({x}, arange({k}))"),
            format!("{x}[arange({k})]"),
            format!("{x}[[0, 0]]"),
            format!("cumsum({x}, axis: 0)[1:]"),
            format!("sort({x}, axis: 0)"),
            format!("sum({x}, axis: {}).reshape(1, -1)", k % 2),
            format!("where({x} > 0.0, {x}, {y})"),
            format!("concat(list({x}[i:] for i in 0..w))"),
            format!("concat(list({x}[:, i:] for i in 0..w), axis: 1)"),
            format!("stack(list({x} * i for i in 0..w))[{k}]"),
            format!("stack(list({x}[:, 0] for i in 0..w), axis: -1)"),
            format!("sum(map(|i| {x} * i, 0..w))"),
            format!("sum(map(|i| {x} * i, 0..u)) + {y}"),
            format!("grown(len({x}))"),
            format!("{{ var s = 0.0; for i in 0..w {{ s = s + {x} }}; s }}"),
            format!("{{ var s = 0.0; for i in 0..u {{ s += {x} }}; s + {y} }}"),
            format!("{{ var s = {x}; for i in 0..w {{ s = s[1:] }}; s }}"),
            format!("{{ var s = {x}; for i in 0..w {{ if i == {k} {{ break }}; s = {y} }}; s }}"),
            format!("{{ var s = {x}; for i in 0..w {{ if i == 0 {{ continue }}; s = {y} }}; s }}"),
            format!("{{ var s = {x}; for i in {k}..w {{ s = s + {y} }}; s }}"),
            format!("{{ var s = none; for r in {x} {{ s = if s == none {{ r }} else {{ s + r }} }}; [s] }}"),
        ];
        let i = self.random(forms.len());
        forms[i].clone()
    }

    fn program(seed: u64) -> String {
        let names = ["a", "b", "c", "d", "head", "tail", "long", "short", "more", "less", "e", "k", "g", "s", "t"]
            .map(String::from)
            .to_vec();
        let mut w = Writer { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1, names, text: PRELUDE.into() };
        for i in 0..8 {
            let value = w.expression();
            w.text += &format!("let v{i} = {value}\n");
            w.names.push(format!("v{i}"));
        }
        // What a function reads is a global, and stays after the run.
        w.text += &format!("fn seen() = ({})\n", w.names.join(", "));
        w.text
    }
}

/// The numbers that variables stand for in one run.
#[derive(Default)]
struct Numbers {
    variables: HashMap<VarId, i64>,
    /// Whole expressions, too: one is one number.
    sizes: HashMap<Num, i64>,
}

impl Numbers {
    /// Takes in what sizes and bare variables are; false if one is two numbers.
    fn learn(&mut self, size: Num, actual: i64) -> bool {
        let Num::Sym(s) = size else { return true };
        if *self.sizes.entry(size).or_insert(actual) != actual {
            return false;
        }
        let Some(var) = s.variable() else { return true };
        var.min().is_none_or(|min| actual >= min) && *self.variables.entry(var.id).or_insert(actual) == actual
    }

    /// False if the expression, all of whose variables are known, is another number.
    fn agrees(&self, size: Num, actual: i64) -> bool {
        let value = size.renamed(&mut |v| self.variables.get(&v.id).map(|n| Num::Known(*n)));
        value.known().is_none_or(|n| n == actual)
    }
}

/// Each size of a type with the number that it is.
fn sizes(ty: &Ty, value: &Value, out: &mut Vec<(Num, i64)>) -> bool {
    match (ty, value) {
        (Ty::Int(n), Value::Int(i)) => out.push((*n, *i)),
        (Ty::Tensor(t), v) => {
            let (Some(dims), Some(shape)) = (&t.dims, v.shape()) else { return v.shape().is_some() };
            if dims.len() != shape.len() {
                return false;
            }
            for (d, n) in dims.iter().zip(shape) {
                match d {
                    Dim::Some if *n == 0 => return false,
                    Dim::Some | Dim::Unknown => {}
                    d => out.push(((*d).into(), *n as i64)),
                }
            }
        }
        (Ty::Tuple(types), Value::Tuple(items)) => {
            return types.len() == items.len() && types.iter().zip(items.iter()).all(|(t, v)| sizes(t, v, out));
        }
        (Ty::Float, Value::Float(..)) | (Ty::Any, _) => {}
        (Ty::Bool(_) | Ty::Fn(_) | Ty::List(_), _) => {}
        _ => return false,
    }
    true
}

#[test]
fn inferred_sizes_are_those_of_the_run() {
    let programs = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let (mut values, mut told, mut refused, mut stopped) = (0, 0, 0, 0);
    for seed in 0..programs {
        let text = Writer::program(seed);
        let mut session = Session::new(options());
        session.unchecked = true;
        session.vm.capture_output();
        let loaded = session.load_main("sizes.dl", &text, Mode::Script);
        let checked = Session::new(options()).load_main("sizes.dl", &text, Mode::Script);
        let errors: Vec<String> =
            checked.diagnostics.iter().filter(|d| d.is_error()).map(|d| format!("{} {}", d.code, d.message)).collect();
        let Some(unit) = loaded.unit else { panic!("seed {seed}: {errors:?}\n{text}") };
        let run = session.run(&unit);
        assert!(run.is_err() || errors.is_empty(), "seed {seed}: it runs, but the checker says {errors:?}\n{text}");
        refused += usize::from(!errors.is_empty());
        stopped += usize::from(run.is_err());
        let mut numbers = Numbers::default();
        let mut all = vec![];
        for (name, ty, value) in session.constants(unit.module) {
            let Some(value) = value else { continue };
            values += 1;
            let mut own = vec![];
            let fits = sizes(&ty, &value, &mut own);
            let shape = value.shape().map(<[usize]>::to_vec);
            assert!(fits, "seed {seed}: {name} is said to be {}, and has the shape {shape:?}\n{text}", show_ty(&ty));
            for (size, actual) in own {
                let said = numbers.learn(size, actual);
                assert!(said, "seed {seed}: {name}: {} with the shape {shape:?}\n{text}", show_ty(&ty));
                all.push((name.clone(), ty.clone(), size, actual));
            }
        }
        for (name, ty, size, actual) in all {
            told += usize::from(size != Num::Unknown);
            let said = numbers.agrees(size, actual);
            assert!(said, "seed {seed}: {name}: {} where {size} is {actual}\n{text}", show_ty(&ty));
        }
    }
    println!("{programs} programs, {values} values, {told} sizes told, {refused} refused, {stopped} stopped");
    assert!(
        values > 4 * programs as usize && told > values && refused < stopped,
        "{values} {told} {refused} {stopped}"
    );
}
