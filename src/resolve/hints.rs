//! What people from elsewhere type, and what it is called here.

/// A hint for an unknown name that is known elsewhere.
pub fn for_unknown(name: &str) -> Option<String> {
    let here = match name {
        "np" | "numpy" | "torch" | "jnp" | "jax" | "tf" => {
            "its functions are built in: write zeros(2, 3), sin(x), x @ y"
        }
        "True" => "write `true`",
        "False" => "write `false`",
        "None" | "null" | "nil" | "nothing" | "undefined" => "write `none`",
        "ln" => "the natural logarithm is `log`",
        "pow2" | "power" => "powers are written x^2",
        "println" | "printf" | "puts" | "echo" => "write print(...)",
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
        _ => return None,
    };
    Some(here.to_string())
}
