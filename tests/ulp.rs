//! Errors of the elementary functions in units of the last place: of `f32` against `f64`, of `f64` against values of 106 bits
//! (`ulp/f64.txt`, recorded by `ulp/record.py`). `cargo test --test ulp -- --nocapture` prints what was measured.

use dlang::ops::num::Num;
use dlang::tensor::simd::{
    asin, atan, erf, erfinv, exp, gamma, hazard, hyperbolic, hypot, log, normal, pow, ratio, sine, tanh,
};

type Function = fn(f64) -> f64;

/// Error of a result in units of the last place of the true value, which is `high + low`.
fn ulps64(got: f64, high: f64, low: f64) -> f64 {
    if got == high && (low == 0.0 || high.is_infinite()) || (got.is_nan() && high.is_nan()) {
        return 0.0;
    }
    let size = high.abs().clamp(f64::MIN_POSITIVE, f64::MAX);
    let unit = size - f64::from_bits(size.to_bits() - 1);
    let unit = if size.to_bits() & 0x000f_ffff_ffff_ffff == 0 && size > f64::MIN_POSITIVE { 2.0 * unit } else { unit };
    let error = ((got - high) / unit - low / unit).abs();
    if error.is_nan() { f64::INFINITY } else { error }
}

fn ulps32(got: f32, want: f64) -> f64 {
    let nearest = want as f32;
    if (got.is_nan() && want.is_nan()) || (got == nearest && (f64::from(got) == want || got.is_infinite())) {
        return 0.0;
    }
    let size = nearest.abs().clamp(f32::MIN_POSITIVE, f32::MAX);
    let unit = f64::from(size) - f64::from(f32::from_bits(size.to_bits() - 1));
    let whole = size.to_bits() & 0x007f_ffff == 0 && size > f32::MIN_POSITIVE;
    let unit = if whole { 2.0 * unit } else { unit };
    let error = ((f64::from(got) - want) / unit).abs();
    if error.is_nan() { f64::INFINITY } else { error }
}

/// Compares at every 9973rd of all `f32`, subnormals, infinities and NaN among them, and densely between -20 and 20.
fn check32(name: &str, limit: f64, f: fn(f32) -> f32, truth: fn(f64) -> f64) {
    let spread = (0..=u32::MAX).step_by(9973).map(f32::from_bits);
    let dense = (0..400_000).map(|i| (i as f32 - 200_000.0) * 1e-4);
    let edges = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45];
    let mut worst = (0.0, 0.0);
    for x in spread.chain(dense).chain(edges) {
        let error = ulps32(f(x), truth(f64::from(x)));
        if error > worst.0 {
            worst = (error, x);
        }
    }
    println!("{name} f32: {:.2} ulp at {:e}", worst.0, worst.1);
    assert!(worst.0 <= limit, "{name} of f32: {} ulp at {:e}, more than {limit}", worst.0, worst.1);
}

