//! What people from elsewhere type, and what it is called here.

use crate::diagnostic::did_you_mean;
use crate::resolve::{builtin_names, foreign};

/// For `round(x, 2)`.
pub const ROUND_DIGITS: &str = "to print two digits write f\"{x:.2f}\"; for a rounded number, round(x * 100.0) / 100.0";

/// A hint for a method that texts have elsewhere.
pub fn for_text(name: &str) -> Option<&'static str> {
    foreign::of_text(name)
}

/// A hint for an unknown name that is known elsewhere.
pub fn for_unknown(name: &str) -> Option<String> {
    match name {
        "nn" | "loss" | "optim" | "data" | "io" | "metrics" | "init" => Some(format!("write `import {name}` first")),
        _ => foreign::plain(name).or_else(|| crate::syntax::hints::foreign_word(name)).map(str::to_string),
    }
}

/// Where a name is that no import brings: in a module here, or under another name.
pub fn for_home(name: &str) -> Option<String> {
    match crate::stdlib::home_of(name) {
        Some(module) => Some(format!("it is in a module: `import {module}`, then `{module}.{name}`")),
        None => foreign::of_any_module(name).map(str::to_string).or_else(|| {
            let lower = name.to_lowercase();
            let module = crate::stdlib::home_of(&lower)?;
            Some(format!("it is in a module: `import {module}`, then `{module}.{lower}`"))
        }),
    }
}

/// Modules of other systems whose functions people write with their names in front: `torch.zeros`, `np.sum`.
const ELSEWHERE: [&str; 13] =
    ["np", "numpy", "torch", "jnp", "jax", "tf", "tensorflow", "lax", "scipy", "F", "math", "cp", "mx"];

/// A hint for `torch.relu`, where there is no `torch`.
pub fn for_path(root: &str, name: &str) -> Option<String> {
    if !ELSEWHERE.contains(&root) {
        return None;
    }
    if builtin_names::find(name, false).is_some() {
        return Some(format!("`{name}` is built in: take `{root}.` out"));
    }
    match name {
        "random" => Some("rand, randn, randint, permutation, choice and seed are built in".into()),
        "nn" | "optim" => Some(format!("write `import {name}`")),
        "linalg" | "special" => {
            Some(format!("inv, det, solve, svd, cholesky and their like are built in; more is in `import {name}`"))
        }
        _ => for_unknown(name).or_else(|| for_home(name)).or_else(|| {
            let near = did_you_mean(name, builtin_names::all())?;
            Some(format!("the functions of `{root}` are built in: did you mean `{near}`?"))
        }),
    }
}

/// A hint for a name that a module does not have; `names` are those that it has.
pub fn for_export<'a>(
    module: &str,
    is_library: bool,
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    if is_library {
        if let Some(remedy) = foreign::of_module(module, name) {
            return Some(remedy.into());
        }
        let alike = alike(name, &names);
        if let Some(same) = alike.filter(|n| plain(n) == plain(name)) {
            return Some(format!("did you mean `{module}.{same}`?"));
        }
        if builtin_names::find(name, false).is_some() {
            return Some(format!("`{name}` is built in: take `{module}.` out"));
        }
        if let Some(home) = crate::stdlib::home_of(name) {
            return Some(format!("it is in another module: `import {home}`, then `{home}.{name}`"));
        }
    }
    if let Some(near) = alike(name, &names).or_else(|| did_you_mean(name, names.iter().copied())) {
        return Some(format!("did you mean `{module}.{near}`?"));
    }
    const SHOWN: usize = 12;
    match names.len() {
        0 => None,
        1..=SHOWN => Some(format!("it has: {}", names.join(", "))),
        _ if is_library => Some(format!("`dlang doc {module}` lists what it has")),
        n => Some(format!("it has: {}, and {} more", names.get(..SHOWN)?.join(", "), n - SHOWN)),
    }
}

/// A name without what other systems add to it: `f1` for `f1_score`, `mse` for `MSELoss`.
fn plain(name: &str) -> String {
    let mut plain: String = name.to_lowercase().chars().filter(|c| *c != '_').collect();
    for ending in ["loss", "score", "layer", "fn", "curve"] {
        if let Some(rest) = plain.strip_suffix(ending)
            && rest.len() >= 2
        {
            plain.truncate(rest.len());
        }
    }
    plain
}

