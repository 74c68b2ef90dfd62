//! Sizes: what is known of an int or a dim. One that is no known number may be an expression of variables: `n`, `2*n - 1`,
//! `(n - 3)//2 + 1`, `min(32, n)`.
//!
//! - A variable stands for one number, the same wherever it occurs: the rows of a file, the `n` of an annotation.
//! - Expressions are linear forms over atoms with equal ones interned, so that equal forms are equal by number. An atom is
//!   a variable or a function of forms.
//! - Only what certainly holds is said of forms: [`Num::differs`] and [`Num::order`] say nothing of two variables.

use std::cell::RefCell;
use std::cmp::Ordering;

use smallvec::SmallVec;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use super::ty::Dim;
use crate::symbol::Symbol;

/// What is known of an int.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Num {
    Known(i64),
    Sym(Sym),
    Unknown,
}

/// An expression of variables, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Sym(u32);

/// A variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Var {
    pub id: VarId,
    /// The name that the program gives it.
    name: Option<Symbol>,
    /// The least number that it may be.
    min: Option<i64>,
}

/// Which variable it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VarId {
    /// Made where a value came to be.
    Made(u32),
    /// In what is remembered of a function: a variable among its arguments, by the order of appearance.
    Param(u32),
    /// Of each element of a list anew.
    Each(u32),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Atom {
    Var(Var),
    Min(Num, Num),
    /// What is below 0 counts as 0.
    Positive(Num),
    Product(Num, Num),
    FloorDiv(Num, i64),
    /// The length of `x[a:b]` for x of length n.
    Slice(Num, Num, Num),
}

/// constant + sum of factor * atom
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Form {
    constant: i64,
    /// By atom, ascending; factors are not 0.
    terms: SmallVec<[(u32, i64); 2]>,
}

/// What is known of a form besides its terms.
#[derive(Clone, Copy)]
struct Facts {
    lower: Option<i64>,
    upper: Option<i64>,
}

#[derive(Default)]
struct Pool {
    forms: Vec<(Form, Facts)>,
    form_ids: HashMap<Form, u32>,
    atoms: Vec<(Atom, Facts)>,
    atom_ids: HashMap<Atom, u32>,
    made: u32,
    /// Names that variables have by their annotations.
    named: HashSet<Symbol>,
    /// Letters given to variables without a name when they were first shown.
    letters: HashMap<VarId, String>,
    /// Variables that stand for others while a function is followed, and are shown as those.
    stand_ins: HashMap<Num, Num>,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

impl Pool {
    fn atom(&mut self, atom: Atom) -> u32 {
        if let Some(&id) = self.atom_ids.get(&atom) {
            return id;
        }
        let facts = match &atom {
            Atom::Var(v) => Facts { lower: v.min, upper: None },
            Atom::Min(a, b) => {
                let (a, b) = (self.facts(*a), self.facts(*b));
                let least = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
                Facts { lower: a.lower.zip(b.lower).map(|(a, b)| a.min(b)), upper: least(a.upper, b.upper) }
            }
            Atom::Positive(a) => {
                let a = self.facts(*a);
                Facts { lower: Some(a.lower.unwrap_or(0).max(0)), upper: a.upper.map(|a| a.max(0)) }
            }
            Atom::Product(a, b) => match (self.facts(*a), self.facts(*b)) {
                (Facts { lower: Some(a @ 0..), upper: c }, Facts { lower: Some(b @ 0..), upper: d }) => {
                    Facts { lower: a.checked_mul(b), upper: c.zip(d).and_then(|(c, d)| c.checked_mul(d)) }
                }
                _ => Facts { lower: None, upper: None },
            },
            Atom::FloorDiv(a, k) => {
                let a = self.facts(*a);
                Facts { lower: a.lower.map(|a| a.div_euclid(*k)), upper: a.upper.map(|a| a.div_euclid(*k)) }
            }
            Atom::Slice(_, _, n) => Facts { lower: Some(0), upper: self.facts(*n).upper },
        };
        let id = self.atoms.len() as u32;
        self.atoms.push((atom.clone(), facts));
        self.atom_ids.insert(atom, id);
        id
    }

