//! Random loops over small vectors, which native code takes apart: the same values to the last bit, the same gradients up to
//! rounding, which the machine does in the vectors' dtype and native code in f64.

use dlang::native;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{numbers_agree, pick, run};

/// A vector of three elements.
fn vector(rng: &mut impl Rng, depth: usize) -> String {
    if depth == 0 {
        let leaves = ["s", "r", "w", "p.at", "g", "l[0:3]", "l[3:]", "l[-5:-2]", "[x, 0.3, y]", "[y, 1, x]", "s", "r"];
        return pick(rng, &leaves).into();
    }
    let v = vector(rng, depth - 1);
    match rng.random_range(0..16) {
        14 => format!("({} @ {v})", pick(rng, &["h", "q", "h"])),
        15 => format!("({v} @ {})", pick(rng, &["h", "q"])),
        0..3 => format!("({v} {} {})", pick(rng, &["+", "-", "*", "+"]), vector(rng, depth - 1)),
        3 => format!("({v} / (1.5 + {}^2))", vector(rng, 0)),
        4..6 => format!("({} {} {v})", number(rng, depth - 1), pick(rng, &["+", "-", "*", "*"])),
        6 => format!("({v} {} {})", pick(rng, &["+", "-", "*"]), pick(rng, &["2", "0.7", "x", "i"])),
        7 => format!("(-{v})"),
        8 => format!("{v}^{}", pick(rng, &["2", "3", "4"])),
        9 => format!("{}({v})", pick(rng, &["sin", "cos", "tanh", "sigmoid", "abs"])),
        10 => format!("exp(0.1 * tanh({v}))"),
        11 => format!("pull({v}, {}, {})", vector(rng, 0), number(rng, 0)),
        12 => format!("halved({v})"),
        _ => format!("(abs({v}) + 0.5)^{}", pick(rng, &["0.5", "1.5", "-1"])),
    }
}

/// A float.
fn number(rng: &mut impl Rng, depth: usize) -> String {
    if depth == 0 {
        let leaves = ["x", "y", "s[0]", "r[-1]", "w[1]", "p.at[2]", "0.3", "l[4]", "p.mass", "w[i % 3]", "s[i % 2]"];
        return pick(rng, &leaves).into();
    }
    let v = vector(rng, depth - 1);
    match rng.random_range(0..9) {
        0 => format!("dot({v}, {})", vector(rng, depth - 1)),
        1 => format!("({v} @ {})", vector(rng, 0)),
        2 => format!("sum({v})"),
        3 => format!("mean({v} * {})", vector(rng, 0)),
        4 => format!("norm({v})"),
        5 => format!("{v}.sum()"),
        6 => format!("sum({v}^2)"),
        7 => format!("({} + {})", number(rng, depth - 1), number(rng, depth - 1)),
        _ => format!("({} * {})", number(rng, depth - 1), number(rng, depth - 1)),
    }
}

