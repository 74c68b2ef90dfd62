//! `--profile`: where the time goes, by source line and by primitive, forward and backward, and what tapes hold.
//!
//! The run tells what it does in three words of memory: the place, the primitive, the direction. A thread of its own reads
//! them every half millisecond. So the program runs at nearly its own speed, fused as ever. Lines of the library count as
//! themselves.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::ops;
use crate::ops::prim::Prim;
use crate::source::{SourceId, SourceMap, Span};

/// Time between two looks.
const PERIOD: Duration = Duration::from_micros(500);
/// Lines and primitives that are shown.
const ROWS: usize = 15;

static ON: AtomicBool = AtomicBool::new(false);
static PLACE: AtomicU64 = AtomicU64::new(NOWHERE);
static WORK: AtomicUsize = AtomicUsize::new(INTERPRETER);
static BACKWARD: AtomicBool = AtomicBool::new(false);

const NOWHERE: u64 = u64::MAX;

// Kinds of work besides primitives, which go by their address.
const INTERPRETER: usize = 0;
const FORMULA: usize = 1;
const SCALARS: usize = 2;

thread_local! {
    /// Bytes of tape by place, each the most before one sweep; scalar operations stand at `NOWHERE`.
    static HELD: RefCell<FxHashMap<u64, usize>> = RefCell::default();
}

/// True while a profile is taken.
#[inline(always)]
pub fn is_on() -> bool {
    ON.load(Relaxed)
}

/// The instruction that runs now.
pub fn at(span: Span) {
    PLACE.store(u64::from(span.source.0) << 32 | u64::from(span.start), Relaxed);
    WORK.store(INTERPRETER, Relaxed);
}

/// Where the run is; for [`back_at`].
pub fn place() -> u64 {
    PLACE.load(Relaxed)
}

/// A primitive is evaluated. In a sweep that belongs to the rule of another one.
pub fn works(prim: &'static Prim) {
    if !BACKWARD.load(Relaxed) {
        WORK.store(std::ptr::from_ref(prim) as usize, Relaxed);
    }
}

/// A formula on tensors is evaluated.
pub fn works_fused() {
    if !BACKWARD.load(Relaxed) {
        WORK.store(FORMULA, Relaxed);
    }
}

/// A sweep begins.
pub fn begin_sweep() {
    BACKWARD.store(true, Relaxed);
    WORK.store(SCALARS, Relaxed);
}

/// A sweep has ended; the run goes on where it was.
pub fn end_sweep(place: u64) {
    BACKWARD.store(false, Relaxed);
    PLACE.store(place, Relaxed);
    WORK.store(INTERPRETER, Relaxed);
}

/// The sweep is at what was recorded at a place: by a primitive, or a formula.
pub fn back_at(place: u64, prim: Option<&'static Prim>) {
    PLACE.store(place, Relaxed);
    WORK.store(prim.map_or(FORMULA, |prim| std::ptr::from_ref(prim) as usize), Relaxed);
}

/// What a tape holds before a sweep, by place, and in scalar operations.
pub fn held(by_place: FxHashMap<u64, usize>, scalars: usize) {
    HELD.with_borrow_mut(|held| {
        for (place, bytes) in by_place.into_iter().chain([(NOWHERE, scalars)]) {
            let most = held.entry(place).or_default();
            *most = bytes.max(*most);
        }
    });
}

type Counts = FxHashMap<(u64, usize, bool), u64>;

/// A profile under way.
pub struct Profile {
    counts: Arc<Mutex<Counts>>,
    start: Instant,
}

impl Profile {
    /// Begins to look.
    pub fn start() -> Profile {
        let counts: Arc<Mutex<Counts>> = Arc::default();
        let own = counts.clone();
        ON.store(true, Relaxed);
        let look = move || {
            while is_on() {
                std::thread::sleep(PERIOD);
                let key = (PLACE.load(Relaxed), WORK.load(Relaxed), BACKWARD.load(Relaxed));
                if let Ok(mut counts) = own.lock() {
                    *counts.entry(key).or_default() += 1;
                }
            }
        };
        // Without a thread there is nothing to report, which the report says.
        let _ = std::thread::Builder::new().name("profile".into()).spawn(look);
        Profile { counts, start: Instant::now() }
    }

