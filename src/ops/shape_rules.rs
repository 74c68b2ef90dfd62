//! Shape rules that many primitives share: from the types of the arguments to the type of the result.
//!
//! What is not known is never an error; what is certainly wrong gives the message that evaluation gives.

use crate::error::{Error, Result};
use crate::tensor::broadcast::{misfit_of, shapes_clash};
use crate::tensor::create::article;
use crate::tensor::{DType, Shape, show_shape};
use crate::types::show::{show_dim, show_dims};
use crate::types::size::Num;
use crate::types::ty::{Dim, Dims, TensorTy, Ty};

/// True for what certainly is neither number nor tensor nor a structure that elementwise primitives map over.
fn refused(ty: &Ty) -> Option<&'static str> {
    match ty {
        Ty::None => Some("none"),
        Ty::Str(_) => Some("str"),
        Ty::Range => Some("range"),
        Ty::Fn(_) => Some("function"),
        Ty::DType(_) => Some("dtype"),
        Ty::StructType(_) => Some("struct type"),
        Ty::Module(_) => Some("module"),
        _ => None,
    }
}

fn is_structure(ty: &Ty) -> bool {
    matches!(ty, Ty::Tuple(_) | Ty::List(_) | Ty::Dict(_) | Ty::Struct(_))
}

/// dtype of a number or tensor as far as it is known; scalars of 64 bit count as `F64`.
pub fn dtype_of(ty: &Ty) -> Option<DType> {
    match ty {
        Ty::Bool(_) => Some(DType::Bool),
        Ty::Int(_) => Some(DType::Int),
        Ty::Float => Some(DType::F64),
        Ty::Tensor(t) => t.dtype,
        _ => None,
    }
}

/// As messages show it: `f32[3, n]`.
pub fn show(ty: &Ty) -> String {
    match ty {
        Ty::Tensor(t) => {
            let dims: Vec<String> = t.dims.iter().flatten().map(|d| show_dim(*d)).collect();
            let dtype = t.dtype.map_or("tensor".into(), |d| d.to_string());
            if t.dims.is_some() { format!("{dtype}[{}]", dims.join(", ")) } else { dtype }
        }
        Ty::Bool(_) => "bool".into(),
        Ty::Int(_) => "int".into(),
        Ty::Float => "float".into(),
        other => refused(other).unwrap_or("value").into(),
    }
}

#[cold]
fn wrong_kind(name: &str, i: usize, kind: &str) -> Error {
    crate::tensor::elementwise::wrong_kind_of(name, i, kind)
}

/// Common dtype of numbers and tensors: `Err(())` if one is unknown.
fn promote(args: &[Ty]) -> std::result::Result<DType, ()> {
    let mut tensor_float: Option<DType> = None;
    let mut unknown = false;
    let (mut float, mut int) = (false, false);
    for ty in args {
        match ty {
            Ty::Bool(_) => {}
            Ty::Int(_) => int = true,
            Ty::Float => float = true,
            Ty::Tensor(t) => match t.dtype {
                Some(DType::Bool) => {}
                Some(DType::Int) => int = true,
                Some(d) => tensor_float = Some(tensor_float.map_or(d, |e| e.max(d))),
                None => unknown = true,
            },
            _ => unknown = true,
        }
    }
    match tensor_float {
        Some(DType::F64) => Ok(DType::F64),
        _ if unknown => Err(()),
        Some(d) => Ok(d),
        // The default dtype is not known here, so a new float tensor's dtype is not either.
        None if float => Err(()),
        None => Ok(if int { DType::Int } else { DType::Bool }),
    }
}

/// Broadcast dims of all arguments (scalars included); `None` if a rank is not known.
pub fn broadcast(name: &str, args: &[Ty]) -> Result<Option<Dims>> {
    let mut sum = Dims::new();
    let mut known = true;
    for ty in args {
        let own = match ty {
            Ty::Bool(_) | Ty::Int(_) | Ty::Float => continue,
            Ty::Tensor(TensorTy { dims: Some(dims), .. }) => dims,
            _ => {
                known = false;
                continue;
            }
        };
        let Some(joined) = join(&sum, own) else { return Err(clash(name, args)) };
        sum = joined;
    }
    Ok((known && !args.is_empty()).then_some(sum))
}