fn statements(rng: &mut impl Rng, depth: usize, indent: usize) -> String {
    let (mut text, pad) = (String::new(), "    ".repeat(indent));
    for _ in 0..rng.random_range(1..4) {
        let line = match rng.random_range(0..17) {
            0..3 => format!("{} = tanh({})", pick(rng, &["s", "r"]), vector(rng, 2)),
            3 => format!("{} += 0.1 * tanh({})", pick(rng, &["s", "r"]), vector(rng, 1)),
            4 => format!("r = 0.9 * r + 0.1 * {}", vector(rng, 0)),
            5 => format!("{} = tanh({})", pick(rng, &["x", "y"]), number(rng, 2)),
            6 => format!(
                "{} {} {}",
                pick(rng, &["s[1]", "r[-1]", "s[0]"]),
                pick(rng, &["=", "*="]),
                pick(rng, &["x", "0.4", "y"])
            ),
            7 => format!("p.at = tanh({})", vector(rng, 1)),
            8 => format!("p.push(tanh({}), 0.1)", vector(rng, 1)),
            9 => "(s, r) = (r, s)".into(),
            10 => format!("l = concat([tanh({}), {}])", vector(rng, 1), pick(rng, &["s", "w", "r", "[x, y, 0.1]"])),
            11 => format!("let t = tanh({})\n{pad}s = 0.5 * t + 0.5 * s", vector(rng, 2)),
            12 => pick(rng, &["let (u, v, _) = s\n    x = tanh(u - v)", "x = 0.01 * len(r) + 0.5 * x", "path.push(x)"])
                .into(),
            13 if depth > 0 => format!(
                "if {} < 0.2 {{\n{}{pad}}} else {{\n{}{pad}}}",
                number(rng, 1),
                statements(rng, depth - 1, indent + 1),
                statements(rng, depth - 1, indent + 1)
            ),
            14 if depth > 0 => format!("for j in 0..2 {{\n{}{pad}}}", statements(rng, depth - 1, indent + 1)),
            16 => pick(
                rng,
                &[
                    "vs.push(s)",
                    "ts.push((x, i, r))",
                    "ps.push(p)",
                    "if i % 3 == 0 { vs.push([x, y, 0.1]) }",
                    "vs.push(r)\n    ts.push((y, 0, s))",
                    "x = 0.5 * x + 0.001 * len(vs)",
                ],
            )
            .into(),
            15 => pick(rng, &["s = s.clip(-0.5, 0.5)", "s[i % 3] = y", "if i % 400 == 7 { l = tanh(l) }"]).into(),
            _ => format!("s = 0.7 * s + 0.2 * tanh({})", vector(rng, 1)),
        };
        text += &format!("{pad}{line}\n");
    }
    text
}

