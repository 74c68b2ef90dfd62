//! The table of primitives: families joined into one list.

pub mod activation;
pub mod arith;
pub mod attention;
pub mod batching;
pub mod batching_moves;
pub mod class_log_prob;
pub mod compare;
#[cfg(test)]
mod convention_tests;
pub mod convert;
pub mod convolution;
pub mod cumulative;
pub mod determinant;
pub mod distinct;
pub mod elementwise;
pub mod extremum;
pub mod factor;
pub mod gamma;
pub mod incomplete;
pub mod index;
pub mod index_rules;
pub mod inverse;
pub mod join;
pub mod lanes;
pub mod layer_norm;
pub mod linalg;
pub mod math;
pub mod matrices;
pub mod moment;
pub mod norm;
pub mod num;
pub mod operand;
pub mod order;
pub mod pad;
pub mod pool;
pub mod present;
pub mod prim;
pub mod product;
pub mod quantile;
pub mod real;
pub mod reduce;
pub mod repeat;
pub mod reshape;
pub mod running;
mod scalar;
pub mod segment;
pub mod select;
pub mod shape_rules;
pub mod singular;
pub mod sliding;
pub mod slope;
pub mod softmax;
pub mod special;
pub mod spectral;
pub mod standardize;
pub mod strong;
#[cfg(test)]
mod strong_tests;
pub mod take;
pub mod triangle;
pub mod wave;

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use prim::Prim;

/// The families.
static FAMILIES: &[&[&Prim]] = &[
    arith::PRIMS,
    math::PRIMS,
    slope::PRIMS,
    special::PRIMS,
    incomplete::PRIMS,
    activation::PRIMS,
    select::PRIMS,
    strong::PRIMS,
    compare::PRIMS,
    convert::PRIMS,
    reduce::PRIMS,
    product::PRIMS,
    extremum::PRIMS,
    moment::PRIMS,
    softmax::PRIMS,
    class_log_prob::PRIMS,
    standardize::PRIMS,
    layer_norm::PRIMS,
    attention::PRIMS,
    norm::PRIMS,
    present::PRIMS,
    quantile::PRIMS,
    cumulative::PRIMS,
    running::PRIMS,
    reshape::PRIMS,
    join::PRIMS,
    index::PRIMS,
    take::PRIMS,
    segment::PRIMS,
    order::PRIMS,
    repeat::PRIMS,
    pad::PRIMS,
    triangle::PRIMS,
    linalg::PRIMS,
    determinant::PRIMS,
    inverse::PRIMS,
    factor::PRIMS,
    distinct::PRIMS,
    spectral::PRIMS,
    singular::PRIMS,
    convolution::PRIMS,
    pool::PRIMS,
];

/// Every primitive.
pub fn table() -> impl Iterator<Item = &'static Prim> {
    FAMILIES.iter().copied().flatten().copied()
}

/// The primitive of this name.
pub fn find(name: &str) -> Option<&'static Prim> {
    static BY_NAME: OnceLock<FxHashMap<&str, &Prim>> = OnceLock::new();
    let all = || {
        let count = FAMILIES.iter().map(|family| family.len()).sum();
        let mut all = FxHashMap::with_capacity_and_hasher(count, Default::default());
        all.extend(table().map(|p| (p.name, p)));
        all
    };
    BY_NAME.get_or_init(all).get(name).copied()
}
