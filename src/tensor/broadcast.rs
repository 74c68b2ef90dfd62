//! Broadcasting as NumPy does it: shapes align at their last dim, dims of 1 (and missing ones) stretch.
//!
//! In: shapes and row-major buffers. Out: the common shape, or the error that names the clashing dim; stretched
//! copies; and the way back, sums over the stretched axes.

use smallvec::SmallVec;

use super::create::Element;
use super::{Arr, Shape, Tensor, count, flat, show_shape};
use crate::error::{Error, Result};
use crate::value::Value;

/// The common shape of two, or the axis of the longer one where they clash.
pub fn broadcast_shapes(a: &[usize], b: &[usize]) -> std::result::Result<Shape, usize> {
    if a == b {
        return Ok(a.into());
    }
    let rank = a.len().max(b.len());
    let mut shape = Shape::from_elem(1, rank);
    for axis in 0..rank {
        let (m, n) = (dim(a, rank, axis), dim(b, rank, axis));
        shape[axis] = match (m, n) {
            (m, n) if m == n => m,
            (1, n) => n,
            (m, 1) => m,
            _ => return Err(axis),
        };
    }
    Ok(shape)
}

/// Dim of `shape` at `axis` of a broadcast shape of `rank`; missing leading dims are 1.
fn dim(shape: &[usize], rank: usize, axis: usize) -> usize {
    let missing = rank - shape.len();
    if axis < missing { 1 } else { shape[axis - missing] }
}

/// The common shape of several operands (scalars and tensors).
pub fn broadcast_values(name: &str, args: &[Value]) -> Result<Shape> {
    let mut shape = Shape::new();
    for (i, v) in args.iter().enumerate() {
        let own = v.shape().unwrap_or(&[]);
        if i == 0 || shape.is_empty() {
            shape = own.into();
            continue;
        }
        if own.is_empty() {
            continue;
        }
        shape = broadcast_shapes(&shape, own).map_err(|_| clash(name, args))?;
    }
    Ok(shape)
}

/// The error for shapes that do not broadcast; `args` are scalars and tensors.
#[cold]
fn clash(name: &str, args: &[Value]) -> Error {
    let shaped: Vec<(usize, String, &[usize])> = args
        .iter()
        .enumerate()
        .filter_map(|(i, v)| v.shape().filter(|s| !s.is_empty()).map(|s| (i, v.type_name(), s)))
        .collect();
    for (n, (i, kind_a, a)) in shaped.iter().enumerate() {
        for (j, kind_b, b) in &shaped[n + 1..] {
            if broadcast_shapes(a, b).is_err() {
                return shapes_clash(name, (*i, kind_a, a), (*j, kind_b, b));
            }
        }
    }
    Error::new("E0301", format!("the shapes of {name}'s arguments do not broadcast together"))
}

/// Says which dims of two operands clash, and how to mend it if a transpose, a reshape or an added axis does.
/// Each operand: index among the arguments, type as shown, shape.
#[cold]
pub fn shapes_clash(name: &str, a: (usize, &str, &[usize]), b: (usize, &str, &[usize])) -> Error {
    let (i, kind_a, a) = a;
    let (j, kind_b, b) = b;
    let rank = a.len().max(b.len());
    let axis = broadcast_shapes(a, b).err().unwrap_or(0);
    let (m, n) = (dim(a, rank, axis), dim(b, rank, axis));
    let from_end = rank - axis;
    let what = misfit_of(name);
    let place = if from_end == 1 { "the last dim".to_string() } else { format!("dim {from_end} from the end") };
    let error = Error::new("E0301", format!("{what}: {} and {}", show_shape(a), show_shape(b)))
        .operand(i, format!("this is {kind_a}"))
        .operand(j, format!("this is {kind_b}"))
        .note(format!("shapes align at their last dim; {place} is {m} here and {n} there, and neither is 1"));
    let error = error.sizes([m, n]);
    match remedy(a, b) {
        Some(help) => error.help(help),
        None => error,
    }
}

