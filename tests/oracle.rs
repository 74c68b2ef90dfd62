//! dlang against JAX: values, tangents, gradients and Hessian-vector products recorded in float64 by
//! `tests/oracle/record.py`, compared in every mode of differentiation. No Python is needed to run this.
//!
//! A case is a line of `oracle/primitives.txt` or a program `oracle/cases/NAME.dl` that defines `f`. Differentiated is
//! the sum of its results times the recorded weights. A number `a` agrees with the recorded `b` if
//! `|a - b| <= 1e-9 |b| + 1e-12 s`, where `s` is the largest magnitude in the case's recording.
//!
//! `DLANG_ORACLE=word` runs only the cases whose name has the word.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dlang::ops::{self, prim::Diff};
use dlang::pipeline::{Mode, Options, Session};
use dlang::tensor::DType;
use dlang::value::Value;
use dlang::{builtins, show};
use serde_json::Value as Json;

/// Names that cases use and dlang does not have yet. Such a case is not run; a name that exists must leave the list.
const PENDING: &[&str] = &[];

/// Differentiable primitives that programs do not call by name, and text that applies them.
const WRITTEN: &[(&str, &str)] = &[
    ("add", "x + y"),
    ("sub", "x - y"),
    ("mul", "x * y"),
    ("div", "x / y"),
    ("neg", "-x"),
    ("rem", "% y"),
    ("matmul", "x @ y"),
    ("get_index", "x[1]"),
];

/// Primitives of which derivatives and other builtins are made, which programs cannot name, and a case that reaches each.
const INSIDE: &[(&str, &str)] = &[
    ("_acosh_slope", "acosh"),
    ("_asin_slope", "asin"),
    ("_attention", "attention_library"),
    ("_avg_pool_bar", "avg_pool2d"),
    ("_cast", "to"),
    ("_cbrt_slope", "cbrt"),
    ("_cholesky", "cholesky"),
    ("_class_log_prob", "cross_entropy_rows"),
    ("_class_log_prob_pull", "cross_entropy_rows"),
    ("_cofactors", "det"),
    ("_cofactors_change", "det.singular"),
    ("_concat", "concat"),
    ("_conv_input_bar", "conv2d"),
    ("_conv_weight_bar", "conv2d"),
    ("_cumsum_back", "cumsum"),
    ("_div_or_zero", "norm"),
    ("_eigh_values", "eigh.values"),
    ("_eigh_vectors", "eigh.vectors"),
    ("_gammainc_curve", "gammainc"),
    ("_gammainc_slope", "gammainc"),
    ("_gelu", "gelu"),
    ("_gelu_slope", "gelu"),
    ("_gelu_tanh", "gelu.tanh"),
    ("_gelu_tanh_slope", "gelu.tanh"),
    ("_hazard", "log_ndtr"),
    ("_hazard_excess", "log_ndtr"),
    ("_index_add", "get_index.ints"),
    ("_layer_norm", "layer_norm_rows"),
    ("_linrec", "cumprod"),
    ("_log_abs_det", "logdet"),
    ("_log_softmax_pull", "log_softmax"),
    ("_matmul", "matmul.turned"),
    ("_mish_slope", "mish"),
    ("_mills", "gelu"),
    ("_ndtr", "gelu"),
    ("_normal_density", "gelu"),
    ("_pinv", "linalg_library"),
    ("_polygamma", "digamma"),
    ("_max_pool_bar", "max_pool2d"),
    ("_pool_pick", "max_pool2d"),
    ("_pool_put", "max_pool2d"),
    ("_prod_others", "prod"),
    ("_qr_q", "qr.q"),
    ("_qr_r", "qr.r"),
    ("_scatter_along", "gather"),
    ("_set_index", "part_assignment"),
    ("_shift", "cumprod"),
    ("_silu_slope", "silu"),
    ("_sinc_slope", "sinc"),
    ("_softmax_pull", "softmax"),
    ("_solve_triangular", "solve_triangular"),
    ("_stack", "stack"),
    ("_standardize", "layer_norm"),
    ("_standardize_times", "layer_norm"),
    ("_sum_to", "add.row"),
    ("_svd_s", "svd.values"),
    ("_svd_u", "svd.vectors"),
    ("_svd_vt", "svd.vectors"),
    ("_zmul", "mul"),
    ("_strong", "mul"),
];

/// A test of one function: dlang's side and the recording.
struct Case {
    name: String,
    /// Defines `f`.
    source: String,
    record: Json,
}

