//! Random loops over numbers, run by the machine and as native code: the same bits in values and gradients, the same errors.
//! Adjoints of traces add in another order where two registers hold the same number: there the last digits may differ.

use dlang::native;
use dlang::pipeline::{Mode, Options, Session};
use dlang::tensor::DType;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

#[path = "native/derivatives.rs"]
mod derivatives;
#[path = "native/vectors.rs"]
mod vectors;

const FLOATS: [&str; 17] = [
    "v",
    "p.k",
    "p.body.mass",
    "p.w[i % 4]",
    "v",
    "x",
    "y",
    "z",
    "scale",
    "0.75",
    "x",
    "w[i % 4]",
    "q[n % 3]",
    "q[-1]",
    "u[m % 2]",
    "grid[i % 2, n % 3]",
    "k[m % 2, -1]",
];
const INTS: [&str; 5] = ["i", "n", "m", "step", "3"];
const FUNCTIONS: [&str; 9] = ["sin", "cos", "tanh", "exp", "sqrt", "abs", "sigmoid", "log1p", "sign"];

fn pick<'a>(rng: &mut impl Rng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}

/// An expression with a float value.
fn float(rng: &mut impl Rng, depth: usize) -> String {
    if depth == 0 {
        return pick(rng, &FLOATS).into();
    }
    match rng.random_range(0..12) {
        0..6 => {
            let op = pick(rng, &["+", "-", "*", "/", "*", "+"]);
            format!("({} {op} {})", float(rng, depth - 1), float(rng, depth - 1))
        }
        6 => format!("({} * {})", int(rng, 1), float(rng, depth - 1)),
        7 => format!("(-{})", float(rng, depth - 1)),
        8 => format!("({} % {})", float(rng, depth - 1), pick(rng, &["0.7", "3", "-1.5"])),
        9 => format!("{}^{}", pick(rng, &["x", "y", "z"]), pick(rng, &["2", "3", "4", "-1", "0.5", "1.5"])),
        10 => match rng.random_range(0..5) {
            0 => format!("max({}, {})", float(rng, depth - 1), pick(rng, &["0.1", "x", "n", "0"])),
            1 => format!("min({}, {})", float(rng, depth - 1), float(rng, depth - 1)),
            2 => format!(
                "clamp({}, -0.5, {})",
                float(rng, depth - 1),
                pick(rng, &["0.5", "1", "scale", "-0.5", "y", "y", "w[2]"])
            ),
            3 => format!("max(min({}, 0.7), {})", float(rng, depth - 1), float(rng, 0)),
            _ => format!("({} // 0.5)", float(rng, depth - 1)),
        },
        _ => format!("{}({})", pick(rng, &FUNCTIONS), float(rng, depth - 1)),
    }
}

/// An expression with an int value, which may overflow or divide by zero.
fn int(rng: &mut impl Rng, depth: usize) -> String {
    if depth == 0 {
        return pick(rng, &INTS).into();
    }
    let op = pick(rng, &["+", "-", "*", "//", "%", "+"]);
    format!("({} {op} {})", int(rng, depth - 1), int(rng, depth - 1))
}

fn condition(rng: &mut impl Rng) -> String {
    let order = pick(rng, &["<", "<=", ">", ">=", "==", "!="]);
    let one = match rng.random_range(0..3) {
        0 => format!("{} {order} {}", int(rng, 1), int(rng, 1)),
        1 => format!("{} {order} {}", float(rng, 1), int(rng, 0)),
        _ => format!("{} {order} {}", float(rng, 1), float(rng, 1)),
    };
    match rng.random_range(0..6) {
        0 => format!("{one} and flag"),
        1 => format!("{one} or {}", float(rng, 0) + " < 0.2"),
        2 => "not flag".into(),
        _ => one,
    }
}

