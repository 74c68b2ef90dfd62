//! The first blocks of a process lie side by side in a region of their own.
//!
//! Each page that a process touches for the first time costs a fault, and most commands end before they have used a megabyte.
//! An allocator that is made for large heaps spreads so little over many pages, huge ones perhaps, which are cleared as a whole.
//! Here blocks are cut off the region one behind the other; freed small ones wait in lists by size, of the thread that frees
//! them. When the region is spent the inner allocator takes over; its small blocks wait in the same lists, which are a few
//! instructions where its own ways are dozens. A small operation on tensors takes and frees three blocks or more.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// The region begins with pages of the usual size: that is cheaper for the shortest commands.
const HEAD: usize = 1 << 18;
/// The rest is one huge page, where the system has such.
const HUGE: usize = 1 << 21;
const SIZE: usize = HEAD + HUGE;
/// A thread takes as many bytes at a time.
const CHUNK: usize = 1 << 14;
/// Sizes of small blocks are rounded up to a multiple of this, which is their alignment, too.
pub const STEP: usize = 16;
/// Small blocks are smaller.
pub const SMALL: usize = 1 << 10;

/// Where the region begins, once there is one. No block lies below [`SIZE`].
static BASE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
/// Bytes that are cut off.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Bytes of freed blocks of one size from elsewhere that a thread keeps, about.
const MOST_KEPT: isize = 1 << 19;
const CLASSES: usize = SMALL / STEP;

/// What a thread has: freed small blocks, and a part of the region.
struct Own {
    /// Freed blocks by size: heads of lists that run through the blocks.
    heads: [Cell<*mut u8>; CLASSES],
    /// How many bytes more each list may have.
    room: [Cell<isize>; CLASSES],
    /// The rest of its chunk.
    rest: Cell<*mut u8>,
    left: Cell<usize>,
    /// There are no more chunks.
    spent: Cell<bool>,
}

thread_local! {
    /// Nothing has to be dropped, so it works to the last.
    static OWN: Own = const {
        Own {
            heads: [const { Cell::new(ptr::null_mut()) }; CLASSES],
            room: [const { Cell::new(MOST_KEPT) }; CLASSES],
            rest: Cell::new(ptr::null_mut()),
            left: Cell::new(0),
            spent: Cell::new(false),
        }
    };
}

/// True for blocks of the region.
#[inline]
pub fn contains(block: *mut u8) -> bool {
    (block as usize).wrapping_sub(BASE.load(Ordering::Relaxed) as usize) < SIZE
}

/// Whether small blocks of these two sizes are of one kind.
#[inline]
pub fn are_alike(a: usize, b: usize) -> bool {
    class(a) == class(b)
}

#[inline]
fn class(size: usize) -> usize {
    size.wrapping_sub(1) / STEP
}

/// The layout of small blocks of a size: those from elsewhere have it too, so that they can be kept here.
#[inline]
pub fn layout_of(size: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and a small size is far below the largest.
    unsafe { Layout::from_size_align_unchecked((class(size) + 1) * STEP, STEP) }
}

/// A small block, of a size above 0: one that was freed, or one of the region. Null if there is none left.
#[inline]
pub fn small(size: usize) -> *mut u8 {
    OWN.with(|own| {
        let class = class(size);
        let (Some(head), Some(room)) = (own.heads.get(class), own.room.get(class)) else { return ptr::null_mut() };
        let block = head.get();
        if !block.is_null() {
            // SAFETY: a freed block begins with the pointer to the next one, see `free_small`.
            head.set(unsafe { block.cast::<*mut u8>().read() });
            room.set(room.get() + ((class + 1) * STEP) as isize);
            return block;
        }
        own.cut((class + 1) * STEP)
    })
}

/// Takes a small block back; false, with nothing done, if it is from elsewhere and there are many of its size.
///
/// # Safety
/// The block has the layout that [`layout_of`] tells for this size, and nobody uses it any more.
#[inline]
pub unsafe fn free_small(block: *mut u8, size: usize) -> bool {
    OWN.with(|own| {
        let class = class(size);
        let (Some(head), Some(room)) = (own.heads.get(class), own.room.get(class)) else { return false };
        if room.get() <= 0 && !contains(block) {
            return false;
        }
        room.set(room.get() - ((class + 1) * STEP) as isize);
        // SAFETY: the block is ours, as large as a pointer and aligned for one.
        unsafe { block.cast::<*mut u8>().write(head.get()) };
        head.set(block);
        true
    })
}