/// A number or an array.
#[derive(Clone, Debug, PartialEq)]
struct Leaf {
    shape: Vec<usize>,
    data: Vec<f64>,
}

/// What a mode of differentiation is compared with.
#[derive(Clone, Copy)]
enum Wanted {
    /// An entry of the recording.
    Recorded(&'static str),
    /// The inner product of an entry with the direction.
    Along(&'static str),
    /// An entry and, as the second of two examples, what the name gives without `vmap`.
    Batch(&'static str, &'static str),
}

/// How each quantity is computed: label, dlang's expression, what it must be.
const MODES: &[(&str, &str, Wanted)] = &[
    ("value", "at_(p_)", Wanted::Recorded("value")),
    ("tangent (forward)", "jvp(at_, p_, v_)[1]", Wanted::Recorded("tangent")),
    ("gradient (reverse)", "grad(weighted_)(p_)", Wanted::Recorded("gradient")),
    ("gradient, checkpointed", "grad(checkpoint(weighted_))(p_)", Wanted::Recorded("gradient")),
    ("slope (forward)", "jvp(weighted_, p_, v_)[1]", Wanted::Along("gradient")),
    ("hvp (forward over reverse)", "hvp(weighted_, p_, v_)", Wanted::Recorded("hvp")),
    ("hvp (reverse over reverse)", "grad(|p_| along_(grad(weighted_)(p_)))(p_)", Wanted::Recorded("hvp")),
    ("hvp (reverse over forward)", "grad(|p_| jvp(weighted_, p_, v_)[1])(p_)", Wanted::Recorded("hvp")),
    ("curvature (forward over forward)", "jvp(|p_| jvp(weighted_, p_, v_)[1], p_, v_)[1]", Wanted::Along("hvp")),
    ("value (vmap)", "vmap(at_)(pq_)", Wanted::Batch("value", "at_(q_)")),
    ("gradient (vmap)", "vmap(grad(weighted_))(pq_)", Wanted::Batch("gradient", "grad(weighted_)(q_)")),
];

/// What running the cases gave.
#[derive(Default)]
struct Report {
    failures: Vec<String>,
    comparisons: usize,
    numbers: usize,
    times: Vec<(Duration, String)>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All cases; every one has a recording and every recording a case.
fn cases() -> Vec<Case> {
    let mut recording: Json =
        serde_json::from_str(&read(&folder().join("recording.json"))).expect("the recording is JSON");
    let mut sources = vec![];
    for line in read(&folder().join("primitives.txt")).lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let [name, _, code, _] = line.split(" | ").map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("a line of primitives.txt has name | inputs | dlang | JAX: {line}")
        };
        let inputs =
            recording[name]["inputs"].as_object().unwrap_or_else(|| panic!("{name} is not recorded: run record.py"));
        let parameters: Vec<&str> = inputs.keys().map(String::as_str).collect();
        let import = if code.contains("linalg.") { "import linalg\n" } else { "" };
        sources.push((name.to_string(), format!("{import}fn f({}) = {code}\n", parameters.join(", "))));
    }
    let mut programs: Vec<_> = fs::read_dir(folder().join("cases")).unwrap().map(|e| e.unwrap().path()).collect();
    programs.sort();
    for path in programs {
        sources.push((path.file_stem().unwrap().to_str().unwrap().to_string(), read(&path)));
    }
    let recorded = recording.as_object_mut().expect("the recording is an object");
    let cases: Vec<Case> = sources
        .into_iter()
        .map(|(name, source)| {
            let record = recorded.remove(&name).unwrap_or_else(|| panic!("{name} is not recorded: run record.py"));
            Case { name, source, record }
        })
        .collect();
    assert!(recorded.is_empty(), "recorded, but there is no such case: {:?}", recorded.keys().collect::<Vec<_>>());
    cases
}

impl Case {
    fn is_pending(&self) -> bool {
        let words = words(&self.source);
        PENDING.iter().any(|name| words.contains(*name))
    }

