//! The threads that `threads` shares work among.
//!
//! They are started when they are first wanted and stay as long as the process lives. Between jobs that follow each other closely
//! they spin: to be woken by the system takes longer than most jobs do. After a while without a job they sleep, so a process that
//! waits for its user does nothing.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::underflow;

static WANTED: AtomicUsize = AtomicUsize::new(1);

/// Sets how many threads may work at a time; 0: as many as the machine runs at once.
pub fn set(n: usize) {
    WANTED.store(n, Ordering::Relaxed);
}

/// What was set. The machine is asked when there is first something to do, as that takes a few files.
pub fn wanted() -> usize {
    match WANTED.load(Ordering::Relaxed) {
        0 => cores(),
        n => n,
    }
}

/// How many threads the machine runs at once.
fn cores() -> usize {
    static HAS: OnceLock<usize> = OnceLock::new();
    *HAS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// What the threads work at.
#[derive(Clone, Copy)]
struct Job {
    work: *const (dyn Fn() + Sync),
    /// How its thread treats small results, see `underflow`.
    mode: u64,
}

/// Seats of a job, at most, and what counts jobs in [`Pool::seats`].
const SEATS: u64 = 1 << 16;

struct Pool {
    /// Jobs so far, times `SEATS`, and how many threads may still join the last one. Who lowers it has joined, and reads `job`.
    seats: AtomicU64,
    /// Written while nobody has joined or may join.
    job: UnsafeCell<Option<Job>>,
    /// Threads that have joined the job and are done with it.
    left: AtomicUsize,
    /// Threads that sleep, or are about to.
    asleep: AtomicUsize,
    /// Whether the job's own thread sleeps until the others are done, or is about to.
    waiting: AtomicBool,
    /// What a job panicked with. Who goes to sleep holds the lock while it looks for the last time whether it should.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    wake: Condvar,
    done: Condvar,
    /// Held by the thread whose job it is: how many threads there are besides.
    owner: Mutex<usize>,
}

// SAFETY: `job` is written by the one thread that holds `owner`, while `seats` lets nobody join and all that had joined have left;
// it is read by those who have joined.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool {
    seats: AtomicU64::new(0),
    job: UnsafeCell::new(None),
    left: AtomicUsize::new(0),
    asleep: AtomicUsize::new(0),
    waiting: AtomicBool::new(false),
    panic: Mutex::new(None),
    wake: Condvar::new(),
    done: Condvar::new(),
    owner: Mutex::new(0),
};

/// How long a thread spins at the least before it lets others have its core now and then.
const KEEN: Duration = Duration::from_micros(20);
/// How long it spins before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// Spins until `found` finds something, but not for long.
fn spin<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        for _ in 0..32 {
            if let Some(it) = found() {
                return Some(it);
            }
            std::hint::spin_loop();
        }
        match start.elapsed() {
            spent if spent > PATIENCE => return found(),
            spent if spent > KEEN => std::thread::yield_now(),
            _ => {}
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Any + Send>>> {
        self.panic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job, if it has a seat left.
    fn join(&self) -> Option<Job> {
        let mut seats = self.seats.load(Ordering::SeqCst);
        while !seats.is_multiple_of(SEATS) {
            match self.seats.compare_exchange_weak(seats, seats - 1, Ordering::SeqCst, Ordering::SeqCst) {
                // SAFETY: it was written before there were seats, and is not again before this thread has left.
                Ok(_) => return unsafe { *self.job.get() },
                Err(now) => seats = now,
            }
        }
        None
    }

    /// What a thread does for ever. It spins if there is a core for it.
    fn serve(&self, spins: bool) {
        loop {
            let job = if spins { spin(|| self.join()) } else { None };
            // Who was woken too late spins again: the next job may follow soon.
            let Some(Job { work, mode }) = job.or_else(|| self.sleep()) else { continue };
            underflow::set_mode(mode);
            // SAFETY: `run` waits until all that have joined have left before it returns, so the function is still there.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() })) {
                *self.lock() = Some(panic);
            }
            self.left.fetch_add(1, Ordering::SeqCst);
            if self.waiting.load(Ordering::SeqCst) {
                drop(self.lock());
                self.done.notify_all();
            }
        }
    }

    /// Sleeps until there is a job, which others may have taken then.
    fn sleep(&self) -> Option<Job> {
        let guard = self.lock();
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let job = self.join().or_else(|| {
            drop(self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner));
            self.join()
        });
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        job
    }

    /// Waits until so many have left the job.
    fn wait_for(&self, joined: usize) {
        let all_left = || (self.left.load(Ordering::SeqCst) == joined).then_some(());
        if spin(all_left).is_some() {
            return;
        }
        let mut guard = self.lock();
        self.waiting.store(true, Ordering::SeqCst);
        while all_left().is_none() {
            guard = self.done.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.store(false, Ordering::SeqCst);
    }
}

/// The threads, for one job after the other.
pub struct Crew(MutexGuard<'static, usize>);

/// The threads, unless they are busy.
pub fn crew() -> Option<Crew> {
    match POOL.owner.try_lock() {
        Ok(owner) => Some(Crew(owner)),
        // A job has panicked, after all had left it.
        Err(TryLockError::Poisoned(owner)) => Some(Crew(owner.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Crew {
    /// Runs `work` on this thread and on up to `others` more, and waits for all.
    pub fn run(&mut self, others: usize, work: &(dyn Fn() + Sync)) {
        let others = others.min(SEATS as usize - 1);
        while *self.0 < others {
            let spins = *self.0 + 1 < cores();
            let thread = std::thread::Builder::new().name("dlang worker".into());
            if thread.spawn(move || POOL.serve(spins)).is_err() {
                break;
            }
            *self.0 += 1;
        }
        let work: *const (dyn Fn() + Sync + '_) = work;
        // SAFETY: only the lifetime changes. Nobody joins after the seats are taken away below, and all that had joined have left
        // before this function returns.
        let work: *const (dyn Fn() + Sync + 'static) = unsafe { std::mem::transmute(work) };
        let number = POOL.seats.load(Ordering::SeqCst) / SEATS + 1;
        POOL.left.store(0, Ordering::SeqCst);
        // SAFETY: there are no seats, and nobody is at work: see above, of the job before.
        unsafe { *POOL.job.get() = Some(Job { work, mode: underflow::mode() }) };
        POOL.seats.store(number * SEATS + others as u64, Ordering::SeqCst);
        // A thread that is not counted yet looks for seats after it has counted itself, and finds them.
        if POOL.asleep.load(Ordering::SeqCst) > 0 {
            drop(POOL.lock());
            POOL.wake.notify_all();
        }
        // SAFETY: `work` is a reference that lives until the end of this function.
        let own = catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() }));
        let free = POOL.seats.swap(number * SEATS, Ordering::SeqCst) % SEATS;
        POOL.wait_for(others - free as usize);
        let panic = POOL.lock().take();
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }
}
