//! Whether a value has NaN or infinity in it.

use crate::tensor::Tensor;
use crate::value::Value;

/// True if any float in the value, to any depth, is NaN or infinite.
pub fn has_nonfinite(value: &Value) -> bool {
    match value {
        Value::Float(_, x) => !x.is_finite(),
        Value::Tensor(_, t) => match &**t {
            Tensor::F32(a) => a.iter().any(|x| !x.is_finite()),
            Tensor::F64(a) => a.iter().any(|x| !x.is_finite()),
            Tensor::Bool(_) | Tensor::Int(_) => false,
        },
        Value::Tuple(items) | Value::List(items) => items.iter().any(has_nonfinite),
        Value::Dict(entries) => entries.values().any(has_nonfinite),
        Value::Struct(s) => s.fields.iter().any(has_nonfinite),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_everywhere() {
        assert!(!has_nonfinite(&Value::float(1.0)));
        assert!(has_nonfinite(&Value::list(vec![Value::Int(1), Value::tuple(vec![Value::float(f64::NAN)])])));
        assert!(has_nonfinite(&Value::float(f64::NEG_INFINITY)));
    }
}
