//! Which entries of a result depend on which entries of the argument, read from a recorded tape.
//!
//! Each node carries, for each of its elements, the set of inputs that it depends on. Sets are never too small: what is not
//! known of a primitive is taken to mix everything. They hold wherever the function takes the same branches.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::ad::lift;
use crate::ad::slot::{Level, Node};
use crate::ad::tape::{General, GroupEntry, Kind, PrimEntry};
use crate::ad::transforms::reverse_mode::Recorded;
use crate::env::Env;
use crate::ops::prim::Eval;
use crate::tensor::broadcast::broadcast_shapes;
use crate::tensor::{DType, Tensor, count};
use crate::value::Value;

/// Inputs by number, ascending.
pub type Set = Rc<[u32]>;

/// The sets of the elements of a node.
#[derive(Clone)]
enum Sets {
    /// One for all.
    All(Set),
    Each(Vec<Set>),
}

impl Sets {
    fn at(&self, i: usize) -> Option<&Set> {
        match self {
            Sets::All(set) => Some(set),
            Sets::Each(sets) => sets.get(i),
        }
    }
}

/// For each float of the result, the floats of the argument that it depends on.
pub fn pattern(recorded: &Recorded) -> Vec<Set> {
    let level = recorded.level;
    let tape = &recorded.tape;
    let mut nodes: Vec<Option<Sets>> = vec![None; tape.entries.len()];
    let mut begin = 0;
    each_leaf(&recorded.lifted, &mut |leaf| {
        let n = count(leaf.shape().unwrap_or(&[]));
        if leaf.slot().level() == level
            && let Some(place) = nodes.get_mut(leaf.slot().node().0 as usize)
        {
            *place = Some(Sets::Each((begin..begin + n).map(|i| Rc::from([i as u32])).collect()));
        }
        begin += n;
    });
    for (i, entry) in tape.entries.iter().enumerate().skip(1) {
        if nodes[i].is_some() {
            continue;
        }
        match entry.kind() {
            Kind::Element { whole, at } => {
                let whole = tape.wholes.get(whole).and_then(|w| nodes.get(w.node.0 as usize)?.as_ref());
                let set = whole.and_then(|sets| sets.at(at)).cloned();
                nodes[i] = Some(Sets::All(set.unwrap_or_else(none)));
            }
            Kind::Scalar => {
                let operands =
                    [entry.a, entry.b].map(|n| nodes.get(n as usize).and_then(|s| s.as_ref()?.at(0).cloned()));
                nodes[i] = Some(Sets::All(union(operands.iter().flatten())));
            }
            Kind::General(index) => match tape.general.get(index) {
                Some(General::Prim(p)) => nodes[i] = Some(primitive(p, &nodes)),
                Some(General::Group(group)) => spread(group, level, &mut nodes),
                _ => {}
            },
        }
    }
    let mut rows = vec![];
    each_leaf(&recorded.inside, &mut |leaf| {
        let depends = !leaf.slot().is_const() && leaf.slot().level() == level;
        let sets = depends.then(|| nodes.get(leaf.slot().node().0 as usize)).flatten().and_then(Option::as_ref);
        let n = count(leaf.shape().unwrap_or(&[]));
        rows.extend((0..n).map(|i| sets.and_then(|s| s.at(i)).cloned().unwrap_or_else(none)));
    });
    rows
}

fn each_leaf(value: &Value, f: &mut dyn FnMut(&Value)) {
    let _ = lift::map_gradient(value, &mut |leaf| {
        if leaf.is_differentiable() {
            f(leaf);
        }
        Ok(Value::None)
    });
}

fn none() -> Set {
    Rc::from([])
}

fn union<'a>(sets: impl Iterator<Item = &'a Set>) -> Set {
    let mut sets = sets.filter(|s| !s.is_empty());
    let Some(first) = sets.next() else { return none() };
    let mut all: Vec<u32> = vec![];
    for set in sets {
        if !Rc::ptr_eq(set, first) {
            all.extend(set.iter());
        }
    }
    if all.is_empty() {
        return first.clone();
    }
    all.extend(first.iter());
    all.sort_unstable();
    all.dedup();
    all.into()
}