/// `stores`: variables are written to lists and tensors, too.
fn statements(rng: &mut impl Rng, depth: usize, indent: usize, stores: bool) -> String {
    let mut text = String::new();
    for _ in 0..rng.random_range(1..4) {
        let pad = "    ".repeat(indent);
        let line = match rng.random_range(0..if stores { 18 } else { 14 }) {
            14 => format!("q[{} % 3] = {}", int(rng, 0), float(rng, 1)),
            15 => {
                format!("q[{}] {} {}", pick(rng, &["-1", "i % 3", "1"]), pick(rng, &["+=", "-=", "*="]), float(rng, 1))
            }
            16 => format!(
                "u[{} % 2] {} {}",
                int(rng, 0),
                pick(rng, &["=", "+=", "*="]),
                pick(rng, &["0.9", "scale", "u[0]", "grid[0, 1]"])
            ),
            17 => pick(rng, &["w[n % 4] = 0.5", "u[0] = x", "y = q[n]", "k[0, 1] += 0.1", "x = w[m]"]).into(),
            0 if depth == 2 && indent == 2 => pick(rng, &["(x, y) = (y, x)", "z = x", "(x, y, z) = (y, z, x)"]).into(),
            0..4 => format!("{} = tanh({})", pick(rng, &["x", "y", "z"]), float(rng, 3)),
            4 => format!("{} = {}", pick(rng, &["x", "y", "z"]), float(rng, 2)),
            5 => format!("{} {} {}", pick(rng, &["x", "y", "z"]), pick(rng, &["+=", "-=", "*="]), float(rng, 1)),
            6 => format!("let t = {}\n{pad}x = 0.5 * t + 0.1", float(rng, 2)),
            7 => format!("{} = {} % 11", pick(rng, &["n", "m"]), int(rng, 2)),
            8 => format!("n = ({} + 1) // 2", int(rng, 1)),
            9 => format!("flag = {}", condition(rng)),
            10 if depth > 0 => {
                let (yes, no) =
                    (statements(rng, depth - 1, indent + 1, stores), statements(rng, depth - 1, indent + 1, stores));
                format!("if {} {{\n{yes}{pad}}} else {{\n{no}{pad}}}", condition(rng))
            }
            11 if depth > 0 => {
                format!(
                    "for i in 0..({} % 5) {{\n{}{pad}}}",
                    int(rng, 0),
                    statements(rng, depth - 1, indent + 1, stores)
                )
            }
            12 if depth > 0 && rng.random_bool(0.5) => {
                let items = pick(rng, &["w", "q", "p.w", "p.body.parts", "half"]);
                format!("for v in {items} {{\n{}{pad}}}", statements(rng, depth - 1, indent + 1, stores))
            }
            12 => format!("if {} {{ {} }}", condition(rng), pick(rng, &["continue", "y = 0.3 * x", "z = 1.0"])),
            _ => format!("z = if {} {{ {} }} else {{ {} }}", condition(rng), float(rng, 1), float(rng, 1)),
        };
        text += &format!("{pad}{line}\n");
    }
    text
}

/// What the statements with functions and structures call.
const DECLARATIONS: &str = "
struct Point { x: float, v: float, n: int = 0 }
struct Pair { a: float, b: float }
struct Tagged { name: str, at: Pair, nograd k: float }
impl Point {
    fn push(inout self, force) {
        self.v += 0.1 * force
        self.x += 0.1 * self.v
        self.n += 1
    }
    fn energy(self) = 0.5 * self.v^2 + self.x
    fn call(self, s) = self.x * s + self.v
    fn at(x) = Point(x: x, v: 0.5)
    fn settle(inout self) -> float {
        if self.x > 0.5 { self.x = 0.4 }
        if self.x < -0.5 { return 0.1 * self.x }
        self.v = tanh(self.v)
        self.x
    }
}
fn blend(p: Point, q: Point, t) {
    if t > 0.5 { return p }
    Point(p.x + 0.3 * t * q.x, q.v, n: (p.n + q.n) % 5)
}
fn turned(a, b, c: float = 0.5) {
    let d = tanh(a * c)
    (b + d, a - d)
}
fn clip(x: float) -> float {
    if x > 1.0 { return 1.0 }
    if x < -1.0 { return -1.0 }
    x
}
fn creep(x, k: int) {
    var y = x
    for j in 0..k {
        if y > 2.0 { break }
        y = y + 0.1 * sin(y) + 0.01 * j
    }
    y
}
fn twice(f, x) = f(f(x))
fn nest(x, f) {
    let g = |y| 0.5 * f(y) + x
    twice(g, x)
}
fn bump(inout x, by) {
    x = tanh(x + by)
    x * 0.5
}
fn of_kind(kind, x) = if kind == \"sine\" { sin(x) } else { 0.5 * x }
fn moved(t: Tagged, by) -> Tagged = t.with(at: t.at + by * Pair(a: 0.1, b: 0.2))
fn shifted(t: Tagged, by) = Tagged(name: t.name, at: Pair(a: tanh(t.at.b + by), b: t.at.a), k: t.k)
fn hop(s: (float, float), f, h) = s + h * f(s + 0.5 * h * f(s))
";

