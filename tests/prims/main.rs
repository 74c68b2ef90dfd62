//! Every primitive of the table against numbers: shapes, derivatives of first to third order, both float dtypes, batches.
//!
//! Nothing here names a primitive: samples come from each row's probe and are varied (`samples`). `cargo test --test prims
//! -- --nocapture` prints what was checked and how long it took; `PRIM=softmax` checks that one only.

mod batch;
mod broken;
mod check;
mod derivative;
mod modes;
mod samples;
mod shape;
mod special;
mod tally;
mod values;

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
    let mut tally = Tally::default();
    let failures: Vec<Failure> = rows().flat_map(|prim| check::primitive(prim, &mut tally)).collect();
    tally.print();
    report(&failures);
}

#[test]
fn nasty_points() {
    let mut tally = Tally::default();
    let failures: Vec<Failure> = rows().flat_map(|prim| special::check(prim, &mut tally)).collect();
    tally.print();
    report(&failures);
}