#[test]
fn f32_functions() {
    check32("exp", 1.0, exp::exp32, libm::exp);
    check32("expm1", 1.7, exp::expm1_32, libm::expm1);
    check32("log", 0.9, log::ln32, libm::log);
    check32("log1p", 0.9, log::ln1p32, libm::log1p);
    check32("tanh", 2.0, tanh::tanh32, libm::tanh);
    // Below the smallest normal number results are 0 while a program runs.
    fn sigmoid(x: f32) -> f32 {
        let y = tanh::sigmoid32(x);
        if y < f32::MIN_POSITIVE { 0.0 } else { y }
    }
    fn truth(x: f64) -> f64 {
        let y = 1.0 / (1.0 + libm::exp(-x));
        if y < f64::from(f32::MIN_POSITIVE) { 0.0 } else { y }
    }
    check32("sigmoid", 2.0, sigmoid, truth);
    check32("erf", 1.4, erf::erf32, libm::erf);
    check32("atan", 1.5, atan::atan32, libm::atan);
    check32("cosh", 1.5, hyperbolic::cosh32, libm::cosh);
    check32("sinh", 1.7, hyperbolic::sinh32, libm::sinh);
    check32("asinh", 0.51, hyperbolic::asinh32, libm::asinh);
    check32("log2", 0.51, pow::log2_32, libm::log2);
    check32("tan", 0.6, sine::tan32, libm::tan);
    check32("erfc", 1.1, erf::erfc32, libm::erfc);
    check32("asin", 1.3, asin::asin32, libm::asin);
    check32("acos", 1.3, asin::acos32, libm::acos);
    check32("log10", 0.51, pow::log10_32, libm::log10);
    check32("acosh", 0.51, hyperbolic::acosh32, |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) });
    check32("atanh", 1.2, ratio::atanh32, |x| if x.abs() > 1.0 { f64::NAN } else { libm::atanh(x) });
    fn logit(x: f64) -> f64 {
        let near = (x - 0.5).abs() < 0.25;
        if near { libm::log1p((x + x - 1.0) / (1.0 - x)) } else { libm::log(x) - libm::log1p(-x) }
    }
    check32("logit", 0.9, ratio::logit32, logit);
    // Far below 0 the first terms of the series.
    fn log_normal(x: f64) -> f64 {
        let tail = 0.5 * libm::erfc(x.abs() * std::f64::consts::FRAC_1_SQRT_2);
        if x > 0.0 {
            libm::log1p(-tail)
        } else if x > -20.0 || x.is_nan() {
            libm::log(tail)
        } else {
            let y = 1.0 / (x * x);
            let series = y * (-1.0 + y * (3.0 + y * (-15.0 + y * 105.0)));
            -0.5 * x * x - libm::log(-x) - 0.918_938_533_204_672_7 + libm::log1p(series)
        }
    }
    check32("erfinv", 2.0, erfinv::erfinv32, erfinv::erfinv64);
    fn positive(x: f32) -> f64 {
        if x < f32::MIN_POSITIVE { 1.0 } else { f64::from(x) }
    }
    check32("lgamma", 0.6, |x| gamma::lgamma32(positive(x)) as f32, |x| libm::lgamma(positive(x as f32)));
    // As for sigmoid.
    fn hazard_truth(x: f64) -> f64 {
        let y = hazard::hazard64(x);
        if y < f64::from(f32::MIN_POSITIVE) { 0.0 } else { y }
    }
    fn density_over_rest(x: f32) -> f32 {
        let y = hazard::hazard32(x);
        if y < f32::MIN_POSITIVE { 0.0 } else { y }
    }
    check32("hazard", 0.6, density_over_rest, hazard_truth);
    check32("excess of the hazard", 1.0, hazard::hazard_excess32, hazard::hazard_excess64);
    check32("log_ndtr", 0.6, hazard::log_ndtr32, log_normal);
    check32("sin", 1.6, sine::sin32, libm::sin);
    check32("cos", 1.6, sine::cos32, libm::cos);
    // As for sigmoid.
    fn normal(x: f32) -> f32 {
        let y = normal::ndtr32(x);
        if y < f32::MIN_POSITIVE { 0.0 } else { y }
    }
    fn normal_truth(x: f64) -> f64 {
        let y = 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        if y < f64::from(f32::MIN_POSITIVE) { 0.0 } else { y }
    }
    check32("normal distribution", 4.1, normal, normal_truth);
    fn density(x: f32) -> f32 {
        let y = normal::density32(x);
        if y < f32::MIN_POSITIVE { 0.0 } else { y }
    }
    fn density_truth(x: f64) -> f64 {
        let y = 0.398_942_280_401_432_7 * libm::exp(-0.5 * x * x);
        if y < f64::from(f32::MIN_POSITIVE) { 0.0 } else { y }
    }
    check32("normal density", 1.2, density, density_truth);
    let softplus = |x: f64| if x.is_nan() { x } else { x.max(0.0) + libm::log1p(libm::exp(-x.abs())) };
    check32("softplus", 2.0, f32::softplus, softplus);
}

