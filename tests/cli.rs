//! The command as a user meets it: exit codes, streams, colour, stdin, pipes, params, wrong usage.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What a run of the command gave.
#[derive(Debug)]
struct Outcome {
    status: i32,
    out: String,
    err: String,
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlang"));
    for variable in ["NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.args(words).stdin(Stdio::null());
    command
}

fn finish(mut command: Command, input: &str) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The program may end before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Outcome {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn dlang(words: &[&str]) -> Outcome {
    finish(command(words), "")
}

/// A file for a test, in a folder of its own.
fn file(name: &str, text: impl AsRef<[u8]>) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

const SCRIPT: &str = "\
## Prints its params.
param learning_rate = 0.5   ## step size
param steps: int = 3
param verbose = false
param name = \"a\"
print(learning_rate, steps, verbose, name)
";

#[test]
fn exit_codes_and_streams() {
    let good = file("good.dl", "print(1 + 1)\n");
    let syntax = file("syntax.dl", "let x = (1\n");
    let name = file("name.dl", "print(1)\nprint(y)\n");
    let late = file("late.dl", "print(\"before\")\nerror(\"too late\")\n");
    let leave = file("leave.dl", "print(\"bye\")\nexit(7)\nprint(\"never\")\n");
    let test_good = file("tests_good/a.dl", "test \"adds\" { assert(1 + 1 == 2) }\n");
    let test_bad = file("tests_bad/a.dl", "test \"adds\" { assert(1 + 1 == 2) }\ntest \"fails\" { assert(1 == 2) }\n");
    let latin = file("latin.dl", b"let x = \"gr\xfc\xdfe\"\n");
    // Words, status, what stdout is, what stderr contains.
    let table: &[(&[&str], i32, &str, &str)] = &[
        (&[&good], 0, "2\n", ""),
        (&["run", &good], 0, "2\n", ""),
        (&["-e", "1 + 1"], 0, "2\n", ""),
        (&["-e", "2.5e-7"], 0, "2.5e-7\n", ""),
        (&["-e", "\"bare\""], 0, "bare\n", ""),
        (&["-e", "let x = 3"], 0, "", ""),
        (&["-e", "print(4)"], 0, "4\n", ""),
        (&[&syntax], 1, "", "E0103"),
        (&[&name], 1, "", "E0201"),
        (&[&late], 1, "before\n", "too late"),
        (&[&leave], 7, "bye\n", ""),
        (&["-e", "exit(0)"], 0, "", ""),
        (&["check", &good], 0, "", "no problems"),
        (&["check", &name, &syntax], 1, "", "2 errors"),
        (&["check", &late], 0, "", "no problems"),
        (&["test", &test_good], 0, &format!("ok      {test_good}: adds\n\n1 passed, 0 failed\n"), ""),
        (
            &["test", &test_bad],
            1,
            &format!("ok      {test_bad}: adds\nFAILED  {test_bad}: fails\n\n1 passed, 1 failed\n"),
            "E0453",
        ),
        (&["test", &test_bad, "--filter", "add"], 0, &format!("ok      {test_bad}: adds\n\n1 passed, 0 failed\n"), ""),
        (&["test", &good], 0, "no tests found\n", ""),
        (&["dump", "tokens", &syntax], 1, "", "E0103"),
        (&["no/such/file.dl"], 2, "", "E0501"),
        (&["check", "no/such/file.dl"], 2, "", "E0501"),
        (&[env!("CARGO_TARGET_TMPDIR")], 2, "", "E0503"),
        (&[&latin], 1, "", "byte 11"),
        (&["--bogus", &good], 2, "", "no option `--bogus`"),
        (&["--sed", "3", &good], 2, "", "did you mean `--seed`?"),
        (&["--dtype", "f16", &good], 2, "", "f16"),
        (&[&good, "--threads", "0"], 2, "", "threads"),
        (&["check"], 2, "", "PATH"),
        (&["dump", "wasm", &good], 2, "", "tokens"),
        (&["help", "chek"], 2, "", "dlang help check"),
        (&["explain", "E9999"], 2, "", "no code"),
        (&["fmt", &good], 2, "", "not part of dlang"),
        (&["doc", "Dense"], 2, "", "dlang doc nn.Dense"),
        (&["doc", "nn.Densse"], 2, "", "no doc on `nn.Densse`"),
        (&["--version"], 0, concat!("dlang ", env!("CARGO_PKG_VERSION"), "\n"), ""),
    ];
    for (words, status, out, err) in table {
        let outcome = dlang(words);
        assert_eq!(outcome.status, *status, "{words:?} {outcome:?}");
        assert_eq!(outcome.out, *out, "{words:?} {outcome:?}");
        assert!(outcome.err.contains(err), "{words:?} {outcome:?}");
        assert!(!err.is_empty() || outcome.err.is_empty(), "{words:?} should be silent on stderr: {outcome:?}");
        assert!(!outcome.err.contains("panicked") && !outcome.err.contains("bug in dlang"), "{words:?} {outcome:?}");
    }
}

#[test]
fn a_missing_file_suggests_its_neighbour() {
    let there = file("near/train.dl", "print(1)\n");
    let outcome = dlang(&[&there.replace("train", "trian")]);
    assert!(outcome.err.contains(&format!("did you mean `{there}`?")), "{outcome:?}");
    assert!(dlang(&["chek", "a.dl"]).err.contains("did you mean the command `dlang check`?"));
}

#[test]
fn three_ways_to_give_a_program() {
    let text = "#!/usr/bin/env dlang\nlet x = [1.0, 2.0]\nprint(sum(x))\n";
    let by_name = dlang(&[&file("three.dl", text)]);
    assert_eq!((by_name.status, by_name.out.as_str()), (0, "3.0\n"), "{by_name:?}");
    let by_dash = finish(command(&["-"]), text);
    let by_stdin = finish(command(&[]), text);
    assert_eq!((&by_dash.out, by_dash.status), (&by_name.out, 0), "{by_dash:?}");
    assert_eq!((&by_stdin.out, by_stdin.status), (&by_name.out, 0), "{by_stdin:?}");
    let broken = finish(command(&[]), "print(1)\nprint(y)\n");
    assert!(broken.status == 1 && broken.out.is_empty() && broken.err.contains("<stdin>:2:7"), "{broken:?}");
}

#[test]
fn no_colour_unless_asked() {
    let bad = file("colour.dl", "print(y)\n");
    let escape = |outcome: &Outcome| outcome.err.contains('\u{1b}') || outcome.out.contains('\u{1b}');
    assert!(!escape(&dlang(&[&bad])), "stderr is no terminal");
    assert!(escape(&dlang(&["--color", "always", &bad])));
    assert!(escape(&dlang(&[&bad, "--color=always"])));
    assert!(!escape(&dlang(&["--color", "never", &bad])));
    let with = |variables: &[(&str, &str)], words: &[&str]| {
        let mut command = command(words);
        command.envs(variables.iter().copied());
        finish(command, "")
    };
    assert!(escape(&with(&[("FORCE_COLOR", "1")], &[&bad])));
    assert!(!escape(&with(&[("FORCE_COLOR", "1"), ("NO_COLOR", "1")], &[&bad])));
    assert!(escape(&with(&[("NO_COLOR", "1")], &["--color", "always", &bad])));
}

#[test]
fn a_closed_pipe_is_silence() {
    let program = file("endless.dl", "var i = 0\nwhile true {\n    print(i)\n    i += 1\n}\n");
    let mut command = command(&[&program]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 2];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(&first, b"0\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn quiet_keeps_warnings_back() {
    let program = file("quiet.dl", "let z = 1\nlet z = 2\nprint(z)\n");
    assert!(dlang(&[&program]).err.contains("W0307"));
    let quiet = dlang(&["-q", &program]);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("2\n", ""));
    assert_eq!(dlang(&["check", "-q", &program]).err, "");
    let denied = dlang(&["check", "-q", "--deny", "warnings", &program]);
    assert!(denied.status == 1 && denied.err.contains("W0307"), "{}", denied.err);
}

/// What is given with `-e` may leave a variable unread; a file may not.
#[test]
fn unread_variables_are_told_of_programs() {
    assert_eq!(dlang(&["-e", "let z = 1; print(2)"]).err, "");
    let program = file("unread.dl", "let z = 1\nprint(2)\n");
    assert!(dlang(&[&program]).err.contains("W0305"));
}

#[test]
fn the_library_folder_must_be_one() {
    let mut command = command(&["-e", "1"]);
    command.env("DLANG_STDLIB", "no/such/folder");
    let outcome = finish(command, "");
    assert_eq!(outcome.status, 2);
    assert!(outcome.err.contains("DLANG_STDLIB names `no/such/folder`"), "{}", outcome.err);
}

#[cfg(unix)]
#[test]
fn ctrl_c_says_how_far_it_got() {
    interrupted("loop.dl", 3, "var _i = 0\nprint(\"go\")\nwhile true { _i += 1 }\n");
    // Without a loop, by the machine and as native code.
    let recursion = "fn f(n: int) -> int = if n < 2 { n } else { f(n - 1) + f(n - 2) }\nprint(\"go\")\nprint(f(70))\n";
    interrupted("calls.dl", 1, recursion);
}

/// Runs a program that says `go` and then does not end, and interrupts it in a line.
#[cfg(unix)]
fn interrupted(name: &str, line: usize, text: &str) {
    let program = file(name, text);
    let mut command = command(&[&program]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = child.id().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -INT {pid}")]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.starts_with("interrupted at ") && err.contains(&format!("{name}:{line}:")), "{err}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "go\n", "what was printed is not lost");
}

#[test]
fn params() {
    let script = file("params.dl", SCRIPT);
    let table: &[(&[&str], &str)] = &[
        (&[], "0.5 3 false a\n"),
        (&["--learning-rate", "0.1"], "0.1 3 false a\n"),
        (&["--learning_rate=-1e-3", "--steps=7"], "-0.001 7 false a\n"),
        (&["--learning-rate", "2"], "2.0 3 false a\n"),
        (&["--verbose", "--name", "b c"], "0.5 3 true b c\n"),
        (&["--verbose=true", "--no-verbose", "--seed", "4"], "0.5 3 false a\n"),
        (&["--steps", "1", "--steps", "2"], "0.5 2 false a\n"),
    ];
    for (words, out) in table {
        let all: Vec<&str> = [script.as_str()].iter().chain(words.iter()).copied().collect();
        let outcome = dlang(&all);
        assert_eq!((outcome.status, outcome.out.as_str()), (0, *out), "{words:?} {outcome:?}");
    }
    let wrong: &[(&[&str], &str)] = &[
        (&["--stesp", "1"], "did you mean `--steps`?"),
        (&["--steps", "1.5"], "--steps"),
        (&["--steps", "many"], "--steps"),
        (&["--steps"], "needs a value: int"),
        (&["--verbose=maybe"], "--verbose"),
        (&["steps=3"], "--steps=3"),
        (&["-x"], "no param `x`"),
    ];
    for (words, err) in wrong {
        let all: Vec<&str> = [script.as_str()].iter().chain(words.iter()).copied().collect();
        let outcome = dlang(&all);
        assert!(outcome.status == 2 && outcome.out.is_empty() && outcome.err.contains(err), "{words:?} {outcome:?}");
    }
}

#[test]
fn help_of_a_script() {
    let outcome = dlang(&[&file("help.dl", SCRIPT), "--help"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    for part in ["Prints its params.", "--learning-rate <float>", "step size", "[default: 0.5]", "--steps <int>"] {
        assert!(outcome.out.contains(part), "{part}\n{}", outcome.out);
    }
    assert!(!outcome.out.contains("0.5 3"), "help runs nothing");
}

#[test]
fn words_for_args() {
    let script = file("args.dl", "param n = 1\nfor a in args() { print(a) }\nprint(n)\n");
    let outcome = dlang(&[&script, "in.csv", "--n", "2", "--", "--n", "x"]);
    assert_eq!(outcome.out, "in.csv\n--n\nx\n2\n", "{outcome:?}");
}

#[test]
fn settings_reach_the_program() {
    let show = file("settings.dl", "print(zeros(1).dtype)\nprint(rand() == rand())\n");
    assert_eq!(dlang(&[&show]).out, "f32\nfalse\n");
    assert_eq!(dlang(&["--dtype", "f64", &show]).out, "f64\nfalse\n");
    assert_eq!(dlang(&[&show, "--dtype=f64"]).out, "f64\nfalse\n");
    let random = file("random.dl", "print(rand())\n");
    let seeded = |seed: &str| dlang(&["--seed", seed, &random]).out;
    assert_eq!(seeded("1"), seeded("1"));
    assert_ne!(seeded("1"), seeded("2"));
    let nan = file("nan.dl", "let zero = 0.0\nlet x = log(zero)\nprint(x)\n");
    assert_eq!(dlang(&[&nan]).out, "-inf\n");
    let stopped = dlang(&["--check-nan", &nan]);
    assert!(stopped.status == 1 && stopped.err.contains("E0440"), "{stopped:?}");
}

#[test]
fn machine_readable_messages() {
    let bad = file("json.dl", "let ü = 1; print(y)\n");
    let plain = dlang(&["--message-format", "plain", &bad]);
    assert!(plain.err.starts_with(&format!("{bad}:1:18: error[E0201]")), "{plain:?}");
    let json = dlang(&["--message-format", "json", "check", &bad]);
    let first = json.err.lines().find(|l| l.contains("E0201")).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!((&value["version"], &value["severity"]), (&1.into(), &"error".into()));
    assert_eq!(
        (&value["labels"][0]["start"]["column"], &value["labels"][0]["start"]["byte"]),
        (&18.into(), &18.into())
    );
}

#[test]
fn explain_and_help() {
    let page = dlang(&["explain", "e0301"]);
    assert!(page.status == 0 && page.out.starts_with("# E0301: "), "{page:?}");
    let (wrong, right) = (page.out.find("Wrong:\n\n```dl"), page.out.find("Right:\n\n```dl"));
    assert!(wrong.is_some() && wrong < right, "{page:?}");
    let list = dlang(&["explain"]);
    assert!(list.out.lines().count() > 50 && list.out.contains("E0501  there is no such file"), "{list:?}");
    assert!(dlang(&["help", "exit-codes"]).out.contains("130  interrupted"));
    let help = dlang(&["--help"]);
    assert!(help.status == 0 && help.out.contains("Examples:") && help.err.is_empty(), "{help:?}");
    assert_eq!(dlang(&["help", "check"]).out, dlang(&["check", "--help"]).out);
}

#[test]
fn docs_of_all_kinds() {
    let says = |name: &str, words: &[&str]| {
        let page = dlang(&["doc", name]);
        assert!(page.status == 0 && words.iter().all(|w| page.out.contains(w)), "{name}: {page:?}");
    };
    says("grad", &["grad(f", "gradient"]);
    says("exp", &["exp(x)"]);
    says("nn", &["module nn", "  Dense ", "  Conv2d ", "  dropout "]);
    says("nn.Dense", &["struct Dense", "fn new(inputs", "fn call(self, x)"]);
    // From the module that it stands in.
    says("nn.Conv2d", &["struct Conv2d"]);
    says("nn.Dense.new", &["fn new(inputs", "Random weights"]);
    says("prob.Normal.log_prob", &["fn log_prob"]);
    // Values with a name, too.
    says("ode", &["  rk4 ", "  solve "]);
    says("ode.dopri5", &["let dopri5\n", "Dormand"]);
    says("integrators.euler", &["let euler = RungeKutta(1", "order 1"]);
    let list = dlang(&["doc"]);
    assert!(list.out.contains("  optim ") && list.out.lines().count() > 20, "{list:?}");
}

#[test]
fn profile_tells_lines_and_primitives() {
    let program =
        "let x = randn(300, 300)\nfn f(x) {\n    let y = x @ x\n    sum(y * y)\n}\nfor i in 0..30 { grad(f)(x) }\n";
    let outcome = dlang(&["--profile", &file("profiled.dl", program)]);
    assert!(outcome.status == 0 && outcome.out.is_empty(), "{outcome:?}");
    for words in
        ["profile: ", "forward  backward  line", "profiled.dl:3  let y = x @ x", "forward  backward  primitive", "tape"]
    {
        assert!(outcome.err.contains(words), "{words}: {}", outcome.err);
    }
}

#[test]
fn all_errors_are_told_at_once_and_many_are_counted() {
    let many: String = (0..30).map(|i| format!("print(unknown{i})\n")).collect();
    let outcome = dlang(&[&file("many.dl", many)]);
    assert_eq!(outcome.err.matches("error[E0201]").count(), 20, "{}", outcome.err);
    assert!(outcome.err.contains("... and 10 more"), "{}", outcome.err);
    assert!(outcome.err.contains("Run `dlang explain E0201` for more."), "{}", outcome.err);
}

#[test]
fn check_tells_a_module_s_problem_once() {
    file("shared/util.dl", "fn f() = nowhere\n");
    let a = file("shared/a.dl", "import \"./util.dl\"\n");
    let folder = PathBuf::from(a).parent().unwrap().display().to_string();
    file("shared/b.dl", "import \"./util.dl\"\n");
    let outcome = dlang(&["check", &folder, "--message-format", "plain"]);
    assert_eq!(outcome.err.matches("`nowhere`").count(), 1, "{outcome:?}");
    assert!(outcome.status == 1 && outcome.err.contains("3 files checked: 1 error"), "{outcome:?}");
}

#[test]
fn warnings_do_not_stop_unless_denied() {
    let program = file("warning.dl", "fn f() {\n    let unused = 1\n    2\n}\nprint(f())\n");
    let outcome = dlang(&[&program]);
    assert!(outcome.status == 0 && outcome.out == "2\n" && outcome.err.contains("warning[W"), "{outcome:?}");
    assert_eq!(dlang(&["check", &program]).status, 0);
    assert_eq!(dlang(&["check", "--deny", "warnings", &program]).status, 1);
    let meant = file("meant.dl", "fn f() {\n    let unused = 1  # allow: W0305\n    2\n}\nprint(f())\n");
    let outcome = dlang(&["check", "--deny", "warnings", &meant]);
    assert!(outcome.status == 0 && outcome.err.contains("no problems"), "{outcome:?}");
}

#[test]
fn json_tells_all_that_the_drawing_tells() {
    let text = "import nn\nlet layer = nn.Dense.new(3, 2)\nlet x = ones(4, 5)\nprint(layer(x))\n";
    let json = dlang(&["--message-format", "json", &file("complete.dl", text)]);
    let value: serde_json::Value = serde_json::from_str(json.err.lines().next().unwrap_or_default()).unwrap();
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["version", "severity", "code", "message", "labels", "notes", "hint", "children"]);
    assert_eq!((&value["code"], &value["severity"]), (&"E0303".into(), &"error".into()));
    let labels = value["labels"].as_array().unwrap();
    let primary: Vec<_> = labels.iter().filter(|l| l["primary"] == true).collect();
    assert_eq!(primary.len(), 1, "{value:#}");
    assert_eq!((&primary[0]["start"]["line"], &primary[0]["start"]["column"]), (&4.into(), &7.into()));
    assert_eq!((&primary[0]["end"]["line"], &primary[0]["end"]["column"]), (&4.into(), &15.into()));
    let files: Vec<&str> = labels.iter().filter_map(|l| l["file"].as_str()).collect();
    assert!(files.contains(&"<stdlib>/nn.dl") && labels.len() >= 4, "{value:#}");
    assert!(value["hint"].as_str().unwrap().contains("nn.Dense.new(5, 2)"), "{value:#}");
    let child = value["children"].as_array().unwrap().last().unwrap();
    assert_eq!((&child["severity"], &child["message"]), (&"hint".into(), &value["hint"]));
    // An error of the run has the same form, with the calls as notes.
    let failing = "fn f(n) = list(1)[n]\nprint(f(int(\"3\")))\n";
    let json = dlang(&["--message-format", "json", &file("failing.dl", failing)]);
    let value: serde_json::Value = serde_json::from_str(json.err.lines().next().unwrap_or_default()).unwrap();
    assert_eq!(value["code"], "E0401");
    assert_eq!(value["children"][0]["severity"], "note", "{value:#}");
    assert_eq!(value["notes"][0], "where n = 3");
    assert!(value["notes"][1].as_str().unwrap().starts_with("in f, called at"), "{value:#}");
}

#[test]
fn long_sentences_follow_a_known_width_and_stay_whole_in_a_pipe() {
    let bad = file("narrow.dl", "let w = zeros(8, 3, 3, 3)\nlet y = conv2d(zeros(1, 6, 8, 8), w)\n");
    let whole = "conv2d: x, f32[1, 6, 8, 8], has 6 channels, but w, f32[8, 3, 3, 3], takes 3";
    let piped = dlang(&["check", &bad]);
    assert!(piped.err.contains(whole) && !piped.err.contains('\u{1b}'), "{piped:?}");
    let mut fifty = command(&["check", &bad]);
    fifty.env("COLUMNS", "50");
    let narrow = finish(fifty, "");
    let sentences = narrow.err.lines().filter(|l| !l.contains(['│', '╭', '╰', '─']) && !l.contains("checked:"));
    assert!(sentences.clone().all(|l| l.chars().count() <= 50), "{}", narrow.err);
    assert!(!narrow.err.contains(whole) && narrow.err.contains("takes 3"), "{}", narrow.err);
}

/// Where stderr is no terminal, a running loss is a line for each tenth of the way, and a bar without one is silent.
#[test]
fn losses_in_plain_lines() {
    let script = "import progress\nvar bar = progress.bar(40, \"train\")\nfor i in 0..40 { bar.update(loss: 2.0) }\nbar.finish()\n\
                  var still = progress.bar(40)\nfor _ in 0..40 { still.step(\"quiet\") }\nstill.finish()\n";
    let outcome = dlang(&["-e", script]);
    let lines: Vec<&str> = outcome.err.lines().collect();
    assert_eq!((outcome.status, lines.len()), (0, 10), "{outcome:?}");
    assert_eq!((lines[0], lines[9]), ("train 4/40 loss 2.0000", "train 40/40 loss 2.0000"));
}