/// Statements that call functions and change structs and tuples.
fn calls(rng: &mut impl Rng, indent: usize) -> String {
    let mut text = String::new();
    let pad = "    ".repeat(indent);
    let to = |rng: &mut _| pick(rng, &["x", "y", "z"]);
    for _ in 0..rng.random_range(1..5) {
        let (a, b) = (float(rng, 1), float(rng, 1));
        let line = match rng.random_range(0..33) {
            0 => format!("(x, y) = turned(tanh({a}), {b})"),
            1 => format!("(z, x) = turned(y, c: {}, b: tanh({a}))", pick(rng, &["w[1]", "3", "0.2"])),
            2 => format!("pt.push(tanh({a}))"),
            3 => format!("pt = blend(pt, qt, {a})"),
            4 => format!("qt = blend(qt, Point.at(tanh({a})), tanh({b}))"),
            5 => format!("pt.{} = tanh({a})", pick(rng, &["x", "v"])),
            6 => format!("pt.{} {} {a}", pick(rng, &["x", "v"]), pick(rng, &["+=", "*="])),
            7 => format!("{} = tanh(pt.energy())", to(rng)),
            8 => format!("{} = tanh(qt({a}))", to(rng)),
            9 => format!("pair = (tanh({a}), pair[{}])", pick(rng, &["0", "1", "-1"])),
            10 => format!("pair = pair * 0.5 + (0.1, tanh({a}))"),
            11 => format!("let (s, t) = pair\n{pad}{} = tanh(s - t * {a})", to(rng)),
            12 => format!("two = {} * two + Pair(a: tanh({a}), b: 0.1)", pick(rng, &["0.5", "scale", "n"])),
            13 => format!("two = Pair(a: two.b, b: tanh(two.a + {a}))"),
            14 => format!("{} = clip({a})", to(rng)),
            15 => format!("{} = tanh(creep({a}, n % 4))", to(rng)),
            16 => format!("{} = tanh(twice(|t| 0.5 * t + {a}, {b}))", to(rng)),
            17 => format!("{} = tanh(nest({a}, {}))", to(rng), pick(rng, &["clip", "pt", "sin", "|t| t * z"])),
            18 => format!("{} = bump(&{}, {a})", to(rng), pick(rng, &["x", "y", "pt.x", "two.b"])),
            19 => format!("{} = pt.settle()", to(rng)),
            20 => format!("{} = tanh(of_kind({}, {a}))", to(rng), pick(rng, &["\"sine\"", "\"other\""])),
            21 => format!("tag = {}(tag, tanh({a}))", pick(rng, &["moved", "shifted", "shifted"])),
            22 => format!("{} = tanh(tag.at.a * tag.k + {a})", to(rng)),
            23 => format!("pair = hop(pair, |s| (-0.1 * s[1], tanh(s[0] * {a})), 0.1)"),
            25 => format!("hist.push(tanh({a}))"),
            26 => format!("hist.push({})", pick(rng, &["0.5", "scale", "x", "w[1]"])),
            27 => format!("{} = tanh(hist[-1] + {a})", to(rng)),
            28 => format!("{} = tanh(config[\"gain\"] * {a} - config.offset)", to(rng)),
            29 => format!("for j in 0..len(w) {{ {} = tanh(0.5 * w[j] + {a}) }}", to(rng)),
            31 => "if i % 200 == 9 { nested = (pt, (sum(hist), len(hist))) }".into(),
            30 => "if i % 300 == 7 { config[\"gain\"] = x }".into(),
            24 => format!("if {} {{ pt = qt }} else {{ pair = (pair[1], {}) }}", condition(rng), to(rng)),
            _ => format!(
                "if i % {} == 3 {{ {} }}",
                pick(rng, &["7", "100", "700"]),
                pick(
                    rng,
                    &[
                        "log.push(i)",
                        "note = f\"{pt.n}\"",
                        "nested = (pt, pair)",
                        "let (p2, s) = nested\n pair = s\n pt = p2",
                        "pt = Point.at(0.1)",
                        "flag = len(log) > 3"
                    ]
                )
            ),
        };
        text += &format!("{pad}{line}\n");
    }
    text
}

