//! Copies of elements that lie densely.
//!
//! For more than two kilobytes the C library takes the processor's own instruction for copying. Where the copy begins a few bytes
//! behind the original, by the last twelve bits of the addresses, that instruction is thirty times slower on some processors (it
//! takes each load for one of what it has just stored): parts of tensors that are joined or shifted lie like that as a rule. Such
//! copies are made by a loop.

/// Bytes that the C library copies by vectors on all processors.
const SHORT: usize = 1 << 11;
/// Addresses that differ by a multiple of this look alike.
const PAGE: usize = 1 << 12;
/// How far behind the original, at most, the copy begins where the instruction is slow.
const NEAR: usize = 1 << 6;

/// Copies `len` elements.
///
/// # Safety
/// There are as many to be read at `from`, and there is room for them at `to`, apart from the former.
#[inline]
pub unsafe fn dense<T: Copy>(from: *const T, to: *mut T, len: usize) {
    let bytes = len * size_of::<T>();
    let behind = (to as usize).wrapping_sub(from as usize) % PAGE;
    if bytes > SHORT && behind != 0 && behind < NEAR {
        // SAFETY: the caller's.
        return unsafe { by_vectors(from.cast(), to.cast(), bytes) };
    }
    // SAFETY: the caller's.
    unsafe { std::ptr::copy_nonoverlapping(from, to, len) }
}

/// # Safety
/// As for [`dense`], in bytes.
#[cfg(target_arch = "x86_64")]
unsafe fn by_vectors(from: *const u8, to: *mut u8, bytes: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128};
    const BLOCK: usize = 4 * size_of::<__m128i>();
    let whole = bytes - bytes % BLOCK;
    // SAFETY: the caller's; all blocks are within the `bytes`, and so is the rest. Every x86-64 has these instructions.
    unsafe {
        for at in (0..whole).step_by(BLOCK) {
            let (from, to) = (from.add(at).cast::<__m128i>(), to.add(at).cast::<__m128i>());
            // All loads before the stores: as a loop of one vector it would be recognized, and become a call of the C library.
            let block = [0, 1, 2, 3].map(|k| _mm_loadu_si128(from.add(k)));
            for (k, part) in block.into_iter().enumerate() {
                _mm_storeu_si128(to.add(k), part);
            }
        }
        std::ptr::copy_nonoverlapping(from.add(whole), to.add(whole), bytes - whole);
    }
}

/// # Safety
/// As for [`dense`], in bytes.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn by_vectors(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: the caller's.
    unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) }
}

/// Appends elements.
#[inline]
pub fn append<T: Copy>(out: &mut Vec<T>, x: &[T]) {
    out.reserve(x.len());
    // SAFETY: there is room for them behind those that are there, which is no part of `x`; then they are there.
    unsafe {
        dense(x.as_ptr(), out.as_mut_ptr().add(out.len()), x.len());
        out.set_len(out.len() + x.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_wherever_they_lie() {
        let from: Vec<u8> = (0..3 * PAGE).map(|i| (i % 251) as u8).collect();
        let mut to = vec![0u8; 3 * PAGE];
        let aligned = |p: *const u8| p.align_offset(PAGE);
        let (start, place) = (aligned(from.as_ptr()), aligned(to.as_ptr()));
        for behind in [0, 1, 8, 31, 63, 64, 100] {
            for len in [0, 1, 2047, 2049, 2112, 4096, 4096 + 63] {
                to.fill(0);
                // SAFETY: both vectors have two pages behind these starts, and no more than that is copied.
                unsafe { dense(from.as_ptr().add(start), to.as_mut_ptr().add(place + behind), len) };
                assert_eq!(to[place + behind..place + behind + len], from[start..start + len]);
                let outside = to[..place + behind].iter().chain(&to[place + behind + len..]);
                assert!(outside.copied().all(|x| x == 0), "{behind} {len}");
            }
        }
    }
}
