//! All elementwise families under one name.

pub use super::activation::{GELU, GELU_EXACT, GELU_TANH, RELU, SIGMOID, SILU, SOFTPLUS};
pub use super::arith::{ABS, ADD, DIV, FLOORDIV, MUL, NEG, POW, REM, SIGN, SUB};
pub use super::math::{
    ACOS, ASIN, ATAN, ATAN2, CBRT, CEIL, COS, COSH, EXP, EXPM1, FLOOR, HYPOT, LOG, LOG1P, LOG2, LOG10, LOGADDEXP,
    ROUND, SIN, SINH, SQRT, TAN, TANH, TRUNC,
};
pub use super::select::{CLAMP, MAXIMUM, MINIMUM, WHERE};
pub use super::special::{DIGAMMA, ERF, LGAMMA, NDTR, POLYGAMMA};
pub use super::strong::{DIV_OR_ZERO, ZMUL};