#[test]
fn f32_power() {
    let mut worst = (0.0, 0.0, 0.0);
    let special =
        [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 1e-45, 1e-39, 3e38, 16_777_216.0, 16_777_215.0, f32::INFINITY, f32::NAN, 7.25];
    let signed = || special.iter().flat_map(|&x| [x, -x]);
    let mut pairs: Vec<(f32, f32)> = signed().flat_map(|x| signed().map(move |y| (x, y))).collect();
    for i in 0..400_000u32 {
        let mixed = i.wrapping_mul(2_654_435_761);
        let x = (mixed % 100_003) as f32 * 1e-4;
        let y = (mixed / 65_536) as f32 * 1e-3 - 32.0;
        pairs.push((x, y));
        pairs.push((-x, y.trunc()));
        pairs.push((f32::from_bits(mixed), y));
    }
    for (x, y) in pairs {
        let error = ulps32(pow::pow32(x, y), libm::pow(f64::from(x), f64::from(y)));
        if error > worst.0 {
            worst = (error, x, y);
        }
    }
    println!("pow f32: {:.3} ulp at {:e} ^ {:e}", worst.0, worst.1, worst.2);
    assert!(worst.0 <= 0.52, "{} ulp at {:e} ^ {:e}", worst.0, worst.1, worst.2);
}

/// Against `libm`'s, which is off by less than one unit itself.
#[test]
fn lengths_of_pairs() {
    let special =
        [0.0, 1.0, 3.0, 1e-320, 2e-308, 1e-160, 1e-139, 3e-141, 1e139, 1e160, 1.5e308, f64::INFINITY, f64::NAN];
    let mut pairs: Vec<(f64, f64)> = special.iter().flat_map(|&x| special.map(|y| (-x, y))).collect();
    for i in 0..400_000u32 {
        let mixed = f64::from(i.wrapping_mul(2_654_435_761));
        let (x, y) = (mixed * 1e-5 - 2e4, f64::from(i % 1009) * 0.37);
        let scale = 10f64.powi((i % 613) as i32 - 306);
        pairs.extend([(x, y), (y, x), (x * scale, y * scale), (x, y * scale)]);
    }
    let mut worst = [0.0; 2];
    for (x, y) in pairs {
        let error = ulps64(hypot::hypot64(x, y), libm::hypot(x, y), 0.0);
        let (a, b) = (x as f32, y as f32);
        let single = ulps32(hypot::hypot32(a, b), libm::hypot(f64::from(a), f64::from(b)));
        assert!(error <= 1.0 && single <= 0.51, "hypot({x:e}, {y:e}): {error} and {single} ulp");
        worst = [f64::max(worst[0], error), f64::max(worst[1], single)];
    }
    println!("hypot f64: {:.2} ulp, f32: {:.3}", worst[0], worst[1]);
}

/// Against `libm`'s, which is off by less than one unit itself: all pairs of special numbers of all signs, bit by bit where the
/// angle is exact, and points of all sizes.
#[test]
fn angles_of_points() {
    let special =
        [0.0, 1.0, 3.0, 1e-45, 1e-39, 1e-20, 5e-324, 1e-300, 1e30, 3e38, 1e160, 1.5e308, f64::INFINITY, f64::NAN];
    let signed = || special.iter().flat_map(|&x| [x, -x]);
    let mut pairs: Vec<(f64, f64)> = signed().flat_map(|y| signed().map(move |x| (y, x))).collect();
    for i in 0..400_000u32 {
        let mixed = f64::from(i.wrapping_mul(2_654_435_761));
        let (x, y) = (mixed * 1e-5 - 2e4, f64::from(i % 1009) * 37.0 - 2e4);
        let scale = 10f64.powi((i % 79) as i32 - 39);
        pairs.extend([(y, x), (x, y), (y * scale, x * scale), (y * scale, x)]);
        let scale = 10f64.powi((i % 613) as i32 - 306);
        pairs.extend([(y * scale, x * scale), (y, x * scale)]);
    }
    let mut worst = [0.0; 2];
    for (y, x) in pairs {
        let (got, want) = (atan::atan2_64(y, x), libm::atan2(y, x));
        let (a, b) = (y as f32, x as f32);
        let (single, truth) = (atan::atan2_32(a, b), libm::atan2(f64::from(a), f64::from(b)));
        let errors = [ulps64(got, want, 0.0), ulps32(single, truth)];
        assert!(errors[0] <= 2.0 && errors[1] <= 1.6, "atan2({y:e}, {x:e}): {errors:?} ulp");
        let same_signs = got.is_sign_negative() == want.is_sign_negative() || want.is_nan();
        assert!(same_signs && (single.is_sign_negative() == truth.is_sign_negative() || truth.is_nan()), "{y} {x}");
        worst = [f64::max(worst[0], errors[0]), f64::max(worst[1], errors[1])];
    }
    println!("atan2 f64: {:.2} ulp, f32: {:.2}", worst[0], worst[1]);
}

