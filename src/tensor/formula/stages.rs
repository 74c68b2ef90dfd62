//! A graph in stages, which go through a block of elements one after the other: kernels of elementary functions, and between them
//! loops of arithmetic, which keep what they compute in registers.
//!
//! Level 0 is arithmetic on what is there, level 1 begins with kernels that read that, and so on. Elements that another stage
//! reads stand in a buffer.

use super::graph::{Graph, Id, Node};
use crate::ops::lanes::Elementwise;

/// Where the elements of a node stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Those of value `i` of the formula.
    Value(u8),
    Root,
    Out,
    Buffer(u16),
    /// With the elements of output `i`.
    Output(u16),
}

/// A loop of arithmetic.
pub struct Program {
    /// What it computes.
    pub nodes: Vec<Id>,
    /// What it leaves behind.
    pub stores: Vec<(Id, Place)>,
}

pub enum Stage {
    Kernel { inside: &'static Elementwise, a: Id, b: Option<Id>, to: Place },
    Arith(Program),
}

pub struct Staged {
    pub graph: Graph,
    /// Where each node stands, if it has elements somewhere.
    pub places: Vec<Option<Place>>,
    pub stages: Vec<Stage>,
    pub buffers: usize,
}

/// What is done at a level, kernels first.
struct Level {
    kernels: Vec<Id>,
    nodes: Vec<Id>,
    stores: Vec<(Id, Place)>,
}

impl Staged {
    pub fn new(graph: Graph) -> Staged {
        let needed = graph.needed();
        let level = levels(&graph, &needed);
        let at = |list: &[usize], id: Id| list.get(id as usize).copied().unwrap_or(0);
        let is_computed = |id: Id| graph.nodes.get(id as usize).is_some_and(Node::is_arithmetic);
        // Who has to stand somewhere.
        let mut homeless = vec![false; graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
            let is_kernel = matches!(node, Node::Kernel(..));
            homeless[id] |= is_kernel;
            for read in node.reads().filter(|read| is_computed(*read)) {
                homeless[read as usize] |= is_kernel || at(&level, read) < level[id];
            }
        }
        let mut places: Vec<Option<Place>> = graph.nodes.iter().map(place_of_leaf).collect();
        for (i, (_, id)) in graph.outputs.iter().enumerate() {
            let place = &mut places[*id as usize];
            let stands = graph.nodes[*id as usize].is_computed();
            if stands && place.is_none() {
                *place = Some(Place::Output(i as u16));
            }
        }
        let mut stages: Vec<Level> = vec![];
        for l in 0..=level.iter().copied().max().unwrap_or(0) {
            let own = |id: &usize| needed[*id] && level[*id] == l;
            let kernels = (0..graph.nodes.len()).filter(own).map(|id| id as Id);
            let (kernels, rest): (Vec<Id>, Vec<Id>) =
                kernels.partition(|id| matches!(graph.nodes[*id as usize], Node::Kernel(..)));
            let nodes: Vec<Id> = rest.into_iter().filter(|id| is_computed(*id)).collect();
            stages.push(Level { kernels, nodes, stores: vec![] });
        }
        // Buffers are used again once nobody reads them.
        let mut last = level.clone();
        for (id, node) in graph.nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
            node.reads().for_each(|read| last[read as usize] = last[read as usize].max(level[id]));
        }
        let mut free: Vec<(usize, u16)> = vec![];
        let mut buffers = 0;
        for (l, stage) in stages.iter().enumerate() {
            for id in stage.kernels.iter().chain(&stage.nodes) {
                let id = *id as usize;
                if !homeless[id] || places[id].is_some() {
                    continue;
                }
                // One that was read at this level may be still.
                let buffer = match free.iter().position(|(until, _)| *until < l) {
                    Some(i) => free.swap_remove(i).1,
                    None => {
                        buffers += 1;
                        buffers as u16 - 1
                    }
                };
                places[id] = Some(Place::Buffer(buffer));
                free.push((last[id], buffer));
            }
        }
        for Level { nodes, stores, .. } in &mut stages {
            stores.extend(nodes.iter().filter_map(|id| Some((*id, places[*id as usize]?))));
        }
        for (i, (_, id)) in graph.outputs.iter().enumerate() {
            let own = Place::Output(i as u16);
            if places[*id as usize] != Some(own)
                && let Some(stage) = stages.get_mut(at(&level, *id))
            {
                stage.stores.push((*id, own));
            }
        }
        let mut all = vec![];
        for Level { kernels, nodes, stores } in stages {
            for id in kernels {
                if let (Node::Kernel(inside, a, b), Some(to)) = (graph.nodes[id as usize], places[id as usize]) {
                    all.push(Stage::Kernel { inside, a, b, to });
                }
            }
            if !stores.is_empty() {
                all.push(Stage::Arith(Program { nodes, stores }));
            }
        }
        Staged { graph, places, stages: all, buffers }
    }
}

fn place_of_leaf(node: &Node) -> Option<Place> {
    match *node {
        Node::Value(i) => Some(Place::Value(i)),
        Node::Root => Some(Place::Root),
        Node::Out => Some(Place::Out),
        Node::Before(i) => Some(Place::Output(i)),
        _ => None,
    }
}

/// The level at which each node is computed: kernels as soon as may be, arithmetic where it is read, so that little has to stand
/// anywhere from one level to the next.
fn levels(graph: &Graph, needed: &[bool]) -> Vec<usize> {
    let is_kernel = |id: usize| matches!(graph.nodes[id], Node::Kernel(..));
    let mut level: Vec<usize> = vec![];
    for (id, node) in graph.nodes.iter().enumerate() {
        let highest = node.reads().map(|read| level[read as usize]).max().unwrap_or(0);
        level.push(if is_kernel(id) { highest + 1 } else { highest });
    }
    let last = (0..level.len()).filter(|id| needed[*id]).map(|id| level[id]).max().unwrap_or(0);
    let mut at = vec![last; level.len()];
    for (id, node) in graph.nodes.iter().enumerate().rev().filter(|(id, _)| needed[*id]) {
        if is_kernel(id) {
            at[id] = level[id];
        }
        // What a kernel reads is computed before its level begins.
        let until = if is_kernel(id) { at[id] - 1 } else { at[id] };
        node.reads().for_each(|read| at[read as usize] = at[read as usize].min(until));
    }
    at
}