    fn num(&mut self, form: Form) -> Num {
        if form.terms.is_empty() {
            return Num::Known(form.constant);
        }
        if let Some(&id) = self.form_ids.get(&form) {
            return Num::Sym(Sym(id));
        }
        let bound = |low: bool| {
            form.terms.iter().try_fold(form.constant, |sum, (atom, factor)| {
                let (_, facts) = self.atoms.get(*atom as usize)?;
                let end = if low == (*factor > 0) { facts.lower? } else { facts.upper? };
                sum.checked_add(end.checked_mul(*factor)?)
            })
        };
        let facts = Facts { lower: bound(true), upper: bound(false) };
        let id = self.forms.len() as u32;
        self.forms.push((form.clone(), facts));
        self.form_ids.insert(form, id);
        Num::Sym(Sym(id))
    }

    fn of_atom(&mut self, atom: Atom) -> Num {
        let id = self.atom(atom);
        self.num(Form { constant: 0, terms: SmallVec::from_slice(&[(id, 1)]) })
    }

    fn form(&self, num: Num) -> Option<Form> {
        match num {
            Num::Known(n) => Some(Form { constant: n, terms: SmallVec::new() }),
            Num::Sym(s) => self.forms.get(s.0 as usize).map(|(form, _)| form.clone()),
            Num::Unknown => None,
        }
    }

    fn facts(&self, num: Num) -> Facts {
        let form = if let Num::Sym(s) = num { self.forms.get(s.0 as usize) } else { None };
        form.map_or(Facts { lower: num.known(), upper: num.known() }, |f| f.1)
    }

    /// a + factor * b
    fn combine(&mut self, a: Num, b: Num, factor: i64) -> Option<Num> {
        let (mut sum, b) = (self.form(a)?, self.form(b)?);
        sum.constant = sum.constant.checked_add(b.constant.checked_mul(factor)?)?;
        for (atom, n) in b.terms {
            let n = n.checked_mul(factor)?;
            match sum.terms.binary_search_by_key(&atom, |t| t.0) {
                Ok(at) => {
                    let both = sum.terms.get(at)?.1.checked_add(n)?;
                    if both == 0 {
                        sum.terms.remove(at);
                    } else if let Some(term) = sum.terms.get_mut(at) {
                        term.1 = both;
                    }
                }
                Err(at) => sum.terms.insert(at, (atom, n)),
            }
        }
        // Long forms are not worth keeping.
        if sum.terms.len() > 8 { None } else { Some(self.num(sum)) }
    }

    fn variables(&self, num: Num, out: &mut Vec<Var>) {
        let Num::Sym(s) = num else { return };
        let Some((form, _)) = self.forms.get(s.0 as usize) else { return };
        for (atom, _) in &form.terms {
            match self.atoms.get(*atom as usize).map(|a| &a.0) {
                Some(Atom::Var(v)) if !out.contains(v) => out.push(*v),
                Some(Atom::Var(_)) | None => {}
                Some(Atom::Min(a, b) | Atom::Product(a, b)) => {
                    self.variables(*a, out);
                    self.variables(*b, out);
                }
                Some(Atom::Positive(a) | Atom::FloorDiv(a, _)) => self.variables(*a, out),
                Some(Atom::Slice(a, b, n)) => [a, b, n].into_iter().for_each(|x| self.variables(*x, out)),
            }
        }
    }
}

fn pool<T>(f: impl FnOnce(&mut Pool) -> T) -> T {
    POOL.with_borrow_mut(f)
}

impl From<Option<i64>> for Num {
    fn from(known: Option<i64>) -> Num {
        known.map_or(Num::Unknown, Num::Known)
    }
}

impl From<Dim> for Num {
    fn from(dim: Dim) -> Num {
        match dim {
            Dim::Known(n) => i64::try_from(n).ok().into(),
            Dim::Sym(s) => Num::Sym(s),
            Dim::Some => Num::at_least(1),
            Dim::Unknown => Num::Unknown,
        }
    }
}

impl From<Num> for Dim {
    /// A size; what may be negative is no size that could be told.
    fn from(num: Num) -> Dim {
        match num {
            Num::Known(n) => usize::try_from(n).map_or(Dim::Unknown, Dim::Known),
            Num::Sym(s) if num.lower() >= Some(0) => Dim::Sym(s),
            _ => Dim::Unknown,
        }
    }
}

impl Num {
    /// A variable for an int of at least `min`.
    pub fn at_least(min: i64) -> Num {
        Num::made(None, Some(min))
    }

