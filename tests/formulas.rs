//! Random expressions, computed as a whole (a formula, on tensors block by block) and operation by operation: the same bits,
//! the same gradients and tangents. Operands are numbers, ints, tensors of one or of several shapes and dtypes, structures.

use dlang::pipeline::{Mode, Options, Session};
use dlang::tensor::DType;
use dlang::tensor::formula::fused::{compile_from, compile_wide};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const UNARY: [&str; 11] = ["exp", "tanh", "sin", "sqrt", "abs", "sigmoid", "relu", "log1p", "gelu", "silu", "mish"];
const BINARY: [&str; 4] = ["+", "-", "*", "/"];

/// An expression as one, and the same as statements with one operation each.
struct Both {
    whole: String,
    parts: String,
    /// The variable that holds the value in `parts`.
    last: String,
}

fn expression(rng: &mut impl Rng, depth: usize, leaves: &[&str], steps: &mut usize) -> Both {
    if depth == 0 || rng.random_bool(0.1) {
        let leaf = match rng.random_range(0..6) {
            0 => format!("{:.2}", rng.random_range(-3.0..3.0)),
            1 => rng.random_range(1..4).to_string(),
            _ => leaves[rng.random_range(0..leaves.len())].to_string(),
        };
        let shown = if leaf.starts_with('-') { format!("({leaf})") } else { leaf };
        return Both { whole: shown.clone(), parts: String::new(), last: shown };
    }
    let a = expression(rng, depth - 1, leaves, steps);
    let name = |steps: &mut usize| {
        *steps += 1;
        format!("s{steps}")
    };
    let (whole, parts, one) = match rng.random_range(0..10) {
        0..6 => {
            let b = expression(rng, depth - 1, leaves, steps);
            let op = BINARY[rng.random_range(0..BINARY.len())];
            let one = format!("{} {op} {}", a.last, b.last);
            (format!("({} {op} {})", a.whole, b.whole), a.parts + &b.parts, one)
        }
        6 => {
            let power = ["2", "3", "0.5", "1.7", "-1"][rng.random_range(0..5)];
            (format!("({})^{power}", a.whole), a.parts, format!("({})^{power}", a.last))
        }
        7 => (format!("(-{})", a.whole), a.parts, format!("-{}", a.last)),
        _ => {
            let f = UNARY[rng.random_range(0..UNARY.len())];
            (format!("{f}({})", a.whole), a.parts, format!("{f}({})", a.last))
        }
    };
    let last = name(steps);
    Both { whole, parts: format!("{parts}    let {last} = {one}\n"), last }
}

/// The error of a program, if it has one.
fn run(program: &str) -> Option<String> {
    let options = Options { dtype: DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 };
    let mut session = Session::new(options);
    session.vm.capture_output();
    let loaded = session.load_main("formula.dl", program, Mode::Script);
    if let Some(problem) = loaded.diagnostics.iter().find(|d| d.is_error()) {
        return Some(problem.message.clone());
    }
    session.run(&loaded.unit?).err().map(|e| e.to_diagnostic(|span| session.sources.place(span)).message)
}

const OPERANDS: &[&str] = &[
    // One shape and dtype, with numbers and ints.
    "let (x, y, z, k) = (randn(3, 7), rand(3, 7), 0.75, 3)\nlet wrt = (0, 1, 2)",
    "let (x, y, z, k) = (randn(5000), rand(5000), rand(5000), -1.5)\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (randn(50).to(f64), rand(50).to(f64), 2, rand(50).to(f64))\nlet wrt = (0, 1, 3)",
    "let (x, y, z, k) = (randn(601), rand(601), 0.6, rand(601))\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (randn(14).to(f64), rand(14).to(f64), rand(14).to(f64), 0.7)\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (randn(33), rand(33), 0.6, rand(33))\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (randn(40, 4).to(f64), rand(40, 4).to(f64), 0.6, -0.3)\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (randn(4, 3).t, rand(3, 4), 0.1, rand(3, 4))\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (randn(0), rand(0), 0.1, rand(0))\nlet wrt = (0, 1, 2, 3)",
    // Rows, columns, planes.
    "let (x, y, z, k) = (randn(3, 4), rand(4), rand(3, 1), 2)\nlet wrt = (0, 1, 2)",
    "let (x, y, z, k) = (randn(500, 7), rand(7), rand(1, 7), rand(500, 1))\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (rand(3, 1), rand(4), rand(1, 4), randn(3, 1))\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (randn(2, 3, 700), rand(3, 1), rand(2, 3, 1).to(f32), rand(3, 700))\nlet wrt = (0, 1, 2, 3)",
    "let (x, y, z, k) = (randn(2, 3000), rand(3000), 1.25, rand(2, 1))\nlet wrt = (0, 1, 2, 3)",
    // What is computed operation by operation.
    "let (x, y, z, k) = (randn(2, 3, 4), rand(2, 1, 4), 0.5, 2)\nlet wrt = (0, 1, 2)",
    "let (x, y, z, k) = (randn(6), rand(6).to(f64), [1, 2, 3, 4, 5, 6], 2.5)\nlet wrt = (0, 1, 3)",
    "let (x, y, z, k) = (1.5, 0.25, 2, -0.5)\nlet wrt = (0, 1, 3)",
];