/// A custom rule or checkpoint: every part of its result depends on all of its arguments.
fn spread(group: &GroupEntry, level: Level, nodes: &mut [Option<Sets>]) {
    let mut sources = vec![];
    for arg in &group.args {
        each_leaf(arg, &mut |leaf| {
            if leaf.slot().level() == level
                && let Some(Some(sets)) = nodes.get(leaf.slot().node().0 as usize)
            {
                sources.push(whole(sets));
            }
        });
    }
    let set = union(sources.iter());
    each_leaf(&group.result, &mut |leaf| {
        if leaf.slot().level() == level
            && let Some(place) = nodes.get_mut(leaf.slot().node().0 as usize)
        {
            *place = Some(Sets::All(set.clone()));
        }
    });
}

/// The union over all elements.
fn whole(sets: &Sets) -> Set {
    match sets {
        Sets::All(set) => set.clone(),
        Sets::Each(sets) => union(sets.iter()),
    }
}

/// An operand: its place among the arguments, its sets, its shape.
type Operand<'a> = (usize, &'a Sets, &'a [usize]);

fn primitive(p: &PrimEntry, nodes: &[Option<Sets>]) -> Sets {
    let operand = |(i, node): (usize, &Node)| {
        let sets = if node.0 == 0 { None } else { nodes.get(node.0 as usize)?.as_ref() };
        Some((i, sets?, p.shapes.get(i).map_or(&[][..], |s| &s.shape)))
    };
    let operands: SmallVec<[Operand<'_>; 3]> = p.nodes.iter().enumerate().filter_map(operand).collect();
    let mixed = || Sets::All(union(operands.iter().map(|(_, s, _)| whole(s)).collect::<Vec<_>>().iter()));
    if matches!(p.prim.eval, Eval::Elementwise(_)) && operands.iter().all(|(_, s, _)| matches!(s, Sets::All(_))) {
        return mixed();
    }
    known(p, &operands).unwrap_or_else(mixed)
}

/// The sets of the result, element by element, for primitives whose structure is known.
fn known(p: &PrimEntry, operands: &[Operand<'_>]) -> Option<Sets> {
    match &p.prim.eval {
        Eval::Elementwise(e) => broadcast(p, operands, e.arity()),
        Eval::General(eval) => match p.prim.name {
            "reshape" | "permute" | "transpose" | "squeeze" | "expand" | "flatten" | "broadcast_to" | "get_index"
            | "_set_index" | "_stack" | "_concat" | "repeat" | "tile" | "flip" | "roll" | "pad" | "take" | "gather"
            | "tril" | "triu" | "diag" | "_cast" | "_shift" => moved(p, operands, *eval),
            "sum" | "mean" | "prod" | "max" | "min" | "var" | "std" | "logsumexp" => {
                let [(_, sets, shape)] = operands else { return None };
                Some(reduced(sets, shape, &axes(p, shape.len())?))
            }
            "_sum_to" => {
                let [(_, sets, shape)] = operands else { return None };
                let target = ints(p.args.get(1)?)?;
                let extra = shape.len().checked_sub(target.len())?;
                let axes: Vec<usize> = (0..shape.len()).filter(|&a| a < extra || target[a - extra] == 1).collect();
                Some(reduced(sets, shape, &axes))
            }
            "softmax" | "log_softmax" | "cumsum" | "cumprod" | "_cumsum_back" | "_prod_others" | "_softmax_pull"
            | "_log_softmax_pull" => lines(p, operands),
            "where" | "clamp" => broadcast(p, operands, p.shapes.len()),
            "_index_add" => added(p, operands),
            "matmul" => product(p, operands),
            _ => None,
        },
    }
}

/// Element by element of the first arguments, stretched to a common shape.
fn broadcast(p: &PrimEntry, operands: &[Operand<'_>], arguments: usize) -> Option<Sets> {
    let mut out = crate::tensor::Shape::new();
    for shape in p.shapes.iter().take(arguments) {
        out = broadcast_shapes(&out, &shape.shape).ok()?;
    }
    let strides: Vec<Vec<usize>> = operands.iter().map(|(_, _, shape)| strides(shape, &out)).collect();
    let mut sets = Vec::with_capacity(count(&out));
    for i in 0..count(&out) {
        let parts = operands.iter().zip(&strides).map(|((_, s, _), strides)| s.at(offset(i, &out, strides)));
        sets.push(union(parts.collect::<Option<SmallVec<[&Set; 3]>>>()?.into_iter()));
    }
    Some(Sets::Each(sets))
}

/// Strides of a shape stretched to another; 0 along stretched axes.
fn strides(shape: &[usize], out: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; out.len()];
    let mut step = 1;
    for (k, &n) in shape.iter().rev().enumerate() {
        if let Some(at) = out.len().checked_sub(k + 1) {
            strides[at] = if n == 1 { 0 } else { step };
        }
        step *= n;
    }
    strides
}

fn offset(mut i: usize, shape: &[usize], strides: &[usize]) -> usize {
    let mut at = 0;
    for (n, stride) in shape.iter().zip(strides).rev() {
        at += i % n.max(&1) * stride;
        i /= n.max(&1);
    }
    at
}

/// What only moves elements: run on their numbers, it tells where each comes from.
fn moved(
    p: &PrimEntry,
    operands: &[Operand<'_>],
    eval: fn(&mut Env, &[Value]) -> crate::error::Result<Value>,
) -> Option<Sets> {
    let mut args: Vec<Value> = vec![];
    let mut begins = vec![];
    let mut next = 1usize;
    for (i, arg) in p.args.iter().enumerate() {
        let shape = p.shapes.get(i)?;
        let n = count(&shape.shape);
        if operands.iter().any(|(k, ..)| *k == i) {
            begins.push(next);
            args.push(if shape.dtype.is_none() {
                Value::float(next as f64)
            } else {
                Value::tensor(Tensor::from_vec(&shape.shape, (next..next + n).map(|i| i as f64).collect()))
            });
            next += n;
        } else if shape.dtype.is_some_and(DType::is_float) {
            args.push(Value::tensor(Tensor::zeros(&shape.shape, DType::F64)));
        } else if matches!(arg, Value::Float(..)) {
            args.push(Value::float(0.0));
        } else if matches!(arg, Value::DType(_)) {
            args.push(Value::DType(DType::F64));
        } else {
            args.push(arg.clone());
        }
    }
    let numbers: Vec<f64> = match eval(&mut Env::default(), &args).ok()? {
        Value::Tensor(_, t) if t.dtype() == DType::F64 => t.iter_f64().collect(),
        Value::Float(_, x) => vec![x],
        _ => return None,
    };
    let source = |x: f64| {
        if x == 0.0 {
            return Some(none());
        }
        let i = x as usize;
        let which = begins.partition_point(|b| *b <= i).checked_sub(1)?;
        (x.fract() == 0.0).then_some(())?;
        operands.get(which)?.1.at(i - begins[which]).cloned()
    };
    Some(Sets::Each(numbers.into_iter().map(source).collect::<Option<_>>()?))
}

/// The value of a static argument.
fn static_arg<'a>(p: &'a PrimEntry, name: &str) -> Option<&'a Value> {
    let at = p.prim.sig.params.iter().position(|param| param.name == name)?;
    p.args.get(at)
}

fn ints(value: &Value) -> Option<Vec<i64>> {
    match value {
        Value::Int(i) => Some(vec![*i]),
        Value::Tuple(items) | Value::List(items) => {
            items.iter().map(|v| if let Value::Int(i) = v { Some(*i) } else { None }).collect()
        }
        Value::Tensor(_, t) if t.dtype() == DType::Int => Some(t.iter_f64().map(|x| x as i64).collect()),
        _ => None,
    }
}

/// The axes that a reduction goes along.
fn axes(p: &PrimEntry, rank: usize) -> Option<Vec<usize>> {
    let axis = static_arg(p, "axis")?;
    if matches!(axis, Value::None) {
        return Some((0..rank).collect());
    }
    let one = |a: i64| usize::try_from(if a < 0 { a + rank as i64 } else { a }).ok().filter(|a| *a < rank);
    ints(axis)?.into_iter().map(one).collect()
}

/// Elements that differ along `axes` only, taken together; in the order of the other axes.
fn reduced(sets: &Sets, shape: &[usize], axes: &[usize]) -> Sets {
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).map(|a| shape[a]).collect();
    let to = reduced_strides(shape, axes);
    let mut groups: Vec<Vec<&Set>> = vec![vec![]; count(&kept)];
    for i in 0..count(shape) {
        if let (Some(group), Some(set)) = (groups.get_mut(offset(i, shape, &to)), sets.at(i)) {
            group.push(set);
        }
    }
    Sets::Each(groups.into_iter().map(|g| union(g.into_iter())).collect())
}

