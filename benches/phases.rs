//! How long it takes from a text to a checked program, library modules included: `cargo bench --bench phases`.
//! Each figure is the median of some runs; the bars are 5 ms for 200 lines and 50 ms for 1,000.

use std::time::{Duration, Instant};

use dlang::pipeline::{Mode, Options, Session};
use dlang::source::SourceId;
use dlang::tensor::buffers::Keeping;

/// As in the command.
#[global_allocator]
static ALLOCATOR: Keeping<mimalloc::MiMalloc> = Keeping(mimalloc::MiMalloc);

const RUNS: usize = 31;

fn main() {
    for lines in [200, 1000] {
        let text = program(lines);
        let lines = text.lines().count();
        let parse = median(|| dlang::syntax::parse(SourceId(0), &text).problems.len());
        let whole = median(|| load(&text));
        println!("{lines:5} lines: parsed in {:.2} ms, checked and compiled in {:.2} ms", ms(parse), ms(whole));
    }
}

/// Parses, resolves, checks and compiles; the number of errors.
fn load(text: &str) -> usize {
    let options = Options { dtype: dlang::tensor::DType::F32, seed: 0, check_nan: false, profile: false, threads: 1 };
    let mut session = Session::new(options);
    session.lean = true;
    session.keep_types = false;
    let loaded = session.load_main("bench.dl", text, Mode::Script);
    loaded.diagnostics.iter().filter(|d| d.is_error()).count()
}

fn median(run: impl Fn() -> usize) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(run(), 0, "the program has errors");
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Networks of different sizes with their training loops, and what is computed of columns of a table of unknown length.
fn program(lines: usize) -> String {
    let mut text = String::from("import data\nimport loss\nimport nn\nimport optim\n");
    text += "let table = data.load_csv(\"flowers.csv\")\n";
    let mut i = 0;
    while text.lines().count() < lines {
        text += &format!(
            "
struct Net{i} {{ a: nn.Dense, b: nn.Dense, c: nn.Dense }}
impl Net{i} {{
    fn new(n: int, m: int) -> Net{i} = Net{i}(a: nn.Dense.new(n, m), b: nn.Dense.new(m, m), c: nn.Dense.new(m, 3))
    fn call(self, x) = x |> self.a |> relu |> self.b |> relu |> self.c
}}

fn objective{i}(m, x, y) = loss.cross_entropy(m(x), y)

fn train{i}(x, y, steps: int) {{
    var net = Net{i}.new(4, {width})
    var opt = optim.adam(net, lr: 0.01)
    for step in 0..steps {{
        let (l, g) = value_and_grad(objective{i})(net, x, y)
        opt.update(&net, g)
        if step % 10 == 0 {{
            print(f\"step {{step}}: {{l:.3}}\")
        }}
    }}
    net
}}

fn scaled{i}(v: float[n, m]) {{
    let center = mean(v, axis: 0)
    let spread = std(v, axis: 0)
    (v - center) / (spread + 1e-6)
}}

let net{i} = train{i}(scaled{i}(table[:, :4]), table[:, 4].to(int), 100)
",
            width = 8 + i
        );
        i += 1;
    }
    text
}
