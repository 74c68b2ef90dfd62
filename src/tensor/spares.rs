//! Small vectors that were made before and that nobody has any more, to be written anew.
//!
//! A tensor is three blocks of memory: itself, the counted owner of its buffer, and the buffer. For a few elements, taking and giving
//! back those costs more than the arithmetic. A tape that records small operations lends their results here; once it is
//! emptied, those that nobody else holds are spare.

use std::rc::Rc;

use super::create::Element;
use super::out::{Out, behind, over};
use super::{DType, Tensor, dense_mut};

/// Elements of a spare vector, at most.
const LONGEST: usize = 64;
/// Spare vectors, at most.
const MOST: usize = 1 << 14;

/// Vectors by dtype and length, and those that are in use.
#[derive(Default)]
pub struct Spares {
    lent: Vec<Rc<Tensor>>,
    narrow: Lengths,
    wide: Lengths,
    count: usize,
}

/// Spare vectors of one dtype, by their length less one.
type Lengths = Vec<Vec<Rc<Tensor>>>;

impl Spares {
    /// A tensor of this shape with what `f` writes, `None` if that does not fill it.
    #[inline]
    pub fn make<T: Element>(
        &mut self,
        shape: &[usize],
        f: impl FnOnce(&mut Out<'_, T>) -> Option<()>,
    ) -> Option<Rc<Tensor>> {
        if let [n] = *shape
            && let Some(mut spare) = self.take(T::DTYPE, n)
        {
            let own = Rc::get_mut(&mut spare).and_then(T::array_mut).and_then(dense_mut)?;
            let mut done = None;
            let made = over(own, |out| done = f(out));
            return done.filter(|()| made == n).map(|()| spare);
        }
        let n = super::count(shape);
        let mut data = vec![];
        let mut done = None;
        behind(&mut data, n, |out| done = f(out));
        done.filter(|()| data.len() == n).map(|()| Tensor::counted(shape, data))
    }

    #[inline]
    fn take(&mut self, dtype: DType, n: usize) -> Option<Rc<Tensor>> {
        let lengths = if let DType::F32 = dtype { &mut self.narrow } else { &mut self.wide };
        let spare = lengths.get_mut(n.wrapping_sub(1))?.pop()?;
        self.count -= 1;
        Some(spare)
    }

    /// Remembers a tensor that was just made, until [`Spares::collect`]; not more of them than can be spare.
    #[inline]
    pub fn lend(&mut self, made: &Rc<Tensor>) {
        if self.lent.len() < MOST
            && let (Tensor::F32(_) | Tensor::F64(_), [1..=LONGEST]) = (&**made, made.shape())
        {
            self.lent.push(made.clone());
        }
    }

    /// Takes back those that nobody else has.
    pub fn collect(&mut self) {
        let Spares { lent, narrow, wide, count } = self;
        for mut spare in lent.drain(..) {
            let Some(own) = Rc::get_mut(&mut spare) else { continue };
            let lengths = if let Tensor::F32(_) = own { &mut *narrow } else { &mut *wide };
            // As it was when it was lent, unless it was cut in place.
            let &[n @ 1..=LONGEST] = own.shape() else { continue };
            if *count >= MOST {
                continue;
            }
            if lengths.len() < n {
                lengths.resize_with(n, Vec::new);
            }
            if let Some(all) = lengths.get_mut(n - 1) {
                all.push(spare);
                *count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor of this shape, if so many elements fill it.
    fn filled(spares: &mut Spares, shape: &[usize], x: &[f32]) -> Option<Rc<Tensor>> {
        spares.make::<f32>(shape, |out| {
            out.extend(x.iter().copied());
            Some(())
        })
    }

    fn make(spares: &mut Spares, x: &[f32]) -> Rc<Tensor> {
        filled(spares, &[x.len()], x).unwrap()
    }

    fn elements(t: &Tensor) -> Vec<f64> {
        t.iter_f64().collect()
    }

    #[test]
    fn what_nobody_has_is_written_anew() {
        let mut spares = Spares::default();
        let first = make(&mut spares, &[1.0, 2.0]);
        spares.lend(&first);
        let at = Rc::as_ptr(&first);
        // Someone has it still.
        spares.collect();
        assert_ne!(Rc::as_ptr(&make(&mut spares, &[3.0, 4.0])), at);
        spares.lend(&first);
        drop(first);
        spares.collect();
        let again = make(&mut spares, &[5.0, 6.0]);
        assert_eq!((Rc::as_ptr(&again), elements(&again)), (at, vec![5.0, 6.0]));
    }

    #[test]
    fn a_view_keeps_its_elements() {
        let mut spares = Spares::default();
        let first = make(&mut spares, &[1.0, 2.0]);
        spares.lend(&first);
        let view = Tensor::clone(&first);
        drop(first);
        spares.collect();
        let again = make(&mut spares, &[5.0, 6.0]);
        assert_eq!((elements(&view), elements(&again)), (vec![1.0, 2.0], vec![5.0, 6.0]));
    }

    #[test]
    fn what_is_not_filled_is_none() {
        let mut spares = Spares::default();
        let first = make(&mut spares, &[1.0, 2.0]);
        spares.lend(&first);
        drop(first);
        spares.collect();
        assert!(filled(&mut spares, &[2], &[1.0]).is_none());
        assert!(spares.make::<f32>(&[2], |_| None).is_none());
        assert!(filled(&mut spares, &[2, 2], &[1.0; 3]).is_none());
    }
}