fn program(rng: &mut impl Rng) -> String {
    let items = pick(
        rng,
        &[
            "list(a * float(k) / 1500.0 for k in 0..1500)",
            "linspace(-1.0, 1.0, 1500)",
            "w[1] * linspace(-1.0, 1.0, 1500)",
            "list(0.3) + list(float(k % 7) / 7.0 for k in 0..1400)",
        ],
    );
    let head = match rng.random_range(0..4) {
        0 => "for i in 0..1500 {",
        1 => "var i = 0\n    while i < 1500 {\n        i += 1",
        2 => "var i = 0\n    for item in items {\n        i += 1\n        v = item",
        _ => "for i in range(2000, 300, -1) {",
    };
    let stores = rng.random_bool(0.4);
    // Half of the programs have functions and structures, some of these little else.
    let (body, declarations) = match rng.random_range(0..4) {
        0 | 1 => (statements(rng, 2, 2, stores), ""),
        2 => (statements(rng, 1, 2, stores) + &calls(rng, 2), DECLARATIONS),
        _ => (calls(rng, 2) + &calls(rng, 2), DECLARATIONS),
    };
    let (more, rest) = match declarations {
        "" => ("", ""),
        _ => (
            "var (pt, qt, pair, two) = (Point.at(a), Point(x: b, v: 0.1), (c, 0.2), Pair(a: a, b: 0.3))
    var (tag, log, note, nested) = (Tagged(name: \"t\", at: two, k: 0.7), list(), \"\", (qt, pair))
    var (hist, config) = (list(0.1), dict(gain: 0.4, offset: b))",
            " + pt.x - 0.7 * pt.v + pt.n + qt.x * qt.v + pair[0] - pair[1] + two.a * two.b + tag.at.a - tag.at.b + len(log) + len(note) + sum(hist) + config.gain",
        ),
    };
    let last = pick(rng, &["", "if x != x { break }", "if n > 1000000 { break }"]);
    format!(
        "set_dtype(f64)
let scale = 1.25
let step = 2
let grid = [[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]]
let half = [0.5, 0.25]
struct Body {{ mass: float, parts: any }}
struct Parameters {{ k: float, w: float[4], body: Body }}
{declarations}let given = Parameters(k: 0.4, w: [0.2, 0.1, -0.3, 0.6], body: Body(mass: 1.5, parts: list(0.2, -0.4)))
fn f(a, b, c, w = [0.5, -0.25, 1.0, 2.0], p = given) {{
    var q = list(a, 0.5 * b, 1.0)
    var u = [1.0, 0.5]
    var k = tensor(grid[:, :2], dtype: f32)
    var (x, y, z, n, m, flag, v) = (a, b, c, 1, 2, true, 0.3)
    let items = {items}
    {more}
    {head}
{body}        {last}
    }}
    x + 2.0 * y + 3.0 * z + 0.1 * n + m{rest}
}}
fn show(f) = try {{ f\"{{f()}}\" }} catch e {{ e.message }}
for start in list((0.3, -0.7, 1.1), (0.0, 0.2, -0.4)) {{
    let (a, b, c) = start
    print(show(|| f(a, b, c)))
    print(show(|| grad(f, wrt: (0, 1, 2))(a, b, c)))
    print(show(|| grad(f, wrt: 1)(a, b, c)))
    print(show(|| grad(f, wrt: (0, 3))(a, b, c, [0.1, 0.2, 0.3, -0.4])))
    print(show(|| grad(|w| f(a, b, c, w))([0.1, 0.2, 0.3, -0.4])))
    print(show(|| grad(f, wrt: 4)(a, b, c, [0.1, 0.2, 0.3, -0.4], given)))
    print(show(|| derivative(|a| f(a, b, c))(a)))
    print(show(|| grad(|a| a * f(a, b, c))(2)))
    print(show(|| vjp(|a| f(a, b, c), a)[1](2.0)))
    print(show(|| grad(|b| grad(|a| f(a, b, c))(a))(b)))
    print(show(|| grad(|w| grad(|c| f(a, b, c, w))(c))([0.1, 0.2, 0.3, -0.4])))
    print(show(|| grad(f, wrt: (0, 1, 2))(a, b, c)))
}}
"
    )
}

/// A float of a function that calls itself.
fn part(rng: &mut impl Rng, names: &[&str], depth: usize) -> String {
    if depth == 0 {
        return pick(rng, names).into();
    }
    let (a, b) = (part(rng, names, depth - 1), part(rng, names, depth - 1));
    match rng.random_range(0..9) {
        0..4 => format!("({a} {} {b})", pick(rng, &["+", "-", "*"])),
        4 => format!("({a} / (1.0 + {b} * {b}))"),
        5 => format!("max({a}, {b})"),
        6 => format!("mix({a}, {b})[{}]", pick(rng, &["0", "1"])),
        7 => format!("({a} * float(n))"),
        _ => format!("{}({a})", pick(rng, &["sin", "tanh", "exp", "sqrt", "half"])),
    }
}

/// A function that calls itself, and another with which it takes turns.
fn recursion(rng: &mut impl Rng) -> String {
    let names = ["x", "y", "0.5", "w[n % 3]", "scale", "x"];
    let inner = ["x", "y", "a", "a", "0.25", "w[k % 3]"];
    let mut of = |names: &[&str], depth| part(rng, names, depth);
    let (base, x, again, other) = (of(&names, 2), of(&names, 2), of(&inner, 1), of(&inner, 2));
    let (limit, result, swapped) = (of(&inner, 1), of(&inner, 2), of(&names, 1));
    let int = pick(rng, &["k + 1", "k * 3 - n", "k % 5", "n - k"]);
    let second = pick(rng, &["n - 2", "n - 3", "n // 2"]);
    let middle = match rng.random_range(0..4) {
        0 => format!("if {limit} > 0.3 {{ return tanh({other}) + r({again}, x, {second}, {int}, w) }}"),
        1 => format!("let b = r(tanh({again}), a, {second}, {int}, w)\n    a = tanh(a - b)"),
        2 => format!("for j in 0..n {{ a = tanh(0.5 * a + 0.1 * j * {other}) }}"),
        _ => format!("if k % 2 == 0 {{ a = turn({swapped}, a, n, k, w) }}"),
    };
    format!(
        "set_dtype(f64)
let scale = 1.25
fn half(x: float) = 0.5 * x
fn mix(a, b) = (a + 0.5 * b, tanh(a * b))
fn turn(x, y, n: int, k: int, w) = if n <= 1 {{ y }} else {{ 0.5 * r(y, tanh(x), n - 2, k + 1, w) }}
fn r(x, y, n: int, k: int, w) {{
    if n <= 0 {{ return {base} }}
    var a = r(tanh({x}), y, n - 1, {int}, w)
    {middle}
    tanh({result})
}}
fn total(x, w) {{
    var sum = 0.0
    for i in 0..60 {{ sum += r(x, 0.1 * i, i % 7 + 3, i, w) }}
    sum
}}
fn show(f) = try {{ f\"{{f()}}\" }} catch e {{ e.message }}
for x in list(0.3, -0.8) {{
    for w in list([0.5, -0.25, 1.0], list(0.1, 0.2, -0.3)) {{
        print(show(|| total(x, w)))
        print(show(|| grad(total, wrt: (0, 1))(x, w)))
        print(show(|| grad(total)(x, w)))
        print(show(|| derivative(|x| total(x, w))(x)))
        print(show(|| grad(total, wrt: (0, 1))(x, w)))
    }}
}}
"
    )
}

fn run(program: &str) -> Result<String, String> {
    let options = Options { dtype: DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 };
    let mut session = Session::new(options);
    session.vm.capture_output();
    let loaded = session.load_main("loop.dl", program, Mode::Script);
    if let Some(problem) = loaded.diagnostics.iter().find(|d| d.is_error()) {
        return Err(problem.message.clone());
    }
    let unit = loaded.unit.ok_or("nothing to run")?;
    session.run(&unit).map_err(|e| e.to_diagnostic(|span| session.sources.place(span)).message)?;
    Ok(session.vm.take_output())
}

/// Numbers that agree to nine digits count as equal.
fn agree(a: &str, b: &str) -> bool {
    numbers_agree(a, b, 1e-9)
}

fn numbers_agree(a: &str, b: &str, tolerance: f64) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !(c.is_alphanumeric() || ".+-_".contains(c))).map(String::from).collect()
    };
    let (a, b) = (words(a), words(b));
    let equal = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => {
            let close = (x - y).abs() <= tolerance * x.abs().max(y.abs()).max(1.0);
            // An infinite number is close to none.
            x == y || x.is_nan() && y.is_nan() || close && (x - y).is_finite()
        }
        _ => a == b,
    };
    a.len() == b.len() && a.iter().zip(&b).all(equal)
}