    /// The program: `f`, the inputs, and one result for each mode.
    fn program(&self) -> String {
        let inputs: Vec<&Json> = self.record["inputs"].as_object().unwrap().values().collect();
        let directions: Vec<&Json> = self.record["direction"].as_array().unwrap().iter().collect();
        let weights = self.record["weights"].as_array().unwrap();
        let tuple = |items: &[&Json]| items.iter().map(|j| literal(j) + ", ").collect::<String>();
        let mut text = self.source.clone();
        let picks = (0..inputs.len()).map(|i| format!("p_[{i}]")).collect::<Vec<_>>().join(", ");
        let _ = write!(
            text,
            "\nlet p_ = ({})\nlet v_ = ({})\nlet w_ = list({})\n\
             let q_ = p_ + 0.01 * v_\nlet pq_ = tree_map(|a, b| stack((a, b)), p_, q_)\n\
             fn at_(p_) = f({picks})\n\
             fn inner_(a_, b_) {{ var s_ = 0.0; for (x_, y_) in zip(a_, b_) {{ s_ += sum(x_ * y_) }}; s_ }}\n\
             fn weighted_(p_) = inner_(leaves(at_(p_)), w_)\n\
             fn along_(g_) {{ var s_ = 0.0; for x_ in leaves(g_ * v_) {{ s_ += if type(x_) == \"str\" {{ 0.0 }} else {{ sum(x_) }} }}; s_ }}\n(\n",
            tuple(&inputs),
            tuple(&directions),
            weights.iter().map(|w| literal(w) + ", ").collect::<String>(),
        );
        let tried = |code: &str| format!("try {{ {code} }} catch e_ {{ e_.message }},\n");
        for (_, code, wanted) in MODES {
            text += &tried(code);
            if let Wanted::Batch(_, other) = wanted {
                text += &tried(other);
            }
        }
        text + ")\n"
    }