/// `None`: they certainly clash.
fn join(a: &[Dim], b: &[Dim]) -> Option<Dims> {
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let mut both = Dims::from_slice(long);
    for (dim, n) in both.iter_mut().skip(long.len() - short.len()).zip(short) {
        *dim = match (*dim, *n) {
            (m, n) if m == n => m,
            (Dim::Known(1), n) => n,
            (m, Dim::Known(1)) => m,
            (m, n) if m.differs(n) && m.differs(Dim::Known(1)) && n.differs(Dim::Known(1)) => return None,
            // An unknown dim must be this one, or 1.
            (Dim::Known(n), _) | (_, Dim::Known(n)) => Dim::Known(n),
            (m, n) if m.is_positive() && n.is_positive() => Dim::Some,
            _ => Dim::Unknown,
        };
    }
    Some(both)
}

/// The error for the first two arguments that clash, as evaluation words it.
#[cold]
fn clash(name: &str, args: &[Ty]) -> Error {
    // Unknown dims are shown as what does not clash.
    let plain = |dims: &[Dim], other: &[Dim]| -> Shape {
        let (n, m) = (dims.len(), other.len());
        dims.iter()
            .enumerate()
            .map(|(k, d)| match d {
                Dim::Known(x) => *x,
                _ => match (k + m).checked_sub(n).and_then(|j| other.get(j)) {
                    Some(Dim::Known(x)) => *x,
                    _ => 1,
                },
            })
            .collect()
    };
    let shaped: Vec<(usize, Dims)> = args.iter().enumerate().filter_map(|(i, ty)| Some((i, ty.dims()?))).collect();
    for (n, (i, a)) in shaped.iter().enumerate() {
        for (j, b) in &shaped[n + 1..] {
            if join(a, b).is_none() {
                let kind = |i: usize| args.get(i).map_or_else(String::new, show);
                if let Some(error) = clash_of_unknown(name, (*i, &kind(*i), a), (*j, &kind(*j), b)) {
                    return error;
                }
                let (known_a, known_b) = (plain(a, b), plain(b, a));
                let mut error = shapes_clash(name, (*i, &kind(*i), &known_a), (*j, &kind(*j), &known_b));
                if a.iter().chain(b).any(|d| !matches!(d, Dim::Known(_))) {
                    let guessed = format!("{} and {}", show_shape(&known_a), show_shape(&known_b));
                    error.0.message =
                        error.0.message.replace(&guessed, &format!("{} and {}", show_dims(a), show_dims(b)));
                }
                return error;
            }
        }
    }
    Error::new("E0301", format!("the shapes of {name}'s arguments do not broadcast together"))
}

/// The same where the dims that clash are not both known numbers.
fn clash_of_unknown(name: &str, a: (usize, &str, &[Dim]), b: (usize, &str, &[Dim])) -> Option<Error> {
    let pairs = a.2.iter().rev().zip(b.2.iter().rev()).enumerate();
    let apart = |m: Dim, n: Dim| m.differs(n) && m.differs(Dim::Known(1)) && n.differs(Dim::Known(1));
    let mut clashing = pairs.filter(|(_, (m, n))| apart(**m, **n));
    let (from_end, (m, n)) = clashing.next()?;
    if matches!((m, n), (Dim::Known(_), Dim::Known(_))) {
        return None;
    }
    let what = misfit_of(name);
    let place = if from_end == 0 { "the last dim".to_string() } else { format!("dim {} from the end", from_end + 1) };
    let (m, n) = (show_dim(*m), show_dim(*n));
    Some(
        Error::new("E0301", format!("{what}: {} and {}", show_dims(a.2), show_dims(b.2)))
            .operand(a.0, format!("this is {}", a.1))
            .operand(b.0, format!("this is {}", b.1))
            .note(format!("shapes align at their last dim; {place} is {m} here and {n} there, and neither is 1")),
    )
}

