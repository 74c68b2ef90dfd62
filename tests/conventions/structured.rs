//! Rows on reductions, indexing, types, losses, layers, random numbers and control flow.

use super::pin::{Pin, each, fails, prints, scalar, warns, whole};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
const LN_2: f64 = std::f64::consts::LN_2;
const THIRD: f64 = 1.0 / 3.0;

pub fn pins() -> Vec<Pin> {
    [reductions(), indexing(), types(), library(), control()].concat()
}

fn reductions() -> Vec<Pin> {
    vec![
        whole("`prod` | [2, 0, 3]", "|x| prod(x)", "[2.0, 0.0, 3.0]", &[0.0], &[0.0, 6.0, 0.0])
            .second(&[0.0, 3.0, 0.0, 3.0, 0.0, 2.0, 0.0, 2.0, 0.0]),
        whole("`prod` | [2, 0, 0]", "|x| prod(x)", "[2.0, 0.0, 0.0]", &[0.0], &[0.0, 0.0, 0.0])
            .second(&[0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0, 0.0]),
        whole("`cumprod` | [2, 0, 3]", "|x| cumprod(x)", "[2.0, 0.0, 3.0]", &[2.0, 0.0, 0.0], &[1.0, 8.0, 0.0])
            .second(&[0.0, 4.0, 0.0, 4.0, 0.0, 2.0, 0.0, 2.0, 0.0]),
        whole("`cummax` | [1, 1, 0]", "|x| cummax(x)", "[1.0, 1.0, 0.0]", &[1.0, 1.0, 1.0], &[2.0, 1.0, 0.0]),
        whole("`cummax` | [1, 1, 0]", "|x| cummin(x)", "[-1.0, -1.0, 0.0]", &[-1.0, -1.0, -1.0], &[2.0, 1.0, 0.0]),
        whole("`cummax` | [1, 1, 0]", "|x| cummax(x)", "[1.0, nan]", &[1.0, NAN], &[NAN, NAN]),
        whole("`max`/`min` over all | [1, 1, 0]", "|x| max(x)", "[1.0, 1.0, 0.0]", &[1.0], &[0.5, 0.5, 0.0]),
        whole("`max`/`min` over all | [1, 1, 0]", "|x| min(x)", "[1.0, 1.0, 2.0]", &[1.0], &[0.5, 0.5, 0.0]),
        whole("`max` over all | three tied", "|x| max(x)", "[1.0, 1.0, 1.0]", &[1.0], &[THIRD, THIRD, THIRD]),
        whole("`max(axis)` | [1, 1, 0]", "|x| max(x, axis: 1)", "[[1.0, 1.0, 0.0]]", &[1.0], &[0.5, 0.5, 0.0]),
        whole("`max(axis)` | [1, 1, 0]", "|x| x[argmax(x)]", "[1.0, 1.0, 0.0]", &[1.0], &[1.0, 0.0, 0.0]),
        whole("`max` | [NaN, 1]", "|x| max(x)", "[nan, 1.0]", &[NAN], &[NAN, NAN]),
        whole("`median` | [1, 1, 3]", "|x| median(x)", "[1.0, 1.0, 3.0]", &[1.0], &[0.5, 0.5, 0.0]),
        whole("`median` | [1, 1, 3]", "|x| median(x)", "[1.0, nan, 3.0]", &[NAN], &[NAN, NAN, NAN]),
        whole("`median` | [1, 2, 3, 4]", "|x| median(x)", "[1.0, 2.0, 3.0, 4.0]", &[2.5], &[0.0, 0.5, 0.5, 0.0]),
        whole(
            "`quantile(1/2)` | [1, 2, 3, 4]",
            "|x| quantile(x, 0.5)",
            "[4.0, 2.0, 3.0, 1.0]",
            &[2.5],
            &[0.0, 0.5, 0.5, 0.0],
        ),
        fails("`mean`, `max` | empty", "print(mean(zeros(0)))", "E0412"),
        fails("`mean`, `max` | empty", "print(max(zeros(0)))", "E0412"),
        fails("`mean`, `max` | empty", "print(median(zeros(0)))", "E0412"),
        whole("`sum`, `prod`, `logsumexp` | empty", "|x| sum(x)", "zeros(0)", &[0.0], &[]),
        whole("`sum`, `prod`, `logsumexp` | empty", "|x| prod(x)", "zeros(0)", &[1.0], &[]),
        whole("`sum`, `prod`, `logsumexp` | empty", "|x| logsumexp(x)", "zeros(0)", &[-INF], &[]),
        whole("`std` | constant array", "|x| std(x)", "[3.0, 3.0]", &[0.0], &[0.0, 0.0]),
        whole("`var` | constant array", "|x| var(x)", "[3.0, 3.0]", &[0.0], &[0.0, 0.0]),
        fails("`std`, `var` with one degree of freedom removed | one element", "print(std([1.0], ddof: 1))", "E0412"),
        fails("`std`, `var` with one degree of freedom removed | one element", "print(var([1.0], ddof: 1))", "E0412"),
        whole("`norm` (2) | zero vector", "|x| norm(x)", "[0.0, 0.0]", &[0.0], &[0.0, 0.0])
            .second(&[0.0, 0.0, 0.0, 0.0]),
        whole("`norm` (1) | [0, 1]", "|x| norm(x, ord: 1)", "[0.0, 1.0]", &[1.0], &[0.0, 1.0]),
        whole("`norm` (3) | zero vector", "|x| norm(x, ord: 3)", "[0.0, 0.0]", &[0.0], &[0.0, 0.0]),
        whole("`norm` (inf) | [1, -1]", "|x| norm(x, ord: inf)", "[1.0, -1.0]", &[1.0], &[0.5, -0.5]),
        whole(
            "`norm` (2) | [1e200, 1e200]",
            "|x| norm(x)",
            "[1e200, 1e200]",
            &[2e200 * HALF_ROOT],
            &[HALF_ROOT, HALF_ROOT],
        )
        .wide(),
        whole("`norm(x)^2` | zero vector", "|x| norm(x)^2", "[0.0, 0.0]", &[0.0], &[0.0, 0.0]),
        // As for sqrt(x*x): the infinite cotangent of the root meets slopes of 0; a zero tangent contributes zero.
        whole("`sqrt(sum(x*x))` by hand | zero vector", "|x| sqrt(sum(x*x))", "[0.0, 0.0]", &[0.0], &[NAN, NAN])
            .forward(&[0.0, 0.0]),
        warns("`sqrt(sum(x*x))` by hand | zero vector", "let f = |x| sqrt(sum(x*x))\nprint(f([1.0]))", "norm(x)"),
        whole(
            "pairwise distance | coincident points",
            "|x| nn.pairwise_distance(x, x)",
            "[[0.0, 0.0], [3.0, 4.0]]",
            &[0.0, 5.0, 5.0, 0.0],
            &[-1.2, -1.6, 1.2, 1.6],
        ),
        whole("`normalize(x)` | zero vector", "|x| nn.normalize(x)", "[0.0, 0.0]", &[0.0, 0.0], &[0.0, 0.0]),
        whole("`normalize(x)` | zero vector", "|x| nn.normalize(x)", "[nan, 0.0]", &[NAN, NAN], &[NAN, NAN]),
        whole(
            "`cosine_similarity` | a zero vector",
            "|(x, y)| nn.cosine_similarity(x, y)",
            "([0.0, 0.0], [3.0, 4.0])",
            &[0.0],
            &[0.0, 0.0, 0.0, 0.0],
        ),
        whole("`logsumexp` | all -inf", "|x| logsumexp(x)", "[-inf, -inf]", &[-INF], &[0.0, 0.0]),
        whole("`logsumexp` | [0, -inf]", "|x| logsumexp(x)", "[0.0, -inf]", &[0.0], &[1.0, 0.0]),
        whole("`logsumexp` | [0, inf]", "|x| logsumexp(x)", "[0.0, inf]", &[INF], &[0.0, 1.0]),
        whole("`logsumexp` | [inf, inf]", "|x| logsumexp(x)", "[inf, inf]", &[INF], &[0.5, 0.5]),
        whole("`logsumexp` | [1000, 1000]", "|x| logsumexp(x)", "[1000.0, 1000.0]", &[1000.0 + LN_2], &[0.5, 0.5]),
        whole(
            "`log(sum(exp(x)))` by hand | [1000, 1000]",
            "|x| log(sum(exp(x)))",
            "[1000.0, 1000.0]",
            &[INF],
            &[0.0, 0.0],
        ),
        warns(
            "`log(sum(exp(x)))` by hand | [1000, 1000]",
            "let f = |x| log(sum(exp(x)))\nprint(f([1.0]))",
            "logsumexp",
        ),
        whole("`softmax` | all -inf", "|x| softmax(x) * [1.0, 2.0]", "[-inf, -inf]", &[0.0, 0.0], &[0.0, 0.0]),
        whole("`softmax` | [0, inf]", "|x| softmax(x) * [1.0, 2.0]", "[0.0, inf]", &[0.0, 2.0], &[0.0, 0.0]),
        whole("`softmax`, `log_softmax` | [1000, 0]", "|x| softmax(x)", "[1000.0, 0.0]", &[1.0, 0.0], &[0.0, 0.0]),
        whole(
            "`softmax`, `log_softmax` | [1000, 0]",
            "|x| log_softmax(x)",
            "[1000.0, 0.0]",
            &[0.0, -1000.0],
            &[-1.0, 1.0],
        ),
        whole("`log_softmax` | all -inf", "|x| log_softmax(x)", "[-inf, -inf]", &[-INF, -INF], &[0.0, 0.0]),
        whole(
            // As for sqrt(x*x).
            "`log(softmax(x))` by hand | [1000, 0]",
            "|x| log(softmax(x))",
            "[1000.0, 0.0]",
            &[0.0, -INF],
            &[NAN, NAN],
        )
        .forward(&[0.0, 0.0]),
        warns("`log(softmax(x))` by hand | [1000, 0]", "print(log(softmax([1.0, 0.0])))", "write log_softmax"),
        whole("`logcumsumexp` | [-inf, 0]", "|x| logcumsumexp(x)[0]", "[0.0, nan]", &[0.0], &[1.0, 0.0]),
        whole("`logcumsumexp` | [-inf, 0]", "|x| logcumsumexp(x)", "[-inf, 0.0]", &[-INF, 0.0], &[0.0, 1.0]),
        whole("`nansum`, `nanmean` | [NaN, 1]", "|x| nansum(x)", "[nan, 1.0]", &[1.0], &[0.0, 1.0]),
        whole("`nansum`, `nanmean` | [NaN, 1]", "|x| nanmean(x)", "[nan, 1.0]", &[1.0], &[0.0, 1.0]),
        prints(
            "`argmax` | any",
            "print(argmax([1.0, 1.0, 0.0]), grad(|x| float(argmax(x)))([1.0, 1.0]))",
            "0 [0.0, 0.0]",
        ),
        warns("`argmax` | any", "print(grad(|x| float(argmax(x)))([1.0, 1.0]))", "W0308"),
    ]
}