    /// A new variable.
    pub fn made(name: Option<Symbol>, min: Option<i64>) -> Num {
        pool(|p| {
            p.named.extend(name);
            p.made += 1;
            p.of_atom(Atom::Var(Var { id: VarId::Made(p.made), name, min }))
        })
    }

    /// A new variable with what is known of `size`, shown like it.
    pub fn stand_in(size: Num) -> Num {
        Num::stand_in_with(size, size.lower())
    }

    /// The same, where it is known to be at least `min`.
    pub fn stand_in_of(size: Num, min: i64) -> Num {
        Num::stand_in_with(size, Some(size.lower().map_or(min, |lower| lower.max(min))))
    }

    fn stand_in_with(size: Num, lower: Option<i64>) -> Num {
        pool(|p| {
            p.made += 1;
            let id = VarId::Made(p.made);
            let shown = p.stand_ins.get(&size).copied().unwrap_or(size);
            let new = p.of_atom(Atom::Var(Var { id, name: None, min: lower }));
            p.stand_ins.insert(new, shown);
            new
        })
    }

    /// The size number `i` among the arguments of a function.
    pub fn param(i: u32, min: Option<i64>) -> Num {
        pool(|p| p.of_atom(Atom::Var(Var { id: VarId::Param(i), name: None, min })))
    }

    /// The size number `i` of the elements of a list.
    pub fn each(i: u32, min: Option<i64>) -> Num {
        pool(|p| p.of_atom(Atom::Var(Var { id: VarId::Each(i), name: None, min })))
    }

    /// This variable under another number.
    pub fn renumbered(var: Var, id: VarId) -> Num {
        pool(|p| p.of_atom(Atom::Var(Var { id, ..var })))
    }

    /// The value, if it is a known number.
    pub fn known(self) -> Option<i64> {
        if let Num::Known(n) = self { Some(n) } else { None }
    }

    /// It is this number or more.
    pub fn lower(self) -> Option<i64> {
        pool(|p| p.facts(self).lower)
    }

    /// True if it certainly is 1 or more.
    pub fn is_positive(self) -> bool {
        self.lower() >= Some(1)
    }

    fn combined(self, other: Num, factor: i64) -> Num {
        pool(|p| p.combine(self, other, factor)).unwrap_or(Num::Unknown)
    }

    /// How many entries `x[start:stop]` has of `self`; ends that are not given are `None`.
    pub fn sliced(self, start: Option<Num>, stop: Option<Num>) -> Num {
        let (zero, n) = (Num::Known(0), self);
        if let (Num::Known(n), None | Some(Num::Known(_)), None | Some(Num::Known(_))) = (n, start, stop) {
            let at = |end: Option<Num>, none: i64| match end.and_then(Num::known) {
                Some(i) if i < 0 => i.saturating_add(n).clamp(0, n),
                Some(i) => i.min(n),
                None => none,
            };
            return Num::Known((at(stop, n) - at(start, 0)).max(0));
        }
        // Huge ends would overflow on the way.
        let huge = |k: Option<Num>| k.and_then(Num::known).is_some_and(|k| k.unsigned_abs() > 1 << 31);
        if huge(start) || huge(stop) {
            return Num::Unknown;
        }
        let from_end = |k: Num| k.known().is_some_and(|k| k < 0);
        let from_start = |k: Num| k.lower() >= Some(0);
        match (start.filter(|s| *s != zero), stop) {
            (None, None) => n,
            (None, Some(k)) if from_start(k) => n.min(k),
            (None, Some(k)) if from_end(k) => (n + k).positive(),
            (Some(k), None) if from_start(k) => (n - k).positive(),
            (Some(k), None) if from_end(k) => n.min(zero - k),
            (Some(a), Some(b)) if from_start(a) && from_end(b) => (n + b - a).positive(),
            (a, b) => {
                let (a, b) = (a.unwrap_or(zero), b.unwrap_or(n));
                if [a, b, n].contains(&Num::Unknown) { Num::Unknown } else { pool(|p| p.of_atom(Atom::Slice(a, b, n))) }
            }
        }
    }