/// What is wrong with shapes that do not broadcast.
pub fn misfit_of(name: &str) -> String {
    match name {
        "add" | "sub" | "mul" | "div" => "these shapes do not broadcast".to_string(),
        _ => format!("the shapes given to {name} do not broadcast"),
    }
}

/// A hint if a small change makes the shapes fit.
fn remedy(a: &[usize], b: &[usize]) -> Option<String> {
    let turned = |s: &[usize]| -> Option<Shape> { (s.len() == 2).then(|| SmallVec::from_slice(&[s[1], s[0]])) };
    if let Some(t) = turned(b)
        && t.as_slice() == a
    {
        return Some("transpose one of them: `.t`".into());
    }
    for (short, long, side) in [(a, b, "left"), (b, a, "right")] {
        if short.len() >= long.len() || short.is_empty() {
            continue;
        }
        // [n] against [n, m]: a new last axis; [b, n] against [b, t, n]: a new axis inside.
        for at in (1..=short.len()).rev() {
            let mut longer = Shape::from_slice(short);
            longer.insert(at, 1);
            if broadcast_shapes(&longer, long).is_ok_and(|s| s.as_slice() == long) {
                let mut index: Vec<&str> = vec![":"; short.len()];
                index.insert(at, "none");
                return Some(format!(
                    "add an axis to the {side} one: `[{}]` makes it {}",
                    index.join(", "),
                    show_shape(&longer)
                ));
            }
        }
    }
    if count(a) == count(b) && count(a) > 0 {
        return Some(format!("both have {} elements: reshape one to the other's shape", count(a)));
    }
    None
}

/// Strides, in elements, of a row-major buffer of `shape` seen as `target`; 0 where it stretches.
pub fn broadcast_strides(shape: &[usize], target: &[usize]) -> SmallVec<[usize; 4]> {
    let mut strides = SmallVec::from_elem(0, target.len());
    let missing = target.len().saturating_sub(shape.len());
    let mut step = 1;
    for (axis, &n) in shape.iter().enumerate().rev() {
        if n != 1 {
            strides[missing + axis] = step;
        }
        step *= n;
    }
    strides
}

/// A stretched copy of a row-major buffer. `shape` must broadcast to `target`.
pub fn stretch<T: Copy>(data: &[T], shape: &[usize], target: &[usize]) -> Vec<T> {
    let n = count(target);
    let mut out = Vec::with_capacity(n);
    if n == 0 {
        return out;
    }
    if let [x] = data {
        out.resize(n, *x);
        return out;
    }
    let strides = broadcast_strides(shape, target);
    let inner = target.last().copied().unwrap_or(1);
    let step = strides.last().copied().unwrap_or(0);
    let outer = target.len().saturating_sub(1);
    let (dims, strides) = (&target[..outer], &strides[..outer]);
    match inner {
        // Points in the plane and in space: with a length that the compiler knows, a copy is a few moves.
        2 => for_rows(dims, strides, |base| extend_by::<2, T>(&mut out, data, base, step)),
        3 => for_rows(dims, strides, |base| extend_by::<3, T>(&mut out, data, base, step)),
        4 => for_rows(dims, strides, |base| extend_by::<4, T>(&mut out, data, base, step)),
        _ if step == 0 => {
            for_rows(dims, strides, |base| data.get(base).into_iter().for_each(|&x| out.resize(out.len() + inner, x)));
        }
        _ => for_rows(dims, strides, |base| out.extend_from_slice(data.get(base..base + inner).unwrap_or(&[]))),
    }
    out
}

/// `N` elements from `from` on, or one of them `N` times.
#[inline]
pub(super) fn extend_by<const N: usize, T: Copy>(out: &mut Vec<T>, data: &[T], from: usize, step: usize) {
    match data.get(from..) {
        Some([x, ..]) if step == 0 => out.extend_from_slice(&[*x; N]),
        Some(rest) => out.extend_from_slice(rest.first_chunk::<N>().map_or(&[], |row| &row[..])),
        None => {}
    }
}

