//! Cotangents of a formula's operands that are added to what there is block by block, as they are made: then they are in the cache
//! still, and take no memory of their own.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::tensor::cast::Float;
use crate::tensor::copy::append;
use crate::tensor::cut::Cut;
use crate::tensor::simd::kernels::add_to;
use crate::tensor::{Tensor, dense_mut};

/// Where the cotangents of operands go, by operand; nowhere yet for most.
#[derive(Default)]
pub struct Onto {
    pub places: SmallVec<[Option<Place>; 4]>,
    /// Bit `i`: that of operand `i` is there.
    pub done: u32,
}

/// The operand was cut from a vector, or is a tensor as it is: its cotangent goes to these elements of that one's.
pub struct Place {
    /// Elements of the vector.
    pub n: usize,
    pub cut: Cut,
    /// What is added to, which nobody else has; if there is nothing, a vector is made.
    pub sum: Option<Rc<Tensor>>,
}

/// The places under way.
pub(super) struct Sums<'a, T>(SmallVec<[Option<Sum<'a, T>>; 4]>);

struct Sum<'a, T> {
    n: usize,
    cut: Cut,
    to: To<'a, T>,
}

enum To<'a, T> {
    There(&'a mut [T]),
    /// Its first elements.
    New(Vec<T>),
}

impl Onto {
    /// Those for operands of `n` elements that `fits` is true of.
    pub(super) fn begin<T: Float>(&mut self, n: usize, fits: impl Fn(usize) -> bool) -> Sums<'_, T> {
        let mut sums = SmallVec::new();
        for (i, place) in self.places.iter_mut().enumerate() {
            let place = place.as_mut().filter(|place| fits(i) && place.cut.count() == n);
            sums.push(place.and_then(|Place { n, cut, sum }| {
                let to = match sum {
                    Some(sum) => {
                        let own = Rc::get_mut(sum).and_then(T::array_mut)?;
                        To::There(dense_mut(own).filter(|own| own.len() == *n)?)
                    }
                    None => To::New(Vec::with_capacity(*n)),
                };
                Some(Sum { n: *n, cut: *cut, to })
            }));
        }
        Sums(sums)
    }

    /// After the last block of all.
    pub(super) fn end<T: Float>(&mut self, done: u32, made: Made<T>) {
        self.done = done;
        for (i, data) in made {
            if let Some(Some(place)) = self.places.get_mut(i) {
                place.sum = Some(Tensor::counted(&[data.len()], data));
            }
        }
    }
}

/// Vectors that were made, each with its operand.
pub(super) type Made<T> = SmallVec<[(usize, Vec<T>); 2]>;

impl<T: Float> Sums<'_, T> {
    /// Without any place.
    pub(super) fn none() -> Self {
        Sums(SmallVec::new())
    }

    /// Bit `i`: the cotangent of operand `i` goes to a place.
    pub(super) fn mask(&self) -> u32 {
        self.0.iter().enumerate().fold(0, |mask, (i, sum)| mask | u32::from(sum.is_some()) << i)
    }

    /// Adds a block of the cotangent of operand `i`, from element `start` on; blocks come in order.
    pub(super) fn add(&mut self, i: usize, start: usize, block: &[T]) {
        let Some(Some(Sum { cut, to, .. })) = self.0.get_mut(i) else { return };
        let inside = cut.inside();
        let (from, end) = (start.max(inside.start), (start + block.len()).min(inside.end));
        if from >= end {
            return;
        }
        let (at, len) = (from - cut.before + cut.start, end - from);
        let Some(block) = block.get(from - start..end - start) else { return };
        match to {
            To::There(sum) => {
                if let Some(sum) = sum.get_mut(at..at + len) {
                    add_to(sum, block);
                }
            }
            To::New(data) => {
                data.resize(at, T::default());
                append(data, block);
            }
        }
    }

    /// The vectors that were made.
    pub(super) fn made(self) -> Made<T> {
        let mut all = Made::new();
        for (i, sum) in self.0.into_iter().enumerate() {
            if let Some(Sum { n, to: To::New(mut data), .. }) = sum {
                data.resize(n, T::default());
                all.push((i, data));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_where_they_belong() {
        let cut = Cut { start: 1, len: 3, before: 2, after: 1 };
        let bar = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for size in 1..=6 {
            let there = Some(Tensor::counted(&[5], vec![10.0; 5]));
            let places = [Some(Place { n: 5, cut, sum: there }), Some(Place { n: 5, cut, sum: None }), None];
            let mut onto = Onto { places: places.into_iter().collect(), done: 0 };
            let mut sums = onto.begin::<f64>(6, |_| true);
            assert_eq!(sums.mask(), 0b11);
            for (k, block) in bar.chunks(size).enumerate() {
                for i in 0..3 {
                    sums.add(i, k * size, block);
                }
            }
            let made = sums.made();
            onto.end(0b11, made);
            let elements =
                |i: usize| -> Vec<f64> { onto.places[i].as_ref().unwrap().sum.as_ref().unwrap().iter_f64().collect() };
            assert_eq!(elements(0), [10.0, 13.0, 14.0, 15.0, 10.0], "{size}");
            assert_eq!(elements(1), [0.0, 3.0, 4.0, 5.0, 0.0], "{size}");
        }
        // Of another length or dtype, or somebody else's.
        let shared = Tensor::counted(&[5], vec![0.0; 5]);
        let sums = [
            Some(shared.clone()),
            Some(Tensor::counted(&[4], vec![0.0; 4])),
            Some(Tensor::counted(&[5], vec![0f32; 5])),
        ];
        let places = sums.into_iter().map(|sum| Some(Place { n: 5, cut, sum })).collect();
        let mut onto = Onto { places, done: 0 };
        assert_eq!(onto.begin::<f64>(6, |_| true).mask(), 0);
        assert_eq!(onto.begin::<f32>(6, |_| true).mask(), 0b100);
        assert_eq!(onto.begin::<f32>(7, |_| true).mask(), 0);
    }
}
