//! Results have the same bits on any number of threads.

use dlang::pipeline::{Mode, Options, Session};
use dlang::tensor::DType;
use dlang::value::Value;

/// Expressions over tensors large enough to be shared among threads, the last part of which is none of the parts' length.
const PROGRAM: &str = r#"
import nn
import loss
let x = randn(517, 1031)
let y = randn(517, 1031)
let d = randn(300, 1000, dtype: f64)
let ints = randint(0, 1000, 517, 1031)
let cube = randn(61, 70, 83)
let row = randn(1031)
let long = randn(300_007)
fn stencil(v) = sum(sin(v[2:] - 2.0 * v[1:-1] + v[:-2]) * v[1:-1])
fn chain(v, w) {
    let a = w * pad(v[:-1], (1, 0), value: 1.0) + v
    let b = tanh(a) * pad(a[1:], (0, 1)) - 0.5 * v
    sum(b * sin(a + 0.25 * b) + w * pad(b[:-2], 1))
}
let column = randn(517, 1)
let classes = randint(0, 7, 50_000)
let logits = randn(50_000, 7)
let heads = randn(13, 5, 71, 30)
let planes = randn(7, 11, 38, 41)
list(
    x + y, exp(x), x * row, x + column, x * y + sin(x) / (1.0 + exp(y)), x * row - column / 3.0 + x, d * d - 2.0 * d,
    sum(x), sum(x * y + 1.0), mean(exp(x) * row), sum(d), sum(x, axis: 0), sum(x, axis: 1), mean(d, axis: 0), sum(cube, axis: 1),
    sum(cube, axis: (0, 2)), var(cube, axis: (0, 2)), max(x, axis: 0), max(x, axis: 1), min(cube, axis: 1), max(x),
    softmax(x), log_softmax(x), softmax(x, axis: 0), softmax(logits), logsumexp(x, axis: 1), cumsum(x, axis: 1),
    ints + ints, ints * 3 - ints % 7, sum(ints, axis: 0), x > y, ints == 3, where(x > y, x, y), float(ints), nn.LayerNorm.new(1031)(x),
    grad(|x| sum(tanh(x) * x))(x), grad(|x| sum(softmax(x)^2))(x), grad(|x| loss.cross_entropy(x, classes))(logits),
    grad(|r| sum(sin(x * r + column)))(row), grad(|x| sum(nn.LayerNorm.new(1031)(x) * y))(x), grad(|x| mean(gelu(x) * y))(x),
    grad(|x| sum(max(x, axis: 0)))(x), x @ y.t, grad(|s| sum(nn.LayerNorm(scale: s)(x) * y))(row),
    grad(|s| sum(nn.LayerNorm(scale: s, shift: s^2)(logits) * logits))(logits[0]), vmap(grad(|s, x| sum(nn.LayerNorm(s)(x)^2)), axes: (none, 0))(cube[0, 0], cube),
    vmap(|x| tanh(x * row) / (1.0 + x * x))(x), vmap(grad(|x| mean(tanh(x * row) * x)))(x), jvp(|x| tanh(x + column) * x, x, y)[1],
    vjp(|x| sin(x * row) / (2.0 + x * x), x)[1](y), hvp(|x| sum(tanh(x * column) * x), x, y), grad(|x| sum(x * y / (1.0 + x * x)))(x),
    nn.attention(heads, heads, heads[0], causal: true), grad(|x| sum(nn.attention(x, sin(x), x, causal: true)^2))(heads),
    grad(|x| sum(nn.attention(heads, x, x)^2))(heads[0]),
    max_pool2d(planes, 2), max_pool2d(planes, 3, stride: 2, padding: 1), avg_pool2d(planes, (2, 3)), max_pool2d(ints[none, none], 2),
    grad(|x| sum(max_pool2d(x, 2)^2))(planes), grad(|x| sum(max_pool2d(x, 3, padding: 1)^2))(planes),
    grad(|x| sum(avg_pool2d(x, 2)^2))(planes), jvp(|x| max_pool2d(x, 2), planes, sin(planes))[1],
    grad(stencil)(long), grad(chain)(long, cos(long)), grad(chain, wrt: 1)(long, cos(long)), grad(stencil)(long.to(f64)),
)
"#;

fn results(threads: usize) -> Vec<(String, Vec<u8>)> {
    let mut session = Session::new(Options { dtype: DType::F32, seed: 3, check_nan: false, profile: false, threads });
    let loaded = session.load_main("test.dl", PROGRAM, Mode::Script);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics.iter().map(|d| &d.message).collect::<Vec<_>>());
    let Ok(Value::List(items)) = session.run(&loaded.unit.unwrap()) else { panic!("no list") };
    let bytes = |v: &Value| match v {
        Value::Tensor(_, t) => (v.type_name(), t.to_le_bytes()),
        Value::Float(_, x) => ("float".to_string(), x.to_le_bytes().to_vec()),
        other => panic!("{}", other.type_name()),
    };
    items.iter().map(bytes).collect()
}

#[test]
fn threads_change_no_bit() {
    let one = results(1);
    for threads in [2, 3] {
        let more = results(threads);
        assert_eq!(one.len(), more.len());
        for (i, (a, b)) in one.iter().zip(&more).enumerate() {
            assert!(a == b, "result {i} ({}) differs on {threads} threads", a.0);
        }
    }
}
