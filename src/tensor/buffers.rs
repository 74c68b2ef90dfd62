//! An allocator that keeps freed blocks for the next tensor of about their size.
//!
//! A loop over tensors takes and frees the same few sizes again and again. To the system each return costs a fault for every
//! page that is touched again, which is more than the arithmetic. Blocks from [`SMALLEST`] to [`LARGEST`] go by size classes,
//! eight to a doubling; freed ones wait in lists of their thread, the last freed first, as it may be in the cache still.
//! A thread keeps at most [`MOST_KEPT`] bytes, or half of what it has had in use at once if that is more. Other blocks are the inner allocator's, but small ones go by the lists of the
//! [nursery](super::nursery).

use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::ptr;

use super::nursery;

/// Blocks below this size (in bytes) are not kept.
pub const SMALLEST: usize = 1 << 10;
/// Blocks above this size are not kept.
pub const LARGEST: usize = 1 << 30;
/// Bytes that a thread keeps in any case.
pub const MOST_KEPT: usize = 1 << 28;

/// Blocks from this size on begin at a pair of cache lines, as the buffers of matrix products want it.
const LARGE: usize = 1 << 15;
/// Blocks of classes up to this size may lie in the nursery.
const LARGEST_FRESH: usize = 1 << 18;
/// Classes to a doubling of the size, as a power of two.
const STEPS: u32 = 3;
const CLASSES: usize = ((LARGEST.ilog2() - SMALLEST.ilog2()) << STEPS) as usize + 1;

/// An allocator that keeps large blocks of an inner one.
pub struct Keeping<A>(pub A);

/// The freed blocks of a thread: heads of lists that run through the blocks themselves.
struct Kept {
    heads: [*mut u8; CLASSES],
    bytes: usize,
    /// Bytes in use, as far as this thread knows, and the most that were.
    used: usize,
    most_used: usize,
    /// The class that gives back next when there are too many.
    next: usize,
}

thread_local! {
    /// Nothing has to be dropped: what a thread has kept when it ends is lost, and no thread of ours ends before the process.
    static KEPT: RefCell<Kept> =
        const { RefCell::new(Kept { heads: [ptr::null_mut(); CLASSES], bytes: 0, used: 0, most_used: 0, next: 0 }) };
}

/// Class of a layout, if such blocks are kept.
#[inline]
fn class(layout: Layout) -> Option<usize> {
    // Nearly all blocks are small.
    if layout.size() < SMALLEST { None } else { class_of_large(layout) }
}

#[inline(never)]
fn class_of_large(layout: Layout) -> Option<usize> {
    let size = layout.size();
    if size > LARGEST || layout.align() > align_of_size(size) {
        return None;
    }
    let doubling = (size - 1).ilog2();
    let step = doubling - STEPS;
    // Sizes above a power of two by up to an eighth of it are the first class after it.
    let part = (size - 1 - (1 << doubling)) >> step;
    let base = (doubling + 1 - SMALLEST.ilog2()) as usize;
    Some(((base << STEPS) + part + 1).saturating_sub(1 << STEPS))
}

/// Alignment of blocks of a size, or of their class.
fn align_of_size(size: usize) -> usize {
    if size < LARGE { 16 } else { 128 }
}

/// The layout of all blocks of a class.
fn layout_of(class: usize) -> Layout {
    let at = class + (1 << STEPS);
    let (doubling, part) = (at >> STEPS, at & ((1 << STEPS) - 1));
    let whole = SMALLEST << (doubling - 1);
    let size = whole + part * (whole >> STEPS);
    // SAFETY: the alignment is a power of two, and the size is far below the largest.
    unsafe { Layout::from_size_align_unchecked(size, align_of_size(size)) }
}

impl Kept {
    fn take(&mut self, class: usize) -> Option<*mut u8> {
        let head = self.heads.get_mut(class)?;
        let block = *head;
        if block.is_null() {
            return None;
        }
        // SAFETY: a kept block begins with the pointer to the next one, see `keep`.
        *head = unsafe { block.cast::<*mut u8>().read() };
        self.bytes -= layout_of(class).size();
        Some(block)
    }