    /// The smaller one.
    pub fn min(self, other: Num) -> Num {
        if self == other || (other - self).lower() >= Some(0) {
            return self;
        }
        if (self - other).lower() >= Some(0) {
            return other;
        }
        match (self, other) {
            (Num::Unknown, _) | (_, Num::Unknown) => Num::Unknown,
            (Num::Sym(a), Num::Sym(b)) if b < a => pool(|p| p.of_atom(Atom::Min(other, self))),
            (Num::Known(_), _) => pool(|p| p.of_atom(Atom::Min(other, self))),
            _ => pool(|p| p.of_atom(Atom::Min(self, other))),
        }
    }

    /// 0 in place of what is negative.
    pub fn positive(self) -> Num {
        match self {
            Num::Known(n) => Num::Known(n.max(0)),
            Num::Sym(_) if self.lower() >= Some(0) => self,
            Num::Sym(_) => pool(|p| p.of_atom(Atom::Positive(self))),
            Num::Unknown => Num::Unknown,
        }
    }

    /// Rounded down; `k` is not 0.
    pub fn floor_div(self, k: i64) -> Num {
        match self {
            Num::Known(n) if k > 0 => Num::Known(n.div_euclid(k)),
            Num::Sym(_) if k == 1 => self,
            // A huge divisor would overflow on the way.
            Num::Sym(_) if (2..1 << 31).contains(&k) => pool(|p| {
                // Multiples of k come out: (2n + 3)//2 = n + 1 + 1//2.
                let form = p.form(self).unwrap_or(Form { constant: 0, terms: SmallVec::new() });
                let (whole, rest): (SmallVec<[(u32, i64); 2]>, _) =
                    form.terms.iter().copied().partition(|t| t.1 % k == 0);
                let whole = Form {
                    constant: form.constant.div_euclid(k),
                    terms: whole.into_iter().map(|(a, n)| (a, n / k)).collect(),
                };
                let whole = p.num(whole);
                if rest.is_empty() {
                    return whole;
                }
                let rest = p.num(Form { constant: form.constant.rem_euclid(k), terms: rest });
                let part = p.of_atom(Atom::FloorDiv(rest, k));
                p.combine(whole, part, 1).unwrap_or(Num::Unknown)
            }),
            _ => Num::Unknown,
        }
    }

    /// How it compares, if that is certain.
    pub fn order(self, other: Num) -> Option<Ordering> {
        if self == other && self != Num::Unknown {
            return Some(Ordering::Equal);
        }
        match (self - other, other - self) {
            (Num::Known(d), _) => Some(d.cmp(&0)),
            (d, _) if d.lower() >= Some(1) => Some(Ordering::Greater),
            (_, d) if d.lower() >= Some(1) => Some(Ordering::Less),
            _ => None,
        }
    }

    /// True if they certainly are not equal.
    pub fn differs(self, other: Num) -> bool {
        matches!(self.order(other), Some(Ordering::Less | Ordering::Greater))
    }

