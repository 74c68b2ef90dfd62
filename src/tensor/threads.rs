//! Several threads for large work: matrix products, convolutions, and what goes element by element or row by row.
//!
//! Work is cut into parts that are computed as they would be in one piece (rows of a product, images, elements), and threads take
//! part after part. So a result has the same bits whatever the number of threads. Work within a part, and work that finds the
//! threads busy, is done by the thread that has it. The threads themselves are those of `workers`.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::out::{self, Out, Room, behind};
use super::workers;

pub use super::workers::set;

/// Multiplications below which a part is not worth waking a thread for.
pub const WORTH: usize = 1 << 21;

thread_local! {
    /// True while this thread works at a part.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as working at a part, also if that panics.
struct Inside {
    before: bool,
}

impl Inside {
    fn new() -> Inside {
        Inside { before: INSIDE.with(|inside| inside.replace(true)) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.set(self.before));
    }
}

/// How many threads new work may take; 1 within a part of other work.
pub fn available() -> usize {
    if INSIDE.with(Cell::get) { 1 } else { workers::wanted() }
}

/// Calls `f` with the number of each part, on several threads if there are.
pub fn each_part(parts: usize, f: impl Fn(usize) + Sync) {
    let threads = available().min(parts);
    let Some(mut crew) = (if threads > 1 { workers::crew() } else { None }) else {
        return (0..parts).for_each(f);
    };
    let next = AtomicUsize::new(0);
    crew.run(threads - 1, &|| {
        let _inside = Inside::new();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                break;
            }
            f(part);
        }
    });
}

/// How many of `parts` like pieces, each of `work` multiplications, go to a thread together: all, or so few that each thread gets
/// several of them, as long as they are worth it.
pub fn together(parts: usize, work: usize) -> usize {
    match available() {
        1 => parts,
        n => parts.div_ceil(4 * n).max(WORTH / work.max(1)).min(parts),
    }
    .max(1)
}

/// A slice whose parts are handed out to threads.
struct Shared<T>(*mut T);

// SAFETY: `each_chunk` hands out every element once.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// The elements are those of one slice, and nobody else has them.
    unsafe fn part<'a>(&self, start: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

/// Calls `f` with the number of each chunk of `size` elements (the last may be shorter) and the chunk.
pub fn each_chunk<T: Send>(data: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let (len, size) = (data.len(), size.max(1));
    let shared = Shared(data.as_mut_ptr());
    each_part(len.div_ceil(size), |part| {
        let start = part * size;
        // SAFETY: chunks do not overlap, each is asked for once, and `data` is borrowed until all are done.
        f(part, unsafe { shared.part(start, size.min(len - start)) });
    });
}

/// Elements below which a second thread gains nothing: they take a few microseconds.
pub const MANY: usize = 1 << 15;
/// Elements of a part, about.
const PART: usize = 1 << 16;

/// Appends what becomes of `n` items, of which each reads `weight` elements and gives `size`: `f(items, out)` appends it for some of
/// them, and what it does for an item does not depend on the others.
pub fn fill<T: Copy + Send>(
    n: usize,
    weight: usize,
    size: usize,
    out: &mut Vec<T>,
    f: impl Fn(Range<usize>, &mut Out<'_, T>) + Sync,
) {
    let step = part_of(n, weight.max(size));
    if step >= n {
        return behind(out, n * size, |out| f(0..n, out));
    }
    fill_parts(n, size, step, out, f);
}

/// The same for what appends to vectors. It is copied, so it should be little.
pub fn append<T: Copy + Send>(
    n: usize,
    weight: usize,
    size: usize,
    out: &mut Vec<T>,
    f: impl Fn(Range<usize>, &mut Vec<T>) + Sync,
) {
    let step = part_of(n, weight.max(size));
    if step >= n {
        return f(0..n, out);
    }
    fill_parts(n, size, step, out, |items, out| {
        let mut made = Vec::with_capacity(items.len() * size);
        f(items, &mut made);
        out.extend_from_slice(&made);
    });
}

/// How many of `n` items of `weight` elements make up a part; all of them if they are not worth another thread.
pub fn part_of(n: usize, weight: usize) -> usize {
    if n < 2 || n.saturating_mul(weight) < MANY {
        return n;
    }
    let threads = available();
    if threads == 1 {
        return n;
    }
    // So many parts that no thread waits long for the last one.
    (PART / weight.max(1)).clamp(1, n.div_ceil(2 * threads))
}

/// [`fill`] in parts of `step` items.
pub fn fill_parts<T: Copy + Send>(
    n: usize,
    size: usize,
    step: usize,
    out: &mut Vec<T>,
    f: impl Fn(Range<usize>, &mut Out<'_, T>) + Sync,
) {
    let (before, len) = (out.len(), n * size);
    out.reserve(len);
    let Some(room) = out.spare_capacity_mut().get_mut(..len) else { return };
    let filled = AtomicUsize::new(0);
    each_chunk(room, step * size, |part, room| {
        let from = part * step;
        let made = out::fill(room, |out| f(from..(from + step).min(n), out));
        filled.fetch_add(made, Ordering::Relaxed);
    });
    if filled.into_inner() == len {
        // SAFETY: all of them have been written.
        unsafe { out.set_len(before + len) }
    }
}

/// The results of `f` for the numbers of all parts, in order.
pub fn collect<R: Send>(parts: usize, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let mut out: Vec<Option<R>> = (0..parts).map(|_| None).collect();
    each_chunk(&mut out, 1, |part, place| place.iter_mut().for_each(|place| *place = Some(f(part))));
    out.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    /// Tests run beside each other: who finds the threads busy works alone, with the same result.
    #[test]
    fn parts_are_appended_in_order() {
        for threads in [1, 2, 3] {
            set(threads);
            for (n, size) in [(0, 1), (10, 3), (MANY, 1), (MANY + 7, 1), (MANY / 10 + 1, 11), (3, MANY)] {
                let mut out = vec![7];
                append(n, 1, size, &mut out, |items, out| {
                    out.extend(items.flat_map(|item| (0..size).map(move |k| item * size + k)));
                });
                assert!(out.len() == n * size + 1 && out[1..].iter().enumerate().all(|(i, &x)| x == i), "{n} {size}");
            }
        }
        assert_eq!(collect(5, |i| i * i), [0, 1, 4, 9, 16]);
        set(1);
    }

    #[test]
    fn every_chunk_once_on_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            set(threads);
            for (len, size) in [(0, 3), (1, 3), (10, 3), (1000, 1), (1000, 0), (64, 64)] {
                let mut data = vec![0usize; len];
                each_chunk(&mut data, size, |part, chunk| {
                    for (i, x) in chunk.iter_mut().enumerate() {
                        *x += part * size.max(1) + i + 1;
                    }
                    // Work within a part.
                    let inner = AtomicUsize::new(0);
                    each_part(3, |_| _ = inner.fetch_add(1, Ordering::Relaxed));
                    assert_eq!(inner.into_inner(), 3);
                });
                assert_eq!(data, (1..=len).collect::<Vec<_>>());
            }
        }
        set(1);
    }

    #[test]
    fn a_panic_comes_through() {
        set(4);
        let hit = catch_unwind(|| each_part(20, |part| assert!(part != 13, "thirteen")));
        assert!(hit.is_err());
        assert!(!INSIDE.with(Cell::get), "this thread is outside again");
        let sum = AtomicUsize::new(0);
        each_part(20, |part| {
            sum.fetch_add(part, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 190);
        set(1);
    }
}
