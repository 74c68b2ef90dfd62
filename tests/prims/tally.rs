//! What was checked, how often, and what failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dlang::error::Error;

/// Kinds of checks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The shape rule with everything known.
    Shape,
    /// The shape rule with something unknown.
    PartShape,
    /// jvp = central differences.
    Tangent,
    /// `<y_bar, jvp u> = <vjp y_bar, u>`
    Cotangent,
    /// The same two of the derivatives.
    Second,
    SecondBack,
    /// Four ways to a second derivative.
    Agree,
    Third,
    /// f32 = f64 to f32's accuracy.
    Narrow,
    /// Ints give the shape rule's dtype, and the same numbers as floats.
    Ints,
    /// A negative axis is its positive twin.
    Axis,
    /// Views give what copies give.
    Layout,
    /// Strong zeros, and both modes alike, at points where functions are nasty.
    Special,
    /// What is not differentiable says so.
    Refused,
    /// Ints at the ends of their range.
    Extreme,
    /// A kink or jump: compared with the transpose only.
    Kink,
    /// Evaluation and shape rule refuse together.
    Error,
    /// Evaluation refuses what the shape rule lets pass.
    LateError,
    /// A batching rule = one application for each example.
    Batch,
    Panic,
    /// The derivative of a batch, and the batch of derivatives.
    BatchSlope,
}

/// A check that failed.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
}

impl Failure {
    /// With the name of what it is about in front.
    pub fn of(mut self, what: &str) -> Failure {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl Kind {
    pub fn fail<T>(self, message: String) -> Result<T, Failure> {
        Err(Failure { kind: self, message })
    }

    pub fn error(self, error: &Error) -> Failure {
        Failure { kind: self, message: format!("{}: {}", error.0.code, error.0.message) }
    }
}

/// Counts and times.
#[derive(Default)]
pub struct Tally {
    pub counts: BTreeMap<Kind, usize>,
    pub samples: usize,
    pub times: Vec<(Duration, String)>,
    /// Primitives that refuse what their shape rule lets pass.
    pub late: BTreeSet<&'static str>,
}

impl Tally {
    pub fn count(&mut self, kind: Kind) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// With what another thread counted.
    pub fn add(&mut self, other: Tally) {
        for (kind, n) in other.counts {
            *self.counts.entry(kind).or_default() += n;
        }
        self.samples += other.samples;
        self.times.extend(other.times);
        self.late.extend(other.late);
    }

    /// Counts by kind and the slowest ten.
    pub fn print(&mut self) {
        println!("{} primitives, {} samples", self.times.len(), self.samples);
        for (kind, n) in &self.counts {
            println!("{n:8} {kind:?}");
        }
        println!("errors that only evaluation finds: {:?}", self.late);
        self.times.sort();
        for (time, name) in self.times.iter().rev().take(10) {
            println!("{:6} ms {name}", time.as_millis());
        }
    }
}