const CHECK: &str = "
fn same(a, b) = all(where(isnan(a), isnan(b), a == b))
# Of sums in another order, whose terms may be far larger.
fn near(a, b) = all(where(isfinite(a) and isfinite(b), abs(a - b) <= 1e-3 * (abs(a) + abs(b) + 1.0), true))
fn close(a, b) = all(where(isfinite(a) and isfinite(b), abs(a - b) <= 1e-4 * (abs(a) + abs(b)) + 1e-6, true))
assert(same(whole(x, y, z, k), parts(x, y, z, k)), \"value\")
let pair = list((x, x * 0.5), (y, y + 0.1))
for (p, q) in list((whole(pair[0], pair[1], z, k), parts(pair[0], pair[1], z, k))) {
    assert(same(p[0], q[0]) and same(p[1], q[1]), \"structure\")
}
fn weighed(f) = |x, y, z, k| {
    let v = f(x, y, z, k)
    # A cotangent that is one number, and elements.
    let plain = sum(v)
    sum(v * stop_grad(1.0 + 0.25 * x)) + 0.5 * plain
}
let g = list(grad(weighed(f), wrt: wrt)(x, y, z, k) for f in list(whole, parts))
for i in 0..len(wrt) {
    assert(near(g[0][i], g[1][i]), f\"gradient {wrt[i]}: {g[0][i]} {g[1][i]}\")
}
# What nobody asked for: the value, and its sum.
let sums = list(|f| |x, y, z, k| sum(f(x, y, z, k)), |f| |x, y, z, k| { let v = f(x, y, z, k)
    let s = mean(v)
    s })
for summed in sums {
    let u = list(grad(summed(whole), wrt: wrt)(x, y, z, k), value_and_grad(summed(parts), wrt: wrt)(x, y, z, k)[1])
    for i in 0..len(wrt) {
        assert(near(u[0][i], u[1][i]), f\"unread {wrt[i]}: {u[0][i]} {u[1][i]}\")
    }
}
let r = list(grad(total, wrt: wrt)(x, y, z, k), value_and_grad(total, wrt: wrt)(x, y, z, k)[1])
for i in 0..len(wrt) {
    assert(near(r[0][i], r[1][i]), f\"unread total {wrt[i]}: {r[0][i]} {r[1][i]}\")
}
let m = list(total(x, y, z, k), mean(parts(x, y, z, k)))
assert(same(m[0], m[1]) or near(m[0], m[1]), \"total\")
let h = list(grad(f, wrt: wrt)(x, y, z, k) for f in list(|x, y, z, k| 1.5 * total(x, y, z, k), |x, y, z, k| 1.5 * mean(parts(x, y, z, k))))
for i in 0..len(wrt) {
    assert(near(h[0][i], h[1][i]), f\"gradient of the total {wrt[i]}: {h[0][i]} {h[1][i]}\")
}
let t = list(jvp(|x| f(x, y, z, k), x, x)[1] for f in list(whole, parts))
assert(close(t[0], t[1]), \"tangent\")
";

#[test]
fn wholes_are_their_parts() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let rounds = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    for round in 0..rounds {
        // As machine code from the first element on, or never.
        compile_from(if round / OPERANDS.len() % 3 == 2 { usize::MAX } else { 0 });
        compile_wide((round / OPERANDS.len()).is_multiple_of(2));
        let operands = OPERANDS[round % OPERANDS.len()];
        let depth = rng.random_range(2..5);
        let both = expression(&mut rng, depth, &["x", "y", "z", "k"], &mut 0);
        // As it is, through a function, and through one that captures.
        let inside = &both.whole;
        let (before, call) = match round % 3 {
            0 => (String::new(), inside.clone()),
            1 => (format!("fn inside(x, y, z, k) {{ let a = {inside}; a }}\n"), "inside(x, y, z, k)".into()),
            _ => (String::new(), "inside(y, k)".into()),
        };
        let body = match round % 3 {
            2 => format!("{{ let inside = |y, k| {inside}; {call} + 0.0 * x * y * z * k }}"),
            _ => format!("= {call} + 0.0 * x * y * z * k"),
        };
        let whole = format!("{before}fn whole(x: any, y: any, z: any, k: any) {body}\n");
        let parts = format!(
            "fn parts(x: any, y: any, z: any, k: any) {{\n{}    let a = 0.0 * x\n    let b = a * y\n    let c = b * z\n    let d = c * k\n    {} + d\n}}\n",
            both.parts, both.last
        );
        let total = format!("fn total(x: any, y: any, z: any, k: any) = mean({} + 0.0 * x * y * z * k)\n", both.whole);
        // There is no mean of nothing.
        let check = if operands.contains("randn(0)") {
            CHECK.split("# What nobody asked for").next().unwrap_or("")
        } else {
            CHECK
        };
        let program = format!("seed({round})\n{operands}\n{whole}{parts}{total}{check}");
        if let Some(problems) = run(&program) {
            panic!("{program}\n{problems}");
        }
    }
}

const AFFINE: &[&str] = &[
    "let (x, w, b) = (randn(3), randn(3, 5), randn(5))",
    "let (x, w, b) = (randn(7).to(f64), randn(7, 2).to(f64), randn(2).to(f64))",
    "let (x, w, b) = (randn(4, 9), randn(9), randn(4))",
    "let (x, w, b) = (randn(1), randn(1, 50), randn(50))",
    "let (x, w, b) = (randn(60), randn(60, 40), randn(40))",
    "let (x, w, b) = (randn(60, 20), randn(20, 30), randn(30))",
    // Other shapes, dtypes and layouts.
    "let (x, w, b) = (randn(2, 3), randn(3, 4), randn(4))",
    "let (x, w, b) = (randn(3), randn(3, 5), randn(1))",
    "let (x, w, b) = (randn(3), randn(3, 5), randn(2, 5))",
    "let (x, w, b) = (randn(3), randn(3), randn(5))",
    "let (x, w, b) = (randn(3), randn(3, 5).to(f64), randn(5))",
    "let (x, w, b) = (randn(6)[::2], randn(5, 3).t, flip(randn(5)))",
    "let (x, w, b) = ([0.0, 1.0, inf], randn(3, 5), randn(5))",
    "let (x, w, b) = (zeros(0), zeros(0, 4), randn(4))",
];

const CHECK_AFFINE: &str = "
fn same(a, b) = all(where(isnan(a), isnan(b), a == b))
fn close(a, b) = all(where(isfinite(a) and isfinite(b), abs(a - b) <= 1e-4 * (abs(a) + abs(b)) + 1e-5, isfinite(a) == isfinite(b)))
fn whole(x, w, b) = x @ w + b
fn parts(x, w, b) {
    let p = x @ w
    p + b
}
# The weights are used several times, among them with nothing coming back.
fn weighed(f) = |x, w, b| {
    let first = f(x, w, b)
    let second = f(tanh(x), w, b)
    let unused = f(x + 1.0, w, b)
    sum(first * stop_grad(second)) + sum(tanh(second)) + 0.0 * sum(unused)
}
assert(same(whole(x, w, b), parts(x, w, b)), \"value\")
let wrt = (0, 1, 2)
let g = list(grad(weighed(f), wrt: wrt)(x, w, b) for f in list(whole, parts))
let t = list(jvp(|p| weighed(f)(p[0], p[1], p[2]), (x, w, b), (x, w, b))[1] for f in list(whole, parts))
let v = list(vmap(f)(stack(list(x, 2.0 * x)), stack(list(w, w)), stack(list(b, b))) for f in list(whole, parts))
let both = |f| grad(|x, w, b| { let (p, q, r) = grad(weighed(f), wrt: wrt)(x, w, b); sum(p * p) + sum(q * x[0]) + sum(r * r) }, wrt: wrt)
let h = list(both(f)(x, w, b) for f in list(whole, parts))
for i in 0..3 {
    assert(close(g[0][i], g[1][i]), f\"gradient {i}: {g[0][i]} {g[1][i]}\")
    assert(close(h[0][i], h[1][i]), f\"second gradient {i}: {h[0][i]} {h[1][i]}\")
}
assert(close(t[0], t[1]), \"tangent\")
assert(close(v[0], v[1]), \"batch\")
if all(isfinite(x)) {
    let d = g[0][0] * x
    let slope = sum(d) + sum(g[0][1] * w) + sum(g[0][2] * b)
    assert(abs(slope - t[0]) <= 1e-3 * (1.0 + abs(slope)), f\"tangent and gradient: {slope} {t[0]}\")
}
";

#[test]
fn a_product_and_a_sum_are_one() {
    for (round, operands) in AFFINE.iter().enumerate() {
        let check = if operands.contains("zeros(0)") {
            CHECK_AFFINE.replace("sum(q * x[0])", "sum(q)")
        } else if operands.contains("randn(2, 3)")
            || operands.contains("randn(60, 20)")
            || operands.contains("randn(4, 9)")
        {
            CHECK_AFFINE.replace("sum(q * x[0])", "sum(q * q)")
        } else {
            CHECK_AFFINE.into()
        };
        let program = format!("seed({round})\n{operands}\n{check}");
        if let Some(problems) = run(&program) {
            panic!("{program}\n{problems}");
        }
    }
}

/// Slopes that were computed with the value, times cotangents of all kinds, against slopes written out.
const SLOPES: &str = "
let x = concat((zeros(1500), rand(1500))).reshape(100, 30)
let w = where(x == 0.0, 0.0, 2.0)
let (row, k) = (randn(30), 1.5)
fn near(a, b) = all(abs(a - b) <= 1e-4 * (1.0 + abs(b)))
# The slope is infinite where the cotangent is 0.
let g = grad(|x| sum(sqrt(x) * exp(x) * w))(x)
assert(near(g, where(x > 0.0, w * exp(x) * (sqrt(x) + 0.5 / sqrt(x)), 0.0)), \"zeros\")
fn f(x, row, k) = tanh(x + row) * k
let cosh2 = 1.0 / cosh(x + row) ^ 2
for (kind, weights) in list((\"numbers\", 0.5), (\"elements\", w)) {
    let (a, b, c) = grad(|x, row, k| sum(weights * f(x, row, k)), wrt: (0, 1, 2))(x, row, k)
    assert(near(a, weights * k * cosh2), f\"{kind}: all\")
    assert(near(b, sum(weights * k * cosh2, axis: 0)), f\"{kind}: a row\")
    assert(near(c, sum(weights * tanh(x + row))), f\"{kind}: a number\")
}
# A value that is read twice, and a mean.
let h = grad(|x| { let y = exp(x) * x
    mean(y * y) + sum(y) })(x)
let y = exp(x) * x
assert(near(h, (2.0 * y / x.size + 1.0) * exp(x) * (x + 1.0)), \"twice\")
for (name, f, slope) in list(
    (\"gelu\", |x| gelu(x), |x| 0.5 * (1.0 + erf(x / sqrt(2.0))) + x * exp(-0.5 * x * x) / sqrt(2.0 * pi)),
    (\"silu\", |x| silu(x), |x| sigmoid(x) * (1.0 + x * sigmoid(-x))),
    (\"softplus\", |x| softplus(x), |x| sigmoid(x)),
) {
    assert(near(grad(|x| sum(f(x) * w))(x - 0.5), w * slope(x - 0.5)), name)
}
";

#[test]
fn slopes_that_are_kept_are_those_of_the_formula() {
    for (from, wide) in [(usize::MAX, true), (0, true), (0, false)] {
        compile_from(from);
        compile_wide(wide);
        assert_eq!(run(SLOPES), None, "from {from} elements on, wide: {wide}");
    }
}

/// Gradients whose function's value is not asked for, and functions that read in other ways what they sum up.
const UNREAD: &str = "
let x = concat((zeros(1000), randn(2000))).reshape(100, 30)
let row = randn(30)
fn near(a, b) = all(abs(a - b) <= 1e-4 * (1.0 + abs(b)))
let plain = |x| tanh(x + row) * x / (1.0 + x * x)
fn typed(x: float[n, m]) -> float[n, m] = tanh(x + row) * x / (1.0 + x * x)
fn annotated(x) -> float = sum(plain(x))
fn inner(x) = typed(x)
fn gradient(f) = |x| value_and_grad(f)(x)[1]
let functions = dict(
    sum: |x| sum(plain(x)),
    mean: |x| mean(plain(x)),
    typed: |x| sum(typed(x)),
    through: |x| sum(inner(x)),
    annotated: annotated,
    once_more: |x| annotated(x),
    rows: |x| sum(sum(plain(x), axis: 0)),
    kept: |x| sum(plain(x), keepdims: true)[0, 0],
    last: |x| sum(plain(x), -1)[3],
    log: |x| log(10000.0 + sum(plain(x))),
    twice: |x| { let y = plain(x)
        sum(y) * sum(y) },
    either: |x| if sum(plain(x)) > 1e6 { sum(x) } else { sum(plain(x)) },
    total_twice: |x| { let s = sum(tanh(x + row) * x)
        s * s },
    of_a_sum: |x| { let s = mean(tanh(x + row) * x)
        sum(s * x * tanh(x)) },
    each: |x| sum(list(sum(plain(v)) for v in list(x, 2.0 * x))),
    mapped: |x| { let sums = map(|v| sum(plain(v)), list(x, 2.0 * x))
        sums[0] * sums[1] },
    again: |x| checkpoint(|x| sum(plain(x)))(x),
    tried: |x| try { sum(plain(x)) } catch e { 0.0 },
    looked_at: |x| { let s = sum(plain(x))
        assert(s != 0.0)
        s },
    pushed: |x| { var kept = list()
        kept.push(plain(x))
        sum(kept[0] * kept[0]) },
    composed: |x| (|s| s * s)(sum(plain(x))),
    piped: |x| plain(x) |> sum,
)
for (name, f) in functions.items() {
    let (value, slope) = value_and_grad(f)(x)
    assert(near(grad(f)(x), slope), name)
    let v = randn(100, 30)
    let (_, along) = jvp(f, x, v)
    assert(abs(sum(grad(f)(x) * v) - along) <= 1e-3 * (1.0 + abs(along)), f\"{name}: along a direction\")
}
for f in list(|x| sum(plain(x), axis: 0), |x| mean(plain(x), axis: (0, 1), keepdims: true)) {
    let code = try { grad(f)(x)
        none } catch e { e.code }
    assert(code == \"E0436\", \"a sum that is no float\")
}
# The gradient of a function that takes a gradient, and one inside of another function's.
let descent = |x| sum(x - 0.1 * grad(|x| sum(plain(x)))(x))
assert(near(grad(descent)(x), gradient(descent)(x)), \"nested\")
";

#[test]
fn what_is_not_asked_for_makes_no_difference() {
    for (from, wide) in [(usize::MAX, true), (0, true), (0, false)] {
        compile_from(from);
        compile_wide(wide);
        assert_eq!(run(UNREAD), None, "from {from} elements on, wide: {wide}");
    }
}

/// Operands under levels: six examples, and directions for them.
const EXAMPLES: &[&str] = &[
    "let (x, y, z, k) = (randn(6, 3, 4), 0.5 + rand(6, 3, 4), 0.75, 3)",
    "let (x, y, z, k) = (randn(6, 40), 0.5 + rand(6, 40), rand(40), -1.5)",
    "let (x, y, z, k) = (randn(6, 3, 4), 0.5 + rand(6, 4), rand(3, 1), 2)",
    "let (x, y, z, k) = (randn(6, 5), 0.5 + rand(6), 0.5, 0.25)",
    "let (x, y, z, k) = (randn(6), 0.5 + rand(6), 0.5, 0.25)",
    "let (x, y, z, k) = (randn(6, 700), 0.5 + rand(6, 700), 0.5 + rand(700), 0.1)",
    "let (x, y, z, k) = (randn(6, 3), rand(6, 3), [1, 2, 3], 0.1)",
];

const CHECK_LEVELS: &str = "
let (dx, dy) = (randn(x.shape), randn(y.shape))
let w = stop_grad(1.0 + 0.25 * x)
fn near(a, b) = all(where(isfinite(a) and isfinite(b), abs(a - b) <= tolerance * (abs(a) + abs(b) + 1.0), true))
let runs = dict(
    vmap: |f| list(vmap(|x, y| f(x, y, z, k))(x, y)),
    vmap_one: |f| list(vmap(|x| f(x, y[0], z, k))(x), vmap(|y| f(x[0], y, z, k))(y)),
    vmap_numbers: |f| list(vmap(|k| f(x[0], y[0], z, k))([0.5, 1.5, -0.5]), vmap(|k| sum(f(x[0], y[0], z, k)))([0.5, 1.5, -0.5])),
    vmap_twice: |f| list(vmap(|x| vmap(|y| f(x, y, z, k))(y))(x), vmap(|k| vmap(|x, y| f(x, y, z, k))(x, y))([0.5, 1.5])),
    jvp: |f| list(v for v in jvp(|x| f(x, y[0], z, k), x[0], dx[0])),
    jvp_two: |f| list(v for v in jvp(|p| f(p[0], p[1], z, k), (x[0], y[0]), (dx[0], dy[0]))),
    jvp_number: |f| list(v for v in jvp(|k| f(x[0], y[0], z, k), 0.5, 2.0)),
    jvp_all: |f| list(v for v in jvp(|p| mean(f(p[0], y[0], z, p[1])), (x[0], 0.5), (dx[0], -1.0))),
    jvp_twice: |f| list(jvp(|x| jvp(|x| f(x, y[0], z, k), x, dx[0])[1], x[0], dx[1])[1]),
    hvp: |f| list(hvp(|x| sum(f(x, y[0], z, k)), x[0], dx[0]), hvp(|x| mean(f(x, y[0], z, k)), x[0], dx[0])),
    hvp_read: |f| list(hvp(|x| { let v = f(x, y[0], z, k)
        sum(w[0] * v) + 0.5 * sum(v)^2 }, x[0], dx[0])),
    hvp_two: |f| { let (a, b) = hvp(|p| sum(w[0] * f(p[0], p[1], z, k)), (x[0], y[0]), (dx[0], dy[0]))
        list(a, b) },
    jvp_of_value_and_grad: |f| { let (a, b) = jvp(|x| value_and_grad(|x| sum(f(x, y[0], z, k)))(x), x[0], dx[0])[1]
        list(a, b) },
    grad_of_jvp: |f| list(grad(|x| sum(jvp(|x| f(x, y[0], z, k), x, dx[0])[1]))(x[0])),
    grad_of_grad: |f| list(grad(|x| sum(dx[0] * grad(|x| sum(f(x, y[0], z, k)))(x)))(x[0])),
    vmap_grad: |f| list(v for v in vmap(|x, y| grad(|x, y| sum(f(x, y, z, k)), wrt: (0, 1))(x, y))(x, y)),
    vmap_grad_mean: |f| list(vmap(|x, y| grad(|x| mean(f(x, y, z, k)))(x))(x, y)),
    vmap_grad_read: |f| list(v for v in vmap(|x, y, w| value_and_grad(|x| { let v = f(x, y, z, k)
        sum(w * v) + mean(v) })(x))(x, y, w)),
    vmap_grad_number: |f| list(vmap(|x, y| grad(|k| sum(f(x, y, z, k)))(0.5))(x, y), vmap(|k| grad(|k| sum(f(x[0], y[0], z, k)))(k))([0.5, -0.5])),
    grad_vmap: |f| list(v for v in grad(|x, y| sum(vmap(|x, y| f(x, y, z, k))(x, y)), wrt: (0, 1))(x, y)),
    grad_vmap_weighed: |f| list(grad(|k| sum(w * vmap(|x, y| f(x, y, z, k))(x, y)))(0.5)),
    jvp_vmap: |f| list(v for v in jvp(|x| vmap(|x, y| f(x, y, z, k))(x, y), x, dx)),
    vmap_jvp: |f| list(v for v in vmap(|x, y, v| jvp(|x| f(x, y, z, k), x, v))(x, y, dx)),
    vmap_directions: |f| list(vmap(|v| jvp(|x| f(x, y[0], z, k), x[0], v)[1])(dx)),
    vmap_hvp: |f| list(vmap(|x, y, v| hvp(|x| sum(f(x, y, z, k)), x, v))(x, y, dx)),
    vjp: |f| { let (v, pull) = vjp(|x| f(x, y[0], z, k), x[0])
        list(v, pull(dx[0]), pull(dx[1]), pull(0.0 * dx[0])) },
    jacobian: |f| list(jacobian(|x| f(x, y[0], z, k), mode: \"forward\")(few(x)), jacobian(|x| f(x, y[0], z, k), mode: \"reverse\")(few(x))),
    hessian: |f| list(hessian(|x| sum(f(x, y[0], z, k)))(few(x))),
)
fn few(x) = x[0]
# A mean that is part of a formula.
let totals = dict(
    vmap: |f| list(vmap(|x, y| f(x, y, z, k))(x, y)),
    jvp: |f| list(v for v in jvp(|x| f(x, y[0], z, k), x[0], dx[0])),
    hvp: |f| list(hvp(|x| f(x, y[0], z, k), x[0], dx[0]), hvp(|x| 2.0 * f(x, y[0], z, k), x[0], dx[0])),
    vmap_grad: |f| list(vmap(|x, y| grad(|x| f(x, y, z, k))(x))(x, y), vmap(|x, y| value_and_grad(|x| f(x, y, z, k))(x)[1])(x, y)),
    grad_of_grad: |f| list(grad(|x| sum(dx[0] * grad(|x| f(x, y[0], z, k))(x)))(x[0])),
)
for (name, run) in totals.items() {
    for (p, q) in zip(run(total), run(|x, y, z, k| mean(parts(x, y, z, k)))) { assert(near(p, q), f\"total, {name}: {p} {q}\") }
}
for (name, run) in runs.items() {
    if x[0].size > 40 and (name == \"jacobian\" or name == \"hessian\") { continue }
    # The second time as machine code.
    for round in 0..2 {
        let (a, b) = (run(whole), run(parts))
        for (i, (p, q)) in enumerate(zip(a, b)) { assert(p.shape == q.shape and near(p, q), f\"{name} {i}: {p} {q}\") }
    }
}
";

#[test]
fn wholes_are_their_parts_under_levels() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let rounds = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(70);
    for round in 0..rounds {
        compile_from(0);
        compile_wide(round % 3 != 2);
        let operands = EXAMPLES[round % EXAMPLES.len()];
        let depth = rng.random_range(2..4);
        let both = expression(&mut rng, depth, &["x", "y", "z", "k"], &mut 0);
        let whole = format!("fn whole(x: any, y: any, z: any, k: any) = {} + 0.5 * x * y\n", both.whole);
        let parts = format!(
            "fn parts(x: any, y: any, z: any, k: any) {{\n{}    let a = 0.5 * x\n    let b = a * y\n    {} + b\n}}\n",
            both.parts, both.last
        );
        // Second derivatives of quotients of small numbers have few digits left.
        let (dtype, tolerance) =
            if round % 2 == 0 || operands.contains("700") { ("f64", "1e-6") } else { ("f32", "2e-2") };
        let set = format!("set_dtype({dtype})\nlet tolerance = {tolerance}\n");
        let total = format!("fn total(x: any, y: any, z: any, k: any) = mean({} + 0.5 * x * y)\n", both.whole);
        let program = format!("seed({round})\n{set}{operands}\n{whole}{parts}{total}{CHECK_LEVELS}");
        if let Some(problems) = run(&program) {
            panic!("{program}\n{problems}");
        }
    }
}

/// A slope that is the same for all of as many examples as it has elements.
const SHARED: &str = "
let (x, z) = (randn(6, 6), randn(6))
fn whole(x) = x * tanh(z)
let slope = tanh(z)
fn near(a, b) = all(abs(a - b) <= 1e-5)
for _ in 0..2 {
    assert(near(vmap(grad(|x| sum(whole(x))))(x), broadcast_to(slope, (6, 6))), \"gradients\")
    let (v, pull) = vjp(|x| vmap(whole)(x), x)
    assert(near(pull(x), x * slope), \"cotangents\")
    assert(near(vmap(|v| jvp(whole, x[0], v)[1])(x), x * slope), \"directions\")
    assert(near(vmap(|x, v| jvp(whole, x, v)[1])(x, x), x * slope), \"tangents\")
}
";

#[test]
fn slopes_may_be_the_same_for_all_examples() {
    compile_from(0);
    assert_eq!(run(SHARED), None);
}

/// Infinite tangents and slopes, which zero ends.
const ENDLESS: &str = "
let x = concat(([-1.0, 0.0, 2.0, 0.0], randn(1100)))
let dx = concat(([inf, 1.0, -inf, 0.0], randn(1100)))
fn whole(x) = relu(x) * 3.0 + sqrt(abs(x)) * 2.0
fn parts(x) {
    let a = relu(x)
    let b = a * 3.0
    let c = abs(x)
    let d = sqrt(c)
    let e = d * 2.0
    b + e
}
fn same(a, b) = all(where(isfinite(b), abs(a - b) <= 1e-5 * (1.0 + abs(b)), where(isnan(b), isnan(a), a == b)))
for _ in 0..2 {
    let (a, b) = (jvp(whole, x, dx)[1], jvp(parts, x, dx)[1])
    assert(same(a, b), f\"tangents: {a[:4]} {b[:4]}\")
    let (c, d) = (hvp(|x| sum(whole(x)), x, dx), hvp(|x| sum(parts(x)), x, dx))
    assert(same(c, d), f\"second: {c[:4]} {d[:4]}\")
    let (p, q) = (vjp(whole, x)[1](dx), vjp(parts, x)[1](dx))
    # Slopes that are added before an infinite cotangent comes make fewer NaN.
    assert(same(where(isnan(q), q, p), q), f\"cotangents: {p[:4]} {q[:4]}\")
}
";

#[test]
fn zero_ends_what_is_infinite_under_levels() {
    compile_from(0);
    for wide in [true, false] {
        compile_wide(wide);
        assert_eq!(run(ENDLESS), None, "wide: {wide}");
    }
}

/// Functions of few elements and of many, at the ends of their ranges: as machine code the bits are those of their kernels.
const ENDS: &str = "
let ends = tensor([0.0, -0.0, inf, -inf, nan, 1.0, -1.0, 0.5, 1e-5, -1e-20, 1e-30, 3e-39, 1e-310, 20.0, -20.0, 88.0, 88.8, -87.5, -88.5,
    -13.1, 13.2, -13.28, -13.3, -37.5, -38.6, 38.7, -38.8, -103.9, -104.5, 9.99, 10.01, 709.0, 709.9, 710.5, -707.0, -709.0, -744.9, -746.5, 1e30, -1e30], f64)
fn same(a, b) = all(where(isnan(a), isnan(b), a == b)) and all(where(isnan(a), true, 1.0 / a == 1.0 / b))
let functions = dict(
    exp: (|x| exp(x) * 0.5 - 0.0, |x| { let a = exp(x)
        let b = a * 0.5
        b - 0.0 }),
    tanh: (|x| tanh(x) * 0.5 - 0.0, |x| { let a = tanh(x)
        let b = a * 0.5
        b - 0.0 }),
    sigmoid: (|x| sigmoid(x) * 0.5 - 0.0, |x| { let a = sigmoid(x)
        let b = a * 0.5
        b - 0.0 }),
    gelu: (|x| gelu(x) * 0.5 - 0.0, |x| { let a = gelu(x)
        let b = a * 0.5
        b - 0.0 })
)
for dtype in list(f32, f64) {
    let every = concat((ends, 30.0 * randn(40).to(f64), randn(3000).to(f64))).to(dtype)
    for n in list(1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 72, 127, 128, 500, 3072) {
        for start in list(0, 5, 32) {
            let x = every[start:start + n]
            for (name, (whole, parts)) in functions.items() {
                assert(same(whole(x), parts(x)), f\"{name} of {n} from {start}, {dtype}: {whole(x)} {parts(x)}\")
                let g = list(grad(|x| sum(f(x)))(x) for f in list(whole, parts))
                let near = abs(g[0] - g[1]) <= 1e-5 * abs(g[1]) + 1e-37
                assert(all(where(isnan(g[0]), isnan(g[1]), near or g[0] == g[1])), f\"slope of {name} of {n} from {start}, {dtype}: {g[0]} {g[1]}\")
            }
        }
    }
}
";

#[test]
fn functions_are_their_kernels_at_the_ends() {
    for wide in [true, false] {
        compile_from(0);
        compile_wide(wide);
        assert_eq!(run(ENDS), None, "wide: {wide}");
    }
}

/// One value under several names, and cotangents that come from formulas and from elsewhere.
const NAMES: &str = "
fn f(x, k) {
    let (y, z) = (x, x * 2.0)
    let a = tanh(x * y + z) * x + y * sigmoid(z) * k
    let b = a * a - x / (1.0 + y * y) + 0.5 * a
    let (c, d) = (b - a * k + x, exp(-a * a) * b)
    let e = c + d * x - y
    # What has a cotangent from here first, twice at once.
    let w = x * k
    let v = w
    let u = w * 2.5 - v * v * 0.5
    sum(e * z) + sum(y) + dot(c, d) + sum(x @ reshape(a, (-1, 1))) + dot(u, u)
}
for n in list(1, 5, 8, 14, 17, 40, 64, 100, 130, 700) {
    let (x, k) = (randn(n).to(f64), 0.7)
    for _ in 0..3 {
        let (g, s) = grad(f, wrt: (0, 1))(x, k)
        let h = 1e-6
        for i in 0..min(n, 20) {
            let step = where(arange(n) == i, h, 0.0).to(f64)
            let slope = (f(x + step, k) - f(x - step, k)) / (2.0 * h)
            assert(abs(slope - g[i]) <= 1e-6 * (1.0 + abs(slope)), f\"{n}, {i}: {g[i]}, not {slope}\")
        }
        let slope = (f(x, k + h) - f(x, k - h)) / (2.0 * h)
        assert(abs(slope - s) <= 1e-6 * (1.0 + abs(slope)), f\"{n}, k: {s}, not {slope}\")
    }
}
";

#[test]
fn cotangents_come_together() {
    for (from, wide) in [(usize::MAX, true), (0, true), (0, false), (1 << 9, true)] {
        compile_from(from);
        compile_wide(wide);
        assert_eq!(run(NAMES), None, "from {from} elements on, wide: {wide}");
    }
}
