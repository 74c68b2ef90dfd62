//! Where the sizes of a shape error come from: the number in the program, the file with so many columns.

use std::io::Read;
use std::rc::Rc;

use super::Checker;
use super::env::MADE_HERE;
use super::specialize::Spec;
use super::ty::{DictTy, Dim, TensorTy, Ty};
use crate::builtins::tables::{columns_of, names_of};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, IndexItem, StmtKind};
use crate::syntax::visit;

/// A table whose first row was looked at.
pub(super) struct Table {
    path: Rc<str>,
    /// Of a matrix of numbers.
    columns: Option<usize>,
    /// The call in the user's code.
    place: Option<Span>,
}

/// So much of a file holds its first row, or it is not looked at.
const GLIMPSE: u64 = 1 << 16;

impl Checker {
    /// Labels for the sizes that do not fit. A number that stands once in the user's program is where it comes from, if it
    /// stands in what is labelled already, or gives a name that does: an equal number elsewhere is no source.
    pub(super) fn tell_sources(&self, mut d: Diagnostic, sizes: &[usize]) -> Diagnostic {
        for (i, size) in sizes.iter().enumerate() {
            if sizes[..i].contains(size) {
                continue;
            }
            let table = self.tables.iter().find(|t| t.columns == Some(*size));
            match (table, self.places_of(*size).as_slice()) {
                (Some(Table { path, columns: Some(columns), place: Some(place) }), []) => {
                    d = told(d, *place, format!("{path} has {columns} columns"));
                }
                (None, [(place, false)]) if self.leads_to(*place, &d) => {
                    d = told(d, *place, format!("{size} comes from here"));
                }
                // It may come from several places, or be counted from an index.
                _ => {}
            }
        }
        d
    }

    /// True if the struct that does not fit was made of sizes as they stand in the program (`Dense.new(sizes[0], 10)`): computed ones
    /// may be equal to numbers that they do not come from.
    pub(super) fn is_made_of_plain_sizes(&self, d: &Diagnostic) -> bool {
        let Some(made) = d.labels.iter().find(|l| l.message.ends_with(MADE_HERE)) else { return false };
        let mut plain = false;
        let mut look = |e: &Expr| {
            if let ExprKind::Call { args, .. } | ExprKind::Method { args, .. } = &e.kind
                && e.span == made.span
            {
                let kept = |e: &Expr| {
                    matches!(
                        &e.kind,
                        ExprKind::Int(_) | ExprKind::Name(_) | ExprKind::Field { .. } | ExprKind::Index { .. }
                    )
                };
                plain = args.iter().all(|a| kept(&a.value));
            }
        };
        let own = self.modules.iter().filter(|m| !m.is_library);
        own.flat_map(|m| &m.tree.stmts).for_each(|s| visit::stmt(s, &mut look));
        plain
    }

    /// True if a number stands inside of a label, or in the value of a name that is read inside of one.
    fn leads_to(&self, number: Span, d: &Diagnostic) -> bool {
        let inside = |place: Span| {
            let within = |l: Span| l.source == place.source && l.start <= place.start && place.end <= l.end;
            d.labels.iter().any(|l| within(l.span))
        };
        if inside(number) {
            return true;
        }
        let own = || self.modules.iter().filter(|m| !m.is_library).flat_map(|m| &m.tree.stmts);
        let around = |s: Span| s.source == number.source && s.start <= number.start && number.end <= s.end;
        let bound = own().find_map(|s| match &s.kind {
            StmtKind::Let { pattern, value, .. } if around(value.span) => pattern.name().map(|n| n.name.clone()),
            StmtKind::Param { name, default, .. } if around(default.span) => Some(name.name.clone()),
            _ => None,
        });
        let Some(bound) = bound else { return false };
        let mut read = false;
        let mut look = |e: &Expr| read |= matches!(&e.kind, ExprKind::Name(n) if **n == *bound) && inside(e.span);
        own().for_each(|s| visit::stmt(s, &mut look));
        read
    }

