//! The programs in `bench/gradbench/` as GradBench would use them: requests in JSON on standard input, one answer a line.
//!
//! `tests/gradbench/NAME.jsonl` holds small inputs with their answers. The answers are those of GradBench's hand-written C++ ("manual"), of
//! CoDiPack, or known from the eval itself, as the field `from` says. GradBench takes |a - b| up to 1e-4 max(1, |a| + |b|), and NaN; here
//! it is 1e-9, without NaN.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value as Json, json};

const TOLERANCE: f64 = 1e-9;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// A running `gradbench.dl`.
struct Tool {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Tool {
    fn start() -> Tool {
        let mut process = Command::new(env!("CARGO_BIN_EXE_dlang"))
            .arg(root().join("bench/gradbench/gradbench.dl"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Tool { process, requests, answers }
    }

    /// The answer comes before the next request is sent.
    fn ask(&mut self, request: &Json) -> Json {
        writeln!(self.requests, "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Json = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e} in {line:?}"));
        assert_eq!(answer["id"], request["id"]);
        answer
    }

    /// Ends it; it must have said nothing else.
    fn end(self) {
        drop(self.requests);
        let mut process = self.process;
        let mut rest = String::new();
        let mut answers = self.answers;
        answers.read_line(&mut rest).unwrap();
        assert_eq!(rest, "");
        let mut stderr = process.stderr.take().unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
        assert_eq!(said, "");
        assert!(process.wait().unwrap().success());
    }
}

/// The largest |a - b| / max(1, |a| + |b|) in two values of one structure; what else differs, and NaN, is infinitely far.
fn distance(a: &Json, b: &Json) -> f64 {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let d = (a - b).abs() / (a.abs() + b.abs()).max(1.0);
            if d.is_nan() { f64::INFINITY } else { d }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).map(|(a, b)| distance(a, b)).fold(0.0, f64::max)
        }
        (Json::Object(a), Json::Object(b)) if a.len() == b.len() => {
            a.iter().map(|(key, a)| b.get(key).map_or(f64::INFINITY, |b| distance(a, b))).fold(0.0, f64::max)
        }
        _ => f64::INFINITY,
    }
}

fn vectors(name: &str) -> Vec<Json> {
    let text = std::fs::read_to_string(root().join(format!("tests/gradbench/{name}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check(names: &[&str]) {
    let mut tool = Tool::start();
    let mut id = 0;
    let mut next = || {
        id += 1;
        id
    };
    let mut problems = vec![];
    for name in names {
        assert_eq!(tool.ask(&json!({"id": next(), "kind": "start", "eval": name}))["tool"], "dlang");
        assert_eq!(tool.ask(&json!({"id": next(), "kind": "define", "module": name}))["success"], true);
        let vectors = vectors(name);
        assert!(vectors.len() >= 2, "{name}");
        for v in vectors {
            let (function, input) = (&v["function"], &v["input"]);
            let request = json!({
                "id": next(), "kind": "evaluate", "module": name, "function": function, "input": input, "description": "a vector"
            });
            let answer = tool.ask(&request);
            let off = distance(&v["output"], &answer["output"]);
            if answer["success"] != true || off.is_nan() || off > TOLERANCE {
                problems.push(format!("{name} {function}: {off:e} from {}: {answer}", v["output"]));
            }
            assert_eq!(answer["timings"][0]["name"], "evaluate");
            assert!(answer["timings"][0]["nanoseconds"].is_u64());
            let verdict = tool.ask(&json!({"id": next(), "kind": "analysis", "of": request["id"], "valid": true}));
            assert_eq!(verdict.as_object().unwrap().len(), 1);
        }
    }
    tool.end();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn answers_are_those_of_the_vectors() {
    check(&["hello", "lse", "llsq", "ode", "det", "kmeans", "gmm", "lstm", "ba", "ht"]);
}

/// Descents through whole simulations: half a minute without optimization. Their derivatives are tested beside them.
#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimization")]
fn answers_of_nested_descents_are_those_of_the_vectors() {
    check(&["particle", "saddle"]);
}

#[test]
fn descents_that_begin_at_their_end_stay_there() {
    let mut tool = Tool::start();
    for (i, function) in ["ff", "fr", "rf", "rr"].iter().enumerate() {
        let ask = |module: &str, input: Json| json!({"id": i, "kind": "evaluate", "module": module, "function": function, "input": input});
        assert_eq!(tool.ask(&ask("particle", json!({"w": 0.207})))["output"], json!(0.207));
        let start = json!([1e-3, -2e-3]);
        let expected = json!([1e-3, -2e-3, 1e-3, -2e-3]);
        assert_eq!(tool.ask(&ask("saddle", json!({"start": start})))["output"], expected);
    }
    tool.end();
}

#[test]
fn runs_are_repeated_as_the_request_wants() {
    let mut tool = Tool::start();
    let ask = |input: Json| json!({"id": 1, "kind": "evaluate", "module": "lse", "function": "primal", "input": input});
    let answer = tool.ask(&ask(json!({"x": [1, 2], "min_runs": 5, "min_seconds": 0.0})));
    assert_eq!(answer["timings"].as_array().unwrap().len(), 5);
    let answer = tool.ask(&ask(json!({"x": [1.0, 2.0], "min_runs": 1, "min_seconds": 0.01})));
    let times = answer["timings"].as_array().unwrap().iter().map(|t| t["nanoseconds"].as_u64().unwrap());
    assert!(times.sum::<u64>() >= 10_000_000);
    tool.end();
}

#[test]
fn what_cannot_be_done_is_answered_too() {
    let mut tool = Tool::start();
    let unknown = tool.ask(&json!({"id": 0, "kind": "define", "module": "nowhere"}));
    assert_eq!(unknown["success"], false);
    assert!(unknown["error"].as_str().unwrap().contains("nowhere"));
    let missing =
        tool.ask(&json!({"id": 1, "kind": "evaluate", "module": "lse", "function": "hessian", "input": {"x": [1.0]}}));
    assert_eq!((&missing["success"], missing["error"].as_str().unwrap().contains("hessian")), (&json!(false), true));
    let wrong =
        tool.ask(&json!({"id": 2, "kind": "evaluate", "module": "lse", "function": "primal", "input": {"x": "text"}}));
    assert_eq!(wrong["success"], false);
    assert_eq!(tool.ask(&json!({"id": 3, "kind": "whatever"})), json!({"id": 3}));
    tool.end();
}

#[test]
fn programs_pass_their_own_tests() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_dlang")).arg("test").arg(root().join("bench/gradbench")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the simulation has one derivative"), "{said}");
}

#[test]
fn distance_can_be_large() {
    assert_eq!(distance(&json!([1.0, {"a": 2}]), &json!([1, {"a": 2.0}])), 0.0);
    assert!(distance(&json!([1.0]), &json!([1.0 + 1e-6])) > TOLERANCE);
    for (a, b) in [(json!([1.0]), json!([1.0, 2.0])), (json!({"a": 1}), json!({"b": 1})), (json!(1.0), json!(null))] {
        assert!(distance(&a, &b).is_infinite());
    }
}