/// Elementwise with broadcasting. `promotes`: ints become floats.
pub fn elementwise(name: &str, args: &[Ty], promotes: bool) -> Result<Ty> {
    if let Some(ty) = alike(args) {
        return Ok(ty);
    }
    if args.iter().any(|t| matches!(t, Ty::Never)) {
        return Ok(Ty::Never);
    }
    let structure = args.iter().find(|t| is_structure(t));
    for (i, ty) in args.iter().enumerate() {
        if let Some(kind) = refused(ty)
            && !(kind == "none" && structure.is_some())
        {
            return Err(wrong_kind(name, i, kind));
        }
    }
    if let Some(structure) = structure {
        // Leaf by leaf; types of leaves may change from int to float only.
        return Ok(match args {
            [_] if !promotes => structure.clone(),
            _ => Ty::Any,
        });
    }
    if args.iter().any(|t| matches!(t, Ty::Any)) {
        let dims = broadcast(name, args)?;
        return Ok(if dims.is_some() { Ty::of(None, dims) } else { Ty::Any });
    }
    let dims = broadcast(name, args)?;
    let scalar = dims.as_ref().is_some_and(|d| d.is_empty());
    let any_float = args.iter().any(|t| dtype_of(t).is_some_and(DType::is_float));
    Ok(match promote(args) {
        _ if scalar && (promotes || any_float) => Ty::Float,
        Ok(DType::Int | DType::Bool) if promotes => Ty::of(None, dims),
        Ok(DType::Int | DType::Bool) => match int_power(name, args) {
            Some(true) => Ty::of(if scalar { Some(DType::F64) } else { None }, dims),
            Some(false) => Ty::of(Some(DType::Int), dims),
            None => Ty::of(None, dims),
        },
        Ok(d) => Ty::of(Some(d), dims),
        Err(()) => Ty::of(None, dims),
    })
}

/// The result where it is plain to see: of floats, and of tensors of floats that share dtype and shape.
fn alike(args: &[Ty]) -> Option<Ty> {
    let mut tensor: Option<&TensorTy> = None;
    for ty in args {
        match (ty, tensor) {
            (Ty::Float, _) => {}
            (Ty::Tensor(t), Some(first)) if t == first => {}
            (Ty::Tensor(t), None) => {
                let known = |d: &Dim| matches!(d, Dim::Known(_) | Dim::Sym(_));
                let dims = t.dims.as_ref()?;
                if dims.is_empty() || !dims.iter().all(known) || !t.dtype.is_some_and(DType::is_float) {
                    return None;
                }
                tensor = Some(t);
            }
            _ => return None,
        }
    }
    Some(tensor.map_or(Ty::Float, |t| Ty::Tensor(t.clone())))
}

/// For ints: whether the result is float (a power with a negative exponent); `None` if that is not known.
fn int_power(name: &str, args: &[Ty]) -> Option<bool> {
    if name != "pow" {
        return Some(false);
    }
    match args.get(1) {
        Some(Ty::Int(Num::Known(k))) => Some(*k < 0),
        Some(Ty::Bool(_)) => Some(false),
        _ => None,
    }
}

/// Comparison: bools of the broadcast shape. `whole`: other kinds compare too, as wholes.
pub fn comparison(name: &str, args: &[Ty], whole: bool) -> Result<Ty> {
    let numeric = |t: &Ty| matches!(t, Ty::Bool(_) | Ty::Int(_) | Ty::Float | Ty::Tensor(_));
    if args.iter().any(|t| matches!(t, Ty::Never)) {
        return Ok(Ty::Never);
    }
    if args.iter().all(|t| matches!(t, Ty::Str(_))) && args.len() == 2 {
        return Ok(Ty::Bool(None));
    }
    if let Some(i) = args.iter().position(|t| !numeric(t) && !matches!(t, Ty::Any)) {
        if whole {
            return Ok(if args.iter().any(|t| matches!(t, Ty::Any)) { Ty::Any } else { Ty::Bool(None) });
        }
        let any = args.iter().any(|t| matches!(t, Ty::Any));
        let strings = args.iter().any(|t| matches!(t, Ty::Str(_)));
        return match args.get(i).and_then(refused) {
            Some(_) if any && strings => Ok(Ty::Any),
            Some(kind) => Err(wrong_kind(name, i, kind)),
            None => Ok(Ty::Any),
        };
    }
    if args.iter().any(|t| matches!(t, Ty::Any)) {
        return Ok(Ty::Any);
    }
    Ok(Ty::of(Some(DType::Bool), broadcast(name, args)?))
}

