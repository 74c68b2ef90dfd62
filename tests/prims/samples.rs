//! Variants of a probe's samples: other shapes, axes and flags.

use dlang::ops::prim::{Default, Eval, ParamKind, Prim, Sample};

use crate::values::Spec;

/// Shapes for one argument: scalar, empty, of size 1, of higher rank.
const SHAPES: [&[usize]; 9] = [&[], &[1], &[0], &[3], &[0, 3], &[2, 0], &[2, 3], &[3, 1], &[2, 1, 2, 3]];

/// Shapes for two arguments: partners that broadcast, and some that do not.
const PAIRS: [[&[usize]; 2]; 14] = [
    [&[], &[3]],
    [&[3], &[]],
    [&[3], &[3]],
    [&[3, 1], &[1, 4]],
    [&[2, 3], &[3]],
    [&[3], &[2, 3]],
    [&[2, 1, 3], &[4, 1]],
    [&[0], &[1]],
    [&[0, 3], &[3]],
    [&[2, 0], &[2, 1]],
    [&[2, 0], &[0, 2]],
    [&[1], &[2, 2]],
    [&[2], &[3]],
    [&[2, 2, 2], &[2, 2, 2]],
];

/// No primitive gets more variants of one sample.
const MOST: usize = 32;

/// The name of parameter `i`; the last one may take many arguments.
fn param(prim: &Prim, i: usize) -> &'static str {
    prim.sig.params.get(i).or(prim.sig.params.last()).map_or("", |p| p.name)
}

/// True if argument `i` names axes.
pub fn is_axis(prim: &Prim, i: usize) -> bool {
    matches!(param(prim, i), "axis" | "axes" | "a" | "b" | "axis1" | "axis2")
}

fn none_is_default(prim: &Prim, i: usize) -> bool {
    matches!(prim.sig.params.get(i).map(|p| p.kind), Some(ParamKind::Optional(Default::None)))
}

pub fn specs(sample: &Sample) -> Vec<Spec> {
    sample.args.iter().map(Spec::of).collect()
}

/// All variants of a sample.
pub fn variants(prim: &Prim, sample: &[Spec]) -> Vec<Vec<Spec>> {
    if sample.iter().any(|s| matches!(s, Spec::Point(_))) {
        return vec![];
    }
    let mut all = vec![];
    for shaped in shapes(sample) {
        let fits = same_shapes(&shaped) && !shaped.iter().any(fixes_shape) && rank_of(&shaped) >= rank_of(sample);
        if is_internal(prim) && !fits {
            continue;
        }
        let rank = rank_of(&shaped);
        let mut axes = vec![shaped.clone()];
        for i in 0..shaped.len() {
            if is_axis(prim, i) && !shaped[i].is_active() {
                for other in axes_like(&shaped[i], rank, none_is_default(prim, i)) {
                    axes.push(with(&shaped, i, other));
                }
            }
        }
        for variant in axes {
            for i in 0..variant.len() {
                if let Spec::Bool(b) = variant[i] {
                    all.push(with(&variant, i, Spec::Bool(!b)));
                }
            }
            all.push(variant);
        }
    }
    // Every so many, to keep all shapes among those that stay.
    let stride = all.len().div_ceil(MOST).max(1);
    all.into_iter().step_by(stride).collect()
}

/// Rules of other primitives only apply it, always to arguments of one shape.
pub fn is_internal(prim: &Prim) -> bool {
    prim.name.starts_with('_') && !matches!(prim.eval, Eval::Elementwise(_))
}

/// True for arguments that speak of the shape of others.
fn fixes_shape(spec: &Spec) -> bool {
    matches!(spec, Spec::Tuple(_) | Spec::Items(_) | Spec::Ints(..))
}

fn rank_of(specs: &[Spec]) -> usize {
    specs.iter().map(|s| if let Spec::Float(shape, ..) = s { shape.len() } else { 0 }).max().unwrap_or(0)
}

fn same_shapes(specs: &[Spec]) -> bool {
    let mut shapes = specs.iter().filter_map(|s| if let Spec::Float(shape, ..) = s { Some(shape) } else { None });
    shapes.next().is_none_or(|first| shapes.all(|s| s == first))
}

fn with(specs: &[Spec], i: usize, spec: Spec) -> Vec<Spec> {
    let mut specs = specs.to_vec();
    specs[i] = spec;
    specs
}

fn shapes(sample: &[Spec]) -> Vec<Vec<Spec>> {
    let bounds: Vec<(usize, f64, f64)> = sample
        .iter()
        .enumerate()
        .filter_map(|(i, s)| if let Spec::Float(_, lo, hi) = s { Some((i, *lo, *hi)) } else { None })
        .collect();
    let shaped = |pick: &dyn Fn(usize) -> Vec<usize>| {
        let mut specs = sample.to_vec();
        for (k, &(i, lo, hi)) in bounds.iter().enumerate() {
            specs[i] = Spec::Float(pick(k), lo, hi);
        }
        specs
    };
    match bounds.len() {
        0 => vec![sample.to_vec()],
        1 => SHAPES.iter().map(|shape| shaped(&|_| shape.to_vec())).collect(),
        2 => PAIRS.iter().map(|pair| shaped(&|k| pair[k].to_vec())).collect(),
        _ => {
            let scalars = PAIRS.iter().map(|pair| shaped(&|k| pair.get(k).map_or(vec![], |s| s.to_vec())));
            scalars.chain(PAIRS.iter().map(|pair| shaped(&|k| pair[k % 2].to_vec()))).collect()
        }
    }
}

/// Other axes in the form of `spec`, one of them out of range.
fn axes_like(spec: &Spec, rank: usize, none: bool) -> Vec<Spec> {
    let n = rank as i64;
    let mut all = vec![];
    match spec {
        Spec::Tuple(items) if items.len() == rank && rank > 1 => {
            all.push(Spec::Tuple((0..n).map(|i| (i + 1) % n).collect()));
            all.push(Spec::Tuple((0..n).rev().collect()));
        }
        Spec::Tuple(items) if items.len() > 1 && rank > 1 => {
            all.push(Spec::Tuple((0..items.len() as i64).map(|i| (n - 1 - i) % n).collect()));
        }
        Spec::Tuple(_) => {}
        _ => all.extend((0..=n).chain([-1]).map(Spec::Int)),
    }
    if none {
        all.push(Spec::None);
    }
    all
}
