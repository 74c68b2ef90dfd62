//! Rows on operations that act element by element: arithmetic, functions, choices, activations.

use super::pin::{Pin, each, fails, prints, scalar, warns};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
const LN_2: f64 = std::f64::consts::LN_2;
const PI: f64 = std::f64::consts::PI;
const HALF_ROOT: f64 = std::f64::consts::FRAC_1_SQRT_2;

pub fn pins() -> Vec<Pin> {
    [arithmetic(), functions(), choices(), activations()].concat()
}

fn arithmetic() -> Vec<Pin> {
    vec![
        each("`abs(x)` | 0 or -0", "|x| abs(x)", &[0.0], &[0.0], &[0.0]),
        each("`abs(x)` | 0 or -0", "|x| abs(x)", &[-0.0], &[0.0], &[0.0]),
        each("`sign(x)` | 0", "|x| sign(x)", &[0.0], &[0.0], &[0.0]),
        warns("`sign(x)` | 0", "print(grad(|x| sign(x))(0.0))", "W0308"),
        each("`sqrt(x)` | 0", "|x| sqrt(x)", &[0.0], &[0.0], &[INF]),
        each("`sqrt(x)` | 0", "|x| sqrt(x)", &[-0.0], &[0.0], &[INF]),
        each("`sqrt(x)` | -1", "|x| sqrt(x)", &[-1.0], &[NAN], &[NAN]),
        // In reverse mode the infinite cotangent meets the slope 0. In forward mode the tangent is 0 when it reaches the
        // root, and a zero tangent contributes zero.
        each("`sqrt(x*x)` | 0", "|x| sqrt(x*x)", &[0.0], &[0.0], &[NAN]).forward(&[0.0]),
        warns("`sqrt(x*x)` | 0", "print(grad(|x| sqrt(x*x))(1.0))", "write abs"),
        each("`rsqrt(x)` | 0", "|x| rsqrt(x)", &[0.0], &[INF], &[-INF]),
        each("`rsqrt(x)` | 0", "|x| rsqrt(x)", &[-0.0], &[INF], &[-INF]),
        each("`cbrt(x)` | 0", "|x| cbrt(x)", &[0.0], &[0.0], &[INF]),
        each("`1/x` | 0", "|x| 1.0 / x", &[0.0], &[INF], &[-INF]),
        each("`x/y` | (1, 0)", "|(x, y)| x / y", &[1.0, 0.0], &[INF], &[INF, -INF]),
        each("`x/y` | (0, 0)", "|(x, y)| x / y", &[0.0, 0.0], &[NAN], &[INF, NAN]),
        each("`x*y` | (0, inf)", "|(x, y)| x * y", &[0.0, INF], &[NAN], &[INF, 0.0]),
        each("`x ^ y` | (0, 0), value 1", "|(x, y)| x ^ y", &[0.0, 0.0], &[1.0], &[0.0, 0.0]),
        each("`x ^ y` | (0, 1)", "|(x, y)| x ^ y", &[0.0, 1.0], &[0.0], &[1.0, 0.0]),
        each("`x ^ y` | (0, 2)", "|(x, y)| x ^ y", &[0.0, 2.0], &[0.0], &[0.0, 0.0]),
        each("`x ^ y` | (0, 0.5)", "|(x, y)| x ^ y", &[0.0, 0.5], &[0.0], &[INF, 0.0]),
        each("`x ^ y` | (0, -1), value inf", "|(x, y)| x ^ y", &[0.0, -1.0], &[INF], &[-INF, -INF]),
        each("`x ^ y` | (-2, 2)", "|(x, y)| x ^ y", &[-2.0, 2.0], &[4.0], &[-4.0, NAN]),
        each("`x ^ y` | (-2, 2)", "|x| x ^ 2", &[-2.0], &[4.0], &[-4.0]),
        each("`x ^ y` | (-2, 2)", "|x| x ^ 2.0", &[-2.0], &[4.0], &[-4.0]),
        each("`x ^ y` | (-2, 0.5)", "|(x, y)| x ^ y", &[-2.0, 0.5], &[NAN], &[NAN, NAN]),
        each("`x ^ 0.0` | 0", "|x| x ^ 0.0", &[0.0], &[1.0], &[0.0]),
        each("`x ^ 1.0`, second derivative | 0", "|x| x ^ 1.0", &[0.0], &[0.0], &[1.0]).second(&[0.0]),
        each("`x ^ k`, literal k = 0, 1, 2, 3 | 0", "|x| x ^ 0", &[0.0], &[1.0], &[0.0]).second(&[0.0]),
        each("`x ^ k`, literal k = 0, 1, 2, 3 | 0", "|x| x ^ 1", &[0.0], &[0.0], &[1.0]).second(&[0.0]),
        each("`x ^ k`, literal k = 0, 1, 2, 3 | 0", "|x| x ^ 2", &[0.0], &[0.0], &[0.0]).second(&[2.0]),
        each("`x ^ k`, literal k = 0, 1, 2, 3 | 0", "|x| x ^ 3", &[0.0], &[0.0], &[0.0]).second(&[0.0]),
        each("`0.0 ^ y` | y = 0", "|y| 0.0 ^ y", &[0.0], &[1.0], &[0.0]),
        fails("integer `//` and `%` | divisor 0", "print(1 // 0)", "E0411"),
        fails("integer `//` and `%` | divisor 0", "print([1, 2] % 0)", "E0411"),
        each("`x // y` on floats | (5, 3)", "|(x, y)| x // y", &[5.0, 3.0], &[1.0], &[0.0, 0.0]),
        warns("`x // y` on floats | (5, 3)", "print(grad(|x| x // 3.0)(5.0))", "W0308"),
        each("`x % y`, sign of divisor | (5, 3)", "|(x, y)| x % y", &[5.0, 3.0], &[2.0], &[1.0, -1.0]),
        each("`x % y`, sign of divisor | (5, 3)", "|(x, y)| x % y", &[-5.0, 3.0], &[1.0], &[1.0, 2.0]),
        each("`x % y` | (6, 3), the jump", "|(x, y)| x % y", &[6.0, 3.0], &[0.0], &[1.0, -2.0]),
        each("`x % y` | (1, 0), value NaN", "|(x, y)| x % y", &[1.0, 0.0], &[NAN], &[NAN, NAN]),
        each("`fmod(x, y)`, sign of dividend | (-5, 3)", "|(x, y)| fmod(x, y)", &[-5.0, 3.0], &[-2.0], &[1.0, 1.0]),
        each("`floor`, `ceil`, `round`, `trunc` | anywhere", "|x| floor(x)", &[2.5], &[2.0], &[0.0]),
        each("`floor`, `ceil`, `round`, `trunc` | anywhere", "|x| ceil(x)", &[2.5], &[3.0], &[0.0]),
        each("`floor`, `ceil`, `round`, `trunc` | anywhere", "|x| round(x)", &[2.5], &[2.0], &[0.0]),
        each("`floor`, `ceil`, `round`, `trunc` | anywhere", "|x| trunc(x)", &[-2.5], &[-2.0], &[0.0]),
        warns("`floor`, `ceil`, `round`, `trunc` | anywhere", "print(grad(|x| floor(x))(2.5))", "W0308"),
        warns("`floor`, `ceil`, `round`, `trunc` | anywhere", "print(grad(|x| round(x) + trunc(x))(2.5))", "W0308"),
        each("`x - floor(x)` | 1.0", "|x| x - floor(x)", &[1.0], &[0.0], &[1.0]),
        each("`copysign(x, y)` | (0, 1)", "|(x, y)| copysign(x, y)", &[0.0, 1.0], &[0.0], &[0.0, 0.0]),
        each("`copysign(x, y)` | (0, 1)", "|(x, y)| copysign(x, y)", &[2.0, -1.0], &[-2.0], &[-1.0, 0.0]),
        each("`heaviside(x, h)` | 0", "|(x, h)| heaviside(x, h)", &[0.0, 0.5], &[0.5], &[0.0, 0.0]),
        warns("`heaviside(x, h)` | 0", "print(grad(|x| heaviside(x))(1.0))", "W0308"),
    ]
}

