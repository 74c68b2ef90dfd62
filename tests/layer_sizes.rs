//! Networks without annotations: with one layer of another size each is refused before it runs, and the message names the
//! layer and the place where it was made.
//!
//! A size in angle brackets is changed, one at a time.

use dlang::pipeline::{Mode, Options, Session};
use dlang::tensor::DType;

const MLP: &str = "\
import nn
import loss
import optim
let x = randn(32, 784)
let y = randint(0, 10, 32)
struct Mlp { a: nn.Dense, b: nn.Dense, c: nn.Dense }
impl Mlp { fn call(self, x) = self.c(relu(self.b(relu(self.a(x))))) }
fn make(hidden) = Mlp(nn.Dense.new(<784>, hidden), nn.Dense.new(<128>, <64>), nn.Dense.new(<64>, 10))
var model = make(<128>)
var opt = optim.adam(model, lr: 1e-3)
for step in 0..5 {
    let (l, g) = value_and_grad(|m| loss.cross_entropy(m(x), y))(model)
    opt.update(&model, g)
}
";

const CNN: &str = "\
import nn
import loss
import optim
struct Conv { w: any, b: any }
impl Conv {
    fn new(inputs, outputs, size) = Conv(0.1 * randn(outputs, inputs, size, size), zeros(outputs, 1, 1))
    fn call(self, x) = relu(conv2d(x, self.w, padding: 1) + self.b)
}
struct Cnn { first: Conv, second: Conv, head: nn.Dense }
impl Cnn {
    fn call(self, x) {
        let h = max_pool2d(self.first(x), 2)
        let h2 = max_pool2d(self.second(h), 2)
        self.head(flatten(h2, 1))
    }
}
var model = Cnn(Conv.new(<1>, <8>, <3>), Conv.new(<8>, <16>, <3>), nn.Dense.new(<784>, 10))
let images = rand(4, 1, 28, 28)
let digits = randint(0, 10, 4)
var opt = optim.sgd(model, lr: 0.1)
let (l, g) = value_and_grad(|m| loss.cross_entropy(m(images), digits))(model)
opt.update(&model, g)
";

const TRANSFORMER: &str = "\
import nn
import loss
struct Attention { q: nn.Dense, k: nn.Dense, v: nn.Dense, out: nn.Dense, heads: int }
impl Attention {
    fn new(dim, heads) = Attention(nn.Dense.new(dim, <16>), nn.Dense.new(dim, <16>), nn.Dense.new(dim, <16>), nn.Dense.new(<16>, dim), heads)
    fn split(self, x) {
        let (b, t, d) = x.shape
        permute(reshape(x, b, t, self.heads, d // self.heads), (0, 2, 1, 3))
    }
    fn call(self, x) {
        let (b, t, d) = x.shape
        let (q, k, v) = (self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x)))
        let weights = softmax(q @ transpose(k, -1, -2) / sqrt(float(d)), axis: -1)
        self.out(reshape(permute(weights @ v, (0, 2, 1, 3)), b, t, d))
    }
}
struct Block { attention: Attention, norm: nn.LayerNorm, up: nn.Dense, down: nn.Dense }
impl Block {
    fn new(dim) = Block(Attention.new(dim, 4), nn.LayerNorm.new(<16>), nn.Dense.new(<16>, <64>), nn.Dense.new(<64>, <16>))
    fn call(self, x) {
        let h = x + self.attention(self.norm(x))
        h + self.down(gelu(self.up(self.norm(h))))
    }
}
struct Transformer { embed: nn.Embedding, blocks: any, head: nn.Dense }
impl Transformer {
    fn call(self, ids) {
        var h = self.embed(ids)
        for block in self.blocks { h = block(h) }
        self.head(h)
    }
}
let model = Transformer(nn.Embedding.new(100, <16>), list(Block.new(<16>), Block.new(<16>)), nn.Dense.new(<16>, 100))
let ids = randint(0, 100, (2, 6))
let (l, g) = value_and_grad(|m| loss.cross_entropy(m(ids), ids))(model)
";

