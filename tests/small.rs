//! Random programs over small vectors and matrices, whose operations a tape records in a few words each: their gradients against
//! tangents, which go another way. Operations that are recorded so stand beside others on the same values: parts, padding, lists.

use dlang::pipeline::{Mode, Options, Session};
use dlang::tensor::DType;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The error of a program, if it has one.
fn run(program: &str) -> Option<String> {
    let options = Options { dtype: DType::F64, seed: 0, check_nan: false, profile: false, threads: 1 };
    let mut session = Session::new(options);
    session.vm.capture_output();
    let loaded = session.load_main("small.dl", program, Mode::Script);
    if let Some(problem) = loaded.diagnostics.iter().find(|d| d.is_error()) {
        return Some(problem.message.clone());
    }
    session.run(&loaded.unit?).err().map(|e| e.to_diagnostic(|span| session.sources.place(span)).message)
}

/// One operation: vectors `A` and `B` of `N` elements make another; `W` is a square matrix.
const STEPS: &[&str] = &[
    "A + B",
    "A - B",
    "A * B",
    "A / (B * B + 1.0)",
    "A / 2.5",
    "2.0 / (2.0 + A)",
    "3 - A",
    "-A",
    "A + 0.5",
    "A^2",
    "A^3",
    "abs(A)^1.5",
    "tanh(A)",
    "max(A, 0.1)",
    "min(0.3, A)",
    "sigmoid(A * B + 0.25) * tanh(B - A)",
    "0.5 * A + 0.25 * (A + 2.0 * B)",
    "A @ W",
    "W @ A",
    "A @ W + B",
    "W @ (A * 0.1) + A",
    "pad(A[:-1], ((1, 0)), value: 1.0)",
    "pad(A[1:-1], ((0, 2)))",
    "concat((A[:2], B[2:]))",
    "concat((A[N - 2:], A[:N - 2]))",
    "A[::-1]",
    "pad(A[1:] - A[:-1], ((0, 1)))",
    "pad(A[0:1] * B[1:2], ((0, N - 1)))",
    "stack(list(A, B, A))[2] + stack(list(A, B))[1]",
    "A * sum(B)",
    "A[1] * B",
    "A + mean(A * B)",
    "(W * 0.5) @ A",
    "(W + W.t) @ tanh(B)",
    "A.reshape(1, N).reshape(N) * 2.0",
    "(A.reshape(N, 1) * 0.3).reshape(N)",
];

const CHECK: &str = "
fn close(a, b) = abs(a - b) <= 1e-9 * (1.0 + abs(a) + abs(b))
for (dx, dw) in list((randn(N), zeros(N, N)), (zeros(N), randn(N, N)), (randn(N), randn(N, N))) {
    let slope = jvp(|p| f(p[0], p[1]), (x, w), (dx, dw))[1]
    let (gx, gw) = grad(f, wrt: (0, 1))(x, w)
    let along = sum(gx * dx) + sum(gw * dw)
    assert(close(slope, along), f\"{along} is not {slope}\")
    # What is used again later was not changed in place.
    let (hx, hw) = grad(f, wrt: (0, 1))(x, w)
    assert(all(hx == gx) and all(hw == gw), \"twice\")
}
";

#[test]
fn gradients_of_small_operations_are_tangents() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    for round in 0..150 {
        let n = [3, 6, 14, 50, 700][if round % 10 == 0 { 4 } else { round % 4 }];
        let mut body = String::from("    let v0 = x\n");
        let count = rng.random_range(1..12);
        for k in 1..=count {
            // A program of each operation alone, as far as there are rounds; then any.
            let at = if k == 1 { round % STEPS.len() } else { rng.random_range(0..STEPS.len()) };
            let mut variable = || format!("v{}", rng.random_range(0..k));
            let (a, b) = (variable(), variable());
            let step = STEPS[at].replace('A', &a).replace('B', &b).replace('W', "w");
            // Values stay of one size.
            body += &format!("    let v{k} = tanh({step})\n");
        }
        let sums: Vec<String> =
            (0..=count).filter(|_| rng.random_bool(0.5)).map(|k| format!("sum(v{k} * c)")).collect();
        body += &format!("    sum(v{count}) + {}\n", if sums.is_empty() { "0.0".into() } else { sums.join(" + ") });
        let program = format!(
            "seed({round})\nlet (x, w, c) = (randn(N), randn(N, N) / sqrt(N), randn(N))\nfn f(x, w) {{\n{body}}}\n{CHECK}"
        )
        .replace('N', &n.to_string());
        if let Some(problem) = run(&program) {
            panic!("{program}\n{problem}");
        }
    }
}

/// Where a cotangent is zero, infinities end; elsewhere they do not.
#[test]
fn zeros_win_over_infinities() {
    let program = "
fn f(x) = sum((x * [inf, 1.0, 2.0])[1:])
assert(all(grad(f)([1.0, 2.0, 3.0]) == [0.0, 1.0, 2.0]), \"a part\")
fn g(x, w) = sum((w @ x)[:1] + 0.0 * x[1:2])
let (gx, gw) = grad(g, wrt: (0, 1))([1.0, 2.0], [[1.0, 2.0], [inf, 3.0]])
assert(all(gx == [1.0, 2.0]) and all(gw == [[1.0, 2.0], [0.0, 0.0]]), f\"a product: {gx} {gw}\")
fn h(x) = sum(pad(x / [0.0, 1.0], ((1, 1)))[2:])
assert(all(grad(h)([1.0, 2.0]) == [0.0, 1.0]), \"padding\")
";
    if let Some(problem) = run(program) {
        panic!("{problem}");
    }
}

/// The tape of a gradient keeps what an `x` was, even if it is changed later.
#[test]
fn what_is_recorded_is_not_what_comes_later() {
    let program = "
fn f(x) {
    var y = x * 2.0
    let a = y * y
    y[0] = 5.0
    y += 1.0
    sum(a) + sum(y * y)
}
let x = [1.0, 2.0, 3.0]
assert(all(grad(f)(x) == [8.0, 16.0 + 20.0, 24.0 + 28.0]), f\"{grad(f)(x)}\")
";
    if let Some(problem) = run(program) {
        panic!("{problem}");
    }
}

/// The NaN trap looks at each entry of a sweep, also at those that were recorded before it was switched on.
#[test]
fn a_sweep_may_be_watched_when_the_recording_was_not() {
    let program = "
import debug
fn f(x, w, watched) {
    let a = tanh(x * 2.0) * x + 0.5 * x
    let b = w @ a + x
    let c = sigmoid(a * b + 0.25) * tanh(b - a)
    let e = a[1:] * c[:-1]
    debug.trap_nan(watched)
    let d = exp(c) * a
    sum(d) + sum(b * c) + sum(e / 3.0)
}
let (x, w) = (randn(5), randn(5, 5))
let g = list(grad(|p| f(p[0], p[1], watched))((x, w)) for watched in list(false, true))
debug.trap_nan(false)
for i in 0..2 { assert(all(abs(g[0][i] - g[1][i]) <= 1e-12), f\"{g[0][i]} is not {g[1][i]}\") }
";
    if let Some(problem) = run(program) {
        panic!("{problem}");
    }
}