fn functions() -> Vec<Pin> {
    vec![
        each("`exp(x)` | 1000, value inf", "|x| exp(x)", &[1000.0], &[INF], &[INF]),
        each("`exp(x)` | -1000", "|x| exp(x)", &[-1000.0], &[0.0], &[0.0]),
        each("`expm1(x)`, `log1p(x)` | 1e-20", "|x| expm1(x)", &[1e-20], &[1e-20], &[1.0]),
        each("`expm1(x)`, `log1p(x)` | 1e-20", "|x| log1p(x)", &[1e-20], &[1e-20], &[1.0]),
        each("`log(x)` | 0", "|x| log(x)", &[0.0], &[-INF], &[INF]),
        each("`log(x)` | 0", "|x| log(x)", &[-0.0], &[-INF], &[INF]),
        each("`log(x)` | -1, value NaN", "|x| log(x)", &[-1.0], &[NAN], &[NAN]),
        each("`log1p(x)` | -1", "|x| log1p(x)", &[-1.0], &[-INF], &[INF]),
        each("`log1p(x)` | -2, value NaN", "|x| log1p(x)", &[-2.0], &[NAN], &[NAN]),
        // The table says NaN. The factor x = 0 is the slope of the product in log(x), and a zero cotangent ends there, as
        // in `0 * log(x)`; what is left is log(0), the limit of the derivative.
        each("`x*log(x)` | 0", "|x| x * log(x)", &[0.0], &[NAN], &[-INF]),
        each("`xlogy(x, y)` | (0, 0), value 0", "|(x, y)| xlogy(x, y)", &[0.0, 0.0], &[0.0], &[-INF, 0.0]),
        each("`xlogy(x, y)` | (0, 1)", "|(x, y)| xlogy(x, y)", &[0.0, 1.0], &[0.0], &[0.0, 0.0]),
        each("`xlogy(x, y)` | (1, 0)", "|(x, y)| xlogy(x, y)", &[1.0, 0.0], &[-INF], &[-INF, INF]),
        each("`xlogy(x, y)` | (0, -1), value 0", "|(x, y)| xlogy(x, y)", &[0.0, -1.0], &[0.0], &[NAN, 0.0]),
        each("`entropy term -x log x` | 0", "|x| -xlogy(x, x)", &[0.0], &[0.0], &[INF]),
        each("`logaddexp(a, b)` | equal", "|(a, b)| logaddexp(a, b)", &[1.0, 1.0], &[1.0 + LN_2], &[0.5, 0.5]),
        each("`logaddexp(a, b)` | (-inf, -inf)", "|(a, b)| logaddexp(a, b)", &[-INF, -INF], &[-INF], &[0.0, 0.0]),
        each("`logaddexp(a, b)` | (inf, inf)", "|(a, b)| logaddexp(a, b)", &[INF, INF], &[INF], &[0.5, 0.5]),
        each("`logaddexp(a, b)` | (0, -inf)", "|(a, b)| logaddexp(a, b)", &[0.0, -INF], &[0.0], &[1.0, 0.0]),
        each("`asin(x)`, `acos(x)` | x = 1", "|x| asin(x)", &[1.0], &[PI / 2.0], &[INF]),
        each("`asin(x)`, `acos(x)` | x = 1", "|x| acos(x)", &[1.0], &[0.0], &[-INF]),
        each("`asin(x)` | 1.5", "|x| asin(x)", &[1.5], &[NAN], &[NAN]),
        each("`acosh(x)` | 1", "|x| acosh(x)", &[1.0], &[0.0], &[INF]),
        each("`acosh(x)` | 1", "|x| acosh(x)", &[-2.0], &[NAN], &[NAN]),
        each("`atanh(x)` | 1 or -1", "|x| atanh(x)", &[1.0], &[INF], &[INF]).second(&[INF]),
        each("`atanh(x)` | 1 or -1", "|x| atanh(x)", &[-1.0], &[-INF], &[INF]).second(&[-INF]),
        each("`atanh(x)` | 1 or -1", "|x| atanh(x)", &[1.5], &[NAN], &[NAN]),
        each("`atan2(y, x)` | (0, 0)", "|(y, x)| atan2(y, x)", &[0.0, 0.0], &[0.0], &[0.0, 0.0]),
        each("`atan2(y, x)` | (0, -1)", "|(y, x)| atan2(y, x)", &[0.0, -1.0], &[PI], &[-1.0, 0.0]),
        each("`hypot(x, y)` | (0, 0)", "|(x, y)| hypot(x, y)", &[0.0, 0.0], &[0.0], &[0.0, 0.0]),
        each("`hypot(x, y)` | (1e200, 1e200)", "|(x, y)| hypot(x, y)", &[1e200, 1e200], &[1e200 / HALF_ROOT], &[
            HALF_ROOT, HALF_ROOT,
        ])
        .wide(),
        each("`sinc(x)` | 0", "|x| sinc(x)", &[0.0], &[1.0], &[0.0]).second(&[-PI * PI / 3.0]),
        each("`sin(x)/x` | 0", "|x| sin(x) / x", &[0.0], &[NAN], &[NAN]),
        each("`logit(x)` | 0 or 1", "|x| logit(x)", &[0.0], &[-INF], &[INF]),
        each("`logit(x)` | 0 or 1", "|x| logit(x)", &[-0.0], &[-INF], &[INF]),
        each("`logit(x)` | 0 or 1", "|x| logit(x)", &[1.0], &[INF], &[INF]),
        each("`logit(x)` | 0 or 1", "|x| logit(x)", &[2.0], &[NAN], &[NAN]),
        each("`erfinv(x)` | 1 or -1", "|x| erfinv(x)", &[1.0], &[INF], &[INF]),
        each("`erfinv(x)` | 1 or -1", "|x| erfinv(x)", &[-1.0], &[-INF], &[INF]),
        each("`erfinv(x)` | 1 or -1", "|x| erfinv(x)", &[1.5], &[NAN], &[NAN]),
        each("`lgamma(x)` | 0, value inf", "|x| lgamma(x)", &[0.0], &[INF], &[-INF]),
        each("`lgamma(x)` | -1, a pole", "|x| lgamma(x)", &[-1.0], &[INF], &[NAN]),
        each("`digamma(x)` | 0", "|x| digamma(x)", &[0.0], &[-INF], &[INF]),
        each("`log_ndtr(x)` | -40", "|x| log_ndtr(x)", &[-40.0], &[-804.608_442_013_753_8], &[40.024_968_847_207_264]),
        each("`nan_to_num(x)` | NaN or inf", "|x| nan_to_num(x)", &[NAN], &[0.0], &[0.0]),
        each("`nan_to_num(x)` | NaN or inf", "|x| nan_to_num(x)", &[INF], &[f64::MAX], &[0.0]).wide(),
        each("`nan_to_num(x)` | NaN or inf", "|x| nan_to_num(x)", &[-INF], &[f64::MIN], &[0.0]).wide(),
        each("`nan_to_num(x)` | NaN or inf", "|x| nan_to_num(x)", &[2.0], &[2.0], &[1.0]),
    ]
}

