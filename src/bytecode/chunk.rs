//! Code.

/// Compiled function.
pub struct Chunk {}