    /// # Safety
    /// `block` is a free block of `class`.
    unsafe fn keep(&mut self, class: usize, block: *mut u8) {
        if let Some(head) = self.heads.get_mut(class) {
            // SAFETY: the block is ours, larger than a pointer and aligned for one.
            unsafe { block.cast::<*mut u8>().write(*head) };
            *head = block;
            self.bytes += layout_of(class).size();
        }
    }

    /// A block of a class goes into use, kept or not.
    fn hand_out(&mut self, class: usize) -> Option<*mut u8> {
        self.used += layout_of(class).size();
        self.most_used = self.most_used.max(self.used);
        self.take(class)
    }

    /// As many bytes as may be kept.
    fn limit(&self) -> usize {
        MOST_KEPT.max(self.most_used / 2)
    }
}

// What only large blocks need stands apart: small ones, which come and go far more often, would save registers for it.
impl<A: GlobalAlloc> Keeping<A> {
    fn reuse(&self, class: usize) -> Option<*mut u8> {
        KEPT.try_with(|kept| kept.try_borrow_mut().ok()?.hand_out(class)).ok().flatten()
    }

    #[inline(never)]
    fn alloc_kept(&self, class: usize) -> *mut u8 {
        match self.reuse(class) {
            Some(block) => block,
            None => match fresh(class) {
                // SAFETY: the class has a layout of some size.
                block if block.is_null() => unsafe { self.0.alloc(layout_of(class)) },
                block => block,
            },
        }
    }

    /// # Safety
    /// The caller gives up this block of a class.
    #[inline(never)]
    unsafe fn dealloc_kept(&self, block: *mut u8, own: usize) {
        let done = KEPT.try_with(|kept| {
            let Ok(mut kept) = kept.try_borrow_mut() else { return false };
            // SAFETY: the caller gives the block up.
            unsafe { kept.keep(own, block) };
            // A block may come from another thread.
            kept.used = kept.used.saturating_sub(layout_of(own).size());
            while kept.bytes > kept.limit() {
                let class = kept.next;
                match kept.take(class) {
                    // Nothing takes it back; it is little.
                    Some(block) if nursery::contains(block) => {}
                    // SAFETY: kept blocks came with the layout of their class.
                    Some(block) => unsafe { self.0.dealloc(block, layout_of(class)) },
                    None => kept.next = (class + 1) % CLASSES,
                }
            }
            true
        });
        if done != Ok(true) && !nursery::contains(block) {
            // SAFETY: it came with the layout of its class.
            unsafe { self.0.dealloc(block, layout_of(own)) }
        }
    }
}

/// Whether such blocks come and go by the nursery's lists, given that they have no class here.
#[inline]
fn is_small(layout: Layout) -> bool {
    layout.align() <= nursery::STEP && layout.size() < nursery::SMALL
}

/// A block of the nursery for a class, all zeros, or null.
fn fresh(class: usize) -> *mut u8 {
    let size = layout_of(class).size();
    if size <= LARGEST_FRESH { nursery::large(size) } else { ptr::null_mut() }
}

