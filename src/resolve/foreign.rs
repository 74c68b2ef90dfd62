//! Names of NumPy, PyTorch, JAX, Keras, Optax, scikit-learn and SciPy, and what to write here instead.
//!
//! Each row: names, separated by spaces, and the remedy. Where the remedy would only repeat a name that is found by its likeness
//! (`adam` for `Adam`, `mse` for `MSELoss`), there is no row.

/// Rows of names and remedies.
type Table = &'static [(&'static str, &'static str)];

/// What stands without a module.
pub static PLAIN: Table = &[
    ("elif", "write `else if`, on the line of the `}` before it or on the next one"),
    ("ln", "the natural logarithm is `log`"),
    ("pow2 power square", "powers are written x^2"),
    ("exp2", "write 2.0^x"),
    ("length size", "write len(x), or x.shape and x.size for tensors"),
    ("append", "write xs.push(x)"),
    ("dtype", "ask a tensor for x.dtype; the dtypes are f32 and f64"),
    ("self", "declare the method with `self` as its first parameter"),
    ("array asarray Tensor as_tensor from_numpy", "write a tensor as [1.0, 2.0], or tensor(list)"),
    ("string", "text is made by str(x)"),
    ("double astype", "write float(x) for a number, x.to(f64) for a tensor"),
    ("arctan", "write atan"),
    ("arcsin", "write asin"),
    ("arccos", "write acos"),
    ("arctan2", "write atan2"),
    ("arctanh", "write atanh"),
    ("clip clip_by_value", "write clamp(x, lo, hi)"),
    ("cat concatenate hcat vcat vstack hstack dstack", "write concat((a, b), axis: 0)"),
    ("rand_like randn_like", "write randn(x.shape)"),
    ("full_like", "write full(x.shape, value)"),
    ("empty empty_like", "write zeros(2, 3), or zeros_like(x)"),
    ("mm bmm", "write a @ b"),
    ("inner vdot", "write dot(a, b)"),
    ("tensordot", "write einsum, as in einsum(\"ij,jk->ik\", a, b)"),
    ("mod remainder", "write a % b"),
    ("subtract multiply divide true_divide negative", "write the operator: a + b, a - b, a * b, a / b, -a"),
    ("logical_and logical_or logical_not", "write `and`, `or`, `not`: they work elementwise"),
    ("detach stop_gradient", "write stop_grad(x)"),
    ("no_grad inference_mode", "take it out: nothing is recorded outside of grad; stop_grad(x) makes a constant"),
    ("backward", "there is no backward pass to start: grad(f)(x) gives the gradient"),
    ("jit njit compile", "take it out: there is nothing to compile"),
    ("jacfwd jacrev", "write jacobian(f), with mode: \"forward\" or \"reverse\" if it matters"),
    ("linearize", "write jvp(f, x, dx)"),
    ("vectorize pmap", "write vmap(f)"),
    ("scan fori_loop while_loop cond", "write a loop or an `if`: all of the language can be differentiated"),
    ("partial", "write a function: |x| f(a, x)"),
    ("reduce", "write a `for` loop, or sum, prod, max"),
    ("isinstance typeof", "write type(x)"),
    ("super", "structs do not inherit: keep the other struct in a field"),
    ("tuple", "write a tuple as (1, 2)"),
    ("set", "unique(x) gives the distinct elements of a tensor; a dict has distinct keys"),
    ("argwhere nonzero flatnonzero", "arange(len(mask))[mask] gives the places where a mask is true"),
    ("isclose allclose", "write all(abs(a - b) <= 1e-6)"),
    ("histogram bincount", "write segment_sum(ones(len(x)), x, count) to count the ints of x"),
    ("digitize", "write searchsorted(edges, x)"),
    ("percentile", "write quantile(x, 0.9)"),
    ("moveaxis swapaxes", "write transpose(x, 0, 1), or permute(x, 2, 0, 1)"),
    ("ravel", "write flatten(x)"),
    ("diagonal", "write diag(x)"),
    ("identity", "write eye(n)"),
    ("expit", "write sigmoid(x)"),
    ("item", "a full reduction is a number already: sum(x); single elements are x[i]"),
    ("unsqueeze expand_dims newaxis", "write x[:, none], or expand(x, 1)"),
    ("meshgrid", "let axes broadcast: x[:, none] and y[none, :]"),
    ("cov", "with rows c = x - mean(x, axis: 0), write c.t @ c / len(c)"),
    ("amax nanmax", "write max(x, axis: 0) of one tensor, maximum(a, b) of two"),
    ("amin nanmin", "write min(x, axis: 0) of one tensor, minimum(a, b) of two"),
    ("masked_fill", "write where(mask, value, x)"),
    ("take_along_axis take_along_dim", "write gather(x, indices, axis: 1)"),
    ("logsigmoid", "write log_sigmoid(x)"),
    ("hardtanh", "write clamp(x, -1.0, 1.0)"),
    ("swish", "write silu(x)"),
    ("manual_seed PRNGKey default_rng", "write seed(0); random numbers are reproducible without it, too"),
    ("randperm", "write permutation(n)"),
    ("bernoulli", "write rand(n) < p"),
    ("rearrange", "write reshape and permute"),
    ("Variable Parameter", "any float tensor can be differentiated; a model's parameters are the fields of its struct"),
    ("Module", "a model is a struct: struct Net { layer: nn.Dense } and impl Net { fn call(self, x) = ... }"),
    ("open", "write read_text(path), or read_lines over stdin_lines()"),
    ("np numpy torch jnp jax tf tensorflow lax scipy", "its functions are built in: write zeros(2, 3), sin(x), x @ y"),
    ("F", "its functions are built in: write relu(x), softmax(x, axis: -1); losses are in `import loss`"),
    ("plt pyplot matplotlib", "write `import plot`, then plot.line(x, y)"),
    ("pd pandas", "write `import data`: data.read_table(path)"),
    ("sklearn", "write `import data`, `import metrics`"),
    ("optax", "write `import optim`"),
    ("keras layers flax", "write `import nn`"),
    ("tqdm", "write `import progress`, then progress.bar(xs)"),
];

