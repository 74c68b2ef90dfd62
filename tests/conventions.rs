//! The table of gradient conventions, row by row: what a program gives where a derivative is missing, infinite, tied or
//! masked.
//!
//! `conventions/rows.txt` has the rows (operation and point). Every row is pinned in `pointwise.rs` or `structured.rs`, or
//! stands in [`NOT_HERE`] with a reason. A pin is a dlang function and a point; its value, its gradient in reverse mode and
//! in forward mode and (where a row speaks of it) its second derivative, forward over reverse and reverse over reverse, are
//! compared in f64 and f32; functions of scalars are also run on tensors.

#[path = "conventions/modes.rs"]
mod modes;
#[path = "conventions/pin.rs"]
mod pin;
#[path = "conventions/pointwise.rs"]
mod pointwise;
#[path = "conventions/structured.rs"]
mod structured;

use std::collections::BTreeSet;

use dlang::pipeline::{self, Options, Session};
use dlang::tensor::DType;
use pin::{Kind, Pin};

/// Rows that no pin holds, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("`y[[0, 0]] max= v` | three tied", "the language has no `max=`"),
    ("`det` | singular", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`slogdet` | singular", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`logdet` | negative determinant, value NaN", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`inv`, `solve` | singular", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`cholesky` | not symmetric", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`cholesky` | not positive definite", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`eigvalsh` | repeated eigenvalue", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`eigh` vectors | repeated eigenvalue", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`V f(L) V^T` by hand | repeated eigenvalue", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`eigvals` | defective", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`svdvals`, nuclear norm | identity", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("nuclear norm | zero matrix", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("spectral norm | identity", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`svd` vectors | repeated singular value", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`qr` | rank deficient", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`qr`, wide, reduced | full row rank", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`qr`, complete, tall | ", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`pinv`, `lstsq` | rank deficient", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`matrix_exp` | zero matrix", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`matrix_sqrt` | identity", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`matrix_power(A, 0)` | any", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`solve_triangular` | other triangle", "pinned in tests/golden/grad/linalg_conventions.dl"),
    ("`abs(z)` | 0", "there are no complex numbers"),
    ("real loss of complex `z`, `re(z*z)` | 1+2i", "there are no complex numbers"),
    ("`abs(z)` | 3+4i", "there are no complex numbers"),
    ("`angle(z)` | 0", "there are no complex numbers"),
    ("`irfft` | imaginary part of the constant term", "there are no Fourier transforms"),
    ("`batch_norm`, training | batch of one", "there is no batch normalization"),
];

fn session() -> Session {
    let mut session =
        Session::new(Options { dtype: DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 });
    session.vm.capture_output();
    session
}

/// What a program prints, and the codes of its errors and warnings with their texts.
fn run(text: &str) -> (String, String) {
    let mut session = session();
    let loaded = session.load_main("test.dl", text, pipeline::Mode::Script);
    let mut problems = String::new();
    for d in &loaded.diagnostics {
        problems += &format!("{} {} {}\n", d.code, d.message, d.help.as_deref().unwrap_or_default());
    }
    let Some(unit) = loaded.unit else { return (String::new(), problems) };
    if let Err(error) = session.run(&unit) {
        let d = error.to_diagnostic(|span| session.sources.place(span));
        problems += &format!("{} {} {}\n", d.code, d.message, d.help.as_deref().unwrap_or_default());
    }
    (session.vm.take_output(), problems)
}

/// The numbers of the lines that begin with `word`; the other rows of a matrix are indented.
fn numbers(output: &str, word: &str) -> Vec<f64> {
    let mut ours = false;
    let lines = output.lines().filter_map(|l| {
        let rest = l.strip_prefix(word);
        ours = rest.is_some() || (ours && l.starts_with(' '));
        ours.then_some(rest.unwrap_or(l))
    });
    lines
        .flat_map(|l| l.split(|c: char| c.is_whitespace() || "[],()".contains(c)))
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap_or_else(|_| panic!("{part} is no number in {output}")))
        .collect()
}

/// Equal up to rounding, NaN to NaN.
fn same(got: &[f64], want: &[f64], tolerance: f64) -> bool {
    got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(g, w)| g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tolerance * w.abs().max(1e-290))
}