/// `and`, `or`, `not`: bools in, bools out.
pub fn logic(name: &str, args: &[Ty]) -> Result<Ty> {
    for (i, ty) in args.iter().enumerate() {
        let wrong = match ty {
            Ty::Any | Ty::Bool(_) | Ty::Never => false,
            Ty::Tensor(t) => !matches!(t.dtype, None | Some(DType::Bool)),
            _ => true,
        };
        if wrong {
            let kind = article(&show(ty));
            return Err(Error::new("E0310", format!("`{name}` wants bools, not {kind}"))
                .operand(i, format!("this is {kind}"))
                .help("compare to get a bool: x != 0"));
        }
    }
    if args.iter().any(|t| matches!(t, Ty::Any)) {
        return Ok(Ty::Any);
    }
    Ok(Ty::of(Some(DType::Bool), broadcast(name, args)?))
}

/// `where(cond, a, b)`
pub fn select(args: &[Ty]) -> Result<Ty> {
    let [cond, a, b] = args else { return Ok(Ty::Any) };
    let bad = match cond {
        Ty::Any | Ty::Bool(_) | Ty::Never => false,
        Ty::Tensor(t) => !matches!(t.dtype, None | Some(DType::Bool)),
        _ => true,
    };
    if bad {
        let kind = article(&show(cond));
        return Err(Error::new("E0310", format!("where wants a bool condition, not {kind}"))
            .operand(0, format!("this is {kind}"))
            .help("compare to get one: where(x > 0, a, b)"));
    }
    let numeric = |t: &Ty| matches!(t, Ty::Bool(_) | Ty::Int(_) | Ty::Float | Ty::Tensor(_));
    if !numeric(a) || !numeric(b) || matches!(cond, Ty::Any) {
        return Ok(Ty::Any);
    }
    let dims = broadcast("where", args)?;
    let pair = [a.clone(), b.clone()];
    let scalar = dims.as_ref().is_some_and(|d| d.is_empty());
    let any_float = pair.iter().any(|t| dtype_of(t).is_some_and(DType::is_float));
    Ok(if scalar && any_float { Ty::Float } else { Ty::of(promote(&pair).ok(), dims) })
}

/// The argument's own type for a function that keeps shape and dtype.
pub fn same(name: &str, args: &[Ty]) -> Result<Ty> {
    let Some(x) = args.first() else { return Ok(Ty::Any) };
    match refused(x) {
        Some(kind) => Err(wrong_kind(name, 0, kind)),
        None => Ok(match x {
            Ty::Int(_) => Ty::Int(Num::Unknown),
            Ty::Bool(_) => Ty::Bool(None),
            other => other.clone(),
        }),
    }
}

/// Which dtype a reduction gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gives {
    /// That of its argument; bools are counted.
    Own,
    /// A float even of ints.
    Float,
    Int,
    Bool,
}

/// Axes of an argument type: `None` if not known, `Some(None)` for all.
fn axes(ty: Option<&Ty>) -> Option<Option<Vec<i64>>> {
    match ty {
        None | Some(Ty::None) => Some(None),
        Some(Ty::Int(Num::Known(a))) => Some(Some(vec![*a])),
        Some(Ty::Tuple(items)) => items
            .iter()
            .map(|t| if let Ty::Int(Num::Known(a)) = t { Some(*a) } else { None })
            .collect::<Option<_>>()
            .map(Some),
        _ => None,
    }
}