fn choices() -> Vec<Pin> {
    vec![
        each("`maximum(x, y)`, `minimum(x, y)` | x = y", "|(x, y)| maximum(x, y)", &[2.0, 2.0], &[2.0], &[0.5, 0.5]),
        each("`maximum(x, y)`, `minimum(x, y)` | x = y", "|(x, y)| minimum(x, y)", &[2.0, 2.0], &[2.0], &[0.5, 0.5]),
        each("`maximum(x, y)`, `minimum(x, y)` | x = y", "|(x, y)| max(x, y)", &[2.0, 2.0], &[2.0], &[0.5, 0.5]),
        each("`maximum(x, x)` | any", "|x| maximum(x, x)", &[3.0], &[3.0], &[1.0]),
        each("`maximum(x, 0)` | 0", "|x| maximum(x, 0.0)", &[0.0], &[0.0], &[0.5]),
        each("`maximum(x, y)` | (NaN, 1), value NaN", "|(x, y)| maximum(x, y)", &[NAN, 1.0], &[NAN], &[NAN, NAN]),
        each("`fmax(x, y)`, ignores NaN | (NaN, 1)", "|(x, y)| fmax(x, y)", &[NAN, 1.0], &[1.0], &[0.0, 1.0]),
        each("`fmax(x, y)`, ignores NaN | (NaN, 1)", "|(x, y)| fmin(x, y)", &[1.0, NAN], &[1.0], &[1.0, 0.0]),
        each("`fmax(x, y)`, ignores NaN | (NaN, 1)", "|(x, y)| fmax(x, y)", &[NAN, NAN], &[NAN], &[NAN, NAN]),
        each("`fmax(x, y)` | x = y", "|(x, y)| fmax(x, y)", &[2.0, 2.0], &[2.0], &[0.5, 0.5]),
        each("`clamp(x, lo, hi)`, constant bounds | x = lo or x = hi", "|x| clamp(x, 0.0, 1.0)", &[0.0], &[0.0], &[0.5]),
        each("`clamp(x, lo, hi)`, constant bounds | x = lo or x = hi", "|x| clamp(x, 0.0, 1.0)", &[1.0], &[1.0], &[0.5]),
        each("`clamp(x, lo, hi)`, bounds differentiated | x = lo", "|(x, l, h)| clamp(x, l, h)", &[0.0, 0.0, 1.0], &[0.0], &[
            0.5, 0.5, 0.0,
        ]),
        each("`clamp(x, lo, hi)` | outside", "|(x, l, h)| clamp(x, l, h)", &[-1.0, 0.0, 1.0], &[0.0], &[0.0, 1.0, 0.0]),
        each("`clamp(x, lo, hi)` | outside", "|(x, l, h)| clamp(x, l, h)", &[2.0, 0.0, 1.0], &[1.0], &[0.0, 0.0, 1.0]),
        fails("`clamp(x, 1, 0)` | lo > hi", "print(clamp(0.5, 1.0, 0.0))", "E0313"),
        each("`where(x > 0, sqrt(x), 0)` | 0", "|x| where(x > 0.0, sqrt(x), 0.0)", &[0.0], &[0.0], &[0.0]),
        each("`where(x > 0, 1/x, 0)` | 0", "|x| where(x > 0.0, 1.0 / x, 0.0)", &[0.0], &[0.0], &[0.0]),
        each("`where(x > 0, log(x), 0)` | -1", "|x| where(x > 0.0, log(x), 0.0)", &[-1.0], &[0.0], &[0.0]),
        each("`where(x > 0, sqrt(x), x)` | 0", "|x| where(x > 0.0, sqrt(x), x)", &[0.0], &[0.0], &[1.0]),
        each(
            "`where(c, sqrt(where(c, x, 1)), 0)`, the double-where | 0",
            "|x| { let c = x > 0.0; where(c, sqrt(where(c, x, 1.0)), 0.0) }",
            &[0.0],
            &[0.0],
            &[0.0],
        ),
        scalar("`if x > 0 { sqrt(x) } else { 0*x }` | 0", "|x| if x > 0.0 { sqrt(x) } else { 0.0 * x }", &[0.0], &[0.0], &[
            0.0,
        ]),
        super::pin::whole(
            "batched `if` | [0, 4]",
            "|x| vmap(|t| if t > 0.0 { sqrt(t) } else { 0.0 * t })(x)",
            "[0.0, 4.0]",
            &[0.0, 2.0],
            &[0.0, 0.25],
        ),
        each("`0 * log(x)` | 0, value NaN", "|x| 0.0 * log(x)", &[0.0], &[NAN], &[0.0]),
        scalar("`if x >= 0 { x } else { -x }` | 0", "|x| if x >= 0.0 { x } else { -x }", &[0.0], &[0.0], &[1.0]),
        scalar("`if x == 0 { 0*x } else { x }` | 0", "|x| if x == 0.0 { 0.0 * x } else { x }", &[0.0], &[0.0], &[0.0]),
        warns("`if x == 0 { 0*x } else { x }` | 0", "print(grad(|x| if x == 0.3 { 0.0 } else { x })(1.0))", "W0303"),
    ]
}