const HALF_ROOT: f64 = std::f64::consts::FRAC_1_SQRT_2;

fn indexing() -> Vec<Pin> {
    vec![
        whole(
            "gather `x[[0, 0, 1]]` | repeated index",
            "|x| x[[0, 0, 1]]",
            "[1.0, 2.0, 3.0]",
            &[1.0, 1.0, 2.0],
            &[2.0, 1.0, 0.0],
        ),
        whole(
            "write `y[[0, 0]] = v` | repeated index, last value wins",
            "|(y, v)| { var z = y; z[[0, 0]] = v; z }",
            "([2.0, 2.0], [5.0, 6.0])",
            &[6.0, 2.0],
            &[0.0, 1.0, 0.0, 1.0],
        ),
        whole(
            "`y[[0, 0]] += v` | repeated index",
            "|(y, v)| { var z = y; z[[0, 0]] += v; z }",
            "([2.0, 2.0], [5.0, 6.0])",
            &[13.0, 2.0],
            &[1.0, 1.0, 1.0, 1.0],
        ),
        whole(
            "`y[[0, 0]] *= v` | repeated index, y = [2, 2], v = [5, 6]",
            "|(y, v)| { var z = y; z[[0, 0]] *= v; z }",
            "([2.0, 2.0], [5.0, 6.0])",
            &[60.0, 2.0],
            &[30.0, 1.0, 12.0, 10.0],
        ),
        whole(
            "`y[[0]] *= v` | y = 0",
            "|(y, v)| { var z = y; z[[0]] *= v; z }",
            "([0.0, 2.0], [5.0])",
            &[0.0, 2.0],
            &[5.0, 1.0, 0.0],
        ),
        whole(
            "`segment_max` | two tied",
            "|x| segment_max(x, [0, 0, 1], 2)",
            "[3.0, 3.0, 1.0]",
            &[3.0, 1.0],
            &[0.5, 0.5, 1.0],
        ),
        whole(
            "`segment_max` | two tied",
            "|x| segment_sum(x, [0, 0, 1], 2)^2",
            "[3.0, 3.0, 1.0]",
            &[36.0, 1.0],
            &[12.0, 12.0, 2.0],
        ),
        fails("`x[5]`, length 3 | out of range", "let x = [1.0, 2.0, 3.0]\nprint(x[5])", "E0401"),
        fails("`x[5] = v`, length 3 | out of range", "var x = [1.0, 2.0, 3.0]\nx[5] = 0.0\nprint(x)", "E0401"),
        fails("`one_hot(5, 3)` | out of range", "print(one_hot(5, 3))", "E0401"),
        whole("`x[x > 1]` | [1, 2, 3]", "|x| x[x > 1.0]", "[1.0, 2.0, 3.0]", &[2.0, 3.0], &[0.0, 1.0, 1.0]),
        whole(
            "`x[0] = 0`, then sum | [1, 2]",
            "|x| { var y = x; y[0] = 0.0; sum(y) }",
            "[1.0, 2.0]",
            &[2.0],
            &[0.0, 1.0],
        ),
        whole("`sort` | ties", "|x| sort(x) * [1.0, 2.0, 4.0]", "[1.0, 1.0, 0.0]", &[0.0, 2.0, 4.0], &[2.0, 4.0, 1.0]),
        whole("`topk(x, 1)` | [1, 1, 0]", "|x| topk(x, 1)[0]", "[1.0, 1.0, 0.0]", &[1.0], &[1.0, 0.0, 0.0]),
        whole(
            "`max_pool2d` | tie",
            "|x| flatten(max_pool2d(reshape(x, 1, 1, 2, 2), 2))",
            "[1.0, 2.0, 2.0, 2.0]",
            &[2.0],
            &[0.0, 1.0, 0.0, 0.0],
        ),
        whole("`sort` | [NaN, 1]", "|x| sort(x)", "[nan, 1.0]", &[1.0, NAN], &[1.0, 1.0]),
        whole("`sort` | [NaN, 1]", "|x| sort(x)[0]", "[nan, 1.0]", &[1.0], &[0.0, 1.0]),
        whole(
            "`interp` | at a knot",
            "|x| interp(x, [0.0, 1.0, 2.0], [0.0, 1.0, 3.0])",
            "[1.0, 0.5]",
            &[1.0, 0.5],
            &[1.5, 1.0],
        ),
        whole(
            "`interp` | at a knot",
            "|(x, k, v)| interp(x, k, v)",
            "([1.5], [0.0, 1.0, 2.0], [0.0, 1.0, 3.0])",
            &[2.0],
            &[2.0, 0.0, -1.0, -1.0, 0.0, 0.5, 0.5],
        ),
        whole(
            "`interp` | outside",
            "|x| interp(x, [0.0, 1.0, 2.0], [0.0, 1.0, 3.0])",
            "[5.0, -5.0]",
            &[3.0, 0.0],
            &[0.0, 0.0],
        ),
        whole(
            "`pad` reflect or edge | [1, 2, 3]",
            "|x| pad(x, 1, mode: \"edge\")",
            "[1.0, 2.0, 3.0]",
            &[1.0, 1.0, 2.0, 3.0, 3.0],
            &[2.0, 1.0, 2.0],
        ),
        whole(
            "`pad` reflect or edge | [1, 2, 3]",
            "|x| pad(x, 1, mode: \"reflect\")",
            "[1.0, 2.0, 3.0]",
            &[2.0, 1.0, 2.0, 3.0, 2.0],
            &[1.0, 3.0, 1.0],
        ),
        whole(
            "`einsum(\"ii->\")` | diagonal",
            "|x| einsum(\"ii->\", x)",
            "[[1.0, 2.0], [3.0, 4.0]]",
            &[5.0],
            &[1.0, 0.0, 0.0, 1.0],
        ),
        whole("zero-size `(2,0) @ (0,2)` | ", "|(a, b)| a @ b", "(zeros(2, 0), zeros(0, 2))", &[0.0; 4], &[]),
        whole("Frobenius norm | zero matrix", "|x| norm(x)", "zeros(2, 2)", &[0.0], &[0.0; 4]),
    ]
}

