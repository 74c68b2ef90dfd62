//! An error reads the same whether it is found before the run or while it runs: code, sentence and hint.
//!
//! `?` stands for a value in parentheses after it; the checker sees it in one program and cannot in the other.

use dlang::diagnostic::Diagnostic;
use dlang::pipeline::{Mode, Options, Session};
use dlang::tensor::DType;

const HIDE: &str = "fn hide(x: any) -> any = list(x, 1)[int(\"0\")]\nstruct P { x: float, y: float }\nstruct Q { w: float[n, m], b: float[m] }\n";

const CASES: &[&str] = &[
    "print(?(ones(2)) + ones(3))",
    "print(?(ones(2, 3)) @ ones(2, 3))",
    "print(?(ones(2)) @ ones(3))",
    "print(?(\"a\") + 1)",
    "print(-?(\"a\"))",
    "print(not ?(3))",
    "print(?(1) and true)",
    "print(?(3)(4))",
    "print(?([1.0, 2.0])[5])",
    "print(?([1.0, 2.0])[0, 1])",
    "print(?(list(1, 2))[5])",
    "print(?((1, 2))[2])",
    "print(?(dict(lr: 0.1))[\"l\"])",
    "print(?(dict(lr: 0.1)).l)",
    "print(?(3.5)[0])",
    "print(?(P(1.0, 2.0)).z)",
    "print(?(ones(3)).shapee)",
    "print(?(ones(3)).summ())",
    "var l = ?(list(1))\nl.append(2)",
    "print(?(P)(1.0, z: 2.0))",
    "print(?(P)(1.0))",
    "print(?(P)(1.0, 2.0, 3.0))",
    "print(P(?(1.0), 2.0).with(z: 1.0).x)",
    "print(?(|x, y| x)(1.0))",
    "print(sum(?(ones(3)), dim: 0))",
    "print([1.0, ?(\"a\")])",
    "print([ones(2), ?(ones(3))])",
    "let (a, b) = ?((1, 2, 3))",
    "let (a, b) = ?(3)",
    "print(concat((ones(2, 3), ?(ones(2, 4)))))",
    "print(stack((ones(2), ?(ones(3)))))",
    "for x in ?(3) { print(x) }",
    "if ?([true, false]) { print(1) }",
    "if ?(1) { print(1) }",
    "print(if ?(\"a\") { 1 } else { 2 })",
    "let x: int = ?(2.5)",
    "let x: f32[3] = ?(ones(3).to(f64))",
    "let x: float[2, 3] = ?(ones(2, 4))",
    "fn f(x: float[n], y: float[n]) = x + y\nprint(f(ones(2), ?(ones(3))))",
    "fn f(n: int) = n\nprint(f(?(1.5)))",
    "fn f(n) -> str = n\nprint(f(?(1)))",
    "print(Q(ones(2, 3), ?(ones(4))))",
    "print(grad(?(3.0))(1.0))",
    "print(grad(|x| [x, x])(?(1.0)))",
    "print(grad(|x| x^2)(?(3)))",
    "print(derivative(|x| sum(x))(?([1.0, 2.0])))",
    "print(reshape(?(ones(6)), 4, 2))",
    "print(transpose(?(ones(2, 3)), 0, 3))",
    "print(sum(?(ones(2, 3)), axis: 2))",
    "print(softmax(?(ones(2)), axis: 3))",
    "print(conv2d(?(ones(1, 3, 8, 8)), ones(4, 2, 3, 3)))",
    "print(conv2d(?(ones(8, 8)), ones(4, 2, 3, 3)))",
    "print(einsum(\"ij,jk->ik\", ?(ones(2, 3)), ones(4, 2)))",
    "print(inv(?(ones(2, 3))))",
    "print(take(?(ones(3)), \"a\"))",
    "print(squeeze(?(ones(2, 3)), 0))",
    "print(len(?(3)))",
    "print(sum(?(\"abc\")))",
    "print(zeros(?(2.5)))",
    "print(0..?(2.5))",
    "print(range(?(2.5)))",
    "print(split(?(ones(5)), 2))",
    "print(broadcast_to(?(ones(3)), (2, 4)))",
    "var t = ?((1, 2))\nt[0] = 5",
    "var s = ?(\"abc\")\ns[0] = \"x\"",
    "var x = ?(ones(3))\nx[1] = ones(2)",
    "var x = ?(ones(3))\nx[5] = 1.0",
    "print(?((1.0, 2.0)) + (1.0, 2.0, 3.0))",
    "print(?(P(1.0, 2.0)) + (1.0, 2.0))",
    "print(max(?(ones(2)), ones(3)))",
    "print(where(?(ones(2)) > 0.0, ones(3), 0.0))",
    "print(ones(3)[?([true, false])])",
    "print(one_hot(?([0.5]), 3))",
    "print(\"a\" < ?(1))",
    "print(3 in ?(4))",
];

fn told(program: &str) -> (Option<Diagnostic>, Option<Diagnostic>) {
    let options = Options { dtype: DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 };
    let mut session = Session::new(options);
    session.vm.capture_output();
    let loaded = session.load_main("test.dl", program, Mode::Script);
    let before = loaded.diagnostics.into_iter().find(|d| d.is_error());
    let Some(unit) = loaded.unit else { return (before, None) };
    let during = session.run(&unit).err().map(|e| e.to_diagnostic(|span| session.sources.place(span)));
    (before, during)
}

#[test]
fn both_say_the_same() {
    let mut differ = vec![];
    for case in CASES {
        let (before, _) = told(&format!("{HIDE}{}", case.replace('?', "")));
        let (early, during) = told(&format!("{HIDE}{}", case.replace('?', "hide")));
        if early.is_some() || before.is_none() {
            // Found all the same: what is hidden does not matter.
            continue;
        }
        let said = |d: &Option<Diagnostic>| match d {
            Some(d) => format!("{} {}\n      hint: {}", d.code, d.message, d.help.as_deref().unwrap_or("")),
            None => "nothing".into(),
        };
        if said(&before) != said(&during) {
            differ.push(format!("{case}\n  before {}\n  during {}", said(&before), said(&during)));
        }
    }
    assert!(differ.is_empty(), "{} of {} differ\n{}", differ.len(), CASES.len(), differ.join("\n"));
}