const LIBRARY_CNN: &str = "\
import nn
import loss
import optim
var net = nn.Sequential(list(
    nn.Conv2d.new(<1>, <8>, 3, padding: \"same\"), nn.BatchNorm.new(<8>), relu, nn.MaxPool2d(2),
    nn.Conv2d.new(<8>, <16>, 5, stride: 2), relu, nn.Residual(nn.Conv2d.new(<16>, <16>, 3, padding: 1)),
    nn.Flatten(), nn.Dropout(0.1), nn.Dense.new(<400>, <32>), gelu, nn.LayerNorm.new(<32>), nn.Dense.new(<32>, 10)
))
var opt = optim.sgd(net, lr: 0.1)
opt.update(&net, grad(|net| loss.cross_entropy(net(rand(4, 1, 28, 28)), randint(0, 10, 4)))(net))
";

const LIBRARY_TRANSFORMER: &str = "\
import nn
import loss
struct Model { tokens: nn.Embedding, places: nn.LearnedPositions, blocks: list[any], norm: nn.RMSNorm, head: nn.Dense }
impl Model {
    fn call(self, ids) {
        var x = self.places(self.tokens(ids))
        for block in self.blocks { x = block(x) }
        self.head(self.norm(x))
    }
}
let blocks = list(nn.TransformerBlock.new(<16>, heads: 4, causal: true), nn.TransformerBlock.new(<16>, heads: 4, gated: true))
let model = Model(nn.Embedding.new(50, <16>), nn.LearnedPositions.new(6, <16>), blocks, nn.RMSNorm.new(<16>), nn.Dense.new(<16>, 50))
let ids = randint(0, 50, 2, 6)
let (l, g) = value_and_grad(|m| loss.cross_entropy(m(ids), ids))(model)
";

/// Errors that are told before anything runs: message, labels and hint of each, one a line.
fn refused(program: &str) -> Vec<String> {
    let options = Options { dtype: DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 };
    let mut session = Session::new(options);
    let loaded = session.load_main("net.dl", program, Mode::Script);
    let errors = loaded.diagnostics.iter().filter(|d| d.is_error());
    errors
        .map(|d| {
            let labels: Vec<String> =
                d.labels.iter().map(|l| format!("{} `{}`", l.message, session.sources.text(l.span))).collect();
            format!("{} {} {} {:?}", d.code, d.message, labels.join("; "), d.help)
        })
        .collect()
}

/// The program with all sizes as they should be, or with size number `wrong` larger by 4.
fn with_wrong(program: &str, wrong: Option<usize>) -> Option<String> {
    let mut out = String::new();
    let mut count = 0;
    let mut rest = program;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((size, after)) = after.split_once('>').filter(|(s, _)| s.parse::<usize>().is_ok()) else {
            out += before;
            out.push('<');
            rest = after;
            continue;
        };
        let size: usize = size.parse().unwrap();
        out += before;
        out += &(if wrong == Some(count) { size + 4 } else { size }).to_string();
        count += 1;
        rest = after;
    }
    out += rest;
    wrong.is_none_or(|w| w < count).then_some(out)
}

#[test]
fn one_wrong_size_is_refused_and_the_layer_named() {
    let mut missed = vec![];
    let mut tried = 0;
    for (name, program) in [("MLP", MLP), ("CNN", CNN), ("transformer", TRANSFORMER)] {
        let right = with_wrong(program, None).unwrap();
        assert_eq!(refused(&right), Vec::<String>::new(), "the right {name} is refused");
        for i in 0.. {
            let Some(wrong) = with_wrong(program, Some(i)) else { break };
            tried += 1;
            let errors = refused(&wrong);
            let names_layer = |e: &String| e.contains("`self.") || e.contains("was made here");
            if !errors.iter().any(names_layer) {
                missed.push(format!("{name}, size {i}: {errors:#?}"));
            }
        }
    }
    assert!(tried >= 20, "{tried} sizes were tried");
    assert!(missed.is_empty(), "{} of {tried}\n{}", missed.len(), missed.join("\n"));
}

/// The library's own layers, whose sizes go through more code before they meet.
#[test]
fn one_wrong_size_in_layers_of_the_library_is_refused() {
    let mut missed = vec![];
    let mut tried = 0;
    for (name, program) in [("CNN", LIBRARY_CNN), ("transformer", LIBRARY_TRANSFORMER)] {
        let right = with_wrong(program, None).unwrap();
        assert_eq!(refused(&right), Vec::<String>::new(), "the right {name} is refused");
        for i in 0.. {
            let Some(wrong) = with_wrong(program, Some(i)) else { break };
            tried += 1;
            if refused(&wrong).is_empty() {
                missed.push(format!("{name}, size {i}"));
            }
        }
    }
    assert!(tried >= 15, "{tried} sizes were tried");
    assert!(missed.is_empty(), "{missed:?}");
}
