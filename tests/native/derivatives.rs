//! Loops that take derivatives, and loops under forward mode: native code computes them in forward mode, the machine as it is
//! told, so that the last digits may differ.

use dlang::native;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{numbers_agree, pick, run};

/// What the loops differentiate: functions of one float `t` or of a pair, vector or struct, all with a float `w` beside.
const DECLARATIONS: &str = "
struct Body { at: float[2], mass: float, count: int = 1, nograd fixed: float = 0.5 }
fn well(t: float, w: float) -> float = 0.5 * (t - w)^2 + 0.1 * sin(3.0 * t)
fn steps(t, w) {
    var e = w
    for j in 0..3 {
        if e > 1.5 { break }
        e = e + 0.3 * cos(t + j) * t
    }
    e
}
fn cases(t, w) {
    if t > w { return exp(-t^2) }
    max(t, 0.5 * w) + abs(t - 0.2)^1.5 + 0.1 * log1p(t^2)
}
fn pull(p, w) {
    let (x, y) = p
    1.0 / hypot(x - 2.0, y - w) + 0.1 * x * y
}
fn bowl(v: float[n], w: float) -> float = 0.5 * sum((v - w)^2) + 0.1 * norm(v + 2.0) + sin(v[0] * v[1])
fn energy(b: Body, w) = 0.5 * b.mass * dot(b.at, b.at) + w * b.at[0] * b.fixed + 0.1 * b.mass^2
fn curve(t, w) = (t * w, (sin(t), t^3), 2)
fn slope_of(f, t) = grad(f)(t)
fn parts(n: int) = n // 4 + n % 8 + n // 1
fn descend(f, t) {
    var t = t
    for j in 0..3 {
        if t > 2.5 { break }
        t -= 0.1 * tanh(f(t) + 0.1 * j)
    }
    t
}
fn pace(t, w) {
    let still = 0.25
    var (step, e) = (0.5, 0.0)
    for j in 0..3 {
        e += step * sin(t) * still
        if t > w { step = 0.125 }
    }
    e
}
fn fall(f, t, n: int) = if n <= 0 { t } else { fall(f, tanh(0.5 * f(t)), n - 1) }
fn central(f, t) = (f(t + 0.01) - f(t - 0.01)) / 0.02
";

fn of_float(rng: &mut impl Rng) -> &'static str {
    pick(rng, &["well", "steps", "cases"])
}

/// A float.
fn number(rng: &mut impl Rng) -> String {
    let leaves = ["x", "y", "a", "0.3", "pair[0]", "s[1]", "body.mass", "x * y", "sin(y)", "0.01 * i"];
    pick(rng, &leaves).into()
}

