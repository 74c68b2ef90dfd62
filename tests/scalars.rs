//! A number has the same bits computed alone as in a tensor: all elementwise primitives and their slopes, for numbers of all sizes and
//! special ones.

use dlang::ops::lanes::{Elementwise, LaneKernel, Scalar};
use dlang::ops::prim::Eval;
use dlang::tensor::lanes::Lanes;
use dlang::tensor::out::behind;

/// Numbers without a pattern, from a fixed start.
struct Mixed(u64);

impl Mixed {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = self.0;
        (x ^ (x >> 31)).rotate_right((x >> 59) as u32)
    }

    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Numbers around 0 and 1, of all sizes, and special ones; in an order that brings each of them into vectors and to ends of rows.
fn points(start: u64) -> Vec<f64> {
    let mut mixed = Mixed(start);
    let special = [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0, 20.0, 1e-320, 1e-30, 1e30, 1e300, f64::INFINITY, f64::NAN];
    let mut points: Vec<f64> = special.iter().flat_map(|&x| [x, -x]).collect();
    for _ in 0..400 {
        points.extend([2.0 * mixed.part() - 1.0, mixed.part(), 16.0 * mixed.part() - 8.0, 60.0 * mixed.part()]);
        points.push(f64::from_bits(mixed.next()));
        points.push((80.0 * mixed.part() - 40.0).exp2());
    }
    for i in (1..points.len()).rev() {
        points.swap(i, (mixed.next() % (i as u64 + 1)) as usize);
    }
    points
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// What differs, by the arguments.
fn differences(name: &str, rows: &[f64], alone: impl Fn(usize) -> f64, args: &[&[f64]]) -> Option<String> {
    let wrong: Vec<usize> = (0..rows.len()).filter(|&i| !same(rows[i], alone(i))).collect();
    let &first = wrong.first()?;
    let at: Vec<f64> = args.iter().map(|arg| arg[first]).collect();
    Some(format!(
        "{name}: {} numbers, among them {:e} in a tensor and {:e} alone, of {at:?}",
        wrong.len(),
        rows[first],
        alone(first)
    ))
}

/// Values and slopes of one primitive.
fn check(name: &str, inside: &Elementwise, args: &[Vec<f64>]) -> Vec<String> {
    let args: Vec<&[f64]> = args[..inside.arity()].iter().map(|arg| &arg[..]).collect();
    let n = args[0].len();
    let lanes: Vec<Lanes<'_, f64>> = args.iter().map(|arg| Lanes::Each(arg)).collect();
    let mut values = vec![];
    behind(&mut values, n, |out| (inside.lanes64)(n, &lanes, out));
    assert_eq!(values.len(), n, "{name}");
    let mut wrong = vec![];
    wrong.extend(differences(
        name,
        &values,
        |i| match inside.scalar {
            Scalar::Unary { f, .. } => f(args[0][i]),
            Scalar::Binary { f, .. } => f(args[0][i], args[1][i]),
            Scalar::Ternary { f, .. } => f(args[0][i], args[1][i], args[2][i]),
        },
        &args,
    ));
    let ones = vec![1.0; n];
    for k in 0..inside.arity() {
        let mut slopes = vec![];
        behind(&mut slopes, n, |out| (inside.pull64[k])(&args, &values, &ones, out));
        let alone = |i: usize| match inside.scalar {
            Scalar::Unary { d, .. } => d(args[0][i], values[i]),
            Scalar::Binary { d, .. } => d[k](args[0][i], args[1][i], values[i]),
            Scalar::Ternary { d, .. } => d[k](args[0][i], args[1][i], args[2][i], values[i]),
        };
        wrong.extend(differences(&format!("slope {k} of {name}"), &slopes, alone, &args));
    }
    wrong
}

/// In `f32` each number in a tensor of one and in one of many.
fn check32(name: &str, kernel: LaneKernel<f32>, args: &[Vec<f64>]) -> Option<String> {
    let args: Vec<Vec<f32>> = args.iter().map(|arg| arg.iter().map(|&x| x as f32).collect()).collect();
    let run = |from: usize, n: usize| {
        let lanes: Vec<Lanes<'_, f32>> = args.iter().map(|arg| Lanes::Each(&arg[from..from + n])).collect();
        let mut out = vec![];
        behind(&mut out, n, |out| kernel(n, &lanes, out));
        out
    };
    let rows: Vec<f64> = run(0, args[0].len()).into_iter().map(f64::from).collect();
    let wide: Vec<Vec<f64>> = args.iter().map(|arg| arg.iter().map(|&x| f64::from(x)).collect()).collect();
    let wide: Vec<&[f64]> = wide.iter().map(|arg| &arg[..]).collect();
    differences(&format!("{name} of f32"), &rows, |i| f64::from(run(i, 1)[0]), &wide)
}

#[test]
fn scalars_have_the_bits_of_tensors() {
    let all = [points(1), points(2), points(3)];
    // Without negative numbers some kernels go another way.
    let positive = all.clone().map(|arg| arg.into_iter().map(|x| if x.is_nan() { 1.0 } else { x.abs() }).collect());
    let near = all.clone().map(|arg| arg.into_iter().map(|x| if x.abs() < 1e3 { x } else { 0.7 }).collect());
    let mut count = 0;
    let mut wrong = vec![];
    for prim in dlang::ops::table() {
        let Eval::Elementwise(inside) = prim.eval else { continue };
        count += 1;
        for args in [&all, &positive, &near] {
            wrong.extend(check(prim.name, inside, args));
            wrong.extend(check32(prim.name, inside.lanes32, &args[..inside.arity()]));
        }
    }
    println!("{count} primitives, {} numbers each", 3 * all[0].len());
    assert!(count > 60, "{count} primitives only");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The comparison can fail: with a kernel of another function, one last digit off, or a zero of the other sign.
#[test]
fn differences_are_noticed() {
    let inside = |name: &str| match dlang::ops::find(name).map(|prim| &prim.eval) {
        Some(Eval::Elementwise(inside)) => *inside,
        _ => panic!("{name} is no elementwise primitive"),
    };
    let args = [points(4)];
    let mut other = dlang::ops::lanes::Elementwise { lanes64: inside("expm1").lanes64, ..copy(inside("exp")) };
    assert!(!check("exp", &other, &args).is_empty());
    other = dlang::ops::lanes::Elementwise { pull64: inside("cos").pull64, ..copy(inside("sin")) };
    assert_eq!(check("sin", &other, &args).len(), 1);
    assert!(differences("", &[1.0, 0.0], |i| [1.0, -0.0][i], &[&[1.0, 0.0]]).is_some());
    assert!(differences("", &[1.0 + f64::EPSILON], |_| 1.0, &[&[1.0]]).is_some());
    assert!(differences("", &[f64::NAN, 1.0], |i| [f64::NAN, 1.0][i], &[&[1.0, 0.0]]).is_none());
}

fn copy(of: &Elementwise) -> Elementwise {
    let scalar = match of.scalar {
        Scalar::Unary { f, d } => Scalar::Unary { f, d },
        Scalar::Binary { f, d } => Scalar::Binary { f, d },
        Scalar::Ternary { f, d } => Scalar::Ternary { f, d },
    };
    Elementwise { scalar, special: None, check: None, slopes: Default::default(), ..*of }
}
