//! `einsum(spec, ...)`: sums of products over labelled axes, made of permutes, reshapes and matrix products.
//!
//! In: a spec such as `"bij,bjk->bik"`, and as many tensors as it has operands. Out: the tensor of the labels after the arrow;
//! without an arrow, the labels that stand once, in alphabetical order. `...` stands for any leading axes, which
//! broadcast. Everything goes through primitives, so derivatives flow.

use std::collections::HashMap;

use crate::ad::Cx;
use crate::builtins::fail::{arity, wrong_kind};
use crate::builtins::{Builtin, iterate};
use crate::error::{Error, Result};
use crate::ops::prim::{Sig, req, variadic};
use crate::ops::shape_rules;
use crate::tensor::{Shape, Tensor};
use crate::types::ty::{Dim, Dims, Ty};
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&EINSUM];

/// An axis: a letter, or place `k` from the end within `...`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
enum Label {
    Extra(std::cmp::Reverse<usize>),
    Letter(char),
}

/// A spec as it is written; `None` in an operand stands for `...`.
struct Spec {
    operands: Vec<Vec<Option<char>>>,
    result: Option<Vec<Option<char>>>,
}

/// A spec with the ranks of its operands put in.
struct Plan {
    operands: Vec<Vec<Label>>,
    result: Vec<Label>,
}

#[cold]
fn bad_spec(spec: &str, why: String) -> Error {
    Error::new("E0455", format!("einsum \"{spec}\": {why}"))
        .operand(0, "this is the spec")
        .help("a spec labels the axes of each operand and of the result: \"ij,jk->ik\"")
}

fn parse(spec: &str) -> Result<Spec> {
    let side = |text: &str| -> Result<Vec<Option<char>>> {
        let mut labels = vec![];
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("...") {
                if labels.contains(&None) {
                    return Err(bad_spec(spec, "`...` stands twice in one operand".into()));
                }
                labels.push(None);
                rest = after;
                continue;
            }
            if c.is_ascii_alphabetic() {
                labels.push(Some(c));
            } else if !c.is_whitespace() {
                return Err(bad_spec(spec, format!("`{c}` is no label; labels are letters")));
            }
            rest = rest.get(c.len_utf8()..).unwrap_or("");
        }
        Ok(labels)
    };
    let (left, right) = match spec.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (spec, None),
    };
    let operands: Vec<_> = left.split(',').map(side).collect::<Result<_>>()?;
    let result = right.map(side).transpose()?;
    for (i, label) in result.iter().flatten().enumerate() {
        let named = label.map_or_else(|| "...".to_string(), String::from);
        if result.iter().flatten().skip(i + 1).any(|other| other == label) {
            return Err(bad_spec(spec, format!("the result has `{named}` twice")));
        }
        if !operands.iter().any(|operand| operand.contains(label)) {
            return Err(bad_spec(spec, format!("no operand has `{named}`, which the result has")));
        }
    }
    Ok(Spec { operands, result })
}

/// Puts ranks into a spec.
fn plan(text: &str, ranks: &[usize]) -> Result<Plan> {
    let spec = parse(text)?;
    if spec.operands.len() != ranks.len() {
        let (wants, given) = (spec.operands.len(), ranks.len());
        let (s, are) = (if wants == 1 { "" } else { "s" }, if given == 1 { "is" } else { "are" });
        return Err(bad_spec(text, format!("it is for {wants} operand{s}, but {given} {are} given")));
    }
    let mut operands = vec![];
    let mut most_extra = 0;
    for (i, (labels, &rank)) in spec.operands.iter().zip(ranks).enumerate() {
        let letters = labels.iter().flatten().count();
        let open = labels.contains(&None);
        if letters > rank || (!open && letters < rank) {
            let least = if open { "at least " } else { "" };
            let axes = if letters == 1 { "axis" } else { "axes" };
            let has = format!("has {rank} ax{}s", if rank == 1 { "i" } else { "e" });
            let why = format!("operand {} is written with {least}{letters} {axes}, but {has}", i + 1);
            return Err(bad_spec(text, why).operand(i + 1, format!("this {has}")));
        }
        let extra = rank - letters;
        most_extra = most_extra.max(extra);
        operands.push(put_in(labels, extra));
    }
    let result = match spec.result {
        Some(labels) => put_in(&labels, most_extra),
        None => {
            let mut counts: HashMap<Label, usize> = HashMap::new();
            for label in operands.iter().flatten() {
                *counts.entry(*label).or_default() += 1;
            }
            let once = |l: &Label| matches!(l, Label::Extra(_)) || counts.get(l) == Some(&1);
            let mut labels: Vec<Label> = counts.keys().copied().filter(once).collect();
            labels.sort_unstable();
            labels
        }
    };
    Ok(Plan { operands, result })
}