    /// With each variable replaced by what `to` says of it.
    pub fn renamed(self, to: &mut impl FnMut(Var) -> Option<Num>) -> Num {
        let Some(form) = pool(|p| p.form(self)) else { return self };
        let mut sum = Num::Known(form.constant);
        let mut changed = false;
        for (id, factor) in &form.terms {
            let Some(atom) = pool(|p| p.atoms.get(*id as usize).map(|a| a.0.clone())) else { return Num::Unknown };
            let plain = pool(|p| p.of_atom(atom.clone()));
            let new = match atom {
                Atom::Var(v) => to(v).unwrap_or(plain),
                Atom::Min(a, b) => a.renamed(to).min(b.renamed(to)),
                Atom::Positive(a) => a.renamed(to).positive(),
                Atom::Product(a, b) => a.renamed(to) * b.renamed(to),
                Atom::FloorDiv(a, k) => a.renamed(to).floor_div(k),
                Atom::Slice(a, b, n) => n.renamed(to).sliced(Some(a.renamed(to)), Some(b.renamed(to))),
            };
            changed |= new != plain;
            sum = sum.combined(new, *factor);
        }
        if changed { sum } else { self }
    }

    /// The variables in it, in the order of their appearance.
    pub fn variables(self, out: &mut Vec<Var>) {
        if let Num::Sym(_) = self {
            pool(|p| p.variables(self, out));
        }
    }
}

impl Var {
    /// It is this number or more.
    pub fn min(self) -> Option<i64> {
        self.min
    }
}

impl Sym {
    /// The variable that it is, if it is no more than that.
    pub fn variable(self) -> Option<Var> {
        pool(|p| {
            let (form, _) = p.forms.get(self.0 as usize)?;
            match (form.constant, form.terms.as_slice()) {
                (0, [(atom, 1)]) => match p.atoms.get(*atom as usize)?.0 {
                    Atom::Var(v) => Some(v),
                    _ => None,
                },
                _ => None,
            }
        })
    }
}

impl std::ops::Add for Num {
    type Output = Num;
    fn add(self, other: Num) -> Num {
        match (self, other) {
            (Num::Known(a), Num::Known(b)) => a.checked_add(b).into(),
            _ => self.combined(other, 1),
        }
    }
}

impl std::ops::Sub for Num {
    type Output = Num;
    fn sub(self, other: Num) -> Num {
        match (self, other) {
            (Num::Known(a), Num::Known(b)) => a.checked_sub(b).into(),
            _ => self.combined(other, -1),
        }
    }
}

impl std::ops::Mul for Num {
    type Output = Num;
    fn mul(self, other: Num) -> Num {
        match (self, other) {
            (Num::Known(a), Num::Known(b)) => a.checked_mul(b).into(),
            (Num::Known(k), x) | (x, Num::Known(k)) => Num::Known(0).combined(x, k),
            (Num::Sym(a), Num::Sym(b)) => {
                let (a, b) = if b < a { (other, self) } else { (self, other) };
                pool(|p| p.of_atom(Atom::Product(a, b)))
            }
            _ => Num::Unknown,
        }
    }
}

impl Dim {
    /// True if the two certainly are not equal.
    pub fn differs(self, other: Dim) -> bool {
        match (self, other) {
            (Dim::Known(a), Dim::Known(b)) => a != b,
            (Dim::Some, Dim::Known(0)) | (Dim::Known(0), Dim::Some) => true,
            (Dim::Some | Dim::Unknown, _) | (_, Dim::Some | Dim::Unknown) => false,
            _ => Num::from(self).differs(other.into()),
        }
    }

    /// What is known of a dim that is both.
    pub fn meet(self, other: Dim) -> Dim {
        match (self, other) {
            (Dim::Known(_), _) | (_, Dim::Unknown) => self,
            (_, Dim::Known(_)) | (Dim::Unknown, _) => other,
            (Dim::Some, _) => other,
            _ => self,
        }
    }

    /// True if it certainly is not 0.
    pub fn is_positive(self) -> bool {
        match self {
            Dim::Known(n) => n > 0,
            Dim::Some => true,
            Dim::Sym(s) => Num::Sym(s).is_positive(),
            Dim::Unknown => false,
        }
    }

    /// `f` of the number, if anything is known of it.
    pub fn map(self, f: impl FnOnce(Num) -> Num) -> Dim {
        match self {
            Dim::Unknown => Dim::Unknown,
            _ => f(self.into()).into(),
        }
    }