#[test]
fn f64_functions() {
    let table: &[(&str, f64, Function)] = &[
        ("exp", 1.0, exp::exp64),
        ("expm1", 1.1, exp::expm1_64),
        ("log", 0.6, log::ln64),
        ("log1p", 0.6, log::ln1p64),
        ("tanh", 1.0, tanh::tanh64),
        ("sigmoid", 1.8, tanh::sigmoid64),
        ("erf", 1.1, erf::erf64),
        ("sin", 0.8, sine::sin64),
        ("cos", 0.8, sine::cos64),
        ("density", 1.4, normal::density64),
        ("normal", 2.2, normal::ndtr64),
        ("tan", 1.6, sine::tan64),
        ("atan", 1.3, atan::atan64),
        ("cosh", 1.3, hyperbolic::cosh64),
        ("sinh", 1.5, hyperbolic::sinh64),
        ("asin", 1.3, asin::asin64),
        ("acos", 1.3, asin::acos64),
        ("log2", 0.7, log::log2_64),
        ("log10", 0.7, log::log10_64),
        ("atanh", 1.2, ratio::atanh64),
        ("acosh", 0.7, hyperbolic::acosh64),
        ("asinh", 0.7, hyperbolic::asinh64),
        ("logit", 0.7, ratio::logit64),
        ("erfc", 2.0, erf::erfc64),
        ("log_ndtr", 1.8, hazard::log_ndtr64),
        ("erfinv", 2.3, erfinv::erfinv64),
        ("lgamma", 2.5, gamma::lgamma64),
        // Digits are lost near its zero, at 1.46, where the points keep a distance, and far below 0 for the excess.
        ("digamma", 30.0, gamma::digamma64),
        ("hazard", 2.5, hazard::hazard64),
        ("excess", 8.0, hazard::hazard_excess64),
    ];
    let hex = |s: &str| f64::from_bits(u64::from_str_radix(s, 16).expect("16 hex digits"));
    for (name, limit, f) in table {
        let mut worst = (0.0, 0.0);
        let mut n = 0;
        for line in include_str!("ulp/f64.txt").lines() {
            let [row, x, high, low] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            if row != *name {
                continue;
            }
            n += 1;
            let error = ulps64(f(hex(x)), hex(high), hex(low));
            if error > worst.0 {
                worst = (error, hex(x));
            }
        }
        println!("{name} f64: {:.2} ulp at {:e}, of {n} points", worst.0, worst.1);
        assert!(n > 400);
        assert!(worst.0 <= *limit, "{name} of f64: {} ulp at {:e}, more than {limit}", worst.0, worst.1);
    }
}