fn activations() -> Vec<Pin> {
    const SELU: f64 = 1.050_700_987_355_480_5;
    vec![
        each("`relu` | 0", "|x| relu(x)", &[0.0], &[0.0], &[0.0]),
        each("`relu` | NaN", "|x| relu(x)", &[NAN], &[NAN], &[NAN]),
        each("`relu6` | 0 and 6", "|x| relu6(x)", &[0.0], &[0.0], &[0.0]),
        each("`relu6` | 0 and 6", "|x| relu6(x)", &[6.0], &[6.0], &[0.0]),
        each("`relu6` | 0 and 6", "|x| relu6(x)", &[NAN], &[NAN], &[NAN]),
        each("`leaky_relu(0.01)` | 0", "|x| leaky_relu(x)", &[0.0], &[0.0], &[0.01]),
        each("`leaky_relu(0.01)` | 0", "|x| leaky_relu(x, slope: 0.01)", &[-2.0], &[-0.02], &[0.01]),
        each("`leaky_relu(0.01)` | 0", "|x| leaky_relu(x)", &[NAN], &[NAN], &[NAN]),
        each("`elu`, `celu` | 0", "|x| elu(x)", &[0.0], &[0.0], &[1.0]),
        each("`elu`, `celu` | 0", "|x| celu(x)", &[0.0], &[0.0], &[1.0]),
        each("`elu`, `celu` | 0", "|x| celu(x, alpha: 2.0)", &[0.0], &[0.0], &[1.0]),
        each("`selu` | 0", "|x| selu(x)", &[0.0], &[0.0], &[SELU]),
        each("`elu` | 1000", "|x| elu(x)", &[1000.0], &[1000.0], &[1.0]),
        each("`hard_tanh` | 1 and -1", "|x| hard_tanh(x)", &[1.0], &[1.0], &[0.0]),
        each("`hard_tanh` | 1 and -1", "|x| hard_tanh(x)", &[-1.0], &[-1.0], &[0.0]),
        each("`hard_tanh` | 1 and -1", "|x| hard_tanh(x)", &[0.5], &[0.5], &[1.0]),
        each("`hard_sigmoid` | 3 and -3", "|x| hard_sigmoid(x)", &[3.0], &[1.0], &[0.0]).second(&[0.0]),
        each("`hard_sigmoid` | 3 and -3", "|x| hard_sigmoid(x)", &[-3.0], &[0.0], &[0.0]).second(&[0.0]),
        each("`hard_swish` | 3 and -3", "|x| hard_swish(x)", &[3.0], &[3.0], &[1.0]),
        each("`hard_swish` | 3 and -3", "|x| hard_swish(x)", &[-3.0], &[0.0], &[0.0]),
        each("`softsign` | 0", "|x| softsign(x)", &[0.0], &[0.0], &[1.0]),
        each("`sigmoid`, `tanh` | 1000, -1000", "|x| sigmoid(x)", &[1000.0], &[1.0], &[0.0]),
        each("`sigmoid`, `tanh` | 1000, -1000", "|x| sigmoid(x)", &[-1000.0], &[0.0], &[0.0]),
        each("`sigmoid`, `tanh` | 1000, -1000", "|x| tanh(x)", &[1000.0], &[1.0], &[0.0]),
        each("`sigmoid`, `tanh` | 1000, -1000", "|x| tanh(x)", &[-1000.0], &[-1.0], &[0.0]),
        each("`1/(1+exp(-x))` by hand | -1000", "|x| 1.0 / (1.0 + exp(-x))", &[-1000.0], &[0.0], &[0.0]),
        each("`log_sigmoid` | 1000, -1000", "|x| log_sigmoid(x)", &[1000.0], &[0.0], &[0.0]),
        each("`log_sigmoid` | 1000, -1000", "|x| log_sigmoid(x)", &[-1000.0], &[-1000.0], &[1.0]),
        each("`softplus` | 1000, -1000", "|x| softplus(x)", &[1000.0], &[1000.0], &[1.0]),
        each("`softplus` | 1000, -1000", "|x| softplus(x)", &[-1000.0], &[0.0], &[0.0]),
        each("`softplus`, second derivative | 25", "|x| softplus(x)", &[25.0], &[25.000_000_000_013_888], &[
            0.999_999_999_986_112,
        ])
        .second(&[1.388_794_386_457_827_1e-11]),
        each("`gelu`, `silu` | -inf", "|x| gelu(x)", &[-INF], &[0.0], &[0.0]),
        each("`gelu`, `silu` | -inf", "|x| gelu(x, approximate: true)", &[-INF], &[0.0], &[0.0]),
        each("`gelu`, `silu` | -inf", "|x| silu(x)", &[-INF], &[0.0], &[0.0]),
        each("`gelu`, `silu` | -inf", "|x| mish(x)", &[-INF], &[0.0], &[0.0]),
        each("`gelu`, `silu` | inf", "|x| gelu(x)", &[INF], &[INF], &[1.0]),
        each("`gelu`, `silu` | inf", "|x| silu(x)", &[INF], &[INF], &[1.0]),
        prints("`relu` | NaN", "print(relu(-3), relu6(9), hard_tanh([-4, 0, 4]))", "0 6 [-1, 0, 1]"),
    ]
}