/// By library module.
pub static MODULES: &[(&str, Table)] = &[
    (
        "nn",
        &[
            ("Linear linear Dense_layer", "a dense layer is nn.Dense.new(inputs, outputs)"),
            (
                "ReLU ReLU6 LeakyReLU GELU ELU SELU SiLU Swish Tanh Sigmoid Softmax LogSoftmax Softplus Hardswish Mish Activation",
                "activations are functions, in a Sequential too: relu, gelu, tanh, sigmoid, silu, |x| softmax(x, axis: -1)",
            ),
            ("Identity", "write |x| x"),
            ("MLP MultiLayerPerceptron FeedForwardNetwork", "write nn.mlp([inputs, hidden, outputs])"),
            ("Lambda", "write a function: |x| ..."),
            ("Conv1D Conv", "write nn.Conv2d.new(inputs, outputs, size), or nn.Conv1d"),
            ("MaxPooling2D MaxPool MaxPooling1D max_pool", "write nn.MaxPool2d(2), or max_pool2d(x, 2)"),
            ("AveragePooling2D AvgPool AveragePooling1D avg_pool", "write nn.AvgPool2d(2), or avg_pool2d(x, 2)"),
            ("GlobalAveragePooling2D", "write nn.global_average_pool, which is a function"),
            ("AdaptiveAvgPool2d", "write |x| nn.adaptive_average_pool(x, size)"),
            (
                "BatchNorm1d BatchNorm2d BatchNorm3d BatchNormalization",
                "write nn.BatchNorm.new(channels), whatever the rank",
            ),
            ("LayerNormalization", "write nn.LayerNorm.new(n)"),
            ("TransformerEncoderLayer TransformerEncoder", "write nn.TransformerBlock.new(...)"),
            ("TransformerDecoderLayer", "write nn.DecoderBlock.new(...)"),
            ("LSTMCell", "write nn.LSTM.new(inputs, size)"),
            ("GRUCell", "write nn.GRU.new(inputs, size)"),
            ("RNNCell SimpleRNN", "write nn.RNN.new(inputs, size)"),
            (
                "PositionalEncoding PositionalEmbedding",
                "write nn.sinusoidal_positions(length, n), or nn.LearnedPositions.new(length, n)",
            ),
            (
                "Module Model",
                "a model is a struct: struct Net { layer: nn.Dense } and impl Net { fn call(self, x) = ... }",
            ),
            ("ModuleList", "keep the layers in a list: list(a, b)"),
            ("ModuleDict", "keep the layers in a dict: dict(a: a, b: b)"),
            ("Parameter", "a float tensor in a field of a struct is a parameter"),
            ("functional", "its functions are built in: write relu(x), softmax(x, axis: -1)"),
            ("utils", "gradients are clipped by optim.clip_by_global_norm"),
            (
                "CrossEntropyLoss MSELoss L1Loss BCELoss BCEWithLogitsLoss NLLLoss HuberLoss SmoothL1Loss KLDivLoss",
                "losses are in a module of their own: `import loss`, then loss.cross_entropy(logits, targets)",
            ),
        ],
    ),
    (
        "optim",
        &[
            (
                "lr_scheduler StepLR MultiStepLR LambdaLR",
                "a schedule gives the rate of a step: let rate = optim.step(...), then opt.lr = rate(step)",
            ),
            ("ReduceLROnPlateau", "write optim.plateau"),
            ("CosineAnnealingLR cosine_decay_schedule CosineDecay", "write optim.cosine"),
            ("OneCycleLR", "write optim.one_cycle"),
            ("ExponentialLR exponential_decay ExponentialDecay", "write optim.exponential"),
            ("warmup_cosine_decay_schedule", "write optim.warmup_cosine"),
            ("clip_grad_norm clip_grad_norm_", "write optim.clip_by_global_norm(g, limit)"),
            ("clip_grad_value_", "write optim.clip_by_value(g, limit)"),
            ("apply_updates", "opt.update(&model, g) applies them"),
            ("zero_grad", "there is nothing to reset: opt.update(&model, g) takes the gradient"),
            ("LBFGS lbfgs BFGS", "it is in a module of its own: `import minimize`, then minimize.lbfgs(f, x)"),
            ("Optimizer", "write optim.adam(model, lr: 1e-3)"),
        ],
    ),
    (
        "loss",
        &[
            ("mean_squared_error MeanSquaredError l2 l2_loss", "write loss.mse(p, y)"),
            ("l1 l1_loss L1Loss mean_absolute_error MeanAbsoluteError", "write loss.mae(p, y)"),
            (
                "softmax_cross_entropy softmax_cross_entropy_with_integer_labels categorical_crossentropy sparse_categorical_crossentropy CategoricalCrossentropy SparseCategoricalCrossentropy nll nll_loss NLLLoss log_loss",
                "write loss.cross_entropy(logits, targets)",
            ),
            (
                "binary_cross_entropy binary_crossentropy BinaryCrossentropy",
                "write loss.bce(p, y) of probabilities, loss.bce_logits(z, y) of logits",
            ),
            (
                "binary_cross_entropy_with_logits BCEWithLogitsLoss sigmoid_binary_cross_entropy sigmoid_cross_entropy",
                "write loss.bce_logits(z, y)",
            ),
            ("kl_div KLDivLoss kl_divergence KLDivergence", "write loss.kl"),
            ("TripletMarginLoss", "write loss.triplet"),
        ],
    ),
    (
        "data",
        &[
            (
                "DataLoader TensorDataset Dataset dataloader",
                "write for (x, y) in data.batches(x_all, y_all, size: 32) { ... }",
            ),
            ("train_test_split random_split", "write let ((x, y), (x_test, y_test)) = data.split(x, y)"),
            ("KFold k_fold cross_validation", "write data.folds"),
            (
                "read_csv loadtxt genfromtxt csv",
                "write data.load_csv(path) for numbers, data.read_table(path) for columns with names",
            ),
            ("StandardScaler normalize scale", "write data.standardize"),
            ("MinMaxScaler", "write data.rescale"),
            ("OneHotEncoder", "write one_hot(indices, count)"),
            ("LabelEncoder", "write data.categories"),
            ("load", "write data.load_npy(path), or io.load(path) for what io.save wrote"),
            ("save", "write data.save_npy(path, x), or io.save(path, value) for any structure"),
            ("imread imopen", "write data.load_image(path)"),
            ("imsave", "write data.save_image"),
            ("MNIST mnist FashionMNIST", "write data.load_idx(path) for its files"),
        ],
    ),
    (
        "metrics",
        &[
            ("auc roc_auc_score", "write metrics.roc_auc"),
            ("log_loss", "it is a loss: `import loss`, then loss.cross_entropy or loss.bce"),
            ("mse mean_squared_error", "it is a loss: `import loss`, then loss.mse; the root is metrics.rmse"),
            ("mae mean_absolute_error", "it is a loss: `import loss`, then loss.mae"),
            ("root_mean_squared_error", "write metrics.rmse"),
            ("mean_absolute_percentage_error", "write metrics.mape"),
            ("matthews_corrcoef", "write metrics.matthews"),
            ("iou jaccard jaccard_score", "write metrics.mean_iou"),
            ("corrcoef", "write metrics.pearson"),
        ],
    ),
    (
        "minimize",
        &[
            ("minimize fmin BFGS bfgs fmin_bfgs", "write minimize.lbfgs(f, x)"),
            ("least_squares curve_fit leastsq", "write minimize.levenberg_marquardt(residuals, x)"),
            ("fsolve newton", "write root(f, x)"),
        ],
    ),
    (
        "ode",
        &[
            (
                "odeint diffeqsolve solve_ivp integrate ODEProblem ODETerm",
                "write ode.solve(f, y0, times), with f(t, y)",
            ),
            ("RK45 Dopri5 DormandPrince", "write method: ode.dopri5"),
            ("BDF Radau Rosenbrock23", "stiff equations are solved with method: ode.rodas"),
        ],
    ),
    (
        "prob",
        &[
            ("MCMC NUTS", "write prob.nuts(log_density, init)"),
            ("SVI AutoNormal", "write prob.advi(log_density, init)"),
            ("gelman_rubin split_gelman_rubin", "write prob.rhat"),
            ("effective_sample_size", "write prob.ess"),
            ("MultivariateNormalDiag", "write prob.Independent of a prob.Normal"),
            ("kl_divergence", "write prob.kl(p, q)"),
            ("TransformedDistribution", "write prob.Transformed"),
        ],
    ),
    (
        "io",
        &[
            ("save_model save_file dump savez state_dict", "write io.save(path, value)"),
            ("load_model load_file load_state_dict", "write io.load(path, like: model)"),
        ],
    ),
    (
        "init",
        &[
            ("xavier_uniform xavier_uniform_", "write init.glorot_uniform"),
            ("xavier_normal xavier_normal_", "write init.glorot_normal"),
            ("kaiming_uniform kaiming_uniform_", "write init.he_uniform"),
            ("kaiming_normal kaiming_normal_", "write init.he_normal"),
            ("normal normal_", "write 0.02 * randn(2, 3)"),
            ("uniform uniform_", "write rand(2, 3)"),
        ],
    ),
    (
        "linalg",
        &[
            ("expm", "write linalg.matrix_exp"),
            ("eig eigvals", "symmetric matrices have eigh(a), which is built in"),
            ("matmul multi_dot", "write a @ b"),
            ("inv_ex pinv2", "write inv(a), or linalg.pinv(a)"),
        ],
    ),
    (
        "plot",
        &[
            ("plot", "write plot.line(x, y)"),
            ("hist", "write plot.histogram(x)"),
            ("imshow matshow contourf", "write plot.heat_map(z), or plot.images"),
            ("savefig", "give the path to the plot: plot.line(x, y, path: \"figure.svg\")"),
            ("show", "take it out: a plot shows itself"),
            ("subplots subplot", "write plot.figure(title: \"...\") and add to it: fig.line(x, y)"),
            (
                "title xlabel ylabel legend xscale yscale",
                "give it to the plot: plot.line(x, y, title: \"...\", x_label: \"...\", label: \"...\")",
            ),
        ],
    ),
    (
        "rl",
        &[
            ("make gym Env", "write rl.CartPole, or a struct of your own with the same methods"),
            ("discounted_returns", "write rl.returns"),
        ],
    ),
    (
        "text",
        &[
            ("Tokenizer tokenizer", "write text.bpe, text.characters or text.bytes"),
            ("vocabulary Vocab", "text.characters makes one of a text"),
        ],
    ),
];