/// The name that is the same up to such additions, a function before a struct; else one that contains it or is contained in it.
fn alike<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let wanted = plain(name);
    let is_type = |n: &&str| n.starts_with(char::is_uppercase);
    let same = names.iter().filter(|n| plain(n) == wanted).min_by_key(|n| is_type(n));
    let within = |n: &&&str| {
        let n = plain(n);
        n.len().min(wanted.len()) >= 3 && (n.contains(&wanted) || wanted.contains(&n))
    };
    let distance = |n: &&&str| n.chars().count().abs_diff(name.chars().count());
    same.or_else(|| names.iter().filter(within).min_by_key(distance)).copied()
}

/// A hint for a library module that is known elsewhere.
pub fn for_module(name: &str) -> Option<&'static str> {
    Some(match name {
        "numpy" | "torch" | "jax" | "tensorflow" | "math" | "autograd" => {
            "take the import out: tensors, functions and derivatives are built in, as in zeros(2, 3), sin(x), grad(f)"
        }
        "random" => "take the import out: rand, randn, randint, permutation, seed are built in",
        "os" | "sys" => "take the import out: args(), env(name), exit(n), read_text(path) are built in",
        "json" => "take the import out: json_parse(text) and json_encode(x) are built in",
        "pandas" | "csv" => "write `import data`: data.load_csv(path), data.read_table(path)",
        "layers" | "keras" => "write `import nn`",
        "optimizer" | "optimizers" | "optax" => "write `import optim`",
        "losses" => "write `import loss`",
        _ => return None,
    })
}

/// A hint for a method or field that a value does not have; `known` are those that it has. Any function can be called as a method of
/// what is no struct.
pub fn for_member<'a>(name: &str, is_struct: bool, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let near = did_you_mean(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    if !is_struct && matches!(name, "shape" | "rank" | "size" | "dtype") {
        return Some(format!("`{name}` of a tensor is no function: write x.{name}; the length of a list is len(x)"));
    }
    if !is_struct && super::builtin_names::find(name, false).is_some() {
        return Some(format!("`{name}` is a function: write x.{name}(...)"));
    }
    if !is_struct {
        return foreign::of_value(name).map(str::to_string).or(near);
    }
    let elsewhere = foreign::of_struct(name).map(str::to_string);
    // What trains, is trained or is sampled has its like in other systems; any other struct is the user's own.
    match known.iter().any(|k| matches!(*k, "update" | "call" | "log_prob")) {
        true => elsewhere.or(near),
        false => near.or(elsewhere),
    }
}

/// The parameter here that is called `name` elsewhere, if it is among `known`.
pub fn for_parameter<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let here: &[&str] = match name {
        "dim" | "axes" | "dims" => &["axis", "axes"],
        "axis" => &["axes"],
        "keepdim" => &["keepdims"],
        "learning_rate" | "step_size" | "eta" | "alpha" => &["lr"],
        "type" => &["dtype"],
        "eps" => &["epsilon"],
        "p" => &["rate", "ord"],
        "batch_size" | "kernel_size" | "hidden_size" | "hidden_dim" | "hidden" => &["size"],
        "num_samples" | "n_samples" | "samples" => &["draws", "samples", "size"],
        "num_warmup" | "tune" | "burn_in" => &["warmup"],
        "num_chains" => &["chains"],
        "num_heads" | "n_heads" | "nhead" => &["heads"],
        "embed_dim" | "d_model" | "embedding_dim" | "normalized_shape" => &["n", "dims"],
        "num_features" | "num_channels" => &["channels", "n"],
        "num_embeddings" | "vocab_size" => &["count"],
        "in_channels" => &["inputs", "channels"],
        "out_channels" => &["outputs"],
        "weight_decay_rate" => &["weight_decay"],
        "max_iter" | "num_steps" | "maxiter" | "n_steps" => &["steps"],
        "t_span" | "t_eval" | "ts" | "t" => &["times"],
        "strides" => &["stride"],
        "pad" => &["padding"],
        "in_features" | "in_dim" | "input_size" | "fan_in" => &["inputs"],
        "out_features" | "out_dim" | "units" | "fan_out" => &["outputs"],
        "test_size" => &["held_out"],
        "correction" => &["ddof"],
        "argnums" => &["wrt"],
        "has_aux" => &["aux"],
        "in_axes" => &["axes"],
        "approximation" => &["approximate"],
        _ => return None,
    };
    known.into_iter().find(|k| here.contains(k))
}
