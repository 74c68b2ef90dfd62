//! What a recording holds, and that it grows with the work and no faster.

use crate::ad::Watch;
use crate::ad::tape::{Entry, General, Lower, Tape};
use crate::ad::transforms::reverse_mode::{Recorded, record};
use crate::compile::set_fusion;
use crate::pipeline::{Mode, Options, Session};
use crate::tensor::DType;
use crate::value::Value;

fn session() -> Session {
    Session::new(Options { dtype: DType::F64, seed: 0, check_nan: false, profile: false, threads: 1 })
}

/// The value of a program's last expression.
fn value(session: &mut Session, text: &str) -> Value {
    let loaded = session.load_main("test.dl", text, Mode::Expression);
    let unit = loaded.unit.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    session.run(&unit).unwrap_or_else(|e| panic!("{}", e.0.message))
}

/// The recording of `f(x, n)` and its session.
fn recorded(text: &str, x: Value, n: i64) -> (Session, Recorded) {
    let mut session = session();
    let f = value(&mut session, text);
    let recorded = record(&mut session.vm, &x, |vm, x| vm.call(&f, &[x.clone(), Value::Int(n)]));
    (session, recorded.unwrap_or_else(|e| panic!("{}", e.0.message)))
}

fn bytes(tape: &Tape) -> usize {
    tape.entries.len() * size_of::<Entry>()
        + tape.lower.len() * size_of::<Lower>()
        + tape.general.len() * size_of::<General>()
}

/// Three operations in each turn.
const LOOP: &str = "fn f(x, n) { var y = x; for _ in 0..n { y = y + 0.5 * sin(y) }; y }\nf";

#[test]
fn a_scalar_operation_takes_at_most_32_bytes() {
    set_fusion(true);
    let n = 100_000;
    let (_, recorded) = recorded(LOOP, Value::float(0.5), n);
    let operations = 3 * n as usize;
    // A turn is one formula of one variable.
    assert_eq!(recorded.tape.entries.len(), n as usize + 2, "{} entries", recorded.tape.entries.len());
    let each = bytes(&recorded.tape) as f64 / operations as f64;
    assert!(each <= 32.0, "{each} bytes an operation");
    assert!(recorded.tape.origins.is_empty(), "places are kept although nothing is watched");
}

#[test]
fn a_million_operations_leave_memory_as_it_was() {
    set_fusion(true);
    let mut session = session();
    let g = value(&mut session, &LOOP.replace("\nf", "\nlet g = grad(f)\ng"));
    let mut capacities = vec![];
    for _ in 0..4 {
        let slope = session.vm.call(&g, &[Value::float(0.5), Value::Int(350_000)]).unwrap();
        assert!(matches!(slope, Value::Float(_, s) if s.is_finite()));
        assert_eq!(session.vm.cx.depth(), 0);
        let pool = &session.vm.cx.pool;
        assert_eq!(pool.len(), 1, "one recording at a time needs one tape");
        assert_eq!(pool[0].entries.len(), 1);
        assert_eq!(pool[0].general.len() + pool[0].lower.len(), 0);
        assert!(pool[0].trace.is_empty());
        // Turns in native code are a trace, where that is made.
        capacities.push(pool[0].entries.capacity() + pool[0].trace.capacity());
    }
    assert!(capacities[0] >= 350_000 && capacities.iter().all(|&c| c == capacities[0]), "{capacities:?}");
}

#[test]
fn a_huge_tape_is_given_back() {
    let mut tape = Tape::new(false);
    tape.entries.reserve(1 << 24);
    tape.reset(false);
    assert!(tape.entries.capacity() < 1 << 23);
}

/// Entries at `n` and at `2n`.
fn growth(text: &str, x: &Value, n: i64) -> (usize, usize) {
    let count = |n| recorded(text, x.clone(), n).1.tape.entries.len();
    (count(n), count(2 * n))
}

#[test]
fn recordings_grow_with_the_work() {
    // Nested closures and tuples are freed by recursion; the command runs on a large stack too.
    let work = std::thread::Builder::new().stack_size(1 << 28).spawn(growth_of_programs).unwrap();
    work.join().unwrap();
}

fn growth_of_programs() {
    let x = Value::float(0.5);
    let programs = [
        (LOOP, 50_000),
        ("fn f(x, n) = if n == 0 { x } else { sin(f(x, n - 1)) }\nf", 10_000),
        ("fn f(x, n) { var g = |y| y; for _ in 0..n { let h = g; g = |y| sin(h(y)) }; g(x) }\nf", 10_000),
        (
            "fn f(x, n) { var l = list(); for i in 0..n { l.push(x * float(i)) }; var s = 0.0; for v in l { s += v }; s }\nf",
            10_000,
        ),
        (
            "fn f(x, n) { var t = none; for _ in 0..n { t = (x * 2.0, t) }; var s = 0.0; while t != none { s = s + t[0]; t = t[1] }; s }\nf",
            700,
        ),
        ("fn f(x, n) { var y = x * ones(2); for _ in 0..n { y = tanh(eye(2) @ y) }; sum(y) }\nf", 10_000),
    ];
    for (text, n) in programs {
        let (one, two) = growth(text, &x, n);
        assert!(one as i64 >= n, "{text}: {one} entries at {n}");
        assert!(two <= 2 * one, "{text}: {one} entries at {n}, {two} at twice that");
    }
}

#[test]
fn watching_keeps_a_place_for_each_entry() {
    let mut session = session();
    session.vm.cx.set_watch(Watch::Trap);
    let f = value(&mut session, LOOP);
    let x = Value::float(0.5);
    let recorded = record(&mut session.vm, &x, |vm, x| vm.call(&f, &[x.clone(), Value::Int(10)])).unwrap();
    assert_eq!(recorded.tape.origins.len(), recorded.tape.entries.len());
    // `sin(y)` is 6 bytes of the text, `y + 0.5 * sin(y)` 16.
    let lengths: Vec<u32> = recorded.tape.origins.iter().map(|o| o.place.span.end - o.place.span.start).collect();
    assert!(lengths.contains(&6) && lengths.contains(&16), "{lengths:?}");
}
