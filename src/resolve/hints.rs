//! What people from elsewhere type, and what it is called here.

/// A hint for an unknown name that is known elsewhere.
pub fn for_unknown(name: &str) -> Option<String> {
    let here = match name {
        "np" | "numpy" | "torch" | "jnp" | "jax" | "tf" => {
            "its functions are built in: write zeros(2, 3), sin(x), x @ y"
        }
        "elif" => "write `else if`, on the line of the `}` before it or on the next one",
        "ln" => "the natural logarithm is `log`",
        "pow2" | "power" => "powers are written x^2",
        "length" | "size" => "write len(x), or x.shape and x.size for tensors",
        "append" => "write xs.push(x)",
        "dtype" => "ask a tensor for x.dtype; the dtypes are f32 and f64",
        "self" => "declare the method with `self` as its first parameter",
        "array" | "Tensor" => "write a tensor as [1.0, 2.0], or tensor(list)",
        "string" => "text is made by str(x)",
        "double" => "write float(x)",
        "arctan" => "write atan",
        "arcsin" => "write asin",
        "arccos" => "write acos",
        "arctan2" => "write atan2",
        "clip" => "write clamp(x, lo, hi)",
        "cat" | "concatenate" | "hcat" | "vcat" => "write concat((a, b), axis: 0)",
        "rand_like" | "randn_like" => "write randn(x.shape)",
        "matmul" => "write a @ b",
        "mod" => "write a % b",
        "detach" | "stop_gradient" => "write stop_grad(x)",
        "backward" => "there is no backward pass to start: grad(f)(x) gives the gradient",
        "nn" | "loss" | "optim" | "data" | "io" | "metrics" | "init" => {
            return Some(format!("write `import {name}` first"));
        }
        "isinstance" | "typeof" => "write type(x)",
        "super" => "structs do not inherit: keep the other struct in a field",
        "tuple" => "write a tuple as (1, 2)",
        "linear" | "Linear" => "a layer is nn.Dense.new(inputs, outputs), after `import nn`",
        _ => return crate::syntax::hints::foreign_word(name).map(str::to_string),
    };
    Some(here.to_string())
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

/// A hint for a method or field that values have elsewhere.
pub fn for_member(name: &str) -> Option<&'static str> {
    Some(match name {
        "append" | "add" | "push_back" => "write xs.push(x)",
        "T" | "transpose_" | "mT" => "write x.t",
        "length" | "len" | "count" => "write len(x); a tensor's shape is x.shape",
        "ndim" | "dim" => "write x.rank",
        "numel" | "size" => "write x.size",
        "view" | "resize" => "write x.reshape(2, 3)",
        "astype" | "float" | "double" | "type" | "cast" => "write x.to(f32)",
        "item" | "numpy" | "tolist" => "a full reduction is a number already: sum(x); single elements are x[i]",
        "detach" => "write stop_grad(x)",
        "backward" | "grad" | "requires_grad" => "there is no backward pass to start: grad(f)(x) gives the gradient",
        "clone" | "copy" => "values are never shared: write let y = x",
        "cuda" | "cpu" | "device" => "take it out: there are no devices to choose from",
        "unsqueeze" => "write x.expand(0), or x[none]",
        "format" => "put values into text with an f-string: f\"{x:.2f}\"",
        "map" | "filter" | "zip" => return None,
        "parameters" => "a model is its parameters: pass the model itself",
        "zero_grad" | "step" => "there is nothing to reset: opt.update(&model, g) takes the gradient",
        "contains" | "has" | "includes" | "has_key" => "write `key in x`",
        "toString" | "to_string" => "write str(x)",
        "forEach" | "each" => "write `for x in xs { ... }`",
        _ => return None,
    })
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
        "batch_size" | "kernel_size" => &["size"],
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