/// `...` as `extra` labels.
fn put_in(labels: &[Option<char>], extra: usize) -> Vec<Label> {
    labels
        .iter()
        .flat_map(|label| match label {
            Some(c) => vec![Label::Letter(*c)],
            None => (0..extra).rev().map(|k| Label::Extra(std::cmp::Reverse(k))).collect(),
        })
        .collect()
}

/// Dims of all labels; `kinds` are the operands as messages show them.
fn sizes(text: &str, plan: &Plan, dims: &[Dims], kinds: &[String]) -> Result<HashMap<Label, Dim>> {
    let mut sizes: HashMap<Label, (Dim, usize)> = HashMap::new();
    for (i, (labels, dims)) in plan.operands.iter().zip(dims).enumerate() {
        for (label, &dim) in labels.iter().zip(dims) {
            let entry = sizes.entry(*label).or_insert((dim, i));
            match (entry.0, dim) {
                (a, b) if a == b => {}
                (Dim::Known(1), _) if entry.1 != i => *entry = (dim, i),
                (_, Dim::Known(1)) if entry.1 != i => {}
                (Dim::Known(a), Dim::Known(b)) => {
                    let named = match label {
                        Label::Letter(c) => format!("`{c}`"),
                        Label::Extra(_) => "an axis in `...`".into(),
                    };
                    let kind = |i: usize| kinds.get(i).map_or("", String::as_str);
                    let (first, second) = (entry.1, i);
                    let mut error = Error::new(
                        "E0303",
                        format!("einsum \"{text}\": {named} is {a} in {} and {b} in {}", kind(first), kind(second)),
                    )
                    .operand(first + 1, format!("this is {}", kind(first)));
                    if second != first {
                        error = error.operand(second + 1, format!("this is {}", kind(second)));
                    }
                    return Err(error.help("axes with one label have one length, or 1"));
                }
                (Dim::Known(_), _) => {}
                (_, Dim::Known(_)) => *entry = (dim, i),
                _ => entry.0 = Dim::Unknown,
            }
        }
    }
    Ok(sizes.into_iter().map(|(label, (dim, _))| (label, dim)).collect())
}

// ---- evaluation ----

/// A value with its axes' labels, none twice.
struct Term {
    value: Value,
    labels: Vec<Label>,
}

struct Eval<'a> {
    cx: &'a mut Cx,
    sizes: HashMap<Label, usize>,
}

