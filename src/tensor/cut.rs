//! Cuts of vectors: neighbouring elements, perhaps with copies of a number before and behind them, and the way back.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::rc::Rc;

use crate::tensor::create::Element;
use crate::tensor::out::{Written, place};
use crate::tensor::parts::neighbours;
use crate::tensor::spares::Spares;
use crate::tensor::{Arr, Tensor, copy, count, dense, dense_mut, flat};

/// Which elements of a vector, and how many numbers stand around them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    pub start: usize,
    pub len: usize,
    pub before: usize,
    pub after: usize,
}

impl Cut {
    /// The elements in the vector.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.len
    }

    /// The same elements in what was cut.
    #[inline]
    pub fn inside(&self) -> Range<usize> {
        self.before..self.before + self.len
    }

    /// How many elements were cut, with those around.
    #[inline]
    pub fn count(&self) -> usize {
        self.before + self.len + self.after
    }

    /// What this cuts from a float vector, with `fill` around it; `None` if it is none, or shorter than that.
    pub fn of(&self, vector: &Rc<Tensor>, fill: f64, spares: &mut Spares) -> Option<Rc<Tensor>> {
        let n = count(vector.shape());
        if vector.rank() != 1 || self.range().end > n {
            return None;
        }
        if self.count() == self.len {
            return Some(if self.len == n { vector.clone() } else { Rc::new(neighbours(vector, self.range())) });
        }
        match &**vector {
            Tensor::F32(a) => self.framed(&flat(a), fill as f32, spares),
            Tensor::F64(a) => self.framed(&flat(a), fill, spares),
            _ => None,
        }
    }

    fn framed<T: Element>(&self, x: &[T], fill: T, spares: &mut Spares) -> Option<Rc<Tensor>> {
        let x = x.get(self.range())?;
        spares.make(&[self.count()], |out| {
            place(out, self.count(), |room| {
                let (before, rest) = room.split_at_mut_checked(self.before)?;
                let (inside, after) = rest.split_at_mut_checked(x.len())?;
                before.fill(MaybeUninit::new(fill));
                after.fill(MaybeUninit::new(fill));
                // SAFETY: there is room for them, which is no part of the vector; with that all has been written.
                unsafe {
                    copy::dense(x.as_ptr(), inside.as_mut_ptr().cast(), x.len());
                    Some(Written::all())
                }
            });
            Some(())
        })
    }

    /// The cotangent of a vector of `n` for that of what was cut from it: zeros, but for these elements.
    pub fn spread<T: Element>(&self, bar: &[T], n: usize) -> Vec<T> {
        let mut out = Vec::with_capacity(n);
        out.resize(self.start, T::default());
        copy::append(&mut out, bar.get(self.inside()).unwrap_or(&[]));
        out.resize(n, T::default());
        out
    }

    /// The same in the place of the latter, where both are of one length; false, with nothing done, if not.
    pub fn spread_within<T: Element>(&self, bar: &mut [T], n: usize) -> bool {
        if self.count() != n || bar.len() != n || self.range().end > n {
            return false;
        }
        if self.start != self.before {
            bar.copy_within(self.inside(), self.start);
        }
        if let Some(rest) = bar.get_mut(self.range().end..) {
            rest.fill(T::default());
        }
        if let Some(rest) = bar.get_mut(..self.start) {
            rest.fill(T::default());
        }
        true
    }
}

/// Writes the elements of a vector over neighbouring ones of another; false, with nothing done, if they are not of one dtype and length.
pub fn put(x: &mut Rc<Tensor>, range: Range<usize>, v: &Tensor) -> bool {
    fn put_of<T: Element>(x: &mut Arr<T>, range: Range<usize>, v: &Arr<T>) -> bool {
        match (dense_mut(x).and_then(|x| x.get_mut(range)), dense(v)) {
            (Some(x), Some(v)) if x.len() == v.len() => {
                // SAFETY: there are as many, and what may be changed is nobody else's.
                unsafe { copy::dense(v.as_ptr(), x.as_mut_ptr(), v.len()) };
                true
            }
            _ => false,
        }
    }
    if x.rank() != 1 || x.dtype() != v.dtype() || v.shape() != [range.len()] {
        return false;
    }
    match (Rc::make_mut(x), v) {
        (Tensor::F32(x), Tensor::F32(v)) => put_of(x, range, v),
        (Tensor::F64(x), Tensor::F64(v)) => put_of(x, range, v),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(data: &[f64]) -> Rc<Tensor> {
        Tensor::counted(&[data.len()], data.to_vec())
    }

    fn elements(t: &Tensor) -> Vec<f64> {
        t.iter_f64().collect()
    }

    #[test]
    fn what_is_put_is_there_and_nowhere_else() {
        let mut x = vector(&[1.0, 2.0, 3.0, 4.0]);
        let (old, part) = (x.clone(), Rc::new(neighbours(&x, 0..3)));
        // The part is one of the same buffer.
        assert!(put(&mut x, 1..4, &part));
        assert_eq!((elements(&x), elements(&old)), (vec![1.0, 1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0, 4.0]));
        assert!(!put(&mut x, 1..3, &part) && !put(&mut x, 2..5, &part));
        assert!(!put(&mut x, 1..4, &Tensor::from_vec(&[3], vec![0f32; 3])));
        assert_eq!(elements(&x), [1.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn there_and_back() {
        let (x, mut spares) = (vector(&[1.0, 2.0, 3.0, 4.0]), Spares::default());
        let cases = [
            ([1, 2, 0, 0], vec![2.0, 3.0], [0.0, 1.0, 2.0, 0.0]),
            ([0, 3, 1, 0], vec![9.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 0.0]),
            ([1, 3, 0, 1], vec![2.0, 3.0, 4.0, 9.0], [0.0, 1.0, 2.0, 3.0]),
            ([0, 4, 1, 2], vec![9.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.0], [2.0, 3.0, 4.0, 5.0]),
            ([2, 0, 1, 1], vec![9.0, 9.0], [0.0; 4]),
            ([0, 4, 0, 0], vec![1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]),
        ];
        for ([start, len, before, after], made, back) in cases {
            let cut = Cut { start, len, before, after };
            for recorded in [false, true] {
                spares.recorded = recorded;
                assert_eq!(elements(&cut.of(&x, 9.0, &mut spares).unwrap()), made, "{cut:?}");
            }
            let mut bar: Vec<f64> = (1..=cut.count()).map(|i| i as f64).collect();
            assert_eq!(cut.spread(&bar, 4), back, "{cut:?}");
            assert_eq!(cut.spread_within(&mut bar, 4), cut.count() == 4);
            if cut.count() == 4 {
                assert_eq!(bar, back, "{cut:?}");
            }
        }
        assert!(Cut { start: 2, len: 3, before: 0, after: 0 }.of(&x, 0.0, &mut spares).is_none());
    }
}