fn types() -> Vec<Pin> {
    vec![
        scalar("`float(int(x))` | 1.7", "|x| float(int(x))", &[1.7], &[1.0], &[0.0]),
        warns("`float(int(x))` | 1.7", "print(grad(|x| float(int(x)))(1.7))", "W0308"),
        fails("`int(x)` | NaN", "print(int(nan))", "E0312"),
        fails("`int(x)` | NaN", "print(int([nan]))", "E0312"),
        // Ints are of 64 bits.
        fails("`int(x)` | 1e20 to 32 bits", "print(int(1e20))", "E0312"),
        fails("`grad` of an integer argument | ", "print(grad(|x| 2.0 * x)(3))", "3.0"),
        prints(
            "`@` of f32 and f64 | ",
            "let f = |(a, b)| sum(a @ b)\nlet at = (tensor([1.0], dtype: f32), tensor([2.0], dtype: f64))\n\
             let (u, v) = grad(f)(at)\nprint(([[1.0]].to(f32) @ [2.0].to(f64)).dtype, u, u.dtype, v, v.dtype)",
            "f64 [2.0] f32 [1.0] f64",
        ),
        prints("int + f32 | ", "print((1 + tensor([1.0], dtype: f32)).dtype, ([1] + [1.0].to(f32)).dtype)", "f32 f32"),
        each("`stop_gradient` in `x * stop(x)` | 2", "|x| x * stop_grad(x)", &[2.0], &[4.0], &[2.0]),
        each("straight-through round | 1.7", "|x| x + stop_grad(round(x) - x)", &[1.7], &[2.0], &[1.0]),
        scalar("unused argument | ", "|(x, y)| x", &[2.0, 3.0], &[2.0], &[1.0, 0.0]),
        prints(
            "unused argument | ",
            "print(grad(|(a, b)| sum(a))(([1.0], dict(k: [2.0]))))",
            "([1.0], dict(k: [0.0]))",
        ),
        scalar("constant result | ", "|x| 3.0", &[2.0], &[3.0], &[0.0]),
        warns("constant result | ", "print(grad(|x| 3.0)(2.0))", "W0308"),
    ]
}