/// What models, optimizers and distributions have elsewhere: methods of structs.
pub static OF_STRUCTS: Table = &[
    ("parameters trainable_variables", "a model is its parameters: pass the model itself"),
    ("step apply_gradients apply_updates", "write opt.update(&model, g)"),
    ("zero_grad", "there is nothing to reset: opt.update(&model, g) takes the gradient"),
    ("backward", "there is no backward pass to start: grad(f)(x) gives the gradient"),
    ("forward apply", "call the model: model(x); its method is named `call`"),
    ("fit compile", "write the loop: let (l, g) = value_and_grad(f)(model), then opt.update(&model, g)"),
    ("predict", "call the model: model(x)"),
    ("train", "write nn.train(model)"),
    ("eval", "write nn.eval(model)"),
    ("state_dict", "a model is its own state: io.save(path, model)"),
    ("load_state_dict", "write io.load(path, like: model)"),
    ("cuda cpu device", "take it out: there are no devices to choose from"),
    ("rsample", "write sample: samples can be differentiated"),
    ("stddev std_dev", "write sqrt(d.variance())"),
    ("icdf ppf", "write quantile"),
    ("logpdf logpmf log_pdf", "write log_prob"),
    ("rvs", "write sample"),
    ("clone copy deepcopy", "values are never shared: write let y = x"),
    ("replace _replace", "write p.with(field: value)"),
];

