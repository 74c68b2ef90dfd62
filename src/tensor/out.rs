//! Where kernels append their results: a vector, or a part of one that several threads fill.
//!
//! Invariant: what is counted has been written. A part that was not filled is noticed by its length.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

/// What elements are appended to.
pub trait Room<T: Copy>: DerefMut<Target = [T]> + Extend<T> {
    /// Sees to it that there is room for `n` more.
    fn reserve(&mut self, n: usize);
    /// The room behind those that are there.
    fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>];
    /// # Safety
    /// The first `len` have been written.
    unsafe fn set_len(&mut self, len: usize);

    fn extend_from_slice(&mut self, x: &[T]) {
        self.reserve(x.len());
        let len = self.len();
        for (place, x) in self.spare_capacity_mut()[..x.len()].iter_mut().zip(x) {
            place.write(*x);
        }
        // SAFETY: as many have just been written behind the old length.
        unsafe { self.set_len(len + x.len()) }
    }
}

impl<T: Copy> Room<T> for Vec<T> {
    #[inline(always)]
    fn reserve(&mut self, n: usize) {
        Vec::reserve(self, n);
    }

    #[inline(always)]
    fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>] {
        Vec::spare_capacity_mut(self)
    }

    #[inline(always)]
    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: the caller's.
        unsafe { Vec::set_len(self, len) }
    }
}

/// Room for a fixed number of elements.
pub struct Out<'a, T> {
    room: &'a mut [MaybeUninit<T>],
    len: usize,
}

impl<T: Copy> Deref for Out<'_, T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: so many have been written.
        unsafe { std::slice::from_raw_parts(self.room.as_ptr().cast(), self.len) }
    }
}

impl<T: Copy> DerefMut for Out<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: so many have been written.
        unsafe { std::slice::from_raw_parts_mut(self.room.as_mut_ptr().cast(), self.len) }
    }
}

impl<T: Copy> Extend<T> for Out<'_, T> {
    /// As many as there is room for.
    #[inline]
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        let mut n = 0;
        for (place, x) in self.room[self.len..].iter_mut().zip(items) {
            place.write(x);
            n += 1;
        }
        self.len += n;
    }
}

impl<T: Copy> Room<T> for Out<'_, T> {
    #[inline(always)]
    fn reserve(&mut self, n: usize) {
        debug_assert!(n <= self.room.len() - self.len, "a part has room for its own elements only");
    }

    #[inline(always)]
    fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>] {
        &mut self.room[self.len..]
    }

    #[inline(always)]
    unsafe fn set_len(&mut self, len: usize) {
        self.len = len;
    }
}

/// How many of the places `f` fills. It gets no other `Out` of this lifetime, so what it says of its length is of these.
#[inline(always)]
pub fn fill<T: Copy>(room: &mut [MaybeUninit<T>], f: impl FnOnce(&mut Out<'_, T>)) -> usize {
    let mut out = Out { room, len: 0 };
    f(&mut out);
    out.len
}

/// Appends to a vector what `f` writes: `n` elements, or fewer.
#[inline(always)]
pub fn behind<T: Copy>(data: &mut Vec<T>, n: usize, f: impl FnOnce(&mut Out<'_, T>)) {
    data.reserve(n);
    let made = fill(&mut data.spare_capacity_mut()[..n], f);
    // SAFETY: so many have been written behind the old length.
    unsafe { data.set_len(data.len() + made) }
}

/// Appends `n` elements that `f` writes, all of them, unless it says `None`: then nothing.
pub fn place<T: Copy>(out: &mut Out<'_, T>, n: usize, f: impl FnOnce(&mut [MaybeUninit<T>]) -> Option<Written>) {
    let Some(room) = out.spare_capacity_mut().get_mut(..n) else { return };
    if f(room).is_some() {
        // SAFETY: so many have been written behind the old length, by who vouches for it.
        unsafe { out.set_len(out.len() + n) }
    }
}

/// Appends `n` defaults, and gives them to be written over; none if there is no room.
#[inline(always)]
pub fn defaults<'o, T: Copy + Default>(out: &'o mut Out<'_, T>, n: usize) -> &'o mut [T] {
    let start = out.len();
    if let Some(room) = out.spare_capacity_mut().get_mut(..n) {
        room.fill(MaybeUninit::new(T::default()));
        // SAFETY: they have been written behind the old length.
        unsafe { out.set_len(start + n) }
    }
    out.get_mut(start..).unwrap_or_default()
}

/// Says that all elements of some room have been written.
pub struct Written(());

impl Written {
    /// # Safety
    /// They have.
    pub unsafe fn all() -> Written {
        Written(())
    }
}

/// How many of the elements `f` overwrites, from the first on.
#[inline(always)]
pub fn over<T: Copy>(data: &mut [T], f: impl FnOnce(&mut Out<'_, T>)) -> usize {
    // SAFETY: an `Out` writes elements and nothing else, so what was there stays or is overwritten by such.
    let room = unsafe { &mut *(std::ptr::from_mut(data) as *mut [MaybeUninit<T>]) };
    fill(room, f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_counted() {
        let mut data = vec![1, 2];
        behind(&mut data, 5, |out| {
            out.extend_from_slice(&[3, 4]);
            out[1] = 7;
            out.extend(5..6);
        });
        assert_eq!(data, [1, 2, 3, 7, 5]);
        behind(&mut data, 2, |out| out.extend(0..9));
        assert_eq!(data, [1, 2, 3, 7, 5, 0, 1]);
        behind(&mut data, 0, |out| assert!(out.is_empty()));
        let mut more = vec![];
        behind(&mut more, 3, |out| {
            defaults(out, 2)[1] = 5;
            assert!(defaults(out, 2).is_empty());
            assert_eq!(defaults(out, 1), [0]);
        });
        assert_eq!(more, [0, 5, 0]);
        assert_eq!(data.len(), 7);
    }
}