fn statement(rng: &mut impl Rng) -> String {
    let (f, g, w, to) = (of_float(rng), of_float(rng), number(rng), pick(rng, &["x", "y"]));
    let t = pick(rng, &["x", "y"]);
    match rng.random_range(0..26) {
        0 => format!("{to} -= 0.1 * tanh(grad(|t| {f}(t, {w}))({t}))"),
        1 => format!("{to} = 0.5 * {to} + 0.2 * tanh(grad({f})({t}, {w}))"),
        2 => format!("{to} = 0.5 * {to} + 0.2 * tanh(grad({f}, wrt: 1)({t}, {w}))"),
        3 => {
            format!("let (e, d) = value_and_grad(|t| {f}(t, {w}))({t})\n        {to} = 0.5 * {to} - 0.1 * tanh(d * e)")
        }
        4 => "pair -= 0.05 * grad(|p| pull(p, x))(pair)\n        pair *= 0.9".into(),
        5 => {
            format!("let force = |p| -1.0 * grad(|q| pull(q, {w}))(p)\n        pair = 0.5 * pair + 0.05 * force(pair)")
        }
        6 => format!("s = tanh(s - 0.1 * grad(|v| bowl(v, {w}))(s))"),
        7 => format!(
            "let g = grad(|b| energy(b, {w}))(body)\n        body.at = tanh(body.at - 0.1 * g.at)\n        body.mass = 0.9 * body.mass - 0.01 * tanh(g.mass)"
        ),
        8 => format!(
            "let (v, d) = jvp(|t| {f}(t, {w}), {t}, {})\n        {to} = tanh(0.3 * v + d)",
            pick(rng, &["1.0", "0.5", "y"])
        ),
        9 => format!("let (v, d) = jvp(|p| pull(p, {w}), pair, (0.3, {t}))\n        {to} = tanh(0.3 * v + d)"),
        10 => format!(
            "let (b, (c, d), _) = derivative(|t| curve(t, {w}))({t})\n        {to} = tanh(0.1 * b + 0.2 * c * d)"
        ),
        11 => format!("{to} = 0.5 * {to} + 0.1 * tanh(derivative(|t| t * derivative(|u| {f}(u, t))(t))({t}))"),
        12 => format!("{to} = 0.5 * {to} + 0.1 * tanh(grad(|t| t * grad(|u| {f}(u, t * {w}))(t))({t}))"),
        13 => format!("{to} = 0.5 * {to} + 0.1 * tanh(slope_of(|t| {f}(t, {w}) * {g}(t, 0.3), {t}))"),
        14 => format!("{to} = 0.5 * {to} + 0.1 * tanh(given({t}, {w}))"),
        15 => "x = 0.5 * x + 0.1 * global_norm((pair, y, (x, 0.5)))".into(),
        16 => format!("if {t} > {w} {{ {to} = 0.3 * grad(|t| {f}(t, 0.1))({t}) }} else {{ {to} = 0.9 * {t} }}"),
        17 => format!("for j in 0..2 {{ {to} = 0.5 * {to} - 0.1 * grad(|t| {f}(t, 0.1 * j))({t}) }}"),
        18 => format!("{to} = 0.5 * {to} + 0.1 * {}(|t| {f}(t, {w}), {t})", pick(rng, &["central", "slope_of"])),
        19 => pick(
            rng,
            &["x = 0.5 * x + 0.1 * hop(y)", "y = 0.9 * y + 0.1 * tanh(derivative(derivative(|t| well(t, x)))(y))"],
        )
        .into(),
        22 => format!("{to} = tanh(descend(|u| descend(|v| {f}(v, u) * {w}, u + 0.1), {t}))"),
        23 => format!(
            "{to} = 0.5 * {to} + 0.1 * tanh(grad(|u| descend(|v| {f}(v, descend(|s| {g}(s, u), {w})), u))({t}))"
        ),
        24 => format!("{to} = tanh(descend(derivative(|u| descend(|v| {f}(v, u), {t})), {w}))"),
        25 => format!("{to} = tanh(descend(|u| fall(|v| {f}(v, u), {t}, i % 3), {w}))"),
        20 => format!("if i % 400 == 9 {{ log.push({t}) }}"),
        _ => format!("{to} = tanh({t} + 0.1 * {f}({to}, {w}))"),
    }
}

