//! Slices of neighbours and margins as parts of formulas, against the same operation by operation: the same bits, the same gradients
//! and tangents, under all transforms, and the same errors.

use dlang::compile::set_fusion;
use dlang::native;
use dlang::pipeline::{Mode, Options, Session};
use dlang::tensor::DType;
use dlang::tensor::formula::fused::{compile_from, compile_wide};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a program prints, and its error.
fn run(program: &str, check_nan: bool) -> (String, Option<String>) {
    let options = Options { dtype: DType::F32, seed: 0, check_nan, profile: false, threads: 1 };
    let mut session = Session::new(options);
    session.vm.capture_output();
    let loaded = session.load_main("windows.dl", program, Mode::Script);
    if let Some(problem) = loaded.diagnostics.iter().find(|d| d.is_error()) {
        return (String::new(), Some(problem.message.clone()));
    }
    let Some(unit) = loaded.unit else { return (String::new(), None) };
    let problem = session.run(&unit).err().map(|e| e.to_diagnostic(|span| session.sources.place(span)).message);
    (session.vm.take_output(), problem)
}

/// The same with formulas and without.
fn is_the_same(program: &str) -> (String, Option<String>) {
    let fused = run(program, false);
    set_fusion(false);
    let plain = run(program, false);
    set_fusion(true);
    assert_eq!(fused, plain, "{program}");
    fused
}

/// A window of `m` elements of one of the vectors of length `n`, in one and in two operations.
fn window(rng: &mut impl Rng, n: i64, m: i64, steps: &mut Vec<String>) -> (String, String) {
    let base = ["x", "y", "w", "p.u"][rng.random_range(0..4)];
    let (cut, more) = (rng.random_range(0..3), rng.random_range(0..3));
    // Bounds may lie beyond the ends.
    let start = match (cut, rng.random_range(0..3)) {
        (0, 0) => String::new(),
        (0, 1) => format!("-{}", n + 2),
        (_, 2) if n > cut && cut > 0 => format!("-{}", n - cut),
        _ => cut.to_string(),
    };
    let left = (n - cut).max(0);
    let end = if left > more { more } else { 0 };
    let stop = match (end, rng.random_range(0..3)) {
        (0, 0) => String::new(),
        (0, 1) => format!("{}", n + 4),
        (0, _) if n > 0 => n.to_string(),
        (0, _) => "0".into(),
        (_, 0) => (n - end).to_string(),
        _ => format!("-{end}"),
    };
    let (mut whole, mut len) = (format!("{base}[{start}:{stop}]"), left - end);
    if len > m {
        (whole, len) = (format!("{base}[{cut}:{}]", cut + m), m);
    }
    if cut + end == 0 && rng.random_bool(0.5) {
        (whole, len) = (base.to_string(), n);
    }
    let name = |steps: &mut Vec<String>, what: &str| {
        steps.push(format!("let s{} = {what}", steps.len()));
        format!("s{}", steps.len() - 1)
    };
    let mut parts = name(steps, &whole);
    if len > m {
        // Nothing was cut off.
        let cut = format!("{parts}[{}:]", len - m);
        parts = name(steps, &cut);
        return (format!("{base}[{}:]", len - m), parts);
    }
    if len == m && rng.random_bool(0.7) {
        return (whole, parts);
    }
    let before = rng.random_range(0..=m - len);
    let after = m - len - before;
    let width = match rng.random_range(0..3) {
        0 if before == after => before.to_string(),
        1 => format!("(({before}, {after}),)"),
        _ => format!("({before}, {after})"),
    };
    let fill = ["", ", value: 1.0", ", value: inf", ", value: -0.0", ", value: -2", ", value: -inf"];
    let fill = fill[rng.random_range(0..fill.len())];
    let padded = format!("pad({parts}, {width}{fill})");
    let parts = name(steps, &padded);
    (format!("pad({whole}, {width}{fill})"), parts)
}