fn reduced_strides(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1;
    for a in (0..shape.len()).rev().filter(|a| !axes.contains(a)) {
        strides[a] = step;
        step *= shape[a];
    }
    strides
}

/// Each element depends on its whole line along an axis.
fn lines(p: &PrimEntry, operands: &[Operand<'_>]) -> Option<Sets> {
    let shape = operands.first()?.2;
    if matches!(static_arg(p, "axis")?, Value::None) || operands.iter().any(|(_, _, s)| *s != shape) {
        return None;
    }
    let axes = axes(p, shape.len())?;
    let parts: Vec<Sets> = operands.iter().map(|(_, sets, _)| reduced(sets, shape, &axes)).collect();
    let to = reduced_strides(shape, &axes);
    let line = |i| union(parts.iter().filter_map(|s| s.at(offset(i, shape, &to))));
    Some(Sets::Each((0..count(shape)).map(line).collect()))
}

/// `x` with `v` added at an index.
fn added(p: &PrimEntry, operands: &[Operand<'_>]) -> Option<Sets> {
    let shape = &p.shapes.first()?.shape;
    let n = count(shape);
    let numbers = Tensor::from_vec(shape, (0..n).map(|i| i as i64).collect());
    let Eval::General(get) = &crate::ops::index::GET_INDEX.eval else { return None };
    let places = match get(&mut Env::default(), &[Value::tensor(numbers), p.args.get(1)?.clone()]).ok()? {
        Value::Tensor(_, t) => t,
        Value::Int(i) => Rc::new(Tensor::from_vec(&[1], vec![i])),
        _ => return None,
    };
    let mut parts: Vec<Vec<&Set>> = vec![vec![]; n];
    for (i, sets, own) in operands {
        match i {
            0 => (0..n).for_each(|k| parts[k].extend(sets.at(k))),
            2 => {
                let stretched = strides(own, places.shape());
                for (k, place) in places.iter_f64().enumerate() {
                    parts.get_mut(place as usize)?.push(sets.at(offset(k, places.shape(), &stretched))?);
                }
            }
            _ => return None,
        }
    }
    Some(Sets::Each(parts.into_iter().map(|p| union(p.into_iter())).collect()))
}

/// Matrix products of rank 1 and 2; zeros of a constant factor stay zero.
fn product(p: &PrimEntry, operands: &[Operand<'_>]) -> Option<Sets> {
    let (a, b) = (&p.shapes.first()?.shape, &p.shapes.get(1)?.shape);
    let (rows, inner, columns) = match (a.as_slice(), b.as_slice()) {
        ([k], [_]) => (1, *k, 1),
        ([m, k], [_]) => (*m, *k, 1),
        ([k], [_, n]) => (1, *k, *n),
        ([m, k], [_, n]) => (*m, *k, *n),
        _ => return None,
    };
    let constant = |i: usize| match p.args.get(i) {
        Some(Value::Tensor(slot, t)) if slot.is_const() && p.nodes.get(i).is_some_and(|n| n.0 == 0) => {
            Some(t.iter_f64().collect::<Vec<f64>>())
        }
        _ => None,
    };
    let factors = [constant(0), constant(1)];
    let nonzero = |i: usize, at: usize| factors[i].as_ref().and_then(|f| f.get(at)).is_none_or(|x| *x != 0.0);
    let mut out = Vec::with_capacity(rows * columns);
    for i in 0..rows {
        for j in 0..columns {
            let mut parts: Vec<&Set> = vec![];
            for k in 0..inner {
                let places = [i * inner + k, k * columns + j];
                for (which, sets, _) in operands {
                    if nonzero(1 - (*which).min(1), places[1 - (*which).min(1)]) {
                        parts.extend(sets.at(places[(*which).min(1)]));
                    }
                }
            }
            out.push(union(parts.into_iter()));
        }
    }
    Some(Sets::Each(out))
}