fn program(rng: &mut impl Rng, body: &str) -> String {
    let (outside, dtype) = (of_float(rng), pick(rng, &["f64", "f64", "f32"]));
    format!(
        "set_dtype({dtype})
{DECLARATIONS}
fn f(a, b) {{
    var (x, y, pair, s, log) = (a, 0.3, (b, 0.4), [a, 0.2], list())
    var body = Body([0.2, b], 1.2)
    let given = grad({outside})
    let hop = |t| derivative(|u| {outside}(u, t))(b)
    for i in 0..1300 {{
        {body}
        if x > 3.0 or y < -3.0 {{ (x, y) = (0.1, 0.2) }}
    }}
    x + 2.0 * y + 0.3 * pair[0] - pair[1] + s[0] - 0.7 * s[1] + body.mass + 0.5 * sum(body.at) + len(log)
}}
fn show(f) = try {{ f\"{{f()}}\" }} catch e {{ e.message }}
for (a, b) in list((0.3, -0.7), (-0.2, 0.4)) {{
    print(show(|| f(a, b)))
    print(show(|| grad(f, wrt: (0, 1))(a, b)))
    print(show(|| derivative(|a| f(a, b))(a)))
    print(show(|| jvp(|p| f(p[0], p[1]), (a, b), (0.5, -1.0))))
    print(show(|| jvp(|v| f(v[0], v[1]), [a, b], [0.5, -1.0])))
    print(show(|| vjp(|a| f(a, b), a)[1](2.0)))
    print(show(|| derivative(|b| grad(|a| f(a, b))(a))(b)))
    print(show(|| grad(|b| derivative(|a| f(a, b))(a))(b)))
    print(show(|| grad(f)(a, b)))
}}
"
    )
}

/// Compares what a program prints by the machine with what it prints as native code. False if it does not run.
fn compare(program: &str) -> bool {
    native::switch(false);
    let Ok(expected) = run(program) else {
        native::switch(true);
        return false;
    };
    native::switch(true);
    let tolerance = if program.contains("set_dtype(f32)") { 2e-3 } else { 1e-7 };
    for traces in [false, true] {
        native::switch_traces(traces);
        let found = run(program).unwrap();
        let same = numbers_agree(&found, &expected, tolerance);
        assert!(same, "{program}\nby the machine\n{expected}\nnative, traces: {traces}\n{found}");
    }
    true
}

/// One thing each.
const BODIES: [&str; 24] = [
    "x = 0.5 * x + 0.1 * well(y, 0.3) * b + 0.1 * given(x, b)",
    "x = 0.5 * x + 0.1 * derivative(derivative(|t| steps(t, y)))(x)",
    "x = 0.5 * x + 0.1 * grad(grad(well), wrt: 0)(y, x)",
    "x -= 0.1 * grad(|t| well(t, y))(x)",
    "x -= 0.1 * grad(steps)(x, y)",
    "x = 0.5 * x - 0.1 * grad(pace)(y, x) * derivative(derivative(|t| pace(t, y)))(x)",
    "x = 0.5 * x + 0.1 * grad(cases, wrt: 1)(x, y)",
    "y = 0.5 * y - 0.1 * value_and_grad(|t| cases(t, x))(y)[1]",
    "pair -= 0.05 * grad(|p| pull(p, x))(pair)\n pair *= 0.9",
    "s = tanh(s - 0.1 * grad(|v| bowl(v, x))(s))",
    "let g = grad(|b| energy(b, x))(body)\n body.at = tanh(body.at - 0.1 * g.at)\n body.mass = 0.9 * body.mass - 0.01 * g.mass",
    "let (v, d) = jvp(|t| well(t, y), x, 0.5)\n x = tanh(0.3 * v + d)",
    "let (v, d) = jvp(|v| bowl(v, 0.1), s, [0.2, y])\n y = tanh(0.3 * v + d)",
    "let (b, (c, d), _) = derivative(|t| curve(t, y))(x)\n x = tanh(0.1 * b + 0.2 * c * d)",
    "x = 0.5 * x + 0.1 * derivative(|t| t * derivative(|u| well(u, t))(t))(x)",
    "x = 0.5 * x + 0.1 * grad(|t| t * grad(|u| cases(u, t * y))(t))(x)",
    "x = 0.5 * x + 0.1 * slope_of(|t| steps(t, b), y)",
    "x = 0.5 * x + 0.1 * given(y, x)",
    "x = 0.5 * x + 0.1 * hop(y)",
    "x = 0.5 * x + 0.1 * global_norm((pair, y, (x, 0.5)))",
    "x = 0.5 * x + 0.1 * descend(|u| descend(|v| well(v, u), u * y), x)",
    "y = 0.5 * y - 0.1 * tanh(grad(|u| descend(|v| descend(|s| cases(s, v), u), x))(y))",
    "y = tanh(y + x)\n x = 0.9 * x + 0.001 * i * y",
    "s = 0.9 * s + 0.1 * [x, y]\n x = 0.5 * x + 0.1 * tanh(s[1])",
];

#[test]
fn every_derivative_in_a_loop_is_what_the_machine_takes() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    for body in BODIES {
        let before = native::compiled();
        let program = program(&mut rng, body);
        assert!(compare(&program), "{program}");
        let compiled = native::compiled() - before;
        // Vectors with tangents above a tape are left to the machine.
        let least = if body.contains("s[") || body.contains("(s)") || body.contains(", s,") || body.contains("body") {
            7
        } else {
            9
        };
        // Plain, under a tape (swept once or not), under forward mode alone and above a tape: by entries and by traces.
        assert!(!cfg!(target_arch = "x86_64") || compiled >= least, "{compiled} loops were compiled of\n{program}");
    }
}

/// Bodies that native code must not take for what they are not, and what is told behind the loop.
const EDGES: [(&str, &str); 8] = [
    ("let g = grad(|v| bowl(v, y))(s)\n s = tanh(s - 0.1 * g)\n x = g[0]", "x == tensor([x], dtype: f32)[0]"),
    ("let g = grad(|b| energy(b, x))(body)\n body.at = tanh(body.at - 0.1 * g.at)\n log.push(g)", "log[-1]"),
    ("x = x + 0.001 * sin(i) * x\n log.push((x, i))", "(x, log[-1], log[3])"),
    ("x = x + 0.001 * sin(i) * x\n log.push(x)", "(x, log[-1], log[3])"),
    ("x = 0.5 * x + 0.1 * items[i % 3]\n for v in items { y = 0.3 * y + 0.1 * v }", "(x, y)"),
    ("x = 0.5 * x + 0.1 * mixed[i % 4]", "x"),
    ("x = 0.5 * x + 0.01 * ((i - 700) // 4) - 0.01 * ((3 - i) % 8) + 0.01 * parts(500 - i)", "x"),
    ("items[i % 3] = 0.5 * x\n x = 0.5 * x + 0.1 * items[1] + 0.1", "(x, items)"),
];

#[test]
fn what_has_tangents_is_never_taken_for_a_number_alone() {
    for (body, told) in EDGES {
        let program = format!(
            "set_dtype(f32)
{DECLARATIONS}
fn f(a) {{
    var (x, y, s, body, log) = (a, 0.3, [a, 0.2], Body([0.2, a], 1.2), list())
    var items = list(a, 0.5 * a, 0.3)
    let mixed = list(0.5, 1, a, 0.25)
    for i in 0..1300 {{
        {body}
    }}
    {told}
}}
fn show(f) = try {{ f\"{{f()}}\" }} catch e {{ e.message }}
for _ in 0..2 {{
    print(show(|| f(0.3)))
    print(show(|| derivative(f)(0.3)))
    print(show(|| jvp(f, 0.3, 0.5)))
    print(show(|| vjp(f, 0.3)[0]))
}}
"
        );
        assert!(compare(&program), "{program}");
    }
}

/// What is told of two numbers in turn, large, small, and none: functions that are written out, whose derivatives are made of
/// products in which a zero wins.
const EXTREMES: [&str; 8] = [
    "(hypot(a, b), log(hypot(a, b)))",
    "grad(|p| hypot(p[0], p[1]))((a, b))",
    "grad(|p| 2.0 * hypot(p[0], fract(b)) * p[1])((fract(a), fract(b)))",
    "(derivative(|t| 1.0 / t)(a), derivative(|t| 3.0 / (t * b))(a))",
    "derivative(|t| sqrt(abs(t)) * b)(a)",
    "derivative(|t| sqrt(t * 0.0) + log(t) * 0.0 + t)(a)",
    "derivative(|t| derivative(|u| 1.0 / (1.0 + abs(u)) + u * t)(t) * b)(fract(a))",
    "grad(|p| fract(p[0]) * hypot(fract(p[1]), 0.5) / hypot(1.0, fract(p[0])))((a, b))",
];

#[test]
fn extreme_numbers_go_through_what_is_written_out() {
    for told in EXTREMES {
        for dtype in ["f64", "f32"] {
            let before = native::compiled();
            let program = format!(
                "set_dtype({dtype})
fn fract(t: float) = if abs(t) < 2.0 {{ t }} else {{ 0.25 }}
let edges = [0.0, -0.0, 1.0, -1.5, 3e-5, 1e139, 1e140, 1e141, -2e200, 3e-139, 1e-140, 1e-141, 4e-200, 1e-300, 1.7e308, inf, -inf, nan]
fn f(c) {{
    var told = list()
    for i in 0..1500 {{
        let (a, b) = (edges[i % 18] * c, edges[i // 18 % 18])
        let t = {told}
        if i >= 1500 - 18 * 18 {{ told.push(t) }}
    }}
    told
}}
print(f(1.0))
"
            );
            assert!(compare(&program), "{program}");
            assert!(!cfg!(target_arch = "x86_64") || native::compiled() > before, "{program}");
        }
    }
}

#[test]
fn random_derivatives_in_loops_are_what_the_machine_takes() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(9);
    let rounds = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let (mut ran, before) = (0, native::compiled());
    for _ in 0..rounds {
        let body: Vec<String> = (0..rng.random_range(1..5)).map(|_| statement(&mut rng)).collect();
        ran += usize::from(compare(&program(&mut rng, &body.join("\n        "))));
    }
    let compiled = native::compiled() - before;
    let compiles = !cfg!(target_arch = "x86_64") || compiled > 3 * ran;
    assert!(ran > rounds / 2 && compiles, "{ran} of {rounds} programs ran, {compiled} loops were compiled");
    println!("{ran} programs ran, {compiled} loops were compiled");
}