/// An expression, in one and in statements of one operation each.
fn expression(rng: &mut impl Rng, depth: usize, (n, m): (i64, i64), steps: &mut Vec<String>) -> (String, String) {
    if depth == 0 {
        return match rng.random_range(0..10) {
            0 => ("k".into(), "k".into()),
            1 => ("0.75".into(), "0.75".into()),
            _ => window(rng, n, m, steps),
        };
    }
    let (whole, one) = if rng.random_range(0..5) == 0 {
        let a = expression(rng, depth - 1, (n, m), steps);
        let f = ["tanh", "sin", "-", "relu"][rng.random_range(0..4)];
        (format!("{f}({})", a.0), format!("{f}({})", a.1))
    } else {
        let a = expression(rng, depth - 1, (n, m), steps);
        let b = expression(rng, depth - 1, (n, m), steps);
        let op = ["+", "-", "*"][rng.random_range(0..3)];
        (format!("({} {op} {})", a.0, b.0), format!("{} {op} {}", a.1, b.1))
    };
    steps.push(format!("let s{} = {one}", steps.len()));
    (whole, format!("s{}", steps.len() - 1))
}

const CHECK: &str = "
fn alike(a, b) = all(where(isnan(a), isnan(b), where(a == 0.0, 1.0 / a == 1.0 / b, a == b)))
fn near(a, b) = all(where(isfinite(a) and isfinite(b), abs(a - b) <= tolerance * (abs(a) + abs(b) + 1.0), true))
let v = parts(x, y, w, k)
assert(alike(whole(x, y, w, k), v), f\"value {whole(x, y, w, k)} {v}\")
assert(whole(x, y, w, k).shape == v.shape and whole(x, y, w, k).dtype == v.dtype, \"shape\")
let c = (rand(len(v)) - 0.3).to(v.dtype)
let d = (rand(len(x)) - 0.5).to(x.dtype)
fn weighed(f) = |x, y, w, k| sum(f(x, y, w, k) * c) + 0.5 * sum(x * x)
# A tape that is not swept once from 1 has entries of primitives.
let back = vjp(weighed(parts), x, y, w, k)[1](1.0)
for g in list(grad(weighed(whole), wrt: (0, 1, 2, 3)), grad(weighed(parts), wrt: (0, 1, 2, 3)), value_and_grad(weighed(whole), wrt: (0, 1, 2, 3))) {
    let made = g(x, y, w, k)
    let slopes = if len(made) == 2 { made[1] } else { made }
    for i in 0..4 {
        assert(near(slopes[i], back[i]), f\"gradient {i}: {slopes[i]} {back[i]}\")
    }
}
# One vector alone, the others constants.
for i in 0..3 {
    let own = grad(weighed(whole), wrt: i)(x, y, w, k)
    assert(near(own, back[i]), f\"gradient {i} alone: {own} {back[i]}\")
}
let totals = list(grad(total, wrt: (0, 1, 2))(x, y, w, k), vjp(|x, y, w| sum(parts(x, y, w, k)), x, y, w)[1](1.0))
for i in 0..3 {
    assert(near(totals[0][i], totals[1][i]), f\"total {i}: {totals[0][i]} {totals[1][i]}\")
}
let t = list(jvp(|x| f(x, y, w, k), x, d)[1] for f in list(whole, parts))
assert(near(t[0], t[1]), \"tangent\")
let h = list(jvp(|x| grad(weighed(f))(x, y, w, k), x, d)[1] for f in list(whole, parts))
assert(near(h[0], h[1]), \"second derivative\")
let q = list(grad(|x| sum(grad(weighed(f))(x, y, w, k) * d))(x) for f in list(whole, parts))
assert(near(q[0], q[1]), \"gradient of a gradient\")
let rows = stack((x, 0.5 * x, x + 1.0))
let b = list(vmap(|x| f(x, y, w, k))(rows) for f in list(whole, parts))
assert(alike(b[0], b[1]), \"examples\")
let e = list(vmap(|x| grad(weighed(f))(x, y, w, k))(rows) for f in list(whole, parts))
assert(near(e[0], e[1]), \"gradients of examples\")
let o = list(grad(|y| sum(vmap(|x| f(x, y, w, k) * c)(rows)))(y) for f in list(whole, parts))
assert(near(o[0], o[1]), \"gradient of examples\")
";

/// Loops, which may become native code.
const LOOP: &str = "
fn turns(f) = |x, y, w, k| {
    var u = y
    for _ in 0..80 {
        let step = f(x, u, w, k)
        u = 0.5 * u + 0.25 * tanh(step)
    }
    sum(u * c)
}
let l = list(grad(turns(f), wrt: (0, 1, 2, 3))(x, y, w, k) for f in list(whole, parts))
let z = vjp(turns(parts), x, y, w, k)[1](1.0)
for i in 0..4 {
    assert(near(l[0][i], l[1][i]) and near(l[0][i], z[i]), f\"loop {i}: {l[0][i]} {l[1][i]} {z[i]}\")
}
";

#[test]
fn windows_are_their_parts() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let rounds = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(120);
    for round in 0..rounds {
        compile_from(if round % 3 == 2 { usize::MAX } else { 0 });
        compile_wide(round % 2 == 0);
        let n = [7, 1, 2, 100, 0, 3000, 7, 64][round % 8];
        let m = [n, (n - 1).max(0), n, n + 1, n, (n - 3).max(0)][rng.random_range(0..6)];
        let dtype = if round / 8 % 2 == 0 { "f64" } else { "f32" };
        let tolerance = if dtype == "f64" { "1e-9" } else { "2e-3" };
        let depth = rng.random_range(1..4);
        let mut steps = vec![];
        let (whole, last) = expression(&mut rng, depth, (n, m), &mut steps);
        if !whole.contains('[') && !whole.contains("pad") || steps.is_empty() {
            continue;
        }
        let lines: String = steps.iter().map(|s| format!("    {s}\n")).collect();
        let more = if m == n { LOOP } else { "" };
        let program = format!(
            "seed({round})\nlet tolerance = {tolerance}\nstruct Parts {{ u: any }}\n\
             let (x, y, w, k) = (randn({n}).to({dtype}), rand({n}).to({dtype}), randn({n}).to({dtype}), 0.7)\n\
             fn whole(x: any, y: any, w: any, k: any) {{\n    let p = Parts(u: x)\n    {whole}\n}}\n\
             fn parts(x: any, y: any, w: any, k: any) {{\n    let p = Parts(u: x)\n{lines}    {last}\n}}\n\
             fn total(x: any, y: any, w: any, k: any) {{\n    let p = Parts(u: x)\n    sum({whole})\n}}\n{CHECK}{more}"
        );
        if let (_, Some(problem)) = run(&program, false) {
            panic!("{program}\n{problem}");
        }
    }
}

#[test]
fn other_values_take_the_ordinary_way() {
    let expressions = [
        "a[1:] * 2.0 - a[:-1]",
        "a * pad(a[:-1], (1, 0))",
        "2.0 * pad(a, 1, value: 3.0) + 1.0",
        "a[2:] - 2.0 * a[1:-1] + a[:-2]",
        "-pad(a[1:], ((0, 1),), value: 2)",
        "a[1:] + b[:-1] * b[1:]",
        "b * pad(a[:-1], (1, 0), value: 0.5)",
        "a[9:] + a[9:] * a[5:5]",
        "a[-1:] * 3.0 + pad(a[:0], (0, 1))",
        "sum(a[1:] * a[:-1])",
        "mean(pad(a, (1, 1), value: 1.0) * 2.0)",
        "pad(a, -1) * a",
        "pad(a, (1, 0, 0)) * a",
        "pad(a, 70000) * 2.0",
        "a * pad(a[:-1], (1, 0), \"edge\")",
        "a * pad(a[:-1], (1, 0), mode: \"constant\", value: 2.0)",
        "a[1:] * b",
    ];
    let values = [
        "[1.0, 2.0, 3.0]",
        "[1, 2, 3]",
        "[true, false, true]",
        "2.5",
        "7",
        "[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]",
        "[[1, 2], [3, 4]]",
        "list(1.0, 2.0, 3.0)",
        "(1.0, 2.0, 3.0)",
        "\"text\"",
        "none",
        "dict(a: [1.0, 2.0], b: [0.5, 0.5])",
        "([1.0, 2.0], [0.5, 0.5])",
        "zeros(0)",
        "randn(4).to(f64)",
        "randn(3)[::-1]",
    ];
    let mut fine = 0;
    for expression in expressions {
        for value in values {
            for other in ["[1.0, 2.0, 3.0]", "a", "0.5"] {
                let program = format!(
                    "seed(3)\nfn f(a: any, b: any) = {expression}\nlet a: any = {value}\nlet b: any = {other}\n\
                     print(f(a, b))\nprint(grad(|a: any| sum(f(a, b)))(a))\nprint(vmap(|a| f(a, b))(stack((a, a))))"
                );
                fine += usize::from(is_the_same(&program).1.is_none());
            }
        }
    }
    // Most are errors.
    assert!(fine > 50, "{fine}");
}

#[test]
fn parts_are_evaluated_in_order_and_once() {
    let programs = [
        // What may do anything stands before, behind and inside.
        "fn say(x) { print(\"said\")\n x }\nlet y = [1.0, 2.0, 3.0]\nprint(say(y) * pad(y[:-1], (1, 0)))\nprint(pad(y[:-1], (1, 0)) * say(y))\n\
         print(pad(say(y)[:-1], (1, 0)) * say(y))\nprint(say(y)[1:] - 2.0 * say(y)[:-1] + y[1:])",
        // A name that is not the builtin.
        "fn pad(x, w) = x + 1.0\nlet y = [1.0, 2.0]\nprint(y * pad(y, 1))",
        // The vector changes on the way.
        "fn change(inout y) { y[0] = 9.0\n 1.0 }\nvar y = [1.0, 2.0, 3.0]\nprint(y[1:] * 2.0 + y[:-1] * change(&y))\nprint(pad(y[1:], (0, 1)) * change(&y))",
        "var y = [1.0, 2.0, 3.0]\nfn change() { y = [5.0, 6.0, 7.0]\n 1.0 }\nprint(pad(y[1:], (0, 1)) * change())\nprint(y[1:] * 2.0 + y[:-1] * change())",
        // Windows of an argument of a function that is written out.
        "fn square(x) = x * x + 1.0\nlet y = [1.0, 2.0, 3.0]\nprint(square(y[1:]) - square(pad(y[:-1], (1, 0)))[1:])",
        "fn square(x: float) = x * x + 1.0\nlet y = [1.0, 2.0, 3.0]\nprint(square(y[1:]) + 1.0)",
        // Written numbers.
        "let k = 1\nlet fill = -2.5\nlet y = [1.0, 2.0, 3.0]\nprint(y * pad(y[:-k], (k, 0), value: fill))",
        "var k = 1\nlet y = [1.0, 2.0, 3.0]\nprint(y[k:] * 2.0 - y[:-k])\nk = 2\nprint(y[k:] * 2.0 - y[:-k])",
    ];
    for program in programs {
        is_the_same(program);
    }
}

/// Native code knows nothing of windows: it takes the instructions behind.
#[test]
fn loops_in_native_code_have_their_slices() {
    let bodies = [
        "let d = v[1:] - 2.0 * v[:-1] * v[1:]\n        s += d[0] * d[2] + d[-1]",
        "let d = v[2:] - 2.0 * v[1:-1] + v[:-2]\n        s += d[0] * d[1]",
        "let d = v[1:] * v[1:] + 0.5 * v[1:]\n        s += 0.1 * d[0] - d[2]",
        "let d = sum(v[1:] * v[1:] + 0.5)\n        s += 0.1 * d",
        "let d = v * pad(v[:-1], (1, 0), value: 0.5) + v[0]\n        s += d[0] * d[1] - d[3]",
        "let d = -pad(v[1:3], 1)\n        s += d[0] * d[1] + d[2]",
    ];
    for body in bodies {
        let program = format!(
            "set_dtype(f64)\nfn go(u: float[4]) -> float {{\n    var v = u\n    var s = 0.0\n    for i in 0..5000 {{\n        {body}\n        \
             v = 0.98 * v + 0.01\n    }}\n    s\n}}\nlet u = [0.3, -0.4, 0.7, 0.9]\nprint(f\"{{go(u):.8f}}\")\n\
             for x in grad(go)(u) {{ print(f\"{{x:.8f}}\") }}\n"
        );
        let before = native::compiled();
        let (found, problem) = is_the_same(&program);
        assert!(body.contains("pad") || native::compiled() > before || !cfg!(target_arch = "x86_64"), "{program}");
        assert!(problem.is_none(), "{program}\n{problem:?}");
        native::switch(false);
        let (by_the_machine, _) = run(&program, false);
        native::switch(true);
        assert_eq!(found, by_the_machine, "{program}");
    }
}

/// Who watches sees each operation.
#[test]
fn the_nan_trap_sees_each_operation() {
    let program = "let y = [0.0, 2.0, 3.0]\nprint(grad(|y| sum(y * pad(log(y[:-1]), (1, 0))))(y))\n";
    let (_, fused) = run(program, true);
    set_fusion(false);
    let (_, plain) = run(program, true);
    set_fusion(true);
    assert_eq!(fused, plain);
    assert!(plain.is_some());
}
