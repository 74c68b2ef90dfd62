//! The machine.

/// The machine.
pub struct Vm {
    pub cx: crate::ad::Cx,
}