#[test]
fn f64_at_the_edges() {
    let inf = f64::INFINITY;
    let same = |got: f64, want: f64| {
        assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{got} {want}")
    };
    let functions: &[(Function, Function)] = &[
        (exp::exp64, libm::exp),
        (exp::expm1_64, libm::expm1),
        (log::ln64, libm::log),
        (log::ln1p64, libm::log1p),
        (tanh::tanh64, libm::tanh),
        (erf::erf64, libm::erf),
        (sine::sin64, libm::sin),
        (sine::cos64, libm::cos),
        (sine::tan64, libm::tan),
        (atan::atan64, libm::atan),
        (hyperbolic::cosh64, libm::cosh),
        (hyperbolic::sinh64, libm::sinh),
        (hyperbolic::asinh64, libm::asinh),
        (hyperbolic::acosh64, |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) }),
        (asin::asin64, libm::asin),
        (asin::acos64, libm::acos),
        (log::log2_64, libm::log2),
        (log::log10_64, libm::log10),
        (ratio::atanh64, |x| if x.abs() > 1.0 { f64::NAN } else { libm::atanh(x) }),
        (ratio::logit64, |x| libm::log(x) - libm::log1p(-x)),
        (erf::erfc64, libm::erfc),
    ];
    for (f, truth) in functions {
        for x in [0.0, -0.0, inf, -inf, f64::NAN, 1.0 / 0.0 - inf, 5e-324] {
            same(f(x), truth(x));
        }
    }
    // The ends of domains, and powers.
    assert_eq!((asin::acos64(1.0).to_bits(), asin::asin64(-1.0)), (0, -std::f64::consts::FRAC_PI_2));
    assert_eq!((asin::acos64(-1.0), hyperbolic::acosh64(1.0).to_bits()), (std::f64::consts::PI, 0));
    assert!(
        [asin::asin64, asin::acos64, ratio::atanh64, ratio::logit64].iter().all(|f| f(1.0000000000000002).is_nan())
    );
    assert!([log::log2_64, log::log10_64, ratio::logit64, hyperbolic::acosh64].iter().all(|f| f(-1e-9).is_nan()));
    assert_eq!((ratio::atanh64(-1.0), ratio::logit64(1.0), ratio::logit64(-0.0)), (-inf, inf, -inf));
    assert_eq!((ratio::logit64(0.5).to_bits(), hazard::log_ndtr64(-inf)), (0, -inf));
    assert_eq!((hazard::log_ndtr64(inf), hazard::log_ndtr64(0.0)), (0.0, -std::f64::consts::LN_2));
    assert!(hazard::log_ndtr64(f64::NAN).is_nan() && hazard::log_ndtr32(f32::NAN).is_nan());
    assert_eq!(
        (erfinv::erfinv64(-1.0), erfinv::erfinv32(1.0), erfinv::erfinv64(-0.0).to_bits()),
        (-inf, f32::INFINITY, 1 << 63)
    );
    assert!([1.5, -inf, f64::NAN].iter().all(|&x| erfinv::erfinv64(x).is_nan() && erfinv::erfinv32(x as f32).is_nan()));
    assert_eq!((hazard::hazard64(-inf), hazard::hazard64(inf), hazard::hazard64(-1e200)), (inf, 0.0, 1e200));
    assert_eq!((hazard::hazard_excess64(-inf), hazard::hazard_excess64(inf)), (0.0, inf));
    assert!(hazard::hazard64(f64::NAN).is_nan() && hazard::hazard_excess32(f32::NAN).is_nan());
    assert_eq!((gamma::lgamma64(1.0), gamma::lgamma64(2.0), gamma::lgamma64(inf)), (0.0, 0.0, inf));
    assert_eq!((gamma::lgamma32(1.0), gamma::lgamma32(2.0), gamma::digamma64(inf)), (0.0, 0.0, inf));
    for k in -300..300 {
        assert_eq!(log::log2_64(2f64.powi(k)), f64::from(k));
        assert!((0..22).contains(&k).then(|| log::log10_64(10f64.powi(k))).is_none_or(|y| y == f64::from(k)));
    }
    assert_eq!((tanh::sigmoid64(0.0), tanh::sigmoid64(inf), tanh::sigmoid64(-inf)), (0.5, 1.0, 0.0));
    assert_eq!((exp::exp64(709.79), exp::exp64(-745.2), exp::exp64(1.0)), (inf, 0.0, std::f64::consts::E));
    assert_eq!((log::ln64(-1.0).is_nan(), log::ln1p64(-1.0), log::ln1p64(-2.0).is_nan()), (true, -inf, true));
    assert_eq!((tanh::tanh64(1000.0), erf::erf64(-1000.0)), (1.0, -1.0));
    // The double nearest to pi.
    assert_eq!(sine::sin64(std::f64::consts::PI), 1.2246467991473532e-16);
}