    /// `f` of both numbers, if something is known of each.
    pub fn with(self, other: Dim, f: impl FnOnce(Num, Num) -> Num) -> Dim {
        match other {
            Dim::Unknown => Dim::Unknown,
            _ => self.map(|a| f(a, other.into())),
        }
    }
}

/// The product of dims: the number of elements.
pub fn count(dims: &[Dim]) -> Num {
    let size = |d: &Dim| if *d == Dim::Some { Num::Unknown } else { Num::from(*d) };
    if dims.contains(&Dim::Known(0)) {
        return Num::Known(0);
    }
    dims.iter().fold(Num::Known(1), |n, d| n * size(d))
}

/// How many variables were made so far; those made later have larger numbers.
pub fn made_so_far() -> u32 {
    pool(|p| p.made)
}

/// Names of the program, which no unnamed variable is shown with.
pub fn reserve<'n>(names: impl Iterator<Item = &'n str>) {
    let short: Vec<Symbol> = names.filter(|n| n.len() <= 2).map(Symbol::new).collect();
    pool(|p| p.named.extend(short));
}

/// Forgets the letters that unnamed variables were shown with: another program begins.
pub fn forget_letters() {
    pool(|p| {
        p.letters.clear();
        p.named.clear();
        p.stand_ins.clear();
    });
}

impl std::fmt::Display for Num {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match pool(|p| p.shown(*self, false)) {
            Some(text) => f.write_str(&text),
            None => f.write_str("_"),
        }
    }
}

/// Letters for variables without a name.
const LETTERS: [&str; 8] = ["n", "m", "k", "p", "q", "r", "s", "t"];

impl Pool {
    /// As the user would write it; `None` if there is no short way. `factor`: as a factor of a product.
    fn shown(&mut self, num: Num, factor: bool) -> Option<String> {
        let form = match num {
            Num::Known(n) => return Some(n.to_string()),
            Num::Unknown => return None,
            Num::Sym(_) => self.form(num)?,
        };
        if let (0, [(atom, 1)]) = (form.constant, form.terms.as_slice()) {
            match self.atoms.get(*atom as usize)?.0.clone() {
                Atom::Positive(a) => return self.shown(a, factor),
                Atom::Var(_) => {
                    if let Some(shown) = self.stand_ins.get(&num).copied() {
                        return self.shown(shown, factor);
                    }
                }
                _ => {}
            }
        }
        let mut out = String::new();
        // What is added comes first.
        let (plus, minus): (Vec<_>, Vec<_>) = form.terms.iter().partition(|t| t.1 > 0);
        for (atom, n) in plus.into_iter().chain(minus) {
            let atom = self.atoms.get(atom as usize)?.0.clone();
            let text = self.shown_atom(&atom)?;
            out.push_str(match (out.is_empty(), n < 0) {
                (true, true) => "-",
                (true, false) => "",
                (false, true) => " - ",
                (false, false) => " + ",
            });
            if n.unsigned_abs() != 1 {
                out.push_str(&format!("{}*", n.unsigned_abs()));
            }
            out.push_str(&text);
        }
        match form.constant {
            0 => {}
            c if c < 0 => out.push_str(&format!(" - {}", c.unsigned_abs())),
            c => out.push_str(&format!(" + {c}")),
        }
        let compound = form.terms.len() > 1 || form.constant != 0;
        Some(if factor && compound { format!("({out})") } else { out })
    }

    fn shown_atom(&mut self, atom: &Atom) -> Option<String> {
        Some(match atom {
            Atom::Var(Var { id: VarId::Each(_), name: None, .. }) | Atom::Slice(..) => return None,
            Atom::Var(Var { name: Some(name), .. }) => name.to_string(),
            Atom::Var(v) => {
                let own = self.of_atom(Atom::Var(*v));
                match self.stand_ins.get(&own).copied() {
                    Some(shown) => self.shown(shown, true)?,
                    None => self.letter(v.id),
                }
            }
            Atom::Min(a, b) => format!("min({}, {})", self.shown(*a, false)?, self.shown(*b, false)?),
            Atom::Positive(a) => self.shown(*a, true)?,
            Atom::Product(a, b) => format!("{}*{}", self.shown(*a, true)?, self.shown(*b, true)?),
            Atom::FloorDiv(a, k) => format!("{}//{k}", self.shown(*a, true)?),
        })
    }