impl Own {
    #[inline]
    fn cut(&self, size: usize) -> *mut u8 {
        let left = self.left.get();
        if size > left {
            return if self.spent.get() { ptr::null_mut() } else { self.cut_anew(size) };
        }
        let block = self.rest.get();
        // SAFETY: the chunk has that many bytes left, as was just seen.
        self.rest.set(unsafe { block.add(size) });
        self.left.set(left - size);
        block
    }

    /// The same from the next chunk.
    #[cold]
    fn cut_anew(&self, size: usize) -> *mut u8 {
        let chunk = large(CHUNK);
        if chunk.is_null() {
            self.spent.set(true);
            return chunk;
        }
        self.rest.set(chunk);
        self.left.set(CHUNK);
        self.cut(size)
    }
}

/// A block of zeros of a multiple of 128 bytes, which begins at such a multiple; null if the region has not that much left.
pub fn large(size: usize) -> *mut u8 {
    let fits = |taken: usize| size <= SIZE.saturating_sub(taken);
    if !fits(TAKEN.load(Ordering::Relaxed)) {
        return ptr::null_mut();
    }
    let base = match BASE.load(Ordering::Relaxed) {
        base if base.is_null() => open(),
        base => base,
    };
    let at = TAKEN.fetch_add(size, Ordering::Relaxed);
    // Another thread may have been faster.
    if base.is_null() || !fits(at) {
        return ptr::null_mut();
    }
    // SAFETY: within the region.
    unsafe { base.add(at) }
}

/// Asks the system for the region; null if it has none.
#[cold]
fn open() -> *mut u8 {
    let fresh = reserve();
    if fresh.is_null() {
        TAKEN.store(SIZE, Ordering::Relaxed);
        return fresh;
    }
    match BASE.compare_exchange(ptr::null_mut(), fresh, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => fresh,
        // Another thread has opened it; this one was not touched.
        Err(theirs) => theirs,
    }
}

#[cfg(target_os = "linux")]
fn reserve() -> *mut u8 {
    use libc::{MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE};
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    // SAFETY: new memory, of which nothing is touched yet; the huge page lies inside of it.
    unsafe {
        let start = libc::mmap(ptr::null_mut(), SIZE + HUGE, PROT_READ | PROT_WRITE, flags, -1, 0);
        if start == MAP_FAILED {
            return ptr::null_mut();
        }
        let before = (start.cast::<u8>().add(HEAD)).align_offset(HUGE);
        let base = start.cast::<u8>().add(before);
        libc::madvise(base.add(HEAD).cast(), HUGE, libc::MADV_HUGEPAGE);
        base
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve() -> *mut u8 {
    use std::alloc::{GlobalAlloc, System};
    // SAFETY: the layout has a size.
    Layout::from_size_align(SIZE, 4096).map_or(ptr::null_mut(), |layout| unsafe { System.alloc_zeroed(layout) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test for all, as there is one region.
    #[test]
    fn blocks_are_apart_and_come_back_until_the_region_ends() {
        let sizes = [1, 16, 17, 24, 300, 1008, 1023];
        let blocks: Vec<(usize, *mut u8)> = sizes.iter().map(|&size| (size, small(size))).collect();
        for (i, (size, block)) in blocks.iter().enumerate() {
            assert!(contains(*block) && (*block as usize).is_multiple_of(STEP));
            unsafe { block.write_bytes(i as u8 + 1, *size) };
        }
        for (i, (size, block)) in blocks.iter().enumerate() {
            assert!((0..*size).all(|k| unsafe { block.add(k).read() } == i as u8 + 1));
            assert!(unsafe { free_small(*block, *size) });
        }
        assert_eq!((small(1018), small(30)), (blocks[6].1, blocks[3].1));
        assert!(!contains(&mut 0u8));

        let mut last = large(128);
        assert!(contains(last) && (last as usize).is_multiple_of(128));
        // Other tests run meanwhile.
        loop {
            let next = large(1 << 12);
            if next.is_null() {
                break;
            }
            assert!(next > last && contains(next) && contains(unsafe { next.add((1 << 12) - 1) }));
            last = next;
        }
        assert!(large(SIZE).is_null());
    }
}