// SAFETY: blocks come from the inner allocator with the layout of their class (which their own layout tells and which is no
// smaller), are handed out to one owner at a time, and go back with that layout.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Keeping<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            None if is_small(layout) => match nursery::small(layout.size()) {
                // SAFETY: the layout has a size, as the caller's has.
                block if block.is_null() => unsafe { self.0.alloc(nursery::layout_of(layout.size())) },
                block => block,
            },
            // SAFETY: the caller's.
            None => unsafe { self.0.alloc(layout) },
            Some(class) => self.alloc_kept(class),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let used = match class(layout) {
            None if is_small(layout) => match nursery::small(layout.size()) {
                // SAFETY: the layout has a size, as the caller's has.
                block if block.is_null() => return unsafe { self.0.alloc_zeroed(nursery::layout_of(layout.size())) },
                block => block,
            },
            None => ptr::null_mut(),
            Some(class) => match self.reuse(class) {
                Some(block) => block,
                None => match fresh(class) {
                    // SAFETY: the class has a layout of some size.
                    block if block.is_null() => return unsafe { self.0.alloc_zeroed(layout_of(class)) },
                    block => return block,
                },
            },
        };
        if used.is_null() {
            // SAFETY: the caller's.
            return unsafe { self.0.alloc_zeroed(layout) };
        }
        // SAFETY: the block has that many bytes.
        unsafe { used.write_bytes(0, layout.size()) };
        used
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(own) = class(layout) else {
            if !is_small(layout) {
                // SAFETY: such blocks are the inner allocator's.
                unsafe { self.0.dealloc(block, layout) }
            // SAFETY: small blocks have that layout wherever they are from, and the caller gives this one up.
            } else if !unsafe { nursery::free_small(block, layout.size()) } {
                // SAFETY: what the nursery does not take is the inner allocator's.
                unsafe { self.0.dealloc(block, nursery::layout_of(layout.size())) }
            }
            return;
        };
        // SAFETY: the caller's.
        unsafe { self.dealloc_kept(block, own) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's; the alignment is one.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(new)) {
            (None, None) if !is_small(layout) && !is_small(new) => {
                // SAFETY: the block is the inner allocator's.
                return unsafe { self.0.realloc(block, layout, size) };
            }
            (None, None) if is_small(layout) && is_small(new) && nursery::are_alike(layout.size(), size) => {
                return block;
            }
            (Some(old), Some(new)) if old == new => return block,
            _ => {}
        }
        // SAFETY: the new block is another one and holds the smaller of the two sizes.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 4).unwrap()
    }

    #[test]
    fn classes_hold_their_sizes() {
        assert_eq!(class(layout(SMALLEST - 1)), None);
        assert_eq!(class(layout(LARGEST + 1)), None);
        assert_eq!(class(Layout::from_size_align(SMALLEST, 4096).unwrap()), None);
        let mut sizes: Vec<usize> = (SMALLEST..4 * LARGE).step_by(61).collect();
        sizes.extend((10..=30).flat_map(|k| [(1 << k), (1 << k) + 1, (1usize << k) + (1 << (k - 3)), (1 << k) - 1]));
        for size in sizes.into_iter().filter(|s| (SMALLEST..=LARGEST).contains(s)) {
            let class = class(layout(size)).unwrap();
            let held = layout_of(class).size();
            assert!(class < CLASSES && held >= size && held as f64 <= 1.126 * size as f64, "{size}: {class} of {held}");
            assert!(class == 0 || layout_of(class - 1).size() < size, "{size} fits into a smaller class");
        }
    }

    #[test]
    fn a_freed_block_comes_back() {
        let a = Keeping(System);
        unsafe {
            let first = a.alloc(layout(100_000));
            first.write_bytes(7, 100_000);
            a.dealloc(first, layout(100_000));
            let second = a.alloc(layout(99_000));
            assert_eq!(first, second);
            let other = a.alloc(layout(99_000));
            assert_ne!(first, other);
            a.dealloc(second, layout(99_000));
            let zeroed = a.alloc_zeroed(layout(100_000));
            assert_eq!(zeroed, first);
            assert!((0..100_000).all(|i| *zeroed.add(i) == 0));
            *zeroed = 9;
            let grown = a.realloc(zeroed, layout(100_000), 300_000);
            assert_eq!((*grown, *grown.add(99_999)), (9, 0));
            let small = a.realloc(grown, layout(300_000), 10);
            assert_eq!(*small, 9);
            a.dealloc(small, layout(10));
            a.dealloc(other, layout(99_000));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let a = Keeping(System);
        let sizes = |n: usize| (0..n).map(|i| layout((16 << 20) + (i % 5) * (2 << 20)));
        let kept = || KEPT.with(|kept| kept.borrow().bytes);
        // In use at once: 19, then 60 of 20 MiB on average.
        for (n, most) in [(19, MOST_KEPT), (60, 630 << 20)] {
            let blocks: Vec<(*mut u8, Layout)> = sizes(n).map(|l| (unsafe { a.alloc(l) }, l)).collect();
            for (block, layout) in blocks {
                unsafe { a.dealloc(block, layout) };
                assert!(kept() <= most, "{n}");
            }
            assert!(kept() > most / 8 * 7, "{n}: {}", kept());
        }
    }
}