/// Calls `f` with the offset of each index of `dims`, in row-major order.
#[inline]
pub fn for_rows(dims: &[usize], strides: &[usize], mut f: impl FnMut(usize)) {
    let (Some((&inner, dims)), Some((&step, strides))) = (dims.split_last(), strides.split_last()) else {
        return f(0);
    };
    let mut index: Shape = SmallVec::from_elem(0, dims.len());
    let mut base = 0;
    for _ in 0..count(dims) {
        // The last axis is a plain loop: rows are often short and many.
        (0..inner).for_each(|i| f(base + i * step));
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            base += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            base -= strides[axis] * dims[axis];
            index[axis] = 0;
        }
    }
}

/// The error for a shape that does not broadcast to another.
#[cold]
pub fn does_not_stretch(kind: &str, shape: &[usize], target: &[usize]) -> Error {
    Error::new("E0301", format!("{} does not broadcast to {}", show_shape(shape), show_shape(target)))
        .operand(0, format!("this is {kind}"))
        .help("shapes align at their last dim, and only dims of 1 stretch")
}

impl Tensor {
    /// A stretched copy; an error if the shape does not broadcast to `target`.
    pub fn broadcast_to(&self, target: &[usize]) -> Result<Tensor> {
        if self.shape() == target {
            return Ok(self.clone());
        }
        let fits = broadcast_shapes(self.shape(), target).is_ok_and(|s| s.as_slice() == target);
        if !fits {
            let kind = super::create::show_type(self.dtype(), self.shape());
            return Err(does_not_stretch(&kind, self.shape(), target));
        }
        Ok(match self {
            Tensor::Bool(a) => Tensor::Bool(stretched(a, target)),
            Tensor::Int(a) => Tensor::Int(stretched(a, target)),
            Tensor::F32(a) => Tensor::F32(stretched(a, target)),
            Tensor::F64(a) => Tensor::F64(stretched(a, target)),
        })
    }
}

fn stretched<T: Element>(a: &Arr<T>, target: &[usize]) -> Arr<T> {
    super::create::array(target, stretch(&flat(a), a.shape(), target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(broadcast_shapes(&[3, 1], &[4]).unwrap().as_slice(), &[3, 4]);
        assert_eq!(broadcast_shapes(&[0], &[1]).unwrap().as_slice(), &[0]);
        assert_eq!(broadcast_shapes(&[2, 3], &[2]), Err(1));
    }

    #[test]
    fn stretches() {
        assert_eq!(stretch(&[1, 2], &[2, 1], &[2, 3]), [1, 1, 1, 2, 2, 2]);
        assert_eq!(stretch(&[1, 2], &[2], &[2, 2]), [1, 2, 1, 2]);
        assert_eq!(stretch(&[1, 2, 3, 4], &[2, 1, 2], &[2, 2, 2]), [1, 2, 1, 2, 3, 4, 3, 4]);
        for n in 1..6 {
            let row: Vec<usize> = (0..n).collect();
            assert_eq!(stretch(&row, &[n], &[2, n]), [&row[..], &row[..]].concat());
            assert_eq!(stretch(&[7, 8], &[2, 1], &[2, n]), [vec![7; n], vec![8; n]].concat());
        }
    }

    #[test]
    fn errors_name_the_remedy() {
        let e = shapes_clash("add", (0, "f32[2, 3]", &[2, 3]), (1, "f32[2]", &[2]));
        assert_eq!(e.0.help.as_deref(), Some("add an axis to the right one: `[:, none]` makes it [2, 1]"));
        let e = shapes_clash("add", (0, "f32[2, 3]", &[2, 3]), (1, "f32[3, 2]", &[3, 2]));
        assert_eq!(e.0.help.as_deref(), Some("transpose one of them: `.t`"));
        let e = shapes_clash("add", (0, "f32[2, 3]", &[2, 3]), (1, "f32[6]", &[6]));
        assert!(e.0.help.is_some_and(|h| h.contains("reshape")));
    }
}