    fn letter(&mut self, id: VarId) -> String {
        if let Some(letter) = self.letters.get(&id) {
            return letter.clone();
        }
        let free = |name: &String| !self.named.iter().any(|n| *n.name() == **name);
        let all = (0..).flat_map(|round: usize| {
            LETTERS.iter().map(move |l| if round == 0 { (*l).to_string() } else { format!("{l}{round}") })
        });
        let letter = all.filter(free).nth(self.letters.len()).unwrap_or_default();
        self.letters.insert(id, letter.clone());
        letter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn var(min: i64) -> Num {
        Num::at_least(min)
    }

    #[test]
    fn equal_forms_are_equal() {
        let (n, m) = (var(0), var(0));
        let two = Num::Known(2);
        assert_eq!((n + m) * two - n, n + m + m);
        assert_eq!(n - n, Num::Known(0));
        assert_eq!(n * m, m * n);
        assert_ne!(n, m);
        assert_eq!((n * two + Num::Known(3)).floor_div(2), n + Num::Known(1) + Num::Known(1).floor_div(2));
        assert_eq!((n * Num::Known(6)).floor_div(3), n * two);
    }

    #[test]
    fn only_what_is_certain_is_said() {
        let (n, m) = (var(0), var(1));
        assert_eq!(n.order(m), None);
        assert!(!n.differs(m));
        assert!(n.differs(n + Num::Known(1)));
        assert_eq!((n + m).order(n), Some(Ordering::Greater));
        assert!(!(n + n).differs(n), "n may be 0");
        assert!((m + m).differs(m));
        assert!(!Num::Known(3).differs(n));
        assert!(Num::Known(3).differs(n + Num::Known(4)));
        assert!(n.min(Num::Known(4)).differs(Num::Known(5)), "it is 4 at most");
        assert!(!n.min(Num::Known(4)).differs(Num::Known(3)));
        assert!(!Num::Unknown.differs(Num::Unknown) && Num::Unknown.order(Num::Unknown).is_none());
    }

    #[test]
    fn slices_count_as_they_do() {
        let int = |n: i64| Some(Num::Known(n));
        let ends = [None, int(0), int(1), int(2), int(5), int(-1), int(-2), int(-9)];
        for size in 0..4 {
            for start in ends {
                for stop in ends {
                    let x = Num::param(size, Some(0));
                    let at = |end: Option<Num>, none: i64| {
                        let i = end.and_then(Num::known).unwrap_or(none);
                        (if i < 0 { i + i64::from(size) } else { i }).clamp(0, i64::from(size))
                    };
                    let count = (at(stop, i64::from(size)) - at(start, 0)).max(0);
                    let told = x.sliced(start, stop).renamed(&mut |_| int(i64::from(size)));
                    assert_eq!(told, Num::Known(count), "[{start:?}:{stop:?}] of {size}");
                }
            }
        }
    }

    #[test]
    fn overflow_is_unknown() {
        let n = var(0);
        assert_eq!(n + Num::Known(i64::MAX) + Num::Known(i64::MAX), Num::Unknown);
        assert_eq!(n * Num::Known(i64::MAX) * Num::Known(2), Num::Unknown);
        assert_eq!(n.sliced(Some(Num::Known(i64::MIN)), None), Num::Unknown);
    }

    #[test]
    fn shown_as_one_writes_it() {
        forget_letters();
        let rows = Num::made(Some(Symbol::new("rows")), Some(0));
        let (a, b) = (var(0), var(0));
        let shown = |n: Num| n.to_string();
        assert_eq!(shown(rows * Num::Known(2) - Num::Known(1)), "2*rows - 1");
        assert_eq!(shown(a), "n");
        assert_eq!(shown((a + b) * (a - b)), "(n + m)*(n - m)");
        assert_eq!(shown((rows + Num::Known(1)).floor_div(2)), "(rows + 1)//2");
        assert_eq!(shown(Num::each(0, None)), "_");
    }
}