const PROGRAM: &str = "
let total = |a| sum(f(a))
let shown = |word, v| { for leaf in leaves((v,)) { print(word, f\"{leaf:.17g}\") } }
shown(\"value\", f(at))
shown(\"reverse\", grad(total)(at))
shown(\"forward\", jacobian(total, mode: \"forward\")(at))
";

const SECOND: &str = "
shown(\"second\", hessian(total)(at))
shown(\"twice\", jacobian(grad(total), mode: \"reverse\")(at))
";

/// One run of a pin at a point written in dlang.
fn check(pin: &Pin, f: &str, at: &str, dtype: &str, repeat: usize) -> Result<(), String> {
    let Kind::Slopes { value, gradient, second, forward, .. } = &pin.kind else { return Ok(()) };
    let mut text = format!("set_dtype({dtype})\n");
    for library in ["nn", "loss", "optim"] {
        if f.contains(&format!("{library}.")) {
            text += &format!("import {library}\n");
        }
    }
    text += &format!("let f = {f}\nlet at = {at}\n{PROGRAM}");
    if second.is_some() && repeat == 1 {
        text += SECOND;
    }
    let (output, problems) = run(&text);
    let tolerance = if dtype == "f64" { 1e-12 } else { 2e-6 };
    let lanes = |xs: &[f64]| xs.iter().flat_map(|&x| std::iter::repeat_n(x, repeat)).collect::<Vec<f64>>();
    let mut wanted = vec![("value", lanes(value)), ("reverse", lanes(gradient))];
    wanted.push(("forward", lanes(forward.unwrap_or(gradient))));
    if let (Some(second), 1) = (second, repeat) {
        wanted.push(("second", second.to_vec()));
        wanted.push(("twice", second.to_vec()));
    }
    for (word, want) in wanted {
        let got = numbers(&output, &format!("{word} "));
        if !same(&got, &want, tolerance) {
            let problems = problems.lines().filter(|l| l.starts_with('E')).collect::<Vec<_>>().join("; ");
            return Err(format!("{}: {f} at {at}, {dtype}: {word} is {got:?}, not {want:?} {problems}", pin.row));
        }
    }
    Ok(())
}

fn check_pin(pin: &Pin) -> Vec<String> {
    let mut failures = vec![];
    let mut note = |r: Result<(), String>| failures.extend(r.err());
    match &pin.kind {
        Kind::Slopes { f, at, point, lifted, wide, .. } => {
            let source = if at.is_empty() { pin::tuple(point.iter().map(pin::literal)) } else { at.to_string() };
            for dtype in ["f64", "f32"] {
                // Scalars are f64 whatever the default.
                if dtype == "f64" || !(*wide || at.is_empty()) {
                    note(check(pin, f, &source, dtype, 1));
                }
            }
            for dtype in ["f64", "f32"] {
                if *lifted && !(dtype == "f32" && *wide) {
                    let lanes = |x: &f64| format!("tensor([{0}, {0}], dtype: {dtype})", pin::literal(x));
                    note(check(pin, f, &pin::tuple(point.iter().map(lanes)), dtype, 2));
                }
            }
        }
        Kind::Fails { program, code } => {
            let (output, problems) = run(program);
            if !problems.lines().any(|l| l.starts_with('E') && l.contains(code)) {
                note(Err(format!("{}: {program}: no error {code} but {output}{problems}", pin.row)));
            }
        }
        Kind::Warns { program, code } => {
            let (_, problems) = run(program);
            if !problems.lines().any(|l| l.starts_with('W') && l.contains(code)) {
                note(Err(format!("{}: {program}: no warning {code} but {problems}", pin.row)));
            }
        }
        Kind::Prints { program, output: want } => {
            let (output, problems) = run(program);
            if output.trim() != *want {
                note(Err(format!("{}: {program}: prints {output}, not {want}; {problems}", pin.row)));
            }
        }
    }
    failures
}

fn pins() -> Vec<Pin> {
    [pointwise::pins(), structured::pins()].concat()
}

#[test]
fn every_pin_holds() {
    let failures: Vec<String> = pins().iter().flat_map(check_pin).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_row_is_pinned_or_excused() {
    let rows: Vec<&str> = include_str!("conventions/rows.txt").lines().filter(|l| !l.starts_with("##")).collect();
    let known: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(rows.len(), known.len(), "a row stands twice");
    let excused: BTreeSet<&str> = NOT_HERE.iter().map(|(row, _)| *row).collect();
    let pins = pins();
    let pinned: BTreeSet<&str> = pins.iter().map(|p| p.row).collect();
    let open: Vec<&&str> = known.iter().filter(|r| !pinned.contains(**r) && !excused.contains(**r)).collect();
    assert!(open.is_empty(), "neither pinned nor excused: {open:#?}");
    let strange: Vec<&&str> = pinned.union(&excused).filter(|r| !known.contains(**r)).collect();
    assert!(strange.is_empty(), "no such rows: {strange:#?}");
    let both: Vec<&&str> = pinned.intersection(&excused).collect();
    assert!(both.is_empty(), "pinned and excused: {both:#?}");
}

/// The comparison can fail: in the value, in either mode, in the second derivative, for programs.
#[test]
fn a_wrong_number_is_noticed() {
    use pin::{each, fails, prints, warns};
    let noticed = |pin: Pin| assert!(!check_pin(&pin).is_empty(), "{} is not noticed", pin.row);
    let square = "|x| x * x";
    assert!(check_pin(&each("right", square, &[3.0], &[9.0], &[6.0]).second(&[2.0])).is_empty());
    noticed(each("value", square, &[3.0], &[9.1], &[6.0]));
    noticed(each("gradient", square, &[3.0], &[9.0], &[6.1]));
    noticed(each("NaN", square, &[3.0], &[9.0], &[f64::NAN]));
    noticed(each("forward", square, &[3.0], &[9.0], &[6.0]).forward(&[0.0]));
    noticed(each("second", square, &[3.0], &[9.0], &[6.0]).second(&[2.1]));
    noticed(fails("error", "print(1)", "E0"));
    noticed(warns("warning", "print(1)", "W0"));
    noticed(prints("output", "print(1)", "2"));
}
