//! Long and deep programs run through the command, whose stack is the one that users have: loops, recursion, chains of
//! layers, closures in closures and structures in structures, plain and differentiated.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a program prints; it must end well.
fn output(program: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlang"));
    command.args(["--color", "never", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}\n{}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `f`, its gradient, its Hessian along 1 and its derivative at 0.5; the slopes agree.
fn differentiate(definition: &str) -> String {
    output(&format!(
        "{definition}
let g = grad(f)(0.5)
let (y, dy) = jvp(f, 0.5, 1.0)
print(isfinite(f(0.5)) and y == f(0.5))
print(abs(g - dy) <= 1e-9 * abs(g) + 1e-300)
let h = 1e-4
let second = (grad(f)(0.5 + h) - grad(f)(0.5 - h)) / (2.0 * h)
print(abs(hvp(f, 0.5, 1.0) - second) <= 1e-5 * (1.0 + abs(second)))
"
    ))
}

const AGREED: &str = "true\ntrue\ntrue\n";

#[test]
fn a_loop_of_100_000_steps() {
    let f = "fn f(x) { var y = x; for _ in 0..100_000 { y = y + 0.00001 * sin(y) }; y }";
    assert_eq!(differentiate(f), AGREED);
}

#[test]
fn recursion_10_000_deep() {
    let f =
        "fn down(x, n) = if n == 0 { x } else { down(x + 0.0001 * sin(x), n - 1) * 1.0 }\nfn f(x) = down(x, 10_000)";
    assert_eq!(differentiate(f), AGREED);
}

#[test]
fn closures_10_000_deep() {
    let f = "fn f(x) { var g = |y| y; for _ in 0..10_000 { let h = g; g = |y| h(y + 0.0001 * cos(y)) }; g(x) }";
    assert_eq!(differentiate(f), AGREED);
}

#[test]
fn a_list_of_10_000() {
    let f = "fn f(x) {
        var xs = list()
        for i in 0..10_000 { xs.push(x * float(i)) }
        var s = 0.0
        for v in xs { s = s + 1e-8 * v * v }
        s
    }";
    assert_eq!(differentiate(f), AGREED);
    let by_element = output(
        "fn f(xs) { var s = 0.0; for v in xs { s = s + v * v }; s }
let g = grad(f)(list(float(i) for i in 0..10_000))
print(len(g), g[9999])",
    );
    assert_eq!(by_element, "10000 19998.0\n");
}

#[test]
fn a_chain_of_10_000_layers() {
    let chain = output(
        "set_dtype(f64)
fn chain(layers, x) { var y = x; for w in layers { y = w @ y }; sum(y) }
let layers = list((1.0 + 0.0001) * eye(2) for _ in 0..10_000)
let g = grad(chain)(layers, [1.0, 2.0])
# Each weight's slope is the product of all others.
let product = 1.0001 ^ 9999
print(len(g), all(abs(g[0] - product * [[1.0, 2.0], [1.0, 2.0]]) < 1e-9), all(abs(g[9999] - g[0]) < 1e-9))",
    );
    assert_eq!(chain, "10000 true true\n");
}

#[test]
fn structures_100_000_deep() {
    let lists = output(
        "fn nest(x, n) { var y = list(x); for _ in 0..n { y = list(y) }; y }
fn unwrap(y, n) { var z = y; for _ in 0..n + 1 { z = z[0] }; z }
print(grad(|x| unwrap(nest(x, 100_000), 100_000) * x)(3.0))
let deep = nest(1.0, 100_000)
print(len(str(deep)) > 0, len(str(2.0 * deep + deep)) > 0)
print(unwrap(grad(|d| unwrap(d, 100_000)^2)(deep), 100_000))
print(unwrap(jvp(|d| d, deep, deep)[1], 100_000))
print(try { deep == deep } catch e { \"too deep\" })
fn dropped(n) { let _nested = nest(1.0, n); n }
print(dropped(100_000))",
    );
    assert_eq!(lists, "6.0\ntrue true\n2.0\n1.0\ntoo deep\n100000\n");
    let linked = output(
        "struct Node { value: float, next: any }
fn chain(n) { var x = none; for i in 0..n { x = Node(value: 1.0, next: x) }; x }
fn total(x) { var s = 0.0; var p = x; while p != none { s = s + p.value * p.value; p = p.next }; s }
let long = chain(20_000)
print(total(long), total(grad(total)(long)))",
    );
    assert_eq!(linked, "20000.0 80000.0\n");
}
