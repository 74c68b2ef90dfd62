//! Products and quotients that rules are written with: a zero cotangent stays zero, whatever it is multiplied by.

use super::lanes::Ints;
use super::prim::Prim;
use crate::binary_prims;

/// The family.
pub static PRIMS: &[&Prim] = &[&ZMUL, &DIV_OR_ZERO];

binary_prims! {
    ZMUL "_zmul" ("a", "b"), "`a * b`, but 0 where `a` is 0 even if `b` is infinite or NaN.",
        ints: Ints::Promote,
        f(a, b) a.zmul(b),
        d0(a, b, y) b,
        d1(a, b, y) a,
        probe: 0.5..2.0, -2.0..2.0, &[0.0, 1.0], &[1.0, 0.0];
    DIV_OR_ZERO "_div_or_zero" ("a", "b"), "`a / b`, but constant 0 where `b` is 0.",
        ints: Ints::Promote,
        f(a, b) a.div_or_zero(b),
        d0(a, b, y) N::c(1.0).div_or_zero(b),
        d1(a, b, y) -y.div_or_zero(b),
        probe: -2.0..2.0, 0.5..2.0, &[0.0, 1.0], &[-1.0, 2.0];
}
