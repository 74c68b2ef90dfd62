//! The checker never rejects a program that would run: all programs of the documentation, the library and the examples pass.

use std::fs;
use std::path::{Path, PathBuf};

use dlang::diagnostic::Diagnostic;
use dlang::pipeline::{Mode, Options, Session};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn options() -> Options {
    Options { dtype: dlang::tensor::DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 }
}

/// Errors of types and shapes that the checker finds.
fn errors(name: &str, text: &str, mode: Mode) -> (Session, Vec<Diagnostic>) {
    let mut session = Session::new(options());
    let loaded = session.load_main(name, text, mode);
    let found = loaded
        .diagnostics
        .into_iter()
        .filter(|d| (d.code.starts_with("E03") || d.code.starts_with("E04")) && d.is_error());
    let found = found.collect();
    (session, found)
}

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut out = vec![];
    for entry in fs::read_dir(root().join(dir)).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(files(&path.display().to_string(), extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// Fenced programs with the line they start at; `prefix` precedes every line.
fn fenced(text: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut out = vec![];
    let mut open: Option<(usize, String)> = None;
    for (i, line) in text.lines().enumerate() {
        let Some(line) = line.trim_start().strip_prefix(prefix.trim_end()) else {
            open = None;
            continue;
        };
        let line = line.strip_prefix(' ').unwrap_or(line);
        if let Some((start, mut body)) = open.take() {
            if line.trim() == "```" {
                out.push((start, body));
            } else {
                body += line;
                body.push('\n');
                open = Some((start, body));
            }
        } else if line.trim() == "```dl" {
            open = Some((i + 2, String::new()));
        }
    }
    out
}

fn describe(session: &Session, found: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| {
        let place = d.span().map_or(String::new(), |s| session.place(s));
        let notes: Vec<String> =
            d.labels.iter().map(|l| format!("    {}: {}", session.place(l.span), l.message)).collect();
        format!("  {place}: {} {}\n{}\n", d.code, d.message, notes.join("\n"))
    };
    found.iter().map(line).collect()
}

#[test]
fn programs_that_run_are_accepted() {
    let mut failures = String::new();
    let mut count = 0;
    let mut try_one = |name: String, text: &str, mode: Mode| {
        count += 1;
        let (session, found) = errors(&name, text, mode);
        if !found.is_empty() {
            failures += &format!("{name}\n{}", describe(&session, &found));
        }
    };
    for path in files("stdlib", "dl").into_iter().chain(files("examples", "dl")) {
        let text = fs::read_to_string(&path).unwrap();
        try_one(path.display().to_string(), &text, Mode::Test);
        for (line, program) in fenced(&text, "## ") {
            try_one(format!("{}:{line}", path.display()), &program, Mode::Script);
        }
    }
    for path in files("tests/golden/run", "dl").into_iter().chain(files("tests/golden/grad", "dl")) {
        let text = fs::read_to_string(&path).unwrap();
        // Some show what a failing program says.
        if !text.contains("#> error") {
            try_one(path.display().to_string(), &text, Mode::Script);
        }
    }
    for path in files("docs", "md").into_iter().filter(|p| !p.to_string_lossy().contains("errors")) {
        let text = fs::read_to_string(&path).unwrap();
        for (line, program) in fenced(&text, "") {
            try_one(format!("{}:{line}", path.display()), &program, Mode::Script);
        }
    }
    assert!(count > 20, "only {count} programs");
    assert!(failures.is_empty(), "{failures}");
}

/// What programs of the tables below start with.
const PRELUDE: &str = "
struct Point { x: float, y: float = 0.0 }
struct Layer { w: float[n, m], b: float[m] = zeros(m), nograd rate: float = 0.5 }
impl Layer { fn call(self, x) = x @ self.w + self.b
    fn new(n: int, m: int) -> Layer = Layer(w: ones(n, m))
    fn shift(inout self, d) { self.b += d } }
fn add(a, b) = a + b
fn dot2(x: float[n], y: float[n]) -> float = sum(x * y)
fn grow(inout xs, x) { xs.push(x) }
fn twice(f, x) = f(f(x))
let p = Point(1.0, 2.0)
let layer = Layer.new(3, 2)
let unknown = len(args())
";

/// Each of these fails when it runs, and the checker says so before.
const MISTAKES: &[&str] = &[
    "\"a\" + 1",
    "1 + none",
    "true + 1",
    "1 < \"a\"",
    "not 3",
    "1 and true",
    "-\"a\"",
    "[1.0, 2.0] + [1.0, 2.0, 3.0]",
    "ones(2, 3) @ ones(2, 3)",
    "2.0 @ ones(2, 3)",
    "[1, true]",
    "[1, \"a\"]",
    "[[1, 2], [3]]",
    "[(1, 2), (3, 4)]",
    "add(1)",
    "add(1, 2, 3)",
    "add(1, c: 2)",
    "add(1, a: 2)",
    "add(\"a\", 1)",
    "twice(|x| x + \"a\", 1)",
    "dot2([1.0, 2.0], [1.0])",
    "dot2(1.0, 2.0)",
    "dot2(ones(2, 2), ones(2, 2))",
    "Point()",
    "Point(1.0, 2.0, 3.0)",
    "Point(1.0, z: 2.0)",
    "Point(\"a\")",
    "Point([1.0])",
    "p.z",
    "p.shfit()",
    "p.with(z: 1.0)",
    "p(1)",
    "Layer.old(3)",
    "Layer(ones(2, 3), ones(2))",
    "layer(ones(5, 4))",
    "layer.shift(1.0)",
    "grow(list(1), 2)",
    "{ var xs = list(1); grow(xs, 2) }",
    "{ var q = 1; add(&q, 1) }",
    "3(4)",
    "\"f\"(1)",
    "if 1 { 2 }",
    "if [true, false] { 2 }",
    "if none { 2 }",
    "while \"a\" { break }",
    "{ for i in 3 { i } }",
    "{ for i in none { i } }",
    "{ let (a, b) = (1, 2, 3) }",
    "{ let (a, b) = 1 }",
    "[1.0, 2.0][5]",
    "[1.0, 2.0][0, 0]",
    "[1.0, 2.0][\"a\"]",
    "[1.0, 2.0][0.5]",
    "ones(2, 3)[:, 3]",
    "ones(2, 3)[-3]",
    "(1, 2)[2]",
    "list(1, 2)[5]",
    "list(1, 2)[\"a\"]",
    "dict(a: 1)[\"b\"]",
    "{ var t = [1.0, 2.0]; t[5] = 1.0 }",
    "{ var t = [1.0, 2.0]; t[:] = [1.0, 2.0, 3.0] }",
    "{ var d = p; d.q = 3 }",
    "{ var q = p; q.x = \"a\" }",
    "{ var q = layer; q.b = none }",
    "{ let x: int = 2.5; x }",
    "{ let x: str = 2; x }",
    "{ let x: float[3] = zeros(4); x }",
    "{ let x: float[3] = zeros(3, 1); x }",
    "{ let x: float = [1.0]; x }",
    "{ let x: list[int] = [1, 2]; x }",
    "{ let x: (int, str) = (1, 2); x }",
    "{ let x: Layer = p; x }",
    "{ let x: fn(float) -> float = 1.0; x }",
    "{ let x: int? = \"a\"; x }",
    "grad(|x| [x, x])(1.0)",
    "grad(|x| x^2)(3)",
    "grad(|x| x^2)([1, 2])",
    "grad(|x| 1)(1.0)",
    "grad(1.0)",
    "grad(add, wrt: \"c\")(1.0, 2.0)",
    "grad(add, wrt: 2)(1.0, 2.0)",
    "value_and_grad(|m| m(ones(4)))(layer)",
    "derivative(|x| x)([1.0])",
    "zeros(2, 3).reshape((4, 2))",
    "concat((zeros(2, 3), zeros(3, 4)), axis: 0)",
    "sum(zeros(3), axis: 2)",
    "exp(\"a\")",
    "exp()",
    "exp(1.0, 2.0)",
    "exp(x: 1.0, y: 2)",
    "map(|x| x + \"a\", list(1, 2))",
    "[x + \"a\" for x in 0..3]",
    "(1.0, 2.0) + (1.0, 2.0, 3.0)",
    "p + layer",
    "1.0.foo",
    "[1.0].shpae",
    "list(1).length",
    "(1, 2).foo()",
    "0.5[0]",
    "none.x",
    "print(1 in 2)",
];

/// None of these fails, and the checker is silent.
const FINE: &[&str] = &[
    "\"a\" + \"b\"",
    "p + p",
    "2.0 * p - p",
    "layer - 0.1 * layer",
    "(1.0, [2.0]) * 2",
    "list(1.0, 2.0) + list(3.0, 4.0)",
    "p == p",
    "p == none",
    "1 == \"a\"",
    "(1, 2) == (1, 2, 3)",
    "[1.0, 2.0] == 1.0",
    "1 in list(1, 2)",
    "\"a\" in \"abc\"",
    "\"x\" in dict(x: 1)",
    "add(b: 1, a: 2)",
    "add(\"a\", \"b\")",
    "dot2([1, 2], [3.0, 4.0])",
    "Point(1)",
    "{ var q = p; q.x = 1; q.x + 0.5 }",
    "Point(y: 1, x: 2).x",
    "p.with(x: 3.0)",
    "layer(ones(3))",
    "layer(ones(5, 7, 3))",
    "{ var l = layer; l.shift(1.0); l.b }",
    "{ var xs = list(); xs.push(1); xs.push(\"a\"); xs[1] + \"b\" }",
    "{ var xs = list(1); grow(&xs, 2); xs[1] }",
    "{ var d = dict(); d[\"a\"] = 1; d[\"a\"] + 1 }",
    "{ var d = dict(a: 1); d.b = 2; d.b }",
    "if true { 1 } else { \"a\" + 1 }",
    "{ for i in 0..0 { \"a\" + 1 } }",
    "{ var x = 1; if unknown > 5 { x = \"a\" }; x + 1 }",
    "{ var x = [1.0]; for i in 0..5 { x = concat((x, x)) }; x + ones(32) }",
    "{ var x = none; for i in 0..3 { x = i }; x + 1 }",
    "{ let f = |x| if type(x) == \"int\" { x + 1 } else { x + \"b\" }; f(1); f(\"a\") }",
    "{ fn fact(n) = if n <= 1 { 1 } else { n * fact(n - 1) }; fact(5) }",
    "{ fn depth(t) = if type(t) == \"tuple\" { 1 + depth(t[0]) } else { 0 }; depth(((1, 2), 3)) }",
    "{ fn f(x, mask = none) = if mask == none { x } else { x * mask }; f([1.0]); f([1.0], [2.0]) }",
    "{ fn f(x) { if x > 0 { return 1 }; \"a\" }; f(-1) + \"b\" }",
    "{ let x: float[k] = [1.0]; k + 1 }",
    "{ let n = 2; let x: float[n] = [1.0, 2.0]; x }",
    "{ let x: float[...] = 1.0; x }",
    "{ let x: float[..., 2] = ones(3, 2); x }",
    "{ let x: int? = none; x }",
    "{ let x: any = 1; x }",
    "{ let x: float[2*k, k] = ones(4, 2); k }",
    "{ let (a, (b, _)) = (1, (2, 3)); a + b }",
    "{ var (a, b) = (1, 2); (a, b) = (b, a); a }",
    "{ var t = ones(2, 3); t[0, :] = 5.0; t[:, 1] = [1.0, 2.0]; t[t > 1] = 0.0; t }",
    "{ var t = ones(2, 3); t[0] += [1.0, 2.0, 3.0]; t }",
    "[1, 2, 3][[0, 2]]",
    "ones(2, 3)[:, none, 0]",
    "ones(2, 3)[..., -1]",
    "ones(2, 3)[ones(2, 3) > 0]",
    "ones(4)[1:100]",
    "ones(4)[::-1]",
    "\"abc\"[1:]",
    "list(1, 2, 3)[-1]",
    "(0..5)[1]",
    "[i * 2 for i in 0..3 if i > 0]",
    "[[i * j for i in 0..3] for j in 0..2]",
    "list((i, \"a\") for i in 0..3)",
    "sum(i for i in 0..4)",
    "map(|x| x + 1, list(1, 2))[0] + 1",
    "list(1, 2).map(|x| x + 1)",
    "{ for (i, x) in enumerate(list(\"a\", [1.0])) { i + 1 } }",
    "{ for (a, b) in zip(list(1, 2), list(\"a\", \"b\")) { b + \"c\" } }",
    "{ for row in ones(2, 3) { row + ones(3) } }",
    "{ for k in dict(a: 1) { k + \"b\" } }",
    "{ for (k, v) in dict(a: 1).items() { k + \"b\" } }",
    "sorted(list(3, 1), key: |x| -x)",
    "tree_map(|x| x * 2.0, p)",
    "tree_map(|a, b| a + b, p, p).x",
    "grad(|x| x^2)(3.0)",
    "grad(|q: Point| q.x^2)(p).x",
    "grad(|m| sum(m(ones(3))))(layer).w + layer.w",
    "layer - 0.1 * grad(|m| sum(m(ones(3))))(layer)",
    "grad(add, wrt: \"b\")(1.0, 2.0)",
    "grad(add, wrt: (0, 1))(1.0, 2.0)[1]",
    "grad(add, wrt: -1)(1.0, 2.0)",
    "value_and_grad(|x| (x^2, \"aux\"), aux: true)(1.0)[0][1] + \"b\"",
    "grad(grad(|x| x^3))(2.0)",
    "vjp(|x| x * 2.0, [1.0, 2.0])[1]([1.0, 1.0])",
    "jvp(|x| x^2, 3.0, 1.0)[1]",
    "derivative(|t| [t, t^2])(3.0)[1]",
    "jacobian(|x| x * 2.0)(ones(3)) @ ones(3)",
    "hessian(|x| sum(x^3))(ones(3)) @ ones(3)",
    "vmap(|x| sum(x))(ones(5, 2)) + ones(5)",
    "vmap(|x, y| x + y)(ones(5, 2), ones(5))",
    "checkpoint(|x| x^2)(2.0)",
    "stop_grad(p).x",
    "custom_vjp(|x| x^2, |x| (x^2, |dy| 2.0 * x * dy))(3.0)",
    "try { \"a\" + 1 } catch e { e.message + \"!\" }",
    "{ let f = |(a, b), c: float| a + b + c; f((1, 2), 3) }",
    "{ let adder = |k| |x| x + k; adder(1)(2) + len(adder(\"a\")(\"b\")) }",
    "ones(3).sum(axis: 0)",
    "{ let mean = ones(3).mean(); let sum = ones(3).sum(); ones(2).mean() + ones(2).sum() }",
    "ones(2, 3).t @ ones(2, 3)",
    "ones(3, dtype: f64) + ones(3)",
    "ones(3).to(f64).dtype == f64",
    "ones(2, 3).shape == (2, 3)",
    "ones(2, 3).shape[0] + 1",
    "max(1, 2) + max([1.0, 2.0])",
    "1 |> add(2) |> add(b: 3)",
    "assert(all([1.0] == [1.0]), \"no\")",
    "f\"{1.5:.2f} {\"a\"} {[1.0]}\" + \"x\"",
    "int(\"3\") + 1",
    "float(\"3\") + 1.0",
    "str(3) + \"a\"",
    "1 + (if unknown > 100 { error(\"x\") } else { 2 })",
    "range(0, 10, 2)[1] + len(range(3))",
];

/// The program, with the tried code inside a `try` that tells how it went.
fn tried(code: &str) -> String {
    format!("{PRELUDE}\nprint(try {{ let it = {{ {code} }}; \"fine\" }} catch e {{ \"failed: \" + e.message }})\n")
}

/// What the machine says to the code.
fn run(code: &str) -> String {
    let mut session = Session::new(options());
    let loaded = session.load_main("try.dl", &tried(code), Mode::Script);
    let Some(unit) = loaded.unit else {
        return format!("does not load: {}", describe(&session, &loaded.diagnostics));
    };
    session.vm.capture_output();
    match session.run(&unit) {
        Ok(_) => session.vm.take_output(),
        Err(error) => format!("error: {}", error.0.message),
    }
}

#[test]
fn what_is_reported_fails_when_it_runs() {
    let mut failures = String::new();
    for code in MISTAKES {
        let (_, found) = errors("mistake.dl", &format!("{PRELUDE}\nlet it = {{ {code} }}\n"), Mode::Script);
        if found.len() != 1 {
            failures += &format!(
                "{code}: {} errors: {:?}\n",
                found.len(),
                found.iter().map(|d| &d.message).collect::<Vec<_>>()
            );
        }
        let said = run(code);
        if !said.starts_with("failed") && !said.contains("E0323") && !said.contains("E0327") {
            failures += &format!("{code}: the machine says {said}\n");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn what_runs_is_not_reported() {
    let mut failures = String::new();
    for code in FINE {
        let (session, found) = errors("fine.dl", &format!("{PRELUDE}\nlet it = {{ {code} }}\n"), Mode::Script);
        if !found.is_empty() {
            failures += &format!("{code}\n{}", describe(&session, &found));
        }
        let said = run(code);
        if !said.starts_with("fine") {
            failures += &format!("{code}: the machine says {said}\n");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Programs with words exchanged and lines lost: whatever the checker says, it comes back.
#[test]
fn damaged_programs_do_not_upset_it() {
    let mut programs: Vec<String> = files("stdlib", "dl").iter().map(|p| fs::read_to_string(p).unwrap()).collect();
    programs.extend(files("examples", "dl").iter().map(|p| fs::read_to_string(p).unwrap()));
    programs.push(format!("{PRELUDE}\n{}\n{}", MISTAKES.join("\n"), FINE.join("\n")));
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n.max(1)
    };
    for round in 0..rounds() {
        let text = &programs[round % programs.len()];
        let mut words: Vec<&str> = text.split_inclusive([' ', '\n', '(', ')', ',']).collect();
        for _ in 0..1 + random(4) {
            let (a, b) = (random(words.len()), random(words.len()));
            match random(3) {
                0 => words.swap(a, b),
                1 => drop(words.remove(a)),
                _ => words.insert(a, words[b]),
            }
        }
        let damaged: String = words.concat();
        let started = std::time::Instant::now();
        let mut session = Session::new(options());
        session.load_main("damaged.dl", &damaged, Mode::Test);
        assert!(started.elapsed().as_secs() < 10, "it took {:?}:\n{damaged}", started.elapsed());
    }
}

/// `DLANG_FUZZ=10000` tries more.
fn rounds() -> usize {
    std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// Writes small programs at random. All that is unknown to the checker comes from `len(args())`, which is 0.
struct Writer {
    state: u64,
    text: String,
    depth: usize,
    names: usize,
    functions: usize,
    in_function: bool,
    loops: usize,
    harmless: bool,
}

impl Writer {
    fn program(seed: u64) -> String {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
        let mut w = Writer {
            state,
            text: String::from("let u = len(args())\nlet rows = if u > 0 { zeros(2) } else { zeros(3) }\n"),
            depth: 0,
            names: 0,
            functions: 0,
            in_function: false,
            loops: 0,
            harmless: seed.is_multiple_of(4),
        };
        for f in 0..2 {
            let default = w.pick(&["1.0", "[1.0]", "if u > 0 { \"a\" } else { 2.0 }"]);
            w.text += &format!("fn f{f}(a, b = {default}) {{\n");
            w.in_function = true;
            w.block();
            w.in_function = false;
            w.text += "a + b\n}\n";
            w.functions = f + 1;
        }
        w.block();
        w.block();
        w.text
    }

    fn random(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % n
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.random(choices.len())]
    }

    fn fresh(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    /// Known or not, true or false.
    fn condition(&mut self) -> &'static str {
        self.pick(&[
            "u > 0",
            "u == 0",
            "u > 0",
            "u == 0",
            "true",
            "false",
            "0 < u < \"a\"",
            "u > 0 and 1 + \"a\" > 0",
            "len(rows) > 0",
            "rows.shape[0] < 1",
        ])
    }

    /// With and without elements, of known and unknown length.
    fn sequence(&mut self) -> &'static str {
        self.pick(&[
            "0..u",
            "0..u + 1",
            "0..3",
            "0..0",
            "0..40",
            "range(0, 5, u + 2)",
            "list(1, 2)",
            "list(i for i in 0..2 if u > 0)",
            "list(i for i in 0..u)",
            "zeros(3)",
            "zeros(0)",
            "arange(4)[arange(4) > 2 + u]",
            "arange(4)[arange(4) > 5 + u]",
            "enumerate(zeros(2))",
            "zip(list(1, 2), 0..u)",
            "rows",
            "0..rows.shape[0]",
            "range(0, rows.shape[0], 2)",
            "range(1, len(rows))",
            "rows[u + 3:]",
            "rows[rows > 1.0 + u]",
            "rows[::-1]",
            "concat(list(rows, zeros(0)))",
            "map(|r| r, list(r for r in rows))",
            "filter(|r| r > 1.0 + u, list(r for r in rows))",
        ])
    }

    /// What fails, unless it is not reached; some programs have no such thing.
    fn bad(&mut self) -> String {
        if self.harmless {
            return "print(1)".into();
        }
        let call =
            if self.functions > 0 { format!("f{}(\"a\")", self.random(self.functions)) } else { "-\"a\"".into() };
        let simple =
            ["1 + \"a\"", "[1.0, 2.0] + [1.0, 2.0, 3.0]", "ones(2, 3) @ ones(2)", "(1, 2)[5]", "-none", &call, &call];
        self.pick(&simple).to_string()
    }

    fn block(&mut self) {
        self.depth += 1;
        for _ in 0..1 + self.random(3) {
            self.statement();
        }
        self.depth -= 1;
    }

    fn statement(&mut self) {
        let kind = if self.depth > 3 { 8 + self.random(7) } else { self.random(15) };
        match kind {
            0 | 1 => {
                let condition = self.condition();
                self.text += &format!("if {condition} {{\n");
                self.block();
                if self.random(2) == 0 {
                    self.text += "} else {\n";
                    self.block();
                }
                self.text += "}\n";
            }
            2 | 3 => {
                let (name, sequence) = (self.fresh(), self.sequence());
                self.text += &format!("for {name} in {sequence} {{\n");
                self.body();
            }
            4 => {
                let (name, bound) = (self.fresh(), self.pick(&["u", "u + 1", "2", "0"]));
                self.text += &format!("var {name} = 0\nwhile {name} < {bound} {{\n{name} += 1\n");
                self.body();
            }
            5 => {
                self.text += "while true {\n";
                self.loops += 1;
                self.block();
                self.loops -= 1;
                self.text += "break\n}\n";
            }
            6 => {
                self.text += "try {\n";
                self.block();
                self.text += "} catch e {\n";
                self.block();
                self.text += "}\n";
            }
            7 => {
                let (name, bad) = (self.fresh(), self.bad());
                let (sequence, condition) = (self.sequence(), self.condition());
                let form = self.random(4);
                self.text += &match form {
                    0 => format!("let {name} = list({bad} for i in {sequence} if {condition})\n"),
                    1 => format!("let {name} = map(|i| {bad}, {sequence})\n"),
                    2 => format!("let {name} = filter(|i| {{ {bad}; true }}, list(i for i in {sequence}))\n"),
                    _ => format!("let {name} = {condition} or {{ {bad}; true }}\n"),
                };
            }
            8 | 9 => {
                let bad = self.bad();
                self.text += &format!("{bad}\n");
            }
            10 => {
                let (condition, end) = (self.condition(), self.pick(&["error(\"stop\")", "exit()", "assert(u > 0)"]));
                self.text += &format!("if {condition} {{ {end} }}\n");
            }
            11 if self.in_function => {
                let condition = self.condition();
                self.text += &format!("if {condition} {{ return 1.0 }}\n");
            }
            12 if self.loops > 0 => {
                let (condition, jump) = (self.condition(), self.pick(&["break", "continue"]));
                // A loop without bound must not start over.
                let jump = if self.text.contains("while true") { "break" } else { jump };
                self.text += &format!("if {condition} {{ {jump} }}\n");
            }
            13 if self.functions > 0 => {
                let (f, more) = (self.random(self.functions), self.pick(&["", ", 2.0", ", u"]));
                self.text += &format!("f{f}(1.0{more})\n");
            }
            _ => {
                let name = self.fresh();
                let value = self.pick(&["1.0", "ones(2)", "if u > 0 { 1.0 } else { ones(3) }"]);
                self.text += &format!("let {name} = {value}\nprint({name} + 1)\n");
            }
        }
    }

    fn body(&mut self) {
        self.loops += 1;
        self.block();
        self.loops -= 1;
        self.text += "}\n";
    }
}

/// `None` if the program runs to its end (or to `exit`), else what stops it.
fn stopped(text: &str) -> Option<String> {
    let mut session = Session::new(options());
    session.unchecked = true;
    session.vm.capture_output();
    let loaded = session.load_main("random.dl", text, Mode::Script);
    let Some(unit) = loaded.unit else { panic!("{}\n{text}", describe(&session, &loaded.diagnostics)) };
    match session.run(&unit) {
        Ok(_) => None,
        Err(error) if matches!(error.0.cause, dlang::error::Cause::Exit(_)) => None,
        Err(error) => Some(error.0.message),
    }
}

/// What the checker refuses fails when it runs all the same, wherever the mistake stands.
#[test]
fn what_is_refused_would_not_run() {
    let (mut refused, mut warned, mut fine) = (0, 0, 0);
    let programs = std::env::var("DLANG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    for seed in 0..programs {
        let text = Writer::program(seed);
        let mut session = Session::new(options());
        let loaded = session.load_main("random.dl", &text, Mode::Script);
        let about_types = |d: &&Diagnostic| d.code.starts_with("E03") || d.code.starts_with("E04");
        let found: Vec<Diagnostic> = loaded.diagnostics.iter().filter(about_types).cloned().collect();
        let errors: Vec<Diagnostic> = found.iter().filter(|d| d.is_error()).cloned().collect();
        if !errors.is_empty() {
            refused += 1;
            assert!(stopped(&text).is_some(), "seed {seed}: this runs\n{text}\n{}", describe(&session, &errors));
        } else if !found.is_empty() {
            warned += 1;
        } else {
            fine += 1;
        }
    }
    // A writer that makes only one kind of program tests nothing.
    assert!(refused > 20 && warned > 20 && fine > 2, "{refused} refused, {warned} warned, {fine} fine");
}

/// What is told does not depend on how `dlang check` saves time: it keeps few types and compiles large functions only.
#[test]
fn checking_alone_tells_the_same() {
    let told = |file: &Path, keep_types: bool| {
        let text = fs::read_to_string(file).unwrap();
        let mut session = Session::new(options());
        session.keep_types = keep_types;
        let name = file.display().to_string();
        let (found, sound) = match keep_types {
            true => {
                let loaded = session.load_main(&name, &text, Mode::Test);
                (loaded.diagnostics, loaded.unit.is_some())
            }
            false => {
                let (found, module) = session.check_main(&name, &text);
                (found, module.is_some())
            }
        };
        (found.iter().map(|d| dlang::render::plain::render(d, &session.sources)).collect::<Vec<_>>(), sound)
    };
    let files = ["tests/golden/check", "tests/golden/error", "examples"].map(|dir| files(dir, "dl")).concat();
    assert!(files.len() > 100);
    for file in files {
        assert_eq!(told(&file, true), told(&file, false), "{}", file.display());
    }
}

#[test]
fn checking_alone_tells_what_is_too_large() {
    let numbers = (0..70_000).map(|i| format!("{i}.5")).collect::<Vec<_>>().join(", ");
    for (text, is_too_large) in
        [(format!("fn f() = ({numbers})\nf()"), true), ("fn f() = (0.5, 1.5)\nf()".into(), false)]
    {
        let (found, module) = Session::new(options()).check_main("large.dl", &text);
        assert_eq!(found.iter().any(|d| d.code == "E0217"), is_too_large);
        assert_eq!(module.is_none(), is_too_large);
    }
}