fn library() -> Vec<Pin> {
    vec![
        whole("`bce(p, t = 1)` | p = 0", "|p| loss.bce(p, [1.0])", "[0.0]", &[INF], &[-INF]),
        whole("`bce(p, t = 0)` | p = 0", "|p| loss.bce(p, [0.0])", "[0.0]", &[0.0], &[1.0]),
        whole("`bce(p, t = 0)` | p = 0", "|p| loss.bce(p, [1.0])", "[1.0]", &[0.0], &[-1.0]),
        whole("`bce_logits(x, t = 1)` | -1000", "|x| loss.bce_logits(x, [1.0])", "[-1000.0]", &[1000.0], &[-1.0]),
        each(
            "`maximum(x, 0) - x*t + log1p(exp(-abs(x)))` | x = 0, t = 1/2",
            "|x| maximum(x, 0.0) - x * 0.5 + log1p(exp(-abs(x)))",
            &[0.0],
            &[LN_2],
            &[0.0],
        ),
        fails(
            "`cross_entropy` | every target ignored, mean",
            "import loss\nprint(loss.cross_entropy([[1.0, 2.0]], [-1], ignore: -1))",
            "no rows left to average",
        ),
        whole(
            "`cross_entropy` | every target ignored, mean",
            "|z| loss.cross_entropy(z, [-1], ignore: -1, reduction: \"sum\")",
            "[[1.0, 2.0]]",
            &[0.0],
            &[0.0, 0.0],
        ),
        whole(
            "`embedding` with a padding index | padding row",
            "|w| nn.Embedding(w: w, padding: 0)([0, 1, 0])",
            "[[1.0, 2.0], [3.0, 4.0]]",
            &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0],
            &[0.0, 0.0, 1.0, 1.0],
        ),
        whole(
            "`cross_entropy` | target logit -inf",
            "|x| loss.cross_entropy(x, [1])",
            "[[0.0, -inf]]",
            &[INF],
            &[1.0, -1.0],
        ),
        whole(
            "`kl_div` | target 0",
            "|(p, q)| loss.kl(p, q)",
            "([0.0, 1.0], [0.5, 0.5])",
            &[LN_2],
            &[0.0, 1.0 + LN_2, 0.0, -2.0],
        ),
        whole("`l1_loss` | x = t", "|x| loss.mae(x, [1.0])", "[1.0]", &[0.0], &[0.0]),
        whole("`huber` | at delta", "|x| loss.huber(x, [0.0])", "[1.0]", &[0.5], &[1.0]),
        whole("hinge `relu(1 - x)` | 1", "|x| loss.hinge(x, [1.0])", "[1.0]", &[0.0], &[0.0]),
        whole(
            "`layer_norm`, eps > 0 | constant row",
            "|x| nn.LayerNorm.new(4)(x)",
            "[5.0, 5.0, 5.0, 5.0]",
            &[0.0; 4],
            &[0.0; 4],
        ),
        whole(
            "`layer_norm`, `rms_norm`, eps = 0 | constant or zero row",
            "|x| nn.LayerNorm(scale: ones(4), epsilon: 0.0)(x) * [1.0, 2.0, 3.0, 4.0]",
            "[5.0, 5.0, 5.0, 5.0]",
            &[0.0; 4],
            &[0.0; 4],
        ),
        whole(
            "`layer_norm`, `rms_norm`, eps = 0 | constant or zero row",
            "|x| nn.RMSNorm(scale: ones(4), epsilon: 0.0)(x) * [1.0, 2.0, 3.0, 4.0]",
            "zeros(4)",
            &[0.0; 4],
            &[0.0; 4],
        ),
        whole("`dropout(p = 1)` | ", "|x| nn.dropout(x, 1.0)", "[1.0, 2.0]", &[0.0, 0.0], &[0.0, 0.0]),
        // A masked row of infinities poisons neither the weights' gradient nor anything in forward mode.
        whole(
            "attention | row fully masked",
            "|w| where([[false], [true]], [[inf, nan], [1.0, 2.0]] @ w, 0.0)",
            "[[3.0], [4.0]]",
            &[0.0, 11.0],
            &[1.0, 2.0],
        ),
        whole("attention | row fully masked", "|x| x @ [inf, 1.0]", "[1.0, 2.0]", &[INF], &[INF, 1.0]),
        whole("attention | row fully masked", "|x| dot(x, [inf, 1.0])", "[1.0, 2.0]", &[INF], &[INF, 1.0]),
        whole(
            "attention | row fully masked",
            "|x| einsum(\"i,ij->j\", x, [[inf], [1.0]])",
            "[1.0, 2.0]",
            &[INF],
            &[INF, 1.0],
        ),
        whole(
            "attention | row fully masked",
            "|(s, v)| softmax(where([[false, false], [true, false]], s, -inf), axis: -1) @ v",
            "([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]])",
            &[0.0, 0.0, 1.0, 2.0],
            &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0],
        ),
        prints(
            "`normal(mu, sigma)` sample | sigma = 0",
            "let noise = { seed(3); randn(4) }\nlet draw = |(m, s)| { seed(3); sum(m + s * randn(4)) }\n\
             let (m, s) = grad(draw)((1.0, 0.0))\nprint(m, abs(s - sum(noise)) < 1e-6)",
            "4.0 true",
        ),
        warns(
            "`categorical`, `bernoulli` sample | any",
            "print(grad(|p| sum(where(rand(3) < p, 1.0, 0.0)))(0.5))",
            "W0308",
        ),
        prints(
            "uniform for Gumbel noise | u = 0",
            "let u = rand(200000)\nprint(all(u > 0.0), all(u < 1.0), all(isfinite(-log(-log(u)))))",
            "true true true",
        ),
        whole(
            "clip by global norm | zero gradient",
            "|g| optim.clip_by_global_norm(g, 1.0)",
            "[0.0, 0.0]",
            &[0.0, 0.0],
            &[1.0, 1.0],
        ),
        fails(
            "clip by global norm | a NaN or inf entry",
            "import optim\nprint(optim.clip_by_global_norm(dict(a: [1.0], b: [nan]), 1.0))",
            "NaN",
        ),
    ]
}

