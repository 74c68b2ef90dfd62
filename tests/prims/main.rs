//! Every primitive of the table against numbers: shapes, derivatives of first to third order, both float dtypes, batches.
//!
//! Nothing here names a primitive: samples come from each row's probe and are varied (`samples`). `cargo test --test prims
//! -- --nocapture` prints what was checked and how long it took; `PRIM=softmax` checks that one only.

mod batch;
mod broken;
mod check;
mod derivative;
mod dtypes;
mod extreme;
mod modes;
mod samples;
mod shape;
mod special;
mod tally;
mod values;

use std::sync::atomic::{AtomicUsize, Ordering};

use dlang::ops;
use tally::{Failure, Tally};

fn rows() -> impl Iterator<Item = &'static ops::prim::Prim> {
    let only = std::env::var("PRIM").ok();
    ops::table().filter(move |p| only.as_ref().is_none_or(|name| p.name == name))
}

fn report(failures: &[Failure]) {
    let lines: Vec<String> = failures.iter().map(|f| format!("{:?}: {}", f.kind, f.message)).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), lines.join("\n"));
}

#[test]
fn every_primitive_has_a_sample() {
    let without: Vec<&str> = ops::table().filter(|p| p.probe.samples.is_empty()).map(|p| p.name).collect();
    assert!(without.is_empty(), "no probe: {without:?}");
}

#[test]
fn rules_hold() {
    let rows: Vec<_> = rows().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut tally, mut failures) = (Tally::default(), vec![]);
        while let Some(prim) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            failures.extend(check::primitive(prim, &mut tally));
        }
        (tally, failures)
    };
    let (mut tally, mut failures) = (Tally::default(), vec![]);
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for (part, failed) in running.into_iter().filter_map(|thread| thread.join().ok()) {
            tally.add(part);
            failures.extend(failed);
        }
    });
    tally.print();
    report(&failures);
    assert_eq!(tally.times.len(), rows.len(), "not all primitives were checked");
}

#[test]
fn nasty_points() {
    let mut tally = Tally::default();
    let failures: Vec<Failure> = rows().flat_map(|prim| special::check(prim, &mut tally)).collect();
    tally.print();
    report(&failures);
}
