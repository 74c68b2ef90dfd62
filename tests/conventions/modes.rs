//! First and second derivatives of every function of one number, at its special points, in all modes: rule 11.

use dlang::ops::lanes::{Elementwise, Scalar};
use dlang::ops::prim::{Diff, Eval, Prim};

const POINTS: &str = "0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 6.0, 1e-300, -1e-300, 5e-324, 1e300, -1e300, \
                      1e-8, -1e-8, 1e17, -1e17, 40.0, -40.0, 1000.0, -1000.0, 0.9999999999999999, 1.0000000000000002";

const PROGRAM: &str = "
set_dtype(f64)
fn same(a, b) = a == b or (isnan(a) and isnan(b)) or abs(a - b) <= 1e-9 * abs(b)
let total = |f| |v| sum(f(v))
var count = 0
for x in list(POINTS) {
    let at = [x, 2.0 * x]
    let first = list((\"reverse\", grad(f)(x)), (\"forward\", derivative(f)(x)), (\"reverse of tensors\", grad(total(f))(at)[0]),
        (\"forward of tensors\", jvp(f, at, ones(2))[1][0]))
    let second = list((\"reverse of reverse\", grad(grad(f))(x)), (\"forward of reverse\", derivative(grad(f))(x)),
        (\"reverse of forward\", grad(derivative(f))(x)), (\"forward of forward\", derivative(derivative(f))(x)),
        (\"reverse of reverse, tensors\", jacobian(grad(total(f)), mode: \"reverse\")(at)[0, 0]),
        (\"forward of reverse, tensors\", jacobian(grad(total(f)), mode: \"forward\")(at)[0, 0]),
        (\"reverse of forward, tensors\", grad(|v| jvp(f, v, ones(2))[1][0])(at)[0]),
        (\"forward of forward, tensors\", jvp(|v| jvp(f, v, ones(2))[1], at, ones(2))[1][0]))
    for (order, all) in list((\"first\", first), (\"second\", second)) {
        for (mode, d) in all {
            count += 1
            if not same(d, all[0][1]) { print(f\"NAME at {x}, {order}: {d} in {mode}, {all[0][1]} in {all[0][0]}\") }
        }
    }
}
print(\"count\", count)
";

fn is_unary(prim: &Prim) -> bool {
    matches!(&prim.eval, Eval::Elementwise(Elementwise { scalar: Scalar::Unary { .. }, .. }))
        && matches!(prim.diff, Diff::Elementwise)
        && !prim.name.starts_with('_')
}

/// What disagrees for a function.
fn sweep(name: &str, f: &str) -> Vec<String> {
    let program = format!("let f = {f}{}", PROGRAM.replace("POINTS", POINTS).replace("NAME", name));
    let (output, problems) = super::run(&program);
    let mut lines: Vec<String> = output.lines().map(str::to_string).collect();
    let count = lines.pop().unwrap_or_default();
    if count != format!("count {}", 12 * POINTS.split(',').count()) {
        lines.push(format!("{name} ended early: {count} {problems}"));
    }
    lines
}

#[test]
fn all_modes_agree_at_special_points() {
    let unary: Vec<&str> = dlang::ops::table().filter(|p| is_unary(p)).map(|p| p.name).collect();
    assert!(unary.len() > 30, "{unary:?}");
    let mut failures: Vec<String> = unary.iter().flat_map(|name| sweep(name, &format!("|x| {}", call(name)))).collect();
    for f in [
        "gelu(x)",
        "gelu(x, approximate: true)",
        "1.0 / x",
        "x^0.5",
        "x^2",
        "x^-1",
        "x^3.0",
        "2.0^x",
        "atan2(x, 1.0)",
        "hypot(x, 1.0)",
        "maximum(x, 0.0)",
        "xlogy(x, 2.0)",
        "xlogy(2.0, x)",
    ] {
        failures.extend(sweep(f, &format!("|x| {f}")));
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn call(name: &str) -> String {
    if name == "neg" { "-x".into() } else { format!("{name}(x)") }
}

/// The comparison can fail.
#[test]
fn a_mode_that_differs_is_noticed() {
    assert!(!sweep("split", "|x| sqrt(x * x)").is_empty());
}

/// Second derivatives beside a bad matrix of a batch: those of the other are what it has alone, its own are 0.
const BATCHES: &str = "
import linalg
set_dtype(f64)
let good = [[2.0, 0.5, 0.1], [0.3, 3.0, 0.2], [0.2, 0.4, 4.0]]
let half = |a| (a + a.t) / 2.0
let b = [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]
let functions = dict(
    inv: |a| inv(a), solve: |a| solve(a, [1.0, 2.0, 3.0]), solves: |a| solve(a, b), det: |a| det(a),
    logdet: |a| logdet(a), slogdet: |a| linalg.slogdet(a)[1], triangular: |a| linalg.solve_triangular(a, b),
    cholesky: |a| cholesky(half(a)), q: |a| qr(a)[0], r: |a| qr(a)[1], tall: |a| qr(a[:, :, :2])[0],
    eigenvalues: |a| eigh(half(a))[0], eigenvectors: |a| eigh(half(a))[1]^2, u: |a| svd(a)[0]^2,
    s: |a| svd(a)[1], vt: |a| svd(a)[2]^2, tall_u: |a| svd(a[:, :, :2])[0]^2, lstsq: |a| lstsq(a, b), pinv: |a| linalg.pinv(a),
    exp: |a| linalg.matrix_exp(a), power: |a| a @ a @ a, nuclear: |a| linalg.nuclear_norm(a))
let bads = dict(nan: full((3, 3), nan), inf: full((3, 3), inf), zero: zeros(3, 3), eye: eye(3), one: [[nan, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    singular: [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]], large: full((3, 3), 1e300),
    huge: diag([1e300, 2e300, 3e300]))
let d = [[0.1, 0.2, -0.3], [0.5, 0.2, 0.3], [0.3, -0.2, 0.7]]
let e = [[0.3, -0.1, 0.2], [0.2, 0.4, 0.1], [-0.5, 0.2, 0.6]]
fn first_of(shape) { var mask = zeros(shape); mask[0] = 1.0; mask > 0.0 }
var count = 0
for (name, f) in functions.items() {
    let alone = |m| sum(f(stack(list(m)))^3)
    let (slope, want) = (grad(alone)(good), hvp(alone, good, d))
    for (kind, bad) in bads.items() {
        let a = stack(list(good, bad))
        try { f(a) } catch e { continue }
        # Two ways to leave out the other.
        let taken = |a| sum(f(a)[0]^3)
        let masked = |a| { let y = f(a); sum(where(first_of(y.shape), y, 0.0)^3) }
        let directions = dict(still: stack(list(d, zeros(3, 3))), moves: stack(list(d, d)))
        var ways = list((\"gradient\", || grad(taken)(a), slope),
            (\"hessian\", || (hessian(taken)(a).reshape(18, 18) @ directions[\"moves\"].reshape(18)).reshape(2, 3, 3), want))
        for (how, v) in directions.items() {
            for loss in if how == \"moves\" { list(taken, masked) } else { list(taken) } {
                ways.push((f\"forward, {how}\", || jvp(loss, a, v)[1], sum(slope * d)))
                ways.push((f\"forward of reverse, {how}\", || hvp(loss, a, v), want))
                ways.push((f\"reverse of reverse, {how}\", || grad(|a| sum(grad(loss)(a) * v))(a), want))
                ways.push((f\"reverse of forward, {how}\", || grad(|a| jvp(loss, a, v)[1])(a), want))
                for (again, w) in dict(still: stack(list(e, zeros(3, 3))), moves: stack(list(e, e))).items() {
                    ways.push((f\"forward of forward, {how}, {again}\", || jvp(|a| jvp(loss, a, v)[1], a, w)[1], sum(want * e)))
                }
            }
        }
        for (way, run, want) in ways {
            count += 1
            try {
                let h = run()
                let (first, other) = if h.shape == () { (h, 0.0) } else { (h[0], h[1]) }
                if not (all(abs(first - want) <= 1e-9 * max(abs(want))) and all(other == 0.0)) { print(f\"{name} beside {kind}, {way}: {h}, {want}\") }
            } catch e { print(f\"{name} beside {kind}, {way}: {e.message}\") }
        }
    }
}
print(\"count\", count)
";

#[test]
fn second_derivatives_beside_a_bad_matrix() {
    let (output, problems) = super::run(BATCHES);
    assert_eq!(output.trim(), "count 2420", "{problems}");
}

/// A composition as scalars and as tensors of one element, in second derivatives.
const SCALARS: &str = "
set_dtype(f64)
fn same(a, b) = a == b or (isnan(a) and isnan(b)) or abs(a - b) <= 1e-9 * abs(b)
let slope = grad(|v| sum(f(v)))
for x in list(0.0, 1.0, -1.0, 0.25, inf) {
    let pairs = list((\"reverse\", grad(grad(f))(x), grad(|v| sum(slope(v)))([x])[0]),
        (\"forward\", derivative(grad(f))(x), derivative(|x| slope([x])[0])(x)))
    for (mode, scalar, tensor) in pairs {
        if not same(scalar, tensor) { print(f\"NAME at {x} in {mode}: {scalar} of a scalar, {tensor} of a tensor\") }
    }
}
print(\"done\")
";

/// Zero cotangents end what slopes get, in scalars as in tensors.
#[test]
fn compositions_of_scalars_are_those_of_tensors() {
    let parts = [
        "sqrt(X)",
        "log(X)",
        "1.0 / X",
        "X * X",
        "abs(X)",
        "relu(X)",
        "X^1.5",
        "where(X > 0.0, sqrt(X), 0.0)",
        "exp(-X)",
    ];
    let outer = ["where(X > 0.5, X, X * X * X)", "0.0 * X", "maximum(X, 0.0)", "asin(X)", "X^3.0"];
    let mut functions = Vec::new();
    for inner in parts.iter().chain(&outer) {
        functions.extend(parts.iter().chain(&outer).map(|f| f.replace('X', &format!("({inner})"))));
    }
    for (a, b) in parts.iter().flat_map(|a| parts.iter().map(move |b| (a, b))) {
        functions.extend([
            format!("({a}) * ({b})"),
            format!("where(X > 0.5, {a}, {b})"),
            format!("({a}) / ({b})"),
            format!("xlogy({a}, {b})"),
        ]);
    }
    let failures: Vec<String> = functions
        .iter()
        .flat_map(|f| {
            let (output, problems) = super::run(&format!("let f = |X| {f}{}", SCALARS.replace("NAME", f)));
            let mut lines: Vec<String> = output.lines().map(str::to_string).collect();
            if lines.pop().as_deref() != Some("done") {
                lines.push(format!("{f} ended early: {problems}"));
            }
            lines
        })
        .collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