fn program(rng: &mut impl Rng) -> String {
    let body = statements(rng, 2, 2);
    let dtype = pick(rng, &["f32", "f64"]);
    format!(
        "set_dtype({dtype})
struct Body {{ at: float[n], mass: float = 1.5 }}
impl Body {{
    fn push(inout self, force, h) {{
        self.at = self.at + h * force / self.mass
        self.mass = 0.9 * self.mass + 0.1
    }}
}}
fn pull(v: float[n], w: float[n], k: float) -> float[n] {{
    let d = v - w
    k * d / (1.0 + dot(d, d))
}}
fn halved(v) = 0.5 * v
let g = [0.1, -0.2, 0.3]
let start = Body([0.2, -0.1, 0.4])
let h = [[0.3, -0.1, 0.2], [0.1, 0.4, -0.2], [-0.3, 0.2, 0.1]]
fn f(a, b, w, p0 = start, q = 0.5 * h) {{
    var (x, y, p, path) = (a, b, p0, list(0.1))
    var s = [0.5, -0.25, 1.0]
    var r = [a, 0.3, b]
    var l = concat([s, r])
    var (vs, ts, ps) = (list(s), list((a, 1, r)), list(p0))
    for i in 0..1300 {{
{body}    }}
    x + 2.0 * y + sum(s) - dot(r, g) + 0.3 * sum(l) + norm(p.at) + 0.1 * p.mass + path[-1] + sum(vs[len(vs) // 2]) + 0.1 * vs[-1][1] + ts[-1][0] + ts[len(ts) // 3][1] + ts[-1][2][0] + ps[-1].at[1] * ps[len(ps) // 2].mass
}}
fn show(f) = try {{ f\"{{f()}}\" }} catch e {{ e.message }}
for (a, b) in list((0.3, -0.7), (0.0, 0.2)) {{
    for w in list([0.1, 0.2, -0.3], [0.5, 0.4, 0.3]) {{
        print(\"value\", show(|| f(a, b, w)))
        print(show(|| grad(f, wrt: (0, 1))(a, b, w)))
        print(show(|| grad(f, wrt: 2)(a, b, w)))
        print(show(|| grad(f, wrt: (0, 2))(a, b, w)))
        print(show(|| grad(f, wrt: 3)(a, b, w, start)))
        print(show(|| grad(f, wrt: 4)(a, b, w, start, h)))
        print(show(|| grad(|a| a * f(a, b, w))(a)))
        print(show(|| derivative(|a| f(a, b, w))(a)))
        print(show(|| grad(|b| grad(|a| f(a, b, w))(a))(b)))
        print(\"value\", show(|| f(a, b, w)))
    }}
}}
"
    )
}

/// One thing each, of a loop over `i` with vectors `s` and `w`, a matrix `m`, a list `l` and a float `x`.
const BODIES: [&str; 16] = [
    "x = 0.5 * x + 0.1 * norm(s - w * x)",
    "x = 0.5 * x + 0.1 * dot(s, w + x)",
    "x = 0.5 * x + 0.1 * sum((s + x)^2) - mean(s * x)",
    "s = 0.9 * s + 0.1 * sin(i * w)",
    "s = 0.9 * s + 0.1 * (m @ s) - 0.01 * i * w",
    "s = 0.9 * s + 0.1 * (s @ m) - 0.01 * i * w",
    "s = 0.5 * concat([s[1:3], [x, 0.001 * i]])[0:3] + 0.1 * s",
    "s[1] = 0.001 * i * x\n s *= 0.9",
    "s[-1] += 0.001 * i * x\n s *= 0.9",
    "let (a, b, c) = s\n s = [0.5 * b, 0.9 * c + 0.01, 0.5 * a + 0.001 * i]",
    "s = 0.9 * s + 0.001 * i * w\n l.push(s)",
    "s = 0.9 * s + 0.001 * i * w\n l.push((i, x, s))",
    "x = 0.5 * x + 0.001 * i\n if i % 3 == 0 { l.push([x, x^2]) }",
    "w[i % 3] = 0.001 * i\n x = 0.5 * x + sum(0.1 * w)",
    "m[i % 3, 1] = 0.001 * i\n s = 0.9 * s + 0.1 * (m @ s) + 0.01",
    "s = annotated(s, 0.001 * i * w)",
];

#[test]
fn everything_that_vectors_do_in_native_code_is_what_the_machine_does() {
    for body in BODIES {
        for dtype in ["f32", "f64"] {
            let program = format!(
                "set_dtype({dtype})
fn annotated(v: float[n], w: float[n]) -> float[n] = 0.9 * v + w
fn f(a, b) {{
    var (x, s, w) = (a, [a, 0.3, b], [0.2, -0.1, 0.4])
    var m = [[0.3, -0.1, 0.2], [0.1, 0.4, -0.2], [-0.3, 0.2, 0.1]]
    var l = list((0, a, s))
    for i in 0..1500 {{
        {body}
    }}
    list(x, s, w, m, len(l), l[-1], l[len(l) // 2], l[len(l) // 3])
}}
for _ in 0..2 {{
    print(\"value\", f(0.4, 0.2))
    print(grad(|a| sum(f(a, 0.2)[1]) + f(a, 0.2)[0])(0.4))
}}
"
            );
            let before = native::compiled();
            assert!(compare(&program), "{program}");
            let compiled = native::compiled() - before;
            // What is written at an index that changes is not taken apart.
            let compiles = cfg!(target_arch = "x86_64") && !body.starts_with("w[i") && !body.starts_with("m[i");
            assert!(!compiles || compiled >= 2, "{compiled} loops were compiled of\n{program}");
        }
    }
}

/// Compares what a program prints by the machine with what it prints as native code.
fn compare(program: &str) -> bool {
    native::switch(false);
    let Ok(expected) = run(program) else {
        native::switch(true);
        return false;
    };
    native::switch(true);
    let tolerance = if program.contains("f32") { 2e-3 } else { 1e-8 };
    for traces in [false, true] {
        native::switch_traces(traces);
        let found = run(program).unwrap();
        let same = |(a, b): (&str, &str)| if a.starts_with("value") { a == b } else { numbers_agree(a, b, tolerance) };
        let all = found.lines().count() == expected.lines().count() && found.lines().zip(expected.lines()).all(same);
        assert!(all, "{program}\nby the machine\n{expected}\nnative, traces: {traces}\n{found}");
    }
    true
}

#[test]
fn small_vectors_in_native_code_are_those_of_the_machine() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let rounds = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let (mut ran, before) = (0, native::compiled());
    for _ in 0..rounds {
        ran += usize::from(compare(&program(&mut rng)));
    }
    let compiled = native::compiled() - before;
    let compiles = !cfg!(target_arch = "x86_64") || compiled > 2 * ran;
    assert!(ran > rounds / 2 && compiles, "{ran} of {rounds} programs ran, {compiled} loops were compiled");
    println!("{ran} programs ran, {compiled} loops were compiled");
}