    /// Ends it: the report, as text.
    pub fn finish(self, sources: &SourceMap) -> String {
        ON.store(false, Relaxed);
        let seconds = self.start.elapsed().as_secs_f64();
        let counts = self.counts.lock().map(|counts| counts.clone()).unwrap_or_default();
        report(&counts, seconds, sources)
    }
}

fn report(counts: &Counts, seconds: f64, sources: &SourceMap) -> String {
    let all: u64 = counts.values().sum();
    let mut out = format!("profile: {seconds:.2} s, looked at {all} times\n");
    if all == 0 {
        return out + "  the program ended before anything could be seen\n";
    }
    let second = seconds / all as f64;
    let mut lines: FxHashMap<String, [u64; 2]> = FxHashMap::default();
    let mut works: FxHashMap<&str, [u64; 2]> = FxHashMap::default();
    for ((place, work, backward), count) in counts {
        let side = usize::from(*backward);
        lines.entry(line(*place, sources)).or_default()[side] += count;
        works.entry(name(*work)).or_default()[side] += count;
    }
    table(&mut out, "line", lines, second, all);
    table(&mut out, "primitive", works.into_iter().map(|(name, n)| (name.to_string(), n)).collect(), second, all);
    HELD.with_borrow(|held| {
        let mut by_line: FxHashMap<String, usize> = FxHashMap::default();
        for (place, bytes) in held.iter().filter(|(_, bytes)| **bytes > 0) {
            let what = if *place == NOWHERE { "scalar operations".into() } else { line(*place, sources) };
            *by_line.entry(what).or_default() += bytes;
        }
        if by_line.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n      tape  line (the most it holds before one sweep)");
        for (what, bytes) in sorted(by_line, |bytes| *bytes as u64) {
            let _ = writeln!(out, "{:>10}  {what}", size(bytes));
        }
    });
    out
}

fn table(out: &mut String, of: &str, rows: FxHashMap<String, [u64; 2]>, second: f64, all: u64) {
    let _ = writeln!(out, "\n     time  share  forward  backward  {of}");
    let share = |n: u64| format!("{:.0} %", 100.0 * n as f64 / all as f64);
    for (what, [forward, backward]) in sorted(rows, |[a, b]| a + b) {
        let n = forward + backward;
        let time = format!("{:.3} s", n as f64 * second);
        let _ = writeln!(out, "{time:>9}  {:>5}  {:>7}  {:>8}  {what}", share(n), share(forward), share(backward));
    }
}

/// The largest ones first.
fn sorted<T>(rows: FxHashMap<String, T>, weight: impl Fn(&T) -> u64) -> Vec<(String, T)> {
    let mut rows: Vec<(String, T)> = rows.into_iter().collect();
    rows.sort_by(|(a, x), (b, y)| weight(y).cmp(&weight(x)).then_with(|| a.cmp(b)));
    rows.truncate(ROWS);
    rows
}

fn line(place: u64, sources: &SourceMap) -> String {
    if place == NOWHERE {
        return "before the first line".into();
    }
    let source = sources.get(SourceId((place >> 32) as u32));
    let (line, _) = source.line_col(place as u32);
    let text = source.line(line).trim();
    let shown: String = text.chars().take(60).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("{}:{line}  {shown}{more}", source.name)
}

fn name(work: usize) -> &'static str {
    match work {
        INTERPRETER => "(interpreter)",
        FORMULA => "(fused operations)",
        SCALARS => "(scalars of the tape)",
        _ => ops::table().find(|prim| std::ptr::from_ref(*prim) as usize == work).map_or("?", |prim| prim.shown()),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_add_up() {
        let mut sources = SourceMap::default();
        let id = sources.add("a.dl", "let x = 1\nlet y = exp(x)\n");
        let second = u64::from(id.0) << 32 | 12;
        let exp = ops::find("exp").map_or(0, |prim| std::ptr::from_ref(prim) as usize);
        let counts: Counts = [((second, exp, false), 6), ((second, exp, true), 3), ((NOWHERE, INTERPRETER, false), 1)]
            .into_iter()
            .collect();
        let text = report(&counts, 2.0, &sources);
        assert!(text.contains("  1.800 s   90 %     60 %      30 %  a.dl:2  let y = exp(x)\n"), "{text}");
        assert!(text.contains("  1.800 s   90 %     60 %      30 %  exp\n"), "{text}");
        assert!(text.contains("  0.200 s   10 %     10 %       0 %  (interpreter)\n"), "{text}");
    }
}