/// What strs have elsewhere.
static OF_TEXT: Table = &[
    ("count", "count the parts around it: len(s.split(part)) - 1"),
    ("index rfind rindex indexOf", "write s.find(part), which is -1 where there is none"),
    ("lstrip rstrip trim trimmed", "write s.strip(), which takes both ends"),
    ("splitlines lines", "write s.split(\"\\n\")"),
    (
        "isdigit isnumeric isdecimal isalpha isalnum isspace",
        "look at the characters: all([ord(c) in 48..58 for c in s])",
    ),
    ("title capitalize", "put it together: f\"{s[0].upper()}{s[1:]}\""),
    ("contains includes", "write part in s"),
    ("ljust rjust center zfill", "an f-string fills up: f\"{s:<8}\", f\"{s:>8}\", f\"{s:^8}\""),
    ("encode", "a text is its UTF-8 already; ord(c) gives the number of a character"),
];

/// A remedy for what a str does not have.
pub fn of_text(name: &str) -> Option<&'static str> {
    find(OF_TEXT, name)
}

/// What tensors, numbers, lists, strs and dicts have elsewhere.
pub static OF_VALUES: Table = &[
    ("append push_back", "write xs.push(x)"),
    ("T transpose_ mT", "write x.t"),
    ("len length count", "write len(x); a tensor's shape is x.shape"),
    ("ndim dim", "write x.rank"),
    ("numel", "write x.size"),
    ("view resize", "write x.reshape(2, 3)"),
    ("astype double type cast type_as half", "write x.to(f32)"),
    ("item numpy tolist", "a full reduction is a number already: sum(x); single elements are x[i]"),
    ("detach", "write stop_grad(x)"),
    ("backward grad requires_grad requires_grad_", "there is no backward pass to start: grad(f)(x) gives the gradient"),
    ("clone copy", "values are never shared: write let y = x"),
    ("cuda cpu device", "take it out: there are no devices to choose from"),
    ("unsqueeze", "write x.expand(0), or x[none]"),
    ("format", "put values into text with an f-string: f\"{x:.2f}\""),
    ("parameters", "a model is its parameters: pass the model itself"),
    ("zero_grad step", "there is nothing to reset: opt.update(&model, g) takes the gradient"),
    ("contains has includes has_key", "write `key in x`"),
    ("toString to_string", "write str(x)"),
    ("forEach each", "write `for x in xs { ... }`"),
    ("add mul sub div matmul mm bmm", "write the operator: a + b, a * b, a - b, a / b, a @ b"),
    ("add_ sub_ mul_ div_ fill_ zero_ copy_", "write the assignment: x += y, x[:] = y"),
    ("masked_fill", "write where(mask, value, x)"),
    ("contiguous", "take it out: how a tensor lies in memory is no concern"),
    ("ravel", "write x.flatten()"),
    ("swapaxes", "write x.transpose(0, 1)"),
    ("pow", "write x^2"),
];