impl Eval<'_> {
    fn size(&self, label: &Label) -> usize {
        self.sizes.get(label).copied().unwrap_or(1)
    }

    fn shape(&self, labels: &[Label]) -> Shape {
        labels.iter().map(|l| self.size(l)).collect()
    }

    /// An operand with each label once, and with full dims.
    fn term(&mut self, value: &Value, labels: &[Label]) -> Result<Term> {
        let value = self.cx.broadcast_to(value, &self.shape(labels))?;
        let mut term = Term { value, labels: labels.to_vec() };
        while let Some((p, q)) = repeated(&term.labels) {
            // The diagonal of axes p and q: all else is set to 0, whatever it is, and summed away.
            let n = self.size(&term.labels[q]);
            let mut shape = Shape::from_elem(1, term.labels.len());
            shape[p] = n;
            shape[q] = n;
            let mask = Tensor::from_vec(&shape, (0..n * n).map(|i| i / n == i % n).collect());
            let on = self.cx.where_(&Value::tensor(mask), &term.value, &Value::Int(0))?;
            term.value = self.cx.sum(&on, &[q], false)?;
            term.labels.remove(q);
        }
        Ok(term)
    }

    /// Sums axes away that nothing else needs.
    fn sum_out(&mut self, term: Term, needed: impl Fn(&Label) -> bool) -> Result<Term> {
        let axes: Shape = (0..term.labels.len()).filter(|&i| !needed(&term.labels[i])).collect();
        if axes.is_empty() {
            return Ok(term);
        }
        let value = self.cx.sum(&term.value, &axes, false)?;
        Ok(Term { value, labels: term.labels.into_iter().filter(|l| needed(l)).collect() })
    }

    /// The axes in another order.
    fn ordered(&mut self, term: &Term, labels: &[Label]) -> Result<Value> {
        if term.labels == labels {
            return Ok(term.value.clone());
        }
        let at = |l: &Label| term.labels.iter().position(|own| own == l).unwrap_or(0);
        let axes = labels.iter().map(|l| Value::Int(at(l) as i64)).collect();
        iterate::apply(self.cx, "permute", &[term.value.clone(), Value::tuple(axes)])
    }

    /// The product of two, summed over the shared labels that are not `needed` later.
    fn contract(&mut self, a: Term, b: Term, needed: impl Fn(&Label) -> bool) -> Result<Term> {
        let a = self.sum_out(a, |l| needed(l) || b.labels.contains(l))?;
        let b = self.sum_out(b, |l| needed(l) || a.labels.contains(l))?;
        if a.labels.is_empty() || b.labels.is_empty() {
            let labels = if a.labels.is_empty() { b.labels } else { a.labels };
            return Ok(Term { value: self.cx.mul(&a.value, &b.value)?, labels });
        }
        let shared = |l: &&Label| b.labels.contains(l);
        let batch: Vec<Label> = a.labels.iter().filter(shared).filter(|l| needed(l)).copied().collect();
        let inner: Vec<Label> = a.labels.iter().filter(shared).filter(|l| !needed(l)).copied().collect();
        let rows: Vec<Label> = a.labels.iter().filter(|l| !b.labels.contains(l)).copied().collect();
        let columns: Vec<Label> = b.labels.iter().filter(|l| !a.labels.contains(l)).copied().collect();
        let count = |labels: &[Label]| labels.iter().map(|l| self.size(l)).product::<usize>();
        let (m, k, n) = (count(&rows), count(&inner), count(&columns));
        let (mut left, mut right) = (self.shape(&batch), self.shape(&batch));
        let a = self.ordered(&a, &[&batch[..], &rows, &inner].concat())?;
        let b = self.ordered(&b, &[&batch[..], &inner, &columns].concat())?;
        // Matrices of one row and one column are products of numbers or of rows, which have faster loops.
        let name = if inner.is_empty() {
            left.extend([m, 1]);
            right.extend([1, n]);
            "mul"
        } else if rows.is_empty() && columns.is_empty() && !batch.is_empty() {
            left.push(k);
            right.push(k);
            "dot"
        } else {
            left.extend([m, k]);
            right.extend([k, n]);
            "matmul"
        };
        let a = self.cx.reshape(&a, &left)?;
        let b = self.cx.reshape(&b, &right)?;
        let product = iterate::apply(self.cx, name, &[a, b])?;
        let labels = [batch, rows, columns].concat();
        let value = if labels.is_empty() {
            self.cx.sum_all(&product)?
        } else {
            let shape = self.shape(&labels);
            self.cx.reshape(&product, &shape)?
        };
        Ok(Term { value, labels })
    }
}