/// Runs a program by the machine, as native code with entries, and with traces; whether the last digits of the latter are the same.
/// `None` if it does not run.
fn compare(program: &str) -> Option<bool> {
    native::switch(false);
    let expected = run(program).ok()?;
    native::switch(true);
    native::switch_traces(false);
    let found = run(program).unwrap();
    // The entries are others where structures are computed with leaf by leaf, where what has a node on one way and none on another
    // counts as having one, and where a function begins anew for want of room.
    let others = program.contains("struct Point") || program.contains("fn turn(x");
    let same = found == expected || others && agree(&found, &expected);
    assert!(same, "{program}\nby the machine\n{expected}\nnative\n{found}");
    native::switch_traces(true);
    let found = run(program).unwrap();
    assert!(agree(&found, &expected), "{program}\nby the machine\n{expected}\nby traces\n{found}");
    Some(found == expected)
}

/// What random loops seldom have: bodies of a loop over `i`, with floats `x` and `y`, a vector or list `w`, constants `u`, an int `n`.
const BODIES: [&str; 7] = [
    "for v in w { x = 0.5 * x + 0.1 * v * v }\n y = 0.9 * y + x",
    "for v in w { if i % 3 == 0 { break }\n x = 0.5 * x + v\n for z in w { y = 0.3 * y + z * v } }",
    "let s = w[n]\n n = (n + 1) % 4\n let t = w[n]\n x = 0.5 * x + s - 2.0 * t * s",
    "let s = u[n]\n u[n] = 0.3 - s\n let t = u[n]\n x = 0.5 * x + s * y - t * x * 0.1",
    "x = 0.3 * (0.9 * (x + 1.0)) - 0.7 * (0.5 * (y * x))",
    "let z = x\n x = 0.5 * y + 0.1 * w[1]\n y = 0.2 * z * z\n if y > 0.1 { y = x }",
    "let s = w[i % 4]\n for v in u { x = 0.4 * x + s * v * w[i % 4] }",
];