/// The remedy for a name in a table.
fn find(table: Table, name: &str) -> Option<&'static str> {
    table.iter().find(|(names, _)| names.split(' ').any(|n| n == name)).map(|(_, remedy)| *remedy)
}

/// For a name that stands alone.
pub fn plain(name: &str) -> Option<&'static str> {
    find(PLAIN, name)
}

/// For a name that stands alone and would be in a module here.
pub fn of_any_module(name: &str) -> Option<&'static str> {
    MODULES
        .iter()
        .filter(|(module, _)| matches!(*module, "nn" | "optim" | "loss" | "data" | "metrics" | "ode"))
        .find_map(|(_, table)| find(table, name))
}

/// For `module.name`.
pub fn of_module(module: &str, name: &str) -> Option<&'static str> {
    find(MODULES.iter().find(|(m, _)| *m == module)?.1, name)
}

/// For a method or field of a struct.
pub fn of_struct(name: &str) -> Option<&'static str> {
    find(OF_STRUCTS, name)
}

/// For a method or field of anything else.
pub fn of_value(name: &str) -> Option<&'static str> {
    find(OF_VALUES, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::builtin_names;

    fn names(table: Table) -> impl Iterator<Item = &'static str> {
        table.iter().flat_map(|(names, _)| names.split(' '))
    }

    /// A row for a name that is there would never be read.
    #[test]
    fn names_are_not_ours() {
        for name in names(PLAIN) {
            assert!(builtin_names::find(name, false).is_none(), "`{name}` is built in");
        }
        for (module, table) in MODULES {
            let text = crate::stdlib::text(module).unwrap_or_default();
            assert!(!text.is_empty(), "there is no module {module}");
            for name in names(table) {
                let ours = ["fn ", "struct ", "let "].iter().any(|kind| {
                    text.lines().any(|l| {
                        l.strip_prefix(kind)
                            .is_some_and(|l| l.split(|c: char| !c.is_alphanumeric() && c != '_').next() == Some(name))
                    })
                });
                assert!(!ours, "{module} has `{name}`");
            }
        }
    }

    #[test]
    fn names_come_once() {
        let all = MODULES.iter().map(|(_, t)| *t).chain([PLAIN, OF_STRUCTS, OF_VALUES]);
        for table in all {
            let mut seen: Vec<&str> = names(table).collect();
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), count, "a name comes twice among {:?}", table.first());
        }
    }

    /// What a remedy names is there.
    #[test]
    fn remedies_exist() {
        let all = MODULES.iter().map(|(_, t)| *t).chain([PLAIN, OF_STRUCTS, OF_VALUES]);
        let word = |c: char| c.is_alphanumeric() || c == '_';
        for (_, remedy) in all.flatten() {
            for (at, _) in remedy.match_indices('.') {
                let module = remedy.get(..at).unwrap_or("").rsplit(|c| !word(c)).next().unwrap_or("");
                let name = remedy.get(at + 1..).unwrap_or("").split(|c| !word(c)).next().unwrap_or("");
                if name.is_empty() || !MODULES.iter().any(|(m, _)| *m == module) {
                    continue;
                }
                let text = crate::stdlib::text(module).unwrap_or_default();
                let heads = ["fn ", "struct ", "let ", "from "];
                let declares =
                    |l: &str| heads.iter().any(|h| l.starts_with(h)) && l.split(|c| !word(c)).any(|w| w == name);
                assert!(text.lines().any(declares), "{module}.{name} in \"{remedy}\" does not exist");
            }
        }
    }
}