/// Two places of one label.
fn repeated(labels: &[Label]) -> Option<(usize, usize)> {
    labels.iter().enumerate().find_map(|(q, l)| Some((labels[..q].iter().position(|other| other == l)?, q)))
}

fn einsum(cx: &mut Cx, text: &str, operands: &[Value]) -> Result<Value> {
    for (i, v) in operands.iter().enumerate() {
        if v.shape().is_none() {
            return Err(wrong_kind("einsum", i + 1, "a tensor", v));
        }
    }
    let shape = |v: &Value| Shape::from_slice(v.shape().unwrap_or(&[]));
    let ranks: Vec<usize> = operands.iter().map(|v| shape(v).len()).collect();
    let plan = plan(text, &ranks)?;
    let dims: Vec<Dims> = operands.iter().map(|v| shape(v).iter().map(|&n| Dim::Known(n)).collect()).collect();
    let kinds: Vec<String> = operands.iter().map(Value::type_name).collect();
    let known = |(label, dim)| (label, if let Dim::Known(n) = dim { n } else { 1 });
    let sizes = sizes(text, &plan, &dims, &kinds)?.into_iter().map(known).collect();
    let mut eval = Eval { cx, sizes };
    let mut terms = vec![];
    for (value, labels) in operands.iter().zip(&plan.operands) {
        terms.push(eval.term(value, labels)?);
    }
    let mut rest = terms.into_iter();
    let Some(mut done) = rest.next() else { return Err(bad_spec(text, "there are no operands".into())) };
    while let Some(next) = rest.next() {
        let later = rest.as_slice();
        let needed = |l: &Label| plan.result.contains(l) || later.iter().any(|term| term.labels.contains(l));
        done = eval.contract(done, next, needed)?;
    }
    let done = eval.sum_out(done, |l| plan.result.contains(l))?;
    eval.ordered(&done, &plan.result)
}

fn infer_einsum(args: &[Ty]) -> Result<Ty> {
    let (Some(Ty::Str(Some(text))), Some(Ty::Tuple(operands))) = (args.first(), args.get(1)) else {
        return Ok(Ty::Any);
    };
    let dims: Option<Vec<Dims>> = operands.iter().map(Ty::dims).collect();
    let Some(dims) = dims else { return Ok(Ty::Any) };
    let ranks: Vec<usize> = dims.iter().map(|d| d.len()).collect();
    let plan = plan(text, &ranks)?;
    let kinds: Vec<String> = operands.iter().map(shape_rules::show).collect();
    let sizes = sizes(text, &plan, &dims, &kinds)?;
    let out: Dims = plan.result.iter().map(|l| sizes.get(l).copied().unwrap_or(Dim::Unknown)).collect();
    // The dtype is known if all operands are tensors of one float dtype.
    let mut dtypes =
        operands.iter().map(|t| if let Ty::Tensor(t) = t { t.dtype.filter(|d| d.is_float()) } else { None });
    let first = dtypes.next().flatten();
    let dtype = if dtypes.all(|d| d == first) { first } else { None };
    Ok(Ty::of(dtype, Some(out)))
}

/// `einsum(spec, ...)`
pub static EINSUM: Builtin = Builtin {
    name: "einsum",
    doc: "Sum of products over labelled axes: `einsum(\"ij,jk->ik\", a, b)` is `a @ b`, `einsum(\"ii->\", a)` the trace, \
          `einsum(\"bhid,bhjd->bhij\", q, k)` scores of attention. Labels that the result lacks are summed; `...` stands for \
          leading axes. Operands are contracted from left to right. Differentiable.",
    sig: Sig { params: &[req("spec"), variadic("operands")] },
    infer: infer_einsum,
    run: |vm, args| match args {
        [Value::Str(spec), Value::Tuple(operands)] => {
            let (spec, operands) = (spec.clone(), operands.clone());
            einsum(&mut vm.cx, &spec, &operands)
        }
        [spec, _] => Err(wrong_kind("einsum", 0, "a spec in quotes", spec)),
        _ => Err(arity("einsum")),
    },
};