fn control() -> Vec<Pin> {
    vec![
        scalar(
            "`while` with a data-dependent count, reverse mode | ",
            "|x| { var y = x; while y < 100.0 { y = y * y }; y }",
            &[2.0],
            &[256.0],
            &[1024.0],
        ),
        scalar(
            "`if` on a differentiated value | compiled",
            "|x| if sin(x) > 0.0 { x^2 } else { 3.0 * x }",
            &[2.0],
            &[4.0],
            &[4.0],
        ),
        scalar(
            "loop of zero iterations | ",
            "|x| { var y = x; for i in 0..0 { y = y * 2.0 }; y }",
            &[3.0],
            &[3.0],
            &[1.0],
        ),
        prints(
            "second derivative of fused attention on CPU | ",
            "set_dtype(f64)\nlet f = |q| sum((softmax(q @ q.t, axis: -1) @ q)^2)\nlet x = [[0.3, -0.2], [0.5, 0.1]]\n\
             let v = [[1.0, 0.5], [-0.5, 2.0]]\nlet h = 1e-5\n\
             let want = (grad(f)(x + h * v) - grad(f)(x - h * v)) / (2.0 * h)\n\
             print(all(abs(hvp(f, x, v) - want) < 1e-8))",
            "true",
        ),
    ]
}
