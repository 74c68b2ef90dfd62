//! Small vectors that were made before and that nobody has any more, to be written anew.
//!
//! A tensor is three blocks of memory: itself, the counted owner of its buffer, and the buffer. For a few elements, taking and giving
//! back those costs more than the arithmetic. What small operations on a tape make is kept here as well, in the order in which it was
//! made; once the tape is emptied, it begins again with the first, and overwrites those that nobody else holds.

use std::rc::Rc;

use super::create::Element;
use super::out::{Out, behind, over};
use super::{DType, Tensor, dense_mut};

/// Elements of a spare vector, at most.
const LONGEST: usize = 256;
/// Elements of all spare vectors, at most.
const MOST: usize = 1 << 20;

/// Vectors by dtype and length.
#[derive(Default)]
pub struct Spares {
    narrow: Lengths,
    wide: Lengths,
    /// Elements of all.
    count: usize,
    /// What is made now is on a tape: it is kept, and may be written anew after [`Spares::rewind`].
    pub recorded: bool,
}

/// Vectors of one dtype, by their length less one.
type Lengths = Vec<Made>;

/// Vectors of one length in the order in which they were made.
#[derive(Default)]
struct Made {
    all: Vec<Rc<Tensor>>,
    /// Those from here on were made before the tape was emptied.
    next: usize,
}

impl Spares {
    /// A tensor of this shape with what `f` writes, `None` if that does not fill it.
    #[inline]
    pub fn make<T: Element>(
        &mut self,
        shape: &[usize],
        f: impl FnOnce(&mut Out<'_, T>) -> Option<()>,
    ) -> Option<Rc<Tensor>> {
        if self.recorded
            && let [n @ 1..=LONGEST] = *shape
        {
            return self.make_again(n, f);
        }
        made_new(shape, f)
    }

    #[inline]
    fn make_again<T: Element>(
        &mut self,
        n: usize,
        f: impl FnOnce(&mut Out<'_, T>) -> Option<()>,
    ) -> Option<Rc<Tensor>> {
        let lengths = if let DType::F32 = T::DTYPE { &mut self.narrow } else { &mut self.wide };
        if lengths.len() < n {
            lengths.resize_with(n, Made::default);
        }
        let Made { all, next } = lengths.get_mut(n - 1)?;
        let Some(spare) = all.get_mut(*next) else {
            let new = made_new(&[n], f)?;
            if self.count + n <= MOST {
                self.count += n;
                *next += 1;
                all.push(new.clone());
            }
            return Some(new);
        };
        // It may have been cut in place.
        if let Some(own) = Rc::get_mut(spare).and_then(T::array_mut).and_then(dense_mut)
            && own.len() == n
        {
            let mut done = None;
            let made = over(own, |out| done = f(out));
            done.filter(|()| made == n)?;
        } else {
            // Somebody has it still.
            *spare = made_new(&[n], f)?;
        }
        *next += 1;
        Some(spare.clone())
    }

    /// From now on those that nobody else has are overwritten, the first ones first.
    pub fn rewind(&mut self) {
        self.narrow.iter_mut().chain(&mut self.wide).for_each(|made| made.next = 0);
    }
}

fn made_new<T: Element>(shape: &[usize], f: impl FnOnce(&mut Out<'_, T>) -> Option<()>) -> Option<Rc<Tensor>> {
    let n = super::count(shape);
    let mut data = vec![];
    let mut done = None;
    behind(&mut data, n, |out| done = f(out));
    done.filter(|()| data.len() == n).map(|()| Tensor::counted(shape, data))
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
        let mut spares = Spares { recorded: true, ..Spares::default() };
        let first = make(&mut spares, &[1.0, 2.0]);
        // Someone has it still.
        spares.rewind();
        let second = make(&mut spares, &[3.0, 4.0]);
        assert_eq!((elements(&first), elements(&second)), (vec![1.0, 2.0], vec![3.0, 4.0]));
        let at = Rc::as_ptr(&second);
        drop(second);
        // The same tape goes on: what was made stays.
        assert_ne!(Rc::as_ptr(&make(&mut spares, &[7.0, 8.0])), at);
        spares.rewind();
        let again = make(&mut spares, &[5.0, 6.0]);
        assert_eq!((Rc::as_ptr(&again), elements(&again)), (at, vec![5.0, 6.0]));
    }

    #[test]
    fn a_view_keeps_its_elements() {
        let mut spares = Spares { recorded: true, ..Spares::default() };
        let first = make(&mut spares, &[1.0, 2.0]);
        let view = Tensor::clone(&first);
        drop(first);
        spares.rewind();
        let again = make(&mut spares, &[5.0, 6.0]);
        assert_eq!((elements(&view), elements(&again)), (vec![1.0, 2.0], vec![5.0, 6.0]));
    }

    #[test]
    fn what_is_not_filled_is_none() {
        let mut spares = Spares { recorded: true, ..Spares::default() };
        let first = make(&mut spares, &[1.0, 2.0]);
        drop(first);
        spares.rewind();
        assert!(filled(&mut spares, &[2], &[1.0]).is_none());
        assert!(spares.make::<f32>(&[2], |_| None).is_none());
        assert!(filled(&mut spares, &[2, 2], &[1.0; 3]).is_none());
    }
}