    /// The places in the user's code where this number is written, and whether each is an index.
    fn places_of(&self, size: usize) -> Vec<(Span, bool)> {
        let Ok(size) = i64::try_from(size) else { return vec![] };
        let mut places: Vec<Span> = vec![];
        let mut indices: Vec<Span> = vec![];
        let mut look = |e: &Expr| match &e.kind {
            ExprKind::Int(n) if *n == size => places.push(e.span),
            ExprKind::Index { items, .. } => {
                for item in items {
                    match item {
                        IndexItem::At(e) => indices.push(e.span),
                        IndexItem::Slice { start, stop, step, .. } => {
                            indices.extend([start, stop, step].into_iter().flatten().map(|e| e.span));
                        }
                        IndexItem::Ellipsis(_) => {}
                    }
                }
            }
            _ => {}
        };
        let own = self.modules.iter().filter(|m| !m.is_library && m.id <= self.frame.module.id);
        own.flat_map(|m| &m.tree.stmts).for_each(|s| visit::stmt(s, &mut look));
        places.into_iter().map(|p| (p, indices.contains(&p))).collect()
    }

    /// The type of a table by the first row of its file, unless the program may have written it before.
    pub(super) fn glimpse(&mut self, path: &Ty) -> Option<Ty> {
        let (path, known) = self.unwritten(path)?;
        let columns = match known.and_then(|i| self.tables.get(i)?.columns) {
            Some(columns) => columns,
            None => {
                let (start, cut) = start_of(&path)?;
                let columns = columns_of(&start, cut)?;
                self.tables.push(Table { path, columns: Some(columns), place: self.user_site });
                columns
            }
        };
        let dims = [Dim::Some, Dim::Known(columns)].into_iter().collect();
        Some(Ty::Tensor(TensorTy { dtype: None, dims: Some(dims) }))
    }

    /// The columns of a table by the names in the first row of its file, likewise.
    pub(super) fn glimpse_names(&mut self, path: &Ty) -> Option<Ty> {
        let (path, _) = self.unwritten(path)?;
        let (start, cut) = start_of(&path)?;
        let names = names_of(&start, cut)?;
        self.tables.push(Table { path, columns: None, place: self.user_site });
        let items = names.into_iter().map(|name| (name.into(), Ty::Any)).collect();
        Some(Ty::Dict(Rc::new(DictTy { items: Some(items), value: Ty::Any })))
    }

    /// The path of a file that the program has not written, and which of the tables it is.
    fn unwritten(&self, path: &Ty) -> Option<(Rc<str>, Option<usize>)> {
        let Ty::Str(Some(path)) = path else { return None };
        if self.written.iter().any(|w| w.as_ref().is_none_or(|w| same_file(w, path))) {
            return None;
        }
        let known = self.tables.iter().position(|t| t.path == *path && t.columns.is_some());
        Some((path.clone(), known))
    }

    /// A file that is written may be read later as another one than it is now.
    pub(super) fn note_written(&mut self, path: &Ty) {
        let path = if let Ty::Str(path) = path { path.clone() } else { None };
        if self.written.contains(&path) {
            return;
        }
        // Functions that read it are followed again.
        if self.tables.iter().any(|t| path.as_ref().is_none_or(|p| same_file(p, &t.path))) {
            self.memo.values_mut().flatten().for_each(Spec::outdate);
        }
        self.written.push(path);
    }
}

/// The start of a file, and whether it goes on.
fn start_of(path: &str) -> Option<(Vec<u8>, bool)> {
    let mut start = vec![];
    std::fs::File::open(path).ok()?.take(GLIMPSE).read_to_end(&mut start).ok()?;
    let cut = start.len() as u64 == GLIMPSE;
    Some((start, cut))
}

/// True unless the paths certainly lead to different files.
fn same_file(a: &str, b: &str) -> bool {
    let full = |path: &str| std::fs::canonicalize(path).ok();
    match (full(a), full(b)) {
        (Some(a), Some(b)) => a == b,
        // What is not there yet may come to be a link to anything.
        (None, None) => a == b,
        _ => false,
    }
}

fn told(d: Diagnostic, place: Span, remark: String) -> Diagnostic {
    if d.labels.iter().any(|l| l.span == place && l.message.contains(&remark)) { d } else { d.also(place, remark) }
}