/// A reduction over `axis` with `keepdims`; `x` is argument 0.
pub fn reduce(name: &str, x: &Ty, axis: Option<&Ty>, keepdims: Option<&Ty>, gives: Gives) -> Result<Ty> {
    if let Some(kind) = refused(x) {
        return Err(wrong_kind(name, 0, kind));
    }
    if !matches!(x, Ty::Tensor(_) | Ty::Bool(_) | Ty::Int(_) | Ty::Float) {
        return Ok(if matches!(x, Ty::Never) { Ty::Never } else { Ty::Any });
    }
    let dtype = match (gives, dtype_of(x)) {
        (Gives::Int, _) => Some(DType::Int),
        (Gives::Bool, _) => Some(DType::Bool),
        (Gives::Own, Some(DType::Bool)) => Some(DType::Int),
        (Gives::Float, Some(DType::Int | DType::Bool)) => None,
        (_, own) => own,
    };
    let keep = match keepdims {
        None | Some(Ty::None) => Some(false),
        Some(Ty::Bool(known)) => *known,
        _ => None,
    };
    let (Some(dims), Some(axes), Some(keep)) = (x.dims(), axes(axis), keep) else {
        // All axes, none kept: a scalar whatever the rank is.
        if axes(axis) == Some(None) && keep == Some(false) {
            return Ok(scalar(gives, dtype));
        }
        return Ok(Ty::of(dtype, None));
    };
    let rank = dims.len();
    let mut reduced = vec![axes.is_none(); rank];
    for a in axes.unwrap_or_default() {
        match crate::tensor::reduce::resolve_axis(name, a, rank) {
            Ok(axis) => reduced[axis] = true,
            Err(error) => return Err(error.operand(0, format!("this is {}", show(x)))),
        }
    }
    let out: Dims = dims
        .iter()
        .zip(&reduced)
        .filter_map(|(d, r)| match (r, keep) {
            (false, _) => Some(*d),
            (true, true) => Some(Dim::Known(1)),
            (true, false) => None,
        })
        .collect();
    Ok(if out.is_empty() { scalar(gives, dtype) } else { Ty::of(dtype, Some(out)) })
}

fn scalar(gives: Gives, dtype: Option<DType>) -> Ty {
    match (gives, dtype) {
        (Gives::Int, _) | (Gives::Own, Some(DType::Int)) => Ty::Int(Num::Unknown),
        (Gives::Bool, _) | (Gives::Own, Some(DType::Bool)) => Ty::Bool(None),
        (Gives::Float, _) | (Gives::Own, Some(_)) => Ty::Float,
        (Gives::Own, None) => Ty::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting() {
        let t = |s: &[usize]| Ty::tensor(DType::F32, s);
        assert_eq!(elementwise("add", &[t(&[3, 1]), t(&[4])], false).unwrap(), t(&[3, 4]));
        assert_eq!(elementwise("add", &[t(&[3]), Ty::Float], false).unwrap(), t(&[3]));
        assert_eq!(elementwise("add", &[t(&[3]), t(&[4])], false).unwrap_err().0.code, "E0301");
        assert_eq!(elementwise("add", &[t(&[3]), Ty::Str(None)], false).unwrap_err().0.code, "E0310");
        assert_eq!(
            elementwise("add", &[Ty::Int(Num::Unknown), Ty::Int(Num::Unknown)], false).unwrap(),
            Ty::Int(Num::Unknown)
        );
        assert_eq!(elementwise("div", &[Ty::Int(Num::Unknown), Ty::Int(Num::Unknown)], true).unwrap(), Ty::Float);
    }

    #[test]
    fn reductions() {
        let x = Ty::tensor(DType::F32, &[2, 3]);
        let axis = |a| Ty::Int(Num::Known(a));
        assert_eq!(reduce("sum", &x, Some(&axis(-1)), None, Gives::Own).unwrap(), Ty::tensor(DType::F32, &[2]));
        assert_eq!(reduce("sum", &x, None, None, Gives::Own).unwrap(), Ty::Float);
        let keep = Ty::Bool(Some(true));
        assert_eq!(
            reduce("sum", &x, Some(&axis(0)), Some(&keep), Gives::Own).unwrap(),
            Ty::tensor(DType::F32, &[1, 3])
        );
        assert!(reduce("sum", &x, Some(&axis(2)), None, Gives::Own).is_err());
    }
}