#[test]
fn native_code_computes_rare_loops() {
    let before = native::compiled();
    for body in BODIES {
        for w in ["[0.1, 0.2, -0.3, 0.5]", "list(0.1, 0.2, -0.3, 0.5)"] {
            let program = format!(
                "set_dtype(f64)
fn f(a, w) {{
    var (x, y, n, u) = (a, 0.5 * a, 0, list(1.0, 0.5))
    for i in 0..1500 {{
        {body}
    }}
    x + 3.0 * y
}}
for _ in 0..2 {{
    print(f(0.4, {w}))
    print(grad(f, wrt: (0, 1))(0.4, {w}))
    print(grad(f, wrt: 1)(0.4, {w}))
    print(grad(f)(0.4, {w}))
}}
"
            );
            assert!(compare(&program).is_some(), "{program}");
        }
    }
    let compiled = native::compiled() - before;
    assert!(!cfg!(target_arch = "x86_64") || compiled >= 4 * 2 * BODIES.len(), "{compiled} loops were compiled");
}

#[test]
fn functions_that_call_themselves_compute_the_same() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let rounds = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let (mut ran, before) = (0, native::compiled());
    for _ in 0..rounds {
        ran += usize::from(compare(&recursion(&mut rng)).is_some());
    }
    let compiled = native::compiled() - before;
    let compiles = !cfg!(target_arch = "x86_64") || compiled > 2 * ran;
    assert!(ran > rounds / 2 && compiles, "{ran} of {rounds} programs ran, {compiled} were compiled");
    println!("{ran} programs ran, {compiled} functions and loops were compiled");
}

#[test]
fn native_code_computes_what_the_machine_does() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let rounds = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let (mut ran, mut differ, before) = (0, 0, native::compiled());
    for _ in 0..rounds {
        let Some(same) = compare(&program(&mut rng)) else { continue };
        differ += usize::from(!same);
        ran += 1;
    }
    let compiled = native::compiled() - before;
    let compiles = !cfg!(target_arch = "x86_64") || compiled > 2 * ran;
    assert!(ran > rounds / 2 && compiles, "{ran} of {rounds} programs ran, {compiled} loops were compiled");
    println!("{ran} programs ran, {compiled} loops were compiled, {differ} have other last digits by traces");
}
