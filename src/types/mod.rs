//! Tree to types and shapes.

pub mod ty;
