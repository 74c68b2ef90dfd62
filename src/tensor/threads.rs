//! Several threads for large work: matrix products, convolutions, and what goes element by element or row by row.
//!
//! Work is cut into parts that are computed as they would be in one piece (rows of a product, images, elements), and threads take
//! part after part. So a result has the same bits whatever the number of threads. They are started when they are first wanted and wait between jobs as long as the process
//! lives. Work within a part, and work that finds them busy, is done by the thread that has it.

use std::any::Any;
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::underflow;

/// Multiplications below which a part is not worth waking a thread for.
pub const WORTH: usize = 1 << 21;

static WANTED: AtomicUsize = AtomicUsize::new(1);

/// Sets how many threads may work at a time; 0: as many as the machine runs at once.
pub fn set(n: usize) {
    WANTED.store(n, Ordering::Relaxed);
}

/// What was set. The machine is asked when there is first something to do, as that takes a few files.
fn wanted() -> usize {
    static HAS: OnceLock<usize> = OnceLock::new();
    match WANTED.load(Ordering::Relaxed) {
        0 => *HAS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from)),
        n => n,
    }
}

/// How many threads new work may take; 1 within a part of other work.
pub fn available() -> usize {
    if INSIDE.with(Cell::get) { 1 } else { wanted() }
}

/// What the threads work at.
#[derive(Clone, Copy)]
struct Job {
    work: *const (dyn Fn() + Sync),
    /// Threads that may still join.
    room: usize,
    /// How its thread treats small results, see `underflow`.
    mode: u64,
}

// SAFETY: the function may be called from any thread, and `run` outlives all calls, see there.
unsafe impl Send for Job {}

struct State {
    job: Option<Job>,
    /// Threads at work.
    busy: usize,
    /// Threads there are, besides the one that has the work.
    started: usize,
    panic: Option<Box<dyn Any + Send>>,
}

struct Pool {
    state: Mutex<State>,
    wake: Condvar,
    done: Condvar,
    /// Held by the thread whose job it is.
    owner: Mutex<()>,
}

static POOL: Pool = Pool {
    state: Mutex::new(State { job: None, busy: 0, started: 0, panic: None }),
    wake: Condvar::new(),
    done: Condvar::new(),
    owner: Mutex::new(()),
};

thread_local! {
    /// True while this thread works at a part.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does for ever.
    fn serve(&self) {
        INSIDE.with(|inside| inside.set(true));
        let mut state = self.lock();
        loop {
            match &mut state.job {
                Some(job) if job.room > 0 => {
                    job.room -= 1;
                    let (work, mode) = (job.work, job.mode);
                    state.busy += 1;
                    drop(state);
                    underflow::set_mode(mode);
                    // SAFETY: `run` waits until no thread is busy before it returns, so the function is still there.
                    let result = catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() }));
                    state = self.lock();
                    state.busy -= 1;
                    if let Err(panic) = result {
                        state.panic = Some(panic);
                    }
                    self.done.notify_all();
                }
                _ => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Runs `work` on this thread and on up to `others` more, and waits for all.
    fn run(&'static self, others: usize, work: &(dyn Fn() + Sync)) {
        let mut state = self.lock();
        while state.started < others {
            let thread = std::thread::Builder::new().name("dlang worker".into());
            if thread.spawn(|| POOL.serve()).is_err() {
                break;
            }
            state.started += 1;
        }
        let work: *const (dyn Fn() + Sync + '_) = work;
        // SAFETY: only the lifetime changes. The pointer is taken away below, and all that got it have returned, before this
        // function does.
        let work: *const (dyn Fn() + Sync + 'static) = unsafe { std::mem::transmute(work) };
        state.job = Some(Job { work, room: others, mode: underflow::mode() });
        drop(state);
        self.wake.notify_all();
        // SAFETY: `work` is a reference that lives until the end of this function.
        let own = catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() }));
        let mut state = self.lock();
        state.job = None;
        while state.busy > 0 {
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let panic = state.panic.take();
        drop(state);
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }
}

/// Calls `f` with the number of each part, on several threads if there are.
pub fn each_part(parts: usize, f: impl Fn(usize) + Sync) {
    let threads = available().min(parts);
    let owner = if threads > 1 { POOL.owner.try_lock().ok() } else { None };
    if owner.is_none() {
        return (0..parts).for_each(f);
    }
    let next = AtomicUsize::new(0);
    POOL.run(threads - 1, &|| {
        let outside = INSIDE.with(|inside| inside.replace(true));
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                break;
            }
            f(part);
        }
        INSIDE.with(|inside| inside.set(outside));
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

/// Elements below which it is not worth waking a thread: they take about a tenth of a millisecond.
pub const MANY: usize = 1 << 18;
/// Elements of a part, about.
const PART: usize = 1 << 15;

/// Appends what becomes of `n` items, of which each reads `weight` elements and gives `size`: `f(items, part)` appends it for some of
/// them, and what it does for an item does not depend on the others.
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
    append_parts(n, size, step, out, f);
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

/// The same for parts of `step` items, which give `size` elements each.
pub fn append_parts<T: Copy + Send>(
    n: usize,
    size: usize,
    step: usize,
    out: &mut Vec<T>,
    f: impl Fn(Range<usize>, &mut Vec<T>) + Sync,
) {
    let (before, len) = (out.len(), n * size);
    out.reserve(len);
    let Some(room) = out.spare_capacity_mut().get_mut(..len) else { return };
    let filled = AtomicUsize::new(0);
    each_chunk(room, step * size, |part, room| {
        let from = part * step;
        let mut made = Vec::with_capacity(room.len());
        f(from..(from + step).min(n), &mut made);
        for (place, x) in room.iter_mut().zip(&made) {
            place.write(*x);
        }
        filled.fetch_add(made.len().min(room.len()), Ordering::Relaxed);
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
        let sum = AtomicUsize::new(0);
        each_part(20, |part| {
            sum.fetch_add(part, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 190);
        set(1);
    }
}