    fn run(&self, report: &mut Report) {
        let start = Instant::now();
        let results = match evaluate(&self.program()) {
            Ok(results) => results,
            Err(why) => return report.failures.push(format!("{}: {why}", self.name)),
        };
        let recorded = |key: &str| self.record[key].as_array().unwrap().iter().map(leaf).collect::<Vec<Leaf>>();
        let largest = ["value", "tangent", "gradient", "hvp"].iter().flat_map(|key| recorded(key));
        let scale = largest.flat_map(|l| l.data).fold(0.0, |s: f64, x| s.max(x.abs()));
        let along = |key: &str| {
            let directions = self.record["direction"].as_array().unwrap().iter().flat_map(parts);
            let sum = recorded(key).iter().zip(directions).map(|(a, b)| inner(a, &b)).sum();
            vec![Leaf { shape: vec![], data: vec![sum] }]
        };
        let mut results = results.iter();
        for (label, _, wanted) in MODES {
            let got = leaves(results.next().unwrap());
            let wanted = match wanted {
                Wanted::Recorded(key) => Ok(recorded(key)),
                Wanted::Along(key) => Ok(along(key)),
                Wanted::Batch(key, _) => leaves(results.next().unwrap()).map(|second| stacked(recorded(key), second)),
            };
            report.comparisons += 1;
            let outcome = wanted.and_then(|wanted| {
                report.numbers += wanted.iter().map(|l| l.data.len()).sum::<usize>();
                agree(&got?, &wanted, scale)
            });
            if let Err(why) = outcome {
                report.failures.push(format!("{}, {label}: {why}", self.name));
            }
        }
        report.times.push((start.elapsed(), self.name.clone()));
    }
}

/// Runs a program; the items of the tuple that is its last expression.
fn evaluate(text: &str) -> Result<Vec<Value>, String> {
    let mut session =
        Session::new(Options { dtype: DType::F64, seed: 0, check_nan: false, profile: false, threads: 1 });
    session.vm.capture_output();
    let loaded = session.load_main("case.dl", text, Mode::Expression);
    let Some(unit) = loaded.unit else {
        let said: Vec<String> = loaded
            .diagnostics
            .iter()
            .filter(|d| d.is_error())
            .map(|d| format!("{} {} `{}`", d.code, d.message, d.span().map_or("", |s| session.sources.text(s))))
            .collect();
        return Err(format!("rejected: {}", said.join("; ")));
    };
    match session.run(&unit) {
        Ok(Value::Tuple(items)) => Ok(items.to_vec()),
        Ok(other) => Err(format!("gave {}", show::brief(&other))),
        Err(error) => {
            let d = error.to_diagnostic(|span| session.sources.place(span));
            Err(format!("stopped: {} {}", d.code, d.message))
        }
    }
}

/// An input as dlang writes it.
fn literal(json: &Json) -> String {
    let list = |items: &[Json]| items.iter().map(|j| literal(j) + ", ").collect::<String>();
    match json {
        Json::Number(n) => format!("{:?}", n.as_f64().unwrap()),
        Json::Array(items) => format!("[{}]", list(items)),
        _ => {
            let kind = json["kind"].as_str().unwrap();
            let parts = json["parts"].as_array().unwrap();
            let Some(names) = json["names"].as_array() else {
                return if kind == "tuple" { format!("({})", list(parts)) } else { format!("{kind}({})", list(parts)) };
            };
            let named: Vec<String> =
                names.iter().zip(parts).map(|(n, p)| format!("{}: {}", n.as_str().unwrap(), literal(p))).collect();
            format!("{kind}({})", named.join(", "))
        }
    }
}

/// The leaves of a recorded structure.
fn parts(json: &Json) -> Vec<Leaf> {
    match json["parts"].as_array() {
        Some(items) => items.iter().flat_map(parts).collect(),
        None => vec![leaf(json)],
    }
}

fn leaf(json: &Json) -> Leaf {
    match json {
        Json::Array(items) => {
            let rows: Vec<Leaf> = items.iter().map(leaf).collect();
            let mut shape = vec![rows.len()];
            shape.extend(&rows[0].shape);
            Leaf { shape, data: rows.into_iter().flat_map(|r| r.data).collect() }
        }
        number => Leaf { shape: vec![], data: vec![number.as_f64().unwrap()] },
    }
}

/// The floats of a result, in order.
fn leaves(value: &Value) -> Result<Vec<Leaf>, String> {
    let all = |items: &[Value]| items.iter().map(leaves).collect::<Result<Vec<_>, _>>().map(|l| l.concat());
    match value {
        Value::Float(_, x) => Ok(vec![Leaf { shape: vec![], data: vec![*x] }]),
        Value::Tensor(_, t) if t.dtype() == DType::F64 => {
            Ok(vec![Leaf { shape: t.shape().to_vec(), data: t.iter_f64().collect() }])
        }
        Value::Tuple(items) | Value::List(items) => all(items),
        Value::Dict(dict) => all(&dict.values().cloned().collect::<Vec<_>>()),
        Value::Struct(s) => all(&s.fields),
        // A `nograd` field.
        Value::None => Ok(vec![]),
        Value::Str(message) => Err(format!("failed: {message}")),
        other => Err(format!("gave {}", show::brief(other))),
    }
}

fn inner(a: &Leaf, b: &Leaf) -> f64 {
    a.data.iter().zip(&b.data).map(|(x, y)| x * y).sum()
}

/// Two examples as one batch.
fn stacked(first: Vec<Leaf>, second: Vec<Leaf>) -> Vec<Leaf> {
    first
        .into_iter()
        .zip(second)
        .map(|(mut a, b)| {
            a.shape.insert(0, 2);
            a.data.extend(b.data);
            a
        })
        .collect()
}

fn agree(got: &[Leaf], wanted: &[Leaf], scale: f64) -> Result<(), String> {
    let shapes = |leaves: &[Leaf]| leaves.iter().map(|l| format!("{:?}", l.shape)).collect::<Vec<_>>().join(" ");
    if shapes(got) != shapes(wanted) {
        return Err(format!("shapes {} are not {}", shapes(got), shapes(wanted)));
    }
    let mut worst: Option<(f64, f64, f64)> = None;
    for (&a, &b) in got.iter().flat_map(|l| &l.data).zip(wanted.iter().flat_map(|l| &l.data)) {
        let excess = (a - b).abs() / (1e-9 * b.abs() + 1e-12 * scale).max(f64::MIN_POSITIVE);
        let bad = excess.is_nan() || excess > 1.0;
        if bad && worst.is_none_or(|(e, ..)| excess.is_nan() || excess > e) {
            worst = Some((excess, a, b));
        }
    }
    worst.map_or(Ok(()), |(excess, a, b)| Err(format!("{a:?} is not {b:?} ({excess:.1e} times the tolerance)")))
}

/// True if programs can use the name: a primitive, a builtin or a module.
fn exists(name: &str) -> bool {
    let module = || evaluate(&format!("import {name}\n(1.0,)")).is_ok();
    ops::find(name).is_some() || builtins::find(name).is_some() || module()
}

/// All identifiers of a program, comments left out.
fn words(source: &str) -> HashSet<&str> {
    let code = source.lines().flat_map(|l| l.split('#').next());
    code.flat_map(|l| l.split(|c: char| !c.is_alphanumeric() && c != '_')).filter(|w| !w.is_empty()).collect()
}

#[test]
fn dlang_agrees_with_jax() {
    let filter = std::env::var("DLANG_ORACLE").unwrap_or_default();
    let all = cases();
    let chosen: Vec<&Case> = all.iter().filter(|c| c.name.contains(&filter) && !c.is_pending()).collect();
    let run = |part: usize| {
        let mut report = Report::default();
        chosen.iter().skip(part).step_by(2).for_each(|case| case.run(&mut report));
        report
    };
    let mut report = std::thread::scope(|scope| {
        let other = std::thread::Builder::new().stack_size(256 << 20).spawn_scoped(scope, || run(1)).unwrap();
        let mut report =
            std::thread::Builder::new().stack_size(256 << 20).spawn_scoped(scope, || run(0)).unwrap().join().unwrap();
        let rest = other.join().unwrap();
        report.failures.extend(rest.failures);
        report.times.extend(rest.times);
        report.comparisons += rest.comparisons;
        report.numbers += rest.numbers;
        report
    });
    println!("{} cases, {} pending", chosen.len(), all.iter().filter(|c| c.is_pending()).count());
    println!("{} comparisons of {} numbers", report.comparisons, report.numbers);
    report.times.sort_by(|a, b| b.cmp(a));
    for (time, name) in report.times.iter().take(10) {
        println!("{:8.1} ms  {name}", time.as_secs_f64() * 1e3);
    }
    assert!(report.failures.is_empty(), "{} failures\n{}", report.failures.len(), report.failures.join("\n"));
}

#[test]
fn every_differentiable_primitive_has_a_case() {
    let all = cases();
    let run: Vec<&Case> = all.iter().filter(|c| !c.is_pending()).collect();
    let named: HashSet<&str> = run.iter().flat_map(|c| words(&c.source)).collect();
    let written = |text: &str| run.iter().any(|c| c.source.contains(text));
    let mut covered = 0;
    let mut problems = vec![];
    for prim in ops::table().filter(|p| !matches!(p.diff, Diff::Zero | Diff::Refused(_))) {
        let inside = INSIDE.iter().find(|(name, _)| *name == prim.name);
        let found = named.contains(prim.name)
            || WRITTEN.iter().any(|(name, text)| *name == prim.name && written(text))
            || inside.is_some_and(|(_, case)| run.iter().any(|c| c.name == *case));
        covered += 1;
        if !found {
            problems.push(format!("{}: no case", prim.name));
        } else if inside.is_some() && named.contains(prim.name) {
            problems.push(format!("{}: has a case of its own", prim.name));
        }
    }
    // A list entry may wait for its primitive as long as its case does.
    let waits = |case: &str| all.iter().any(|c| c.name == case && c.is_pending());
    for (name, case) in WRITTEN.iter().chain(INSIDE).filter(|(name, _)| ops::find(name).is_none()) {
        if !waits(case) {
            problems.push(format!("{name}: no such primitive"));
        }
    }
    println!("{covered} differentiable primitives");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_is_pending_is_missing() {
    let all = cases();
    let named: HashSet<&str> = all.iter().flat_map(|c| words(&c.source)).collect();
    for name in PENDING {
        assert!(!exists(name), "{name} exists now: take it off the list");
        assert!(named.contains(name), "no case waits for {name}");
    }
}

#[test]
fn a_difference_is_noticed() {
    let of = |x: f64| vec![Leaf { shape: vec![], data: vec![x] }];
    assert!(agree(&of(1.0 + 0.9e-9), &of(1.0), 1.0).is_ok());
    assert!(agree(&of(1.0 + 1.1e-9), &of(1.0), 1.0).is_err());
    assert!(agree(&of(0.9e-12), &of(0.0), 1.0).is_ok());
    assert!(agree(&of(1.1e-12), &of(0.0), 1.0).is_err());
    assert!(agree(&of(f64::NAN), &of(1.0), 1.0).is_err());
    assert!(agree(&[Leaf { shape: vec![1], data: vec![1.0] }], &of(1.0), 1.0).is_err());
    let mut case = cases().into_iter().find(|c| c.name == "mul").unwrap();
    let slope = &mut case.record["gradient"][0][0];
    *slope = Json::from(slope.as_f64().unwrap() * (1.0 + 1e-8));
    let mut report = Report::default();
    case.run(&mut report);
    let modes: BTreeSet<&str> = report.failures.iter().filter_map(|f| f.split(':').next()).collect();
    let expected = ["gradient (reverse)", "gradient (vmap)", "gradient, checkpointed", "slope (forward)"];
    assert_eq!(modes, expected.iter().map(|mode| &*format!("mul, {mode}").leak()).collect());
}
